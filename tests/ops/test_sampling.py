"""Images read at given positions: what Apple's tests expect, torch, edges, blocks, and what does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ops.examples.sampling import FRACTIONS, MATRIX, PLACES, ROUNDINGS, WARPED, X
from support import assert_identical, integers

from refcoreml import ops
from refcoreml.errors import InputError, InvalidModelError
from refcoreml.kernels import sampling as kernels
from refcoreml.kernels.resize import Sampling
from refcoreml.kernels.sampling import Coordinates, Padding
from refcoreml.types import TensorType

FOUR = np.array([11, 22, 33, 44], np.float32).reshape(1, 1, 2, 2)
#: The tests' literals have seven digits.
LITERAL = {"rtol": 1e-6, "atol": 0}


# ---- What Apple's tests expect ----


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ((3, 3), [10.752501, 2.5025, 0, 1.9799997, 0, 0, 0, 0, 0]),
        ((2, 5), [10.752501, 5.94, 2.5025, 0.44000006, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_affine_maps(target: tuple[int, int], expected: list[float]) -> None:
    matrix = np.array([[-1, -2, -3.7, -1, 3.5, 1.2]], np.float32)
    y = ops.WarpAffine(target).run(FOUR, matrix)
    # Positions are given in single precision, and literals were computed from rounded ones: 2^-21 of 44.
    np.testing.assert_allclose(y.reshape(-1), expected, rtol=0, atol=44 * 2.0**-21)


FLOATS, INTEGERS = [-1, -2, -3.7, -1, 0, 0, 3.5, 1.2], [0, 0, 1, 1, 0, 0, 1, 1]
RESAMPLED = [
    (ops.Resample(Coordinates.MINUS_ONE_TO_ONE, True, Padding.CONSTANT, 6.17), [8.585, 6.17, 27.5, 6.17], [27.5, 44]),
    (ops.Resample(Coordinates.PIXELS, padding=Padding.EDGE, nearest=True), [11, 11, 11, 44], [11, 44]),
    (ops.Resample(Coordinates.ZERO_TO_ONE, True, Padding.REFLECTION), [22, 36.3, 11, 34.1], [11, 44]),
    (ops.Resample(Coordinates.ZERO_TO_ONE, False, Padding.SYMMETRIC, nearest=True), [22, 33, 11, 33], [11, 44]),
]


@pytest.mark.parametrize(("op", "expected", "of_integers"), RESAMPLED)
def test_resampled(op: ops.Resample, expected: list[float], of_integers: list[float]) -> None:
    y = op.run(FOUR, np.array(FLOATS, np.float32).reshape(1, 2, 2, 2))
    np.testing.assert_allclose(y.reshape(-1), expected, **LITERAL)
    for dtype in (np.int8, np.uint16, np.int32):
        y = op.run(FOUR, np.array(INTEGERS, dtype).reshape(1, 2, 2, 2))
        np.testing.assert_array_equal(y.reshape(-1), np.tile(of_integers, 2))


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        ((1.0, 1.0), [[1.5, -2.5, 3.5]]),
        ((3.17, 0.67), [[1.5, -2.5]] * 3),
        ((2.0, 1.12), [[1.5, -2.5, 3.5]] * 2),
    ],
)
def test_ratios_are_those_of_the_sizes(factors: tuple[float, float], expected: list[list[float]]) -> None:
    np.testing.assert_array_equal(ops.UpsampleNearest(factors).run(np.array([[1.5, -2.5, 3.5]])), expected)


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling.STRICT_ALIGN_ENDPOINTS, [1, 1.2, 1.4, 1.6, 1.8, 2]),
        (Sampling.HALF_PIXEL, [1, 1, 1.33334, 1.66667, 2, 2]),
        (Sampling.UPSAMPLE, [1, 1.33334, 1.66667, 2, 2, 2]),
    ],
)
def test_upsampled_by_floats(sampling: Sampling, expected: list[float]) -> None:
    y = ops.UpsampleBilinear((2.0, 3.0), sampling).run(np.array([[1.0, 2.0]]))
    np.testing.assert_allclose(y, [expected] * 2, rtol=0, atol=1e-5)


def test_resized() -> None:
    y = ops.Resize((1, 1, 5), 2).run(np.array([[[0, 1]]], np.float32))
    np.testing.assert_allclose(y, [[[0, 0.4, 0.8, 1, 1]]], **LITERAL)
    x, target = np.array([-6.174, 9.371]).reshape(1, 1, 2, 1), np.array([1, 1, 3, 2], np.int32)
    y = ops.Resize(None, 2, nearest=True).run(x, target)
    np.testing.assert_array_equal(y.reshape(-1), [-6.174, -6.174, 9.371, 9.371, 9.371, 9.371])


def test_boxes_that_leave_the_image() -> None:
    x = np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)
    boxes = np.array([[0.1, 0.3, 1.3, 1.0], [0.5, 1.8, 1.0, 0.3], [0.0, 0.4, 0.6, 0.7]], np.float32)
    op = ops.CropResize((2, 2), Sampling.ALIGN_ENDPOINTS, normalized=True, outside=10.0)
    expected = np.array([3.1, 5.2, 10, 10, 10, 7.9, 10, 13.9, 2.2, 3.1, 9.4, 10.3])
    y = op.run(x, boxes, np.zeros(3, np.uint16))
    assert y.shape == (3, 1, 2, 2)
    np.testing.assert_allclose(y.reshape(-1), expected, **LITERAL)
    numbered = np.column_stack([np.zeros(3, np.float32), boxes])
    np.testing.assert_array_equal(op.run(x, numbered)[:, 0], y)


# ---- Edges and blocks ----


def test_a_neighbour_beyond_the_edge_is_the_padding() -> None:
    x = np.array([[[[4.0, 8.0]]]])
    places = np.array([[-1, 0], [-0.5, 0], [1.25, 0], [0, -0.25], [5, 0], [-np.inf, 0]])[None, None]
    y = ops.Resample(Coordinates.PIXELS, value=-4.0).run(x, places)
    np.testing.assert_array_equal(y.reshape(-1), [-4, 0, 5, 2, -4, -4])
    y = ops.Resample(Coordinates.PIXELS, value=np.inf).run(x, np.array([[[[1.0, 0]]]]))
    assert y == 8  # what has no weight is not read


@pytest.mark.parametrize("padding", list(Padding))
@pytest.mark.parametrize("nearest", [False, True])
def test_what_is_no_place_has_no_number(padding: Padding, nearest: bool) -> None:
    op = ops.Resample(Coordinates.PIXELS, padding=padding, nearest=nearest)
    places = np.array([[[[np.nan, 0], [0, np.nan], [1, 1], [np.inf, 0]]]])
    y = op.run(X[:1, :, :, :], places)
    mirrored = padding in (Padding.REFLECTION, Padding.SYMMETRIC)
    np.testing.assert_array_equal(np.isnan(y[0, :, 0]), [[True, True, False, mirrored]] * 3)


@pytest.mark.parametrize("block", [1, 20, 37])
def test_blocks_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    op = ops.Resample(Coordinates.PIXELS, padding=Padding.SYMMETRIC)
    expected = op.run(X, PLACES)
    monkeypatch.setattr(kernels, "_BLOCK", block)
    np.testing.assert_array_equal(op.run(X, PLACES), expected)


def test_an_identity_changes_nothing() -> None:
    matrix = np.array([[1, 0, 0, 0, 1, 0]], np.float32)
    for align in (False, True):
        y = ops.WarpAffine((4, 7), align).run(X, matrix)
        np.testing.assert_allclose(y, X, rtol=0, atol=WARPED * 2.0**-53 * np.abs(X).max())


def test_integers_read_linearly_are_rounded() -> None:
    x = np.array([[0, 1, 4]], np.int32)
    y = ops.Resize((6,), 1, Sampling.HALF_PIXEL).run(x)
    assert_identical(y, np.array([[0, 0, 1, 2, 3, 4]], np.int32))


# ---- torch ----


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding", [Padding.CONSTANT, Padding.EDGE, None], ids=["zeros", "border", "reflection"])
def test_torch_resamples_likewise(align: bool, mode: str, padding: Padding | None) -> None:
    torch = pytest.importorskip("torch", reason="torch is the third opinion")
    name = {Padding.CONSTANT: "zeros", Padding.EDGE: "border", None: "reflection"}[padding]
    own = padding or (Padding.REFLECTION if align else Padding.SYMMETRIC)
    y = ops.Resample(Coordinates.MINUS_ONE_TO_ONE, align, own, nearest=mode == "nearest").run(X, FRACTIONS)
    expected = torch.nn.functional.grid_sample(
        torch.from_numpy(X), torch.from_numpy(FRACTIONS), mode=mode, padding_mode=name, align_corners=align
    )
    tolerance = 2 * ROUNDINGS * 2.0**-53 * np.abs(X).max() if mode == "bilinear" else 0
    np.testing.assert_allclose(y, expected.numpy(), rtol=0, atol=tolerance)


@pytest.mark.parametrize("align", [False, True])
def test_torch_warps_likewise(align: bool) -> None:
    torch = pytest.importorskip("torch", reason="torch is the third opinion")
    grid = torch.nn.functional.affine_grid(torch.from_numpy(MATRIX.reshape(2, 2, 3)), [2, 3, 5, 6], align_corners=align)
    expected = torch.nn.functional.grid_sample(torch.from_numpy(X), grid, align_corners=align)
    y = ops.WarpAffine((5, 6), align).run(X, MATRIX)
    np.testing.assert_allclose(y, expected.numpy(), rtol=0, atol=2 * WARPED * 2.0**-53 * np.abs(X).max())


@pytest.mark.parametrize("target", [(7,), (3, 8), (6, 3, 9)])
def test_torch_resizes_any_number_of_axes(target: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch", reason="torch is the third opinion")
    x = integers((2, 3, 5, 4, 6)[: 2 + len(target)], 5)
    mode = ["linear", "bilinear", "trilinear"][len(target) - 1]
    for align, sampling in ((True, Sampling.STRICT_ALIGN_ENDPOINTS), (False, Sampling.HALF_PIXEL)):
        expected = torch.nn.functional.interpolate(torch.from_numpy(x), size=target, mode=mode, align_corners=align)
        y = ops.Resize(target, len(target), sampling).run(x)
        # Of each axis the position, up to 9, both weights, and what the example counts.
        np.testing.assert_allclose(y, expected.numpy(), rtol=0, atol=3 * 40 * 9 * 2.0**-53 * np.abs(x).max())
    expected = torch.nn.functional.interpolate(torch.from_numpy(x), size=target, mode="nearest-exact").numpy()
    for sampling in (Sampling.UPSAMPLE, Sampling.HALF_PIXEL):
        np.testing.assert_array_equal(ops.Resize(target, len(target), sampling, nearest=True).run(x), expected)


@pytest.mark.parametrize("factors", [(2.6, 0.7), (3.0, 1.25)])
def test_torch_upsamples_likewise(factors: tuple[float, float]) -> None:
    torch = pytest.importorskip("torch", reason="torch is the third opinion")
    y = ops.UpsampleNearest(factors).run(X)
    expected = torch.nn.functional.interpolate(torch.from_numpy(X), size=y.shape[2:], mode="nearest")
    np.testing.assert_array_equal(y, expected.numpy())


# ---- What does not fit ----


def _type(*shape: int, dtype: type = np.float32) -> TensorType:
    return TensorType(np.dtype(dtype), shape)


RESAMPLE, CROP = ops.Resample(Coordinates.PIXELS), ops.CropResize((2, 3), Sampling.UPSAMPLE)
IMAGES = _type(2, 3, 4, 5)


@pytest.mark.parametrize(
    ("op", "types", "words"),
    [
        (RESAMPLE, [_type(3, 4, 5), _type(2, 6, 7, 2)], r"expected images \[B, C, H, W\]"),
        (RESAMPLE, [_type(2, 3, 4, 5, dtype=np.int32), _type(2, 6, 7, 2)], "takes floats, got int32"),
        (RESAMPLE, [IMAGES, _type(1, 6, 7, 2)], r"expected coordinates \[2, H', W', 2\], got \(1, 6, 7, 2\)"),
        (RESAMPLE, [IMAGES, _type(2, 6, 7, 3)], "expected coordinates"),
        (RESAMPLE, [IMAGES, _type(2, 6, 7, 2, dtype=np.bool_)], "got bool"),
        (ops.WarpAffine((2, 3)), [IMAGES, _type(3, 6)], r"expected a matrix \[2, 6\] or \[1, 6\], got \(3, 6\)"),
        (ops.WarpAffine((2, 0)), [IMAGES, _type(2, 6)], r"the target is \(2, 0\)"),
        (ops.Resize((2, 3), 3), [IMAGES], r"the target is \(2, 3\), expected 3 to 4 numbers"),
        (ops.Resize((2,) * 5, 3), [IMAGES], "expected 3 to 4 numbers"),
        (ops.Resize((-2,), 1), [IMAGES], "of at least 0"),
        (ops.Resize((2,), 0), [IMAGES], "0 axes are to be resized, expected 1 to 4"),
        (ops.Resize((2,), 1), [_type(3, dtype=np.bool_)], "takes numbers, got bool"),
        (ops.UpsampleNearest((0.1, 1.0)), [IMAGES], r"factors \(0.1, 1.0\) make .* 0 x 5 pixels large"),
        (CROP, [IMAGES, _type(6, 5), _type(6)], r"expected boxes \[N, 4\] beside"),
        (CROP, [IMAGES, _type(6, 4), _type(5)], r"got \(6, 4\) boxes, but \(5,\) numbers"),
    ],
)
def test_types_that_do_not_fit(op: ops.Op, types: list[TensorType], words: str) -> None:
    with pytest.raises(InvalidModelError, match=words):
        op.infer(*types)


@pytest.mark.parametrize(
    ("op", "inputs", "words"),
    [
        (ops.Resize(None, 2), (np.ones((3, 4)), np.array([5])), "expected 2 to 2 numbers"),
        (ops.Resize(None, 2), (np.ones((3, 4)), np.array([5, -1])), "of at least 0"),
        (CROP, (np.ones((2, 3, 4, 5)), np.ones((1, 4)), np.array([2])), "image 2, expected 0 to 1"),
    ],
)
def test_values_that_do_not_fit(op: ops.Op, inputs: tuple[Any, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        op.run(*inputs)
