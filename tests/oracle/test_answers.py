"""What the oracle answers: storage, overflow, outputs of every type, faults that it finds, and statistics."""

from __future__ import annotations

import numpy as np
import pytest
from layer_examples import Example, Source
from PIL import Image

import refcoreml
from refcoreml import build
from refcoreml.errors import InputError, InvalidModelError, UnsupportedModelError, UsageError
from refcoreml.features import RefCoreMLWarning
from refcoreml.oracle import PROFILES, blob_answers, layer_answers, oracle
from refcoreml.oracle.balls import Ball, Rounding, quantum
from refcoreml.oracle.deviation import spread
from refcoreml.spec import schema

HALF, SINGLE = 2.0**-11, 2.0**-24


def layer(kind, *inputs, **fields):
    """The message of a network of one layer, and its inputs."""
    example = Example(kind, [np.asarray(x, np.float32) for x in inputs], fields)
    return example.model(), example.features()


def answer(kind, *inputs, profile="fp32", **fields):
    """The oracle's answer for one layer."""
    return oracle(*layer(kind, *inputs, **fields), profile)["y0"]


# ---- Storage ----


@pytest.mark.parametrize(("weight", "what"), [(70000, "is 70000, the largest"), (1e-9, "is 1e-09, too small")])
def test_weights_that_half_precision_loses_are_named(weight, what):
    fields = {"inputChannels": 1, "outputChannels": 2, "weights": np.float32([[1], [weight]])}
    with pytest.warns(RefCoreMLWarning, match=rf"layers\[0\].innerProduct.weights: number \[1\] {what}"):
        answer("innerProduct", [1], profile="fp16/acc32", **fields)


def test_inputs_and_weights_are_stored_first():
    x, w = 1 + 2.0**-13, 1 + 3 * 2.0**-13
    fields = {"inputChannels": 1, "outputChannels": 1, "weights": np.float32([[w]])}
    assert answer("innerProduct", [x], **fields).value == x * w
    assert answer("innerProduct", [x], profile="fp16/acc32", **fields).value == 1.0
    assert answer("innerProduct", [x], profile="fp16/acc32", **fields).bound == 0.0


def quantized(scale, bias, codes, bits=8):
    """Linear codes as a message."""
    weights = schema.WeightParams(rawValue=np.array(codes, np.uint8).tobytes())
    weights.quantization.numberOfBits = bits
    weights.quantization.linearQuantization.scale.append(scale)
    weights.quantization.linearQuantization.bias.append(bias)
    return weights


def test_linear_codes_are_known_within_two_roundings():
    """scale * code + bias cancels: the bound is u (|code scale| + |R|), not u |R|."""
    scale, bias = float(np.float32(0.1)), float(np.float32(-20.0))
    weights = quantized(scale, bias, [200, 255])
    found = answer("loadConstantND", shape=(2,), data=weights)
    exact = scale * np.array([200.0, 255.0]) + bias
    np.testing.assert_array_equal(found.value, exact)
    product = np.abs(scale * np.array([200.0, 255.0]))
    expected = SINGLE * (product + np.abs(exact) + SINGLE * product)
    np.testing.assert_allclose(found.bound, expected, rtol=1e-6)
    decoded = np.float32(scale) * np.float32([200, 255]) + np.float32(bias)
    assert (np.abs(decoded - exact) <= found.bound).all()
    assert (decoded != exact).any()
    # More than an ulp of the result: what cancels was rounded before.
    assert found.bound[0] > 100 * SINGLE * abs(exact[0])
    half = answer("loadConstantND", shape=(2,), data=weights, profile="fp16/acc32")
    assert (np.abs(decoded.astype(np.float16).astype(np.float64) - exact) <= half.bound).all()
    assert half.bound[1] == pytest.approx(HALF * abs(exact[1]), rel=1e-2)


def test_codes_that_the_arithmetic_holds_are_exact():
    found = answer("loadConstantND", shape=(3,), data=quantized(0.25, -3.0, [0, 12, 200]))
    assert found.value.tolist() == [-3, 0, 47]
    assert not found.bound.any()


def test_tables_are_stored():
    weights = schema.WeightParams(rawValue=b"\x80")
    weights.quantization.numberOfBits = 1
    weights.quantization.lookupTableQuantization.floatValue.extend([0.1, 0.3])
    found = answer("loadConstantND", shape=(2,), data=weights, profile="fp16/acc32")
    np.testing.assert_array_equal(found.value, np.float16([0.3, 0.1]).astype(np.float64))
    assert not found.bound.any()


def test_model_stays_as_it_was():
    spec, x = layer("innerProduct", [1.0], inputChannels=1, outputChannels=1, weights=np.float32([[0.1]]))
    before = spec.SerializeToString()
    oracle(spec, x, "fp16/acc16")
    assert spec.SerializeToString() == before


# ---- The edges of the formats ----


@pytest.mark.parametrize(
    ("profile", "x", "infinite"),
    [("fp32", 2e38, False), ("fp32", 2.0**127 * 1.5, True), ("fp16/acc32", 3e4, False), ("fp16/acc32", 4e4, True)],
)
def test_certain_overflow(profile, x, infinite):
    """4 x is beyond the format for certain, 1.5 x is not."""
    found = answer("multiply", [x, -x, 1.0], profile=profile, alpha=4.0 if infinite else 1.5)
    assert np.isinf(found.value[:2]).all() == infinite
    assert not found.bound[:2].any() if infinite else np.isfinite(found.bound).all()
    assert np.isfinite(found.value[2])


def test_possible_overflow_is_open():
    """65519 is rounded to 65504, 65520 to infinity: near them nothing is certain."""
    found = answer("addBroadcastable", [65504.0, 65504.0], [15.0, 1000.0], profile="fp16/acc32")
    assert np.isinf(found.bound[0]) or np.isfinite(found.value[0])
    assert np.isinf(found.value[1])
    assert found.bound[1] == 0
    # A sum whose terms are beyond half precision in some order, though it is not.
    x = np.full(8, 3e4) * [1, 1, 1, 1, -1, -1, -1, -1]
    assert np.isinf(answer("reduceSum", x, profile="fp16/acc16", reduceAll=True).bound).all()
    assert np.isfinite(answer("reduceSum", x, profile="fp16/acc32", reduceAll=True).bound).all()


def test_squares_beyond_the_format_are_open():
    """300 is a half, its square is none: where sums are made in halves, the root may be 300 or infinite."""
    open_ = answer("reduceL2", [300.0, 1.0], profile="fp16/acc16", reduceAll=True)
    assert np.isinf(open_.bound).all()
    for profile, x in ("fp16/acc16", [200.0, 1.0]), ("fp16/acc32", [300.0, 1.0]):
        assert np.isfinite(answer("reduceL2", x, profile=profile, reduceAll=True).bound).all()


def test_what_follows_an_overflow_is_open():
    net = build.Network({"x": (1,)}, ["y"], exact=True)
    net.add("multiply", inputs="x", outputs="m", alpha=4.0)
    net.add("tanh", inputs="m", outputs="y")
    found = oracle(net.spec(), {"x": np.float32([4e4])}, "fp16/acc32")["y"]
    assert np.isinf(found.bound).all()


def test_subnormals_may_be_flushed():
    tiny = 2.0**-16
    for kind, fields in (("multiply", {"alpha": 1.0}), ("copy", {})):
        found = answer(kind, [tiny, 1.0], profile="fp16/acc32", **fields)
        assert found.bound[0] >= tiny
        assert found.bound[1] == 0
    found = answer("multiply", [1.0], profile="fp32", alpha=2.0**-130)
    assert found.bound >= found.value


def test_special_values():
    x = [np.inf, -np.inf, np.nan, 0.0, -0.0]
    for profile in PROFILES:
        for kind, fields in (("tanh", {}), ("add", {"alpha": 1.0}), ("activation", {"ReLU": {}}), ("ceil", {})):
            spec, given = layer(kind, np.reshape(x, (5,)), **fields)
            found = oracle(spec, given, profile)["y0"]
            y = refcoreml.load(spec).predict(given)["y0"]
            assert np.isfinite(found.bound[:3]).all()
            np.testing.assert_allclose(found.value[:3], y[:3], rtol=1e-6)


# ---- Outputs ----


def test_images_are_rounded_to_bytes():
    net = build.Network({"image": build.image(3, 2, "RGB")}, {"y": build.image(3, 2, "RGB")})
    net.preprocess("image", channel_scale=1 / 255, red_bias=-0.5)
    net.add("activation", inputs="image", outputs="y", linear={"alpha": 255.0, "beta": 127.5})
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 3), np.uint8)
    for profile, precision in (("fp32", "float32"), ("fp16/acc32", "float16")):
        found = oracle(net.spec(), {"image": Image.fromarray(pixels)}, profile)["y"]
        picture = np.asarray(net.model(precision=precision).predict({"image": Image.fromarray(pixels)})["y"])[..., :3]
        assert found.value.shape == (3, 2, 3)
        assert found.check == "interval"
        off = np.abs(np.moveaxis(picture, -1, 0) - found.value)
        assert (off <= found.bound).all()
        assert found.bound.max() < 4


def test_classifiers():
    net = build.Network({"x": (4,)}, ["p"], classes=["a", "b", "c"])
    w = np.float32([[1, 2, 3, 4], [1, 2, 3, 4.5], [0, 1, 0, 1]])
    net.add("innerProduct", inputs="x", outputs="s", inputChannels=4, outputChannels=3, weights=w)
    net.add("softmax", inputs="s", outputs="p")
    spec, x = net.spec(), {"x": np.float32([0.1, 0.2, 0.3, 0.4])}
    found = oracle(spec, x)
    label, scores = spec.description.predictedFeatureName, spec.description.predictedProbabilitiesName
    assert found[scores].labels == found[label].labels == ("a", "b", "c")
    assert found[label].value == 1
    assert found[label].bound == 0
    outputs = refcoreml.load(spec).predict(x)
    y = np.array(list(outputs[scores].values()))
    assert (np.abs(y - found[scores].value) <= found[scores].bound).all()
    # Equal scores: either label.
    assert oracle(spec, {"x": np.float32([1, 1, 1, 0])})[label].bound == 1


def test_whole_numbers_and_halves():
    for kind, made in (("INT32", "interval"), ("FLOAT16", "func")):
        net = build.Network({"x": (3,)}, {"y": build.array(3, data_type=kind)})
        net.add("unary", inputs="x", outputs="y", type="EXP")
        x = {"x": np.float32([0.0, 1.0, 2.5])}
        found = oracle(net.spec(), x)["y"]
        y = np.asarray(net.model().predict(x)["y"], np.float64)
        assert (np.abs(y - found.value) <= found.bound).all()
        assert found.check == made


def test_blobs_and_classes():
    net = build.Network({"x": (2, 3, 3)}, ["y"])
    net.add("activation", inputs="x", outputs="a", ReLU={})
    net.add("flatten", inputs="a", outputs="f")
    net.add("softmax", inputs="f", outputs="y")
    found = blob_answers(net.spec(), {"x": np.zeros((2, 3, 3))})
    assert {name: bound.check for name, bound in found.items() if name != "x"} == {
        "a": "func",
        "f": "func",
        "y": "composite",
    }


@pytest.mark.parametrize("profile", PROFILES)
def test_layers_by_themselves(profile):
    """Bounds of a layer given its own inputs: as of a network of this layer alone, and not growing."""
    net = build.Network({"x": (6,)}, ["y"], exact=True)
    for index, kind in enumerate(("sinh", "tanh", "softmaxND")):
        names = {"inputs": "x" if index == 0 else f"b{index - 1}", "outputs": "y" if index == 2 else f"b{index}"}
        net.add(kind, name=kind, **names)
    x = {"x": np.random.default_rng(0).normal(size=6)}
    found = list(layer_answers(net.spec(), x, profile))
    assert [item.kind for item in found] == ["sinh", "tanh", "softmaxND"]
    for item in found:
        ((_, bound),) = item.outputs.items()
        alone = answer(item.kind, *item.inputs, profile=profile)
        np.testing.assert_array_equal(bound.value, alone.value)
        np.testing.assert_array_equal(bound.radius, alone.bound)
    whole = oracle(net.spec(), x, profile)["y"]
    assert (found[-1].outputs["y"].radius < whole.bound).all()


def test_errors():
    spec, x = layer("tanh", [1.0])
    with pytest.raises(UsageError, match=r"unknown profile 'fp8', choose one of fp32, fp16/acc32, fp16/acc16"):
        oracle(spec, x, "fp8")
    other = schema.Model(specificationVersion=1)
    other.glmRegressor.weights.add().value.append(1.0)
    with pytest.raises(UnsupportedModelError, match="networks"):
        oracle(other, {})


# ---- Faults ----


def _half_away(x):
    return np.sign(x) * np.floor(np.abs(x) + 0.5)


def _standardized(x, epsilon, *, outside=False, unbiased=False):
    deviation = x.std(axis=(-1, -2), ddof=int(unbiased), keepdims=True)
    divisor = deviation + epsilon if outside else np.sqrt(deviation**2 + epsilon)
    return (x - x.mean(axis=(-1, -2), keepdims=True)) / divisor


S = Source(3, "normal")
X, W = S(2, 4, 5).astype(np.float64), S(6, 40).astype(np.float64)
FLAT = X.reshape(-1)
FAULTS = {
    "a term of 40 dropped": ("innerProduct", FLAT, W[:, 1:] @ FLAT[1:]),
    "bias forgotten": ("bias", X, X),
    "epsilon outside of the root": ("mvn", X, _standardized(X, 1e-3, outside=True)),
    "n - 1 instead of n": ("mvn", X, _standardized(X, 1e-3, unbiased=True)),
    "halves away from zero": ("round", np.arange(8) - 3.5, _half_away(np.arange(8) - 3.5)),
    "gelu by tanh": ("gelu", X, X * (1 + np.tanh(np.sqrt(2 / np.pi) * (X + 0.044715 * X**3))) / 2),
    "softmax along another axis": ("softmaxND", X, np.exp(X) / np.exp(X).sum(-2, keepdims=True)),
    "an axis reversed": ("reverse", X, X[:, ::-1]),
    "sum of squares without root": ("reduceL2", X, np.square(X).sum(-1, keepdims=True)),
    "a window too long": ("reduceMean", X, X[..., :-1].sum(-1, keepdims=True) / 5),
}
FIELDS = {
    "innerProduct": {"inputChannels": 40, "outputChannels": 6, "weights": W.astype(np.float32)},
    "bias": {"shape": (2,), "bias": np.float32([0.01, -0.01])},
    "mvn": {"normalizeVariance": True, "epsilon": 1e-3},
    "gelu": {"mode": "EXACT"},
    "softmaxND": {"axis": -1},
    "reverse": {"reverseDim": (False, False, True)},
    "reduceL2": {"axes": (-1,), "keepDims": True},
    "reduceMean": {"axes": (-1,), "keepDims": True},
}


#: The two forms of gelu differ by less than half precision resolves.
HIDDEN = {("gelu by tanh", "fp16/acc32")}


@pytest.mark.parametrize(
    ("fault", "profile"),
    [(fault, profile) for fault in FAULTS for profile in ("fp32", "fp16/acc32") if (fault, profile) not in HIDDEN],
)
def test_faults_are_found(fault, profile):
    kind, x, wrong = FAULTS[fault]
    found = answer(kind, x, profile=profile, **FIELDS.get(kind, {}))
    wrong = np.reshape(wrong, found.value.shape)
    assert (np.abs(wrong - found.value) > found.bound).any()


# ---- Statistics of sums in half precision ----


def halves(x):
    return np.asarray(x, np.float16)


def one_by_one(terms):
    total = np.zeros(terms.shape[:-1], np.float16)
    for k in range(terms.shape[-1]):
        total = halves(total + terms[..., k])
    return total


def in_pairs(terms):
    while terms.shape[-1] > 1:
        if terms.shape[-1] % 2:
            terms = np.concatenate([terms, np.zeros_like(terms[..., :1])], -1)
        terms = halves(terms[..., ::2] + terms[..., 1::2])
    return terms[..., 0]


@pytest.mark.parametrize("style", ["normal", "wide"])
@pytest.mark.parametrize("terms", [9, 64, 576])
def test_statistics_tell_honest_sums_from_a_dropped_term(terms, style):
    """Where the bound admits a dropped term, the spread of 1000 errors does not."""
    s = Source(5, style)
    x = halves(s(40, terms))
    w = halves(s(29, terms) / np.sqrt(np.float32(terms)))
    fields = {"inputChannels": terms, "outputChannels": 29, "weights": w.astype(np.float32)}
    found = answer("innerProduct", x, profile="fp16/acc16", **fields)
    products = halves(x[:, None] * w)
    for honest in (one_by_one(products), one_by_one(products[..., ::-1]), in_pairs(products)):
        assert (np.abs(honest - found.value) <= found.bound).all()
        found_spread = spread(honest, found.value, found.deviation)
        assert found_spread.honest
        assert found_spread.rms < 0.9
    dropped = one_by_one(np.delete(products, terms // 2, -1))
    assert not spread(dropped, found.value, found.deviation).honest
    if terms == 576 and style == "normal":
        assert (np.abs(dropped - found.value) <= found.bound).all()


def test_statistics_need_many_numbers():
    with pytest.raises(ValueError, match="999 numbers are too few"):
        spread(np.zeros(999), np.zeros(999), np.ones(999))


# ---- Arithmetic with balls ----


def test_quantum():
    assert quantum(Ball.exact([3.0, -0.75, 0.0])) == 0.25
    assert quantum(Ball.exact([0.0])) == np.inf
    assert quantum(Ball(np.ones(2), np.array([0.0, 1e-9]))) == 0
    assert quantum(Ball.exact([5e-324, 2.0])) == 5e-324


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_operations_hold_all_results(dtype):
    """Members of balls, computed in the type itself, stay within; division by what may be 0 is open."""
    rng = np.random.default_rng(0)
    r = Rounding.of(dtype)
    a, b = (rng.normal(size=3000).astype(dtype) for _ in range(2))
    rad = [np.abs(rng.normal(size=3000)) * 1e-2 for _ in range(2)]
    off = [(v + rng.uniform(-1, 1, 3000) * d).astype(dtype) for v, d in zip((a, b), rad, strict=True)]
    wide = [d + np.abs(o.astype(float) - v) for d, o, v in zip(rad, off, (a, b), strict=True)]
    balls = [Ball(v.astype(np.float64), d) for v, d in zip((a, b), wide, strict=True)]
    with np.errstate(all="ignore"):
        pairs = {
            r.add: off[0] + off[1],
            r.subtract: off[0] - off[1],
            r.multiply: off[0] * off[1],
            r.divide: off[0] / off[1],
        }
    for operation, actual in pairs.items():
        ball = operation(*balls)
        assert (np.abs(actual.astype(np.float64) - ball.mid) <= ball.rad).all()
    crossing = np.abs(balls[1].mid) <= balls[1].rad
    assert np.isinf(r.divide(*balls).rad[crossing]).all()
    assert crossing.any()


@pytest.mark.parametrize("profile", ["fp16/acc32", "fp16/acc16"])
def test_weights_are_rounded_beside_a_custom_layer_with_parameters(profile):
    """Maps hold no weights; that a custom layer has no bound is what refuses the network."""
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("custom", outputs="y", class_name="Twice", parameters={"factor": 2.0})
    model = refcoreml.load(net.spec(), custom_layers={"Twice": lambda x, factor: x * factor})
    with pytest.raises(UnsupportedModelError, match=r"user's own|Twice"):
        oracle(model, {"x": np.ones(3)}, profile)


def test_an_output_of_another_form_than_declared_is_refused_as_by_a_prediction():
    net = build.Network({"x": (3, 4)}, ["y"], exact=True)
    net.add("activation", outputs="y", ReLU={})
    spec = net.spec()
    spec.description.output[0].type.int64Type.SetInParent()
    inputs = {"x": np.ones((3, 4))}
    for profile in PROFILES:
        with pytest.raises(InvalidModelError, match="computes 12 numbers where it declares one"):
            oracle(spec, inputs, profile)
    with pytest.raises(InvalidModelError, match="computes 12 numbers where it declares one"):
        refcoreml.load(spec).predict(inputs)


def test_an_output_that_no_round_of_a_loop_made_is_refused_as_by_a_prediction():
    net = build.Network({"n": (1,), "x": (3,)}, ["y"], exact=True)
    net.add("loop", inputs="n", outputs=[], body_network={"layers": [{"input": ["x"], "output": ["y"], "copy": {}}]})
    spec, inputs = net.spec(), {"n": np.zeros(1), "x": np.ones(3)}
    with pytest.raises(InputError, match="no round of its loop"):
        oracle(spec, inputs)
    with pytest.raises(InputError, match="no round of its loop"):
        refcoreml.load(spec).predict(inputs)


def test_what_does_not_fit_an_integer_output_saturates_as_in_a_prediction():
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("exp2", outputs="y")
    spec = net.spec()
    spec.description.output[0].type.multiArrayType.dataType = schema.ArrayFeatureType.INT8
    answer = oracle(spec, {"x": np.array([10.0, 3.0, -2.0])})["y"]
    assert answer.value[0] == 127
    assert answer.bound[0] == 0
