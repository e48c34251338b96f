"""For every kind of layer some networks of that layer alone, with inputs: what the oracle's tests run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refcoreml import build

ARRAY = np.ndarray[Any, Any]


class Source:
    """Draws arrays in one of several styles."""

    STYLES = ("normal", "integers", "wide", "cancelling")

    def __init__(self, seed: int, style: str) -> None:
        self.rng, self.style = np.random.default_rng(seed), style

    def __call__(self, *shape: int) -> ARRAY:
        """Numbers of both signs, float32."""
        x = self.rng.normal(size=shape)
        if self.style == "integers":
            x = self.rng.integers(-4, 5, shape).astype(np.float64)
        elif self.style == "wide":
            x = x * 2.0 ** self.rng.integers(-12, 4, shape)
        elif self.style == "cancelling":
            x = np.where(self.rng.random(shape) < 0.5, 1.0, -1.0) * (3 + x / 64)
        return x.astype(np.float32)

    def positive(self, *shape: int) -> ARRAY:
        """Numbers from 0.25 to 4."""
        return np.exp2(self.rng.uniform(-2, 2, shape)).astype(np.float32)

    def whole(self, high: int, *shape: int) -> ARRAY:
        """Whole numbers from 0 to high - 1."""
        return self.rng.integers(0, high, shape).astype(np.float32)

    def maybe(self) -> bool:
        """True or false."""
        return bool(self.rng.random() < 0.5)

    def one_of(self, *choices: Any) -> Any:
        """One of them."""
        return choices[self.rng.integers(len(choices))]


@dataclass
class Example:
    """A layer, its inputs, its number of outputs and its fields."""

    kind: str
    inputs: list[ARRAY]
    fields: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1

    def model(self) -> Any:
        """The message of a model."""
        names = [f"y{i}" for i in range(self.outputs)]
        given = {f"x{i}": x.shape for i, x in enumerate(self.inputs)}
        # A network needs an input, even one of a constant.
        net = build.Network(given or {"unused": (1,)}, names, exact=True)
        net.add(self.kind, name="layer", inputs=list(given), outputs=names, **self.fields)
        return net.spec()

    def features(self) -> dict[str, ARRAY]:
        """Inputs by name."""
        given = {f"x{i}": x for i, x in enumerate(self.inputs)}
        return given or {"unused": np.zeros(1, np.float32)}


Make = Callable[[Source], Example]
EXAMPLES: dict[str, Make] = {}


def example(*kinds: str) -> Callable[[Callable[[Source, str], Any]], None]:
    """Registers a function from a source and a kind to (inputs, fields) or (inputs, fields, outputs)."""

    def register(function: Callable[[Source, str], Any]) -> None:
        for kind in kinds:
            EXAMPLES[kind] = lambda s, kind=kind: Example(kind, *function(s, kind))  # type: ignore[misc]

    return register


# ---- Value by value ----

example("ceil", "floor", "round", "sign", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asinh", "atan", "erf", "exp2")(
    lambda s, kind: ([s(3, 5)], {})
)
example("asin", "acos", "atanh")(lambda s, kind: ([np.clip(s(3, 5) / 8, -0.98, 0.98)], {}))
example("acosh")(lambda s, kind: ([1 + s.positive(3, 5)], {}))
example("gelu")(lambda s, kind: ([s(3, 5)], {"mode": s.one_of("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION")}))
example("clip")(lambda s, kind: ([s(3, 5)], {"minVal": -0.7, "maxVal": 0.9}))
example("clampedReLU")(lambda s, kind: ([s(3, 5)], {"alpha": 0.3, "beta": 1.1}))
example("add", "multiply")(
    lambda s, kind: s.one_of(([s(2, 3, 5)], {"alpha": 0.3}), ([s(2, 3, 5), s(2, 3, 5), s(2, 3, 5)], {}))
)
example("average", "max", "min")(lambda s, kind: ([s(2, 3, 5) for _ in range(s.one_of(2, 3, 4))], {}))
example(*(f"{name}Broadcastable" for name in ("add", "subtract", "multiply", "max", "min")))(
    lambda s, kind: ([s(3, 5), s(2, 1, 5)], {})
)
example("divideBroadcastable", "floorDivBroadcastable", "modBroadcastable")(
    lambda s, kind: ([s(3, 5), s.positive(2, 1, 5)], {})
)
example("powBroadcastable")(
    lambda s, kind: s.one_of(([s.positive(3, 5), s(2, 1, 5)], {}), ([s(3, 5), s.whole(4, 2, 1, 5)], {}))
)
example("equal", "notEqual", "lessThan", "lessEqual", "greaterThan", "greaterEqual")(
    lambda s, kind: s.one_of(([s(3, 5), s(2, 1, 5)], {}), ([s(3, 5)], {"alpha": 0.3}))
)
example("logicalAnd", "logicalOr", "logicalXor")(lambda s, kind: ([s.whole(2, 3, 5), s.whole(2, 3, 5)], {}))
example("logicalNot")(lambda s, kind: ([s.whole(2, 3, 5)], {}))
example("whereBroadcastable")(lambda s, kind: ([s.whole(2, 3, 5), s(2, 1, 5), s(3, 1)], {}))


@example("unary")
def _unary(s: Source, kind: str) -> Any:
    name = s.one_of("SQRT", "RSQRT", "INVERSE", "POWER", "EXP", "LOG", "ABS", "THRESHOLD")
    signed = name in ("EXP", "ABS", "THRESHOLD", "INVERSE")
    fields: dict[str, Any] = {"type": name, "alpha": s.one_of(0.3, 2.0, -1.5)}
    if s.maybe():
        fields |= {"scale": 1.7, "shift": 0.3, "epsilon": 1e-3}
    return [s(2, 3, 5) if signed else s.positive(2, 3, 5)], fields


@example("activation")
def _activation(s: Source, kind: str) -> Any:
    name = s.one_of(
        *("linear", "ReLU", "leakyReLU", "thresholdedReLU", "PReLU", "tanh", "scaledTanh", "sigmoid", "sigmoidHard"),
        *("ELU", "softsign", "softplus", "parametricSoftplus"),
    )
    numbers = {
        "linear": {"alpha": 1.3, "beta": -0.4},
        "leakyReLU": {"alpha": 0.01},
        "thresholdedReLU": {"alpha": 0.3},
        "PReLU": {"alpha": s(3)},
        "scaledTanh": {"alpha": 1.7, "beta": 0.6},
        "sigmoidHard": {"alpha": 0.2, "beta": 0.5},
        "ELU": {"alpha": 0.7},
        "parametricSoftplus": {"alpha": s(3), "beta": s.positive(3)},
    }
    return [s(3, 2, 5)], {name: numbers.get(name, {})}


# ---- Moving ----


@example("reshape")
def _reshape(s: Source, kind: str) -> Any:
    return [s(1, 1, 4, 3, 2)], {"targetShape": (2, 12, 1), "mode": s.one_of("CHANNEL_FIRST", "CHANNEL_LAST")}


example("flatten")(lambda s, kind: ([s(4, 3, 2)], {}))
example("permute")(lambda s, kind: ([s(1, 1, 4, 3, 2)], {"axis": (0, 3, 1, 2)}))
example("concat")(lambda s, kind: ([s(4, 3, 2), s(1, 3, 2)], {}))
example("split")(lambda s, kind: ([s(4, 3, 5)], {"nOutputs": 2}, 2))
example("sequenceRepeat")(lambda s, kind: ([s(3, 1, 2, 4, 5)], {"nRepetitions": 3}))
example("slice")(lambda s, kind: ([s(4, 3, 5)], {"startIndex": 1, "endIndex": 5, "stride": 2, "axis": "WIDTH_AXIS"}))
example("crop")(lambda s, kind: ([s(4, 3, 5)], {"cropAmounts": build_borders((1, 0), (2, 1))}))
example("copy")(lambda s, kind: ([s(4, 3)], {}))
example("reshapeStatic")(lambda s, kind: ([s(4, 3, 5)], {"targetShape": (6, 10)}))
example("rankPreservingReshape")(lambda s, kind: ([s(4, 3, 5)], {"targetShape": (2, 0, -1)}))
example("flattenTo2D")(lambda s, kind: ([s(4, 3, 5)], {"axis": 2}))
example("expandDims")(lambda s, kind: ([s(4, 3)], {"axes": (1,)}))
example("squeeze")(lambda s, kind: ([s(4, 1, 3)], {"axes": (1,)}))
example("transpose")(lambda s, kind: ([s(4, 3, 5)], {"axes": (2, 0, 1)}))
example("concatND")(lambda s, kind: ([s(4, 3), s(4, 5)], {"axis": 1}))
example("stack")(lambda s, kind: ([s(4, 3), s(4, 3)], {"axis": 1}))
example("splitND")(lambda s, kind: ([s(4, 5)], {"axis": 1, "splitSizes": (2, 3), "numSplits": 2}, 2))
example("tile")(lambda s, kind: ([s(4, 3)], {"reps": (2, 3)}))
example("broadcastToStatic")(lambda s, kind: ([s(4, 1)], {"targetShape": (2, 4, 3)}))
example("broadcastToLike")(lambda s, kind: ([s(4, 1), s(2, 4, 3)], {}))
example("broadcastToDynamic")(lambda s, kind: ([s(4, 1), vector(2, 4, 3)], {}))
example("reshapeLike")(lambda s, kind: ([s(4, 3), s(2, 6)], {}))
example("reshapeDynamic")(lambda s, kind: ([s(4, 3), vector(2, 6)], {}))
example("sliceStatic")(
    lambda s, kind: (
        [s(4, 5)],
        {"beginIds": (1, 0), "endIds": (4, 5), "strides": (1, 2), "beginMasks": (0, 0), "endMasks": (0, 0)},
    )
)
example("sliceDynamic")(
    lambda s, kind: (
        [s(4, 5), vector(1, 0)],
        {"endIds": (4, 5), "strides": (1, 2), "beginMasks": (0, 0), "endMasks": (0, 0)},
    )
)
example("sliceBySize")(lambda s, kind: ([s(4, 5), vector(1)], {"size": 2, "axis": 1}))
example("slidingWindows")(lambda s, kind: ([s(7, 3)], {"axis": 0, "windowSize": 3, "step": 2}))
example("reverse")(lambda s, kind: ([s(4, 3)], {"reverseDim": (False, True)}))
example("reverseSeq")(lambda s, kind: ([s(2, 5, 3), vector(3, 4)], {"batchAxis": 0, "sequenceAxis": 1}))
example("reorganizeData")(lambda s, kind: ([s(4, 6, 2)], {"mode": "SPACE_TO_DEPTH", "blockSize": 2}))
example("matrixBandPart")(lambda s, kind: ([s(4, 5)], {"numLower": 1, "numUpper": 2}))
example("lowerTriangular", "upperTriangular")(lambda s, kind: ([s(4, 5)], {"k": 1}))
example("constantPad")(lambda s, kind: ([s(4, 3)], {"value": 0.3, "padAmounts": (1, 2, 0, 3)}))
example("padding")(
    lambda s, kind: (
        [s(2, 4, 5)],
        {"paddingAmounts": build_borders((1, 2), (2, 0))}
        | s.one_of({"constant": {"value": 0.3}}, {"reflection": {}}, {"replication": {}}),
    )
)
example("gather")(lambda s, kind: ([s(4, 5), s.whole(5, 3)], {"axis": 1}))
example("gatherND")(lambda s, kind: ([s(4, 5), s.whole(4, 3, 1)], {}))
example("gatherAlongAxis")(lambda s, kind: ([s(4, 5), s.whole(5, 4, 3)], {"axis": 1}))
_MODES = tuple(f"SCATTER_{mode}" for mode in ("UPDATE", "ADD", "SUB", "MUL", "DIV", "MAX", "MIN"))
example("scatter")(
    lambda s, kind: ([s(4, 5), s.whole(5, 3), 1 + s.positive(4, 3)], {"axis": 1, "mode": s.one_of(*_MODES)})
)
example("scatterND")(lambda s, kind: ([s(4, 5), s.whole(4, 3, 1), 1 + s.positive(3, 5)], {"mode": s.one_of(*_MODES)}))
example("scatterAlongAxis")(
    lambda s, kind: ([s(4, 5), s.whole(5, 4, 3), 1 + s.positive(4, 3)], {"axis": 1, "mode": s.one_of(*_MODES)})
)
example("getShape")(lambda s, kind: ([s(4, 3)], {}))
example("fillLike")(lambda s, kind: ([s(4, 3)], {"value": 0.3}))
example("fillStatic")(lambda s, kind: ([], {"value": 0.3, "targetShape": (4, 3)}))
example("fillDynamic")(lambda s, kind: ([vector(4, 3)], {"value": 0.3}))
example("rangeStatic")(lambda s, kind: ([], {"startValue": 0.1, "endValue": 2.0, "stepSizeValue": 0.3}))
example("rangeDynamic")(lambda s, kind: ([vector(2), vector(0.25)], {"stepSizeValue": 0.3}))
example("loadConstant")(lambda s, kind: ([], {"shape": (2, 3, 4), "data": s(2, 3, 4)}))
example("loadConstantND")(lambda s, kind: ([], {"shape": (3, 4), "data": s(3, 4)}))
example("oneHot")(
    lambda s, kind: ([s.whole(5, 4)], {"oneHotVectorSize": 5, "axis": 1, "onValue": 0.7, "offValue": 0.1})
)
example("whereNonZero")(lambda s, kind: ([np.float32([[0, 1, 0], [2, 0, 3]])], {}))


def vector(*numbers: float) -> ARRAY:
    """A vector of shapes or indices."""
    return np.array(numbers, np.float32)


def build_borders(*pairs: tuple[int, int]) -> dict[str, Any]:
    """A ``BorderAmounts`` message."""
    return {"borderAmounts": [{"startEdgeSize": begin, "endEdgeSize": end} for begin, end in pairs]}


# ---- Sums ----


@example("convolution")
def _convolution(s: Source, kind: str) -> Any:
    fields = {"nGroups": 1, "kernelSize": (3, 2), "stride": s.one_of((1, 1), (2, 1)), "outputChannels": 5}
    fields |= {"kernelChannels": 4, "valid": {}, "hasBias": s.maybe()}
    if fields["hasBias"]:
        fields["bias"] = s(5)
    if s.maybe():
        return [s(1, 4, 6, 7)], {**fields, "isDeconvolution": True, "weights": s(4, 5, 3, 2)}
    return [s(1, 4, 6, 7)], {**fields, "weights": s(5, 4, 3, 2)}


@example("convolution3d")
def _convolution3d(s: Source, kind: str) -> Any:
    axes = ("Depth", "Height", "Width")
    fields = {
        "inputChannels": 4,
        "outputChannels": 3,
        "nGroups": 1,
        "paddingType": "VALID",
        "weights": s(3, 4, 2, 3, 1),
    }
    fields |= {f"kernel{axis}": k for axis, k in zip(axes, (2, 3, 1), strict=True)}
    fields |= {f"{name}{axis}": 1 for axis in axes for name in ("stride", "dilation")}
    return [s(1, 4, 3, 5, 6)], fields


example("innerProduct")(
    lambda s, kind: (
        [s(6)],
        {"inputChannels": 6, "outputChannels": 5, "weights": s(5, 6), "hasBias": True, "bias": s(5)},
    )
)
example("batchedMatmul")(
    lambda s, kind: s.one_of(
        ([s(3, 6), s(6, 5)], {}),
        ([s(3, 6)], {"weightMatrixFirstDimension": 6, "weightMatrixSecondDimension": 5, "weights": s(5, 6)}),
    )
)
example("scale")(
    lambda s, kind: (
        [s(3, 4, 5)],
        {"shapeScale": (3,), "scale": s(3), "hasBias": True, "shapeBias": (3, 4, 5), "bias": s(3, 4, 5)},
    )
)
example("bias")(lambda s, kind: ([s(3, 4, 5)], {"shape": (3,), "bias": s(3)}))
example("dot")(lambda s, kind: ([s(6, 1, 1), s(6, 1, 1)], {"cosineSimilarity": s.maybe()}))
example("embedding")(
    lambda s, kind: (
        [s.whole(6, 3, 1, 1, 1, 1)],
        {"inputDim": 6, "outputChannels": 4, "weights": s(4, 6), "hasBias": True, "bias": s(4)},
    )
)
example("embeddingND")(
    lambda s, kind: ([s.whole(6, 3, 1)], {"vocabSize": 6, "embeddingSize": 4, "weights": s(4, 6), "hasBias": False})
)


@example("pooling")
def _pooling(s: Source, kind: str) -> Any:
    fields = {"type": s.one_of("MAX", "AVERAGE", "L2"), "kernelSize": (3, 2), "stride": (2, 1)}
    fields |= {"avgPoolExcludePadding": s.maybe(), "same": {}}
    return [s(1, 3, 7, 5)], fields


@example("pooling3d")
def _pooling3d(s: Source, kind: str) -> Any:
    axes = ("Depth", "Height", "Width")
    fields = {"type": s.one_of("MAX", "AVERAGE"), "paddingType": "VALID"}
    fields |= {f"kernel{axis}": k for axis, k in zip(axes, (2, 3, 1), strict=True)}
    return [s(1, 2, 3, 4, 5)], fields | {f"stride{axis}": 1 for axis in axes}


example("globalPooling3d")(lambda s, kind: ([s(1, 2, 3, 4, 5)], {"type": s.one_of("MAX", "AVERAGE")}))
example(
    *(f"reduce{name}" for name in ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSumExp")),
)(lambda s, kind: ([s(3, 4, 5)], {"axes": s.one_of((1,), (-1, 0)), "keepDims": s.maybe()}))
example("reduceLogSum")(lambda s, kind: ([s.positive(3, 4, 5)], {"axes": (1,), "keepDims": True}))
example("reduce")(
    lambda s, kind: (
        [s.positive(3, 4, 5)],
        {
            "mode": s.one_of("SUM", "AVG", "PROD", "LOGSUM", "SUMSQUARE", "L1", "L2", "MAX", "MIN", "ARGMAX"),
            "axis": s.one_of("C", "H", "W"),
        },
    )
)
example("cumSum")(lambda s, kind: ([s(4, 5)], {"axis": 1, "reverse": s.maybe(), "excludeFinalSum": s.maybe()}))
example("upsample")(lambda s, kind: ([s(2, 4, 3)], {"scalingFactor": (2, 3), "mode": s.one_of("NN", "BILINEAR")}))
example("resizeBilinear")(lambda s, kind: ([s(2, 4, 3)], {"targetSize": (7, 5), "mode": sampling(s)}))
example("cropResize")(
    lambda s, kind: (
        [s(1, 2, 3, 6, 7), np.sort(s.positive(4, 1, 4, 1, 1), axis=2)],
        {"targetSize": (3, 2), "mode": sampling(s), "boxIndicesMode": {"boxMode": "CORNERS_HEIGHT_FIRST"}},
    )
)


def sampling(s: Source) -> dict[str, Any]:
    """A ``SamplingMode``."""
    return {
        "samplingMethod": s.one_of(
            "STRICT_ALIGN_ENDPOINTS_MODE", "ALIGN_ENDPOINTS_MODE", "UPSAMPLE_MODE", "ROI_ALIGN_MODE"
        )
    }


# ---- Normalizations and order ----

example("softmax")(lambda s, kind: ([s(5, 2, 3)], {}))
example("softmaxND")(lambda s, kind: ([s(3, 5)], {"axis": 1}))
example("mvn")(
    lambda s, kind: ([s(3, 4, 5)], {"acrossChannels": s.maybe(), "normalizeVariance": s.maybe(), "epsilon": 0.1})
)
example("l2normalize")(lambda s, kind: ([s(3, 4, 5)], {"epsilon": 0.1}))
example("lrn")(lambda s, kind: ([s(6, 2, 3)], {"localSize": 3, "alpha": 0.5, "beta": 0.75, "k": 1.5}))
example("layerNormalization")(
    lambda s, kind: ([s(3, 4, 5)], {"normalizedShape": (4, 5), "gamma": s(4, 5), "beta": s(4, 5), "eps": 0.1})
)


@example("batchnorm")
def _batchnorm(s: Source, kind: str) -> Any:
    fields: dict[str, Any] = {"channels": 3, "gamma": s(3), "beta": s(3), "epsilon": 0.1}
    if s.maybe():
        return [s(3, 4, 5)], {**fields, "computeMeanVar": True, "instanceNormalization": True}
    return [s(3, 4, 5)], {**fields, "mean": s(3), "variance": s.positive(3)}


example("argMax", "argMin")(lambda s, kind: ([s(4, 5)], {"axis": 1, "removeDim": s.maybe()}))
example("argSort")(lambda s, kind: ([s(4, 5)], {"axis": 1, "descending": s.maybe()}))
example("topK")(lambda s, kind: ([s(4, 5)], {"axis": 1, "K": 3, "useBottomK": s.maybe()}, 2))
example("NonMaximumSuppression")(
    lambda s, kind: (
        [s.positive(2, 6, 4), s(2, 6, 3)],
        {"iouThreshold": 0.3, "scoreThreshold": 0.1, "maxBoxes": 4, "perClassSuppression": s.maybe()},
        4,
    )
)


# ---- Recurrence ----


def _gates(s: Source, names: tuple[str, ...], inputs: int, hidden: int) -> dict[str, Any]:
    fields = {}
    for name in names:
        fields[f"{name}WeightMatrix"] = s(hidden, inputs) / 4
        fields[f"{name}RecursionMatrix"] = s(hidden, hidden) / 4
        fields[f"{name}BiasVector"] = s(hidden) / 4
    return fields


_SIZES = {"inputVectorSize": 4, "outputVectorSize": 3}
_LSTM = ("inputGate", "forgetGate", "outputGate", "blockInput")
_TANH = [{"sigmoid": {}}, {"tanh": {}}, {"tanh": {}}]


def _states(s: Source, count: int) -> list[ARRAY]:
    return [s(1, 2, 3, 1, 1) / 4 for _ in range(count)]


@example("simpleRecurrent")
def _simple(s: Source, kind: str) -> Any:
    own = {"weightMatrix": s(3, 4) / 4, "recursionMatrix": s(3, 3) / 4, "biasVector": s(3) / 4, "hasBiasVector": True}
    return [s(5, 2, 4, 1, 1), *_states(s, 1)], {**_SIZES, **own, "activation": {"tanh": {}}, "sequenceOutput": True}, 2


@example("gru")
def _gru(s: Source, kind: str) -> Any:
    own = _gates(s, ("updateGate", "resetGate", "outputGate"), 4, 3)
    fields = {**_SIZES, **own, "activations": _TANH[:2], "hasBiasVectors": True, "sequenceOutput": True}
    return [s(5, 2, 4, 1, 1), *_states(s, 1)], {**fields, "reverseInput": s.maybe()}, 2


@example("uniDirectionalLSTM")
def _lstm(s: Source, kind: str) -> Any:
    fields = {**_SIZES, "activations": _TANH, "weightParams": _gates(s, _LSTM, 4, 3)}
    return [s(5, 2, 4, 1, 1), *_states(s, 2)], {**fields, "params": {"hasBiasVectors": True, "sequenceOutput": True}}, 3


@example("biDirectionalLSTM")
def _both(s: Source, kind: str) -> Any:
    fields = {**_SIZES, "activationsForwardLSTM": _TANH, "activationsBackwardLSTM": _TANH}
    fields["weightParams"] = [_gates(s, _LSTM, 4, 3), _gates(s, _LSTM, 4, 3)]
    return [s(5, 2, 4, 1, 1), *_states(s, 4)], {**fields, "params": {"hasBiasVectors": True, "sequenceOutput": True}}, 5


def examples(s: Source) -> Iterator[Example]:
    """One of each kind."""
    for make in EXAMPLES.values():
        yield make(s)
