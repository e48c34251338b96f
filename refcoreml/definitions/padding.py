"""Borders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refcoreml.types import Array


def pad(x: Array, edges: Sequence[tuple[int, int]], mode: str, value: float) -> Array:
    """y[i_0, i_1, ...] = x[i_0 - before_0, i_1 - before_1, ...]; see `_source` for places outside of x.

    edges: (before, after) for each axis.
    """
    y = np.empty([before + n + after for n, (before, after) in zip(x.shape, edges, strict=True)])
    for place in np.ndindex(*y.shape):
        axes = zip(place, edges, x.shape, strict=True)
        source = [_source(i - before, n, mode) for i, (before, _), n in axes]
        y[place] = value if -1 in source else x[tuple(source)]
    return y


def _source(i: int, n: int, mode: str) -> int:
    """Return the index of the element at position i: i itself, -1 for the value, the nearest edge, or the mirror."""
    if 0 <= i < n:
        return i
    if mode == "constant":
        return -1
    if mode == "edge":
        return 0 if i < 0 else n - 1
    return -i if i < 0 else 2 * (n - 1) - i
