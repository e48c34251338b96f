"""Layers that draw random numbers.

Three distributions, each in three forms. The shape of the output is

- like: that of the input, whose values are not read;
- static: ``outputShape``, 1 to 5 numbers of at least 1;
- dynamic: what the input holds, a vector of 1 to 5 numbers of at least 1 (fractions are cut off; `InputError` for
  others, or for a blob above the limit of memory).

``seed`` of 0 or more: every prediction draws the same numbers (the schema does not say what a seed repeats). They are
not Core ML's, whose generator is not published; Apple's tests compare moments. Negative: new numbers in each
prediction. Converters write -1 where no seed is wanted; a seed that is unset reads 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.neuralnetwork.layers._checks import static_shape
from refcoreml.neuralnetwork.registry import Like, Node, layer


def _like(node: Node, distribution: Callable[..., ops.Op]) -> ops.Op:
    return Like(_dynamic(node, distribution))


def _static(node: Node, distribution: Callable[..., ops.Op]) -> ops.Op:
    return distribution(shape=static_shape(node, "outputShape"), **_common(node))


def _dynamic(node: Node, distribution: Callable[..., ops.Op]) -> ops.Op:
    return distribution(shape=None, **_common(node))


def _common(node: Node) -> dict[str, Any]:
    return {"seed": int(node.params.seed), "dtype": np.dtype(node.dtype)}


# ---- Normal distribution ----


def _normal(node: Node) -> Callable[..., ops.Op]:
    mean, deviation = node.params.mean, node.params.stdDev
    node.require(
        math.isfinite(mean) and 0 <= deviation < math.inf, f"mean is {mean}, stdDev {deviation}, expected stdDev >= 0"
    )
    return partial(ops.RandomNormal, mean=mean, deviation=deviation)


@layer("randomNormalLike")
def normal_like(node: Node) -> ops.Op:
    """y ~ N(mean, stdDev^2), in the shape of the input.

    Parameters: ``seed``; ``mean``, ``stdDev``, 0 if unset. Errors: a negative stdDev.
    Source: ``RandomNormalLikeLayerParams``.
    """
    return _like(node, _normal(node))


@layer("randomNormalStatic", inputs=0)
def normal_static(node: Node) -> ops.Op:
    """y ~ N(mean, stdDev^2), in the shape ``outputShape``.

    Otherwise as ``randomNormalLike``. Errors: an invalid shape. Source: ``RandomNormalStaticLayerParams``.
    """
    return _static(node, _normal(node))


@layer("randomNormalDynamic")
def normal_dynamic(node: Node) -> ops.Op:
    """y ~ N(mean, stdDev^2), in the shape that the input holds.

    Otherwise as ``randomNormalLike``. Errors: an invalid shape. Source: ``RandomNormalDynamicLayerParams``.
    """
    return _dynamic(node, _normal(node))


# ---- Uniform distribution ----


def _uniform(node: Node) -> Callable[..., ops.Op]:
    low, high = node.params.minVal, node.params.maxVal
    node.require(
        -math.inf < low <= high < math.inf, f"minVal is {low}, maxVal {high}, expected finite numbers, minVal <= maxVal"
    )
    return partial(ops.RandomUniform, low=low, high=high)


@layer("randomUniformLike")
def uniform_like(node: Node) -> ops.Op:
    """y ~ U[minVal, maxVal), in the shape of the input.

    Parameters: ``seed``; ``minVal``, ``maxVal``, 0 if unset. Errors: minVal above maxVal.
    Source: ``RandomUniformLikeLayerParams``.
    """
    return _like(node, _uniform(node))


@layer("randomUniformStatic", inputs=0)
def uniform_static(node: Node) -> ops.Op:
    """y ~ U[minVal, maxVal), in the shape ``outputShape``.

    Otherwise as ``randomUniformLike``. Errors: an invalid shape. Source: ``RandomUniformStaticLayerParams``.
    """
    return _static(node, _uniform(node))


@layer("randomUniformDynamic")
def uniform_dynamic(node: Node) -> ops.Op:
    """y ~ U[minVal, maxVal), in the shape that the input holds.

    Otherwise as ``randomUniformLike``. Errors: an invalid shape. Source: ``RandomUniformDynamicLayerParams``.
    """
    return _dynamic(node, _uniform(node))


# ---- Bernoulli distribution ----


def _bernoulli(node: Node) -> Callable[..., ops.Op]:
    probability = node.params.prob
    node.require(0 <= probability <= 1, f"prob is {probability}, expected 0 to 1")
    return partial(ops.RandomBernoulli, probability=probability)


@layer("randomBernoulliLike")
def bernoulli_like(node: Node) -> ops.Op:
    """y = 1 with the probability ``prob``, else 0, in the shape of the input.

    Parameters: ``seed``; ``prob``, 0 if unset. Errors: a prob outside of 0 to 1.
    Source: ``RandomBernoulliLikeLayerParams``.
    """
    return _like(node, _bernoulli(node))


@layer("randomBernoulliStatic", inputs=0)
def bernoulli_static(node: Node) -> ops.Op:
    """y = 1 with the probability ``prob``, else 0, in the shape ``outputShape``.

    Otherwise as ``randomBernoulliLike``. Errors: an invalid shape. Source: ``RandomBernoulliStaticLayerParams``.
    """
    return _static(node, _bernoulli(node))


@layer("randomBernoulliDynamic")
def bernoulli_dynamic(node: Node) -> ops.Op:
    """y = 1 with the probability ``prob``, else 0, in the shape that the input holds.

    Otherwise as ``randomBernoulliLike``. Errors: an invalid shape. Source: ``RandomBernoulliDynamicLayerParams``.
    """
    return _dynamic(node, _bernoulli(node))


# ---- Categorical distribution ----


@layer("categoricalDistribution")
def categorical_distribution(node: Node) -> ops.Op:
    """y[..., s] = a class c, drawn with the probability softmax(l / temperature)[..., c], independently for each s.

    Input: x [*D, C]. Output: [*D, numSamples], integers from 0 to C - 1. The logits l are x if ``isLogits``, else
    ln(x + eps) of the probabilities x.
    Parameters: ``seed``; ``numSamples``, 1 or more; ``eps`` 1e-10 if 0 or unset; ``temperature`` 1 if 0 or
    unset.
    Errors: numSamples below 1, a negative eps or temperature; C above 2^24 (float32); `InputError` where x is no
    distribution: a probability below 0, NaN, logits that are Inf or all -Inf.
    Source: ``CategoricalDistributionLayerParams``.
    Chosen: what ``eps`` does; the schema has its default only.
    """
    params = node.params
    samples, temperature, epsilon = int(params.numSamples), params.temperature or 1.0, params.eps or 1e-10
    node.require(samples >= 1, f"numSamples is {samples}, expected 1 or more")
    node.require(
        0 < temperature < math.inf and 0 < epsilon < math.inf,
        f"temperature is {temperature}, eps {epsilon}, expected positive numbers",
    )

    return ops.RandomCategorical(samples, int(params.seed), params.isLogits, temperature, epsilon)
