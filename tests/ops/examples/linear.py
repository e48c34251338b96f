"""Matrix and vector products, and lookups."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

WEIGHTS, BIAS = integers((7, 24), 1), integers((7,), 2)
TABLE = integers((6, 4), 3)

EXAMPLES = [
    *(
        Example(ops.Linear(WEIGHTS, bias, axes), (integers(shape),))
        for bias, axes, shape in [
            (None, 1, (24,)),
            (BIAS, 1, (3, 24)),
            (BIAS, 1, (2, 3, 5, 24)),
            (BIAS, 3, (5, 2, 3, 4)),
            (None, 3, (5, 3, 2, 4, 3)),
            (BIAS, 2, (6, 4)),
        ]
    ),
    Example(ops.Linear(WEIGHTS, BIAS, int8_inputs=True), (integers((5, 24)),)),
    *(
        Example(ops.MatMul(*transposed), (integers(x), integers(y, 1)))
        for transposed, x, y in [
            ((False, False), (2, 4), (4, 3)),
            ((True, False), (4, 2), (4, 3)),
            ((False, True), (5, 1, 2, 4), (6, 3, 4)),
            ((True, True), (1, 4, 2), (5, 3, 4)),
            ((True, True), (5,), (5,)),
            ((False, True), (5,), (2, 3, 5)),
            ((True, False), (2, 5, 4, 3), (4,)),
        ]
    ),
    *(
        Example(ops.MatMul(*transposed, drop=True), (integers(x), integers(y, 1)))
        for transposed, x, y in [
            ((True, True), (5,), (5,)),
            ((False, True), (5,), (2, 3, 5)),
            ((True, False), (2, 5, 4, 3), (4,)),
            ((False, False), (2, 4), (4, 3)),
        ]
    ),
    Example(ops.MatMul(transpose_y=True), (integers((5, 1, 2, 4)).astype(np.int32), integers((6, 3, 4)).astype("i4"))),
    *(
        Example(ops.Einsum(equation), tuple(integers(shape, seed) for seed, shape in enumerate(shapes)))
        for equation, shapes in [
            ("nchw, nwhu -> nchu", [(2, 3, 4, 5), (2, 5, 4, 6)]),
            ("nchw,nwhu->nchu", [(2, 3, 1, 5), (1, 5, 4, 6)]),
            ("chw,whr->chr", [(3, 4, 5), (5, 4, 2)]),
            ("ij,kj", [(2, 3), (4, 3)]),
            ("ba,bc", [(2, 3), (2, 4)]),
            ("ij,jk->", [(2, 3), (3, 4)]),
            ("ij,kl->ljik", [(2, 3), (4, 5)]),
            ("ijk,kl->li", [(2, 3, 4), (4, 5)]),
            ("ij,j->i", [(2, 3), (1,)]),
            ("i,->i", [(3,), ()]),
            ("ii->i", [(3, 3)]),
            ("iji->j", [(3, 2, 3)]),
            ("ijk->ki", [(2, 3, 4)]),
            ("ii,ij->j", [(3, 3), (3, 2)]),
            ("ab,bc,cd->da", [(2, 3), (3, 4), (4, 5)]),
            ("abc,cd,ae,d->be", [(2, 3, 4), (4, 5), (2, 6), (5,)]),
        ]
    ),
    *(Example(ops.DotProduct(axis), (integers((3, 5, 2)), integers((3, 5, 2), 1))) for axis in (0, 1, -1)),
    # Of each of three sums, exact here, the root (of two) and two quotients; a cosine is at most 1.
    Example(
        ops.DotProduct(-3, cosine=True), (integers((2, 5, 1, 1), 0, 1), integers((2, 5, 1, 1), 1, 1)), roundings=10
    ),
    Example(ops.Embedding(TABLE), (integers((3, 1), 4, 0, 6),)),
    Example(ops.Embedding(TABLE, integers((4,), 5), -3), (integers((3, 2, 1, 1, 1), 4, 0, 6),)),
    Example(ops.Embedding(TABLE, None, 1, ops.Indexing()), (np.array([[[-6, 5, 0]], [[-1, 1, 2]]]),)),
]
