"""Order of integers whose negatives do not exist, and the forms of top-k."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refcoreml import ops
from refcoreml.errors import InvalidModelError
from refcoreml.types import TensorType

INDEX = np.dtype(np.int32)


def in_order(line: list[Any], descending: bool) -> list[int]:
    """Indices in order; of equal elements the lowest first."""
    return sorted(range(len(line)), key=lambda i: (-line[i] if descending else line[i], i))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("descending", [False, True])
def test_extremes_of_each_type_are_ordered(dtype: Any, descending: bool) -> None:
    limits = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else np.finfo(dtype)
    chosen = [limits.min, limits.max, 0, 1, 0, limits.max, limits.min, 1]
    x = np.array([chosen, chosen[::-1], chosen[3:] + chosen[:3]], dtype)
    op = ops.ArgSort(-1, descending, INDEX)
    found = op.run(x)
    assert op.infer(TensorType.of(x)) == TensorType.of(found) == TensorType(INDEX, x.shape)
    assert found.tolist() == [in_order(line, descending) for line in x.tolist()]
    values, places = ops.TopK(3, 1, smallest=not descending, result=INDEX).run(x)
    assert values.dtype == dtype
    assert places.tolist() == [in_order(line, descending)[:3] for line in x.tolist()]
    np.testing.assert_array_equal(values, np.take_along_axis(x, places, 1))


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8])
def test_forms_of_top_k(dtype: Any) -> None:
    x = np.random.default_rng(0).integers(0, 9, (4, 3, 5)).astype(dtype)
    every, places = ops.TopK(-1, 0, result=np.dtype(np.uint16)).run(x)
    np.testing.assert_array_equal(every, -np.sort(-x.astype(int), 0))
    assert places.dtype == np.uint16
    op = ops.TopK(2, -1, smallest=True, indices=False)
    alone = op.run(x)
    assert isinstance(alone, np.ndarray)
    assert op.infer(TensorType.of(x)) == TensorType.of(alone)
    np.testing.assert_array_equal(alone, np.sort(x, -1)[..., :2])


@pytest.mark.parametrize("k", [0, -2, 6])
def test_k_out_of_range(k: int) -> None:
    with pytest.raises(InvalidModelError, match=f"K is {k}, expected 1 to 5"):
        ops.TopK(k, -1).infer(TensorType(INDEX, (3, 5)))
