"""Where elements come from and go to: indices, gathering, scattering, slices, windows, reversal.

Kernels of this file take *positions*: integers that already lie within their axis (see `out_of_range`, `positions`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from refcoreml.types import Array

Positions: TypeAlias = NDArray[np.intp]
Mask: TypeAlias = NDArray[np.bool_]

#: How an old value o and an update u become one: ``combine(o, u)``; None puts u in the place of o.
Combine: TypeAlias = np.ufunc | Callable[[Array, Array], Array] | None


# ---- Indices ----


def longest_axis(dtype: np.dtype[Any] | type[np.floating[Any]]) -> int:
    """Return the largest length up to which a float type holds all integers exactly: 2^24 for float32."""
    return int(2 ** (np.finfo(dtype).nmant + 1))


def out_of_range(indices: Array, lengths: int | Positions, *, wrap: bool = True) -> Mask:
    """Return where an index, truncated toward zero, names no element of an axis of the given length; NaN never does.

    indices: [*D] of floats or integers. lengths: one for all, or an array that broadcasts to [*D]. wrap: whether
    -length..-1 count from the end, else they are out of range as well. Returns [*D].
    """
    whole, limits = _comparable(np.trunc(indices) if indices.dtype.kind == "f" else indices, lengths)
    lowest = -limits if wrap else np.zeros_like(limits)
    return ~((whole >= lowest) & (whole < limits))


def positions(indices: Array, lengths: int | Positions, *, wrap: bool = True) -> Positions:
    """Return the places 0..length-1 that indices name: truncated toward zero, then counted from the end if negative.

    What `out_of_range` reports becomes the nearest index that is in range, and NaN becomes 0. Arguments as there.
    """
    numbers, limits = _comparable(np.where(np.isnan(indices), 0, indices), lengths)
    lowest = -limits if wrap else np.zeros_like(limits)
    places = np.clip(numbers, lowest, limits - 1).astype(np.intp)
    return np.where(places < 0, places + limits.astype(np.intp), places)


def _comparable(indices: Array, lengths: int | Positions) -> tuple[Array, Array]:
    """Return indices and lengths in one type: for integers a wide one, which holds lengths and negative indices."""
    wide = indices if indices.dtype.kind == "f" else indices.astype(np.intp)
    return wide, np.asarray(lengths, wide.dtype)


# ---- Gathering ----


def gather(x: Array, places: Positions, axis: int) -> Array:
    """y[a..., i..., b...] = x[a..., places[i...], b...], the slices of x along one axis.

    x: [*A, L, *B]. places: [*I]. Returns [*A, *I, *B].
    """
    return np.asarray(np.take(x, places, axis=axis))


def gather_batches(x: Array, places: Positions, axis: int, batch: int) -> Array:
    """As `gather` for each place n of the first ``batch`` axes, which x and places share: places[n..., i...].

    x: [*N, *A, L, *B]. places: [*N, *I]. Returns [*N, *A, *I, *B].
    """
    first, before, after = x.shape[:batch], x.shape[batch:axis], x.shape[axis + 1 :]
    rows = x.reshape(math.prod(first), math.prod(before), x.shape[axis], math.prod(after)).swapaxes(1, 2)
    each = places.reshape(math.prod(first), -1)
    y: Array = rows[np.arange(len(rows))[:, None], each].swapaxes(1, 2)
    return y.reshape(*first, *before, *places.shape[batch:], *after)


def gather_nd(x: Array, places: Positions, batch: int = 0) -> Array:
    """y[n..., i..., b...] = x[n..., places[n..., i..., 0], ..., places[n..., i..., K-1], b...].

    x: [*N, L_0, ..., L_K-1, *B], N of ``batch`` axes. places: [*N, *I, K]. Returns [*N, *I, *B].
    """
    # With an axis more, places [K] are arrays of indices too, not integers, for which NumPy would return a view of x.
    first = np.indices((1, *places.shape[:-1]), sparse=True)[1 : 1 + batch] if batch else ()
    y: Array = x[(*first, *np.moveaxis(places[np.newaxis], -1, 0))][0]
    return y


def gather_along_axis(x: Array, places: Positions, axis: int) -> Array:
    """y[a..., i, b...] = x[a..., places[a..., i, b...], b...].

    x: [*A, L, *B]. places: [*A, I, *B], where axes other than the given one may have length 1. Returns [*A, I, *B].
    """
    return np.take_along_axis(x, places, axis)


# ---- Scattering ----


def scatter(x: Array, places: Positions, updates: Array, axis: int, combine: Combine) -> Array:
    """Return a copy of x in which each y[a..., places[i...], b...] is combined with updates[a..., i..., b...].

    x: [*A, L, *B]. places: [*I]. updates: [*A, *I, *B]. Returns [*A, L, *B]. Repeated places: see `_scatter_rows`.
    """
    y = x.copy()
    rows = np.moveaxis(y, axis, 0)
    slices = np.moveaxis(updates, range(axis, axis + places.ndim), range(places.ndim))
    _scatter_rows(rows, places.reshape(-1), slices.reshape(-1, *rows.shape[1:]), combine)
    return y


def scatter_nd(x: Array, places: Positions, updates: Array, combine: Combine) -> Array:
    """Return a copy of x in which each y[places[i..., 0], ..., places[i..., K-1], b...] is combined with updates[i...,
    b...].

    x: [L_0, ..., L_K-1, *B]. places: [*I, K]. updates: [*I, *B]. Returns the shape of x. Repeated places: see
    `_scatter_rows`.
    """
    y = x.copy()
    addressed = x.shape[: places.shape[-1]]
    rows = y.reshape(-1, *x.shape[len(addressed) :])
    numbers = np.ravel_multi_index(tuple(np.moveaxis(places, -1, 0)), addressed)
    _scatter_rows(rows, np.reshape(numbers, -1), updates.reshape(-1, *rows.shape[1:]), combine)
    return y


def scatter_along_axis(x: Array, places: Positions, updates: Array, axis: int, combine: Combine) -> Array:
    """Return a copy of x in which each y[a..., places[a..., i, b...], b...] is combined with updates[a..., i, b...].

    x: [*A, L, *B]. places, updates: [*A, I, *B]. Returns [*A, L, *B]. Repeated places: see `_scatter_rows`.
    """
    y = x.copy()
    coordinates: list[Positions] = list(np.indices(places.shape, sparse=True))
    coordinates[axis] = places
    numbers = np.ravel_multi_index(tuple(coordinates), x.shape)
    _scatter_rows(y.reshape(-1), numbers.reshape(-1), updates.reshape(-1), combine)
    return y


def _scatter_rows(rows: Array, places: Positions, updates: Array, combine: Combine) -> None:
    """rows[p] = combine(rows[p], update) for each p of places with its update, one after another, over rows.

    rows: [R, *B]. places: [n]. updates: [n, *B].
    """
    named = np.zeros(len(rows), bool)
    named[places] = True
    if np.count_nonzero(named) == len(places):
        rows[places] = updates if combine is None else combine(rows[places], updates)
        return
    # Fancy assignment takes each place once, so updates of the same place are brought together, in their order.
    order = np.argsort(places, kind="stable")
    places = places[order]
    first = np.flatnonzero(np.concatenate([[True], places[1:] != places[:-1]]))
    if combine is None:
        last = np.append(first[1:], len(places)) - 1
        rows[places[last]] = updates[order[last]]
        return
    updates = updates[order]
    if not isinstance(combine, np.ufunc):
        counts = np.diff(first, append=len(places))
        for turn in range(counts.max()):
            now = first[counts > turn]
            rows[places[now]] = combine(rows[places[now]], updates[now + turn])
        return
    if combine is np.add:
        # Reductions by np.add sum in pairs; o - (-u) is o + u in every bit, and they subtract from left to right.
        combine, updates = np.subtract, -updates
    chains = np.insert(updates, first, rows[places[first]], axis=0)
    rows[places[first]] = combine.reduceat(chains, first + np.arange(len(first)), axis=0)


# ---- Slices, windows, reversal ----


def slice_axes(x: Array, slices: Sequence[slice | int]) -> Array:
    """Return a view of x by one slice, or one index that removes the axis, per axis.

    x: [L_0, ..., L_n-1]. Returns an array of rank n less the number of indices.
    """
    y: Array = x[(*slices, ...)]
    return y


def sliding_windows(x: Array, axis: int, size: int, step: int) -> Array:
    """Return a view y[a..., m, w, b...] = x[a..., m * step + w, b...], read-only because windows overlap.

    x: [*A, L, *B]. Returns [*A, M, size, *B], M = floor((L - size) / step) + 1.
    """
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis)
    every = (slice(None),) * axis + (slice(None, None, step),)
    y: Array = np.moveaxis(windows[every], -1, axis + 1)
    return y


def reverse_sequences(x: Array, lengths: Positions, batch_axis: int, sequence_axis: int) -> Array:
    """Reverse the first n = lengths[b] entries for each b: y[b, t] = x[b, n-1-t] for t < n, else x[b, t].

    x: any shape with B at batch_axis, T at sequence_axis. lengths: [B], 0..T. Returns the shape of x.
    """
    place = np.arange(x.shape[sequence_axis])
    reversed_place = lengths[:, None] - 1 - place
    sources = np.where(reversed_place >= 0, reversed_place, place)  # [B, T]
    if batch_axis > sequence_axis:
        sources = sources.T
    others = [axis for axis in range(x.ndim) if axis not in (batch_axis, sequence_axis)]
    return gather_along_axis(x, np.expand_dims(sources, others), sequence_axis)
