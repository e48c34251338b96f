"""Softmax."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

X = integers((2, 3, 5))

EXAMPLES = [
    # The largest, the difference, the function, the sum of n numbers, the quotient.
    *(Example(ops.Softmax(axis), (X,), roundings=1 + 4 + X.shape[axis] + 1) for axis in (0, 1, -1)),
    Example(ops.Softmax(0), (np.array([0.0, 1000.0, -1000.0]),), roundings=9),
]
