"""Borders added and taken away."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

X = integers((2, 4, 5), 1)

EXAMPLES = [
    *(
        Example(ops.Pad(amounts, mode, 7.5), (X,))
        for mode in ("constant", "reflect", "edge")
        for amounts in [(), ((2, 1),), ((3, 0), (1, 4)), ((0, 1), (0, 0), (2, 3))]
    ),
    Example(ops.Pad((), value=2.0), (np.array(3.0),)),
    Example(ops.Pad(((5, 0), (0, 3), (0, 9)), value=-1.0, to_size=True), (X,)),
    Example(ops.Pad(None, value=2.5), (X, np.array([[1.9, 0, 2], [1, 0, 3.0]]))),
    Example(ops.Pad(None, "edge", to_size=True), (X, np.array([0, 3, 4, 0, 9, 0]))),
    *(Example(ops.Crop(amounts), (X,)) for amounts in [((1, 3),), ((2, 0), (1, 1)), ((1, 0), (0, 2), (4, 0))]),
    *(Example(ops.CropLike(offset), (X, integers((7, 2, 3)))) for offset in [(2, 1), (0, 2), (2,)]),
]
