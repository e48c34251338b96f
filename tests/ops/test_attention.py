"""Attention: blocks, masks, memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from ops.examples.attention import FLAGS, KEY, NUMBERS, OP, QUERY, VALUE, roundings

from refcoreml.errors import InvalidModelError
from refcoreml.kernels import attention as kernels
from refcoreml.kernels.threads import thread_count
from refcoreml.types import Array, TensorType


@pytest.mark.parametrize("block", [1, 14, 20, 35, 70, 10**6])
@pytest.mark.parametrize("mask", [None, FLAGS, NUMBERS], ids=["none", "flags", "numbers"])
def test_blocks_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch, block: int, mask: Array | None) -> None:
    """1 is a row at a time, 14 two of five, 20 less than three, 35 a head, 70 two heads of three."""
    monkeypatch.setattr(kernels, "BLOCK", block)
    given = (QUERY, KEY, VALUE) if mask is None else (QUERY, KEY, VALUE, mask)
    expected = OP.define(*given)
    np.testing.assert_allclose(OP.run(*given), expected, rtol=0, atol=roundings(7) * 2.0**-53 * np.abs(expected).max())


def test_the_scores_of_all_pairs_are_never_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 heads of 1,500 tokens have scores of 18 MB."""
    monkeypatch.setattr(kernels, "BLOCK", 1 << 15)
    x = np.ones((1, 2, 1500, 4), np.float32)
    mask = np.tri(1500, dtype=bool)
    tracemalloc.start()
    try:
        y = OP.run(x, x, x, mask)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(y, x, rtol=1500 * 2.0**-24)
    # The result, and on each thread a block of scores, their softmax, and what the mask excludes.
    assert peak < y.nbytes + thread_count() * 3 * 4 * (1 << 15) + 100_000


def test_strided_inputs_are_no_other_numbers() -> None:
    query, key, value = (np.asfortranarray(x) for x in (QUERY, KEY, VALUE))
    np.testing.assert_array_equal(OP.run(query, key, value), OP.run(QUERY, KEY, VALUE))


def test_a_query_without_any_key_has_no_result() -> None:
    flags = np.ones((5, 7), bool)
    flags[2] = False
    for mask in flags, np.where(flags, 0.0, -np.inf):
        with np.errstate(all="raise"):
            y = OP.run(QUERY, KEY, VALUE, mask)
        np.testing.assert_array_equal(np.isnan(y).any(axis=(0, 1, 3)), ~flags[:, 0])
        np.testing.assert_array_equal(np.isnan(OP.define(QUERY, KEY, VALUE, mask)), np.isnan(y))


def _type(*shape: int, dtype: type = np.float32) -> TensorType:
    return TensorType(np.dtype(dtype), shape)


Q, K, V = _type(2, 5, 4), _type(2, 7, 4), _type(2, 7, 6)


@pytest.mark.parametrize(
    ("types", "words"),
    [
        ([_type(5, 4), _type(7, 4), _type(7, 6)], r"expected \[\*B, L, E\]"),
        ([_type(3, 5, 4), K, V], r"with equal \*B"),
        ([_type(1, 2, 5, 4), K, V], r"with equal \*B"),
        ([_type(2, 5, 3), K, V], "rows of equal length E"),
        ([Q, K, _type(2, 8, 6)], "as many keys as values"),
        ([Q, K, _type(2, 7, 6, dtype=np.float64)], "expected one type"),
        ([_type(2, 5, 4, dtype=np.int32), K, V], "takes floats, got int32"),
        ([Q, K, V, _type(5, 7, dtype=np.int32)], r"the mask is int32 \(5, 7\), expected booleans or floats"),
        ([Q, K, V, _type(7, 5)], r"the mask \(7, 5\) does not broadcast"),
        ([Q, K, V, _type(3, 2, 5, 7)], "does not broadcast"),
    ],
)
def test_types_that_do_not_fit(types: list[TensorType], words: str) -> None:
    with pytest.raises(InvalidModelError, match=words):
        OP.infer(*types)


@pytest.mark.parametrize("mask", [None, FLAGS, NUMBERS], ids=["none", "flags", "numbers"])
def test_torch_agrees(mask: Array | None) -> None:
    torch = pytest.importorskip("torch", reason="torch is the third opinion")
    given = (QUERY, KEY, VALUE) if mask is None else (QUERY, KEY, VALUE, mask)
    expected = torch.nn.functional.scaled_dot_product_attention(*map(torch.from_numpy, given)).numpy()
    found = OP.run(*given)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2 * roundings(7) * 2.0**-53 * np.abs(expected).max())
