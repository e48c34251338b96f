"""Logarithms of sums, and running totals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import integers

from refcoreml.kernels import reduce as kernels


def _exact_log_sum_exp(values):
    greatest = max(values)
    return greatest + math.log(math.fsum(math.exp(v - greatest) for v in values))


@pytest.mark.parametrize("scale", [1e-6, 0.5, 10.0, 1e4, 5e37])
def test_log_sum_exp_is_rounded_once(scale):
    x = (np.random.default_rng(0).standard_normal((3, 4, 50)) * scale).astype(np.float32)
    y = kernels.log_sum_exp(x, (-1,))
    assert y.dtype == np.float32
    expected = np.array([_exact_log_sum_exp(row) for row in x.reshape(12, 50).astype(float).tolist()])
    np.testing.assert_array_less(np.abs(y.ravel() - expected), 0.501 * np.spacing(np.abs(expected).astype(np.float32)))


def test_log_sum_exp_where_the_terms_cancel():
    # ln(e^-ln 2 + e^-ln 2) is 0 but for the rounding of ln 2
    x = np.full((1, 2), -math.log(2), np.float32)
    expected = math.log(2) + float(x[0, 0])
    # In double precision the sum of numbers below 1 has errors of some 2^-53
    assert abs(kernels.log_sum_exp(x, (-1,))[0, 0] - expected) < 2**-24 * abs(expected) + 4 * 2**-53


def test_log_sum_exp_in_double_precision():
    x = np.random.default_rng(1).standard_normal((5, 6)) * 3
    expected = [_exact_log_sum_exp(row) for row in x.tolist()]
    # 6 terms, each an ulp; their sum is above 1, and so are most results
    np.testing.assert_allclose(kernels.log_sum_exp(x, (-1,)).ravel(), expected, rtol=0, atol=2 * 6 * 4 * 2**-53)


def test_log_sum_exp_at_the_edges():
    inf = np.inf
    x = np.array([[-inf, -inf], [-inf, 3], [inf, 3], [inf, -inf], [np.nan, inf], [3e38, 3e38]], np.float32)
    with np.errstate(divide="ignore"):
        y = kernels.log_sum_exp(x, (-1,)).ravel()
    np.testing.assert_array_equal(y, np.array([-inf, 3, inf, inf, np.nan, 3e38], np.float32))


@pytest.mark.parametrize("axes", [(-1,), (-3, -1), (-3, -2, -1)])
def test_several_axes(axes):
    x = integers((2, 3, 4), low=1, high=6)
    np.testing.assert_array_equal(kernels.log_of_sum(x, axes), np.log(x.sum(axes, keepdims=True)))
    np.testing.assert_allclose(
        kernels.log_sum_exp(x, axes), np.log(np.exp(x).sum(axes, keepdims=True)), rtol=24 * 4 * 2**-53
    )


def test_log_of_sum_of_nothing_and_less():
    x = np.array([[1, -1], [1, -3]], np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        np.testing.assert_array_equal(kernels.log_of_sum(x, (-1,)).ravel(), [-np.inf, np.nan])


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple),
    st.data(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([np.float32, np.float64]),
)
def test_running_total(shape, data, exclusive, reverse, dtype):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = integers(shape).astype(dtype)
    y = kernels.running_total(x, axis, exclusive=exclusive, reverse=reverse)
    assert y.dtype == dtype
    for place in np.ndindex(*shape):
        i, n = place[axis], shape[axis]
        kept = range(i + exclusive, n) if reverse else range(i + 1 - exclusive)
        line = list(place)
        total = 0
        for line[axis] in kept:
            total += x[tuple(line)]
        assert y[place] == total


def test_running_total_of_views():
    x = integers((3, 4, 5)).transpose(2, 0, 1)
    np.testing.assert_array_equal(kernels.running_total(x, 1), np.cumsum(x, 1))
    np.testing.assert_array_equal(kernels.running_total(np.broadcast_to(x[0], (2, 3, 4)), 0)[1], 2 * x[0])
