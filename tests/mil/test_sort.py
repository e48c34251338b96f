"""Sorting, the largest elements, places, and boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mil.support import ALL, LARGE, check_types, run
from support import integers

from refcoreml.errors import InputError, InvalidModelError

#: With equal elements along each axis.
X = integers((3, 5, 4), 1, -2, 3)
TYPES = (np.float16, np.float32, np.int32)
HELD = {np.float16: np.float32}


def order(values: list[float], ascending: bool) -> list[int]:
    """Return indices, of equal elements the lowest first."""
    return sorted(range(len(values)), key=lambda i: (values[i] if ascending else -values[i], i))


def along(axis: int, ascending: bool, x: np.ndarray = X) -> np.ndarray:
    return np.apply_along_axis(lambda v: order(v.tolist(), ascending), axis, x)


# ---- Types ----

ONES, NUMBERS, FLOATS = np.ones((1, 4, 1), np.float32), {"fp16", "fp32", "int32"}, {"CoreML5": {"fp16", "fp32"}}
INT32, SINCE_5 = {"CoreML5": {"int32"}}, {"CoreML5": LARGE}


@pytest.mark.parametrize(
    ("kind", "names", "inputs", "constants", "taken"),
    [
        ("argsort", ["x"], dict(x=ONES), {}, {"CoreML5": NUMBERS}),
        ("topk", ["x"], dict(x=ONES), {}, {"CoreML5": NUMBERS, "CoreML7": ALL - {"bool"}}),
        ("topk", ["k"], dict(x=ONES), dict(k=1), {"CoreML5": {"int32"}, "CoreML7": {"int32", "int16", "int8"}}),
        ("non_zero", ["x"], dict(x=ONES), dict(outputs=[("int32", (None, 3))]), SINCE_5),
        ("one_hot", ["indices"], dict(indices=ONES), dict(one_hot_vector_size=2), INT32),
        ("one_hot", ["one_hot_vector_size"], dict(indices=ONES.astype(np.int32)), dict(one_hot_vector_size=1), INT32),
        (
            "one_hot",
            ["on_value", "off_value"],
            dict(indices=ONES.astype(np.int32)),
            dict(one_hot_vector_size=2, on_value=1, off_value=0),
            SINCE_5,
        ),
    ],
)
@pytest.mark.clause("mil.argsort.C1", "mil.topk.C1", "mil.non_zero.C1", "mil.one_hot.C1")
def test_types_of_elements(
    kind: str, names: list[str], inputs: dict[str, Any], constants: dict[str, Any], taken: dict[str, set[str]]
) -> None:
    check_types(kind, names, inputs, constants, taken)


@pytest.mark.parametrize("names", [["boxes", "scores"], ["iou_threshold"], ["score_threshold"]])
@pytest.mark.clause("mil.non_maximum_suppression.C1")
def test_boxes_and_thresholds_are_floats(names: list[str]) -> None:
    taken = {"fp16", "fp32"}
    inputs, constants = dict(boxes=ONES.swapaxes(1, 2), scores=ONES[:, :1]), dict(iou_threshold=1.0, max_boxes=1)
    check_types(
        "non_maximum_suppression",
        names,
        inputs,
        constants | {"score_threshold": 0.0},
        {"CoreML5": taken, "CoreML7": set()},
    )
    if names != ["score_threshold"]:
        turned = {name: x.swapaxes(1, 2) for name, x in inputs.items()}
        check_types("non_maximum_suppression", names, turned, constants, {"CoreML7": taken})


# ---- Sorting ----


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("ascending", [None, False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.clause("mil.argsort.S1", "mil.argsort.S2", "programs.U8")
def test_indices_that_sort(axis: int | None, ascending: bool | None, dtype: Any) -> None:
    given: dict[str, Any] = {} if axis is None else {"axis": axis}
    given |= {} if ascending is None else {"ascending": ascending}
    y = run("argsort", {"x": X.astype(dtype)}, **given)
    assert y.dtype == np.int32
    np.testing.assert_array_equal(y, along(-1 if axis is None else axis, bool(ascending)))


@pytest.mark.clause("programs.U8")
def test_the_ends_of_a_type_are_sorted_and_not_a_number_is_last() -> None:
    x = np.array([-(2**31), 5, 2**31 - 1, -(2**31)], np.int32)
    assert run("argsort", {"x": x}).tolist() == [2, 1, 0, 3]
    assert run("argsort", {"x": x}, ascending=True).tolist() == [0, 3, 1, 2]
    odd = np.array([np.nan, 1, np.inf, -np.inf], np.float32)
    assert run("argsort", {"x": odd}).tolist() == [2, 1, 3, 0]
    assert run("argsort", {"x": odd}, ascending=True).tolist() == [3, 1, 2, 0]
    for ascending, expected in ((False, [2, 1, 3, 0]), (True, [3, 1, 2, 0])):
        values, indices = run("topk", {"x": odd}, k=-1, ascending=ascending)
        assert indices.tolist() == expected
        np.testing.assert_array_equal(values, odd[expected])


@pytest.mark.parametrize("opset", ["CoreML5", "CoreML6", "CoreML7"])
@pytest.mark.parametrize("ascending", [None, True])
@pytest.mark.parametrize(("k", "axis"), [(None, None), (1, 0), (3, 1), (-1, 1), (2, -1)])
@pytest.mark.clause("mil.topk.S1", "mil.topk.S2", "mil.topk.S5", "programs.U8", "programs.U75")
def test_the_largest_and_the_smallest(k: int | None, axis: int | None, ascending: bool | None, opset: str) -> None:
    given: dict[str, Any] = {
        name: value for name, value in (("k", k), ("axis", axis), ("ascending", ascending)) if value is not None
    }
    along_axis = -1 if axis is None else axis
    count = {None: 1, -1: X.shape[along_axis]}.get(k, k)
    places = np.take(along(along_axis, bool(ascending)), range(count), along_axis)
    for dtype in TYPES:
        values, indices = run("topk", {"x": X.astype(dtype)}, opset=opset, **given)
        assert (values.dtype, indices.dtype) == (HELD.get(dtype, dtype), np.int32)
        np.testing.assert_array_equal(indices, places)
        np.testing.assert_array_equal(values, np.take_along_axis(X, places, along_axis))


@pytest.mark.clause("mil.topk.S3", "programs.U74")
def test_since_coreml6_indices_need_not_be_returned() -> None:
    x = np.array([[3, 1, 2]], np.float32)
    for opset in ("CoreML6", "CoreML7"):
        y = run("topk", {"x": x}, opset=opset, k=2, return_indices=False)
        np.testing.assert_array_equal(y, [[3, 2]])
        values, _ = run("topk", {"x": x}, opset=opset, k=2, return_indices=True, sort=False)
        np.testing.assert_array_equal(values, [[3, 2]])
    with pytest.raises(InvalidModelError, match="takes no parameter 'return_indices'"):
        run("topk", {"x": x}, opset="CoreML5", k=2, return_indices=False)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16])
@pytest.mark.clause("mil.topk.C1", "mil.topk.S4")
def test_since_coreml7_of_small_integers(dtype: Any) -> None:
    x = np.array([[7, 0, 100, 7]], dtype)
    for text, result in {"uint16": np.uint16, "int32": np.int32}.items():
        values, indices = run("topk", {"x": x}, opset="CoreML7", k=np.int16(3), output_indices_dtype=text)
        assert (values.dtype, indices.dtype) == (dtype, result)
        assert (values.tolist(), indices.tolist()) == ([[100, 7, 7]], [[2, 0, 3]])
    with pytest.raises(InvalidModelError, match="'x' has elements of type"):
        run("topk", {"x": x}, opset="CoreML6")


@pytest.mark.clause("mil.topk.C2", "mil.topk.C3", "mil.argsort.C1")
def test_what_topk_refuses() -> None:
    x = np.zeros((2, 3), np.float32)
    for k in (0, 4, -2):
        with pytest.raises(InvalidModelError, match=f"K is {k}, expected 1 to 3"):
            run("topk", {"x": x}, k=k)
    with pytest.raises(InvalidModelError, match="output_indices_dtype is given, but return_indices is false"):
        run("topk", {"x": x}, return_indices=False, output_indices_dtype="int32")
    with pytest.raises(InvalidModelError, match="'output_indices_dtype' is 'int8', expected one of 'int32', 'uint16'"):
        run("topk", {"x": x}, output_indices_dtype="int8")
    with pytest.raises(InvalidModelError, match="takes no parameter 'output_indices_dtype'"):
        run("topk", {"x": x}, output_indices_dtype="int32", opset="CoreML6")
    for kind, axis in (("topk", 2), ("topk", -3), ("argsort", 2), ("argsort", -3)):
        with pytest.raises(InvalidModelError, match=rf"made.*\({kind}\).*axis is {axis}, expected -2 to 1"):
            run(kind, {"x": x}, axis=axis)


# ---- Places ----


@pytest.mark.parametrize("dtype", [*TYPES, np.bool_])
@pytest.mark.clause("mil.non_zero.S1")
def test_places_that_are_not_zero(dtype: Any) -> None:
    x = np.array([[0, 1, 0], [1, 0, 1]]).astype(dtype)
    y = run("non_zero", {"x": x}, outputs=[("int32", (None, 2))])
    assert y.dtype == np.int32
    assert y.tolist() == [[0, 1], [1, 0], [1, 2]]


@pytest.mark.clause("mil.non_zero.C1", "mil.non_zero.C2", "mil.non_zero.S2")
def test_what_is_zero() -> None:
    x = np.array([[-0.0, np.nan, 0.0], [np.inf, -0.0, 2**-149]], np.float32)
    y = run("non_zero", {"x": x}, outputs=[("int32", (None, 2))])
    assert y.tolist() == [[0, 1], [1, 0], [1, 2]]
    with pytest.raises(InputError, match=r"made.*\(non_zero\).*all 6 elements of its input are 0, so that the output"):
        run("non_zero", {"x": 0 * np.ones((2, 3), np.float32)}, outputs=[("int32", (None, 2))])
    with pytest.raises(InvalidModelError, match=r"made.*\(non_zero\).*expected an input of rank 1 or more"):
        run("non_zero", {"x": np.float32(3)}, outputs=[("int32", (None, 0))])


@pytest.mark.parametrize("axis", [None, 0, 1, 2, -2, -3])
@pytest.mark.clause("programs.U29", "mil.one_hot.S1", "mil.one_hot.S2")
def test_one_of_several(axis: int | None) -> None:
    indices = np.array([[0, 3], [-1, 4], [2, 2]], np.int32)
    expected = np.zeros((3, 2, 4), np.int32)
    for place in np.ndindex(indices.shape):
        if 0 <= indices[place] < 4:
            expected[(*place, indices[place])] = 1
    expected = np.moveaxis(expected, -1, -1 if axis is None else axis)
    given = {} if axis is None else {"axis": axis}
    y = run("one_hot", {"indices": indices}, one_hot_vector_size=np.int32(4), **given)
    assert y.dtype == np.int32
    np.testing.assert_array_equal(y, expected)
    outputs = [("int32", (None,) * 3)]
    computed = {"indices": indices, "one_hot_vector_size": np.int32(4)}
    np.testing.assert_array_equal(run("one_hot", computed, outputs=outputs, **given), expected)


@pytest.mark.parametrize("dtype", [*TYPES, np.bool_])
@pytest.mark.clause("mil.one_hot.S3", "programs.U76")
def test_one_of_several_has_the_type_of_its_values(dtype: Any) -> None:
    indices = np.array([2, 0], np.int32)
    on, off = np.array([0, 1]).astype(dtype)
    y = run("one_hot", {"indices": indices}, one_hot_vector_size=3, on_value=on, off_value=off)
    assert y.dtype == HELD.get(dtype, dtype)
    np.testing.assert_array_equal(y, [[1, 1, 0], [0, 1, 1]])
    y = run("one_hot", {"indices": indices}, one_hot_vector_size=3, off_value=np.array(0).astype(dtype))
    assert y.dtype == HELD.get(dtype, dtype)
    np.testing.assert_array_equal(y, [[0, 0, 1], [1, 0, 0]])


@pytest.mark.clause("mil.one_hot.C1", "mil.one_hot.C2")
def test_what_one_hot_refuses() -> None:
    indices = np.array([2, 0], np.int32)
    with pytest.raises(InvalidModelError, match="'on_value', 'off_value' have elements of types fp32, fp16"):
        run("one_hot", {"indices": indices}, one_hot_vector_size=3, on_value=np.float32(1), off_value=np.float16(0))
    with pytest.raises(InvalidModelError, match="one_hot_vector_size is 0, expected 1 or more"):
        run("one_hot", {"indices": indices}, one_hot_vector_size=0)
    with pytest.raises(InvalidModelError, match="'indices' has elements of type fp32"):
        run("one_hot", {"indices": indices.astype(np.float32)}, one_hot_vector_size=3)
    with pytest.raises(InvalidModelError, match="axis is 2, expected -2 to 1"):
        run("one_hot", {"indices": indices}, one_hot_vector_size=3, axis=2)
    with pytest.raises(InvalidModelError, match="none may have a rank above 5"):
        run("one_hot", {"indices": indices[None, None, None, None]}, one_hot_vector_size=3)
    computed = {"indices": indices, "one_hot_vector_size": np.int32(-3)}
    with pytest.raises(InputError, match="depth is -3, expected 1 to"):
        run("one_hot", computed, outputs=[("int32", (2, None))])


# ---- Boxes ----

#: Center, width, height. The second covers 3/4 of the first, whose IoU is 3/4; the third touches none.
BOXES = np.array([[[4, 4, 8, 8], [3, 4, 6, 8], [20, 4, 8, 8], [4, 20, 8, 8]]])
SCORES = np.array([[[0.5, 0.125], [0.25, 0.75], [0.375, 0.0625], [0.125, 0.25]]])
COMMON = {"iou_threshold": 0.5, "max_boxes": 3}


def boxes_of(kept: list[int], count: int, values: np.ndarray) -> np.ndarray:
    found = np.zeros((1, count, values.shape[2]))
    found[0, : len(kept)] = values[0, kept]
    return found


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(
    ("parameters", "kept"),
    [
        ({}, [1, 2, 3]),
        ({"iou_threshold": 0.75}, [1, 0, 2]),  # above, not at, the threshold
        ({"score_threshold": 0.25}, [1, 2]),
        ({"score_threshold": 0.375}, [1]),
        ({"score_threshold": 0.9}, [1]),  # the best one stays
        ({"per_class_suppression": True}, [1, 0, 2]),
        ({"max_boxes": 4, "per_class_suppression": True}, [1, 0, 2, 3]),
        ({"max_boxes": 2}, [1, 2]),
    ],
)
@pytest.mark.clause(
    "mil.non_maximum_suppression.S1",
    "mil.non_maximum_suppression.S2",
    "mil.non_maximum_suppression.S3",
    "mil.non_maximum_suppression.S4",
    "mil.non_maximum_suppression.S5",
    "programs.U77",
)
def test_boxes(parameters: dict[str, Any], kept: list[int], dtype: Any) -> None:
    given = {"score_threshold": 0.0, **COMMON, **parameters}
    typed = {name: dtype(value) if isinstance(value, float) else value for name, value in given.items()}
    results = run(
        "non_maximum_suppression",
        {"boxes": BOXES.astype(dtype), "scores": SCORES.astype(dtype)},
        opset="CoreML6",
        **typed,
    )
    most = given["max_boxes"]
    assert [y.dtype for y in results] == [np.float32, np.float32, np.int32, np.int32]
    boxes, scores, indices, count = results
    np.testing.assert_array_equal(boxes, boxes_of(kept, most, BOXES))
    np.testing.assert_array_equal(scores, boxes_of(kept, most, SCORES))
    assert indices.tolist() == [[*kept, *[-1] * (most - len(kept))]]
    assert count.tolist() == [len(kept)]
    if given["score_threshold"] == 0.0:  # none of these is left out
        del typed["score_threshold"]
        turned = {"boxes": BOXES.astype(dtype).swapaxes(1, 2), "scores": SCORES.astype(dtype).swapaxes(1, 2)}
        results = run("non_maximum_suppression", turned, opset="CoreML7", **typed)
        assert [y.shape for y in results] == [(1, 4, most), (1, 2, most), (1, most)]
        np.testing.assert_array_equal(results[0].swapaxes(1, 2), boxes)
        np.testing.assert_array_equal(results[1].swapaxes(1, 2), scores)
        np.testing.assert_array_equal(results[2], indices)


def kept_of(boxes: Any, scores: Any, **parameters: Any) -> list[int]:
    """Return which boxes [B, 4] are kept, of one score each, in the form since CoreML7."""
    given = {"boxes": np.float32(boxes).T[None], "scores": np.float32(scores)[None, None]}
    _, _, indices = run("non_maximum_suppression", given, max_boxes=len(boxes), **parameters)
    return [index for index in indices[0].tolist() if index >= 0]


@pytest.mark.clause("programs.U78")
def test_the_order_of_boxes_with_equal_scores() -> None:
    assert kept_of(BOXES[0], [1, 2, 1, 2], iou_threshold=1.0) == [1, 3, 0, 2]


@pytest.mark.clause("programs.U79")
def test_boxes_of_negative_size_and_without_area() -> None:
    negative = BOXES[0] * [1, 1, -1, 1]
    assert kept_of(negative, [4, 3, 2, 1], iou_threshold=0.5) == [0, 2, 3]
    flat = np.repeat(BOXES[0, :1] * [1, 1, 0, 1], 3, axis=0)
    assert kept_of(flat, [1, 3, 2], iou_threshold=0.0) == [1, 2, 0]


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([np.nan, 1, 2, np.nan], [2, 1]),
        ([-np.inf, 1, 2, -np.inf], [2, 1]),
        ([np.nan] * 4, [0]),
        ([-np.inf] * 4, [0]),
    ],
)
@pytest.mark.clause("programs.U80")
def test_scores_that_are_no_numbers_or_infinite(scores: list[float], kept: list[int]) -> None:
    assert kept_of(BOXES[0], scores, iou_threshold=1.0) == kept


@pytest.mark.clause("mil.non_maximum_suppression.S1")
def test_items_of_a_batch_are_independent() -> None:
    boxes = np.concatenate([BOXES, BOXES[:, ::-1]]).astype(np.float32)
    scores = np.concatenate([SCORES, SCORES]).astype(np.float32)
    given = {"iou_threshold": 0.5, "max_boxes": 3, "score_threshold": 0.3}
    both = run("non_maximum_suppression", {"boxes": boxes, "scores": scores}, opset="CoreML6", **given)
    for item in (0, 1):
        alone = {"boxes": boxes[item : item + 1], "scores": scores[item : item + 1]}
        for y, one in zip(both, run("non_maximum_suppression", alone, opset="CoreML6", **given), strict=True):
            np.testing.assert_array_equal(y[item : item + 1], one)
    assert both[3].tolist() == [2, 3]


@pytest.mark.clause(
    "mil.non_maximum_suppression.C1", "mil.non_maximum_suppression.C2", "mil.non_maximum_suppression.C3"
)
def test_boxes_that_do_not_fit() -> None:
    boxes, scores = BOXES.astype(np.float32), SCORES.astype(np.float32)
    given = {"iou_threshold": np.float32(0.5), "max_boxes": 3}
    with pytest.raises(InvalidModelError, match="'score_threshold' is missing"):
        run("non_maximum_suppression", {"boxes": boxes, "scores": scores}, opset="CoreML6", **given)
    both = {**given, "score_threshold": np.float32(0)}
    with pytest.raises(InvalidModelError, match="takes no parameter 'score_threshold'"):
        run("non_maximum_suppression", {"boxes": boxes, "scores": scores}, opset="CoreML7", **both)
    for wrong in ({"iou_threshold": np.int32(1)}, {"score_threshold": True}):
        typed = {**both, **wrong}
        with pytest.raises(InvalidModelError, match=r"_threshold' has elements of type .*, expected fp16, fp32"):
            run("non_maximum_suppression", {"boxes": boxes, "scores": scores}, opset="CoreML6", **typed)
    with pytest.raises(InvalidModelError, match=r"expected boxes \[B, 4, N\] and scores \[B, C, N\]"):
        run("non_maximum_suppression", {"boxes": boxes[:, :3], "scores": scores}, opset="CoreML7", **given)
    for missing in given:
        rest = {name: value for name, value in given.items() if name != missing}
        with pytest.raises(InvalidModelError, match=f"parameter '{missing}' is missing"):
            run("non_maximum_suppression", {"boxes": boxes, "scores": scores}, opset="CoreML7", **rest)
    with pytest.raises(InvalidModelError, match="number of boxes is 0"):
        run(
            "non_maximum_suppression",
            {"boxes": boxes, "scores": scores},
            opset="CoreML6",
            **given | {"max_boxes": 0},
            score_threshold=np.float32(0),
        )
    with pytest.raises(InvalidModelError, match="'boxes', 'scores' have elements of types fp32, fp16"):
        run("non_maximum_suppression", {"boxes": boxes, "scores": scores.astype(np.float16)}, **given)
