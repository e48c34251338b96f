"""The engine: runs steps in order over a dictionary of named values, and shows each of them to whoever looks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np

from refcoreml.errors import InputError, InvalidModelError, LimitError, UsageError, at
from refcoreml.execution.blame import Blame, of_inputs
from refcoreml.execution.fusion import fuse
from refcoreml.execution.inference import Inference, infer
from refcoreml.execution.limits import Budget, Meter
from refcoreml.execution.steps import (
    MOST_TYPES,
    Control,
    Forecast,
    Key,
    Region,
    Step,
    key_of,
    keys_of,
    typed,
    types_of,
    with_last_uses,
)
from refcoreml.types import ValueType

#: A value, or whatever stands for it.
Value = TypeVar("Value")


class Observer(Protocol):
    """Is shown every step as it has run: for traces, statistics, calibration, comparison."""

    def __call__(self, step: Step, inputs: Sequence[Any], outputs: Sequence[Any], /) -> None:
        """Look at a step, in order of execution. The arrays are the engine's own: look, do not write."""


#: Replaces what a step made before it gets its names, to disturb values or to start again from others: called with the
#: step, its inputs and its outputs as they are kept; returns outputs of the same types.
Change: TypeAlias = Callable[[Step, Sequence[Any], tuple[Any, ...]], tuple[Any, ...]]


#: How often control flow may run regions in one prediction. Nested loops multiply.
ROUND_LIMIT = 1 << 16


class Event(NamedTuple):
    """A step as it ran.

    Attributes:
        step: the step.
        inputs, outputs: its values.
        computed: the outputs before they were brought into the form in which they are kept; else the same.
    """

    step: Step
    inputs: Sequence[Any]
    outputs: tuple[Any, ...]
    computed: tuple[Any, ...]


#: Steps as they run; at the end, the outputs that exist.
Trace: TypeAlias = Generator[Event, None, dict[str, Any]]


class Engine:
    """Steps, ready to run on values. Immutable; several threads may run it at once.

    Attributes:
        steps: the steps, each with its last uses.
        inputs, outputs: names of the values that `run` is given and returns.
        where: their place in the model, for errors.
        constants: values that are the same in each run, by name.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        inputs: Iterable[str],
        outputs: Iterable[str],
        budget: Budget,
        where: str,
        constants: Mapping[str, Any] | None = None,
    ) -> None:
        self.inputs, self.outputs, self.where = tuple(inputs), tuple(outputs), where
        self.constants = constants or {}
        self.steps = with_last_uses(steps, self.outputs)
        self._budget = budget
        self._blame = Blame(self.steps, self.inputs)
        self._inferred = lru_cache(maxsize=MOST_TYPES)(self._infer)
        self._planned = lru_cache(maxsize=MOST_TYPES)(self._plan)

    def run(self, inputs: Mapping[str, Any], observe: Observer | None = None) -> dict[str, Any]:
        """Compute the outputs from the inputs.

        With an observer every step runs on its own; without one, elementwise ones may be fused into the step before,
        which changes no bit of the result, and no refusal.
        """
        keys = self._keys(inputs)
        run = self._start(keys, inputs)
        if observe is None:
            run.execute(self._planned(keys))
        else:
            for event in run.walk(self.steps):
                observe(event.step, event.inputs, event.outputs)
        return {name: existing(run.values, name, self.where) for name in self.outputs}

    def trace(self, inputs: Mapping[str, Any], change: Change | None = None) -> Trace:
        """Run step by step, each when the caller requests the next, with the outputs of steps changed if requested."""
        return self._traced(self._start(self._keys(inputs), inputs, change))

    def _traced(self, run: _Run) -> Trace:
        yield from run.walk(self.steps)
        return {name: run.values[name] for name in self.outputs if name in run.values}

    def types(self, inputs: Mapping[str, ValueType]) -> dict[str, ValueType]:
        """Return the type of every value, computed from those of the inputs without running a step.

        Values whose type depends on values, or changes while a loop runs, are missing, and so are those computed from
        them.

        Raises:
            InvalidModelError: types do not fit a step.
            LimitError: a run would take more memory or time than the limits allow.
        """
        return dict(self._inferred(tuple(key_of(inputs[name]) for name in self.inputs)).types)

    def plan(self, inputs: Mapping[str, ValueType]) -> tuple[Step, ...]:
        """Return the steps as they run on inputs of some types: some of them as one."""
        return self._planned(tuple(key_of(inputs[name]) for name in self.inputs)).steps

    def _keys(self, inputs: Mapping[str, Any]) -> tuple[Key, ...]:
        try:
            return keys_of([inputs[name] for name in self.inputs])
        except (KeyError, AttributeError):
            raise self._unusable(inputs) from None

    def _start(self, keys: tuple[Key, ...], inputs: Mapping[str, Any], change: Change | None = None) -> _Run:
        """Return a run of which all is checked that can be checked in advance."""
        complete = self._inferred(keys).complete
        values = {**self.constants, **inputs}
        return _Run(values, None if complete else Meter(self._budget), self._blame, self.where, change)

    def _unusable(self, inputs: Mapping[str, Any]) -> UsageError:
        """Return what is wrong with inputs that are missing, or neither arrays nor values with a type."""
        for name in self.inputs:
            if name not in inputs:
                return UsageError(f"input {name!r} is missing", where=self.where)
            value = inputs[name]
            if not isinstance(value, (np.ndarray, np.generic)) and not hasattr(value, "type"):
                got = type(value).__name__
                return UsageError(
                    f"input {name!r} is {got}, expected an array or a value with a type", where=self.where
                )
        raise AssertionError

    def _infer(self, keys: tuple[Key, ...]) -> Inference:
        named = dict(zip(self.inputs, map(typed, keys), strict=True))
        named.update(zip(self.constants, types_of(list(self.constants.values())), strict=True))
        meter = Meter(self._budget)
        meter.hold(named, [found.nbytes for found in named.values()], self.where)
        return infer(self.steps, named, meter)

    def _plan(self, keys: tuple[Key, ...]) -> _Plan:
        found = self._inferred(keys)
        steps = fuse(self.steps, (*self.inputs, *self.constants), self.outputs, found.types)
        direct = steps if found.complete else ()
        calls = [_Call(step, step.direct, step.inputs, step.outputs, step.last_uses) for step in direct]
        return _Plan(steps, calls)


class _Call(NamedTuple):
    """A step, and what a run takes of it: a call of a function, and names."""

    step: Step
    run: Callable[..., Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    last_uses: tuple[str, ...]


class _Plan(NamedTuple):
    """What is run on inputs of some types.

    Attributes:
        steps: some of them as one.
        calls: the same, if all types are known.
    """

    steps: tuple[Step, ...]
    calls: Sequence[_Call]


def existing(values: Mapping[str, Value], name: str, where: str) -> Value:
    """Return a value, or what is known of it; raise `InputError` if its step never ran."""
    try:
        return values[name]
    except KeyError:
        raise InputError(f"value {name!r} does not exist, because no round of its loop was run", where=where) from None


class _Run:
    """One run.

    Attributes:
        values: those that exist, by name.
    """

    def __init__(
        self, values: dict[str, Any], meter: Meter | None, blame: Blame, where: str, change: Change | None = None
    ) -> None:
        self.values, self._meter, self._blame, self._change = values, meter, blame, change
        self._rounds = iter(range(ROUND_LIMIT))
        if meter is not None:
            self._hold(values, values.values(), where)

    def execute(self, plan: _Plan) -> None:
        """Run steps that nobody looks at."""
        if self._meter is None:
            with np.errstate(all="ignore"):
                self._execute_checked(plan.calls)
        else:
            for _ in self.walk(plan.steps):
                pass

    def _execute_checked(self, calls: Sequence[_Call]) -> None:
        """Run steps of which all has been checked; so none of them is control flow.

        Small operations take hardly longer than this loop, which therefore does nothing twice and calls little.
        """
        values = self.values
        for step, run, inputs, outputs, last_uses in calls:
            arguments = [values[name] for name in inputs]
            try:
                results = run(*arguments)
            except Exception as error:
                step.blame(error, arguments)
                raise
            if isinstance(results, tuple):
                values.update(zip(outputs, results, strict=True))
            else:
                values[outputs[0]] = results
            for name in last_uses:
                values.pop(name, None)

    def walk(self, steps: Sequence[Step]) -> Iterator[Event]:
        """Run some steps, each when the caller requests the next."""
        for step in steps:
            arguments = [existing(self.values, name, step.where) for name in step.inputs]
            if isinstance(step.op, Control):
                yield from self._flow(step, step.op, arguments)
            else:
                computed = self._compute(step, arguments)
                results = step.stored(computed)
                if self._change is not None:
                    results = self._change(step, arguments, results)
                yield Event(step, arguments, results, computed)
                del computed
                self.values.update(zip(step.outputs, results, strict=True))
            self._free(step.last_uses)

    def _flow(self, step: Step, op: Control, arguments: list[Any]) -> Iterator[Event]:
        with at(step.where):
            results = yield from op.flow(arguments, partial(self._enter, step))
        if step.outputs:
            self._bind(step.outputs, results, step.where)

    def _enter(self, step: Step, region: Region, given: Sequence[Any]) -> Generator[Event, None, list[Any]]:
        """Run a region of a step."""
        if region.steps and next(self._rounds, None) is None:
            raise InputError(f"loops have run {ROUND_LIMIT} times in all, taken for endless", where=step.where)
        if region.inputs:
            self._bind(region.inputs, given, step.where)
        yield from self.walk(region.steps)
        results = [existing(self.values, name, step.where) for name in region.outputs]
        if region.closed:
            self._free(region.writes)
        return results

    def _bind(self, names: Sequence[str], values: Sequence[Any], where: str) -> None:
        """Give names to values that exist already."""
        self.values.update(zip(names, values, strict=True))
        if self._meter is not None:
            self._hold(names, values, where)

    def _hold(self, names: Iterable[str], values: Iterable[Any], where: str) -> None:
        assert self._meter is not None
        self._meter.hold(names, [found.nbytes for found in types_of(list(values))], where)

    def _free(self, names: Iterable[str]) -> None:
        for name in names:
            self.values.pop(name, None)
        if self._meter is not None:
            self._meter.free(names)

    def _compute(self, step: Step, arguments: Sequence[Any]) -> tuple[Any, ...]:
        """Return the outputs of a step that is no control flow.

        Types are checked here, and what the step takes is counted, unless all that was done in advance: a type may
        depend on values, on the region that was chosen, and on how often a loop ran.
        """
        if self._meter is None:
            return step.run(arguments)
        first = step.parts[0] if step.parts else step
        given = arguments[: len(first.inputs)]
        forecast = self._checked(first, given)
        if forecast is not None:
            self._count(self._meter, first, forecast)
        results = step.run(arguments)
        if forecast is None:
            self._count(self._meter, first, first.made(types_of(given), types_of(results)))
        if step.parts:
            self._count_parts(self._meter, step.parts, *types_of(results))
        return results

    def _checked(self, step: Step, given: Sequence[Any]) -> Forecast | None:
        """Return the forecast; where there is none, refuse values that need too much."""
        try:
            forecast = step.forecast_of(given)
        except InvalidModelError as error:
            if not isinstance(error, LimitError) and self._blame.follows(step):
                raise of_inputs(error, ", with model inputs of these values") from error
            raise
        if forecast is None:
            try:
                step.check_values(given)
            except LimitError as error:
                if self._blame.chosen(step, given):
                    raise of_inputs(error) from error
                raise
            self._blame.note(step, given)
        return forecast

    def _count(self, meter: Meter, step: Step, forecast: Forecast) -> None:
        meter.spend(forecast.work, step.where)
        meter.hold(step.outputs, forecast.sizes, step.where)

    def _count_parts(self, meter: Meter, parts: Sequence[Step], found: ValueType) -> None:
        """Count all but the first as if each had run by itself; their values are all of one type."""
        for before, part in pairwise(parts):
            meter.free(before.last_uses)
            forecast = part.forecast((found,) * len(part.inputs))
            assert forecast is not None
            self._count(meter, part, forecast)
        meter.free(parts[-1].last_uses)
