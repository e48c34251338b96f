"""Questions about each element, answered with true or false. A number is true where it is not 0."""

from __future__ import annotations

import numpy as np

from refcoreml.types import Array


def equal(a: Array, b: Array) -> Array:
    """y = true where a = b."""
    return np.asarray(a == b)


def not_equal(a: Array, b: Array) -> Array:
    """y = true where a and b differ."""
    return np.asarray(a != b)


def less(a: Array, b: Array) -> Array:
    """y = true where a < b."""
    return np.asarray(a < b)


def less_equal(a: Array, b: Array) -> Array:
    """y = true where a <= b."""
    return np.asarray(a <= b)


def greater(a: Array, b: Array) -> Array:
    """y = true where a > b."""
    return np.asarray(a > b)


def greater_equal(a: Array, b: Array) -> Array:
    """y = true where a >= b."""
    return np.asarray(a >= b)


def logical_and(a: Array, b: Array) -> Array:
    """y = true where a and b are true."""
    return np.asarray((a != 0) & (b != 0))


def logical_or(a: Array, b: Array) -> Array:
    """y = true where a or b is true."""
    return np.asarray((a != 0) | (b != 0))


def logical_xor(a: Array, b: Array) -> Array:
    """y = true where one of a and b is true and the other is not."""
    return np.asarray((a != 0) != (b != 0))


def logical_not(x: Array) -> Array:
    """y = true where x is false."""
    return np.asarray(x == 0)
