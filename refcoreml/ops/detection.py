"""Operations of object detectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import nms as kernels
from refcoreml.ops.base import Op, bad_input, check_floats, check_places, integers_in, numbers_in, require
from refcoreml.types import Array, Shape, TensorType

#: About as many multiplications as the comparison of two boxes takes.
_COMPARISON = 32


@dataclass(frozen=True, kw_only=True)
class NonMaximumSuppression(Op):
    """Boxes in order of falling score, each unless its overlap with one already kept is above a threshold.

    The score of a box is the largest of its class scores; the overlap of two is the area that both share, divided by
    the area that they cover together. Boxes whose score is not above its threshold are left out, unless that leaves
    none: then the best one of all stays. Of equal scores the lowest index comes first; NaN never passes.

    Inputs: boxes [B, N, 4] by x and y of the center, width and height; scores [B, N, C]; then, one element each and in
    this order, the overlap threshold, the score threshold and M, those that are no attributes. Results: boxes
    [B, M, 4], scores [B, M, C] and indices [B, M] of those kept, best first, filled up with 0, 0 and -1; how many [B].

    Attributes:
        max_boxes: M, 1 or more.
        iou_threshold: the overlap threshold.
        score_threshold: that of scores.
        per_class: whether a box belongs to the class of its largest score, the first of several, and gives way to
            boxes of this class only.
        boxes_last: whether N and M are the last axes, of scores and boxes, inputs and results.
        counts: whether the last result is given.
        result: the type of indices and counts; None for that of boxes.
    """

    max_boxes: int | None
    iou_threshold: float | None
    score_threshold: float | None = -np.inf
    per_class: bool = False
    boxes_last: bool = False
    counts: bool = True
    result: np.dtype[Any] | None = None

    fresh = True

    def infer(self, boxes: TensorType, scores: TensorType, *settings: TensorType) -> tuple[TensorType, ...] | None:
        check_floats(boxes, scores)
        self._check(boxes.shape, scores.shape)
        check_places(self.result or boxes.dtype, scores.shape[2 if self.boxes_last else 1])
        for name, setting in zip(self._inputs, settings, strict=True):
            require(math.prod(setting.shape) == 1, f"the {name} has the shape {setting.shape}, expected one element")
        if self.max_boxes is None:
            return None
        require(self.max_boxes >= 1, f"the number of boxes is {self.max_boxes}, expected 1 or more, or an input for it")
        return self._types(boxes, scores, self.max_boxes)

    @property
    def _inputs(self) -> list[str]:
        """What the inputs after the first two are."""
        own = {
            "overlap threshold": self.iou_threshold,
            "score threshold": self.score_threshold,
            "number of boxes": self.max_boxes,
        }
        return [name for name, value in own.items() if value is None]

    def _check(self, boxes: Shape, scores: Shape) -> None:
        layouts = ("[B, 4, N]", "[B, C, N]") if self.boxes_last else ("[B, N, 4]", "[B, N, C]")
        places, numbers = (2, 1) if self.boxes_last else (1, 2)
        require(
            len(boxes) == len(scores) == 3
            and boxes[0] == scores[0]
            and boxes[places] == scores[places]
            and boxes[numbers] == 4,
            f"expected boxes {layouts[0]} and scores {layouts[1]}, got {boxes} and {scores}",
        )

    def _types(self, boxes: TensorType, scores: TensorType, most: int) -> tuple[TensorType, ...]:
        batch, classes = scores.shape[0], scores.shape[1 if self.boxes_last else 2]
        indices = TensorType(self.result or boxes.dtype, (batch, most))
        found = (
            boxes.with_shape((batch, 4, most) if self.boxes_last else (batch, most, 4)),
            scores.with_shape((batch, classes, most) if self.boxes_last else (batch, most, classes)),
            indices,
        )
        return (*found, indices.with_shape((batch,))) if self.counts else found

    def infer_from(self, boxes: Array, scores: Array, *settings: Array) -> tuple[TensorType, ...]:
        return self._types(TensorType.of(boxes), TensorType.of(scores), self._settings(settings)[2])

    def _settings(self, given: Sequence[Array]) -> tuple[float, float, int]:
        """Both thresholds and M."""
        values = iter(given)
        named = (("the overlap threshold", self.iou_threshold), ("the score threshold", self.score_threshold))
        overlap, score = (numbers_in(next(values), name, 1)[0] if own is None else own for name, own in named)
        if self.max_boxes is not None:
            return overlap, score, self.max_boxes
        most = integers_in(next(values), "the number of boxes", 1)[0]
        if most < 1:
            bad_input(f"{most} is given as the number of boxes, expected 1 or more")
        return overlap, score, most

    def run(self, boxes: Array, scores: Array, *settings: Array) -> tuple[Array, ...]:
        overlap, score, most = self._settings(settings)
        types = self._types(TensorType.of(boxes), TensorType.of(scores), most)
        results = [np.zeros(found.shape, found.dtype) for found in types]
        rows, row_scores = self._rows(boxes), self._rows(scores)
        for item, best in enumerate(row_scores.max(axis=2)):
            kept = kernels.non_maximum_suppression(
                rows[item],
                best,
                row_scores[item].argmax(axis=1) if self.per_class else None,
                iou_threshold=overlap,
                score_threshold=score,
                max_boxes=most,
            )
            if not len(kept):
                kept = np.array([np.where(np.isnan(best), -np.inf, best).argmax()])
            number = len(kept)
            for values, y in zip((rows, row_scores), results, strict=False):
                self._rows(y)[item, :number] = values[item, kept]
            results[2][item, :number], results[2][item, number:] = kept, -1
            if self.counts:
                results[3][item] = number
        return tuple(results)

    def _rows(self, x: Array) -> Array:
        """Boxes or scores with the boxes along the axis 1."""
        return x.swapaxes(1, 2) if self.boxes_last else x

    def work(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        """Return the work of comparing each box that is kept with all others."""
        axis = 2 if self.boxes_last else 1
        batch, count = inputs[1][0], inputs[1][axis]
        return batch * count * min(count, outputs[0][axis]) * _COMPARISON

    def define(self, boxes: Array, scores: Array, *settings: Array) -> tuple[Array, ...]:
        overlap, score, most = self._settings(settings)
        rows, row_scores = (self._rows(np.asarray(values, np.float64)) for values in (boxes, scores))
        y, s, i, n = definitions.non_maximum_suppression(rows, row_scores, overlap, score, most, self.per_class)
        return self._rows(y), self._rows(s), i, *([n] if self.counts else [])
