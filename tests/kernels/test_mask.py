"""Choices by condition or place against loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import assert_identical, integers

from refcoreml.kernels import mask as kernels

DTYPES = [np.float32, np.float64]
HUGE = 2**63 - 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_select(dtype):
    condition, a, b = integers((3, 1, 5), 0, -1, 2), integers((4, 1), 1), integers((2, 1, 1, 1), 2)
    y = kernels.select(condition.astype(dtype), a.astype(dtype), b.astype(dtype))
    assert y.dtype == dtype
    assert y.shape == (2, 3, 4, 5)
    for n, i, j, k in np.ndindex(y.shape):
        assert y[n, i, j, k] == (a[j, 0] if condition[i, 0, k] else b[n, 0, 0, 0])
    special = np.array([np.nan, 1e-30, -0.0, np.inf], dtype)
    assert kernels.select(special, np.ones(4, dtype), np.zeros(4, dtype)).tolist() == [1, 1, 0, 1]


@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 5, 6)])
def test_non_zero(shape):
    x = integers(shape, low=-1, high=2)
    assert kernels.non_zero(x).tolist() == [list(index) for index in np.ndindex(shape) if x[index]]


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.none() | st.integers(-8, 8) | st.sampled_from([-HUGE - 1, HUGE]),
    st.none() | st.integers(-8, 8) | st.sampled_from([-HUGE - 1, HUGE]),
    st.sampled_from([*DTYPES, np.int32, np.uint8]),
)
def test_band(rows, columns, lowest, highest, dtype):
    x = np.arange(1, 2 * rows * columns + 1, dtype=dtype).reshape(2, rows, columns)
    y = kernels.band(x, lowest, highest)
    assert y.dtype == dtype
    for _, row, column in (places := list(np.ndindex(x.shape))):
        kept = (lowest is None or lowest <= column - row) and (highest is None or column - row <= highest)
        for n in range(2):
            assert y[n, row, column] == (x[n, row, column] if kept else 0)
    assert places


def test_band_of_booleans():
    y = kernels.band(np.ones((2, 3), bool), 0, 1)
    assert_identical(y, np.array([[True, True, False], [False, True, True]]))


def test_band_clears_what_is_not_finite():
    assert kernels.band(np.full((2, 2), np.nan), 0, 0)[0, 1] == 0
    assert kernels.band(np.full((2, 2), np.inf), 0, 0)[1, 0] == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_one_hot(axis, dtype):
    x = np.array([[0, 1, 2.9, -0.5], [-1, 3, 7, np.nan], [np.inf, -np.inf, 2, 1]], dtype)
    y = kernels.one_hot(x, 3, axis, on=0.1, off=-9)
    assert y.dtype == dtype
    assert y.shape == (*x.shape[:axis], 3, *x.shape[axis:])
    for index in np.ndindex(y.shape):
        value, place = x[(*index[:axis], *index[axis + 1 :])], index[axis]
        assert y[index] == dtype(0.1 if np.isfinite(value) and int(value) == place else -9)
