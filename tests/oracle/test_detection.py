"""Non-maximum suppression: what is certain about the boxes kept, and what rounding leaves open."""

from __future__ import annotations

import numpy as np
import pytest

from refcoreml import build
from refcoreml.oracle import PROFILES, oracle

#: Three boxes apart from each other, and one (the last) that shares a third with the first: 2 x 2 at a distance of 1.
BOXES = np.array([[1, 1, 2, 2], [8, 1, 2, 2], [1, 8, 2, 2], [2, 1, 2, 2]], np.float32)


def detect(boxes, scores, **fields):
    """The layer as a model: boxes [B, N, 4], scores [B, N, C]."""
    names = ["boxes", "scores", "indices", "count"]
    net = build.Network({"b": boxes.shape, "s": scores.shape}, names, exact=True)
    net.add("NonMaximumSuppression", inputs=["b", "s"], outputs=names, **fields)
    return net.spec()


def answers(scores, profile="fp32", boxes=BOXES, **fields):
    """Values and bounds of one item, by output."""
    scores = np.asarray(scores, np.float32)
    scores = scores.reshape(1, len(boxes), -1)
    fields = {"iou_threshold": 0.25, "score_threshold": 0.5, "max_boxes": 4, **fields}
    found = oracle(detect(boxes[None], scores, **fields), {"b": boxes[None], "s": scores}, profile)
    return {name: (answer.value[0], answer.bound[0]) for name, answer in found.items()}


@pytest.mark.parametrize("profile", PROFILES)
def test_where_no_box_passes_the_best_one_is_certain(profile):
    found = answers([0.25, 0.375, 0.125, 0.3125], profile)
    assert not any(bound.any() for _, bound in found.values())
    np.testing.assert_array_equal(found["indices"][0], [1, -1, -1, -1])
    np.testing.assert_array_equal(found["boxes"][0], [BOXES[1], *np.zeros((3, 4))])
    assert found["count"][0] == 1


def test_two_equal_best_boxes_of_which_none_passes_leave_one_place_open():
    found = answers([0.25, 0.25, 0.125, 0.125])
    np.testing.assert_array_equal(np.isinf(found["indices"][1]), [True, False, False, False])
    assert np.isinf(found["boxes"][1][0]).all()
    assert found["count"] == (1, 0)


def test_the_best_box_is_certain_even_if_it_may_or_may_not_pass():
    found = answers([0.25, 0.5, 0.125, 0.125])
    assert not any(bound.any() for _, bound in found.values())
    np.testing.assert_array_equal(found["indices"][0], [1, -1, -1, -1])
    # A second box at the threshold may be returned or not.
    found = answers([0.25, 0.75, 0.5, 0.125])
    np.testing.assert_array_equal(np.isinf(found["indices"][1]), [False, True, False, False])
    assert found["count"] == (1, 1)


def test_scores_near_the_threshold_are_told_apart_as_finely_as_the_profile_does():
    scores = [0.75, 0.6, 0.125, 0.125]  # the threshold is 0.6 too, but for the rounding of half precision
    assert np.isinf(answers(scores, "fp32", score_threshold=0.6)["indices"][1][1])
    assert not answers(scores, "fp32", score_threshold=0.601)["indices"][1].any()
    assert not answers(scores, "fp32", score_threshold=0.599)["indices"][1].any()
    assert np.isinf(answers(scores, "fp16/acc16", score_threshold=0.6001)["indices"][1][1])


def test_a_tie_leaves_open_only_what_comes_from_it_on():
    found = answers([0.75, 0.625, 0.625, 0.125])
    np.testing.assert_array_equal(np.isinf(found["indices"][1]), [False, True, True, False])
    np.testing.assert_array_equal(found["boxes"][1][0], 0)
    assert found["count"] == (3, 2)  # three, of which one is certain; the last does not pass
    assert not answers([0.75, 0.625, 0.625, 0.125], max_boxes=1)["indices"][1].any()


def test_an_overlap_at_the_limit_matters_only_when_the_box_comes_up():
    third = np.float32(1 / 3)
    found = answers([0.875, 0.75, 0.625, 0.5625], iou_threshold=third)
    np.testing.assert_array_equal(np.isinf(found["indices"][1]), [False, False, False, True])
    assert abs(found["count"][0] - 3.5) == 0.5
    assert found["count"][1] == 1
    assert not answers([0.875, 0.75, 0.625, 0.25], iou_threshold=third)["indices"][1].any()
    assert answers([0.875, 0.75, 0.625, 0.5625], iou_threshold=0.32)["count"] == (3, 0)
    assert answers([0.875, 0.75, 0.625, 0.5625], iou_threshold=0.34)["count"] == (4, 0)


def test_boxes_apart_do_not_overlap_however_small_they_are():
    boxes = BOXES * np.float32(2.0**-70)  # areas that a float does not hold
    found = answers([0.9, 0.8, 0.7, 0.1], boxes=boxes)
    np.testing.assert_array_equal(found["indices"][0], [0, 1, 2, -1])
    assert not any(bound.any() for _, bound in found.values())


def test_classes_that_are_not_certain():
    apart = [[0.875, 0], [0, 0.25], [0, 0.25], [0, 0.75]]
    found = answers(apart, per_class_suppression=True)
    assert (found["count"], found["indices"][1].any()) == ((2, 0), False)
    np.testing.assert_array_equal(found["indices"][0][:2], [0, 3])
    either = [[0.875, 0], [0, 0.25], [0, 0.25], [0.75, 0.75]]
    found = answers(either, per_class_suppression=True)
    np.testing.assert_array_equal(np.isinf(found["indices"][1]), [False, True, False, False])
    assert answers(either)["count"] == (1, 0)


def test_negative_sizes_decide_nothing():
    boxes = BOXES.copy()
    boxes[3, 2] = -2
    assert np.isinf(answers([0.875, 0.25, 0.25, 0.75], boxes=boxes)["indices"][1][1])


def slow(boxes, scores, limit, threshold, most, jitter, last):
    """Greedy suppression of one item, box by box, with comparisons that may fall either way near equality."""
    best = [max(row) for row in scores.tolist()]
    order = sorted(range(len(best)), key=lambda i: (-best[i], -i if last else i))
    kept = []
    for i in order:
        if not best[i] > threshold + jitter or len(kept) == most:
            continue
        shared = [_iou(boxes[i].tolist(), boxes[j].tolist()) for j in kept]
        if not any(value > limit + jitter for value in shared):
            kept.append(i)
    return kept or order[:1]


def _iou(a, b):
    sides = [
        max(0.0, min(a[k] + a[k + 2] / 2, b[k] + b[k + 2] / 2) - max(a[k] - a[k + 2] / 2, b[k] - b[k + 2] / 2))
        for k in (0, 1)
    ]
    shared = sides[0] * sides[1]
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


@pytest.mark.parametrize("seed", range(40))
def test_all_honest_computations_are_within(seed):
    # On coarse grids, so that ties of scores, thresholds and overlaps are frequent.
    rng = np.random.default_rng(seed)
    boxes = np.concatenate([rng.integers(0, 5, (9, 2)), rng.integers(1, 4, (9, 2))], axis=1).astype(np.float32)
    scores = (rng.integers(0, 16, (9, 2)) / 16).astype(np.float32)
    limit, threshold = float(rng.choice([1 / 3, 0.5, 0.2])), float(rng.choice([0.5, 0.9375, 0.25]))
    fields = {"iou_threshold": limit, "score_threshold": threshold, "max_boxes": 5}
    found = answers(scores, boxes=boxes, **fields)
    for jitter in (-1e-7, 0, 1e-7):
        for last in (False, True):
            kept = slow(boxes, scores, np.float32(limit), threshold, 5, jitter, last)
            indices = np.full(5, -1.0)
            indices[: len(kept)] = kept
            value, bound = found["indices"]
            assert (np.abs(indices - value) <= bound).all()
            value, bound = found["count"]
            assert abs(len(kept) - value) <= bound
            moved = np.zeros((5, 4))
            moved[: len(kept)] = boxes[kept]
            value, bound = found["boxes"]
            assert (np.abs(moved - value) <= bound).all()


def test_much_is_certain():
    # Distinct scores and overlaps far from the limit: nothing is open.
    rng = np.random.default_rng(0)
    for _ in range(20):
        boxes = np.concatenate([rng.integers(0, 9, (7, 2)), rng.integers(1, 4, (7, 2))], axis=1).astype(np.float32)
        scores = rng.permutation(16)[:7] / 16
        found = answers(scores, boxes=boxes, iou_threshold=0.3001, score_threshold=0.6001)
        assert not any(bound.any() for _, bound in found.values())
