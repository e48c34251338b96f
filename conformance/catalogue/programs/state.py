"""read_state and write_state: sequences of predictions that share a state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.programs.plan import Making, ProgramPlan, X, program

_HALF = "fp16:integers fp16:zero-mean"


def plans() -> Iterator[ProgramPlan]:
    state = {"s": ("fp16", (3, 4))}
    x = {"x": X(3, 4)}
    for kind in ("read_state", "write_state"):
        yield from program(kind, "sum", _sum, x, kinds=_HALF, states=state, steps=4, clauses="S1")
    yield from program(
        "read_state",
        "zeros",
        lambda p: p.add("add", x=p["x"], y=p.add("read_state", input=p["s"])),
        x,
        kinds=_HALF,
        states=state,
        steps=2,
        clauses="S1",
    )
    yield from program("read_state", "order", _order, x, kinds=_HALF, states=state, steps=3, clauses="S1 S2")
    yield from program("write_state", "overwrite", _overwrite, x, kinds=_HALF, states=state, steps=3, clauses="S1 S2")
    yield from program("write_state", "unread", _unread, x, kinds=_HALF, states=state, steps=3, clauses="S2")
    yield from program(
        "write_state",
        "two",
        _two,
        x,
        kinds=_HALF,
        states={"s": ("fp16", (3, 4)), "t": ("fp16", (3, 4))},
        steps=4,
        clauses="S1 S2",
    )
    place = {"x": X(1, 4), "at": X(1, value=lambda source, kind: source.integers((1,), 0, 2), type="int32")}
    yield from program("write_state", "cache", _cache, place, kinds=_HALF, states=state, steps=4, clauses="S1")
    yield from program(
        "write_state",
        "branch",
        _branch,
        {**x, "pred": X(value=lambda source, kind: source.uniform(()) < 0.5, type="bool")},
        kinds=_HALF,
        states=state,
        steps=4,
        clauses="S2",
    )

    def other_shape(p: Making) -> Any:
        p.program.add("write_state", input=p["s"], data=p.add("reshape", x=p["x"], shape=[4, 3]), outputs=[])
        return p.add("relu", x=p["x"])

    def no_state(p: Making) -> Any:
        return p.program.add("read_state", input=p["x"], outputs=[("fp16", (3, 4))])

    for kind, label, rule, make in (
        ("write_state", "invalid-shape", "what is written has the state's type", other_shape),
        ("read_state", "invalid-input", "input is a state", no_state),
    ):
        more: dict[str, Any] = {"kinds": "fp16:integers", "clauses": "C1", "verdict": "invalid", "rule": rule}
        yield from program(kind, label, make, x, states=state, **more)


def _sum(p: Making) -> Any:
    """Return the sum of x over all predictions."""
    total = p.add("add", x=p.add("read_state", input=p["s"]), y=p["x"])
    p.add("write_state", input=p["s"], data=total)
    return total


def _order(p: Making) -> Any:
    """Return what was there before writing, and after."""
    before = p.add("read_state", input=p["s"])
    p.add("write_state", input=p["s"], data=p["x"])
    after = p.add("read_state", input=p["s"])
    return [p.add("mul", x=before, y=np.float16(2)), p.add("mul", x=after, y=np.float16(4))]


def _overwrite(p: Making) -> Any:
    """Write twice: the last counts."""
    before = p.add("mul", x=p.add("read_state", input=p["s"]), y=np.float16(1))
    p.add("write_state", input=p["s"], data=p.add("mul", x=p["x"], y=np.float16(2)))
    p.add("write_state", input=p["s"], data=p["x"])
    return before


def _unread(p: Making) -> Any:
    """Write what no result of this prediction depends on."""
    before = p.add("sub", x=p.add("read_state", input=p["s"]), y=p["x"])
    p.add("write_state", input=p["s"], data=p.add("relu", x=p["x"]))
    return before


def _two(p: Making) -> Any:
    """Pass x through two states, so that it comes out two predictions later."""
    first, second = (p.add("read_state", input=p[name]) for name in "st")
    p.add("write_state", input=p["t"], data=first)
    p.add("write_state", input=p["s"], data=p["x"])
    return p.add("add", x=second, y=np.float16(0))


def _cache(p: Making) -> Any:
    """Write x into a row of the state."""
    rows = p.add("read_state", input=p["s"])
    begin = p.add("concat", values=[p["at"], np.zeros(1, np.int32)], axis=0)
    end = p.add("add", x=begin, y=np.array([1, 4], np.int32))
    written = p.add("slice_update", x=rows, update=p["x"], begin=begin, end=end)
    p.add("write_state", input=p["s"], data=written)
    return p.add("reduce_sum", x=p.add("read_state", input=p["s"]), axes=[0], keep_dims=True)


def _branch(p: Making) -> Any:
    """Write in one of two blocks."""

    def block(factor: float) -> Any:
        data = p.add("mul", x=p["x"], y=np.float16(factor))
        p.add("write_state", input=p["s"], data=data)
        return data

    before = p.add("mul", x=p.add("read_state", input=p["s"]), y=np.float16(1))
    p.program.add("cond", pred=p["pred"], blocks=(lambda: block(1), lambda: block(-1)))
    return before
