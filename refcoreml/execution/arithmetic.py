"""The arithmetic in which a network runs: which type kernels compute in, and how values and weights are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from refcoreml import values
from refcoreml.errors import UsageError
from refcoreml.kernels.half import round_to_half
from refcoreml.types import Array, Form


@dataclass(frozen=True)
class Arithmetic:
    """One of `ARITHMETICS`.

    Attributes:
        name: what the user calls it.
        dtype: the type that kernels are given and compute in.
        round: rounds a value or an array of weights to the storage type, and returns it in ``dtype``; None where
            storage and computation have the same type.
    """

    name: str
    dtype: type[np.floating[Any]]
    round: Form | None = None

    def store(self, array: Array) -> Array:
        """Return the array as storage leaves it."""
        if self.round is None:
            return array
        with np.errstate(over="ignore"):
            return self.round(array)


_SINGLE = Arithmetic("float32", np.float32)

ARITHMETICS = {
    # What the model says, of the models that say it, which are ML Programs; a network says nothing.
    "declared": _SINGLE,
    # What a CPU runtime does.
    "float32": _SINGLE,
    # The oracle: the same formulas with 29 more bits.
    "float64": Arithmetic("float64", np.float64),
    # What a GPU or neural engine does at best: values and weights in half precision, sums within a layer in single.
    # Indices are no exception: above 2048 they lose their last bits.
    "float16": Arithmetic("float16", np.float32, round_to_half),
}

#: What else people call them.
_SHORT = {"fp16": "float16", "fp32": "float32", "fp64": "float64"}


def arithmetic(name: str) -> Arithmetic:
    """Look an arithmetic up by name; raises `UsageError` for an unknown one."""
    if not values.is_a(name, str) or name not in ARITHMETICS:
        asked = name if values.is_a(name, str) else getattr(name, "__name__", "") if values.is_a(name, type) else ""
        raise UsageError(
            f"unknown precision {values.quoted(name)}, choose one of {', '.join(ARITHMETICS)}",
            remedy=values.did_you_mean(_SHORT.get(asked, asked), ARITHMETICS).rstrip(),
        )
    return ARITHMETICS[name]
