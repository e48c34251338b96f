"""Values moved about, chosen, compared or written as they stand in the model: class ``exact``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml import ops
from refcoreml.oracle.balls import Ball, Doubles, corners, farther, quantum, whole
from refcoreml.oracle.rules.table import Layer, at_ends, bounded, unbounded

unbounded("control", "branch", "loop", "loopBreak", "loopContinue")
unbounded("random", ops.RandomNormal, ops.RandomUniform, ops.RandomBernoulli, ops.RandomCategorical)


@bounded(
    "exact",
    *(ops.Flatten2D, ops.FlattenImage, ops.ReshapeSequence, ops.ExpandDims, ops.Squeeze, ops.Transpose),
    *(ops.SpaceToDepth, ops.DepthToSpace, ops.PixelShuffle),
    *(ops.Concat, ops.Stack, ops.Split, ops.Slice, ops.SlidingWindows, ops.Reverse),
    *(ops.Crop, ops.CropLike, ops.Identity, ops.Band),
    *(ops.SpaceToBatch, ops.BatchToSpace, ops.PixelUnshuffle),
    *(ops.ReduceMax, ops.ReduceMin, ops.Maximum, ops.Minimum),
)
def _values(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    return at_ends(layer, balls, len(balls))


@bounded("interval", ops.Ceil, ops.Floor, ops.Round, ops.Sign)
def _steps(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound a step function, increasing: exact where both ends of the interval lie on the same step."""
    return at_ends(layer, balls, 1)


@bounded("exact", ops.Clip)
def _clip(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    assert isinstance(layer.op, ops.Clip)
    (y,), rad = results, at_ends(layer, balls, 1)[0]
    for limit in (layer.op.low, layer.op.high):
        rad = np.maximum(rad, np.where(np.abs(y - limit) <= rad, rad + layer.stored(limit).rad, rad))
    return [rad]


@bounded(
    "exact",
    *(ops.Reshape, ops.ReshapeLike, ops.Tile, ops.SliceDynamic, ops.SliceBySize, ops.ReverseSequence),
    *(ops.Gather, ops.GatherND, ops.GatherAlongAxis, ops.BroadcastTo, ops.BroadcastLike),
)
def _values_at(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound values that move according to shapes or indices, which must be certain."""
    shapes = isinstance(layer.op, ops.ReshapeLike | ops.BroadcastLike)
    if not shapes and not all(whole(ball) for ball in balls[1:]):
        return [np.inf] * len(results)
    return at_ends(layer, balls, 1)


@bounded("exact", ops.SliceUpdate)
def _updated(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound values of one tensor beside those of another one, at certain places."""
    return at_ends(layer, balls, 2) if all(map(whole, balls[2:])) else [np.inf]


@bounded("exact", ops.Pad)
def _padded(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound values that move, and a number that surrounds them."""
    if len(balls) > 1 and not whole(balls[1]):
        return [np.inf]
    assert isinstance(layer.op, ops.Pad)
    value = layer.op.value
    return [at_ends(layer, balls, 1)[0] + np.where(results[0] == value, layer.stored(value).rad, 0.0)]


@bounded("ulp", ops.Scatter, ops.ScatterND, ops.ScatterAlongAxis)
def _scattered(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Update at certain places: moved, added up, multiplied, or compared."""
    container, indices, updates = balls
    if not whole(indices):
        return [np.inf]
    assert isinstance(layer.op, ops.Scatter | ops.ScatterND | ops.ScatterAlongAxis)
    mode, middle = layer.op.mode, results[0]
    ends = [layer.run(c, indices.mid, u) for c, u in corners(container, updates)]
    if mode in ("update", "max", "min"):
        return [farther(middle, *ends)]
    if mode in ("add", "sub"):
        size = layer.run(container.size, indices.mid, updates.size if mode == "add" else -updates.size)
        total = Ball(middle, farther(middle, *ends))
        terms = min(quantum(container), quantum(updates))
        return [layer.rounding.summed(total, indices.mid.size, size, terms).rad]
    # Products and quotients: each factor known within its relative error, the magnitudes at their worst.
    least = np.abs(updates.mid) - updates.rad if mode == "div" else updates.size
    size = layer.run(container.size, indices.mid, least)
    rad = np.where((least > 0).all(), size - np.abs(middle), np.inf) if mode == "div" else size - np.abs(middle)
    return [layer.rounding.rounded(Ball(middle, rad), 2 * indices.mid.size, size).rad]


@bounded("exact", ops.Constant)
def _loaded(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound numbers of the model."""
    return [layer.constant("value").rad]


@bounded("exact", ops.Fill, ops.FillLike)
def _filled(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound a number of the model."""
    assert isinstance(layer.op, ops.Fill | ops.FillLike)
    if isinstance(layer.op, ops.Fill) and layer.op.shape is None and not whole(balls[0]):
        return [np.inf]
    return [layer.stored(layer.op.value).rad]


@bounded("exact", ops.ShapeOf)
def _shape_of(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    return [layer.keep(Ball.exact(results[0])).rad]


@bounded("ulp", ops.Range)
def _range(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Start + i * step, with one rounding for the product and one for the sum."""
    if not all(ball.certain for ball in balls):
        return [np.inf]
    given = iter([ball.map(np.ravel) for ball in balls])
    names = ("end", "start", "step")
    _, start, step = (next(given) if getattr(layer.op, name) is None else layer.constant(name) for name in names)
    i = np.arange(results[0].size, dtype=np.float64)
    return [layer.rounding.add(start, layer.rounding.multiply(Ball.exact(i), step)).rad]


@bounded("exact", ops.Equal, ops.NotEqual, ops.Less, ops.LessEqual, ops.Greater, ops.GreaterEqual)
def _compared(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """0 or 1: open where the intervals touch."""
    a, b = balls if len(balls) == 2 else (balls[0], layer.constant("other"))
    rad = a.rad + b.rad
    return [np.where((rad > 0) & ~(np.abs(a.mid - b.mid) > rad), 1.0, 0.0)]


def certainly(ball: Ball) -> NDArray[np.bool_]:
    """Return where it is certain whether a value is 0."""
    return np.asarray((np.abs(ball.mid) > ball.rad) | (ball.rad == 0))


@bounded("exact", ops.LogicalAnd, ops.LogicalOr, ops.LogicalXor, ops.LogicalNot)
def _logical(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    certain = np.ones(results[0].shape, bool)
    for ball in balls:
        certain = certain & certainly(ball)
    return [np.where(certain, 0.0, 1.0)]


@bounded("exact", ops.NonZero)
def _where_non_zero(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    return [layer.keep(Ball.exact(results[0])).rad if certainly(balls[0]).all() else np.inf]


@bounded("exact", ops.OneHot)
def _one_hot(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    if not all(map(whole, balls)):
        return [np.inf]
    assert isinstance(layer.op, ops.OneHot)
    on, off = layer.op.on, layer.op.off
    return [np.where(results[0] == on, layer.stored(on).rad, layer.stored(off).rad)]


@bounded("exact", ops.Select)
def _where(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    condition, a, b = balls
    chosen = np.where(condition.mid != 0, a.rad, b.rad)
    return [np.where(certainly(condition), chosen, np.abs(a.mid - b.mid) + np.maximum(a.rad, b.rad))]


@bounded("exact", ops.Embedding)
def _embedding(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound rows of a table at certain places, plus a bias."""
    assert isinstance(layer.op, ops.Embedding)
    if not whole(balls[0]):
        return [np.inf]
    rad = layer.run_variant("radii", balls[0].mid)
    if layer.op.bias is None:
        return [rad]
    y = layer.rounding.rounded(Ball(results[0], np.asarray(rad)))
    return [layer.keep(y).rad]
