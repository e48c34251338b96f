"""Activation functions. Attributes are numbers, or arrays that broadcast to x."""

from __future__ import annotations

from dataclasses import dataclass

from refcoreml import definitions
from refcoreml.kernels import activation as kernels
from refcoreml.ops.base import Elementwise
from refcoreml.types import Array


@dataclass(frozen=True)
class ReLU(Elementwise):
    """y = max(0, x)."""

    moves = True
    kernel = staticmethod(kernels.relu)
    definition = definitions.relu


@dataclass(frozen=True, eq=False)
class LeakyReLU(Elementwise):
    """y = x where x >= 0, alpha * x elsewhere.

    Attributes:
        alpha: a number, or weights such as [C, 1, 1] for one per channel: then it is called PReLU.
    """

    alpha: float | Array

    kernel = staticmethod(kernels.leaky_relu)
    definition = definitions.leaky_relu


@dataclass(frozen=True)
class ThresholdedReLU(Elementwise):
    """y = x where x >= alpha, 0 elsewhere."""

    alpha: float

    kernel = staticmethod(kernels.thresholded_relu)
    definition = definitions.thresholded_relu


@dataclass(frozen=True)
class ClampedReLU(Elementwise):
    """y = min(beta, x) where x >= 0, min(beta, alpha * x) elsewhere."""

    alpha: float
    beta: float

    kernel = staticmethod(kernels.clamped_relu)
    definition = definitions.clamped_relu


@dataclass(frozen=True)
class Tanh(Elementwise):
    """y = (e^x - e^-x) / (e^x + e^-x)."""

    kernel = staticmethod(kernels.tanh)
    definition = definitions.tanh


@dataclass(frozen=True)
class ScaledTanh(Elementwise):
    """y = alpha * tanh(beta * x)."""

    alpha: float
    beta: float

    kernel = staticmethod(kernels.scaled_tanh)
    definition = definitions.scaled_tanh


@dataclass(frozen=True)
class Sigmoid(Elementwise):
    """y = 1 / (1 + e^-x)."""

    kernel = staticmethod(kernels.sigmoid)
    definition = definitions.sigmoid


@dataclass(frozen=True)
class HardSigmoid(Elementwise):
    """y = min(max(alpha * x + beta, 0), 1)."""

    alpha: float
    beta: float

    kernel = staticmethod(kernels.hard_sigmoid)
    definition = definitions.hard_sigmoid


@dataclass(frozen=True)
class ELU(Elementwise):
    """y = x where x >= 0, alpha * (e^x - 1) elsewhere."""

    alpha: float

    kernel = staticmethod(kernels.elu)
    definition = definitions.elu


@dataclass(frozen=True)
class Softsign(Elementwise):
    """y = x / (1 + |x|), with the limits -1 and 1 at -Inf and Inf."""

    kernel = staticmethod(kernels.softsign)
    definition = definitions.softsign


@dataclass(frozen=True)
class Softplus(Elementwise):
    """y = ln(1 + e^x), without overflow."""

    kernel = staticmethod(kernels.softplus)
    definition = definitions.softplus


@dataclass(frozen=True, eq=False)
class ParametricSoftplus(Elementwise):
    """y = alpha * ln(1 + e^(beta * x)).

    Attributes:
        alpha, beta: numbers, or weights such as [C, 1, 1] for one per channel.
    """

    alpha: float | Array
    beta: float | Array

    kernel = staticmethod(kernels.parametric_softplus)
    definition = definitions.parametric_softplus


@dataclass(frozen=True)
class GELU(Elementwise):
    """y = x * (1 + erf(x / sqrt(2))) / 2; 0 at -Inf."""

    kernel = staticmethod(kernels.gelu)
    definition = definitions.gelu


@dataclass(frozen=True)
class GELUTanh(Elementwise):
    """y = x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2, which approximates `GELU`; 0 at -Inf."""

    kernel = staticmethod(kernels.gelu_tanh)
    definition = definitions.gelu_tanh


@dataclass(frozen=True)
class GELUSigmoid(Elementwise):
    """y = x / (1 + e^(-1.702 * x)), which approximates `GELU`; 0 at -Inf."""

    kernel = staticmethod(kernels.gelu_sigmoid)
    definition = definitions.gelu_sigmoid


@dataclass(frozen=True)
class SiLU(Elementwise):
    """y = x / (1 + e^-x), also called swish; 0 at -Inf."""

    kernel = staticmethod(kernels.silu)
    definition = definitions.silu
