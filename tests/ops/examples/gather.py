"""Gathering and scattering."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

X = integers((4, 3, 5), 1)
LENIENT = ops.Indexing(strict=False)
ROWS = np.array([[3, 0, -1, 1], [-4, 2, 2, 0]])

WHOLE = X.astype(np.int32)
SHARED = integers((2, 3, 4, 5), 10)

EXAMPLES = [
    Example(ops.Gather(0), (np.array([4.0, 2, 7]), np.array(-1, np.int32))),
    Example(ops.Gather(1), (WHOLE, np.array([[2, 0]], np.uint8))),
    Example(ops.Gather(2, batch=1), (SHARED, np.array([[3, 0, -1], [1, 1, 2]], np.int32))),
    Example(ops.Gather(-2, batch=2), (SHARED, integers((2, 3, 6), 11, -4, 4).astype(np.int8))),
    Example(ops.Gather(3, batch=1), (SHARED, np.array([4, 2], np.int16))),
    Example(ops.GatherND(batch=1), (SHARED, integers((2, 7, 2), 12, 0, 3).astype(np.int32))),
    Example(ops.GatherND(batch=2), (SHARED, integers((2, 3, 1), 13, -4, 4).astype(np.int32))),
    *(
        Example(ops.Scatter(mode, axis=1), (WHOLE, np.array([2, 0, -1, 2]), integers((4, 4, 5), 5, 1, 3).astype("i4")))
        for mode in ops.Scatter.modes
    ),
    Example(ops.Gather(0), (X, ROWS)),
    Example(ops.Gather(-2), (X, np.array([2.9, -0.5, -3.0]))),
    Example(ops.Gather(1, LENIENT), (X, np.array([7.0, -9.0, np.nan, 1.0]))),
    Example(ops.Gather(2), (X, np.array(3))),
    Example(ops.GatherND(), (X, np.array([[1, 2], [-1, 0]]))),
    Example(ops.GatherND(LENIENT), (X, np.array([[1, 9, -7]]))),
    Example(ops.GatherND(), (X, np.array([3, -1, 0]))),
    Example(ops.GatherND(), (X, np.array([3, -1]))),
    Example(ops.GatherAlongAxis(0), (X, integers((2, 3, 5), 3, -4, 4))),
    Example(ops.GatherAlongAxis(-1), (X, integers((4, 3, 7), 4, -5, 5))),
    *(
        Example(ops.Scatter(mode, axis=1), (X, np.array([2, 0, -1, 2]), integers((4, 4, 5), 5, 1, 3)))
        for mode in ops.Scatter.modes
    ),
    Example(ops.Scatter(axis=0), (X, np.array([[1, 3], [1, 0]]), integers((2, 2, 3, 5), 6))),
    *(
        Example(ops.ScatterND(mode), (X, np.array([[1, 2], [1, 2], [-1, 0]]), integers((3, 5), 7, 1, 3)))
        for mode in ops.ScatterND.modes
    ),
    *(
        Example(
            ops.ScatterAlongAxis(mode, axis=1),
            (X, integers((4, 6, 5), 8, -3, 3), integers((4, 6, 5), 9, 1, 3)),
        )
        for mode in ops.ScatterAlongAxis.modes
    ),
]
