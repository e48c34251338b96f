"""Random numbers."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

DOUBLE = np.dtype(np.float64)

EXAMPLES = [
    Example(ops.RandomNormal(shape=(2, 3), seed=0, dtype=DOUBLE, mean=2.0, deviation=0.5), ()),
    Example(ops.RandomNormal(shape=None, seed=1, dtype=DOUBLE, mean=0.0, deviation=3.0), (np.array([2.5, 4]),)),
    Example(ops.RandomUniform(shape=(5, 3), seed=2, dtype=DOUBLE, low=-1.0, high=4.0), ()),
    Example(ops.RandomBernoulli(shape=(3, 7), seed=3, dtype=DOUBLE, probability=0.25), ()),
    Example(ops.RandomCategorical(9, 4), (np.abs(integers((2, 3, 5), 1)),)),
    Example(ops.RandomCategorical(7, 5, True, 2.0, result=np.dtype(np.int32)), (integers((4, 3), 2),)),
]
