"""Layers that apply a function to each number, against Python's own functions."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from support import integers, one_layer, run_layer

from refcoreml.errors import InvalidModelError

run_layer = partial(run_layer, rank5=False)

EXACT = {
    "ceil": math.ceil,
    "floor": math.floor,
    "round": round,  # half to even
    "sign": lambda v: (v > 0) - (v < 0),
}
WIDE, UNIT, ABOVE = (-30, 30), (-1, 1), (1, 1e6)
ROUNDED = {
    "exp2": (lambda v: 2.0**v, WIDE),
    "sin": (math.sin, (-1e6, 1e6)),
    "cos": (math.cos, (-1e6, 1e6)),
    "tan": (math.tan, (-1e6, 1e6)),
    "asin": (math.asin, UNIT),
    "acos": (math.acos, UNIT),
    "atan": (math.atan, WIDE),
    "sinh": (math.sinh, WIDE),
    "cosh": (math.cosh, WIDE),
    "asinh": (math.asinh, WIDE),
    "acosh": (math.acosh, ABOVE),
    "atanh": (math.atanh, (-0.999, 0.999)),
    "erf": (math.erf, (-6, 6)),
    # In float32 tanh is NumPy's own: within a few units
    "tanh": (math.tanh, (-9, 9)),
}


def _shape(rank):
    return (2, 3, 4, 5, 6)[-rank:]


@pytest.mark.clause("ceil.S1", "floor.S1", "round.S1", "sign.S1")
@pytest.mark.parametrize("rank", range(1, 6))
@pytest.mark.parametrize("kind", EXACT)
def test_exact(kind, rank):
    x = integers(_shape(rank), low=-9, high=10) / 2
    y = run_layer(kind, x)
    np.testing.assert_array_equal(y.ravel(), [EXACT[kind](v) for v in x.ravel().tolist()])


@pytest.mark.clause("round.U1")
def test_halves_go_to_the_even_number():
    y = run_layer("round", [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5])
    np.testing.assert_array_equal(y, [-2, -2, 0, 0, 2, 2, 4])


@pytest.mark.clause("exp2.S1", "sin.S1", "cos.S1", "tan.S1", "asin.S1", "acos.S1", "atan.S1", "sinh.S1", "cosh.S1")
@pytest.mark.clause("asinh.S1", "acosh.S1", "atanh.S1", "erf.S1", "tanh.S1")
@pytest.mark.parametrize("kind", ROUNDED)
def test_single_precision_is_rounded_once(kind):
    function, (low, high) = ROUNDED[kind]
    x = np.random.default_rng(0).uniform(low, high, (5, 40)).astype(np.float32)
    y = run_layer(kind, x)
    expected = np.array([function(v) for v in x.ravel().tolist()]).reshape(x.shape)
    # Half a unit for the one rounding, and a hair for the double
    limit = 2.5 if kind == "tanh" else 0.501
    np.testing.assert_array_less(np.abs(y - expected), limit * np.spacing(np.abs(expected).astype(np.float32)))


@pytest.mark.parametrize("kind", ROUNDED)
def test_double_precision(kind):
    function, (low, high) = ROUNDED[kind]
    x = np.random.default_rng(1).uniform(low, high, (4, 30))
    y = run_layer(kind, x, precision="float64")
    expected = np.array([function(v) for v in x.ravel().tolist()]).reshape(x.shape)
    # NumPy's functions and the C library's are within 4 units and 1
    np.testing.assert_array_less(np.abs(y - expected), 5 * np.spacing(np.abs(expected)))


OUTSIDE = {"asin": [1.5, -1.5], "acos": [1.5, -1.5], "acosh": [0.5, -2], "atanh": [2, -2]}


@pytest.mark.clause("asin.S2", "acos.S2", "acosh.S2", "atanh.S2")
@pytest.mark.parametrize("kind", OUTSIDE)
def test_outside_of_the_domain(kind):
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(run_layer(kind, OUTSIDE[kind]), [np.nan, np.nan])


@pytest.mark.clause("exp2.S2", "cosh.S2", "sinh.S2", "atanh.S3")
@np.errstate(over="ignore", divide="ignore")
def test_infinities():
    np.testing.assert_array_equal(run_layer("exp2", [128, -200, 127]), np.array([np.inf, 0, 2.0**127], np.float32))
    np.testing.assert_array_equal(run_layer("cosh", [1000, -1000]), [np.inf, np.inf])
    np.testing.assert_array_equal(run_layer("sinh", [1000, -1000]), [np.inf, -np.inf])
    np.testing.assert_array_equal(run_layer("atanh", [1, -1]), [np.inf, -np.inf])


@pytest.mark.clause("ceil.U1", "floor.U1", "sign.U1", "exp2.U1", "sin.U1", "cos.U1", "tan.U1", "asin.U1", "acos.U1")
@pytest.mark.clause("atan.U1", "sinh.U1", "cosh.U1", "asinh.U1", "acosh.U1", "atanh.U1", "erf.U1", "tanh.U1", "gelu.U1")
@pytest.mark.clause("clampedReLU.U1", "round.U2")
@pytest.mark.parametrize("kind", [*EXACT, *ROUNDED, "clip", "gelu", "clampedReLU"])
def test_nan_stays(kind):
    x = 1 if kind == "acosh" else 0.5
    np.testing.assert_array_equal(np.isnan(run_layer(kind, [[np.nan, x]])), [[True, False]])


@pytest.mark.clause("ceil.C1", "floor.C1", "round.C1", "sign.C1", "exp2.C1", "sin.C1", "cos.C1", "tan.C1", "asin.C1")
@pytest.mark.clause("acos.C1", "atan.C1", "sinh.C1", "cosh.C1", "asinh.C1", "acosh.C1", "atanh.C1", "erf.C1", "tanh.C1")
@pytest.mark.parametrize("kind", [*EXACT, *ROUNDED])
def test_one_input(kind):
    with pytest.raises(InvalidModelError, match=rf"\({kind}\): has 2 inputs, expected 1"):
        one_layer(kind, 2)


@pytest.mark.clause("clip.S1", "clip.S2", "clip.U1")
def test_clip():
    x = integers((3, 4, 5), low=-9, high=10)
    y = run_layer("clip", x, minVal=-2, maxVal=5)
    np.testing.assert_array_equal(y.ravel(), [min(max(v, -2), 5) for v in x.ravel().tolist()])
    np.testing.assert_array_equal(run_layer("clip", [np.nan, 7], minVal=-2, maxVal=5), [np.nan, 5])
    np.testing.assert_array_equal(run_layer("clip", [3, -3]), [0, 0])


@pytest.mark.clause("clip.C1")
@pytest.mark.parametrize(("low", "high"), [(1, 0), (np.nan, 1)])
def test_clip_of_nothing(low, high):
    with pytest.raises(InvalidModelError, match=r"\(clip\).*expected minVal <= maxVal"):
        one_layer("clip", minVal=low, maxVal=high)


@pytest.mark.clause("gelu.C1", "gelu.S1", "gelu.S2", "gelu.S3")
@pytest.mark.parametrize("rank", range(1, 6))
def test_gelu(rank):
    x = np.random.default_rng(rank).standard_normal(_shape(rank)) * 3
    formulas = {
        "EXACT": lambda v: v * 0.5 * math.erfc(-v / math.sqrt(2)),
        "TANH_APPROXIMATION": lambda v: v * 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))),
        "SIGMOID_APPROXIMATION": lambda v: v / (1 + math.exp(-1.702 * v)),
    }
    for mode, formula in formulas.items():
        expected = np.array([formula(v) for v in x.ravel().tolist()]).reshape(x.shape)
        # In the formulas here the argument's rounding grows by its square, up to 100, and 1 + tanh loses digits.
        np.testing.assert_allclose(
            run_layer("gelu", x, precision="float64", mode=mode), expected, rtol=2e-14, atol=1e-14
        )
        y = run_layer("gelu", x, mode=mode)
        np.testing.assert_array_equal(
            y, run_layer("gelu", x.astype(np.float32), precision="float64", mode=mode).astype("f")
        )
    np.testing.assert_array_equal(run_layer("gelu", x), run_layer("gelu", x, mode="EXACT"))
    with pytest.raises(InvalidModelError, match="mode is 7"):
        one_layer("gelu", mode=7)


@pytest.mark.clause("gelu.U2")
@pytest.mark.parametrize("mode", ["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"])
def test_gelu_of_infinities(mode):
    np.testing.assert_array_equal(run_layer("gelu", [-np.inf, np.inf], mode=mode), [0, np.inf])


@pytest.mark.clause("clampedReLU.C1")
def test_clamped_relu_of_two():
    with pytest.raises(InvalidModelError, match=r"\(clampedReLU\): has 2 inputs, expected 1"):
        one_layer("clampedReLU", 2)


@pytest.mark.clause("clampedReLU.S2")
def test_clamped_relu_without_parameters():
    np.testing.assert_array_equal(run_layer("clampedReLU", [-3, 0, 4]), [0, 0, 0])
    np.testing.assert_array_equal(run_layer("clampedReLU", [-3, 4], beta=2), [0, 2])


@pytest.mark.clause("clampedReLU.S1")
@pytest.mark.parametrize("alpha", [0.0, 2.0, -3.0])
@pytest.mark.parametrize("beta", [7.0, -8.0])
def test_clamped_relu(alpha, beta):
    x = np.arange(-20, 20).reshape(5, 8)
    y = run_layer("clampedReLU", x, alpha=alpha, beta=beta)
    np.testing.assert_array_equal(y.ravel(), [min(beta, v if v >= 0 else alpha * v) for v in x.ravel().tolist()])
