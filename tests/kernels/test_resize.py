from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import integers

from refcoreml import definitions
from refcoreml.kernels.resize import Sampling, box_corners, crop_resize, resize_linear, upsample_nearest


def equal(y, expected):
    """The same shape, type and numbers."""
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(y, expected)


SIZES = st.integers(1, 9)


def positions(start: Fraction, stop: Fraction, count: int, sampling: Sampling) -> list[Fraction]:
    """The table of `Sampling`, in exact fractions."""
    return definitions.sample_positions(start, stop, count, sampling.name)


def read(image: np.ndarray, p: Fraction, q: Fraction) -> Fraction:
    """One bilinear sample of an image [H, W] of integers, in exact fractions."""
    height, width = image.shape
    p, q = min(max(p, Fraction(0)), Fraction(height - 1)), min(max(q, Fraction(0)), Fraction(width - 1))
    i, j = p.numerator // p.denominator, q.numerator // q.denominator
    total = Fraction(0)
    for a, u in ((i, 1 - (p - i)), (i + 1, p - i)):
        for b, v in ((j, 1 - (q - j)), (j + 1, q - j)):
            if u and v:
                total += u * v * int(image[a, b])
    return total


def transcription(x, size, sampling):
    rows = positions(Fraction(0), Fraction(x.shape[-2] - 1), size[0], sampling)
    columns = positions(Fraction(0), Fraction(x.shape[-1] - 1), size[1], sampling)
    return np.array([[[float(read(image, p, q)) for q in columns] for p in rows] for image in x])


def bound(x, dtype):
    """Two interpolations, each a subtraction, a weight and a product of up to 2 * max|x|, and an addition."""
    return 2 * 7 * np.finfo(dtype).eps / 2 * np.abs(x).max()


@pytest.mark.parametrize("sampling", list(Sampling))
@given(st.tuples(SIZES, SIZES), st.tuples(SIZES, SIZES))
def test_bilinear_equals_the_transcription(sampling, size, target):
    x = integers((2, *size), seed=size[0] * 10 + size[1])
    expected = transcription(x, target, sampling)
    for dtype in (np.float32, np.float64):
        y = resize_linear(x.astype(dtype), target, sampling)
        assert y.dtype == dtype
        assert np.abs(y - expected).max() <= bound(x, dtype)


@pytest.mark.parametrize("sampling", list(Sampling))
@pytest.mark.parametrize("target", [(5, 8), (5, 9), (3, 5), (4, 16), (1, 1)])
def test_positions_at_quarters_are_exact(sampling, target):
    # With weights that are multiples of 1/64 and small integers nothing is rounded.
    x = integers((3, 5, 9), seed=8)
    expected = transcription(x, target, sampling)
    if (expected * 2**12 % 1 == 0).all():
        np.testing.assert_array_equal(resize_linear(x.astype(np.float32), target, sampling), expected)


def test_enough_of_the_quarter_cases_are_exact():
    x = integers((3, 5, 9), seed=8)
    exact = [
        (transcription(x, target, sampling) * 2**12 % 1 == 0).all()
        for sampling in Sampling
        for target in [(5, 8), (5, 9), (3, 5), (4, 16), (1, 1)]
    ]
    assert sum(exact) >= 10


@pytest.mark.parametrize("sampling", [Sampling.UPSAMPLE, Sampling.STRICT_ALIGN_ENDPOINTS, Sampling.HALF_PIXEL])
def test_the_same_size_gives_the_same_image(sampling):
    x = integers((2, 3, 5), seed=1)
    x[0, 1, 2], x[1, 2, 3], x[0, 2, 4] = np.inf, np.nan, -np.inf
    y = resize_linear(x, (3, 5), sampling)
    np.testing.assert_array_equal(y, x)
    assert not np.shares_memory(x, y)


@given(st.tuples(SIZES, SIZES), st.tuples(SIZES, SIZES), st.sampled_from(list(Sampling)))
def test_a_constant_image_stays_constant(size, target, sampling):
    x = np.full((2, *size), np.float32(0.1))
    np.testing.assert_array_equal(resize_linear(x, target, sampling), np.full((2, *target), np.float32(0.1)))


@pytest.mark.parametrize("target", [(5, 7), (12, 21), (2, 3), (1, 30), (6, 11)])
@pytest.mark.parametrize("align", [True, False])
def test_torch_agrees(target, align):
    torch = pytest.importorskip("torch", reason="torch is the third opinion")
    x = integers((2, 3, 4, 9), seed=2)
    expected = torch.nn.functional.interpolate(torch.from_numpy(x), size=target, mode="bilinear", align_corners=align)
    sampling = Sampling.STRICT_ALIGN_ENDPOINTS if align else Sampling.HALF_PIXEL
    # torch rounds the position (up to 9) and both weights of each axis.
    tolerance = 40 * 2.0**-53 * 9 * np.abs(x).max()
    np.testing.assert_allclose(resize_linear(x, target, sampling), expected.numpy(), rtol=0, atol=tolerance)


def test_nearest_equals_the_definition():
    x = integers((2, 3, 4, 5), seed=3).astype(np.float32)
    y = upsample_nearest(x, (3, 2))
    equal(y, definitions.upsample_nearest(x, (12, 10)).astype(np.float32))
    assert not np.shares_memory(upsample_nearest(x, (1, 1)), x)


def test_nearest_of_torch():
    torch = pytest.importorskip("torch", reason="torch is the third opinion")
    x = integers((2, 3, 4, 5), seed=3)
    expected = torch.nn.functional.interpolate(torch.from_numpy(x), scale_factor=(3, 4)).numpy()
    np.testing.assert_array_equal(upsample_nearest(x, (3, 4)), expected)


BOX = st.tuples(*[st.integers(-8, 40).map(lambda n: n / 4)] * 4)


@pytest.mark.parametrize("sampling", list(Sampling))
@given(st.lists(BOX, min_size=1, max_size=3), st.tuples(st.integers(1, 4), st.integers(1, 5)))
def test_boxes_equal_the_transcription(sampling, boxes, size):
    x = integers((2, 3, 7, 8), seed=4)
    expected = np.array(
        [
            [
                [
                    [
                        [
                            float(read(image, p, q))
                            for q in positions(*map(Fraction, (box[1], box[3])), size[1], sampling)
                        ]
                        for p in positions(*map(Fraction, (box[0], box[2])), size[0], sampling)
                    ]
                    for image in batch
                ]
                for batch in x
            ]
            for box in boxes
        ]
    )
    for dtype in (np.float32, np.float64):
        y = crop_resize(x.astype(dtype), np.array(boxes), size, sampling)
        assert y.shape == (len(boxes), 2, 3, *size)
        assert y.dtype == dtype
        # Positions here are fractions of doubles and carry a rounding of up to 8 * eps of float64 themselves.
        assert np.abs(y - expected).max() <= bound(x, dtype) + 4 * 16 * 2.0**-53 * 2 * np.abs(x).max()


def test_boxes_of_named_images():
    x = integers((4, 3, 7, 8), seed=5)
    boxes = np.array([[1.0, 2, 3, 5], [0, 0, 6, 7], [5, 5, 2, 1]])
    y = crop_resize(x, boxes, (2, 5), Sampling.ALIGN_ENDPOINTS, np.array([3, 0, 3]))
    every = crop_resize(x, boxes, (2, 5), Sampling.ALIGN_ENDPOINTS)
    assert y.shape == (3, 1, 3, 2, 5)
    for n, image in enumerate([3, 0, 3]):
        np.testing.assert_array_equal(y[n, 0], every[n, image])


def test_a_box_of_the_whole_image_is_a_resize():
    x = integers((2, 3, 7, 8), seed=6).astype(np.float32)
    for sampling in Sampling:
        y = crop_resize(x, np.array([[0.0, 0, 6, 7]]), (4, 5), sampling)
        np.testing.assert_allclose(y[0], resize_linear(x, (4, 5), sampling), rtol=0, atol=2 * bound(x, np.float32))


def test_a_backward_box_mirrors():
    x = integers((2, 3, 7, 8), seed=6)
    for sampling in Sampling:
        y = crop_resize(x, np.array([[1.0, 6, 5, 2]]), (4, 5), sampling)
        mirrored = crop_resize(x[..., ::-1].copy(), np.array([[1.0, 1, 5, 5]]), (4, 5), sampling)
        np.testing.assert_allclose(y, mirrored, rtol=0, atol=2 * bound(x, np.float64))


@pytest.mark.clause("cropResize.U3")
def test_boxes_that_are_not_finite_give_nan():
    x = integers((1, 2, 7, 8))
    boxes = np.array(
        [[np.nan, 0, 1, 1], [0, 0, np.inf, 1], [0, 0, 1, 1], [-np.inf, 0, np.inf, 1], [-1e300, 0, 1e300, 1]]
    )
    for sampling in Sampling:
        y = crop_resize(x, boxes, (2, 3), sampling)
        np.testing.assert_array_equal(np.isnan(y).all(axis=(1, 2, 3, 4)), [True, True, False, True, False])


def test_corners_of_every_notation():
    corners = np.array([[1.0, 2, 4, 8], [0, 3, 5, 4]])
    np.testing.assert_array_equal(box_corners(corners), corners)
    np.testing.assert_array_equal(box_corners(corners[:, [1, 0, 3, 2]], width_first=True), corners)
    centers = np.array([[2.5, 5, 3, 6], [2.5, 3.5, 5, 1]])
    np.testing.assert_array_equal(box_corners(centers, centers=True), corners)
    np.testing.assert_array_equal(box_corners(centers[:, [1, 0, 3, 2]], centers=True, width_first=True), corners)
