"""Random numbers for rounding errors: half of each is what equal values have in common.

Equal numbers from equal computations have equal errors: those of a bright wall in an image add up in a mean, where
independent ones would cancel. Yet a vectorized loop may round the last numbers of a row in another way than the others,
so that their difference is not always 0. So a number is drawn as (a + b) / sqrt(2), a from the value without its sign,
b from its place.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from refcoreml.types import Array

__all__ = ["RUNS", "Bits", "Draws"]

#: How many disturbed runs there are. The spread of six is within a factor of 2 of the true one in 49 of 50 cases, even
#: before it is pooled; seven predictions are what a user waits for; and 64 random bits serve six runs.
RUNS = 6

#: Random bits for each place, from which `Draws.of_run` takes those of one run.
Bits = NDArray[np.int64]

#: So many bits a run: half of them choose a, half of them b, among so many quantiles of the normal distribution.
_BITS = 10
_COUNT = 1 << _BITS // 2
_SHARED = np.uint64(sum((_COUNT - 1) << _BITS * run for run in range(RUNS)))


def _table() -> NDArray[np.float64]:
    """Return (a + b) / sqrt(2) for all pairs of quantiles, of variance 1."""
    quantiles = np.array([NormalDist().inv_cdf((place + 0.5) / _COUNT) for place in range(_COUNT)])
    quantiles /= np.sqrt(np.mean(quantiles**2))
    pairs: NDArray[np.float64] = np.add.outer(quantiles, quantiles).reshape(-1)
    pairs /= np.sqrt(2)
    return pairs


_TABLE = _table()


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return bits that depend on all of those given, which are overwritten (the finalizer of SplitMix64)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits ^= bits >> np.uint64(shift)
        bits *= np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    return bits


class Draws:
    """Random numbers for the results of one step; the same whenever it is given the same values.

    Attributes:
        seed: of all draws of a judgement.
        place: the step's.
    """

    def __init__(self, seed: int, place: str) -> None:
        self._seed = zlib.crc32(place.encode(), seed)
        self._rng = np.random.Generator(np.random.SFC64(self._seed))

    def bits(self, values: Array, shared: Sequence[int] = (), salt: int = 0) -> Bits:
        """Return bits for each number, or for each row along the shared axes, which stay with length 1."""
        chosen = values[tuple(slice(1) if axis in shared else slice(None) for axis in range(values.ndim))]
        seed = (self._seed << 8) + salt
        bits = np.array(chosen, np.float64, order="C", ndmin=1).view(np.uint64) << np.uint64(1)  # without the sign
        bits ^= np.uint64((seed * 0x9E3779B97F4A7C15) & (2**64 - 1))
        bits = _mixed(bits)
        own = self._rng.integers(0, 2**64, bits.shape, np.uint64)
        bits &= _SHARED
        own &= ~_SHARED
        bits |= own
        return bits.view(np.int64).reshape(chosen.shape)

    @staticmethod
    def of_run(bits: Bits, run: int) -> NDArray[np.float64]:
        """Return numbers with a normal distribution, the same for the same bits and run."""
        places = bits >> (_BITS * run)
        places &= (1 << _BITS) - 1
        return np.take(_TABLE, places)

    def normals(self, values: Array, name: str, run: int) -> NDArray[np.float64]:
        """Return independent numbers for an array that stays the same in a judgement, such as weights, by name."""
        rng = np.random.Generator(np.random.SFC64([self._seed, zlib.crc32(name.encode()), run]))
        return rng.standard_normal(np.shape(values))
