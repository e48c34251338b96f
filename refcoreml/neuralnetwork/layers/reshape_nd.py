"""Layers that give a blob another shape, or its axes another order, without changing a number.

All but ``transpose`` keep the numbers in row-major order. (The legacy ``reshape``, ``flatten`` and ``permute`` are in
``shape.py``.)
"""

from __future__ import annotations

from dataclasses import dataclass

from refcoreml import ops
from refcoreml.neuralnetwork.layers._checks import of_rank
from refcoreml.neuralnetwork.registry import MAX_RANK, Node, Vector, layer
from refcoreml.ops.base import ByType, Types, invalid
from refcoreml.types import TensorType


def _target(node: Node) -> tuple[int, ...]:
    target = tuple(int(length) for length in node.params.targetShape)
    node.require(1 <= len(target) <= MAX_RANK, f"targetShape is {target}, expected 1 to {MAX_RANK} numbers")
    return target


def _axes(node: Node) -> tuple[int, ...]:
    return tuple(int(axis) for axis in node.params.axes)


@layer("reshapeStatic")
def reshape_static(node: Node) -> ops.Op:
    """y = x in the shape ``targetShape``.

    Input: x, any rank. Output: ``targetShape``, 1 to 5 numbers, one of which may be -1 for what is left.
    Errors: 0 or several -1 in it; another number of elements.
    Source: ``ReshapeStaticLayerParams``.
    """
    return ops.Reshape(_target(node))


@layer("reshapeLike", inputs=2)
def reshape_like(node: Node) -> ops.Op:
    """y = x in the shape of the second input, whose values are not read.

    Inputs: x; another blob of as many elements. Output: the shape of the second.
    Errors: another number of elements. Source: ``ReshapeLikeLayerParams`` (no fields).
    """
    return ops.ReshapeLike()


@layer("reshapeDynamic", inputs=2)
def reshape_dynamic(node: Node) -> ops.Op:
    """y = x in the shape that the second input holds.

    Inputs: x; a vector of 1 to 5 numbers, one of which may be -1 for what is left. Output: that shape.
    Errors: a second input of other rank; `InputError` for 0, several -1, or another number of elements.
    Source: ``ReshapeDynamicLayerParams`` (no fields).
    Chosen: -1 as in reshapeStatic (Apple's tests have it); fractions are cut off.
    """
    return ops.Reshape(None)


@layer("rankPreservingReshape")
def rank_preserving_reshape(node: Node) -> ops.Op:
    """y = x in a shape of the same rank.

    Input: x of rank r. Output: ``targetShape``, r numbers, where 0 stands for the length that x has there, and one may
    be -1 for what is left.
    Errors: a target of other length; several -1; another number of elements.
    Source: ``RankPreservingReshapeLayerParams``.
    """
    target = _target(node)
    rank = len(target)
    return of_rank(ops.Reshape(target, zero_keeps=True), rank, rank, f"of rank {rank}, that of targetShape {target}")


@layer("flattenTo2D")
def flatten_to_2d(node: Node) -> ops.Op:
    """[d_0, ..., d_r-1] -> [d_0 * ... * d_axis-1, d_axis * ... * d_r-1].

    Parameters: ``axis``, -r to r for rank r; for 0 the first length is 1, for r the second.
    Errors: axis out of range. Source: ``FlattenTo2DLayerParams``.
    Chosen: r is in range, as in the schema's example and Apple's tests; its validator ends at r - 1.
    """
    return ops.Flatten2D(node.params.axis)


@layer("expandDims", scalars=True)
def expand_dims(node: Node) -> ops.Op:
    """y = x with further axes of length 1.

    Input: x of rank r, 0 for a slice without axes. Output: of rank r + len(axes), at most 5, with length 1 at each of
    ``axes``.
    Parameters: ``axes`` of the output, each -rank to rank - 1 for its rank, none twice.
    Errors: no axes; axes out of range or named twice; a rank above 5. Source: ``ExpandDimsLayerParams``.
    """
    return ops.ExpandDims(_axes(node))


@layer("squeeze")
def squeeze(node: Node) -> ops.Op:
    """y = x without some axes of length 1.

    Input: x, any rank. Output: x without ``axes``, or with ``squeezeAll`` without all axes of length 1; [1] where no
    axis is left.
    Parameters: ``axes``, each -rank to rank - 1, none twice, of length 1; not read with ``squeezeAll``.
    Errors: no axes; axes out of range, named twice, or of another length. Source: ``SqueezeLayerParams``.
    """
    return Vector(ops.Squeeze(None if node.params.squeezeAll else _axes(node)))


@layer("transpose")
def transpose(node: Node) -> ops.Op:
    """y = x with its axes in another order: axis i of y is axis ``axes[i]`` of x.

    Input: x of rank r. Output: [x.shape[axes[0]], ..., x.shape[axes[r-1]]].
    Parameters: ``axes``, a permutation of 0, ..., r - 1.
    Errors: anything else. Source: ``TransposeLayerParams``.
    Chosen: k axes fewer than r order the last axes if the first k have length 1, and these stay: coremltools writes
    three axes behind an image [1, C, H, W], and Apple's tests expect that they run.
    """
    return _Transpose(_axes(node))


@dataclass(frozen=True)
class _Transpose(ByType):
    axes: tuple[int, ...]

    def choose(self, rank: int) -> ops.Op:
        kept = max(rank - len(self.axes), 0)
        return ops.Transpose((*range(kept), *(axis + kept for axis in self.axes)))

    def infer(self, *inputs: TensorType) -> Types | None:
        (x,) = inputs
        kept = x.rank - len(self.axes)
        if not 0 <= kept < max(x.rank, 1) or not set(x.shape[:kept]) <= {1}:
            invalid(f"axes is {self.axes}, expected a permutation of {tuple(range(x.rank))} for {x.shape}")
        return super().infer(*inputs)
