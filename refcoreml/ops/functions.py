"""Functions of one number, applied to each element."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import elementwise as kernels
from refcoreml.kernels import special
from refcoreml.ops.base import Combination, Elementwise, Inplace, Op, bad_input, check_kinds
from refcoreml.types import Array, TensorType

_NUMBERS = "fiu"


@dataclass(frozen=True)
class Abs(Elementwise):
    """y = |x|."""

    moves = True
    kinds = _NUMBERS
    kernel = np.abs
    definition = definitions.absolute


@dataclass(frozen=True)
class Sign(Elementwise):
    """y = 1 where x > 0, -1 where x < 0, 0 where x = 0."""

    kinds = _NUMBERS
    kernel = np.sign
    definition = definitions.sign


@dataclass(frozen=True)
class Ceil(Elementwise):
    """y = the smallest integer that is not below x."""

    kernel = np.ceil
    definition = definitions.ceil


@dataclass(frozen=True)
class Floor(Elementwise):
    """y = the largest integer that is not above x."""

    kernel = np.floor
    definition = definitions.floor


@dataclass(frozen=True)
class Round(Elementwise):
    """y = the nearest integer, of two the even one."""

    kernel = np.rint
    definition = definitions.nearest


@dataclass(frozen=True)
class Clip(Elementwise):
    """y = min(max(x, low), high)."""

    low: float
    high: float

    kinds = _NUMBERS
    kernel = staticmethod(kernels.clip)
    definition = definitions.clip


@dataclass(frozen=True)
class Threshold(Elementwise):
    """y = max(alpha, x)."""

    alpha: float

    kinds = _NUMBERS
    kernel = staticmethod(kernels.threshold)
    definition = definitions.threshold


@dataclass(frozen=True)
class Sqrt(Elementwise):
    """y = sqrt(x); NaN below 0."""

    kernel = np.sqrt
    definition = definitions.sqrt


@dataclass(frozen=True)
class Rsqrt(Elementwise):
    """y = 1 / sqrt(x + epsilon): Inf at -epsilon, NaN below."""

    epsilon: float

    kernel = staticmethod(kernels.inverse_sqrt)
    definition = definitions.rsqrt


@dataclass(frozen=True)
class Inverse(Elementwise):
    """y = 1 / (x + epsilon)."""

    epsilon: float

    kernel = staticmethod(kernels.inverse)
    definition = definitions.inverse


@dataclass(frozen=True)
class Exp(Elementwise):
    """y = e^x."""

    kernel = staticmethod(kernels.exp)
    definition = definitions.exp


@dataclass(frozen=True)
class Exp2(Elementwise):
    """y = 2^x; of integers cut off toward zero, and wrapped around."""

    kinds = _NUMBERS
    kernel = staticmethod(kernels.exp2)
    definition = definitions.exp2


@dataclass(frozen=True)
class Log(Elementwise):
    """y = ln(x + epsilon): -Inf at -epsilon, NaN below."""

    epsilon: float = 0.0

    kernel = staticmethod(kernels.log)
    definition = definitions.log


@dataclass(frozen=True)
class Sin(Elementwise):
    """y = sin x, x in radians."""

    kernel = staticmethod(partial(kernels.in_double, np.sin))
    definition = definitions.sin


@dataclass(frozen=True)
class Cos(Elementwise):
    """y = cos x, x in radians."""

    kernel = staticmethod(partial(kernels.in_double, np.cos))
    definition = definitions.cos


@dataclass(frozen=True)
class Tan(Elementwise):
    """y = tan x, x in radians."""

    kernel = staticmethod(partial(kernels.in_double, np.tan))
    definition = definitions.tan


@dataclass(frozen=True)
class Asin(Elementwise):
    """y = the angle in [-pi/2, pi/2] whose sine is x; NaN outside of [-1, 1]."""

    kernel = staticmethod(partial(kernels.in_double, np.arcsin))
    definition = definitions.asin


@dataclass(frozen=True)
class Acos(Elementwise):
    """y = the angle in [0, pi] whose cosine is x; NaN outside of [-1, 1]."""

    kernel = staticmethod(partial(kernels.in_double, np.arccos))
    definition = definitions.acos


@dataclass(frozen=True)
class Atan(Elementwise):
    """y = the angle in [-pi/2, pi/2] whose tangent is x."""

    kernel = staticmethod(partial(kernels.in_double, np.arctan))
    definition = definitions.atan


@dataclass(frozen=True)
class Sinh(Elementwise):
    """y = (e^x - e^-x) / 2."""

    kernel = staticmethod(partial(kernels.in_double, np.sinh))
    definition = definitions.sinh


@dataclass(frozen=True)
class Cosh(Elementwise):
    """y = (e^x + e^-x) / 2."""

    kernel = staticmethod(partial(kernels.in_double, np.cosh))
    definition = definitions.cosh


@dataclass(frozen=True)
class Asinh(Elementwise):
    """y = ln(x + sqrt(x^2 + 1)): the number whose sinh is x."""

    kernel = staticmethod(partial(kernels.in_double, np.arcsinh))
    definition = definitions.asinh


@dataclass(frozen=True)
class Acosh(Elementwise):
    """y = ln(x + sqrt(x^2 - 1)): the number of 0 or more whose cosh is x; NaN below 1."""

    kernel = staticmethod(partial(kernels.in_double, np.arccosh))
    definition = definitions.acosh


@dataclass(frozen=True)
class Atanh(Elementwise):
    """y = ln((1 + x) / (1 - x)) / 2: the number whose tanh is x; NaN outside of [-1, 1]."""

    kernel = staticmethod(partial(kernels.in_double, np.arctanh))
    definition = definitions.atanh


@dataclass(frozen=True)
class Erf(Elementwise):
    """y = 2 / sqrt(pi) * the integral of e^(-t^2) from 0 to x."""

    kernel = staticmethod(special.erf)
    definition = definitions.erf


@dataclass(frozen=True)
class Cast(Op):
    """y = x in another type of numbers.

    x [*D] of floats, integers or booleans. To floats the nearest, Inf and -Inf beyond the largest; to integers without
    the fraction, the nearest of the type beyond its range, 0 for NaN; to booleans whether x differs from 0, as NaN
    does; true is 1 and false 0.

    Attributes:
        result: the type.
        strict: whether integers that do not fit another integer type are an error. What Core ML makes of them is not
            specified: some of its units keep the value, others lose it.
    """

    result: np.dtype[Any]
    strict: bool = True

    definition = definitions.cast

    def infer(self, x: TensorType) -> TensorType:
        check_kinds(x, "fiub")
        return x.with_dtype(self.result)

    def run(self, x: Array) -> Array:
        y = np.asarray(kernels.cast(x, self.result))
        if self.strict and x.dtype.kind in "iu" and self.result.kind in "iu" and (lost := y != x).any():
            place = tuple(int(i) for i in np.unravel_index(lost.argmax(), lost.shape))
            bad_input(
                f"the value at {place} is {x[place]}, which {self.result} cannot represent",
                f"{int(lost.sum())} of {x.size} values do not fit; Core ML's result would be undefined",
            )
        return y

    def define(self, x: Array) -> Array:
        return definitions.cast(np.asarray(x, np.float64), self.result)


@dataclass(frozen=True)
class Affine(Elementwise):
    """y = scale * x + shift, the product rounded before the sum."""

    scale: float
    shift: float

    kinds = _NUMBERS
    kernel = staticmethod(kernels.affine)
    definition = definitions.affine


@dataclass(frozen=True, eq=False)
class Scale(Elementwise):
    """y = scale * x + bias, of weights that broadcast to x.

    Attributes:
        scale: weights, such as [C, 1, 1] for one number per channel; None for 1.
        bias: likewise; None for 0.
    """

    scale: Array | None
    bias: Array | None

    kernel = staticmethod(kernels.scale)
    definition = definitions.scale


@dataclass(frozen=True)
class Chain(Elementwise):
    """y = f_n(... f_1(x)): elementwise operations one after another, whose attributes are numbers."""

    parts: tuple[Elementwise | Combination, ...]

    def infer(self, x: TensorType) -> TensorType:
        for part in self.parts:
            x = part.infer(x)
        return x

    def compute(self, x: Array, *, out: Array | None = None) -> Array:
        for part in self.parts:
            x = out = part.compute(x, out=out)
        return x

    @property
    def inplace(self) -> Inplace | None:  # type: ignore[override]
        """Those of all parts."""
        forms = [part.inplace for part in self.parts]

        def overwrite(block: Array, channels: slice) -> None:
            for form in forms:
                assert form is not None  # attributes are numbers
                form(block, channels)

        return overwrite

    def define(self, x: Array) -> Any:
        for part in self.parts:
            x = part.define(x)
        return x
