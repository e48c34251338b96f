"""Constants, fills, broadcasts, ranges and shapes."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import integers, one_layer, run_layer

from refcoreml.errors import InputError, InvalidModelError

run_layer = partial(run_layer, rank5=False)

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), (2, 3, 4, 5), (2, 1, 3, 4, 5)])
@pytest.mark.clause("loadConstantND.S1")
def test_load_constant(shape, precision):
    data = integers(shape)
    y = run_layer("loadConstantND", precision=precision, shape=shape, data=data)
    np.testing.assert_array_equal(y, data)
    assert not y.flags.writeable


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((), "shape is"),
        ((1, 1, 1, 1, 1, 6), "expected 1 to 5 numbers"),
        ((6, 0), "at least 1"),
        ((7,), "holds 6 values"),
        ((2**62, 2**62), "holds 6 values"),
    ],
)
@pytest.mark.clause("loadConstantND.C1")
def test_load_constant_errors(shape, message):
    with pytest.raises(InvalidModelError, match=rf"\(loadConstantND\).*{message}"):
        one_layer("loadConstantND", 0, shape=shape, data=np.ones(6))


@settings(max_examples=20)
@given(SHAPES, st.sampled_from(["float32", "float64"]))
@pytest.mark.clause("fillLike.S1", "fillStatic.S1", "fillDynamic.S1")
def test_fills(shape, precision):
    expected = np.full(shape, np.float32(0.1))
    for inputs, kind, fields in [
        ([np.full(shape, np.nan)], "fillLike", {}),
        ([], "fillStatic", {"targetShape": shape}),
        ([shape], "fillDynamic", {}),
    ]:
        static = kind != "fillDynamic"
        y = run_layer(kind, *inputs, static=static, precision=precision, value=0.1, **fields)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(run_layer(kind, *inputs, static=static, **fields), 0 * expected)


@st.composite
def broadcasts(draw):
    target = draw(SHAPES)
    rank = draw(st.integers(1, len(target)))
    return tuple(draw(st.sampled_from([1, n])) for n in target[len(target) - rank :]), target


@settings(max_examples=20)
@given(broadcasts())
@pytest.mark.clause("broadcastToLike.S1", "broadcastToStatic.S1", "broadcastToDynamic.S1")
def test_broadcasts(shapes):
    shape, target = shapes
    x = integers(shape)
    expected = np.broadcast_to(x, target)
    np.testing.assert_array_equal(run_layer("broadcastToLike", x, np.full(target, np.nan)), expected)
    np.testing.assert_array_equal(run_layer("broadcastToStatic", x, targetShape=target), expected)
    np.testing.assert_array_equal(run_layer("broadcastToDynamic", x, target, static=False), expected)


@pytest.mark.parametrize(("shape", "target"), [((2, 3), (2, 4)), ((2, 3), (3,)), ((2, 3), (1, 3)), ((2, 2, 3), (2, 3))])
@pytest.mark.clause("broadcastToLike.C1", "broadcastToStatic.C2", "broadcastToDynamic.C2")
def test_shapes_that_do_not_broadcast(shape, target):
    x = np.ones(shape)
    with pytest.raises(InvalidModelError, match="does not broadcast to"):
        run_layer("broadcastToLike", x, np.ones(target))
    with pytest.raises(InvalidModelError, match="does not broadcast to"):
        run_layer("broadcastToStatic", x, targetShape=target)
    with pytest.raises(InputError, match="does not broadcast to"):
        run_layer("broadcastToDynamic", x, target)


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        ("fillDynamic", 0),
        ("broadcastToDynamic", 1),
        ("randomNormalDynamic", 0),
        ("randomUniformDynamic", 0),
        ("randomBernoulliDynamic", 0),
    ],
)
@pytest.mark.clause(
    "fillDynamic.C1",
    "fillDynamic.C2",
    "fillDynamic.U1",
    "broadcastToDynamic.C1",
    "broadcastToDynamic.C2",
    "broadcastToDynamic.U1",
)
def test_dynamic_shapes(kind, inputs):
    run = partial(run_layer, kind, *[np.ones(1)] * inputs)
    assert run([2, 3.9], static=False).shape == (2, 3)
    for shape in [0, 2], [2, -1]:
        with pytest.raises(InputError, match=rf"\({kind}\).*expected numbers of at least 1"):
            run(shape)
    for shape in [2, np.nan], [np.inf, 2]:
        with pytest.raises(InputError, match=kind):
            run(shape)
    for shape in [2.0**20] * 2, [2.0**120] * 5:
        with pytest.raises(InputError, match="bytes, limit"):
            run(shape)
    for shape in [[2, 3]], [1] * 6:
        with pytest.raises(InvalidModelError, match="expected a vector of 1 to 5 numbers"):
            run(shape)


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("fillStatic", "targetShape"),
        ("broadcastToStatic", "targetShape"),
        ("randomNormalStatic", "outputShape"),
        ("randomUniformStatic", "outputShape"),
        ("randomBernoulliStatic", "outputShape"),
    ],
)
@pytest.mark.clause("fillStatic.C1", "broadcastToStatic.C1")
def test_static_shapes(kind, field):
    inputs = [np.ones(1)] * (kind == "broadcastToStatic")
    assert run_layer(kind, *inputs, **{field: [2, 3]}).shape == (2, 3)
    for shape in [], [0, 2], [1] * 6:
        with pytest.raises(InvalidModelError, match=rf"\({kind}\).*{field}"):
            run_layer(kind, *inputs, **{field: shape})
    with pytest.raises(InvalidModelError, match="bytes, limit"):
        run_layer(kind, *inputs, **{field: [2**62, 2**62]})


RANGES = [(-10.4, 23, 12.2), (0, 1000, 1), (50.5, 90.5, 1.5), (5, 8, 2), (5, 8, 98), (10, 5, -0.6), (24, -65, -2)]


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("start", "end", "step"), RANGES)
@pytest.mark.clause("rangeStatic.S1", "rangeDynamic.S1")
def test_ranges(start, end, step, precision):
    expected = np.arange(start, end, step)
    single = [float(np.float32(v)) for v in (start, step)]
    values = np.array([single[0] + i * single[1] for i in range(len(expected))])
    fields = {"startValue": start, "stepSizeValue": step}
    y = run_layer("rangeStatic", precision=precision, endValue=end, **fields)
    np.testing.assert_array_equal(y, values.astype(y.dtype))
    for inputs in [[end]], [[end], [start]], [[end], [start], [step]]:
        y = run_layer("rangeDynamic", *inputs, precision=precision, static=False, **fields)
        np.testing.assert_allclose(y, expected, rtol=0, atol=4 * 2**-23 * max(abs(expected)))
        assert len(y) == len(expected)


@pytest.mark.parametrize(("precision", "count"), [("float32", 3), ("float64", 4)])
@pytest.mark.clause("rangeStatic.U1", "rangeDynamic.U1")
def test_the_numbers_of_a_range_are_counted_in_the_arithmetic_of_the_network(precision, count):
    end, step = (float(np.float32(v)) for v in (0.3, 0.1))  # as doubles their quotient is 3.00000007
    assert run_layer("rangeStatic", precision=precision, endValue=end, stepSizeValue=step).shape == (count,)
    y = run_layer("rangeDynamic", [end], precision=precision, static=False, stepSizeValue=step)
    assert y.shape == (count,)


@pytest.mark.clause("rangeDynamic.S2")
def test_inputs_of_a_range_win_over_parameters():
    y = run_layer("rangeDynamic", [5], [1], [2], static=False, startValue=77, stepSizeValue=78)
    np.testing.assert_array_equal(y, [1, 3])


@pytest.mark.parametrize(
    ("start", "end", "step"), [(0, 5, 0), (0, 5, -1), (5, 5, 1), (0, np.inf, 1), (np.nan, 5, 1), (-3e38, 3e38, 1)]
)
@pytest.mark.clause("rangeStatic.C1", "rangeDynamic.C2")
def test_ranges_without_numbers(start, end, step):
    with pytest.raises(InvalidModelError, match=r"\(rangeStatic\).*holds no numbers"):
        one_layer("rangeStatic", 0, startValue=start, endValue=end, stepSizeValue=step)
    with pytest.raises(InputError, match=r"\(rangeDynamic\)"):
        run_layer("rangeDynamic", [end], [start], [step])


@pytest.mark.clause("rangeStatic.C1", "rangeDynamic.C1", "rangeDynamic.C2")
def test_hostile_ranges():
    with pytest.raises(InvalidModelError, match="bytes, limit"):
        run_layer("rangeStatic", endValue=1e30, stepSizeValue=1)
    with pytest.raises(InputError, match="bytes, limit"):
        run_layer("rangeDynamic", [1e30], stepSizeValue=1)
    with pytest.raises(InvalidModelError, match="element"):
        run_layer("rangeDynamic", [1, 2], stepSizeValue=1)


@settings(max_examples=20)
@given(SHAPES, st.sampled_from(["float32", "float64"]))
@pytest.mark.clause("getShape.S1")
def test_get_shape(shape, precision):
    np.testing.assert_array_equal(run_layer("getShape", np.ones(shape), precision=precision), shape)


@pytest.mark.clause("getShape.C1")
def test_get_shape_of_a_length_that_is_no_single():
    length = 2**24 + 1
    network = one_layer("getShape", rank5=False)
    assert network.shapes({"x0": (2, length - 1)})["y0"] == (2,)
    with pytest.raises(InvalidModelError, match=f"float32 cannot represent the length {length}"):
        network.shapes({"x0": (2, length)})
    assert one_layer("getShape", rank5=False, precision="float64").shapes({"x0": (2, length)})["y0"] == (2,)
