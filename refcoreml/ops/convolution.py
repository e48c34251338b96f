"""Convolution and deconvolution, and the padding that convolutions and pooling share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

from refcoreml import definitions
from refcoreml.kernels import conv as kernels
from refcoreml.kernels import conv3d
from refcoreml.kernels.conv import Epilogue, leave
from refcoreml.ops.base import MAX_RANK, Op, check_floats, invalid, require
from refcoreml.types import Array, Shape, TensorType

#: Pixels (begin, end) for each axis in space.
Edges: TypeAlias = tuple[tuple[int, int], ...]

#: The axes in space by their usual names.
SPACE = {1: "W", 2: "H, W", 3: "D, H, W"}


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

#: What computes over two, and over three axes in space, prepared from weights.
_Prepared: TypeAlias = kernels.Convolution | kernels.Deconvolution | conv3d.Convolution3d | conv3d.Deconvolution3d


@dataclass(frozen=True, eq=False)
class _Kernel(Op):
    """What a convolution and a deconvolution have in common, over one, two or three axes in space.

    Attributes:
        weights: the kernel; None if it is the second input.
        bias: [C_out]; None for 0, or if it is the third input.
        stride, dilation: pixels from one output, or tap of the kernel, to the next, a number per axis in space: as
            many as these are, there are such axes.
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
    layout: ClassVar[str]
    planes: ClassVar[type[kernels.Convolution | kernels.Deconvolution]]
    volumes: ClassVar[type[conv3d.Convolution3d | conv3d.Deconvolution3d]]

    def __post_init__(self) -> None:
        space = len(self.stride)
        if space not in SPACE or len(self.dilation) != space:
            invalid(f"stride {self.stride} and dilation {self.dilation} are not for the same 1 to 3 axes in space")
        if min(*self.stride, *self.dilation, self.groups) < 1:
            settings = f"stride is {self.stride}, dilation {self.dilation}, groups {self.groups}"
            invalid(f"{settings}, expected numbers of at least 1")
        if self.weights is not None:
            self._check_weights(self.weights)

    def _check_weights(self, weights: Array) -> None:
        space = len(self.stride)
        if weights.ndim != space + 2:
            invalid(f"stride {self.stride} does not fit weights of rank {weights.ndim}, expected {space + 2}")
        self._check_groups(weights.shape)
        outputs = self._outputs(weights.shape)
        if self.bias is not None and self.bias.shape != (outputs,):
            invalid(f"expected a bias of the shape {(outputs,)}, got {self.bias.shape}")

    def _outputs(self, weights: Shape) -> int:
        """Return C_out."""
        raise NotImplementedError

    def _check_groups(self, weights: Shape) -> None:
        if len(weights) != len(self.stride) + 2 or weights[0] % self.groups:
            invalid(
                f"expected weights [{self.layout}] whose first length is a multiple of {self.groups}, got {weights}"
            )

    def _edges(self, padding: Pixels | None) -> Edges:
        edges = ((0, 0),) * len(self.stride) if padding is None else padding.edges
        if len(edges) != len(self.stride):
            invalid(f"{edges} are not pixels along {len(self.stride)} axes")
        return edges

    def _weights_shape(self, given: TensorType | None) -> Shape:
        """Return the shape of the weights, checked if they are an input."""
        if self.weights is not None:
            return self.weights.shape
        assert given is not None
        check_floats(given)
        wanted = self.expected
        require(wanted in (None, given.shape), f"expected weights of the shape {wanted}, got {given.shape}")
        self._check_groups(given.shape)
        return given.shape

    def _check_bias(self, bias: TensorType | None, outputs: int) -> None:
        if bias is not None:
            check_floats(bias)
            require(self.bias is None, "has a bias, and another one as an input")
        given = bias if self.bias is None else self.bias
        if given is not None and given.shape != (outputs,):
            invalid(f"expected a bias of the shape {(outputs,)}, got {given.shape}")

    def _check_input(self, x: TensorType, channels: int) -> None:
        check_floats(x)
        space = len(self.stride)
        if not space + 2 <= x.rank <= MAX_RANK or x.shape[-space - 1] != channels:
            invalid(f"expected an input [*, {channels}, {SPACE[space]}] of rank {space + 2} or more, got {x.shape}")

    def _check_output(self, x: TensorType, sizes: Sequence[int]) -> None:
        if min(sizes) < 1:
            left = f"{tuple(sizes)} pixels would be left of the input {x.shape}"
            invalid(f"{left}: the kernel does not fit or the crop is too large")

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
        """Return the bytes of the padded planes: paddings can span more than any memory holds, however small x is."""
        x = inputs[0]
        kernel = (inputs[1].shape if self.weights is None else self.weights.shape)[2:]
        space = len(kernel)
        edges = self.border(x.shape, kernel)[-2:]
        padded = [n + abs(begin) + abs(end) for n, (begin, end) in zip(x.shape[-len(edges) :], edges, strict=True)]
        return x.dtype.itemsize * x.shape[-space - 1] * math.prod(kernel[:-2]) * math.prod(padded)

    def prepare(self) -> None:
        """Lay out the weights as the kernel needs them, if they are no input."""
        if self.weights is not None:
            _ = self._prepared

    @cached_property
    def _prepared(self) -> _Prepared:
        assert self.weights is not None
        prepared = self._prepare(self.weights, self.bias)
        # The same numbers, held once.
        object.__setattr__(self, "weights", prepared.weight.reshape(self.weights.shape))
        return prepared

    def _prepare(self, weights: Array, bias: Array | None = None) -> _Prepared:
        """Lay out the weights; those of a line as weights of planes one pixel high."""
        if len(self.stride) == 3:
            (s, t, u), (d, e, f) = self.stride, self.dilation
            return self.volumes(weights, bias, stride=(s, t, u), dilation=(d, e, f), groups=self.groups)
        if len(self.stride) == 1:
            weights = weights[:, :, None]
        *_, s, t = (1, *self.stride)
        *_, d, e = (1, *self.dilation)
        return self.planes(weights, bias, stride=(s, t), dilation=(d, e), groups=self.groups)

    def run(self, x: Array, *weights: Array) -> Array:
        return self._run(x, *weights)

    def _run(self, x: Array, *weights: Array, epilogue: Epilogue = leave) -> Array:
        prepared = self._prepare(weights[0], self._bias(weights)) if weights else self._prepared
        kernel = (weights[0] if weights else self._held).shape[2:]
        edges: Any = self.border(x.shape, kernel)
        if isinstance(prepared, conv3d.Convolution3d | conv3d.Deconvolution3d):
            return prepared(x, edges)
        if len(kernel) == 1:
            return prepared(x[..., None, :], ((0, 0), *edges))[..., 0, :]
        return prepared(x, edges, epilogue)

    @property
    def fused(self) -> Callable[..., Array] | None:  # type: ignore[override]
        """`run` with an epilogue; planes have one."""
        return self._run if len(self.stride) == 2 else None

    def _bias(self, weights: Sequence[Array]) -> Array | None:
        """Return the bias among the inputs after the first, else that of the operation."""
        return weights[1] if len(weights) > 1 else self.bias

    @property
    def _held(self) -> Array:
        assert self.weights is not None
        return self.weights


@dataclass(frozen=True, eq=False)
class Convolution(_Kernel):
    """y[n, m, i] = bias[m] + sum of weights[m, c, p] * x[n, g * C + c, i * stride + p * dilation - begin].

    The sum is over the C input channels of the group g of m, and over the taps p; pixels outside x are 0.

    Inputs: x [*B, C_in, *D]; the weights [C_out, C_in / groups, *K] and the bias, if they are no attributes. Result
    [*B, C_out, *D'], with D' = floor((D + begin + end - ((K - 1) * dilation + 1)) / stride) + 1.

    Attributes:
        padding: rows and columns of zeros around x; None for nothing.
    """

    padding: Padding | None = None

    layout = "C_out, C_in / groups, *kernel"
    planes = kernels.Convolution
    volumes = conv3d.Convolution3d

    def _outputs(self, weights: Shape) -> int:
        return weights[0]

    def border(self, x: Shape, kernel: Sequence[int]) -> Edges:
        """Return the padding of an input, in pixels."""
        if not isinstance(self.padding, Same):
            return self._edges(self.padding)
        axes = zip(x[-len(kernel) :], kernel, self.stride, self.dilation, strict=True)
        return tuple(kernels.same_padding(*axis, heavy_begin=self.padding.heavy_begin) for axis in axes)

    def infer(self, x: TensorType, weights: TensorType | None = None, bias: TensorType | None = None) -> TensorType:
        outputs, depth, *kernel = self._weights_shape(weights)
        self._check_input(x, depth * self.groups)
        self._check_bias(bias, outputs)
        edges = self.border(x.shape, kernel)
        axes = zip(x.shape[-len(kernel) :], kernel, self.stride, self.dilation, edges, strict=True)
        sizes = [kernels.convolution_output_size(*axis) for axis in axes]
        self._check_output(x, sizes)
        return x.with_shape((*x.shape[: -len(kernel) - 1], outputs, *sizes))

    def define(self, x: Array, *weights: Array) -> Array:
        w = weights[0] if weights else self._held
        padding = self.border(x.shape, w.shape[2:])
        return definitions.convolution(x, w, self._bias(weights), self.stride, self.dilation, self.groups, padding)


@dataclass(frozen=True, eq=False)
class Deconvolution(_Kernel):
    """y[n, g * M + m, i * stride + p * dilation - begin] = bias + sum of weights[c, m, p] * x[n, c, i].

    The sum is over all c of the group g, i and p that lead to the same pixel of y: the adjoint of `Convolution`, also
    called transposed convolution. Weights [C_in, C_out / groups, *K].

    Inputs: x [*B, C_in, *D]; the weights and the bias, if they are no attributes. Result [*B, C_out, *D'], with
    D' = (D - 1) * stride + (K - 1) * dilation + 1 - begin - end.

    Attributes:
        crop: what to cut off; beyond what the kernel reaches, pixels that hold the bias alone are added. None for
            nothing.
        output_shape: D', which replaces crops of pixels that would give another size; its crop is split like `Same`.
        keep_begin: whether it replaces only the crop at the end of each axis, and that at the beginning stays.
    """

    crop: Padding | None = None
    output_shape: tuple[int, ...] | None = None
    keep_begin: bool = False

    layout = "C_in, C_out / groups, *kernel"
    planes = kernels.Deconvolution
    volumes = conv3d.Deconvolution3d

    def _outputs(self, weights: Shape) -> int:
        return weights[1] * self.groups

    def border(self, x: Shape, kernel: Sequence[int]) -> Edges:
        """Return the crop of an output, in pixels."""
        axes = list(zip(x[-len(kernel) :], kernel, self.stride, self.dilation, strict=True))
        if not isinstance(self.crop, Same):
            edges = self._edges(self.crop)
            if self.output_shape in (None, tuple(self._sizes(x, kernel, edges))):
                return edges
            if self.keep_begin:
                begins = tuple((begin, 0) for begin, _ in edges)
                surplus = zip(self._sizes(x, kernel, begins), self.output_shape or (), strict=True)
                return tuple((begin, size - wanted) for (begin, _), (size, wanted) in zip(edges, surplus, strict=True))
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
        channels, _, *kernel = self._weights_shape(inputs[1] if self.weights is None else None)
        return channels * math.prod(kernel)

    def infer(self, x: TensorType, weights: TensorType | None = None, bias: TensorType | None = None) -> TensorType:
        inputs, per_group, *kernel = self._weights_shape(weights)
        self._check_input(x, inputs)
        self._check_bias(bias, per_group * self.groups)
        edges = self.border(x.shape, kernel)
        sizes = self._sizes(x.shape, kernel, edges)
        self._check_output(x, sizes)
        return x.with_shape((*x.shape[: -len(kernel) - 1], per_group * self.groups, *sizes))

    def _wide_side(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Shape:
        return inputs[0]

    def define(self, x: Array, *weights: Array) -> Array:
        w = weights[0] if weights else self._held
        crop = self.border(x.shape, w.shape[2:])
        return definitions.deconvolution(x, w, self._bias(weights), self.stride, self.dilation, self.groups, crop)
