"""Elements of tensors as ML Programs store them, in bytes, decoded to arrays and back.

Bytes are little-endian; codes of less than a byte are one stream of bits, the least significant bit first.
"""

from __future__ import annotations

import numpy as np

from refcoreml.errors import UsageError
from refcoreml.kernels.bits import pack_codes, pack_integers, packed_size, unpack_codes, unpack_integers
from refcoreml.kernels.narrow import from_bfloat16, from_float8, to_bfloat16, to_float8
from refcoreml.spec.mil_types import DataType
from refcoreml.types import Array


def size_in_bytes(element: DataType, count: int) -> int:
    """Return how many bytes that many elements take."""
    return packed_size(count, element.bits)


def decode_elements(element: DataType, data: bytes | memoryview, count: int) -> Array:
    """Return elements as an array [count] of ``element.dtype``; of types that NumPy has, a view of the bytes.

    Args:
        element: their type, which is no string.
        data: exactly as many bytes as they take.
        count: how many they are.
    """
    if not count:  # NumPy makes no array of an empty buffer
        return np.empty(0, element.dtype)
    if element.native:
        return np.frombuffer(data, element.dtype, count)
    if element.name == "bf16":
        return from_bfloat16(np.frombuffer(data, "<u2", count))
    if element.name.startswith("fp8"):
        return from_float8(np.frombuffer(data, np.uint8, count), element.name)
    if element.dtype.kind == "i":
        return unpack_integers(data, element.bits, count)
    return unpack_codes(data, element.bits, count, first="least")


def encode_elements(element: DataType, values: Array) -> memoryview:
    """Return elements as bytes, the reverse of `decode_elements`: a view of the array, where that can be.

    Args:
        element: their type, which is no string.
        values: of type ``element.dtype``, of any shape, in row-major order.

    Raises:
        UsageError: the array is of another type, or holds a number that the element's type does not have.
    """
    if values.dtype != element.dtype:
        raise UsageError(
            f"got an array of type {values.dtype}, expected {element.dtype} for elements of type {element}"
        )
    flat = np.ascontiguousarray(values).reshape(-1)
    try:
        if element.native:
            return flat.view(np.uint8).data
        if element.name == "bf16":
            return to_bfloat16(flat).astype("<u2").view(np.uint8).data
        if element.name.startswith("fp8"):
            return to_float8(flat, element.name).data
        if element.dtype.kind == "i":
            return memoryview(pack_integers(flat, element.bits))
        return memoryview(pack_codes(flat, element.bits, first="least"))
    except ValueError as error:
        raise UsageError(str(error)) from error
