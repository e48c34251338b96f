"""Recurrent networks, of small integers with functions that keep them integers."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops
from refcoreml.kernels.recurrent import GateWeights

LENGTH, BATCH, INPUTS, HIDDEN = 3, 2, 5, 4


def gates(count: int, seed: int, *, bias: bool = True) -> GateWeights:
    """Weights of -1, 0 and 1."""
    return GateWeights(
        integers((count * HIDDEN, INPUTS), seed, -1, 2),
        integers((count * HIDDEN, HIDDEN), seed + 1, -1, 2),
        integers((count * HIDDEN,), seed + 2, -2, 3) if bias else None,
    )


X = integers((LENGTH, BATCH, INPUTS), 1, -2, 3)
H, C, H2, C2 = (integers((BATCH, HIDDEN), seed, -2, 3) for seed in (2, 3, 4, 5))
LINEAR, RELU, BOUNDED = ops.Affine(1.0, 0.0), ops.ReLU(), ops.Clip(-2.0, 2.0)
PEEPHOLES = integers((3, HIDDEN), 6, -1, 2)

EXAMPLES = [
    *(
        Example(ops.SimpleRecurrent(gates(1, 10, bias=bias), f, sequence, reverse), (X, H))
        for bias, f, sequence, reverse in [
            (True, LINEAR, True, False),
            (False, RELU, False, False),
            (True, RELU, True, True),
            (True, LINEAR, False, True),
        ]
    ),
    Example(ops.SimpleRecurrent(gates(1, 11), RELU), (X, H[:1])),
    *(
        Example(ops.GRU(gates(3, 20, bias=bias), f, g, sequence, reverse), (X, *states))
        for bias, f, g, sequence, reverse, states in [
            (True, RELU, LINEAR, True, False, (H,)),
            (False, LINEAR, RELU, False, True, ()),
        ]
    ),
    *(
        Example(ops.GRU(gates(3, 21), RELU, LINEAR, limit=limit, reset_after=True, recurrent_bias=bias), (X, H))
        for limit, bias in [(np.inf, integers((HIDDEN,), 7)), (5.0, None), (3.0, integers((HIDDEN,), 8))]
    ),
    Example(ops.SimpleRecurrent(gates(1, 12), RELU, limit=4.0), (10 * X, H)),
    Example(ops.SimpleRecurrent(gates(1, 12), RELU, limit=np.inf), (100 * X, H)),
    Example(ops.LSTM(gates(4, 31), BOUNDED, LINEAR, LINEAR, PEEPHOLES, cell_clip=np.inf, limit=np.inf), (9 * X, H, C)),
    Example(
        ops.BidirectionalLSTM(
            ops.LSTM(gates(4, 44), RELU, LINEAR, LINEAR, limit=3.0),
            ops.LSTM(gates(4, 45), LINEAR, RELU, LINEAR, PEEPHOLES, reverse=True),
            joined=True,
        ),
        (X, integers((BATCH, 2 * HIDDEN), 9), integers((BATCH, 2 * HIDDEN), 10)),
    ),
    *(
        Example(ops.LSTM(gates(4 - coupled, 30, bias=bias), *functions, **options, coupled=coupled), (X, *states))
        for bias, functions, coupled, options, states in [
            (True, (LINEAR, RELU, LINEAR), False, {}, (H, C)),
            (False, (RELU, LINEAR, RELU), False, {"peepholes": PEEPHOLES, "sequence": False}, (H,)),
            (True, (RELU, LINEAR, LINEAR), True, {"peepholes": PEEPHOLES[:2], "reverse": True}, ()),
            (True, (RELU, RELU, LINEAR), True, {"cell_clip": 3.0}, (H, C)),
        ]
    ),
    Example(
        ops.BidirectionalLSTM(
            ops.LSTM(gates(4, 40), RELU, LINEAR, LINEAR),
            ops.LSTM(gates(3, 41), LINEAR, RELU, LINEAR, coupled=True, reverse=True),
        ),
        (X, H, C, H2, C2),
    ),
    Example(
        ops.BidirectionalLSTM(
            ops.LSTM(gates(4, 42), RELU, LINEAR, LINEAR, sequence=False),
            ops.LSTM(gates(4, 43), RELU, LINEAR, LINEAR, sequence=False, reverse=True),
        ),
        (X, H),
    ),
]
