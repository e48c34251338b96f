"""Both layouts of non-maximum suppression, and the types of its results."""

from __future__ import annotations

import numpy as np
import pytest

from refcoreml import ops
from refcoreml.errors import InvalidModelError
from refcoreml.types import TensorType

INDEX = np.dtype(np.int32)
# The first two boxes share a third of what they cover, the third lies apart.
BOXES = np.array([[[1, 1, 2, 2], [2, 1, 2, 2], [8, 8, 2, 2]]], np.float32)
SCORES = np.array([[[0.75, 0.125], [0.5, 0.875], [0.25, 0.0]]], np.float32)


def test_of_boxes_that_overlap_the_best_stays() -> None:
    op = ops.NonMaximumSuppression(max_boxes=4, iou_threshold=0.25, score_threshold=0.125, result=INDEX)
    results = op.run(BOXES, SCORES)
    assert op.infer(TensorType.of(BOXES), TensorType.of(SCORES)) == tuple(map(TensorType.of, results))
    boxes, scores, indices, counts = results
    assert (indices.tolist(), counts.tolist()) == ([[1, 2, -1, -1]], [2])
    assert (indices.dtype, counts.dtype) == (INDEX, INDEX)
    np.testing.assert_array_equal(boxes[0], [*BOXES[0, [1, 2]], [0] * 4, [0] * 4])
    np.testing.assert_array_equal(scores[0], [*SCORES[0, [1, 2]], [0] * 2, [0] * 2])


def test_boxes_of_other_classes_do_not_compete() -> None:
    options = {"max_boxes": 3, "iou_threshold": 0.25, "per_class": True, "result": INDEX}
    indices = ops.NonMaximumSuppression(**options).run(BOXES, SCORES)[2]
    assert indices.tolist() == [[1, 0, 2]]


def test_boxes_may_lie_along_the_last_axis() -> None:
    """As in newer programs, which have no score threshold and no counts."""
    rng = np.random.default_rng(0)
    boxes = np.concatenate([rng.integers(0, 30, (3, 8, 2)), rng.integers(1, 20, (3, 8, 2))], 2).astype(np.float32)
    scores = rng.standard_normal((3, 8, 2)).astype(np.float32)
    rows = ops.NonMaximumSuppression(max_boxes=5, iou_threshold=0.25, result=INDEX)
    columns = ops.NonMaximumSuppression(max_boxes=5, iou_threshold=0.25, boxes_last=True, counts=False, result=INDEX)
    given = boxes.swapaxes(1, 2), scores.swapaxes(1, 2)
    expected, found = rows.run(boxes, scores), columns.run(*given)
    assert columns.infer(*map(TensorType.of, given)) == tuple(map(TensorType.of, found))
    assert [y.shape for y in found] == [(3, 4, 5), (3, 2, 5), (3, 5)]
    np.testing.assert_array_equal(found[0].swapaxes(1, 2), expected[0])
    np.testing.assert_array_equal(found[1].swapaxes(1, 2), expected[1])
    np.testing.assert_array_equal(found[2], expected[2])


def test_layouts_that_do_not_fit() -> None:
    op = ops.NonMaximumSuppression(max_boxes=5, iou_threshold=0.25, boxes_last=True)
    with pytest.raises(InvalidModelError, match=r"expected boxes \[B, 4, N\] and scores \[B, C, N\]"):
        op.infer(TensorType.of(BOXES), TensorType.of(SCORES))
