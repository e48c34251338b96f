"""Weights as the specification stores them (``WeightParams``), decoded to arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from refcoreml.errors import InvalidModelError
from refcoreml.kernels import quantization
from refcoreml.kernels.bits import pack_codes, packed_size, unpack_codes
from refcoreml.spec import schema
from refcoreml.spec.packed import packed_field, read_packed
from refcoreml.types import Array, Shape

_VALUE_FIELDS = ("floatValue", "float16Value", "rawValue", "int8RawValue")


class WeightEncoding(NamedTuple):
    """How a ``WeightParams`` stores its values.

    Attributes:
        kind: ``float32``, ``float16``, ``linear`` (codes with scale and bias), ``lookup table``, ``int8`` (signed codes
            with a scale), or ``empty``.
        bits: storage bits of one weight.
        size: bytes of the stored values, without scales and tables.
    """

    kind: str
    bits: int
    size: int


def weight_encoding(weights: schema.WeightParams, *, where: str = "") -> WeightEncoding:
    """Return how the values are stored; raise `InvalidModelError` where that is ambiguous or against the rules."""
    fields = [name for name in _VALUE_FIELDS if len(getattr(weights, name))]
    if len(fields) > 1:
        raise InvalidModelError(
            f"holds values in several fields at once ({', '.join(fields)})", where=where, remedy="Keep one of them"
        )
    if not fields:
        return WeightEncoding("empty", 0, 0)
    match fields[0]:
        case "floatValue":
            return WeightEncoding("float32", 32, 4 * len(weights.floatValue))
        case "float16Value":
            return WeightEncoding("float16", 16, len(weights.float16Value))
    if fields[0] == "int8RawValue":
        return WeightEncoding("int8", 8, len(weights.int8RawValue))
    bits = weights.quantization.numberOfBits
    if not 1 <= bits <= 8:
        raise InvalidModelError(f"rawValue with numberOfBits = {bits}, allowed are 1 to 8", where=where)
    kind = weights.quantization.WhichOneof("QuantizationType")
    if kind is None:
        raise InvalidModelError("rawValue without linearQuantization or lookupTableQuantization", where=where)
    return WeightEncoding(
        "linear" if kind == "linearQuantization" else "lookup table", int(bits), len(weights.rawValue)
    )


def check_weights(
    weights: schema.WeightParams, shape: Shape, *, channel_axis: int = 0, where: str = ""
) -> WeightEncoding:
    """Return how the values are stored, once they are known to fit: nothing is decoded, and a shape costs no memory.

    Args and errors are those of `decode_weights`.
    """
    count = math.prod(shape)
    encoding = weight_encoding(weights, where=where)
    problem = _misfit(weights, encoding, count, shape, channel_axis)
    if problem:
        raise InvalidModelError(problem, where=where)
    return encoding


def _misfit(weights: schema.WeightParams, encoding: WeightEncoding, count: int, shape: Shape, channel_axis: int) -> str:
    """Say why the stored values do not fit a shape; empty if they do."""
    if encoding.kind in ("linear", "lookup table"):
        needed = packed_size(count, encoding.bits)
        if encoding.size < needed:
            return f"rawValue has {encoding.size} bytes, {count} codes of {encoding.bits} bits need {needed}"
    else:
        if encoding.kind == "float16" and encoding.size % 2:
            return f"float16Value has {encoding.size} bytes, which is not a multiple of 2"
        stored = encoding.size * 8 // encoding.bits if encoding.bits else 0
        if stored != count:
            dims = " x ".join(map(str, shape)) or "a scalar"
            return f"holds {stored} values, the declared shape {dims} needs {count}"
    if encoding.kind == "lookup table":
        entries, needed = len(weights.quantization.lookupTableQuantization.floatValue), 1 << encoding.bits
        if entries != needed:
            return f"the lookup table has {entries} entries, {encoding.bits} bits need {needed}"
    if encoding.kind in ("linear", "int8"):
        linear, channels = weights.quantization.linearQuantization, shape[channel_axis] if shape else 1
        scales, biases = len(linear.scale), len(linear.bias)
        if scales not in (1, channels):
            return f"has {scales} scales, expected 1 or {channels} (one per channel)"
        if encoding.kind == "int8" and biases:
            return f"has {biases} biases, but signed int8 codes take none"
        if biases not in (0, 1, channels):
            return f"has {biases} biases, expected 0, 1 or {channels} (one per channel)"
    return ""


def decode_weights(
    weights: schema.WeightParams,
    shape: Shape,
    *,
    dtype: type[np.floating[Any]] = np.float32,
    channel_axis: int = 0,
    where: str = "",
    encoding: WeightEncoding | None = None,
) -> Array:
    """Decode stored weights to an array that nobody else holds.

    float32 and float16 values are widened (or, for a narrower ``dtype``, rounded to nearest even); linear codes,
    unsigned, become ``scale * code + bias``; signed ``int8RawValue`` codes become ``scale * code``; codes into a lookup
    table become ``table[code]``. Codes narrower than a byte are one stream of bits, most significant bit first. A
    stream may be longer than needed; numbers of any other kind must fit the shape exactly.

    Source: ``WeightParams``, ``QuantizationParams``. Linear: scale of length 1 or C, bias of length 0 (zero), 1 or C.

    Args:
        weights: the message.
        shape: the declared shape.
        dtype: float type of the result and of the arithmetic.
        channel_axis: the axis of length C along which scale and bias run.
        where: the message's place in the model, for errors.
        encoding: what `check_weights` has returned, if it has been called.

    Raises:
        InvalidModelError: the number of values, scales, biases or table entries does not fit, or the encoding is
            not valid.
    """
    encoding = encoding or check_weights(weights, shape, channel_axis=channel_axis, where=where)
    match encoding.kind:
        case "empty":
            return np.zeros(shape, dtype)
        case "float32":
            return read_packed(weights, "floatValue", "<f4").reshape(shape).astype(dtype)
        case "float16":
            return np.frombuffer(weights.float16Value, "<f2").reshape(shape).astype(dtype)
        case "int8":
            codes: Any = np.frombuffer(weights.int8RawValue, np.int8)
        case _:
            codes = unpack_codes(weights.rawValue, encoding.bits, math.prod(shape))
    if encoding.kind == "lookup table":
        table = read_packed(weights.quantization.lookupTableQuantization, "floatValue", "<f4")
        return quantization.dequantize_table(codes.reshape(shape), table.astype(dtype))
    linear = weights.quantization.linearQuantization
    scale, bias = (read_packed(linear, field, "<f4") for field in ("scale", "bias"))
    with np.errstate(all="ignore"):  # a scale may be infinite or NaN, as every weight may
        return quantization.dequantize_linear(
            codes.reshape(shape), scale, bias if bias.size else None, channel_axis=channel_axis, dtype=dtype
        )


def weight_fields(message: Message, prefix: str = "") -> Iterator[tuple[str, schema.WeightParams]]:
    """Yield every ``WeightParams`` inside a message, at any depth, with the way to it, such as
    ``weightParams[1].bias``.
    """
    for item, value in message.ListFields():
        if item.message_type is None or item.message_type.GetOptions().map_entry:
            continue
        several = not isinstance(value, Message)
        for index, element in enumerate(value if several else [value]):
            name = f"{prefix}{item.name}" + (f"[{index}]" if several else "")
            if isinstance(element, schema.WeightParams):
                yield name, element
            else:
                yield from weight_fields(element, f"{name}.")


def encode_floats(values: Array) -> schema.WeightParams:
    """Store an array as it is: float16 as ``float16Value``, every other type as ``floatValue`` (float32)."""
    if values.dtype == np.float16:
        return schema.WeightParams(float16Value=values.astype("<f2").tobytes())
    return schema.WeightParams.FromString(
        packed_field(schema.WeightParams, "floatValue", values.astype("<f4", copy=False))
    )


def encode_linear(codes: NDArray[np.uint8], bits: int, scale: Array, bias: Array) -> schema.WeightParams:
    """Store unsigned codes with their scale and bias, each [1] or [C] and of equal length."""
    made = schema.WeightParams(rawValue=pack_codes(codes, bits))
    made.quantization.numberOfBits = bits
    made.quantization.linearQuantization.scale.extend(np.asarray(scale, np.float32).tolist())
    made.quantization.linearQuantization.bias.extend(np.asarray(bias, np.float32).tolist())
    return made


def encode_table(codes: NDArray[np.uint8], bits: int, table: Array) -> schema.WeightParams:
    """Store codes into a lookup table of 2^bits numbers."""
    made = schema.WeightParams(rawValue=pack_codes(codes, bits))
    made.quantization.numberOfBits = bits
    made.quantization.lookupTableQuantization.floatValue.extend(np.asarray(table, np.float32).tolist())
    return made
