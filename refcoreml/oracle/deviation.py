"""How large rounding errors of sums usually are: where the bound, the worst case, is too wide to find faults.

A sum of n products t_1 ... t_n in a type of unit roundoff u makes the errors d_k t_k and e_k s_k, with the partial
sums s_k. An error of rounding to nearest, uniform within half a unit in the last place, has a variance of at most
u^2 / 3 of the square of what is rounded. If errors are independent and the terms come in no particular order, the
expected variance is

    v^2 = u^2 / 3 * (sum t^2 + sum over k of E s_k^2),    E s_k^2 = k (n - k) / (n - 1) * q + (k S / n)^2

with S = sum t and q = sum t^2 / n - (S / n)^2 (sampling without replacement), which sum up to
n (n + 1) / 6 * q + (n + 1) (2 n + 1) / (6 n) * S^2. Sums in blocks or pairs have smaller partial sums; fused
products have no d_k. So, over many outputs, a conforming implementation has RMS((y - R) / v) <= 1, up to sampling; see
`spread`. Not so where all terms have one sign: then partial sums outgrow the terms, whose errors go the same way again
and again (stagnation). The criterion is for zero-mean data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from refcoreml import ops
from refcoreml.oracle.balls import Ball, Doubles
from refcoreml.oracle.rules.linear import moved
from refcoreml.oracle.rules.table import Layer

__all__ = ["LEAST_OUTPUTS", "Spread", "deviation", "spread"]

#: Of fewer outputs the statistics say nothing.
LEAST_OUTPUTS = 1000


class Spread(NamedTuple):
    """What `spread` finds: RMS(z) and |sum z| / sqrt(T) of z = (y - value) / deviation, and what is allowed."""

    rms: float
    bias: float
    rms_limit: float
    bias_limit: float

    @property
    def honest(self) -> bool:
        """Whether both are within their limits."""
        return self.rms <= self.rms_limit and self.bias <= self.bias_limit


def spread(actual: Doubles, value: Doubles, deviation: Doubles) -> Spread:
    """Return RMS and bias of errors in units of their standard deviation, over at least `LEAST_OUTPUTS` numbers.

    The mean of T squares of variance 1 and kurtosis 9 (a normal product's; a normal number has 3) is above
    1 + 4 sqrt(8 / T) in fewer than 1 of 10^4 cases, and a sum of T above 4 sqrt(T) as rarely. The second holds for data
    without a sign of its own: zero-mean sets.
    """
    some = deviation > 0
    z = (np.asarray(actual, np.float64) - value)[some] / deviation[some]
    if z.size < LEAST_OUTPUTS:
        raise ValueError(f"{z.size} numbers are too few, {LEAST_OUTPUTS} are needed")
    limit = float(np.sqrt(1 + 4 * np.sqrt(8 / z.size)))
    return Spread(float(np.sqrt(np.mean(z**2))), float(abs(z.sum()) / np.sqrt(z.size)), limit, 4.0)


def deviation(layer: Layer, balls: Sequence[Ball], result: Doubles) -> Doubles | None:
    """Return the standard deviation v of a layer of sums, plus the largest errors due to inputs and weights.

    None of other layers.
    """
    n = layer.op.terms(layer.inputs)
    if n is None or (isinstance(layer.op, ops.Linear) and layer.op.int8_inputs):
        return None
    squares = layer.run_variant("squares", *(ball.mid**2 for ball in balls))
    total, squares = np.asarray(result), np.asarray(squares, np.float64)
    mean = isinstance(layer.op, ops.Pooling | ops.ReduceMean)
    if mean:
        total, squares = total * n, squares * n
    q = np.maximum(squares / n - (total / n) ** 2, 0)
    u = layer.rounding.unit
    variance = u**2 / 3 * (squares + n * (n + 1) / 6 * q + (n + 1) * (2 * n + 1) / (6 * n) * total**2)
    if mean:
        variance = variance / n**2 + u**2 / 3 * result**2
    last = layer.storage or layer.rounding
    variance = variance + last.unit**2 / 3 * np.maximum(result**2, np.where(squares > 0, last.tiny**2, 0))
    return np.asarray(np.sqrt(variance) + moved(layer, balls))
