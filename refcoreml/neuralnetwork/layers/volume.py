"""Layers over depth, height and width."""

from __future__ import annotations

from typing import TypeAlias

from refcoreml import ops
from refcoreml.neuralnetwork.layers._checks import enum_name, require_unquantized
from refcoreml.neuralnetwork.registry import Node, layer
from refcoreml.ops.convolution import Pixels, Same

#: Numbers for depth, height and width.
Triple: TypeAlias = tuple[int, int, int]
Border: TypeAlias = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

_AXES = ("Depth", "Height", "Width")
_SIDES = (("Front", "Back"), ("Top", "Bottom"), ("Left", "Right"))
_NO_BORDER: Border = ((0, 0), (0, 0), (0, 0))


def _triple(node: Node, prefix: str) -> Triple:
    """Return the fields ``prefix``Depth, ``prefix``Height and ``prefix``Width, which have no default."""
    depth, height, width = (int(getattr(node.params, prefix + axis)) for axis in _AXES)
    node.require(
        min(depth, height, width) >= 1,
        f"{prefix}Depth, {prefix}Height and {prefix}Width are {(depth, height, width)}, expected 1 or more each",
    )
    return depth, height, width


def _custom_padding(node: Node) -> Border:
    """Return the fields customPaddingFront to customPaddingRight."""
    front, top, left = (
        (int(getattr(node.params, f"customPadding{begin}")), int(getattr(node.params, f"customPadding{end}")))
        for begin, end in _SIDES
    )
    node.require(
        min(*front, *top, *left) >= 0, f"the customPaddings are {(front, top, left)}, expected none to be negative"
    )
    return front, top, left


def _padding(mode: str, custom: Border) -> Pixels | Same:
    return Same() if mode == "SAME" else Pixels(custom if mode == "CUSTOM" else _NO_BORDER)


@layer("convolution3d")
def convolution(node: Node) -> ops.Op:
    """y = weights (*) x + bias: see `refcoreml.ops.Convolution` and `refcoreml.ops.Deconvolution`.

    Input: x [B, C_in, D, H, W]. Output: [B, C_out, D', H', W'].
    Parameters:
        ``inputChannels`` C_in; ``outputChannels`` C_out; ``nGroups`` g, a divisor of both.
        ``kernelDepth``, ``kernelHeight``, ``kernelWidth`` k; ``strideDepth`` ... s; ``dilationDepth`` ... d: voxels, 1
        or more, without default; the dilated kernel is K = (k - 1) * d + 1 long.
        ``weights`` [C_out, C_in / g, k, k', k''], for a deconvolution [C_in, C_out / g, k, k', k''], not quantized;
        ``bias`` [C_out] if ``hasBias``, likewise.
        ``paddingType``: CUSTOM, ``customPaddingFront``, ``Back``, ``Top``, ``Bottom``, ``Left``, ``Right`` voxels of
        zeros; VALID, none; SAME, so that D' = ceil(D / s), an odd voxel at the end. Else D' = floor((D + front + back
        - K) / s) + 1. A deconvolution is cropped instead: D' = (D - 1) * s + K - front - back; SAME: D * s.
        ``outputShape`` (D', H', W'), deconvolution only: takes the place of a padding that leads to other sizes.
    Errors: any number out of range; weights of another size; an input of other shape; a kernel that does not fit.
    Source: ``Convolution3DLayerParams``.
    Chosen: the order of a deconvolution's weights that coremltools writes, and Apple's tests against torch confirm; the
    schema's comment has the first two axes exchanged. The crop that outputShape implies is split evenly, an odd voxel
    at the end.
    """
    params = node.params
    in_channels, out_channels, groups = (
        int(getattr(params, field)) for field in ("inputChannels", "outputChannels", "nGroups")
    )
    for field, value in ("inputChannels", in_channels), ("outputChannels", out_channels), ("nGroups", groups):
        node.require(value >= 1, f"{field} is {value}, expected 1 or more")
    for field, value in ("inputChannels", in_channels), ("outputChannels", out_channels):
        node.require(value % groups == 0, f"nGroups is {groups}, which does not divide {field}, {value}")
    kernel, stride, dilation = (_triple(node, prefix) for prefix in ("kernel", "stride", "dilation"))
    mode, custom = enum_name(node, "paddingType"), _custom_padding(node)
    wanted = tuple(int(length) for length in params.outputShape)
    node.require(not wanted or params.isDeconvolution, "has an outputShape, which only a deconvolution can have")
    node.require(
        len(wanted) in (0, 3) and all(length >= 1 for length in wanted),
        f"outputShape is {wanted}, expected 3 numbers of at least 1",
    )
    require_unquantized(node, "weights", "bias")
    outer, inner = (in_channels, out_channels) if params.isDeconvolution else (out_channels, in_channels)
    weights = node.weights("weights", (outer, inner // groups, *kernel))
    bias = node.weights("bias", (out_channels,)) if params.hasBias else None
    padding = _padding(mode, custom)
    if params.isDeconvolution:
        return ops.Deconvolution(weights, bias, stride, dilation, groups, crop=padding, output_shape=wanted or None)
    return ops.Convolution(weights, bias, stride, dilation, groups, padding=padding)


@layer("pooling3d")
def pooling(node: Node) -> ops.Op:
    """y = maximum or average of each window that slides over depth, height and width.

    Input: x [B, C, D, H, W]. Output: [B, C, D', H', W'].
    Parameters:
        ``type``: MAX, AVERAGE. ``kernelDepth``, ``kernelHeight``, ``kernelWidth`` k and ``strideDepth`` ... s: voxels,
        1 or more, without default.
        ``paddingType``: CUSTOM, ``customPaddingFront``, ``Back``, ``Top``, ``Bottom``, ``Left``, ``Right`` voxels;
        VALID, none; SAME, so that D' = ceil(D / s), an odd voxel at the end. Else D' = floor((D + front + back - k) /
        s) + 1.
        ``countExcludePadding``: divide by the number of voxels of x in the window instead of by the whole kernel.
    Errors: any number out of range; custom paddings where the type is not CUSTOM; an input of other rank; a window that
    does not fit.
    Source: ``Pooling3DLayerParams``.
    Chosen: padding is -Inf to MAX, as Apple's tests with negative numbers show; the schema's comment says zeros. The
    average of padding alone, without padding, is 0 / 0 = NaN.
    """
    params = node.params
    kernel, stride, custom = _triple(node, "kernel"), _triple(node, "stride"), _custom_padding(node)
    mode = enum_name(node, "paddingType")
    node.require(mode == "CUSTOM" or custom == _NO_BORDER, f"has custom paddings {custom}, but the paddingType {mode}")
    kind = enum_name(node, "type").lower()
    return ops.Pooling(kind, kernel, stride, _padding(mode, custom), params.countExcludePadding)


@layer("globalPooling3d")
def global_pooling(node: Node) -> ops.Op:
    """y = maximum or average over depth, height and width of each channel.

    Input: x [B, C, D, H, W]. Output: [B, C, 1, 1, 1]. ``type``: MAX, AVERAGE.
    Errors: an unknown type; an input of other rank. Source: ``GlobalPooling3DLayerParams``.
    """
    return ops.Pooling(enum_name(node, "type").lower(), (None, None, None))
