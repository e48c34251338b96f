"""Numbers that are known before any input."""

from __future__ import annotations

from dataclasses import dataclass

from refcoreml import definitions
from refcoreml.ops.base import Op
from refcoreml.types import Array, TensorType


@dataclass(frozen=True, eq=False)
class Constant(Op):
    """y = value, which is handed out read-only."""

    value: Array

    definition = definitions.constant

    def __post_init__(self) -> None:
        value = self.value.view()
        value.setflags(write=False)
        object.__setattr__(self, "value", value)

    def infer(self) -> TensorType:
        return TensorType.of(self.value)

    def run(self) -> Array:
        return self.value
