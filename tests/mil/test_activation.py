"""Activations, against their formulas in Python's numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mil.support import run

from refcoreml.errors import InvalidModelError

A, B = 0.375, -0.75
X = np.array([[-7.5, -1, -0.25], [0, 0.375, 7.25]])

#: By name the parameters and the formula.
ACTIVATIONS: dict[str, tuple[dict[str, float], Callable[[float], float]]] = {
    "relu": ({}, lambda x: max(x, 0)),
    "relu6": ({}, lambda x: min(max(x, 0), 6)),
    "leaky_relu": ({"alpha": A}, lambda x: x if x >= 0 else A * x),
    "clamped_relu": ({"alpha": A, "beta": B}, lambda x: min(B, x if x >= 0 else A * x)),
    "thresholded_relu": ({"alpha": A}, lambda x: x if x >= A else 0),
    "elu": ({"alpha": A}, lambda x: x if x >= 0 else A * math.expm1(x)),
    "sigmoid": ({}, lambda x: 1 / (1 + math.exp(-x))),
    "sigmoid_hard": ({"alpha": A, "beta": B}, lambda x: min(max(A * x + B, 0), 1)),
    "tanh": ({}, math.tanh),
    "scaled_tanh": ({"alpha": A, "beta": B}, lambda x: A * math.tanh(B * x)),
    "linear_activation": ({"alpha": A, "beta": B}, lambda x: A * x + B),
    "silu": ({}, lambda x: x / (1 + math.exp(-x))),
    "softsign": ({}, lambda x: x / (1 + abs(x))),
    "softplus": ({}, lambda x: math.log1p(math.exp(x))),
}
#: (1 + tanh(u)) / 2 = 1 / (1 + e^(-2 u)), without cancellation.
GELU: dict[str, Callable[[float], float]] = {
    "EXACT": lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
    "TANH_APPROXIMATION": lambda x: x / (1 + math.exp(-math.sqrt(8 / math.pi) * (x + 0.044715 * x**3))),
    "SIGMOID_APPROXIMATION": lambda x: x / (1 + math.exp(-1.702 * x)),
}
#: As many steps of a unit in the last place as formulas of a few operations can lose: in single, in half precision.
LIMITS = {np.float32: 2**-21, np.float16: 2**-10}


def check(y: np.ndarray, expected: np.ndarray, limit: float) -> None:
    # Below 2^-14 half precision is spaced by 2^-24.
    np.testing.assert_allclose(y, expected, rtol=limit, atol=2**-25 if limit == 2**-10 else 0)


def formula(function: Callable[[float], float], x: np.ndarray) -> np.ndarray:
    return np.array([function(value) for value in x.reshape(-1).tolist()]).reshape(x.shape)


@pytest.mark.clause(
    "mil.relu.S1",
    "mil.relu6.S1",
    "mil.leaky_relu.S1",
    "mil.clamped_relu.S1",
    "mil.thresholded_relu.S1",
    "mil.elu.S1",
    "mil.sigmoid.S1",
    "mil.sigmoid_hard.S1",
    "mil.tanh.S1",
    "mil.scaled_tanh.S1",
    "mil.linear_activation.S1",
    "mil.silu.S1",
    "mil.softsign.S1",
    "mil.softplus.S1",
)
@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_formulas(name: str, dtype: Any) -> None:
    parameters, function = ACTIVATIONS[name]
    expected = formula(function, X)
    for opset in ("CoreML5", "CoreML7"):
        y = run(name, {"x": X.astype(dtype)}, opset=opset, **{key: dtype(value) for key, value in parameters.items()})
        check(y, expected, LIMITS[dtype])
    exact = run(name, {"x": X.astype(dtype)}, precision="float64", **{k: dtype(v) for k, v in parameters.items()})
    np.testing.assert_allclose(exact, expected, rtol=1e-13, atol=1e-15)


@pytest.mark.clause(
    "mil.leaky_relu.C1",
    "mil.clamped_relu.C1",
    "mil.thresholded_relu.C1",
    "mil.elu.C1",
    "mil.sigmoid_hard.C1",
    "mil.scaled_tanh.C1",
    "mil.linear_activation.C1",
)
@pytest.mark.parametrize("name", [name for name, (parameters, _) in ACTIVATIONS.items() if parameters])
def test_since_coreml7_parameters_may_be_of_the_other_float_type(name: str) -> None:
    parameters, function = ACTIVATIONS[name]
    other = {np.float16: np.float32, np.float32: np.float16}
    for dtype, limit in LIMITS.items():
        given = {key: other[dtype](value) for key, value in parameters.items()}
        check(run(name, {"x": X.astype(dtype)}, opset="CoreML7", **given), formula(function, X), limit)
        with pytest.raises(InvalidModelError, match=r"have elements of types .*, expected one"):
            run(name, {"x": X.astype(dtype)}, opset="CoreML6", **given)
    for key in parameters:
        others = {other_key: np.float32(1) for other_key in parameters if other_key != key}
        with pytest.raises(InvalidModelError, match=f"parameter '{key}' must be a constant"):
            run(name, {"x": X.astype(np.float32), key: np.float32(1)}, **others)
        with pytest.raises(InvalidModelError, match=rf"'{key}' is of type tensor<fp32, \[2\]>, expected a number"):
            run(name, {"x": X.astype(np.float32)}, **others, **{key: np.ones(2, np.float32)})


@pytest.mark.clause("mil.leaky_relu.S1", "mil.clamped_relu.S1", "mil.thresholded_relu.S1", "mil.elu.S1", "mil.prelu.S1")
def test_parameters_may_be_negative_and_large() -> None:
    x = np.array([-2, -1, 0, 1, 4], np.float32)
    for alpha in (-0.5, 3):
        expected = np.array([-2 * alpha, -alpha, 0, 1, 4])
        np.testing.assert_array_equal(run("leaky_relu", {"x": x}, alpha=np.float32(alpha)), expected)
        y = run("prelu", {"x": x.reshape(1, 1, 5)}, alpha=np.array([alpha], np.float32))
        np.testing.assert_array_equal(y.reshape(-1), expected)
        y = run("clamped_relu", {"x": x}, alpha=np.float32(alpha), beta=np.float32(2.5))
        np.testing.assert_array_equal(y, np.minimum(expected, 2.5))
    np.testing.assert_array_equal(run("thresholded_relu", {"x": x}, alpha=np.float32(-1)), [0, -1, 0, 1, 4])
    y = run("elu", {"x": x}, alpha=np.float32(-2))
    np.testing.assert_allclose(y, [2 - 2 * math.exp(-2), 2 - 2 * math.exp(-1), 0, 1, 4], rtol=2**-21)


@pytest.mark.clause("mil.elu.S1", "mil.sigmoid.S1", "mil.silu.S1", "mil.softplus.S1", "mil.softplus_parametric.S1")
def test_nothing_overflows_or_is_cancelled() -> None:
    tiny = math.exp(-80)
    for name, x, expected in (
        ("elu", -1e-6, -1e-6 + 0.5e-12),
        ("sigmoid", -80, tiny),
        ("sigmoid", 1e4, 1),
        ("silu", -80, -80 * tiny),
        ("silu", 1e4, 1e4),
        ("softplus", -80, tiny),
        ("softplus", 1e4, 1e4),
    ):
        parameters = {"alpha": np.float32(1)} if name == "elu" else {}
        np.testing.assert_allclose(run(name, {"x": np.float32(x)}, **parameters), expected, rtol=2**-17)
    x, ones = np.array([[[-80, 1e4]]], np.float32), np.ones(1, np.float32)
    y = run("softplus_parametric", {"x": x}, alpha=ones, beta=ones)
    np.testing.assert_allclose(y, [[[tiny, 1e4]]], rtol=2**-17)


@pytest.mark.clause("mil.gelu.C2", "mil.gelu.S1", "mil.gelu.S2", "mil.gelu.S3")
@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("mode", GELU)
def test_gelu(mode: str, dtype: Any) -> None:
    for form in (mode, mode.lower()):
        check(run("gelu", {"x": X.astype(dtype)}, mode=form), formula(GELU[mode], X), LIMITS[dtype])
    assert (formula(GELU[mode], X) != formula(GELU["EXACT"], X)).any() or mode == "EXACT"


@pytest.mark.clause("mil.gelu.C2", "mil.gelu.S1")
def test_gelu_is_exact_by_default() -> None:
    check(run("gelu", {"x": X.astype(np.float32)}), formula(GELU["EXACT"], X), 2**-22)
    with pytest.raises(InvalidModelError, match="'mode' is 'FAST', expected one of 'exact', 'tanh_approximation'"):
        run("gelu", {"x": np.float32(1)}, mode="FAST")


#: By name what -Inf and Inf give.
ENDS: dict[str, tuple[float, float]] = {
    "relu": (0, math.inf),
    "relu6": (0, 6),
    "leaky_relu": (-math.inf, math.inf),
    "clamped_relu": (-math.inf, B),
    "thresholded_relu": (0, math.inf),
    "elu": (-A, math.inf),
    "sigmoid": (0, 1),
    "sigmoid_hard": (0, 1),
    "tanh": (-1, 1),
    "scaled_tanh": (A, -A),
    "linear_activation": (-math.inf, math.inf),
    "silu": (0, math.inf),
    "softsign": (-1, 1),
    "softplus": (0, math.inf),
    "gelu": (0, math.inf),
}


@pytest.mark.clause(
    "mil.relu.S1",
    "mil.relu6.S1",
    "mil.leaky_relu.S1",
    "mil.clamped_relu.S1",
    "mil.thresholded_relu.S1",
    "mil.elu.S1",
    "mil.sigmoid.S1",
    "mil.sigmoid_hard.S1",
    "mil.tanh.S1",
    "mil.scaled_tanh.S1",
    "mil.linear_activation.S1",
    "mil.silu.S1",
    "mil.softsign.S1",
    "mil.softplus.S1",
    "programs.U31",
    "programs.U32",
)
@pytest.mark.parametrize("name", ENDS)
def test_far_from_zero(name: str) -> None:
    x = np.array([-np.inf, -1e30, 1e30, np.inf, np.nan], np.float32)
    parameters = {key: np.float32(value) for key, value in ACTIVATIONS.get(name, ({}, abs))[0].items()}
    with np.errstate(all="ignore"):
        y = run(name, {"x": x}, **parameters)
    assert np.isnan(y).tolist() == [False] * 4 + [True]
    np.testing.assert_array_equal(y[[0, 3]], ENDS[name])


@pytest.mark.clause("programs.U31")
@pytest.mark.parametrize("mode", GELU)
def test_every_gelu_has_its_limits(mode: str) -> None:
    np.testing.assert_array_equal(run("gelu", {"x": np.array([-np.inf, np.inf], np.float32)}, mode=mode), [0, np.inf])


@pytest.mark.clause("mil.linear_activation.S1", "mil.leaky_relu.S1", "programs.U32")
def test_infinity_times_zero_is_not_a_number() -> None:
    x, zero, one = np.array([-np.inf, np.inf], np.float32), np.float32(0), np.float32(1)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(run("linear_activation", {"x": x}, alpha=zero, beta=one), [np.nan] * 2)
        np.testing.assert_array_equal(run("leaky_relu", {"x": x}, alpha=zero), [np.nan, np.inf])
        nothing = np.full((1, 1, 2), np.nan, np.float32)
        np.testing.assert_array_equal(run("prelu", {"x": nothing}, alpha=np.ones(1, np.float32)), nothing)


# ---- Numbers per channel ----

ALPHA, BETA = np.array([0.5, -0.25, 2]), np.array([1.5, 0.5, -1])


@pytest.mark.clause(
    "mil.prelu.C1",
    "mil.prelu.C2",
    "mil.prelu.S1",
    "mil.softplus_parametric.C1",
    "mil.softplus_parametric.C2",
    "mil.softplus_parametric.S1",
)
@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5), (1, 3, 2, 5, 4)])
def test_axis_1_has_the_channels(shape: tuple[int, ...], dtype: Any) -> None:
    x = np.random.default_rng(len(shape)).integers(-8, 9, shape) / 4
    channels = [x[:, index] for index in range(3)]
    leaky = np.stack([np.where(v >= 0, v, a * v) for v, a in zip(channels, ALPHA, strict=True)], 1)
    soft = np.stack([a * np.log1p(np.exp(b * v)) for v, a, b in zip(channels, ALPHA, BETA, strict=True)], 1)
    for opset, other in (("CoreML5", dtype), ("CoreML7", np.float32), ("CoreML7", np.float16)):
        a, b = ALPHA.astype(other), BETA.astype(other)
        check(run("prelu", {"x": x.astype(dtype)}, opset=opset, alpha=a), leaky, LIMITS[dtype])
        y = run("softplus_parametric", {"x": x.astype(dtype)}, opset=opset, alpha=a, beta=b)
        check(y, soft, LIMITS[dtype])
    outputs = [({np.float16: "fp16", np.float32: "fp32"}[dtype], (None,) * len(shape))]
    y = run("prelu", {"x": x.astype(dtype)}, open_shapes=True, outputs=outputs, alpha=ALPHA.astype(dtype))
    check(y, leaky, LIMITS[dtype])


@pytest.mark.clause("mil.prelu.C1", "mil.softplus_parametric.C1")
def test_numbers_per_channel_have_the_type_of_x_before_coreml7() -> None:
    x, alpha = np.zeros((2, 3, 5), np.float16), ALPHA.astype(np.float32)
    with pytest.raises(InvalidModelError, match="'x', 'alpha' have elements of types fp16, fp32, expected one"):
        run("prelu", {"x": x}, opset="CoreML6", alpha=alpha)
    with pytest.raises(InvalidModelError, match="have elements of types fp16, fp16, fp32, expected one"):
        run("softplus_parametric", {"x": x}, opset="CoreML6", alpha=alpha.astype(np.float16), beta=alpha)
    with pytest.raises(InvalidModelError, match="parameter 'alpha' must be a constant"):
        run("prelu", {"x": x, "alpha": alpha})
    for name, parameters in {"prelu": {"alpha": alpha}, "softplus_parametric": {"alpha": alpha, "beta": alpha}}.items():
        with pytest.raises(InvalidModelError, match="'x' has elements of type int32, expected fp16, fp32"):
            run(name, {"x": x.astype(np.int32)}, opset="CoreML5", **parameters)


@pytest.mark.clause("mil.prelu.C2", "mil.softplus_parametric.C2")
def test_numbers_per_channel_that_do_not_fit() -> None:
    x, alpha = np.zeros((2, 4, 3), np.float32), ALPHA.astype(np.float32)
    with pytest.raises(InvalidModelError, match="'alpha' has 3 elements, expected 4, one per channel"):
        run("prelu", {"x": x}, alpha=alpha)
    with pytest.raises(InvalidModelError, match="does not fit the input"):
        run("prelu", {"x": x}, alpha=alpha, open_shapes=True, outputs=[("fp32", (None,) * 3)])
    with pytest.raises(InvalidModelError, match="'x' is of rank 2, expected 3 to 5"):
        run("prelu", {"x": x[0]}, alpha=alpha)
    with pytest.raises(InvalidModelError, match=r"'beta' has the shape \(3, 1\), expected rank 1"):
        run("softplus_parametric", {"x": x[:, 1:]}, alpha=alpha, beta=alpha[:, None])


@pytest.mark.clause(
    "mil.relu.C1",
    "mil.relu6.C1",
    "mil.leaky_relu.C1",
    "mil.clamped_relu.C1",
    "mil.thresholded_relu.C1",
    "mil.elu.C1",
    "mil.sigmoid.C1",
    "mil.sigmoid_hard.C1",
    "mil.tanh.C1",
    "mil.scaled_tanh.C1",
    "mil.linear_activation.C1",
    "mil.silu.C1",
    "mil.softsign.C1",
    "mil.softplus.C1",
    "mil.gelu.C1",
)
@pytest.mark.parametrize("name", [*ACTIVATIONS, "gelu"])
def test_integers_are_refused(name: str) -> None:
    parameters = {key: np.float32(value) for key, value in ACTIVATIONS.get(name, ({}, abs))[0].items()}
    with pytest.raises(InvalidModelError, match="elements of type"):
        run(name, {"x": np.array([1, 2], np.int32)}, **parameters)
