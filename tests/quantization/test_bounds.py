"""Bounds: Hypothesis hunts for weights that break them; and no bound could be smaller."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from profiles import examples

from refcoreml.errors import UsageError
from refcoreml.kernels import kmeans
from refcoreml.kernels import quantization as kernels
from refcoreml.quantization import bounds

LARGEST = np.finfo(np.float32).max
LEAST = np.float32(2.0**-149)
ULP = 2.0**-23  # of the float32 numbers from 1 to 2

floats = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=True)
rows = arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 7)), elements=floats) | arrays(
    np.float32, st.tuples(st.integers(1, 3), st.integers(1, 7)), elements=st.floats(0.5, 0.5 + 2.0**-20, width=32)
)
widths = st.integers(1, 8)


def parameters(weights, bits, fit):
    low, high = kernels.row_ranges(weights)
    if fit == "symmetric":
        return kernels.symmetric_parameters(np.maximum(np.abs(low), np.abs(high)), bits)
    if fit == "mse":
        return kernels.least_squares_parameters(weights, bits)
    return kernels.range_parameters(low, high, bits)


def exact(value):
    return Fraction(float(value))


def check_linear(weights, scale, bias, bits, symmetric=False):
    codes = kernels.quantize_linear(weights, scale, bias, bits, least=int(symmetric))
    decoded = kernels.dequantize_linear(codes, scale, bias, dtype=np.float32)
    assert np.isfinite(decoded).all()
    spread_scale, spread_bias = scale[:, None], bias[:, None]
    for arithmetic in "exact", "float32":
        limit = bounds.linear(weights, spread_scale, spread_bias, bits, symmetric=symmetric, arithmetic=arithmetic)
        for place, w in np.ndenumerate(weights):
            s, b = exact(scale[place[0]]), exact(bias[place[0]])
            value = s * int(codes[place]) + b if arithmetic == "exact" else exact(decoded[place])
            # The bound itself is computed in float64, with at most a few roundings.
            assert abs(value - exact(w)) <= exact(limit[place]) * (1 + Fraction(1, 2**50))


@settings(max_examples=examples(400), deadline=None)
@given(rows, widths, st.sampled_from(["minmax", "mse"]))
@example(np.array([[-LARGEST, LARGEST]], np.float32), 1, "minmax")
@example(np.array([[-LARGEST, 0, LARGEST]], np.float32), 8, "minmax")
@example(np.array([[0, LARGEST]], np.float32), 8, "minmax")
@example(np.array([[LEAST, 3 * LEAST, 0]], np.float32), 8, "minmax")
@example(np.array([[7.25, 7.25]], np.float32), 3, "mse")
def test_no_weight_leaves_the_bound_of_linear(weights, bits, fit):
    check_linear(weights, *parameters(weights, bits, fit), bits)


@settings(max_examples=examples(200), deadline=None)
@given(rows, st.integers(2, 8))
@example(np.array([[-LARGEST, LARGEST]], np.float32), 8)
@example(np.array([[LEAST, -LEAST]], np.float32), 8)
def test_no_weight_leaves_the_bound_of_symmetric_levels(weights, bits):
    check_linear(weights, *parameters(weights, bits, "symmetric"), bits, symmetric=True)


@settings(max_examples=examples(200), deadline=None)
@given(rows, widths, st.floats(2.0**-100, 2.0**100, width=32), st.floats(-(2.0**100), 2.0**100, width=32))
def test_no_weight_leaves_the_bound_of_any_scale_and_bias(weights, bits, scale, bias):
    scales, biases = np.full(len(weights), scale, np.float32), np.full(len(weights), bias, np.float32)
    check_linear(weights, scales, biases, bits)


@settings(max_examples=examples(200), deadline=None)
@given(rows, widths)
@example(np.array([[-(2.0**-17), 2.0**36]], np.float32), 1)  # 54 bits apart
def test_every_weight_lies_in_the_range_of_minmax(weights, bits):
    """So that no error exceeds half a step, but for ranges that float32 cannot span or end at its largest number."""
    low, high = kernels.row_ranges(weights)
    scale, bias = kernels.range_parameters(low, high, bits)
    for s, b, least, most in zip(scale, bias, low, high, strict=True):
        if exact(most) - exact(least) < Fraction(float(LARGEST)) / 2:
            assert exact(b) == exact(least)
            assert exact(b) + exact(s) * ((1 << bits) - 1) >= exact(most)


def test_a_step_is_at_most_two_to_the_minus_fifteen_longer_than_needed():
    steps = np.random.default_rng(0).uniform(1, 2, 10_000) * 2.0 ** np.random.default_rng(1).integers(-100, 100, 10_000)
    scale = kernels.linear_scale(steps, 8).astype(np.float64)
    assert (scale >= steps).all()
    assert (scale / steps - 1).max() <= 2.0**-15


def attained(weight, scale, bias, bits, arithmetic, **options):
    """Error and bound of one weight, and the bound made smaller by one unit in the last place of float32."""
    w, s, b = (np.array([value], np.float32) for value in (weight, scale, bias))
    codes = kernels.quantize_linear(w[:, None], s, b, bits, least=int(options.get("symmetric", False)))
    decoded = kernels.dequantize_linear(codes, s, b, dtype=np.float32)[:, 0]
    value = decoded.astype(np.float64) if arithmetic == "float32" else codes[:, 0] * s.astype(float) + b
    limit = bounds.linear(w, s, b, bits, arithmetic=arithmetic, **options)
    return abs(value - w)[0], limit[0], float(np.nextafter(np.float32(limit[0]), np.float32(0)))


@pytest.mark.parametrize(
    ("weight", "scale", "bias", "bits", "symmetric"),
    [
        (0.5, 1.0, 0.0, 1, False),  # between two levels
        (97.5, 1.0, 0.0, 8, False),
        (-0.5, 1.0, -128.0, 8, True),
        (300.0, 1.0, 0.0, 8, False),  # above the last level
        (-7.0, 1.0, 0.0, 4, False),  # below the first
        (-131.0, 1.0, -128.0, 8, True),
    ],
)
def test_no_smaller_bound_would_do(weight, scale, bias, bits, symmetric):
    error, limit, smaller = attained(weight, scale, bias, bits, "exact", symmetric=symmetric)
    assert smaller < error <= limit


def test_no_smaller_bound_would_do_where_float32_rounds():
    """Half a step and half a unit in the last place: the sum is a tie that rounds away from the weight."""
    error, limit, smaller = attained(1 + 2 * ULP, 3 * ULP, 1 - 2.5 * ULP, 8, "float32")
    assert error == 2 * ULP
    assert smaller < error <= limit
    exact_error, exact_limit, _ = attained(1 + 2 * ULP, 3 * ULP, 1 - 2.5 * ULP, 8, "exact")
    assert exact_error == 1.5 * ULP <= exact_limit < error


def test_rounding_never_moves_a_level_beyond_twice_its_distance():
    """A weight of 1 and levels closer than float32 numbers are: the least of E and u counts."""
    error, limit, _ = attained(1.0, 2.0**-30, 1.0 - 2.0**-24, 8, "float32")
    assert error <= limit <= 2.0**-30 * (1 + 2.0**-40)


@settings(max_examples=examples(200), deadline=None)
@given(rows, arrays(np.float32, st.integers(1, 16), elements=floats, unique=True))
def test_no_weight_leaves_the_bound_of_a_table(weights, table):
    table = np.sort(table)
    codes = kmeans.assign(weights, table)
    limit = bounds.lookup_table(weights, table)
    for place, w in np.ndenumerate(weights):
        assert abs(exact(table[codes[place]]) - exact(w)) <= exact(limit[place]) * (1 + Fraction(1, 2**50))


@pytest.mark.parametrize("weight", [0.5, 2.0, -3.0, 9.0])
def test_no_smaller_bound_of_a_table_would_do(weight):
    table = np.array([0.0, 1.0, 3.0], np.float32)
    w = np.array([weight], np.float32)
    error = abs(table[kmeans.assign(w, table)] - w)[0]
    limit = bounds.lookup_table(w, table)[0]
    assert np.nextafter(np.float32(limit), np.float32(0)) < error <= limit


@settings(max_examples=examples(300), deadline=None)
@given(st.floats(-65504, 65504, width=32))
@example(2.0**-25)
@example(65504.0)
def test_no_weight_leaves_the_bound_of_half_precision(weight):
    w = np.float32(weight)
    assert abs(float(np.float16(w)) - float(w)) <= bounds.half_precision(w)


@pytest.mark.parametrize("weight", [1 + 2.0**-11, 1000.25, 2.0**-25, 3 * 2.0**-25, -(2 + 2.0**-10)])
def test_no_smaller_bound_of_half_precision_would_do(weight):
    error = abs(float(np.float16(weight)) - weight)
    limit = float(bounds.half_precision(np.float32(weight)))
    assert np.nextafter(np.float32(limit), np.float32(0)) < error <= limit


def test_an_unknown_arithmetic_is_refused():
    with pytest.raises(UsageError, match="arithmetic"):
        bounds.linear(np.ones(1), np.ones(1), np.ones(1), 8, arithmetic="float8")


# ---- On average ----


def test_rounding_noise_predicts_the_error_of_evenly_spread_weights():
    weights = np.random.default_rng(0).uniform(-1, 1, (4, 50_000)).astype(np.float32)
    scale, bias = parameters(weights, 6, "minmax")
    codes = kernels.quantize_linear(weights, scale, bias, 6)
    decoded = kernels.dequantize_linear(codes, scale, bias, dtype=np.float32).astype(np.float64)
    # A mean of n squares of an even error scatters by sqrt(4 / 5 / n) of itself; five of these.
    measured = np.mean((decoded - weights) ** 2, axis=1)
    np.testing.assert_allclose(measured, bounds.rounding_noise(scale), rtol=5 * np.sqrt(0.8 / 50_000))


@pytest.mark.parametrize(
    ("name", "factor"), [("standard_normal", np.sqrt(3) * np.pi / 2), ("laplace", 9.0)], ids=["normal", "Laplace"]
)
def test_kmeans_noise_estimates_the_closed_forms(name, factor):
    """Laplace's density exp(-|x|) / 2 has the variance 2: 4.5 * 2 / k^2."""
    weights = getattr(np.random.default_rng(0), name)(size=400_000)
    assert bounds.kmeans_noise(weights, 64) == pytest.approx(factor / 64**2, rel=0.05)


@pytest.mark.parametrize("levels", [16, 64])
def test_kmeans_approaches_its_asymptote(levels):
    """The next term of the expansion falls like 1 / k. With more levels a sample's own tails would tell."""
    weights = np.random.default_rng(0).standard_normal(300_000).astype(np.float32)
    measured = kmeans.cluster(weights, levels).error / weights.size
    assert measured == pytest.approx(np.sqrt(3) * np.pi / 2 / levels**2, rel=4 / levels + 0.02)


# ---- At the output ----


def test_output_error_bounds_and_is_attained():
    rng = np.random.default_rng(0)
    error, inputs = rng.uniform(0, 1, (3, 5)), rng.standard_normal((4, 5))
    limit = bounds.output_error(error, inputs)
    assert limit.shape == (4, 3)
    for _ in range(50):
        assert (np.abs(inputs @ (error * rng.uniform(-1, 1, error.shape)).T) <= limit * (1 + 1e-12)).all()
    worst = inputs[2] @ (error[1] * np.sign(inputs[2]))
    assert worst == pytest.approx(limit[2, 1], rel=1e-12)


def test_output_noise_predicts_a_layers_noise():
    rng = np.random.default_rng(0)
    weights, inputs = rng.uniform(-1, 1, (3, 4000)).astype(np.float32), rng.standard_normal((40, 4000))
    scale, bias = parameters(weights, 8, "minmax")
    decoded = kernels.dequantize_linear(kernels.quantize_linear(weights, scale, bias, 8), scale, bias, dtype=np.float32)
    measured = ((inputs @ (decoded.astype(np.float64) - weights).T) ** 2).mean(axis=0)
    predicted = bounds.output_noise(bounds.rounding_noise(scale), inputs).mean(axis=0)
    # 40 squares of normal numbers scatter by sqrt(2 / 40) of their mean; four of these.
    np.testing.assert_allclose(measured, predicted, rtol=4 * np.sqrt(2 / 40))
