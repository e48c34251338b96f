"""Attention, one query at a time."""

from __future__ import annotations

import math

import numpy as np

from refcoreml.types import Array


def attention(query: Array, key: Array, value: Array, mask: Array | None = None) -> Array:
    """y[b..., l] = sum over s of w[s] * value[b..., s], w = exp(z) / sum(exp(z)), z[s] = query * key[s] / sqrt(E).

    query [*B, L, E], its row l at b; key [*B, S, E]; value [*B, S, V]; mask broadcasts to [*B, L, S]: a number is added
    to z, False makes it -inf. Without a finite z the result is NaN.
    """
    y = np.empty((*query.shape[:-1], value.shape[-1]))
    masks = np.broadcast_to(True if mask is None else mask, (*query.shape[:-1], key.shape[-2]))
    for place in np.ndindex(*query.shape[:-1]):
        b = place[:-1]
        scores = key[b] @ query[place] / math.sqrt(query.shape[-1])
        scores = scores + (np.where(masks[place], 0, -np.inf) if masks.dtype == bool else masks[place])
        highest = scores.max()
        weights = np.exp(scores - highest) if np.isfinite(highest) else np.full(scores.shape, np.nan)
        y[place] = weights / weights.sum() @ value[b]
    return y
