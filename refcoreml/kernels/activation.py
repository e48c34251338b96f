"""Activation functions. All are elementwise and keep NaN; none overflows where its value is finite.

x is [*D] float; results have the shape and the type of x and are written to ``out`` if it is given, which may be x
itself.
Parameters are numbers, or arrays that broadcast to [*D]. In single precision every function is within 2 ulp of its
formula; where parameters stand inside, this holds for the rounded value of beta * x or alpha * x + beta.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refcoreml.kernels.elementwise import affine, by_blocks, exp, in_double, like
from refcoreml.kernels.special import gelu_of_single, normal_cdf
from refcoreml.types import Array


def relu(x: Array, *, out: Array | None = None) -> Array:
    """y = max(x, 0)."""
    # Several times faster than np.maximum with a number, and NaN stays NaN as well.
    return np.clip(x, like(0, x), like(np.inf, x), out=out)


def leaky_relu(x: Array, alpha: float | Array, *, out: Array | None = None) -> Array:
    """y = x where x >= 0, alpha * x elsewhere; with one alpha a channel, PReLU."""
    # One of the terms is zero at each place, so that the sum is exact for any finite alpha.
    negative = np.clip(x, like(-np.inf, x), like(0, x))
    negative *= like(alpha, x)
    y = relu(x, out=out)
    y += negative
    return y


def thresholded_relu(x: Array, alpha: float, *, out: Array | None = None) -> Array:
    """y = x where x >= alpha or x is NaN, 0 elsewhere: everywhere else, if alpha is NaN."""
    below = x < like(alpha, x) if alpha == alpha else x == x
    y = np.positive(x, out=out)
    np.copyto(y, like(0, x), where=below)
    return y


def tanh(x: Array, *, out: Array | None = None) -> Array:
    """y = (1 - e^(-2x)) / (1 + e^(-2x))."""
    # In half precision NumPy is 3 ulp off on some processors, at infinity, too.
    return in_double(np.tanh, x, out=out) if x.dtype == np.float16 else np.tanh(x, out=out)


def scaled_tanh(x: Array, alpha: float, beta: float, *, out: Array | None = None) -> Array:
    """y = alpha * tanh(beta * x)."""
    y: Array = np.multiply(x, like(beta, x), out=out)
    in_double(np.tanh, y, out=y)
    y *= like(alpha, x)
    return y


def sigmoid(x: Array, *, out: Array | None = None) -> Array:
    """y = 1 / (1 + e^-x), as e^x / (1 + e^x) for negative x; rounded once."""
    return by_blocks(_sigmoid, x, out=out)


def _sigmoid(x: Array) -> Array:
    power = np.negative(np.abs(x))
    np.exp(power, out=power)
    y: Array = (x >= 0).astype(x.dtype)
    np.maximum(y, power, out=y)  # e^-|x| is at most 1
    power += 1
    y /= power
    return y


def hard_sigmoid(x: Array, alpha: float, beta: float, *, out: Array | None = None) -> Array:
    """y = min(max(alpha * x + beta, 0), 1)."""
    y = affine(x, alpha, beta, out=out)
    np.maximum(y, like(0, x), out=y)
    return np.minimum(y, like(1, x), out=y)


def elu(x: Array, alpha: float, *, out: Array | None = None) -> Array:
    """y = x where x >= 0, alpha * (e^x - 1) elsewhere."""
    negative = np.minimum(x, like(0, x))
    with np.errstate(invalid="ignore"):  # some versions of NumPy say that expm1 of NaN is NaN
        in_double(np.expm1, negative, out=negative)
    negative *= like(alpha, x)
    y = relu(x, out=out)
    y += negative
    return y


def softsign(x: Array, *, out: Array | None = None) -> Array:
    """y = x / (1 + |x|), with the limits -1 and 1 at -Inf and Inf."""
    largest = np.finfo(x.dtype).max
    divisor = np.abs(x)
    np.minimum(divisor, largest, out=divisor)
    y: Array = np.clip(x, -largest, largest, out=out)
    divisor += like(1, x)
    y /= divisor
    return y


def softplus(x: Array, *, out: Array | None = None) -> Array:
    """y = ln(1 + e^x), as max(x, 0) + ln(1 + e^-|x|)."""
    rest = _exp_minus_abs(x)
    in_double(np.log1p, rest, out=rest)
    y = relu(x, out=out)
    y += rest
    return y


def parametric_softplus(x: Array, alpha: float | Array, beta: float | Array, *, out: Array | None = None) -> Array:
    """y = alpha * ln(1 + e^(beta * x))."""
    y: Array = np.multiply(x, like(beta, x), out=out)
    softplus(y, out=y)
    y *= like(alpha, x)
    return y


def _exp_minus_abs(x: Array) -> Array:
    y = np.abs(x)
    np.negative(y, out=y)
    return exp(y, out=y)


def clamped_relu(x: Array, alpha: float, beta: float, *, out: Array | None = None) -> Array:
    """y = min(beta, x) where x >= 0, min(beta, alpha * x) elsewhere."""
    y = leaky_relu(x, alpha, out=out)
    return np.minimum(y, like(beta, x), out=y)


def gelu(x: Array, *, out: Array | None = None) -> Array:
    """y = x * (1 + erf(x / sqrt(2))) / 2; 0 at -Inf."""
    return _gated(normal_cdf, x, out) if x.dtype == np.float64 else by_blocks(gelu_of_single, x, out=out)


def gelu_tanh(x: Array, *, out: Array | None = None) -> Array:
    """y = x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2; 0 at -Inf.

    (1 + tanh u) / 2 is the sigmoid of 2 u, which keeps its digits where tanh u is close to -1.
    """
    return _gated(lambda v: _sigmoid(np.sqrt(8 / np.pi) * v * (1 + 0.044715 * np.square(v))), x, out)


def gelu_sigmoid(x: Array, *, out: Array | None = None) -> Array:
    """y = x / (1 + e^(-1.702 * x)); 0 at -Inf."""
    return _gated(lambda v: _sigmoid(1.702 * v), x, out)


def silu(x: Array, *, out: Array | None = None) -> Array:
    """y = x / (1 + e^-x); 0 at -Inf."""
    return _gated(_sigmoid, x, out)


def _gated(gate: Callable[[Array], Array], x: Array, out: Array | None) -> Array:
    """y = x * gate(x) in double precision, for a gate that goes from 0 to 1 and has long done so at 1e100."""
    return by_blocks(lambda v: np.maximum(v, -1e100) * gate(np.clip(v, -1e100, 1e100)), x, out=out)
