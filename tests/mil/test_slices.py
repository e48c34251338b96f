"""Slices, windows and reversal, in all operation sets."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from mil.support import ALL, LARGE, check_types, run

from refcoreml.errors import InputError, InvalidModelError

OPSETS = ["CoreML5", "CoreML6", "CoreML7", "CoreML8", "CoreML9"]
VALUES = [np.float16, np.float32, np.int32, np.bool_]
SMALL = [np.int8, np.uint8, np.int16, np.uint16]
X = np.arange(60).reshape(3, 4, 5)
NAMES = {"float16": "fp16", "float32": "fp32"}


def tensor(dtype: Any, *shape: int | None) -> Any:
    name = np.dtype(dtype).name
    return [(NAMES.get(name, name), shape)]


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


# ---- Types ----

ONES = np.ones((1, 1), np.float32)
GROWING = {"CoreML5": LARGE, "CoreML7": ALL}
SETTINGS = {"CoreML5": {"int32"}, "CoreML7": {"int32", "int16", "int8"}}
CUT = dict(begin=[0, 0], end=[1, 1], stride=[1, 1])


@pytest.mark.parametrize(
    ("kind", "names", "inputs", "constants", "taken"),
    [
        ("slice_by_index", ["x"], dict(x=ONES), CUT, GROWING),
        ("slice_by_index", ["begin", "end", "stride"], dict(x=ONES), CUT, SETTINGS),
        ("slice_update", ["x", "update"], dict(x=ONES, update=ONES), CUT, {"CoreML8": ALL}),
        (
            "slice_update",
            ["begin", "end", "stride"],
            dict(x=ONES, update=ONES),
            CUT,
            {"CoreML8": {"int32", "int16", "int8"}},
        ),
        ("slice_by_size", ["x"], dict(x=ONES), dict(begin=[0, 0], size=[1, 1]), GROWING),
        ("slice_by_size", ["begin", "size"], dict(x=ONES), dict(begin=[0, 0], size=[1, 1]), SETTINGS),
        (
            "sliding_windows",
            ["x"],
            dict(x=ONES),
            dict(axis=0, size=1),
            {"CoreML5": {"fp16", "fp32", "int32"}, "CoreML7": ALL},
        ),
        ("reverse", ["x"], dict(x=ONES), {}, GROWING),
        ("reverse_sequence", ["x"], dict(x=ONES), dict(lengths=[1], seq_axis=1), GROWING),
        ("reverse_sequence", ["lengths"], dict(x=ONES), dict(lengths=[1], seq_axis=1), SETTINGS),
    ],
)
@pytest.mark.clause(
    "mil.slice_by_index.C1",
    "mil.slice_update.C1",
    "mil.slice_by_size.C1",
    "mil.sliding_windows.C1",
    "mil.reverse.C1",
    "mil.reverse_sequence.C1",
)
def test_types_of_elements(
    kind: str, names: list[str], inputs: dict[str, Any], constants: dict[str, Any], taken: dict[str, set[str]]
) -> None:
    check_types(kind, names, inputs, constants, taken)


# ---- slice_by_index ----

CUTS = {
    "plain": (dict(begin=[0, 1, 2], end=[2, 3, 5]), np.s_[0:2, 1:3, 2:5]),
    "from the end": (dict(begin=[-2, -4, -3], end=[-1, 4, -1]), np.s_[-2:-1, -4:4, -3:-1]),
    "beyond": (dict(begin=[-9, 0, 0], end=[9, 9, 1]), np.s_[-9:9, 0:9, 0:1]),
    "strides": (dict(begin=[2, 0, 0], end=[0, 4, 5], stride=[-1, 3, 2]), np.s_[2:0:-1, 0:4:3, 0:5:2]),
    "masks": (
        dict(begin=[1, 1, 1], end=[2, 2, 2], begin_mask=[True, False, True], end_mask=[False, True, True]),
        np.s_[:2, 1:, :],
    ),
    "down to 0": (
        dict(begin=[2, 0, 1], end=[1, 1, 0], stride=[-1, -2, -1], begin_mask=[False, True, False], end_mask=[True] * 3),
        np.s_[2::-1, ::-2, 1::-1],
    ),
    "squeezed": (
        dict(begin=[1, -1, 1], end=[0, 0, 3], stride=[1, -1, 1], squeeze_mask=[True, True, False]),
        np.s_[1, -1, 1:3],
    ),
    "number": (dict(begin=[1, -1, 4], end=[0, 0, 0], squeeze_mask=[True] * 3), np.s_[1, -1, 4]),
}


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("case", CUTS)
@pytest.mark.clause(
    "mil.slice_by_index.S1", "mil.slice_by_index.S2", "mil.slice_by_index.S3", "mil.slice_by_index.S4", "programs.U66"
)
def test_slices_are_those_of_numpy(case: str, opset: str) -> None:
    parameters, taken = CUTS[case]
    for dtype in VALUES + SMALL * (opset in OPSETS[2:]):
        x = (X % 2 if dtype is np.bool_ else X).astype(dtype)
        y = run("slice_by_index", {"x": x}, opset=opset, **parameters)
        assert y.dtype == (np.float32 if dtype is np.float16 else dtype)
        np.testing.assert_array_equal(y, x[taken])


@pytest.mark.parametrize("case", CUTS)
@pytest.mark.parametrize("computed", [("begin",), ("end",), ("begin", "end")])
@pytest.mark.parametrize("small", [False, True])
@pytest.mark.clause("mil.slice_by_index.C2", "mil.slice_by_index.S1")
def test_begin_and_end_may_be_computed(case: str, computed: tuple[str, ...], small: bool) -> None:
    parameters, taken = CUTS[case]
    opset, dtype = ("CoreML7", np.int16) if small else ("CoreML5", np.int32)
    typed = {
        name: np.array(value, dtype) if name in ("begin", "end", "stride") else value
        for name, value in parameters.items()
    }
    given = {"x": X.astype(np.float32), **{name: typed.pop(name) for name in computed}}
    expected = given["x"][taken]
    outputs = tensor(np.float32, *(None,) * expected.ndim)
    y = run("slice_by_index", given, opset=opset, outputs=outputs, **typed)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.clause("mil.slice_by_index.C1", "mil.slice_by_index.C2", "mil.slice_by_index.C3")
def test_slices_that_core_ml_does_not_have() -> None:
    x = X.astype(np.float32)
    with pytest.raises(InvalidModelError, match=r"made.*\(slice_by_index\).*slice 2:2:1 of axis 1 of 4 .*is empty"):
        run("slice_by_index", {"x": x}, begin=[0, 2, 0], end=[3, 2, 5])
    outputs = tensor(np.float32, None, None, None)
    with pytest.raises(InputError, match=r"made.*slice 2:2:1 of axis 1 of 4 .*is empty"):
        run("slice_by_index", {"x": x, "begin": ints(0, 2, 0)}, end=[3, 2, 5], outputs=outputs)
    with pytest.raises(InvalidModelError, match="parameter 'begin' has 2 elements, expected 3"):
        run("slice_by_index", {"x": x}, begin=[0, 2], end=[3, 2, 5])
    with pytest.raises(InvalidModelError, match="parameter 'end_mask' has 2 elements, expected 3"):
        run("slice_by_index", {"x": x}, begin=[0, 2, 0], end=[3, 3, 5], end_mask=[True, False])
    with pytest.raises(InvalidModelError, match="parameter 'end' is missing"):
        run("slice_by_index", {"x": x}, begin=[0, 2, 0])
    with pytest.raises(InvalidModelError, match="parameter 'stride' must be a constant"):
        run("slice_by_index", {"x": x, "stride": ints(1, 1, 1)}, begin=[0, 2, 0], end=[3, 3, 5])
    with pytest.raises(InvalidModelError, match="the stride is 0 on axis 2"):
        run("slice_by_index", {"x": x}, begin=[0, 2, 0], end=[3, 3, 5], stride=[1, 1, 0])
    with pytest.raises(InvalidModelError, match="'begin' has elements of type int16, expected int32"):
        run("slice_by_index", {"x": x}, begin=np.array([0, 2, 0], np.int16), end=[3, 3, 5], opset="CoreML6")
    with pytest.raises(InvalidModelError, match="'begin', 'end' have elements of types int32, int16, expected one"):
        run("slice_by_index", {"x": x}, begin=[0, 2, 0], end=np.array([3, 3, 5], np.int16))
    with pytest.raises(InvalidModelError, match="'x' has elements of type int8"):
        run("slice_by_index", {"x": X.astype(np.int8)}, begin=[0, 2, 0], end=[3, 3, 5], opset="CoreML6")


@pytest.mark.clause("programs.U67", "programs.U68")
def test_what_core_ml_leaves_undefined_is_an_error_in_a_strict_program_only() -> None:
    x = X.astype(np.float32)
    squeezed = dict(begin=[3, 0, 0], end=[3, 4, 5], squeeze_mask=[True, False, False])
    down = dict(begin=[2, 0, 0], end=[-9, 4, 5], stride=[-1, 1, 1])
    for parameters, words, expected in [(squeezed, "begin is 3 on axis 0", x[2]), (down, "end mask", x[::-1])]:
        with pytest.raises(InvalidModelError, match=words):
            run("slice_by_index", {"x": x}, **parameters)
        outputs = tensor(np.float32, *expected.shape)
        np.testing.assert_array_equal(
            run("slice_by_index", {"x": x}, strict=False, outputs=outputs, **parameters), expected
        )


@pytest.mark.parametrize(("begin", "end"), [(1, 2), (0, 0), (-1, -1)])
@pytest.mark.clause("programs.U69")
def test_empty_slices_of_an_axis_of_length_1(begin: int, end: int) -> None:
    x = X[:1, 0].astype(np.float32)
    with pytest.raises(InvalidModelError, match=rf"slice {begin}:{end}:1 of axis 0 of 1 elements is empty"):
        run("slice_by_index", {"x": x}, begin=[begin, 0], end=[end, 5])


@pytest.mark.clause("programs.U68")
def test_ends_that_a_run_computes_below_the_axis() -> None:
    given = {"x": X.astype(np.float32), "begin": ints(2, 0, 0), "end": ints(-9, 4, 5)}
    rest: Any = dict(stride=[-1, 1, 1], outputs=tensor(np.float32, None, None, None))
    with pytest.raises(InputError, match=r"made.*end is -9 on axis 0 of 3 elements.*use an end mask"):
        run("slice_by_index", given, **rest)
    np.testing.assert_array_equal(run("slice_by_index", given, strict=False, **rest), X[::-1])


@pytest.mark.clause("programs.U67")
def test_what_core_ml_leaves_undefined_of_begins_that_a_run_computes() -> None:
    x, outputs = X.astype(np.float32), tensor(np.float32, None, None)
    given = {"x": x, "begin": ints(3, 0, 0)}
    rest: Any = dict(end=[3, 4, 5], squeeze_mask=[True, False, False], outputs=outputs)
    with pytest.raises(InputError, match=r"made.*\(slice_by_index\).*begin is 3 on axis 0"):
        run("slice_by_index", given, **rest)
    np.testing.assert_array_equal(run("slice_by_index", given, strict=False, **rest), x[2])


# ---- slice_update ----


@pytest.mark.parametrize("dtype", VALUES + SMALL)
@pytest.mark.parametrize("case", [case for case in CUTS if case != "number"])
@pytest.mark.parametrize("computed", [(), ("begin",), ("begin", "end")])
@pytest.mark.clause("mil.slice_update.S1")
def test_an_update_replaces_a_slice(case: str, dtype: Any, computed: tuple[str, ...]) -> None:
    parameters, taken = CUTS[case]
    x = (X % 2 if dtype is np.bool_ else X).astype(dtype)
    expected = x.copy()
    update = (x[taken] == 0).astype(dtype) if dtype is np.bool_ else (x[taken] + 60).astype(dtype)
    expected[taken] = update
    assert (expected != x).any()
    rest = {name: value for name, value in parameters.items() if name not in computed}
    given = {"x": x, "update": update, **{name: np.array(parameters[name], np.int32) for name in computed}}
    y = run("slice_update", given, outputs=tensor(dtype, 3, 4, 5), **rest)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.clause("mil.slice_update.C1", "mil.slice_update.C2", "mil.slice_update.C3")
def test_updates_that_do_not_fit() -> None:
    x, cut = X.astype(np.float32), dict(begin=[0, 0, 0], end=[1, 2, 3])
    with pytest.raises(
        InvalidModelError, match=r"\(slice_update\).*update is float32 \(2, 3\), expected float32 \(1, 2"
    ):
        run("slice_update", {"x": x, "update": x[0, :2, :3]}, **cut)
    given = {"x": x, "update": x[:2, :2, :3], "begin": ints(0, 0, 0), "end": ints(1, 2, 3)}
    with pytest.raises(InputError, match=r"\(slice_update\).*update is float32 \(2, 2, 3\), expected float32 \(1, 2"):
        run("slice_update", given)
    with pytest.raises(InvalidModelError, match=r"\(slice_update\).*the slice 1:1:1 of axis 0 of 3 elements is empty"):
        run("slice_update", {"x": x, "update": x}, begin=[1, 0, 0], end=[1, 4, 5])
    with pytest.raises(InvalidModelError, match=r"the update has rank 0, expected 1 or more"):
        run("slice_update", {"x": x, "update": x[0, 0, 0]}, squeeze_mask=[True] * 3, **cut)
    with pytest.raises(InvalidModelError, match=r"'x', 'update' have elements of types fp32, int32, expected one"):
        run("slice_update", {"x": x, "update": X.astype(np.int32)[:1, :2, :3]}, **cut)


# ---- slice_by_size ----


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("computed", [(), ("begin",), ("size",), ("begin", "size")])
@pytest.mark.parametrize("begin", [(1, 0, 2), (-2, 0, -3)])
@pytest.mark.clause("mil.slice_by_size.S1", "mil.slice_by_size.S2", "programs.U70")
def test_slices_by_size(opset: str, computed: tuple[str, ...], begin: tuple[int, ...]) -> None:
    x = X.astype(np.int32)
    for size, taken in [((1, 4, 2), np.s_[1:2, 0:4, 2:4]), ((-1, 2, -1), np.s_[1:, 0:2, 2:])]:
        parameters = {"begin": ints(*begin), "size": ints(*size)}
        given = {"x": x, **{name: parameters.pop(name) for name in computed}}
        outputs = tensor(np.int32, None, None, None) if computed else None
        np.testing.assert_array_equal(run("slice_by_size", given, opset=opset, outputs=outputs, **parameters), x[taken])


@pytest.mark.parametrize("dtype", VALUES + SMALL)
@pytest.mark.clause("mil.slice_by_size.C1")
def test_slices_by_size_of_all_types(dtype: Any) -> None:
    x = X.astype(dtype)
    y = run("slice_by_size", {"x": x}, begin=np.array([1, 0, 2], np.int8), size=np.array([1, 4, 2], np.int8))
    np.testing.assert_array_equal(y, x[1:2, 0:4, 2:4])


@pytest.mark.clause("mil.slice_by_size.C1", "mil.slice_by_size.C2")
def test_slices_by_size_out_of_range() -> None:
    x = X.astype(np.float32)
    with pytest.raises(
        InvalidModelError, match=r"\(slice_by_size\).*begin is 4 on axis 2 of 5 elements, expected -5 to 3"
    ):
        run("slice_by_size", {"x": x}, begin=[0, 0, 4], size=[3, 4, 2])
    with pytest.raises(InputError, match=r"\(slice_by_size\).*begin hold 4 at \(2,\), expected an index in \[0, 3\]"):
        run("slice_by_size", {"x": x, "begin": ints(0, 0, 4)}, size=[3, 4, 2])
    for begin in (-6, -1):
        with pytest.raises(InvalidModelError, match=f"begin is {begin} on axis 2 of 5 elements, expected -5 to 3"):
            run("slice_by_size", {"x": x}, begin=[0, 0, begin], size=[3, 4, 2])
    with pytest.raises(InputError, match=r"\(slice_by_size\).*size is 6, expected 1 to 5, the length of axis 2"):
        run("slice_by_size", {"x": x, "size": ints(3, 4, 6)}, begin=[0, 0, 0], outputs=tensor(np.float32, *(None,) * 3))
    for size in (0, -2, 6):
        with pytest.raises(InvalidModelError, match=f"size is {size}, expected 1 to 5"):
            run("slice_by_size", {"x": x}, begin=[0, 0, 0], size=[3, 4, size])
    with pytest.raises(InvalidModelError, match="'begin', 'size' have elements of types int32, int16"):
        run("slice_by_size", {"x": x}, begin=[0, 0, 0], size=np.array([3, 4, 5], np.int16))


# ---- Windows, reversal ----


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.clause("mil.sliding_windows.S1", "mil.sliding_windows.S2", "programs.U71")
def test_sliding_windows(opset: str) -> None:
    for dtype in [np.float16, np.float32, np.int32] + [np.bool_, *SMALL] * (opset in OPSETS[2:]):
        x = X.astype(dtype)
        y = run("sliding_windows", {"x": x}, axis=-1, size=3, stride=2, opset=opset)
        expected = np.stack([x[..., 0:3], x[..., 2:5]], 2)
        np.testing.assert_array_equal(y, expected)
        y = run("sliding_windows", {"x": x}, axis=1, size=3, stride=2, opset=opset)  # the last row fills no window
        np.testing.assert_array_equal(y, x[:, None, 0:3])
        y = run("sliding_windows", {"x": x}, axis=0, size=2, opset=opset)
        np.testing.assert_array_equal(y, np.stack([x[0:2], x[1:3]]))


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.clause("mil.reverse.S1", "mil.reverse.S2")
def test_reverse(opset: str) -> None:
    for dtype in VALUES + SMALL * (opset in OPSETS[2:]):
        x = X.astype(dtype)
        np.testing.assert_array_equal(run("reverse", {"x": x}, axes=[-1, 0], opset=opset), x[::-1, :, ::-1])
        np.testing.assert_array_equal(run("reverse", {"x": x}, opset=opset), x[::-1, ::-1, ::-1])


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("computed", [False, True])
@pytest.mark.clause("mil.reverse_sequence.S1")
def test_reverse_sequence(opset: str, computed: bool) -> None:
    for dtype in VALUES + SMALL * (opset in OPSETS[2:]):
        x, lengths = X.astype(dtype), ints(4, 0, 2, 5)
        expected = x.copy()
        for b, n in enumerate(lengths):
            expected[:, b, :n] = x[:, b, :n][:, ::-1]
        given, rest = ({"x": x, "lengths": lengths}, {}) if computed else ({"x": x}, {"lengths": lengths})
        y = run("reverse_sequence", given, seq_axis=-1, batch_axis=1, opset=opset, **rest)
        np.testing.assert_array_equal(y, expected)


@pytest.mark.clause("mil.reverse_sequence.S2", "mil.reverse_sequence.C2")
def test_axes_of_sequences_are_0_by_default() -> None:
    x = X.astype(np.float32)
    expected = x.copy()
    expected[0, :2], expected[2, :3] = x[0, 1::-1], x[2, 2::-1]
    np.testing.assert_array_equal(run("reverse_sequence", {"x": x}, lengths=[2, 1, 3], seq_axis=1), expected)
    turned = x.swapaxes(0, 1)
    y = run("reverse_sequence", {"x": turned}, lengths=[2, 1, 3], batch_axis=1)
    np.testing.assert_array_equal(y, expected.swapaxes(0, 1))
    with pytest.raises(InvalidModelError, match="the batch and the sequence lie both on axis 0"):
        run("reverse_sequence", {"x": x}, lengths=[2, 1, 3])


@pytest.mark.parametrize(
    ("kind", "parameters", "words"),
    [
        ("sliding_windows", dict(axis=2, size=6), "the window size is 6, expected 1 to 5, the length of axis 2"),
        ("sliding_windows", dict(axis=3, size=1), "axis is 3, expected -3 to 2"),
        ("sliding_windows", dict(axis=2, size=2, stride=0), "the stride is 0, expected 1 or more"),
        ("sliding_windows", dict(size=2), "parameter 'axis' is missing"),
        ("sliding_windows", dict(axis=2), "parameter 'size' is missing"),
        ("sliding_windows", dict(axis=2, size=0), "the window size is 0, expected 1 to 5"),
        ("reverse", dict(axes=[3]), "axis is 3, expected -3 to 2"),
        ("reverse", dict(axes=[1, -2]), r"axes is \(1, -2\), which names an axis of 3 twice"),
        ("reverse_sequence", dict(lengths=[2, 1, 3], seq_axis=3), "sequence axis is 3"),
        ("reverse_sequence", dict(lengths=[2, 1], seq_axis=1), r"lengths have the shape \(2,\), expected \(3,\)"),
    ],
)
@pytest.mark.clause("mil.sliding_windows.C2", "mil.reverse.C2", "mil.reverse_sequence.C2")
def test_parameters_out_of_range(kind: str, parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidModelError, match=rf"made.*\({kind}\).*{words}"):
        run(kind, {"x": X.astype(np.float32)}, **parameters)


@pytest.mark.clause("mil.sliding_windows.C2")
def test_windows_of_a_rank_above_5() -> None:
    with pytest.raises(InvalidModelError, match=r"made.*\(sliding_windows\).*none may have a rank above 5"):
        run("sliding_windows", {"x": X[None, None].astype(np.float32)}, axis=2, size=2)


@pytest.mark.clause("mil.reverse_sequence.C2")
def test_lengths_out_of_range() -> None:
    for wrong, computed in itertools.product((-1, 5), (False, True)):
        lengths = ints(2, wrong, 3)
        given = {"x": X.astype(np.float32), **({"lengths": lengths} if computed else {})}
        with pytest.raises(InputError, match=rf"lengths hold {wrong} at \(1,\), expected an index in \[0, 4\]"):
            run("reverse_sequence", given, seq_axis=1, **({} if computed else {"lengths": lengths}))
