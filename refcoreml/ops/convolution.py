"""Convolution and deconvolution, and the padding that convolutions and pooling share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from refcoreml import definitions
from refcoreml.kernels import conv as kernels
from refcoreml.kernels.conv import Epilogue, leave
from refcoreml.ops.base import Op, require
from refcoreml.types import Array, Shape, TensorType

#: Pixels (begin, end) for each axis in space.
Edges: TypeAlias = tuple[tuple[int, int], ...]

#: The axes in space by their usual names.
_SPACE = {1: "W", 2: "H, W", 3: "D, H, W"}


@dataclass(frozen=True)
class Pixels:
    """So many pixels at each edge: of padding, or for a deconvolution of crop."""

    edges: Edges


@dataclass(frozen=True)
class Same:
    """What makes the output of stride s ceil(size / s) long, for a deconvolution size * s.

    Attributes:
        heavy_begin: whether an odd pixel goes to the top and left instead of the bottom and right.
    """

    heavy_begin: bool = False


Padding: TypeAlias = Pixels | Same
NONE = Pixels(((0, 0), (0, 0)))


@dataclass(frozen=True, eq=False)
class _Kernel(Op):
    """What a convolution and a deconvolution have in common.

    Attributes:
        weights: the kernel; None if it is the second input, for a convolution only.
        bias: [C_out], or None for 0.
        stride, dilation: pixels from one output, or tap of the kernel, to the next, a number per axis in space.
        groups: how many groups the channels are divided into.
        expected: the shape that weights must have which are an input; None for any.
    """

    weights: Array | None
    bias: Array | None = None
    stride: tuple[int, ...] = (1, 1)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1
    expected: Shape | None = field(default=None, kw_only=True)

    fresh = True

    def _weights_shape(self, given: TensorType | None) -> Shape:
        """The shape of the weights, checked if they are an input."""
        if self.weights is not None:
            return self.weights.shape
        assert given is not None
        wanted = self.expected
        require(wanted in (None, given.shape), f"expected weights of the shape {wanted}, got {given.shape}")
        require(
            given.rank == len(self.stride) + 2 and given.shape[0] % self.groups == 0,
            f"expected weights [C_out, C_in / groups, *kernel] with C_out a multiple of {self.groups}, got {given}",
        )
        return given.shape

    def _check_input(self, x: TensorType, channels: int) -> None:
        space = len(self.stride)
        require(
            x.rank >= space + 2 and x.shape[-space - 1] == channels,
            f"expected an input [*, {channels}, {_SPACE[space]}] of rank {space + 2} or more, got {x.shape}",
        )

    def _check_output(self, x: TensorType, sizes: Sequence[int]) -> None:
        require(
            min(sizes) >= 1,
            f"{tuple(sizes)} pixels would be left of the input {x.shape}: "
            "the kernel does not fit or the crop is too large",
        )

    def terms(self, inputs: Sequence[TensorType]) -> int:
        """Return the taps that a pixel of the result sees, counted in all channels."""
        weights = inputs[1].shape if self.weights is None else self.weights.shape
        return math.prod(weights[1:])

    def work(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        """Return a multiplication for each number of the larger side, weight of its channel and tap."""
        weights = inputs[1] if self.weights is None else self.weights.shape
        return math.prod(self._wide_side(inputs, outputs)) * math.prod(weights[1:])

    def _wide_side(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Shape:
        return outputs[0]

    def border(self, x: Shape, kernel: Sequence[int]) -> Edges:
        """Return the padding of an input, or the crop of an output, in pixels."""
        raise NotImplementedError

    def scratch(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> int:
        """Return the bytes of the padded input: paddings can span more than any memory holds, however small x is."""
        x = inputs[0]
        kernel = (inputs[1].shape if self.weights is None else self.weights.shape)[2:]
        edges = self.border(x.shape, kernel)
        padded = [n + abs(begin) + abs(end) for n, (begin, end) in zip(x.shape[-len(edges) :], edges, strict=True)]
        return x.dtype.itemsize * x.shape[-len(edges) - 1] * math.prod(padded)


@dataclass(frozen=True, eq=False)
class Convolution(_Kernel):
    """y[n, m, i] = bias[m] + sum of weights[m, c, p] * x[n, g * C + c, i * stride + p * dilation - begin].

    The sum is over the C input channels of the group g of m, and over the taps p; pixels outside x are 0.

    Inputs: x [*B, C_in, *D]; optionally the weights [C_out, C_in / groups, *K]. Result [*B, C_out, *D'], with
    D' = floor((D + begin + end - ((K - 1) * dilation + 1)) / stride) + 1.

    Attributes:
        padding: rows and columns of zeros around x.
    """

    padding: Padding = NONE

    def border(self, x: Shape, kernel: Sequence[int]) -> Edges:
        """Return the padding of an input, in pixels."""
        if isinstance(self.padding, Pixels):
            return self.padding.edges
        axes = zip(x[-len(kernel) :], kernel, self.stride, self.dilation, strict=True)
        return tuple(kernels.same_padding(*axis, heavy_begin=self.padding.heavy_begin) for axis in axes)

    def infer(self, x: TensorType, weights: TensorType | None = None) -> TensorType:
        outputs, depth, *kernel = self._weights_shape(weights)
        self._check_input(x, depth * self.groups)
        edges = self.border(x.shape, kernel)
        axes = zip(x.shape[-len(kernel) :], kernel, self.stride, self.dilation, edges, strict=True)
        sizes = [kernels.convolution_output_size(*axis) for axis in axes]
        self._check_output(x, sizes)
        return x.with_shape((*x.shape[: -len(kernel) - 1], outputs, *sizes))

    def run(self, x: Array, weights: Array | None = None) -> Array:
        return self.fused(x, weights)

    def fused(self, x: Array, weights: Array | None = None, *, epilogue: Epilogue = leave) -> Array:
        prepared = self._prepared if weights is None else self._prepare(weights)
        edges: Any = self.border(x.shape, prepared.kernel)
        return prepared(x, edges, epilogue)

    @cached_property
    def _prepared(self) -> kernels.Convolution:
        assert self.weights is not None
        prepared = self._prepare(self.weights)
        object.__setattr__(self, "weights", prepared.weight)  # the same numbers, held once
        return prepared

    def _prepare(self, weights: Array) -> kernels.Convolution:
        (s, t), (d, e) = self.stride, self.dilation
        return kernels.Convolution(weights, self.bias, stride=(s, t), dilation=(d, e), groups=self.groups)

    def define(self, x: Array, weights: Array | None = None) -> Array:
        w = self.weights if weights is None else weights
        assert w is not None
        padding = self.border(x.shape, w.shape[2:])
        return definitions.convolution(x, w, self.bias, self.stride, self.dilation, self.groups, padding)


@dataclass(frozen=True, eq=False)
class Deconvolution(_Kernel):
    """y[n, g * M + m, i * stride + p * dilation - begin] = bias + sum of weights[c, m, p] * x[n, c, i].

    The sum is over all c of the group g, i and p that lead to the same pixel of y: the adjoint of `Convolution`, also
    called transposed convolution. Weights [C_in, C_out / groups, *K].

    Input: x [*B, C_in, *D]. Result [*B, C_out, *D'], with D' = (D - 1) * stride + (K - 1) * dilation + 1 - begin - end.

    Attributes:
        crop: what to cut off; beyond what the kernel reaches, pixels that hold the bias alone are added.
        output_shape: D', which replaces crops of pixels that would give another size; its crop is split like `Same`.
    """

    crop: Padding = NONE
    output_shape: tuple[int, ...] | None = None

    definition = definitions.deconvolution

    def border(self, x: Shape, kernel: Sequence[int]) -> Edges:
        """Return the crop of an output, in pixels."""
        axes = list(zip(x[-len(kernel) :], kernel, self.stride, self.dilation, strict=True))
        if isinstance(self.crop, Pixels):
            sizes = tuple(self._sizes(x, kernel, self.crop.edges))
            if self.output_shape in (None, sizes):
                return self.crop.edges
        wanted: Sequence[int | None] = self.output_shape or [None] * len(axes)
        heavy = isinstance(self.crop, Same) and self.crop.heavy_begin and self.output_shape is None
        return tuple(
            kernels.same_crop(*axis, output=output, heavy_begin=heavy)
            for axis, output in zip(axes, wanted, strict=True)
        )

    def _sizes(self, x: Shape, kernel: Sequence[int], edges: Edges) -> list[int]:
        axes = zip(x[-len(kernel) :], kernel, self.stride, self.dilation, edges, strict=True)
        return [kernels.deconvolution_output_size(*axis) for axis in axes]

    def terms(self, inputs: Sequence[TensorType]) -> int:
        """Return the taps that may reach a pixel of the result, counted in all channels."""
        channels, _, *kernel = self._weights_shape(None)
        return channels * math.prod(kernel)

    def infer(self, x: TensorType) -> TensorType:
        inputs, per_group, *kernel = self._weights_shape(None)
        self._check_input(x, inputs)
        edges = self.border(x.shape, kernel)
        sizes = self._sizes(x.shape, kernel, edges)
        self._check_output(x, sizes)
        return x.with_shape((*x.shape[: -len(kernel) - 1], per_group * self.groups, *sizes))

    def run(self, x: Array) -> Array:
        return self.fused(x)

    def fused(self, x: Array, *, epilogue: Epilogue = leave) -> Array:
        edges: Any = self.border(x.shape, self._prepared.kernel)
        return self._prepared(x, edges, epilogue)

    @cached_property
    def _prepared(self) -> kernels.Deconvolution:
        assert self.weights is not None
        (s, t), (d, e) = self.stride, self.dilation
        prepared = kernels.Deconvolution(self.weights, self.bias, stride=(s, t), dilation=(d, e), groups=self.groups)
        object.__setattr__(self, "weights", prepared.weight)  # the same numbers, held once
        return prepared

    def _wide_side(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Shape:
        return inputs[0]

    def define(self, x: Array) -> Array:
        assert self.weights is not None
        crop = self.border(x.shape, self.weights.shape[2:])
        return definitions.deconvolution(x, self.weights, self.bias, self.stride, self.dilation, self.groups, crop)
