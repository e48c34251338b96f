"""Lists of tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from conformance.catalogue.programs.plan import Making, ProgramPlan, X, program
from refcoreml.build.program import Result
from refcoreml.spec.mil_types import DATA_TYPES, DeclaredList, DeclaredTensor

_TYPES = "integers fp16:integers int32:integers bool:bits"
_WIDTH = 3
_LIST = DeclaredList(DeclaredTensor(DATA_TYPES["fp32"], (_WIDTH,)), None)


def plans() -> Iterator[ProgramPlan]:
    yield from _made()
    yield from _written()
    yield from _scattered()
    yield from _taken()


def _list(p: Making, shape: Sequence[Any] = (_WIDTH,), **more: Any) -> Result:
    made: Result = p.program.add("make_list", elem_shape=list(shape), dtype=p.element, **more)
    return made


def _all(p: Making, ls: Result, *places: int, width: int | None = _WIDTH) -> Result:
    """Return some elements of a list as a tensor."""
    made: Result = p.program.add(
        "list_gather", ls=ls, indices=np.int32(places), outputs=[(p.element, (len(places), width))], name="taken"
    )
    return made


def _length(p: Making, ls: Result) -> Result:
    made: Result = p.program.add("list_length", ls=ls, outputs=[("int32", ())], name="length")
    return made


def _write(p: Making, ls: Result, index: Any, value: Result) -> Result:
    made: Result = p.program.add("list_write", ls=ls, index=index, value=value)
    return made


def _cases(
    kind: str, label: str, make: Callable[[Making], Any], inputs: dict[str, Any], clauses: str, kinds: str = "integers"
) -> Iterator[ProgramPlan]:
    return program(kind, label, make, inputs, kinds=kinds, clauses=clauses)


def _refused(
    kind: str, label: str, make: Callable[[Making], Any], inputs: dict[str, Any], clause: str, rule: str
) -> Iterator[ProgramPlan]:
    return program(
        kind, f"invalid-{label}", make, inputs, kinds="integers", clauses=clause, verdict="invalid", rule=rule
    )


_X = {"x": X(_WIDTH)}
_AT = {"x": X(_WIDTH), "i": X(type="int32", value=np.array(2))}


def _made() -> Iterator[ProgramPlan]:
    kind = "make_list"

    def zeros(p: Making) -> Any:
        ls = _list(p, init_length=4)
        return [_all(p, _write(p, ls, 2, p["x"]), 0, 2, 3), _length(p, ls)]

    def computed(p: Making) -> Any:
        ls = p.program.add(kind, init_length=p["i"], elem_shape=[_WIDTH], dtype=p.element, outputs=[_LIST])
        return [_all(p, _write(p, ls, 0, p["x"]), 1, 0), _length(p, ls)]

    def default(p: Making) -> Any:
        ls = p.program.add("make_list", elem_shape=[_WIDTH])
        return [_all(p, _write(p, ls, 2, p["x"]), 2, 1), _length(p, ls)]

    def named(p: Making) -> Any:
        return _all(p, _write(p, _list(p, ["length"], init_length=2), 1, p["x"]), 1, 0, width=None)

    def unread(p: Making) -> Any:
        return _all(p, _list(p, ["length"], init_length=2), 1, width=None)

    yield from _cases(kind, "zeros", zeros, _X, "S1", _TYPES)
    yield from _cases(kind, "computed", computed, _AT, "S1")
    yield from _cases(kind, "default", default, _X, "S1 S2")
    yield from _cases(kind, "named", named, _X, "S3", "integers int32:integers")
    yield from _refused("list_gather", "unread", unread, _X, "", "lengths are known when an element is read")
    for label, given, rule in (
        ("dtype", {"dtype": "int8", "elem_shape": [_WIDTH]}, "elements are fp16, fp32, int32 or bool"),
        ("rank", {"elem_shape": [1, 1, 1, 1, 1]}, "elements have at most 4 axes"),
    ):

        def other(p: Making, given: dict[str, Any] = given) -> Any:
            p.program.add(kind, outputs=[_LIST], **given)
            return p.add("relu", x=p["x"])

        yield from _refused(kind, label, other, _X, "C1", rule)
    negative = {"x": X(_WIDTH), "i": X(type="int32", value=np.array(-1))}
    yield from _refused(kind, "negative", computed, negative, "C2", "the length is 0 or more")


def _written() -> Iterator[ProgramPlan]:
    kind = "list_write"

    def within(p: Making) -> Any:
        return _all(p, _write(p, _list(p, init_length=3), 1, p["x"]), 0, 1, 2)

    def beyond(p: Making) -> Any:
        longer = _write(p, _list(p, init_length=1), 3, p["x"])
        return [_all(p, longer, 0, 1, 2, 3), _length(p, longer)]

    def again(p: Making) -> Any:
        once = _write(p, _list(p, init_length=2), 1, p["x"])
        return _all(p, _write(p, once, 1, p["y"]), 1, 0)

    def kept(p: Making) -> Any:
        once = _write(p, _list(p, init_length=2), 1, p["x"])
        twice = _write(p, once, 1, p["y"])
        before = p.program.add("list_read", ls=once, index=np.int32(1), outputs=[(p.element, (_WIDTH,))], name="before")
        return [_all(p, twice, 1, 0), before]

    def loop(p: Making) -> Any:
        def body(i: Result, ls: Result) -> Any:
            return [
                p.add("add", x=i, y=np.int32(1)),
                _write(p, ls, i, p.add("mul", x=p["x"], y=p.add("cast", x=i, dtype="fp32"))),
            ]

        _, full = p.program.add(
            "while_loop",
            loop_vars=[p.program.constant(np.int32(0)), _list(p)],
            blocks=[lambda i, ls: p.add("less", x=i, y=np.int32(4)), body],
        )
        return [_all(p, full, 3, 0, 2), _length(p, full)]

    def fixed(place: int) -> Callable[[Making], Any]:
        return lambda p: _all(p, _write(p, _list(p, init_length=3, dynamic_length=False), np.int32(place), p["x"]), 0)

    def grown(p: Making) -> Any:
        return _all(p, _write(p, _list(p, init_length=3), np.int32(-1), p["x"]), 0)

    def other(p: Making) -> Any:
        return _all(p, _write(p, _list(p, [_WIDTH + 1]), 0, p["x"]), 0, width=None)

    yield from _cases(kind, "within", within, _X, "S1", _TYPES)
    yield from _cases(kind, "beyond", beyond, _X, "S2", _TYPES)
    yield from _cases(kind, "again", again, {"x": X(_WIDTH), "y": X(_WIDTH)}, "S1")
    yield from _cases(kind, "kept", kept, {"x": X(_WIDTH), "y": X(_WIDTH)}, "S1")
    yield from _cases(kind, "loop", loop, _X, "S2")
    for label, place in (("end", 3), ("negative", -1)):
        yield from _refused(kind, label, fixed(place), _X, "C2", "the index is within a list of fixed length")
    yield from _refused(kind, "negative-grown", grown, _X, "C2", "the index is 0 or more")
    yield from _refused(kind, "shape", other, _X, "C1", "a value has the shape of the elements")


def _scattered() -> Iterator[ProgramPlan]:
    kind = "list_scatter"

    def put(p: Making, ls: Result, *places: int) -> Result:
        made: Result = p.program.add(kind, ls=ls, indices=np.int32(places), value=p["x"])
        return made

    def beyond(p: Making) -> Any:
        longer = put(p, _list(p), 3, 0)
        return [_all(p, longer, 0, 1, 2, 3), _length(p, longer)]

    def numbers(p: Making) -> Any:
        ls = p.program.add(kind, ls=_list(p, []), indices=np.int32([2, 0, 1]), value=p["y"])
        return p.program.add(
            "list_gather", ls=ls, indices=np.int32([0, 1, 2]), outputs=[(p.element, (3,))], name="taken"
        )

    two = {"x": X(2, _WIDTH)}
    yield from _cases(
        kind, "within", lambda p: _all(p, put(p, _list(p, init_length=4), 3, 1), 0, 1, 2, 3), two, "S1", _TYPES
    )
    yield from _cases(kind, "beyond", beyond, two, "S1", "integers int32:integers")
    yield from _cases(kind, "numbers", numbers, {"y": X(3)}, "S1", "integers int32:integers")
    yield from _cases(
        kind, "fixed", lambda p: _all(p, put(p, _list(p, init_length=2, dynamic_length=False), 1, 0), 0, 1), two, "S1"
    )
    yield from _refused(
        kind, "negative", lambda p: _all(p, put(p, _list(p), 0, -1), 0), two, "C2", "indices are 0 or more"
    )
    yield from _refused(
        kind, "count", lambda p: _all(p, put(p, _list(p), 0, 1, 2), 0), two, "C1", "there is an index for each value"
    )


def _taken() -> Iterator[ProgramPlan]:
    def full(p: Making, **more: Any) -> Result:
        made: Result = p.program.add(
            "list_scatter", ls=_list(p, init_length=4, **more), indices=np.int32([2, 0]), value=p["x"]
        )
        return made

    def read(p: Making, place: Any) -> Any:
        return p.program.add("list_read", ls=full(p), index=place, outputs=[(p.element, (_WIDTH,))], name="taken")

    two = {"x": X(2, _WIDTH)}
    yield from _cases("list_read", "written", lambda p: read(p, np.int32(2)), two, "S1", _TYPES)
    yield from _cases(
        "list_read", "zeros", lambda p: p.add("add", x=read(p, np.int32(1)), y=p["y"]), {**two, "y": X(_WIDTH)}, "S1"
    )
    for value in (0, 3):
        place = X(type="int32", value=np.array(value))
        yield from _cases("list_read", f"computed-{value}", lambda p: read(p, p["i"]), {**two, "i": place}, "S1")
    for label, value in (("end", 4), ("negative", -1)):
        place = X(type="int32", value=np.array(value))
        yield from _refused(
            "list_read", label, lambda p: read(p, p["i"]), {**two, "i": place}, "C2", "the index is within the list"
        )

    yield from _cases("list_gather", "several", lambda p: _all(p, full(p), 2, 0, 2, 1), two, "S1", _TYPES)
    yield from _cases("list_gather", "one", lambda p: _all(p, full(p), 0), two, "S1")
    yield from _cases("list_gather", "all", lambda p: _all(p, full(p), 0, 1, 2, 3), two, "S1", "fp16:integers")
    yield from _cases("list_gather", "fixed", lambda p: _all(p, full(p, dynamic_length=False), 3, 2), two, "S1")
    for label, value in (("end", 4), ("negative", -1)):
        yield from _refused(
            "list_gather",
            label,
            lambda p, value=value: _all(p, full(p), 0, value),
            two,
            "C2",
            "indices are within the list",
        )

    for kind, name in (("list_read", "index"), ("list_gather", "indices")):

        def floats(p: Making, kind: str = kind, name: str = name) -> Any:
            places = {name: np.float32([1])}
            return p.program.add(kind, ls=full(p), outputs=[(p.element, (_WIDTH,))], **places)

        yield from _refused(kind, "floats", floats, two, "C1", "indices are int32")

    one, place = X(_WIDTH), X(type="int32", value=np.array(6))
    yield from _cases(
        "list_length",
        "made",
        lambda p: [_length(p, _list(p, init_length=5)), p.add("relu", x=p["x"])],
        {"x": one},
        "S1",
    )
    yield from _cases(
        "list_length", "grown", lambda p: _length(p, _write(p, _list(p), p["i"], p["x"])), {"x": one, "i": place}, "S1"
    )
    yield from _cases(
        "list_length",
        "not-grown",
        lambda p: _length(p, _write(p, _list(p, init_length=9), p["i"], p["x"])),
        {"x": one, "i": place},
        "S1",
    )
    yield from _cases(
        "list_length",
        "fixed",
        lambda p: _length(p, _write(p, _list(p, init_length=9, dynamic_length=False), p["i"], p["x"])),
        {"x": one, "i": place},
        "S1",
    )
    yield from _refused(
        "list_length",
        "tensor",
        lambda p: p.program.add("list_length", ls=p["x"], outputs=[("int32", ())]),
        {"x": one},
        "C1",
        "ls is a list",
    )
