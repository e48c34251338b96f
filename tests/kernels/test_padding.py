from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import integers

from refcoreml import definitions
from refcoreml.kernels.padding import crop, pad


def equal(y, expected):
    """The same shape, type and numbers."""
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(edges=st.tuples(*[st.integers(0, 3)] * 4))
def test_equals_the_definition(mode, dtype, edges):
    x = integers((2, 3, 4, 5), seed=1).astype(dtype)
    borders = (edges[:2], edges[2:])
    y = pad(x, borders, mode, 7.5)
    equal(y, definitions.pad(x, ((0, 0), (0, 0), *borders), mode, 7.5).astype(dtype))
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
