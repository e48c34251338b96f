"""Compare outputs within bounds, and say how sharp the bounds were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml.oracle.balls import Doubles

__all__ = ["WIDEST", "Difference", "Sharpness", "compare_outputs", "typical"]

#: The widest bound that shows anything, beside the numbers that it is about: one unit in the last place of half
#: precision. Within a wider one a network is no other than its own copy whose weights and blobs are rounded to halves,
#: the coarsest arithmetic that networks are meant to run in.
WIDEST = 2.0**-10

#: The least magnitude that masks have: that of networks for half precision is -1e4, with scores added.
_LEAST_MASK = 2.0**13


@dataclass(frozen=True)
class Difference:
    """An output that is farther away than rounding explains.

    Attributes:
        name: the output.
        place: where it is worst.
        actual, expected: the values there.
        bound: what was allowed there.
        count, size: how many values are too far away, of how many.
    """

    name: str
    place: tuple[int, ...]
    actual: float
    expected: float
    bound: float
    count: int
    size: int
    shapes: str = ""

    @property
    def message(self) -> str:
        """All of it in a line."""
        if self.shapes:
            return f"output {self.name!r} {self.shapes}"
        return (
            f"output {self.name!r} at {list(self.place)} is {self.actual:.9g}, expected {self.expected:.9g}, off by "
            f"{abs(self.actual - self.expected):.3g}, allowed {self.bound:.3g} ({self.count} of {self.size} values)"
        )


def without_ones(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape without its dimensions of 1."""
    return tuple(length for length in shape if length != 1)


def typical(values: Any) -> float:
    """The magnitude of a typical number among values: the median of those that are finite and not 0; else 0.

    Not the greatest: beside a masked score of -1e9 everything is small. Where more than a quarter are such scores, all
    equal but for what is left of the scores below them, they may be the median too; so they are left out.
    """
    size = np.abs(np.asarray(values, np.float64))
    size = size[np.isfinite(size) & (size > 0)]
    if not size.size:
        return 0.0
    others = size[~_repeated(size)]
    return float(min(np.median(part) for part in (size, others) if part.size))


def _repeated(size: Doubles) -> NDArray[np.bool_]:
    """Which positive numbers are equal, to the bits that half precision keeps, to the most frequent one.

    None unless they are more than a quarter, and as great as masks are.
    """
    mantissas, exponents = np.frexp(size)
    rounded = np.rint(mantissas * 2**11).astype(np.int64) + exponents.astype(np.int64) * 2**10  # in order of size
    found, counts = np.unique(rounded, return_counts=True)
    most = int(counts.argmax())
    repeated: NDArray[np.bool_] = (np.abs(rounded - found[most]) <= 1) & (size >= _LEAST_MASK)
    return repeated & bool(4 * counts[most] > size.size)


@dataclass(frozen=True)
class Sharpness:
    """How sharp a comparison was, where it was least so.

    Attributes:
        width: the bound there, relative to the greater of the number and a typical one of its output (see `typical`);
            infinite where nothing finite was compared.
        used: the greatest part of a bound that was used.
        name, place, bound, value: the output, where in it, the bound and the number there.
    """

    width: float = 0.0
    used: float = 0.0
    name: str = ""
    place: tuple[int, ...] = ()
    bound: float = 0.0
    value: float = 0.0

    @property
    def message(self) -> str:
        """Where the bound is widest, in a line."""
        if not self.place and np.isinf(self.width) and not self.bound:
            return f"output {self.name!r} has no finite number"
        if np.isinf(self.bound):
            return f"rounding may make any number of output {self.name!r} at {list(self.place)}"
        return f"output {self.name!r} at {list(self.place)} is {self.value:.6g} within {self.bound:.3g}"


def _sharpness(name: str, wanted: Doubles, off: Doubles, radius: Doubles) -> Sharpness:
    """Of one output that agrees."""
    finite = np.isfinite(wanted)
    if not finite.any():
        return Sharpness(np.inf, 0.0, name)
    with np.errstate(invalid="ignore", divide="ignore"):
        size = np.maximum(np.abs(np.where(finite, wanted, 0.0)), typical(wanted))
        width = np.where(np.isnan(radius), np.inf, np.where(radius == 0, 0.0, radius / size))
        used = float(np.where((radius > 0) & np.isfinite(radius), off / radius, 0.0).max())
    place = np.unravel_index(int(width.argmax()), width.shape) if width.ndim else ()
    return Sharpness(
        float(width[place]), used, name, tuple(map(int, place)), float(radius[place]), float(wanted[place])
    )


def compare_outputs(
    names: Sequence[str], actual: Mapping[str, Any], expected: Sequence[Any], radii: Mapping[str, Doubles]
) -> tuple[Difference | None, Sharpness]:
    """The first output that differs, or how sharp the comparison was.

    NaN equals NaN and an infinity itself, at the same places. Shapes may differ by dimensions of 1, since Core ML has
    no outputs of rank 0 and keeps some dimensions that torch drops.
    """
    least = Sharpness()
    for name, wanted in zip(names, expected, strict=True):
        wanted = np.asarray(wanted, np.float64)
        if name not in actual:
            return Difference(name, (), 0, 0, 0, 0, 0, "is missing"), least
        got = np.asarray(actual[name], np.float64)
        if without_ones(got.shape) != without_ones(wanted.shape):
            shapes = f"has the shape {got.shape}, expected {wanted.shape}"
            return Difference(name, (), 0, 0, 0, 0, 0, shapes), least
        got = got.reshape(wanted.shape)
        radius = np.broadcast_to(radii[name], np.shape(radii[name]) or wanted.shape).reshape(wanted.shape)
        with np.errstate(invalid="ignore"):
            off = np.where((got == wanted) | (np.isnan(got) & np.isnan(wanted)), 0.0, np.abs(got - wanted))
        off = np.where(np.isnan(off), np.inf, off)
        bad = off > radius
        if bad.any():
            return _difference(name, got, wanted, off, radius, bad), least
        found = _sharpness(name, wanted, off, radius)
        used = max(found.used, least.used)
        least = replace(max(least, found, key=lambda one: one.width) if least.name else found, used=used)
    return None, least


def _difference(
    name: str, got: Doubles, wanted: Doubles, off: Doubles, radius: Doubles, bad: NDArray[np.bool_]
) -> Difference:
    with np.errstate(invalid="ignore", divide="ignore"):
        excess = np.where(bad, np.where(np.isfinite(off), off - radius, np.inf), -np.inf)
    place = np.unravel_index(int(excess.argmax()), excess.shape) if excess.ndim else ()
    where = tuple(map(int, place))
    actual, expected, bound = (float(part[place]) for part in (got, wanted, radius))
    return Difference(name, where, actual, expected, bound, int(bad.sum()), bad.size)
