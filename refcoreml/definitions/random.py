"""Random numbers, drawn in double precision from PCG64 with a seed of 0 or more."""

from __future__ import annotations

import numpy as np
from numpy.random import PCG64, Generator

from refcoreml.definitions.normalization import softmax
from refcoreml.types import Array, Shape


def random_normal(shape: Shape, mean: float, deviation: float, seed: int) -> Array:
    """y ~ N(mean, deviation^2): y = mean + deviation * n, n of the standard normal distribution."""
    source = Generator(PCG64(seed))
    return np.array([mean + deviation * source.standard_normal() for _ in np.ndindex(*shape)]).reshape(shape)


def random_uniform(shape: Shape, low: float, high: float, seed: int) -> Array:
    """y ~ U[low, high): y = low + (high - low) * u, u of the uniform distribution in [0, 1)."""
    source = Generator(PCG64(seed))
    return np.array([low + (high - low) * source.random() for _ in np.ndindex(*shape)]).reshape(shape)


def random_bernoulli(shape: Shape, probability: float, seed: int) -> Array:
    """y = 1 if u < probability, else 0, u of the uniform distribution in [0, 1)."""
    source = Generator(PCG64(seed))
    return np.array([float(source.random() < probability) for _ in np.ndindex(*shape)]).reshape(shape)


def random_categorical(x: Array, samples: int, logits: bool, temperature: float, epsilon: float, seed: int) -> Array:
    """y[..., s] = the first class c with p_0 + ... + p_c > u (p_0 + ... + p_C-1), p = softmax(l / temperature).

    l = x if x holds logits, else ln(x + epsilon); u of the uniform distribution in [0, 1), a new one for each s.
    """
    source = Generator(PCG64(seed))
    probabilities = softmax((x if logits else np.log(x + epsilon)) / temperature, -1)
    y = np.empty((*x.shape[:-1], samples))
    for place in np.ndindex(*y.shape):
        below = np.cumsum(probabilities[place[:-1]])
        u = source.random()
        y[place] = next(c for c, sum_up_to_c in enumerate(below) if sum_up_to_c > u * below[-1])
    return y
