"""Activation functions, applied to each element of x. Attributes are numbers, or arrays that broadcast to x."""

from __future__ import annotations

import numpy as np

from refcoreml.definitions.functions import erf
from refcoreml.types import Array


def relu(x: Array) -> Array:
    """y = max(0, x)."""
    return np.maximum(0, x)


def leaky_relu(x: Array, alpha: float | Array) -> Array:
    """y = x where x >= 0, alpha * x elsewhere."""
    return np.where(x >= 0, x, alpha * x)


def thresholded_relu(x: Array, alpha: float) -> Array:
    """y = x where x >= alpha, 0 elsewhere."""
    return np.where(x >= alpha, x, 0)


def clamped_relu(x: Array, alpha: float, beta: float) -> Array:
    """y = min(beta, x) where x >= 0, min(beta, alpha * x) elsewhere."""
    return np.minimum(beta, np.where(x >= 0, x, alpha * x))


def tanh(x: Array) -> Array:
    """y = (e^x - e^-x) / (e^x + e^-x)."""
    return np.asarray((np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)))


def scaled_tanh(x: Array, alpha: float, beta: float) -> Array:
    """y = alpha * tanh(beta * x)."""
    return np.asarray(alpha * tanh(beta * x))


def sigmoid(x: Array) -> Array:
    """y = 1 / (1 + e^-x)."""
    return np.asarray(1 / (1 + np.exp(-x)))


def hard_sigmoid(x: Array, alpha: float, beta: float) -> Array:
    """y = min(max(alpha * x + beta, 0), 1)."""
    return np.asarray(np.minimum(np.maximum(alpha * x + beta, 0), 1))


def elu(x: Array, alpha: float) -> Array:
    """y = x where x >= 0, alpha * (e^x - 1) elsewhere."""
    return np.where(x >= 0, x, alpha * (np.exp(x) - 1))


def softsign(x: Array) -> Array:
    """y = x / (1 + |x|)."""
    return np.asarray(x / (1 + np.abs(x)))


def softplus(x: Array) -> Array:
    """y = ln(1 + e^x)."""
    return np.asarray(np.log(1 + np.exp(x)))


def parametric_softplus(x: Array, alpha: float | Array, beta: float | Array) -> Array:
    """y = alpha * ln(1 + e^(beta * x))."""
    return np.asarray(alpha * softplus(beta * x))


def gelu(x: Array) -> Array:
    """y = x * (1 + erf(x / sqrt(2))) / 2."""
    return np.asarray(x * (1 + erf(x / np.sqrt(2))) / 2)


def gelu_tanh(x: Array) -> Array:
    """y = x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2."""
    return np.asarray(x * (1 + tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2)


def silu(x: Array) -> Array:
    """y = x / (1 + e^-x)."""
    return np.asarray(x * sigmoid(x))


def gelu_sigmoid(x: Array) -> Array:
    """y = x / (1 + e^(-1.702 * x))."""
    return np.asarray(x * sigmoid(1.702 * x))
