"""Softmax, and normalizations by mean and variance, by length, and by neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from refcoreml.definitions.blocks import blocks
from refcoreml.types import Array


def softmax(x: Array, axis: int) -> Array:
    """y = exp(x) / sum(exp(x)) along an axis; the largest x is subtracted first, which changes nothing but overflow."""
    e = np.exp(x - np.max(x, axis, keepdims=True))
    return np.asarray(e / np.sum(e, axis, keepdims=True))


def batch_normalization(
    x: Array, mean: Array, variance: Array, gamma: Array, beta: Array, epsilon: float, axis: int
) -> Array:
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, a number for each place along the axis in each."""
    y = np.empty(x.shape)
    for place in np.ndindex(*x.shape):
        c = place[axis]
        y[place] = gamma[c] * (x[place] - mean[c]) / math.sqrt(variance[c] + epsilon) + beta[c]
    return y


def instance_normalization(x: Array, gamma: Array, beta: Array, epsilon: float, axis: int, batch: bool) -> Array:
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, gamma and beta by the place along the axis.

    Mean and variance are those over the axes after it; of a batch over all other axes.
    """
    axis %= x.ndim
    others = [other for other in range(x.ndim) if other > axis or (batch and other < axis)]
    y = np.empty(x.shape)
    for block in blocks(x.shape, others):
        c = block[axis]
        y[block] = gamma[c] * _standardized(x[block], epsilon) + beta[c]
    return y


def mean_variance_normalization(x: Array, axes: Sequence[int], epsilon: float | None) -> Array:
    """y = (x - mean) / sqrt(variance + epsilon), without epsilon y = x - mean, in each block along the axes."""
    y = np.empty(x.shape)
    for block in blocks(x.shape, axes):
        y[block] = x[block] - np.mean(x[block]) if epsilon is None else _standardized(x[block], epsilon)
    return y


def layer_normalization(x: Array, gamma: Array, beta: Array, axes: Sequence[int], epsilon: float) -> Array:
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta in each block along the axes, of gamma's shape."""
    y = np.empty(x.shape)
    for block in blocks(x.shape, axes):
        y[block] = gamma * _standardized(x[block], epsilon) + beta
    return y


def _standardized(values: Array, epsilon: float) -> Array:
    """Return the variance is the mean square of the differences: divided by n, not n - 1."""
    differences = values - sum(values.flat) / values.size
    variance = sum(d * d for d in differences.flat) / values.size
    return np.asarray(differences / math.sqrt(variance + epsilon))


def l2_normalization(x: Array, axes: Sequence[int], epsilon: float) -> Array:
    """y = x / sqrt(sum x^2 + epsilon) in each block along the axes."""
    y = np.empty(x.shape)
    for block in blocks(x.shape, axes):
        y[block] = x[block] / math.sqrt(sum(v * v for v in x[block].flat) + epsilon)
    return y


def local_response_normalization(x: Array, size: int, alpha: float, beta: float, k: float, axis: int) -> Array:
    """y = x / (k + alpha / size * sum x^2)^beta, the sum over `size` neighbours along the axis.

    These are c - size // 2 to c + (size - 1) // 2 for place c; outside the array x counts as 0.
    """
    y = np.empty(x.shape)
    for block in blocks(x.shape, [axis]):
        line = x[block]
        for c, value in enumerate(line):
            window = line[max(c - size // 2, 0) : c + (size - 1) // 2 + 1]
            y[block][c] = value / (k + alpha / size * sum(v * v for v in window)) ** beta
    return y
