"""Arithmetic value by value (class ``ulp``), elementary functions and activations (class ``func``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from refcoreml.kernels import special
from refcoreml.oracle.balls import FUNCTIONS, Ball, Doubles, ends, farther, quantum
from refcoreml.oracle.rules.movement import corners, enum_name
from refcoreml.oracle.rules.table import Layer, bounded


@bounded("ulp", "add", "average", "addBroadcastable")
def _sum(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """x_1 + x_2 + ... in any order."""
    r = layer.rounding
    if layer.step.kind == "add" and len(balls) == 1:
        return [r.add(balls[0], layer.scalar("alpha")).rad]
    if len(balls) == 1:
        return [balls[0].rad]
    if len(balls) == 2 and layer.step.kind != "average":
        return [r.add(*balls).rad]
    mid, rad, size = (_added([getattr(ball, part) for ball in balls]) for part in ("mid", "rad", "size"))
    total = r.summed(Ball(mid, rad), len(balls) - 1, size, min(map(quantum, balls)))
    return [r.shared(total, len(balls)).rad if layer.step.kind == "average" else total.rad]


def _added(arrays: Sequence[Doubles]) -> Doubles:
    total: Doubles = np.zeros(())
    for array in arrays:
        total = total + array
    return total


@bounded("ulp", "subtractBroadcastable")
def _difference(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    return [layer.rounding.subtract(*balls).rad]


@bounded("ulp", "multiply", "multiplyBroadcastable")
def _product(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    product, *others = balls if len(balls) > 1 or layer.step.kind != "multiply" else [balls[0], layer.scalar("alpha")]
    for ball in others:
        product = layer.rounding.multiply(product, ball)
    return [product.rad]


@bounded("ulp", "divideBroadcastable")
def _quotient(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    return [layer.rounding.divide(*balls).rad]


def _floor(layer: Layer, a: Ball, b: Ball) -> Ball:
    """floor(a / b): certain where both ends have the same one; a quotient that is whole comes out as such."""
    quotient = a.mid / b.mid
    y = np.floor_divide(a.mid, b.mid)
    rad = layer.rounding.divide(a, b).rad
    whole = (quotient == np.rint(quotient)) & (a.mid == b.mid * np.rint(quotient)) & (a.rad == 0) & (b.rad == 0)
    rad = np.where(whole, 0.0, rad)
    return Ball(y, farther(y, np.floor(quotient - rad), np.floor(quotient + rad)))


@bounded("interval", "floorDivBroadcastable")
def _floored(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    floor = _floor(layer, *balls)
    return [layer.rounding.stored(floor).rad]


@bounded("interval", "modBroadcastable")
def _remainder(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """A - b * floor(a / b), by this formula or exactly."""
    a, b = balls
    y = layer.rounding.subtract(a, layer.rounding.multiply(b, _floor(layer, a, b)))
    return [y.rad]


@bounded("func", "powBroadcastable")
def _power(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    return [power(layer, *balls).rad]


def power(layer: Layer, a: Ball, b: Ball) -> Ball:
    """x^y: of positive bases e^(y ln x), greatest and least at corners. Others: certain whole exponents only,

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


_FUNCTIONS: dict[str, Callable[[Doubles], Doubles]] = {
    **{name: getattr(np, name) for name in ("exp2", "sinh", "tanh")},
    **{f"a{name}": getattr(np, f"arc{name}") for name in ("tan", "sinh", "sin", "cos", "tanh", "cosh")},
    "tan": np.tan,
    "erf": lambda v: np.asarray(special.erf(v), np.float64),
}


@bounded("func", *_FUNCTIONS)
def _function(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Functions that rise (or fall) on the interval; those with a domain are undetermined where an end leaves it."""
    (x,), kind = balls, layer.step.kind
    function, x = _FUNCTIONS[kind], balls[0]
    # Arguments need reduction only where the function is computed by a scaled or shifted argument.
    reduced = layer.rounding.reduced(x) if kind in ("exp2", "sinh", "tanh", "tan", "erf") else x
    rad = ends(function, reduced)
    if kind == "tan":  # rises between its poles
        low, high = (np.floor((x.mid + sign * reduced.rad) / np.pi + 0.5) for sign in (-1, 1))
        rad = np.where(low == high, rad, np.inf)
    return [layer.rounding.rounded(Ball(results[0], rad), FUNCTIONS[kind]).rad]


@bounded("func", "sin", "cos")
def _wave(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Changes by no more than its argument, nor by more than 2."""
    rad = layer.rounding.reduced(balls[0]).rad
    rad = np.where(np.isinf(rad), np.inf, np.minimum(rad, 2.0))
    return [
        layer.rounding.rounded(
            Ball(results[0], rad), FUNCTIONS[layer.step.kind], np.minimum(np.abs(results[0]) + rad, 1)
        ).rad
    ]


@bounded("func", "cosh")
def _even(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    x, size = layer.rounding.reduced(balls[0]), np.abs(balls[0].mid)
    rad = np.where(x.rad > 0, np.cosh(size + x.rad) - np.cosh(size), 0.0)
    return [layer.rounding.rounded(Ball(results[0], rad), FUNCTIONS["cosh"]).rad]


#: The steepest slopes of the three forms of gelu are 1.1290, 1.1290 and 1.0999.
_GELU_SLOPE = 1.13


@bounded("func", "gelu")
def _gelu(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """X * gate(x): the gate, in [0, 1], is a function of its own, whose error counts in terms of x.

    1 + erf cancels where x is negative, so that the gate's error is absolute. Its argument, a polynomial of x in the
    tanh form, takes five more roundings, relative to an argument u; |u gate'(u)| is below 0.3.
    """
    (x,), r = balls, layer.rounding
    gate = (FUNCTIONS["gelu"] + FUNCTIONS["erf"] + 5 * 0.3) * r.unit + r.tiny
    rad = _GELU_SLOPE * x.rad + np.where(x.size > 0, gate * x.size, 0.0)
    return [r.rounded(Ball(results[0], rad)).rad]


@bounded("func", "unary")
def _unary(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    params, r = layer.params, layer.rounding
    name, x = enum_name(layer, "type"), balls[0]
    if (params.scale or 1.0) != 1 or params.shift != 0:
        x = r.affine(x, layer.scalar("scale", 1.0), layer.scalar("shift"))
    if name == "ABS":
        return [x.rad]
    if name == "THRESHOLD":
        alpha = layer.scalar("alpha")
        return [np.where(x.mid - x.rad > alpha.mid + alpha.rad, x.rad, np.maximum(x.rad, alpha.rad))]
    if name == "POWER":
        return [power(layer, x, layer.scalar("alpha")).rad]
    if name == "EXP":
        return [r.monotone(x, np.exp, "exp").rad]
    if name == "SQRT":
        return [np.where(x.mid - x.rad >= 0, r.root(x).rad, np.where(x.mid + x.rad < 0, 0.0, np.inf))]
    epsilon = layer.scalar("epsilon", 1e-6)
    x = r.add(x, epsilon)
    if name == "LOG":
        return [logarithm(layer, x).rad]
    return [r.reciprocal(r.root(x) if name == "RSQRT" else x).rad]


def logarithm(layer: Layer, x: Ball) -> Ball:
    """Ln x: the argument may be off by a rounding, which is an absolute error."""
    least = x.mid - x.rad
    y = layer.rounding.monotone(x, np.log, "log")
    undefined = np.where(x.mid + x.rad < 0, 0.0, np.inf)
    return Ball(y.mid, np.where((least > 0) | ((x.mid == 0) & (x.rad == 0)), y.rad, undefined))


@bounded("func", "activation")
def _activation(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Rising functions at both ends; affine ones by balls; slopes of a ReLU by the greater of 1 and |alpha|."""
    (x,), r, scalar = balls, layer.rounding, layer.constants.scalar
    name = layer.params.WhichOneof("NonlinearityType")
    message = getattr(layer.params, name)
    if name == "linear":
        return [r.affine(x, scalar(message.alpha), scalar(message.beta)).rad]
    if name == "ReLU":
        return [ends(lambda v: np.maximum(v, 0), x)]
    if name == "thresholdedReLU":  # jumps from 0 to alpha
        alpha = scalar(message.alpha)
        crosses = (np.abs(x.mid - alpha.mid) <= x.rad + alpha.rad) & (x.rad + alpha.rad > 0)
        return [np.where(crosses, x.size + alpha.size, np.where(x.mid >= alpha.mid, x.rad, 0.0))]
    if name == "leakyReLU":
        return [_leaky(layer, x, scalar(message.alpha)).rad]
    if name == "PReLU":
        steepest = layer.run_variant("abs", lambda name, w, rad: np.maximum(np.abs(w) + rad, 1.0), -x.rad)
        off = layer.run_variant("radius", lambda name, w, rad: rad, -np.abs(x.mid))
        y = Ball(results[0], np.abs(steepest) + np.abs(off))
        return [np.where(x.mid > x.rad, x.rad, r.once(y, x, Ball(y.mid, np.abs(off))).rad)]
    if name == "sigmoidHard":
        y = r.affine(x, scalar(message.alpha), scalar(message.beta))
        return [ends(lambda v: np.clip(v, 0, 1), y)]
    if name == "scaledTanh":
        y = r.monotone(r.multiply(x, scalar(message.beta)), np.tanh, "tanh")
        return [r.multiply(y, scalar(message.alpha)).rad]
    if name == "ELU":
        y = r.multiply(_expm1(layer, x), scalar(message.alpha))
        positive = ends(lambda v: np.maximum(v, 0), x)
        return [np.where(x.mid - x.rad > 0, x.rad, np.where(x.mid + x.rad < 0, y.rad, y.rad + positive))]
    if name == "parametricSoftplus":
        return [_parametric_softplus(layer, x)]
    return [smooth(layer, name, x).rad]


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


SMOOTH: dict[str, Callable[[Doubles], Doubles]] = {
    "tanh": np.tanh,
    "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
    "softsign": lambda v: np.where(np.isinf(v), np.sign(v), v / (1 + np.abs(np.where(np.isinf(v), 0, v)))),
    "softplus": lambda v: np.logaddexp(0, v),
}


def smooth(layer: Layer, name: str, x: Ball) -> Ball:
    """tanh, sigmoid, softsign or softplus."""
    r = layer.rounding
    y = r.monotone(x, SMOOTH[name], name)
    if name == "softplus":
        # 1 + e^x rounds in terms of 1 before the logarithm. Some switch to x beyond 20, where ln(1 + e^-x) < 2.1e-9.
        rad = y.rad + np.where(x.mid - x.rad > 20, 2.1e-9, r.unit)
        return Ball(y.mid, np.where(np.isinf(x.mid) & (x.rad == 0), 0.0, rad))
    return y


def _parametric_softplus(layer: Layer, x: Ball) -> Any:
    """Alpha * ln(1 + e^(beta * x)) with a pair of numbers a channel."""
    message, r = layer.params.parametricSoftplus, layer.rounding
    axis = -3 if x.mid.ndim >= 3 else -1

    def along(name: str) -> Ball:
        length = max(1, _length(getattr(message, name)))
        ball = layer.weights(name, (length,), message=message)
        return ball.map(lambda v: v.reshape(-1, *(1,) * (-1 - axis)))

    return r.multiply(smooth(layer, "softplus", r.multiply(x, along("beta"))), along("alpha")).rad


def _length(weights: Any) -> int:
    """How many numbers are stored as floats."""
    return len(weights.floatValue) or len(weights.float16Value) // 2


@bounded("ulp", "clampedReLU")
def _clamped(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    y, beta = _leaky(layer, balls[0], layer.scalar("alpha")), layer.scalar("beta")
    return [
        np.where(
            y.mid + y.rad < beta.mid - beta.rad,
            y.rad,
            np.where(y.mid - y.rad > beta.mid + beta.rad, beta.rad, np.maximum(y.rad, beta.rad)),
        )
    ]
