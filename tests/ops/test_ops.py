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
from refcoreml.ops.base import ByType, Op
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


def test_every_public_operation_has_examples_and_a_definition() -> None:
    public = {getattr(ops, name) for name in ops.__all__}
    operations = {kind for kind in public if issubclass(kind, Op)} - {Op, ByType}
    assert operations == {type(example.op) for example in EXAMPLES}
    for kind in subclasses(Op):
        if kind.__module__.startswith("refcoreml.ops.") and not kind.__name__.startswith("_") and kind is not ByType:
            assert kind in operations, f"{kind.__name__} is missing in refcoreml.ops"


@pytest.mark.parametrize("name", definitions.__all__)
def test_definitions_are_short_plain_functions(name: str) -> None:
    """A definition is read as the specification: the formula in its docstring, no longer than a screen, no kernels."""
    function = getattr(definitions, name)
    source = inspect.getsource(function)
    assert len(source.splitlines()) <= 45
    assert "=" in (function.__doc__ or "")
    assert "kernels" not in source
