"""Layers that join blobs, divide one, or repeat it.

(The legacy ``concat``, ``split`` and ``sequenceRepeat`` are in ``shape.py``.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refcoreml import ops
from refcoreml.neuralnetwork.registry import Node, layer
from refcoreml.ops.base import Adapted, Results, Types, axis_in
from refcoreml.types import Array, Shape, TensorType


@layer("concatND", inputs=(2, None))
def concat(node: Node) -> ops.Op:
    """y = the inputs one after the other along an axis, or with ``interleave`` one slice of each in turn.

    Inputs: two or more [*A, L_i, *B], equal but for L_i; with ``interleave`` equal. Output: [*A, sum of L_i, *B]; with
    ``interleave`` y[..., i * n + k, ...] = x_k[..., i, ...] for n inputs.
    Parameters: ``axis``, -rank to rank - 1 for the first input.
    Errors: axis out of range; shapes that differ elsewhere, or at all with ``interleave``.
    Source: ``ConcatNDLayerParams``.
    Chosen: inputs of different ranks, n of them with one element each, give [n]. Create ML and the converter of
    coremltools join a number with new axes to constants [1] so, to make a shape or the begin of a slice.
    """
    return _Concat(ops.Concat(int(node.params.axis), node.params.interleave))


@dataclass(frozen=True)
class _Concat(Adapted):
    """Joins arrays of different ranks that hold a single element each, too."""

    op: ops.Concat

    def infer(self, *inputs: TensorType) -> TensorType:
        if not _numbers([x.shape for x in inputs]):
            return self.op.infer(*inputs)
        axis_in(self.op.axis, inputs[0].rank)
        return inputs[0].with_shape((len(inputs),))

    def run(self, *inputs: Array) -> Array:
        if _numbers([x.shape for x in inputs]):
            return np.concatenate(inputs, axis=None)
        return self.op.run(*inputs)


def _numbers(inputs: Sequence[Shape]) -> bool:
    """Return whether blobs of different ranks hold a single element each."""
    return len({len(x) for x in inputs}) > 1 and all(math.prod(x) == 1 for x in inputs)


@layer("stack", inputs=(2, None), scalars=True)
def stack(node: Node) -> ops.Op:
    """y[..., k, ...] = x_k: the inputs side by side along a new axis.

    Inputs: n blobs, two or more, of one shape and rank 0 to 4; one of rank 0 beside one [1] is [1], too. Output: of
    one rank more, with n at ``axis``.
    Parameters: ``axis`` of the output, -rank - 1 to rank for inputs of that rank.
    Errors: axis out of range; shapes that differ; a rank above 5. Source: ``StackLayerParams``.
    """
    return _Stack(ops.Stack(int(node.params.axis)))


@dataclass(frozen=True)
class _Stack(Adapted):
    """Takes an array of rank 0 for one [1], unless all have rank 0."""

    def infer(self, *inputs: TensorType) -> Types | None:
        if any(x.rank for x in inputs):
            inputs = tuple(x.with_shape(x.shape or (1,)) for x in inputs)
        return self.op.infer(*inputs)

    def run(self, *inputs: Array) -> Results:
        if any(x.ndim for x in inputs):
            inputs = tuple(x if x.ndim else x.reshape(1) for x in inputs)
        return self.op.run(*inputs)


@layer("splitND", outputs=(2, None))
def split(node: Node) -> ops.Op:
    """y_k = the k-th part of x along an axis.

    Input: x [*A, L, *B]. Outputs: [*A, L_k, *B] with the L_k of ``splitSizes``, which add up to L; if that is empty
    ``numSplits`` equal parts, or where L cannot be divided so, the first ones longer by 1 than the others.
    Parameters: ``axis``, -rank to rank - 1; ``splitSizes``, each 1 or more; ``numSplits``.
    Errors: axis out of range; another number of outputs; sizes that do not add up; more parts than L.
    Source: ``SplitNDLayerParams``. The schema calls the parts uniform; Apple's tests expect those of numpy.array_split.
    """
    params = node.params
    sizes = tuple(int(size) for size in params.splitSizes)
    parts = len(sizes) or int(params.numSplits)
    node.require(
        parts == len(node.outputs),
        f"{'splitSizes' if sizes else 'numSplits'} specifies {parts} parts, but there are {len(node.outputs)} outputs",
    )
    return ops.Split(int(params.axis), sizes or parts, even=False)


@layer("tile", inputs=(1, 2))
def tile(node: Node) -> ops.Op:
    """y[i_0, i_1, ...] = x[i_0 mod n_0, i_1 mod n_1, ...]: x again and again along each axis.

    Inputs: x [n_0, n_1, ...]; a vector of repetitions in place of the parameter. Output: [r_0 * n_0, r_1 * n_1, ...].
    Parameters: ``reps`` r, 1 or more each, at most one per axis of x; fewer count for the last axes.
    Errors: none; more than the rank; numbers below 1 (`InputError` in an input).
    Source: ``TileLayerParams``.
    """
    if len(node.inputs) == 2:
        return ops.Tile(None)
    repetitions = tuple(int(r) for r in node.params.reps)
    node.require(all(r >= 1 for r in repetitions), f"reps is {repetitions}, expected numbers of at least 1")
    return ops.Tile(repetitions)
