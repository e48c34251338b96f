"""Arithmetic of integers, whose results wrap around as in two's complement; and numbers that become integers.

A division by 0 gives 0, without a warning. Functions with ``out`` write there if it is given; ``out`` may be an input.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refcoreml.types import Array

_quietly = np.errstate(all="ignore")


@_quietly
def divide(a: Array, b: Array, *, out: Array | None = None) -> Array:
    """y = a / b, cut off toward zero."""
    quotient, rest = np.divmod(a, b)
    # Rounded down so far: up again where the signs differ.
    return _given(quotient + ((rest != 0) & ((a < 0) != (b < 0))), out)


@_quietly
def floor_divide(a: Array, b: Array, *, out: Array | None = None) -> Array:
    """y = the largest integer that is not above a / b."""
    y: Array = np.floor_divide(a, b, out=out)
    return y


@_quietly
def remainder(a: Array, b: Array, *, out: Array | None = None) -> Array:
    """y = a - b * floor(a / b), with the sign of b."""
    y: Array = np.remainder(a, b, out=out)
    return y


@_quietly
def power(a: Array, b: Array, *, out: Array | None = None) -> Array:
    """y = a^b, and for a negative b 1 / a^-b cut off toward zero: 0 but where a is 1 or -1."""
    y = np.power(a, np.maximum(b, 0))
    if np.min(b, initial=0) < 0:
        # Among negative exponents, only whether one is odd matters.
        y = np.where(b < 0, np.where(np.abs(a) == 1, np.power(a, b & 1), 0), y)
    return _given(y, out)


def _given(y: Array, out: Array | None) -> Array:
    """y, written to ``out`` if it is given."""
    if out is None:
        return np.asarray(y)
    np.copyto(out, y)
    return out


def saturate(x: Array, dtype: np.dtype[Any]) -> Array:
    """Return the integers of a type that are nearest to x, its fractions cut off; 0 for NaN.

    x: [*D] of floats, integers or booleans. Returns [*D] of the integer type ``dtype``.
    """
    if x.dtype.kind == "b" or np.can_cast(x.dtype, dtype):
        return x.astype(dtype)
    limits = np.iinfo(dtype)
    lowest, highest = int(limits.min), int(limits.max)
    if x.dtype.kind in "iu":
        own = np.iinfo(x.dtype)
        return np.clip(x, max(lowest, int(own.min)), min(highest, int(own.max))).astype(dtype)
    wide = x.astype(np.float64)
    above, below = wide >= float(highest + 1), wide <= float(lowest)  # powers of two, and 0: floats hold them exactly
    y = np.where(above | below | np.isnan(wide), 0, wide).astype(dtype)
    return np.where(above, dtype.type(highest), np.where(below, dtype.type(lowest), y))
