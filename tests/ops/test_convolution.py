"""Weights that inputs hold, and the shape of what a transposed convolution makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support import integers

from refcoreml import ops
from refcoreml.errors import InvalidModelError
from refcoreml.ops.convolution import Pixels, Same
from refcoreml.types import TensorType

KERNELS: list[tuple[int, ...]] = [(3,), (3, 2), (2, 3, 1)]


def input_of(kernel: tuple[int, ...]) -> Any:
    return integers((2, 6, *(9, 8, 7)[: len(kernel)]))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", [ops.Convolution, ops.Deconvolution])
@pytest.mark.parametrize("groups", [1, 2])
def test_weights_and_bias_may_be_inputs(kind: Any, kernel: tuple[int, ...], groups: int) -> None:
    x, space = input_of(kernel), len(kernel)
    shape = (4, 6 // groups, *kernel) if kind is ops.Convolution else (6, 4 // groups, *kernel)
    weights, bias = integers(shape, 1), integers((4,), 2)
    stride, dilation = (2, 1, 3)[:space], (1, 2, 1)[:space]
    edges = Pixels(((1, 0), (0, 2), (1, 1))[:space])
    expected = kind(weights, bias, stride, dilation, groups, edges).run(x)
    op = kind(None, None, stride, dilation, groups, edges)
    assert op.infer(*map(TensorType.of, (x, weights, bias))) == TensorType.of(expected)
    np.testing.assert_array_equal(op.run(x, weights, bias), expected)
    np.testing.assert_array_equal(kind(None, bias, stride, dilation, groups, edges).run(x, weights), expected)
    shapes = [x.shape, weights.shape, bias.shape]
    fixed = kind(weights, bias, stride, dilation, groups, edges)
    assert op.work(shapes, [expected.shape]) == fixed.work([x.shape], [expected.shape])
    types = [TensorType.of(value) for value in (x, weights, bias)]
    assert op.terms(types) == fixed.terms(types[:1])


def test_weights_and_bias_that_do_not_fit() -> None:
    x, weights = (TensorType(np.dtype(np.float32), shape) for shape in [(2, 6, 9), (4, 6, 3)])
    short = TensorType(np.dtype(np.float32), (3,))
    line = {"stride": (1,), "dilation": (1,)}
    with pytest.raises(InvalidModelError, match=r"expected a bias of the shape \(4,\), got \(3,\)"):
        ops.Convolution(None, **line).infer(x, weights, short)
    with pytest.raises(InvalidModelError, match="has a bias, and another one as an input"):
        ops.Convolution(None, np.zeros(4), **line).infer(x, weights, weights)
    with pytest.raises(InvalidModelError, match=r"\[C_in, C_out / groups, \*kernel\] whose first length is a multiple"):
        ops.Deconvolution(None, groups=3, **line).infer(x, weights)


def adjoint(x: Any, weights: Any, stride: int, dilation: int) -> Any:
    """A transposed convolution along a line in full, place by place."""
    (batch, inputs, size), (_, outputs, kernel) = x.shape, weights.shape
    y = np.zeros((batch, outputs, (size - 1) * stride + (kernel - 1) * dilation + 1))
    for n, m, c, i, p in np.ndindex(batch, outputs, inputs, size, kernel):
        y[n, m, i * stride + p * dilation] += weights[c, m, p] * x[n, c, i]
    return y


@pytest.mark.parametrize(
    ("crop", "made"), [((0, 0), 21), ((1, 0), 20), ((1, 2), 19), ((2, 2), 16), ((0, 1), 24), ((3, 0), 25)]
)
def test_an_output_shape_keeps_the_crop_at_the_beginning(crop: tuple[int, int], made: int) -> None:
    """What no input reaches holds the bias alone."""
    x, weights, bias = integers((2, 3, 7), 1), integers((3, 4, 5), 2), integers((4,), 3)
    full = adjoint(x, weights, 3, 1)
    wide = np.concatenate([full, np.zeros((2, 4, 9))], 2)
    op = ops.Deconvolution(weights, bias, (3,), (1,), crop=Pixels((crop,)), output_shape=(made,), keep_begin=True)
    found = op.run(x)
    assert op.infer(TensorType.of(x)) == TensorType.of(found)
    np.testing.assert_array_equal(found, wide[..., crop[0] : crop[0] + made] + bias[:, None])


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation"), [(9, 3, 2, 1), (8, 4, 1, 1), (10, 3, 3, 2), (7, 2, 2, 3)]
)
def test_same_padding_puts_an_odd_pixel_at_one_end(
    lower: bool, size: int, kernel: int, stride: int, dilation: int
) -> None:
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    begin = total - total // 2 if lower else total // 2
    x, weights = integers((2, 3, size), 1), integers((4, 3, kernel), 2)
    found = ops.Convolution(weights, None, (stride,), (dilation,), padding=Same(lower)).run(x)
    padded = np.pad(x, [(0, 0), (0, 0), (begin, total - begin)])
    assert found.shape == (2, 4, outputs)
    for n, m, i in np.ndindex(*found.shape):
        taps = padded[n, :, i * stride : i * stride + (kernel - 1) * dilation + 1 : dilation]
        assert found[n, m, i] == (taps * weights[m]).sum()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"groups": 3}, r"whose first length is a multiple of 3, got \(4, 6, 3\)"),
        ({"groups": 0}, "groups 0, expected numbers of at least 1"),
        ({"stride": (0,)}, r"stride is \(0,\)"),
        ({"dilation": (-1,)}, r"dilation \(-1,\)"),
        ({"bias": np.zeros(3)}, r"expected a bias of the shape \(4,\), got \(3,\)"),
    ],
)
def test_settings_that_do_not_fit_are_refused_when_they_are_made(settings: dict[str, Any], message: str) -> None:
    given = {"stride": (1,), "dilation": (1,), **settings}
    with pytest.raises(InvalidModelError, match=message):
        ops.Convolution(np.zeros((4, 6, 3)), **given)
    transposed = np.zeros((4, 4, 3)) if "bias" in settings else np.zeros((4, 6, 3))
    with pytest.raises(InvalidModelError, match=message):
        ops.Deconvolution(transposed, **given)
