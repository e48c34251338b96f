"""A function of a program, ready to run: `Program`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from refcoreml.errors import InvalidModelError
from refcoreml.execution.engine import Engine, Event, Observer
from refcoreml.execution.limits import Allowed, Budget
from refcoreml.mil import operations as _operations  # noqa: F401 (importing them fills the table)
from refcoreml.mil.node import Value
from refcoreml.mil.precision import PRECISIONS, Precision
from refcoreml.mil.prepare import Preparer, fold
from refcoreml.mil.registry import opset_number
from refcoreml.mil.resolve import Function, Operation, resolve
from refcoreml.spec import schema
from refcoreml.spec.blobs import BlobFiles

__all__ = ["Program"]


class Program:
    """A function of a program. Weights are decoded when it first runs; what can be checked without them is before.

    Attributes:
        function: the function with names resolved.
        inputs: by name what it is given.
        results: by name what it returns.
    """

    def __init__(
        self,
        program: schema.MILSpec.Program,
        name: str,
        files: BlobFiles | None = None,
        *,
        precision: Precision = PRECISIONS["declared"],
        strict: bool = True,
        budget: Budget | None = None,
    ) -> None:
        self._precision, self._budget = precision, budget or Budget()
        self.where = f"mlProgram.functions[{name!r}]"
        opset = opset_number(program.functions[name].opset, self.where) if name in program.functions else 0
        self._preparer = Preparer(opset, precision, strict, Allowed(self._budget.limits))
        self.function: Function = resolve(program, name, files, self._fold)
        self.inputs: dict[str, Value] = {value.name: value for value in self.function.inputs}
        self.results = dict(zip(self.function.results, self.function.body.results, strict=True))
        if len(self.results) < len(self.function.results):
            raise InvalidModelError("returns a value twice", where=self.where)

    def _fold(self, operation: Operation, opset: int) -> tuple[Any, ...]:
        return fold(operation, self._preparer)

    @cached_property
    def _engine(self) -> tuple[Engine, dict[str, Any]]:
        """The engine, and the constants that it takes."""
        steps = self._preparer.steps(self.function.body)
        known = {name: self._held(value) for name, value in self._preparer.constants.items()}
        outputs = dict.fromkeys(value.name for value in self.function.body.results)
        return Engine(steps, (*self.inputs, *known), outputs, self._budget, self.where), known

    def _held(self, value: Value) -> Any:
        return self._precision.hold(value.known) if value.tensor is not None else value.known

    def run(self, inputs: Mapping[str, Any], observe: Observer | None = None) -> dict[str, Any]:
        """Compute the results by name from the inputs, as they are held."""
        engine, known = self._engine
        made = engine.run({**known, **inputs}, observe)
        return {name: made[value.name] for name, value in self.results.items()}

    def trace(self, inputs: Mapping[str, Any]) -> Iterator[Event]:
        """Run operation by operation, each when the caller requests the next."""
        engine, known = self._engine
        return engine.trace({**known, **inputs})
