"""Slices, windows and other orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from refcoreml.types import Array


def strided_slice(x: Array, places: Sequence[range | int]) -> Array:
    """y[i_0, i_1, ...] = x[places[0][i_0], places[1][i_1], ...]; an axis of which one place is taken vanishes."""
    kept = [axis for axis, taken in enumerate(places) if isinstance(taken, range)]
    ranges = [taken for taken in places if isinstance(taken, range)]
    y = np.empty([len(taken) for taken in ranges])
    for place in np.ndindex(*y.shape):
        source = [0 if isinstance(taken, range) else taken for taken in places]
        for axis, taken, i in zip(kept, ranges, place, strict=True):
            source[axis] = taken[i]
        y[place] = x[tuple(source)]
    return y


def slice_update(x: Array, update: Array, places: Sequence[range | int]) -> Array:
    """y[places[0][i_0], places[1][i_1], ...] = update[i_0, i_1, ...], and x itself everywhere else.

    An axis of which one place is taken is none of the update.
    """
    y = np.array(x)
    for i in np.ndindex(*np.shape(update)):
        remaining = iter(i)
        target = tuple(taken[next(remaining)] if isinstance(taken, range) else taken for taken in places)
        y[target] = update[i]
    return y


def sliding_windows(x: Array, axis: int, size: int, step: int) -> Array:
    """y[a..., m, w, b...] = x[a..., m * step + w, b...]; the axis stands between a and b."""
    before: tuple[Any, ...] = (slice(None),) * axis
    windows = (x.shape[axis] - size) // step + 1
    y = np.empty((*x.shape[:axis], windows, size, *x.shape[axis + 1 :]))
    for m in range(windows):
        for w in range(size):
            y[(*before, m, w)] = x[(*before, m * step + w)]
    return y


def reverse_sequence(x: Array, lengths: Array, batch_axis: int, sequence_axis: int) -> Array:
    """y[..., b, ..., t, ...] = x[..., b, ..., n-1-t, ...] for t < n = lengths[b], and x itself for other t."""
    y = np.empty(x.shape)
    for place in np.ndindex(*x.shape):
        source, n, t = list(place), lengths[place[batch_axis]], place[sequence_axis]
        if t < n:
            source[sequence_axis] = n - 1 - t
        y[place] = x[tuple(source)]
    return y
