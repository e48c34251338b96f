"""Arithmetic, comparisons, logic and functions, each applied place by place.

Two inputs broadcast as in NumPy: aligned at the last axis, lengths are equal or 1. They have one type, as nothing is
converted implicitly. Results have that type, integers included, which wrap around where a result does not fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from refcoreml import ops
from refcoreml.mil.domains import FLOATS, NUMBERS, SMALL, VALUES, expect, floats, parameter, same
from refcoreml.mil.node import Call, Node
from refcoreml.mil.registry import operation
from refcoreml.ops.base import Combination
from refcoreml.spec.mil_types import DATA_TYPES

# ---- Two inputs ----


def _two(node: Node, op: Combination, domain: Sequence[str] = NUMBERS) -> ops.Op | Call:
    """Return an operation on x and y. A constant number is made its attribute, which saves a broadcast."""
    expect(node, domain, "x", "y")
    if _is_number(node, "y", "x"):
        return node.call(replace(op, other=node.array("y").item()), "x")
    if op.commutes and _is_number(node, "x", "y"):
        return node.call(replace(op, other=node.array("x").item()), "y")
    return op


def _is_number(node: Node, name: str, other: str) -> bool:
    """Whether a parameter is one constant number that does not change the shape of another parameter."""
    shape, wider = node.tensor(name).known_shape, node.tensor(other).shape
    rank = 0 if wider is None else len(wider)
    return node.is_constant(name) and shape is not None and len(shape) <= rank and set(shape) <= {1}


@operation("add", "x", "y")
def add(node: Node) -> ops.Op | Call:
    """z = x + y. x, y: fp16, fp32 or int32."""
    return _two(node, ops.Add())


@operation("sub", "x", "y")
def sub(node: Node) -> ops.Op | Call:
    """z = x - y. x, y: fp16, fp32 or int32."""
    return _two(node, ops.Subtract())


@operation("mul", "x", "y")
def mul(node: Node) -> ops.Op | Call:
    """z = x * y. x, y: fp16, fp32 or int32."""
    return _two(node, ops.Multiply())


@operation("maximum", "x", "y")
def maximum(node: Node) -> ops.Op | Call:
    """z = max(x, y). x, y: fp16, fp32 or int32.

    Open: what NaN gives. Chosen: NaN.
    """
    return _two(node, ops.Maximum())


@operation("minimum", "x", "y")
def minimum(node: Node) -> ops.Op | Call:
    """z = min(x, y). x, y: fp16, fp32 or int32.

    Open: what NaN gives. Chosen: NaN.
    """
    return _two(node, ops.Minimum())


@operation("pow", "x", "y")
def power(node: Node) -> ops.Op | Call:
    """z = x^y: NaN for a negative x and a fractional y; x^0 and 1^y are 1. x, y: fp16, fp32 or int32.

    A constant x = 2 gives y^2 instead of 2^y on Apple's devices; what the formula says is computed here.

    Open: int32 with a negative exponent. Chosen: 1 / x^-y, cut off toward zero; 0 for x = 0.
    """
    return _two(node, ops.Power())


@operation("real_div", "x", "y")
def real_div(node: Node) -> ops.Op | Call:
    """z = x / y. x, y: fp16, fp32 or int32. Inf or -Inf for a float y = 0, NaN for 0 / 0.

    Of int32 the quotient, an int32, without its fraction; Apple tests this with positive numbers. Open: negative ones
    and y = 0. Chosen: cut off toward zero; 0.
    """
    return _two(node, ops.Divide())


@operation("floor_div", "x", "y")
def floor_div(node: Node) -> ops.Op | Call:
    """z = the largest integer that is not above x / y, in the type of x and y: fp16, fp32 or int32.

    Inf or NaN for a float y = 0. Open: int32 y = 0. Chosen: 0.
    """
    return _two(node, ops.FloorDivide())


@operation("mod", "x", "y")
def mod(node: Node) -> ops.Op | Call:
    """z = x - y * floor(x / y), with the sign of y. x, y: fp16, fp32 or int32. NaN for a float y = 0.

    Open: units of Apple's devices differ for negative x, says coremltools; its tests and value inference have the sign
    of y. Int32 y = 0: chosen 0.
    """
    return _two(node, ops.Modulo())


@operation("equal", "x", "y")
def equal(node: Node) -> ops.Op | Call:
    """z = whether x = y, a bool; NaN equals nothing. x, y: fp16, fp32 or int32."""
    return _two(node, ops.Equal())


@operation("not_equal", "x", "y")
def not_equal(node: Node) -> ops.Op | Call:
    """z = whether x and y differ, a bool; NaN differs from everything. x, y: fp16, fp32 or int32."""
    return _two(node, ops.NotEqual())


@operation("less", "x", "y")
def less(node: Node) -> ops.Op | Call:
    """z = whether x < y, a bool; false with NaN. x, y: fp16, fp32 or int32."""
    return _two(node, ops.Less())


@operation("less_equal", "x", "y")
def less_equal(node: Node) -> ops.Op | Call:
    """z = whether x <= y, a bool; false with NaN. x, y: fp16, fp32 or int32."""
    return _two(node, ops.LessEqual())


@operation("greater", "x", "y")
def greater(node: Node) -> ops.Op | Call:
    """z = whether x > y, a bool; false with NaN. x, y: fp16, fp32 or int32."""
    return _two(node, ops.Greater())


@operation("greater_equal", "x", "y")
def greater_equal(node: Node) -> ops.Op | Call:
    """z = whether x >= y, a bool; false with NaN. x, y: fp16, fp32 or int32."""
    return _two(node, ops.GreaterEqual())


@operation("logical_and", "x", "y")
def logical_and(node: Node) -> ops.Op | Call:
    """z = whether x and y are true. x, y: bool."""
    return _two(node, ops.LogicalAnd(), ("bool",))


@operation("logical_or", "x", "y")
def logical_or(node: Node) -> ops.Op | Call:
    """z = whether x or y is true. x, y: bool."""
    return _two(node, ops.LogicalOr(), ("bool",))


@operation("logical_xor", "x", "y")
def logical_xor(node: Node) -> ops.Op | Call:
    """z = whether one of x and y is true and the other is not. x, y: bool."""
    return _two(node, ops.LogicalXor(), ("bool",))


@operation("logical_not", "x")
def logical_not(node: Node) -> ops.Op:
    """y = whether x is false. x: bool."""
    return same(node, ("bool",), ops.LogicalNot())


@operation("select", "cond", "a", "b")
def select(node: Node) -> ops.Op:
    """y = a where cond is true, else b; the three broadcast. cond: bool; a, b: fp16, fp32, int32 or bool.

    Both are computed: infinities and NaN of what is not selected leave no trace.
    """
    expect(node, ("bool",), "cond")
    expect(node, VALUES, "a", "b")
    return ops.Select()


# ---- Functions of one number ----


@operation("abs", "x")
def absolute(node: Node) -> ops.Op:
    """y = |x|. x: fp16, fp32 or int32."""
    return same(node, NUMBERS, ops.Abs())


@operation("sign", "x")
def sign(node: Node) -> ops.Op:
    """y = 1 where x > 0, -1 where x < 0, 0 where x = 0. x: fp16, fp32 or int32."""
    return same(node, NUMBERS, ops.Sign())


@operation("square", "x")
def square(node: Node) -> ops.Op:
    """y = x * x. x: fp16, fp32 or int32."""
    return same(node, NUMBERS, ops.Power(2))


@operation("exp2", "x")
def exp2(node: Node) -> ops.Op:
    """y = 2^x. x: fp16, fp32 or int32. Of int32 cut off toward zero, and wrapped around."""
    return same(node, NUMBERS, ops.Exp2())


@operation("threshold", "x")
def threshold(node: Node) -> ops.Op:
    """y = max(x, alpha). x and ``alpha``: fp16, fp32 or int32, of one type."""
    return same(node, NUMBERS, ops.Threshold(parameter(node, "alpha")))


@operation("clip", "x")
def clip(node: Node) -> ops.Op:
    """y = min(max(x, alpha), beta). x, ``alpha`` and ``beta``: fp16 or fp32, of one type."""
    return floats(node, ops.Clip(parameter(node, "alpha"), parameter(node, "beta")))


@operation("clip", "x", since="CoreML7")
def clip_7(node: Node) -> ops.Op:
    """As before, but alpha must be below beta."""
    expect(node, FLOATS, "x", "alpha", "beta")
    low, high = parameter(node, "alpha"), parameter(node, "beta")
    node.require(low < high, f"alpha is {low:g}, which must be below beta, {high:g}")
    return ops.Clip(low, high)


@operation("inverse", "x", since="CoreML7")
@operation("inverse", "x")
def inverse(node: Node) -> ops.Op:
    """y = 1 / (x + epsilon). x: fp16 or fp32; ``epsilon``: 1e-4 by default, which is not small, whatever x's sign.

    Since CoreML7 epsilon may be of the other float type.
    """
    return floats(node, ops.Inverse(parameter(node, "epsilon", 1e-4)))


@operation("log", "x", since="CoreML7")
@operation("log", "x")
def log(node: Node) -> ops.Op:
    """y = ln(x + epsilon). x: fp16 or fp32; ``epsilon``: 1e-45 by default, which is 0 in fp16.

    -Inf for x = -epsilon, NaN below. Since CoreML7 epsilon may be of the other float type.
    """
    return floats(node, ops.Log(parameter(node, "epsilon", 1e-45)))


@operation("rsqrt", "x", since="CoreML7")
@operation("rsqrt", "x")
def rsqrt(node: Node) -> ops.Op:
    """y = 1 / sqrt(x + epsilon). x: fp16 or fp32; ``epsilon``: 1e-12 by default, which is 0 in fp16.

    Inf for x = -epsilon, NaN below. Since CoreML7 epsilon may be of the other float type.
    """
    return floats(node, ops.Rsqrt(parameter(node, "epsilon", 1e-12)))


@operation("sqrt", "x")
def sqrt(node: Node) -> ops.Op:
    """y = the square root of x, NaN below 0. x: fp16 or fp32."""
    return floats(node, ops.Sqrt())


@operation("exp", "x")
def exp(node: Node) -> ops.Op:
    """y = e^x. x: fp16 or fp32."""
    return floats(node, ops.Exp())


@operation("erf", "x")
def erf(node: Node) -> ops.Op:
    """y = 2 / sqrt(pi) * the integral of e^(-t^2) from 0 to x. x: fp16 or fp32."""
    return floats(node, ops.Erf())


@operation("ceil", "x")
def ceil(node: Node) -> ops.Op:
    """y = the smallest integer that is not below x, in the type of x: fp16 or fp32."""
    return floats(node, ops.Ceil())


@operation("floor", "x")
def floor(node: Node) -> ops.Op:
    """y = the largest integer that is not above x, in the type of x: fp16 or fp32."""
    return floats(node, ops.Floor())


@operation("round", "x")
def nearest(node: Node) -> ops.Op:
    """y = the integer next to x, of two the even one, as CPUs of Apple have it. x: fp16 or fp32."""
    return floats(node, ops.Round())


@operation("sin", "x")
def sin(node: Node) -> ops.Op:
    """y = sin x, x in radians: fp16 or fp32."""
    return floats(node, ops.Sin())


@operation("cos", "x")
def cos(node: Node) -> ops.Op:
    """y = cos x, x in radians: fp16 or fp32."""
    return floats(node, ops.Cos())


@operation("tan", "x")
def tan(node: Node) -> ops.Op:
    """y = tan x, x in radians: fp16 or fp32."""
    return floats(node, ops.Tan())


@operation("asin", "x")
def asin(node: Node) -> ops.Op:
    """y = the angle in [-pi/2, pi/2] whose sine is x, NaN outside of [-1, 1]. x: fp16 or fp32."""
    return floats(node, ops.Asin())


@operation("acos", "x")
def acos(node: Node) -> ops.Op:
    """y = the angle in [0, pi] whose cosine is x, NaN outside of [-1, 1]. x: fp16 or fp32."""
    return floats(node, ops.Acos())


@operation("atan", "x")
def atan(node: Node) -> ops.Op:
    """y = the angle in [-pi/2, pi/2] whose tangent is x. x: fp16 or fp32."""
    return floats(node, ops.Atan())


@operation("sinh", "x")
def sinh(node: Node) -> ops.Op:
    """y = (e^x - e^-x) / 2. x: fp16 or fp32."""
    return floats(node, ops.Sinh())


@operation("cosh", "x")
def cosh(node: Node) -> ops.Op:
    """y = (e^x + e^-x) / 2. x: fp16 or fp32."""
    return floats(node, ops.Cosh())


@operation("atanh", "x")
def atanh(node: Node) -> ops.Op:
    """y = the number whose tanh is x: Inf or -Inf for 1 or -1, NaN outside of [-1, 1]. x: fp16 or fp32."""
    return floats(node, ops.Atanh())


# ---- Types ----


def _cast(node: Node, domain: Sequence[str]) -> ops.Op:
    dtypes = {name: DATA_TYPES[name].dtype for name in domain}
    return same(node, domain, ops.Cast(node.choice("dtype", dtypes), strict=node.strict))


@operation("cast", "x")
def cast(node: Node) -> ops.Op:
    """y = x in the type that ``dtype`` names: fp16, fp32, int32 or bool, as may be x.

    To integers the fraction is cut off (-3.6 gives -3); to bool, whether x differs from 0; true is 1. To fp16 the
    nearest, of two the even one, and Inf beyond 65504.

    Open: floats beyond the range of int32, and NaN. Chosen: the nearest int32, as graphics processors have it; 0.
    """
    return _cast(node, VALUES)


@operation("cast", "x", since="CoreML7")
def cast_7(node: Node) -> ops.Op:
    """As before, with int8, uint8, int16 and uint16, too.

    Open: integers that do not fit a narrower type, which units of Apple's devices keep or lose. Chosen: an error in
    strict mode, else the nearest.
    """
    return _cast(node, (*VALUES, *SMALL))


@operation("identity", "x")
def identity(node: Node) -> ops.Op:
    """y = x, of any type, lists and dictionaries included."""
    return ops.Identity()
