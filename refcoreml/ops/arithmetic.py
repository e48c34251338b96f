"""Arithmetic of inputs that broadcast as in NumPy: aligned at the last axis, lengths are equal or 1.

Integers stay in their type and wrap around where a result does not fit. Integers divided by 0 give 0, quotient and
remainder, since no specification says what else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import elementwise as kernels
from refcoreml.ops.base import Broadcast, Combination
from refcoreml.types import Array

_NUMBERS = "fiu"


@dataclass(frozen=True)
class Add(Combination):
    """y = x_1 + x_2 + ..., from left to right."""

    kinds = _NUMBERS
    function = np.add
    several = commutes = True
    definition = definitions.add


@dataclass(frozen=True)
class Subtract(Combination):
    """y = a - b."""

    kinds = _NUMBERS
    function = np.subtract
    definition = definitions.subtract


@dataclass(frozen=True)
class Multiply(Combination):
    """y = x_1 * x_2 * ..., from left to right."""

    kinds = _NUMBERS
    function = np.multiply
    several = commutes = True
    definition = definitions.multiply


@dataclass(frozen=True)
class Divide(Combination):
    """y = a / b: Inf or -Inf for b = 0, NaN for 0 / 0; of integers the quotient, cut off toward zero."""

    kinds = _NUMBERS
    function = staticmethod(kernels.divide)
    definition = definitions.divide


@dataclass(frozen=True)
class FloorDivide(Combination):
    """y = the largest integer that is not above a / b, as Python's ``a // b``, but Inf or NaN for b = 0."""

    kinds = _NUMBERS
    function = staticmethod(kernels.floor_divide)
    definition = definitions.floor_divide


@dataclass(frozen=True)
class Modulo(Combination):
    """y = a - b * floor(a / b), with the sign of b, as Python's ``a % b``; NaN for b = 0."""

    kinds = _NUMBERS
    function = staticmethod(kernels.remainder)
    definition = definitions.modulo


@dataclass(frozen=True)
class Power(Combination):
    """y = a^b: NaN for a negative base with a fractional exponent; a^0 and 1^b are 1.

    Of integers with a negative exponent 1 / a^-b, cut off toward zero; 0 for a = 0.
    """

    kinds = _NUMBERS
    function = staticmethod(kernels.power)
    definition = definitions.power


@dataclass(frozen=True)
class Maximum(Combination):
    """y = max(x_1, ..., x_n); NaN where one of them is."""

    kinds = _NUMBERS
    function = np.maximum
    several = commutes = True
    definition = definitions.maximum


@dataclass(frozen=True)
class Minimum(Combination):
    """y = min(x_1, ..., x_n); NaN where one of them is."""

    kinds = _NUMBERS
    function = np.minimum
    several = commutes = True
    definition = definitions.minimum


@dataclass(frozen=True)
class Average(Broadcast):
    """y = (x_1 + ... + x_n) / n."""

    definition: ClassVar[Callable[..., Any]] = definitions.average

    def run(self, *inputs: Array) -> Array:
        return kernels.average(inputs)
