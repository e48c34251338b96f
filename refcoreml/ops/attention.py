"""Attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from refcoreml import definitions
from refcoreml.kernels import attention as kernels
from refcoreml.kernels.elementwise import broadcast_shape
from refcoreml.ops.base import Op, check_floats, require
from refcoreml.types import Array, Shape, TensorType


@dataclass(frozen=True)
class ScaledDotProductAttention(Op):
    """y[b..., l] = sum over s of w[l, s] * value[b..., s], with weights w[l] that are a softmax over s.

    w[l] = softmax over s of (sum over e of query[b..., l, e] * key[b..., s, e]) / sqrt(E) + mask[b..., l, s].

    Inputs: query [*B, L, E], key [*B, S, E], value [*B, S, V] of one type of floats, with at least one axis in *B and
    equal ones in all three; optionally a mask that broadcasts to [*B, L, S], of any type of floats, or booleans, where
    False stands for -inf and True for 0. Result [*B, L, V].

    A query for which every pair is masked has the result NaN, as the formula says; what Core ML gives is not known.
    Scores are held for some queries at a time (`refcoreml.kernels.attention.BLOCK`), not for all L x S pairs.
    """

    fresh = True

    def infer(
        self, query: TensorType, key: TensorType, value: TensorType, mask: TensorType | None = None
    ) -> TensorType:
        given = query, key, value
        names = ", ".join(str(x) for x in given)
        check_floats(*given)
        require(len({x.dtype for x in given}) == 1, f"query, key and value are {names}, expected one type")
        require(
            query.rank >= 3 and len({x.shape[:-2] for x in given}) == 1,
            f"query, key and value are {names}, expected [*B, L, E], [*B, S, E], [*B, S, V] with equal *B, not empty",
        )
        require(query.shape[-1] == key.shape[-1], f"query and key are {names}, expected rows of equal length E")
        require(key.shape[-2] == value.shape[-2], f"key and value are {names}, expected as many keys as values")
        if mask is not None:
            self._check_mask(mask, TensorType(query.dtype, (*query.shape[:-1], key.shape[-2])))
        return query.with_shape((*query.shape[:-1], value.shape[-1]))

    def _check_mask(self, mask: TensorType, scores: TensorType) -> None:
        require(mask.dtype.kind in "bf", f"the mask is {mask}, expected booleans or floats")
        try:
            fits = broadcast_shape(mask.shape, scores.shape) == scores.shape
        except ValueError:
            fits = False
        require(fits, f"the mask {mask.shape} does not broadcast to [*B, L, S], here {scores.shape}")

    def run(self, query: Array, key: Array, value: Array, mask: Array | None = None) -> Array:
        return kernels.attention(query, key, value, mask)

    def terms(self, inputs: Sequence[TensorType]) -> int:
        """Return the more of E and S."""
        return max(inputs[1].shape[-2:])

    def work(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        """Return E + V multiplications for each pair of a query and a key."""
        query, key, value = inputs[:3]
        return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])

    def scratch(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> int:
        """Return the bytes of a block of scores, of what becomes of it, and of its part of the mask."""
        query, key = inputs[:2]
        pairs = math.prod(query.shape[:-1]) * key.shape[-2]
        return 3 * min(pairs, max(kernels.BLOCK, key.shape[-2])) * query.dtype.itemsize

    def define(self, query: Array, key: Array, value: Array, mask: Array | None = None) -> Array:
        return definitions.attention(query, key, value, mask)
