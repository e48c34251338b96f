"""Reductions along axes, and running totals.

The result has a number for each block of x along the axes (None for all), at the block's place; the axes themselves are
left out, or of length 1 if they are to be kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from refcoreml.definitions.blocks import blocks
from refcoreml.types import Array

#: Axes of an array; None for all.
Axes = Sequence[int] | None


def _reduced(x: Array, axes: Axes, keepdims: bool, formula: Callable[[list[float]], float]) -> Array:
    reduced = [axis % x.ndim for axis in (range(x.ndim) if axes is None else axes)]
    y = np.array([formula(x[block].reshape(-1).tolist()) for block in blocks(x.shape, reduced)])
    lengths = ((axis, 1 if axis in reduced else n) for axis, n in enumerate(x.shape))
    return y.reshape([n for axis, n in lengths if keepdims or axis not in reduced])


def reduce_sum(x: Array, axes: Axes, keepdims: bool) -> Array:
    """y = sum x."""
    return _reduced(x, axes, keepdims, sum)


def reduce_mean(x: Array, axes: Axes, keepdims: bool) -> Array:
    """y = (sum x) / n, n the number of values in the sum."""
    return _reduced(x, axes, keepdims, lambda v: sum(v) / len(v))


def reduce_product(x: Array, axes: Axes, keepdims: bool) -> Array:
    """y = product of x."""
    return _reduced(x, axes, keepdims, math.prod)


def reduce_max(x: Array, axes: Axes, keepdims: bool) -> Array:
    """y = max x."""
    return _reduced(x, axes, keepdims, max)


def reduce_min(x: Array, axes: Axes, keepdims: bool) -> Array:
    """y = min x."""
    return _reduced(x, axes, keepdims, min)


def reduce_l1(x: Array, axes: Axes, keepdims: bool) -> Array:
    """y = sum |x|."""
    return _reduced(x, axes, keepdims, lambda v: sum(abs(a) for a in v))


def reduce_l2(x: Array, axes: Axes, keepdims: bool) -> Array:
    """y = sqrt(sum x^2)."""
    return _reduced(x, axes, keepdims, lambda v: math.sqrt(sum(a * a for a in v)))


def reduce_sum_square(x: Array, axes: Axes, keepdims: bool) -> Array:
    """y = sum x^2."""
    return _reduced(x, axes, keepdims, lambda v: sum(a * a for a in v))


def reduce_log_sum(x: Array, axes: Axes, keepdims: bool) -> Array:
    """y = ln(sum x)."""
    return _reduced(x, axes, keepdims, lambda v: math.log(sum(v)))


def reduce_log_sum_exp(x: Array, axes: Axes, keepdims: bool) -> Array:
    """y = ln(sum e^x), as max x + ln(sum e^(x - max x)), which is the same."""
    return _reduced(x, axes, keepdims, lambda v: max(v) + math.log(sum(math.exp(a - max(v)) for a in v)))


def reduce_sum_log(x: Array, axes: Axes, keepdims: bool, epsilon: float) -> Array:
    """y = sum ln(x + epsilon)."""
    return _reduced(x, axes, keepdims, lambda v: sum(math.log(a + epsilon) for a in v))


def arg_max(x: Array, axis: int, keepdims: bool) -> Array:
    """y = the least i with x[..., i, ...] = max x along the axis."""
    return _reduced(x, [axis], keepdims, lambda v: v.index(max(v)))


def arg_min(x: Array, axis: int, keepdims: bool) -> Array:
    """y = the least i with x[..., i, ...] = min x along the axis."""
    return _reduced(x, [axis], keepdims, lambda v: v.index(min(v)))


def cumulative_sum(x: Array, axis: int, exclusive: bool, reverse: bool) -> Array:
    """y[..., i, ...] = sum of x[..., j, ...] for j <= i, or j >= i in reverse; without i itself if exclusive."""
    y = np.empty(x.shape)
    for block in blocks(x.shape, [axis]):
        line = x[block].tolist()
        for i in range(len(line)):
            y[block][i] = sum(line[i + exclusive :] if reverse else line[: i + 1 - exclusive])
    return y
