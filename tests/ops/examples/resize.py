"""Resized images."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops
from refcoreml.ops.resize import Sampling

X, IMAGES = integers((2, 4, 7), 1), integers((3, 2, 5, 8), 2)
#: Of each of two axes: the weight, the difference, the product, each of up to 2 * 4, and the sum of up to 4; results
#: reach 1. With boxes also the position, a fraction of up to 8 in doubles, times slopes of up to 8.
ROUNDINGS = 2 * (3 * 8 + 4)
IN_BOXES = ROUNDINGS + 2 * 2 * 8 * 8
BOXES = np.array([[0.5, 1, 3, 6], [-2, 7, 4, 2.25], [4, 4, 4, 4]])
NUMBERED = np.column_stack([[2, 0, 2], BOXES])
CENTERS = np.array([[2, 3, 2.5, 4], [1, 6, -2, 5]])

EXAMPLES = [
    *(Example(ops.UpsampleNearest(factors), (X,)) for factors in [(1, 1), (3, 2), (2, 5)]),
    *(
        Example(ops.ResizeBilinear(target, sampling), (X,), ROUNDINGS)
        for sampling in Sampling
        for target in [(1, 1), (4, 7), (3, 5), (9, 2)]
    ),
    Example(ops.UpsampleBilinear((3, 2), Sampling.UPSAMPLE), (X,), ROUNDINGS),
    Example(ops.UpsampleBilinear((1.3, 0.5), Sampling.HALF_PIXEL), (integers((10, 7), 3),), ROUNDINGS),
    *(
        Example(ops.CropResize((3, 4), sampling), (IMAGES, boxes), IN_BOXES)
        for sampling in Sampling
        for boxes in (BOXES, NUMBERED)
    ),
    Example(
        ops.CropResize((2, 5), Sampling.ALIGN_ENDPOINTS, centers=True, width_first=True, scale=0.75),
        (IMAGES, CENTERS),
        IN_BOXES,
    ),
    Example(ops.CropResize((1, 3), Sampling.ROI_ALIGN, normalized=True), (IMAGES, BOXES / 8), IN_BOXES),
]
