"""Layers that answer a question about each number with 1 or 0: comparisons and logic.

Inputs of a layer broadcast as in NumPy: aligned at the last axis, lengths are equal or 1; the output has the common
shape. Shapes that do not broadcast are an error. A number is true where it is not 0; NaN is true, differs from every
number and from itself, and is neither less nor greater.
"""

from __future__ import annotations

from refcoreml import ops
from refcoreml.neuralnetwork.layers.elementwise import second_operand
from refcoreml.neuralnetwork.registry import Node, layer


@layer("equal", inputs=(1, 2))
def equal(node: Node) -> ops.Op:
    """y = 1 where a = b, else 0; of one input b = ``alpha``, 0 if unset. Source: ``EqualLayerParams``."""
    return ops.Equal(second_operand(node), result=None)


@layer("notEqual", inputs=(1, 2))
def not_equal(node: Node) -> ops.Op:
    """y = 0 where a = b, else 1; of one input b = ``alpha``, 0 if unset. Source: ``NotEqualLayerParams``."""
    return ops.NotEqual(second_operand(node), result=None)


@layer("lessThan", inputs=(1, 2))
def less_than(node: Node) -> ops.Op:
    """y = 1 where a < b, else 0; of one input b = ``alpha``, 0 if unset. Source: ``LessThanLayerParams``."""
    return ops.Less(second_operand(node), result=None)


@layer("lessEqual", inputs=(1, 2))
def less_equal(node: Node) -> ops.Op:
    """y = 1 where a <= b, else 0; of one input b = ``alpha``, 0 if unset. Source: ``LessEqualLayerParams``."""
    return ops.LessEqual(second_operand(node), result=None)


@layer("greaterThan", inputs=(1, 2))
def greater_than(node: Node) -> ops.Op:
    """y = 1 where a > b, else 0; of one input b = ``alpha``, 0 if unset. Source: ``GreaterThanLayerParams``."""
    return ops.Greater(second_operand(node), result=None)


@layer("greaterEqual", inputs=(1, 2))
def greater_equal(node: Node) -> ops.Op:
    """y = 1 where a >= b, else 0; of one input b = ``alpha``, 0 if unset. Source: ``GreaterEqualLayerParams``."""
    return ops.GreaterEqual(second_operand(node), result=None)


@layer("logicalAnd", inputs=2)
def logical_and(node: Node) -> ops.Op:
    """y = 1 where a and b are not 0, else 0. Source: ``LogicalAndLayerParams`` (no fields)."""
    return ops.LogicalAnd(result=None)


@layer("logicalOr", inputs=2)
def logical_or(node: Node) -> ops.Op:
    """y = 1 where a or b is not 0, else 0. Source: ``LogicalOrLayerParams`` (no fields)."""
    return ops.LogicalOr(result=None)


@layer("logicalXor", inputs=2)
def logical_xor(node: Node) -> ops.Op:
    """y = 1 where one of a and b is 0 and the other is not, else 0. Source: ``LogicalXorLayerParams`` (no fields)."""
    return ops.LogicalXor(result=None)


@layer("logicalNot")
def logical_not(node: Node) -> ops.Op:
    """y = 1 where x is 0, else 0. Source: ``LogicalNotLayerParams`` (no fields)."""
    return ops.LogicalNot(result=None)
