"""Models and inputs that break one constraint of a layer each; `negative` has those that need more words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.plan import Array, Plan, W, invalid

_ONE_INPUT = (
    "ceil floor round sign exp2 sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf clampedReLU logicalNot"
)
_BROADCAST = (
    "subtractBroadcastable multiplyBroadcastable divideBroadcastable floorDivBroadcastable modBroadcastable "
    "powBroadcastable maxBroadcastable minBroadcastable equal notEqual lessThan lessEqual greaterThan greaterEqual "
    "logicalAnd logicalOr logicalXor"
)
_ND = (4, 6, 5)


def _vector(*numbers: float) -> Array:
    return np.array(numbers, np.float32)


def _zeros(*shape: int) -> Array:
    return np.zeros(shape, np.float32)


def plans() -> Iterator[Plan]:
    for kind in _ONE_INPUT.split():
        yield from invalid(kind, "inputs", "the layer takes one input", (4, 3), (4, 3), clause="C1")
    for kind in _BROADCAST.split():
        yield from invalid(kind, "shapes", "the shapes must broadcast", (4, 3), (4, 2), clause="C1")
    for kind in ("multiply", "average", "max", "min"):
        yield from invalid(kind, "shapes", "the shapes must broadcast", (3, 5, 7), (3, 4, 7), clause="C1")
    yield from _modes()
    yield from _axes()
    yield from _shapes()
    yield from _indices()
    yield from _weights()
    yield from _windows()
    yield from _random()
    yield from _recurrent()


def _modes() -> Iterator[Plan]:
    rule = "the mode must be one of the schema"
    yield from invalid("unary", "type", rule, (3, 5, 4), type=99, clause="C1")
    yield from invalid("gelu", "mode", rule, _ND, mode=99, clause="C1")
    yield from invalid("scatter", "mode", rule, _ND, _vector(1, 2), (4, 2, 5), axis=1, mode=99, clause="C3")
    yield from invalid("scatterND", "mode", rule, _ND, _zeros(1, 1), (1, 6, 5), mode=99, clause="C3")
    yield from invalid("scatterAlongAxis", "mode", rule, _ND, _zeros(4, 1, 5), (4, 1, 5), axis=1, mode=99, clause="C3")


def _axes() -> Iterator[Plan]:
    exists = "the axis must exist"
    for name in ["Mean", "Prod", "Max", "Min", "L1", "L2", "SumSquare", "LogSum", "LogSumExp"]:
        yield from invalid(f"reduce{name}", "axis", "the axes must exist", _ND, axes=[3], clause="C1")
    yield from invalid("argMin", "axis", exists, _ND, axis=3, clause="C1")
    yield from invalid("argSort", "axis", "the axis is counted from the start", _ND, axis=-1, clause="C1")
    yield from invalid("gatherAlongAxis", "axis", exists, _ND, _zeros(*_ND), axis=3, clause="C1")
    yield from invalid("scatter", "axis", exists, _ND, _vector(1, 2), (4, 2, 5), axis=3, clause="C1")
    yield from invalid("scatterAlongAxis", "axis", exists, _ND, _zeros(*_ND), _ND, axis=3, clause="C1")
    yield from invalid("sliceBySize", "axis", exists, _ND, _vector(1), axis=3, size=2, clause="C1")
    yield from invalid(
        "sliceBySize", "begin", "begin must be one element", _ND, _vector(1, 2), axis=1, size=2, clause="C2"
    )
    yield from invalid("concatND", "axis", exists, (4, 3), (4, 3), axis=2, clause="C2")
    yield from invalid("stack", "axis", exists, (4, 3), (4, 3), axis=3, clause="C2")
    yield from invalid("splitND", "axis", exists, _ND, outputs=2, axis=3, num_splits=2, clause="C2")
    yield from invalid("oneHot", "axis", exists, _zeros(4, 3), axis=3, one_hot_vector_size=2, on_value=1, clause="C1")
    yield from invalid("flattenTo2D", "axis", exists, _ND, axis=4, clause="C1")
    yield from invalid("squeeze", "axis", exists, (4, 1, 5), axes=[3], clause="C1")
    yield from invalid("expandDims", "twice", "no axis may be named twice", (4, 3), axes=[1, 1], clause="C1")
    yield from invalid(
        "reverseSeq",
        "axes",
        "the batch must lie left of the sequence",
        _ND,
        _vector(1, 2, 3, 4, 5, 6),
        batch_axis=1,
        sequence_axis=0,
        clause="C1",
    )
    yield from invalid(
        "reverseSeq",
        "lengths",
        "there must be one length per item",
        _ND,
        _vector(1, 2),
        batch_axis=0,
        sequence_axis=1,
        clause="C2",
    )
    yield from invalid("cumSum", "axis-as-input", exists, _ND, _vector(5), clause="C2")
    yield from invalid(
        "topK", "k-as-input", "K must be one element", _ND, _vector(1, 2), outputs=2, axis=1, clause="C2"
    )


def _shapes() -> Iterator[Plan]:
    count = "the number of elements must stay"
    at_least_one = "lengths must be 1 or more"
    for kind in ("mvn", "l2normalize", "scale", "bias", "crop", "upsample", "resizeBilinear", "reorganizeData", "lrn"):
        fields: dict[str, Any] = {
            "scale": {"shape_scale": [1], "scale": W((1,))},
            "bias": {"shape": [1], "bias": W((1,))},
            "crop": {"crop_amounts": {"borderAmounts": [{"startEdgeSize": 1}, {"startEdgeSize": 1}]}},
            "upsample": {"scaling_factor": [2, 3]},
            "resizeBilinear": {"target_size": [2, 3]},
            "reorganizeData": {"mode": "SPACE_TO_DEPTH", "block_size": 2},
            "lrn": {"local_size": 3, "k": 1},
        }.get(kind, {})
        clause = {"crop": "C3", "upsample": "C3"}.get(kind, "C1")
        yield from invalid(kind, "rank", "the input must have rank 3", (4, 6), exact=True, clause=clause, **fields)
    yield from invalid("flatten", "rank", "the input must have rank 3", (4, 6), exact=True, clause="C1")
    yield from invalid("reshapeLike", "count", count, (4, 3, 5), (2, 7), clause="C1")
    yield from invalid("reshapeDynamic", "count", count, (4, 3, 5), _vector(4, 16), clause="C2")
    yield from invalid("reshapeDynamic", "shape", "the shape must be a vector", (4, 3), _zeros(2, 2) + 4, clause="C1")
    yield from invalid("rankPreservingReshape", "rank", "the rank must stay", (4, 3), target_shape=[12], clause="C1")
    yield from invalid("rankPreservingReshape", "count", count, (4, 3), target_shape=[4, 4], clause="C2")
    yield from invalid("broadcastToLike", "shape", "the shape must broadcast", (3, 2), (4, 3, 5), clause="C1")
    yield from invalid("broadcastToStatic", "zero", at_least_one, (3, 1), target_shape=[3, 0], clause="C1")
    yield from invalid("broadcastToDynamic", "shape", "the shape must broadcast", (3, 2), _vector(4, 3, 5), clause="C2")
    yield from invalid(
        "broadcastToDynamic", "rank", "the shape must be a vector", (3, 1), _zeros(2, 2) + 3, clause="C1"
    )
    yield from invalid("fillDynamic", "rank", "the shape must be a vector", _zeros(2, 2) + 3, value=1, clause="C1")
    yield from invalid("fillDynamic", "zero", at_least_one, _vector(4, 0), value=1, clause="C2")
    yield from invalid(
        "loadConstantND", "count", "data must fill the shape", shape=[3, 4], stored=W((3, 3)), clause="C1"
    )
    yield from invalid(
        "loadConstant", "count", "data must fill the shape", shape=[3, 4, 2], stored=W((3, 3)), clause="C1"
    )
    steps = {"start_value": 1, "step_size_value": 1}
    yield from invalid("rangeDynamic", "end", "the end must be one element", _vector(4, 5), clause="C1", **steps)
    yield from invalid("rangeDynamic", "empty", "a range must hold a number", _vector(0), clause="C2", **steps)
    yield from invalid("tile", "zero", "repetitions must be 1 or more", (4, 3), reps=[2, 0], clause="C1")
    for kind in ("matrixBandPart", "lowerTriangular", "upperTriangular"):
        yield from invalid(kind, "rank", "the input must have rank 2", (7,), exact=True, clause="C1")
    deep = (2, 3, 4, 1, 5)
    too_deep = "no blob may have a rank above 5"
    yield from invalid("slidingWindows", "rank", too_deep, deep, axis=1, window_size=2, step=1, clause="C2")
    yield from invalid("oneHot", "rank", too_deep, _zeros(*deep), axis=1, one_hot_vector_size=2, clause="C3")
    yield from invalid("reorganizeData", "block", "the block must be 2 or more", (2, 4, 6), block_size=1, clause="C1")
    yield from invalid(
        "reshape", "rank", "the input must have rank 5", (3, 5, 4), exact=True, target_shape=[5, 3, 4], clause="C2"
    )
    yield from invalid(
        "sequenceRepeat", "rank", "the input must have rank 5", (3, 5, 4), exact=True, n_repetitions=2, clause="C1"
    )
    yield from invalid(
        "slice",
        "empty",
        "something must be left",
        (3, 5, 7),
        axis="HEIGHT_AXIS",
        start_index=3,
        end_index=2,
        stride=1,
        clause="C2",
    )
    yield from invalid("crop", "reference", "the reference must fit", (2, 5, 7), (2, 4, 6), offset=[2, 0], clause="C2")
    both = {"pad_amounts": [5, 6, 0, 0], "pad_to_given_output_size_mode": True}
    yield from invalid("constantPad", "both-sides", "one number of a pair must be 0", (4, 3), clause="C2", **both)
    yield from invalid(
        "constantPad", "negative", "amounts must not be negative", (4, 3), _vector(1, -1, 0, 2), clause="C3"
    )
    yield from invalid(
        "upsample", "factors", "there must be two factors", (2, 4, 5), scaling_factor=[2, 3, 2], clause="C1"
    )
    yield from invalid(
        "upsample", "mode", "fractions need BILINEAR", (2, 4, 5), fractional_scaling_factor=[1.5, 2.2], clause="C2"
    )


def _indices() -> Iterator[Plan]:
    deep = (2, 3, 4, 1, 5)
    too_deep = "no blob may have a rank above 5"
    yield from invalid("gather", "rank", too_deep, deep, _zeros(2, 3), axis=1, clause="C2")
    yield from invalid("gatherND", "places", "a place has at most an index an axis", (4, 6), _zeros(2, 3), clause="C1")
    yield from invalid("gatherND", "rank", too_deep, deep, _zeros(2, 3, 1), clause="C2")
    yield from invalid("gatherAlongAxis", "shape", "lengths must agree", _ND, _zeros(3, 2, 5), axis=1, clause="C2")
    yield from invalid(
        "scatterND", "places", "a place has at most an index an axis", (4, 6), _zeros(2, 3), (2,), clause="C1"
    )
    yield from invalid("scatterND", "updates", "the updates must fit", (4, 6), _zeros(2, 1), (2, 5), clause="C2")
    yield from invalid(
        "scatterAlongAxis", "updates", "the updates must fit", _ND, _zeros(4, 2, 5), (4, 3, 5), axis=1, clause="C2"
    )
    table: dict[str, Any] = {"vocab_size": 7, "embedding_size": 5}
    yield from invalid(
        "embeddingND",
        "weights",
        "the weights must fill their shape",
        _zeros(4, 1),
        weights=W((5, 6)),
        clause="C2",
        **table,
    )
    table = {"input_dim": 7, "output_channels": 5}
    yield from invalid(
        "embedding",
        "weights",
        "the weights must fill their shape",
        _zeros(1, 1, 1),
        weights=W((5, 6)),
        clause="C1",
        **table,
    )
    yield from invalid(
        "embedding",
        "shape",
        "the input must be one number",
        _zeros(2, 1, 1, 3),
        weights=W((5, 7)),
        clause="C2",
        **table,
    )
    yield from invalid(
        "embedding",
        "index",
        "an index must be below inputDim",
        _zeros(1, 1, 1) + 7,
        weights=W((5, 7)),
        clause="C3",
        **table,
    )
    ids = {"end_ids": [4, 3], "begin_masks": [False] * 2, "end_masks": [False] * 2}
    yield from invalid(
        "sliceDynamic",
        "begin",
        "there must be an entry per axis",
        (4, 3),
        _vector(1),
        strides=[1, 1],
        clause="C1",
        **ids,
    )
    yield from invalid(
        "sliceDynamic", "stride", "no stride may be 0", (4, 3), _vector(1, 0), strides=[1, 0], clause="C2", **ids
    )


def _weights() -> Iterator[Plan]:
    fill = "the weights must fill their shape"
    sizes = {"weight_matrix_first_dimension": 6, "weight_matrix_second_dimension": 5}
    yield from invalid("batchedMatmul", "weights", fill, (4, 6), weights=W((5, 5)), clause="C3", **sizes)
    norm: dict[str, Any] = {"normalized_shape": [5], "beta": W((5,))}
    yield from invalid(
        "layerNormalization", "gamma", "gamma must fill normalizedShape", (4, 5), gamma=W((4,)), clause="C2", **norm
    )
    yield from invalid(
        "layerNormalization",
        "quantized",
        "gamma must not be quantized",
        (4, 5),
        gamma=W((5,), "linear4"),
        clause="C3",
        **norm,
    )
    yield from invalid(
        "convolution",
        "weights-as-input",
        "the second input must have the shape of the weights",
        (1, 3, 7, 9),
        (5, 2, 2, 4),
        output_channels=5,
        kernel_channels=3,
        n_groups=1,
        kernel_size=[2, 4],
        valid={},
        clause="C5",
    )
    volume: dict[str, Any] = {
        f"{name}_{axis}": n
        for name, three in {"kernel": (2, 3, 1), "stride": (1, 1, 1), "dilation": (1, 1, 1)}.items()
        for axis, n in zip(("depth", "height", "width"), three, strict=True)
    } | {"output_channels": 6, "padding_type": "VALID"}
    x = (2, 4, 5, 6, 3)
    for label, clause, rule, more in [
        ("groups", "C1", "nGroups must divide the channels", {"n_groups": 3, "weights": W((6, 4, 2, 3, 1))}),
        ("few-weights", "C2", fill, {"n_groups": 1, "weights": W((6, 4, 2, 3, 2))}),
        ("channels", "C3", "the input must have inputChannels", {"input_channels": 5, "weights": W((6, 5, 2, 3, 1))}),
    ]:
        fields = {"input_channels": 4, "n_groups": 1, **volume, **more}
        yield from invalid("convolution3d", label, rule, x, clause=clause, **fields)


def _windows() -> Iterator[Plan]:
    yield from invalid(
        "pooling",
        "kernel",
        "the kernel must have two numbers",
        (3, 5, 7),
        type="MAX",
        kernel_size=[2],
        valid={},
        clause="C2",
    )
    window: dict[str, Any] = {f"kernel_{axis}": 2 for axis in ("depth", "height", "width")} | {
        f"stride_{axis}": 1 for axis in ("depth", "height", "width")
    }
    x = (2, 3, 4, 5, 6)
    yield from invalid(
        "pooling3d",
        "kernel",
        "the kernel must be 1 or more",
        x,
        clause="C1",
        padding_type="VALID",
        **{**window, "kernel_height": 0},
    )
    yield from invalid(
        "pooling3d",
        "padding",
        "paddings go with CUSTOM only",
        x,
        clause="C2",
        padding_type="VALID",
        custom_padding_top=1,
        **window,
    )
    yield from invalid("globalPooling3d", "rank", "the input must have rank 5", (2, 3, 4, 5), clause="C1")
    two = {"target_size": [2, 3, 4]}
    yield from invalid("resizeBilinear", "size", "there must be two sizes", (2, 4, 5), clause="C1", **two)
    image, box = (1, 2, 6, 5, 7), _zeros(3, 1, 4, 1, 1) + 2
    yield from invalid(
        "cropResize", "boxes", "a box has 4 or 5 numbers", image, _zeros(3, 1, 3, 1, 1), clause="C1", target_size=[2, 3]
    )
    yield from invalid("cropResize", "size", "there must be two sizes", image, box, clause="C2", **two)
    yield from invalid(
        "cropResize", "image", "the image must exist", image, _zeros(3, 1, 5, 1, 1) + 2, clause="C3", target_size=[2, 3]
    )
    yield from invalid(
        "NonMaximumSuppression",
        "max-boxes",
        "maxBoxes must be 1 or more",
        (2, 5, 4),
        (2, 5, 3),
        outputs=4,
        max_boxes=0,
        clause="C2",
    )
    yield from invalid(
        "NonMaximumSuppression",
        "threshold",
        "no threshold may be NaN",
        (2, 5, 4),
        (2, 5, 3),
        _vector(float("nan")),
        outputs=4,
        max_boxes=2,
        clause="C3",
    )


def _random() -> Iterator[Plan]:
    wrong: dict[str, tuple[str, dict[str, Any]]] = {
        "Normal": ("stdDev must not be negative", {"std_dev": -1}),
        "Uniform": ("minVal must not exceed maxVal", {"min_val": 2, "max_val": 1}),
        "Bernoulli": ("prob must be 0 to 1", {"prob": 1.5}),
    }
    for name, (rule, fields) in wrong.items():
        yield from invalid(f"random{name}Like", "parameter", rule, (4, 3), clause="C1", **fields)
        yield from invalid(f"random{name}Dynamic", "parameter", rule, _vector(4, 3), clause="C1", **fields)
        lengths = "lengths must be 1 or more"
        yield from invalid(f"random{name}Static", "zero", lengths, output_shape=[4, 0], clause="C2")
        yield from invalid(f"random{name}Dynamic", "zero", lengths, _vector(4, 0), clause="C2")
    yield from invalid(
        "randomNormalStatic", "parameter", wrong["Normal"][0], output_shape=[4], clause="C1", **wrong["Normal"][1]
    )
    yield from invalid(
        "categoricalDistribution", "samples", "numSamples must be 1 or more", (4, 3), num_samples=0, clause="C1"
    )


def _recurrent() -> Iterator[Plan]:
    sizes = {"input_vector_size": 3, "output_vector_size": 5}
    x, state = (4, 2, 3, 1, 1), (1, 2, 5, 1, 1)

    def weights(gates: str, rows: int = 5) -> dict[str, Any]:
        result = {f"{gate}WeightMatrix": W((rows, 3)) for gate in gates.split()}
        return result | {f"{gate}RecursionMatrix": W((5, 5)) for gate in gates.split()}

    shapes, functions = "matrices must have the declared sizes", "recurrent layers take six activations"
    inputs = "the input must have inputVectorSize numbers"
    good, bad = [{"sigmoid": {}}, {"tanh": {}}, {"tanh": {}}], [{"softplus": {}}, {"tanh": {}}, {"tanh": {}}]
    yield from invalid(
        "simpleRecurrent",
        "input",
        inputs,
        (4, 2, 7, 1, 1),
        state,
        outputs=2,
        activation={"tanh": {}},
        weight_matrix=W((5, 3)),
        recursion_matrix=W((5, 5)),
        clause="C3",
        **sizes,
    )
    gates = "inputGate forgetGate blockInput outputGate"
    for label, clause, rule, shape, rows, chosen in [
        ("weights", "C1", shapes, x, 4, good),
        ("activation", "C2", functions, x, 5, bad),
        ("input", "C3", inputs, (4, 2, 7, 1, 1), 5, good),
    ]:
        fields: dict[str, Any] = {"clause": clause, **sizes}
        yield from invalid(
            "gru",
            label,
            rule,
            shape,
            state,
            outputs=2,
            activations=chosen[:2],
            **weights("updateGate resetGate outputGate", rows),
            **fields,
        )
        one = weights(gates, rows)
        yield from invalid(
            "uniDirectionalLSTM",
            label,
            rule,
            shape,
            state,
            state,
            outputs=3,
            activations=chosen,
            weight_params=one,
            **fields,
        )
        yield from invalid(
            "biDirectionalLSTM",
            label,
            rule,
            shape,
            *[state] * 4,
            outputs=5,
            activationsForwardLSTM=good,
            activationsBackwardLSTM=chosen,
            weight_params=[one, dict(one)],
            **fields,
        )
