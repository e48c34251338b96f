"""Matrix and vector products, and table lookup, which is a product with one-hot vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml.kernels._threads import matmul
from refcoreml.kernels.reduce import l2, total
from refcoreml.types import Array


def inner_product(x: Array, weights: Array, bias: Array | None) -> Array:
    """y[n, o] = bias[o] + sum over i of weights[o, i] * x[n, i].

    x: [N, C_in]; weights: [C_out, C_in]; bias: [C_out] or None; all of one float type. Returns [N, C_out].
    """
    y: Array = matmul(x, weights.T)
    if bias is not None:
        y += bias
    return y


def embedding(indices: NDArray[np.integer[Any]], table: Array, bias: Array | None) -> Array:
    """y[n] = table[indices[n]] + bias.

    indices: [N] in [0, V); table: [V, C]; bias: [C] or None. Returns [N, C], a new array in the type of the table.
    """
    y: Array = np.take(table, indices, axis=0)
    if bias is not None:
        y += bias
    return y


def dot(x: Array, y: Array, axis: int, *, normalize: bool = False) -> Array:
    """z = sum x * y along an axis, which stays with length 1.

    With ``normalize`` it is divided by sqrt(sum x^2) and sqrt(sum y^2).

    x, y: [*D] float of equal shapes and types. A vector of zeros cannot be normalized: NaN.
    """
    z = total(x * y, (axis,))
    if normalize:
        # One after the other: the product of two norms can overflow where the quotient does not.
        z /= l2(x, (axis,))
        z /= l2(y, (axis,))
    return z


def batched_matmul(x: Array, y: Array) -> Array:
    """z[*b] = x[*b] @ y[*b], with NumPy's broadcasting of the batch axes.

    x: [*B, N, K]; y: [*B', K, M]; of one float type. Returns [*B'', N, M].
    """
    z: Array = matmul(_addressable_by_blas(x), _addressable_by_blas(y))
    return z


def _addressable_by_blas(x: Array) -> Array:
    """Return x, copied if its matrices have a layout for which NumPy has only its slow product."""
    (rows, columns), (height, width), item = x.strides[-2:], x.shape[-2:], x.itemsize
    by_rows = columns == item and rows >= width * item
    by_columns = rows == item and columns >= height * item
    return x if by_rows or by_columns else np.ascontiguousarray(x)
