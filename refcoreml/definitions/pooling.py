"""Pooling over any number of axes in space."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from refcoreml.types import Array


def pooling(
    x: Array,
    mode: str,
    kernel: Sequence[int],
    stride: Sequence[int],
    begin: Sequence[int],
    count: Sequence[int],
    exclude_padding: bool,
) -> Array:
    """y[n, i] = max, sum / number ("average"), or sqrt(sum of squares) ("l2") of a window w over x[n].

    Along each axis the window holds the pixels i * stride - begin + p for p = 0 ... kernel - 1, and there are ``count``
    windows. Those outside x are padding: -Inf to a maximum, 0 to the others. The number is that of all pixels in the
    window, or of those inside x if padding is excluded.
    """
    space = len(kernel)
    y = np.empty((*x.shape[: x.ndim - space], *count))
    for place in np.ndindex(*y.shape):
        n, window = place[: x.ndim - space], place[x.ndim - space :]
        axes = zip(window, kernel, stride, begin, x.shape[x.ndim - space :], strict=True)
        inside = [[p for p in range(i * s - b, i * s - b + k) if 0 <= p < size] for i, k, s, b, size in axes]
        pixels = [float(x[(*n, *pixel)]) for pixel in itertools.product(*inside)]
        if mode == "max":
            y[place] = max(pixels, default=-np.inf)
        elif mode == "l2":
            y[place] = math.sqrt(sum(pixel * pixel for pixel in pixels))
        else:
            number = len(pixels) if exclude_padding else math.prod(kernel)
            y[place] = sum(pixels) / number if number else np.nan
    return y
