"""Layers that choose elements by a condition or by their place: adapters over `refcoreml.kernels.mask`.

A condition holds where a number is not 0; NaN is not 0.
"""

from __future__ import annotations

import numpy as np

from refcoreml.kernels import mask as kernels
from refcoreml.kernels._types import Array, Shape
from refcoreml.kernels.gather import longest_axis
from refcoreml.neuralnetwork.layers._checks import check_size, input_error, integers_of, result_shape
from refcoreml.neuralnetwork.layers.gather import check_addressable
from refcoreml.neuralnetwork.registry import Node, Op, layer


@layer("whereNonZero")
def where_non_zero(node: Node) -> Op:
    """y = the indices of the elements of x that are not 0, a row each, in row-major order.

    Input: x of rank r. Output: [n, r], n the number of such elements.
    Errors: `InputError` if there is none, as no blob is empty; an axis above 2^24 elements (float32), as the indices
    would not be exact.
    Source: ``WhereNonZeroLayerParams`` (no fields). Its example misprints the shape of the output.
    """

    def run(x: Array) -> Array:
        check_addressable(node, *x.shape)
        indices = kernels.non_zero(x)
        if not len(indices):
            input_error(
                node,
                f"all {x.size} elements of {node.inputs[0]!r} are 0, so that the output would be empty",
                "Core ML has no empty blobs; make sure that one element is not 0",
            )
        return indices.astype(x.dtype)

    return Op(run, None, fresh=True)


@layer("whereBroadcastable", inputs=3)
def where_broadcastable(node: Node) -> Op:
    """y = a where condition is not 0, else b.

    Inputs: condition, a, b, of shapes that broadcast as in NumPy. Output: their common shape.
    Errors: shapes that do not broadcast.
    Source: ``WhereBroadcastableLayerParams`` (no fields).
    """

    def shape(condition: Shape, a: Shape, b: Shape) -> Shape:
        try:
            return result_shape(node, np.broadcast_shapes(condition, a, b))
        except ValueError:
            node.invalid(f"the shapes {condition}, {a} and {b} of its inputs do not broadcast")

    return Op(kernels.select, shape, fresh=True)


def _band(node: Node, lowest: int | None, highest: int | None) -> Op:
    def shape(x: Shape) -> Shape:
        node.require(len(x) >= 2, f"takes blobs of rank 2 or more, got {x}")
        return x

    return Op(lambda x: kernels.band(x, lowest, highest), shape, fresh=True)


@layer("matrixBandPart")
def matrix_band_part(node: Node) -> Op:
    """y = x where row - column <= numLower and column - row <= numUpper, else 0, in each matrix of the last two axes.

    Input: x [*A, R, C]. Output: the shape of x.
    Parameters: ``numLower``, ``numUpper``: the diagonals kept below and above the main one; all, if negative.
    Errors: an input of rank 1.
    Source: ``MatrixBandPartLayerParams``.
    Chosen: 0 also where x is NaN or infinite, though the original comment multiplies.
    """
    lower, upper = int(node.params.numLower), int(node.params.numUpper)
    return _band(node, None if lower < 0 else -lower, None if upper < 0 else upper)


@layer("lowerTriangular")
def lower_triangular(node: Node) -> Op:
    """y = x where column - row <= k, else 0, in each matrix of the last two axes, as numpy.tril.

    Input: x [*A, R, C]. Output: the shape of x.
    Parameters: ``k``, the highest diagonal that is kept; 0 is the main one, negative ones lie below it.
    Errors: an input of rank 1.
    Source: ``LowerTriangularLayerParams``.
    """
    return _band(node, None, int(node.params.k))


@layer("upperTriangular")
def upper_triangular(node: Node) -> Op:
    """y = x where column - row >= k, else 0, in each matrix of the last two axes, as numpy.triu.

    Input: x [*A, R, C]. Output: the shape of x.
    Parameters: ``k``, the lowest diagonal that is kept; 0 is the main one, negative ones lie below it.
    Errors: an input of rank 1.
    Source: ``UpperTriangularLayerParams``.
    """
    return _band(node, int(node.params.k), None)


@layer("oneHot", inputs=(1, 2))
def one_hot(node: Node) -> Op:
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

    def result(x: Shape, depth: int) -> tuple[int, Shape]:
        rank, axis = len(x) + 1, int(params.axis)
        node.require(-rank <= axis < rank, f"axis is {axis}, expected {-rank} to {rank - 1} for x {x}")
        check_addressable(node, depth)
        axis %= rank
        return axis, result_shape(node, (*x[:axis], depth, *x[axis:]))

    def shape(x: Shape) -> Shape:
        node.require(params.oneHotVectorSize >= 1, "oneHotVectorSize is 0, expected 1 or more, or a second input")
        return result(x, int(params.oneHotVectorSize))[1]

    def run(x: Array, *depths: Array) -> Array:
        depth = integers_of(node, 1, depths[0], 1)[0] if depths else int(params.oneHotVectorSize)
        deepest = longest_axis(node.dtype)
        if depths and not 1 <= depth <= deepest:
            input_error(node, f"input {node.inputs[1]!r} gives the depth {depth}, expected 1 to {deepest}")
        axis, y = result(x.shape, depth)
        check_size(node, y)
        return kernels.one_hot(x, depth, axis, on=params.onValue, off=params.offValue)

    return Op(run, None if len(node.inputs) == 2 else shape, fresh=True)
