"""Reductions along any axes, and running totals: adapters over `refcoreml.kernels.reduce`.

Every reduction takes x [*D], rank 1 to 5. Output: without the reduced axes, or with length 1 for each of them;
[1] where no axis is left.
Parameters: ``axes``, each -rank to rank - 1, none twice; ``reduceAll``: all axes, whatever ``axes`` says;
``keepDims``: keep them with length 1.
Errors: axes out of range or named twice; neither axes nor reduceAll (the schema is silent on the last two).
(The legacy layer ``reduce`` is in ``reduce.py``; ``argMax`` and ``argMin`` are in ``sort.py``.)
"""

from __future__ import annotations

from collections.abc import Callable

from refcoreml.kernels import reduce as kernels
from refcoreml.kernels._types import Array, Shape
from refcoreml.neuralnetwork.layers._checks import axes_of, axis_of, input_error, integers_of
from refcoreml.neuralnetwork.registry import Node, Op, layer


def _reduction(node: Node, kernel: Callable[[Array, tuple[int, ...]], Array]) -> Op:
    params = node.params

    def axes(rank: int) -> Shape:
        return tuple(range(rank)) if params.reduceAll else axes_of(node, rank)

    def shape(x: Shape) -> Shape:
        reduced = axes(len(x))
        if params.keepDims:
            return tuple(1 if axis in reduced else length for axis, length in enumerate(x))
        return tuple(length for axis, length in enumerate(x) if axis not in reduced) or (1,)

    def run(x: Array) -> Array:
        return kernel(x, tuple(axis - x.ndim for axis in axes(x.ndim))).reshape(shape(x.shape))

    return Op(run, shape, fresh=True)


@layer("reduceSum")
def reduce_sum(node: Node) -> Op:
    """y = sum x. Source: ``ReduceSumLayerParams``."""
    return _reduction(node, kernels.total)


@layer("reduceMean")
def reduce_mean(node: Node) -> Op:
    """y = (sum x) / n, n the number of values in the sum. Source: ``ReduceMeanLayerParams``."""
    return _reduction(node, kernels.mean)


@layer("reduceProd")
def reduce_product(node: Node) -> Op:
    """y = product of x. Source: ``ReduceProdLayerParams``."""
    return _reduction(node, kernels.product)


@layer("reduceMax")
def reduce_max(node: Node) -> Op:
    """y = max x; NaN if there is one. Source: ``ReduceMaxLayerParams``."""
    return _reduction(node, kernels.maximum)


@layer("reduceMin")
def reduce_min(node: Node) -> Op:
    """y = min x; NaN if there is one. Source: ``ReduceMinLayerParams``."""
    return _reduction(node, kernels.minimum)


@layer("reduceL1")
def reduce_l1(node: Node) -> Op:
    """y = sum |x|. Source: ``ReduceL1LayerParams``."""
    return _reduction(node, kernels.l1)


@layer("reduceL2")
def reduce_l2(node: Node) -> Op:
    """y = sqrt(sum x^2). Source: ``ReduceL2LayerParams``."""
    return _reduction(node, kernels.l2)


@layer("reduceSumSquare")
def reduce_sum_square(node: Node) -> Op:
    """y = sum x^2. Source: ``ReduceSumSquareLayerParams`` (its original comment is that of ReduceLogSumExp)."""
    return _reduction(node, kernels.sum_square)


@layer("reduceLogSum")
def reduce_log_sum(node: Node) -> Op:
    """y = ln(sum x): -Inf for a sum of 0, NaN for one below. Source: ``ReduceLogSumLayerParams``.

    Not to be confused with LOGSUM of the legacy layer ``reduce``, the sum of logarithms.
    """
    return _reduction(node, kernels.log_of_sum)


@layer("reduceLogSumExp")
def reduce_log_sum_exp(node: Node) -> Op:
    """y = ln(sum e^x), without overflow on the way. Source: ``ReduceLogSumExpLayerParams``."""
    return _reduction(node, kernels.log_sum_exp)


@layer("cumSum", inputs=(1, 2))
def cumulative_sum(node: Node) -> Op:
    """y[..., i, ...] = x[..., 0, ...] + ... + x[..., i, ...] along an axis, added up in this order.

    Inputs: x [*D]; an axis, one element, in place of the parameter. Output: [*D].
    Parameters: ``axis``, -rank to rank - 1; ``excludeFinalSum``: leave element i itself out, so that the first sum is
    0; ``reverse``: add up from the end of the axis instead.
    Errors: an axis out of range, or an input for it with several elements.
    Source: ``CumSumLayerParams``.
    Chosen: a fraction of an input axis is cut off.
    """
    params = node.params

    def shape(x: Shape, axis: Shape | None = None) -> Shape:
        if axis is None:
            axis_of(node, len(x))
        return x

    def run(x: Array, *given: Array) -> Array:
        if given:
            axis = integers_of(node, 1, given[0], 1)[0]
            if not -x.ndim <= axis < x.ndim:
                input_error(node, f"input {node.inputs[1]!r} gives the axis {axis}, expected {-x.ndim} to {x.ndim - 1}")
        else:
            axis = axis_of(node, x.ndim)
        return kernels.running_total(x, axis, exclusive=params.excludeFinalSum, reverse=params.reverse)

    return Op(run, shape, fresh=True)
