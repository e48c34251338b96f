"""Layers that order elements along an axis: adapters over `refcoreml.kernels.sort`.

Of equal elements the one with the lowest index comes first, in either direction: Apple's tests of topK on the CPU pass
only so. NaN is not specified; here it comes last, and argMax and argMin find the first NaN.
"""

from __future__ import annotations

from refcoreml import ops
from refcoreml.kernels import sort as kernels
from refcoreml.kernels._types import Array, Shape
from refcoreml.neuralnetwork.layers._checks import axis_of, input_error, integers_of
from refcoreml.neuralnetwork.layers.gather import check_addressable
from refcoreml.neuralnetwork.registry import Node, Op, Vector, layer


@layer("topK", inputs=(1, 2), outputs=2)
def top_k(node: Node) -> Op:
    """Values, indices: the K largest (or smallest) elements along an axis, best first.

    Inputs: x [*A, L, *B] with L at ``axis``; K, one element, in place of the parameter. Outputs: both [*A, K, *B].
    Parameters: ``axis``, -rank to rank - 1; ``K``, 1 to L, ignored if there is an input for it; ``useBottomK``: the
    smallest.
    Errors: axis or K out of range; an input K of several elements; an input K out of range, for which a node that is
    not strict takes the nearest in range; L above 2^24 (float32), as the indices would not be exact.
    Source: ``TopKLayerParams``.
    Chosen: a fraction of an input K is cut off.
    """
    params = node.params

    def axis_and_length(x: Shape) -> tuple[int, int]:
        axis = axis_of(node, len(x))
        check_addressable(node, x[axis])
        return axis, x[axis]

    def shape(x: Shape) -> tuple[Shape, Shape]:
        axis, length = axis_and_length(x)
        node.require(1 <= params.K <= length, f"K is {params.K}, expected 1 to {length}, the length of axis {axis}")
        y = (*x[:axis], int(params.K), *x[axis + 1 :])
        return y, y

    def run(x: Array, *counts: Array) -> tuple[Array, Array]:
        axis, length = axis_and_length(x.shape)
        k = integers_of(node, 1, counts[0], 1)[0] if counts else int(params.K)
        if node.strict and not 1 <= k <= length:
            input_error(
                node, f"input {node.inputs[1]!r} gives K = {k}, expected 1 to {length}, the length of axis {axis}"
            )
        values, places = kernels.top_k(x, max(1, min(k, length)), axis, smallest=params.useBottomK)
        return values, places.astype(x.dtype)

    return Op(run, None if len(node.inputs) == 2 else shape, fresh=True)


def _arg_extreme(node: Node, kind: type[ops.ArgMax] | type[ops.ArgMin]) -> ops.Op:
    return Vector(kind(int(node.params.axis), keepdims=not node.params.removeDim))


@layer("argMax")
def arg_max(node: Node) -> ops.Op:
    """y = index of the largest element along an axis; of several the first.

    Input: x [*A, L, *B] with L at ``axis``. Output: [*A, 1, *B]; with ``removeDim`` [*A, *B], but [1] for rank 0.
    Parameters: ``axis``, -rank to rank - 1; ``removeDim``.
    Errors: axis out of range; L above 2^24 (float32), as the indices would not be exact.
    Source: ``ArgMaxLayerParams``.
    """
    return _arg_extreme(node, ops.ArgMax)


@layer("argMin")
def arg_min(node: Node) -> ops.Op:
    """y = index of the smallest element along an axis; of several the first. Otherwise as ``argMax``.

    Source: ``ArgMinLayerParams``.
    """
    return _arg_extreme(node, ops.ArgMin)


@layer("argSort")
def argsort(node: Node) -> Op:
    """y = the indices that sort x along an axis.

    Input: x, any rank. Output: the shape of x.
    Parameters: ``axis``, 0 to rank - 1 (negative ones are invalid here); ``descending``.
    Errors: axis out of range; an axis above 2^24 elements (float32), as the indices would not be exact.
    Source: ``ArgSortLayerParams``.
    """
    axis, descending = int(node.params.axis), bool(node.params.descending)

    def shape(x: Shape) -> Shape:
        node.require(0 <= axis < len(x), f"axis is {axis}, expected 0 to {len(x) - 1} for rank {len(x)}")
        check_addressable(node, x[axis])
        return x

    return Op(lambda x: kernels.argsort(x, axis, descending=descending).astype(x.dtype), shape, fresh=True)
