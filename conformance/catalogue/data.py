"""Where the numbers in cases come from: a small random source of our own, and the kinds of data.

The source is SplitMix64 (Steele, Lea, Flood 2014) started from the 64-bit FNV-1a hash of the case's name, so that a
case depends neither on other cases nor on any library's stream, and anyone can draw the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def fnv1a(text: str) -> int:
    """Return the 64-bit FNV-1a hash of the text in UTF-8."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


#: What is appended to every name, to draw other numbers for the same cases.
_salt = ""


@contextmanager
def salted(salt: str) -> Iterator[None]:
    """Draw other numbers for the same cases."""
    global _salt
    before, _salt = _salt, salt
    try:
        yield
    finally:
        _salt = before


class Source:
    """A stream of random numbers."""

    def __init__(self, name: str) -> None:
        self._state = np.uint64(fnv1a(name + _salt))

    def bits(self, count: int) -> NDArray[np.uint64]:
        """Return the next ``count`` 64-bit numbers."""
        with np.errstate(over="ignore"):
            z = self._state + _GOLDEN * np.arange(1, count + 1, dtype=np.uint64)
            self._state = z[-1] if count else self._state
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            return z ^ (z >> np.uint64(31))

    def uniform(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Numbers in [0, 1), multiples of 2^-24."""
        count = int(np.prod(shape, dtype=np.int64))
        return ((self.bits(count) >> np.uint64(40)).astype(np.float64) * 2.0**-24).reshape(shape)

    def integers(self, shape: tuple[int, ...], low: int, high: int) -> NDArray[np.float64]:
        """Integers from ``low`` to ``high``, both included."""
        return np.floor(self.uniform(shape) * (high - low + 1)) + low


#: What ``special`` mixes in: signed zeros, subnormal and smallest normal numbers of both types, large ones, infinities.
SPECIAL = [0.0, -0.0, 1e-40, -1e-40, 2.0**-126, 6e-8, -3e-5, 2.0**-14, 65504.0, -3e4, np.inf, -np.inf]


def draw(source: Source, kind: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return a float32 array of one kind of data.

    - ``integers``: -4 to 4. Sums of products of them are exact in every order, as long as they stay below 2048.
    - ``zero-mean``: uniform in [-2, 2), with all bits of the mantissa in use.
    - ``wide``: both signs, magnitudes from 2^-5 to 2^6.
    - ``cancellation``: each number is followed by nearly its opposite, so that sums all but vanish.
    - ``special``: zero-mean, with `SPECIAL` in every third place. ``nan`` also has NaN.
    - ``halves``: multiples of 1/2 and 1/4, where rounding has to choose.
    - ``ties``: integers from 0 to 2, so that many are equal.
    - ``bits``: 0 and 1, other numbers now and then, which are true as well.
    """
    u = source.uniform(shape)
    match kind:
        case "integers":
            x = np.floor(u * 9) - 4
        case "zero-mean":
            x = u * 4 - 2
        case "wide":
            sign = np.where(source.uniform(shape) < 0.5, -1.0, 1.0)
            x = sign * (1 + u) * 2.0 ** source.integers(shape, -5, 5)
        case "cancellation":
            flat = (64 * (u - 0.5)).reshape(-1)
            flat[1::2] = -flat[: flat.size // 2 * 2 : 2] + flat[1::2] / 1024
            x = flat.reshape(shape)
        case "special" | "nan":
            flat = (u * 4 - 2).reshape(-1)
            mixed = [*SPECIAL, np.nan] if kind == "nan" else SPECIAL
            flat[::3] = np.resize(mixed, flat[::3].size)
            x = flat.reshape(shape)
        case "halves":
            x = (np.floor(u * 41) - 20) / 4
        case "ties":
            x = np.floor(u * 3)
        case "bits":
            x = np.array([0.0, 1.0, 0.0, 1.0, -2.5, 0.0])[np.floor(u * 6).astype(int)]
        case _:
            raise ValueError(f"there is no kind of data {kind!r}")
    return x.astype(np.float32)
