"""Checks that several families of N-D layers share: axes, numbers and shapes as parameters or as inputs."""

from __future__ import annotations

from typing import Any

from refcoreml.neuralnetwork.registry import MAX_RANK, Node, Restricted
from refcoreml.ops import Op
from refcoreml.ops.base import require
from refcoreml.spec.weights import weight_encoding
from refcoreml.types import Shape


def enum_name(node: Node, field: str, message: Any = None) -> str:
    """Return the name of an enum's value, in the layer's message or one inside it."""
    holder = node.params if message is None else message
    values = holder.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    return str(values[getattr(holder, field)].name)  # `make_nodes` has refused numbers that the schema lacks


def borders(node: Node, message: Any, field: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Read a ``BorderAmounts`` message: ((top, bottom), (left, right)) in pixels; zeros where it is empty."""
    edges = message.borderAmounts
    if not edges:
        return (0, 0), (0, 0)
    node.require(len(edges) == 2, f"{field} has {len(edges)} entries, expected 2, for H and W")
    height, width = ((edge.startEdgeSize, edge.endEdgeSize) for edge in edges)
    return height, width


def static_shape(node: Node, field: str) -> Shape:
    """Return a parameter that holds the shape of a blob."""
    dims = tuple(int(length) for length in getattr(node.params, field))
    node.require(
        1 <= len(dims) <= MAX_RANK and min(dims) >= 1,
        f"{field} is {dims}, expected 1 to {MAX_RANK} numbers of at least 1",
    )
    return dims


def of_rank(op: Op, least: int, most: int, expected: str) -> Op:
    """Return the operation, for certain ranks of the first input; ``expected`` is the shape in the documentation."""

    def check(x: Shape, *others: Shape) -> None:
        require(least <= len(x) <= most, f"expected an input {expected}, got {x}")

    return Restricted(op, check)


def of_images(op: Op) -> Op:
    """Return the operation, as legacy layers that count axes from the last have it."""
    return of_rank(op, 3, MAX_RANK, "[*, C, H, W] of rank 3 or more")


def of_sequences(op: Op) -> Op:
    """Return the operation, as legacy layers that name the axes from the first have it."""
    return of_rank(op, MAX_RANK, MAX_RANK, "[Seq, B, C, H, W]")


def require_unquantized(node: Node, *fields: str) -> None:
    """Refuse quantized weights in the given fields, for layers whose specification does not allow them."""
    for field in fields:
        kind = weight_encoding(getattr(node.params, field), where=f"{node.where}.{field}").kind
        node.require(kind in ("float32", "float16", "empty"), f"{field} are quantized ({kind}), which is not allowed")
