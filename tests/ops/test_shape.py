"""Shapes that are integers, what 0 in them means, and axes counted from the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refcoreml import ops
from refcoreml.errors import InputError, InvalidModelError
from refcoreml.types import TensorType

X = np.arange(2 * 3 * 5, dtype=np.int32).reshape(2, 3, 5)

FIRST, LAST = {"zero_keeps": True}, {"zero_keeps": True, "from_last": True}


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
@pytest.mark.parametrize(
    ("target", "zeros", "expected"),
    [
        ((5, 6), {}, (5, 6)),
        ((-1,), {}, (30,)),
        ((0, -1), FIRST, (2, 15)),
        ((0, 0, 1, -1), FIRST, (2, 3, 1, 5)),
        ((1, 0, -1, 0), LAST, (1, 2, 3, 5)),
        ((0, -1, 0), LAST, (2, 3, 5)),
        ((0, 0, 0, 0, 0), LAST, (1, 1, 2, 3, 5)),
        ((-1, 0), LAST, (6, 5)),
        ((6, 0), LAST, (6, 5)),
    ],
)
def test_what_zero_means(target: tuple[int, ...], zeros: Any, expected: tuple[int, ...], dtype: Any) -> None:
    at_run = np.array(target, dtype)
    for op, inputs in [(ops.Reshape(target, **zeros), (X,)), (ops.Reshape(None, **zeros), (X, at_run))]:
        found = op.run(*inputs)
        inferred = op.infer(*map(TensorType.of, inputs)) or op.infer_from(*inputs)
        assert inferred == TensorType.of(found) == TensorType(X.dtype, expected)
        np.testing.assert_array_equal(found, X.reshape(expected))


def test_zero_without_a_partner() -> None:
    matrix = TensorType(np.dtype(np.float32), (2, 50))
    assert ops.Reshape((1, 0, -1, 0), **LAST).infer(matrix) == matrix.with_shape((1, 1, 2, 50))
    with pytest.raises(InvalidModelError, match="expected 1 to 5 numbers of at least 1"):
        ops.Reshape((1, 2, 50, 0), **FIRST).infer(matrix)
    with pytest.raises(InputError, match="which the 30 numbers"):
        ops.Reshape(None, **LAST).run(X, np.array([4, 0, -1, 0], np.int32))


def test_a_shape_of_no_axes() -> None:
    number = ops.Reshape(()).run(np.array([[7]], np.int32))
    assert TensorType.of(number) == TensorType(np.dtype(np.int32), ())


@pytest.mark.parametrize("axes", [(-1, 0, 1), (0, -1, -2), (-3, -2, -1)])
def test_axes_of_a_transposition_may_be_negative(axes: tuple[int, ...]) -> None:
    op = ops.Transpose(axes)
    found = op.run(X)
    assert op.infer(TensorType.of(X)) == TensorType.of(found)
    np.testing.assert_array_equal(found, np.transpose(X, axes))


@pytest.mark.parametrize("axes", [(0, 1), (0, 1, -2), (0, 1, 3), (0, 1, -4)])
def test_what_is_no_permutation(axes: tuple[int, ...]) -> None:
    with pytest.raises(InvalidModelError, match=r"expected a permutation of \(0, 1, 2\)"):
        ops.Transpose(axes).infer(TensorType.of(X))


def test_what_is_remembered_of_a_shape_belongs_to_the_target_and_the_input() -> None:
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    op = ops.Reshape(None, zero_keeps=True)
    for target in ([6, -1], [0, -1], [6, -1]):
        for array in (x, x.transpose(1, 0, 2)):
            for dtype in (np.int32, np.int8):
                expected = array.reshape([array.shape[0] if length == 0 else length for length in target])
                np.testing.assert_array_equal(op.run(array, np.array(target, dtype)), expected)
    for _ in range(2):  # errors are raised each time
        with pytest.raises(InputError, match=r"the shape \(7, -1\) is requested"):
            op.run(x, np.array([7, -1]))
