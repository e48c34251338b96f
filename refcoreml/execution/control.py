"""Control flow: a choice between regions, a loop, and what leaves a round of it.

What makes a condition true, and which values can be one, is the dialect's, see `Decision`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any, Generic, TypeVar

import numpy as np

from refcoreml.errors import CallbackError, InputError, InvalidModelError
from refcoreml.execution.steps import Control, Enter, Inferring, Region, Step, Types, Written, types_of, walk
from refcoreml.ops.base import Op, bad_input, require
from refcoreml.types import TensorType, ValueType

#: The most rounds that a loop may run before it is taken for one that never ends.
LOOP_LIMIT = 100_000

Decided = TypeVar("Decided")


@dataclass(frozen=True)
class Decision(Generic[Decided]):
    """How a value decides: whether something is done, or how often.

    Attributes:
        what: the value, for errors.
        read: what its only number means.
    """

    what: str
    read: Callable[[Any], Decided]

    def check(self, found: ValueType | None) -> None:
        """Refuse types of values that decide nothing; None stands for any."""
        shape = found.shape if isinstance(found, TensorType) else ()
        require(math.prod(shape) == 1, f"{self.what} must be a single number, got the shape {shape}")

    def of(self, value: Any) -> Decided:
        """Return what a value decides."""
        self.check(TensorType.of(value))
        number = np.reshape(value, -1)[0].item()
        if number != number:
            bad_input(f"{self.what} must be a single number, got NaN")
        return self.read(number)


@dataclass(frozen=True)
class Choice(Control):
    """Runs the first region if the input decides so, else the second; the results are those of the region that ran."""

    decision: Decision[bool]
    regions: tuple[Region, Region]  # type: ignore[misc]

    def flow(self, given: Sequence[Any], enter: Enter) -> Generator[Any, None, Sequence[Any]]:
        """Run one of the regions."""
        chosen, other = self.regions
        return (yield from enter(chosen if self.decision.of(given[0]) else other, ()))

    def flow_types(
        self, given: Sequence[ValueType | None], types: Types, inferring: Inferring
    ) -> Sequence[ValueType | None]:
        """Return what is known whichever region runs; where types do not fit one of them, the other one counts."""
        self.decision.check(given[0])
        ends: list[tuple[Types, list[ValueType | None]]] = []
        failures: list[InvalidModelError | CallbackError | _Left] = []
        for region in self.regions:
            end = types.new_child()
            try:
                ends.append((end, inferring.region(region, (), end)))
            except (InvalidModelError, CallbackError, _Left) as failure:
                failures.append(failure)
        if not ends:
            raise next((failure for failure in failures if isinstance(failure, _Left)), failures[0])
        (one, results), (other, others) = ends[0], ends[-1]
        for name in {*one.maps[0], *other.maps[0]}:
            types[name] = _common(one.get(name), other.get(name))
        return [_common(*both) for both in zip(results, others, strict=True)]


@dataclass(frozen=True)
class Checked(Control):
    """Control flow, the types of whose results a dialect checks.

    Attributes:
        op: the control flow.
        check: called with the types, None where nothing is known; raises `InvalidModelError`.
    """

    op: Control
    check: Callable[[Sequence[ValueType | None]], None]

    @property
    def regions(self) -> tuple[Region, ...]:  # type: ignore[override]
        """As the control flow."""
        return self.op.regions

    def flow(self, given: Sequence[Any], enter: Enter) -> Generator[Any, None, Sequence[Any]]:
        """Run."""
        results = yield from self.op.flow(given, enter)
        self.check(types_of(results))
        return results

    def flow_types(
        self, given: Sequence[ValueType | None], types: Types, inferring: Inferring
    ) -> Sequence[ValueType | None]:
        """Infer."""
        found = self.op.flow_types(given, types, inferring)
        self.check(found)
        return found


def _common(one: ValueType | None, other: ValueType | None) -> ValueType | None:
    return one if one == other else None


@dataclass(frozen=True)
class Loop(Control):
    """Runs a body again and again, on values that each round hands on to the next one.

    Before each round the condition, if there is one, decides whether there is to be another; it is given what the body
    will be given. Results are what the last round handed on.

    Attributes:
        body: its results are what it hands on.
        condition: its first result decides.
        decision: how it does.
        rounds: how the first input says how many rounds there are at most, if it does; the other inputs are what the
            first round is given.
        most: how many rounds there are at most, if no input says so; None for any number.
    """

    body: Region
    condition: Region | None = None
    decision: Decision[bool] | None = None
    rounds: Decision[int] | None = None
    most: int | None = None

    @cached_property
    def _repeats(self) -> bool:
        """Whether a round that hands on what it was given would do so for ever."""
        regions = self.regions
        return all(region.closed for region in regions) and all(
            step.op.repeatable for region in regions for step in walk(region.steps)
        )

    @property
    def regions(self) -> tuple[Region, ...]:  # type: ignore[override]
        """The condition, if there is one, and the body."""
        return (self.body,) if self.condition is None else (self.condition, self.body)

    def _first(self, given: Sequence[Any]) -> Sequence[Any]:
        """Return what the first round is given."""
        return given if self.rounds is None else given[1:]

    def flow(self, given: Sequence[Any], enter: Enter) -> Generator[Any, None, Sequence[Any]]:
        """Run the rounds."""
        most = self.most if self.rounds is None else self.rounds.of(given[0])
        values = self._first(given)
        del given
        for done in count():
            if self.condition is not None and self.decision is not None:
                decided = yield from enter(self.condition, values)
                if not self.decision.of(decided[0]):
                    return values
            if most is not None and done >= most:
                return values
            if done >= LOOP_LIMIT:
                raise _endless(f"still runs after {LOOP_LIMIT} rounds, taken for a loop without end")
            # Looked at after 1, 2, 4, 8 rounds and so on, so that it takes no time.
            before = _bits(values) if most is None and not (done + 1) & done and self._repeats else None
            try:
                values = yield from enter(self.body, values)
            except BreakSignal:
                return values
            except ContinueSignal:
                continue
            if before is not None and before == _bits(values):
                raise _endless("hands on what it was given, and so would never end")
        raise AssertionError  # count() has no end

    def flow_types(
        self, given: Sequence[ValueType | None], types: Types, inferring: Inferring
    ) -> Sequence[ValueType | None]:
        """Return what is known after any number of rounds: looks forget types that a round changes, until none does.

        The second look that still finds some forgets all that can change, so that nested loops are looked at a few
        times each.
        """
        if self.rounds is not None:
            self.rounds.check(given[0])
        first = self._first(given)
        if id(self) not in inferring.notes:
            inferring.notes[id(self)] = _known(self, inferring)
        known: _Known = inferring.notes[id(self)]
        while True:
            handed = [
                None if name in known.forgotten else found for name, found in zip(self.body.inputs, first, strict=True)
            ]
            start = types.new_child(dict.fromkeys(known.forgotten - set(self.body.inputs)))
            end, results, written = self._look(handed, start, inferring)
            changed = set[str]()
            if results is not None:
                changed |= known.changed(types, {name: {end[name]} for name in (*start.maps[0], *end.maps[0])})
                handing = zip(self.body.inputs, handed, results, strict=True)
                changed |= {name for name, before, after in handing if before not in (None, after)}
            if known.leaves:
                changed |= known.changed(types, written)
            if not changed:
                break
            known.forgotten |= known.changing if known.looks else changed
            known.looks += 1
        left = _left(types, written) if known.leaves else {}
        for name, found in end.maps[0].items():
            if name not in start:
                types[name] = None if results is None else found
        types.update(start.maps[0])
        types.update(left)
        return handed

    def _look(
        self, handed: Sequence[ValueType | None], start: Types, inferring: Inferring
    ) -> tuple[Types, Sequence[ValueType | None] | None, Written]:
        """Infer one round; return what is known after it, what it hands on, and all types that it writes.

        It hands nothing on, None, if no round comes to its end.
        """
        end, results = start.new_child(), None
        with inferring.writing() as written:
            if self.condition is not None and self.decision is not None:  # certain to run
                self.decision.check(inferring.region(self.condition, handed, start)[0])
            with suppress(InvalidModelError, CallbackError, _Left):
                results = inferring.region(self.body, handed, end)
        return end, results, written


def _left(before: Types, written: Written) -> dict[str, ValueType | None]:
    """Return what is known after rounds that may end at any step: types that are the same wherever that is."""
    possible = {name: found | {before[name]} if name in before else found for name, found in written.items()}
    return {name: next(iter(found)) if len(found) == 1 else None for name, found in possible.items()}


def _endless(problem: str) -> InputError:
    return InputError(problem, remedy="Look at what decides whether there is another round")


#: Values of more bytes are not compared, nor kept for it.
_MOST_BITS = 1 << 16


def _bits(values: Sequence[Any]) -> list[Any] | None:
    """Return what distinguishes values that are small arrays from others; None for other values."""
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    if len(arrays) < len(values) or sum(array.nbytes for array in arrays) > _MOST_BITS:
        return None
    return [(array.dtype, array.shape, array.tobytes()) for array in arrays]


@dataclass
class _Known:
    """What is known about a loop, however often it is looked at.

    Attributes:
        changing: values of its surroundings that its regions may write again, and what its rounds hand on.
        leaves: whether a round may end before its last step, perhaps after any of its steps.
        forgotten: those of the changing ones whose type its rounds change.
        looks: how often values had to be forgotten.
    """

    changing: set[str]
    leaves: bool
    forgotten: set[str] = field(default_factory=set)
    looks: int = 0

    def changed(self, before: Types, after: Mapping[str, set[ValueType | None]]) -> set[str]:
        """Return the values that were known and may have another type now."""
        return {
            name
            for name, found in after.items()
            if name not in self.forgotten and before.get(name) is not None and found != {before[name]}
        }


def _known(loop: Loop, inferring: Inferring) -> _Known:
    """Return what is to be known of a loop before it is looked at."""
    inner = [step for region in loop.regions for step in walk(region.steps)]
    rewritten = {name for step in inner for name in step.outputs if name in inferring.rewritten}
    leaves = any(isinstance(step.op, Leave) for step in inner)
    return _Known(rewritten | set(loop.body.inputs), leaves)


class _Left(Exception):  # noqa: N818 (a signal, no error)
    """What follows is never reached: a round of a loop ends here."""


class BreakSignal(Exception):  # noqa: N818 (a signal, no error)
    """Leaves the innermost loop."""


class ContinueSignal(Exception):  # noqa: N818 (a signal, no error)
    """Goes to the next round of the innermost loop."""


@dataclass(frozen=True)
class Leave(Control):
    """Ends the round of the innermost loop, by one of the two signals."""

    signal: type[BreakSignal | ContinueSignal]

    def flow(self, given: Sequence[Any], enter: Enter) -> Generator[Any, None, Sequence[Any]]:
        """End the round."""
        raise self.signal
        yield

    def flow_types(
        self, given: Sequence[ValueType | None], types: Types, inferring: Inferring
    ) -> Sequence[ValueType | None]:
        """Know nothing, since it is never reached."""
        raise _Left


def flow_of(step: Step) -> Op:
    """Return the control flow of a step, without what a dialect checks of it; any other operation as it is."""
    return step.op.op if isinstance(step.op, Checked) else step.op


def bound_names(step: Step) -> Iterator[tuple[str, str]]:
    """Yield the names that control flow binds, each with the name of a value that may be bound to it."""
    op = flow_of(step)
    if isinstance(op, Choice):
        for region in op.regions:
            yield from zip(step.outputs, region.outputs, strict=False)
    elif isinstance(op, Loop):
        first = step.inputs if op.rounds is None else step.inputs[1:]
        for names in (step.outputs, *(region.inputs for region in op.regions)):
            for sources in (first, op.body.outputs):
                yield from zip(names, sources, strict=False)
