"""One operation with inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from refcoreml.ops import Op


@dataclass(frozen=True, eq=False)
class Example:
    """An operation and inputs in double precision.

    Attributes:
        op: the operation.
        inputs: arrays whose dimensions differ pairwise, small integers where results are exact.
        roundings: how many rounded operations (elementary functions count 4) lie on the way to a number at most, of
            numbers not larger than the largest of the result; 0 where `run` and `define` must agree exactly.
    """

    op: Op
    inputs: tuple[np.ndarray[Any, Any], ...]
    roundings: int = 0

    def __str__(self) -> str:
        return type(self.op).__name__ + "-".join(str(np.shape(x)).replace(" ", "") for x in self.inputs)
