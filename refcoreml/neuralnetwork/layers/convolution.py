"""The convolution layer."""

from __future__ import annotations

from collections.abc import Sequence

from refcoreml import ops
from refcoreml.neuralnetwork.layers._checks import borders, enum_name
from refcoreml.neuralnetwork.registry import Node, layer
from refcoreml.ops.convolution import Pixels, Same

#: Sizes are 32-bit integers to Core ML. The limit keeps sums of them within 64 bits here.
LARGEST = 2**31 - 1


def pair(node: Node, field: str, values: Sequence[int], *, default: int, least: int) -> tuple[int, int]:
    """Return two numbers for H and W from a repeated field, or ``default`` twice where it is empty."""
    if not values:
        return default, default
    node.require(len(values) == 2, f"{field} has {len(values)} numbers, expected 2, for H and W")
    first, second = values
    if not (least <= first <= LARGEST and least <= second <= LARGEST):
        node.invalid(f"{field} is {(first, second)}, expected {least} to {LARGEST}")
    return first, second


@layer("convolution", inputs=(1, 2))
def convolution(node: Node) -> ops.Op:
    """y = weights (*) x + bias: see `refcoreml.ops.Convolution` and `refcoreml.ops.Deconvolution`.

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
    tests do not. The crop that ``outputShape`` implies is split like ``same`` with BOTTOM_RIGHT_HEAVY; devices differ.
    """
    params = node.params
    deconvolves, fixed = params.isDeconvolution, len(node.inputs) == 1
    mode = params.WhichOneof("ConvolutionPaddingType")
    node.require(mode is not None, "has no kind of padding", "Set valid or same")
    groups, out_channels, depth = params.nGroups or 1, params.outputChannels, params.kernelChannels
    for field, value in ("outputChannels", out_channels), ("kernelChannels", depth):
        if value == 0:
            node.invalid(f"{field} is 0, expected at least 1")
        if value % groups and (deconvolves or field == "outputChannels"):
            node.invalid(f"nGroups is {groups}, which does not divide {field}, {value}")
    kernel = pair(node, "kernelSize", params.kernelSize, default=3, least=1)
    stride = pair(node, "stride", params.stride, default=1, least=1)
    dilation = pair(node, "dilationFactor", params.dilationFactor, default=1, least=1)
    wanted = pair(node, "outputShape", params.outputShape, default=0, least=1) if deconvolves else (0, 0)
    edges = borders(node, params.valid.paddingAmounts, "paddingAmounts")
    if max(map(max, edges)) > LARGEST:
        node.invalid(f"paddingAmounts are {edges}, expected at most {LARGEST}")
    heavy_begin = enum_name(node, "asymmetryMode", params.same) == "TOP_LEFT_HEAVY"
    node.require(fixed or not deconvolves, "takes its weights from an input, which a deconvolution cannot")
    if not fixed and dilation != (1, 1):
        node.invalid(f"takes its weights from an input, but has the dilation {dilation}")

    padding = Pixels(edges) if mode == "valid" else Same(heavy_begin)
    shape = (depth, out_channels // groups, *kernel) if deconvolves else (out_channels, depth, *kernel)
    bias = node.weights("bias", (out_channels,)) if params.hasBias else None
    if not fixed:
        return ops.Convolution(None, bias, stride, dilation, groups, padding=padding, expected=shape)
    weights = node.weights("weights", shape, channel_axis=1 if deconvolves else 0)
    if deconvolves:
        output_shape = wanted if any(wanted) else None
        return ops.Deconvolution(weights, bias, stride, dilation, groups, crop=padding, output_shape=output_shape)
    return ops.Convolution(weights, bias, stride, dilation, groups, padding=padding)
