"""Random numbers: moments within what chance allows, reproducible, the same in every type."""

from __future__ import annotations

import numpy as np
import pytest

from refcoreml.kernels import random as kernels

COUNT = 200_000
#: How many standard deviations of its estimate a moment may be off. The seed is fixed, so that this never flickers.
SIGMAS = 4


def _check_moment(values, expected, variance):
    assert abs(np.mean(values, dtype=np.float64) - expected) < SIGMAS * np.sqrt(variance / values.size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normal(dtype):
    y = kernels.normal(kernels.generator(1), (2, COUNT // 2), 3.0, 0.5, dtype)
    assert y.dtype == dtype
    z = (y.astype(np.float64) - 3) / 0.5
    # E z^k and Var z^k = E z^2k - (E z^k)^2 of the standard normal distribution
    for k, expected, variance in (1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96):
        _check_moment(z**k, expected, variance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_uniform(dtype):
    y = kernels.uniform(kernels.generator(1), (COUNT,), -2.0, 4.0, dtype)
    assert y.dtype == dtype
    assert y.min() >= -2
    assert y.max() <= 4
    z = (y.astype(np.float64) + 2) / 6
    for k in 1, 2, 3, 4:
        _check_moment(z**k, 1 / (k + 1), 1 / (2 * k + 1) - 1 / (k + 1) ** 2)


def test_bernoulli():
    y = kernels.bernoulli(kernels.generator(1), (COUNT,), 0.3, np.float32)
    assert y.dtype == np.float32
    assert set(np.unique(y)) == {0, 1}
    _check_moment(y, 0.3, 0.3 * 0.7)
    assert kernels.bernoulli(kernels.generator(1), (1000,), 0.0, np.float32).max() == 0
    assert kernels.bernoulli(kernels.generator(1), (1000,), 1.0, np.float32).min() == 1


@pytest.mark.parametrize("classes", [1, 2, 3, 7, 8, 9])
def test_categorical(classes):
    rng = np.random.default_rng(classes)
    weights = rng.random((2, 3, classes)) * rng.integers(1, 5, (2, 3, 1))
    weights[0, 0, classes // 2 :] = 0
    weights[0, 0, 0] = 1
    weights[1, 1, : (classes - 1) // 2] = 0
    y = kernels.categorical(kernels.generator(1), weights, COUNT // 10)
    assert y.shape == (2, 3, COUNT // 10)
    for place in np.ndindex(2, 3):
        counts = np.bincount(y[place], minlength=classes)
        assert len(counts) == classes
        for c, p in enumerate(weights[place] / weights[place].sum()):
            assert (counts[c] == 0) == (p == 0)
            assert abs(counts[c] - p * y.shape[-1]) <= SIGMAS * np.sqrt(p * (1 - p) * y.shape[-1])


def test_categorical_is_the_inverse_of_the_cumulative_distribution():
    class Draws:
        def random(self, shape):
            return np.linspace(0, 1, shape[-1], endpoint=False).reshape(shape)

    y = kernels.categorical(Draws(), np.array([0.0, 1.0, 0.0, 2.0, 5.0, 0.0]), 8)
    np.testing.assert_array_equal(y, [1, 3, 3, 4, 4, 4, 4, 4])


def test_categorical_draws_no_class_without_a_chance_even_if_rounding_reaches_the_end():
    class Draws:
        def random(self, shape):
            return np.ones(shape)

    np.testing.assert_array_equal(kernels.categorical(Draws(), np.array([1.0, 2.0, 0.0, 0.0]), 2), [1, 1])


DRAWS = {
    "normal": lambda seed, dtype: kernels.normal(kernels.generator(seed), (3, 5), 1.0, 2.0, dtype),
    "uniform": lambda seed, dtype: kernels.uniform(kernels.generator(seed), (3, 5), 1.0, 2.0, dtype),
    "bernoulli": lambda seed, dtype: kernels.bernoulli(kernels.generator(seed), (30, 5), 0.5, dtype),
    "categorical": lambda seed, dtype: kernels.categorical(kernels.generator(seed), np.ones((3, 50)), 5).astype(dtype),
}


@pytest.mark.parametrize("name", DRAWS)
def test_seeds(name):
    draw = DRAWS[name]
    np.testing.assert_array_equal(draw(5, np.float32), draw(5, np.float32))
    np.testing.assert_array_equal(draw(5, np.float32), draw(5, np.float64).astype(np.float32))
    assert (draw(5, np.float32) != draw(6, np.float32)).any()
    assert (draw(-1, np.float32) != draw(-1, np.float32)).any()
    draw(2**63 - 1, np.float32)
