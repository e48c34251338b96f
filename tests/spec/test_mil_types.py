"""Types of ML Programs: all that the schema has, there and back, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcoreml.errors import InvalidModelError
from refcoreml.spec import schema
from refcoreml.spec.mil_types import (
    DATA_TYPES,
    DEEPEST_TYPE,
    DataType,
    DeclaredDictionary,
    DeclaredList,
    DeclaredState,
    DeclaredTensor,
    DeclaredTuple,
    DeclaredType,
    agree,
    read_type,
    type_message,
)
from refcoreml.types import TensorType

FP16, INT32, STRING = DATA_TYPES["fp16"], DATA_TYPES["int32"], DATA_TYPES["string"]

tensors = st.builds(
    DeclaredTensor,
    st.sampled_from(list(DATA_TYPES.values())),
    st.none() | st.lists(st.none() | st.integers(0, 2**63 - 1), max_size=6).map(tuple),
)
types = st.recursive(
    tensors,
    lambda inner: (
        st.builds(DeclaredList, inner, st.none() | st.integers(0, 100))
        | st.builds(DeclaredTuple, st.lists(inner, max_size=3).map(tuple))
        | st.builds(DeclaredDictionary, inner, inner)
        | st.builds(DeclaredState, inner)
    ),
    max_leaves=8,
)


def test_every_type_of_the_schema_is_known() -> None:
    numbers = schema.MILSpec.DataType.DESCRIPTOR.values_by_number
    assert {element.number for element in DATA_TYPES.values()} == set(numbers) - {0}
    for element in DATA_TYPES.values():
        name = numbers[element.number].name.lower().replace("bfloat", "bf").replace("float", "fp")
        assert element.name == name


def test_fields_that_hold_values_exist() -> None:
    fields = schema.MILSpec.TensorValue.DESCRIPTOR.fields_by_name
    assert {element.field for element in DATA_TYPES.values()} == set(fields)


@given(types)
def test_there_and_back(declared: DeclaredType) -> None:
    assert read_type(type_message(declared)) == declared
    assert type_message(read_type(type_message(declared))) == type_message(declared)


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        (DeclaredTensor(FP16, (1, None)), "tensor<fp16, [1, ?]>"),
        (DeclaredTensor(STRING, ()), "tensor<string, []>"),
        (DeclaredTensor(INT32, None), "tensor<int32, ?>"),
        (DeclaredList(DeclaredTensor(FP16, (2,)), 5), "list<tensor<fp16, [2]>, 5>"),
        (DeclaredList(DeclaredTensor(FP16, (2,)), None), "list<tensor<fp16, [2]>, ?>"),
        (
            DeclaredDictionary(DeclaredTensor(STRING, ()), DeclaredTensor(INT32, ())),
            "dict<tensor<string, []>, tensor<int32, []>>",
        ),
        (
            DeclaredTuple((DeclaredTensor(FP16, ()), DeclaredTensor(INT32, ()))),
            "tuple<tensor<fp16, []>, tensor<int32, []>>",
        ),
        (DeclaredState(DeclaredTensor(FP16, (3, 4))), "state<tensor<fp16, [3, 4]>>"),
    ],
)
def test_as_text(declared: DeclaredType, text: str) -> None:
    assert str(declared) == text


def test_what_a_declaration_admits() -> None:
    declared = DeclaredTensor(FP16, (2, None, 4))
    half = np.dtype(np.float16)
    assert declared.admits(TensorType(half, (2, 7, 4)))
    assert not declared.admits(TensorType(half, (2, 7, 5)))
    assert not declared.admits(TensorType(half, (2, 7)))
    assert not declared.admits(TensorType(np.dtype(np.float32), (2, 7, 4)))
    assert DeclaredTensor(FP16, None).admits(TensorType(half, (2, 7)))
    assert (declared.rank, declared.tensor) == (3, None)
    assert DeclaredTensor(FP16, (2, 3)).tensor == TensorType(half, (2, 3))
    assert DeclaredTensor(DATA_TYPES["int4"], (2, 3)).tensor == TensorType(np.dtype(np.int8), (2, 3))
    assert DeclaredTensor(FP16, None).rank is DeclaredTensor(FP16, None).tensor is None


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((2, 3), (2, 3), True),
        ((2, None), (None, 3), True),
        ((2, 3), None, True),
        ((2, 3), (2, 4), False),
        ((2, 3), (3,), False),
    ],
)
def test_declarations_agree_where_lengths_are_unknown(one: Any, other: Any, expected: bool) -> None:
    half, single = DATA_TYPES["fp16"], DATA_TYPES["fp32"]
    pair = DeclaredTensor(half, one), DeclaredTensor(half, other)
    assert agree(*pair) == agree(*reversed(pair)) == expected
    assert agree(DeclaredList(pair[0], 1), DeclaredList(pair[1], 5)) == expected
    assert not agree(pair[0], DeclaredTensor(single, other))
    assert not agree(pair[0], DeclaredList(pair[1], 1))


def test_types_of_arrays() -> None:
    assert DeclaredTensor.of(np.zeros((2, 3), np.int32)) == DeclaredTensor(INT32, (2, 3))
    assert DataType.of("U3") is DataType.of(object) is STRING
    assert DataType.of(bool).name == "bool"
    assert DataType.of(np.uint8).name == "uint8"
    with pytest.raises(KeyError):
        DataType.of(np.complex64)


def test_a_rank_that_is_left_out() -> None:
    message = type_message(DeclaredTensor(FP16, (2, None)))
    message.tensorType.rank = 0
    assert read_type(message) == DeclaredTensor(FP16, (2, None))


def damage(**how: Any) -> schema.MILSpec.ValueType:
    message = type_message(DeclaredTensor(FP16, (2, None)))
    for name, value in how.items():
        setattr(message.tensorType, name, value)
    return message


def with_dimensions(count: int) -> schema.MILSpec.ValueType:
    message = schema.MILSpec.ValueType()
    message.tensorType.dataType = 10
    for _ in range(count):
        message.tensorType.dimensions.add().constant.size = 1
    return message


def nested(depth: int) -> schema.MILSpec.ValueType:
    message = inner = schema.MILSpec.ValueType()
    for _ in range(depth):
        inner = inner.stateType.wrappedType
    inner.tensorType.dataType = 10
    return message


def long_axis() -> schema.MILSpec.ValueType:
    message = with_dimensions(1)
    message.tensorType.dimensions[0].constant.size = 2**63
    return message


def empty_dimension() -> schema.MILSpec.ValueType:
    message = with_dimensions(1)
    message.tensorType.dimensions.add()
    return message


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (schema.MILSpec.ValueType(), "has no type"),
        (damage(dataType=0), "type 0, which the schema does not define"),
        (damage(dataType=99), "type 99, which the schema does not define"),
        (damage(rank=3), "is of rank 3, but has 2 dimensions"),
        (damage(rank=-1), "is of rank -1, but has 2 dimensions"),
        (with_dimensions(17), "has 17 dimensions, at most 16"),
        (nested(DEEPEST_TYPE + 1), "nested more than 32 levels deep"),
        (long_axis(), "has a dimension of 9223372036854775808"),
        (empty_dimension(), "neither constant nor unknown"),
    ],
)
def test_what_is_refused(message: schema.MILSpec.ValueType, problem: str) -> None:
    with pytest.raises(InvalidModelError, match=problem) as caught:
        read_type(message, "function 'main', operation 'y', output 0")
    assert caught.value.where == "function 'main', operation 'y', output 0"


def test_an_axis_for_any_number_of_axes() -> None:
    message = with_dimensions(3)
    message.tensorType.dimensions[1].unknown.variadic = True
    assert read_type(message).shape is None
    message = schema.MILSpec.ValueType()
    message.listType.type.CopyFrom(with_dimensions(1))
    message.listType.length.unknown.variadic = True
    with pytest.raises(InvalidModelError, match="a length that stands for any number of axes"):
        read_type(message)


def test_types_as_deep_as_allowed() -> None:
    read_type(nested(DEEPEST_TYPE))
