"""From a few disturbed runs to a bound with a stated probability: variances pooled over the numbers of a value.

K deviations of one number from the undisturbed run give its variance s^2 with K degrees of freedom, too few for a
bound that a million numbers must keep. But numbers of one value have similar variances. As Smyth (2004) does for
thousands of genes with few samples each, the true variances are taken as drawn from d_0 s_0^2 / chi^2(d_0), and d_0 and
s_0^2 are estimated from all log s^2 (whose mean and variance are known functions of K and d_0). Then

    s~^2 = (d_0 s_0^2 + K s^2) / (d_0 + K),        error / s~ has Student's t distribution with d_0 + K degrees.

s_0^2 may depend on the place: its logarithm is a mean and, for each axis, what its indices (channels, rows, columns)
deviate from it; in pictures what the neighbours of a pixel deviate, instead of its row and column, if that says more. A
value of N numbers is outside its bounds with the probability p if each is with p / N.

That distribution has no long tail, and values have one: a few numbers may depend on an inexact number and the others on
none. So a variance that is six times the pooled one counts for itself.

Numbers of one value do not err independently: an error in a mean moves all of them. How many of them count as
independent, m, shows in the correlation of any two runs over all numbers, whose square is 1 / m on average; so the
degrees of freedom are at most K m.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml.oracle.balls import Doubles

__all__ = ["factor", "moderated"]

#: A variance so many times the pooled one is the number's own; by chance, six deviations make 1 of 400,000 as large.
_OWN = 6.0
#: The smallest square of a deviation.
_SMALLEST = 1e-300
#: Prior degrees beyond which variances count as equal.
_MOST_DEGREES = 1000.0


def factor(probability: float, degrees: float, count: int) -> float:
    """Return how many deviations t a number may be off, so that one of ``count`` is farther with the probability.

    Student's quantile by Wallace's (1959) transformation, accurate to a few per cent far into the tail.
    """
    z = -NormalDist().inv_cdf(probability / max(count, 1) / 2)
    scaled = z * (8 * degrees + 3) / (8 * degrees + 1)
    return math.sqrt(degrees * math.expm1(min(scaled**2 / degrees, 700.0)))


def moderated(deviations: Sequence[Doubles]) -> tuple[Doubles, float]:
    """Return moderated standard deviations, and their degrees of freedom.

    Args:
        deviations: of all numbers in each run. Numbers that deviate infinitely in a run stay so.
    """
    runs = len(deviations)
    squares = np.mean([_squared(each) for each in deviations], axis=0)
    known = np.isfinite(squares) & (squares > 0)
    if not known.any():
        return np.sqrt(squares), float(runs)
    with np.errstate(divide="ignore"):
        logs = np.log(squares)
    trend = _trend(logs, known, _trigamma(runs / 2))
    rest = logs[known] - trend[known]
    excess = float(np.mean(rest**2)) - _trigamma(runs / 2) if rest.size > 1 else math.inf
    degrees = 2 * _inverse_trigamma(excess) if excess > 0 else _MOST_DEGREES
    degrees = min(degrees, _MOST_DEGREES)
    centre = trend - _log_mean(runs) + _log_mean(degrees)
    prior = np.exp(centre)
    pooled = (degrees * prior + runs * np.where(np.isfinite(squares), squares, 0.0)) / (degrees + runs)
    pooled = np.where(squares > _OWN * pooled, squares, pooled)
    scaled = [each[known] / np.sqrt(pooled[known]) for each in deviations]
    degrees = min(degrees + runs, max(runs * _independent(scaled), runs))
    return np.where(np.isfinite(squares), np.sqrt(pooled), np.inf), degrees


def _squared(deviations: Doubles) -> Doubles:
    """Return squares, of what deviates at least the smallest: e^-400 in a softmax deviates, though its square is 0."""
    squares = np.square(deviations)
    lost = (squares < _SMALLEST) & (deviations != 0)
    return np.where(lost, _SMALLEST, squares) if lost.any() else squares


def _independent(deviations: Sequence[Doubles]) -> float:
    """Return how many numbers count as independent: 1 / the mean squared correlation of two runs."""
    lengths = [float(np.dot(each, each)) for each in deviations]
    correlations = [
        float(np.dot(one, other)) ** 2 / (lengths[i] * lengths[j])
        for i, one in enumerate(deviations)
        for j, other in enumerate(deviations[:i])
        if lengths[i] * lengths[j] > 0
    ]
    return 1 / max(float(np.mean(correlations)), 1e-12) if correlations else 1.0


def _log_mean(degrees: float) -> float:
    """Return the mean of log(chi^2(d) / d)."""
    return _digamma(degrees / 2) - math.log(degrees / 2)


def _trend(logs: Doubles, known: NDArray[np.bool_], sampling: float) -> Doubles:
    """Return what the logarithms of true variances are about, from the numbers that are known.

    That is their mean and the main effects of all axes, or, if less is left, what the neighbours of a pixel say instead
    of its row and column. Of a number that has not deviated it is the mean: it is no part of these effects.

    Args:
        logs: the logarithms of variances.
        known: which of them count.
        sampling: the variance of one that chance makes.
    """
    mean = float(np.mean(logs, where=known))
    trend = mean + _main_effects(logs - mean, known, range(logs.ndim), sampling)
    if logs.ndim > 2 and min(logs.shape[-2:]) >= 3:
        other = mean + _main_effects(logs - mean, known, range(logs.ndim - 2), sampling)
        other += _effects_of_neighbours(logs - other, known, sampling)
        left, rest = (float(np.mean(np.square(logs - each), where=known)) for each in (trend, other))
        trend = other if rest < left else trend
    return np.where(known, trend, mean)


def _main_effects(off: Doubles, known: NDArray[np.bool_], axes: Sequence[int], sampling: float) -> Doubles:
    """Return the sum of what the indices of each axis have in common."""
    found = np.zeros(off.shape)
    for axis in axes:
        others = tuple(other for other in range(off.ndim) if other != axis)
        counts = known.sum(others, keepdims=True)
        if off.shape[axis] >= 2 and counts.max() >= 2:  # else there is nothing to pool
            total = np.where(known, off, 0.0).sum(others, keepdims=True)
            found += _shrunk(total / np.maximum(counts, 1), counts, sampling)
    return found


def _effects_of_neighbours(off: Doubles, known: NDArray[np.bool_], sampling: float) -> Doubles:
    """Return what the eight neighbours of each pixel have in common."""
    counts = _around(known.astype(np.float64))
    return _shrunk(_around(np.where(known, off, 0.0)) / np.maximum(counts, 1), counts, sampling)


def _shrunk(effects: Doubles, counts: NDArray[Any], sampling: float) -> Doubles:
    """Return means of so many numbers each, less what chance has made of them: all, if they would be as large."""
    chance = sampling / np.maximum(counts, 1)
    true = max(float(np.mean(np.square(effects) - chance, where=counts > 0)), 0.0)
    return np.asarray(effects * (true / (true + chance)))


def _around(x: Doubles) -> Doubles:
    """Return the sum of the eight neighbours of each pixel, of those that there are."""
    rows = x.copy()
    rows[..., 1:, :] += x[..., :-1, :]
    rows[..., :-1, :] += x[..., 1:, :]
    total = rows - x
    total[..., 1:] += rows[..., :-1]
    total[..., :-1] += rows[..., 1:]
    return total


# ---- Functions that neither NumPy nor Python has, for positive numbers ----


def _digamma(x: float) -> float:
    shift = 0.0
    while x < 8:
        shift -= 1 / x
        x += 1
    square = 1 / x**2
    return shift + math.log(x) - 0.5 / x - square * (1 / 12 - square * (1 / 120 - square / 252))


def _trigamma(x: float) -> float:
    shift = 0.0
    while x < 8:
        shift += 1 / x**2
        x += 1
    square = 1 / x**2
    return shift + 1 / x + square / 2 + square / x * (1 / 6 - square * (1 / 30 - square / 42))


def _inverse_trigamma(y: float) -> float:
    """Return x with trigamma(x) = y, by bisection of a function that falls."""
    low, high = 1e-6, 1e6
    for _ in range(80):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _trigamma(middle) > y else (low, middle)
    return math.sqrt(low * high)
