"""Half precision: rounding to it, and the numbers that it loses, by becoming infinite or 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcoreml.types import Array

#: The largest finite number.
LARGEST = 65504.0
#: The smallest positive number of full precision; below are the subnormal ones, down to 2^-24.
SMALLEST_NORMAL = 2.0**-14


#: Numbers in a block of `round_to_half`: few enough to stay in the first levels of the cache.
_BLOCK = 1 << 13
#: Up to so many numbers NumPy's own conversions, there and back, are faster.
_FEW = 1 << 10

# Bits of single precision.
_SIGN, _EXPONENT = np.int32(-1 << 31), np.int32(0x7F800000)
#: The exponent of the smallest normal number of half precision; below, the spacing of numbers does not shrink.
_LOWEST = np.int32(0x38800000)
#: The exponent from which on rounding may lead beyond the largest number.
_HIGHEST = np.int32(0x47000000)
#: Makes of the exponent of x, in bits, 1.5 * 2^13 times that power of two.
_TO_MAGIC = np.int32((13 << 23) + (1 << 22))


def to_half(values: Array) -> NDArray[np.float16]:
    """Round to the nearest number, halves to even; what is too large becomes an infinity."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


def round_to_half(x: Array, *, out: Array | None = None) -> Array:
    """y = the number of half precision that is next to x, as `to_half` has it, in the type of x.

    Whoever calls it ignores that numbers overflow, since saying so takes longer than to round a few of them.

    x: [*D] float. Returns [*D], a new array or ``out``, which may be x itself.
    """
    if x.size <= _FEW or x.dtype != np.float32:
        y: Array = x.astype(np.float16)
        if out is None:
            return y.astype(x.dtype)
        out[...] = y
        return out
    if out is None:
        out = x.copy("C")
    elif out is not x:
        np.copyto(out, x)
    numbers = out.ravel("K")  # a view, if they lie side by side
    if numbers.flags.owndata:
        np.copyto(out, round_to_half(out.copy("C")))
        return out
    bits, sign = np.empty((2, min(_BLOCK, numbers.size)), np.int32)
    for start in range(0, numbers.size, _BLOCK):
        block = numbers[start : start + _BLOCK]
        _round_block(block, bits[: block.size], sign[: block.size])
    return out


def _round_block(x: Array, bits: Array, sign: Array) -> None:
    """Round single precision numbers [N], given room for as many integers, twice.

    In single precision, numbers near 1.5 * 2^13 * 2^e are as far apart as those of half precision near 2^e. So adding
    such a number to x, and subtracting it, rounds x: to the nearest, of two the even one.
    """
    given = x.view(np.int32)
    np.bitwise_and(given, _EXPONENT, out=bits)
    np.maximum(bits, _LOWEST, out=bits)
    if bits.max() >= _HIGHEST:  # or infinite, or NaN
        x[...] = x.astype(np.float16)
        return
    bits += _TO_MAGIC
    np.bitwise_and(given, _SIGN, out=sign)
    magic = bits.view(np.float32)
    x += magic
    x -= magic
    given |= sign  # of what became 0


@dataclass(frozen=True)
class Losses:
    """What rounding did to numbers beyond making them less exact.

    Attributes:
        overflowed: how many finite numbers became infinite.
        vanished: how many numbers other than 0 became 0.
        subnormal: how many were changed and are subnormal now, so that they have fewer bits.
        example: the place and the value of one that is lost, of those that overflowed if there are any.
    """

    overflowed: int = 0
    vanished: int = 0
    subnormal: int = 0
    example: tuple[tuple[int, ...], float] | None = None

    def __bool__(self) -> bool:
        """Return whether numbers are lost: infinite or 0."""
        return bool(self.overflowed or self.vanished)

    def __str__(self) -> str:
        """Say how many numbers are lost, and show one."""
        if self.example is None:
            return "nothing is lost"
        place, value = self.example
        shown = f"number [{', '.join(map(str, place))}] is {value:g}"
        if self.overflowed:
            return f"{shown}, the largest half precision number is {LARGEST:g} ({self.overflowed} become infinite)"
        return f"{shown}, too small for half precision ({self.vanished} become 0)"


def losses(before: Array, after: NDArray[np.floating]) -> Losses:
    """Compare numbers with what rounding to half precision made of them, in any float type."""
    size = np.abs(after)
    overflowed = np.isinf(size) & np.isfinite(before)
    vanished = (size == 0) & (before != 0)
    subnormal = (size < SMALLEST_NORMAL) & (size > 0) & (after != before)
    example = _first(overflowed, before) or _first(vanished, before)
    return Losses(int(overflowed.sum()), int(vanished.sum()), int(subnormal.sum()), example)


def _first(mask: NDArray[np.bool_], values: Array) -> tuple[tuple[int, ...], float] | None:
    if not mask.any():
        return None
    place = tuple(map(int, np.unravel_index(int(np.argmax(mask)), mask.shape)))
    return place, float(values[place])


def listed(found: Sequence[str], most: int = 3) -> str:
    """Join lines about losses, the first few in full."""
    more = f"; and {len(found) - most} more" if len(found) > most else ""
    return "; ".join(found[:most]) + more
