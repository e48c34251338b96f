"""Arithmetic of two inputs.

Every layer takes a and b whose shapes broadcast as in NumPy: aligned at the last axis, lengths are equal or 1. The
output has their common shape. Shapes that do not broadcast are an error. None of the messages has fields.
(Comparisons and ``logicalAnd`` etc. are in ``logic.py``, the legacy ``add`` etc. in ``elementwise.py``, and
``whereBroadcastable`` in ``mask.py``.)
"""

from __future__ import annotations

from refcoreml import ops
from refcoreml.neuralnetwork.registry import Node, layer


@layer("addBroadcastable", inputs=2)
def add(node: Node) -> ops.Op:
    """y = a + b. Source: ``AddBroadcastableLayerParams``."""
    return ops.Add()


@layer("subtractBroadcastable", inputs=2)
def subtract(node: Node) -> ops.Op:
    """y = a - b. Source: ``SubtractBroadcastableLayerParams``."""
    return ops.Subtract()


@layer("multiplyBroadcastable", inputs=2)
def multiply(node: Node) -> ops.Op:
    """y = a * b. Source: ``MultiplyBroadcastableLayerParams``."""
    return ops.Multiply()


@layer("divideBroadcastable", inputs=2)
def divide(node: Node) -> ops.Op:
    """y = a / b: Inf or -Inf for b = 0, NaN for 0 / 0. Source: ``DivideBroadcastableLayerParams``."""
    return ops.Divide()


@layer("floorDivBroadcastable", inputs=2)
def floor_divide(node: Node) -> ops.Op:
    """y = the largest integer that is not above a / b, as Python's ``a // b``, but Inf or NaN for b = 0.

    Source: ``FloorDivBroadcastableLayerParams``.
    Chosen: floor also where a / b is negative; the specification says no more than "floor division", Apple's test has
    positive numbers only. The exact quotient counts, not the rounded one: 1 // 0.1 is 9 for the double 0.1.
    """
    return ops.FloorDivide()


@layer("modBroadcastable", inputs=2)
def modulo(node: Node) -> ops.Op:
    """y = a - b * floor(a / b), with the sign of b, as Python's ``a % b``; NaN for b = 0.

    Source: ``ModBroadcastableLayerParams``.
    Chosen: the sign of b, as for `floor_divide`; converters write the layer for operators that are defined so.
    """
    return ops.Modulo()


@layer("powBroadcastable", inputs=2)
def power(node: Node) -> ops.Op:
    """y = a^b: NaN for a negative base with a fractional exponent. Source: ``PowBroadcastableLayerParams``."""
    return ops.Power()


@layer("maxBroadcastable", inputs=2)
def maximum(node: Node) -> ops.Op:
    """y = max(a, b); NaN where one of them is. Source: ``MaxBroadcastableLayerParams``."""
    return ops.Maximum()


@layer("minBroadcastable", inputs=2)
def minimum(node: Node) -> ops.Op:
    """y = min(a, b); NaN where one of them is. Source: ``MinBroadcastableLayerParams``."""
    return ops.Minimum()
