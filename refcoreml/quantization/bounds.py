"""How far a decoded weight can lie from the original, how far it lies on average, and what that does to an output.

Every elementwise bound holds for each weight and is attained by some: no smaller number would do. The derivations are
in docs/quantization.md. ``exact`` bounds speak of scale * code + bias as numbers; ``float32`` bounds of what a runtime
gets that computes it in single precision, with or without fused multiply-add.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml.errors import UsageError
from refcoreml.kernels.quantization import SCALE_BITS
from refcoreml.types import Array

__all__ = [
    "half_precision",
    "kmeans_noise",
    "linear",
    "lookup_table",
    "output_error",
    "output_noise",
    "rounding_noise",
]

Floats = NDArray[np.float64]

#: Codes are found in float64: a quotient of up to 255 is off by at most two roundings, 2 * 255 * 2^-53 < 2^-44.
_CODE_SLACK = 2.0**-44


def _half_spacing(magnitude: Floats, dtype: type[np.floating[Any]]) -> Floats:
    """Return half the distance of neighbouring numbers of a type at a magnitude: the largest rounding error."""
    kind = np.finfo(dtype)
    exponent = np.maximum(np.frexp(magnitude)[1] - 1, kind.minexp)
    return np.asarray(np.ldexp(1.0, exponent - kind.nmant - 1))


def linear(
    weights: Array, scale: Array, bias: Array, bits: int, *, symmetric: bool = False, arithmetic: str = "float32"
) -> Floats:
    """Return the most that quantizing to scale * code + bias can change each weight.

    With levels from b + s * least to b + s * most (least 0, or 1 if symmetric; most 2^bits - 1)::

        exact:    E(w) = max(s / 2, b + s * least - w, w - b - s * most)
        float32:  E(w) + min(E(w), u(|w| + E(w)))

    u(x) is half the distance of neighbouring float32 numbers at x. The sum is rounded once, since scale * code is exact
    for scales of 16 bits, as `refcoreml.quantize_weights` makes them; and rounding to nearest moves it no farther than
    to w, a float32 itself. Where a scale has more bits, the product is rounded too: u(s * most) is added, and the bound
    is a little loose.

    Args:
        weights: finite float32 values, of any shape that ``scale`` and ``bias`` broadcast to.
        scale, bias: as stored.
        bits: width of a code, 1 to 8.
        symmetric: whether the code 0 is not used.
        arithmetic: ``exact`` or ``float32``.

    Raises:
        UsageError: another arithmetic.
    """
    if arithmetic not in ("exact", "float32"):
        raise UsageError(f"unknown arithmetic {arithmetic!r}, expected 'exact' or 'float32'")
    w, s, b = (np.asarray(part, np.float64) for part in (weights, scale, bias))
    least, most = int(symmetric), (1 << bits) - 1
    error = np.maximum(s * (0.5 + _CODE_SLACK), np.maximum(b + s * least - w, w - (b + s * most)))
    if arithmetic == "exact":
        return np.asarray(error)
    exact_product = np.ldexp(np.frexp(s)[0], SCALE_BITS) % 1 == 0
    product = np.where(exact_product, 0.0, _half_spacing(s * most, np.float32))
    rounding = _half_spacing(np.abs(w) + error + product, np.float32)
    return np.asarray(error + product + np.where(exact_product, np.minimum(error, rounding), rounding))


def lookup_table(weights: Array, table: Array) -> Floats:
    """Return the most that choosing the nearest entry of a table can change each weight.

    Between two entries a <= w <= b: (b - a) / 2; outside: the distance to the nearest end. The entries are float32
    numbers that decoding copies, so that this holds in every arithmetic.

    Args:
        weights: finite values, any shape.
        table: the entries, in any order.
    """
    entries = np.sort(np.asarray(table, np.float64).reshape(-1))
    w = np.asarray(weights, np.float64)
    outside = np.maximum(entries[0] - w, w - entries[-1])
    if len(entries) == 1:
        return np.asarray(outside)
    after = np.clip(np.searchsorted(entries, w), 1, len(entries) - 1)
    return np.asarray(np.where(outside > 0, outside, (entries[after] - entries[after - 1]) / 2))


def half_precision(weights: Array) -> Floats:
    """Return half the distance of neighbouring float16 numbers at each weight: 2^-11 |w| at most, 2^-25 below 2^-14.

    Args:
        weights: values of at most 65504, any shape.
    """
    return _half_spacing(np.abs(np.asarray(weights, np.float64)), np.float16)


# ---- On average ----


def rounding_noise(scale: Array) -> Floats:
    """Return the mean square of an error that is spread evenly over a step: scale^2 / 12.

    A good prediction for weights without a pattern that spread over several steps; clipped weights add their own.
    """
    return np.asarray(scale, np.float64) ** 2 / 12


def kmeans_noise(weights: Array, levels: int) -> float:
    """Return the mean squared error that the best ``levels`` numbers approach as they become many (Panter and Dite).

    1 / (12 k^2) * (integral of p^(1/3))^3, for a normal density sqrt(3) pi / 2 * variance / k^2. The density p is
    estimated from the distances of order statistics, which need some hundred weights, and many weights a level.

    Args:
        weights: finite values, any shape.
        levels: k.
    """
    x = np.sort(np.asarray(weights, np.float64).reshape(-1))
    size = max(1, min(32, len(x) // 64))
    places = np.append(np.arange(0, len(x) - 1, size), len(x) - 1)
    share = np.diff(places) / max(len(x) - 1, 1)
    return float((share ** (1 / 3) * np.diff(x[places]) ** (2 / 3)).sum() ** 3 / (12 * levels**2))


# ---- At the output ----


def output_error(error: Array, inputs: Array) -> Floats:
    """Return the most that errors of the weights can change a linear layer's outputs: |dy| <= sum of |dw| |x|.

    Exact for layers whose output is linear in the weights, first order for what comes after. For a convolution the rows
    of ``inputs`` are the patches; or run the layer itself with the errors as weights on the absolute input.

    Args:
        error: bounds of |dw|, [C_out, K].
        inputs: x, [N, K].

    Returns:
        [N, C_out].
    """
    return np.asarray(np.abs(inputs, dtype=np.float64) @ np.asarray(error, np.float64).T)


def output_noise(noise: Array, inputs: Array) -> Floats:
    """Return the mean square of an output's error for independent weight errors of mean 0: noise * sum of x^2.

    Args:
        noise: mean square of dw for each output, [C_out], such as `rounding_noise` of the scales.
        inputs: x, [N, K].

    Returns:
        [N, C_out].
    """
    energy = np.einsum("nk,nk->n", np.asarray(inputs, np.float64), np.asarray(inputs, np.float64))
    return np.asarray(energy[:, None] * np.asarray(noise, np.float64))
