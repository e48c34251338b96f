"""Layers that take elements from, or put them at, given places: adapters over `refcoreml.kernels.gather`.

Indices arrive as floats. What every layer of this family does with them:

- A fraction is cut off, toward zero. The specification is silent; it is what a conversion to an integer does in C,
  and what coremltools' converter writes for a cast.
- -L..-1 count from the end of an axis of length L. Apple's tests show it for gather, scatter and their alongAxis forms;
  for gatherND and scatterND it is assumed.
- Others, and NaN, are undefined in the specification. A strict node raises `InputError`, another takes the nearest
  index in range, and 0 for NaN.
- An axis longer than 2^24 cannot be addressed exactly in float32, and is an `InvalidModelError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np

from refcoreml import ops
from refcoreml.kernels import gather as kernels
from refcoreml.kernels._types import Array, Shape
from refcoreml.kernels.gather import Positions
from refcoreml.neuralnetwork.layers._checks import axis_of, input_error, integers_of, numbers_of, result_shape
from refcoreml.neuralnetwork.layers.elementwise import enum_name
from refcoreml.neuralnetwork.layers.linear import embedding_of
from refcoreml.neuralnetwork.registry import MAX_RANK, Node, Op, Restricted, Vector, layer
from refcoreml.ops.base import require

# ---- What all layers with indices need ----


def check_addressable(node: Node, *lengths: int) -> None:
    """Refuses axes so long that floats cannot tell all of their places apart."""
    longest = kernels.longest_axis(node.dtype)
    for length in lengths:
        node.require(
            length <= longest,
            f"has indices along an axis of {length} elements, but {np.dtype(node.dtype)} names only {longest} exactly",
            "Use a wider arithmetic, or split the axis",
        )


def places_of(
    node: Node, indices: Array, lengths: int | Sequence[int], *, wrap: bool = True, which: int = 1
) -> Positions:
    """The places that indices name along axes of the given lengths; see the head of this file.

    Args:
        node: the layer.
        indices: the blob, [*I], or [*I, K] for several lengths.
        lengths: of the axis, or of K axes.
        wrap: whether negative indices count from the end.
        which: number of the input that holds the indices.
    """
    limits = lengths if isinstance(lengths, int) else np.array(lengths, np.intp)
    wrong = kernels.out_of_range(indices, limits, wrap=wrap)
    if node.strict and wrong.any():
        place = tuple(int(i) for i in np.unravel_index(wrong.argmax(), wrong.shape))
        length = lengths if isinstance(lengths, int) else lengths[place[-1]]
        input_error(
            node,
            f"input {node.inputs[which]!r} holds {indices[place]:g} at {place}, "
            f"expected an index in [{-length if wrap else 0}, {length - 1}]",
            f"{int(wrong.sum())} of its {indices.size} indices are out of range; Core ML's result would be undefined",
        )
    return kernels.positions(indices, limits, wrap=wrap)


def indexing_of(node: Node) -> ops.Indexing:
    """What indices mean to this layer; see the head of this file."""
    return ops.Indexing(strict=node.strict)


def flags_of(node: Node, which: int, values: Array, count: int) -> list[bool]:
    """As `numbers_of`, true where not 0."""
    return [number != 0 for number in numbers_of(node, which, values, count)]


# ---- Gathering ----


@layer("gather", inputs=2)
def gather(node: Node) -> ops.Op:
    """Y[a..., i..., b...] = x[a..., indices[i...], b...], as numpy.take.

    Inputs: x [*A, L, *B] with L at ``axis``; indices [*I]. Output: [*A, *I, *B].
    Parameters: ``axis``, -rank to rank - 1.
    Errors: axis out of range; a result of rank above 5; indices out of range (see the head of this file).
    Source: ``GatherLayerParams``.
    """
    return Vector(ops.Gather(node.params.axis, indexing_of(node)))


@layer("gatherND", inputs=2)
def gather_nd(node: Node) -> ops.Op:
    """Y[i..., b...] = x[indices[i..., 0], ..., indices[i..., K-1], b...].

    Inputs: x [L_0, ..., L_K-1, *B]; indices [*I, K]. Output: [*I, *B], but [1] where that has rank 0.
    Errors: K above the rank of x; a result of rank above 5; indices out of range (see the head of this file).
    Source: ``GatherNDLayerParams`` (no fields).
    """
    return Vector(ops.GatherND(indexing_of(node)))


@layer("gatherAlongAxis", inputs=2)
def gather_along_axis(node: Node) -> ops.Op:
    """Y[a..., i, b...] = x[a..., indices[a..., i, b...], b...], as numpy.take_along_axis.

    Inputs: x [*A, L, *B] with L at ``axis``; indices [*A, I, *B]. Output: [*A, I, *B].
    Parameters: ``axis``, -rank to rank - 1.
    Errors: axis out of range; indices whose shape differs elsewhere; indices out of range (see the head of this file).
    Source: ``GatherAlongAxisLayerParams``.
    """
    return ops.GatherAlongAxis(node.params.axis, indexing_of(node))


# ---- Scattering ----


def _mode(node: Node) -> str:
    return enum_name(node, "mode").removeprefix("SCATTER_").lower()


@layer("scatter", inputs=3)
def scatter(node: Node) -> ops.Op:
    """y = x, then y[a..., indices[i...], b...] becomes it (mode) updates[a..., i..., b...], for one i... after another.

    Inputs: x [*A, L, *B] with L at ``axis``; indices [*I]; updates [*A, *I, *B]. Output: the shape of x.
    Parameters: ``axis``, -rank to rank - 1; ``mode``: UPDATE (the update itself), ADD, SUB, MUL, DIV, MAX or MIN of
    the value before and the update.
    Errors: axis out of range; updates of another shape; indices out of range (see the head of this file).
    Source: ``ScatterLayerParams``, ``ScatterMode``.
    Chosen: repeated indices apply in row-major order, so that the last one wins for UPDATE. Indices of any rank, as
    Apple's tests have them, though its validator asks for rank 1 where a model states ranks. MAX and MIN with NaN
    give NaN.
    """
    return ops.Scatter(_mode(node), indexing_of(node), axis=node.params.axis)


@layer("scatterND", inputs=3)
def scatter_nd(node: Node) -> ops.Op:
    """y = x, then y[indices[i..., 0], ..., indices[i..., K-1], b...] becomes it (mode) updates[i..., b...].

    Inputs: x [L_0, ..., L_K-1, *B]; indices [*I, K]; updates [*I, *B], but [1] where that has rank 0. Output: the
    shape of x.
    Parameters: ``mode``, as in `scatter`.
    Errors: K above the rank of x; updates of another shape; indices out of range (see the head of this file).
    Source: ``ScatterNDLayerParams``, ``ScatterMode``.
    Chosen: repeated indices as in `scatter`.
    """
    return ops.ScatterND(_mode(node), indexing_of(node))


@layer("scatterAlongAxis", inputs=3)
def scatter_along_axis(node: Node) -> ops.Op:
    """y = x, then y[a..., indices[a..., i, b...], b...] becomes it (mode) updates[a..., i, b...].

    Inputs: x [*A, L, *B] with L at ``axis``; indices and updates [*A, I, *B]. Output: the shape of x.
    Parameters: ``axis``, -rank to rank - 1; ``mode``, as in `scatter`.
    Errors: axis out of range; indices whose shape differs elsewhere; updates of another shape than indices; indices
    out of range (see the head of this file).
    Source: ``ScatterAlongAxisLayerParams``, ``ScatterMode``.
    Chosen: repeated indices as in `scatter`.
    """
    return ops.ScatterAlongAxis(_mode(node), indexing_of(node), axis=node.params.axis)


@layer("embeddingND")
def embedding_nd(node: Node) -> ops.Op:
    """y[i..., :] = weights[:, x[i..., 0]] + bias.

    Input: x [*I, 1], rank 2 to 5, indices 0 to vocabSize - 1. Output: [*I, embeddingSize].
    Parameters: ``vocabSize``; ``embeddingSize``; ``weights`` [embeddingSize, vocabSize]; ``bias`` [embeddingSize] if
    ``hasBias``.
    Errors: sizes of 0; weights of another size; an input of another shape; indices out of range (see the head of this
    file, but negative ones are out of range).
    Source: ``EmbeddingNDLayerParams``.
    """
    params = node.params
    vocabulary, size = int(params.vocabSize), int(params.embeddingSize)
    for field, value in ("vocabSize", vocabulary), ("embeddingSize", size):
        node.require(value >= 1, f"{field} is {value}, expected 1 or more")
    return Restricted(embedding_of(node, vocabulary, size, axis=-1), _check_embedded)


def _check_embedded(x: Shape) -> None:
    require(2 <= len(x) <= MAX_RANK and x[-1] == 1, f"takes blobs [..., 1] of rank 2 to 5, got {x}")


# ---- Slices ----


_SLICE_FIELDS = ("beginIds", "endIds", "strides", "beginMasks", "endMasks", "squeezeMasks")


def _slices(
    node: Node, x: Shape, settings: Sequence[Sequence[Any]], fail: Callable[[str], NoReturn]
) -> list[slice | int]:
    """A slice per axis of x, or an index for those that are squeezed.

    Args:
        node: the layer.
        x: the shape.
        settings: an entry per axis for each of `_SLICE_FIELDS`.
        fail: called for settings that are out of range or leave nothing.
    """
    strict = node.strict
    result: list[slice | int] = []
    for axis, (length, begin, end, stride, from_first, to_last, squeeze) in enumerate(zip(x, *settings, strict=False)):
        here = f"axis {axis} of {length} elements"
        if squeeze:
            if strict and not -length <= begin < length:
                fail(f"begin is {begin} on {here}, which is squeezed, expected {-length} to {length - 1}")
            result.append(max(-length, min(begin, length - 1)))
            continue
        if stride == 0:
            fail(f"the stride is 0 on {here}")
        if strict and stride < 0 and end < -length and not to_last:
            fail(f"end is {end} on {here}, where Core ML does not run down to index 0; use an end mask")
        taken = slice(None if from_first else begin, None if to_last else end, stride)
        if not len(range(*taken.indices(length))):
            fail(f"the slice {begin}:{end}:{stride} of {here} is empty (masks {from_first}, {to_last})")
        result.append(taken)
    return result


def _sliced(x: Shape, slices: Sequence[slice | int]) -> Shape:
    pairs = zip(slices, x, strict=True)
    return tuple(len(range(*s.indices(length))) for s, length in pairs if isinstance(s, slice))


@layer("sliceStatic")
def slice_static(node: Node) -> Op:
    """Y = x[begin:end:stride] on every axis, as NumPy.

    Input: x, any rank. Output: per axis ceil((end - begin) / stride) elements; squeezed axes vanish, so that the rank
    may be 0.
    Parameters: one entry per axis. ``beginIds``, ``endIds`` (exclusive), negative ones count from the end, larger
    ones than the axis are cut to it; ``strides``, not 0; ``beginMasks``: start where the direction of the stride
    starts, whatever beginIds says; ``endMasks``: go on to the last element; ``squeezeMasks`` (may be empty): only
    index beginIds, whatever the other settings of the axis say.
    Errors: lists of another length than the rank; stride 0; a slice without elements. If strict: a squeezed axis with
    an index out of range; a negative stride with an end below -length, which Core ML does not read as NumPy does.
    Source: ``SliceStaticLayerParams``.
    Chosen: an output of rank 0 has no axes for ``expandDims`` and ``stack``, as Apple's tests expect of the former; to
    other layers and as an output of the model it is [1].
    """
    params = node.params

    def slices(x: Shape) -> list[slice | int]:
        settings = [list(getattr(params, field)) for field in _SLICE_FIELDS]
        settings[-1] = settings[-1] or [False] * len(x)
        for field, entries in zip(_SLICE_FIELDS, settings, strict=True):
            node.require(
                len(entries) == len(x),
                f"{field} has {len(entries)} entries, expected {len(x)}, the rank of {node.inputs[0]!r} {x}",
            )
        return _slices(node, x, settings, node.invalid)

    return Op(lambda x: kernels.slice_axes(x, slices(x.shape)), lambda x: _sliced(x, slices(x)))


@layer("sliceDynamic", inputs=(2, 7))
def slice_dynamic(node: Node) -> Op:
    """Y = x[begin:end:stride] on every axis, with any of these given as inputs.

    Inputs: x, any rank r; begin [r]; then, as far as listed, end, strides, begin masks, end masks, squeeze masks,
    each [r], masks being true where not 0. Output: as of ``sliceStatic``.
    Parameters: ``endIds``, ``strides``, ``beginMasks``, ``endMasks``, ``squeezeMasks`` in place of inputs that are not
    listed.
    Errors: as of ``sliceStatic``, `InputError` where inputs cause them; an input that has not r elements, or NaN or
    infinity among them.
    Source: ``SliceDynamicLayerParams``.
    Chosen: fractions are cut off (as in the head of this file). Parameters may have more entries than r, which are
    ignored (coremltools writes 5), and masks may be empty for all false.
    """
    params = node.params

    def given(field: str, rank: int) -> Sequence[int]:
        entries: Sequence[int] = getattr(params, field)
        if not entries and field.endswith("Masks"):
            return [0] * rank
        node.require(
            len(entries) >= rank, f"{field} has {len(entries)} entries, expected {rank}, the rank of {node.inputs[0]!r}"
        )
        return entries

    def run(x: Array, *inputs: Array) -> Array:
        check_addressable(node, *x.shape)
        settings: list[Sequence[Any]] = [
            (flags_of if field.endswith("Masks") else integers_of)(node, which, blob, x.ndim)
            for which, (field, blob) in enumerate(zip(_SLICE_FIELDS, inputs, strict=False), 1)
        ]
        settings += [given(field, x.ndim) for field in _SLICE_FIELDS[len(inputs) :]]
        return kernels.slice_axes(x, _slices(node, x.shape, settings, partial(input_error, node)))

    return Op(run, None)


@layer("sliceBySize", inputs=2)
def slice_by_size(node: Node) -> Op:
    """Y = x[begin : begin + size] along one axis.

    Inputs: x [*A, L, *B] with L at ``axis``; begin, one element, 0 to L - size. Output: [*A, size, *B].
    Parameters: ``size``, 1 to L; ``axis``, -rank to rank - 1.
    Errors: size or axis out of range; begin of more than one element; begin out of range, which a node that is not
    strict moves to the nearest begin in range.
    Source: ``SliceBySizeLayerParams``.
    Chosen: a fraction of begin is cut off; a negative begin is out of range (the specification has no other reading).
    """
    size = int(node.params.size)

    def shape(x: Shape, begin: Shape) -> Shape:
        axis = axis_of(node, len(x))
        check_addressable(node, x[axis])
        node.require(1 <= size <= x[axis], f"size is {size}, expected 1 to {x[axis]}, the length of axis {axis}")
        node.require(math.prod(begin) == 1, f"begin {node.inputs[1]!r} has the shape {begin}, expected one element")
        return (*x[:axis], size, *x[axis + 1 :])

    def run(x: Array, begin: Array) -> Array:
        axis = axis_of(node, x.ndim)
        start = int(places_of(node, begin, x.shape[axis] - size + 1, wrap=False).reshape(()))
        return kernels.slice_axes(x, [slice(None)] * axis + [slice(start, start + size)])

    return Op(run, shape)


# ---- Windows, reversal ----


@layer("slidingWindows")
def sliding_windows(node: Node) -> Op:
    """Y[a..., m, w, b...] = x[a..., m * step + w, b...].

    Input: x [*A, L, *B] with L at ``axis``, rank 1 to 4. Output: [*A, M, windowSize, *B],
    M = floor((L - windowSize) / step) + 1.
    Parameters: ``axis``, -rank to rank - 1; ``windowSize``, 1 to L; ``step``, 1 or more.
    Errors: any of these out of range; an input of rank 5, whose result would have rank 6.
    Source: ``SlidingWindowsLayerParams``.
    """
    size, step = int(node.params.windowSize), int(node.params.step)
    node.require(step >= 1, f"step is {step}, expected 1 or more")

    def shape(x: Shape) -> Shape:
        axis = axis_of(node, len(x))
        node.require(1 <= size <= x[axis], f"windowSize is {size}, expected 1 to {x[axis]}, the length of axis {axis}")
        return result_shape(node, (*x[:axis], (x[axis] - size) // step + 1, size, *x[axis + 1 :]))

    return Op(lambda x: kernels.sliding_windows(x, axis_of(node, x.ndim), size, step), shape)


@layer("reverse")
def reverse(node: Node) -> Op:
    """Y = x with the order along some axes reversed, as numpy.flip.

    Input: x, any rank. Output: the shape of x.
    Parameters: ``reverseDim``, a flag per axis.
    Errors: flags of another number than the rank.
    Source: ``ReverseLayerParams``.
    """
    flags = list(node.params.reverseDim)

    def shape(x: Shape) -> Shape:
        node.require(len(flags) == len(x), f"reverseDim has {len(flags)} entries, expected {len(x)} for {x}")
        return x

    return Op(lambda x: kernels.slice_axes(x, [slice(None, None, -1 if flag else 1) for flag in flags]), shape)


@layer("reverseSeq", inputs=2)
def reverse_sequences(node: Node) -> Op:
    """Y = x, but for each b the first n = lengths[b] entries reversed: y[b, t] = x[b, n-1-t] for t < n.

    Inputs: x [*A, B, *C, T, *D] with B at ``batchAxis`` and T at ``sequenceAxis``; lengths [B], 0 to T. Output: the
    shape of x.
    Parameters: ``batchAxis``, ``sequenceAxis``, -rank to rank - 1, the first one left of the second.
    Errors: axes out of range or in another order; lengths of another shape; lengths out of range (as indices in the
    head of this file, but negative ones are out of range).
    Source: ``ReverseSeqLayerParams``.
    """

    def axes(rank: int) -> tuple[int, int]:
        batch, sequence = axis_of(node, rank, "batchAxis"), axis_of(node, rank, "sequenceAxis")
        node.require(
            batch < sequence, f"batchAxis {batch} is not left of sequenceAxis {sequence} (both of 0 to {rank - 1})"
        )
        return batch, sequence

    def shape(x: Shape, lengths: Shape) -> Shape:
        batch, sequence = axes(len(x))
        check_addressable(node, x[sequence] + 1)
        node.require(
            lengths == x[batch : batch + 1],
            f"lengths {node.inputs[1]!r} have the shape {lengths}, expected {x[batch : batch + 1]} for {x}",
        )
        return x

    def run(x: Array, lengths: Array) -> Array:
        batch, sequence = axes(x.ndim)
        counts = places_of(node, lengths, x.shape[sequence] + 1, wrap=False)
        return kernels.reverse_sequences(x, counts, batch, sequence)

    return Op(run, shape, fresh=True)
