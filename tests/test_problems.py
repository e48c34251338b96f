"""Problems of models as data: all of them are found, each once, and the first is what loading raises."""

from __future__ import annotations

import random

import numpy as np
import pytest
from google.protobuf.message import Message

from campaigns import fuzz_models, seeds
from campaigns.mutations import is_map, is_repeated
from refcoreml import build
from refcoreml.conformance.cases import find_cases, read_case
from refcoreml.demo import digits_model_path
from refcoreml.errors import (
    InvalidModelError,
    LimitError,
    MalformedModelError,
    ModelNotFoundError,
    RefCoreMLError,
    UnsupportedModelError,
    UsageError,
    within,
)
from refcoreml.execution.limits import Limits
from refcoreml.model import find_problems, load
from refcoreml.problems import RAISED, Collected, Problem
from refcoreml.spec import schema

pytestmark = pytest.mark.filterwarnings("ignore::refcoreml.errors.RefCoreMLWarning")


def places(problems):
    """(rule, place) of each problem."""
    return [(problem.rule, problem.place) for problem in problems]


# --- parts ------------------------------------------------------------------------------------------------------------


def test_a_problem_is_what_an_error_says():
    error = InvalidModelError("is 3, expected 2", where="layer 'a'", remedy="Write 2")
    error.rule = "layer.parameters"
    problem = Problem.of(error)
    assert problem == Problem("layer 'a'", "layer.parameters", "is 3, expected 2", "Write 2", InvalidModelError)
    assert str(problem) == str(error) == "layer 'a': is 3, expected 2. Write 2"


def test_by_default_the_first_error_is_raised_with_its_rule_and_place():
    error = InvalidModelError("wrong")
    with pytest.raises(InvalidModelError) as raised, RAISED.part("outer", "there"), RAISED.part("inner", "here"):
        raise error
    assert raised.value is error
    assert (error.rule, error.where) == ("inner", "here")
    assert RAISED.sound("here")


def test_a_collection_goes_on_after_each_part():
    problems, done = Collected(), []
    for name in "abc":
        with problems.part("rule", name):
            if name != "b":
                raise InvalidModelError(f"{name} is wrong")
            done.append(name)
    assert places(problems.found) == [("rule", "a"), ("rule", "c")]
    assert done == ["b"]
    assert [problems.sound(name) for name in "abc"] == [False, True, False]


def test_what_is_no_problem_of_the_model_is_raised():
    problems = Collected()
    for error in UsageError("no such precision"), KeyError("a defect"):
        with pytest.raises(type(error)), problems.part("rule"):
            raise error
    assert not problems.found


def test_what_rests_on_a_problem_is_left_out():
    problems, done = Collected(), []
    problems.need_sound()
    for wrong in "first", "second":
        with problems.part("rule"):
            problems.need_sound()
            done.append(wrong)
            raise InvalidModelError(wrong)
    assert [problem.message for problem in problems.found] == ["first"]
    assert done == ["first"]


def test_problems_inside_have_the_place_that_raised_ones_have():
    problems = Collected()
    inner = problems.inside("models[1]").inside("models[0]")
    with inner.part("rule"):
        raise InvalidModelError("wrong", where="layer")
    with pytest.raises(InvalidModelError) as raised, within("models[1]"), within("models[0]"):
        raise InvalidModelError("wrong", where="layer")
    assert problems.found[0].place == raised.value.where == "models[1], models[0], layer"


# --- all of them, each once -------------------------------------------------------------------------------------------


def sound_network():
    net = build.Network({"x": (3, 5, 7), "z": (3, 5, 7)}, ["y", "w"])
    net.add("activation", name="act", inputs="x", outputs="a", ReLU={})
    conv = {"kernel_size": [1, 1], "kernel_channels": 3, "output_channels": 4, "valid": {}}
    net.add("convolution", name="conv", inputs="a", outputs="y", weights=np.ones((4, 3, 1, 1)), **conv)
    net.add("reduce", name="sum", inputs="z", outputs="s", mode="SUM", axis="W")
    net.add("scale", name="twice", inputs="s", outputs="w", scale=np.array([2]), shape_scale=[1])
    return net.spec()


def test_a_sound_model_has_none():
    assert find_problems(sound_network()) == []
    assert find_problems(digits_model_path()) == []


def test_independent_problems_are_all_found_in_the_order_of_the_checks():
    spec = sound_network()
    network = spec.neuralNetwork
    spec.description.input[1].type.multiArrayType.dataType = 7
    spec.description.output.add(name="nothing").type.multiArrayType.dataType = schema.ArrayFeatureType.FLOAT32
    spec.description.output.add(name="text").type.stringType.SetInParent()
    del network.layers[1].convolution.weights.floatValue[0]
    network.layers[2].reduce.axis = 77
    network.layers[3].scale.shapeScale[:] = []
    network.layers.add(name="late", input=["missing"], output=["q"]).softmax.SetInParent()
    network.layers.add(name="bare", input=["x"], output=["r"])
    found = find_problems(spec)
    assert places(found) == [
        ("feature.type", "description of feature 'z'"),
        ("network.outputs", "output 'text', String"),
        ("layer.type", "neuralNetwork.layers[2] 'sum' (reduce)"),
        ("layer.type", "neuralNetwork.layers[5] 'bare'"),
        ("graph.names", "neuralNetwork.layers[4] 'late' (softmax)"),
        ("graph.outputs", "neuralNetwork"),
        ("layer.weights", "neuralNetwork.layers[1] 'conv' (convolution).weights"),
        ("layer.parameters", "neuralNetwork.layers[3] 'twice' (scale)"),
    ]
    assert all(problem.message and problem.fault is InvalidModelError for problem in found)


def test_the_first_shapes_that_do_not_fit_are_found_up_to_a_layer_with_a_problem():
    spec = sound_network()
    spec.neuralNetwork.layers[1].convolution.kernelChannels = 2  # its input has 3 channels
    spec.neuralNetwork.layers[1].convolution.weights.floatValue[8:] = []
    spec.neuralNetwork.layers[2].reduce.axis = 77
    assert [problem.rule for problem in find_problems(spec)] == ["layer.type"]  # rank-5 arrays may have any shape
    spec.neuralNetwork.arrayInputShapeMapping = schema.EXACT_ARRAY_MAPPING
    assert places(find_problems(spec)) == [
        ("layer.type", "neuralNetwork.layers[2] 'sum' (reduce)"),
        ("types", "neuralNetwork.layers[1] 'conv' (convolution)"),
    ]
    spec.neuralNetwork.layers[0].activation.Clear()
    assert "types" not in [problem.rule for problem in find_problems(spec)]


def test_layers_inside_of_branches_and_loops_are_checked_each_by_itself():
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("copy", name="start", inputs="x", outputs="y")
    spec = net.spec()
    loop = spec.neuralNetwork.layers.add(name="loop").loop
    loop.maxLoopIterations = 2
    body = loop.bodyNetwork.layers
    body.add(name="bad", input=["y"], output=["b"]).scale.SetInParent()
    body.add(name="good", input=["b"], output=["g"]).copy.SetInParent()
    body.add(name="untyped", input=["g"], output=["u"])
    spec.neuralNetwork.layers.add(name="break").loopBreak.SetInParent()
    inside = "neuralNetwork.layers[1].bodyNetwork.layers"
    assert places(find_problems(spec)) == [
        ("layer.type", f"{inside}[2] 'untyped'"),
        ("graph.loops", "neuralNetwork.layers[2] 'break' (loopBreak)"),
        ("layer.parameters", f"{inside}[0] 'bad' (scale)"),
    ]


def test_of_inputs_and_outputs_that_a_layer_does_not_have_nothing_else_is_said():
    spec = sound_network()
    spec.neuralNetwork.layers[0].input.append("nowhere")
    spec.neuralNetwork.layers[2].output.append("x")
    assert places(find_problems(spec)) == [
        ("graph.counts", "neuralNetwork.layers[0] 'act' (activation)"),
        ("graph.counts", "neuralNetwork.layers[2] 'sum' (reduce)"),
    ]


def test_layers_without_code_are_one_problem_and_are_not_prepared():
    spec = sound_network()
    for name in "Mine", "Yours":
        spec.neuralNetwork.layers.add(name=name, input=["x"], output=[name]).custom.className = name
    spec.neuralNetwork.layers[3].scale.shapeScale[:] = []
    found = find_problems(spec)
    assert [problem.rule for problem in found] == ["layer.code", "layer.parameters"]
    assert found[0].fault is UnsupportedModelError
    assert "'Yours'" in found[0].message
    assert "class Mine" in found[0].remedy


def test_classifiers():
    net = build.Network({"x": (6,)}, ["p"], classes=["a", "b", "c"])
    net.add("softmax", inputs="x", outputs="p")
    spec = net.spec()
    assert find_problems(spec) == []
    spec.neuralNetworkClassifier.stringClassLabels.vector.append("d")
    spec.neuralNetworkClassifier.labelProbabilityLayerName = "elsewhere"
    spec.description.predictedFeatureName = "nobody"
    assert [problem.rule for problem in find_problems(spec)] == ["classifier.outputs", "classifier.scores"]
    spec.neuralNetworkClassifier.stringClassLabels.vector[:] = []
    assert [problem.rule for problem in find_problems(spec)] == ["classifier.labels", "classifier.scores"]


def test_linear_regressors():
    spec = schema.Model(specificationVersion=1)
    spec.description.input.add(name="a").type.stringType.SetInParent()
    spec.description.output.add(name="y").type.int64Type.SetInParent()
    spec.description.predictedFeatureName = "y"
    spec.glmRegressor.postEvaluationTransform = 9
    assert [problem.rule for problem in find_problems(spec)] == ["glm.weights", "glm.link", "glm.inputs", "glm.output"]


def test_custom_models():
    spec = schema.Model(specificationVersion=2)
    spec.description.input.add(name="a")
    spec.customModel.className = "Nobodys"
    spec.customModel.parameters["empty"].SetInParent()
    assert [problem.rule for problem in find_problems(spec)] == ["feature.type", "custom.parameters"]
    spec.description.input[0].type.doubleType.SetInParent()
    spec.customModel.parameters["empty"].intValue = 3
    assert [problem.rule for problem in find_problems(spec)] == ["custom.class"]


def test_models_of_a_pipeline():
    spec = schema.Model(specificationVersion=3)
    spec.description.input.add(name="x").type.multiArrayType.dataType = schema.ArrayFeatureType.FLOAT32
    spec.description.output.add(name="elsewhere").type.multiArrayType.dataType = schema.ArrayFeatureType.FLOAT32
    models = spec.pipeline.models
    for _ in range(2):
        models.add().CopyFrom(sound_network())
    models.add(specificationVersion=2).treeEnsembleRegressor.SetInParent()
    models.add(specificationVersion=2)
    models[0].neuralNetwork.layers[3].scale.shapeScale[:] = []
    models[0].neuralNetwork.layers[1].convolution.outputChannels = 0
    models[1].description.output[0].type.ClearField("Type")
    first, second = "pipeline.models[0] 'model0', ", "pipeline.models[1] 'model1', "
    assert places(find_problems(spec)) == [
        ("model.type", "pipeline.models[3] 'model3'"),
        ("model.type", "pipeline"),
        ("pipeline.links", first.removesuffix(", ")),
        ("layer.parameters", f"{first}neuralNetwork.layers[1] 'conv' (convolution)"),
        ("layer.parameters", f"{first}neuralNetwork.layers[3] 'twice' (scale)"),
        ("feature.type", f"{second}description of feature 'y'"),
        ("pipeline.links", second.removesuffix(", ")),
        ("pipeline.links", "pipeline"),
    ]


def sound_program() -> schema.Model:
    program = build.Program({"x": ("fp32", (2, 3)), "pred": ("fp32", (1,))}, opset="CoreML8")
    positive = program.add("relu", x=program["x"], name="positive")
    dense = program.add("linear", x=positive, weight=np.ones((5, 3), np.float32), name="dense")
    shaped = program.add("reshape", x=dense, shape=[5, 2], name="shaped")
    sizes = program.add("greater", x=program["pred"], y=np.float32(0), name="sizes")
    chosen = program.add(
        "cond",
        pred=program.add("squeeze", x=sizes, axes=[0], name="flag"),
        blocks=[lambda: program.add("square", x=shaped), lambda: program.add("sign", x=shaped)],
        name="chosen",
    )
    program.output(chosen, program.add("softmax", x=program["x"], axis=-1, name="soft"))
    return program.spec()


def operations(spec: schema.Model):
    """The operations of a program by the name of their first result."""
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    return {operation.outputs[0].name: operation for operation in block.operations}


MAIN = "mlProgram.functions['main']"


def test_operations_of_a_program_are_checked_each_by_itself():
    spec = sound_program()
    assert find_problems(spec) == []
    known = operations(spec)
    known["positive"].inputs["x"].arguments[0].name = "nowhere"
    known["flag_axes"].attributes["val"].immediateValue.tensor.ints.values[:] = []
    known["soft"].inputs["x"].arguments.add(name="pred")
    known["sizes"].outputs[0].type.tensorType.dimensions[0].constant.size = 4
    spec.description.output[1].type.stringType.SetInParent()
    # What needs "positive", "flag_axes" or "flag", up to the output "chosen", is not said to be missing.
    assert places(find_problems(spec)) == [
        ("operation.values", f"{MAIN}.operations[0] 'positive' (relu).inputs['x']"),
        ("operation.values", f"{MAIN}.operations[7] 'flag_axes' (const)"),
        ("program.outputs", "output 'soft', String"),
        ("operation.parameters", f"{MAIN}.operations[11] 'soft' (softmax)"),
        ("types", f"{MAIN}.operations[6] 'sizes' (greater)"),
    ]


def test_constants_that_cannot_be_made_are_one_problem():
    """Types, which rest on them, are not looked at."""
    program = build.Program({"x": ("fp16", (4,))}, opset="CoreML6")
    mask, shape = np.array([0b11], np.uint8), np.array([5], np.uint32)
    numbers = np.array([1, 2], np.float16)
    dense = program.add("constexpr_sparse_to_dense", nonzero_data=numbers, mask=mask, shape=shape, name="dense")
    program.output(dense, program.add("relu", x=program["x"]))
    spec = program.spec()
    assert find_problems(spec) == []
    operations(spec)["dense"].attributes["mask"].immediateValue.tensor.bytes.values = bytes([0b111])
    (found,) = find_problems(spec)
    place = f"{MAIN}.operations[3] 'dense' (constexpr_sparse_to_dense)"
    assert (found.rule, found.place, found.fault) == ("operation.constants", place, InvalidModelError)


def test_operations_that_cannot_be_run_are_one_problem():
    spec = sound_program()
    known = operations(spec)
    known["soft"].type = known["dense"].type = "frobnicate"
    spec.description.output[0].name = "other"
    found = find_problems(spec)
    assert [problem.rule for problem in found] == ["operation.code"]
    assert "frobnicate (2 x)" in found[0].message


def test_of_limits_only_the_first_that_is_exceeded_is_a_problem():
    spec = sound_network()
    for index in range(3):
        spec.neuralNetwork.layers.add().CopyFrom(spec.neuralNetwork.layers[1])
        spec.neuralNetwork.layers[-1].output[0] = f"again{index}"
    found = find_problems(spec, limits=Limits(memory=60))
    assert [(problem.rule, problem.fault) for problem in found] == [("limits", LimitError)]
    assert "layers[4]" in found[0].place


def test_files(tmp_path):
    assert [problem.fault for problem in find_problems(tmp_path / "none.mlmodel")] == [ModelNotFoundError]
    (found,) = find_problems(b"no model")
    assert (found.rule, found.fault) == ("file", MalformedModelError)
    with pytest.raises(UsageError, match="cannot load a model from"):
        find_problems(3.5)
    with pytest.raises(UsageError, match="precision"):
        find_problems(sound_network(), precision="float8")


# --- the first is what loading raises ---------------------------------------------------------------------------------


def raised_by_loading(source) -> Problem | None:
    try:
        load(source)
    except RefCoreMLError as error:
        return Problem.of(error)
    return None


def agrees(source) -> list[Problem]:
    """The problems of a model, which loading must agree with."""
    found, raised = find_problems(source), raised_by_loading(source)
    assert (found[0] if found else None) == raised
    assert all(problem.rule and problem.message for problem in found)
    assert len(set(found)) == len(found)
    return found


def test_cases_that_must_be_refused():
    cases = [read_case(folder) for folder in find_cases(seeds.CASES)]
    found = [agrees(case.model) for case in cases if case.rule]
    assert sum(map(bool, found)) > 200


@pytest.mark.parametrize("part", range(4))
def test_mutated_models(part, collected):
    refused, several = 0, 0
    for index in range(250):
        model, _ = fuzz_models.make_model(collected, f"problems{part}", index)
        found = agrees(model)
        refused += bool(found)
        several += len(found) > 1
    assert refused > 100
    assert several > 25


def messages(message):
    """A message and all inside of it, those in maps included."""
    yield message
    for item, value in message.ListFields():
        if item.message_type is not None:
            several = value.values() if is_map(item) else value if is_repeated(item) else [value]
            for inner in several:
                if isinstance(inner, Message):
                    yield from messages(inner)


def mutate(spec: schema.Model, rng: random.Random) -> None:
    """Change one number, text, list or message."""
    message = rng.choice(list(messages(spec)))
    fields = [item for item, _ in message.ListFields() if not is_map(item)]
    if not fields:
        return
    item = rng.choice(fields)
    value = getattr(message, item.name)
    if is_repeated(item):
        del value[rng.randrange(len(value))]
    elif item.message_type is not None:
        message.ClearField(item.name)
    elif isinstance(value, str):
        setattr(message, item.name, rng.choice(["x", "dense", "nowhere", "relu", "CoreML5", ""]))
    elif isinstance(value, int):
        setattr(message, item.name, rng.choice([0, 1, 2, 3, 5, 11]))


def test_mutated_programs():
    several = refused = 0
    for index in range(400):
        rng, spec = random.Random(f"program {index}"), sound_program()
        for _ in range(rng.choice([1, 2, 3])):
            mutate(spec, rng)
        found = agrees(spec)
        refused += bool(found)
        several += len(found) > 1
    assert refused > 200
    assert several > 20


@pytest.fixture(scope="module")
def collected():
    return seeds.collect()
