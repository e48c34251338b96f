"""Non-maximum suppression against the plain algorithm: every pair of boxes, one after another."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcoreml.kernels.nms import non_maximum_suppression


def _iou(a, b):
    """Of two boxes (x center, y center, width, height) with whole numbers: exact up to the last division."""
    width = min(a[0] + abs(a[2]) / 2, b[0] + abs(b[2]) / 2) - max(a[0] - abs(a[2]) / 2, b[0] - abs(b[2]) / 2)
    height = min(a[1] + abs(a[3]) / 2, b[1] + abs(b[3]) / 2) - max(a[1] - abs(a[3]) / 2, b[1] - abs(b[3]) / 2)
    common = max(width, 0) * max(height, 0)
    union = abs(a[2] * a[3]) + abs(b[2] * b[3]) - common
    return common / union if union else 0.0


def _plain(boxes, scores, classes, iou_threshold, score_threshold, max_boxes):
    kept = []
    for place in sorted(range(len(boxes)), key=lambda place: -scores[place]):
        rivals = [k for k in kept if classes is None or classes[k] == classes[place]]
        if scores[place] > score_threshold and all(_iou(boxes[place], boxes[k]) <= iou_threshold for k in rivals):
            kept.append(place)
    return kept[:max_boxes]


NUMBERS = st.integers(-3, 9).map(float)


@given(
    st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.integers(0, 9), st.integers(0, 3)), max_size=25),
    st.booleans(),
    st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0]),
    st.sampled_from([-1.0, 0.0, 4.0, 9.0]),
    st.integers(1, 30),
    st.sampled_from([np.float32, np.float64]),
)
def test_agrees_with_the_plain_algorithm(rows, per_class, iou_threshold, score_threshold, max_boxes, dtype):
    """On small whole numbers, with thresholds that are met exactly and many equal scores."""
    data = np.array(rows).reshape(-1, 6)
    boxes, scores, classes = data[:, :4], data[:, 4], data[:, 5].astype(np.intp) if per_class else None
    kept = non_maximum_suppression(
        boxes.astype(dtype),
        scores.astype(dtype),
        classes,
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        max_boxes=max_boxes,
    )
    assert kept.tolist() == _plain(boxes.tolist(), scores.tolist(), classes, iou_threshold, score_threshold, max_boxes)


def test_equality_with_the_thresholds():
    boxes = np.array([[0, 0, 2, 1], [1, 0, 2, 1]], np.float32)  # 1 in common, 3 together
    third = float(np.float32(1) / np.float32(3))
    options = {"score_threshold": 0.5, "max_boxes": 9}
    scores = np.array([1, 0.75], np.float32)
    assert len(non_maximum_suppression(boxes, scores, iou_threshold=third, **options)) == 2
    below = float(np.nextafter(np.float32(third), np.float32(0)))
    assert len(non_maximum_suppression(boxes, scores, iou_threshold=below, **options)) == 1
    scores = np.array([0.5, np.nextafter(np.float32(0.5), np.float32(1))], np.float32)
    assert non_maximum_suppression(boxes, scores, iou_threshold=third, **options).tolist() == [1]


def test_values_that_are_not_numbers():
    boxes = np.array([[0, 0, 1, 1], [np.nan, 0, 1, 1], [0, 0, 1, 1], [np.inf, 0, 1, 1]])
    scores = np.array([np.nan, 3.0, 2.0, np.inf])
    kept = non_maximum_suppression(boxes, scores, iou_threshold=0.5, score_threshold=0, max_boxes=9)
    assert kept.tolist() == [3, 1, 2]  # a score of NaN never passes, a box of NaN overlaps nothing


@pytest.mark.parametrize("per_class", [False, True])
def test_agrees_with_torchvision_style_code_on_many_boxes(per_class):
    rng = np.random.default_rng(0)
    count, classes = 2000, rng.integers(0, 20, 2000)
    # Multiples of 1/64 keep corners and areas exact; scores are all different.
    boxes = np.concatenate([rng.integers(0, 640, (count, 2)), 2 * rng.integers(1, 60, (count, 2))], 1) / 64
    scores = rng.permutation(count) / count
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    area = (high - low).prod(1)
    order, expected = np.argsort(-scores), []
    while order.size:
        best, order = order[0], order[1:]
        expected.append(best)
        common = np.maximum(np.minimum(high[best], high[order]) - np.maximum(low[best], low[order]), 0).prod(1)
        stays = common / (area[best] + area[order] - common) <= 0.25
        order = order[stays | (classes[best] != classes[order])] if per_class else order[stays]
    kept = non_maximum_suppression(
        boxes,
        scores,
        classes if per_class else None,
        iou_threshold=0.25,
        score_threshold=-1,
        max_boxes=count,
    )
    assert 20 < len(kept) < count
    assert kept.tolist() == [int(place) for place in expected]


def test_memory_is_not_quadratic():
    rng = np.random.default_rng(0)
    boxes, scores = rng.random((20_000, 4), np.float32), rng.random(20_000, np.float32)
    tracemalloc.start()
    try:
        non_maximum_suppression(boxes, scores, iou_threshold=1, score_threshold=0, max_boxes=50)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200 * len(boxes)  # bytes; a matrix of all pairs would take 20,000 of them a box
