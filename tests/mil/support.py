"""One operation as a program of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refcoreml.build.program import Program as Builder
from refcoreml.mil.precision import PRECISIONS
from refcoreml.mil.program import Program
from refcoreml.spec import schema
from refcoreml.spec.mil_types import DataType


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
    return values if len(values) > 1 else values[0]
