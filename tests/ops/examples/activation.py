"""Activation functions."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

X = integers((4, 3, 5, 2), 1, -9, 10) / 2
C, ONE = integers((3, 1, 1), 3), np.array([[[0.5]]])
SCALAR = np.array(-1.5)

# Elementary functions count 4 each, and the kernel has others than the definition.
EXAMPLES = [
    *(
        Example(op, (x,))
        for op in (ops.ReLU(), ops.LeakyReLU(-0.5), ops.ThresholdedReLU(1.5), ops.ClampedReLU(2.0, 3.0))
        for x in (X, SCALAR)
    ),
    *(Example(ops.LeakyReLU(alpha), (X,)) for alpha in (C, ONE)),
    Example(ops.LeakyReLU(integers((2,), 2)), (X,)),
    *(
        Example(op, (x,), roundings=20)
        for op in (
            *(ops.Tanh(), ops.ScaledTanh(1.5, 0.5), ops.Sigmoid(), ops.HardSigmoid(0.25, 0.5), ops.ELU(0.75)),
            *(ops.Softsign(), ops.Softplus(), ops.ParametricSoftplus(0.5, 2.0)),
        )
        for x in (X, SCALAR)
    ),
    *(Example(ops.ParametricSoftplus(*pair), (X,), roundings=20) for pair in ((C, ONE), (ONE, C), (2 * C, C))),
    # 1 + erf and 1 + tanh round in terms of 1, times x.
    *(
        Example(op, (x,), roundings=40)
        for op in (ops.GELU(), ops.GELUTanh(), ops.GELUSigmoid(), ops.SiLU())
        for x in (X, SCALAR)
    ),
]
