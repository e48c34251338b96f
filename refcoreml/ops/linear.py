"""Matrix and vector products, and the lookup in a table, which is a product with a one-hot vector."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import linear as kernels
from refcoreml.kernels.elementwise import broadcast_shape, cast
from refcoreml.ops.base import Op, axis_in, check_filled, check_floats, check_rank, invalid, require
from refcoreml.ops.gather import Indexing
from refcoreml.types import Array, Shape, TensorType

#: Indices that count from the beginning only.
FORWARD = Indexing(wrap=False)


@dataclass(frozen=True, eq=False)
class Linear(Op):
    """y[n, o] = bias[o] + sum over i of weights[o, i] * x[n, i].

    Input: x [*N, *D] with C_in numbers in *D, its last `axes` axes. Result [*N, C_out, 1, 1, ...] of the same rank and
    type.

    Attributes:
        weights: [C_out, C_in].
        bias: [C_out], or None for 0.
        axes: how many axes hold the numbers of a vector.
        int8_inputs: whether an implementation may quantize x to 8 bits by a rule of its own, which is not specified;
            `run` does not.
        by_columns: whether the weights are to be laid out column by column, which takes time once and makes products
            with many vectors faster.
    """

    weights: Array
    bias: Array | None = None
    axes: int = 1
    int8_inputs: bool = False
    by_columns: bool = False

    fresh = True

    def __post_init__(self) -> None:
        require(self.weights.ndim == 2, f"expected weights [C_out, C_in], got the shape {self.weights.shape}")
        outputs = (self.weights.shape[0],)
        given = None if self.bias is None else self.bias.shape
        require(given in (None, outputs), f"expected a bias of the shape {outputs}, got {given}")

    def infer(self, x: TensorType) -> TensorType:
        check_floats(x)
        inputs = self.weights.shape[1]
        require(x.rank >= self.axes, f"the input {x.shape} has too few axes, expected at least {self.axes}")
        features = x.shape[x.rank - self.axes :]
        require(
            math.prod(features) == inputs,
            f"the input {x.shape} has {' x '.join(map(str, features))} values a row, the weights are for {inputs}",
        )
        return x.with_shape(self._made(x.shape))

    def _made(self, x: Shape) -> Shape:
        return (*x[: len(x) - self.axes], len(self.weights), *(1,) * (self.axes - 1))

    def prepare(self) -> None:
        """Lay out the weights, which stay the same numbers and are held once."""
        if self.by_columns and not self.weights.T.flags.c_contiguous:
            object.__setattr__(self, "weights", np.ascontiguousarray(self.weights.T).T)

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
        drop: whether the axis of length 1 that a vector got is missing in the result, as in numpy.matmul.
        result: the type of the result's numbers, for integers cut off toward zero; None for that of the inputs, which
            then must be of one type.
    """

    transpose_x: bool = False
    transpose_y: bool = False
    drop: bool = False
    result: np.dtype[Any] | None = None

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
        if self.result is None:
            require(x.dtype == y.dtype, f"inputs of types {x.dtype} and {y.dtype} do not fit together")
        found = TensorType(self.result or x.dtype, (*batch, rows, columns))
        return check_rank(found.with_shape(self._dropped(found.shape, x.rank, y.rank)))

    def _dropped(self, z: Shape, *ranks: int) -> Shape:
        """Return the shape of a result without the axes that vectors got, if they are to be dropped."""
        kept = [not self.drop or rank > 1 for rank in ranks]
        return (*z[:-2], *(n for n, keep in zip(z[-2:], kept, strict=True) if keep))

    def run(self, x: Array, y: Array) -> Array:
        z = kernels.batched_matmul(_matrix(x, self.transpose_x, 0), _matrix(y, self.transpose_y, 1))
        z = z if self.result is None else cast(z, self.result)
        return z.reshape(self._dropped(z.shape, x.ndim, y.ndim)) if self.drop and 1 in (x.ndim, y.ndim) else z

    def terms(self, inputs: Sequence[TensorType]) -> int:
        """Return K."""
        return _matrix_shape(inputs[0].shape, self.transpose_x, 0)[-1]

    def work(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        """Return K multiplications for each number of the result."""
        return math.prod(outputs[0]) * _matrix_shape(inputs[0], self.transpose_x, 0)[-1]


@dataclass(frozen=True)
class Einsum(Op):
    """z = a sum of products, as an equation has it: "nk,km->nm" is z[n, m] = sum over k of x[n, k] * y[k, m].

    A letter stands for an axis, in all inputs of the same length, or 1, which broadcasts. The sum is over all letters
    that the result lacks. Inputs of one type, one for each term of the equation.

    Attributes:
        equation: terms of letters, divided by commas, "->" and the axes of the result. Without the latter they are all
            letters that occur once, in alphabetical order. Spaces do not count.
    """

    equation: str

    fresh = True

    @cached_property
    def parts(self) -> tuple[tuple[str, ...], str]:
        """The letters of the inputs, and those of the result."""
        equation = self.equation.replace(" ", "")
        left, arrow, result = equation.partition("->")
        if not arrow:
            result = "".join(letter for letter in sorted(set(left) - {","}) if left.count(letter) == 1)
        terms = tuple(left.split(","))
        letters = "".join(terms)
        require(
            set(letters + result) <= set(string.ascii_letters),
            f"the equation {self.equation!r} holds other characters than letters, commas and one arrow",
        )
        require(
            len(set(result)) == len(result) and set(result) <= set(letters),
            f"the equation {self.equation!r} names a letter of the result twice, or in no input",
        )
        return terms, result

    def lengths(self, inputs: Sequence[Shape]) -> dict[str, int]:
        """Return the length for which each letter stands."""
        terms, _ = self.parts
        require(len(inputs) == len(terms), f"{self.equation!r} is for {len(terms)} inputs, got {len(inputs)}")
        found: dict[str, int] = {}
        for term, shape in zip(terms, inputs, strict=True):
            require(
                len(term) == len(shape), f"{term!r} of {self.equation!r} does not fit an input of the shape {shape}"
            )
            own: dict[str, int] = {}
            for letter, length in zip(term, shape, strict=True):
                known = found.setdefault(letter, length)
                require(
                    own.setdefault(letter, length) == length and (length == known or 1 in (length, known)),
                    f"the letter {letter} of {self.equation!r} stands for lengths of {known} and {length}",
                )
                found[letter] = length if known == 1 else known  # 0 fits 1 too
        return found

    def infer(self, *inputs: TensorType) -> TensorType:
        require(len({x.dtype for x in inputs}) == 1, "inputs have several types", "Convert them to one type")
        lengths = self.lengths([x.shape for x in inputs])
        return check_rank(inputs[0].with_shape(tuple(lengths[letter] for letter in self.parts[1])))

    def run(self, *inputs: Array) -> Array:
        terms, result = self.parts
        lengths = self.lengths([x.shape for x in inputs])
        return kernels.sum_of_products(inputs, terms, result, lengths)

    def terms(self, inputs: Sequence[TensorType]) -> int:
        """Return how many products are added up."""
        lengths = self.lengths([x.shape for x in inputs])
        return math.prod(length for letter, length in lengths.items() if letter not in self.parts[1])

    def work(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        """Return a multiplication for each place that all letters together name, and each input after the first."""
        return math.prod(self.lengths(inputs).values()) * max(len(inputs) - 1, 1)

    def define(self, *inputs: Array) -> Array:
        terms, result = self.parts
        return definitions.einsum(inputs, terms, result, self.lengths([np.shape(x) for x in inputs]))


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
        check_floats(x, y)
        axis = axis_in(self.axis, x.rank)
        require(x.dtype == y.dtype, f"inputs of types {x.dtype} and {y.dtype} do not fit together")
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
        check_filled(x)
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
