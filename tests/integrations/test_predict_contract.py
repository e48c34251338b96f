"""What coremltools' ``predict`` does on a Mac, fact by fact, and the tests that hold refcoreml to it.

The list is complete in both directions: each fact has tests, and each test of the contract stands for a fact. The tests
themselves are in test_coremltools.py and test_pytest_plugin.py, and need coremltools; this list does not.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
FILES = ("test_coremltools.py", "test_pytest_plugin.py")
#: Classes of tests that are about the runtime's other uses: compiling, code of the user's own, switching it on and off.
OTHER = {"TestCompiled", "TestCustomCode", "TestSwitch"}

FACTS = {
    # --- names ---
    "a key that is no input of the model is an error": [
        "TestCalls::test_an_unknown_name",
        "TestCalls::test_an_unknown_name_that_reaches_the_runtime",
    ],
    "an input without a value is an error": ["TestCalls::test_a_missing_input"],
    # --- images ---
    "a colour image must be a PIL image of mode RGB, whether RGB or BGR is declared; a gray one L, a gray half one F": [
        "TestImages::test_other_modes_are_refused"
    ],
    "the channels reach the network in the declared order": ["TestImages::test_channels_come_in_the_declared_order"],
    "an image of another size is refused, not resized": ["TestImages::test_the_size_is_not_changed"],
    "colour images come back in mode RGBA, opaque": ["TestImages::test_colour_comes_back_as_rgba"],
    "gray images come back in mode L": ["TestImages::test_gray"],
    "gray half images come in and go out in mode F, rounded to half precision": [
        "TestImages::test_half_gray_is_rounded_on_its_way"
    ],
    # --- arrays in ---
    "float32, float64, int32 and int8 are taken whatever type is declared; float16 is widened on the way": [
        "TestArrays::test_types_go_in_whatever_is_declared_and_come_out_as_declared"
    ],
    "values are cast to the declared type, to integers by dropping fractions": [
        "TestArrays::test_fractions_are_cast_to_integers_as_c_does"
    ],
    "arrays of any other type are refused, int64 and lists of integers among them": [
        "TestArrays::test_other_types_are_refused",
        "TestArrays::test_a_list_of_integers_is_an_array_of_int64_and_refused",
    ],
    "arrays without dimensions and single numbers are refused": [
        "TestArrays::test_arrays_without_dimensions_are_refused"
    ],
    "arrays that cannot be written to are refused": ["TestArrays::test_read_only_arrays_are_refused"],
    "arrays need not be contiguous": ["TestArrays::test_strided_arrays_are_taken"],
    "tensors of torch are taken as arrays": ["TestArrays::test_torch_tensors"],
    # --- arrays out ---
    "an output has the declared type; float16 comes as float32": [
        "TestArrays::test_types_go_in_whatever_is_declared_and_come_out_as_declared",
        "TestArrays::test_int8_comes_out",
    ],
    "the values of a double output are single precision, widened": [
        "TestArrays::test_values_of_a_double_output_are_float32_widened"
    ],
    "the values of a half output are rounded to half precision": [
        "TestArrays::test_values_of_a_half_output_are_rounded"
    ],
    "an output of rank 0 comes with shape (1,), never as a scalar of NumPy": [
        "TestArrays::test_an_output_of_rank_0_has_rank_1"
    ],
    "an output is the caller's: contiguous, writeable, not changed by the next prediction": [
        "TestArrays::test_outputs_belong_to_the_caller"
    ],
    # --- shapes ---
    "another shape than declared is an error": ["TestShapes::test_another_shape_than_declared"],
    "a size outside its range is named in Core ML's words": [
        "TestShapes::test_a_size_out_of_range_in_the_words_of_core_ml"
    ],
    "a shape that is not listed is named in Core ML's words": [
        "TestShapes::test_a_shape_not_listed_in_the_words_of_core_ml"
    ],
    "a network of rank 5 takes arrays of rank 5 beside the declared shape": [
        "TestShapes::test_custom_shapes_of_the_rank_5_world"
    ],
    # --- other features ---
    "int64 comes out as int, double as float": ["TestOtherFeatures::test_double_and_int64"],
    "a class label is str or int, and its probabilities a dict from str or int to float": [
        "TestOtherFeatures::test_classifier_with_strings",
        "TestOtherFeatures::test_classifier_with_integers",
    ],
    "ints and bools stand for int64, ints and floats for double, str and UTF-8 for strings": [
        "TestOtherFeatures::test_taken"
    ],
    "values of another kind than declared, and mixtures in a dict, are refused": ["TestOtherFeatures::test_refused"],
    # --- calls ---
    "a list of dicts is a batch, and gives a list of dicts": ["TestCalls::test_a_batch_is_a_list_of_dicts"],
    "a batch takes no state; a state is read and written by its names, of which a network has none": [
        "TestCalls::test_no_states_in_batches"
    ],
    "loading and predicting tell how long they took": ["TestCalls::test_durations"],
    # --- failures ---
    "whatever fails in a prediction is a RuntimeError": ["TestCalls::test_what_fails_inside_is_a_runtime_error"],
    "a model that does not load gives a warning, and a RuntimeError at each prediction": [
        "TestLoading::test_a_failure_warns_and_is_raised_at_predict"
    ],
    "a specification version above the newest supported is named at the prediction": [
        "TestLoading::test_a_model_from_the_future_is_not_loaded"
    ],
    "skip_model_load is heeded": ["TestLoading::test_skipped_on_request"],
    # --- loading ---
    "models come from messages, files, packages and converters": [
        "TestLoading::test_from_files",
        "TestLoading::test_a_model_converted_from_torch",
    ],
    "a network has one function": ["TestLoading::test_a_function_that_is_not_there"],
    "compute units change no number": ["TestLoading::test_compute_units_change_nothing"],
    # --- what coremltools asks before it predicts ---
    "_is_macos, _macos_version and _IS_MACOS tell of a recent macOS, at import too": [
        "test_on",
        "test_on_before_a_conftest_asks",
    ],
    "the plugin does nothing unless it is asked to, and says what is missing": [
        "test_off_by_default",
        "test_another_runtime_is_refused",
        "test_without_coremltools",
    ],
}


def all_tests() -> set[str]:
    """All tests of the contract, as Class::name or name."""
    found = set()
    for file in FILES:
        for node in ast.parse((HERE / file).read_text(encoding="utf-8")).body:
            inner = node.body if isinstance(node, ast.ClassDef) and node.name not in OTHER else [node]
            prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
            found |= {f"{prefix}{each.name}" for each in inner if isinstance(each, ast.FunctionDef)}
    return {name for name in found if name.rpartition("::")[2].startswith("test_")}


@pytest.mark.parametrize("fact", FACTS)
def test_each_fact_has_a_test(fact: str) -> None:
    assert FACTS[fact]
    assert set(FACTS[fact]) <= all_tests()


def test_each_test_stands_for_a_fact() -> None:
    assert all_tests() - {name for names in FACTS.values() for name in names} == set()
