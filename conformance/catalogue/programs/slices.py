"""Slices and windows of a tensor, and its order turned around."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.programs.plan import C, ProgramPlan, X, op, refused, small_before

_KINDS = "nan fp16:nan int32:integers bool:bits"
_SMALL = "int8:full uint8:full int16:full uint16:full"
_SHORT = "nan fp16:nan"
_OPEN = [("fp32", (None,) * 3)]

#: By name what a slice of [3, 4, 5] takes, and the clauses that it shows.
_CUTS: dict[str, tuple[dict[str, Any], str]] = {
    "plain": (dict(begin=[0, 1, 2], end=[2, 3, 5]), "S1"),
    "from-end": (dict(begin=[-2, -4, -3], end=[-1, 4, -1]), "S1"),
    "negative-ends": (dict(begin=[0, 1, 0], end=[-2, -1, -3]), "S1"),
    "beyond": (dict(begin=[-9, 0, 0], end=[9, 9, 1]), "S1"),
    "strides": (dict(begin=[2, 0, 0], end=[0, 4, 5], stride=[-1, 3, 2]), "S1"),
    "masks": (
        dict(begin=[1, 1, 1], end=[2, 2, 2], begin_mask=[True, False, True], end_mask=[False, True, True]),
        "S2 S3",
    ),
    "down-to-0": (
        dict(begin=[2, 0, 1], end=[1, 1, 0], stride=[-1, -2, -1], begin_mask=[False, True, False], end_mask=[True] * 3),
        "S2 S3",
    ),
    "squeezed": (
        dict(begin=[1, -1, 1], end=[0, 0, 3], stride=[1, -1, 1], squeeze_mask=[True, True, False]),
        "S4",
    ),
    "number": (dict(begin=[1, -1, 4], end=[0, 0, 0], squeeze_mask=[True] * 3), "S4"),
}
_UPDATED = {
    "plain": (2, 2, 3),
    "from-end": (1, 4, 2),
    "beyond": (3, 4, 1),
    "strides": (2, 2, 3),
    "masks": (2, 3, 5),
    "down-to-0": (3, 2, 2),
    "squeezed": (2,),
}


def plans() -> Iterator[ProgramPlan]:
    yield from _by_index()
    yield from _update()
    yield from _by_size()
    yield from _windows()
    yield from _reversed()


def _numbers(values: list[int], *, computed: bool = False, type: str = "int32") -> Any:
    return (X if computed else C)(value=np.array(values), type=type)


def _by_index() -> Iterator[ProgramPlan]:
    kind, x = "slice_by_index", X(3, 4, 5)
    for label, (cut, clauses) in _CUTS.items():
        kinds = _KINDS if label in ("plain", "masks") else _SHORT
        yield from op(kind, label, kinds=kinds, clauses=clauses, x=x, **cut)
        if label in ("strides", "masks", "squeezed", "number"):
            begin = _numbers(cut["begin"], computed=True)
            rank = 3 - sum(cut.get("squeeze_mask", []))
            yield from op(
                kind,
                f"{label}-computed",
                kinds="nan",
                clauses=f"{clauses}",
                x=x,
                results=[("fp32", (None,) * rank)],
                **{**cut, "begin": begin, "end": _numbers(cut["end"], computed=True)},
            )
    cut = _CUTS["strides"][0]
    for small in ("int16", "int8"):
        typed = {name: np.array(values).astype(small) for name, values in cut.items()}
        yield from op(kind, f"settings-{small}", kinds=f"nan {_SMALL}", opset="CoreML7", clauses="S1", x=x, **typed)
    for label, given, clause, rule in (
        ("empty", dict(begin=[0, 2, 0], end=[3, 2, 5]), "C3", "each axis has something left"),
        ("short", dict(begin=[0, 2], end=[3, 4, 5]), "C2", "begin has a number for each axis"),
        ("stride", dict(begin=[0] * 3, end=[3, 4, 5], stride=[1, 1, 0]), "C2", "no stride is 0"),
        ("no-end", dict(begin=[0] * 3), "C2", "end is given"),
    ):
        yield from refused(kind, label, rule, clause=clause, x=x, **given)
    computed = {"begin": _numbers([0, 2, 0], computed=True), "end": [3, 2, 5]}
    yield from refused(kind, "empty-computed", "each axis has something left", clause="C3", x=x, **computed)
    small = {"begin": np.int16([0] * 3), "end": np.int16([1] * 3)}
    yield from refused(kind, "settings-int16", "begin is int32", clause="C1", opset="CoreML6", x=x, **small)


def _update() -> Iterator[ProgramPlan]:
    kind, x = "slice_update", X(3, 4, 5)
    for label, shape in _UPDATED.items():
        cut, _ = _CUTS[label]
        kinds = f"{_KINDS} {_SMALL}" if label == "masks" else _SHORT
        yield from op(kind, label, kinds=kinds, clauses="S1", x=x, update=X(*shape), **cut)
    cut, _ = _CUTS["strides"]
    computed = {name: _numbers(cut[name], computed=True) for name in ("begin", "end")}
    yield from op(kind, "computed", kinds=_SHORT, clauses="S1", x=x, update=X(2, 2, 3), **{**cut, **computed})
    one = dict(begin=[0, 0, 0], end=[1, 2, 3])
    short = dict(begin=[0, 0], end=[1, 2])
    yield from refused(kind, "short", "begin has a number for each axis", clause="C3", x=x, update=X(1, 2, 5), **short)
    yield from refused(
        kind, "shape", "the update has the shape of the slice", clause="C2", x=x, update=X(1, 3, 2), **one
    )
    yield from refused(
        kind, "number", "the update has an axis", clause="C2", x=x, update=X(), squeeze_mask=[True] * 3, **one
    )
    yield from refused(
        kind, "type", "x and update have one type", clause="C1", x=x, update=X(1, 2, 3, type="int32"), **one
    )


def _by_size() -> Iterator[ProgramPlan]:
    kind, x = "slice_by_size", X(3, 4, 5)
    plain, rest = dict(begin=[1, 0, 2], size=[1, 4, 2]), dict(begin=[1, 0, 2], size=[-1, 2, -1])
    yield from op(kind, "plain", kinds=_KINDS, clauses="S1", x=x, **plain)
    yield from op(kind, "rest", kinds=_SHORT, clauses="S1 S2", x=x, **rest)
    for names in (("begin",), ("size",), ("begin", "size")):
        given = {name: _numbers(values, computed=name in names) for name, values in rest.items()}
        yield from op(kind, f"computed-{'-'.join(names)}", kinds="nan", clauses="S1 S2", x=x, results=_OPEN, **given)
    for small in ("int16", "int8"):
        typed = {name: np.array(values).astype(small) for name, values in plain.items()}
        yield from op(kind, f"settings-{small}", kinds=f"nan {_SMALL}", opset="CoreML7", clauses="S1", x=x, **typed)
    small = {"begin": np.int16([1, 0, 2]), "size": np.int16([1, 4, 2])}
    yield from refused(kind, "settings-int16", "begin is int32", clause="C1", opset="CoreML6", x=x, **small)
    for label, given, rule in (
        ("begin", dict(begin=[0, 0, 4], size=[3, 4, 2]), "begin + size lies within the axis"),
        ("size", dict(begin=[0, 0, 0], size=[3, 4, 6]), "size is at most the length"),
        ("zero", dict(begin=[0, 0, 0], size=[3, 4, 0]), "size is 1 or more, or -1"),
    ):
        yield from refused(kind, label, rule, clause="C2", x=x, **given)
    given = {"begin": _numbers([0, 0, 4], computed=True), "size": [3, 4, 2]}
    yield from refused(kind, "begin-computed", "begin + size lies within the axis", clause="C2", x=x, **given)


def _windows() -> Iterator[ProgramPlan]:
    kind, x = "sliding_windows", X(3, 4, 5)
    yield from op(kind, "last", kinds="nan fp16:nan int32:integers", clauses="S1 S2", x=x, axis=-1, size=3, stride=2)
    yield from op(
        kind, "last", kinds=f"bool:bits {_SMALL}", opset="CoreML7", clauses="S1", x=x, axis=-1, size=3, stride=2
    )
    yield from op(kind, "first", kinds=_SHORT, clauses="S1 S2", x=x, axis=0, size=2)
    yield from op(kind, "rest", kinds=_SHORT, clauses="S2", x=x, axis=1, size=3, stride=2)
    yield from op(kind, "whole", kinds="nan", clauses="S1", x=x, axis=1, size=4)
    yield from op(kind, "negative", kinds="nan", clauses="S1", x=x, axis=-2, size=3)
    for label, given, rule in (
        ("size", dict(axis=2, size=6), "a window fits the axis"),
        ("stride", dict(axis=2, size=2, stride=0), "the stride is 1 or more"),
        ("axis", dict(axis=3, size=1), "the axis exists"),
    ):
        yield from refused(kind, label, rule, clause="C2", x=x, results=[("fp32", (None,) * 4)], **given)
    yield from refused(
        kind,
        "bool",
        "x is fp16, fp32 or int32",
        kinds="bool:bits",
        clause="C1",
        opset="CoreML6",
        x=x,
        axis=2,
        size=2,
        results=[("bool", (None,) * 4)],
    )


def _reversed() -> Iterator[ProgramPlan]:
    x = X(3, 4, 5)
    yield from op("reverse", "some", kinds=_KINDS, clauses="S1", x=x, axes=[-1, 0])
    yield from op("reverse", "some", kinds=_SMALL, opset="CoreML7", clauses="S1", x=x, axes=[-1, 0])
    yield from op("reverse", "all", kinds=_SHORT, clauses="S2", x=x)
    yield from op("reverse", "one", kinds="nan", clauses="S1", x=x, axes=[1])
    yield from refused("reverse", "axis", "the axes exist", clause="C2", x=x, axes=[3])
    yield from refused("reverse", "twice", "no axis is named twice", clause="C2", x=x, axes=[1, -2])

    kind = "reverse_sequence"
    for label, given in (
        ("last", dict(lengths=[4, 0, 2, 5], seq_axis=-1, batch_axis=1)),
        ("default-batch", dict(lengths=[2, 1, 3], seq_axis=1)),
        ("default-sequence", dict(lengths=[2, 1, 3, 0], batch_axis=1)),
    ):
        kinds = _KINDS if label == "last" else _SHORT
        clauses = "S1" if label == "last" else "S1 S2"
        yield from op(kind, label, kinds=kinds, clauses=clauses, x=x, **given)
        computed = {**given, "lengths": _numbers(given["lengths"], computed=True)}
        yield from op(kind, f"{label}-computed", kinds="nan", clauses=f"{clauses}", x=x, **computed)
    for small in ("int16", "int8"):
        lengths = np.array([2, 1, 3]).astype(small)
        yield from op(
            kind,
            f"lengths-{small}",
            kinds=f"nan {_SMALL}",
            opset="CoreML7",
            clauses="S1",
            x=x,
            lengths=lengths,
            seq_axis=1,
        )
    short = {"lengths": np.int16([2, 1, 3]), "seq_axis": 1}
    yield from refused(kind, "lengths-int16", "lengths are int32", clause="C1", opset="CoreML6", x=x, **short)
    yield from small_before("reverse")
    for label, given, rule in (
        ("axes", dict(lengths=[2, 1, 3]), "the axes differ"),
        ("count", dict(lengths=[2, 1], seq_axis=1), "there is a length for each entry of the batch"),
        ("long", dict(lengths=[2, 5, 1], seq_axis=1), "lengths are at most that of the axis"),
        ("negative", dict(lengths=_numbers([2, -1, 1], computed=True), seq_axis=1), "lengths are 0 or more"),
    ):
        yield from refused(kind, label, rule, clause="C2", x=x, **given)
