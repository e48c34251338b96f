"""Normalizations and reductions other than sums: composites, by ball arithmetic on their formulas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from refcoreml.neuralnetwork.registry import channel_axis
from refcoreml.oracle.balls import FUNCTIONS, Ball, Doubles, quantum
from refcoreml.oracle.rules.elementwise import logarithm, power
from refcoreml.oracle.rules.linear import root_of_squares
from refcoreml.oracle.rules.movement import at_ends, enum_name
from refcoreml.oracle.rules.order import extreme_place
from refcoreml.oracle.rules.table import Layer, bounded


@bounded("composite", "softmax", "softmaxND")
def _softmax(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    axis = layer.params.axis if layer.step.kind == "softmaxND" else (-3 if balls[0].mid.ndim >= 4 else -1)
    return [layer.rounding.softmax(balls[0], axis).rad]


@bounded("composite", "batchnorm")
def _batchnorm(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """(x - mean) * gamma / sqrt(variance + epsilon) + beta, in this order or folded into a factor and a shift."""
    (x,), params, r = balls, layer.params, layer.rounding
    axis = channel_axis(x.mid.ndim)
    shape = (-1, *(1,) * (-1 - axis))
    gamma, beta = (layer.weights(name, (params.channels,)).map(lambda v: v.reshape(shape)) for name in ("gamma", "beta"))
    epsilon = layer.scalar("epsilon", 1e-5)
    if params.computeMeanVar:
        leading = () if params.instanceNormalization else tuple(range(-x.mid.ndim, axis))
        return [r.affine(r.standardize(x, (*leading, *range(axis + 1, 0)), epsilon), gamma, beta).rad]
    mean, variance = (
        layer.weights(name, (params.channels,)).map(lambda v: v.reshape(shape)) for name in ("mean", "variance")
    )
    factor = r.divide(gamma, r.root(r.add(variance, epsilon)))
    direct = r.affine(r.subtract(x, mean), factor, beta).rad
    folded = r.affine(x, factor, r.subtract(beta, r.multiply(mean, factor))).rad
    return [np.where(variance.mid + epsilon.mid < 0, 0.0, np.maximum(direct, folded))]


@bounded("composite", "mvn")
def _mvn(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (x,), r = balls, layer.rounding
    axes = (-3, -2, -1) if layer.params.acrossChannels else (-2, -1)
    if layer.params.normalizeVariance:
        return [r.standardize(x, axes, layer.scalar("epsilon", 1e-6)).rad]
    return [r.subtract(x, r.mean(x, axes)).rad]


@bounded("composite", "layerNormalization")
def _layer_norm(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    shape = tuple(layer.params.normalizedShape)
    y = layer.rounding.standardize(balls[0], tuple(range(-len(shape), 0)), layer.scalar("eps"))
    return [layer.rounding.affine(y, layer.weights("gamma", shape), layer.weights("beta", shape)).rad]


@bounded("composite", "l2normalize")
def _l2_normalize(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (x,), r = balls, layer.rounding
    total = r.add(r.sum(r.square(x), (-3, -2, -1)), layer.scalar("epsilon", 1e-6))
    return [r.divide(x, r.root(total)).rad]


@bounded("composite", "lrn")
def _lrn(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (x,), r, params = balls, layer.rounding, layer.params
    size = int(params.localSize)
    squares = r.square(x)
    channels = x.mid.shape[-3]

    def windows(values: Doubles) -> Doubles:
        moved = np.moveaxis(values, -3, 0)
        sums = [moved[max(0, c - size // 2) : c + (size - 1) // 2 + 1].sum(0) for c in range(channels)]
        return np.moveaxis(np.stack(sums), 0, -3)

    total = r.summed(squares.map(windows), min(size, channels), windows(squares.size), quantum(squares))
    factor = r.divide(layer.scalar("alpha"), Ball.exact(float(size)))
    scaled = r.affine(total, factor, layer.scalar("k", 1.0))
    return [r.divide(x, power(layer, scaled, layer.scalar("beta"))).rad]


@bounded(
    "composite", "reduceL1", "reduceL2", "reduceSumSquare", "reduceProd", "reduceLogSum", "reduceLogSumExp"
)
def _reduced(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (x,) = balls
    terms = x.mid.size // max(1, results[0].size)
    mode = layer.step.kind.removeprefix("reduce").upper()
    return [_reduction(layer, mode, x, results[0], terms, lambda v: np.asarray(layer.run(v)))]


@bounded("composite", "reduce")
def _legacy(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (x,), (y,), r = balls, results, layer.rounding
    mode, terms = enum_name(layer, "mode"), x.mid.size // max(1, y.size)
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
    return [_reduction(layer, mode, x, y, terms, lambda v: np.asarray(layer.run(v)))]


def _reduction(layer: Layer, mode: str, x: Ball, y: Doubles, terms: int, run: Any) -> Doubles:
    """One of the reductions that are no plain sums; ``run`` is the layer."""
    r = layer.rounding
    size: Doubles = run(x.size) if mode != "LOGSUM" else np.abs(y)
    if mode == "L1":  # norms change by at most the norm of the change
        return r.summed(Ball(y, run(x.rad)), terms - 1, size, quantum(x)).rad
    if mode == "L2":
        return root_of_squares(r, x, Ball(y, run(x.rad)), terms, size)
    if mode == "SUMSQUARE":
        return r.summed(Ball(y, size - run(np.abs(x.mid))), terms, size, quantum(x) ** 2).rad
    if mode == "PROD":  # prod (|x| + r) - prod |x|; partial products may overflow, or underflow, in some order
        whole = _partial_products(r, x, size) if x.certain else False
        if whole:
            return np.zeros_like(y)
        grown = size - run(np.abs(x.mid))
        logs = np.log2(np.where(x.size > 0, x.size, 1.0))
        most = np.maximum(logs, 0).sum()
        least = np.minimum(logs, 0).sum()
        inside = (most < np.log2(r.largest)) & (least > np.log2(r.tiny))
        return np.where(inside | (size == 0), r.rounded(Ball(y, grown), terms, size).rad, np.inf)
    if mode == "LOGSUMEXP":
        # Each exponent is off by d_i, so that the logarithm is off by max d_i; the sum is off by a factor 1 + n u.
        reach = x.mid.max() - x.mid.min() + 2 * x.rad.max()
        off = x.rad.max() + r.unit * (3 * reach + FUNCTIONS["exp"] + terms + FUNCTIONS["log"] * np.log(terms) + 1)
        return r.rounded(Ball(y, np.full(y.shape, off)), 2.0).rad
    # LOGSUM: the logarithm of a sum, which may lie anywhere within the radius of the sum.
    mid = np.exp(y)
    total = np.where(np.isfinite(y), mid, 0.0)
    magnitudes = run(x.size)
    moved = np.exp(run(x.mid + x.rad)) - mid if not x.certain else np.zeros_like(y)
    ball = r.summed(Ball(total, np.abs(moved)), terms - 1, np.exp(magnitudes), quantum(x))
    return logarithm(layer, ball).rad


def _partial_products(r: Any, x: Ball, size: Doubles) -> bool:
    """Whether all factors are whole numbers and no partial product needs more digits than the format has."""
    whole = bool((x.mid == np.rint(x.mid)).all())
    return whole and bool((np.abs(np.where(x.mid == 0, 1, x.mid)).prod() * r.unit <= 1.0))
