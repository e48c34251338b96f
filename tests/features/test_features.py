"""What goes into a model and what comes out: types, shapes, images, and errors that name the feature."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from refcoreml import build
from refcoreml.errors import InputError, InvalidModelError, UnsupportedModelError, UsageError
from refcoreml.features import Feature, RefCoreMLWarning, check_inputs, finish_output, prepare_image, rank5_shape
from refcoreml.spec import schema


def feature(name: str = "x", *, optional: bool = False, type_: Any = None, **fields: Any) -> Feature:
    """A feature from a message or from the fields of ``FeatureType``."""
    message = schema.FeatureDescription(name=name)
    if type_ is None:
        build.fill(message.type, fields, "test")
    else:
        message.type.CopyFrom(type_)
    message.type.isOptional = optional
    return Feature.of(message)


def array(*shape: int, data_type: str = "FLOAT32", optional: bool = False, **more: Any) -> Feature:
    return feature(optional=optional, multiArrayType={"shape": shape, "dataType": data_type, **more})


def image(width: int = 7, height: int = 5, color: str = "RGB", **more: Any) -> Feature:
    return feature(imageType={"width": width, "height": height, "colorSpace": color, **more})


def sizes(*bounds: tuple[int, int]) -> dict[str, Any]:
    return {"sizeRanges": [{"lowerBound": least, "upperBound": most} for least, most in bounds]}


def shapes(*listed: tuple[int, ...]) -> dict[str, Any]:
    return {"shapes": [{"shape": shape} for shape in listed]}


def check(declared: Feature, value: Any, **options: Any) -> Any:
    return check_inputs([declared], {declared.name: value}, **options)[declared.name]


def refused(declared: Feature, value: Any, **options: Any) -> str:
    """The message of the error, which must name the feature and its type."""
    with pytest.raises(InputError) as caught:
        check(declared, value, **options)
    text = str(caught.value)
    assert f"input {declared.name!r}" in text
    assert declared.describe() in text
    return text


# --- declarations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        (feature(int64Type={}), "Int64"),
        (feature(doubleType={}), "Double"),
        (feature(stringType={}, optional=True), "String?"),
        (image(224, 192), "Image (RGB 224 x 192)"),
        (image(28, 20, "GRAYSCALE"), "Image (Grayscale 28 x 20)"),
        (image(28, 20, "GRAYSCALE_FLOAT16"), "Image (Grayscale Float16 28 x 20)"),
        (
            image(enumeratedSizes={"sizes": [{"width": 7, "height": 5}, {"width": 9, "height": 3}]}),
            "Image (RGB 7 x 5 | 9 x 3)",
        ),
        (
            image(
                imageSizeRange={
                    "widthRange": {"lowerBound": 3, "upperBound": -1},
                    "heightRange": {"lowerBound": 5, "upperBound": 5},
                }
            ),
            "Image (RGB 3.. x 5)",
        ),
        (array(1, 3, 5), "MultiArray (Float32 1 x 3 x 5)"),
        (array(3, data_type="DOUBLE"), "MultiArray (Double 3)"),
        (array(3, data_type="INT32"), "MultiArray (Int32 3)"),
        (array(3, data_type="FLOAT16"), "MultiArray (Float16 3)"),
        (array(3, data_type="INT8"), "MultiArray (Int8 3)"),
        (array(), "MultiArray (Float32)"),
        (array(2, 3, shapeRange=sizes((1, 5), (3, 3))), "MultiArray (Float32 1..5 x 3)"),
        (array(2, 4, enumeratedShapes=shapes((2, 4), (3, 9))), "MultiArray (Float32 2 x 4 | 3 x 9)"),
        (feature(dictionaryType={"stringKeyType": {}}), "Dictionary (String -> Double)"),
        (feature(dictionaryType={"int64KeyType": {}}), "Dictionary (Int64 -> Double)"),
        (feature(sequenceType={"stringType": {}}), "Sequence (String)"),
        (
            feature(sequenceType={"int64Type": {}, "sizeRange": {"lowerBound": 2, "upperBound": 4}}),
            "Sequence (Int64 2..4)",
        ),
        (
            feature(stateType={"arrayType": {"shape": [3, 5], "dataType": "FLOAT16"}}),
            "State (Float16 3 x 5)",
        ),
    ],
)
def test_describe(declared: Feature, text: str) -> None:
    assert declared.describe() == text


def test_of_reads_the_names() -> None:
    message = schema.FeatureDescription(name="x", shortDescription="a number")
    message.type.doubleType.SetInParent()
    declared = Feature.of(message)
    assert (declared.name, declared.kind, declared.optional, declared.description) == ("x", "double", False, "a number")
    message.name = "y"
    assert declared.spec.name == "x"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "no type"),
        ({"imageType": {"width": 3, "height": 5}}, "color space"),
        ({"imageType": {"width": 3, "height": 0, "colorSpace": "RGB"}}, "3 x 0"),
        ({"imageType": {"colorSpace": "RGB", "enumeratedSizes": {}}}, "enumerated"),
        ({"multiArrayType": {"shape": [3, -5], "dataType": "FLOAT32"}}, "negative"),
        ({"multiArrayType": {"shape": [1] * 33, "dataType": "FLOAT32"}}, "33 dimensions, expected at most 32"),
        (
            {"multiArrayType": {"dataType": "FLOAT32", "enumeratedShapes": shapes((2,), (1,) * 1000)}},
            "1000 dimensions, expected",
        ),
        ({"multiArrayType": {"dataType": "FLOAT32", "shapeRange": sizes(*[(1, 1)] * 65)}}, "65 dim"),
        ({"multiArrayType": {"shape": [3], "dataType": 99}}, "99"),
        ({"multiArrayType": {"dataType": "FLOAT32", "enumeratedShapes": {}}}, "enumerated"),
        ({"multiArrayType": {"shape": [3], "dataType": "FLOAT32", "shapeRange": sizes((4, 5))}}, "default shape"),
        (
            {"multiArrayType": {"shape": [3], "dataType": "FLOAT32", "shapeRange": sizes((1, 5), (1, 5))}},
            "default shape",
        ),
        ({"multiArrayType": {"shape": [3], "dataType": "FLOAT32", "enumeratedShapes": shapes((4,))}}, "default shape"),
        ({"multiArrayType": {"dataType": "FLOAT32", "shapeRange": sizes((7, 5))}}, "empty"),
        ({"dictionaryType": {}}, "keys"),
        ({"sequenceType": {}}, "items"),
    ],
)
def test_declarations_that_break_rules(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidModelError, match=problem) as caught:
        feature("inch", **fields)
    assert "'inch'" in str(caught.value)


def test_missing_data_type_reads_double_with_a_warning() -> None:
    with pytest.warns(RefCoreMLWarning, match=r"'x'.*DOUBLE"):
        declared = feature(multiArrayType={"shape": [3]})
    assert declared.describe() == "MultiArray (Double 3)"
    assert check(declared, [1, 2, 3]).dtype == np.float64


@pytest.mark.parametrize(
    ("declared", "shape"),
    [
        (array(1, 3, 5), (1, 3, 5)),
        (array(), None),
        (array(enumeratedShapes=shapes((2, 4), (3, 9))), (2, 4)),
        (array(3, 9, enumeratedShapes=shapes((2, 4), (3, 9))), (3, 9)),
        (array(shapeRange=sizes((0, 5), (3, -1))), (1, 3)),
        (array(4, 7, shapeRange=sizes((0, 5), (3, -1))), (4, 7)),
        (image(7, 5), (3, 5, 7)),
        (image(7, 5, "GRAYSCALE"), (1, 5, 7)),
        (image(0, 0, enumeratedSizes={"sizes": [{"width": 9, "height": 3}]}), (3, 3, 9)),
        (feature(doubleType={}), None),
    ],
)
def test_default_shape(declared: Feature, shape: Any) -> None:
    assert declared.default_shape == shape


def test_monstrous_declared_shape_is_refused_before_memory_is_asked_for() -> None:
    declared = array(2**60, 2**60, optional=True, floatDefaultValue=1.0)
    with pytest.raises(InvalidModelError, match="too large"):
        check_inputs([declared], {})


# --- names -----------------------------------------------------------------------------------------------------------


def test_unknown_names_are_errors_and_near_misses_are_named() -> None:
    with pytest.raises(InputError, match=r"no input 'imgae'.*Did you mean 'image'.*MultiArray \(Float32 3\)"):
        check_inputs([feature("image", type_=build.array(3))], {"imgae": [1, 2, 3]})
    with pytest.raises(InputError, match="Did you mean 'x'"):
        check_inputs([array(3)], {"X": [1, 2, 3]})
    with pytest.raises(InputError, match=r"no input 7\. Its inputs: 'x'"):
        check_inputs([array(3)], {7: [1, 2, 3]})  # type: ignore[dict-item]


def test_missing_names_are_errors() -> None:
    declared = [feature("a", type_=build.array(3)), feature("b", doubleType={})]
    with pytest.raises(InputError, match=r"input 'b' is missing.*'a', MultiArray \(Float32 3\), 'b', Double"):
        check_inputs(declared, {"a": [1, 2, 3]})
    with pytest.raises(InputError, match="input 'b' is None"):
        check_inputs(declared, {"a": [1, 2, 3], "b": None})


def test_inputs_must_be_a_dict() -> None:
    with pytest.raises(InputError, match="dict"):
        check_inputs([array(3)], [1, 2, 3])  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [{}, {"x": None}])
def test_optional_inputs_may_be_absent(values: dict[str, Any]) -> None:
    assert check_inputs([array(3, optional=True)], values) == {}
    assert check_inputs([feature(doubleType={}, optional=True)], values) == {}


@pytest.mark.parametrize(
    ("data_type", "member", "number", "dtype"),
    [
        ("FLOAT32", "floatDefaultValue", 0.5, np.float32),
        ("DOUBLE", "doubleDefaultValue", 0.1, np.float64),
        ("INT32", "intDefaultValue", -7, np.int32),
    ],
)
def test_optional_inputs_take_their_default_value(data_type: str, member: str, number: Any, dtype: Any) -> None:
    declared = array(3, 5, data_type=data_type, optional=True, **{member: number})
    result = check_inputs([declared], {})["x"]
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, np.full((3, 5), number, dtype))


def test_default_value_beyond_the_type_is_the_models_fault() -> None:
    declared = array(3, data_type="INT8", optional=True, intDefaultValue=300)
    with pytest.raises(InvalidModelError, match=r"intDefaultValue.*300"):
        check_inputs([declared], {})


# --- arrays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given_type", [np.float16, np.float32, np.float64, np.int8, np.uint8, np.int32, np.int64, bool]
)
@pytest.mark.parametrize(
    ("declared_type", "dtype"),
    [("FLOAT32", np.float32), ("DOUBLE", np.float64), ("INT32", np.int32), ("INT8", np.int8), ("FLOAT16", np.float32)],
)
def test_arrays_are_cast_to_the_declared_type(given_type: Any, declared_type: str, dtype: Any) -> None:
    values = np.arange(15).reshape(3, 5).astype(given_type)
    result = check(array(3, 5, data_type=declared_type), values)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, values.astype(dtype))


def test_float16_arrays_are_rounded_to_half_precision() -> None:
    result = check(array(2, data_type="FLOAT16"), [0.1, 1 + 2**-12])
    np.testing.assert_array_equal(result, np.array([0.0999755859375, 1.0], np.float32))


def test_arrays_of_float64_are_rounded_to_nearest() -> None:
    assert check(array(1), [0.1])[0] == np.float32(0.1)


def test_nan_and_infinity_may_go_into_float_arrays() -> None:
    result = check(array(3, data_type="FLOAT16"), [np.nan, np.inf, -np.inf])
    np.testing.assert_array_equal(result, np.array([np.nan, np.inf, -np.inf], np.float32))


@pytest.mark.parametrize(
    ("data_type", "value", "problem"),
    [
        ("INT32", [[0, 1], [2.5, 3]], r"2\.5 at \[1, 0\] is not an integer"),
        ("INT32", [[0, 1], [2, np.nan]], r"nan at \[1, 1\] is not an integer"),
        ("INT32", [[0, np.inf], [2, 3]], r"inf at \[0, 1\] is not an integer"),
        ("INT32", [[0, 2**31], [2, 3]], r"2147483648 at \[0, 1\] is beyond the range of int32"),
        ("INT32", [[0, -(2.0**31) - 1], [2, 3]], r"-2147483649.0 at \[0, 1\] is beyond"),
        ("INT32", np.array([[0, 2**63], [2, 3]], np.uint64), r"at \[0, 1\] is beyond"),
        ("INT8", [[0, 128], [2, 3]], r"128 at \[0, 1\] is beyond the range of int8"),
        ("FLOAT32", [[0, 1e39], [2, 3]], r"1e\+39 at \[0, 1\] is beyond the range of float32"),
        ("FLOAT16", [[0, 70000], [2, 3]], r"70000 at \[0, 1\] is beyond the range of float16"),
        ("FLOAT32", [[0, 1j], [2, 3]], "complex"),
        ("FLOAT32", [["0", "1"], ["2", "3"]], r"item at \[0, 0\] is str, expected a real number"),
        ("FLOAT32", [[0], [2, 3]], "array"),
        ("FLOAT32", [[None, 0], [2, 3]], "is NoneType, expected a real number"),
        ("FLOAT32", "2 x 2", "got str"),
        ("FLOAT32", {"a": 1}, "got dict"),
        ("FLOAT32", [[], []], "holds nothing"),
    ],
)
def test_arrays_whose_values_do_not_fit(data_type: str, value: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        check(array(2, 2, data_type=data_type), value)
    refused(array(2, 2, data_type=data_type), value)


def test_the_limits_of_int32_fit() -> None:
    values = [-(2**31), 2**31 - 1]
    np.testing.assert_array_equal(check(array(2, data_type="INT32"), np.array(values, np.float64)), values)


def test_arrays_come_contiguous_and_untouched() -> None:
    values = np.asfortranarray(np.arange(15.0).reshape(3, 5))
    result = check(array(3, 5), values)
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, values)


def test_torch_tensors_are_taken() -> None:
    torch = pytest.importorskip("torch", reason="torch makes the tensors")
    np.testing.assert_array_equal(check(array(3), torch.tensor([1.0, 2.0, 3.0])), [1, 2, 3])
    assert "detach" in refused(array(3), torch.tensor([1.0, 2.0, 3.0], requires_grad=True))


@pytest.mark.parametrize("value", [2.5, np.float32(2.5), np.array(2.5)])
def test_a_number_will_do_for_an_array_of_one(value: Any) -> None:
    for declared in (array(1), array()):
        result = check(declared, value)
        assert result.shape == (1,)
        assert result[0] == 2.5
    refused(array(3), value)


@pytest.mark.parametrize(
    ("declared", "shape", "problem"),
    [
        (array(3, 5), (5, 3), "MultiArray Shape (5 x 3) does not match the shape (3 x 5)"),
        (array(3, 5), (1, 3, 5), "value[0]"),
        (array(1, 3, 5), (3, 5), "value[None]"),
        (array(4, shapeRange=sizes((3, 5))), (99,), "Size (99) of dimension (0) is not in allowed range (3..5)"),
        (
            array(2, 4, shapeRange=sizes((1, -1), (3, 5))),
            (77, 2),
            "Size (2) of dimension (1) is not in allowed range (3..5)",
        ),
        (
            array(2, 4, shapeRange=sizes((2, -1), (3, 5))),
            (1, 4),
            "Size (1) of dimension (0) is not in allowed range (2..)",
        ),
        (array(2, 4, shapeRange=sizes((2, -1), (3, 5))), (4,), "1 dimensions, expected 2"),
        (
            array(enumeratedShapes=shapes((1, 3, 28, 30), (1, 3, 26, 24))),
            (1, 3, 29, 29),
            "MultiArray Shape (1 x 3 x 29 x 29) was not in enumerated set of allowed shapes",
        ),
    ],
)
def test_shapes_that_do_not_fit(declared: Feature, shape: tuple[int, ...], problem: str) -> None:
    assert problem in refused(declared, np.zeros(shape))


@pytest.mark.parametrize(
    ("declared", "shape"),
    [
        (array(3, 5), (3, 5)),
        (array(), (3, 5, 7, 2)),
        (array(2, 4, shapeRange=sizes((1, 5), (3, -1))), (1, 3)),
        (array(2, 4, shapeRange=sizes((1, 5), (3, -1))), (5, 1000)),
        (array(2, 4, shapeRange=sizes((1, 5), (3, 0))), (5, 1000)),
        (array(enumeratedShapes=shapes((2, 4), (3, 9, 5))), (3, 9, 5)),
    ],
)
def test_shapes_that_fit(declared: Feature, shape: tuple[int, ...]) -> None:
    assert check(declared, np.zeros(shape)).shape == shape


def test_mixed_enumerations_cause_a_warning() -> None:
    """Enumerated shapes of several inputs go together by position."""

    def named(name: str, *listed: tuple[int, ...]) -> Feature:
        return feature(name, multiArrayType={"dataType": "FLOAT32", "enumeratedShapes": shapes(*listed)})

    declared = [named("a", (2, 3), (4, 3)), named("b", (5,), (7,))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_inputs(declared, {"a": np.zeros((4, 3)), "b": np.zeros(7)})
    with pytest.warns(RefCoreMLWarning, match="'a', 'b'"):
        check_inputs(declared, {"a": np.zeros((4, 3)), "b": np.zeros(5)})


def test_mixed_enumerations_of_images_cause_a_warning() -> None:
    listed = {"sizes": [{"width": 7, "height": 5}, {"width": 9, "height": 3}]}
    picture = build.fill(schema.FeatureType(), {"imageType": {"colorSpace": "RGB", "enumeratedSizes": listed}}, "test")
    declared = [feature("a", type_=picture), feature("b", type_=picture)]
    wide, narrow = Image.new("RGB", (9, 3)), Image.new("RGB", (7, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_inputs(declared, {"a": wide, "b": wide})
    with pytest.warns(RefCoreMLWarning, match="'a', 'b'"):
        check_inputs(declared, {"a": wide, "b": narrow})


# --- arrays that become rank-5 blobs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "shape", "blob"),
    [
        (array(3), (3,), (1, 1, 3, 1, 1)),
        (array(3), (2, 4, 3), (2, 4, 3, 1, 1)),
        (array(3), (2, 4, 3, 1, 1), (2, 4, 3, 1, 1)),
        (array(3, 5, 7), (3, 5, 7), (1, 1, 3, 5, 7)),
        (array(3, 5, 7), (2, 4, 3, 5, 7), (2, 4, 3, 5, 7)),
        (array(1, 1, 1), (15, 1, 1, 1, 1), (15, 1, 1, 1, 1)),
        (array(), (3, 5, 7), (1, 1, 3, 5, 7)),
        (array(shapeRange=sizes((2, 4))), (3, 5, 4), (3, 5, 4, 1, 1)),
        (array(enumeratedShapes=shapes((3,), (4, 5, 7))), (4, 5, 7), (1, 1, 4, 5, 7)),
        (array(enumeratedShapes=shapes((3,), (4, 5, 7))), (4, 5, 3), (4, 5, 3, 1, 1)),
        (array(3), (4,), None),
        (array(3), (1, 3), None),
        (array(3), (2, 4, 5), None),
        (array(3), (2, 4, 3, 5, 1), None),
        (array(3, 5, 7), (3, 5, 6), None),
        (array(3, 5, 7), (1, 3, 5, 7), None),
        (array(3, 5, 7), (2, 4, 3, 7, 5), None),
        (array(3, 5, 7), (3,), None),
    ],
)
def test_legacy_ranks(declared: Feature, shape: tuple[int, ...], blob: Any) -> None:
    assert rank5_shape(declared.shapes, shape) == blob
    if blob is None:
        text = refused(declared, np.zeros(shape), legacy_ranks=True)
        assert "[Seq, Batch, C" in text
    else:
        assert check(declared, np.zeros(shape), legacy_ranks=True).shape == shape


def test_legacy_ranks_are_refused_elsewhere() -> None:
    refused(array(3), np.zeros((2, 4, 3)))


# --- numbers, strings, dictionaries, sequences -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        ("int64Type", 7, 7),
        ("int64Type", np.int32(-7), -7),
        ("int64Type", -(2**63), -(2**63)),
        ("doubleType", 7, 7.0),
        ("doubleType", np.float32(0.5), 0.5),
        ("doubleType", np.int64(3), 3.0),
        ("stringType", "seven", "seven"),
    ],
)
def test_scalars(kind: str, value: Any, result: Any) -> None:
    """An int may stand for a double."""
    checked = check(feature(**{kind: {}}), value)
    assert checked == result
    assert type(checked) is type(result)


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        ("int64Type", True, "boolean True.*Pass 1"),
        ("int64Type", 7.0, "float 7.0, expected Int64"),
        ("int64Type", np.float32(7), "expected Int64.*int"),
        ("int64Type", 2**63, "64 bits"),
        ("int64Type", "7", "str"),
        ("int64Type", np.array([7]), r"value\.item\(\)"),
        ("doubleType", False, "boolean False.*Pass 0"),
        ("doubleType", "7", "str"),
        ("doubleType", 10**400, "too large"),
        ("doubleType", 1j, "complex"),
        ("stringType", 7, "int 7, expected String"),
        ("stringType", True, "boolean"),
        ("stringType", b"seven", "bytes"),
    ],
)
def test_scalars_that_do_not_fit(kind: str, value: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        check(feature(**{kind: {}}), value)
    refused(feature(**{kind: {}}), value)


def test_double_nan_stands_for_a_missing_value() -> None:
    assert np.isnan(check(feature(doubleType={}), float("nan")))


def test_dictionaries() -> None:
    by_name, by_number = feature(dictionaryType={"stringKeyType": {}}), feature(dictionaryType={"int64KeyType": {}})
    assert check(by_name, {"a": 1, "b": np.float32(0.5)}) == {"a": 1.0, "b": 0.5}
    result = check(by_number, {np.int64(3): 2, -5: 0.25})
    assert result == {3: 2.0, -5: 0.25}
    assert all(type(key) is int and type(value) is float for key, value in result.items())
    assert "key 3: got int 3, expected String" in refused(by_name, {3: 1})
    assert "key 'a': got str, expected Int64" in refused(by_number, {"a": 1})
    assert "value of 'a': nan is not finite" in refused(by_name, {"a": float("nan")})
    assert "value of 'a': got str" in refused(by_name, {"a": "1"})
    assert "value of 'a': got the boolean" in refused(by_name, {"a": True})
    assert "got list, expected a dict" in refused(by_name, [1])


def test_sequences() -> None:
    words = feature(sequenceType={"stringType": {}, "sizeRange": {"lowerBound": 2, "upperBound": 3}})
    numbers = feature(sequenceType={"int64Type": {}})
    assert check(words, ("a", "b")) == ["a", "b"]
    assert check(numbers, np.array([3, 5])) == [3, 5]
    assert check(numbers, []) == []
    assert "Size (4) of dimension (0) is not in allowed range (2..3)" in refused(words, list("abcd"))
    assert "Size (1)" in refused(words, ["a"])
    assert "item 1: got int 3, expected String" in refused(words, ["a", 3])
    assert "item 0: got float 0.5" in refused(numbers, [0.5])
    assert "expected a list" in refused(words, "ab")


def test_states_are_no_inputs() -> None:
    with pytest.raises(UnsupportedModelError):
        check(feature(stateType={"arrayType": {"shape": [3], "dataType": "FLOAT16"}}), [1, 2, 3])


# --- images in -------------------------------------------------------------------------------------------------------

COLORS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
GRAYS = np.random.default_rng(1).integers(0, 256, (5, 7), np.uint8)
FLOATS = np.random.default_rng(2).normal(0, 100, (5, 7)).astype(np.float32)


@pytest.mark.parametrize("given_as", [lambda pixels: pixels, Image.fromarray], ids=["array", "PIL"])
def test_image_inputs(given_as: Any) -> None:
    rgb, bgr = check(image(), given_as(COLORS)), check(image(color="BGR"), given_as(COLORS))
    gray, half = (
        check(image(color="GRAYSCALE"), given_as(GRAYS)),
        check(image(color="GRAYSCALE_FLOAT16"), given_as(FLOATS)),
    )
    np.testing.assert_array_equal(rgb, COLORS.transpose(2, 0, 1))
    np.testing.assert_array_equal(bgr[0], COLORS[..., 2])
    np.testing.assert_array_equal(bgr[1], COLORS[..., 1])
    np.testing.assert_array_equal(bgr[2], COLORS[..., 0])
    np.testing.assert_array_equal(gray, GRAYS[None])
    np.testing.assert_array_equal(half, FLOATS.astype(np.float16)[None])
    assert (half != FLOATS).any()
    for result in (rgb, bgr, gray, half):
        assert result.dtype == np.float32
        assert result.flags.c_contiguous


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16"])
def test_color_images_must_be_rgb(mode: str) -> None:
    for color in ("RGB", "BGR"):
        text = refused(image(color=color), Image.new(mode, (7, 5)))
        assert f"mode '{mode}', expected 'RGB'" in text
        assert "convert" in text


@pytest.mark.parametrize(("color", "mode"), [("GRAYSCALE", "L"), ("GRAYSCALE_FLOAT16", "F")])
def test_gray_images_must_be_of_their_mode(color: str, mode: str) -> None:
    for given_mode in {"RGB", "RGBA", "L", "F", "I;16"} - {mode}:
        assert f"expected '{mode}'" in refused(image(color=color), Image.new(given_mode, (7, 5)))


def test_image_size_is_not_changed() -> None:
    """Sides swapped, too small, too large, all refused."""
    for size in ((5, 7), (6, 5), (7, 6)):
        assert f"got {size[0]} x {size[1]} (width x height)" in refused(image(7, 5), Image.new("RGB", size))
    assert "got 5 x 7" in refused(image(7, 5), np.zeros((7, 5, 3), np.uint8))


def test_flexible_image_sizes() -> None:
    listed = image(enumeratedSizes={"sizes": [{"width": 7, "height": 5}, {"width": 9, "height": 3}]})
    assert check(listed, Image.new("RGB", (9, 3))).shape == (3, 3, 9)
    assert "enumerated set" in refused(listed, Image.new("RGB", (3, 9)))
    ranged = image(
        imageSizeRange={
            "widthRange": {"lowerBound": 6, "upperBound": -1},
            "heightRange": {"lowerBound": 4, "upperBound": 5},
        }
    )
    assert check(ranged, Image.new("RGB", (100, 4))).shape == (3, 4, 100)
    assert "Size (6) of dimension (1) is not in allowed range (4..5)" in refused(ranged, Image.new("RGB", (9, 6)))
    assert "Size (5) of dimension (0) is not in allowed range (6..)" in refused(ranged, Image.new("RGB", (5, 4)))


@pytest.mark.parametrize(
    ("color", "value"),
    [
        ("RGB", np.zeros((5, 7, 4), np.uint8)),
        ("RGB", np.zeros((3, 5, 7), np.uint8)),
        ("RGB", np.zeros((5, 7), np.uint8)),
        ("RGB", np.zeros((5, 7, 3), np.float32)),
        ("RGB", np.zeros((5, 7, 3), np.int64)),
        ("GRAYSCALE", np.zeros((5, 7, 1), np.uint8)),
        ("GRAYSCALE", np.zeros((5, 7), np.float32)),
        ("GRAYSCALE_FLOAT16", np.zeros((5, 7), np.uint8)),
        ("RGB", 7),
    ],
)
def test_arrays_that_are_no_images(color: str, value: Any) -> None:
    assert "expected a PIL image of mode" in refused(image(color=color), value)


def test_a_path_is_no_image() -> None:
    assert "PIL.Image.open" in refused(image(), "cat.png")


def test_float16_image_beyond_half_precision() -> None:
    pixels = np.zeros((5, 7), np.float32)
    pixels[2, 3] = 1e5
    assert "100000.0 at [2, 3] is beyond the range of float16" in refused(image(color="GRAYSCALE_FLOAT16"), pixels)


def test_truncated_image_file(tmp_path: Any) -> None:
    path = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (50, 70, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:500])
    with Image.open(path) as cut:
        assert "cannot be decoded" in refused(image(70, 50), cut)
    with Image.open(path) as cut, pytest.raises(InputError, match="cannot be decoded"):
        prepare_image(cut, image(70, 50, "GRAYSCALE"))


# --- preparing images ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("color", ["RGB", "BGR", "GRAYSCALE", "GRAYSCALE_FLOAT16"])
@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "I", "F", "I;16"]
)
def test_every_mode_can_be_prepared(mode: str, color: str) -> None:
    declared = image(color=color)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepared = prepare_image(Image.new(mode, (7, 5)), declared)
    assert check(declared, prepared).shape == (declared.channels, 5, 7)


def test_lab_is_refused() -> None:
    with pytest.raises(InputError, match="'LAB'"):
        prepare_image(Image.new("LAB", (7, 5)), image(color="GRAYSCALE"))


def test_prepare_keeps_an_image_that_fits() -> None:
    picture = Image.fromarray(COLORS)
    for resize in (None, "fill", "fit", "crop"):
        np.testing.assert_array_equal(np.asarray(prepare_image(picture, image(), resize)), COLORS)  # type: ignore[arg-type]


def test_prepare_ignores_alpha() -> None:
    rgba = np.dstack([COLORS, GRAYS])
    np.testing.assert_array_equal(np.asarray(prepare_image(Image.fromarray(rgba), image())), COLORS)
    la = np.dstack([GRAYS, COLORS[..., 0]])
    prepared = prepare_image(Image.fromarray(la, "LA"), image(color="GRAYSCALE"))
    np.testing.assert_array_equal(np.asarray(prepared), GRAYS)


def test_prepare_reads_transparent_palettes() -> None:
    picture = Image.new("P", (7, 5), 1)
    picture.putpalette([9, 8, 7, 30, 20, 10])
    picture.info["transparency"] = bytes([255, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepared = prepare_image(picture, image())
    np.testing.assert_array_equal(np.asarray(prepared), np.full((5, 7, 3), (30, 20, 10)))


def test_prepare_scales_16_bits_to_8() -> None:
    wide = (GRAYS.astype(np.uint16) * 257).astype(np.uint16)
    for picture in (Image.fromarray(wide), Image.fromarray(wide.astype(np.int32))):
        assert picture.mode in ("I;16", "I")
        np.testing.assert_array_equal(np.asarray(prepare_image(picture, image(color="GRAYSCALE"))), GRAYS)
        np.testing.assert_array_equal(np.asarray(prepare_image(picture, image(color="GRAYSCALE_FLOAT16"))), GRAYS)
    with pytest.raises(InputError, match="16 bits"):
        prepare_image(Image.fromarray(np.full((5, 7), -1, np.int32)), image())


def test_prepare_limits_and_rounds_float_images() -> None:
    pixels = np.array([[-3, 0.5, 1.5, 254.6, 300]], np.float32)
    prepared = prepare_image(Image.fromarray(pixels), image(5, 1, "GRAYSCALE"))
    assert np.asarray(prepared).tolist() == [[0, 0, 2, 255, 255]]


def test_prepare_turns_the_image_as_exif_says() -> None:
    picture = Image.fromarray(COLORS)
    exif = picture.getexif()
    exif[0x0112] = 6  # the camera was held upright: turn clockwise
    prepared = prepare_image(picture, image(5, 7))
    np.testing.assert_array_equal(np.asarray(prepared), np.rot90(COLORS, -1))


def test_prepare_without_resize_keeps_the_size() -> None:
    assert prepare_image(Image.new("L", (11, 3)), image()).size == (11, 3)


@pytest.mark.parametrize("resize", ["fill", "fit", "crop"])
@given(size=st.tuples(st.integers(1, 40), st.integers(1, 40)), target=st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_prepare_resizes(resize: Any, size: tuple[int, int], target: tuple[int, int]) -> None:
    """An image of one colour keeps it, but for the black beside a fitted one."""
    prepared = prepare_image(Image.new("RGB", size, (10, 20, 30)), image(*target), resize)
    assert prepared.size == target
    pixels = np.asarray(prepared).reshape(-1, 3)
    inside = pixels.any(axis=1)
    assert (pixels[inside] == (10, 20, 30)).all()
    if resize != "fit":
        assert inside.all()
    else:
        full = np.asarray(prepared).any(axis=2)
        assert full.any(axis=0).all() or full.any(axis=1).all()


def test_fit_centres_and_crop_cuts_the_middle() -> None:
    wide = np.zeros((2, 6, 3), np.uint8)
    wide[:, :2], wide[:, 2:4], wide[:, 4:] = 50, 100, 150
    fitted = np.asarray(prepare_image(Image.fromarray(wide), image(6, 4), "fit"))
    np.testing.assert_array_equal(fitted, np.concatenate([0 * wide[:1], wide, 0 * wide[:1]]))
    cropped = np.asarray(prepare_image(Image.fromarray(wide), image(2, 2), "crop"))
    np.testing.assert_array_equal(cropped, wide[:, 2:4])


def test_prepare_is_misused() -> None:
    with pytest.raises(UsageError, match="no image"):
        prepare_image(Image.new("RGB", (7, 5)), array(3))
    with pytest.raises(UsageError, match="stretch"):
        prepare_image(Image.new("RGB", (7, 5)), image(), "stretch")  # type: ignore[arg-type]


# --- what comes out --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data_type", "dtype"),
    [("DOUBLE", np.float64), ("FLOAT32", np.float32), ("INT32", np.int32), ("FLOAT16", np.float32), ("INT8", np.int8)],
)
def test_output_arrays_have_the_declared_type(data_type: str, dtype: Any) -> None:
    """Values are float32 results widened."""
    blob = np.array([[1, -2, 3], [4, 5, -6]], np.float32)
    result = finish_output(array(9, data_type=data_type), blob)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, blob)
    result[0, 0] = 77
    assert blob[0, 0] == 1


def test_output_values_are_widened_or_rounded() -> None:
    blob = np.array([0.1], np.float32)
    assert finish_output(array(1, data_type="DOUBLE"), blob)[0] == 0.10000000149011612
    assert finish_output(array(1, data_type="FLOAT16"), blob)[0] == 0.0999755859375


@pytest.mark.parametrize(
    ("data_type", "values", "expected"),
    [
        ("FLOAT16", np.float32([65519, 65520, -7e4]), [65504, np.inf, -np.inf]),
        ("FLOAT32", np.array([1e38, -1e39]), [1e38, -np.inf]),
    ],
)
def test_floats_that_do_not_fit_become_infinite_with_a_warning(data_type, values, expected):
    declared = array(len(values), data_type=data_type)
    with pytest.warns(RefCoreMLWarning, match=f"holds values beyond {data_type.lower()}, now infinite"):
        result = finish_output(declared, values)
    np.testing.assert_array_equal(result, np.float32(expected))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        finish_output(declared, np.array([np.inf, 1.0, np.nan]))


def test_gray_images_of_floats_warn_too():
    planes = np.full((1, 5, 7), 7e4)
    with pytest.warns(RefCoreMLWarning, match="holds values beyond float16, now infinite"):
        finish_output(image(color="GRAYSCALE_FLOAT16"), planes)


@pytest.mark.parametrize("declared", [array(4, data_type="INT32"), array(4, data_type="INT8")])
def test_integer_outputs_cut_fractions_off_with_a_warning(declared: Any) -> None:
    blob = np.array([2.9, -2.9, 0.5, -0.5], np.float32)
    with pytest.warns(RefCoreMLWarning, match="output 'x' holds numbers that are not integers") as caught:
        assert finish_output(declared, blob).tolist() == [2, -2, 0, 0]
    assert len(caught) == 1


def test_an_integer_cuts_a_fraction_off_with_a_warning() -> None:
    with pytest.warns(RefCoreMLWarning, match="output 'x' holds numbers that are not integers") as caught:
        assert finish_output(feature(int64Type={}), np.float32(-6.6)) == -6
    assert len(caught) == 1


def test_integer_outputs_saturate_with_a_warning() -> None:
    blob = np.array([np.nan, 3e9, -np.inf, 7], np.float32)
    with pytest.warns(RefCoreMLWarning, match="'x'.*NaN"):
        result = finish_output(array(4, data_type="INT32"), blob)
    assert result.tolist() == [0, 2**31 - 1, -(2**31), 7]


def test_the_limits_of_integer_outputs_cause_no_warning() -> None:
    limits = [-(2**31), 2**31 - 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert finish_output(array(2, data_type="INT32"), np.array(limits, np.float64)).tolist() == limits


def test_output_without_dimensions_gets_one() -> None:
    assert finish_output(array(), np.float32(3)).shape == (1,)


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        ({"int64Type": {}}, np.float32(3), 3),
        ({"int64Type": {}}, 2**62 + 1, 2**62 + 1),
        ({"doubleType": {}}, np.full((1, 1), 0.5, np.float32), 0.5),
        ({"stringType": {}}, "cat", "cat"),
        ({"dictionaryType": {"stringKeyType": {}}}, {"cat": np.float32(0.5)}, {"cat": 0.5}),
        ({"dictionaryType": {"int64KeyType": {}}}, {np.int64(3): np.float32(0.5)}, {3: 0.5}),
        ({"sequenceType": {"stringType": {}}}, ("a", "b"), ["a", "b"]),
        ({"sequenceType": {"int64Type": {}}}, np.array([3, 5]), [3, 5]),
    ],
)
def test_outputs_are_plain_python(kind: dict[str, Any], value: Any, result: Any) -> None:
    """Exactly these types, no NumPy scalars."""
    finished = finish_output(feature(**kind), value)
    assert repr(finished) == repr(result)


def test_several_numbers_are_not_one() -> None:
    with pytest.raises(InvalidModelError, match=r"output 'x', Double.*3 numbers"):
        finish_output(feature(doubleType={}), np.zeros(3))


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        ({"sequenceType": {"int64Type": {}}}, [1, 3.7], "item 1: got float 3.7, expected Int64"),
        ({"sequenceType": {"stringType": {}}}, ["a", 2], "item 1: got int 2, expected String"),
        ({"sequenceType": {"int64Type": {}}}, np.array([0.2, 0.8]), "item 0: got .*, expected Int64"),
        ({"dictionaryType": {"int64KeyType": {}}}, {"cat": 0.2}, "key: got str, expected Int64"),
        ({"dictionaryType": {"int64KeyType": {}}}, {3.7: 0.2}, "key: got float 3.7, expected Int64"),
        ({"dictionaryType": {"stringKeyType": {}}}, {1: 0.2}, "key: got int 1, expected String"),
        ({"stringType": {}}, 3.7, "got float 3.7, expected String"),
    ],
)
def test_outputs_of_another_type_than_declared_are_the_models_fault(kind, value, problem):
    with pytest.raises(InvalidModelError, match=f"output 'x'.*the model computes something else: {problem}"):
        finish_output(feature(**kind), value)


def test_color_image_outputs_are_rgba() -> None:
    planes = COLORS.transpose(2, 0, 1).astype(np.float32)
    for color, given_planes in (("RGB", planes), ("BGR", planes[::-1])):
        result = finish_output(image(color=color), given_planes)
        assert result.mode == "RGBA"
        assert result.size == (7, 5)
        np.testing.assert_array_equal(np.asarray(result)[..., :3], COLORS)
        np.testing.assert_array_equal(np.asarray(result)[..., 3], 255)


def test_gray_image_outputs() -> None:
    gray = finish_output(image(color="GRAYSCALE"), GRAYS[None].astype(np.float64))
    assert gray.mode == "L"
    np.testing.assert_array_equal(np.asarray(gray), GRAYS)
    half = finish_output(image(color="GRAYSCALE_FLOAT16"), FLOATS[None])
    assert half.mode == "F"
    np.testing.assert_array_equal(np.asarray(half), FLOATS.astype(np.float16).astype(np.float32))


def test_image_outputs_are_limited_and_rounded() -> None:
    """0..255; halves go to even."""
    values = np.array([[[-1, 0.5, 1.5, 2.5, 254.5, 255.4, 1e9, np.inf, -np.inf]]], np.float32)
    result = finish_output(image(9, 1, "GRAYSCALE"), values)
    assert np.asarray(result).tolist() == [[0, 0, 2, 2, 254, 255, 255, 255, 0]]


def test_nan_pixels_cause_a_warning() -> None:
    with pytest.warns(RefCoreMLWarning, match="output 'x' holds NaN"):
        result = finish_output(image(2, 1, "GRAYSCALE"), np.array([[[np.nan, 7]]], np.float32))
    assert np.asarray(result).tolist() == [[0, 7]]


@pytest.mark.parametrize("shape", [(1, 5, 7), (4, 5, 7), (5, 7), (1, 3, 5, 7), (3, 7, 5)])
def test_image_outputs_of_another_form(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidModelError, match=r"output 'x', Image \(RGB 7 x 5\)"):
        finish_output(image(), np.zeros(shape, np.float32))


@pytest.mark.parametrize("color", ["RGB", "BGR", "GRAYSCALE", "GRAYSCALE_FLOAT16"])
@given(width=st.integers(1, 9), height=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
def test_images_pass_through_unchanged(color: str, width: int, height: int, seed: int) -> None:
    declared = image(width, height, color)
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (height, width, 3) if declared.channels == 3 else (height, width), np.uint8)
    picture = Image.fromarray(pixels.astype(np.float32) if color.endswith("16") else pixels)
    result = np.asarray(finish_output(declared, check(declared, picture)))
    np.testing.assert_array_equal(result[..., :3] if declared.channels == 3 else result, pixels)


@given(
    declared=st.lists(st.integers(1, 6), min_size=1, max_size=5), given_shape=st.lists(st.integers(1, 6), max_size=5)
)
def test_an_array_is_taken_exactly_if_its_shape_is_declared(declared: list[int], given_shape: list[int]) -> None:
    for target in (given_shape, declared):
        value = np.zeros(target, np.float32)
        if tuple(target) == tuple(declared) or (target == [] and declared == [1]):
            assert check(array(*declared), value).shape == tuple(declared)
        else:
            refused(array(*declared), value)
