"""Floats that NumPy has no type for, as float32, which holds all of them exactly: bfloat16 and two kinds of 8 bits."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from refcoreml.types import Array


def from_bfloat16(codes: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the numbers whose upper half as float32 is given."""
    return (codes.astype(np.uint32) << np.uint32(16)).view(np.float32)


def to_bfloat16(values: Array) -> NDArray[np.uint16]:
    """Return the upper half of each float32; raise `ValueError` for a number that needs more."""
    wide = np.asarray(values, np.float32)
    codes = (wide.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    # A NaN whose upper half is that of an infinity becomes the usual NaN.
    codes = np.where(np.isnan(wide), codes | np.uint16(0x40), codes)
    _check_exact(wide, from_bfloat16(codes), "bfloat16")
    return codes


def from_float8(codes: NDArray[np.uint8], kind: str) -> NDArray[np.float32]:
    """Return the numbers for codes of 8 bits, see `float8_table`."""
    return float8_table(kind)[codes]


def to_float8(values: Array, kind: str) -> NDArray[np.uint8]:
    """Return the codes of 8 bits; raise `ValueError` for a number that has none."""
    wide, table = np.asarray(values, np.float32), float8_table(kind)
    # By their bits, which keeps the signs of zeros; all NaN are one.
    order = np.argsort(_bits(table), kind="stable")
    places = np.searchsorted(_bits(table)[order], _bits(wide)).clip(max=len(order) - 1)
    codes = order[places]
    _check_exact(wide, table[codes], kind)
    return np.asarray(codes, np.uint8)


@cache
def float8_table(kind: str) -> NDArray[np.float32]:
    """Return the 256 numbers of a kind: ``fp8e4m3fn`` (no infinities) or ``fp8e5m2`` (as IEEE 754 would have it).

    A code is a sign, e bits of exponent, and m bits of mantissa: (-1)^sign * 2^(exponent - bias) * (1 + mantissa / 2^m)
    with bias = 2^(e - 1) - 1; where the exponent is 0, (-1)^sign * 2^(1 - bias) * mantissa / 2^m.
    """
    width = {"fp8e4m3fn": 4, "fp8e5m2": 5}[kind]
    mantissa_width, bias = 7 - width, 2 ** (width - 1) - 1
    codes = np.arange(256)
    sign = np.where(codes & 0x80, -1.0, 1.0)
    exponent, mantissa = (codes & 0x7F) >> mantissa_width, (codes & (2**mantissa_width - 1)) / 2**mantissa_width
    size = np.where(exponent == 0, 2.0 ** (1 - bias) * mantissa, 2.0 ** (exponent - bias) * (1 + mantissa))
    if kind == "fp8e5m2":
        size = np.where(exponent == 31, np.where(mantissa == 0, np.inf, np.nan), size)
    else:
        size = np.where(codes & 0x7F == 0x7F, np.nan, size)
    table = (sign * size).astype(np.float32)
    table.setflags(write=False)
    return table


def _bits(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    return np.where(np.isnan(values), np.float32(np.nan), values).astype(np.float32).view(np.uint32)


def _check_exact(values: NDArray[np.float32], stored: NDArray[np.float32], kind: str) -> None:
    lost = (values != stored) & ~(np.isnan(values) & np.isnan(stored))
    if lost.any():
        raise ValueError(f"{values[lost].flat[0]!s} is no number of type {kind}, and would be rounded")
