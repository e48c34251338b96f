"""Arrays joined, divided, repeated."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

X, LONGER = integers((2, 3, 5), 1), integers((2, 7, 5), 2)
EQUAL = tuple(integers((2, 3, 5), seed) for seed in range(3, 7))

EXAMPLES = [
    *(Example(ops.Concat(axis), (X, LONGER, X)) for axis in (1, -2)),
    *(Example(ops.Concat(axis, interleave), EQUAL) for axis in (0, 2, -1) for interleave in (False, True)),
    Example(ops.Concat(0), tuple(map(np.array, (5.0, -2.0, 7.0)))),
    Example(ops.Concat(-1), (np.array(5, np.int32),)),
    *(Example(ops.Stack(axis), EQUAL) for axis in (0, 1, 3, -1, -4)),
    Example(ops.Stack(0), (np.array(1.0), np.array(2.0), np.array(3.0))),
    Example(ops.Split(1, (1, 4, 2)), (LONGER,)),
    Example(ops.Split(-2, 3, even=False), (LONGER,)),
    Example(ops.Split(2, 5), (LONGER,)),
    *(Example(ops.Tile(repetitions), (X,)) for repetitions in [(4,), (2, 1), (3, 2, 4), (1, 1, 1)]),
    Example(ops.Tile(None), (X, np.array([2.9, 3.0]))),
]
