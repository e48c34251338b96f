"""Layers over depth, height and width: adapters over `refcoreml.kernels.conv3d` and ``pool``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

from refcoreml.kernels import conv, pool, reduce
from refcoreml.kernels._types import Array, Shape
from refcoreml.kernels.conv3d import Convolution3d, Deconvolution3d
from refcoreml.neuralnetwork.layers._checks import require_unquantized
from refcoreml.neuralnetwork.layers.elementwise import enum_name
from refcoreml.neuralnetwork.registry import Node, Op, layer

#: Numbers for depth, height and width.
Triple: TypeAlias = tuple[int, int, int]
Border: TypeAlias = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

_AXES = ("Depth", "Height", "Width")
_SIDES = (("Front", "Back"), ("Top", "Bottom"), ("Left", "Right"))


def _triple(node: Node, prefix: str) -> Triple:
    """The fields ``prefix``Depth, ``prefix``Height and ``prefix``Width, which have no default."""
    depth, height, width = (int(getattr(node.params, prefix + axis)) for axis in _AXES)
    node.require(
        min(depth, height, width) >= 1,
        f"{prefix}Depth, {prefix}Height and {prefix}Width are {(depth, height, width)}, expected 1 or more each",
    )
    return depth, height, width


def _custom_padding(node: Node) -> Border:
    """The fields customPaddingFront to customPaddingRight."""
    front, top, left = (
        (int(getattr(node.params, f"customPadding{begin}")), int(getattr(node.params, f"customPadding{end}")))
        for begin, end in _SIDES
    )
    node.require(
        min(*front, *top, *left) >= 0, f"the customPaddings are {(front, top, left)}, expected none to be negative"
    )
    return front, top, left


def _require_volume(node: Node, x: Shape, channels: int | None = None) -> None:
    node.require(
        len(x) == 5 and channels in (None, x[1]),
        f"expected an input [batch, {'channels' if channels is None else channels}, depth, height, width], came {x}",
    )


_NO_BORDER: Border = ((0, 0), (0, 0), (0, 0))


@layer("convolution3d")
def convolution(node: Node) -> Op:
    """y = weights (*) x + bias: see `refcoreml.kernels.conv3d`.

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
    schema's comment has the first two axes exchanged. The crop that outputShape asks for is split evenly, an odd voxel
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
    axes = list(zip(kernel, stride, dilation, strict=True))
    size = conv.deconvolution_output_size if params.isDeconvolution else conv.convolution_output_size

    def sizes(x: Shape, border: Border) -> Triple:
        depth, height, width = (
            size(length, *axis, edges) for length, axis, edges in zip(x[2:], axes, border, strict=True)
        )
        return depth, height, width

    def border(x: Shape) -> Border:
        """The padding, or for a deconvolution the crop, in voxels."""
        same: Callable[..., tuple[int, int]] = conv.same_crop if params.isDeconvolution else conv.same_padding
        result = {"CUSTOM": custom, "VALID": _NO_BORDER}.get(mode)
        if result is None:
            result = _three(same(length, *axis) for length, axis in zip(x[2:], axes, strict=True))
        if not wanted or sizes(x, result) == wanted:
            return result
        return _three(
            conv.same_crop(length, *axis, output=output)
            for length, axis, output in zip(x[2:], axes, wanted, strict=True)
        )

    def shape(x: Shape) -> Shape:
        _require_volume(node, x, in_channels)
        result = sizes(x, border(x))
        node.require(
            min(result) >= 1,
            f"{result} voxels would be left of the input {x}: the kernel does not fit or the crop is too large",
        )
        return x[0], out_channels, *result

    def work(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        voxels = inputs[0] if params.isDeconvolution else outputs[0]
        return math.prod(voxels) * (inner // groups) * math.prod(kernel)

    require_unquantized(node, "weights", "bias")
    outer, inner = (in_channels, out_channels) if params.isDeconvolution else (out_channels, in_channels)
    weights = node.weights("weights", (outer, inner // groups, *kernel))
    bias = node.weights("bias", (out_channels,)) if params.hasBias else None
    kind = Deconvolution3d if params.isDeconvolution else Convolution3d
    convolve = kind(weights, bias, stride=stride, dilation=dilation, groups=groups)
    return Op(lambda x: convolve(x, border(x.shape)), shape, fresh=True, work=work)


def _three(pairs: Any) -> Border:
    front, top, left = pairs
    return front, top, left


@layer("pooling3d")
def pooling(node: Node) -> Op:
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
    pools: dict[str, Callable[..., Array]] = {
        "MAX": pool.max_pool,
        "AVERAGE": partial(pool.average_pool, exclude_padding=params.countExcludePadding),
    }
    run = pools[enum_name(node, "type")]

    def windows(x: Shape) -> list[pool.Windows]:
        if mode == "SAME":
            return [pool.same_windows(*axis) for axis in zip(x[2:], kernel, stride, strict=True)]
        return [pool.valid_windows(*axis) for axis in zip(x[2:], kernel, stride, custom, strict=True)]

    def shape(x: Shape) -> Shape:
        _require_volume(node, x)
        for axis, length, w in zip(_AXES, x[2:], windows(x), strict=True):
            node.require(
                w.count >= 1,
                f"a window of {w.kernel} does not fit into the {axis} of {length} voxels and its padding",
            )
        return *x[:2], *(w.count for w in windows(x))

    return Op(lambda x: run(x, windows(x.shape)), shape, fresh=True)


@layer("globalPooling3d")
def global_pooling(node: Node) -> Op:
    """y = maximum or average over depth, height and width of each channel.

    Input: x [B, C, D, H, W]. Output: [B, C, 1, 1, 1]. ``type``: MAX, AVERAGE.
    Errors: an unknown type; an input of other rank. Source: ``GlobalPooling3DLayerParams``.
    """
    kernel = {"MAX": reduce.maximum, "AVERAGE": reduce.mean}[enum_name(node, "type")]

    def shape(x: Shape) -> Shape:
        _require_volume(node, x)
        return *x[:2], 1, 1, 1

    return Op(lambda x: kernel(x, (-3, -2, -1)), shape, fresh=True)
