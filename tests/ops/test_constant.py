"""Fills and ranges of integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refcoreml import ops
from refcoreml.errors import InputError, InvalidModelError
from refcoreml.types import TensorType

INT = np.dtype(np.int32)


@pytest.mark.parametrize(
    ("start", "end", "step"),
    [(2, 11, 3), (2, 12, 3), (5, -7, -4), (5, -6, -4), (0, 1, 1), (-(2**31), 2**31 - 1, 2**30)],
)
def test_ranges_of_integers_are_exact(start: int, end: int, step: int) -> None:
    expected = np.array(range(start, end, step), np.int32)
    constant = ops.Range(end, start, step, INT)
    np.testing.assert_array_equal(constant.run(), expected)
    assert constant.infer() == TensorType.of(expected)
    inputs = tuple(np.array(value, np.int32) for value in (end, start, step))
    at_run = ops.Range(None, None, None, INT)
    assert at_run.infer_from(*inputs) == TensorType.of(expected)
    np.testing.assert_array_equal(at_run.run(*inputs), expected)
    np.testing.assert_array_equal(ops.Range(None, start, step, INT).run(inputs[0]), expected)


@pytest.mark.parametrize(("start", "end", "step"), [(3, 3, 1), (3, 2, 1), (3, 9, 0), (3, 9, -1)])
def test_ranges_without_numbers(start: int, end: int, step: int) -> None:
    with pytest.raises(InvalidModelError, match="holds no numbers, or infinitely many"):
        ops.Range(end, start, step, INT).infer()
    with pytest.raises(InputError, match="holds no numbers, or infinitely many"):
        ops.Range(None, start, step, INT).run(np.array(end, np.int32))


@pytest.mark.parametrize(
    ("value", "dtype"), [(3, np.int32), (-2, np.int8), (2.5, np.float32), (True, np.bool_), (False, np.bool_)]
)
@pytest.mark.parametrize("shape_type", [np.int16, np.int32])
def test_fills_of_all_types(value: Any, dtype: Any, shape_type: Any) -> None:
    expected = np.full((2, 5, 3), value, dtype)
    op = ops.Fill(value, shape=None, dtype=np.dtype(dtype))
    shape = np.array([2, 5, 3], shape_type)
    assert op.infer_from(shape) == TensorType.of(expected)
    np.testing.assert_array_equal(op.run(shape), expected)
    assert ops.Fill(value, shape=(), dtype=np.dtype(dtype)).run().shape == ()


def test_numbers_that_the_type_cannot_represent() -> None:
    with pytest.raises(InvalidModelError, match=r"the value is 2\.5, which int32 cannot represent"):
        ops.Fill(2.5, shape=(3,), dtype=INT).infer()
    with pytest.raises(InvalidModelError, match=r"step is 0\.5, which int32 cannot represent"):
        ops.Range(4, 0, 0.5, INT).infer()
