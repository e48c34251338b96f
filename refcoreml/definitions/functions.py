"""Functions of one number, applied to each element of x."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refcoreml.types import Array


def absolute(x: Array) -> Array:
    """y = x where x >= 0, -x elsewhere."""
    return np.where(x >= 0, x, -x)


def sign(x: Array) -> Array:
    """y = 1 where x > 0, -1 where x < 0, 0 where x = 0."""
    return np.where(x > 0, 1.0, np.where(x < 0, -1.0, x))


def ceil(x: Array) -> Array:
    """y = the smallest integer that is not below x."""
    return -np.floor(-x)


def floor(x: Array) -> Array:
    """y = the largest integer that is not above x."""
    return np.floor(x)


def nearest(x: Array) -> Array:
    """y = the nearest integer, of two the even one."""
    below = np.floor(x)
    distance = x - below
    up = (distance > 0.5) | ((distance == 0.5) & (below % 2 == 1))
    return np.where(up, below + 1, below)


def clip(x: Array, low: float, high: float) -> Array:
    """y = low where x < low, high where x > high, x elsewhere."""
    return np.where(x < low, low, np.where(x > high, high, x))


def threshold(x: Array, alpha: float) -> Array:
    """y = max(alpha, x)."""
    return np.maximum(alpha, x)


def sqrt(x: Array) -> Array:
    """y = the number of 0 or more whose square is x."""
    return np.sqrt(x)


def rsqrt(x: Array, epsilon: float) -> Array:
    """y = 1 / sqrt(x + epsilon)."""
    return np.asarray(1 / np.sqrt(x + epsilon))


def inverse(x: Array, epsilon: float) -> Array:
    """y = 1 / (x + epsilon)."""
    return np.asarray(1 / (x + epsilon))


def exp(x: Array) -> Array:
    """y = e^x."""
    return np.exp(x)


def exp2(x: Array) -> Array:
    """y = 2^x."""
    return np.asarray(2.0**x)


def log(x: Array, epsilon: float) -> Array:
    """y = ln(x + epsilon)."""
    return np.log(x + epsilon)


def sin(x: Array) -> Array:
    """y = sin x, x in radians."""
    return np.sin(x)


def cos(x: Array) -> Array:
    """y = cos x, x in radians."""
    return np.cos(x)


def tan(x: Array) -> Array:
    """y = sin x / cos x, x in radians."""
    return np.asarray(np.sin(x) / np.cos(x))


def asin(x: Array) -> Array:
    """y = the angle in [-pi/2, pi/2] whose sine is x."""
    return np.arcsin(x)


def acos(x: Array) -> Array:
    """y = the angle in [0, pi] whose cosine is x: pi / 2 - asin x."""
    return np.asarray(math.pi / 2 - np.arcsin(x))


def atan(x: Array) -> Array:
    """y = the angle in [-pi/2, pi/2] whose tangent is x."""
    return np.arctan(x)


def sinh(x: Array) -> Array:
    """y = (e^x - e^-x) / 2."""
    return np.asarray((np.exp(x) - np.exp(-x)) / 2)


def cosh(x: Array) -> Array:
    """y = (e^x + e^-x) / 2."""
    return np.asarray((np.exp(x) + np.exp(-x)) / 2)


def asinh(x: Array) -> Array:
    """y = ln(x + sqrt(x^2 + 1))."""
    return np.asarray(np.log(x + np.sqrt(x**2 + 1)))


def acosh(x: Array) -> Array:
    """y = ln(x + sqrt(x^2 - 1))."""
    return np.asarray(np.log(x + np.sqrt(x**2 - 1)))


def atanh(x: Array) -> Array:
    """y = ln((1 + x) / (1 - x)) / 2."""
    return np.asarray(np.log((1 + x) / (1 - x)) / 2)


def erf(x: Array) -> Array:
    """y = 2 / sqrt(pi) * the integral of e^(-t^2) from 0 to x."""
    y = np.empty(x.shape)
    for place in np.ndindex(*x.shape):
        y[place] = math.erf(x[place])
    return y


def cast(x: Array, dtype: np.dtype[Any]) -> Array:
    """y = x as a number of another type: without its fraction and within range for integers, x != 0 for booleans."""
    y = np.empty(x.shape, dtype)
    for place in np.ndindex(*x.shape):
        value = float(x[place])
        if dtype.kind == "b":
            y[place] = value != 0
        elif dtype.kind == "f":
            y[place] = value
        else:
            limits = np.iinfo(dtype)
            value = 0 if math.isnan(value) else min(max(value, limits.min), limits.max)
            y[place] = int(value)
    return y


def affine(x: Array, scale: float, shift: float) -> Array:
    """y = scale * x + shift."""
    return np.asarray(scale * x + shift)


def scale(x: Array, scale: Array | None, bias: Array | None) -> Array:
    """y = scale * x + bias, with a scale of 1 and a bias of 0 where there is none."""
    y = x if scale is None else scale * x
    return y if bias is None else y + bias
