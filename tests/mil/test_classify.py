"""Labels and scores of classifiers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mil.support import run

from refcoreml import build
from refcoreml.errors import InvalidModelError, RefCoreMLWarning
from refcoreml.mil.values import Dictionary

TEXTS, NUMBERS = ["cat", "dog", "ü", "eel", "fox", "gnu"], [np.int64(n) for n in (7, -3, 2**40, 0, 5, 6)]
SCORES = np.array([[0.125, 0.25, 0.0625], [0.1, 0.25, 0.2125]], np.float32)


def check(found: list[Any], label: Any, labels: list[Any], scores: np.ndarray) -> None:
    predicted, by_label = found
    assert predicted.shape == ()
    assert predicted.item() == label
    assert isinstance(by_label, Dictionary)
    # The numbers of single precision, exactly
    assert dict(zip(by_label.keys, by_label.numbers.tolist(), strict=True)) == dict(
        zip(labels, scores.reshape(-1).tolist(), strict=True)
    )


@pytest.mark.parametrize("labels", [TEXTS, NUMBERS])
@pytest.mark.clause("programs.U9")
@pytest.mark.clause("mil.classify.S1", "mil.classify.S2", "mil.classify.S3")
def test_the_first_of_the_best_labels(labels: list[Any]) -> None:
    check(run("classify", {"probabilities": SCORES}, classes=labels), labels[1], labels, SCORES)
    last = SCORES + np.array([[0, 0, 0], [0, 0, 1]], np.float32)
    check(run("classify", {"probabilities": last}, classes=labels), labels[5], labels, last)


def test_unknown_lengths() -> None:
    program = build.Program({"x": (None, 3)})
    label, scores = program.add("classify", probabilities=build.Program({"x": (2, 3)})["x"], classes=TEXTS)
    found = run(
        "classify", {"probabilities": SCORES}, open_shapes=True, outputs=[label.type, scores.type], classes=TEXTS
    )
    check(found, "dog", TEXTS, SCORES)


@pytest.mark.clause("mil.classify.S4")
def test_types_that_are_declared() -> None:
    for labels, element, key in ((TEXTS, "string", "stringKeyType"), (NUMBERS, "int64", "int64KeyType")):
        program = build.Program({"x": (2, 3)})
        label, scores = program.add("classify", probabilities=program["x"], classes=labels)
        assert str(label.type) == f"tensor<{element}, []>"
        assert str(scores.type) == f"dict<tensor<{element}, []>, tensor<fp64, []>>"
        program.output(label, scores)
        description = program.spec().description
        assert description.predictedFeatureName == description.output[0].name == label.name
        assert description.predictedProbabilitiesName == description.output[1].name == scores.name
        assert description.output[0].type.WhichOneof("Type") == f"{element}Type"
        assert description.output[1].type.dictionaryType.WhichOneof("KeyType") == key
        classes = program.function().block_specializations["CoreML7"].operations[0]
        assert classes.outputs[0].type.listType.type.tensorType.dataType == {"string": 2, "int64": 24}[element]


@pytest.mark.clause("mil.classify.C1")
def test_what_is_refused() -> None:
    with pytest.raises(InvalidModelError, match=r"has 5 classes for probabilities \(2, 3\), 6 of them"):
        run("classify", {"probabilities": SCORES}, classes=TEXTS[:5])
    with pytest.raises(InvalidModelError, match="'probabilities' has elements of type fp16, expected fp32"):
        run("classify", {"probabilities": SCORES.astype(np.float16)}, classes=TEXTS)
    with pytest.raises(InvalidModelError, match=r"classes are tensor<fp32, \[6\]>, expected texts or integers"):
        run("classify", {"probabilities": SCORES}, classes=np.arange(6, dtype=np.float32))


@pytest.mark.clause("programs.U9")
@pytest.mark.clause("programs.U59")
def test_what_is_doubtful() -> None:
    twice = ["cat", "cat", *TEXTS[2:]]
    with pytest.warns(RefCoreMLWarning, match=r"classify.*: 2 classes have the label 'cat'"):
        _, scores = run("classify", {"probabilities": SCORES}, classes=twice)
    assert dict(zip(scores.keys, scores.numbers.tolist(), strict=True))["cat"] == 0.25
    nothing = np.where(SCORES > 0.2, np.nan, SCORES)
    with pytest.warns(RefCoreMLWarning, match=r"\(classify\): scores are NaN"):
        run("classify", {"probabilities": nothing}, classes=TEXTS)


@pytest.mark.parametrize("labels", [TEXTS, NUMBERS])
@pytest.mark.clause("mil.classify.S4")
def test_a_classifier_predicts(labels: list[Any]) -> None:
    program = build.Program({"x": (2, 3)})
    label, scores = program.add("classify", probabilities=program["x"], classes=labels)
    program.output(label, scores)
    found = program.model().predict({"x": SCORES})
    assert found[label.name] == labels[1]
    assert found[scores.name] == dict(zip(labels, SCORES.reshape(-1).tolist(), strict=True))
    assert type(found[label.name]) is (str if labels is TEXTS else int)
