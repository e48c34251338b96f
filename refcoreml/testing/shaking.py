"""Bounds that are measured: what rounding does to a number shows when everything that is rounded is moved at random.

The model runs several times beside itself in double precision, and in each of these runs every result, and every
constant that the converter rounded, is moved by a random part of the unit roundoff that it was, or would be, rounded
with. How far a number scatters is its standard deviation; its bound is eight of them, or eight of a typical number of
the same value, whichever is larger. Errors that are independent, as roundings are, stay within; a number that rounding
decides scatters widely. All runs take each step together, so that a value may be replaced in all of them: see
`Reached.replace`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import Message

from refcoreml.errors import RefCoreMLError
from refcoreml.evaluators.base import Programmed
from refcoreml.execution.engine import Event, Trace
from refcoreml.execution.limits import Budget
from refcoreml.execution.steps import Step
from refcoreml.judge import PROBABILITY
from refcoreml.judge.spread import factor, moderated
from refcoreml.mil.precision import PRECISIONS, Precision
from refcoreml.mil.prepare import Typed
from refcoreml.mil.program import Program
from refcoreml.mil.values import Dictionary
from refcoreml.model import Model
from refcoreml.neuralnetwork.network import Network
from refcoreml.neuralnetwork.registry import Decoder, Node, WeightField
from refcoreml.ops import ParametricSoftplus, Softplus
from refcoreml.oracle.balls import Ball, Doubles, Rounding
from refcoreml.oracle.bounds import BlobBound, Undetermined
from refcoreml.oracle.inputs import known_inputs
from refcoreml.oracle.rules import CHECKS, kind_of
from refcoreml.spec import schema
from refcoreml.spec.mil_types import DeclaredTensor
from refcoreml.testing.rounding import AS_STORED, UNIT32, UNIT64, Constants
from refcoreml.testing.stored import LEAST16, UNIT16, function_of, half_radius, layered
from refcoreml.types import Array

__all__ = [
    "Reached",
    "labels_of",
    "measured_bounds",
    "output_values",
    "program_results",
    "runs_beside",
]

#: How often a model runs moved: for its outputs, and for all of its values, where so many numbers tell more.
RUNS, SEGMENT_RUNS = 6, 5
#: How many standard deviations a bound is.
_DEVIATIONS = 8.0
#: By how many units results of single precision are moved: those of sums of a few hundred terms.
_SUMS = 16.0
#: Which part of a constant's radius is its own, and which it has in common with its channel: a factor that was folded
#: into a row of weights is off for all of them.
_OWN, _COMMON = 1 / 4, 1 / 2
#: Classes of bounds of operations that round nothing.
_EXACT = ("exact", "interval", "either", "control")


# ---- What is moved ----


@dataclass(frozen=True)
class _Noise:
    """Random parts of what rounding may do.

    Attributes:
        unit: the unit roundoff of results; None for that of their declared types.
        random: draws the parts.
    """

    unit: float | None
    random: np.random.Generator

    def uniform(self, shape: tuple[int, ...]) -> Doubles:
        """Return numbers from -1 to 1."""
        return self.random.uniform(-1, 1, shape)

    def constant(self, values: Array, radius: Any) -> Array:
        """Return a constant, moved within its radius: partly with its row and its column, partly by itself."""
        if not np.any(radius):
            return values
        parts = self.uniform(values.shape)
        if values.ndim > 1:
            parts *= _OWN
            for axis in (0, 1):
                shape = [1] * values.ndim
                shape[axis] = values.shape[axis]
                parts += _COMMON * self.uniform(tuple(shape))
        return _sum(values, radius * parts)

    def given(self, array: Array) -> Array:
        """Return numbers that both sides have, moved as if rounded: so much do they differ in sums of them."""
        if array.dtype.kind != "f":
            return array
        moved = _sum(array, UNIT64 * np.abs(array) * self.uniform(array.shape))
        return np.asarray(np.where(array * 1024 == np.rint(array * 1024), array, moved))

    def change(self, step: Step, inputs: Sequence[Any], outputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return new arrays, moved if the operation rounds."""
        check = CHECKS.get(kind_of(step) or "")
        exact = step.op.moves or check in _EXACT
        moved = tuple(self._result(step, place, inputs, y, exact) for place, y in enumerate(outputs))
        if check != "ulp":
            return moved
        # Integers that are added up, such as the rounds of a loop, are exact.
        return tuple(_with_integers(y, other) for y, other in zip(outputs, moved, strict=True))

    def _result(self, step: Step, place: int, inputs: Sequence[Any], y: Any, exact: bool) -> Any:
        if not isinstance(y, np.ndarray):
            return y
        if exact or y.dtype.kind != "f":
            return y.copy()
        unit, least = (self.unit, 0.0) if self.unit is not None else _declared_unit(step, place)
        size = unit * np.abs(y) + least
        if step.op.kind in (Softplus, ParametricSoftplus):
            size = size + _left_out(inputs[0], y)
        return _sum(y, size * self.uniform(y.shape))


def _sum(values: Array, moved: Array) -> Array:
    """Return values plus what they are moved by; infinities stay, such as those of masks."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(np.isfinite(values), values + moved, values))


def _left_out(x: Array, y: Array) -> Array:
    """Return what an honest softplus leaves out of large numbers, since single precision does not see it.

    log(1 + exp(x)) is x + log(1 + exp(-x)); torch has x where x > 20.
    """
    off = y - x
    return np.where((off > 0) & (off <= UNIT32 * np.abs(y)), off, 0.0)


def _with_integers(y: Any, moved: Any) -> Any:
    return np.where(y == np.rint(y), y, moved) if isinstance(y, np.ndarray) and y.dtype.kind == "f" else moved


def _declared_unit(step: Step, place: int) -> tuple[float, float]:
    """Return the unit roundoff of a result's declared type, and half the distance of its smallest numbers."""
    declared = step.op.outputs[place] if isinstance(step.op, Typed) else None
    half = isinstance(declared, DeclaredTensor) and declared.element.dtype == np.float16
    return (UNIT16, LEAST16) if half else (_SUMS * UNIT32, 0.0)


def _fresh(step: Step, inputs: Sequence[Any], outputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return new arrays, which may be written to."""
    return tuple(y.copy() if isinstance(y, np.ndarray) else y for y in outputs)


@dataclass(frozen=True)
class _HeldMoved(Precision):
    """Double precision in which constants are moved."""

    constants: Constants = AS_STORED
    noise: _Noise | None = None

    def hold(self, array: Array) -> Array:
        """Return a constant in double precision: what it stands for, or moved unless it is one of the source's own."""
        held = super().hold(array)
        if array.dtype.kind != "f":
            return held
        stands = self.constants.standing_for(held)
        if stands is not None or self.noise is None:
            return held if stands is None else stands
        half = array.dtype == np.float16
        return self.noise.constant(held, half_radius(held, self.constants) if half else self.constants.radius(held))


@dataclass(frozen=True)
class _WeightsMoved:
    """The source of a network's weights, moved."""

    constants: Constants
    noise: _Noise | None

    def read(self, node: Node, field: WeightField) -> Array:
        """Return the decoded weights: what they stand for, or moved unless they are the source's own."""
        values = np.asarray(Decoder().read(node, field), np.float64)
        stands = self.constants.standing_for(values)
        if stands is not None or self.noise is None:
            return values if stands is None else stands
        return self.noise.constant(values, self.constants.radius(values, field.message, field.channel_axis))


def _scalars_moved(layers: Sequence[schema.NeuralNetworkLayer], constants: Constants, noise: _Noise) -> list[Any]:
    """Return layers whose plain numbers are the next in single precision, or the one before, or the same."""
    found = []
    for layer in layers:
        changed = schema.NeuralNetworkLayer()
        changed.CopyFrom(layer)
        _move_scalars(changed, constants, noise)
        found.append(changed)
    return found


def _move_scalars(message: Message, constants: Constants, noise: _Noise) -> None:
    if isinstance(message, schema.WeightParams):
        return
    for descriptor, value in message.ListFields():
        many = not isinstance(value, (float, int, str, bytes, bool, Message))
        if descriptor.cpp_type == descriptor.CPPTYPE_MESSAGE:
            for inner in value if many else [value]:
                if isinstance(inner, Message):
                    _move_scalars(inner, constants, noise)
        elif descriptor.cpp_type == descriptor.CPPTYPE_FLOAT:
            moved = [_moved_scalar(number, constants, noise) for number in (value if many else [value])]
            if many:
                value[:] = moved
            else:
                setattr(message, descriptor.name, moved[0])


def _moved_scalar(number: float, constants: Constants, noise: _Noise) -> float:
    if not np.isfinite(number) or not constants.scalar(number).rad.any():
        return number
    toward = np.float32((-np.inf, number, np.inf)[noise.random.integers(3)])
    return float(np.nextafter(np.float32(number), toward))


# ---- Runs ----


def runs_beside(
    model: Model,
    inputs: Mapping[str, Any],
    constants: Constants,
    *,
    unit: float | None = UNIT64,
    runs: int = SEGMENT_RUNS,
) -> Iterator[Reached]:
    """Yield the values of a model in double precision as they are made, in runs beside each other.

    Args:
        model: a network or an ML Program in double precision.
        inputs: its inputs, taken as exact.
        constants: how far the model's own numbers may be off.
        unit: the unit roundoff of the computation that is bounded; None for that of the declared types.
        runs: how many runs are moved.

    Raises:
        Undetermined: a random rounding turns a branch or loop.
    """
    noises = [_Noise(unit, np.random.default_rng(seed)) for seed in range(runs)]
    traces = _program_traces if model.kind == "mlProgram" else _network_traces
    yield from _together(traces(model, inputs, constants, noises), noises)


def _network_traces(
    model: Model, inputs: Mapping[str, Any], constants: Constants, noises: Sequence[_Noise]
) -> Iterator[Trace]:
    interface, network = layered(model)
    balls = known_inputs(interface, model.check_inputs(inputs), Rounding(UNIT64, 2.0**-1000), constants)
    for noise in (None, *noises):
        layers = getattr(model.spec, model.kind).layers
        run = Network(
            layers if noise is None else _scalars_moved(layers, constants, noise),
            inputs=network.inputs,
            outputs=network.outputs,
            rank5=interface.rank5,
            arithmetic=network.arithmetic,
            strict=model.strict,
            custom_layers=model.custom_code("layer"),
            budget=Budget(model.limits),
            where=network.where,
            source=_WeightsMoved(constants, noise),
        )
        given = {name: ball.mid if noise is None else _moved_input(ball, noise) for name, ball in balls.items()}
        yield run.trace(given, _fresh if noise is None else noise.change)


def _moved_input(ball: Ball, noise: _Noise) -> Doubles:
    return np.asarray(noise.given(ball.mid) + ball.rad * noise.uniform(ball.mid.shape))


def _program_traces(
    model: Model, inputs: Mapping[str, Any], constants: Constants, noises: Sequence[_Noise]
) -> Iterator[Trace]:
    function = function_of(model)
    for noise in (None, *noises):
        precision = _HeldMoved("float64", PRECISIONS["float64"].held, False, constants, noise)
        run = Program(
            model.spec.mlProgram,
            model.function,
            model.weight_files,
            precision=precision,
            strict=model.strict,
            budget=Budget(model.limits),
            custom_layers=model.custom_code("layer"),
        )
        given = _given(function, model, inputs)
        if noise is not None:
            given = {name: _moved_value(value, noise) for name, value in given.items()}
        yield run.trace(given, _fresh if noise is None else noise.change)


def _moved_value(value: Any, noise: _Noise) -> Any:
    return noise.given(value) if isinstance(value, np.ndarray) else value


@dataclass
class Reached:
    """A value that all runs have made, or that is there at the end.

    Attributes:
        name: its name.
        bound: it, with its bound.
        step: what made it; None for what is there at the end and no step has made, such as results of a loop.
        arrays: the arrays of the runs, that of the model as it stands first.
        noises: those of the others.
    """

    name: str
    bound: BlobBound
    step: Step | None
    arrays: Sequence[Array]
    noises: Sequence[_Noise]

    def replace(self, values: Doubles) -> None:
        """Put other numbers into its place in all runs, so that what follows is bounded from there."""
        for array, noise in zip(self.arrays, (None, *self.noises), strict=True):
            array[...] = (values if noise is None else noise.given(values)).reshape(array.shape)


def _together(traces: Iterator[Trace], noises: Sequence[_Noise]) -> Iterator[Reached]:
    base, *others = list(traces)
    made: set[str] = set()
    where = "the first step"
    while True:
        event, ends = _advanced(base)
        where = event.step.where if event is not None else where
        beside = [_follow(other, where) for other in others]
        if any((found is None) != (event is None) for found, _ in beside):
            raise Undetermined(where)
        if event is None:
            yield from _at_the_end(ends, [found for _, found in beside], made, noises)
            return
        if any(found.step.where != where for found, _ in beside if found is not None):
            raise Undetermined(where)
        made.update(event.step.outputs)
        yield from _reached(event, [found for found, _ in beside if found is not None], noises)


def _advanced(trace: Trace) -> tuple[Event | None, Mapping[str, Any]]:
    try:
        return next(trace), {}
    except StopIteration as end:
        return None, end.value


def _follow(trace: Trace, where: str) -> tuple[Event | None, Mapping[str, Any]]:
    try:
        return _advanced(trace)
    except RefCoreMLError as error:  # such as an index that a rounding has put out of range
        raise Undetermined(error.where or where) from error


def _reached(event: Event, others: Sequence[Event], noises: Sequence[_Noise]) -> Iterator[Reached]:
    step = event.step
    for position, name in enumerate(step.outputs):
        values = [each.outputs[position] for each in (event, *others)]
        found = _measured(name, step.name, step.kind, values, noises)
        if found is not None:
            found.step = step
            yield found


def _at_the_end(
    ends: Mapping[str, Any], others: Sequence[Mapping[str, Any]], made: set[str], noises: Sequence[_Noise]
) -> Iterator[Reached]:
    for name, value in ends.items():
        if name not in made:
            found = _measured(name, name, "output", [value, *(each[name] for each in others)], noises)
            if found is not None:
                yield found


def _measured(name: str, layer: str, kind: str, values: Sequence[Any], noises: Sequence[_Noise]) -> Reached | None:
    arrays = [_array(value) for value in values]
    if arrays[0].dtype.kind not in "biuf":
        return None
    return Reached(name, _bound(layer, kind, arrays), None, arrays, noises)


def measured_bounds(
    model: Model,
    inputs: Mapping[str, Any],
    *,
    unit: float | None = UNIT64,
    constants: Constants = AS_STORED,
    runs: int = RUNS,
) -> dict[str, BlobBound]:
    """Return bounds for the outputs of a model, whole; arguments are those of `runs_beside`."""
    names = output_values(model)
    found = {each.name: each.bound for each in runs_beside(model, inputs, constants, unit=unit, runs=runs)}
    return {name: found[value] for name, value in names.items() if value in found}


def output_values(model: Model) -> dict[str, str]:
    """Return for each output the name of the value that it is."""
    if model.kind == "mlProgram":
        return {name: value.name for name, value in function_of(model).program.results.items()}
    return {name: name for name in layered(model).network.outputs}


def program_results(model: Model, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results of a program by output name, in the form in which it holds them; states begin with zeros."""
    function = function_of(model)
    return function.program.run(_given(function, model, inputs))


def _given(function: Programmed, model: Model, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {**function.interface.to_values(model.check_inputs(inputs)), **function.interface.cells()}


def _array(value: Any) -> Array:
    return np.asarray(getattr(value, "array", value))


def _bound(name: str, kind: str, arrays: Sequence[Array]) -> BlobBound:
    base, *shaken = (array.astype(np.float64) for array in arrays)
    if any(array.shape != base.shape for array in shaken):
        return BlobBound(name, kind, base, np.full(base.shape, np.inf), "composite")
    return BlobBound(name, kind, base, _radius(base, shaken), "composite")


def _radius(base: Doubles, arrays: Sequence[Doubles]) -> Doubles:
    """Return the bound of each number, see the module."""
    if not base.size:
        return np.zeros_like(base)
    with np.errstate(invalid="ignore", over="ignore"):
        squares = [np.where(_same(base, array), 0.0, (array - base) ** 2) for array in arrays]
        squares = [np.where(np.isnan(each), np.inf, each) for each in squares]
        deviation = np.sqrt(np.mean(squares, axis=0))
    moved = deviation[deviation > 0]
    typical = float(np.median(moved)) if moved.size else 0.0
    radius: Doubles = _DEVIATIONS * np.maximum(deviation, typical)
    if len(arrays) < SEGMENT_RUNS:  # so few that a number may scatter little by chance: as Student's t has it
        pooled, degrees = moderated([np.sqrt(each) for each in squares])
        radius = np.maximum(radius, pooled * factor(PROBABILITY, degrees, base.size))
    return radius


def _same(one: Doubles, other: Doubles) -> Array:
    same: Array = (one == other) | (np.isnan(one) & np.isnan(other))
    return same


def labels_of(results: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    """Return the labels of scores by label, by output."""
    return {name: value.keys for name, value in results.items() if isinstance(value, Dictionary)}
