"""Layers whose answer jumps where rounding exchanges candidates: class ``either``. And interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml.oracle.balls import Ball, Doubles
from refcoreml.oracle.rules.movement import at_ends, whole
from refcoreml.oracle.rules.table import Layer, bounded


def extreme_place(x: Ball, axis: int, smallest: bool) -> Doubles:
    """How far the index of the extreme along an axis, kept, may be from that of the midpoints.

    Candidates are all whose interval reaches that of the winner; equal values are candidates, since which of several
    counts is a choice that the specification leaves open.
    """
    values = -x.mid if smallest else x.mid
    winner = np.expand_dims(values.argmax(axis), axis)
    best, reach = np.take_along_axis(values, winner, axis), np.take_along_axis(x.rad, winner, axis)
    shape = [1] * x.mid.ndim
    shape[axis] = -1
    distance = np.abs(np.arange(x.mid.shape[axis]).reshape(shape) - winner)
    beaten = best - values > x.rad + reach
    return np.asarray(np.where(beaten, 0, distance).max(axis, keepdims=True).astype(np.float64))


@bounded("either", "argMax", "argMin")
def _arg_extreme(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    rad = extreme_place(balls[0], layer.params.axis, layer.step.kind == "argMin")
    return [rad.reshape(results[0].shape)]


def _order_is_certain(x: Ball, axis: int) -> NDArray[np.bool_]:
    """Along an axis, kept: whether neighbours in the order keep their places."""
    order = np.argsort(x.mid, axis, kind="stable")
    return np.asarray(_borders(np.take_along_axis(x.mid, order, axis), x, order, axis).all(axis, keepdims=True))


def _borders(values: Doubles, x: Ball, order: NDArray[np.intp], axis: int) -> NDArray[np.bool_]:
    """Between neighbours of a rising sequence: whether all that come before are certainly less than all after."""
    radii = np.take_along_axis(x.rad, order, axis)
    low = np.flip(np.minimum.accumulate(np.flip(values - radii, axis), axis), axis)
    high = np.maximum.accumulate(values + radii, axis)
    count = values.shape[axis]
    return np.asarray(np.take(low, range(1, count), axis) > np.take(high, range(count - 1), axis))


@bounded("either", "argSort", "topK")
def _sorted(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """In the order, runs of values whose intervals touch may come in any order; equal values, too.

    A place is then off by no more than the distance to the farthest place in its run, and a value by no more than the
    greatest radius there.
    """
    x, params = balls[0], layer.params
    if len(balls) > 1 and not whole(balls[1]):
        return [np.inf] * len(results)
    if np.isnan(x.mid).any():
        return [np.inf] * len(results)
    axis = params.axis % x.mid.ndim
    falling = params.descending if layer.step.kind == "argSort" else not params.useBottomK
    rows = Ball(*(np.moveaxis(part, axis, -1) for part in (-x.mid if falling else x.mid, x.rad)))
    order = np.argsort(rows.mid, -1, kind="stable")
    starts = np.ones(order.shape, bool)
    starts[..., 1:] = _borders(np.take_along_axis(rows.mid, order, -1), rows, order, -1)
    first = np.flatnonzero(starts.reshape(-1))
    run = np.cumsum(starts.reshape(-1)) - 1
    places, radii = order.reshape(-1), np.take_along_axis(rows.rad, order, -1).reshape(-1)
    low, high = (function.reduceat(places, first)[run] for function in (np.minimum, np.maximum))
    off = np.maximum(places - low, high - places).reshape(order.shape)
    moved = np.maximum.reduceat(radii, first)[run].reshape(order.shape)
    count = results[0].shape[axis]
    found = [np.moveaxis(part[..., :count], -1, axis).astype(np.float64) for part in (moved, off)]
    return found[1:] if layer.step.kind == "argSort" else found


@bounded("either", "NonMaximumSuppression")
def _suppressed(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Boxes are moved, so that the result is exact if every decision is certain, else undetermined.

    Decisions: whether a score passes the threshold, the order of the scores, the class of a box, and whether the
    overlap of two boxes is above the threshold; the last is bounded by the arithmetic of the overlap.
    """
    boxes, scores, rounding = balls[0], balls[1], layer.rounding
    names = ("iouThreshold", "scoreThreshold")
    limits = [balls[2 + i] if len(balls) > 2 + i else layer.scalar(name) for i, name in enumerate(names)]
    if len(balls) > 4 and not whole(balls[4]):
        return [np.inf] * 4
    best = scores.map(lambda v: v.max(-1))
    passing = best.mid > limits[1].mid.reshape(-1)[:1]
    away = np.abs(best.mid - limits[1].mid.reshape(-1)[:1]) > best.rad + limits[1].rad.reshape(-1)[:1]
    sure = (away | ((best.mid == limits[1].mid.reshape(-1)[:1]) & (best.rad == 0))).all(-1) & passing.any(-1)
    sure &= _order_is_certain(best, 1)[:, 0]
    if layer.params.perClassSuppression:
        sure &= (extreme_place(scores, -1, False) == 0).all((-1, -2))
    overlap = _overlap(boxes, rounding)
    limit = limits[0].map(lambda v: v.reshape(-1)[0])
    clear = (np.abs(overlap.mid - limit.mid) > overlap.rad + limit.rad) | np.eye(boxes.mid.shape[1], dtype=bool)
    sure &= clear.all((-1, -2))
    moved = [
        boxes.rad.max((1, 2), keepdims=True),
        scores.rad.max((1, 2), keepdims=True),
        np.zeros((len(sure), 1)),
        np.zeros(len(sure)),
    ]
    return [
        np.broadcast_to(np.where(sure.reshape(-1, *(1,) * (y.ndim - 1)), rad, np.inf), y.shape)
        for rad, y in zip(moved, results, strict=True)
    ]


def _overlap(boxes: Ball, r: Any) -> Ball:
    """Intersection over union of all pairs of boxes: [B, N, N]."""

    def part(i: int) -> Ball:
        return boxes.map(lambda v: v[..., i])

    sides = []
    for axis in (0, 1):
        center, half = part(axis), part(axis + 2).map(lambda v: np.abs(v) / 2)
        sides.append((r.subtract(center, half), r.add(center, half)))

    def pairs(function: Any, ball: Ball) -> Ball:
        rad = np.maximum(ball.rad[..., :, None], ball.rad[..., None, :])
        return Ball(function(ball.mid[..., :, None], ball.mid[..., None, :]), rad)

    common = [r.subtract(pairs(np.minimum, high), pairs(np.maximum, low)) for low, high in sides]
    common = [Ball(np.maximum(extent.mid, 0), extent.rad) for extent in common]
    intersection = r.multiply(*common)
    area = r.multiply(*(r.subtract(high, low) for low, high in sides))
    first, second = area.map(lambda v: v[..., :, None]), area.map(lambda v: v[..., None, :])
    union = r.subtract(r.add(first, second), intersection)
    found: Ball = r.divide(intersection, union)
    # Disjoint boxes overlap by 0, however small they are.
    apart = np.logical_or(*(extent.mid + extent.rad <= 0 for extent in common))
    return Ball(np.where(apart, 0.0, found.mid), np.where(apart, 0.0, found.rad))


#: Roundings that move the position of a sample, in units of its magnitude: the step, its product, start and offset.
_POSITION = 4


@bounded("dot", "upsample", "resizeBilinear", "cropResize")
def _resized(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Interpolation rises in all pixels. Of each of the two axes: y = a + w (b - a) has three roundings.

    The weight w is the fraction of a position p, which is off by `_POSITION` roundings of a number up to the length of
    the axis; since the interpolant is continuous, this moves y by no more than the steepest slope between neighbours.
    """
    x, r = balls[0], layer.rounding
    rad = at_ends(layer, balls, 1)[0]
    if layer.step.kind == "upsample" and layer.params.mode == layer.params.NN:
        return [rad]
    shift = [_POSITION * r.unit * length for length in x.mid.shape[-2:]]
    if layer.step.kind == "cropResize":
        boxes = balls[1]
        if boxes.mid.shape[2] == 5 and not whole(boxes.map(lambda v: v[:, :, :1])):
            return [np.inf]
        if not np.isfinite(boxes.mid).all():
            return [np.inf]
        factors = [float(length - 1) if layer.params.normalizedCoordinates else 1.0 for length in x.mid.shape[-2:]]
        scale = layer.params.spatialScale or 1.0
        corners = boxes.map(lambda v: v[:, :, -4:])
        reach = 2 * float(corners.rad.max() + _POSITION * r.unit * corners.size.max()) * abs(scale)
        shift = [s + reach * f for s, f in zip(shift, factors, strict=True)]
    axes = tuple(range(x.mid.ndim - 2, x.mid.ndim))
    if layer.step.kind == "cropResize":
        axes = tuple(range(x.mid.ndim))
    size = x.size.max(axis=axes, keepdims=True)
    steepest = 0.0
    for axis, by in zip((-2, -1), shift, strict=True):
        slope = np.abs(np.diff(x.mid, axis=axis)).max(axis=axes, keepdims=True, initial=0.0)
        steepest = steepest + (slope + 2 * x.rad.max(axis=axes, keepdims=True)) * by
    # |b - a| <= 2 size: 2 axes, each with 1 + 2 (difference, product, weight) + 1 roundings of at most 2 size.
    return [r.rounded(Ball(results[0], rad + steepest), 16, np.broadcast_to(size, results[0].shape)).rad]
