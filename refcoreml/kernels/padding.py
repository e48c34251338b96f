"""Adding and removing borders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from refcoreml.kernels._types import Array

#: ((top, bottom), (left, right)) in pixels, none negative.
Borders: TypeAlias = tuple[tuple[int, int], tuple[int, int]]


def pad(
    x: Array, borders: Borders, mode: Literal["constant", "reflect", "edge"] = "constant", value: float = 0.0
) -> Array:
    """Y[..., top + i, left + j] = x[..., i, j]; what is around it depends on the mode.

    For one row 1 2 3 and two pixels on either side::

        constant   v v 1 2 3 v v
        reflect    3 2 1 2 3 2 1    (the edge is not repeated; borders must be smaller than the axis)
        edge       1 1 1 2 3 3 3

    Args:
        x: [*B, H, W] float.
        borders: pixels to add.
        mode: what to fill the border with.
        value: the v of the mode ``constant``.

    Returns:
        [*B, top + H + bottom, left + W + right] in the type of x, always a new array.
    """
    widths = [(0, 0)] * (x.ndim - 2) + list(borders)
    if mode == "constant":
        return np.pad(x, widths, constant_values=x.dtype.type(value))
    return np.pad(x, widths, mode=mode)


def crop(x: Array, borders: Borders) -> Array:
    """Y = x[..., top:H - bottom, left:W - right], a view.

    Args:
        x: [*B, H, W].
        borders: pixels to remove.
    """
    (top, bottom), (left, right) = borders
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


def pad_axes(x: Array, amounts: Sequence[tuple[int, int]], value: float) -> Array:
    """Y = x with ``amounts[k] = (before, after)`` numbers ``value`` around it along axis k.

    x: [*D] float. Returns [before_k + D_k + after_k] in the type of x, always a new array.
    """
    return np.pad(x, list(amounts), constant_values=x.dtype.type(value))
