"""Values in ML Programs: every type in every form, there and back; every way in which one can be wrong."""

from __future__ import annotations

import struct
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from refcoreml.errors import InvalidModelError, MalformedModelError, RefCoreMLError, UsageError
from refcoreml.spec import schema
from refcoreml.spec.blobs import WEIGHT_FILE, BlobFiles, BlobWriter
from refcoreml.spec.mil_types import (
    DATA_TYPES,
    DeclaredDictionary,
    DeclaredList,
    DeclaredState,
    DeclaredTensor,
    DeclaredTuple,
    DeclaredType,
    type_message,
)
from refcoreml.spec.mil_values import DEEPEST_VALUE, read_value, value_message

MIL = schema.MILSpec
PLACE = "function 'main', operation 'w' (const), parameter 'val'"


def tensor(name: str, *shape: int | None) -> DeclaredTensor:
    return DeclaredTensor(DATA_TYPES[name], shape)


TEXT, INTEGER, HALF = tensor("string"), tensor("int32"), tensor("fp16")


def immediate(declared: DeclaredType, **fields: Any) -> MIL.Value:
    """A message with elements in the fields named."""
    message = MIL.Value(type=type_message(declared))
    message.immediateValue.tensor.SetInParent()
    for name, values in fields.items():
        holder = getattr(message.immediateValue.tensor, name)
        holder.SetInParent()
        if name == "bytes":
            holder.values = values
        else:
            holder.values.extend(values)
    return message


def problem(message: MIL.Value, files: BlobFiles | None = None) -> str:
    with pytest.raises((InvalidModelError, MalformedModelError)) as caught:
        read_value(message, files, PLACE)
    assert caught.value.where.startswith(PLACE)
    return caught.value.problem


# --- what the schema says about each type -----------------------------------------------------------------------------

EXAMPLES: dict[str, tuple[dict[str, Any], Any]] = {
    "bool": ({"bools": [True, False, True]}, np.array([True, False, True])),
    "string": ({"strings": ["a", "", "ä"]}, np.array(["a", "", "ä"], object)),
    "fp16": ({"bytes": struct.pack("<3e", 1, -2.5, 65504)}, np.array([1, -2.5, 65504], np.float16)),
    "fp32": ({"floats": [1, -2.5, 3.4e38]}, np.array([1, -2.5, 3.4e38], np.float32)),
    "fp64": ({"doubles": [1, -0.1, 1e300]}, np.array([1, -0.1, 1e300])),
    "bf16": ({"bytes": struct.pack("<3H", 0x3F80, 0xC040, 0)}, np.array([1, -3, 0], np.float32)),
    "int8": ({"bytes": struct.pack("3b", -128, 127, 3)}, np.array([-128, 127, 3], np.int8)),
    "int16": ({"ints": [-32768, 32767, 3]}, np.array([-32768, 32767, 3], np.int16)),
    "int32": ({"ints": [-(2**31), 2**31 - 1, 3]}, np.array([-(2**31), 2**31 - 1, 3], np.int32)),
    "int64": ({"longInts": [-(2**63), 2**63 - 1, 3]}, np.array([-(2**63), 2**63 - 1, 3])),
    "uint8": ({"bytes": bytes([0, 255, 3])}, np.array([0, 255, 3], np.uint8)),
    "uint16": ({"ints": [0, 65535, 3]}, np.array([0, 65535, 3], np.uint16)),
    "uint32": ({"bytes": struct.pack("<3I", 0, 2**32 - 1, 3)}, np.array([0, 2**32 - 1, 3], np.uint32)),
    "uint64": ({"longInts": [0, -1, 3]}, np.array([0, 2**64 - 1, 3], np.uint64)),
    "int4": ({"bytes": bytes.fromhex("783f01")}, np.array([-8, 7, -1, 3, 1], np.int8)),
    "uint1": ({"bytes": bytes.fromhex("1901")}, np.array([1, 0, 0, 1, 1, 0, 0, 0, 1], np.uint8)),
    "uint2": ({"bytes": bytes([0b00_11_01_10])}, np.array([2, 1, 3], np.uint8)),
    "uint3": ({"bytes": bytes.fromhex("d1581f01")}, np.array([1, 2, 3, 4, 5, 6, 7, 0, 1], np.uint8)),
    "uint4": ({"bytes": bytes.fromhex("1f02")}, np.array([15, 1, 2], np.uint8)),
    "uint6": ({"bytes": bytes.fromhex("8130fc05")}, np.array([1, 2, 3, 63, 5], np.uint8)),
    "fp8e4m3fn": ({"bytes": bytes([0x7E, 0x80, 0x01])}, np.array([448, -0.0, 2.0**-9], np.float32)),
    "fp8e5m2": ({"bytes": bytes([0x7B, 0xFC, 0x01])}, np.array([57344, -np.inf, 2.0**-16], np.float32)),
}


def test_there_is_an_example_of_every_type() -> None:
    assert EXAMPLES.keys() == DATA_TYPES.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_immediate_tensors(name: str) -> None:
    fields, expected = EXAMPLES[name]
    declared = tensor(name, len(expected))
    message = immediate(declared, **fields)
    stored = read_value(message, where=PLACE)
    assert (stored.type, stored.place) == (declared, None)
    array = stored.get()
    assert isinstance(array, np.ndarray)
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)
    assert not array.flags.writeable
    assert value_message(declared, expected) == message


@pytest.mark.parametrize("name", EXAMPLES)
def test_scalars_and_shapes(name: str) -> None:
    expected = EXAMPLES[name][1]
    for array in (expected[2], expected[:2].reshape(1, 2, 1), expected[:0].reshape(0, 7)):
        array = np.asarray(array, expected.dtype)
        declared = DeclaredTensor(DATA_TYPES[name], array.shape)
        stored = read_value(value_message(declared, array))
        found: Any = stored.get()
        assert (found.dtype, found.shape, stored.type) == (array.dtype, array.shape, declared)
        np.testing.assert_array_equal(found, array)
        assert value_message(stored.type, found) == value_message(declared, array)


def test_an_empty_tensor_keeps_its_field() -> None:
    message = value_message(tensor("int32", 0), np.zeros(0, np.int32))
    assert message.immediateValue.tensor.WhichOneof("value") == "ints"
    message.immediateValue.tensor.ClearField("ints")  # other writers leave it out
    assert np.shape(read_value(message).get()) == (0,)


def test_python_values() -> None:
    def stored(declared: DeclaredType, value: Any) -> Any:
        return read_value(value_message(declared, value)).get()

    assert stored(INTEGER, 3).item() == 3
    assert stored(HALF, 0.1).item() == np.float16(0.1)
    assert stored(HALF, float("inf")).item() == np.inf
    assert stored(tensor("bool"), True).item() is True
    assert stored(TEXT, "same\0").item() == "same\0"
    assert stored(tensor("fp32", None), [1, 2.5]).tolist() == [1, 2.5]
    assert stored(tensor("string", None), ["a", "b"]).tolist() == ["a", "b"]
    assert stored(tensor("int4", 2), [-8, 7]).tolist() == [-8, 7]
    assert stored(tensor("int32", None), []).tolist() == []


@given(st.data())
def test_numpy_arrays_there_and_back(data: Any) -> None:
    name = data.draw(st.sampled_from(["fp16", "fp32", "fp64", "int8", "int32", "int64", "uint16", "uint64", "bool"]))
    dtype = DATA_TYPES[name].dtype
    array = data.draw(arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)))
    message = value_message(DeclaredTensor.of(array), array)
    found: Any = read_value(MIL.Value.FromString(message.SerializeToString())).get()
    assert found.tobytes() == array.tobytes()
    assert (found.dtype, found.shape) == (array.dtype, array.shape)


# --- files of weights -------------------------------------------------------------------------------------------------


def files_of(writer: BlobWriter) -> BlobFiles:
    return BlobFiles.of_bytes({"weights/weight.bin": writer.to_bytes()})


@pytest.mark.parametrize("name", [name for name, element in DATA_TYPES.items() if element.blob is not None])
def test_tensors_in_files(name: str) -> None:
    array = EXAMPLES[name][1][:3].reshape(3, 1)
    writer = BlobWriter()
    message = value_message(DeclaredTensor(DATA_TYPES[name], array.shape), array, writer)
    assert (message.blobFileValue.fileName, message.blobFileValue.offset) == (WEIGHT_FILE, 64)
    stored = read_value(message, files_of(writer), PLACE)
    found: Any = stored.get()
    assert stored.place == (WEIGHT_FILE, 64)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    assert not found.flags.writeable


def test_native_tensors_in_files_are_views() -> None:
    writer = BlobWriter()
    message = value_message(tensor("fp32", 2, 3), np.ones((2, 3), np.float32), writer)
    stored = read_value(message, files_of(writer))
    first, second = stored.get(), stored.get()
    assert isinstance(first, np.ndarray)
    assert isinstance(second, np.ndarray)
    assert np.shares_memory(first, second)


def in_file(declared: DeclaredType, path: str = WEIGHT_FILE, offset: int = 64) -> MIL.Value:
    message = MIL.Value(type=type_message(declared))
    message.blobFileValue.fileName, message.blobFileValue.offset = path, offset
    return message


@pytest.fixture
def files() -> BlobFiles:
    writer = BlobWriter()
    writer.add(np.ones(6, np.float16))
    writer.add(np.ones(6, np.uint8), DATA_TYPES["uint3"])
    return files_of(writer)


@pytest.mark.parametrize(
    ("declared", "path", "offset", "words"),
    [
        (tensor("fp32", 6), WEIGHT_FILE, 64, "the record has elements of type fp16, declared is tensor<fp32, [6]>"),
        (tensor("bool", 6), WEIGHT_FILE, 64, "the record has elements of type fp16"),
        (tensor("fp16", 2, 4), WEIGHT_FILE, 64, "holds 6 elements, but tensor<fp16, [2, 4]> has 8"),
        (tensor("uint3", 5), WEIGHT_FILE, 192, "holds 6 elements, but tensor<uint3, [5]> has 5"),
        (tensor("fp16", None), WEIGHT_FILE, 64, "does not say how many elements it has"),
        (DeclaredTensor(DATA_TYPES["fp16"], None), WEIGHT_FILE, 64, "does not say how many elements it has"),
        (DeclaredList(HALF, 6), WEIGHT_FILE, 64, "only tensors can be"),
        (tensor("fp16", 6), WEIGHT_FILE, 128, "begins with 0x3c003c00"),
        (tensor("fp16", 6), WEIGHT_FILE, 2**64 - 64, "no record can be there"),
        (tensor("fp16", 6), "@model_path/weights/other.bin", 64, "is not there"),
        (tensor("fp16", 6), "@model_path/../../../etc/passwd", 64, "leads out of the package"),
        (tensor("fp16", 6), "", 64, "begins with '@model_path/'"),
        (tensor("fp16", 2**40, 2**40), WEIGHT_FILE, 64, "larger than any can be"),
    ],
)
def test_references_that_do_not_fit(
    declared: DeclaredType, path: str, offset: int, words: str, files: BlobFiles
) -> None:
    assert words in problem(in_file(declared, path, offset), files)


def test_a_file_of_weights_without_a_package() -> None:
    with pytest.raises(MalformedModelError, match=r"was not loaded from a package.*Load the .mlpackage"):
        read_value(in_file(tensor("fp16", 6)))


# --- lists, tuples, dictionaries --------------------------------------------------------------------------------------

NESTED = DeclaredTuple((DeclaredList(tensor("fp16", 2), None), DeclaredDictionary(TEXT, INTEGER)))


def test_nested_values() -> None:
    value = ([np.float16([1, 2]), np.float16([3, 4])], {"a": 1, "b": -1})
    message = value_message(NESTED, value)
    stored = read_value(message)
    assert stored.type == NESTED
    pairs, names = stored.get()  # type: ignore[misc]
    assert names == {"a": 1, "b": -1}
    assert [pair.tolist() for pair in pairs] == [[1, 2], [3, 4]]
    assert value_message(NESTED, stored.get()) == message


def test_empty_containers() -> None:
    for declared, value in ((DeclaredList(HALF, 0), []), (DeclaredTuple(()), ()), (DeclaredDictionary(TEXT, TEXT), {})):
        assert read_value(value_message(declared, value)).get() == value


def test_labels_of_a_classifier() -> None:
    labels = DeclaredDictionary(tensor("int64"), tensor("fp64"))
    assert read_value(value_message(labels, {3: 0.5, -(2**40): 0.25})).get() == {3: 0.5, -(2**40): 0.25}


def doubled() -> MIL.Value:
    message = value_message(DeclaredDictionary(TEXT, INTEGER), {"a": 1, "b": 2})
    message.immediateValue.dictionary.values[1].key.CopyFrom(value_message(TEXT, "a"))
    return message


def other_item() -> MIL.Value:
    message = value_message(DeclaredList(tensor("fp16", 2), None), [np.float16([1, 2])])
    message.immediateValue.list.values[0].CopyFrom(value_message(tensor("fp16", 3), np.float16([1, 2, 3])))
    return message


def retyped(message: MIL.Value, declared: DeclaredType) -> MIL.Value:
    message.type.CopyFrom(type_message(declared))
    return message


def deep(levels: int) -> MIL.Value:
    message = value_message(INTEGER, 1)
    declared: DeclaredType = INTEGER
    for _ in range(levels):
        outer = MIL.Value()
        outer.immediateValue.tuple.values.append(message)
        declared = DeclaredTuple((declared,))
        outer.type.CopyFrom(type_message(declared))
        message = outer
    return message


LIST = value_message(DeclaredList(INTEGER, None), [1, 2, 3])


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (MIL.Value(), "has no type"),
        (MIL.Value(type=type_message(HALF)), "a value of type tensor<fp16, []> is missing"),
        (immediate(DeclaredState(HALF), bytes=b"xx"), "declared is state<"),
        (immediate(tensor("fp16", 3), floats=[1, 2, 3]), "has its elements in 'floats', expected 'bytes'"),
        (immediate(tensor("fp32", 3), bytes=bytes(12)), "has its elements in 'bytes', expected 'floats'"),
        (immediate(tensor("fp32", 3), floats=[1]), "holds 1 elements, but tensor<fp32, [3]> has 3"),
        (immediate(tensor("fp32"), floats=[1, 2]), "holds 2 elements, but tensor<fp32, []> has 1"),
        (immediate(tensor("fp32", 2)), "holds 0 elements"),
        (immediate(tensor("fp16", 3), bytes=bytes(5)), "holds 5 bytes, but tensor<fp16, [3]> has 6"),
        (immediate(tensor("uint3", 9), bytes=bytes(5)), "holds 5 bytes, but tensor<uint3, [9]> has 4"),
        (immediate(tensor("uint16", 2), ints=[1, -1]), "holds -1, which uint16 does not have"),
        (immediate(tensor("int16", 2), ints=[1, 32768]), "holds 32768, which int16 does not have"),
        (immediate(tensor("fp32", 2**62, 0), floats=[]), "larger than any can be"),
        (immediate(tensor("fp16", 2**30), bytes=b""), "holds 0 bytes, but tensor<fp16, [1073741824]> has 2147483648"),
        (retyped(value_message(NESTED, ([], {})), DeclaredTuple(())), "a tuple has 2 values, declared is tuple<>"),
        (retyped(LIST.__deepcopy__({}), DeclaredList(INTEGER, 2)), "a list has 3 values"),
        (retyped(LIST.__deepcopy__({}), tensor("int32", 3)), "holds a list, declared is tensor<int32, [3]>"),
        (doubled(), "has the key 'a' twice"),
        (other_item(), "is of type tensor<fp16, [3]>, declared is tensor<fp16, [2]>"),
        (deep(DEEPEST_VALUE + 1), "nested more than 32 levels"),
    ],
)
def test_what_is_refused(message: MIL.Value, words: str) -> None:
    assert words in problem(message)


def test_keys_that_no_dictionary_has() -> None:
    declared = DeclaredDictionary(tensor("fp16"), INTEGER)
    assert "keys of a dictionary" in problem(retyped(value_message(DeclaredDictionary(TEXT, INTEGER), {}), declared))


def test_the_place_inside_is_named() -> None:
    with pytest.raises(InvalidModelError) as caught:
        read_value(other_item(), where=PLACE)
    assert caught.value.where == f"{PLACE}, value 0"


def test_shapes_cost_nothing() -> None:
    """A value of gigabytes by its shape, but of few bytes, is refused before anything is made."""
    started = time.process_time()
    for declared in (tensor("uint1", 2**40), tensor("fp32", 2**40), tensor("string", 2**40)):
        assert "holds" in problem(
            immediate(declared, **{declared.element.field: b"" if declared.element.field == "bytes" else []})
        )
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("declared", "value", "words"),
    [
        (tensor("fp16", 2), np.zeros(2, np.float32), "got an array of type float32, expected float16"),
        (tensor("fp16", 2), np.zeros(3, np.float16), r"got an array of shape \(3,\)"),
        (INTEGER, 0.5, "got an array of type float64, expected int32"),
        (INTEGER, 2**31, "got numbers from 2147483648 to 2147483648"),
        (tensor("bool"), 1, "expected bool"),
        (HALF, 1e6, "beyond the range of tensor<fp16"),
        (TEXT, 1, "cannot be stored"),
        (tensor("int4"), 8, r"integers of 4 bits lie in \[-8, 7\]"),
        (tensor("int32", None), [[1], [2, 3]], "differ in length"),
        (tensor("string", 1), np.array([3], object), "cannot be stored"),
        (DeclaredList(INTEGER, 2), [1], "got list"),
        (DeclaredDictionary(TEXT, INTEGER), [1], "got list"),
        (DeclaredState(HALF), 1, "got int, expected a value of type state"),
    ],
)
def test_values_that_are_not_of_the_type(declared: DeclaredType, value: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        value_message(declared, value)


def base() -> list[MIL.Value]:
    writer = BlobWriter()
    return [
        value_message(NESTED, ([np.float16([1, 2])], {"a": 1})),
        value_message(tensor("uint3", 9), np.arange(9, dtype=np.uint8) % 8),
        value_message(tensor("fp16", 3, 2), np.ones((3, 2), np.float16), writer),
    ]


@given(st.data())
def test_mutations_are_refused_or_read(data: Any) -> None:
    writer = BlobWriter()
    writer.add(np.ones((3, 2), np.float16))
    content = bytearray(data.draw(st.sampled_from(base())).SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = MIL.Value.FromString(bytes(content))
    except Exception:  # protobuf refuses it
        return
    where = PLACE
    try:
        read_value(message, files_of(writer), PLACE).get()
    except RefCoreMLError as error:
        where = error.where
    assert where.startswith(PLACE)


@pytest.mark.parametrize("values", [[0, 2**63], [2**64 - 1, 1], [2**63 + 1]])
def test_large_integers_keep_their_bits(values):
    """NumPy makes floats of a list that holds both small integers and those beyond 2^63."""
    declared = DeclaredTensor(DATA_TYPES["uint64"], (len(values),))
    assert read_value(value_message(declared, values)).get().tolist() == values
    with pytest.raises(UsageError, match="which tensor<uint64"):
        value_message(declared, [*values[:-1], 2**64])
    with pytest.raises(UsageError, match="float64"):
        value_message(declared, [0.5] * len(values))
