"""Gather and scatter, in all operation sets."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from mil.support import ALL, check_types, run

from refcoreml.errors import InputError, InvalidModelError

OPSETS = ["CoreML5", "CoreML6", "CoreML7", "CoreML8", "CoreML9"]
X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


ONES, NUMBERS = np.ones((1, 1), np.float32), {"fp16", "fp32", "int32"}
TAKEN = {"CoreML5": NUMBERS, "CoreML7": ALL - {"bool"}}
INDICES = {
    "CoreML5": {"int32"},
    "CoreML6": {"int32", "int16", "uint16"},
    "CoreML7": {"int32", "int16", "uint16", "int8", "uint8"},
}


@pytest.mark.parametrize(
    ("kind", "names", "inputs", "taken"),
    [
        *((kind, ["x"], {"x": ONES}, TAKEN) for kind in ("gather", "gather_along_axis", "gather_nd")),
        *((kind, ["indices"], {"x": ONES}, INDICES) for kind in ("gather", "gather_along_axis", "gather_nd")),
        *(
            (kind, names, {"data": ONES, "updates": ONES}, {"CoreML5": taken})
            for kind in ("scatter", "scatter_along_axis", "scatter_nd")
            for names, taken in ((["data", "updates"], NUMBERS), (["indices"], {"int32"}))
        ),
    ],
)
@pytest.mark.clause(
    "mil.gather.C1",
    "mil.gather_along_axis.C1",
    "mil.gather_nd.C1",
    "mil.scatter.C1",
    "mil.scatter_along_axis.C1",
    "mil.scatter_nd.C1",
)
def test_types_of_elements(kind: str, names: list[str], inputs: dict[str, Any], taken: dict[str, set[str]]) -> None:
    check_types(kind, names, inputs, {"indices": [0] if kind in ("gather", "scatter") else [[0]]}, taken)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int32])
@pytest.mark.parametrize("open_shapes", [False, True])
@pytest.mark.clause("mil.gather.S1")
def test_gather_is_take(opset: str, dtype: Any, open_shapes: bool) -> None:
    indices, x = np.array([[2, 0, 1, 1, 2], [0, 2, 2, 0, 1]], np.int32), X.astype(dtype)
    outputs = None
    if open_shapes:
        outputs = [({"float16": "fp16", "float32": "fp32", "int32": "int32"}[x.dtype.name], (None,) * 4)]
    y = run("gather", {"x": x, "indices": indices}, opset=opset, axis=-2, open_shapes=open_shapes, outputs=outputs)
    np.testing.assert_array_equal(y, np.take(x, indices, 1))


@pytest.mark.clause("mil.gather.S1", "mil.gather.S2")
def test_gather_takes_axis_0_by_default_and_a_scalar_drops_it() -> None:
    np.testing.assert_array_equal(run("gather", {"x": X}, indices=np.array([1], np.int32)), X[[1]])
    np.testing.assert_array_equal(run("gather", {"x": X}, indices=1), X[1])
    y = run("gather", {"x": X[0, 0]}, indices=3)
    assert y.shape == ()
    assert y == X[0, 0, 3]


@pytest.mark.parametrize("opset", OPSETS[2:])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16])
@pytest.mark.clause("mil.gather.C1")
def test_small_integers_are_gathered_by_small_integers(opset: str, dtype: Any) -> None:
    indices = np.array([2, 0], dtype)
    y = run("gather", {"x": X.astype(dtype)}, indices=indices, axis=2, opset=opset)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, X[:, :, [2, 0]])


@pytest.mark.clause("mil.gather.C3", "mil.gather.S4")
def test_axes_that_x_and_indices_share() -> None:
    indices = np.array([[3, 0, 3, 1, 2], [1, 1, 0, 2, 3]], np.int32)
    expected = np.stack([np.take(x, row, 1) for x, row in zip(X, indices, strict=True)])
    for opset in OPSETS[1:]:
        y = run("gather", {"x": X, "indices": indices}, axis=2, batch_dims=1, opset=opset)
        np.testing.assert_array_equal(y, expected)
    each = np.array([3, 1], np.int32)  # an index for each, so that no axis of it is left
    y = run("gather", {"x": X, "indices": each}, axis=-1, batch_dims=1, opset="CoreML6")
    np.testing.assert_array_equal(y, np.stack([X[0, :, 3], X[1, :, 1]]))
    for axis, batch, words in (
        (2, 3, "shares 3 axes, expected 0 to 2"),
        (0, 1, "expected 0 to 0"),
        (2, -1, "shares -1"),
    ):
        with pytest.raises(InvalidModelError, match=rf"made.*gather.*{words}"):
            run("gather", {"x": X, "indices": indices}, axis=axis, batch_dims=batch, opset="CoreML6")
    with pytest.raises(InvalidModelError, match="differ in their first 1 axes, which they share"):
        run("gather", {"x": X, "indices": indices[:1]}, axis=2, batch_dims=1, opset="CoreML6")
    for kind in ("gather", "gather_nd"):
        with pytest.raises(InvalidModelError, match="takes no parameter 'batch_dims'"):
            run(kind, {"x": X, "indices": indices}, batch_dims=0, opset="CoreML5")


@pytest.mark.clause("mil.gather_nd.S1", "mil.gather_nd.S3")
def test_gather_nd() -> None:
    indices = np.array([[1, 2], [0, 1], [1, 0], [0, 0], [1, 1]], np.int32)
    for opset in OPSETS:
        y = run("gather_nd", {"x": X, "indices": indices}, opset=opset)
        np.testing.assert_array_equal(y, X[indices[:, 0], indices[:, 1]])
    assert run("gather_nd", {"x": X}, indices=[1, 2, 3]) == X[1, 2, 3]
    y = run("gather_nd", {"x": X}, indices=indices[:2, None], batch_dims=1, opset="CoreML6")
    np.testing.assert_array_equal(y, np.stack([X[0][1, 2], X[1][0, 1]])[:, None])


@pytest.mark.clause("mil.gather_nd.C2", "mil.scatter_nd.C2")
def test_indices_address_no_more_axes_than_there_are() -> None:
    for batch, words in ((0, r"address 4 axes, but x \(2, 3, 4\) has only 3"), (1, "address 4 axes, but .* only 2")):
        with pytest.raises(InvalidModelError, match=rf"made.*gather_nd.*{words}"):
            run("gather_nd", {"x": X}, indices=np.zeros((2, 4), np.int32), batch_dims=batch)
    with pytest.raises(InvalidModelError, match=r"made.*gather_nd.*expected indices \[\*I, K\], got \(\)"):
        run("gather_nd", {"x": X}, indices=1)
    given = {"data": X, "updates": X}
    with pytest.raises(InvalidModelError, match=r"made.*scatter_nd.*address 4 axes, but x \(2, 3, 4\) has only 3"):
        run("scatter_nd", given, indices=np.zeros((2, 4), np.int32))


@pytest.mark.clause("mil.gather_along_axis.S1")
def test_gather_along_axis() -> None:
    indices = np.array([[[2, 0, 1, 1]] * 2, [[0, 2, 2, 0]] * 2], np.int32)
    for opset, (axis, x) in itertools.product(OPSETS, [(1, X), (-2, X)]):
        y = run("gather_along_axis", {"x": x, "indices": indices}, axis=axis, opset=opset)
        np.testing.assert_array_equal(y, np.take_along_axis(X, indices, 1))
    y = run("gather_along_axis", {"x": X}, indices=indices[:1, :1].repeat(3, 1) % 2)
    np.testing.assert_array_equal(y, np.take_along_axis(X, indices[:1, :1].repeat(3, 1) % 2, 0))


@pytest.mark.clause("mil.gather_along_axis.C2", "mil.gather_along_axis.S1", "mil.scatter_along_axis.C2")
def test_indices_along_an_axis_have_the_other_lengths_of_x() -> None:
    long = np.arange(35, dtype=np.int32).reshape(1, 5, 7) % 2
    y = run("gather_along_axis", {"x": np.arange(14, dtype=np.float32).reshape(1, 2, 7)}, indices=long, axis=1)
    np.testing.assert_array_equal(y, 7 * long + np.arange(7))
    for wrong in (np.zeros((1, 3, 4), np.int32), np.zeros((2, 3), np.int32)):
        with pytest.raises(InvalidModelError, match=r"made.*gather_along_axis.*differ from x .* other axes than 1"):
            run("gather_along_axis", {"x": X}, indices=wrong, axis=1)
        with pytest.raises(InvalidModelError, match=r"made.*scatter_along_axis.*differ from x .* other axes than 1"):
            run("scatter_along_axis", {"data": X, "updates": wrong.astype(np.float32)}, indices=wrong, axis=1)
    with pytest.raises(InvalidModelError, match=r"made.*scatter_along_axis.*updates have the shape \(2, 3, 4\)"):
        run("scatter_along_axis", {"data": X, "updates": X}, indices=np.zeros((2, 1, 4), np.int32), axis=1)


GATHERS = {
    "gather": {"x": X, "indices": np.array([1, -1], np.int32)},
    "gather_along_axis": {"x": X, "indices": np.full((1, 3, 4), -1, np.int32)},
    "gather_nd": {"x": X, "indices": np.array([[1], [-1]], np.int32)},
    "scatter": {"data": X, "indices": np.array([-1], np.int32), "updates": X[:1]},
    "scatter_along_axis": {"data": X, "indices": np.full((1, 3, 4), -1, np.int32), "updates": X[:1]},
    "scatter_nd": {"data": X, "indices": np.array([[-1]], np.int32), "updates": X[:1]},
}


@pytest.mark.parametrize("kind", GATHERS)
@pytest.mark.clause(
    "programs.U6",
    "mil.gather.C5",
    "mil.gather.S3",
    "mil.gather_along_axis.C3",
    "mil.gather_along_axis.S2",
    "mil.gather_nd.C3",
    "mil.gather_nd.S2",
    "mil.scatter.C4",
    "mil.scatter.S4",
    "mil.scatter_along_axis.C3",
    "mil.scatter_along_axis.S2",
    "mil.scatter_nd.C3",
    "mil.scatter_nd.S2",
)
def test_negative_indices_wrap_until_core_ml_6_and_are_out_of_range_from_core_ml_7_on(kind: str) -> None:
    given = GATHERS[kind]
    wrapped = run(kind, given, opset="CoreML5")
    positive = {**given, "indices": given["indices"] % 2}
    np.testing.assert_array_equal(wrapped, run(kind, positive, opset="CoreML5"))
    np.testing.assert_array_equal(wrapped, run(kind, given, opset="CoreML6"))
    for opset, validate in itertools.product(OPSETS[2:], [None, False, True]):
        with pytest.raises(InputError, match=r"made.*hold -1 at .*expected an index in \[0, 1\]"):
            run(kind, given, opset=opset, validate_indices=validate)
        np.testing.assert_array_equal(wrapped, run(kind, positive, opset=opset, validate_indices=validate))
    np.testing.assert_array_equal(wrapped, run(kind, given, strict=False))
    with pytest.raises(InputError, match="expected an index"):
        run(kind, given, strict=False, validate_indices=True)


@pytest.mark.parametrize("kind", GATHERS)
@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.clause(
    "programs.U6",
    "mil.gather.C4",
    "mil.gather_along_axis.C3",
    "mil.gather_nd.C3",
    "mil.scatter.C4",
    "mil.scatter_along_axis.C3",
    "mil.scatter_nd.C3",
)
def test_indices_beyond_the_axis_are_errors_or_the_nearest(kind: str, opset: str) -> None:
    given = GATHERS[kind]
    beyond = {**given, "indices": np.abs(given["indices"]) * 2}
    with pytest.raises(InputError, match=r"hold 2 at .*expected an index in \[(-2|0), 1\]"):
        run(kind, beyond, opset=opset)
    if opset in OPSETS[2:]:
        y = run(kind, beyond, opset=opset, strict=False)
        np.testing.assert_array_equal(y, run(kind, {**given, "indices": np.minimum(beyond["indices"], 1)}, opset=opset))


MODES = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
    "update": lambda old, new: new,
}


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("mode", [*MODES, None])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.clause(
    "programs.U7",
    "mil.scatter.C3",
    "mil.scatter.S1",
    "mil.scatter.S2",
    "programs.U72",
    "mil.scatter_along_axis.S1",
    "mil.scatter_nd.S1",
)
def test_scatter_combines_in_order(mode: str | None, opset: str, dtype: Any) -> None:
    combine = MODES[mode or "add"]
    data, indices = np.array([[1, 2, 4], [8, 16, 32]], dtype), np.array([2, 0, 2, 1], np.int32)
    updates = np.array([[2, 4, 8, 1], [4, 2, 1, 16]], dtype)  # powers of 2: all results are exact
    expected = data.astype(np.float64)
    for k, i in enumerate(indices):
        expected[:, i] = combine(expected[:, i], updates[:, k])
    given = {"data": data, "indices": indices, "updates": updates}
    np.testing.assert_array_equal(run("scatter", given, axis=-1, mode=mode, opset=opset), expected)
    along = {**given, "indices": np.stack([indices, indices])}
    np.testing.assert_array_equal(run("scatter_along_axis", along, axis=1, mode=mode, opset=opset), expected)
    nd = {"data": data.T.copy(), "indices": indices[:, None], "updates": updates.T.copy()}
    np.testing.assert_array_equal(run("scatter_nd", nd, mode=mode, opset=opset), expected.T)


@pytest.mark.clause("mil.scatter.S3")
def test_scatter_of_integers_stays_in_integers() -> None:
    data, updates = np.array([7, -7, 2**31 - 1], np.int32), np.array([2, 2, 1], np.int32)
    given = {"data": data, "indices": np.arange(3, dtype=np.int32), "updates": updates}
    np.testing.assert_array_equal(run("scatter", given, mode="div"), [3, -3, 2**31 - 1])
    np.testing.assert_array_equal(run("scatter", given), [9, -5, -(2**31)])
    np.testing.assert_array_equal(run("scatter", given | {"updates": data}, mode="mul"), [49, 49, 1])


@pytest.mark.clause("programs.U73")
def test_indices_of_scatter_may_have_another_rank() -> None:
    data, updates = np.zeros((5, 2), np.float32), np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    indices = np.array([[4, 0, 4], [1, 4, 0]], np.int32)
    expected = data.copy()
    for place in np.ndindex(2, 3):
        expected[indices[place]] = updates[place]
    y = run("scatter", {"data": data, "indices": indices, "updates": updates}, mode="update")
    np.testing.assert_array_equal(y, expected)
    y = run("scatter", {"data": data, "updates": updates[0, 1]}, indices=3, mode="update")
    np.testing.assert_array_equal(y, [[0, 0]] * 3 + [[2, 3], [0, 0]])


@pytest.mark.clause("mil.scatter.S1", "mil.scatter_along_axis.S1")
def test_scatter_takes_axis_0_by_default() -> None:
    given = {"data": X, "indices": np.array([1], np.int32), "updates": X[:1]}
    expected = np.stack([X[0], X[1] + X[0]])
    np.testing.assert_array_equal(run("scatter", given), expected)
    along = {**given, "indices": np.ones((1, 3, 4), np.int32)}
    np.testing.assert_array_equal(run("scatter_along_axis", along), expected)


@pytest.mark.clause(
    "mil.gather.C2",
    "mil.scatter.C2",
    "mil.scatter.C3",
    "mil.scatter_along_axis.C3",
    "mil.scatter_nd.C2",
    "mil.scatter_nd.C3",
)
def test_what_does_not_fit_is_refused_at_its_place() -> None:
    given = {"data": X, "indices": np.array([1], np.int32), "updates": X}
    with pytest.raises(InvalidModelError, match=r"made.*\(scatter\).*updates have the shape"):
        run("scatter", given)
    with pytest.raises(InvalidModelError, match=r"'mode' is 'swap', expected one of 'add'"):
        run("scatter", {**given, "updates": X[:1]}, mode="swap")
    with pytest.raises(InvalidModelError, match=r"made.*\(gather\).*axis is 3"):
        run("gather", {"x": X}, indices=[0], axis=3)
    with pytest.raises(InvalidModelError, match=r"made.*\(gather\).*none may have a rank above 5"):
        run("gather", {"x": X[None]}, indices=np.zeros((1, 1, 1), np.int32))
    with pytest.raises(InvalidModelError, match=r"made.*\(scatter_nd\).*updates have the shape \(2, 3, 4\)"):
        run("scatter_nd", {"data": X, "updates": X}, indices=np.zeros((1, 1), np.int32))
    for kind in ("scatter_along_axis", "scatter_nd"):
        with pytest.raises(InvalidModelError, match=r"'mode' is 'set', expected one of 'add'"):
            run(kind, {"data": X, "updates": X[:1]}, indices=np.zeros((1, 3, 4), np.int32), mode="set")
    with pytest.raises(InvalidModelError, match="'data' is missing"):
        run("scatter", {"updates": X})


@pytest.mark.clause("mil.gather.C1", "mil.scatter.C1")
def test_types_that_core_ml_does_not_take_are_refused() -> None:
    places = np.array([1], np.int32)
    with pytest.raises(InvalidModelError, match=r"made.*'x' has elements of type bool, expected fp16, fp32, int32"):
        run("gather", {"x": X > 3}, indices=places)
    with pytest.raises(InvalidModelError, match="'x' has elements of type int8"):
        run("gather", {"x": X.astype(np.int8)}, indices=places, opset="CoreML6")
    with pytest.raises(InvalidModelError, match=r"'indices' has elements of type int16, expected int32\."):
        run("gather", {"x": X}, indices=places.astype(np.int16), opset="CoreML5")
    with pytest.raises(InvalidModelError, match="'indices' has elements of type fp32"):
        run("gather_nd", {"x": X}, indices=places.astype(np.float32))
    with pytest.raises(InvalidModelError, match="'updates' have elements of types fp32, int32, expected one"):
        run("scatter", {"data": X, "updates": X[:1].astype(np.int32)}, indices=places)
    with pytest.raises(InvalidModelError, match="'indices' has elements of type int16"):
        run("scatter", {"data": X, "updates": X[:1]}, indices=places.astype(np.int16))
