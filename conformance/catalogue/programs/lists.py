"""Lists of tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.programs.plan import Making, ProgramPlan, X, program
from refcoreml.spec.mil_types import DATA_TYPES, DeclaredList, DeclaredTensor

_KINDS = "integers fp16:zero-mean int32:integers bool:bits"


def _list(p: Making, length: Any, *, grows: bool = False, shape: Any = (3, 4)) -> Any:
    """Make a list of zeros."""
    given = {"init_length": length, "elem_shape": np.array(shape, np.int32), "dtype": p.element}
    known = length if isinstance(length, int) and not grows else None
    declared = DeclaredList(DeclaredTensor(DATA_TYPES[p.element], tuple(shape)), known)
    return p.program.add("make_list", dynamic_length=grows, outputs=[declared], **given)


def _write(p: Making, ls: Any, index: Any, value: Any) -> Any:
    return p.program.add("list_write", ls=ls, index=index, value=value)


def _gather(p: Making, ls: Any, *indices: int) -> Any:
    types = [(p.element, (len(indices), 3, 4))]
    return p.program.add("list_gather", ls=ls, indices=np.array(indices, np.int32), outputs=types)


def _read(p: Making, ls: Any, index: Any) -> Any:
    return p.program.add("list_read", ls=ls, index=index, outputs=[(p.element, (3, 4))])


def _length(p: Making, ls: Any) -> Any:
    return p.program.add("list_length", ls=ls, outputs=[("int32", ())])


def _number(n: int) -> Any:
    return X(value=np.full((), n), type="int32")


def plans() -> Iterator[ProgramPlan]:
    x, y = X(3, 4), X(3, 4)

    def zeros(p: Making) -> Any:
        return p.add("concat", values=[_gather(p, _list(p, 2), 0, 1), p.add("stack", values=[p["x"]], axis=0)], axis=0)

    def grown(p: Making) -> Any:
        ls = _write(p, _list(p, 1, grows=True), p["at"], p["x"])
        return [_gather(p, ls, 3, 0, 2), _length(p, ls)]

    def computed_length(p: Making) -> Any:
        ls = _write(p, _list(p, p["n"], grows=True), 1, p["x"])
        return [_read(p, ls, 1), _length(p, ls)]

    def fixed(p: Making) -> Any:
        ls = _write(p, _list(p, 3), p["at"], p["x"])
        return [_read(p, ls, p["at"]), _read(p, ls, 0), _length(p, ls)]

    def kept(p: Making) -> Any:
        """Write to a list, which leaves the list that was there as it is."""
        first = _write(p, _list(p, 2), 0, p["x"])
        second = _write(p, first, 0, p["y"])
        return [_read(p, first, 0), _read(p, second, 0)]

    def scattered(p: Making) -> Any:
        both = p.add("stack", values=[p["x"], p["y"]], axis=0)
        ls = p.program.add("list_scatter", ls=_list(p, 4), indices=np.array([3, 1], np.int32), value=both)
        return _gather(p, ls, 0, 1, 2, 3)

    def scattered_beyond(p: Making) -> Any:
        both = p.add("stack", values=[p["x"], p["y"]], axis=0)
        ls = p.program.add("list_scatter", ls=_list(p, 1, grows=True), indices=np.array([4, 0], np.int32), value=both)
        return [_gather(p, ls, 0, 4), _length(p, ls)]

    def looped(p: Making) -> Any:
        """Write x, 2 x, 4 x, ... in a loop."""
        less = lambda i, *_: p.add("less", x=i, y=np.int32(3))  # noqa: E731
        body = lambda i, ls, v: [p.add("add", x=i, y=np.int32(1)), _write(p, ls, i, v), p.add("add", x=v, y=v)]  # noqa: E731
        start = [p.program.constant(np.int32(0)), _list(p, 3), p["x"]]
        _, ls, _ = p.program.add("while_loop", loop_vars=start, blocks=(less, body))
        return _gather(p, ls, 2, 0, 1)

    one, two, at = {"x": x}, {"x": x, "y": y}, {"x": x, "at": _number(2)}
    for kind in ("make_list", "list_gather"):
        yield from program(kind, "zeros", zeros, one, kinds=_KINDS)
    yield from program("make_list", "computed-length", computed_length, {"x": x, "n": _number(3)}, kinds="integers")
    for kind in ("list_write", "list_read", "list_length"):
        yield from program(kind, "fixed", fixed, at, kinds=_KINDS)
        yield from program(kind, "grown", grown, {"x": x, "at": _number(3)}, kinds="integers fp16:zero-mean")
    yield from program("list_write", "kept", kept, two, kinds="integers")
    yield from program("list_read", "kept", kept, two, kinds="integers")
    yield from program("list_scatter", "fixed", scattered, two, kinds="integers fp16:zero-mean int32:integers")
    yield from program("list_scatter", "beyond", scattered_beyond, two, kinds="integers")
    yield from program("list_gather", "grown", grown, {"x": x, "at": _number(3)}, kinds="integers")
    for kind in ("list_write", "list_gather"):
        yield from program(kind, "loop", looped, one, kinds="integers fp16:zero-mean")
    invalid: dict[str, Any] = {"kinds": "integers", "verdict": "invalid"}
    for kind, label, make, n, rule in (
        ("list_write", "beyond", fixed, 3, "an index lies in a list of fixed length"),
        ("list_write", "negative", grown, -1, "an index is not negative"),
    ):
        yield from program(kind, f"invalid-{label}", make, {"x": x, "at": _number(n)}, rule=rule, **invalid)

    def read_beyond(p: Making) -> Any:
        return _read(p, _write(p, _list(p, 2, grows=True), 0, p["x"]), p["at"])

    def other_shape(p: Making) -> Any:
        ls = _list(p, 2)
        return _read(p, p.program.add("list_write", ls=ls, index=0, value=p["x"], outputs=[ls.type]), 0)

    yield from program("list_read", "invalid-beyond", read_beyond, at, rule="an index lies in the list", **invalid)
    yield from program(
        "list_write", "invalid-shape", other_shape, {"x": X(4, 3)}, rule="an element has the list's type", **invalid
    )
