"""Arithmetic of arrays that broadcast as in NumPy: aligned at the last axis, lengths are equal or 1."""

from __future__ import annotations

import numpy as np

from refcoreml.types import Array


def add(*xs: Array) -> Array:
    """y = x_1 + x_2 + ..., from left to right."""
    y = xs[0]
    for x in xs[1:]:
        y = y + x
    return y


def subtract(a: Array, b: Array) -> Array:
    """y = a - b."""
    return np.asarray(a - b)


def multiply(*xs: Array) -> Array:
    """y = x_1 * x_2 * ..., from left to right."""
    y = xs[0]
    for x in xs[1:]:
        y = y * x
    return y


def divide(a: Array, b: Array) -> Array:
    """y = a / b."""
    return np.asarray(a / b)


def floor_divide(a: Array, b: Array) -> Array:
    """y = the largest integer that is not above a / b."""
    return np.asarray(a // b)


def modulo(a: Array, b: Array) -> Array:
    """y = a - b * floor(a / b)."""
    return np.asarray(a - b * (a // b))


def power(a: Array, b: Array) -> Array:
    """y = a^b."""
    return np.asarray(a**b)


def maximum(*xs: Array) -> Array:
    """y = max(x_1, ..., x_n)."""
    y = xs[0]
    for x in xs[1:]:
        y = np.where((y >= x) | np.isnan(y), y, x)
    return y


def minimum(*xs: Array) -> Array:
    """y = min(x_1, ..., x_n)."""
    y = xs[0]
    for x in xs[1:]:
        y = np.where((y <= x) | np.isnan(y), y, x)
    return y


def average(*xs: Array) -> Array:
    """y = (x_1 + ... + x_n) / n."""
    return np.asarray(add(*xs) / len(xs))
