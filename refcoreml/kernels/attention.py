"""Attention: how much of each value a query takes, by how well it matches the keys."""

from __future__ import annotations

import itertools
import math

import numpy as np

from refcoreml.kernels.elementwise import like
from refcoreml.kernels.linear import batched_matmul
from refcoreml.kernels.normalization import softmax
from refcoreml.kernels.threads import for_each
from refcoreml.types import Array, Shape

#: So many scores are held at a time by a thread, or one row of them: enough for fast products.
BLOCK = 1 << 19


def attention(query: Array, key: Array, value: Array, mask: Array | None = None) -> Array:
    """y[*b, l] = sum over s of w[l, s] * value[*b, s], w = softmax over s of query[l] * key[s] / sqrt(E) + mask[l, s].

    Blocks of rows are computed one after another, shared among threads, so that the scores of all pairs (l, s) are
    never held: a thread holds `BLOCK` of them twice.

    Args:
        query: [*B, L, E], at least one axis in *B.
        key: [*B, S, E].
        value: [*B, S, V].
        mask: broadcasts to [*B, L, S]: booleans, False for pairs that do not count, or numbers that are added. A query
            for which nothing counts, or whose sums are all -inf, has the result NaN.

    Returns:
        [*B, L, V] in the type of the query, always a new array.
    """
    *outer, heads, length, width = query.shape
    count = key.shape[-2]
    y: Array = np.empty((*query.shape[:-1], value.shape[-1]), query.dtype)
    masks = None if mask is None else np.broadcast_to(mask, (*query.shape[:-1], count))
    factor = like(1 / math.sqrt(width), query)
    rows = min(length, max(1, BLOCK // count))
    together = max(1, BLOCK // (rows * count)) if rows == length else 1

    def run(item: tuple[Shape, int, int]) -> None:
        place, head, row = item
        some, part = slice(head, head + together), slice(row, row + rows)
        scores = batched_matmul(query[place][some, part] * factor, key[place][some].swapaxes(-1, -2))
        if masks is not None:
            _apply(masks[place][some, part], scores)
        y[place][some, part] = batched_matmul(softmax(scores, -1), value[place][some])

    blocks = itertools.product(np.ndindex(*outer), range(0, heads, together), range(0, length, rows))
    for_each(run, list(blocks))
    return y


def _apply(mask: Array, scores: Array) -> None:
    """Change scores by a mask of the same shape."""
    if mask.dtype == bool:
        np.copyto(scores, -np.inf, where=~mask)
    else:
        with np.errstate(invalid="ignore"):  # infinities of both signs
            scores += mask
