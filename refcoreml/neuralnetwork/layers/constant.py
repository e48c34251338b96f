"""Layers that make blobs from parameters and shapes: constants, fills, broadcasts, ranges, and the shape itself.

(The legacy ``loadConstant`` is in ``linear.py``.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NoReturn

import numpy as np

from refcoreml import ops
from refcoreml.kernels import elementwise as kernels
from refcoreml.kernels._types import Array, Shape
from refcoreml.kernels.range import evenly_spaced, evenly_spaced_count
from refcoreml.neuralnetwork.layers._checks import check_size, dynamic_shape, input_error, numbers_of, static_shape
from refcoreml.neuralnetwork.registry import Node, Op, layer, same_shape


@layer("loadConstantND", inputs=0)
def load_constant(node: Node) -> ops.Op:
    """y = data.

    Output: ``shape``, 1 to 5 numbers of at least 1. Parameters: ``data``, as many values.
    Errors: another shape; a number of values that differs from its product. Source: ``LoadConstantNDLayerParams``.
    """
    return ops.Constant(node.weights("data", static_shape(node, "shape")))


# ---- Fills ----


def _filled(node: Node, shape: Shape) -> Array:
    return np.full(shape, node.params.value, node.dtype)


@layer("fillLike")
def fill_like(node: Node) -> Op:
    """y = value, in the shape of the input, whose values are not read. ``value``: 0 if unset.

    Source: ``FillLikeLayerParams``.
    """
    return Op(lambda x: _filled(node, x.shape), same_shape, fresh=True)


@layer("fillStatic", inputs=0)
def fill_static(node: Node) -> Op:
    """y = value, in the shape ``targetShape``, 1 to 5 numbers of at least 1. ``value``: 0 if unset.

    Errors: another shape. Source: ``FillStaticLayerParams``.
    """
    target = static_shape(node, "targetShape")
    return Op(lambda: _filled(node, target), lambda: target, fresh=True)


@layer("fillDynamic")
def fill_dynamic(node: Node) -> Op:
    """y = value, in the shape that the input holds. ``value``: 0 if unset.

    Input: a vector of 1 to 5 numbers of at least 1. Output: that shape.
    Errors: an input of other rank; `InputError` for smaller numbers, or a blob above the limit of memory.
    Source: ``FillDynamicLayerParams``. Chosen: fractions are cut off.
    """
    return Op(lambda x: _filled(node, dynamic_shape(node, 0, x)), None, fresh=True)


# ---- Broadcasts ----


def _broadcast_shape(x: Shape, target: Shape, fail: Callable[[str], NoReturn]) -> Shape:
    """The target; calls ``fail`` if x does not broadcast to it."""
    try:
        common = kernels.broadcast_shape(x, target)
    except ValueError:
        common = ()
    if common != target:
        fail(f"{x} does not broadcast to {target}: from the last axis on, its lengths must be equal or 1")
    return target


@layer("broadcastToLike", inputs=2)
def broadcast_to_like(node: Node) -> Op:
    """y = x, repeated along axes that it lacks or where its length is 1.

    Inputs: x; a blob whose values are not read, to whose shape x broadcasts as in NumPy. Output: that shape.
    Errors: an x that does not broadcast so. Source: ``BroadcastToLikeLayerParams`` (no fields).
    """

    def shape(x: Shape, like: Shape) -> Shape:
        return _broadcast_shape(x, like, node.invalid)

    return Op(lambda x, like: np.broadcast_to(x, like.shape), shape)


@layer("broadcastToStatic")
def broadcast_to_static(node: Node) -> Op:
    """y = x, repeated along axes that it lacks or where its length is 1.

    Input: x, which broadcasts to ``targetShape`` as in NumPy. Output: ``targetShape``, 1 to 5 numbers of at least 1.
    Errors: another target; an x that does not broadcast so. Source: ``BroadcastToStaticLayerParams``.
    """
    target = static_shape(node, "targetShape")
    return Op(lambda x: np.broadcast_to(x, target), lambda x: _broadcast_shape(x, target, node.invalid))


@layer("broadcastToDynamic", inputs=2)
def broadcast_to_dynamic(node: Node) -> Op:
    """y = x, repeated along axes that it lacks or where its length is 1.

    Inputs: x; a vector of 1 to 5 numbers of at least 1, the shape to which x broadcasts as in NumPy. Output: that
    shape.
    Errors: a second input of other rank; `InputError` for an x that does not broadcast so, or a blob above the limit
    of memory.
    Source: ``BroadcastToDynamicLayerParams`` (no fields). Chosen: fractions are cut off.
    """

    def run(x: Array, target: Array) -> Array:
        fail = partial(input_error, node)
        return np.broadcast_to(x, _broadcast_shape(x.shape, dynamic_shape(node, 1, target), fail))

    return Op(run, None)


# ---- Ranges ----


def _count(node: Node, start: float, end: float, step: float, fail: Callable[[str], NoReturn]) -> int:
    number = node.dtype
    try:
        count = evenly_spaced_count(number(start), number(end), number(step))
    except ValueError:
        count = 0
    if count < 1:
        fail(f"the range from {start:g} to {end:g} by {step:g} holds no numbers, or infinitely many")
    return count


@layer("rangeStatic", inputs=0)
def range_static(node: Node) -> Op:
    """y[i] = startValue + i * stepSizeValue.

    Output: [n], n = ceil((endValue - startValue) / stepSizeValue) in the network's arithmetic: the end is excluded.
    Parameters: ``startValue``, ``endValue``, ``stepSizeValue``, 0 if unset.
    Errors: a step of 0, a range without numbers (Core ML has no empty blobs), numbers that are not finite.
    Source: ``RangeStaticLayerParams``.
    """
    params = node.params
    start, step = params.startValue, params.stepSizeValue
    count = _count(node, start, params.endValue, step, node.invalid)
    return Op(lambda: evenly_spaced(start, step, count, node.dtype), lambda: (count,), fresh=True)


@layer("rangeDynamic", inputs=(1, 3))
def range_dynamic(node: Node) -> Op:
    """y[i] = start + i * step.

    Inputs, one element each: end; start, in place of ``startValue``; step, in place of ``stepSizeValue``.
    Output: [n], n = ceil((end - start) / step) in the network's arithmetic: the end is excluded.
    Errors: inputs of several elements; `InputError` for a step of 0, a range without numbers, numbers that are not
    finite, or a blob above the limit of memory.
    Source: ``RangeDynamicLayerParams``.
    """

    def run(*inputs: Array) -> Array:
        given = [numbers_of(node, which, blob, 1)[0] for which, blob in enumerate(inputs)]
        defaults = [node.params.startValue, node.params.stepSizeValue]
        end, start, step = given + defaults[len(given) - 1 :]
        count = _count(node, start, end, step, partial(input_error, node))
        check_size(node, (count,))
        return evenly_spaced(start, step, count, node.dtype)

    return Op(run, None, fresh=True)


# ---- The shape itself ----


@layer("getShape")
def get_shape(node: Node) -> Op:
    """y = the shape of the input.

    Input: rank r. Output: [r].
    Errors: a length that the arithmetic cannot represent. Source: ``GetShapeLayerParams`` (no fields).
    """

    def shape(x: Shape) -> Shape:
        for length in x:
            node.require(
                int(node.dtype(length)) == length, f"{np.dtype(node.dtype)} cannot represent the length {length} of {x}"
            )
        return (len(x),)

    return Op(lambda x: np.array(x.shape, node.dtype), shape, fresh=True)
