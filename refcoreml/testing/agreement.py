"""Compare outputs within bounds, and say how sharp the bounds were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml.oracle.balls import Doubles
from refcoreml.types import without_ones

__all__ = ["WIDEST", "Difference", "Sharpness", "compare_outputs", "magnitude", "sharpness_of", "typical"]

#: The widest bound that shows anything, beside the numbers that it is about: one unit in the last place of half
#: precision. Within a wider one a network is no other than its own copy whose weights and blobs are rounded to halves,
#: the coarsest arithmetic that networks are meant to run in.
WIDEST = 2.0**-10

#: What the largest score is multiplied by: masks are larger, and those of one constant no farther apart. They are
#: apart by twice the largest score, of which masked ones may be twice as large.
_APART = 4.0

#: The most constants that mask numbers of one output.
_MOST_MASKS = 3

#: What is smaller, beside other numbers, is 0 but for rounding in single precision: of 16 terms.
_ROUNDING = 2.0**-20

#: Numbers with wide bounds are judged by themselves if they are so many, such a part of all, and so many times as many
#: as numbers of this size are by chance. Of normally distributed ones 0.54 u / median are smaller than u.
_SEVERAL, _CONSIDERABLE, _BY_CHANCE = 4, 1 / 8, 4.0

#: What is as large is a mask whatever is beside it: that of networks for half precision is -1e4, with scores added.
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


def typical(values: Any) -> float:
    """Return the magnitude of a typical number among values: the median of those that are finite and not 0; else 0.

    Not the largest: beside a masked score of -1e9 everything is small. Where most are masked, so is the median; then
    it counts no more than that of the numbers below the masks, see `_below_masks`.
    """
    size = np.abs(np.asarray(values, np.float64))
    size = np.sort(size[np.isfinite(size) & (size > 0)])
    return float(min(map(np.median, (size, *_below_masks(size))))) if size.size else 0.0


def magnitude(values: Any) -> float:
    """Return the size of values as a whole: the root mean square of those that are finite, not 0, and below masks.

    Unlike `typical`, it is that of the large ones where sizes differ, as those of probabilities do.
    """
    size = np.abs(np.asarray(values, np.float64))
    size = np.sort(size[np.isfinite(size) & (size > 0)])
    below = min((size, *_below_masks(size)), key=len)
    return float(below[-1] * np.sqrt(np.mean(np.square(below / below[-1])))) if below.size else 0.0


def _below_masks(size: Doubles) -> Iterator[Doubles]:
    """Yield the numbers below what may be masks, of any size, among positive numbers in ascending order.

    A mask is a constant in the place of a score, or added to it. So masks are much greater than scores, and equal but
    for the scores: c - s to c + s where no score is greater than s, and in half precision for rounding. What is left of
    a sum that should be 0 is no score, except beside numbers that are as large as masks alone are.
    """
    with np.errstate(over="ignore"):
        gaps = np.flatnonzero(size[1:] >= _APART * size[:-1]) + 1
    for first in gaps:
        scores, above = size[:first], size[first:]
        zeros = scores[-1] < _ROUNDING * above[0] and above[0] < _LEAST_MASK
        if not zeros and _few(above, _APART * scores[-1]):
            yield scores


def _few(above: Doubles, spread: float) -> bool:
    """Return whether numbers in ascending order are few masks, each of which is there more than once on average."""
    start = 0
    for count in range(1, _MOST_MASKS + 1):
        start = int(np.searchsorted(above, above[start] + max(spread, above[start] * WIDEST), "right"))
        if start == above.size:
            return above.size >= 2 * count
    return False


@dataclass(frozen=True)
class Sharpness:
    """How sharp a comparison was, where it was least so.

    Attributes:
        width: the bound there, relative to the greater of the number and a typical one of its kind (see `_scale`);
            infinite where hardly anything was compared: no finite number, or NaN for most.
        used: the largest part of a bound that was used.
        name, place, bound, value: the output, where in it, the bound and the number there.
        nothing: why hardly anything was compared, if so.
    """

    width: float = 0.0
    used: float = 0.0
    name: str = ""
    place: tuple[int, ...] = ()
    bound: float = 0.0
    value: float = 0.0
    nothing: str = ""

    @property
    def message(self) -> str:
        """Where the bound is widest, in a line."""
        if self.nothing:
            return f"output {self.name!r} {self.nothing}"
        if np.isinf(self.bound):
            return f"rounding may make any number of output {self.name!r} at {list(self.place)}"
        return f"output {self.name!r} at {list(self.place)} is {self.value:.6g} within {self.bound:.3g}"


def _scale(size: Doubles, radius: Doubles) -> Doubles:
    """Return, for each magnitude, that of a typical number to which its bound is relative if that is greater.

    Some numbers are near 0 by chance, and a bound that is wide beside these is no fault: where all are of one kind, a
    part u / typical of them is smaller than u, or a few times as many. More than that, if they are a considerable part
    of all, are of another kind, such as a second part of the output, and are compared with each other.
    """
    scale = np.full(size.shape, typical(size))
    wide = (radius > WIDEST * size) & (radius > _ROUNDING * scale)
    count = np.count_nonzero(wide)
    if count >= max(_SEVERAL, _CONSIDERABLE * size.size):
        by_chance = _BY_CHANCE * size.size * float((size[wide] / scale[wide]).max())
        if count > by_chance:
            scale[wide] = typical(size[wide])
    return scale


def sharpness_of(name: str, values: Doubles, radius: Doubles) -> Sharpness:
    """Return how sharp bounds are beside the numbers that they are about."""
    return _sharpness(name, values, np.zeros(values.shape), np.broadcast_to(radius, values.shape))


def _sharpness(name: str, wanted: Doubles, off: Doubles, radius: Doubles) -> Sharpness:
    """Return the sharpness for one output that agrees."""
    finite = np.isfinite(wanted)
    if not finite.any():
        return Sharpness(np.inf, name=name, nothing="has no finite number")
    missing = np.count_nonzero(np.isnan(wanted))
    if 2 * missing > wanted.size:
        return Sharpness(np.inf, name=name, nothing=f"is NaN in {missing} of {wanted.size} places")
    with np.errstate(invalid="ignore", divide="ignore"):
        size = np.abs(np.where(finite, wanted, 0.0))
        size = np.maximum(size, _scale(size, radius))
        width = np.where(np.isnan(radius), np.inf, np.where(radius == 0, 0.0, radius / size))
        used = float(np.where((radius > 0) & np.isfinite(radius), off / radius, 0.0).max())
    place = np.unravel_index(int(width.argmax()), width.shape) if width.ndim else ()
    return Sharpness(
        float(width[place]), used, name, tuple(map(int, place)), float(radius[place]), float(wanted[place])
    )


def compare_outputs(
    names: Sequence[str], actual: Mapping[str, Any], expected: Sequence[Any], radii: Mapping[str, Doubles]
) -> tuple[Difference | None, Sharpness]:
    """Return the first output that differs, or how sharp the comparison was.

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
