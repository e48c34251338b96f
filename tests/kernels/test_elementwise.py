"""Elementwise kernels: units in the last place, broadcasting, order of sums."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import integers

from refcoreml.kernels import elementwise as kernels

FLOATS = [np.float16, np.float32, np.float64]


def _error(y, exact):
    """In units in the last place of the exact value rounded to single precision."""
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float32)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(y[~finite], rounded[~finite])
    distance = np.abs(y[finite].astype(np.float64) - exact[finite])
    return (distance / np.spacing(np.abs(rounded[finite]))).max()


@pytest.mark.parametrize(
    ("kernel", "formula", "low", "high"),
    [
        (kernels.exp, np.exp, -110, 100),
        (kernels.log, np.log, 1e-3, 5),
        (kernels.log, np.log, 1e-38, 1e38),
        (partial(kernels.inverse, epsilon=2**-20), lambda x: 1 / (x + 2.0**-20), 0, 1e6),
        (partial(kernels.inverse_sqrt, epsilon=2**-20), lambda x: 1 / np.sqrt(x + 2.0**-20), 0, 1e6),
        (partial(kernels.power, alpha=2), lambda x: x**2, -100, 100),
        (partial(kernels.power, alpha=0.75), lambda x: x**0.75, 0, 1e6),
        (partial(kernels.power, alpha=-3), lambda x: x**-3, 1e-3, 100),
    ],
)
def test_within_two_units_in_the_last_place(kernel, formula, low, high):
    x = np.linspace(low, high, 300_001).astype(np.float32)
    with np.errstate(over="ignore"):
        y = kernel(x)
    assert y.dtype == np.float32
    assert _error(y, formula(x.astype(np.float64))) <= 2


def test_outside_the_domain():
    x = np.array([-2, -0.0, 0, np.nan, np.inf], np.float32)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(kernels.log(x), [np.nan, -np.inf, -np.inf, np.nan, np.inf])
        np.testing.assert_array_equal(kernels.power(x, 0.5), [np.nan, 0, 0, np.nan, np.inf])
        np.testing.assert_array_equal(kernels.power(x, 0), [1, 1, 1, 1, 1])
        np.testing.assert_array_equal(kernels.inverse_sqrt(x, 1), np.float32([np.nan, 1, 1, np.nan, 0]))
    np.testing.assert_array_equal(kernels.threshold(x, 0.5), [0.5, 0.5, 0.5, np.nan, np.inf])


@pytest.mark.parametrize("dtype", FLOATS)
def test_numbers_do_not_change_the_type(dtype):
    x = np.ones((2, 3), dtype)
    for kernel in (
        partial(kernels.affine, scale=1e-3, shift=2.5),
        kernels.exp,
        kernels.log,
        partial(kernels.inverse, epsilon=1e-3),
        partial(kernels.inverse_sqrt, epsilon=1e-3),
        partial(kernels.power, alpha=1.5),
        partial(kernels.threshold, alpha=1.5),
    ):
        y = kernel(x)
        assert y.dtype == dtype
        z = x.copy()
        assert kernel(z, out=z) is z
        np.testing.assert_array_equal(z, y)
    assert kernels.average([x, x]).dtype == dtype


def test_affine_rounds_the_product_before_the_sum():
    x = np.array([1 + 2**-12], np.float32)
    assert kernels.affine(x, 1 + 2**-12, -1)[0] == np.float32(2**-11)  # the 2^-24 is lost


@given(st.lists(st.lists(st.sampled_from([1, 2, 3]), min_size=0, max_size=5), min_size=1, max_size=4))
def test_broadcast_shape_is_numpys(shapes):
    shapes = [tuple(shape) for shape in shapes]
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        with pytest.raises(ValueError, match="do not broadcast"):
            kernels.broadcast_shape(*shapes)
    else:
        assert kernels.broadcast_shape(*shapes) == expected


def test_broadcast_shape_of_giants():
    assert kernels.broadcast_shape((2**60, 1), (1, 2**60)) == (2**60, 2**60)


@pytest.mark.clause("add.S1", "multiply.S1")
def test_combine_goes_from_left_to_right():
    x, y, z = integers((2, 3, 1)), integers((3, 4), 1), integers((2, 1, 4), 2)
    out = kernels.combine(np.subtract, [x, y, z])
    for i, j, k in np.ndindex(2, 3, 4):
        assert out[i, j, k] == x[i, j, 0] - y[j, k] - z[i, 0, k]


def test_combine_of_one_is_a_copy():
    x = integers((2, 3))
    y = kernels.combine(np.add, [x])
    np.testing.assert_array_equal(y, x)
    assert not np.shares_memory(x, y)


def test_average_counts_broadcast_arrays_everywhere():
    x, y, z = integers((2, 3)), integers((3,), 1), integers((1, 1), 2)
    np.testing.assert_array_equal(kernels.average([x, y, z]), (x + y + z) / 3)
