"""Products and lookups against loops."""

from __future__ import annotations

import numpy as np
import pytest
from support import integers

from refcoreml.kernels import linear as kernels


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("rows", [1, 3])
def test_inner_product(rows, with_bias, dtype):
    x, w = integers((rows, 5)).astype(dtype), integers((4, 5), 1).astype(dtype)
    b = integers((4,), 2).astype(dtype) if with_bias else None
    expected = np.zeros((rows, 4))
    for n, o in np.ndindex(rows, 4):
        expected[n, o] = b[o] if with_bias else 0
        for i in range(5):
            expected[n, o] += w[o, i] * x[n, i]
    y = kernels.inner_product(x, w, b)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, expected)


def test_embedding():
    table, bias = integers((7, 3)), integers((3,), 1)
    indices = np.array([6, 0, 6, 2])
    np.testing.assert_array_equal(kernels.embedding(indices, table, bias), [table[i] + bias for i in indices])
    y = kernels.embedding(indices, table, None)
    np.testing.assert_array_equal(y, [table[i] for i in indices])
    assert not np.shares_memory(y, table)


def test_dot():
    x, y = integers((2, 3, 4)), integers((2, 3, 4), 1)
    expected = np.zeros((2, 1, 4))
    for i, j, k in np.ndindex(2, 3, 4):
        expected[i, 0, k] += x[i, j, k] * y[i, j, k]
    np.testing.assert_array_equal(kernels.dot(x, y, -2), expected)


def test_cosine():
    x = np.array([[3.0, 4.0], [0.0, 5.0], [-2.0, 0.0]])
    y = np.array([[6.0, 8.0], [7.0, 0.0], [0.5, 0.0]])
    np.testing.assert_array_equal(kernels.dot(x, y, -1, normalize=True), [[1], [0], [-1]])


def test_cosine_survives_norms_whose_product_overflows():
    x = np.full((4,), 2.0**60, np.float32)
    y = np.full((4,), 2.0**62, np.float32)
    with np.errstate(over="raise"):
        np.testing.assert_array_equal(kernels.dot(x, y, -1, normalize=True), [1])


@pytest.mark.clause("dot.U1")
def test_cosine_with_zeros_is_nan():
    with np.errstate(invalid="ignore"):
        assert np.isnan(kernels.dot(np.zeros(3), np.ones(3), -1, normalize=True)).all()
