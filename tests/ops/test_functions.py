"""Functions of one number on integers, and casts between all types."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

from refcoreml import ops
from refcoreml.errors import InputError
from refcoreml.types import TensorType

INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32]
TYPES = [*INTEGERS, np.float32, np.float64, np.bool_]


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize(
    ("op", "formula"),
    [
        (ops.Abs(), abs),
        (ops.Sign(), lambda v: (v > 0) - (v < 0)),
        (ops.Power(2), lambda v: v * v),
        (ops.Threshold(3), lambda v: max(v, 3)),
        (ops.Clip(1, 5), lambda v: min(max(v, 1), 5)),
        (ops.Exp2(), lambda v: 2**v if v >= 0 else 0),
    ],
)
def test_functions_of_integers(op: Any, formula: Any, dtype: Any) -> None:
    limits = np.iinfo(dtype)
    chosen = [v for v in (-128, -9, -1, 0, 1, 4, 7, 8, 16, 31, 40, 100) if limits.min <= v <= limits.max]
    x = np.array(chosen, dtype)
    modulus = 2**limits.bits
    expected = [(formula(v) - int(limits.min)) % modulus + int(limits.min) for v in chosen]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = op.run(x)
    assert TensorType.of(found) == op.infer(TensorType.of(x)) == TensorType.of(x)
    assert found.tolist() == expected


def test_halves_round_to_even() -> None:
    x = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49999997, 8388609.0], np.float32)
    np.testing.assert_array_equal(ops.Round().run(x), [-2, -2, 0, 0, 2, 2, 0, 8388609])


@pytest.mark.parametrize("epsilon", [0.0, 1e-12, 1e-4, 0.25])
def test_epsilon_is_added_to_the_number_itself(epsilon: float) -> None:
    x = np.array([0.5, 3.0, 1e-3], np.float32)
    wide = x.astype(np.float64) + epsilon
    # The sum, a root and a quotient, rounded each to 2^-24.
    for op, expected in [(ops.Rsqrt(epsilon), 1 / np.sqrt(wide)), (ops.Inverse(epsilon), 1 / wide)]:
        np.testing.assert_allclose(op.run(x), expected, rtol=3 * 2.0**-24)
    np.testing.assert_allclose(ops.Log(epsilon).run(x), np.log(wide), rtol=2.0**-24)


def converted(value: Any, dtype: Any) -> Any:
    """A value in another type, by the words of the specification."""
    if dtype is np.bool_:
        return value != 0
    if dtype in (np.float32, np.float64):
        return dtype(value)
    if isinstance(value, float) and math.isnan(value):
        return 0
    limits = np.iinfo(dtype)
    return int(min(max(value, int(limits.min)), int(limits.max)))


@pytest.mark.parametrize("target", TYPES)
@pytest.mark.parametrize("source", TYPES)
def test_casts_between_all_types(source: Any, target: Any) -> None:
    if source in (np.float32, np.float64):
        values: list[Any] = [-3.6, 3.6, 0.5, -0.5, 0.0, 1e20, -1e20, math.nan, math.inf, -math.inf, 2.0**31, -(2.0**31)]
    elif source is np.bool_:
        values = [True, False]
    else:
        limits = np.iinfo(source)
        values = [int(limits.min), int(limits.max), *(v for v in (-1, 0, 1, 127, 128) if limits.min <= v <= limits.max)]
    x = np.array(values, source)
    op = ops.Cast(np.dtype(target), strict=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = op.run(x)
        number = op.run(x[0].reshape(()))
    assert TensorType.of(found) == op.infer(TensorType.of(x)) == TensorType(np.dtype(target), x.shape)
    np.testing.assert_array_equal(found, np.array([converted(v, target) for v in x.tolist()], target))
    assert TensorType.of(number) == TensorType(np.dtype(target), ())


def test_float32_beyond_int32_saturates_and_the_largest_below_stays() -> None:
    x = np.array([2147483520, 2147483648, -2147483648, -2147483904], np.float32)
    found = ops.Cast(np.dtype(np.int32)).run(x)
    assert found.tolist() == [2147483520, 2**31 - 1, -(2**31), -(2**31)]


def test_integers_that_do_not_fit_are_refused() -> None:
    x = np.array([[3, 40000], [-5, 70000]], np.int32)
    with pytest.raises(InputError, match=r"the value at \(0, 1\) is 40000, which int16 cannot represent") as caught:
        ops.Cast(np.dtype(np.int16)).run(x)
    assert "2 of 4 values do not fit" in str(caught.value)
    assert ops.Cast(np.dtype(np.int16), strict=False).run(x).tolist() == [[3, 32767], [-5, 32767]]
    assert ops.Cast(np.dtype(np.int16)).run(x % 100).dtype == np.int16
    with pytest.raises(InputError, match=r"is -5, which uint16 cannot represent"):
        ops.Cast(np.dtype(np.uint16)).run(x[1, 0].reshape(()))


def test_what_needs_no_cast_is_not_copied() -> None:
    x = np.arange(6, dtype=np.float32)
    assert ops.Cast(np.dtype(np.float32)).run(x) is x
