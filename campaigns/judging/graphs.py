"""Converted models as lists of operations that can be changed, networks and programs alike.

Operations of a program have their constants as parameters; all numbers are in the message, none in a file of weights.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refcoreml.neuralnetwork.graph import walk_layers
from refcoreml.spec import schema
from refcoreml.spec.blobs import BlobFiles
from refcoreml.spec.mil_types import DATA_TYPES, DeclaredTensor, read_type
from refcoreml.spec.mil_values import read_value, value_message
from refcoreml.spec.weights import encode_linear
from refcoreml.types import Array

__all__ = ["Graph", "NetworkGraph", "Operation", "ProgramGraph", "changed", "graph_of"]


@dataclass(frozen=True)
class Operation:
    """An operation or layer.

    Attributes:
        name: its name in the model.
        kind: its type.
        inputs, outputs: names of values, without constants.
        content: all of it but names.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    content: bytes


class Graph(ABC):
    """The operations of a model, which changes when they are changed."""

    def __init__(self, spec: schema.Model) -> None:
        self.spec = spec

    @abstractmethod
    def operations(self) -> list[Operation]:
        """Return all operations that are no constants, in order."""

    @abstractmethod
    def parameter(self, name: str, role: str) -> Array:
        """Return numbers of an operation: ``weight``, ``bias``, or others by the names that they have in programs."""

    @abstractmethod
    def set_parameter(self, name: str, role: str, values: Array) -> None:
        """Change numbers of an operation."""

    @abstractmethod
    def quantize(self, name: str, codes: Array, scales: Array) -> None:
        """Store the weights of a convolution as signed codes of 8 bits and a scale per output."""

    @abstractmethod
    def read_instead(self, old: str, new: str) -> None:
        """Let all that reads a value read another one."""

    @abstractmethod
    def drop(self, name: str) -> None:
        """Remove an operation."""

    def operation(self, name: str) -> Operation:
        """Return the operation of a name."""
        return next(operation for operation in self.operations() if operation.name == name)

    def remove(self, name: str) -> None:
        """Remove an operation; what read its result reads its first input."""
        removed = self.operation(name)
        assert removed.outputs[0] not in self.outputs(), "an output of the model would be missing"
        self.read_instead(removed.outputs[0], removed.inputs[0])
        self.drop(name)

    def outputs(self) -> list[str]:
        """Return the names of the model's outputs."""
        return [feature.name for feature in self.spec.description.output]

    def readers(self, value: str) -> list[str]:
        """Return the names of the operations that read a value."""
        return [operation.name for operation in self.operations() if value in operation.inputs]


#: Where a layer has the numbers that programs call so.
_FIELDS = {
    ("convolution", "weight"): "weights",
    ("innerProduct", "weight"): "weights",
    ("embeddingND", "weight"): "weights",
    ("embedding", "weight"): "weights",
    ("batchedMatmul", "weight"): "weights",
}


class NetworkGraph(Graph):
    """The layers of a neural network."""

    @property
    def _layers(self) -> Any:
        return self.spec.neuralNetwork.layers

    def operations(self) -> list[Operation]:
        """Return all layers, those in branches and loops included."""
        return [_layer(message) for message in walk_layers(self._layers)]

    def _message(self, name: str) -> Any:
        return next(message for message in self._layers if message.name == name)

    def parameters(self, name: str) -> Any:
        """Return the message with the parameters of a layer."""
        message = self._message(name)
        return getattr(message, message.WhichOneof("layer"))

    def _weights(self, name: str, role: str) -> tuple[Any, Any]:
        kind = self._message(name).WhichOneof("layer")
        parameters = self.parameters(name)
        return parameters, getattr(parameters, _FIELDS.get((kind, role), role))

    def parameter(self, name: str, role: str) -> Array:
        """Return numbers in the shape that they have in programs."""
        parameters, weights = self._weights(name, role)
        flat = np.array(weights.floatValue, np.float32)
        return flat.reshape(_shape(self._message(name), role, parameters, flat.size))

    def set_parameter(self, name: str, role: str, values: Array) -> None:
        """Change numbers; a layer gets a bias if it had none."""
        parameters, weights = self._weights(name, role)
        del weights.floatValue[:]
        weights.floatValue.extend(np.asarray(values, np.float32).reshape(-1).tolist())
        if role == "bias":
            parameters.hasBias = True

    def quantize(self, name: str, codes: Array, scales: Array) -> None:
        """Store codes above 0 with a bias that makes up for it."""
        unsigned = (codes.astype(np.int16) + 128).astype(np.uint8).reshape(-1)
        self.parameters(name).weights.CopyFrom(encode_linear(unsigned, 8, scales, -128 * scales))

    def read_instead(self, old: str, new: str) -> None:
        """Rename inputs."""
        for message in self._layers:
            names = [new if name == old else name for name in message.input]
            del message.input[:]
            message.input.extend(names)

    def drop(self, name: str) -> None:
        """Remove a layer."""
        del self._layers[[message.name for message in self._layers].index(name)]


def _layer(message: Any) -> Operation:
    kind = str(message.WhichOneof("layer"))
    content = kind.encode() + getattr(message, kind).SerializeToString(deterministic=True)
    return Operation(message.name, kind, tuple(message.input), tuple(message.output), content)


def _shape(message: Any, role: str, parameters: Any, size: int) -> tuple[int, ...]:
    kind = message.WhichOneof("layer")
    if kind == "convolution" and role == "weight":
        rest = (parameters.kernelChannels, *parameters.kernelSize)
        if parameters.isDeconvolution:  # [inputs, outputs / groups, ...]
            return (rest[0], size // int(np.prod(rest)), *rest[1:])
        return (parameters.outputChannels, *rest)
    if kind == "innerProduct" and role == "weight":
        return (parameters.outputChannels, parameters.inputChannels)
    if kind == "batchedMatmul" and role == "weight":
        return (parameters.weightMatrixFirstDimension, parameters.weightMatrixSecondDimension)
    return (size,)


class ProgramGraph(Graph):
    """The operations of the one block of an ML Program.

    Args:
        spec: the model, which is changed.
        files: its files of weights; after this the message needs none.
    """

    def __init__(self, spec: schema.Model, files: BlobFiles | None = None) -> None:
        super().__init__(spec)
        if files is not None:
            for message in _walk(self._messages):
                if message.type == "const":
                    _write_value(message, read_value(message.attributes["val"], files).get())

    @property
    def _block(self) -> Any:
        (function,) = self.spec.mlProgram.functions.values()
        return function.block_specializations[function.opset]

    @property
    def _messages(self) -> Any:
        return self._block.operations

    def _constants(self) -> dict[str, Any]:
        return {message.outputs[0].name: message for message in _walk(self._messages) if message.type == "const"}

    def operations(self) -> list[Operation]:
        """Return all but constants, those in blocks included."""
        constants = self._constants()
        return [_operation(message, constants) for message in _walk(self._messages) if message.type != "const"]

    def _message(self, name: str) -> Any:
        return next(message for message in self._messages if _name(message) == name)

    def arguments(self, name: str) -> dict[str, list[Any]]:
        """Return what each input of an operation is bound to: names as texts, constants as one-element lists."""
        constants = self._constants()
        return {
            role: [_bound(binding, constants) for binding in argument.arguments]
            for role, argument in self._message(name).inputs.items()
        }

    def parameter(self, name: str, role: str) -> Array:
        """Return a constant."""
        (found,) = self.arguments(name)[role]
        return np.array(found[0])

    def set_parameter(self, name: str, role: str, values: Array) -> None:
        """Bind an input to a new constant, of the type that it has."""
        message = self._message(name)
        (binding,) = message.inputs[role].arguments
        old = self._constants()[binding.name]
        declared = read_type(old.outputs[0].type)
        assert isinstance(declared, DeclaredTensor)
        readers = [m for m in self._messages for a in m.inputs.values() if binding in a.arguments]
        if len(readers) > 1:
            new = type(old)()
            new.CopyFrom(old)
            new.outputs[0].name = binding.name = f"{name}_{role}_of_its_own"
            _name_as(new, binding.name)
            self._insert(new, name)
            old = self._constants()[binding.name]
        _write_value(old, np.asarray(values, declared.element.dtype))

    def _insert(self, message: Any, before: str) -> None:
        messages = list(self._messages)
        messages.insert([_name(other) for other in messages].index(before), message)
        copies = [type(message).FromString(other.SerializeToString()) for other in messages]
        del self._messages[:]
        self._messages.extend(copies)

    def quantize(self, name: str, codes: Array, scales: Array) -> None:
        """Make the constant of codes and scales."""
        message = self._message(name)
        (binding,) = message.inputs["weight"].arguments
        made = self._constants()[binding.name]
        made.type = "constexpr_affine_dequantize"
        del made.attributes["val"]
        values = {"quantized_data": codes, "zero_point": np.int8(0), "scale": scales, "axis": np.int32(0)}
        for role, value in values.items():
            array = np.asarray(value)
            made.attributes[role].CopyFrom(value_message(_declared(array), array))

    def _maker(self, name: str) -> Any:
        (binding,) = self._message(name).inputs["weight"].arguments
        return next(message for message in self._messages if binding.name in [out.name for out in message.outputs])

    def attribute(self, name: str, role: str) -> Array:
        """Return what the operation that makes the weights of another one makes them of."""
        return np.array(read_value(self._maker(name).attributes[role]).get())

    def set_attribute(self, name: str, role: str, values: Array) -> None:
        """Change that."""
        self._maker(name).attributes[role].CopyFrom(value_message(_declared(values), values))

    def attributes(self, name: str) -> dict[str, Array]:
        """Return the numbers that an operation has as attributes."""
        message = self._message(name)
        return {role: np.array(read_value(value).get()) for role, value in message.attributes.items() if role != "name"}

    def read_instead(self, old: str, new: str) -> None:
        """Rename bindings."""
        for message in self._messages:
            for argument in message.inputs.values():
                for binding in argument.arguments:
                    if binding.WhichOneof("binding") == "name" and binding.name == old:
                        binding.name = new

    def drop(self, name: str) -> None:
        """Remove an operation."""
        del self._messages[[_name(message) for message in self._messages].index(name)]


def _walk(messages: Any) -> Iterator[Any]:
    """Yield operations, each before those in its blocks."""
    for message in messages:
        yield message
        for block in message.blocks:
            yield from _walk(block.operations)


def _name(message: Any) -> str:
    strings = message.attributes["name"].immediateValue.tensor.strings.values if "name" in message.attributes else ()
    return str(strings[0]) if strings else str(message.outputs[0].name)


def _name_as(message: Any, name: str) -> None:
    if "name" in message.attributes:
        message.attributes["name"].immediateValue.tensor.strings.values[0] = name


def _declared(array: Array) -> DeclaredTensor:
    element = next(e for e in DATA_TYPES.values() if e.dtype == array.dtype and e.bits == 8 * array.dtype.itemsize)
    return DeclaredTensor(element, array.shape)


def _write_value(message: Any, value: Any) -> None:
    declared = read_type(message.attributes["val"].type)
    if isinstance(declared, DeclaredTensor):
        message.attributes["val"].CopyFrom(value_message(declared, np.asarray(value)))


def _bound(binding: Any, constants: Mapping[str, Any]) -> Any:
    """Return the name of a value, or a list of what a constant is."""
    if binding.WhichOneof("binding") == "value":
        return [read_value(binding.value).get()]
    if binding.name in constants:
        return [read_value(constants[binding.name].attributes["val"]).get()]
    return str(binding.name)


def _operation(message: Any, constants: Mapping[str, Any]) -> Operation:
    inputs: list[str] = []
    parts = [message.type.encode()]
    for role in sorted(message.inputs):
        parts.append(role.encode())
        for binding in message.inputs[role].arguments:
            found = _bound(binding, constants)
            if isinstance(found, str):
                parts.append(b"a value")
            elif isinstance(found[0], np.ndarray) and found[0].dtype.kind != "O":
                parts.append(str((found[0].dtype, found[0].shape)).encode() + found[0].tobytes())
            else:
                parts.append(repr(found[0]).encode())
    for role in sorted(message.attributes):
        if role != "name":
            parts.append(role.encode() + message.attributes[role].SerializeToString(deterministic=True))
    inner = [other for block in message.blocks for other in block.operations if other.type != "const"]
    parts += [_operation(other, constants).content for other in inner]
    for role in _ordered(message.inputs):
        found_names = [_bound(binding, constants) for binding in message.inputs[role].arguments]
        inputs.extend(name for name in found_names if isinstance(name, str))
    outputs = tuple(out.name for out in message.outputs)
    return Operation(_name(message), message.type, tuple(inputs), outputs, b"\0".join(parts))


def _ordered(roles: Mapping[str, Any]) -> list[str]:
    """Return the roles of inputs, what comes first in formulas before the others."""
    first = [role for role in ("x", "input", "query", "a", "data", "values", "cond", "y") if role in roles]
    return first + sorted(set(roles) - set(first))


def graph_of(spec: schema.Model) -> Graph:
    """Return the graph of a model whose numbers are all in the message."""
    return ProgramGraph(spec) if spec.WhichOneof("Type") == "mlProgram" else NetworkGraph(spec)


def changed(right: Graph, faulty: Graph) -> list[str]:
    """Return the names, in the faulty model, of operations that the right one does not have on inputs that it has.

    Where an operation is missing, these are those that would read its result; where only inputs are exchanged, those
    that have them.
    """
    known, contents = set(_computed(right).values()), {operation.content for operation in right.operations()}
    mine = _computed(faulty)
    found = []
    for operation in faulty.operations():
        inputs = [mine.get(name) for name in operation.inputs]
        new = any(mine[name] not in known for name in operation.outputs)
        if not operation.outputs:  # a layer that is a loop or a branch
            new = operation.content not in contents
        if new and all(value is None or value in known for value in inputs):
            found.append(operation.name)
            if not operation.inputs:  # a constant: what reads it gets something else
                found += [name for output in operation.outputs for name in faulty.readers(output)]
    return list(dict.fromkeys(found))


def _computed(graph: Graph) -> dict[str, bytes]:
    """Return a digest of how each value is computed, which has no names but those of the model's inputs."""
    found: dict[str, bytes] = {}
    for operation in graph.operations():
        digest = hashlib.sha256(operation.content)
        for name in operation.inputs:
            digest.update(found.get(name, name.encode()))
        for port, name in enumerate(operation.outputs):
            found[name] = hashlib.sha256(digest.digest() + bytes([port])).digest()
    return found


def names_of(operation: Operation) -> Iterator[str]:
    """Yield what an operation may be called: its own name, and those of its results."""
    yield operation.name
    yield from operation.outputs
