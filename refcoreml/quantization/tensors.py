"""Where a model's weights are: `weight_tensors`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from typing import Any

import numpy as np
from google.protobuf.message import Message

from refcoreml.errors import InvalidModelError, UnsupportedModelError
from refcoreml.evaluators.pipeline import inner_models
from refcoreml.model import Model, as_model
from refcoreml.neuralnetwork.graph import checked_nodes, walk_layers
from refcoreml.neuralnetwork.interface import Interface
from refcoreml.neuralnetwork.registry import LAYERS, Node, WeightField, prepare_layer
from refcoreml.spec import schema
from refcoreml.spec.weights import WeightEncoding, check_weights, decode_weights, weight_encoding
from refcoreml.types import Array, Shape

_ALL = frozenset({"float32", "float16", "linear", "lookup table"})
_FLOATS = frozenset({"float32", "float16"})

#: The encodings that Apple's validator lets the fields of some layers have; those of all others may have any. A layer
#: with ``int8DynamicQuantize`` keeps its int8 weights. The vectors of an activation hold no count, which codes need.
_ALLOWED = {
    "convolution3d": _FLOATS,
    "activation": _FLOATS,
    "layerNormalization": frozenset({"float32"}),
}

#: What to do about the weights of ML Programs.
_COMPRESS = (
    "Compress it with coremltools.optimize.coreml; refcoreml runs the result, and compare_models (refcoreml compare) "
    "measures what was lost"
)


@dataclass(frozen=True)
class WeightTensor:
    """One field of weights of one layer.

    Attributes:
        layer: the layer's name.
        kind: the layer's type as the schema calls it.
        field: the field, such as ``weights`` or ``weightParams[0].inputGateWeightMatrix``.
        where: the place in the model, for messages; unlike the name it is never shared.
        shape: the declared shape.
        channel_axis: the axis along which per-channel scales run.
        message: the ``WeightParams`` itself: what is written to it changes the model.
        spec: the layer's message.
        updatable: whether training on a device may change it.
        allowed: the kinds of encoding that Apple's validator accepts here.
        channel_scales: whether it accepts one scale per channel, rather than a single one.
    """

    layer: str
    kind: str
    field: str
    where: str
    shape: Shape
    channel_axis: int
    message: schema.WeightParams = dataclass_field(repr=False)
    spec: schema.NeuralNetworkLayer = dataclass_field(repr=False)
    updatable: bool
    allowed: frozenset[str]
    channel_scales: bool

    @property
    def name(self) -> str:
        """The layer's name and the field's."""
        return f"{self.layer}.{self.field}"

    @property
    def count(self) -> int:
        """The number of weights."""
        return math.prod(self.shape)

    @property
    def channels(self) -> int:
        """The length of the channel axis: the number of output channels of a matrix or kernel."""
        return self.shape[self.channel_axis] if self.shape else 1

    @property
    def encoding(self) -> WeightEncoding:
        """How the values are stored now."""
        return weight_encoding(self.message, where=self.where)

    @property
    def stored_bytes(self) -> int:
        """Bytes that the field takes in the file, with scales and tables."""
        return self.message.ByteSize()

    def values(self, dtype: type[np.floating[Any]] = np.float32) -> Array:
        """Return the decoded weights, in the declared shape; an array that nobody else holds.

        Raises:
            InvalidModelError: the field holds another number of values, or a NaN or an infinity.
        """
        decoded = decode_weights(
            self.message, self.shape, dtype=dtype, channel_axis=self.channel_axis, where=self.where
        )
        finite = np.isfinite(decoded)
        if not finite.all():
            place = np.unravel_index(int(np.argmin(finite)), self.shape)
            raise InvalidModelError(
                f"weight [{', '.join(map(str, place))}] is {decoded[place]}, of {np.sum(~finite)} that are not finite",
                where=self.where,
                remedy="NaN and infinities cannot be quantized; find out where they originate",
            )
        return decoded


def check_has_tensors(model: Model) -> None:
    """Raise what `weight_tensors` raises for models whose weights are stored in another way, before any work.

    Raises:
        UnsupportedModelError: the model is an ML Program, or holds one.
    """
    _check_kind(model.spec, "")


def _check_kind(spec: schema.Model, where: str) -> None:
    kind = str(spec.WhichOneof("Type"))
    if kind == "mlProgram":
        raise UnsupportedModelError(
            "the weights of ML Programs cannot be listed or quantized yet", where=f"{where}{kind}", remedy=_COMPRESS
        )
    for index, (_, inner) in enumerate(inner_models(spec)):
        _check_kind(inner, f"{where}{kind}.models[{index}].")


def weight_tensors(model: Any) -> list[WeightTensor]:
    """Return every field of weights that the model's networks read: in branches and loops and inside pipelines too.

    Custom layers are left out: only their own code knows the shape of their weights. The messages are the model's own.

    Args:
        model: a `Model`, which need not be prepared, or anything that `refcoreml.load` takes.

    Raises:
        InvalidModelError: a layer breaks a rule of the specification.
        UnsupportedModelError: the model is an ML Program, or holds one, whose weights are stored in another way.
    """
    loaded = as_model(model, prepare=False)
    check_has_tensors(loaded)
    return list(_of_model(loaded.spec, ""))


def _of_model(spec: schema.Model, where: str) -> Iterator[WeightTensor]:
    kind = spec.WhichOneof("Type")
    if kind is None:
        raise InvalidModelError("the model has no type", where=where.rstrip("."))
    message = getattr(spec, kind)
    place = f"{where}{kind}"
    if kind.startswith("neuralNetwork"):
        yield from _of_network(spec.description, message, place)
    for index, (_, inner) in enumerate(inner_models(spec)):
        yield from _of_model(inner, f"{place}.models[{index}].")


def _of_network(description: schema.ModelDescription, network: Any, where: str) -> Iterator[WeightTensor]:
    interface = Interface(description, network)
    names = interface.inputs, interface.outputs
    nodes = checked_nodes(network.layers, where, *names, runnable=False, rank5=interface.rank5)
    recorder = _Recorder()
    with np.errstate(all="ignore"):
        for node in walk_layers(nodes):
            if node.kind in LAYERS and node.kind != "custom":
                prepare_layer(replace(node, source=recorder))
    yield from recorder.found


class _Recorder:
    """A source that records which weights layers request, instead of decoding them."""

    def __init__(self) -> None:
        self.found: list[WeightTensor] = []

    def read(self, node: Node, field: WeightField) -> Array:
        """Note the field, if it holds what the shape needs; return ones, without memory, in place of the values."""
        check_weights(field.message, field.shape, channel_axis=field.channel_axis, where=f"{node.where}.{field.name}")
        allowed = _ALLOWED.get(node.kind, _ALL)
        if field.name == "weights" and getattr(node.params, "int8DynamicQuantize", False):
            allowed = frozenset({"int8", "float32"})
        path = _path(node.params, field.holder, "") + field.name
        self.found.append(
            WeightTensor(
                layer=node.spec.name,
                kind=node.kind,
                field=path,
                where=f"{node.where}.{path}",
                shape=field.shape,
                channel_axis=field.channel_axis,
                message=field.message,
                spec=node.spec,
                updatable=node.spec.isUpdatable or field.message.isUpdatable,
                allowed=allowed,
                channel_scales=_channel_scales(node, field.shape),
            )
        )
        return np.broadcast_to(node.dtype(1), field.shape)


def _channel_scales(node: Node, shape: Shape) -> bool:
    """Return what Apple's validator says: vectors have one scale; so have the constants of N-D networks.

    A deconvolution's scales run over the output channels of one group, but the validator counts those of all.
    """
    if len(shape) < 2 or node.kind == "loadConstantND":
        return False
    return not (node.kind == "convolution" and node.params.isDeconvolution and node.params.nGroups > 1)


def _path(message: Message, wanted: Message, prefix: str) -> str:
    """Return the path from a layer's message to one inside it, such as ``weightParams[1].``; empty if equal."""
    if message is wanted:
        return prefix
    for item, value in message.ListFields():
        if item.message_type is None or item.message_type.name in ("WeightParams", "NeuralNetwork"):
            continue
        several: Sequence[Message] = [value] if isinstance(value, Message) else list(value)
        for index, element in enumerate(several):
            name = f"{prefix}{item.name}" + ("." if value is element else f"[{index}].")
            found = _path(element, wanted, name)
            if found:
                return found
    return ""
