"""Steps that run as one: which, and that no bit depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from step_programs import Program, names, numbers, planned, run

from refcoreml import ops
from refcoreml.errors import InvalidModelError
from refcoreml.execution.steps import Store
from refcoreml.kernels.half import round_to_half
from refcoreml.types import TensorType

PLUS_ONE, DOUBLE = ops.Add(other=1.0), ops.Multiply(other=2.0)
HALF = Store((round_to_half,))


def chain(**fields: Any) -> Program:
    program = Program()
    program.add("a", ops.Softmax(axis=-1), "x")
    program.add("b", DOUBLE, "a", **fields)
    program.add("y", PLUS_ONE, "b")
    return program


def test_elementwise_steps_overwrite_the_result_before_them():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    engine = chain().engine("x", "y")
    assert [names(step.parts) for step in planned(engine, x=(2, 3))] == [["a", "b", "y"]]
    run(engine, x=x)
    assert [names(step.parts) for step in planned(chain().engine("x", "y a"), x=(2, 3))] == [[], ["b", "y"]]


def test_results_are_brought_into_the_form_in_which_they_are_kept_inside_too():
    engine = chain(store=HALF).engine("x", "y")
    assert [names(step.parts) for step in planned(engine, x=(3,))] == [["a", "b", "y"]]
    x = np.arange(3, dtype=np.float32)
    b = run(engine, x=x)["y"] - 1
    events = {event.step.name: event for event in engine.trace({"x": x})}
    assert events["a"].outputs is events["a"].computed
    (computed,), (kept,) = events["b"].computed, events["b"].outputs
    assert (computed != kept).any()
    np.testing.assert_array_equal(kept, computed.astype(np.float16))
    np.testing.assert_array_equal(b, kept)


WEIGHTS, BIAS = np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2, 1, 1), np.array([0.1, -0.2, 0.3], np.float32)
HEADS = {
    "convolution": ops.Convolution(WEIGHTS, BIAS),
    "product": ops.MatMul(),
    "elementwise": ops.GELU(),
    "view": ops.Transpose((0, 2, 3, 1)),  # nobody may write to it
}


@pytest.mark.parametrize("kept", ["as computed", "all rounded", "the first", "the last"])
@pytest.mark.parametrize("head", HEADS)
def test_no_bit_depends_on_whether_steps_run_as_one(head, kept):
    """Small arrays and large ones, which are rounded in another way."""
    stores = {"as computed": "", "all rounded": "abcdy", "the first": "a", "the last": "y"}[kept]
    for height in (2, 700):
        program = Program()
        x = np.random.default_rng(0).normal(0, 1, (2, 2, height, 7)).astype(np.float32)
        given = {"x": x}
        if head == "product":
            given["w"] = np.random.default_rng(1).normal(0, 1, (2, 2, 7, 7)).astype(np.float32)
        shape = HEADS[head].infer(*map(TensorType.of, given.values())).shape
        given["z"] = np.random.default_rng(2).normal(0, 1, shape).astype(np.float32)
        channels = np.random.default_rng(3).normal(0, 1, (shape[1], 1, 1)).astype(np.float32)
        steps = {
            "a": (HEADS[head], " ".join(given)[:-2]),
            "b": (ops.Scale(channels, None), "a"),
            "c": (ops.Add(), "z b"),
            "d": (ops.SiLU(), "c"),
            "y": (ops.Multiply(other=1 / 3), "d"),
        }
        for name, (op, inputs) in steps.items():
            program.add(name, op, inputs, store=HALF if name in stores else None)
        engine = program.engine(" ".join(given), "y")
        parts = [names(step.parts) for step in planned(engine, **{name: value.shape for name, value in given.items()})]
        assert parts == ([[], ["b", "c", "d", "y"]] if head == "view" else [["a", "b", "c", "d", "y"]])
        before = {name: value.copy() for name, value in given.items()}
        run(engine, **given)
        for name, value in given.items():
            np.testing.assert_array_equal(value, before[name])


@dataclass(frozen=True)
class Columns(ops.Op):
    """A copy whose numbers lie column by column."""

    fresh = True

    def infer(self, x: TensorType) -> TensorType:
        return x

    def run(self, x: Any) -> Any:
        return np.array(x, order="F")


def test_sums_do_not_depend_on_how_numbers_lie_that_steps_before_would_overwrite():
    program = Program()
    program.add("a", Columns(), "x", store=HALF)
    program.add("b", ops.Add(), "a z", store=HALF)
    program.add("y", ops.ReduceSum((0, 1)), "b")
    x, z = (np.random.default_rng(seed).normal(0, 1, (50, 70)).astype(np.float32) for seed in (0, 1))
    run(program.engine("x z", "y"), x=x, z=z)


def test_numbers_of_rank_0_have_no_channels():
    program = Program()
    program.add("a", ops.Exp(), "x", store=HALF)
    program.add("y", PLUS_ONE, "a", store=HALF)
    run(program.engine("x", "y"), x=np.array(0.3, np.float32))


def test_inputs_of_another_type_of_numbers_run_one_by_one():
    program = Program()
    program.add("a", ops.Softmax(axis=-1), "x")
    program.add("y", ops.Add(), "a z")
    engine = program.engine("x z", "y")
    assert len(planned(engine, x=(2,), z=(2,))) == 1
    assert len(planned(engine, x=(2,), z=(1,))) == 2
    assert run(engine, x=numbers(0, 0), z=numbers(1, 2))["y"].tolist() == [1.5, 2.5]
    assert run(engine, x=numbers(0, 0), z=numbers(1))["y"].tolist() == [1.5, 1.5]
    with pytest.raises(InvalidModelError, match=r"main\[1\] 'y' \(Add\)"):
        engine.run({"x": numbers(0, 0), "z": numbers(1, 2, dtype=np.float16)})


def test_steps_whose_types_depend_on_values_run_one_by_one_and_those_before_as_one():
    program = chain()
    program.add("r", ops.Reshape(None), "y shape")
    program.add("s", DOUBLE, "r")
    program.add("t", PLUS_ONE, "s")
    engine = program.engine("x shape", "t")
    parts = [names(step.parts) for step in planned(engine, x=(2, 3), shape=(2,))]
    assert parts == [["a", "b", "y"], [], [], []]
    run(engine, x=np.arange(6, dtype=np.float32).reshape(2, 3), shape=numbers(3, 2))


def test_a_refusal_reads_the_same_whether_or_not_steps_run_as_one():
    program = Program()
    program.add("a", ops.CumulativeSum(axis=None), "x axis")
    program.add("y", ops.Multiply(), "a z")
    engine = program.engine("x axis z", "y")
    shapes = {"x": (2, 3), "axis": (3,), "z": (2, 3)}
    assert [names(step.parts) for step in planned(engine, **shapes)] == [["a", "y"]]
    given = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    said = []
    for observe in (None, lambda *step: None):
        with pytest.raises(InvalidModelError) as caught:
            engine.run(given, observe)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "axis" in said[0]
    assert "'z'" not in said[0]
