"""Interpolation: class ``dot``, since it is a sum of a few products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml import ops
from refcoreml.kernels.resize import box_corners, outside_of_images
from refcoreml.kernels.sampling import Coordinates, Padding, affine_positions, positions
from refcoreml.oracle.balls import Ball, Doubles, whole
from refcoreml.oracle.rules.table import Layer, at_ends, bounded

#: Roundings that move the position of a sample, in units of its magnitude: the step, its product, start and offset.
_POSITION = 4


#: Per axis y = a + w (b - a): |b - a| <= 2 size, whose difference, product, weight and sum are rounded.
_BETWEEN = 8


@bounded("dot", ops.UpsampleNearest, ops.UpsampleBilinear, ops.ResizeBilinear, ops.Resize, ops.CropResize)
def _resized(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound an interpolation, which increases in all pixels.

    The weight w is the fraction of a position p, which is off by `_POSITION` roundings of a number up to the length of
    the axis; since the interpolant is continuous, this moves y by no more than the steepest slope between neighbours.
    """
    op, x, r = layer.op, balls[0], layer.rounding
    if isinstance(op, ops.CropResize):
        return [_cropped(layer, balls, results[0])]
    if not all(map(whole, balls[1:])):
        return [np.inf]
    rad = at_ends(layer, balls, 1)[0]
    if isinstance(op, ops.UpsampleNearest) or (isinstance(op, ops.Resize) and op.nearest):
        return [rad]
    count = op.axes if isinstance(op, ops.Resize) else 2
    axes = tuple(range(x.mid.ndim - count, x.mid.ndim))
    steepest = _steepest(x, axes, axes, [_POSITION * r.unit * x.mid.shape[axis] for axis in axes])
    size = np.broadcast_to(x.size.max(axis=axes, keepdims=True), results[0].shape)
    rad = r.rounded(Ball(results[0], rad + steepest), _BETWEEN * count, size).rad
    return [np.where(rad > 0, np.floor(rad) + 1, 0.0) if layer.integers else rad]  # rounded to the nearest integer


def _steepest(x: Ball, along: Sequence[int], over: tuple[int, ...], shifts: Sequence[Any]) -> Any:
    """Return how far positions that are off by so much move an interpolation, by the steepest slope over some axes."""
    steepest: Any = 0.0
    for axis, by in zip(along, shifts, strict=True):
        slope = np.abs(np.diff(x.mid, axis=axis)).max(axis=over, keepdims=True, initial=0.0)
        steepest = steepest + (slope + 2 * x.rad.max(axis=over, keepdims=True)) * by
    return steepest


def _cropped(layer: Layer, balls: list[Ball], y: Doubles) -> Any:
    """Bound boxes of images; whether a position lies outside may be open."""
    op, (x, boxes), r = layer.op, balls[:2], layer.rounding
    assert isinstance(op, ops.CropResize)
    rad = at_ends(layer, balls, 1)[0]
    if boxes.mid.ndim == 2:
        boxes = boxes.map(lambda v: v[:, None])
    certain = all(map(whole, balls[2:])) and (boxes.mid.shape[2] == 4 or whole(boxes.map(lambda v: v[:, :, :1])))
    if not certain or not np.isfinite(boxes.mid).all():
        return np.inf
    extent = x.mid.shape[-2:]
    factors = [float(length - 1) if op.normalized else 1.0 for length in extent]
    corners = boxes.map(lambda v: v[:, :, -4:])
    reach = 2 * float(corners.rad.max() + _POSITION * r.unit * corners.size.max()) * abs(op.scale)
    shift = [_POSITION * r.unit * length for length in extent]
    shift = [s + reach * f for s, f in zip(shift, factors, strict=True)]
    everywhere = tuple(range(x.mid.ndim))
    steepest = _steepest(x, (-2, -1), everywhere, shift)
    size = np.broadcast_to(x.size.max(axis=everywhere, keepdims=True), y.shape)
    rad = r.rounded(Ball(y, rad + steepest), 2 * _BETWEEN, size).rad
    if op.outside is None:
        return rad
    rows = box_corners(corners.mid.reshape(-1, 4), centers=op.centers, width_first=op.width_first)
    pixels = op.scale * rows * np.array(factors * 2)
    moved = np.array(shift * 2)
    below, above = (outside_of_images(pixels + sign * moved, extent, op.target, op.sampling) for sign in (-1, 1))
    here = outside_of_images(pixels, extent, op.target, op.sampling)
    open_ = ((below != here) | (above != here)).reshape(-1, *(1,) * (y.ndim - 3), *op.target)
    outside = layer.stored(op.outside)
    rad = np.where(here.reshape(open_.shape), outside.rad, rad)
    return np.where(open_, size + outside.size, rad)


# ---- Positions that inputs say ----


@bounded("dot", ops.Resample)
def _resampled(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound what coordinates read: they become positions by a factor and a sum, but for pixels, which are positions."""
    (x, places), op, u = balls, layer.op, layer.rounding.unit
    assert isinstance(op, ops.Resample)
    mirrored = op.padding in (Padding.REFLECTION, Padding.SYMMETRIC)
    found = []
    for k, length in enumerate(x.mid.shape[:1:-1]):
        part = Ball(places.mid[..., k], places.rad[..., k])
        p = positions(part.mid, length, op.coordinates, align_corners=op.align_corners)
        direct = op.coordinates is Coordinates.PIXELS
        factor = 1.0 if direct else float(length)
        roundings = _POSITION * ((not direct) + mirrored)
        found.append(Ball(p, part.rad * factor + roundings * u * (np.abs(p) + length)))
    columns, rows = found
    value = op.value if op.padding is Padding.CONSTANT else None
    return [_read(layer, balls, results[0], rows, columns, value, nearest=op.nearest)]


@bounded("dot", ops.WarpAffine)
def _warped(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound what an affine map reads: sums of three products of numbers up to 1, each rounded like the places."""
    (x, matrix), op, u = balls, layer.op, layer.rounding.unit
    assert isinstance(op, ops.WarpAffine)
    height, width = x.mid.shape[2:]
    mids = affine_positions(matrix.mid, (height, width), op.target, align_corners=op.align_corners)
    found = []
    for p, length, first in zip(mids, (height, width), (3, 0), strict=True):
        part = Ball(matrix.mid[:, first : first + 3], matrix.rad[:, first : first + 3])
        off = part.rad.sum(-1) + 2 * _POSITION * u * part.size.sum(-1)
        rad = off[:, None, None] * length / 2 + _POSITION * u * (np.abs(p) + length)
        found.append(Ball(p, np.broadcast_to(rad, p.shape)))
    rows, columns = found
    return [_read(layer, balls, results[0], rows, columns, op.value, nearest=False)]


def _read(
    layer: Layer, balls: list[Ball], y: Doubles, rows: Ball, columns: Ball, value: float | None, *, nearest: bool
) -> Doubles:
    """Return the radii of pixels read at positions [B, H', W'], between neighbours or at the nearest.

    Args:
        layer: the operation.
        balls: its inputs.
        y: its result.
        rows, columns: positions.
        value: what lies beyond the edges; None for pixels of the image.
        nearest: whether the nearest pixel is read.
    """
    x, rad = balls[0], at_ends(layer, balls, 1)[0]
    if value is not None:
        beyond, margins = layer.stored(value), ((0, 0), (0, 0), (1, 1), (1, 1))
        x = Ball(
            *(
                np.pad(part, margins, constant_values=float(of))
                for part, of in ((x.mid, beyond.mid), (x.rad, beyond.rad))
            )
        )
        rad = rad + beyond.rad
    size = x.size.max(axis=(2, 3), keepdims=True)
    if nearest:
        open_ = (_between(rows) | _between(columns))[:, None]
        return np.where(open_, size + np.abs(y), rad)
    off = _steepest(x, (2, 3), (2, 3), [ball.rad[:, None] for ball in (rows, columns)])
    return layer.rounding.rounded(Ball(y, rad + off), 2 * _BETWEEN, np.broadcast_to(size, y.shape)).rad


def _between(p: Ball) -> NDArray[np.bool_]:
    """Return where the nearest pixel is open: at halves, too, of which no specification says how they are rounded."""
    return np.asarray(np.ceil(p.mid + p.rad - 0.5) != np.floor(p.mid - p.rad + 0.5))
