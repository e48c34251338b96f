"""Order: sorting, the largest elements, the places of elements, and boxes by their scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.programs.plan import ProgramPlan, X, op, refused
from conformance.catalogue.programs.reduction import distinct

#: Numbers of all types, no two of which are equal.
_SPREAD = np.arange(21).reshape(3, 7) * 8 % 21
_SMALL = "int8:full uint8:full int16:full uint16:full"


def plans() -> Iterator[ProgramPlan]:
    yield from _argsort()
    yield from _topk()
    yield from _non_zero()
    yield from _one_hot()
    yield from _boxes()


def _argsort() -> Iterator[ProgramPlan]:
    kind = "argsort"
    kinds = "integers fp16:integers int32:integers"
    yield from op(kind, "default", kinds=kinds, clauses="S1", x=distinct((3, 7)))
    yield from op(kind, "ascending", kinds=kinds, clauses="S2", x=distinct((3, 7)), ascending=True)
    yield from op(kind, "middle", kinds="integers", clauses="S1", x=distinct((2, 5, 3)), axis=1)
    yield from op(kind, "first", kinds="integers", clauses="S2", x=distinct((5, 4)), axis=-2, ascending=True)
    ends = X(value=np.array([5, -(2**31), 2**31 - 1, 0]), type="int32")
    for ascending in (False, True):
        yield from op(
            kind, f"ends-{ascending}".lower(), kinds="int32:integers", clauses="S1 S2", x=ends, ascending=ascending
        )
    integers = [("int32", (None, None))]
    yield from refused(kind, "axis", "the axis exists", clause="C1", x=X(3, 4), axis=2, results=integers)
    yield from refused(kind, "bool", "x holds numbers", kinds="bool:bits", clause="C1", x=X(3, 4), results=integers)


def _topk() -> Iterator[ProgramPlan]:
    kind, x = "topk", distinct((3, 7))
    kinds = "integers fp16:integers int32:integers"
    opsets = "CoreML5 CoreML6 CoreML7"
    yield from op(kind, "largest", kinds=kinds, opset=opsets, clauses="S1", x=x, k=3)
    yield from op(kind, "smallest", kinds=kinds, clauses="S2", x=x, k=3, ascending=True)
    yield from op(kind, "default", kinds="integers", clauses="S1", x=x)
    yield from op(kind, "all", kinds="integers", opset="CoreML7", clauses="S5", x=x, k=-1)
    yield from op(kind, "first", kinds="integers", clauses="S1", x=distinct((5, 4)), axis=0, k=2)
    yield from op(kind, "values", kinds=kinds, opset="CoreML6 CoreML7", clauses="S3", x=x, k=2, return_indices=False)
    yield from op(kind, "small", kinds=_SMALL, opset="CoreML7", clauses="S1", x=X(value=_SPREAD), k=np.int16(3))
    close = X(value=2**24 + np.array([[1, 0, 3, 2, 5], [8, 9, 6, 7, 4]]))
    yield from op(kind, "large-integers", kinds="int32:integers", clauses="S1", x=close, k=3)
    for element in ("uint16", "int32"):
        yield from op(
            kind,
            f"indices-{element}",
            kinds="integers",
            opset="CoreML7",
            clauses="S4",
            x=x,
            k=2,
            output_indices_dtype=element,
        )
    two = [("fp32", (None, None)), ("int32", (None, None))]
    yield from refused(
        kind,
        "bool",
        "x holds numbers",
        kinds="bool:bits",
        clause="C1",
        x=X(3, 7),
        results=[("bool", (None, None)), two[1]],
    )
    for label, k in (("zero", 0), ("many", 8)):
        yield from refused(kind, label, "k is 1 to the length, or -1", clause="C2", x=X(3, 7), k=k, results=two)
    yield from refused(kind, "axis", "the axis exists", clause="C2", x=X(3, 7), axis=2, results=two)
    yield from refused(
        kind,
        "dtype-without-indices",
        "output_indices_dtype needs indices",
        clause="C3",
        opset="CoreML7",
        x=X(3, 7),
        return_indices=False,
        output_indices_dtype="int32",
    )
    yield from refused(
        kind,
        "dtype",
        "indices are int32 or uint16",
        clause="C3",
        opset="CoreML7",
        x=X(3, 7),
        output_indices_dtype="int8",
        results=two,
    )
    yield from refused(
        kind,
        "old-values",
        "return_indices exists since CoreML6",
        opset="CoreML5",
        x=X(3, 7),
        return_indices=False,
    )
    yield from refused(
        kind,
        "old-dtype",
        "output_indices_dtype exists since CoreML7",
        opset="CoreML6",
        x=X(3, 7),
        output_indices_dtype="int32",
        results=two,
    )


def _non_zero() -> Iterator[ProgramPlan]:
    kind = "non_zero"
    for label, shape in (("vector", (9,)), ("matrix", (3, 4)), ("volume", (2, 3, 4))):
        kinds = "bits fp16:bits int32:integers bool:bits" if label == "matrix" else "bits"
        yield from op(kind, label, kinds=kinds, clauses="S1", x=X(*shape), results=[("int32", (None, len(shape)))])
    yield from refused(
        kind,
        "int8",
        "x is fp16, fp32, int32 or bool",
        kinds="int8:integers",
        clause="C1",
        opset="CoreML7",
        x=X(3, 4),
        results=[("int32", (None, 2))],
    )
    special = X(value=np.array([[-0.0, np.nan, 0.0], [np.inf, -0.0, 1e-30]]))
    yield from op(kind, "special", kinds="integers", clauses="S2", x=special, results=[("int32", (None, 2))])
    yield from refused(
        kind, "nothing", "an element is not 0", clause="C2", x=X(value=np.zeros((2, 3))), results=[("int32", (None, 2))]
    )


def _one_hot() -> Iterator[ProgramPlan]:
    kind, indices = "one_hot", X(value=np.array([[0, 3, 1], [2, 2, 0]]), type="int32")
    for label, axis in (("default", None), ("first", 0), ("middle", 1), ("negative", -2)):
        given = {} if axis is None else {"axis": axis}
        yield from op(
            kind, label, kinds="int32:integers", clauses="S1 S3", indices=indices, one_hot_vector_size=4, **given
        )
    for element, on, off in (("fp32", 2.5, -1.0), ("fp16", 1.5, 0.25), ("int32", 7, -3), ("bool", False, True)):
        values = {
            name: np.array(value).astype({"fp32": "f4", "fp16": "f2", "int32": "i4", "bool": "?"}[element])
            for name, value in (("on_value", on), ("off_value", off))
        }
        yield from op(
            kind,
            f"values-{element}",
            kinds="int32:integers",
            clauses="S1 S3",
            indices=indices,
            one_hot_vector_size=4,
            **values,
        )
    size = X(value=np.array(5), type="int32")
    yield from op(
        kind,
        "computed",
        kinds="int32:integers",
        clauses="S2",
        indices=indices,
        one_hot_vector_size=size,
        results=[("int32", (None,) * 3)],
    )
    three = [("int32", (None,) * 3)]
    more: dict[str, Any] = {"kinds": "int32:integers", "results": three, "indices": indices}
    yield from refused(kind, "size", "the size is 1 or more", clause="C2", one_hot_vector_size=0, **more)
    yield from refused(
        kind, "axis", "the axis is one of the result", clause="C2", one_hot_vector_size=4, axis=3, **more
    )
    mixed = {"on_value": np.float32(1), "off_value": np.float16(0)}
    yield from refused(kind, "types", "both values have one type", clause="C1", one_hot_vector_size=4, **mixed, **more)
    yield from refused(
        kind, "float", "indices are int32", clause="C1", indices=X(2, 3), one_hot_vector_size=4, results=three
    )


#: Center, width and height of boxes [1, 4, 4], and scores [1, 4, 2]. The second box covers 3/4 of the first, the third
#: is apart, the fourth shares a third with it. All overlaps are exact in half precision, none is at a threshold.
_BOXES = np.array([[[4, 4, 8, 8], [3, 4, 6, 8], [20, 4, 8, 8], [24, 4, 8, 8]]])
_SCORES = np.array([[[0.5, 0.125], [0.25, 0.75], [0.375, 0.0625], [0.125, 0.25]]])


def _boxes() -> Iterator[ProgramPlan]:
    kind, kinds = "non_maximum_suppression", "integers fp16:integers"
    most: dict[str, Any] = {"iou_threshold": 0.5, "max_boxes": 3}
    for label, given, clauses in (
        ("some", {}, "S1"),
        ("overlaps-kept", {"iou_threshold": 0.875}, "S1"),
        ("overlaps-left-out", {"iou_threshold": 0.25, "max_boxes": 4}, "S1"),
        ("threshold", {"score_threshold": 0.3125}, "S4"),
        ("none", {"score_threshold": 0.9375}, "S4"),
        ("classes", {"per_class_suppression": True, "max_boxes": 4}, "S5"),
        ("few", {"max_boxes": 1}, "S1"),
    ):
        older = {"score_threshold": 0.0, **most, **given}
        boxes, scores = X(value=_BOXES), X(value=_SCORES)
        yield from op(
            kind, label, kinds=kinds, opset="CoreML6", clauses=f"{clauses} S2", boxes=boxes, scores=scores, **older
        )
        if "score_threshold" not in given:
            turned = {"boxes": X(value=_BOXES.swapaxes(1, 2)), "scores": X(value=_SCORES.swapaxes(1, 2))}
            newer = {**turned, **most, **given}
            yield from op(kind, f"{label}-boxes-last", kinds=kinds, opset="CoreML7", clauses=f"{clauses} S3", **newer)
    for label, boxes, scores, given, clauses in (
        # Boxes of two sizes: as if they began at their first two numbers, they would overlap by a quarter.
        ("sizes", [[4, 4, 4, 4], [6, 4, 2, 2]], [0.5, 0.25], {"iou_threshold": 0.1875}, "S1"),
        # Of these two a half of what they cover is shared, exactly, which is not above the threshold.
        ("at-threshold", [[4, 4, 6, 2], [6, 4, 6, 2]], [0.5, 0.25], {"iou_threshold": 0.5}, "S1"),
        ("at-score", [[4, 4, 2, 2], [16, 4, 2, 2]], [0.5, 0.25], {"score_threshold": 0.25}, "S1"),
    ):
        few: dict[str, Any] = {"score_threshold": 0.0, **most, **given, "max_boxes": 2}
        both = {"boxes": X(value=np.array([boxes])), "scores": X(value=np.array(scores).reshape(1, 2, 1))}
        yield from op(kind, label, kinds=kinds, opset="CoreML6", clauses=clauses, **both, **few)
    boxes, scores = np.concatenate([_BOXES, _BOXES[:, ::-1]]), np.concatenate([_SCORES, _SCORES])
    turned = {"boxes": X(value=boxes.swapaxes(1, 2)), "scores": X(value=scores.swapaxes(1, 2))}
    yield from op(kind, "batch", kinds=kinds, opset="CoreML7", clauses="S1 S3", **turned, **most)
    three = [("fp32", (None,) * 3)] * 2 + [("int32", (None,) * 2)]
    integers: dict[str, Any] = {"boxes": X(1, 4, 5), "scores": X(1, 2, 5), "kinds": "int32:integers"}
    results = [("int32", (None,) * 3)] * 2 + [("int32", (None,) * 2)]
    yield from refused(
        kind, "int", "boxes are floats", clause="C1", opset="CoreML7", results=results, **integers, **most
    )
    four = [*three, ("int32", (None,))]
    old = {"boxes": X(1, 4, 4), "scores": X(1, 4, 2), "results": four}
    new = {"boxes": X(1, 4, 5), "scores": X(1, 2, 5), "results": three}
    yield from refused(
        kind, "no-score-threshold", "score_threshold is given", clause="C2", opset="CoreML6", **old, **most
    )
    yield from refused(
        kind,
        "score-threshold",
        "there is no score_threshold since CoreML7",
        clause="C2",
        opset="CoreML7",
        score_threshold=0.5,
        **new,
        **most,
    )
    yield from refused(
        kind, "layout", "boxes are [N, 4, B]", clause="C2", opset="CoreML7", **{**new, "boxes": X(1, 5, 4)}, **most
    )
    yield from refused(
        kind, "no-boxes", "max_boxes is 1 or more", clause="C3", opset="CoreML7", **new, **{**most, "max_boxes": 0}
    )
