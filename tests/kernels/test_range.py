"""Evenly spaced numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcoreml.kernels.range import evenly_spaced, evenly_spaced_count


@given(
    st.integers(-50, 50),
    st.integers(-50, 50),
    st.integers(-9, 9).filter(bool),
    st.sampled_from([np.float32, np.float64]),
)
def test_whole_numbers_as_in_python(start, end, step, dtype):
    expected = list(range(start, end, step))
    count = evenly_spaced_count(dtype(start), dtype(end), dtype(step))
    assert count == len(expected)
    y = evenly_spaced(start, step, count, dtype)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, expected)


def test_the_quotient_in_the_type_decides():
    single, double = np.float32, np.float64
    assert evenly_spaced_count(single(0), single(0.3), single(0.1)) == 3
    # The singles next to 0.3 and 0.1, divided exactly, are a little above 3.
    assert evenly_spaced_count(double(0), double(single(0.3)), double(single(0.1))) == 4


def test_no_drift():
    y = evenly_spaced(0.25, float(np.float32(0.1)), 100_000, np.float32)
    np.testing.assert_array_equal(y, [np.float32(0.25 + i * float(np.float32(0.1))) for i in range(100_000)])


@pytest.mark.parametrize(
    ("start", "end", "step"), [(0, 1, 0), (0, np.inf, 1), (np.nan, 1, 1), (-3e38, 3e38, 1e-9), (0, 1, np.inf)]
)
def test_not_finite(start, end, step):
    with pytest.raises(ValueError, match="no such number"):
        evenly_spaced_count(np.float32(start), np.float32(end), np.float32(step))


def test_empty():
    assert evenly_spaced_count(np.float32(1), np.float32(1), np.float32(1)) == 0
    assert evenly_spaced_count(np.float32(5), np.float32(1), np.float32(1)) == 0
