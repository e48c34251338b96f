"""Builds networks in Python with the schema's own names, each checked against the schema.

::

    net = build.Network({"image": build.image(28, 28, "GRAYSCALE")}, ["probabilities"], classes=list("0123456789"))
    net.preprocess("image", channel_scale=1 / 255)
    net.add("convolution", weights=w, bias=b, has_bias=True, kernel_size=[3, 3], output_channels=8, kernel_channels=1,
            n_groups=1, valid={})
    net.add("activation", ReLU={})
    ...
    spec = net.spec()        # a schema.Model message
    model = net.model()      # ready to predict

Fields may be written as in the schema (``kernelSize``) or in Python's way (``kernel_size``). Arrays given to a field of
weights are stored as float16 if they are float16, else as float32; a ``WeightParams`` message is taken as it is. Enums
take names or numbers, messages take dicts. The parameters of a custom layer are strings, ints, floats and booleans.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from refcoreml import values
from refcoreml.errors import UsageError, within
from refcoreml.model import Model, load
from refcoreml.neuralnetwork.interface import is_legacy_layer
from refcoreml.spec import schema
from refcoreml.spec.weights import encode_floats

#: What error messages write out, as far as it is short.
_WRITTEN = (bool, type(None), bytes, list, tuple, dict)
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2

#: Members of ``NeuralNetworkLayer.layer`` from this number on were added by specification version 5.
_FIRST_VERSION_5_LAYER = 1450


def image(width: int, height: int, color_space: str = "RGB") -> schema.FeatureType:
    """Return an image feature; ``color_space`` is RGB, BGR, GRAYSCALE or GRAYSCALE_FLOAT16."""
    feature = schema.FeatureType()
    fill(feature.imageType, {"width": width, "height": height, "colorSpace": color_space}, "image")
    return feature


def array(*shape: int, data_type: str = "FLOAT32") -> schema.FeatureType:
    """Return a multi-array feature; ``data_type`` is FLOAT32, DOUBLE, INT32, FLOAT16 or INT8."""
    feature = schema.FeatureType()
    fill(feature.multiArrayType, {"shape": shape, "dataType": data_type}, "array")
    return feature


class Network:
    """Collects layers and writes them as a model.

    Args:
        inputs: features by name: a `schema.FeatureType` (see `image`, `array`) or the shape of a float32 array.
        outputs: names of output blobs, or features by name; the shape of an output may be None.
        classes: labels of a classifier, strings or integers. The first output is then its probability blob.
        regressor: whether to write a regressor; the first output is then the predicted feature.
        exact: whether array inputs keep their exact rank (specification 4 and later) or become rank 5.
    """

    def __init__(
        self,
        inputs: Mapping[str, schema.FeatureType | Sequence[int]],
        outputs: Iterable[str] | Mapping[str, schema.FeatureType | Sequence[int] | None],
        *,
        classes: Sequence[str] | Sequence[int] | None = None,
        regressor: bool = False,
        exact: bool = False,
    ) -> None:
        self._inputs = {
            values.text(name, values.argument("inputs")): _feature_type(feature, f"inputs[{values.quoted(name)}]")
            for name, feature in values.mapping(inputs, values.argument("inputs")).items()
        }
        names: Mapping[Any, Any]
        if values.is_a(outputs, Mapping):
            names = values.mapping(outputs, values.argument("outputs"))
        else:
            names = dict.fromkeys(_names(outputs, "outputs"))
        self._outputs = {
            values.text(name, values.argument("outputs")): _feature_type(feature, f"outputs[{values.quoted(name)}]")
            for name, feature in names.items()
        }
        self._classes = None if classes is None else _labels(classes)
        self._regressor, self._exact = (
            values.flag(regressor, values.argument("regressor")),
            values.flag(exact, values.argument("exact")),
        )
        if classes is not None and self._regressor:
            raise UsageError("a network is a classifier or a regressor, not both")
        if (classes is not None or self._regressor) and not self._outputs:
            raise UsageError("a classifier or regressor needs an output")
        self.layers: list[schema.NeuralNetworkLayer] = []
        self._preprocessing: list[schema.NeuralNetworkPreprocessing] = []
        self._last = next(iter(self._inputs), "")

    def add(
        self,
        kind: str,
        *,
        name: str | None = None,
        inputs: str | Sequence[str] | None = None,
        outputs: str | Sequence[str] | None = None,
        **fields: Any,
    ) -> Any:
        """Add a layer, and return the name of its output (a tuple of names if ``outputs`` is a sequence).

        Args:
            kind: the layer's name in the schema, such as ``innerProduct``.
            name: the layer's name in the model; by default its type and a number.
            inputs: blob names; by default the output of the layer before.
            outputs: blob names; by default one, called like the layer.
            fields: the fields of the layer's message.
        """
        kind = values.text(kind, values.argument("kind"))
        entry = schema.NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields
        if kind not in {field.name for field in entry}:
            raise UsageError(
                f"the schema has no layer {kind!r}", remedy=_similar(kind, [field.name for field in entry])
            )
        name = f"{kind}{len(self.layers)}" if name is None else values.text(name, values.argument("name"))
        taken = self._last if inputs is None else inputs
        made = name if outputs is None else outputs
        where = f"layer {values.quoted(name)} ({kind})"
        ends = {"input": _names(taken, f"{where}, inputs"), "output": _names(made, f"{where}, outputs")}
        layer = fill(schema.NeuralNetworkLayer(), {"name": name, **ends}, where)
        params = getattr(layer, kind)
        params.SetInParent()
        fill(params, fields, where)
        self.layers.append(layer)
        if layer.output:
            self._last = layer.output[0]
        return ends["output"][0] if values.is_a(made, str) else tuple(ends["output"])

    def preprocess(self, feature: str = "", *, mean_image: Any = None, **scaler: float) -> None:
        """Add image preprocessing: a mean image, or ``channel_scale`` and ``red_bias``, ``green_bias`` and so on."""
        if mean_image is not None and scaler:
            raise UsageError("a preprocessing step is a mean image or a scaler, not both", remedy="Add two steps")
        fields: dict[str, Any] = {"scaler": scaler}
        if mean_image is not None:
            pixels = values.array(mean_image, values.argument("mean_image"))
            fields = {"meanImage": {"meanImage": np.ravel(pixels.astype(np.float32))}}
        name = values.text(feature, values.argument("feature"))
        message = fill(schema.NeuralNetworkPreprocessing(featureName=name), fields, "preprocessing")
        self._preprocessing.append(message)

    def spec(self) -> schema.Model:
        """Return the model as a message."""
        model = schema.Model(specificationVersion=self._version())
        for group, features in ((model.description.input, self._inputs), (model.description.output, self._outputs)):
            for name, feature in features.items():
                group.add(name=name).type.CopyFrom(feature)
        if self._classes is not None:
            self._describe_classifier(model)
            network: Any = model.neuralNetworkClassifier
        elif self._regressor:
            model.description.predictedFeatureName = next(iter(self._outputs))
            network = model.neuralNetworkRegressor
        else:
            network = model.neuralNetwork
        network.layers.extend(self.layers)
        network.preprocessing.extend(self._preprocessing)
        if self._exact:
            network.arrayInputShapeMapping = schema.EXACT_ARRAY_MAPPING
            network.imageInputShapeMapping = schema.RANK4_IMAGE_MAPPING
        return model

    def model(self, **options: Any) -> Model:
        """Return the model, loaded: ``refcoreml.load(self.spec(), **options)``."""
        return load(self.spec(), **options)

    def _version(self) -> int:
        """Return the least specification version that has all layers as they are parameterised."""
        fields = schema.NeuralNetworkLayer.DESCRIPTOR.fields_by_name
        if any(fields[str(layer.WhichOneof("layer"))].number >= _FIRST_VERSION_5_LAYER for layer in self.layers):
            return 5
        return 3 if not self._exact and all(map(is_legacy_layer, self.layers)) else 4

    def _describe_classifier(self, model: schema.Model) -> None:
        classifier, classes = model.neuralNetworkClassifier, self._classes or []
        probabilities = next(iter(self._outputs))
        strings = all(isinstance(label, str) for label in classes)
        fill(classifier, {"stringClassLabels" if strings else "int64ClassLabels": {"vector": classes}}, "classes")
        classifier.labelProbabilityLayerName = probabilities
        feature = next(output for output in model.description.output if output.name == probabilities)
        keys = "stringKeyType" if strings else "int64KeyType"
        feature.type.CopyFrom(fill(schema.FeatureType(), {"dictionaryType": {keys: {}}}, "classifier"))
        label = model.description.output.add(name="classLabel")
        getattr(label.type, "stringType" if strings else "int64Type").SetInParent()
        model.description.predictedFeatureName = "classLabel"
        model.description.predictedProbabilitiesName = probabilities


def _feature_type(feature: schema.FeatureType | Sequence[int] | None, where: str) -> schema.FeatureType:
    if values.is_a(feature, schema.FeatureType):
        return cast(schema.FeatureType, feature)
    shape = () if feature is None else values.items(feature, values.argument(where), "a FeatureType or a shape")
    with within(where):
        return array(*shape)


def _labels(classes: Any) -> list[str | int]:
    refuse = values.argument("classes")
    return [
        values.text(label, refuse) if values.is_a(label, str) else values.integer(label, refuse)
        for label in values.each(classes, refuse)
    ]


def _names(value: Any, where: str) -> list[str]:
    """Return one name or several as a list."""
    refuse = values.argument(where)
    listed = [value] if values.is_a(value, str) else values.each(value, refuse, "a name or a list of names")
    return [values.text(name, refuse) for name in listed]


def fill(message: Any, fields: Mapping[str, Any], where: str) -> Any:
    """Set fields of a message from plain Python values, names checked against the schema, and return the message."""
    known = message.DESCRIPTOR.fields_by_name
    refuse = values.argument(where)
    for key, value in values.mapping(fields, refuse, f"a dict with fields of {message.DESCRIPTOR.name}").items():
        given = values.text(key, refuse)
        name = given if given in known else _camel(given)
        if name not in known:
            raise UsageError(
                f"{message.DESCRIPTOR.name} has no field {values.quoted(given)}",
                where=where,
                remedy=_similar(name, list(known)),
            )
        try:
            _assign(message, known[name], value, f"{where}.{name}")
        except UsageError:
            raise
        except Exception as error:  # protobuf asks values to convert themselves, which may raise anything
            problem = f"cannot take {_written(value)}: {values.reason(error)}"
            raise UsageError(problem, where=f"{where}.{name}") from error
    return message


def _assign(message: Any, field: FieldDescriptor, value: Any, where: str) -> None:
    target = getattr(message, field.name)
    if field.message_type is not None and isinstance(target, Message):
        if values.is_a(value, Message):
            target.CopyFrom(value)
        elif field.message_type.name == "WeightParams":
            target.CopyFrom(_weights(value, where))
        else:
            target.SetInParent()
            fill(target, value, where)
    elif field.message_type is not None and field.message_type.GetOptions().map_entry:
        for key, item in values.mapping(value, values.argument(where)).items():
            fill(target[key], item if values.is_a(item, Mapping) else _variant(item), where)
    elif field.message_type is not None:
        for item in values.each(value, values.argument(where)):
            if field.message_type.name == "WeightParams" and not values.is_a(item, Mapping):
                target.add().CopyFrom(_weights(item, where))
            elif values.is_a(item, Message):
                target.add().CopyFrom(item)
            else:
                fill(target.add(), item, where)
    elif hasattr(target, "extend"):
        for item in values.each(
            value, values.argument(where)
        ):  # not extend, which forgets in protobuf 4.25.0 that an item before the last was refused
            target.append(_plain(field, item, where))
    else:
        setattr(message, field.name, _plain(field, value, where))


def _weights(value: Any, where: str) -> Message:
    if values.is_a(value, Message):
        return cast(Message, value)
    array = values.array(value, values.argument(where))
    return encode_floats(array if values.is_a(value, (np.ndarray, np.generic)) else array.astype(np.float32))


def _written(value: Any) -> str:
    """Return a value as it is written in Python, if that is short and harmless."""
    try:
        return values.short(_SHORT.repr(value)) if type(value) in _WRITTEN else values.quoted(value)
    except Exception:  # of an item
        return values.quoted(value)


def _variant(value: Any) -> dict[str, Any]:
    """Return the member that a value is stored in, of messages that hold one value of any type."""
    value = value.item() if values.is_a(value, np.generic) else value
    if values.is_a(value, int) and not isinstance(value, bool):
        return {"intValue" if -(2**31) <= value < 2**31 else "longValue": value}
    members = {bool: "boolValue", float: "doubleValue", str: "stringValue", bytes: "bytesValue"}
    if type(value) not in members:
        raise TypeError("expected a string, an int, a float or a boolean")
    return {members[type(value)]: value}


def _plain(field: FieldDescriptor, value: Any, where: str) -> Any:
    if field.enum_type is not None and values.is_a(value, str):
        known = field.enum_type.values_by_name
        if value not in known:
            raise UsageError(
                f"{field.enum_type.name} has no value {values.quoted(value)}",
                where=where,
                remedy=_similar(value, list(known)),
            )
        return known[value].number
    return value.item() if values.is_a(value, np.generic) else value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def _similar(name: str, known: Sequence[str]) -> str:
    close = values.similar(name, known, 3) or sorted(known)
    return f"There is {', '.join(close)}"
