"""Order along an axis: sorting, the k best, the place of an extreme. Ties go to the lowest index, NaN comes last."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refcoreml.types import Array


def argsort(x: Array, axis: int, *, descending: bool = False) -> NDArray[np.intp]:
    """Return the indices that sort x along an axis; equal elements keep the order of x, in either direction.

    x: [*D]. Returns [*D].
    """
    if descending:  # -x of integers may overflow
        x = -x if x.dtype.kind == "f" else ~x
    return np.argsort(x, axis=axis, kind="stable")


def top_k(x: Array, k: int, axis: int, *, smallest: bool = False) -> tuple[Array, NDArray[np.intp]]:
    """Return the k largest (or smallest) elements along an axis, best first, and their places.

    x: [*A, L, *B], 1 <= k <= L. Returns two arrays [*A, k, *B].
    """
    best = (slice(None),) * axis + (slice(k),)
    places = argsort(x, axis, descending=not smallest)[best]
    return np.take_along_axis(x, places, axis), places


def arg_extreme(x: Array, axis: int, *, smallest: bool = False) -> NDArray[np.intp]:
    """Return the first place of the largest (or smallest) element along an axis; the first NaN if there is one.

    x: [*A, L, *B]. Returns [*A, 1, *B].
    """
    find = np.argmin if smallest else np.argmax
    return np.asarray(find(x, axis=axis, keepdims=True))
