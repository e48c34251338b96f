"""States that operations read and write: their types, and the order of reads and writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refcoreml
from refcoreml import build


def program_of(given: str, data: str) -> build.Program:
    """Return a program that writes an input to a state, or to what else there is."""
    program = build.Program({"x": (2,), "half": ("fp16", (2,)), "wide": (3,)}, states={"s": (2,)}, opset="CoreML8")
    program.add("write_state", input=program[given], data=program[data])
    program.output(program.add("read_state", input=program[given], outputs=[("fp32", (2,))], name="y"))
    return program


@pytest.mark.parametrize(
    ("given", "data", "words"),
    [
        ("s", "half", r"\(write_state\).*writes float16 \(2,\) to a state of float32 \(2,\)"),
        ("s", "wide", r"\(write_state\).*writes float32 \(3,\) to a state of float32 \(2,\)"),
        ("s", "s", r"\(write_state\).*writes state of float32 \(2,\) to a state"),
        ("x", "x", r"\(write_state\).*'input' is of type float32 \(2,\), expected a state"),
    ],
)
@pytest.mark.clause("mil.write_state.C1")
def test_what_is_written_must_be_of_the_type_of_the_state(given: str, data: str, words: str) -> None:
    with pytest.raises(refcoreml.InvalidModelError, match=words):
        program_of(given, data).model()


@pytest.mark.clause("mil.read_state.C1")
def test_only_states_are_read() -> None:
    program = build.Program({"x": (2,)}, opset="CoreML8")
    with pytest.raises(refcoreml.InvalidModelError, match=r"\(read_state\).*of type float32 \(2,\), expected a state"):
        program.add("read_state", input=program["x"])


@pytest.mark.clause("mil.read_state.S1", "mil.read_state.S2", "mil.write_state.S1", "mil.write_state.S2")
def test_reads_and_writes_keep_their_order() -> None:
    """Of two states, each read before and after each of two writes; what was read stays as it was."""
    program = build.Program({"x": (2, 3)}, states={"a": (2, 3), "b": (2, 3)}, opset="CoreML8")
    reads: list[Any] = []

    def read() -> None:
        reads.extend(program.add("read_state", input=program[state]) for state in "ab")

    read()
    for kind in ("square", "sign"):
        program.add("write_state", input=program["a"], data=program.add(kind, x=program["x"]))
        read()
    program.output(*reads)
    model = program.model()
    state = model.make_state()
    x = np.float32([[1, -2, 3], [0, 5, -6]])
    zero = 0 * x
    for first in (zero, np.sign(x)):
        found = model.predict({"x": x}, state=state)
        expected = [first, zero, x * x, zero, np.sign(x), zero]
        for result, y in zip(reads, expected, strict=True):
            np.testing.assert_array_equal(found[result.name], y)
        np.testing.assert_array_equal(state.read("b"), zero)


@pytest.mark.clause("mil.write_state.S2")
def test_writes_count_where_nothing_reads_the_state() -> None:
    program = build.Program({"x": (2,)}, states={"s": (2,)}, opset="CoreML8")
    program.add("write_state", input=program["s"], data=program["x"])
    program.output(program.add("square", x=program["x"], name="y"))
    model = program.model()
    state = model.make_state()
    assert model.predict({"x": [3, -4]}, state=state)["y"].tolist() == [9, 16]
    assert state.read("s").tolist() == [3, -4]


@pytest.mark.clause("mil.read_state.S1", "mil.write_state.S2")
def test_a_state_may_end_a_loop_that_hands_on_what_it_was_given() -> None:
    program = build.Program({"x": (3,)}, states={"s": (1,)}, opset="CoreML8")

    def condition(x: Any) -> Any:
        return program.add("less", x=program.add("read_state", input=program["s"]), y=np.float32([4]))

    def body(x: Any) -> Any:
        more = program.add("add", x=program.add("read_state", input=program["s"]), y=np.float32([1]))
        program.add("write_state", input=program["s"], data=more)
        return x

    program.output(program.add("while_loop", loop_vars=[program["x"]], blocks=[condition, body], name="y"))
    model = program.model()
    state = model.make_state()
    assert model.predict({"x": [1, 2, 3]}, state=state)["y"].tolist() == [1, 2, 3]
    assert state.read("s").tolist() == [4]
