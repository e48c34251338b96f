"""Reductions against loops over the values."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from support import integers

from refcoreml.kernels import reduce as kernels

AXES = [(-3, -2, -1), (-2, -1), (-3,), (-2,), (-1,)]

LOOPS = {
    "total": (kernels.total, sum),
    "mean": (kernels.mean, lambda v: sum(v) / len(v)),
    "product": (kernels.product, math.prod),
    "sum_square": (kernels.sum_square, lambda v: sum(a * a for a in v)),
    "l1": (kernels.l1, lambda v: sum(abs(a) for a in v)),
    "l2": (kernels.l2, lambda v: math.sqrt(sum(a * a for a in v))),
    "maximum": (kernels.maximum, max),
    "minimum": (kernels.minimum, min),
}


def _loop(x, axes, formula):
    """The formula over each group of values that differ only in the reduced axes."""
    groups = {}
    for index, value in np.ndenumerate(x):
        key = tuple(0 if axis - x.ndim in axes else place for axis, place in enumerate(index))
        groups.setdefault(key, []).append(float(value))
    y = np.empty([1 if axis - x.ndim in axes else n for axis, n in enumerate(x.shape)])
    for key, values in groups.items():
        y[key] = formula(values)
    return y


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("name", LOOPS)
def test_exact_on_integers(name, axes, dtype):
    kernel, formula = LOOPS[name]
    # Few values that are not 1, so that products stay exact.
    x = np.where(np.arange(120).reshape(2, 3, 4, 5) % 7, 1, integers((2, 3, 4, 5), low=-2, high=3)).astype(dtype)
    y = kernel(x, axes)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, _loop(x, axes, formula).astype(dtype))


@pytest.mark.parametrize("axes", AXES)
def test_log_sum(axes):
    x = np.abs(integers((2, 3, 4, 5)))
    expected = _loop(x, axes, lambda values: math.fsum(math.log(v + 0.5) for v in values))
    # 60 terms of at most ln 4.5, each within an ulp, and 60 roundings of partial sums below 60 ln 4.5
    np.testing.assert_allclose(kernels.log_sum(x, axes, 0.5), expected, rtol=0, atol=61 * 60 * 1.6 * 2**-53)
    y = kernels.log_sum(x.astype(np.float32), axes, 0.5)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected, rtol=0, atol=61 * 60 * 1.6 * 2**-24)


@pytest.mark.clause("reduce.U2")
def test_nan_propagates():
    x = np.zeros((3, 4, 5), np.float32)
    x[1, 2, 3] = np.nan
    kinds = [entry[0] for entry in LOOPS.values()] + [partial(kernels.log_sum, epsilon=1)]
    for kernel in kinds:
        y = kernel(x, (-2, -1))
        np.testing.assert_array_equal(np.isnan(y.reshape(-1)), [False, True, False])


def test_mean_of_many_does_not_leave_the_type():
    x = np.full((1, 300, 1000), 0.1, np.float32)
    y = kernels.mean(x, (-2, -1))
    assert y.dtype == np.float32
    # Pairwise summation: about log2(n) + 128 / 8 roundings
    np.testing.assert_allclose(y, np.float64(np.float32(0.1)), rtol=40 * 2**-24)
