"""Random Core ML networks, written with `refcoreml.build`, and what must hold for every one of them.

`networks` draws rank-5 networks (layers of specification versions 1 to 3) and N-D networks (versions 4
and 5), with branches that join again by sums and concatenation. `check_network` runs them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from refcoreml import build
from refcoreml.errors import InputError, InvalidModelError
from refcoreml.model import Model, load
from refcoreml.spec import schema
from refcoreml.testing.draws import Draws, HypothesisDraws, RandomDraws
from refcoreml.testing.extras import hypothesis
from refcoreml.testing.rounding import UNIT32, trace_bounds
from refcoreml.types import Array, Shape

__all__ = ["LAYERS_ND", "LAYERS_RANK5", "SpecNetwork", "check_network", "networks", "random_spec_network"]


@dataclass
class _Writer:
    """A network in the making: its blobs and their shapes, which the engine itself computes."""

    draws: Draws
    rng: np.random.Generator
    inputs: dict[str, Shape]
    exact: bool
    net: build.Network = field(init=False)
    blobs: list[str] = field(init=False)
    shapes: dict[str, Shape] = field(init=False)

    def __post_init__(self) -> None:
        self.shapes = {name: shape if self.exact else (1, 1, *shape) for name, shape in self.inputs.items()}
        self.net = build.Network(self.inputs, [], exact=self.exact)
        self.blobs = list(self.inputs)

    def shape(self, blob: str) -> Shape:
        """Return the shape of a blob; in rank-5 networks [C, H, W]."""
        return self.shapes[blob] if self.exact else self.shapes[blob][2:]

    def weights(self, *shape: int) -> Array:
        """Return numbers in [-1, 1] divided by the root of the number of terms."""
        terms = int(np.prod(shape[1:])) or 1
        return np.asarray(self.rng.uniform(-1, 1, shape) / terms**0.5, np.float32)

    def positive(self, *shape: int) -> Array:
        """Return numbers in [0.5, 1.5]."""
        return np.asarray(self.rng.uniform(0.5, 1.5, shape), np.float32)

    def add(self, kind: str, *blobs: str, outputs: Any = 1, **fields: Any) -> bool:
        """Add a layer unless its shapes do not fit; return whether it did."""
        names = [f"b{len(self.blobs) + i}" for i in range(outputs)]
        self.net.add(kind, inputs=list(blobs), outputs=names, **fields)
        draft = build.Network(self.inputs, dict.fromkeys(names), exact=self.exact)
        draft.layers.extend(self.net.layers)
        try:
            known = load(draft.spec()).shapes({name: self.shapes[name] for name in self.inputs})
        except (InputError, InvalidModelError):
            self.net.layers.pop()
            return False
        self.shapes.update({name: known[name] for name in names})
        self.blobs.extend(names)
        return True


#: Adds a layer behind a blob.
Layer = Callable[[_Writer, str], Any]
LAYERS_RANK5: dict[str, Layer] = {}
LAYERS_ND: dict[str, Layer] = {}


def _layer(name: str, *tables: dict[str, Layer]) -> Callable[[Layer], Layer]:
    def register(function: Layer) -> Layer:
        for table in tables or (LAYERS_RANK5,):
            table[name] = function
        return function

    return register


def _padding(w: _Writer, most: int = 1) -> dict[str, Any]:
    kind = w.draws.choice(["valid", "same", "padded"])
    if kind == "same":
        return {"same": {"asymmetryMode": w.draws.choice(["BOTTOM_RIGHT_HEAVY", "TOP_LEFT_HEAVY"])}}
    edges = [{"startEdgeSize": w.draws.integer(0, most), "endEdgeSize": w.draws.integer(0, most)} for _ in range(2)]
    return {"valid": {"paddingAmounts": {"borderAmounts": edges}} if kind == "padded" else {}}


@_layer("convolution")
def _convolution(w: _Writer, x: str) -> None:
    channels = w.shape(x)[-3]
    groups = w.draws.choice([n for n in (1, channels, 2) if channels % n == 0])
    size = groups * w.draws.integer(1, 3)
    kernel = [w.draws.integer(1, 3), w.draws.integer(1, 3)]
    stride, dilation = [w.draws.integer(1, 2) for _ in range(2)], [w.draws.choice([1, 1, 2]) for _ in range(2)]
    fields: dict[str, Any] = {
        "kernel_size": kernel,
        "stride": stride,
        "dilation_factor": dilation,
        "n_groups": groups,
        **_padding(w),
    }
    weights = w.weights(size, channels // groups, *kernel)
    bias: dict[str, Any] = {"has_bias": True, "bias": w.weights(size)} if w.draws.choice([True, False]) else {}
    w.add(
        "convolution",
        x,
        **{**fields, "output_channels": size, "kernel_channels": channels // groups, "weights": weights},
        **bias,
    )


@_layer("deconvolution")
def _deconvolution(w: _Writer, x: str) -> None:
    channels, size = w.shape(x)[-3], w.draws.integer(1, 3)
    kernel, stride = [w.draws.integer(1, 3) for _ in range(2)], [w.draws.integer(1, 2) for _ in range(2)]
    if max(w.shape(x)[-2:]) > 8:
        return
    w.add(
        "convolution",
        x,
        is_deconvolution=True,
        kernel_size=kernel,
        stride=stride,
        output_channels=size,
        kernel_channels=channels,
        n_groups=1,
        weights=w.weights(channels, size, *kernel),
        **w.draws.choice([{"valid": {}}, {"same": {}}]),
    )


@_layer("pooling")
def _pooling(w: _Writer, x: str) -> None:
    kind = w.draws.choice(["MAX", "AVERAGE", "L2"])
    if w.draws.choice([False, False, True]):
        w.add("pooling", x, type=kind, global_pooling=True, valid={})
        return
    fields: dict[str, Any] = {
        "kernel_size": [w.draws.integer(1, 3) for _ in range(2)],
        "stride": [w.draws.integer(1, 2)] * 2,
    }
    last = {"includeLastPixel": {"paddingAmounts": [w.draws.integer(0, 1)] * 2}}
    padding = w.draws.choice([_padding(w, 0), last])
    excluded = w.draws.choice([False, True])
    w.add("pooling", x, type=kind, avg_pool_exclude_padding=excluded, **fields, **padding)


@_layer("activation", LAYERS_RANK5, LAYERS_ND)
def _activation(w: _Writer, x: str) -> None:
    options: list[dict[str, Any]] = [
        *({"ReLU": {}}, {"leakyReLU": {"alpha": 0.3}}, {"tanh": {}}, {"scaledTanh": {"alpha": 1.5, "beta": 0.7}}),
        *({"sigmoid": {}}, {"sigmoidHard": {"alpha": 0.2, "beta": 0.5}}, {"ELU": {"alpha": 0.8}}, {"softsign": {}}),
        *({"softplus": {}}, {"linear": {"alpha": -0.7, "beta": 0.1}}, {"thresholdedReLU": {"alpha": 0.2}}),
    ]
    w.add("activation", x, **w.draws.choice(options))


@_layer("PReLU")
def _prelu(w: _Writer, x: str) -> None:
    w.add("activation", x, PReLU={"alpha": w.positive(w.shape(x)[-3])})


@_layer("unary", LAYERS_RANK5, LAYERS_ND)
def _unary(w: _Writer, x: str) -> None:
    kind = w.draws.choice(["ABS", "EXP", "THRESHOLD", "POWER"])
    w.add("activation", x, tanh={})  # keeps the argument small
    w.add("unary", w.blobs[-1], type=kind, alpha=2.0 if kind == "POWER" else 0.25, scale=0.5, shift=0.25)


@_layer("root", LAYERS_RANK5, LAYERS_ND)
def _root(w: _Writer, x: str) -> None:
    kind = w.draws.choice(["SQRT", "RSQRT", "INVERSE", "LOG"])
    w.add("unary", x, type="ABS")
    w.add("unary", w.blobs[-1], type=kind, shift=0.5, scale=1.0, epsilon=1e-3)


@_layer("batchnorm")
def _batchnorm(w: _Writer, x: str) -> None:
    n = w.shape(x)[-3]
    fields: dict[str, Any] = {"channels": n, "gamma": w.positive(n), "beta": w.weights(n), "epsilon": 1e-3}
    if w.draws.choice([False, True]) and w.shape(x)[-1] * w.shape(x)[-2] > 3:
        fields |= {"computeMeanVar": True, "instanceNormalization": w.draws.choice([True, False])}
    else:
        fields |= {"mean": w.weights(n), "variance": w.positive(n)}
    w.add("batchnorm", x, **fields)


@_layer("mvn")
def _mvn(w: _Writer, x: str) -> None:
    flags = {"acrossChannels": w.draws.choice([True, False]), "normalizeVariance": w.draws.choice([True, False])}
    w.add("mvn", x, epsilon=1e-3, **flags)


@_layer("l2normalize")
def _l2(w: _Writer, x: str) -> None:
    w.add("l2normalize", x, epsilon=1e-3)


@_layer("lrn")
def _lrn(w: _Writer, x: str) -> None:
    w.add("lrn", x, localSize=w.draws.integer(1, 3), alpha=0.5, beta=0.75, k=1.5)


@_layer("softmax")
def _softmax(w: _Writer, x: str) -> None:
    w.add("softmax", x)


@_layer("scale")
def _scale(w: _Writer, x: str) -> None:
    n, height, width = w.shape(x)[-3:]
    shape = w.draws.choice([(n,), (1,), (n, height, width), (1, height, width)])
    w.add("scale", x, shapeScale=shape, scale=w.positive(*shape), hasBias=True, shapeBias=shape, bias=w.weights(*shape))


@_layer("bias")
def _bias(w: _Writer, x: str) -> None:
    n = w.shape(x)[-3]
    w.add("bias", x, shape=[n], bias=w.weights(n))


@_layer("padding")
def _pad(w: _Writer, x: str) -> None:
    edges = [{"startEdgeSize": w.draws.integer(0, 1), "endEdgeSize": w.draws.integer(0, 1)} for _ in range(2)]
    kind = w.draws.choice([{"constant": {"value": 0.3}}, {"reflection": {}}, {"replication": {}}])
    w.add("padding", x, paddingAmounts={"borderAmounts": edges}, **kind)


@_layer("upsample")
def _upsample(w: _Writer, x: str) -> None:
    if max(w.shape(x)[-2:]) < 9:
        w.add("upsample", x, scalingFactor=[2, 2], mode=w.draws.choice(["NN", "BILINEAR"]))


@_layer("crop")
def _crop(w: _Writer, x: str) -> None:
    if min(w.shape(x)[-2:]) > 2:
        edges = [{"startEdgeSize": w.draws.integer(0, 1), "endEdgeSize": w.draws.integer(0, 1)} for _ in range(2)]
        w.add("crop", x, cropAmounts={"borderAmounts": edges})


@_layer("slice")
def _slice(w: _Writer, x: str) -> None:
    axis = w.draws.choice(["CHANNEL_AXIS", "HEIGHT_AXIS", "WIDTH_AXIS"])
    w.add("slice", x, axis=axis, startIndex=0, endIndex=-1, stride=w.draws.integer(1, 2))


@_layer("permute")
def _permute(w: _Writer, x: str) -> None:
    w.add("permute", x, axis=w.draws.choice([[0, 1, 3, 2], [0, 2, 1, 3], [0, 3, 2, 1]]))


@_layer("reduce")
def _reduce(w: _Writer, x: str) -> None:
    w.add("multiply", x, alpha=w.draws.choice([0.5, -1.5]))


@_layer("split and concat")
def _split(w: _Writer, x: str) -> None:
    if w.shape(x)[-3] % 2 == 0 and w.add("split", x, outputs=2, nOutputs=2):
        w.add("concat", w.blobs[-1], w.blobs[-2])


@_layer("join")
def _join(w: _Writer, x: str) -> None:
    """Add a residual or a concatenation with an earlier blob of the same height and width."""
    fitting = [blob for blob in w.blobs if blob != x and w.shape(blob)[-2:] == w.shape(x)[-2:]]
    if not fitting:
        return
    other = w.draws.choice(fitting)
    kinds = ["concat"]
    if w.shape(other) == w.shape(x):
        kinds += ["add", "multiply", "max", "min", "average"]
    w.add(w.draws.choice(kinds), x, other)


@_layer("dense")
def _dense(w: _Writer, x: str) -> None:
    n, size = int(np.prod(w.shape(x))), w.draws.integer(1, 5)
    w.add("flatten", x, mode=w.draws.choice(["CHANNEL_FIRST", "CHANNEL_LAST"]))
    fields: dict[str, Any] = {"inputChannels": n, "outputChannels": size, "weights": w.weights(size, n)}
    w.add("innerProduct", w.blobs[-1], hasBias=True, bias=w.weights(size), **fields)


@_layer("dense", LAYERS_ND)
def _dense_nd(w: _Writer, x: str) -> None:
    n, size = w.shape(x)[-1], w.draws.integer(1, 5)
    fields: dict[str, Any] = {
        "weightMatrixFirstDimension": n,
        "weightMatrixSecondDimension": size,
        "weights": w.weights(size, n),
    }
    w.add("batchedMatmul", x, hasBias=True, bias=w.weights(size), **fields)


@_layer("matmul", LAYERS_ND)
def _matmul(w: _Writer, x: str) -> None:
    if len(w.shape(x)) >= 2:
        w.add("batchedMatmul", x, x, transposeB=True)


@_layer("softmaxND", LAYERS_ND)
def _softmax_nd(w: _Writer, x: str) -> None:
    w.add("softmaxND", x, axis=w.draws.choice([-1, 0]))


@_layer("layerNormalization", LAYERS_ND)
def _layer_norm(w: _Writer, x: str) -> None:
    shape = w.shape(x)[-w.draws.integer(1, 2) :]
    w.add("layerNormalization", x, normalizedShape=shape, eps=1e-3, gamma=w.positive(*shape), beta=w.weights(*shape))


@_layer("transpose", LAYERS_ND)
def _transpose(w: _Writer, x: str) -> None:
    axes = list(range(len(w.shape(x))))
    w.add("transpose", x, axes=w.draws.choice([axes[::-1], [*axes[1:], 0]]))


@_layer("reduction", LAYERS_ND)
def _reduction(w: _Writer, x: str) -> None:
    kinds = ["Sum", "Mean", "Max", "Min", "L1", "L2", "SumSquare", "LogSumExp"]
    w.add(f"reduce{w.draws.choice(kinds)}", x, axes=[w.draws.choice([-1, 0])], keepDims=w.draws.choice([True, False]))


@_layer("functions", LAYERS_ND)
def _functions(w: _Writer, x: str) -> None:
    kinds = ["sin", "cos", "tanh", "erf", "atan", "floor", "ceil", "sign", "gelu", "asinh"]
    w.add(w.draws.choice(kinds), x)


@_layer("clip", LAYERS_ND)
def _clip(w: _Writer, x: str) -> None:
    w.add("clip", x, minVal=-0.3, maxVal=0.8)


@_layer("broadcastable", LAYERS_ND)
def _broadcastable(w: _Writer, x: str) -> None:
    kinds = ["add", "subtract", "multiply", "max", "min"]
    w.add(f"{w.draws.choice(kinds)}Broadcastable", x, w.draws.choice(w.blobs))


@_layer("quotient", LAYERS_ND)
def _quotient(w: _Writer, x: str) -> None:
    w.add("unary", x, type="ABS")
    w.add("unary", w.blobs[-1], type="THRESHOLD", alpha=0.5)
    w.add("divideBroadcastable", x, w.blobs[-1])


@_layer("where", LAYERS_ND)
def _where(w: _Writer, x: str) -> None:
    w.add("greaterThan", x, alpha=0.1)
    w.add("unary", x, type="ABS")
    w.add("whereBroadcastable", w.blobs[-2], x, w.blobs[-1])


@_layer("concatND", LAYERS_ND)
def _concat_nd(w: _Writer, x: str) -> None:
    w.add("concatND", x, w.draws.choice(w.blobs), axis=w.draws.choice([-1, 0]))


@_layer("stack", LAYERS_ND)
def _stack(w: _Writer, x: str) -> None:
    if len(w.shape(x)) < 4:
        w.add("stack", x, x, axis=w.draws.choice([0, -1]))


@_layer("tile", LAYERS_ND)
def _tile(w: _Writer, x: str) -> None:
    if w.shape(x)[-1] < 6:
        w.add("tile", x, reps=[1] * (len(w.shape(x)) - 1) + [2])


@_layer("sliceStatic", LAYERS_ND)
def _slice_nd(w: _Writer, x: str) -> None:
    shape = w.shape(x)
    fields: dict[str, Any] = {"beginIds": [0] * len(shape), "endIds": shape, "beginMasks": [True] * len(shape)}
    strides = [1] * (len(shape) - 1) + [w.draws.integer(1, 2)]
    w.add("sliceStatic", x, **fields, endMasks=[True] * len(shape), strides=strides, squeezeMasks=[False] * len(shape))


@_layer("cumSum", LAYERS_ND)
def _cumsum(w: _Writer, x: str) -> None:
    flags = {"excludeFinalSum": w.draws.choice([False, True]), "reverse": w.draws.choice([False, True])}
    w.add("cumSum", x, axis=w.draws.choice([-1, 0]), **flags)


@_layer("topK", LAYERS_ND)
def _top(w: _Writer, x: str) -> None:
    w.add("topK", x, outputs=2, axis=-1, K=w.draws.integer(1, w.shape(x)[-1]))


@_layer("squeeze", LAYERS_ND)
def _expand(w: _Writer, x: str) -> None:
    if len(w.shape(x)) < 5 and w.add("expandDims", x, axes=[1]):
        w.add("squeeze", w.blobs[-1], axes=[1])


@_layer("matrixBandPart", LAYERS_ND)
def _band(w: _Writer, x: str) -> None:
    w.add("matrixBandPart", x, numLower=1, numUpper=w.draws.integer(0, 1))


@_layer("reverse", LAYERS_ND)
def _reverse(w: _Writer, x: str) -> None:
    w.add("reverse", x, reverseDim=[False] * (len(w.shape(x)) - 1) + [True])


@dataclass
class SpecNetwork:
    """A random Core ML network.

    Attributes:
        spec: the model.
        inputs: arrays by name.
        exact: whether it is an N-D network.
        layers: the types of its layers.
    """

    spec: schema.Model
    inputs: dict[str, Array]
    exact: bool
    layers: tuple[str, ...]

    def __repr__(self) -> str:
        lines = [
            f"{', '.join(layer.output)} = {layer.WhichOneof('layer')}({', '.join(layer.input)})"
            for layer in self.spec.neuralNetwork.layers
        ]
        shapes = ", ".join(f"{name} {array.shape}" for name, array in self.inputs.items())
        return f"<{'N-D' if self.exact else 'rank 5'} ({shapes})\n" + "\n".join(lines) + ">"


def _build(draws: Draws) -> SpecNetwork:
    exact = draws.choice([False, True])
    rng = np.random.default_rng(draws.integer(0, 2**16))
    if exact:
        shape: Shape = tuple(draws.integer(2, 5) for _ in range(draws.integer(1, 4)))
    else:
        shape = (draws.integer(1, 4), draws.integer(3, 8), draws.integer(3, 8))
    inputs = {"x": shape, "z": shape} if draws.choice([False, True]) else {"x": shape}
    writer = _Writer(draws, rng, inputs, exact)
    table = LAYERS_ND if exact else LAYERS_RANK5
    for _ in range(draws.integer(1, 6)):
        # Mostly the latest blob, now and then an earlier one, so that the network branches.
        blob = writer.blobs[-1] if draws.integer(0, 3) else draws.choice(writer.blobs)
        table[draws.choice(list(table))](writer, blob)
    if not writer.net.layers:
        writer.add("activation", "x", ReLU={})
    used = {name for layer in writer.net.layers for name in layer.input}
    outputs = [name for layer in writer.net.layers for name in layer.output if name not in used]
    net = build.Network(inputs, dict.fromkeys(outputs), exact=exact)
    net.layers.extend(writer.net.layers)
    arrays = {name: np.asarray(rng.uniform(-2, 2, shape), np.float32) for name in inputs}
    return SpecNetwork(net.spec(), arrays, exact, tuple(str(layer.WhichOneof("layer")) for layer in net.layers))


def networks() -> Any:
    """Return a Hypothesis strategy for `SpecNetwork`."""

    @hypothesis.strategies.composite  # type: ignore[untyped-decorator]
    def strategy(draw: Any) -> SpecNetwork:
        return _build(HypothesisDraws(draw))

    return strategy()


def random_spec_network(seed: int) -> SpecNetwork:
    """Return the network that belongs to a number."""
    import random

    return _build(RandomDraws(random.Random(seed)))


def check_network(network: SpecNetwork) -> None:
    """Assert what must hold for every network.

    Every blob in single precision is within the rounding bound of the same blob in double precision; static shapes are
    those that come out; a batch gives what a loop gives; a saved model predicts the same bits; and a rank-5
    network computes the same as an N-D network.
    """
    single, double = load(network.spec), load(network.spec, precision="float64")
    outputs = single.predict(network.inputs)
    _check_rounding(single, double, network.inputs)
    _check_shapes(single, network.inputs)
    halves = {name: array / 2 for name, array in network.inputs.items()}
    for together, alone in zip(
        single.predict([network.inputs, halves]), [outputs, single.predict(halves)], strict=True
    ):
        _assert_same(together, alone, "a batch and a loop")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.mlmodel"
        single.save(path)
        _assert_same(load(path).predict(network.inputs), outputs, "the model and its file")
    if not network.exact:
        _check_worlds(network, outputs)


def _assert_same(a: dict[str, Any], b: dict[str, Any], what: str) -> None:
    assert list(a) == list(b), f"{what} have different outputs"
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=f"{what} differ in output {name!r}")


def _check_rounding(single: Model, double: Model, inputs: dict[str, Array]) -> None:
    computed = {name: blob.copy() for layer in single.trace(inputs) for name, blob in layer.outputs.items()}
    for name, bound, _ in trace_bounds(double, inputs, unit=UNIT32):
        with np.errstate(invalid="ignore"):  # the maximum of a window that lies in the padding is -infinity in both
            off = np.where(computed[name] == bound.value, 0, np.abs(computed[name] - bound.value))
        bad = off > bound.radius
        assert not bad.any(), (
            f"layer {bound.layer!r} ({bound.kind}) is off by {off[bad].max():.3g} in float32, more than rounding "
            f"explains ({bound.radius[bad].min():.3g})"
        )


def _check_shapes(model: Model, inputs: dict[str, Array]) -> None:
    static = model.shapes()
    for layer in model.trace(inputs):
        for name, blob in layer.outputs.items():
            assert static[name] == blob.shape, f"{name!r} was to have the shape {static[name]}, it has {blob.shape}"


def _check_worlds(network: SpecNetwork, outputs: dict[str, Any]) -> None:
    """Compare with the same layers on blobs of rank 5 in an N-D network."""
    names = list(outputs)
    net = build.Network({n: (1, 1, *a.shape) for n, a in network.inputs.items()}, dict.fromkeys(names), exact=True)
    net.layers.extend(network.spec.neuralNetwork.layers)
    found = net.model().predict({name: array[None, None] for name, array in network.inputs.items()})
    for name in names:
        a, b = np.asarray(found[name]), np.asarray(outputs[name])
        np.testing.assert_array_equal(a.reshape(-1), b.reshape(-1), err_msg=f"the two networks differ in {name!r}")
