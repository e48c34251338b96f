"""Elements chosen by a condition or by their place. A condition holds where a number is not 0; NaN is not 0."""

from __future__ import annotations

import math

import numpy as np

from refcoreml.types import Array


def select(condition: Array, a: Array, b: Array) -> Array:
    """y = a where the condition is not 0, else b; shapes broadcast."""
    condition, a, b = np.broadcast_arrays(condition, a, b)
    y = np.empty(condition.shape)
    for place in np.ndindex(*y.shape):
        y[place] = a[place] if condition[place] != 0 else b[place]
    return y


def non_zero(x: Array) -> Array:
    """y[n] = the indices of the n-th element that is not 0, in row-major order."""
    found = [place for place in np.ndindex(*x.shape) if x[place] != 0]
    return np.reshape(np.array(found, np.float64), (len(found), x.ndim))


def band(x: Array, lowest: int | None, highest: int | None) -> Array:
    """y = x where lowest <= column - row <= highest, else 0, in each matrix of the last two axes; None is no bound."""
    y = np.zeros(x.shape)
    for place in np.ndindex(*x.shape):
        diagonal = place[-1] - place[-2]
        if (lowest is None or lowest <= diagonal) and (highest is None or diagonal <= highest):
            y[place] = x[place]
    return y


def one_hot(x: Array, depth: int, axis: int, on: float, off: float) -> Array:
    """y[a..., d, b...] = on if x[a..., b...] without its fraction is d, else off; d stands at the axis of y."""
    axis %= x.ndim + 1
    y = np.full((*x.shape[:axis], depth, *x.shape[axis:]), off)
    for place in np.ndindex(*x.shape):
        if math.isfinite(x[place]) and 0 <= int(x[place]) < depth:
            y[(*place[:axis], int(x[place]), *place[axis:])] = on
    return y
