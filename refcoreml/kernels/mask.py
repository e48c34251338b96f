"""Choosing elements by a condition or by their place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml.types import Array


def select(condition: Array, a: Array, b: Array) -> Array:
    """y = a where condition is not 0 (NaN is not), else b. Shapes broadcast; returns the common shape."""
    return np.where(condition != 0, a, b)


def non_zero(x: Array) -> NDArray[np.intp]:
    """Return a row of indices for each element that is not 0 (NaN is not), in row-major order.

    x: [*D] of rank r. Returns [n, r].
    """
    return np.argwhere(x != 0)


def band(x: Array, lowest: int | None, highest: int | None) -> Array:
    """y = x where lowest <= column - row <= highest, else 0, in each matrix of the last two axes; None sets no bound.

    x: [*A, R, C]. Returns [*A, R, C].
    """
    rows, columns = x.shape[-2:]
    keep = np.ones((rows, columns), bool)
    # No diagonal lies beyond -rows..columns, and np.tri must not overflow.
    if highest is not None:
        keep &= np.tri(rows, columns, max(min(highest, columns), -rows), bool)
    if lowest is not None:
        keep &= ~np.tri(rows, columns, max(min(lowest, columns), -rows) - 1, bool)
    return np.where(keep, x, x.dtype.type(0))


def one_hot(x: Array, depth: int, axis: int, *, on: float, off: float, dtype: np.dtype[Any] | None = None) -> Array:
    """y[a..., d, b...] = on if x[a..., b...], truncated toward zero, is d, else off; off throughout for NaN.

    x: [*A, *B], A of rank axis. Returns [*A, depth, *B], in the type of x if none is given.
    """
    # The type of integers may name fewer places than there are.
    places = np.arange(depth, dtype=x.dtype if x.dtype.kind == "f" else np.intp).reshape(-1, *(1,) * (x.ndim - axis))
    hit = np.expand_dims(np.trunc(x) if x.dtype.kind == "f" else x, axis) == places
    number = (dtype or x.dtype).type
    y: Array = np.where(hit, number(on), number(off))
    return y
