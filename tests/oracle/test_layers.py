"""Honest computations stay within the bounds, layer by layer and in networks; integers are exact."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_examples import EXAMPLES, Source
from profiles import examples

import refcoreml
from refcoreml import build
from refcoreml.errors import UnsupportedModelError
from refcoreml.evaluators.base import Settings
from refcoreml.evaluators.network import NeuralNetworkEvaluator
from refcoreml.execution.arithmetic import ARITHMETICS, Arithmetic
from refcoreml.neuralnetwork.registry import LAYERS
from refcoreml.oracle import CHECKS, PROFILES, OpenDecisionError, oracle
from refcoreml.oracle.rules import kind_of
from refcoreml.oracle.storage import round_weights
from refcoreml.spec import schema

PRECISIONS = {"fp32": "float32", "fp16/acc32": "float16"}


def run(spec, inputs, profile):
    """An honest implementation of a profile: refcoreml itself, for half precision sums with kernels in float16."""
    if profile in PRECISIONS:
        return refcoreml.load(spec, precision=PRECISIONS[profile]).predict(inputs)
    spec = schema.Model.FromString(spec.SerializeToString())
    round_weights(spec.neuralNetwork, PROFILES[profile].storage)
    half = Arithmetic("half", np.float16)
    with np.errstate(over="ignore"), mock.patch.dict(ARITHMETICS, half=half):
        return NeuralNetworkEvaluator(spec, Settings("half")).predict(inputs)


def misses(actual, answer):
    """How many numbers are farther away than the bound."""
    y = np.asarray(actual, np.float64)
    assert y.shape == answer.value.shape == answer.bound.shape
    with np.errstate(invalid="ignore"):
        near = (y == answer.value) | (np.abs(y - answer.value) <= answer.bound) | np.isinf(answer.bound)
    return int((~near & ~(np.isnan(y) & np.isnan(answer.value))).sum())


def check(spec, inputs, profile):
    """Asserts that an honest run is within the bounds; returns the answers."""
    answers = oracle(spec, inputs, profile)
    outputs = run(spec, inputs, profile)
    for name, answer in answers.items():
        assert misses(outputs[name], answer) == 0, (profile, name, outputs[name], answer)
    return answers


def class_of(kind):
    """The class of a layer's bound, whether it is known by the layer's name or by the operation that it stands for."""
    if kind in CHECKS:
        return CHECKS[kind]
    spec = EXAMPLES[kind](Source(0, "normal")).model()
    steps = NeuralNetworkEvaluator(spec, Settings("float64")).network.steps
    (found,) = {CHECKS[kind_of(step)] for step in steps if step.kind == kind}
    return found


def test_every_layer_has_a_class_and_examples():
    without = {kind for kind, check in CHECKS.items() if check == "control"}
    without |= {kind for kind in LAYERS if kind.startswith("random")} | {"categoricalDistribution"}
    assert set(EXAMPLES) == set(LAYERS) - {"custom"} - without
    assert all(class_of(kind) for kind in EXAMPLES)


@pytest.mark.parametrize("kind", ["softmaxND", "mvn", "layerNormalization"])
def test_a_composite_is_shown_by_the_name_of_its_layer(kind):
    example = EXAMPLES[kind](Source(0, "normal"))
    answers = oracle(example.model(), example.features(), "fp32")
    assert [answer.check for answer in answers.values()] == [kind]


@pytest.mark.parametrize("kind", EXAMPLES)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), style=st.sampled_from(Source.STYLES))
def test_honest_layers(kind, seed, style):
    example = EXAMPLES[kind](Source(seed, style))
    for profile in PROFILES:
        check(example.model(), example.features(), profile)


@st.composite
def networks(draw):
    """A few layers, one after the other, that start from [1, C, H, W]."""
    s = Source(draw(st.integers(0, 2**32 - 1)), "normal")
    channels, height, width = (draw(st.integers(2, 6)) for _ in range(3))
    net = build.Network({"x": (1, channels, height, width)}, ["y"], exact=True)
    x, blob = s(1, channels, height, width), "x"
    kinds = draw(st.lists(st.sampled_from(list(_PARTS)), min_size=2, max_size=5))
    for index, kind in enumerate(kinds):
        fields = _PARTS[kind](s, channels)
        channels = fields.get("outputChannels", channels)
        output = "y" if index == len(kinds) - 1 else f"b{index}"
        inputs = [blob, blob] if kind == "multiply" else [blob]
        net.add(kind.split(".")[0], inputs=inputs, outputs=output, **fields)
        blob = output
    return net.spec(), {"x": x}


def _convolution(s, c):
    return {
        **{"outputChannels": 5, "kernelChannels": c, "nGroups": 1, "kernelSize": (3, 3), "stride": (1, 1), "same": {}},
        **{"weights": s(5, c, 3, 3) / 4, "hasBias": True, "bias": s(5)},
    }


_PARTS = {
    "convolution": _convolution,
    "activation.relu": lambda s, c: {"ReLU": {}},
    "activation.sigmoid": lambda s, c: {"sigmoid": {}},
    "activation.elu": lambda s, c: {"ELU": {"alpha": 1.0}},
    "activation.softplus": lambda s, c: {"softplus": {}},
    "pooling.average": lambda s, c: {"type": "AVERAGE", "kernelSize": (2, 3), "stride": (1, 1), "same": {}},
    "pooling.max": lambda s, c: {"type": "MAX", "kernelSize": (2, 3), "stride": (1, 1), "same": {}},
    "batchnorm": lambda s, c: {
        **{"channels": c, "gamma": s(c), "beta": s(c), "mean": s(c), "variance": s.positive(c), "epsilon": 1e-3}
    },
    "mvn": lambda s, c: {"normalizeVariance": True, "epsilon": 0.1},
    "lrn": lambda s, c: {"localSize": 3, "alpha": 0.5, "beta": 0.75, "k": 1.0},
    "softmax": lambda s, c: {},
    "scale": lambda s, c: {"shapeScale": (c,), "scale": s(c)},
    "multiply": lambda s, c: {},
    "unary": lambda s, c: {"type": "EXP", "scale": 0.25},
    "upsample": lambda s, c: {"scalingFactor": (2, 2), "mode": "BILINEAR"},
}


@settings(max_examples=examples(60), deadline=None, derandomize=True)
@given(networks())
def test_honest_networks(network):
    for profile in PROFILES:
        answer = check(*network, profile)["y"]
        if profile == "fp32" and "lrn" not in str(network[0]):
            assert np.isfinite(answer.bound).all()


@pytest.mark.parametrize(
    "kind", ["convolution", "convolution3d", "innerProduct", "batchedMatmul", "reduceSum", "cumSum"]
)
@pytest.mark.parametrize("profile", PROFILES)
def test_integers_are_exact(kind, profile):
    for seed in range(4):
        example = EXAMPLES[kind](Source(seed, "integers"))
        answer = check(example.model(), example.features(), profile)["y0"]
        assert not answer.bound.any()
        np.testing.assert_array_equal(answer.value, np.rint(answer.value))


#: For data without cancellation, the greatest median of bound / |value| in units of roundoff, by class: a few
#: operations; sums of at most 60 terms; functions of at most 32 units, and two more for the argument; composites, such
#: as 5 steps of a recurrence, or norms, in which a mean is subtracted.
LIMITS = {"ulp": 5, "dot": 80, "func": 80}
COMPOSITE = 500
#: Interpolation at positions that are themselves computed: 4 roundings times the length of an axis times the slope.
POSITIONS = {"cropResize": 400, "resizeBilinear": 150}


@pytest.mark.parametrize("profile", ["fp32", "fp16/acc32"])
def test_bounds_are_tight(profile):
    unit = PROFILES[profile].storage.unit
    medians = {}
    for kind, make in EXAMPLES.items():
        if class_of(kind) in ("exact", "interval", "either"):
            continue
        example = make(_Positive(Source(0, "normal")))
        for answer in oracle(example.model(), example.features(), profile).values():
            some = np.isfinite(answer.value) & (np.abs(answer.value) > 2.0**-10)
            if some.any():
                ratio = float(np.median(answer.bound[some] / np.abs(answer.value[some]))) / unit
                medians[kind] = max(medians.get(kind, 0.0), ratio)
    print(profile, {kind: round(ratio, 1) for kind, ratio in sorted(medians.items())})
    assert len(medians) > 60
    for kind, ratio in medians.items():
        assert ratio <= POSITIONS.get(kind, LIMITS.get(class_of(kind), COMPOSITE)), (kind, ratio)


class _Positive:
    """A source whose numbers all are from 0.25 to 1, so that nothing cancels."""

    def __init__(self, source):
        self.source = source

    def __call__(self, *shape):
        return np.minimum(self.source.positive(*shape) / 4, np.float32(0.95)) + np.float32(0.03)

    def __getattr__(self, name):
        return getattr(self.source, name)


def test_random_layers_have_no_bounds():
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("randomNormalLike", inputs="x", outputs="y", seed=1, stdDev=1.0)
    with pytest.raises(UnsupportedModelError, match="random numbers") as error:
        oracle(net.spec(), {"x": np.zeros(3)})
    assert "randomNormalLike" in str(error.value)


def test_a_sigmoid_below_the_range_of_floats_has_a_bound():
    """Beyond -709 e^-x overflows in double precision, where the sigmoid is still above 0."""
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("activation", inputs="x", outputs="y", sigmoid={})
    x = np.float32([-720.76, -709.9, -2.0])
    answer = oracle(net.spec(), {"x": x})["y"]
    assert (answer.value > 0).all()
    assert (np.abs(net.model().predict({"x": x})["y"] - answer.value) <= answer.bound).all()
    assert (answer.bound[:2] < 1e-36).all()


def test_nothing_passes_a_threshold_that_is_nan():
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("activation", inputs="x", outputs="s", sigmoid={})
    net.add("activation", inputs="s", outputs="y", thresholdedReLU={"alpha": np.nan})
    x = np.float32([-1.5, 0.25, 3.0])
    answer = oracle(net.spec(), {"x": x})["y"]
    np.testing.assert_array_equal(answer.value, np.zeros(3))
    np.testing.assert_array_equal(answer.bound, np.zeros(3))
    np.testing.assert_array_equal(net.model().predict({"x": x})["y"], np.zeros(3))


def branching(offset):
    """1 + x if x > offset, else x - 1, with x a number."""
    net = build.Network({"x": (1,)}, ["y"], exact=True)
    net.add("activation", inputs="x", outputs="s", sigmoid={})
    net.add("greaterThan", inputs="s", outputs="c", alpha=offset)
    bodies = []
    for alpha in (1.0, -1.0):
        body = build.Network({"x": (1,)}, ["y"], exact=True)
        body.add("add", inputs="x", outputs="y", alpha=alpha)
        bodies.append(body.spec().neuralNetwork)
    net.add("branch", inputs="c", outputs=[], ifBranch=bodies[0], elseBranch=bodies[1])
    return net.spec()


def test_branches():
    x = {"x": np.float32([0.3])}
    assert oracle(branching(0.5), x)["y"].value == pytest.approx(1.3)
    assert oracle(branching(0.7), x)["y"].value == pytest.approx(-0.7)
    with pytest.raises(OpenDecisionError, match="rounding may change this decision"):
        oracle(branching(float(1 / (1 + np.exp(-np.float32(0.3))))), x)


def counting(rounds):
    """y = x / 3 / 3 / ..., ``rounds`` times."""
    net = build.Network({"x": (2,)}, ["y"], exact=True)
    net.add("multiply", inputs="x", outputs="y", alpha=1.0)
    body = build.Network({"y": (2,)}, ["z"], exact=True)
    body.add("multiply", inputs="y", outputs="z", alpha=1 / 3)
    body.add("copy", inputs="z", outputs="y")
    net.add("loop", inputs=[], outputs=[], maxLoopIterations=rounds, bodyNetwork=body.spec().neuralNetwork)
    return net.spec()


@pytest.mark.parametrize("profile", PROFILES)
def test_loops(profile):
    x = {"x": np.float32([1.0, 0.7])}
    found = [check(counting(rounds), x, profile)["y"] for rounds in (1, 4)]
    assert all(answer.check == "composite" or answer.check == "ulp" for answer in found)
    relative = [float((answer.bound / np.abs(answer.value)).max()) for answer in found]
    assert 2 * relative[0] < relative[1] < 8 * relative[0]


@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("whole", [True, False])
@settings(max_examples=examples(30), deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(2, 400))
def test_normalizations_by_a_running_mean(whole, offset, seed, length):
    """Welford's algorithm in single precision, as torch has it: inexact for whole numbers, too."""
    random, one = np.random.default_rng(seed), np.float32
    x = random.integers(-9, 9, (3, length)) if whole else random.normal(size=(3, length))
    x[:, 0] -= x.sum(1) if whole else 0  # the mean is a whole number
    x = -np.sort(-x, axis=1)  # so that it is reached from afar
    x = (x + offset).astype(one)
    gamma, beta = random.normal(size=length).astype(one), np.zeros(length, one)
    net = build.Network({"x": x.shape}, ["y"], exact=True)
    net.add("layerNormalization", outputs="y", normalized_shape=[length], gamma=gamma, beta=beta, eps=1e-3)
    y = np.empty_like(x)
    for row, out in zip(x, y, strict=True):
        mean = squares = one(0)
        for count, value in enumerate(row, 1):
            delta = value - mean
            mean += delta / one(count)
            squares += delta * (value - mean)
        out[:] = (row - mean) / np.sqrt(squares / one(length) + one(1e-3)) * gamma + beta
    assert misses(y, oracle(net.spec(), {"x": x}, "fp32")["y"]) == 0


@pytest.mark.parametrize("profile", ["fp32", "fp16/acc32", "fp16/acc16"])
def test_slices_without_axes(profile):
    """Layers that distinguish blobs of rank 0 are bounded on them as they are, others as on vectors."""
    net = build.Network({"x": (3,)}, ["scalar", "softmax", "stacked", "joined", "product"], exact=True)
    settings = {"begin_ids": [1], "end_ids": [2], "strides": [1], "begin_masks": [0], "end_masks": [0]}
    net.add("sliceStatic", inputs="x", outputs="scalar", squeeze_masks=[1], **settings)
    net.add("softmaxND", inputs="scalar", outputs="softmax", axis=-1)
    net.add("stack", inputs=["scalar", "scalar"], outputs="stacked", axis=0)
    net.add("expandDims", inputs="scalar", outputs="expanded", axes=[0, 1])
    net.add("expandDims", inputs="softmax", outputs="one", axes=[0, 1])
    net.add("concatND", inputs=["expanded", "softmax"], outputs="joined")
    net.add("multiply", inputs=["expanded", "one"], outputs="product")
    answers = check(net.spec(), {"x": np.array([2.5, 0.1, 7])}, profile)
    for name, shape in {"scalar": (1,), "softmax": (1,), "stacked": (2,), "joined": (2,), "product": (1, 1, 1)}.items():
        assert answers[name].value.shape == shape
        assert np.isfinite(answers[name].bound).all()
