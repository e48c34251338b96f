"""Steps for tests of the engine, written as a dialect with unique names would write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from refcoreml.execution.engine import Engine
from refcoreml.execution.limits import Allowed, Budget, Limits
from refcoreml.execution.steps import Step
from refcoreml.ops import Op
from refcoreml.types import TensorType


class Program:
    """A list of steps, written line by line."""

    def __init__(self, place: str = "main", limits: Limits | None = None) -> None:
        self.place, self.limits, self.steps = place, limits or Limits(), list[Step]()

    def add(self, outputs: str, op: Op, inputs: str = "", **fields: Any) -> str:
        """Add a step whose inputs and outputs are names with spaces between them."""
        index, kind = len(self.steps), type(op).__name__
        where = f"{self.place}[{index}] {outputs!r} ({kind})"
        given, made = tuple(inputs.split()), tuple(outputs.split())
        fields = {"allowed": Allowed(self.limits), **fields}
        self.steps.append(Step(index, outputs, kind, where, op, given, made, **fields))
        return outputs

    def engine(self, inputs: str, outputs: str) -> Engine:
        return Engine(self.steps, inputs.split(), outputs.split(), Budget(self.limits), self.place)


def run(engine: Engine, **inputs: Any) -> dict[str, Any]:
    """The outputs, which are the same and the same bits observed, and in a trace."""
    results = engine.run(inputs)
    observed = engine.run(inputs, lambda *_: None)
    seen: dict[str, Any] = {**inputs}
    for event in engine.trace(inputs):
        seen.update(zip(event.step.outputs, event.outputs, strict=True))
    for name, value in results.items():
        for other in (observed[name], *([seen[name]] if name in seen else [])):
            np.testing.assert_array_equal(value, other)
            assert getattr(value, "dtype", None) == getattr(other, "dtype", None)
    return results


def ran(engine: Engine, **inputs: Any) -> list[str]:
    """The names of the steps as they run."""
    return [event.step.name for event in engine.trace(inputs)]


def numbers(*values: float, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    return np.array(values, dtype)


def planned(engine: Engine, **types: Any) -> Sequence[Step]:
    """The steps as they run without an observer; a shape stands for a tensor of float32."""
    float32 = np.dtype(np.float32)
    known = {name: TensorType(float32, found) if isinstance(found, tuple) else found for name, found in types.items()}
    return engine.plan(known)


def names(steps: Sequence[Step]) -> list[str]:
    return [step.name for step in steps]
