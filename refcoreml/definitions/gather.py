"""Elements taken from, or put at, places that indices name.

Places are integers 0..L-1; `refcoreml.ops.Indexing` says what negative indices, fractions and others mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refcoreml.types import Array

#: How an old value and an update become one.
Combine = Callable[[Any, Any], Any]


def gather(x: Array, places: Array, axis: int, batch: int) -> Array:
    """y[n..., a..., i..., b...] = x[n..., a..., places[n..., i...], b...]; the axis stands between a and b.

    batch: how many axes n are.
    """
    first, before, after = x.shape[:batch], x.shape[batch:axis], x.shape[axis + 1 :]
    y = np.empty((*first, *before, *places.shape[batch:], *after))
    for n in np.ndindex(*first):
        for a in np.ndindex(*before):
            for i in np.ndindex(*places.shape[batch:]):
                y[n + a + i] = x[(*n, *a, places[n + i])]
    return y


def gather_nd(x: Array, places: Array, batch: int) -> Array:
    """y[n..., i..., b...] = x[n..., places[n..., i..., 0], ..., places[n..., i..., K-1], b...].

    batch: how many axes n are.
    """
    y = np.empty((*places.shape[:-1], *x.shape[batch + places.shape[-1] :]))
    for i in np.ndindex(*places.shape[:-1]):
        y[i] = x[(*i[:batch], *places[i])]
    return y


def gather_along_axis(x: Array, places: Array, axis: int) -> Array:
    """y[a..., i, b...] = x[a..., places[a..., i, b...], b...]."""
    y = np.empty(places.shape)
    for place in np.ndindex(*places.shape):
        y[place] = x[(*place[:axis], places[place], *place[axis + 1 :])]
    return y


def scatter(x: Array, places: Array, updates: Array, axis: int, combine: Combine) -> Array:
    """y = x, then y[a..., places[i...], b...] becomes combine(it, updates[a..., i..., b...]), one i after another."""
    y = x.copy()
    for i in np.ndindex(*places.shape):
        for a in np.ndindex(*x.shape[:axis]):
            for b in np.ndindex(*x.shape[axis + 1 :]):
                y[(*a, places[i], *b)] = combine(y[(*a, places[i], *b)], updates[(*a, *i, *b)])
    return y


def scatter_nd(x: Array, places: Array, updates: Array, combine: Combine) -> Array:
    """y = x, then y[places[i..., 0], ..., places[i..., K-1], b...] becomes combine(it, updates[i..., b...])."""
    y = x.copy()
    for i in np.ndindex(*places.shape[:-1]):
        for b in np.ndindex(*x.shape[places.shape[-1] :]):
            y[(*places[i], *b)] = combine(y[(*places[i], *b)], updates[(*i, *b)])
    return y


def scatter_along_axis(x: Array, places: Array, updates: Array, axis: int, combine: Combine) -> Array:
    """y = x, then y[a..., places[a..., i, b...], b...] becomes combine(it, updates[a..., i, b...])."""
    y = x.copy()
    for place in np.ndindex(*places.shape):
        target = (*place[:axis], places[place], *place[axis + 1 :])
        y[target] = combine(y[target], updates[place])
    return y
