"""Slices, windows, and reversed order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.programs.plan import MOVEMENT, ProgramPlan, X, op, refused

_SMALL = "int8:full uint8:full int16:full uint16:full"


def _ints(*numbers: int, element: str = "int32") -> Any:
    return X(value=np.array(numbers), type=element)


#: Slices of [4, 5, 6] by label.
_CUTS: dict[str, dict[str, Any]] = {
    "plain": {"begin": [1, 0, 2], "end": [3, 3, 6]},
    "strides": {"begin": [0, 0, 0], "end": [4, 5, 6], "stride": [2, 2, 1]},
    "negative": {"begin": [-4, -4, -2], "end": [4, -1, 6]},
    "backward": {"begin": [3, 4, 5], "end": [0, 1, 1], "stride": [-1, -2, -1]},
    "backward-to-first": {"begin": [3, 4, 5], "end": [0, 0, 0], "stride": [-1, -2, -3], "end_mask": [True, True, True]},
    "masks": {
        "begin": [2, 1, 3],
        "end": [3, 2, 5],
        "begin_mask": [True, False, False],
        "end_mask": [False, True, False],
    },
    "squeeze": {"begin": [1, 2, 0], "end": [2, 3, 6], "squeeze_mask": [True, False, False]},
    "squeeze-negative": {"begin": [-1, 0, -2], "end": [4, 5, 0], "squeeze_mask": [True, False, True]},
    "beyond": {"begin": [-9, 1, 2], "end": [9, 9, 9]},
}


def plans() -> Iterator[ProgramPlan]:
    x = X(4, 5, 6)
    for label, cut in _CUTS.items():
        yield from op("slice_by_index", label, kinds=MOVEMENT if label == "plain" else "integers", x=x, **cut)
    yield from op("slice_by_index", "newer", kinds=_SMALL, x=x, opset="CoreML7", **_CUTS["strides"])
    open_ = [("fp32", (None, None, None))]
    computed = {"begin": _ints(1, 0, 2), "end": _ints(3, 4, 6)}
    yield from op("slice_by_index", "computed", kinds="integers", x=x, results=open_, **computed)
    yield from op(
        "slice_by_index", "computed-begin", kinds="integers", x=x, results=open_, begin=_ints(1, 0, 2), end=[3, 4, 6]
    )
    yield from refused("slice_by_index", "empty", "something is left", x=x, begin=[1, 3, 0], end=[3, 3, 6])
    yield from refused(
        "slice_by_index", "stride", "no stride is 0", x=x, begin=[0, 0, 0], end=[4, 5, 6], stride=[1, 0, 1]
    )
    yield from refused("slice_by_index", "length", "there is a number for each axis", x=x, begin=[0, 0], end=[4, 5])
    yield from _updates()
    by_size: dict[str, Any] = {"begin": [1, 0, 2], "size": [2, 4, 3]}
    yield from op("slice_by_size", "plain", kinds=MOVEMENT, x=x, **by_size)
    yield from op("slice_by_size", "rest", kinds="integers", x=x, begin=[1, 0, 2], size=[-1, 4, -1])
    yield from op("slice_by_size", "newer", kinds=_SMALL, x=x, opset="CoreML7", **by_size)
    yield from op(
        "slice_by_size", "computed-begin", kinds="integers", x=x, begin=_ints(1, 0, 2), size=[2, 4, 3], results=open_
    )
    both = {"begin": _ints(1, 0, 2), "size": _ints(2, 4, -1)}
    yield from op("slice_by_size", "computed", kinds="integers", x=x, results=open_, **both)
    yield from refused("slice_by_size", "beyond", "the slice lies within x", x=x, begin=[1, 0, 2], size=[2, 4, 5])
    yield from refused("slice_by_size", "zero", "sizes are 1 or more", x=x, begin=[1, 0, 2], size=[2, 0, 3])
    windows = X(2, 7, 3)
    numbers = "nan fp16:zero-mean int32:full"
    yield from op("sliding_windows", "plain", kinds=numbers, x=windows, axis=1, size=3)
    yield from op("sliding_windows", "stride", kinds="integers", x=windows, axis=1, size=3, stride=2)
    yield from op("sliding_windows", "negative-axis", kinds="integers", x=windows, axis=-2, size=7)
    yield from op("sliding_windows", "newer", kinds=f"bool:bits {_SMALL}", x=windows, axis=1, size=2, opset="CoreML7")
    wide = [("fp32", (None,) * 4)]
    yield from refused("sliding_windows", "size", "a window fits", x=windows, axis=1, size=8, results=wide)
    yield from refused(
        "sliding_windows", "stride", "the stride is 1 or more", x=windows, axis=1, size=3, stride=0, results=wide
    )
    yield from op("reverse", "all", kinds=MOVEMENT, x=X(3, 4))
    yield from op("reverse", "one", kinds="integers", x=X(2, 3, 4), axes=[1])
    yield from op("reverse", "two", kinds="integers", x=X(2, 3, 4), axes=[0, -1])
    yield from op("reverse", "newer", kinds=_SMALL, x=X(3, 4), axes=[0], opset="CoreML7")
    yield from refused("reverse", "axis", "the axes exist", x=X(3, 4), axes=[2])
    lengths, sequence = _ints(3, 5, 1, 4), X(4, 5, 2)
    yield from op("reverse_sequence", "plain", kinds=MOVEMENT, x=sequence, lengths=lengths, seq_axis=1)
    yield from op(
        "reverse_sequence", "other-axes", kinds="integers", x=X(2, 5, 3, 4), lengths=lengths, batch_axis=3, seq_axis=1
    )
    yield from op("reverse_sequence", "zero", kinds="integers", x=sequence, lengths=_ints(0, 5, 2, 0), seq_axis=1)
    yield from op("reverse_sequence", "negative", kinds="integers", x=sequence, lengths=lengths, seq_axis=-2)
    yield from op("reverse_sequence", "newer", kinds=_SMALL, x=sequence, lengths=lengths, seq_axis=1, opset="CoreML7")
    yield from refused(
        "reverse_sequence", "long", "lengths are at most T", x=sequence, lengths=_ints(3, 6, 1, 4), seq_axis=1
    )
    yield from refused(
        "reverse_sequence", "count", "there is a length for each item", x=sequence, lengths=_ints(3, 5), seq_axis=1
    )


def _updates() -> Iterator[ProgramPlan]:
    x, kind = X(4, 5, 6), "slice_update"
    shapes = {
        "plain": (2, 3, 4),
        "strides": (2, 3, 6),
        "negative": (4, 3, 2),
        "backward": (3, 2, 4),
        "masks": (3, 4, 2),
        "squeeze": (1, 6),
    }
    for label, shape in shapes.items():
        kinds = MOVEMENT if label == "plain" else "integers"
        yield from op(kind, label, kinds=kinds, x=x, update=X(*shape), **_CUTS[label])
    yield from op(kind, "small", kinds=_SMALL, x=x, update=X(2, 3, 4), **_CUTS["plain"])
    computed = {"begin": _ints(1, 0, 2), "end": _ints(3, 3, 6)}
    yield from op(kind, "computed", kinds="integers fp16:zero-mean", x=x, update=X(2, 3, 4), **computed)
    yield from refused(kind, "shape", "the update has the shape of the slice", x=x, update=X(2, 3, 3), **_CUTS["plain"])
    yield from refused(kind, "types", "both are of one type", x=x, update=X(2, 3, 4, type="fp16"), **_CUTS["plain"])
