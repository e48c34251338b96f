"""Windows that reach beyond the padding: how many there are, and what they are divided by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refcoreml import ops
from refcoreml.errors import InvalidModelError
from refcoreml.ops.convolution import Pixels, Same
from refcoreml.ops.pooling import Complete
from refcoreml.types import TensorType


def line(*values: float) -> Any:
    return np.array(values, np.float32).reshape(1, 1, -1)


def test_what_reaches_beyond_the_end_counts_as_padding() -> None:
    x = line(1, 2, 3, 4, 9.5)
    including = ops.Pooling("average", (2,), (2,), Complete((0,), each_axis=True))
    excluding = ops.Pooling("average", (2,), (2,), Complete((0,), each_axis=True), exclude_padding=True)
    assert including.run(x).ravel().tolist() == [1.5, 3.5, 4.75]
    assert excluding.run(x).ravel().tolist() == [1.5, 3.5, 9.5]
    assert ops.Pooling("max", (2,), (2,), Complete((0,))).run(x).ravel().tolist() == [2, 4, 9.5]
    assert ops.Pooling("l2", (2,), (2,), Complete((0,))).run(line(3, 4, 5)).ravel().tolist() == [5, 5]


def count(size: int, pad: int, kernel: int, stride: int) -> int:
    """As programs count windows that complete the last one, along an axis for itself."""
    windows = (size + 2 * pad - kernel + stride - 1) // stride + 1
    return windows - 1 if pad > 0 and (windows - 1) * stride >= size + pad else windows


@pytest.mark.parametrize("mode", ["max", "average", "l2"])
@pytest.mark.parametrize("pads", [(0, 0), (1, 0), (0, 2), (1, 1)])
@pytest.mark.parametrize(("kernel", "stride"), [((2, 3), (3, 4)), ((3, 5), (2, 3)), ((4, 4), (4, 2))])
def test_each_axis_counts_its_windows_for_itself(
    mode: str, pads: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]
) -> None:
    for size in [(7, 11), (8, 12), (9, 13)]:
        x = np.random.default_rng(0).integers(-4, 5, (2, 3, *size)).astype(np.float32)
        op = ops.Pooling(mode, kernel, stride, Complete(pads, each_axis=True))
        counts = tuple(map(count, size, pads, kernel, stride))
        assert op.infer(TensorType.of(x)) == TensorType.of(x).with_shape((2, 3, *counts))
        assert op.run(x).shape == (2, 3, *counts)


def test_an_axis_without_padding_keeps_its_last_window() -> None:
    """Though another one has padding: it starts at the end of the input, and holds nothing but padding."""
    x = np.ones((1, 1, 3, 5), np.float32)
    alone = ops.Pooling("max", (3, 1), (1, 6), Complete((1, 0), each_axis=True))
    assert alone.infer(TensorType.of(x)).shape == (1, 1, 3, 1 + -(-(5 - 1) // 6))
    assert ops.Pooling("max", (3, 1), (1, 6), Complete((1, 0))).infer(TensorType.of(x)).shape == (1, 1, 3, 1)


@pytest.mark.parametrize("space", [1, 2, 3])
@pytest.mark.parametrize(
    "padding",
    [None, Same(), Same(heavy_begin=True), Pixels(((1, 0), (0, 1), (1, 1)))],
    ids=["none", "end", "begin", "own"],
)
@pytest.mark.parametrize(("mode", "exclude"), [("max", False), ("average", False), ("average", True), ("l2", False)])
def test_windows_along_1_to_3_axes(space: int, padding: Any, mode: str, exclude: bool) -> None:
    """Against windows cut out of an array padded with NaN."""
    size, kernel, stride = (7, 9, 8)[:space], (3, 2, 4)[:space], (2, 3, 1)[:space]
    x = np.random.default_rng(0).integers(-4, 5, (2, 3, *size)).astype(np.float64)
    edges = [(0, 0)] * space
    if isinstance(padding, Pixels):
        padding = Pixels(padding.edges[:space])
        edges = list(padding.edges)
    elif isinstance(padding, Same):
        totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, stride, strict=True)]
        edges = [(t - t // 2, t // 2) if padding.heavy_begin else (t // 2, t - t // 2) for t in totals]
    found = ops.Pooling(mode, kernel, stride, padding, exclude).run(x)
    padded = np.pad(x, [(0, 0), (0, 0), *edges], constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, tuple(range(2, 2 + space)))
    chosen = windows[(slice(None), slice(None), *(slice(None, None, s) for s in stride))]
    rows = chosen.reshape(*chosen.shape[: 2 + space], -1)
    if mode == "max":
        expected = np.nanmax(rows, -1)
    elif mode == "l2":
        expected = np.sqrt(np.nansum(rows**2, -1))
    else:
        expected = np.nansum(rows, -1) / ((~np.isnan(rows)).sum(-1) if exclude else rows.shape[-1])
    np.testing.assert_array_equal(found, expected)  # sums are exact, one rounding follows


@pytest.mark.parametrize(("kernel", "stride"), [((0, 1), None), ((1, 1), (1, 0)), ((-1, None), None)])
def test_windows_and_steps_are_of_at_least_one_pixel(kernel: tuple[int | None, ...], stride: Any) -> None:
    with pytest.raises(InvalidModelError, match="expected at least 1 each"):
        ops.Pooling("max", kernel, stride)
