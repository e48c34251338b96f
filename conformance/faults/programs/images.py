"""Faults in what reads images at other places."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from conformance.faults.programs.parts import exchanged, forgotten, given, with_fields
from conformance.faults.programs.ways import Array, kernel, method, operation, parameters, result, version
from refcoreml import ops
from refcoreml.kernels import resize, sampling
from refcoreml.kernels.resize import Sampling
from refcoreml.kernels.sampling import Coordinates, Padding
from refcoreml.mil.node import Node

linear = "resize_bilinear resize crop_resize"


def _mode(name: str, wrong: str) -> Any:
    """One sampling mode is taken for another."""

    def change(node: Node) -> dict[str, Any]:
        return {"sampling_mode": wrong} if node.text("sampling_mode", "DEFAULT").upper() == name else {}

    return change


parameters("resizing: DEFAULT aligns corners", "resize_bilinear crop_resize", _mode("DEFAULT", "STRICT_ALIGN_CORNERS"))
parameters(
    "resizing: DEFAULT has half pixel centers", "resize_bilinear crop_resize", _mode("DEFAULT", "UNALIGN_CORNERS")
)
parameters("resizing: ALIGN_CORNERS is STRICT_ALIGN_CORNERS", linear, _mode("ALIGN_CORNERS", "STRICT_ALIGN_CORNERS"))
parameters("resizing: STRICT_ALIGN_CORNERS is ALIGN_CORNERS", linear, _mode("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"))
parameters("resizing: OFFSET_CORNERS is UNALIGN_CORNERS", linear, _mode("OFFSET_CORNERS", "UNALIGN_CORNERS"))
parameters("resizing: UNALIGN_CORNERS is OFFSET_CORNERS", linear, _mode("UNALIGN_CORNERS", "OFFSET_CORNERS"))
parameters("resizing: the sampling mode is ignored", linear, forgotten("sampling_mode"))
parameters(
    "resize_bilinear: height and width exchanged",
    "resize_bilinear resize_nearest_neighbor",
    exchanged("target_size_height", "target_size_width"),
)
kernel(
    "resizing: the weights of neighbours exchanged",
    f"{linear} upsample_bilinear",
    sampling.interpolate,
    lambda f: lambda x, following, weight: f(x, following, np.where(weight == 0, 0, 1 - weight)),
)
kernel(
    "resizing: weights in half precision",
    f"{linear} upsample_bilinear",
    sampling.interpolate,
    lambda f: lambda x, following, weight: f(x, following, weight.astype(np.float16).astype(np.float64)),
)
kernel(
    "resizing: the pixel beyond the edge is 0",
    "resize_bilinear upsample_bilinear resize",
    resize.resize_linear,
    lambda f: lambda x, size, mode: _faded(x, size) if mode is Sampling.UPSAMPLE else f(x, size, mode),
)


def _faded(x: Array, size: Any) -> Array:
    """What reads 0 behind the last pixel, at the positions i * X / N."""
    for axis in range(-1, -len(size) - 1, -1):
        length, count = x.shape[axis], size[axis]
        p = np.arange(count) * length / count
        k = np.floor(p).astype(int)
        w = (p - k).reshape(-1, *[1] * (-1 - axis)).astype(x.dtype)
        wide = np.pad(x, [(0, int(d == x.ndim + axis)) for d in range(x.ndim)])
        x = wide.take(k, axis) * (1 - w) + wide.take(k + 1, axis) * w
    return x


def _nearest(position: Any) -> Any:
    """Elements are chosen by ``position(i, length, count)``."""

    def fault(f: Any) -> Any:
        def faulty(x: Array, size: Any, mode: Any, *, down: bool = False) -> Array:
            for axis in range(-1, -len(size) - 1, -1):
                length, count = x.shape[axis], size[axis]
                x = x.take(np.clip(position(np.arange(count), length, count), 0, length - 1).astype(int), axis)
            return x

        return faulty

    return fault


near = "resize_nearest_neighbor resize"
kernel("nearest: floor(i * H / H')", near, resize.resize_nearest, _nearest(lambda i, n, m: i * n // m))
kernel(
    "nearest: the nearest to i * H / H'",
    near,
    resize.resize_nearest,
    _nearest(lambda i, n, m: np.floor(i * n / m + 0.5)),
)
kernel(
    "nearest: corners are aligned",
    near,
    resize.resize_nearest,
    _nearest(lambda i, n, m: np.floor(i * (n - 1) / max(m - 1, 1) + 0.5)),
)
kernel(
    "nearest: halves are rounded down",
    near,
    resize.resize_nearest,
    _nearest(lambda i, n, m: np.ceil((2 * i + 1) * n / (2 * m) - 1)),
)
kernel(
    "upsample_nearest_neighbor: half pixel centers",
    "upsample_nearest_neighbor",
    resize.resize_nearest,
    _nearest(lambda i, n, m: (2 * i + 1) * n // (2 * m)),
)
operation(
    "upsample: factors of height and width exchanged",
    "upsample_nearest_neighbor upsample_bilinear",
    lambda node, op: replace(op, factors=op.factors[::-1]),
)
parameters(
    "upsample_bilinear: align_corners is false by default",
    "upsample_bilinear",
    lambda node: (
        {} if node.has("align_corners") or node.flag("half_pixel_centers", False) else {"align_corners": False}
    ),
)
parameters("upsample_bilinear: half_pixel_centers is ignored", "upsample_bilinear", forgotten("half_pixel_centers"))
parameters(
    "upsample_bilinear: align_corners is ignored",
    "upsample_bilinear",
    lambda node: {"align_corners": not node.flag("half_pixel_centers", False)},
)
version(
    "upsample_bilinear: half_pixel_centers is unknown in CoreML6, as before", "upsample_bilinear", "CoreML6", "CoreML5"
)
operation(
    "upsample_bilinear: without half pixel centers corners are aligned",
    "upsample_bilinear",
    lambda node, op: replace(op, sampling=Sampling.STRICT_ALIGN_ENDPOINTS) if op.sampling is Sampling.UPSAMPLE else op,
)
parameters("resize: linear for nearest", "resize", forgotten("interpolation_mode"))
operation("resize: the first axes", "resize", lambda node, op: replace(op, axes=max(1, op.axes - 1)))
operation(
    "resize: the first numbers of a longer shape count",
    "resize",
    lambda node, op: replace(op, target=op.target[: op.axes]) if op.target else op,
)
operation(
    "resize: 0 is the length 1",
    "resize",
    lambda node, op: replace(op, target=tuple(n or 1 for n in op.target)) if op.target else op,
)

# ---- Boxes ----


def _box(**fields: Any) -> Any:
    """What reads boxes has other attributes, whatever is around it."""

    def change(node: Node, op: Any) -> Any:
        own = {k: v(getattr(op.op if hasattr(op, "op") else op, k)) if callable(v) else v for k, v in fields.items()}
        return replace(op, op=replace(op.op, **own)) if hasattr(op, "op") else replace(op, **own)

    return change


crop = "crop_resize"
operation("crop_resize: the horizontal number first", crop, _box(width_first=lambda v: not v))
operation("crop_resize: corners for center and size", crop, _box(centers=False))
operation("crop_resize: normalized coordinates are pixels", crop, _box(normalized=False))
operation("crop_resize: the spatial scale is ignored", crop, _box(scale=1.0))
operation("crop_resize: pad_value is ignored", crop, _box(outside=lambda v: None if v is None else 0.0))
operation("crop_resize: positions outside are moved to the edge", crop, _box(outside=None))
version("crop_resize: positions outside are moved to the edge in CoreML6, as before", crop, "CoreML6", "CoreML5")
operation("crop_resize: height and width of the target exchanged", crop, _box(target=lambda v: v[::-1]))
kernel(
    "crop_resize: boxes end before their last corner",
    crop,
    resize.box_corners,
    lambda f: lambda boxes, **o: f(boxes, **o) - np.array([0.0, 0.0, 1.0, 1.0]),
)
method(
    "crop_resize: normalized coordinates are multiplied by H and W",
    crop,
    ops.CropResize,
    "run",
    lambda f: (
        lambda self, x, boxes, *i: f(
            replace(self, normalized=False), x, _in_pixels(self, x, boxes) if self.normalized else boxes, *i
        )
    ),
)
kernel(
    "crop_resize: the size is that from the center to an edge",
    crop,
    resize.box_corners,
    lambda f: (
        lambda boxes, *, centers=False, width_first=False: f(
            np.concatenate([boxes[:, :2], 2 * boxes[:, 2:]], 1) if centers else boxes,
            centers=centers,
            width_first=width_first,
        )
    ),
)


def _in_pixels(op: Any, x: Array, boxes: Array) -> Array:
    """Normalized boxes in pixels, as if the last pixel ended at 1."""
    unit = (x.shape[3], x.shape[2]) if op.width_first else (x.shape[2], x.shape[3])
    return np.concatenate([boxes[:, :-4], boxes[:, -4:] * np.array([*unit, *unit], boxes.dtype)], axis=1)


result(
    "crop_resize: every box out of the first image",
    crop,
    lambda node, run, x, boxes, *i: run(np.broadcast_to(x[:1], x.shape), boxes, *i),
)
result(
    "crop_resize: box_indices are ignored",
    crop,
    lambda node, run, x, boxes, *i: run(x, boxes, *(np.arange(len(n), dtype=n.dtype) % len(x) for n in i)),
)

# ---- Other places ----

places = "resample affine"
result("resample: rows before columns", "resample", lambda node, run, x, c: run(x, c[..., ::-1].copy()))
parameters("resample: align_corners is ignored", places, given(align_corners=np.array(True)))
parameters("resample: align_corners inverted", places, lambda node: {"align_corners": not node.flag("align_corners")})
operation(
    "resample: coordinates from 0 to 1 are from -1 to 1",
    "resample",
    lambda node, op: (
        replace(op, coordinates=Coordinates.MINUS_ONE_TO_ONE) if op.coordinates is Coordinates.ZERO_TO_ONE else op
    ),
)
operation(
    "resample: coordinates from -1 to 1 are from 0 to 1",
    "resample",
    lambda node, op: (
        replace(op, coordinates=Coordinates.ZERO_TO_ONE) if op.coordinates is Coordinates.MINUS_ONE_TO_ONE else op
    ),
)
operation(
    "resample: reflection is symmetric",
    "resample",
    lambda node, op: replace(op, padding=Padding.SYMMETRIC) if op.padding is Padding.REFLECTION else op,
)
operation(
    "resample: symmetric is reflection",
    "resample",
    lambda node, op: replace(op, padding=Padding.REFLECTION) if op.padding is Padding.SYMMETRIC else op,
)
operation(
    "resample: the border for a constant",
    "resample",
    lambda node, op: replace(op, padding=Padding.EDGE) if op.padding is Padding.CONSTANT else op,
)
operation("resample: the padding value is 0", places, with_fields(value=0.0))
operation("resample: bilinear for nearest", "resample", with_fields(nearest=False))
kernel(
    "resample: the nearest is the pixel before",
    "resample",
    sampling.resample,
    lambda f: (
        lambda x, rows, columns, *a, nearest=False, **o: f(
            x, np.floor(rows) if nearest else rows, np.floor(columns) if nearest else columns, *a, nearest=nearest, **o
        )
    ),
)
kernel(
    "resample: a sample outside of the image is the padding whole",
    places,
    sampling.resample,
    lambda f: (
        lambda x, rows, columns, padding, value=0.0, **o: (
            np.where(
                _outside(rows, x.shape[2])[:, None] | _outside(columns, x.shape[3])[:, None],
                x.dtype.type(value),
                f(x, rows, columns, padding, value, **o),
            )
            if padding is Padding.CONSTANT
            else f(x, rows, columns, padding, value, **o)
        )
    ),
)
kernel(
    "resample: images are mirrored once",
    "resample",
    sampling._mirrored,
    lambda f: lambda p, length: np.clip(length - np.abs(length - np.abs(p)), 0, length),
)


def _outside(p: Array, length: int) -> Array:
    return (p < 0) | (p > length - 1)


result(
    "affine: rows and columns of the matrix exchanged",
    "affine",
    lambda node, run, x, a: run(x, a.reshape(-1, 2, 3)[:, ::-1].reshape(a.shape).copy()),
)
result(
    "affine: numbers of the matrix column by column",
    "affine",
    lambda node, run, x, a: run(x, a.reshape(-1, 3, 2).swapaxes(1, 2).reshape(a.shape).copy()),
)
result(
    "affine: the shift is in pixels",
    "affine",
    lambda node, run, x, a: run(x, a * np.array([1, 1, 2 / x.shape[3], 1, 1, 2 / x.shape[2]], a.dtype)),
)
result(
    "affine: the inverse map",
    "affine",
    lambda node, run, x, a: run(x, _inverse(a)),
)
operation(
    "affine: height and width of the result exchanged", "affine", lambda node, op: replace(op, target=op.target[::-1])
)


def _inverse(a: Array) -> Array:
    square = np.concatenate(
        [a.reshape(-1, 2, 3).astype(np.float64), np.broadcast_to([[[0.0, 0, 1]]], (len(a), 1, 3))], 1
    )
    return np.linalg.pinv(square)[:, :2].reshape(a.shape).astype(a.dtype)
