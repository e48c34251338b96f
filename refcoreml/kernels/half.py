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


def to_half(values: Array) -> NDArray[np.float16]:
    """Round to the nearest number, halves to even; what is too large becomes an infinity."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


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
