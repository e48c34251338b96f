"""The elementwise layers of old: functions, sums, extrema, and scales of channels."""

from __future__ import annotations

from typing import Any

from refcoreml import ops
from refcoreml.neuralnetwork.layers._checks import enum_name
from refcoreml.neuralnetwork.registry import Node, layer
from refcoreml.ops.base import Combination, Elementwise
from refcoreml.types import Array


@layer("unary")
def unary(node: Node) -> ops.Op:
    """y = f(scale * x + shift).

    f(v) by ``type``: SQRT, RSQRT = 1 / sqrt(v + epsilon), INVERSE = 1 / (v + epsilon), POWER = v^alpha, EXP,
    LOG = ln(v + epsilon), ABS, THRESHOLD = max(alpha, v).

    Input: x [*D]. Output: [*D].
    Parameters: ``type``, SQRT if unset; ``scale`` 1 if 0 or unset; ``shift`` 0; ``epsilon`` 1e-6 if 0
    or unset (so that INVERSE of 0 is 1e6, not Inf); ``alpha`` 0.
    Outside the domain (SQRT, RSQRT and LOG of a negative number, POWER of one with a fractional exponent) it is NaN.
    Errors: an unknown ``type``.
    Source: ``UnaryFunctionLayerParams``. That LOG adds epsilon is seen in Apple's tests only.
    Chosen: the default of epsilon counts for LOG too; THRESHOLD keeps NaN.
    """
    params = node.params
    alpha, epsilon = params.alpha, params.epsilon or 1e-6
    functions: dict[str, Elementwise | Combination] = {
        "SQRT": ops.Sqrt(),
        "RSQRT": ops.Rsqrt(epsilon),
        "INVERSE": ops.Inverse(epsilon),
        "POWER": ops.Power(alpha),
        "EXP": ops.Exp(),
        "LOG": ops.Log(epsilon),
        "ABS": ops.Abs(),
        "THRESHOLD": ops.Threshold(alpha),
    }
    function = functions[enum_name(node, "type")]
    scale, shift = params.scale or 1.0, params.shift
    return function if scale == 1 and shift == 0 else ops.Chain((ops.Affine(scale, shift), function))


def second_operand(node: Node) -> float | None:
    """Return the number that takes the place of a second input, if there is none."""
    return node.params.alpha if len(node.inputs) == 1 else None


@layer("add", inputs=(1, None))
def add(node: Node) -> ops.Op:
    """y = x_1 + x_2 + ..., from left to right; of one input y = x + alpha.

    Inputs: blobs whose shapes broadcast. Output: the common shape. Errors: shapes that do not broadcast.
    Parameters: ``alpha`` 0 if unset, ignored for several inputs.
    Chosen: all of NumPy's broadcasting. The specification names only some shapes, and converters emit only operands
    that are all ones or differ from 1 in {B}, {C}, {H, W}, {C, H, W} or {B, C, H, W} alone; for those this is the
    same.
    Source: ``AddLayerParams``.
    """
    return ops.Add(second_operand(node))


@layer("multiply", inputs=(1, None))
def multiply(node: Node) -> ops.Op:
    """y = x_1 * x_2 * ..., from left to right; of one input y = alpha * x.

    Inputs, output, errors and choice as for ``add``. Parameters: ``alpha`` 0 if unset, ignored for several inputs.
    Source: ``MultiplyLayerParams``.
    """
    return ops.Multiply(second_operand(node))


@layer("average", inputs=(1, None))
def average(node: Node) -> ops.Op:
    """y = (x_1 + ... + x_n) / n; of one input a copy.

    Inputs, output, errors and choice as for ``add``. Source: ``AverageLayerParams`` (no fields).
    """
    return ops.Average()


@layer("max", inputs=(1, None))
def maximum(node: Node) -> ops.Op:
    """y = max(x_1, ..., x_n); NaN where one of them is.

    Inputs: blobs of equal shapes. Output: that shape. Errors: shapes that do not broadcast.
    Chosen: NumPy's broadcasting as for ``add``, where converters emit equal shapes only.
    Source: ``MaxLayerParams`` (no fields).
    """
    return ops.Maximum()


@layer("min", inputs=(1, None))
def minimum(node: Node) -> ops.Op:
    """y = min(x_1, ..., x_n); NaN where one of them is.

    All else as for ``max``. Source: ``MinLayerParams`` (no fields).
    """
    return ops.Minimum()


@layer("scale")
def scale(node: Node) -> ops.Op:
    """y = scale * x + bias, both broadcast over the leading dimensions of x and wherever their length is 1.

    Input: x [*, C, H, W], rank 3 or more. Output: the shape of x.
    Parameters: ``scale`` of ``shapeScale``, and if ``hasBias`` ``bias`` of ``shapeBias``, each [1], [C], [1, H, W] or
    [C, H, W] (any length may be 1).
    Errors: a shape of another rank; a number of values that differs from its product; lengths that do not fit x.
    Source: ``ScaleLayerParams``.
    """
    factor = _parameter(node, "scale", node.params.shapeScale)
    return ops.Scale(factor, _parameter(node, "bias", node.params.shapeBias) if node.params.hasBias else None)


@layer("bias")
def bias(node: Node) -> ops.Op:
    """y = x + bias.

    Input: x [*, C, H, W], rank 3 or more. Output: the shape of x.
    Parameters: ``bias`` of ``shape``: [1], [C], [1, H, W] or [C, H, W] (any length may be 1).
    Errors: as for ``scale``.
    Source: ``BiasLayerParams``.
    """
    return ops.Scale(None, _parameter(node, "bias", node.params.shape))


def _parameter(node: Node, field: str, shape: Any) -> Array:
    """Return weights that broadcast to [*, C, H, W]."""
    dims = tuple(shape)
    node.require(
        len(dims) in (1, 3) and min(dims) > 0,
        f"the shape of {field} is {dims}, expected [1], [C], [1, H, W] or [C, H, W]",
    )
    values = node.weights(field, dims)
    return values if len(dims) == 3 else values.reshape(-1, 1, 1)
