"""Recorded arrays, brought into the form of the model's values, or refused in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from refcoreml import values as passed
from refcoreml.errors import UsageError
from refcoreml.features import ArrayFeature, DictionaryFeature, Feature, ImageFeature
from refcoreml.oracle.balls import Doubles
from refcoreml.types import Array, without_ones

__all__ = ["KEYS", "Recording", "fitted", "recording_of"]

#: What follows the name of an output of scores where an archive holds their classes.
KEYS = ".keys"


@dataclass(frozen=True)
class Recording:
    """What was recorded of one prediction.

    Attributes:
        name: that of the sample.
        outputs: by name, as they were given.
        inner: values inside the model by name.
    """

    name: str
    outputs: Mapping[str, Any]
    inner: Mapping[str, Array]


def recording_of(
    name: str, features: Sequence[Feature], inputs: Sequence[str], known: Sequence[str], given: Mapping[str, Any]
) -> Recording:
    """Sort what was recorded of one prediction into outputs and values inside the model.

    Args:
        name: that of the sample.
        features: the outputs of the model.
        inputs: the names of its inputs, which may have been recorded, too, and are not compared.
        known: the names of all its values.
        given: arrays, and other outputs, by name.

    Raises:
        UsageError: nothing was recorded, a name is neither an output nor a value of the model, or something is no
            array of numbers.
    """
    outputs, inner = {}, {}
    names = {feature.name: feature for feature in features}
    for key, value in given.items():
        if key in names:
            outputs[key] = _checked(names[key], value)
        elif passed.is_a(key, str) and key.endswith(KEYS) and key.removesuffix(KEYS) in names:
            continue
        elif key in known:
            inner[key] = passed.array(value, passed.argument(f"recorded value {key!r}"))
        elif key not in inputs:
            hint = passed.did_you_mean(key, [*names, *known]) if passed.is_a(key, str) else ""
            remedy = f"{hint}The outputs are {', '.join(map(repr, names))}"
            raise UsageError(
                f"{passed.quoted(key)} was recorded, which is no output or value of the model", remedy=remedy
            )
    for key in names:
        if f"{key}{KEYS}" in given and key in outputs and not passed.is_a(outputs[key], Mapping):
            labels, scores = (np.asarray(part) for part in (given[f"{key}{KEYS}"], outputs[key]))
            if labels.ndim != 1 or labels.dtype.kind not in "iuU" or labels.shape != scores.shape:
                raise UsageError(f"has not one class for each of the scores in {key!r}", where=f"{key}{KEYS}")
            outputs[key] = dict(zip(labels.tolist(), scores.tolist(), strict=True))
    if not outputs and not inner:
        raise UsageError(
            "nothing was recorded that could be compared", remedy=f"The outputs are {', '.join(map(repr, names))}"
        )
    return Recording(name, outputs, inner)


def _checked(feature: Feature, value: Any) -> Any:
    """Return an output as it was recorded, if it can be what the model declares."""
    refuse = passed.argument(f"recorded output {feature.name!r}")
    if isinstance(feature, DictionaryFeature) and passed.is_a(value, Mapping):
        return dict(passed.mapping(value, refuse))
    if not isinstance(feature, ArrayFeature | ImageFeature | DictionaryFeature):
        return value  # numbers and labels, which `fitted` reads
    if isinstance(feature, ImageFeature) and hasattr(value, "getbands"):
        return value
    array = passed.array(value, refuse)
    if isinstance(feature, ArrayFeature) and feature.cut is None and array.dtype.kind in "biu" and array.size:
        raise refuse(
            f"holds numbers of the type {array.dtype}, the output is of floats",
            "Were they cut off when they were saved? Save them as floats",
        )
    return array


def fitted(feature: Feature, labels: Sequence[str | int], value: Any, shape: tuple[int, ...]) -> Doubles:
    """Return a recorded output in the form in which it is judged.

    Args:
        feature: the output.
        labels: its classes, of scores and labels.
        value: what was recorded.
        shape: the shape to bring it to; dimensions of length 1 may be more or fewer.

    Raises:
        UsageError: it has another shape, or other classes.
    """
    refuse = passed.argument(f"recorded output {feature.name!r}")
    if passed.is_a(value, Mapping):
        scores = passed.mapping(value, refuse)
        if len(scores) != len(labels) or any(label not in scores for label in labels):
            given, known = (", ".join(map(passed.quoted, list(group)[:8])) for group in (scores, labels))
            raise refuse(f"has the classes {given}, the model {known}")
        value = [scores[label] for label in labels]
    elif labels and not isinstance(feature, DictionaryFeature | ArrayFeature):
        return np.asarray(float(_place(value, labels, refuse))).reshape(shape)
    elif isinstance(feature, ImageFeature):
        value = _pixels(feature, value, refuse)
    array = passed.array(value, refuse).astype(np.float64)
    if without_ones(array.shape) != without_ones(shape):
        raise refuse(f"has the shape {array.shape}, expected {shape}")
    return array.reshape(shape)


def _place(value: Any, labels: Sequence[str | int], refuse: passed.Refuse) -> int:
    """Return the place of a recorded label among the classes."""
    if passed.is_a(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0].item()
    elif passed.is_a(value, np.ndarray):
        raise refuse(f"has the shape {value.shape}, expected one class")
    elif passed.is_a(value, np.generic):
        value = value.item()
    if value not in labels:
        raise refuse(f"is {passed.quoted(value)}, which is no class of the model")
    return labels.index(value)


def _pixels(feature: ImageFeature, value: Any, refuse: passed.Refuse) -> Any:
    """Return a picture, or an array [H, W, channels] of one, as [channels, H, W] in the declared order."""
    if not hasattr(value, "getbands"):
        array = np.asarray(value)
        if array.dtype != np.uint8 or (array.ndim == 3 and array.shape[-1] not in (3, 4)) or array.ndim not in (2, 3):
            return array
        value = Image.fromarray(array)
    if feature.half:
        return np.asarray(value.convert("F"), np.float64)[None]
    colors = np.asarray(value.convert(feature.mode), np.float64)
    if colors.ndim == 2:
        return colors[None]
    planes = colors.transpose(2, 0, 1)
    return planes[::-1] if feature.element == "BGR" else planes
