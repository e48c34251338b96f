"""Numbers that are known before any input, or follow from shapes: constants, fills, broadcasts, ranges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from refcoreml import definitions
from refcoreml.kernels.elementwise import broadcast_shape
from refcoreml.kernels.range import evenly_spaced, evenly_spaced_count
from refcoreml.ops.base import (
    OfShape,
    Op,
    bad_input,
    check_numbers,
    check_rank,
    invalid,
    most_places,
    numbers_in,
    remembered,
    require,
    shape_in,
)
from refcoreml.types import Array, Shape, TensorType


@dataclass(frozen=True, eq=False)
class Constant(Op):
    """y = value, which is handed out read-only."""

    value: Array

    definition = definitions.constant

    def __post_init__(self) -> None:
        value = self.value.view()
        value.setflags(write=False)
        object.__setattr__(self, "value", value)

    def infer(self) -> TensorType:
        return TensorType.of(self.value)

    def run(self) -> Array:
        return self.value


@dataclass(frozen=True)
class Fill(OfShape):
    """y = value, everywhere.

    Input and other attributes: see `OfShape`.

    Attributes:
        value: the number.
    """

    value: float

    def infer(self, shape: TensorType | None = None) -> TensorType | None:
        check_numbers("the value", self.value, self.dtype)
        return super().infer(shape)

    def run(self, shape: Array | None = None) -> Array:
        return np.full(self.requested(shape), self.value, self.dtype)

    def define(self, shape: Array | None = None) -> Array:
        return definitions.fill(self.value, self.requested(shape))


@dataclass(frozen=True)
class FillLike(Op):
    """y = value, everywhere, in the shape of x, whose values are not read and whose type is any.

    Attributes:
        value: the number.
        dtype: the type of y's numbers.
    """

    value: float
    dtype: np.dtype[Any]

    fresh = True

    def infer(self, x: TensorType) -> TensorType:
        check_numbers("the value", self.value, self.dtype)
        return x.with_dtype(self.dtype)

    def run(self, x: Array) -> Array:
        return np.full(x.shape, self.value, self.dtype)

    def define(self, x: Array) -> Array:
        return definitions.fill(self.value, x.shape)


def _misfit(x: Shape, target: Shape) -> str:
    """Return why x does not broadcast to a shape; empty if it does."""
    try:
        fits = broadcast_shape(x, target) == target
    except ValueError:
        fits = False
    return "" if fits else f"{x} does not broadcast to {target}: from the last axis on, its lengths must be equal or 1"


@dataclass(frozen=True)
class BroadcastTo(Op):
    """y = x, repeated along axes that it lacks or where its length is 1, as in NumPy.

    Inputs: x; the shape, a vector, if it is no attribute; fractions are cut off. y is a view of x.

    Attributes:
        shape: the shape of y; None if it is the second input.
    """

    shape: Shape | None

    moves = True

    def infer(self, x: TensorType, shape: TensorType | None = None) -> TensorType | None:
        if self.shape is None:
            return None
        problem = _misfit(x.shape, self.shape)
        require(not problem, problem)
        return check_rank(x.with_shape(self.shape))

    def infer_from(self, x: Array, shape: Array) -> TensorType:
        return TensorType(x.dtype, self._shape(x, shape))

    def _shape(self, x: Array, given: Array | None) -> Shape:
        if self.shape is not None:
            return self.shape
        assert given is not None
        found = shape_in(given, "shape")
        problem = _misfit(x.shape, found)
        if problem:
            bad_input(problem)
        return found

    def run(self, x: Array, shape: Array | None = None) -> Array:
        return np.broadcast_to(x, self._shape(x, shape))

    def define(self, x: Array, shape: Array | None = None) -> Array:
        return definitions.broadcast_to(x, self._shape(x, shape))


@dataclass(frozen=True)
class BroadcastLike(Op):
    """y = x, repeated as by `BroadcastTo` to the shape of another input, whose values are not read."""

    moves = True

    def infer(self, x: TensorType, like: TensorType) -> TensorType:
        return BroadcastTo(like.shape).infer(x) or x

    def run(self, x: Array, like: Array) -> Array:
        return np.broadcast_to(x, like.shape)

    def define(self, x: Array, like: Array) -> Array:
        return definitions.broadcast_to(x, like.shape)


@dataclass(frozen=True)
class Range(Op):
    """y[i] = start + i * step, for all i with which y stays before the end.

    Inputs: end, start and step, in this order, of one element each, those that are no attributes. y [n], with
    n = ceil((end - start) / step).

    Attributes:
        end, start, step: numbers; None for inputs.
        dtype: the type of y.
        counted_in: the type in which n is computed; None for that of y.
    """

    end: float | None
    start: float | None
    step: float | None
    dtype: np.dtype[Any]
    counted_in: type[np.number[Any]] | None = None

    fresh = True

    def infer(self, *inputs: TensorType) -> TensorType | None:
        return None if None in (self.end, self.start, self.step) else self._type()

    def infer_from(self, *inputs: Array) -> TensorType:
        return self._type(*inputs)

    def _numbers(self, *inputs: Array) -> tuple[float, float, float]:
        """Return the end, the start and the step."""
        given = iter(inputs)
        named = (("end", self.end), ("start", self.start), ("step", self.step))
        end, start, step = (numbers_in(next(given), name, 1)[0] if own is None else own for name, own in named)
        return end, start, step

    def _type(self, *inputs: Array) -> TensorType:
        return TensorType(self.dtype, (self._count(*self._numbers(*inputs)),))

    @cached_property
    def _count(self) -> Callable[[float, float, float], int]:
        return remembered(self._derive)

    def _derive(self, end: float, start: float, step: float) -> int:
        number: Any = self.counted_in or self.dtype.type
        for name, value in (("end", end), ("start", start), ("step", step)):
            check_numbers(name, value, self.dtype)
        try:
            count = evenly_spaced_count(number(start), number(end), number(step))
        except ValueError:
            count = 0
        if count < 1:
            refuse = bad_input if None in (self.end, self.start, self.step) else invalid
            refuse(f"the range from {start:g} to {end:g} by {step:g} holds no numbers, or infinitely many")
        return count

    def run(self, *inputs: Array) -> Array:
        end, start, step = self._numbers(*inputs)
        return evenly_spaced(start, step, self._count(end, start, step), self.dtype)

    def define(self, *inputs: Array) -> Array:
        end, start, step = self._numbers(*inputs)
        return definitions.evenly_spaced(start, step, self._count(end, start, step))


@dataclass(frozen=True)
class ShapeOf(Op):
    """y = the shape of x.

    x of rank r; y [r].

    Attributes:
        dtype: the type of y, which must hold each length exactly; None for that of x.
    """

    dtype: np.dtype[Any] | None = None

    fresh = True

    def infer(self, x: TensorType) -> TensorType:
        found = self.dtype or x.dtype
        for length in x.shape:
            exact = int(found.type(length)) == length if found.kind == "f" else length < most_places(found)
            require(exact, f"{found} cannot represent the length {length} of {x.shape}")
        return TensorType(found, (x.rank,))

    def run(self, x: Array) -> Array:
        return np.array(x.shape, self.dtype or x.dtype)

    def define(self, x: Array) -> Array:
        return definitions.shape_of(x)
