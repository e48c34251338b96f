"""Custom models: code in place of a model type."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from support import integers

import refcoreml
from refcoreml import build, custom
from refcoreml.errors import CallbackError, InvalidModelError, UnsupportedModelError, UsageError
from refcoreml.spec import schema


@pytest.fixture(autouse=True)
def _no_registrations_remain():
    with custom.scope():
        yield


def scalar(member):
    feature = schema.FeatureType()
    getattr(feature, member).SetInParent()
    return feature


def model_of(inputs, outputs, parameters=None, name="Mine", description="does things"):
    model = schema.Model(specificationVersion=3)
    for group, features in ((model.description.input, inputs), (model.description.output, outputs)):
        for feature, kind in features.items():
            group.add(name=feature).type.CopyFrom(kind)
    build.fill(
        model.customModel,
        {"className": name, "description": description, "parameters": parameters or {}},
        "customModel",
    )
    return model


def test_it_gets_its_description_and_parameters_and_computes():
    seen = {}

    @refcoreml.custom_model("Mine")
    class Mine:
        def __init__(self, description, parameters):
            seen.update(description=description, parameters=parameters)

        def predict(self, inputs):
            seen["inputs"] = inputs
            return {
                "sum": float(inputs["x"].sum()),
                "label": inputs["text"].upper(),
                "scaled": inputs["x"] * self_factor,
                "dark": Image.eval(inputs["picture"], lambda value: value // 2),
            }

    self_factor = 3
    spec = model_of(
        {
            "x": build.array(2, 3),
            "text": scalar("stringType"),
            "picture": build.image(4, 5, "BGR"),
        },
        {
            "sum": scalar("doubleType"),
            "label": scalar("stringType"),
            "scaled": build.array(2, 3, data_type="INT32"),
            "dark": build.image(4, 5),
        },
        {"a": 1, "b": "two", "c": 0.5, "d": True, "e": b"\0\1", "f": 2**40},
    )
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3)).astype(np.uint8)
    x = integers((2, 3))
    model = refcoreml.load(spec)
    outputs = model.predict({"x": x, "text": "abc", "picture": Image.fromarray(pixels)})
    assert seen["parameters"] == {"a": 1, "b": "two", "c": 0.5, "d": True, "e": b"\0\1", "f": 2**40}
    assert [feature.name for feature in seen["description"].inputs] == ["x", "text", "picture"]
    assert [feature.name for feature in seen["description"].outputs] == ["sum", "label", "scaled", "dark"]
    assert seen["description"].text == "does things"
    assert seen["inputs"]["picture"].mode == "RGB"
    np.testing.assert_array_equal(np.asarray(seen["inputs"]["picture"]), pixels)
    assert outputs["sum"] == x.sum()
    assert outputs["label"] == "ABC"
    np.testing.assert_array_equal(outputs["scaled"], 3 * x)
    assert outputs["scaled"].dtype == np.int32
    np.testing.assert_array_equal(np.asarray(outputs["dark"])[..., :3], pixels // 2)
    assert list(model.trace({"x": x, "text": "abc", "picture": Image.fromarray(pixels)})) == []
    assert model.shapes() == {}


X, Y = {"x": build.array(2)}, {"y": build.array(2)}


def code(predict, **members):
    made = {"__init__": lambda self, description, parameters: None, "predict": lambda self, inputs: predict(inputs)}
    return type("Mine", (), {**made, **members})


def test_code_given_to_load_wins_and_takes_batches():
    calls = []

    def several(self, batch):
        calls.append(len(batch))
        return [{"y": 2 * inputs["x"]} for inputs in batch]

    refcoreml.custom_model("Mine")(code(lambda inputs: {"y": inputs["x"]}))
    given = {"Mine": code(lambda inputs: {"y": -inputs["x"]}, predict_batch=several)}
    batch = [{"x": np.array([index, 1.0])} for index in range(5)]
    registered = refcoreml.load(model_of(X, Y))
    assert [one["y"][0] for one in registered.predict(batch)] == [0, 1, 2, 3, 4]
    model = refcoreml.load(model_of(X, Y), custom_models=given)
    assert [one["y"][0] for one in model.predict(batch)] == [0, 2, 4, 6, 8]
    assert calls == [5]
    np.testing.assert_array_equal(model.predict(batch[1])["y"], [-1, -1])
    assert set(given) == {"Mine"}


def test_the_base_class_will_do_as_a_base():
    class Mine(refcoreml.CustomModel):
        def predict(self, inputs):
            return {self.description.outputs[0].name: inputs["x"] * self.parameters["factor"]}

    model = refcoreml.load(model_of(X, Y, {"factor": 4}), custom_models={"Mine": Mine})
    np.testing.assert_array_equal(model.predict({"x": np.array([1, 2])})["y"], [4, 8])


def test_a_missing_class_is_described_with_the_lines_to_write():
    spec = model_of(X, Y, {"k": 3}, name="App.Ranker", description="ranks")
    with pytest.raises(UnsupportedModelError, match=r"customModel of class 'App\.Ranker': needs code") as caught:
        refcoreml.load(spec)
    text = str(caught.value)
    assert "'ranks'" in text
    assert "{'k': 3}" in text
    (need,) = refcoreml.inspect(refcoreml.load(spec, prepare=False)).needs
    assert (need.kind, need.class_name, need.description, need.parameters, need.met) == (
        "model",
        "App.Ranker",
        "ranks",
        {"k": 3},
        False,
    )
    exec(text[text.index("@refcoreml") :], {"refcoreml": refcoreml})
    with pytest.raises(CallbackError, match="predict raised NotImplementedError"):
        refcoreml.load(spec).predict({"x": np.zeros(2)})
    with pytest.raises(InvalidModelError, match="no className"):
        refcoreml.load(model_of(X, Y, name=""))


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda inputs: 1 / 0, "predict raised ZeroDivisionError"),
        (lambda inputs: [1, 2], "predict returned a list, expected a dict"),
        (lambda inputs: {}, "the result of predict lacks 'y'; the outputs are 'y'"),
        (lambda inputs: {"y": [1, 2], "z": 3}, "the result of predict has 'z'"),
        (lambda inputs: {"y": [1, 2, 3]}, r"predict returned for output 'y', MultiArray \(Float32 2\): .*\(3\)"),
        (lambda inputs: {"y": "text"}, "predict returned for output 'y'.*got str"),
    ],
)
def test_results_that_do_not_fit_are_told(predict, message):
    model = refcoreml.load(model_of(X, Y), custom_models={"Mine": code(predict)})
    with pytest.raises(CallbackError, match=rf"customModel of class 'Mine': {message}"):
        model.predict({"x": np.zeros(2)})


def test_batches_of_another_length_and_failing_constructors_are_told():
    short = code(lambda inputs: {}, predict_batch=lambda self, batch: [])
    with pytest.raises(CallbackError, match="predict_batch returned 0 results for 2 samples"):
        refcoreml.load(model_of(X, Y), custom_models={"Mine": short}).predict([{"x": np.zeros(2)}] * 2)

    def fail(self, description, parameters):
        raise OSError("no such table")

    with pytest.raises(CallbackError, match="__init__ raised OSError: no such table") as caught:
        refcoreml.load(model_of(X, Y), custom_models={"Mine": code(dict, __init__=fail)})
    assert isinstance(caught.value.__cause__, OSError)


def test_functions_are_no_custom_models_and_names_are_registered_once():
    with pytest.raises(UsageError, match="expected a class with the method predict, got"):
        refcoreml.custom_model("Mine")(lambda inputs: inputs)
    refcoreml.custom_model("Mine")(code(dict))
    with pytest.raises(UsageError, match="custom model 'Mine' is registered already"):
        refcoreml.custom_model("Mine")(code(dict))
