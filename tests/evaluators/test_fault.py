"""Whose fault shapes are that do not fit: the inputs', the model's, or that of models in a pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refcoreml
from refcoreml import build
from refcoreml.errors import InputError, InvalidModelError
from refcoreml.spec import schema


def rank5() -> build.Network:
    """Six features in any sequence and batch; the third layer wants 4 steps at least."""
    net = build.Network({"x": (6,)}, ["y"])
    net.add("activation", outputs="r", ReLU={})
    net.add("permute", outputs="p", axis=[3, 1, 2, 0])  # the sequence as width
    net.add("pooling", outputs="y", type="MAX", kernelSize=[1, 4], stride=[1, 1], valid={})
    return net


def ask(model: refcoreml.Model, how: str, x: Any) -> None:
    if how == "predict":
        model.predict({"x": x})
    elif how == "batch":
        model.predict([{"x": x}])
    elif how == "trace":
        list(model.trace({"x": x}))
    elif how == "observe":
        model.observe({"x": x}, lambda *_: None)
    else:
        model.shapes({"x": x.shape})


HOW = ("predict", "batch", "trace", "observe", "shapes")


@pytest.mark.parametrize("how", HOW)
def test_too_short_a_sequence_is_the_fault_of_the_input(how: str) -> None:
    model = refcoreml.load(rank5().spec())
    ask(model, how, np.zeros((5, 2, 6, 1, 1)))
    with pytest.raises(InputError, match=r"layers\[2\].*pooling") as error:
        ask(model, how, np.zeros((3, 2, 6, 1, 1)))
    assert error.value.shapes["r"] == (3, 2, 6, 1, 1)


@pytest.mark.parametrize("how", HOW)
def test_sequence_and_batch_in_the_wrong_order_are_the_fault_of_the_input(how: str) -> None:
    """A reshape takes a sequence of 5 steps of one sample, and gets one step of 5 samples."""
    net = build.Network({"x": (6,)}, ["y"])
    net.add("reshape", name="steps", outputs="y", targetShape=[5, 6, 1, 1], mode="CHANNEL_FIRST")
    model = refcoreml.load(net.spec())
    good, wrong = np.zeros((5, 1, 6, 1, 1)), np.zeros((1, 5, 6, 1, 1))
    ask(model, how, good)
    with pytest.raises(InputError, match="steps"):
        ask(model, how, wrong)


@pytest.mark.parametrize("kind", ["branch", "count", "condition"])
def test_a_decision_by_two_numbers_is_the_fault_of_the_model_at_load(kind: str) -> None:
    net = build.Network({"x": (2,)}, ["y"], exact=True)
    net.add("activation", name="same", outputs="c", ReLU={})
    body = build.Network({}, [])
    body.add("activation", inputs="c", outputs="t", ReLU={})
    if kind == "branch":
        net.add("branch", name="decide", inputs="c", outputs=[], ifBranch={"layers": body.layers})
    elif kind == "count":
        net.add("loop", name="decide", inputs="c", outputs=[], bodyNetwork={"layers": body.layers})
    else:
        inner = {"conditionNetwork": {"layers": body.layers}, "bodyNetwork": {"layers": _other("t")}}
        net.add("loop", name="decide", inputs=[], outputs=[], conditionVar="t", maxLoopIterations=3, **inner)
    net.add("activation", inputs="c", outputs="y", ReLU={})
    with pytest.raises(InvalidModelError, match=r"decide.*must be a single number, got the shape \(2,\)"):
        refcoreml.load(net.spec())


def _other(name: str) -> Any:
    body = build.Network({}, [])
    body.add("activation", inputs=name, outputs="u", ReLU={})
    return body.layers


def pipeline(first: build.Network, second: build.Network) -> refcoreml.Model:
    spec = schema.Model(specificationVersion=4)
    spec.description.input.extend(first.spec().description.input)
    spec.description.output.add(name="z").type.CopyFrom(build.array())
    spec.pipeline.models.extend([first.spec(), second.spec()])
    return refcoreml.load(spec)


@pytest.mark.parametrize("how", HOW[:4])
def test_models_that_do_not_fit_together_are_the_fault_of_the_pipeline(how: str) -> None:
    first = build.Network({"x": (6,)}, {"y": build.array()}, exact=True)
    first.add("activation", outputs="y", ReLU={})
    second = build.Network({"y": (5,)}, {"z": build.array()}, exact=True)
    second.add("activation", outputs="z", ReLU={})
    with pytest.raises(InvalidModelError, match=r"models\[1\].*input 'y'.*do not fit together"):
        ask(pipeline(first, second), how, np.zeros(6))
    with pytest.raises(InputError, match="input 'x'"):
        ask(pipeline(first, second), how, np.zeros(7))


@pytest.mark.parametrize("how", HOW[:4])
def test_shapes_within_a_later_model_are_the_fault_of_the_pipeline(how: str) -> None:
    """The second model takes any number of values by its declaration, and 7 by its layers."""
    first = build.Network({"x": (6,)}, {"y": build.array()}, exact=True)
    first.add("activation", outputs="y", ReLU={})
    feature = build.array(7)
    build.fill(feature.multiArrayType, {"shapeRange": {"sizeRanges": [{"lowerBound": 1, "upperBound": -1}]}}, "y")
    second = build.Network({"y": feature}, {"z": build.array()}, exact=True)
    second.add("reshapeStatic", name="seven", outputs="z", targetShape=[7, 1])
    with pytest.raises(InvalidModelError, match=r"models\[1\].*seven.*do not fit together"):
        ask(pipeline(first, second), how, np.zeros(6))


def test_weights_for_other_features_are_the_fault_of_who_made_the_features() -> None:
    """A linear regressor of two weights, which takes arrays of any length."""
    feature = build.array(2, data_type="DOUBLE")
    feature.multiArrayType.shapeRange.sizeRanges.add(lowerBound=1, upperBound=-1)
    linear = schema.Model(specificationVersion=3)
    linear.description.input.add(name="y").type.CopyFrom(feature)
    linear.description.output.add(name="z").type.doubleType.SetInParent()
    linear.description.predictedFeatureName = "z"
    linear.glmRegressor.weights.add(value=[1.0, 2.0])
    linear.glmRegressor.offset.append(0.5)
    with pytest.raises(InputError, match="has 2 weights for 3 features"):
        refcoreml.load(linear).predict({"y": np.ones(3)})
    first = build.Network({"x": (3,)}, {"y": build.array()}, exact=True)
    first.add("activation", outputs="y", ReLU={})
    spec = schema.Model(specificationVersion=4)
    spec.description.input.extend(first.spec().description.input)
    spec.description.output.extend(linear.description.output)
    spec.pipeline.models.extend([first.spec(), linear])
    with pytest.raises(InvalidModelError, match="do not fit together: has 2 weights for 3 features"):
        refcoreml.load(spec).predict({"x": np.ones(3)})
