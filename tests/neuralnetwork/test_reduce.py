"""The legacy layer ``reduce``: modes, axes, ranks."""

from __future__ import annotations

import numpy as np
import pytest
from support import integers, run_layer

from refcoreml.errors import InvalidModelError

MODES = {
    "SUM": lambda x, axes: x.sum(axes, keepdims=True),
    "AVG": lambda x, axes: x.mean(axes, keepdims=True),
    "PROD": lambda x, axes: x.prod(axes, keepdims=True),
    "LOGSUM": lambda x, axes: np.log(x + 1e-6).sum(axes, keepdims=True),
    "SUMSQUARE": lambda x, axes: (x**2).sum(axes, keepdims=True),
    "L1": lambda x, axes: abs(x).sum(axes, keepdims=True),
    "L2": lambda x, axes: np.sqrt((x**2).sum(axes, keepdims=True)),
    "MAX": lambda x, axes: x.max(axes, keepdims=True),
    "MIN": lambda x, axes: x.min(axes, keepdims=True),
    "ARGMAX": lambda x, axes: np.expand_dims(x.argmax(axes[0]), axes[0]),
}
AXES = {"CHW": (-3, -2, -1), "HW": (-2, -1), "C": (-3,), "H": (-2,), "W": (-1,)}


CASES = [
    (mode, axis, shape)
    for mode in MODES
    for axis, axes in AXES.items()
    for shape in [(2, 3, 4, 5, 6), (3, 4, 5, 6), (4, 5, 6), (5, 6), (6,)]
    if len(shape) >= -axes[0] and not (mode == "ARGMAX" and len(axes) > 1)
]


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("mode", "axis", "shape"), CASES)
@pytest.mark.clause("reduce.S1", "reduce.S2")
def test_modes_and_axes(mode, axis, shape, precision):
    x = integers(shape, low=1, high=4) if mode == "LOGSUM" else integers(shape, low=-1, high=3)
    y = run_layer("reduce", x, rank5=len(shape) == 5, precision=precision, mode=mode, axis=axis)
    expected = MODES[mode](x, AXES[axis])
    assert y.shape == expected.shape
    # Sums of integers are exact; the logarithms' 120 terms are not.
    unit = np.finfo(y.dtype).eps / 2
    tolerance = 120 * 120 * 1.1 * unit if mode == "LOGSUM" else 0
    np.testing.assert_allclose(y, expected.astype(y.dtype), rtol=2 * unit if mode == "L2" else 0, atol=tolerance)


@pytest.mark.parametrize(("axis", "place"), [("C", -3), ("H", -2), ("W", -1)])
@pytest.mark.clause("reduce.U1", "reduce.U2")
def test_arg_max_takes_the_first_of_equals_and_the_first_nan(axis, place):
    x = integers((2, 5, 6, 7), low=0, high=3)
    y = run_layer("reduce", x, rank5=False, mode="ARGMAX", axis=axis)
    np.testing.assert_array_equal(y, np.argmax(x == x.max(place, keepdims=True), place, keepdims=True))
    x[1, 2, 3, 4] = np.nan
    found = run_layer("reduce", x, rank5=False, mode="ARGMAX", axis=axis)
    at = tuple(0 if k - 4 == place else i for k, i in enumerate((1, 2, 3, 4)))
    assert found[at] == (1, 2, 3, 4)[place]


@pytest.mark.clause("reduce.S3")
def test_defaults_are_sum_over_chw():
    x = integers((2, 3, 4, 5, 6))
    np.testing.assert_array_equal(run_layer("reduce", x), x.sum((2, 3, 4), keepdims=True))


@pytest.mark.clause("reduce.S4")
def test_epsilon_of_log_sum():
    x = np.zeros((1, 1, 2, 3, 4))
    y = run_layer("reduce", x, precision="float64", mode="LOGSUM", axis="W", epsilon=0.5)
    np.testing.assert_allclose(y, 4 * np.log(0.5), rtol=8 * 2**-53)
    y = run_layer("reduce", x, precision="float64", mode="LOGSUM", axis="W")
    np.testing.assert_allclose(y, 4 * np.log(1e-6), rtol=8 * 2**-53)


@pytest.mark.parametrize(
    ("shape", "fields", "message"),
    [
        ((2, 3, 4, 5, 6), {"mode": "ARGMAX", "axis": "HW"}, "ARGMAX reduces one axis"),
        ((2, 3, 4, 5, 6), {"mode": 77}, "mode is 77"),
        ((2, 3, 4, 5, 6), {"axis": -1}, "axis is -1"),
        ((5, 6), {"axis": "C"}, r"axes is \(-3,\), expected -2 to 1 each"),
        ((6,), {"axis": "HW"}, r"axes is \(-2, -1\), expected -1 to 0 each"),
    ],
)
@pytest.mark.clause("reduce.C1")
def test_errors(shape, fields, message):
    with pytest.raises(InvalidModelError, match=rf"\(reduce\).*{message}"):
        run_layer("reduce", integers(shape), rank5=len(shape) == 5, **fields)
