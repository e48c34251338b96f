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

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from refcoreml import values
from refcoreml.build.features import array
from refcoreml.build.fields import fill, similar
from refcoreml.errors import UsageError, within
from refcoreml.model import Model, load
from refcoreml.neuralnetwork.interface import is_legacy_layer
from refcoreml.spec import schema

#: Members of ``NeuralNetworkLayer.layer`` from this number on were added by specification version 5.
_FIRST_VERSION_5_LAYER = 1450


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
            raise UsageError(f"the schema has no layer {kind!r}", remedy=similar(kind, [field.name for field in entry]))
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
