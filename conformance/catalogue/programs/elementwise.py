"""Arithmetic, comparisons, logic, functions of one number, and casts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from conformance.catalogue.plan import Array
from conformance.catalogue.programs.plan import FUNCTION, C, ProgramPlan, X, op, refused

_SHORT = "integers fp16:zero-mean"
_ARITHMETIC = {
    "add": "integers zero-mean cancellation special fp16:zero-mean fp16:special int32:full",
    "sub": "integers zero-mean cancellation special fp16:zero-mean int32:full",
    "mul": "integers zero-mean wide special fp16:zero-mean fp16:special int32:full",
    "maximum": "integers zero-mean special fp16:zero-mean int32:full",
    "minimum": "integers zero-mean special fp16:zero-mean int32:full",
}
_COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")


def _not_zero(x: Array) -> Array:
    return np.where(x == 0, 3, x)


def _positive(x: Array) -> Array:
    return np.abs(x) + (1 if x.dtype.kind in "iu" else 0.25)


def plans() -> Iterator[ProgramPlan]:
    yield from _two()
    yield from _quotients()
    yield from _comparisons()
    yield from _logic()
    yield from _functions()
    yield from _casts()


def _two() -> Iterator[ProgramPlan]:
    for kind, kinds in _ARITHMETIC.items():
        yield from op(kind, "plain", kinds=kinds, x=X(3, 4), y=X(3, 4))
        yield from op(kind, "broadcast", kinds=_SHORT, x=X(2, 1, 4), y=X(3, 1))
        yield from op(kind, "constant", kinds=_SHORT, x=X(2, 3, 4), y=C(4))
        yield from op(kind, "number", kinds=_SHORT, x=X(3, 4), y=C())
        yield from op(kind, "number-first", kinds=_SHORT, x=C(), y=X(3, 4))
        yield from refused(kind, "shapes", "the shapes broadcast", x=X(3, 4), y=X(3, 5))
        yield from refused(kind, "types", "both are of one type", x=X(3, 4), y=X(3, 4, type="int32"))
        yield from refused(kind, "bool", "both are numbers", kinds="bool:bits", x=X(3, 4), y=X(3, 4))
    x, y = X(3, 4, change=_positive), X(3, 4)
    yield from op("pow", "plain", kinds="integers zero-mean fp16:integers fp16:zero-mean", x=x, y=y)
    yield from op("pow", "square", kinds="zero-mean fp16:zero-mean", x=X(3, 4), y=C(value=2.0))
    yield from op("pow", "fraction", kinds="zero-mean fp16:zero-mean", x=X(3, 4), y=C(value=0.5))
    yield from op("pow", "int", kinds="int32:integers", x=X(3, 4), y=X(3, 4, change=np.abs))
    yield from op("pow", "zero-one", kinds="special", x=X(3, 4, change=lambda x: np.where(x > 0, 1, x)), y=C(value=0.0))
    yield from op("pow", "base-2", kinds="zero-mean fp16:zero-mean", x=C(value=2.0), y=X(3, 4))
    yield from op("pow", "wraps", kinds="int32:full", x=X(3, 4), y=C(value=3))
    edges = np.array([[np.nan, np.inf, 0, 1, 1, 0, -0.0, -0.0], [0, 0, 0, np.nan, -np.inf, -3, -3, -2]])
    yield from op("pow", "edges", kinds="nan fp16:nan", x=X(value=edges[0]), y=X(value=edges[1]))
    yield from refused("pow", "types", "both are of one type", x=x, y=X(3, 4, type="int32"))
    yield from refused("pow", "shapes", "the shapes broadcast", x=x, y=X(3, 5))


def _quotients() -> Iterator[ProgramPlan]:
    whole = "integers fp16:integers"
    for kind in ("real_div", "floor_div", "mod"):
        x, y = X(3, 4), X(3, 4, change=_not_zero)
        yield from op(kind, "plain", kinds=f"{whole} zero-mean wide fp16:zero-mean", x=x, y=y)
        yield from op(kind, "broadcast", kinds=whole, x=X(2, 1, 4), y=X(3, 1, change=_not_zero))
        yield from op(kind, "constant", kinds=whole, x=x, y=C(4, change=_not_zero))
        yield from op(
            kind, "int", kinds="int32:full", x=X(3, 4, change=np.abs), y=X(3, 4, kind="integers", change=_positive)
        )
        yield from refused(kind, "shapes", "the shapes broadcast", x=X(3, 4), y=X(3, 5))
        yield from refused(kind, "types", "both are of one type", x=X(3, 4), y=X(3, 4, type="int32"))
    for kind in ("floor_div", "mod"):
        yield from op(kind, "int-signs", kinds="int32:integers", x=X(3, 4), y=X(3, 4, change=_not_zero))
    yield from op("real_div", "by-zero", kinds="integers fp16:integers", x=X(3, 4), y=C(value=0.0))
    numbers, zeros = X(value=np.array([[-2], [0], [3], [-0.0]])), X(value=np.array([0, -0.0]))
    for kind in ("real_div", "floor_div", "mod"):
        yield from op(kind, "by-zeros", kinds="special fp16:special", x=numbers, y=zeros)


def _comparisons() -> Iterator[ProgramPlan]:
    for kind in _COMPARISONS:
        yield from op(kind, "plain", kinds="ties special nan fp16:ties int32:integers", x=X(3, 4), y=X(3, 4))
        yield from op(kind, "broadcast", kinds="ties", x=X(2, 1, 4), y=X(3, 1))
        yield from op(kind, "number", kinds="ties int32:ties", x=X(3, 4), y=C(value=1))
        yield from op(kind, "number-first", kinds="ties int32:ties", x=C(value=1), y=X(3, 4))
        edges = np.array([np.nan, -np.inf, -0.0, 0, np.inf])
        yield from op(kind, "edges", kinds="nan fp16:nan", x=X(value=edges[:, None]), y=X(value=edges))
        large = np.array([2**24, 2**24 + 1, -(2**31), 2**31 - 1])
        yield from op(kind, "large", kinds="int32:integers", x=X(value=large[:, None]), y=X(value=large))
        yield from refused(kind, "shapes", "the shapes broadcast", x=X(3, 4), y=X(3, 5))
        yield from refused(kind, "types", "both are of one type", x=X(3, 4), y=X(3, 4, type="int32"))
        yield from refused(kind, "bool", "both are numbers", kinds="bool:bits", x=X(3, 4), y=X(3, 4))


def _logic() -> Iterator[ProgramPlan]:
    kinds = "bool:bits"
    for kind in ("logical_and", "logical_or", "logical_xor"):
        yield from op(kind, "plain", kinds=kinds, x=X(3, 4), y=X(3, 4))
        yield from op(kind, "broadcast", kinds=kinds, x=X(2, 1, 4), y=X(3, 1))
        yield from op(kind, "constant", kinds=kinds, x=X(3, 4), y=C(4, kind="bits"))
        yield from op(kind, "true", kinds=kinds, x=X(3, 4), y=C(value=True))
        yield from refused(kind, "numbers", "both are booleans", x=X(3, 4), y=X(3, 4))
        yield from refused(kind, "shapes", "the shapes broadcast", kinds=kinds, x=X(3, 4), y=X(3, 5))
    for label, shape in (("vector", (7,)), ("matrix", (3, 4)), ("rank-3", (2, 3, 4)), ("rank-5", (2, 1, 3, 4, 1))):
        yield from op("logical_not", label, kinds=kinds, x=X(*shape))
    yield from refused("logical_not", "numbers", "x is of booleans", x=X(3, 4))
    cond = X(3, 4, type="bool")
    yield from op("select", "plain", kinds="nan fp16:zero-mean int32:full bool:bits", cond=cond, a=X(3, 4), b=X(3, 4))
    yield from op("select", "broadcast", kinds="integers", cond=X(3, 1, type="bool"), a=X(2, 1, 4), b=X(4))
    yield from op("select", "constants", kinds="integers fp16:zero-mean", cond=cond, a=C(value=-np.inf), b=C(value=0.0))
    nothing, other = np.array([np.nan, 1, np.inf, -2]), np.array([3, np.nan, 5, -np.inf])
    chosen = X(value=np.array([False, True, False, True]), type="bool")
    yield from op("select", "no-trace", kinds="nan fp16:nan", cond=chosen, a=X(value=nothing), b=X(value=other))
    yield from refused("select", "shapes", "the shapes broadcast", cond=cond, a=X(3, 4), b=X(3, 5))
    yield from refused("select", "cond", "cond is of booleans", cond=X(3, 4), a=X(3, 4), b=X(3, 4))
    yield from refused("select", "types", "a and b are of one type", cond=cond, a=X(3, 4), b=X(3, 4, type="int32"))


def _inside(x: Array) -> Array:
    return np.clip(x / 2, -1, 1)


def _functions() -> Iterator[ProgramPlan]:
    x, short = X(3, 4, 5), "zero-mean fp16:zero-mean"
    for kind in ("abs", "sign", "square"):
        yield from op(kind, "plain", kinds=f"integers {FUNCTION} int32:integers", x=x)
    for kind in ("ceil", "floor", "round"):
        yield from op(kind, "plain", kinds=f"halves {FUNCTION} fp16:halves", x=x)
    for kind in ("exp", "erf", "atan"):
        yield from op(kind, "plain", kinds=FUNCTION, x=x)
    for kind in ("sin", "cos", "tan", "sinh", "cosh"):
        yield from op(kind, "plain", kinds="integers zero-mean fp16:integers fp16:zero-mean", x=x)
    for kind in ("asin", "acos", "atanh"):
        yield from op(kind, "inside", kinds=f"{short} integers fp16:integers", x=X(3, 4, 5, change=_inside))
        yield from op(kind, "outside", kinds="zero-mean", x=X(3, 4, change=lambda x: np.sign(x) * (np.abs(x) + 1.5)))
    yield from op("exp2", "plain", kinds=f"integers {FUNCTION}", x=x)
    yield from op("exp2", "int", kinds="int32:integers", x=X(3, 4, change=np.abs))
    yield from op("exp2", "int-wraps", kinds="int32:integers", x=X(value=np.array([30, 31, 32, 64])))
    yield from op("square", "wraps", kinds="int32:full", x=X(3, 4))
    beyond = {name: X(value=np.array([60000.0, -60000.0, 30000.0])) for name in "xy"}
    yield from op("add", "overflow", kinds="fp16:integers", **beyond)
    for kind in ("log", "rsqrt"):
        zero = X(value=np.array([0, 0.25, 2]))
        yield from op(kind, "zero-default-epsilon", kinds="zero-mean", x=zero)
    yield from op("abs", "least", kinds="int32:integers", x=X(value=np.array([-(2**31), 2**31 - 1])))
    for kind in ("sin", "cos", "tan", "sinh", "cosh"):
        yield from op(kind, "infinite", kinds="special", x=X(value=np.array([-np.inf, np.inf])))
    for kind in ("asin", "acos", "atanh"):
        yield from op(kind, "ends", kinds="special", x=X(value=np.array([-1, 1, -np.inf, np.inf])))
    for kind in ("sqrt", "log", "rsqrt"):
        yield from op(kind, "plain", kinds=f"integers {short} fp16:integers", x=X(3, 4, 5, change=_positive))
        if kind != "rsqrt":  # of which all bounds are infinite there
            yield from op(kind, "below", kinds="zero-mean", x=X(3, 4, change=lambda x: -_positive(x)))
    for kind in ("log", "rsqrt", "inverse"):
        near = X(3, 4, change=_positive)
        yield from op(kind, "epsilon", kinds=f"integers {short}", x=near, epsilon=C(value=0.5))
        yield from op(
            kind, "half-epsilon", kinds="zero-mean", x=near, epsilon=C(value=0.5, type="fp16"), opset="CoreML7"
        )
        single = C(value=0.5, type="fp32")
        yield from op(kind, "single-epsilon", kinds="fp16:zero-mean", x=near, epsilon=single, opset="CoreML7")
        signs = X(value=np.array([-0.5, -0.25, 0.5]))
        yield from op(kind, "signs", kinds="integers fp16:integers", x=signs, epsilon=C(value=0.25))
        yield from refused(kind, "types", "epsilon is of the type of x", x=near, epsilon=C(value=0.5, type="fp16"))
        yield from refused(kind, "int", "x holds floats", kinds="int32:integers", x=X(3, 4))
    yield from op("sqrt", "zero", kinds="integers", x=X(3, change=lambda x: x * 0))
    away = X(3, 4, change=lambda x: np.sign(x) * (np.abs(x) + 0.25) + (x == 0))
    yield from op("inverse", "plain", kinds=f"integers {short} fp16:integers", x=away)
    yield from op("threshold", "plain", kinds=f"{FUNCTION} int32:integers", x=x, alpha=C(value=1))
    yield from op("clip", "plain", kinds=FUNCTION, x=x, alpha=C(value=-1.0), beta=C(value=0.5))
    yield from op("clip", "infinite", kinds="special", x=x, alpha=C(value=-np.inf), beta=C(value=0.5))
    yield from op("clip", "newer", kinds=short, x=x, alpha=C(value=-1.0), beta=C(value=0.5), opset="CoreML7")
    turned = {"alpha": C(value=0.5), "beta": C(value=-1.0)}
    yield from op("clip", "turned", kinds="zero-mean", x=x, opset="CoreML5", **turned)
    yield from refused("clip", "types", "all are of one type", x=x, alpha=C(value=0.5, type="fp16"), beta=C(value=1.0))
    yield from refused("threshold", "types", "both are of one type", x=x, alpha=C(value=0.5, type="fp16"))
    yield from refused("threshold", "no-alpha", "alpha is required", x=x)
    yield from refused(
        "clip", "order", "alpha is below beta", x=x, alpha=C(value=1.0), beta=C(value=1.0), opset="CoreML7"
    )
    yield from refused("clip", "int", "x holds floats", kinds="int32:integers", x=x, alpha=C(value=1), beta=C(value=2))
    for kind in (
        "ceil",
        "floor",
        "round",
        "exp",
        "erf",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "atanh",
        "sqrt",
    ):
        yield from refused(kind, "int", "x holds floats", kinds="int32:integers", x=X(3, 4))
    for kind in ("abs", "sign", "square", "exp2"):
        yield from refused(kind, "bool", "x holds numbers", kinds="bool:bits", x=X(3, 4))


def _casts() -> Iterator[ProgramPlan]:
    x = X(3, 4)
    kinds = {
        "fp32": {"fp16": "special zero-mean", "int32": "halves wide", "bool": "bits halves", "fp32": "nan"},
        "fp16": {"fp32": "special zero-mean", "int32": "halves", "bool": "bits", "fp16": "special"},
        "int32": {"fp32": "full integers", "fp16": "integers", "bool": "ties", "int32": "full"},
        "bool": {"fp32": "bits", "fp16": "bits", "int32": "bits", "bool": "bits"},
    }
    for source, targets in kinds.items():
        for target, data in targets.items():
            tokens = " ".join(f"{source}:{name}" for name in data.split())
            yield from op("cast", f"to-{target}", kinds=tokens, x=x, dtype=target)
    for element in ("int8", "uint8", "int16", "uint16"):
        given = X(3, 4, change=np.abs) if element.startswith("u") else x
        for source in ("fp32", "fp16", "int32"):
            yield from op("cast", f"to-{element}", kinds=f"{source}:integers", x=given, dtype=element, opset="CoreML7")
        for target in ("fp32", "int32", "bool"):
            yield from op("cast", f"to-{target}", kinds=f"{element}:full", x=x, dtype=target)
    fractions = np.array([-3.6, -0.4, 0.4, 3.6, -1, 2])
    yield from op("cast", "fractions", kinds="integers fp16:integers", x=X(value=fractions), dtype="int32")
    truth = np.array([np.nan, 0, -0.0, np.inf, 1e-6, -1])
    yield from op("cast", "truth", kinds="nan fp16:nan", x=X(value=truth), dtype="bool")
    large = np.array([2**24 + 1, 2**24 + 3, -(2**24) - 1, 2**31 - 1])
    yield from op("cast", "large", kinds="int32:integers", x=X(value=large), dtype="fp32")
    halves = np.array([2049, 2051, 2.0**-24, 0.1])
    yield from op("cast", "halves", kinds="zero-mean", x=X(value=halves), dtype="fp16")
    yield from refused("cast", "dtype", "dtype is one that there is", x=x, dtype="complex")
    yield from refused("cast", "since", "int8 exists since CoreML7", x=x, dtype="int8", results=[("int8", (3, 4))])
    for label, shape in (("vector", (7,)), ("matrix", (3, 4)), ("rank-5", (2, 1, 3, 4, 1))):
        yield from op("identity", label, kinds="nan fp16:special int32:full bool:bits", x=X(*shape))
