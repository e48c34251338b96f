"""Reductions and running totals, against sums that Python takes number by number."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from mil.support import run
from support import integers

from refcoreml.errors import InvalidModelError

X = integers((2, 4, 3), 1, -5, 6)
POSITIVE = integers((2, 4, 3), 2, 1, 6)

#: Results that are integers for integers.
EXACT: dict[str, Callable[[Sequence[int]], float]] = {
    "reduce_sum": sum,
    "reduce_prod": math.prod,
    "reduce_max": max,
    "reduce_min": min,
    "reduce_l1_norm": lambda v: sum(map(abs, v)),
    "reduce_sum_square": lambda v: sum(x * x for x in v),
}
ROUNDED: dict[str, Callable[[Sequence[int]], float]] = {
    "reduce_mean": lambda v: sum(v) / len(v),
    "reduce_l2_norm": lambda v: math.sqrt(sum(x * x for x in v)),
    "reduce_log_sum": lambda v: math.log(sum(v)),
    "reduce_log_sum_exp": lambda v: math.log(sum(map(math.exp, v))),
}
AXES = [None, (0,), (1,), (-1,), (0, 2), (-2, 0), (0, 1, 2)]
HELD = {np.float16: np.float32}


def reduced(function: Callable[..., float], x: np.ndarray, axes: tuple[int, ...] | None, keep: bool) -> np.ndarray:
    """Collect the numbers of each block and reduce them."""
    along = set(range(x.ndim)) if axes is None else {axis % x.ndim for axis in axes}
    blocks: dict[tuple[int, ...], list[Any]] = {}
    for place in np.ndindex(x.shape):
        key = tuple(0 if axis in along else i for axis, i in enumerate(place))
        blocks.setdefault(key, []).append(x[place].item())
    lengths = tuple(1 if axis in along else n for axis, n in enumerate(x.shape))
    y = np.array([function(blocks[place]) for place in np.ndindex(lengths)]).reshape(lengths)
    return y if keep else y.reshape([n for axis, n in enumerate(lengths) if axis not in along])


def given(axes: tuple[int, ...] | None, keep: bool) -> dict[str, Any]:
    chosen = {} if axes is None else {"axes": np.array(axes, np.int32)}
    return {**chosen, "keep_dims": True} if keep else chosen  # False is the default


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.clause(
    "mil.reduce_sum.C1",
    "mil.reduce_sum.S1",
    "mil.reduce_sum.S2",
    "mil.reduce_prod.C1",
    "mil.reduce_prod.S1",
    "mil.reduce_prod.S2",
    "mil.reduce_max.C1",
    "mil.reduce_max.S1",
    "mil.reduce_max.S2",
    "mil.reduce_min.C1",
    "mil.reduce_min.S1",
    "mil.reduce_min.S2",
    "mil.reduce_l1_norm.C1",
    "mil.reduce_l1_norm.S1",
    "mil.reduce_l1_norm.S2",
    "mil.reduce_sum_square.C1",
    "mil.reduce_sum_square.S1",
    "mil.reduce_sum_square.S2",
    "programs.U30",
)
def test_integers_and_floats_are_reduced_exactly(name: str, axes: tuple[int, ...] | None, keep: bool) -> None:
    x = np.where(X == 0, 1, np.sign(X)) if name == "reduce_prod" else X
    expected = reduced(EXACT[name], x, axes, keep)
    for dtype in (np.float16, np.float32, np.int32):
        y = run(name, {"x": x.astype(dtype)}, **given(axes, keep))
        assert y.dtype == HELD.get(dtype, dtype)
        np.testing.assert_array_equal(y, expected)
        assert y.shape == expected.shape


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("name", ROUNDED)
@pytest.mark.clause(
    "mil.reduce_mean.C1",
    "mil.reduce_mean.S1",
    "mil.reduce_mean.S2",
    "mil.reduce_l2_norm.C1",
    "mil.reduce_l2_norm.S1",
    "mil.reduce_l2_norm.S2",
    "mil.reduce_log_sum.C1",
    "mil.reduce_log_sum.S1",
    "mil.reduce_log_sum.S2",
    "mil.reduce_log_sum_exp.C1",
    "mil.reduce_log_sum_exp.S1",
    "mil.reduce_log_sum_exp.S2",
    "programs.U16",
)
def test_floats_are_rounded_and_integers_cut_off(name: str, axes: tuple[int, ...] | None, keep: bool) -> None:
    x = POSITIVE if name == "reduce_log_sum" else X
    expected = reduced(ROUNDED[name], x, axes, keep)
    # 24 exact terms, a few roundings; a sum in single precision, one rounding to half.
    for dtype, limit in ((np.float32, 2**-20), (np.float16, 2**-10)):
        y = run(name, {"x": x.astype(dtype)}, **given(axes, keep))
        np.testing.assert_allclose(y, expected, rtol=limit)
        assert y.shape == expected.shape
    y = run(name, {"x": x.astype(np.int32)}, **given(axes, keep))
    assert y.dtype == np.int32
    assert (abs(expected - np.rint(expected)) > 1e-9).any()
    np.testing.assert_array_equal(
        y, np.trunc(np.where(abs(expected - np.rint(expected)) < 1e-9, np.rint(expected), expected))
    )


@pytest.mark.clause(
    "mil.reduce_sum.S1",
    "mil.reduce_prod.S1",
    "mil.reduce_l1_norm.S1",
    "mil.reduce_sum_square.S1",
    "mil.reduce_mean.S1",
    "mil.reduce_l2_norm.S1",
    "programs.U16",
)
def test_sums_of_half_precision_are_taken_in_single_and_those_of_integers_wrap_around() -> None:
    x = np.full((1, 5001), 0.75, np.float16)
    # 3750.75, rounded once to a multiple of 2
    np.testing.assert_array_equal(run("reduce_sum", {"x": x}, axes=np.array([1], np.int32)), [3750])
    whole = np.array([2**31 - 1, 1, 5], np.int32)
    assert run("reduce_sum", {"x": whole}) == 5 - 2**31
    large = np.array([[2**16, 2**16 + 3], [3, 5]], np.int32)
    axes = np.array([1], np.int32)
    assert run("reduce_prod", {"x": large}, axes=axes).tolist() == [3 * 2**16, 15]
    assert run("reduce_sum_square", {"x": large}, axes=axes).tolist() == [6 * 2**16 + 9, 34]
    assert run("reduce_l1_norm", {"x": np.array([2**31 - 1, -2], np.int32)}) == 1 - 2**31
    # What is divided, or whose root is taken, does not wrap around.
    assert run("reduce_mean", {"x": np.array([2**31 - 1, 2**31 - 4], np.int32)}) == 2**31 - 3
    assert run("reduce_l2_norm", {"x": np.array([3 * 2**20, 2**22], np.int32)}) == 5 * 2**20


@pytest.mark.clause("mil.reduce_log_sum.S1", "mil.reduce_log_sum_exp.S1", "mil.reduce_log_sum_exp.S3")
def test_edges_of_logarithms() -> None:
    x = np.array([[0, 0], [-3, 1], [1000, 1000]], np.float32)
    axes = np.array([1], np.int32)
    y = run("reduce_log_sum", {"x": x}, axes=axes)
    np.testing.assert_array_equal(y[:2], [-np.inf, np.nan])
    np.testing.assert_allclose(run("reduce_log_sum_exp", {"x": x}, axes=axes)[2], 1000 + math.log(2), rtol=2**-23)
    ends = np.array([[-np.inf, -np.inf], [np.inf, 0], [-np.inf, 2], [np.inf, -np.inf]], np.float32)
    np.testing.assert_array_equal(run("reduce_log_sum_exp", {"x": ends}, axes=axes), [-np.inf, np.inf, 2, np.inf])


@pytest.mark.clause(
    "mil.reduce_sum.S1",
    "mil.reduce_prod.S1",
    "mil.reduce_max.S1",
    "mil.reduce_min.S1",
    "mil.reduce_l1_norm.S1",
    "mil.reduce_sum_square.S1",
    "mil.reduce_mean.S1",
    "mil.reduce_l2_norm.S1",
    "mil.reduce_log_sum.S1",
    "mil.reduce_log_sum_exp.S1",
    "programs.U10",
)
@pytest.mark.parametrize("name", [*EXACT, *ROUNDED])
def test_not_a_number(name: str) -> None:
    x = np.array([[1, np.nan, 2], [1, 2, 3]], np.float32)
    assert np.isnan(run(name, {"x": x}, axes=np.array([1], np.int32))).tolist() == [True, False]


def test_numbers_and_unknown_lengths() -> None:
    for name, expected in {"reduce_sum": -3, "reduce_l1_norm": 3, "reduce_mean": -3}.items():
        y = run(name, {"x": np.float32(-3)})
        assert y.shape == ()
        assert y == expected
    y = run("reduce_sum", {"x": X.astype(np.float32)}, open_shapes=True, outputs=[("fp32", ())])
    assert y == X.sum()


@pytest.mark.clause(
    "mil.reduce_sum.C2",
    "mil.reduce_prod.C2",
    "mil.reduce_max.C2",
    "mil.reduce_min.C2",
    "mil.reduce_l1_norm.C2",
    "mil.reduce_sum_square.C2",
    "mil.reduce_mean.C2",
    "mil.reduce_l2_norm.C2",
    "mil.reduce_log_sum.C2",
    "mil.reduce_log_sum_exp.C2",
)
@pytest.mark.parametrize("axes", [(3,), (-4,), (0, -3), ()])
def test_axes_that_are_none(axes: tuple[int, ...]) -> None:
    for name in (*EXACT, *ROUNDED):
        with pytest.raises(InvalidModelError, match=rf"'made' \({name}\).*axes is"):
            run(name, {"x": X.astype(np.float32)}, axes=np.array(axes, np.int32))


@pytest.mark.clause(
    "mil.reduce_sum.C2",
    "mil.reduce_prod.C2",
    "mil.reduce_max.C2",
    "mil.reduce_min.C2",
    "mil.reduce_l1_norm.C2",
    "mil.reduce_sum_square.C2",
    "mil.reduce_mean.C2",
    "mil.reduce_l2_norm.C2",
    "mil.reduce_log_sum.C2",
    "mil.reduce_log_sum_exp.C2",
    "mil.reduce_argmax.C1",
    "mil.reduce_argmin.C1",
    "mil.cumsum.C1",
)
def test_parameters_are_constants() -> None:
    x, axes, axis = X.astype(np.float32), np.array([1], np.int32), np.int32(1)
    for name in (*EXACT, *ROUNDED):
        with pytest.raises(InvalidModelError, match="parameter 'axes' must be a constant"):
            run(name, {"x": x, "axes": axes}, outputs=[("fp32", (2, 3))])
        with pytest.raises(InvalidModelError, match="parameter 'keep_dims' must be a constant"):
            run(name, {"x": x, "keep_dims": np.bool_(True)}, outputs=[("fp32", (1, 1, 1))])
    for name, shape in {"reduce_argmax": (2, 3), "reduce_argmin": (2, 3), "cumsum": X.shape}.items():
        with pytest.raises(InvalidModelError, match="parameter 'axis' must be a constant"):
            run(name, {"x": x, "axis": axis}, outputs=[("int32", shape)])


@pytest.mark.clause(
    "mil.reduce_sum.C1",
    "mil.reduce_prod.C1",
    "mil.reduce_max.C1",
    "mil.reduce_min.C1",
    "mil.reduce_l1_norm.C1",
    "mil.reduce_sum_square.C1",
    "mil.reduce_mean.C1",
    "mil.reduce_l2_norm.C1",
    "mil.reduce_log_sum.C1",
    "mil.reduce_log_sum_exp.C1",
    "mil.cumsum.C1",
    "mil.reduce_argmax.C1",
    "mil.reduce_argmin.C1",
)
@pytest.mark.parametrize("name", [*EXACT, *ROUNDED, "cumsum", "reduce_argmax", "reduce_argmin"])
def test_other_types_are_refused(name: str) -> None:
    for dtype in (np.int8, np.bool_):
        with pytest.raises(InvalidModelError, match=r"'x' has elements of type .*, expected fp16, fp32, int32"):
            run(name, {"x": np.ones((2, 3), dtype)})


# ---- Places of extremes ----


@pytest.mark.parametrize("name", ["reduce_argmax", "reduce_argmin"])
@pytest.mark.parametrize("axis", [None, 0, 1, -2])
@pytest.mark.clause(
    "mil.reduce_argmax.C1",
    "mil.reduce_argmax.S1",
    "mil.reduce_argmax.S2",
    "mil.reduce_argmax.S3",
    "mil.reduce_argmin.C1",
    "mil.reduce_argmin.S1",
    "mil.reduce_argmin.S2",
    "mil.reduce_argmin.S3",
    "programs.U8",
)
def test_the_first_of_equal_extremes(name: str, axis: int | None) -> None:
    best = max if name == "reduce_argmax" else min
    expected = np.apply_along_axis(lambda v: v.tolist().index(best(v)), -1 if axis is None else axis, X)
    for dtype in (np.float16, np.float32, np.int32):
        for keep in (False, True):
            chosen = {} if axis is None else {"axis": axis}
            y = run(name, {"x": X.astype(dtype)}, opset="CoreML5", keep_dims=keep, **chosen)
            assert y.dtype == np.int32
            np.testing.assert_array_equal(
                y, np.expand_dims(expected, -1 if axis is None else axis) if keep else expected
            )


@pytest.mark.clause("mil.reduce_argmax.C2", "mil.reduce_argmax.S3", "mil.reduce_argmin.C2", "mil.reduce_argmin.S3")
def test_since_coreml7_places_may_be_uint16() -> None:
    x = np.array([[1, 3, 2]], np.float32)
    for name, place in {"reduce_argmax": 1, "reduce_argmin": 0}.items():
        for text, dtype in {"uint16": np.uint16, "int32": np.int32}.items():
            y = run(name, {"x": x}, opset="CoreML7", output_dtype=text)
            assert y.dtype == dtype
            assert y.tolist() == [place]
        assert run(name, {"x": x}).dtype == np.int32
        with pytest.raises(InvalidModelError, match="'output_dtype' is 'int16', expected one of 'int32', 'uint16'"):
            run(name, {"x": x}, output_dtype="int16")
        with pytest.raises(InvalidModelError, match="takes no parameter 'output_dtype'"):
            run(name, {"x": x}, opset="CoreML6", output_dtype="int32")


@pytest.mark.clause("mil.reduce_argmax.C2", "mil.reduce_argmin.C2")
@pytest.mark.parametrize("name", ["reduce_argmax", "reduce_argmin"])
def test_uint16_has_a_number_for_65536_places(name: str) -> None:
    x = np.zeros(2**16 + 1, np.float32)
    x[-2] = 1 if name == "reduce_argmax" else -1
    assert run(name, {"x": x[:-1]}, output_dtype="uint16") == 65535
    with pytest.raises(InvalidModelError, match="axis of 65537 elements, but uint16 names only 65536 exactly"):
        run(name, {"x": x}, output_dtype="uint16")
    assert run(name, {"x": x}) == 65535


@pytest.mark.clause("programs.U8")
def test_the_first_not_a_number_is_the_extreme() -> None:
    x = np.array([1, np.nan, np.nan, 3, 0], np.float32)
    assert [run(name, {"x": x}) for name in ("reduce_argmax", "reduce_argmin")] == [1, 1]


@pytest.mark.clause("mil.reduce_argmax.C1", "mil.reduce_argmin.C1", "mil.cumsum.C1")
@pytest.mark.parametrize("name", ["reduce_argmax", "reduce_argmin", "cumsum"])
def test_an_axis_that_is_none(name: str) -> None:
    for axis in (3, -4):
        with pytest.raises(InvalidModelError, match=f"axis is {axis}, expected -3 to 2 for rank 3"):
            run(name, {"x": X.astype(np.float32)}, axis=axis)
    with pytest.raises(InvalidModelError, match=r"axis is .* for rank 0"):
        run(name, {"x": np.float32(1)})


# ---- Running totals ----


@pytest.mark.clause("mil.cumsum.C1", "mil.cumsum.S1", "mil.cumsum.S2", "mil.cumsum.S3")
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("axis", [None, 1, -1])
def test_running_totals(axis: int | None, exclusive: bool, reverse: bool) -> None:
    expected = np.empty_like(X)
    along = 0 if axis is None else axis % 3
    for place in np.ndindex(X.shape):
        total = 0
        for i in range(X.shape[along]):
            before = i > place[along] if reverse else i < place[along]
            if before or (i == place[along] and not exclusive):
                total += X[(*place[:along], i, *place[along + 1 :])]
        expected[place] = total
    chosen: dict[str, Any] = {} if axis is None else {"axis": axis}
    chosen |= {"exclusive": True} if exclusive else {}
    chosen |= {"reverse": True} if reverse else {}
    for dtype in (np.float16, np.float32, np.int32):
        y = run("cumsum", {"x": X.astype(dtype)}, **chosen)
        assert y.dtype == HELD.get(dtype, dtype)
        np.testing.assert_array_equal(y, expected)


@pytest.mark.clause("mil.cumsum.S1", "mil.cumsum.S2", "programs.U16")
def test_running_totals_wrap_around_and_leave_out_what_they_exclude() -> None:
    assert run("cumsum", {"x": np.array([2**31 - 1, 1, 5], np.int32)}).tolist() == [2**31 - 1, -(2**31), 5 - 2**31]
    x = np.array([2, np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(run("cumsum", {"x": x}), [2, np.inf, np.nan])
    np.testing.assert_array_equal(run("cumsum", {"x": x}, exclusive=True), [0, 2, np.inf])
