"""Tiling, interleaving, padding along any axes, powers and stacked matrix products."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import integers

from refcoreml.kernels import elementwise, linear, padding, shape

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple)


@given(SHAPES, st.data())
def test_tile(dims, data):
    repetitions = data.draw(st.tuples(*[st.integers(1, 3)] * len(dims)))
    x = integers(dims).astype(np.float32)
    y = shape.tile(x, repetitions)
    assert y.dtype == np.float32
    assert y.shape == tuple(r * n for r, n in zip(repetitions, dims, strict=True))
    for place in np.ndindex(*y.shape):
        assert y[place] == x[tuple(i % n for i, n in zip(place, dims, strict=True))]


@given(SHAPES, st.integers(1, 4), st.data())
def test_interleave(dims, count, data):
    axis = data.draw(st.integers(0, len(dims) - 1))
    xs = [integers(dims, seed=seed) for seed in range(count)]
    y = shape.interleave(xs, axis)
    assert y.shape == (*dims[:axis], count * dims[axis], *dims[axis + 1 :])
    for k, x in enumerate(xs):
        np.testing.assert_array_equal(y[(slice(None),) * axis + (slice(k, None, count),)], x)


@given(SHAPES, st.data())
def test_pad_axes(dims, data):
    amounts = data.draw(st.lists(st.tuples(*[st.integers(0, 2)] * 2), min_size=len(dims), max_size=len(dims)))
    x = integers(dims).astype(np.float32)
    y = padding.pad(x, tuple(amounts), value=9.5)
    assert y.dtype == np.float32
    inner = tuple(slice(before, before + n) for (before, _), n in zip(amounts, dims, strict=True))
    np.testing.assert_array_equal(y[inner], x)
    y[inner] = 9.5
    assert (y == 9.5).all()
    assert y.shape == tuple(b + n + a for (b, a), n in zip(amounts, dims, strict=True))


def test_power_is_rounded_once():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0.1, 10, (40, 1)).astype(np.float32), rng.uniform(-20, 20, 50).astype(np.float32)
    z = elementwise.power(x, y, out=np.empty((40, 50), np.float32))
    assert z.dtype == np.float32
    expected = np.array([[math.pow(a, b) for b in y.tolist()] for a in x.ravel().tolist()])
    np.testing.assert_array_less(np.abs(z - expected), 0.501 * np.spacing(expected.astype(np.float32)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batched_matmul_of_any_strides(dtype):
    x, y = integers((2, 3, 4, 5)).astype(dtype), integers((2, 3, 5, 6), seed=1).astype(dtype)
    expected = np.einsum("abij,abjk->abik", x, y)
    views = [
        x,
        np.ascontiguousarray(x.swapaxes(2, 3)).swapaxes(2, 3),
        np.ascontiguousarray(x.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3),
        np.ascontiguousarray(x.transpose(3, 2, 1, 0)).transpose(3, 2, 1, 0),
        np.repeat(x, 2, 3)[..., ::2],
        x[..., ::-1].copy()[..., ::-1],
    ]
    for view in views:
        z = linear.batched_matmul(view, y)
        assert z.dtype == dtype
        np.testing.assert_array_equal(z, expected)
    row = np.broadcast_to(x[0, 0, :1], (2, 3, 4, 5))
    np.testing.assert_array_equal(linear.batched_matmul(row, y), np.einsum("abij,abjk->abik", row, y))
