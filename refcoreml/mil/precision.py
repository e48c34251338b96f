"""In which numbers a program computes, and how each declared type is held while it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from refcoreml.kernels.half import round_to_half
from refcoreml.types import Array, Form


@dataclass(frozen=True)
class Precision:
    """One of `PRECISIONS`.

    Attributes:
        name: what the user calls it.
        held: by declared float type the type of the arrays that hold it. Half precision is held as float32 that holds
            numbers of half precision: an operation computes in single precision, and its results are rounded.
        rounds: whether results of a declared half precision are rounded to it.
    """

    name: str
    held: dict[np.dtype[Any], np.dtype[Any]]
    rounds: bool

    def dtype(self, declared: np.dtype[Any]) -> np.dtype[Any]:
        """Return the type of the arrays that hold a declared one."""
        return self.held.get(declared, declared)

    def form(self, declared: np.dtype[Any]) -> Form | None:
        """Return what makes of a result the numbers that the declared type holds; None if nothing is to be done."""
        return round_to_half if self.rounds and declared == np.float16 else None

    def hold(self, array: Array) -> Array:
        """Return an array of a declared type as it is held."""
        held = self.dtype(array.dtype)
        if held == array.dtype:  # BLAS takes no numbers that begin anywhere in a message
            return array if array.flags.aligned else array.copy()
        if array.ndim and array.size and not any(array.strides):  # one number for all places stays one
            return np.broadcast_to(array[(0,) * array.ndim].astype(held), array.shape)
        return array.astype(held)


def _floats(held: Any, double: Any = np.float64) -> dict[np.dtype[Any], np.dtype[Any]]:
    half, single = np.dtype(np.float16), np.dtype(np.float32)
    return {half: np.dtype(held), single: np.dtype(held), np.dtype(np.float64): np.dtype(double)}


PRECISIONS = {
    # What the program says: half precision is rounded after every operation; sums within one are in single precision.
    # Open: whether Core ML rounds as often on a CPU. Apple's tests do not say: where they allow 1e-4, those of half
    # precision fail either way as they are written (conformance/apple/halves.py), and elsewhere they allow 0.5.
    "declared": Precision("declared", _floats(np.float32), rounds=True),
    # Every float in single precision: is a difference due to rounding?
    "float32": Precision("float32", _floats(np.float32, np.float32), rounds=False),
    # The same formulas with 29 more bits.
    "float64": Precision("float64", _floats(np.float64), rounds=False),
}
