"""Reductions along axes that stay, with length 1.

x is [*D] of floats or integers; ``axes`` counts from the end, such as (-2, -1); results are in the type of x. Sums run
in that type, so that those of integers wrap around; fractions of integer results are cut off, toward zero.
"""

from __future__ import annotations

import numpy as np

from refcoreml.kernels.elementwise import cast, like, log
from refcoreml.kernels.integers import divide
from refcoreml.types import Array


def total(x: Array, axes: tuple[int, ...]) -> Array:
    """y = sum x."""
    y: Array = x.sum(axes, x.dtype, keepdims=True)
    return y


def mean(x: Array, axes: tuple[int, ...]) -> Array:
    """y = (sum x) / n, n the number of values in the sum."""
    if x.dtype.kind != "f":  # a mean fits where the sum may not
        y = total(x.astype(np.int64), axes)
        return cast(divide(y, like(x.size // y.size, y)), x.dtype)
    y = total(x, axes)
    y /= like(x.size // y.size, x)
    return y


def product(x: Array, axes: tuple[int, ...]) -> Array:
    """y = product of x."""
    y: Array = x.prod(axes, x.dtype, keepdims=True)
    return y


def log_sum(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    """y = sum ln(x + epsilon): NaN where x < -epsilon."""
    y: Array = x + like(epsilon, x)
    return total(log(y, out=y), axes)


def sum_square(x: Array, axes: tuple[int, ...]) -> Array:
    """y = sum x^2."""
    return total(np.square(x), axes)


def l1(x: Array, axes: tuple[int, ...]) -> Array:
    """y = sum |x|."""
    return total(np.abs(x), axes)


def l2(x: Array, axes: tuple[int, ...]) -> Array:
    """y = sqrt(sum x^2)."""
    if x.dtype.kind != "f":
        return cast(l2(x.astype(np.float64), axes), x.dtype)
    y = sum_square(x, axes)
    return np.sqrt(y, out=y)


def maximum(x: Array, axes: tuple[int, ...]) -> Array:
    """y = max x; NaN if there is one."""
    y: Array = x.max(axes, keepdims=True)
    return y


def minimum(x: Array, axes: tuple[int, ...]) -> Array:
    """y = min x; NaN if there is one."""
    y: Array = x.min(axes, keepdims=True)
    return y


def log_of_sum(x: Array, axes: tuple[int, ...]) -> Array:
    """y = ln(sum x): -Inf for a sum of 0, NaN for one below."""
    y = total(x, axes)
    if x.dtype.kind == "f":
        return log(y, out=y)
    with np.errstate(all="ignore"):
        return cast(log(y.astype(np.float64)), x.dtype)


def log_sum_exp(x: Array, axes: tuple[int, ...]) -> Array:
    """y = ln(sum e^x), as max x + ln(sum e^(x - max x)) in double precision, rounded once.

    -Inf where all x are, Inf where one is.
    """
    largest = np.asarray(x.max(axes, keepdims=True), np.float64)
    # An infinite maximum would give Inf - Inf, but e^x does not overflow for -Inf and may for Inf.
    np.copyto(largest, 0, where=np.isinf(largest))
    y: Array = np.subtract(x, largest, dtype=np.float64)
    np.exp(y, out=y)
    y = y.sum(axes, keepdims=True)
    np.log(y, out=y)
    y += largest
    return cast(y, x.dtype)


def running_total(x: Array, axis: int, *, exclusive: bool = False, reverse: bool = False) -> Array:
    """y[i] = x[0] + ... + x[i] along an axis, added up in this order.

    Args:
        x: [*D] float.
        axis: along which to add.
        exclusive: leave x[i] itself out, so that y[0] is 0.
        reverse: add up from the end of the axis instead: y[i] = x[n - 1] + ... + x[i].

    Returns:
        [*D] in the type of x, always a new array.
    """
    y = np.empty_like(x)
    source, sums = np.moveaxis(x, axis, 0), np.moveaxis(y, axis, 0)
    if reverse:
        source, sums = source[::-1], sums[::-1]
    if exclusive:
        sums[0] = 0
        source, sums = source[:-1], sums[1:]
    np.cumsum(source, 0, x.dtype, sums)
    return y
