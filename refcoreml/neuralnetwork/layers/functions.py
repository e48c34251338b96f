"""Layers that apply a function to each number: adapters over `refcoreml.kernels.elementwise` and ``activation``.

All take x [*D], rank 1 to 5, give [*D], and keep NaN. (The legacy layer ``unary`` is in ``elementwise.py``, the legacy
``activation`` in ``activation.py``, ``logicalNot`` in ``logic.py``.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from refcoreml.kernels import activation as activations
from refcoreml.kernels import elementwise as kernels
from refcoreml.kernels import special
from refcoreml.kernels._types import Array
from refcoreml.neuralnetwork.layers.elementwise import enum_name
from refcoreml.neuralnetwork.registry import Node, Op, elementwise, layer


@layer("clip")
def clip(node: Node) -> Op:
    """Y = min(max(x, minVal), maxVal).

    Parameters: ``minVal``, ``maxVal``, 0 if unset. Errors: minVal above maxVal. Source: ``ClipLayerParams``.
    """
    low, high = node.params.minVal, node.params.maxVal
    node.require(low <= high, f"minVal is {low}, maxVal {high}, expected minVal <= maxVal")

    def run(x: Array, *, out: Array | None = None) -> Array:
        y = np.maximum(x, kernels.like(low, x), out=out)
        return np.minimum(y, kernels.like(high, x), out=y)

    return elementwise(run)


@layer("ceil")
def ceil(node: Node) -> Op:
    """Y = the least whole number that is not below x. Source: ``CeilLayerParams`` (no fields)."""
    return elementwise(np.ceil)


@layer("floor")
def floor(node: Node) -> Op:
    """Y = the greatest whole number that is not above x. Source: ``FloorLayerParams`` (no fields)."""
    return elementwise(np.floor)


@layer("round")
def round_(node: Node) -> Op:
    """Y = the nearest whole number, of two the even one.

    Source: ``RoundLayerParams`` (no fields).
    Chosen: half to even, as NumPy, with which Apple's tests compare; the specification is silent, and devices differ.
    """
    return elementwise(np.rint)


@layer("sign")
def sign(node: Node) -> Op:
    """Y = 1 where x > 0, -1 where x < 0, 0 where x = 0. Source: ``SignLayerParams`` (no fields)."""
    return elementwise(np.sign)


def _in_double(function: np.ufunc) -> Op:
    return elementwise(partial(kernels.in_double, function))


@layer("exp2")
def exp2(node: Node) -> Op:
    """Y = 2^x. Source: ``Exp2LayerParams`` (no fields)."""
    return _in_double(np.exp2)


@layer("sin")
def sin(node: Node) -> Op:
    """Y = sin x, x in radians. Source: ``SinLayerParams`` (no fields)."""
    return _in_double(np.sin)


@layer("cos")
def cos(node: Node) -> Op:
    """Y = cos x, x in radians. Source: ``CosLayerParams`` (no fields)."""
    return _in_double(np.cos)


@layer("tan")
def tan(node: Node) -> Op:
    """Y = tan x, x in radians. Source: ``TanLayerParams`` (no fields)."""
    return _in_double(np.tan)


@layer("asin")
def asin(node: Node) -> Op:
    """Y = arc sine of x, in [-pi/2, pi/2]; NaN outside of [-1, 1]. Source: ``AsinLayerParams`` (no fields)."""
    return _in_double(np.arcsin)


@layer("acos")
def acos(node: Node) -> Op:
    """Y = arc cosine of x, in [0, pi]; NaN outside of [-1, 1]. Source: ``AcosLayerParams`` (no fields)."""
    return _in_double(np.arccos)


@layer("atan")
def atan(node: Node) -> Op:
    """Y = arc tangent of x, in [-pi/2, pi/2]. Source: ``AtanLayerParams`` (no fields)."""
    return _in_double(np.arctan)


@layer("sinh")
def sinh(node: Node) -> Op:
    """Y = (e^x - e^-x) / 2. Source: ``SinhLayerParams`` (no fields)."""
    return _in_double(np.sinh)


@layer("cosh")
def cosh(node: Node) -> Op:
    """Y = (e^x + e^-x) / 2. Source: ``CoshLayerParams`` (no fields)."""
    return _in_double(np.cosh)


@layer("tanh")
def tanh(node: Node) -> Op:
    """Y = (e^x - e^-x) / (e^x + e^-x). Source: ``TanhLayerParams`` (no fields)."""
    return elementwise(activations.tanh)


@layer("asinh")
def asinh(node: Node) -> Op:
    """Y = the number whose sinh is x. Source: ``AsinhLayerParams`` (no fields)."""
    return _in_double(np.arcsinh)


@layer("acosh")
def acosh(node: Node) -> Op:
    """Y = the number of 0 or more whose cosh is x; NaN below 1. Source: ``AcoshLayerParams`` (no fields)."""
    return _in_double(np.arccosh)


@layer("atanh")
def atanh(node: Node) -> Op:
    """Y = the number whose tanh is x; NaN outside of [-1, 1]. Source: ``AtanhLayerParams`` (no fields)."""
    return _in_double(np.arctanh)


@layer("erf")
def erf(node: Node) -> Op:
    """Y = 2 / sqrt(pi) * integral of e^(-t^2) from 0 to x. Source: ``ErfLayerParams`` (no fields)."""
    return elementwise(special.erf)


#: The members of ``GeluLayerParams.GeluMode``.
_GELU: dict[str, Callable[..., Array]] = {
    "EXACT": activations.gelu,
    "TANH_APPROXIMATION": activations.gelu_tanh,
    "SIGMOID_APPROXIMATION": activations.gelu_sigmoid,
}


@layer("gelu")
def gelu(node: Node) -> Op:
    """Y = x * (1 + erf(x / sqrt(2))) / 2, or an approximation of it.

    ``mode``: EXACT (if unset); TANH_APPROXIMATION, x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2;
    SIGMOID_APPROXIMATION, x / (1 + e^(-1.702 * x)).
    Errors: an unknown ``mode``. Source: ``GeluLayerParams``.
    Chosen: the limit 0 at -Inf.
    """
    return elementwise(_GELU[enum_name(node, "mode")])


@layer("clampedReLU")
def clamped_relu(node: Node) -> Op:
    """Y = min(beta, x) where x >= 0, min(beta, alpha * x) elsewhere.

    Parameters: ``alpha``, ``beta``, 0 if unset. Source: ``ClampedReLULayerParams``.
    """
    return elementwise(partial(activations.clamped_relu, alpha=node.params.alpha, beta=node.params.beta))
