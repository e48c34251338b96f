"""Convolution and deconvolution over three axes against loops over every product, exact on integers, and torch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import integers

from refcoreml.errors import UsageError
from refcoreml.kernels import conv3d
from refcoreml.kernels.conv3d import Convolution3d, Deconvolution3d


def _loop_convolution(x, weight, bias, stride, dilation, groups, padding):
    (batch, _, *size), (out_channels, per_group, *kernel) = x.shape, weight.shape
    count = [
        (n + sum(p) - (k - 1) * d - 1) // s + 1
        for n, k, s, d, p in zip(size, kernel, stride, dilation, padding, strict=True)
    ]
    y = np.zeros((batch, out_channels, *count))
    for b, m, *place in np.ndindex(*y.shape):
        total = bias[m]
        for c, *tap in np.ndindex(per_group, *kernel):
            at = [i * s + t * d - p[0] for i, s, t, d, p in zip(place, stride, tap, dilation, padding, strict=True)]
            if all(0 <= a < n for a, n in zip(at, size, strict=True)):
                channel = m // (out_channels // groups) * per_group + c
                total += weight[(m, c, *tap)] * x[(b, channel, *at)]
        y[(b, m, *place)] = total
    return y


def _loop_deconvolution(x, weight, bias, stride, dilation, groups, crop):
    (batch, in_channels, *size), (_, per_group, *kernel) = x.shape, weight.shape
    count = [
        (n - 1) * s + (k - 1) * d + 1 - sum(c)
        for n, k, s, d, c in zip(size, kernel, stride, dilation, crop, strict=True)
    ]
    y = np.zeros((batch, per_group * groups, *count)) + np.asarray(bias).reshape(-1, 1, 1, 1)
    for b, c, *place in np.ndindex(*x.shape):
        for m, *tap in np.ndindex(per_group, *kernel):
            at = [i * s + t * d - e[0] for i, s, t, d, e in zip(place, stride, tap, dilation, crop, strict=True)]
            if all(0 <= a < n for a, n in zip(at, count, strict=True)):
                channel = c // (in_channels // groups) * per_group + m
                y[(b, channel, *at)] += weight[(c, m, *tap)] * x[(b, c, *place)]
    return y


CASES = [
    # groups, C_in / g, C_out / g, kernel, stride, dilation, padding or crop
    (1, 3, 4, (2, 3, 1), (1, 2, 3), (1, 1, 1), ((0, 0), (1, 2), (0, 1))),
    (2, 3, 1, (3, 1, 2), (2, 1, 1), (1, 3, 2), ((2, 1), (0, 0), (1, 0))),
    (3, 1, 2, (2, 2, 3), (3, 2, 1), (2, 1, 1), ((1, 3), (2, 0), (0, 1))),
]


@pytest.mark.parametrize("block", [1, 1 << 25])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_exact_on_integers(case, dtype, block, monkeypatch):
    monkeypatch.setattr(conv3d, "_BLOCK", block)
    groups, per_in, per_out, kernel, stride, dilation, border = case
    x = integers((2, groups * per_in, 5, 6, 7))
    bias = integers((groups * per_out,), seed=2)
    options = {"stride": stride, "dilation": dilation, "groups": groups}

    weight = integers((groups * per_out, per_in, *kernel), seed=1)
    y = Convolution3d(weight.astype(dtype), bias.astype(dtype), **options)(x.astype(dtype), border)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, _loop_convolution(x, weight, bias, stride, dilation, groups, border))

    weight = integers((groups * per_in, per_out, *kernel), seed=1)
    y = Deconvolution3d(weight.astype(dtype), bias.astype(dtype), **options)(x.astype(dtype), border)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, _loop_deconvolution(x, weight, bias, stride, dilation, groups, border))


TRIPLES = st.tuples(*[st.integers(1, 3)] * 3)
BORDERS = st.tuples(*[st.tuples(st.integers(0, 4), st.integers(0, 4))] * 3)


@settings(max_examples=60)
@given(st.tuples(*[st.integers(1, 5)] * 3), TRIPLES, TRIPLES, TRIPLES, BORDERS, st.integers(1, 2))
def test_deconvolution_is_the_adjoint_of_convolution(size, kernel, stride, dilation, border, groups):
    weight = integers((3 * groups, 2, *kernel), seed=1)
    options = {"stride": stride, "dilation": dilation, "groups": groups}
    x = integers((2, 2 * groups, *size))
    count = [
        (n + sum(p) - (k - 1) * d - 1) // s + 1
        for n, k, s, d, p in zip(size, kernel, stride, dilation, border, strict=True)
    ]
    if min(count) < 1:
        with pytest.raises(UsageError, match="a kernel"):
            Convolution3d(weight, **options)(x, border)
        return
    y = Convolution3d(weight, **options)(x, border)
    assert y.shape == (2, 3 * groups, *count)
    other = integers(y.shape, seed=3)
    # What the convolution does not see at the end of x comes back as zeros: there the crop is less.
    crop = tuple(
        (p[0], (c - 1) * s + (k - 1) * d + 1 - p[0] - n)
        for p, c, s, k, d, n in zip(border, count, stride, kernel, dilation, size, strict=True)
    )
    back = Deconvolution3d(weight, **options)(other, crop)
    assert back.shape == x.shape
    assert (y * other).sum() == (x * back).sum()


def test_against_torch():
    torch = pytest.importorskip("torch", reason="torch gives a third opinion on convolutions")
    x, bias = integers((2, 4, 5, 6, 7)), integers((6,), seed=2)
    for stride, dilation, groups in itertools.product([(1, 2, 3)], [(2, 1, 1)], [1, 2]):
        weight = integers((6, 4 // groups, 2, 3, 2), seed=1)
        arguments = (torch.from_numpy(x), torch.from_numpy(weight), torch.from_numpy(bias), stride, (2, 1, 0), dilation)
        expected = torch.nn.functional.conv3d(*arguments, groups).numpy()
        convolution = Convolution3d(weight, bias, stride=stride, dilation=dilation, groups=groups)
        np.testing.assert_array_equal(convolution(x, ((2, 2), (1, 1), (0, 0))), expected)

        weight = integers((4, 6 // groups, 2, 3, 2), seed=1)
        arguments = (torch.from_numpy(x), torch.from_numpy(weight), torch.from_numpy(bias), stride, (2, 1, 0), 0)
        expected = torch.nn.functional.conv_transpose3d(*arguments, groups, dilation).numpy()
        deconvolution = Deconvolution3d(weight, bias, stride=stride, dilation=dilation, groups=groups)
        np.testing.assert_array_equal(deconvolution(x, ((2, 2), (1, 1), (0, 0))), expected)


def test_padding_beyond_the_kernel():
    x, weight = np.ones((1, 1, 1, 1, 1)), np.ones((1, 1, 2, 1, 1))
    y = Convolution3d(weight, np.array([0.5]))(x, ((3, 4), (0, 0), (0, 0)))
    np.testing.assert_array_equal(y.ravel(), [0.5, 0.5, 1.5, 1.5, 0.5, 0.5, 0.5])
    # A stride that skips the only pixel
    y = Convolution3d(weight, np.array([0.5]), stride=(5, 1, 1))(x, ((4, 4), (0, 0), (0, 0)))
    np.testing.assert_array_equal(y.ravel(), [0.5, 0.5])


def test_negative_crop_adds_the_bias():
    y = Deconvolution3d(np.ones((1, 1, 1, 1, 1)), np.array([0.5]))(np.ones((1, 1, 2, 1, 1)), ((0, -2), (0, 0), (0, 0)))
    np.testing.assert_array_equal(y.ravel(), [1.5, 1.5, 0.5, 0.5])


def test_errors():
    with pytest.raises(UsageError, match="has 2 channels, expected 3"):
        Convolution3d(np.ones((1, 3, 1, 1, 1)))(np.ones((1, 2, 1, 1, 1)))
    with pytest.raises(UsageError, match="a kernel 3 deep"):
        Convolution3d(np.ones((1, 1, 3, 1, 1)))(np.ones((1, 1, 2, 1, 1)))
    with pytest.raises(UsageError, match="nothing is left"):
        Deconvolution3d(np.ones((1, 1, 3, 1, 1)))(np.ones((1, 1, 2, 1, 1)), ((2, 2), (0, 0), (0, 0)))
