"""Streams of bits against transcriptions that handle one bit at a time, and against what Apple's writer writes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcoreml.kernels import bits as kernels
from refcoreml.kernels.bits import pack_codes, pack_integers, packed_size, unpack_codes, unpack_integers

FIRST = ["most", "least"]
widths = st.integers(1, 8)
firsts = st.sampled_from(FIRST)


def random_codes(bits, count, seed=0):
    return np.random.default_rng(seed).integers(0, 1 << bits, count).astype(np.uint8)


def bits_of_bytes(data, first):
    places = range(7, -1, -1) if first == "most" else range(8)
    return [byte >> place & 1 for byte in data for place in places]


def significance(bits, first):
    return [1 << place for place in (range(bits - 1, -1, -1) if first == "most" else range(bits))]


def unpack_one_by_one(data, bits, count, first):
    stream, weights = bits_of_bytes(data, first), significance(bits, first)
    return [sum(a * b for a, b in zip(stream[i * bits :], weights, strict=False)) for i in range(count)]


def pack_one_by_one(codes, bits, first):
    stream = [1 if int(code) & weight else 0 for code in codes for weight in significance(bits, first)]
    stream += [0] * (-len(stream) % 8)
    weights = significance(8, first)
    return bytes(sum(a * b for a, b in zip(stream[i : i + 8], weights, strict=True)) for i in range(0, len(stream), 8))


def test_networks_have_the_most_significant_bit_first():
    assert unpack_codes(bytes([0b101_01110, 0b0_1111000]), 3, 5).tolist() == [0b101, 0b011, 0b100, 0b111, 0b100]
    assert pack_codes(np.array([1]), 1) == b"\x80"


#: What coremltools' writer of blob files makes of these numbers.
APPLE = {
    1: ([1, 0, 0, 1, 1, 0, 0, 0, 1], "1901"),
    3: ([1, 2, 3, 4, 5, 6, 7, 0, 1], "d1581f01"),
    6: ([1, 2, 3, 63, 5], "8130fc05"),
}


@pytest.mark.parametrize("bits", APPLE)
def test_programs_have_the_least_significant_bit_first(bits):
    codes, stream = APPLE[bits]
    assert unpack_codes(bytes.fromhex(stream), bits, len(codes), first="least").tolist() == codes
    assert pack_codes(np.array(codes), bits, first="least").hex() == stream


def test_signed_integers_of_programs():
    assert unpack_integers(bytes.fromhex("783f01"), 4, 5).tolist() == [-8, 7, -1, 3, 1]
    assert unpack_integers(bytes.fromhex("783f01"), 4, 5).dtype == np.int8
    assert pack_integers(np.array([-8, 7, -1, 3, 1]), 4).hex() == "783f01"


@given(widths, st.data())
def test_integers_equal_their_twos_complement(bits, data):
    half = 1 << (bits - 1)
    integers = data.draw(st.lists(st.integers(-half, half - 1), max_size=50))
    packed = pack_integers(np.array(integers, np.int64), bits)
    assert packed == pack_one_by_one([value % (1 << bits) for value in integers], bits, "least")
    assert unpack_integers(packed, bits, len(integers)).tolist() == integers


@given(widths, st.integers(0, 300))
def test_packed_size(bits, count):
    assert packed_size(count, bits) == math.ceil(count * bits / 8)


@given(widths, firsts, st.data())
def test_unpack_equals_transcription(bits, first, data):
    count = data.draw(st.integers(0, 90))
    needed = packed_size(count, bits)
    stream = data.draw(st.binary(min_size=needed, max_size=needed + 3))
    codes = unpack_codes(stream, bits, count, first=first)
    assert codes.dtype == np.uint8
    assert codes.tolist() == unpack_one_by_one(stream, bits, count, first)


@given(widths, firsts, st.data())
def test_pack_equals_transcription(bits, first, data):
    codes = data.draw(st.lists(st.integers(0, (1 << bits) - 1), max_size=90))
    assert pack_codes(np.array(codes, np.int64), bits, first=first) == pack_one_by_one(codes, bits, first)


@given(widths, firsts, st.integers(0, 2000), st.integers(0, 2**32 - 1))
def test_unpack_inverts_pack(bits, first, count, seed):
    codes = random_codes(bits, count, seed)
    stream = pack_codes(codes, bits, first=first)
    np.testing.assert_array_equal(unpack_codes(stream, bits, count, first=first), codes)


@given(widths, firsts, st.binary(max_size=100))
def test_pack_inverts_unpack(bits, first, stream):
    """On streams that hold whole codes up to the last byte's padding, which must be zero."""
    count = len(stream) * 8 // bits
    packed = pack_codes(unpack_codes(stream, bits, count, first=first), bits, first=first)
    kept = bits_of_bytes(stream, first)[: count * bits]
    assert bits_of_bytes(packed, first)[: count * bits] == kept
    assert not any(bits_of_bytes(packed, first)[count * bits :])


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("first", FIRST)
def test_streams_longer_than_a_block(bits, first):
    """A group holds eight codes at most; the count is no multiple of anything in use."""
    count = 8 * kernels._BLOCK * 2 + 8 * 3 + 5
    codes = random_codes(bits, count)
    stream = pack_codes(codes, bits, first=first)
    assert len(stream) == packed_size(count, bits)
    np.testing.assert_array_equal(unpack_codes(stream, bits, count, first=first), codes)
    # Independent of pack_codes: NumPy's own notion of bits.
    order = "big" if first == "most" else "little"
    places = np.unpackbits(np.frombuffer(stream, np.uint8), bitorder=order)[: count * bits].reshape(count, bits)
    np.testing.assert_array_equal(places @ np.array(significance(bits, first)), codes)


def test_pack_takes_any_shape_in_row_major_order():
    codes = random_codes(3, 2 * 5).reshape(2, 5)
    assert pack_codes(codes.T, 3) == pack_one_by_one(codes.T.reshape(-1), 3, "most")


@pytest.mark.parametrize("bits", range(1, 9))
def test_pack_refuses_what_does_not_fit(bits):
    for wrong in (-1, 1 << bits):
        with pytest.raises(ValueError, match=rf"codes of {bits} bits lie in \[0, {(1 << bits) - 1}\]"):
            pack_codes(np.array([0, wrong]), bits)
    for wrong in (-1 - (1 << bits - 1), 1 << bits - 1):
        with pytest.raises(ValueError, match=f"integers of {bits} bits lie in"):
            pack_integers(np.array([0, wrong]), bits)
