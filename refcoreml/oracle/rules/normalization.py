"""Normalizations and reductions other than sums: composites, by ball arithmetic on their formulas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.ops.base import axes_in
from refcoreml.ops.reduce import Reduction
from refcoreml.oracle.balls import ARGUMENT, FUNCTIONS, Ball, Doubles, quantum
from refcoreml.oracle.rules.elementwise import logarithm, power
from refcoreml.oracle.rules.linear import root_of_squares
from refcoreml.oracle.rules.table import Layer, bounded


@bounded("composite", ops.Softmax)
def _softmax(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    assert isinstance(layer.op, ops.Softmax)
    return [layer.rounding.softmax(balls[0], layer.op.axis).rad]


def _per_channel(layer: Layer, name: str, axis: int, rank: int) -> Ball:
    """Return weights [C], shaped so that they broadcast along an axis."""
    shape = (-1, *(1,) * (rank - 1 - axis % rank))
    return layer.constant(name).map(lambda v: v.reshape(shape))


@bounded("composite", ops.BatchNormalization)
def _batch_normalization(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (x,), op, r = balls, layer.op, layer.rounding
    assert isinstance(op, ops.BatchNormalization)
    mean, variance, gamma, beta = (
        _per_channel(layer, name, op.axis, x.mid.ndim) for name in ("mean", "variance", "gamma", "beta")
    )
    epsilon = layer.constant("epsilon")
    y = r.normalize(x, mean, r.root(r.add(variance, epsilon)), gamma, beta)
    return [np.where(variance.mid + epsilon.mid < 0, 0.0, y.rad)]


@bounded("composite", ops.InstanceNormalization)
def _instance_normalization(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (x,), op = balls, layer.op
    assert isinstance(op, ops.InstanceNormalization)
    gamma, beta = (_per_channel(layer, name, op.axis, x.mid.ndim) for name in ("gamma", "beta"))
    return [layer.rounding.standardize(x, op.axes(x.mid.ndim), layer.constant("epsilon"), gamma, beta).rad]


@bounded("composite", ops.MeanVarianceNormalization)
def _mean_variance_normalization(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (x,), op, r = balls, layer.op, layer.rounding
    assert isinstance(op, ops.MeanVarianceNormalization)
    if op.epsilon is None:
        return [r.subtract(x, r.running_mean(x, op.axes)).rad]
    return [r.standardize(x, op.axes, layer.constant("epsilon")).rad]


@bounded("composite", ops.LayerNormalization)
def _layer_normalization(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (x,), op = balls, layer.op
    assert isinstance(op, ops.LayerNormalization)
    shape = [n if axis in axes_in(op.axes, x.mid.ndim) else 1 for axis, n in enumerate(x.mid.shape)]
    gamma, beta = (layer.constant(name).map(lambda v: v.reshape(shape)) for name in ("gamma", "beta"))
    return [layer.rounding.standardize(x, op.axes, layer.constant("epsilon"), gamma, beta).rad]


@bounded("composite", ops.L2Normalization)
def _l2_normalization(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (x,), op, r = balls, layer.op, layer.rounding
    assert isinstance(op, ops.L2Normalization)
    total = r.add(r.sum(r.square(x), op.axes), layer.constant("epsilon"))
    return [r.divide(x, r.root(total)).rad]


@bounded("composite", ops.LocalResponseNormalization)
def _local_response_normalization(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (x,), op, r = balls, layer.op, layer.rounding
    assert isinstance(op, ops.LocalResponseNormalization)
    size, axis, squares = op.size, op.axis, r.square(x)
    channels = x.mid.shape[axis]

    def windows(values: Doubles) -> Doubles:
        moved = np.moveaxis(values, axis, 0)
        sums = [moved[max(0, c - size // 2) : c + (size - 1) // 2 + 1].sum(0) for c in range(channels)]
        return np.moveaxis(np.stack(sums), 0, axis)

    total = r.summed(squares.map(windows), min(size, channels), windows(squares.size), quantum(squares))
    factor = r.divide(layer.constant("alpha"), Ball.exact(float(size)))
    scaled = r.affine(total, factor, layer.constant("k"))
    return [r.divide(x, power(layer, scaled, layer.constant("beta"))).rad]


def _size(layer: Layer, x: Ball) -> Doubles:
    """Return the reduction of the magnitudes."""
    return np.asarray(layer.op.run(x.size))


def _count(layer: Layer, x: Ball) -> int:
    """Return how many numbers become one."""
    assert isinstance(layer.op, Reduction)
    return layer.op.count(x.mid.shape)


def _along(layer: Layer, x: Ball) -> tuple[int, ...]:
    assert isinstance(layer.op, Reduction)
    return layer.op.along(x.mid.ndim)


@bounded("composite", ops.ReduceL1)
def _l1(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound a norm, which changes by at most the norm of the change."""
    (x,), (y,) = balls, results
    moved = Ball(y, np.asarray(layer.op.run(x.rad)))
    return [layer.rounding.summed(moved, _count(layer, x) - 1, _size(layer, x), quantum(x)).rad]


@bounded("composite", ops.ReduceL2)
def _l2(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound a norm, as `_l1` does."""
    (x,), (y,) = balls, results
    moved = Ball(y, np.asarray(layer.op.run(x.rad)))
    return [root_of_squares(layer.rounding, x, moved, _count(layer, x), _size(layer, x))]


@bounded("composite", ops.ReduceSumSquare)
def _sum_square(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (x,), (y,), size = balls, results, _size(layer, balls[0])
    moved = Ball(y, size - layer.op.run(np.abs(x.mid)))
    return [layer.rounding.summed(moved, _count(layer, x), size, quantum(x) ** 2).rad]


@bounded("composite", ops.ReduceProduct)
def _product(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """prod (|x| + r) - prod |x|; in some order, partial products may overflow or underflow."""
    (x,), (y,), r, size = balls, results, layer.rounding, _size(layer, balls[0])
    axes = _along(layer, x)
    logs = np.log2(np.where(x.size > 0, x.size, 1.0))
    most, least = (function(logs, 0).sum(axes, keepdims=True) for function in (np.maximum, np.minimum))
    whole = x.certain & (x.mid == np.rint(x.mid)).all(axes, keepdims=True) & (most <= -np.log2(r.unit))
    inside = (most < np.log2(r.largest)) & (least > np.log2(r.tiny))
    whole, inside = whole.reshape(y.shape), inside.reshape(y.shape)
    rounded = r.rounded(Ball(y, size - layer.op.run(np.abs(x.mid))), _count(layer, x), size).rad
    return [np.where(whole, 0.0, np.where(inside | (size == 0), rounded, np.inf))]


@bounded("composite", ops.ReduceLogSum)
def _log_sum(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (x,), (y,) = balls, results
    return [logarithm(layer, layer.rounding.sum(x, _along(layer, x))).rad.reshape(y.shape)]


@bounded("composite", ops.ReduceSumLog)
def _sum_log(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (x,), (y,), r = balls, results, layer.rounding
    shifted = r.add(x, layer.constant("epsilon"))
    return [r.sum(logarithm(layer, shifted), _along(layer, x)).rad.reshape(y.shape)]


@bounded("composite", ops.ReduceLogSumExp)
def _log_sum_exp(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound the logarithm of a sum known between S - L and S + H.

    The sum is off by a factor 1 + n u, and the maximum, which is subtracted before and added after, by a rounding each
    time.
    """
    (x,), (y,), r, axes = balls, results, layer.rounding, _along(layer, balls[0])
    terms, parts = _count(layer, x), r.exponentials(x, axes)
    total, below, above = (part.sum(axes, keepdims=True) for part in parts)
    ends = ((x.mid + sign * x.rad).max(axes, keepdims=True) for sign in (-1, 1))
    largest = np.maximum.reduce([np.abs(end) for end in ends])
    off = np.maximum(np.log1p(above / total), -np.log1p(-below / total))
    off = off + r.unit * (FUNCTIONS["log"] * np.log(terms) + ARGUMENT + largest)
    off = (off - np.log1p(-min(terms * r.unit, 1.0))).reshape(y.shape)
    certain = ~np.isfinite(y) & np.isfinite(x.rad).all(axes, keepdims=True).reshape(y.shape)
    return [np.where(certain, 0.0, r.rounded(Ball(y, off), 2.0).rad)]
