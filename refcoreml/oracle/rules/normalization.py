"""Normalizations and reductions other than sums: composites, by ball arithmetic on their formulas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.ops.base import axes_in
from refcoreml.oracle.balls import ARGUMENT, FUNCTIONS, Ball, Doubles, quantum
from refcoreml.oracle.rules.elementwise import logarithm, power
from refcoreml.oracle.rules.linear import root_of_squares
from refcoreml.oracle.rules.movement import at_ends, enum_name
from refcoreml.oracle.rules.order import extreme_place
from refcoreml.oracle.rules.table import Layer, bounded


@bounded("composite", ops.Softmax)
def _softmax(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    assert isinstance(layer.op, ops.Softmax)
    return [layer.rounding.softmax(balls[0], layer.op.axis).rad]


def _per_channel(layer: Layer, name: str, axis: int, rank: int) -> Ball:
    """Weights [C], shaped so that they broadcast along an axis."""
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


@bounded("composite", "reduceL1", "reduceL2", "reduceSumSquare", "reduceProd", "reduceLogSum", "reduceLogSumExp")
def _reduced(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (x,), params = balls, layer.params
    every = params.reduceAll or not len(params.axes)
    axes = tuple(range(x.mid.ndim)) if every else tuple(params.axes)
    return [_reduction(layer, layer.step.kind.removeprefix("reduce").upper(), x, results[0], axes)]


@bounded("composite", "reduce")
def _legacy(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (x,), (y,), r = balls, results, layer.rounding
    mode = enum_name(layer, "mode")
    if mode in ("MAX", "MIN"):
        return at_ends(layer, balls, 1)
    axes = {"CHW": (-3, -2, -1), "HW": (-2, -1), "C": (-3,), "H": (-2,), "W": (-1,)}[enum_name(layer, "axis")]
    if mode == "ARGMAX":
        return [extreme_place(x, axes[0], False)]
    if mode == "SUM":
        return [r.sum(x, axes).rad]
    if mode == "AVG":
        return [r.mean(x, axes).rad]
    if mode == "LOGSUM":
        return [r.sum(logarithm(layer, r.add(x, layer.scalar("epsilon", 1e-6))), axes).rad]
    return [_reduction(layer, mode, x, y, axes)]


def _reduction(layer: Layer, mode: str, x: Ball, y: Doubles, axes: tuple[int, ...]) -> Doubles:
    """One of the reductions that are no plain sums."""
    r, terms = layer.rounding, int(np.prod([x.mid.shape[axis] for axis in axes]))

    def run(v: Doubles) -> Doubles:
        return np.asarray(layer.run(v))

    size: Doubles = run(x.size) if mode != "LOGSUM" else np.abs(y)
    if mode == "L1":  # norms change by at most the norm of the change
        return r.summed(Ball(y, run(x.rad)), terms - 1, size, quantum(x)).rad
    if mode == "L2":
        return root_of_squares(r, x, Ball(y, run(x.rad)), terms, size)
    if mode == "SUMSQUARE":
        return r.summed(Ball(y, size - run(np.abs(x.mid))), terms, size, quantum(x) ** 2).rad
    if mode == "PROD":  # prod (|x| + r) - prod |x|; in some order, partial products may overflow or underflow
        logs = np.log2(np.where(x.size > 0, x.size, 1.0))
        most, least = (function(logs, 0).sum(axes, keepdims=True) for function in (np.maximum, np.minimum))
        whole = x.certain & (x.mid == np.rint(x.mid)).all(axes, keepdims=True) & (most <= -np.log2(r.unit))
        inside = (most < np.log2(r.largest)) & (least > np.log2(r.tiny))
        whole, inside = whole.reshape(y.shape), inside.reshape(y.shape)
        rounded = r.rounded(Ball(y, size - run(np.abs(x.mid))), terms, size).rad
        return np.where(whole, 0.0, np.where(inside | (size == 0), rounded, np.inf))
    if mode == "LOGSUMEXP":
        # The logarithm of a sum known between S - L and S + H. The sum is off by a factor 1 + n u, and the maximum,
        # which is subtracted before and added after, by a rounding each time.
        parts = r.exponentials(x, axes)
        total, below, above = (part.sum(axes, keepdims=True) for part in parts)
        ends = ((x.mid + sign * x.rad).max(axes, keepdims=True) for sign in (-1, 1))
        largest = np.maximum.reduce([np.abs(end) for end in ends])
        off = np.maximum(np.log1p(above / total), -np.log1p(-below / total))
        off = off + r.unit * (FUNCTIONS["log"] * np.log(terms) + ARGUMENT + largest)
        off = (off - np.log1p(-min(terms * r.unit, 1.0))).reshape(y.shape)
        certain = ~np.isfinite(y) & np.isfinite(x.rad).all(axes, keepdims=True).reshape(y.shape)
        return np.where(certain, 0.0, r.rounded(Ball(y, off), 2.0).rad)
    return logarithm(layer, r.sum(x, axes)).rad.reshape(y.shape)  # LOGSUM
