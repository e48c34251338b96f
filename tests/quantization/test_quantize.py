"""quantize_weights, dequantize_weights, weight_tensors, selectors: on networks with every kind of weighted layer."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from profiles import THOROUGH
from quantized_networks import dense, pictures, sequences, vectors, w

import refcoreml
from refcoreml import build
from refcoreml.errors import CallbackError, InvalidModelError, RefCoreMLError, UnsupportedModelError, UsageError
from refcoreml.features import RefCoreMLWarning
from refcoreml.quantization import MODES, Scheme, selectors, weight_changes, weight_tensors
from refcoreml.spec import schema
from refcoreml.spec.weights import encode_linear

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module", params=[pictures, vectors, sequences], ids=lambda make: make.__name__)
def model(request):
    return request.param()


@cache
def quantized(model, bits, mode):
    """Quantizing takes longer than any of the tests that look at the result."""
    return refcoreml.quantize_weights(model, bits, mode)


def inputs_of(model, seed=3):
    rng = np.random.default_rng(seed)
    return {feature.name: rng.standard_normal(feature.shapes.default).astype(np.float32) for feature in model.inputs}


def schemes():
    for bits in range(1, 9):
        for mode in ("linear", "linear_symmetric", "linear_lut", "kmeans"):
            if (bits, mode) != (1, "linear_symmetric"):
                yield bits, mode
    yield 16, "linear"


# ---- What can be quantized ----


def gate_fields(prefix, gates):
    parts = ("WeightMatrix", "RecursionMatrix", "BiasVector")
    return {f"{prefix}{gate}{part}" for gate in gates for part in parts}


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (
            pictures,
            {"conv.weights", "conv.bias", "norm.gamma", "norm.beta", "norm.mean", "norm.variance", "up.weights"}
            | {"scale.scale", "scale.bias", "bias.bias", "prelu.PReLU.alpha", "constant.data"}
            | {"dense.weights", "dense.bias"},
        ),
        (
            vectors,
            {"matmul.weights", "matmul.bias", "ln.gamma", "ln.beta", "constant.data", "inner.weights", "inner.bias"},
        ),
        (
            sequences,
            {"rnn.weightMatrix", "rnn.recursionMatrix", "rnn.biasVector"}
            | gate_fields("gru.", ["updateGate", "resetGate", "outputGate"])
            | gate_fields("lstm.weightParams[0].", ["inputGate", "forgetGate", "blockInput", "outputGate"])
            | gate_fields("lstm.weightParams[1].", ["inputGate", "forgetGate", "blockInput", "outputGate"]),
        ),
    ],
)
def test_every_weighted_field_is_listed(make, expected):
    names = [tensor.name for tensor in weight_tensors(make())]
    assert set(names) == expected
    assert len(names) == len(expected)


def test_a_tensor_knows_its_shape_axis_and_values():
    tensors = {tensor.name: tensor for tensor in weight_tensors(pictures())}
    up = tensors["up.weights"]
    assert (up.shape, up.channel_axis, up.channels, up.count) == ((12, 5, 2, 3), 1, 5, 360)
    np.testing.assert_array_equal(up.values(), w(12, 5, 2, 3))
    assert up.encoding.kind == "float32"
    assert not up.channel_scales  # Apple's validator would count the channels of all groups
    assert tensors["conv.weights"].channel_scales
    assert not tensors["conv.bias"].channel_scales
    assert tensors["bias.bias"].channel_scales
    assert "conv" in up.where or "up" in up.where
    assert tensors["prelu.PReLU.alpha"].allowed == {"float32", "float16"}


def test_inner_models_of_a_pipeline_are_quantized():
    spec = schema.Model(specificationVersion=4)
    inner = vectors().spec
    spec.pipeline.models.add().CopyFrom(inner)
    spec.pipeline.models.add().CopyFrom(inner)
    pipeline = refcoreml.load(spec, prepare=False)
    tensors = weight_tensors(pipeline)
    assert len(tensors) == 14
    assert len({tensor.where for tensor in tensors}) == 14
    smaller = refcoreml.quantize_weights(pipeline, 8)
    kinds = [tensor.encoding.kind for tensor in weight_tensors(smaller) if tensor.field == "weights"]
    assert kinds == ["linear"] * 4


def test_layers_beside_custom_ones_are_quantized():
    net = build.Network({"x": (40,)}, ["y"], exact=True)
    net.add("innerProduct", name="dense", **dense(40, 30))
    net.add("custom", outputs="y", className="Mystery")
    smaller = refcoreml.quantize_weights(net.spec(), 8)
    assert [tensor.encoding.kind for tensor in weight_tensors(smaller)] == ["linear", "linear"]


# ---- Quantizing ----


@pytest.mark.parametrize(("bits", "mode"), list(schemes()))
def test_predictions_are_those_of_the_dequantized_model(model, bits, mode):
    smaller = quantized(model, bits, mode)
    inputs = inputs_of(model)
    one, other = smaller.predict(inputs), refcoreml.dequantize_weights(smaller).predict(inputs)
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name])
    assert {tensor.encoding.kind for tensor in weight_tensors(refcoreml.dequantize_weights(smaller))} == {"float32"}
    assert smaller.spec.ByteSize() < model.spec.ByteSize()


@pytest.mark.parametrize(("bits", "mode"), list(schemes()))
def test_every_weight_is_near_its_original(model, bits, mode):
    """No farther than the coarsest of levels laid evenly over its tensor: half of range / (2^bits - 1), and rounding.

    k-means may be farther for a few weights, but not in the mean square.
    """
    for before, after in zip(weight_tensors(model), weight_tensors(quantized(model, bits, mode)), strict=True):
        w, error = before.values(), after.values() - before.values()
        most = (1 << bits) - 1 if bits <= 8 else 2**11
        reach = 2 * np.abs(w).max() / (most - 1 or 1) if mode == "linear_symmetric" else np.ptp(w) / most
        if bits == 16:
            reach = 2 * np.abs(w).max() / most
        step = reach * (1 + 2.0**-15) + 4 * np.spacing(np.abs(w).max())
        if mode == "kmeans":
            assert np.sqrt(np.mean(np.square(error, dtype=np.float64))) <= step / 2
        else:
            assert np.abs(error).max() <= step / 2


@pytest.mark.parametrize("mode", ["linear", "linear_symmetric"])
@pytest.mark.parametrize("fit", ["minmax", "mse"])
def test_scales_of_a_deconvolution_run_along_its_output_channels(mode, fit):
    """The second axis of its weights: channels a hundred times as large must not cost the others their digits."""
    weights = w(7, 5, 2, 3) * np.float32([1, 100, 1e-3, 10, 1e4]).reshape(1, 5, 1, 1)
    net = build.Network({"x": (7, 4, 6)}, ["y"])
    net.add(
        "convolution", outputs="y", isDeconvolution=True, outputChannels=5, kernelChannels=7, nGroups=1,
        kernelSize=[2, 3], weights=weights, valid={},
    )  # fmt: skip
    (tensor,) = weight_tensors(refcoreml.quantize_weights(net.spec(), 8, mode, fit=fit))
    assert len(tensor.message.quantization.linearQuantization.scale) == 5
    error = np.abs(tensor.values() - weights).max(axis=(0, 2, 3))
    largest = np.abs(weights).max(axis=(0, 2, 3))
    # Half a step of at most 2 max / 254. Least squares leave one of a channel's 42 weights no farther off than the root
    # of their sum, which is not above that of 42 half steps.
    assert (error <= largest / 127 / 2 * (1 + 2.0**-14) * (1 if fit == "minmax" else np.sqrt(42))).all()


@pytest.mark.parametrize(("bits", "mode"), list(schemes()))
def test_apples_rules_of_encodings_are_kept(model, bits, mode):
    tensors = weight_tensors(quantized(model, bits, mode))
    for tensor in tensors:
        assert tensor.encoding.kind in tensor.allowed
        quantization = tensor.message.quantization
        scales = len(quantization.linearQuantization.scale)
        assert scales in ({0, 1, tensor.channels} if tensor.channel_scales else {0, 1})
        assert len(quantization.linearQuantization.bias) == scales
        if tensor.encoding.kind == "lookup table":
            assert len(quantization.lookupTableQuantization.floatValue) == 1 << bits
    floats: dict[str, set[str]] = {}
    for tensor in tensors:
        if tensor.encoding.kind.startswith("float"):
            floats.setdefault(tensor.layer, set()).add(tensor.encoding.kind)
    assert all(len(kinds) == 1 for kinds in floats.values())


@pytest.mark.parametrize(("mode", "fit"), [("kmeans", "minmax"), ("linear", "mse"), ("linear_lut", "mse")])
def test_the_error_does_not_grow_with_the_bits(model, mode, fit):
    noises = [
        sum(c.noise * c.count for c in weight_changes(model, refcoreml.quantize_weights(model, bits, mode, fit=fit)))
        for bits in (range(1, 9) if THOROUGH else (1, 3, 6))
    ]
    assert noises == sorted(noises, reverse=True)
    assert noises[0] > 100 * noises[-1]


@pytest.mark.parametrize("bits", range(1, 9))
def test_a_fit_by_mse_is_never_worse(model, bits):
    def noises(fit):
        return [c.noise for c in weight_changes(model, refcoreml.quantize_weights(model, bits, fit=fit))]

    spanned, fitted = noises("minmax"), noises("mse")
    assert all(one <= other * (1 + 1e-12) for one, other in zip(fitted, spanned, strict=True))
    if bits <= 3:  # where levels are few, reaching the last outlier costs most
        assert sum(fitted) < 0.9 * sum(spanned)


def test_percentiles_clip_outliers():
    values = w(3, 4000)
    values[0, 0] = 1000.0
    net = build.Network({"x": (4000,)}, ["y"])
    net.add("innerProduct", outputs="y", inputChannels=4000, outputChannels=3, weights=values)
    decoded = {
        fit: weight_tensors(refcoreml.quantize_weights(net.spec(), 4, fit=fit))[0].values()
        for fit in ("minmax", ("percentile", 99.0))
    }
    assert np.abs(decoded["minmax"] - values)[0, 1:].mean() > 1
    assert np.abs(decoded["percentile", 99.0] - values)[0, 1:].mean() < 0.2
    assert decoded["percentile", 99.0][0].max() == pytest.approx(np.percentile(values[0], 99), rel=1e-3)


def test_small_and_constant_channels_survive():
    """coremltools makes every weight of such channels equal."""
    values = np.stack([1e-5 * w(500), np.full(500, 0.1, np.float32), w(500)])
    net = build.Network({"x": (500,)}, ["y"])
    net.add("innerProduct", outputs="y", inputChannels=500, outputChannels=3, weights=values)
    spec = net.spec()
    ours = weight_tensors(refcoreml.quantize_weights(spec, 8))[0].values()
    theirs = weight_tensors(refcoreml.quantize_weights(spec, 8, compatible="coremltools"))[0].values()
    assert len(np.unique(theirs[0])) == 1
    assert len(np.unique(ours[0])) > 100
    np.testing.assert_array_equal(ours[1], values[1])


def test_zero_is_exact_with_symmetric_levels():
    values = w(3, 500)
    values[:, ::7] = 0
    net = build.Network({"x": (500,)}, ["y"])
    net.add("innerProduct", outputs="y", inputChannels=500, outputChannels=3, weights=values)
    decoded = weight_tensors(refcoreml.quantize_weights(net.spec(), 4, "linear_symmetric"))[0].values()
    assert (decoded[:, ::7] == 0).all()


def test_sensitivity_moves_the_levels_to_where_it_counts():
    values = w(4, 2000)
    important = values > 1
    net = build.Network({"x": (2000,)}, ["y"])
    net.add("innerProduct", name="fc", outputs="y", inputChannels=2000, outputChannels=4, weights=values)
    spec = net.spec()
    for sensitivity in {"fc.weights": 1 + 99 * important}, lambda tensor: 1 + 99 * important:
        plain, weighted = (
            weight_tensors(refcoreml.quantize_weights(spec, 3, "kmeans", sensitivity=given))[0].values() - values
            for given in (None, sensitivity)
        )
        assert np.mean(weighted[important] ** 2) < 0.5 * np.mean(plain[important] ** 2)


def test_half_mixed_and_quantized_models_go_in():
    net = build.Network({"x": (40,)}, ["y"], exact=True)
    net.add("innerProduct", name="half", **dense(40, 31, np.float16))
    net.add("innerProduct", name="mixed", **(dense(31, 30) | {"weights": w(30, 31, kind=np.float16)}))
    codes = RNG.integers(0, 256, (29, 30)).astype(np.uint8)
    stored = encode_linear(codes, 8, np.full(29, 0.01), np.full(29, -1.28))
    net.add("innerProduct", name="quantized", outputs="y", **(dense(30, 29) | {"weights": stored}))
    spec = net.spec()
    smaller = {t.name: t for t in weight_tensors(refcoreml.quantize_weights(spec, 4, "kmeans"))}
    assert {t.encoding.bits for t in smaller.values() if t.field == "weights"} == {4}
    kept = {t.name: t for t in weight_tensors(refcoreml.quantize_weights(spec, 8))}
    assert kept["quantized.weights"].message.rawValue == stored.rawValue  # nothing would be gained
    halves = {t.name: t.encoding.kind for t in weight_tensors(refcoreml.quantize_weights(spec, 16))}
    assert set(halves.values()) == {"float16", "linear"}
    full = refcoreml.dequantize_weights(spec)
    assert {t.encoding.kind for t in weight_tensors(full)} == {"float32"}
    x = {"x": w(40)}
    np.testing.assert_array_equal(full.predict(x)["y"], refcoreml.load(spec).predict(x)["y"])


def test_half_precision_takes_the_rest_of_the_layer_along():
    chosen = selectors.by_field("weights")
    kinds = {
        t.name: t.encoding.kind for t in weight_tensors(refcoreml.quantize_weights(vectors(), 16, selector=chosen))
    }
    assert kinds["inner.weights"] == kinds["inner.bias"] == "float16"
    assert kinds["ln.gamma"] == "float32"


def test_dynamic_quantization_stays_until_all_is_decoded():
    stored = schema.WeightParams(int8RawValue=RNG.integers(-127, 128, 600).astype(np.int8).tobytes())
    stored.quantization.numberOfBits = 8
    stored.quantization.linearQuantization.scale.append(0.02)
    net = build.Network({"x": (30,)}, ["y"], exact=True)
    net.add("innerProduct", name="fc", outputs="y", **(dense(30, 20, int8DynamicQuantize=True) | {"weights": stored}))
    spec = net.spec()
    smaller = refcoreml.quantize_weights(spec, 4)
    assert {t.name: t.encoding.kind for t in weight_tensors(smaller)} == {"fc.weights": "int8", "fc.bias": "linear"}
    full = refcoreml.dequantize_weights(spec)
    assert not full.spec.neuralNetwork.layers[0].innerProduct.int8DynamicQuantize
    x = {"x": w(30)}
    np.testing.assert_array_equal(full.predict(x)["y"], refcoreml.load(spec).predict(x)["y"])


def test_the_original_is_untouched(model):
    before = model.spec.SerializeToString()
    x = inputs_of(model)
    outputs = model.predict(x)
    smaller = refcoreml.quantize_weights(model, 2, "kmeans")
    assert model.spec.SerializeToString() == before
    for name, value in model.predict(x).items():
        np.testing.assert_array_equal(value, outputs[name])
    before = smaller.spec.SerializeToString()
    refcoreml.dequantize_weights(smaller)
    assert smaller.spec.SerializeToString() == before


def test_it_is_deterministic_and_saved_models_are_the_same(model, tmp_path):
    one, other = (refcoreml.quantize_weights(model, 4, "kmeans") for _ in range(2))
    assert one.spec.SerializeToString(deterministic=True) == other.spec.SerializeToString(deterministic=True)
    one.save(tmp_path / "m.mlmodel")
    read = refcoreml.load(tmp_path / "m.mlmodel")
    inputs = inputs_of(model)
    for name, value in one.predict(inputs).items():
        np.testing.assert_array_equal(value, read.predict(inputs)[name])


@pytest.mark.parametrize(("bits", "mode", "version"), [(16, "linear", 2), (8, "linear", 3), (2, "kmeans", 3)])
def test_the_specification_version_is_the_one_that_brought_the_encoding(bits, mode, version):
    net = build.Network({"x": (30,)}, ["y"])
    net.add("innerProduct", outputs="y", inputChannels=30, outputChannels=20, weights=w(20, 30))
    spec = net.spec()
    spec.specificationVersion = 1
    assert refcoreml.quantize_weights(spec, bits, mode).spec.specificationVersion == version
    spec.specificationVersion = 5
    assert refcoreml.quantize_weights(spec, bits, mode).spec.specificationVersion == 5
    outer = schema.Model(specificationVersion=1)
    spec.specificationVersion = 1
    outer.pipeline.models.add().CopyFrom(spec)
    smaller = refcoreml.quantize_weights(outer, bits, mode).spec
    assert smaller.specificationVersion == smaller.pipeline.models[0].specificationVersion == version


# ---- Which, and how ----


def kinds_after(model, **options):
    return {
        t.name: (t.encoding.kind, t.encoding.bits) for t in weight_tensors(refcoreml.quantize_weights(model, **options))
    }


def test_a_plan_decides_by_layer():
    model = pictures()
    found = kinds_after(model, plan={"conv": (8, "linear"), "dense": [2, "kmeans"]})
    assert found["conv.weights"] == ("linear", 8)
    assert found["dense.weights"] == ("lookup table", 2)
    assert found["bias.bias"] == ("float32", 32)
    found = kinds_after(model, nbits=16, plan={"dense": (2, "kmeans")})
    assert found["dense.weights"] == ("lookup table", 2)
    assert found["bias.bias"] == ("float16", 16)


def test_a_plan_for_an_unknown_layer_gets_the_names_that_there_are():
    with pytest.raises(UsageError, match=r"names 'conf', .*\. Did you mean 'conv'\?$"):
        refcoreml.quantize_weights(pictures(), plan={"conf": (8, "linear")})
    with pytest.raises(UsageError, match=r"names 'zzz', .*\. Layers with weights: 'conv', .*'dense'"):
        refcoreml.quantize_weights(pictures(), plan={"zzz": (8, "linear")})


def parsed(*terms):
    chosen = selectors.everything
    for term in terms:
        chosen = chosen & selectors.parse(term)
    return chosen


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (selectors.by_kind("convolution"), {"conv.weights", "conv.bias", "up.weights"}),
        (selectors.by_kind("convolution") & selectors.matrices, {"conv.weights", "up.weights"}),
        (selectors.by_name("d*", "up"), {"dense.weights", "dense.bias", "up.weights"}),
        (selectors.by_field("*bias") & ~selectors.by_name("scale", "dense"), {"conv.bias", "bias.bias"}),
        (selectors.at_least(count=1000, channels=11), {"dense.weights"}),
        (selectors.at_most(channels=5) | selectors.by_name("conv"), {"up.weights", "conv.weights", "conv.bias"}),
        (lambda tensor: tensor.count == 30940, {"dense.weights"}),
        (parsed("name!=dense,conv", "matrices", "count<=400"), {"up.weights"}),
        (parsed("channels>=12", "kind=convolution", "field=weights"), {"conv.weights"}),
    ],
)  # fmt: skip
def test_selectors(selector, expected):
    model = pictures()
    assert {tensor.name for tensor in weight_tensors(model) if selector(tensor)} == expected
    changed = {
        c.layer + "." + c.field
        for c in weight_changes(model, refcoreml.quantize_weights(model, 6, selector=selector))
        if c.noise
    }
    assert changed == expected


def test_progress_counts_the_weights():
    seen = []
    refcoreml.quantize_weights(pictures(), 8, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1] > 30_000


def test_a_users_table():
    def thirds(bits, weights):
        assert weights.shape in {(40, 40), (7, 40), (40,)}
        table = np.linspace(weights.min(), weights.max(), 1 << bits)
        return table, np.abs(weights[..., None] - table).argmin(axis=-1)

    found = weight_tensors(refcoreml.quantize_weights(vectors(), 3, "custom_lut", lut_function=thirds))
    inner = next(tensor for tensor in found if tensor.name == "inner.weights")
    assert inner.encoding.kind == "lookup table"
    original = w(40, 40)
    assert np.abs(inner.values() - original).max() <= (original.max() - original.min()) / 14 * (1 + 1e-6)


# ---- Bad input ----


@pytest.mark.parametrize("bits", [0, -1, 9, 15, 17, 33, 4.5, "8", True])
def test_bits_out_of_range(bits):
    with pytest.raises(UsageError, match="bits"):
        refcoreml.quantize_weights(vectors(), bits)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"nbits": 8, "mode": "cubic"}, "unknown mode 'cubic'"),
        ({"nbits": 8, "fit": "best"}, "unknown fit"),
        ({"nbits": 8, "fit": ("percentile", 40)}, "unknown fit"),
        ({"nbits": 1, "mode": "linear_symmetric"}, "2 to 8 bits"),
        ({"nbits": 8, "mode": "custom_lut"}, "needs a lut_function"),
        ({"nbits": 8, "lut_function": print}, "takes no lut_function"),
        ({"nbits": 8, "compatible": "tensorflow"}, "coremltools"),
        ({"nbits": 8, "mode": "kmeans", "compatible": "coremltools"}, "cannot be compatible"),
        ({"nbits": 4, "mode": "linear_symmetric", "compatible": "coremltools"}, "8 bits only"),
        ({}, "neither nbits nor a plan"),
        ({"plan": {"inne": (8, "linear")}}, "Did you mean 'inner'"),
        ({"plan": {"inner": 8}}, "expected .bits, mode."),
        ({"plan": {"inner": (9, "linear")}}, "9 bits"),
        ({"nbits": 8, "selector": lambda tensor: False}, "none of the 7 weight fields"),
        ({"nbits": 4, "mode": "kmeans", "sensitivity": {"inner.weights": np.ones(3)}}, "3 numbers for 1600"),
        ({"nbits": 4, "mode": "kmeans", "sensitivity": {"inner.weights": -np.ones(1600)}}, "not negative"),
    ],
)
def test_arguments_that_make_no_sense(options, words):
    with pytest.raises(UsageError, match=words):
        refcoreml.quantize_weights(vectors(), **options)


def broken(tensor_index=0, value=np.nan, place=5):
    values = w(20, 30)
    values.reshape(-1)[place] = value
    net = build.Network({"x": (30,)}, ["y"], exact=True)
    net.add("innerProduct", name="fc", outputs="y", inputChannels=30, outputChannels=20, weights=values)
    return net.spec()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("options", [{"nbits": 8}, {"nbits": 16}, {"nbits": 4, "mode": "kmeans"}])
def test_weights_that_are_not_finite_are_named(value, options):
    with pytest.raises(InvalidModelError, match=r"'fc' \(innerProduct\).weights: weight \[1, 3\] is -?(nan|inf)"):
        refcoreml.quantize_weights(broken(value=value, place=33), **options)


def test_a_weight_beyond_half_precision_is_named():
    with pytest.raises(UsageError, match=r"fc.*number \[1, 3\] is 70000, the largest half precision number is 65504"):
        refcoreml.quantize_weights(broken(value=7e4, place=33), 16)


def test_empty_weights_are_refused():
    spec = broken(value=0)
    spec.neuralNetwork.layers[0].innerProduct.weights.Clear()
    with pytest.raises(InvalidModelError, match="holds 0 values, the declared shape 20 x 30 needs 600"):
        refcoreml.quantize_weights(spec, 8)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "custom_lut"])
def test_constant_weights_are_exact(mode):
    net = build.Network({"x": (400,)}, ["y"])
    net.add(
        "innerProduct", outputs="y", inputChannels=400, outputChannels=2, weights=np.full((2, 400), -0.3, np.float32)
    )
    spec = net.spec()
    (change,) = weight_changes(refcoreml.load(spec), refcoreml.quantize_weights(spec, 3, mode))
    assert change.after != "float32"
    assert change.noise == 0 or mode == "linear_symmetric"


def test_models_without_weights_are_refused():
    net = build.Network({"x": (3,)}, ["y"])
    net.add("activation", outputs="y", ReLU={})
    with pytest.raises(UsageError, match="no weights"):
        refcoreml.quantize_weights(net.spec(), 8)
    assert refcoreml.dequantize_weights(net.spec()).predict({"x": [1, -2, 3]})["y"].tolist() == [1, 0, 3]


def test_updatable_layers_are_refused_but_can_be_left_out():
    spec = vectors().spec
    loop = spec.neuralNetwork.layers[-1].loop.bodyNetwork.layers[0]
    loop.isUpdatable = loop.innerProduct.weights.isUpdatable = loop.innerProduct.bias.isUpdatable = True
    with pytest.raises(UsageError, match=r"'inner'.*is updatable"):
        refcoreml.quantize_weights(spec, 8)
    found = kinds_after(spec, nbits=8, selector=~selectors.by_name("inner"))
    assert found["inner.weights"] == ("float32", 32)
    assert found["matmul.weights"] == ("linear", 8)


def test_ml_programs_are_refused():
    program = build.Program({"x": (2, 3)})
    program.output(program.add("relu", x=program["x"]))
    with pytest.raises(UnsupportedModelError, match="ML Programs"):
        refcoreml.quantize_weights(program.model(), 8)


def test_something_that_is_no_model_is_refused():
    with pytest.raises(RefCoreMLError):
        refcoreml.quantize_weights(b"nothing", 8)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda bits, weights: 1 / 0, "ZeroDivisionError"),
        (lambda bits, weights: (np.zeros(7), np.zeros(weights.shape, int)), "a table of 7 numbers, 3 bits need 8"),
        (lambda bits, weights: (np.zeros(8), np.zeros(5, int)), "5 codes for"),
        (lambda bits, weights: (np.zeros(8), np.full(weights.shape, 8)), r"codes outside \[0, 7\]"),
        (lambda bits, weights: (np.zeros(8), np.full(weights.shape, -1)), r"codes outside \[0, 7\]"),
        (lambda bits, weights: (np.zeros(8), np.full(weights.shape, 0.5)), "not integers"),
        (lambda bits, weights: (np.full(8, np.nan), np.zeros(weights.shape, int)), "not finite"),
        (lambda bits, weights: (np.full(8, 1e39), np.zeros(weights.shape, int)), "not finite"),
        (lambda bits, weights: (["a"] * 8, np.zeros(weights.shape, int)), "no arrays"),
        (lambda bits, weights: (np.zeros(8), np.full(weights.shape, "a")), "codes of type"),
    ],
)  # fmt: skip
def test_a_users_table_is_checked(function, words):
    model = vectors()
    before = model.spec.SerializeToString()
    with pytest.raises(CallbackError, match=words) as caught:
        refcoreml.quantize_weights(model, 3, "custom_lut", lut_function=function)
    assert "neuralNetwork.layers[" in caught.value.where
    assert model.spec.SerializeToString() == before


def test_a_selector_that_fails_is_a_callback_error():
    with pytest.raises(CallbackError, match="selector failed: AttributeError"):
        refcoreml.quantize_weights(vectors(), 8, selector=lambda tensor: tensor.colour == "red")


@pytest.mark.parametrize("text", ["colour=red", "count=5", "count>=many", "name>=a", ""])
def test_selectors_that_cannot_be_read(text):
    with pytest.raises(UsageError, match="selector"):
        selectors.parse(text)


def test_a_scheme_checks_itself():
    with pytest.raises(UsageError):
        Scheme(12)


def test_what_is_left_of_a_table_repeats_its_last_centre():
    """Three kinds of values need three of eight centres: a runtime that reads beyond them still reads a weight."""
    net = build.Network({"x": (6,)}, ["y"])
    weights = np.array([[1, 2, 4, 1, 2, 4]] * 30, np.float32)
    net.add("innerProduct", outputs="y", inputChannels=6, outputChannels=30, weights=weights)
    (tensor,) = weight_tensors(refcoreml.quantize_weights(net.spec(), 3, "kmeans"))
    table = list(tensor.message.quantization.lookupTableQuantization.floatValue)
    assert table == [1, 2, 4, 4, 4, 4, 4, 4]
    np.testing.assert_array_equal(tensor.values(), weights)


def test_weights_that_vanish_in_half_precision_cause_a_warning() -> None:
    net = build.Network({"x": (2,)}, ["y"])
    weights = np.array([[1, 1e-9], [2.0**-24, 0], [3, 4]], np.float32)
    net.add(
        "innerProduct",
        name="fc",
        inputChannels=2,
        outputChannels=3,
        hasBias=True,
        weights=weights,
        bias=[1, 2, 3],
        outputs="y",
    )
    with pytest.warns(RefCoreMLWarning, match=r"1 fields.*'fc' \(innerProduct\).weights: number \[0, 1\] is 1e-09"):
        smaller = refcoreml.quantize_weights(net.spec(), 16)
    stored = np.frombuffer(smaller.spec.neuralNetwork.layers[0].innerProduct.weights.float16Value, "<f2")
    np.testing.assert_array_equal(stored, [1, 0, 2.0**-24, 0, 3, 4])


def test_masked_arrays_are_refused() -> None:
    """A user's table, codes and sensitivities, and weights to build a network of."""
    masked = np.ma.masked_array(np.ones((3, 2)), [[0, 0], [0, 1], [0, 0]])
    net = build.Network({"x": (2,)}, ["y"])
    fields = {"inputChannels": 2, "outputChannels": 3, "outputs": "y"}
    with pytest.raises(UsageError, match="has masked entries"):
        net.add("innerProduct", name="fc", weights=masked, **fields)
    with pytest.raises(UsageError, match=r"^mean_image: has masked entries"):
        net.preprocess(mean_image=masked)
    net.add("innerProduct", name="fc", weights=masked.filled(2), **fields)
    with pytest.raises(UsageError, match=r"sensitivity of 'fc.weights': has masked entries"):
        refcoreml.quantize_weights(net.spec(), 1, "kmeans", sensitivity={"fc.weights": masked})
    for table, codes in (([0, 1], masked), (np.ma.masked_array([0, 1], [0, 1]), np.zeros((3, 2)))):
        with pytest.raises(CallbackError, match="lut_function returned no arrays: has masked entries"):
            refcoreml.quantize_weights(
                net.spec(), 1, "custom_lut", lut_function=lambda bits, weights, found=(table, codes): found
            )
