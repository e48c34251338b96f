"""Softmax and normalizations."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

X = integers((2, 3, 5))
IMAGE = integers((2, 4, 3, 5), 1)
MEAN, GAMMA, BETA = (integers((4,), seed) for seed in (2, 3, 4))
ROOTS_WITH_1 = np.array([3.0, 15.0, 63.0, 0.0])  # 1 more is the square of a power of two


def standardized(count: int, factor: int = 1) -> int:
    """The roundings of standardizing ``count`` of these integers, which is done twice.

    Sums of integers are exact. The mean rounds once, which counts 4 / sd times beside |y|, and so does x - mean; the
    squares 3 times, their sum ``count`` times, half of which is left of it by the root, which rounds itself, as do
    its inverse and the product. The deviations sd are above 1, and so is the greatest |y|.
    """
    return factor * 2 * (4 + 8 + (count + 3) // 2 + 1 + 4)


EXAMPLES = [
    # The largest, the difference, the function, the sum of n numbers, the quotient.
    *(Example(ops.Softmax(axis), (X,), roundings=1 + 4 + X.shape[axis] + 1) for axis in (0, 1, -1)),
    Example(ops.Softmax(0), (np.array([0.0, 1000.0, -1000.0]),), roundings=9),
    Example(ops.BatchNormalization(MEAN, ROOTS_WITH_1, GAMMA, BETA, 1.0), (IMAGE,)),
    Example(ops.BatchNormalization(MEAN, ROOTS_WITH_1, GAMMA, BETA, 1.0, axis=1), (IMAGE[..., 0],)),
    # gamma is up to 4, beta too; the largest numbers are above these.
    *(
        Example(ops.InstanceNormalization(GAMMA, BETA, 0.25, axis, batch=batch), (IMAGE,), standardized(count, 5))
        for axis, batch, count in [(-3, False, 15), (1, True, 30)]
    ),
    *(
        Example(ops.MeanVarianceNormalization(axes, epsilon), (IMAGE,), standardized(count))
        for axes, epsilon, count in [((-2, -1), 0.5, 15), ((0, 2), 0.125, 6), ((1, -1), None, 20)]
    ),
    *(
        Example(
            ops.LayerNormalization(integers(shape, 5), integers(shape, 6), axes, 0.5),
            (IMAGE,),
            standardized(IMAGE[0].size, 5),
        )
        for axes, shape in [((-1,), (5,)), ((2, -1), (3, 5)), ((1, 3), (4, 5)), ((-4, 2), (2, 3))]
    ),
    # The root and the quotient, twice.
    *(Example(ops.L2Normalization(axes, 0.5), (IMAGE,), roundings=4) for axes in [(-3, -2, -1), (0,), (2, 0)]),
    # The factor, the product, the sum and the quotient, and a power; twice.
    *(
        Example(ops.LocalResponseNormalization(size, 0.5, 0.75, 2.0, axis), (IMAGE,), roundings=16)
        for size, axis in [(1, -3), (2, -3), (3, 1), (5, -3), (100, -1)]
    ),
]
