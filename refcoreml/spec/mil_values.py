"""Values in ML Programs, `MILSpec.Value`: checked and decoded to arrays, lists, tuples and dictionaries, and back."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from refcoreml.errors import InvalidModelError, MalformedModelError, UsageError, at, within
from refcoreml.spec import schema
from refcoreml.spec.blobs import WEIGHT_FILE, BlobFiles, BlobWriter
from refcoreml.spec.mil_elements import decode_elements, encode_elements, size_in_bytes
from refcoreml.spec.mil_types import (
    DataType,
    DeclaredDictionary,
    DeclaredList,
    DeclaredTensor,
    DeclaredTuple,
    DeclaredType,
    read_type,
    type_message,
)
from refcoreml.spec.packed import packed_field, read_packed
from refcoreml.types import Array, Shape

__all__ = ["StoredValue", "Value", "read_value", "value_message"]

#: A tensor is an array, also one of rank 0. Keys of dictionaries are numbers or texts, and so are their scalar values.
Value: TypeAlias = "Array | list[Any] | tuple[Any, ...] | dict[Any, Any]"

#: How deep values may be nested; real ones have two levels.
DEEPEST_VALUE = 32
#: The most elements that a tensor may seem to have, even if one of its axes has the length 0.
_MOST_ELEMENTS = 2**48
#: The fields of elements that have a fixed size in the file, and how one is stored.
_PACKED = {"floats": "<f4", "doubles": "<f8", "bools": "?"}


@dataclass(frozen=True, eq=False)
class StoredValue:
    """A value that has been checked, and is decoded by `get`.

    Attributes:
        type: its type; all lengths of a tensor are known.
        place: file and offset of a tensor in a file of weights; equal places hold equal elements.
    """

    type: DeclaredType
    place: tuple[str, int] | None
    _decode: Callable[[], Value]

    def get(self) -> Value:
        """Return the value: for a tensor, an array that cannot be written to.

        It is decoded each time; an array of elements that NumPy has is a view of the mapped file, which costs nothing.
        """
        return self._decode()


def read_value(message: schema.MILSpec.Value, files: BlobFiles | None = None, where: str = "") -> StoredValue:
    """Check a value; nothing large is decoded yet.

    Args:
        message: the value.
        files: the model's files of weights, if it has a folder for them.
        where: its place in the program, for errors.

    Raises:
        InvalidModelError: the value does not fit its type.
        MalformedModelError: the file of weights is damaged, missing, or leads out of the package.
    """
    with within(where) if where else at(""):
        return _read(message, files, 0)


def _read(message: schema.MILSpec.Value, files: BlobFiles | None, depth: int) -> StoredValue:
    if depth > DEEPEST_VALUE:
        raise InvalidModelError(f"a value is nested more than {DEEPEST_VALUE} levels deep")
    declared = read_type(message.type)
    match message.WhichOneof("value"):
        case "blobFileValue":
            return _read_blob(declared, message.blobFileValue, files)
        case "immediateValue":
            return _read_immediate(declared, message.immediateValue, files, depth)
    raise InvalidModelError(f"a value of type {declared} is missing")


def _read_blob(
    declared: DeclaredType, message: schema.MILSpec.Value.BlobFileValue, files: BlobFiles | None
) -> StoredValue:
    if not isinstance(declared, DeclaredTensor):
        raise InvalidModelError(f"a value of type {declared} is in a file of weights, where only tensors can be")
    shape = _shape(declared)
    if files is None:
        raise MalformedModelError(
            f"the value is in {message.fileName!r}, but the model was not loaded from a package",
            remedy="Load the .mlpackage by its path",
        )
    path, offset = message.fileName, int(message.offset)
    record = files.record(path, offset)
    with at(f"{path}, offset {offset}"):
        if record.element != declared.element:
            raise InvalidModelError(f"the record has elements of type {record.element}, declared is {declared}")
        _check_count(declared, shape, record.count)
    return StoredValue(declared, (path, offset), lambda: _finished(record.array(), shape))


def _read_immediate(
    declared: DeclaredType, message: schema.MILSpec.Value.ImmediateValue, files: BlobFiles | None, depth: int
) -> StoredValue:
    kind = message.WhichOneof("value")
    match declared:
        case DeclaredTensor() if kind == "tensor":
            return _read_tensor(declared, message.tensor)
        case DeclaredList(element, length) if kind == "list":
            found = message.list.values
            if length not in (None, len(found)):
                raise InvalidModelError(f"a list has {len(found)} values, declared is {declared}")
            items = _read_each(found, [element] * len(found), files, depth)
            return StoredValue(declared, None, lambda: [item.get() for item in items])
        case DeclaredTuple(types) if kind == "tuple":
            if len(types) != len(message.tuple.values):
                raise InvalidModelError(f"a tuple has {len(message.tuple.values)} values, declared is {declared}")
            items = _read_each(message.tuple.values, types, files, depth)
            return StoredValue(declared, None, lambda: tuple(item.get() for item in items))
        case DeclaredDictionary(key, value) if kind == "dictionary":
            pairs = message.dictionary.values
            keys = _read_each([pair.key for pair in pairs], [key] * len(pairs), files, depth)
            items = _read_each([pair.value for pair in pairs], [value] * len(pairs), files, depth)
            return _dictionary(declared, keys, items)
    raise InvalidModelError(f"holds {f'a {kind}' if kind else 'nothing'}, declared is {declared}")


def _read_each(
    messages: Sequence[schema.MILSpec.Value], types: Sequence[DeclaredType], files: BlobFiles | None, depth: int
) -> list[StoredValue]:
    found = []
    for index, (message, declared) in enumerate(zip(messages, types, strict=True)):
        with within(f"value {index}"):
            item = _read(message, files, depth + 1)
            if not _is_of(item.type, declared):
                raise InvalidModelError(f"is of type {item.type}, declared is {declared}")
            found.append(item)
    return found


def _is_of(found: DeclaredType, declared: DeclaredType) -> bool:
    """Return whether a value's own type is one of those that the type around it allows."""
    match declared, found:
        case DeclaredTensor(element, shape), DeclaredTensor(own, lengths):
            if element != own or shape is None or lengths is None:
                return element == own
            return len(shape) == len(lengths) and all(a in (None, b) for a, b in zip(shape, lengths, strict=True))
        case DeclaredList(element, length), DeclaredList(own, count):
            return length in (None, count) and _is_of(own, element)
        case DeclaredTuple(types), DeclaredTuple(own_types):
            return len(types) == len(own_types) and all(map(_is_of, own_types, types))
        case DeclaredDictionary(key, value), DeclaredDictionary(own_key, own_value):
            return _is_of(own_key, key) and _is_of(own_value, value)
    return False


def _dictionary(declared: DeclaredDictionary, keys: list[StoredValue], items: list[StoredValue]) -> StoredValue:
    if not any(declared.key == DeclaredTensor(element, ()) for element in _KEYS):
        raise InvalidModelError(f"the keys of a dictionary are of type {declared.key}, expected texts or integers")
    names = [_plain(key.get()) for key in keys]
    double = next((name for name, count in Counter(names).items() if count > 1), None)
    if double is not None:
        raise InvalidModelError(f"a dictionary has the key {double!r} twice")
    return StoredValue(declared, None, lambda: dict(zip(names, (_plain(item.get()) for item in items), strict=True)))


_KEYS = [DataType.of(dtype) for dtype in (object, np.int32, np.int64)]


def _plain(value: Value) -> Any:
    """Return a tensor of rank 0 as a Python number or text."""
    return value.item() if isinstance(value, np.ndarray) and not value.ndim else value


def _shape(declared: DeclaredTensor) -> Shape:
    """Return the shape of a tensor that is given, which has to be known."""
    shape = declared.known_shape
    if shape is None:
        raise InvalidModelError(f"a value is given, but its type {declared} does not say how many elements it has")
    if math.prod(max(length, 1) for length in shape) > _MOST_ELEMENTS:
        raise InvalidModelError(f"a value of type {declared} is larger than any can be")
    return shape


def _check_count(declared: DeclaredTensor, shape: Shape, count: int) -> None:
    if count != math.prod(shape):
        raise InvalidModelError(f"holds {count} elements, but {declared} has {math.prod(shape)}")


def _finished(flat: Array, shape: Shape) -> Array:
    array = flat.reshape(shape)
    array.setflags(write=False)
    return array


def _read_tensor(declared: DeclaredTensor, message: schema.MILSpec.TensorValue) -> StoredValue:
    shape, element = _shape(declared), declared.element
    field = message.WhichOneof("value")
    if field is None:
        _check_count(declared, shape, 0)
        return StoredValue(declared, None, lambda: _finished(np.empty(0, element.dtype), shape))
    if field != element.field:
        raise InvalidModelError(f"has its elements in {field!r}, expected {element.field!r} for {declared}")
    holder = getattr(message, field)
    values = holder.values
    if field == "bytes":
        needed, count = size_in_bytes(element, math.prod(shape)), math.prod(shape)
        if len(values) != needed:
            raise InvalidModelError(f"holds {len(values)} bytes, but {declared} has {needed}")
        return StoredValue(declared, None, lambda: _finished(decode_elements(element, values, count), shape))
    _check_count(declared, shape, len(values))
    array = _finished(_numbers(element, holder), shape)
    return StoredValue(declared, None, lambda: array)


def _numbers(element: DataType, holder: Any) -> Array:
    """Elements of a repeated field as an array, of their own type."""
    values = holder.values
    if element.field in _PACKED:
        return read_packed(holder, "values", _PACKED[element.field]).astype(element.dtype, copy=False)
    if element.name == "string":
        array = np.empty(len(values), object)
        array[:] = values
        return array
    if element.name == "uint64":  # the upper half of them has negative numbers in the field
        return np.fromiter(values, np.int64, len(values)).view(np.uint64)
    if element.field == "longInts":
        return np.fromiter(values, element.dtype, len(values))
    wide = np.fromiter(values, np.int32, len(values))
    limits = np.iinfo(element.dtype)
    wrong = (wide < limits.min) | (wide > limits.max)
    if wrong.any():
        raise InvalidModelError(f"holds {wide[wrong][0]}, which {element} does not have")
    return wide.astype(element.dtype, copy=False)


def value_message(
    declared: DeclaredType, value: Any, writer: BlobWriter | None = None, file: str = WEIGHT_FILE
) -> schema.MILSpec.Value:
    """Return the message of a value, the reverse of `read_value`.

    Args:
        declared: its type; unknown lengths are taken from the value.
        value: for a tensor an array of ``element.dtype``, or Python numbers or texts; for others as from `read_value`.
        writer: where a tensor goes; without one, and for all other types, the message holds the value.
        file: what the program will call the file of that writer.

    Raises:
        UsageError: the value is not of the type.
    """
    message = schema.MILSpec.Value()
    match declared:
        case DeclaredTensor(element, _):
            array = _as_array(declared, value)
            message.type.CopyFrom(type_message(DeclaredTensor(element, array.shape)))
            if writer is not None:
                message.blobFileValue.fileName, message.blobFileValue.offset = file, writer.add(array, element)
            else:
                _write_tensor(message.immediateValue.tensor, element, array)
            return message
        case DeclaredList(element_type, length) if isinstance(value, list) and length in (None, len(value)):
            message.immediateValue.list.SetInParent()
            message.immediateValue.list.values.extend(value_message(element_type, item) for item in value)
        case DeclaredTuple(types) if isinstance(value, tuple) and len(types) == len(value):
            message.immediateValue.tuple.SetInParent()
            message.immediateValue.tuple.values.extend(map(value_message, types, value))
        case DeclaredDictionary(key_type, value_type) if isinstance(value, dict):
            message.immediateValue.dictionary.SetInParent()
            for key, item in value.items():
                pair = message.immediateValue.dictionary.values.add()
                pair.key.CopyFrom(value_message(key_type, key))
                pair.value.CopyFrom(value_message(value_type, item))
        case _:
            raise UsageError(f"got {type(value).__name__}, expected a value of type {declared}")
    message.type.CopyFrom(type_message(declared))
    return message


def _as_array(declared: DeclaredTensor, value: Any) -> Array:
    """Return the value as an array that fits its type; Python numbers are rounded to floats, nothing else changes."""
    dtype = declared.element.dtype
    array = value if isinstance(value, (np.ndarray, np.generic)) else _from_python(value, declared)
    array = np.asarray(array, object) if array.dtype.kind == "U" else np.asarray(array)
    if array.dtype != dtype:
        raise UsageError(f"got an array of type {array.dtype}, expected {dtype} for {declared}")
    if not _is_of(DeclaredTensor(declared.element, array.shape), declared):
        raise UsageError(f"got an array of shape {array.shape}, expected {declared}")
    return array


def _from_python(value: Any, declared: DeclaredTensor) -> Array:
    dtype = declared.element.dtype
    if dtype.kind == "O":  # NumPy's own type for texts drops zeros at their ends
        return np.asarray(value, object)
    shape = _lengths(value, declared)
    array = np.asarray(value) if math.prod(shape) else np.empty(shape, dtype)
    allowed = {"f": "iuf", "i": "iu", "u": "iu", "b": "b"}[dtype.kind]
    if dtype.kind in "iu" and array.dtype.kind in "fO":  # what NumPy makes of 0 beside 2^63, in which bits are lost
        exact = np.asarray(value, object)
        if all(type(item) is int for item in exact.flat):
            array, allowed = exact, "O"
    if array.dtype == dtype or array.dtype.kind not in allowed:
        return array
    if dtype.kind in "iu" and array.size:
        limits = np.iinfo(dtype)
        if array.min() < limits.min or array.max() > limits.max:
            raise UsageError(f"got numbers from {array.min()} to {array.max()}, which {declared} does not have")
    with np.errstate(over="ignore"):
        rounded = array.astype(dtype)
    if dtype.kind == "f" and (np.isinf(rounded) & np.isfinite(array)).any():
        raise UsageError(f"got a number beyond the range of {declared}")
    return rounded


def _lengths(value: Any, declared: DeclaredTensor) -> Shape:
    """Return the shape of numbers in lists of lists, which must be of equal lengths."""
    if not isinstance(value, (list, tuple)):
        return ()
    inner = {_lengths(item, declared) for item in value}
    if len(inner) > 1:
        raise UsageError(f"got lists that differ in length, expected {declared}")
    return (len(value), *(inner.pop() if inner else ()))


def _write_tensor(message: schema.MILSpec.TensorValue, element: DataType, array: Array) -> None:
    field = getattr(message, element.field)
    field.SetInParent()  # it is there even if there are no elements
    if element.field == "bytes":
        field.values = bytes(encode_elements(element, array))
        return
    flat = array.reshape(-1)
    if element.field in _PACKED:
        field.MergeFromString(packed_field(type(field), "values", flat.astype(_PACKED[element.field], copy=False)))
        return
    try:
        field.values.extend((flat.view(np.int64) if element.name == "uint64" else flat).tolist())
    except (TypeError, ValueError) as error:
        raise UsageError(f"cannot be stored: {error}") from error
