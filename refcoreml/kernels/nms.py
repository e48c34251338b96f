"""Non-maximum suppression: of boxes that overlap, the best one stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refcoreml.types import Array


def overlaps(box: Array, others: Array) -> Array:
    """Return the intersection over union of one box with others; NaN (0 / 0) where neither has an area.

    box: [5, 1], others: [5, n]: x low, y low, x high, y high, area. Returns [n].
    """
    extent = np.minimum(box[2:4], others[2:4])
    extent -= np.maximum(box[:2], others[:2])
    np.maximum(extent, 0, out=extent)
    intersection: Array = extent[0] * extent[1]
    union = box[4] + others[4]
    union -= intersection
    intersection /= union
    return intersection


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def non_maximum_suppression(
    boxes: Array,
    scores: Array,
    classes: NDArray[np.intp] | None = None,
    *,
    iou_threshold: float,
    score_threshold: float,
    max_boxes: int,
) -> NDArray[np.intp]:
    """Keep boxes in order of falling score, each unless its IoU with a kept one (of its class) is above the threshold.

    Boxes whose score is not above score_threshold (NaN never is) are dropped first. Ties of scores: lowest index
    first. Memory grows with N, time with the number of kept boxes times N (times the boxes of one class, if there are
    classes).

    boxes: [N, 4], x center, y center, width, height; of negative sizes the magnitude counts. scores: [N]. classes:
    [N]; boxes of different classes do not compete; None: all do. max_boxes: stop when so many are kept. Returns the
    indices of the kept boxes, best first; none if no score passes.
    """
    passing = np.flatnonzero(scores > scores.dtype.type(score_threshold))
    order = passing[np.argsort(-scores[passing], kind="stable")]
    center, half = boxes[order, :2].T, np.abs(boxes[order, 2:].T) * boxes.dtype.type(0.5)
    low, high = center - half, center + half
    geometry = np.concatenate([low, high, [(high[0] - low[0]) * (high[1] - low[1])]])
    limit = boxes.dtype.type(iou_threshold)

    # Of each class the ranks (places in the order) of the boxes that are still in the race, and the first of these.
    racing = _by_class(None if classes is None else classes[order], len(order))
    rivals = [geometry[:, ranks] for ranks in racing]
    end = len(order)
    heads = np.array([ranks[0] for ranks in racing], np.intp)
    kept: list[np.intp] = []
    while len(kept) < max_boxes and len(heads) and (best := heads[group := heads.argmin()]) < end:
        kept.append(best)
        ranks, others = racing[group][1:], rivals[group][:, 1:]
        suppressed = overlaps(rivals[group][:, :1], others) > limit
        if suppressed.any():
            stay = np.flatnonzero(~suppressed)
            ranks, others = ranks.take(stay), others.take(stay, axis=1)
        racing[group], rivals[group] = ranks, others
        heads[group] = ranks[0] if len(ranks) else end
    return order[np.array(kept, np.intp)]


def _by_class(classes: NDArray[np.intp] | None, count: int) -> list[NDArray[np.intp]]:
    """Return the ranks 0..count-1 of each class that occurs, in rising order."""
    if not count:
        return []
    if classes is None:
        return [np.arange(count)]
    ranks = np.argsort(classes, kind="stable")
    return np.split(ranks, np.flatnonzero(np.diff(classes[ranks])) + 1)
