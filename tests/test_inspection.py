"""`inspect` of models that nobody would write: it describes what it can, and raises nothing of its own."""

import re

import pytest

import refcoreml
from refcoreml import build, demo
from refcoreml.errors import InvalidModelError
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


# --- up to the first conflict -----------------------------------------------------------------------------------------


def relus(count, **more):
    """A network of ReLUs on 6 numbers, to be continued."""
    net = build.Network({"x": (6,)}, ["y"], exact=True, **more)
    for index in range(count):
        net.add("activation", name=f"relu{index}", outputs=f"r{index}", ReLU={})
    return net


def summary(net):
    return refcoreml.inspect(net.spec())


def test_shapes_are_shown_up_to_the_first_that_does_not_fit():
    net = relus(3)
    net.add("reshapeStatic", name="bad", outputs="b", targetShape=[5, 7])
    net.add("activation", name="after", outputs="y", ReLU={})
    found = summary(net)
    assert [layer.output_shapes for layer in found.layers] == [[(6,)]] * 3 + [[None]] * 2
    assert [bool(layer.problem) for layer in found.layers] == [False, False, False, True, False]
    assert "6" in found.layers[3].problem
    assert "layers[3] 'bad'" in found.problem
    with pytest.raises(InvalidModelError) as error:
        refcoreml.load(net.spec())
    assert error.value.shapes == {"x": (6,), "r0": (6,), "r1": (6,), "r2": (6,)}


@pytest.mark.parametrize("kind", ["parameters", "code", "weights", "undefined", "name"])
def test_shapes_are_shown_up_to_a_layer_that_cannot_be_prepared(kind):
    net = relus(2)
    if kind == "parameters":
        net.add("transpose", name="bad", outputs="b", axes=[3, 3])
    elif kind == "code":
        net.add("custom", name="bad", outputs="b", class_name="Absent")
    elif kind == "weights":
        net.add("innerProduct", name="bad", outputs="b", inputChannels=6, outputChannels=4, weights=[1.0, 2.0])
    elif kind == "undefined":
        net.add("unary", name="bad", outputs="b", type=99)
    else:
        net.add("activation", name="bad", inputs="nobody", outputs="b", ReLU={})
    net.add("activation", name="after", outputs="y", ReLU={})
    found = summary(net)
    assert [layer.output_shapes for layer in found.layers] == [[(6,)], [(6,)], [None], [None]]
    assert [bool(layer.problem) for layer in found.layers] == [False, False, True, False]
    assert found.problem


def test_of_several_conflicts_the_first_is_marked():
    """Code is looked for before parameters are checked, and those before shapes are."""
    net = relus(1)
    net.add("reshapeStatic", name="shapes", outputs="a", targetShape=[5])
    net.add("transpose", name="parameters", outputs="b", axes=[3, 3])
    net.add("custom", name="code", outputs="y", class_name="Absent")
    found = summary(net)
    assert [layer.output_shapes[0] for layer in found.layers] == [(6,), None, None, None]
    assert [layer.name for layer in found.layers if layer.problem] == ["shapes"]
    assert "Absent" in found.problem


def test_default_shapes_that_stand_for_sequences_are_no_problem_of_the_model(run, tmp_path):
    """In the rank-5 world a slice of the sequence beyond its first element, which is all that is declared."""
    net = build.Network({"x": (6,)}, ["y"])
    net.add("activation", name="first", outputs="r", ReLU={})
    net.add("permute", name="swap", outputs="p", axis=[1, 0, 2, 3])
    net.add("slice", name="cut", outputs="y", startIndex=8, endIndex=9, stride=1, axis="CHANNEL_AXIS")
    found = summary(net)
    assert found.problem == ""
    assert found.layers[0].output_shapes == [(1, 1, 6, 1, 1)]
    assert found.layers[2].problem.startswith("with the default shapes of the inputs: ")
    (tmp_path / "net.mlmodel").write_bytes(net.spec().SerializeToString())
    code, out, _ = run("inspect", tmp_path / "net.mlmodel")
    assert code == 0
    assert "problem" in out
    assert "1x1x6x1x1" in out
    assert "cannot run" not in out


def test_the_command_marks_the_conflict(run, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    net = relus(2)
    net.add("reshapeStatic", name="bad", outputs="y", targetShape=[5, 7])
    (tmp_path / "net.mlmodel").write_bytes(net.spec().SerializeToString())
    code, out, _ = run("inspect", tmp_path / "net.mlmodel")
    assert code == 0
    (row,) = [line for line in out.splitlines() if line.startswith("2 ")]
    assert "bad" in row
    assert "?" in row
    assert "6" in row.split("?")[1]


def test_models_in_a_pipeline_name_their_blobs():
    first, second = relus(2), relus(1)
    first.add("activation", outputs="y", ReLU={})
    second.add("reshapeStatic", name="bad", outputs="y", targetShape=[5, 7])
    spec = schema.Model(specificationVersion=4)
    spec.description.input.add().CopyFrom(first.spec().description.input[0])
    spec.description.output.add(name="y").type.CopyFrom(build.array())
    spec.pipeline.models.extend([first.spec(), second.spec()])
    with pytest.raises(InvalidModelError) as error:
        refcoreml.load(spec)
    assert error.value.shapes == {"model1/x": (6,), "model1/r0": (6,)}
    assert [layer.output_shapes[0] for layer in refcoreml.inspect(spec).models[1].layers] == [(6,), None]


def test_labels_of_a_classifier_are_shown(run):
    net = build.Network({"x": (3,)}, ["y"], classes=["cat", "\x1bdog", "owl"])
    net.add("softmax", inputs="x", outputs="y")
    summary = refcoreml.inspect(net.spec())
    assert summary.labels == ["cat", "\x1bdog", "owl"]
    assert refcoreml.inspect(demo.digits_model_path()).labels == list(range(10))
    code, printed, _ = run("inspect", demo.digits_model_path())
    assert code == 0
    assert re.search(r"^labels +10: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9$", printed, re.MULTILINE)


TYPES = [field.name for field in schema.Model.DESCRIPTOR.oneofs_by_name["Type"].fields]


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "mlProgram"])  # which computes its labels
def test_labels_are_those_that_a_type_can_have(kind):
    spec = schema.Model(specificationVersion=1)
    message = getattr(spec, kind)
    message.SetInParent()
    assert refcoreml.inspect(spec).labels == []
    for name, labels in {"stringClassLabels": ["cat", "dog"], "int64ClassLabels": [7, -2]}.items():
        if name in message.DESCRIPTOR.fields_by_name:
            getattr(message, name).vector.extend(labels)
            assert refcoreml.inspect(spec).labels == labels


def test_other_models_have_no_labels():
    net = build.Network({"x": (3,)}, ["y"])
    net.add("softmax", inputs="x", outputs="y")
    assert refcoreml.inspect(net.spec()).labels == []
