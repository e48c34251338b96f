"""Convolution and deconvolution over any number of axes in space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refcoreml.types import Array

Edges = Sequence[tuple[int, int]]


def convolution(
    x: Array,
    weights: Array,
    bias: Array | None,
    stride: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    padding: Edges,
) -> Array:
    """y[n, m, i] = bias[m] + sum of weights[m, c, p] * x[n, g * C + c, i * stride + p * dilation - begin].

    The sum is over the C input channels c of the group g that m is in, and over all taps p; i, p, stride, dilation and
    begin have a component per axis in space. Pixels outside x are 0; the padding gives (begin, end) for each axis.
    """
    outputs, depth, *kernel = weights.shape
    space = len(kernel)
    x = np.pad(x, [(0, 0)] * (x.ndim - space) + list(padding))
    axes = list(zip(kernel, stride, dilation, strict=True))
    sizes = [(length - (k - 1) * d - 1) // s + 1 for length, (k, s, d) in zip(x.shape[-space:], axes, strict=True)]
    y = np.zeros((*x.shape[: -space - 1], outputs, *sizes))
    for m, c, *taps in np.ndindex(*weights.shape):
        channel = m // (outputs // groups) * depth + c
        seen = [slice(p * d, p * d + (n - 1) * s + 1, s) for p, n, (_, s, d) in zip(taps, sizes, axes, strict=True)]
        y[(..., m, *[slice(None)] * space)] += weights[(m, c, *taps)] * x[(..., channel, *seen)]
    return y if bias is None else y + np.reshape(bias, (-1, *[1] * space))


def deconvolution(
    x: Array,
    weights: Array,
    bias: Array | None,
    stride: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    crop: Edges,
) -> Array:
    """y[n, g * M + m, i * stride + p * dilation - begin] = bias + sum of weights[c, m, p] * x[n, c, i].

    The sum is over all c of the group g, i and p that lead to the same pixel: the adjoint of a convolution. The crop
    gives how many pixels (begin, end) to cut off each axis, negative to add some that hold the bias alone.
    """
    inputs, per_group, *kernel = weights.shape
    space = len(kernel)
    axes = list(zip(kernel, stride, dilation, strict=True))
    sizes = [(length - 1) * s + (k - 1) * d + 1 for length, (k, s, d) in zip(x.shape[-space:], axes, strict=True)]
    y = np.zeros((*x.shape[: -space - 1], per_group * groups, *sizes))
    for c, m, *taps in np.ndindex(*weights.shape):
        channel = c // (inputs // groups) * per_group + m
        hit = [
            slice(p * d, p * d + (n - 1) * s + 1, s)
            for p, n, (_, s, d) in zip(taps, x.shape[-space:], axes, strict=True)
        ]
        y[(..., channel, *hit)] += weights[(c, m, *taps)] * x[(..., c, *[slice(None)] * space)]
    y = np.pad(y, [(0, 0)] * (y.ndim - space) + [(max(-begin, 0), max(-end, 0)) for begin, end in crop])
    kept = [slice(max(begin, 0), n - max(end, 0)) for n, (begin, end) in zip(y.shape[-space:], crop, strict=True)]
    y = y[tuple([slice(None)] * (y.ndim - space) + kept)]
    return y if bias is None else y + np.reshape(bias, (-1, *[1] * space))
