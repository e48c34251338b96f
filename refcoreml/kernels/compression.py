"""Compressed constants: integers with a scale, lookup tables, sparse numbers, and combinations of them.

Codes, indices and masks come unpacked, one to an element. Large arrays are gone over piece by piece, shared among
threads, so that beside the result little memory is needed.

Parameters are given by group: along each axis their length divides that of the data, and each stands for a block of as
many neighbours as the quotient says.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml.kernels.threads import for_each
from refcoreml.types import Array, Shape

#: Elements in a piece: few enough for the second-level cache.
_PIECE = 1 << 16
#: Where a piece lies: an index for each leading axis, and a slice of the next.
_Place = tuple[Any, ...]


# ---- Integers with a scale ----


def shift_scale(data: Array, scale: Array, offset: Array | None = None) -> Array:
    """y = scale * (data - offset), the scale and the offset of each element's block.

    Differences of integers are exact; of others they are rounded to the widest type of the three. The product is
    rounded once, to the type of the scale.

    Args:
        data: [*D], integers of 8 bits, or floats.
        scale: [*G] floats, of the same rank; each length divides that of the data.
        offset: as scale, of any type; None for 0.

    Returns:
        [*D] in the type of the scale, always a new array.
    """
    y: Array = np.empty(data.shape, scale.dtype)
    compute = _shift_scale(data, scale, offset)
    layout = _layout(data.shape, scale.shape)
    target, source = y.reshape(layout), data.reshape(layout)
    scales = _spread(scale, data.shape)
    offsets = None if offset is None else _spread(offset, data.shape)

    def run(place: _Place) -> None:
        target[place] = compute(source[place], scales[place], None if offsets is None else offsets[place])

    for_each(run, list(_pieces(layout)))
    return y


def sparse_shift_scale(mask: Array, data: Array, scale: Array, offset: Array | None = None) -> Array:
    """y = `shift_scale` of those elements only of which the mask is not 0, in row-major order.

    mask: [*D]; data: [n], as many as the mask has elements that are not 0; scale, offset: [*G], as in `shift_scale`.
    Returns [n] in the type of the scale.
    """
    y: Array = np.empty(data.shape, scale.dtype)
    compute = _shift_scale(data, scale, offset)
    scales = _spread(scale, mask.shape)
    offsets = None if offset is None else _spread(offset, mask.shape)
    for place, kept, some in _kept(mask, scale.shape):
        y[some] = compute(data[some], scales[place][kept], None if offsets is None else offsets[place][kept])
    return y


def _shift_scale(data: Array, scale: Array, offset: Array | None) -> Callable[[Array, Array, Array | None], Array]:
    """Return the function for a piece; in single precision or more, products of halves and differences are exact."""
    work = np.result_type(scale.dtype, np.float32)
    floats = [x.dtype for x in (data, offset) if x is not None and x.dtype.kind == "f"]
    halves = bool(floats) and np.result_type(scale.dtype, *floats) == np.float16

    def compute(data: Array, scale: Array, offset: Array | None) -> Array:
        difference: Array = data.astype(work)
        if offset is not None:
            difference -= offset.astype(work)
            if halves:
                difference = difference.astype(np.float16).astype(work)
        with np.errstate(over="ignore", invalid="ignore"):
            difference *= scale.astype(work)
        return difference

    return compute


def quantize(x: Array, scale: Array, zero_point: Array | None, dtype: np.dtype[Any]) -> Array:
    """y = round(x / scale) + zero point, halves to even, cut to the range of an integer type; 0 for NaN.

    x: [*D] floats; scale: floats, zero_point: integers, which broadcast to [*D]. Returns a new array [*D].
    """
    y: Array = np.empty(x.shape, dtype)
    if not x.ndim:
        return quantize(x.reshape(1), scale, zero_point, dtype).reshape(())
    limits = np.iinfo(dtype)
    scales = np.broadcast_to(scale, x.shape)
    zeros = None if zero_point is None else np.broadcast_to(zero_point, x.shape)

    def run(place: _Place) -> None:
        with np.errstate(all="ignore"):
            block = np.rint(x[place] / scales[place])
        if zeros is not None:
            block += zeros[place]
        np.copyto(block, 0, where=np.isnan(block))
        np.maximum(block, limits.min, out=block)
        y[place] = np.minimum(block, limits.max, out=block)

    for_each(run, list(_pieces(x.shape)))
    return y


# ---- Lookup tables ----


def lut_to_dense(indices: Array, lut: Array, vector_axis: int = 0) -> Array:
    """y[..., i * V + k, ...] = lut[group of the index, indices[..., i, ...], k], with i at the vector axis.

    Args:
        indices: [*D] of rank r, integers in [0, P).
        lut: [*G, P, V] of any type, r + 2 axes; each length of *G divides that of the indices.
        vector_axis: 0 to r - 1; of no effect for V = 1.

    Returns:
        [*D] in the type of the table, V times as long at the vector axis; always a new array.
    """
    shape, (*groups, entries, size) = indices.shape, lut.shape
    y: Array = np.empty([n * size if axis == vector_axis else n for axis, n in enumerate(shape)], lut.dtype)
    layout = _layout(shape, groups)
    before = len(_layout(shape[: vector_axis + 1], groups[: vector_axis + 1]))
    target = np.moveaxis(y.reshape(*layout[:before], size, *layout[before:]), before, -1)
    table, source = lut.reshape(-1, size), indices.reshape(layout)
    first = _first_entries(groups, entries, shape)

    def run(place: _Place) -> None:
        target[place] = table.take(first[place] + source[place], axis=0)

    for_each(run, list(_pieces(layout)))
    return y


def lut_to_sparse(mask: Array, indices: Array, lut: Array, vector_axis: int = 0) -> tuple[Array, Array]:
    """Return the mask and the numbers of `lut_to_dense` for those indices only of which the mask is not 0.

    Args:
        mask: [*D].
        indices: [n], as many as the mask has elements that are not 0, in row-major order.
        lut, vector_axis: as in `lut_to_dense`.

    Returns:
        The mask, V times as long at the vector axis, and [n * V] numbers, in row-major order of it.
    """
    *groups, entries, size = lut.shape
    if size > 1:  # vectors along an axis mingle in the order of the result
        dense = lut_to_dense(sparse_to_dense(indices, mask), lut, vector_axis)
        expanded: Array = mask.repeat(size, vector_axis)
        return expanded, dense[expanded != 0]
    y: Array = np.empty(indices.shape, lut.dtype)
    table, first = lut.reshape(-1), _first_entries(groups, entries, mask.shape)
    for place, kept, some in _kept(mask, groups):
        y[some] = table.take(first[place][kept] + indices[some])
    return mask, y


def _first_entries(groups: Sequence[int], entries: int, shape: Shape) -> NDArray[np.intp]:
    """Return where the table of each index's group begins in all tables, one after another: see `_spread`."""
    return _spread(np.arange(math.prod(groups), dtype=np.intp).reshape(groups) * entries, shape)


# ---- Sparse numbers ----


def sparse_to_dense(data: Array, mask: Array) -> Array:
    """y = the numbers of data, one after another, where the mask is not 0, in row-major order; 0 elsewhere.

    data: [n], as many as the mask has elements that are not 0; mask: [*D]. Returns a new array [*D].
    """
    y: Array = np.zeros(mask.shape, data.dtype)
    y[mask if mask.dtype == bool else mask != 0] = data
    return y


# ---- Groups and pieces ----


def _layout(shape: Sequence[int], groups: Sequence[int]) -> Shape:
    """Return the shape, with an axis of several groups and several elements in each as two: [groups, elements]."""
    axes = [(n,) if g in (1, n) else (g, n // g) for n, g in zip(shape, groups, strict=True)]
    return tuple(itertools.chain.from_iterable(axes))


def _spread(values: Array, shape: Shape) -> Array:
    """Return a view of values, one per group, with one per element, in the `_layout` of the shape."""
    pairs = zip(shape, values.shape, strict=True)
    axes = itertools.chain.from_iterable((g,) if g in (1, n) else (g, 1) for n, g in pairs)
    return np.broadcast_to(values.reshape(tuple(axes)), _layout(shape, values.shape))


def _pieces(shape: Shape) -> Iterator[_Place]:
    """Return where the pieces of an array lie, in row-major order."""
    axis, inner = len(shape), 1
    while axis and inner * shape[axis - 1] <= _PIECE:
        axis -= 1
        inner *= shape[axis]
    if not axis:
        yield (Ellipsis,)
        return
    step = max(1, _PIECE // inner)
    for place in np.ndindex(*shape[: axis - 1]):
        for start in range(0, shape[axis - 1], step):
            yield (*place, slice(start, start + step))


def _kept(mask: Array, groups: Sequence[int]) -> Iterator[tuple[_Place, NDArray[np.bool_], slice]]:
    """Return for each piece its place, what the mask keeps of it, and where that is among all that is kept."""
    layout = _layout(mask.shape, groups)
    flags, end = mask.reshape(layout), 0
    for place in _pieces(layout):
        kept = flags[place] != 0
        start, end = end, end + int(np.count_nonzero(kept))
        yield place, kept, slice(start, end)
