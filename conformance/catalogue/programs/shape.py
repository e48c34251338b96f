"""Shapes, order, joining, dividing and repeating, fills and ranges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.programs.plan import C, Making, ProgramPlan, X, op, program, refused, small_before

#: What moves numbers of each type that all operation sets have, with NaN among them; and those since CoreML7.
_KINDS = "nan fp16:nan int32:integers bool:bits"
_SMALL = "int8:full uint8:full int16:full uint16:full"
_SHORT, _FLOATS = "nan fp16:nan", "nan fp16:nan"


def plans() -> Iterator[ProgramPlan]:
    yield from _reshape()
    yield from _reshape_like()
    yield from _axes()
    yield from _blocks()
    yield from _joined()
    yield from _divided()
    yield from _made()


def _ints(*values: int, computed: bool = False) -> Any:
    return (X if computed else C)(value=np.array(values), type="int32")


def _both(kind: str, label: str, /, clauses: str, **given: Any) -> Iterator[ProgramPlan]:
    """Yield cases of the types of the oldest form, and of those that CoreML7 added."""
    yield from op(kind, label, kinds=_KINDS, clauses=clauses, **given)
    yield from op(kind, label, kinds=_SMALL, opset="CoreML7", clauses=f"{clauses}", **given)


# ---- The same order, another shape ----


def _reshape() -> Iterator[ProgramPlan]:
    kind, x = "reshape", X(3, 4, 5)
    yield from _both(kind, "known", "S1", x=x, shape=[6, 10])
    yield from op(kind, "rest", kinds=_SHORT, clauses="S1 S2", x=x, shape=[2, -1, 3])
    yield from op(kind, "kept", kinds=_SHORT, clauses="S2 S3", x=x, shape=[0, 2, -1])
    open_ = {"kinds": _SHORT, "x": x, "results": [("fp32", (None, None))]}
    yield from op(kind, "computed", clauses="S1 S2", shape=_ints(2, -1, computed=True), **{**open_, "kinds": "nan"})
    yield from op(kind, "last-zeros", kinds=_SHORT, opset="CoreML7", clauses="S4", x=x, shape=[0, -1])
    yield from op(
        kind, "zeros-without-axes", kinds="nan", opset="CoreML7", clauses="S4", x=X(2, 50), shape=[1, 0, -1, 0]
    )
    yield from op(kind, "to-number", kinds="nan", clauses="S2", x=X(1, 1), shape=np.zeros(0, np.int32))
    for size in ("int16", "int8"):
        shape = np.array([10, 6]).astype(size)
        yield from op(kind, f"shape-{size}", kinds="nan", opset="CoreML7", clauses="S1", x=x, shape=shape)
    yield from refused(
        kind, "size", "the product of the shape is the number of elements", clause="C2", x=x, shape=[7, 8]
    )
    yield from refused(kind, "rests", "at most one number is -1", clause="C2", x=x, shape=[-1, -1, 3])
    yield from refused(kind, "negative", "numbers are -1 or more", clause="C2", x=x, shape=[-3, 4, 5])
    yield from refused(
        kind, "shape-int16", "the shape is int32", clause="C1", opset="CoreML6", x=x, shape=np.int16([60])
    )


def _reshape_like() -> Iterator[ProgramPlan]:
    kind = "reshape_like"
    whole: dict[str, Any] = {"begins": 0, "ends": 0, "end_masks": True}
    yield from op(kind, "whole", kinds=_KINDS, clauses="S1 S2", x=X(3, 4, 5), ref_tensors=[X(10, 6)], **whole)
    yield from op(
        kind, "whole", kinds=_SMALL, opset="CoreML7", clauses="S1", x=X(3, 4, 5), ref_tensors=[X(10, 6)], **whole
    )
    parts: dict[str, Any] = {"begins": np.int32([0, 1]), "ends": np.int32([2, 0]), "end_masks": np.array([False, True])}
    other = X(1, 5, 6, type="int32")
    yield from op(kind, "parts", kinds=_SHORT, clauses="S1 S2", x=X(180), ref_tensors=[X(2, 3, 4), other], **parts)
    yield from op(
        kind,
        "from-end",
        kinds="nan",
        clauses="S1",
        x=X(4, 3),
        ref_tensors=[X(2, 3, 4)],
        begins=-2,
        ends=9,
        end_masks=False,
    )
    yield from refused(
        kind, "size", "the shapes have as many elements", clause="C2", x=X(3, 4), ref_tensors=[X(7, 2)], **whole
    )
    yield from refused(
        kind,
        "counts",
        "there is a begin for each tensor",
        clause="C1",
        x=X(3, 4),
        ref_tensors=[X(3, 4), X(4, 3)],
        **whole,
    )


def _axes() -> Iterator[ProgramPlan]:
    x, wide = X(3, 4, 5), X(1, 3, 1, 4)
    yield from small_before("expand_dims", axes=[0])
    yield from small_before("squeeze")
    yield from small_before("transpose", perm=[1, 0])
    yield from _both("expand_dims", "first-and-last", "S1", x=x, axes=[0, -1])
    yield from op("expand_dims", "middle", kinds=_SHORT, clauses="S1", x=x, axes=[2])
    yield from op("expand_dims", "negative", kinds=_SHORT, clauses="S1", x=x, axes=[-4, 2])
    yield from op("expand_dims", "number", kinds="nan", clauses="S1", x=X(), axes=[0, 1])
    for label, axes, rule in (
        ("twice", [0, 0], "no axis is named twice"),
        ("range", [4], "axes are those of the result"),
        ("rank", [0, 1, 2], "no result has more than 5 axes"),
    ):
        yield from refused(
            "expand_dims", label, rule, clause="C2", x=x, axes=axes, results=[("fp32", (None,) * (3 + len(axes)))]
        )

    yield from _both("squeeze", "one", "S1", x=wide, axes=[-2])
    yield from op("squeeze", "several", kinds=_SHORT, clauses="S1", x=wide, axes=[2, 0])
    yield from op("squeeze", "all", kinds=_SHORT, clauses="S2", x=wide)
    yield from op("squeeze", "to-number", kinds="nan", clauses="S2", x=X(1, 1))
    for label, axes, rule in (("twice", [0, -4], "no axis is named twice"), ("range", [4], "axes are those of x")):
        yield from refused("squeeze", label, rule, clause="C2", x=wide, axes=axes, results=[("fp32", (None,) * 3)])

    yield from _both("transpose", "turned", "S1", x=x, perm=[2, 0, 1])
    yield from op("transpose", "negative", kinds=_SHORT, clauses="S1", x=x, perm=[-1, 0, 1])
    yield from op("transpose", "batched", kinds=_SHORT, clauses="S1", x=X(2, 3, 4, 5), perm=[0, 1, 3, 2])
    yield from op("transpose", "five", kinds="nan", clauses="S1", x=X(1, 2, 3, 4, 5), perm=[4, 2, 0, 1, 3])
    for label, perm in (("twice", [0, 1, 1]), ("short", [1, 0]), ("range", [0, 1, 3])):
        yield from refused("transpose", label, "perm is a permutation of the axes", clause="C2", x=x, perm=perm)

    for label, axis in (("default", None), ("first", 0), ("last", 3), ("negative", -1)):
        given = {} if axis is None else {"axis": axis}
        clauses = "S1 S2" if axis in (0, 3) else "S1"
        yield from op("flatten2d", label, kinds=_KINDS if axis is None else _SHORT, clauses=clauses, x=x, **given)
    yield from refused(
        "flatten2d", "range", "axis is -rank to rank", clause="C1", x=x, axis=4, results=[("fp32", (None,) * 2)]
    )

    for label, shape in (("vector", (7,)), ("image", (2, 3, 4)), ("five", (2, 1, 3, 4, 5))):
        yield from op("shape", label, kinds=_KINDS if label == "image" else "nan", clauses="S1", x=X(*shape))
    yield from refused(
        "shape",
        "int8",
        "x is fp16, fp32, int32 or bool",
        kinds="int8:integers",
        clause="C1",
        opset="CoreML7",
        x=x,
        results=[("int32", (3,))],
    )


# ---- Blocks ----


def _blocks() -> Iterator[ProgramPlan]:
    for kind, name, channels, sides in (
        ("depth_to_space", "block_size", (12, 27), (2, 5)),
        ("pixel_shuffle", "upscale_factor", (12, 27), (2, 5)),
        ("space_to_depth", "block_size", (3, 2), (4, 6)),
        ("pixel_unshuffle", "downscale_factor", (3, 2), (4, 6)),
    ):
        number = np.uint32 if kind == "pixel_unshuffle" else np.int32
        larger = (sides[0] * 3, sides[1] * 3) if channels[0] == 3 else sides
        yield from op(kind, "two", kinds=_FLOATS, clauses="S1", x=X(2, channels[0], *sides), **{name: number(2)})
        yield from op(kind, "three", kinds=_FLOATS, clauses="S1", x=X(1, channels[1], *larger), **{name: number(3)})
        for label, x, rule in (
            ("division", X(1, 7, 5, 7), "blocks divide x evenly"),
            ("rank", X(12, 4, 6), "x has rank 4"),
        ):
            yield from refused(kind, label, rule, clause="C1", x=x, **{name: number(2)})
        yield from refused(
            kind, "int", "x holds floats", kinds="int32:integers", clause="C1", x=X(1, 12, 4, 6), **{name: number(2)}
        )

    margins, block = np.int32([[1, 2], [0, 5]]), np.int32([2, 3])
    kind = "space_to_batch"
    none = np.zeros((2, 2), np.int32)
    yield from op(kind, "padded", kinds=_FLOATS, clauses="S1", x=X(2, 3, 5, 4), block_shape=block, paddings=margins)
    yield from op(kind, "plain", kinds=_FLOATS, clauses="S1", x=X(1, 2, 4, 6), block_shape=block, paddings=none)
    yield from refused(
        kind, "division", "blocks divide x evenly", clause="C1", x=X(1, 2, 5, 6), block_shape=block, paddings=none
    )
    yield from refused(kind, "rank", "x has rank 4", clause="C1", x=X(2, 4, 6), block_shape=block, paddings=none)
    kind = "batch_to_space"
    yield from op(kind, "cropped", kinds=_FLOATS, clauses="S1", x=X(12, 3, 5, 4), block_shape=block, crops=margins)
    yield from op(kind, "plain", kinds=_FLOATS, clauses="S1", x=X(6, 2, 4, 5), block_shape=block, crops=none)
    yield from refused(
        kind, "division", "blocks divide the batch evenly", clause="C1", x=X(4, 2, 3, 5), block_shape=block, crops=none
    )
    yield from refused(
        kind,
        "nothing",
        "crops leave a pixel",
        clause="C1",
        x=X(6, 1, 1, 2),
        block_shape=block,
        crops=np.int32([[1, 1], [0, 0]]),
    )


# ---- Joined, divided, repeated ----


def _joined() -> Iterator[ProgramPlan]:
    parts = [X(3, 1, 5), X(3, 4, 5), X(3, 2, 5)]
    yield from op("concat", "middle", kinds=_KINDS, clauses="S1", values=parts, axis=-2)
    yield from op("concat", "first", kinds=_SHORT, clauses="S1", values=[X(2, 3), C(1, 3), X(4, 3)], axis=0)
    yield from op(
        "concat", "turns", kinds=_KINDS, clauses="S2", values=[X(3, 4), X(3, 4), X(3, 4)], axis=0, interleave=True
    )
    yield from op(
        "concat", "turns-last", kinds="nan", clauses="S2", values=[X(3, 4), X(3, 4)], axis=-1, interleave=True
    )
    yield from op("concat", "numbers", kinds="integers int32:integers", clauses="S3", values=[X(), C(), X()], axis=0)
    for label, values, more, rule in (
        ("lengths", [X(3, 4), X(2, 5)], {}, "other lengths are equal"),
        ("turns", [X(3, 4), X(2, 4)], {"interleave": True}, "with interleave shapes are equal"),
        ("types", [X(3, 4), X(3, 4, type="int32")], {}, "types are equal"),
    ):
        yield from refused(
            "concat", label, rule, clause="C1", values=values, axis=0, results=[("fp32", (None,) * 2)], **more
        )
    for label, axis in (("first", 0), ("middle", 1), ("last", -1)):
        yield from op(
            "stack",
            label,
            kinds=_KINDS if axis == 1 else _SHORT,
            clauses="S1",
            values=[X(3, 4), X(3, 4), C(3, 4)],
            axis=axis,
        )
    yield from op("stack", "numbers", kinds="integers int32:integers", clauses="S1", values=[X(), X()], axis=0)
    for label, values, axis, rule in (
        ("shapes", [X(3, 4), X(4, 3)], 0, "shapes are equal"),
        ("axis", [X(3, 4), X(3, 4)], 3, "axis is one of the result"),
    ):
        yield from refused("stack", label, rule, clause="C1", values=values, axis=axis, results=[("fp32", (None,) * 3)])


def _divided() -> Iterator[ProgramPlan]:
    x = X(3, 4, 5)
    yield from op("split", "even", kinds=_KINDS, clauses="S2", x=x, axis=1, num_splits=2)
    yield from op("split", "sizes", kinds=_SHORT, clauses="S1", x=x, axis=-1, split_sizes=[1, 3, 1])
    yield from op("split", "both", kinds=_SHORT, clauses="S1 S2", x=x, axis=1, split_sizes=[3, 1], num_splits=2)
    yield from op("split", "whole", kinds="nan", clauses="S2", x=x, axis=0, num_splits=1)
    two = [("fp32", (None,) * 3)] * 2
    yield from refused("split", "axis", "the axis exists", clause="C1", x=x, axis=3, num_splits=2, results=two)
    for label, given, rule in (
        ("sum", {"split_sizes": [1, 2]}, "sizes add up to the length"),
        ("count", {"split_sizes": [1, 3], "num_splits": 3}, "there are num_splits sizes"),
        ("neither", {}, "sizes or their number are given"),
        ("even", {"num_splits": 3}, "num_splits divides the length"),
    ):
        yield from refused("split", label, rule, clause="C2", x=x, axis=1, results=two, **given)
    yield from op("tile", "all", kinds=_KINDS, clauses="S1", x=x, reps=[2, 1, 3])
    yield from op("tile", "vector", kinds=_SHORT, clauses="S1", x=X(7), reps=[4])
    yield from op(
        "tile",
        "computed",
        kinds="nan",
        clauses="S1",
        x=X(2, 3),
        reps=_ints(3, 2, computed=True),
        results=[("fp32", (None, None))],
    )
    yield from refused("tile", "count", "there is a number for each axis", clause="C1", x=x, reps=[2, 1])
    yield from refused("tile", "zero", "numbers are 1 or more", clause="C1", x=x, reps=[2, 0, 1])


# ---- Fills, ranges, bands ----


def _made() -> Iterator[ProgramPlan]:
    """Yield cases of fills, ranges and bands."""
    values = {"fp32": np.float32(1.5), "fp16": np.float16(-2.5), "int32": np.int32(7), "bool": np.bool_(True)}
    shape = _ints(2, 3, computed=True)
    for element, value in values.items():
        yield from op(
            "fill",
            f"{element}-computed",
            kinds="integers",
            clauses="S1",
            shape=shape,
            value=value,
            results=[(element, (None, None))],
        )
        yield from op(
            "fill_like",
            element,
            kinds="integers int32:integers bool:bits",
            clauses="S1",
            ref_tensor=X(2, 3),
            value=value,
        )
    yield from op("fill", "default", kinds="integers", clauses="S2", shape=shape, results=[("fp32", (None, None))])
    yield from op("fill_like", "default", kinds="integers int32:integers", clauses="S2", ref_tensor=X(2, 3))

    def constant(p: Making) -> Any:
        return p.add("add", x=p["x"], y=p.add("fill", shape=[3, 4], value=values[p.element]))

    yield from program(
        "fill", "constant", constant, {"x": X(3, 4)}, kinds="integers fp16:integers int32:integers", clauses="S1"
    )
    yield from refused(
        "fill",
        "zero",
        "numbers are 1 or more",
        clause="C1",
        shape=_ints(2, 0, computed=True),
        results=[("fp32", (None, None))],
    )
    yield from refused(
        "fill_like",
        "int8",
        "ref_tensor is fp16, fp32, int32 or bool",
        kinds="int8:integers",
        clause="C1",
        opset="CoreML7",
        ref_tensor=X(2, 3),
        results=[("fp32", (2, 3))],
    )

    kind = "range_1d"
    for label, start, end, step in (("up", 2, 9, 3), ("down", 4, -3, -2), ("one", 0, 1, 4)):
        for element in ("fp32", "fp16", "int32"):
            numbers = {
                name: X(value=np.array(value), type=element)
                for name, value in (("end", end), ("start", start), ("step", step))
            }
            yield from op(
                kind, f"{label}-{element}", kinds="integers", clauses="S1", results=[(element, (None,))], **numbers
            )
    end = X(value=np.array(0.3), type="fp32")
    tenth = {"start": np.float32(0), "step": np.float32(0.1), "results": [("fp32", (None,))]}
    yield from op(kind, "tenths", kinds="integers", clauses="S1 S2", end=end, **tenth)
    yield from op(
        kind, "many-tenths", kinds="integers", clauses="S2", end=X(value=np.array(99.95), type="fp32"), **tenth
    )
    yield from refused(
        kind, "types", "numbers are of one type", clause="C1", end=X(value=np.array(5.0)), start=1, step=1
    )
    for label, start, step, rule in (("step", 0, 0, "the step is not 0"), ("empty", 5, 1, "the range holds a number")):
        yield from refused(
            kind,
            label,
            rule,
            clause="C2",
            end=_ints(5, computed=True),
            start=start,
            step=step,
            results=[("int32", (None,))],
        )

    kind = "band_part"
    for label, bounds in (
        ("all", {}),
        ("lower", {"upper": 0}),
        ("upper", {"lower": 0}),
        ("band", {"lower": 1, "upper": 2}),
        ("negative", {"lower": -7, "upper": 0}),
    ):
        kinds = _KINDS if label == "band" else "nan fp16:nan"
        yield from op(kind, label, kinds=kinds, clauses="S1 S2 S3", x=X(2, 4, 5), **bounds)
    yield from refused(kind, "rank", "x has rank 2 or more", clause="C1", x=X(5), lower=0)
