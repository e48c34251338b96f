"""States: arrays that a model keeps from one prediction to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from refcoreml.errors import UnsupportedModelError
from refcoreml.features.array import TensorFeature, array_type
from refcoreml.features.shapes import Shapes
from refcoreml.spec import schema

__all__ = ["StateFeature"]


@dataclass(frozen=True)
class StateFeature(TensorFeature, member="stateType"):
    """An array of numbers that a model keeps; it cannot be passed as an input."""

    kind = "state"
    noun = "State"

    @staticmethod
    def read_type(message: schema.FeatureType, where: str) -> tuple[str, Shapes]:
        return array_type(message.stateType.arrayType, where)

    def check(self, value: Any, *, legacy_ranks: bool = False) -> NoReturn:
        raise UnsupportedModelError("states cannot be passed as inputs", where=f"input {self.name!r}")
