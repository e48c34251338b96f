"""Likely bounds of whole models: what they hold, what they find, and what they leave open."""

from __future__ import annotations

import numpy as np
import pytest

from refcoreml import build
from refcoreml.errors import InputError, UnsupportedModelError, UsageError
from refcoreml.judge import Ensemble, likely_bounds
from refcoreml.mil.prepare import Typed

RNG = np.random.default_rng(0)


def numbers(*shape, size=1.0):
    return (size * RNG.normal(size=shape)).astype(np.float32)


def dense(net, x, y, inputs, outputs, weights=None):
    weights = numbers(outputs, inputs, size=inputs**-0.5) if weights is None else weights
    net.add("innerProduct", inputs=[x], outputs=y, weights=weights, input_channels=inputs, output_channels=outputs)
    return weights


def deep(layers=12, width=48):
    """Dense layers with ReLUs, whose proven bounds would multiply."""
    net = build.Network({"x": (7, width)}, ["y"], exact=True)
    x = "x"
    for index in range(layers):
        dense(net, x, f"d{index}", width, width, numbers(width, width, size=(2 / width) ** 0.5))
        net.add("activation", inputs=[f"d{index}"], outputs=f"r{index}", ReLU={})
        x = f"r{index}"
    dense(net, x, "y", width, 5)
    return net


# ---- What they hold ----


@pytest.mark.parametrize(("profile", "precision"), [("fp32", "float32"), ("fp16/acc32", "float16")])
def test_honest_runs_are_explained_and_faults_are_not(profile, precision):
    model, x = deep().model(), numbers(7, 48)
    bound = likely_bounds(model, {"x": x}, profile)["y"]
    y = model.with_precision(precision).predict({"x": x})["y"].astype(np.float64)
    off = np.abs(y - bound.value).max()
    assert bound.explains(y).all()
    assert bound.radius.max() < 60 * off
    assert not bound.explains(y + 4 * bound.radius.max()).any()


def test_an_identity_has_no_error():
    net = build.Network({"x": (3, 4)}, ["y"], exact=True)
    net.add("transpose", inputs=["x"], outputs="t", axes=(1, 0))
    net.add("activation", inputs=["t"], outputs="y", ReLU={})
    bound = likely_bounds(net.model(), {"x": numbers(3, 4)})["y"]
    assert not bound.radius.any()
    assert bound.noise == 0


def test_numbers_that_the_type_holds_have_no_error():
    net = build.Network({"x": (4,)}, ["y"], exact=True)
    net.add("multiplyBroadcastable", inputs=["x", "x"], outputs="s")
    net.add("addBroadcastable", inputs=["s", "x"], outputs="y")
    for profile in ("fp32", "fp16/acc32", "fp16/acc16"):
        assert not likely_bounds(net.model(), {"x": np.array([1.0, -2, 3, 0.5])}, profile)["y"].radius.any()


def test_what_half_precision_cannot_hold_is_infinite_as_in_every_honest_run():
    net = build.Network({"x": (3,)}, ["y", "z"], exact=True)
    net.add("multiplyBroadcastable", inputs=["x", "x"], outputs="y")
    net.add("subtractBroadcastable", inputs=["y", "y"], outputs="z")
    model, x = net.model(), np.array([300.0, 2, -400])
    bounds = likely_bounds(model, {"x": x}, "fp16/acc32")
    np.testing.assert_array_equal(bounds["y"].value, [np.inf, 4, np.inf])
    np.testing.assert_array_equal(bounds["z"].value, [np.nan, 0, np.nan])
    for name, y in model.with_precision("float16").predict({"x": x}).items():
        assert bounds[name].explains(y).all()
        assert bounds[name].determined.all()


def test_numbers_near_the_largest_one_may_be_infinite():
    net = build.Network({"x": (2, 64)}, ["y"], exact=True)
    dense(net, "x", "y", 64, 3, np.full((3, 64), 1 / 32, np.float32))
    x = np.array([[32752.0] * 33 + [32768.0] * 31] * 2)  # whose sum / 32 is 65519.5; 65520 rounds to infinity
    x[1] /= 2
    bound = likely_bounds(net.model(), {"x": x}, "fp16/acc32")["y"]
    assert not bound.determined[0].any()
    assert bound.determined[1].all()


def test_the_mean_of_a_bright_wall_is_off_more_than_that_of_noise():
    """Equal pixels have equal errors, which do not cancel."""
    net = build.Network({"x": (1, 64, 64)}, ["y"])
    net.add("unary", inputs=["x"], outputs="e", type="EXP")
    net.add("pooling", inputs=["e"], outputs="y", type="AVERAGE", globalPooling=True, valid={})
    wall = likely_bounds(net.model(), {"x": np.full((1, 64, 64), 0.3)}, "fp16/acc32")["y"]
    noise = likely_bounds(net.model(), {"x": 0.3 + 0.1 * RNG.normal(size=(1, 64, 64))}, "fp16/acc32")["y"]
    assert wall.deviation.max() > 1.2 * noise.deviation.max()
    y = net.model(precision="float16").predict({"x": np.full((1, 64, 64), 0.3)})["y"]
    assert wall.explains(y).all()


def test_a_higher_probability_makes_bounds_narrower():
    model, x = deep(2).model(), {"x": numbers(7, 48)}
    strict, lax = (likely_bounds(model, x, probability=p)["y"].radius.max() for p in (1e-6, 1e-1))
    assert lax < strict


def test_bounds_of_every_value_and_where_noise_grows():
    """A difference of nearly equal numbers loses its digits; the layer is named."""
    net = build.Network({"x": (300,)}, ["y"], exact=True)
    net.add("unary", inputs=["x"], outputs="e", type="POWER", alpha=2.0)
    net.add("unary", inputs=["e"], outputs="l", type="SQRT")
    net.add("subtractBroadcastable", name="cancels", inputs=["l", "x"], outputs="d")
    net.add("activation", inputs=["d"], outputs="y", linear={"alpha": 1e7})
    ensemble = Ensemble(net.model())
    traced = {name: bound for name, bound, _ in ensemble.trace({"x": np.abs(numbers(300))})}
    assert list(traced) == ["e", "l", "d", "y"]
    assert traced["l"].noise < 1e-5
    assert traced["y"].noise > 0.5
    assert "'cancels'" in ensemble.amplifier()
    assert Ensemble(deep().model()).amplifier() == ""


def test_a_value_of_a_reference_begins_a_segment():
    """After a seed its error is gone: what follows is judged by itself."""
    model, x = deep(6).model(), {"x": numbers(7, 48)}
    traced = {name: bound for name, bound, _ in Ensemble(model).trace(x)}
    seeds = {"r4": traced["r4"].value * 1.5}
    seeded = {name: bound for name, bound, _ in Ensemble(model).trace(x, seeds)}
    np.testing.assert_array_equal(seeded["r4"].value, traced["r4"].value)  # judged before it is replaced
    assert not np.allclose(seeded["d5"].value, traced["d5"].value, rtol=0.01)
    assert seeded["d5"].noise < traced["d5"].noise


def test_a_trace_takes_only_what_is_accepted_and_returns_the_outputs():
    model, x = deep(4).model(), {"x": numbers(7, 48)}
    plain = likely_bounds(model, x)["y"]
    values = {name: bound.value for name, bound, _ in Ensemble(model).trace(x)}
    seeds = {name: 1.5 * values[name] for name in ("r1", "r2")}
    asked = []

    def accept(name, bound):
        asked.append(name)
        return name == "r2"

    trace = Ensemble(model).trace(x, seeds, accept)
    found = {}
    while True:
        try:
            name, bound, _ = next(trace)
        except StopIteration as end:
            outputs = end.value
            break
        found[name] = bound
    assert asked == ["r1", "r2"]
    np.testing.assert_array_equal(found["d2"].value, values["d2"])
    np.testing.assert_array_equal(outputs["y"].value, found["y"].value)
    assert not np.allclose(outputs["y"].value, plain.value, rtol=0.01)


def test_a_value_of_a_reference_was_rounded_once_unless_it_is_exact():
    """In half precision: what follows is as uncertain as the reference's own storage."""
    net = build.Network({"x": (300,)}, ["y"], exact=True)
    net.add("unary", inputs=["x"], outputs="e", type="EXP")
    net.add("addBroadcastable", inputs=["e", "x"], outputs="s")
    net.add("activation", inputs=["s"], outputs="y", linear={"alpha": 1.0, "beta": -1.0})
    model, x = net.model(), {"x": RNG.uniform(1, 2, 300)}
    value = {name: bound.value for name, bound, _ in Ensemble(model).trace(x)}["e"]
    for exact in (False, True):
        given = {"x": np.zeros(300)} if exact else x
        seeds = {"e": np.ones(300) if exact else value}
        bounds = {name: bound for name, bound, _ in Ensemble(model, "fp16/acc32").trace(given, seeds)}
        assert (bounds["s"].deviation > 0).any() != exact
    assert 2.0**-11 / 4 < bounds_of(model, x, value)["s"].noise < 2.0**-11 * 2


def bounds_of(model, x, value):
    return {name: bound for name, bound, _ in Ensemble(model, "fp16/acc32").trace(x, {"e": value})}


@pytest.mark.parametrize("element", ["fp16", "fp32"])
def test_programs_in_half_precision_whatever_they_declare(element):
    """Constants and inputs are rounded to half precision, too, which is part of the value."""
    kind = np.float16 if element == "fp16" else np.float32
    made = build.Program({"x": (element, (3, 40))}, opset="CoreML7")
    weight = numbers(30, 40, size=0.2)
    y = made.add("linear", x=made["x"], weight=weight.astype(kind))
    made.output(made.add("softmax", x=y, axis=-1, name="y"))
    x = numbers(3, 40)
    bound = likely_bounds(made.model(), {"x": x.astype(kind)}, "fp16/acc32")["y"]
    logits = x.astype(np.float16).astype(np.float64) @ weight.astype(np.float16).astype(np.float64).T
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(bound.value, expected, rtol=1e-12)
    stored = logits.astype(np.float16).astype(np.float64)
    device = np.exp(stored) / np.exp(stored).sum(-1, keepdims=True)
    assert bound.explains(device.astype(np.float16)).all()
    assert bound.radius.max() < 0.01


# ---- Decisions ----


def test_a_place_is_undetermined_where_scores_are_as_close_as_noise():
    net = build.Network({"x": (2, 50)}, ["y"], exact=True)
    weights = numbers(6, 50)
    weights[4] = weights[1] * (1 + 2.0**-22 * RNG.normal(size=50))
    dense(net, "x", "s", 50, 6, weights)
    net.add("argMax", inputs=["s"], outputs="y", axis=-1, removeDim=True)
    x = np.stack([weights[1], weights[2]])  # of which class 1 or 4, and class 2 are the largest
    bound = likely_bounds(net.model(), {"x": x})["y"]
    np.testing.assert_array_equal(bound.determined, [False, True])
    assert bound.value[1] == 2
    assert "argMax" in bound.reason


def test_choices_as_close_as_noise_allow_both_answers():
    """Of many such choices each run turns others, so that no run is left to tell which numbers depend on them."""
    x = np.abs(numbers(400)) + 1.5
    net = build.Network({"x": (400,), "t": (400,)}, ["y"], exact=True)
    net.add("unary", inputs=["x"], outputs="s", type="SQRT")
    net.add("greaterThan", inputs=["s", "t"], outputs="c")
    net.add("whereBroadcastable", inputs=["c", "x", "s"], outputs="y")
    root, close = np.sqrt(np.asarray(x, np.float64)), np.arange(400) < 200
    t = np.where(close, root, root * 1.001).astype(np.float32)
    bound = likely_bounds(net.model(), {"x": x, "t": t})["y"]
    for answer in (x, root):
        assert bound.explains(np.where(close, answer, root)).all()
    assert (bound.radius[~close] < 1e-5).all()


def test_an_array_of_another_shape_is_refused():
    model, x = deep(2).model(), {"x": numbers(7, 48)}
    bound = likely_bounds(model, x)["y"]
    for other in (bound.value[:1], bound.value[0, 0]):  # both would broadcast
        with pytest.raises(UsageError, match="expected"):
            bound.explains(other)


@pytest.mark.parametrize("given", [0, 1, -1.0, 2, np.nan, "1e-4", None, True])
def test_a_probability_is_between_0_and_1(given):
    with pytest.raises(UsageError, match="probability"):
        likely_bounds(deep(2).model(), {"x": numbers(7, 48)}, probability=given)


@pytest.mark.parametrize(
    ("seeds", "problem"),
    [
        ({"r5": numbers(7, 48)}, "no step makes a value 'r5'"),
        ({"r1": numbers(6, 48)}, r"r1.*\(6, 48\)"),
        ({"r1": "text"}, "r1"),
        ([3], "seeds"),
    ],
)
def test_values_of_a_reference_that_do_not_fit_are_refused(seeds, problem):
    with pytest.raises(UsageError, match=problem):
        list(Ensemble(deep(3).model()).trace({"x": numbers(7, 48)}, seeds))


@pytest.mark.filterwarnings("error")
def test_a_value_of_nan_alone_has_no_noise():
    ensemble = Ensemble(deep(2).model())
    bound = ensemble.bounds({"x": np.full((7, 48), np.nan)})["y"]
    assert bound.explains(np.full(bound.value.shape, np.nan)).all()
    assert not bound.explains(np.zeros(bound.value.shape)).any()
    assert ensemble.noise == {}


def test_labels_and_scores():
    net = build.Network({"x": (5,)}, ["p"], classes=["a", "b", "c"], exact=True)
    dense(net, "x", "s", 5, 3, np.array([[1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [0, 0, 0, 0, 1]], np.float32) / 7)
    net.add("softmax", inputs=["s"], outputs="p")
    model = net.model()
    x = numbers(5) + 1
    bounds = likely_bounds(model, {"x": x})
    scores, label = (bounds[feature.name] for feature in model.outputs)
    assert scores.labels == label.labels == ("a", "b", "c")
    assert scores.value.shape == (3,)
    assert label.value in (0, 1)


def test_a_branch_that_rounding_may_turn_leaves_all_after_it_open():
    layer = build.Network({"a": (1,)}, ["b"], exact=True)
    layer.add("activation", inputs=["s"], outputs="y", linear={"alpha": 2.0})
    other = build.Network({"a": (1,)}, ["b"], exact=True)
    other.add("activation", inputs=["s"], outputs="y", linear={"alpha": 3.0})
    net = build.Network({"x": (50,)}, ["y"], exact=True)
    net.add("reduceSum", inputs=["x"], outputs="s", axes=(0,), keep_dims=True)
    net.add("greaterThan", inputs=["s"], outputs="c", alpha=0.0)
    fields = {"ifBranch": {"layers": layer.layers}, "elseBranch": {"layers": other.layers}}
    net.add("branch", name="turns", inputs=["c"], outputs=[], **fields)
    model = net.model()
    x = numbers(50)
    sure = likely_bounds(model, {"x": x})["y"]
    assert sure.determined.all()
    x[-1] = -np.sum(x[:-1].astype(np.float64))
    x[-1] -= np.float32(np.sum(x.astype(np.float64)))
    open_ = likely_bounds(model, {"x": x})["y"]
    assert not open_.determined.any()
    assert "another way" in open_.reason


# ---- ML Programs ----


def half_program():
    program = build.Program({"x": ("fp16", (3, 40))}, opset="CoreML7")
    y = program.add("linear", x=program["x"], weight=numbers(30, 40, size=0.2).astype(np.float16))
    y = program.add("gelu", x=program.add("layer_norm", x=y, axes=[-1], epsilon=np.float16(1e-5)), mode="EXACT")
    program.output(program.add("softmax", x=y, axis=-1, name="y"))
    return program.model()


@pytest.mark.parametrize(("profile", "precision"), [("", "declared"), ("declared", "declared"), ("fp32", "float32")])
def test_programs(profile, precision):
    model, x = half_program(), {"x": numbers(3, 40)}
    bound = likely_bounds(model, x, profile)["y"]
    y = model.with_precision(precision).predict(x)["y"].astype(np.float64)
    off = np.abs(y - bound.value).max()
    assert bound.explains(y).all()
    assert 0 < off < bound.radius.max() < 100 * off
    assert bound.radius.max() < (2e-4 if precision == "float32" else 5e-3)  # the output is of half precision


def test_states_carry_noise_from_one_prediction_to_the_next():
    program = build.Program({"x": ("fp16", (8,))}, states={"s": ("fp16", (8,))}, opset="CoreML8")
    old = program.add("read_state", input=program["s"])
    new = program.add("add", x=program.add("mul", x=old, y=np.float16(0.9)), y=program["x"])
    program.add("write_state", input=program["s"], data=new)
    program.output(program.add("identity", x=new, name="y"))
    model = program.model()
    ensemble, state, sizes = Ensemble(model), model.make_state(), []
    for _ in range(5):
        x = {"x": numbers(8)}
        bound = ensemble.bounds(x)["y"]
        assert bound.explains(model.predict(x, state=state)["y"]).all()
        sizes.append(bound.deviation.max())
    assert sizes[0] == 0  # x + 0 is exact
    assert sizes[-1] > 1.3 * sizes[1] > 0


def test_a_cond_whose_result_is_an_output():
    program = build.Program({"x": (4,)})
    x = program["x"]
    pred = program.add("greater", x=program.add("reduce_sum", x=x, axes=[0], keep_dims=False), y=np.float32(0))
    y = program.add("cond", pred=pred, blocks=[lambda: program.add("exp", x=x), lambda: program.add("square", x=x)])
    program.output(y)
    model, given = program.model(), {"x": np.abs(numbers(4)) + 1}
    (bound,) = likely_bounds(model, given).values()
    (actual,) = model.predict(given).values()
    assert bound.explains(actual).all()
    assert (bound.radius > 0).all()


# ---- What is refused ----


def test_models_whose_rounding_nobody_knows_are_refused():
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("randomNormalLike", inputs=["x"], outputs="y", seed=1, mean=0.0, std_dev=1.0)
    with pytest.raises(UnsupportedModelError, match="draws random numbers"):
        likely_bounds(net.model(), {"x": np.zeros(3)})


def test_unknown_profiles_and_inputs_that_do_not_fit_are_refused():
    model = deep(1).model()
    with pytest.raises(UsageError, match="unknown profile 'fp8'"):
        likely_bounds(model, {"x": numbers(7, 48)}, "fp8")
    with pytest.raises(UsageError, match="unknown profile 'fp16/acc16' for an ML Program"):
        likely_bounds(half_program(), {"x": numbers(3, 40)}, "fp16/acc16")
    with pytest.raises(InputError):
        likely_bounds(model, {"x": numbers(7, 47)})


def test_an_operation_without_a_rule_is_refused_not_taken_as_exact(monkeypatch):
    from refcoreml.judge import noise

    step = next(step for step in half_program().with_precision("float64").prepare().steps if step.kind == "softmax")
    assert isinstance(step.op, Typed)
    monkeypatch.delitem(noise._RULES, step.op.kind)
    with pytest.raises(UnsupportedModelError, match="nobody knows, Softmax"):
        likely_bounds(half_program(), {"x": numbers(3, 40)})


def test_a_relu_that_no_run_but_an_honest_one_may_pass():
    """Numbers just below 0: their noise is that of their inputs, though all disturbed runs may give 0."""
    net = build.Network({"x": (400, 2)}, ["y"], exact=True)
    dense(net, "x", "d", 2, 1, np.array([[1, -1]], np.float32))
    net.add("activation", inputs=["d"], outputs="y", ReLU={})
    x = np.ones((400, 2)) * 3.7
    x[:, 1] += np.linspace(0, 4e-3, 400)  # 0 to 2 units in the last place of half precision
    inner = build.Network({"x": (400, 2)}, ["y"], exact=True)
    inner.add("unary", inputs=["x"], outputs="e", type="EXP")
    inner.layers.extend(net.layers)
    inner.layers[1].input[0] = "e"
    bound = likely_bounds(inner.model(), {"x": x}, "fp16/acc32")["y"]
    assert (bound.radius[:40] > 0.02).all()


@pytest.mark.parametrize(
    ("kind", "fields", "end", "outward"),
    [
        ("activation", {"ReLU": {}}, 0.0, -1),
        ("clip", {"minVal": -0.75, "maxVal": 0.875}, -0.75, -1),
        ("clip", {"minVal": -0.75, "maxVal": 0.875}, 0.875, 1),
        ("clampedReLU", {"alpha": 0.0, "beta": 1.5}, 0.0, -1),
        ("clampedReLU", {"alpha": 0.5, "beta": 1.5}, 1.5, 1),
        ("clampedReLU", {"alpha": -2.0, "beta": 1.5}, -0.75, -1),
        ("unary", {"type": "THRESHOLD", "alpha": 0.375}, 0.375, -1),
        ("activation", {"sigmoidHard": {"alpha": 0.25, "beta": 0.5}}, -2.0, -1),
        ("activation", {"sigmoidHard": {"alpha": 0.25, "beta": 0.5}}, 2.0, 1),
    ],
)
def test_a_flat_side_deviates_near_its_end_only(kind, fields, end, outward):
    """At five and at fifty deviations of the input from the end."""
    net = build.Network({"x": (1,)}, ["z", "y"], exact=True)
    third = np.full(1, 1 / 3, np.float32)
    for name, data in (("third", third), ("shift", np.array([end - 0.25], np.float32))):
        net.add("loadConstantND", inputs=[], outputs=name, shape=(1,), data=data)
    net.add("multiplyBroadcastable", inputs=["x", "third"], outputs="m")
    net.add("addBroadcastable", inputs=["m", "shift"], outputs="z")
    net.add(kind, inputs=["z"], outputs="y", **fields)
    deviation = np.hypot(end, 0.25) * 2.0**-24 / np.sqrt(3)  # of the sum and of the product
    for many, near in ((5, True), (50, False)):
        bounds = likely_bounds(
            net.model(), {"x": np.array([(0.25 + outward * many * deviation) / np.float64(third[0])])}
        )
        assert bounds["z"].radius > 0
        assert (bounds["y"].radius > 0) == near, many


def test_flat_sides_in_a_chain_do_not_feed_one_another():
    """Channels clipped again and again, in half precision, with nearly all numbers near an end.

    Where each step deviated by what the steps before had added, the noise came to 120 times the value; that of honest
    runs is a few hundredths of it.
    """
    rng = np.random.default_rng(11)
    net, x, width = build.Network({"x": (1, 6, 24, 26)}, ["y"], exact=True), "x", 6
    for index in range(24):
        weights = rng.normal(0, 2 / 3, (width, 1, 3, 3)).astype(np.float32)
        net.add(
            "convolution", inputs=[x], outputs=f"c{index}", weights=weights, output_channels=width, kernel_channels=1,
            n_groups=width, kernel_size=(3, 3), same={},
        )  # fmt: skip
        x = "y" if index == 23 else f"r{index}"
        net.add("activation", inputs=[f"c{index}"], outputs=x, ReLU={})
    given = rng.normal(0, 1e-3, (1, 6, 24, 26)).astype(np.float32)
    given += np.float32(3e-4)
    model = net.model()
    bound = likely_bounds(model, {"x": given}, "fp16/acc32")["y"]
    y = model.with_precision("float16").predict({"x": given})["y"].astype(np.float64)
    off = np.abs(y - bound.value)
    assert (off <= bound.radius).all()
    assert 0 < bound.noise < 20


@pytest.mark.parametrize("gap", [80, 95, 120, 380, 500, 700])
def test_probabilities_below_what_the_type_holds_may_be_0(gap):
    """e^-gap, which single precision flushes to 0, and whose square is 0 in double precision, too."""
    net = build.Network({"x": (7,)}, ["y"], exact=True)
    net.add("softmaxND", inputs=["x"], outputs="y", axis=0)
    x = np.array([0, -gap, -gap - 1, -gap - 2, -gap - 3, -gap - 5, -gap - 8], np.float32)
    bound = likely_bounds(net.model(), {"x": x})["y"]
    honest = net.model().predict({"x": x})["y"].astype(np.float64)
    assert bound.explains(honest).all()
    assert bound.explains(np.where(bound.value < 1e-38, 0.0, honest)).all()
    assert not bound.explains(honest + 1e-20)[1:].any()
