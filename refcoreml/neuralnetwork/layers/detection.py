"""Layers of object detectors: adapters over `refcoreml.kernels.nms`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from refcoreml.execution.limits import NUMBER_WORK
from refcoreml.kernels import nms as kernels
from refcoreml.neuralnetwork.layers._checks import check_size, input_error, integers_of, numbers_of
from refcoreml.neuralnetwork.layers.gather import check_addressable
from refcoreml.neuralnetwork.registry import Node, Op, layer
from refcoreml.types import Array, Shape


@layer("NonMaximumSuppression", inputs=(2, 5), outputs=4)
def non_maximum_suppression(node: Node) -> Op:
    """Keeps up to M boxes, in order of falling score, each unless its IoU with one already kept is above the threshold.

    A box is x center, y center, width, height; its score is the largest of its class scores. Boxes whose score is not
    above scoreThreshold are dropped first; if that leaves none, the best box of all is returned, and the count is 1.

    Inputs: boxes [B, N, 4]; scores [B, N, C]; then, as far as listed, one element each: IoU threshold, score
    threshold, M. Outputs: boxes [B, M, 4], scores [B, M, C] and indices [B, M] of those kept, best first, filled up
    with 0, 0 and -1; their numbers [B].
    Parameters: ``iouThreshold``, ``scoreThreshold`` and ``maxBoxes`` M, 1 or more, each in place of an input that is
    not listed. ``perClassSuppression``: a box belongs to the class of its largest score (the first of several), and
    is suppressed by boxes of that class only.
    Errors: shapes that do not fit; M below 1; thresholds that are NaN; N above 2^24 (float32), as indices would not be
    exact.
    Source: ``NonMaximumSuppressionLayerParams``.
    Chosen: at equality with a threshold as TensorFlow does (a score must be above it, an IoU above it suppresses),
    which is the oracle of Apple's tests; of equal scores the lowest index first; of negative sizes the magnitude
    counts, as corners count in any order there; of two boxes without area neither suppresses the other; a score of NaN
    never passes; a fraction of an input M is cut off.
    """
    params = node.params
    node.require(not math.isnan(params.iouThreshold), "iouThreshold is NaN")
    node.require(not math.isnan(params.scoreThreshold), "scoreThreshold is NaN")

    def outputs(boxes: Shape, scores: Shape, most: int) -> tuple[Shape, Shape, Shape, Shape]:
        node.require(
            len(boxes) == len(scores) == 3 and boxes[:2] == scores[:2] and boxes[2] == 4,
            f"expected boxes [B, N, 4] and scores [B, N, C], got {boxes} and {scores}",
        )
        batch, count, classes = scores
        check_addressable(node, count)
        return (batch, most, 4), (batch, most, classes), (batch, most), (batch,)

    def shape(boxes: Shape, scores: Shape, *thresholds: Shape) -> tuple[Shape, ...]:
        for name, threshold in zip(node.inputs[2:], thresholds, strict=True):
            node.require(math.prod(threshold) == 1, f"input {name!r} has the shape {threshold}, expected one element")
        node.require(params.maxBoxes >= 1, "maxBoxes is 0, expected 1 or more, or a fifth input")
        return outputs(boxes, scores, int(params.maxBoxes))

    def run(boxes: Array, scores: Array, *given: Array) -> tuple[Array, ...]:
        iou_threshold = numbers_of(node, 2, given[0], 1)[0] if given else params.iouThreshold
        score_threshold = numbers_of(node, 3, given[1], 1)[0] if len(given) > 1 else params.scoreThreshold
        most = integers_of(node, 4, given[2], 1)[0] if len(given) > 2 else int(params.maxBoxes)
        if most < 1:
            input_error(node, f"input {node.inputs[4]!r} gives {most} as the number of boxes, expected 1 or more")
        shapes = outputs(boxes.shape, scores.shape, most)
        for result in shapes:
            check_size(node, result)
        y_boxes, y_scores, indices, counts = (np.zeros(result, boxes.dtype) for result in shapes)
        indices.fill(-1)
        for item, best in enumerate(scores.max(axis=2)):
            kept = kernels.non_maximum_suppression(
                boxes[item],
                best,
                scores[item].argmax(axis=1) if params.perClassSuppression else None,
                iou_threshold=iou_threshold,
                score_threshold=score_threshold,
                max_boxes=most,
            )
            if not len(kept):
                kept = np.array([np.where(np.isnan(best), -np.inf, best).argmax()])
            number = len(kept)
            y_boxes[item, :number], y_scores[item, :number] = boxes[item, kept], scores[item, kept]
            indices[item, :number], counts[item] = kept, number
        return y_boxes, y_scores, indices, counts

    def work(inputs: Sequence[Shape], made: Sequence[Shape]) -> int:
        """Each box that is kept is compared with all others."""
        batch, count, _ = inputs[1]
        return batch * count * min(count, made[0][1]) * NUMBER_WORK

    return Op(run, None if len(node.inputs) == 5 else shape, fresh=True, work=work)
