"""Numbers that are known before any input, or follow from shapes."""

from __future__ import annotations

import numpy as np

from refcoreml.types import Array, Shape


def constant(value: Array) -> Array:
    """y = value."""
    return value


def fill(value: float, shape: Shape) -> Array:
    """y = value, everywhere."""
    y = np.empty(shape)
    for place in np.ndindex(*shape):
        y[place] = value
    return y


def broadcast_to(x: Array, shape: Shape) -> Array:
    """y[a..., b...] = x[b...], where x stands at 0 along axes of length 1."""
    y = np.empty(shape)
    for place in np.ndindex(*shape):
        last = place[len(shape) - x.ndim :]
        y[place] = x[tuple(0 if n == 1 else i for i, n in zip(last, x.shape, strict=True))]
    return y


def evenly_spaced(start: float, step: float, count: int) -> Array:
    """y[i] = start + i * step."""
    return np.array([start + i * step for i in range(count)])


def shape_of(x: Array) -> Array:
    """y = the lengths of the axes of x."""
    return np.array(x.shape)
