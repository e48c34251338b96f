"""The usual error of one operation: every operation has one, and honest results have it."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from layer_examples import EXAMPLES, Source

import refcoreml
from refcoreml import build, ops
from refcoreml.errors import UnsupportedModelError
from refcoreml.judge import likely_bounds, noise
from refcoreml.oracle import CHECKS
from refcoreml.oracle.balls import Rounding

PRECISIONS = {"fp32": "float32", "fp16/acc32": "float16"}


def operations():
    """All classes of operations."""
    found = [value for name, value in vars(ops).items() if name in ops.__all__ and inspect.isclass(value)]
    return [each for each in found if issubclass(each, ops.Op) and each is not ops.Op]


def test_every_operation_is_known_or_refused():
    """Classified by the oracle as exact, with a rule, moving numbers, or drawing them."""
    exact = ("exact", "interval", "either", "random")
    integers = {ops.Quantize}
    assert not [
        each.__name__
        for each in operations()
        if not (each in noise._RULES or each.moves is True or CHECKS.get(each) in exact or each in integers)
    ]


def test_a_class_that_rounds_has_a_rule():
    exact = ("exact", "interval", "either", "random", "control")
    without = [kind for kind, check in CHECKS.items() if check not in exact]
    assert {kind for kind in without if kind not in noise._RULES} <= {ops.ReLU, ops.Abs, ops.UpsampleNearest}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_honest_layers_are_explained(kind):
    for profile, style in (("fp32", "normal"), ("fp32", "wide"), ("fp16/acc32", "normal")):
        example = EXAMPLES[kind](Source(1, style))
        model = refcoreml.load(example.model())
        outputs = model.with_precision(PRECISIONS[profile]).predict(example.features())
        for name, bound in likely_bounds(model, example.features(), profile).items():
            assert bound.explains(outputs[name]).all(), (profile, style, name)


#: Layers whose errors are looked at closely, in terms of the deviation: many numbers, one operation.
_LARGE = {
    "innerProduct": lambda s: ([s(700, 300)], {"weights": s(40, 300), "inputChannels": 300, "outputChannels": 40}),
    "batchedMatmul": lambda s: ([s(4, 60, 90), s(4, 90, 70)], {}),
    "softmaxND": lambda s: ([s(200, 64)], {"axis": -1}),
    "layerNormalization": lambda s: (
        [s(300, 48) + 2],
        {"normalizedShape": (48,), "eps": 1e-5, "gamma": s(48), "beta": s(48)},
    ),
    "reduceMean": lambda s: ([s(2000, 100)], {"axes": (1,), "keepDims": True}),
    "addBroadcastable": lambda s: ([s(100, 100), s(100, 100)], {}),
    "multiplyBroadcastable": lambda s: ([s(100, 100), s(100, 100)], {}),
    "exp2": lambda s: ([s(10_000)], {}),
    "tanh": lambda s: ([s(10_000)], {}),
    "gelu": lambda s: ([s(10_000)], {"mode": "EXACT"}),
}


@pytest.mark.parametrize("kind", _LARGE)
def test_sizes_are_those_of_honest_errors(kind):
    """Of our single precision: not above what is stated, which is meant for sums one after another, nor far below."""
    inputs, fields = _LARGE[kind](Source(5, "normal"))
    net = build.Network({f"x{i}": x.shape for i, x in enumerate(inputs)}, ["y"], exact=True)
    net.add(kind, inputs=[f"x{i}" for i in range(len(inputs))], outputs="y", **fields)
    model, given = net.model(), {f"x{i}": x for i, x in enumerate(inputs)}
    y = np.asarray(model.predict(given)["y"], np.float64)
    bound = likely_bounds(model, given, "fp32")["y"]
    ratio = np.sqrt(np.mean(np.square(y - bound.value)) / np.mean(np.square(bound.deviation)))
    assert 0.1 < ratio < 1.1


@pytest.mark.parametrize("balanced", [False, True])
def test_sums_one_after_another_have_the_stated_error(balanced):
    """With half a unit in the last place between u / 2 and u of a partial sum, as they are spread over all mantissas.

    Balanced terms add up to 0, so that the sizes of partial sums follow from the spread of the terms alone.
    """
    x = Source(7, "normal")(300, 2000)
    if balanced:
        x = np.random.default_rng(8).permuted(np.concatenate([x, -x], axis=1), axis=1)
    n = x.shape[1]
    net = build.Network({"x": x.shape}, ["y"], exact=True)
    fields = {"weights": np.ones((1, n)), "inputChannels": n, "outputChannels": 1}
    net.add("innerProduct", inputs=["x"], outputs="y", **fields)
    bound = likely_bounds(net.model(), {"x": x}, "fp32")["y"]
    y = np.cumsum(x, axis=1, dtype=np.float32)[:, -1:]
    ratio = np.sqrt(np.mean(np.square(y - bound.value)) / np.mean(np.square(bound.deviation)))
    # Of 300 errors, and of six runs, a root mean square is off by a tenth at most: 3 / sqrt(2 * 300).
    assert 1 / 1.2 < ratio < 1.2


def test_a_sum_of_equal_numbers_drifts():
    """A long mean of one number, added up one after another: the rounding errors go one way."""
    x = np.full((3, 4000), 0.1, np.float32)
    net = build.Network({"x": x.shape}, ["y"], exact=True)
    net.add("reduceMean", inputs=["x"], outputs="y", axes=(1,), keep_dims=True)
    bound = likely_bounds(net.model(), {"x": x}, "fp32")["y"]
    one_by_one = np.cumsum(x, axis=1, dtype=np.float32)[:, -1:] / np.float32(4000)
    assert np.abs(one_by_one - bound.value).max() > 30 * 2.0**-24 * 0.1
    assert bound.explains(one_by_one).all()


def test_operations_of_unknown_rounding_are_refused():
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("randomNormalLike", inputs=["x"], outputs="y", seed=1, mean=0.0, std_dev=1.0)
    with pytest.raises(UnsupportedModelError, match="draws random numbers"):
        likely_bounds(net.model(), {"x": np.zeros(3)})


def test_numbers_that_were_stored_are_off_by_up_to_half_a_unit_in_the_last_place_and_zeros_not():
    """Uniform within it: 2^-11 of a number from 1 to 2, as wide for all of them; of integers nothing is known."""
    half = Rounding.of(np.float16)
    found = noise.stored_error(np.array([0.0, 1.0, -1.9, 3.0]), half)
    np.testing.assert_allclose(found, np.array([0, 1, -1, 2]) * 2.0**-11 / np.sqrt(3))
    assert noise.stored_error(np.arange(3), half) is None
