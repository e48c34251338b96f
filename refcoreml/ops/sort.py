"""Operations that order elements along an axis.

Of equal elements the one with the lowest index comes first, in either direction; NaN comes last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import sort as kernels
from refcoreml.ops.base import Op, Results, Types, axis_in, bad_input, check_filled, check_places, integers_in, require
from refcoreml.types import Array, TensorType


@dataclass(frozen=True)
class ArgSort(Op):
    """y = the indices that sort x along an axis.

    x [*D]; y has the shape of x.

    Attributes:
        axis: -rank to rank - 1.
        descending: whether the largest element comes first.
        result: the type of indices; None for that of x.
    """

    axis: int
    descending: bool = False
    result: np.dtype[Any] | None = None

    fresh = True

    def infer(self, x: TensorType) -> TensorType:
        found = x.with_dtype(self.result or x.dtype)
        check_places(found.dtype, x.shape[axis_in(self.axis, x.rank)])
        return found

    def run(self, x: Array) -> Array:
        return kernels.argsort(x, self.axis, descending=self.descending).astype(self.result or x.dtype)

    def define(self, x: Array) -> Array:
        return definitions.arg_sort(x, self.axis, self.descending)


@dataclass(frozen=True)
class TopK(Op):
    """Values and indices of the K largest (or smallest) elements along an axis, best first.

    x [*A, L, *B] with L at the axis; optionally K, one element whose fraction is cut off. Both results [*A, K, *B].

    Attributes:
        k: 1 to L, or -1 for L; None if it is the second input.
        axis: -rank to rank - 1.
        smallest: whether the smallest are taken.
        strict: whether an input K out of range is an error; else it is the nearest in range.
        result: the type of indices; None for that of x.
        indices: whether they are given, else the values are the only result.
    """

    k: int | None
    axis: int = -1
    smallest: bool = False
    strict: bool = True
    result: np.dtype[Any] | None = None
    indices: bool = True

    fresh = True

    @property
    def moves(self) -> bool:  # type: ignore[override]
        """Whether indices, if there are any, are integers."""
        return not self.indices or (self.result is not None and self.result.kind in "iu")

    def infer(self, x: TensorType, k: TensorType | None = None) -> Types | None:
        check_filled(x)
        axis = axis_in(self.axis, x.rank)
        if self.indices:
            check_places(self.result or x.dtype, x.shape[axis])
        if self.k is None:
            return None
        length = x.shape[axis]
        require(self.k == -1 or 1 <= self.k <= length, self._problem(self.k, length, axis))
        return self._types(x, length if self.k == -1 else self.k)

    def infer_from(self, x: Array, k: Array) -> Types:
        return self._types(TensorType.of(x), self._count(x, k))

    def _types(self, x: TensorType, k: int) -> Types:
        axis = self.axis % x.rank
        values = x.with_shape((*x.shape[:axis], k, *x.shape[axis + 1 :]))
        return (values, values.with_dtype(self.result or x.dtype)) if self.indices else values

    def _problem(self, k: int, length: int, axis: int) -> str:
        return f"K is {k}, expected 1 to {length}, the length of axis {axis}"

    def _count(self, x: Array, given: Array | None) -> int:
        axis = self.axis % x.ndim
        length: int = x.shape[axis]
        if self.k is not None:
            return length if self.k == -1 else self.k
        assert given is not None
        k = integers_in(given, "K", 1)[0]
        if self.strict and not 1 <= k <= length:
            bad_input(self._problem(k, length, axis))
        return max(1, min(k, length))

    def run(self, x: Array, k: Array | None = None) -> Results:
        values, places = kernels.top_k(x, self._count(x, k), self.axis % x.ndim, smallest=self.smallest)
        return (values, places.astype(self.result or x.dtype)) if self.indices else values

    def define(self, x: Array, k: Array | None = None) -> Results:
        values, places = definitions.top_k(x, self._count(x, k), self.axis, self.smallest)
        return (values, places) if self.indices else values
