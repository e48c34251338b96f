"""States: arrays that a model keeps from one prediction to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from numpy.typing import NDArray

from refcoreml.errors import InputError, UnsupportedModelError
from refcoreml.features.array import TensorFeature, array_type
from refcoreml.features.shapes import Shapes
from refcoreml.spec import schema
from refcoreml.types import Shape

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

    def refuse(self, problem: str, remedy: str = "") -> InputError:
        return InputError(problem, where=f"state {self.name!r}, {self.describe()}", remedy=remedy)

    def checked(self, value: Any) -> NDArray[Any]:
        """Return an array of the declared type for what a user puts into the state; Float16 as float32.

        Raises:
            InputError: it has another shape, or does not fit the type.
        """
        return self._checked(value, self._check_shape)

    def _check_shape(self, shape: Shape) -> None:
        if problem := self.shapes.problem(shape, "State Shape"):
            raise self.refuse(problem)

    @property
    def _output(self) -> str:
        return f"state {self.name!r}"
