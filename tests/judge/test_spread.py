"""From a few deviations to a bound: Student's quantiles, and pooled variances."""

from __future__ import annotations

import numpy as np
import pytest

from refcoreml.judge.spread import factor, moderated

RUNS = 6


def tail(t, degrees):
    """The probability of Student's t beyond +-t, by the integral of its density over u = 1 / x."""
    u = (np.arange(200_000) + 0.5) / 200_000 / t
    density = (1 + 1 / (u**2 * degrees)) ** (-(degrees + 1) / 2) / u**2
    total = np.tan((np.arange(200_000) + 0.5) / 200_000 * np.pi / 2)
    half = ((1 + total**2 / degrees) ** (-(degrees + 1) / 2) * (1 + total**2)).mean() * np.pi / 2
    return density.mean() / t / half


@pytest.mark.parametrize("degrees", [6.5, 9, 20, 200])
@pytest.mark.parametrize(("probability", "count"), [(1e-2, 1), (1e-4, 10), (1e-4, 100_000)])
def test_factors_are_students_quantiles(degrees, probability, count):
    """Within 20 % of the probability in the middle, within a factor of 2 far out, always on the safe side of half."""
    found = tail(factor(probability, degrees, count), degrees)
    assert 0.5 < found / (probability / count) < 2


def test_equal_variances_are_pooled():
    deviations = np.random.default_rng(0).normal(0, 3, (RUNS, 50, 40))
    found, degrees = moderated(deviations)
    assert degrees > 100
    np.testing.assert_allclose(found, 3, rtol=0.2)


def test_channels_of_different_variance_are_pooled_by_channel():
    sizes = np.exp2(np.arange(10.0)).reshape(10, 1)
    deviations = np.random.default_rng(1).normal(size=(RUNS, 10, 300)) * sizes
    found, degrees = moderated(deviations)
    assert degrees > 50
    np.testing.assert_allclose(found / sizes, 1, rtol=0.3)


def test_variances_that_differ_from_number_to_number_count_for_themselves():
    rng = np.random.default_rng(2)
    sizes = np.exp(rng.normal(0, 3, 3000))
    found, degrees = moderated(rng.normal(size=(RUNS, 3000)) * sizes)
    assert degrees < 8
    assert np.median(np.abs(np.log(found / sizes))) < 0.4


@pytest.mark.parametrize("spread", [0.0, 0.5, 2.0])
def test_the_stated_probability_holds(spread):
    """Of values of 20 numbers of similar or different sizes, as many have one outside as is stated."""
    rng, outside, stated, values = np.random.default_rng(3), 0, 0.05, 500
    for _ in range(values):
        sizes = np.exp(rng.normal(0, spread, 20))
        deviation, degrees = moderated(rng.normal(size=(RUNS, 20)) * sizes)
        error = np.abs(rng.normal(size=20)) * sizes
        outside += bool((error > deviation * factor(stated, degrees, 20)).any())
    assert outside / values < 1.5 * stated


@pytest.mark.parametrize("modes", [1, 4])
def test_the_stated_probability_holds_where_numbers_err_together(modes):
    """200 numbers that are mixtures of a few errors: their variances look equal, and yet six runs know them badly."""
    rng, outside, stated, values = np.random.default_rng(4), 0, 0.05, 500
    for _ in range(values):
        mixture = rng.normal(size=(modes, 200))
        deviation, degrees = moderated(rng.normal(size=(RUNS, modes)) @ mixture)
        error = np.abs(rng.normal(size=modes) @ mixture)
        outside += bool((error > deviation * factor(stated, degrees, 200)).any())
    assert outside / values < 1.5 * stated


def test_nothing_that_deviates_has_no_spread():
    found, _ = moderated(np.zeros((RUNS, 3, 4)))
    assert not found.any()


def test_a_number_without_deviation_among_others_that_deviate_has_some():
    deviations = np.random.default_rng(5).choice([-1.0, 1.0], (RUNS, 4, 5))
    deviations[:, 1, 2] = 0
    found, _ = moderated(deviations)
    assert found[1, 2] > 0.5


def test_a_few_numbers_of_much_larger_variance_count_for_themselves():
    deviations = np.random.default_rng(6).normal(size=(RUNS, 40, 50))
    deviations[:, 3, 4] *= 100
    found, degrees = moderated(deviations)
    assert degrees > 20
    assert 30 < found[3, 4] < 200
    assert np.median(found) < 1.5


def test_what_is_open_stays_open_and_moves_no_other():
    deviations = np.random.default_rng(5).choice([-1.0, 1.0], (RUNS, 9))
    deviations[3, 4] = np.inf
    found, _ = moderated(deviations)
    assert np.isinf(found[4])
    np.testing.assert_allclose(np.delete(found, 4), 1, rtol=0.2)


def test_neighbouring_pixels_are_pooled():
    """A spot in each channel, around which variances fall: no row or column tells them."""
    rows, columns = np.mgrid[:24, :31]
    middles = [(5, 8), (17, 22), (9, 27)]
    sizes = np.stack([np.exp(-np.hypot(rows - row, columns - column) / 3) for row, column in middles])
    found, degrees = moderated(np.random.default_rng(7).normal(size=(RUNS, 3, 24, 31)) * sizes)
    assert degrees > 25
    assert np.median(np.abs(np.log(found / sizes))) < 0.15


def test_rows_and_columns_are_pooled_where_they_tell_more():
    sizes = np.exp2(np.arange(9.0)).reshape(9, 1) * np.exp2(-np.arange(14.0) % 5)
    found, degrees = moderated(np.random.default_rng(8).normal(size=(RUNS, 2, 9, 14)) * sizes)
    assert degrees > 40
    np.testing.assert_allclose(found / sizes, 1, rtol=0.6)


@pytest.mark.parametrize("smooth", [True, False])
def test_the_stated_probability_holds_for_pixels(smooth):
    rng, outside, stated, values = np.random.default_rng(9), 0, 0.05, 300
    for _ in range(values):
        logs = rng.normal(size=(3, 7, 8))
        if smooth:
            logs = sum(np.roll(logs, shift, axis) for axis in (1, 2) for shift in (-1, 0, 1)) / 3
        sizes = np.exp(logs)
        deviation, degrees = moderated(rng.normal(size=(RUNS, 3, 7, 8)) * sizes)
        error = np.abs(rng.normal(size=(3, 7, 8))) * sizes
        outside += bool((error > deviation * factor(stated, degrees, error.size)).any())
    assert outside / values < 1.5 * stated


def test_what_has_not_deviated_has_the_mean_of_the_others():
    """Among three numbers of a row and two of a column that deviate much, where these effects would add up."""
    deviations = np.zeros((RUNS, 1, 12, 13))
    deviations[:, 0, 2:11, 3:12] = np.random.default_rng(10).normal(size=(RUNS, 9, 9))
    deviations[:, 0, 4] *= 50
    deviations[:, 0, :, 5] *= 50
    deviations[:, 0, 4, 5] = 0
    found, _ = moderated(deviations)
    assert found[0, 4, 5] < np.median(found[0, 4, 6:12]) / 3
