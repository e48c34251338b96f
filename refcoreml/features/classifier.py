"""Classifiers of every model type: their labels, the predicted one, the scores by label."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from refcoreml.errors import InvalidModelError, RefCoreMLWarning
from refcoreml.features.array import ArrayFeature
from refcoreml.features.base import Feature
from refcoreml.features.dictionary import DictionaryFeature
from refcoreml.features.scalars import Int64Feature, StringFeature
from refcoreml.spec import schema

__all__ = [
    "Classifier",
    "Label",
    "Role",
    "best_label",
    "class_labels",
    "named_output",
    "predicted_feature",
    "warn_of_doubles",
]

Label: TypeAlias = str | int
#: What an output of a classifier holds: the predicted label, the scores, or something else.
Role: TypeAlias = Literal["label", "scores", "other"]


class HasLabels(Protocol):
    """A message of the schema with the oneof ``ClassLabels``, as those of all classifiers have it."""

    @property
    def stringClassLabels(self) -> schema.StringVector: ...  # noqa: N802 (the schema's name)

    @property
    def int64ClassLabels(self) -> schema.Int64Vector: ...  # noqa: N802


def class_labels(message: HasLabels, where: str) -> tuple[Label, ...]:
    """Return the labels that a classifier's message holds.

    Raises:
        InvalidModelError: there are none.
    """
    labels: tuple[Label, ...] = (*message.stringClassLabels.vector, *message.int64ClassLabels.vector)
    if not labels:
        raise InvalidModelError("the classifier has no class labels", where=where)
    return labels


def predicted_feature(
    outputs: Sequence[Feature], description: schema.ModelDescription, kinds: Sequence[str], where: str
) -> Feature:
    """Return the output that ``predictedFeatureName`` names.

    Raises:
        InvalidModelError: there is none, or its kind is not one of these.
    """
    return named_output(outputs, "predictedFeatureName", description.predictedFeatureName, kinds, where)


def named_output(outputs: Sequence[Feature], field: str, name: str, kinds: Sequence[str], where: str) -> Feature:
    """Return the output that a field of the description names.

    Raises:
        InvalidModelError: there is none, or its kind is not one of these; without any, every kind will do.
    """
    found = next((feature for feature in outputs if feature.name == name), None)
    if found is None:
        names = ", ".join(repr(feature.name) for feature in outputs) or "none"
        raise InvalidModelError(f"{field} {name!r} is not among the outputs, which are {names}", where=where)
    if kinds and found.kind not in kinds:
        problem = f"{field} {name!r} is {found.describe()}, expected {' or '.join(kinds)}"
        raise InvalidModelError(problem, where=where)
    return found


@dataclass(frozen=True)
class Classifier:
    """What makes a model a classifier, whatever computes the scores.

    Attributes:
        labels: the classes in the order of the scores.
        label_output, scores_output: the names of the outputs; the latter may be empty.
        where: the place of the classifier, for messages.
    """

    labels: tuple[Label, ...]
    label_output: str
    scores_output: str
    where: str

    @classmethod
    def of(
        cls,
        labels: Sequence[Label],
        description: schema.ModelDescription,
        outputs: Sequence[Feature],
        where: str,
    ) -> Classifier:
        """Read the declarations.

        Raises:
            InvalidModelError: the predicted feature is missing or cannot hold the labels, or
                ``predictedProbabilitiesName`` names no other output. It may be empty.

        Source: validateClassifierInterface of coremltools.
        """
        texts = isinstance(labels[0], str)
        predicted_feature(outputs, description, (StringFeature.kind if texts else Int64Feature.kind,), where)
        scores = description.predictedProbabilitiesName
        if scores:
            named_output(outputs, "predictedProbabilitiesName", scores, (), where)
        if scores == description.predictedFeatureName:
            problem = f"predictedProbabilitiesName {scores!r} is the output that holds the predicted label"
            raise InvalidModelError(problem, where=where)
        warn_of_doubles(labels, where)
        return cls(tuple(labels), description.predictedFeatureName, scores, where)

    def role(self, feature: Feature) -> Role:
        """Return what an output holds."""
        if feature.name == self.label_output:
            return "label"
        return "scores" if isinstance(feature, DictionaryFeature) or feature.name == self.scores_output else "other"

    def check_outputs(self, outputs: Sequence[Feature]) -> None:
        """Raise `InvalidModelError` unless the scores are fractions by label, or an array of them."""
        keys = "String" if isinstance(self.labels[0], str) else "Int64"
        for feature in outputs:
            if self.role(feature) == "scores" and not _can_hold_scores(feature, keys):
                raise InvalidModelError(
                    f"the scores {feature.name!r} are {feature.describe()}, expected Dictionary ({keys} -> Double) or "
                    "an array of floats",
                    where=self.where,
                )

    def label(self, scores: NDArray[Any]) -> Label:
        """Return the predicted label."""
        return best_label(self.labels, scores, self.where)

    def output(self, feature: Feature, scores: NDArray[Any]) -> Any:
        """Return the label, or the scores as they are, in the form of an output; see `role`."""
        if self.role(feature) == "label":
            return self.label(scores)
        by_label = isinstance(feature, DictionaryFeature)
        return dict(zip(self.labels, scores.tolist(), strict=True)) if by_label else scores


def warn_of_doubles(labels: Sequence[Label], where: str) -> None:
    """Warn of labels that several classes have."""
    label, count = Counter(labels).most_common(1)[0]
    if count > 1:
        warnings.warn(
            f"{where}: {count} classes have the label {label!r}; the dictionary of scores holds the last one",
            RefCoreMLWarning,
            stacklevel=6,
        )


def best_label(labels: Sequence[Label], scores: NDArray[Any], where: str) -> Label:
    """Return the label with the highest score, the first of equals."""
    if np.isnan(scores).any():
        warnings.warn(f"{where}: scores are NaN, the label is meaningless", RefCoreMLWarning, stacklevel=7)
    return labels[int(np.argmax(scores))]


def _can_hold_scores(feature: Feature, keys: str) -> bool:
    if isinstance(feature, DictionaryFeature):
        return feature.element == keys
    return isinstance(feature, ArrayFeature) and feature.holds_fractions
