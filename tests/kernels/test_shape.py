from __future__ import annotations

import numpy as np
import pytest

from refcoreml.kernels import shape as kernels


def equal(y, expected):
    """The same shape, type and numbers."""
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(y, expected)


def numbers(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize("block", [2, 3])
@pytest.mark.parametrize("batch", [(), (2,), (3, 2)])
def test_blocks_equal_the_transcription(block, batch):
    b, kept, height, width = block, 5, 4, 7
    deep = numbers(*batch, kept * b * b, height, width)
    wide = numbers(*batch, kept, height * b, width * b)
    to_space, shuffled = np.empty_like(wide), np.empty_like(wide)
    to_depth = np.empty_like(deep)
    for c, h, w, i, j in np.ndindex(kept, height, width, b, b):
        to_space[..., c, h * b + i, w * b + j] = deep[..., (i * b + j) * kept + c, h, w]
        shuffled[..., c, h * b + i, w * b + j] = deep[..., c * b * b + i * b + j, h, w]
        to_depth[..., (i * b + j) * kept + c, h, w] = wide[..., c, h * b + i, w * b + j]
    equal(kernels.depth_to_space(deep, b), to_space)
    equal(kernels.pixel_shuffle(deep, b), shuffled)
    equal(kernels.space_to_depth(wide, b), to_depth)
    np.testing.assert_array_equal(kernels.space_to_depth(kernels.depth_to_space(deep, b), b), deep)


def test_pixel_shuffle_of_torch():
    torch = pytest.importorskip("torch", reason="torch is the third opinion")
    x = numbers(2, 5 * 9, 4, 7)
    np.testing.assert_array_equal(kernels.pixel_shuffle(x, 3), torch.pixel_shuffle(torch.from_numpy(x), 3).numpy())


def test_flatten():
    x = numbers(2, 3, 4, 5)
    np.testing.assert_array_equal(kernels.flatten(x), x.reshape(2, 60, 1, 1))
    expected = np.array([[x[n, c, h, w] for h in range(4) for w in range(5) for c in range(3)] for n in range(2)])
    np.testing.assert_array_equal(kernels.flatten(x, channel_last=True), expected.reshape(2, 60, 1, 1))


@pytest.mark.parametrize("last", [False, True])
def test_reshape_takes_numbers_of_each_batch_element_in_order(last):
    x = numbers(6, 2, 3, 4, 5)
    target = (4, 9, 2, 5)
    y = kernels.reshape(x, target, channel_last=last)
    assert y.shape == (4, 2, 9, 2, 5)
    for n in range(2):
        if last:
            taken = iter([x[s, n, c, h, w] for s in range(6) for h in range(4) for w in range(5) for c in range(3)])
            for s, h, w, c in np.ndindex(4, 2, 5, 9):
                assert y[s, n, c, h, w] == next(taken)
        else:
            np.testing.assert_array_equal(y[:, n].ravel(), x[:, n].ravel())
