"""`load` and `Model`: one sample, batches, traces, saving, precision, shapes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import refcoreml
from refcoreml import build
from refcoreml.evaluators import base
from refcoreml.execution.steps import Step
from refcoreml.kernels import threads
from refcoreml.spec import schema
from refcoreml.storage.arrays import write_npz
from refcoreml.storage.writing import write_file

RNG = np.random.default_rng(7)
W = RNG.standard_normal((5, 3)).astype(np.float32)
B = RNG.standard_normal(5).astype(np.float32)


def network(**options):
    net = build.Network({"x": (3,)}, ["y"], **options)
    net.add("innerProduct", name="dense", weights=W, bias=B, has_bias=True, input_channels=3, output_channels=5)
    net.add("softmax", outputs="y")
    return net


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


X = np.array([0.5, -1.5, 2.0])
#: exp, sum and quotient of five float32 numbers: the argument's error (4 terms of magnitude up to M) enters relatively.
TOLERANCE = (4 * float((np.abs(W) @ np.abs(X) + np.abs(B)).max()) * 2 + 8) * 2.0**-24


def test_predict_computes_the_network():
    y = network().model().predict({"x": X})["y"]
    assert y.dtype == np.float32
    assert y.shape == (5,)
    np.testing.assert_allclose(y, softmax(W.astype(float) @ X + B), rtol=0, atol=TOLERANCE)


def test_a_classifier_returns_label_and_probabilities():
    model = network(classes=["a", "b", "c", "d", "e"]).model()
    result = model.predict({"x": X})
    assert set(result) == {"y", "classLabel"}
    assert result["classLabel"] == max(result["y"], key=result["y"].get)
    assert all(type(value) is float for value in result["y"].values())
    assert model.kind == "neuralNetworkClassifier"


def test_a_regressor_returns_its_output():
    model = network(regressor=True).model()
    assert model.kind == "neuralNetworkRegressor"
    np.testing.assert_array_equal(model.predict({"x": X})["y"], network().model().predict({"x": X})["y"])


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("worth", [0.0, np.inf])
def test_a_batch_is_the_list_of_single_predictions(monkeypatch, count, worth):
    monkeypatch.setattr(base, "_WORTH_A_THREAD", worth)
    model = network().model()
    samples = [{"x": RNG.standard_normal(3)} for _ in range(count)]
    results = model.predict(samples)
    assert len(results) == count
    for sample, result in zip(samples, results, strict=True):
        np.testing.assert_array_equal(result["y"], model.predict(sample)["y"])


@pytest.mark.parametrize("worth", [0.0, np.inf])
def test_an_error_in_a_batch_reaches_the_caller(monkeypatch, worth):
    monkeypatch.setattr(base, "_WORTH_A_THREAD", worth)
    samples = [{"x": X}] * 5 + [{"x": np.zeros(4)}] + [{"x": X}] * 3
    with pytest.raises(refcoreml.InputError, match="input 'x'"):
        network().model().predict(samples)


def test_a_batch_uses_several_threads_where_that_is_worth_it(monkeypatch):
    monkeypatch.setattr(base, "_WORTH_A_THREAD", 0.0)
    shared = []
    monkeypatch.setattr(
        base, "for_each", lambda function, items: shared.extend(items) or threads.for_each(function, items)
    )
    network().model().predict([{"x": X}] * 6)
    assert shared == [2, 3, 4, 5]


@pytest.mark.parametrize("wrong", ["x", b"x", 3, None, {1.0}])
def test_predict_takes_a_dict_or_a_list_of_dicts(wrong):
    with pytest.raises(refcoreml.InputError, match="expected a dict or a list of dicts"):
        network().model().predict(wrong)


def test_trace_yields_every_layer_and_runs_it_when_asked(monkeypatch):
    model = network().model()
    layers = list(model.trace({"x": X}))
    assert [(layer.index, layer.name, layer.kind) for layer in layers] == [
        (0, "dense", "innerProduct"),
        (1, "softmax1", "softmax"),
    ]
    assert list(layers[0].inputs) == ["x"]
    assert layers[1].inputs["dense"] is layers[0].outputs["dense"]
    np.testing.assert_array_equal(layers[1].outputs["y"].reshape(-1), model.predict({"x": X})["y"])
    ran = []
    run = Step.run
    monkeypatch.setattr(Step, "run", lambda step, arguments: ran.append(step.name) or run(step, arguments))
    trace = model.trace({"x": X})
    assert ran == []
    next(trace)
    assert ran == ["dense"]


def test_observe_predicts_and_shows():
    seen = []
    model = network().model()
    result = model.observe({"x": X}, lambda step, inputs, outputs: seen.append(step.name))
    assert seen == ["dense", "softmax1"]
    np.testing.assert_array_equal(result["y"], model.predict({"x": X})["y"])


def test_double_precision_is_closer_to_the_formula():
    exact = softmax(W.astype(float) @ X + B.astype(float))
    double = build.Network({"x": build.array(3, data_type="DOUBLE")}, {"y": build.array(data_type="DOUBLE")})
    double.layers = network().layers
    y = double.model(precision="float64").predict({"x": X})["y"]
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, exact, rtol=0, atol=TOLERANCE * 2.0**-29)


def test_half_precision_rounds_the_weights():
    half = network().model(precision="float16")
    rounded = W.astype(np.float16).astype(np.float32) @ X.astype(np.float32) + B.astype(np.float16).astype(np.float32)
    dense = next(iter(half.trace({"x": X}))).outputs["dense"].reshape(-1)
    np.testing.assert_allclose(dense, rounded, rtol=2.0**-11, atol=2.0**-24)
    np.testing.assert_array_equal(dense, dense.astype(np.float16))


def test_an_unknown_precision_is_refused():
    with pytest.raises(refcoreml.UsageError, match="unknown precision 'float8', choose one of declared, float32"):
        network().model(precision="float8")


@pytest.mark.parametrize("asked", [np.float32, "fp32", "Float32", "flaot32"])
def test_a_precision_is_suggested(asked):
    with pytest.raises(refcoreml.UsageError, match=r"unknown precision .* Did you mean 'float32'\?$"):
        network().model(precision=asked)


def test_shapes_tells_every_blob():
    assert network().model().shapes() == {"x": (1, 1, 3, 1, 1), "dense": (1, 1, 5, 1, 1), "y": (1, 1, 5, 1, 1)}
    assert network().model().shapes({"x": (4, 2, 3, 1, 1)})["y"] == (4, 2, 5, 1, 1)


def test_saving_and_loading_keeps_every_prediction(tmp_path):
    model = network().model()
    for name in ("model.mlmodel", "model.mlpackage"):
        model.save(tmp_path / name)
        again = refcoreml.load(tmp_path / name)
        assert again.spec == model.spec
        np.testing.assert_array_equal(again.predict({"x": X})["y"], model.predict({"x": X})["y"])


def test_model_types_that_cannot_run_are_refused_at_load_but_can_be_read():
    spec = schema.Model(specificationVersion=1)
    spec.scaler.shiftValue.append(1.0)
    with pytest.raises(refcoreml.UnsupportedModelError, match="models of type scaler can be inspected, but not run"):
        refcoreml.load(spec)
    assert refcoreml.load(spec, prepare=False).kind == "scaler"


def test_without_prepare_a_bad_network_shows_at_the_first_prediction():
    net = network()
    net.layers[0].innerProduct.inputChannels = 4
    with pytest.raises(
        refcoreml.InvalidModelError, match="weights: holds 15 values, the declared shape 5 x 4 needs 20"
    ):
        net.model()
    model = refcoreml.load(net.spec(), prepare=False)
    with pytest.raises(refcoreml.InvalidModelError, match="dense"):
        model.predict({"x": X})


def test_the_callers_message_is_not_shared():
    spec = network().spec()
    model = refcoreml.load(spec)
    spec.neuralNetwork.layers[0].name = "changed"
    assert model.spec.neuralNetwork.layers[0].name == "dense"


def test_a_second_prediction_decodes_no_weight_again(monkeypatch):
    model = network().model()
    monkeypatch.setattr(
        refcoreml.neuralnetwork.registry, "decode_weights", lambda *_, **__: pytest.fail("decoded again")
    )
    model.predict({"x": X})


def test_the_text_form_names_features():
    assert (
        repr(network().model())
        == "<refcoreml.Model neuralNetwork (x: MultiArray (Float32 3)) -> (y: MultiArray (Float32))>"
    )


def test_a_model_can_be_sent_to_another_process():
    model = refcoreml.load(network().spec(), precision="float64", strict=False)
    expected = model.predict({"x": X})["y"]
    copy = pickle.loads(pickle.dumps(model))
    assert (copy.precision, copy.strict, copy.kind, copy.name) == ("float64", False, model.kind, model.name)
    assert copy.inputs == model.inputs
    assert copy.outputs == model.outputs
    np.testing.assert_array_equal(copy.predict({"x": X})["y"], expected)


@pytest.mark.parametrize("name", ["spec", "kind", "inputs", "outputs", "precision", "strict", "limits"])
def test_a_model_does_not_change(name):
    model = network().model()
    with pytest.raises(AttributeError):
        setattr(model, name, getattr(model, name))


def test_with_spec_keeps_source_settings_and_code(tmp_path):
    network().model().save(tmp_path / "one.mlpackage")
    limits = refcoreml.Limits(memory=1 << 28)
    model = refcoreml.load(tmp_path / "one.mlpackage", precision="float64", strict=False, limits=limits)
    spec = schema.Model.FromString(model.spec.SerializeToString())
    spec.neuralNetwork.layers[0].innerProduct.bias.floatValue[:] = [float(index) for index in range(5)]
    other = model.with_spec(spec)
    spec.neuralNetwork.layers[0].innerProduct.bias.floatValue[0] = 100.0  # it has a copy
    assert (other.name, other.precision, other.strict, other.limits) == (model.name, "float64", False, limits)
    z = W.astype(float) @ X + np.arange(5)
    np.testing.assert_allclose(other.predict({"x": X})["y"], softmax(z), rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(model.predict({"x": X})["y"], softmax(W.astype(float) @ X + B), rtol=0, atol=TOLERANCE)
    other.save(tmp_path / "other.mlpackage")
    again = refcoreml.load(tmp_path / "other.mlpackage", precision="float64")
    np.testing.assert_array_equal(again.predict({"x": X})["y"], other.predict({"x": X})["y"])


def test_with_precision_keeps_source_settings_and_code(tmp_path):
    network().model().save(tmp_path / "one.mlpackage")
    limits = refcoreml.Limits(memory=1 << 28)
    code = {"Mine": lambda x: x}
    model = refcoreml.load(tmp_path / "one.mlpackage", strict=False, limits=limits, custom_layers=code)
    other = model.with_precision("float64")
    assert (model.precision, other.precision) == ("float32", "float64")
    assert (other.name, other.strict, other.limits) == (model.name, False, limits)
    assert other.custom_code("layer")["Mine"] is code["Mine"]
    np.testing.assert_allclose(other.predict({"x": X})["y"], softmax(W.astype(float) @ X + B), rtol=0, atol=TOLERANCE)
    with pytest.raises(refcoreml.UsageError, match="float8"):
        model.with_precision("float8")


@pytest.mark.parametrize("spec", [None, "file.mlmodel", b"", schema.NeuralNetwork()])
def test_with_spec_refuses_what_is_no_model(spec):
    with pytest.raises(refcoreml.UsageError, match=r"spec: got .*, expected a message of type Model"):
        network().model().with_spec(spec)
    with pytest.raises(refcoreml.MalformedModelError, match="no specification version"):
        network().model().with_spec(schema.Model())


def test_check_inputs_returns_what_evaluators_compute_on():
    model = network().model()
    checked = model.check_inputs({"x": [1, 2, 3]})
    assert checked["x"].dtype == np.float32
    with pytest.raises(refcoreml.InputError, match="'x'"):
        model.check_inputs({"x": [1, 2]})


@pytest.mark.parametrize(
    "use",
    [
        refcoreml.load,
        refcoreml.inspect,
        lambda path: network().model().save(path),
        lambda path: network().model().check_save(path),
        lambda path: write_npz({"x": X}, path),
        lambda path: write_file(b"", path),
        lambda path: refcoreml.study(network().model(), [{"x": X}], directory=path),
    ],
)
def test_an_empty_path_is_not_the_current_folder(use, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(refcoreml.UsageError, match="empty"):
        use("")
    assert list(tmp_path.iterdir()) == []


def test_an_array_is_no_dict_of_inputs():
    with pytest.raises(refcoreml.InputError, match=r"inputs: got an array .*\(2 x 3\), expected a dict such as {'x': "):
        network().model().predict(np.ones((2, 3)))


def test_a_traced_layer_shows_shapes_and_no_numbers():
    first, _ = network().model().trace({"x": X})
    (given,), (made,) = first.inputs.values(), first.outputs.values()
    assert repr(first) == (
        f"<refcoreml.LayerTrace 0 'dense' innerProduct (x: float32 {given.shape}) -> ({', '.join(first.outputs)}:"
        f" float32 {made.shape})>"
    )
