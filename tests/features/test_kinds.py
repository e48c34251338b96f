"""Each kind of feature has one class, which does all that depends on the kind."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from PIL import Image

from refcoreml import build, features
from refcoreml.features import Feature
from refcoreml.spec import schema

#: By the member of ``FeatureType``: its fields, the class, the kind, a value to pass, the value that comes back.
KINDS: dict[str, tuple[dict[str, Any], type[Feature], str, Any, Any]] = {
    "int64Type": ({}, features.Int64Feature, "int64", 7, 7),
    "doubleType": ({}, features.DoubleFeature, "double", 2.5, 2.5),
    "stringType": ({}, features.StringFeature, "string", "yes", "yes"),
    "imageType": (
        {"width": 3, "height": 2, "colorSpace": "BGR"},
        features.ImageFeature,
        "image",
        Image.new("RGB", (3, 2), (5, 6, 7)),
        Image.new("RGBA", (3, 2), (5, 6, 7, 255)),
    ),
    "multiArrayType": (
        {"shape": (2,), "dataType": "INT32"},
        features.ArrayFeature,
        "array",
        [3, -4],
        np.array([3, -4], np.int32),
    ),
    "dictionaryType": ({"stringKeyType": {}}, features.DictionaryFeature, "dictionary", {"a": 1}, {"a": 1.0}),
    "sequenceType": ({"int64Type": {}}, features.SequenceFeature, "sequence", [4, 5], [4, 5]),
}
STATE = {"arrayType": {"shape": (2,), "dataType": "FLOAT16"}}


def declared(member: str, fields: dict[str, Any]) -> Feature:
    message = schema.FeatureDescription(name="x")
    build.fill(message.type, {member: fields}, "test")
    return Feature.of(message)


def test_each_member_of_the_schema_has_a_class() -> None:
    members = [field.name for field in schema.FeatureType.DESCRIPTOR.oneofs_by_name["Type"].fields]
    assert sorted(members) == sorted([*KINDS, "stateType"])


@pytest.mark.parametrize("member", KINDS)
def test_a_value_goes_in_and_comes_back(member: str) -> None:
    fields, kind, name, value, expected = KINDS[member]
    feature = declared(member, fields)
    assert type(feature) is kind
    assert feature.kind == name
    result = feature.finish(feature.check(value))
    assert type(result) is type(expected)
    np.testing.assert_array_equal(np.asarray(result), np.asarray(expected))
    again = feature.check(feature.as_passed(feature.check(value)))
    np.testing.assert_array_equal(np.asarray(again), np.asarray(feature.check(value)))
    np.testing.assert_array_equal(np.asarray(feature.check_returned(result)), np.asarray(again))
    assert pickle.loads(pickle.dumps(feature)) == feature


def test_a_state_comes_out_only() -> None:
    state = declared("stateType", STATE)
    assert type(state) is features.StateFeature
    assert state.finish(np.array([1.0, 2.0])).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("one", [*KINDS, "stateType"])
@pytest.mark.parametrize("other", [*KINDS, "stateType"])
def test_a_feature_accepts_its_own_kind(one: str, other: str) -> None:
    first, second = (declared(m, STATE if m == "stateType" else KINDS[m][0]) for m in (one, other))
    assert first.accepts(second) == (one == other)


def test_keys_and_items_must_be_of_one_type_to_be_accepted() -> None:
    for member, fields, others in (
        ("dictionaryType", {"stringKeyType": {}}, {"int64KeyType": {}}),
        ("sequenceType", {"stringType": {}}, {"int64Type": {}}),
    ):
        assert not declared(member, fields).accepts(declared(member, others))


@pytest.mark.parametrize(
    ("member", "fields", "numeric", "count", "half", "fractions"),
    [
        ("int64Type", {}, True, 1, False, False),
        ("doubleType", {}, True, 1, False, True),
        ("stringType", {}, False, None, False, False),
        ("multiArrayType", {"shape": (2, 3), "dataType": "FLOAT16"}, True, 6, True, True),
        ("multiArrayType", {"shape": (2, 3), "dataType": "INT8"}, True, 6, False, False),
        ("multiArrayType", {"dataType": "DOUBLE"}, True, None, False, True),
        ("imageType", {"width": 3, "height": 2, "colorSpace": "GRAYSCALE_FLOAT16"}, False, None, True, False),
        ("imageType", {"width": 3, "height": 2, "colorSpace": "RGB"}, False, None, False, False),
        ("dictionaryType", {"int64KeyType": {}}, False, None, False, False),
    ],
)
def test_what_a_kind_says_about_its_numbers(
    member: str, fields: dict[str, Any], numeric: bool, count: int | None, half: bool, fractions: bool
) -> None:
    feature = declared(member, fields)
    said = feature.numeric, feature.count, feature.half, feature.holds_fractions
    assert said == (numeric, count, half, fractions)


@pytest.mark.parametrize(
    ("member", "fields", "expected"),
    [
        ("int64Type", {}, [-2.0, 2.0, 300.0]),
        ("multiArrayType", {"dataType": "INT8"}, [-2.0, 2.0, 127.0]),
        ("imageType", {"width": 3, "height": 2, "colorSpace": "GRAYSCALE"}, [0.0, 2.0, 255.0]),
        ("imageType", {"width": 3, "height": 2, "colorSpace": "GRAYSCALE_FLOAT16"}, None),
        ("multiArrayType", {"dataType": "FLOAT16"}, None),
        ("doubleType", {}, None),
    ],
)
def test_cut_is_what_finish_does_to_fractions(
    member: str, fields: dict[str, Any], expected: list[float] | None
) -> None:
    cut = declared(member, fields).cut
    assert (None if cut is None else cut(np.array([-2.75, 2.5, 300.25])).tolist()) == expected


def test_cut_saturates_as_finish_does() -> None:
    numbers, feature = np.array([-1e30, 1e30]), declared("int64Type", {})
    assert feature.cut is not None
    with pytest.warns(features.RefCoreMLWarning, match="beyond int64"):
        finished = [float(feature.finish(number)) for number in numbers]
    assert feature.cut(numbers).tolist() == finished == [-(2.0**63), 2.0**63]
