"""Evenly spaced numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from refcoreml.types import Array

#: How many numbers are in double precision at a time.
_PIECE = 1 << 16


def evenly_spaced_count(start: np.number[Any], end: np.number[Any], step: np.number[Any]) -> int:
    """ceil((end - start) / step), but at least 0: how many of start, start + step, ... come before the end.

    The quotient of floats is computed in the type of the numbers, and decides: of 0, 0.1, 0.2, 0.3 three come before
    0.3 in single precision, where 0.3 / 0.1 is 3. That of integers is exact.

    Raises:
        ValueError: the step is 0, or a number or the quotient is not finite.
    """
    if isinstance(step, np.integer) and step:
        return max(-((int(start) - int(end)) // int(step)), 0)
    with np.errstate(all="ignore"):
        quotient = np.ceil((end - start) / step)
    if step == 0 or not np.isfinite([start, end, step, quotient]).all():
        raise ValueError("there is no such number")
    return max(int(quotient), 0)


def evenly_spaced(start: float, step: float, count: int, dtype: DTypeLike) -> Array:
    """y[i] = start + i * step, computed in double precision and rounded once. Returns [count]."""
    y = np.empty(count, dtype)
    for begin in range(0, count, _PIECE):
        numbers = np.arange(begin, min(begin + _PIECE, count), dtype=np.float64)
        numbers *= step
        numbers += start
        y[begin : begin + _PIECE] = numbers
    return y
