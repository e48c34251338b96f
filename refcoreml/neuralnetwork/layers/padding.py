"""Padding and cropping layers of images."""

from __future__ import annotations

from refcoreml import ops
from refcoreml.kernels.padding import Mode
from refcoreml.neuralnetwork.layers._checks import borders, of_images, of_rank
from refcoreml.neuralnetwork.registry import MAX_RANK, Node, layer

_MODES: dict[str, Mode] = {
    "constant": "constant",
    "reflection": "reflect",
    "replication": "edge",
}


@layer("padding")
def padding(node: Node) -> ops.Op:
    """y = x with borders added to its last two axes.

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
    return of_rank(ops.Pad(amounts, _MODES[kind], node.params.constant.value), 2, MAX_RANK, "[*, H, W]")


@layer("crop", inputs=(1, 2))
def crop(node: Node) -> ops.Op:
    """y = x[..., top:H - bottom, left:W - right], or with a reference x[..., a:a + H', b:b + W'].

    Inputs: x [*, H, W], rank 3 or more; optionally a reference of the same rank, [*, H', W'], of which only H' and W'
    count. Output: [*, H - top - bottom, W - left - right], or [*, H', W'].
    Fields: ``cropAmounts`` in pixels, H then W, required without reference; ``offset`` = (a, b) in pixels, required
    with it.
    Errors: missing amounts or offset; nothing left; a reference that reaches beyond x.
    Source: ``CropLayerParams``.
    """
    if len(node.inputs) == 1:
        node.require(len(node.params.cropAmounts.borderAmounts) == 2, "needs cropAmounts of 2 entries, for H and W")
        return of_images(ops.Crop(borders(node, node.params.cropAmounts, "cropAmounts")))
    offset = tuple(map(int, node.params.offset))
    node.require(
        len(offset) == 2, f"has {len(offset)} numbers in offset, expected 2, for H and W, as there is a second input"
    )
    return of_images(ops.CropLike(offset))
