"""Layers that give a blob another shape, or its axes another order, without changing a number.

All but ``transpose`` keep the numbers in row-major order. (The legacy ``reshape``, ``flatten`` and ``permute`` are in
``shape.py``.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import numpy as np

from refcoreml.kernels._types import Array, Shape
from refcoreml.neuralnetwork.layers._checks import axes_of, dynamic_numbers, input_error, result_shape
from refcoreml.neuralnetwork.registry import MAX_RANK, Node, Op, layer


def _reshaping(shape: Callable[..., Shape]) -> Op:
    """An `Op` that gives its first input the shape that follows from all inputs' shapes."""
    return Op(lambda x, *others: np.reshape(x, shape(x.shape, *(other.shape for other in others))), shape)


def _resolved(x: Shape, target: Shape, fail: Callable[[str], NoReturn]) -> Shape:
    """The target with the number for which -1 stands; calls ``fail`` where x cannot take that shape."""
    if not 1 <= len(target) <= MAX_RANK or min(target) < -1 or 0 in target or target.count(-1) > 1:
        fail(f"the shape {target} is asked for, expected 1 to {MAX_RANK} numbers of at least 1, one of which may be -1")
    count, known = math.prod(x), math.prod(length for length in target if length != -1)
    if count % known or (-1 not in target and count != known):
        fail(f"the shape {target} is asked for, which the {count} numbers of {x} do not fill")
    return tuple(count // known if length == -1 else length for length in target)


@layer("reshapeStatic")
def reshape_static(node: Node) -> Op:
    """Y = x in the shape ``targetShape``.

    Input: x, any rank. Output: ``targetShape``, 1 to 5 numbers, one of which may be -1 for what is left.
    Errors: 0 or several -1 in it; another number of elements.
    Source: ``ReshapeStaticLayerParams``.
    """
    target = tuple(node.params.targetShape)
    return _reshaping(lambda x: _resolved(x, target, node.invalid))


@layer("reshapeLike", inputs=2)
def reshape_like(node: Node) -> Op:
    """Y = x in the shape of the second input, whose values are not read.

    Inputs: x; another blob of as many elements. Output: the shape of the second.
    Errors: another number of elements. Source: ``ReshapeLikeLayerParams`` (no fields).
    """
    return _reshaping(lambda x, like: _resolved(x, like, node.invalid))


@layer("reshapeDynamic", inputs=2)
def reshape_dynamic(node: Node) -> Op:
    """Y = x in the shape that the second input holds.

    Inputs: x; a vector of 1 to 5 numbers, one of which may be -1 for what is left. Output: that shape.
    Errors: a second input of other rank; `InputError` for 0, several -1, or another number of elements.
    Source: ``ReshapeDynamicLayerParams`` (no fields).
    Chosen: -1 as in reshapeStatic (Apple's tests have it); fractions are cut off.
    """

    def run(x: Array, target: Array) -> Array:
        fail = partial(input_error, node)
        return x.reshape(_resolved(x.shape, dynamic_numbers(node, 1, target), fail))

    return Op(run, None)


@layer("rankPreservingReshape")
def rank_preserving_reshape(node: Node) -> Op:
    """Y = x in a shape of the same rank.

    Input: x of rank r. Output: ``targetShape``, r numbers, where 0 stands for the length that x has there, and one may
    be -1 for what is left.
    Errors: a target of other length; several -1; another number of elements.
    Source: ``RankPreservingReshapeLayerParams``.
    """
    target = tuple(node.params.targetShape)

    def shape(x: Shape) -> Shape:
        node.require(
            len(target) == len(x), f"targetShape {target} has {len(target)} numbers, expected {len(x)}, the rank of {x}"
        )
        return _resolved(x, tuple(length or kept for length, kept in zip(target, x, strict=True)), node.invalid)

    return _reshaping(shape)


@layer("flattenTo2D")
def flatten_to_2d(node: Node) -> Op:
    """[d_0, ..., d_r-1] -> [d_0 * ... * d_axis-1, d_axis * ... * d_r-1].

    Parameters: ``axis``, -r to r for rank r; for 0 the first length is 1, for r the second.
    Errors: axis out of range. Source: ``FlattenTo2DLayerParams``.
    Chosen: r is in range, as in the schema's example and Apple's tests; its validator ends at r - 1.
    """
    axis = node.params.axis

    def shape(x: Shape) -> Shape:
        rank = len(x)
        node.require(-rank <= axis <= rank, f"axis is {axis}, expected {-rank} to {rank} for rank {rank}")
        place = axis + rank if axis < 0 else axis
        return math.prod(x[:place]), math.prod(x[place:])

    return _reshaping(shape)


@layer("expandDims", scalars=True)
def expand_dims(node: Node) -> Op:
    """Y = x with further axes of length 1.

    Input: x of rank r, 0 for a slice without axes. Output: of rank r + len(axes), at most 5, with length 1 at each of
    ``axes``.
    Parameters: ``axes`` of the output, each -rank to rank - 1 for its rank, none twice.
    Errors: no axes; axes out of range or named twice; a rank above 5. Source: ``ExpandDimsLayerParams``.
    """

    def shape(x: Shape) -> Shape:
        axes = axes_of(node, len(x) + len(node.params.axes))
        lengths = iter(x)
        rank = len(x) + len(axes)
        return result_shape(node, tuple(1 if axis in axes else next(lengths) for axis in range(rank)))

    return _reshaping(shape)


@layer("squeeze")
def squeeze(node: Node) -> Op:
    """Y = x without some axes of length 1.

    Input: x, any rank. Output: x without ``axes``, or with ``squeezeAll`` without all axes of length 1; [1] where no
    axis is left.
    Parameters: ``axes``, each -rank to rank - 1, none twice, of length 1; not read with ``squeezeAll``.
    Errors: no axes; axes out of range, named twice, or of another length. Source: ``SqueezeLayerParams``.
    """

    def shape(x: Shape) -> Shape:
        if node.params.squeezeAll:
            return tuple(length for length in x if length != 1) or (1,)
        axes = axes_of(node, len(x))
        for axis in axes:
            node.require(x[axis] == 1, f"axis {axis} of {x} has the length {x[axis]}, only one of 1 can be squeezed")
        return tuple(length for axis, length in enumerate(x) if axis not in axes) or (1,)

    return _reshaping(shape)


@layer("transpose")
def transpose(node: Node) -> Op:
    """Y = x with its axes in another order: axis i of y is axis ``axes[i]`` of x.

    Input: x of rank r. Output: [x.shape[axes[0]], ..., x.shape[axes[r-1]]].
    Parameters: ``axes``, a permutation of 0, ..., r - 1.
    Errors: anything else. Source: ``TransposeLayerParams``.
    Chosen: k axes fewer than r order the last axes if the first k have length 1, and these stay: coremltools writes
    three axes behind an image [1, C, H, W], and Apple's tests expect that they run.
    """
    axes = tuple(int(axis) for axis in node.params.axes)

    def order(rank: int) -> Shape:
        kept = rank - len(axes)
        return (*range(kept), *(axis + kept for axis in axes))

    def shape(x: Shape) -> Shape:
        kept = len(x) - len(axes)
        node.require(
            0 <= kept < len(x) and sorted(axes) == list(range(len(axes))) and set(x[:kept]) <= {1},
            f"axes is {axes}, expected a permutation of {tuple(range(len(x)))} for {x}",
        )
        return tuple(x[axis] for axis in order(len(x)))

    return Op(lambda x: x.transpose(order(x.ndim)), shape)
