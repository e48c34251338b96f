"""Matrix and vector products, and lookups in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from refcoreml.types import Array


def linear(x: Array, weights: Array, bias: Array | None, axes: int) -> Array:
    """y[n, o] = bias[o] + sum over i of weights[o, i] * x[n, i].

    The last ``axes`` axes of x are one vector x[n], in row-major order. In the result they have the lengths (C_out, 1,
    1, ...), one for each of them.
    """
    outputs, inputs = weights.shape
    leading = x.shape[: x.ndim - axes]
    vectors = x.reshape(-1, inputs)
    y = np.zeros((len(vectors), outputs))
    for n, o in np.ndindex(*y.shape):
        for i in range(inputs):
            y[n, o] += weights[o, i] * vectors[n, i]
        y[n, o] += 0 if bias is None else bias[o]
    return y.reshape(*leading, outputs, *[1] * (axes - 1))


def matmul(x: Array, y: Array, transpose_x: bool, transpose_y: bool, drop: bool, result: object = None) -> Array:
    """z[b, i, j] = sum over k of x[b, i, k] * y[b, k, j], for each place b in the leading axes, which broadcast.

    A vector stands for [1, K] as x, for [K, 1] as y; the axis of 1 may be dropped from the result. A transposed x is
    given as [K, N], y as [M, K]. The type of the result does not matter here.
    """
    vectors = [-2] * (x.ndim == 1) + [-1] * (y.ndim == 1)
    x = x[None] if x.ndim == 1 else x.swapaxes(-1, -2) if transpose_x else x
    y = y[:, None] if y.ndim == 1 else y.swapaxes(-1, -2) if transpose_y else y
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x, y = np.broadcast_to(x, (*batch, *x.shape[-2:])), np.broadcast_to(y, (*batch, *y.shape[-2:]))
    z = np.zeros((*batch, x.shape[-2], y.shape[-1]))
    for *b, i, j in np.ndindex(*z.shape):
        for k in range(x.shape[-1]):
            z[(*b, i, j)] += x[(*b, i, k)] * y[(*b, k, j)]
    return z.squeeze(tuple(vectors)) if drop else z


def einsum(xs: Sequence[Array], terms: Sequence[str], result: str, lengths: Mapping[str, int]) -> Array:
    """z[result] = sum of xs[0][terms[0]] * xs[1][terms[1]] * ... over all letters that the result lacks.

    A letter stands for an index below its length; along an axis of length 1 for 0.
    """
    z = np.zeros([lengths[letter] for letter in result])
    for place in np.ndindex(*lengths.values()):
        index = dict(zip(lengths, place, strict=True))
        product = 1.0
        for x, term in zip(xs, terms, strict=True):
            product *= x[tuple(index[a] if n > 1 else 0 for a, n in zip(term, x.shape, strict=True))]
        z[tuple(index[a] for a in result)] += product
    return z


def dot_product(x: Array, y: Array, axis: int, cosine: bool) -> Array:
    """z = sum over c of x[c] * y[c] along the axis, which stays with length 1; as cosine divided by |x| |y|."""
    x, y = np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1)
    z = np.zeros((*x.shape[:-1], 1))
    for place in np.ndindex(*x.shape[:-1]):
        products, squares_x, squares_y = 0.0, 0.0, 0.0
        for a, b in zip(x[place], y[place], strict=True):
            products, squares_x, squares_y = products + a * b, squares_x + a * a, squares_y + b * b
        z[place] = products / (np.sqrt(squares_x) * np.sqrt(squares_y)) if cosine else products
    return np.moveaxis(z, -1, axis)


def embedding(places: Array, table: Array, bias: Array | None, axis: int) -> Array:
    """y[..., c, ...] = table[places[..., 0, ...], c] + bias[c]: along the axis, of length 1, a row of the table."""
    found = np.moveaxis(places, axis, -1)
    y = np.zeros((*found.shape[:-1], table.shape[1]))
    for *place, c in np.ndindex(*y.shape):
        y[(*place, c)] = table[found[(*place, 0)], c] + (0 if bias is None else bias[c])
    return np.moveaxis(y, -1, axis)
