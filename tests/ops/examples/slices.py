"""Slices, windows, reversal."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops
from refcoreml.ops.slices import WHOLE

X = integers((4, 3, 7), 1)
LENIENT = ops.Indexing(wrap=False, strict=False)
CUTS = [
    (ops.Cut(1, 3), ops.Cut(-2, -1), ops.Cut(5, 1, -2)),
    (WHOLE, ops.Cut(-1, squeeze=True), ops.Cut(-99, 99, 3)),
    (ops.Cut(2, squeeze=True), ops.Cut(0, squeeze=True), ops.Cut(-3, squeeze=True)),
    (ops.Cut(9, 1, -1, from_first=True), ops.Cut(2, -9, -1, to_last=True), ops.Cut(3, 0, 1, to_last=True)),
]

RUN_TIME = ops.SliceDynamic((3, 2, 6, 9), (1, 2, 3, 9)), np.array([1.9, 0, -5])

EXAMPLES = [
    *(Example(ops.Slice(cuts), (X,)) for cuts in CUTS),
    Example(ops.Slice((ops.Cut(9, squeeze=True), WHOLE, ops.Cut(-1, -9, -3)), strict=False), (X,)),
    Example(ops.Slice(()), (np.array(7.0),)),
    Example(ops.SliceDynamic((3, 2, 6, 9), (1, 2, 3, 9)), (X, np.array([1.9, 0, -5]))),
    Example(
        ops.SliceDynamic((), (1, -1, 2), to_last=(False, True, False)), (X, np.array([0, 1, 2]), np.array([3, 0, 7]))
    ),
    Example(
        ops.SliceDynamic(),
        (X, *(np.array(v) for v in [[1, 2, 0], [0, 0, 5], [1, 1, 2], [0, 0, 1], [0.5, 0, 0], [0, 1, 0]])),
    ),
    *(Example(ops.SliceUpdate(ops.Slice(cuts)), (X, 10 + ops.Slice(cuts).run(X))) for cuts in CUTS),
    Example(ops.SliceUpdate(RUN_TIME[0]), (X, 10 + RUN_TIME[0].run(X, RUN_TIME[1]), RUN_TIME[1])),
    Example(
        ops.SliceUpdate(ops.SliceDynamic()),
        (X, integers((7,), 9), *(np.array(v) for v in [[1, 2, 0], [2, 3, 7], [1, 1, 1], [0] * 3, [0] * 3, [1, 1, 0]])),
    ),
    *(Example(ops.SliceBySize(axis, 2), (X, np.array(begin))) for axis, begin in [(0, 2), (1, [1.9]), (-1, [[5]])]),
    Example(ops.SliceBySize(None, (2, -1, 3)), (X, np.array([1, 2, 4], np.int32))),
    Example(ops.SliceBySize(None, (4, 3, 7)), (X, np.zeros(3, np.int8))),
    Example(ops.SliceBySize(None, None), (X, np.array([0, 1, 2]), np.array([1, -1, 5]))),
    Example(ops.SliceBySize(None, ()), (np.array(3.0), np.zeros(0, np.int32))),
    Example(ops.SliceBySize(2, 4, LENIENT), (X, np.array([9.0]))),
    *(
        Example(ops.SlidingWindows(axis, size, step), (X,))
        for axis, size, step in [(0, 4, 1), (1, 2, 1), (-1, 3, 2), (2, 1, 9)]
    ),
    *(Example(ops.Reverse(axes), (X,)) for axes in [(), (1,), (0, -1), None]),
    Example(ops.ReverseSequence(0, 2), (X, np.array([0, 7, 3.9, 1]))),
    Example(ops.ReverseSequence(-1, 0), (X, np.array([4, 0, 2, 1, 3, 4, 2]))),
    Example(ops.ReverseSequence(1, 2, LENIENT), (X, np.array([9.0, -1.0, 3.0]))),
]
