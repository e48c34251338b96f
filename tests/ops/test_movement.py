"""Operations that only move values: of any type, and from values that inputs hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ops.examples import Example, join, padding, shape, slices
from support import integers

from refcoreml import ops
from refcoreml.errors import InputError, InvalidModelError
from refcoreml.ops.base import integers_in, numbers_in, shape_in, vector_in
from refcoreml.types import TensorType

MOVES = [*shape.EXAMPLES, *join.EXAMPLES, *slices.EXAMPLES, *padding.EXAMPLES]
JOINS = ops.Concat | ops.Stack


def cast(example: Example, dtype: type) -> list[np.ndarray[Any, Any]]:
    """The inputs with values that are moved in another type."""
    count = (
        len(example.inputs) if isinstance(example.op, JOINS) else 2 if isinstance(example.op, ops.SliceUpdate) else 1
    )
    return [x.astype(dtype) if i < count else x for i, x in enumerate(example.inputs)]


@pytest.mark.parametrize("dtype", [np.int32, np.bool_, np.float16])
@pytest.mark.parametrize("example", MOVES, ids=str)
def test_values_of_any_type_are_moved(example: Example, dtype: type) -> None:
    inputs, op = cast(example, dtype), example.op
    if isinstance(op, ops.Pad) and dtype is not np.float16:
        op = replace(op, value=1.0)  # a border of halves does not fit
    found, expected = op.run(*inputs), op.define(*inputs)
    types = op.infer(*map(TensorType.of, inputs)) or op.infer_from(*inputs)
    for y, z, inferred in zip(*((r if isinstance(r, tuple) else (r,)) for r in (found, expected, types)), strict=True):
        assert TensorType.of(y) == inferred == TensorType(np.dtype(dtype), z.shape)
        np.testing.assert_array_equal(y, z.astype(dtype))


@pytest.mark.parametrize(
    ("op", "values"),
    [
        (ops.Reshape(None), [5, 6]),
        (ops.Tile(None), [1, 2]),
        (ops.Pad(None), [0, 1, 2, 0, 0, 0]),
        (ops.SliceDynamic((2, 3, 4), (1, 1, 1)), [0, 0, 0]),
    ],
)
def test_shapes_that_depend_on_values_follow_from_them_alone(op: ops.Op, values: list[int]) -> None:
    x = integers((2, 3, 5))
    given = x, np.array(values, np.float64)
    assert op.infer(*map(TensorType.of, given)) is None
    assert op.infer_from(*given) == TensorType.of(op.run(*given))


def test_what_is_too_large_is_known_before_it_is_made() -> None:
    huge = np.full(3, 2.0**20)
    x = integers((2, 3, 5))
    assert ops.Tile(None).infer_from(x, huge).shape == (2 << 20, 3 << 20, 5 << 20)
    assert ops.Pad(None).infer_from(x, np.full(6, 2.0**20)).shape == (2 + (2 << 20), 3 + (2 << 20), 5 + (2 << 20))


@pytest.mark.parametrize(
    ("read", "values", "error", "message"),
    [
        (lambda v: numbers_in(v, "end", 2), [1.0], InvalidModelError, r"end has the shape \(1,\), expected 2 element"),
        (lambda v: numbers_in(v, "end", 2), [1.0, np.nan], InputError, r"end holds \[1.0, nan\], expected numbers"),
        (lambda v: integers_in(v, "end", 1), [-np.inf], InputError, r"end holds \[-inf\], expected integers"),
        (
            lambda v: vector_in(v, "shape"),
            [[1, 2]],
            InvalidModelError,
            r"shape has the shape \(1, 2\), expected a vector",
        ),
        (lambda v: vector_in(v, "shape"), [1] * 6, InvalidModelError, "expected a vector of 1 to 5 numbers"),
        (
            lambda v: shape_in(v, "shape"),
            [3, 0],
            InputError,
            r"requests the shape \(3, 0\), expected numbers of at least",
        ),
    ],
)
def test_values_of_inputs_are_checked(
    read: Callable[[Any], Any], values: list[Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read(np.array(values))


def test_fractions_of_values_are_cut_off() -> None:
    assert integers_in(np.array([[2.9], [-0.5], [-1.5]]), "end", 3) == [2, 0, -1]
    assert shape_in(np.array([2, 7]), "shape") == (2, 7)


def _type(*shape: int, dtype: type = np.float32) -> TensorType:
    return TensorType(np.dtype(dtype), shape)


UPDATE = ops.SliceUpdate(ops.Slice((ops.Cut(0, 2), ops.Cut(1, squeeze=True))))


@pytest.mark.parametrize(
    ("op", "types", "words"),
    [
        (ops.ReshapeLike(((0, 1),)), [_type(2, 3), _type(2), _type(3)], "parts of 1 shapes, but has 2 inputs"),
        (ops.ReshapeLike(), [_type(2, 3)], "has 0 inputs beside x"),
        (ops.ReshapeLike(((0, 1),)), [_type(2, 3), _type(2, 3)], r"shape \(2,\) is requested, which the 6 numbers"),
        (ops.PixelUnshuffle(2), [_type(3, 4, 5)], r"blocks of 2 do not divide H and W of \(3, 4, 5\)"),
        (ops.SpaceToBatch((2, 3)), [_type(3, 4, 6)], r"expected an input \[N, C, H, W\]"),
        (ops.SpaceToBatch((2, 3), ((0, 1), (0, 0))), [_type(1, 2, 4, 6)], r"do not divide the \(5, 6\) pixels"),
        (ops.SpaceToBatch((0, 3)), [_type(1, 2, 4, 6)], r"the block is \(0, 3\)"),
        (ops.BatchToSpace((2, 3), ((0, -1), (0, 0))), [_type(6, 2, 4, 5)], "expected numbers of at least 0"),
        (ops.BatchToSpace((2, 3)), [_type(4, 2, 3, 5)], "a batch of 4 cannot be divided"),
        (ops.BatchToSpace((2, 3), ((3, 5), (0, 0))), [_type(6, 2, 4, 5)], "leaves no pixel"),
        (UPDATE, [_type(3, 4), _type(3)], r"the update is float32 \(3,\), expected float32 \(2,\)"),
        (UPDATE, [_type(3, 4), _type(2, dtype=np.int32)], r"the update is int32 \(2,\)"),
    ],
)
def test_shapes_that_do_not_fit(op: ops.Op, types: list[TensorType], words: str) -> None:
    with pytest.raises(InvalidModelError, match=words):
        op.infer(*types)


def test_an_update_that_a_run_time_slice_does_not_fit() -> None:
    op, x = ops.SliceUpdate(ops.SliceDynamic((2, 3), (1, 1))), integers((3, 4))
    given = x, np.zeros((2, 2)), np.array([0, 2])
    assert op.infer(*map(TensorType.of, given)) == TensorType.of(x)
    with pytest.raises(InputError, match=r"the update is float64 \(2, 2\), expected float64 \(2, 1\)"):
        op.run(*given)


def test_an_update_in_place_is_that_of_a_copy() -> None:
    x, update = integers((3, 4)), np.full((2, 1), 9.0)
    op, begin = ops.SliceUpdate(ops.SliceDynamic((2, 3), (1, 1))), np.array([0, 2])
    expected = op.run(x, update, begin)
    assert x.max() < 9
    op.overwrite(x, update, begin)
    np.testing.assert_array_equal(x, expected)


def test_a_slice_may_be_given_in_small_integers_and_booleans() -> None:
    x = integers((300, 3))
    settings = np.array([-5, 1], np.int8), np.array([0, 127], np.int8), np.ones(2, np.int8)
    masks = np.array([False, True]), np.array([True, False])
    op = ops.SliceDynamic()
    assert op.infer(*map(TensorType.of, (x, *settings, *masks))) is None
    np.testing.assert_array_equal(op.run(x, *settings, *masks), x[-5:, :127])


def test_blocks_of_the_batch_as_tensorflow_documents_them() -> None:
    x = np.arange(1, 17).reshape(1, 1, 4, 4)
    y = ops.SpaceToBatch((2, 2)).run(x)
    np.testing.assert_array_equal(
        y[:, 0], [[[1, 3], [9, 11]], [[2, 4], [10, 12]], [[5, 7], [13, 15]], [[6, 8], [14, 16]]]
    )
    np.testing.assert_array_equal(ops.BatchToSpace((2, 2)).run(y), x)


def test_pixels_are_unshuffled_as_by_torch() -> None:
    torch = pytest.importorskip("torch", reason="torch is the third opinion")
    x = integers((2, 3, 6, 9))
    np.testing.assert_array_equal(ops.PixelUnshuffle(3).run(x), torch.pixel_unshuffle(torch.from_numpy(x), 3))
