"""What a source has computed, looked up by its numbers: which of its values is this value of the model?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from refcoreml.oracle.balls import Doubles
from refcoreml.testing.agreement import typical
from refcoreml.testing.torch_modules import Recorded
from refcoreml.types import without_ones

__all__ = ["Counterpart", "Counterparts"]

#: So many numbers are compared before all are.
_SAMPLE = 64
#: Within wider bounds, beside their numbers, values are not compared in any order: many numbers in ascending order are
#: near those of another value with the same distribution.
SHARP = 2.0**-24


@dataclass(frozen=True)
class Counterpart:
    """A value of the source that is a value of the model.

    Attributes:
        place: which of the recorded ones.
        values: its numbers at the places of the model's.
        moved: whether they lie at other places there, but for dimensions of 1 and a change of shape.
    """

    place: int
    values: Doubles
    moved: bool = False


class _Entry:
    def __init__(self, place: int, values: Doubles) -> None:
        self.place, self.values = place, values

    @cached_property
    def ordered(self) -> Doubles:
        """The numbers in ascending order."""
        return np.sort(self.values.reshape(-1))

    @cached_property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest number."""
        return _ends(self.values)


class _Value:
    """A value of the model with its bounds."""

    def __init__(self, values: Doubles, radius: Doubles) -> None:
        self.values, self.radius = values, np.broadcast_to(radius, values.shape)
        self.most = float(self.radius.max(initial=0))
        self.sample = np.arange(0, values.size, max(1, values.size // _SAMPLE))

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """The places of the numbers in ascending order."""
        return np.argsort(self.values.reshape(-1))

    @property
    def sharp(self) -> bool:
        """Whether bounds are so narrow that numbers in ascending order are hardly taken for their neighbours."""
        return self.most <= SHARP * typical(self.values)

    @cached_property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest number."""
        return _ends(self.values)

    def is_near(self, other: Doubles) -> bool:
        """Return whether numbers, place by place, are within the bounds; where they are sharp, within the widest."""
        allowed = np.broadcast_to(self.most, self.values.shape) if self.sharp else self.radius
        for places in (self.sample, None):
            mine, radius, theirs = (
                array.reshape(-1) if places is None else array.reshape(-1)[places]
                for array in (self.values, allowed, other)
            )
            if not _near(mine, theirs, np.where(np.isfinite(radius), radius, 0.0)):
                return False
        return True


def _ends(values: Doubles) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    return (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)


def _near(one: Doubles, other: Doubles, allowed: Doubles) -> bool:
    with np.errstate(invalid="ignore"):
        near = (one == other) | (np.abs(one - other) <= allowed)
    return bool((near | (np.isnan(one) & np.isnan(other))).all())


class Counterparts:
    """The values of a source."""

    def __init__(self, recorded: Sequence[Recorded]) -> None:
        self._by_size: dict[tuple[int, bool], list[_Entry]] = {}
        for place, item in enumerate(recorded):
            key = item.values.size, item.computed
            self._by_size.setdefault(key, []).append(_Entry(place, item.values))

    def find(self, values: Doubles, radius: Doubles, *, computed: bool = True) -> Iterator[Counterpart]:
        """Yield those of which all numbers are within bounds of a value of the model.

        Place by place, if need be with axes in another order; else, where the bounds are sharp, in any order: what the
        model has moved between may have been cut, and each number stands for the one of the same rank.

        Args:
            values, radius: the value and its bounds.
            computed: whether it depends on the inputs: if so, a parameter of the source is no counterpart.
        """
        value = _Value(values, radius)
        for entry in self._by_size.get((values.size, computed), []):
            if not _near(np.array(value.ends), np.array(entry.ends), np.array(value.most)):
                continue
            found = _in_place(value, entry) if values.size else values
            moved = found is None
            if found is None:
                found = _turned(value, entry)
            if found is None and value.sharp:
                found = _in_any_order(value, entry)
            if found is not None:
                yield Counterpart(entry.place, found, moved)


def _in_place(value: _Value, entry: _Entry) -> Doubles | None:
    """Return the counterpart's numbers if the model has them in the same order."""
    return entry.values.reshape(value.values.shape) if value.is_near(entry.values) else None


def _turned(value: _Value, entry: _Entry) -> Doubles | None:
    """Return the counterpart's numbers where the model has them, with axes in another order."""
    shape, given = without_ones(value.values.shape), without_ones(entry.values.shape)
    squeezed = entry.values.reshape(given)
    if sorted(given) == sorted(shape):
        for axes in permutations(range(len(given))):
            if tuple(given[axis] for axis in axes) == shape and value.is_near(turned := squeezed.transpose(axes)):
                return np.ascontiguousarray(turned).reshape(value.values.shape)
    return None


def _in_any_order(value: _Value, entry: _Entry) -> Doubles | None:
    if not _near(value.values.reshape(-1)[value.order], entry.ordered, np.array(value.most)):
        return None
    found = np.empty(value.values.size)
    found[value.order] = entry.ordered
    return found.reshape(value.values.shape)
