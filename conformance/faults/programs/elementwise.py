"""Faults in activations, arithmetic, comparisons, functions and casts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from conformance.faults.programs.parts import exchanged, given, with_fields, without_default
from conformance.faults.programs.ways import Array, operation, parameters, result, version
from refcoreml.errors import InvalidModelError
from refcoreml.mil.node import Node

# ---- Activations ----

result("relu6: not bounded from below", "relu6", lambda node, run, x: np.minimum(x, 6))
result("relu6: not bounded from above", "relu6", lambda node, run, x: np.maximum(x, 0))
result(
    "leaky_relu: the maximum of x and alpha x",
    "leaky_relu",
    lambda node, run, x: np.maximum(x, np.float32(node.number("alpha")) * x),
)
result(
    "leaky_relu: alpha is subtracted below 0",
    "leaky_relu",
    lambda node, run, x: np.where(x < 0, x - np.float32(node.number("alpha")), x),
)
result(
    "clamped_relu: only numbers above 0 are bounded",
    "clamped_relu",
    lambda node, run, x: np.where(x < 0, np.float32(node.number("alpha")) * x, run(x)),
)
parameters("clamped_relu: alpha and beta exchanged", "clamped_relu", exchanged("alpha", "beta"))
result(
    "thresholded_relu: strict comparison",
    "thresholded_relu",
    lambda node, run, x: np.where(x > np.float32(node.number("alpha")), x, 0),
)
result(
    "thresholded_relu: alpha for 0 below the threshold",
    "thresholded_relu",
    lambda node, run, x: np.maximum(x, np.float32(node.number("alpha"))),
)
result(
    "elu: the 1 is not subtracted",
    "elu",
    lambda node, run, x: np.where(x < 0, node.number("alpha") * np.exp(np.minimum(x, 0)), x),
)
parameters("elu: alpha is always 1", "elu", given(alpha=1.0))
parameters("sigmoid_hard: alpha and beta exchanged", "sigmoid_hard", exchanged("alpha", "beta"))
parameters("sigmoid_hard: always 0.2 and 0.5", "sigmoid_hard", given(alpha=0.2, beta=0.5))
parameters("scaled_tanh: alpha and beta exchanged", "scaled_tanh", exchanged("alpha", "beta"))
result(
    "linear_activation: beta is added before the product",
    "linear_activation",
    lambda node, run, x: np.float32(node.number("alpha")) * (x + np.float32(node.number("beta"))),
)
result("silu: the sigmoid approximation of gelu", "silu", lambda node, run, x: x / (1 + np.exp(-1.702 * x)))
result("softsign: without the absolute value", "softsign", lambda node, run, x: x / (1 + x))
result("softplus: overflows", "softplus", lambda node, run, x: np.log1p(np.exp(x)))
result("sigmoid: overflows", "sigmoid", lambda node, run, x: np.exp(x) / (1 + np.exp(x)))
result("tanh: overflows", "tanh", lambda node, run, x: (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1))
parameters(
    "gelu: the tanh approximation is the default",
    "gelu",
    lambda node: {} if node.has("mode") else {"mode": "TANH_APPROXIMATION"},
)
parameters(
    "gelu: exact, where the tanh approximation is requested",
    "gelu",
    lambda node: {"mode": "EXACT"} if node.text("mode", "").lower().startswith("tanh") else {},
)
result(
    "gelu: 1.7 for 1.702",
    "gelu",
    lambda node, run, x: (
        x / (1 + np.exp(np.float32(-1.7) * x)) if node.text("mode", "").lower().startswith("sig") else run(x)
    ),
)
result(
    "gelu: the cube of the tanh approximation is a square",
    "gelu",
    lambda node, run, x: (
        x * (1 + np.tanh(np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x * x))) / 2
        if node.text("mode", "").lower().startswith("tanh")
        else run(x)
    ),
)
result(
    "prelu: the first slope for all channels",
    "prelu",
    lambda node, run, x: np.where(x < 0, node.array("alpha")[0] * x, x),
)
parameters("prelu: slopes in reverse order", "prelu", lambda node: {"alpha": node.constant("alpha")[::-1].copy()})
result(
    "prelu: slopes along the batch",
    "prelu",
    lambda node, run, x: np.where(
        x < 0, np.resize(node.array("alpha"), len(x)).reshape(-1, *[1] * (x.ndim - 1)) * x, x
    ),
)
parameters("softplus_parametric: alpha and beta exchanged", "softplus_parametric", exchanged("alpha", "beta"))
result(
    "softplus_parametric: divided by beta, as in torch",
    "softplus_parametric",
    lambda node, run, x: run(x) / node.array("beta").reshape(-1, *[1] * (x.ndim - 2)),
)

# ---- Two inputs ----


def _constant_or(node: Node, xs: tuple[Array, ...]) -> tuple[Array, Array]:
    """Return x and y, one of which may have been made an attribute."""
    if len(xs) == 2:
        return xs[0], xs[1]
    return (xs[0], node.array("y")) if node.is_constant("y") else (node.array("x"), xs[0])


def two(name: str, kinds: str, fault: Any, unseen: str = "") -> None:
    """The operation computes ``fault(x, y)``."""
    result(name, kinds, lambda node, run, *xs: fault(*_constant_or(node, xs)), unseen)


def integer(name: str, kinds: str, fault: Any, unseen: str = "") -> None:
    """The operation computes ``fault(x, y)`` of integers."""

    def faulty(node: Node, run: Any, *xs: Array) -> Any:
        x, y = _constant_or(node, xs)
        return fault(x, y) if x.dtype.kind == "i" else run(*xs)

    result(name, kinds, faulty, unseen)


def _saturated(x: Array) -> Array:
    return np.clip(x, -(2**31), 2**31 - 1).astype(np.int32)


def _single(function: Any) -> Any:
    """Return a function that computes with single precision in between."""
    return lambda *xs: np.clip(function(*(np.float32(x) for x in xs)).astype(np.float64), -(2**31), 2**31 - 1)


two("sub: operands exchanged", "sub", lambda x, y: y - x)
two("real_div: operands exchanged", "real_div", lambda x, y: y / x)
two("floor_div: cut off toward zero", "floor_div", lambda x, y: np.trunc(np.true_divide(x, y)))
two("floor_div: rounded", "floor_div", lambda x, y: np.rint(np.true_divide(x, y)))
two("mod: the sign of x", "mod", lambda x, y: np.fmod(x, y))
two("mod: never below 0", "mod", lambda x, y: np.mod(x, np.abs(y)))
two("pow: operands exchanged", "pow", lambda x, y: np.float64(y) ** x)
two("pow: of the magnitude", "pow", lambda x, y: np.abs(x).astype(np.float64) ** y)
two("pow: y squared for x = 2", "pow", lambda x, y: np.where(x == 2, np.float64(y) ** 2, np.float64(x) ** y))
two("maximum: the minimum", "maximum", np.minimum)
two("minimum: by magnitude", "minimum", lambda x, y: np.where(np.abs(x) < np.abs(y), x, y))
integer("real_div: quotients of integers are rounded", "real_div", lambda x, y: np.rint(np.float64(x) / y))
integer("real_div: quotients of integers in single precision", "real_div", _single(np.true_divide))
integer("floor_div: quotients of integers in single precision", "floor_div", _single(np.floor_divide))
integer("add: integers saturate", "add", lambda x, y: _saturated(np.int64(x) + y))
integer("sub: integers saturate", "sub", lambda x, y: _saturated(np.int64(x) - y))
integer("mul: integers saturate", "mul", lambda x, y: _saturated(np.int64(x) * y))
integer("add: integers in single precision", "add", _single(np.add))
integer("mul: integers in single precision", "mul", _single(np.multiply))
integer("pow: integers in single precision", "pow", _single(np.power))
integer("mod: integers in single precision", "mod", _single(np.mod))
two("less: not strict", "less", lambda x, y: x <= y)
two("less_equal: strict", "less_equal", lambda x, y: x < y)
two("greater: operands exchanged", "greater", lambda x, y: y > x)
two("greater: not less or equal, so that NaN is above", "greater", lambda x, y: ~(x <= y))
two("greater_equal: strict", "greater_equal", lambda x, y: x > y)
two("greater_equal: not less, so that NaN is above", "greater_equal", lambda x, y: ~(x < y))
two("equal: NaN equals NaN", "equal", lambda x, y: (x == y) | ((x != x) & (y != y)))
two("equal: within a tolerance", "equal", lambda x, y: np.isclose(x, y, rtol=1e-2, atol=1e-2))
two("not_equal: NaN does not differ", "not_equal", lambda x, y: (x < y) | (x > y))
integer("equal: integers compared in single precision", "equal", lambda x, y: np.float32(x) == np.float32(y))
integer("less: integers compared in single precision", "less", lambda x, y: np.float32(x) < np.float32(y))
two("logical_and: an or", "logical_and", np.logical_or)
two("logical_or: an exclusive or", "logical_or", np.logical_xor)
two("logical_xor: an or", "logical_xor", np.logical_or)
result("logical_not: as it is", "logical_not", lambda node, run, x: x)


def _aligned_first(node: Node, run: Any, *xs: Array) -> Any:
    if len(xs) < 2:
        return run(*xs)
    rank = max(x.ndim for x in xs)
    found = [x.reshape(x.shape + (1,) * (rank - x.ndim)) for x in xs]
    try:
        np.broadcast_shapes(*(x.shape for x in found))
    except ValueError as error:
        raise InvalidModelError(str(error)) from error
    return run(*found)


result("two inputs: axes aligned at the first", "add sub mul real_div less equal maximum pow", _aligned_first)
result("select: axes aligned at the first", "select", _aligned_first)
result("select: a and b exchanged", "select", lambda node, run, c, a, b: run(c, b, a))
result(
    "select: a sum of products, in which NaN and infinities stay",
    "select",
    lambda node, run, c, a, b: c * a + ~c * b if a.dtype.kind == "f" else run(c, a, b),
)

# ---- Functions ----

result(
    "abs: integers saturate",
    "abs",
    lambda node, run, x: np.where(x == -(2**31), 2**31 - 1, run(x)) if x.dtype.kind == "i" else run(x),
)
result("sign: 1 for 0", "sign", lambda node, run, x: np.where(x >= 0, 1, -1))
result(
    "square: integers saturate",
    "square",
    lambda node, run, x: _saturated(np.int64(x) ** 2) if x.dtype.kind == "i" else run(x),
)
result(
    "exp2: e^x",
    "exp2",
    lambda node, run, x: np.exp(np.float64(x)).clip(-(2**31), 2**31 - 1 if x.dtype.kind == "i" else None),
)
result("threshold: the minimum", "threshold", lambda node, run, x: np.minimum(x, x.dtype.type(node.number("alpha"))))
result("clip: only from above", "clip", lambda node, run, x: np.minimum(x, np.float32(node.number("beta"))))
result(
    "clip: the lower bound counts last",
    "clip",
    lambda node, run, x: np.maximum(np.minimum(x, np.float32(node.number("beta"))), np.float32(node.number("alpha"))),
)
version("clip: bounds in any order in CoreML7, as before", "clip", "CoreML7", "CoreML6")
operation("inverse: the default of epsilon is 0", "inverse", without_default("epsilon", epsilon=0.0))
result(
    "inverse: epsilon has the sign of x",
    "inverse",
    lambda node, run, x: 1 / (x + np.copysign(np.float32(node.number("epsilon", 1e-4)), x)),
)
operation("inverse: epsilon is ignored", "inverse", with_fields(epsilon=0.0))
operation(
    "log: no default of epsilon",
    "log",
    without_default("epsilon", epsilon=0.0),
    "implementations may flush 1e-45, which is below the normal numbers, so that the oracle leaves ln 0 open",
)
operation("log: epsilon is ignored", "log", with_fields(epsilon=0.0))
result("log: of base 2", "log", lambda node, run, x: run(x) / np.float32(math.log(2)))
result(
    "log: epsilon as a lower bound",
    "log",
    lambda node, run, x: np.log(np.maximum(x, np.float32(node.number("epsilon", 1e-45)))),
)
result(
    "rsqrt: epsilon outside of the root",
    "rsqrt",
    lambda node, run, x: 1 / (np.sqrt(x) + np.float32(node.number("epsilon", 1e-12))),
)
operation("rsqrt: no default of epsilon", "rsqrt", without_default("epsilon", epsilon=0.0))
operation("rsqrt: the default of epsilon is 1e-5", "rsqrt", without_default("epsilon", epsilon=1e-5))
result("sqrt: of the magnitude", "sqrt", lambda node, run, x: np.sqrt(np.abs(x)))
result("exp: at most the largest number", "exp", lambda node, run, x: np.minimum(run(x), np.finfo(np.float32).max))
result("erf: approximated by tanh", "erf", lambda node, run, x: np.tanh(np.float32(1.20276) * x))
result("ceil: away from zero", "ceil", lambda node, run, x: np.copysign(np.ceil(np.abs(x)), x))
result("floor: toward zero", "floor", lambda node, run, x: np.trunc(x))
result("round: halves away from zero", "round", lambda node, run, x: np.copysign(np.floor(np.abs(x) + 0.5), x))
result("round: halves up", "round", lambda node, run, x: np.floor(x + np.float32(0.5)))
result("sin: of degrees", "sin", lambda node, run, x: np.sin(np.deg2rad(x)))
result("cos: the sine", "cos", lambda node, run, x: np.sin(x))
result(
    "tan: the quotient of rounded sine and cosine in half precision",
    "tan",
    lambda node, run, x: np.float16(np.sin(x)) / np.float16(np.cos(x)),
)
result("asin: arguments cut to [-1, 1]", "asin", lambda node, run, x: np.arcsin(np.clip(x, -1, 1)))
result("acos: in degrees", "acos", lambda node, run, x: np.rad2deg(run(x)))
result("acos: arguments cut to [-1, 1]", "acos", lambda node, run, x: np.arccos(np.clip(x, -1, 1)))
result("atan: a rational approximation", "atan", lambda node, run, x: x / (1 + np.float32(0.28) * x * x))
result("sinh: the difference, not halved", "sinh", lambda node, run, x: np.exp(x) - np.exp(-x))
result(
    "sinh: a difference of exponentials, which loses small numbers",
    "sinh",
    lambda node, run, x: (np.exp(x) - np.exp(-x)) / 2,
)
result("cosh: that of the magnitude's exponential alone", "cosh", lambda node, run, x: np.exp(np.abs(x)) / 2)
result("atanh: not halved", "atanh", lambda node, run, x: np.log((1 + x) / (1 - x)))

# ---- Types ----


def _to(kind: str, fault: Any) -> Any:
    """Return a fault of casts of floats to a kind of type."""

    def faulty(node: Node, run: Any, x: Array) -> Any:
        return fault(x) if node.outputs[0].element.dtype.kind in kind and x.dtype.kind == "f" else run(x)  # type: ignore[union-attr]

    return faulty


def _within(x: Array) -> Array:
    return np.nan_to_num(np.clip(x, -(2.0**31), 2.0**31 - 1))


result("cast: to integers rounded to the nearest", "cast", _to("iu", lambda x: _within(np.rint(x.astype(np.float64)))))
result("cast: to integers rounded down", "cast", _to("iu", lambda x: _within(np.floor(x.astype(np.float64)))))
result("cast: to bool whether above 0", "cast", _to("b", lambda x: x > 0))
result("cast: to bool by way of integers", "cast", _to("b", lambda x: np.trunc(x) != 0))
result(
    "cast: true is -1",
    "cast",
    lambda node, run, x: -run(x) if x.dtype.kind == "b" and node.outputs[0].element.dtype.kind in "if" else run(x),  # type: ignore[union-attr]
)


def _half(change: Any) -> Any:
    """Return a fault of casts to half precision."""

    def faulty(node: Node, run: Any, x: Array) -> Any:
        return change(np.float32(x)) if node.outputs[0].element.name == "fp16" else run(x)  # type: ignore[union-attr]

    return faulty


def truncated(x: Array) -> Array:
    """Return numbers rounded toward zero to half precision."""
    y = x.astype(np.float16)
    with np.errstate(invalid="ignore"):
        beyond = np.isfinite(x) & (np.abs(y.astype(np.float32)) > np.abs(x))
    return np.where(beyond, np.nextafter(y, np.float16(0)), y).astype(np.float32)


result("cast: to half precision cut off", "cast", _half(truncated))
result("cast: to half precision saturates", "cast", _half(lambda x: np.clip(x, -65504, 65504)))
result(
    "cast: integers to single precision by way of half precision",
    "cast",
    lambda node, run, x: (
        np.float16(x) if x.dtype.kind == "i" and node.outputs[0].element.name == "fp32" else run(x)  # type: ignore[union-attr]
    ),
)
