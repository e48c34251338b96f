"""Random numbers: their types, shapes, seeds, and distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mil.support import run

from refcoreml.errors import InputError, InvalidModelError

SHAPE = np.array([60, 50, 40], np.int32)
COUNT = 60 * 50 * 40
DRAWS: dict[str, dict[str, float]] = {
    "random_uniform": {"low": -2.0, "high": 6.0},
    "random_normal": {"mean": 3.0, "stddev": 0.5},
    "random_bernoulli": {"prob": 0.25},
}
#: Mean and variance of the numbers above, and of those by default.
MOMENTS = {"random_uniform": (2, 64 / 12), "random_normal": (3, 0.25), "random_bernoulli": (0.25, 3 / 16)}
DEFAULTS = {"random_uniform": (0.5, 1 / 12), "random_normal": (0, 1), "random_bernoulli": (0.5, 1 / 4)}


def check(y: np.ndarray, mean: float, variance: float) -> None:
    # Six standard deviations of the mean; of the variance of a normal distribution, sqrt(2 / n) of it
    assert abs(y.mean(dtype=np.float64) - mean) < 6 * np.sqrt(variance / COUNT)
    assert abs(y.var(dtype=np.float64) - variance) < 6 * variance * np.sqrt(2 / COUNT) + 1e-6


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.clause(
    "mil.random_uniform.S1",
    "mil.random_uniform.S2",
    "mil.random_normal.S1",
    "mil.random_normal.S2",
    "mil.random_bernoulli.S1",
    "mil.random_bernoulli.S2",
)
def test_distributions(name: str, dtype: Any) -> None:
    parameters = {key: dtype(value) for key, value in DRAWS[name].items()}
    y = run(name, {}, shape=SHAPE, seed=3, **parameters)
    assert (y.dtype, y.shape) == (np.float32, tuple(SHAPE))
    check(y, *MOMENTS[name])
    rounded = y == y.astype(np.float16)
    assert rounded.all() == (dtype == np.float16 or name == "random_bernoulli")
    if name == "random_uniform":
        assert y.min() >= -2
        assert y.max() <= 6
    check(run(name, {}, shape=SHAPE, seed=4), *DEFAULTS[name])


@pytest.mark.clause("programs.U54")
def test_one_number_of_a_distribution_says_the_type() -> None:
    for parameters in ({"mean": np.float16(1)}, {"stddev": np.float16(2)}):
        y = run("random_normal", {}, shape=SHAPE, seed=3, **parameters)
        np.testing.assert_array_equal(y, y.astype(np.float16))
    for parameters, least, most in (({"low": np.float16(-2)}, -2, 1), ({"high": np.float16(4)}, 0, 4)):
        y = run("random_uniform", {}, shape=SHAPE, seed=3, **parameters)
        np.testing.assert_array_equal(y, y.astype(np.float16))
        assert least <= y.min() < least + 0.01
        assert most - 0.01 < y.max() <= most


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.clause("programs.U15")
@pytest.mark.clause("mil.random_uniform.S3", "mil.random_normal.S3", "mil.random_bernoulli.S3")
def test_seeds(name: str) -> None:
    shape = np.array([5, 4, 3], np.int32)
    one, again, other = (run(name, {}, shape=shape, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert (run(name, {}, shape=shape) != run(name, {}, shape=shape)).any()


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.clause("mil.random_uniform.C1", "mil.random_normal.C1", "mil.random_bernoulli.C1")
def test_the_shape_may_be_computed(name: str) -> None:
    shape = np.array([2, 5], np.int32)
    y = run(name, {"shape": shape}, outputs=[("fp32", (None, None))], seed=1)
    np.testing.assert_array_equal(y, run(name, {}, shape=shape, seed=1))
    half = {key: np.float16(value) for key, value in DRAWS[name].items()}
    y = run(name, {"shape": shape}, outputs=[("fp16", (None, None))], seed=1, **half)
    assert (y.dtype, y.shape) == (np.float32, (2, 5))
    with pytest.raises(InputError, match=r"shape requests the shape \(2, 0\)"):
        run(name, {"shape": np.array([2, 0], np.int32)}, outputs=[("fp32", (None, None))])
    with pytest.raises(InvalidModelError, match=r"shape is \(2, 0\), expected numbers of at least 1"):
        run(name, {}, shape=np.array([2, 0], np.int32))


@pytest.mark.clause("mil.random_uniform.C1", "mil.random_uniform.C2", "mil.random_normal.C2", "mil.random_bernoulli.C2")
def test_numbers_that_describe_no_distribution() -> None:
    for name, parameters, words in (
        ("random_uniform", {"low": 2.0, "high": 1.0}, "low is 2, high 1"),
        ("random_uniform", {"high": np.inf}, "low is 0, high inf"),
        ("random_normal", {"stddev": -1.0}, "stddev -1"),
        ("random_normal", {"mean": np.nan}, "mean is nan"),
        ("random_bernoulli", {"prob": 1.5}, "prob is 1.5"),
    ):
        with pytest.raises(InvalidModelError, match=words):
            run(name, {}, shape=SHAPE, **parameters)  # type: ignore[arg-type]
    with pytest.raises(InvalidModelError, match="'low', 'high' have elements of types fp16, fp32"):
        run("random_uniform", {}, shape=SHAPE, low=np.float16(0), high=np.float32(1))
    with pytest.raises(InvalidModelError, match="'shape' has elements of type int16"):
        run("random_uniform", {}, shape=SHAPE.astype(np.int16))


CHANCES = np.array([[0.5, 0.125, 0.375, 0], [0, 0.25, 0, 0.75]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("mode", ["probs", "logits"])
@pytest.mark.clause("mil.random_categorical.S1", "mil.random_categorical.S2", "mil.random_categorical.S3")
def test_categories(mode: str, dtype: Any) -> None:
    with np.errstate(divide="ignore"):
        x = CHANCES.astype(dtype) * 2 if mode == "probs" else np.log(CHANCES).astype(dtype)
    size = 40000
    y = run("random_categorical", {"x": x}, mode=mode, size=np.int32(size), seed=5)
    assert (y.dtype, y.shape) == (np.float32, (2, size))
    found = np.stack([(y == c).mean(axis=1) for c in range(4)], axis=1)
    # Six standard deviations, and the rounding of logits of half precision: 3 units of 2^-11
    np.testing.assert_array_less(abs(found - CHANCES), 6 * np.sqrt(CHANCES * (1 - CHANCES) / size) + 2**-9)
    assert not found[CHANCES == 0].any()


@pytest.mark.clause("mil.random_categorical.S4")
def test_seeds_of_categories() -> None:
    x = np.zeros((2, 5), np.float32)
    one, again, other = (run("random_categorical", {"x": x}, size=30, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert (run("random_categorical", {"x": x}, size=30) != run("random_categorical", {"x": x}, size=30)).any()


@pytest.mark.clause("mil.random_categorical.C1", "mil.random_categorical.C2", "mil.random_categorical.S1")
def test_categories_by_default() -> None:
    x = np.log(np.array([[[1, 3]]])).astype(np.float32)
    y = run("random_categorical", {"x": x})
    assert (y.dtype, y.shape) == (np.float32, (1, 1, 1))
    drawn = run("random_categorical", {"x": np.broadcast_to(x[0], (200, 100, 2)).copy()})
    assert abs(drawn.mean() - 0.75) < 6 * np.sqrt(3 / 16 / 20000)
    for parameters, words in (({"size": 0}, "size is 0"), ({"mode": "odds"}, "'mode' is 'odds'")):
        with pytest.raises(InvalidModelError, match=words):
            run("random_categorical", {"x": x}, **parameters)  # type: ignore[arg-type]
    for wrong in (-1, np.nan, np.inf):
        with pytest.raises(InputError, match="no valid probabilities"):
            run("random_categorical", {"x": np.array([wrong, 2], np.float32)}, mode="probs")
    for row in ([np.nan, 2], [-np.inf, -np.inf]):
        with pytest.raises(InputError, match="no valid logits"):
            run("random_categorical", {"x": np.array(row, np.float32)})
