"""Arithmetic of two inputs: adapters over `refcoreml.kernels.elementwise`.

Every layer takes a and b whose shapes broadcast as in NumPy: aligned at the last axis, lengths are equal or 1. The
output has their common shape. Shapes that do not broadcast are an error. None of the messages has fields.
(Comparisons and ``logicalAnd`` etc. are in ``logic.py``, the legacy ``add`` etc. in ``elementwise.py``, and
``whereBroadcastable`` in ``mask.py``.)
"""

from __future__ import annotations

import numpy as np

from refcoreml.kernels import elementwise as kernels
from refcoreml.neuralnetwork.layers.elementwise import of_several
from refcoreml.neuralnetwork.registry import Node, Op, layer


def _of_two(node: Node, function: np.ufunc) -> Op:
    return of_several(node, lambda a, b: kernels.combine(function, (a, b)))


@layer("addBroadcastable", inputs=2)
def add(node: Node) -> Op:
    """Y = a + b. Source: ``AddBroadcastableLayerParams``."""
    return _of_two(node, np.add)


@layer("subtractBroadcastable", inputs=2)
def subtract(node: Node) -> Op:
    """Y = a - b. Source: ``SubtractBroadcastableLayerParams``."""
    return _of_two(node, np.subtract)


@layer("multiplyBroadcastable", inputs=2)
def multiply(node: Node) -> Op:
    """Y = a * b. Source: ``MultiplyBroadcastableLayerParams``."""
    return _of_two(node, np.multiply)


@layer("divideBroadcastable", inputs=2)
def divide(node: Node) -> Op:
    """Y = a / b: Inf or -Inf for b = 0, NaN for 0 / 0. Source: ``DivideBroadcastableLayerParams``."""
    return _of_two(node, np.divide)


@layer("floorDivBroadcastable", inputs=2)
def floor_divide(node: Node) -> Op:
    """Y = the greatest whole number that is not above a / b, as Python's ``a // b``, but Inf or NaN for b = 0.

    Source: ``FloorDivBroadcastableLayerParams``.
    Chosen: floor also where a / b is negative; the specification says no more than "floor division", Apple's test has
    positive numbers only. The exact quotient counts, not the rounded one: 1 // 0.1 is 9 for the double 0.1.
    """
    return _of_two(node, np.floor_divide)


@layer("modBroadcastable", inputs=2)
def modulo(node: Node) -> Op:
    """Y = a - b * floor(a / b), with the sign of b, as Python's ``a % b``; NaN for b = 0.

    Source: ``ModBroadcastableLayerParams``.
    Chosen: the sign of b, as for `floor_divide`; converters write the layer for operators that are defined so.
    """
    return _of_two(node, np.mod)


@layer("powBroadcastable", inputs=2)
def power(node: Node) -> Op:
    """Y = a^b: NaN for a negative base with a fractional exponent. Source: ``PowBroadcastableLayerParams``."""
    return of_several(node, kernels.power_of)


@layer("maxBroadcastable", inputs=2)
def maximum(node: Node) -> Op:
    """Y = max(a, b); NaN where one of them is. Source: ``MaxBroadcastableLayerParams``."""
    return _of_two(node, np.maximum)


@layer("minBroadcastable", inputs=2)
def minimum(node: Node) -> Op:
    """Y = min(a, b); NaN where one of them is. Source: ``MinBroadcastableLayerParams``."""
    return _of_two(node, np.minimum)
