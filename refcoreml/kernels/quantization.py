"""Integer codes and what they stand for: linear quantization, lookup tables, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from refcoreml.types import Array

#: Codes handled at a time: small enough that a block and its floats stay in the second-level cache.
_BLOCK = 1 << 15


def dequantize_linear(
    codes: NDArray[np.integer[Any]], scale: Array, bias: Array | None, *, channel_axis: int = 0, dtype: DTypeLike
) -> Array:
    """w = scale * code + bias, the product rounded before the sum, in the arithmetic of ``dtype``.

    Args:
        codes: integers of the weight's shape.
        scale: [1] or [C], C = ``codes.shape[channel_axis]``.
        bias: [1] or [C], or None for zero.
        channel_axis: the axis along which scale and bias run.
        dtype: float type of the result and of every step.
    """
    if codes.ndim == 0:
        return dequantize_linear(codes.reshape(1), scale, bias, dtype=dtype).reshape(())
    weights = np.empty(codes.shape, dtype)
    along = [1] * codes.ndim
    along[channel_axis] = -1

    def spread(values: Array) -> Array:
        return np.broadcast_to(np.asarray(values, dtype).reshape(along), codes.shape)

    scales, biases = spread(scale), None if bias is None else spread(bias)
    # Block by block, so that the sum finds the products in the cache.
    rows = max(1, _BLOCK * len(codes) // max(codes.size, 1))
    for start in range(0, len(codes), rows):
        part = slice(start, start + rows)
        np.multiply(codes[part], scales[part], out=weights[part], dtype=dtype, casting="unsafe")
        if biases is not None:
            weights[part] += biases[part]
    return weights


def dequantize_table(codes: NDArray[np.uint8], table: Array) -> Array:
    """w = table[code].

    Args:
        codes: integers below the table's length, any shape.
        table: [2 ** bits] float.
    """
    return np.take(table, codes.reshape(-1)).reshape(codes.shape)


# ---- Quantizing ----

#: Significant bits of the scales that `linear_scale` makes. Their products with codes of up to 8 bits are exact in
#: float32, so that a decoded weight is rounded once, and is the same with and without fused multiply-add.
SCALE_BITS = 16

_LARGEST = float(np.finfo(np.float32).max)
_SMALLEST_EXPONENT = -149


def linear_scale(step: Array, bits: int) -> NDArray[np.float32]:
    """Return the least scales that are not below the steps, with 16 significant bits, so that scale * code is exact.

    scale = ceil(step / unit) * unit, unit = 2 ** max(exponent(step) - 16, -149); at most the largest such number whose
    product with 2 ** bits - 1 is finite in float32.

    Args:
        step: wanted distances of two levels, at least 0, any shape, float64.
        bits: width of a code, 1 to 8.
    """
    step = np.asarray(step, np.float64)
    exponent = np.maximum(np.frexp(step)[1] - SCALE_BITS, _SMALLEST_EXPONENT)
    scale = np.ldexp(np.ceil(np.ldexp(step, -exponent)), exponent)
    top, top_exponent = np.frexp(_LARGEST / ((1 << bits) - 1))
    cap = float(np.ldexp(np.floor(np.ldexp(top, SCALE_BITS)), top_exponent - SCALE_BITS))
    return np.asarray(np.minimum(scale, cap).astype(np.float32))


def range_parameters(low: Array, high: Array, bits: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return levels from low to high: bias = low, scale = `linear_scale` of (high - low) / (2^bits - 1).

    A range that is wider than the largest float32 cannot be spanned, since scale * code must be finite: the levels then
    lie in its middle. An empty range gets the scale 0, which decodes to ``low`` exactly.

    Args:
        low, high: [C] float32 or float64.
        bits: width of a code, 1 to 8.

    Returns:
        scale [C], bias [C], float32.
    """
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    most = (1 << bits) - 1
    # The difference of numbers far apart is rounded, and must not come out too short: by Knuth's two-sum, what is lost.
    width = high - low
    part = width - high
    lost = (high - (width - part)) - (low + part)
    width = np.where(lost > 0, np.nextafter(width, np.inf), width)
    scale = linear_scale(width / most, bits)
    bias = low.astype(np.float32)
    missing = width - scale.astype(np.float64) * most
    bias = np.where(missing > 0, (low + missing / 2).astype(np.float32), bias)
    # Rounding the scale up must not carry the last level beyond float32; one unit less leaves it near enough.
    too_far = scale.astype(np.float64) * most + bias > _LARGEST
    return np.where(too_far, scale * np.float32(1 - 2.0**-SCALE_BITS), scale), bias


def symmetric_parameters(largest: Array, bits: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return scale and bias whose levels lie symmetrically about 0, which is the code 2^(bits-1) exactly.

    scale = `linear_scale` of largest / (2^(bits-1) - 1), bias = -2^(bits-1) * scale; the code 0 is not used.

    Args:
        largest: [C], largest absolute value.
        bits: width of a code, 2 to 8.
    """
    half = 1 << (bits - 1)
    scale = linear_scale(np.asarray(largest, np.float64) / (half - 1), bits)
    return scale, np.float32(-half) * scale


def quantize_linear(rows: Array, scale: Array, bias: Array, bits: int, *, least: int = 0) -> NDArray[np.uint8]:
    """Return the code of the nearest level: clip(round((w - bias) / scale), least, 2^bits - 1), computed in float64.

    Halves go to the even code. Where the scale is 0, so is the code.

    Args:
        rows: [C, L] finite floats.
        scale, bias: [C].
        bits: width of a code, 1 to 8.
        least: the lowest code; 1 for symmetric levels.

    Returns:
        [C, L] uint8.
    """
    most = (1 << bits) - 1
    codes = np.empty(rows.shape, np.uint8)
    biases = np.asarray(bias, np.float64)[:, None]
    scales = np.asarray(scale, np.float64)[:, None]
    scales = np.where(scales == 0, np.inf, scales)
    for part in _tiles(rows.shape):
        block = rows[part] - biases[part[0]]
        block /= scales[part[0]]
        np.rint(block, out=block)
        np.clip(block, least, most, out=block)
        codes[part] = block
    return codes


def _tiles(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Yield rectangles of about a block each that cover an array [C, L]."""
    rows, length = shape
    height, width = max(1, _BLOCK // max(length, 1)), min(max(length, 1), _BLOCK)
    for top in range(0, rows, height):
        for left in range(0, length, width):
            yield slice(top, top + height), slice(left, left + width)


def row_ranges(rows: Array) -> tuple[Array, Array]:
    """Return the smallest and the largest value of each row of [C, L], L at least 1."""
    return rows.min(axis=1), rows.max(axis=1)


def percentile_ranges(rows: Array, percent: float) -> tuple[Array, Array]:
    """Return the values that ``100 - percent`` and ``percent`` per cent of each row [C, L] lie below."""
    low, high = np.percentile(rows, [100 - percent, percent], axis=1)
    return low, high


#: Parts of the range with which `least_squares_parameters` begins, by bits; with many bits clipping gains nothing.
_SHRINKS = {
    1: (1.0, 0.75, 0.55, 0.45, 0.35, 0.25, 0.15),
    2: (1.0, 0.8, 0.65, 0.55, 0.45, 0.35, 0.25),
    3: (1.0, 0.85, 0.75, 0.65, 0.55, 0.45, 0.35),
    4: (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4),
    5: (1.0, 0.9, 0.8, 0.7, 0.6),
    6: (1.0, 0.9, 0.8, 0.7),
    7: (1.0, 0.9, 0.8),
    8: (1.0, 0.93, 0.85),
}
_ROUNDS = 6


def least_squares_parameters(
    rows: Array, bits: int, *, symmetric: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return scale and bias of each row with a small sum of (decoded - w)^2: never larger than for the full range.

    Tries parts of the range about its middle (about 0 if symmetric), then alternates from the best: codes for the
    scale and bias, scale and bias for the codes by linear regression, keeping the best seen. That finds a local
    minimum, not always the global one.

    Args:
        rows: [C, L] finite floats.
        bits: width of a code; 2 or more if symmetric.
        symmetric: whether the bias must be -2^(bits-1) * scale.

    Returns:
        scale [C], bias [C], float32.
    """
    low, high = (bound.astype(np.float64) for bound in row_ranges(rows))
    if symmetric:
        largest = np.maximum(np.abs(low), np.abs(high))
        candidates = [symmetric_parameters(part * largest, bits) for part in _SHRINKS[bits]]
    else:
        middle, half = (low + high) / 2, (high - low) / 2
        candidates = [range_parameters(low, high, bits)]
        candidates += [
            range_parameters(middle - part * half, middle + part * half, bits) for part in _SHRINKS[bits][1:]
        ]
    least = 1 if symmetric else 0
    best_scale, best_bias = candidates[0]
    best_error, best_moments = _errors_and_moments(rows, best_scale, best_bias, bits, least)

    def keep(scale: Array, bias: Array) -> bool:
        nonlocal best_scale, best_bias, best_error, best_moments
        error, moments = _errors_and_moments(rows, scale, bias, bits, least)
        better = error < best_error
        best_scale, best_bias = np.where(better, scale, best_scale), np.where(better, bias, best_bias)
        best_error, best_moments = np.where(better, error, best_error), np.where(better, moments, best_moments)
        return bool(better.any())

    for candidate in candidates[1:]:
        keep(*candidate)
    for _ in range(_ROUNDS):
        if not keep(*_regression(best_moments, best_scale, best_bias, bits, symmetric)):
            break
    return best_scale, best_bias


def _errors_and_moments(rows: Array, scale: Array, bias: Array, bits: int, least: int) -> tuple[Array, Array]:
    """Return the sum of squared errors per row, and the moments that a regression of the weights on the codes needs.

    The moments are mean q, mean v, mean (q - c)^2, mean (q - c) v with v = w - bias, c = mean q: [4, C].
    """
    codes = quantize_linear(rows, scale, bias, bits, least=least)
    biases, scales = np.asarray(bias, np.float64)[:, None], np.asarray(scale, np.float64)[:, None]
    error, sums = np.zeros(len(rows)), np.zeros((4, len(rows)))
    for part in _tiles(rows.shape):
        q = codes[part].astype(np.float64)
        v = rows[part] - biases[part[0]]
        residual = v - q * scales[part[0]]
        error[part[0]] += np.einsum("ij,ij->i", residual, residual)
        sums[0, part[0]] += q.sum(axis=1)
        sums[1, part[0]] += v.sum(axis=1)
        sums[2, part[0]] += np.einsum("ij,ij->i", q, q)
        sums[3, part[0]] += np.einsum("ij,ij->i", q, v)
    sums /= max(rows.shape[1], 1)
    sums[2] -= sums[0] ** 2
    sums[3] -= sums[0] * sums[1]
    return error, sums


def _regression(moments: Array, scale: Array, bias: Array, bits: int, symmetric: bool) -> tuple[Array, Array]:
    """Return the scale and bias that fit the codes best, as the nearest that may be stored."""
    mean_code, mean_value, variance, covariance = moments
    step = np.asarray(scale, np.float64)
    if symmetric:
        # w = scale * (q - half): a line through the origin.
        half = 1 << (bits - 1)
        mean_value = mean_value - half * step  # v counts from the bias, -half * scale
        square = variance + (mean_code - half) ** 2
        product = covariance + (mean_code - half) * mean_value
        fitted = np.divide(product, square, out=step.copy(), where=square > 0)
        scale = linear_scale(np.maximum(fitted, 0), bits)
        return scale, np.float32(-half) * scale
    fitted = np.divide(covariance, variance, out=step.copy(), where=variance > 0)
    scale = linear_scale(np.maximum(fitted, 0), bits)
    moved = mean_value - np.asarray(scale, np.float64) * mean_code
    return scale, (np.asarray(bias, np.float64) + moved).astype(np.float32)
