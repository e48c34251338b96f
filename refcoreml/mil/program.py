"""A function of a program, ready to run: `Program`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from refcoreml.errors import InvalidModelError, at
from refcoreml.execution.engine import Change, Engine, Observer, Trace
from refcoreml.execution.limits import Allowed, Budget
from refcoreml.execution.steps import Step
from refcoreml.mil import operations as _operations  # noqa: F401 (importing them fills the table)
from refcoreml.mil.node import Replace, Value
from refcoreml.mil.operations.custom import check_code
from refcoreml.mil.precision import PRECISIONS, Precision
from refcoreml.mil.prepare import Preparer, call_of, fold, is_large, require_allowed, with_held_types
from refcoreml.mil.registry import opset_number
from refcoreml.mil.resolve import Function, Operation, resolve, walk
from refcoreml.ops.base import Op
from refcoreml.problems import RAISED, Problems
from refcoreml.spec import schema
from refcoreml.spec.blobs import BlobFiles
from refcoreml.types import ValueType

__all__ = ["Program"]


class Program:
    """A function of a program. Several threads may run it at once.

    Weights are decoded when it first runs. `check` checks before what can be checked without them.

    Attributes:
        function: the function with names resolved.
        inputs: by name what it is given.
        results: by name what it returns.
        precision: how floats are held.
        where: its place in the model.
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
        custom_layers: Mapping[str, Callable[..., Any]] | None = None,
        problems: Problems = RAISED,
    ) -> None:
        self.precision, self._budget = precision, budget or Budget()
        self.where = f"mlProgram.functions[{name!r}]"
        opset = opset_number(program.functions[name].opset, self.where) if name in program.functions else 0
        allowed = Allowed(self._budget.limits)
        self._preparer = Preparer(opset, precision, strict, allowed, custom_layers=custom_layers or {})
        self.function: Function = resolve(program, name, files, self._fold, problems)
        self.inputs: dict[str, Value] = {value.name: value for value in self.function.inputs}
        self.results = dict(zip(self.function.results, self.function.body.results, strict=True))
        if len(self.results) < len(self.function.results):
            with problems.part("program.results"):
                raise InvalidModelError("returns a value twice", where=self.where)
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._sketch: Engine | None = None

    def _fold(self, operation: Operation, opset: int) -> tuple[Any, ...]:
        return fold(operation, self._preparer)

    # ---- Before a run ----

    def check(self, problems: Problems = RAISED) -> None:
        """Check all operations, and how much memory the weights will take; decode no large ones.

        Args:
            problems: where checks report.

        Raises:
            InvalidModelError: an operation breaks a rule of the specification.
            LimitError: the weights are larger than the budget allows.
        """
        with self._lock:
            if self._sketch is None and self._engine is None:
                for name, value in self.inputs.items():
                    with problems.part("program.inputs", self.where), at(self.where):
                        require_allowed(value, f"the input {name!r} has", self._preparer.allowed)
                self._sketch = self._make(sketch=True, problems=problems)
                self._count_weights(self._sketch)

    def _make(self, *, sketch: bool, problems: Problems = RAISED) -> Engine:
        preparer = replace(self._preparer, sketch=sketch, constants={}, problems=problems)
        if problems is RAISED:  # elsewhere each is named at its place
            custom = [each for each in walk(self.function.body) if each.kind == "custom_layer"]
            check_code([preparer.node(each, [value.type for value in each.outputs]) for each in custom])
        with at(self.where):
            steps = preparer.steps(self.function.body)
        known = {name: self._held(value) for name, value in preparer.constants.items()}
        outputs = dict.fromkeys(value.name for value in self.function.body.results)
        return Engine(steps, self.inputs, outputs, self._budget, self.where, known)

    def _held(self, value: Value) -> Any:
        return self.precision.hold(value.known) if value.tensor is not None else value.known

    def _count_weights(self, engine: Engine) -> None:
        """Count what operations hold of large constants; those that they take at run time the engine counts."""
        seen = set(engine.constants)
        for operation in walk(self.function.body):
            for value in (value for values in operation.parameters.values() for value in values if is_large(value)):
                tensor = value.tensor.tensor if value.tensor is not None else None
                if tensor is not None and value.name not in seen:
                    seen.add(value.name)
                    held = tensor.with_dtype(self.precision.dtype(tensor.dtype))
                    self._budget.decode(held.nbytes, operation.where)

    def types(self, inputs: Mapping[str, ValueType]) -> dict[str, ValueType]:
        """Return the types of all values, as they are held, from those of the inputs; see `Engine.types`."""
        return self._checked.types(inputs)

    @property
    def constants(self) -> Collection[str]:
        """The names of the constants that operations take at run time."""
        return self._checked.constants.keys()

    @property
    def _checked(self) -> Engine:
        """Return what knows the types: what runs, or a sketch of it."""
        self.check()
        engine = self._engine or self._sketch
        assert engine is not None
        return engine

    @property
    def engine(self) -> Engine:
        """Return what runs it, prepared at the first use."""
        if self._engine is None:
            self.check()
            with self._lock:
                if self._engine is None:
                    self._engine = self._make(sketch=False)
                    self._sketch = None
        return self._engine

    # ---- Running ----

    def run(self, inputs: Mapping[str, Any], observe: Observer | None = None) -> dict[str, Any]:
        """Compute the results by name from the inputs, as they are held."""
        made = self.engine.run(inputs, observe)
        return {name: made[value.name] for name, value in self.results.items()}

    def trace(self, inputs: Mapping[str, Any], change: Change | None = None) -> Trace:
        """Run operation by operation, each when the caller requests the next, with outputs changed if requested."""
        return self.engine.trace(inputs, change)

    # ---- Operations ----

    @cached_property
    def operations(self) -> Mapping[str, Operation]:
        """The operations by their places, see `Step.where`."""
        return {operation.where: operation for operation in walk(self.function.body)}

    def operation(self, step: Step, replaced: Replace) -> Op:
        """Prepare the operation of a step again, with other numbers in place of the constants that it computes with."""
        operation = self.operations[step.where]
        node = self._preparer.node(operation, [value.type for value in operation.outputs])
        return with_held_types(call_of(replace(node, replaced=replaced)).op, self.precision)
