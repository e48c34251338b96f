"""The numbers that coremltools 9.0 would store, bit for bit.

What differs from this package's own: scales are rounded to nearest, not up, and not to 16 bits; codes are found with
the scale before it is rounded to float32; a scale of at most 1e-6 makes every code 0, so that a channel of small range
collapses to its least value; parameters of the shape [C, H, W] count as vectors, with one scale.
It computes in the type that NumPy makes of a protobuf field of floats: float32 or, with older protobuf, float64. So do
these functions, so that both agree in one environment.
Source: ``quantization_utils.py`` of coremltools 9.0, as observed and compared by the tests.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refcoreml.quantization.tensors import WeightTensor
from refcoreml.spec import schema
from refcoreml.spec.weights import encode_linear, encode_table
from refcoreml.types import Array

_COLLAPSE = 1e-6
#: Layers whose parameters are flattened to a vector, whatever their shape.
_VECTORS = ("bias", "scale", "loadConstant", "loadConstantND")


def encode(values: Array, bits: int, mode: str, tensor: WeightTensor) -> schema.WeightParams:
    """Return the message that coremltools would write for these values (float32)."""
    wide = values.astype(np.asarray(schema.WeightParams(floatValue=[0.0]).floatValue).dtype)
    if mode == "linear_lut":
        codes, scale, bias = _linear(wide.reshape(1, -1), bits)
        return encode_table(codes, bits, np.arange(1 << bits, dtype=np.float64) * scale[0] + bias[0])
    if wide.ndim < 2 or tensor.kind in _VECTORS:
        rows = wide.reshape(1, -1)
    else:
        rows = np.moveaxis(wide, tensor.channel_axis, 0).reshape(tensor.channels, -1)
    codes, scale, bias = _symmetric(rows, bits) if mode == "linear_symmetric" else _linear(rows, bits)
    if len(rows) > 1:
        shape = np.moveaxis(wide, tensor.channel_axis, 0).shape
        codes = np.moveaxis(codes.reshape(shape), 0, tensor.channel_axis)
    return encode_linear(codes, bits, scale, bias)


def _linear(rows: Array, bits: int) -> tuple[NDArray[np.uint8], Array, Array]:
    low, high = rows.min(axis=1), rows.max(axis=1)
    scale = (high - low) / ((1 << bits) - 1)
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > _COLLAPSE)
    return np.rint((rows - low[:, None]) * inverse[:, None]).astype(np.uint8), scale, low


def _symmetric(rows: Array, bits: int) -> tuple[NDArray[np.uint8], Array, Array]:
    half = 1 << (bits - 1)
    scale = np.abs(rows).max(axis=1) / (half - 1)
    bias = -half * scale
    wide = np.broadcast_to(scale[:, None], rows.shape)
    codes = np.divide(rows - bias[:, None], wide, out=np.zeros_like(rows), where=wide > _COLLAPSE)
    return np.rint(codes).astype(np.uint8), scale, bias
