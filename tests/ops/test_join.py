"""Joining numbers to vectors, and what cannot be joined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refcoreml import ops
from refcoreml.errors import InvalidModelError
from refcoreml.types import TensorType


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("dtype", [np.int32, np.int16, np.float32, np.bool_])
def test_numbers_are_joined_to_a_vector(axis: int, dtype: Any) -> None:
    numbers = [np.array(value, dtype) for value in (3, 0, 7)]
    for op in (ops.Concat(axis), ops.Stack(axis)):
        found = op.run(*numbers)
        assert op.infer(*map(TensorType.of, numbers)) == TensorType.of(found)
        np.testing.assert_array_equal(found, np.array([3, 0, 7], dtype))


def test_interleaved_integers_take_turns() -> None:
    inputs = [np.arange(2 * 3 * 5, dtype=np.int32).reshape(2, 3, 5) + 100 * k for k in range(4)]
    found = ops.Concat(1, interleave=True).run(*inputs)
    for i, k in np.ndindex(3, 4):
        np.testing.assert_array_equal(found[:, i * 4 + k], inputs[k][:, i])


@pytest.mark.parametrize("op", [ops.Concat(0), ops.Stack(0)])
def test_inputs_of_several_types(op: ops.Op) -> None:
    with pytest.raises(InvalidModelError, match="cannot join inputs of the types int32, float32"):
        op.infer(TensorType(np.dtype(np.int32), (3,)), TensorType(np.dtype(np.float32), (3,)))


def test_a_vector_and_a_number_are_not_joined() -> None:
    with pytest.raises(InvalidModelError, match=r"cannot join \(3,\) to \(\)"):
        ops.Concat(0).infer(TensorType(np.dtype(np.int32), ()), TensorType(np.dtype(np.int32), (3,)))
    with pytest.raises(InvalidModelError, match="axis is 1, expected -1 to 0"):
        ops.Concat(1).infer(TensorType(np.dtype(np.int32), ()))


@pytest.mark.parametrize("dtype", [np.int8, np.int32])
def test_repetitions_are_integers(dtype: Any) -> None:
    x = np.arange(6, dtype=np.int16).reshape(2, 3)
    found = ops.Tile(None).run(x, np.array([4, 2], dtype))
    np.testing.assert_array_equal(found, np.tile(x, (4, 2)))
