"""Resizing of the last axes: nearest neighbour, linear, and bilinear of boxes cut out of images.

Linear sampling reads an array at positions p between its elements, one axis after the other::

    y[i] = x[k] + w * (x[k + 1] - x[k])        with k = floor(p[i]), w = p[i] - k

first along the last axis, then along those before. Where w is 0 the element itself is taken, whatever its neighbour
is. Positions are fractions of integers; k and w are computed from them without an intermediate rounding, and only
w is rounded to the type of the array. `Sampling` lists the rules that give the positions.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml.kernels.sampling import interpolate, read
from refcoreml.types import Array

__all__ = [
    "Sampling",
    "box_corners",
    "crop_resize",
    "outside_of_images",
    "resize_linear",
    "resize_nearest",
    "upsample_nearest",
]


class Sampling(enum.Enum):
    """At which positions p[i], i = 0 ... N - 1, an interval of length L is read.

    For a whole axis of X pixels L is X - 1, for a box it is the distance from its first to its last pixel. No position
    is beyond L.

    ========================  ====================================  =================================  =============
    member                    p[i]                                  for N = 1                          X = 2, N = 5
    ========================  ====================================  =================================  =============
    STRICT_ALIGN_ENDPOINTS    i * L / (N - 1)                       0                                  0 .25 .5 .75 1
    ALIGN_ENDPOINTS           i * L / (N - 1)                       L / 2                              0 .25 .5 .75 1
    UPSAMPLE                  i * (L + 1) / N                       0                                  0 .4 .8 1 1
    ROI_ALIGN                 (i + 1 / 2) * max(1, L) / N           max(1, L) / 2                      .1 .3 .5 .7 .9
    HALF_PIXEL                (i + 1 / 2) * (L + 1) / N - 1 / 2     L / 2                              0 .1 .5 .9 1
    ========================  ====================================  =================================  =============
    """

    STRICT_ALIGN_ENDPOINTS = enum.auto()
    ALIGN_ENDPOINTS = enum.auto()
    UPSAMPLE = enum.auto()
    ROI_ALIGN = enum.auto()
    HALF_PIXEL = enum.auto()


def upsample_nearest(x: Array, factors: tuple[int, int]) -> Array:
    """y[..., i, j] = x[..., floor(i / vertical), floor(j / horizontal)].

    Args:
        x: [*B, H, W].
        factors: (vertical, horizontal), integers from 1 on.

    Returns:
        [*B, H * vertical, W * horizontal] in the type of x, always a new array.
    """
    *batch, height, width = x.shape
    vertical, horizontal = factors
    y: Array = np.empty((*batch, height, vertical, width * horizontal), x.dtype)
    y[...] = x.repeat(horizontal, axis=-1)[..., None, :]
    return y.reshape(*batch, height * vertical, width * horizontal)


def resize_linear(x: Array, size: Sequence[int], sampling: Sampling) -> Array:
    """y[..., i, j, ...] = x read linearly at (p[i], q[j], ...), which follow from ``sampling`` with L = length - 1.

    Args:
        x: [*B, *D] float.
        size: lengths of the last axes of the result, one or more, at least 1 each.
        sampling: which positions are read.

    Returns:
        [*B, *size] in the type of x, always a new array.
    """
    for axis in range(-1, -len(size) - 1, -1):
        last = x.shape[axis] - 1
        lower, weight = _neighbours(*_positions(np.int64(0), np.int64(last), size[axis], sampling), last)
        upper = np.minimum(lower + 1, last)
        weight = weight.reshape(-1, *(1,) * (-1 - axis))
        x = interpolate(x.take(lower, axis), x.take(upper, axis), weight)
    return x


def resize_nearest(x: Array, size: Sequence[int], sampling: Sampling, *, down: bool = False) -> Array:
    """y[..., i, j, ...] = x at the elements nearest to the positions of `resize_linear`, halves rounded up.

    With ``down`` it is the element at or before each position. Arguments and result as there, for x of any type.
    """
    for axis in range(-1, -len(size) - 1, -1):
        numerator, denominator = _positions(np.int64(0), np.int64(x.shape[axis] - 1), size[axis], sampling)
        x = x.take((2 * numerator + (0 if down else denominator)) // (2 * denominator), axis)
    return x


def box_corners(boxes: Array, *, centers: bool = False, width_first: bool = False) -> NDArray[np.float64]:
    """Return boxes as (top, left, bottom, right), in the unit that they are given in.

    Args:
        boxes: [N, 4] float: (top, left, bottom, right), or with ``centers`` (vertical center, horizontal center,
            height, width), which is the box from center - size / 2 to center + size / 2.
        centers: whether boxes are given by center and size.
        width_first: whether the horizontal number of each pair comes first.
    """
    pairs = boxes.astype(np.float64).reshape(-1, 2, 2)
    if width_first:
        pairs = pairs[..., ::-1]
    if centers:
        center, half = pairs[:, 0], pairs[:, 1] / 2
        pairs = np.stack([center - half, center + half], axis=1)
    return pairs.reshape(-1, 4)


def crop_resize(
    x: Array,
    boxes: NDArray[np.float64],
    size: tuple[int, int],
    sampling: Sampling,
    images: NDArray[np.int64] | None = None,
) -> Array:
    """y[n, b, :, i, j] = x[b] read bilinearly at p[i] rows and q[j] columns from the top left corner of box n.

    Both corners belong to a box: its L are bottom - top and right - left. A box that ends before it begins is read
    backwards, from its first corner towards its second. Positions outside of the image are moved to its edge.

    Args:
        x: [B, C, H, W] float.
        boxes: [N, 4], (top, left, bottom, right) in pixels. NaN and infinite corners give NaN.
        size: (height, width) of the result, at least 1.
        sampling: which positions in a box are read.
        images: [N], the image of each box; None to take every box out of every image.

    Returns:
        [N, B, C, *size], or with ``images`` [N, 1, C, *size], in the type of x.
    """
    height, width = x.shape[-2:]
    batch = np.arange(len(x))[None] if images is None else images[:, None]
    top, left, bottom, right = np.where(np.isfinite(boxes), boxes, np.nan).T[..., None]
    row, row_weight = _neighbours(*_positions(top, bottom, size[0], sampling), height - 1)
    column, column_weight = _neighbours(*_positions(left, right, size[1], sampling), width - 1)
    # Channels last, so that a pixel's channels are gathered in one piece.
    pixels = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    rows, columns = (
        (row[:, None, :, None], row_weight[:, None, :, None]),
        (column[:, None, None], column_weight[:, None, None]),
    )
    return np.moveaxis(read(pixels, batch[:, :, None, None], rows, columns), -1, 2)


def outside_of_images(
    boxes: NDArray[np.float64], extent: tuple[int, int], size: tuple[int, int], sampling: Sampling
) -> NDArray[np.bool_]:
    """Return which positions of `crop_resize` lie outside of images of ``extent`` (H, W), before they are moved in.

    Returns [N, *size]; False where a position is not a number.
    """
    top, left, bottom, right = np.where(np.isfinite(boxes), boxes, np.nan).T[..., None]
    with np.errstate(invalid="ignore"):
        rows, columns = (
            (numerator < 0) | (numerator > (length - 1) * denominator)
            for (numerator, denominator), length in (
                (_positions(top, bottom, size[0], sampling), extent[0]),
                (_positions(left, right, size[1], sampling), extent[1]),
            )
        )
    return rows[:, :, None] | columns[:, None, :]


def _positions(start: Any, stop: Any, count: int, sampling: Sampling) -> tuple[NDArray[Any], int]:
    """Return positions between start and stop as numerators [..., count] and their common denominator.

    Whole numbers stay whole, so that `_neighbours` is exact for them.
    """
    i = np.arange(count)
    length = abs(stop - start)
    if sampling is Sampling.UPSAMPLE:
        numerator, denominator = i * (length + 1), count
    elif sampling is Sampling.ROI_ALIGN:
        numerator, denominator = (2 * i + 1) * np.maximum(length, 1), 2 * count
    elif sampling is Sampling.HALF_PIXEL:
        numerator, denominator = (2 * i + 1) * (length + 1) - count, 2 * count
    elif count > 1:
        numerator, denominator = i * length, count - 1
    else:
        center = sampling is Sampling.ALIGN_ENDPOINTS
        numerator, denominator = (1 + 0 * i if center else 0 * i) * length, 2
    numerator = np.clip(numerator, 0, length * denominator)
    return start * denominator + np.sign(stop - start) * numerator, denominator


def _neighbours(numerator: NDArray[Any], denominator: int, last: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the pixel at or before each position, clipped to [0, last], and the weight of the next one.

    A position that is not a number gets pixel 0 and the weight NaN.
    """
    with np.errstate(invalid="ignore"):
        pixel, rest = np.divmod(np.clip(numerator, 0, last * denominator), denominator)
    return np.nan_to_num(pixel).astype(np.int64), rest / denominator
