"""What is known of the values of a run: how far each may be off, found by the value itself.

By the value, not by its name, since control flow hands values on under other names. Beside an array its radii are an
array; beside a list they are a list of arrays, beside a state another place for an array, so that what reads and writes
them reads and writes radii likewise.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np

from refcoreml.errors import InternalError
from refcoreml.mil.values import Dictionary, ListValue, StateCell
from refcoreml.oracle.balls import Ball, Doubles, Rounding
from refcoreml.oracle.storage import flushed

__all__ = ["BlobBound", "Known", "Radii", "Undetermined", "ball_of", "is_numeric", "reseeded"]


class Undetermined(Exception):  # noqa: N818 (no failure: the sample decides nothing)
    """Rounding may turn a branch or a loop the other way, so that nothing can be said about what follows."""


@dataclass(frozen=True)
class BlobBound:
    """A blob, or a value of a program, in double precision and how far another computation of it may be away.

    Attributes:
        layer, kind: the layer that produced it last, and its type.
        value: the blob in double precision; of a list the elements, of scores by label the scores, of a predicted label
            its place among the labels.
        radius: the bound, place by place; infinite where the value is undetermined, such as a comparison of numbers
            that rounding may exchange.
        check: the class of the bound, see `CHECKS`; of a blob that several inexact layers lead to, ``composite``.
        deviation: of a sum of exact numbers the standard deviation of its error, see `refcoreml.oracle.deviation`.
        labels: the classes, of scores by label and predicted labels.
    """

    layer: str
    kind: str
    value: Doubles
    radius: Doubles
    check: str = "exact"
    deviation: Doubles | None = None
    labels: tuple[str | int, ...] = ()


class Known(NamedTuple):
    """What is known of a value.

    Attributes:
        rad: the radii, for what is computed from it.
        check: the class of the bound.
        layer, kind: what made it.
        shown: numbers to show in place of those of the value: infinities that double precision does not see, or the
            place of a label; None for its own.
        deviation, labels: as of `BlobBound`.
    """

    rad: Any
    check: str = "exact"
    layer: str = ""
    kind: str = ""
    shown: Doubles | None = None
    deviation: Doubles | None = None
    labels: tuple[str | int, ...] = ()

    def bound(self, value: Any) -> BlobBound:
        """Return the bound of the value of which this is known."""
        numbers = _numbers(value) if self.shown is None else self.shown
        radius = _numbers(self.rad)
        if self.shown is not None and numbers.shape == np.shape(value) and not self.labels:
            radius = np.where(np.isinf(numbers) & np.isfinite(_numbers(value)), 0.0, radius)
        return BlobBound(self.layer, self.kind, numbers, radius, self.check, self.deviation, self.labels)


class Radii:
    """What is known of values, as long as they exist."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, Known]] = {}

    def note(self, value: Any, known: Known) -> None:
        """Note what is known of a value."""
        key = id(value)
        try:
            kept: Any = weakref.ref(value, lambda _: self._known.pop(key, None))
        except TypeError:  # a number, of rank 0, stays
            kept = value
        self._known[key] = kept, known

    def __contains__(self, value: Any) -> bool:
        return id(value) in self._known

    def of(self, value: Any) -> Known:
        """Return what is known of a value."""
        try:
            return self._known[id(value)][1]
        except KeyError:
            raise InternalError(
                "nothing is known of a value that no step has made", remedy="Please report it"
            ) from None

    def bound(self, value: Any) -> BlobBound:
        """Return the bound of a value."""
        return self.of(value).bound(value)


def is_numeric(value: Any) -> bool:
    """Return whether a value is an array of numbers or booleans, rather than a list, a state, or labels."""
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biuf"


def ball_of(value: Any, rad: Any) -> Ball:
    """Return a value and its radii as a ball: numbers in double precision; lists, states and labels as they are."""
    return Ball(np.asarray(value, np.float64) if is_numeric(value) else cast("Doubles", value), rad)


def _numbers(value: Any) -> Doubles:
    """Return the numbers of an array, a list or a dictionary in double precision."""
    array = value.array if isinstance(value, (ListValue, Dictionary, StateCell)) else value
    return np.asarray(array, np.float64)


def reseeded(value: Any, storage: Rounding | None) -> tuple[Any, Any]:
    """Return a value as it is stored, and the radii that this leaves; None stores it as it is.

    States are copied, so that what writes them leaves those of the run alone.
    """
    if isinstance(value, StateCell):
        array, rad = reseeded(value.array, storage)
        return StateCell(value.type.tensor, array), StateCell(value.type.tensor, rad)
    if isinstance(value, ListValue):
        pairs = [(None, None) if x is None else reseeded(x, storage) for x in value.elements]
        radii = replace(value, held=np.dtype(np.float64), elements=tuple(rad for _, rad in pairs))
        return replace(value, elements=tuple(x for x, _ in pairs)), radii
    if storage is None or not is_numeric(value) or value.dtype.kind != "f":
        return value, np.zeros(np.shape(value))
    with np.errstate(over="ignore"):
        stored = np.asarray(value).astype(storage.format).astype(np.float64)
    return stored, flushed(stored, storage)
