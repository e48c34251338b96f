"""Operations place by place, against Python's own arithmetic."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mil.support import run
from support import integers

from refcoreml.build.program import Program as Builder
from refcoreml.errors import InputError, InvalidModelError

TYPES = {"fp16": np.float16, "fp32": np.float32, "int32": np.int32}
#: The values of an array in each type are held as these.
HELD = {np.float16: np.float32}

ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "maximum": max,
    "minimum": min,
    "floor_div": operator.floordiv,
    "mod": operator.mod,
}
COMPARISONS: dict[str, Callable[..., Any]] = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}
LOGIC: dict[str, Callable[..., Any]] = {
    "logical_and": operator.and_,
    "logical_or": operator.or_,
    "logical_xor": operator.xor,
}

#: Small integers of both signs, the divisors without 0; they broadcast to [4, 2, 3].
X, Y = integers((4, 1, 3), 1, -6, 7), integers((2, 3), 2, 1, 5) * np.array([1, -1, 1])
FINE = np.array([[-2.5, -1.5, -0.5], [0.5, 1.5, 0.0]])


def each(function: Callable[..., Any], *arrays: Any) -> np.ndarray:
    """Apply a function of Python numbers place by place."""
    together = np.broadcast_arrays(*(np.asarray(array, object) for array in arrays))
    flat = [function(*values) for values in zip(*(array.reshape(-1) for array in together), strict=True)]
    return np.array(flat).reshape(together[0].shape)


def check(y: np.ndarray, expected: np.ndarray, dtype: Any) -> None:
    assert y.dtype == HELD.get(dtype, dtype)
    np.testing.assert_array_equal(y, expected)


# ---- Two inputs ----


@pytest.mark.clause(
    "mil.add.C1",
    "mil.sub.C1",
    "mil.mul.C1",
    "mil.maximum.C1",
    "mil.minimum.C1",
    "mil.floor_div.C1",
    "mil.mod.C1",
    "mil.equal.C1",
    "mil.not_equal.C1",
    "mil.less.C1",
    "mil.less_equal.C1",
    "mil.greater.C1",
    "mil.greater_equal.C1",
    "mil.add.C2",
    "mil.sub.C2",
    "mil.mul.C2",
    "mil.maximum.C2",
    "mil.minimum.C2",
    "mil.floor_div.C2",
    "mil.mod.C2",
    "mil.equal.C2",
    "mil.not_equal.C2",
    "mil.less.C2",
    "mil.less_equal.C2",
    "mil.greater.C2",
    "mil.greater_equal.C2",
    "mil.add.S1",
    "mil.sub.S1",
    "mil.mul.S1",
    "mil.maximum.S1",
    "mil.minimum.S1",
    "mil.floor_div.S1",
    "mil.mod.S1",
    "mil.equal.S1",
    "mil.not_equal.S1",
    "mil.less.S1",
    "mil.less_equal.S1",
    "mil.greater.S1",
    "mil.greater_equal.S1",
)
@pytest.mark.parametrize("dtype", TYPES.values(), ids=TYPES)
@pytest.mark.parametrize("name", [*ARITHMETIC, *COMPARISONS])
def test_two_inputs_broadcast_in_each_type(name: str, dtype: Any) -> None:
    x, y = X.astype(dtype), Y.astype(dtype)
    found = run(name, {"x": x, "y": y})
    function = {**ARITHMETIC, **COMPARISONS}[name]
    check(found, each(function, X, Y), bool if name in COMPARISONS else dtype)


@pytest.mark.parametrize("name", [*ARITHMETIC, *COMPARISONS])
def test_either_input_may_be_a_constant_array_or_number(name: str) -> None:
    function = {**ARITHMETIC, **COMPARISONS}[name]
    for y in (Y.astype(np.int32), np.int32(-3), np.array([-3], np.int32), np.full((1, 1, 1, 1), -3, np.int32)):
        np.testing.assert_array_equal(run(name, {"x": X.astype(np.int32)}, y=y), each(function, X, y))
    for x in (X.astype(np.int32), np.int32(4), np.array([4], np.int32)):
        np.testing.assert_array_equal(run(name, {"y": Y.astype(np.int32)}, x=x), each(function, x, Y))


def test_results_of_numbers_have_rank_0() -> None:
    three, four = np.float32(3), np.float32(4)
    assert run("add", {"x": three, "y": four}).shape == run("add", {"x": three}, y=four).shape == ()
    assert run("less", {"x": three}, y=four).shape == run("logical_not", {"x": np.bool_(True)}).shape == ()
    assert run("abs", {"x": -three}).shape == ()
    assert run("add", {"x": three}, y=np.array([4], np.float32)).shape == (1,)


@pytest.mark.parametrize("name", [*ARITHMETIC, *COMPARISONS])
def test_inputs_of_unknown_lengths(name: str) -> None:
    element = "bool" if name in COMPARISONS else "fp32"
    found = run(
        name,
        {"x": X.astype(np.float32), "y": Y.astype(np.float32)},
        open_shapes=True,
        outputs=[(element, (None, None, None))],
    )
    np.testing.assert_array_equal(found, each({**ARITHMETIC, **COMPARISONS}[name], X, Y))


@pytest.mark.clause("mil.real_div.C1", "mil.real_div.C2", "mil.real_div.S1", "mil.real_div.S2", "programs.U4")
def test_division() -> None:
    for dtype in (np.float16, np.float32):
        x, y = X.astype(dtype), Y.astype(dtype)
        expected = each(operator.truediv, X, Y).astype(dtype)
        np.testing.assert_array_equal(run("real_div", {"x": x, "y": y}).astype(dtype), expected)
    found = run("real_div", {"x": X.astype(np.int32), "y": Y.astype(np.int32)})
    check(found, each(lambda a, b: int(a / b), X, Y), np.int32)


@pytest.mark.clause("mil.real_div.S1", "mil.floor_div.S2", "mil.mod.S2", "programs.U4")
def test_division_by_zero() -> None:
    x = np.array([-2, 0, 3])
    ends = [-np.inf, np.nan, np.inf]
    for name, expected in {"real_div": ends, "floor_div": ends, "mod": [np.nan] * 3}.items():
        np.testing.assert_array_equal(run(name, {"x": x.astype(np.float32)}, y=np.float32(0)), expected)
    for name in ("real_div", "floor_div"):
        np.testing.assert_array_equal(run(name, {"x": x.astype(np.float32)}, y=np.float32(-0.0)), np.negative(ends))
    for name in ("real_div", "floor_div", "mod"):
        np.testing.assert_array_equal(run(name, {"x": x.astype(np.int32)}, y=np.int32(0)), [0, 0, 0])


@pytest.mark.clause("mil.floor_div.S1", "mil.mod.S1", "programs.U4", "programs.U5", "programs.U91")
def test_quotients_of_fractions_are_floored() -> None:
    x = np.array([-7.5, -0.5, 0.5, 7.5], np.float32)
    np.testing.assert_array_equal(run("floor_div", {"x": x}, y=np.float32(2)), [-4, -1, 0, 3])
    np.testing.assert_array_equal(run("mod", {"x": x}, y=np.float32(2)), [0.5, 1.5, 0.5, 1.5])
    np.testing.assert_array_equal(run("mod", {"x": x}, y=np.float32(-2)), [-1.5, -0.5, -1.5, -0.5])
    # Quotients that round up: of 1 and 0.1 as it is in single precision, and one above 2^24
    one, tenth = np.float32(1), np.float32(0.1)
    assert run("floor_div", {"x": one}, y=tenth) == 9
    assert run("mod", {"x": one}, y=tenth) == 1 - 9 * float(tenth)
    assert run("mod", {"x": np.float32(1e8)}, y=np.float32(3)) == 10**8 % 3


@pytest.mark.clause("mil.mod.S2", "programs.U91")
def test_remainders_with_infinity() -> None:
    x, y = np.array([-np.inf, np.inf, -2, 2], np.float32), np.array([[3], [np.inf], [-np.inf]], np.float32)
    expected = [[np.nan, np.nan, 1, 2], [np.nan, np.nan, np.inf, 2], [np.nan, np.nan, -2, -np.inf]]
    np.testing.assert_array_equal(run("mod", {"x": x, "y": y}), expected)
    expected = [[np.nan, np.nan, -1, 0], [np.nan, np.nan, -1, 0], [np.nan, np.nan, 0, -1]]
    np.testing.assert_array_equal(run("floor_div", {"x": x, "y": y}), expected)


@pytest.mark.clause("mil.pow.C1", "mil.pow.C2", "mil.pow.S1", "mil.pow.S3", "mil.pow.S4", "programs.U4")
def test_power() -> None:
    for dtype in TYPES.values():
        x, y = np.array([[-3], [2]]), np.array([0, 1, 2, 3])
        check(run("pow", {"x": x.astype(dtype), "y": y.astype(dtype)}), each(operator.pow, x, y), dtype)
        check(run("pow", {"x": x.astype(dtype)}, y=dtype(2)), each(operator.pow, x, 2), dtype)
        # What devices get wrong: 2 as a constant base
        check(run("pow", {"y": y.astype(dtype)}, x=dtype(2)), each(operator.pow, 2, y), dtype)
    roots = run("pow", {"x": np.array([4, 9, -1], np.float32)}, y=np.float32(0.5))
    np.testing.assert_array_equal(roots, [2, 3, np.nan])
    negative = run("pow", {"x": np.array([-2, -1, 0, 1, 2], np.int32)}, y=np.int32(-1))
    np.testing.assert_array_equal(negative, [0, -1, 0, 1, 0])


@pytest.mark.clause("mil.pow.S2")
def test_powers_of_0_and_1() -> None:
    x = np.array([np.nan, np.inf, 0, 1, 1, 0, -0.0, -0.0], np.float32)
    y = np.array([0, 0, 0, np.nan, -np.inf, -3, -3, -2], np.float32)
    np.testing.assert_array_equal(run("pow", {"x": x, "y": y}), [1, 1, 1, 1, 1, np.inf, -np.inf, np.inf])


@pytest.mark.clause(
    "mil.add.S1",
    "mil.sub.S1",
    "mil.mul.S1",
    "mil.square.S1",
    "mil.pow.S3",
    "mil.abs.S1",
    "mil.equal.S1",
)
def test_integers_wrap_around_and_are_exact() -> None:
    x = np.array([2**31 - 1, -(2**31), 2**24 + 1], np.int32)
    np.testing.assert_array_equal(run("add", {"x": x}, y=np.int32(1)), [-(2**31), 1 - 2**31, 2**24 + 2])
    np.testing.assert_array_equal(run("mul", {"x": x}, y=np.int32(3)), [2**31 - 3, -(2**31), 3 * 2**24 + 3])
    np.testing.assert_array_equal(run("sub", {"x": x}, y=np.int32(2)), [2**31 - 3, 2**31 - 2, 2**24 - 1])
    np.testing.assert_array_equal(run("square", {"x": x}), [1, 0, 2**25 + 1])
    np.testing.assert_array_equal(run("pow", {"x": x}, y=np.int32(3)), [2**31 - 1, 0, 3 * 2**24 + 1])
    np.testing.assert_array_equal(run("abs", {"x": x}), [2**31 - 1, -(2**31), 2**24 + 1])
    np.testing.assert_array_equal(run("equal", {"x": x}, y=np.int32(2**24)), [False] * 3)


@pytest.mark.clause(
    "mil.equal.S1",
    "mil.not_equal.S1",
    "mil.less.S1",
    "mil.less_equal.S1",
    "mil.greater.S1",
    "mil.greater_equal.S1",
    "programs.U10",
)
def test_not_a_number() -> None:
    x = np.array([np.nan, 1, np.inf], np.float32)
    for name in ("maximum", "minimum"):
        np.testing.assert_array_equal(run(name, {"x": x, "y": x}), x)
    for name, expected in {
        "equal": [0, 1, 1],
        "not_equal": [1, 0, 0],
        "less_equal": [0, 1, 1],
        "less": [0] * 3,
        "greater_equal": [0, 1, 1],
        "greater": [0] * 3,
    }.items():
        np.testing.assert_array_equal(run(name, {"x": x, "y": x}), expected)
    for name in ("less", "less_equal", "greater", "greater_equal", "equal"):
        for given in ({"x": x[:1], "y": x[1:]}, {"x": x[1:], "y": x[:1]}):
            np.testing.assert_array_equal(run(name, given), [False, False])


@pytest.mark.clause(
    "mil.equal.S1",
    "mil.not_equal.S1",
    "mil.less.S1",
    "mil.less_equal.S1",
    "mil.greater.S1",
    "mil.greater_equal.S1",
)
@pytest.mark.parametrize("name", COMPARISONS)
def test_zeros_of_both_signs_are_equal(name: str) -> None:
    x = np.array([0, -0.0], np.float32)
    np.testing.assert_array_equal(run(name, {"x": x, "y": x[::-1].copy()}), [COMPARISONS[name](0, 0)] * 2)


@pytest.mark.clause(
    "mil.logical_and.C1",
    "mil.logical_or.C1",
    "mil.logical_xor.C1",
    "mil.logical_and.C2",
    "mil.logical_or.C2",
    "mil.logical_xor.C2",
    "mil.logical_and.S1",
    "mil.logical_or.S1",
    "mil.logical_xor.S1",
)
@pytest.mark.parametrize("name", LOGIC)
def test_logic(name: str) -> None:
    x, y = np.array([[False], [True]]), np.array([False, True, True])
    check(run(name, {"x": x, "y": y}), each(LOGIC[name], x, y), bool)
    for known in (False, True):
        np.testing.assert_array_equal(run(name, {"x": x}, y=known), each(LOGIC[name], x, known))


@pytest.mark.clause("mil.logical_not.C1", "mil.logical_not.S1")
def test_logical_not() -> None:
    check(run("logical_not", {"x": np.array([[True, False, True]])}), [[False, True, False]], bool)


@pytest.mark.clause("mil.select.C1", "mil.select.C2", "mil.select.S1")
@pytest.mark.parametrize("dtype", [*TYPES.values(), np.bool_])
def test_select_broadcasts_all_three(dtype: Any) -> None:
    cond = np.array([[True], [False]])
    a, b = np.array([1, 0, 1]).astype(dtype), integers((4, 1, 1), 3, 0, 2).astype(dtype)
    expected = each(lambda c, x, y: x if c else y, cond, a, b)
    check(run("select", {"cond": cond, "a": a, "b": b}), expected, dtype)
    check(run("select", {"a": a, "b": b}, cond=np.bool_(True)), np.broadcast_to(a, (4, 1, 3)), dtype)


@pytest.mark.clause("mil.select.S2")
def test_select_leaves_no_trace_of_the_other() -> None:
    a, b = np.array([np.nan, 1, np.inf], np.float32), np.array([1, np.nan, 2], np.float32)
    np.testing.assert_array_equal(run("select", {"cond": a == 1, "a": a, "b": b}), [1, 1, 2])


# ---- Functions of one number ----

FUNCTIONS: dict[str, tuple[Callable[[float], float], Any]] = {
    "sqrt": (math.sqrt, [0.25, 2, 9.5]),
    "exp": (math.exp, [-3.5, 0, 2.25]),
    "erf": (math.erf, [-1.5, 0, 0.75]),
    "sin": (math.sin, [-2.5, 0, 7.25]),
    "cos": (math.cos, [-2.5, 0, 7.25]),
    "tan": (math.tan, [-1.25, 0, 2.5]),
    "asin": (math.asin, [-1, 0.25, 0.75]),
    "acos": (math.acos, [-0.5, 0.25, 1]),
    "atan": (math.atan, [-8.5, 0, 0.75]),
    "sinh": (math.sinh, [-2.5, 0, 3.25]),
    "cosh": (math.cosh, [-2.5, 0, 3.25]),
    "atanh": (math.atanh, [-0.5, 0, 0.75]),
    "exp2": (lambda x: 2.0**x, [-2.5, 0, 3.25]),
}


@pytest.mark.clause(
    "mil.sqrt.C1",
    "mil.exp.C1",
    "mil.erf.C1",
    "mil.sin.C1",
    "mil.cos.C1",
    "mil.tan.C1",
    "mil.asin.C1",
    "mil.acos.C1",
    "mil.atan.C1",
    "mil.sinh.C1",
    "mil.cosh.C1",
    "mil.atanh.C1",
    "mil.exp2.C1",
    "mil.sqrt.S1",
    "mil.exp.S1",
    "mil.erf.S1",
    "mil.sin.S1",
    "mil.cos.S1",
    "mil.tan.S1",
    "mil.asin.S1",
    "mil.acos.S1",
    "mil.atan.S1",
    "mil.sinh.S1",
    "mil.cosh.S1",
    "mil.atanh.S1",
    "mil.exp2.S1",
)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    function, points = FUNCTIONS[name]
    expected = [[function(x)] for x in points]
    # Rounded once to single precision, and then to half: an ulp is at most 2^-23 and 2^-10.
    for dtype, limit in ((np.float32, 2**-23), (np.float16, 2**-10)):
        y = run(name, {"x": np.array(points, dtype).reshape(-1, 1)})
        np.testing.assert_allclose(y, expected, rtol=limit)
    np.testing.assert_allclose(
        run(name, {"x": np.array(points, np.float32).reshape(-1, 1)}, precision="float64"), expected, rtol=1e-14
    )


EXACT: dict[str, list[float]] = {
    "ceil": [-2, -1, 0, 1, 2, 0],
    "floor": [-3, -2, -1, 0, 1, 0],
    "round": [-2, -2, 0, 0, 2, 0],
    "abs": [2.5, 1.5, 0.5, 0.5, 1.5, 0],
    "sign": [-1, -1, -1, 1, 1, 0],
    "square": [6.25, 2.25, 0.25, 0.25, 2.25, 0],
}


@pytest.mark.clause(
    "mil.ceil.C1",
    "mil.floor.C1",
    "mil.round.C1",
    "mil.abs.C1",
    "mil.sign.C1",
    "mil.square.C1",
    "mil.ceil.S1",
    "mil.floor.S1",
    "mil.round.S1",
    "mil.abs.S1",
    "mil.sign.S1",
    "mil.square.S1",
)
@pytest.mark.parametrize("name", EXACT)
def test_exact_functions(name: str) -> None:
    for dtype in (np.float16, np.float32):
        check(run(name, {"x": FINE.astype(dtype)}), np.reshape(EXACT[name], FINE.shape), dtype)


#: By name what -Inf, -0, 0 and Inf give.
EDGES: dict[str, list[float]] = {
    "abs": [math.inf, 0, 0, math.inf],
    "sign": [-1, 0, 0, 1],
    "square": [math.inf, 0, 0, math.inf],
    "exp2": [0, 1, 1, math.inf],
    "exp": [0, 1, 1, math.inf],
    "sqrt": [math.nan, 0, 0, math.inf],
    "erf": [-1, 0, 0, 1],
    "ceil": [-math.inf, 0, 0, math.inf],
    "floor": [-math.inf, 0, 0, math.inf],
    "round": [-math.inf, 0, 0, math.inf],
    "sin": [math.nan, 0, 0, math.nan],
    "cos": [math.nan, 1, 1, math.nan],
    "tan": [math.nan, 0, 0, math.nan],
    "asin": [math.nan, 0, 0, math.nan],
    "acos": [math.nan, math.pi / 2, math.pi / 2, math.nan],
    "atan": [-math.pi / 2, 0, 0, math.pi / 2],
    "sinh": [-math.inf, 0, 0, math.inf],
    "cosh": [math.inf, 1, 1, math.inf],
    "atanh": [math.nan, 0, 0, math.nan],
}


@pytest.mark.clause(
    "mil.ceil.S1",
    "mil.floor.S1",
    "mil.round.S1",
    "mil.abs.S1",
    "mil.sign.S1",
    "mil.square.S1",
    "mil.sqrt.S1",
    "mil.exp.S1",
    "mil.erf.S1",
    "mil.sin.S1",
    "mil.cos.S1",
    "mil.tan.S1",
    "mil.asin.S1",
    "mil.acos.S1",
    "mil.atan.S1",
    "mil.sinh.S1",
    "mil.cosh.S1",
    "mil.atanh.S1",
    "mil.exp2.S1",
    "programs.U32",
)
@pytest.mark.parametrize("name", EDGES)
def test_edges(name: str) -> None:
    y = run(name, {"x": np.array([-np.inf, -0.0, 0, np.inf, np.nan], np.float32)})
    np.testing.assert_allclose(y, [*EDGES[name], math.nan], rtol=2**-23)


@pytest.mark.clause(
    "mil.sqrt.S1",
    "mil.asin.S1",
    "mil.acos.S1",
    "mil.atanh.S1",
    "mil.exp.S1",
    "mil.sinh.S1",
    "mil.cosh.S1",
    "mil.sin.S1",
    "mil.cos.S1",
    "mil.tan.S1",
    "mil.exp2.S1",
)
def test_functions_far_from_0_and_outside_of_their_domain() -> None:
    for name, x, expected in (
        ("sqrt", -1, math.nan),
        ("asin", 1.5, math.nan),
        ("acos", -1.5, math.nan),
        ("atanh", 1.5, math.nan),
        ("atanh", -1, -math.inf),
        ("atanh", 1, math.inf),
        ("exp", 100, math.inf),
        ("exp2", 128, math.inf),
        ("sinh", -100, -math.inf),
        ("cosh", -100, math.inf),
        ("sin", 1e6, math.sin(1e6)),
        ("cos", 1e6, math.cos(1e6)),
        ("tan", 1e6, math.tan(1e6)),
    ):
        np.testing.assert_allclose(run(name, {"x": np.float32(x)}), expected, rtol=2**-20)
    assert run("exp", {"x": np.float16(12)}) == np.inf  # 162755 is above 65504


@pytest.mark.clause(
    "mil.abs.S1",
    "mil.sign.S1",
    "mil.square.S1",
    "mil.exp2.S2",
    "mil.threshold.C1",
    "mil.threshold.S1",
    "programs.U16",
)
def test_integers_of_one_input() -> None:
    x = np.array([-3, 0, 5], np.int32)
    for name, expected in {"abs": [3, 0, 5], "sign": [-1, 0, 1], "square": [9, 0, 25], "exp2": [0, 1, 32]}.items():
        check(run(name, {"x": x}), np.array(expected), np.int32)
    check(run("threshold", {"x": x}, alpha=np.int32(2)), np.array([2, 2, 5]), np.int32)
    powers = run("exp2", {"x": np.array([30, 31, 32, 64, -1, -(2**31)], np.int32)})
    check(powers, np.array([2**30, -(2**31), 0, 0, 0, 0]), np.int32)


@pytest.mark.clause("mil.threshold.C1", "mil.threshold.S1", "mil.clip.C1", "mil.clip.S1", "programs.U32")
def test_threshold_and_clip() -> None:
    for dtype in (np.float16, np.float32):
        x = FINE.astype(dtype)
        check(run("threshold", {"x": x}, alpha=dtype(-0.75)), np.maximum(FINE, -0.75), dtype)
        check(run("clip", {"x": x}, alpha=dtype(-0.75), beta=dtype(1)), np.clip(FINE, -0.75, 1), dtype)
    nothing = np.array([np.nan], np.float32)
    np.testing.assert_array_equal(run("threshold", {"x": nothing}, alpha=np.float32(1)), nothing)
    np.testing.assert_array_equal(run("clip", {"x": nothing}, alpha=np.float32(0), beta=np.float32(1)), nothing)


@pytest.mark.clause("mil.clip.C2", "mil.clip.S1")
def test_since_coreml7_clip_needs_an_interval() -> None:
    x, bounds = FINE.astype(np.float32), {"alpha": np.float32(1), "beta": np.float32(1)}
    np.testing.assert_array_equal(run("clip", {"x": x}, opset="CoreML6", **bounds), np.ones((2, 3)))
    with pytest.raises(InvalidModelError, match="alpha is 1, which must be below beta, 1"):
        run("clip", {"x": x}, opset="CoreML7", **bounds)
    with pytest.raises(InvalidModelError, match="alpha is nan, which must be below beta"):
        run("clip", {"x": x}, opset="CoreML7", alpha=np.float32(np.nan), beta=np.float32(1))
    turned = {"alpha": np.float32(1), "beta": np.float32(0.25)}
    np.testing.assert_array_equal(run("clip", {"x": x}, opset="CoreML6", **turned), np.full((2, 3), 0.25))


EPSILONS: dict[str, tuple[float, Callable[[float], float]]] = {
    "inverse": (1e-4, lambda x: 1 / x if x else math.inf),
    "log": (1e-45, lambda x: math.log(x) if x else -math.inf),
    "rsqrt": (1e-12, lambda x: x**-0.5 if x else math.inf),
}


@pytest.mark.clause("mil.inverse.C1", "mil.log.C1", "mil.rsqrt.C1", "mil.inverse.S1", "mil.log.S1", "mil.rsqrt.S1")
@pytest.mark.parametrize("name", EPSILONS)
def test_epsilon_has_the_type_of_x_unless_it_is_given(name: str) -> None:
    default, function = EPSILONS[name]
    points = np.array([0, 0.5, 3])
    for dtype, limit in ((np.float32, 2**-21), (np.float16, 2**-10)):
        y = run(name, {"x": points.astype(dtype)})
        np.testing.assert_allclose(y, each(function, points + float(dtype(default))), rtol=limit)
        y = run(name, {"x": points.astype(dtype)}, opset="CoreML5", epsilon=dtype(0.25))
        np.testing.assert_allclose(y, each(function, points + 0.25), rtol=limit)
    # The nearest of half precision to 1e-6 is 5 % off, but it is not asked.
    y = run(name, {"x": points.astype(np.float16)}, opset="CoreML7", epsilon=np.float32(1e-6))
    with np.errstate(over="ignore"):
        expected = each(function, points + 1e-6).astype(np.float16)
    np.testing.assert_allclose(y, expected, rtol=2**-10)


@pytest.mark.clause("mil.inverse.S2", "mil.log.S2", "mil.rsqrt.S2")
def test_epsilon_is_added_to_x_whatever_its_sign() -> None:
    x = np.array([-0.25, -0.5], np.float32)
    np.testing.assert_array_equal(run("inverse", {"x": x}, epsilon=np.float32(0.25)), [np.inf, -4])
    np.testing.assert_array_equal(run("rsqrt", {"x": x}, epsilon=np.float32(0.25)), [np.inf, np.nan])
    np.testing.assert_array_equal(run("log", {"x": x}, epsilon=np.float32(0.25)), [-np.inf, np.nan])


# ---- Types ----


@pytest.mark.clause("mil.cast.C1", "mil.cast.S1", "mil.cast.S2")
def test_cast_between_the_old_types() -> None:
    x = np.array([-3.6, -0.4, 0, 0.6, 3.6])
    for dtype in (np.float16, np.float32):
        check(run("cast", {"x": x.astype(dtype)}, opset="CoreML5", dtype="int32"), [-3, 0, 0, 0, 3], np.int32)
        check(run("cast", {"x": x.astype(dtype)}, opset="CoreML5", dtype="bool"), [1, 1, 0, 1, 1], bool)
    for name, dtype in TYPES.items():
        given = {"bool": np.array([True, False]), "int32": np.array([1, 0], np.int32)}
        for array in given.values():
            check(run("cast", {"x": array}, dtype=name), [1, 0], dtype)
    edges = np.array([np.nan, 0, -0.0, np.inf, 1e-30], np.float32)
    check(run("cast", {"x": edges}, dtype="bool"), [True, False, False, True, True], bool)


@pytest.mark.clause("mil.cast.S3", "mil.cast.S4")
def test_cast_to_half_precision() -> None:
    x = np.array([2049, 2051, 65519, 65520, -1e6, 2**-25, 1e-4], np.float32)
    expected = [2048, 2052, 65504, np.inf, -np.inf, 0, np.float32(np.float16(1e-4))]
    check(run("cast", {"x": x}, dtype="fp16"), expected, np.float16)
    whole = np.array([2049, 65504, 70000], np.int32)
    check(run("cast", {"x": whole}, dtype="fp16"), [2048, 65504, np.inf], np.float16)
    large = np.array([2**24 + 1, 2**24 + 3, 2**31 - 1], np.int32)
    check(run("cast", {"x": large}, dtype="fp32"), [2**24, 2**24 + 4, 2**31], np.float32)
    for precision, dtype in (("float32", np.float32), ("float64", np.float64)):
        y = run("cast", {"x": x.astype(np.float32)}, precision=precision, dtype="fp16")
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, x)
    halves = np.array(expected).astype(np.float16)
    np.testing.assert_array_equal(run("cast", {"x": halves}, dtype="fp32"), expected)


@pytest.mark.clause("programs.U2")
def test_cast_beyond_the_range() -> None:
    x = np.array([3e9, -np.inf, np.nan], np.float32)
    check(run("cast", {"x": x}, dtype="int32"), [2**31 - 1, -(2**31), 0], np.int32)
    check(run("cast", {"x": x}, dtype="uint8"), [255, 0, 0], np.uint8)


@pytest.mark.clause("mil.cast.C1")
@pytest.mark.parametrize("name", ["int8", "uint8", "int16", "uint16", "int32", "fp16", "fp32", "bool"])
def test_since_coreml7_cast_knows_small_integers(name: str) -> None:
    for source in ("int8", "uint8", "int16", "uint16", "int32", "float16", "float32"):
        y = run("cast", {"x": np.array([0, 1, 100], source)}, opset="CoreML7", dtype=name)
        check(y, [0, 1, 1 if name == "bool" else 100], TYPES.get(name) or np.dtype(name).type)
    with pytest.raises(InvalidModelError, match="'dtype' is 'int16', expected one of 'fp16', 'fp32', 'int32', 'bool'"):
        run("cast", {"x": np.float32(1)}, opset="CoreML6", dtype="int16")


@pytest.mark.clause("programs.U3")
def test_integers_that_do_not_fit_are_an_error_unless_that_is_allowed() -> None:
    x = np.array([40000, -1], np.int32)
    with pytest.raises(InputError, match=r"value at \(0,\) is 40000, which int16 cannot represent"):
        run("cast", {"x": x}, dtype="int16")
    check(run("cast", {"x": x}, dtype="int16", strict=False), [32767, -1], np.int16)


@pytest.mark.clause("mil.identity.S1")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int32, np.bool_, np.int8, np.uint16])
def test_identity(dtype: Any) -> None:
    x = np.array([[0, 1, 1]]).astype(dtype)
    check(run("identity", {"x": x}), x, dtype)


@pytest.mark.clause("mil.identity.S1")
def test_identity_of_a_list() -> None:
    program = Builder({"x": (3,)})
    empty = program.add("make_list", init_length=2, elem_shape=[3], dtype="fp32")
    written = program.add("list_write", ls=empty, index=1, value=program["x"])
    same = program.add("identity", x=written)
    program.output(program.add("list_read", ls=same, index=1, outputs=[(3,)], name="y"))
    np.testing.assert_array_equal(program.model().predict({"x": [1, 2, 4]})["y"], [1, 2, 4])


# ---- Errors ----


@pytest.mark.clause(
    "mil.add.C1",
    "mil.sub.C1",
    "mil.mul.C1",
    "mil.maximum.C1",
    "mil.minimum.C1",
    "mil.floor_div.C1",
    "mil.mod.C1",
    "mil.equal.C1",
    "mil.not_equal.C1",
    "mil.less.C1",
    "mil.less_equal.C1",
    "mil.greater.C1",
    "mil.greater_equal.C1",
    "mil.real_div.C1",
    "mil.pow.C1",
)
@pytest.mark.parametrize("name", [*ARITHMETIC, *COMPARISONS, "real_div", "pow"])
def test_nothing_is_converted_implicitly(name: str) -> None:
    place = r"\(made_0\)|made"
    for x, y in ((np.float16(1), np.float32(2)), (np.float32(1), np.int32(2))):
        for given in ({"inputs": {"x": x, "y": y}}, {"inputs": {"x": x}, "y": y}, {"inputs": {"y": y}, "x": x}):
            with pytest.raises(InvalidModelError, match=rf"({place}).*'x', 'y' have elements of types .*expected one"):
                run(name, **given)  # type: ignore[arg-type]


@pytest.mark.clause(
    "mil.add.C1",
    "mil.sub.C1",
    "mil.mul.C1",
    "mil.maximum.C1",
    "mil.minimum.C1",
    "mil.floor_div.C1",
    "mil.mod.C1",
    "mil.equal.C1",
    "mil.not_equal.C1",
    "mil.less.C1",
    "mil.less_equal.C1",
    "mil.greater.C1",
    "mil.greater_equal.C1",
    "mil.real_div.C1",
    "mil.pow.C1",
    "mil.logical_and.C1",
    "mil.logical_or.C1",
    "mil.logical_xor.C1",
    "mil.select.C1",
    "mil.logical_not.C1",
    "mil.abs.C1",
    "mil.sign.C1",
    "mil.square.C1",
    "mil.exp2.C1",
    "mil.threshold.C1",
    "mil.clip.C1",
    "mil.inverse.C1",
    "mil.log.C1",
    "mil.rsqrt.C1",
    "mil.sqrt.C1",
    "mil.exp.C1",
    "mil.erf.C1",
    "mil.ceil.C1",
    "mil.floor.C1",
    "mil.round.C1",
    "mil.sin.C1",
    "mil.cos.C1",
    "mil.tan.C1",
    "mil.asin.C1",
    "mil.acos.C1",
    "mil.atan.C1",
    "mil.sinh.C1",
    "mil.cosh.C1",
    "mil.atanh.C1",
    "mil.cast.C1",
)
def test_types_that_an_operation_does_not_take() -> None:
    small, whole, yes = np.int8(1), np.int32(1), np.bool_(True)
    for name in (*ARITHMETIC, *COMPARISONS, "real_div", "pow"):
        for value in (small, yes):
            with pytest.raises(InvalidModelError, match=r"'x' has elements of type .*, expected fp16, fp32, int32\."):
                run(name, {"x": value, "y": value})
    for name in LOGIC:
        with pytest.raises(InvalidModelError, match="'x' has elements of type int32, expected bool"):
            run(name, {"x": whole, "y": whole})
    numbers = {name: {"x": yes} for name in ("abs", "sign", "square", "exp2", "threshold")}
    floats = {
        name: {"x": whole}
        for name in (*FUNCTIONS, "ceil", "floor", "round", "clip", "inverse", "log", "rsqrt")
        if name not in numbers
    }
    for name, inputs in (
        ("logical_not", {"x": whole}),
        ("select", {"cond": whole, "a": whole, "b": whole}),
        ("select", {"cond": yes, "a": small, "b": small}),
        *numbers.items(),
        *floats.items(),
    ):
        parameters = {"threshold": {"alpha": whole}, "clip": {"alpha": np.float32(0), "beta": np.float32(1)}}
        with pytest.raises(InvalidModelError, match=r"has elements of type .*, expected "):
            run(name, inputs, **parameters.get(name, {}))
    with pytest.raises(InvalidModelError, match="'x' has elements of type int8, expected fp16, fp32, int32, bool"):
        run("cast", {"x": small}, opset="CoreML6", dtype="int32")
    with pytest.raises(InvalidModelError, match="'a', 'b' have elements of types int32, fp32, expected one"):
        run("select", {"cond": yes, "a": whole, "b": np.float32(1)})
    with pytest.raises(InvalidModelError, match="'x', 'alpha', 'beta' have elements of types fp32, fp32, fp16"):
        run("clip", {"x": np.float32(1)}, alpha=np.float32(0), beta=np.float16(1))
    with pytest.raises(InvalidModelError, match="'x', 'alpha' have elements of types fp32, fp16, expected one"):
        run("threshold", {"x": np.float32(1)}, alpha=np.float16(1))
    for name in EPSILONS:
        with pytest.raises(InvalidModelError, match="'x', 'epsilon' have elements of types fp16, fp32, expected one"):
            run(name, {"x": np.float16(1)}, opset="CoreML6", epsilon=np.float32(1))


@pytest.mark.clause(
    "mil.add.C2",
    "mil.sub.C2",
    "mil.mul.C2",
    "mil.maximum.C2",
    "mil.minimum.C2",
    "mil.floor_div.C2",
    "mil.mod.C2",
    "mil.equal.C2",
    "mil.not_equal.C2",
    "mil.less.C2",
    "mil.less_equal.C2",
    "mil.greater.C2",
    "mil.greater_equal.C2",
    "mil.real_div.C2",
    "mil.pow.C2",
    "mil.logical_and.C2",
    "mil.logical_or.C2",
    "mil.logical_xor.C2",
    "mil.select.C2",
)
def test_shapes_that_do_not_broadcast() -> None:
    for name in (*ARITHMETIC, *COMPARISONS, *LOGIC, "real_div", "pow"):
        dtype = bool if name in LOGIC else np.float32
        with pytest.raises(InvalidModelError, match=r"\(2, 3\), \(2,\) do not fit together"):
            run(name, {"x": np.zeros((2, 3), dtype), "y": np.zeros(2, dtype)})
    for shapes in (((2, 3), (3,), (2,)), ((4,), (2, 3), (3,))):
        cond, a, b = map(np.zeros, shapes)
        with pytest.raises(InvalidModelError, match="do not fit together"):
            run("select", {"cond": cond != 0, "a": a.astype(np.float32), "b": b.astype(np.float32)})


@pytest.mark.clause("mil.threshold.C1", "mil.cast.C1")
def test_parameters_that_are_missing() -> None:
    with pytest.raises(InvalidModelError, match="parameter 'alpha' is missing"):
        run("threshold", {"x": np.float32(1)})
    with pytest.raises(InvalidModelError, match="parameter 'dtype' is missing"):
        run("cast", {"x": np.float32(1)})
