"""Convolution and deconvolution against a transcription of their formulas, exactly, on small integers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import integers

from refcoreml.errors import UsageError
from refcoreml.kernels import conv
from refcoreml.kernels.conv import (
    Convolution,
    Deconvolution,
    convolution_output_size,
    convolve,
    deconvolution_output_size,
    deconvolve,
    same_crop,
    same_padding,
)

Array = np.ndarray[Any, Any]


def loop_convolve(x: Array, weight: Array, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Array:
    """The formula, pixel by pixel, on x [C, H, W]."""
    (top, bottom), (left, right) = padding
    outs, depth, kernel_h, kernel_w = weight.shape
    _, height, width = x.shape
    size_h = (height + top + bottom - (kernel_h - 1) * dilation[0] - 1) // stride[0] + 1
    size_w = (width + left + right - (kernel_w - 1) * dilation[1] - 1) // stride[1] + 1
    y = np.zeros((outs, size_h, size_w))
    for m, i, j in np.ndindex(y.shape):
        y[m, i, j] = 0 if bias is None else bias[m]
        for c, p, q in np.ndindex(depth, kernel_h, kernel_w):
            row, column = i * stride[0] + p * dilation[0] - top, j * stride[1] + q * dilation[1] - left
            if 0 <= row < height and 0 <= column < width:
                y[m, i, j] += weight[m, c, p, q] * x[m // (outs // groups) * depth + c, row, column]
    return y


def loop_deconvolve(x: Array, weight: Array, bias: Any, stride: Any, crop: Any, dilation: Any, groups: int) -> Array:
    """The formula, input pixel by input pixel, on x [C, H, W]."""
    (top, bottom), (left, right) = crop
    ins, per_group, kernel_h, kernel_w = weight.shape
    _, height, width = x.shape
    size_h = (height - 1) * stride[0] + (kernel_h - 1) * dilation[0] + 1 - top - bottom
    size_w = (width - 1) * stride[1] + (kernel_w - 1) * dilation[1] + 1 - left - right
    y = np.zeros((per_group * groups, size_h, size_w))
    if bias is not None:
        y += bias[:, None, None]
    for c, i, j in np.ndindex(x.shape):
        for m, p, q in np.ndindex(per_group, kernel_h, kernel_w):
            row, column = i * stride[0] + p * dilation[0] - top, j * stride[1] + q * dilation[1] - left
            if 0 <= row < size_h and 0 <= column < size_w:
                y[c // (ins // groups) * per_group + m, row, column] += weight[c, m, p, q] * x[c, i, j]
    return y


# channels in and out, kernel, stride, padding or crop, dilation, groups
CASES = {
    "1x1, widening": (3, 5, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "1x1, narrowing": (7, 2, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "1x1, stride": (3, 5, (1, 1), (2, 3), ((0, 0), (0, 0)), (1, 1), 1),
    "1x1, groups": (6, 4, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 2),
    "1x1, padding": (3, 2, (1, 1), (1, 1), ((1, 0), (2, 3)), (1, 1), 1),
    "kernel": (3, 4, (3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "stride": (3, 4, (3, 2), (2, 3), ((0, 0), (0, 0)), (1, 1), 1),
    "padding": (3, 4, (2, 3), (1, 1), ((1, 2), (3, 0)), (1, 1), 1),
    "padding, stride": (3, 4, (2, 3), (3, 2), ((2, 1), (0, 1)), (1, 1), 1),
    "dilation": (3, 4, (3, 2), (1, 2), ((1, 2), (3, 4)), (2, 3), 1),
    "one input channel": (1, 4, (3, 2), (2, 1), ((1, 2), (0, 1)), (1, 2), 1),
    "groups": (6, 4, (2, 3), (2, 1), ((1, 0), (2, 1)), (2, 1), 2),
    "depthwise": (5, 5, (3, 2), (1, 1), ((1, 2), (0, 1)), (1, 1), 5),
    "depthwise, stride": (5, 5, (2, 3), (2, 3), ((1, 0), (2, 1)), (1, 1), 5),
    "depthwise, stride, dilation": (3, 3, (3, 4), (4, 3), ((3, 2), (6, 5)), (6, 2), 3),
    "depthwise, several outputs": (3, 6, (3, 2), (1, 2), ((0, 1), (2, 0)), (2, 1), 3),
    "depthwise 1x1": (4, 4, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 4),
    "few outputs": (34, 3, (3, 2), (1, 1), ((0, 1), (0, 0)), (1, 1), 1),
    "few outputs, padding beyond the kernel": (33, 1, (2, 3), (1, 1), ((1, 2), (5, 4)), (1, 1), 1),
    "few outputs, groups, dilation": (70, 4, (3, 2), (1, 1), ((1, 3), (0, 2)), (2, 3), 2),
    "taps beyond the image": (2, 3, (3, 4), (2, 1), ((20, 9), (3, 30)), (13, 11), 1),
    "taps beyond the image, depthwise": (3, 3, (3, 4), (2, 1), ((20, 9), (3, 30)), (13, 11), 3),
}


@pytest.fixture(params=[None, 2000, 1], ids=["ordinary blocks", "small blocks", "smallest blocks"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a test again with blocks so small that each case has several."""
    if request.param:
        monkeypatch.setattr(conv, "BLOCK_BYTES", request.param)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("biased", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.clause("convolution.S1", "convolution.S4")
def test_convolution_follows_its_formula(case: Any, biased: bool) -> None:
    ins, outs, kernel, stride, padding, dilation, groups = case
    x, weight = integers((2, ins, 9, 8), 1), integers((outs, ins // groups, *kernel), 2)
    bias = integers((outs,), 3) if biased else None
    expected = np.stack([loop_convolve(image, weight, bias, stride, padding, dilation, groups) for image in x])
    for dtype in np.float32, np.float64, np.float16:
        y = convolve(
            x.astype(dtype),
            weight.astype(dtype),
            None if bias is None else bias.astype(dtype),
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
        )
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("name", CASES)
def test_few_outputs_are_added_up_not_gathered(name: str) -> None:
    ins, outs, kernel, stride, _, dilation, groups = CASES[name]
    weight = np.ones((outs, ins // groups, *kernel), np.float32)
    convolution = Convolution(weight, stride=stride, dilation=dilation, groups=groups)
    assert (convolution._adjoint is not None) == name.startswith("few outputs")


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("biased", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.clause("convolution.S5", "convolution.U1")
def test_deconvolution_follows_its_formula(case: Any, biased: bool) -> None:
    ins, outs, kernel, stride, _, dilation, groups = case
    x, weight = integers((2, ins, 5, 4), 1), integers((ins, outs // groups, *kernel), 2)
    bias = integers((outs,), 3) if biased else None
    for crop in ((0, 0), (0, 0)), ((1, 2), (0, 1)), ((0, -3), (2, -1)):
        expected = np.stack([loop_deconvolve(image, weight, bias, stride, crop, dilation, groups) for image in x])
        for dtype in np.float32, np.float64, np.float16:
            y = deconvolve(
                x.astype(dtype),
                weight.astype(dtype),
                None if bias is None else bias.astype(dtype),
                stride=stride,
                crop=crop,
                dilation=dilation,
                groups=groups,
            )
            assert y.dtype == dtype
            np.testing.assert_array_equal(y, expected)


geometry = st.fixed_dictionaries(
    {
        "kernel": st.tuples(st.integers(1, 4), st.integers(1, 4)),
        "stride": st.tuples(st.integers(1, 4), st.integers(1, 4)),
        "dilation": st.tuples(st.integers(1, 4), st.integers(1, 4)),
        "border": st.tuples(*[st.tuples(st.integers(0, 5), st.integers(0, 5))] * 2),
        "groups": st.integers(1, 3),
        "depth": st.integers(1, 3),
        "width": st.integers(1, 3),
        "size": st.tuples(st.integers(1, 12), st.integers(1, 12)),
        "batch": st.sampled_from([(), (2,), (2, 3), (1, 1, 2), (0,)]),
    }
)


@given(geometry)
def test_deconvolution_is_the_adjoint_of_convolution(g: dict[str, Any]) -> None:
    """<convolve(x), y> = <x, deconvolve(y)> for all x and y, as integers."""
    options = {name: g[name] for name in ("stride", "dilation", "groups")}
    weight = integers((g["groups"] * g["width"], g["depth"], *g["kernel"]), 5)
    x = integers((*g["batch"], g["groups"] * g["depth"], *g["size"]), 6)
    sizes = [
        convolution_output_size(*axis)
        for axis in zip(g["size"], g["kernel"], g["stride"], g["dilation"], g["border"], strict=True)
    ]
    if min(sizes) < 1:
        with pytest.raises(UsageError, match="does not fit"):
            convolve(x, weight, padding=g["border"], **options)
        return
    forward = convolve(x, weight, padding=g["border"], **options)
    assert forward.shape == (*g["batch"], len(weight), *sizes)
    y = integers(forward.shape, 7)
    # The rows that a stride leaves out at the end get nothing back.
    crop = tuple(
        (begin, deconvolution_output_size(output, kernel, stride, dilation) - begin - size)
        for output, kernel, stride, dilation, (begin, _), size in zip(
            sizes, g["kernel"], g["stride"], g["dilation"], g["border"], g["size"], strict=True
        )
    )
    backward = deconvolve(y, weight, crop=crop, **options)
    assert backward.shape == x.shape
    assert np.sum(forward * y) == np.sum(x * backward)


@given(geometry)
def test_one_impulse_shows_the_kernel(g: dict[str, Any]) -> None:
    """A deconvolution of a single 1 is the kernel, its taps spread by the dilation."""
    weight = integers((1, 2, *g["kernel"]), 8)
    y = deconvolve(np.ones((1, 1, 1)), weight, stride=g["stride"], dilation=g["dilation"])
    np.testing.assert_array_equal(y[:, :: g["dilation"][0], :: g["dilation"][1]], weight[0])
    assert np.count_nonzero(y) == np.count_nonzero(weight)


@given(geometry, st.booleans())
def test_same_padding_and_crop_give_the_sizes_they_promise(g: dict[str, Any], heavy: bool) -> None:
    for size, kernel, stride, dilation in zip(g["size"], g["kernel"], g["stride"], g["dilation"], strict=True):
        begin, end = same_padding(size, kernel, stride, dilation, heavy_begin=heavy)
        assert convolution_output_size(size, kernel, stride, dilation, (begin, end)) == -(-size // stride)
        assert (begin - end if heavy else end - begin) in (0, 1)
        cut = same_crop(size, kernel, stride, dilation, heavy_begin=heavy)
        assert deconvolution_output_size(size, kernel, stride, dilation, cut) == size * stride
        assert cut[0] >= 0
        assert cut[1] < 0 or abs(cut[1] - cut[0]) <= 1
        cut = same_crop(size, kernel, stride, dilation, output=5, heavy_begin=heavy)
        assert deconvolution_output_size(size, kernel, stride, dilation, cut) == 5


def test_same_padding_literals() -> None:
    # TensorFlow's SAME: 6 pixels, kernel 3, stride 2: 3 outputs, 1 pixel of padding, at the end.
    assert same_padding(6, 3, 2) == (0, 1)
    assert same_padding(6, 3, 2, heavy_begin=True) == (1, 0)
    assert same_padding(7, 3, 2, 2) == (2, 2)
    assert same_padding(5, 1, 3) == (0, 0)
    assert same_crop(3, 3, 2) == (0, 1)
    assert same_crop(3, 3, 2, heavy_begin=True) == (1, 0)
    assert same_crop(3, 1, 2) == (0, -1)


def relu_with_offset(offsets: Array) -> Any:
    def epilogue(block: Array, place: Any) -> None:
        _, channels = place
        assert len(block) == channels.stop - channels.start
        block += offsets[channels].reshape(-1, *(1,) * (block.ndim - 1))
        np.maximum(block, 0, out=block)

    return epilogue


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_epilogue_gives_the_same_bits_as_afterwards(case: Any) -> None:
    ins, outs, kernel, stride, padding, dilation, groups = case
    random = np.random.default_rng(4)
    x = random.normal(size=(2, ins, 9, 8)).astype(np.float32)
    offsets = random.normal(size=outs).astype(np.float32)
    options = {"stride": stride, "dilation": dilation, "groups": groups}
    convolution = Convolution(random.normal(size=(outs, ins // groups, *kernel)), offsets, **options)
    deconvolution = Deconvolution(random.normal(size=(ins, outs // groups, *kernel)), offsets, **options)
    for layer, border in (convolution, padding), (deconvolution, ((0, 0), (0, -1))):
        after = layer(x, border)
        for index, image in enumerate(after):
            relu_with_offset(offsets)(image, (index, slice(0, outs)))
        fused = layer(x, border, relu_with_offset(offsets))
        np.testing.assert_array_equal(fused.view(np.uint32), after.view(np.uint32))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_rounding_stays_within_the_bound(case: Any) -> None:
    """Any order of summing K products and a bias errs by at most (K + 1) u times the sum of magnitudes, nearly."""
    ins, outs, kernel, stride, padding, dilation, groups = case
    random = np.random.default_rng(9)
    x, bias = random.normal(size=(2, ins, 9, 8)), random.normal(size=outs)
    weight = random.normal(size=(outs, ins // groups, *kernel))
    x, weight, bias = (array.astype(np.float32).astype(np.float64) for array in (x, weight, bias))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    exact = convolve(x, weight, bias, **options)
    magnitude = convolve(abs(x), abs(weight), abs(bias), **options)
    terms = weight[0].size + 2
    y = convolve(*(array.astype(np.float32) for array in (x, weight, bias)), **options)
    assert np.all(abs(y - exact) <= terms * 2.0**-24 * magnitude)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_torch_agrees_on_deconvolution(case: Any) -> None:
    torch = pytest.importorskip("torch", reason="torch is the third opinion")
    ins, outs, kernel, stride, _, dilation, groups = case
    x, weight, bias = integers((2, ins, 5, 4), 1), integers((ins, outs // groups, *kernel), 2), integers((outs,), 3)
    expected = torch.nn.functional.conv_transpose2d(
        *map(torch.from_numpy, (x, weight, bias)), stride=stride, dilation=dilation, groups=groups
    )
    y = deconvolve(x, weight, bias, stride=stride, dilation=dilation, groups=groups)
    np.testing.assert_array_equal(y, expected.numpy())


def test_nan_and_infinity_reach_only_the_windows_that_hold_them() -> None:
    x = np.ones((3, 7, 6), np.float32)
    x[1, 3, 2] = np.nan
    for weight, groups in (np.ones((2, 3, 3, 2)), 1), (np.ones((3, 1, 3, 2)), 3):
        with np.errstate(invalid="ignore"):
            y = convolve(x, weight.astype(np.float32), groups=groups)
        hit = np.zeros(y.shape, bool)
        hit[slice(None) if groups == 1 else 1, 1:4, 1:3] = True
        np.testing.assert_array_equal(np.isnan(y), hit)


def test_views_and_read_only_inputs() -> None:
    x, weight = integers((7, 9, 3), 1).T, integers((4, 3, 2, 3), 2)
    x.flags.writeable = False
    expected = loop_convolve(x, weight, None, (1, 2), ((0, 0), (0, 0)), (1, 1), 1)
    np.testing.assert_array_equal(convolve(x, weight, stride=(1, 2)), expected)
    np.testing.assert_array_equal(convolve(x, weight[:, ::-1, ::-1]), convolve(x, weight[:, ::-1, ::-1].copy()))


def test_wider_inputs_than_weights_are_not_narrowed() -> None:
    x = np.full((1, 1, 1), 1 + 2.0**-40)
    assert convolve(x, np.ones((1, 1, 1, 1), np.float32))[0, 0, 0] == 1 + 2.0**-40
    assert deconvolve(x, np.ones((1, 1, 1, 1), np.float32))[0, 0, 0] == 1 + 2.0**-40


@pytest.mark.parametrize("huge", [2**31, 2**60, 2**64 - 1])
def test_huge_numbers_are_fast_or_errors(huge: int) -> None:
    x, weight = integers((2, 5, 4)), integers((2, 2, 3, 3))
    with pytest.raises(UsageError, match="does not fit"):
        convolve(x, weight, dilation=(huge, 1))
    np.testing.assert_array_equal(convolve(x, weight, stride=(huge, huge)), convolve(x, weight)[:, :1, :1])
    padding = tuple(same_padding(size, 3, 1, huge) for size in (5, 4))
    middle = convolve(x, weight[:, :, 1:2, 1:2])
    np.testing.assert_array_equal(convolve(x, weight, padding=padding, dilation=(huge, huge)), middle)
    depthwise = convolve(x, weight[:, :1], padding=padding, dilation=(huge, huge), groups=2)
    np.testing.assert_array_equal(depthwise, convolve(x, weight[:, :1, 1:2, 1:2], groups=2))
    crop = tuple(same_crop(size, 3, 1, huge) for size in (5, 4))
    np.testing.assert_array_equal(
        deconvolve(x, weight, crop=crop, dilation=(huge, huge)), deconvolve(x, weight[:, :, 1:2, 1:2])
    )
    with pytest.raises(UsageError, match="nothing is left"):
        deconvolve(x, weight, crop=((huge, 0), (0, 0)))


def test_parameters_are_checked() -> None:
    x, weight = integers((4, 6, 5)), integers((6, 2, 3, 2))
    assert convolve(x, weight, groups=2).shape == (6, 4, 4)
    for wrong in (
        {"groups": 4},
        {"groups": 0},
        {"stride": (0, 1)},
        {"dilation": (1, -1)},
        {"padding": ((-1, 0), (0, 0))},
        {"bias": np.zeros(5)},
    ):
        with pytest.raises(UsageError):
            convolve(x, weight, **{"groups": 2, **wrong})
    with pytest.raises(UsageError, match=r"\[\.\.\., 2, H, W\]"):
        convolve(x, weight)
    with pytest.raises(UsageError, match="4 dimensions"):
        convolve(x, weight[0])
    with pytest.raises(UsageError, match="4 dimensions"):
        Deconvolution(weight[:, :0])


def test_one_kernel_serves_several_threads() -> None:
    layers = [
        (Convolution(integers((6, 4, 3, 3))), integers((5, 4, 40, 30))),
        (Convolution(integers((4, 1, 3, 3)), groups=4), integers((5, 4, 40, 30))),
        (Deconvolution(integers((4, 6, 3, 3))), integers((5, 4, 20, 10))),
    ]
    expected = [layer(x) for layer, x in layers]
    with ThreadPoolExecutor(4) as threads:
        for result, i in zip(
            threads.map(lambda i: layers[i % 3][0](layers[i % 3][1]), range(24)), range(24), strict=True
        ):
            np.testing.assert_array_equal(result, expected[i % 3])
