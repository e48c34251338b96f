"""Evenly spaced numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from refcoreml.types import Array


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
    y = np.arange(count, dtype=np.float64)
    y *= step
    y += start
    return y.astype(dtype, copy=False)
