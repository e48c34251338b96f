"""Operations that choose elements by a condition or by their place.

A condition holds where a number is not 0; NaN is not 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import mask as kernels
from refcoreml.ops.base import (
    Op,
    bad_input,
    check_numbers,
    check_places,
    check_rank,
    common_type,
    integers_in,
    most_places,
    require,
)
from refcoreml.types import Array, TensorType


@dataclass(frozen=True)
class Select(Op):
    """y = a where the condition is not 0, else b.

    condition of any type, a and b of one type, all of shapes that broadcast as in NumPy; y has the common shape.
    """

    fresh = True
    moves = True
    definition = definitions.select

    def infer(self, condition: TensorType, a: TensorType, b: TensorType) -> TensorType:
        return check_rank(common_type(condition.with_dtype(a.dtype), a, b))

    def run(self, condition: Array, a: Array, b: Array) -> Array:
        return kernels.select(condition, a, b)


@dataclass(frozen=True)
class NonZero(Op):
    """y = the indices of the elements of x that are not 0, a row each, in row-major order.

    x of rank r, 1 or more; y [n, r], n the number of such elements. There must be one: no array is empty.

    Attributes:
        result: the type of indices; None for that of x.
    """

    result: np.dtype[Any] | None = None

    fresh = True

    def infer(self, x: TensorType) -> None:
        require(x.rank >= 1, "a single number has no indices: expected an input of rank 1 or more")
        check_places(self.result or x.dtype, *x.shape)

    def run(self, x: Array) -> Array:
        y = kernels.non_zero(x)
        if not len(y):
            bad_input(
                f"all {x.size} elements of its input are 0, so that the output would be empty",
                "Core ML has no empty values; make sure that one element is not 0",
            )
        return y.astype(self.result or x.dtype)

    def define(self, x: Array) -> Array:
        return definitions.non_zero(x)


@dataclass(frozen=True)
class Band(Op):
    """y = x where lowest <= column - row <= highest, else 0, in each matrix of the last two axes.

    x [*A, R, C]; y has its type and shape. 0 also where x is NaN or infinite.

    Attributes:
        lowest, highest: the diagonals that bound the band, 0 the main one; None for no bound.
    """

    lowest: int | None = None
    highest: int | None = None

    fresh = True
    moves = True
    definition = definitions.band

    def infer(self, x: TensorType) -> TensorType:
        require(x.rank >= 2, f"expected an input of rank 2 or more, got {x.shape}")
        return x

    def run(self, x: Array) -> Array:
        return kernels.band(x, self.lowest, self.highest)


@dataclass(frozen=True)
class OneHot(Op):
    """y[a..., d, b...] = on if x[a..., b...] is d, else off.

    x [*A, *B], whose fractions are cut off; optionally the depth, one element, likewise. y [*A, depth, *B]. Numbers
    outside of 0 to depth - 1, negative ones and NaN too, give off throughout.

    Attributes:
        depth: 1 or more; None if it is the second input.
        axis: where y has d, -rank - 1 to rank for x of that rank.
        on, off: the numbers to write.
        result: their type; None for that of x.
    """

    depth: int | None
    axis: int = -1
    on: float = 1.0
    off: float = 0.0
    result: np.dtype[Any] | None = None

    fresh = True

    def infer(self, x: TensorType, depth: TensorType | None = None) -> TensorType | None:
        rank = x.rank + 1
        require(-rank <= self.axis < rank, f"axis is {self.axis}, expected {-rank} to {rank - 1} for x {x.shape}")
        return None if self.depth is None else self._type(x, self.depth)

    def infer_from(self, x: Array, depth: Array) -> TensorType:
        return self._type(TensorType.of(x), self._depth(x, depth))

    def _type(self, x: TensorType, depth: int) -> TensorType:
        axis = self.axis % (x.rank + 1)
        if x.dtype.kind == "f":
            check_places(x.dtype, depth)
        require(depth >= 1, f"depth is {depth}, expected 1 or more")
        for name, number in (("on", self.on), ("off", self.off)):
            check_numbers(name, number, self.result or x.dtype)
        return check_rank(TensorType(self.result or x.dtype, (*x.shape[:axis], depth, *x.shape[axis:])))

    def _depth(self, x: Array, given: Array | None) -> int:
        if self.depth is not None:
            return self.depth
        assert given is not None
        depth = integers_in(given, "depth", 1)[0]
        most = most_places(x.dtype if x.dtype.kind == "f" else np.dtype(np.intp))
        if not 1 <= depth <= most:
            bad_input(f"depth is {depth}, expected 1 to {most}")
        return depth

    def run(self, x: Array, depth: Array | None = None) -> Array:
        axis = self.axis % (x.ndim + 1)
        return kernels.one_hot(x, self._depth(x, depth), axis, on=self.on, off=self.off, dtype=self.result)

    def define(self, x: Array, depth: Array | None = None) -> Array:
        return definitions.one_hot(x, self._depth(x, depth), self.axis, self.on, self.off)
