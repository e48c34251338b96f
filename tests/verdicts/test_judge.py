"""Verdicts on recorded outputs: what is explained, what is refused, what shows nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from refcoreml import build
from refcoreml.errors import InputError, UnsupportedModelError, UsageError
from refcoreml.judge import likely_bounds
from refcoreml.oracle import oracle
from refcoreml.spec import schema
from refcoreml.verdicts import FP16, FP32, NOT_EXPLAINED, SUSPICIOUS, UNDETERMINED, judge

RNG = np.random.default_rng(7)
X = {"x": RNG.normal(size=(3, 13, 11)).astype(np.float32)}
XP = {"x": RNG.normal(size=(5, 40)).astype(np.float16)}


def network(fault=""):
    """Three convolutions with ReLUs, and dense layers; weights 3 % off, a pad on the other side, another activation."""
    rng = np.random.default_rng(1)
    net = build.Network({"x": (3, 13, 11)}, ["y"])
    before, channels = "x", 3
    for index, made in enumerate((5, 6, 7)):
        weights = (rng.normal(size=(made, channels, 3, 3)) * (2 / (9 * channels)) ** 0.5).astype(np.float32)
        if fault == "weight" and index == 1:
            weights[2] *= np.float32(1.03)
        border = {"startEdgeSize": 1, "endEdgeSize": 1}
        if fault == "pad" and index == 1:
            border = {"startEdgeSize": 2, "endEdgeSize": 0}
        valid = {"paddingAmounts": {"borderAmounts": [border, {"startEdgeSize": 1, "endEdgeSize": 1}]}}
        net.add(
            "convolution",
            name=f"conv{index}",
            inputs=[before],
            outputs=f"c{index}",
            weights=weights,
            bias=rng.normal(size=made).astype(np.float32),
            valid=valid,
            hasBias=True,
            kernelSize=(3, 3),
            outputChannels=made,
            kernelChannels=channels,
        )
        kind = {"leakyReLU": {"alpha": 0.01}} if fault == "activation" and index == 1 else {"ReLU": {}}
        net.add("activation", name=f"relu{index}", inputs=[f"c{index}"], outputs=f"r{index}", **kind)
        before, channels = f"r{index}", made
    net.add("pooling", name="mean", inputs=[before], outputs="m", type="AVERAGE", globalPooling=True, valid={})
    dense = (rng.normal(size=(4, 7)) * 7**-0.5).astype(np.float32)
    net.add("innerProduct", name="dense", inputs=["m"], outputs="y", weights=dense, input_channels=7, output_channels=4)
    return net.model()


def program(dtype="fp16", fault=""):
    """Three times a linear layer, a layer norm and gelu, then scores."""
    rng = np.random.default_rng(1)
    kind = np.float16 if dtype == "fp16" else np.float32
    made = build.Program({"x": (dtype, (5, 40))}, opset="CoreML7")
    y = made["x"]
    for index in range(3):
        weight = (rng.normal(size=(40, 40)) * 40**-0.5).astype(kind)
        if fault == "weight" and index == 1:
            weight[3] *= kind(1.03)
        y = made.add("linear", x=y, weight=weight, name=f"linear{index}")
        epsilon = kind(0.1 if fault == "epsilon" and index == 1 else 1e-5)
        y = made.add("layer_norm", x=y, axes=[-1], epsilon=epsilon, name=f"norm{index}")
        y = made.add("gelu", x=y, mode="EXACT", name=f"gelu{index}")
    made.output(made.add("linear", x=y, weight=(rng.normal(size=(7, 40)) * 0.2).astype(kind), name="y"))
    return made.model()


def values_of(model, inputs):
    """All values of a run."""
    found = {}
    for event in model.trace(inputs):
        found.update({name: np.asarray(value) for name, value in event.outputs.items()})
    return found


def recorded(model, inputs, precision):
    """(outputs, values inside) of a device of a precision."""
    found = values_of(model.with_precision(precision), inputs)
    outputs = {feature.name: found.pop(feature.name) for feature in model.outputs}
    return outputs, found


# ---- What is explained ----


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    ("made", "inputs", "precision", "answer"),
    [
        (network, X, "float32", FP32),
        (network, X, "float16", FP16),
        (program, XP, "float32", FP32),
        (program, XP, "declared", FP16),
        (lambda: program("fp32"), XP, "declared", FP32),
    ],
)
def test_honest_recordings_are_within_the_rounding_of_their_precision(made, inputs, precision, answer, inside):
    model = made()
    outputs, inner = recorded(model, inputs, precision)
    verdict = judge(model, inputs, outputs, intermediates=inner if inside else None)
    assert verdict.answer == answer
    assert verdict.explained
    assert verdict.operation == ""
    half = "declared" if made is program else "fp16/acc32"
    assert verdict.profile == ("fp32" if answer == FP32 else half)
    assert [each.name for each in verdict.values] == [*(inner if inside else {}), "y"]
    assert all(each.compared >= 0.75 * each.size and each.outside == 0 for each in verdict.values)


def test_a_program_of_single_precision_runs_in_half_on_devices():
    half, single = program("fp16"), program("fp32")
    outputs, inner = recorded(half, XP, "declared")
    verdict = judge(single, XP, outputs, intermediates=inner)
    assert verdict.answer == FP16


def test_what_is_recorded_in_half_precision_files_is_compared():
    outputs, inner = recorded(network(), X, "float16")
    inner = {name: value.astype(np.float16) for name, value in inner.items()}
    assert judge(network(), X, {"y": outputs["y"].astype(np.float16)}, intermediates=inner).answer == FP16


def test_indices_are_not_rounded():
    """In networks indices are floats, which end at another row if they are off by anything."""
    rng = np.random.default_rng(8)
    net = build.Network({"i": (6, 1)}, ["y"], exact=True)
    table, weights = (rng.normal(size=shape).astype(np.float32) for shape in ((50, 9), (4, 9)))
    net.add("embeddingND", inputs=["i"], outputs="e", weights=table, vocab_size=50, embedding_size=9)
    net.add("innerProduct", inputs=["e"], outputs="y", weights=weights, input_channels=9, output_channels=4)
    model, x = net.model(), {"i": np.array([[3], [49], [0], [17], [17], [32]], np.float32)}
    verdict = judge(model, x, model.with_precision("float16").predict(x))
    assert verdict.answer == FP16
    assert verdict.values[0].width < 0.02


def test_few_values_in_half_precision_are_named():
    outputs, inner = recorded(network(), X, "float32")
    verdict = judge(network(), X, outputs, intermediates={**inner, "c1": inner["c1"] * np.float32(1 + 2e-4)})
    assert verdict.answer == FP16
    assert "all but 'c1', 'r1' are within rounding of fp32" in verdict.reason


# ---- What is refused ----


FAULTS = [
    (network, X, "weight", "conv1"),
    (network, X, "pad", "conv1"),
    (network, X, "activation", "relu1"),
    (program, XP, "weight", "linear1"),
    (program, XP, "epsilon", "norm1"),
]


@pytest.mark.parametrize("precision", ["float32", "half"])
@pytest.mark.parametrize(("made", "inputs", "fault", "operation"), FAULTS)
def test_faults_of_a_device_are_refused_and_the_operation_named(made, inputs, fault, operation, precision):
    model, device = made(), made(fault=fault)
    narrow = "declared" if model.kind == "mlProgram" else "float16"
    outputs, inner = recorded(device, inputs, narrow if precision == "half" else precision)
    verdict = judge(model, inputs, outputs, intermediates=inner)
    assert verdict.answer in (NOT_EXPLAINED, SUSPICIOUS)
    assert not verdict.explained
    assert verdict.operation == operation
    assert verdict.segment == (operation,)
    # What follows is judged from what was recorded, so that it is right.
    assert [each.name for each in verdict.values if each.refused] == [first_of(verdict)]


def first_of(verdict):
    return next(each.name for each in verdict.values if each.refused)


def test_without_intermediates_no_operation_is_named():
    """In half precision rounding explains as much in the output."""
    outputs, _ = recorded(network("weight"), X, "float32")
    verdict = judge(network(), X, outputs, profile="fp32")
    assert verdict.answer in (NOT_EXPLAINED, SUSPICIOUS)
    assert verdict.operation == ""
    assert judge(network(), X, outputs).answer == FP16


def test_a_fault_inside_counts_even_if_the_output_is_right():
    """The device's own output is right, as if the value inside had been recorded from another run."""
    outputs, inner = recorded(network(), X, "float32")
    inner = {"c1": inner["c1"] + np.float32(0.5)}
    verdict = judge(network(), X, outputs, intermediates=inner)
    assert not verdict.explained
    assert verdict.values[0].refused
    assert verdict.segment == ("conv0", "relu0", "conv1")
    assert verdict.operation == "conv1"


def test_a_value_that_agrees_explains_nothing_of_later_ones():
    outputs, inner = recorded(network("weight"), X, "float32")
    verdict = judge(network(), X, {**outputs, "r0": inner["r0"]}, profile="fp32")
    assert verdict.answer in (NOT_EXPLAINED, SUSPICIOUS)
    assert verdict.values[0].explained
    assert verdict.segment[0] == "conv1"


def test_nan_of_a_device_is_refused():
    outputs, _ = recorded(network(), X, "float32")
    outputs["y"].reshape(-1)[2] = np.nan
    verdict = judge(network(), X, outputs)
    assert verdict.answer == NOT_EXPLAINED
    assert verdict.values[0].outside == 1


def logarithm():
    """A model, with an input of which it gives NaN in one place, and that."""
    net = build.Network({"x": (10,)}, ["y"], exact=True)
    net.add("unary", inputs=["x"], outputs="y", type="LOG")
    x = np.linspace(1, 3, 10).astype(np.float32)
    x[3] = -1
    return net.model(), {"x": x}


def test_a_number_is_refused_where_the_model_gives_nan():
    model, x = logarithm()
    outputs, _ = recorded(model, x, "float32")
    assert judge(model, x, outputs).answer == FP32
    outputs["y"][3] = 1.0
    verdict = judge(model, x, outputs)
    assert verdict.answer == NOT_EXPLAINED
    assert verdict.values[0].outside == 1
    assert verdict.values[0].place == (3,)
    assert "is 1, expected nan" in verdict.reason


def test_who_does_not_overflow_has_no_nan_from_that():
    """Infinity less infinity in half precision, which single precision does not see."""
    net = build.Network({"x": (9,)}, ["y"], exact=True)
    net.add("unary", inputs=["x"], outputs="a", type="EXP")
    net.add("unary", inputs=["x"], outputs="b", type="EXP", scale=0.75)
    net.add("subtractBroadcastable", inputs=["a", "b"], outputs="y")
    x = np.linspace(0.5, 2, 9).astype(np.float32)
    x[4] = 20
    model, given = net.model(), {"x": x}
    outputs, _ = recorded(model, given, "float32")
    half, _ = recorded(model, given, "float16")
    assert np.isnan(half["y"][4])
    assert judge(model, given, half).answer == FP16
    half["y"][4] = outputs["y"][4]
    assert judge(model, given, half).answer == FP16


def test_outside_of_the_likely_bound_and_inside_of_the_proven_one_is_suspicious():
    """A shallow sum, whose proven bound is a few times the likely one."""
    rng = np.random.default_rng(0)
    net = build.Network({"x": (3, 600)}, ["y"], exact=True)
    weights = rng.normal(size=(4, 600)).astype(np.float32)
    net.add("innerProduct", inputs=["x"], outputs="y", weights=weights, input_channels=600, output_channels=4)
    model, x = net.model(), {"x": rng.normal(size=(3, 600)).astype(np.float32)}
    likely, proven = likely_bounds(model, x)["y"], oracle(model, x, "fp32")["y"]
    between = likely.radius.max() * 1.5
    assert between < proven.bound.min()
    for off, answer in ((between, SUSPICIOUS), (2 * proven.bound.max(), NOT_EXPLAINED)):
        verdict = judge(model, x, {"y": likely.value + off}, profile="fp32")
        assert verdict.answer == answer
        assert not verdict.explained
    unproven = judge(model, x, {"y": likely.value + between}, profile="fp32", proven=False)
    assert unproven.answer == NOT_EXPLAINED


# ---- What shows nothing ----


def test_a_bound_as_large_as_the_output_is_undetermined():
    """Differences of nearly equal numbers, in which half precision has no digit left."""
    net = build.Network({"x": (300,)}, ["y"], exact=True)
    net.add("unary", inputs=["x"], outputs="e", type="EXP")
    net.add("unary", inputs=["e"], outputs="l", type="LOG")
    net.add("subtractBroadcastable", inputs=["l", "x"], outputs="y")
    model, x = net.model(), {"x": RNG.uniform(1, 2, 300).astype(np.float32)}
    verdict = judge(model, x, model.predict(x))
    assert verdict.answer == UNDETERMINED
    assert "rounding may move" in verdict.reason
    assert not verdict.explained


def nearly_one():
    """(model, inputs): three times e^x - 1 of small x, of which half precision leaves two bits or three."""
    net = build.Network({"x": (300,)}, ["y"], exact=True)
    net.add("unary", inputs=["x"], outputs="e", type="EXP")
    net.add("activation", inputs=["e"], outputs="d", linear={"alpha": 1.0, "beta": -1.0})
    net.add("activation", inputs=["d"], outputs="y", linear={"alpha": 3.0, "beta": 0.0})
    return net.model(), {"x": np.random.default_rng(3).uniform(0.005, 0.01, 300).astype(np.float32)}


def test_a_bound_of_more_than_an_eighth_of_the_numbers_shows_nothing_in_half_precision():
    model, x = nearly_one()
    bound = likely_bounds(model, x, "fp16/acc32")["y"]
    size = np.sqrt(np.mean(bound.value**2))
    assert size / 8 < np.median(bound.radius) < size
    verdict = judge(model, x, model.with_precision("float16").predict(x))
    assert verdict.answer == UNDETERMINED
    assert "more than 0.12" in verdict.reason


def test_a_value_inside_that_shows_nothing_is_not_begun_again_from():
    """Else what follows from it would be judged sharply, and a fault before it hidden."""
    model, x = nearly_one()
    outputs, inner = recorded(model, x, "float16")
    verdict = judge(model, x, outputs, intermediates={"d": inner["d"]})
    assert [(each.name, each.answer) for each in verdict.values] == [("d", UNDETERMINED), ("y", UNDETERMINED)]
    assert len(verdict.values[-1].segment) == 3


def test_who_keeps_more_than_half_precision_inside_does_not_overflow():
    """The square of 300 is beyond half precision; its root is not, and a device may never have stored the square."""
    net = build.Network({"x": (7,)}, ["y"], exact=True)
    net.add("unary", inputs=["x"], outputs="s", type="POWER", alpha=2.0)
    net.add("unary", inputs=["s"], outputs="y", type="SQRT")
    model, x = net.model(), {"x": np.linspace(300, 400, 7).astype(np.float32)}
    assert np.isinf(likely_bounds(model, x, "fp16/acc32")["y"].value).all()
    assert judge(model, x, {"y": x["x"].astype(np.float16) + np.float16(0.25)}).answer == UNDETERMINED


def test_a_proven_bound_larger_than_the_numbers_makes_nothing_suspicious():
    """Through twelve layers proven bounds grow by the sum of magnitudes, and explain anything at last."""
    rng, net = np.random.default_rng(4), build.Network({"x": (60,)}, ["y"], exact=True)
    for index in range(12):
        weights = (rng.normal(size=(60, 60)) / 60**0.5).astype(np.float32)
        before, after = "x" if index == 0 else f"h{index}", "y" if index == 11 else f"h{index + 1}"
        net.add("innerProduct", inputs=[before], outputs=after, weights=weights, input_channels=60, output_channels=60)
    model, x = net.model(), {"x": rng.normal(size=60).astype(np.float32)}
    likely, proven = likely_bounds(model, x)["y"], oracle(model, x, "fp32")["y"]
    off = 3 * likely.radius.max()
    assert np.abs(likely.value).max() < proven.bound.min()
    assert off < proven.bound.min()
    assert judge(model, x, {"y": likely.value + off}, profile="fp32").answer == NOT_EXPLAINED


def test_each_of_several_values_has_its_part_of_the_probability():
    outputs, _ = recorded(network(), X, "float32")
    verdict = judge(network(), [X] * 3, [outputs] * 3, profile="fp32")
    bound = likely_bounds(network(), X, "fp32", probability=1e-4 / 3)["y"]
    assert [each.bound for each in verdict.values] == [bound.radius[verdict.values[0].place]] * 3


def test_values_that_loops_make_are_not_compared():
    """Nobody knows in which round they were recorded."""
    made = build.Program({"x": ("fp32", (5,))}, opset="CoreML7")
    blocks = [
        lambda i, y: made.add("less", x=i, y=np.int32(4)),
        lambda i, y: [made.add("add", x=i, y=np.int32(1)), made.add("tanh", x=y, name="inside")],
    ]
    _, y = made.add("while_loop", loop_vars=[made.constant(np.int32(0)), made["x"]], blocks=blocks)
    made.output(made.add("exp", x=y, name="y"))
    model, x = made.model(), {"x": np.linspace(-1, 1, 5).astype(np.float32)}
    verdict = judge(model, x, model.predict(x), intermediates={"inside": np.tanh(x["x"])})
    found = {each.name: each for each in verdict.values}
    assert (found["inside"].answer, found["inside"].compared) == (UNDETERMINED, 0)
    assert "again and again" in found["inside"].reason
    assert found["y"].answer == FP32


def test_a_reference_of_nan_is_undetermined():
    net = build.Network({"x": (6,)}, ["y"], exact=True)
    net.add("unary", inputs=["x"], outputs="y", type="LOG")
    x = {"x": np.array([-1.0, -2, -3, -4, 5, 6])}
    verdict = judge(net.model(), x, net.model().predict(x))
    assert verdict.answer == UNDETERMINED
    assert "NaN in 4 of 6" in verdict.reason


def test_random_layers_are_undetermined():
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("randomNormalLike", inputs=["x"], outputs="y", seed=1, mean=0.0, std_dev=1.0)
    verdict = judge(net.model(), {"x": np.zeros(3)}, {"y": np.zeros(3)})
    assert verdict.answer == UNDETERMINED
    assert "draws random numbers" in verdict.reason


def two_outputs():
    net = build.Network({"x": (4,)}, ["y", "z"], exact=True)
    net.add("unary", inputs=["x"], outputs="y", type="EXP")
    net.add("unary", inputs=["y"], outputs="z", type="SQRT")
    return net.model()


def test_an_output_that_was_not_recorded_leaves_the_verdict_open():
    x = {"x": RNG.normal(size=4)}
    y = two_outputs().predict(x)
    assert judge(two_outputs(), x, y).answer == FP32
    verdict = judge(two_outputs(), x, {"y": y["y"]})
    assert verdict.answer == UNDETERMINED
    assert "'z' was not recorded" in verdict.reason


def test_an_output_that_others_are_made_of_is_judged_and_begins_a_segment():
    x = {"x": RNG.normal(size=4)}
    y = two_outputs().predict(x)
    off = y["y"] * np.float32(1.5)
    verdict = judge(two_outputs(), x, {"y": off, "z": np.sqrt(off)})
    assert [each.refused for each in verdict.values] == [True, False]


def test_a_branch_that_rounding_may_turn_is_undetermined():
    made = build.Program({"x": ("fp32", (50,))})
    x = made["x"]
    total = made.add("reduce_sum", x=x, axes=[0], keep_dims=False)
    pred = made.add("greater", x=total, y=np.float32(0))
    y = made.add("cond", pred=pred, blocks=[lambda: made.add("exp", x=x), lambda: made.add("square", x=x)])
    made.output(y)
    given = RNG.normal(size=50).astype(np.float32)
    given[-1] = -np.sum(given[:-1].astype(np.float64))
    given[-1] -= np.float32(np.sum(given.astype(np.float64)))
    model = made.model()
    verdict = judge(model, {"x": given}, model.predict({"x": given}))
    assert verdict.answer == UNDETERMINED
    assert "another way" in verdict.reason


# ---- Bad recordings ----


@pytest.mark.parametrize(
    ("outputs", "problem"),
    [
        ({}, "nothing was recorded"),
        ({"x": X["x"]}, "nothing was recorded"),
        ({"Y": np.zeros(4)}, "no output or value of the model.*'y'"),
        ({"y": np.zeros(5)}, r"shape \(5,\), expected \(4,\)"),
        ({"y": np.zeros((2, 2))}, "shape"),
        ({"y": np.zeros(4, np.int32)}, "int32, the output is of floats"),
        ({"y": np.array(["a"] * 4)}, "expected an array of numbers"),
        ({"y": np.zeros(4, complex)}, "expected an array of numbers"),
        ({"y": None}, "expected an array of numbers"),
        ({"y": np.zeros(4), "c1": np.zeros((6, 13, 12))}, r"shape \(6, 13, 12\)"),
        ({"y": np.zeros(4), "c1": np.zeros((13, 11, 6))}, r"shape \(13, 11, 6\)"),
        ([], "nothing to compare"),
        ([{"y": np.zeros(4)}] * 2, "1 predictions, but outputs of 2"),
        (np.zeros(4), "outputs"),
    ],
)
def test_recordings_that_do_not_fit_are_refused(outputs, problem):
    with pytest.raises(UsageError, match=problem):
        judge(network(), X, outputs)


def test_dimensions_of_length_1_may_be_more_or_fewer():
    outputs, inner = recorded(network(), X, "float32")
    shaped = {"y": outputs["y"].reshape(1, 4, 1), "c0": inner["c0"][None]}
    assert judge(network(), X, shaped).answer == FP32


def test_inputs_that_do_not_fit_and_other_models_are_refused():
    with pytest.raises(InputError):
        judge(network(), {"x": np.zeros((3, 13, 12))}, {"y": np.zeros(4)})
    with pytest.raises(UsageError, match="probability"):
        judge(network(), X, {"y": np.zeros(4)}, probability=0)
    with pytest.raises(UsageError, match="unknown profile"):
        judge(network(), X, {"y": np.zeros(4)}, profile="fp8")


# ---- Several predictions ----


def test_of_several_predictions_the_worst_counts_first():
    inputs = [{"x": RNG.normal(size=(3, 13, 11)).astype(np.float32)} for _ in range(3)]
    outputs = [network().predict(each) for each in inputs]
    assert judge(network(), inputs, outputs).answer == FP32
    outputs[1] = network("weight").predict(inputs[1])
    verdict = judge(network(), inputs, outputs, names=["a", "b", "c"], profile="fp32")
    assert not verdict.explained
    assert [each.sample for each in verdict.values if each.refused] == ["b"]
    assert verdict.table().splitlines()[1].split()[0] == "b"


def test_states_stay_from_one_prediction_to_the_next():
    made = build.Program({"x": ("fp16", (8,))}, states={"s": ("fp16", (8,))}, opset="CoreML8")
    old = made.add("read_state", input=made["s"])
    new = made.add("add", x=made.add("mul", x=old, y=np.float16(0.9)), y=made["x"])
    made.add("write_state", input=made["s"], data=new)
    made.output(made.add("identity", x=new, name="y"))
    model = made.model()
    inputs = [{"x": RNG.normal(size=8).astype(np.float16)} for _ in range(4)]
    state = model.make_state()
    outputs = [model.predict(each, state=state) for each in inputs]
    assert judge(model, inputs, outputs).answer == FP16
    assert not judge(model, inputs, [outputs[0], *outputs[:0:-1]]).explained


# ---- Classes ----


def classifier():
    net = build.Network({"x": (5,)}, ["p"], classes=["a", "b", "c"], exact=True)
    weights = np.array([[1, 2, 3, 4, 5], [2, 1, 0, 1, 2], [0, 0, 0, 0, 1]], np.float32) / 7
    net.add("innerProduct", inputs=["x"], outputs="s", weights=weights, input_channels=5, output_channels=3)
    net.add("softmax", inputs=["s"], outputs="p")
    return net.model()


def test_scores_and_labels():
    x = {"x": np.array([0.3, 0.7, 0.2, 0.9, 0.1])}
    found = classifier().predict(x)
    scores = next(name for name, value in found.items() if isinstance(value, dict))
    (label,) = found.keys() - {scores}
    assert judge(classifier(), x, found).answer == FP32
    turned = dict(reversed(found[scores].items()))
    assert judge(classifier(), x, {**found, scores: turned}).answer == FP32
    as_arrays = {
        scores: np.array(list(found[scores].values())),
        f"{scores}.keys": np.array(list(found[scores])),
        label: np.array(found[label]),
    }
    assert judge(classifier(), x, as_arrays).answer == FP32
    assert not judge(classifier(), x, {**found, label: "b" if found[label] != "b" else "c"}).explained
    assert judge(classifier(), x, {scores: found[scores]}).answer == FP32
    assert judge(classifier(), x, {label: found[label]}).answer == UNDETERMINED
    with pytest.raises(UsageError, match="classes"):
        judge(classifier(), x, {scores: {"a": 1.0, "b": 0.0, "d": 0.0}})
    with pytest.raises(UsageError, match="no class"):
        judge(classifier(), x, {**found, label: "d"})
    with pytest.raises(UsageError, match=r"\(2,\), expected one class"):
        judge(classifier(), x, {**found, label: np.array(["a", "b"])})


def test_an_undetermined_label_does_not_hide_that_scores_agree():
    x = {"x": np.zeros(5)}  # all scores are 1 / 3
    found = classifier().predict(x)
    assert judge(classifier(), x, found).answer == FP32


# ---- The result ----


def test_a_verdict_is_plain_data():
    verdict = judge(network(), X, recorded(network(), X, "float32")[0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        verdict.answer = FP16
    assert verdict.as_dict()["values"][0]["name"] == "y"
    assert len(verdict.rows()) == 1
    assert "within rounding of fp32" in str(verdict)


def test_other_types_of_models_are_refused():
    spec = schema.Model(specificationVersion=1)
    spec.description.input.add(name="x").type.doubleType.SetInParent()
    spec.description.output.add(name="y").type.doubleType.SetInParent()
    spec.description.predictedFeatureName = "y"
    spec.glmRegressor.weights.add(value=[2.0])
    spec.glmRegressor.offset.append(1.0)
    with pytest.raises(UnsupportedModelError, match="networks and ML Programs"):
        judge(spec, {"x": 1.0}, {"y": 3.0})
