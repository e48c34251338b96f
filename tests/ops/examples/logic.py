"""Comparisons and logic."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

A, B = integers((4, 1, 5), 1, -2, 3), integers((3, 1), 2, -2, 3)
WHOLE = np.arange(-3, 4, dtype=np.int32)
TRUE = WHOLE > 0

COMPARISONS = (ops.Equal, ops.NotEqual, ops.Less, ops.LessEqual, ops.Greater, ops.GreaterEqual)
LOGIC = (ops.LogicalAnd, ops.LogicalOr, ops.LogicalXor)
EXAMPLES = [
    *(Example(op(result=result), (A, B)) for op in COMPARISONS + LOGIC for result in (np.dtype(bool), None)),
    *(Example(op(1, result=result), (WHOLE,)) for op in COMPARISONS for result in (np.dtype(bool), None)),
    *(Example(op(-1.0), (np.array(x),)) for op in COMPARISONS for x in (-1.0, 2.0)),
    *(Example(op(), (TRUE, TRUE[::-1])) for op in LOGIC + COMPARISONS),
    *(Example(ops.LogicalNot(), (x,)) for x in (A, WHOLE, TRUE, np.array(0.0))),
    Example(ops.LogicalNot(result=None), (A,)),
]
