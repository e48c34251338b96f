"""Choices by condition or place."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

X = integers((2, 3, 5), 1, -1, 3)
CLASSES = integers((2, 4), 2, -2, 7) + 0.75
INDEX = np.dtype(np.int32)

EXAMPLES = [
    Example(ops.Select(), (integers((3, 1), 3, -1, 2), integers((2, 1, 5), 4), integers((5,), 5))),
    Example(ops.Select(), (np.array([True, False, True]), integers((2, 3), 4), np.array(7.0))),
    Example(ops.NonZero(), (X,)),
    Example(ops.NonZero(INDEX), (np.array([[0.0, -0.0], [np.nan, 0.0]]),)),
    *(
        Example(ops.Band(lowest, highest), (X,))
        for lowest, highest in [(None, None), (0, 0), (-1, 2), (None, -1), (1, None), (3, 2)]
    ),
    *(Example(ops.OneHot(depth, axis, 2.5, -1.0), (CLASSES,)) for depth, axis in [(5, -1), (3, 0), (6, 1), (1, -3)]),
    Example(ops.OneHot(None, 1, 3.0), (CLASSES, np.array([3.5]))),
    Example(ops.OneHot(6, 0, 7, 1, result=INDEX), (CLASSES,)),
    Example(ops.NonZero(INDEX), (X > 0,)),
    Example(ops.OneHot(200, 0, 1, 0, np.dtype(np.bool_)), (np.array([[3, -1, 127], [0, 5, 5]], np.int8),)),
    Example(ops.OneHot(None, -1, result=np.dtype(np.float32)), (np.array([2, 0, 7], np.int32), np.array(4, np.int32))),
    Example(ops.OneHot(5, -1, result=np.dtype(np.float32)), (CLASSES.astype(np.int64),)),
]
