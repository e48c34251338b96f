"""Softmax."""

from __future__ import annotations

import numpy as np

from refcoreml.types import Array


def softmax(x: Array, axis: int) -> Array:
    """y = exp(x) / sum(exp(x)) along an axis; the largest x is subtracted first, which changes nothing but overflow."""
    e = np.exp(x - np.max(x, axis, keepdims=True))
    return np.asarray(e / np.sum(e, axis, keepdims=True))
