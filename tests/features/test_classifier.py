"""`Classifier`: labels and scores, whatever model type computes them."""

from __future__ import annotations

import numpy as np
import pytest

from refcoreml.errors import InvalidModelError, RefCoreMLWarning
from refcoreml.features import Classifier, read_features
from refcoreml.features.classifier import class_labels, predicted_feature
from refcoreml.spec import schema


def description(labels: str = "stringType", keys: str = "stringKeyType") -> schema.ModelDescription:
    """Of a classifier with a label, scores by label, an array of scores, and another output."""
    made = schema.ModelDescription(predictedFeatureName="label", predictedProbabilitiesName="vector")
    getattr(made.output.add(name="label").type, labels).SetInParent()
    getattr(made.output.add(name="scores").type.dictionaryType, keys).SetInParent()
    made.output.add(name="vector").type.multiArrayType.dataType = schema.ArrayFeatureType.DOUBLE
    made.output.add(name="other").type.multiArrayType.dataType = schema.ArrayFeatureType.DOUBLE
    return made


def classifier(labels: list[str] | list[int], made: schema.ModelDescription) -> Classifier:
    return Classifier.of(labels, made, read_features(made.output, "outputs", "place"), "place")


@pytest.mark.parametrize(
    ("labels", "made"),
    [(["cat", "dog", "emu"], description()), ([30, -10, 20], description("int64Type", "int64KeyType"))],
)
def test_the_outputs_of_a_classifier(labels: list[str] | list[int], made: schema.ModelDescription) -> None:
    classes, scores = classifier(labels, made), np.array([0.25, 0.5, 0.5])
    outputs = {feature.name: feature for feature in read_features(made.output, "outputs", "place")}
    classes.check_outputs(list(outputs.values()))
    assert {name: classes.role(feature) for name, feature in outputs.items()} == {
        "label": "label",
        "scores": "scores",
        "vector": "scores",
        "other": "other",
    }
    assert classes.output(outputs["label"], scores) == labels[1]  # the first of equals
    assert classes.output(outputs["scores"], scores) == dict(zip(labels, [0.25, 0.5, 0.5], strict=True))
    assert classes.output(outputs["vector"], scores) is scores


def test_labels_are_read_from_the_message_of_any_classifier() -> None:
    network, trees = schema.NeuralNetworkClassifier(), schema.TreeEnsembleClassifier()
    network.stringClassLabels.vector[:] = ["a", "b"]
    trees.int64ClassLabels.vector[:] = [5, 3]
    assert class_labels(network, "place") == ("a", "b")
    assert class_labels(trees, "place") == (5, 3)
    with pytest.raises(InvalidModelError, match="place: the classifier has no class labels"):
        class_labels(schema.SupportVectorClassifier(), "place")


def test_declarations_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidModelError, match=r"place: predictedFeatureName 'label' is String, expected int64"):
        classifier([1, 2], description())
    made = description(keys="int64KeyType")
    outputs = read_features(made.output, "outputs", "place")
    with pytest.raises(InvalidModelError, match=r"the scores 'scores' .* expected Dictionary \(String -> Double\)"):
        classifier(["a", "b"], made).check_outputs(outputs)
    made.predictedFeatureName = "nothing"
    with pytest.raises(InvalidModelError, match="predictedFeatureName 'nothing' is not among the outputs"):
        predicted_feature(outputs, made, ("string",), "place")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nothing", "is not among the outputs, which are 'label', 'scores', 'vector', 'other'"),
        ("label", "is the output that holds the predicted label"),
    ],
)
def test_the_scores_are_an_output_of_their_own(name: str, problem: str) -> None:
    made = description()
    made.predictedProbabilitiesName = name
    with pytest.raises(InvalidModelError, match=f"place: predictedProbabilitiesName '{name}' {problem}"):
        classifier(["a", "b"], made)
    made.predictedProbabilitiesName = ""
    assert classifier(["a", "b"], made).scores_output == ""


def test_what_means_little_causes_a_warning() -> None:
    with pytest.warns(RefCoreMLWarning, match="place: 2 classes have the label 'a'"):
        classes = classifier(["a", "b", "a"], description())
    with pytest.warns(RefCoreMLWarning, match="place: scores are NaN, the label is meaningless"):
        classes.label(np.array([0.0, np.nan, 1.0]))
