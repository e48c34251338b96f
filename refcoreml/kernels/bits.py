"""Codes of a few bits, packed into a stream of bits that ignores the borders of bytes.

Networks of layers and ML Programs differ in which bit of a byte is the first: in the former it is the most significant
one, in the latter the least.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

#: The first bit of a byte, in the order of a stream.
FirstBit = Literal["most", "least"]

#: Groups of codes handled at a time: a block of them stays in the second-level cache.
_BLOCK = 1 << 15


def packed_size(count: int, bits: int) -> int:
    """Return the number of bytes that ``count`` codes of ``bits`` bits occupy: ceil(count * bits / 8)."""
    return -(-count * bits // 8)


def unpack_codes(
    data: bytes | memoryview | NDArray[np.uint8], bits: int, count: int, *, first: FirstBit = "most"
) -> NDArray[np.uint8]:
    """Read ``count`` unsigned codes from one stream of bits, crossing byte borders.

    code[i] = bits [i * n, (i + 1) * n) of the stream, n = ``bits``; the first of them is the most significant of the
    code where it is the most significant of a byte, else the least significant.

    Args:
        data: at least ``packed_size(count, bits)`` bytes; what follows is ignored.
        bits: width of a code, 1 to 8.
        count: number of codes.
        first: which bit of a byte is the first.

    Returns:
        [count] uint8; for 8 bits a view of ``data``.
    """
    stream = np.frombuffer(data, np.uint8, packed_size(count, bits))
    if bits == 8:
        return stream
    # Code j of a group lies at the same place in every group.
    width, length = _group(bits)
    groups = -(-count // length)
    if stream.size < groups * width:
        stream = np.concatenate([stream, np.zeros(groups * width - stream.size, np.uint8)])
    grouped = stream.reshape(groups, width)
    codes = np.empty((groups, length), np.uint8)
    mask = np.uint8((1 << bits) - 1)
    for start in range(0, groups, _BLOCK):
        block = np.ascontiguousarray(grouped[start : start + _BLOCK].T)
        for j in range(length):
            byte, offset = divmod(j * bits, 8)
            excess = max(offset + bits - 8, 0)  # bits in the next byte
            if first == "least":
                code = block[byte] >> np.uint8(offset)
                if excess:
                    code |= block[byte + 1] << np.uint8(8 - offset)
            elif excess:
                code = (block[byte] << np.uint8(excess)) | (block[byte + 1] >> np.uint8(8 - excess))
            else:
                code = block[byte] >> np.uint8(8 - offset - bits)
            np.bitwise_and(code, mask, out=codes[start : start + _BLOCK, j])
    return codes.reshape(-1)[:count]


def pack_codes(codes: NDArray[np.integer[Any]], bits: int, *, first: FirstBit = "most") -> bytes:
    """Write unsigned codes as one stream of bits; zero bits fill the last byte. The inverse of `unpack_codes`.

    Args:
        codes: integers in [0, 2 ** bits), any shape, taken in row-major order.
        bits: width of a code, 1 to 8.
        first: which bit of a byte is the first.
    """
    flat = np.asarray(codes).reshape(-1)
    if flat.size and (flat.min() < 0 or flat.max() >= 1 << bits):
        raise ValueError(f"codes of {bits} bits lie in [0, {(1 << bits) - 1}], got [{flat.min()}, {flat.max()}]")
    flat = flat.astype(np.uint8, copy=False)
    if bits == 8:
        return flat.tobytes()
    width, length = _group(bits)
    groups = -(-flat.size // length)
    padded = np.zeros((groups, length), np.uint8)
    padded.reshape(-1)[: flat.size] = flat
    stream = np.zeros((groups, width), np.uint8)
    for j in range(length):
        byte, offset = divmod(j * bits, 8)
        excess = max(offset + bits - 8, 0)
        if first == "least":
            stream[:, byte] |= padded[:, j] << np.uint8(offset)
            if excess:
                stream[:, byte + 1] |= padded[:, j] >> np.uint8(8 - offset)
        elif excess:
            stream[:, byte] |= padded[:, j] >> np.uint8(excess)
            stream[:, byte + 1] |= padded[:, j] << np.uint8(8 - excess)
        else:
            stream[:, byte] |= padded[:, j] << np.uint8(8 - offset - bits)
    return stream.tobytes()[: packed_size(flat.size, bits)]


def unpack_integers(data: bytes | memoryview | NDArray[np.uint8], bits: int, count: int) -> NDArray[np.int8]:
    """Read ``count`` integers in two's complement, of ``bits`` bits each, least significant bit first."""
    half = np.uint8(1 << (bits - 1))
    codes = unpack_codes(data, bits, count, first="least")
    return ((codes ^ half) - half).view(np.int8)


def pack_integers(integers: NDArray[np.integer[Any]], bits: int) -> bytes:
    """Write integers in [-2 ** (bits - 1), 2 ** (bits - 1)) in two's complement, the inverse of `unpack_integers`."""
    flat, half = np.asarray(integers).reshape(-1), 1 << (bits - 1)
    if flat.size and (flat.min() < -half or flat.max() >= half):
        raise ValueError(f"integers of {bits} bits lie in [{-half}, {half - 1}], got [{flat.min()}, {flat.max()}]")
    return pack_codes(flat.astype(np.int8).view(np.uint8) & np.uint8((1 << bits) - 1), bits, first="least")


def _group(bits: int) -> tuple[int, int]:
    """Return the smallest number of bytes that holds an integral number of codes, and that number."""
    size = math.lcm(bits, 8)
    return size // 8, size // bits
