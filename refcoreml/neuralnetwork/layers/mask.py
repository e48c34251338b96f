"""Layers that choose elements by a condition or by their place.

A condition holds where a number is not 0; NaN is not 0.
"""

from __future__ import annotations

from refcoreml import ops
from refcoreml.neuralnetwork.registry import Node, layer


@layer("whereNonZero")
def where_non_zero(node: Node) -> ops.Op:
    """y = the indices of the elements of x that are not 0, a row each, in row-major order.

    Input: x of rank r. Output: [n, r], n the number of such elements.
    Errors: `InputError` if there is none, as no blob is empty; an axis above 2^24 elements (float32), as the indices
    would not be exact.
    Source: ``WhereNonZeroLayerParams`` (no fields). Its example misprints the shape of the output.
    """
    return ops.NonZero()


@layer("whereBroadcastable", inputs=3)
def where_broadcastable(node: Node) -> ops.Op:
    """y = a where condition is not 0, else b.

    Inputs: condition, a, b, of shapes that broadcast as in NumPy. Output: their common shape.
    Errors: shapes that do not broadcast.
    Source: ``WhereBroadcastableLayerParams`` (no fields).
    """
    return ops.Select()


@layer("matrixBandPart")
def matrix_band_part(node: Node) -> ops.Op:
    """y = x where row - column <= numLower and column - row <= numUpper, else 0, in each matrix of the last two axes.

    Input: x [*A, R, C]. Output: the shape of x.
    Parameters: ``numLower``, ``numUpper``: the diagonals kept below and above the main one; all, if negative.
    Errors: an input of rank 1.
    Source: ``MatrixBandPartLayerParams``.
    Chosen: 0 also where x is NaN or infinite, though the original comment multiplies.
    """
    lower, upper = int(node.params.numLower), int(node.params.numUpper)
    return ops.Band(None if lower < 0 else -lower, None if upper < 0 else upper)


@layer("lowerTriangular")
def lower_triangular(node: Node) -> ops.Op:
    """y = x where column - row <= k, else 0, in each matrix of the last two axes, as numpy.tril.

    Input: x [*A, R, C]. Output: the shape of x.
    Parameters: ``k``, the highest diagonal that is kept; 0 is the main one, negative ones lie below it.
    Errors: an input of rank 1.
    Source: ``LowerTriangularLayerParams``.
    """
    return ops.Band(None, int(node.params.k))


@layer("upperTriangular")
def upper_triangular(node: Node) -> ops.Op:
    """y = x where column - row >= k, else 0, in each matrix of the last two axes, as numpy.triu.

    Input: x [*A, R, C]. Output: the shape of x.
    Parameters: ``k``, the lowest diagonal that is kept; 0 is the main one, negative ones lie below it.
    Errors: an input of rank 1.
    Source: ``UpperTriangularLayerParams``.
    """
    return ops.Band(int(node.params.k), None)


@layer("oneHot", inputs=(1, 2))
def one_hot(node: Node) -> ops.Op:
    """y[a..., d, b...] = onValue if x[a..., b...] is d, else offValue.

    Inputs: x [*A, *B], rank 1 to 4; depth, one element, in place of the parameter. Output: [*A, depth, *B], depth at
    ``axis``.
    Parameters: ``oneHotVectorSize``: the depth, 1 or more, ignored if there is an input for it; ``axis``: of the
    output, -rank - 1 to rank for x of that rank; ``onValue``, ``offValue``: as written, 0 where unset.
    Errors: axis or depth out of range; x of rank 5; an input depth of several elements; a depth above 2^24 (float32),
    as indices would not be exact.
    Source: ``OneHotLayerParams``.
    Chosen: a fraction of x or of an input depth is cut off. Indices outside of 0 to depth - 1, negative ones and NaN
    too, give offValue throughout.
    """
    params = node.params

    depth = None if len(node.inputs) == 2 else int(params.oneHotVectorSize)
    node.require(depth != 0, "oneHotVectorSize is 0, expected 1 or more, or a second input")
    return ops.OneHot(depth, int(params.axis), params.onValue, params.offValue)
