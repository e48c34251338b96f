"""Numbers of few bits: quantized activations, and constants that operations make of constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.oracle.balls import Ball, Doubles, farther
from refcoreml.oracle.rules.table import Layer, bounded


def _along(layer: Layer, ball: Ball, rank: int) -> Ball:
    """Return a scale or zero point, so that it broadcasts."""
    assert isinstance(layer.op, ops.Quantize | ops.Dequantize)
    shape = [1] * rank
    if ball.mid.ndim:
        shape[layer.op.axis or 0] = -1
    return ball.map(lambda v: v.reshape(shape))


@bounded("interval", ops.Quantize)
def _quantized(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound clip(round(x / scale) + zero point): the quotient is rounded, and stored in the type of x."""
    x, (y,) = balls[0], results
    assert isinstance(layer.op, ops.Quantize)
    scale, *zero = (_along(layer, ball, x.mid.ndim) for ball in balls[1:])
    quotient, limits = layer.keep(layer.rounding.divide(x, scale)), np.iinfo(layer.op.result)
    low, high = (
        np.clip(np.rint(quotient.mid + sign * quotient.rad) + sum(ball.mid for ball in zero), limits.min, limits.max)
        for sign in (-1, 1)
    )
    return [np.where(np.isnan(quotient.mid), np.inf, farther(y, low, high))]


@bounded("ulp", ops.Dequantize)
def _dequantized(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound scale * (x - zero point), whose difference of small integers is exact."""
    x, r = balls[0], layer.rounding
    scale, *zero = (_along(layer, ball, x.mid.ndim) for ball in balls[1:])
    for ball in zero:
        x = r.subtract(x, ball)
    return [r.multiply(x, scale).rad]


@bounded(
    "exact",
    *(ops.BlockwiseShiftScale, ops.SparseBlockwiseShiftScale, ops.SparseToDense, ops.LutToDense, ops.LutToSparse),
)
def _made_of_constants(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound a constant that is made of constants: rounded to the declared type, which is part of its value."""
    return [0.0] * len(results)
