"""Operations that are code of the application; see `conformance.catalogue.custom`, whose classes these are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.custom import DEFINITIONS
from conformance.catalogue.programs.plan import C, Making, ProgramPlan, X, program


def plans() -> Iterator[ProgramPlan]:
    x = {"x": X(2, 3, 4, 5)}
    shift = np.array([1, -2, 4])

    def scale(p: Making) -> Any:
        given = {"factor": np.float32(0.5), "channels": np.int32(3), "shift": p.constant(C(value=shift))}
        return _custom(
            p, "ConformanceScale", ["x"], [(2, 3, 4, 5)], parameters=["factor", "channels"], weights=["shift"], **given
        )

    def scaled(p: Making) -> Any:
        half = p.add("mul", x=p["x"], y=C(value=0.5))
        return p.add("add", x=half, y=C(value=shift.reshape(3, 1, 1)), name="result")

    def outputs(p: Making) -> Any:
        return _custom(p, "ConformanceOutputs", ["a", "b"], [(4, 3), (5, 4)])

    def outputs_twin(p: Making) -> Any:
        total = p.add("reduce_sum", x=p["a"], axes=[0], keep_dims=False)
        column = p.add("expand_dims", x=p["b"], axes=[1])
        first = p.add("transpose", x=p["a"], perm=[1, 0], name="result_0")
        return [first, p.add("add", x=column, y=total, name="result_1")]

    def parameters(p: Making) -> Any:
        names = ["shift", "factor", "operation", "negate", "offset"]
        given = {
            "shift": np.int32(2),
            "factor": np.float32(3),
            "operation": "subtract",
            "negate": True,
            "offset": np.int32(9),
        }
        return _custom(p, "ConformanceParameters", ["x"], [(3, 5)], parameters=names, **given)

    def parameters_twin(p: Making) -> Any:
        begin = {"begin": [0, 3], "end": [3, 5]}, {"begin": [0, 0], "end": [3, 3]}
        turned = p.add("concat", values=[p.add("slice_by_index", x=p["x"], **cut) for cut in begin], axis=1)
        y = p.add("sub", x=p.add("mul", x=turned, y=C(value=3)), y=p["x"])
        return p.add("add", x=p.add("mul", x=y, y=C(value=-1)), y=C(value=2), name="result")

    kinds = "integers zero-mean fp16:integers"
    for label, name, make, twin, inputs in (
        ("weights", "ConformanceScale", scale, scaled, x),
        ("outputs", "ConformanceOutputs", outputs, outputs_twin, {"a": X(3, 4), "b": X(5)}),
        ("parameters", "ConformanceParameters", parameters, parameters_twin, {"x": X(3, 5)}),
    ):
        yield from program(
            "custom_layer", label, make, inputs, kinds=kinds, twin=twin, custom_layers={name: DEFINITIONS[name]}
        )


def _custom(p: Making, name: str, inputs: list[str], shapes: list[tuple[int, ...]], **given: Any) -> Any:
    types = [(p.element, shape) for shape in shapes]
    values = {each: p[each] for each in inputs}
    return p.program.add(
        "custom_layer", name="result", class_name=name, input_order=inputs, outputs=types, **values, **given
    )
