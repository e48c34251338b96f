"""Checks that several families of N-D layers share: axes, numbers and shapes as parameters or as inputs."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np

from refcoreml.errors import InputError
from refcoreml.execution.limits import beyond, remedy, size_of
from refcoreml.neuralnetwork.registry import MAX_RANK, Node, Restricted
from refcoreml.ops import Op
from refcoreml.ops.base import require
from refcoreml.ops.gather import Indexing
from refcoreml.spec.weights import weight_encoding
from refcoreml.types import Array, Shape, TensorType


def input_error(node: Node, problem: str, remedy: str = "") -> NoReturn:
    """Raises `InputError` at this layer, for values that a model cannot be blamed for."""
    raise InputError(problem, where=node.where, remedy=remedy)


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


def numbers_of(node: Node, which: int, values: Array, count: int) -> list[float]:
    """The numbers in the input of the given number, a blob of ``count`` elements; NaN is an error."""
    if values.size != count:
        node.invalid(f"input {node.inputs[which]!r} has the shape {values.shape}, expected {count} element(s)")
    if np.isnan(values).any():
        input_error(node, f"input {node.inputs[which]!r} holds {values.reshape(-1)}, expected numbers")
    return [float(value) for value in values.reshape(-1)]


def integers_of(node: Node, which: int, values: Array, count: int) -> list[int]:
    """As `numbers_of`, fractions cut off; infinity is an error, too."""
    numbers = numbers_of(node, which, values, count)
    if any(map(math.isinf, numbers)):
        input_error(node, f"input {node.inputs[which]!r} holds {numbers}, expected whole numbers")
    return [int(number) for number in numbers]


def check_addressable(node: Node, *lengths: int) -> None:
    """Refuse axes so long that the network's floats cannot name every place."""
    Indexing().check(TensorType(np.dtype(node.dtype), ()), *lengths)


def check_size(node: Node, shape: Shape) -> None:
    """Refuses a result so large that the engine would refuse it, had its shape been known before the run."""
    size = size_of(shape, np.dtype(node.dtype).itemsize)
    if found := beyond(size, node.limits):
        input_error(node, f"an output would have the shape {shape}, {found}", remedy("memory", size))


def static_shape(node: Node, field: str) -> Shape:
    """A parameter that holds the shape of a blob."""
    dims = tuple(int(length) for length in getattr(node.params, field))
    node.require(
        1 <= len(dims) <= MAX_RANK and min(dims) >= 1,
        f"{field} is {dims}, expected 1 to {MAX_RANK} numbers of at least 1",
    )
    return dims


def of_rank(op: Op, least: int, most: int, expected: str) -> Op:
    """The operation, for a first input of certain ranks: ``expected`` is how the layer's documentation writes it."""

    def check(x: Shape, *others: Shape) -> None:
        require(least <= len(x) <= most, f"expected an input {expected}, got {x}")

    return Restricted(op, check)


def of_images(op: Op) -> Op:
    """The operation, as legacy layers that count axes from the last have it."""
    return of_rank(op, 3, MAX_RANK, "[*, C, H, W] of rank 3 or more")


def of_sequences(op: Op) -> Op:
    """The operation, as legacy layers that name the axes from the first have it."""
    return of_rank(op, MAX_RANK, MAX_RANK, "[Seq, B, C, H, W]")


def require_unquantized(node: Node, *fields: str) -> None:
    """Refuses quantized weights in the given fields, for layers whose specification does not allow them."""
    for field in fields:
        kind = weight_encoding(getattr(node.params, field), where=f"{node.where}.{field}").kind
        node.require(kind in ("float32", "float16", "empty"), f"{field} are quantized ({kind}), which is not allowed")
