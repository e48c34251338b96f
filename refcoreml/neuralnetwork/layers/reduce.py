"""The legacy layer ``reduce``: an adapter over `refcoreml.kernels.reduce`."""

from __future__ import annotations

from collections.abc import Callable

from refcoreml.kernels import reduce as kernels
from refcoreml.kernels._types import Array, Shape
from refcoreml.neuralnetwork.layers.elementwise import enum_name
from refcoreml.neuralnetwork.registry import Node, Op, layer

_AXES = {"CHW": (-3, -2, -1), "HW": (-2, -1), "C": (-3,), "H": (-2,), "W": (-1,)}

_MODES: dict[str, Callable[..., Array]] = {
    "SUM": kernels.total,
    "AVG": kernels.mean,
    "PROD": kernels.product,
    "LOGSUM": kernels.log_sum,
    "SUMSQUARE": kernels.sum_square,
    "L1": kernels.l1,
    "L2": kernels.l2,
    "MAX": kernels.maximum,
    "MIN": kernels.minimum,
    "ARGMAX": kernels.arg_maximum,
}


@layer("reduce")
def reduce(node: Node) -> Op:
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
    kernel = _MODES[mode]

    def run(x: Array) -> Array:
        if mode == "LOGSUM":
            return kernel(x, axes, node.params.epsilon or 1e-6)
        return kernel(x, axes[0] if mode == "ARGMAX" else axes)

    node.require(mode != "ARGMAX" or len(axes) == 1, "mode ARGMAX reduces one axis", "Set axis to C, H or W")

    def shape(x: Shape) -> Shape:
        node.require(
            len(x) >= -axes[0], f"axis {enum_name(node, 'axis')} needs a blob of rank {-axes[0]} or more, got {x}"
        )
        return tuple(1 if axis - len(x) in axes else length for axis, length in enumerate(x))

    return Op(run, shape, fresh=True)
