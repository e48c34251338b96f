"""Images read at positions between their pixels. Positions are exact fractions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from refcoreml.types import Array

HALF = Fraction(1, 2)


def upsample_nearest(x: Array, size: tuple[int, int]) -> Array:
    """y[..., i, j] = x[..., floor(i * H / H'), floor(j * W / W')] for the size (H', W')."""
    *batch, height, width = x.shape
    y = np.empty((*batch, *size))
    for i, j in np.ndindex(*size):
        y[..., i, j] = x[..., i * height // size[0], j * width // size[1]]
    return y


def sample_positions(start: Fraction, stop: Fraction, count: int, sampling: str) -> list[Fraction]:
    """p[i] = where an interval of length L = |stop - start| is read for output i of N, from start towards stop.

    No position is beyond the interval. A whole axis of X pixels starts at 0 and stops at X - 1.
    """
    length, positions = abs(stop - start), []
    for i in range(count):
        if sampling == "UPSAMPLE":
            p = i * (length + 1) / count
        elif sampling == "ROI_ALIGN":
            p = (i + HALF) * max(Fraction(1), length) / count
        elif sampling == "HALF_PIXEL":
            p = (i + HALF) * (length + 1) / count - HALF
        elif count > 1:  # STRICT_ALIGN_ENDPOINTS, ALIGN_ENDPOINTS
            p = i * length / (count - 1)
        else:
            p = length / 2 if sampling == "ALIGN_ENDPOINTS" else Fraction(0)
        p = min(max(p, Fraction(0)), length)
        positions.append(start + p if stop >= start else start - p)
    return positions


def read_bilinear(image: Array, p: Fraction, q: Fraction) -> float:
    """y = (1 - u) ((1 - v) x[i, j] + v x[i, j+1]) + u ((1 - v) x[i+1, j] + v x[i+1, j+1]), i + u = p, j + v = q.

    i and j are integers, u and v in [0, 1). Positions outside of the image are moved to its edge; pixels of weight 0
    are not read.
    """
    height, width = image.shape
    p, q = min(max(p, Fraction(0)), Fraction(height - 1)), min(max(q, Fraction(0)), Fraction(width - 1))
    (i, u), (j, v) = divmod(p, 1), divmod(q, 1)
    total = 0.0
    for row, up in ((i, 1 - u), (i + 1, u)):
        for column, across in ((j, 1 - v), (j + 1, v)):
            if up and across:
                total += float(up * across) * image[row, column]
    return total


def resize_bilinear(x: Array, size: tuple[int, int], sampling: str) -> Array:
    """y[..., i, j] = x read bilinearly at (p[i], q[j]), see `sample_positions`."""
    *batch, height, width = x.shape
    rows = sample_positions(Fraction(0), Fraction(height - 1), size[0], sampling)
    columns = sample_positions(Fraction(0), Fraction(width - 1), size[1], sampling)
    y = np.empty((*batch, *size))
    for b in np.ndindex(*batch):
        for i, j in np.ndindex(*size):
            y[(*b, i, j)] = read_bilinear(x[b], rows[i], columns[j])
    return y


def resize(x: Array, size: Sequence[int], sampling: str, nearest: bool) -> Array:
    """y[..., i, j, ...] = x read at (p[i], q[j], ...) along its last axes, see `sample_positions`.

    Linearly, along one axis after the other, y[i] = (1 - w) x[k] + w x[k + 1] with p[i] = k + w; at the nearest
    element, y[i] = x[floor(p[i] + 1/2)].
    """
    y = np.asarray(x, np.float64)
    for axis, length in zip(range(-len(size), 0), size, strict=True):
        parts = []
        for p in sample_positions(Fraction(0), Fraction(y.shape[axis] - 1), length, sampling):
            k, w = ((p + HALF) // 1, Fraction(0)) if nearest else divmod(p, 1)
            part = y.take(k, axis)
            parts.append(part if not w else float(1 - w) * part + float(w) * y.take(k + 1, axis))
        y = np.stack(parts, axis)
    return y


def box_corners(box: Array, centers: bool, width_first: bool, units: Sequence[float]) -> list[Fraction]:
    """(top, left, bottom, right) = the corners in pixels of a box, which center - size / 2 and center + size / 2 are.

    units: what vertical and horizontal coordinates are multiplied by.
    """
    first, last = ([Fraction(float(number)) for number in pair] for pair in (box[:2], box[2:]))
    if width_first:
        first, last = first[::-1], last[::-1]
    if centers:
        middle, half = first, [size / 2 for size in last]
        first, last = ([m + sign * h for m, h in zip(middle, half, strict=True)] for sign in (-1, 1))
    return [number * Fraction(unit) for pair in (first, last) for number, unit in zip(pair, units, strict=True)]


def crop_resize(
    images: Sequence[Array],
    boxes: Sequence[Sequence[Fraction]],
    size: tuple[int, int],
    sampling: str,
    outside: float | None = None,
) -> Array:
    """y[n, b, c, i, j] = images[n][b, c] read bilinearly at (p[i], q[j]) of box n, see `sample_positions`.

    images: for each box [B, C, H, W]; boxes: (top, left, bottom, right) in pixels; outside: y at positions outside of
    the image, None for the nearest edge.
    """
    y = np.empty((len(boxes), *images[0].shape[:2], *size))
    for n, (x, (top, left, bottom, right)) in enumerate(zip(images, boxes, strict=True)):
        rows = sample_positions(top, bottom, size[0], sampling)
        columns = sample_positions(left, right, size[1], sampling)
        for b, c, i, j in np.ndindex(*y.shape[1:]):
            within = 0 <= rows[i] <= x.shape[2] - 1 and 0 <= columns[j] <= x.shape[3] - 1
            read = within or outside is None
            y[n, b, c, i, j] = read_bilinear(x[b, c], rows[i], columns[j]) if read else outside
    return y
