"""Operations that draw random numbers.

A seed of 0 or more gives the same numbers in each run and in every type; a negative one new numbers each time. They are
drawn in double precision and rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import random as kernels
from refcoreml.kernels.elementwise import log
from refcoreml.kernels.normalization import softmax
from refcoreml.ops.base import OfShape, Op, bad_input, check_filled, check_places, require
from refcoreml.types import Array, Shape, TensorType


@dataclass(frozen=True, kw_only=True)
class _Draw(OfShape):
    """Independent numbers of one distribution.

    Input and other attributes: see `OfShape`.

    Attributes:
        seed: see the head of this file.
    """

    seed: int

    @property
    def repeatable(self) -> bool:
        return self.seed >= 0

    def run(self, shape: Array | None = None) -> Array:
        return self.draw(self.requested(shape))

    def draw(self, shape: Shape) -> Array:
        """Return numbers of a shape."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class RandomNormal(_Draw):
    """y ~ N(mean, deviation^2)."""

    mean: float
    deviation: float

    def draw(self, shape: Shape) -> Array:
        """Return numbers of a shape."""
        return kernels.normal(kernels.generator(self.seed), shape, self.mean, self.deviation, self.dtype)

    def define(self, shape: Array | None = None) -> Array:
        return definitions.random_normal(self.requested(shape), self.mean, self.deviation, self.seed)


@dataclass(frozen=True, kw_only=True)
class RandomUniform(_Draw):
    """y ~ U[low, high); rounding can give ``high`` itself."""

    low: float
    high: float

    def draw(self, shape: Shape) -> Array:
        """Return numbers of a shape."""
        return kernels.uniform(kernels.generator(self.seed), shape, self.low, self.high, self.dtype)

    def define(self, shape: Array | None = None) -> Array:
        return definitions.random_uniform(self.requested(shape), self.low, self.high, self.seed)


@dataclass(frozen=True, kw_only=True)
class RandomBernoulli(_Draw):
    """y = 1 with the given probability, else 0."""

    probability: float

    def draw(self, shape: Shape) -> Array:
        """Return numbers of a shape."""
        return kernels.bernoulli(kernels.generator(self.seed), shape, self.probability, self.dtype)

    def define(self, shape: Array | None = None) -> Array:
        return definitions.random_bernoulli(self.requested(shape), self.probability, self.seed)


@dataclass(frozen=True)
class RandomCategorical(Op):
    """y[..., s] = a class c, drawn with the probability softmax(l / temperature)[..., c], independently for each s.

    x [*D, C] of floats, at least rank 1; y [*D, samples].

    Attributes:
        samples: how many to draw.
        seed: see the head of this file.
        logits: whether l = x; else l = ln(x + epsilon) of the probabilities x.
        temperature, epsilon: positive numbers.
        result: the type of class numbers; None for that of x.
    """

    samples: int
    seed: int
    logits: bool = False
    temperature: float = 1.0
    epsilon: float = 1e-10
    result: np.dtype[Any] | None = None

    @property
    def repeatable(self) -> bool:
        return self.seed >= 0

    fresh = True

    def infer(self, x: TensorType) -> TensorType:
        check_filled(x)
        require(x.rank >= 1, f"expected an input of rank 1 or more, got {x.shape}")
        check_places(self.result or x.dtype, x.shape[-1])
        return TensorType(self.result or x.dtype, (*x.shape[:-1], self.samples))

    def run(self, x: Array) -> Array:
        wide = x.astype(np.float64)
        self._check(wide)
        logits = wide if self.logits else log(wide + self.epsilon)
        probabilities = softmax(logits / self.temperature, -1)
        drawn = kernels.categorical(kernels.generator(self.seed), probabilities, self.samples)
        return drawn.astype(self.result or x.dtype)

    def _check(self, x: Array) -> None:
        valid = np.isfinite(x.max(-1)) if self.logits else ((x >= 0) & np.isfinite(x)).all(-1)
        if not valid.all():
            place = tuple(int(i) for i in np.unravel_index(valid.argmin(), valid.shape))
            kind = "logits" if self.logits else "probabilities"
            bad_input(f"the input holds no valid {kind} at {place}, such as NaN or Inf")

    def define(self, x: Array) -> Array:
        return definitions.random_categorical(x, self.samples, self.logits, self.temperature, self.epsilon, self.seed)
