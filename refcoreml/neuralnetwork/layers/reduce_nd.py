"""Reductions along any axes, and running totals.

Every reduction takes x [*D], rank 1 to 5. Output: without the reduced axes, or with length 1 for each of them;
[1] where no axis is left.
Parameters: ``axes``, each -rank to rank - 1, none twice; ``reduceAll``: all axes, whatever ``axes`` says;
``keepDims``: keep them with length 1.
Errors: axes out of range or named twice; neither axes nor reduceAll (the schema is silent on the last two).
(The legacy layer ``reduce`` is in ``reduce.py``; ``argMax`` and ``argMin`` are in ``sort.py``.)
"""

from __future__ import annotations

from typing import Any

from refcoreml import ops
from refcoreml.neuralnetwork.registry import Node, Vector, layer


def _reduction(node: Node, kind: Any) -> ops.Op:
    axes = None if node.params.reduceAll else tuple(map(int, node.params.axes))
    return Vector(kind(axes, node.params.keepDims))


@layer("reduceSum")
def reduce_sum(node: Node) -> ops.Op:
    """y = sum x. Source: ``ReduceSumLayerParams``."""
    return _reduction(node, ops.ReduceSum)


@layer("reduceMean")
def reduce_mean(node: Node) -> ops.Op:
    """y = (sum x) / n, n the number of values in the sum. Source: ``ReduceMeanLayerParams``."""
    return _reduction(node, ops.ReduceMean)


@layer("reduceProd")
def reduce_product(node: Node) -> ops.Op:
    """y = product of x. Source: ``ReduceProdLayerParams``."""
    return _reduction(node, ops.ReduceProduct)


@layer("reduceMax")
def reduce_max(node: Node) -> ops.Op:
    """y = max x; NaN if there is one. Source: ``ReduceMaxLayerParams``."""
    return _reduction(node, ops.ReduceMax)


@layer("reduceMin")
def reduce_min(node: Node) -> ops.Op:
    """y = min x; NaN if there is one. Source: ``ReduceMinLayerParams``."""
    return _reduction(node, ops.ReduceMin)


@layer("reduceL1")
def reduce_l1(node: Node) -> ops.Op:
    """y = sum |x|. Source: ``ReduceL1LayerParams``."""
    return _reduction(node, ops.ReduceL1)


@layer("reduceL2")
def reduce_l2(node: Node) -> ops.Op:
    """y = sqrt(sum x^2). Source: ``ReduceL2LayerParams``."""
    return _reduction(node, ops.ReduceL2)


@layer("reduceSumSquare")
def reduce_sum_square(node: Node) -> ops.Op:
    """y = sum x^2. Source: ``ReduceSumSquareLayerParams`` (its original comment is that of ReduceLogSumExp)."""
    return _reduction(node, ops.ReduceSumSquare)


@layer("reduceLogSum")
def reduce_log_sum(node: Node) -> ops.Op:
    """y = ln(sum x): -Inf for a sum of 0, NaN for one below. Source: ``ReduceLogSumLayerParams``.

    Not to be confused with LOGSUM of the legacy layer ``reduce``, the sum of logarithms.
    """
    return _reduction(node, ops.ReduceLogSum)


@layer("reduceLogSumExp")
def reduce_log_sum_exp(node: Node) -> ops.Op:
    """y = ln(sum e^x), without overflow on the way. Source: ``ReduceLogSumExpLayerParams``."""
    return _reduction(node, ops.ReduceLogSumExp)


@layer("cumSum", inputs=(1, 2))
def cumulative_sum(node: Node) -> ops.Op:
    """y[..., i, ...] = x[..., 0, ...] + ... + x[..., i, ...] along an axis, added up in this order.

    Inputs: x [*D]; an axis, one element, in place of the parameter. Output: [*D].
    Parameters: ``axis``, -rank to rank - 1; ``excludeFinalSum``: leave element i itself out, so that the first sum is
    0; ``reverse``: add up from the end of the axis instead.
    Errors: an axis out of range, or an input for it with several elements.
    Source: ``CumSumLayerParams``.
    Chosen: a fraction of an input axis is cut off.
    """
    params = node.params
    axis = None if len(node.inputs) == 2 else int(params.axis)
    return ops.CumulativeSum(axis, params.excludeFinalSum, params.reverse)
