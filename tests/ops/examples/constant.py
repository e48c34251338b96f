"""Numbers that are known before any input."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

DOUBLE = np.dtype(np.float64)

EXAMPLES = [
    Example(ops.Constant(integers((3, 2, 5))), ()),
    Example(ops.Constant(np.array(7, np.int32)), ()),
    Example(ops.Constant(np.array([True, False])), ()),
    Example(ops.Fill(2.5, shape=(2, 3, 1), dtype=DOUBLE), ()),
    Example(ops.Fill(7, shape=(), dtype=np.dtype(np.int8)), ()),
    Example(ops.Fill(-1.5, shape=None, dtype=DOUBLE), (np.array([3.9, 2]),)),
    Example(ops.BroadcastTo((4, 3, 2, 5)), (integers((3, 1, 5)),)),
    Example(ops.BroadcastTo(None), (integers((3, 1)), np.array([2, 3, 4.5]))),
    Example(ops.BroadcastTo((2, 3)), (np.array(7.0),)),
    Example(ops.BroadcastLike(), (integers((1, 5)), integers((4, 3, 5)))),
    Example(ops.FillLike(-2.5, DOUBLE), (integers((3, 2, 5)),)),
    Example(ops.FillLike(7, np.dtype(np.int32)), (np.array(1.5),)),
    Example(ops.Range(2.0, -1.0, 0.25, DOUBLE), ()),
    Example(ops.Range(None, 5.0, -2.0, DOUBLE), (np.array([-4.0]),)),
    Example(ops.Range(None, None, None, np.dtype(np.int32)), (np.array([9]), np.array([1]), np.array([3]))),
    Example(ops.Range(-7, None, -3, np.dtype(np.int32)), (np.array(8, np.int32),)),
    Example(ops.Fill(True, shape=None, dtype=np.dtype(bool)), (np.array([2, 5, 3], np.int32),)),
    Example(ops.ShapeOf(), (integers((3, 1, 4)),)),
    Example(ops.ShapeOf(np.dtype(np.int32)), (np.array(2.0),)),
]
