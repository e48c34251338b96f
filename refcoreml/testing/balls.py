"""Midpoint-radius arithmetic: numbers that are known up to a radius, and what rounding adds to it.

A `Ball` stands for every array within ``rad`` of ``mid``, place by place. A `Rounding` computes with balls: the result
of an operation holds whatever the operation could give for any members of its arguments, computed with a relative error
of at most ``unit`` an operation (the standard model of floating-point arithmetic: fl(a o b) = (a o b)(1 + d), |d| <=
unit). Sums of n numbers are off by at most n * unit * sum |x|, whatever the order of summation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Doubles: TypeAlias = NDArray[np.float64]

#: Relative error of an elementary function in units of roundoff: 4 ulp, where refcoreml's kernels promise 2.5.
FUNCTION = 8


@dataclass(frozen=True)
class Ball:
    """All arrays x with |x - mid| <= rad, place by place; a radius may be infinite."""

    mid: Doubles
    rad: Doubles

    @staticmethod
    def exact(values: Any) -> Ball:
        """Values known for certain."""
        mid = np.asarray(values, np.float64)
        return Ball(mid, np.zeros_like(mid))

    @property
    def size(self) -> Doubles:
        """The greatest magnitude within: |mid| + rad."""
        return np.abs(self.mid) + self.rad

    def map(self, move: Callable[[Doubles], Doubles]) -> Ball:
        """Moves values about without arithmetic."""
        return Ball(move(self.mid), move(self.rad))


@dataclass(frozen=True)
class Rounding:
    """Arithmetic with balls.

    Attributes:
        unit: relative error of one operation, 2^-24 for float32 rounded to nearest.
        tiny: absolute error of one operation that underflows, 2^-149 for float32.
    """

    unit: float
    tiny: float = 2.0**-149

    def rounded(self, ball: Ball, count: float = 1.0, size: Doubles | None = None) -> Ball:
        """The ball after ``count`` roundings of numbers not above ``size``, by default its own greatest magnitude."""
        size = ball.size if size is None else size
        return Ball(ball.mid, ball.rad + count * (self.unit * size + self.tiny))

    def add(self, a: Ball, b: Ball) -> Ball:
        """A + b."""
        return self.rounded(Ball(a.mid + b.mid, a.rad + b.rad))

    def subtract(self, a: Ball, b: Ball) -> Ball:
        """A - b."""
        return self.rounded(Ball(a.mid - b.mid, a.rad + b.rad))

    def multiply(self, a: Ball, b: Ball) -> Ball:
        """A * b."""
        return self.rounded(Ball(a.mid * b.mid, _product(a, b)))

    def divide(self, a: Ball, b: Ball) -> Ball:
        """A / b."""
        return self.multiply(a, self.reciprocal(b))

    def reciprocal(self, a: Ball) -> Ball:
        """1 / a; of infinite radius where a may be 0: |1/(m+e) - 1/m| <= r / (|m| (|m| - r))."""
        least = np.abs(a.mid) - a.rad
        with np.errstate(all="ignore"):
            rad = np.where(least > 0, a.rad / (np.abs(a.mid) * least), np.inf)
            return self.rounded(Ball(1 / a.mid, rad))

    def square(self, a: Ball) -> Ball:
        """a^2."""
        return self.multiply(a, a)

    def monotone(self, a: Ball, function: Callable[[Doubles], Doubles], count: float = FUNCTION) -> Ball:
        """function(a) of a function that rises everywhere, or falls everywhere; NaN outside its domain."""
        return self.rounded(Ball(function(a.mid), ends(function, a)), count)

    def root(self, a: Ball) -> Ball:
        """The square root; what may be below 0 counts as 0."""
        return self.monotone(Ball(np.maximum(a.mid, 0), a.rad), lambda v: np.sqrt(np.maximum(v, 0)), 1)

    def sum(self, a: Ball, axes: tuple[int, ...]) -> Ball:
        """The sum along axes, which are kept, in any order."""
        count = int(np.prod([a.mid.shape[axis] for axis in axes]))
        total = Ball(a.mid.sum(axes, keepdims=True), a.rad.sum(axes, keepdims=True))
        return self.rounded(total, count, a.size.sum(axes, keepdims=True))

    def mean(self, a: Ball, axes: tuple[int, ...]) -> Ball:
        """The mean along axes, which are kept."""
        total = self.sum(a, axes)
        count = a.mid.size / total.mid.size
        return self.rounded(Ball(total.mid / count, total.rad / count))

    def matmul(self, a: Ball, b: Ball) -> Ball:
        """A @ b, sums in any order; two more roundings for a bias and for a product computed in parts."""
        rad = a.rad @ np.abs(b.mid) + np.abs(a.mid) @ b.rad + a.rad @ b.rad
        return self.rounded(Ball(a.mid @ b.mid, rad), a.mid.shape[-1] + 2, a.size @ b.size)

    def standardize(self, x: Ball, axes: tuple[int, ...], epsilon: Ball) -> Ball:
        """(x - mean) / sqrt(mean((x - mean)^2) + epsilon) along axes."""
        centered = self.subtract(x, self.mean(x, axes))
        variance = self.mean(self.square(centered), axes)
        return self.divide(centered, self.root(self.add(variance, epsilon)))

    def softmax(self, x: Ball, axis: int) -> Ball:
        """exp(x - max) / sum exp(x - max) along an axis.

        In terms of ratios rather than balls: if every exponent is known within d, every term is within a factor
        e^(d_i) and the quotient within e^(d_i + max d).
        """
        shifted = x.mid - x.mid.max(axis, keepdims=True)
        terms = np.exp(shifted)
        y = terms / terms.sum(axis, keepdims=True)
        error = x.rad + self.unit * (np.abs(shifted) + x.rad + FUNCTION)
        factor = np.expm1(error + error.max(axis, keepdims=True))
        return self.rounded(Ball(y, y * factor), x.mid.shape[axis] + 2)

    def affine(self, x: Ball, scale: Ball, shift: Ball) -> Ball:
        """Scale * x + shift."""
        return self.add(self.multiply(scale, x), shift)


def _product(a: Ball, b: Ball) -> Doubles:
    with np.errstate(invalid="ignore"):
        rad = np.abs(a.mid) * b.rad + a.rad * np.abs(b.mid) + a.rad * b.rad
    return np.where(np.isnan(rad), np.inf, rad)


def ends(function: Callable[..., Any], *balls: Ball) -> Doubles:
    """How far a function that rises (or falls) in all of its arguments can be from its value at the midpoints."""
    with np.errstate(all="ignore"):
        middle = np.asarray(function(*(ball.mid for ball in balls)), np.float64)
        high = np.asarray(function(*(ball.mid + ball.rad for ball in balls)), np.float64)
        low = np.asarray(function(*(ball.mid - ball.rad for ball in balls)), np.float64)
        return farther(middle, high, low)


def farther(middle: Doubles, *others: Doubles) -> Doubles:
    """The greatest distance of the others from the middle; infinite where it cannot be known."""
    with np.errstate(all="ignore"):
        distances = [np.where(other == middle, 0.0, np.abs(other - middle)) for other in others]
        greatest: Doubles = np.maximum.reduce(distances)
    undefined = np.isnan(greatest) & ~np.isnan(middle)
    return np.where(undefined, np.inf, np.where(np.isnan(middle), 0.0, greatest))
