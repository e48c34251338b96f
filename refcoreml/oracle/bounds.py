"""Runs a network or a program in double precision and, beside each value, how far rounding can move it.

A forward error bound: beside each value runs a radius, what rounding in the layer itself can add, and what the radii of
the layer's inputs become on their way through it. The rules, one per operation, are in `refcoreml.oracle.rules`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml.errors import UnsupportedModelError
from refcoreml.execution.control import Choice, Loop, bound_names, flow_of
from refcoreml.execution.engine import Event, Trace
from refcoreml.execution.steps import Step, types_of, walk
from refcoreml.mil.values import Dictionary, StateCell
from refcoreml.neuralnetwork.layers.control import TRUE_BEYOND
from refcoreml.ops import Identity
from refcoreml.oracle.balls import EXACT, Ball, Doubles, Rounding
from refcoreml.oracle.deviation import deviation
from refcoreml.oracle.radii import BlobBound, Known, Radii, Undetermined, ball_of, is_numeric, reseeded
from refcoreml.oracle.rules import RULES, kind_of
from refcoreml.oracle.rules.programs import labels_of, place_of
from refcoreml.oracle.rules.table import Layer, check_of
from refcoreml.oracle.subjects import Subject

__all__ = ["BlobBound", "Undetermined", "trace_bounds", "trace_layers"]


_WITHOUT_BOUNDS = {
    "random": "draws random numbers, of which only the distribution is specified",
    "unknown": "is of a kind whose rounding errors are not known",
}


def trace_bounds(
    subject: Subject, inputs: Mapping[str, Ball], radii: Radii | None = None
) -> Generator[tuple[str, BlobBound, Step], None, dict[str, BlobBound]]:
    """Yield bounds for each blob as its layer runs, (blob, bound, step); return those of the outputs.

    Args:
        subject: what runs.
        inputs: its input blobs; states are used as they are, and hold afterwards what was written.
        radii: what is known of values, of states before all; it is added to.

    Raises:
        UnsupportedModelError: a layer draws random numbers, or is one of the user's own.
        Undetermined: rounding may turn a branch or loop either way.
    """
    judge, radii = _Judge(subject), Radii() if radii is None else radii
    for value, rad in (*subject.constants(), *((ball.mid, ball.rad) for ball in inputs.values())):
        if value not in radii:
            radii.note(value, Known(rad))
    decisions = decided_by(subject.steps)
    for name in decisions.keys() & inputs.keys():
        if not _decided(decisions[name], inputs[name]):
            raise Undetermined(f"input {name!r}")
    events = _Followed(subject.trace({name: ball.mid for name, ball in inputs.items()}))
    for step, arguments, results, _ in events:
        found = judge.look(step, arguments, results, [radii.of(value) for value in arguments])
        for name, result, known in zip(step.outputs, results, found, strict=True):
            radii.note(result, known)
            if name in decisions and not _decided(decisions[name], ball_of(result, known.rad)):
                raise Undetermined(step.where)
            yield name, known.bound(result), step
        for state in (value for value in arguments if isinstance(value, StateCell)):
            radii.note(state, radii.of(state)._replace(check=joined("exact", [radii.of(x).check for x in arguments])))
    return {name: radii.bound(value) for name, value in events.returned.items()}


def trace_layers(
    subject: Subject, inputs: Mapping[str, Ball]
) -> Iterator[tuple[Step, list[Any], list[tuple[str, BlobBound]]]]:
    """Yield each layer by itself: (step, its inputs, its outputs by name with their bounds).

    The inputs are those of the run in double precision, rounded to the type in which blobs are stored and exact from
    there, so that bounds do not grow from layer to layer. Arguments and errors as of `trace_bounds`.
    """
    judge = _Judge(subject)
    for step, arguments, *_ in subject.trace({name: ball.mid for name, ball in inputs.items()}):
        pairs = [reseeded(value, storage) for value, storage in zip(arguments, subject.stored(step), strict=True)]
        given = [value for value, _ in pairs]
        results = step.run(given)
        found = judge.look(step, given, results, [Known(rad) for _, rad in pairs])
        bounds = [known.bound(result) for known, result in zip(found, results, strict=True)]
        yield step, given, list(zip(step.outputs, bounds, strict=True))


class _Followed(Iterable[Event]):
    """A run that is followed to its end.

    Attributes:
        returned: the outputs, once it has ended.
    """

    def __init__(self, events: Trace) -> None:
        self._events = events
        self.returned: dict[str, Any] = {}

    def __iter__(self) -> Iterator[Event]:
        self.returned = yield from self._events


class _Judge:
    """Bounds for single steps."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        steps = list(walk(subject.steps))
        for step in steps:
            reason = _WITHOUT_BOUNDS.get(check_of(step))
            if reason:
                raise UnsupportedModelError(reason, where=step.where)
        # What a layer has prepared for its bounds is kept only where it may run again.
        self._again = any(isinstance(flow_of(step), Loop) for step in steps)
        self._variants: dict[int, dict[str, Any]] = {}

    def look(self, step: Step, arguments: Sequence[Any], results: Sequence[Any], given: Sequence[Known]) -> list[Known]:
        """Return what is known of the outputs, from what is known of the inputs, and the results at midpoints."""
        if kind_of(step) is Identity and (given[0].labels or not is_numeric(arguments[0])):
            return [given[0]._replace(layer=step.name, kind=step.kind)]
        balls = [ball_of(value, known.rad) for value, known in zip(arguments, given, strict=True)]
        types = types_of(arguments)
        if all(is_numeric(value) for value in arguments):
            types = types_of(step.op.taken(arguments))
            taken = (step.op.taken([getattr(ball, part) for ball in balls]) for part in ("mid", "rad"))
            balls = [Ball(mid, rad) for mid, rad in zip(*taken, strict=True)]
        variants = self._variants.setdefault(id(step), {}) if self._again else {}
        layer = self._subject.layer(step, variants, types)
        return _Look(step, layer, balls, results, [known.check for known in given]).known()


class _Look:
    """One look at a step."""

    def __init__(
        self, step: Step, layer: Layer, balls: list[Ball], results: Sequence[Any], before: Sequence[str]
    ) -> None:
        self._step, self._layer, self._balls, self._results = step, layer, balls, results
        own = kind_of(step)
        assert own is not None
        self._rule, self._class = RULES[own], check_of(step)
        self._certain = all(ball.certain for ball in balls if is_numeric(ball.rad))
        if self._is_exact:
            self._rule, self._class = lambda *_: [0.0] * len(results), "exact"
        self._check = joined(step.kind if self._class == "composite" else self._class, before)

    def known(self) -> list[Known]:
        """Return what is known of the results."""
        layer, values = self._layer, [ball_of(result, None).mid for result in self._results]
        with np.errstate(all="ignore"):
            found = self._found(values)
            usual = None
            if self._class == self._check == "dot":
                usual = deviation(layer, self._balls, values[0])
        return [
            self._of(result, value, radius, usual)
            for result, value, radius in zip(self._results, values, found, strict=True)
        ]

    def _found(self, values: list[Doubles]) -> Sequence[Any]:
        try:
            return self._rule(self._layer, self._balls, values)
        except Undetermined:
            raise Undetermined(self._step.where) from None

    @property
    def _is_exact(self) -> bool:
        """Whether integers become integers, none of them uncertain, by arithmetic that nothing rounds.

        The order of equal ones is not specified.
        """
        values = [*(ball.mid for ball in self._balls), *self._results]
        plain = self._layer.rounding is EXACT and self._class not in ("either", "random")
        return plain and self._certain and all(map(is_numeric, values))

    def _of(self, result: Any, value: Any, radius: Any, usual: Doubles | None) -> Known:
        step, layer, check = self._step, self._layer, self._check
        labels = labels_of(layer.op)
        if labels or not is_numeric(result):
            shown = place_of(layer.op, self._balls[0]) if labels and not isinstance(result, Dictionary) else None
            return Known(radius, "either" if shown is not None else check, step.name, step.kind, shown, None, labels)
        ball = Ball(value, np.broadcast_to(np.asarray(radius, np.float64), value.shape))
        if result.dtype.kind in "biu":
            return Known(_integers(ball, result.dtype, self._class), check, step.name, step.kind)
        over = _overflows(ball, self._class, self._certain, layer.rounding, layer.storage)
        if self._class != "exact" and layer.storage is not None:
            ball = layer.storage.stored(ball)
        rad = np.where(np.isnan(ball.rad), np.inf, ball.rad)
        if not over.any():
            return Known(rad, check, step.name, step.kind, deviation=usual)
        # An infinity that double precision does not see leaves all that follows open.
        rad = np.where(over, np.where(np.isfinite(value), np.inf, 0.0), rad)
        return Known(rad, check, step.name, step.kind, np.where(over, np.copysign(np.inf, value), value), usual)


def _integers(ball: Ball, dtype: np.dtype[Any], check: str) -> Doubles:
    """Return the radii of integers that are cut off, or were exact; arithmetic beyond their range wraps around."""
    rad: Doubles = np.asarray(np.ceil(ball.rad))
    if check in ("ulp", "dot", "func", "composite") and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        beyond = (ball.mid - rad < limits.min) | (ball.mid + rad > limits.max)
        rad = np.where(beyond & (rad > 0), np.inf, rad)
    return rad


def _overflows(
    ball: Ball, check: str, certain: bool, rounding: Rounding, storage: Rounding | None
) -> NDArray[np.bool_]:
    """Return where a result is certainly infinite.

    In storage: all of the ball rounds to infinity. In arithmetic: the layer is a single operation or function of exact
    numbers, whose relative error is far below 1/2, and twice the largest number is not reached.
    """
    over, size = np.zeros(ball.mid.shape, bool), np.abs(ball.mid)
    if check != "exact" and storage is not None:
        over = np.isfinite(ball.rad) & (size > ball.rad + storage.largest * (1 + storage.unit))
    if check in ("ulp", "func") and certain:
        over |= size > 2 * rounding.largest
    return over


def joined(check: str, before: Sequence[str]) -> str:
    """Return the class of a blob, from those of the layer that makes it and of the blobs that go into the layer."""
    inexact = {*before, check} - {"exact"}
    if check != "exact" and set(before) - {"exact"}:
        return "composite"
    return min(inexact) if len(inexact) == 1 else "composite" if inexact else "exact"


def decided_by(steps: Sequence[Step]) -> dict[str, str]:
    """Return the names of the blobs that branches and loops decide by, with what is decided: truth, or a count.

    And of those that become one, since control flow hands them on.
    """
    found = dict(_conditions(steps))
    handed = [pair for step in walk(steps) for pair in bound_names(step)]
    before = -1
    while before < len(found):
        before = len(found)
        found.update((source, found[name]) for name, source in handed if name in found and source not in found)
    return found


def _conditions(steps: Sequence[Step]) -> Iterator[tuple[str, str]]:
    for step in walk(steps):
        op = flow_of(step)
        if isinstance(op, Choice):
            yield step.inputs[0], "truth"
        elif isinstance(op, Loop):
            if op.rounds is not None:
                yield step.inputs[0], "count"
            if op.condition is not None:
                yield op.condition.outputs[0], "truth"


def _decided(kind: str, ball: Ball) -> bool:
    """Return whether all values of a ball give the same decision."""
    if kind == "count":
        return bool((np.trunc(ball.mid - ball.rad) == np.trunc(ball.mid + ball.rad)).all())
    size = np.abs(ball.mid)
    return bool(((size - ball.rad > TRUE_BEYOND) | (size + ball.rad <= TRUE_BEYOND)).all())
