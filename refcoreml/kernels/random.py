"""Random numbers. The same seed gives the same numbers, in every type; they are not those of Core ML.

Numbers are drawn in double precision and rounded, so that every type of arithmetic sees the same ones.
"""

from __future__ import annotations

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import DTypeLike, NDArray

from refcoreml.kernels.elementwise import affine
from refcoreml.types import Array, Shape

__all__ = ["bernoulli", "categorical", "generator", "normal", "uniform"]


def generator(seed: int) -> Generator:
    """Return PCG64, seeded with ``seed`` if it is 0 or more, else with new entropy each time."""
    return Generator(PCG64(seed if seed >= 0 else None))


def normal(source: Generator, shape: Shape, mean: float, deviation: float, dtype: DTypeLike) -> Array:
    """y ~ N(mean, deviation^2), independent. Returns [*shape]."""
    y = source.standard_normal(shape)
    return affine(y, deviation, mean, out=y).astype(dtype, copy=False)


def uniform(source: Generator, shape: Shape, low: float, high: float, dtype: DTypeLike) -> Array:
    """y ~ U[low, high), independent; rounding can give ``high`` itself. Returns [*shape]."""
    y = source.random(shape)
    return affine(y, high - low, low, out=y).astype(dtype, copy=False)


def bernoulli(source: Generator, shape: Shape, probability: float, dtype: DTypeLike) -> Array:
    """y = 1 with the given probability, else 0, independent. Returns [*shape]."""
    return (source.random(shape) < probability).astype(dtype)


def categorical(source: Generator, probabilities: Array, samples: int) -> NDArray[np.intp]:
    """Draw ``samples`` class numbers from each distribution, independent, with replacement.

    probabilities: [*B, C], 0 or more, with a positive finite sum along the last axis, which need not be 1. Returns
    [*B, samples], integers from 0 to C - 1.
    """
    classes = probabilities.shape[-1]
    below = np.cumsum(probabilities, -1, np.float64)
    drawn = source.random((*probabilities.shape[:-1], samples)) * below[..., -1:]
    # The class drawn is the number of entries of `below` that are not above. Bit by bit, for all at once.
    y = np.zeros(drawn.shape, np.intp)
    # Beyond the last class with a chance there is none, whatever rounding does.
    last = classes - 1 - np.argmax((probabilities > 0)[..., ::-1], -1)[..., None]
    for bit in reversed(range((classes - 1).bit_length())):
        tried = y | (1 << bit)
        places = np.minimum(tried, classes) - 1
        y = np.where((tried <= last) & (np.take_along_axis(below, places, -1) <= drawn), tried, y)
    return y
