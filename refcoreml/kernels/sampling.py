"""Images read at any positions, between their pixels and beyond their edges.

A position is a pixel and the weight of the next one: k = floor(p) and w = p - k for a position p along an axis. Where w
is 0 the pixel itself is taken, whatever its neighbour is.
"""

from __future__ import annotations

import enum
import itertools
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from refcoreml.kernels.threads import for_each
from refcoreml.types import Array

#: Pixels along an axis, and the weights of those that follow them.
Positions: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float64]]
#: Numbers read at a time.
_BLOCK = 1 << 16


class Coordinates(enum.Enum):
    """Which position p along an axis of L pixels a coordinate x means; the second form is that of aligned corners.

    ==================  ======================  =======================
    member              p                       p, corners aligned
    ==================  ======================  =======================
    PIXELS              x                       x
    ZERO_TO_ONE         x * L - 1 / 2           x * (L - 1)
    MINUS_ONE_TO_ONE    (x + 1) * L / 2 - 1 / 2 (x + 1) * (L - 1) / 2
    ==================  ======================  =======================
    """

    PIXELS = enum.auto()
    ZERO_TO_ONE = enum.auto()
    MINUS_ONE_TO_ONE = enum.auto()


class Padding(enum.Enum):
    """What lies beyond the edges of an image.

    CONSTANT: a number, so that between it and a pixel of the edge both count by their weights. EDGE: the nearest pixel.
    REFLECTION: the image mirrored at the centers of the pixels of its edge, which appear once. SYMMETRIC: the image
    mirrored at its edges, half a pixel further, so that these pixels appear twice.
    """

    CONSTANT = enum.auto()
    EDGE = enum.auto()
    REFLECTION = enum.auto()
    SYMMETRIC = enum.auto()


def positions(x: Array, length: int, coordinates: Coordinates, *, align_corners: bool) -> NDArray[np.float64]:
    """Return where coordinates lie along an axis, in pixels, in double precision: see `Coordinates`."""
    p: NDArray[np.float64] = x.astype(np.float64)
    if coordinates is Coordinates.PIXELS:
        return p
    if coordinates is Coordinates.MINUS_ONE_TO_ONE:
        p = (p + 1) / 2
    return p * (length - 1) if align_corners else p * length - 0.5


def affine_positions(
    matrix: Array, extent: tuple[int, int], size: tuple[int, int], *, align_corners: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rows and columns that an affine map names for each place of a result: see `ops.WarpAffine`.

    Args:
        matrix: [B, 6].
        extent: (H, W) of the images.
        size: (H', W') of the result.
        align_corners: what -1 and 1 are.

    Returns:
        Two arrays [B, H', W'] in double precision, in pixels.
    """
    t, s = (_places(length, align_corners=align_corners) for length in size)
    a = matrix.astype(np.float64)[:, :, None, None]
    column, row = (a[:, k] * s + a[:, k + 1] * t[:, None] + a[:, k + 2] for k in (0, 3))
    rows, columns = (
        positions(x, length, Coordinates.MINUS_ONE_TO_ONE, align_corners=align_corners)
        for x, length in zip((row, column), extent, strict=True)
    )
    return rows, columns


def _places(length: int, *, align_corners: bool) -> NDArray[np.float64]:
    """Return the coordinates from -1 to 1 of so many pixels."""
    i = np.arange(length, dtype=np.float64)
    if align_corners:
        return 2 * i / (length - 1) - 1 if length > 1 else 0 * i
    return (2 * i + 1) / length - 1


def resample(
    x: Array,
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    padding: Padding,
    value: float = 0.0,
    *,
    nearest: bool = False,
) -> Array:
    """y[b, c, i, j] = x[b, c] read at (rows[b, i, j], columns[b, i, j]), bilinearly or at the nearest pixel.

    Halves are rounded to the even pixel. NaN gives NaN, and so does infinity where the image is mirrored. Blocks of
    rows of the result are shared among threads.

    Args:
        x: [B, C, H, W] float.
        rows, columns: [B, H', W'], in pixels.
        padding, value: what lies beyond the edges; the value for `Padding.CONSTANT`.
        nearest: whether the nearest pixel is taken.

    Returns:
        [B, C, H', W'] in the type of x, always a new array.
    """
    pixels = np.moveaxis(x, 1, -1)
    rim = padding is Padding.CONSTANT
    if rim:
        pixels = np.pad(pixels, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=value)
    pixels = np.ascontiguousarray(pixels)
    (batch, height, width), channels = rows.shape, x.shape[1]
    y: Array = np.empty((batch, channels, height, width), x.dtype)
    step = max(1, _BLOCK // max(1, width * channels))

    def run(item: tuple[int, int]) -> None:
        b, part = item[0], slice(item[1], item[1] + step)
        along = (
            _inside(p[b, part], length, padding, nearest=nearest)
            for p, length in zip((rows, columns), x.shape[2:], strict=True)
        )
        row, column = ((k + rim, w) for k, w in along)
        y[b, :, part] = np.moveaxis(read(pixels, b, row, column), -1, 0)

    for_each(run, list(itertools.product(range(batch), range(0, height, step))))
    return y


def _inside(p: NDArray[np.float64], length: int, padding: Padding, *, nearest: bool) -> Positions:
    """Move positions into the image, or for a constant into the image and its rim, the pixels -1 and ``length``."""
    low, high = 0.0, length - 1.0
    with np.errstate(invalid="ignore"):
        if padding is Padding.REFLECTION:
            p = _mirrored(p, high)
        elif padding is Padding.SYMMETRIC:
            p = _mirrored(p + 0.5, length) - 0.5
        elif padding is Padding.CONSTANT:
            low, high = -1.0, float(length)
        if nearest:
            p = np.rint(p)
        p = np.clip(p, low, high)
        pixel = np.floor(p)
        weight = p - pixel
    return np.nan_to_num(pixel).astype(np.int64), weight


def _mirrored(p: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """Return the place in [0, length] that p is a mirror image of, with mirrors at both ends."""
    if not length:
        return 0 * p
    rest = np.mod(p, 2 * length)
    return np.minimum(rest, 2 * length - rest)


def read(pixels: Array, images: int | NDArray[np.int64], rows: Positions, columns: Positions) -> Array:
    """y[i..., :] = the channels of an image read bilinearly, first along the row, then between two rows.

    The last pixel along an axis stands for its own neighbour.

    Args:
        pixels: [B, H, W, C] float.
        images: which of them, [*I], or one for all.
        rows, columns: positions along H and W, [*I]. All three broadcast.

    Returns:
        [*I, C], a new array in the type of the pixels.
    """
    (row, down), (column, across) = rows, columns
    bottom, right = pixels.shape[1] - 1, pixels.shape[2] - 1
    if not (np.any(down) or np.any(across)):
        found: Array = pixels[images, row, column]
        return found
    after = np.minimum(column + 1, right)

    def line(at: NDArray[np.int64]) -> Array:
        return interpolate(pixels[images, at, column], pixels[images, at, after], across[..., None])

    return interpolate(line(row), line(np.minimum(row + 1, bottom)), down[..., None])


def interpolate(x: Array, following: Array, weight: NDArray[np.float64]) -> Array:
    """x + weight * (following - x), exactly x where the weight is 0; x and ``following`` are overwritten."""
    with np.errstate(invalid="ignore"):
        following -= x
        following *= weight.astype(x.dtype)
        np.copyto(following, 0, where=weight == 0)
        x += following
    return x
