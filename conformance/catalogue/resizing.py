"""upsample, resizeBilinear, cropResize, and NonMaximumSuppression."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from conformance.catalogue.data import Source
from conformance.catalogue.plan import Array, Plan, family, layer

family("resizing", "upsample resizeBilinear cropResize")
family("detection", "NonMaximumSuppression")

_METHODS = ["STRICT_ALIGN_ENDPOINTS_MODE", "ALIGN_ENDPOINTS_MODE", "UPSAMPLE_MODE", "ROI_ALIGN_MODE"]


def _label(name: str) -> str:
    return name.lower().replace("_", "-")


def plans() -> Iterator[Plan]:
    x = (2, 4, 5)
    yield from layer("upsample", "nearest", x, data="integers nan", scaling_factor=[2, 3])
    yield from layer("upsample", "nearest-unset", x, data="integers")
    yield from layer("upsample", "bilinear", x, data="integers zero-mean wide", scaling_factor=[2, 4], mode="BILINEAR")
    for mode in ("ALIGN_CORNERS_TRUE", "ALIGN_CORNERS_FALSE"):
        yield from layer(
            "upsample",
            _label(mode),
            x,
            data="integers zero-mean",
            scaling_factor=[2, 3],
            mode="BILINEAR",
            linear_upsample_mode=mode,
        )
        yield from layer(
            "upsample",
            f"{_label(mode)}-fraction",
            x,
            data="integers zero-mean",
            fractional_scaling_factor=[1.5, 2.2],
            mode="BILINEAR",
            linear_upsample_mode=mode,
        )
    for method in _METHODS:
        mode = {"samplingMethod": method}
        for label, size in {"larger": [7, 9], "smaller": [3, 2], "one": [1, 3]}.items():
            yield from layer(
                "resizeBilinear", f"{_label(method)}-{label}", x, data="integers zero-mean", target_size=size, mode=mode
            )
    yield from layer("resizeBilinear", "size-unset", x, data="integers")
    boxes = np.array([[0.5, 1, 2.5, 4], [1, 0, 3, 2], [2, 1.5, 2.5, 3.75]], np.float32)
    pixels = boxes.reshape(3, 1, 4, 1, 1)
    image = (1, 2, 6, 5, 7)
    for method in _METHODS:
        yield from layer(
            "cropResize",
            _label(method),
            image,
            pixels,
            data="integers zero-mean",
            target_size=[3, 4],
            mode={"samplingMethod": method},
        )
        yield from layer(
            "cropResize",
            f"{_label(method)}-one",
            image,
            pixels,
            data="zero-mean",
            target_size=[1, 3],
            mode={"samplingMethod": method},
        )
    for box_mode in ["CORNERS_WIDTH_FIRST", "CENTER_SIZE_HEIGHT_FIRST", "CENTER_SIZE_WIDTH_FIRST"]:
        yield from layer(
            "cropResize",
            _label(box_mode),
            image,
            pixels,
            data="zero-mean",
            target_size=[3, 4],
            box_indices_mode={"boxMode": box_mode},
        )
    yield from layer(
        "cropResize", "normalized", image, pixels / 4, data="zero-mean", target_size=[3, 4], normalized_coordinates=True
    )
    yield from layer(
        "cropResize", "spatial-scale", image, pixels * 2, data="zero-mean", target_size=[3, 4], spatial_scale=0.5
    )
    numbered = np.concatenate([np.array([[1], [0], [1]], np.float32), boxes], axis=1).reshape(3, 1, 5, 1, 1)
    corners = {"boxMode": "CORNERS_HEIGHT_FIRST"}
    yield from layer(
        "cropResize", "numbered", image, numbered, data="zero-mean", target_size=[3, 4], box_indices_mode=corners
    )

    def some_boxes(source: Source, kind: str) -> Array:
        # On a grid of eighths, so that areas and their ratios are far from rounding.
        corner, size = source.integers((2, 9, 2), 0, 24), source.integers((2, 9, 2), 8, 24)
        return np.concatenate([corner + size / 2, size], axis=-1) / 8

    def some_scores(source: Source, kind: str) -> Array:
        order = np.argsort(source.uniform((2, 27)), axis=1) + 1
        return order.reshape(2, 9, 3) / 32

    kept = {"iou_threshold": 0.3, "score_threshold": 0.6, "max_boxes": 5}
    yield from layer(
        "NonMaximumSuppression", "all", some_boxes, some_scores, data="integers zero-mean", outputs=4, **kept
    )
    yield from layer(
        "NonMaximumSuppression",
        "per-class",
        some_boxes,
        some_scores,
        data="integers zero-mean",
        outputs=4,
        per_class_suppression=True,
        **kept,
    )
    yield from layer(
        "NonMaximumSuppression", "few", some_boxes, some_scores, data="integers", outputs=4, **{**kept, "max_boxes": 2}
    )
    yield from layer(
        "NonMaximumSuppression",
        "few-above",
        some_boxes,
        some_scores,
        data="integers",
        outputs=4,
        **{**kept, "score_threshold": 0.78},
    )
    yield from layer(
        "NonMaximumSuppression",
        "thresholds-as-inputs",
        some_boxes,
        some_scores,
        np.array([0.2]),
        np.array([0.125]),
        np.array([4.0]),
        data="integers",
        outputs=4,
        max_boxes=1,
    )
    none = {**kept, "score_threshold": 0.9}  # the highest score is 27 / 32
    yield from layer(
        "NonMaximumSuppression", "none-above", some_boxes, some_scores, data="integers zero-mean", outputs=4, **none
    )
    yield from layer(
        "NonMaximumSuppression",
        "none-above-in-one",
        some_boxes,
        lambda source, kind: some_scores(source, kind) * np.array([0.5, 1]).reshape(2, 1, 1),
        data="integers",
        outputs=4,
        **kept,
    )
