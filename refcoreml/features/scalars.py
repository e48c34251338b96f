"""Numbers and texts: as features, and as keys and items of dictionaries and sequences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml import values as given
from refcoreml.errors import InputError, InvalidModelError
from refcoreml.features.base import Feature
from refcoreml.features.numbers import to_integers

__all__ = [
    "DoubleFeature",
    "Int64Feature",
    "NumberFeature",
    "ScalarFeature",
    "StringFeature",
    "checked_scalar",
    "item_type",
]


def item_type(member: str | None, where: str) -> str:
    """Return the type of keys or items, by the name of their member in the schema."""
    if member is None:
        raise InvalidModelError("the feature declares no type of its keys or items, Int64 or String", where=where)
    return "Int64" if member.startswith("int64") else "String"


def checked_scalar(feature: Feature, value: Any, wanted: str, what: str = "") -> int | float | str:
    """Return a number or string of the wanted type; ``what`` says which part of the feature's value it is."""
    if (wanted == "Double" and type(value) is float) or (wanted == "String" and type(value) is str and value.isascii()):
        return value  # most values, soon

    def refuse(problem: str, remedy: str = "") -> InputError:
        return feature.refuse(f"{what}{problem}", remedy)

    if given.is_a(value, (bool, np.bool_)):
        number = "" if wanted == "String" else f"Pass {int(value)} if the number is meant"
        raise refuse(f"got the boolean {value}, expected {wanted}", number)
    if wanted == "String" and given.is_a(value, str):
        return given.text(value, refuse)
    if wanted == "Int64" and given.is_a(value, (int, np.integer)):
        return given.integer(value, refuse)
    if wanted == "Double" and given.is_a(value, (int, float, np.integer, np.floating)):
        return given.number(value, refuse)
    remedy = "Pass int(value) if that is meant" if wanted == "Int64" and given.is_a(value, (float, np.floating)) else ""
    if given.is_a(value, np.ndarray) and value.size == 1:
        remedy = "Pass value.item()"
    raise refuse(f"got {given.shown(value)}, expected {wanted}", remedy)


class ScalarFeature(Feature):
    """A number or a text."""

    def check(self, value: Any, *, legacy_ranks: bool = False) -> int | float | str:
        return checked_scalar(self, value, self.noun)


class NumberFeature(ScalarFeature):
    """A number."""

    numeric = True

    @property
    def count(self) -> int | None:
        return 1

    def _only(self, value: Any) -> NDArray[Any]:
        number = np.asarray(value)
        if number.size != 1:
            raise self._misfit(f"the model computes {number.size} numbers where it declares one")
        return number


@dataclass(frozen=True)
class Int64Feature(NumberFeature, member="int64Type"):
    """An integer of 64 bits: int in Python."""

    kind = "int64"
    noun = "Int64"

    def _finished(self, value: Any) -> int:
        return int(to_integers(self._only(value), np.int64, self._output).item())

    @property
    def cut(self) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
        return lambda numbers: np.clip(np.trunc(numbers), -(2.0**63), 2.0**63)  # what does not fit saturates


@dataclass(frozen=True)
class DoubleFeature(NumberFeature, member="doubleType"):
    """A number in double precision: float in Python."""

    kind = "double"
    noun = "Double"

    @property
    def holds_fractions(self) -> bool:
        return True

    def _finished(self, value: Any) -> float:
        return float(self._only(value).item())


@dataclass(frozen=True)
class StringFeature(ScalarFeature, member="stringType"):
    """A text: str in Python."""

    kind = "string"
    noun = "String"

    def _finished(self, value: Any) -> int | float | str:
        return self.check(value)
