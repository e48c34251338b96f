"""Convolution and deconvolution over the last three axes, by means of those over two in `refcoreml.kernels.conv`.

A tap of the kernel at depth p sees another slice of the input. For a two-dimensional convolution such slices are just
more input channels: a channel per (channel, p). Likewise the slices that an input reaches through a deconvolution are
more output channels, which are then added up where they fall.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from refcoreml.errors import UsageError
from refcoreml.kernels.conv import Convolution, Deconvolution, convolution_output_size, deconvolution_output_size
from refcoreml.types import Array

__all__ = ["Convolution3d", "Deconvolution3d"]

Triple: TypeAlias = tuple[int, int, int]
#: ((front, back), (top, bottom), (left, right))
Border3d: TypeAlias = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

#: Bytes of slices that are gathered, or made, at a time.
_BLOCK = 1 << 25


class Convolution3d:
    """y[m, i, j, k] = bias[m] + sum of weight[m, c, p, q, r] * x[c, i * s + p * d - front, ...].

    The sum is over c, p, q, r; voxels outside x are 0. With several groups, the output channels of group g see the
    input channels of group g only.
    """

    def __init__(
        self,
        weight: Array,
        bias: Array | None = None,
        *,
        stride: Triple = (1, 1, 1),
        dilation: Triple = (1, 1, 1),
        groups: int = 1,
    ) -> None:
        """Prepare a convolution.

        Args:
            weight: [C_out, C_in / groups, kernel depth, height, width].
            bias: [C_out], or None for none.
            stride: voxels from one output to the next along depth, height, width, at least 1.
            dilation: voxels from one tap of the kernel to the next, likewise.
            groups: number of groups, a divisor of C_out.
        """
        self._shape, self._bias, self._groups = weight.shape, bias, groups
        self._stride, self._dilation = stride, dilation
        self._whole = self._plane(weight)

    @property
    def weight(self) -> Array:
        """The kernel as it was given, a view of the matrix that is kept."""
        return self._whole.weight.reshape(self._shape)

    def _plane(self, weight: Array) -> Convolution:
        """Return the convolution of planes that has the given taps of each channel as channels."""
        return Convolution(
            weight.reshape(len(weight), -1, *weight.shape[3:]),
            self._bias,
            stride=self._stride[1:],
            dilation=self._dilation[1:],
            groups=self._groups,
        )

    def __call__(self, x: Array, padding: Border3d = ((0, 0),) * 3) -> Array:
        """[B, C_in, D, H, W] -> [B, C_out, D', H', W'] in the type of x; for sizes see `convolution_output_size`.

        Args:
            x: the input.
            padding: voxels of zeros around x, at least 0.

        Raises:
            UsageError: x has other channels than the weights, or is smaller than the kernel.
        """
        out_channels, per_group, kernel = self._shape[:3]
        batch, channels, size, height, width = x.shape
        if channels != per_group * self._groups:
            raise UsageError(f"the input {x.shape} has {channels} channels, expected {per_group * self._groups}")
        stride, dilation, (front, _) = self._stride[0], self._dilation[0], padding[0]
        depth = convolution_output_size(size, kernel, stride, dilation, padding[0])
        if depth < 1:
            raise UsageError(f"a kernel {kernel} deep, {dilation} apart, does not fit {size} padded by {padding[0]}")
        # Tap p sees the slices p * dilation - front + range(0, reach + 1, stride). Keep the taps that meet range(size),
        # and one in any case.
        reach = (depth - 1) * stride
        first = min(max(-((reach - front) // dilation), 0), kernel - 1)
        stop = max(min(-(-(front + size) // dilation), kernel), first + 1)
        plane = self._whole if (first, stop) == (0, kernel) else self._plane(self.weight[:, :, first:stop])

        y: Array | None = None
        taps = stop - first
        step = max(_BLOCK // max(batch * channels * taps * height * width * x.itemsize, 1), 1)
        for start in range(0, depth, step):
            count = min(step, depth - start)
            slices = np.zeros((batch, count, channels, taps, height, width), x.dtype)
            for tap in range(taps):
                begin = front - (first + tap) * dilation - start * stride
                sources, targets = _within(count, size, stride, begin)
                slices[:, targets, :, tap] = x[:, :, sources].swapaxes(1, 2)
            made = plane(slices.reshape(batch, count, -1, height, width), padding[1:]).swapaxes(1, 2)
            if y is None:
                y = np.empty((batch, out_channels, depth, *made.shape[3:]), x.dtype)
            y[:, :, start : start + count] = made
        assert y is not None
        return y


class Deconvolution3d:
    """y[m, i * s + p * d - front, ...] = bias[m] + sum of weight[c, m, p, q, r] * x[c, i, j, k].

    The sum is over all that leads to the same voxel of y: the adjoint of `Convolution3d`. What falls outside y is
    dropped. Group g of the outputs sees group g of the inputs only.
    """

    def __init__(
        self,
        weight: Array,
        bias: Array | None = None,
        *,
        stride: Triple = (1, 1, 1),
        dilation: Triple = (1, 1, 1),
        groups: int = 1,
    ) -> None:
        """Prepare a deconvolution.

        Args:
            weight: [C_in, C_out / groups, kernel depth, height, width].
            bias: [C_out], or None for none.
            stride: voxels of the output from one input voxel to the next along depth, height, width, at least 1.
            dilation: voxels from one tap of the kernel to the next, likewise.
            groups: number of groups, a divisor of C_in.
        """
        self._shape, self._kernel = weight.shape, weight.shape[2]
        in_channels, per_group = weight.shape[:2]
        self._out_channels = per_group * groups
        self._bias: Array = np.zeros(self._out_channels, weight.dtype) if bias is None else bias
        self._stride, self._dilation = stride[0], dilation[0]
        self._plane = Deconvolution(
            weight.reshape(in_channels, -1, *weight.shape[3:]), stride=stride[1:], dilation=dilation[1:], groups=groups
        )

    @property
    def weight(self) -> Array:
        """The kernel as it was given, a view of the matrix that is kept unless there are several groups."""
        return self._plane.weight.reshape(self._shape)

    def __call__(self, x: Array, crop: Border3d = ((0, 0),) * 3) -> Array:
        """[B, C_in, D, H, W] -> [B, C_out, D', H', W'] in the type of x; for sizes see `deconvolution_output_size`.

        Args:
            x: the input.
            crop: voxels to cut off the full output; negative to add some, which hold the bias.

        Raises:
            UsageError: x has other channels than the weights, or nothing is left of the output.
        """
        batch, _, size = x.shape[:3]
        depth = deconvolution_output_size(size, self._kernel, self._stride, self._dilation, crop[0])
        if depth < 1:
            raise UsageError(f"nothing is left of the output when {crop} is cut off it: it would be {depth} deep")
        y: Array | None = None
        start, step = 0, 1
        while start < size:
            planes = x[:, :, start : start + step].swapaxes(1, 2)
            made = self._plane(planes, crop[1:])
            made = made.reshape(*made.shape[:2], self._out_channels, self._kernel, *made.shape[3:])
            if y is None:
                y = np.empty((batch, self._out_channels, depth, *made.shape[4:]), x.dtype)
                y[...] = self._bias.reshape(-1, 1, 1, 1)
                step = max(_BLOCK // made.nbytes, 1)
            for tap in range(self._kernel):
                begin = crop[0][0] - tap * self._dilation - start * self._stride
                targets, sources = _within(made.shape[1], depth, self._stride, begin)
                y[:, :, targets] += made[:, sources, :, tap].swapaxes(1, 2)
            start += made.shape[1]
        assert y is not None
        return y


def _within(count: int, size: int, stride: int, begin: int) -> tuple[slice, slice]:
    """Return which places i * stride - begin, i in range(count), lie in range(size); and which i these are."""
    first = min(max(-(-begin // stride), 0), count)
    stop = max(min(-(-(begin + size) // stride), count), first)
    place = first * stride - begin
    places = slice(place, place + (stop - first - 1) * stride + 1, stride) if stop > first else slice(0)
    return places, slice(first, stop)
