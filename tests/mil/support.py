"""One operation as a program of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refcoreml.build.program import Program as Builder
from refcoreml.errors import InvalidModelError
from refcoreml.mil.precision import PRECISIONS, Precision
from refcoreml.mil.program import Program
from refcoreml.mil.registry import OPSETS
from refcoreml.spec import schema
from refcoreml.spec.mil_types import DataType, DeclaredTensor, DeclaredType


def run(
    kind: str,
    inputs: Mapping[str, Any],
    *,
    opset: str = "CoreML8",
    precision: str = "declared",
    strict: bool = True,
    outputs: Sequence[Any] | None = None,
    open_shapes: bool = False,
    **constants: Any,
) -> Any:
    """Run an operation; return its result, or a list of results if it has several.

    Args:
        kind: its name.
        inputs: by parameter an array, or a list of arrays, that the program is given when it runs. Arrays of float16
            are declared as fp16, and given as the precision holds them.
        opset, precision, strict: of the program.
        outputs: the types of the results, where they do not follow.
        open_shapes: whether all lengths of the inputs are declared as unknown, and those of the results too.
        constants: the other parameters.
    """
    listed = {
        f"{name}_{index}": np.asarray(array)
        for name, given in inputs.items()
        for index, array in enumerate(given if isinstance(given, list) else [given])
    }
    types = {
        name: (str(DataType.of(array.dtype)), tuple(None if open_shapes else length for length in array.shape))
        for name, array in listed.items()
    }
    program = Builder(types, opset=opset)
    parameters: dict[str, Any] = {
        name: [program[f"{name}_{index}"] for index in range(len(given))]
        if isinstance(given, list)
        else program[f"{name}_0"]
        for name, given in inputs.items()
    }
    made = program.add(kind, name="made", outputs=outputs, **parameters, **constants)
    results = list(made) if isinstance(made, tuple) else [made]
    program.output(*results)
    held = PRECISIONS[precision]
    message = schema.MILSpec.Program(version=1)  # without a description, which has no features of some types
    message.functions["main"].CopyFrom(program.function())
    prepared = Program(message, "main", precision=held, strict=strict)
    found = prepared.run({name: held.hold(array) for name, array in listed.items()})
    values = [found[result.name] for result in results]
    for result, value in zip(results, values, strict=True):
        _check_declared(result.type, value, held)
    return values if len(values) > 1 else values[0]


def _check_declared(declared: DeclaredType, value: Any, held: Precision) -> None:
    """Check that a tensor has the type that was inferred, or declared, before anything was computed."""
    if isinstance(declared, DeclaredTensor) and declared.shape is not None:
        assert value.dtype == held.dtype(declared.element.dtype)
        assert len(value.shape) == len(declared.shape)
        assert all(length in (None, own) for length, own in zip(declared.shape, value.shape, strict=True))


#: Types of elements that tensors have in all operation sets, and those that some have since CoreML7.
LARGE = {"fp16", "fp32", "int32", "bool"}
ALL = LARGE | {"int8", "uint8", "int16", "uint16"}


def check_types(
    kind: str,
    names: Sequence[str],
    inputs: Mapping[str, Any],
    constants: Mapping[str, Any],
    taken: Mapping[str, set[str]],
) -> None:
    """Check which types elements of some parameters, all of the same, may have in each operation set.

    Args:
        kind: the operation.
        names: the parameters, among the inputs and the constants; any type holds their numbers.
        inputs, constants: as of `run`.
        taken: the types from an operation set on, from the first one on that has the operation; others are refused.
    """
    expected: set[str] = set()
    for opset in OPSETS:
        expected = taken.get(opset, expected)
        if expected:
            assert _types_taken(kind, names, inputs, constants, opset) == expected, opset


def _types_taken(
    kind: str, names: Sequence[str], inputs: Mapping[str, Any], constants: Mapping[str, Any], opset: str
) -> set[str]:
    found = set[str]()
    for dtype in ("float16", "float32", "int32", "bool", "int8", "uint8", "int16", "uint16"):
        typed = {
            name: _of_type(value, dtype) if name in names else value for name, value in {**inputs, **constants}.items()
        }
        element = str(DataType.of(np.dtype(dtype)))
        try:
            run(kind, {name: typed.pop(name) for name in inputs}, opset=opset, **typed)
        except InvalidModelError as refusal:
            if f"has elements of type {element}, expected" not in str(refusal):
                raise
        else:
            found.add(element)
    return found


def _of_type(value: Any, dtype: str) -> Any:
    several = isinstance(value, list) and isinstance(value[0], np.ndarray)
    return [x.astype(dtype) for x in value] if several else np.asarray(value).astype(dtype)
