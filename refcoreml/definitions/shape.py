"""Numbers in another shape or order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refcoreml.types import Array, Shape


def identity(x: Array) -> Array:
    """y = x."""
    return x


def reshape(x: Array, target: Shape) -> Array:
    """y = the numbers of x in row-major order: the n-th of y is the n-th of x."""
    y = np.empty(target)
    for place, source in zip(np.ndindex(*target), np.ndindex(*x.shape), strict=True):
        y[place] = x[source]
    return y


def transpose(x: Array, axes: Shape) -> Array:
    """y[i_0, i_1, ...] = x at the place whose coordinate axes[k] is i_k."""
    y = np.empty([x.shape[axis] for axis in axes])
    for place in np.ndindex(*y.shape):
        source = [0] * x.ndim
        for i, axis in zip(place, axes, strict=True):
            source[axis] = i
        y[place] = x[tuple(source)]
    return y


def flatten_image(x: Array, channel_last: bool) -> Array:
    """y = the numbers of x [*, C, H, W] as [*, C * H * W, 1, 1], in the order (C, H, W) or (H, W, C)."""
    *batch, channels, height, width = x.shape
    y = np.empty((*batch, channels * height * width, 1, 1))
    for place in np.ndindex(*x.shape):
        *b, c, h, w = place
        number = (h * width + w) * channels + c if channel_last else (c * height + h) * width + w
        y[(*b, number, 0, 0)] = x[place]
    return y


def reshape_sequence(x: Array, target: Shape, channel_last: bool) -> Array:
    """y[:, n] = the numbers of x[:, n] in their order, or both with the channels as last axis, for each n of the batch.

    x [Seq, B, C, H, W]; target (Seq', C', H', W').
    """
    order = (0, 2, 3, 1) if channel_last else (0, 1, 2, 3)
    y = np.empty((target[0], x.shape[1], *target[1:]))
    for n in range(x.shape[1]):
        numbers = transpose(x[:, n], order).ravel()
        shape = [target[axis] for axis in order]
        y[:, n] = transpose(reshape(numbers, tuple(shape)), tuple(int(axis) for axis in np.argsort(order)))
    return y


def space_to_depth(x: Array, block: int) -> Array:
    """y[(i * b + j) * C + c, h, w] = x[c, h * b + i, w * b + j] for blocks of b * b pixels.

    x [*, C, H, W].
    """
    *batch, channels, height, width = x.shape
    y = np.empty((*batch, channels * block**2, height // block, width // block))
    for c, row, column in np.ndindex(channels, height, width):
        (h, i), (w, j) = divmod(row, block), divmod(column, block)
        y[..., (i * block + j) * channels + c, h, w] = x[..., c, row, column]
    return y


def depth_to_space(x: Array, block: int) -> Array:
    """y[c, h * b + i, w * b + j] = x[(i * b + j) * C' + c, h, w] for blocks of b * b pixels.

    x [*, C, H, W]; C' = C / b**2.
    """
    *batch, channels, height, width = x.shape
    kept = channels // block**2
    y = np.empty((*batch, kept, height * block, width * block))
    for c, row, column in np.ndindex(kept, height * block, width * block):
        (h, i), (w, j) = divmod(row, block), divmod(column, block)
        y[..., c, row, column] = x[..., (i * block + j) * kept + c, h, w]
    return y


def pixel_shuffle(x: Array, block: int) -> Array:
    """y[c, h * b + i, w * b + j] = x[c * b**2 + i * b + j, h, w] for blocks of b * b pixels.

    x [*, C, H, W].
    """
    *batch, channels, height, width = x.shape
    y = np.empty((*batch, channels // block**2, height * block, width * block))
    for c, row, column in np.ndindex(*y.shape[-3:]):
        (h, i), (w, j) = divmod(row, block), divmod(column, block)
        y[..., c, row, column] = x[..., c * block**2 + i * block + j, h, w]
    return y


def pixel_unshuffle(x: Array, block: int) -> Array:
    """y[c * b**2 + i * b + j, h, w] = x[c, h * b + i, w * b + j] for blocks of b * b pixels.

    x [*, C, H, W].
    """
    *batch, channels, height, width = x.shape
    y = np.empty((*batch, channels * block**2, height // block, width // block))
    for c, row, column in np.ndindex(channels, height, width):
        (h, i), (w, j) = divmod(row, block), divmod(column, block)
        y[..., c * block**2 + i * block + j, h, w] = x[..., c, row, column]
    return y


def space_to_batch(x: Array, block: Sequence[int], margins: Sequence[Sequence[int]]) -> Array:
    """y[(i * b_w + j) * N + n, c, h, w] = x[n, c, h * b_h + i - top, w * b_w + j - left], 0 outside of x.

    x [N, C, H, W]; block (b_h, b_w); margins ((top, bottom), (left, right)).
    """
    (count, channels, height, width), (down, across), ((top, bottom), (left, right)) = x.shape, block, margins
    rows, columns = (top + height + bottom) // down, (left + width + right) // across
    y = np.zeros((down * across * count, channels, rows, columns))
    for n, row, column in np.ndindex(count, height, width):
        (h, i), (w, j) = divmod(row + top, down), divmod(column + left, across)
        y[(i * across + j) * count + n, :, h, w] = x[n, :, row, column]
    return y


def batch_to_space(x: Array, block: Sequence[int], margins: Sequence[Sequence[int]]) -> Array:
    """y[n, c, h * b_h + i - top, w * b_w + j - left] = x[(i * b_w + j) * N' + n, c, h, w] where y has such a place.

    x [N, C, H, W]; block (b_h, b_w); margins ((top, bottom), (left, right)); N' = N / (b_h * b_w).
    """
    (batch, channels, rows, columns), (down, across), ((top, bottom), (left, right)) = x.shape, block, margins
    count = batch // (down * across)
    y = np.empty((count, channels, rows * down - top - bottom, columns * across - left - right))
    for n, row, column in np.ndindex(count, *y.shape[2:]):
        (h, i), (w, j) = divmod(row + top, down), divmod(column + left, across)
        y[n, :, row, column] = x[(i * across + j) * count + n, :, h, w]
    return y
