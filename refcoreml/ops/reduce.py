"""Reductions along axes, places of extremes, and running totals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import reduce as kernels
from refcoreml.kernels.sort import arg_extreme
from refcoreml.ops.base import (
    Op,
    axes_in,
    axis_in,
    bad_input,
    check_filled,
    check_floats,
    check_kinds,
    check_places,
    integers_in,
)
from refcoreml.types import Array, Shape, TensorType


def _without(x: Shape, axes: Shape, keepdims: bool) -> Shape:
    """Return the shape of a reduction along axes 0..rank-1."""
    lengths = ((axis, 1 if axis in axes else n) for axis, n in enumerate(x))
    return tuple(n for axis, n in lengths if keepdims or axis not in axes)


@dataclass(frozen=True)
class Reduction(Op):
    """A number for each block of x along the axes.

    x [*D]; y has the type of x, and its shape without the axes. Sums and products of integers wrap around; of other
    results that are no integers the fraction is cut off.

    Attributes:
        axes: -rank to rank - 1, none twice; None for all.
        keepdims: whether they stay, with length 1.

    Class attributes:
        kernel: called with x and the axes, which it keeps.
        of_none: whether it has a result of no numbers.
    """

    axes: tuple[int, ...] | None = None
    keepdims: bool = False

    fresh = True
    of_none: ClassVar[bool] = True
    kernel: ClassVar[Callable[..., Array]]

    def along(self, rank: int) -> Shape:
        """Return the axes 0..rank-1."""
        return tuple(range(rank)) if self.axes is None else axes_in(self.axes, rank)

    def count(self, x: Shape) -> int:
        """Return how many numbers of x become one."""
        return math.prod(x[axis] for axis in self.along(len(x)))

    def infer(self, x: TensorType) -> TensorType:
        check_kinds(x, "fiu")
        if not self.of_none:
            check_filled(x)
        return x.with_shape(_without(x.shape, self.along(x.rank), self.keepdims))

    def run(self, x: Array) -> Array:
        axes = self.along(x.ndim)
        return self.compute(x.reshape(x.shape or 1), axes or (0,)).reshape(_without(x.shape, axes, self.keepdims))

    def compute(self, x: Array, axes: Shape) -> Array:
        """Run the kernel on an array of rank 1 or more."""
        return type(self).kernel(x, axes)


class _Sum(Reduction):
    def terms(self, inputs: Sequence[TensorType]) -> int:
        """Return how many numbers are added up."""
        return self.count(inputs[0].shape)


class ReduceSum(_Sum):
    """y = sum x along the axes."""

    kernel = kernels.total
    definition = definitions.reduce_sum


class ReduceMean(_Sum):
    """y = (sum x) / n along the axes, n the number of values in the sum."""

    of_none = False
    kernel = kernels.mean
    definition = definitions.reduce_mean


class ReduceProduct(Reduction):
    """y = product of x along the axes."""

    kernel = kernels.product
    definition = definitions.reduce_product


class ReduceMax(Reduction):
    """y = max x along the axes; NaN if there is one."""

    of_none = False
    moves = True
    kernel = kernels.maximum
    definition = definitions.reduce_max


class ReduceMin(Reduction):
    """y = min x along the axes; NaN if there is one."""

    of_none = False
    moves = True
    kernel = kernels.minimum
    definition = definitions.reduce_min


class ReduceL1(Reduction):
    """y = sum |x| along the axes."""

    kernel = kernels.l1
    definition = definitions.reduce_l1


class ReduceL2(Reduction):
    """y = sqrt(sum x^2) along the axes."""

    kernel = kernels.l2
    definition = definitions.reduce_l2


class ReduceSumSquare(Reduction):
    """y = sum x^2 along the axes."""

    kernel = kernels.sum_square
    definition = definitions.reduce_sum_square


class ReduceLogSum(Reduction):
    """y = ln(sum x) along the axes: -Inf for a sum of 0, NaN for one below."""

    kernel = kernels.log_of_sum
    definition = definitions.reduce_log_sum


class ReduceLogSumExp(Reduction):
    """y = ln(sum e^x) along the axes, without overflow on the way."""

    of_none = False
    kernel = kernels.log_sum_exp
    definition = definitions.reduce_log_sum_exp


@dataclass(frozen=True)
class ReduceSumLog(Reduction):
    """y = sum ln(x + epsilon) along the axes: NaN where x < -epsilon."""

    epsilon: float = 0.0

    definition = definitions.reduce_sum_log

    def infer(self, x: TensorType) -> TensorType:
        check_floats(x)
        return super().infer(x)

    def compute(self, x: Array, axes: Shape) -> Array:
        """Run the kernel on an array of rank 1 or more."""
        return kernels.log_sum(x, axes, self.epsilon)


@dataclass(frozen=True)
class _ArgExtreme(Op):
    """The place, from 0, of an extreme along an axis; of several the first, and the first NaN if there is one.

    x [*A, L, *B] with L at the axis; y [*A, *B].

    Attributes:
        axis: -rank to rank - 1.
        keepdims: whether the axis stays, with length 1.
        result: the type of places; None for that of x.
    """

    axis: int
    keepdims: bool = False
    result: np.dtype[Any] | None = None

    fresh = True
    smallest: ClassVar[bool]

    def infer(self, x: TensorType) -> TensorType:
        check_filled(x)
        axis, places = axis_in(self.axis, x.rank), x.with_dtype(self.result or x.dtype)
        check_places(places.dtype, x.shape[axis])
        return places.with_shape(_without(x.shape, (axis,), self.keepdims))

    def run(self, x: Array) -> Array:
        places = arg_extreme(x, self.axis, smallest=self.smallest).astype(self.result or x.dtype)
        return places if self.keepdims else places.squeeze(self.axis)

    def define(self, x: Array) -> Array:
        found: Array = type(self).definition(x, self.axis, self.keepdims)
        return found


class ArgMax(_ArgExtreme):
    """y = the place of the largest element along an axis; of several the first."""

    smallest = False
    definition = definitions.arg_max


class ArgMin(_ArgExtreme):
    """y = the place of the smallest element along an axis; of several the first."""

    smallest = True
    definition = definitions.arg_min


@dataclass(frozen=True)
class CumulativeSum(Op):
    """y[..., i, ...] = x[..., 0, ...] + ... + x[..., i, ...] along an axis, added up in this order.

    x [*D]; optionally the axis, one element whose fraction is cut off. y has the type and the shape of x.

    Attributes:
        axis: -rank to rank - 1; None if it is the second input.
        exclusive: whether element i itself is left out, so that the first sum is 0.
        reverse: whether to add up from the end of the axis instead.
    """

    axis: int | None
    exclusive: bool = False
    reverse: bool = False

    fresh = True

    def infer(self, x: TensorType, axis: TensorType | None = None) -> TensorType:
        check_filled(x)
        if self.axis is not None:
            axis_in(self.axis, x.rank)
        return x

    def run(self, x: Array, axis: Array | None = None) -> Array:
        return kernels.running_total(x, self._axis(x, axis), exclusive=self.exclusive, reverse=self.reverse)

    def _axis(self, x: Array, given: Array | None) -> int:
        if self.axis is not None:
            return self.axis
        assert given is not None
        axis = integers_in(given, "axis", 1)[0]
        if not -x.ndim <= axis < x.ndim:
            bad_input(f"axis is {axis}, expected {-x.ndim} to {x.ndim - 1} for rank {x.ndim}")
        return axis

    def define(self, x: Array, axis: Array | None = None) -> Array:
        return definitions.cumulative_sum(x, self._axis(x, axis), self.exclusive, self.reverse)
