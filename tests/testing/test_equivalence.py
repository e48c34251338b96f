"""assert_equivalent: what it accepts, what it refuses, and what it says."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from PIL import Image

from refcoreml import InputError, LimitError, Limits, UnsupportedModelError, UsageError, build, quantize_weights
from refcoreml.testing import EquivalenceError, UndeterminedError, assert_equivalent
from refcoreml.testing.agreement import WIDEST, compare_outputs, magnitude, typical

W = np.array([[0.5, -1.25, 2.0], [1.5, 0.75, -0.25]], np.float32)
X = np.array([0.3, -0.7, 1.1], np.float32)


def network(weights=W, outputs=("y",)):
    net = build.Network({"x": (3,)}, list(outputs), exact=True)
    net.add("innerProduct", inputs="x", outputs="t", inputChannels=3, outputChannels=2, weights=weights)
    net.add("tanh", outputs="y")
    if "z" in outputs:
        net.add("unary", inputs="t", outputs="z", type="EXP")
    return net


def reference(x):
    return np.tanh(W.astype(np.float64) @ np.asarray(x, np.float64))


def test_functions_arrays_and_dictionaries_serve():
    for given in (reference, reference(X), [reference(X)], {"y": reference(X)}):
        report = assert_equivalent(network().spec(), given, {"x": X})
        assert report.outputs == ("y",)
        assert 0 < report.double < 1e-12
        assert 0 < report.single < 1e-5


def test_functions_and_arrays_show_faults_of_deep_networks():
    """Proven bounds of 40 layers are infinite in effect; measured ones are a few units."""
    rng, width = np.random.default_rng(5), 48
    weights = [rng.normal(0, (2 / width) ** 0.5, (width, width)).astype(np.float32) for _ in range(40)]
    net, x = build.Network({"x": (7, width)}, outputs=["y"], exact=True), "x"
    for index, matrix in enumerate(weights):
        name, before, x = f"d{index}", x, "y" if index == 39 else f"r{index}"
        net.add("innerProduct", inputs=[before], outputs=name, weights=matrix, input_channels=48, output_channels=48)
        net.add("activation", inputs=[name], outputs=x, ReLU={})

    def computed(x, weights=weights):
        for matrix in weights:
            x = np.maximum(np.asarray(x, np.float64) @ matrix.T, 0)
        return x

    given = rng.normal(size=(7, width)).astype(np.float32)
    for reference in (computed, computed(given)):
        report = assert_equivalent(net.spec(), reference, {"x": given})
        assert report.widest < 1e-9
    assert_equivalent(net.spec(), computed(given).astype(np.float32), {"x": given}, widest=0.02)
    wrong = [matrix.copy() for matrix in weights]
    wrong[3][:, 7] *= 1.001
    for reference in (partial(computed, weights=wrong), computed(given, wrong)):
        with pytest.raises(EquivalenceError):
            assert_equivalent(net.spec(), reference, {"x": given})


def test_a_rounded_reference_is_allowed_its_own_rounding():
    report = assert_equivalent(network().spec(), reference(X).astype(np.float32), {"x": X})
    assert report.double is None
    assert 0 < report.single < 1e-5


def test_paths_bytes_and_models_serve(tmp_path):
    model = network().model()
    model.save(tmp_path / "net.mlmodel")
    for source in (model, tmp_path / "net.mlmodel", (tmp_path / "net.mlmodel").read_bytes()):
        assert_equivalent(source, reference, {"x": X})


def test_the_limits_of_a_model_hold(monkeypatch):
    model = network().model(limits=Limits())
    monkeypatch.setenv("REFCOREML_MEMORY", "10")
    with pytest.raises(LimitError):
        assert_equivalent(model.spec, reference, {"x": X})
    assert assert_equivalent(model, reference, {"x": X}).outputs == ("y",)


def test_a_scalar_was_rounded_once():
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("activation", outputs="y", linear={"alpha": 0.1, "beta": 0.0})
    report = assert_equivalent(net.spec(), lambda x: np.float64(x) * 0.1, {"x": X})
    assert 2**-25 < report.double < 2**-23
    with pytest.raises(EquivalenceError):
        assert_equivalent(net.spec(), lambda x: np.float64(x) * 0.1 * (1 + 1e-6), {"x": X})


def test_quantized_weights_are_named_as_the_reason():
    rng = np.random.default_rng(3)
    weights, x = rng.normal(size=(2, 37)).astype(np.float32), rng.normal(size=37).astype(np.float32)
    net = build.Network({"x": (37,)}, ["y"], exact=True)
    net.add("innerProduct", outputs="y", inputChannels=37, outputChannels=2, weights=weights)
    small = quantize_weights(net.model(), 8)
    with pytest.raises(EquivalenceError, match=r"weights are compressed.*measure it by compare_models"):
        assert_equivalent(small, lambda x: weights.astype(np.float64) @ x, {"x": x})


@pytest.mark.parametrize(
    ("given", "widest", "error"),
    [(np.zeros(2), None, EquivalenceError), (reference(X), 1e-300, UndeterminedError)],
)
def test_a_failure_ends_at_the_line_that_asserts(given, widest, error):
    with pytest.raises(error) as caught:
        assert_equivalent(network().spec(), given, {"x": X}, widest=widest)
    _, *own = caught.traceback
    assert own
    assert all(entry.frame.f_locals.get("__tracebackhide__") for entry in own)


def test_one_unit_in_the_fifth_digit_is_caught():
    wrong = W.copy()
    wrong[1, 1] += 1e-5
    with pytest.raises(EquivalenceError, match=r"output 'y' at \[1\] is .*, off by .*, allowed") as caught:
        assert_equivalent(network(wrong).spec(), reference, {"x": X})
    assert caught.value.output == "y"
    assert isinstance(caught.value, AssertionError)


def test_a_dictionary_may_name_some_of_the_outputs():
    spec = network(outputs=("y", "z")).spec()
    assert assert_equivalent(spec, {"y": reference(X)}, {"x": X}).outputs == ("y",)


def test_other_numbers_of_outputs_are_told():
    with pytest.raises(EquivalenceError, match="the reference has 1 outputs, the model 2: y, z"):
        assert_equivalent(network(outputs=("y", "z")).spec(), reference, {"x": X})


def test_other_shapes_are_told():
    with pytest.raises(EquivalenceError, match=r"has the shape \(2,\), expected \(3,\)"):
        assert_equivalent(network().spec(), np.zeros(3), {"x": X})


def test_nan_in_one_of_the_two_is_a_difference():
    with pytest.raises(EquivalenceError, match="expected nan"):
        assert_equivalent(network().spec(), np.array([np.nan, 0.5]), {"x": X})


def test_nan_in_both_is_none():
    net = build.Network({"x": (2,)}, ["y"], exact=True)
    net.add("unary", outputs="y", type="SQRT")
    assert_equivalent(net.spec(), np.array([np.nan, 2.0]), {"x": np.array([-1.0, 4.0])})


@pytest.mark.parametrize(
    ("given", "inputs", "error", "message"),
    [
        ({"w": np.zeros(2)}, {"x": X}, UsageError, "no output 'w'. Its outputs are y"),
        (reference, {"q": X}, InputError, "no input 'q'. Its inputs: 'x'"),
        (np.zeros(2), {"q": X}, InputError, "'q'"),
        (np.zeros(2), {"x": X[:2]}, InputError, "shape"),
        ("a text", {"x": X}, UsageError, "reference output 'y': got str, expected an array of numbers"),
    ],
)
def test_misuse_is_explained(given, inputs, error, message):
    with pytest.raises(error, match=message):
        assert_equivalent(network().spec(), given, inputs)


def test_pictures_need_the_arguments_of_the_reference():
    net = build.Network({"image": build.image(4, 3)}, {"y": None})
    net.preprocess("image", channel_scale=1 / 127.5, red_bias=-1, green_bias=-0.5, blue_bias=0.25)
    net.add("activation", outputs="y", sigmoid={})
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 3)).astype(np.uint8)
    picture = Image.fromarray(pixels)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    with pytest.raises(UsageError, match="Give reference_inputs"):
        assert_equivalent(net.spec(), sigmoid, {"image": picture})
    prepared = pixels.transpose(2, 0, 1) * np.float64(np.float32(1 / 127.5)) + np.array([-1, -0.5, 0.25])[:, None, None]
    assert_equivalent(net.spec(), sigmoid, {"image": picture}, reference_inputs=[prepared])
    with pytest.raises(EquivalenceError):
        assert_equivalent(net.spec(), sigmoid, {"image": picture}, reference_inputs=[prepared + 1e-4])


def branching(limit):
    """sqrt(x), negated unless it is above the limit."""
    net = build.Network({"x": (1,)}, ["y"], exact=True)
    net.add("unary", outputs="t", type="SQRT")
    net.add("greaterThan", outputs="c", alpha=limit)
    spec = net.spec()
    branch = spec.neuralNetwork.layers.add(name="branch", input=["c"]).branch
    for body, sign in ((branch.ifBranch, 1.0), (branch.elseBranch, -1.0)):
        inner = build.Network({"t": (1,)}, ["y"], exact=True)
        inner.add("activation", inputs="t", outputs="y", linear={"alpha": sign})
        body.layers.extend(inner.layers)
    return spec


def test_a_branch_that_hangs_on_rounding_decides_nothing():
    def root(x):
        return np.sqrt(np.asarray(x, np.float64))

    x = {"x": np.array([4.0])}
    with pytest.raises(InputError, match="rounding may turn a branch"):
        assert_equivalent(branching(2.0), root, x)
    assert assert_equivalent(branching(1.5), root, x).single is not None
    report = assert_equivalent(branching(2.0 - 2.0**-22), root, x)
    assert report.double is not None, "beyond the rounding of double precision"
    assert report.single is None, "within that of single precision"
    with pytest.raises(EquivalenceError):
        assert_equivalent(branching(2.5), root, x)


# ---- What shows nothing is not accepted ----


def test_the_widest_bound_is_one_unit_in_the_last_place_of_half_precision():
    assert np.finfo(np.float16).eps == WIDEST


def cancelling(offset):
    """(W x + offset) - offset in layers, and what it should be: the offset's roundings stay in single precision."""
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("innerProduct", inputs="x", outputs="t", inputChannels=3, outputChannels=2, weights=W)
    net.add("activation", inputs="t", outputs="u", linear={"alpha": 1.0, "beta": offset})
    net.add("activation", inputs="u", outputs="y", linear={"alpha": 1.0, "beta": -offset})
    return net.spec(), W.astype(np.float64) @ X.astype(np.float64)


def test_bounds_that_are_not_small_beside_the_output_fail_unless_asked_for():
    spec, y = cancelling(2.0**16)
    rounded = np.float32(y)
    with pytest.raises(
        UndeterminedError, match=r"undetermined: nothing differs, but in float32 output 'y' at \[.\] is "
    ):
        assert_equivalent(spec, rounded, {"x": X})
    report = assert_equivalent(spec, rounded, {"x": X}, widest=0.5)
    assert WIDEST < report.single < 0.5
    report = assert_equivalent(spec, y, {"x": X})
    assert report.double < WIDEST < report.single, "in double precision the comparison is sharp, and it is what counts"


def test_agreement_within_any_bound_is_not_called_a_difference():
    spec, y = cancelling(2.0**60)
    with pytest.raises(UndeterminedError) as caught:
        assert_equivalent(spec, y + 1000, {"x": X})
    assert caught.value.output == "y"
    assert caught.value.width > 1
    assert isinstance(caught.value, AssertionError)
    assert not isinstance(caught.value, EquivalenceError)
    assert assert_equivalent(spec, y + 1000, {"x": X}, widest=np.inf).double > 1


@pytest.mark.parametrize("widest", [0.0, -1.0, np.nan])
def test_a_width_must_be_positive(widest):
    with pytest.raises(UsageError, match="widest: must be a positive number"):
        assert_equivalent(network().spec(), reference, {"x": X}, widest=widest)


def test_an_order_that_rounding_may_exchange_shows_nothing():
    net = build.Network({"x": (4,)}, ["y"], exact=True)
    net.add("argSort", inputs="x", outputs="y", axis=0)
    tied = np.array([3.0, 1.0, 3.0, 2.0])
    with pytest.raises(UndeterminedError, match="output 'y'"):
        assert_equivalent(net.spec(), np.argsort(tied, kind="stable"), {"x": tied})
    clear = np.array([3.0, 1.0, 4.0, 2.0])
    assert assert_equivalent(net.spec(), np.argsort(clear), {"x": clear}).double == 0


def test_numbers_that_may_be_anything_show_nothing():
    """sqrt(e^x - e^0.5): at 0.5 the root of a rounding error, of either sign."""
    net = build.Network({"x": (2,)}, ["y"], exact=True)
    net.add("unary", inputs="x", outputs="t", type="EXP")
    net.add("activation", inputs="t", outputs="u", linear={"alpha": 1.0, "beta": -float(np.exp(0.5))})
    net.add("unary", inputs="u", outputs="y", type="SQRT")
    expected = np.float32([0.0, np.sqrt(np.exp(4.0) - np.exp(0.5))])
    with pytest.raises(UndeterminedError, match=r"rounding may make any number of output 'y' at \[0\]"):
        assert_equivalent(net.spec(), expected, {"x": np.array([0.5, 4.0])}, widest=1e6)


@pytest.mark.parametrize("given", [{}, []])
def test_a_reference_without_outputs_is_refused(given):
    with pytest.raises((UsageError, EquivalenceError), match=r"no outputs|has 0 outputs"):
        assert_equivalent(network().spec(), given, {"x": X})


def test_outputs_without_a_finite_number_show_nothing():
    net = build.Network({"x": (2,)}, ["y"], exact=True)
    net.add("unary", outputs="y", type="SQRT")
    with pytest.raises(UndeterminedError, match="output 'y' has no finite number"):
        assert_equivalent(net.spec(), np.array([np.nan, np.nan]), {"x": np.array([-1.0, -4.0])})


#: The median of 4 small numbers and 20 evenly from 900 to 1100: between the eighth and ninth of these.
MIDDLE = 900 + 200 * 7.5 / 19


@pytest.mark.parametrize(
    ("values", "radius", "width"),
    [
        ([1.0, 2.0, 3.0], [0.1, 0.1, 0.1], 0.05),  # beside the typical 2, and 0.1 / 3 beside 3
        ([1.0, 2.0, -1e9], [0.0, 0.5, 100.0], 0.25),  # a masked score does not hide what is beside it
        ([1.0, 2.0, -1e9, -1e9, -1e9 + 3], [0.0, 0.5, 100.0, 100.0, 100.0], 0.25),  # nor do most of them
        ([1.0, 2.0, -1e4, -9999.0, 3 - 1e4], [0.0, 0.5, 0.0, 0.0, 0.0], 0.25),
        ([1e-17, 1.0, 1.0, 1.0], [1e-15, 0.0, 0.0, 0.0], 1e-15),  # what is 0 but for rounding, beside ones
        # masks of any size, with scores added or in their place, and several of them
        ([0.5, 1.0, -100.0, -100.0, -99.5], [0.0, 0.25, 0.25, 0.25, 0.25], 0.25),
        ([0.5, 1.0, -9.0, -9.0, -9.0, -9.0], [0.0, 0.25, 0.0, 0.0, 0.0, 0.0], 0.25),
        ([0.5, 1.0, *[-100.0] * 4, *[-1e4] * 4], [0.0, 0.25, *[0.0] * 8], 0.25),
        # but not what is only far greater, nor a sum that should be 0
        ([0.01, 5.0, 7.0, 9.0], [0.006, 0.0, 0.0, 0.0], 0.001),
        ([1e-6, 40.0, 40.0, 40.0], [4e-6, 0.0, 0.0, 0.0], 1e-7),
        # a part of the output that is much smaller than the rest is judged by itself, unless it is 0 but for rounding
        ([*np.linspace(900, 1100, 20), 0.01, 0.02, 0.02, 0.05], [0.0] * 23 + [0.1], 0.1 / MIDDLE),
        ([*np.linspace(900, 1100, 20), 0.01, 0.02, 0.02, 0.05], [0.0] * 20 + [0.01] * 4, 0.5),
        ([*np.linspace(900, 1100, 20), 1e-5, 2e-5, 2e-5, 5e-5], [0.0] * 20 + [1e-4] * 4, 1e-4 / MIDDLE),
        # but what is near 0 by chance is not
        (np.linspace(-1, 1, 101).tolist(), [2.0**-11] * 101, 2.0**-11 / 0.51),
        (np.linspace(-1, 1, 101).tolist(), [0.1] * 101, 0.1 / 0.51),
        ([0.0, 0.0, 0.0], [0.0, 1e-9, 0.0], np.inf),
        ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], 0.0),
        ([1.0, 2.0, 3.0], [0.0, np.inf, 0.0], np.inf),
        ([1.0, np.inf, 3.0], [0.0, 0.0, 0.0], 0.0),
        ([], [], np.inf),
        ([np.nan, np.nan, 3.0], [0.0, 0.0, 0.0], np.inf),
        ([np.nan, 2.0, 3.0], [0.0, 0.0, 0.0], 0.0),
    ],
)
def test_the_width_of_a_comparison(values, radius, width):
    found, sharpness = compare_outputs(["y"], {"y": values}, [values], {"y": np.array(radius)})
    assert found is None
    assert sharpness.width == pytest.approx(width)


def test_the_least_sharp_of_several_outputs_counts():
    values, radii = {"a": [1.0], "b": [4.0], "c": [2.0]}, {"a": np.array([0.1]), "b": np.array([1.0]), "c": np.zeros(1)}
    found, sharpness = compare_outputs(list("abc"), values, list(values.values()), radii)
    assert (found, sharpness.name, sharpness.width) == (None, "b", 0.25)
    assert typical([0.0, np.inf, -3.0, 5.0]) == 4


@pytest.mark.parametrize(("masked", "large", "alpha"), [(-1e9, 1e7, 1.3), (-8000, 1e7, 1.3), (-100, 5e5, 1.01)])
def test_outputs_of_which_most_are_masked_are_undetermined_where_the_others_are(masked, large, alpha):
    """Scores that have lost most of their digits, so that 30 % more of them is within the bound, or 1 %."""
    x, mask = np.linspace(0.5, 1, 8).astype(np.float32), np.float32([masked] * 6 + [0, 0])
    net = build.Network({"x": (8,)}, ["y"], exact=True)
    net.add("activation", outputs="scores", linear={"alpha": alpha})
    net.add("loadConstantND", inputs=[], outputs="large", shape=[8], data=np.full(8, large, np.float32))
    net.add("addBroadcastable", inputs=["scores", "large"], outputs="sum")
    net.add("subtractBroadcastable", inputs=["sum", "large"], outputs="rounded")
    net.add("loadConstantND", inputs=[], outputs="mask", shape=[8], data=mask)
    net.add("addBroadcastable", inputs=["rounded", "mask"], outputs="y")
    with pytest.raises(UndeterminedError, match="nothing differs"):
        assert_equivalent(net.spec(), x + mask, {"x": x})


def test_an_output_that_is_nan_for_the_most_part_is_undetermined():
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("loadConstantND", inputs=[], outputs="m", shape=(3,), data=np.float32([0, np.nan, np.nan]))
    net.add("addBroadcastable", inputs=["x", "m"], outputs="y")
    y = X.astype(np.float64) + np.array([0, np.nan, np.nan])
    with pytest.raises(UndeterminedError, match="output 'y' is NaN in 2 of 3 places"):
        assert_equivalent(net.spec(), y, {"x": X})


def test_scores_by_label_are_compared_by_label():
    net = build.Network({"x": (3,)}, ["p"], classes=["a", "b"])
    net.add("innerProduct", inputs="x", outputs="t", inputChannels=3, outputChannels=2, weights=W)
    net.add("softmax", inputs="t", outputs="p")
    e = np.exp(W.astype(np.float64) @ X.astype(np.float64))
    a, b = (e / e.sum()).tolist()
    for scores in ({"a": a, "b": b}, {"b": b, "a": a}):
        assert assert_equivalent(net.spec(), {"p": scores}, {"x": X}).double < 1e-12
    with pytest.raises(EquivalenceError, match="expected"):
        assert_equivalent(net.spec(), {"p": {"a": b, "b": a}}, {"x": X})
    with pytest.raises(
        EquivalenceError, match=r"output 'p' of the reference has the labels 'a', 'c', the model 'a', 'b'"
    ):
        assert_equivalent(net.spec(), {"p": {"a": a, "c": b}}, {"x": X})
    with pytest.raises(UsageError, match="reference output 'y': got dict"):
        assert_equivalent(network().spec(), {"y": {"a": a, "b": b}}, {"x": X})


def test_a_loaded_model_keeps_its_settings_and_code():
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("loadConstantND", inputs=[], outputs="i", shape=(2,), data=np.float32([2, 7]))
    net.add("gather", inputs=["x", "i"], outputs="y", axis=0)
    with pytest.raises(InputError):
        assert_equivalent(net.model(), X[[2, 2]].astype(np.float64), {"x": X})
    assert assert_equivalent(net.model(strict=False), X[[2, 2]].astype(np.float64), {"x": X}).double == 0
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("custom", outputs="y", className="Twice")
    model = net.model(custom_layers={"Twice": lambda x: 2 * x})
    with pytest.raises(UnsupportedModelError, match="rounding"):
        assert_equivalent(model, 2 * X.astype(np.float64), {"x": X})


def test_certain_infinities_are_compared():
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("loadConstantND", inputs=[], outputs="m", shape=(3,), data=np.float32([0, -np.inf, 0]))
    net.add("addBroadcastable", inputs=["x", "m"], outputs="y")
    y = X.astype(np.float64) + np.array([0, -np.inf, 0])
    assert assert_equivalent(net.spec(), y, {"x": X}).double < 1e-14
    with pytest.raises(EquivalenceError, match="expected 5"):
        assert_equivalent(net.spec(), np.array([y[0], 5.0, y[2]]), {"x": X})


MASKS = [-np.inf, float(np.finfo(np.float32).min), -1e20, -1e9]


@pytest.mark.parametrize("value", MASKS)
def test_faults_behind_a_masked_softmax_are_found(value):
    """softmax(exp(x) + m) v with a causal mask."""
    rng = np.random.default_rng(2)
    x, v = rng.normal(size=(3, 5)).astype(np.float32), rng.normal(size=(5, 2)).astype(np.float32)
    mask = np.where(np.triu(np.ones((3, 5), bool), 3), value, 0.0).astype(np.float32)

    def attention(scale):
        net = build.Network({"x": (3, 5)}, ["y"], exact=True)
        net.add("loadConstantND", inputs=[], outputs="m", shape=(3, 5), data=mask)
        net.add("unary", inputs="x", outputs="t", type="EXP")
        net.add("addBroadcastable", inputs=["t", "m"], outputs="s")
        net.add("softmaxND", inputs="s", outputs="p", axis=-1)
        sizes = {"weightMatrixFirstDimension": 5, "weightMatrixSecondDimension": 2}
        net.add("batchedMatmul", inputs="p", outputs="y", weights=np.float32(scale) * v.T, **sizes)
        return net.spec()

    def expected(x):
        s = np.exp(np.asarray(x, np.float64)) + mask
        p = np.exp(s - s.max(-1, keepdims=True))
        return p / p.sum(-1, keepdims=True) @ v

    assert assert_equivalent(attention(1), expected, {"x": x}).double < 1e-12
    for scale in (3, 1 + 1e-4):
        with pytest.raises(EquivalenceError):
            assert_equivalent(attention(scale), expected, {"x": x})


def test_a_torch_module_names_the_first_layer_that_diverges():
    torch = pytest.importorskip("torch", reason="needs torch, of the extra oracles")

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.from_numpy(W))

        def forward(self, x):
            return torch.tanh(self.weight @ x).exp()

    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("innerProduct", name="product", outputs="t", inputChannels=3, outputChannels=2, weights=W)
    net.add("erf", name="not a tanh", outputs="u")
    net.add("unary", name="last", outputs="y", type="EXP")
    with pytest.raises(EquivalenceError) as caught:
        assert_equivalent(net.spec(), Module().eval(), {"x": X})
    assert "first divergent layer: 'not a tanh' (erf), after 't' =" in caught.value.divergence


def test_a_missing_package_is_named():
    from refcoreml.testing.extras import _Extra

    with pytest.raises(UsageError, match=r"needs no_such_package.*pip install no_such_package"):
        _ = _Extra("no_such_package").anything


def test_the_magnitude_is_that_of_large_numbers_but_not_of_masks():
    assert magnitude([3.0, -4.0, 0.0]) == pytest.approx(12.5**0.5)
    assert magnitude([0.98, 1e-6, 1e-9, 1e-12]) == pytest.approx(0.98 / 2)  # probabilities
    assert magnitude([3.0, -4.0, -1e9, -1e9, -1e9]) == pytest.approx(12.5**0.5)
    assert magnitude([np.inf, np.nan, 2.0]) == 2
    assert magnitude([0.0]) == magnitude([]) == 0
    assert magnitude([3e200, 4e200]) == pytest.approx(12.5**0.5 * 1e200)
