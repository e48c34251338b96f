"""Gather and scatter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.programs.plan import C, ProgramPlan, X, op, refused

_KINDS = "nan fp16:zero-mean int32:full"
_SMALL = "int8:full uint8:full int16:full uint16:full"
_MODES = ("add", "sub", "mul", "div", "max", "min", "update")


def _at(values: Any, computed: bool = True, element: str = "int32") -> Any:
    return (X if computed else C)(value=np.array(values), type=element)


def plans() -> Iterator[ProgramPlan]:
    yield from _gather()
    yield from _along()
    yield from _nd()
    yield from _scatter()


def _gather() -> Iterator[ProgramPlan]:
    x, kind = X(4, 3, 5), "gather"
    yield from op(kind, "axis-0", kinds=_KINDS, x=x, indices=_at([3, 0, 2, 0, 1]))
    yield from op(kind, "negative", kinds="integers", x=x, indices=_at([-1, 0, -4]), axis=0)
    yield from op(kind, "axis-1", kinds="integers fp16:zero-mean", x=x, indices=_at([[2, 0, 1], [1, 2, 0]]), axis=1)
    yield from op(kind, "negative-axis", kinds="integers", x=x, indices=_at([4, 4, 0, 1]), axis=-1)
    yield from op(kind, "scalar", kinds="integers", x=x, indices=_at(2, computed=False), axis=1)
    yield from op(kind, "constant-indices", kinds="integers", x=x, indices=_at([3, 1], computed=False))
    yield from op(
        kind, "constant-table", kinds="integers fp16:zero-mean int32:integers", x=C(6, 4), indices=_at([5, 0, 3])
    )
    for element in ("int16", "uint16"):
        yield from op(
            kind, f"{element}-indices", kinds="integers", x=x, indices=_at([3, 0, 2], element=element), opset="CoreML7"
        )
    batches = {"x": X(2, 3, 5), "indices": _at([[1, 0, 2, 2], [2, 2, 0, 1]])}
    yield from op(kind, "batches", kinds="integers fp16:zero-mean", axis=1, batch_dims=1, opset="CoreML6", **batches)
    yield from op(kind, "batches-later", kinds="integers", axis=2, batch_dims=1, opset="CoreML6 CoreML7", **batches)
    yield from op(kind, "newer", kinds=f"integers {_SMALL}", x=x, indices=_at([3, 0, 2]), opset="CoreML7")
    yield from op(
        kind, "validated", kinds="integers", x=x, indices=_at([3, 0, 2]), validate_indices=True, opset="CoreML7"
    )
    yield from refused(kind, "axis", "the axis exists", x=x, indices=_at([1, 0]), axis=3)
    yield from refused(kind, "floats", "indices are integers", x=x, indices=X(2))
    yield from refused(
        kind, "validated", "indices are in range", x=x, indices=_at([-1, 0]), validate_indices=True, opset="CoreML7"
    )
    yield from refused(kind, "batches", "batch_dims lie before axis", axis=0, batch_dims=1, opset="CoreML6", **batches)


def _along() -> Iterator[ProgramPlan]:
    kind, x = "gather_along_axis", X(3, 4)
    places = [[2, 0, 1, 1], [0, 0, 2, 1]]
    yield from op(kind, "axis-0", kinds=_KINDS, x=x, indices=_at(places))
    yield from op(kind, "axis-1", kinds="integers", x=x, indices=_at([[3, 0], [1, 1], [2, 3]]), axis=1)
    yield from op(kind, "negative", kinds="integers", x=x, indices=_at([[-1, 0], [1, -4], [2, 3]]), axis=-1)
    yield from op(
        kind, "rank-3", kinds="integers", x=X(2, 3, 4), indices=_at(np.arange(40).reshape(2, 5, 4) % 3), axis=1
    )
    yield from op(kind, "newer", kinds=f"integers {_SMALL}", x=x, indices=_at(places), opset="CoreML7")
    yield from op(kind, "validated", kinds="integers", x=x, indices=_at(places), validate_indices=True, opset="CoreML7")
    yield from refused(kind, "shape", "indices have the other lengths of x", x=x, indices=_at([[1, 0]]), axis=0)


def _nd() -> Iterator[ProgramPlan]:
    kind, x = "gather_nd", X(3, 4, 5)
    yield from op(kind, "two", kinds=_KINDS, x=x, indices=_at([[2, 0], [0, 3], [1, 1]]))
    yield from op(kind, "one", kinds="integers", x=x, indices=_at([[2], [0]]))
    yield from op(kind, "all", kinds="integers", x=x, indices=_at([[[2, 0, 4], [0, 3, 1]]]))
    yield from op(kind, "negative", kinds="integers", x=x, indices=_at([[-1, -4], [0, -1], [1, 2]]))
    batches = {"x": X(2, 3, 4), "indices": _at([[[2], [0], [1]], [[1], [1], [0]]])}
    yield from op(kind, "batches", kinds="integers", batch_dims=1, opset="CoreML6 CoreML7", **batches)
    yield from op(
        kind, "newer", kinds=f"integers {_SMALL}", x=x, indices=_at([[2, 0], [0, 3], [1, 1]]), opset="CoreML7"
    )
    yield from refused(kind, "many", "there are no more indices than axes", x=X(3, 4), indices=_at([[1, 0, 0]]))


def _scatter() -> Iterator[ProgramPlan]:
    forms: dict[str, dict[str, Any]] = {
        "scatter": {"data": X(5, 4), "indices": _at([2, 0, 2]), "updates": X(3, 4)},
        "scatter_along_axis": {"data": X(4, 3), "indices": _at([[2, 0, 1], [2, 3, 1]]), "updates": X(2, 3)},
        "scatter_nd": {"data": X(4, 3), "indices": _at([[2, 0], [3, 1], [2, 0]]), "updates": X(3)},
    }
    once: dict[str, Any] = {
        "scatter": _at([2, 0, 3]),
        "scatter_along_axis": _at([[2, 0, 1], [0, 3, 2]]),
        "scatter_nd": _at([[2, 0], [3, 1], [2, 1]]),
    }
    negative: dict[str, Any] = {
        "scatter": _at([-1, 0, -3]),
        "scatter_along_axis": _at([[-1, 0, 1], [0, -2, 3]]),
        "scatter_nd": _at([[-1, 0], [0, -1], [1, 1]]),
    }
    for kind, form in forms.items():
        yield from op(kind, "default", kinds="integers zero-mean fp16:zero-mean int32:integers", **form)
        for mode in _MODES:
            given = dict(form)
            if mode in ("update", "div"):
                given["indices"] = once[kind]  # which of several updates stays is not specified
            if mode == "div":
                given["updates"] = X(*form["updates"].shape, change=lambda x: np.where(x == 0, 2, x))
            yield from op(kind, mode, kinds="integers fp16:integers", mode=mode, **given)
        yield from op(kind, "negative", kinds="integers", mode="update", **{**form, "indices": negative[kind]})
        yield from op(kind, "newer", kinds="integers", opset="CoreML7", **form)
        yield from op(kind, "validated", kinds="integers", validate_indices=True, opset="CoreML7", **form)
        yield from refused(kind, "mode", "the mode is one that there is", mode="average", **form)
        yield from refused(
            kind, "types", "data and updates are of one type", **{**form, "data": X(*form["data"].shape, type="int32")}
        )
        yield from refused(
            kind,
            "validated",
            "indices are in range",
            validate_indices=True,
            opset="CoreML7",
            **{**form, "indices": negative[kind]},
        )
    yield from op("scatter", "axis-1", kinds="integers", data=X(3, 4), indices=_at([3, 1]), updates=X(3, 2), axis=1)
    yield from op(
        "scatter_along_axis",
        "axis-1",
        kinds="integers",
        data=X(3, 4),
        indices=_at([[3, 1], [0, 2], [1, 0]]),
        updates=X(3, 2),
        axis=-1,
    )
    yield from op("scatter_nd", "rows", kinds="integers", data=X(4, 3), indices=_at([[2], [0]]), updates=X(2, 3))
    yield from refused(
        "scatter",
        "updates",
        "updates have the shape that is replaced",
        data=X(4, 3),
        indices=_at([1, 0]),
        updates=X(3, 3),
    )
