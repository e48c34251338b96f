"""Operations that join arrays, divide one, or repeat it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import shape as kernels
from refcoreml.ops.base import Op, axis_in, bad_input, check_rank, remembered, require, vector_in
from refcoreml.types import Array, Shape, TensorType


@dataclass(frozen=True)
class Concat(Op):
    """y = the inputs one after the other along an axis, or one slice of each in turn.

    Inputs: n arrays [*A, L_i, *B] of one type, equal but for L_i; to interleave equal. Result [*A, sum of L_i, *B];
    interleaved y[..., i * n + k, ...] = x_k[..., i, ...]. Numbers of rank 0 are joined to a vector.

    Attributes:
        axis: along which.
        interleave: whether slices take turns.
    """

    axis: int
    interleave: bool = False

    fresh = True
    moves = True

    def infer(self, *inputs: TensorType) -> TensorType:
        _check_types(inputs)
        first = inputs[0]
        axis = axis_in(self.axis, first.rank or 1)
        for other in inputs[1:]:
            require(
                other.rank == first.rank and _without(other.shape, axis) == _without(first.shape, axis),
                f"cannot join {other.shape} to {first.shape}: expected shapes that differ along axis {axis} only",
            )
            require(
                not self.interleave or other.shape == first.shape,
                f"cannot interleave {first.shape} and {other.shape}, which differ",
            )
        if not first.rank:
            return first.with_shape((len(inputs),))
        return first.with_shape(_with(first.shape, axis, sum(x.shape[axis] for x in inputs)))

    def run(self, *inputs: Array) -> Array:
        if not inputs[0].ndim:
            return np.stack(inputs)
        axis = axis_in(self.axis, inputs[0].ndim)
        return kernels.interleave(inputs, axis) if self.interleave else np.concatenate(inputs, axis)

    def define(self, *inputs: Array) -> Array:
        if not np.ndim(inputs[0]):
            return definitions.stack(inputs, 0)
        return definitions.concat(inputs, axis_in(self.axis, inputs[0].ndim), self.interleave)


def _check_types(inputs: Sequence[TensorType]) -> None:
    types = ", ".join(str(x.dtype) for x in inputs)
    require(len({x.dtype for x in inputs}) == 1, f"cannot join inputs of the types {types}", "Convert them to one type")


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]


def _with(shape: Shape, axis: int, length: int) -> Shape:
    return *shape[:axis], length, *shape[axis + 1 :]


@dataclass(frozen=True)
class Stack(Op):
    """y[..., k, ...] = x_k[..., ...]: the inputs side by side along a new axis.

    Inputs: n arrays [*A, *B] of one type and shape. Result [*A, n, *B].

    Attributes:
        axis: where the result has n, -rank to rank - 1 for its rank.
    """

    axis: int

    fresh = True
    moves = True

    def infer(self, *inputs: TensorType) -> TensorType:
        _check_types(inputs)
        first = inputs[0]
        axis = axis_in(self.axis, first.rank + 1)
        for other in inputs[1:]:
            require(other.shape == first.shape, f"cannot stack {first.shape} and {other.shape}, which differ")
        return check_rank(first.with_shape((*first.shape[:axis], len(inputs), *first.shape[axis:])))

    def run(self, *inputs: Array) -> Array:
        return np.stack(inputs, self.axis)

    def define(self, *inputs: Array) -> Array:
        return definitions.stack(inputs, axis_in(self.axis, inputs[0].ndim + 1))


@dataclass(frozen=True)
class Split(Op):
    """y_k = the k-th part of x along an axis.

    Input: x [*A, L, *B]. Results: [*A, L_k, *B], as many as there are parts.

    Attributes:
        axis: along which.
        parts: the L_k; or how many, of equal length.
        even: whether a number of parts must divide L; else the first ones are longer by 1 than the others.
    """

    axis: int
    parts: int | tuple[int, ...]
    even: bool = True

    moves = True

    def _sizes(self, length: int) -> Shape:
        if isinstance(self.parts, int):
            require(self.parts >= 1, f"{self.parts} parts are requested, expected at least 1")
            small, longer = divmod(length, self.parts)
            require(
                longer == 0 or not self.even, f"an axis of {length} cannot be divided into {self.parts} equal parts"
            )
            sizes = (small + 1,) * longer + (small,) * (self.parts - longer)
        else:
            sizes = self.parts
        require(
            min(sizes, default=0) >= 1 and sum(sizes) == length,
            f"the parts {sizes} do not divide an axis of {length}: expected numbers of at least 1 that add up to it",
        )
        return sizes

    def infer(self, x: TensorType) -> tuple[TensorType, ...]:
        axis = axis_in(self.axis, x.rank)
        return tuple(x.with_shape(_with(x.shape, axis, size)) for size in self._sizes(x.shape[axis]))

    @cached_property
    def _taken(self) -> Callable[[Shape], list[tuple[slice, ...]]]:
        return remembered(self._derive)

    def _derive(self, x: Shape) -> list[tuple[slice, ...]]:
        axis = axis_in(self.axis, len(x))
        ends = [0, *itertools.accumulate(self._sizes(x[axis]))]
        return [(slice(None),) * axis + (slice(*pair),) for pair in itertools.pairwise(ends)]

    def run(self, x: Array) -> tuple[Array, ...]:
        return tuple([x[taken] for taken in self._taken(x.shape)])

    def define(self, x: Array) -> tuple[Array, ...]:
        axis = axis_in(self.axis, x.ndim)
        return definitions.split(x, axis, self._sizes(x.shape[axis]))


@dataclass(frozen=True)
class Tile(Op):
    """y[i_0, i_1, ...] = x[i_0 mod n_0, i_1 mod n_1, ...]: x again and again along each axis.

    Inputs: x [n_0, n_1, ...]; without repetitions a vector of them. Result [r_0 * n_0, r_1 * n_1, ...].

    Attributes:
        repetitions: r, 1 or more each, at most one per axis of x; fewer count for the last axes. None if they are the
            second input.
    """

    repetitions: tuple[int, ...] | None

    fresh = True
    moves = True

    def _aligned(self, x: Shape, repetitions: Shape) -> Shape:
        require(
            1 <= len(repetitions) <= len(x),
            f"the repetitions {repetitions} are {len(repetitions)} numbers, expected 1 to {len(x)}, the rank of {x}",
        )
        return (1,) * (len(x) - len(repetitions)) + repetitions

    def _given(self, x: Array, repetitions: Array | None) -> Shape:
        if self.repetitions is not None:
            return self._aligned(x.shape, self.repetitions)
        assert repetitions is not None
        given = vector_in(repetitions, "repetitions")
        if min(given, default=1) < 1:
            bad_input(f"repetitions are {given}, expected numbers of at least 1")
        return self._aligned(x.shape, given)

    def infer(self, x: TensorType, repetitions: TensorType | None = None) -> TensorType | None:
        if self.repetitions is None:
            return None
        require(
            min(self.repetitions, default=1) >= 1, f"repetitions are {self.repetitions}, expected numbers of at least 1"
        )
        return _tiled(x, self._aligned(x.shape, self.repetitions))

    def infer_from(self, x: Array, repetitions: Array) -> TensorType:
        return _tiled(TensorType.of(x), self._given(x, repetitions))

    def run(self, x: Array, repetitions: Array | None = None) -> Array:
        return kernels.tile(x, self._given(x, repetitions))

    def define(self, x: Array, repetitions: Array | None = None) -> Array:
        return definitions.tile(x, self._given(x, repetitions))


def _tiled(x: TensorType, repetitions: Shape) -> TensorType:
    return x.with_shape(tuple(n * r for n, r in zip(x.shape, repetitions, strict=True)))
