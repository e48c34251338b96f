"""Operations whose answer jumps where rounding exchanges candidates: class ``either``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml import ops
from refcoreml.oracle.balls import Ball, Doubles, Rounding, whole
from refcoreml.oracle.rules.table import Layer, bounded


def extreme_place(x: Ball, axis: int, smallest: bool) -> Doubles:
    """Return how far the index of the extreme along an axis, kept, may be from that of the midpoints.

    Candidates are all whose interval reaches the largest lower end; equal values are candidates, since the
    specification leaves open which of several counts.
    """
    values = -x.mid if smallest else x.mid
    winner = np.expand_dims(values.argmax(axis), axis)
    shape = [1] * x.mid.ndim
    shape[axis] = -1
    distance = np.abs(np.arange(x.mid.shape[axis]).reshape(shape) - winner)
    beaten = values + x.rad < (values - x.rad).max(axis, keepdims=True)
    return np.asarray(np.where(beaten, 0, distance).max(axis, keepdims=True).astype(np.float64))


@bounded("either", ops.ArgMax, ops.ArgMin)
def _arg_extreme(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    assert isinstance(layer.op, ops.ArgMax | ops.ArgMin)
    rad = extreme_place(balls[0], layer.op.axis, layer.op.smallest)
    return [rad.reshape(results[0].shape)]


def _borders(values: Doubles, x: Ball, order: NDArray[np.intp], axis: int) -> NDArray[np.bool_]:
    """Return, between neighbours of an ascending sequence, whether all before are certainly less than all after."""
    radii = np.take_along_axis(x.rad, order, axis)
    low = np.flip(np.minimum.accumulate(np.flip(values - radii, axis), axis), axis)
    high = np.maximum.accumulate(values + radii, axis)
    count = values.shape[axis]
    return np.asarray(np.take(low, range(1, count), axis) > np.take(high, range(count - 1), axis))


@bounded("either", ops.ArgSort, ops.TopK)
def _sorted(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound sorted values: runs whose intervals overlap may be in any order; equal values, too.

    A place is then off by no more than the distance to the farthest place in its run, and a value by no more than the
    largest radius there.
    """
    x, op = balls[0], layer.op
    assert isinstance(op, ops.ArgSort | ops.TopK)
    if len(balls) > 1 and not whole(balls[1]):
        return [np.inf] * len(results)
    axis = op.axis % x.mid.ndim
    falling = op.descending if isinstance(op, ops.ArgSort) else not op.smallest
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
    # Where NaN goes is not specified.
    off, moved = (np.where(np.isnan(rows.mid).any(-1, keepdims=True), np.inf, part) for part in (off, moved))
    count = results[0].shape[axis]
    found = [np.moveaxis(part[..., :count], -1, axis).astype(np.float64) for part in (moved, off)]
    return found[1:] if isinstance(op, ops.ArgSort) else found[: len(results)]


@bounded("either", ops.NonMaximumSuppression)
def _suppressed(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound the boxes that are kept: a row has the radii of its values if all decisions that lead to it are certain.

    See `_certainly_kept`. From the first place that rounding may fill either way all are undetermined, and the number
    of boxes is off by no more than it may be.
    """
    assert isinstance(layer.op, ops.NonMaximumSuppression)
    last = layer.op.boxes_last
    boxes, scores = (ball.map(lambda v: v.swapaxes(1, 2)) if last else ball for ball in balls[:2])
    names = ("iou_threshold", "score_threshold")
    limits = [balls[2 + i] if len(balls) > 2 + i else layer.constant(name) for i, name in enumerate(names)]
    overlap_limit, score_limit = (ball.map(lambda v: v.reshape(-1)[0]) for ball in limits)
    if len(balls) > 4 and not whole(balls[4]):
        return [np.inf] * len(results)
    per_class, places = layer.op.per_class, results[2].shape[-1]
    radii = [np.zeros_like(result) for result in results]
    rows = [radius.swapaxes(1, 2) if last else radius for radius in radii[:2]] + radii[2:3]
    for item, count in enumerate((results[2] >= 0).sum(-1)):
        box, score = _item(boxes, item), _item(scores, item)
        overlap = _Overlap(box, layer.rounding)
        kept, most = _certainly_kept(overlap, score, overlap_limit, score_limit, places, per_class)
        rows[0][item, : len(kept)], rows[1][item, : len(kept)] = box.rad[kept], score.rad[kept]
        for radius in rows:
            radius[item, len(kept) : most] = np.inf
        if layer.op.counts:
            radii[3][item] = max(count - max(len(kept), 1), most - count)
    return radii


def _item(ball: Ball, index: Any) -> Ball:
    return ball.map(lambda v: v[index])


def _certainly_kept(
    overlap: _Overlap, scores: Ball, overlap_limit: Ball, score_limit: Ball, most: int, per_class: bool
) -> tuple[list[int], int]:
    """Return the boxes that every conforming implementation keeps, in this order, and how many it may keep at most.

    A box is kept next if it passes the threshold and has a greater score than all others that may be left. The box of
    the highest score of all is kept whether it passes or not. Which boxes are left after it: those that certainly do
    not pass, or overlap by more than the limit, are not; those that certainly pass and overlap by less are; of others
    nothing is known, and where one of them may come next, nor of what follows.
    """
    best = scores.map(lambda v: v.max(-1))
    low, high = best.mid - best.rad, best.mid + best.rad
    lowest, highest = score_limit.mid - score_limit.rad, score_limit.mid + score_limit.rad
    # Written so that NaN, which decides nothing, is neither certain nor excluded.
    certain, possible = low > highest, ~(high < lowest)
    candidates = ~(scores.mid + scores.rad < low[:, None])
    kept: list[int] = []
    left = np.ones(len(low), bool)  # whatever its score, the best of all is the first
    while len(kept) < most and left.any():
        first = int(np.where(left, best.mid, -np.inf).argmax())
        others = left.copy()
        others[first] = False
        if (kept and not certain[first]) or not (high[others] < low[first]).all():
            break
        kept.append(first)
        left = others & possible
        shared = overlap.of(first)
        above = shared.mid - shared.rad > overlap_limit.mid + overlap_limit.rad
        below = shared.mid + shared.rad < overlap_limit.mid - overlap_limit.rad
        if per_class:
            rivals = (candidates & candidates[first]).any(-1)
            below |= ~rivals
            above &= rivals & (candidates.sum(-1) == 1) & (candidates[first].sum() == 1)
        left &= ~above
        certain &= below
    return kept, min(most, max(len(kept) + int((left & possible).sum()), 1))


class _Overlap:
    """Intersection over union of boxes [N, 4], as far as rounding lets it be known."""

    def __init__(self, boxes: Ball, rounding: Rounding) -> None:
        self._rounding = rounding
        part = [_item(boxes, (slice(None), i)) for i in range(4)]
        half = [size.map(lambda v: v / 2) for size in part[2:]]
        # What a negative size means is not specified.
        self._open = np.logical_or(*(size.mid - size.rad < 0 for size in part[2:]))
        self._sides = [(rounding.subtract(c, h), rounding.add(c, h)) for c, h in zip(part[:2], half, strict=True)]
        self._area = rounding.multiply(*(rounding.subtract(high, low) for low, high in self._sides))

    def of(self, one: int) -> Ball:
        """Return the overlap of one box with every box: [N]."""
        r = self._rounding

        def with_one(function: Any, ball: Ball) -> Ball:
            return Ball(function(ball.mid, ball.mid[one]), np.maximum(ball.rad, ball.rad[one]))

        common = [r.subtract(with_one(np.minimum, high), with_one(np.maximum, low)) for low, high in self._sides]
        # Disjoint boxes overlap by 0, however small they are.
        apart = np.logical_or(*(extent.mid + extent.rad <= 0 for extent in common))
        intersection = r.multiply(*(Ball(np.maximum(extent.mid, 0), extent.rad) for extent in common))
        union = r.subtract(r.add(self._area, _item(self._area, one)), intersection)
        found = r.divide(intersection, union)
        rad = np.where(apart, 0.0, found.rad)
        return Ball(np.where(apart, 0.0, found.mid), np.where(self._open | self._open[one], np.inf, rad))
