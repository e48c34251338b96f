"""Layers that rearrange, join or divide blobs of rank-5 networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from refcoreml import ops
from refcoreml.neuralnetwork.layers._checks import enum_name, of_images, of_rank, of_sequences
from refcoreml.neuralnetwork.registry import MAX_RANK, Node, layer
from refcoreml.ops.base import ByType
from refcoreml.ops.slices import WHOLE

_REORGANIZATIONS: dict[str, Callable[[int], ops.Op]] = {
    "SPACE_TO_DEPTH": ops.SpaceToDepth,
    "DEPTH_TO_SPACE": ops.DepthToSpace,
    "PIXEL_SHUFFLE": ops.PixelShuffle,
}
_SLICE_AXES = {"CHANNEL_AXIS": -3, "HEIGHT_AXIS": -2, "WIDTH_AXIS": -1}


@layer("reorganizeData")
def reorganize_data(node: Node) -> ops.Op:
    """Move blocks of b * b pixels into channels or back, b = ``blockSize`` of 2 or more; 0 <= i, j < b.

    Input: x [*, C, H, W], rank 3 or more.
    ``mode`` SPACE_TO_DEPTH: y[(i * b + j) * C + c, h, w] = x[c, h * b + i, w * b + j], [*, C * b**2, H / b, W / b];
    H and W must be multiples of b (TensorFlow's order).
    DEPTH_TO_SPACE: its inverse, [*, C / b**2, H * b, W * b]; C must be a multiple of b**2.
    PIXEL_SHUFFLE: y[c, h * b + i, w * b + j] = x[c * b**2 + i * b + j, h, w], of the same shape (torch's order).
    Errors: an unknown mode; a block size below 2; sizes that are no multiples.
    Source: ``ReorganizeDataLayerParams``.
    """
    operation, block = _REORGANIZATIONS[enum_name(node, "mode")], int(node.params.blockSize)
    node.require(block >= 2, f"blockSize is {block}, expected 2 or more")
    return operation(block)


@layer("reshape")
def reshape(node: Node) -> ops.Op:
    """y = the numbers of x in another shape.

    Input: x [Seq, B, C, H, W]. Output: with ``targetShape`` (C', H', W') [Seq, B, C', H', W'], with (Seq', C', H', W')
    [Seq', B, C', H', W']; as many numbers as before.
    ``mode`` CHANNEL_FIRST keeps their order. CHANNEL_LAST takes them in the order (Seq, H, W, C), fills them in as
    (Seq', H', W', C'), and moves the channels back before H'.
    Errors: a target of other length or with numbers below 1; another number of elements; an input of other rank.
    Chosen: every element of the batch is reshaped by itself (the schema speaks of batches of 1 only;
    Apple's shape rule keeps the batch).
    Source: ``ReshapeLayerParams``.
    """
    target, last = tuple(map(int, node.params.targetShape)), enum_name(node, "mode") == "CHANNEL_LAST"
    node.require(len(target) in (3, 4), f"targetShape {target} has {len(target)} numbers, expected 3 or 4")
    node.require(min(target) >= 1, f"targetShape is {target}, expected numbers of at least 1")
    return ops.ReshapeSequence(target, last)


@layer("flatten")
def flatten(node: Node) -> ops.Op:
    """[*, C, H, W] -> [*, C * H * W, 1, 1], rank 3 or more.

    ``mode`` CHANNEL_FIRST keeps the order of the numbers, CHANNEL_LAST takes them in the order (H, W, C).
    Errors: an unknown mode; an input of lower rank.
    Source: ``FlattenLayerParams``.
    """
    return ops.FlattenImage(enum_name(node, "mode") == "CHANNEL_LAST")


@layer("permute")
def permute(node: Node) -> ops.Op:
    """y = x with its axes Seq, C, H, W in another order: axis i of y is axis ``axis[i]`` of x; Batch stays.

    Input: x [Seq, B, C, H, W]. ``axis``: a permutation of 0, 1, 2, 3; empty for none.
    Errors: anything else in ``axis``; an input of other rank.
    Source: ``PermuteLayerParams``.
    Chosen: the empty ``axis``, an example of the schema's comment, is no error, though Apple's validator refuses it.
    """
    order = tuple(node.params.axis) or (0, 1, 2, 3)
    node.require(sorted(order) == [0, 1, 2, 3], f"axis is {order}, expected a permutation of 0, 1, 2, 3")
    sequence, *rest = ((0, 2, 3, 4)[axis] for axis in order)
    return of_sequences(ops.Transpose((sequence, 1, *rest)))


@layer("concat", inputs=(2, None))
def concat(node: Node) -> ops.Op:
    """y = the inputs one after the other along C, or with ``sequenceConcat`` along Seq.

    Inputs: two or more [*, C_i, H, W], equal but for C_i, rank 3 or more; with ``sequenceConcat`` [Seq_i, *] of rank 5.
    Output: their shape with the sum of all C_i, or Seq_i.
    Errors: different ranks, or shapes that differ along other axes.
    Chosen: blobs of rank 3 are [C, H, W] in N-D networks too, as the schema's comment has it (axis -3); Apple's
    converter does not use the layer below rank 4, and softmax, with the same comment, is an exception.
    Source: ``ConcatLayerParams``.
    """
    return of_sequences(ops.Concat(-5)) if node.params.sequenceConcat else of_images(ops.Concat(-3))


@layer("split", outputs=(2, None))
def split(node: Node) -> ops.Op:
    """y_i = the i-th of ``nOutputs`` equal parts of x along its channels.

    Input: x [*, C, H, W], rank 3 or more. Outputs: nOutputs times [*, C / nOutputs, H, W].
    Errors: another number of outputs; channels that cannot be divided evenly; an input of lower rank.
    Chosen: blobs of rank 3 are [C, H, W] in N-D networks too, see `concat`.
    Source: ``SplitLayerParams``.
    """
    parts = int(node.params.nOutputs)
    node.require(parts == len(node.outputs), f"nOutputs is {parts}, but there are {len(node.outputs)} outputs")
    return of_images(ops.Split(-3, parts))


@layer("sequenceRepeat")
def sequence_repeat(node: Node) -> ops.Op:
    """[Seq, B, C, H, W] -> [n * Seq, B, C, H, W]: the whole sequence n = ``nRepetitions`` times in a row; 0 is 1.

    Errors: an input of other rank.
    Source: ``SequenceRepeatLayerParams``.
    """
    return of_sequences(ops.Tile((int(node.params.nRepetitions) or 1, 1, 1, 1, 1)))


@layer("slice")
def slice_(node: Node) -> ops.Op:
    """y = x[startIndex:endIndex:stride] along one axis.

    Input: x, for ``axis`` CHANNEL_AXIS (-3), HEIGHT_AXIS (-2) or WIDTH_AXIS (-1) of rank 3, 2 or 1 at least.
    Output: a blob of the same rank.
    Fields: ``startIndex`` and ``endIndex`` as in Python: the end is exclusive, negative numbers count from the end,
    and an index beyond the axis is cut to it. ``stride``: 1 or more, without default.
    Errors: a stride of 0; an unknown axis; an input of lower rank; nothing left.
    Chosen: ``endIndex`` 0, which cannot be told from an unset one, is the end of the axis (as in Apple's shape rule);
    a negative index before the axis is cut to its beginning, as in Python.
    Source: ``SliceLayerParams``.
    """
    params = node.params
    axis = _SLICE_AXES[enum_name(node, "axis")]
    node.require(params.stride >= 1, "stride is 0, expected 1 or more")
    end = int(params.endIndex)
    cut = ops.Cut(int(params.startIndex), end, int(params.stride), to_last=end == 0)
    return of_rank(_Slice(axis, cut), -axis, MAX_RANK, f"of rank {-axis} or more")


@dataclass(frozen=True)
class _Slice(ByType):
    axis: int
    cut: ops.Cut

    def choose(self, rank: int) -> ops.Op:
        return ops.Slice((*(WHOLE,) * (rank + self.axis), self.cut, *(WHOLE,) * (-1 - self.axis)))
