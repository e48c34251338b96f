"""Convolution and transposed convolution, against loops over every product."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mil.support import run
from support import integers

from refcoreml.errors import InvalidModelError

#: Lengths of an axis in space that differ pairwise, of x and of the kernel.
SIZES, KERNEL = (9, 7, 8), (3, 2, 4)
OPSETS = ("CoreML5", "CoreML7")
TYPES = {np.float16: "fp16", np.float32: "fp32"}
PAD = (1, 0, 2, 1, 0, 3)


def pairs(pad: Any) -> list[tuple[int, int]]:
    return list(zip(pad[::2], pad[1::2], strict=True))


def convolved(
    x: Any, weight: Any, bias: Any, strides: Any, dilations: Any, groups: int, edges: list[tuple[int, int]]
) -> Any:
    """A sum of products for each place, small integers: exact in every type."""
    x = np.pad(x, [(0, 0), (0, 0), *edges])
    outputs, depth, *kernel = weight.shape
    sizes = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], kernel, strides, dilations, strict=True)]
    y = np.zeros((len(x), outputs, *sizes))
    for n, m, *place in np.ndindex(*y.shape):
        group = m // (outputs // groups)
        channels = slice(group * depth, (group + 1) * depth)
        taps = tuple(
            slice(i * s, i * s + (k - 1) * d + 1, d)
            for i, k, s, d in zip(place, kernel, strides, dilations, strict=True)
        )
        y[(n, m, *place)] = (x[(n, channels, *taps)] * weight[m]).sum() + bias[m]
    return y


def spread(x: Any, weight: Any, strides: Any, dilations: Any, groups: int) -> Any:
    """The transposed convolution in full: each number of x is spread over the places that it reaches."""
    inputs, per_group, *kernel = weight.shape
    sizes = [(n - 1) * s + (k - 1) * d + 1 for n, k, s, d in zip(x.shape[2:], kernel, strides, dilations, strict=True)]
    y = np.zeros((len(x), per_group * groups, *sizes))
    for n, c, *place in np.ndindex(*x.shape):
        first = c // (inputs // groups) * per_group
        reached = tuple(
            slice(i * s, i * s + (k - 1) * d + 1, d)
            for i, k, s, d in zip(place, kernel, strides, dilations, strict=True)
        )
        y[(n, slice(first, first + per_group), *reached)] += x[(n, c, *place)] * weight[c]
    return y


def given(space: int, groups: int = 1, *, transposed: bool = False) -> tuple[Any, Any, Any]:
    x = integers((2, 6, *SIZES[:space]), space)
    shape = (6, 4 // groups) if transposed else (4, 6 // groups)
    return x, integers((*shape, *KERNEL[:space]), 7), integers((4,), 8)


def same_pair(n: int, k: int, s: int, d: int = 1, *, lower: bool = False) -> tuple[int, int]:
    total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
    small, large = total // 2, total - total // 2
    return (large, small) if lower else (small, large)


# ---- conv ----


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("space", [1, 2, 3])
@pytest.mark.clause("mil.conv.S3", "mil.conv.S7")
def test_defaults(space: int, dtype: Any, opset: str) -> None:
    x, weight, bias = given(space)
    found = run("conv", {"x": x.astype(dtype)}, opset=opset, weight=weight.astype(dtype))
    plain = (1,) * space, (1,) * space, 1, [(0, 0)] * space
    np.testing.assert_array_equal(found, convolved(x, weight, np.zeros(4), *plain))
    found = run(
        "conv", {"x": x.astype(dtype)}, opset=opset, weight=weight.astype(dtype), bias=bias.astype(dtype),
        pad=np.array(PAD[: 2 * space], np.int32), pad_type="valid",
    )  # fmt: skip
    np.testing.assert_array_equal(found, convolved(x, weight, bias, *plain))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("space", [1, 2, 3])
@pytest.mark.clause("mil.conv.S1", "mil.conv.S2", "mil.conv.S3", "mil.conv.S6")
def test_all_parameters(space: int, groups: int, dtype: Any) -> None:
    x, weight, bias = given(space, groups)
    strides, dilations, pad = (2, 1, 3)[:space], (1, 3, 2)[:space], PAD[: 2 * space]
    found = run(
        "conv", {"x": x.astype(dtype)}, weight=weight.astype(dtype), bias=bias.astype(dtype), strides=list(strides),
        dilations=list(dilations), groups=groups, pad_type="custom", pad=list(pad),
    )  # fmt: skip
    np.testing.assert_array_equal(found, convolved(x, weight, bias, strides, dilations, groups, pairs(pad)))


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("space", [1, 2, 3])
@pytest.mark.clause("mil.conv.C3", "mil.conv.S4", "mil.conv.S5")
def test_same(space: int, lower: bool) -> None:
    x, weight, bias = given(space)
    strides, dilations = (2, 1, 3)[:space], (3, 1, 1)[:space]
    axes = zip(SIZES, KERNEL, strides, dilations, strict=False)
    edges = [same_pair(*axis, lower=lower) for axis in axes]
    assert any(begin != end for begin, end in edges) or space == 1
    found = run(
        "conv", {"x": x.astype(np.float32)}, weight=weight.astype(np.float32), bias=bias.astype(np.float32),
        strides=list(strides), dilations=list(dilations), pad_type="same_lower" if lower else "SAME",
    )  # fmt: skip
    assert found.shape[2:] == tuple(-(-n // s) for n, s in zip(SIZES, strides, strict=False))
    np.testing.assert_array_equal(found, convolved(x, weight, bias, strides, dilations, 1, edges))


@pytest.mark.clause("mil.conv.S3")
def test_custom_padding_is_zero_by_default() -> None:
    x, weight, _ = given(1)
    args = {"x": x.astype(np.float32)}
    np.testing.assert_array_equal(
        run("conv", args, weight=weight.astype(np.float32), pad_type="custom"),
        run("conv", args, weight=weight.astype(np.float32)),
    )


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("space", [1, 2, 3])
@pytest.mark.clause("mil.conv.C5")
def test_weights_that_a_run_computes(space: int, opset: str, with_bias: bool) -> None:
    x, weight, bias = given(space, 2)
    constants = {"bias": bias.astype(np.float32)} if with_bias else {}
    inputs = {"x": x.astype(np.float32), "weight": weight.astype(np.float32)}
    found = run("conv", inputs, opset=opset, groups=2, strides=[2] * space, **constants)
    expected = convolved(x, weight, bias * with_bias, (2,) * space, (1,) * space, 2, [(0, 0)] * space)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(InvalidModelError, match=r"has the dilations .*, but weights that a run computes, expected 1"):
        run("conv", inputs, opset=opset, groups=2, dilations=[2] * space)


@pytest.mark.clause("mil.conv.C5")
def test_a_bias_that_a_run_computes() -> None:
    x, weight, bias = (array.astype(np.float32) for array in given(2))
    expected = convolved(x, weight, bias, (1, 1), (1, 1), 1, [(0, 0)] * 2)
    np.testing.assert_array_equal(run("conv", {"x": x, "bias": bias}, weight=weight), expected)
    np.testing.assert_array_equal(run("conv", {"x": x, "bias": bias, "weight": weight}), expected)
    dilated = run("conv", {"x": x, "bias": bias}, weight=weight, dilations=[1, 3])
    np.testing.assert_array_equal(dilated, convolved(x, weight, bias, (1, 1), (1, 3), 1, [(0, 0)] * 2))
    with pytest.raises(InvalidModelError, match="weights that a run computes, expected 1"):
        run("conv", {"x": x, "bias": bias, "weight": weight}, dilations=[1, 3])
    for inputs in ({"x": x, "bias": bias}, {"x": x, "bias": bias, "weight": weight}):
        constants = {} if "weight" in inputs else {"weight": weight}
        with pytest.raises(InvalidModelError, match="must be a constant"):
            run("conv", inputs, opset="CoreML6", **constants)


@pytest.mark.parametrize("kind", ["conv", "conv_transpose"])
@pytest.mark.clause("mil.conv.C4", "programs.U33", "mil.conv_transpose.C4", "programs.U33")
def test_since_coreml7_weights_may_be_of_the_other_float_type(kind: str) -> None:
    x, weight, bias = given(2, transposed=kind != "conv")
    plain = run(kind, {"x": x.astype(np.float32)}, weight=weight.astype(np.float32), bias=bias.astype(np.float32))
    for dtype, other in ((np.float16, np.float32), (np.float32, np.float16)):
        constants = {"weight": weight.astype(other), "bias": bias.astype(other)}
        np.testing.assert_array_equal(run(kind, {"x": x.astype(dtype)}, **constants), plain)
        inputs = {"x": x.astype(dtype), "weight": weight.astype(other)}
        np.testing.assert_array_equal(run(kind, inputs, bias=bias.astype(other)), plain)
        np.testing.assert_array_equal(run(kind, inputs, bias=bias.astype(dtype)), plain)
        with pytest.raises(InvalidModelError, match=r"have elements of types .*, expected one"):
            run(kind, {"x": x.astype(dtype)}, opset="CoreML6", **constants)


def test_half_precision_is_rounded_once() -> None:
    x = np.full((1, 3, 1), 1024, np.float16)
    weight = np.ones((1, 3, 1), np.float16)
    weight[0, 2] = 2**-10
    # 1024 + 1024 + 1 = 2049, between 2048 and 2050; with 3 * 2^-10 for the last it would be 2051.
    assert run("conv", {"x": x}, weight=weight).item() == 2048
    weight[0, 2] *= 3
    assert run("conv", {"x": x}, weight=weight).item() == 2052
    assert run("conv", {"x": x}, weight=weight, precision="float32").item() == 2051


def test_open_shapes() -> None:
    x, weight, bias = (array.astype(np.float32) for array in given(2))
    found = run(
        "conv", {"x": x}, weight=weight, bias=bias, pad_type="same", strides=[2, 3], open_shapes=True,
        outputs=[("fp32", (None, 4, None, None))],
    )  # fmt: skip
    np.testing.assert_array_equal(
        found, run("conv", {"x": x}, weight=weight, bias=bias, pad_type="same", strides=[2, 3])
    )
    outputs = [("fp32", (None, 4, None, None))]
    with pytest.raises(InvalidModelError, match=r"expected an input \[\*, 6, H, W\].*got \(2, 5, 9, 7\)"):
        run("conv", {"x": x[:, 1:]}, weight=weight, open_shapes=True, outputs=outputs)


X, WEIGHT, BIAS = (array.astype(np.float32) for array in given(2))
TRANSPOSED = given(2, transposed=True)[1].astype(np.float32)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weight": None}, "'weight' is missing"),
        ({"weight": WEIGHT[0]}, r"'weight' has the shape \(6, 3, 2\), expected rank 4"),
        ({"weight": WEIGHT[:, 1:]}, r"expected an input \[\*, 5, H, W\]"),
        ({"weight": WEIGHT.astype(np.int32)}, "expected fp16, fp32"),
        ({"bias": BIAS[:3]}, r"expected a bias of the shape \(4,\), got \(3,\)"),
        ({"bias": BIAS[None]}, r"'bias' has the shape \(1, 4\), expected rank 1"),
        ({"groups": 3}, "whose first length is a multiple of 3"),
        ({"groups": 0}, "groups 0, expected numbers of at least 1"),
        ({"strides": [1]}, "'strides' has 1 elements, expected 2"),
        ({"strides": [1, 0]}, r"stride is \(1, 0\)"),
        ({"dilations": [1, -1]}, r"dilation \(1, -1\)"),
        ({"pad": [0, 1]}, "'pad' has 2 elements, expected 4"),
        ({"pad": [0, 1, -1, 0]}, r"'pad' is \(0, 1, -1, 0\), expected numbers of at least 0"),
        ({"pad_type": "full"}, "'pad_type' is 'full', expected one of 'valid', 'custom', 'same', 'same_lower'"),
        ({"dilations": [5, 1]}, "pixels would be left of the input"),
    ],
)
@pytest.mark.clause("mil.conv.C1", "mil.conv.C2", "mil.conv.C3")
def test_parameters_that_do_not_fit(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        run("conv", {"x": X}, **{"weight": WEIGHT, "bias": BIAS, **changed})


@pytest.mark.clause("mil.conv.C1", "mil.conv.C4")
def test_inputs_that_do_not_fit() -> None:
    with pytest.raises(InvalidModelError, match="'x' is of rank 2, expected 3 to 5"):
        run("conv", {"x": X[0, 0]}, weight=WEIGHT)
    with pytest.raises(InvalidModelError, match="expected fp16, fp32"):
        run("conv", {"x": X.astype(np.int32)}, weight=WEIGHT)


@pytest.mark.parametrize("kind", ["conv", "max_pool"])
@pytest.mark.clause("mil.conv.C3", "mil.max_pool.C2")
def test_the_lower_padding_is_of_coreml6(kind: str) -> None:
    parameters: dict[str, Any] = {"weight": WEIGHT} if kind == "conv" else {"kernel_sizes": [3, 2]}
    run(kind, {"x": X}, opset="CoreML6", pad_type="same_lower", **parameters)
    with pytest.raises(InvalidModelError, match="'pad_type' is 'same_lower', expected one of"):
        run(kind, {"x": X}, opset="CoreML5", pad_type="same_lower", **parameters)


# ---- conv_transpose ----


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("space", [1, 2, 3])
@pytest.mark.clause("mil.conv_transpose.S1", "mil.conv_transpose.S6")
def test_transposed_defaults(space: int, dtype: Any, opset: str) -> None:
    x, weight, _ = given(space, transposed=True)
    found = run("conv_transpose", {"x": x.astype(dtype)}, opset=opset, weight=weight.astype(dtype))
    np.testing.assert_array_equal(found, spread(x, weight, (1,) * space, (1,) * space, 1))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("space", [1, 2, 3])
@pytest.mark.clause("mil.conv_transpose.S1", "mil.conv_transpose.S2", "mil.conv_transpose.S3")
def test_transposed_with_all_parameters(space: int, groups: int, dtype: Any) -> None:
    x, weight, bias = given(space, groups, transposed=True)
    strides, dilations, pad = (2, 1, 3)[:space], (1, 3, 2)[:space], PAD[: 2 * space]
    found = run(
        "conv_transpose", {"x": x.astype(dtype)}, weight=weight.astype(dtype), bias=bias.astype(dtype),
        strides=list(strides), dilations=list(dilations), groups=groups, pad_type="custom", pad=list(pad),
    )  # fmt: skip
    full = spread(x, weight, strides, dilations, groups)
    cut = tuple(slice(b, n - e) for (b, e), n in zip(pairs(pad), full.shape[2:], strict=True))
    np.testing.assert_array_equal(found, full[(..., *cut)] + bias.reshape(-1, *(1,) * space))


@pytest.mark.parametrize("space", [1, 2, 3])
@pytest.mark.clause("mil.conv_transpose.C3", "mil.conv_transpose.S4", "programs.U34")
def test_transposed_same(space: int) -> None:
    x, weight, bias = given(space, transposed=True)
    strides = (2, 1, 3)[:space]
    found = run(
        "conv_transpose", {"x": x.astype(np.float32)}, weight=weight.astype(np.float32), bias=bias.astype(np.float32),
        strides=list(strides), pad_type="same",
    )  # fmt: skip
    full = spread(x, weight, strides, (1,) * space, 1)
    wanted = [n * s for n, s in zip(SIZES, strides, strict=False)]
    begins = [(n - w) // 2 for n, w in zip(full.shape[2:], wanted, strict=True)]
    cut = tuple(slice(b, b + w) for b, w in zip(begins, wanted, strict=True))
    np.testing.assert_array_equal(found, full[(..., *cut)] + bias.reshape(-1, *(1,) * space))
    with pytest.raises(
        InvalidModelError, match="'pad_type' is 'same_lower', expected one of 'valid', 'custom', 'same'"
    ):
        run("conv_transpose", {"x": x.astype(np.float32)}, weight=weight.astype(np.float32), pad_type="same_lower")


@pytest.mark.parametrize(("pad_type", "begins"), [("valid", (0, 0)), ("custom", (1, 2))])
@pytest.mark.parametrize("sizes", [(18, 8), (15, 6), (19, 12)])
@pytest.mark.clause("programs.U20")
@pytest.mark.clause("mil.conv_transpose.S5")
def test_an_output_shape_keeps_the_begin_of_the_padding(
    sizes: tuple[int, int], pad_type: str, begins: tuple[int, int]
) -> None:
    """Beyond what any input reaches, there is the bias alone."""
    x, weight, bias = given(2, transposed=True)
    found = run(
        "conv_transpose", {"x": x.astype(np.float32)}, weight=weight.astype(np.float32), bias=bias.astype(np.float32),
        strides=[2, 1], pad_type=pad_type, pad=[1, 0, 2, 1], output_shape=[2, 4, *sizes],
    )  # fmt: skip
    full = np.pad(spread(x, weight, (2, 1), (1, 1), 1), [(0, 0), (0, 0), (0, 9), (0, 9)])
    cut = tuple(slice(b, b + n) for b, n in zip(begins, sizes, strict=True))
    np.testing.assert_array_equal(found, full[(..., *cut)] + bias[:, None, None])


@pytest.mark.clause("mil.conv_transpose.C5")
def test_what_transposed_weights_a_run_may_compute() -> None:
    x, weight, bias = (array.astype(np.float32) for array in given(2, 2, transposed=True))
    expected = run("conv_transpose", {"x": x}, weight=weight, bias=bias, groups=2, dilations=[1, 2])
    inputs = {"x": x, "weight": weight, "bias": bias}
    np.testing.assert_array_equal(run("conv_transpose", inputs, groups=2, dilations=[1, 2]), expected)
    with pytest.raises(InvalidModelError, match="'weight' must be a constant"):
        run("conv_transpose", inputs, opset="CoreML6", groups=2)


@pytest.mark.parametrize("shape", [[2, 3, 11, 8], [1, 4, 11, 8], [2, 4, 11], [2, 4, 0, 8]])
@pytest.mark.clause("mil.conv_transpose.C6")
def test_output_shapes_that_do_not_fit(shape: list[int]) -> None:
    x, weight, _ = (array.astype(np.float32) for array in given(2, transposed=True))
    with pytest.raises(InvalidModelError, match=r"output_shape|pixels would be left"):
        run("conv_transpose", {"x": x}, weight=weight, output_shape=shape)


@pytest.mark.parametrize(
    ("sizes", "begins"), [(None, (0, 0)), ((17, 25), (1, 0)), ((14, 20), (2, 3)), ((18, 31), (0, 0))]
)
@pytest.mark.clause("mil.conv_transpose.S4", "programs.U34")
def test_transposed_same_cuts_off_half_at_each_end_and_adds_at_the_end(sizes: Any, begins: Any) -> None:
    """In full the output is 19 x 26 pixels large, which ``same`` makes 18 x 28."""
    x, weight, bias = given(2, transposed=True)
    found = run(
        "conv_transpose", {"x": x.astype(np.float32)}, weight=weight.astype(np.float32), bias=bias.astype(np.float32),
        strides=[2, 4], pad_type="same", output_shape=None if sizes is None else [2, 4, *sizes],
    )  # fmt: skip
    full = np.pad(spread(x, weight, (2, 4), (1, 1), 1), [(0, 0), (0, 0), (0, 9), (0, 9)])
    cut = tuple(slice(b, b + n) for b, n in zip(begins, sizes or (18, 28), strict=True))
    np.testing.assert_array_equal(found, full[(..., *cut)] + bias[:, None, None])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weight": None}, "'weight' is missing"),
        ({"weight": TRANSPOSED[0]}, r"'weight' has the shape \(4, 3, 2\), expected rank 4"),
        ({"weight": TRANSPOSED[1:]}, r"expected an input \[\*, 5, H, W\]"),
        ({"bias": BIAS[:3]}, r"expected a bias of the shape \(4,\), got \(3,\)"),
        ({"groups": 4}, "whose first length is a multiple of 4"),
        ({"strides": [1]}, "'strides' has 1 elements, expected 2"),
        ({"dilations": [0, 1]}, r"dilation \(0, 1\)"),
        ({"pad": [0, 1, -1, 0]}, r"'pad' is \(0, 1, -1, 0\), expected numbers of at least 0"),
        ({"pad_type": "custom", "pad": [0, 0, 4, 4]}, "0 pixels would be left|pixels would be left of the input"),
        ({"pad_type": "full"}, "'pad_type' is 'full', expected one of 'valid', 'custom', 'same'"),
    ],
)
@pytest.mark.clause("mil.conv_transpose.C1", "mil.conv_transpose.C2", "mil.conv_transpose.C3")
def test_transposed_parameters_that_do_not_fit(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        run("conv_transpose", {"x": X}, **{"weight": TRANSPOSED, "bias": BIAS, **changed})


# ---- A second opinion ----


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("space", [1, 2, 3])
def test_torch(space: int, groups: int) -> None:
    torch: Any = pytest.importorskip("torch", reason="torch is the second opinion")
    x, weight, bias = (array.astype(np.float32) for array in given(space, groups))
    f = torch.nn.functional
    strides, dilations, edges = [2] * space, [1, 2, 1][:space], [1, 0, 2][:space]
    settings = {"strides": strides, "dilations": dilations, "groups": groups, "pad_type": "custom"}
    pad = [edge for edge in edges for _ in range(2)]
    found = run("conv", {"x": x}, weight=weight, bias=bias, pad=pad, **settings)
    tensors = [torch.from_numpy(array) for array in (x, weight, bias)]
    expected = getattr(f, f"conv{space}d")(*tensors, strides, edges, dilations, groups)
    np.testing.assert_array_equal(found, expected.numpy())
    x, weight, bias = (array.astype(np.float32) for array in given(space, groups, transposed=True))
    tensors = [torch.from_numpy(array) for array in (x, weight, bias)]
    found = run("conv_transpose", {"x": x}, weight=weight, bias=bias, pad=pad, **settings)
    expected = getattr(f, f"conv_transpose{space}d")(*tensors, strides, edges, 0, groups, dilations)
    np.testing.assert_array_equal(found, expected.numpy())
