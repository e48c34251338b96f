"""Boxes that overlap."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

INDEX = np.dtype(np.int32)
# Corners and areas are small integers, scores sixteenths, many of them equal; overlaps round once, in both.
BOXES = np.concatenate([integers((2, 9, 2), 1, 0, 9), 2 * integers((2, 9, 2), 2, 1, 4)], axis=2)
SCORES = integers((2, 9, 3), 3, -4, 12) / 16

EXAMPLES = [
    *(
        Example(
            ops.NonMaximumSuppression(
                max_boxes=most,
                iou_threshold=overlap,
                score_threshold=score,
                per_class=per_class,
                boxes_last=last,
                counts=not last,
                result=INDEX if last else None,
            ),
            tuple(x.swapaxes(1, 2) if last else x for x in (BOXES, SCORES)),
        )
        for most, overlap, score in [(5, 0.125, 0.25), (12, 0.5, -np.inf), (2, 0.0, 9.0), (1, 1.0, 0.0)]
        for per_class in (False, True)
        for last in (False, True)
    ),
    Example(
        ops.NonMaximumSuppression(max_boxes=None, iou_threshold=None, score_threshold=None),
        (BOXES, SCORES, np.array([0.25]), np.array([0.125]), np.array([4.5])),
    ),
]
