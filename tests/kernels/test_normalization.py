"""Normalizations against loops over the formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import integers

from refcoreml.kernels import normalization as kernels

DTYPES = [np.float32, np.float64]


def unit(dtype):
    return np.finfo(dtype).eps / 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_batch_normalization_is_exact_on_integers(dtype):
    x = integers((2, 3, 4, 5)).astype(dtype)
    mean, gamma, beta = (integers((3, 1, 1), seed).astype(dtype) for seed in (1, 2, 3))
    variance = np.array([3, 15, 63], dtype).reshape(3, 1, 1)  # 1 more is a square of a power of two
    y = kernels.batch_normalization(x, mean, kernels.normalization_factor(gamma, variance, 1), beta)
    assert y.dtype == dtype
    for n, c, h, w in np.ndindex(x.shape):
        root = math.sqrt(variance[c, 0, 0] + 1)
        assert y[n, c, h, w] == gamma[c, 0, 0] * (x[n, c, h, w] - mean[c, 0, 0]) / root + beta[c, 0, 0]


def _standardized(values, epsilon):
    mean = math.fsum(values) / len(values)
    variance = math.fsum((v - mean) ** 2 for v in values) / len(values)
    return [(v - mean) / math.sqrt(variance + epsilon) for v in values]


@pytest.mark.parametrize("dtype", DTYPES)
def test_standardize(dtype):
    x = integers((2, 3, 4, 5)).astype(dtype)
    y = kernels.standardize(x, (-2, -1), 0.25)
    assert y.dtype == dtype
    for n, c in np.ndindex(2, 3):
        expected = _standardized(x[n, c].reshape(-1).tolist(), 0.25)
        # The mean of integers is within an ulp of a number below 4; sums of 20 terms; a root and two products.
        np.testing.assert_allclose(y[n, c].reshape(-1), expected, rtol=30 * unit(dtype), atol=8 * unit(dtype))


def test_standardize_with_a_far_mean():
    x = np.float32(2**20) + integers((1, 6, 7)).astype(np.float32)
    exact = kernels.standardize(x.astype(np.float64), (-2, -1), 1e-5)
    y = kernels.standardize(x, (-2, -1), 1e-5)
    # The mean may be off by a few ulp of 2^20 (1/8 each); the squares of the differences see it only twice.
    assert np.abs(y - exact).max() < 1 / 4


def test_center_is_exact_where_the_mean_is():
    x = integers((3, 4, 8))
    x -= 8 * np.floor(x.sum(-1, keepdims=True) / 8) / 8
    y = kernels.center(x, (-1,))
    for c, h in np.ndindex(3, 4):
        np.testing.assert_array_equal(y[c, h], x[c, h] - sum(x[c, h].tolist()) / 8)


@pytest.mark.parametrize("dtype", DTYPES)
def test_l2_normalize(dtype):
    x = integers((2, 3, 4, 5)).astype(dtype)
    y = kernels.l2_normalize(x, (-3, -2, -1), 0.5)
    assert y.dtype == dtype
    for n in range(2):
        norm = math.sqrt(sum(v * v for v in x[n].reshape(-1).tolist()) + 0.5)
        np.testing.assert_allclose(y[n], x[n].astype(np.float64) / norm, rtol=3 * unit(dtype))


def _lrn(x, size, alpha, beta, k):
    y = np.empty_like(x)
    channels = x.shape[1]
    for n, c, h, w in np.ndindex(x.shape):
        window = [j for j in range(c - size // 2, c + (size - 1) // 2 + 1) if 0 <= j < channels]
        y[n, c, h, w] = x[n, c, h, w] / (k + alpha / size * sum(x[n, j, h, w] ** 2 for j in window)) ** beta
    return y


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 8, 13, 100])
def test_lrn(size):
    x = integers((2, 7, 3, 4))
    expected = _lrn(x, size, 0.5, 0.75, 2.0)
    np.testing.assert_allclose(
        kernels.local_response_normalization(x, -3, size, 0.5, 0.75, 2.0), expected, rtol=8 * 2**-53
    )
    y = kernels.local_response_normalization(x.astype(np.float32), -3, size, 0.5, 0.75, 2.0)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected, rtol=4 * 2**-24)


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_lrn_is_exact_on_integers(size):
    x = integers((2, 7, 3, 4))
    np.testing.assert_array_equal(
        kernels.local_response_normalization(x, -3, size, 2.0 * size, 1, 1), _lrn(x, size, 2.0 * size, 1, 1)
    )


@given(st.integers(1, 12), st.integers(1, 30))
def test_window_sums_of_every_width(length, width):
    x = integers((length + width - 1, 2), length * 31 + width)
    expected = [sum(x[c : c + width]) for c in range(length)]
    np.testing.assert_array_equal(kernels._window_sums(x, width), expected)


def test_lrn_window_of_any_size_is_fast():
    x = np.ones((512, 8, 9), np.float32)
    y = kernels.local_response_normalization(x, -3, 2**60, 2.0**60, 1, 1)
    np.testing.assert_array_equal(y, np.float32(1) / np.float32(513) * x)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_torch_agrees_on_lrn(size):
    torch = pytest.importorskip("torch", reason="torch is the third opinion")
    x = np.random.default_rng(0).normal(0, 3, (2, 7, 3, 4))
    theirs = torch.nn.functional.local_response_norm(torch.from_numpy(x), size, alpha=0.3, beta=0.6, k=1.5)
    ours = kernels.local_response_normalization(x, -3, size, 0.3, 0.6, 1.5)
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=16 * 2**-53)


@pytest.mark.clause("softmax.S2")
def test_softmax():
    x = integers((2, 3, 4))
    y = kernels.softmax(x, -2)
    for i, k in np.ndindex(2, 4):
        powers = [math.exp(v) for v in x[i, :, k]]
        np.testing.assert_allclose(y[i, :, k], [p / math.fsum(powers) for p in powers], rtol=12 * 2**-53)
    large = kernels.softmax(np.array([1e38, 1e38, -1e38], np.float32), 0)
    np.testing.assert_array_equal(large, np.float32([0.5, 0.5, 0]))


def _exact_softmax(x, axis):
    powers = np.exp(x.astype(np.float64) - x.max(axis, keepdims=True).astype(np.float64))
    return powers / powers.sum(axis, keepdims=True)


# Sums of every size: within the limits, below them, above them, and all three side by side.
SHIFTS = {
    "near zero": 0,
    "far below": -300,
    "far above": 200,
    "mixed": np.array([0, -300, 200, -20, 50]).reshape(5, 1, 1),
}


@pytest.mark.parametrize("axis", [-3, -2, -1])
@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.clause("softmax.S2")
def test_softmax_in_single_precision(shift, axis):
    x = (np.random.default_rng(0).normal(0, 3, (5, 11, 17)) + SHIFTS[shift]).astype(np.float32)
    exact = _exact_softmax(x, axis)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y = kernels.softmax(x, axis)
    # A power is within 2.5 ulp, up to 5 roundings; so is the sum, and it has rounded n times; a quotient. Where x is
    # shifted, the rounding of the difference d counts d-fold. Below the least normal number, see the docstring.
    distance = (x.max(axis, keepdims=True) - x).astype(np.float64)
    roundings = 11 + x.shape[axis] + 2 * distance
    assert (np.abs(y - exact) <= roundings * unit(np.float32) * exact + np.finfo(np.float32).tiny).all()


def test_softmax_keeps_its_digits_where_it_can():
    # One term is far from the greatest: e^(x - max) would carry 40 times the rounding of the difference.
    x = np.array([[30.1, -10.3, 29.7]], np.float32)
    y = kernels.softmax(x, -1)
    np.testing.assert_allclose(y, _exact_softmax(x, -1), rtol=14 * unit(np.float32))


@pytest.mark.parametrize("shift", [-88.0, -95.5, -103.2])
def test_softmax_of_powers_below_the_least_normal_number(shift):
    """Such e^x have lost their digits, so that e^(x - max) must stand for them."""
    x = np.array([[0.25, -1.5, 0.0, -0.75]], np.float32) + np.float32(shift)
    np.testing.assert_allclose(kernels.softmax(x, -1), _exact_softmax(x, -1), rtol=20 * unit(np.float32))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "axis"), [((70_001, 3), -1), ((3, 5, 20_011), 1), ((2, 200_003), -1), ((2, 3, 4), 0)]
)
def test_softmax_of_a_part_is_the_part_of_the_softmax(shape, axis, dtype):
    x = (np.random.default_rng(1).normal(0, 2, shape) * np.array([1, 60])[np.arange(shape[-1]) % 2]).astype(dtype)
    whole = kernels.softmax(x, axis)
    assert whole.dtype == dtype
    for i in range(0, shape[1 - axis % 2], max(1, shape[1 - axis % 2] // 3)):
        part = np.take(x, [i], 1 - axis % 2)
        np.testing.assert_array_equal(kernels.softmax(part, axis), np.take(whole, [i], 1 - axis % 2))
    np.testing.assert_allclose(whole.sum(axis, np.float64), 1, rtol=0, atol=4 * shape[axis] * unit(dtype))


def test_softmax_of_views_writes_to_a_new_array():
    x = integers((7, 3, 4)).transpose(2, 0, 1)[:, ::2]
    before = x.copy()
    np.testing.assert_array_equal(kernels.softmax(x, 1), kernels.softmax(np.ascontiguousarray(x), 1))
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(("shape", "axis"), [((0, 3), 1), ((3, 0), 0), ((2, 0), 1)])
def test_softmax_of_nothing(shape, axis):
    assert kernels.softmax(np.empty(shape, np.float32), axis).shape == shape


def test_softmax_at_the_edges():
    inf = np.inf
    x = np.array([[0, -inf, 0], [-inf, -inf, -inf], [inf, 0, 0], [np.nan, 0, 0], [-3e38, 3e38, 3e38]], np.float32)
    y = kernels.softmax(x, -1)
    np.testing.assert_array_equal(y[[0, 4]], np.float32([[0.5, 0, 0.5], [0, 0.5, 0.5]]))
    assert np.isnan(y[1]).all()
    assert np.isnan(y[2, 0])
    assert np.isnan(y[3]).all()
    np.testing.assert_array_equal(kernels.softmax(np.full((1, 4), -1e30, np.float32), 0), np.ones((1, 4)))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_torch_agrees_on_softmax(axis):
    torch = pytest.importorskip("torch", reason="torch is the third opinion")
    x = np.random.default_rng(2).normal(0, 5, (3, 4, 5))
    theirs = torch.softmax(torch.from_numpy(x), axis).numpy()
    # Powers of numbers below 40 (each rounds the difference), five terms, a quotient, on both sides.
    np.testing.assert_allclose(kernels.softmax(x, axis), theirs, rtol=2 * (40 + 5 + 2) * 2**-53)
