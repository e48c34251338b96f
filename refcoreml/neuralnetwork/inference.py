"""The shapes of all blobs from those of the inputs, without arithmetic, through branches and loops."""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from refcoreml.errors import CallbackError, InvalidModelError, RefCoreMLError
from refcoreml.execution.limits import Meter
from refcoreml.neuralnetwork.steps import Step, inner_steps, writes
from refcoreml.types import Shape

#: Shapes by blob, None where they are not known. Each branch and each loop has a map of its own for what it changes.
_Shapes = ChainMap[str, Shape | None]


@dataclass(frozen=True)
class Inference:
    """The shapes known in the end; ``complete`` if a run can meet no others, so that nothing is left to be checked."""

    shapes: dict[str, Shape]
    complete: bool


def infer(steps: Sequence[Step], inputs: Mapping[str, Shape], meter: Meter) -> Inference:
    """The shapes after all steps.

    The meter gets what is certain to happen: known shapes outside of branches and loops.

    Raises:
        InvalidModelError: shapes do not fit a layer that is certain to run.
        LimitError: a blob, or all of them together, would be too large.
        CallbackError: code of a custom layer fails.
    """
    shapes: _Shapes = ChainMap(dict(inputs))
    walk = _Walk()
    try:
        for step in steps:
            walk.step(step, shapes, meter)
            meter.free(step.last_uses)
    except RefCoreMLError as error:
        error.shapes = _known(shapes)
        raise
    return Inference(_known(shapes), walk.complete)


def _known(shapes: _Shapes) -> dict[str, Shape]:
    return {name: shape for name, shape in shapes.items() if shape is not None}


def _check_decision(step: Step, name: str, shapes: _Shapes) -> None:
    """Refuse a blob that decides about a branch or loop and is no single number."""
    shape = shapes.get(name)
    if shape is not None and math.prod(shape) != 1:
        step.node.invalid(f"blob {name!r} must be a single number, got the shape {shape}")


class _Left(Exception):  # noqa: N818 (a signal, no error)
    """What follows is never reached: a round of a loop ends here."""


@dataclass
class _Loop:
    """What is known about a loop, however often it is looked at.

    Attributes:
        copied: blobs that its networks may write again.
        leaves: whether a round may end before its last layer.
        forgotten: blobs whose shape its rounds change.
        looks: how often blobs had to be forgotten.
    """

    copied: set[str]
    leaves: bool
    forgotten: set[str] = field(default_factory=set)
    looks: int = 0


class _Walk:
    """Goes through a network. What it learns about loops it keeps, since a loop in a loop is looked at many times."""

    def __init__(self) -> None:
        self.complete = True
        self._loops: dict[int, _Loop] = {}

    def steps(self, steps: Sequence[Step], shapes: _Shapes) -> None:
        for step in steps:
            self.step(step, shapes)

    def step(self, step: Step, shapes: _Shapes, meter: Meter | None = None) -> None:
        """Note the shapes of a step's outputs."""
        if step.op.control is not None:
            self.complete = False
            for name in step.inputs:
                _check_decision(step, name, shapes)
            if meter is not None:
                meter.free(writes(step))  # those that exist are written again, perhaps with another size
            if step.kind == "branch":
                self._branch(step, shapes)
            elif step.kind == "loop":
                self._loop(step, shapes)
            else:
                raise _Left
            return
        given = tuple(shape for name in step.inputs if (shape := shapes.get(name)) is not None)
        forecast = step.forecast(given) if len(given) == len(step.inputs) else None
        if forecast is None:
            self.complete = False
            shapes.update(dict.fromkeys(step.outputs))
            if meter is not None:
                meter.free(step.outputs)
            return
        shapes.update(zip(step.outputs, forecast.shapes, strict=True))
        if meter is not None:
            meter.spend(forecast.work, step.node.where)
            meter.hold(step.outputs, forecast.sizes, step.node.where)

    def _branch(self, step: Step, shapes: _Shapes) -> None:
        """What is known whichever network runs; where one fails because its shapes do not fit, the other one counts."""
        ends: list[_Shapes] = []
        failures: list[InvalidModelError | CallbackError | _Left] = []
        for name in ("ifBranch", "elseBranch"):
            end = shapes.new_child()
            try:
                self.steps(step.bodies.get(name, ()), end)
            except (InvalidModelError, CallbackError, _Left) as failure:
                failures.append(failure)
            else:
                ends.append(end)
        if not ends:
            raise next((failure for failure in failures if isinstance(failure, _Left)), failures[0])
        changed = {name for end in ends for name in end.maps[0]}
        for name in changed:
            shape = ends[0].get(name)
            shapes[name] = shape if ends[-1].get(name) == shape else None

    def _loop(self, step: Step, shapes: _Shapes) -> None:
        """What is known after any number of rounds: each look forgets the shapes that a round changes, until none does.

        The second look that still finds some forgets all that can change, so that nested loops are looked at a few
        times each.
        """
        loop = self._loops.get(id(step))
        if loop is None:
            loop = self._loops[id(step)] = _known_loop(step)
        while True:
            start = shapes.new_child(dict.fromkeys(loop.forgotten))
            self.steps(step.bodies.get("conditionNetwork", ()), start)  # certain to run
            _check_decision(step, step.node.params.conditionVar, start)
            end = start.new_child()
            try:
                self.steps(step.bodies["bodyNetwork"], end)
            except (InvalidModelError, CallbackError, _Left):  # no round comes to its end
                finished = False
                break
            finished = True
            changed = {name for name in (*start.maps[0], *end.maps[0]) if _differ(shapes, end, name, loop.forgotten)}
            if not changed:
                break
            loop.forgotten |= loop.copied if loop.looks else changed
            loop.looks += 1
        for name, shape in end.maps[0].items():
            if name not in start:
                shapes[name] = shape if finished else None
        shapes.update(start.maps[0])
        if loop.leaves:
            shapes.update(dict.fromkeys(loop.copied))


def _differ(before: _Shapes, after: _Shapes, name: str, forgotten: set[str]) -> bool:
    known = before.get(name) if name not in forgotten else None
    return known is not None and after.get(name) != known


def _known_loop(step: Step) -> _Loop:
    inner = list(inner_steps(step))
    copied = {name for part in inner if part.kind == "copy" for name in part.outputs}
    leaves = any(part.kind in ("loopBreak", "loopContinue") for part in inner)
    return _Loop(copied, leaves, set(copied) if leaves else set())
