"""Layers that join blobs, divide one, or repeat it: adapters over `refcoreml.kernels.shape`.

(The legacy ``concat``, ``split`` and ``sequenceRepeat`` are in ``shape.py``.)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from refcoreml.kernels import shape as kernels
from refcoreml.kernels._types import Array, Shape
from refcoreml.neuralnetwork.layers._checks import axis_of, check_size, dynamic_numbers, input_error, result_shape
from refcoreml.neuralnetwork.registry import Node, Op, layer


@layer("concatND", inputs=(2, None))
def concat(node: Node) -> Op:
    """Y = the inputs one after the other along an axis, or with ``interleave`` one slice of each in turn.

    Inputs: two or more [*A, L_i, *B], equal but for L_i; with ``interleave`` equal. Output: [*A, sum of L_i, *B]; with
    ``interleave`` y[..., i * n + k, ...] = x_k[..., i, ...] for n inputs.
    Parameters: ``axis``, -rank to rank - 1 for the first input.
    Errors: axis out of range; shapes that differ elsewhere, or at all with ``interleave``.
    Source: ``ConcatNDLayerParams``.
    Chosen: inputs of different ranks, n of them with one element each, give [n]. Create ML and the converter of
    coremltools join a number with new axes to constants [1] so, to make a shape or the begin of a slice.
    """
    interleave = node.params.interleave

    def shape(*inputs: Shape) -> Shape:
        first = inputs[0]
        axis = axis_of(node, len(first))
        if _numbers(inputs):
            return (len(inputs),)
        for other in inputs[1:]:
            node.require(
                len(other) == len(first) and other[:axis] + other[axis + 1 :] == first[:axis] + first[axis + 1 :],
                f"cannot join {other} to {first}: expected shapes that differ along axis {axis} only",
            )
            node.require(not interleave or other == first, f"cannot interleave {first} and {other}, which differ")
        return *first[:axis], sum(x[axis] for x in inputs), *first[axis + 1 :]

    def run(*inputs: Array) -> Array:
        if _numbers([x.shape for x in inputs]):
            return np.concatenate(inputs, axis=None)
        axis = axis_of(node, inputs[0].ndim)
        return kernels.interleave(inputs, axis) if interleave else np.concatenate(inputs, axis)

    return Op(run, shape, fresh=True)


def _numbers(inputs: Sequence[Shape]) -> bool:
    """Whether blobs of different ranks hold a single element each."""
    return len({len(x) for x in inputs}) > 1 and all(math.prod(x) == 1 for x in inputs)


@layer("stack", inputs=(2, None), scalars=True)
def stack(node: Node) -> Op:
    """Y[..., k, ...] = x_k: the inputs side by side along a new axis.

    Inputs: n blobs, two or more, of one shape and rank 0 to 4; one of rank 0 beside one [1] is [1], too. Output: of
    one rank more, with n at ``axis``.
    Parameters: ``axis`` of the output, -rank - 1 to rank for inputs of that rank.
    Errors: axis out of range; shapes that differ; a rank above 5. Source: ``StackLayerParams``.
    """

    def place(rank: int) -> int:
        return axis_of(node, rank + 1)

    def shape(*inputs: Shape) -> Shape:
        scalars = not any(inputs)
        first, *others = inputs if scalars else (x or (1,) for x in inputs)
        axis = place(len(first))
        for other in others:
            node.require(other == first, f"cannot stack {first} and {other}, which differ")
        return result_shape(node, (*first[:axis], len(inputs), *first[axis:]))

    def run(*inputs: Array) -> Array:
        if any(x.ndim for x in inputs):
            inputs = tuple(x if x.ndim else x.reshape(1) for x in inputs)
        return np.stack(inputs, place(inputs[0].ndim))

    return Op(run, shape, fresh=True)


@layer("splitND", outputs=(2, None))
def split(node: Node) -> Op:
    """y_k = the k-th part of x along an axis.

    Input: x [*A, L, *B]. Outputs: [*A, L_k, *B] with the L_k of ``splitSizes``, which add up to L; if that is empty
    ``numSplits`` equal parts, or where L cannot be divided so, the first ones longer by 1 than the others.
    Parameters: ``axis``, -rank to rank - 1; ``splitSizes``, each 1 or more; ``numSplits``.
    Errors: axis out of range; another number of outputs; sizes that do not add up; more parts than L.
    Source: ``SplitNDLayerParams``. The schema calls the parts uniform; Apple's tests expect those of numpy.array_split.
    """
    params = node.params
    given = tuple(int(size) for size in params.splitSizes)
    parts = len(given) or int(params.numSplits)
    node.require(
        parts == len(node.outputs),
        f"{'splitSizes' if given else 'numSplits'} asks for {parts} parts, but there are {len(node.outputs)} outputs",
    )

    def sizes(length: int) -> Shape:
        small, longer = divmod(length, parts)
        result = given or (small + 1,) * longer + (small,) * (parts - longer)
        node.require(
            min(result) >= 1 and sum(result) == length,
            f"the parts {result} do not divide an axis of {length}: expected numbers of at least 1 that add up to it",
        )
        return result

    def shape(x: Shape) -> tuple[Shape, ...]:
        axis = axis_of(node, len(x))
        return tuple((*x[:axis], size, *x[axis + 1 :]) for size in sizes(x[axis]))

    def run(x: Array) -> tuple[Array, ...]:
        axis = axis_of(node, x.ndim)
        ends = list(itertools.accumulate(sizes(x.shape[axis])))
        return tuple(np.split(x, ends[:-1], axis))

    return Op(run, shape)


@layer("tile", inputs=(1, 2))
def tile(node: Node) -> Op:
    """Y[i_0, i_1, ...] = x[i_0 mod n_0, i_1 mod n_1, ...]: x again and again along each axis.

    Inputs: x [n_0, n_1, ...]; a vector of repetitions in place of the parameter. Output: [r_0 * n_0, r_1 * n_1, ...].
    Parameters: ``reps`` r, 1 or more each, at most one per axis of x; fewer count for the last axes.
    Errors: none; more than the rank; numbers below 1 (`InputError` in an input).
    Source: ``TileLayerParams``.
    """

    def aligned(x: Shape, repetitions: Shape) -> Shape:
        node.require(
            1 <= len(repetitions) <= len(x),
            f"the repetitions {repetitions} are {len(repetitions)} numbers, expected 1 to {len(x)}, the rank of {x}",
        )
        return (1,) * (len(x) - len(repetitions)) + repetitions

    def product(x: Shape, repetitions: Shape) -> Shape:
        return tuple(n * r for n, r in zip(x, repetitions, strict=True))

    if len(node.inputs) == 1:
        reps = tuple(int(r) for r in node.params.reps)
        node.require(all(r >= 1 for r in reps), f"reps is {reps}, expected numbers of at least 1")
        return Op(lambda x: kernels.tile(x, aligned(x.shape, reps)), lambda x: product(x, aligned(x, reps)), fresh=True)

    def run(x: Array, blob: Array) -> Array:
        repetitions = dynamic_numbers(node, 1, blob)
        if min(repetitions) < 1:
            input_error(node, f"input {node.inputs[1]!r} holds {repetitions}, expected numbers of at least 1")
        repetitions = aligned(x.shape, repetitions)
        check_size(node, product(x.shape, repetitions))
        return kernels.tile(x, repetitions)

    return Op(run, None, fresh=True)
