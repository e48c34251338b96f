"""Operations that make numbers comparable: softmax."""

from __future__ import annotations

from dataclasses import dataclass

from refcoreml import definitions
from refcoreml.kernels import normalization as kernels
from refcoreml.ops.base import Op, axis_in
from refcoreml.types import Array, TensorType


@dataclass(frozen=True)
class Softmax(Op):
    """y = exp(x) / sum(exp(x)) along an axis, without overflow.

    x [*D] of floats; y has the type of x.
    """

    axis: int

    fresh = True
    definition = definitions.softmax

    def infer(self, x: TensorType) -> TensorType:
        axis_in(self.axis, x.rank)
        return x

    def run(self, x: Array) -> Array:
        return kernels.softmax(x, self.axis)
