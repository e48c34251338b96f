"""Indices that are integers, what out-of-range ones mean, shared axes, and scattering into integers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from refcoreml import ops
from refcoreml.errors import InputError, InvalidModelError
from refcoreml.types import TensorType

INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32]
X = np.arange(4 * 3 * 5, dtype=np.int32).reshape(4, 3, 5)


def checked(op: ops.Op, *inputs: Any) -> Any:
    """The result of a run, whose type must be as inferred."""
    found = op.run(*inputs)
    assert isinstance(found, np.ndarray)
    assert op.infer(*map(TensorType.of, inputs)) == TensorType.of(found)
    return found


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("source", [np.float32, np.int32, np.uint8])
def test_integers_name_places(dtype: Any, source: Any) -> None:
    x = X.astype(source)
    sign = 1 if np.dtype(dtype).kind == "u" else -1
    indices = np.array([[2, 0], [1, 1]], dtype)
    indices[1, 1] = sign * 2
    along = np.random.default_rng(0).integers(0 if sign == 1 else -3, 3, (4, 7, 5)).astype(dtype)
    np.testing.assert_array_equal(checked(ops.Gather(1), x, indices), np.take(x, indices, 1))
    expected = np.take_along_axis(x, along.astype(np.intp), 1)
    np.testing.assert_array_equal(checked(ops.GatherAlongAxis(1), x, along), expected)
    np.testing.assert_array_equal(checked(ops.GatherND(), x, indices), x[indices[:, 0], indices[:, 1]])


@pytest.mark.parametrize("dtype", INTEGERS)
def test_an_axis_may_be_longer_than_its_indices_can_name(dtype: Any) -> None:
    x = np.arange(70000, dtype=np.int32)
    top = np.array([np.iinfo(dtype).max], np.int64)
    indices = np.minimum(top, 69999).astype(dtype)
    assert checked(ops.Gather(0), x, indices).tolist() == indices.tolist()
    if np.dtype(dtype).kind == "i":
        assert checked(ops.Gather(0), x, np.array([-1], dtype)).tolist() == [69999]
    assert checked(ops.ScatterND("update"), x, indices[:, None], np.array([5], np.int32))[int(indices[0])] == 5


def test_a_scalar_index_drops_the_axis() -> None:
    number = checked(ops.Gather(0), np.array([5, 7, 9], np.int32), np.array(-1, np.int32))
    assert number.shape == ()
    assert number == 9
    assert checked(ops.Gather(1), X, np.array(2, np.uint16)).shape == (4, 5)
    assert checked(ops.GatherND(), X, np.array([1, 2, 3], np.int32)).shape == ()


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.float32])
def test_what_indices_out_of_range_mean(dtype: Any) -> None:
    x = np.array([10, 11, 12], np.float32)
    for indexing, indices, expected in [
        (ops.Indexing(), [-3, -1, 2], [10, 12, 12]),
        (ops.Indexing(strict=False), [-9, -1, 7], [10, 12, 12]),
        (ops.Indexing(wrap=False, strict=False), [-1, 1, 7], [10, 11, 12]),
    ]:
        assert checked(ops.Gather(0, indexing), x, np.array(indices, dtype)).tolist() == expected
    for indexing, indices, words in [
        (ops.Indexing(), [0, -4], r"-4 at \(1,\), expected an index in \[-3, 2\]"),
        (ops.Indexing(), [3, 0], r"3 at \(0,\), expected an index in \[-3, 2\]"),
        (ops.Indexing(wrap=False), [0, -1], r"-1 at \(1,\), expected an index in \[0, 2\]"),
    ]:
        given = np.array(indices, dtype)
        for op, inputs in [
            (ops.Gather(0, indexing), (x, given)),
            (ops.GatherAlongAxis(0, indexing), (x, given)),
            (ops.Scatter("add", indexing), (x, given, x[:2])),
            (ops.ScatterAlongAxis("add", indexing), (x, given, x[:2])),
        ]:
            with pytest.raises(InputError, match=words):
                op.run(*inputs)
    unsigned = np.array([255], np.uint8)
    with pytest.raises(InputError, match="hold 255"):
        ops.Gather(0).run(x, unsigned)


def test_booleans_are_no_indices() -> None:
    with pytest.raises(InvalidModelError, match="takes floats or integers or unsigned integers, got bool"):
        ops.Gather(0).infer(TensorType.of(X), TensorType(np.dtype(bool), (4,)))


@pytest.mark.parametrize(
    ("axis", "batch", "shape"), [(1, 1, (2, 6)), (2, 1, (2, 7)), (3, 2, (2, 3)), (-1, 3, (2, 3, 4))]
)
def test_gather_for_each_place_of_shared_axes(axis: int, batch: int, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(-9, 9, (2, 3, 4, 5)).astype(np.int16)
    length = x.shape[axis]
    indices = np.random.default_rng(1).integers(-length, length, shape).astype(np.int32)
    found = checked(ops.Gather(axis, batch=batch), x, indices)
    for place in np.ndindex(*x.shape[:batch]):
        np.testing.assert_array_equal(found[place], np.take(x[place], indices[place], axis % 4 - batch))


@pytest.mark.parametrize(
    ("batch", "shape"), [(1, (2, 6, 2)), (1, (2, 3)), (2, (2, 3, 7, 1)), (0, (6, 4)), (2, (2, 3, 2))]
)
def test_gather_nd_for_each_place_of_shared_axes(batch: int, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(-9, 9, (2, 3, 4, 5)).astype(np.float32)
    lengths = x.shape[batch : batch + shape[-1]]
    indices = (np.random.default_rng(1).random(shape) * lengths).astype(np.int32)
    found = checked(ops.GatherND(batch=batch), x, indices)
    for place in np.ndindex(*shape[:-1]):
        np.testing.assert_array_equal(found[place], x[(*place[:batch], *indices[place])])


@pytest.mark.parametrize("op", [ops.Gather(1, batch=1), ops.GatherND(batch=1)])
def test_axes_that_are_not_shared(op: ops.Op) -> None:
    with pytest.raises(InvalidModelError, match="differ in their first 1 axes, which they share"):
        op.infer(TensorType.of(X), TensorType(np.dtype(np.int32), (2, 1)))
    with pytest.raises(InvalidModelError, match="shares 2 axes, expected 0 to 1"):
        ops.Gather(1, batch=2).infer(TensorType.of(X), TensorType(np.dtype(np.int32), (4, 3)))


#: Of an old value and an update, in Python's numbers.
MODES = {
    "update": lambda old, new: new,
    "add": lambda old, new: old + new,
    "sub": lambda old, new: old - new,
    "mul": lambda old, new: old * new,
    "max": max,
    "min": min,
    "div": lambda old, new: (abs(old) // abs(new)) * (1 if (old < 0) == (new < 0) else -1) if new else 0,
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.int32, np.int8])
def test_repeated_places_take_updates_one_after_another(mode: str, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-100, 100, (4, 3, 5)).astype(dtype)
    indices = np.array([2, 0, -1, 2, 2], np.int32)
    updates = rng.integers(-4, 4, (4, 5, 5)).astype(dtype)
    bits = np.iinfo(dtype).bits

    def combined(old: int, new: int) -> int:
        value = MODES[mode](old, new)
        return (value + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)

    expected = x.astype(int)
    for a, i, b in np.ndindex(4, 5, 5):
        expected[a, indices[i], b] = combined(int(expected[a, indices[i], b]), int(updates[a, i, b]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = checked(ops.Scatter(mode, axis=1), x, indices, updates)
        along = np.broadcast_to(indices[None, :, None], (4, 5, 5))
        np.testing.assert_array_equal(checked(ops.ScatterAlongAxis(mode, axis=1), x, along, updates), expected)
        places = np.stack(np.broadcast_arrays(np.arange(4)[:, None], indices), -1)
        np.testing.assert_array_equal(checked(ops.ScatterND(mode), x, places, updates), expected)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, expected)


def test_updates_have_the_type_of_what_they_update() -> None:
    x, indices = TensorType(np.dtype(np.int32), (4, 3)), TensorType(np.dtype(np.int32), (2,))
    with pytest.raises(InvalidModelError, match="x holds int32, but the updates float32"):
        ops.Scatter("add").infer(x, indices, TensorType(np.dtype(np.float32), (2, 3)))
