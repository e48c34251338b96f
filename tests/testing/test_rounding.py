"""The bounds on rounding are sound (never too small), and not so wide that they show nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from profiles import examples

from refcoreml import build
from refcoreml.errors import UnsupportedModelError, UsageError
from refcoreml.oracle.balls import Ball, Rounding
from refcoreml.testing.rounding import UNIT32, blob_bounds
from refcoreml.testing.spec_grammar import LAYERS_ND, LAYERS_RANK5, check_network, networks, random_spec_network

#: Layers without a rule, beside those of random numbers: what only custom code knows, and what runs other layers.


@given(networks())
@settings(max_examples=examples(120))
def test_random_networks_keep_every_promise(network):
    check_network(network)


def test_the_grammar_reaches_every_kind_of_layer_that_it_has():
    kinds = {kind for seed in range(300) for kind in random_spec_network(seed).layers}
    assert len(kinds) >= 55
    assert len(LAYERS_RANK5) + len(LAYERS_ND) >= 45


def test_a_matrix_product_is_bounded_by_its_terms():
    """|W||x| * n * u, written out: 4 terms, and one more for a bias."""
    w = np.array([[0.1, -0.7, 0.3, 0.9]], np.float32)
    net = build.Network({"x": (4,)}, ["y"], exact=True)
    net.add("innerProduct", outputs="y", inputChannels=4, outputChannels=1, weights=w)
    x = np.array([1.5, -2.25, 3.1, 0.7], np.float32)
    bound = blob_bounds(net.model(precision="float64"), {"x": x})["y"]
    expected = 5 * UNIT32 * np.abs(w.astype(np.float64)) @ np.abs(x.astype(np.float64))
    np.testing.assert_allclose(bound.radius, expected, rtol=1e-12)


def test_a_chain_of_layers_propagates():
    """exp(exp(x)): the inner error grows by the slope of the outer function.

    exp is within 6 u at an argument that is itself off by 2 u |x|.
    """
    net = build.Network({"x": (1,)}, ["y"], exact=True)
    net.add("unary", outputs="t", type="EXP")
    net.add("unary", outputs="y", type="EXP")
    bounds = blob_bounds(net.model(precision="float64"), {"x": np.array([1.0])})
    inner = (6 + 2) * UNIT32 * np.e
    moved = inner + 2 * UNIT32 * np.e
    outer = np.exp(np.e) * (np.expm1(moved) + 6 * UNIT32 * np.exp(moved))
    np.testing.assert_allclose(bounds["t"].radius, [inner], rtol=1e-6)
    np.testing.assert_allclose(bounds["y"].radius, [outer], rtol=1e-6)


@pytest.mark.parametrize(("gap", "certain"), [(1e-3, True), (1e-9, False)])
def test_a_comparison_is_certain_only_beyond_the_rounding(gap, certain):
    net = build.Network({"x": (1,)}, ["y"], exact=True)
    net.add("unary", outputs="t", type="EXP")
    net.add("greaterThan", outputs="y", inputs="t", alpha=float(np.exp(0.5) - gap))
    radius = blob_bounds(net.model(precision="float64"), {"x": np.array([0.5])})["y"].radius
    assert (radius == 0).all() == certain


def test_whole_numbers_are_exact():
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("add", outputs="t", alpha=1.0)
    net.add("reduceSum", outputs="y", axes=[0], keepDims=True)
    bounds = blob_bounds(net.model(precision="float64"), {"x": np.array([3.0, 5.0, 70.0])})
    assert bounds["y"].value == 81
    assert bounds["y"].radius == 0


def test_too_large_for_single_precision_is_undetermined():
    net = build.Network({"x": (1,)}, ["y"], exact=True)
    net.add("unary", outputs="y", type="EXP")
    assert np.isinf(blob_bounds(net.model(precision="float64"), {"x": np.array([100.0])})["y"].radius).all()


def test_a_layer_without_a_rule_is_an_error():
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("randomUniformLike", outputs="y", seed=1, minVal=0.0, maxVal=1.0)
    with pytest.raises(UnsupportedModelError, match="random numbers"):
        blob_bounds(net.model(precision="float64"), {"x": np.ones(3)})


def test_bounds_want_the_oracle():
    net = build.Network({"x": (3,)}, ["y"], exact=True)
    net.add("tanh", outputs="y")
    with pytest.raises(UsageError, match="float64"):
        blob_bounds(net.model(), {"x": np.ones(3)})


def test_balls_hold_what_their_members_give():
    """Random members of random balls, computed in single precision, stay inside."""
    rng, arithmetic = np.random.default_rng(0), Rounding(UNIT32)
    for _ in range(200):
        a, b = (Ball(rng.uniform(0.5, 2, 5), rng.uniform(0, 1e-3, 5)) for _ in range(2))
        x, y = (np.float32(ball.mid + rng.uniform(-1, 1, 5) * ball.rad * 0.999) for ball in (a, b))
        for result, value in (
            (arithmetic.add(a, b), x + y),
            (arithmetic.subtract(a, b), x - y),
            (arithmetic.multiply(a, b), x * y),
            (arithmetic.divide(a, b), x / y),
            (arithmetic.root(a), np.sqrt(x)),
            (arithmetic.sum(a, (0,)), x.sum(keepdims=True)),
            (arithmetic.softmax(a, 0), np.exp(x - x.max()) / np.exp(x - x.max()).sum()),
        ):
            assert (np.abs(value.astype(np.float64) - result.mid) <= result.rad).all()
