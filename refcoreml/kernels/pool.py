"""Pooling over the last axes: one number for each window that slides over them.

Windows are boxes, so every pooling is done one axis after the other: rows first, then columns. A 3x3 window costs 2 + 2
operations a pixel instead of 8, and the first pass already leaves out the rows that a stride skips. Padding is never
stored: a window is cut off at the border of the input instead.

`Windows` says where windows lie along one axis; `valid_windows`, `same_windows`, `complete_windows` and
`global_windows` make them from the paddings that Core ML knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml.kernels.conv import convolution_output_size, same_padding
from refcoreml.types import Array

__all__ = [
    "Windows",
    "average_pool",
    "complete_windows",
    "global_windows",
    "l2_pool",
    "max_pool",
    "same_windows",
    "valid_windows",
]

#: Up to this length a window is put together pixel by pixel; beyond it from running results, whatever its length.
_SHORT = 16


@dataclass(frozen=True)
class Windows:
    """Windows along one axis: the i-th covers the pixels [i * stride - begin, i * stride - begin + kernel).

    Attributes:
        kernel: pixels in a window, at least 1; those outside of the input are padding.
        stride: pixels from one window to the next, at least 1.
        begin: pixels of padding before the input.
        count: how many windows there are; below 1 where a kernel does not fit.
    """

    kernel: int
    stride: int
    begin: int
    count: int

    def real(self, size: int) -> NDArray[np.int64]:
        """Return how many pixels of each window lie within an input of ``size`` pixels: [count]."""
        first = np.arange(self.count, dtype=np.int64) * self.stride - self.begin
        pixels: NDArray[np.int64] = np.minimum(first + self.kernel, size) - np.maximum(first, 0)
        return np.maximum(pixels, 0, out=pixels)


def valid_windows(size: int, kernel: int, stride: int = 1, padding: tuple[int, int] = (0, 0)) -> Windows:
    """Count = floor((size + begin + end - kernel) / stride) + 1, with padding (begin, end)."""
    return Windows(kernel, stride, padding[0], convolution_output_size(size, kernel, stride, padding=padding))


def same_windows(size: int, kernel: int, stride: int = 1, *, heavy_begin: bool = False) -> Windows:
    """Count = ceil(size / stride); an odd pixel of padding goes to the end, with ``heavy_begin`` to the beginning."""
    return Windows(kernel, stride, same_padding(size, kernel, stride, heavy_begin=heavy_begin)[0], -(-size // stride))


def complete_windows(size: int, kernel: int, stride: int = 1, padding: int = 0, *, trim: bool = False) -> Windows:
    """Return Caffe's windows: count = ceil((size + 2 * padding - kernel) / stride) + 1, to cover the last pixel.

    Args:
        size: pixels of the input.
        kernel: pixels in a window.
        stride: pixels from one window to the next.
        padding: pixels on either side; the last window may reach beyond them.
        trim: whether to leave out a last window that starts at size + padding or later.
    """
    count = -(-(size + 2 * padding - kernel) // stride) + 1
    if trim and (count - 1) * stride >= size + padding:
        count -= 1
    return Windows(kernel, stride, padding, count)


def global_windows(size: int) -> Windows:
    """Return one window over the whole axis."""
    return Windows(size, 1, 0, 1)


def max_pool(x: Array, windows: Sequence[Windows]) -> Array:
    """y = max of each window. Padding counts as -Inf, so that a window of nothing else gives -Inf.

    Args:
        x: [*B, *D] float.
        windows: for each axis of D, the last ``len(windows)`` axes of x; counts at least 1.

    Returns:
        [*B, *counts] in the type of x, always a new array. A NaN in a window makes it NaN.
    """
    return _reduce_windows(x, windows, np.maximum, -np.inf)


def average_pool(x: Array, windows: Sequence[Windows], *, exclude_padding: bool = False) -> Array:
    """y = sum of each window / number of its pixels. Padding counts as 0.

    The order of summation, in the type of x: first along the first of the axes, each column of a window from top to
    bottom, then the sums of the columns from left to right. Windows longer than 16 pixels along an axis are the sum of
    two parts there, each added up in order (backwards in the first part); a single window is summed as NumPy does.

    Args:
        x: [*B, *D] float.
        windows: as in `max_pool`.
        exclude_padding: divide by the number of pixels within the input instead of all in the window. A window of
            padding alone then is 0 / 0 = NaN.

    Returns:
        [*B, *counts] in the type of x, always a new array.
    """
    y = _reduce_windows(x, windows, np.add, 0.0)
    if exclude_padding:
        pixels = np.ones((), np.int64)
        for size, w in zip(x.shape[x.ndim - len(windows) :], windows, strict=True):
            pixels = pixels[..., None] * w.real(size)
        with np.errstate(invalid="ignore"):
            y /= pixels.astype(x.dtype)
    else:
        y /= x.dtype.type(np.prod([float(w.kernel) for w in windows]))
    return y


def l2_pool(x: Array, windows: Sequence[Windows]) -> Array:
    """y = sqrt(sum of the squares of each window): the sum, not the mean. Padding counts as 0.

    Squares are summed in the order of `average_pool`; they overflow where abs(x) is beyond the root of the largest
    number of the type.

    Args:
        x: [*B, *D] float.
        windows: as in `max_pool`.

    Returns:
        [*B, *counts] in the type of x, always a new array.
    """
    y = _reduce_windows(np.square(x), windows, np.add, 0.0)
    return np.sqrt(y, out=y)


def _reduce_windows(x: Array, windows: Sequence[Windows], combine: np.ufunc, nothing: float) -> Array:
    axes = range(-len(windows), 0)
    if all(w.count == 1 and (w.real(x.shape[a]) == x.shape[a]).all() for a, w in zip(axes, windows, strict=True)):
        result: Array = combine.reduce(x, axis=tuple(axes), keepdims=True)
        return result
    for axis, w in zip(axes, windows, strict=True):
        slide = _slide_short if w.kernel <= _SHORT else _slide_long
        x = slide(x, x.ndim + axis, w, combine, nothing)
    return x


def _slide_short(x: Array, axis: int, w: Windows, combine: np.ufunc, nothing: float) -> Array:
    """Return all windows along an axis at once, one position in the window after the other, in order."""
    size = x.shape[axis]
    y: Array = np.empty((*x.shape[:axis], w.count, *x.shape[axis + 1 :]), x.dtype)
    before: tuple[Any, ...] = (slice(None),) * axis
    for position in range(w.kernel):
        # The windows [first, last) for which this position, pixel i * stride + shift, lies within the input.
        shift = position - w.begin
        first = max(0, -(shift // w.stride))
        last = max(first, min(w.count, (size - 1 - shift) // w.stride + 1))
        part = y[(*before, slice(first, last))]
        start = first * w.stride + shift
        pixels = x[(*before, slice(start, start + (last - first) * w.stride, w.stride))] if last > first else part
        if position == 0:
            y[(*before, slice(0, first))] = nothing
            y[(*before, slice(last, None))] = nothing
            part[...] = pixels
        elif last > first:
            combine(part, pixels, out=part)
    return y


def _slide_long(x: Array, axis: int, w: Windows, combine: np.ufunc, nothing: float) -> Array:
    """Return the same at a cost that does not depend on the kernel (van Herk, Gil and Werman).

    The axis is divided into blocks as long as a window, with running results from either end of each block. A window
    that starts within one block ends within the next: it is the end of the first and the beginning of the second.
    """
    x = np.moveaxis(x, axis, 0)
    size = len(x)
    kernel = min(w.kernel, size)
    first = np.arange(w.count, dtype=np.int64) * w.stride - w.begin
    if w.kernel > size:
        # A shorter window covers the same pixels if one that starts before the input keeps its end.
        first = np.where(first < 0, np.minimum(first + w.kernel - size, 0), first)
    first = np.clip(first, -kernel, size) + kernel
    blocks = -(-size // kernel) + 2
    padded = np.full((blocks * kernel, *x.shape[1:]), nothing, x.dtype)
    padded[kernel : kernel + size] = x
    parted = padded.reshape(blocks, kernel, *x.shape[1:])
    y: Array = combine.accumulate(parted[:, ::-1], axis=1)[:, ::-1].reshape(padded.shape)[first]
    split = first % kernel != 0
    y[split] = combine(y[split], combine.accumulate(parted, axis=1).reshape(padded.shape)[first[split] + kernel - 1])
    return np.moveaxis(y, 0, axis)
