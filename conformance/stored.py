"""How the generator stores arrays of a case: `Arrays`, and which type loses nothing."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Arrays:
    """A file of arrays in the .npy format, one behind the other; equal ones are written once."""

    def __init__(self) -> None:
        self.content = io.BytesIO()
        self._known: dict[bytes, int] = {}

    def add(self, array: Array) -> dict[str, int]:
        """Store an array; return where it is."""
        one = io.BytesIO()
        np.lib.format.write_array(
            one, np.asarray(array.astype(array.dtype.newbyteorder("<")), order="C"), (1, 0), False
        )
        if one.getvalue() not in self._known:
            self._known[one.getvalue()] = self.content.tell()
            self.content.write(one.getvalue())
        return {"at": self._known[one.getvalue()]}


def narrow(value: Array) -> Array:
    """Return float32 where that loses nothing, but for the sign of zeros, which nobody judges."""
    with np.errstate(over="ignore", invalid="ignore"):
        short = value.astype(np.float32)
    return short if np.array_equal(short.astype(np.float64), value, equal_nan=True) else value


def rounded_up(radius: Array) -> Array:
    """Return bounds as float32 that are no smaller."""
    with np.errstate(over="ignore"):
        short = radius.astype(np.float32)
    return np.where(short < radius, np.nextafter(short, np.float32(np.inf)), short)
