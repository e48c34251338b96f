"""Conversions between types of numbers: of what is passed, which must fit, and of what is computed, which is fitted."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from refcoreml.errors import RefCoreMLWarning
from refcoreml.values import Refuse

__all__ = ["convert", "to_bytes", "to_floats", "to_integers"]


def convert(array: NDArray[Any], dtype: DTypeLike, refuse: Refuse) -> NDArray[Any]:
    """Return the array in another type; floats are rounded to nearest, integers must come out exactly.

    Raises:
        InputError: a finite number is beyond the range of the type, or an integer type meets a fraction or NaN.
    """
    target = np.dtype(dtype)
    if array.dtype == target:
        return array
    if target.kind == "f":
        with np.errstate(over="ignore"):
            result = array.astype(target)
        if not np.isfinite(result).all():
            _refuse_where(np.isinf(result) & np.isfinite(array), array, f"is beyond the range of {target}", refuse)
        return result
    if array.dtype.kind == "f":
        _refuse_where(~np.isfinite(array) | (np.trunc(array) != array), array, "is not an integer", refuse)
    limits = np.iinfo(target)
    if array.size and not (limits.min <= array.min().item() and array.max().item() <= limits.max):
        # In float64 the limits of 32 bits are exact, and comparisons do not depend on the type given.
        wide = array.astype(np.float64)
        _refuse_where((wide < limits.min) | (wide > limits.max), array, f"is beyond the range of {target}", refuse)
    return array.astype(target)


def _refuse_where(bad: Any, array: NDArray[Any], why: str, refuse: Refuse) -> None:
    if bad.any():
        index = tuple(map(int, np.unravel_index(int(np.argmax(bad)), array.shape)))
        place = f" at {list(index)}" if index else ""
        raise refuse(f"the value {array[index]}{place} {why}")


def to_floats(values: NDArray[Any], dtype: type[Any], where: str) -> NDArray[Any]:
    """Round to a new array; what is too large becomes an infinity, with a warning."""
    if values.dtype == dtype:
        return np.array(values, order="C")
    with np.errstate(over="ignore"):
        result = np.array(values, dtype, order="C")
    if not np.can_cast(values.dtype, dtype) and (np.isinf(result) & np.isfinite(values)).any():
        _warn_of_values(where, f"holds values beyond {np.dtype(dtype)}, now infinite")
    return result


def to_integers(values: NDArray[Any], dtype: type[Any], where: str) -> NDArray[Any]:
    """Cut fractions off, saturate, and make 0 of NaN, each with a warning."""
    if np.can_cast(values.dtype, dtype):
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    # -2**63 and its likes are exact in float64, 2**63 - 1 is not: compare with the power of two itself.
    low, beyond = float(limits.min), -float(limits.min)
    wide = values.astype(np.float64)
    cut = np.trunc(wide)
    fits = (cut >= low) & (cut < beyond)
    if (fits & (cut != wide)).any():
        _warn_of_values(where, "holds numbers that are not integers, whose fractions are cut off")
    result = np.where(fits, cut, 0).astype(dtype)
    if not fits.all():
        _warn_of_values(where, f"holds NaN, now 0, or values beyond {np.dtype(dtype)}, now its nearest limit")
        result[cut >= beyond] = limits.max
        result[cut < low] = limits.min
    return result


def to_bytes(values: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """Limit to 0..255 and round to nearest, halves to even; NaN becomes 0 with a warning."""
    missing = np.isnan(values)
    if missing.any():
        _warn_of_values(where, "holds NaN, shown as 0")
        values = np.where(missing, 0, values)
    rounded: NDArray[np.uint8] = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    return rounded


def _warn_of_values(where: str, what: str) -> None:
    warnings.warn(f"{where} {what}", RefCoreMLWarning, stacklevel=5)
