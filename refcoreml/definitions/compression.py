"""Compressed constants and quantized numbers, one element at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refcoreml.types import Array, Shape


def group_of(place: Sequence[int], shape: Shape, groups: Sequence[int]) -> Shape:
    """g[a] = floor(place[a] / (shape[a] / groups[a])): to which group an element belongs along each axis."""
    return tuple(i // (n // g) for i, n, g in zip(place, shape, groups, strict=True))


def blockwise_shift_scale(data: Array, scale: Array, offset: Array | None = None) -> Array:
    """y[i...] = scale[g...] * (data[i...] - offset[g...]), g the group of i, see `group_of`; no offset is 0."""
    y = np.empty(data.shape)
    for place in np.ndindex(*data.shape):
        g = group_of(place, data.shape, scale.shape)
        y[place] = scale[g] * (data[place] - (0 if offset is None else offset[g]))
    return y


def dequantize(x: Array, scale: Array, zero_point: Array, axis: int) -> Array:
    """y[i...] = scale[k] * (x[i...] - zero_point[k]), k = i[axis]; a parameter of rank 0 holds for all k."""
    y = np.empty(x.shape)
    for i in np.ndindex(*x.shape):
        factor, zero = (value[i[axis]] if value.ndim else value for value in (scale, zero_point))
        y[i] = factor * (x[i] - zero)
    return y


def quantize(x: Array, scale: Array, zero_point: Array, axis: int, lowest: int, highest: int) -> Array:
    """y[i...] = round(x[i...] / scale[k]) + zero_point[k], k = i[axis], cut to lowest to highest; 0 for NaN.

    Halves are rounded to even. A parameter of rank 0 holds for all k.
    """
    y = np.empty(x.shape)
    for i in np.ndindex(*x.shape):
        factor, zero = (value[i[axis]] if value.ndim else value for value in (scale, zero_point))
        with np.errstate(all="ignore"):
            steps = np.round(x[i] / factor) + zero
        y[i] = 0 if np.isnan(steps) else np.clip(steps, lowest, highest)
    return y


def lut_to_dense(indices: Array, lut: Array, vector_axis: int) -> Array:
    """y[..., i * V + k, ...] = lut[g..., indices[..., i, ...], k], g the group of the index, see `group_of`.

    indices [*D]; lut [*G, P, V]; i stands at the vector axis.
    """
    *groups, _, size = lut.shape
    y = np.empty([n * size if axis == vector_axis else n for axis, n in enumerate(indices.shape)])
    for place in np.ndindex(*indices.shape):
        vector = lut[(*group_of(place, indices.shape, groups), int(indices[place]))]
        for k in range(size):
            y[tuple(i * size + k if axis == vector_axis else i for axis, i in enumerate(place))] = vector[k]
    return y


def sparse_to_dense(data: Array, mask: Array) -> Array:
    """y[i...] = the next number of data where mask[i...] is not 0, in row-major order, else 0."""
    numbers, y = iter(data), np.zeros(mask.shape)
    for place in np.ndindex(*mask.shape):
        if mask[place]:
            y[place] = next(numbers)
    return y


def dense_to_sparse(y: Array, mask: Array) -> Array:
    """x = the numbers y[i...] at places where mask[i...] is not 0, in row-major order."""
    return np.array([y[place] for place in np.ndindex(*mask.shape) if mask[place]])


def lut_to_sparse(mask: Array, indices: Array, lut: Array, vector_axis: int) -> tuple[Array, Array]:
    """y = what `lut_to_dense` makes of the indices at their places, and the mask that says where its numbers are."""
    dense = lut_to_dense(sparse_to_dense(indices, mask), lut, vector_axis)
    expanded = np.repeat(mask, lut.shape[-1], axis=vector_axis)
    return expanded, dense_to_sparse(dense, expanded)


def sparse_blockwise_shift_scale(
    mask: Array, data: Array, scale: Array, offset: Array | None = None
) -> tuple[Array, Array]:
    """y = what `blockwise_shift_scale` makes of the numbers at their places, and the mask that says where they are."""
    return mask, dense_to_sparse(blockwise_shift_scale(sparse_to_dense(data, mask), scale, offset), mask)
