"""Layers that make blobs from parameters and shapes: constants, fills, broadcasts, ranges, and the shape itself.

(The legacy ``loadConstant`` is in ``linear.py``.)
"""

from __future__ import annotations

import numpy as np

from refcoreml import ops
from refcoreml.errors import at
from refcoreml.neuralnetwork.layers._checks import static_shape
from refcoreml.neuralnetwork.registry import Like, Node, layer
from refcoreml.types import Shape


@layer("loadConstantND", inputs=0)
def load_constant(node: Node) -> ops.Op:
    """y = data.

    Output: ``shape``, 1 to 5 numbers of at least 1. Parameters: ``data``, as many values.
    Errors: another shape; a number of values that differs from its product. Source: ``LoadConstantNDLayerParams``.
    """
    return ops.Constant(node.weights("data", static_shape(node, "shape")))


# ---- Fills ----


def _fill(node: Node, shape: Shape | None) -> ops.Op:
    return ops.Fill(node.params.value, shape=shape, dtype=np.dtype(node.dtype))


@layer("fillLike")
def fill_like(node: Node) -> ops.Op:
    """y = value, in the shape of the input, whose values are not read. ``value``: 0 if unset.

    Source: ``FillLikeLayerParams``.
    """
    return Like(_fill(node, None))


@layer("fillStatic", inputs=0)
def fill_static(node: Node) -> ops.Op:
    """y = value, in the shape ``targetShape``, 1 to 5 numbers of at least 1. ``value``: 0 if unset.

    Errors: another shape. Source: ``FillStaticLayerParams``.
    """
    return _fill(node, static_shape(node, "targetShape"))


@layer("fillDynamic")
def fill_dynamic(node: Node) -> ops.Op:
    """y = value, in the shape that the input holds. ``value``: 0 if unset.

    Input: a vector of 1 to 5 numbers of at least 1. Output: that shape.
    Errors: an input of other rank; `InputError` for smaller numbers, or a blob above the limit of memory.
    Source: ``FillDynamicLayerParams``. Chosen: fractions are cut off.
    """
    return _fill(node, None)


# ---- Broadcasts ----


@layer("broadcastToLike", inputs=2)
def broadcast_to_like(node: Node) -> ops.Op:
    """y = x, repeated along axes that it lacks or where its length is 1.

    Inputs: x; a blob whose values are not read, to whose shape x broadcasts as in NumPy. Output: that shape.
    Errors: an x that does not broadcast so. Source: ``BroadcastToLikeLayerParams`` (no fields).
    """
    return ops.BroadcastLike()


@layer("broadcastToStatic")
def broadcast_to_static(node: Node) -> ops.Op:
    """y = x, repeated along axes that it lacks or where its length is 1.

    Input: x, which broadcasts to ``targetShape`` as in NumPy. Output: ``targetShape``, 1 to 5 numbers of at least 1.
    Errors: another target; an x that does not broadcast so. Source: ``BroadcastToStaticLayerParams``.
    """
    return ops.BroadcastTo(static_shape(node, "targetShape"))


@layer("broadcastToDynamic", inputs=2)
def broadcast_to_dynamic(node: Node) -> ops.Op:
    """y = x, repeated along axes that it lacks or where its length is 1.

    Inputs: x; a vector of 1 to 5 numbers of at least 1, the shape to which x broadcasts as in NumPy. Output: that
    shape.
    Errors: a second input of other rank; `InputError` for an x that does not broadcast so, or a blob above the limit
    of memory.
    Source: ``BroadcastToDynamicLayerParams`` (no fields). Chosen: fractions are cut off.
    """
    return ops.BroadcastTo(None)


# ---- Ranges ----


@layer("rangeStatic", inputs=0)
def range_static(node: Node) -> ops.Op:
    """y[i] = startValue + i * stepSizeValue.

    Output: [n], n = ceil((endValue - startValue) / stepSizeValue) in the network's arithmetic: the end is excluded.
    Parameters: ``startValue``, ``endValue``, ``stepSizeValue``, 0 if unset.
    Errors: a step of 0, a range without numbers (Core ML has no empty blobs), numbers that are not finite.
    Source: ``RangeStaticLayerParams``.
    """
    params = node.params
    op = ops.Range(params.endValue, params.startValue, params.stepSizeValue, np.dtype(node.dtype))
    with at(node.where):
        op.infer()
    return op


@layer("rangeDynamic", inputs=(1, 3))
def range_dynamic(node: Node) -> ops.Op:
    """y[i] = start + i * step.

    Inputs, one element each: end; start, in place of ``startValue``; step, in place of ``stepSizeValue``.
    Output: [n], n = ceil((end - start) / step) in the network's arithmetic: the end is excluded.
    Errors: inputs of several elements; `InputError` for a step of 0, a range without numbers, numbers that are not
    finite, or a blob above the limit of memory.
    Source: ``RangeDynamicLayerParams``.
    """
    given = len(node.inputs)
    start = None if given >= 2 else node.params.startValue
    step = None if given == 3 else node.params.stepSizeValue
    return ops.Range(None, start, step, np.dtype(node.dtype))


# ---- The shape itself ----


@layer("getShape")
def get_shape(node: Node) -> ops.Op:
    """y = the shape of the input.

    Input: rank r. Output: [r].
    Errors: a length that the arithmetic cannot represent. Source: ``GetShapeLayerParams`` (no fields).
    """
    return ops.ShapeOf()
