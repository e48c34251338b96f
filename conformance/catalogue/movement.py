"""Layers that move numbers without computing: shapes, axes, joins, slices, padding, constants, masks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.plan import MOVEMENT, Array, Plan, W, family, layer

family(
    "shape",
    "reshape flatten permute reorganizeData transpose reshapeStatic reshapeLike reshapeDynamic "
    "rankPreservingReshape flattenTo2D expandDims squeeze getShape broadcastToLike broadcastToStatic "
    "broadcastToDynamic",
)
family(
    "joining and slicing",
    "concat split sequenceRepeat slice crop concatND stack splitND tile sliceStatic "
    "sliceDynamic sliceBySize slidingWindows reverse reverseSeq",
)
family("padding", "padding constantPad")
family("constants", "loadConstant loadConstantND fillLike fillStatic fillDynamic rangeStatic rangeDynamic copy")
family("masks", "whereNonZero whereBroadcastable matrixBandPart lowerTriangular upperTriangular oneHot")

_X, _TWO = (3, 5, 4), "integers nan"


def _vector(*numbers: float) -> Array:
    return np.array(numbers, np.float32)


def plans() -> Iterator[Plan]:
    yield from _legacy()
    yield from _shapes()
    yield from _slices()
    yield from _constants()
    yield from _masks()


def _legacy() -> Iterator[Plan]:
    for mode in ("CHANNEL_FIRST", "CHANNEL_LAST"):
        name = mode.lower().replace("_", "-")
        yield from layer("reshape", name, _X, data=_TWO, target_shape=[2, 6, 5], mode=mode)
        yield from layer(
            "reshape", f"{name}-sequence", (2, 1, 3, 5, 4), data="integers", target_shape=[5, 4, 3, 2], mode=mode
        )
        yield from layer("flatten", name, _X, data=_TWO, mode=mode)
        yield from layer("flatten", f"{name}-rank-5", (2, 6, 3, 5, 4), data="integers", mode=mode)
    for axes in ([0, 2, 3, 1], [0, 3, 1, 2], [2, 0, 3, 1], [3, 1, 0, 2]):
        label = "".join(map(str, axes))
        yield from layer("permute", label, (2, 1, 3, 5, 4), data="integers", axis=axes)
    yield from layer("permute", "chw", _X, data=_TWO, axis=[0, 3, 1, 2])
    for mode, shape in {"SPACE_TO_DEPTH": (3, 4, 6), "DEPTH_TO_SPACE": (8, 5, 3), "PIXEL_SHUFFLE": (8, 5, 3)}.items():
        name = mode.lower().replace("_", "-")
        yield from layer("reorganizeData", name, shape, data=_TWO, mode=mode, block_size=2)
    yield from layer(
        "reorganizeData", "space-to-depth-3", (2, 6, 9), data="integers", mode="SPACE_TO_DEPTH", block_size=3
    )
    yield from layer("concat", "channels", (3, 5, 4), (2, 5, 4), (1, 5, 4), data=MOVEMENT)
    yield from layer("concat", "sequence", (2, 6, 3, 5, 4), (1, 6, 3, 5, 4), data="integers", sequence_concat=True)
    yield from layer("split", "channels", (6, 5, 4), data=MOVEMENT, outputs=3, n_outputs=3)
    yield from layer("sequenceRepeat", "three", (2, 5, 3, 6, 4), data=_TWO, n_repetitions=3)
    yield from layer("sequenceRepeat", "chw", _X, data="integers", n_repetitions=2)
    yield from layer("sequenceRepeat", "unset", (2, 5, 3, 6, 4), data="integers")
    for axis in ("CHANNEL_AXIS", "HEIGHT_AXIS", "WIDTH_AXIS"):
        yield from layer(
            "slice",
            axis.lower().replace("_", "-"),
            (7, 8, 9),
            data="integers",
            axis=axis,
            start_index=1,
            end_index=5,
            stride=2,
        )
    yield from layer(
        "slice", "negative", (7, 8, 9), data="nan", axis="HEIGHT_AXIS", start_index=-5, end_index=-1, stride=1
    )
    yield from layer(
        "slice", "to-end", (7, 8, 9), data="integers", axis="WIDTH_AXIS", start_index=3, end_index=-1, stride=3
    )
    amounts = {"borderAmounts": [{"startEdgeSize": 1, "endEdgeSize": 2}, {"startEdgeSize": 3, "endEdgeSize": 0}]}
    yield from layer("crop", "amounts", (2, 7, 9), data=MOVEMENT, crop_amounts=amounts)
    yield from layer("crop", "reference", (2, 3, 7, 9), (5, 1, 4, 6), data="integers", offset=[1, 2])
    kinds = {"constant": {"value": 1.5}, "reflection": {}, "replication": {}}
    for kind, fields in kinds.items():
        yield from layer("padding", kind, (2, 5, 7), data=_TWO, padding_amounts=amounts, **{kind: fields})
    yield from layer("padding", "none", (2, 5, 7), data="integers", constant={"value": 1.5})
    yield from layer("padding", "rank-5", (2, 6, 3, 5, 7), data="integers", padding_amounts=amounts, reflection={})


def _shapes() -> Iterator[Plan]:
    x = (4, 3, 5)
    yield from layer("transpose", "201", x, data=MOVEMENT, axes=[2, 0, 1])
    yield from layer("transpose", "rank-5", (2, 6, 3, 5, 4), data="integers", axes=[3, 0, 4, 2, 1])
    yield from layer("reshapeStatic", "plain", x, data=_TWO, target_shape=[2, 6, 5])
    yield from layer("reshapeStatic", "rest", x, data=_TWO, target_shape=[10, -1])
    yield from layer("reshapeLike", "plain", x, (2, 6, 5), data=MOVEMENT)
    yield from layer("reshapeDynamic", "plain", x, _vector(2, 6, 5), data=_TWO)
    yield from layer("reshapeDynamic", "rest", x, _vector(10, -1), data=_TWO)
    yield from layer("rankPreservingReshape", "zero", x, data=_TWO, target_shape=[0, 5, 3])
    yield from layer("rankPreservingReshape", "rest", x, data=_TWO, target_shape=[6, -1, 2])
    for axis in (0, 1, 3, -1, -2):
        yield from layer("flattenTo2D", f"axis{axis}", x, data="integers", axis=axis)
    yield from layer("expandDims", "middle", x, data=_TWO, axes=[1])
    yield from layer("expandDims", "both-ends", x, data=_TWO, axes=[-1, 0])
    yield from layer("squeeze", "one", (4, 1, 3, 1, 5), data=_TWO, axes=[1])
    yield from layer("squeeze", "last", (4, 1, 3, 1), data="integers", axes=[-1])
    yield from layer("squeeze", "nothing-left", (1, 1), data="integers", squeeze_all=True)
    yield from layer("squeeze", "all", (4, 1, 3, 1), data="integers", squeeze_all=True)
    yield from layer("getShape", "rank-3", x, data="integers nan")
    yield from layer("getShape", "rank-5", (2, 6, 3, 5, 4), data="integers")
    yield from layer("getShape", "rank-1", (7,), data="integers")
    yield from layer("broadcastToLike", "plain", (3, 1), (4, 3, 5), data=MOVEMENT)
    yield from layer("broadcastToStatic", "plain", (3, 1), data=MOVEMENT, target_shape=[4, 3, 5])
    yield from layer("broadcastToDynamic", "plain", (3, 1), _vector(4, 3, 5), data=MOVEMENT)


def _slices() -> Iterator[Plan]:
    yield from layer("concatND", "axis1", (4, 3, 5), (4, 2, 5), (4, 1, 5), data=_TWO, axis=1)
    yield from layer("concatND", "last", (4, 3, 5), (4, 3, 2), data="integers", axis=-1)
    yield from layer("concatND", "interleave", (4, 3, 5), (4, 3, 5), data="integers", axis=1, interleave=True)
    for axis in (0, 1, -1):
        yield from layer("stack", f"axis{axis}", (4, 3, 5), (4, 3, 5), data=_TWO, axis=axis)
    yield from layer("splitND", "equal", (4, 6, 5), data=_TWO, outputs=3, axis=1, num_splits=3)
    yield from layer("splitND", "uneven", (4, 7, 5), data="integers", outputs=3, axis=-2, num_splits=3)
    yield from layer("splitND", "sizes", (4, 7, 5), data="integers", outputs=3, axis=1, split_sizes=[1, 4, 2])
    yield from layer("tile", "all", (4, 3, 5), data=_TWO, reps=[2, 1, 3])
    yield from layer("tile", "fewer", (4, 3, 5), data="integers", reps=[2])
    yield from layer("tile", "dynamic", (4, 3, 5), _vector(1, 3, 2), data="integers")
    static: dict[str, dict[str, Any]] = {
        "plain": {"begin_ids": [1, 0, 2], "end_ids": [4, 6, 8], "strides": [1, 2, 3]},
        "negative": {"begin_ids": [-3, -5, -1], "end_ids": [-1, -1, -7], "strides": [1, 2, -2]},
        "begin-masks": {
            "begin_ids": [1, 3, 5],
            "end_ids": [4, 6, 8],
            "strides": [1, 1, 2],
            "begin_masks": [True, False, True],
        },
        "end-masks": {
            "begin_ids": [1, 3, 5],
            "end_ids": [2, 4, 6],
            "strides": [1, 1, -2],
            "end_masks": [True, False, True],
        },
        "squeeze": {
            "begin_ids": [1, 0, -2],
            "end_ids": [4, 6, 8],
            "strides": [1, 2, 1],
            "squeeze_masks": [False, False, True],
        },
    }
    for label, fields in static.items():
        masks = {name: [False] * 3 for name in ("begin_masks", "end_masks", "squeeze_masks")}
        data = "integers nan" if label in ("plain", "negative") else "integers"
        yield from layer("sliceStatic", label, (5, 6, 8), data=data, **{**masks, **fields})
    yield from layer(
        "sliceDynamic",
        "two-inputs",
        (5, 6, 8),
        _vector(1, 0, 2),
        data=_TWO,
        end_ids=[4, 6, 8],
        strides=[1, 2, 3],
        begin_masks=[False] * 3,
        end_masks=[False] * 3,
    )
    yield from layer(
        "sliceDynamic",
        "end-as-input",
        (5, 6, 8),
        _vector(1, 0, 2),
        _vector(3, -1, 8),
        data="integers",
        strides=[1, 2, 3],
        begin_masks=[False] * 3,
        end_masks=[False] * 3,
    )
    yield from layer(
        "sliceDynamic",
        "masks",
        (5, 6, 8),
        _vector(2, 3, -2),
        data="integers",
        end_ids=[4, 4, 8],
        strides=[1, 1, 1],
        begin_masks=[True, False, False],
        end_masks=[False, True, False],
        squeeze_masks=[False, False, True],
    )
    yield from layer(
        "sliceDynamic",
        "long-lists",
        (5, 6, 8),
        _vector(1, 0, 2),
        data="integers",
        end_ids=[4, 6, 8, 1, 1],
        strides=[1, 2, 3, 1, 1],
        begin_masks=[False] * 3 + [True] * 2,
        end_masks=[False] * 3 + [True] * 2,
        squeeze_masks=[False] * 3 + [True] * 2,
    )
    yield from layer(
        "sliceDynamic",
        "all-inputs",
        (5, 6, 8),
        _vector(1, 3, -2),
        _vector(3, 6, 8),
        _vector(1, 2, 1),
        _vector(0, 1, 0),
        _vector(1, 0, 0),
        _vector(0, 0, 1),
        data="integers",
    )
    yield from layer("sliceBySize", "middle", (5, 7, 4), _vector(2), data=_TWO, size=3, axis=1)
    yield from layer("sliceBySize", "last", (5, 7, 4), _vector(0), data=_TWO, size=2, axis=-1)
    yield from layer("slidingWindows", "step-1", (3, 7, 4), data=_TWO, axis=1, window_size=3, step=1)
    yield from layer("slidingWindows", "step-2", (3, 8, 4), data="integers", axis=-2, window_size=3, step=2)
    yield from layer("slidingWindows", "vector", (9,), data="integers", axis=0, window_size=4, step=3)
    yield from layer("reverse", "one", (4, 3, 5), data=_TWO, reverse_dim=[False, True, False])
    yield from layer("reverse", "two", (4, 3, 5), data=_TWO, reverse_dim=[True, False, True])
    yield from layer("reverseSeq", "first", (3, 5, 4), _vector(2, 5, 0), data=_TWO, batch_axis=0, sequence_axis=1)
    yield from layer("reverseSeq", "later", (4, 3, 2, 6), _vector(1, 6, 4), data=_TWO, batch_axis=1, sequence_axis=-1)
    pad = {"value": 1.5, "pad_amounts": [1, 0, 0, 2, 3, 1]}
    yield from layer("constantPad", "amounts", (4, 3, 5), data=_TWO, **pad)
    yield from layer(
        "constantPad",
        "to-size",
        (4, 3, 5),
        data="integers",
        value=-2,
        pad_amounts=[0, 7, 6, 0, 4, 0],
        pad_to_given_output_size_mode=True,
    )
    yield from layer("constantPad", "value-unset", (4, 3), data="integers", pad_amounts=[1, 0, 2, 3])
    yield from layer("constantPad", "dynamic", (4, 3, 5), _vector(1, 0, 0, 2, 3, 1), data="integers", value=1.5)


def _constants() -> Iterator[Plan]:
    yield from layer("loadConstant", "chw", data=MOVEMENT, shape=[3, 5, 4], stored=W((3, 5, 4)))
    yield from layer("loadConstant", "half", data="zero-mean", shape=[2, 5, 4], stored=W((2, 5, 4), "float16"))
    yield from layer("loadConstantND", "rank-2", data="integers zero-mean wide", shape=[3, 7], stored=W((3, 7)))
    yield from layer("loadConstantND", "rank-5", data="integers", shape=[2, 4, 3, 6, 5], stored=W((2, 4, 3, 6, 5)))
    yield from layer("fillLike", "plain", (4, 3, 5), data="integers nan", value=2.5)
    yield from layer("fillLike", "unset", (7,), data="integers nan")
    for label, shape in {"rank-1": [7], "rank-3": [4, 3, 5]}.items():
        yield from layer("fillStatic", label, data="integers", value=-1.5, target_shape=shape)
        yield from layer("fillStatic", f"{label}-fraction", data="integers", value=0.1, target_shape=shape)
        yield from layer("fillDynamic", label, _vector(*shape), data="integers", value=-1.5)
        yield from layer("fillDynamic", f"{label}-fraction", _vector(*shape), data="integers", value=0.1)
    ranges = {"up": (1, 8, 2), "down": (5, -2, -1.5), "exact-end": (0, 6, 1.5), "one": (3, 3.5, 2)}
    for label, (start, end, step) in ranges.items():
        yield from layer("rangeStatic", label, data="integers", start_value=start, end_value=end, step_size_value=step)
        yield from layer(
            "rangeDynamic", f"{label}-end", _vector(end), data="integers", start_value=start, step_size_value=step
        )
    yield from layer("rangeDynamic", "start", _vector(9), _vector(2), data="integers", start_value=7, step_size_value=3)
    yield from layer(
        "rangeDynamic", "all", _vector(9), _vector(2), _vector(2.5), data="integers", start_value=7, step_size_value=9
    )
    yield from layer("copy", "plain", (4, 3, 5), data=MOVEMENT)


def _masks() -> Iterator[Plan]:
    yield from layer("whereNonZero", "rank-3", (4, 3, 5), data="bits integers")
    yield from layer("whereNonZero", "rank-1", (9,), data="bits integers")
    condition = lambda source, kind: source.integers((4, 3, 5), 0, 1)  # noqa: E731
    yield from layer("whereBroadcastable", "equal", condition, (4, 3, 5), (4, 3, 5), data=_TWO)
    yield from layer(
        "whereBroadcastable",
        "broadcast",
        lambda source, kind: source.integers((3, 1), -1, 1),
        (5,),
        (4, 1, 1),
        data="integers zero-mean",
    )
    for lower, upper in ((1, 2), (0, 0), (-1, 1), (2, -1)):
        yield from layer(
            "matrixBandPart", f"{lower}-{upper}", (2, 4, 6), data="integers", num_lower=lower, num_upper=upper
        )
    for k in (0, 2, -1):
        yield from layer("lowerTriangular", f"k{k}", (2, 4, 6), data=_TWO, k=k)
        yield from layer("upperTriangular", f"k{k}", (2, 4, 6), data=_TWO, k=k)
    index = lambda source, kind: source.integers((4, 3), 0, 5)  # noqa: E731
    for axis in (0, 1, -1):
        yield from layer(
            "oneHot",
            f"axis{axis}",
            index,
            data="integers",
            one_hot_vector_size=6,
            axis=axis,
            on_value=2.5,
            off_value=-1,
        )
    outside = lambda source, kind: source.integers((4, 3), -3, 9)  # noqa: E731
    yield from layer(
        "oneHot", "outside", outside, data="integers", one_hot_vector_size=6, axis=1, on_value=2.5, off_value=-1
    )
    yield from layer("oneHot", "depth-as-input", index, _vector(5), data="integers", axis=1, on_value=1)
