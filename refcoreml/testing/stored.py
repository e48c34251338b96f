"""What a model stores: its constants, and which of them are in half precision or compressed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from google.protobuf.message import Message

from refcoreml.errors import InternalError
from refcoreml.evaluators.base import Layered, Programmed
from refcoreml.execution.steps import Control
from refcoreml.execution.steps import walk as steps_within
from refcoreml.mil.node import Folded
from refcoreml.mil.resolve import walk
from refcoreml.model import Model
from refcoreml.neuralnetwork.graph import walk_layers
from refcoreml.neuralnetwork.registry import Decoder, Node, WeightField
from refcoreml.oracle.balls import Doubles
from refcoreml.spec import schema
from refcoreml.spec.weights import weight_encoding
from refcoreml.testing.rounding import Constants
from refcoreml.types import Array

__all__ = [
    "LEAST16",
    "UNIT16",
    "Stored",
    "function_of",
    "half_constants",
    "half_radius",
    "has_compressed_constants",
    "layered",
    "stored_constants",
]

#: Unit roundoff of half precision, and half the distance of its smallest numbers.
UNIT16, LEAST16 = 2.0**-11, 2.0**-25
#: Multiples of 1/16 up to 16 are counts, sizes, halves: what nobody had to round.
_PLAIN = 16.0


def layered(model: Model) -> Layered:
    """Return a network's layers and interface."""
    found = model.prepare().layered
    if found is None:
        raise InternalError(f"{model.kind} is no network", remedy="Please report it")
    return found


def function_of(model: Model) -> Programmed:
    """Return an ML Program's function."""
    found = model.prepare().programmed
    if found is None:
        raise InternalError(f"{model.kind} is no ML Program", remedy="Please report it")
    return found


def half_radius(values: Doubles, constants: Constants) -> Doubles:
    """Return the radii of constants that are stored in half precision, in which most numbers are multiples of 2^-10.

    It has so few numbers that a single one, such as 1 / 32**0.5, may be among thousands of parameters by chance.
    """
    if constants.known is None or constants.standing_for(values) is not None:
        return np.zeros_like(values)
    plain = (values * _PLAIN == np.rint(values * _PLAIN)) & (np.abs(values) <= _PLAIN)
    if (plain | (np.isin(values, constants.known) & (values.ndim > 0))).all():
        return np.zeros_like(values)
    radius: Doubles = UNIT16 * np.abs(values) + LEAST16 + constants.radius(values)
    return radius


@dataclass(frozen=True)
class Stored:
    """A constant of a model.

    Attributes:
        operation, kind: its layer or operation, by name.
        field: what it is there.
        values: its numbers.
        half: whether they are stored in half precision.
        compressed: whether they are stored in a way that is more than rounding.
    """

    operation: str
    kind: str
    field: str
    values: Doubles
    half: bool = False
    compressed: bool = False

    @property
    def owner(self) -> str:
        """Its layer or operation, for messages."""
        return f"{self.operation!r} ({self.kind})"


def stored_constants(model: Model) -> Iterator[Stored]:
    """Yield the arrays of floats that layers or operations have for constants, in order."""
    if model.kind != "mlProgram":
        network = layered(model).network
        for step in steps_within(network.steps):
            if not isinstance(step.op, Control):
                found = _Collected()
                network.operation(step, found)
                for field, numbers in found.arrays:
                    compressed = 0 < weight_encoding(field.message).bits < 32
                    yield Stored(step.name, step.kind, field.name, numbers, compressed=compressed)
        for layer in walk_layers(getattr(model.spec, model.kind).layers):
            for name, number in _plain_numbers(layer):
                if name == "epsilon" and not _has_epsilon(layer):
                    continue
                yield Stored(layer.name, str(layer.WhichOneof("layer")), name, np.array(number))
        return
    for operation in walk(function_of(model).program.function.body):
        for parameter, values in operation.parameters.items():
            for value in values:
                array = np.asarray(value.known) if value.constant and value.tensor is not None else None
                if array is not None and array.dtype.kind == "f":
                    half, compressed = array.dtype == np.float16, isinstance(value.read, Folded)
                    numbers = array.astype(np.float64)
                    yield Stored(operation.name, operation.kind, parameter, numbers, half, compressed)


def _has_epsilon(layer: schema.NeuralNetworkLayer) -> bool:
    """Return whether a layer computes with its epsilon: converters write one for unary functions that ignore it."""
    unary = schema.UnaryFunctionLayerParams
    return layer.WhichOneof("layer") != "unary" or layer.unary.type in (unary.RSQRT, unary.INVERSE, unary.LOG)


def _plain_numbers(message: Message) -> Iterator[tuple[str, float]]:
    """Yield the numbers of a layer that are no weights, such as an epsilon, with the names of their fields."""
    for descriptor, value in message.ListFields():
        if isinstance(value, schema.WeightParams):
            continue
        for each in [value] if isinstance(value, (Message, float)) else value if descriptor.is_repeated else []:
            if isinstance(each, Message):
                yield from _plain_numbers(each)
            elif isinstance(each, float):
                yield descriptor.name, each


class _Collected:
    """A source of weights that notes them."""

    def __init__(self) -> None:
        self.arrays: list[tuple[WeightField, Doubles]] = []

    def read(self, node: Node, field: WeightField) -> Array:
        """Return the decoded weights."""
        values = np.asarray(Decoder().read(node, field), np.float64)
        self.arrays.append((field, values))
        return values


def half_constants(model: Model) -> list[Array]:
    """Return the constants of half precision that operations take."""
    return [each.values for each in stored_constants(model) if each.half]


def has_compressed_constants(model: Model) -> bool:
    """Return whether operations of a program make constants of constants."""
    body = function_of(model).program.function.body
    blocks = [body, *(inner for operation in walk(body) for inner in operation.blocks)]
    return any(block.folded for block in blocks)
