"""Borders added and taken away."""

from __future__ import annotations

from refcoreml import ops
from refcoreml.kernels.padding import Mode
from refcoreml.mil.domains import FLOATS, expect, parameter
from refcoreml.mil.node import Call, Node
from refcoreml.mil.registry import operation

_MODES: dict[str, Mode] = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}


@operation("pad")
def pad(node: Node) -> Call:
    """y = x with numbers before and after it along its last axes.

    x: fp16 or fp32; ``pad``: int32 [2 * n], before and after each of the last n axes, from the first of these to the
    last, none negative; computed ones are pairs for all axes. y in the type of x.

    ``mode``: ``constant`` (default) fills the border with ``constant_val`` (default 0, of the type of x); ``reflect``
    mirrors x without repeating its edge, so that each amount is less than its axis; ``replicate`` repeats the edge. The
    documentation allows the last no more than the length of the axis, which makes no difference here.

    Apple's devices reflect and replicate along the last two axes only, as was reported.
    """
    expect(node, FLOATS, "x")
    expect(node, ("int32",), "pad")
    mode = node.choice("mode", _MODES, "constant")
    value = parameter(node, "constant_val", 0.0)
    if not node.is_constant("pad"):
        return node.call(ops.Pad(None, mode, value), "x", "pad")
    amounts = node.integers("pad")
    node.require(len(amounts) % 2 == 0, f"'pad' has {len(amounts)} elements, expected two for each axis")
    return node.call(ops.Pad(tuple(zip(amounts[::2], amounts[1::2], strict=True)), mode, value), "x")


@operation("crop", "x")
def crop(node: Node) -> ops.Op:
    """y[..., i, j] = x[..., top + i, left + j].

    x [*D, H, W] of fp16 or fp32, rank 3 or more. y [*D, H - top - bottom, W - left - right], at least one pixel.

    Parameters: ``crop_height``, [top, bottom]; ``crop_width``, [left, right]; none negative.
    """
    expect(node, FLOATS, "x")
    node.require(node.rank() >= 3, f"x has rank {node.rank()}, expected 3 or more")
    return ops.Crop((node.integers("crop_height", count=2), node.integers("crop_width", count=2)))
