"""Reductions along any axes and cumSum, against loops."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import integers, one_layer, run_layer

from refcoreml.errors import InputError, InvalidModelError

run_layer = partial(run_layer, rank5=False)

FORMULAS = {
    "reduceSum": sum,
    "reduceMean": lambda v: sum(v) / len(v),
    "reduceProd": math.prod,
    "reduceMax": max,
    "reduceMin": min,
    "reduceL1": lambda v: sum(map(abs, v)),
    "reduceL2": lambda v: math.sqrt(sum(a * a for a in v)),
    "reduceSumSquare": lambda v: sum(a * a for a in v),
    "reduceLogSum": lambda v: math.log(sum(v)),
    "reduceLogSumExp": lambda v: math.log(math.fsum(map(math.exp, v))),
}
SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple)


def _loop(x, axes, keep, formula):
    groups = {}
    for place, value in np.ndenumerate(x):
        groups.setdefault(tuple(0 if k in axes else i for k, i in enumerate(place)), []).append(float(value))
    y = np.empty([1 if k in axes else n for k, n in enumerate(x.shape)])
    for place, values in groups.items():
        y[place] = formula(values)
    return y if keep else y.reshape([n for k, n in enumerate(x.shape) if k not in axes] or [1])


@pytest.mark.clause("reduceSum.S1", "reduceSum.S2", "reduceMean.S1", "reduceMean.S2", "reduceProd.S1", "reduceProd.S2")
@pytest.mark.clause("reduceMax.S1", "reduceMax.S2", "reduceMin.S1", "reduceMin.S2", "reduceL1.S1", "reduceL1.S2")
@pytest.mark.clause("reduceL2.S1", "reduceL2.S2", "reduceSumSquare.S1", "reduceSumSquare.S2", "reduceLogSum.S1")
@pytest.mark.clause("reduceLogSum.S2", "reduceLogSumExp.S1", "reduceLogSumExp.S2")
@pytest.mark.parametrize("kind", FORMULAS)
@settings(max_examples=10)
@given(SHAPES, st.data(), st.booleans(), st.sampled_from(["float32", "float64"]))
def test_against_loops(kind, shape, data, keep, precision):
    rank = len(shape)
    axes = data.draw(st.sets(st.integers(0, rank - 1), min_size=1))
    given_axes = [axis - rank * data.draw(st.integers(0, 1)) for axis in data.draw(st.permutations(sorted(axes)))]
    x = integers(shape, low=1, high=3)
    y = run_layer(kind, x, precision=precision, axes=given_axes, keepDims=keep)
    expected = _loop(x, axes, keep, FORMULAS[kind])
    assert y.shape == expected.shape
    if kind in ("reduceLogSum", "reduceLogSumExp", "reduceL2", "reduceMean"):
        np.testing.assert_allclose(y, expected, rtol=8 * np.finfo(y.dtype).eps)
    else:
        np.testing.assert_array_equal(y, expected.astype(y.dtype))


@pytest.mark.clause("reduceSum.S3", "reduceMean.S3", "reduceProd.S3", "reduceMax.S3", "reduceMin.S3", "reduceL1.S3")
@pytest.mark.clause("reduceL2.S3", "reduceSumSquare.S3", "reduceLogSum.S3", "reduceLogSumExp.S3")
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("rank", range(1, 6))
@pytest.mark.parametrize("kind", FORMULAS)
def test_reduce_all_wins_over_axes(kind, rank, keep):
    x = integers((2, 3, 1, 2, 3)[-rank:], low=1, high=3)
    y = run_layer(kind, x, reduceAll=True, keepDims=keep, axes=[77])
    assert y.shape == ((1,) * rank if keep else (1,))
    np.testing.assert_allclose(y.ravel(), [FORMULAS[kind](x.ravel().tolist())], rtol=8 * 2**-23)


@pytest.mark.clause("reduceSum.U1", "reduceMean.U1", "reduceProd.U1", "reduceMax.U1", "reduceMin.U1", "reduceL1.U1")
@pytest.mark.clause("reduceL2.U1", "reduceSumSquare.U1", "reduceLogSum.U1", "reduceLogSumExp.U1")
@pytest.mark.parametrize("kind", FORMULAS)
def test_nan_propagates(kind):
    y = run_layer(kind, [[1, np.nan], [1, 2]], axes=[1])
    np.testing.assert_array_equal(np.isnan(y), [True, False])


@pytest.mark.clause("reduceLogSum.S4", "reduceLogSumExp.S4")
def test_log_sums():
    np.testing.assert_array_equal(run_layer("reduceLogSum", [[1, -1], [1, -2]], axes=[1]), [-np.inf, np.nan])
    y = run_layer("reduceLogSumExp", [[1e8, 1e8], [-np.inf, -np.inf], [np.inf, 0]], axes=[1])
    np.testing.assert_array_equal(y, np.array([1e8, -np.inf, np.inf], np.float32))


@pytest.mark.clause("reduceSum.C1", "reduceMean.C1", "reduceProd.C1", "reduceMax.C1", "reduceMin.C1", "reduceL1.C1")
@pytest.mark.clause("reduceL2.C1", "reduceSumSquare.C1", "reduceLogSum.C1", "reduceLogSumExp.C1")
@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ([3], r"axes is \(3,\), expected -3 to 2"),
        ([-4], "expected -3 to 2"),
        ([2**62], "expected -3 to 2"),
    ],
)
@pytest.mark.parametrize("kind", FORMULAS)
def test_errors(kind, axes, message):
    with pytest.raises(InvalidModelError, match=rf"\({kind}\).*{message}"):
        one_layer(kind, rank5=False, axes=axes).shapes({"x0": (2, 3, 4)})


@pytest.mark.clause("reduceSum.U2", "reduceMean.U2", "reduceProd.U2", "reduceMax.U2", "reduceMin.U2", "reduceL1.U2")
@pytest.mark.clause("reduceL2.U2", "reduceSumSquare.U2", "reduceLogSum.U2", "reduceLogSumExp.U2")
@pytest.mark.parametrize(
    ("axes", "message"),
    [([], "axes is empty"), ([0, -3], "names an axis of 3 twice"), ([1, 1], "names an axis of 3 twice")],
)
@pytest.mark.parametrize("kind", FORMULAS)
def test_no_axes_or_one_twice(kind, axes, message):
    with pytest.raises(InvalidModelError, match=rf"\({kind}\).*{message}"):
        one_layer(kind, rank5=False, axes=axes).shapes({"x0": (2, 3, 4)})


@pytest.mark.clause("cumSum.S1", "cumSum.S2", "cumSum.S3")
@settings(max_examples=50)
@given(SHAPES, st.data(), st.booleans(), st.booleans(), st.booleans(), st.sampled_from(["float32", "float64"]))
def test_cumulative_sum(shape, data, exclusive, reverse, as_input, precision):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = integers(shape)
    inputs, fields = ((x, [axis]), {"axis": 99}) if as_input else ((x,), {"axis": axis})
    y = run_layer("cumSum", *inputs, precision=precision, excludeFinalSum=exclusive, reverse=reverse, **fields)
    for place in np.ndindex(*shape):
        i, n = place[axis], shape[axis]
        line = list(place)
        total = 0
        for line[axis] in range(i + exclusive, n) if reverse else range(i + 1 - exclusive):
            total += x[tuple(line)]
        assert y[place] == total


@pytest.mark.clause("cumSum.S1", "cumSum.S2")
def test_cumulative_sum_as_the_specification_shows_it():
    for exclusive, reverse, expected in [
        (False, False, [4, 10, 17]),
        (True, False, [0, 4, 10]),
        (False, True, [17, 13, 7]),
        (True, True, [13, 7, 0]),
    ]:
        y = run_layer("cumSum", [4, 6, 7], excludeFinalSum=exclusive, reverse=reverse)
        np.testing.assert_array_equal(y, expected)


@pytest.mark.clause("cumSum.U1")
def test_a_fraction_of_an_axis_is_cut_off():
    x = integers((2, 3))
    for given_axis, axis in (1.9, 1), (-1.5, -1), (-0.9, 0):
        np.testing.assert_array_equal(run_layer("cumSum", x, [given_axis]), np.cumsum(x, axis))


@pytest.mark.clause("cumSum.C1", "cumSum.C2")
def test_cumulative_sum_errors():
    with pytest.raises(InvalidModelError, match="axis is 2, expected -2 to 1"):
        run_layer("cumSum", np.ones((2, 3)), axis=2)
    with pytest.raises(InputError, match="axis is -3, expected -2 to 1"):
        run_layer("cumSum", np.ones((2, 3)), [-3])
    with pytest.raises(InputError, match="numbers"):
        run_layer("cumSum", np.ones((2, 3)), [np.nan])
    with pytest.raises(InvalidModelError, match=r"axis has the shape \(2,\), expected 1 element"):
        run_layer("cumSum", np.ones((2, 3)), [0, 1])
