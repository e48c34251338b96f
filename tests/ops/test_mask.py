"""Choices by integers and booleans."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refcoreml import ops
from refcoreml.types import TensorType

INDEX = np.dtype(np.int32)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8, np.bool_])
def test_places_of_what_is_not_zero(dtype: Any) -> None:
    x = (np.random.default_rng(0).integers(0, 3, (2, 3, 5)) > 1).astype(dtype)
    found = ops.NonZero(INDEX).run(x)
    assert found.dtype == INDEX
    np.testing.assert_array_equal(found, np.stack(np.nonzero(x), 1))


@pytest.mark.parametrize("dtype", [np.int32, np.int8, np.uint16])
@pytest.mark.parametrize(
    ("on", "off", "result"), [(1, 0, np.int32), (2.5, -1.0, np.float32), (True, False, np.bool_), (0, 1, np.bool_)]
)
def test_one_hot_vectors_of_integers(dtype: Any, on: Any, off: Any, result: Any) -> None:
    indices = np.array([[3, 0, 7], [1, 100, 2]]).astype(dtype)
    if dtype is not np.uint16:
        indices[0, 1] = -100  # 156, if places were counted in int8
    for axis in range(-3, 3):
        op = ops.OneHot(200, axis, on, off, np.dtype(result))
        found = op.run(indices)
        assert op.infer(TensorType.of(indices)) == TensorType.of(found)
        assert found.dtype == result
        last = np.moveaxis(found, axis, -1)
        assert last.shape == (2, 3, 200)
        for place in np.ndindex(2, 3):
            expected = [on if d == indices[place] else off for d in range(200)]
            np.testing.assert_array_equal(last[place], np.array(expected, result))


def test_the_depth_may_be_an_integer_of_rank_0() -> None:
    indices, depth = np.array([1, 0], np.int32), np.array(3, np.int32)
    op = ops.OneHot(None, -1, result=np.dtype(np.float32))
    assert op.infer_from(indices, depth) == TensorType(np.dtype(np.float32), (2, 3))
    np.testing.assert_array_equal(op.run(indices, depth), [[0, 1, 0], [1, 0, 0]])
