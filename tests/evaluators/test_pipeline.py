"""Pipelines: the same as their models run by hand, one after the other."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from PIL import Image
from support import integers

import refcoreml
from refcoreml import build
from refcoreml.errors import (
    CallbackError,
    InputError,
    InvalidModelError,
    MalformedModelError,
    RefCoreMLWarning,
    UnsupportedModelError,
)
from refcoreml.evaluators import pipeline as pipeline_module
from refcoreml.evaluators.pipeline import DEEPEST_NESTING
from refcoreml.spec import schema


def pipeline(inputs, outputs, *models, names=(), kind="pipeline"):
    """A pipeline of messages, with features given by name."""
    spec = schema.Model(specificationVersion=5)
    for group, features in ((spec.description.input, inputs), (spec.description.output, outputs)):
        for name, feature in features.items():
            group.add(name=name).type.CopyFrom(feature)
    message = getattr(spec, kind)
    message = message if kind == "pipeline" else message.pipeline
    message.models.extend(models)
    message.names.extend(names)
    if not models:
        getattr(spec, kind).SetInParent()
    return spec


def affine(source, target, alpha, beta, shape=(2, 3), data_type="FLOAT32"):
    """y = alpha x + beta, as a network in the N-D world."""
    feature = build.array(*shape, data_type=data_type)
    net = build.Network({source: feature}, {target: feature}, exact=True)
    net.add("activation", name=f"affine_{target}", outputs=target, linear={"alpha": alpha, "beta": beta})
    return net.spec()


def reader(size=(6, 4), classes=("a", "b", "c"), color="RGB"):
    """A classifier of images, in the rank-5 world, and its weights."""
    weights = integers((len(classes), 3 * size[0] * size[1]), seed=7) / 64
    net = build.Network({"image": build.image(*size, color)}, ["scores"], classes=list(classes))
    net.preprocess("image", channel_scale=1 / 64)
    net.add("flatten", mode="CHANNEL_FIRST")
    net.add("innerProduct", weights=weights, input_channels=weights.shape[1], output_channels=len(classes))
    net.add("softmax", outputs="scores")
    return net.spec()


@pytest.mark.parametrize(
    ("shape", "warns"), [((2, 3), False), ((1, 2, 3), False), ((), False), ((7,), True), ((3, 2), True)]
)
def test_an_output_of_another_shape_than_its_model_declares_causes_a_warning(shape, warns):
    spec = pipeline({"x": build.array(2, 3)}, {"y": build.array(*shape)}, affine("x", "y", 2, 1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = refcoreml.load(spec)
    assert [w.category for w in caught] == [RefCoreMLWarning] * warns
    assert all("the pipeline's shape is not insisted on" in str(w.message) for w in caught)
    assert model.predict({"x": np.zeros((2, 3))})["y"].shape == (2, 3)


class Same:
    """Gives back its input."""

    def __init__(self, description, parameters):
        """Needs nothing."""

    def predict(self, inputs):
        return {"y": inputs["x"]}


A, B = build.array(2, 3), build.array(2, 3)


@pytest.mark.parametrize("kind", ["pipeline", "pipelineRegressor", "pipelineClassifier"])
def test_models_run_in_order_on_features_by_name(kind):
    """The second model of two reads the input, too, and the third both."""
    both = build.Network({"u": A, "v": A}, {"w": A}, exact=True)
    both.add("multiplyBroadcastable", inputs=["u", "v"], outputs="w")
    spec = pipeline(
        {"x": A}, {"w": A, "u": A, "x": A}, affine("x", "u", 2, 1), affine("x", "v", -1, 3), both.spec(), kind=kind
    )
    x = integers((2, 3))
    outputs = refcoreml.load(spec).predict({"x": x})
    np.testing.assert_array_equal(outputs["u"], 2 * x + 1)
    np.testing.assert_array_equal(outputs["w"], (2 * x + 1) * (3 - x))
    np.testing.assert_array_equal(outputs["x"], x)


def test_of_several_features_of_one_name_the_latest_counts():
    models = affine("x", "u", 2, 0), affine("u", "x", 1, 1), affine("x", "y", 10, 0)
    outputs = refcoreml.load(pipeline({"x": A}, {"y": A, "x": A}, *models)).predict({"x": integers((2, 3))})
    np.testing.assert_array_equal(outputs["x"], 2 * integers((2, 3)) + 1)
    np.testing.assert_array_equal(outputs["y"], 10 * outputs["x"])


def mixer(color_in="RGB", color_out="RGB"):
    """An image to an image: each pixel to 255 - x / 3, which is no whole number."""
    net = build.Network({"photo": build.image(6, 4, color_in)}, {"image": build.image(6, 4, color_out)})
    net.preprocess("photo", channel_scale=1)
    net.add("activation", name="mix", outputs="image", linear={"alpha": -1 / 3, "beta": 255})
    return net.spec()


@pytest.mark.parametrize("last_color", ["RGB", "BGR"])
def test_images_are_handed_on_as_pictures(last_color):
    """As by hand: rounded to bytes in between, and in the order of colours that the next model wants."""
    scores = schema.FeatureType()
    scores.dictionaryType.stringKeyType.SetInParent()
    label = schema.FeatureType()
    label.stringType.SetInParent()
    first, second = mixer(), reader(color=last_color)
    spec = pipeline(
        {"photo": build.image(6, 4)},
        {"classLabel": label, "scores": scores, "image": build.image(6, 4)},
        first,
        second,
        kind="pipelineClassifier",
    )
    photo = Image.fromarray(np.random.default_rng(1).integers(0, 256, (4, 6, 3)).astype(np.uint8))
    outputs = refcoreml.load(spec).predict({"photo": photo})
    between = refcoreml.load(first).predict({"photo": photo})["image"]
    by_hand = refcoreml.load(second).predict({"image": between.convert("RGB")})
    assert outputs["classLabel"] == by_hand["classLabel"]
    assert outputs["scores"] == by_hand["scores"]
    np.testing.assert_array_equal(np.asarray(outputs["image"]), np.asarray(between))
    expected = np.rint(255 - np.asarray(photo, np.float32) / np.float32(3))
    np.testing.assert_array_equal(np.asarray(between)[..., :3], expected)


def test_arrays_are_of_their_declared_type_in_between():
    """Also under float64: 1/3 is handed on as a float32."""
    spec = pipeline(
        {"x": build.array(1, data_type="DOUBLE")},
        {"y": build.array(1, data_type="DOUBLE")},
        affine("x", "u", 1, 0, (1,)),
        affine("u", "y", 3, 0, (1,), "DOUBLE"),
    )
    found = refcoreml.load(spec, precision="float64").predict({"x": np.array([1 / 3])})["y"]
    assert found[0] == 3 * float(np.float32(1 / 3))
    assert found[0] != 1
    whole = pipeline(
        {"x": build.array(1)},
        {"y": build.array(1)},
        affine("x", "u", 1, 0.5, (1,)),
        affine("u", "y", 1, 0, (1,), "INT32"),
    )
    with pytest.raises(
        InvalidModelError, match=r"pipeline.models\[1\] 'model1', input 'u'.*0.5 at \[0\] is not an integer"
    ):
        refcoreml.load(whole).predict({"x": np.zeros(1)})


def test_the_observer_trace_and_shapes_name_the_model():
    spec = pipeline(
        {"x": A},
        {"y": A},
        affine("x", "u", 2, 1),
        pipeline({"u": A}, {"y": A}, affine("u", "v", 1, 1), affine("v", "y", 1, 1), names=["in", "out"]),
        names=["first", "rest"],
    )
    model, x = refcoreml.load(spec), integers((2, 3))
    expected = [("first", "affine_u"), ("rest/in", "affine_v"), ("rest/out", "affine_y")]
    traced = list(model.trace({"x": x}))
    assert [(layer.model, layer.name) for layer in traced] == expected
    np.testing.assert_array_equal(traced[-1].outputs["y"], 2 * x + 3)
    np.testing.assert_array_equal(traced[1].inputs["u"], 2 * x + 1)
    seen = []
    model.observe({"x": x}, lambda step, inputs, outputs: seen.append((step.model, step.name)))
    assert seen == expected
    assert model.shapes()["rest/out/y"] == (2, 3)
    assert set(model.shapes()) == {"first/x", "first/u", "rest/in/u", "rest/in/v", "rest/out/v", "rest/out/y"}
    assert list(model.models) == ["first", "rest"]
    np.testing.assert_array_equal(model.models["first"].predict({"x": x})["u"], 2 * x + 1)
    summary = refcoreml.inspect(model)
    assert [inner.name for inner in summary.models] == ["first", "rest"]
    assert [inner.name for inner in summary.models[1].models] == ["in", "out"]
    assert not summary.problem


def test_custom_layers_and_models_run_inside():
    net = build.Network({"x": A}, {"u": A}, exact=True)
    net.add("custom", name="mine", outputs="u", class_name="Double")
    last = schema.Model(specificationVersion=3)
    last.description.input.add(name="u").type.CopyFrom(A)
    last.description.output.add(name="y").type.CopyFrom(A)
    last.customModel.className = "Negate"

    class Negate:
        def __init__(self, description, parameters):
            pass

        def predict(self, inputs):
            return {"y": -inputs["u"]}

    spec = pipeline({"x": A}, {"y": A}, net.spec(), last)
    code = {"custom_layers": {"Double": lambda x: 2 * x}, "custom_models": {"Negate": Negate}}
    model = refcoreml.load(spec, **code)
    np.testing.assert_array_equal(model.predict({"x": integers((2, 3))})["y"], -2 * integers((2, 3)))
    assert [need.met for inner in refcoreml.inspect(model).models for need in inner.needs] == [True, True]
    assert [layer.name for layer in model.trace({"x": integers((2, 3))})] == ["mine"]
    broken = refcoreml.load(spec, custom_layers={"Double": lambda x: 1 / 0}, custom_models=code["custom_models"])
    with pytest.raises(CallbackError, match=r"pipeline.models\[0\] 'model0', neuralNetwork.layers\[0\] 'mine'"):
        broken.predict({"x": integers((2, 3))})
    with pytest.raises(UnsupportedModelError, match=r"pipeline.models\[0\] 'model0', neuralNetwork.layers\[0\]"):
        refcoreml.load(spec)


def test_errors_at_a_prediction_name_the_model():
    """The second network wants another shape than the first one makes."""
    first = build.Network({"x": build.array(6)}, {"u": build.array()}, exact=True)
    first.add("copy", inputs="x", outputs="u")
    spec = pipeline({"x": build.array(6)}, {"y": A}, first.spec(), affine("u", "y", 1, 0))
    with pytest.raises(InvalidModelError, match=r"pipeline.models\[1\] 'model1', input 'u'.*\(6\) does not match"):
        refcoreml.load(spec).predict({"x": np.zeros(6)})
    with pytest.raises(InputError, match="the model has no input 'z'"):
        refcoreml.load(spec).predict({"z": np.zeros(6)})


DOUBLE = schema.FeatureType()
DOUBLE.doubleType.SetInParent()


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (pipeline({"x": A}, {"y": A}), InvalidModelError, "pipeline: holds no models"),
        (
            pipeline({"x": A}, {"y": A}, affine("x", "y", 1, 0), names=["a", "b"]),
            InvalidModelError,
            "has 2 names for 1 models",
        ),
        (
            pipeline({"x": A}, {"y": A}, affine("x", "u", 1, 0), affine("u", "y", 1, 0), names=["a", "a"]),
            InvalidModelError,
            "several models have the name 'a'",
        ),
        (
            pipeline({"x": A}, {"y": A}, affine("u", "y", 1, 0)),
            InvalidModelError,
            "pipeline.models[0] 'model0': input 'u' is neither an input of the pipeline nor an output of a model",
        ),
        (
            pipeline({"x": A}, {"z": A}, affine("x", "y", 1, 0), kind="pipelineRegressor"),
            InvalidModelError,
            "pipelineRegressor: output 'z' is neither",
        ),
        (
            pipeline({"x": DOUBLE}, {"y": A}, affine("x", "y", 1, 0)),
            InvalidModelError,
            "input 'x' is MultiArray (Float32 2 x 3), got Double",
        ),
        (
            pipeline({"x": A}, {"y": DOUBLE}, affine("x", "y", 1, 0)),
            InvalidModelError,
            "output 'y' is Double, got MultiArray",
        ),
    ],
)
def test_pipelines_that_do_not_hang_together_are_refused(spec, error, message):
    with pytest.raises(error, match=re.escape(message)):
        refcoreml.load(spec)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("version", "kind", "error", "message"),
    [
        (99, "neuralNetwork", UnsupportedModelError, "specification version 99, the newest known here is"),
        (0, "neuralNetwork", MalformedModelError, "it has no specification version"),
        (5, None, MalformedModelError, "it has no model type"),
    ],
)
def test_inner_models_have_a_version_and_a_type(version, kind, error, message, nested):
    bad = affine("u", "y", 1, 0)
    bad.specificationVersion = version
    if kind is None:
        bad.ClearField("neuralNetwork")
    spec, place = pipeline({"x": A}, {"y": A}, affine("x", "u", 1, 0), bad), "pipeline.models[1] 'model1'"
    if nested:
        spec, place = pipeline({"x": A}, {"y": A}, spec), f"pipeline.models[0] 'model0', {place}"
    with pytest.raises(error, match=message) as caught:
        refcoreml.load(spec)
    assert caught.value.where == place


@pytest.mark.parametrize("group", ["input", "output"])
def test_names_occur_once(group):
    """In the pipeline, in a model of any type inside it, and in a custom model."""

    def repeated(spec):
        getattr(spec.description, group).append(getattr(spec.description, group)[0])
        return spec

    inner = affine("x", "y", 1, 0)
    custom = schema.Model(specificationVersion=3)
    custom.customModel.className = "Same"
    for features, name in ((custom.description.input, "x"), (custom.description.output, "y")):
        features.add(name=name).type.CopyFrom(A)
    for spec in (
        repeated(pipeline({"x": A}, {"y": A}, inner)),
        pipeline({"x": A}, {"y": A}, repeated(affine("x", "y", 1, 0))),
        repeated(custom),
    ):
        with pytest.raises(InvalidModelError, match=f"2 {group}s have the name"):
            refcoreml.load(spec, custom_models={"Same": Same})


def passes(feature, other):
    """A pipeline of a custom model that gives back its input y; outside it is declared as another type."""
    custom = schema.Model(specificationVersion=3)
    custom.customModel.className = "Same"
    for features, name in ((custom.description.input, "x"), (custom.description.output, "y")):
        features.add(name=name).type.CopyFrom(feature)
    return pipeline({"x": feature}, {"y": other}, custom)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"dictionaryType": {"int64KeyType": {}}}, {"dictionaryType": {"stringKeyType": {}}}),
        ({"sequenceType": {"stringType": {}}}, {"sequenceType": {"int64Type": {}}}),
    ],
)
def test_keys_and_items_keep_their_type(one, other):
    one, other = (build.fill(schema.FeatureType(), fields, "test") for fields in (one, other))
    with pytest.raises(InvalidModelError, match=r"output 'y' is .*, got"):
        refcoreml.load(passes(one, other), custom_models={"Same": Same})
    assert refcoreml.load(passes(one, one), custom_models={"Same": Same})


def test_the_pipelines_own_outputs_hold_what_the_models_made():
    """3.7 does not become 3 because the pipeline declares integers."""
    spec = passes(build.array(2, 3, data_type="DOUBLE"), build.array(2, 3, data_type="INT32"))
    loaded = refcoreml.load(spec, custom_models={"Same": Same})
    whole = integers((2, 3))
    result = loaded.predict({"x": whole})["y"]
    assert result.dtype == np.int32
    np.testing.assert_array_equal(result, whole)
    with pytest.raises(InvalidModelError) as caught:
        loaded.predict({"x": [[1, 2, 3], [4, 5, 3.7]]})
    assert caught.value.where == "pipeline, output 'y', MultiArray (Int32 2 x 3)"
    assert caught.value.problem == (
        "the value 3.7 at [1, 2] is not an integer; pipeline.models[0] 'model0', which makes it, declares "
        "MultiArray (Double 2 x 3)"
    )
    assert caught.value.remedy == "Declare the pipeline's output as it is declared there"


def test_a_number_beyond_the_pipelines_own_type_names_the_last_model_that_makes_it():
    models = affine("x", "y", 1, 0), affine("x", "y", 2e6, 0)
    spec = pipeline({"x": A}, {"y": build.array(2, 3, data_type="FLOAT16")}, *models, names=["first", "last"])
    with pytest.raises(
        InvalidModelError,
        match=r"output 'y', MultiArray \(Float16 2 x 3\): the value .* is beyond the range of float16; "
        r"pipeline\.models\[1\] 'last', which makes it, declares MultiArray \(Float32 2 x 3\)",
    ):
        refcoreml.load(spec).predict({"x": np.full((2, 3), 3)})


def test_an_output_that_is_not_what_the_pipeline_declares_is_told():
    spec = pipeline({"photo": build.image(6, 4)}, {"image": build.image(5, 4)}, mixer())
    with pytest.raises(InvalidModelError, match=r"pipeline, output 'image', Image \(RGB 5 x 4\): .*'model0', which"):
        refcoreml.load(spec).predict({"photo": Image.new("RGB", (6, 4))})


def test_models_that_cannot_run_are_all_named():
    trees = schema.Model(specificationVersion=1)
    trees.treeEnsembleRegressor.SetInParent()
    other = schema.Model(specificationVersion=1)
    other.dictVectorizer.SetInParent()
    spec = pipeline({"x": A}, {"y": A}, trees, affine("x", "y", 1, 0), other)
    message = r"2 of 3 models .*'model0' \(treeEnsembleRegressor\), 'model2' \(dictVectorizer\)"
    with pytest.raises(UnsupportedModelError, match=message):
        refcoreml.load(spec)
    assert "treeEnsembleRegressor" in refcoreml.inspect(refcoreml.load(spec, prepare=False)).problem


def test_nesting_is_limited():
    spec = affine("x", "y", 2, 0)
    for _ in range(DEEPEST_NESTING):
        spec = pipeline({"x": A}, {"y": A}, spec)
    x = integers((2, 3))
    np.testing.assert_array_equal(refcoreml.load(spec).predict({"x": x})["y"], 2 * x)
    spec = pipeline({"x": A}, {"y": A}, spec)
    with pytest.raises(UnsupportedModelError, match=f"more than {DEEPEST_NESTING} deep"):
        refcoreml.load(spec)
    assert "deep" in refcoreml.inspect(refcoreml.load(spec, prepare=False)).problem


def test_optional_inputs_may_be_absent_on_the_way():
    optional = build.array(2, 3)
    optional.isOptional = True
    net = build.Network({"x": A, "bias": optional}, {"y": A}, exact=True)
    net.add("addBroadcastable", inputs=["x", "bias"], outputs="y")
    model = refcoreml.load(pipeline({"x": A, "bias": optional}, {"y": A}, net.spec()))
    x = integers((2, 3))
    np.testing.assert_array_equal(model.predict({"x": x})["y"], x)
    np.testing.assert_array_equal(model.predict({"x": x, "bias": x + 1})["y"], 2 * x + 1)


def test_a_pipeline_that_coremltools_builds(tmp_path):
    pytest.importorskip("coremltools", reason="coremltools builds the pipeline")
    import coremltools as ct
    from coremltools.models import datatypes
    from coremltools.models import pipeline as builders
    from coremltools.models.neural_network import NeuralNetworkBuilder

    weights = integers((3, 4), seed=1)
    first = NeuralNetworkBuilder([("x", datatypes.Array(4))], [("u", datatypes.Array(3))])
    first.add_inner_product("product", weights, None, 4, 3, False, "x", "u")
    second = NeuralNetworkBuilder([("u", datatypes.Array(3))], [("y", datatypes.Array(3))])
    second.add_activation("relu", "RELU", "u", "y")
    row = ct.models.MLModel
    made = builders.Pipeline([("x", datatypes.Array(4))], [("y", datatypes.Array(3))])
    made.add_model(row(first.spec, skip_model_load=True))
    made.add_model(row(second.spec, skip_model_load=True))
    ct.models.utils.save_spec(made.spec, str(tmp_path / "two.mlmodel"))
    x = integers((4,), seed=2)
    outputs = refcoreml.load(tmp_path / "two.mlmodel").predict({"x": x})
    np.testing.assert_array_equal(outputs["y"], np.maximum(weights @ x, 0))


def test_scores_that_are_not_numbers_come_out_as_by_hand():
    net = build.Network({"x": (2,)}, ["scores"], classes=["a", "b"])
    net.add("unary", type="SQRT", outputs="scores")
    scores, label = schema.FeatureType(), schema.FeatureType()
    scores.dictionaryType.stringKeyType.SetInParent()
    label.stringType.SetInParent()
    outputs = {"classLabel": label, "scores": scores}
    spec = pipeline({"x": build.array(2)}, outputs, net.spec(), kind="pipelineClassifier")
    with pytest.warns(refcoreml.RefCoreMLWarning, match="scores are NaN"):
        found = refcoreml.load(spec).predict({"x": np.array([-1.0, 1.0])})
    assert np.isnan(found["scores"]["a"])
    assert found["scores"]["b"] == 1


@pytest.mark.parametrize("kind", ["pipelineClassifier", "pipelineRegressor"])
def test_a_predicted_feature_is_an_output_of_the_pipeline(kind):
    spec = pipeline({"x": A}, {"y": A}, affine("x", "y", 2, 1), kind=kind)
    spec.description.predictedFeatureName = "nothing"
    with pytest.raises(
        InvalidModelError, match=f"{kind}: predictedFeatureName 'nothing' is not among the outputs, which are 'y'"
    ):
        refcoreml.load(spec)
    spec.description.predictedFeatureName = "y"
    refcoreml.load(spec)


def test_scores_that_a_pipeline_does_not_have_cause_a_warning():
    spec = pipeline({"x": A}, {"y": A}, affine("x", "y", 2, 1), kind="pipelineClassifier")
    spec.description.predictedProbabilitiesName = "nothing"
    with pytest.warns(RefCoreMLWarning, match="predictedProbabilitiesName 'nothing' is not among the outputs"):
        refcoreml.load(spec)


def test_a_feature_may_become_one_of_another_kind():
    """x is an array, then a number, in which a custom model and a linear one deal."""
    count = schema.Model(specificationVersion=3)
    count.description.input.add(name="x").type.CopyFrom(A)
    count.description.output.add(name="x").type.CopyFrom(DOUBLE)
    count.customModel.className = "Sum"
    linear = schema.Model(specificationVersion=1)
    linear.description.input.add(name="x").type.CopyFrom(DOUBLE)
    linear.description.output.add(name="y").type.CopyFrom(DOUBLE)
    linear.description.predictedFeatureName = "y"
    linear.glmRegressor.weights.add(value=[3])
    linear.glmRegressor.offset.append(0.5)

    class Sum(refcoreml.CustomModel):
        def predict(self, inputs):
            return {"x": float(inputs["x"].sum())}

    spec = pipeline({"x": A}, {"y": DOUBLE}, count, linear, kind="pipelineRegressor")
    x = integers((2, 3))
    assert refcoreml.load(spec, custom_models={"Sum": Sum}).predict({"x": x})["y"] == 3 * x.sum() + 0.5
    spec.pipelineRegressor.pipeline.models.add().CopyFrom(affine("x", "z", 1, 0))
    with pytest.raises(InvalidModelError, match=r"input 'x' is MultiArray .* got Double"):
        refcoreml.load(spec, custom_models={"Sum": Sum})


def test_a_network_may_give_back_its_input():
    net = build.Network({"x": A}, {"x": A, "u": A}, exact=True)
    net.add("activation", name="first", outputs="u", linear={"alpha": 2})
    model = refcoreml.load(pipeline({"x": A}, {"y": A, "x": A}, net.spec(), affine("u", "y", 1, 1)))
    assert [layer.name for layer in model.trace({"x": integers((2, 3))})] == ["first", "affine_y"]
    np.testing.assert_array_equal(model.predict({"x": integers((2, 3))})["x"], integers((2, 3)))


def test_a_failure_deep_inside_is_not_looked_for_again_at_every_level(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    make = pipeline_module.make_evaluator
    monkeypatch.setattr(pipeline_module, "make_evaluator", lambda *given: made.append(given) or make(*given))
    feature, spec = build.array(2, 3), affine("x", "y", 2, 1)
    spec.neuralNetwork.layers[0].input[0] = "nowhere"
    for _ in range(7):
        spec = pipeline({"x": feature}, {"y": feature}, spec)
    summary = refcoreml.inspection.inspect(spec)
    places = []
    while True:
        assert summary.problem.startswith("InvalidModelError: ")
        assert "uses blob 'nowhere'" in summary.problem
        places.append(summary.problem.count("models[0] 'model0'"))
        if not summary.models:
            break
        (summary,) = summary.models
    assert places == [7, 6, 5, 4, 3, 2, 1, 0]
    assert len(made) == 7


def test_models_in_models_are_prepared_once_for_inspection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each level prepared what lies within it again, so that deep pipelines took the square of their depth."""
    made = []
    make = pipeline_module.make_evaluator
    monkeypatch.setattr(pipeline_module, "make_evaluator", lambda *given: made.append(given) or make(*given))
    feature, spec = build.array(2, 3), affine("x", "y", 2, 1)
    for _ in range(7):
        spec = pipeline({"x": feature}, {"y": feature}, spec)
    summary = refcoreml.inspection.inspect(spec)
    depth = 0
    while summary.models:
        (summary,) = summary.models
        assert not summary.problem
        depth += 1
    assert depth == len(made) == 7
