"""Packed fields as arrays, there and back, beside what protobuf itself makes of them."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from refcoreml.spec import schema
from refcoreml.spec.packed import packed_field, read_packed

TENSOR = schema.MILSpec.TensorValue


@pytest.mark.parametrize(
    ("message", "dtype", "numbers"),
    [
        (TENSOR.RepeatedFloats, "<f4", [0.5, -0.0, 3e-45, np.inf]),
        (TENSOR.RepeatedDoubles, "<f8", [0.1, -5e-324, -np.inf]),
        (TENSOR.RepeatedBools, "?", [True, False, True, True, False]),
    ],
)
@pytest.mark.parametrize("times", [0, 1, 40, 5000])  # lengths in bytes of one to three digits of 7 bits
def test_there_and_back(message, dtype, numbers, times):
    values = np.array(numbers * times, dtype)
    written = message.FromString(packed_field(message, "values", values))
    assert list(written.values) == values.tolist()
    assert np.signbit(list(written.values)).tolist() == np.signbit(values).tolist() or dtype == "?"
    filled = message(values=values.tolist())
    assert written.SerializeToString() == filled.SerializeToString() or times == 0
    read = read_packed(filled, "values", dtype)
    assert read.dtype == values.dtype
    assert read.tobytes() == values.tobytes()
    assert not times or not read.flags.writeable


def test_the_bits_of_nan_stay():
    values = np.array([0x7F812345, 0xFFC00001], np.uint32).view("<f4")
    message = TENSOR.RepeatedFloats.FromString(packed_field(TENSOR.RepeatedFloats, "values", values))
    assert read_packed(message, "values", "<f4").tobytes() == values.tobytes()


def test_a_field_behind_others_and_before_unknown_ones():
    unknown = bytes([14 << 3 | 2, 4]) + struct.pack("<f", 9)
    message = schema.LinearQuantizationParams(scale=[1, 2, 3], bias=[4, 5])
    message.MergeFromString(unknown)
    assert read_packed(message, "bias", "<f4").tolist() == [4, 5]
    assert read_packed(message, "scale", "<f4").tolist() == [1, 2, 3]
