"""Layers that apply a function to each number.

All take x [*D], rank 1 to 5, give [*D], and keep NaN. (The legacy layer ``unary`` is in ``elementwise.py``, the legacy
``activation`` in ``activation.py``, ``logicalNot`` in ``logic.py``.)
"""

from __future__ import annotations

from refcoreml import ops
from refcoreml.neuralnetwork.layers._checks import enum_name
from refcoreml.neuralnetwork.registry import Node, layer


@layer("clip")
def clip(node: Node) -> ops.Op:
    """y = min(max(x, minVal), maxVal).

    Parameters: ``minVal``, ``maxVal``, 0 if unset. Errors: minVal above maxVal. Source: ``ClipLayerParams``.
    """
    low, high = node.params.minVal, node.params.maxVal
    node.require(low <= high, f"minVal is {low}, maxVal {high}, expected minVal <= maxVal")
    return ops.Clip(low, high)


@layer("ceil")
def ceil(node: Node) -> ops.Op:
    """y = the smallest integer that is not below x. Source: ``CeilLayerParams`` (no fields)."""
    return ops.Ceil()


@layer("floor")
def floor(node: Node) -> ops.Op:
    """y = the largest integer that is not above x. Source: ``FloorLayerParams`` (no fields)."""
    return ops.Floor()


@layer("round")
def round_(node: Node) -> ops.Op:
    """y = the nearest integer, of two the even one.

    Source: ``RoundLayerParams`` (no fields).
    Chosen: half to even, as NumPy, with which Apple's tests compare; the specification is silent, and devices differ.
    """
    return ops.Round()


@layer("sign")
def sign(node: Node) -> ops.Op:
    """y = 1 where x > 0, -1 where x < 0, 0 where x = 0. Source: ``SignLayerParams`` (no fields)."""
    return ops.Sign()


@layer("exp2")
def exp2(node: Node) -> ops.Op:
    """y = 2^x. Source: ``Exp2LayerParams`` (no fields)."""
    return ops.Exp2()


@layer("sin")
def sin(node: Node) -> ops.Op:
    """y = sin x, x in radians. Source: ``SinLayerParams`` (no fields)."""
    return ops.Sin()


@layer("cos")
def cos(node: Node) -> ops.Op:
    """y = cos x, x in radians. Source: ``CosLayerParams`` (no fields)."""
    return ops.Cos()


@layer("tan")
def tan(node: Node) -> ops.Op:
    """y = tan x, x in radians. Source: ``TanLayerParams`` (no fields)."""
    return ops.Tan()


@layer("asin")
def asin(node: Node) -> ops.Op:
    """y = arc sine of x, in [-pi/2, pi/2]; NaN outside of [-1, 1]. Source: ``AsinLayerParams`` (no fields)."""
    return ops.Asin()


@layer("acos")
def acos(node: Node) -> ops.Op:
    """y = arc cosine of x, in [0, pi]; NaN outside of [-1, 1]. Source: ``AcosLayerParams`` (no fields)."""
    return ops.Acos()


@layer("atan")
def atan(node: Node) -> ops.Op:
    """y = arc tangent of x, in [-pi/2, pi/2]. Source: ``AtanLayerParams`` (no fields)."""
    return ops.Atan()


@layer("sinh")
def sinh(node: Node) -> ops.Op:
    """y = (e^x - e^-x) / 2. Source: ``SinhLayerParams`` (no fields)."""
    return ops.Sinh()


@layer("cosh")
def cosh(node: Node) -> ops.Op:
    """y = (e^x + e^-x) / 2. Source: ``CoshLayerParams`` (no fields)."""
    return ops.Cosh()


@layer("tanh")
def tanh(node: Node) -> ops.Op:
    """y = (e^x - e^-x) / (e^x + e^-x). Source: ``TanhLayerParams`` (no fields)."""
    return ops.Tanh()


@layer("asinh")
def asinh(node: Node) -> ops.Op:
    """y = the number whose sinh is x. Source: ``AsinhLayerParams`` (no fields)."""
    return ops.Asinh()


@layer("acosh")
def acosh(node: Node) -> ops.Op:
    """y = the number of 0 or more whose cosh is x; NaN below 1. Source: ``AcoshLayerParams`` (no fields)."""
    return ops.Acosh()


@layer("atanh")
def atanh(node: Node) -> ops.Op:
    """y = the number whose tanh is x; NaN outside of [-1, 1]. Source: ``AtanhLayerParams`` (no fields)."""
    return ops.Atanh()


@layer("erf")
def erf(node: Node) -> ops.Op:
    """y = 2 / sqrt(pi) * integral of e^(-t^2) from 0 to x. Source: ``ErfLayerParams`` (no fields)."""
    return ops.Erf()


#: The members of ``GeluLayerParams.GeluMode``.
_GELU: dict[str, ops.Op] = {
    "EXACT": ops.GELU(),
    "TANH_APPROXIMATION": ops.GELUTanh(),
    "SIGMOID_APPROXIMATION": ops.GELUSigmoid(),
}


@layer("gelu")
def gelu(node: Node) -> ops.Op:
    """y = x * (1 + erf(x / sqrt(2))) / 2, or an approximation of it.

    ``mode``: EXACT (if unset); TANH_APPROXIMATION, x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2;
    SIGMOID_APPROXIMATION, x / (1 + e^(-1.702 * x)).
    Errors: an unknown ``mode``. Source: ``GeluLayerParams``.
    Chosen: the limit 0 at -Inf.
    """
    return _GELU[enum_name(node, "mode")]


@layer("clampedReLU")
def clamped_relu(node: Node) -> ops.Op:
    """y = min(beta, x) where x >= 0, min(beta, alpha * x) elsewhere.

    Parameters: ``alpha``, ``beta``, 0 if unset. Source: ``ClampedReLULayerParams``.
    """
    return ops.ClampedReLU(node.params.alpha, node.params.beta)
