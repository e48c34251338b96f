"""The layer NonMaximumSuppression: its options, inputs, padding and batches."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from support import one_layer, run_layer

from refcoreml.errors import InputError, InvalidModelError

KIND = "NonMaximumSuppression"
run_nms = partial(run_layer, KIND, rank5=False, outputs=4)


def a_batch(batch=2, count=30, classes=3, seed=0):
    """Multiples of 1/16, so that float32 has every corner, area and score exactly; many equal scores."""
    rng = np.random.default_rng(seed)
    boxes = np.concatenate([rng.integers(0, 64, (batch, count, 2)), 2 * rng.integers(1, 17, (batch, count, 2))], 2) / 16
    return boxes, rng.integers(-8, 24, (batch, count, classes)) / 16


def plain(boxes, scores, iou_threshold, score_threshold, most, per_class):
    """The specification, box by box."""
    batch, count, classes = scores.shape
    out = np.zeros((batch, most, 4)), np.zeros((batch, most, classes)), np.full((batch, most), -1.0), np.zeros(batch)
    for item in range(batch):
        best = [max(row) for row in scores[item].tolist()]
        own = [row.index(max(row)) for row in scores[item].tolist()]
        kept = []
        for place in sorted(range(count), key=lambda place: -best[place]):
            x, y, w, h = boxes[item, place]
            fits = best[place] > score_threshold
            for other in kept:
                u, v, s, t = boxes[item, other]
                common = max(min(x + w / 2, u + s / 2) - max(x - w / 2, u - s / 2), 0)
                common *= max(min(y + h / 2, v + t / 2) - max(y - h / 2, v - t / 2), 0)
                rivals = not per_class or own[place] == own[other]
                fits = fits and not (rivals and common / (w * h + s * t - common) > iou_threshold)
            if fits:
                kept.append(place)
        kept = kept[:most] or [best.index(max(best))]
        for row, place in enumerate(kept):
            out[0][item, row], out[1][item, row], out[2][item, row] = boxes[item, place], scores[item, place], place
        out[3][item] = len(kept)
    return out


@pytest.mark.clause("NonMaximumSuppression.S1", "NonMaximumSuppression.S2", "NonMaximumSuppression.S3")
@pytest.mark.clause("NonMaximumSuppression.S4")
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.parametrize("score_threshold", [-1.0, 0.5, 1.4375, 9.0])
@pytest.mark.parametrize(("iou_threshold", "most"), [(0.0, 9), (0.25, 37), (0.5, 5), (1.0, 37)])
def test_options(iou_threshold, most, score_threshold, per_class, precision):
    boxes, scores = a_batch()
    expected = plain(boxes, scores, iou_threshold, score_threshold, most, per_class)
    values = {"iou_threshold": iou_threshold, "score_threshold": score_threshold, "max_boxes": most}
    names = list(values)
    # Options given as inputs replace the parameters of their names, whatever those say.
    for given in range(4):
        blobs = [[values[name]] for name in names[:given]]
        fields = {name: 3 if name in names[:given] else value for name, value in values.items()}
        options = {"per_class_suppression": per_class, "precision": precision, "static": given < 3, **fields}
        for ours, theirs in zip(run_nms(boxes, scores, *blobs, **options), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def kept(boxes, scores, **options):
    indices, counts = run_nms([boxes], [scores], max_boxes=len(boxes), **options)[2:]
    return indices[0, : int(counts[0])].tolist()


@pytest.mark.clause("NonMaximumSuppression.U1")
def test_equality_with_the_thresholds():
    boxes = [[0, 0, 2, 2], [1, 0, 2, 2], [9, 9, 2, 2]]  # the first two share 2 of 6
    scores = [[0.75], [0.5], [0.25]]
    assert kept(boxes, scores, score_threshold=0.25, iou_threshold=1) == [0, 1]
    assert kept(boxes, scores, score_threshold=0.2, iou_threshold=1) == [0, 1, 2]
    third = float(np.float32(1) / np.float32(3))
    assert kept(boxes, scores, iou_threshold=third) == [0, 1, 2]
    assert kept(boxes, scores, iou_threshold=np.nextafter(np.float32(third), np.float32(0))) == [0, 2]


@pytest.mark.clause("NonMaximumSuppression.U2")
def test_equal_scores_come_in_the_order_of_the_boxes():
    boxes = [[0, 0, 1, 1], [3, 0, 1, 1], [3, 0, 1, 1], [6, 0, 1, 1]]
    assert kept(boxes, [[1], [2], [2], [2]], iou_threshold=0.5) == [1, 3, 0]


@pytest.mark.clause("NonMaximumSuppression.U3")
def test_boxes_of_no_or_negative_size():
    assert kept([[0, 0, -2, 2], [0, 0, 2, -2], [5, 0, 0, 0], [5, 0, 0, 0]], [[4], [3], [2], [1]]) == [0, 2, 3]


@pytest.mark.clause("NonMaximumSuppression.U4")
def test_scores_that_are_not_numbers():
    boxes = [[0, 0, 1, 1], [3, 0, 1, 1], [6, 0, 1, 1]]
    assert kept(boxes, [[1, 0], [np.nan, 9], [2, 0]], score_threshold=-np.inf) == [2, 0]


@pytest.mark.clause("NonMaximumSuppression.S1")
def test_items_of_a_batch_do_not_meet():
    boxes, scores = a_batch(batch=3)
    options = {"iou_threshold": 0.25, "score_threshold": 0.25, "max_boxes": 11, "per_class_suppression": True}
    whole = run_nms(boxes, scores, **options)
    for item in range(3):
        alone = run_nms(boxes[item : item + 1], scores[item : item + 1], **options)
        for ours, theirs in zip(whole, alone, strict=True):
            np.testing.assert_array_equal(ours[item : item + 1], theirs)


@pytest.mark.clause("NonMaximumSuppression.S5", "NonMaximumSuppression.U4")
def test_one_box_comes_back_where_none_passes():
    boxes, scores = a_batch(batch=1, count=4, classes=2)
    scores[0] = [[-5, np.nan], [-7, -4], [-3, -6], [-9, -3]]
    y_boxes, y_scores, indices, counts = run_nms(boxes, scores, max_boxes=3, iou_threshold=0.5)
    assert indices.tolist() == [[2, -1, -1]]
    assert counts.tolist() == [1]
    assert y_boxes[0].tolist() == [boxes[0, 2].tolist(), [0] * 4, [0] * 4]
    assert y_scores[0].tolist() == [[-3, -6], [0, 0], [0, 0]]
    indices, counts = run_nms(boxes, np.full_like(scores, np.nan), max_boxes=2, iou_threshold=0.5)[2:]
    assert (indices.tolist(), counts.tolist()) == ([[0, -1]], [1])


@pytest.mark.clause("NonMaximumSuppression.U5")
def test_a_fraction_of_the_number_of_boxes_is_cut_off():
    boxes, scores = a_batch()
    indices = run_nms(boxes, scores, [1], [0], [2.9], static=False)[2]
    assert indices.shape == (2, 2)


@pytest.mark.clause("NonMaximumSuppression.C1", "NonMaximumSuppression.C2")
@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ([(2, 5, 4), (2, 5, 3)], {}, "the number of boxes is 0, expected 1 or more, or an input for it"),
        (
            [(2, 5, 4), (2, 5)],
            {"max_boxes": 3},
            r"expected boxes \[B, N, 4\] and scores \[B, N, C\], got \(2, 5, 4\) and",
        ),
        ([(2, 5, 4), (2, 6, 3)], {"max_boxes": 3}, r"got \(2, 5, 4\) and \(2, 6, 3\)"),
        ([(2, 5, 5), (2, 5, 3)], {"max_boxes": 3}, r"got \(2, 5, 5\) and \(2, 5, 3\)"),
        (
            [(2, 5, 4), (2, 5, 3), (2,)],
            {"max_boxes": 3},
            r"the overlap threshold has the shape \(2,\), expected one element",
        ),
        ([(2, 5, 4), (2, 5, 3)], {"max_boxes": 2**64 - 1}, r"output 'y0' would have the shape .* limit"),
        ([(1, 2**24 + 1, 4), (1, 2**24 + 1, 1)], {"max_boxes": 3}, "names only 16777216 exactly"),
    ],
)
def test_invalid(given, options, message):
    with pytest.raises(InvalidModelError, match=rf"layers\[0\] .* \({KIND}\): .*{message}"):
        one_layer(KIND, len(given), 4, rank5=False, **options).shapes({f"x{i}": s for i, s in enumerate(given)})


@pytest.mark.clause("NonMaximumSuppression.C2", "NonMaximumSuppression.C3")
def test_invalid_values():
    boxes, scores = a_batch()
    for field in ("iou_threshold", "score_threshold"):
        with pytest.raises(InvalidModelError, match="Threshold is NaN"):
            run_nms(boxes, scores, max_boxes=3, **{field: np.nan})
    run = partial(run_nms, boxes, scores, static=False)
    for blobs, message in (
        (([np.nan], [0], [3]), r"the overlap threshold holds \[nan\]"),
        (([0.5], [np.nan], [3]), r"the score threshold holds \[nan\]"),
        (([0.5], [0], [np.inf]), r"the number of boxes holds \[inf\]"),
        (([0.5], [0], [0]), "0 is given as the number of boxes"),
        (([0.5], [0], [-2]), "-2 is given as the number of boxes"),
        (([0.5], [0], [2.0**40]), r"an output would have the shape \(2, 1099511627776, 4\), .* limit"),
    ):
        with pytest.raises(InputError, match=rf"layers\[0\] .* \({KIND}\): {message}"):
            run(*blobs)
    with pytest.raises(InvalidModelError, match=r"the number of boxes has the shape \(2,\), expected"):
        run([0.5], [0], [3, 3])
