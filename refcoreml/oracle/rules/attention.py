"""Attention: two products of matrices, and a softmax between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.oracle.balls import Ball, Doubles
from refcoreml.oracle.rules.movement import certainly
from refcoreml.oracle.rules.table import Layer, bounded


@bounded("composite", ops.ScaledDotProductAttention)
def _attention(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound softmax(q k^T / sqrt(E) + mask) v.

    The factor 1 / sqrt(E) is rounded, and multiplies queries, keys or scores. Keys may be taken block by block: then
    sums of values and of exponentials are multiplied by e^(old maximum - new maximum) at most S times, which adds as
    many roundings to each of both.
    """
    (query, key, value), r = balls[:3], layer.rounding
    factor = r.rounded(Ball.exact(1 / math.sqrt(query.mid.shape[-1])), 2.0)
    scores = r.multiply(r.matmul(query, key.map(lambda v: v.swapaxes(-1, -2))), factor)
    if len(balls) > 3:
        scores = r.add(scores, _mask(balls[3], booleans=layer.inputs[3].dtype.kind == "b"))
    weights = r.softmax(scores, -1)
    keys = key.mid.shape[-2]
    y = r.matmul(weights, value)
    return [r.rounded(y, 2 * keys, weights.size @ value.size).rad]


def _mask(ball: Ball, *, booleans: bool) -> Ball:
    """Return what is added to scores."""
    if not booleans:
        return ball
    return Ball(np.where(ball.mid != 0, 0.0, -np.inf), np.where(certainly(ball), 0.0, np.inf))
