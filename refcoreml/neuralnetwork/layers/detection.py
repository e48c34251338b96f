"""Layers of object detectors."""

from __future__ import annotations

import math

from refcoreml import ops
from refcoreml.neuralnetwork.registry import Node, layer


@layer("NonMaximumSuppression", inputs=(2, 5), outputs=4)
def non_maximum_suppression(node: Node) -> ops.Op:
    """Keep up to M boxes, in order of falling score, each unless its IoU with one already kept is above the threshold.

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
    params, given = node.params, len(node.inputs) - 2
    node.require(not math.isnan(params.iouThreshold), "iouThreshold is NaN")
    node.require(not math.isnan(params.scoreThreshold), "scoreThreshold is NaN")
    return ops.NonMaximumSuppression(
        iou_threshold=None if given else params.iouThreshold,
        score_threshold=None if given > 1 else params.scoreThreshold,
        max_boxes=None if given > 2 else int(params.maxBoxes),
        per_class=params.perClassSuppression,
    )
