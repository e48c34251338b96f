"""Elements taken from, or put at, places that indices name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.data import Source
from conformance.catalogue.plan import Array
from conformance.catalogue.programs.plan import C, ProgramPlan, X, op, refused

_KINDS = "nan fp16:nan int32:integers"
_SMALL = "int8:full uint8:full int16:full uint16:full"
_SHORT = "nan fp16:nan"
_MODES = ("add", "sub", "mul", "div", "max", "min", "update")
_GATHERS = ("gather", "gather_along_axis", "gather_nd")
_SCATTERS = ("scatter", "scatter_along_axis", "scatter_nd")
#: The clauses of each on the range of indices since CoreML7, and on negative ones until CoreML6.
_RANGE = {
    "gather": ("C5", "S3"),
    "gather_along_axis": ("C3", "S2"),
    "gather_nd": ("C3", "S2"),
    "scatter": ("C4", "S4"),
    "scatter_along_axis": ("C3", "S2"),
    "scatter_nd": ("C3", "S2"),
}


def plans() -> Iterator[ProgramPlan]:
    yield from _gather()
    yield from _gather_along_axis()
    yield from _gather_nd()
    for kind in _SCATTERS:
        yield from _scatter(kind)
    for kind in _RANGE:
        yield from _range(kind)


def _places(*shape: int, below: int, least: int = 0, type: str = "int32", constant: bool = False) -> Any:
    """Return indices from ``least`` to ``below`` - 1."""

    def draw(source: Source, kind: str) -> Array:
        return source.integers(shape, least, below - 1)

    return (C if constant else X)(*shape, value=draw, type=type)


def _listed(*values: Any, type: str = "int32") -> Any:
    return X(value=np.array(values), type=type)


# ---- Gather ----


def _gather() -> Iterator[ProgramPlan]:
    kind, x = "gather", X(3, 4, 5)
    yield from op(kind, "matrix", kinds=_KINDS, clauses="S1", x=x, indices=_listed([3, 0, 1], [2, 2, 3]), axis=-2)
    yield from op(kind, "first", kinds=_SHORT, clauses="S1", x=x, indices=_listed(2, 0, 0, 1))
    yield from op(kind, "constant", kinds=_SHORT, clauses="S1", x=x, indices=np.int32([4, 0, 2]), axis=2)
    yield from op(
        kind, "table", kinds="integers fp16:integers int32:integers", clauses="S1", x=C(7, 3), indices=_listed(6, 0, 3)
    )
    yield from op(kind, "number", kinds=_SHORT, clauses="S2", x=x, indices=np.int32(2), axis=1)
    yield from op(kind, "to-number", kinds="nan", clauses="S2", x=X(7), indices=np.int32(4))
    yield from op(
        kind,
        "batches",
        kinds=_KINDS,
        opset="CoreML6 CoreML7",
        clauses="S4",
        x=x,
        indices=_listed([3, 0], [1, 1], [2, 3]),
        axis=1,
        batch_dims=1,
    )
    yield from op(
        kind,
        "batches-numbers",
        kinds="nan",
        opset="CoreML6",
        clauses="S4",
        x=x,
        indices=_listed(3, 1, 4),
        axis=-1,
        batch_dims=1,
    )
    for element in ("int16", "uint16"):
        yield from op(
            kind,
            f"indices-{element}",
            kinds="nan",
            opset="CoreML6",
            clauses="S1",
            x=x,
            indices=np.array([2, 0]).astype(element),
        )
    for element in ("int8", "uint8"):
        yield from op(
            kind,
            f"indices-{element}",
            kinds=f"nan {_SMALL}",
            opset="CoreML7",
            clauses="S1",
            x=x,
            indices=np.array([2, 0]).astype(element),
        )
    yield from refused(kind, "axis", "the axis exists", clause="C2", x=x, indices=[0], axis=3)
    for label, given, clause, rule in (
        ("batches-first", dict(axis=0, batch_dims=1), "C3", "shared axes lie before the axis"),
        ("batches-many", dict(axis=2, batch_dims=2), "C3", "indices have the shared axes"),
    ):
        yield from refused(kind, label, rule, clause=clause, opset="CoreML6", x=x, indices=_listed(0, 1, 2), **given)
    yield from refused(
        kind,
        "batches-old",
        "batch_dims exists since CoreML6",
        clause="C3",
        opset="CoreML5",
        x=x,
        indices=_listed([0], [1], [2]),
        axis=1,
        batch_dims=1,
    )
    yield from refused(
        kind, "bool", "x holds numbers", kinds="bool:bits", clause="C1", opset="CoreML5", x=x, indices=[0]
    )


def _gather_along_axis() -> Iterator[ProgramPlan]:
    kind, x = "gather_along_axis", X(3, 4, 5)
    floats = X(3, 4, 5)
    yield from refused(kind, "floats", "indices are integers", clause="C1", x=x, indices=floats)
    yield from op(kind, "middle", kinds=_KINDS, clauses="S1", x=x, indices=_places(3, 2, 5, below=4), axis=1)
    yield from op(kind, "longer", kinds=_SHORT, clauses="S1", x=x, indices=_places(3, 7, 5, below=4), axis=-2)
    yield from op(kind, "first", kinds=_SHORT, clauses="S1", x=X(3, 4), indices=_places(2, 4, below=3))
    yield from op(
        kind, "last", kinds="nan", clauses="S1", x=X(3, 4), indices=_places(3, 2, below=4, constant=True), axis=1
    )
    for element, opset in (("int16", "CoreML6"), ("uint16", "CoreML6"), ("int8", "CoreML7"), ("uint8", "CoreML7")):
        indices = np.array([[1, 0, 2, 2]]).astype(element)
        kinds = "nan" if opset == "CoreML6" else f"nan {_SMALL}"
        yield from op(kind, f"indices-{element}", kinds=kinds, opset=opset, clauses="S1", x=X(3, 4), indices=indices)
    for label, shape in (("length", (3, 2, 4)), ("rank", (3, 2))):
        yield from refused(
            kind,
            label,
            "indices have the other lengths of x",
            clause="C2",
            x=x,
            indices=_places(*shape, below=2),
            axis=1,
        )


def _gather_nd() -> Iterator[ProgramPlan]:
    kind, x = "gather_nd", X(3, 4, 5)
    two = _listed([2, 3], [0, 1], [0, 1], [1, 0])
    yield from refused(kind, "floats", "indices are integers", clause="C1", x=x, indices=X(2, 3))
    yield from op(kind, "vectors", kinds=_KINDS, clauses="S1", x=x, indices=two)
    yield from op(kind, "numbers", kinds=_SHORT, clauses="S1", x=x, indices=_listed([[2, 3, 4]], [[0, 1, 0]]))
    yield from op(kind, "one", kinds=_SHORT, clauses="S1", x=x, indices=_listed([2], [0]))
    yield from op(kind, "to-number", kinds="nan", clauses="S1", x=X(3, 4), indices=np.int32([2, 1]))
    batches = _listed([[3], [0]], [[1], [1]], [[2], [3]])
    yield from op(
        kind, "batches", kinds=_KINDS, opset="CoreML6 CoreML7", clauses="S3", x=x, indices=batches, batch_dims=1
    )
    for element, opset in (("int16", "CoreML6"), ("uint16", "CoreML6"), ("int8", "CoreML7"), ("uint8", "CoreML7")):
        indices = np.array([[2, 3], [0, 1]]).astype(element)
        kinds = "nan" if opset == "CoreML6" else f"nan {_SMALL}"
        yield from op(kind, f"indices-{element}", kinds=kinds, opset=opset, clauses="S1", x=x, indices=indices)
    yield from refused(kind, "many", "x has an axis for each index", clause="C2", x=x, indices=_listed([0, 0, 0, 0]))
    yield from refused(kind, "number", "indices have an axis", clause="C2", x=x, indices=np.int32(1))


# ---- Scatter ----


def _scatter(kind: str) -> Iterator[ProgramPlan]:
    data = X(5, 4)
    indices, updates = {
        "scatter": (_listed(3, 0, 3), X(3, 4)),
        "scatter_along_axis": (_listed([3, 0, 1, 2], [3, 4, 1, 0], [0, 4, 1, 2]), X(3, 4)),
        "scatter_nd": (_listed([3], [0], [3]), X(3, 4)),
    }[kind]
    for mode in _MODES:
        kinds = "integers int32:integers" if mode in ("add", "sub", "mul") else "integers"
        new = X(3, 4, change=_powers) if mode == "div" else updates
        distinct = _distinct(kind) if mode == "update" else indices
        clauses = "S1" if kind != "scatter" or mode == "update" else "S1 S2"
        yield from op(kind, mode, kinds=kinds, clauses=clauses, data=data, indices=distinct, updates=new, mode=mode)
    yield from op(
        kind,
        "default",
        kinds="integers fp16:integers",
        opset="CoreML5 CoreML7",
        clauses="S1",
        data=data,
        indices=indices,
        updates=updates,
    )
    if kind == "scatter_nd":
        places = _listed([3, 1], [0, 2], [3, 1])
        yield from op(
            kind, "numbers", kinds="integers int32:integers", clauses="S1", data=data, indices=places, updates=X(3)
        )
    else:
        turned = {"scatter": _listed(3, 0, 3), "scatter_along_axis": _places(4, 3, below=5)}[kind]
        given = {"data": X(4, 5), "indices": turned, "updates": X(4, 3), "axis": -1}
        yield from op(kind, "last", kinds="integers int32:integers", clauses="S1", **given)
    if kind == "scatter":
        values = {"data": X(value=np.array([7, -7, 2**31 - 1]), type="int32"), "indices": _listed(0, 1, 2)}
        for mode, new in (("div", [2, 2, 1]), ("add", [1, 1, 1]), ("mul", [3, 3, 3])):
            yield from op(
                kind, f"int-{mode}", kinds="int32:integers", clauses="S3", updates=_listed(*new), mode=mode, **values
            )
    yield from refused(
        kind, "mode", "the mode is one of seven", clause="C3", data=data, indices=indices, updates=updates, mode="swap"
    )
    yield from refused(
        kind,
        "updates",
        "updates have the shape of what they change",
        clause="C2",
        data=data,
        indices=indices,
        updates=X(2, 4),
    )
    yield from refused(
        kind,
        "types",
        "data and updates have one type",
        clause="C1",
        data=data,
        indices=indices,
        updates=X(3, 4, type="int32"),
    )
    small = {"scatter": np.int16([3, 0, 3]), "scatter_nd": np.int16([[3], [0], [3]])}.get(
        kind, np.zeros((3, 4), np.int16)
    )
    yield from refused(
        kind,
        "indices-int16",
        "indices are int32",
        clause="C1",
        opset="CoreML7",
        data=data,
        indices=small,
        updates=updates,
    )


def _powers(x: Array) -> Array:
    """Return powers of 2, by which all quotients are exact."""
    return np.asarray(2.0 ** np.abs(x))


def _distinct(kind: str) -> Any:
    """Return indices of which none is there twice."""
    return {
        "scatter": _listed(3, 0, 4),
        "scatter_along_axis": _listed([3, 0, 1, 2], [4, 4, 0, 0], [0, 2, 3, 1]),
        "scatter_nd": _listed([3], [0], [4]),
    }[kind]


# ---- Indices out of range ----


def _range(kind: str) -> Iterator[ProgramPlan]:
    newer, negative = _RANGE[kind]

    def given(*places: int) -> dict[str, Any]:
        shaped = {
            "gather": places,
            "scatter": places,
            "gather_nd": [[place] for place in places],
            "scatter_nd": [[place] for place in places],
        }.get(kind, [[place] * 4 for place in places])
        indices = X(value=np.array(shaped), type="int32")
        if kind in _GATHERS:
            return {"x": X(3, 4), "indices": indices}
        return {"data": X(3, 4), "indices": indices, "updates": X(len(places), 4)}

    for opset in ("CoreML5", *(["CoreML6"] if kind in _GATHERS else [])):
        yield from op(kind, f"negative-{opset}", kinds="integers", opset=opset, clauses=negative, **given(1, -1))
    yield from op(kind, "validated", kinds="integers", opset="CoreML7", validate_indices=True, **given(1, 2))
    for label, place in (("negative", -1), ("beyond", 3)):
        yield from refused(
            kind,
            f"validated-{label}",
            "indices are 0 to the length - 1",
            clause=newer,
            opset="CoreML7",
            validate_indices=True,
            **given(1, place),
        )
    yield from refused(
        kind,
        "validate-old",
        "validate_indices exists since CoreML7",
        clause=newer,
        opset="CoreML6",
        validate_indices=True,
        **given(1, 0),
    )
