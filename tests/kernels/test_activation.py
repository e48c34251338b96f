"""Activation kernels against their formulas: exact on integers, to the last places over dense grids."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from support import integers

from refcoreml.kernels import activation as kernels
from refcoreml.kernels.elementwise import affine

FLOATS = [np.float16, np.float32, np.float64]

# Every kernel with parameters, and its formula for one Python number.
FORMULAS = {
    "linear": (partial(affine, scale=3, shift=-2), lambda x: 3 * x - 2),
    "relu": (kernels.relu, lambda x: max(x, 0.0)),
    "leaky_relu": (partial(kernels.leaky_relu, alpha=-2), lambda x: x if x >= 0 else -2 * x),
    "leaky_relu steep": (partial(kernels.leaky_relu, alpha=3), lambda x: x if x >= 0 else 3 * x),
    "thresholded_relu": (partial(kernels.thresholded_relu, alpha=2), lambda x: x if x >= 2 else 0.0),
    "thresholded_relu below": (partial(kernels.thresholded_relu, alpha=-2), lambda x: x if x >= -2 else 0.0),
    "thresholded_relu at NaN": (partial(kernels.thresholded_relu, alpha=np.nan), lambda x: 0.0),
    "hard_sigmoid": (partial(kernels.hard_sigmoid, alpha=0.25, beta=0.5), lambda x: min(max(0.25 * x + 0.5, 0), 1)),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", FORMULAS)
def test_exact_on_integers(name, dtype):
    kernel, formula = FORMULAS[name]
    x = integers((3, 4, 5)).astype(dtype)
    expected = np.array([formula(v) for v in x.reshape(-1).tolist()], dtype).reshape(x.shape)
    y = kernel(x)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, expected)


def test_leaky_relu_with_a_slope_for_each_channel():
    x, alpha = integers((2, 3, 4)), integers((3, 1), seed=1)
    expected = np.empty_like(x)
    for index, value in np.ndenumerate(x):
        expected[index] = value if value >= 0 else alpha[index[1], 0] * value
    np.testing.assert_array_equal(kernels.leaky_relu(x, alpha), expected)


def _grid():
    """All magnitudes of float32, dense where the functions bend, and the extremes."""
    info = np.finfo(np.float32)
    magnitudes = np.geomspace(1e-42, 1e38, 40_001)
    special = [0.0, info.tiny, info.smallest_subnormal, info.max, 87.3, 88.0, 88.72, 88.73, 103.9, 104.1, 150.0]
    x = np.concatenate([np.linspace(-110, 110, 400_001), np.linspace(-3, 3, 200_001), magnitudes, special])
    return np.unique(np.concatenate([x, -x]).astype(np.float32))


def _sigmoid(x):
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, 1) / (1 + small)


def _softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


SMOOTH = {
    "tanh": (kernels.tanh, np.tanh),
    # Powers of two keep beta * x exact.
    "scaled_tanh": (partial(kernels.scaled_tanh, alpha=1.75, beta=0.5), lambda x: 1.75 * np.tanh(x / 2)),
    "sigmoid": (kernels.sigmoid, _sigmoid),
    "elu": (partial(kernels.elu, alpha=1.625), lambda x: np.where(x >= 0, x, 1.625 * np.expm1(np.minimum(x, 0)))),
    "softsign": (kernels.softsign, lambda x: x / (1 + np.abs(x))),
    "softplus": (kernels.softplus, _softplus),
    "parametric_softplus": (
        partial(kernels.parametric_softplus, alpha=0.75, beta=0.5),
        lambda x: 0.75 * _softplus(x / 2),
    ),
}


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.clause("activation.S3")
def test_within_few_units_in_the_last_place(name):
    kernel, formula = SMOOTH[name]
    x = _grid()
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y = kernel(x)
    exact = formula(x.astype(np.float64))
    with np.errstate(over="ignore"):
        error = np.abs(y.astype(np.float64) - exact) / np.spacing(np.abs(exact).astype(np.float32))
    worst = error.argmax()
    assert error[worst] <= 2, f"{error[worst]:.2f} ulp at {x[worst]}"


@pytest.mark.parametrize("name", SMOOTH)
def test_double_precision_keeps_its_digits(name):
    kernel, formula = SMOOTH[name]
    x = np.linspace(-30, 30, 10_001)
    # Both sides are a handful of roundings away from the truth.
    np.testing.assert_allclose(kernel(x), formula(x), rtol=8 * 2**-53, atol=0)


LIMITS = [
    ("relu", kernels.relu, 0.0, np.inf),
    ("leaky_relu", partial(kernels.leaky_relu, alpha=0.1), -np.inf, np.inf),
    ("thresholded_relu", partial(kernels.thresholded_relu, alpha=1), 0.0, np.inf),
    ("tanh", kernels.tanh, -1, 1),
    ("scaled_tanh", partial(kernels.scaled_tanh, alpha=2, beta=3), -2, 2),
    ("sigmoid", kernels.sigmoid, 0, 1),
    ("hard_sigmoid", partial(kernels.hard_sigmoid, alpha=0.2, beta=0.5), 0, 1),
    ("elu", partial(kernels.elu, alpha=3), -3, np.inf),
    ("softsign", kernels.softsign, -1, 1),
    ("softplus", kernels.softplus, 0, np.inf),
    ("parametric_softplus", partial(kernels.parametric_softplus, alpha=2, beta=1), 0, np.inf),
]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("name", "kernel", "low", "high"), LIMITS)
@pytest.mark.clause("activation.U1", "activation.U3", "activation.S7")
def test_infinities_and_nan(name, kernel, low, high, dtype):
    with np.errstate(over="raise", divide="raise"):
        y = kernel(np.array([-np.inf, np.inf, np.nan, 1], dtype))
    np.testing.assert_array_equal(y[:2], [low, high])
    assert np.isnan(y[2])
    assert np.isfinite(y[3])


@pytest.mark.parametrize("kernel", [kernels.tanh, kernels.softsign], ids=["tanh", "softsign"])
def test_odd_functions_keep_the_sign_of_zero(kernel):
    y = kernel(np.array([0.0, -0.0], np.float32))
    np.testing.assert_array_equal(np.signbit(y), [False, True])


KERNELS = {name: entry[0] for name, entry in {**FORMULAS, **SMOOTH}.items()}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", KERNELS)
def test_out_gives_the_same_bits(name, dtype):
    kernel = KERNELS[name]
    x = np.random.default_rng(0).normal(0, 3, (3, 5, 7)).astype(dtype)
    expected = kernel(x)
    assert expected.dtype == dtype
    elsewhere, view = np.empty_like(x), np.moveaxis(x.copy(), 0, -1)
    assert kernel(x, out=elsewhere) is elsewhere
    kernel(view, out=view)
    np.testing.assert_array_equal(elsewhere, expected)
    np.testing.assert_array_equal(np.moveaxis(view, -1, 0), expected)


def test_torch_agrees():
    torch = pytest.importorskip("torch", reason="torch is the third opinion")
    f = torch.nn.functional
    x = np.random.default_rng(1).normal(0, 4, (3, 5, 7))
    t = torch.from_numpy(x)
    pairs = [
        (kernels.relu(x), f.relu(t)),
        (kernels.leaky_relu(x, 0.3), f.leaky_relu(t, 0.3)),
        (kernels.sigmoid(x), torch.sigmoid(t)),
        (kernels.tanh(x), torch.tanh(t)),
        (kernels.elu(x, 0.7), f.elu(t, 0.7)),
        (kernels.softsign(x), f.softsign(t)),
        (kernels.softplus(x), f.softplus(t, threshold=1000)),
        (kernels.thresholded_relu(x, 0.5), f.threshold(t, 0.5, 0.0)),
        (kernels.hard_sigmoid(x, 1 / 6, 0.5), f.hardsigmoid(t)),
    ]
    for ours, theirs in pairs:
        # hardsigmoid sums before it divides: an error of a rounding of 1, not of the result.
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=8 * 2**-53, atol=4 * 2**-53)
