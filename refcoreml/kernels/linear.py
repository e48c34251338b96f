"""Matrix and vector products, and table lookup, which is a product with one-hot vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml.kernels.reduce import l2, total
from refcoreml.kernels.threads import matmul
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


def sum_of_products(xs: Sequence[Array], terms: Sequence[str], result: str, lengths: Mapping[str, int]) -> Array:
    """z[result] = sum of xs[0][terms[0]] * xs[1][terms[1]] * ... over all letters that the result lacks.

    Two arrays are multiplied as matrices, others by NumPy's einsum.

    Args:
        xs: arrays of one type, whose axes have the lengths of their letters, or 1, which broadcasts.
        terms: the letters of the axes of each.
        result: those of the axes of z, none twice.
        lengths: what each letter stands for.

    Returns:
        A new array in the type of xs.
    """
    if len(xs) == 2 and all(len(set(term)) == len(term) for term in terms):
        return _product_of_two(xs[0], terms[0], xs[1], terms[1], result, lengths)
    z = np.einsum(f"{','.join(terms)}->{result}", *xs, optimize="greedy" if len(xs) > 2 else False)
    return np.array(z)


def _product_of_two(x: Array, left: str, y: Array, right: str, result: str, lengths: Mapping[str, int]) -> Array:
    """See `sum_of_products`; no term holds a letter twice."""
    x, left = _summed(x, left, right + result)
    y, right = _summed(y, right, left + result)
    both, inner = ([a for a in left if a in right and (a in result) == kept] for kept in (True, False))
    rows, columns = [a for a in left if a not in right], [a for a in right if a not in left]

    def matrices(values: Array, letters: str, *parts: list[str]) -> Array:
        moved = np.transpose(values, [letters.index(a) for part in (both, *parts) for a in part])
        shapes = [[lengths[a] if a in inner else values.shape[letters.index(a)] for a in part] for part in parts]
        batch = moved.shape[: len(both)]
        return np.broadcast_to(moved, (*batch, *shapes[0], *shapes[1])).reshape(*batch, *map(math.prod, shapes))

    z = batched_matmul(matrices(x, left, rows, inner), matrices(y, right, inner, columns))
    made = [*both, *rows, *columns]
    return z.reshape([lengths[a] for a in made]).transpose([made.index(a) for a in result])


def _summed(x: Array, term: str, needed: str) -> tuple[Array, str]:
    """Return x, summed along the axes whose letters are not needed, and the letters that are left."""
    axes = tuple(axis for axis, letter in enumerate(term) if letter not in needed)
    return (total(x, axes).squeeze(axes), "".join(a for a in term if a in needed)) if axes else (x, term)


def _addressable_by_blas(x: Array) -> Array:
    """Return x, copied if its matrices have a layout for which NumPy has only its slow product."""
    (rows, columns), (height, width), item = x.strides[-2:], x.shape[-2:], x.itemsize
    by_rows = columns == item and rows >= width * item
    by_columns = rows == item and columns >= height * item
    return x if by_rows or by_columns else np.ascontiguousarray(x)
