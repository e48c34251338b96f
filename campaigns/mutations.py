"""Mutations by reflection: whatever the schema has can be changed, and the file still parses."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from campaigns.seeds import Seeds, messages
from refcoreml.spec import schema

#: Values that hurt, and values that are merely others: small changes reach deeper than wild ones.
_HOSTILE: dict[int, list[Any]] = {
    FieldDescriptor.CPPTYPE_INT32: [0, 1, -1, 2, 3, -2, 2**31 - 1, -(2**31)],
    FieldDescriptor.CPPTYPE_UINT32: [0, 1, 2, 3, 2**31, 2**32 - 1],
    FieldDescriptor.CPPTYPE_INT64: [
        0,
        1,
        -1,
        2,
        3,
        4,
        5,
        -2,
        -3,
        1000,
        10**5,
        10**7,
        2**31,
        2**40,
        2**63 - 1,
        -(2**63),
    ],
    FieldDescriptor.CPPTYPE_UINT64: [0, 1, 2, 3, 4, 5, 7, 1000, 10**5, 10**7, 2**31, 2**40, 2**63, 2**64 - 1],
    FieldDescriptor.CPPTYPE_FLOAT: [0.0, 1.0, -1.0, 0.5, 1e30, 1e-40, float("inf"), float("-inf"), float("nan")],
    FieldDescriptor.CPPTYPE_DOUBLE: [0.0, 1.0, -1.0, 0.5, 1e300, 1e-310, float("inf"), float("-inf"), float("nan")],
    FieldDescriptor.CPPTYPE_BOOL: [False, True],
}
_TEXTS = ["", "x", "y", "\0", "../../x", "a\x1b[31m", "\u202e", "file", "x" * 3000]
_LAYER = "NeuralNetworkLayer"
_PREVIEW = "com.apple.coreml.model.preview."
#: Parameters of previews, most of them wrong.
_PREVIEWS = [
    '{"labels": ["a", "b"], "colors": ["#ff8000", "#000000"]}',
    '{"labels": [], "colors": ["#ff8000"]}',
    '{"labels": {"a": 1}, "colors": [1]}',
    '{"labels": [null]}',
    '{"colors": ["red"]}',
    "[]",
    "{",
    "[" * 5000,
    '{"labels": ["\\ud800", "\\u0000", "\\u001b[31m"]}',
    "1" * 5000,
    "NaN",
]
#: How deep loops and branches are nested by one mutation; the limit of the engine lies between.
_DEPTHS = [1, 2, 3, 6, 12, 22, 26]


def is_repeated(item: FieldDescriptor) -> bool:
    """Return whether a field is repeated: protobuf 6 added is_repeated, and 7 removed label."""
    return bool(item.is_repeated) if hasattr(item, "is_repeated") else item.label == FieldDescriptor.LABEL_REPEATED


def is_map(item: FieldDescriptor) -> bool:
    """Return whether the field is a map."""
    return item.message_type is not None and bool(item.message_type.GetOptions().map_entry)


class Mutator:
    """Makes the mutated model of a number.

    Attributes:
        touched: (mutation, type of message) of all that was done to the last model.
    """

    def __init__(self, seeds: Seeds, rng: random.Random) -> None:
        self.seeds, self.rng = seeds, rng
        self.touched: list[tuple[str, str]] = []
        self.inputs: dict[str, Any] = {}
        self.seed = ""

    def make(self) -> schema.Model:
        """Return a seed, mutated one to four times."""
        rng = self.rng
        pool = self.seeds.real if self.seeds.real and rng.random() < 0.01 else self.seeds.small
        seed = rng.choice(pool)
        self.seed, self.inputs = seed.name, dict(seed.inputs)
        model = schema.Model.FromString(seed.data)
        for _ in range(rng.choices([0, 1, 2, 3], [4, 3, 2, 1])[0]):
            self._do(rng.choices(_COMPOSITIONS, _COMPOSITION_SHARES)[0], model)
        for _ in range(rng.choices([0, 1, 2, 3, 4], [2, 8, 5, 2, 1])[0]):
            self._do(rng.choices(_WAYS, _SHARES)[0], model)
        return model

    def _do(self, way: Way, model: schema.Model) -> None:
        try:
            holder = way(self, model)
        except DecodeError:  # messages lie deeper in one another than protobuf reads
            holder = ""
        if holder:
            self.touched.append((way.__name__.strip("_"), holder))

    # --- where ---------------------------------------------------------------------------------------------------

    def target(self, model: schema.Model) -> Message:
        """Return a message anywhere in the model, those of layers preferred."""
        rng = self.rng
        kind = model.WhichOneof("Type")
        root: Message = model
        if kind is not None and rng.random() < 0.75:
            root = getattr(model, kind)
            layers = layers_of(model)
            if layers and rng.random() < 0.8:
                root = rng.choice(layers)
        elif rng.random() < 0.8:
            root = model.description
        found = list(messages(root))
        return rng.choice(found)

    # --- fields --------------------------------------------------------------------------------------------------

    def number(self, model: schema.Model) -> str:
        """Replace a number, truth value or enum, alone or in a list."""
        holder = self.target(model)
        fields = [f for f in holder.DESCRIPTOR.fields if f.message_type is None and f.cpp_type in _NUMERIC]
        if not fields:
            return ""
        item = self.rng.choice(fields)
        value = self._value(item)
        if not is_repeated(item):
            setattr(holder, item.name, value)
            return holder.DESCRIPTOR.name
        held = getattr(holder, item.name)
        if len(held) and self.rng.random() < 0.8:
            held[self.rng.randrange(len(held))] = value
        else:
            held.append(value)
        return holder.DESCRIPTOR.name

    def _value(self, item: FieldDescriptor) -> Any:
        if item.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
            known = [v.number for v in item.enum_type.values]
            return self.rng.choice([*known, *known, max(known) + 1, 77, -1])
        return self.rng.choice(_HOSTILE[item.cpp_type])

    def text(self, model: schema.Model) -> str:
        """Replace a name by another one of the model, or by a hostile one."""
        holder = self.target(model)
        fields = [f for f in holder.DESCRIPTOR.fields if f.type == FieldDescriptor.TYPE_STRING]
        if not fields:
            return ""
        item = self.rng.choice(fields)
        names = [name for layer in layers_of(model) for name in (*layer.input, *layer.output)] or _TEXTS
        value = self.rng.choice(names if self.rng.random() < 0.6 else _TEXTS)
        if not is_repeated(item):
            setattr(holder, item.name, value)
        else:
            held = getattr(holder, item.name)
            if len(held) and self.rng.random() < 0.7:
                held[self.rng.randrange(len(held))] = value
            else:
                held.append(value)
        return holder.DESCRIPTOR.name

    def weights(self, model: schema.Model) -> str:
        """Truncate weights, extend them, change their encoding, or insert NaN and infinities."""
        rng = self.rng
        found = [m for m in messages(model) if m.DESCRIPTOR.name == "WeightParams"]
        if not found:
            return ""
        weights: Any = rng.choice(found)
        way = rng.randrange(6)
        if way == 0:
            del weights.floatValue[rng.randrange(len(weights.floatValue) + 1) :]
        elif way == 1:
            weights.floatValue.extend([1.0] * rng.choice([1, 3, 4, 100]))
        elif way == 2:
            for item in ("float16Value", "rawValue", "int8RawValue"):
                value = getattr(weights, item)
                setattr(weights, item, value[: rng.randrange(len(value) + 1)] + rng.choice([b"", b"\xff", b"\x7f\x7c"]))
        elif way == 3:
            item = rng.choice(["float16Value", "rawValue", "int8RawValue"])
            setattr(weights, item, rng.randbytes(rng.choice([1, 2, 16, 64])))
        elif way == 4:
            weights.quantization.numberOfBits = rng.choice([0, 1, 2, 7, 8, 9, 16, 2**40])
            part = rng.choice(["linearQuantization", "lookupTableQuantization"])
            getattr(weights.quantization, part).SetInParent()
            count = len(weights.floatValue)
            if rng.random() < 0.7:
                del weights.floatValue[:]
                weights.rawValue = rng.randbytes(max(1, count))
            if part == "linearQuantization":
                weights.quantization.linearQuantization.scale.extend([0.5] * rng.choice([0, 1, 2]))
            else:
                weights.quantization.lookupTableQuantization.floatValue.extend([0.5] * rng.choice([1, 2, 4, 256]))
        elif len(weights.floatValue):
            weights.floatValue[rng.randrange(len(weights.floatValue))] = rng.choice(
                _HOSTILE[FieldDescriptor.CPPTYPE_FLOAT]
            )
        return "WeightParams"

    def repeated(self, model: schema.Model) -> str:
        """Drop, double or shuffle the elements of a list, or extend it."""
        rng, holder = self.rng, self.target(model)
        fields = [f for f in holder.DESCRIPTOR.fields if is_repeated(f) and not is_map(f)]
        filled = [f for f in fields if len(getattr(holder, f.name))]
        if not fields:
            return ""
        item = rng.choice(filled or fields)
        held: Any = getattr(holder, item.name)
        way = rng.randrange(6)
        if way == 0 and len(held):
            del held[rng.randrange(len(held))]
        elif way == 1:
            del held[:]
        elif way == 2 and len(held):
            held.extend(list(held)[:50])
        elif way == 3 and len(held):
            copies = list(held)
            kept = [m.SerializeToString() for m in copies] if item.message_type is not None else copies
            rng.shuffle(kept)
            del held[:]
            if item.message_type is not None:
                for data in kept:
                    held.add().MergeFromString(data)
            else:
                held.extend(kept)
        elif way == 4 and len(held):
            del held[1:]
        elif item.message_type is not None:
            self._fill(held.add())
        elif item.cpp_type in _NUMERIC:
            held.extend([self._value(item)] * rng.choice([1, 1, 2, 5, 1000]))
        return holder.DESCRIPTOR.name

    def _fill(self, message: Message) -> None:
        donors = self.seeds.donors.get(message.DESCRIPTOR.full_name)
        if donors and self.rng.random() < 0.7:
            message.MergeFromString(self.rng.choice(donors))

    def transplant(self, model: schema.Model) -> str:
        """Replace a message by one of its type from another seed, or merge the two."""
        holder = self.target(model)
        donors = self.seeds.donors.get(holder.DESCRIPTOR.full_name)
        if not donors or holder is model:
            return ""
        if self.rng.random() < 0.6:
            holder.Clear()
        holder.MergeFromString(self.rng.choice(donors))
        return holder.DESCRIPTOR.name

    def swap(self, model: schema.Model) -> str:
        """Return two messages of one type change places."""
        holder = self.target(model)
        others = [m for m in messages(model) if m.DESCRIPTOR is holder.DESCRIPTOR and m is not holder]
        if not others:
            return ""
        other = self.rng.choice(others)
        one, two = holder.SerializeToString(), other.SerializeToString()
        holder.ParseFromString(two)
        other.ParseFromString(one)
        return holder.DESCRIPTOR.name

    def clear(self, model: schema.Model) -> str:
        """Unset a field."""
        holder = self.target(model)
        fields = [item for item, _ in holder.ListFields()]
        if not fields:
            return ""
        holder.ClearField(self.rng.choice(fields).name)
        return holder.DESCRIPTOR.name

    def switch(self, model: schema.Model) -> str:
        """Return another member of a oneof is set, or a message that was not."""
        rng, holder = self.rng, self.target(model)
        members = [f for one in holder.DESCRIPTOR.oneofs for f in one.fields]
        members += [f for f in holder.DESCRIPTOR.fields if f.message_type is not None and not is_repeated(f)]
        if not members:
            return ""
        item = rng.choice(members)
        if item.message_type is None:
            values = _TEXTS if item.type == FieldDescriptor.TYPE_STRING else [b"", b"\xff"]
            setattr(holder, item.name, self._value(item) if item.cpp_type in _NUMERIC else rng.choice(values))
        else:
            getattr(holder, item.name).SetInParent()
            self._fill(getattr(holder, item.name))
        return holder.DESCRIPTOR.name

    def shape(self, model: schema.Model) -> str:
        """Change the declared shape of a feature, or make it flexible."""
        rng = self.rng
        features = [*model.description.input, *model.description.output]
        if not features:
            return ""
        kind: Any = rng.choice(features).type
        if kind.WhichOneof("Type") == "imageType":
            image = kind.imageType
            image.width, image.height = rng.choice([1, 2, 5, 0, -1]), rng.choice([1, 3, 4, 2**40])
            return "ImageFeatureType"
        array = kind.multiArrayType
        way = rng.randrange(6)
        if way == 0 and array.shape:
            array.shape[rng.randrange(len(array.shape))] = rng.choice([0, 1, 2, 3, 6, -1, 1000, 2**40])
        elif way == 1:
            array.shape.insert(0, rng.choice([1, 2])) if hasattr(array.shape, "insert") else array.shape.append(1)
        elif way == 2 and array.shape:
            del array.shape[0]
        elif way == 3:
            array.dataType = rng.choice([0, 65568, 65600, 131104, 65552, 131080, 3])
        elif way == 4:
            sizes = list(array.shape)
            array.ClearField("shapeRange")
            for size in sizes:
                least = max(0, min(size, 1))
                array.shapeRange.sizeRanges.add(
                    lowerBound=least, upperBound=rng.choice([-1, size, min(size, 2**62) + 3])
                )
        else:
            sizes = list(array.shape)
            array.enumeratedShapes.shapes.add(shape=sizes)
            array.enumeratedShapes.shapes.add(shape=[size + 1 for size in sizes if size < 2**30])
        return "ArrayFeatureType"

    def entry(self, model: schema.Model) -> str:
        """Change an entry of a map: preview metadata of a model, parameters of its custom layers."""
        rng = self.rng
        customs = [m for m in messages(model) if m.DESCRIPTOR.name in ("CustomLayerParams", "CustomModel")]
        if customs and rng.random() < 0.8:
            holder: Any = rng.choice(customs)
            value = holder.parameters[rng.choice([*sorted(holder.parameters), "factor", "", "\x1b"])]
            part = rng.choice([f for f in value.DESCRIPTOR.fields if f.message_type is None])
            if part.cpp_type in _NUMERIC:
                setattr(value, part.name, self._value(part))
            else:
                setattr(value, part.name, rng.choice(_TEXTS) if part.type == part.TYPE_STRING else b"\xff")
            return holder.DESCRIPTOR.name
        user = model.description.metadata.userDefined
        user[_PREVIEW + "type"] = rng.choice(["imageSegmenter", "", "poseEstimation"])
        user[_PREVIEW + "parameters"] = rng.choice(_PREVIEWS)
        return "Metadata"

    def version(self, model: schema.Model) -> str:
        """Return another specification version or shape mapping: the network is read as a rank-5 or an N-D network."""
        rng = self.rng
        model.specificationVersion = rng.choice([0, 1, 2, 3, 4, 5, 6, 10, 11, 99, -1])
        kind = str(model.WhichOneof("Type"))
        if kind.startswith("neuralNetwork"):
            network = getattr(model, kind)
            network.arrayInputShapeMapping = rng.choice([0, 1, 1, 2])
            network.imageInputShapeMapping = rng.choice([0, 1, 1, 2])
        return "Model"

    # --- compositions --------------------------------------------------------------------------------------------

    def graft(self, model: schema.Model) -> str:
        """Append layers of another seed, on blobs that exist."""
        rng, layers = self.rng, layers_of(model)
        if not layers:
            return ""
        donor = schema.Model.FromString(rng.choice(self.seeds.small).data)
        existing = [f.name for f in model.description.input] + [name for layer in layers for name in layer.output]
        taken = top_layers(model)
        prefix = f"g{len(layers)}."
        renamed: dict[str, str] = {}
        for source in layers_of(donor)[:6]:
            if len(layers) > 40:
                break
            layer = taken.add()
            layer.CopyFrom(source)
            layer.name = prefix + layer.name
            layer.input[:] = [renamed.get(name) or rng.choice(existing or [name]) for name in layer.input]
            layer.output[:] = [renamed.setdefault(name, prefix + name) for name in layer.output]
        if renamed and model.description.output and rng.random() < 0.8:
            feature = model.description.output.add()
            feature.CopyFrom(model.description.output[0])
            feature.name = rng.choice(list(renamed.values()))
            feature.type.multiArrayType.ClearField("shape")
        return _LAYER

    def chain(self, model: schema.Model) -> str:
        """Append an elementwise layer to the last one, which may then run fused with it."""
        rng, layers = self.rng, layers_of(model)
        if not layers or not layers[-1].output:
            return ""
        donors = self.seeds.donors[schema.NeuralNetworkLayer.DESCRIPTOR.full_name]
        for _ in range(20):
            layer = schema.NeuralNetworkLayer.FromString(rng.choice(donors))
            if layer.WhichOneof("layer") in _ELEMENTWISE:
                break
        else:
            return ""
        last = layers[-1].output[0]
        made = f"c{len(layers)}.{last}"
        layer.input[:] = [last, *layer.input[1:]]
        layer.output[:] = [made]
        top_layers(model).add().CopyFrom(layer)
        if model.description.output:
            model.description.output[-1].name = made
        return _LAYER

    def veil(self, model: schema.Model) -> str:
        """Pass a blob through a reshape to a shape that only the run knows, so that all after it is checked then."""
        rng = self.rng
        if not layers_of(model):
            return ""
        layers = top_layers(model)
        spots = [(i, j) for i, layer in enumerate(layers) for j in range(len(layer.input))]
        if not spots:
            return ""
        place, which = rng.choice(spots)
        name = layers[place].input[which]
        shape, veiled = f"s{len(layers)}.{name}", f"v{len(layers)}.{name}"
        made = [
            schema.NeuralNetworkLayer(name="shape", input=[name], output=[shape], getShape={}),
            schema.NeuralNetworkLayer(name="veil", input=[name, shape], output=[veiled], reshapeDynamic={}),
        ]
        layers[place].input[which] = veiled
        rest = [layer.SerializeToString() for layer in layers]
        del layers[:]
        for data in (*rest[:place], *(m.SerializeToString() for m in made), *rest[place:]):
            layers.add().MergeFromString(data)
        return _LAYER

    def wrap(self, model: schema.Model) -> str:
        """Move layers into a branch or loop, perhaps a deep one."""
        rng, layers = self.rng, layers_of(model)
        if not layers:
            return ""
        owner = top_layers(model)
        start = rng.randrange(len(owner))
        inner = [layer.SerializeToString() for layer in list(owner)[start:]]
        inputs = [f.name for f in model.description.input]
        outer = inner
        grows = bool(inputs) and rng.random() < 0.4
        loops, branches = ["bodyNetwork"], ["ifBranch", "elseBranch"]
        most = rng.choice([1, 1, 2, 3, 0])
        forms = rng.choice([[loops], [loops], [["ifBranch"]], [branches], [loops, branches]])
        for level in range(rng.choice(_DEPTHS)):
            first, changes = self._growing(rng.choice(inputs), level) if grows else ([], [])
            layer = schema.NeuralNetworkLayer(name="wrap")
            fields = rng.choice(forms)
            if fields[0] == "ifBranch":
                layer.input.append(rng.choice(inputs) if inputs else "x")
            else:
                layer.loop.maxLoopIterations = most
            holder = layer.branch if fields[0] == "ifBranch" else layer.loop
            for item in fields:
                for data in (*outer, *changes):
                    getattr(holder, item).layers.add().MergeFromString(data)
            outer = [*first, layer.SerializeToString()]
            if len(outer[-1]) > 20_000:
                break
        del owner[start:]
        for data in outer:
            owner.add().MergeFromString(data)
        return _LAYER

    def _growing(self, name: str, level: int) -> tuple[list[bytes], list[bytes]]:
        """Return a layer that makes a blob, and layers that give it another shape each time they run."""
        blob, made = f"grown{level}", f"more{level}"
        grow = self.rng.choice([{"expandDims": {"axes": [0]}}, {"flattenTo2D": {"axis": 1}}])
        first = schema.NeuralNetworkLayer(name="first", input=[name], output=[blob], copy={})
        layers = [
            schema.NeuralNetworkLayer(name="grow", input=[blob], output=[made], **grow),
            schema.NeuralNetworkLayer(name="back", input=[made], output=[blob], copy={}),
        ]
        return [first.SerializeToString()], [layer.SerializeToString() for layer in layers]

    def many(self, model: schema.Model) -> str:
        """Add thousands of copies of a layer, an input or an output, each with its own names."""
        rng = self.rng
        groups = [model.description.input, model.description.output]
        groups += [top_layers(model)] * 4 if layers_of(model) else []
        group: Any = rng.choice(groups)
        if not len(group):
            return ""
        sample = rng.choice(list(group))
        if sample.ByteSize() > 500:
            return ""
        for index in range(rng.choice([100, 300, 1000])):
            copy = group.add()
            copy.CopyFrom(sample)
            copy.name = f"{sample.name}{index}"
            if group is groups[-1] and hasattr(copy, "output"):
                copy.output[:] = [f"{name}{index}" for name in copy.output]
                if copy.WhichOneof("layer") == "custom":
                    copy.custom.className += str(index)
        return str(sample.DESCRIPTOR.name)

    def enclose(self, model: schema.Model) -> str:
        """Wrap the model in a pipeline, perhaps in another one inside it."""
        if model.ByteSize() > 20_000:
            return ""
        for _ in range(self.rng.choice([1, 1, 1, 2, 18])):
            inner = model.SerializeToString()
            kept = schema.Model.FromString(inner)
            model.Clear()
            model.specificationVersion = max(1, kept.specificationVersion)
            model.description.CopyFrom(kept.description)
            model.pipeline.models.add().MergeFromString(inner)
            if self.rng.random() < 0.3:
                other = schema.Model.FromString(self.rng.choice(self.seeds.small).data)
                model.pipeline.models.add().CopyFrom(other)
        return "Pipeline"

    def classify(self, model: schema.Model) -> str:
        """Turn a network into a classifier or regressor of the same layers."""
        kind = str(model.WhichOneof("Type"))
        if not kind.startswith("neuralNetwork"):
            return ""
        data = getattr(model, kind).layers
        layers = [layer.SerializeToString() for layer in data]
        other: Any = getattr(model, self.rng.choice(["neuralNetworkClassifier", "neuralNetworkRegressor"]))
        other.SetInParent()
        for item in layers:
            other.layers.add().MergeFromString(item)
        if hasattr(other, "stringClassLabels"):
            other.stringClassLabels.vector.extend("abcdefgh"[: self.rng.choice([0, 1, 2, 3, 8])])
        if model.description.output:
            model.description.predictedFeatureName = model.description.output[0].name
        return type(other).DESCRIPTOR.name


_NUMERIC = {*_HOSTILE, FieldDescriptor.CPPTYPE_ENUM}
_ELEMENTWISE = {"activation", "scale", "bias", "batchnorm", "unary", "add", "multiply", "clip", "addBroadcastable"}

Way = Callable[[Mutator, schema.Model], str]

_WAYS: Sequence[Way] = [
    Mutator.number,
    Mutator.text,
    Mutator.weights,
    Mutator.repeated,
    Mutator.transplant,
    Mutator.swap,
    Mutator.clear,
    Mutator.switch,
    Mutator.shape,
    Mutator.version,
    Mutator.entry,
]
_SHARES = [12, 3, 4, 4, 3, 1, 2, 3, 3, 1, 1]
_COMPOSITIONS: Sequence[Way] = [
    Mutator.graft,
    Mutator.chain,
    Mutator.veil,
    Mutator.wrap,
    Mutator.enclose,
    Mutator.classify,
    Mutator.many,
]
_COMPOSITION_SHARES = [5, 6, 4, 2, 1, 1, 0.03]


def layers_of(model: schema.Model) -> list[Any]:
    """Return the layers of a network of any of the three types, those within branches and loops included."""
    kind = str(model.WhichOneof("Type"))
    return list(nested(getattr(model, kind).layers)) if kind.startswith("neuralNetwork") else []


def nested(layers: Any) -> Iterator[Any]:
    """Yield layers, and those within them."""
    for layer in layers:
        yield layer
        kind = layer.WhichOneof("layer")
        if kind in ("branch", "loop"):
            for item, value in getattr(layer, kind).ListFields():
                if item.message_type is not None:
                    yield from nested(value.layers)


def top_layers(model: schema.Model) -> Any:
    """Return the field of a network's layers."""
    return getattr(model, str(model.WhichOneof("Type"))).layers


def is_random(model: schema.Model) -> bool:
    """Return whether a prediction draws numbers, so that two of them need not agree."""
    if any("andom" in str(kind) or kind == "categoricalDistribution" for kind in map(_kind, layers_of(model))):
        return True
    inner: Any = getattr(model, str(model.WhichOneof("Type") or "description"))
    inner = getattr(inner, "pipeline", inner)
    return any(map(is_random, getattr(inner, "models", ())))


def _kind(layer: Any) -> str:
    return str(layer.WhichOneof("layer"))


def hostile_array(rng: random.Random, shape: Sequence[int]) -> np.ndarray[Any, Any]:
    """Return small integers mostly, sometimes multiples of 1/2, rarely NaN and infinities."""
    draw = np.random.default_rng(rng.getrandbits(32))
    values = draw.integers(-2, 4, shape).astype(np.float64)
    way = rng.random()
    if way < 0.3:
        values = values / 2 + 0.25
    elif way < 0.4 and values.size:
        values.reshape(-1)[rng.randrange(values.size)] = rng.choice([np.nan, np.inf, -np.inf, 1e30, -(2.0**40), 1e-40])
    elif way < 0.6:
        values = np.abs(values)
    return values
