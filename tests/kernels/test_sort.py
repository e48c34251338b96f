"""Sorting against Python's own stable sort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import integers

from refcoreml.kernels import sort as kernels

DTYPES = [np.float32, np.float64]
#: Few different values, so that most have equals; zeros of both signs are equal, too.
VALUES = st.lists(st.sampled_from([-2.0, -1.0, -0.0, 0.0, 1.0, np.inf, -np.inf]), min_size=1, max_size=40)


@given(VALUES, st.booleans(), st.sampled_from(DTYPES))
def test_argsort_is_stable(values, descending, dtype):
    expected = sorted(range(len(values)), key=lambda place: -values[place] if descending else values[place])
    assert kernels.argsort(np.array(values, dtype), 0, descending=descending).tolist() == expected


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.bool_])
def test_order_of_integers_at_the_ends_of_their_type(dtype):
    ends = [False, True] if dtype is np.bool_ else [np.iinfo(dtype).min, 0, np.iinfo(dtype).max]
    x = np.array([*ends, *ends], dtype)
    for descending in (False, True):
        expected = sorted(range(len(x)), key=lambda place: -int(x[place]) if descending else int(x[place]))
        assert kernels.argsort(x, 0, descending=descending).tolist() == expected


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("descending", [False, True])
def test_argsort_sorts_lines(axis, descending):
    x = integers((4, 5, 7))
    y = np.moveaxis(kernels.argsort(x, axis, descending=descending), axis, -1)
    for line, places in zip(
        np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis]), y.reshape(-1, x.shape[axis]), strict=True
    ):
        assert places.tolist() == sorted(
            range(len(line)), key=lambda place: -line[place] if descending else line[place]
        )


@given(VALUES, st.data(), st.booleans(), st.sampled_from(DTYPES))
def test_top_k(values, data, smallest, dtype):
    k = data.draw(st.integers(1, len(values)))
    expected = sorted(range(len(values)), key=lambda place: values[place] if smallest else -values[place])[:k]
    best, places = kernels.top_k(np.array(values, dtype), k, 0, smallest=smallest)
    assert best.dtype == dtype
    assert places.tolist() == expected
    assert best.tolist() == [values[place] for place in expected]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_top_k_agrees_with_torch(axis):
    torch = pytest.importorskip("torch", reason="torch is a third opinion")
    x = np.random.default_rng(0).permutation(4 * 5 * 7).reshape(4, 5, 7).astype(np.float32)  # no two equal
    for smallest in (False, True):
        theirs = torch.topk(torch.from_numpy(x), 3, dim=axis, largest=not smallest)
        for ours, expected in zip(kernels.top_k(x, 3, axis, smallest=smallest), theirs, strict=True):
            np.testing.assert_array_equal(ours, expected.numpy())


def test_nan_comes_last():
    x = np.array([np.nan, 1.0, np.nan, 3.0])
    assert kernels.argsort(x, 0).tolist() == [1, 3, 0, 2]
    assert kernels.argsort(x, 0, descending=True).tolist() == [3, 1, 0, 2]
    assert kernels.top_k(x, 2, 0)[1].tolist() == [3, 1]
    assert kernels.arg_extreme(x, 0).tolist() == kernels.arg_extreme(x, 0, smallest=True).tolist() == [0]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("smallest", [False, True])
def test_arg_extreme_finds_the_first(axis, smallest):
    x = integers((4, 5, 7), low=-1, high=2)  # three values: nearly every line has ties
    y = kernels.arg_extreme(x, axis, smallest=smallest)
    assert y.shape == tuple(1 if k == axis else n for k, n in enumerate(x.shape))
    for line, place in zip(np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis]), y.ravel(), strict=True):
        assert place == list(line).index(min(line) if smallest else max(line))
