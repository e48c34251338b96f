"""Images resized, cut out, and read at other places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.programs.plan import C, ProgramPlan, X, op, refused

_ALL = "integers zero-mean fp16:integers fp16:zero-mean"
_SHORT = "zero-mean fp16:zero-mean"
_MODES = ("DEFAULT", "STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "OFFSET_CORNERS", "UNALIGN_CORNERS")


def plans() -> Iterator[ProgramPlan]:
    yield from _upsampling()
    yield from _resizing()
    yield from _boxes()
    yield from _places()


def _upsampling() -> Iterator[ProgramPlan]:
    x, kind = X(2, 3, 4, 5), "upsample_nearest_neighbor"
    factors: dict[str, Any] = {"scale_factor_height": 3, "scale_factor_width": 2}
    yield from op(kind, "integers", kinds="integers nan fp16:special", x=x, **factors)
    fractions = {"scale_factor_height": np.float32(1.5), "scale_factor_width": np.float32(2.25)}
    yield from op(kind, "fractions", kinds="integers", x=x, **fractions)
    yield from op(kind, "rank-3", kinds="integers", x=X(3, 4, 5), **factors)
    yield from op(kind, "default", kinds="integers", x=x)
    yield from refused(kind, "rank", "x is of rank 3 or more", x=X(4, 5), **factors)
    kind = "upsample_bilinear"
    yield from op(kind, "default", kinds=_ALL, x=x, **factors)
    for aligned in (True, False):
        yield from op(kind, f"aligned-{aligned}".lower(), kinds=_SHORT, x=x, align_corners=aligned, **factors)
        yield from op(kind, f"fractions-{aligned}".lower(), kinds="zero-mean", x=x, align_corners=aligned, **fractions)
    newer: dict[str, Any] = {"kinds": "zero-mean", "x": x, "opset": "CoreML6", **factors}
    yield from op(kind, "centers", align_corners=False, half_pixel_centers=True, **newer)
    yield from op(kind, "neither", align_corners=False, half_pixel_centers=False, **newer)
    yield from op(kind, "centers-unset", align_corners=False, **newer)
    yield from refused(
        kind, "both", "both are not true", align_corners=True, half_pixel_centers=True, **{**newer, "kinds": "integers"}
    )


def _resizing() -> Iterator[ProgramPlan]:
    x = X(1, 2, 4, 5)
    for mode in _MODES:
        label = mode.lower().replace("_", "-")
        larger: dict[str, Any] = {"target_size_height": 7, "target_size_width": 9}
        smaller: dict[str, Any] = {"target_size_height": 3, "target_size_width": 1}
        yield from op("resize_bilinear", label, kinds=_SHORT, x=x, sampling_mode=mode, **larger)
        yield from op("resize_bilinear", f"{label}-smaller", kinds="zero-mean", x=x, sampling_mode=mode, **smaller)
        given: dict[str, Any] = {"resized_dims": np.uint32(2), "sampling_mode": mode}
        yield from op("resize", label, kinds=_SHORT, x=x, shape=[7, 9], **given)
        yield from op("resize", f"{label}-smaller", kinds="zero-mean", x=x, shape=[3, 1], **given)
    yield from op("resize_bilinear", "mode-unset", kinds="zero-mean", x=x, target_size_height=7, target_size_width=3)
    yield from refused(
        "resize_bilinear",
        "mode",
        "the mode is one that there is",
        x=x,
        target_size_height=7,
        target_size_width=3,
        sampling_mode="SIDEWAYS",
    )
    for label, height, width in (("larger", 7, 9), ("smaller", 3, 2), ("double", 8, 10)):
        given = {"target_size_height": height, "target_size_width": width}
        yield from op("resize_nearest_neighbor", label, kinds="integers nan fp16:special", x=x, **given)
    yield from refused(
        "resize_nearest_neighbor", "zero", "sizes are 1 or more", x=x, target_size_height=0, target_size_width=3
    )
    nearest: dict[str, Any] = {"interpolation_mode": "NEAREST_NEIGHBOR", "sampling_mode": "UNALIGN_CORNERS"}
    yield from op(
        "resize",
        "nearest",
        kinds="integers fp16:special int32:full",
        x=x,
        shape=[7, 9],
        resized_dims=np.uint32(2),
        **nearest,
    )
    yield from op(
        "resize",
        "one-axis",
        kinds="zero-mean",
        x=X(3, 5),
        shape=[8],
        resized_dims=np.uint32(1),
        sampling_mode="UNALIGN_CORNERS",
    )
    yield from op(
        "resize",
        "three-axes",
        kinds="zero-mean",
        x=X(2, 3, 4),
        shape=[3, 5, 2],
        resized_dims=np.uint32(3),
        sampling_mode="ALIGN_CORNERS",
    )
    yield from op(
        "resize",
        "inherited",
        kinds="zero-mean",
        x=x,
        shape=[0, 9],
        resized_dims=np.uint32(2),
        sampling_mode="ALIGN_CORNERS",
    )
    yield from op("resize", "longer-shape", kinds="zero-mean", x=x, shape=[11, 7, 9], resized_dims=np.uint32(2))
    yield from refused("resize", "few", "shape has resized_dims numbers", x=x, shape=[7], resized_dims=np.uint32(2))


def _boxes() -> Iterator[ProgramPlan]:
    kind, x = "crop_resize", X(2, 3, 8, 9)
    sizes: dict[str, Any] = {"target_height": 3, "target_width": 4}
    corners = np.array([[1, 2, 5, 7], [0, 0, 7, 8], [2.5, 1.25, 6, 3.5]])
    numbered = np.concatenate([[[1], [0], [1]], corners], axis=1).reshape(3, 1, 5, 1, 1)
    plain = X(value=corners.reshape(3, 1, 4, 1, 1))
    yield from op(kind, "all-images", kinds=_SHORT, x=x, roi=plain, **sizes)
    yield from op(kind, "numbered", kinds=_SHORT, x=x, roi=X(value=numbered), **sizes)
    for mode in _MODES:
        label = mode.lower().replace("_", "-")
        yield from op(kind, label, kinds="zero-mean", x=x, roi=plain, sampling_mode=mode, **sizes)
    forms = {
        "CORNERS_WIDTH_FIRST": [[2, 1, 7, 5]],
        "CENTER_SIZE_HEIGHT_FIRST": [[3, 4.5, 4, 5]],
        "CENTER_SIZE_WIDTH_FIRST": [[4.5, 3, 5, 4]],
    }
    for form, box in forms.items():
        roi = X(value=np.array(box).reshape(1, 1, 4, 1, 1))
        label = form.lower().replace("_", "-")
        yield from op(kind, label, kinds="zero-mean", x=x, roi=roi, box_coordinate_mode=form, **sizes)
    unit = X(value=np.array([0.125, 0.25, 0.75, 1]).reshape(1, 1, 4, 1, 1))
    yield from op(kind, "normalized", kinds="zero-mean", x=x, roi=unit, normalized_coordinates=True, **sizes)
    yield from op(kind, "scale", kinds="zero-mean", x=x, roi=plain, spatial_scale=np.float32(0.5), **sizes)
    beyond = X(value=np.array([-2, 3, 4, 11]).reshape(1, 1, 4, 1, 1))
    yield from op(kind, "padded", kinds="zero-mean", x=x, roi=beyond, pad_value=C(value=2.5), opset="CoreML6", **sizes)
    boxes: dict[str, Any] = {"boxes": X(value=corners), "box_indices": X(value=np.array([1, 0, 1]), type="int32")}
    yield from op(kind, "newer", kinds=_SHORT, x=x, opset="CoreML7", **boxes, **sizes)
    yield from op(kind, "newer-default", kinds="zero-mean", x=x, boxes=X(value=corners[:2]), opset="CoreML7", **sizes)
    yield from refused(kind, "shape", "boxes have 4 or 5 numbers", x=x, roi=X(3, 1, 3, 1, 1), **sizes)
    yield from refused(
        kind, "form", "the form of boxes is one that there is", x=x, roi=plain, box_coordinate_mode="DIAGONAL", **sizes
    )


def _places() -> Iterator[ProgramPlan]:
    x = X(2, 3, 5, 6)
    fixed: dict[str, Any] = {
        "sampling_mode": "bilinear",
        "padding_mode": "constant",
        "coordinates_mode": "normalized_minus_one_to_one",
    }
    sizes: dict[str, Any] = {"output_height": 4, "output_width": 7, **fixed}
    turn = np.array([[0.75, -0.25, 0.125, 0.25, 0.5, -0.125], [1, 0, 0, 0, 1, 0]])
    for aligned in (True, False):
        for label, matrix in (("each", turn), ("one", turn[:1])):
            given = {"transform_matrix": X(value=matrix), "align_corners": aligned, "padding_value": C(value=0.0)}
            name = f"{label}-{'aligned' if aligned else 'edges'}"
            yield from op("affine", name, kinds=_SHORT, x=x, **given, **sizes)
    padded = {"transform_matrix": C(value=turn * 2), "align_corners": True, "padding_value": C(value=0.0)}
    yield from op("affine", "constant-matrix", kinds="zero-mean", x=x, **padded, **sizes)
    valued = {**padded, "padding_value": C(value=1.5)}
    yield from op("affine", "outside-value", kinds="zero-mean", x=x, **valued, **sizes)
    yield from refused(
        "affine", "matrix", "a matrix has six numbers", x=x, **{**padded, "transform_matrix": C(2, 5)}, **sizes
    )
    yield from refused("affine", "mode", "sampling is bilinear", x=x, **padded, **{**sizes, "sampling_mode": "nearest"})
    x = X(3, 2, 5, 6)
    grid = np.stack(np.meshgrid(np.linspace(-0.75, 5.5, 5), np.linspace(-1.25, 5.25, 4)), -1)
    pixels = np.stack([grid, grid[::-1, ::-1], grid[:, ::-1]])
    for padding in ("constant", "border", "reflection", "symmetric"):
        for mode, places in (
            ("unnormalized", pixels),
            ("normalized_zero_to_one", pixels / 5),
            ("normalized_minus_one_to_one", pixels / 3 - 0.75),
        ):
            given = {
                "coordinates": X(value=places, type="fp32"),
                "coordinates_mode": mode,
                "padding_mode": padding,
                "padding_value": C(value=0.0),
                "align_corners": padding != "border",
                "sampling_mode": "bilinear",
            }
            label = f"{padding}-{mode}".replace("normalized_", "").replace("_", "-")
            yield from op("resample", label, kinds="zero-mean", x=x, **given)
    far: dict[str, Any] = {
        "coordinates": X(value=np.array([[[[-17.25, 3], [2, 21.5], [33.75, -24.5]]]] * 3), type="fp32"),
        "coordinates_mode": "unnormalized",
        "padding_value": C(value=1.5),
        "align_corners": True,
        "sampling_mode": "bilinear",
    }
    for padding in ("reflection", "symmetric"):
        yield from op("resample", f"{padding}-far", kinds="zero-mean", x=x, padding_mode=padding, **far)
    valued = {**far, "coordinates": X(value=pixels, type="fp32"), "padding_mode": "constant"}
    yield from op("resample", "constant-value", kinds="zero-mean", x=x, **valued)
    near = {
        "coordinates": X(value=np.array([[[[1, 2], [5, 0], [3.25, 3.75], [0.75, 4.25]]]] * 3), type="fp32"),
        "coordinates_mode": "unnormalized",
        "padding_mode": "border",
        "padding_value": C(value=0.0),
        "align_corners": True,
        "sampling_mode": "nearest",
    }
    yield from op("resample", "nearest", kinds="integers fp16:special", x=x, **near)
    whole = {**near, "coordinates": X(value=np.array([[[[1, 2], [5, 0], [3, 3], [0, 4]]]] * 3), type="int32")}
    yield from op("resample", "int-coordinates", kinds="integers", x=x, **whole)
    half = {
        **near,
        "coordinates": X(value=np.array([[[[1, 2], [5, 0], [3.25, 3.75], [0.75, 4.25]]]] * 3), type="fp16"),
    }
    yield from op("resample", "half-coordinates", kinds="integers", x=x, opset="CoreML6", **half)
    yield from refused(
        "resample", "batch", "there are places for each image", x=x, **{**near, "coordinates": X(1, 1, 4, 2)}
    )
    yield from refused("resample", "pair", "a place has two numbers", x=x, **{**near, "coordinates": X(3, 1, 4, 3)})
    yield from refused("resample", "mode", "the padding is one that there is", x=x, **{**near, "padding_mode": "wrap"})
