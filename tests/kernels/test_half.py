"""Half precision, and what it loses."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import assert_identical

from refcoreml import ops
from refcoreml.kernels.activation import sigmoid, tanh
from refcoreml.kernels.elementwise import exp, exp2, log
from refcoreml.kernels.half import LARGEST, SMALLEST_NORMAL, Losses, listed, losses, round_to_half, to_half
from refcoreml.kernels.normalization import softmax


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


def numbers_of_all_kinds() -> np.ndarray[Any, Any]:
    """Every number of half precision and the middle of each two, with the next numbers on both sides; NaN; no order."""
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    finite = np.sort(np.abs(halves[np.isfinite(halves)]))
    with np.errstate(all="ignore"):
        middle = np.append(finite[:-1] / 2 + finite[1:] / 2, np.float32(65520))
        near = [np.nextafter(v, np.float32(end)) for v in (halves, middle) for end in (-np.inf, np.inf)]
        found = np.concatenate([halves, middle, -middle, *near, -near[2], [3e38, -1e-45]]).astype(np.float32)
    return np.random.default_rng(0).permutation(found)


@pytest.mark.parametrize("largest", [np.inf, 30_000.0])
def test_rounding_in_single_precision_gives_the_same_bits(largest: float) -> None:
    """Also where no number of a block may overflow, which takes another way; and in all layouts of an array."""
    x = numbers_of_all_kinds()
    if largest < np.inf:
        x = x[np.abs(x) < largest]
    x = x[: len(x) // 6 * 6]
    with np.errstate(all="ignore"):
        expected = to_half(x).astype(np.float32)
        for given, wanted in (
            (x, expected),
            (x.reshape(3, -1, 2).transpose(2, 0, 1), expected.reshape(3, -1, 2).transpose(2, 0, 1)),
            (x[::-3], expected[::-3]),
            (x[:7], expected[:7]),
        ):
            before = given.copy()
            y = round_to_half(given)
            assert y.dtype == np.float32
            np.testing.assert_array_equal(y.copy().view(np.uint32), wanted.copy().view(np.uint32))
            assert_identical(given, before)
            assert not np.shares_memory(y, given)
            assert round_to_half(given.copy(), out=y) is y
            np.testing.assert_array_equal(y.copy().view(np.uint32), wanted.copy().view(np.uint32))
            whole = np.repeat(given[..., None], 2, -1)
            place = whole[..., 0]
            assert round_to_half(place, out=place) is place
            np.testing.assert_array_equal(place.copy().view(np.uint32), wanted.copy().view(np.uint32))
            assert_identical(whole[..., 1], given)


def test_rounding_of_doubles_keeps_their_type() -> None:
    x = np.random.default_rng(1).normal(size=5000)
    np.testing.assert_array_equal(round_to_half(x), x.astype(np.float16).astype(np.float64))


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


#: Functions of one number, whose double precision values NumPy has within 1 ulp of double precision.
FUNCTIONS = {
    "exp": (exp, np.exp),
    "exp2": (exp2, np.exp2),
    "log": (log, np.log),
    "tanh": (tanh, np.tanh),
    "sigmoid": (sigmoid, lambda x: np.exp(-np.logaddexp(0, -x))),
    "softmax of two": (lambda x: softmax(np.stack([x, 0 * x]), 0)[0], lambda x: np.exp(-np.logaddexp(0, -x))),
    **{
        name: (getattr(ops, name.capitalize()).kernel, getattr(np, name.replace("a", "arc", 1)))
        for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh")
    },
    **{
        name: (getattr(ops, name.capitalize()).kernel, getattr(np, name))
        for name in ("sin", "cos", "tan", "sinh", "cosh")
    },
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_every_number_of_half_precision_are_rounded_once(name: str) -> None:
    """Half an ulp, and what single or double precision adds to it; NumPy's own are 3 ulp off on some processors."""
    function, exact = FUNCTIONS[name]
    x = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    with np.errstate(all="ignore"):
        x = x[np.isfinite(0 * x if name == "softmax of two" else np.where(np.isnan(x), np.nan, 0))]
        y, wanted = function(x), exact(x.astype(np.float64))
        assert y.dtype == np.float16
        nearest = wanted.astype(np.float16)
        ulp = np.spacing(np.abs(nearest)).astype(np.float64)
        error = np.abs(y.astype(np.float64) - wanted) / ulp
    known = np.isfinite(nearest)
    np.testing.assert_array_equal(y[~known], nearest[~known])
    assert known.sum() > 1000
    assert error[known].max() <= 0.5 + 2.0**-9
