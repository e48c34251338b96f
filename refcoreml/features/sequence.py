"""Sequences: texts or integers in a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from refcoreml import values as given
from refcoreml.features.base import Feature
from refcoreml.features.scalars import checked_scalar, item_type
from refcoreml.features.shapes import Shapes, size_range
from refcoreml.spec import schema

__all__ = ["SequenceFeature"]


@dataclass(frozen=True)
class SequenceFeature(Feature, member="sequenceType"):
    """Items of the type `element`, of a length that `shapes` allows: a list in Python."""

    kind = "sequence"
    noun = "Sequence"

    @staticmethod
    def read_type(message: schema.FeatureType, where: str) -> tuple[str, Shapes]:
        sequence = message.sequenceType
        element = item_type(sequence.WhichOneof("Type"), where)
        bounded = sequence.HasField("sizeRange")
        return element, Shapes(ranges=(size_range(sequence.sizeRange, where),)) if bounded else Shapes()

    def accepts(self, source: Feature) -> bool:
        return super().accepts(source) and self.element == source.element

    def check(self, value: Any, *, legacy_ranks: bool = False) -> list[Any]:
        listed = given.items(value, self.refuse)
        problem = self.shapes.problem((len(listed),), "Sequence length")
        if problem:
            raise self.refuse(problem)
        return [checked_scalar(self, item, self.element, f"item {index}: ") for index, item in enumerate(listed)]

    def _finished(self, value: Any) -> list[Any]:
        return self.check(value)
