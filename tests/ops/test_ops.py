"""Every operation against its definition, and what holds for all of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from ops.examples import EXAMPLES, Example

from refcoreml import definitions, ops
from refcoreml.errors import InvalidModelError
from refcoreml.ops import base
from refcoreml.ops.base import Op
from refcoreml.types import TensorType

each = pytest.mark.parametrize("example", EXAMPLES, ids=str)


def listed(results: Any) -> list[Any]:
    return list(results) if isinstance(results, tuple) else [results]


def in_type(op: Any, dtype: Any) -> Any:
    """The operation with its weights in a type."""
    given = {item.name: getattr(op, item.name) for item in fields(op)}
    weights = {name: value for name, value in given.items() if isinstance(value, np.ndarray)}
    return replace(op, **{name: value.astype(dtype) for name, value in weights.items() if value.dtype.kind == "f"})


def subclasses(kind: type[Op]) -> Iterator[type[Op]]:
    for sub in kind.__subclasses__():
        yield sub
        yield from subclasses(sub)


@each
def test_an_operation_computes_what_it_defines(example: Example) -> None:
    found = listed(example.op.run(*example.inputs))
    expected = listed(example.op.define(*example.inputs))
    assert len(found) == len(expected)
    for y, z in zip(found, expected, strict=True):
        assert y.shape == np.shape(z)
        if example.roundings:
            size = np.max(np.abs(z), initial=0)
            np.testing.assert_allclose(y, z, rtol=0, atol=example.roundings * 2.0**-53 * size)
        else:
            np.testing.assert_array_equal(y, z)


@each
def test_types_follow_from_types(example: Example) -> None:
    for dtype in (np.float32, np.float64):
        inputs = [x.astype(dtype) if x.dtype.kind == "f" else x for x in example.inputs]
        op = in_type(example.op, dtype)
        inferred = op.infer(*map(TensorType.of, inputs))
        if inferred is None:
            inferred = example.op.infer_from(*inputs)
        if inferred is None:
            continue
        assert listed(inferred) == [TensorType.of(y) for y in listed(op.run(*inputs))]


@each
def test_inputs_stay_and_fresh_results_are_new(example: Example) -> None:
    before = [x.copy() for x in example.inputs]
    results = listed(example.op.run(*example.inputs))
    for x, copy in zip(example.inputs, before, strict=True):
        np.testing.assert_array_equal(x, copy)
    if example.op.fresh:
        assert not any(np.shares_memory(x, y) for x in example.inputs for y in results)


@each
def test_what_moves_numbers_makes_no_new_ones(example: Example) -> None:
    """So numbers of half precision stay what they are, and need not be rounded again."""
    if not example.op.moves:
        return
    known = {0.0, np.inf}.union(*(np.abs(x).ravel().tolist() for x in example.inputs))
    for y in listed(example.op.run(*example.inputs)):
        if y.dtype.kind == "f":
            assert set(np.abs(y[~np.isnan(y)]).ravel().tolist()) <= known


def test_whether_an_operation_moves_numbers_may_depend_on_its_attributes() -> None:
    assert ops.Pooling("max", (2, 2)).moves
    assert not ops.Pooling("average", (2, 2)).moves
    assert ops.ScatterND("update").moves
    assert not ops.ScatterND("add").moves
    assert ops.Pad(((1, 2),)).moves
    assert ops.Pad(((1, 2),), "edge", 0.1).moves
    assert not ops.Pad(((1, 2),), value=0.1).moves
    assert not ops.TopK(2).moves  # indices are floats, which half precision rounds
    assert ops.TopK(2, result=np.dtype(np.int32)).moves
    assert not ops.Cast(np.dtype(np.float16)).moves


@each
def test_in_place_forms_give_the_same_bits(example: Example) -> None:
    """On the whole, and on a block of channels; the channels come first, of two inputs either may be overwritten."""
    overwrite, inputs = example.op.inplace, [channels_first(x) for x in example.inputs if x.ndim]
    if overwrite is None or len(inputs) != len(example.inputs) or len({x.shape for x in inputs}) > 1:
        return
    expected, count = channels_first(example.op.run(*example.inputs)), len(inputs[0])
    for channels in slice(0, count), slice(count // 2, count):
        for order in inputs, inputs[::-1]:
            block, *others = (x[channels].copy() for x in order)
            overwrite(block, channels, *others)
            np.testing.assert_array_equal(block, expected[channels])


def channels_first(x: Any) -> Any:
    return np.moveaxis(x, -3 if x.ndim >= 3 else -1, 0)


def test_what_varies_within_a_channel_has_no_in_place_form() -> None:
    wide = np.ones((3, 5, 2))
    assert ops.Scale(wide[:, :1, :1], None).inplace is not None
    assert ops.Scale(wide[:, :1, :1], wide).inplace is None
    assert ops.LeakyReLU(np.ones(3)).inplace is None  # along the last axis
    assert ops.Subtract().inplace is None  # either input may come first
    assert ops.Subtract(2.0).inplace is not None
    assert ops.Equal(1.0).inplace is None  # the result is boolean
    assert ops.Equal(1.0, result=None).inplace is not None


FLOAT, INT, BOOL = (np.dtype(kind) for kind in ("float32", "int32", "bool"))


@pytest.mark.parametrize(
    ("op", "types", "words"),
    [
        (ops.Add(), [(FLOAT, (2, 3)), (FLOAT, (2, 4))], r"shapes \(2, 3\), \(2, 4\) do not fit"),
        (ops.Add(), [(FLOAT, (2,)), (INT, (2,))], "types float32, int32 do not fit"),
        (ops.Add(), [(BOOL, (2,))] * 2, "takes floats or integers or unsigned integers, got bool"),
        (ops.Divide(), [(BOOL, (2,))] * 2, "takes floats or integers or unsigned integers, got bool"),
        (ops.Less(2.5), [(INT, (2,))], "the second operand is 2.5, which int32 cannot represent"),
        (ops.Add(300), [(np.dtype(np.uint8), (2,))], "the second operand is 300, which uint8 cannot represent"),
        (ops.Clip(-np.inf, 2), [(INT, (2,))], "low is -inf, which int32 cannot represent"),
        (ops.Sin(), [(INT, (2,))], "takes floats, got int32"),
        (ops.Subtract(), [(FLOAT, (2,))], "takes two inputs, or one and a number, got 1"),
        (ops.Less(2.0), [(FLOAT, (2,))] * 2, "takes two inputs, or one and a number, got 2"),
        (ops.Less(), [(FLOAT, (2,))] * 3, "takes two inputs, or one and a number, got 3"),
        (ops.LeakyReLU(np.ones((3, 1, 1))), [(FLOAT, (4, 2, 5))], r"alpha of shape \(3, 1, 1\) does not fit"),
        (ops.LeakyReLU(np.ones((3, 1, 1))), [(FLOAT, (3, 5))], "rank 3 or more"),
    ],
)
def test_types_that_do_not_fit(op: Op, types: list[Any], words: str) -> None:
    with pytest.raises(InvalidModelError, match=words):
        op.infer(*(TensorType(*given) for given in types))


def test_every_public_operation_has_examples_and_a_definition() -> None:
    public = {getattr(ops, name) for name in ops.__all__}
    operations = {kind for kind in public if issubclass(kind, Op)} - {Op}
    assert operations == {type(example.op) for example in EXAMPLES}
    for kind in subclasses(Op):
        own = kind.__module__.startswith("refcoreml.ops.") and kind.__module__ != base.__name__
        defined = hasattr(kind, "definition") or kind.define is not Op.define  # else what others have in common
        if own and defined and not kind.__name__.startswith("_"):
            assert kind in operations, f"{kind.__name__} is missing in refcoreml.ops"


@pytest.mark.parametrize("name", definitions.__all__)
def test_definitions_are_short_plain_functions(name: str) -> None:
    """A definition is read as the specification: the formula in its docstring, no longer than a screen, no kernels."""
    function = getattr(definitions, name)
    source = inspect.getsource(function)
    assert len(source.splitlines()) <= 45
    assert "=" in (function.__doc__ or "")
    assert "kernels" not in source
