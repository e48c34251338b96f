"""Random numbers of which equal values share half."""

from __future__ import annotations

import numpy as np

from refcoreml.judge.draws import RUNS, Draws


def numbers(values, shared=(), place="a", seed=0):
    bits = Draws(seed, place).bits(values, shared)
    return np.array([Draws.of_run(bits, run) for run in range(RUNS)])


def test_numbers_are_of_variance_1_and_independent_from_place_to_place_and_run_to_run():
    drawn = numbers(np.linspace(1, 2, 40_000))
    assert np.abs(drawn.mean(1)).max() < 0.03  # 6 standard errors
    assert np.abs(drawn.var(1) - 1).max() < 0.05
    assert np.abs(np.corrcoef(drawn) - np.eye(RUNS)).max() < 0.03
    assert abs(np.corrcoef(drawn[0, 1:], drawn[0, :-1])[0, 1]) < 0.03


def test_equal_values_share_half_of_the_variance():
    drawn = np.concatenate([numbers(np.full((2, 500), value)) for value in np.linspace(1, 2, 300)])
    row, other = drawn[:, 0].T, drawn[:, 1].T
    shared = np.mean(row * other)  # over 1,800 pairs of rows
    assert 0.42 < shared < 0.58


def test_values_of_opposite_sign_are_drawn_alike():
    x = np.linspace(1, 2, 20_000)
    plus, minus = numbers(x)[0], numbers(-x)[0]
    np.testing.assert_array_equal(plus, minus)  # what is added to them has their sign


def test_the_same_step_draws_the_same_again_and_another_step_others():
    x = np.linspace(1, 2, 20_000)
    np.testing.assert_array_equal(numbers(x), numbers(x))
    assert abs(np.corrcoef(numbers(x)[0], numbers(x, place="b")[0])[0, 1]) < 0.04
    assert abs(np.corrcoef(numbers(x)[0], numbers(x, seed=1)[0])[0, 1]) < 0.04


def test_one_number_for_all_places_along_shared_axes():
    bits = Draws(0, "a").bits(np.random.default_rng(0).normal(size=(3, 5, 7)), (1,))
    assert bits.shape == (3, 1, 7)
