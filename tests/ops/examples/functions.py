"""Functions of one number."""

from __future__ import annotations

import numpy as np
from ops.examples.example import Example
from support import integers

from refcoreml import ops

X = integers((4, 3, 5), 1, -9, 10) / 2
POSITIVE = integers((4, 3, 5), 2, 1, 9)
UNIT = np.linspace(-0.875, 0.875, 15).reshape(3, 5)
C, MAP = integers((3, 1, 1), 3), integers((3, 5, 2), 4)
IMAGES = integers((4, 3, 5, 2), 5)

EXAMPLES = [
    *(Example(op(), (X,)) for op in (ops.Abs, ops.Sign, ops.Ceil, ops.Floor, ops.Round, ops.Sin, ops.Cos, ops.Atan)),
    *(Example(op, (X,)) for op in (ops.Clip(-2, 3), ops.Threshold(1.5), ops.Affine(-2.0, 0.5))),
    *(Example(op, (POSITIVE,)) for op in (ops.Sqrt(), ops.Log(), ops.Log(0.5))),
    # Each operation in a definition, and in the kernel, where there are other or more of them.
    Example(ops.Rsqrt(0.25), (POSITIVE,), roundings=6),
    Example(ops.Inverse(0.25), (POSITIVE,), roundings=4),
    Example(ops.Exp(), (X,)),
    Example(ops.Exp2(), (X,), roundings=8),
    Example(ops.Tan(), (X,), roundings=13),
    Example(ops.Asin(), (UNIT,)),
    Example(ops.Acos(), (UNIT,), roundings=10),
    Example(ops.Sinh(), (X,), roundings=13),
    Example(ops.Cosh(), (X,), roundings=13),
    # Where x is negative, x + sqrt(x^2 + 1) cancels: to 0.11 of numbers up to 4.5, so that an error counts 40 times.
    Example(ops.Asinh(), (X,), roundings=40 * 4 + 8),
    Example(ops.Acosh(), (POSITIVE,), roundings=12),
    Example(ops.Atanh(), (UNIT,), roundings=12),
    Example(ops.Erf(), (X,), roundings=8),
    Example(ops.Scale(C, None), (IMAGES,)),
    Example(ops.Scale(None, MAP), (IMAGES,)),
    Example(ops.Scale(C, MAP), (IMAGES,)),
    Example(ops.Chain((ops.Affine(2.0, 0.25), ops.Abs(), ops.Power(2.0))), (X,)),
    Example(ops.Abs(), (np.array(-3.5),)),
    Example(ops.Chain((ops.Affine(2.0, 1.0), ops.Sqrt())), (np.array(4.0),)),
    Example(ops.Abs(), (np.arange(-4, 3, dtype=np.int32),)),
    Example(ops.Clip(-2, 1), (np.arange(-4, 3, dtype=np.int32),)),
    Example(ops.Sign(), (np.arange(-4, 3, dtype=np.int16),)),
    Example(ops.Threshold(-2), (np.arange(-4, 3, dtype=np.int32),)),
    Example(ops.Exp2(), (np.arange(7, dtype=np.int32),)),
    *(
        Example(ops.Cast(np.dtype(kind)), (x,))
        for kind in (np.float32, np.int32, np.int8, np.uint16, np.bool_)
        for x in (X, np.array([np.nan, np.inf, -np.inf, -3.6, 300.7, 1e-30]), np.array(-2.5))
    ),
    *(Example(ops.Cast(np.dtype(kind)), (X > 0,)) for kind in (np.float64, np.uint8, np.bool_)),
    Example(ops.Cast(np.dtype(np.int8), strict=False), (np.array([[200, -1], [-300, 127], [5, 0]], np.int32),)),
    Example(ops.Affine(3, -2), (np.arange(-4, 3, dtype=np.int64),)),
]
