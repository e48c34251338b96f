"""Gather and scatter, in all operation sets."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from mil.support import run

from refcoreml.errors import InputError, InvalidModelError

OPSETS = ["CoreML5", "CoreML6", "CoreML7", "CoreML8", "CoreML9"]
X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int32])
@pytest.mark.parametrize("open_shapes", [False, True])
def test_gather_is_take(opset: str, dtype: Any, open_shapes: bool) -> None:
    indices, x = np.array([[2, 0, 1, 1, 2], [0, 2, 2, 0, 1]], np.int32), X.astype(dtype)
    outputs = None
    if open_shapes:
        outputs = [({"float16": "fp16", "float32": "fp32", "int32": "int32"}[x.dtype.name], (None,) * 4)]
    y = run("gather", {"x": x, "indices": indices}, opset=opset, axis=-2, open_shapes=open_shapes, outputs=outputs)
    np.testing.assert_array_equal(y, np.take(x, indices, 1))


def test_gather_takes_axis_0_by_default_and_a_scalar_drops_it() -> None:
    np.testing.assert_array_equal(run("gather", {"x": X}, indices=np.array([1], np.int32)), X[[1]])
    np.testing.assert_array_equal(run("gather", {"x": X}, indices=1), X[1])


@pytest.mark.parametrize("opset", OPSETS[2:])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16])
def test_small_integers_are_gathered_by_small_integers(opset: str, dtype: Any) -> None:
    indices = np.array([2, 0], dtype)
    y = run("gather", {"x": X.astype(dtype)}, indices=indices, axis=2, opset=opset)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, X[:, :, [2, 0]])


def test_axes_that_x_and_indices_share() -> None:
    indices = np.array([[3, 0, 3, 1, 2], [1, 1, 0, 2, 3]], np.int32)
    expected = np.stack([np.take(x, row, 1) for x, row in zip(X, indices, strict=True)])
    for opset in OPSETS[1:]:
        y = run("gather", {"x": X, "indices": indices}, axis=2, batch_dims=1, opset=opset)
        np.testing.assert_array_equal(y, expected)
    with pytest.raises(InvalidModelError, match=r"made.*gather.*shares 3 axes"):
        run("gather", {"x": X, "indices": indices}, axis=2, batch_dims=3, opset="CoreML6")


def test_gather_nd() -> None:
    indices = np.array([[1, 2], [0, 1], [1, 0], [0, 0], [1, 1]], np.int32)
    for opset in OPSETS:
        y = run("gather_nd", {"x": X, "indices": indices}, opset=opset)
        np.testing.assert_array_equal(y, X[indices[:, 0], indices[:, 1]])
    y = run("gather_nd", {"x": X}, indices=indices[:2, None], batch_dims=1, opset="CoreML6")
    np.testing.assert_array_equal(y, np.stack([X[0][1, 2], X[1][0, 1]])[:, None])


def test_gather_along_axis() -> None:
    indices = np.array([[[2, 0, 1, 1]] * 2, [[0, 2, 2, 0]] * 2], np.int32)
    for opset, (axis, x) in itertools.product(OPSETS, [(1, X), (-2, X)]):
        y = run("gather_along_axis", {"x": x, "indices": indices}, axis=axis, opset=opset)
        np.testing.assert_array_equal(y, np.take_along_axis(X, indices, 1))
    y = run("gather_along_axis", {"x": X}, indices=indices[:1, :1].repeat(3, 1) % 2)
    np.testing.assert_array_equal(y, np.take_along_axis(X, indices[:1, :1].repeat(3, 1) % 2, 0))


GATHERS = {
    "gather": {"x": X, "indices": np.array([1, -1], np.int32)},
    "gather_along_axis": {"x": X, "indices": np.full((1, 3, 4), -1, np.int32)},
    "gather_nd": {"x": X, "indices": np.array([[1], [-1]], np.int32)},
    "scatter": {"data": X, "indices": np.array([-1], np.int32), "updates": X[:1]},
    "scatter_along_axis": {"data": X, "indices": np.full((1, 3, 4), -1, np.int32), "updates": X[:1]},
    "scatter_nd": {"data": X, "indices": np.array([[-1]], np.int32), "updates": X[:1]},
}


@pytest.mark.parametrize("kind", GATHERS)
@pytest.mark.clause("programs.U6")
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
@pytest.mark.clause("programs.U6")
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
@pytest.mark.clause("programs.U7")
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


def test_scatter_of_integers_stays_in_integers() -> None:
    data, updates = np.array([7, -7, 2**31 - 1], np.int32), np.array([2, 2, 1], np.int32)
    given = {"data": data, "indices": np.arange(3, dtype=np.int32), "updates": updates}
    np.testing.assert_array_equal(run("scatter", given, mode="div"), [3, -3, 2**31 - 1])
    np.testing.assert_array_equal(run("scatter", given), [9, -5, -(2**31)])


def test_scatter_takes_axis_0_by_default() -> None:
    given = {"data": X, "indices": np.array([1], np.int32), "updates": X[:1]}
    expected = np.stack([X[0], X[1] + X[0]])
    np.testing.assert_array_equal(run("scatter", given), expected)
    along = {**given, "indices": np.ones((1, 3, 4), np.int32)}
    np.testing.assert_array_equal(run("scatter_along_axis", along), expected)


def test_what_does_not_fit_is_refused_at_its_place() -> None:
    given = {"data": X, "indices": np.array([1], np.int32), "updates": X}
    with pytest.raises(InvalidModelError, match=r"made.*\(scatter\).*updates have the shape"):
        run("scatter", given)
    with pytest.raises(InvalidModelError, match=r"'mode' is 'swap', expected one of 'add'"):
        run("scatter", {**given, "updates": X[:1]}, mode="swap")
    with pytest.raises(InvalidModelError, match=r"made.*\(gather\).*axis is 3"):
        run("gather", {"x": X}, indices=[0], axis=3)
    with pytest.raises(InvalidModelError, match="'data' is missing"):
        run("scatter", {"updates": X})


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
