"""The convolution layer: an adapter over `refcoreml.kernels.conv`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from refcoreml.kernels import conv as kernels
from refcoreml.kernels._types import Array, Shape
from refcoreml.neuralnetwork.layers.elementwise import enum_name
from refcoreml.neuralnetwork.layers.padding import borders
from refcoreml.neuralnetwork.registry import Inplace, Node, Op, layer

#: Sizes are 32-bit integers to Core ML. The limit keeps sums of them within 64 bits here.
_LARGEST = 2**31 - 1


def pair(node: Node, field: str, values: Sequence[int], *, default: int, least: int) -> tuple[int, int]:
    """Two numbers for H and W from a repeated field, or ``default`` twice where it is empty."""
    if not values:
        return default, default
    node.require(len(values) == 2, f"{field} has {len(values)} numbers, expected 2, for H and W")
    node.require(
        all(least <= value <= _LARGEST for value in values),
        f"{field} is {list(values)}, expected {least} to {_LARGEST}",
    )
    return values[0], values[1]


@layer("convolution", inputs=(1, 2))
def convolution(node: Node) -> Op:
    """Y = weights (*) x + bias: see `refcoreml.kernels.conv.Convolution` and `refcoreml.kernels.conv.Deconvolution`.

    Input: x [*, C_in, H, W], rank 4 or more, all leading axes being batches; for a convolution optionally the weights
    as a second input. Output: [*, C_out, H', W'].
    Parameters:
        ``outputChannels`` C_out. ``kernelChannels``: C_in / groups, for a deconvolution C_in. ``nGroups``, 0 meaning 1.
        ``kernelSize`` k: H and W in pixels, default 3 and 3. ``stride`` s and ``dilationFactor`` d: likewise, default
        1 and 1; the dilated kernel is K = (k - 1) * d + 1 long.
        ``weights`` [C_out, C_in / groups, k, k'], for a deconvolution [C_in, C_out / groups, k, k']; per-channel scales
        of quantized weights run along the axis of output channels. ``bias`` [C_out] if ``hasBias``.
        ``valid``: H' = floor((H + top + bottom - K) / s) + 1 with ``paddingAmounts``, default 0; for a deconvolution,
        which they crop, H' = (H - 1) * s + K - top - bottom.
        ``same``: H' = ceil(H / s), for a deconvolution H * s; an odd pixel of padding or crop lies at the bottom and
        right (BOTTOM_RIGHT_HEAVY) or at the top and left.
        ``outputShape`` (H', W'), deconvolution only: takes the place of a padding that gives another size.
    Errors: no kind of padding, or an unknown ``asymmetryMode``; sizes of 0 or beyond 32 bits; groups that do not divide
    the channels; weights of another size; an input of other channels; a kernel that does not fit; weights as an input
    of a deconvolution or together with a dilation, which the specification rules out.
    Source: ``ConvolutionLayerParams``.
    Chosen: a deconvolution honours the dilation, although Apple's comments on the schema say that it is ignored: its
    tests do not. The crop that ``outputShape`` asks for is split like ``same`` with BOTTOM_RIGHT_HEAVY; devices differ.
    """
    params = node.params
    deconvolves, fixed = params.isDeconvolution, len(node.inputs) == 1
    mode = params.WhichOneof("ConvolutionPaddingType")
    node.require(mode is not None, "has no kind of padding", "Set valid or same")
    groups, out_channels, depth = params.nGroups or 1, params.outputChannels, params.kernelChannels
    for field, value in ("outputChannels", out_channels), ("kernelChannels", depth):
        node.require(value > 0, f"{field} is 0, expected at least 1")
    divided = {"outputChannels": out_channels} | ({"kernelChannels": depth} if deconvolves else {})
    for field, value in divided.items():
        node.require(value % groups == 0, f"nGroups is {groups}, which does not divide {field}, {value}")
    kernel = pair(node, "kernelSize", params.kernelSize, default=3, least=1)
    stride = pair(node, "stride", params.stride, default=1, least=1)
    dilation = pair(node, "dilationFactor", params.dilationFactor, default=1, least=1)
    wanted = pair(node, "outputShape", params.outputShape, default=0, least=1) if deconvolves else (0, 0)
    edges = borders(node, params.valid.paddingAmounts, "paddingAmounts")
    node.require(max(map(max, edges)) <= _LARGEST, f"paddingAmounts are {edges}, expected at most {_LARGEST}")
    heavy_begin = enum_name(node, "asymmetryMode", params.same) == "TOP_LEFT_HEAVY"
    node.require(fixed or not deconvolves, "takes its weights from an input, which a deconvolution cannot")
    node.require(fixed or dilation == (1, 1), f"takes its weights from an input, but has the dilation {dilation}")

    in_channels = depth if deconvolves else depth * groups
    weights_shape = (depth, out_channels // groups, *kernel) if deconvolves else (out_channels, depth, *kernel)
    output_size = kernels.deconvolution_output_size if deconvolves else kernels.convolution_output_size
    axes = list(zip(kernel, stride, dilation, strict=True))

    def border(x: Shape) -> kernels.Border:
        """The padding, or for a deconvolution the crop, in pixels."""
        if mode == "valid":
            size = tuple(output_size(size, *axis, edge) for size, axis, edge in zip(x[-2:], axes, edges, strict=True))
            if wanted in ((0, 0), size):
                return edges
        if deconvolves:
            heavy = heavy_begin and not any(wanted)
            top, left = (
                kernels.same_crop(size, *axis, output=output or None, heavy_begin=heavy)
                for size, axis, output in zip(x[-2:], axes, wanted, strict=True)
            )
        else:
            top, left = (
                kernels.same_padding(size, *axis, heavy_begin=heavy_begin)
                for size, axis in zip(x[-2:], axes, strict=True)
            )
        return top, left

    def shape(x: Shape, weights: Shape = weights_shape) -> Shape:
        node.require(
            len(x) >= 4 and x[-3] == in_channels,
            f"expected an input [*, {in_channels}, H, W] of rank 4 or more, came {x}",
        )
        # Strides and dilations can span more than any memory holds, however small input and output are.
        padded = (length + abs(begin) + abs(end) for length, (begin, end) in zip(x[-2:], border(x), strict=True))
        node.check_shape((in_channels, *padded), "the padded input")
        node.require(weights == weights_shape, f"expected weights of the shape {weights_shape}, came {weights}")
        size = tuple(output_size(size, *axis, edges) for size, axis, edges in zip(x[-2:], axes, border(x), strict=True))
        node.require(
            min(size) >= 1,
            f"{size} pixels would be left of the input {x}: the kernel does not fit or the crop is too large",
        )
        return *x[:-3], out_channels, *size

    def work(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        pixels = inputs[0] if deconvolves else outputs[0]
        return math.prod(pixels) * math.prod(weights_shape[1:])

    bias = node.weights("bias", (out_channels,)) if params.hasBias else None
    if not fixed:
        return Op(
            lambda x, weights: kernels.convolve(
                x, weights, bias, stride=stride, padding=border(x.shape), groups=groups
            ),
            shape,
            fresh=True,
            work=work,
        )
    weights = node.weights("weights", weights_shape, channel_axis=1 if deconvolves else 0)
    kind = kernels.Deconvolution if deconvolves else kernels.Convolution
    kernel_of = kind(weights, bias, stride=stride, dilation=dilation, groups=groups)

    def run(x: Array, **epilogue: Inplace) -> Array:
        return kernel_of(x, border(x.shape), **epilogue)

    return Op(run, shape, fused=run, fresh=True, work=work)
