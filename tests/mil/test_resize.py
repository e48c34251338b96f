"""Images resized, cut out, and read at other places, in all operation sets.

Literals are those of coremltools' tests, which ran on Core ML.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mil.support import run

from refcoreml.errors import InputError, InvalidModelError, UsageError

OPSETS = ["CoreML5", "CoreML6", "CoreML7", "CoreML8", "CoreML9"]
FLOATS = [np.float16, np.float32]
IMAGES = np.array([(k * 7919 + 13) % 101 for k in range(2 * 3 * 4 * 5)], np.float32).reshape(2, 3, 4, 5)
LINE = np.array([0, 1], np.float32).reshape(1, 1, 2)

#: By mode the position i of N along L elements.
Position = Callable[[int, int, int], float]
MODES: dict[str, Position] = {
    "DEFAULT": lambda i, n, m: i * m / n,
    "STRICT_ALIGN_CORNERS": lambda i, n, m: i * (m - 1) / (n - 1) if n > 1 else 0,
    "ALIGN_CORNERS": lambda i, n, m: i * (m - 1) / (n - 1) if n > 1 else (m - 1) / 2,
    "OFFSET_CORNERS": lambda i, n, m: (i + 0.5) * max(1, m - 1) / n,
    "UNALIGN_CORNERS": lambda i, n, m: (i + 0.5) * m / n - 0.5,
}


def line(x: np.ndarray, size: int, position: Position) -> np.ndarray:
    """Read the last axis linearly."""
    length = x.shape[-1]
    columns = []
    for i in range(size):
        p = min(max(position(i, size, length), 0), length - 1)
        k = min(math.floor(p), length - 1)
        columns.append(x[..., k] + (p - k) * (x[..., min(k + 1, length - 1)] - x[..., k]))
    return np.stack(columns, -1)


def bilinear(x: np.ndarray, size: tuple[int, int], position: Position) -> np.ndarray:
    rows = line(x.astype(np.float64), size[1], position).swapaxes(-1, -2)
    return line(rows, size[0], position).swapaxes(-1, -2)


def close(y: np.ndarray, expected: np.ndarray, dtype: Any) -> None:
    """Compare with exact numbers below 128.

    Half precision rounds them once, by half an ulp; single precision a weight, a difference, a product and a sum along
    each of two axes, by less than an ulp each.
    """
    ulp = 2.0**-4 if dtype is np.float16 else 2.0**-17
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=0, atol=(1 if dtype is np.float16 else 8) * ulp)


# ---- Upsampling ----


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("factors", [(2, 3), (1.75, 0.67), (0.5, 2.0), (2, 1.5)])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.clause("mil.upsample_nearest_neighbor.S1", "mil.upsample_nearest_neighbor.S2")
def test_upsampling_to_the_nearest(factors: tuple[float, float], dtype: Any, opset: str) -> None:
    x = IMAGES.astype(dtype)
    height, width = (math.floor(np.float32(n) * np.float32(f)) for n, f in zip((4, 5), factors, strict=True))
    rows, columns = (np.arange(size) * n // size for n, size in ((4, height), (5, width)))
    y = run("upsample_nearest_neighbor", {"x": x}, **scales(factors), opset=opset)
    np.testing.assert_array_equal(y, x[..., rows[:, None], columns])


def scales(factors: tuple[float, float]) -> dict[str, Any]:
    return {"scale_factor_height": factors[0], "scale_factor_width": factors[1]}


@pytest.mark.clause("mil.upsample_nearest_neighbor.S1", "mil.upsample_nearest_neighbor.S3")
def test_the_ratio_counts_not_the_factor() -> None:
    x = np.array([1.5, -2.5, 3.5], np.float32).reshape(1, 1, 1, 3)
    y = run("upsample_nearest_neighbor", {"x": x}, **scales((3.17, 0.67)))
    np.testing.assert_array_equal(y, np.array([[1.5, -2.5]] * 3).reshape(1, 1, 3, 2))
    y = run("upsample_nearest_neighbor", {"x": x}, **scales((2.0, 1.12)))
    np.testing.assert_array_equal(y, np.array([[1.5, -2.5, 3.5]] * 2).reshape(1, 1, 2, 3))
    for kind in ("upsample_nearest_neighbor", "upsample_bilinear"):  # factors are 1 by default
        np.testing.assert_array_equal(run(kind, {"x": x}), x)
        y = run(kind, {"x": np.stack([x, x], 1)[:, :, 0]}, scale_factor_height=1)
        assert y.shape == (1, 2, 1, 3)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.clause(
    "mil.upsample_bilinear.S1",
    "mil.upsample_bilinear.S2",
    "mil.upsample_bilinear.S3",
    "mil.upsample_bilinear.S4",
)
def test_upsampling_bilinearly(dtype: Any, opset: str) -> None:
    x = IMAGES.astype(dtype)
    modes: dict[tuple[Any, Any], str] = {
        (None, None): "STRICT_ALIGN_CORNERS",
        (True, None): "STRICT_ALIGN_CORNERS",
        (False, None): "UNALIGN_CORNERS",
    }
    if opset != "CoreML5":
        modes |= {
            (True, False): "STRICT_ALIGN_CORNERS",
            (False, True): "UNALIGN_CORNERS",
            (False, False): "DEFAULT",
        }
    for (aligned, centered), mode in modes.items():
        flags = dict(align_corners=aligned, half_pixel_centers=centered)
        for factors, size in [((2, 3), (8, 15)), ((2.6, 0.5), (10, 2))]:
            y = run("upsample_bilinear", {"x": x}, **flags, **scales(factors), opset=opset)
            close(y, bilinear(x, size, MODES[mode]), dtype)


def test_upsampling_of_a_line() -> None:
    y = run("upsample_bilinear", {"x": LINE}, scale_factor_width=3, align_corners=True)
    np.testing.assert_allclose(y.ravel(), [0, 0.2, 0.4, 0.6, 0.8, 1], rtol=1e-6)
    y = run("upsample_bilinear", {"x": LINE}, **scales((1.0, 2.6)), align_corners=False)
    np.testing.assert_allclose(y.ravel(), [0, 0.1, 0.5, 0.9, 1], rtol=1e-6)


# ---- Resizing ----


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("mode", [*MODES, None])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.clause(
    "mil.resize_bilinear.S1",
    "mil.resize_bilinear.S2",
    "mil.resize_bilinear.S3",
    "mil.resize_bilinear.S4",
    "mil.resize_bilinear.S5",
    "mil.resize_bilinear.S6",
)
def test_resizing_bilinearly(mode: str | None, dtype: Any, opset: str) -> None:
    x = IMAGES.astype(dtype)
    for size in [(7, 3), (1, 9), (4, 5)]:
        target = dict(target_size_height=size[0], target_size_width=size[1])
        y = run("resize_bilinear", {"x": x}, **target, sampling_mode=mode, opset=opset)
        close(y, bilinear(x, size, MODES[mode or "DEFAULT"]), dtype)
    y = run("resize_bilinear", {"x": x}, sampling_mode=mode, opset=opset)
    close(y, bilinear(x, (1, 1), MODES[mode or "DEFAULT"]), dtype)


LINES = {
    "STRICT_ALIGN_CORNERS": [0, 0.25, 0.5, 0.75, 1],
    "DEFAULT": [0, 0.4, 0.8, 1, 1],
    "UNALIGN_CORNERS": [0, 0.1, 0.5, 0.9, 1],
}


@pytest.mark.parametrize("mode", LINES)
def test_resizing_of_a_line(mode: str) -> None:
    target = dict(target_size_height=1, target_size_width=5)
    y = run("resize_bilinear", {"x": LINE}, **target, sampling_mode=mode)
    np.testing.assert_allclose(y.ravel(), LINES[mode], rtol=1e-6)
    y = run("resize", {"x": LINE}, shape=[5], resized_dims=np.uint32(1), sampling_mode=mode)
    np.testing.assert_allclose(y.ravel(), LINES[mode], rtol=1e-6)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.clause("programs.U13")
@pytest.mark.clause("mil.resize_nearest_neighbor.S1")
def test_resizing_to_the_nearest(dtype: Any, opset: str) -> None:
    x = IMAGES.astype(dtype)
    rows, columns = ((2 * np.arange(size) + 1) * n // (2 * size) for n, size in ((4, 7), (5, 3)))
    target = dict(target_size_height=7, target_size_width=3)
    y = run("resize_nearest_neighbor", {"x": x}, **target, opset=opset)
    np.testing.assert_array_equal(y, x[..., rows[:, None], columns])


@pytest.mark.parametrize("opset", OPSETS[2:])
@pytest.mark.parametrize("shape_type", [np.int32, np.int16, np.uint16, np.uint32])
@pytest.mark.parametrize("dtype", [*FLOATS, np.int32])
@pytest.mark.clause("mil.resize.C1", "mil.resize.S1", "mil.resize.S2", "mil.resize.S3", "programs.U48")
def test_resize_of_any_axes(dtype: Any, shape_type: Any, opset: str) -> None:
    x, element = IMAGES.astype(dtype), {"float16": "fp16", "float32": "fp32", "int32": "int32"}[np.dtype(dtype).name]
    for axes, target, size in [(1, (9,), (4, 9)), (2, (7, 0), (7, 5)), (2, (3, 3, 0, 2), (4, 2))]:
        given, rest = {"x": x}, dict(resized_dims=np.uint32(axes), opset=opset)
        shape = np.array(target, shape_type)
        y = run("resize", given, shape=shape, **rest)
        expected = bilinear(x, size, MODES["DEFAULT"])
        close(y, np.rint(expected) if dtype is np.int32 else expected, dtype)
        outputs = [(element, (None,) * 4)]
        np.testing.assert_array_equal(run("resize", {**given, "shape": shape}, outputs=outputs, **rest), y)
        y = run("resize", given, shape=shape, interpolation_mode="NEAREST_NEIGHBOR", **rest)
        rows, columns = ((2 * np.arange(m) + 1) * n // (2 * m) for n, m in zip((4, 5), size, strict=True))
        np.testing.assert_array_equal(y, x[..., rows[:, None], columns])


@pytest.mark.clause("mil.resize.C1")
def test_types_that_resize_does_not_take() -> None:
    with pytest.raises(InvalidModelError, match="'x' has elements of type bool, expected fp16, fp32, int32"):
        run("resize", {"x": IMAGES > 50}, shape=[2, 3], resized_dims=np.uint32(2))
    with pytest.raises(InvalidModelError, match="'shape' has elements of type int8, expected int32, int16"):
        run("resize", {"x": IMAGES}, shape=np.int8([2, 3]), resized_dims=np.uint32(2))


@pytest.mark.clause("programs.U13")
@pytest.mark.clause("mil.resize.S3", "mil.resize_nearest_neighbor.S1")
def test_the_nearest_of_two_in_three_places() -> None:
    for kind, target in [
        ("resize", dict(shape=[1, 3], resized_dims=np.uint32(2), interpolation_mode="NEAREST_NEIGHBOR")),
        ("resize_nearest_neighbor", dict(target_size_height=1, target_size_width=3)),
    ]:
        np.testing.assert_array_equal(run(kind, {"x": LINE}, **target), [[[0, 1, 1]]])


@pytest.mark.parametrize(
    ("kind", "parameters", "words"),
    [
        ("upsample_nearest_neighbor", scales((0, 1)), "factors are .0, 1., expected finite numbers above 0"),
        ("upsample_nearest_neighbor", scales((0.1, 1.0)), "make .* 0 x 5 pixels large"),
        ("upsample_nearest_neighbor", scales((3e38, 1.0)), "larger than an axis can be"),
        ("upsample_bilinear", scales((1.0, 3e38)), "larger than an axis can be"),
        ("upsample_bilinear", scales((math.inf, 1.0)), "expected finite numbers above 0"),
        ("upsample_bilinear", scales((math.nan, 1.0)), "expected finite numbers above 0"),
        ("upsample_bilinear", dict(half_pixel_centers=True), "'align_corners' and 'half_pixel_centers' are both true"),
        ("resize_bilinear", dict(target_size_height=0), "the target is .0, 1., expected numbers of at least 1"),
        ("resize_bilinear", dict(sampling_mode="CENTER"), "'sampling_mode' is 'CENTER', expected one of"),
        ("resize_nearest_neighbor", dict(target_size_height=0, target_size_width=1), "the target is .0, 1., expected"),
        ("resize_nearest_neighbor", dict(target_size_height=2), "'target_size_width' is missing"),
        ("resize", dict(shape=[2], resized_dims=2), "the target is .2,., expected 2 to 4 numbers"),
        ("resize", dict(shape=[2, 3], resized_dims=5), "5 axes are to be resized, expected 1 to 4"),
        ("resize", dict(shape=[2, -3], resized_dims=2), "the target is .2, -3., expected .* at least 0"),
        ("resize", dict(shape=[2, 3], resized_dims=2, interpolation_mode="CUBIC"), "'CUBIC', expected one of 'linear'"),
    ],
)
@pytest.mark.clause(
    "mil.upsample_nearest_neighbor.C2",
    "mil.upsample_bilinear.C1",
    "mil.upsample_bilinear.C2",
    "mil.resize_bilinear.C1",
    "mil.resize_bilinear.C2",
    "mil.resize_nearest_neighbor.C1",
    "mil.resize.C1",
    "mil.resize.C2",
    "mil.resize.C3",
)
def test_sizes_that_do_not_fit(kind: str, parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidModelError, match=rf"made.*\({kind}\).*{words}"):
        run(kind, {"x": IMAGES}, **parameters)


@pytest.mark.clause(
    "mil.upsample_nearest_neighbor.C1",
    "mil.upsample_bilinear.C1",
    "mil.resize_bilinear.C1",
    "mil.resize_nearest_neighbor.C1",
    "mil.resize.C2",
)
def test_images_have_rank_3_or_more() -> None:
    for kind in ("upsample_nearest_neighbor", "upsample_bilinear", "resize_bilinear"):
        with pytest.raises(InvalidModelError, match="expected rank 3 or more"):
            run(kind, {"x": IMAGES[0, 0]})
        with pytest.raises(InvalidModelError, match="'x' has elements of type int32, expected fp16, fp32"):
            run(kind, {"x": IMAGES.astype(np.int32)})
    with pytest.raises(InvalidModelError, match="expected rank 3 or more"):
        run("resize_nearest_neighbor", {"x": IMAGES[0, 0]}, target_size_height=2, target_size_width=3)
    with pytest.raises(InvalidModelError, match="'x' has elements of type int32, expected fp16, fp32"):
        run("resize_nearest_neighbor", {"x": IMAGES.astype(np.int32)}, target_size_height=2, target_size_width=3)
    with pytest.raises(InvalidModelError, match="takes no parameter 'half_pixel_centers'"):
        run("upsample_bilinear", {"x": IMAGES}, align_corners=False, half_pixel_centers=True, opset="CoreML5")
    with pytest.raises(UsageError, match="CoreML6 has no such operation"):
        run("resize", {"x": IMAGES}, opset="CoreML6")
    given = {"x": IMAGES, "shape": np.array([-1, 3], np.int32)}
    with pytest.raises(InputError, match=r"made.*\(resize\).*the target is \(-1, 3\)"):
        run("resize", given, resized_dims=2, outputs=[("fp32", (None,) * 4)])


# ---- Boxes ----

#: x[i, j] = 4 i + j + 1, so that a position (p, q) reads 4 p + q + 1.
SQUARE = np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)
BOXES = np.array([[0.1, 0.3, 1.3, 1], [0.5, 1.8, 1.0, 0.3], [0.0, 0.4, 0.6, 0.7]], np.float32)
ALIGNED = dict(target_height=2, target_width=2, normalized_coordinates=True, sampling_mode="ALIGN_CORNERS")


@pytest.mark.parametrize("pad", [None, 0.0, 1.0, 10.0])
@pytest.mark.clause("mil.crop_resize.S4", "mil.crop_resize.S5", "mil.crop_resize.S6", "mil.crop_resize.S7")
def test_what_is_outside_of_the_image_is_the_padding(pad: float | None) -> None:
    p = pad or 0.0
    expected = np.array([3.1, 5.2, p, p, p, 7.9, p, 13.9, 2.2, 3.1, 9.4, 10.3]).reshape(3, 1, 2, 2)
    roi = np.concatenate([np.zeros((3, 1), np.float32), BOXES], 1).reshape(3, 1, 5, 1, 1)
    parameters: Any = {**ALIGNED, "pad_value": pad}
    for given, rest in [({"x": SQUARE, "roi": roi}, {}), ({"x": SQUARE}, {"roi": roi})]:
        y = run("crop_resize", given, opset="CoreML6", **rest, **parameters)
        np.testing.assert_allclose(y, expected[:, None], rtol=1e-6)
    for opset in OPSETS[2:]:
        for index in (np.int32, np.uint16):
            given = {"x": SQUARE, "boxes": BOXES, "box_indices": np.zeros(3, index)}
            np.testing.assert_allclose(run("crop_resize", given, opset=opset, **parameters), expected, rtol=1e-6)


@pytest.mark.clause("programs.U11")
def test_boxes_beyond_the_image_read_its_edge_in_core_ml_5() -> None:
    roi = np.array([2, 2, 1, 1], np.float32).reshape(1, 1, 4, 1, 1)  # 6 to 3, whose centers all are at 3 or beyond
    y = run("crop_resize", {"x": SQUARE}, roi=roi * 1.5, opset="CoreML5", **ALIGNED)
    np.testing.assert_array_equal(y, np.full((1, 1, 1, 2, 2), 16))


@pytest.mark.clause("mil.crop_resize.S2")
def test_a_box_turned_around() -> None:
    roi = np.array([2, 2, 1, 1], np.float32).reshape(1, 1, 4, 1, 1)
    parameters = dict(target_height=2, target_width=2, sampling_mode="STRICT_ALIGN_CORNERS")
    y = run("crop_resize", {"x": SQUARE}, roi=roi, opset="CoreML5", **parameters)
    np.testing.assert_array_equal(y.ravel(), [11, 10, 7, 6])


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    "mode", ["CORNERS_HEIGHT_FIRST", "CORNERS_WIDTH_FIRST", "CENTER_SIZE_HEIGHT_FIRST", "CENTER_SIZE_WIDTH_FIRST", None]
)
@pytest.mark.clause("mil.crop_resize.S3", "mil.crop_resize.S4")
def test_ways_to_describe_a_box(mode: str | None, opset: str) -> None:
    top, left, bottom, right = 1, 0, 2, 3  # in pixels; a scale of 1/2 is undone by twice the coordinates
    box = [top, left, bottom, right]
    if mode is not None and mode.startswith("CENTER"):
        box = [(top + bottom) / 2, (left + right) / 2, bottom - top, right - left]
    if mode is not None and mode.endswith("WIDTH_FIRST"):
        box = [box[1], box[0], box[3], box[2]]
    boxes = 2 * np.array([box], np.float32)
    rest = dict(target_height=2, target_width=4, spatial_scale=0.5, box_coordinate_mode=mode, opset=opset)
    rest["sampling_mode"] = "ALIGN_CORNERS"
    given = {"boxes": boxes} if opset in OPSETS[2:] else {"roi": boxes.reshape(1, 1, 4, 1, 1)}
    y = run("crop_resize", {"x": SQUARE, **given}, **rest)
    np.testing.assert_array_equal(y.reshape(2, 4), [[5, 6, 7, 8], [9, 10, 11, 12]])


@pytest.mark.parametrize("mode", [*MODES, None])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.clause("mil.crop_resize.S1", "mil.crop_resize.S2")
def test_positions_within_a_box(mode: str | None, dtype: Any) -> None:
    x, box = IMAGES.astype(dtype), np.array([[1, 0, 3, 2]], dtype)  # the rows 1 to 3 and columns 0 to 2
    y = run("crop_resize", {"x": x, "boxes": box}, target_height=4, target_width=2, sampling_mode=mode)
    close(y, bilinear(x[:1, :, 1:4, :3], (4, 2), MODES[mode or "DEFAULT"]), dtype)
    assert run("crop_resize", {"x": x, "boxes": box}).shape == (1, 3, 1, 1)  # of one position by default


@pytest.mark.parametrize("box_type", [np.float16, np.float32, np.uint16])
@pytest.mark.clause("mil.crop_resize.C2", "mil.crop_resize.S6")
def test_box_n_is_taken_out_of_image_n_by_default(box_type: Any) -> None:
    boxes = np.array([[0, 1, 2, 3], [1, 2, 3, 4]], box_type)
    rest: Any = dict(target_height=3, target_width=3, sampling_mode="ALIGN_CORNERS")
    for given, constants in [({"boxes": boxes}, {}), ({}, {"boxes": boxes})]:
        y = run("crop_resize", {"x": IMAGES, **given}, **constants, **rest)
        np.testing.assert_array_equal(y, np.stack([IMAGES[0, :, 0:3, 1:4], IMAGES[1, :, 1:4, 2:5]]))
    y = run("crop_resize", {"x": IMAGES, "boxes": boxes}, box_indices=[1, 0], **rest)
    np.testing.assert_array_equal(y, np.stack([IMAGES[1, :, 0:3, 1:4], IMAGES[0, :, 1:4, 2:5]]))


@pytest.mark.clause("mil.crop_resize.S5")
def test_boxes_of_all_images() -> None:
    roi = np.array([[0, 1, 2, 3], [1, 2, 3, 4], [0, 0, 2, 2]], np.float32).reshape(3, 1, 4, 1, 1)
    y = run(
        "crop_resize",
        {"x": IMAGES, "roi": roi},
        opset="CoreML6",
        target_height=3,
        target_width=3,
        sampling_mode="ALIGN_CORNERS",
    )
    np.testing.assert_array_equal(y, np.stack([IMAGES[:, :, 0:3, 1:4], IMAGES[:, :, 1:4, 2:5], IMAGES[:, :, :3, :3]]))


@pytest.mark.parametrize(
    ("opset", "parameters", "fault", "words"),
    [
        ("CoreML6", dict(roi=BOXES), InvalidModelError, r"expected boxes \[N, 1, 4 or 5, 1, 1\], got \(3, 4\)"),
        (
            "CoreML6",
            dict(roi=BOXES.reshape(1, 3, 4, 1, 1)),
            InvalidModelError,
            r"expected boxes \[N, 1, 4 or 5, 1, 1\]",
        ),
        ("CoreML6", dict(roi=np.ones((1, 1, 5, 1, 1), "f")), InputError, "out of image 1.*, expected 0 to 0"),
        ("CoreML6", dict(roi=np.ones((1, 1, 4, 1, 1), "e")), InvalidModelError, "have elements of types fp32, fp16"),
        ("CoreML7", dict(boxes=BOXES), InvalidModelError, "an image each, but x .* has fewer"),
        ("CoreML7", dict(boxes=BOXES, box_indices=[0, 0]), InvalidModelError, "numbers of images"),
        ("CoreML7", dict(boxes=BOXES[:1], box_indices=[1]), InputError, "out of image 1, expected 0 to 0"),
        ("CoreML7", dict(boxes=BOXES[:1], target_width=0), InvalidModelError, "the target is .1, 0., expected"),
        ("CoreML7", dict(boxes=BOXES[:1], box_coordinate_mode="X"), InvalidModelError, "'X', expected one of"),
        (
            "CoreML7",
            dict(boxes=np.ones((1, 4), "H"), normalized_coordinates=True),
            InvalidModelError,
            "normalized boxes",
        ),
    ],
)
@pytest.mark.clause("mil.crop_resize.C1", "mil.crop_resize.C2", "mil.crop_resize.C3", "mil.crop_resize.C4")
def test_boxes_that_do_not_fit(opset: str, parameters: Any, fault: type[Exception], words: str) -> None:
    with pytest.raises(fault, match=rf"made.*\(crop_resize\).*{words}"):
        run("crop_resize", {"x": SQUARE}, opset=opset, **parameters)


@pytest.mark.clause("mil.crop_resize.S5", "programs.U49")
def test_boxes_that_name_their_images() -> None:
    roi = np.array([[1, 0, 1, 1, 3], [0, 2, 0, 3, 2], [1, 1, 1, 2, 3]], np.float32).reshape(3, 1, 5, 1, 1)
    target: Any = dict(target_height=2, target_width=3, sampling_mode="ALIGN_CORNERS")
    y = run("crop_resize", {"x": IMAGES, "roi": roi}, opset="CoreML6", **target)
    parts = IMAGES[1, :, 0:2, 1:4], IMAGES[0, :, 2:4, 0:3], IMAGES[1, :, 1:3, 1:4]
    np.testing.assert_array_equal(y, np.stack(parts)[:, None])


@pytest.mark.clause("programs.U50")
def test_since_coreml7_numbers_beside_boxes_may_be_of_the_other_float_type() -> None:
    x, boxes = SQUARE.astype(np.float16), np.array([[2, 2, 4, 8]], np.float32)  # half of which is 1 to 2, 1 to 4
    target: Any = dict(target_height=2, target_width=4, sampling_mode="ALIGN_CORNERS")
    y = run("crop_resize", {"x": x}, boxes=boxes, pad_value=np.float32(-1), spatial_scale=np.float16(0.5), **target)
    np.testing.assert_array_equal(y.reshape(2, 4), [[6, 7, 8, -1], [10, 11, 12, -1]])
    given: Any = {**RESAMPLED[1][0], "padding_mode": "constant", "padding_value": np.float32(-1)}
    y = run("resample", {"x": x}, coordinates=np.int32([[[[3, 1], [4, 1]]]]), **given)
    np.testing.assert_array_equal(y.ravel(), [8, -1])


# ---- Other places ----

TINY = np.array([11.0, 22.0, 33.0, 44.0], np.float32).reshape(1, 1, 2, 2)
AFFINE = dict(
    sampling_mode="bilinear",
    padding_mode="constant",
    padding_value=0.0,
    coordinates_mode="normalized_minus_one_to_one",
    align_corners=True,
)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    ("size", "expected"),
    [((3, 3), [10.752501, 2.5025, 0, 1.9799997] + [0] * 5), ((2, 5), [10.752501, 5.94, 2.5025, 0.44000006] + [0] * 6)],
)
@pytest.mark.clause("mil.affine.S1", "mil.affine.S2", "mil.affine.S3")
def test_affine(opset: str, size: tuple[int, int], expected: list[float]) -> None:
    matrix = np.array([[-1.0, -2.0, -3.7, -1.0, 3.5, 1.2]], np.float32)
    target = dict(output_height=size[0], output_width=size[1])
    for given, rest in [({"x": TINY, "transform_matrix": matrix}, {}), ({"x": TINY}, {"transform_matrix": matrix})]:
        y = run("affine", given, opset=opset, **AFFINE, **target, **rest)
        np.testing.assert_allclose(y.ravel(), expected, rtol=1e-6, atol=2e-6)


@pytest.mark.clause("mil.affine.S1", "mil.affine.S2", "mil.affine.S3", "programs.U51")
def test_an_affine_map_that_changes_nothing_and_one_per_image() -> None:
    same, turned = [1, 0, 0, 0, 1, 0], [-1, 0, 0, 0, -1, 0]
    target: Any = dict(output_height=4, output_width=5)
    for dtype in FLOATS:
        x = IMAGES.astype(dtype)
        given = {"x": x, "transform_matrix": np.array([same, turned], dtype)}
        y = run("affine", given, **{**AFFINE, "padding_value": dtype(0)}, **target)
        np.testing.assert_allclose(y, np.stack([x[0], x[1, :, ::-1, ::-1]]), rtol=0, atol=2.0**-15)
    shifted = np.array([[1, 0, 2, 0, 1, 0]], np.float32)  # by the width: only the first column is in the image
    y = run("affine", {"x": IMAGES}, transform_matrix=shifted, **{**AFFINE, "padding_value": 9.0}, **target)
    np.testing.assert_allclose(y[..., 0], IMAGES[..., -1], rtol=1e-6)
    np.testing.assert_array_equal(y[..., 1:], np.full((2, 3, 4, 4), 9))


@pytest.mark.clause("programs.U51", "programs.U52")
def test_corners_that_are_not_aligned_and_a_single_column() -> None:
    """Three pixels from -1 to 1: the outer edges of pixels are at -1, -1/3, 1/3, 1; or their centers at -1, 0, 1."""
    x, shifted = np.array([2, 4, 8], np.float32).reshape(1, 1, 1, 3), np.array([[1, 0, 0.5, 0, 1, 0]], np.float32)
    unaligned: Any = {**AFFINE, "align_corners": False, "padding_value": 100.0}
    y = run("affine", {"x": x}, transform_matrix=shifted, output_height=1, output_width=3, **unaligned)
    np.testing.assert_allclose(y.ravel(), [3.5, 7, 77], rtol=1e-6)  # at the columns 3/4, 7/4 and 11/4
    y = run("affine", {"x": x}, transform_matrix=shifted, output_height=1, output_width=1, **AFFINE)
    np.testing.assert_allclose(y.ravel(), [6], rtol=1e-6)


PLACES = np.array([-1.0, -2.0, -3.7, -1.0, 0.0, 0.0, 3.5, 1.2], np.float32).reshape(1, 2, 2, 2)
CORNERS = np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int32).reshape(1, 2, 2, 2)
RESAMPLED: list[tuple[dict[str, Any], list[float], list[float]]] = [
    (
        dict(
            sampling_mode="bilinear",
            padding_mode="constant",
            padding_value=6.17,
            coordinates_mode="normalized_minus_one_to_one",
            align_corners=True,
        ),
        [8.585, 6.17, 27.5, 6.17],
        [27.5, 44, 27.5, 44],
    ),
    (
        dict(
            sampling_mode="nearest",
            padding_mode="border",
            padding_value=-1.0,
            coordinates_mode="unnormalized",
            align_corners=False,
        ),
        [11, 11, 11, 44],
        [11, 44, 11, 44],
    ),
    (
        dict(
            sampling_mode="bilinear",
            padding_mode="reflection",
            padding_value=-1.0,
            coordinates_mode="normalized_zero_to_one",
            align_corners=True,
        ),
        [22, 36.3, 11, 34.1],
        [11, 44, 11, 44],
    ),
    (
        dict(
            sampling_mode="nearest",
            padding_mode="symmetric",
            padding_value=-1.0,
            coordinates_mode="normalized_zero_to_one",
            align_corners=False,
        ),
        [22, 33, 11, 33],
        [11, 44, 11, 44],
    ),
]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("case", range(len(RESAMPLED)))
@pytest.mark.clause("programs.U12")
@pytest.mark.clause(
    "mil.resample.C1",
    "mil.resample.S1",
    "mil.resample.S2",
    "mil.resample.S3",
    "mil.resample.S4",
    "mil.resample.S5",
)
def test_resample(case: int, opset: str) -> None:
    parameters, of_floats, of_integers = RESAMPLED[case]
    for given, rest in [({"coordinates": PLACES}, {}), ({}, {"coordinates": PLACES})]:
        y = run("resample", {"x": TINY, **given}, opset=opset, **parameters, **rest)
        np.testing.assert_allclose(y.ravel(), of_floats, rtol=1e-6)
    small = [np.int8, np.uint8, np.int16, np.uint16] if opset in OPSETS[2:] else []
    for dtype in [np.int32, *small]:
        y = run("resample", {"x": TINY, "coordinates": CORNERS.astype(dtype)}, opset=opset, **parameters)
        np.testing.assert_array_equal(y.ravel(), of_integers)
    if opset != "CoreML5":  # half precision rounds coordinates by 2^-9 at most, which are worth 44 or less a pixel
        y = run("resample", {"x": TINY, "coordinates": PLACES.astype(np.float16)}, opset=opset, **parameters)
        np.testing.assert_allclose(y.ravel(), of_floats, rtol=0, atol=2 * 44 * 2.0**-9)


@pytest.mark.parametrize("sampling", ["nearest", "bilinear"])
@pytest.mark.parametrize(
    ("padding", "infinite"),
    [("constant", (-1, -1)), ("border", (8, 2)), ("reflection", (np.nan,) * 2), ("symmetric", (np.nan,) * 2)],
)
@pytest.mark.clause("programs.U53")
def test_places_that_are_no_numbers(padding: str, infinite: tuple[float, float], sampling: str) -> None:
    x = np.array([2, 4, 8], np.float32).reshape(1, 1, 1, 3)
    places = np.array([[np.nan, 0], [np.inf, 0], [-np.inf, 0]], np.float32).reshape(1, 1, 3, 2)
    modes: Any = dict(sampling_mode=sampling, padding_mode=padding, coordinates_mode="unnormalized")
    y = run("resample", {"x": x, "coordinates": places}, padding_value=-1.0, align_corners=True, **modes)
    np.testing.assert_array_equal(y.ravel(), [np.nan, *infinite])


@pytest.mark.parametrize(
    ("kind", "changed", "words"),
    [
        ("affine", dict(sampling_mode="nearest"), "'sampling_mode' is 'nearest', expected one of 'bilinear'"),
        ("affine", dict(padding_mode="border"), "'padding_mode' is 'border', expected one of 'constant'"),
        ("affine", dict(coordinates_mode="unnormalized"), "expected one of 'normalized_minus_one_to_one'"),
        ("affine", dict(output_width=0), "the target is .2, 0."),
        ("affine", dict(align_corners=None), "parameter 'align_corners' is missing"),
        ("affine", dict(transform_matrix=np.zeros((2, 6), "f")), "expected a matrix"),
        ("resample", dict(sampling_mode="cubic"), "'cubic', expected one of 'bilinear', 'nearest'"),
        ("resample", dict(padding_mode="wrap"), "'wrap', expected one of 'constant', 'border'"),
        ("resample", dict(padding_value=None), "parameter 'padding_value' is missing"),
        ("resample", dict(coordinates=PLACES[0]), "expected coordinates .1, H', W', 2."),
    ],
)
@pytest.mark.clause("mil.affine.C1", "mil.affine.C2", "mil.resample.C1", "mil.resample.C2")
def test_places_that_do_not_fit(kind: str, changed: dict[str, Any], words: str) -> None:
    parameters: Any = {
        "affine": dict(AFFINE, output_height=2, output_width=3, transform_matrix=np.zeros((1, 6), np.float32)),
        "resample": dict(RESAMPLED[0][0], coordinates=PLACES),
    }[kind]
    with pytest.raises(InvalidModelError, match=rf"made.*\({kind}\).*{words}"):
        run(kind, {"x": TINY}, **{**parameters, **changed})


@pytest.mark.clause("mil.resample.C1")
def test_coordinates_of_older_operation_sets() -> None:
    for dtype, opset in [(np.float16, "CoreML5"), (np.int16, "CoreML6")]:
        with pytest.raises(InvalidModelError, match="'coordinates' has elements of type"):
            run("resample", {"x": TINY}, coordinates=PLACES.astype(dtype), opset=opset, **RESAMPLED[0][0])


# ---- torch, as a second opinion ----

#: torch computes positions in single precision: up to 2**-20 of a pixel wrong, where two differ by 101 at most.
WRONG = 2.0**-11


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch", reason="torch gives the second opinion")


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("nearest", [False, True])
@pytest.mark.parametrize("padding", [("constant", "zeros"), ("border", "border"), ("reflection", "reflection")])
def test_torch_samples_the_same_grid(torch: Any, padding: tuple[str, str], nearest: bool, aligned: bool) -> None:
    """Its reflection is at the edges of pixels where corners are not aligned: ``symmetric`` then."""
    ours, theirs = padding
    if ours == "reflection" and not aligned:
        ours = "symmetric"
    mode = "nearest" if nearest else "bilinear"
    rng = np.random.default_rng(5)
    places = rng.integers(-12, 13, (2, 6, 3, 2)).astype(np.float32) / 8 + np.float32(1 / 32)  # no pixel is as near
    expected = torch.nn.functional.grid_sample(
        torch.from_numpy(IMAGES), torch.from_numpy(places), mode, theirs, align_corners=aligned
    )
    parameters = dict(sampling_mode=mode, padding_mode=ours, padding_value=0.0, align_corners=aligned)
    y = run(
        "resample",
        {"x": IMAGES, "coordinates": places},
        coordinates_mode="normalized_minus_one_to_one",
        **parameters,
    )
    np.testing.assert_allclose(y, expected.numpy(), rtol=0, atol=0 if nearest else WRONG)


@pytest.mark.parametrize("aligned", [False, True])
def test_torch_upsamples_likewise(torch: Any, aligned: bool) -> None:
    for factors in [(2, 3), (2.5, 1.4), (0.5, 0.8)]:
        expected = torch.nn.functional.interpolate(
            torch.from_numpy(IMAGES),
            scale_factor=factors,
            mode="bilinear",
            align_corners=aligned,
            recompute_scale_factor=True,
        )
        y = run("upsample_bilinear", {"x": IMAGES}, align_corners=aligned, **scales(factors))
        np.testing.assert_allclose(y, expected.numpy(), rtol=0, atol=WRONG)


@pytest.mark.parametrize("aligned", [False, True])
def test_torch_warps_likewise(torch: Any, aligned: bool) -> None:
    matrix = np.array([[0.5, -0.75, 0.3, 1.25, 0.5, -0.2], [1, 0.1, 0, -0.3, 0.9, 0.25]], np.float32)
    grid = torch.nn.functional.affine_grid(
        torch.from_numpy(matrix.reshape(2, 2, 3)), (2, 3, 7, 6), align_corners=aligned
    )
    expected = torch.nn.functional.grid_sample(torch.from_numpy(IMAGES), grid, align_corners=aligned)
    target = dict(output_height=7, output_width=6)
    given = {"x": IMAGES, "transform_matrix": matrix}
    y = run("affine", given, **{**AFFINE, "align_corners": aligned}, **target)
    np.testing.assert_allclose(y, expected.numpy(), rtol=0, atol=WRONG)
