"""Layers that order elements along an axis.

Of equal elements the one with the lowest index comes first, in either direction: Apple's tests of topK on the CPU pass
only so. NaN is not specified; here it comes last, and argMax and argMin find the first NaN.
"""

from __future__ import annotations

from refcoreml import ops
from refcoreml.neuralnetwork.registry import Node, Restricted, Vector, layer
from refcoreml.ops.base import require
from refcoreml.types import Shape


@layer("topK", inputs=(1, 2), outputs=2)
def top_k(node: Node) -> ops.Op:
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
    k = None if len(node.inputs) == 2 else int(params.K)
    return ops.TopK(k, int(params.axis), params.useBottomK, node.strict)


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
def argsort(node: Node) -> ops.Op:
    """y = the indices that sort x along an axis.

    Input: x, any rank. Output: the shape of x.
    Parameters: ``axis``, 0 to rank - 1 (negative ones are invalid here); ``descending``.
    Errors: axis out of range; an axis above 2^24 elements (float32), as the indices would not be exact.
    Source: ``ArgSortLayerParams``.
    """
    axis, descending = int(node.params.axis), bool(node.params.descending)

    def check(x: Shape) -> None:
        require(0 <= axis < len(x), f"axis is {axis}, expected 0 to {len(x) - 1} for rank {len(x)}")

    return Restricted(ops.ArgSort(axis, descending), check)
