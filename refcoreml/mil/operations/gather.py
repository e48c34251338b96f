"""Elements taken from, or put at, places that indices name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.mil.domains import NUMBERS, SMALL, expect
from refcoreml.mil.node import Call, Node
from refcoreml.mil.registry import operation
from refcoreml.ops.gather import Indexing
from refcoreml.types import Array, TensorType

#: Until CoreML6: negative indices count from the end, others out of range are errors.
_SIGNED = Indexing()
_MODES = {mode: mode for mode in ("add", "sub", "mul", "div", "max", "min", "update")}


def _unsigned(node: Node) -> Indexing:
    """Return what indices mean from CoreML7 on, see `gather_validated`."""
    validate = node.flag("validate_indices", False)
    return Indexing(wrap=False) if validate or node.strict else Indexing(strict=False)


# ---- Gather ----

#: By operation set the types of elements of x, and of indices.
_TAKEN = {"CoreML5": NUMBERS, "CoreML6": NUMBERS, "CoreML7": (*NUMBERS, *SMALL)}
_INDICES = {
    "CoreML5": ("int32",),
    "CoreML6": ("int32", "int16", "uint16"),
    "CoreML7": ("int32", "int16", "uint16", "int8", "uint8"),
}


@dataclass(frozen=True, eq=False)
class FromTable(ops.Op):
    """What another operation takes from a constant x, of whose numbers only those that it takes are converted.

    Attributes:
        op: takes numbers of x at indices.
        table: x, as the program has it.
        dtype: the type of the result.
        hold: how an array of that type is held, see `refcoreml.mil.precision`.
    """

    op: ops.Op
    table: Array
    dtype: np.dtype[Any]
    hold: Callable[[Array], Array]

    fresh = True
    moves = True

    def infer(self, indices: TensorType) -> TensorType:
        """Return what the operation infers, in the type of the result."""
        found = self.op.infer(TensorType.of(self.table), indices)
        assert isinstance(found, TensorType)
        return found.with_dtype(self.dtype)

    def run(self, indices: Array) -> Array:
        """Return what the operation takes."""
        taken: Any = self.op.run(self.table, indices)
        return self.hold(taken)


def _gathering(node: Node, op: ops.Op) -> ops.Op | Call:
    """Return an operation on x and indices; of a constant x, which may be large, only what is taken is converted."""
    expect(node, _TAKEN[node.entry.since], "x")
    expect(node, _INDICES[node.entry.since], "indices")
    if node.is_constant("x"):
        return node.call(FromTable(op, node.constant("x"), node.element("x"), node.precision.hold), "indices")
    return op


@operation("gather", "x", "indices")
def gather(node: Node) -> ops.Op | Call:
    """y[a..., i..., b...] = x[a..., indices[i...], b...], as numpy.take.

    x [*A, L, *B]: fp16, fp32 or int32; indices [*I]: int32, -L to L - 1, computed or constant; for a scalar the axis
    vanishes. y [*A, *I, *B] in the type of x.

    ``axis`` (default 0) is where x has L, -rank to rank - 1.
    """
    return _gathering(node, ops.Gather(node.integer("axis", 0), _SIGNED))


@operation("gather", "x", "indices", since="CoreML6")
def gather_batches(node: Node) -> ops.Op | Call:
    """As in CoreML5, with ``batch_dims`` (default 0): so many first axes x and indices share.

    y[n..., a..., i..., b...] = x[n..., a..., indices[n..., i...], b...], where N has ``batch_dims`` axes, at most as
    many as lie before ``axis``. Indices may be int16 or uint16.
    """
    return _gathering(node, ops.Gather(node.integer("axis", 0), _SIGNED, node.integer("batch_dims", 0)))


@operation("gather", "x", "indices", since="CoreML7")
def gather_validated(node: Node) -> ops.Op | Call:
    """As in CoreML6, but an index that is negative is out of range, as one that is not below the length of the axis.

    With ``validate_indices`` such an index is an error. Without, which is the default, the result is "undefined, but
    memory safe": an error here too, but for a program that is not run strictly, in which negative indices count from
    the end and others give the nearest place.

    x may be int8, uint8, int16 or uint16 as well, indices int8 or uint8.
    """
    return _gathering(node, ops.Gather(node.integer("axis", 0), _unsigned(node), node.integer("batch_dims", 0)))


@operation("gather_along_axis", "x", "indices", since="CoreML6")
@operation("gather_along_axis", "x", "indices")
def gather_along_axis(node: Node) -> ops.Op | Call:
    """y[a..., i, b...] = x[a..., indices[a..., i, b...], b...], as numpy.take_along_axis.

    x [*A, L, *B]: fp16, fp32 or int32 (since CoreML7 8-bit and 16-bit integers as well); indices [*A, I, *B]: int32,
    since CoreML6 int16 and uint16 as well, -L to L - 1. y [*A, I, *B] in the type of x.

    Parameters: ``axis`` (default 0), where x has L.
    """
    return _gathering(node, ops.GatherAlongAxis(node.integer("axis", 0), _SIGNED))


@operation("gather_along_axis", "x", "indices", since="CoreML7")
def gather_along_axis_validated(node: Node) -> ops.Op | Call:
    """As in CoreML6, but negative indices are out of range; ``validate_indices`` (default false) is as of `gather`.

    x may be int8, uint8, int16 or uint16 as well, indices int8 or uint8.
    """
    return _gathering(node, ops.GatherAlongAxis(node.integer("axis", 0), _unsigned(node)))


@operation("gather_nd", "x", "indices")
def gather_nd(node: Node) -> ops.Op | Call:
    """y[i..., b...] = x[indices[i..., 0], ..., indices[i..., K-1], b...].

    x [L_0, ..., L_K-1, *B]: fp16, fp32 or int32; indices [*I, K]: int32, -L_k to L_k - 1. y [*I, *B] in the type of x.
    """
    return _gathering(node, ops.GatherND(_SIGNED))


@operation("gather_nd", "x", "indices", since="CoreML6")
def gather_nd_batches(node: Node) -> ops.Op | Call:
    """As in CoreML5, with ``batch_dims`` (default 0): so many first axes x and indices share.

    y[n..., i..., b...] = x[n..., indices[n..., i..., 0], ..., b...]. Indices may be int16 or uint16.
    """
    return _gathering(node, ops.GatherND(_SIGNED, node.integer("batch_dims", 0)))


@operation("gather_nd", "x", "indices", since="CoreML7")
def gather_nd_validated(node: Node) -> ops.Op | Call:
    """As in CoreML6, but negative indices are out of range; ``validate_indices`` (default false) is as of `gather`.

    x may be int8, uint8, int16 or uint16 as well, indices int8 or uint8.
    """
    return _gathering(node, ops.GatherND(_unsigned(node), node.integer("batch_dims", 0)))


# ---- Scatter ----


def _scattering(node: Node, op: ops.Op) -> ops.Op:
    expect(node, NUMBERS, "data", "updates")
    expect(node, ("int32",), "indices")
    return op


def _mode(node: Node) -> str:
    """Return how an old value and an update become one, see `scatter`."""
    return node.choice("mode", _MODES, "add")


@operation("scatter", "data", "indices", "updates")
def scatter(node: Node) -> ops.Op:
    """y = data, then y[a..., indices[c], b...] becomes it (mode) updates[a..., c, b...], for one c after another.

    data [*A, L, *B]: fp16, fp32 or int32; indices [C]: int32, -L to L - 1; updates [*A, C, *B] in the type of data.
    y as data.

    Parameters: ``axis`` (default 0), where data has L; ``mode`` (default ``add``).

    The mode ``update`` puts the update in place of the old value; ``add``, ``sub``, ``mul``, ``div``, ``max`` and
    ``min`` combine the two. Repeated indices apply one after another in row-major order, so that of several updates of
    one place the last is kept, which is not specified. The documentation has ``update`` as the default; what
    coremltools writes for a mode that is not given is ``add``.
    """
    return _scattering(node, ops.Scatter(_mode(node), _SIGNED, axis=node.integer("axis", 0)))


@operation("scatter", "data", "indices", "updates", since="CoreML7")
def scatter_validated(node: Node) -> ops.Op:
    """As in CoreML5, but negative indices are out of range; ``validate_indices`` (default false) is as of `gather`."""
    return _scattering(node, ops.Scatter(_mode(node), _unsigned(node), axis=node.integer("axis", 0)))


@operation("scatter_along_axis", "data", "indices", "updates")
def scatter_along_axis(node: Node) -> ops.Op:
    """y = data, then y[a..., indices[a..., i, b...], b...] becomes it (mode) updates[a..., i, b...].

    data [*A, L, *B]: fp16, fp32 or int32; indices [*A, I, *B]: int32, -L to L - 1; updates [*A, I, *B] in the type of
    data. y as data.

    Parameters: ``axis`` (default 0), where data has L; ``mode`` (default ``add``), as of `scatter`.
    """
    return _scattering(node, ops.ScatterAlongAxis(_mode(node), _SIGNED, axis=node.integer("axis", 0)))


@operation("scatter_along_axis", "data", "indices", "updates", since="CoreML7")
def scatter_along_axis_validated(node: Node) -> ops.Op:
    """As in CoreML5, but negative indices are out of range; ``validate_indices`` (default false) is as of `gather`."""
    return _scattering(node, ops.ScatterAlongAxis(_mode(node), _unsigned(node), axis=node.integer("axis", 0)))


@operation("scatter_nd", "data", "indices", "updates")
def scatter_nd(node: Node) -> ops.Op:
    """y = data, then y[indices[i..., 0], ..., indices[i..., K-1], b...] becomes it (mode) updates[i..., b...].

    data [L_0, ..., L_K-1, *B]: fp16, fp32 or int32; indices [*I, K]: int32, -L_k to L_k - 1; updates [*I, *B] in the
    type of data. y as data.

    Parameters: ``mode`` (default ``add``), as of `scatter`.
    """
    return _scattering(node, ops.ScatterND(_mode(node), _SIGNED))


@operation("scatter_nd", "data", "indices", "updates", since="CoreML7")
def scatter_nd_validated(node: Node) -> ops.Op:
    """As in CoreML5, but negative indices are out of range; ``validate_indices`` (default false) is as of `gather`."""
    return _scattering(node, ops.ScatterND(_mode(node), _unsigned(node)))
