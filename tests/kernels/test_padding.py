from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import integers

from refcoreml.kernels.padding import crop, pad


def equal(y, expected):
    """The same shape, type and numbers."""
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(y, expected)


def source(index, size, mode):
    """Which pixel of an axis stands at a place outside of it; None for the constant."""
    if 0 <= index < size:
        return index
    if mode == "constant":
        return None
    if mode == "edge":
        return 0 if index < 0 else size - 1
    return -index if index < 0 else 2 * (size - 1) - index


def transcription(x, borders, mode, value):
    (top, bottom), (left, right) = borders
    height, width = x.shape[-2:]
    y = np.empty((*x.shape[:-2], top + height + bottom, left + width + right), x.dtype)
    for i in range(y.shape[-2]):
        for j in range(y.shape[-1]):
            a, b = source(i - top, height, mode), source(j - left, width, mode)
            y[..., i, j] = value if a is None or b is None else x[..., a, b]
    return y


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(edges=st.tuples(*[st.integers(0, 3)] * 4))
def test_equals_the_transcription(mode, dtype, edges):
    x = integers((2, 3, 4, 5), seed=1).astype(dtype)
    borders = (edges[:2], edges[2:])
    y = pad(x, borders, mode, 7.5)
    equal(y, transcription(x, borders, mode, 7.5))
    assert not np.shares_memory(x, y)
    np.testing.assert_array_equal(crop(y, borders), x)


@pytest.mark.parametrize(("mode", "name"), [("constant", "constant"), ("reflect", "reflect"), ("edge", "replicate")])
def test_torch_agrees(mode, name):
    torch = pytest.importorskip("torch", reason="torch is the third opinion")
    x = integers((2, 3, 4, 5), seed=2)
    expected = torch.nn.functional.pad(torch.from_numpy(x), (2, 4, 3, 1), mode=name).numpy()
    np.testing.assert_array_equal(pad(x, ((3, 1), (2, 4)), mode), expected)


def test_crop_is_a_view():
    x = integers((2, 4, 5))
    assert np.shares_memory(crop(x, ((1, 0), (0, 2))), x)
    np.testing.assert_array_equal(crop(x, ((1, 0), (0, 2))), x[:, 1:, :-2])
