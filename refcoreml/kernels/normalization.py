"""Normalizations: softmax, batch normalization, mean-variance, L2, local response."""

from __future__ import annotations

import itertools
import math

import numpy as np

from refcoreml.kernels.elementwise import inverse_sqrt, like, power
from refcoreml.kernels.reduce import mean, sum_square
from refcoreml.kernels.threads import for_each
from refcoreml.types import Array

#: Numbers in a block of a large array that is gone over several times: few enough for the second-level cache.
_BLOCK = 1 << 17


def softmax(x: Array, axis: int) -> Array:
    """y = exp(x) / sum(exp(x)) along one axis, for all finite x.

    Where the sum comes out too small (below the type's epsilon) or infinite, exp(x - max(x)) stands for exp(x).
    Elsewhere the difference is left out, with its rounding, which exp would magnify; what is lost of terms below the
    least normal number is less than this number in the result.

    Blocks of a large x are shared among threads. Half precision is computed in single, and rounded once.

    x: [*D] float. Returns a new array [*D] in the type of x.
    """
    if x.dtype == np.float16:
        return softmax(x.astype(np.float32), axis).astype(x.dtype)
    y: Array = np.empty(x.shape, x.dtype)
    if not y.size:
        return y
    axis %= x.ndim
    length, inner = x.shape[axis], math.prod(x.shape[axis + 1 :])
    source, target = (array.reshape(-1, length, inner) for array in (np.ascontiguousarray(x), y))
    if y.size <= _BLOCK:
        _softmax(source, target)
        return y
    step = max(1, _BLOCK // (length * inner))
    width = inner if step > 1 else max(16, _BLOCK // length)

    def run(start: tuple[int, int]) -> None:
        block = slice(start[0], start[0] + step), slice(None), slice(start[1], start[1] + width)
        _softmax(source[block], target[block])

    for_each(run, list(itertools.product(range(0, len(source), step), range(0, inner, width))))
    return y


@np.errstate(over="ignore", invalid="ignore")
def _softmax(x: Array, y: Array) -> None:
    """Write the softmax of x, [B, N, C], along N to y."""
    if x.shape[-1] == 1:  # NumPy is much faster on long rows
        x, y = x[..., 0], y[..., 0]
    np.exp(x, out=y)
    total = _total(y)
    limits = np.finfo(x.dtype)
    fits = (total >= limits.eps) & (total <= limits.max)
    if not fits.all():
        # Also where the sum fits, so that no place depends on its neighbours: x - 0 is x.
        np.subtract(x, np.where(fits, like(0, x), x.max(axis=1, keepdims=True)), out=y)
        np.exp(y, out=y)
        total = _total(y)
    y /= total


def _total(y: Array) -> Array:
    """Return the sum of y along its second axis, which stays."""
    if y.ndim == 2 and y.shape[1] <= 4096:  # adds one after another, a vector at a time: fast, but not for long rows
        total: Array = np.einsum("ij->i", y)[:, np.newaxis]
    else:
        total = y.sum(axis=1, keepdims=True)
    return total


def batch_normalization(x: Array, mean: Array, factor: Array, beta: Array, *, out: Array | None = None) -> Array:
    """y = (x - mean) * factor + beta, in this order; factor is that of `normalization_factor`.

    x: [*D] float; mean, factor, beta: arrays that broadcast to [*D]. Returns [*D] in the type of x.
    """
    y: Array = np.subtract(x, mean, out=out)
    y *= factor
    y += beta
    return y


def normalization_factor(gamma: Array, variance: Array, epsilon: float) -> Array:
    """y = gamma / sqrt(variance + epsilon): NaN for a variance below -epsilon."""
    with np.errstate(all="ignore"):
        return gamma * inverse_sqrt(variance, epsilon)


def center(x: Array, axes: tuple[int, ...]) -> Array:
    """y = x - mean(x) along the axes; a new array."""
    return x - mean(x, axes)


def standardize(x: Array, axes: tuple[int, ...], epsilon: float, *, out: Array | None = None) -> Array:
    """y = (x - mean(x)) / sqrt(variance(x) + epsilon) along the axes, variance = mean((x - mean(x))^2), not n - 1.

    x: [*D] float. Returns [*D] in the type of x, a new array or ``out``.
    """
    y: Array = np.subtract(x, mean(x, axes), out=out)
    y *= inverse_sqrt(mean(np.square(y), axes), epsilon)
    return y


def l2_normalize(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    """y = x / sqrt(sum(x^2) + epsilon) along the axes."""
    norm = sum_square(x, axes)
    norm += like(epsilon, x)
    y: Array = x / np.sqrt(norm, out=norm)
    return y


def local_response_normalization(x: Array, axis: int, size: int, alpha: float, beta: float, k: float) -> Array:
    """y = x / (k + alpha / size * s)^beta, s the sum of x^2 over ``size`` neighbours along an axis.

    The window of place c is [c - size // 2, c + (size - 1) // 2]; outside the array x counts as zero.

    x: [*D] float. ``size`` is at least 1 and may exceed the axis by far. Returns [*D] in the type of x.
    """
    length = x.shape[axis]
    before, after = min(size // 2, length - 1), min((size - 1) // 2, length - 1)
    padding = [(0, 0)] * x.ndim
    padding[axis] = (before, after)
    squares = np.moveaxis(np.pad(np.square(x), padding), axis, 0)
    y: Array = np.moveaxis(_window_sums(squares, before + after + 1), 0, axis)
    y *= like(alpha / size, x)
    y += like(k, x)
    return np.divide(x, power(y, beta, out=y), out=y)


def _window_sums(x: Array, width: int) -> Array:
    """y[c] = x[c] + ... + x[c + width - 1] along the first axis, from sums of 1, 2, 4, ... neighbours."""
    y: Array = np.zeros((len(x) - width + 1, *x.shape[1:]), x.dtype)
    block, span, start = x, 1, 0
    while True:
        if width & span:
            y += block[start : start + len(y)]
            start += span
        if 2 * span > width:
            return y
        block = block[:-span] + block[span:]
        span *= 2


def layer_normalization(x: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    """y = gamma * (x - mean(x)) / sqrt(variance(x) + epsilon) + beta, over the axes that gamma and beta have.

    Blocks of a large x are shared among threads.

    x: [*B, *N] float; gamma, beta: [*N] in the type of x. Returns a new array [*B, *N].
    """
    y: Array = np.empty(x.shape, x.dtype)
    if not y.size:
        return y
    source, target = (array.reshape(-1, gamma.size) for array in (np.ascontiguousarray(x), y))
    factor, shift = gamma.reshape(-1), beta.reshape(-1)
    step = max(1, _BLOCK // gamma.size)

    def run(start: int) -> None:
        rows = slice(start, start + step)
        block = standardize(source[rows], (-1,), epsilon, out=target[rows])
        block *= factor
        block += shift

    for_each(run, range(0, len(source), step))
    return y
