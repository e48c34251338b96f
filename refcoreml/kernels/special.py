"""The error function and its relatives.

The two functions that are approximated are smooth where they are used: erf(x) / x on [-1, 1], in powers of x^2, and
the scaled complement (1 + 2 x) e^(x^2) erfc(x) on [0, 28], in powers of (x - 4) / (x + 4), which maps the half line to
[-1, 1). Both are interpolated at Chebyshev nodes, to 7e-18 and 5e-17; results are within 4 ulp in double precision
(`erf` within 2), and rounded once from there to narrower types.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refcoreml.kernels.elementwise import by_blocks
from refcoreml.kernels.threads import scratch
from refcoreml.types import Array

#: Beyond it erfc(x) is below the least double.
_END = 28.0

#: erf(x) / x - 1, by powers of x^2.
_ERF = (
    0.1283791670955126,
    -0.3761263890318375,
    0.11283791670954879,
    -0.026866170645076792,
    0.0052239776248180145,
    -0.000854832698083379,
    0.0001205533111164271,
    -1.4925595266831182e-05,
    1.6461000484121368e-06,
    -1.6350312701054695e-07,
    1.4659775274047436e-08,
    -1.1372848856791674e-09,
    5.957176147748911e-11,
)

#: (1 + 2 x) e^(x^2) erfc(x), by powers of (x - 4) / (x + 4).
_SCALED_ERFC = (
    1.2329951186255526,
    -0.1396211168405629,
    0.01537965210262074,
    0.06809705425473732,
    -0.10103906603635213,
    0.09373283499679412,
    -0.06633036581152939,
    0.03716751556249286,
    -0.016197734059115006,
    0.005031969755895426,
    -0.00075777334141333,
    -0.00019925550755614952,
    0.000150622243948303,
    -2.4403169244974074e-05,
    -1.1224789135154701e-05,
    5.7178872846321855e-06,
    3.0135049944875397e-07,
    -8.351619688696847e-07,
    6.270727157198311e-08,
    1.1534943745754157e-07,
    -7.71541861441783e-09,
    -1.3670989863347383e-08,
    -1.8206098680308682e-09,
)


#: The probability that a normally distributed number is below -d, divided by t e^(-d^2 / 2), by powers of
#: t = _MIDDLE / (_MIDDLE + d); for 0 <= d <= 14.6, to 2e-10. Below is nothing that single precision could hold.
_TAIL = (
    0.11283580697741644,
    0.1128978871858372,
    0.10305235900605586,
    0.09139730488370881,
    0.03341807345761398,
    0.12497470506193324,
    -0.204997332140273,
    0.3416417934233168,
    -0.39428101411390987,
    0.25049429096211334,
    -0.08279717542436907,
    0.01136330072043343,
)
_MIDDLE = 2.5 * np.sqrt(2)


def erf(x: Array, *, out: Array | None = None) -> Array:
    """y = 2 / sqrt(pi) * integral of e^(-t^2) from 0 to x.

    x: [*D] float. Returns [*D] in the type of x.
    """
    return by_blocks(_erf, x, out=out)


def erfc(x: Array, *, out: Array | None = None) -> Array:
    """y = 1 - erf(x), without the loss of digits where erf(x) is close to 1.

    x: [*D] float. Returns [*D] in the type of x.
    """
    return by_blocks(_erfc, x, out=out)


def normal_cdf(x: Array, *, out: Array | None = None) -> Array:
    """y = (1 + erf(x / sqrt(2))) / 2: the probability that a normally distributed number is below x.

    x: [*D] float. Returns [*D] in the type of x.
    """
    return by_blocks(_normal_cdf, x, out=out)


def gelu_of_single(x: Array) -> Array:
    """y = x * (1 + erf(x / sqrt(2))) / 2, to 2e-10 and thus nearly always as rounded once; 0 at -Inf.

    That is max(x, 0) less |x| times the probability of numbers below -|x|.

    x: [n] float64 that holds numbers of single precision, whose squares are exact; overwritten.
    """
    with scratch(2, x.size) as (d, t):
        np.abs(x, out=d)
        np.clip(d, 0, _END * np.sqrt(2), out=d)  # much faster than np.minimum with a number
        np.add(d, _MIDDLE, out=t)
        np.divide(_MIDDLE, t, out=t)
        y = _polynomial(_TAIL, t)
        y *= t
        y *= d
        np.square(d, out=d)
        d *= -0.5
        y *= np.exp(d, out=d)
    above: Array = np.clip(x, 0, np.inf, out=x)
    above -= y
    return above


def _erf(x: Array) -> Array:
    near = np.clip(x, -1.0, 1.0)
    y = _polynomial(_ERF, np.square(near))
    y *= near
    y += near
    far = np.abs(x) > 1
    if far.any():
        z = x[far]
        y[far] = np.copysign(1 - _erfc(np.abs(z)), z)
    return y


def _erfc(x: Array) -> Array:
    distance = np.minimum(np.abs(x), _END)
    y = _scaled_erfc(distance)
    y *= _exp_minus_square(distance, 1)
    return np.where(x < 0, 2 - y, y)


def _normal_cdf(x: Array) -> Array:
    # e^(-x^2 / 2) from x itself: the error of x / sqrt(2) would grow by x^2 in it.
    distance = np.minimum(np.abs(x), _END * np.sqrt(2))
    y = _scaled_erfc(distance * np.sqrt(0.5))
    y *= 0.5 * _exp_minus_square(distance, 2)
    return np.where(x > 0, 1 - y, y)


def _scaled_erfc(x: Array) -> Array:
    """e^(x^2) erfc(x) for 0 <= x <= 28."""
    y = _polynomial(_SCALED_ERFC, (x - 4) / (x + 4))
    y /= 1 + 2 * x
    return y


def _exp_minus_square(x: Array, divisor: int) -> Array:
    """e^(-x^2 / divisor), divisor a power of 2, with the digits of x^2 that one double does not hold (Dekker)."""
    square = np.square(x)
    shifted = x * 134217729.0  # 2^27 + 1
    high = shifted - (shifted - x)
    low = x - high
    rest = np.square(high) - square + 2 * high * low + np.square(low)
    y: Array = np.exp(square / -divisor)
    y -= y * (rest / divisor)
    return y


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """Return the sum of coefficients[i] * x^i (Horner)."""
    y = coefficients[-1] * x
    for coefficient in coefficients[-2:0:-1]:
        y += coefficient
        y *= x
    y += coefficients[0]
    return y
