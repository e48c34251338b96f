"""Arithmetic, comparisons and logic of two inputs that broadcast, against loops."""

from __future__ import annotations

import math
import operator
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import integers, one_layer, run_layer

from refcoreml.errors import InvalidModelError

run_layer = partial(run_layer, rank5=False)

ARITHMETIC = {
    "addBroadcastable": operator.add,
    "subtractBroadcastable": operator.sub,
    "multiplyBroadcastable": operator.mul,
    "divideBroadcastable": operator.truediv,
    "floorDivBroadcastable": operator.floordiv,
    "modBroadcastable": operator.mod,
    "powBroadcastable": operator.pow,
    "maxBroadcastable": max,
    "minBroadcastable": min,
}
COMPARISONS = {
    "equal": operator.eq,
    "notEqual": operator.ne,
    "lessThan": operator.lt,
    "lessEqual": operator.le,
    "greaterThan": operator.gt,
    "greaterEqual": operator.ge,
}
LOGIC = {
    "logicalAnd": lambda a, b: bool(a) and bool(b),
    "logicalOr": lambda a, b: bool(a) or bool(b),
    "logicalXor": lambda a, b: bool(a) != bool(b),
}
ALL = {**ARITHMETIC, **COMPARISONS, **LOGIC}


@st.composite
def shape_pairs(draw):
    """Two shapes that broadcast, and their common shape."""
    common = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5).map(tuple))
    short = draw(st.integers(1, len(common)))
    pair = [tuple(draw(st.sampled_from([1, n])) for n in common[len(common) - rank :]) for rank in (len(common), short)]
    common = tuple(max(a, b) for a, b in zip(pair[0], (1,) * (len(common) - short) + pair[1], strict=True))
    return (*(pair if draw(st.booleans()) else pair[::-1]), common)


def _element(x, place):
    aligned = place[len(place) - x.ndim :]
    return float(x[tuple(0 if n == 1 else i for i, n in zip(aligned, x.shape, strict=True))])


@pytest.mark.clause("addBroadcastable.S1", "subtractBroadcastable.S1", "multiplyBroadcastable.S1")
@pytest.mark.clause("divideBroadcastable.S1", "floorDivBroadcastable.S1", "modBroadcastable.S1", "powBroadcastable.S1")
@pytest.mark.clause("maxBroadcastable.S1", "minBroadcastable.S1", "equal.S1", "notEqual.S1", "lessThan.S1")
@pytest.mark.clause("lessEqual.S1", "greaterThan.S1", "greaterEqual.S1", "logicalAnd.S1", "logicalOr.S1")
@pytest.mark.clause("logicalXor.S1")
@pytest.mark.parametrize("kind", sorted(ALL))
@settings(max_examples=8)
@given(shapes=shape_pairs(), seed=st.integers(0, 9), precision=st.sampled_from(["float32", "float64"]))
def test_against_loops(kind, shapes, seed, precision):
    a, b = integers(shapes[0], seed, -3, 4), integers(shapes[1], seed + 1, -3, 4)
    if kind in ("divideBroadcastable", "floorDivBroadcastable", "modBroadcastable"):
        b[b == 0] = -2
    if kind == "powBroadcastable":
        b = abs(b)
    y = run_layer(kind, a, b, precision=precision)
    assert y.shape == shapes[2]
    for place in np.ndindex(*y.shape):
        assert y[place] == y.dtype.type(ALL[kind](_element(a, place), _element(b, place)))


@pytest.mark.clause("addBroadcastable.C1", "subtractBroadcastable.C1", "multiplyBroadcastable.C1")
@pytest.mark.clause("divideBroadcastable.C1", "floorDivBroadcastable.C1", "modBroadcastable.C1", "powBroadcastable.C1")
@pytest.mark.clause("maxBroadcastable.C1", "minBroadcastable.C1", "equal.C1", "notEqual.C1", "lessThan.C1")
@pytest.mark.clause("lessEqual.C1", "greaterThan.C1", "greaterEqual.C1", "logicalAnd.C1", "logicalOr.C1")
@pytest.mark.clause("logicalXor.C1")
@pytest.mark.parametrize("kind", ALL)
def test_shapes_that_do_not_broadcast(kind):
    with pytest.raises(InvalidModelError, match=rf"\({kind}\).*\(2, 3\), \(2, 4\) do not fit"):
        run_layer(kind, np.ones((2, 3)), np.ones((2, 4)))


@pytest.mark.clause("floorDivBroadcastable.U1", "modBroadcastable.U1")
def test_signs_of_floor_division_and_remainder():
    a, b = np.array([7, -7, 7, -7, 5.5, -5.5]), np.array([3, 3, -3, -3, -2, 2])
    np.testing.assert_array_equal(run_layer("floorDivBroadcastable", a, b), [2, -3, -3, 2, -3, -3])
    np.testing.assert_array_equal(run_layer("modBroadcastable", a, b), [1, 2, -2, -1, -0.5, 0.5])


@pytest.mark.clause("floorDivBroadcastable.U2")
def test_floor_division_of_the_exact_quotient():
    # The double 0.1 is above 1 / 10, so that the quotient is below 10, to which it would round.
    np.testing.assert_array_equal(run_layer("floorDivBroadcastable", [1, -1], [0.1], precision="float64"), [9, -10])


@pytest.mark.clause("divideBroadcastable.S2", "floorDivBroadcastable.U3", "modBroadcastable.U2")
def test_division_by_zero():
    a, b = np.array([3, -3, 0]), np.zeros(1)
    np.testing.assert_array_equal(run_layer("divideBroadcastable", a, b), [np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(run_layer("floorDivBroadcastable", a, b), [np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(run_layer("modBroadcastable", a, b), [np.nan] * 3)
    np.testing.assert_array_equal(run_layer("divideBroadcastable", a, -b), [-np.inf, np.inf, np.nan])
    np.testing.assert_array_equal(run_layer("floorDivBroadcastable", a, -b), [-np.inf, np.inf, np.nan])


@pytest.mark.clause("floorDivBroadcastable.U3", "modBroadcastable.U2")
def test_division_of_and_by_infinity():
    a, b = [np.inf, -np.inf, np.inf], [2, 2, -3]
    np.testing.assert_array_equal(run_layer("floorDivBroadcastable", a, b), [np.nan] * 3)
    np.testing.assert_array_equal(run_layer("modBroadcastable", a, b), [np.nan] * 3)
    y = run_layer("modBroadcastable", [5, -5, 5, -5], [np.inf, np.inf, -np.inf, -np.inf])
    np.testing.assert_array_equal(y, [5, np.inf, -np.inf, -5])


@pytest.mark.clause("powBroadcastable.U1")
def test_powers():
    y = run_layer("powBroadcastable", [-8, -8, 0, 0, 2], [1 / 3, 2, 0, -1, 0.5])
    np.testing.assert_array_equal(y, np.array([np.nan, 64, 1, np.inf, math.sqrt(2)], np.float32))


@pytest.mark.clause("maxBroadcastable.U1", "minBroadcastable.U1")
@pytest.mark.parametrize("kind", ["maxBroadcastable", "minBroadcastable"])
def test_extremes_of_nan(kind):
    assert np.isnan(run_layer(kind, [np.nan, np.nan, 1], [np.nan, 1, np.nan])).all()


@pytest.mark.clause("equal.U1", "notEqual.U1", "lessThan.U1", "lessEqual.U1", "greaterThan.U1", "greaterEqual.U1")
@pytest.mark.parametrize("kind", COMPARISONS)
def test_comparisons_with_nan(kind):
    y = run_layer(kind, [np.nan, np.nan, 1], [np.nan, 1, np.nan])
    np.testing.assert_array_equal(y, [float(kind == "notEqual")] * 3)


@pytest.mark.clause("logicalAnd.U1", "logicalOr.U1", "logicalXor.U1", "logicalNot.U1")
def test_nan_is_true():
    a, b = [np.nan, np.nan, 0], [0, np.nan, np.nan]
    np.testing.assert_array_equal(run_layer("logicalAnd", a, b), [0, 1, 0])
    np.testing.assert_array_equal(run_layer("logicalOr", a, b), [1, 1, 1])
    np.testing.assert_array_equal(run_layer("logicalXor", a, b), [1, 0, 1])
    np.testing.assert_array_equal(run_layer("logicalNot", a), [0, 0, 1])


@pytest.mark.clause("equal.S2", "notEqual.S2", "lessThan.S2", "lessEqual.S2", "greaterThan.S2", "greaterEqual.S2")
@pytest.mark.parametrize("rank", range(1, 6))
@pytest.mark.parametrize("kind", COMPARISONS)
def test_comparison_with_alpha(kind, rank):
    x = integers((2, 3, 4, 5, 6)[-rank:])
    for alpha in 0.0, 1.0, -2.5:
        y = run_layer(kind, x, alpha=alpha)
        np.testing.assert_array_equal(y.ravel(), [COMPARISONS[kind](v, alpha) for v in x.ravel().tolist()])
    np.testing.assert_array_equal(run_layer(kind, x), run_layer(kind, x, alpha=0))


@pytest.mark.clause("equal.S2", "notEqual.S2", "lessThan.S2", "lessEqual.S2", "greaterThan.S2", "greaterEqual.S2")
@pytest.mark.parametrize("kind", COMPARISONS)
def test_alpha_is_single_precision(kind):
    # The field is a float: 0.1 is stored as the nearest single, in every arithmetic.
    single = float(np.float32(0.1))
    y = run_layer(kind, [0.1, single], precision="float64", alpha=0.1)
    np.testing.assert_array_equal(y, [COMPARISONS[kind](v, single) for v in (0.1, single)])
    y = run_layer(kind, [0.1, single], precision="float32", alpha=0.1)
    np.testing.assert_array_equal(y, [COMPARISONS[kind](single, single)] * 2)


@pytest.mark.clause("logicalNot.S1")
@pytest.mark.parametrize("rank", range(1, 6))
def test_logical_not(rank):
    x = integers((2, 3, 4, 5, 6)[-rank:], low=-1, high=2)
    np.testing.assert_array_equal(run_layer("logicalNot", x), x == 0)


@pytest.mark.clause("logicalNot.C1")
def test_logical_not_of_two():
    with pytest.raises(InvalidModelError, match=r"\(logicalNot\): has 2 inputs, expected 1"):
        one_layer("logicalNot", 2)
