"""Answers about numbers that are no truth values."""

from __future__ import annotations

import numpy as np
import pytest

from refcoreml import ops


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_is_true_and_differs_from_itself(dtype: type[np.floating]) -> None:
    x, y = np.array([[1, 2, np.nan]], dtype), np.array([[2], [0]], dtype)
    z = ops.Less(result=None).run(x, y)
    assert z.dtype == dtype
    np.testing.assert_array_equal(z, [[1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(ops.LogicalNot(result=None).run(x), [[0, 0, 0]])
    np.testing.assert_array_equal(ops.NotEqual(result=None).run(x, x), [[0, 0, 1]])
    assert ops.Less().run(x, y).dtype == bool
