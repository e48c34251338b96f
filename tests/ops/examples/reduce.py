"""Reductions, places of extremes, and running totals."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

X = integers((2, 3, 5, 4), 1)
POSITIVE = integers((2, 3, 5, 4), 2, 1, 4)
AXES = [(None, False), ((0,), False), ((-1, 1), True), ((2, 0, -3), False), ((0, 1, 2, 3), True)]
SCALAR = np.array(3.0)

EXAMPLES = [
    *(
        Example(kind(axes, keepdims), (X,))
        for kind in (ops.ReduceSum, ops.ReduceMax, ops.ReduceMin, ops.ReduceL1, ops.ReduceSumSquare)
        for axes, keepdims in AXES
    ),
    # Products of at most 6 numbers of at most 4 are exact.
    *(Example(ops.ReduceProduct(axes), (X,)) for axes in [(0,), (1, -4)]),
    # Sums are exact; the quotient or the root rounds once, twice over.
    *(Example(kind(*given), (X,), roundings=2) for kind in (ops.ReduceMean, ops.ReduceL2) for given in AXES),
    # Sums are exact; a logarithm, twice over.
    *(Example(ops.ReduceLogSum(*given), (POSITIVE,), roundings=8) for given in AXES),
    # Powers (4) of differences, summed up: the relative error moves the logarithm by as much, and results are above 1;
    # a logarithm, and the last sum. Twice over.
    *(Example(ops.ReduceLogSumExp(*given), (POSITIVE,), roundings=2 * (1 + 4 + 120 + 4 + 1)) for given in AXES),
    # Logarithms of numbers up to 3.5 and their sum, all of one sign, twice over.
    *(Example(ops.ReduceSumLog(*given, epsilon=0.5), (POSITIVE,), roundings=2 * (4 + 120)) for given in AXES),
    *(Example(kind(None), (SCALAR,)) for kind in (ops.ReduceSum, ops.ReduceMax, ops.ReduceProduct)),
    *(Example(kind(None, True), (SCALAR,)) for kind in (ops.ReduceMean, ops.ReduceL2)),
    # Of integers: the definitions round to double precision before the fraction is cut off, far from integers.
    *(
        Example(kind(axes, keepdims), (x.astype(np.int32),))
        for kind, x in [
            *((kind, X) for kind in (ops.ReduceSum, ops.ReduceMax, ops.ReduceMin, ops.ReduceL1, ops.ReduceSumSquare)),
            *((kind, X) for kind in (ops.ReduceMean, ops.ReduceL2)),
            *((kind, POSITIVE) for kind in (ops.ReduceLogSum, ops.ReduceLogSumExp)),
        ]
        for axes, keepdims in AXES
    ),
    *(Example(ops.ReduceProduct(axes), (X.astype(np.int32),)) for axes in [(0,), (1, -4)]),
    *(Example(kind(None), (np.array(3, np.int32),)) for kind in (ops.ReduceSum, ops.ReduceMean, ops.ReduceProduct)),
    *(
        Example(kind(axis, keepdims, result), (X,))
        for kind in (ops.ArgMax, ops.ArgMin)
        for axis, keepdims, result in [(0, False, None), (-2, True, np.dtype(np.int32)), (3, False, np.dtype(np.int64))]
    ),
    Example(ops.ArgMax(0), (np.array([1.0, 4, 2, 4]),)),
    *(
        Example(ops.CumulativeSum(axis, exclusive, reverse), (X,))
        for axis, exclusive, reverse in [(0, False, False), (-1, True, False), (2, False, True), (1, True, True)]
    ),
    Example(ops.CumulativeSum(1, True, True), (X.astype(np.int16),)),
    *(Example(kind(-2, True, np.dtype(np.uint16)), (X.astype(np.int32),)) for kind in (ops.ArgMax, ops.ArgMin)),
    Example(ops.CumulativeSum(None), (X, np.array([-1.5]))),
]
