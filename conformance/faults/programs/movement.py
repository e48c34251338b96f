"""Faults in what moves numbers: gather and scatter, shapes, slices, borders, order, lists."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from conformance.faults.programs.parts import (
    changing,
    default,
    exchanged,
    forgotten,
    turned,
    with_fields,
)
from conformance.faults.programs.ways import Array, kernel, method, operation, parameters, result, version
from refcoreml.kernels import gather, nms, shape
from refcoreml.mil import values as lists
from refcoreml.mil.node import Node
from refcoreml.mil.operations import lists as list_adapters
from refcoreml.mil.operations import shape as shape_adapters
from refcoreml.ops.gather import Indexing

# ---- Gather and scatter ----

gathers = "gather gather_along_axis gather_nd"
scatters = "scatter scatter_along_axis scatter_nd"


def _inner(node: Node, op: Any, **fields: Any) -> Any:
    """Return an operation with other attributes, also where its numbers are a constant's."""
    return replace(op, op=replace(op.op, **fields)) if hasattr(op, "table") else replace(op, **fields)


parameters("gather: the axis is ignored", "gather gather_along_axis", forgotten("axis"))
parameters("gather: the last axis by default", "gather gather_along_axis", default(axis=-1))
parameters("gather: batch_dims is ignored", "gather gather_nd", forgotten("batch_dims"))
operation(
    "gather: negative indices are moved to 0",
    gathers,
    lambda node, op: _inner(node, op, indexing=Indexing(wrap=False, strict=False)),
)
operation(
    "gather: indices beyond the end are moved to it, where they are errors",
    gathers,
    lambda node, op: _inner(node, op, indexing=Indexing(strict=False)),
)
kernel(
    "gather: the axis of indices lies at the end of the result",
    "gather",
    gather.gather,
    lambda f: (
        lambda x, indices, axis, *more: (
            np.moveaxis(f(x, indices, axis, *more), axis, -1)
            if np.ndim(indices) == 1 and not any(more)
            else f(x, indices, axis, *more)
        )
    ),
)
for kind in gathers.split():
    version(f"{kind}: negative indices count from the end in CoreML7, as before", kind, "CoreML7", "CoreML6")
for kind in scatters.split():
    version(f"{kind}: negative indices are out of range in CoreML5, as later", kind, "CoreML5", "CoreML7")
version("gather: batch_dims is unknown in CoreML6, as before", "gather", "CoreML6", "CoreML5")
result(
    "gather_nd: indices in reverse order",
    "gather_nd scatter_nd",
    lambda node, run, *xs: run(*_reversed_places(node, xs)),
)


def _reversed_places(node: Node, xs: tuple[Array, ...]) -> list[Array]:
    """Turn the last axis of indices around."""
    place = next(k for k, x in enumerate(xs) if x.dtype.kind in "iu" and (k or len(xs) == 1))
    return [x[..., ::-1] if k == place else x for k, x in enumerate(xs)]


parameters("scatter: update by default, as the documentation has it", scatters, default(mode="update"))
parameters("scatter: the mode is always add", scatters, forgotten("mode"))
parameters(
    "scatter: sub adds",
    scatters,
    lambda node: {"mode": "add"} if node.text("mode", "add") == "sub" else {},
)
parameters("scatter: max is min", scatters, lambda node: {"mode": "min"} if node.text("mode", "add") == "max" else {})
parameters("scatter: the axis is ignored", "scatter scatter_along_axis", forgotten("axis"))
result(
    "scatter: of updates of one place the mean is added",
    scatters,
    lambda node, run, data, indices, updates: (
        data + _mean(run, data, indices, updates) if node.text("mode", "add") == "add" else run(data, indices, updates)
    ),
)


def _mean(run: Any, data: Array, indices: Array, updates: Array) -> Array:
    """The mean of the updates of each place."""
    counts = run(np.zeros_like(data), indices, np.ones_like(updates))
    whole = run(np.zeros_like(data), indices, updates)
    return np.where(counts > 1, whole / np.maximum(counts, 1), whole).astype(data.dtype)


result(
    "scatter: div multiplies",
    scatters,
    lambda node, run, d, i, u: run(d, i, u if node.text("mode", "add") != "div" or u.dtype.kind != "f" else 1 / u),
)
result("scatter: starts from zeros", scatters, lambda node, run, d, i, u: run(d * 0, i, u))

# ---- Shapes ----

version("reshape: 0 counts places from the first in CoreML7, as before", "reshape", "CoreML7", "CoreML6")
operation("reshape: 0 is the length 0", "reshape", with_fields(zero_keeps=False))
result(
    "reshape: numbers in column-major order",
    "reshape",
    lambda node, run, x, *s: np.asarray(x).reshape(run(x, *s).shape, order="F"),
)
operation(
    "reshape_like: ends are included",
    "reshape_like",
    lambda node, op: replace(op, parts=tuple((b, e if e is None else e + 1) for b, e in op.parts)),
)
method(
    "reshape_like: end masks are ignored",
    "reshape_like",
    shape_adapters,
    "_each",
    lambda f: lambda node, name: [0] * len(f(node, name)) if name == "end_masks" else f(node, name),
)
operation(
    "reshape_like: begins are ignored",
    "reshape_like",
    lambda node, op: replace(op, parts=tuple((0, e) for _, e in op.parts)),
)
parameters(
    "expand_dims: negative axes count those of x",
    "expand_dims",
    lambda node: {"axes": np.array([a + node.rank() if a < 0 else a for a in node.integers("axes")], np.int32)},
)
parameters("expand_dims: the first of several axes only", "expand_dims", changing(lambda axes: axes[:1], "axes"))
parameters("squeeze: all axes of 1", "squeeze", forgotten("axes"))
parameters("flatten2d: the axis is always 1", "flatten2d", forgotten("axis"))
parameters(
    "flatten2d: negative axes count from one place later",
    "flatten2d",
    lambda node: {"axis": node.integer("axis") + 1} if node.integer("axis", 1) < 0 else {},
)
parameters("flatten2d: the axis is 0 by default", "flatten2d", default(axis=0))
result("shape: from the last axis to the first", "shape", lambda node, run, x: run(x)[::-1].copy())
parameters(
    "transpose: the inverse permutation",
    "transpose",
    lambda node: {"perm": np.argsort(np.array(node.integers("perm")) % node.rank()).astype(np.int32)},
)
parameters("transpose: the permutation in reverse", "transpose", turned("perm"))
kernel(
    "depth_to_space: channels in the order of pixel_shuffle",
    "depth_to_space",
    shape.depth_to_space,
    lambda f: shape.pixel_shuffle,
)
kernel(
    "space_to_depth: channels in the order of pixel_unshuffle",
    "space_to_depth",
    shape.space_to_depth,
    lambda f: shape.pixel_unshuffle,
)
kernel(
    "pixel_shuffle: channels in the order of depth_to_space",
    "pixel_shuffle",
    shape.pixel_shuffle,
    lambda f: shape.depth_to_space,
)
kernel(
    "pixel_unshuffle: channels in the order of space_to_depth",
    "pixel_unshuffle",
    shape.pixel_unshuffle,
    lambda f: shape.space_to_depth,
)
kernel(
    "pixel_shuffle: rows and columns of a block exchanged",
    "pixel_shuffle depth_to_space",
    shape._order,
    lambda f: lambda x, axes: f(x.swapaxes(2, 3) if x.shape[2] == x.shape[3] else x, axes),
)
parameters(
    "space_to_batch: rows and columns of the block exchanged", "space_to_batch batch_to_space", turned("block_shape")
)
parameters(
    "space_to_batch: margins are read as [[top, left], [bottom, right]]",
    "space_to_batch batch_to_space",
    changing(lambda m: m.T.copy(), "paddings", "crops"),
)
result(
    "space_to_batch: places of a block vary slowest within an item of the batch",
    "space_to_batch",
    lambda node, run, x: (lambda y: y.reshape(-1, len(x), *y.shape[1:]).swapaxes(0, 1).reshape(y.shape))(run(x)),
)
result(
    "batch_to_space: places of a block vary slowest within an item of the batch",
    "batch_to_space",
    lambda node, run, x: run(
        x.reshape(-1, int(np.prod(node.integers("block_shape"))), *x.shape[1:]).swapaxes(0, 1).reshape(x.shape)
    ),
)
parameters("concat: interleave is ignored", "concat", forgotten("interleave"))
result("concat: values in reverse order", "concat stack", lambda node, run, *xs: run(*xs[::-1]))
parameters(
    "concat: negative axes count from one place later",
    "concat",
    lambda node: {"axis": min(node.integer("axis") + 1, -1)} if node.integer("axis") < 0 else {},
)
parameters(
    "stack: negative axes count those of a value",
    "stack",
    lambda node: (
        {"axis": node.integer("axis") - 1 + 0}
        if node.integer("axis") < -1
        else {"axis": -2}
        if node.integer("axis") == -1
        else {}
    ),
)
parameters(
    "split: sizes are ignored where their number is given",
    "split",
    lambda node: {"split_sizes": None} if node.has("num_splits") else {},
)
result(
    "split: parts in reverse order",
    "split",
    lambda node, run, x: (
        tuple(run(x)[::-1]) if len({y.shape for y in run(x)}) == 1 else run(np.flip(x, node.integer("axis")))
    ),
)
result(
    "tile: each number is repeated in its place",
    "tile",
    lambda node, run, x, *r: _repeated(x, r[0] if r else node.integers("reps")),
)


def _repeated(x: Array, counts: Any) -> Array:
    for axis, count in enumerate(counts):
        x = np.repeat(x, int(count), axis)
    return x


operation("fill: always 0", "fill fill_like", lambda node, op: replace(op, value=type(op.value)(0)))
operation(
    "range_1d: starts at 0", "range_1d", lambda node, op: replace(op, start=type(op.start)(0)) if op.start else op
)
result(
    "range_1d: by adding steps one after another in half precision",
    "range_1d",
    lambda node, run, *xs: (
        np.cumsum(np.concatenate([(y := run(*xs))[:1], np.diff(y)]), dtype=np.float16)
        if run(*xs).dtype.kind == "f"
        else run(*xs)
    ),
)
operation(
    "band_part: lower and upper exchanged",
    "band_part",
    lambda node, op: replace(
        op, lowest=None if op.highest is None else -op.highest, highest=None if op.lowest is None else -op.lowest
    ),
)
operation(
    "band_part: below 0 is the main diagonal",
    "band_part",
    lambda node, op: replace(op, lowest=op.lowest or 0, highest=op.highest or 0),
)
result(
    "band_part: a product with zeros and ones, in which NaN stays",
    "band_part",
    lambda node, run, x: x * run(np.ones_like(x)) if x.dtype.kind == "f" else run(x),
)
operation(
    "band_part: the first diagonal outside of the band is kept",
    "band_part",
    lambda node, op: replace(op, highest=None if op.highest is None else op.highest + 1),
)

# ---- Slices ----

slices = "slice_by_index slice_update"
parameters("slice: begin masks are ignored", slices, forgotten("begin_mask"))
parameters("slice: end masks are ignored", slices, forgotten("end_mask"))
parameters("slice: squeeze masks are ignored", slices, forgotten("squeeze_mask"))
parameters("slice: begin and end masks exchanged", slices, exchanged("begin_mask", "end_mask"))
parameters("slice: strides are ignored", slices, forgotten("stride"))
parameters("slice: negative strides are positive", slices, changing(np.abs, "stride"))
parameters("slice: negative begins are 0", slices, changing(lambda x: np.maximum(x, 0), "begin"))
parameters(
    "slice: negative ends count from one place later", slices, changing(lambda x: np.where(x < -1, x + 1, x), "end")
)
parameters("slice: ends are included", slices, changing(lambda x: np.where(x > 0, x + 1, x).astype(x.dtype), "end"))
parameters(
    "slice: with a mask a negative stride starts at the first element",
    slices,
    lambda node: (
        {
            "begin_mask": np.zeros(node.rank(), bool),
            "begin": np.where(node.flags("begin_mask"), 0, node.constant("begin")).astype(np.int32),
        }
        if node.has("begin_mask") and node.is_constant("begin")
        else {}
    ),
)
result(
    "slice_update: the update is added",
    "slice_update",
    lambda node, run, x, u, *s: x * 0 + x + run(x * 0, u, *s) if x.dtype.kind in "fi" else run(x, ~u, *s),
)
result(
    "slice_update: numbers around the slice are 0",
    "slice_update",
    lambda node, run, x, u, *s: run(x ^ x if x.dtype.kind in "biu" else np.zeros_like(x), u, *s),
)
parameters(
    "slice_by_size: the size is the end",
    "slice_by_size",
    lambda node: (
        {"size": np.maximum(1, node.constant("size") - node.constant("begin")).astype(np.int32)}
        if node.is_constant("size") and node.is_constant("begin")
        else {}
    ),
)
parameters("slice_by_size: -1 is one element", "slice_by_size", changing(np.abs, "size"))
result(
    "slice_by_size: computed begins in reverse order",
    "slice_by_size",
    lambda node, run, x, *s: run(x, *(v[::-1].copy() for v in s)),
)
parameters("sliding_windows: the stride is ignored", "sliding_windows", forgotten("stride"))
result(
    "sliding_windows: windows and places in them exchanged",
    "sliding_windows",
    lambda node, run, x: (lambda y, a: np.reshape(y.swapaxes(a, a + 1), y.shape))(
        run(x), node.integer("axis") % x.ndim
    ),
)
operation(
    "sliding_windows: negative axes count those of the result",
    "sliding_windows",
    lambda node, op: replace(op, axis=op.axis + 1) if op.axis < -1 else op,
)
parameters("reverse: axes are ignored", "reverse", forgotten("axes"))
parameters("reverse: the last axis by default", "reverse", default(axes=np.array([-1], np.int32)))
operation(
    "reverse_sequence: batch and sequence exchanged",
    "reverse_sequence",
    lambda node, op: replace(op, batch_axis=op.sequence_axis, sequence_axis=op.batch_axis),
)
result(
    "reverse_sequence: whole sequences",
    "reverse_sequence",
    lambda node, run, x, lengths: run(x, np.full_like(lengths, x.shape[node.integer("seq_axis", 0)])),
)
result(
    "reverse_sequence: lengths are the last places",
    "reverse_sequence",
    lambda node, run, x, lengths: run(
        x, np.minimum(lengths + 1, x.shape[node.integer("seq_axis", 0)]).astype(lengths.dtype)
    ),
)
result(
    "reverse_sequence: what lies behind is 0",
    "reverse_sequence",
    lambda node, run, x, lengths: _behind(node, run(x, lengths), lengths),
)


def _behind(node: Node, y: Array, lengths: Array) -> Array:
    batch, time = node.integer("batch_axis", 0) % y.ndim, node.integer("seq_axis", 0) % y.ndim
    steps = np.arange(y.shape[time]).reshape([-1 if k == time else 1 for k in range(y.ndim)])
    kept = steps < np.asarray(lengths, np.int64).reshape([-1 if k == batch else 1 for k in range(y.ndim)])
    return np.where(kept, y, np.zeros_like(y))


# ---- Borders ----

parameters(
    "pad: all befores stand before the afters", "pad", changing(lambda p: p.reshape(2, -1).T.reshape(-1).copy(), "pad")
)
parameters(
    "pad: before and after exchanged", "pad", changing(lambda p: p.reshape(-1, 2)[:, ::-1].reshape(-1).copy(), "pad")
)
parameters(
    "pad: from the last axis to the first, as in torch",
    "pad",
    changing(lambda p: p.reshape(-1, 2)[::-1].reshape(-1).copy(), "pad"),
)
parameters(
    "pad: the first axes, where there are fewer pairs than axes",
    "pad",
    lambda node: (
        {"pad": np.concatenate([node.constant("pad"), np.zeros(2 * node.rank() - len(node.constant("pad")), np.int32)])}
        if node.is_constant("pad")
        else {}
    ),
)
parameters("pad: constant_val is ignored", "pad", forgotten("constant_val"))
parameters(
    "pad: replicate is reflect",
    "pad",
    lambda node: {"mode": "reflect"} if node.text("mode", "constant") == "replicate" else {},
)
result(
    "pad: reflect repeats the edge",
    "pad",
    lambda node, run, x, *p: _symmetric(node, x, *p) if node.text("mode", "constant") == "reflect" else run(x, *p),
)
result(
    "pad: computed pairs from the last axis to the first",
    "pad",
    lambda node, run, x, *p: run(x, *(v.reshape(-1, 2)[::-1].reshape(-1).copy() for v in p)),
)


def _symmetric(node: Node, x: Array, *computed: Array) -> Array:
    pairs = np.reshape(computed[0] if computed else node.constant("pad"), (-1, 2))
    return np.pad(x, [(0, 0)] * (x.ndim - len(pairs)) + [tuple(pair) for pair in pairs], mode="symmetric")


parameters("crop: height and width exchanged", "crop", exchanged("crop_height", "crop_width"))
parameters("crop: top and bottom exchanged", "crop", turned("crop_height"))
parameters("crop: left and right exchanged", "crop", turned("crop_width"))

# ---- Order ----

parameters("argsort: ascending by default", "argsort", default(ascending=True))
parameters("argsort: ascending is ignored", "argsort", forgotten("ascending"))
result("argsort: ranks for indices", "argsort", lambda node, run, x: np.argsort(run(x), axis=node.integer("axis", -1)))
parameters("argsort: along the first axis by default", "argsort", default(axis=0))
parameters("topk: ascending is ignored", "topk", forgotten("ascending"))
parameters("topk: the axis is ignored", "topk", forgotten("axis"))
parameters("topk: k is 1 always", "topk", forgotten("k"))
result(
    "topk: the smallest of the best first",
    "topk",
    lambda node, run, x: (
        tuple(np.flip(y, node.integer("axis", -1)) for y in found)
        if isinstance(found := run(x), tuple)
        else np.flip(found, node.integer("axis", -1))
    ),
)
result(
    "topk: indices count from the end",
    "topk",
    lambda node, run, x: (
        (found[0], x.shape[node.integer("axis", -1)] - 1 - found[1].astype(np.int64))
        if isinstance(found := run(x), tuple)
        else found
    ),
)
version("topk: return_indices is unknown in CoreML6, as before", "topk", "CoreML6", "CoreML5")
result(
    "topk: integers compared in single precision",
    "topk",
    lambda node, run, x: run(np.float32(x) if x.dtype.kind == "i" else x),
)


result("non_zero: in column-major order", "non_zero", lambda node, run, x: (lambda y: y[np.lexsort(y.T)])(run(x)))
result("non_zero: places and axes exchanged", "non_zero", lambda node, run, x: (lambda y: y.T.reshape(y.shape))(run(x)))
result("non_zero: numbers above 0", "non_zero", lambda node, run, x: run(x > 0) if x.dtype.kind in "if" else run(x))
operation("one_hot: on and off exchanged", "one_hot", lambda node, op: replace(op, on=op.off, off=op.on))
parameters("one_hot: the axis is ignored", "one_hot", forgotten("axis"))
result("one_hot: indices from 1", "one_hot", lambda node, run, i, *d: run(i - 1, *d))

suppression = "non_maximum_suppression"
operation(f"{suppression}: classes are ignored", suppression, with_fields(per_class=False))
operation(f"{suppression}: always by class", suppression, with_fields(per_class=True))
operation(
    f"{suppression}: the score threshold is ignored", suppression, lambda node, op: replace(op, score_threshold=-np.inf)
)
kernel(
    f"{suppression}: boxes are corners",
    suppression,
    nms.non_maximum_suppression,
    lambda f: (
        lambda boxes, *a, **o: f(
            np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1), *a, **o
        )
    ),
)
kernel(
    f"{suppression}: boxes begin at their first two numbers",
    suppression,
    nms.non_maximum_suppression,
    lambda f: lambda boxes, *a, **o: f(np.concatenate([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]], 1), *a, **o),
)
kernel(
    f"{suppression}: the overlap is divided by the sum of both areas",
    suppression,
    nms.overlaps,
    lambda f: lambda box, others: (lambda r: r / (1 + r))(f(box, others)),
)
kernel(
    f"{suppression}: the overlap is divided by the smaller area",
    suppression,
    nms.overlaps,
    lambda f: (
        lambda box, others: (lambda r: r * (box[4] + others[4]) / (1 + r) / np.minimum(box[4], others[4]))(
            f(box, others)
        )
    ),
)
kernel(
    f"{suppression}: an overlap that is the threshold is above it",
    suppression,
    nms.non_maximum_suppression,
    lambda f: (
        lambda *a, iou_threshold, **o: f(
            *a, iou_threshold=float(np.nextafter(np.float32(iou_threshold), np.float32(-1))), **o
        )
    ),
    "an overlap is rounded, so that the oracle leaves a decision at the threshold open",
)
kernel(
    f"{suppression}: a score that is the threshold is above it",
    suppression,
    nms.non_maximum_suppression,
    lambda f: (
        lambda *a, score_threshold, **o: f(
            *a, score_threshold=float(np.nextafter(np.float32(score_threshold), np.float32(-9))), **o
        )
    ),
    "the oracle leaves a decision at the threshold open, where a score may have been rounded before",
)
result(
    f"{suppression}: indices of what is left over are 0",
    suppression,
    lambda node, run, *xs: tuple(np.maximum(y, 0) if k == 2 else y for k, y in enumerate(run(*xs))),
)
version(f"{suppression}: boxes lie along the second axis in CoreML7, as before", suppression, "CoreML7", "CoreML6")

# ---- Lists ----

result(
    "list_write: one place later",
    "list_write",
    lambda node, run, ls, index, value: run(
        ls, np.minimum(index + 1, max(len(ls.elements) - 1, 0) if not ls.grows else index + 1).astype(np.int32), value
    ),
)
result(
    "list_write: always at the end",
    "list_write",
    lambda node, run, ls, index, value: run(ls, np.full_like(index, max(len(ls.elements) - 1, 0)), value),
)
result(
    "list_scatter: values in reverse order",
    "list_scatter",
    lambda node, run, ls, indices, value: run(ls, indices, value[::-1]),
)
result(
    "list_scatter: indices are ignored",
    "list_scatter",
    lambda node, run, ls, indices, value: run(ls, np.arange(len(indices), dtype=np.int32), value),
)
result(
    "list_gather: in rising order of places", "list_gather", lambda node, run, ls, indices: run(ls, np.sort(indices))
)
result("list_read: the element before", "list_read", lambda node, run, ls, index: run(ls, np.maximum(index - 1, 0)))
result("list_length: one more", "list_length", lambda node, run, ls: run(ls) + 1)
method(
    "list_length: only elements that were written count",
    "list_length list_write",
    list_adapters.ListLength,
    "run",
    lambda f: lambda self, ls: np.array(sum(1 for x in ls.elements if x is not None), np.int32),
)
method(
    "lists: writing changes the list that is given",
    "list_write list_scatter list_read",
    lists.ListValue,
    "written",
    lambda f: lambda self, indices, arrays: _overwritten(self, f(self, indices, arrays)),
)


def _overwritten(before: Any, after: Any) -> Any:
    object.__setattr__(before, "elements", after.elements)
    return after
