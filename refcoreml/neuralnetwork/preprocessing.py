"""Preprocessing: what happens to the pixels of images before they enter a network."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from refcoreml.errors import InvalidModelError, RefCoreMLWarning
from refcoreml.features import ImageFeature
from refcoreml.spec import schema
from refcoreml.types import Array

__all__ = ["MeanImage", "Preprocessing", "Scaler", "formula", "read_preprocessing"]

_CHANNELS = {
    "RGB": ("red", "green", "blue"),
    "BGR": ("blue", "green", "red"),
    "Grayscale": ("gray",),
    "Grayscale Float16": ("gray",),
}


def read_preprocessing(
    messages: Sequence[schema.NeuralNetworkPreprocessing], images: Mapping[str, ImageFeature], where: str
) -> dict[str, list[Preprocessing]]:
    """Return the steps of each image input, by its name.

    Raises:
        InvalidModelError: an entry does not say which input is meant, or what happens to it.
    """
    steps: dict[str, list[Preprocessing]] = {name: [] for name in images}
    for index, message in enumerate(messages):
        place = f"{where}.preprocessing[{index}]"
        name = message.featureName
        if name not in images:
            if len(images) != 1:
                raise InvalidModelError(
                    f"featureName {name!r} does not say which image input is meant",
                    where=place,
                    remedy=f"Image inputs: {', '.join(map(repr, images)) or 'none'}",
                )
            only = next(iter(images))
            if name:  # left behind when an old rename_feature renamed the input (apple/coremltools#163)
                warnings.warn(
                    f"{place}: there is no image input {name!r}; applied to {only!r}. Core ML refuses such a model",
                    RefCoreMLWarning,
                    stacklevel=4,
                )
            name = only
        kind = message.WhichOneof("preprocessor")
        if kind == "scaler":
            steps[name].append(Scaler.of(message.scaler, images[name], place))
        elif kind == "meanImage":
            steps[name].append(MeanImage.of(message.meanImage, images[name], place))
        else:
            raise InvalidModelError("there is neither a scaler nor a mean image", where=place)
    return steps


def formula(feature: ImageFeature, steps: Sequence[Preprocessing]) -> list[str]:
    """Return what happens to the pixels, a line per channel in their order: ``red = 0.0078 * x - 1``."""
    terms = ["x"] * feature.channels
    for step in steps:
        terms = [step.formula(term, channel) for channel, term in enumerate(terms)]
    return [f"{name} = {term}" for name, term in zip(_CHANNELS[feature.element], terms, strict=True)]


@dataclass(frozen=True)
class Scaler:
    """y = scale * x + bias, with a bias for each channel in their order."""

    scale: float
    biases: tuple[float, ...]

    @classmethod
    def of(cls, message: schema.NeuralNetworkImageScaler, feature: ImageFeature, where: str) -> Scaler:
        """Read the message; a scale of 0, which shows the network nothing, causes a `RefCoreMLWarning`."""
        if message.channelScale == 0:
            warnings.warn(
                f"{where}.scaler: channelScale is 0 or was never set, so that the network sees no image",
                RefCoreMLWarning,
                stacklevel=5,
            )
        biases = tuple(float(getattr(message, f"{channel}Bias")) for channel in _CHANNELS[feature.element])
        return cls(message.channelScale, biases)

    def apply(self, image: Array, _: ImageFeature) -> Array:
        """Return the image after this step."""
        dtype = image.dtype.type
        result: Array = image * dtype(self.scale)
        result += np.array(self.biases, dtype)[:, None, None]
        return result

    def formula(self, term: str, channel: int) -> str:
        """Return what becomes of a term."""
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
    def of(cls, message: schema.NeuralNetworkMeanImage, feature: ImageFeature, where: str) -> MeanImage:
        """Read the message; raise `InvalidModelError` unless there is a mean for each number of an image."""
        mean, shape = np.array(message.meanImage, np.float32), feature.default_shape
        assert shape is not None  # every image has a default size
        if mean.size != math.prod(shape):
            raise InvalidModelError(
                f"the mean image has {mean.size} values, image input {feature.name!r} {shape} has {math.prod(shape)}",
                where=f"{where}.meanImage",
            )
        return cls(mean.reshape(shape))

    def apply(self, image: Array, feature: ImageFeature) -> Array:
        """Return the image after this step."""
        if self.mean.shape != image.shape:
            (_, height, width), (_, high, wide) = image.shape, self.mean.shape
            raise feature.refuse(
                f"got {width} x {height} (width x height), but the model's mean image is {wide} x {high}",
                "Resize the image",
            )
        centred: Array = image - self.mean.astype(image.dtype)
        return centred

    def formula(self, term: str, _: int) -> str:
        """Return what becomes of a term."""
        return f"{term} - mean image"


#: A step of preprocessing.
Preprocessing: TypeAlias = Scaler | MeanImage


def _short(number: float) -> str:
    """Return the shortest digits that name the float32."""
    text = np.format_float_positional(np.float32(number), trim="-")
    return text if len(text) < 16 else f"{number:.7g}"
