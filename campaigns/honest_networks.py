"""Networks and ML Programs of many kinds and depths, with weights like trained ones, for `campaigns.honest`."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import networks, transformers
from refcoreml import build
from refcoreml.errors import RefCoreMLError
from refcoreml.judge.subjects import subject_of
from refcoreml.model import Model, load
from refcoreml.testing.spec_grammar import random_spec_network
from refcoreml.types import Array

__all__ = ["Case", "cases", "random_cases", "runtime_cases", "shared_cases"]

#: Returns outputs by name for inputs, computed by another runtime.
Runtime = Callable[[dict[str, Any]], dict[str, Array]]


@dataclass
class Case:
    """A model to be judged.

    Attributes:
        name: of its kind and depth.
        model: the model.
        inputs: returns inputs, from random numbers.
        profiles: the arithmetics in which it is judged.
        runtimes: other honest implementations of it by name, each with its profile.
    """

    name: str
    model: Model
    inputs: Callable[[np.random.Generator], dict[str, Any]]
    profiles: Sequence[str]
    runtimes: dict[tuple[str, str], Runtime] = field(default_factory=dict)


_NETWORK, _PROGRAM = ("fp32", "fp16/acc32"), ("fp32",)


def _normal(*shapes: tuple[str, tuple[int, ...]]) -> Callable[[np.random.Generator], dict[str, Any]]:
    return lambda rng: {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes}


def _image(*shape: int) -> Callable[[np.random.Generator], dict[str, Any]]:
    """Return smooth images with flat parts, as pictures have them."""

    def draw(rng: np.random.Generator) -> dict[str, Any]:
        rows, columns = np.mgrid[: shape[1], : shape[2]] / 12.0
        waves = [np.sin(rows * a + columns * b + c) for a, b, c in rng.uniform(-2, 2, (shape[0], 3))]
        return {"x": np.clip(np.stack(waves), -0.6, 0.8).astype(np.float32)}

    return draw


# ---- Networks ----


class _Net:
    """A network in the making, of layers one after another, with weights like those of trained networks."""

    def __init__(self, shape: Sequence[int], seed: int, *, exact: bool = False, folded: bool = False) -> None:
        self.net = build.Network({"x": shape}, ["y"], exact=exact)
        self.rng, self.last, self.count, self.folded = np.random.default_rng(seed), "x", 0, folded
        self.channels = shape[0]

    def add(self, kind: str, inputs: Sequence[str] = (), **fields: Any) -> str:
        self.count += 1
        name = f"b{self.count}"
        self.net.add(kind, inputs=list(inputs) or [self.last], outputs=name, **fields)
        self.last = name
        return name

    def weights(self, *shape: int, gain: float = 2.0) -> Array:
        """Heavy-tailed numbers, some rows larger than others."""
        size = np.sqrt(gain / np.prod(shape[1:])) * np.exp(
            0.4 * self.rng.normal(size=(shape[0], *[1] * (len(shape) - 1)))
        )
        return (size * self.rng.standard_t(5, shape) / 1.29).astype(np.float32)

    def conv(
        self,
        channels: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        depthwise: bool = False,
        norm: bool = True,
        gain: float = 2.0,
    ) -> str:
        groups = self.channels if depthwise else 1
        w = self.weights(channels, self.channels // groups, kernel, kernel, gain=gain)
        b = 0.1 * self.rng.normal(size=channels)
        mean, variance = 0.5 * self.rng.normal(size=channels), np.exp(self.rng.normal(size=channels))
        gamma, beta = 0.5 + self.rng.random(channels), 0.3 * self.rng.normal(size=channels)
        factor = gamma / np.sqrt(variance + 1e-3)
        if norm and self.folded:
            w, b = (w * factor[:, None, None, None]).astype(np.float32), beta + (b.astype(np.float32) - mean) * factor
        self.add(
            "convolution",
            weights=w,
            bias=b.astype(np.float32),
            has_bias=True,
            kernel_size=[kernel] * 2,
            stride=[stride] * 2,
            output_channels=channels,
            kernel_channels=self.channels // groups,
            n_groups=groups,
            same={},
        )
        self.channels = channels
        if norm and not self.folded:
            parts = {"mean": mean, "variance": variance, "gamma": gamma, "beta": beta}
            self.add(
                "batchnorm", channels=channels, epsilon=1e-3, **{k: v.astype(np.float32) for k, v in parts.items()}
            )
        return self.last

    def relu(self, kind: str = "ReLU", **fields: float) -> str:
        return self.add("activation", **{kind: fields})

    def pool(self, kind: str = "MAX") -> str:
        return self.add("pooling", type=kind, kernel_size=[2, 2], stride=[2, 2], valid={})

    def head(self, classes: int, *, softmax: bool = True) -> Model:
        self.add("pooling", type="AVERAGE", globalPooling=True, valid={})
        return self.dense(classes, gain=0.1).done("softmax" if softmax else "")

    def dense(self, outputs: int, inputs: int = 0, gain: float = 1.0) -> _Net:
        inputs = inputs or self.channels
        w, b = self.weights(outputs, inputs, gain=gain), 0.1 * self.rng.normal(size=outputs).astype(np.float32)
        sizes = {"input_channels": inputs, "output_channels": outputs}
        self.add("innerProduct", weights=w, bias=b, has_bias=True, **sizes)
        self.channels = outputs
        return self

    def done(self, kind: str = "", **fields: Any) -> Model:
        if kind:
            self.add(kind, **fields)
        self.net.layers[-1].output[0] = "y"
        return self.net.model()


def _plain(depth: int, seed: int, activation: str, folded: bool = False) -> Model:
    net = _Net((3, 24, 20), seed, folded=folded)
    for index in range(depth):
        net.conv((16, 24, 32)[min(2, index * 3 // depth)])
        net.relu(activation, **({"alpha": 0.2} if activation in ("leakyReLU", "ELU") else {}))
        if index and index % 4 == 3 and index < 12:
            net.pool("MAX" if index < 8 else "AVERAGE")
    return net.head(10)


def _residual(blocks: int, seed: int, folded: bool = False) -> Model:
    net = _Net((3, 28, 24), seed, folded=folded)
    net.conv(16)
    shortcut = net.relu()
    for index in range(blocks):
        width = 16 * (1 + 2 * index // blocks)
        first = net.last
        if width != net.channels:
            channels = net.channels
            shortcut = net.conv(width, 1)
            net.last, net.channels = first, channels
        net.conv(width)
        net.relu()
        net.add("add", [net.conv(width, gain=0.1), shortcut])
        shortcut = net.relu()
    return net.head(12)


def _mobile(blocks: int, seed: int, folded: bool = False) -> Model:
    net = _Net((3, 32, 24), seed, folded=folded)
    net.conv(16, stride=2)
    for index in range(blocks):
        net.relu("ReLU")
        net.conv(net.channels, depthwise=True, stride=2 if index == blocks // 2 else 1)
        net.relu("leakyReLU", alpha=0.1)
        net.conv(24 if index < blocks // 2 else 32, 1)
    return net.head(17)


def _unet(seed: int) -> Model:
    net, kept = _Net((3, 32, 24), seed), []
    for width in (12, 20):
        net.conv(width)
        kept.append((net.relu(), width))
        net.pool()
    net.conv(28)
    net.relu()
    for name, width in reversed(kept):
        net.add("upsample", scalingFactor=[2, 2], mode="BILINEAR")
        net.add("concat", [net.last, name])
        net.channels += width
        net.conv(width)
        net.relu()
    net.conv(2, 1, norm=False)
    return net.done("activation", sigmoid={})


def _style(seed: int) -> Model:
    net = _Net((3, 28, 20), seed)
    for width in (8, 16, 16):
        net.conv(width, norm=False)
        gamma, beta = (np.asarray(net.rng.normal(size=width), np.float32) for _ in range(2))
        net.add(
            "batchnorm",
            channels=width,
            computeMeanVar=True,
            instanceNormalization=True,
            epsilon=1e-5,
            gamma=gamma,
            beta=beta,
        )
        net.relu()
    net.conv(3, 5, norm=False)
    return net.done("activation", scaledTanh={"alpha": 150.0, "beta": 0.5})


def _perceptron(seed: int, activation: str, depth: int) -> Model:
    net = _Net((60,), seed)
    for _ in range(depth):
        net.dense(80, gain=2.0)
        net.relu(activation, **({"alpha": 1.0} if activation == "ELU" else {}))
    return net.dense(7).done("softmax")


_TANH = [{"sigmoid": {}}, {"tanh": {}}, {"tanh": {}}]


def _recurrent(kind: str, seed: int, steps: int, inputs: int = 20, hidden: int = 24) -> Model:
    """One layer over a sequence, from zero states."""
    rng = np.random.default_rng(seed)
    gates = {
        "gru": ("updateGate", "resetGate", "outputGate"),
        "simpleRecurrent": ("",),
    }.get(kind, ("inputGate", "forgetGate", "outputGate", "blockInput"))

    def weights() -> dict[str, Array]:
        found = {}
        for gate in gates:
            names = [
                f"{gate}{part}" if gate else part[0].lower() + part[1:]
                for part in ("WeightMatrix", "RecursionMatrix", "BiasVector")
            ]
            shapes = ((hidden, inputs), (hidden, hidden), (hidden,))
            for name, shape in zip(names, shapes, strict=True):
                found[name] = (rng.normal(size=shape) / shape[-1] ** 0.5).astype(np.float32)
        return found

    sizes: dict[str, Any] = {"inputVectorSize": inputs, "outputVectorSize": hidden}
    params = {"params": {"hasBiasVectors": True, "sequenceOutput": True}}
    match kind:
        case "biDirectionalLSTM":
            fields = {"activationsForwardLSTM": _TANH, "activationsBackwardLSTM": _TANH, **params}
            states, fields = 4, {**fields, "weightParams": [weights(), weights()]}
        case "uniDirectionalLSTM":
            states, fields = 2, {"activations": _TANH, "weightParams": weights(), **params}
        case "gru":
            states, fields = 1, {"activations": _TANH[:2], "hasBiasVectors": True, "sequenceOutput": True, **weights()}
        case _:
            states, fields = 1, {"activation": {"tanh": {}}, "hasBiasVector": True, "sequenceOutput": True, **weights()}
    outputs = ["y", *(f"last{i}" for i in range(states))]
    net = build.Network({"x": (steps, 2, inputs, 1, 1)}, outputs, exact=True)
    zeros = np.zeros((1, 2, hidden, 1, 1), np.float32)
    names = [f"s{i}" for i in range(states)]
    for name in names:
        net.add("loadConstantND", inputs=[], outputs=name, shape=zeros.shape, data=zeros)
    net.add(kind, inputs=["x", *names], outputs=outputs, **sizes, **fields)
    return net.model()


# ---- ML Programs ----

#: What stands for "not allowed" in masks that are added to scores.
_FORBIDDEN = {"-inf": -np.inf, "lowest": float(np.finfo(np.float32).min), "-1e9": -1e9, "half": -6e4}


def _transformer(
    layers: int, seed: int, element: str = "fp32", mask: str = "", width: int = 48, heads: int = 3, tokens: int = 14
) -> Model:
    """Return an encoder, or with a mask a decoder, operation by operation; ``fused`` takes attention as one."""
    kind = np.float16 if element == "fp16" else np.float32
    rng, size = np.random.default_rng(seed), width // heads

    def normal(*shape: int) -> Array:
        return (rng.normal(size=shape) * shape[-1] ** -0.5).astype(kind)

    def vector(n: int, centre: float = 0.0) -> Array:
        return (centre + 0.1 * rng.normal(size=n)).astype(kind)

    program = build.Program({"x": (element, (1, tokens, width))}, opset="CoreML8")
    x, later = program["x"], np.triu(np.ones((tokens, tokens), bool), 1)
    for _ in range(layers):
        y = program.add("layer_norm", x=x, axes=[-1], gamma=vector(width, 1), beta=vector(width), epsilon=kind(1e-5))
        y = program.add("linear", x=y, weight=normal(3 * width, width), bias=vector(3 * width))
        y = program.add("reshape", x=y, shape=np.array([1, tokens, 3, heads, size], np.int32))
        y = program.add("transpose", x=y, perm=[2, 0, 3, 1, 4])
        query, key, value = program.add("split", x=y, num_splits=3, axis=0)
        query, key, value = (program.add("squeeze", x=part, axes=[0]) for part in (query, key, value))
        if mask in ("fused", "boolean"):
            options = {"attn_mask": ~later[None, None]} if mask == "boolean" else {}
            y = program.add("scaled_dot_product_attention", query=query, key=key, value=value, **options)
        else:
            query = program.add("mul", x=query, y=kind(size**-0.5))
            scores = program.add("matmul", x=query, y=key, transpose_y=True)
            if mask:
                with np.errstate(over="ignore"):
                    added = np.where(later, _FORBIDDEN[mask], 0.0).astype(kind)
                scores = program.add("add", x=scores, y=added)
            y = program.add("matmul", x=program.add("softmax", x=scores, axis=-1), y=value)
        y = program.add("transpose", x=y, perm=[0, 2, 1, 3])
        y = program.add("reshape", x=y, shape=np.array([1, tokens, width], np.int32))
        x = program.add("add", x=x, y=program.add("linear", x=y, weight=normal(width, width), bias=vector(width)))
        y = program.add("layer_norm", x=x, axes=[-1], gamma=vector(width, 1), beta=vector(width), epsilon=kind(1e-5))
        y = program.add("linear", x=y, weight=normal(4 * width, width), bias=vector(4 * width))
        y = program.add("gelu", x=y, mode="EXACT" if not mask else "TANH_APPROXIMATION")
        x = program.add("add", x=x, y=program.add("linear", x=y, weight=normal(width, 4 * width), bias=vector(width)))
    program.output(program.add("identity", x=x, name="y"))
    return program.model()


def _convolutional(blocks: int, seed: int, element: str) -> Model:
    """Convolutions with unfolded batch normalization, and squeeze-and-excitation."""
    kind, rng, width = (np.float16 if element == "fp16" else np.float32), np.random.default_rng(seed), 16
    program = build.Program({"x": (element, (1, 3, 28, 20))}, opset="CoreML7")
    x, channels = program["x"], 3

    def norm(y: Any, n: int) -> Any:
        parts = {"mean": 0.3 * rng.normal(size=n), "variance": np.exp(rng.normal(size=n))}
        parts |= {"gamma": 0.5 + rng.random(n), "beta": 0.2 * rng.normal(size=n)}
        return program.add("batch_norm", x=y, epsilon=kind(1e-3), **{k: v.astype(kind) for k, v in parts.items()})

    for _ in range(blocks):
        w = (rng.normal(size=(width, channels, 3, 3)) * (2 / 9 / channels) ** 0.5).astype(kind)
        y = program.add("silu", x=norm(program.add("conv", x=x, weight=w, pad_type="same"), width))
        pooled = program.add("reduce_mean", x=y, axes=[2, 3], keep_dims=True)
        w = (rng.normal(size=(width, width, 1, 1)) / width**0.5).astype(kind)
        y = program.add("mul", x=y, y=program.add("sigmoid", x=program.add("conv", x=pooled, weight=w)))
        x = program.add("add", x=x, y=y) if channels == width else y
        channels = width
    y = program.add("reduce_mean", x=x, axes=[2, 3], keep_dims=False)
    w = rng.normal(size=(10, width)).astype(kind)
    program.output(program.add("softmax", x=program.add("linear", x=y, weight=w), axis=-1, name="y"))
    return program.model()


def _loop(seed: int) -> Model:
    """Return a while loop that takes eight steps of a recurrent network of its own."""
    rng = np.random.default_rng(seed)
    w, r = ((rng.normal(size=(24, 24)) * 24**-0.5).astype(np.float32) for _ in range(2))
    program = build.Program({"x": ("fp32", (1, 24))}, opset="CoreML7")

    def condition(i: Any, h: Any) -> Any:
        return program.add("less", x=i, y=np.int32(8))

    def body(i: Any, h: Any) -> Any:
        total = program.add(
            "add", x=program.add("linear", x=program["x"], weight=w), y=program.add("linear", x=h, weight=r)
        )
        return program.add("add", x=i, y=np.int32(1)), program.add("tanh", x=total)

    start = [program.constant(np.int32(0)), program["x"]]
    _, h = program.add("while_loop", loop_vars=start, blocks=[condition, body])
    program.output(program.add("identity", x=h, name="y"))
    return program.model()


# ---- All of them ----


def _folded(model: Model) -> dict[tuple[str, str], Runtime]:
    """Return a model with folded batch normalization as another implementation."""
    return {
        ("folded", profile): model.with_precision(precision).predict
        for profile, precision in (("fp32", "float32"), ("fp16/acc32", "float16"))
    }


def cases(seed: int = 0) -> Iterator[Case]:
    """Yield all models, with weights of a seed."""
    image, small = _image(3, 24, 20), _image(3, 28, 24)
    for depth, activation in ((3, "ReLU"), (8, "leakyReLU"), (20, "ReLU"), (8, "ELU")):
        folded = _folded(_plain(depth, seed, activation, folded=True))
        model = _plain(depth, seed, activation)
        yield Case(f"{depth} convolutions, {activation}", model, image, _NETWORK, folded)
    for blocks in (3, 8, 16):
        folded = _folded(_residual(blocks, seed, folded=True))
        yield Case(f"{blocks} residual blocks", _residual(blocks, seed), small, _NETWORK, folded)
    for blocks in (4, 10):
        folded = _folded(_mobile(blocks, seed, folded=True))
        yield Case(f"{blocks} depthwise blocks", _mobile(blocks, seed), _image(3, 32, 24), _NETWORK, folded)
    yield Case("U-net", _unet(seed), _image(3, 32, 24), _NETWORK)
    yield Case("style transfer", _style(seed), _image(3, 28, 20), _NETWORK)
    for activation, depth in (("sigmoid", 3), ("tanh", 6), ("ELU", 12), ("softplus", 4), ("softsign", 8)):
        yield Case(
            f"{depth} dense, {activation}", _perceptron(seed, activation, depth), _normal(("x", (60,))), _NETWORK
        )
    for kind, steps in (("simpleRecurrent", 12), ("gru", 25), ("uniDirectionalLSTM", 40), ("biDirectionalLSTM", 15)):
        inputs = _normal(("x", (steps, 2, 20, 1, 1)))
        yield Case(f"{kind}, {steps} steps", _recurrent(kind, seed, steps), inputs, _NETWORK)
    x = _normal(("x", (1, 14, 48)))
    for layers, element in ((2, "fp32"), (6, "fp32"), (6, "fp16")):
        profiles = ("declared",) if element == "fp16" else _PROGRAM
        yield Case(f"encoder, {layers} layers, {element}", _transformer(layers, seed, element), x, profiles)
    for mask in ("fused", "boolean", "-inf", "lowest", "-1e9"):
        yield Case(f"decoder, 12 layers, {mask}", _transformer(12, seed, "fp32", mask), x, _PROGRAM)
    for mask in ("boolean", "-inf", "half"):
        yield Case(f"decoder, 12 layers, fp16, {mask}", _transformer(12, seed, "fp16", mask), x, ("declared",))
    picture = _image(3, 28, 20)

    def batch(rng: np.random.Generator) -> dict[str, Any]:
        return {"x": picture(rng)["x"][None]}

    for blocks, element in ((3, "fp32"), (8, "fp32"), (8, "fp16")):
        profiles = ("declared",) if element == "fp16" else _PROGRAM
        yield Case(f"{blocks} gated blocks, {element}", _convolutional(blocks, seed, element), batch, profiles)
    yield Case("while loop", _loop(seed), _normal(("x", (1, 24))), _PROGRAM)


def random_cases(count: int, chosen: str) -> Iterator[Case]:
    """Yield random networks of the grammar, of all layers, those whose name contains a text."""
    for seed in range(count):
        if chosen not in f"random network {seed}":
            continue
        network = random_spec_network(seed)
        given = network.inputs

        def inputs(rng: np.random.Generator, given: dict[str, Array] = given) -> dict[str, Any]:
            return {name: (x * rng.uniform(0.5, 1.5, x.shape)).astype(np.float32) for name, x in given.items()}

        yield Case(f"random network {seed}", load(network.spec), inputs, _NETWORK)


def shared_cases(chosen: str) -> Iterator[Case]:
    """Yield the networks and programs in the folder REFCOREML_MODELS, if there is one, whose name contains a text."""
    folder = os.environ.get("REFCOREML_MODELS")
    for path in sorted(Path(folder).glob("*/*.ml*")) if folder else ():
        if path.suffix not in (".mlmodel", ".mlpackage") or chosen not in path.stem:
            continue
        try:
            model = load(path)
            subject_of(model, "")
        except RefCoreMLError:
            continue
        profiles = _PROGRAM if model.kind == "mlProgram" else _NETWORK
        yield Case(path.stem, model, partial(_features, model), profiles)


def _features(model: Model, rng: np.random.Generator) -> dict[str, Any]:
    """Return inputs for what a model declares: smooth images, normal numbers."""
    found: dict[str, Any] = {}
    for feature in model.inputs:
        shape = feature.default_shape
        if feature.optional or shape is None:
            continue
        if feature.kind == "image":
            pixels = _image(*shape)(rng)["x"] * 90 + 110
            found[feature.name] = Image.fromarray(np.squeeze(pixels.astype(np.uint8).transpose(1, 2, 0)))
        else:
            found[feature.name] = rng.normal(size=shape).astype(np.float32)
    return found


_LARGE_ENCODER = "encoder, 6 layers of 384"


def resnet18() -> networks.Description:
    """Return ResNet-18: 3.6 GFLOP, 11.7 million weights."""
    net = networks.Description("ResNet-18")
    x = net.max_pool(net.conv(networks.INPUT, 64, 7, 2, 3), 3, 2, 1)
    for stage in range(4):
        width = 64 << stage
        for block in range(2):
            stride = 2 if stage and not block else 1
            shortcut = net.conv(x, width, 1, stride, relu=False) if stage and not block else x
            y = net.conv(net.conv(x, width, 3, stride, 1), width, 3, 1, 1, relu=False)
            x = net.residual(y, shortcut)
    net.head(x)
    return net


def runtime_cases(chosen: str) -> Iterator[Case]:
    """Yield well-known networks, computed by torch and ONNX Runtime too, where these are installed."""
    if any(importlib.util.find_spec(name) is None for name in ("torch", "onnx", "onnxruntime")):
        return
    for make in (resnet18, *networks.NETWORKS.values()):
        net = make()
        if chosen not in net.name:
            continue
        model, image = load(networks.coreml(net)), _image(*networks.SHAPE)

        def inputs(rng: np.random.Generator, image: Any = image) -> dict[str, Any]:
            return {networks.INPUT: image(rng)["x"]}

        runtimes: dict[tuple[str, str], Runtime] = {
            ("torch", "fp32"): partial(_by_torch, networks.torch(net)),
            ("onnxruntime", "fp32"): partial(_by_onnxruntime, networks.onnx(net)),
        }
        yield Case(net.name, model, inputs, _NETWORK, runtimes)
    if chosen not in _LARGE_ENCODER:
        return
    weights = transformers.encoder_weights()
    run = transformers.torch_encoder(weights)
    shape = (1, transformers.TOKENS, transformers.WIDTH)
    runtimes = {("torch", "fp32"): lambda given: {"y": run(given["x"])}}
    model = transformers.encoder(weights)
    yield Case(_LARGE_ENCODER, model, _normal(("x", shape)), _PROGRAM, runtimes)


def _by_torch(run: Callable[[Array], Array], given: dict[str, Any]) -> dict[str, Array]:
    return {networks.OUTPUT: run(given[networks.INPUT][None])[0]}


def _by_onnxruntime(model: bytes, given: dict[str, Any]) -> dict[str, Array]:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {networks.INPUT: given[networks.INPUT][None]})
    return {networks.OUTPUT: y[0]}
