"""Layers that answer a question about each number with 1 or 0: comparisons and logic.

Inputs of a layer broadcast as in NumPy: aligned at the last axis, lengths are equal or 1; the output has the common
shape. Shapes that do not broadcast are an error. A number is true where it is not 0; NaN is true, differs from every
number and from itself, and is neither less nor greater.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from refcoreml.kernels import elementwise as kernels
from refcoreml.kernels._types import Array
from refcoreml.neuralnetwork.layers.elementwise import of_several
from refcoreml.neuralnetwork.registry import Node, Op, elementwise, layer


def _comparison(node: Node, predicate: np.ufunc) -> Op:
    if len(node.inputs) == 2:
        return of_several(node, partial(kernels.truth, predicate))
    alpha = node.params.alpha

    def run(x: Array, *, out: Array | None = None) -> Array:
        return kernels.truth(predicate, x, kernels.like(alpha, x), out=out)

    return elementwise(run)


@layer("equal", inputs=(1, 2))
def equal(node: Node) -> Op:
    """Y = 1 where a = b, else 0; of one input b = ``alpha``, 0 if unset. Source: ``EqualLayerParams``."""
    return _comparison(node, np.equal)


@layer("notEqual", inputs=(1, 2))
def not_equal(node: Node) -> Op:
    """Y = 0 where a = b, else 1; of one input b = ``alpha``, 0 if unset. Source: ``NotEqualLayerParams``."""
    return _comparison(node, np.not_equal)


@layer("lessThan", inputs=(1, 2))
def less_than(node: Node) -> Op:
    """Y = 1 where a < b, else 0; of one input b = ``alpha``, 0 if unset. Source: ``LessThanLayerParams``."""
    return _comparison(node, np.less)


@layer("lessEqual", inputs=(1, 2))
def less_equal(node: Node) -> Op:
    """Y = 1 where a <= b, else 0; of one input b = ``alpha``, 0 if unset. Source: ``LessEqualLayerParams``."""
    return _comparison(node, np.less_equal)


@layer("greaterThan", inputs=(1, 2))
def greater_than(node: Node) -> Op:
    """Y = 1 where a > b, else 0; of one input b = ``alpha``, 0 if unset. Source: ``GreaterThanLayerParams``."""
    return _comparison(node, np.greater)


@layer("greaterEqual", inputs=(1, 2))
def greater_equal(node: Node) -> Op:
    """Y = 1 where a >= b, else 0; of one input b = ``alpha``, 0 if unset. Source: ``GreaterEqualLayerParams``."""
    return _comparison(node, np.greater_equal)


@layer("logicalAnd", inputs=2)
def logical_and(node: Node) -> Op:
    """Y = 1 where a and b are not 0, else 0. Source: ``LogicalAndLayerParams`` (no fields)."""
    return of_several(node, partial(kernels.truth, np.logical_and))


@layer("logicalOr", inputs=2)
def logical_or(node: Node) -> Op:
    """Y = 1 where a or b is not 0, else 0. Source: ``LogicalOrLayerParams`` (no fields)."""
    return of_several(node, partial(kernels.truth, np.logical_or))


@layer("logicalXor", inputs=2)
def logical_xor(node: Node) -> Op:
    """Y = 1 where one of a and b is 0 and the other is not, else 0. Source: ``LogicalXorLayerParams`` (no fields)."""
    return of_several(node, partial(kernels.truth, np.logical_xor))


@layer("logicalNot")
def logical_not(node: Node) -> Op:
    """Y = 1 where x is 0, else 0. Source: ``LogicalNotLayerParams`` (no fields)."""
    return elementwise(partial(kernels.truth, np.logical_not))
