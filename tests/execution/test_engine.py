"""The engine: values of several types and values that are no arrays, effects, liveness, fusion, forms of storage."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest
from step_programs import Program, names, numbers, planned, ran, run

from refcoreml import ops
from refcoreml.errors import InputError, InternalError, InvalidModelError, LimitError, UsageError
from refcoreml.execution.control import Choice, Decision, Loop
from refcoreml.execution.limits import Allowed, Limits
from refcoreml.execution.steps import MOST_TYPES, Region, closed_region
from refcoreml.types import TensorType, ValueType

PLUS_ONE, DOUBLE = ops.Add(other=1.0), ops.Multiply(other=2.0)
F32, BOOL = np.dtype(np.float32), np.dtype(bool)


# --- types ------------------------------------------------------------------------------------------------------------


def test_values_of_several_types_pass_through_one_network():
    program = Program()
    program.add("large", ops.Greater(other=2.0, result=BOOL), "x")
    program.add("half", ops.Cast(np.dtype(np.float16)), "x")
    program.add("y", ops.Add(other=1.0), "half")
    engine = program.engine("x", "large y")
    types = engine.types({"x": TensorType(F32, (3,))})
    assert types == {
        "x": TensorType(F32, (3,)),
        "large": TensorType(BOOL, (3,)),
        "half": TensorType(np.dtype(np.float16), (3,)),
        "y": TensorType(np.dtype(np.float16), (3,)),
    }
    results = run(engine, x=numbers(1, 2, 3))
    assert {name: TensorType.of(value) for name, value in results.items()} == {name: types[name] for name in results}


def test_what_fits_floats_of_one_width_may_not_fit_those_of_another():
    program = Program()
    program.add("y", ops.Add(), "x z")
    engine = program.engine("x z", "y")
    run(engine, x=numbers(1), z=numbers(2))
    with pytest.raises(InvalidModelError, match=r"main\[0\] 'y' \(Add\): inputs of types float32, float16"):
        engine.run({"x": numbers(1), "z": numbers(2, dtype=np.float16)})


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "main: input 'x' is missing"),
        ({"x": [1.0, 2.0]}, "main: input 'x' is list, expected an array or a value with a type"),
        ({"x": None}, "main: input 'x' is NoneType"),
    ],
)
def test_inputs_that_are_missing_or_no_values_are_refused(inputs, words):
    program = Program()
    program.add("y", ops.ReLU(), "x")
    with pytest.raises(UsageError, match=words):
        program.engine("x", "y").run(inputs)


def test_memory_is_counted_by_the_type_of_numbers():
    for dtype, fits in ((np.float16, True), (np.float32, False)):
        program = Program(limits=Limits(memory=3_000))
        program.add("y", ops.ReLU(), "x")
        engine = program.engine("x", "y")
        x = np.ones(600, dtype)
        if fits:
            run(engine, x=x)
        else:
            with pytest.raises(LimitError, match="with output 'y', weights and values take"):
                engine.run({"x": x})


def test_empty_tensors_are_allowed_where_the_dialect_says_so():
    for empty in (True, False):
        program = Program()
        program.add("y", ops.ReLU(), "x", allowed=Allowed(empty=empty))
        engine = program.engine("x", "y")
        x = np.ones((0, 3), np.float32)
        if empty:
            assert run(engine, x=x)["y"].shape == (0, 3)
        else:
            with pytest.raises(InvalidModelError, match=r"output 'y' would have the shape \(0, 3\)"):
                engine.run({"x": x})


# --- values that are no arrays, and effects ---------------------------------------------------------------------------


@dataclass(frozen=True)
class ListType(ValueType):
    """A list of tensors of one type."""

    item: TensorType
    length: int

    @property
    def nbytes(self) -> int:
        return self.length * self.item.nbytes


@dataclass(frozen=True)
class Values:
    """A list as a value: writing makes another one."""

    items: tuple[Any, ...]

    @property
    def type(self) -> ListType:
        return ListType(TensorType.of(self.items[0]), len(self.items))


@dataclass(frozen=True)
class Append(ops.Op):
    """The list with one more tensor."""

    def infer(self, given: Any, x: TensorType) -> Any:
        return ListType(given.item, given.length + 1)

    def run(self, given: Values, x: Any) -> Any:
        return Values((*given.items, x))


@dataclass(frozen=True)
class Stacked(ops.Op):
    """The tensors of a list, along a new axis."""

    def infer(self, given: Any) -> TensorType:
        return TensorType(given.item.dtype, (given.length, *given.item.shape))

    def run(self, given: Values) -> Any:
        return np.stack(given.items)


def test_lists_pass_through_the_engine():
    program = Program()
    program.add("list", Append(), "given x")
    program.add("y", Stacked(), "list")
    engine = program.engine("given x", "y")
    given, x = Values((numbers(1, 2),)), numbers(3, 4)
    assert run(engine, given=given, x=x)["y"].tolist() == [[1, 2], [3, 4]]
    pair = TensorType(F32, (2,))
    assert engine.types({"given": given.type, "x": pair}) == {
        "given": ListType(pair, 1),
        "x": pair,
        "list": ListType(pair, 2),
        "y": TensorType(F32, (2, 2)),
    }


def test_a_list_that_grows_in_a_loop():
    body, main = Program("body"), Program()
    body.add("longer", Append(), "list v")
    body.add("next", DOUBLE, "v")
    main.add("all last", Loop(closed_region(body.steps, ["list", "v"], ["longer", "next"]), most=3), "given x")
    main.add("y", Stacked(), "all")
    engine = main.engine("given x", "y")
    assert run(engine, given=Values((numbers(0),)), x=numbers(1))["y"].tolist() == [[0], [1], [2], [4]]
    known = engine.types({"given": ListType(TensorType(F32, (1,)), 1), "x": TensorType(F32, (1,))})
    assert known["last"] == TensorType(F32, (1,))
    assert not {"all", "y"} & known.keys()


def test_lists_count_as_much_memory_as_they_say():
    body, main = Program("body", Limits(memory=5_000)), Program(limits=Limits(memory=5_000))
    body.add("longer", Append(), "list x")
    main.add("y", Loop(closed_region(body.steps, ["list"], ["longer"]), most=50), "given")
    with pytest.raises(LimitError, match=r"body\[0\].*weights and values take"):
        main.engine("given x", "y").run({"given": Values((np.zeros(64, np.float32),)), "x": np.zeros(64, np.float32)})


class StateType(ValueType):
    """A state."""


@dataclass
class State:
    """A number that outlives a run."""

    value: Any = field(default_factory=lambda: numbers(0))
    type: ValueType = field(default_factory=StateType)


@dataclass(frozen=True)
class Read(ops.Op):
    """The number in a state."""

    def infer(self, state: Any) -> TensorType:
        return TensorType(F32, (1,))

    def run(self, state: State) -> Any:
        return state.value


@dataclass(frozen=True)
class Write(ops.Op):
    """A number put into a state."""

    effect = True

    def infer(self, state: Any, x: TensorType) -> tuple[TensorType, ...]:
        return ()

    def run(self, state: State, x: Any) -> tuple[Any, ...]:
        state.value = x
        return ()


def accumulator() -> Program:
    """Y = relu(2 s), the state s becomes s + x between two steps that could be one."""
    program = Program()
    program.add("s", Read(), "state")
    program.add("sum", ops.Add(), "s x")
    program.add("", Write(), "state sum")
    program.add("again", Read(), "state")
    program.add("twice", DOUBLE, "again")
    program.add("", Write(), "state x")
    program.add("y", ops.ReLU(), "twice")
    return program


def test_effects_keep_their_place_and_are_never_dropped():
    engine = accumulator().engine("state x", "y")
    assert names(planned(engine, state=StateType(), x=(1,))) == names(engine.steps)
    assert names(engine.steps) == ["s", "sum", "", "again", "twice", "", "y"]
    state = State()
    assert engine.run({"state": state, "x": numbers(3)})["y"].tolist() == [6]
    assert state.value.tolist() == [3]
    assert engine.run({"state": state, "x": numbers(4)})["y"].tolist() == [14]
    assert state.value.tolist() == [4]
    assert ran(engine, state=State(), x=numbers(1)) == names(engine.steps)


def test_without_the_effect_between_them_steps_run_as_one():
    program = accumulator()
    del program.steps[5]
    engine = program.engine("state x", "y")
    assert len(planned(engine, state=StateType(), x=(1,))) == len(engine.steps) - 1
    assert engine.run({"state": State(), "x": numbers(3)})["y"].tolist() == [6]


@dataclass(frozen=True)
class Counted(ops.ReLU):
    """A step that could overwrite what the step before it made, but has an effect too."""

    runs: ClassVar[list[int]] = []

    effect = True

    def run(self, x: Any) -> Any:
        self.runs.append(1)
        return np.maximum(x, 0)


def test_an_effect_is_no_part_of_a_step_that_runs_as_one():
    program, counted = Program(), Counted()
    counted.runs.clear()
    program.add("a", DOUBLE, "x")
    program.add("b", counted, "a")
    program.add("y", PLUS_ONE, "b")
    engine = program.engine("x", "y")
    assert names(planned(engine, x=(2,))) == names(engine.steps)
    assert engine.run({"x": numbers(-1, 3)})["y"].tolist() == [1, 7]
    assert counted.runs == [1]


def test_a_stream_of_new_shapes_fills_no_memory():
    """A forecast is remembered for some types; what is forgotten is inferred again."""
    program = Program()
    program.add("y", PLUS_ONE, "x")
    (step,) = program.engine("x", "y").steps
    for length in range(1, 3 * MOST_TYPES):
        forecast = step.forecast([TensorType(F32, (length,))])
        assert forecast is not None
        assert forecast.types == (TensorType(F32, (length,)),)
        assert len(step._known) <= MOST_TYPES


def test_a_value_that_is_too_large_by_itself_is_refused_before_it_is_made():
    program = Program()
    program.add("y", ops.Fill(0.0, shape=(1 << 20, 1 << 20), dtype=F32), "")
    (step,) = program.engine("", "y").steps
    with pytest.raises(LimitError, match="output 'y' would have the shape"):
        step.run_alone([])


def test_what_an_effect_needs_is_there_though_nothing_else_reads_it():
    engine = accumulator().engine("state x", "y")
    assert [step.last_uses for step in engine.steps] == [
        (),
        ("s",),
        ("sum",),
        (),
        ("again",),
        ("state", "x"),
        ("twice",),
    ]


def test_an_effect_in_a_region_runs_as_often_as_the_region():
    body, then, main = Program("body"), Program("then"), Program()
    then.add("", Write(), "state sum")
    body.add("s", Read(), "state")
    body.add("sum", ops.Add(), "s x")
    body.add("", Choice(Decision("c", bool), (Region(then.steps), Region())), "c")
    main.add("", Loop(closed_region(body.steps), most=4))
    main.add("y", Read(), "state")
    engine = main.engine("state x c", "y")
    for condition, expected in ((True, 20), (False, 0)):
        state = State()
        assert engine.run({"state": state, "x": numbers(5), "c": np.array(condition)})["y"].tolist() == [expected]
    assert engine.steps[0].reads == {"state", "x", "c"}


# --- failures -----------------------------------------------------------------------------------------------


def test_a_failure_names_its_step_and_what_it_was_given():
    @dataclass(frozen=True)
    class Broken(ops.Op):
        def infer(self, x: TensorType) -> TensorType:
            return x

        def run(self, x: Any) -> Any:
            raise IndexError("boom")

    program = Program()
    program.add("y", Broken(), "x")
    with pytest.raises(InternalError, match=r"main\[0\] 'y' \(Broken\): failed on x \(2,\): IndexError: boom"):
        program.engine("x", "y").run({"x": numbers(1, 2)})


# --- whose fault it is ------------------------------------------------------------------------------------------------


def filled(shape: str) -> Program:
    program = Program(limits=Limits(memory=10_000))
    program.add("five", ops.Constant(numbers(*[2000] * 5)))
    program.add("two", ops.Constant(numbers(2, 3)))
    program.add("same", ops.Identity(), "chosen")
    program.add("y", ops.Fill(0.5, shape=None, dtype=F32), shape)
    return program


def test_an_error_names_the_inputs():
    """An operation knows no names: what is wrong with types, with values that give a type, and with other values."""
    program = Program()
    program.add("sum", ops.Add(), "a b")
    program.add("filled", ops.Fill(0.5, shape=None, dtype=F32), "shape")
    program.add("taken", ops.Gather(0), "a indices")
    engine, good = program.engine("a b shape indices", "sum filled taken"), numbers(2, 1)
    run(engine, a=good, b=good, shape=good, indices=numbers(0, 1, 0))
    for name, value, words in [
        (
            "b",
            numbers(1, 2, 3),
            "inputs of shapes (2,), (3,) do not fit together (inputs: 'a' (2,), 'b' (3,)). Counted",
        ),
        ("shape", numbers(2, 0), "(inputs: 'shape' (2,))"),
        ("indices", numbers(0, 2), "(inputs: 'a' (2,), 'indices' (2,))"),
    ]:
        given = {"a": good, "b": good, "shape": good, "indices": numbers(0, 1), name: value}
        with pytest.raises((InvalidModelError, InputError), match=re.escape(words)):
            engine.run(given)


def test_an_error_names_no_more_inputs_than_can_be_read():
    program = Program()
    program.add("y", ops.Concat(0), " ".join("x" * 30 + "z"))
    engine = program.engine("x z", "y")
    with pytest.raises(InvalidModelError, match=re.escape("(inputs: " + "'x' (2,), " * 7 + "'x' (2,) and 23 more)")):
        engine.run({"x": numbers(1, 2), "z": np.ones((2, 3), np.float32)})


def test_too_large_a_result_is_the_fault_of_who_chose_its_size():
    """The model's, if its constants did; a limit may be raised for it."""
    with pytest.raises(LimitError, match=r"main\[3\] 'y' \(Fill\): an output would have the shape \(2000,.*Limits"):
        filled("five").engine("chosen", "y").run({"chosen": numbers(1)})
    for shape in ("chosen", "same"):
        engine = filled(shape).engine("chosen", "y")
        assert run(engine, chosen=numbers(2, 3))["y"].shape == (2, 3)
        with pytest.raises(InputError, match=r"main\[3\] 'y' \(Fill\): an output would have the shape \(2000,"):
            engine.run({"chosen": numbers(*[2000] * 5)})


@pytest.mark.parametrize(
    ("shape", "kind", "message"),
    [
        ("chosen", InputError, "do not fit together (inputs: 's' (2, 3), 'z' (4,)), with model inputs"),
        ("two", InvalidModelError, "do not"),
    ],
)
def test_shapes_that_do_not_fit_are_the_fault_of_who_chose_them(shape, kind, message):
    """Whether x, whose numbers go through, is an input makes no difference; between the two may be other steps."""
    program = filled("two")
    program.add("r", ops.Reshape(None), f"x {shape}")
    program.add("s", ops.ReLU(), "r")
    program.add("sum", ops.Add(), "s z")
    engine = program.engine("x chosen z", "sum")
    x, z = np.arange(6, dtype=np.float32), np.ones(4, np.float32)
    with pytest.raises(kind, match=rf"main\[6\] 'sum' \(Add\): .*{re.escape(message)}") as caught:
        engine.run({"x": x, "chosen": numbers(2, 3), "z": z})
    assert caught.type is kind
    assert run(engine, x=x, chosen=numbers(2, 3), z=z[:3])["sum"].shape == (2, 3)


# --- changes ----------------------------------------------------------------------------------------------------------


def test_a_change_replaces_what_steps_make_and_later_ones_read():
    program = Program()
    program.add("a", PLUS_ONE, "x")
    program.add("b", DOUBLE, "a")
    program.add("y", ops.Add(), "a b")
    engine, seen = program.engine("x", "y b"), []

    def change(step, inputs, outputs):
        seen.append((step.name, [float(x[0]) for x in inputs], float(outputs[0][0])))
        return (outputs[0] + 10,) if step.name == "a" else outputs

    trace = engine.trace({"x": numbers(1)}, change)
    events = []
    while True:
        try:
            events.append(next(trace))
        except StopIteration as end:
            outputs = end.value
            break
    assert seen == [("a", [1], 2), ("b", [12], 24), ("y", [12, 24], 36)]
    assert [float(event.outputs[0][0]) for event in events] == [12, 24, 36]
    assert [float(event.computed[0][0]) for event in events] == [2, 24, 36]
    assert {name: float(value[0]) for name, value in outputs.items()} == {"y": 36, "b": 24}
    np.testing.assert_array_equal(engine.run({"x": numbers(1)})["y"], numbers(6))
