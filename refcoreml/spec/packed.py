"""Packed fields of protobuf, ``repeated`` numbers of a fixed size, as arrays.

They are read from a message's own serialization, where the numbers lie side by side, and written likewise: many times
faster than one Python number after another.
"""

from __future__ import annotations

import numpy as np
from google.protobuf.message import Message
from numpy.typing import DTypeLike

from refcoreml.types import Array

__all__ = ["packed_field", "read_packed"]


def read_packed(message: Message, field: str, dtype: DTypeLike) -> Array:
    """Return the numbers of a field, which cannot be written to.

    Args:
        message: what has the field; all fields with smaller numbers must be packed, too.
        field: its name.
        dtype: how one number is stored: ``<f4``, ``<f8``, or of ``bool``.
    """
    dtype, count = np.dtype(dtype), len(getattr(message, field))
    if not count:
        return np.empty(0, dtype)
    number = message.DESCRIPTOR.fields_by_name[field].number
    data = message.SerializeToString()
    position = 0
    # Fields come in the order of their numbers, unknown ones last.
    while True:
        tag, position = _varint(data, position)
        length, position = _varint(data, position)
        if tag >> 3 == number:
            return np.frombuffer(data, dtype, count, position)
        position += length


def packed_field(message: type[Message], field: str, values: Array) -> bytes:
    """Return the wire format of a field: numbers of a fixed size, in the bytes of the array."""
    number = message.DESCRIPTOR.fields_by_name[field].number
    data = np.ascontiguousarray(values).tobytes()
    head, length = bytearray([number << 3 | 2]), len(data)
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + data


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return a variable-length integer, and where it ends."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
