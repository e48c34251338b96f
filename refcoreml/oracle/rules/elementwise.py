"""Arithmetic value by value (class ``ulp``), elementary functions and activations (class ``func``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.kernels import special
from refcoreml.ops.base import Combination
from refcoreml.oracle.balls import FUNCTIONS, Ball, Doubles, corners, ends, farther, quantum
from refcoreml.oracle.rules.table import RULES, Layer, bounded


def _operands(layer: Layer, balls: list[Ball]) -> list[Ball]:
    """Return the inputs, and the number that stands for one."""
    assert isinstance(layer.op, Combination)
    return balls if layer.op.other is None else [*balls, layer.constant("other")]


@bounded("ulp", ops.Add, ops.Average)
def _sum(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """x_1 + x_2 + ... in any order."""
    r, mean = layer.rounding, isinstance(layer.op, ops.Average)
    balls = balls if mean else _operands(layer, balls)
    if len(balls) == 1:
        return [balls[0].rad]
    if len(balls) == 2 and not mean:
        return [r.add(*balls).rad]
    mid, rad, size = (_added([getattr(ball, part) for ball in balls]) for part in ("mid", "rad", "size"))
    total = r.summed(Ball(mid, rad), len(balls) - 1, size, min(map(quantum, balls)))
    return [r.shared(total, len(balls)).rad if mean else total.rad]


def _added(arrays: Sequence[Doubles]) -> Doubles:
    total: Doubles = np.zeros(())
    for array in arrays:
        total = total + array
    return total


@bounded("ulp", ops.Subtract)
def _difference(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    return [layer.rounding.subtract(*_operands(layer, balls)).rad]


@bounded("ulp", ops.Multiply)
def _product(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    product, *others = _operands(layer, balls)
    for ball in others:
        product = layer.rounding.multiply(product, ball)
    return [product.rad]


@bounded("ulp", ops.Divide)
def _quotient(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    return [layer.rounding.divide(*_operands(layer, balls)).rad]


def _floor(layer: Layer, a: Ball, b: Ball) -> Ball:
    """floor(a / b): certain where both ends have the same one; a quotient that is whole comes out as such."""
    quotient = a.mid / b.mid
    y = np.floor_divide(a.mid, b.mid)
    rad = layer.rounding.divide(a, b).rad
    whole = (quotient == np.rint(quotient)) & (a.mid == b.mid * np.rint(quotient)) & (a.rad == 0) & (b.rad == 0)
    rad = np.where(whole, 0.0, rad)
    return Ball(y, farther(y, np.floor(quotient - rad), np.floor(quotient + rad)))


@bounded("interval", ops.FloorDivide)
def _floored(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    floor = _floor(layer, *_operands(layer, balls))
    return [layer.rounding.stored(floor).rad]


@bounded("interval", ops.Modulo)
def _remainder(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound a - b * floor(a / b), by this formula or exactly."""
    a, b = _operands(layer, balls)
    y = layer.rounding.subtract(a, layer.rounding.multiply(b, _floor(layer, a, b)))
    return [y.rad]


@bounded("func", ops.Power)
def _power(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    return [power(layer, *_operands(layer, balls)).rad]


def power(layer: Layer, a: Ball, b: Ball) -> Ball:
    """x^y: of positive bases e^(y ln x), largest and smallest at corners. Others: certain whole exponents only,

    where | |x + r|^n - |x|^n | bounds the change.
    """
    r = layer.rounding
    middle = np.power(a.mid, b.mid)
    positive = a.mid - a.rad > 0
    found = farther(middle, *(np.power(x, y) for x, y in corners(a, b)))
    size = np.abs(a.mid)
    whole = (b.rad == 0) & (b.mid == np.rint(b.mid))
    grown = np.abs(np.power(size + np.where(b.mid < 0, -a.rad, a.rad), b.mid) - np.power(size, b.mid))
    grown = np.where((b.mid < 0) & (size <= a.rad) & (a.rad > 0), np.inf, grown)
    rad = np.where(positive, found, np.where(whole, grown, np.where((a.rad == 0) & (b.rad == 0), 0.0, np.inf)))
    # As e^(y ln x) the exponent is off by the roundings of ln x and of the product.
    logarithm = np.where(size > 0, np.abs(b.mid * np.log(np.where(size > 0, size, 1.0))), 0.0)
    exponent = np.where(np.isfinite(logarithm), logarithm, 0.0)
    y = r.rounded(Ball(middle, rad), FUNCTIONS["pow"] + 2 * exponent)
    certain = (a.rad == 0) & (b.rad == 0) & (whole & (b.mid >= 0) & (b.mid <= 1))
    return Ball(middle, np.where(certain, 0.0, y.rad))


#: Functions that rise, or fall, wherever they are defined, and their names in `FUNCTIONS`.
_MONOTONE: dict[type[ops.Op], tuple[str, Callable[[Doubles], Doubles]]] = {
    ops.Exp: ("exp", np.exp),
    ops.Exp2: ("exp2", np.exp2),
    ops.Sinh: ("sinh", np.sinh),
    ops.Tan: ("tan", np.tan),
    ops.Erf: ("erf", lambda v: np.asarray(special.erf(v), np.float64)),
    ops.Asin: ("asin", np.arcsin),
    ops.Acos: ("acos", np.arccos),
    ops.Atan: ("atan", np.arctan),
    ops.Asinh: ("asinh", np.arcsinh),
    ops.Acosh: ("acosh", np.arccosh),
    ops.Atanh: ("atanh", np.arctanh),
}
#: Those that are computed by a scaled or shifted argument, which needs reduction.
_REDUCED = (ops.Exp, ops.Exp2, ops.Sinh, ops.Tan, ops.Erf)


@bounded("func", *_MONOTONE)
def _function(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound monotonic functions; those with a domain are undetermined where an end of the interval leaves it."""
    (x,), (name, function) = balls, _MONOTONE[type(layer.op)]
    reduced = layer.rounding.reduced(x) if isinstance(layer.op, _REDUCED) else x
    rad = ends(function, reduced)
    if isinstance(layer.op, ops.Tan):  # rises between its poles
        low, high = (np.floor((x.mid + sign * reduced.rad) / np.pi + 0.5) for sign in (-1, 1))
        rad = np.where(low == high, rad, np.inf)
    return [layer.rounding.rounded(Ball(results[0], rad), FUNCTIONS[name]).rad]


@bounded("func", ops.Sin, ops.Cos)
def _wave(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Change by no more than its argument, nor by more than 2."""
    rad = layer.rounding.reduced(balls[0]).rad
    rad = np.where(np.isinf(rad), np.inf, np.minimum(rad, 2.0))
    count = FUNCTIONS["sin" if isinstance(layer.op, ops.Sin) else "cos"]
    return [layer.rounding.rounded(Ball(results[0], rad), count, np.minimum(np.abs(results[0]) + rad, 1)).rad]


@bounded("func", ops.Cosh)
def _even(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    x, size = layer.rounding.reduced(balls[0]), np.abs(balls[0].mid)
    rad = np.where(x.rad > 0, np.cosh(size + x.rad) - np.cosh(size), 0.0)
    return [layer.rounding.rounded(Ball(results[0], rad), FUNCTIONS["cosh"]).rad]


#: The steepest slopes of the three forms of gelu are 1.1290, 1.1290 and 1.0999.
_GELU_SLOPE = 1.13


@bounded("func", ops.GELU, ops.GELUTanh, ops.GELUSigmoid)
def _gelu(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """x * gate(x): the gate, in [0, 1], is a function of its own, whose error counts in terms of x.

    1 + erf cancels where x is negative, so that the gate's error is absolute. Its argument, a polynomial of x in the
    tanh form, takes five more roundings, relative to an argument u; |u gate'(u)| is below 0.3.
    """
    (x,), r = balls, layer.rounding
    gate = (FUNCTIONS["gelu"] + FUNCTIONS["erf"] + 5 * 0.3) * r.unit + r.tiny
    rad = _GELU_SLOPE * x.rad + np.where(x.size > 0, gate * x.size, 0.0)
    return [r.rounded(Ball(results[0], rad)).rad]


@bounded("func", ops.Chain)
def _chain(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound one after another."""
    assert isinstance(layer.op, ops.Chain)
    (ball,) = balls
    for part in layer.op.parts:
        y: Any = part.run(ball.mid)
        (rad,) = RULES[type(part)](replace(layer, form=part), [ball], [y])
        ball = Ball(y, rad)
    return [ball.rad]


@bounded("func", ops.Affine)
def _affine(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    return [layer.rounding.affine(balls[0], layer.constant("scale"), layer.constant("shift")).rad]


@bounded("func", ops.Abs)
def _abs(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    return [balls[0].rad]


@bounded("func", ops.Threshold)
def _threshold(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (x,), alpha = balls, layer.constant("alpha")
    return [np.where(x.mid - x.rad > alpha.mid + alpha.rad, x.rad, np.maximum(x.rad, alpha.rad))]


@bounded("func", ops.Sqrt)
def _sqrt(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (x,) = balls
    return [np.where(x.mid - x.rad >= 0, layer.rounding.root(x).rad, np.where(x.mid + x.rad < 0, 0.0, np.inf))]


@bounded("func", ops.Rsqrt, ops.Inverse, ops.Log)
def _of_sum(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound a function of x + epsilon."""
    assert isinstance(layer.op, ops.Rsqrt | ops.Inverse | ops.Log)
    r, x = layer.rounding, balls[0]
    x = r.add(x, layer.constant("epsilon")) if layer.op.epsilon else x
    if isinstance(layer.op, ops.Log):
        return [logarithm(layer, x).rad]
    return [r.reciprocal(r.root(x) if isinstance(layer.op, ops.Rsqrt) else x).rad]


def logarithm(layer: Layer, x: Ball) -> Ball:
    """ln x: the argument may be off by a rounding, which is an absolute error."""
    least = x.mid - x.rad
    y = layer.rounding.monotone(x, np.log, "log")
    undefined = np.where(x.mid + x.rad < 0, 0.0, np.inf)
    return Ball(y.mid, np.where((least > 0) | ((x.mid == 0) & (x.rad == 0)), y.rad, undefined))


@bounded("func", ops.ReLU)
def _relu(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    return [ends(lambda v: np.maximum(v, 0), balls[0])]


@bounded("func", ops.ThresholdedReLU)
def _thresholded(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound a function that jumps from 0 to alpha."""
    (x,), alpha = balls, layer.constant("alpha")
    crosses = (np.abs(x.mid - alpha.mid) <= x.rad + alpha.rad) & (x.rad + alpha.rad > 0)
    return [np.where(crosses, x.size + alpha.size, np.where(x.mid >= alpha.mid, x.rad, 0.0))]


@bounded("func", ops.LeakyReLU)
def _leaky_relu(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound the function; an error of x grows by at most the larger of 1 and |alpha|."""
    assert isinstance(layer.op, ops.LeakyReLU)
    (x,), r, alpha = balls, layer.rounding, layer.constant("alpha")
    if not isinstance(layer.op.alpha, np.ndarray):
        return [_leaky(layer, x, alpha).rad]
    steepest = np.maximum(alpha.size, 1.0) * x.rad
    off = alpha.rad * np.abs(x.mid)
    return [np.where(x.mid > x.rad, x.rad, r.once(Ball(results[0], steepest + off), x, Ball(results[0], off)).rad)]


@bounded("func", ops.HardSigmoid)
def _hard_sigmoid(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    y = layer.rounding.affine(balls[0], layer.constant("alpha"), layer.constant("beta"))
    return [ends(lambda v: np.clip(v, 0, 1), y)]


@bounded("func", ops.ScaledTanh)
def _scaled_tanh(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    r = layer.rounding
    y = r.monotone(r.multiply(balls[0], layer.constant("beta")), np.tanh, "tanh")
    return [r.multiply(y, layer.constant("alpha")).rad]


@bounded("func", ops.ELU)
def _elu(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (x,) = balls
    y = layer.rounding.multiply(_expm1(layer, x), layer.constant("alpha"))
    positive = ends(lambda v: np.maximum(v, 0), x)
    return [np.where(x.mid - x.rad > 0, x.rad, np.where(x.mid + x.rad < 0, y.rad, y.rad + positive))]


def _leaky(layer: Layer, x: Ball, alpha: Ball) -> Ball:
    """x, or alpha * x where it is negative."""
    r = layer.rounding
    product = r.multiply(x, alpha)
    either = Ball(product.mid, np.maximum(product.rad, x.rad) + np.where(np.abs(x.mid) <= x.rad, x.rad, 0.0))
    rad = np.where(x.mid - x.rad >= 0, x.rad, np.where(x.mid + x.rad < 0, product.rad, either.rad))
    return Ball(np.where(x.mid >= 0, x.mid, product.mid), rad)


def _expm1(layer: Layer, x: Ball) -> Ball:
    """e^x - 1 of what is negative, directly or as a difference, which rounds in terms of 1."""
    r = layer.rounding
    negative = Ball(np.minimum(x.mid, 0), x.rad)
    y = np.expm1(negative.mid)
    rad = ends(lambda v: np.expm1(np.minimum(v, 0)), r.reduced(negative))
    moved = np.where(negative.mid < 0, r.unit * (FUNCTIONS["exp"] * (1 + y) + 1), 0.0)
    return r.rounded(Ball(y, rad + moved))


@bounded("func", ops.SiLU)
def _silu(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """x * sigmoid(x), or x / (1 + e^-x), with one more rounding."""
    (x,), r = balls, layer.rounding
    return [r.rounded(r.multiply(x, r.monotone(x, _SMOOTH[ops.Sigmoid][1], "sigmoid"))).rad]


@bounded("ulp", ops.Cast)
def _cast(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound numbers in another type: integers and booleans jump; floats are rounded as they are stored."""
    (x,), (y,), op = balls, results, layer.op
    assert isinstance(op, ops.Cast)
    if op.result.kind == "f":
        return [x.rad if layer.inputs[0].dtype.kind == "f" else layer.rounding.stored(x).rad]
    if op.result.kind == "b":
        return [np.where((np.abs(x.mid) > x.rad) | (x.rad == 0), 0.0, 1.0)]
    limits = np.iinfo(op.result)
    low, high = (np.clip(np.trunc(x.mid + sign * x.rad), limits.min, limits.max) for sign in (-1, 1))
    return [np.where(np.isnan(x.mid), np.inf, farther(y, low, high))]


#: Functions that rise everywhere, and their names in `FUNCTIONS`.
_SMOOTH: dict[type[ops.Op], tuple[str, Callable[[Doubles], Doubles]]] = {
    ops.Tanh: ("tanh", np.tanh),
    ops.Sigmoid: ("sigmoid", lambda v: np.exp(-np.logaddexp(0, -v))),  # above 0 where e^-v overflows, too
    ops.Softsign: (
        "softsign",
        lambda v: np.where(np.isinf(v), np.sign(v), v / (1 + np.abs(np.where(np.isinf(v), 0, v)))),
    ),
}


@bounded("func", *_SMOOTH)
def _smooth(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    name, function = _SMOOTH[type(layer.op)]
    return [layer.rounding.monotone(balls[0], function, name).rad]


@bounded("func", ops.Softplus)
def _softplus(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    return [softplus(layer, balls[0]).rad]


def softplus(layer: Layer, x: Ball) -> Ball:
    """ln(1 + e^x): 1 + e^x rounds in terms of 1 before the logarithm.

    Some switch to x beyond 20, where ln(1 + e^-x) < 2.1e-9.
    """
    y = layer.rounding.monotone(x, lambda v: np.logaddexp(0, v), "softplus")
    rad = y.rad + np.where(x.mid - x.rad > 20, 2.1e-9, layer.rounding.unit)
    return Ball(y.mid, np.where(np.isinf(x.mid) & (x.rad == 0), 0.0, rad))


@bounded("func", ops.ParametricSoftplus)
def _parametric_softplus(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """alpha * ln(1 + e^(beta * x))."""
    r = layer.rounding
    y = softplus(layer, r.multiply(balls[0], layer.constant("beta")))
    return [r.multiply(y, layer.constant("alpha")).rad]


@bounded("ulp", ops.ClampedReLU)
def _clamped(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    y, beta = _leaky(layer, balls[0], layer.constant("alpha")), layer.constant("beta")
    return [
        np.where(
            y.mid + y.rad < beta.mid - beta.rad,
            y.rad,
            np.where(y.mid - y.rad > beta.mid + beta.rad, beta.rad, np.maximum(y.rad, beta.rad)),
        )
    ]
