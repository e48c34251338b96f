"""Which of many overlapping boxes stay."""

from __future__ import annotations

import numpy as np

from refcoreml.types import Array


def overlap(a: Array, b: Array) -> float:
    """y = the area that two boxes share / the area that they cover together; 0 where neither has an area.

    a, b: x and y of the center, width and height, whose signs do not matter.
    """
    shared = 1.0
    for axis in range(2):
        ends = [box[axis] + abs(box[2 + axis]) / 2 for box in (a, b)]
        begins = [box[axis] - abs(box[2 + axis]) / 2 for box in (a, b)]
        shared *= max(min(ends) - max(begins), 0)
    covered = abs(a[2] * a[3]) + abs(b[2] * b[3]) - shared
    return shared / covered if covered else 0.0


def non_maximum_suppression(
    boxes: Array, scores: Array, iou_threshold: float, score_threshold: float, max_boxes: int, per_class: bool
) -> tuple[Array, Array, Array, Array]:
    """y, s, i, n = the boxes that are kept, best first, their scores, their indices, and how many.

    A box is kept if its best score is above the threshold, and its `overlap` with no box kept before it (of its class)
    is above the other threshold; but always one. boxes [B, N, 4], scores [B, N, C]; the results have M places, filled
    up with 0, 0 and -1.
    """
    batch, count, classes = scores.shape
    y, s = np.zeros((batch, max_boxes, 4)), np.zeros((batch, max_boxes, classes))
    i, n = np.full((batch, max_boxes), -1.0), np.zeros(batch)
    for item in range(batch):
        best = [-np.inf if np.isnan(max(row)) else max(row) for row in scores[item].tolist()]
        own = [row.index(max(row)) for row in scores[item].tolist()]
        order = sorted(range(count), key=lambda box: -best[box])
        kept: list[int] = []
        for box in order:
            rivals = [other for other in kept if not per_class or own[other] == own[box]]
            overlaps = [overlap(boxes[item, box], boxes[item, other]) for other in rivals]
            if best[box] > score_threshold and max(overlaps, default=0) <= iou_threshold:
                kept.append(box)
        for place, box in enumerate(kept[:max_boxes] or order[:1]):
            y[item, place], s[item, place], i[item, place] = boxes[item, box], scores[item, box], box
            n[item] = place + 1
    return y, s, i, n
