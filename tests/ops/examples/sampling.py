"""Images read at given positions."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops
from refcoreml.kernels.sampling import Coordinates, Padding

X = integers((2, 3, 4, 7), 1)
#: Of few bits, so that positions are exact, halves among them; far outside, too.
PLACES = integers((2, 5, 6, 2), 2, -40, 80) / 8
FRACTIONS = integers((2, 5, 6, 2), 3, -24, 25) / 16
#: Of each of two axes: the weight, the difference, the product, each of up to 2 * 9, and the sum of up to 9; results
#: reach 1.
ROUNDINGS = 2 * (3 * 18 + 9)
#: Positions, which are up to 2 * 6 here, have 8 roundings; slopes are up to 18.
WARPED = ROUNDINGS + 2 * 8 * 12 * 18
MATRIX = np.array([[0.75, -0.5, 0.25, 0.3, 1.1, -0.125], [-1, 0, 0, 0, 1, 0.5]])

EXAMPLES = [
    *(
        Example(
            ops.Resample(coordinates, align, padding, -9.0, nearest),
            (X, PLACES if coordinates is Coordinates.PIXELS else FRACTIONS),
            0 if nearest else ROUNDINGS,
        )
        for coordinates in Coordinates
        for align in (False, True)
        for padding in Padding
        for nearest in (False, True)
    ),
    *(
        Example(ops.Resample(Coordinates.PIXELS, padding=padding), (X[:, :, :1, :1].copy(), PLACES), ROUNDINGS)
        for padding in Padding
    ),
    Example(ops.Resample(Coordinates.PIXELS, nearest=True), (X, integers((2, 5, 6, 2), 4, 0, 4).astype(np.uint8))),
    *(
        Example(ops.WarpAffine((5, 6), align, value), (X, MATRIX), WARPED)
        for align in (False, True)
        for value in (0.0, 2.5)
    ),
    Example(ops.WarpAffine((1, 9)), (X, MATRIX[:1]), WARPED),
]
