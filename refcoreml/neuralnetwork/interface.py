"""Between features and blobs: what a network's inputs become before its first layer, and its outputs after the last."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from refcoreml.errors import InputError, InvalidModelError, RefCoreMLWarning
from refcoreml.features import ArrayFeature, Classifier, Feature, read_features
from refcoreml.features.classifier import Label, class_labels, predicted_feature
from refcoreml.neuralnetwork.graph import walk_layers
from refcoreml.neuralnetwork.ports import ImagePort, Layout, Port, input_port, output_port
from refcoreml.neuralnetwork.preprocessing import Preprocessing, formula, read_preprocessing
from refcoreml.problems import RAISED, Problems
from refcoreml.spec import schema
from refcoreml.spec.enums import undefined_enum
from refcoreml.types import Array, Shape

__all__ = ["Interface", "is_legacy_layer"]

#: The message of a network of one of the three model types.
NetworkMessage: TypeAlias = schema.NeuralNetwork | schema.NeuralNetworkClassifier | schema.NeuralNetworkRegressor

#: Fields up to this number of ``NeuralNetworkLayer.layer`` were added by specification versions 1 to 3.
_LAST_LEGACY_LAYER = 500


class Interface:
    """The way from checked inputs to input blobs, and from output blobs to outputs.

    Input blobs are named like their features. They get these shapes:

    ============== ============================= ======================================
    feature        rank-5 networks               N-D networks
    ============== ============================= ======================================
    array          see `features.rank5_shape`    the array's own
    image          [1, 1, C, H, W]               [1, C, H, W], or [1, 1, C, H, W] under ``RANK5_IMAGE_MAPPING``
    int64, double  [1, 1, 1, 1, 1]               [1]
    ============== ============================= ======================================

    Apple's validator allows no int64 and double inputs to networks; here they are taken, as arrays of one number.

    Attributes:
        inputs: names of the input blobs.
        outputs: names of the output blobs; those of a classifier include that of its probabilities.
        rank5: whether all blobs are static ``[Seq, Batch, C, H, W]``. So it is if no layer is newer than specification
            version 3 and both mappings of input shapes are the rank-5 ones.
        open_shapes: whether an input may have other shapes than the default one, which then need not be one that fits.
            So it is with ranges, and in rank-5 networks with arrays, which may have dimensions Seq and Batch.
    """

    def __init__(
        self,
        description: schema.ModelDescription,
        network: NetworkMessage,
        dtype: type[np.floating[Any]] = np.float32,
        problems: Problems = RAISED,
    ) -> None:
        """Read the declarations.

        Args:
            description: the model's inputs and outputs.
            network: the network, network classifier or network regressor.
            dtype: the type of the blobs.
            problems: where checks report. Where there is one, what follows from it is left out.

        Raises:
            InvalidModelError: the declarations break a rule of the specification.
            UnsupportedModelError: the network has states.
        """
        message = network.DESCRIPTOR.name
        self._where = message[0].lower() + message[1:]
        with problems.part("network.mappings", self._where):
            if problem := undefined_enum(network):
                raise self._invalid(problem)
        inputs = read_features(description.input, "inputs", self._where, problems)
        self._outputs = read_features(description.output, "outputs", self._where, problems)
        self.rank5 = False
        if problems.sound(self._where):
            with problems.part("network.mappings", self._where):
                self.rank5 = self._decide_rank5(network, inputs)
        layout = Layout(self.rank5, 5 if network.imageInputShapeMapping == schema.RANK5_IMAGE_MAPPING else 4, dtype)
        self._inputs: dict[str, Port[Any]] = {}
        for feature in inputs:
            with problems.part("network.inputs"):
                self._inputs[feature.name] = input_port(feature, layout)
        if len(self._inputs) == len(description.input):
            with problems.part("network.preprocessing"):
                self._read_preprocessing(network)
        self._classifier, self._scores_blob = self._read_classifier(description, network, problems)
        if isinstance(network, schema.NeuralNetworkRegressor) and len(self._outputs) == len(description.output):
            with problems.part("regressor.output"):
                predicted_feature(self._outputs, description, ("double", "array"), self._where)
        self._ports: dict[str, Port[Any]] = {}
        is_known = self._classifier is not None or not isinstance(network, schema.NeuralNetworkClassifier)
        for feature in self._outputs:
            if is_known and not self._is_classifiers(feature):
                with problems.part("network.outputs"):
                    self._ports[feature.name] = output_port(feature, layout)
        self.open_shapes = any(port.is_open for port in self._inputs.values())
        self.inputs = tuple(dict.fromkeys(feature.name for feature in description.input))
        self.outputs = tuple(dict.fromkeys([*self._ports, self._scores_blob] if self._classifier else self._ports))

    def _invalid(self, problem: str, remedy: str = "") -> InvalidModelError:
        return InvalidModelError(problem, where=self._where, remedy=remedy)

    # --- reading the declarations --------------------------------------------------------------------------------

    def _decide_rank5(self, network: NetworkMessage, inputs: Sequence[Feature]) -> bool:
        new_layer = next((layer for layer in network.layers if not is_legacy_layer(layer)), None)
        exact_arrays = network.arrayInputShapeMapping != schema.RANK5_ARRAY_MAPPING
        exact_images = network.imageInputShapeMapping != schema.RANK5_IMAGE_MAPPING
        if not exact_arrays and any(isinstance(feature, ArrayFeature) for feature in inputs):
            remedy = "Such a network must use EXACT_ARRAY_MAPPING"
            if new_layer is not None:
                raise self._invalid(
                    f"maps its array inputs to rank 5 (RANK5_ARRAY_MAPPING), but layer {new_layer.name!r} "
                    f"({new_layer.WhichOneof('layer')}) is newer than specification version 3",
                    remedy,
                )
            if exact_images:
                raise self._invalid("maps its array inputs to rank 5, but its image inputs to rank 4", remedy)
        return not (new_layer or exact_arrays or exact_images)

    def _read_preprocessing(self, network: NetworkMessage) -> None:
        ports = {name: port for name, port in self._inputs.items() if isinstance(port, ImagePort)}
        features = {name: port.feature for name, port in ports.items()}
        for name, steps in read_preprocessing(network.preprocessing, features, self._where).items():
            ports[name].preprocessing = steps

    def _read_classifier(
        self, description: schema.ModelDescription, network: NetworkMessage, problems: Problems
    ) -> tuple[Classifier | None, str]:
        """Return what makes the network a classifier, if it is one, and the name of the blob with the scores."""
        if not isinstance(network, schema.NeuralNetworkClassifier):
            return None, ""
        labels: Sequence[Label] = ()
        classifier, blob = None, None
        with problems.part("classifier.labels"):
            labels = class_labels(network, self._where)
        if labels and len(self._outputs) == len(description.output):
            with problems.part("classifier.outputs"):
                classifier = Classifier.of(labels, description, self._outputs, self._where)
        with problems.part("classifier.scores"):
            blob = self._find_scores(network)
        if classifier is not None:
            with problems.part("classifier.outputs"):
                classifier.check_outputs(self._outputs)
        return (None, "") if blob is None else (classifier, blob)

    def _find_scores(self, network: schema.NeuralNetworkClassifier) -> str:
        """Return the name of the blob with the scores."""
        blob = network.labelProbabilityLayerName
        if not blob and network.layers and network.layers[-1].output:
            blob = network.layers[-1].output[0]
        if blob not in {name for layer in walk_layers(network.layers) for name in layer.output}:
            layer = next((layer for layer in network.layers if layer.name == blob and layer.output), None)
            hint = f"That is the name of a layer; its output is {layer.output[0]!r}" if layer else ""
            raise self._invalid(f"labelProbabilityLayerName {blob!r} is not an output of any layer", hint)
        return blob

    @property
    def preprocessing(self) -> dict[str, Sequence[Preprocessing]]:
        """What happens to the pixels of each image input, step by step."""
        return {name: port.preprocessing for name, port in self._inputs.items() if isinstance(port, ImagePort)}

    # --- features to blobs ---------------------------------------------------------------------------------------

    def to_blobs(self, checked: Mapping[str, Any]) -> dict[str, Array]:
        """Make input blobs from inputs that `features.check_inputs` has checked.

        Images are preprocessed: for each entry of ``preprocessing`` y = channelScale * x + bias, with the bias of the
        channel, which is not scaled itself, or y = x - meanImage; without an entry pixels stay 0..255. Optional arrays
        and numbers that are absent become zeros of their default shape, in rank-5 networks with the Batch of the other
        inputs: so a recurrent layer gets its initial state. Everything is computed in the type of the blobs.

        Raises:
            InputError: an image input or a mandatory one is absent, a shape cannot become a blob, or a number is beyond
                the range of the blobs' type.
        """
        blobs = {name: port.to_blob(checked[name]) for name, port in self._inputs.items() if name in checked}
        if len(blobs) == len(self._inputs):
            return blobs
        batch = max((blob.shape[1] for blob in blobs.values()), default=1) if self.rank5 else 1
        return {name: blobs[name] if name in blobs else self._absent(name, batch) for name in self.inputs}

    def _absent(self, name: str, batch: int) -> Array:
        port = self._inputs[name]
        if not port.feature.optional:
            raise InputError(f"input {name!r} is missing")
        return port.absent(batch)

    def default_shapes(self) -> dict[str, Shape]:
        """Return the shapes of the input blobs for the declared default shapes; inputs without one are missing.

        The default shape is the declared one, else the first of the enumerated ones, else the least of the range.
        """
        shapes = {name: port.default_shape for name, port in self._inputs.items()}
        return {name: shape for name, shape in shapes.items() if shape is not None}

    def preprocessing_formula(self) -> dict[str, list[str]]:
        """Return what happens to the pixels of each image input, a line per channel: ``red = 0.0078 * x - 1``.

        A pixel x is 0..255.
        """
        ports = {name: port for name, port in self._inputs.items() if isinstance(port, ImagePort)}
        return {name: formula(port.feature, port.preprocessing) for name, port in ports.items()}

    # --- blobs to features ---------------------------------------------------------------------------------------

    def from_blobs(self, blobs: Mapping[str, Array]) -> dict[str, Any]:
        """Make outputs from output blobs; `features.finish_output` then brings them to their types.

        * arrays: in N-D networks the blob as it is, but with the declared shape if that differs by dimensions of 1
          only (Apple's tests expect it behind an image of rank 4). In rank-5 networks (where Apple's own tests
          squeeze before they compare, so that this is a choice): the declared shape if it has as many elements as the
          blob; else, where Seq and Batch are 1, [C] if H and W are 1 too and [C, H, W] if not; else
          [Seq, Batch, C, H, W]. A declared shape that is false is not insisted on, see `check_outputs`.
        * images: [C, H, W], which must be the last dimensions of the blob, all others being 1.
        * int64, double: the only element of the blob.
        * of a classifier: the label with the highest score, the first of equals; the scores by label as they are (no
          softmax is added, nothing is normalised). The blob with the scores is that of ``labelProbabilityLayerName``,
          or if that is empty the first output of the last layer, which is what coremltools would have written there.

        Raises:
            InvalidModelError: a blob does not have the form that its feature declares, or there are not as many scores
                as labels.
            InputError: a classifier got several sequences or a batch.
        """
        return {feature.name: self._output(feature, blobs) for feature in self._outputs}

    def _is_classifiers(self, feature: Feature) -> bool:
        """Return whether an output is the label or the scores of a classifier."""
        return self._classifier is not None and self._classifier.role(feature) != "other"

    def _output(self, feature: Feature, blobs: Mapping[str, Array]) -> Any:
        if self._classifier is None or feature.name in self._ports:
            return self._ports[feature.name].from_blob(blobs[feature.name])
        return self._classifier.output(feature, self._scores(self._classifier, blobs[self._scores_blob]))

    def _scores(self, classifier: Classifier, blob: Array) -> Array:
        self._check_count(classifier, blob.shape)
        if self.rank5 and blob.shape[:2] != (1, 1):
            raise InputError(
                f"there are scores for Seq {blob.shape[0]} and Batch {blob.shape[1]}, but a prediction has one label",
                where=self._where,
                remedy="Predict one at a time",
            )
        return blob.reshape(-1)

    def _check_count(self, classifier: Classifier, shape: Shape) -> None:
        count, labels = math.prod(shape[2:] if self.rank5 else shape), len(classifier.labels)
        if count != labels:
            raise self._invalid(f"blob {self._scores_blob!r} holds {count} scores for {labels} labels")

    def check_outputs(self, shapes: Mapping[str, Shape]) -> None:
        """Compare the shapes of output blobs with the declarations, those that are known.

        An array has the shape that the network computes, whatever is declared. Nothing says that Core ML insists on
        the declaration, and models with false ones have run: with (6,) for 200 steps of 6 (apple/coremltools#162),
        without leading ones (apple/coremltools#1942). But who reads the declaration is misled; so a shape that it does
        not explain causes a `RefCoreMLWarning`. Where inputs may have several shapes, so may outputs, and nothing is
        compared.

        Raises:
            InvalidModelError: there are not as many scores as labels.
        """
        if self._classifier and self._scores_blob in shapes:
            self._check_count(self._classifier, shapes[self._scores_blob])
        if any(port.feature.shapes.listed or port.feature.shapes.ranges for port in self._inputs.values()):
            return
        for name, port in self._ports.items():
            shape = shapes.get(name)
            if shape is not None and not port.explains(shape):
                warnings.warn(
                    f"output {name!r} is declared as {port.feature.describe()}, but the network computes "
                    f"{' x '.join(map(str, shape))}; the declared shape is not insisted on",
                    RefCoreMLWarning,
                    stacklevel=4,
                )

    def source_of(self, feature: Feature) -> tuple[str, tuple[str | int, ...]]:
        """Return the blob that an output is made of; with the labels of its scores, if it comes from a classifier's."""
        if self._classifier is None or feature.name in self._ports:
            return feature.name, ()
        return self._scores_blob, self._classifier.labels

    def from_blob(self, feature: Feature, blob: Array) -> Array:
        """Return an output that is no classifier's, in its shape; see `from_blobs`."""
        return self._ports[feature.name].from_blob(blob)


def is_legacy_layer(layer: schema.NeuralNetworkLayer) -> bool:
    """Return whether specification version 3 knows the layer as it is parameterised.

    A layer without a type counts as one: that it cannot run is the engine's to say.

    Source: isIOS12NeuralNetworkLayer in the validator of coremltools.
    """
    kind = layer.WhichOneof("layer")
    if kind is None:
        return True
    if layer.DESCRIPTOR.fields_by_name[kind].number > _LAST_LEGACY_LAYER:
        return False
    if kind == "convolution":
        return len(layer.input) == 1
    if kind == "innerProduct":
        return not layer.innerProduct.int8DynamicQuantize
    if kind == "upsample":
        mode = layer.upsample.linearUpsampleMode
        return mode == schema.UpsampleLayerParams.DEFAULT and not layer.upsample.fractionalScalingFactor
    if kind == "reorganizeData":
        return layer.reorganizeData.mode != schema.ReorganizeDataLayerParams.PIXEL_SHUFFLE
    return True
