"""Dictionaries: numbers by text or integer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from refcoreml import values as given
from refcoreml.features.base import Feature
from refcoreml.features.scalars import checked_scalar, item_type
from refcoreml.features.shapes import Shapes
from refcoreml.spec import schema

__all__ = ["DictionaryFeature"]


@dataclass(frozen=True)
class DictionaryFeature(Feature, member="dictionaryType"):
    """Finite numbers by keys of the type `element`: a dict in Python."""

    kind = "dictionary"
    noun = "Dictionary"

    @staticmethod
    def read_type(message: schema.FeatureType, where: str) -> tuple[str, Shapes]:
        return item_type(message.dictionaryType.WhichOneof("KeyType"), where), Shapes()

    def describe(self) -> str:
        return self._described(f"{self.element} -> Double")

    def accepts(self, source: Feature) -> bool:
        return super().accepts(source) and self.element == source.element

    def check(self, value: Any, *, legacy_ranks: bool = False) -> dict[Any, float]:
        result: dict[Any, float] = {}
        for key, number in given.mapping(value, self.refuse).items():
            name = given.quoted(key)
            checked = float(checked_scalar(self, number, "Double", f"value of {name}: "))
            if not math.isfinite(checked):
                raise self.refuse(f"value of {name}: {checked} is not finite")
            result[checked_scalar(self, key, self.element, f"key {name}: ")] = checked
        return result

    def _finished(self, value: Any) -> dict[Any, float]:
        return {checked_scalar(self, key, self.element, "key: "): float(item) for key, item in value.items()}
