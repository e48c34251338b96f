"""ML Programs as models: features in, features out, a function of the program in between."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property, partial
from typing import Any

from refcoreml.errors import InputError, InvalidModelError, LimitError, UsageError, found_by
from refcoreml.evaluators.base import Evaluator, Programmed, Settings, Trace, blaming_inputs, shapes_of_inputs
from refcoreml.evaluators.state import State
from refcoreml.execution.engine import Observer
from refcoreml.execution.steps import Step
from refcoreml.mil.alike import adopted, source
from refcoreml.mil.interface import Interface
from refcoreml.mil.precision import PRECISIONS
from refcoreml.mil.program import Program
from refcoreml.mil.values import StateCell
from refcoreml.spec import schema
from refcoreml.spec.functions import find_function
from refcoreml.types import Shape, TensorType


class ProgramEvaluator(Evaluator):
    """Runs a function of a model of type ``mlProgram``.

    Operations are checked, and shapes inferred from the declared ones, before weights are decoded, which the first
    prediction does.
    """

    coupled_shapes = True

    def __init__(self, spec: schema.Model, settings: Settings) -> None:
        if settings.precision not in PRECISIONS:
            raise UsageError(
                f"precision {settings.precision!r} is for neural networks alone",
                where="mlProgram",
                remedy=f"ML Programs take {', '.join(PRECISIONS)}; they say themselves what is of half precision",
            )
        problems = settings.problems
        with found_by("program.function"):
            found = find_function(spec, settings.function)
            self.program = Program(
                spec.mlProgram,
                found.name,
                settings.weight_files,
                precision=PRECISIONS[settings.precision],
                strict=settings.strict,
                budget=settings.budget,
                custom_layers=settings.custom_layers,
                problems=problems,
            )
        self.interface = Interface(found.description, self.program, problems)
        self.programmed = Programmed(self.interface, self.program)
        self.states = tuple(self.interface.cells())
        with problems.part("operation.constants") as part:
            self.program.check(problems)
        # A first look at the shapes finds what does not fit before anybody predicts.
        if self.interface.complete and not self.interface.open_shapes and not part.failed:
            with problems.part("types"):
                self.shapes()

    def make_state(self, owner: object) -> State:
        """Return arrays of zeros for the function's states."""
        return State(self.interface.states, self.interface.cells(), self.interface.hold, owner)

    def predict(self, inputs: Mapping[str, Any], observe: Observer | None = None) -> dict[str, Any]:
        """Compute the outputs by feature name from checked inputs and the cells of states."""
        values = self._values(inputs)
        with self._blaming_inputs(values):
            results = self.program.run(values, observe)
        return self.interface.from_results(results)

    def trace(self, inputs: Mapping[str, Any]) -> Trace:
        """Compute operation by operation."""
        values = self._values(inputs)
        with self._blaming_inputs(values):
            events = self.program.trace(values)
        made = yield from events
        return partial(self._outputs, made)

    def _outputs(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return self.interface.from_results({name: values[value.name] for name, value in self.program.results.items()})

    def _values(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        cells = {name: value for name, value in inputs.items() if isinstance(value, StateCell)}
        values = self.interface.to_values(inputs)
        missing = [name for name in self.program.inputs if name not in values and name not in cells]
        if missing:
            raise InputError(
                f"the model has states, {', '.join(map(repr, missing))}, and predicts with them only",
                remedy="Make one, state = model.make_state(), and pass it with the inputs: state=state",
            )
        return {**values, **cells}

    def shapes(self, inputs: Mapping[str, Shape] | None = None) -> dict[str, Shape]:
        """Return the shapes of the values for those of the inputs, by default the declared ones; {} if any is open.

        Those of constants are left out.
        """
        types = self.interface.types(inputs or {})
        if types is None:
            return {}
        try:
            found, constants = self.program.types(types), self.program.constants
        except InvalidModelError as error:
            if inputs and not isinstance(error, LimitError):
                raise shapes_of_inputs(error) from error
            raise
        return {
            name: known.shape
            for name, known in found.items()
            if isinstance(known, TensorType) and name not in constants
        }

    @property
    def steps(self) -> Sequence[Step]:  # type: ignore[override]
        """The operations of the function, but for constants."""
        return self.program.engine.steps

    @property
    def constants(self) -> Collection[str]:  # type: ignore[override]
        """The constants that operations take as values."""
        return self.program.constants

    def source_of(self, step: Step) -> object:
        """Return what the operation is, with its constants."""
        if step.where not in self._sources:
            self._sources[step.where] = source(self.program.operations[step.where], self.program.function.opset)
        return self._sources[step.where]

    def adopt(self, step: Step, values: Sequence[Any], own: Sequence[Any]) -> Sequence[Any]:
        """Return values as the program holds them; constants are its own."""
        given = [
            mine if name in self.constants else value
            for name, value, mine in zip(step.inputs, values, own, strict=True)
        ]
        return adopted(step, given, own, self.program.precision)

    @cached_property
    def _sources(self) -> dict[str, object]:
        """What `source_of` has found; to look at all weights again for each few samples would take long."""
        return {}

    def _blaming_inputs(self, values: Mapping[str, Any]) -> AbstractContextManager[None]:
        """Blame the inputs for shapes that do not fit where the model declares no single shape; load checks others."""

        def look() -> None:
            self.shapes({name: value.shape for name, value in values.items() if not isinstance(value, StateCell)})

        return blaming_inputs(self.interface.open_shapes, look)
