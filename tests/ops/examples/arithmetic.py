"""Arithmetic of inputs that broadcast."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

A, B, C = integers((4, 1, 5), 1), integers((3, 1), 2), integers((2, 1, 1, 5), 3)
NONZERO = np.where(B == 0, -3.0, B)
X = integers((4, 3, 5), 4)
WHOLE = integers((4, 3), 5, -7, 8).astype(np.int32)
NUMBER = np.array(-2.0)
OTHERS = np.array([[5], [-3], [2], [-1]], np.int32)

SEVERAL = (ops.Add, ops.Multiply, ops.Maximum, ops.Minimum)
EXAMPLES = [
    *(Example(op(), inputs) for op in SEVERAL for inputs in ((A, B), (A, B, C), (X,), (WHOLE, WHOLE[:1]))),
    *(Example(op(), (A, NUMBER)) for op in SEVERAL),
    *(Example(op(), (NUMBER, NUMBER)) for op in (*SEVERAL, ops.Power)),
    *(Example(op(2.5), (x,)) for op in SEVERAL for x in (X, NUMBER)),
    *(Example(op(3), (WHOLE,)) for op in (*SEVERAL, ops.Subtract, ops.FloorDivide, ops.Modulo)),
    *(Example(op(), (A, NONZERO)) for op in (ops.Subtract, ops.Divide, ops.FloorDivide, ops.Modulo)),
    *(Example(op(-4.0), (X,)) for op in (ops.Subtract, ops.Divide, ops.FloorDivide, ops.Modulo)),
    *(Example(op(), (WHOLE, OTHERS)) for op in (ops.Subtract, ops.FloorDivide, ops.Modulo)),
    Example(ops.Power(), (WHOLE, np.abs(OTHERS))),
    *(Example(ops.Power(exponent), (WHOLE,)) for exponent in (2, 3, 0)),
    Example(ops.Power(), (np.abs(A) + 1, B), roundings=8),
    *(Example(ops.Power(exponent), (np.abs(X) + 1,), roundings=8) for exponent in (2.0, -1.5, 0.0)),
    *(Example(ops.Average(), inputs, roundings=2) for inputs in ((A, B), (A, B, C), (X,), (NUMBER, A))),
]
