"""Arrays joined, divided, repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from refcoreml.types import Array, Shape


def concat(xs: Sequence[Array], axis: int, interleave: bool) -> Array:
    """y = the slices of all xs along the axis, one array after the other; interleaved y[i * n + k] = xs[k][i].

    n is the number of arrays.
    """
    sources = [(x, i) for x in xs for i in range(x.shape[axis])]
    if interleave:
        sources = [(x, i) for i in range(xs[0].shape[axis]) for x in xs]
    before: tuple[Any, ...] = (slice(None),) * axis
    y = np.empty((*xs[0].shape[:axis], len(sources), *xs[0].shape[axis + 1 :]))
    for number, (x, i) in enumerate(sources):
        y[(*before, number)] = x[(*before, i)]
    return y


def stack(xs: Sequence[Array], axis: int) -> Array:
    """y[a..., k, b...] = xs[k][a..., b...]; the axis stands between a and b."""
    before: tuple[Any, ...] = (slice(None),) * axis
    y = np.empty((*xs[0].shape[:axis], len(xs), *xs[0].shape[axis:]))
    for k, x in enumerate(xs):
        y[(*before, k)] = x
    return y


def split(x: Array, axis: int, sizes: Shape) -> tuple[Array, ...]:
    """y_k[..., i, ...] = x[..., sizes[0] + ... + sizes[k-1] + i, ...] for i < sizes[k]."""
    before: tuple[Any, ...] = (slice(None),) * axis
    parts, start = [], 0
    for size in sizes:
        y = np.empty((*x.shape[:axis], size, *x.shape[axis + 1 :]))
        for i in range(size):
            y[(*before, i)] = x[(*before, start + i)]
        parts.append(y)
        start += size
    return tuple(parts)


def tile(x: Array, repetitions: Shape) -> Array:
    """y[i_0, i_1, ...] = x[i_0 mod n_0, i_1 mod n_1, ...], n the shape of x."""
    y = np.empty([n * r for n, r in zip(x.shape, repetitions, strict=True)])
    for place in np.ndindex(*y.shape):
        y[place] = x[tuple(i % n for i, n in zip(place, x.shape, strict=True))]
    return y
