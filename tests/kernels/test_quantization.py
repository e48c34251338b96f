"""Linear codes and lookup tables against transcriptions that handle one number at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcoreml.kernels import quantization
from refcoreml.kernels.quantization import dequantize_linear, dequantize_table


def codes_of(bits, count, seed=0):
    return np.random.default_rng(seed).integers(0, 1 << bits, count).astype(np.uint8)


def linear_one_by_one(codes, scale, bias, axis, dtype):
    """scale * code + bias in scalars of the type, each step rounded."""
    result = np.empty(codes.shape, dtype)
    for index in np.ndindex(codes.shape):
        channel = index[axis] if codes.ndim else 0
        value = dtype(int(codes[index])) * dtype(scale[channel if len(scale) > 1 else 0])
        if bias is not None:
            value = value + dtype(bias[channel if len(bias) > 1 else 0])
        result[index] = value
    return result


@st.composite
def linear_cases(draw):
    shape = tuple(draw(st.lists(st.integers(1, 5), max_size=4)))
    axis = draw(st.integers(0, max(len(shape) - 1, 0)))
    channels = shape[axis] if shape else 1
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low, high, code_type = draw(st.sampled_from([(0, 256, np.uint8), (-128, 128, np.int8)]))
    codes = rng.integers(low, high, shape).astype(code_type)
    scale = rng.standard_normal(draw(st.sampled_from([1, channels]))).astype(np.float32)
    bias_length = draw(st.sampled_from([0, 1, channels]))
    bias = rng.standard_normal(bias_length).astype(np.float32) if bias_length else None
    return codes, scale, bias, axis


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@given(linear_cases())
def test_linear_equals_transcription_bit_for_bit(dtype, case):
    codes, scale, bias, axis = case
    before = codes.copy()
    weights = dequantize_linear(codes, scale, bias, channel_axis=axis, dtype=dtype)
    expected = linear_one_by_one(codes, scale, bias, axis, dtype)
    assert isinstance(weights, np.ndarray)
    assert (weights.dtype, weights.shape) == (np.dtype(dtype), codes.shape)
    assert weights.tobytes() == expected.tobytes()
    np.testing.assert_array_equal(codes, before)


def test_the_last_axis_may_be_named_from_the_end():
    codes, scale = codes_of(8, 6).reshape(2, 3), np.array([1, 10, 100], np.float32)
    np.testing.assert_array_equal(
        dequantize_linear(codes, scale, None, channel_axis=-1, dtype=np.float32), codes * scale
    )


@pytest.mark.parametrize("axis", [0, 1])
def test_linear_over_several_blocks(axis):
    shape = (7, quantization._BLOCK // 2 + 1)
    codes = codes_of(8, math.prod(shape)).reshape(shape)
    rng = np.random.default_rng(1)
    scale, bias = (rng.standard_normal(shape[axis]).astype(np.float32) for _ in range(2))
    along = (-1, 1) if axis == 0 else (1, -1)
    expected = codes.astype(np.float32) * scale.reshape(along)
    expected += bias.reshape(along)
    actual = dequantize_linear(codes, scale, bias, channel_axis=axis, dtype=np.float32)
    assert actual.tobytes() == expected.tobytes()


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_linear_of_nothing(shape):
    result = dequantize_linear(np.empty(shape, np.uint8), np.ones(1, np.float32), None, dtype=np.float32)
    assert (result.shape, result.dtype) == (shape, np.float32)


@pytest.mark.parametrize("shape", [(), (1,), (3, 2), (0, 4)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_table(shape, dtype):
    table = np.random.default_rng(2).standard_normal(8).astype(dtype)
    codes = codes_of(3, math.prod(shape)).reshape(shape)
    weights = dequantize_table(codes, table)
    assert isinstance(weights, np.ndarray)
    assert (weights.shape, weights.dtype) == (shape, np.dtype(dtype))
    for index in np.ndindex(shape):
        assert weights[index] == table[int(codes[index])]


# --- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", range(2, 9))
def test_symmetric_levels_reach_both_ends_and_hold_zero_exactly(bits):
    largest = np.array([1.0, 3e-7, 12345.678], np.float32)
    scale, bias = quantization.symmetric_parameters(largest, bits)
    rows = np.stack([-largest, 0 * largest, largest], axis=1)
    codes = quantization.quantize_linear(rows, scale, bias, bits, least=1)
    half = 1 << (bits - 1)
    np.testing.assert_array_equal(codes, [[1, half, 2 * half - 1]] * 3)
    decoded = dequantize_linear(codes, scale, bias, dtype=np.float32)
    np.testing.assert_array_equal(decoded[:, 1], 0)
    np.testing.assert_array_equal(decoded[:, 0], -decoded[:, 2])
    # The step is at most 2^-15 longer than needed.
    np.testing.assert_allclose(decoded[:, 2], largest, rtol=2.0**-15)


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_levels_lie_in_the_middle_of_a_range_that_float32_cannot_span(bits):
    """From -Max / 2 to Max: no finite step has this width times two, so that both ends are missed, by as much."""
    low, high = np.float32([-3.0e38]), np.float32([3.2e38])
    scale, bias = quantization.range_parameters(low, high, bits)
    first = float(bias[0])
    last = first + float(scale[0]) * ((1 << bits) - 1)
    assert np.isfinite(scale).all()
    assert first > low[0]
    assert last < high[0]
    # Rounding of the bias, half a unit of 2^128 at most, twice.
    assert abs((first - float(low[0])) - (float(high[0]) - last)) <= 2.0**104


def test_percentiles_leave_as_much_out_below_as_above():
    rows = np.random.default_rng(0).permutation(1001).astype(np.float32)[None] * 2 - 300
    low, high = quantization.percentile_ranges(rows, 99.0)
    assert (low[0], high[0]) == (-300 + 2 * 10, -300 + 2 * 990)
