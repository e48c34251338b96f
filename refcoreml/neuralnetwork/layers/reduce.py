"""The legacy layer ``reduce``."""

from __future__ import annotations

from refcoreml import ops
from refcoreml.neuralnetwork.layers._checks import enum_name
from refcoreml.neuralnetwork.registry import Node, layer

_AXES = {"CHW": (-3, -2, -1), "HW": (-2, -1), "C": (-3,), "H": (-2,), "W": (-1,)}

_MODES = {
    "SUM": ops.ReduceSum,
    "AVG": ops.ReduceMean,
    "PROD": ops.ReduceProduct,
    "SUMSQUARE": ops.ReduceSumSquare,
    "L1": ops.ReduceL1,
    "L2": ops.ReduceL2,
    "MAX": ops.ReduceMax,
    "MIN": ops.ReduceMin,
}


@layer("reduce")
def reduce(node: Node) -> ops.Op:
    """y = f(x) along one to three of the last axes, which stay with length 1.

    f by ``mode``: SUM, AVG (SUM / count), PROD, LOGSUM = sum ln(x + epsilon), SUMSQUARE = sum x^2, L1 = sum |x|,
    L2 = sqrt(sum x^2), MAX, MIN, ARGMAX (place of the maximum, from 0).

    Input: x [*, C, H, W]; a rank as great as ``axis`` needs. Output: as x, with 1 for each reduced axis.
    Parameters: ``mode``, SUM if unset; ``axis``: CHW (if unset), HW, C, H or W, always counted from the end, as in
    [-3, -2, -1]; ``epsilon``, for LOGSUM, 1e-6 if 0 or unset.
    Errors: unknown ``mode`` or ``axis``; ARGMAX over more than one axis; a rank that is too small.
    Source: ``ReduceLayerParams``.
    Chosen: of equal maxima ARGMAX takes the first (the specification is silent). MAX, MIN and ARGMAX
    give NaN or its place if there is one.
    """
    mode, axes = enum_name(node, "mode"), _AXES[enum_name(node, "axis")]
    if mode == "ARGMAX":
        node.require(len(axes) == 1, "mode ARGMAX reduces one axis", "Set axis to C, H or W")
        return ops.ArgMax(axes[0], keepdims=True)
    if mode == "LOGSUM":
        return ops.ReduceSumLog(axes, keepdims=True, epsilon=node.params.epsilon or 1e-6)
    return _MODES[mode](axes, keepdims=True)
