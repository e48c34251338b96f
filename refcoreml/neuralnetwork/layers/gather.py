"""Layers that take elements from, or put them at, given places.

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

from refcoreml import ops
from refcoreml.neuralnetwork.layers._checks import enum_name
from refcoreml.neuralnetwork.layers.linear import embedding_of
from refcoreml.neuralnetwork.registry import MAX_RANK, Node, Restricted, Vector, layer
from refcoreml.ops.base import axis_in, require
from refcoreml.types import Shape


def indexing_of(node: Node) -> ops.Indexing:
    """Return what indices mean to this layer; see the head of this file."""
    return ops.Indexing(strict=node.strict)


def _counting(node: Node) -> ops.Indexing:
    """Return what a number of elements means, or a place that cannot be counted from the end."""
    return ops.Indexing(wrap=False, strict=node.strict)


# ---- Gathering ----


@layer("gather", inputs=2)
def gather(node: Node) -> ops.Op:
    """y[a..., i..., b...] = x[a..., indices[i...], b...], as numpy.take.

    Inputs: x [*A, L, *B] with L at ``axis``; indices [*I]. Output: [*A, *I, *B].
    Parameters: ``axis``, -rank to rank - 1.
    Errors: axis out of range; a result of rank above 5; indices out of range (see the head of this file).
    Source: ``GatherLayerParams``.
    """
    return Vector(ops.Gather(node.params.axis, indexing_of(node)))


@layer("gatherND", inputs=2)
def gather_nd(node: Node) -> ops.Op:
    """y[i..., b...] = x[indices[i..., 0], ..., indices[i..., K-1], b...].

    Inputs: x [L_0, ..., L_K-1, *B]; indices [*I, K]. Output: [*I, *B], but [1] where that has rank 0.
    Errors: K above the rank of x; a result of rank above 5; indices out of range (see the head of this file).
    Source: ``GatherNDLayerParams`` (no fields).
    """
    return Vector(ops.GatherND(indexing_of(node)))


@layer("gatherAlongAxis", inputs=2)
def gather_along_axis(node: Node) -> ops.Op:
    """y[a..., i, b...] = x[a..., indices[a..., i, b...], b...], as numpy.take_along_axis.

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
    Apple's tests have them, though its validator requires rank 1 where a model states ranks. MAX and MIN with NaN
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


@layer("sliceStatic", makes_scalars=True)
def slice_static(node: Node) -> ops.Op:
    """y = x[begin:end:stride] on every axis, as NumPy.

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
    settings = [list(getattr(node.params, field)) for field in _SLICE_FIELDS]
    rank = len(settings[0])
    settings[-1] = settings[-1] or [False] * rank

    def check(x: Shape) -> None:
        for field, entries in zip(_SLICE_FIELDS, settings, strict=True):
            require(len(entries) == len(x), f"{field} has {len(entries)} entries, expected {len(x)}, the rank of {x}")

    cuts = tuple(ops.Cut(*entries) for entries in zip(*settings, strict=False))
    return Restricted(ops.Slice(cuts, node.strict), check)


@layer("sliceDynamic", inputs=(2, 7), makes_scalars=True)
def slice_dynamic(node: Node) -> ops.Op:
    """y = x[begin:end:stride] on every axis, with any of these given as inputs.

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
    return ops.SliceDynamic(
        tuple(params.endIds),
        tuple(params.strides),
        tuple(params.beginMasks),
        tuple(params.endMasks),
        tuple(params.squeezeMasks),
        node.strict,
    )


@layer("sliceBySize", inputs=2)
def slice_by_size(node: Node) -> ops.Op:
    """y = x[begin : begin + size] along one axis.

    Inputs: x [*A, L, *B] with L at ``axis``; begin, one element, 0 to L - size. Output: [*A, size, *B].
    Parameters: ``size``, 1 to L; ``axis``, -rank to rank - 1.
    Errors: size or axis out of range; begin of more than one element; begin out of range, which a node that is not
    strict moves to the nearest begin in range.
    Source: ``SliceBySizeLayerParams``.
    Chosen: a fraction of begin is cut off; a negative begin is out of range (the specification has no other reading).
    """
    return ops.SliceBySize(int(node.params.axis), int(node.params.size), _counting(node))


@layer("slidingWindows")
def sliding_windows(node: Node) -> ops.Op:
    """y[a..., m, w, b...] = x[a..., m * step + w, b...].

    Input: x [*A, L, *B] with L at ``axis``, rank 1 to 4. Output: [*A, M, windowSize, *B],
    M = floor((L - windowSize) / step) + 1.
    Parameters: ``axis``, -rank to rank - 1; ``windowSize``, 1 to L; ``step``, 1 or more.
    Errors: any of these out of range; an input of rank 5, whose result would have rank 6.
    Source: ``SlidingWindowsLayerParams``.
    """
    params = node.params
    step = int(params.step)
    node.require(step >= 1, f"step is {step}, expected 1 or more")
    size = int(params.windowSize)
    node.require(size >= 1, f"windowSize is {size}, expected 1 or more")
    return ops.SlidingWindows(int(params.axis), size, step)


@layer("reverse")
def reverse(node: Node) -> ops.Op:
    """y = x with the order along some axes reversed, as numpy.flip.

    Input: x, any rank. Output: the shape of x.
    Parameters: ``reverseDim``, a flag per axis.
    Errors: flags of another number than the rank.
    Source: ``ReverseLayerParams``.
    """
    flags = list(node.params.reverseDim)

    def check(x: Shape) -> None:
        require(len(flags) == len(x), f"reverseDim has {len(flags)} entries, expected {len(x)} for {x}")

    return Restricted(ops.Reverse(tuple(axis for axis, flag in enumerate(flags) if flag)), check)


@layer("reverseSeq", inputs=2)
def reverse_sequences(node: Node) -> ops.Op:
    """y = x, but for each b the first n = lengths[b] entries reversed: y[b, t] = x[b, n-1-t] for t < n.

    Inputs: x [*A, B, *C, T, *D] with B at ``batchAxis`` and T at ``sequenceAxis``; lengths [B], 0 to T. Output: the
    shape of x.
    Parameters: ``batchAxis``, ``sequenceAxis``, -rank to rank - 1, the first one left of the second.
    Errors: axes out of range or in another order; lengths of another shape; lengths out of range (as indices in the
    head of this file, but negative ones are out of range).
    Source: ``ReverseSeqLayerParams``.
    """
    params = node.params

    def check(x: Shape, lengths: Shape) -> None:
        rank = len(x)
        batch = axis_in(params.batchAxis, rank, "batchAxis")
        sequence = axis_in(params.sequenceAxis, rank, "sequenceAxis")
        require(batch < sequence, f"batchAxis {batch} is not left of sequenceAxis {sequence} (both of 0 to {rank - 1})")

    return Restricted(ops.ReverseSequence(int(params.batchAxis), int(params.sequenceAxis), _counting(node)), check)
