"""Inputs that do not suit an operation: what `infer` lets pass can be computed, and has the inferred types."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from ops.examples import EXAMPLES, Example

from refcoreml import ops
from refcoreml.errors import InputError, InvalidModelError
from refcoreml.kernels.resize import Sampling
from refcoreml.types import Array, TensorType


def listed(results: Any) -> list[Any]:
    return list(results) if isinstance(results, tuple) else [results]


def variants(x: Array) -> Iterator[Array]:
    """Yield x in other types and shapes; empty along each axis, as a number, with an axis more or less."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for kind in "float16", "int32", "uint8", "bool":
            yield x.astype(kind)
    yield x[None]
    yield np.full((), x.flat[0] if x.size else 1, x.dtype)
    for axis in range(x.ndim):
        yield x.take(np.arange(0), axis)
        if x.shape[axis]:
            yield np.asarray(x.take(0, axis))


def misfits(example: Example) -> Iterator[list[Array]]:
    for place, x in enumerate(example.inputs):
        for variant in variants(x):
            yield [variant if i == place else other for i, other in enumerate(example.inputs)]
    with np.errstate(all="ignore"):
        yield [x.astype(np.int32) for x in example.inputs]
    yield [np.zeros((0,) * x.ndim, x.dtype) for x in example.inputs]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_what_infer_lets_pass_can_be_computed(example: Example) -> None:
    op = example.op
    for inputs in misfits(example):
        given = [x.copy() for x in inputs]
        try:
            types = op.infer(*map(TensorType.of, inputs))
            if types is None:
                types = op.infer_from(*inputs)
            with np.errstate(all="ignore"):
                results = listed(op.run(*inputs))
        except (InvalidModelError, InputError):
            continue
        assert all(isinstance(y, np.ndarray) for y in results)
        if types is not None:
            assert [y.shape for y in results] == [found.shape for found in listed(types)]
        for x, copy in zip(inputs, given, strict=True):
            np.testing.assert_array_equal(x, copy)


@pytest.mark.parametrize("lengths", [((4, 0, 5), (3, 1)), ((0,), ()), ((1, 3), (0, 1)), ((2, 1), (1, 0))])
def test_a_length_of_0_broadcasts_with_1(lengths: list[tuple[int, ...]]) -> None:
    x, y = (np.zeros(shape) for shape in lengths)
    if lengths[0] == (4, 0, 5):  # 0 and 3
        with pytest.raises(InvalidModelError, match="do not fit together"):
            ops.Add().infer(TensorType.of(x), TensorType.of(y))
        return
    expected = np.broadcast_shapes(*lengths)
    for op in ops.Add(), ops.Maximum(), ops.Less():
        assert op.infer(TensorType.of(x), TensorType.of(y)).shape == op.run(x, y).shape == expected
    assert ops.Select().run(np.ones(3), np.ones(()), np.ones((0, 1))).shape == (0, 3)


def test_indices_that_name_no_axis_are_refused() -> None:
    """The result would be x itself, in another shape than the inferred one, and no new array."""
    indices = TensorType(np.dtype(np.int32), (2, 0))
    with pytest.raises(InvalidModelError, match=r"got the shape \(2, 0\), which holds no elements"):
        ops.GatherND().infer(TensorType(np.dtype(np.float32), (4, 3)), indices)


F32 = np.dtype(np.float32)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ops.ResizeBilinear((4,), Sampling.ALIGN_ENDPOINTS), r"the target \(4,\) is not for 2 axes"),
        (lambda: ops.UpsampleNearest((2, 2, 2)), r"factors \(2, 2, 2\) is not for 2 axes"),
        (lambda: ops.SpaceToBatch((1, 1), ((0, 0),)), r"the margins \(\(0, 0\),\) is not for 2 axes"),
        (lambda: ops.BatchToSpace((1, 1, 1)), r"the block \(1, 1, 1\) is not for 2 axes"),
        (lambda: ops.OneHot(6, on=2.5, result=np.dtype(np.int32)), "on is 2.5, which int32 cannot represent"),
        (lambda: ops.FillLike(np.nan, np.dtype(np.int32)), "the value is nan, which int32 cannot represent"),
        (lambda: ops.LocalResponseNormalization(0, 1.0, 1.0, 1.0), "size is 0, expected a number of at least 1"),
        (lambda: ops.Softmax(7), "axis is 7, expected -4 to 3"),
    ],
)
def test_attributes_that_make_no_sense_are_refused(make: Any, words: str) -> None:
    with pytest.raises(InvalidModelError, match=words):
        make().infer(TensorType(F32, (2, 3, 4, 5)))
