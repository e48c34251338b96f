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

VOLUME = integers((2, 3, 5, 4), 4)
#: The second box lies outside by half, the third altogether.
BEYOND = np.array([[0.5, 1, 3, 6], [-2, 4, 2.25, 9], [5, 8, 7, 9.5]])

EXAMPLES = [
    *(Example(ops.UpsampleNearest(factors), (X,)) for factors in [(3.17, 0.67), (2.0, 1.12), (0.5, 2.6)]),
    *(
        Example(ops.Resize(target, len(target), sampling, nearest), (VOLUME,), 0 if nearest else 2 * ROUNDINGS)
        for sampling in Sampling
        for nearest in (False, True)
        for target in [(1,), (9,), (7, 2), (6, 1, 5), (3, 0, 8, 7)]
    ),
    *(Example(ops.Resize((9, 9, 6, 0), 2, nearest=nearest), (VOLUME,), ROUNDINGS) for nearest in (False, True)),
    Example(ops.Resize(None, 2, Sampling.HALF_PIXEL), (VOLUME, np.array([0, 7, 9])), ROUNDINGS),
    # Quarters of these integers: exact, and rounded to even.
    Example(ops.Resize((5,), 1, Sampling.STRICT_ALIGN_ENDPOINTS), (np.array([[1, 2], [-3, 4], [0, -2]], np.int32),)),
    Example(ops.Resize((7, 9), 2, Sampling.HALF_PIXEL, nearest=True), (VOLUME > 0,)),
    *(
        Example(ops.CropResize((3, 4), sampling, outside=-7.0), (IMAGES, boxes, *images), IN_BOXES)
        for sampling in Sampling
        for boxes, images in [(BEYOND, ()), (NUMBERED, ()), (BEYOND, (np.array([2, 0, 2], np.int32),))]
    ),
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
