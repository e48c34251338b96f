"""Softmax and normalizations, against their formulas in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mil.support import run

from refcoreml.errors import InvalidModelError

C = 3
SHAPES = [(2, C, 5), (2, C, 4, 5), (2, C, 4, 5, 6)]
#: Relative to the largest number: single precision with sums of at most 360 numbers, and a last rounding to half.
LIMITS = {np.float32: 2**-19, np.float16: 2**-10}
OTHER = {np.float16: np.float32, np.float32: np.float16}


def numbers(shape: tuple[int, ...], seed: int, *, positive: bool = False) -> Any:
    """Multiples of 1/8, which all types hold."""
    return np.random.default_rng(seed).integers(1 if positive else -16, 17, shape) / 8


MEAN, VARIANCE, GAMMA, BETA = (numbers((C,), seed, positive=seed == 2) for seed in range(1, 5))


def channels(values: Any, x: Any) -> Any:
    return np.asarray(values).reshape(-1, *(1,) * (x.ndim - 2))


def standardized(x: Any, axes: tuple[int, ...], epsilon: float) -> Any:
    centred = x - x.mean(axes, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axes, keepdims=True) + epsilon)


def check(kind: str, x: Any, expected: Any, dtype: Any, opset: str = "CoreML8", **parameters: Any) -> None:
    found = run(kind, {"x": x.astype(dtype)}, opset=opset, **parameters)
    np.testing.assert_allclose(found, expected, rtol=0, atol=LIMITS[dtype] * abs(expected).max())
    outputs = [({np.float16: "fp16", np.float32: "fp32"}[dtype], (None,) * x.ndim)]
    again = run(kind, {"x": x.astype(dtype)}, opset=opset, open_shapes=True, outputs=outputs, **parameters)
    np.testing.assert_array_equal(again, found)


def as_type(dtype: Any, **parameters: Any) -> dict[str, Any]:
    return {name: np.asarray(value).astype(dtype) for name, value in parameters.items()}


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.clause("mil.softmax.S1")
def test_softmax(axis: int | None, dtype: Any) -> None:
    x = numbers((2, 3, 4), 1)
    powers = np.exp(x)
    given = {} if axis is None else {"axis": axis}
    check("softmax", x, powers / powers.sum(-1 if axis is None else axis, keepdims=True), dtype, **given)


@pytest.mark.clause("mil.softmax.S2", "mil.softmax.S3", "programs.U40")
def test_softmax_of_large_numbers_and_of_none() -> None:
    x = np.array([[1e4, 1e4, -np.inf], [-1e4, -1e4, -1e4], [-np.inf] * 3, [np.inf, 0, 1], [np.nan, 0, 1]], np.float32)
    y = run("softmax", {"x": x})
    np.testing.assert_array_equal(y[0], [0.5, 0.5, 0])
    np.testing.assert_allclose(y[1], [1 / 3] * 3, rtol=2**-23)
    assert np.isnan(y[2:]).all()


@pytest.mark.parametrize(
    ("x", "axis", "message"),
    [(np.zeros((2, 3), "f"), 2, "axis is 2, expected -2 to 1"), (np.zeros((2, 3), "f"), -3, "axis is -3"),
     (np.zeros((), "f"), -1, "for rank 0"), (np.zeros((2, 3), "i"), 0, "expected fp16, fp32")],
)  # fmt: skip
@pytest.mark.clause("mil.softmax.C1")
def test_what_softmax_refuses(x: Any, axis: int, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        run("softmax", {"x": x}, axis=axis)


# ---- Per channel ----


@pytest.mark.parametrize("opset", ["CoreML5", "CoreML7"])
@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.clause("mil.batch_norm.S1", "mil.batch_norm.S2")
def test_batch_norm(shape: tuple[int, ...], dtype: Any, opset: str) -> None:
    x = numbers(shape, 5)
    mean, variance, gamma, beta = (channels(values, x) for values in (MEAN, VARIANCE, GAMMA, BETA))
    fixed = as_type(dtype, mean=MEAN, variance=VARIANCE)
    epsilon = float(dtype(1e-5))
    plain = (x - mean) / np.sqrt(variance + epsilon)
    check("batch_norm", x, plain, dtype, opset, **fixed)
    check("batch_norm", x, gamma * plain, dtype, opset, **fixed, **as_type(dtype, gamma=GAMMA))
    check("batch_norm", x, plain + beta, dtype, opset, **fixed, **as_type(dtype, beta=BETA))
    expected = gamma * (x - mean) / np.sqrt(variance + 0.5) + beta
    check("batch_norm", x, expected, dtype, opset, **fixed, **as_type(dtype, gamma=GAMMA, beta=BETA, epsilon=0.5))


@pytest.mark.parametrize("opset", ["CoreML5", "CoreML7"])
@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("shape", SHAPES[:2])
@pytest.mark.clause("mil.instance_norm.S1", "mil.instance_norm.S2")
def test_instance_norm(shape: tuple[int, ...], dtype: Any, opset: str) -> None:
    x = numbers(shape, 6)
    gamma, beta = channels(GAMMA, x), channels(BETA, x)
    axes = tuple(range(2, len(shape)))
    plain = standardized(x, axes, float(dtype(1e-5)))
    check("instance_norm", x, plain, dtype, opset)
    check("instance_norm", x, gamma * plain, dtype, opset, **as_type(dtype, gamma=GAMMA))
    check("instance_norm", x, plain + beta, dtype, opset, **as_type(dtype, beta=BETA))
    expected = gamma * standardized(x, axes, 0.5) + beta
    check("instance_norm", x, expected, dtype, opset, **as_type(dtype, gamma=GAMMA, beta=BETA, epsilon=0.5))


@pytest.mark.parametrize(
    ("kind", "changed", "message"),
    [
        ("batch_norm", {"mean": None}, "'mean' is missing"),
        ("batch_norm", {"variance": VARIANCE[1:]}, r"have the shapes \[\(3,\), \(2,\), \(3,\)\], expected \[C\] each"),
        ("batch_norm", {"gamma": GAMMA[1:]}, r"gamma has the shape \(2,\), beta \(3,\), expected one"),
        ("batch_norm", {"gamma": GAMMA[1:], "beta": None}, r"have the shapes \[\(3,\), \(3,\), \(2,\)\]"),
        ("batch_norm", {"mean": MEAN[None]}, r"'mean' has the shape \(1, 3\), expected rank 1"),
        ("instance_norm", {"gamma": GAMMA[1:], "beta": BETA[1:]}, "has 3 channels, expected 2"),
        ("instance_norm", {"gamma": GAMMA[None], "beta": None}, r"gamma or beta has the shape \(1, 3\)"),
    ],
)
@pytest.mark.clause("mil.batch_norm.C1", "mil.instance_norm.C1")
def test_numbers_per_channel_that_do_not_fit(kind: str, changed: dict[str, Any], message: str) -> None:
    given = {"gamma": GAMMA, "beta": BETA, **changed}
    if kind == "batch_norm":
        given = {"mean": MEAN, "variance": VARIANCE, **given}
    constants = {name: None if value is None else value.astype(np.float32) for name, value in given.items()}
    with pytest.raises(InvalidModelError, match=message):
        run(kind, {"x": numbers(SHAPES[0], 1).astype(np.float32)}, **constants)


# ---- layer_norm ----


@pytest.mark.parametrize("opset", ["CoreML5", "CoreML7"])
@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("axes", [None, [-1], [2, 1], [0, -2], [1]])
@pytest.mark.clause("mil.layer_norm.S1", "mil.layer_norm.S2", "mil.layer_norm.S3")
def test_layer_norm(axes: list[int] | None, dtype: Any, opset: str) -> None:
    x = numbers((2, 3, 5), 7)
    along = tuple(sorted(axis % 3 for axis in axes or range(3)))
    lengths = tuple(x.shape[axis] for axis in along)
    broadcast = tuple(n if axis in along else 1 for axis, n in enumerate(x.shape))
    gamma, beta = numbers(lengths, 8), numbers(lengths, 9)
    given = {} if axes is None else {"axes": axes}
    plain = standardized(x, along, float(dtype(1e-5)))
    check("layer_norm", x, plain, dtype, opset, **given)
    check("layer_norm", x, gamma.reshape(broadcast) * plain, dtype, opset, **given, **as_type(dtype, gamma=gamma))
    check("layer_norm", x, plain + beta.reshape(broadcast), dtype, opset, **given, **as_type(dtype, beta=beta))
    expected = gamma.reshape(broadcast) * standardized(x, along, 0.5) + beta.reshape(broadcast)
    constants = as_type(dtype, gamma=gamma, beta=beta, epsilon=0.5)
    check("layer_norm", x, expected, dtype, opset, **given, **constants)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"axes": [3]}, r"axes is \(3,\), expected -3 to 2 each"),
        ({"axes": [1, -2]}, "names an axis of 3 twice"),
        ({"axes": np.zeros(0, np.int32)}, "axes is empty"),
        ({"axes": [1], "gamma": np.ones(5, np.float32)}, r"of the lengths \(5,\) along the axes \(1,\)"),
        ({"gamma": np.ones(5, np.float32), "beta": np.ones(3, np.float32)}, "expected one"),
    ],
)
@pytest.mark.clause("mil.layer_norm.C1", "mil.layer_norm.C2")
def test_layer_norm_parameters_that_do_not_fit(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        run("layer_norm", {"x": np.zeros((2, 3, 5), np.float32)}, **parameters)


# ---- Lengths and neighbours ----


@pytest.mark.parametrize("opset", ["CoreML5", "CoreML7"])
@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.clause("mil.l2_norm.S1", "mil.l2_norm.S2")
def test_l2_norm_is_along_the_last_three_axes(shape: tuple[int, ...], dtype: Any, opset: str) -> None:
    x = numbers(shape, 10)
    squares = (x**2).sum((-3, -2, -1), keepdims=True)
    check("l2_norm", x, x / np.sqrt(squares + 2.0), dtype, opset, epsilon=dtype(2))
    small = x / 2**12  # so that the default is felt
    expected = small / np.sqrt(squares / 2**24 + float(dtype(1e-6)))
    check("l2_norm", small, expected, dtype, opset)


@pytest.mark.parametrize("opset", ["CoreML5", "CoreML7"])
@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 9])
@pytest.mark.clause("mil.local_response_norm.S1", "mil.local_response_norm.S2", "mil.local_response_norm.S3")
def test_local_response_norm(size: int, dtype: Any, opset: str) -> None:
    x = numbers((2, 5, 3, 4), 11)
    sums = np.zeros_like(x)
    for c in range(5):
        first, last = max(c - size // 2, 0), min(c + (size - 1) // 2, 4)
        sums[:, c] = sum(x[:, j] ** 2 for j in range(first, last + 1))
    given = as_type(dtype, alpha=0.5, beta=1.25, k=2)
    check("local_response_norm", x, x / (2 + 0.5 / size * sums) ** 1.25, dtype, opset, size=size, **given)
    scaled = x * 32  # so that the default of alpha is felt
    expected = scaled / (1 + float(dtype(1e-4)) / size * sums * 1024) ** 0.75
    check("local_response_norm", scaled, expected, dtype, opset, size=size)


@pytest.mark.clause("mil.local_response_norm.C1", "programs.U41")
def test_neighbours_of_other_ranks() -> None:
    for shape in SHAPES:
        x = numbers(shape, 12)
        along = np.moveaxis(x, -3, 0)
        before = np.concatenate([np.zeros_like(along[:1]), along[:-1] ** 2])
        sums = x**2 + np.moveaxis(before, 0, -3)
        check(
            "local_response_norm",
            x,
            x / (1 + sums / 2) ** 1,
            np.float32,
            size=2,
            **as_type(np.float32, alpha=1, beta=1),
        )
    for size in (0, -1):
        with pytest.raises(InvalidModelError, match=f"'size' is {size}, expected at least 1"):
            run("local_response_norm", {"x": x.astype(np.float32)}, size=size)


# ---- All ----

REQUIRED: dict[str, dict[str, Any]] = {
    "batch_norm": {"mean": MEAN, "variance": VARIANCE, "gamma": GAMMA, "beta": BETA, "epsilon": 0.5},
    "instance_norm": {"gamma": GAMMA, "beta": BETA, "epsilon": 0.5},
    "layer_norm": {"gamma": numbers(SHAPES[0], 1), "beta": numbers(SHAPES[0], 2), "epsilon": 0.5},
    "l2_norm": {"epsilon": 0.5},
    "local_response_norm": {"alpha": 0.5, "beta": 0.75, "k": 2},
}


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("kind", REQUIRED)
@pytest.mark.clause(
    "mil.batch_norm.C2",
    "mil.instance_norm.C2",
    "mil.layer_norm.C3",
    "mil.l2_norm.C1",
    "mil.local_response_norm.C2",
)
def test_since_coreml7_parameters_may_be_of_the_other_float_type(kind: str, dtype: Any) -> None:
    x, more = numbers(SHAPES[0], 13).astype(dtype), {"size": 2} if kind == "local_response_norm" else {}
    expected = run(kind, {"x": x}, **more, **as_type(dtype, **REQUIRED[kind]))
    given = as_type(OTHER[dtype], **REQUIRED[kind])
    np.testing.assert_array_equal(run(kind, {"x": x}, **more, **given), expected)
    with pytest.raises(InvalidModelError, match=r"have elements of types .*, expected one"):
        run(kind, {"x": x}, opset="CoreML6", **more, **given)


@pytest.mark.parametrize("kind", ["batch_norm", "instance_norm", "layer_norm"])
@pytest.mark.clause("programs.U33", "programs.U33", "programs.U33")
def test_since_coreml7_parameters_may_differ_in_type_among_themselves(kind: str) -> None:
    x, given = numbers(SHAPES[0], 13).astype(np.float32), as_type(np.float32, **REQUIRED[kind])
    mixed = {**given, **as_type(np.float16, gamma=REQUIRED[kind]["gamma"], epsilon=0.5)}
    np.testing.assert_array_equal(run(kind, {"x": x}, **mixed), run(kind, {"x": x}, **given))


@pytest.mark.clause("mil.instance_norm.S3")
def test_an_epsilon_of_fp32_is_used_as_it_is() -> None:
    x = np.array([[[-(2**-10), 2**-10]]], np.float16)
    found = run("instance_norm", {"x": x}, epsilon=np.float32(1e-8))
    assert found.tolist() == np.float16(2**-10 / np.sqrt(2**-20 + 1e-8) * np.array([[[-1, 1]]])).tolist()
    assert run("instance_norm", {"x": x}, epsilon=np.float16(1e-8)).tolist() == [[[-1, 1]]]  # there 0


@pytest.mark.parametrize("kind", REQUIRED)
@pytest.mark.clause(
    "mil.batch_norm.C1",
    "mil.batch_norm.C2",
    "mil.instance_norm.C1",
    "mil.instance_norm.C2",
    "mil.layer_norm.C3",
    "mil.l2_norm.C1",
    "mil.local_response_norm.C1",
    "mil.local_response_norm.C2",
)
def test_inputs_that_do_not_fit(kind: str) -> None:
    given, more = as_type(np.float32, **REQUIRED[kind]), {"size": 2} if kind == "local_response_norm" else {}
    with pytest.raises(InvalidModelError, match=r"have elements of types|has elements of type"):
        run(kind, {"x": np.zeros(SHAPES[0], np.int32)}, **given, **more)
    integers = {key: value.astype(np.int32) for key, value in given.items()}
    with pytest.raises(InvalidModelError, match="elements of type int32"):
        run(kind, {"x": np.zeros(SHAPES[0], np.float32)}, **integers, **more)
    if kind != "layer_norm":
        with pytest.raises(InvalidModelError, match=r"'x' is of rank 2, expected 3 to"):
            run(kind, {"x": np.zeros((2, 3), np.float32)}, **given, **more)
    if kind == "instance_norm":
        with pytest.raises(InvalidModelError, match=r"'x' is of rank 5, expected 3 to 4"):
            run(kind, {"x": np.zeros(SHAPES[2], np.float32)}, **given)


def test_torch() -> None:
    torch: Any = pytest.importorskip("torch", reason="torch is the second opinion")
    f, x = torch.nn.functional, numbers(SHAPES[1], 14)
    tensors = {"mean": MEAN, "variance": VARIANCE, "gamma": GAMMA, "beta": BETA}
    mean, variance, gamma, beta = (torch.from_numpy(values) for values in tensors.values())
    tensor, given = torch.from_numpy(x), as_type(np.float32, **tensors)
    expected = f.batch_norm(tensor, mean, variance, gamma, beta).numpy()
    check("batch_norm", x, expected, np.float32, **given)
    del given["mean"], given["variance"]
    check("instance_norm", x, f.instance_norm(tensor, weight=gamma, bias=beta).numpy(), np.float32, **given)
    check("layer_norm", x, f.layer_norm(tensor, x.shape[2:]).numpy(), np.float32, axes=[2, 3])
    check("local_response_norm", x, f.local_response_norm(tensor, 2).numpy(), np.float32, size=2)
