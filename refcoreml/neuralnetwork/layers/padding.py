"""Padding and cropping layers: adapters over `refcoreml.kernels.padding`."""

from __future__ import annotations

from typing import Any, Literal

from refcoreml.kernels import padding as kernels
from refcoreml.kernels._types import Array, Shape
from refcoreml.kernels.padding import Borders
from refcoreml.neuralnetwork.registry import Node, Op, layer

_MODES: dict[str, Literal["constant", "reflect", "edge"]] = {
    "constant": "constant",
    "reflection": "reflect",
    "replication": "edge",
}


def borders(node: Node, message: Any, field: str) -> Borders:
    """Reads a ``BorderAmounts`` message: ((top, bottom), (left, right)) in pixels; zeros where it is empty."""
    edges = message.borderAmounts
    if not edges:
        return (0, 0), (0, 0)
    node.require(len(edges) == 2, f"{field} has {len(edges)} entries, expected 2, for H and W")
    height, width = ((edge.startEdgeSize, edge.endEdgeSize) for edge in edges)
    return height, width


@layer("padding")
def padding(node: Node) -> Op:
    """Y = x with borders added to its last two axes.

    Input: x [*, H, W], rank 2 or more. Output: [*, top + H + bottom, left + W + right].
    Fields: ``constant`` fills with ``value``; ``reflection`` mirrors without repeating the edge (3 2 | 1 2 3), so
    that each amount must be smaller than its axis; ``replication`` repeats the edge (1 1 | 1 2 3). ``paddingAmounts``
    in pixels, H then W, default none.
    Errors: no kind of padding; a number of amounts other than 0 and 2; a reflection of the axis' size or more.
    Source: ``PaddingLayerParams``.
    """
    kind = node.params.WhichOneof("PaddingType")
    node.require(kind is not None, "has no kind of padding", "Set one of constant, reflection, replication")
    amounts = borders(node, node.params.paddingAmounts, "paddingAmounts")
    value = node.params.constant.value

    def shape(x: Shape) -> Shape:
        node.require(len(x) >= 2, f"expected an input [*, H, W], came {x}")
        for axis, size, edges in zip("HW", x[-2:], amounts, strict=True):
            node.require(
                kind != "reflection" or max(edges) < size,
                f"reflects {max(edges)} pixels along {axis}, expected fewer than its {size}",
            )
        height, width = (size + sum(edges) for size, edges in zip(x[-2:], amounts, strict=True))
        return *x[:-2], height, width

    return Op(lambda x: kernels.pad(x, amounts, _MODES[kind], value), shape, fresh=True)


@layer("crop", inputs=(1, 2))
def crop(node: Node) -> Op:
    """Y = x[..., top:H - bottom, left:W - right], or with a reference x[..., a:a + H', b:b + W'].

    Inputs: x [*, H, W], rank 3 or more; optionally a reference of the same rank, [*, H', W'], of which only H' and W'
    count. Output: [*, H - top - bottom, W - left - right], or [*, H', W'].
    Fields: ``cropAmounts`` in pixels, H then W, required without reference; ``offset`` = (a, b) in pixels, required
    with it.
    Errors: missing amounts or offset; nothing left; a reference that reaches beyond x.
    Source: ``CropLayerParams``.
    """
    if len(node.inputs) == 1:
        node.require(len(node.params.cropAmounts.borderAmounts) == 2, "needs cropAmounts of 2 entries, for H and W")
        amounts = borders(node, node.params.cropAmounts, "cropAmounts")
    else:
        node.require(
            len(node.params.offset) == 2,
            f"has {len(node.params.offset)} numbers in offset, expected 2, for H and W, as there is a second input",
        )

    def edges(x: Shape, reference: Shape | None) -> Borders:
        if reference is None:
            return amounts
        height, width = (
            (start, size - start - wanted)
            for start, size, wanted in zip(node.params.offset, x[-2:], reference[-2:], strict=True)
        )
        return height, width

    def shape(x: Shape, reference: Shape | None = None) -> Shape:
        node.require(len(x) >= 3, f"expected an input [*, C, H, W], came {x}")
        if reference is not None:
            node.require(len(reference) == len(x), f"the inputs {x} and {reference} have different ranks")
        (top, bottom), (left, right) = edges(x, reference)
        node.require(
            min(bottom, right) >= 0,
            f"cannot take {reference and reference[-2:]} pixels at {tuple(node.params.offset)} from {x[-2:]}",
        )
        height, width = x[-2] - top - bottom, x[-1] - left - right
        node.require(height > 0 and width > 0, f"crops {(top, bottom)} of H and {(left, right)} of W, x has {x[-2:]}")
        return *x[:-2], height, width

    def run(x: Array, reference: Array | None = None) -> Array:
        return kernels.crop(x, edges(x.shape, None if reference is None else reference.shape))

    return Op(run, shape)
