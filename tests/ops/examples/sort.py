"""Order along an axis."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

X = integers((3, 5, 4), 1, -2, 3)
INDEX = np.dtype(np.int32)

EXAMPLES = [
    *(
        Example(ops.ArgSort(axis, descending, result), (X,))
        for axis, descending, result in [(0, False, None), (1, True, None), (-1, True, INDEX)]
    ),
    *(
        Example(ops.TopK(k, axis, smallest, result=result), (X,))
        for k, axis, smallest, result in [(2, 0, False, None), (5, -2, True, INDEX), (1, 2, False, None)]
    ),
    Example(ops.TopK(-1, 1), (X,)),
    Example(ops.TopK(2, -1, smallest=True, indices=False), (X,)),
    Example(ops.ArgSort(1, True, INDEX), (X.astype(np.int8),)),
    Example(ops.TopK(None, 1), (X, np.array([3.5]))),
    Example(ops.TopK(None, -1, smallest=True, strict=False), (X, np.array([9]))),
    Example(ops.TopK(2, 0, result=INDEX), (X.astype(np.int16),)),
]
