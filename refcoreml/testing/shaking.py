"""Bounds for ML Programs against their sources: what rounding does to a number is measured, by rounding at random.

No rule says how far rounding carries through an operation of a program, as `refcoreml.testing.rounding` does for
layers. So the program runs several times in double precision, and each time every result, and every constant that the
converter rounded, is moved by a random part of the unit roundoff that it was, or would be, rounded with. How far a
number scatters in these runs is its standard deviation; its bound is eight of them, or eight of a typical number of the
same value, whichever is larger. Errors that are independent, as roundings are, stay within; a number that rounding
decides scatters widely.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from refcoreml.errors import InternalError
from refcoreml.evaluators.base import Programmed
from refcoreml.execution.engine import Event
from refcoreml.execution.limits import Budget
from refcoreml.execution.steps import Step
from refcoreml.mil.precision import PRECISIONS, Precision
from refcoreml.mil.program import Program
from refcoreml.mil.resolve import walk
from refcoreml.mil.values import Dictionary
from refcoreml.model import Model
from refcoreml.oracle.balls import Doubles
from refcoreml.oracle.bounds import BlobBound
from refcoreml.testing.rounding import AS_STORED, UNIT32, UNIT64, Constants
from refcoreml.types import Array, Form

__all__ = [
    "half_constants",
    "half_radius",
    "has_compressed_constants",
    "labels_of",
    "program_bounds",
    "program_results",
    "trace_program",
]

#: Unit roundoff of half precision, and half the distance of its smallest numbers.
UNIT16, LEAST16 = 2.0**-11, 2.0**-25
#: How often a program runs, and how many standard deviations a bound is.
_RUNS, _DEVIATIONS = 6, 8.0
#: Multiples of 1/16 up to 16 are counts, sizes, halves: what nobody had to round.
_PLAIN = 16.0
#: By how many units results of single precision are moved: those of sums of a few hundred terms.
_SUMS = 16.0


@dataclass(frozen=True)
class Shaken(Precision):
    """Double precision in which numbers are moved at random.

    Attributes:
        constants: how far the program's own numbers may be off.
        unit: the unit roundoff by which results are moved; None for that of their declared types.
        random: draws the parts.
    """

    constants: Constants = AS_STORED
    unit: float | None = None
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def _moved(self, array: Array, radius: Any) -> Array:
        return np.asarray(array + radius * self.random.uniform(-1, 1, array.shape))

    def hold(self, array: Array) -> Array:
        """Return a constant in double precision, moved unless it is one of the source's own."""
        held = super().hold(array)
        if array.dtype.kind != "f":
            return held
        half = array.dtype == np.float16
        return self._moved(held, half_radius(held, self.constants) if half else self.constants.radius(held))

    def form(self, declared: np.dtype[Any]) -> Form | None:
        """Return what moves a result of a declared type."""
        if declared.kind != "f":
            return None
        unit, least = (UNIT16, LEAST16) if declared == np.float16 else (_SUMS * UNIT32, 0.0)
        if self.unit is not None:
            unit, least = self.unit, 0.0
        return partial(self._form, unit, least)

    def _form(self, unit: float, least: float, array: Array, *, out: Array | None = None) -> Array:
        moved = self._moved(array, unit * np.abs(array) + least)
        if out is None:
            return moved
        out[...] = moved
        return out


def half_radius(values: Doubles, constants: Constants) -> Doubles:
    """Return the radii of constants that are stored in half precision, in which most numbers are multiples of 2^-10.

    It has so few numbers that a single one, such as 1 / 32**0.5, may be among thousands of parameters by chance.
    """
    if constants.known is None:
        return np.zeros_like(values)
    plain = (values * _PLAIN == np.rint(values * _PLAIN)) & (np.abs(values) <= _PLAIN)
    if (plain | (np.isin(values, constants.known) & (values.ndim > 0))).all():
        return np.zeros_like(values)
    radius: Doubles = UNIT16 * np.abs(values) + LEAST16 + constants.radius(values)
    return radius


def _shaken(model: Model, constants: Constants, unit: float | None, seed: int) -> Program:
    double = PRECISIONS["float64"]
    precision = Shaken("float64", double.held, False, constants, unit, np.random.default_rng(seed))
    return Program(
        model.spec.mlProgram,
        model.function,
        model.weight_files,
        precision=precision,
        strict=model.strict,
        budget=Budget(model.limits),
        custom_layers=model.custom_code("layer"),
    )


def _function(model: Model) -> Programmed:
    found = model.prepare().programmed
    if found is None:
        raise InternalError(f"{model.kind} is no ML Program", remedy="Please report it")
    return found


def program_results(model: Model, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results of a program by output name, in the form in which it holds them; states begin with zeros."""
    function = _function(model)
    return function.program.run(_given(function, model, inputs))


def _given(function: Programmed, model: Model, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {**function.interface.to_values(model.check_inputs(inputs)), **function.interface.cells()}


def half_constants(model: Model) -> list[Array]:
    """Return the constants of half precision that operations take."""
    found = {}
    for operation in walk(_function(model).program.function.body):
        for value in (value for values in operation.parameters.values() for value in values):
            if value.constant and value.tensor is not None and value.tensor.element.dtype == np.float16:
                found[value.name] = np.asarray(value.known)
    return list(found.values())


def has_compressed_constants(model: Model) -> bool:
    """Return whether operations of a program make constants of constants."""
    body = _function(model).program.function.body
    blocks = [body, *(inner for operation in walk(body) for inner in operation.blocks)]
    return any(block.folded for block in blocks)


def program_bounds(
    model: Model, inputs: Mapping[str, Any], *, unit: float | None = UNIT64, constants: Constants = AS_STORED
) -> dict[str, BlobBound]:
    """Return bounds for the outputs of a program.

    Args:
        model: an ML Program in double precision.
        inputs: its inputs, taken as exact.
        unit: the unit roundoff of the computation that is bounded; None for that of the declared types.
        constants: how far the program's own numbers may be off.
    """
    function = _function(model)
    programs = [_shaken(model, constants, unit, seed) for seed in range(_RUNS)]
    found = [program.run(_given(function, model, inputs), _alone) for program in programs]
    return {
        name: _bound(name, "output", value, [results[name] for results in found])
        for name, value in program_results(model, inputs).items()
        if _array(value).dtype.kind in "biuf"
    }


def _alone(step: Step, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
    """Look at nothing: operations that are looked at run one by one, so that random parts are the same each time."""


def trace_program(
    model: Model, inputs: Mapping[str, Any], *, unit: float | None = UNIT64, constants: Constants = AS_STORED
) -> Iterator[tuple[str, BlobBound, Step]]:
    """Yield (value, bound, operation) as operations run, up to where a random rounding turns a branch or loop.

    Arguments are those of `program_bounds`.
    """
    function = _function(model)
    programs = [function.program, *(_shaken(model, constants, unit, seed) for seed in range(_RUNS))]
    traces = [program.trace(_given(function, model, inputs)) for program in programs]
    for event, *others in zip(*traces, strict=False):
        if any(other.step.where != event.step.where for other in others):
            return
        yield from _bounds(event, others)


def _bounds(event: Event, others: Sequence[Event]) -> Iterator[tuple[str, BlobBound, Step]]:
    step = event.step
    for position, (name, value) in enumerate(zip(step.outputs, event.outputs, strict=True)):
        if _array(value).dtype.kind in "biuf":
            yield name, _bound(step.name, step.kind, value, [other.outputs[position] for other in others]), step


def _array(value: Any) -> Array:
    return np.asarray(getattr(value, "array", value))


def _bound(name: str, kind: str, value: Any, shaken: Sequence[Any]) -> BlobBound:
    base = _array(value).astype(np.float64)
    arrays = [_array(other).astype(np.float64) for other in shaken]
    if any(array.shape != base.shape for array in arrays):
        return BlobBound(name, kind, base, np.full(base.shape, np.inf), "composite")
    return BlobBound(name, kind, base, _radius(base, arrays), "composite")


def _radius(base: Doubles, arrays: Sequence[Doubles]) -> Doubles:
    """Return the bound of each number, see the module."""
    if not base.size:
        return np.zeros_like(base)
    with np.errstate(invalid="ignore", over="ignore"):
        squares = [np.where(_same(base, array), 0.0, (array - base) ** 2) for array in arrays]
        deviation = np.sqrt(np.mean(squares, axis=0))
    deviation = np.where(np.isnan(deviation), np.inf, deviation)
    moved = deviation[deviation > 0]
    typical = float(np.median(moved)) if moved.size else 0.0
    radius: Doubles = _DEVIATIONS * np.maximum(deviation, typical)
    return radius


def _same(one: Doubles, other: Doubles) -> Array:
    same: Array = (one == other) | (np.isnan(one) & np.isnan(other))
    return same


def labels_of(results: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    """Return the labels of scores by label, by output."""
    return {name: value.keys for name, value in results.items() if isinstance(value, Dictionary)}
