"""Types of ML Programs: of elements (`DataType`), and of values (`DeclaredType`).

The classes know no messages; `read_type` and `type_message` convert. As text they are what ``model.mil`` holds, such as
``tensor<fp16, [1, ?]>``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from refcoreml.errors import InvalidModelError
from refcoreml.spec import schema
from refcoreml.types import Array, Shape, TensorType

__all__ = [
    "DATA_TYPES",
    "DataType",
    "DeclaredDictionary",
    "DeclaredList",
    "DeclaredState",
    "DeclaredTensor",
    "DeclaredTuple",
    "DeclaredType",
    "agree",
    "read_type",
    "type_message",
]

#: How deep types may be nested; real ones have two levels.
DEEPEST_TYPE = 32
#: The most axes that the declaration of a tensor may have; tensors at run time have five, tables of weights some more.
MOST_AXES = 16
#: The longest axis that can be counted.
LONGEST_AXIS = 2**63 - 1


@dataclass(frozen=True)
class DataType:
    """The type of an element.

    Attributes:
        name: as in ``model.mil``.
        number: of the schema's enum ``DataType``.
        bits: of an element as it is stored; 0 for strings.
        dtype: NumPy's type of decoded elements, which for types that NumPy lacks is one that holds them exactly.
        blob: its number in files of weights; None where they cannot hold it.
        field: which field of ``TensorValue`` holds elements.
    """

    name: str
    number: int
    bits: int
    dtype: np.dtype[Any]
    blob: int | None
    field: str

    @property
    def native(self) -> bool:
        """Whether what is stored is what NumPy computes with."""
        return self.bits == 8 * self.dtype.itemsize and self.name != "string"

    @staticmethod
    def of(dtype: DTypeLike) -> DataType:
        """Return the type of elements that are stored as arrays of NumPy's type are; texts are strings.

        Raises:
            KeyError: there is none.
        """
        wanted = np.dtype(dtype)
        return DATA_TYPES["string"] if wanted.kind in "OU" else _NATIVE[wanted]

    def __str__(self) -> str:
        return self.name


def _table() -> Iterable[DataType]:
    for name, number, bits, dtype, blob, field in (
        ("bool", 1, 8, "?", None, "bools"),
        ("string", 2, 0, "O", None, "strings"),
        ("fp16", 10, 16, "<f2", 1, "bytes"),
        ("fp32", 11, 32, "<f4", 2, "floats"),
        ("fp64", 12, 64, "<f8", None, "doubles"),
        ("bf16", 13, 16, "<f4", 5, "bytes"),
        ("int8", 21, 8, "i1", 4, "bytes"),
        ("int16", 22, 16, "<i2", 6, "ints"),
        ("int32", 23, 32, "<i4", 14, "ints"),
        ("int64", 24, 64, "<i8", None, "longInts"),
        ("int4", 25, 4, "i1", 8, "bytes"),
        ("uint8", 31, 8, "u1", 3, "bytes"),
        ("uint16", 32, 16, "<u2", 7, "ints"),
        ("uint32", 33, 32, "<u4", 15, "bytes"),
        ("uint64", 34, 64, "<u8", None, "longInts"),
        ("uint4", 35, 4, "u1", 11, "bytes"),
        ("uint2", 36, 2, "u1", 10, "bytes"),
        ("uint1", 37, 1, "u1", 9, "bytes"),
        ("uint6", 38, 6, "u1", 13, "bytes"),
        ("uint3", 39, 3, "u1", 12, "bytes"),
        ("fp8e4m3fn", 40, 8, "<f4", 16, "bytes"),
        ("fp8e5m2", 41, 8, "<f4", 17, "bytes"),
    ):
        yield DataType(name, number, bits, np.dtype(dtype), blob, field)


#: All types of elements by name.
DATA_TYPES = {element.name: element for element in _table()}
_BY_NUMBER = {element.number: element for element in DATA_TYPES.values()}
_NATIVE = {element.dtype: element for element in DATA_TYPES.values() if element.native}


@dataclass(frozen=True)
class DeclaredTensor:
    """A tensor as a program declares it; what it declares need not be all that a run will know.

    Attributes:
        element: the type of its elements.
        shape: the lengths of its axes, None for those that are unknown; empty for a scalar; None as a whole where not
            even the number of axes is known.
    """

    element: DataType
    shape: tuple[int | None, ...] | None

    @staticmethod
    def of(array: Array) -> DeclaredTensor:
        """Return the type of an array, whose elements are stored as they are."""
        return DeclaredTensor(DataType.of(array.dtype), array.shape)

    @property
    def rank(self) -> int | None:
        """The number of axes, where it is known."""
        return None if self.shape is None else len(self.shape)

    @property
    def tensor(self) -> TensorType | None:
        """The type of the decoded array, where all lengths are known."""
        shape = self.known_shape
        return None if shape is None else TensorType(self.element.dtype, shape)

    @property
    def known_shape(self) -> Shape | None:
        """The shape, where all lengths are known."""
        if self.shape is None:
            return None
        known = tuple(length for length in self.shape if length is not None)
        return known if len(known) == len(self.shape) else None

    def admits(self, found: TensorType) -> bool:
        """Return whether an array of this type fits the declaration."""
        if found.dtype != self.element.dtype:
            return False
        if self.shape is None:
            return True
        return len(found.shape) == len(self.shape) and all(
            declared in (None, length) for declared, length in zip(self.shape, found.shape, strict=True)
        )

    def __str__(self) -> str:
        if self.shape is None:
            return f"tensor<{self.element}, ?>"
        return f"tensor<{self.element}, [{', '.join('?' if length is None else str(length) for length in self.shape)}]>"


@dataclass(frozen=True)
class DeclaredList:
    """A list of values of one type; its length is None where it grows."""

    element: DeclaredType
    length: int | None

    def __str__(self) -> str:
        return f"list<{self.element}, {'?' if self.length is None else self.length}>"


@dataclass(frozen=True)
class DeclaredTuple:
    """Several values, each of its own type."""

    types: tuple[DeclaredType, ...]

    def __str__(self) -> str:
        return f"tuple<{', '.join(map(str, self.types))}>"


@dataclass(frozen=True)
class DeclaredDictionary:
    """Values by keys, all of one type each."""

    key: DeclaredType
    value: DeclaredType

    def __str__(self) -> str:
        return f"dict<{self.key}, {self.value}>"


@dataclass(frozen=True)
class DeclaredState:
    """A value that outlives a prediction."""

    wrapped: DeclaredType

    def __str__(self) -> str:
        return f"state<{self.wrapped}>"


DeclaredType: TypeAlias = "DeclaredTensor | DeclaredList | DeclaredTuple | DeclaredDictionary | DeclaredState"


def agree(one: DeclaredType, other: DeclaredType) -> bool:
    """Return whether a value may be of both types: they are equal, but for lengths that are unknown.

    Those of lists do not count, as converters declare how long a list is at first, even if it grows.
    """
    match one, other:
        case DeclaredTensor(), DeclaredTensor():
            return one.element == other.element and _agree_shapes(one.shape, other.shape)
        case DeclaredList(), DeclaredList():
            return agree(one.element, other.element)
    return one == other


def _agree_shapes(one: Sequence[int | None] | None, other: Sequence[int | None] | None) -> bool:
    if one is None or other is None:
        return True
    return len(one) == len(other) and all(None in both or len(set(both)) == 1 for both in zip(one, other, strict=True))


def read_type(message: schema.MILSpec.ValueType, where: str = "", _depth: int = 0) -> DeclaredType:
    """Return the type that a message declares.

    Raises:
        InvalidModelError: it declares none, one that the schema does not define, or a shape that is none.
    """
    if _depth > DEEPEST_TYPE:
        raise InvalidModelError(f"a type is nested more than {DEEPEST_TYPE} levels deep", where=where)
    depth = _depth + 1
    match message.WhichOneof("type"):
        case "tensorType":
            return _read_tensor(message.tensorType, where)
        case "listType":
            (length,) = _lengths([message.listType.length], where)
            return DeclaredList(read_type(message.listType.type, where, depth), length)
        case "tupleType":
            return DeclaredTuple(tuple(read_type(inner, where, depth) for inner in message.tupleType.types))
        case "dictionaryType":
            inner = message.dictionaryType
            return DeclaredDictionary(read_type(inner.keyType, where, depth), read_type(inner.valueType, where, depth))
        case "stateType":
            return DeclaredState(read_type(message.stateType.wrappedType, where, depth))
    raise InvalidModelError("has no type", where=where)


def _read_tensor(message: schema.MILSpec.TensorType, where: str) -> DeclaredTensor:
    element = _BY_NUMBER.get(message.dataType)
    if element is None:
        raise InvalidModelError(
            f"has elements of type {message.dataType}, which the schema does not define", where=where
        )
    count = len(message.dimensions)
    if message.rank < 0 and not count:
        return DeclaredTensor(element, None)
    # Writers may leave out the rank, which the dimensions say anyway.
    if message.rank not in (0, count):
        raise InvalidModelError(f"is of rank {message.rank}, but has {count} dimensions", where=where)
    if count > MOST_AXES:
        raise InvalidModelError(f"has {count} dimensions, at most {MOST_AXES} are allowed", where=where)
    if any(dimension.unknown.variadic for dimension in message.dimensions):  # stands for any number of axes
        return DeclaredTensor(element, None)
    return DeclaredTensor(element, _lengths(message.dimensions, where))


def _lengths(dimensions: Iterable[schema.MILSpec.Dimension], where: str) -> tuple[int | None, ...]:
    found: list[int | None] = []
    for dimension in dimensions:
        match dimension.WhichOneof("dimension"):
            case "constant":
                if dimension.constant.size > LONGEST_AXIS:
                    raise InvalidModelError(f"has a dimension of {dimension.constant.size}", where=where)
                found.append(int(dimension.constant.size))
            case "unknown":
                if dimension.unknown.variadic:
                    raise InvalidModelError("has a length that stands for any number of axes", where=where)
                found.append(None)
            case _:
                raise InvalidModelError("has a dimension that is neither constant nor unknown", where=where)
    return tuple(found)


def type_message(declared: DeclaredType) -> schema.MILSpec.ValueType:
    """Return the message that declares a type, the reverse of `read_type`."""
    message = schema.MILSpec.ValueType()
    match declared:
        case DeclaredTensor(element, shape):
            tensor = message.tensorType
            tensor.dataType = element.number
            tensor.rank = -1 if shape is None else len(shape)
            for length in shape or ():
                _write_length(tensor.dimensions.add(), length)
        case DeclaredList(inner, length):
            message.listType.type.CopyFrom(type_message(inner))
            _write_length(message.listType.length, length)
        case DeclaredTuple(types):
            message.tupleType.SetInParent()
            message.tupleType.types.extend(map(type_message, types))
        case DeclaredDictionary(key, value):
            message.dictionaryType.keyType.CopyFrom(type_message(key))
            message.dictionaryType.valueType.CopyFrom(type_message(value))
        case DeclaredState(wrapped):
            message.stateType.wrappedType.CopyFrom(type_message(wrapped))
    return message


def _write_length(dimension: schema.MILSpec.Dimension, length: int | None) -> None:
    if length is None:
        dimension.unknown.SetInParent()
    else:
        dimension.constant.SetInParent()  # what 0 alone would not do
        dimension.constant.size = length
