"""Control flow as ML Programs have it: results that are bound to outputs, values that rounds hand on, captured ones."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from step_programs import Program, names, numbers, ran, run

from refcoreml import ops
from refcoreml.errors import InputError, InvalidModelError
from refcoreml.execution import control
from refcoreml.execution.control import BreakSignal, Choice, ContinueSignal, Decision, Leave, Loop
from refcoreml.execution.limits import Limits
from refcoreml.execution.steps import Region, closed_region, walk
from refcoreml.types import TensorType

TRUE: Decision[bool] = Decision("the condition", bool)
PLUS_ONE, DOUBLE = ops.Add(other=1.0), ops.Multiply(other=2.0)
F32 = np.dtype(np.float32)


def block(program: Program, inputs: str = "", outputs: str = "") -> Region:
    return closed_region(program.steps, inputs.split(), outputs.split())


def choice() -> Program:
    """Y = x + 1 + x if the condition holds, else 2 x; x is captured."""
    then, otherwise, main = Program("main.then"), Program("main.else"), Program()
    then.add("more", PLUS_ONE, "x")
    then.add("sum", ops.Add(), "more x")
    otherwise.add("twice", DOUBLE, "x")
    main.add("y", Choice(TRUE, (block(then, outputs="sum"), block(otherwise, outputs="twice"))), "c")
    main.add("z", ops.ReLU(), "y")
    return main


@pytest.mark.parametrize(("condition", "expected"), [(True, [3, 0]), (False, [2, 0])])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_choice_gives_the_results_of_the_region_that_ran(condition, expected, shape):
    x = numbers(1, -3)
    y = run(choice().engine("x c", "z"), x=x, c=np.full(shape, condition))
    assert y["z"].tolist() == expected


def test_only_the_chosen_region_runs():
    engine = choice().engine("x c", "z")
    assert ran(engine, x=numbers(1), c=np.array(True)) == ["more", "sum", "z"]
    assert ran(engine, x=numbers(1), c=np.array(False)) == ["twice", "z"]


def test_types_behind_a_choice_are_those_that_both_regions_give():
    types = choice().engine("x c", "z").types({"x": TensorType(F32, (2,)), "c": TensorType(np.dtype(bool), ())})
    assert types["z"] == types["y"] == TensorType(F32, (2,))
    then, main = Program("then"), Program()
    then.add("longer", ops.Concat(axis=0), "x x")
    main.add("y", Choice(TRUE, (block(then, outputs="longer"), Region(outputs=("x",)))), "c")
    main.add("z", PLUS_ONE, "y")
    engine = main.engine("x c", "z")
    types = engine.types({"x": TensorType(F32, (2,)), "c": TensorType(np.dtype(bool), ())})
    assert types.keys() == {"x", "c"}
    assert run(engine, x=numbers(1, 2), c=np.array(True))["z"].tolist() == [2, 3, 2, 3]
    assert run(engine, x=numbers(1, 2), c=np.array(False))["z"].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (numbers(1, 2), InvalidModelError, "the condition must be a single number, got the shape (2,)"),
        (numbers(np.nan), InputError, "the condition must be a single number, got NaN"),
    ],
)
def test_what_decides_nothing_is_refused_at_its_place(value, kind, message):
    with pytest.raises(kind, match=re.escape(f"main[0] 'y' (Choice): {message}")):
        choice().engine("x c", "z").run({"x": numbers(1), "c": value})


def counted(limits: Limits | None = None) -> Program:
    """Fibonacci numbers: while n > 0: a, b, n = b, a + b, n - step."""
    condition, body, main = Program("condition", limits), Program("body", limits), Program("main", limits)
    condition.add("going", ops.Greater(other=0.0, result=np.dtype(bool)), "n1")
    body.add("sum", ops.Add(), "a2 b2")
    body.add("less", ops.Subtract(), "n2 step")
    loop = Loop(
        block(body, "a2 b2 n2", "b2 sum less"), block(condition, "a1 b1 n1", "going"), Decision("the condition", bool)
    )
    main.add("a b n", loop, "a0 b0 n0")
    main.add("y", DOUBLE, "a")
    return main


def fibonacci(n: int) -> dict[str, Any]:
    return {"a0": numbers(0), "b0": numbers(1), "n0": numbers(n), "step": numbers(1)}


@pytest.mark.parametrize(("n", "a"), [(0, 0), (1, 1), (2, 1), (7, 13), (12, 144)])
def test_rounds_hand_values_on(n, a):
    results = run(counted().engine("a0 b0 n0 step", "y a b n"), **fibonacci(n))
    assert results["a"].tolist() == [a]
    assert results["y"].tolist() == [2 * a]
    assert results["n"].tolist() == [0]


def test_types_that_rounds_keep_are_known_and_others_are_not():
    one = TensorType(F32, (1,))
    known = counted().engine("a0 b0 n0 step", "y").types(dict.fromkeys(("a0", "b0", "n0", "step"), one))
    assert set(known.values()) == {one, TensorType(np.dtype(bool), (1,))}
    assert {"a", "b", "n", "y", "sum", "going"} <= known.keys()
    body, main = Program("body"), Program()
    body.add("longer", ops.Concat(axis=0), "v one")
    main.add("y same", Loop(block(body, "v w", "longer w"), most=3), "x one")
    known = main.engine("x one", "y").types({"x": one, "one": one})
    assert "y" not in known
    assert known["same"] == one
    assert run(main.engine("x one", "y"), x=numbers(5), one=numbers(1))["y"].tolist() == [5, 1, 1, 1]


def test_a_loop_in_a_choice_in_a_loop():
    """For 3 rounds: if s < 10 then twice s = 2 s, else s = s + outer."""
    inner, then, otherwise, body, main = (Program(name) for name in ("inner", "then", "else", "body", "main"))
    inner.add("twice", DOUBLE, "t")
    then.add("grown", Loop(block(inner, "t", "twice"), most=2), "s")
    otherwise.add("more", ops.Add(), "s outer")
    body.add("small", ops.Less(other=10.0, result=np.dtype(bool)), "s")
    body.add("next", Choice(TRUE, (block(then, outputs="grown"), block(otherwise, outputs="more"))), "small")
    main.add("y", Loop(block(body, "s", "next"), most=3), "x")
    engine = main.engine("x outer", "y")
    assert run(engine, x=numbers(1), outer=numbers(100))["y"].tolist() == [116]
    assert ran(engine, x=numbers(1), outer=numbers(100)) == ["small", "twice", "twice"] * 2 + ["small", "more"]
    (step,) = engine.steps
    assert step.reads == {"x", "outer"}
    assert step.writes == {"y", "s", "t", "small", "next", "twice", "grown", "more"}
    assert names(list(walk(engine.steps))) == ["y", "small", "next", "grown", "twice", "more"]
    assert engine.types({name: TensorType(F32, (1,)) for name in ("x", "outer")})["y"] == TensorType(F32, (1,))


def test_a_captured_value_is_kept_until_after_the_region_that_reads_it():
    engine = choice().engine("x c", "z")
    assert set(engine.steps[0].last_uses) == {"c", "x", "more", "sum", "twice"}
    then = engine.steps[0].regions[0]
    assert then.reads == {"x"}
    assert [step.last_uses for step in then.steps] == [(), ("more",)]


def test_values_of_a_round_are_freed_when_nobody_reads_them_any_more():
    """The largest that exist at a time, not the sum over a body, has to fit."""
    body, main = Program("body", Limits(memory=2_000)), Program(limits=Limits(memory=2_000))
    chain = ["v", *(f"v{i}" for i in range(20))]
    for before, after in pairwise(chain):
        body.add(after, PLUS_ONE, before)
    main.add("y", Loop(block(body, "v", chain[-1]), most=3), "x")
    x = np.zeros(64, np.float32)  # 256 bytes
    assert run(main.engine("x", "y"), x=x)["y"][0] == 60


@pytest.mark.parametrize(("signal", "expected"), [(BreakSignal, 4), (ContinueSignal, 4)])
def test_a_round_that_is_left_hands_nothing_on(signal, expected):
    """While v < 4: v = v + 1; from 4 on the round is left, by break or again and again until the count is over."""
    leave, body, main = Program("leave"), Program("body"), Program()
    leave.add("", Leave(signal))
    body.add("late", ops.Greater(other=3.0, result=np.dtype(bool)), "v")
    body.add("", Choice(TRUE, (Region(leave.steps), Region())), "late")
    body.add("next", PLUS_ONE, "v")
    main.add("y", Loop(block(body, "v", "next"), most=9), "x")
    engine = main.engine("x", "y")
    assert run(engine, x=numbers(0))["y"].tolist() == [expected]
    assert ran(engine, x=numbers(0)).count("late") == (5 if signal is BreakSignal else 9)


def test_an_input_counts_the_rounds():
    body, main = Program("body"), Program()
    body.add("next", PLUS_ONE, "v")
    main.add("y", Loop(block(body, "v", "next"), rounds=Decision("n", int)), "n x")
    assert run(main.engine("n x", "y"), n=numbers(4, dtype=np.int32), x=numbers(1))["y"].tolist() == [5]


def test_a_loop_without_end_is_stopped(monkeypatch):
    monkeypatch.setattr(control, "LOOP_LIMIT", 50)
    with pytest.raises(InputError, match=r"main\[0\] 'a b n' \(Loop\): still runs after 50 rounds"):
        counted().engine("a0 b0 n0 step", "y").run(fibonacci(51))
    counted().engine("a0 b0 n0 step", "y").run(fibonacci(50))


def test_an_error_within_a_region_has_the_place_of_its_step():
    engine = counted().engine("a0 b0 n0 step", "y")
    with pytest.raises(InvalidModelError, match=re.escape("body[0] 'sum' (Add): inputs of shapes (3,), (2,) do not")):
        engine.run({**fibonacci(3), "a0": numbers(1, 2, 3), "b0": numbers(1, 2)})
