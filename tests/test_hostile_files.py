"""Hostile and damaged models: every one is either computed or refused with a RefCoreMLError, fast and in little memory.

Three groups: about a thousand seeded mutations of sound models (ours always; real ones from the folder that the
environment variable REFCOREML_MODELS names, or ``../shared/models``); every number of every layer replaced by hostile
ones; and models written by hand to hurt. They run in a process of their own, see `hostile`.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.descriptor import FieldDescriptor
from hostile import SECONDS, Judge, Maker, answer, attempt, check
from profiles import THOROUGH

from refcoreml import build, demo
from refcoreml.execution.limits import Limits
from refcoreml.neuralnetwork.registry import LAYERS
from refcoreml.spec import schema

HUGE = 2**40
MANY = 100_000 if THOROUGH else 20_000
FIRST_ND_LAYER = 600
_NUMBERS = {field.name: field.number for field in schema.NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields}


# --- sound layers and models to start from ----------------------------------------------------------------------------


def numbers(*shape: int) -> Any:
    return ((np.arange(np.prod(shape)) % 7 - 3) / 4).astype(np.float32).reshape(shape)


def codes(bits: int, count: int, **how: Any) -> schema.WeightParams:
    data = bytes(i * 37 % 256 for i in range(-(-count * bits // 8)))
    return build.fill(schema.WeightParams(rawValue=data), {"quantization": {"numberOfBits": bits, **how}}, "codes")


def gates(message: Any, inputs: int, size: int) -> dict[str, Any]:
    """All weights of a recurrent layer, under the names that its message gives them."""
    shapes = {
        "Matrix": (size, inputs),
        "RecursionMatrix": (size, size),
        "recursionMatrix": (size, size),
        "Vector": (size,),
    }
    names = [field.name for field in message.DESCRIPTOR.fields if field.message_type is schema.WeightParams.DESCRIPTOR]
    return {name: numbers(*next(shapes[end] for end in reversed(shapes) if name.endswith(end))) for name in names}


_BORDERS = {"border_amounts": [{"start_edge_size": 1}, {"end_edge_size": 2}]}
_LSTM = {"sequence_output": True, "has_bias_vectors": True, "has_peephole_vectors": True}
_THREE = [{"sigmoid": {}}, {"tanh": {}}, {"tanh": {}}]
_RECURRENT = {"input_vector_size": 3, "output_vector_size": 2}
_CHW = [(4, 5, 7)]

#: For each layer that needs more than one input and no parameters: shapes of its inputs, number of outputs, parameters.
SOUND: dict[str, tuple[list[tuple[int, ...]], int, dict[str, Any]]] = {
    "convolution": (
        _CHW,
        1,
        {
            "kernel_size": [3, 2],
            "stride": [1, 2],
            "dilation_factor": [1, 2],
            "valid": {"padding_amounts": _BORDERS},
            "n_groups": 2,
            "kernel_channels": 2,
            "output_channels": 6,
            "weights": numbers(6, 2, 3, 2),
            "has_bias": True,
            "bias": numbers(6),
        },
    ),
    "pooling": (
        _CHW,
        1,
        {"type": "AVERAGE", "kernel_size": [3, 2], "stride": [1, 2], "valid": {"padding_amounts": _BORDERS}},
    ),
    "activation": (_CHW, 1, {"PReLU": {"alpha": numbers(4)}}),
    "innerProduct": (
        [(12,)],
        1,
        {
            "input_channels": 12,
            "output_channels": 5,
            "weights": codes(4, 60, linearQuantization={"scale": [0.5] * 5, "bias": [-1.0] * 5}),
            "has_bias": True,
            "bias": numbers(5),
        },
    ),
    "embedding": ([(1,)], 1, {"input_dim": 6, "output_channels": 5, "weights": numbers(5, 6)}),
    "batchnorm": (
        _CHW,
        1,
        {"channels": 4, "gamma": numbers(4), "beta": numbers(4), "mean": numbers(4), "variance": numbers(4) ** 2},
    ),
    "lrn": (_CHW, 1, {"alpha": 0.5, "beta": 0.75, "local_size": 3, "k": 1}),
    "crop": (_CHW, 1, {"crop_amounts": _BORDERS}),
    "padding": (_CHW, 1, {"constant": {"value": 0.5}, "padding_amounts": _BORDERS}),
    "upsample": (_CHW, 1, {"scaling_factor": [2, 3], "mode": "BILINEAR"}),
    "resizeBilinear": (_CHW, 1, {"target_size": [3, 9], "mode": {"samplingMethod": "ROI_ALIGN_MODE"}}),
    "cropResize": ([(4, 5, 7), (4, 1, 1)], 1, {"target_size": [3, 9], "spatial_scale": 0.5}),
    "unary": (_CHW, 1, {"type": "INVERSE", "scale": 2, "shift": 1}),
    "scale": (
        _CHW,
        1,
        {"shape_scale": [4], "scale": numbers(4), "has_bias": True, "shape_bias": [4, 5, 7], "bias": numbers(4, 5, 7)},
    ),
    "bias": (_CHW, 1, {"shape": [1, 5, 7], "bias": numbers(1, 5, 7)}),
    "reduce": (_CHW, 1, {"mode": "LOGSUM", "axis": "HW"}),
    "loadConstant": ([], 1, {"shape": [4, 5, 7], "data": numbers(4, 5, 7)}),
    "reshape": (_CHW, 1, {"target_shape": [7, 4, 5], "mode": "CHANNEL_LAST"}),
    "permute": (_CHW, 1, {"axis": [0, 2, 3, 1]}),
    "split": (_CHW, 2, {"n_outputs": 2}),
    "sequenceRepeat": (_CHW, 1, {"n_repetitions": 3}),
    "reorganizeData": (_CHW, 1, {"mode": "DEPTH_TO_SPACE", "block_size": 2}),
    "slice": (_CHW, 1, {"start_index": 1, "end_index": -1, "stride": 2, "axis": "WIDTH_AXIS"}),
    "simpleRecurrent": (
        [(3,), (2,)],
        2,
        {
            **_RECURRENT,
            **gates(schema.SimpleRecurrentLayerParams, 3, 2),
            "has_bias_vector": True,
            "sequence_output": True,
            "activation": {"tanh": {}},
        },
    ),
    "gru": (
        [(3,)],
        2,
        {
            **_RECURRENT,
            **gates(schema.GRULayerParams, 3, 2),
            "has_bias_vectors": True,
            "sequence_output": True,
            "activations": _THREE[:2],
        },
    ),
    "uniDirectionalLSTM": (
        [(3,)],
        3,
        {
            **_RECURRENT,
            "params": _LSTM,
            "activations": _THREE,
            "weight_params": gates(schema.LSTMWeightParams, 3, 2),
        },
    ),
    "biDirectionalLSTM": (
        [(3,)],
        5,
        {
            **_RECURRENT,
            "params": _LSTM,
            "activations_forward_LSTM": _THREE,
            "activations_backward_LSTM": _THREE,
            "weight_params": [gates(schema.LSTMWeightParams, 3, 2)] * 2,
        },
    ),
    "concat": ([(4, 5, 7), (3, 5, 7)], 1, {}),
    "rangeStatic": ([], 1, {"end_value": 9, "start_value": 2, "step_size_value": 0.5}),
    "tile": (_CHW, 1, {"reps": [2, 1, 3]}),
    "splitND": (_CHW, 2, {"axis": 0, "split_sizes": [1, 3]}),
    "concatND": ([(4, 5, 7), (3, 5, 7)], 1, {}),
    "gather": ([(4, 5, 7), (3,)], 1, {"axis": 1}),
    "gatherAlongAxis": ([(4, 5, 7), (2, 5, 7)], 1, {"axis": 0}),
    "scatter": ([(4, 5, 7), (3,), (4, 3, 7)], 1, {"axis": 1}),
    "gatherND": ([(4, 5, 7), (3, 2)], 1, {}),
    "transpose": (_CHW, 1, {"axes": [2, 0, 1]}),
    "reverse": (_CHW, 1, {"reverse_dim": [True, False, True]}),
    "sliceStatic": (
        _CHW,
        1,
        {
            "begin_ids": [0, 1, 2],
            "begin_masks": [False] * 3,
            "end_ids": [3, -1, 7],
            "end_masks": [False] * 3,
            "strides": [2, 1, 3],
            "squeeze_masks": [False] * 3,
        },
    ),
    "slidingWindows": (_CHW, 1, {"axis": 2, "window_size": 3, "step": 2}),
    "topK": (_CHW, 2, {"axis": 1, "K": 2}),
    "embeddingND": ([(4, 1)], 1, {"vocab_size": 6, "embedding_size": 5, "weights": numbers(5, 6)}),
    "batchedMatmul": (
        _CHW,
        1,
        {"weight_matrix_first_dimension": 7, "weight_matrix_second_dimension": 3, "weights": numbers(3, 7)},
    ),
    "loadConstantND": ([], 1, {"shape": [4, 5], "data": numbers(4, 5)}),
    "fillStatic": ([], 1, {"value": 2, "target_shape": [4, 5]}),
    "broadcastToStatic": ([(5, 1)], 1, {"target_shape": [4, 5, 7]}),
    "squeeze": ([(1, 5, 7)], 1, {"axes": [0]}),
    "expandDims": (_CHW, 1, {"axes": [0]}),
    "reshapeStatic": (_CHW, 1, {"target_shape": [7, -1]}),
    "rankPreservingReshape": (_CHW, 1, {"target_shape": [0, 7, -1]}),
    "constantPad": (_CHW, 1, {"value": 2, "pad_amounts": [1, 2, 0, 3, 1, 0]}),
    "randomNormalStatic": ([], 1, {"std_dev": 1, "output_shape": [4, 5]}),
    "randomUniformStatic": ([], 1, {"max_val": 1, "output_shape": [4, 5]}),
    "randomBernoulliStatic": ([], 1, {"prob": 0.5, "output_shape": [4, 5]}),
    "categoricalDistribution": ([(5, 7)], 1, {"num_samples": 3, "eps": 1e-10, "temperature": 1}),
    "layerNormalization": (_CHW, 1, {"normalized_shape": [7], "eps": 1e-3, "gamma": numbers(7), "beta": numbers(7)}),
    "sliceBySize": ([(4, 5, 7), (1,)], 1, {"size": 2, "axis": 1}),
    "oneHot": ([(4, 5)], 1, {"one_hot_vector_size": 6, "axis": 1, "on_value": 1}),
    "pooling3d": (
        [(2, 4, 5, 7, 9)],
        1,
        {
            **{f"kernel_{axis}": 2 for axis in ("depth", "height", "width")},
            **{f"stride_{axis}": 1 for axis in ("depth", "height", "width")},
        },
    ),
    "convolution3d": (
        [(2, 4, 5, 7, 9)],
        1,
        {
            **{f"{what}_{axis}": 1 for what in ("stride", "dilation") for axis in ("depth", "height", "width")},
            **{"kernel_depth": 2, "kernel_height": 3, "kernel_width": 4, "n_groups": 1},
            **{"input_channels": 4, "output_channels": 3, "weights": numbers(3, 4, 2, 3, 4)},
        },
    ),
}


def layer_model(kind: str) -> schema.Model:
    """A model of this layer alone, as `SOUND` has it; else without parameters, with as few blobs as it takes."""
    least = LAYERS[kind].inputs[0], max(1, LAYERS[kind].outputs[0])
    shapes, outputs, fields = SOUND.get(kind, (_CHW * least[0], least[1], {}))
    inputs = {f"x{i}": shape for i, shape in enumerate(shapes)}
    made = [f"y{i}" for i in range(outputs)]
    net = build.Network(inputs, made, exact=_NUMBERS[kind] >= FIRST_ND_LAYER)
    net.add(kind, inputs=list(inputs), outputs=made, **fields)
    spec = net.spec()
    if not inputs:  # a model must have one
        spec.description.input.add(name="unused").type.CopyFrom(build.array(1))
    return spec


def convolutional() -> schema.Model:
    net = build.Network({"image": build.image(7, 5)}, ["p"], classes=["a", "b", "c"])
    net.preprocess("image", channel_scale=1 / 255, red_bias=-0.5)
    net.add(
        "convolution", kernel_size=[3, 2], kernel_channels=3, output_channels=4, same={}, weights=numbers(4, 3, 3, 2)
    )
    net.add("batchnorm", **SOUND["batchnorm"][2])
    net.add("activation", leakyReLU={"alpha": 0.1})
    net.add("pooling", type="AVERAGE", kernel_size=[2, 3], stride=[1, 2], same={})
    net.add("flatten", mode="CHANNEL_LAST")
    table = codes(2, 80 * 3, lookupTableQuantization={"floatValue": [-1, 0, 0.5, 2]})
    net.add("innerProduct", input_channels=80, output_channels=3, weights=table)
    net.add("softmax", outputs="p")
    return net.spec()


def recurrent() -> schema.Model:
    net = build.Network({"x": (3,), "h": (2,)}, ["y"])
    for kind in ("gru", "uniDirectionalLSTM", "biDirectionalLSTM", "simpleRecurrent"):
        shapes, outputs, fields = SOUND[kind]
        net.add(kind, inputs=["x", "h"][: len(shapes)], outputs=[f"{kind}{i}" for i in range(outputs)], **fields)
    net.add("concat", inputs=["gru0", "uniDirectionalLSTM0", "biDirectionalLSTM0", "simpleRecurrent0"], outputs="y")
    return net.spec()


def reshaping() -> schema.Model:
    """With an input of flexible shape."""
    flexible = build.array(4, 6, 10)
    for bounds in ((4, 4), (2, 12), (10, -1)):
        flexible.multiArrayType.shapeRange.sizeRanges.add(lowerBound=bounds[0], upperBound=bounds[1])
    net = build.Network({"x": flexible}, ["y", "z"])
    net.add("padding", reflection={}, padding_amounts=_BORDERS)
    net.add("slice", start_index=1, end_index=-1, stride=2, axis="HEIGHT_AXIS")
    net.add("permute", axis=[0, 3, 1, 2])
    net.add("reduce", mode="SUM", axis="W", outputs="z")
    net.add("split", inputs="x", outputs=["first", "second"], n_outputs=2)
    net.add("concat", inputs=["second", "first", "first"])
    net.add("upsample", scaling_factor=[2, 3], mode="BILINEAR")
    net.add("resizeBilinear", target_size=[6, 10])
    net.add("crop", crop_amounts=_BORDERS)
    net.add("sequenceRepeat", n_repetitions=2)
    net.add("unary", type="INVERSE", outputs="y")
    return net.spec()


def trained() -> schema.Model:
    return schema.Model.FromString(demo.digits_model_path().read_bytes())


OURS: dict[str, Callable[[], schema.Model]] = {
    "demo": trained,
    "convolutional": convolutional,
    "recurrent": recurrent,
    "reshaping": reshaping,
}


# --- hostile numbers --------------------------------------------------------------------------------------------------

_VALUES: dict[int, list[Any]] = {
    FieldDescriptor.CPPTYPE_INT32: [0, 1, -1, 2**31 - 1, -(2**31)],
    FieldDescriptor.CPPTYPE_UINT32: [0, 1, 2**32 - 1],
    FieldDescriptor.CPPTYPE_INT64: [0, 1, -1, 2**31, HUGE, 2**63 - 1, -(2**63)],
    FieldDescriptor.CPPTYPE_UINT64: [0, 1, 2**31, HUGE, 2**50, 2**63, 2**64 - 1],
    FieldDescriptor.CPPTYPE_FLOAT: [0.0, -1.0, 1e30, 1e-40, float("inf"), float("nan")],
    FieldDescriptor.CPPTYPE_DOUBLE: [0.0, -1.0, 1e300, float("inf"), float("nan")],
    FieldDescriptor.CPPTYPE_BOOL: [False, True],
    FieldDescriptor.CPPTYPE_ENUM: [0, 1, 2, 3, 77, -1],
    FieldDescriptor.CPPTYPE_STRING: ["", "\0", "y0", "x" * 100_000],
}
_BYTES = [b"", b"\xff", b"\xff" * 64]


def is_repeated(field: FieldDescriptor) -> bool:
    """Protobuf 6 brought is_repeated, and 7 took label away."""
    return bool(field.is_repeated) if hasattr(field, "is_repeated") else field.label == FieldDescriptor.LABEL_REPEATED


def leaves(message: Any) -> Iterator[tuple[Any, FieldDescriptor]]:
    """Every plain field, set or not, of the message and of the messages set within it: the holder and the field."""
    for field in message.DESCRIPTOR.fields:
        if field.message_type is None:
            yield message, field
        elif field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                for _, item in sorted(getattr(message, field.name).items()):
                    yield from leaves(item)
        elif is_repeated(field):
            for item in getattr(message, field.name):
                yield from leaves(item)
        elif message.HasField(field.name):
            yield from leaves(getattr(message, field.name))


def spoilers(holder: Any, field: FieldDescriptor) -> list[Callable[[Any], None]]:
    """What can be done to a field: functions that take its holder (or a copy of it)."""

    def setter(value: Any) -> Callable[[Any], None]:
        return lambda other: setattr(other, field.name, value)

    def filler(values: list[Any]) -> Callable[[Any], None]:
        def fill(other: Any) -> None:
            del getattr(other, field.name)[:]
            getattr(other, field.name).extend(values)

        return fill

    hostile = _BYTES if field.type == FieldDescriptor.TYPE_BYTES else _VALUES[field.cpp_type]
    if not is_repeated(field):
        return [setter(value) for value in hostile]
    held = list(getattr(holder, field.name)[:1000])
    found = [filler([value] * max(1, len(held))) for value in hostile]
    found += [filler([value, *held[1:]]) for value in hostile if held]
    return [*found, filler([]), filler(held[:1]), filler(held * 3), filler([hostile[1]] * 1000)]


def swept(kind: str) -> Iterator[Maker]:
    """The model of one layer, with each of its fields spoiled in each way."""
    sound = layer_model(kind)
    spots = list(leaves(sound.neuralNetwork.layers[0]))
    for index, (holder, field) in enumerate(spots):
        for way, spoil in enumerate(spoilers(holder, field)):

            def make(index: int = index, spoil: Callable[[Any], None] = spoil) -> schema.Model:
                model = schema.Model()
                model.CopyFrom(sound)
                spoil(list(leaves(model.neuralNetwork.layers[0]))[index][0])
                return model

            yield f"{kind}: {field.name} {way}", make


#: Layers that take shapes, counts or indices from a blob: shapes of their inputs, and parameters.
DYNAMIC: dict[str, tuple[list[tuple[int, ...]], dict[str, Any]]] = {
    "fillDynamic": ([(3,)], {}),
    "broadcastToDynamic": ([(5, 1), (3,)], {}),
    "reshapeDynamic": ([(4, 5, 7), (2,)], {}),
    "rangeDynamic": ([(1,), (1,), (1,)], {}),
    "tile": ([(4, 5, 7), (3,)], {}),
    "topK": ([(4, 5, 7), (1,)], {"axis": 1}),
    "sliceDynamic": ([(4, 5, 7), (3,), (3,), (3,), (3,), (3,), (3,)], {}),
    "constantPad": ([(4, 5, 7), (6,)], {}),
    "oneHot": ([(4,), (1,)], {"axis": -1}),
    "randomNormalDynamic": ([(3,)], {}),
    "randomUniformDynamic": ([(3,)], {"max_val": 1}),
    "randomBernoulliDynamic": ([(3,)], {}),
    "gather": ([(4, 5, 7), (3,)], {}),
    "gatherND": ([(4, 5, 7), (3, 2)], {}),
    "gatherAlongAxis": ([(4, 5, 7), (2, 5, 7)], {}),
    "scatter": ([(4, 5, 7), (3,), (3, 5, 7)], {}),
    "scatterND": ([(4, 5, 7), (3, 2), (3, 7)], {}),
    "scatterAlongAxis": ([(4, 5, 7), (2, 5, 7), (2, 5, 7)], {}),
    "sliceBySize": ([(4, 5, 7), (1,)], {"size": 2}),
    "reverseSeq": ([(4, 5, 7), (4,)], {"sequence_axis": 1}),
    "embeddingND": ([(4, 1)], SOUND["embeddingND"][2]),
    "categoricalDistribution": ([(5, 7)], SOUND["categoricalDistribution"][2]),
    "NonMaximumSuppression": ([(1, 6, 4), (1, 6, 2), (1,), (1,), (1,)], {"max_boxes": 3}),
    "embedding": ([(1, 1, 1)], SOUND["embedding"][2]),
    "cropResize": ([(4, 5, 7), (4, 1, 1)], SOUND["cropResize"][2]),
}
_BLOB_VALUES = [-1.0, -(2.0**40), 0.5, 2.0**31, 2.0**40, 1e30, float("inf"), float("-inf"), float("nan")]


def fed(kind: str) -> Iterator[Maker]:
    """The model of one layer, with constants as inputs: hostile numbers for each in turn, ones for the others."""
    shapes, fields = DYNAMIC[kind]
    legacy = _NUMBERS[kind] < FIRST_ND_LAYER
    outputs = [f"y{i}" for i in range({"NonMaximumSuppression": 4, "topK": 2}.get(kind, 1))]
    for place in range(len(shapes)):
        for value in _BLOB_VALUES:

            def make(place: int = place, value: float = value) -> schema.Model:
                net = build.Network({"unused": (1,)}, outputs, exact=not legacy)
                constant = "loadConstant" if legacy else "loadConstantND"
                for i, shape in enumerate(shapes):
                    data = np.full(shape, value if i == place else 1, np.float32)
                    net.add(constant, inputs=[], outputs=f"x{i}", shape=shape, data=data)
                net.add(kind, inputs=[f"x{i}" for i in range(len(shapes))], outputs=outputs, **fields)
                return net.spec()

            yield f"{kind}: input {place} of {value}", make


# --- mutations --------------------------------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def lengths(data: bytes, start: int, end: int, descriptor: Any) -> Iterator[tuple[int, int, int]]:
    """Where lengths stand in the wire format, nested messages included: start and end of the number, and its value."""
    while start < end:
        tag, start = read_varint(data, start)
        match tag & 7:
            case 0:
                start = read_varint(data, start)[1]
            case 1:
                start += 8
            case 5:
                start += 4
            case _:
                length, content = read_varint(data, start)
                yield start, content, length
                field = descriptor.fields_by_number.get(tag >> 3)
                if field is not None and field.message_type is not None:
                    yield from lengths(data, content, content + length, field.message_type)
                start = content + length


class Mutator:
    """Seeded ways to damage a model; each gives bytes."""

    #: The ways, and how often each is taken: those that leave the wire format sound reach deepest.
    WAYS = {"truncate": 1, "flip": 3, "splice": 1, "inflate": 1, "noise": 2, "spoil": 5, "rewire": 3}  # noqa: RUF012

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.lengths = list(lengths(data, 0, len(data), schema.Model.DESCRIPTOR))

    def mutated(self, way: str, seed: str) -> bytes:
        found: bytes = getattr(self, way)(random.Random(seed))
        return found

    def _place(self, rng: random.Random) -> int:
        """Half of the places lie anywhere, mostly among weights, the others beside a length, where the structure is."""
        if rng.random() < 0.5:
            return rng.randrange(len(self.data))
        return min(len(self.data) - 1, max(0, rng.choice(self.lengths)[0] + rng.randint(-3, 6)))

    def truncate(self, rng: random.Random) -> bytes:
        return self.data[: self._place(rng)]

    def flip(self, rng: random.Random) -> bytes:
        data = bytearray(self.data)
        for _ in range(rng.choice([1, 1, 1, 2, 8])):
            data[self._place(rng)] ^= 1 << rng.randrange(8)
        return bytes(data)

    def splice(self, rng: random.Random) -> bytes:
        source, target, size = self._place(rng), self._place(rng), rng.randint(1, 200)
        replaced = rng.choice([0, size])
        return self.data[:target] + self.data[source : source + size] + self.data[target + replaced :]

    def inflate(self, rng: random.Random) -> bytes:
        start, end, length = rng.choice(self.lengths)
        more = rng.choice([length + 1, max(0, length - 1), length + 1000, 2**31 - 1, 2**32 + 5, 2**63, 2**64 - 1])
        return self.data[:start] + varint(more) + self.data[end:]

    def noise(self, rng: random.Random) -> bytes:
        place, noise = self._place(rng), rng.randbytes(rng.randint(1, 64))
        return self.data[:place] + noise + self.data[place + len(noise) :]

    def spoil(self, rng: random.Random) -> bytes:
        """The wire format stays sound; a few fields get hostile values."""
        model = schema.Model.FromString(self.data)
        spots = list(leaves(model))
        for _ in range(rng.choice([1, 1, 2, 3])):
            holder, field = rng.choice(spots)
            rng.choice(spoilers(holder, field))(holder)
        return bytes(model.SerializeToString())

    def rewire(self, rng: random.Random) -> bytes:
        """The wire format stays sound; layers or features go, come twice, change places, types or names."""
        model = schema.Model.FromString(self.data)
        network = getattr(model, model.WhichOneof("Type"))
        layers = network.layers if hasattr(network, "layers") else model.description.input
        group = rng.choice([layers, layers, layers, model.description.input, model.description.output])
        if not group:
            model.ClearField(rng.choice(["description", "specificationVersion"]))
            return bytes(model.SerializeToString())
        item, other = rng.choice(group), rng.choice(group)
        match rng.randrange(5):
            case 0:
                group.remove(item)
            case 1:
                group.add().CopyFrom(item)
            case 2:
                copy = type(item)()
                copy.CopyFrom(item)
                item.CopyFrom(other)
                other.CopyFrom(copy)
            case 3:
                item.MergeFrom(other)
            case _:
                names = item.input if hasattr(item, "input") and item.input else None
                if names:
                    names[0] = other.output[0] if other.output else "nowhere"
                else:
                    item.name = other.name + "?"
        return bytes(model.SerializeToString())


def mutations(name: str, data: bytes, rounds: int) -> Iterator[Maker]:
    mutator = Mutator(data)
    for way, share in Mutator.WAYS.items():
        for index in range(share * rounds):
            seed = f"{name} {way} {index}"
            yield seed, lambda way=way, seed=seed: mutator.mutated(way, seed)


# --- written by hand --------------------------------------------------------------------------------------------------


def single(
    kind: str, shape: Sequence[int] = (4, 5, 7), *, outputs: Sequence[str] = ("y",), inputs: Any = "x", **fields: Any
) -> schema.Model:
    net = build.Network({"x": shape}, outputs)
    net.add(kind, inputs=inputs, outputs=outputs, **fields)
    return net.spec()


def wired(*layers: tuple[Any, Any], outputs: Sequence[str] = ("y",), kind: str = "activation") -> schema.Model:
    """Layers of one kind from their inputs and outputs."""
    net = build.Network({"x": (4, 5, 7)}, outputs)
    for taken, made in layers:
        net.add(kind, inputs=taken, outputs=made, **({"ReLU": {}} if kind == "activation" else {}))
    return net.spec()


def chain(kind: str, count: int, **fields: Any) -> schema.Model:
    model = single(kind, (4, 1, 1), **fields)
    layers = model.neuralNetwork.layers
    for index in range(1, count):
        layers.add().CopyFrom(layers[0])
        layers[index - 1].output[0] = layers[index].input[0] = f"blob {index}"
        layers[index].output[0] = "y"
    return model


def doubling(count: int) -> schema.Model:
    net = build.Network({"x": (4, 1, 1)}, ["y"])
    name = "x"
    for _ in range(count):
        name = net.add("concat", inputs=[name, name])
    net.add("activation", ReLU={}, outputs="y")
    return net.spec()


def nested(depth: int, *path: tuple[Any, str]) -> bytes:
    """A model in whose type the messages of the path are nested this deep: pairs of a message and a field of it."""
    tags = [varint(message.DESCRIPTOR.fields_by_name[name].number << 3 | 2) for message, name in path]
    sizes, size = [], 0
    for level in reversed(range(depth)):
        size = len(tags[level % len(tags)]) + len(varint(size)) + size
        sizes.append(size)
    parts = [varint(1 << 3), varint(4)]
    for level in range(depth):
        inner = sizes[depth - 2 - level] if level < depth - 1 else 0
        parts += [tags[level % len(tags)], varint(inner)]
    return b"".join(parts)


def body(*layers: tuple[str, Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """A network inside a layer, from kinds, inputs, outputs and parameters."""
    net = build.Network({}, [])
    for kind, inputs, outputs, fields in layers:
        net.add(kind, inputs=inputs, outputs=outputs, **fields)
    return {"layers": net.layers}


def loop(inside: dict[str, Any], **fields: Any) -> schema.Model:
    net = build.Network({"x": (4,)}, ["y"], exact=True)
    net.add("copy", inputs="x", outputs="a")
    net.add("loop", inputs=[], outputs=[], body_network=inside, **fields)
    net.add("copy", inputs="a", outputs="y")
    return net.spec()


def loops(depth: int, rounds: int) -> schema.Model:
    inside = body(("softmaxND", "a", "b", {"axis": -1}), ("copy", "b", "a", {}))
    for _ in range(depth - 1):
        inside = body(("loop", [], [], {"body_network": inside, "max_loop_iterations": rounds}))
    return loop(inside, max_loop_iterations=rounds)


def pipeline(depth: int) -> bytes:
    inner = b"".join([varint(1 << 3), varint(4)])
    for _ in range(depth):
        models = (
            varint(schema.Pipeline.DESCRIPTOR.fields_by_name["models"].number << 3 | 2) + varint(len(inner)) + inner
        )
        inner = (
            varint(schema.Model.DESCRIPTOR.fields_by_name["pipeline"].number << 3 | 2) + varint(len(models)) + models
        )
        inner = varint(1 << 3) + varint(4) + inner
    return inner


def branches(depth: int) -> schema.Model:
    model = wired((["x"], ["y"]))
    layers = model.neuralNetwork.layers
    for _ in range(depth):
        layer = layers.add(name="deeper", input=["x"])
        layers = layer.branch.ifBranch.layers
    return model


def flexible(*bounds: tuple[int, int], shape: Sequence[int] = ()) -> schema.Model:
    feature = build.array(*shape)
    for lower, upper in bounds:
        feature.multiArrayType.shapeRange.sizeRanges.add(lowerBound=lower, upperBound=upper)
    model = single("softmax")
    model.description.input[0].type.CopyFrom(feature)
    return model


def enumerated(*shapes: Sequence[int], default: Sequence[int] = ()) -> schema.Model:
    feature = build.array(*default)
    feature.multiArrayType.enumeratedShapes.SetInParent()
    for shape in shapes:
        feature.multiArrayType.enumeratedShapes.shapes.add(shape=shape)
    model = single("softmax")
    model.description.input[0].type.CopyFrom(feature)
    return model


def picture(width: int, height: int, color: Any = "RGB", **preprocessing: Any) -> schema.Model:
    net = build.Network({"x": build.image(width, height, color)}, ["y"])
    if preprocessing:
        net.preprocess(**preprocessing)
    net.add("softmax", outputs="y")
    return net.spec()


def classifier(labels: Sequence[Any], **changes: Any) -> schema.Model:
    net = build.Network({"x": (4, 1, 1)}, ["y"], classes=labels)
    net.add("softmax", outputs="y")
    model = net.spec()
    build.fill(model.neuralNetworkClassifier, changes.get("classifier", {}), "changes")
    build.fill(model.description, changes.get("description", {}), "changes")
    return model


def inner_product(weights: Any, inputs: int = 4, outputs: int = 3) -> schema.Model:
    return single("innerProduct", (4,), input_channels=inputs, output_channels=outputs, weights=weights)


def without_type(model: schema.Model) -> schema.Model:
    model.neuralNetwork.layers[0].ClearField("softmax")
    return model


def edited(model: schema.Model, change: Callable[[schema.Model], Any]) -> schema.Model:
    change(model)
    return model


def appended(data: bytes, number: int, content: bytes) -> bytes:
    return data + varint(number << 3 | 2) + varint(len(content)) + content


def wide(border: int) -> dict[str, Any]:
    return {"border_amounts": [{"start_edge_size": border}, {"end_edge_size": 1}]}


_LINEAR = {"linearQuantization": {"scale": [1.0], "bias": [0.0]}}
_BILINEAR = {"mode": "BILINEAR", "linear_upsample_mode": "ALIGN_CORNERS_TRUE"}
_POINTWISE = {"output_channels": 1, "kernel_channels": 4, "kernel_size": [1, 1], "weights": numbers(4)}

#: Each must be refused.
REFUSED: dict[str, Callable[[], Any]] = {
    # Sizes.
    "shape of terabytes": lambda: single("softmax", (2**20, 2**20, 1)),
    "shape beyond 64 bits": lambda: single("softmax", (2**62, 2**62, 4)),
    "negative size": lambda: single("softmax", (4, -1, 7)),
    "size of zero": lambda: single("softmax", (4, 0, 7)),
    "rank 1000": lambda: single("softmax", (1,) * 1000),
    "image of terabytes": lambda: picture(2**20, 2**20),
    "image beyond 64 bits": lambda: picture(2**62, 2**62),
    "negative image": lambda: picture(-3, 5),
    "image without colours": lambda: picture(3, 5, 0),
    "image of unknown colours": lambda: picture(3, 5, 77),
    "doubled to terabytes": lambda: doubling(40),
    "flexible, negative default": lambda: flexible((1, 5), (1, 5), (1, 5), shape=(3, -2, 3)),
    "flexible, upper below lower": lambda: flexible((5, 3), (1, 2), (1, 2)),
    "flexible, terabytes at least": lambda: flexible((2**20, -1), (2**20, -1), (1, 1)),
    "flexible, default outside": lambda: flexible((1, 5), (1, 5), (1, 5), shape=(3, 6, 3)),
    "enumerated, none": lambda: enumerated(),
    "enumerated, negative": lambda: enumerated((4, -5, 7)),
    "enumerated, terabytes": lambda: enumerated((2**20, 2**20, 7)),
    # Weights.
    "one weight too few": lambda: inner_product(numbers(11)),
    "one weight too many": lambda: inner_product(numbers(13)),
    "no weights": lambda: inner_product(schema.WeightParams()),
    "more weights than memory": lambda: inner_product(numbers(3, 4), outputs=HUGE),
    "weights beyond 64 bits": lambda: inner_product(numbers(3, 4), inputs=2**63, outputs=2**63),
    "one half too few": lambda: inner_product(numbers(11).astype(np.float16)),
    "one int8 code too few": lambda: single(
        "innerProduct",
        (4,),
        input_channels=4,
        output_channels=3,
        int8_dynamic_quantize=True,
        weights=build.fill(
            schema.WeightParams(int8RawValue=bytes(11)), {"quantization": {"numberOfBits": 8, **_LINEAR}}, "codes"
        ),
    ),
    "half of a half": lambda: inner_product(schema.WeightParams(float16Value=b"\0" * 23)),
    "weights in two fields": lambda: inner_product(schema.WeightParams(floatValue=[1] * 12, float16Value=b"\0" * 24)),
    "codes of no bits": lambda: inner_product(codes(0, 12, **_LINEAR)),
    "codes of 9 bits": lambda: inner_product(codes(9, 12, **_LINEAR)),
    "codes of 2**64 - 1 bits": lambda: inner_product(
        schema.WeightParams(rawValue=bytes(12), quantization={"numberOfBits": 2**64 - 1, **_LINEAR})
    ),
    "too few codes": lambda: inner_product(codes(4, 10, **_LINEAR)),
    "codes without a meaning": lambda: inner_product(codes(4, 12)),
    "table too short": lambda: inner_product(codes(2, 12, lookupTableQuantization={"floatValue": [1, 2, 3]})),
    "scales of another number of channels": lambda: inner_product(codes(4, 12, linearQuantization={"scale": [1, 2]})),
    # The graph.
    "missing blob": lambda: wired((["nowhere"], ["y"])),
    "missing output": lambda: wired((["x"], ["z"])),
    "blob made twice": lambda: wired((["x"], ["y"]), (["x"], ["y"])),
    "blob made twice by one layer": lambda: single("split", n_outputs=2, outputs=["y", "y"]),
    "input made again": lambda: wired((["x"], ["x"]), (["x"], ["y"])),
    "layer that feeds itself": lambda: wired((["y"], ["y"])),
    "cycle": lambda: wired((["b"], ["a"]), (["a"], ["b"]), (["b"], ["y"])),
    "wrong order": lambda: wired((["a"], ["y"]), (["x"], ["a"])),
    "two inputs for one": lambda: wired((["x", "x"], ["y"])),
    "no inputs": lambda: wired(([], ["y"])),
    "no outputs": lambda: wired((["x"], []), (["x"], ["y"])),
    "no layers": lambda: wired(),
    "layer without a type": lambda: without_type(single("softmax")),
    "activation without a type": lambda: single("activation"),
    # Nesting.
    "10,000 pipelines": lambda: pipeline(10_000),
    "10,000 branches": lambda: nested(
        40_000,
        (schema.Model, "neuralNetwork"),
        (schema.NeuralNetwork, "layers"),
        (schema.NeuralNetworkLayer, "branch"),
        (schema.BranchLayerParams, "ifBranch"),
    ),
    "30 pipelines": lambda: pipeline(30),
    # Control flow.
    "loop without end": lambda: loop(
        body(("softmaxND", "a", "b", {"axis": -1})),
        condition_network=body(("fillStatic", [], "c", {"value": 1, "target_shape": [1]})),
        condition_var="c",
    ),
    "loops within loops": lambda: loops(4, 99_999),
    "loop of 2**64 - 1 rounds": lambda: loops(1, 2**64 - 1),
    "loop that doubles a blob": lambda: loop(
        body(("concatND", ["a", "a"], "b", {}), ("copy", "b", "a", {})), max_loop_iterations=60
    ),
    "break without a loop": lambda: single("loopBreak", inputs=[], outputs=[]),
    # Numbers of layers.
    "convolution with a kernel of 2**40": lambda: single(
        "convolution", output_channels=1, kernel_channels=4, kernel_size=[HUGE, HUGE], weights=numbers(4), valid={}
    ),
    "convolution with 2**40 groups": lambda: single("convolution", **_POINTWISE, n_groups=HUGE, valid={}),
    "convolution padded by 2**50": lambda: single("convolution", **_POINTWISE, valid={"padding_amounts": wide(2**50)}),
    "deconvolution with a stride of 2**40": lambda: single(
        "convolution", **_POINTWISE, stride=[HUGE, 1], is_deconvolution=True, valid={}
    ),
    "padding by 2**50": lambda: single("padding", constant={}, padding_amounts=wide(2**50)),
    "reflection by 2**50": lambda: single("padding", reflection={}, padding_amounts=wide(2**50)),
    "replication by 2**63": lambda: single("padding", replication={}, padding_amounts=wide(2**63)),
    "crop by 2**50": lambda: single("crop", crop_amounts=wide(2**50)),
    "upsampling by 2**40": lambda: single("upsample", scaling_factor=[HUGE, HUGE]),
    "upsampling by 1e30": lambda: single("upsample", **_BILINEAR, fractional_scaling_factor=[1e30, 1]),
    "upsampling by NaN": lambda: single("upsample", **_BILINEAR, fractional_scaling_factor=[float("nan"), 1]),
    "resizing to 2**40": lambda: single("resizeBilinear", target_size=[HUGE, HUGE]),
    "2**40 repetitions": lambda: single("sequenceRepeat", n_repetitions=HUGE),
    "pooling over 2**40": lambda: single("pooling", kernel_size=[HUGE, HUGE], stride=[1, 1], valid={}),
    "pooling padded by 2**50": lambda: single("pooling", kernel_size=[3, 3], valid={"padding_amounts": wide(2**50)}),
    "reshaped to terabytes": lambda: single("reshape", target_shape=[HUGE, HUGE, 1]),
    "reshaped to a product that wraps to the right size": lambda: single(
        "reshape", target_shape=[140, 2**32 + 1, 4294967297]
    ),
    "constant of terabytes": lambda: single("loadConstant", inputs=[], shape=[HUGE, 1, 1], data=numbers(3)),
    "embedding of 2**40 rows": lambda: single(
        "embedding", (1,), input_dim=HUGE, output_channels=HUGE, weights=numbers(4)
    ),
    "slice with a stride of 0": lambda: single("slice", end_index=3),
    "split into 2**40": lambda: single("split", n_outputs=HUGE, outputs=["y", "z"]),
    "blocks of 2**40": lambda: single("reorganizeData", block_size=HUGE),
    "recurrent size of 2**40": lambda: single(
        "gru", (3,), outputs=["y", "h"], **{**SOUND["gru"][2], "output_vector_size": HUGE}
    ),
    # Interfaces.
    "inputs of one name": lambda: edited(
        single("softmax"), lambda m: m.description.input.add().CopyFrom(m.description.input[0])
    ),
    "outputs of one name": lambda: edited(
        single("softmax"), lambda m: m.description.output.add().CopyFrom(m.description.output[0])
    ),
    "feature without a type": lambda: edited(single("softmax"), lambda m: m.description.input[0].ClearField("type")),
    "unknown array type": lambda: edited(
        single("softmax"), lambda m: setattr(m.description.input[0].type.multiArrayType, "dataType", 77)
    ),
    "mean image of another size": lambda: picture(3, 5, mean_image=numbers(44)),
    "no labels": lambda: classifier([]),
    "a million labels for four scores": lambda: classifier([f"label {i}" for i in range(1_000_000)]),
    "scores from nowhere": lambda: classifier(list("abcd"), classifier={"labelProbabilityLayerName": "nowhere"}),
    # Not text.
    "name that is not UTF-8": lambda: single("softmax").SerializeToString().replace(b"softmax0", b"softm\xff\xfe0"),
}

#: Limits that are reached sooner than those that hold by default, which a thorough run takes.
TIGHT = {"loop that doubles a blob": Limits(memory=1 << 28)}

#: Each may be computed or refused.
EITHER: dict[str, Callable[[], Any]] = {
    f"{MANY:,} layers that work in place": lambda: chain("activation", MANY, ReLU={}),
    f"{MANY:,} layers that do not": lambda: chain("softmax", MANY),
    "doubled 20 times": lambda: doubling(20),
    "one blob 100,000 times": lambda: wired((["x"] * 100_000, ["y"]), kind="concat"),
    "10,000 rounds": lambda: loops(1, 10_000),
    "names of a megabyte": lambda: wired((["x"], ["z" * 2**20]), (["z" * 2**20], ["y"])),
    "missing blob with a name of a megabyte": lambda: wired((["z" * 2**20], ["y"])),
    "empty name": lambda: wired((["x"], [""]), ([""], ["y"])),
    "branches 25 deep": lambda: branches(25),
    "channels without end": lambda: flexible((1, -1), (1, -1), (1, -1)),
    "flexible, from 2**63 on": lambda: flexible((2**63, -1), (1, 2), (1, 2)),
    "flexible, zero": lambda: flexible((0, 0), (0, 0), (0, 0)),
    "flexible, 2**63": lambda: flexible((1, 2**63 - 1), (1, 2**63 - 1), (1, 2**63 - 1)),
    "local response over 2**40": lambda: single("lrn", alpha=1, beta=1, local_size=HUGE),
    "local response over 2**64 - 1": lambda: single("lrn", alpha=1, beta=1, local_size=2**64 - 1),
    "pooling over 2**40, as large a result": lambda: single(
        "pooling", kernel_size=[HUGE, HUGE], stride=[1, 1], same={}
    ),
    "pooling by strides of 2**40": lambda: single("pooling", kernel_size=[3, 3], stride=[HUGE, HUGE], valid={}),
    "pooling over 2**40 with the last pixel": lambda: single(
        "pooling", kernel_size=[HUGE, HUGE], stride=[1, 1], include_last_pixel={"padding_amounts": [HUGE, HUGE]}
    ),
    "global pooling over 2**40": lambda: single("pooling", kernel_size=[HUGE, HUGE], global_pooling=True, valid={}),
    "dilation of 2**40": lambda: single("convolution", **_POINTWISE, dilation_factor=[HUGE, HUGE], same={}),
    "large dilation, as large a result": lambda: single(
        "convolution",
        output_channels=1,
        kernel_channels=4,
        kernel_size=[3, 3],
        dilation_factor=[2**30, 2**30],
        weights=numbers(36),
        same={},
    ),
    "slice with a stride of 2**64 - 1": lambda: single("slice", end_index=3, stride=2**64 - 1),
    "slice from -2**63 to 2**63 - 1": lambda: single("slice", start_index=-(2**63), end_index=2**63 - 1, stride=1),
    "scaler of NaN": lambda: picture(3, 5, channel_scale=float("nan")),
    "preprocessing of nothing": lambda: picture(3, 5, feature="nowhere", channel_scale=1),
    "labels of one name": lambda: classifier(["a", "a", "b", "b"]),
    "unknown mapping": lambda: edited(
        single("softmax"), lambda m: setattr(m.neuralNetwork, "arrayInputShapeMapping", 77)
    ),
    "two models in one file": lambda: single("softmax").SerializeToString() * 2,
    "megabytes of an unknown field": lambda: appended(single("softmax").SerializeToString(), 77_777, bytes(5 << 20)),
    "no description": lambda: edited(single("softmax"), lambda m: m.ClearField("description")),
}


# --- batches ----------------------------------------------------------------------------------------------------------


def batch(group: str, name: str, rounds: int = 0) -> Iterator[Maker]:
    """The makers of one batch by their names, in a fixed order."""
    if group == "by hand":
        yield name, {**REFUSED, **EITHER}[name]
    elif group == "sweep":
        yield from swept(name)
        if name in DYNAMIC:
            yield from fed(name)
    else:
        data = OURS[name]().SerializeToString() if group == "ours" else Path(name).read_bytes()
        yield from mutations(Path(name).name, data, rounds)


# --- the tests --------------------------------------------------------------------------------------------------------


def real_models() -> list[Any]:
    folder = Path(os.environ.get("REFCOREML_MODELS", Path(__file__).resolve().parents[2] / "shared" / "models"))
    found = [path for path in sorted(folder.rglob("*.mlmodel")) if path.stat().st_size < 4 << 20]
    if not found:
        reason = f"no small .mlmodel files in {folder}; name a folder in REFCOREML_MODELS"
        return [pytest.param("", marks=pytest.mark.skip(reason=reason))]
    return [pytest.param(str(path), id=path.name) for path in found]


@pytest.mark.parametrize("name", OURS)
def test_sound_models_are_computed(name: str) -> None:
    """What the mutations start from; otherwise they would test little."""
    attempt(OURS[name]())


@pytest.mark.parametrize("kind", sorted(set(SOUND) & set(LAYERS)))
def test_sound_layers_are_computed(kind: str) -> None:
    attempt(layer_model(kind))


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """One for all tests of a worker of ``pytest -n``."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        made = Judge(errors, batch, __file__)
        yield made
        made.close()


@pytest.mark.parametrize("name", OURS)
def test_mutations_of_our_models(judge: Judge, name: str) -> None:
    results = judge.batch("ours", name, 16)
    check(results)
    outcomes = Counter(result["outcome"] for result in results.values())
    assert min(outcomes["computed"], outcomes["refused"]) > 10, "the mutations are too harsh or too mild to test much"


@pytest.mark.parametrize("path", real_models())
def test_mutations_of_real_models(judge: Judge, path: str) -> None:
    check(judge.batch("real", path, 1))


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_hostile_numbers(judge: Judge, kind: str) -> None:
    check(judge.batch("sweep", kind))


@pytest.mark.parametrize("name", [*REFUSED, *EITHER])
def test_written_by_hand(judge: Judge, name: str) -> None:
    # So many layers, or rounds up to the limit of them, may take their time, at 0.2 ms each.
    many = f"{MANY:,} layers" in name or "loop" in name
    results = judge.batch("by hand", name)
    check(results, limit=20 if many else SECONDS)
    if name in REFUSED:
        assert results[name]["outcome"] == "refused"


def test_a_model_that_ends_the_process_has_failed(tmp_path: Path) -> None:
    """And others of its batch are judged all the same."""
    dying = "import sys; input(); print('{\"outcome\": \"computed\"}', flush=True); sys.exit('out of memory')"
    with (tmp_path / "errors").open("w+") as errors:
        results = list(Judge(errors, batch, "-S", "-c", dying).batch("ours", "demo", 1).values())
    assert [result["outcome"] for result in results] == ["computed", "failed"] * 8
    assert [result["why"] for result in results[1::2]] == ["the process ended with 1: out of memory\n"] * 8


if __name__ == "__main__":
    answer(batch, {} if THOROUGH else TIGHT)
