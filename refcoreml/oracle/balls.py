"""Midpoint-radius arithmetic: numbers that are known up to a radius, and what rounding adds to it.

A `Ball` stands for every array within ``rad`` of ``mid``, place by place. A `Rounding` computes with balls: the result
of an operation holds whatever the operation could give for any members of its arguments, by the standard model of
floating-point arithmetic, fl(a o b) = (a o b)(1 + d) + e with |d| <= unit, |e| <= tiny. Nothing is dropped: products of
radii are kept, so that there is no remainder of second order. Sums of n numbers are off by at most n * unit * sum |x|
in any order (Jeannerod and Rump 2013: without terms in unit^2, for any n). The derivations are in docs/oracle.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Doubles: TypeAlias = NDArray[np.float64]

#: Relative error of elementary functions in units of roundoff (1 ulp is at most 2): the errors that OpenCL C grants to
#: its full profile, the one public standard that both processors and graphics processors have to meet.
FUNCTIONS = {
    **dict.fromkeys(("exp", "exp2", "log"), 6.0),
    **dict.fromkeys(("sin", "cos", "asin", "acos", "sinh", "cosh", "asinh", "acosh"), 8.0),
    **dict.fromkeys(("tan", "atan", "tanh", "atanh"), 10.0),
    **dict.fromkeys(("erf", "pow"), 32.0),
    "sqrt": 6.0,
    # e^u - 1 and ln(1 + u) count as two operations: the function and an addition to it.
    **dict.fromkeys(("sigmoid", "softplus", "softsign", "elu", "gelu"), 16.0),
}
#: How far an argument may be off in units of roundoff: a factor such as log2 e or 1 / pi is rounded, and so is the
#: product of it and the argument.
ARGUMENT = 2.0


@dataclass(frozen=True)
class Ball:
    """All arrays x with |x - mid| <= rad, place by place; a radius may be infinite.

    Of what is no array of numbers, a list or a state of a program, both parts are one; see `refcoreml.oracle.radii`.
    """

    mid: Doubles
    rad: Doubles

    @staticmethod
    def exact(values: Any) -> Ball:
        """Return a ball of radius 0."""
        mid = np.asarray(values, np.float64)
        return Ball(mid, np.zeros_like(mid))

    @property
    def size(self) -> Doubles:
        """The largest magnitude within: |mid| + rad."""
        return np.abs(self.mid) + self.rad

    @property
    def certain(self) -> bool:
        """Whether all values are exact."""
        return not self.rad.any()

    def map(self, move: Callable[[Doubles], Doubles]) -> Ball:
        """Move values about without arithmetic."""
        return Ball(move(self.mid), move(self.rad))


@dataclass(frozen=True)
class Rounding:
    """Arithmetic with balls.

    Attributes:
        unit: relative error of one operation, 2^-24 for float32 rounded to nearest.
        tiny: absolute error of one operation that underflows: the least normal number, since subnormal ones may be
            flushed to zero.
        largest: beyond it a result may overflow.
        format: the type in which a result that it can hold is exact.
        whole: whether sums of multiples of a number are exact while they are small enough, as they are in any order; a
            fast algorithm with fractional constants does without.
    """

    unit: float
    tiny: float = 2.0**-126
    largest: float = np.inf
    format: type[np.floating[Any]] = np.float32
    whole: bool = True

    @staticmethod
    def of(format: type[np.floating[Any]]) -> Rounding:
        """Return the rounding to nearest in float16 or float32."""
        info = np.finfo(format)
        return Rounding(float(info.eps) / 2, float(info.tiny), float(info.max), format)

    def holds(self, values: Doubles) -> NDArray[np.bool_]:
        """Return where the format can represent a value, and flushing leaves it alone."""
        with np.errstate(over="ignore"):
            same = values.astype(self.format).astype(np.float64) == values
        return np.asarray((same & ((np.abs(values) >= self.tiny) | (values == 0))) | ~np.isfinite(values))

    def rounded(self, ball: Ball, count: float | Doubles = 1.0, size: Doubles | None = None) -> Ball:
        """Return the ball after ``count`` roundings of numbers not above ``size``, by default its largest magnitude.

        A single result underflows only where it may be below the least normal number; a sum's terms may anywhere.
        """
        reach = ball.size if size is None else size
        with np.errstate(invalid="ignore", over="ignore"):
            under = reach > 0 if size is not None else (reach > 0) & ~(np.abs(ball.mid) - ball.rad >= 2 * self.tiny)
            rad = (
                ball.rad + np.where(reach > 0, count * self.unit * reach, 0.0) + np.where(under, count * self.tiny, 0.0)
            )
            rad = np.where((reach > self.largest) | np.isnan(rad), np.inf, rad)
        # All numbers within a finite distance of an infinity are that infinity; NaN that is certain stays so as well.
        return Ball(ball.mid, np.where(~np.isfinite(ball.mid) & np.isfinite(ball.rad), 0.0, rad))

    def once(self, ball: Ball, *arguments: Ball) -> Ball:
        """Return one correctly rounded operation, exact if the arguments are and the format holds the result."""
        rounded = self.rounded(ball)
        exact = self.holds(ball.mid)
        for argument in arguments:
            exact = exact & (argument.rad == 0)
        return Ball(ball.mid, np.where(exact, 0.0, rounded.rad))

    def stored(self, ball: Ball) -> Ball:
        """Return the ball after a conversion to the format."""
        return self.once(ball, ball)

    def add(self, a: Ball, b: Ball) -> Ball:
        """Return a + b."""
        return self.once(Ball(a.mid + b.mid, a.rad + b.rad), a, b)

    def subtract(self, a: Ball, b: Ball) -> Ball:
        """Return a - b."""
        return self.once(Ball(a.mid - b.mid, a.rad + b.rad), a, b)

    def multiply(self, a: Ball, b: Ball) -> Ball:
        """Return a * b."""
        return self.once(Ball(a.mid * b.mid, _product(a, b)), a, b)

    def divide(self, a: Ball, b: Ball) -> Ball:
        """Return a / b, directly or by the reciprocal: (1 + d)^2."""
        inverse = self.reciprocal(b)
        quotient = self.rounded(Ball(a.mid / b.mid, _product(a, inverse)))
        return Ball(quotient.mid, np.where((a.mid == 0) & (a.rad == 0) & np.isfinite(inverse.rad), 0.0, quotient.rad))

    def reciprocal(self, a: Ball) -> Ball:
        """1 / a; of infinite radius where a may be 0: |1/(m+e) - 1/m| <= r / (|m| (|m| - r))."""
        least = np.abs(a.mid) - a.rad
        with np.errstate(all="ignore"):
            rad = np.where(least > 0, a.rad / (np.abs(a.mid) * least), np.where(a.rad == 0, 0.0, np.inf))
            rad = np.where(np.isinf(a.mid) & (a.rad == 0), 0.0, rad)
            return self.rounded(Ball(1 / a.mid, rad))

    def square(self, a: Ball) -> Ball:
        """a^2."""
        return self.multiply(a, a)

    def monotone(self, a: Ball, function: Callable[[Doubles], Doubles], name: str) -> Ball:
        """function(a) of a function that rises everywhere, or falls everywhere; NaN outside its domain.

        |y - f(x)| <= FUNCTIONS[name] * unit * |f| at an argument that is itself off by ARGUMENT * unit * |x|.
        """
        return self.rounded(Ball(function(a.mid), ends(function, self.reduced(a))), FUNCTIONS[name])

    def reduced(self, a: Ball) -> Ball:
        """Return an argument as an elementary function sees it."""
        with np.errstate(invalid="ignore"):
            slack = np.where(np.isfinite(a.mid), ARGUMENT * self.unit * np.abs(a.mid), 0.0)
        return Ball(a.mid, a.rad + slack)

    def root(self, a: Ball) -> Ball:
        """Return the square root; what may be below 0 counts as 0."""
        a = Ball(np.maximum(a.mid, 0), a.rad)
        return self.rounded(Ball(np.sqrt(a.mid), ends(lambda v: np.sqrt(np.maximum(v, 0)), a)), FUNCTIONS["sqrt"])

    def summed(self, total: Ball, count: float, size: Doubles, quantum: float = 0.0) -> Ball:
        """Return a sum of ``count`` rounded products, or of numbers, whose magnitudes sum up to ``size``.

        If all terms are multiples of ``quantum``, so are all partial sums, in any order; those up to quantum / unit are
        exact.
        """
        if self.whole and quantum >= self.tiny:
            exact = size * self.unit <= quantum
            return Ball(total.mid, np.where(exact, total.rad, self._sum(total, count, size, 0.0)))
        return Ball(total.mid, self._sum(total, count, size, self.tiny))

    def _sum(self, total: Ball, count: float, size: Doubles, tiny: float) -> Doubles:
        return Rounding(self.unit, tiny, self.largest).rounded(total, count, size).rad

    def sum(self, a: Ball, axes: tuple[int, ...]) -> Ball:
        """Return the sum along axes, which are kept, in any order."""
        count = int(np.prod([a.mid.shape[axis] for axis in axes]))
        total = Ball(a.mid.sum(axes, keepdims=True), a.rad.sum(axes, keepdims=True))
        return self.summed(total, count, a.size.sum(axes, keepdims=True), quantum(a))

    def mean(self, a: Ball, axes: tuple[int, ...]) -> Ball:
        """Return the mean along axes, which are kept: a sum, divided or multiplied by a rounded 1 / n."""
        total = self.sum(a, axes)
        count = a.mid.size / total.mid.size
        return self.shared(total, count)

    def running_mean(self, a: Ball, axes: tuple[int, ...]) -> Ball:
        """Return the mean for a normalization, as above or step by step: m_k = m_(k-1) + (a_k - m_(k-1)) / k (Welford).

        A rounding at step k counts k / n in the end. With up to three in the quotient and one in the sum they add up to
        u sum (k / n) (3 |a_k - m_(k-1)| / k + |m_k|) <= u max |a| (6 + (n + 1) / 2), integers or not.
        """
        mean = self.mean(a, axes)
        count = a.mid.size / mean.mid.size
        if count == 1:
            return mean
        off = Ball(mean.mid, a.rad.mean(axes, keepdims=True))
        steps = self.rounded(off, 6 + (count + 1) / 2, a.size.max(axes, keepdims=True))
        return Ball(mean.mid, np.maximum(mean.rad, steps.rad))

    def shared(self, total: Ball, count: Any) -> Ball:
        """Return total / count of a known count; a power of 2 divides exactly."""
        share = Ball(total.mid / count, total.rad / count)
        power = np.log2(count) % 1 == 0
        return Ball(share.mid, np.where(power, self.once(share, total).rad, self.rounded(share, 2.0).rad))

    def matmul(self, a: Ball, b: Ball) -> Ball:
        """Return a @ b, sums in any order; two more roundings for a bias and for a product computed in parts."""
        rad = a.rad @ np.abs(b.mid) + np.abs(a.mid) @ b.rad + a.rad @ b.rad
        return self.summed(Ball(a.mid @ b.mid, rad), a.mid.shape[-1] + 2, a.size @ b.size, quantum(a) * quantum(b))

    def standardize(
        self, x: Ball, axes: tuple[int, ...], epsilon: Ball, gamma: Ball | None = None, beta: Ball | None = None
    ) -> Ball:
        """(x - mean) / sqrt(mean((x - mean)^2) + epsilon) along axes, times gamma, plus beta."""
        mean = self.running_mean(x, axes)
        variance = self.mean(self.square(self.subtract(x, mean)), axes)
        return self.normalize(x, mean, self.root(self.add(variance, epsilon)), gamma, beta)

    def normalize(self, x: Ball, mean: Ball, root: Ball, gamma: Ball | None = None, beta: Ball | None = None) -> Ball:
        """(x - mean) / root * gamma + beta in any of three orders, whose bounds differ where terms cancel.

        As it stands; with one factor f = gamma / root; and folded into f * x + (beta - f * mean).
        """
        one, zero = Ball.exact(1.0), Ball.exact(0.0)
        factor = self.divide(gamma or one, root)
        centered = self.subtract(x, mean)
        plain = self.divide(centered, root)
        if gamma is not None:
            plain = self.multiply(plain, gamma)
        forms = [plain, self.multiply(centered, factor)]
        if beta is not None:
            forms = [self.add(form, beta) for form in forms]
        # Folded, f times x - mean, with the roundings of f x, f mean, beta - f mean and of their sum.
        shift = beta or zero
        exact = Ball(x.mid - mean.mid, x.rad + mean.rad)
        folded = Ball(exact.mid * factor.mid + shift.mid, _product(exact, factor) + shift.rad)
        slack = 1 + 4 * self.unit
        folded = self.rounded(folded, slack, factor.size * x.size + 2 * factor.size * mean.size + shift.size)
        forms.append(self.rounded(folded))
        return Ball(forms[0].mid, np.maximum.reduce([form.rad for form in forms]))

    def softmax(self, x: Ball, axis: int) -> Ball:
        """exp(x - max) / sum exp(x - max) along an axis.

        Term i lies between t_i - l_i and t_i + h_i (see `exponentials`), so that with S = sum t the quotient lies

            above by at most (h_i (S - t_i) + t_i L_i) / (S (S + h_i - L_i)),  L_i = sum of l_j over j != i,
            below by at most (l_i (S - t_i) + t_i H_i) / (S (S - l_i + H_i)),  H_i = sum of h_j over j != i.
        """
        terms, lower, higher = self.exponentials(x, (axis,))
        total = terms.sum(axis, keepdims=True)

        def off(own: Doubles, others: Doubles, sign: int) -> Doubles:
            rest = np.maximum(others.sum(axis, keepdims=True) - others, 0.0)
            return np.asarray((own * (total - terms) + terms * rest) / (total * (total + sign * (own - rest))))

        with np.errstate(all="ignore"):
            y = terms / total
            rad = np.maximum(off(higher, lower, 1), off(lower, higher, -1))
        # Any quotient is in [0, 1]; NaN stands for a quotient of infinite slacks.
        rad = np.where(np.isnan(y), 0.0, np.minimum(np.where(np.isnan(rad), 1.0, rad), 1.0))
        open_ = ~np.isfinite(x.rad).all(axis, keepdims=True)
        return self.rounded(Ball(y, np.where(open_, np.inf, rad)), x.mid.shape[axis] + 2)

    def exponentials(self, x: Ball, axes: tuple[int, ...]) -> tuple[Doubles, Doubles, Doubles]:
        """exp(x - c), c the largest midpoint along axes, and how far each such term may be below and above it.

        What an implementation subtracts cancels in quotients of terms; only the rounding of the difference, in terms
        of its own size, remains. The largest value is at most the largest upper end: entries that cannot be the
        maximum, such as masked ones, add nothing to it, however wide they are.
        """
        known = np.isfinite(x.rad)
        with np.errstate(all="ignore"):
            largest = (x.mid + x.rad).max(axes, keepdims=True)
            shifted = x.mid - x.mid.max(axes, keepdims=True)
            reach = largest - (x.mid - x.rad)
            argument = self.unit * (1 + ARGUMENT * (1 + self.unit)) * reach
            off = x.rad + argument - np.log1p(-FUNCTIONS["exp"] * self.unit)
            # e^(s + d) - e^s = e^(s + d) (1 - e^-d): 0 where even the upper end underflows. e^-inf is 0 for certain.
            terms, certain = np.exp(shifted), np.isinf(shifted) & known
            lower = np.where(certain, 0.0, -terms * np.expm1(-off))
            higher = np.where(certain, 0.0, -np.exp(shifted + off) * np.expm1(-off))
        return terms, np.where(known, lower, terms), np.where(known, higher, np.inf)

    def affine(self, x: Ball, scale: Ball, shift: Ball) -> Ball:
        """Return scale * x + shift."""
        return self.add(self.multiply(scale, x), shift)


#: Arithmetic of integers, which nothing rounds.
EXACT = Rounding(0.0, 0.0, np.inf, np.float64)


def quantum(ball: Ball) -> float:
    """Return the largest power of 2 that divides all values; 0 if they are not certain, infinite if all are 0."""
    if not ball.certain or not np.isfinite(ball.mid).all():
        return 0.0
    values = ball.mid[ball.mid != 0]
    if not values.size:
        return np.inf
    mantissa, exponent = np.frexp(values)
    digits = np.abs(np.ldexp(mantissa, 53)).astype(np.int64)
    return float(np.ldexp((digits & -digits).astype(np.float64), exponent - 53).min())


def _product(a: Ball, b: Ball) -> Doubles:
    with np.errstate(invalid="ignore"):
        rad: Doubles = (
            np.where(b.rad == 0, 0.0, np.abs(a.mid) * b.rad)
            + np.where(a.rad == 0, 0.0, a.rad * np.abs(b.mid))
            + np.where((a.rad == 0) | (b.rad == 0), 0.0, a.rad * b.rad)
        )
        for one, other in ((a, b), (b, a)):  # an infinity times what is certainly not 0 stays one
            rad = np.where(np.isinf(one.mid) & np.isfinite(one.rad) & (np.abs(other.mid) > other.rad), 0.0, rad)
    return np.where(np.isnan(rad), np.inf, rad)


def ends(function: Callable[..., Any], *balls: Ball) -> Doubles:
    """Return how far a function that rises (or falls) in all of its arguments can be from its value at the midpoints.

    Infinite where a radius is: what is open may be NaN as well, which no bounded function tames.
    """
    with np.errstate(all="ignore"):
        middle = np.asarray(function(*(ball.mid for ball in balls)), np.float64)
        high = np.asarray(function(*(ball.mid + ball.rad for ball in balls)), np.float64)
        low = np.asarray(function(*(ball.mid - ball.rad for ball in balls)), np.float64)
        rad = farther(middle, high, low)
    for ball in balls:
        rad = np.where(np.isinf(ball.rad), np.inf, rad)
    return rad


def corners(a: Ball, b: Ball) -> Iterator[tuple[Doubles, Doubles]]:
    """Yield the four combinations of the ends of two balls."""
    for s in (-1, 1):
        for t in (-1, 1):
            yield a.mid + s * a.rad, b.mid + t * b.rad


def whole(ball: Ball) -> bool:
    """Return whether all members of a ball have the same whole part."""
    return bool((np.trunc(ball.mid - ball.rad) == np.trunc(ball.mid + ball.rad)).all())


def farther(middle: Doubles, *others: Doubles) -> Doubles:
    """Return the largest distance of the others from the middle; infinite where it cannot be known."""
    with np.errstate(all="ignore"):
        distances = [np.where(other == middle, 0.0, np.abs(other - middle)) for other in others]
        largest: Doubles = np.maximum.reduce(distances)
    undefined = np.isnan(largest) & ~np.isnan(middle)
    return np.where(undefined, np.inf, np.where(np.isnan(middle), 0.0, largest))
