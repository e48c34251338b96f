"""Elementwise layers: unary, add, multiply, average, max, min, scale, bias."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support import integers, run_layer

from refcoreml.errors import InvalidModelError
from refcoreml.neuralnetwork.registry import channel_axis

UNARY = {
    "SQRT": lambda v: math.sqrt(v),
    "RSQRT": lambda v: 1 / math.sqrt(v + 1e-6),
    "INVERSE": lambda v: 1 / (v + 1e-6),
    "POWER": lambda v: 1.0,
    "EXP": math.exp,
    "LOG": lambda v: math.log(v + 1e-6),
    "ABS": abs,
    "THRESHOLD": lambda v: max(0.0, v),
}


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5, 6), (3, 4, 5), (7,)])
@pytest.mark.parametrize("kind", UNARY)
@pytest.mark.clause("unary.S1", "unary.S2")
def test_unary_with_defaults(kind, shape, precision):
    x = integers(shape, low=1, high=9)
    y = run_layer("unary", x, rank5=len(shape) == 5, precision=precision, type=kind)
    expected = np.array([UNARY[kind](v) for v in x.reshape(-1).tolist()]).reshape(shape)
    np.testing.assert_allclose(y, expected, rtol=4 * np.finfo(y.dtype).eps / 2)


@pytest.mark.clause("unary.S1")
def test_unary_scale_shift_epsilon_alpha():
    x = integers((1, 2, 3, 4, 5), low=0, high=6)
    for kind, formula in {
        "SQRT": lambda v: v**0.5,
        "INVERSE": lambda v: 1 / (v + 0.5),
        "RSQRT": lambda v: (v + 0.5) ** -0.5,
        "POWER": lambda v: v**3,
        "ABS": abs,
        "THRESHOLD": lambda v: np.maximum(v, 3),
    }.items():
        y = run_layer("unary", x, precision="float64", type=kind, scale=2, shift=0.25, epsilon=0.5, alpha=3)
        np.testing.assert_allclose(y, formula(2 * x + 0.25), rtol=8 * 2**-53)
    # Only scale, or only shift
    np.testing.assert_array_equal(run_layer("unary", x, type="ABS", scale=-2), 2 * x)
    np.testing.assert_array_equal(run_layer("unary", x, type="ABS", shift=-3), abs(x - 3))


@pytest.mark.clause("unary.S2")
def test_unary_inverse_of_zero_is_finite():
    y = run_layer("unary", np.zeros((1, 1, 2, 3, 4)), type="INVERSE")
    np.testing.assert_allclose(y, 1e6, rtol=4 * 2**-24)


@pytest.mark.parametrize(
    "fields", [{"type": "SQRT"}, {"type": "RSQRT"}, {"type": "LOG"}, {"type": "POWER", "alpha": 0.5}]
)
@pytest.mark.clause("unary.S3")
def test_unary_of_negative_numbers(fields):
    with np.errstate(invalid="ignore"):
        assert np.isnan(run_layer("unary", -integers((1, 1, 2, 3, 4), low=1), **fields)).all()


@pytest.mark.clause("unary.C1")
def test_unary_of_unknown_type():
    with pytest.raises(InvalidModelError, match=r"\(unary\): type is 42"):
        run_layer("unary", integers((1, 1, 2, 3, 4)), type=42)


SEVERAL = {
    "add": lambda xs: sum(xs[1:], xs[0]),
    "multiply": lambda xs: math.prod(xs),
    "average": lambda xs: sum(xs) / len(xs),
    "max": max,
    "min": min,
}


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("kind", SEVERAL)
@pytest.mark.clause("add.S1", "multiply.S1", "average.S1", "max.S1", "min.S1")
def test_several_inputs(kind, count, precision):
    shapes = [(2, 3, 4, 5, 6), (2, 3, 4, 1, 1), (1, 1, 4, 1, 1), (1, 1, 1, 5, 6)]
    xs = [integers(shape, seed) for seed, shape in enumerate(shapes[:count])]
    y = run_layer(kind, *xs, precision=precision)
    for index in np.ndindex(y.shape):
        values = [x[tuple(i % n for i, n in zip(index, x.shape, strict=True))].item() for x in xs]
        assert y[index] == y.dtype.type(SEVERAL[kind](values))


@pytest.mark.parametrize("kind", SEVERAL)
@pytest.mark.clause("add.U1", "multiply.U1", "average.U1", "max.U1", "min.U1")
def test_broadcasting_between_ranks(kind):
    xs = [integers((4, 1), 0), integers((2, 3, 1, 5), 1), integers((1,), 2)]
    y = run_layer(kind, *xs, rank5=False)
    assert y.shape == (2, 3, 4, 5)
    a, b, c = np.broadcast_arrays(*xs)
    assert y[1, 2, 3, 4] == np.float32(SEVERAL[kind]([a[1, 2, 3, 4], b[1, 2, 3, 4], c[1, 2, 3, 4]]))


@pytest.mark.clause("add.S2", "multiply.S2", "average.S1", "max.S1", "min.S1", "average.U1", "max.U1", "min.U1")
def test_one_input():
    x = integers((1, 2, 3, 4, 5))
    np.testing.assert_array_equal(run_layer("add", x, alpha=2.5), x + 2.5)
    np.testing.assert_array_equal(run_layer("multiply", x, alpha=-3), -3 * x)
    np.testing.assert_array_equal(run_layer("add", x), x)
    np.testing.assert_array_equal(run_layer("multiply", x), 0 * x)
    for kind in ("average", "max", "min"):
        np.testing.assert_array_equal(run_layer(kind, x), x)


@pytest.mark.clause("add.S1", "multiply.S1")
def test_alpha_is_ignored_for_several_inputs():
    x = integers((1, 2, 3, 4, 5))
    np.testing.assert_array_equal(run_layer("add", x, x, alpha=9), 2 * x)
    np.testing.assert_array_equal(run_layer("multiply", x, x, alpha=9), x * x)


@pytest.mark.parametrize("kind", SEVERAL)
@pytest.mark.clause("add.C1", "multiply.C1", "average.C1", "max.C1", "min.C1")
def test_shapes_that_do_not_fit(kind):
    with pytest.raises(InvalidModelError, match=rf"\({kind}\).*\(1, 2, 3, 4, 5\), \(1, 2, 4, 4, 5\) do not fit"):
        run_layer(kind, np.ones((1, 2, 3, 4, 5)), np.ones((1, 2, 4, 4, 5)))


@pytest.mark.parametrize("kind", ["max", "min"])
@pytest.mark.clause("max.U2", "min.U2")
def test_extrema_keep_nan(kind):
    x = integers((1, 1, 2, 3, 4))
    y = x.copy()
    y[0, 0, 1, 2, 3] = np.nan
    for pair in ((x, y), (y, x)):
        np.testing.assert_array_equal(np.isnan(run_layer(kind, *pair)), np.isnan(y))


FORMS = [(1,), (4,), (4, 1, 1), (1, 5, 6), (4, 5, 6), (1, 1, 6), (4, 5, 1), (1, 1, 1)]


def _at(values, index):
    """The value of a parameter [1], [C] or [C, H, W] at a place (c, h, w)."""
    index = index[:1] if values.ndim == 1 else index
    return values[tuple(i % n for i, n in zip(index, values.shape, strict=True))]


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5, 6), (3, 4, 5, 6)])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.clause("scale.S1", "scale.S2", "scale.U2", "bias.S1", "bias.U2")
def test_scale_and_bias(form, shape, precision):
    x, w, b = integers(shape), integers(form, 1), integers(FORMS[-FORMS.index(form)], 2)
    options = {"rank5": len(shape) == 5, "precision": precision}
    plain = run_layer("scale", x, shapeScale=form, scale=w, **options)
    both = run_layer("scale", x, shapeScale=form, scale=w, hasBias=True, shapeBias=b.shape, bias=b, **options)
    moved = run_layer("bias", x, shape=form, bias=w, **options)
    for index in np.ndindex(shape):
        place = index[-3:]
        assert plain[index] == x[index] * _at(w, place)
        assert both[index] == x[index] * _at(w, place) + _at(b, place)
        assert moved[index] == x[index] + _at(w, place)


@pytest.mark.clause("scale.S1")
def test_scale_without_has_bias_ignores_the_bias():
    x = integers((1, 2, 3, 4, 5))
    np.testing.assert_array_equal(run_layer("scale", x, shapeScale=[1], scale=[2], shapeBias=[1], bias=[7]), 2 * x)


@pytest.mark.parametrize(("one", "other"), [(np.float16, np.float32), (np.float32, np.float16)])
@pytest.mark.clause("scale.U3")
def test_scale_and_bias_of_different_precision(one, other):
    x, w, b = integers((2, 3, 4, 5, 6)), integers((4,), 1), integers((4,), 2)
    fields = {"shapeScale": [4], "scale": w.astype(one), "hasBias": True, "shapeBias": [4], "bias": b.astype(other)}
    np.testing.assert_array_equal(run_layer("scale", x, **fields), x * w.reshape(4, 1, 1) + b.reshape(4, 1, 1))


@pytest.mark.clause("scale.U1", "bias.U1")
def test_one_number_a_channel_on_rank_3():
    x = integers((4, 5, 6))
    channels = x.shape[channel_axis(3)]
    w = integers((channels,), 1)
    along = np.moveaxis(np.broadcast_to(w, (1, 1, channels)), -1, channel_axis(3))
    np.testing.assert_array_equal(run_layer("scale", x, rank5=False, shapeScale=[channels], scale=w), x * along)
    np.testing.assert_array_equal(run_layer("bias", x, rank5=False, shape=[channels, 1, 1], bias=w), x + along)


@pytest.mark.clause("scale.U1")
def test_scale_of_a_layer_norm_on_rank_3():
    # As converters write the end of a layer norm over the rows of a matrix [4, 6].
    x, w = integers((4, 1, 6)), integers((1, 1, 6), 1)
    y = run_layer("scale", x, rank5=False, shapeScale=[1, 1, 6], scale=w)
    np.testing.assert_array_equal(y, x * w)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shape": [4, 5], "bias": np.zeros(20)}, r"shape of bias is \(4, 5\), expected"),
        ({"shape": [], "bias": np.zeros(1)}, r"shape of bias is \(\), expected"),
        ({"shape": [0], "bias": np.zeros(0)}, r"shape of bias is \(0,\), expected"),
        ({"shape": [4], "bias": np.zeros(3)}, "holds 3 values, the declared shape 4 needs 4"),
        ({"shape": [2**60, 2**60, 2**60], "bias": np.zeros(3)}, "holds 3 values"),
        ({"shape": [5], "bias": np.zeros(5)}, r"bias of shape \(5, 1, 1\) does not fit the input \(2, 3, 4, 5, 6\)"),
        ({"shape": [1, 6, 5], "bias": np.zeros(30)}, r"bias of shape \(1, 6, 5\) does not fit"),
    ],
)
@pytest.mark.clause("bias.C1")
def test_bias_errors(fields, message):
    with pytest.raises(InvalidModelError, match=message):
        run_layer("bias", integers((2, 3, 4, 5, 6)), **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shapeScale": [4, 5], "scale": np.zeros(20)}, r"shape of scale is \(4, 5\), expected"),
        ({"shapeScale": [4], "scale": np.zeros(3)}, "holds 3 values, the declared shape 4 needs 4"),
        (
            {"shapeScale": [5], "scale": np.zeros(5)},
            r"scale of shape \(5, 1, 1\) does not fit the input",
        ),
        ({"shapeScale": [1], "scale": [2], "hasBias": True, "shapeBias": [4]}, "holds 0 values"),
        ({"shapeScale": [1], "scale": [2], "hasBias": True, "shapeBias": [0]}, r"shape of bias is \(0,\), expected"),
        ({"shapeScale": [1], "scale": [2], "hasBias": True, "shapeBias": [5], "bias": np.zeros(5)}, "bias of shape"),
    ],
)
@pytest.mark.clause("scale.C1")
def test_scale_errors(fields, message):
    with pytest.raises(InvalidModelError, match=message):
        run_layer("scale", integers((2, 3, 4, 5, 6)), **fields)


@pytest.mark.clause("scale.C1")
def test_scale_wants_rank_3():
    with pytest.raises(InvalidModelError, match=r"rank 3 or more, got \(4, 5\)"):
        run_layer("scale", integers((4, 5)), rank5=False, shapeScale=[1], scale=[2])


@pytest.mark.clause("unary.S1", "unary.U1")
def test_log_adds_epsilon():
    x = integers((2, 3, 5, 4, 7), low=1, high=9)
    half = np.float64(np.float32(0.3))
    y = run_layer("unary", x, type="LOG", epsilon=0.3, precision="float64")
    np.testing.assert_array_equal(y, np.log(x + half))


@pytest.mark.clause("unary.U2")
def test_log_adds_the_default_epsilon():
    x = integers((2, 3, 5, 4, 7), low=0, high=9)
    np.testing.assert_array_equal(run_layer("unary", x, type="LOG", precision="float64"), np.log(x + 1e-6))


@pytest.mark.clause("unary.U3")
def test_threshold_keeps_nan():
    y = run_layer("unary", np.full((1, 1, 2, 3, 4), np.nan), type="THRESHOLD", alpha=2)
    assert np.isnan(y).all()
