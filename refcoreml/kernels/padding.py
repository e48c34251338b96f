"""Adding and removing borders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from refcoreml.types import Array

#: (before, after), none negative, for each of the last axes.
Edges: TypeAlias = tuple[tuple[int, int], ...]
#: What to fill a border with.
Mode: TypeAlias = Literal["constant", "reflect", "edge"]


def pad(x: Array, edges: Edges, mode: Mode = "constant", value: float = 0.0) -> Array:
    """y[..., before + i] = x[..., i] along the last axes; what is around it depends on the mode.

    For one row 1 2 3 and two elements on either side::

        constant   v v 1 2 3 v v
        reflect    3 2 1 2 3 2 1    (the edge is not repeated; borders must be smaller than the axis)
        edge       1 1 1 2 3 3 3

    Args:
        x: [*B, *D].
        edges: elements to add, for each axis of D.
        mode: what to fill the border with.
        value: the v of the mode ``constant``.

    Returns:
        [*B, before + D + after] in the type of x, always a new array.
    """
    if not x.ndim:
        return x.copy()
    widths = [(0, 0)] * (x.ndim - len(edges)) + list(edges)
    if mode == "constant":
        return _fill_around(x, widths, x.dtype.type(value))
    return np.pad(x, widths, mode=mode)


def _fill_around(x: Array, widths: Sequence[tuple[int, int]], value: Any) -> Array:
    """Return x with a border of one value; a small array takes a tenth of numpy.pad's time."""
    sizes = [before + n + after for n, (before, after) in zip(x.shape, widths, strict=True)]
    y = np.empty(sizes, x.dtype)
    y[tuple([slice(before, before + n) for n, (before, _) in zip(x.shape, widths, strict=True)])] = x
    for axis, (before, after) in enumerate(widths):
        leading = (slice(None),) * axis
        if before:
            y[(*leading, slice(before))] = value
        if after:
            y[(*leading, slice(sizes[axis] - after, None))] = value
    return y


def crop(x: Array, edges: Edges) -> Array:
    """y = x[..., before:D - after] along the last axes, a view.

    Args:
        x: [*B, *D].
        edges: elements to remove, for each axis of D.
    """
    sizes = x.shape[x.ndim - len(edges) :]
    kept: tuple[Any, ...] = tuple(slice(before, n - after) for n, (before, after) in zip(sizes, edges, strict=True))
    y: Array = x[(..., *kept)]
    return y
