"""Other shapes and orders, joined and divided tensors, tensors of one number, ranges and bands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.programs.plan import MOVEMENT, C, Making, ProgramPlan, X, op, program, refused

_SMALL = "int8:full uint8:full int16:full uint16:full"
_FLOATS = "nan fp16:special"


def _ints(*numbers: int, element: str = "int32") -> Any:
    """Return a list of numbers that the prediction is given."""
    return X(value=np.array(numbers), type=element)


def plans() -> Iterator[ProgramPlan]:
    yield from _shapes()
    yield from _orders()
    yield from _blocks()
    yield from _joined()
    yield from _made()


def _shapes() -> Iterator[ProgramPlan]:
    x = X(2, 3, 4)
    yield from op("reshape", "plain", kinds=MOVEMENT, x=x, shape=[4, 6])
    yield from op("reshape", "rest", kinds="integers", x=x, shape=[3, -1])
    yield from op("reshape", "zero", kinds="integers", x=x, shape=[0, 3, -1])
    yield from op("reshape", "zero-from-last", kinds="integers", x=X(2, 12), shape=[1, 0, -1, 0], opset="CoreML7")
    yield from op("reshape", "newer", kinds=f"integers {_SMALL}", x=x, shape=[4, 6], opset="CoreML7")
    yield from op("reshape", "computed", kinds="integers", x=x, shape=_ints(4, 6), results=[("fp32", (None, None))])
    yield from refused("reshape", "count", "the number of elements stays", x=x, shape=[5, 5])
    yield from refused("reshape", "rests", "one length may be -1", x=x, shape=[-1, -1, 2])
    yield from refused("reshape", "rest", "the rest divides", x=x, shape=[5, -1])
    like: dict[str, Any] = {"begins": [np.int32(0)], "ends": [np.int32(2)], "end_masks": [False]}
    yield from op("reshape_like", "plain", kinds=MOVEMENT, x=X(3, 8), ref_tensors=[X(4, 6)], **like)
    two: dict[str, Any] = {"begins": [0, 1], "ends": [1, 0], "end_masks": [False, True]}
    yield from op("reshape_like", "two", kinds="integers", x=X(2, 12), ref_tensors=[X(4, 5), X(7, 2, 3)], **_each(two))
    yield from op(
        "reshape_like", "newer", kinds=f"integers {_SMALL}", x=X(3, 8), ref_tensors=[X(4, 6)], opset="CoreML7", **like
    )
    yield from refused(
        "reshape_like", "count", "the number of elements stays", x=X(3, 7), ref_tensors=[X(4, 6)], **like
    )
    yield from op("expand_dims", "one", kinds=MOVEMENT, x=X(3, 4), axes=[1])
    yield from op("expand_dims", "several", kinds="integers", x=X(3, 4), axes=[0, 3])
    yield from op("expand_dims", "negative", kinds="integers", x=X(3, 4), axes=[-1, -3])
    yield from op("expand_dims", "newer", kinds=_SMALL, x=X(3, 4), axes=[0], opset="CoreML7")
    yield from refused("expand_dims", "axis", "the axes exist in the result", x=X(3, 4), axes=[3])
    yield from refused("expand_dims", "twice", "no axis is named twice", x=X(3, 4), axes=[1, 1])
    ones = X(1, 3, 1, 4)
    yield from op("squeeze", "all", kinds=MOVEMENT, x=ones)
    yield from op("squeeze", "one", kinds="integers", x=ones, axes=[0])
    yield from op("squeeze", "negative", kinds="integers", x=ones, axes=[-2])
    yield from op("squeeze", "newer", kinds=_SMALL, x=ones, axes=[0, 2], opset="CoreML7")
    yield from refused("squeeze", "length", "a squeezed axis has the length 1", x=ones, axes=[1])
    for axis in (1, 2, -1, 0):
        data = MOVEMENT if axis == 1 else "integers"
        yield from op("flatten2d", f"axis-{axis}".replace("--", "-minus-"), kinds=data, x=x, axis=axis)
    yield from op("flatten2d", "default", kinds="integers", x=x)
    yield from refused("flatten2d", "axis", "the axis is at most the rank", x=x, axis=4)
    for label, shape in (("vector", (7,)), ("matrix", (3, 4)), ("rank-5", (2, 1, 3, 4, 5))):
        yield from op("shape", label, kinds="integers int32:integers", x=X(*shape))


def _each(given: dict[str, Any]) -> dict[str, Any]:
    """Return lists of constants, one for each number."""
    types = {"begins": np.int32, "ends": np.int32, "end_masks": bool}
    return {name: [np.asarray(item, types[name]) for item in items] for name, items in given.items()}


def _orders() -> Iterator[ProgramPlan]:
    x = X(2, 3, 4)
    yield from op("transpose", "matrix", kinds=MOVEMENT, x=X(3, 4), perm=[1, 0])
    yield from op("transpose", "rank-3", kinds="integers", x=x, perm=[2, 0, 1])
    yield from op("transpose", "negative", kinds="integers", x=x, perm=[-1, -3, -2])
    yield from op("transpose", "rank-5", kinds="integers", x=X(1, 2, 3, 4, 5), perm=[4, 2, 0, 3, 1])
    yield from op("transpose", "newer", kinds=_SMALL, x=x, perm=[1, 2, 0], opset="CoreML7")
    yield from refused("transpose", "twice", "perm is a permutation", x=x, perm=[0, 1, 1])
    yield from refused("transpose", "length", "perm has a number for each axis", x=x, perm=[1, 0])


def _blocks() -> Iterator[ProgramPlan]:
    for kind, name, x in (
        ("depth_to_space", "block_size", X(2, 12, 3, 5)),
        ("space_to_depth", "block_size", X(2, 3, 4, 6)),
        ("pixel_shuffle", "upscale_factor", X(2, 12, 3, 5)),
        ("pixel_unshuffle", "downscale_factor", X(2, 3, 4, 6)),
    ):
        factor = (lambda n: np.uint32(n)) if kind == "pixel_unshuffle" else (lambda n: np.int32(n))
        yield from op(kind, "two", kinds=f"integers {_FLOATS}", x=x, **{name: factor(2)})
        many = X(1, 18, 2, 4) if "depth_to" in kind or kind == "pixel_shuffle" else X(1, 2, 6, 9)
        yield from op(kind, "three", kinds="integers", x=many, **{name: factor(3)})
        yield from refused(kind, "multiple", "the block divides", x=X(1, 5, 7, 3), **{name: factor(2)})
        yield from refused(kind, "int", "x holds floats", kinds="int32:integers", x=x, **{name: factor(2)})
        yield from refused(kind, "rank", "x is of rank 4", x=X(4, 6, 8), **{name: factor(2)})
    no_margin, margin = np.zeros((2, 2), np.int32), np.array([[1, 0], [0, 3]], np.int32)
    yield from op(
        "space_to_batch", "plain", kinds=f"integers {_FLOATS}", x=X(2, 3, 4, 9), block_shape=[2, 3], paddings=no_margin
    )
    yield from op("space_to_batch", "paddings", kinds="integers", x=X(2, 1, 5, 3), block_shape=[2, 3], paddings=margin)
    yield from refused(
        "space_to_batch", "multiple", "the block divides", x=X(2, 3, 5, 9), block_shape=[2, 3], paddings=no_margin
    )
    yield from op(
        "batch_to_space", "plain", kinds=f"integers {_FLOATS}", x=X(12, 3, 2, 4), block_shape=[2, 3], crops=no_margin
    )
    yield from op("batch_to_space", "crops", kinds="integers", x=X(6, 1, 3, 4), block_shape=[2, 3], crops=margin)
    yield from refused(
        "batch_to_space",
        "multiple",
        "the block divides the batch",
        x=X(4, 3, 2, 5),
        block_shape=[2, 3],
        crops=no_margin,
    )


def _joined() -> Iterator[ProgramPlan]:
    two = [X(3, 4), X(2, 4)]
    yield from op("concat", "rows", kinds=MOVEMENT, values=two, axis=0)
    yield from op("concat", "columns", kinds="integers", values=[X(3, 4), X(3, 2), X(3, 5)], axis=-1)
    yield from op(
        "concat", "interleave", kinds="integers fp16:special", values=[X(2, 3, 4)] * 3, axis=1, interleave=True
    )
    yield from op("concat", "constant", kinds="integers", values=[X(3, 4), C(2, 4)], axis=0)
    yield from op("concat", "numbers", kinds="integers", values=[X(value=np.array(2)), X(value=np.array(-3))], axis=0)
    yield from refused("concat", "shapes", "other lengths agree", values=[X(3, 4), X(2, 5)], axis=0)
    yield from refused("concat", "types", "all are of one type", values=[X(3, 4), X(2, 4, type="fp16")], axis=0)
    yield from refused("concat", "axis", "the axis exists", values=two, axis=2)
    for label, axis in (("first", 0), ("middle", 1), ("last", -1)):
        yield from op("stack", label, kinds=MOVEMENT if axis == 0 else "integers", values=[X(3, 4)] * 2, axis=axis)
    yield from refused("stack", "shapes", "shapes agree", values=two, axis=0, results=[("fp32", (None,) * 3)])
    yield from op("split", "number", kinds=MOVEMENT, x=X(6, 4), num_splits=3, axis=0)
    yield from op("split", "sizes", kinds="integers", x=X(3, 7), split_sizes=[4, 1, 2], axis=1)
    yield from op("split", "both", kinds="integers", x=X(3, 7), split_sizes=[4, 3], num_splits=2, axis=-1)
    halves = [("fp32", (None, None))] * 2
    yield from refused("split", "sizes", "the sizes add up", x=X(3, 7), split_sizes=[4, 2], axis=1, results=halves)
    yield from refused(
        "split", "number", "the number divides the length", x=X(3, 7), num_splits=2, axis=1, results=halves
    )
    yield from refused("split", "neither", "a number or sizes are given", x=X(3, 7), axis=1, results=halves)
    yield from op("tile", "plain", kinds=MOVEMENT, x=X(2, 3), reps=[3, 2])
    yield from op("tile", "ones", kinds="integers", x=X(2, 3, 4), reps=[1, 2, 1])
    yield from op("tile", "computed", kinds="integers", x=X(2, 3), reps=_ints(2, 1), results=[("fp32", (None, None))])
    yield from refused("tile", "length", "there is a number for each axis", x=X(2, 3), reps=[2])
    yield from refused("tile", "zero", "numbers are 1 or more", x=X(2, 3), reps=[2, 0])


def _plus(kind: str, label: str, *shape: int, kinds: str = "integers", **given: Any) -> Iterator[ProgramPlan]:
    """Yield cases of y = x + what an operation makes of constants alone."""

    def make(p: Making) -> Any:
        return p.add("add", x=p["x"], y=p.add(kind, **given))

    return program(kind, label, make, {"x": X(*shape)}, kinds=kinds)


def _made() -> Iterator[ProgramPlan]:
    yield from _plus("fill", "default", 3, 4, shape=[3, 4])
    yield from _plus(
        "fill", "value", 3, 4, kinds="integers fp16:integers int32:integers", shape=[3, 4], value=C(value=7)
    )
    for element, value in (("fp32", 2.5), ("fp16", 2.5), ("int32", -7), ("bool", True)):
        given: dict[str, Any] = {"shape": _ints(2, 3), "value": C(value=value, type=element)}
        yield from op("fill", f"computed-{element}", kinds="integers", results=[(element, (None, None))], **given)
    yield from refused(
        "fill", "zero", "lengths are 1 or more", shape=_ints(2, 0), value=C(value=1.0), results=[("fp32", (None, None))]
    )
    yield from op("fill_like", "default", kinds="integers int32:integers", ref_tensor=X(3, 4))
    for element, value in (("fp32", 2.5), ("fp16", 2.5), ("int32", -7), ("bool", True)):
        yield from op(
            "fill_like", f"value-{element}", kinds="integers", ref_tensor=X(3, 4), value=C(value=value, type=element)
        )
    yield from _plus(
        "range_1d",
        "constants",
        4,
        kinds="integers fp16:integers int32:integers",
        start=C(value=1),
        end=C(value=9),
        step=C(value=2),
    )
    yield from _plus("range_1d", "down", 3, start=C(value=5.0), end=C(value=-1.0), step=C(value=-2.0))
    yield from _plus("range_1d", "fraction", 5, start=C(value=0.5), end=C(value=1.75), step=C(value=0.25))
    numbers = {name: X(value=np.array(n)) for name, n in (("start", 1), ("end", 8), ("step", 3))}
    for element in ("fp32", "int32"):
        yield from op("range_1d", "computed", kinds=f"{element}:integers", results=[(element, (None,))], **numbers)
    still = {**numbers, "step": X(value=np.array(0))}
    yield from refused(
        "range_1d", "step", "the step is not 0", kinds="int32:integers", results=[("int32", (None,))], **still
    )
    x = X(2, 4, 5)
    for label, bounds in (
        ("both", (1, 2)),
        ("lower", (0, -1)),
        ("upper", (-1, 0)),
        ("neither", (-1, -1)),
        ("diagonal", (0, 0)),
    ):
        kinds = "nan fp16:special int32:full bool:bits" if label == "both" else "integers"
        yield from op("band_part", label, kinds=kinds, x=x, lower=bounds[0], upper=bounds[1])
    yield from op("band_part", "default", kinds="integers", x=x)
    yield from refused("band_part", "rank", "x is of rank 2 or more", x=X(4), lower=0, upper=0)
