"""Generalized linear regressors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support import shared_model

import refcoreml
from refcoreml import build
from refcoreml.spec import schema


def model(rows, offsets, transform="NoTransform", inputs=None, output=None):
    spec = schema.Model(specificationVersion=1)
    for name, kind in (inputs or {"x": build.array(3, data_type="DOUBLE")}).items():
        spec.description.input.add(name=name).type.CopyFrom(kind)
    spec.description.output.add(name="y").type.CopyFrom(output or schema.FeatureType(doubleType={}))
    spec.description.predictedFeatureName = "y"
    for row in rows:
        spec.glmRegressor.weights.add(value=row)
    spec.glmRegressor.offset.extend(offsets)
    spec.glmRegressor.postEvaluationTransform = schema.GLMRegressor.PostEvaluationTransform.Value(transform)
    return spec


@pytest.mark.parametrize("transform", ["NoTransform", "Logit", "Probit"])
def test_weighted_sum_and_link(transform):
    result = refcoreml.load(model([[2.0, -1.0, 0.5]], [0.25], transform)).predict({"x": [1.0, 3.0, -4.0]})
    total = 2.0 - 3.0 - 2.0 + 0.25
    expected = {
        "NoTransform": total,
        "Logit": 1 / (1 + math.exp(-total)),
        "Probit": math.erfc(-total / math.sqrt(2)) / 2,
    }[transform]
    assert type(result["y"]) is float
    assert result["y"] == pytest.approx(expected, rel=2.0**-49, abs=0)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(("transform", "expected"), [("NoTransform", math.inf), ("Logit", 1.0), ("Probit", 1.0)])
def test_a_sum_beyond_the_range_is_infinite_without_a_warning(transform, expected):
    loaded = refcoreml.load(model([[1e308, 0.0, 0.0]], [1e308], transform))
    assert loaded.predict({"x": [1.0, 2.0, 3.0]}) == {"y": expected}


def test_inputs_are_joined_in_the_order_of_their_declaration():
    number = schema.FeatureType(doubleType={})
    inputs = {"b": number, "a": build.array(2, data_type="DOUBLE"), "c": number}
    loaded = refcoreml.load(model([[1.0, 10.0, 100.0, 1000.0]], [0.0], inputs=inputs))
    assert loaded.predict({"a": [2, 3], "b": 1, "c": 4}) == {"y": 4321.0}


def test_several_rows_make_an_array():
    loaded = refcoreml.load(model([[1, 0, 0], [0, 2, 0]], [0, 5], output=build.array(2, data_type="DOUBLE")))
    np.testing.assert_array_equal(loaded.predict({"x": [3, 4, 9]})["y"], [3, 13])


@pytest.mark.parametrize(
    ("rows", "offsets", "message"),
    [
        ([], [1.0], "has no weights"),
        ([[]], [1.0], "has no weights"),
        ([[1.0], [1.0, 2.0]], [1.0, 2.0], r"has rows of \[1, 2\] weights"),
        ([[1.0]], [], "has 0 offsets for 1 rows"),
    ],
)
def test_models_that_break_a_rule(rows, offsets, message):
    with pytest.raises(refcoreml.InvalidModelError, match=f"glmRegressor: {message}"):
        refcoreml.load(model(rows, offsets))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": schema.FeatureType(stringType={})}, "has the input 'x', expected a number or an array"),
        ({"x": schema.FeatureType(doubleType={}, isOptional=True)}, "has the input 'x', expected .* not optional"),
    ],
)
def test_inputs_that_are_no_numbers(inputs, message):
    with pytest.raises(refcoreml.InvalidModelError, match=message):
        refcoreml.load(model([[1.0]], [0.0], inputs=inputs))


def test_models_without_inputs_or_without_the_predicted_output():
    spec = model([[1.0, 2.0, 3.0]], [0.0])
    del spec.description.input[:]
    with pytest.raises(refcoreml.InvalidModelError, match="has no inputs"):
        refcoreml.load(spec)
    spec = model([[1.0, 2.0, 3.0]], [0.0])
    spec.description.predictedFeatureName = "z"
    with pytest.raises(refcoreml.InvalidModelError, match=r"predicts 'z', which is not among the outputs \['y'\]"):
        refcoreml.load(spec)


def test_an_unknown_link():
    spec = model([[1.0, 2.0, 3.0]], [0.0])
    spec.glmRegressor.postEvaluationTransform = 7
    with pytest.raises(
        refcoreml.InvalidModelError, match="postEvaluationTransform is 7, which the schema does not define"
    ):
        refcoreml.load(spec)


def test_as_many_weights_as_features():
    with pytest.raises(refcoreml.InvalidModelError, match="has 2 weights for 3 features"):
        refcoreml.load(model([[1.0, 2.0]], [0.0]))
    number = schema.FeatureType(doubleType={})
    with pytest.raises(refcoreml.InvalidModelError, match="has 5 weights for 4 features"):
        refcoreml.load(model([[1.0] * 5], [0.0], inputs={"a": number, "b": build.array(3, data_type="DOUBLE")}))
    flexible = build.array(3, data_type="DOUBLE")
    flexible.multiArrayType.shapeRange.sizeRanges.add(lowerBound=1, upperBound=-1)
    loaded = refcoreml.load(model([[1.0, 2.0]], [0.0], inputs={"x": flexible}))
    assert loaded.predict({"x": [3, 5]}) == {"y": 13.0}
    with pytest.raises(refcoreml.InputError, match="has 2 weights for 3 features"):
        loaded.predict({"x": [1, 2, 3]})


@pytest.mark.parametrize(
    ("rows", "output", "message"),
    [
        (1, schema.FeatureType(int64Type={}), "computes fractions, but the output 'y' is Int64"),
        (1, schema.FeatureType(stringType={}), "computes fractions, but the output 'y' is String"),
        (2, schema.FeatureType(sequenceType={"int64Type": {}}), r"computes fractions, but the output 'y' is Sequence"),
        (2, build.array(2, data_type="INT32"), r"computes fractions, but the output 'y' is MultiArray \(Int32 2\)"),
        (2, build.array(2, data_type="INT8"), "computes fractions"),
        (2, schema.FeatureType(doubleType={}), "computes 2 numbers, but the output 'y' is Double"),
        (2, build.array(3), r"computes 2 numbers, but the output 'y' is MultiArray \(Float32 3\)"),
    ],
)
def test_outputs_that_cannot_hold_what_is_computed(rows, output, message):
    with pytest.raises(refcoreml.InvalidModelError, match=f"glmRegressor: {message}"):
        refcoreml.load(model([[0.5, 0.25, 3.0]] * rows, [0.7] * rows, output=output))


@pytest.mark.parametrize(
    ("output", "shape"), [(build.array(1, 2), (1, 2)), (build.array(data_type="FLOAT16"), (2,)), (build.array(2), (2,))]
)
def test_arrays_of_floats_hold_it_in_their_shape(output, shape):
    found = refcoreml.load(model([[0.5, 0, 0], [0, 0.25, 0]], [0, 1], output=output)).predict({"x": [1, 2, 3]})["y"]
    np.testing.assert_array_equal(found, np.reshape([0.5, 1.5], shape))


def test_outputs_that_nobody_computes_and_names_that_occur_twice():
    spec = model([[1.0, 2.0, 3.0]], [0.0])
    spec.description.output.add(name="z").type.doubleType.SetInParent()
    with pytest.raises(refcoreml.InvalidModelError, match=r"declares the outputs \['y', 'z'\], but computes 'y' alone"):
        refcoreml.load(spec)
    for group, noun in (("input", "inputs"), ("output", "outputs")):
        spec = model([[1.0, 2.0, 3.0]], [0.0])
        getattr(spec.description, group).append(getattr(spec.description, group)[0])
        with pytest.raises(refcoreml.InvalidModelError, match=f"glmRegressor: 2 {noun} have the name"):
            refcoreml.load(spec)


def test_a_real_regressor():
    loaded = refcoreml.load(shared_model("classic/glm_boston_plotcv.mlmodel"))
    message = loaded.spec.glmRegressor
    x = np.linspace(-3, 9, 13)
    expected = math.fsum(w * v for w, v in zip(message.weights[0].value, x, strict=True)) + message.offset[0]
    bound = 15 * 2.0**-53 * (math.fsum(abs(w * v) for w, v in zip(message.weights[0].value, x, strict=True)) + 40)
    assert abs(loaded.predict({"input": x})["prediction"] - expected) <= bound
