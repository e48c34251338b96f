"""Tensors in another shape or order, joined, divided, repeated; tensors of one number, ranges, bands.

Nothing is computed here: numbers of any type keep their type and their bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.mil.domains import FLOATS, NUMBERS, SMALL, VALUES, expect, expect_each
from refcoreml.mil.node import Call, Node
from refcoreml.mil.registry import operation
from refcoreml.ops.base import Op


def _domain(node: Node) -> tuple[str, ...]:
    return (*VALUES, *SMALL) if node.entry.since == "CoreML7" else VALUES


def _values(node: Node, op: Op, name: str = "x") -> Op:
    """Return an operation on x of fp16, fp32, int32 or bool, since CoreML7 of int8, uint8, int16 or uint16 as well."""
    expect(node, _domain(node), name)
    return op


# ---- The same order, another shape ----


def _reshape(node: Node, *, from_last: bool, shapes: tuple[str, ...]) -> Call:
    expect(node, shapes, "shape")
    if node.is_constant("shape"):
        return node.call(_values(node, ops.Reshape(node.integers("shape"), True, from_last)), "x")
    return node.call(_values(node, ops.Reshape(None, True, from_last)), "x", "shape")


@operation("reshape")
def reshape(node: Node) -> Call:
    """y = the numbers of x, in row-major order, in another shape.

    x: fp16, fp32, int32 or bool; ``shape``: int32 [K], computed or constant. y [shape] in the type of x.

    One number of the shape may be -1, for what is left; 0 is the length that x has at the same place.

    Open: 0 in a shape with more or fewer numbers than x has axes, which coremltools refuses. Chosen: places are counted
    from the first.
    """
    return _reshape(node, from_last=False, shapes=("int32",))


@operation("reshape", since="CoreML7")
def reshape_from_last(node: Node) -> Call:
    """As in CoreML6, but 0 is the length that x has at the same place counted from the last; where x has none, 1.

    So [1, 0, -1, 0] for x [2, 50] is [1, 1, 2, 50]. x may be int8, uint8, int16 or uint16 as well, the shape int8 or
    int16.
    """
    return _reshape(node, from_last=True, shapes=("int32", "int16", "int8"))


@operation("reshape_like", "x", "*ref_tensors", since="CoreML7")
@operation("reshape_like", "x", "*ref_tensors", since="CoreML6")
def reshape_like(node: Node) -> Op:
    """y = the numbers of x, in row-major order, in a shape put together from those of other tensors.

    x, and each of ``ref_tensors``: fp16, fp32, int32 or bool, since CoreML7 int8, uint8, int16 or uint16 as well. y in
    the type of x and the shape ref_0.shape[begin_0:end_0] + ref_1.shape[begin_1:end_1] + ..., as in Python.

    Parameters: ``begins``, ``ends`` and ``end_masks``, of each one number per tensor; where the mask is true, all axes
    from begin on are taken, whatever end is.
    """
    begins, ends, masks = (_each(node, name) for name in ("begins", "ends", "end_masks"))
    expect_each(node, _domain(node), "ref_tensors")
    count = len(node.values("ref_tensors"))
    for name, found in (("begins", begins), ("ends", ends), ("end_masks", masks)):
        node.require(len(found) == count, f"parameter {name!r} has {len(found)} values for {count} ref_tensors")
    parts = zip(begins, ends, masks, strict=True)
    return _values(node, ops.ReshapeLike(tuple((begin, None if masked else end) for begin, end, masked in parts)))


def _each(node: Node, name: str) -> list[int]:
    """Return the numbers of a parameter that has several values, each a constant of one number."""
    node.values(name)  # which must be there
    found = node.items(name)
    fits = all(isinstance(number, int) for number in found)
    node.require(fits, f"parameter {name!r} holds {found}, expected an integer or boolean for each of ref_tensors")
    return [int(number) for number in found]


@operation("expand_dims", "x", since="CoreML7")
@operation("expand_dims", "x")
def expand_dims(node: Node) -> Op:
    """y = x with an axis of length 1 at each of the ``axes`` that y has: -rank to rank - 1 of y, none twice.

    x: fp16, fp32, int32 or bool, since CoreML7 int8, uint8, int16 or uint16 as well. y in the type of x.
    """
    return _values(node, ops.ExpandDims(node.integers("axes")))


@operation("squeeze", "x", since="CoreML7")
@operation("squeeze", "x")
def squeeze(node: Node) -> Op:
    """y = x without the ``axes``, each of length 1; by default without all such axes.

    x: fp16, fp32, int32 or bool, since CoreML7 int8, uint8, int16 or uint16 as well. y in the type of x.

    Open: one of the axes whose length is not 1. The documentation lets it stay, as in torch; CPUs fail. Chosen: an
    error, but for a program that is not run strictly, in which it stays.
    """
    return _values(node, ops.Squeeze(node.integers("axes", None), node.strict))


@operation("flatten2d", "x")
def flatten2d(node: Node) -> Op:
    """y = x as a matrix: [d_0, ..., d_r-1] becomes [d_0 * ... * d_axis-1, d_axis * ... * d_r-1].

    x: fp16, fp32, int32 or bool. y in the type of x. ``axis`` (default 1): -r to r; the product of no lengths is 1.
    """
    return _values(node, ops.Flatten2D(node.integer("axis", 1)))


@operation("shape", "x")
def shape(node: Node) -> Op:
    """y = the lengths of x, int32 [r] for x of rank r. x: fp16, fp32, int32 or bool."""
    return _values(node, ops.ShapeOf(np.dtype(np.int32)))


# ---- Another order ----


@operation("transpose", "x", since="CoreML7")
@operation("transpose", "x")
def transpose(node: Node) -> Op:
    """y = x with its axes in another order: axis i of y is axis perm[i] of x.

    x: fp16, fp32, int32 or bool, since CoreML7 int8, uint8, int16 or uint16 as well. y in the type of x.

    ``perm``: a permutation of 0, ..., rank - 1, which may be counted from the end, as -rank, ..., -1.
    """
    return _values(node, ops.Transpose(node.integers("perm")))


def _image(node: Node, op: Op) -> Op:
    """Return an operation on x [N, C, H, W] of floats."""
    expect(node, FLOATS, "x")
    rank = node.rank()
    node.require(rank == 4, f"parameter 'x' has rank {rank}, expected 4, [N, C, H, W]")
    return op


@operation("depth_to_space", "x")
def depth_to_space(node: Node) -> Op:
    """y[n, c, h * b + i, w * b + j] = x[n, (i * b + j) * C' + c, h, w], 0 <= i, j < b, as TensorFlow.

    x [N, C, H, W] of fp16 or fp32, C = b * b * C'. y [N, C', H * b, W * b]. ``block_size``: b.
    """
    return _image(node, ops.DepthToSpace(node.integer("block_size")))


@operation("space_to_depth", "x")
def space_to_depth(node: Node) -> Op:
    """y[n, (i * b + j) * C + c, h, w] = x[n, c, h * b + i, w * b + j], 0 <= i, j < b: `depth_to_space` undone.

    x [N, C, H, W] of fp16 or fp32, H and W multiples of b. y [N, C * b * b, H / b, W / b]. ``block_size``: b.
    """
    return _image(node, ops.SpaceToDepth(node.integer("block_size")))


@operation("pixel_shuffle", "x")
def pixel_shuffle(node: Node) -> Op:
    """y[n, c, h * b + i, w * b + j] = x[n, c * b * b + i * b + j, h, w], 0 <= i, j < b, as torch.

    x [N, C, H, W] of fp16 or fp32, C a multiple of b * b. y [N, C / (b * b), H * b, W * b]. ``upscale_factor``: b.
    """
    return _image(node, ops.PixelShuffle(node.integer("upscale_factor")))


@operation("pixel_unshuffle", "x", since="CoreML6")
def pixel_unshuffle(node: Node) -> Op:
    """y[n, c * b * b + i * b + j, h, w] = x[n, c, h * b + i, w * b + j], 0 <= i, j < b: `pixel_shuffle` undone.

    x [N, C, H, W] of fp16 or fp32, H and W multiples of b. y [N, C * b * b, H / b, W / b]. ``downscale_factor``: b, a
    uint32.
    """
    return _image(node, ops.PixelUnshuffle(node.integer("downscale_factor")))


def _margins(node: Node, name: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return two pairs of integers."""
    found = node.array(name)
    node.require(
        found.shape == (2, 2) and found.dtype.kind in "iu",
        f"parameter {name!r} is of type {node.value(name).type}, expected integers [2, 2]",
    )
    (top, bottom), (left, right) = found.tolist()
    return (top, bottom), (left, right)


@operation("space_to_batch", "x")
def space_to_batch(node: Node) -> Op:
    """y[(i * b_w + j) * N + n, c, h, w] = p[n, c, h * b_h + i, w * b_w + j], p = x with zeros around it, as TensorFlow.

    x [N, C, H, W] of fp16 or fp32; with the paddings H and W are multiples of b_h and b_w. y [N * b_h * b_w, C,
    (H + top + bottom) / b_h, (W + left + right) / b_w].

    Parameters: ``block_shape``, [b_h, b_w]; ``paddings``, [[top, bottom], [left, right]].
    """
    return _image(node, ops.SpaceToBatch(node.integers("block_shape", count=2), _margins(node, "paddings")))


@operation("batch_to_space", "x")
def batch_to_space(node: Node) -> Op:
    """y[n, c, h * b_h + i - top, w * b_w + j - left] = x[(i * b_w + j) * N' + n, c, h, w]: `space_to_batch` undone.

    x [N, C, H, W] of fp16 or fp32, N = b_h * b_w * N'. y [N', C, H * b_h - top - bottom, W * b_w - left - right].

    Parameters: ``block_shape``, [b_h, b_w]; ``crops``, [[top, bottom], [left, right]].
    """
    return _image(node, ops.BatchToSpace(node.integers("block_shape", count=2), _margins(node, "crops")))


# ---- Joined, divided, repeated ----


@operation("concat", "*values")
def concat(node: Node) -> Op:
    """y = the values one after another along ``axis``.

    values: tensors [*A, L_k, *B] of one type, computed or constant. y [*A, sum of L_k, *B] in that type. Numbers of
    rank 0 are joined to a vector, along axis 0.

    ``interleave`` (default false): slices of n values of equal shapes take turns, y[..., i * n + k, ...] =
    values[k][..., i, ...].
    """
    return ops.Concat(node.integer("axis"), node.flag("interleave", False))


@operation("stack", "*values")
def stack(node: Node) -> Op:
    """y[..., k, ...] = values[k][..., ...]: side by side along a new axis.

    values: n tensors [*A, *B] of one type and shape. y [*A, n, *B] in that type. ``axis``: where y has n, -rank to
    rank - 1 of y.
    """
    return ops.Stack(node.integer("axis"))


@operation("split", "x")
def split(node: Node) -> Op:
    """y_k = the k-th part of x along ``axis``.

    x [*A, L, *B]: fp16, fp32, int32 or bool. y_k [*A, L_k, *B] in the type of x.

    Parameters: ``split_sizes``, the L_k; or ``num_splits``, which divides L. With both, the sizes count, of which there
    are so many.
    """
    count, sizes = node.integer("num_splits", None), node.integers("split_sizes", None)
    node.require(count is not None or sizes is not None, "'num_splits' and 'split_sizes' are both missing")
    node.require(None in (count, sizes) or len(sizes) == count, f"num_splits is {count}, but split_sizes is {sizes}")
    return _values(node, ops.Split(node.integer("axis"), count if sizes is None else sizes))


@operation("tile")
def tile(node: Node) -> Call:
    """y[i_0, i_1, ...] = x[i_0 mod n_0, i_1 mod n_1, ...]: x again and again along each axis.

    x [n_0, n_1, ...]: fp16, fp32, int32 or bool, of rank 1 or more. y [r_0 * n_0, r_1 * n_1, ...] in the type of x.

    ``reps``: int32 [r_0, r_1, ...], computed or constant, a number of at least 1 for each axis.
    """
    expect(node, ("int32",), "reps")
    if node.is_constant("reps"):
        return node.call(_values(node, ops.Tile(node.integers("reps", count=node.rank()))), "x")
    node.require(node.tensor("reps").shape in (None, (None,), (node.rank(),)), "'reps' needs a number for each axis")
    return node.call(_values(node, ops.Tile(None)), "x", "reps")


# ---- Tensors of one number, ranges, bands ----


def _filling(node: Node) -> tuple[float, np.dtype[Any]]:
    """Return the number of a fill and its type, by default 0 of fp32."""
    if not node.has("value"):
        return 0.0, np.dtype(np.float32)
    expect(node, VALUES, "value")
    value = node.array("value")
    node.require(value.size == 1, f"parameter 'value' is of type {node.value('value').type}, expected one number")
    return value.item(), node.element("value")


@operation("fill")
def fill(node: Node) -> Call:
    """y = ``value`` everywhere, in a ``shape``.

    shape: int32 [K], computed or constant, numbers of at least 1; value: fp16, fp32, int32 or bool (default 0.0 of
    fp32). y [shape] in the type of the value.
    """
    expect(node, ("int32",), "shape")
    value, dtype = _filling(node)
    if node.is_constant("shape"):
        return node.call(ops.Fill(value, shape=node.integers("shape"), dtype=dtype))
    return node.call(ops.Fill(value, shape=None, dtype=dtype), "shape")


@operation("fill_like", "ref_tensor", since="CoreML6")
def fill_like(node: Node) -> Op:
    """y = ``value`` everywhere, in the shape of ref_tensor.

    ref_tensor, and value (default 0.0 of fp32): fp16, fp32, int32 or bool, each of its own. y in the type of the value.
    """
    return _values(node, ops.FillLike(*_filling(node)), "ref_tensor")


@operation("range_1d")
def range_1d(node: Node) -> Call:
    """y[i] = start + i * step, for all i with which y stays before the end, which is excluded.

    ``end``, ``start``, ``step``: numbers of one type, fp16, fp32 or int32, computed or constant. y [n] in their type,
    n = ceil((end - start) / step), of floats computed in fp32.

    A step of 0 and a range without numbers are errors.
    """
    names = ("end", "start", "step")
    expect(node, NUMBERS, *names)
    dtype = node.element("end")
    end, start, step = (node.scalar(name) if node.is_constant(name) else None for name in names)
    op = ops.Range(end, start, step, dtype, np.float32 if dtype.kind == "f" else None)
    return node.call(op, *(name for name in names if not node.is_constant(name)))


@operation("band_part", "x")
def band_part(node: Node) -> Op:
    """y = x within a band of diagonals of the matrices of the last two axes, else 0, also where x is NaN or infinite.

    Row m and column n lie in the band if (lower < 0 or m - n <= lower) and (upper < 0 or n - m <= upper).

    x: fp16, fp32, int32 or bool, of rank 2 or more. y as x. ``lower``, ``upper``: by default -1, no bound.
    """
    lower, upper = node.integer("lower", -1), node.integer("upper", -1)
    return _values(node, ops.Band(-lower if lower >= 0 else None, upper if upper >= 0 else None))
