"""`WeightParams` decoded, against scalar transcriptions, and every way in which one can be wrong."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcoreml.errors import InvalidModelError
from refcoreml.kernels.bits import pack_codes
from refcoreml.spec import schema
from refcoreml.spec.weights import decode_weights, encode_floats, weight_encoding

PLACE = "neuralNetwork.layers[3] 'conv' (convolution).weights"

#: A subnormal, signed zeros, extremes, infinities, numbers that float32 and float16 hold only approximately.
FLOATS = [0.0, -0.0, 1.5, -2.25, 0.1, 1e-40, 3.4e38, -3.4e38, float("inf"), -float("inf"), 65504.0, 65520.0]


def linear(codes, bits, scale, bias=()):
    weights = schema.WeightParams(rawValue=pack_codes(np.asarray(codes), bits))
    weights.quantization.numberOfBits = bits
    weights.quantization.linearQuantization.SetInParent()
    weights.quantization.linearQuantization.scale.extend(scale)
    weights.quantization.linearQuantization.bias.extend(bias)
    return weights


def lookup(codes, bits, table):
    weights = schema.WeightParams(rawValue=pack_codes(np.asarray(codes), bits))
    weights.quantization.numberOfBits = bits
    weights.quantization.lookupTableQuantization.floatValue.extend(table)
    return weights


def signed(codes, scale, bias=()):
    weights = schema.WeightParams(int8RawValue=np.asarray(codes, np.int8).tobytes())
    weights.quantization.numberOfBits = 8
    weights.quantization.linearQuantization.scale.extend(scale)
    weights.quantization.linearQuantization.bias.extend(bias)
    return weights


def halves(values):
    return schema.WeightParams(float16Value=np.asarray(values, "<f2").tobytes())


def same_bits(actual, expected, dtype=np.float32):
    expected = np.asarray(expected, dtype)
    assert isinstance(actual, np.ndarray)
    assert (actual.dtype, actual.shape) == (np.dtype(dtype), expected.shape)
    assert actual.tobytes() == expected.tobytes(), f"{actual} is not {expected}"


def test_float32():
    stored = schema.WeightParams(floatValue=FLOATS)
    expected = np.array([struct.unpack("<f", struct.pack("<f", value))[0] for value in FLOATS]).reshape(3, 4)
    same_bits(decode_weights(stored, (3, 4)), expected)
    same_bits(decode_weights(stored, (3, 4), dtype=np.float64), expected, np.float64)


def test_float16_reads_little_endian_halves():
    data = b"".join(struct.pack("<e", value) for value in (0.1, -0.0, 65504.0, 6e-8, 1.0, -3.5))
    expected = np.array([struct.unpack_from("<e", data, 2 * i)[0] for i in range(6)]).reshape(2, 3)
    stored = schema.WeightParams(float16Value=data)
    same_bits(decode_weights(stored, (2, 3)), expected)
    same_bits(decode_weights(stored, (2, 3), dtype=np.float64), expected, np.float64)


def test_a_narrower_type_is_rounded_to_nearest_even():
    one, step = 1.0, 2.0**-10
    stored = schema.WeightParams(floatValue=[one + 0.5 * step, one + 1.5 * step, one + 0.75 * step])
    same_bits(decode_weights(stored, (3,), dtype=np.float16), [one, one + 2 * step, one + step], np.float16)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=0, max_size=40))
def test_encode_floats_round_trip(values):
    array = np.array(values, np.float32)
    stored = encode_floats(array)
    assert list(stored.floatValue) == [float(value) for value in array]
    same_bits(decode_weights(stored, array.shape), array)
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    stored = encode_floats(half)
    assert not stored.floatValue
    same_bits(decode_weights(stored, half.shape, dtype=np.float16), half, np.float16)


@pytest.mark.parametrize("count", [0, 1, 31, 32, 4095, 4096, 524287, 524288])
def test_encode_floats_at_the_borders_of_the_length_prefix(count):
    array = np.arange(count, dtype=np.float32)
    same_bits(decode_weights(encode_floats(array), (count,)), array)
    assert len(encode_floats(array).floatValue) == count


@st.composite
def quantized(draw):
    """Shape, width, codes, channel axis, channels: dimensions differ pairwise where there is room."""
    shape = tuple(draw(st.permutations([2, 3, 4, 5]))[: draw(st.integers(0, 4))])
    bits = draw(st.integers(1, 8))
    axis = draw(st.integers(0, max(len(shape) - 1, 0)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    codes = rng.integers(0, 1 << bits, shape).astype(np.uint8)
    return shape, bits, codes, axis, shape[axis] if shape else 1, rng


@given(quantized(), st.booleans(), st.sampled_from(["none", "one", "channels"]), st.integers(0, 3))
def test_linear_bit_for_bit(case, per_channel, bias_form, excess):
    shape, bits, codes, axis, channels, rng = case
    scale = rng.standard_normal(channels if per_channel else 1).astype(np.float32)
    bias = rng.standard_normal({"none": 0, "one": 1, "channels": channels}[bias_form]).astype(np.float32)
    stored = linear(codes, bits, scale, bias)
    stored.rawValue += b"\xff" * excess  # a stream may be longer than needed
    for dtype in (np.float32, np.float64):
        expected = np.empty(shape, dtype)
        for index in np.ndindex(shape):
            channel = index[axis] if shape else 0
            expected[index] = dtype(scale[channel % len(scale)]) * dtype(int(codes[index]))
            if len(bias):
                expected[index] = dtype(expected[index]) + dtype(bias[channel % len(bias)])
        same_bits(decode_weights(stored, shape, dtype=dtype, channel_axis=axis), expected, dtype)


@given(quantized(), st.integers(0, 3))
def test_lookup_table_bit_for_bit(case, excess):
    shape, bits, codes, axis, _, rng = case
    table = rng.standard_normal(1 << bits).astype(np.float32)
    stored = lookup(codes, bits, table)
    stored.rawValue += b"\xff" * excess
    for dtype in (np.float32, np.float64):
        expected = np.empty(shape, dtype)
        for index in np.ndindex(shape):
            expected[index] = table[int(codes[index])]
        same_bits(decode_weights(stored, shape, dtype=dtype, channel_axis=axis), expected, dtype)


@given(quantized(), st.booleans())
def test_int8_bit_for_bit(case, per_channel):
    shape, _, _, axis, channels, rng = case
    codes = rng.integers(-128, 128, shape).astype(np.int8)
    scale = rng.standard_normal(channels if per_channel else 1).astype(np.float32)
    for dtype in (np.float32, np.float64):
        expected = np.empty(shape, dtype)
        for index in np.ndindex(shape):
            channel = index[axis] if shape else 0
            expected[index] = dtype(scale[channel % len(scale)]) * dtype(int(codes[index]))
        same_bits(decode_weights(signed(codes, scale), shape, dtype=dtype, channel_axis=axis), expected, dtype)


VALID = {
    "float32": lambda count: schema.WeightParams(floatValue=range(count)),
    "float16": lambda count: halves(range(count)),
    "linear": lambda count: linear([1] * count, 3, [0.5], [2.0]),
    "lookup table": lambda count: lookup([2] * count, 2, [4.0, 5.0, 6.0, 7.0]),
    "int8": lambda count: signed([-3] * count, [0.25]),
}


@pytest.mark.parametrize("kind", VALID)
def test_the_result_belongs_to_the_caller(kind):
    stored = VALID[kind](6)
    before = stored.SerializeToString()
    first = decode_weights(stored, (2, 3))
    first[...] = -1
    assert decode_weights(stored, (2, 3))[0, 0] != -1
    assert stored.SerializeToString() == before


@pytest.mark.parametrize("kind", VALID)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_scalar(kind, dtype):
    value = decode_weights(VALID[kind](1), (), dtype=dtype)
    same_bits(value, {"linear": 2.5, "lookup table": 6.0, "int8": -0.75}.get(kind, 0.0), dtype)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 5)])
@pytest.mark.parametrize("kind", ["empty", *VALID])
def test_nothing_stored_for_a_shape_without_elements(kind, shape):
    stored = schema.WeightParams() if kind == "empty" else VALID[kind](0)
    same_bits(decode_weights(stored, shape), np.zeros(shape))


def test_a_stream_for_a_shape_without_elements_may_be_longer_too():
    same_bits(decode_weights(linear([1, 2, 3], 8, [1.0]), (0, 3)), np.zeros((0, 3)))


@pytest.mark.parametrize(
    ("kind", "bits", "size"),
    [("float32", 32, 44), ("float16", 16, 22), ("linear", 3, 5), ("lookup table", 2, 3), ("int8", 8, 11)],
)
def test_encoding(kind, bits, size):
    encoding = weight_encoding(VALID[kind](11))
    assert (encoding.kind, encoding.bits, encoding.size) == (kind, bits, size)


def test_encoding_of_nothing():
    encoding = weight_encoding(schema.WeightParams())
    assert (encoding.kind, encoding.bits, encoding.size) == ("empty", 0, 0)


def refused(stored, shape, match, **options):
    with pytest.raises(InvalidModelError, match=match) as caught:
        decode_weights(stored, shape, where=PLACE, **options)
    assert caught.value.where == PLACE
    assert str(caught.value).startswith(PLACE)


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
@pytest.mark.parametrize("count", [0, 1, 5, 7, 12])
def test_wrong_number_of_values(kind, count):
    refused(VALID[kind](count), (2, 3), f"holds {count} values, the declared shape 2 x 3 needs 6")


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_wrong_number_for_a_scalar(kind):
    refused(VALID[kind](2), (), "holds 2 values, the declared shape a scalar needs 1")


@pytest.mark.parametrize("kind", VALID)
def test_a_hostile_shape_costs_nothing(kind):
    refused(VALID[kind](6), (2**60, 2**60), "needs? ")


def test_half_a_half():
    refused(schema.WeightParams(float16Value=b"\0" * 13), (2, 3), "13 bytes, which is not a multiple of 2")


@given(st.integers(1, 8), st.integers(1, 60))
def test_stream_too_short(bits, count):
    stored = linear([0] * count, bits, [1.0])
    needed = math.ceil(count * bits / 8)
    assert len(stored.rawValue) == needed
    if needed > 1:  # an empty stream counts as nothing stored
        stored.rawValue = stored.rawValue[:-1]
        refused(stored, (count,), f"rawValue has {needed - 1} bytes, {count} codes of {bits} bits need {needed}")


def test_several_fields():
    for other in ({"float16Value": b"\0\0"}, {"rawValue": b"\0"}, {"int8RawValue": b"\0"}):
        stored = schema.WeightParams(floatValue=[1.0], **other)
        refused(stored, (1,), rf"several fields at once \(floatValue, {next(iter(other))}\)")


@pytest.mark.parametrize("bits", [0, 9, 16, 2**64 - 1])
def test_width_of_codes(bits):
    stored = linear([0] * 6, 8, [1.0])
    stored.quantization.numberOfBits = bits
    refused(stored, (6,), f"numberOfBits = {bits}, allowed are 1 to 8")


def test_codes_without_a_meaning():
    stored = schema.WeightParams(rawValue=b"\0")
    refused(stored, (1,), "numberOfBits = 0")
    stored.quantization.numberOfBits = 8
    refused(stored, (1,), "rawValue without linearQuantization or lookupTableQuantization")


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("off", [-1, 1])
def test_size_of_the_lookup_table(bits, off):
    entries = 1 << bits
    stored = lookup([0] * 5, bits, [0.5] * (entries + off))
    refused(stored, (5,), f"has {entries + off} entries, {bits} bits need {entries}")


@pytest.mark.parametrize("length", [0, 2, 4, 5])
def test_number_of_scales_and_biases(length):
    """Three channels on axis 1 of a shape whose other dimensions are 2 and 5."""
    refused(linear([0] * 30, 4, [1.0] * length), (2, 3, 5), f"has {length} scales, expected 1 or 3", channel_axis=1)
    refused(signed([0] * 30, [1.0] * length), (2, 3, 5), f"has {length} scales, expected 1 or 3", channel_axis=1)
    if length:
        stored = linear([0] * 30, 4, [1.0], [1.0] * length)
        refused(stored, (2, 3, 5), f"has {length} biases, expected 0, 1 or 3", channel_axis=1)


def test_signed_codes_take_no_bias():
    refused(signed([0] * 6, [1.0], [1.0]), (2, 3), "has 1 biases, but signed int8 codes take none")


def test_signed_codes_need_a_scale():
    refused(schema.WeightParams(int8RawValue=b"\1\2"), (2,), "has 0 scales, expected 1 or 2")


def test_floats_beside_fields_that_the_schema_does_not_know():
    """A later format may add fields, even of wire types that this schema never uses; what is not set stays not set."""
    # A group, which holds a string, which holds what would be a bias outside.
    bias = bytes([2 << 3 | 2, 4, *struct.pack("<f", 9.0)])
    group = bytes([15 << 3 | 3, 14 << 3 | 2, 2 + len(bias), 0, 0]) + bias + bytes([15 << 3 | 4])
    stored = linear([3], 8, [2.0])
    quantization = stored.quantization.linearQuantization
    quantization.MergeFromString(group)
    assert not quantization.bias
    same_bits(decode_weights(stored, (1,)), [6.0])
    known = schema.WeightParams(floatValue=[1.0, 2.0]).SerializeToString()
    floats = schema.WeightParams.FromString(group + known + group)
    same_bits(decode_weights(floats, (2,)), [1.0, 2.0])


def test_floats_written_one_by_one():
    """A writer need not pack a repeated field, and may split it; readers join the parts."""
    unpacked = b"".join(bytes([1 << 3 | 5]) + struct.pack("<f", value) for value in (1.0, 2.0, 3.0))
    split = unpacked + schema.WeightParams(floatValue=[4.0, 5.0]).SerializeToString()
    same_bits(decode_weights(schema.WeightParams.FromString(split), (5,)), [1.0, 2.0, 3.0, 4.0, 5.0])


class TestCoremltools:
    """The decoder that ships with coremltools computes in float64 and stores float32."""

    @pytest.fixture
    def theirs(self):
        reason = "coremltools is the second opinion on stored weights"
        utils = pytest.importorskip("coremltools.models.neural_network.quantization_utils", reason=reason)
        from coremltools.proto import NeuralNetwork_pb2

        def decode(stored, shape, axis):
            message = NeuralNetwork_pb2.WeightParams.FromString(stored.SerializeToString())
            utils._dequantize_wp(message, shape, axis)
            return np.array(message.floatValue, np.float32).reshape(shape)

        return decode

    @pytest.mark.parametrize("bits", range(1, 9))
    @pytest.mark.parametrize(("shape", "axis"), [((5, 3), 0), ((4, 3, 5, 2), 0), ((4, 3, 5, 2), 1), ((7,), 0)])
    def test_linear(self, theirs, bits, shape, axis):
        rng = np.random.default_rng(bits)
        codes = rng.integers(0, 1 << bits, shape)
        channels = 1 if len(shape) == 1 else shape[axis]
        scale, bias = rng.standard_normal((2, channels)).astype(np.float32)
        stored = linear(codes, bits, scale, bias)
        expected = theirs(stored, shape, axis)
        wide = decode_weights(stored, shape, dtype=np.float64, channel_axis=axis)
        same_bits(wide.astype(np.float32), expected)
        # Ours in float32 rounds the product, then the sum; theirs rounds once.
        unit = 2.0**-24
        along = [1] * len(shape)
        along[axis] = -1
        bound = unit * (np.abs(codes * scale.reshape(along)) + 2 * np.abs(wide)) * (1 + 4 * unit)
        assert (np.abs(decode_weights(stored, shape, channel_axis=axis) - expected) <= bound).all()

    @pytest.mark.parametrize("bits", range(1, 9))
    def test_lookup_table(self, theirs, bits):
        rng = np.random.default_rng(bits)
        stored = lookup(rng.integers(0, 1 << bits, (5, 3)), bits, rng.standard_normal(1 << bits).astype(np.float32))
        same_bits(decode_weights(stored, (5, 3)), theirs(stored, (5, 3), 0))
