"""Convolution and transposed convolution, and the padding that convolutions and pooling share.

x [N, C, *D] has one to three axes in space, *D. ``strides`` and ``dilations`` have a number for each, 1 by default;
``pad`` has two for each, (begin, end), which count only if ``pad_type`` is ``custom``, and are 0 by default. ``valid``
pads nothing. ``same`` makes a convolution or pooling ceil(D / stride) long: of the pixels that this takes at both ends
together, an odd one goes to the end; with ``same_lower``, since CoreML6, to the beginning.
"""

from __future__ import annotations

from refcoreml import ops
from refcoreml.mil.domains import weighted
from refcoreml.mil.node import REQUIRED, Call, Node
from refcoreml.mil.registry import operation, opset_number
from refcoreml.ops.convolution import SPACE, Padding, Pixels, Same
from refcoreml.types import Array


def space_of(node: Node) -> int:
    """Return how many axes in space x has."""
    space = node.rank("x") - 2
    node.require(space in SPACE, f"parameter 'x' is of rank {space + 2}, expected 3 to 5")
    return space


def per_axis(node: Node, name: str, space: int) -> tuple[int, ...]:
    """Return a number for each axis in space, 1 by default."""
    found: tuple[int, ...] = node.integers(name, (1,) * space, count=space)
    return found


def padding(node: Node, space: int, default: str = REQUIRED, *, lower: bool = True) -> Padding | None:
    """Return the padding that ``pad_type`` names."""
    pairs = node.integers("pad", (0,) * (2 * space), count=2 * space)
    node.require(min(pairs) >= 0, f"parameter 'pad' is {pairs}, expected numbers of at least 0")
    edges = tuple(zip(pairs[::2], pairs[1::2], strict=True))
    types: dict[str, Padding | None] = {"valid": None, "custom": Pixels(edges), "same": Same()}
    if lower and node.opset >= opset_number("CoreML6", node.where):
        types["same_lower"] = Same(heavy_begin=True)
    return node.choice("pad_type", types, default)


def _weights(node: Node, *computed: str) -> tuple[Array | None, Array | None]:
    """Return the weights and the bias, if any; both None if a run computes one of those that it may compute."""
    given = [name for name in ("weight", "bias") if node.has(name) and not node.is_constant(name)]
    if given and set(given) <= set(computed):
        return None, None
    return node.array("weight", rank=node.rank("x")), node.array("bias", None, rank=1)


def _call(node: Node, op: ops.Convolution | ops.Deconvolution) -> ops.Op | Call:
    """Return a call with x, and with weights and bias if the operation has none."""
    return op if op.weights is not None else node.call(op, "x", "weight", *["bias"] * node.has("bias"))


def _convolution(node: Node, *computed: str) -> ops.Op | Call:
    weighted(node, "weight", "bias")
    space, (weights, bias) = space_of(node), _weights(node, *computed)
    dilations = per_axis(node, "dilations", space)
    node.require(
        not node.has("weight") or node.is_constant("weight") or max(dilations) == 1,
        f"has the dilations {dilations}, but weights that a run computes, expected 1",
    )
    strides, groups = per_axis(node, "strides", space), node.integer("groups", 1)
    edges = padding(node, space, "valid")
    return _call(node, ops.Convolution(weights, bias, strides, dilations, groups, padding=edges))


@operation("conv", "x")
def conv(node: Node) -> ops.Op | Call:
    """y[n, m, i] = bias[m] + sum of weight[m, c, p] * x[n, g * C_in / groups + c, i * stride + p * dilation - begin].

    The sum is over the input channels c of the group g of m and over the taps p; outside of x there are zeros.
    x [N, C_in, *D]; ``weight`` [C_out, C_in / groups, *K]; ``bias`` [C_out], 0 by default; y [N, C_out, *D'] with
    D' = floor((D + begin + end - (K - 1) * dilation - 1) / stride) + 1. All fp16, or all fp32.

    ``strides``, ``dilations``, ``pad``: as of the family. ``pad_type``: ``valid`` (the default), ``custom``, ``same``
    or, since CoreML6, ``same_lower``. ``groups``: 1 by default; divides C_in and C_out. The weights may be computed by
    a run; then dilations must be 1.
    """
    return _convolution(node, "weight")


@operation("conv", "x", since="CoreML7")
def conv_7(node: Node) -> ops.Op | Call:
    """As before, but weight and bias may be of the other float type, and the bias may be computed by a run, too."""
    return _convolution(node, "weight", "bias")


def _transposed(node: Node, *computed: str) -> ops.Op | Call:
    weighted(node, "weight", "bias")
    space, (weights, bias), groups = space_of(node), _weights(node, *computed), node.integer("groups", 1)
    shape = node.integers("output_shape", None, count=space + 2)
    if shape is not None:
        batch, channels = node.length("x", 0), node.length("weight", 1)
        fits = (batch is None or shape[0] == batch) and (channels is None or shape[1] == channels * groups)
        node.require(fits, f"parameter 'output_shape' is {shape}, which does not begin with [N, C_out]")
    strides, dilations = per_axis(node, "strides", space), per_axis(node, "dilations", space)
    crop, sizes = padding(node, space, "valid", lower=False), None if shape is None else shape[2:]
    return _call(
        node,
        ops.Deconvolution(weights, bias, strides, dilations, groups, crop=crop, output_shape=sizes, keep_begin=True),
    )


@operation("conv_transpose", "x")
def conv_transpose(node: Node) -> ops.Op | Call:
    """y[n, g * M + m, i * stride + p * dilation - begin] = bias + sum of weight[c, m, p] * x[n, c, i].

    The sum is over all c of the group g, i and p that lead to the same place of y; M = C_out / groups. x [N, C_in, *D];
    ``weight`` [C_in, M, *K]; ``bias`` [C_out], 0 by default. All fp16, or all fp32; weight and bias are constants.
    y [N, C_out, *D'] with D' = (D - 1) * stride + (K - 1) * dilation + 1 - begin - end.

    ``strides``, ``dilations``, ``groups`` as of `conv`. ``pad_type``: ``valid`` (the default) cuts nothing off,
    ``custom`` cuts off ``pad`` at both ends; ``same`` makes D' = D * stride, and cuts off an odd place at the end.

    ``output_shape`` [N, C_out, *D'], if it is given, replaces the sizes: the begin of ``pad`` is cut off as before, the
    rest at the end; converters write it beside ``pad`` wherever shapes are known. Open: sizes beyond what any input
    reaches. Chosen: these places hold the bias.
    """
    return _transposed(node)


@operation("conv_transpose", "x", since="CoreML7")
def conv_transpose_7(node: Node) -> ops.Op | Call:
    """As before, but weight and bias may be of the other float type, and may be computed by a run."""
    return _transposed(node, "weight", "bias")
