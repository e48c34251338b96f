"""The error function, its relatives and GELU against series of exact decimals."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest

from refcoreml.kernels import activation, special
from refcoreml.kernels.elementwise import by_blocks


def _erf(x: Decimal) -> Decimal:
    """2 / sqrt(pi) * sum of (-1)^n x^(2n+1) / (n! (2n+1)); the caller's precision must cover e^(x^2)."""
    power, total, n = x, x, 0
    while abs(power) > Decimal(10) ** -(_digits(x)) * abs(x):
        n += 1
        power *= -x * x / n
        total += power / (2 * n + 1)
    return 2 * total / _sqrt_pi()


def _digits(x: Decimal) -> int:
    return 60 + int(x * x)


def _sqrt_pi() -> Decimal:
    # Machin's formula
    def arctan_of_inverse(n: int) -> Decimal:
        total = power = Decimal(1) / n
        k = 1
        while power:
            power /= -n * n
            if abs(power) < Decimal(10) ** -1000:
                break
            k += 2
            total += power / k
        return total

    if "pi" not in _CACHE:
        with localcontext() as context:
            context.prec = 1000
            _CACHE["pi"] = (16 * arctan_of_inverse(5) - 4 * arctan_of_inverse(239)).sqrt()
    return _CACHE["pi"]


_CACHE: dict[str, Decimal] = {}


def _exact(formula, x: float) -> Decimal:
    with localcontext() as context:
        context.prec = _digits(Decimal(x) * 2) if abs(x) < 8 else 2 * _digits(Decimal(x))
        return formula(Decimal(x))


REFERENCES = {
    "erf": (special.erf, lambda x: _erf(x)),
    "erfc": (special.erfc, lambda x: 1 - _erf(x)),
    "normal_cdf": (special.normal_cdf, lambda x: (1 + _erf(x / Decimal(2).sqrt())) / 2),
    "gelu": (activation.gelu, lambda x: x * (1 + _erf(x / Decimal(2).sqrt())) / 2),
    "gelu_tanh": (
        activation.gelu_tanh,
        lambda x: x / (1 + (-2 * (Decimal(2) / _sqrt_pi() ** 2).sqrt() * (x + Decimal("0.044715") * x**3)).exp()),
    ),
    "silu": (activation.silu, lambda x: x / (1 + (-x).exp())),
    "gelu_sigmoid": (activation.gelu_sigmoid, lambda x: x / (1 + (Decimal("-1.702") * x).exp())),
}

RNG = np.random.default_rng(0)
POINTS = np.concatenate(
    [
        RNG.uniform(-3, 3, 60),
        RNG.uniform(-9, 9, 20),
        RNG.uniform(0.9, 1.1, 15),
        -(10.0 ** RNG.uniform(-30, 0, 15)),
        [0.0, 1.0, -1.0, 5.5, -5.5],
    ]
)


def ulps(y, exact: list[Decimal]) -> float:
    """The greatest error in units of the last place of the exact value."""
    with localcontext() as context:
        context.prec = 60
        spacing = [Decimal(float(np.spacing(np.abs(y.dtype.type(float(e)))))) for e in exact]
        return float(max(abs(Decimal(float(a)) - e) / s for a, e, s in zip(y, exact, spacing, strict=True)))


@pytest.mark.parametrize("name", REFERENCES)
def test_single_precision_is_rounded_once(name):
    kernel, formula = REFERENCES[name]
    x = POINTS.astype(np.float32)
    y = kernel(x)
    assert y.dtype == np.float32
    # Half a unit, and a hair for the error of the double
    assert ulps(y, [_exact(formula, float(v)) for v in x]) < 0.501


@pytest.mark.parametrize(("name", "limit"), [("erf", 2), ("erfc", 4), ("normal_cdf", 4), ("gelu", 4.5)])
def test_double_precision(name, limit):
    kernel, formula = REFERENCES[name]
    y = kernel(POINTS)
    assert y.dtype == np.float64
    assert ulps(y, [_exact(formula, float(v)) for v in POINTS]) < limit


@pytest.mark.parametrize("x", [15.0, 21.3, 26.5])
def test_far_tail_keeps_its_digits(x):
    assert ulps(special.erfc(np.array([x])), [_exact(REFERENCES["erfc"][1], x)]) < 4
    assert ulps(special.normal_cdf(np.array([-x])), [_exact(REFERENCES["normal_cdf"][1], -x)]) < 4


def test_agrees_with_the_c_library_everywhere():
    x = np.concatenate([np.linspace(-28, 28, 4001), np.linspace(-1.2, 1.2, 1001)])
    for kernel, library in (special.erf, math.erf), (special.erfc, math.erfc):
        expected = np.array([library(v) for v in x])
        # 4 ulp here, 1 in the library
        np.testing.assert_array_less(np.abs(kernel(x) - expected), 6 * np.spacing(np.abs(expected)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_edges(dtype):
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, np.finfo(dtype).max, np.finfo(dtype).min], dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        np.testing.assert_array_equal(special.erf(x), np.array([1, -1, np.nan, 0, 0, 1, -1], dtype))
        np.testing.assert_array_equal(special.erfc(x), np.array([0, 2, np.nan, 1, 1, 0, 2], dtype))
        np.testing.assert_array_equal(special.normal_cdf(x), np.array([1, 0, np.nan, 0.5, 0.5, 1, 0], dtype))
        for kernel in activation.gelu, activation.gelu_tanh, activation.gelu_sigmoid, activation.silu:
            expected = np.array([np.inf, 0, np.nan, 0, 0, np.finfo(dtype).max, 0], dtype)
            np.testing.assert_array_equal(kernel(x), expected)
    assert np.signbit(special.erf(x))[4]


def test_least_numbers():
    x = np.array([5e-324, 1e-310, -1e-310])
    np.testing.assert_array_equal(special.erf(x), [math.erf(v) for v in x])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, 20_001])
def test_blocks_cover_everything_and_may_overwrite(size, dtype):
    x = np.random.default_rng(1).standard_normal(size).astype(dtype)
    expected = (x.astype(np.float64) * 3 + 1).astype(dtype)

    def function(v):
        assert v.dtype == np.float64
        return v * 3 + 1

    np.testing.assert_array_equal(by_blocks(function, x), expected)
    by_blocks(function, x, out=x)
    np.testing.assert_array_equal(x, expected)


def test_blocks_of_views():
    whole = np.random.default_rng(2).standard_normal((3, 50, 70))
    x = whole.transpose(2, 0, 1)[::2]
    out = np.zeros((50, 3, 70)).transpose(2, 1, 0)[::2]
    by_blocks(np.exp, x, out=out)
    np.testing.assert_array_equal(out, np.exp(x))
    np.testing.assert_array_equal(by_blocks(np.exp, x), np.exp(x))
    np.testing.assert_array_equal(
        by_blocks(np.exp, np.broadcast_to(whole[0, 0, :5], (4, 5))), np.exp([whole[0, 0, :5]] * 4)
    )


def test_gelu_against_torch():
    torch = pytest.importorskip("torch", reason="torch gives a third opinion on GELU")
    x = np.linspace(-6, 6, 1001)
    for kernel, approximate in (activation.gelu, "none"), (activation.gelu_tanh, "tanh"):
        expected = torch.nn.functional.gelu(torch.from_numpy(x), approximate=approximate).numpy()
        # torch adds 1 to a number near -1 in the left tail: an absolute error of an ulp of 1, times x
        np.testing.assert_allclose(kernel(x), expected, rtol=1e-14, atol=6 * 4 * 2**-52)


def test_clamped_relu():
    x = np.arange(-20, 20).astype(np.float32)
    for alpha, beta in (0.0, 7.0), (2.0, -8.0), (-3.0, 7.0):
        expected = [min(beta, v if v >= 0 else alpha * v) for v in x.tolist()]
        np.testing.assert_array_equal(activation.clamped_relu(x, alpha, beta), expected)


def test_parts_of_a_large_array_are_shared_among_threads():
    x = np.random.default_rng(1).normal(size=(70_001, 3)).astype(np.float32)
    expected = np.concatenate([activation.gelu(row) for row in np.split(x[:70_000], 100)])
    y = activation.gelu(x)
    np.testing.assert_array_equal(y[:70_000], expected)
    np.testing.assert_array_equal(activation.gelu(np.asfortranarray(x)), y)
    assert activation.gelu(x, out=x) is x
    np.testing.assert_array_equal(x, y)
