"""Packed integer codes and what they stand for: bit streams, linear quantization, lookup tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from refcoreml.kernels._types import Array

#: Codes handled at a time: small enough that a block and its floats stay in the second-level cache.
_BLOCK = 1 << 15


def packed_size(count: int, bits: int) -> int:
    """Bytes that ``count`` codes of ``bits`` bits occupy: ceil(count * bits / 8)."""
    return -(-count * bits // 8)


def unpack_codes(data: bytes | NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint8]:
    """Reads ``count`` unsigned codes from one stream of bits, most significant bit first, crossing byte borders.

    code[i] = bits [i * n, (i + 1) * n) of the stream, n = ``bits``.

    Args:
        data: at least ``packed_size(count, bits)`` bytes; what follows is ignored.
        bits: width of a code, 1 to 8.
        count: number of codes.

    Returns:
        [count] uint8; for 8 bits a view of ``data``.
    """
    stream = np.frombuffer(data, np.uint8, packed_size(count, bits))
    if bits == 8:
        return stream
    # Every n bytes hold eight codes, so that code j of a group lies at the same place in each.
    groups = -(-count // 8)
    if stream.size < groups * bits:
        stream = np.concatenate([stream, np.zeros(groups * bits - stream.size, np.uint8)])
    grouped = stream.reshape(groups, bits)
    codes = np.empty((groups, 8), np.uint8)
    mask = np.uint8((1 << bits) - 1)
    for start in range(0, groups, _BLOCK):
        block = np.ascontiguousarray(grouped[start : start + _BLOCK].T)
        for j in range(8):
            byte, offset = divmod(j * bits, 8)
            excess = offset + bits - 8
            if excess <= 0:
                code = block[byte] >> np.uint8(-excess)
            else:
                code = (block[byte] << np.uint8(excess)) | (block[byte + 1] >> np.uint8(8 - excess))
            np.bitwise_and(code, mask, out=codes[start : start + _BLOCK, j])
    return codes.reshape(-1)[:count]


def pack_codes(codes: NDArray[np.integer[Any]], bits: int) -> bytes:
    """Writes unsigned codes as one stream of bits, most significant bit first; zero bits fill the last byte.

    The inverse of `unpack_codes`.

    Args:
        codes: integers in [0, 2 ** bits), any shape, taken in row-major order.
        bits: width of a code, 1 to 8.
    """
    flat = np.asarray(codes).reshape(-1)
    if flat.size and (flat.min() < 0 or flat.max() >= 1 << bits):
        raise ValueError(f"codes of {bits} bits lie in [0, {(1 << bits) - 1}], got [{flat.min()}, {flat.max()}]")
    flat = flat.astype(np.uint8, copy=False)
    if bits == 8:
        return flat.tobytes()
    groups = -(-flat.size // 8)
    padded = np.zeros((groups, 8), np.uint8)
    padded.reshape(-1)[: flat.size] = flat
    stream = np.zeros((groups, bits), np.uint8)
    for j in range(8):
        byte, offset = divmod(j * bits, 8)
        excess = offset + bits - 8
        if excess <= 0:
            stream[:, byte] |= padded[:, j] << np.uint8(-excess)
        else:
            stream[:, byte] |= padded[:, j] >> np.uint8(excess)
            stream[:, byte + 1] |= padded[:, j] << np.uint8(8 - excess)
    return stream.tobytes()[: packed_size(flat.size, bits)]


def dequantize_linear(
    codes: NDArray[np.integer[Any]], scale: Array, bias: Array | None, *, channel_axis: int = 0, dtype: DTypeLike
) -> Array:
    """W = scale * code + bias, the product rounded before the sum, in the arithmetic of ``dtype``.

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
    """W = table[code].

    Args:
        codes: integers below the table's length, any shape.
        table: [2 ** bits] float.
    """
    return np.take(table, codes.reshape(-1)).reshape(codes.shape)
