"""Integers: wrap-around, signs of quotients and remainders, division by 0."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refcoreml import ops
from refcoreml.types import TensorType

INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32]


def wrapped(value: int, dtype: Any) -> int:
    """The number of the type that differs from a value by a multiple of 2^bits."""
    limits = np.iinfo(dtype)
    return (value - int(limits.min)) % (int(limits.max) - int(limits.min) + 1) + int(limits.min)


def truncated(a: int, b: int) -> int:
    return (abs(a) // abs(b)) * (1 if (a < 0) == (b < 0) else -1) if b else 0


def to_the(a: int, b: int) -> int:
    if b >= 0:
        return a**b
    return 0 if abs(a) != 1 else a ** (-b)


#: Each operation in Python's integers, which have no bounds.
BINARY: dict[Callable[[], ops.Op], Callable[[int, int], int]] = {
    ops.Add: lambda a, b: a + b,
    ops.Subtract: lambda a, b: a - b,
    ops.Multiply: lambda a, b: a * b,
    ops.Maximum: max,
    ops.Minimum: min,
    ops.Divide: truncated,
    ops.FloorDivide: lambda a, b: a // b if b else 0,
    ops.Modulo: lambda a, b: a % b if b else 0,
}


def values(dtype: Any) -> list[int]:
    limits = np.iinfo(dtype)
    chosen = {int(limits.min), int(limits.min) + 1, int(limits.max), int(limits.max) // 3, *range(-7, 8)}
    return sorted(v for v in chosen if limits.min <= v <= limits.max)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("kind", [*BINARY, ops.Power])
def test_integers_wrap_around_and_never_warn(kind: Any, dtype: Any) -> None:
    formula = BINARY.get(kind, to_the)
    chosen = values(dtype)
    exponents = [b for b in chosen if abs(b) < 40] if kind is ops.Power else chosen
    a, b = np.array(chosen, dtype)[:, None], np.array(exponents, dtype)
    expected = [[wrapped(formula(p, q), dtype) for q in exponents] for p in chosen]
    op = kind()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = op.run(a, b)
        assert op.infer(TensorType.of(a), TensorType.of(b)) == TensorType.of(found)
        np.testing.assert_array_equal(found, expected)
        for i, q in enumerate(exponents):  # a number in place of the second input, and rank 0
            np.testing.assert_array_equal(kind(q).run(a[:, 0]), np.array(expected)[:, i])
            number = op.run(a[0, 0].reshape(()), b[i].reshape(()))
            assert TensorType.of(number) == TensorType(np.dtype(dtype), ())
            assert number == expected[0][i]


@pytest.mark.parametrize(
    ("kind", "infinite", "undefined"), [(ops.Divide, np.inf, np.nan), (ops.FloorDivide, np.inf, np.nan)]
)
def test_floats_divided_by_zero_are_infinite(kind: Any, infinite: float, undefined: float) -> None:
    with np.errstate(all="ignore"):
        found = kind().run(np.array([3.0, 0, -2], np.float32), np.zeros(1, np.float32))
    np.testing.assert_array_equal(found, [infinite, undefined, -infinite])


@pytest.mark.parametrize(("a", "b"), [(7.5, 2.0), (-7.5, 2.0), (7.5, -2.0), (-7.5, -2.0), (6.0, -3.0)])
def test_floor_and_remainder_of_floats_follow_the_divisor(a: float, b: float) -> None:
    x, y = np.array([a], np.float32), np.array([b], np.float32)
    assert ops.FloorDivide().run(x, y)[0] == math.floor(a / b)
    assert ops.Modulo().run(x, y)[0] == a - b * math.floor(a / b)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_comparisons_of_integers_are_exact_and_boolean(dtype: Any) -> None:
    chosen = values(dtype)
    x = np.array(chosen, dtype)
    for kind, formula in {
        ops.Equal: int.__eq__,
        ops.NotEqual: int.__ne__,
        ops.Less: int.__lt__,
        ops.LessEqual: int.__le__,
        ops.Greater: int.__gt__,
        ops.GreaterEqual: int.__ge__,
    }.items():
        found = kind().run(x[:, None], x)
        assert found.dtype == bool
        assert found.tolist() == [[formula(p, q) for q in chosen] for p in chosen]


def test_neighbours_beyond_the_precision_of_floats_differ() -> None:
    a, b = np.array([2**31 - 1], np.int32), np.array([2**31 - 2], np.int32)  # equal as float32
    assert not ops.Equal().run(a, b)[0]
    assert ops.Less().run(b, a)[0]
