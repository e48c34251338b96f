"""Random numbers.

A ``seed`` of 0 or more gives the same numbers in each run; -1, the default, new ones each time. Which numbers a seed
stands for is open, so only their distribution can be compared with that of a device. They are drawn in double precision
and rounded, in half precision too.

The type of the results, fp16 or fp32, is that of the numbers that describe the distribution; fp32 if none is given.
``shape`` is an int32 vector, which may be computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.mil.domains import FLOATS, expect, floats
from refcoreml.mil.node import Call, Node
from refcoreml.mil.registry import operation


def _draw(node: Node, kind: Callable[..., ops.Op], *names: str) -> Call:
    """Return an operation that draws numbers of the type of those parameters that are given."""
    given = [name for name in names if node.has(name)]
    if given:
        expect(node, FLOATS, *given)
    dtype = node.element(given[0]) if given else np.dtype(np.float32)
    expect(node, ("int32",), "shape")
    found: dict[str, Any] = {"seed": node.integer("seed", -1), "dtype": dtype}
    if not node.is_constant("shape"):
        return node.call(kind(shape=None, **found), "shape")
    shape = node.integers("shape")
    node.require(min(shape, default=1) >= 1, f"shape is {shape}, expected numbers of at least 1")
    return node.call(kind(shape=shape, **found))


@operation("random_uniform", "shape")
def random_uniform(node: Node) -> Call:
    """y ~ U[low, high): ``low`` is 0 and ``high`` 1 by default, low <= high.

    Rounding can give high itself, as on devices.
    """
    low, high = node.number("low", 0.0), node.number("high", 1.0)
    valid = -math.inf < low <= high < math.inf
    node.require(valid, f"low is {low:g}, high {high:g}, expected finite numbers, low <= high")
    return _draw(node, partial(ops.RandomUniform, low=low, high=high), "low", "high")


@operation("random_normal", "shape")
def random_normal(node: Node) -> Call:
    """y ~ N(mean, stddev^2): ``mean`` is 0 and ``stddev`` 1 by default, stddev >= 0."""
    mean, deviation = node.number("mean", 0.0), node.number("stddev", 1.0)
    valid = math.isfinite(mean) and 0 <= deviation < math.inf
    node.require(valid, f"mean is {mean:g}, stddev {deviation:g}, expected finite numbers, stddev >= 0")
    return _draw(node, partial(ops.RandomNormal, mean=mean, deviation=deviation), "mean", "stddev")


@operation("random_bernoulli", "shape")
def random_bernoulli(node: Node) -> Call:
    """y = 1 with the probability ``prob`` (0.5 by default), else 0, as floats."""
    probability = node.number("prob", 0.5)
    node.require(0 <= probability <= 1, f"prob is {probability:g}, expected 0 to 1")
    return _draw(node, partial(ops.RandomBernoulli, probability=probability), "prob")


@operation("random_categorical", "x")
def random_categorical(node: Node) -> ops.Op:
    """y[..., s] = a class c of the last axis of x, drawn independently for each s, as a float of x's type.

    x [*D, C]: fp16 or fp32. With ``mode`` ``logits``, the default, the probability is softmax(x)[..., c]; with
    ``probs`` it is x[..., c], divided by the sum of all. s counts to ``size``, 1 by default. y [*D, size].
    """
    logits = node.choice("mode", {"logits": True, "probs": False}, "logits")
    size = node.integer("size", 1)
    node.require(size >= 1, f"size is {size}, expected 1 or more")
    # Of probabilities the logarithm is taken as by the operation `log`.
    return floats(node, ops.RandomCategorical(size, node.integer("seed", -1), logits=logits, epsilon=1e-45))
