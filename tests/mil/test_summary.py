"""What a function consists of."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import refcoreml
from refcoreml import build
from refcoreml.build import Known


def summary(program: build.Program) -> refcoreml.inspection.FunctionSummary:
    (found,) = refcoreml.inspect(program.spec()).functions
    return found


def test_operations_weights_and_states_of_a_function() -> None:
    program = build.Program({"x": ("fp16", (2, 6))}, states={"s": ("fp16", (2, 4))}, opset="CoreML8")
    weight = program.add(
        "constexpr_blockwise_shift_scale",
        data=Known(np.zeros((4, 6), np.int8), "int4"),
        scale=np.ones((4, 1), np.float16),
        outputs=[("fp16", (4, 6))],
    )
    y = program.add("linear", x=program["x"], weight=weight, bias=np.zeros(4, np.float16))
    y = program.add("add", x=y, y=np.ones((3, 1, 4), np.float16), outputs=[("fp16", (3, 2, 4))])
    program.output(program.add("relu", x=program.add("relu", x=y)))
    found = summary(program)
    assert found.operations == {"relu": 2, "add": 1, "constexpr_blockwise_shift_scale": 1, "linear": 1}
    assert found.storage == {"blockwise_shift_scale, 4 bits": 24, "fp16": 12}
    assert refcoreml.inspect(program.spec()).storage == found.storage
    assert (found.name, found.default, found.opset) == ("main", True, "CoreML8 (iOS18)")
    assert [(state["name"], state["type"]) for state in found.states] == [("s", "State (Float16 2 x 4)")]


def test_a_program_that_cannot_run_is_described() -> None:
    program = build.Program({"x": (2, 3)})
    program.output(program.add("relu", x=program["x"]))
    spec = program.spec()
    spec.mlProgram.functions["main"].block_specializations["CoreML7"].operations[0].type = "fly"
    found = refcoreml.inspect(spec)
    assert found.functions[0].operations == {"fly": 1}
    assert "fly (1 x)" in found.problem


def test_functions_are_described_one_by_one(tmp_path: Path) -> None:
    one = build.Program({"x": ("fp16", (2, 3))}, states={"s": ("fp16", (4,))}, opset="CoreML8")
    one.output(one.add("relu", x=one["x"], name="y"))
    other = build.Program({"z": (5,)}, opset="CoreML8")
    other.output(other.add("exp", x=other["z"], name="e"))
    build.functions({"a": one, "b": other}, default="a", path=tmp_path / "two.mlpackage")
    model = refcoreml.load(tmp_path / "two.mlpackage")
    first, second = refcoreml.inspect(model).functions
    assert ([item["name"] for item in first.states], first.default, first.problem) == (["s"], True, "")
    assert [item["name"] for item in (*second.inputs, *second.outputs)] == ["z", "e"]
    spec = model.spec
    spec.mlProgram.functions["b"].block_specializations["CoreML8"].operations[0].type = "fly"
    first, second = refcoreml.inspect(spec).functions
    assert first.problem == ""
    assert "fly (1 x)" in second.problem


def test_the_oldest_system_is_that_of_the_operation_set() -> None:
    program = build.Program({"x": (2, 3)}, opset="CoreML8")
    program.output(program.add("relu", x=program["x"]))
    spec = program.spec()
    assert refcoreml.inspect(spec).runs_on.startswith("iOS 18, macOS 15")
    spec.specificationVersion = 7
    assert refcoreml.inspect(spec).runs_on.startswith("iOS 18, macOS 15")


def test_custom_layers_are_counted_by_class() -> None:
    program = build.Program({"x": (2, 3)}, opset="CoreML7")
    y = program["x"]
    for class_name in ("Swish", "Swish", "Gate"):
        y = program.add(
            "custom_layer",
            class_name=class_name,
            description=f"a {class_name}",
            input_order=["x"],
            x=y,
            outputs=[(2, 3)],
        )
    program.output(y)
    needs = refcoreml.inspect(refcoreml.load(program.spec(), prepare=False)).needs
    assert [(need.class_name, need.description, need.count, need.met) for need in needs] == [
        ("Swish", "a Swish", 2, False),
        ("Gate", "a Gate", 1, False),
    ]
