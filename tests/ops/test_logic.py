"""Answers about numbers that are no truth values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refcoreml import ops
from refcoreml.types import TensorType


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_is_true_and_differs_from_itself(dtype: type[np.floating]) -> None:
    x, y = np.array([[1, 2, np.nan]], dtype), np.array([[2], [0]], dtype)
    z = ops.Less(result=None).run(x, y)
    assert z.dtype == dtype
    np.testing.assert_array_equal(z, [[1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(ops.LogicalNot(result=None).run(x), [[0, 0, 0]])
    np.testing.assert_array_equal(ops.NotEqual(result=None).run(x, x), [[0, 0, 1]])
    assert ops.Less().run(x, y).dtype == bool


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.uint16, np.int32, np.bool_])
def test_select_broadcasts_all_three(dtype: Any) -> None:
    condition = np.array([[True], [False], [True]])
    a, b = np.arange(5).astype(dtype), np.arange(10, 14).astype(dtype).reshape(4, 1, 1)
    op = ops.Select()
    found = op.run(condition, a, b)
    assert op.infer(*map(TensorType.of, (condition, a, b))) == TensorType.of(found) == TensorType(a.dtype, (4, 3, 5))
    for i, j, k in np.ndindex(*found.shape):
        assert found[i, j, k] == (a[k] if condition[j, 0] else b[i, 0, 0])
    number = op.run(np.array(False), a[0].reshape(()), a[1].reshape(()))
    assert TensorType.of(number) == TensorType(a.dtype, ())
    assert number == a[1]


def test_logic_of_booleans_is_boolean() -> None:
    a, b = np.array([[False], [True]]), np.array([False, True])
    table = {ops.LogicalAnd: [[0, 0], [0, 1]], ops.LogicalOr: [[0, 1], [1, 1]], ops.LogicalXor: [[0, 1], [1, 0]]}
    for kind, expected in table.items():
        found = kind().run(a, b)
        assert found.dtype == bool
        np.testing.assert_array_equal(found, np.array(expected, bool))
    negated = ops.LogicalNot().run(b)
    assert negated.dtype == bool
    assert negated.tolist() == [True, False]
