"""Programs run as they would one operation at a time, bit for bit; and what is not rounded or converted in vain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support import assert_identical

from refcoreml import build
from refcoreml.mil.operations.gather import FromTable
from refcoreml.mil.precision import PRECISIONS
from refcoreml.mil.prepare import Typed
from refcoreml.mil.program import Program
from refcoreml.mil.values import StateType
from refcoreml.spec import schema
from refcoreml.types import TensorType


def prepared(program: build.Program, precision: str = "declared") -> Program:
    message = schema.MILSpec.Program(version=1)
    message.functions["main"].CopyFrom(program.function())
    return Program(message, "main", precision=PRECISIONS[precision])


def normal(*shape: int, seed: int = 0, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(dtype)


def block(element: str) -> build.Program:
    """A residual block, attention over its pixels, and what converters write in between."""
    kind = np.float16 if element == "fp16" else np.float32
    program = build.Program({"x": (element, (1, 6, 9, 8))}, opset="CoreML7")
    x = program["x"]
    y = program.add("conv", x=x, weight=normal(6, 6, 3, 3, dtype=kind), bias=normal(6, dtype=kind), pad_type="same")
    y = program.add("relu", x=program.add("mul", x=y, y=kind(0.3)))
    y = program.add("conv", x=y, weight=normal(6, 6, 1, 1, seed=1, dtype=kind))
    y = program.add("silu", x=program.add("add", x=x, y=y))
    y = program.add("prelu", x=y, alpha=normal(6, seed=2, dtype=kind))
    y = program.add("transpose", x=program.add("reshape", x=y, shape=[1, 6, 72]), perm=[0, 2, 1])
    scores = program.add("matmul", x=program.add("mul", x=y, y=kind(6**-0.5)), y=y, transpose_y=True)
    y = program.add("matmul", x=program.add("softmax", x=scores, axis=-1), y=y)
    y = program.add("add", x=y, y=normal(6, seed=3, dtype=kind))
    y = program.add("linear", x=y, weight=normal(700, 6, seed=4, dtype=kind), bias=normal(700, dtype=kind))
    program.output(program.add("mul", x=program.add("gelu", x=y), y=kind(1 / 3), name="y"))
    return program


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("element", ["fp16", "fp32"])
def test_no_bit_depends_on_whether_operations_run_as_one(element, precision):
    program = prepared(block(element), precision)
    x = program.precision.hold(normal(1, 6, 9, 8, dtype=np.float16 if element == "fp16" else np.float32))
    parts = [[part.kind for part in step.parts] for step in program.engine.plan({"x": TensorType.of(x)}) if step.parts]
    assert parts == [
        ["conv", "mul", "relu"],
        ["conv", "add", "silu", "prelu"],
        ["linear", "gelu", "mul"],
    ]
    seen: dict[str, Any] = {}

    def note(step: Any, inputs: Any, outputs: Any) -> None:
        seen.update(zip(step.outputs, outputs, strict=True))

    expected = program.run({"x": x}, note)["y"]
    assert_identical(program.run({"x": x})["y"], expected)
    if program.precision.rounds and element == "fp16":
        for value in seen.values():
            assert_identical(value.astype(np.float16).astype(np.float32), value)


def test_what_only_moves_numbers_is_not_rounded_again():
    """Of operations without a store every result is a number of half precision already, as the test above sees."""
    rounded = {step.kind for step in prepared(block("fp16")).engine.steps if step.store is not None}
    assert rounded == {"conv", "mul", "add", "silu", "prelu", "matmul", "softmax", "linear", "gelu"}


def test_a_move_from_another_type_is_rounded():
    """What it would move are no numbers of half precision yet."""
    program = build.Program({"x": ("fp16", (3,)), "k": ("fp32", (3,))}, opset="CoreML7")
    program.output(program.add("cast", x=program["k"], dtype="fp16", name="y"))
    third = np.full(3, 1 / 3, np.float32)
    (step,) = prepared(program).engine.steps
    assert step.store is not None
    found = prepared(program).run({"x": third, "k": third})["y"]
    assert_identical(found, third.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_table_is_held_as_the_program_has_it(precision):
    """Half precision takes half of the memory, and only the rows that are taken are converted."""
    table = normal(50, 7, dtype=np.float16)
    builder = build.Program({"i": ("int32", (3,))}, opset="CoreML7")
    builder.output(builder.add("gather", x=table, indices=builder["i"], axis=0, name="y"))
    program = prepared(builder, precision)
    (step,) = program.engine.steps
    assert step.inputs == ("i",)
    assert not program.engine.constants
    assert isinstance(step.op, Typed)
    assert isinstance(step.op.op, FromTable)
    assert step.op.op.table.dtype == np.float16
    found = program.run({"i": np.array([49, 0, 7], np.int32)})["y"]
    assert_identical(found, table[[49, 0, 7]].astype(np.float64 if precision == "float64" else np.float32))


def test_tables_are_taken_from_by_every_way_to_gather():
    table = np.arange(24, dtype=np.float16).reshape(4, 6) / 7
    indices = np.array([[3, 0], [1, 5]], np.int32)
    cases = {
        "gather": (table[:, indices], {"axis": 1}),
        "gather_along_axis": (np.take_along_axis(table[:2], indices, 1), {"axis": 1, "x": table[:2]}),
        "gather_nd": (table[indices[:, 0], indices[:, 1]], {}),
    }
    for kind, (expected, fields) in cases.items():
        builder = build.Program({"i": ("int32", indices.shape)}, opset="CoreML5")
        builder.output(builder.add(kind, indices=builder["i"], name="y", **{"x": table, **fields}))
        assert_identical(prepared(builder).run({"i": indices})["y"], expected.astype(np.float32))


def test_a_state_is_updated_at_a_place_that_is_known_at_run_time_alone():
    """Types are known in advance all the same: the update has the state's."""
    builder = build.Program(
        {"i": ("int32", (2,)), "x": ("fp16", (1, 3))}, states={"s": ("fp16", (4, 3))}, opset="CoreML8"
    )
    end = builder.add("add", x=builder["i"], y=np.array([1, 3], np.int32))
    old = builder.add("read_state", input=builder["s"])
    new = builder.add("slice_update", x=old, update=builder["x"], begin=builder["i"], end=end)
    builder.add("write_state", input=builder["s"], data=new)
    builder.output(builder.add("identity", x=new, name="y"))
    model = builder.model()
    state = model.make_state()
    for row in (2, 0):
        y = model.predict({"i": [row, 0], "x": [[row, 1, 2]]}, state=state)["y"]
    assert_identical(y, np.array([[0, 1, 2], [0, 0, 0], [2, 1, 2], [0, 0, 0]], y.dtype))
    float32 = np.dtype(np.float32)
    types = {
        "i": TensorType(np.dtype(np.int32), (2,)),
        "x": TensorType(float32, (1, 3)),
        "s": StateType(TensorType(np.dtype(np.float16), (4, 3))),
    }
    assert prepared(builder).types(types)[new.value.name] == TensorType(float32, (4, 3))
