"""Moving numbers without changing them: blocks of pixels, channel orders, tiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refcoreml.types import Array, Shape


def space_to_depth(x: Array, block: int) -> Array:
    """y[(i * block + j) * C + c, h, w] = x[c, h * block + i, w * block + j], 0 <= i, j < block.

    x: [*B, C, H, W], H and W multiples of block. Returns [*B, C * block**2, H / block, W / block].
    """
    *batch, channels, height, width = x.shape
    rows, columns = height // block, width // block
    blocks = _order(x.reshape(*batch, channels, rows, block, columns, block), (2, 4, 0, 1, 3))
    return blocks.reshape(*batch, channels * block * block, rows, columns)


def depth_to_space(x: Array, block: int) -> Array:
    """Return the inverse of `space_to_depth`: y[c, h * block + i, w * block + j] = x[(i * block + j) * C' + c, h, w].

    x: [*B, C, H, W], C' = C / block**2 an integer. Returns [*B, C', H * block, W * block].
    """
    *batch, channels, height, width = x.shape
    kept = channels // (block * block)
    blocks = _order(x.reshape(*batch, block, block, kept, height, width), (2, 3, 0, 4, 1))
    return blocks.reshape(*batch, kept, height * block, width * block)


def pixel_shuffle(x: Array, block: int) -> Array:
    """y[c, h * block + i, w * block + j] = x[c * block**2 + i * block + j, h, w].

    x: [*B, C, H, W], C' = C / block**2 an integer. Returns [*B, C', H * block, W * block].
    """
    *batch, channels, height, width = x.shape
    kept = channels // (block * block)
    blocks = _order(x.reshape(*batch, kept, block, block, height, width), (0, 3, 1, 4, 2))
    return blocks.reshape(*batch, kept, height * block, width * block)


def pixel_unshuffle(x: Array, block: int) -> Array:
    """Return the inverse of `pixel_shuffle`: y[c * block**2 + i * block + j, h, w] = x[c, h * block + i, w * block +
    j].

    x: [*B, C, H, W], H and W multiples of block. Returns [*B, C * block**2, H / block, W / block].
    """
    *batch, channels, height, width = x.shape
    rows, columns = height // block, width // block
    blocks = _order(x.reshape(*batch, channels, rows, block, columns, block), (0, 2, 4, 1, 3))
    return blocks.reshape(*batch, channels * block * block, rows, columns)


def space_to_batch(x: Array, block: tuple[int, int], margins: Sequence[tuple[int, int]]) -> Array:
    """y[(i * b_w + j) * N + n, c, h, w] = p[n, c, h * b_h + i, w * b_w + j], p = x with margins of zeros.

    Args:
        x: [N, C, H, W].
        block: (b_h, b_w), which divide the lengths of p.
        margins: ((top, bottom), (left, right)).

    Returns:
        [N * b_h * b_w, C, H' / b_h, W' / b_w] for p [N, C, H', W'], always a new array.
    """
    (batch, channels, height, width), ((top, bottom), (left, right)) = x.shape, margins
    padded: Array = np.zeros((batch, channels, top + height + bottom, left + width + right), x.dtype)
    padded[:, :, top : top + height, left : left + width] = x
    rows, columns = padded.shape[2] // block[0], padded.shape[3] // block[1]
    blocks = padded.reshape(batch, channels, rows, block[0], columns, block[1]).transpose(3, 5, 0, 1, 2, 4)
    return blocks.reshape(-1, channels, rows, columns)


def batch_to_space(x: Array, block: tuple[int, int], margins: Sequence[tuple[int, int]]) -> Array:
    """Return the inverse of `space_to_batch`, which cuts the margins off.

    x: [N, C, H, W], N a multiple of b_h * b_w. Returns [N / (b_h * b_w), C, H * b_h - top - bottom, W * b_w - left -
    right].
    """
    _, channels, rows, columns = x.shape
    pixels = x.reshape(*block, -1, channels, rows, columns).transpose(2, 3, 4, 0, 5, 1)
    height, width = rows * block[0], columns * block[1]
    (top, bottom), (left, right) = margins
    return pixels.reshape(-1, channels, height, width)[:, :, top : height - bottom, left : width - right]


def _order(x: Array, axes: Shape) -> Array:
    """Permute the last ``len(axes)`` axes, counted from the first of them."""
    leading = x.ndim - len(axes)
    return x.transpose(*range(leading), *(leading + axis for axis in axes))


def flatten(x: Array, *, channel_last: bool = False) -> Array:
    """[*B, C, H, W] -> [*B, C * H * W, 1, 1], in the order (C, H, W), with ``channel_last`` (H, W, C)."""
    if channel_last:
        x = np.moveaxis(x, -3, -1)
    return x.reshape(*x.shape[:-3], -1, 1, 1)


def reshape(x: Array, target: Shape, *, channel_last: bool = False) -> Array:
    """Fill the shape ``target`` [Seq', C', H', W'] with the numbers of each batch element of x in their order.

    With ``channel_last`` numbers are taken in the order (Seq, H, W, C) and filled in as (Seq', H', W', C').

    x: [Seq, B, C, H, W], Seq * C * H * W = Seq' * C' * H' * W'. Returns [Seq', B, C', H', W'].
    """
    sequence, channels, height, width = target
    x = x.swapaxes(0, 1)
    if not channel_last:
        return x.reshape(-1, *target).swapaxes(0, 1)
    x = np.moveaxis(x, -3, -1).reshape(-1, sequence, height, width, channels)
    return np.moveaxis(x, -1, -3).swapaxes(0, 1)


def tile(x: Array, repetitions: Shape) -> Array:
    """y[i_0, i_1, ...] = x[i_0 mod n_0, i_1 mod n_1, ...]: x again and again along each axis.

    x: [n_0, n_1, ...]; repetitions: one number per axis. Returns [r_0 * n_0, r_1 * n_1, ...], always a new array.
    """
    y: Array = np.empty([length for pair in zip(repetitions, x.shape, strict=True) for length in pair], x.dtype)
    y[...] = x.reshape([length for n in x.shape for length in (1, n)])
    return y.reshape([r * n for r, n in zip(repetitions, x.shape, strict=True)])


def interleave(xs: Sequence[Array], axis: int) -> Array:
    """y[..., i * n + k, ...] = xs[k][..., i, ...], n the number of arrays: one slice of each in turn.

    xs: arrays of equal shapes; axis: not negative. Returns their shape with n times the length of the axis.
    """
    shape = xs[0].shape
    return np.stack(xs, axis + 1).reshape(*shape[:axis], len(xs) * shape[axis], *shape[axis + 1 :])
