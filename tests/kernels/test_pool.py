from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import integers

from refcoreml.kernels.pool import (
    Windows,
    average_pool,
    complete_windows,
    global_windows,
    l2_pool,
    max_pool,
    same_windows,
    valid_windows,
)


def equal(y, expected):
    """The same shape, type and numbers."""
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(y, expected)


def windows_of(x, windows):
    """For each window the list of its real pixels, by loops: yields (index in the output, pixels)."""
    sizes = x.shape[x.ndim - len(windows) :]
    for lead in np.ndindex(*x.shape[: x.ndim - len(windows)]):
        for place in itertools.product(*(range(w.count) for w in windows)):
            ranges = [
                [p for p in range(i * w.stride - w.begin, i * w.stride - w.begin + w.kernel) if 0 <= p < size]
                for i, w, size in zip(place, windows, sizes, strict=True)
            ]
            yield (*lead, *place), [x[(*lead, *pixel)] for pixel in itertools.product(*ranges)]


def transcription(kind, x, windows, exclude_padding=False):
    shape = (*x.shape[: x.ndim - len(windows)], *(w.count for w in windows))
    y = np.empty(shape, x.dtype)
    area = math.prod(w.kernel for w in windows)
    for place, pixels in windows_of(x, windows):
        if kind == "max":
            y[place] = max(pixels, default=-np.inf)
        elif kind == "l2":
            y[place] = np.sqrt(x.dtype.type(sum(p * p for p in pixels)))
        else:
            count = len(pixels) if exclude_padding else area
            y[place] = x.dtype.type(sum(pixels)) / x.dtype.type(count) if count else np.nan
    return y


def check_all(x, windows):
    equal(max_pool(x, windows), transcription("max", x, windows))
    equal(l2_pool(x, windows), transcription("l2", x, windows))
    for exclude in (False, True):
        equal(average_pool(x, windows, exclude_padding=exclude), transcription("average", x, windows, exclude))


axis = st.builds(
    Windows,
    kernel=st.one_of(st.integers(1, 6), st.integers(15, 40)),
    stride=st.one_of(st.integers(1, 4), st.integers(5, 30)),
    begin=st.integers(0, 45),
    count=st.integers(1, 5),
)


@given(st.tuples(axis, axis), st.integers(1, 7), st.integers(1, 20), st.sampled_from([np.float32, np.float64]))
def test_windows_anywhere_equal_the_transcription(windows, height, width, dtype):
    check_all(integers((2, height, width), seed=height * 31 + width).astype(dtype), list(windows))


def test_three_axes_equal_the_transcription():
    x = integers((2, 4, 5, 6), seed=3).astype(np.float32)
    check_all(x, [valid_windows(4, 2, 1, (1, 0)), same_windows(5, 3, 2), global_windows(6)])


def test_a_view_in_any_order_is_as_good_as_its_copy():
    x = integers((7, 5, 3), seed=4).astype(np.float32).T
    windows = [valid_windows(5, 3, 2, (1, 1)), valid_windows(7, 2)]
    np.testing.assert_array_equal(max_pool(x, windows), max_pool(x.copy(), windows))
    check_all(x, windows)


@pytest.mark.parametrize("kernel", [3, 40])
def test_long_and_short_windows_are_the_same_function(kernel):
    # The same windows once in a short input and once as part of longer ones, filled up with padding.
    x = integers((2, 37), seed=5).astype(np.float32)
    windows = [global_windows(2), Windows(kernel, 2, 5, 21)]
    expected = transcription("average", x, windows)
    np.testing.assert_array_equal(average_pool(x, windows), expected)


def test_results_are_new_arrays():
    x = integers((3, 4)).astype(np.float32)
    one = [valid_windows(3, 1), valid_windows(4, 1)]
    for pool in (max_pool, average_pool, l2_pool):
        assert not np.shares_memory(pool(x, one), x)
    assert not np.shares_memory(max_pool(x[:1, :1], [global_windows(1)] * 2), x)


@pytest.mark.parametrize("kernel", [(3, 2), (17, 30), (31, 40)])
def test_average_is_within_the_bound_of_summation(kernel):
    x = np.random.default_rng(1).standard_normal((3, 31, 40)).astype(np.float32)
    windows = [valid_windows(31, kernel[0]), valid_windows(40, kernel[1])]
    exact = average_pool(x.astype(np.float64), windows)
    magnitude = average_pool(np.abs(x).astype(np.float64), windows)
    additions = kernel[0] + kernel[1]  # the longest chain of roundings, the division included
    assert (np.abs(average_pool(x, windows) - exact) <= additions * 2.0**-24 * magnitude).all()


@pytest.mark.clause("pooling.U2")
def test_special_values():
    x = np.array([[np.nan, 1, -np.inf, np.inf, 2]], np.float32)
    y = max_pool(x, [global_windows(1), valid_windows(5, 2)])
    np.testing.assert_array_equal(y, [[np.nan, 1, np.inf, np.inf]])
    padded = [valid_windows(1, 1), valid_windows(5, 1, 1, (1, 0))]
    assert max_pool(x, padded)[0, 0] == -np.inf
    assert average_pool(x, padded)[0, 0] == 0
    assert np.isnan(average_pool(x, padded, exclude_padding=True)[0, 0])


HUGE = 2**31 - 1


@pytest.mark.parametrize(
    "windows",
    [
        Windows(HUGE, 1, HUGE // 2, 9),
        Windows(HUGE, HUGE, HUGE - 3, 2),
        Windows(3, HUGE, HUGE, 2),
        valid_windows(9, HUGE, HUGE, (HUGE, HUGE)),
        same_windows(9, HUGE),
        complete_windows(9, HUGE, 1, HUGE // 2),
    ],
)
def test_hostile_sizes_are_quick_and_exact(windows):
    x = integers((2, 9), seed=6).astype(np.float64)
    start = time.process_time()
    y = max_pool(x, [global_windows(2), windows])
    average = average_pool(x, [global_windows(2), windows], exclude_padding=True)
    assert time.process_time() - start < 5
    for i in range(windows.count):
        first = i * windows.stride - windows.begin
        pixels = x[:, max(first, 0) : max(first + windows.kernel, 0)]
        assert y[0, i] == (pixels.max() if pixels.size else -np.inf)
        np.testing.assert_array_equal(average[0, i], pixels.sum() / pixels.size if pixels.size else np.nan)


def test_the_cost_does_not_grow_with_the_kernel():
    x = np.zeros((1, 1 << 18), np.float32)
    start = time.process_time()
    max_pool(x, [global_windows(1), same_windows(1 << 18, 1 << 17)])  # 3e10 comparisons one by one
    assert time.process_time() - start < 5


@given(st.integers(1, 30), st.integers(1, 12), st.integers(1, 9), st.integers(0, 5), st.integers(0, 5))
def test_sizes_follow_the_formulas(size, kernel, stride, p, q):
    assert valid_windows(size, kernel, stride, (p, q)).count == math.floor((size + p + q - kernel) / stride) + 1
    for heavy in (False, True):
        same = same_windows(size, kernel, stride, heavy_begin=heavy)
        assert same.count == math.ceil(size / stride)
        total = max(0, (same.count - 1) * stride + kernel - size)
        assert same.begin == (math.ceil(total / 2) if heavy else math.floor(total / 2))
    # Caffe's size, number by number.
    count = math.ceil(float(size + 2 * p - kernel) / stride) + 1
    assert complete_windows(size, kernel, stride, p).count == count
    trimmed = count - 1 if (count - 1) * stride >= size + p else count
    assert complete_windows(size, kernel, stride, p, trim=True).count == trimmed


CASES = [((3, 2), (2, 1), (1, 1)), ((2, 3), (1, 3), (0, 1)), ((5, 4), (3, 2), (2, 0)), ((20, 18), (1, 2), (10, 9))]


@pytest.mark.parametrize(("kernel", "stride", "padding"), CASES)
@pytest.mark.parametrize("ceil", [False, True])
def test_torch_agrees(kernel, stride, padding, ceil):
    torch = pytest.importorskip("torch", reason="torch is the third opinion")
    f = torch.nn.functional
    x = integers((2, 3, 23, 26), seed=7)
    given_x = torch.from_numpy(x)
    if ceil:
        windows = [
            complete_windows(n, k, s, p, trim=True)
            for n, k, s, p in zip(x.shape[-2:], kernel, stride, padding, strict=True)
        ]
    else:
        windows = [
            valid_windows(n, k, s, (p, p)) for n, k, s, p in zip(x.shape[-2:], kernel, stride, padding, strict=True)
        ]
    expected = f.max_pool2d(given_x, kernel, stride, padding, ceil_mode=ceil).numpy()
    np.testing.assert_array_equal(max_pool(x, windows), expected)
    for include in (True, False):
        if ceil and include:
            continue  # torch, like Caffe, leaves pixels beyond the padding out of the divisor
        expected = f.avg_pool2d(given_x, kernel, stride, padding, ceil_mode=ceil, count_include_pad=include).numpy()
        y = average_pool(x, windows, exclude_padding=not include)
        np.testing.assert_array_max_ulp(y, expected, 1)
