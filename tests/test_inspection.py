"""`inspect` of models that nobody would write: it describes what it can, and raises nothing of its own."""

import pytest

import refcoreml
from refcoreml import build
from refcoreml.spec import schema


@pytest.mark.parametrize("version", [0, 11, 2**31 - 1, -1])
def test_a_model_in_a_pipeline_may_have_any_version(version):
    spec = schema.Model(specificationVersion=3)
    spec.pipeline.models.add(specificationVersion=version).identity.SetInParent()
    (inner,) = refcoreml.inspect(refcoreml.load(spec, prepare=False)).models
    assert (inner.specification_version, inner.runs_on) == (version, "no known system")


def test_a_model_in_a_pipeline_may_have_no_type():
    spec = schema.Model(specificationVersion=3)
    spec.pipeline.models.add()
    (inner,) = refcoreml.inspect(refcoreml.load(spec, prepare=False)).models
    assert inner.kind == "None"
    assert inner.problem


def test_weights_are_summarized_at_any_depth_beside_parameters_of_custom_layers():
    net = build.Network({"x": (1,)}, ["y"], exact=True)
    net.add("copy", inputs="x", outputs="y")
    inner = schema.NeuralNetworkLayer(name="c", input=["x"], output=["z"])
    build.fill(inner.custom, {"class_name": "Absent", "weights": [{"float_value": [1, 2]}, {}]}, "custom")
    inner.custom.parameters["factor"].doubleValue = 0.5
    layer = net.spec().neuralNetwork.layers[0]
    layer.branch.ifBranch.layers.add().CopyFrom(inner)
    spec = net.spec()
    spec.neuralNetwork.layers.add().CopyFrom(layer)
    summary = refcoreml.inspect(refcoreml.load(spec, prepare=False))
    (found,) = summary.layers[1].weights
    assert (found.field, found.kind, found.count) == ("ifBranch.layers[0].custom.weights[0]", "float32", 2)
