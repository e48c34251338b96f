"""What storage does to the numbers of a model: it rounds weights and inputs; how exactly quantized ones are known."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from google.protobuf.message import Message

from refcoreml.features import RefCoreMLWarning
from refcoreml.kernels.half import Losses, listed, losses
from refcoreml.oracle.balls import Ball, Doubles, Rounding
from refcoreml.spec import schema
from refcoreml.spec.weights import weight_encoding, weight_fields

__all__ = ["flushed", "round_weights", "weight_radius"]


def flushed(values: Doubles, storage: Rounding) -> Doubles:
    """Return the radii of exact numbers: subnormal ones may count as 0."""
    size = np.abs(values)
    return np.where((size > 0) & (size < storage.tiny), size, 0.0)


def weight_radius(
    values: Doubles, message: Message | None, channel_axis: int, storage: Rounding, arithmetic: Rounding
) -> Doubles:
    """Return the error bound of a conforming decoder, from weights R in double precision.

    Floating-point weights and tables are stored rounded, so that they are exact but for subnormal numbers. Linear codes
    become R = scale * code + bias: |fl(fl(code * scale) + bias) - R| <= u (|code * scale| + |R|), then a rounding to
    the storage type; where the arithmetic is half precision, scale and bias are first rounded to it.
    """
    rad = flushed(values, storage)
    if not isinstance(message, schema.WeightParams):
        return rad
    kind = weight_encoding(message).kind
    if kind not in ("linear", "int8"):
        return rad
    linear = message.quantization.linearQuantization
    scale, bias = np.array(linear.scale, np.float64), np.array(linear.bias, np.float64)
    shape = [1] * values.ndim
    if bias.size > 1:
        shape[channel_axis] = -1
    bias = (bias if bias.size else np.zeros(1)).reshape(shape)
    product, unit = values - bias, arithmetic.unit
    exact = (
        arithmetic.holds(product) & arithmetic.holds(bias) & arithmetic.holds(values) & arithmetic.holds(scale).all()
    )
    off = unit * np.abs(product)
    if arithmetic.format == np.float16:  # scale, product and bias
        off = (off * (2 + unit) + unit * np.abs(bias)) * (1 + unit)
    decoded = arithmetic.rounded(Ball(values, off))
    decoded = Ball(values, np.where(exact, 0.0, decoded.rad))
    return np.maximum(rad, decoded.rad if storage is arithmetic else storage.stored(decoded).rad)


def round_weights(message: Message, storage: Rounding) -> None:
    """Round every floating-point weight and lookup table inside a message, in place.

    Numbers that become infinite or 0 by that cause a `RefCoreMLWarning`.
    """
    lost = [f"{place}: {found}" for place, weights in weight_fields(message) for found in _round(weights, storage)]
    if lost:
        text = f"half precision loses numbers of {len(lost)} fields of weights: {listed(lost)}"
        warnings.warn(text, RefCoreMLWarning, stacklevel=2)


def _round(weights: schema.WeightParams, storage: Rounding) -> Iterator[Losses]:
    """Round the numbers of one message; yields what is lost."""
    for holder in (weights, weights.quantization.lookupTableQuantization):
        if len(holder.floatValue):
            values = np.array(holder.floatValue, np.float32)
            with np.errstate(over="ignore"):
                rounded = values.astype(storage.format).astype(np.float32)
            del holder.floatValue[:]
            holder.floatValue.extend(rounded)
            if storage.format == np.float16 and (found := losses(values, rounded)):
                yield found
