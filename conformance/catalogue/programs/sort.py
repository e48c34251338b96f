"""Sorting, the largest elements, places, and boxes by their scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.programs.plan import C, ProgramPlan, X, op, refused
from conformance.catalogue.programs.reduction import distinct


def plans() -> Iterator[ProgramPlan]:
    x, kinds = distinct((3, 7)), "integers fp16:halves int32:integers"
    yield from op("argsort", "descending", kinds=kinds, x=x)
    yield from op("argsort", "ascending", kinds="integers", x=x, ascending=True)
    yield from op("argsort", "axis", kinds="integers", x=distinct((5, 2, 3)), axis=0, ascending=True)
    yield from op("argsort", "negative-axis", kinds="integers", x=distinct((2, 5, 3)), axis=-2)
    yield from refused("argsort", "axis", "the axis exists", x=x, axis=2, results=[("int32", (3, 7))])
    yield from op("topk", "default", kinds="integers", x=x)
    yield from op("topk", "largest", kinds=kinds, x=x, k=3)
    yield from op("topk", "smallest", kinds="integers", x=x, k=3, ascending=True)
    yield from op("topk", "axis", kinds="integers", x=distinct((5, 2, 3)), k=4, axis=0)
    yield from op("topk", "all", kinds="integers", x=x, k=-1)
    yield from op("topk", "values", kinds="integers", x=x, k=3, return_indices=False, opset="CoreML6")
    yield from op("topk", "sorted", kinds="integers", x=x, k=3, sort=True, opset="CoreML6")
    yield from op("topk", "uint16", kinds="integers", x=x, k=3, output_indices_dtype="uint16", opset="CoreML7")
    for element in ("int8", "uint8", "int16", "uint16"):
        high = distinct((3, 7)) if element.startswith("i") else X(3, 7, value=np.arange(21).reshape(3, 7) * 8 % 21)
        yield from op("topk", "small", kinds=f"{element}:integers", x=high, k=2)
    pair = [("fp32", (3, None)), ("int32", (3, None))]
    yield from refused("topk", "k", "k does not exceed the axis", x=x, k=8, results=pair)
    yield from refused("topk", "axis", "the axis exists", x=x, k=2, axis=2, results=pair)
    for label, shape in (("vector", (9,)), ("matrix", (3, 4)), ("rank-3", (2, 3, 4))):
        found = [("int32", (None, len(shape)))]
        data = "bits fp16:bits int32:integers bool:bits" if label == "matrix" else "bits"
        yield from op("non_zero", label, kinds=data, x=X(*shape), results=found)
    yield from _one_hot()
    yield from _suppression()


def _one_hot() -> Iterator[ProgramPlan]:
    kind, places = "one_hot", X(value=np.array([2, 0, 3, 1, 2]), type="int32")
    yield from op(kind, "default", kinds="integers", indices=places, one_hot_vector_size=4)
    for element, on, off in (("fp32", 2.5, -1.0), ("fp16", 2.5, -1.0), ("int32", 7, -2), ("bool", True, False)):
        given = {"on_value": C(value=on, type=element), "off_value": C(value=off, type=element)}
        yield from op(kind, f"values-{element}", kinds="integers", indices=places, one_hot_vector_size=6, **given)
    matrix = X(value=np.array([[2, 0, 1], [1, 1, 0]]), type="int32")
    yield from op(kind, "axis-0", kinds="integers", indices=matrix, one_hot_vector_size=4, axis=0)
    yield from op(kind, "axis-1", kinds="integers", indices=matrix, one_hot_vector_size=4, axis=1)
    yield from refused(
        kind,
        "size",
        "one_hot_vector_size is 1 or more",
        indices=places,
        one_hot_vector_size=0,
        results=[("int32", (5, None))],
    )
    yield from refused(
        kind, "floats", "indices are int32", indices=X(5), one_hot_vector_size=3, results=[("int32", (5, 3))]
    )
    mixed = {"on_value": C(value=1.0), "off_value": C(value=0, type="int32")}
    yield from refused(
        kind,
        "types",
        "both values are of one type",
        indices=places,
        one_hot_vector_size=3,
        results=[("fp32", (5, 3))],
        **mixed,
    )


def _suppression() -> Iterator[ProgramPlan]:
    kind = "non_maximum_suppression"
    # Center and size; the second overlaps the first, the fifth the fourth.
    boxes = np.array([[2, 2, 2, 2], [2.25, 2, 2, 2], [8, 8, 1, 3], [5, 1, 2, 1], [5, 1.25, 2, 1], [0, 6, 1, 1]])
    scores = np.array(
        [[0.5, 0.25], [0.75, 0.125], [0.0625, 0.875], [0.375, 0.4375], [0.3125, 0.1875], [0.03125, 0.015625]]
    )
    given: dict[str, Any] = {
        "boxes": X(value=boxes[None]),
        "scores": X(value=scores[None]),
        "iou_threshold": C(value=0.5),
        "score_threshold": C(value=0.125),
        "max_boxes": 5,
    }
    data = "integers fp16:integers"
    yield from op(kind, "plain", kinds=data, **given)
    yield from op(kind, "loose", kinds="integers", **{**given, "iou_threshold": C(value=0.9375)})
    yield from op(kind, "few", kinds="integers", **{**given, "max_boxes": 2})
    yield from op(kind, "per-class", kinds="integers", per_class_suppression=True, **given)
    newer = {**given, "boxes": X(value=boxes.T[None]), "scores": X(value=scores.T[None])}
    del newer["score_threshold"]
    yield from op(kind, "newer", kinds=data, opset="CoreML7", **{**newer, "max_boxes": 4})
    five = [("fp32", (1, 5, 4)), ("fp32", (1, 5, 2)), ("int32", (1, 5)), ("int32", (1,))]
    yield from refused(kind, "boxes", "a box has four numbers", results=five, **{**given, "boxes": X(1, 6, 5)})
    yield from refused(
        kind, "counts", "there are as many scores as boxes", results=five, **{**given, "scores": X(1, 5, 2)}
    )
