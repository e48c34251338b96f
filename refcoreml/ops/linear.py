"""Matrix and vector products, and the lookup in a table, which is a product with a one-hot vector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import linear as kernels
from refcoreml.kernels.elementwise import broadcast_shape
from refcoreml.ops.base import Op, axis_in, check_rank, invalid, require
from refcoreml.ops.gather import Indexing
from refcoreml.types import Array, Shape, TensorType

#: Indices that count from the beginning only.
FORWARD = Indexing(wrap=False)


@dataclass(frozen=True, eq=False)
class Linear(Op):
    """y[n, o] = bias[o] + sum over i of weights[o, i] * x[n, i].

    Input: x [*N, *D] with C_in numbers in *D, its last `axes` axes. Result [*N, C_out, 1, 1, ...] of the same rank.

    Attributes:
        weights: [C_out, C_in].
        bias: [C_out], or None for 0.
        axes: how many axes hold the numbers of a vector.
        int8_inputs: whether an implementation may quantize x to 8 bits by a rule of its own, which is not specified;
            `run` does not.
    """

    weights: Array
    bias: Array | None = None
    axes: int = 1
    int8_inputs: bool = False

    fresh = True

    def infer(self, x: TensorType) -> TensorType:
        inputs = self.weights.shape[1]
        require(x.rank >= self.axes, f"the input {x.shape} has too few axes, expected at least {self.axes}")
        features = x.shape[x.rank - self.axes :]
        require(
            math.prod(features) == inputs,
            f"the input {x.shape} has {' x '.join(map(str, features))} values a row, the weights are for {inputs}",
        )
        return TensorType(np.result_type(x.dtype, self.weights.dtype), self._made(x.shape))

    def _made(self, x: Shape) -> Shape:
        return (*x[: len(x) - self.axes], len(self.weights), *(1,) * (self.axes - 1))

    def run(self, x: Array) -> Array:
        vectors = x.reshape(-1, self.weights.shape[1])
        return kernels.inner_product(vectors, self.weights, self.bias).reshape(self._made(x.shape))

    def terms(self, inputs: Sequence[TensorType]) -> int:
        """Return C_in."""
        return int(self.weights.shape[1])

    def work(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        """Return a multiplication for each number of x and output."""
        return math.prod(inputs[0]) * len(self.weights)

    def define(self, x: Array) -> Array:
        return definitions.linear(np.asarray(x, np.float64), self.weights, self.bias, self.axes)


@dataclass(frozen=True)
class MatMul(Op):
    """z[b, i, j] = sum over k of x[b, i, k] * y[b, k, j], a matrix product for each place b in the leading axes.

    Inputs: x [*B, N, K] and y [*B', K, M], where *B and *B' broadcast as in NumPy; a vector stands for [1, K] as x, for
    [K, 1] as y. Result [*B'', N, M].

    Attributes:
        transpose_x, transpose_y: x is [*B, K, N], y [*B', M, K]. Nothing to a vector.
    """

    transpose_x: bool = False
    transpose_y: bool = False

    fresh = True
    definition = definitions.matmul

    def infer(self, x: TensorType, y: TensorType) -> TensorType:
        *batch_x, rows, depth = _matrix_shape(x.shape, self.transpose_x, 0)
        *batch_y, depth_y, columns = _matrix_shape(y.shape, self.transpose_y, 1)
        require(
            depth == depth_y,
            f"cannot multiply {x.shape}{' transposed' * self.transpose_x} by "
            f"{y.shape}{' transposed' * self.transpose_y}: rows of {depth} numbers, columns of {depth_y}",
        )
        try:
            batch = broadcast_shape((), tuple(batch_x), tuple(batch_y))
        except ValueError:
            invalid(f"the leading axes of {x.shape} and {y.shape} do not broadcast")
        return check_rank(TensorType(np.result_type(x.dtype, y.dtype), (*batch, rows, columns)))

    def run(self, x: Array, y: Array) -> Array:
        return kernels.batched_matmul(_matrix(x, self.transpose_x, 0), _matrix(y, self.transpose_y, 1))

    def terms(self, inputs: Sequence[TensorType]) -> int:
        """Return K."""
        return _matrix_shape(inputs[0].shape, self.transpose_x, 0)[-1]

    def work(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        """Return K multiplications for each number of the result."""
        return math.prod(outputs[0]) * _matrix_shape(inputs[0], self.transpose_x, 0)[-1]


def _matrix_shape(x: Shape, transpose: bool, new_axis: int) -> Shape:
    require(len(x) > 0, "expected matrices or vectors, got a scalar")
    if len(x) == 1:
        return (1, *x) if new_axis == 0 else (*x, 1)
    return (*x[:-2], x[-1], x[-2]) if transpose else x


def _matrix(x: Array, transpose: bool, new_axis: int) -> Array:
    """x with its last two axes exchanged, if wanted; a vector gets a second axis."""
    if x.ndim == 1:
        return x.reshape(_matrix_shape(x.shape, transpose, new_axis))
    return x.swapaxes(-1, -2) if transpose else x


@dataclass(frozen=True)
class DotProduct(Op):
    """z = sum over c of x[c] * y[c] along an axis, which stays with length 1.

    Inputs: x, y [*D] of equal shapes.

    Attributes:
        axis: the axis.
        cosine: whether to divide by the lengths of both vectors; of a vector of zeros the cosine is NaN.
    """

    axis: int
    cosine: bool = False

    fresh = True
    definition = definitions.dot_product

    def infer(self, x: TensorType, y: TensorType) -> TensorType:
        axis = axis_in(self.axis, x.rank)
        require(x.shape == y.shape, f"expected two equal shapes, got {x.shape} and {y.shape}")
        return x.with_shape((*x.shape[:axis], 1, *x.shape[axis + 1 :]))

    def run(self, x: Array, y: Array) -> Array:
        return kernels.dot(x, y, self.axis, normalize=self.cosine)

    def terms(self, inputs: Sequence[TensorType]) -> int:
        """Return the length of the axis."""
        return inputs[0].shape[self.axis]


@dataclass(frozen=True, eq=False)
class Embedding(Op):
    """y[..., c, ...] = table[x[..., 0, ...], c] + bias[c]: a row of the table for each index.

    Input: x with length 1 at the axis. The result has length C there.

    Attributes:
        table: [V, C].
        bias: [C], or None for 0.
        axis: the axis along which the row lies.
        indexing: what indices mean.
    """

    table: Array
    bias: Array | None = None
    axis: int = -1
    indexing: Indexing = FORWARD

    fresh = True

    def infer(self, x: TensorType) -> TensorType:
        axis = axis_in(self.axis, x.rank)
        require(x.shape[axis] == 1, f"expected an input of length 1 along axis {self.axis}, got {x.shape}")
        self.indexing.check(x, len(self.table))
        return TensorType(self.table.dtype, (*x.shape[:axis], self.table.shape[1], *x.shape[axis + 1 :]))

    def run(self, x: Array) -> Array:
        places = np.moveaxis(self.indexing.places(x, len(self.table)), self.axis, -1)[..., 0]
        y = kernels.embedding(places.reshape(-1), self.table, self.bias)
        return np.moveaxis(y.reshape(*places.shape, -1), -1, self.axis)

    def define(self, x: Array) -> Array:
        places = self.indexing.places(np.asarray(x), len(self.table))
        return definitions.embedding(places, self.table, self.bias, self.axis)
