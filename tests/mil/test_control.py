"""Control flow of programs: choices, loops, what blocks see, and what their types must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from refcoreml.build.program import Program as Builder
from refcoreml.build.program import Result
from refcoreml.errors import InputError, InvalidModelError
from refcoreml.execution import control
from refcoreml.mil.precision import PRECISIONS
from refcoreml.mil.program import Program
from refcoreml.spec import schema
from refcoreml.types import Array

X = np.array([[1, 2, 3], [-1, 0, 4]], np.float32)
TRUE, FALSE = np.array(True), np.array(False)


def prepared(builder: Builder, change: Any = None, **options: Any) -> Program:
    message = schema.MILSpec.Program(version=1)
    message.functions["main"].CopyFrom(builder.function())
    if change is not None:
        change(message.functions["main"].block_specializations[builder.opset])
    return Program(message, "main", **options)


def results(builder: Builder, inputs: Mapping[str, Array], *wanted: Result, **options: Any) -> list[Array]:
    builder.output(*wanted)
    found = prepared(builder, **options).run(inputs)
    return [found[result.name] for result in wanted]


# ---- Choices ----


@pytest.mark.parametrize("opset", ["CoreML5", "CoreML9"])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.clause("mil.cond.C1", "mil.cond.S1")
def test_one_of_two_blocks_runs(shape: tuple[int, ...], opset: str) -> None:
    builder = Builder({"pred": ("bool", shape), "x": (2, 3)}, opset=opset)
    x = builder["x"]
    y = builder.add(
        "cond",
        pred=builder["pred"],
        blocks=[lambda: builder.add("square", x=x), lambda: builder.add("sign", x=builder.add("abs", x=x))],
    )
    builder.output(y)
    program, steps = prepared(builder), list[str]()
    for pred, expected in ((TRUE, X * X), (FALSE, np.sign(np.abs(X)))):
        del steps[:]
        inputs = {"pred": pred.reshape(shape), "x": X}
        np.testing.assert_array_equal(program.run(inputs)[y.name], expected)
        program.run(inputs, lambda step, *values: steps.append(step.kind))
        assert steps == (["square"] if pred else ["abs", "sign"])


@pytest.mark.parametrize("pred", [True, False])
@pytest.mark.clause("mil.cond.S2", "mil.cond.S3")
def test_blocks_return_constants_and_values_of_their_surroundings(pred: bool) -> None:
    builder = Builder({"x": (2, 3)})
    x, zero = builder["x"], builder.constant(np.full((2, 3), -5, np.float32))
    y = builder.add("square", x=x)
    z = builder.add(
        "cond",
        pred=pred,
        blocks=[
            lambda: [y, x, builder.constant(np.full((2, 3), 7, np.float32))],
            lambda: [zero, zero, zero],
        ],
    )
    found = results(builder, {"x": X}, *z, builder.add("sign", x=y))
    expected = [X * X, X, np.full_like(X, 7)] if pred else [np.full_like(X, -5)] * 3
    for one, other in zip(found, [*expected, np.sign(X * X)], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.clause("mil.cond.S1")
def test_what_would_fail_in_the_other_block_does_not_fail() -> None:
    builder = Builder({"pred": ("bool", ()), "x": (3,), "i": ("int32", ())})
    y = builder.add(
        "cond",
        pred=builder["pred"],
        blocks=[
            lambda: builder.add("gather", x=builder["x"], indices=builder["i"], validate_indices=True),
            lambda: builder.add("reduce_sum", x=builder["x"], axes=[0], keep_dims=False),
        ],
    )
    builder.output(y)
    program, x = prepared(builder), np.array([3, 5, 9], np.float32)
    for pred, index, expected in ((TRUE, 1, 5), (FALSE, 7, 17)):
        assert program.run({"pred": pred, "x": x, "i": np.array(index, np.int32)})[y.name] == expected
    with pytest.raises(InputError, match="expected an index"):
        program.run({"pred": TRUE, "x": x, "i": np.array(7, np.int32)})


@pytest.mark.clause("mil.cond.C2")
def test_branches_may_differ_in_lengths_that_are_not_declared() -> None:
    builder = Builder({"pred": ("bool", ()), "x": (2, 3), "w": (4, 3)})
    y = builder.add(
        "cond",
        outputs=[("fp32", (None, 3))],
        pred=builder["pred"],
        blocks=[lambda: builder["x"], lambda: builder["w"]],
    )
    z = builder.add("square", outputs=[("fp32", (None, 3))], x=y)
    builder.output(z)
    program = prepared(builder)
    w = np.arange(12, dtype=np.float32).reshape(4, 3)
    for pred, expected in ((TRUE, X), (FALSE, w)):
        found = program.run({"pred": pred, "x": X, "w": w})[z.name]
        np.testing.assert_array_equal(found, expected * expected)


def test_half_precision_inside_of_blocks() -> None:
    x = np.array([0.1, 0.2, 3000, 1e-4], np.float16)
    builder = Builder({"pred": ("bool", ()), "x": ("fp16", (4,))})
    y = builder.add(
        "cond",
        pred=builder["pred"],
        blocks=[lambda: builder.add("square", x=builder["x"]), lambda: builder["x"]],
    )
    builder.output(y)
    for name, held in PRECISIONS.items():
        found = prepared(builder, precision=held).run({"pred": TRUE, "x": held.hold(x)})[y.name]
        exact = held.hold(x) * held.hold(x)
        with np.errstate(over="ignore"):
            expected = exact.astype(np.float16).astype(exact.dtype) if name == "declared" else exact
        np.testing.assert_array_equal(found, expected)


# ---- Loops ----


def counting(builder: Builder, most: Any, start: Any, round_: Any) -> Any:
    """A loop that counts to a number and hands on another value."""
    return builder.add(
        "while_loop",
        loop_vars=[builder.constant(np.int32(0)), start],
        blocks=[
            lambda i, x: builder.add("less", x=i, y=most),
            lambda i, x: [builder.add("add", x=i, y=1), round_(i, x)],
        ],
    )


@pytest.mark.parametrize("rounds", [0, 1, 5])
@pytest.mark.clause("mil.while_loop.S1", "mil.while_loop.S2")
def test_loops_run_as_long_as_the_condition_holds(rounds: int) -> None:
    builder = Builder({"n": ("int32", ()), "x": (2, 3)})
    count, y = counting(builder, builder["n"], builder["x"], lambda i, x: builder.add("add", x=x, y=builder["x"]))
    found = results(builder, {"n": np.array(rounds, np.int32), "x": X}, count, y)
    assert found[0] == rounds
    np.testing.assert_array_equal(found[1], X * (rounds + 1))


@pytest.mark.clause("mil.while_loop.C1")
def test_conditions_of_one_element() -> None:
    builder = Builder({"x": (1,)})
    y = builder.add(
        "while_loop",
        loop_vars=[builder["x"]],
        blocks=[
            lambda x: builder.add("less", x=x, y=np.float32(100)),
            lambda x: builder.add("mul", x=x, y=np.float32(3)),
        ],
    )
    assert results(builder, {"x": np.float32([2])}, y)[0].tolist() == [162]


@pytest.mark.clause("mil.while_loop.S3")
def test_bodies_may_exchange_values_and_return_constants() -> None:
    builder = Builder({"a": (2, 3), "b": (2, 3)})
    seven = np.full((2, 3), 7, np.float32)
    i, a, b, c = builder.add(
        "while_loop",
        loop_vars=[builder.constant(np.int32(0)), builder["a"], builder["b"], builder["a"]],
        blocks=[
            lambda i, a, b, c: builder.add("less", x=i, y=3),
            lambda i, a, b, c: [builder.add("add", x=i, y=1), b, a, builder.constant(seven)],
        ],
    )
    found = results(builder, {"a": X, "b": -X}, i, a, b, c)
    for one, other in zip(found, [3, -X, X, seven], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.clause("mil.while_loop.C2")
def test_loops_may_change_unknown_lengths() -> None:
    builder = Builder({"x": (1, 3)})
    start = builder.add("identity", outputs=[("fp32", (None, 3))], x=builder["x"])

    def grow(i: Result, x: Result) -> Result:
        found: Result = builder.add("concat", outputs=[("fp32", (None, 3))], values=[x, x], axis=0, interleave=False)
        return found

    _, y = counting(builder, 3, start, grow)
    (found,) = results(builder, {"x": X[:1]}, y)
    np.testing.assert_array_equal(found, np.repeat(X[:1], 8, axis=0))


@pytest.mark.clause("mil.while_loop.S4")
def test_nested_loops_and_choices() -> None:
    """The sum over i < 4 and j < i of j, those above 1 twice."""
    builder = Builder({"n": ("int32", ())})

    def inner(i: Result, total: Result) -> Any:
        def add(j: Result, total: Result) -> Any:
            return builder.add(
                "cond",
                pred=builder.add("greater", x=j, y=1),
                blocks=[
                    lambda: builder.add("add", x=total, y=builder.add("mul", x=j, y=2)),
                    lambda: builder.add("add", x=total, y=j),
                ],
            )

        return counting(builder, i, total, add)[1]

    _, y = counting(builder, builder["n"], builder.constant(np.int32(0)), inner)
    builder.output(y)
    program = prepared(builder)
    for n in (0, 4, 7):
        expected = sum(2 * j if j > 1 else j for i in range(n) for j in range(i))
        assert program.run({"n": np.array(n, np.int32)})[y.name] == expected


@pytest.mark.clause("mil.while_loop.S4")
def test_blocks_may_use_a_name_again() -> None:
    """Both blocks of a loop, and what stands around it, call their values alike."""
    builder = Builder({"x": (2, 3)})
    _, y = counting(builder, 2, builder["x"], lambda i, x: builder.add("square", x=x))
    builder.output(y)

    def rename(block: Any) -> None:
        for inner in block.operations[-1].blocks:
            names = {"x": "x"}
            for place, value in enumerate(inner.inputs):
                names[value.name] = value.name = ["i", "x"][place]
            for operation in inner.operations:
                for argument in operation.inputs.values():
                    for binding in argument.arguments:
                        binding.name = names.get(binding.name, binding.name)
                for output in operation.outputs:
                    names[output.name] = output.name = f"made_{len(names)}"
            inner.outputs[:] = [names[name] for name in inner.outputs]

    found = prepared(builder, rename).run({"x": X})[y.name]
    np.testing.assert_array_equal(found, X**4)


@pytest.mark.clause("mil.while_loop.S4", "mil.cond.S3")
def test_what_blocks_define_is_theirs() -> None:
    builder = Builder({"x": (2, 3)})
    inside: list[Result] = []
    _, y = counting(builder, 2, builder["x"], lambda i, x: inside.append(builder.add("square", x=x)) or inside[0])
    builder.output(builder.add("exp", x=y))

    def steal(block: Any) -> None:
        block.operations[-1].inputs["x"].arguments[0].name = inside[0].name

    with pytest.raises(InvalidModelError, match="which nothing before it defines"):
        prepared(builder, steal)
    builder = Builder({"pred": ("bool", ()), "x": (2, 3)})
    inside.clear()
    builder.add(
        "cond",
        pred=builder["pred"],
        blocks=[lambda: inside.append(builder.add("square", x=builder["x"])) or inside[0], lambda: builder["x"]],
    )
    builder.output(builder.add("exp", x=builder["x"]))
    with pytest.raises(InvalidModelError, match="which nothing before it defines"):
        prepared(builder, steal)


@pytest.mark.clause("mil.cond.S3")
def test_both_blocks_of_a_choice_may_use_a_name() -> None:
    builder = Builder({"pred": ("bool", ()), "x": (2, 3)})
    x = builder["x"]
    twice = lambda kind: builder.add("add", x=builder.add(kind, x=x), y=x)  # noqa: E731
    y = builder.add("cond", pred=builder["pred"], blocks=[lambda: twice("square"), lambda: twice("sign")])
    builder.output(y)

    def rename(block: Any) -> None:
        for inner in block.operations[-1].blocks:
            first, second = inner.operations
            first.outputs[0].name = second.outputs[0].name = "made"
            second.outputs[0].name, inner.outputs[0] = "sum", "sum"
            second.inputs["x"].arguments[0].name = "made"

    program = prepared(builder, rename)
    for pred, expected in ((TRUE, X * X + X), (FALSE, np.sign(X) + X)):
        np.testing.assert_array_equal(program.run({"pred": pred, "x": X})[y.name], expected)


@pytest.mark.clause("programs.U26")
def test_endless_loops_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "LOOP_LIMIT", 50)
    builder = Builder({"x": (2, 3)})
    _, y = counting(builder, np.int32(51), builder["x"], lambda i, x: x)
    with pytest.raises(InputError, match=r"\(while_loop\): still runs after 50 rounds.*Look at what decides"):
        results(builder, {"x": X}, y)


@pytest.mark.clause("programs.U26", "mil.while_loop.S2")
def test_loops_that_hand_on_what_they_were_given_never_end() -> None:
    def run(step: int, most: int) -> Any:
        builder = Builder({"x": (2, 3), "n": ("int32", ())})
        body = lambda i, x: [builder.add("add", x=i, y=np.int32(step)), builder.add("relu", x=x)]  # noqa: E731
        start = [builder.constant(np.int32(0)), builder["x"]]
        condition = lambda i, x: builder.add("less", x=i, y=builder["n"])  # noqa: E731
        _, y = builder.add("while_loop", loop_vars=start, blocks=[condition, body])
        return results(builder, {"x": X, "n": np.array(most, np.int32)}, y)[0]

    np.testing.assert_array_equal(run(1, 30), np.maximum(X, 0))
    np.testing.assert_array_equal(run(0, 0), X)
    with pytest.raises(InputError, match=r"\(while_loop\): hands on what it was given, and so would never end"):
        run(0, 30)


@pytest.mark.parametrize(("seed", "words"), [(-1, "still runs after 9 rounds"), (3, "hands on what it was given")])
def test_random_numbers_may_end_a_loop(seed: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "LOOP_LIMIT", 9)
    builder = Builder({"x": (2,)})

    def condition(x: Any) -> Any:
        drawn = builder.add("random_uniform", shape=np.int32([1]), seed=seed)
        return builder.add("less", x=drawn, y=np.float32([2]))

    y = builder.add("while_loop", loop_vars=[builder["x"]], blocks=[condition, lambda x: x])
    with pytest.raises(InputError, match=words):
        results(builder, {"x": np.ones(2, np.float32)}, y)


# ---- What does not fit ----


def loop_of(condition: Any = None, body: Any = None, start: Any = None, opset: str = "CoreML7") -> Builder:
    builder = Builder({"x": (2, 3), "n": ("int32", (2,))}, opset=opset)
    y = builder.add(
        "while_loop",
        outputs=[("fp32", (2, 3))],
        loop_vars=[builder["x"] if start is None else start(builder)],
        blocks=[
            lambda x: builder.constant(FALSE) if condition is None else condition(builder, x),
            lambda x: x if body is None else body(builder, x),
        ],
    )
    builder.output(y)
    return builder


def choice_of(yes: Any, no: Any = None, pred: Any = None, outputs: Any = None) -> Builder:
    builder = Builder({"x": (2, 3), "n": ("int32", (2,)), "w": (3, 2)})
    y = builder.add(
        "cond",
        outputs=outputs or [("fp32", (2, 3))],
        pred=TRUE if pred is None else pred(builder),
        blocks=[lambda: yes(builder), lambda: builder["x"] if no is None else no(builder)],
    )
    builder.output(*(y if isinstance(y, tuple) else (y,)))
    return builder


def drop_block(block: Any) -> None:
    del block.operations[-1].blocks[1]


@pytest.mark.parametrize(
    ("build", "change", "words"),
    [
        (lambda: loop_of(), drop_block, "has 1 blocks, expected 2"),
        (lambda: choice_of(lambda b: b["x"]), drop_block, "has 1 blocks, expected 2"),
        (lambda: loop_of(lambda b, x: x), None, r"blocks\[0\] returns is declared as .*fp32.*, expected a single bool"),
        (lambda: loop_of(lambda b, x: [b.constant(TRUE)] * 2), None, r"blocks\[0\] returns 2 values, expected a bool"),
        (lambda: loop_of(lambda b, x: b.constant(TRUE)), None, r"blocks\[0\] returns true always: it never ends"),
        (lambda: loop_of(body=lambda b, x: [x, x]), None, r"blocks\[1\] returns 2 values, but there are 1 values"),
        (lambda: loop_of(body=lambda b, x: b["n"]), None, r"blocks\[1\] returns 'n', declared as tensor<int32, \[2\]>"),
        (lambda: loop_of(start=lambda b: b["n"]), None, r"the loop is given 'n', .* \[2, 3\]> is expected"),
        (lambda: choice_of(lambda b: b["n"]), None, r"blocks\[0\] returns 'n', declared as .*, by the results"),
        (lambda: choice_of(lambda b: b["x"], lambda b: b["w"]), None, r"blocks\[1\] returns 'w', declared as"),
        (lambda: choice_of(lambda b: [b["x"]] * 2), None, r"blocks\[0\] returns 2 values, but there are 1 results"),
        (lambda: choice_of(lambda b: b["x"], pred=lambda b: b["x"]), None, "'pred' is declared as .*, expected a sing"),
        (lambda: choice_of(lambda b: b["x"], pred=lambda b: b["n"]), None, "'pred' is declared as .*, expected a sing"),
    ],
)
@pytest.mark.clause("mil.cond.C1", "mil.cond.C2", "mil.while_loop.C1", "programs.U26")
def test_types_must_fit(build: Any, change: Any, words: str) -> None:
    inputs = {"x": X, "n": np.ones(2, np.int32), "w": X.reshape(3, 2)}

    def run() -> None:
        program = prepared(build(), change)
        program.run({name: inputs[name] for name in program.inputs})

    with pytest.raises(InvalidModelError, match=words):
        run()


@pytest.mark.clause("mil.while_loop.C1")
def test_inputs_of_blocks_must_be_those_of_the_loop() -> None:
    builder = loop_of()

    def change(block: Any) -> None:
        block.operations[-1].blocks[1].inputs[0].type.tensorType.dimensions[1].constant.size = 4

    with pytest.raises(InvalidModelError, match=r"blocks\[1\] takes .*\[2, 4\]>, where tensor<fp32, \[2, 3\]> is"):
        prepared(builder, change).run({"x": X, "n": np.ones(2, np.int32)})


@pytest.mark.parametrize("pred", [TRUE, FALSE])
@pytest.mark.clause("mil.cond.C2")
def test_shapes_are_checked_when_they_are_known(pred: Array) -> None:
    """Inside nothing is declared, outside two rows are."""
    builder = Builder({"pred": ("bool", ()), "x": (None, 3)})
    y = builder.add(
        "cond",
        outputs=[("fp32", (2, 3))],
        pred=builder["pred"],
        blocks=[lambda: builder["x"], lambda: builder.add("exp", outputs=[("fp32", (None, 3))], x=builder["x"])],
    )
    builder.output(y)
    program = prepared(builder)
    assert program.run({"pred": pred, "x": X})[y.name].shape == (2, 3)
    with pytest.raises(InvalidModelError, match=r"\(cond\): makes the shape \(3, 3\), but an output is declared as"):
        program.run({"pred": pred, "x": np.ones((3, 3), np.float32)})
