"""Half precision, and what it loses."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcoreml.kernels.half import LARGEST, SMALLEST_NORMAL, Losses, listed, losses, to_half


@given(st.floats(-65519, 65519, width=32))
def test_rounding_is_that_of_struct(value: float) -> None:
    expected = struct.pack("<e", value)
    assert to_half(np.array([value], np.float32)).tobytes() == expected


def test_the_borders_of_the_format() -> None:
    """65520 = 65504 + 16 and 2^-25 lie halfway to the next number, which is even."""
    values = np.array([[65519.9, 65520, -7e4], [2.0**-25, -(2.0**-25) * 1.001, 2.0**-14]], np.float32)
    halves = to_half(values)
    np.testing.assert_array_equal(halves, [[LARGEST, np.inf, -np.inf], [0, -(2.0**-24), SMALLEST_NORMAL]])
    found = losses(values, halves)
    assert found == Losses(2, 1, 1, ((0, 1), 65520.0))
    assert str(found) == "number [0, 1] is 65520, the largest half precision number is 65504 (2 become infinite)"


def test_what_vanishes() -> None:
    values = np.array([0.0, -0.0, 3.0, 1e-9, -1e-38], np.float32)
    found = losses(values, to_half(values))
    assert found == Losses(0, 2, 0, ((3,), float(np.float32(1e-9))))
    assert str(found) == "number [3] is 1e-09, too small for half precision (2 become 0)"


@pytest.mark.parametrize("value", [0.0, 1.0, LARGEST, np.inf, -np.inf, np.nan, SMALLEST_NORMAL])
def test_nothing_is_lost(value: float) -> None:
    """Numbers that are infinite or NaN before are not lost by rounding."""
    found = losses(np.array(value, np.float32), to_half(np.array(value, np.float32)))
    assert found == Losses()
    assert not found


def test_long_lists_are_cut() -> None:
    assert listed(["a", "b"]) == "a; b"
    assert listed(list("abcde")) == "a; b; c; and 2 more"
