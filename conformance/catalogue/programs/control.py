"""cond and while_loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.programs.plan import C, Making, ProgramPlan, X, program
from refcoreml.spec import schema

_KINDS = "integers zero-mean fp16:zero-mean int32:integers"


def plans() -> Iterator[ProgramPlan]:
    yield from _cond()
    yield from _while_loop()


def _flag(value: bool) -> Any:
    return X(value=np.full((), value), type="bool")


def _renamed_inside(spec: schema.Model) -> None:
    """Give the values of blocks that are called ``inner_...`` the name of a value outside, ``a``."""
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    for inner in next(operation for operation in block.operations if operation.type == "cond").blocks:
        made: set[str] = set()
        for operation in inner.operations:
            for argument in operation.inputs.values():
                for binding in argument.arguments:
                    if binding.name in made:
                        binding.name = "a"
            for output in operation.outputs:
                if output.name.startswith("inner_"):
                    made.add(output.name)
                    output.name = "a"


def _cond() -> Iterator[ProgramPlan]:
    def two(p: Making) -> Any:
        yes, no = (lambda: p.add("add", x=p["x"], y=p["y"])), (lambda: p.add("sub", x=p["x"], y=p["y"]))
        return p.program.add("cond", pred=p["pred"], blocks=(yes, no))

    def several(p: Making) -> Any:
        yes, no = (lambda: [p["y"], p["x"], p["x"]]), (lambda: [p["x"], p.add("relu", x=p["y"]), p["x"]])
        return p.program.add("cond", pred=p["pred"], blocks=(yes, no))

    def nested(p: Making) -> Any:
        def inner() -> Any:
            z = p.add("mul", x=p["x"], y=p["y"])
            return p.program.add("cond", pred=p["pred"], blocks=(lambda: p.add("add", x=z, y=p["y"]), lambda: z))

        return p.program.add("cond", pred=p["other"], blocks=(lambda: p["x"], inner))

    def decided(p: Making) -> Any:
        total = p.add("reduce_sum", x=p["x"], axes=[0, 1], keep_dims=False)
        pred = p.add("greater", x=total, y=p.constant(C(value=np.zeros(()))))
        return p.program.add("cond", pred=pred, blocks=(lambda: p["x"], lambda: p["y"]))

    both = {"x": X(3, 4), "y": X(3, 4)}
    for label, value in (("true", True), ("false", False)):
        yield from program("cond", label, two, {**both, "pred": _flag(value)}, kinds=_KINDS, clauses="S1 S3")
    for label, value in (("several-true", True), ("several-false", False)):
        yield from program(
            "cond", label, several, {**both, "pred": _flag(value)}, kinds="integers fp16:zero-mean", clauses="S1 S2"
        )
    yield from program(
        "cond",
        "nested",
        nested,
        {**both, "pred": _flag(True), "other": _flag(False)},
        kinds="integers",
        clauses="S1 S3",
    )
    yield from program(
        "cond",
        "vector-of-one",
        two,
        {**both, "pred": X(value=np.ones(1), type="bool")},
        kinds="integers",
        clauses="S1",
    )
    yield from program("cond", "decided", decided, both, kinds="integers fp16:integers", clauses="S1 S2")

    def again(p: Making) -> Any:
        """Values of blocks have names of a value outside, which is used after."""
        a = p.program.add("relu", x=p["x"], name="a")

        def yes() -> Any:
            inner = p.program.add("add", x=a, y=p["y"], name="inner_of_yes")
            return p.add("mul", x=inner, y=p["y"])

        def no() -> Any:
            inner = p.program.add("sub", x=a, y=p["y"], name="inner_of_no")
            return p.add("add", x=inner, y=inner)

        chosen = p.program.add("cond", pred=p["pred"], blocks=(yes, no))
        return p.add("sub", x=chosen, y=a)

    for label, value in (("names-again-true", True), ("names-again-false", False)):
        yield from program(
            "cond",
            label,
            again,
            {**both, "pred": _flag(value)},
            kinds="integers fp16:integers",
            clauses="S3",
            change=_renamed_inside,
        )

    def one_block_less(spec: schema.Model) -> None:
        (block,) = spec.mlProgram.functions["main"].block_specializations.values()
        del next(operation for operation in block.operations if operation.type == "cond").blocks[1]

    def other_names(spec: schema.Model) -> None:
        (block,) = spec.mlProgram.functions["main"].block_specializations.values()
        next(operation for operation in block.operations if operation.type == "cond").blocks[0].outputs[0] = "nothing"

    inputs = {**both, "pred": _flag(True)}
    for label, rule, change in (
        ("invalid-blocks", "there are two blocks", one_block_less),
        ("invalid-result", "a block returns values that exist", other_names),
    ):
        more: dict[str, Any] = {"kinds": "integers", "clauses": "C2", "verdict": "invalid", "rule": rule}
        yield from program("cond", label, two, inputs, change=change, **more)

    def number(p: Making) -> Any:
        blocks = (lambda: p["x"], lambda: p["y"])
        return p.program.add("cond", pred=p["x"], blocks=blocks)

    def shapes(p: Making) -> Any:
        return p.program.add("cond", pred=p["pred"], blocks=(lambda: p["x"], lambda: p["z"]))

    yield from program(
        "cond",
        "invalid-pred",
        number,
        both,
        kinds="integers",
        clauses="C1",
        verdict="invalid",
        rule="pred is a single boolean",
    )
    yield from program(
        "cond",
        "invalid-shapes",
        shapes,
        {**both, "z": X(4, 3), "pred": _flag(True)},
        kinds="integers",
        clauses="C2",
        verdict="invalid",
        rule="both blocks return the types of the results",
    )


def _while_loop() -> Iterator[ProgramPlan]:
    def counted(p: Making, step: Any) -> Any:
        """Call ``step`` n times on x."""
        less = lambda i, *_: p.add("less", x=i, y=p["n"])  # noqa: E731
        return p.program.add(
            "while_loop",
            loop_vars=[p.constant(np.int32(0)), p["x"]],
            blocks=(less, lambda i, x: [p.add("add", x=i, y=np.int32(1)), step(x)]),
        )

    def doubled(p: Making) -> Any:
        return counted(p, lambda x: p.add("add", x=x, y=x))[1]

    def outer(p: Making) -> Any:
        return counted(p, lambda x: p.add("sub", x=p["y"], y=x))

    def choosing(p: Making) -> Any:
        def step(x: Any) -> Any:
            total = p.add("reduce_max", x=x, axes=[0, 1], keep_dims=False)
            pred = p.add("greater", x=total, y=p.constant(C(value=np.full((), 8))))
            return p.program.add(
                "cond", pred=pred, blocks=(lambda: p.add("sub", x=x, y=p["y"]), lambda: p.add("add", x=x, y=x))
            )

        return counted(p, step)

    def swapped(p: Making) -> Any:
        less = lambda i, *_: p.add("less", x=i, y=p["n"])  # noqa: E731
        return p.program.add(
            "while_loop",
            loop_vars=[p.constant(np.int32(0)), p["x"], p["y"]],
            blocks=(less, lambda i, x, y: [p.add("add", x=i, y=np.int32(1)), y, x]),
        )

    def count(n: int) -> Any:
        return X(value=np.full((), n), type="int32")

    x, y = X(3, 4), X(3, 4)
    for n in (0, 1, 3):
        clauses = "S1" if n else "S2"
        yield from program(
            "while_loop", f"doubled-{n}", doubled, {"x": x, "n": count(n)}, kinds=_KINDS, clauses=clauses
        )
    inputs = {"x": x, "y": y, "n": count(3)}
    yield from program("while_loop", "outer", outer, inputs, kinds="integers fp16:integers", clauses="S1 S4")
    yield from program("while_loop", "swapped", swapped, inputs, kinds="integers fp16:zero-mean", clauses="S3")
    yield from program("while_loop", "choosing", choosing, inputs, kinds="integers", clauses="S1 S4")

    def number(p: Making) -> Any:
        return p.program.add("while_loop", loop_vars=[p["x"]], blocks=(lambda x: x, lambda x: x))

    def grows(p: Making) -> Any:
        condition = lambda x: p.program.constant(np.full((), False))  # noqa: E731
        return p.program.add(
            "while_loop", loop_vars=[p["x"]], blocks=(condition, lambda x: p.add("stack", values=[x, x], axis=0))
        )

    def endless(p: Making) -> Any:
        condition = lambda x: p.program.constant(np.full((), True))  # noqa: E731
        return p.program.add("while_loop", loop_vars=[p["x"]], blocks=(condition, lambda x: x))

    for label, clause, rule, make in (
        ("invalid-condition", "C1", "the first block returns a single boolean", number),
        ("invalid-types", "C1 C2", "the second block returns the types that it is given", grows),
        ("invalid-endless", "", "a loop may end", endless),
    ):
        more: dict[str, Any] = {"kinds": "integers", "clauses": clause, "verdict": "invalid", "rule": rule}
        yield from program("while_loop", label, make, {"x": x}, **more)
