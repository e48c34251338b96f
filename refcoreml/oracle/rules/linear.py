"""Sums of products, judged by the sum of their magnitudes: class ``dot``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.oracle.balls import FUNCTIONS, Ball, Doubles, Rounding, quantum, whole
from refcoreml.oracle.rules.table import Layer, at_ends, bounded


def moved(layer: Layer, balls: Sequence[Ball]) -> Doubles:
    """Return how far the radii of inputs and weights move a sum of products.

    |W| r + dW (|x| + r) + db, or of two inputs |a| db + da (|b| + db), by the layer itself with changed weights; a
    third input is a bias.
    """
    x, *others = balls

    def run(*arrays: Doubles) -> Doubles:
        return np.asarray(layer.run_variant("magnitudes", *arrays))

    if len(others) == 2:
        weights, bias = others
        return np.asarray(run(np.abs(x.mid), weights.rad, bias.rad) + run(x.rad, weights.size, 0 * bias.rad))
    if others:
        return np.asarray(run(np.abs(x.mid), others[0].rad) + run(x.rad, others[0].size))
    if 0.0 not in layer.quanta():
        return run(x.rad)
    size = 0 * x.size if _only_bias(layer) else x.size
    return np.asarray(run(x.rad) + layer.run_variant("radii", size))


def _only_bias(layer: Layer) -> bool:
    return isinstance(layer.op, ops.Scale) and layer.op.scale is None


@bounded("dot", ops.Convolution, ops.Deconvolution, ops.Linear, ops.MatMul, ops.Scale)
def _linear(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound W x + b, whose error is at most n u (|W| (|x| + r) + |b|) plus that of `moved`."""
    if isinstance(layer.op, ops.Linear) and layer.op.int8_inputs:  # the quantization of the input is not specified
        return [np.inf]
    size = layer.run_variant("sizes", *(ball.size for ball in balls))
    weights, biases = layer.quanta()
    second = quantum(balls[1]) if len(balls) > 1 else 1.0 if _only_bias(layer) else weights
    biases = min([biases, *map(quantum, balls[2:])])
    product = quantum(balls[0]) * second
    total = Ball(results[0], moved(layer, balls))
    terms = layer.op.terms(layer.inputs) or 1
    return [layer.rounding.summed(total, terms + 1, np.asarray(size), min(product, biases)).rad]


@bounded("dot", ops.Einsum)
def _sum_of_products(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound a sum of products of several factors; what moves it is the product of sizes less that of magnitudes."""
    op, r, (y,) = layer.op, layer.rounding, results
    assert isinstance(op, ops.Einsum)
    size, rest = np.asarray(layer.run(*(ball.size for ball in balls))), np.zeros(())
    for place, ball in enumerate(balls):  # one factor after another: sizes before it, magnitudes after it
        before, after = (other.size for other in balls[:place]), (np.abs(other.mid) for other in balls[place + 1 :])
        rest = rest + layer.run(*before, ball.rad, *after)
    unit = float(np.prod([quantum(ball) for ball in balls]))
    return [r.summed(Ball(y, np.asarray(rest)), op.terms(layer.inputs) + len(balls), size, unit).rad]


@bounded("dot", ops.DotProduct)
def _dot(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound the sum of products along an axis; as cosine, divided by both lengths."""
    assert isinstance(layer.op, ops.DotProduct)
    r, axis = layer.rounding, layer.op.axis

    def sum_of(a: Ball, b: Ball) -> Ball:
        product = Ball(a.mid * b.mid, np.abs(a.mid) * b.rad + a.rad * b.size)
        total = Ball(product.mid.sum(axis, keepdims=True), product.rad.sum(axis, keepdims=True))
        size = (a.size * b.size).sum(axis, keepdims=True)
        return r.summed(total, a.mid.shape[axis], size, quantum(a) * quantum(b))

    a, b = balls
    y = sum_of(a, b)
    if layer.op.cosine:
        y = r.divide(y, r.multiply(r.root(sum_of(a, a)), r.root(sum_of(b, b))))
    return [np.broadcast_to(y.rad.reshape(results[0].shape), results[0].shape)]


@bounded("dot", ops.ReduceSum, ops.ReduceMean, ops.CumulativeSum)
def _summed(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    x, op, r = balls[0], layer.op, layer.rounding
    if len(balls) > 1 and not whole(balls[1]):
        return [np.inf]
    y, rest = results[0], [ball.mid for ball in balls[1:]]
    rad, size = (np.asarray(layer.run(part, *rest)) for part in (x.rad, x.size))
    count = op.terms(layer.inputs) or max(x.mid.shape)
    if not isinstance(op, ops.ReduceMean):
        return [r.summed(Ball(y, rad), count - 1, size, quantum(x)).rad]
    total = r.summed(Ball(y * count, rad * count), count - 1, size * count, quantum(x))
    return [r.shared(total, count).rad]


@bounded("dot", ops.Pooling)
def _pooled(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound pooling: a maximum moves values; a mean is a sum of at most a window's pixels; L2 is the root of a sum."""
    (x,), op, r, y = balls, layer.op, layer.rounding, results[0]
    assert isinstance(op, ops.Pooling)
    if op.mode == "max":
        return at_ends(layer, balls, 1)
    terms = op.size(x.mid.shape)
    rad, size = layer.run(x.rad), layer.run(x.size)
    if op.mode == "l2":  # sqrt(sum x^2) is a norm: it changes by at most the norm of the change
        return [root_of_squares(r, x, Ball(y, rad), terms, size)]
    # The largest divisor is the window; where padding is excluded the sum is not above this either.
    total = r.summed(Ball(y * terms, rad * terms), terms - 1, size * terms, quantum(x))
    share = r.shared(total, terms)
    if op.exclude_padding:  # other divisors, so that even a sum that is exact rounds when it is divided
        share = r.rounded(Ball(y, total.rad / terms), 2.0)
    return [share.rad]


def root_of_squares(r: Rounding, x: Ball, y: Ball, terms: int, size: Doubles) -> Doubles:
    """Return the radius of sqrt(sum x^2), moved as given: sqrt(1 - n u) >= 1 - n u; squares may underflow."""
    floor = np.where(size > 0, np.sqrt(terms * r.tiny), 0.0) if quantum(x) ** 2 < r.tiny else 0.0
    found = r.rounded(Ball(y.mid, y.rad + floor), terms + FUNCTIONS["sqrt"], size).rad
    return np.where(size**2 > r.largest, np.inf, found)
