"""Slices and windows of a tensor, and its order turned around."""

from __future__ import annotations

from collections.abc import Sequence

from refcoreml import ops
from refcoreml.mil.domains import NUMBERS, SMALL, VALUES, expect
from refcoreml.mil.node import Call, Node
from refcoreml.mil.registry import operation
from refcoreml.ops.slices import Cut

#: By operation set the types of elements of what is sliced.
_VALUES = {"CoreML5": VALUES, "CoreML7": (*VALUES, *SMALL), "CoreML8": (*VALUES, *SMALL)}
#: And of the numbers that say what is taken.
_SETTINGS = {since: ("int32",) if since == "CoreML5" else ("int32", "int16", "int8") for since in _VALUES}


def _expect(node: Node, *settings: str) -> None:
    """Refuse types that the operation does not take; check those of settings that are given."""
    expect(node, _VALUES[node.entry.since], "x")
    given = [name for name in settings if node.has(name)]
    if given:
        expect(node, _SETTINGS[node.entry.since], *given)


# ---- Slices ----


def _slice(node: Node) -> tuple[ops.Slice | ops.SliceDynamic, Sequence[str]]:
    """Return a slice, see `slice_by_index`, with the names of those of its settings that a run computes."""
    _expect(node, "begin", "end", "stride")
    rank = node.rank()
    stride = node.integers("stride", (1,) * rank, count=rank)
    names = ("begin_mask", "end_mask", "squeeze_mask")
    first, last, squeeze = (node.flags(name, (False,) * rank, count=rank) for name in names)
    if node.is_constant("begin") and node.is_constant("end"):
        begin, end = (node.integers(name, count=rank) for name in ("begin", "end"))
        cuts = zip(begin, end, stride, first, last, squeeze, strict=True)
        return ops.Slice(tuple(Cut(*cut) for cut in cuts), node.strict), ()
    computed = ("begin",) if node.is_constant("end") else ("begin", "end")
    end = () if "end" in computed else node.integers("end", count=rank)
    return ops.SliceDynamic(end, stride, first, last, squeeze, node.strict), computed


@operation("slice_by_index", since="CoreML7")
@operation("slice_by_index")
def slice_by_index(node: Node) -> Call:
    """y = x[begin:end:stride] on every axis, as in Python.

    x of rank r: fp16, fp32, int32 or bool; begin, end and stride: int32. y in the type of x.

    ``begin``, ``end``: [r], computed or constant; ``stride``: [r], by default all 1; ``begin_mask``, ``end_mask``,
    ``squeeze_mask``: [r], by default all false.

    Negative begins and ends count from the end; beyond the axis they are cut to it. Where the begin mask is true, the
    slice starts at the first element that it can, whatever begin is, which is the last one for a negative stride; where
    the end mask is true, it goes on to the last. A negative stride reaches index 0 by the end mask only. Where the
    squeeze mask is true, only the index ``begin`` is taken, whatever end and stride are, and the axis vanishes.

    An empty slice is an error, and in a strict program so are a squeezed index out of range (else the nearest is
    taken), and an end before the axis that a negative stride would pass (else index 0 is taken).

    Open: an axis of length 1, which coremltools' inference of shapes always keeps. Chosen: as all others.

    Since CoreML7 x may be int8, uint8, int16 or uint16 as well, the others int8 or int16.
    """
    op, settings = _slice(node)
    return node.call(op, "x", *settings)


@operation("slice_update", since="CoreML8")
def slice_update(node: Node) -> Call:
    """y = x, but y[begin:end:stride] = update, with parameters as of `slice_by_index`.

    x: fp16, fp32, bool, int32, or an integer of 8 or 16 bits; update: of the type of x, in the shape that the slice
    takes, squeezed axes left out; begin, end and stride: int32, int16 or int8. y as x.

    An update of rank 0 is refused, as coremltools does, since devices have none.
    """
    expect(node, _VALUES[node.entry.since], "x", "update")
    node.require(node.rank("update") > 0, "the update has rank 0, expected 1 or more", "Do not squeeze every axis")
    op, settings = _slice(node)
    return node.call(ops.SliceUpdate(op), "x", "update", *settings)


@operation("slice_by_size", since="CoreML7")
@operation("slice_by_size")
def slice_by_size(node: Node) -> Call:
    """y[i...] = x[begin + i...], ``size`` elements on every axis, -1 for all that are left.

    x of rank r: fp16, fp32, int32 or bool; begin, size: int32 [r], computed or constant; begin + size lies within the
    axis. y in the type of x.

    Open: a negative begin. Chosen: it counts from the end, as where coremltools computes with constants.

    Since CoreML7 x may be int8, uint8, int16 or uint16 as well, begin and size int8 or int16.
    """
    _expect(node, "begin", "size")
    rank = node.rank()
    size = node.integers("size", count=rank) if node.is_constant("size") else None
    if size is not None and node.is_constant("begin"):
        return node.call(ops.SliceBySize(None, size, from_end=True, begin=node.integers("begin", count=rank)), "x")
    settings = ("begin",) if size is not None else ("begin", "size")
    return node.call(ops.SliceBySize(None, size, from_end=True), "x", *settings)


# ---- Windows, reversal ----


@operation("sliding_windows", "x", since="CoreML7")
@operation("sliding_windows", "x")
def sliding_windows(node: Node) -> ops.Op:
    """y[a..., m, w, b...] = x[a..., m * stride + w, b...].

    x [*A, L, *B] with L at ``axis``: fp16, fp32 or int32. y [*A, M, size, *B] in the type of x, with
    M = floor((L - size) / stride) + 1; the documentation has a formula without the parentheses.

    Parameters: ``axis``; ``size``, 1 to L; ``stride`` (default 1), 1 or more.

    Since CoreML7 x may be bool, int8, uint8, int16 or uint16 as well.
    """
    expect(node, NUMBERS if node.entry.since == "CoreML5" else _VALUES["CoreML7"], "x")
    stride = node.integer("stride", 1)
    node.require(stride >= 1, f"the stride is {stride}, expected 1 or more")
    return ops.SlidingWindows(node.integer("axis"), node.integer("size"), stride)


@operation("reverse", "x", since="CoreML7")
@operation("reverse", "x")
def reverse(node: Node) -> ops.Op:
    """y[..., i, ...] = x[..., L - 1 - i, ...] along each of the ``axes``, by default all.

    x: fp16, fp32, int32 or bool, since CoreML7 int8, uint8, int16 and uint16 as well. y as x.
    """
    _expect(node)
    return ops.Reverse(node.integers("axes", None))


@operation("reverse_sequence", "x", "lengths", since="CoreML7")
@operation("reverse_sequence", "x", "lengths")
def reverse_sequence(node: Node) -> ops.Op:
    """y[b, t] = x[b, lengths[b] - 1 - t] for t < lengths[b], else x[b, t].

    x: fp16, fp32, int32 or bool, with B at ``batch_axis`` and T at ``seq_axis`` (both by default 0, so that at least
    one must be given); lengths: int32 [B], 0 to T, computed or constant. y as x.

    Since CoreML7 x may be int8, uint8, int16 or uint16 as well, lengths int8 or int16.
    """
    _expect(node, "lengths")
    return ops.ReverseSequence(node.integer("batch_axis", 0), node.integer("seq_axis", 0))
