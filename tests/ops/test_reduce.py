"""Reductions of integers: to rank 0, over any axes, wrapped around, their fractions cut off."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refcoreml import ops
from refcoreml.types import TensorType

SHAPE = (2, 3, 5)
#: Each reduction of Python's integers, before its fraction is cut off.
FORMULAS: dict[Any, Callable[[list[int]], float]] = {
    ops.ReduceSum: sum,
    ops.ReduceMean: lambda v: sum(v) / len(v),
    ops.ReduceProduct: math.prod,
    ops.ReduceMax: max,
    ops.ReduceMin: min,
    ops.ReduceL1: lambda v: sum(map(abs, v)),
    ops.ReduceL2: lambda v: math.isqrt(sum(a * a for a in v)),
    ops.ReduceSumSquare: lambda v: sum(a * a for a in v),
    ops.ReduceLogSum: lambda v: math.log(sum(v)),
    ops.ReduceLogSumExp: lambda v: math.log(math.fsum(math.exp(a) for a in v)),
}


def wrapped(value: int, dtype: Any) -> int:
    limits = np.iinfo(dtype)
    return (value - int(limits.min)) % 2**limits.bits + int(limits.min)


@pytest.mark.parametrize("dtype", [np.int32, np.int8, np.uint16])
@pytest.mark.parametrize("kind", FORMULAS)
def test_reductions_of_integers(kind: Any, dtype: Any) -> None:
    low = 1 if kind is ops.ReduceLogSum or dtype is np.uint16 else -9
    high = 4 if kind is ops.ReduceLogSum else 10  # sums of 30 stay in int8
    x = np.random.default_rng(0).integers(low, high, SHAPE).astype(dtype)
    subsets = [axes for count in (1, 2, 3) for axes in itertools.combinations(range(3), count)]
    for axes, keepdims in itertools.product([None, *subsets, (-1,), (-3, 2)], [False, True]):
        op = kind(axes, keepdims)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = op.run(x)
        assert isinstance(found, np.ndarray)
        assert TensorType.of(found) == op.infer(TensorType.of(x))
        assert found.dtype == dtype
        taken = range(3) if axes is None else [axis % 3 for axis in axes]
        kept = [axis for axis in range(3) if axis not in taken]
        assert found.ndim == (3 if keepdims else len(kept))
        rows = np.transpose(x, [*kept, *taken]).reshape(-1, math.prod(SHAPE[axis] for axis in taken))
        expected = [wrapped(int(FORMULAS[kind](row)), dtype) for row in rows.tolist()]
        assert found.reshape(-1).tolist() == expected


def test_a_mean_of_integers_does_not_overflow() -> None:
    x = np.full(1000, 2**31 - 1, np.int32)
    assert ops.ReduceMean().run(x) == 2**31 - 1
    assert ops.ReduceMean().run(np.array([-7, 0], np.int32)) == -3  # cut off toward zero


@pytest.mark.parametrize("kind", [ops.ReduceSum, ops.ReduceMax, ops.ReduceMean, ops.ReduceLogSumExp])
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_a_scalar_stays_one(kind: Any, dtype: Any) -> None:
    for keepdims in (False, True):
        found = kind(None, keepdims).run(np.array(5, dtype))
        assert TensorType.of(found) == TensorType(np.dtype(dtype), ())
        assert found == 5


@pytest.mark.parametrize("result", [np.int32, np.uint16])
@pytest.mark.parametrize("kind", [ops.ArgMax, ops.ArgMin])
@pytest.mark.parametrize("keepdims", [False, True])
def test_places_of_extremes_have_the_requested_type(kind: Any, result: Any, keepdims: bool) -> None:
    x = np.random.default_rng(1).integers(-2, 3, SHAPE).astype(np.int32)
    reference = np.argmax if kind is ops.ArgMax else np.argmin  # the first of several, too
    for axis in range(-3, 3):
        op = kind(axis, keepdims, np.dtype(result))
        found = op.run(x)
        assert op.infer(TensorType.of(x)) == TensorType.of(found)
        assert found.dtype == result
        np.testing.assert_array_equal(found, reference(x, axis, keepdims=keepdims))


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_running_totals_of_integers_wrap_around(exclusive: bool, reverse: bool) -> None:
    x = np.random.default_rng(2).integers(-100, 100, SHAPE).astype(np.int8)
    for axis in range(-3, 3):
        found = ops.CumulativeSum(axis, exclusive, reverse).run(x)
        assert found.dtype == np.int8
        lines, sums = (np.moveaxis(values, axis, -1).reshape(-1, SHAPE[axis]).tolist() for values in (x, found))
        for line, total in zip(lines, sums, strict=True):
            for i in range(len(line)):
                part = line[i + exclusive :] if reverse else line[: i + 1 - exclusive]
                assert total[i] == wrapped(sum(part), np.int8)
