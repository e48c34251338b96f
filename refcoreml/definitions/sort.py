"""Order along an axis: of equal elements the one with the lowest index comes first, in either direction."""

from __future__ import annotations

import numpy as np

from refcoreml.definitions.blocks import blocks
from refcoreml.types import Array


def arg_sort(x: Array, axis: int, descending: bool) -> Array:
    """y[..., i, ...] = the index of the element that comes at place i in order."""
    y = np.empty(x.shape)
    for block in blocks(x.shape, [axis]):
        line = -x[block] if descending else x[block]
        y[block] = sorted(range(len(line)), key=line.__getitem__)
    return y


def top_k(x: Array, k: int, axis: int, smallest: bool) -> tuple[Array, Array]:
    """y, i = the k largest (or smallest) elements along an axis, best first, and their indices: y = x[i]."""
    order = arg_sort(x, axis, not smallest)
    places = np.take(order, range(k), axis)
    values = np.empty(places.shape)
    for place in np.ndindex(*places.shape):
        source = list(place)
        source[axis] = int(places[place])
        values[place] = x[tuple(source)]
    return values, places
