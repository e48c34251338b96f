"""Between features and blobs: what a network's inputs become before its first layer, and its outputs after the last."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from refcoreml.errors import InputError, InvalidModelError, UnsupportedModelError
from refcoreml.features import Feature, RefCoreMLWarning, convert, elements, rank5_shape, read_features
from refcoreml.kernels._types import Array, Shape
from refcoreml.neuralnetwork.registry import MAX_RANK
from refcoreml.spec import schema
from refcoreml.spec.enums import undefined_enum

__all__ = ["Interface", "is_legacy_layer"]

#: The message of a network of one of the three model types.
NetworkMessage: TypeAlias = schema.NeuralNetwork | schema.NeuralNetworkClassifier | schema.NeuralNetworkRegressor

#: Fields up to this number of ``NeuralNetworkLayer.layer`` came with specification versions 1 to 3.
_LAST_LEGACY_LAYER = 500

_CHANNELS = {
    "RGB": ("red", "green", "blue"),
    "BGR": ("blue", "green", "red"),
    "Grayscale": ("gray",),
    "Grayscale Float16": ("gray",),
}


class Interface:
    """The way from checked inputs to input blobs, and from output blobs to outputs.

    Input blobs are named like their features. They get these shapes:

    ============== ============================= ======================================
    feature        rank-5 world                  N-D world
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
    """

    def __init__(
        self,
        description: schema.ModelDescription,
        network: NetworkMessage,
        dtype: type[np.floating[Any]] = np.float32,
    ) -> None:
        """Reads the declarations.

        Args:
            description: the model's inputs and outputs.
            network: the network, network classifier or network regressor.
            dtype: the type of the blobs.

        Raises:
            InvalidModelError: the declarations break a rule of the specification.
            UnsupportedModelError: the network has states.
        """
        message = network.DESCRIPTOR.name
        self._where = message[0].lower() + message[1:]
        self._dtype = dtype
        problem = undefined_enum(network)
        if problem:
            raise self._invalid(problem)
        self._inputs = read_features(description.input, "inputs", self._where)
        self._outputs = read_features(description.output, "outputs", self._where)
        self.rank5 = self._decide_rank5(network)
        self._image_rank = 5 if network.imageInputShapeMapping == schema.RANK5_IMAGE_MAPPING else 4
        self._check_inputs()
        self.preprocessing = self._read_preprocessing(network)
        self._classes = (
            self._read_classes(description, network) if isinstance(network, schema.NeuralNetworkClassifier) else None
        )
        if isinstance(network, schema.NeuralNetworkRegressor):
            self._check_predicted_feature(description, ("double", "array"))
        self._check_outputs()
        self.inputs = tuple(feature.name for feature in self._inputs)
        blobs = [feature.name for feature in self._outputs if self._role(feature) == "blob"]
        self.outputs = tuple(dict.fromkeys([*blobs, self._classes.blob] if self._classes else blobs))

    def _invalid(self, problem: str, remedy: str = "") -> InvalidModelError:
        return InvalidModelError(problem, where=self._where, remedy=remedy)

    # --- reading the declarations --------------------------------------------------------------------------------

    def _decide_rank5(self, network: NetworkMessage) -> bool:
        new_layer = next((layer for layer in network.layers if not is_legacy_layer(layer)), None)
        exact_arrays = network.arrayInputShapeMapping != schema.RANK5_ARRAY_MAPPING
        exact_images = network.imageInputShapeMapping != schema.RANK5_IMAGE_MAPPING
        if not exact_arrays and any(feature.kind == "array" for feature in self._inputs):
            remedy = "Such a network must use EXACT_ARRAY_MAPPING"
            if new_layer is not None:
                raise self._invalid(
                    f"maps its array inputs to rank 5 (RANK5_ARRAY_MAPPING), but layer {new_layer.name!r} "
                    f"({new_layer.WhichOneof('layer')}) came after specification version 3",
                    remedy,
                )
            if exact_images:
                raise self._invalid("maps its array inputs to rank 5, but its image inputs to rank 4", remedy)
        return not (new_layer or exact_arrays or exact_images)

    def _check_inputs(self) -> None:
        for feature in self._inputs:
            where = f"input {feature.name!r}, {feature.describe()}"
            if feature.kind == "state":
                raise UnsupportedModelError("networks with states cannot be run", where=where)
            if feature.kind not in ("image", "array", "int64", "double"):
                raise InvalidModelError("a network's inputs must be images or arrays", where=where)
            if feature.kind == "array":
                shapes = feature.shapes
                ranks = {len(shape) for shape in (shapes.default, *shapes.listed) if shape is not None}
                if max((*ranks, len(shapes.ranges))) > MAX_RANK:
                    raise InvalidModelError(f"a blob has at most {MAX_RANK} dimensions", where=where)
                if self.rank5 and not ranks <= {1, 3}:
                    raise InvalidModelError(
                        "an array input of a network with rank-5 blobs must have 1 or 3 dimensions",
                        where=where,
                        remedy="Networks of specification version 4 and later may use EXACT_ARRAY_MAPPING",
                    )

    def _check_outputs(self) -> None:
        for feature in self._outputs:
            if self._role(feature) == "scores":
                self._check_scores(feature)
            if self._role(feature) == "blob" and feature.kind not in ("image", "array", "int64", "double"):
                raise InvalidModelError(
                    "a network's outputs must be images or arrays",
                    where=f"output {feature.name!r}, {feature.describe()}",
                )

    def _check_scores(self, feature: Feature) -> None:
        """Scores are fractions by label, or an array of them."""
        assert self._classes is not None
        keys = "String" if isinstance(self._classes.labels[0], str) else "Int64"
        if feature.kind == "dictionary" and feature.element == keys:
            return
        if feature.kind != "array" or not feature.holds_fractions:
            raise self._invalid(
                f"the scores {feature.name!r} are {feature.describe()}, expected Dictionary ({keys} -> Double) or an "
                "array of floats"
            )

    def _check_predicted_feature(self, description: schema.ModelDescription, kinds: Sequence[str]) -> None:
        name = description.predictedFeatureName
        found = next((feature for feature in self._outputs if feature.name == name), None)
        if found is None:
            raise self._invalid(f"predictedFeatureName {name!r} is not among the outputs")
        if found.kind not in kinds:
            raise self._invalid(f"the predicted feature {name!r} is {found.describe()}, expected {' or '.join(kinds)}")

    def _read_preprocessing(self, network: NetworkMessage) -> dict[str, list[Scaler | MeanImage]]:
        images = {feature.name: feature for feature in self._inputs if feature.kind == "image"}
        steps: dict[str, list[Scaler | MeanImage]] = {name: [] for name in images}
        for index, message in enumerate(network.preprocessing):
            where = f"{self._where}.preprocessing[{index}]"
            name = message.featureName
            if name not in images:
                if len(images) != 1:
                    raise InvalidModelError(
                        f"featureName {name!r} does not say which image input is meant",
                        where=where,
                        remedy=f"Image inputs: {', '.join(map(repr, images)) or 'none'}",
                    )
                only = next(iter(images))
                if name:  # left behind when an old rename_feature renamed the input (apple/coremltools#163)
                    warnings.warn(
                        f"{where}: there is no image input {name!r}; applied to {only!r}. Core ML refuses such a model",
                        RefCoreMLWarning,
                        stacklevel=4,
                    )
                name = only
            kind = message.WhichOneof("preprocessor")
            if kind == "scaler":
                steps[name].append(Scaler.of(message.scaler, images[name], where))
            elif kind == "meanImage":
                steps[name].append(MeanImage.of(message.meanImage, images[name], where))
            else:
                raise InvalidModelError("there is neither a scaler nor a mean image", where=where)
        return steps

    def _read_classes(self, description: schema.ModelDescription, network: schema.NeuralNetworkClassifier) -> _Classes:
        member = network.WhichOneof("ClassLabels")
        labels: tuple[str | int, ...] = tuple(getattr(network, member).vector) if member else ()
        if not labels:
            raise self._invalid("the classifier has no class labels")
        self._check_predicted_feature(description, ("string",) if member == "stringClassLabels" else ("int64",))
        label, count = Counter(labels).most_common(1)[0]
        if count > 1:
            warnings.warn(
                f"{self._where}: {count} classes have the label {label!r}; the dictionary of scores holds the last one",
                RefCoreMLWarning,
                stacklevel=4,
            )
        blob = network.labelProbabilityLayerName
        if not blob and network.layers and network.layers[-1].output:
            blob = network.layers[-1].output[0]
        if blob not in set(_produced(network.layers)):
            layer = next((layer for layer in network.layers if layer.name == blob and layer.output), None)
            hint = f"That is the name of a layer; its output is {layer.output[0]!r}" if layer else ""
            raise self._invalid(f"labelProbabilityLayerName {blob!r} is not an output of any layer", hint)
        return _Classes(labels, blob, description.predictedFeatureName, description.predictedProbabilitiesName)

    # --- features to blobs ---------------------------------------------------------------------------------------

    def to_blobs(self, checked: Mapping[str, Any]) -> dict[str, Array]:
        """Makes input blobs from inputs that `features.check_inputs` has checked.

        Images are preprocessed: for each entry of ``preprocessing`` y = channelScale * x + bias, with the bias of the
        channel, which is not scaled itself, or y = x - meanImage; without an entry pixels stay 0..255. Optional arrays
        and numbers that are absent become zeros of their default shape, in the rank-5 world with the Batch of the other
        inputs: so a recurrent layer gets its initial state. Everything is computed in the type of the blobs.

        Raises:
            InputError: an image input or a mandatory one is absent, a shape cannot become a blob, or a number is beyond
                the range of the blobs' type.
        """
        blobs: dict[str, Array] = {}
        for feature in self._inputs:
            if feature.name in checked:
                blobs[feature.name] = self._to_blob(feature, checked[feature.name])
        batch = max((blob.shape[1] for blob in blobs.values()), default=1) if self.rank5 else 1
        for feature in self._inputs:
            if feature.name not in blobs:
                blobs[feature.name] = self._zeros(feature, batch)
        return {name: blobs[name] for name in self.inputs}

    def _to_blob(self, feature: Feature, value: Any) -> Array:
        if feature.kind == "image":
            image: Array = np.asarray(value, self._dtype)
            for step in self.preprocessing[feature.name]:
                image = step.apply(image, feature)
            return image.reshape(self._image_shape(image.shape))
        array = convert(np.asarray(value), self._dtype, feature)
        if feature.kind != "array":
            return array.reshape((1,) * 5 if self.rank5 else (1,))
        if not self.rank5:
            if array.ndim > MAX_RANK:
                raise feature.refuse(f"shape {array.shape} has {array.ndim} dimensions, a blob at most {MAX_RANK}")
            return array
        shape = rank5_shape(feature.shapes, array.shape)
        if shape is None:
            raise feature.refuse(f"shape {array.shape} cannot become [Seq, Batch, C, H, W]")
        return array.reshape(shape)

    def _image_shape(self, shape: Shape) -> Shape:
        return (1,) * (self._image_rank - 3) + shape

    def _zeros(self, feature: Feature, batch: int) -> Array:
        if not feature.optional:
            raise InputError(f"input {feature.name!r} is missing")
        shape = self._default_shape(feature)
        if feature.kind == "image" or shape is None:
            raise feature.refuse("is absent, and refcoreml does not know what stands for it", "Pass a value")
        if self.rank5:
            shape = (shape[0], batch, *shape[2:])
        return np.zeros(shape, self._dtype)

    def default_shapes(self) -> dict[str, Shape]:
        """Shapes of the input blobs for inputs of the declared default shapes; those without such a shape are missing.

        The default shape is the declared one, else the first of the enumerated ones, else the least of the range.
        """
        shapes = {feature.name: self._default_shape(feature) for feature in self._inputs}
        return {name: shape for name, shape in shapes.items() if shape is not None}

    def _default_shape(self, feature: Feature) -> Shape | None:
        if feature.kind not in ("image", "array"):
            return (1,) * 5 if self.rank5 else (1,)
        shape = feature.default_shape
        if shape is None:
            return None
        if feature.kind == "image":
            return self._image_shape(shape)
        return rank5_shape(feature.shapes, shape) if self.rank5 else shape

    @property
    def open_shapes(self) -> bool:
        """Whether an input may have other shapes than the default one, which then need not be one that fits.

        So it is with ranges, and in the rank-5 world with arrays, which may come with dimensions Seq and Batch.
        """
        return any(feature.shapes.ranges or (self.rank5 and feature.kind == "array") for feature in self._inputs)

    def preprocessing_formula(self) -> dict[str, list[str]]:
        """What happens to the pixels of each image input, a line per channel in their order: ``red = 0.0078 * x - 1``.

        A pixel x is 0..255.
        """
        formulas = {}
        for feature in self._inputs:
            if feature.kind == "image":
                terms = ["x"] * feature.channels
                for step in self.preprocessing[feature.name]:
                    terms = [step.formula(term, channel) for channel, term in enumerate(terms)]
                names = _CHANNELS[feature.element]
                formulas[feature.name] = [f"{name} = {term}" for name, term in zip(names, terms, strict=True)]
        return formulas

    # --- blobs to features ---------------------------------------------------------------------------------------

    def from_blobs(self, blobs: Mapping[str, Array]) -> dict[str, Any]:
        """Makes outputs from output blobs; `features.finish_output` then brings them to their types.

        * arrays: in the N-D world the blob as it is, but with the declared shape if that differs by dimensions of 1
          only (Apple's tests expect it behind an image of rank 4). In the rank-5 world (where Apple's own tests
          squeeze before they compare, so that this is a choice): the declared shape if it has as many elements as the
          blob; else, where Seq and Batch are 1, [C] if H and W are 1 too and [C, H, W] if not; else
          [Seq, Batch, C, H, W]. A declared shape that is false is not insisted on, see `check_outputs`.
        * images: [C, H, W], which must be the last dimensions of the blob, all others being 1.
        * int64, double: the only element of the blob.
        * of a classifier: the label with the greatest score, the first of equals; the scores by label as they are (no
          softmax is added, nothing is normalised). The blob with the scores is that of ``labelProbabilityLayerName``,
          or if that is empty the first output of the last layer, which is what coremltools would have written there.

        Raises:
            InvalidModelError: a blob does not have the form that its feature declares, or there are not as many scores
                as labels.
            InputError: a classifier got several sequences or a batch.
        """
        return {feature.name: self._from_blobs(feature, blobs) for feature in self._outputs}

    def _role(self, feature: Feature) -> str:
        """Whether an output is the ``label`` of a classifier, its ``scores``, or a ``blob``."""
        if self._classes and feature.name == self._classes.label_output:
            return "label"
        if self._classes and (feature.kind == "dictionary" or feature.name == self._classes.scores_output):
            return "scores"
        return "blob"

    def _from_blobs(self, feature: Feature, blobs: Mapping[str, Array]) -> Any:
        role = self._role(feature)
        if self._classes is None or role == "blob":
            return self.from_blob(feature, blobs[feature.name])
        labels, scores = self._classes.labels, self._scores(self._classes, blobs)
        if role == "scores":
            return dict(zip(labels, scores.tolist(), strict=True)) if feature.kind == "dictionary" else scores
        if np.isnan(scores).any():
            warnings.warn(f"{self._where}: scores are NaN, the label means nothing", RefCoreMLWarning, stacklevel=5)
        return labels[int(np.argmax(scores))]

    def _scores(self, classes: _Classes, blobs: Mapping[str, Array]) -> Array:
        blob = blobs[classes.blob]
        self._check_count(classes, blob.shape)
        if self.rank5 and blob.shape[:2] != (1, 1):
            raise InputError(
                f"scores came for Seq {blob.shape[0]} and Batch {blob.shape[1]}, but a prediction has one label",
                where=self._where,
                remedy="Predict one at a time",
            )
        return blob.reshape(-1)

    def _check_count(self, classes: _Classes, shape: Shape) -> None:
        count = math.prod(shape[2:] if self.rank5 else shape)
        if count != len(classes.labels):
            raise self._invalid(f"blob {classes.blob!r} holds {count} scores for {len(classes.labels)} labels")

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
        if self._classes and self._classes.blob in shapes:
            self._check_count(self._classes, shapes[self._classes.blob])
        if any(feature.shapes.listed or feature.shapes.ranges for feature in self._inputs):
            return
        for feature in self._outputs:
            shape = shapes.get(feature.name)
            if shape is None or feature.kind != "array" or self._role(feature) != "blob":
                continue
            if not self._explains(feature, shape):
                warnings.warn(
                    f"output {feature.name!r} is declared as {feature.describe()}, but the network computes "
                    f"{' x '.join(map(str, shape))}; the declared shape is not insisted on",
                    RefCoreMLWarning,
                    stacklevel=4,
                )

    def _explains(self, feature: Feature, shape: Shape) -> bool:
        """Whether the declared shape tells the lengths of a blob: all but those of 1, and in rank 5 Seq and Batch."""
        shapes = feature.shapes
        if shapes.default is None or not shapes.problem(shape):
            return True
        if self.rank5 and elements(shapes.default, math.prod(shape)) == math.prod(shape):
            return True  # it is returned in the declared shape
        lengths = _without_ones(shape[2:] if self.rank5 else shape)
        allowed = (shapes.default, *shapes.listed)
        if self.rank5 and shapes.ranges:
            allowed = (*allowed, *(part for part in (shape[2:], shape[2:3]) if not shapes.problem(part)))
        return lengths in map(_without_ones, allowed)

    def source_of(self, feature: Feature) -> tuple[str, tuple[str | int, ...]]:
        """The blob that an output is made of; with the labels of its scores, if it comes from a classifier's."""
        if self._classes is None or self._role(feature) == "blob":
            return feature.name, ()
        return self._classes.blob, self._classes.labels

    def from_blob(self, feature: Feature, blob: Array) -> Array:
        """An output that is no classifier's, in its shape; see `from_blobs`."""
        if feature.kind == "image":
            if blob.ndim < 3 or math.prod(blob.shape[:-3]) != 1:
                raise InvalidModelError(
                    f"blob of shape {blob.shape} is not one image",
                    where=f"output {feature.name!r}, {feature.describe()}",
                )
            return blob.reshape(blob.shape[-3:])
        if feature.kind == "array" and self.rank5:
            return blob.reshape(_legacy_output_shape(feature, blob.shape))
        declared = feature.shapes.default if feature.kind == "array" else None
        same = declared is not None and _without_ones(declared) == _without_ones(blob.shape)
        return blob.reshape(declared) if declared is not None and same else np.atleast_1d(blob)


def _without_ones(shape: Shape) -> Shape:
    return tuple(length for length in shape if length != 1)


def _legacy_output_shape(feature: Feature, shape: Shape) -> Shape:
    """The shape in which a rank-5 blob is returned; see `Interface.from_blobs`."""
    declared = feature.shapes.default
    if declared is not None and elements(declared, math.prod(shape)) == math.prod(shape):
        return declared
    if shape[:2] != (1, 1):
        return shape
    return shape[2:3] if shape[3:] == (1, 1) else shape[2:]


def is_legacy_layer(layer: schema.NeuralNetworkLayer) -> bool:
    """Whether specification version 3 knows the layer as it is parameterised.

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


def _produced(layers: Sequence[schema.NeuralNetworkLayer]) -> Iterator[str]:
    """The names of all blobs that layers produce, those inside branches and loops included."""
    for layer in layers:
        yield from layer.output
        kind = layer.WhichOneof("layer")
        if kind == "branch":
            yield from _produced(layer.branch.ifBranch.layers)
            yield from _produced(layer.branch.elseBranch.layers)
        elif kind == "loop":
            yield from _produced(layer.loop.conditionNetwork.layers)
            yield from _produced(layer.loop.bodyNetwork.layers)


@dataclass(frozen=True)
class _Classes:
    """What makes a network a classifier: its labels, the blob with their scores, the names of the two outputs."""

    labels: tuple[str | int, ...]
    blob: str
    label_output: str
    scores_output: str


@dataclass(frozen=True)
class Scaler:
    """y = scale * x + bias, with a bias for each channel in their order."""

    scale: float
    biases: tuple[float, ...]

    @classmethod
    def of(cls, message: schema.NeuralNetworkImageScaler, feature: Feature, where: str) -> Scaler:
        if message.channelScale == 0:
            warnings.warn(
                f"{where}.scaler: channelScale is 0 or was never set, so that the network sees no image",
                RefCoreMLWarning,
                stacklevel=5,
            )
        biases = tuple(float(getattr(message, f"{channel}Bias")) for channel in _CHANNELS[feature.element])
        return cls(message.channelScale, biases)

    def apply(self, image: Array, _: Feature) -> Array:
        dtype = image.dtype.type
        result: Array = image * dtype(self.scale)
        result += np.array(self.biases, dtype)[:, None, None]
        return result

    def formula(self, term: str, channel: int) -> str:
        if self.scale != 1:
            term = f"{_short(self.scale)} * {f'({term})' if ' ' in term else term}"
        bias = self.biases[channel]
        return f"{term} {'-' if bias < 0 else '+'} {_short(abs(bias))}" if bias else term


@dataclass(frozen=True)
class MeanImage:
    """y = x - mean, with a mean for each pixel of each channel, stored as [C, H, W] of the declared size.

    The message holds no shape. Where the input allows several sizes, pictures of another than the default one are
    refused: a mean image of 4 x 4 has as many values as a picture of 2 x 8.
    """

    mean: Array

    @classmethod
    def of(cls, message: schema.NeuralNetworkMeanImage, feature: Feature, where: str) -> MeanImage:
        mean, shape = np.array(message.meanImage, np.float32), feature.default_shape
        assert shape is not None  # every image has a default size
        if mean.size != math.prod(shape):
            raise InvalidModelError(
                f"the mean image has {mean.size} values, image input {feature.name!r} {shape} has {math.prod(shape)}",
                where=f"{where}.meanImage",
            )
        return cls(mean.reshape(shape))

    def apply(self, image: Array, feature: Feature) -> Array:
        if self.mean.shape != image.shape:
            (_, height, width), (_, high, wide) = image.shape, self.mean.shape
            raise feature.refuse(
                f"got {width} x {height} (width x height), but the model's mean image is {wide} x {high}",
                "Resize the image",
            )
        return image - self.mean.astype(image.dtype)

    def formula(self, term: str, _: int) -> str:
        return f"{term} - mean image"


def _short(number: float) -> str:
    """The shortest digits that name the float32."""
    text = np.format_float_positional(np.float32(number), trim="-")
    return text if len(text) < 16 else f"{number:.7g}"
