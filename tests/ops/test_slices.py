"""Slices whose bounds are integers that inputs hold, in all their forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refcoreml import ops
from refcoreml.errors import InputError, InvalidModelError
from refcoreml.types import TensorType

X = np.arange(4 * 3 * 7, dtype=np.int32).reshape(4, 3, 7)


def checked(op: ops.Op, *inputs: Any) -> Any:
    """The result of a run, whose type must be as inferred, at the latest from values."""
    found = op.run(*inputs)
    assert isinstance(found, np.ndarray)
    inferred = op.infer(*map(TensorType.of, inputs)) or op.infer_from(*inputs)
    assert inferred == TensorType.of(found)
    return found


#: begin, end, stride, begin mask, end mask, squeeze mask; what NumPy takes.
CASES: list[Any] = [
    (([1, 0, 5], [3, -1, 1], [1, 1, -2], [0] * 3, [0] * 3, [0] * 3), np.s_[1:3, 0:-1, 5:1:-2]),
    (([-1, 9, -3], [0, 0, 0], [-1, 1, 1], [0, 1, 0], [1, 1, 1], [0] * 3), np.s_[::-1, :, -3:]),
    (([2, -1, 0], [0, 0, 99], [1, 1, 3], [0] * 3, [0] * 3, [1, 1, 0]), np.s_[2, -1, ::3]),
    (([3, 1, -7], [9, 2, 9], [2, 5, 1], [0] * 3, [0] * 3, [1, 1, 1]), np.s_[3, 1, -7]),
]


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
@pytest.mark.parametrize(("given", "taken"), CASES)
@pytest.mark.parametrize("source", [np.float32, np.int32, np.bool_])
def test_constant_and_run_time_bounds(given: Any, taken: Any, dtype: Any, source: Any) -> None:
    x = X.astype(source)
    begin, end, stride, first, last, squeeze = given
    cuts = [ops.Cut(*axis) for axis in zip(begin, end, stride, *np.array([first, last, squeeze], bool), strict=True)]
    np.testing.assert_array_equal(checked(ops.Slice(tuple(cuts)), x), x[taken])
    masks = [tuple(map(bool, mask)) for mask in (first, last, squeeze)]
    begins, ends = np.array(begin, dtype), np.array(end, dtype)
    at_run = ops.SliceDynamic((), tuple(stride), *masks)
    np.testing.assert_array_equal(checked(at_run, x, begins, ends), x[taken])
    np.testing.assert_array_equal(checked(ops.SliceDynamic(tuple(end), tuple(stride), *masks), x, begins), x[taken])


def test_an_empty_slice_is_refused() -> None:
    with pytest.raises(InputError, match="the slice 2:2:1 of axis 0 of 4 elements is empty"):
        ops.SliceDynamic((), (1, 1, 1)).run(X, np.array([2, 0, 0], np.int32), np.array([2, 3, 7], np.int32))


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32])
def test_slices_by_size_along_all_axes(dtype: Any) -> None:
    begin = np.array([1, 0, 4], dtype)
    for sizes in [(2, 3, 3), (3, 1, -1), (-1, -1, -1)]:
        ends = [None if size == -1 else b + size for b, size in zip(begin.tolist(), sizes, strict=True)]
        expected = X[tuple(slice(b, end) for b, end in zip(begin.tolist(), ends, strict=True))]
        np.testing.assert_array_equal(checked(ops.SliceBySize(None, sizes), X, begin), expected)
        at_run = np.array(sizes, np.int32)
        np.testing.assert_array_equal(checked(ops.SliceBySize(None, None), X, begin, at_run), expected)


@pytest.mark.parametrize(
    ("op", "inputs", "words"),
    [
        (ops.SliceBySize(None, (2, 3, 4)), ([0, 0, 4],), r"begin hold 4 at \(2,\), expected an index in \[0, 3\]"),
        (ops.SliceBySize(None, (2, 3, -1)), ([0, 0, 7],), r"begin hold 7 at \(2,\)"),
        (ops.SliceBySize(None, None), ([0, 0, 0], [2, 4, 1]), "size is 4, expected 1 to 3, the length of axis 1"),
        (ops.SliceBySize(None, None), ([0, 0, 0], [2, 0, 1]), "size is 0, expected 1 to 3"),
    ],
)
def test_slices_by_size_out_of_range(op: ops.Op, inputs: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        op.run(X, *(np.array(values, np.int32) for values in inputs))


def test_begins_that_are_known_and_begins_from_the_end() -> None:
    y = checked(ops.SliceBySize(None, (2, -1, 3), from_end=True, begin=(-3, 1, -7)), X)
    np.testing.assert_array_equal(y, X[1:3, 1:, :3])
    at_run = np.array([-3, 1, -7], np.int8)
    np.testing.assert_array_equal(checked(ops.SliceBySize(None, (2, -1, 3), from_end=True), X, at_run), y)
    with pytest.raises(InvalidModelError, match="begin is -1 on axis 2 of 7 elements, expected 0 to 4"):
        ops.SliceBySize(None, (2, -1, 3), begin=(0, 0, -1)).infer(TensorType.of(X))
    for begin in (-1, -8, 5):
        words = f"begin is {begin} on axis 2 of 7 elements, expected -7 to 4"
        with pytest.raises(InvalidModelError, match=words):
            ops.SliceBySize(None, (2, -1, 3), from_end=True, begin=(0, 0, begin)).infer(TensorType.of(X))


def test_what_is_remembered_of_a_slice_belongs_to_shapes_and_settings() -> None:
    op = ops.SliceDynamic((), (1, 1, 1))
    for dtype, begin in [(np.int32, [1, 0, 0]), (np.int8, [1, 0, 0]), (np.int32, [0, 2, 1])]:
        for x in (X, X[:3], X[::-1]):
            b, e = np.array(begin, dtype), np.array([3, 3, 4], dtype)
            np.testing.assert_array_equal(op.run(x, b, e), x[begin[0] : 3, begin[1] : 3, begin[2] : 4])
            assert op.infer_from(x, b, e) == TensorType.of(x[begin[0] : 3, begin[1] : 3, begin[2] : 4])
    for _ in range(2):  # errors are raised each time
        with pytest.raises(InputError, match="is empty"):
            op.run(X, np.array([3, 0, 0]), np.array([3, 3, 4]))


def test_sizes_that_do_not_fit() -> None:
    begin = TensorType(np.dtype(np.int32), (3,))
    with pytest.raises(InvalidModelError, match="size is 5, expected 1 to 4, the length of axis 0"):
        ops.SliceBySize(None, (5, 1, 1)).infer(TensorType.of(X), begin)
    with pytest.raises(InvalidModelError, match=r"begin has the shape \(2,\), expected \(3,\)"):
        ops.SliceBySize(None, (1, 1, 1)).infer(TensorType.of(X), TensorType(np.dtype(np.int32), (2,)))


def test_all_axes_are_reversed_unless_some_are_named() -> None:
    np.testing.assert_array_equal(checked(ops.Reverse(None), X), X[::-1, ::-1, ::-1])
    np.testing.assert_array_equal(checked(ops.Reverse((-1, 0)), X), X[::-1, :, ::-1])
    assert checked(ops.Reverse(None), np.array(3, np.int32)) == 3


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32])
def test_lengths_of_sequences_are_integers(dtype: Any) -> None:
    lengths = np.array([7, 0, 4, 1], dtype)
    found = checked(ops.ReverseSequence(0, 2), X, lengths)
    for b, n in enumerate(lengths.tolist()):
        np.testing.assert_array_equal(found[b], np.concatenate([X[b, :, :n][:, ::-1], X[b, :, n:]], 1))


@pytest.mark.parametrize(("axis", "size", "step"), [(0, 3, 1), (1, 2, 1), (-1, 4, 3)])
def test_windows_of_integers(axis: int, size: int, step: int) -> None:
    found = checked(ops.SlidingWindows(axis, size, step), X)
    starts = range(0, X.shape[axis] - size + 1, step)
    np.testing.assert_array_equal(found, np.stack([np.take(X, range(s, s + size), axis) for s in starts], axis % 3))
