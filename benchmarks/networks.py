"""Three image classifiers in the shape of well-known ones, with random weights, for three runtimes.

Each is described once, as a list of layers, and written as a Core ML model, as an ONNX model and as a torch module.
Batch normalization is folded into the convolutions before it, as converters do, and ReLUs are layers of their own, so
that every runtime gets the same work. Weights are random, but of a size that keeps activations near 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refcoreml import build
from refcoreml.model import Model
from refcoreml.spec import schema

INPUT, OUTPUT = "image", "probabilities"
SHAPE = (3, 224, 224)


@dataclass
class Layer:
    """One layer of a network: what it does, its inputs by name, its output's name, its numbers."""

    kind: str
    inputs: list[str]
    output: str
    options: dict[str, int] = field(default_factory=dict)
    weights: tuple[np.ndarray, ...] = ()


class Description:
    """A network as a list of layers. Methods add a layer and return the name of its output."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.layers: list[Layer] = []
        self.channels = {INPUT: SHAPE[0]}
        self._random = np.random.default_rng(0)

    def add(self, kind: str, inputs: list[str], channels: int, weights: Any = (), **options: int) -> str:
        last = kind == "softmax"
        layer = Layer(kind, inputs, OUTPUT if last else f"{kind}{len(self.layers)}", options, weights)
        self.layers.append(layer)
        self.channels[layer.output] = channels
        return layer.output

    def _parameters(self, shape: tuple[int, ...], gain: float) -> tuple[np.ndarray, np.ndarray]:
        deviation = np.sqrt(gain / np.prod(shape[1:]))
        weights = self._random.normal(0, deviation, shape).astype(np.float32)
        return weights, self._random.normal(0, 0.1, shape[0]).astype(np.float32)

    def conv(
        self, x: str, channels: int, kernel: int, stride: int = 1, padding: int = 0, groups: int = 1, relu: bool = True
    ) -> str:
        # ReLU halves the squares. Without it, the output becomes a term of a sum, which is to grow little.
        shape = (channels, self.channels[x] // groups, kernel, kernel)
        weights = self._parameters(shape, 2 if relu else 0.2)
        y = self.add("conv", [x], channels, weights, stride=stride, padding=padding, groups=groups)
        return self.relu(y) if relu else y

    def relu(self, x: str) -> str:
        return self.add("relu", [x], self.channels[x])

    def max_pool(self, x: str, kernel: int, stride: int, padding: int = 0) -> str:
        return self.add("max_pool", [x], self.channels[x], kernel=kernel, stride=stride, padding=padding)

    def join(self, *inputs: str) -> str:
        return self.add("concat", list(inputs), sum(self.channels[x] for x in inputs))

    def residual(self, a: str, b: str) -> str:
        return self.relu(self.add("add", [a, b], self.channels[a]))

    def head(self, x: str, dense: bool = True) -> None:
        """Average over the image, a fully connected layer if requested, softmax."""
        x = self.add("average", [x], self.channels[x])
        if dense:
            x = self.add("dense", [x], 1000, self._parameters((1000, self.channels[x]), 1))
        self.add("softmax", [x], 1000)


def squeezenet() -> Description:
    """SqueezeNet 1.1: 0.7 GFLOP, 1.2 million weights."""
    net = Description("SqueezeNet 1.1")

    def fire(x: str, squeeze: int, expand: int) -> str:
        x = net.conv(x, squeeze, 1)
        return net.join(net.conv(x, expand, 1), net.conv(x, expand, 3, padding=1))

    x = net.max_pool(net.conv(INPUT, 64, 3, 2), 3, 2)
    x = net.max_pool(fire(fire(x, 16, 64), 16, 64), 3, 2)
    x = net.max_pool(fire(fire(x, 32, 128), 32, 128), 3, 2)
    for squeeze, expand in ((48, 192), (48, 192), (64, 256), (64, 256)):
        x = fire(x, squeeze, expand)
    net.head(net.conv(x, 1000, 1), dense=False)
    return net


def resnet50() -> Description:
    """ResNet-50: 8.2 GFLOP, 25.5 million weights."""
    net = Description("ResNet-50")
    x = net.max_pool(net.conv(INPUT, 64, 7, 2, 3), 3, 2, 1)
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 64 << stage
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            shortcut = x if block else net.conv(x, 4 * width, 1, stride, relu=False)
            y = net.conv(net.conv(x, width, 1), width, 3, stride, 1)
            x = net.residual(net.conv(y, 4 * width, 1, relu=False), shortcut)
    net.head(x)
    return net


def mobilenet() -> Description:
    """MobileNet v1: 1.1 GFLOP, 4.2 million weights, half of its layers depthwise."""
    net = Description("MobileNet v1")
    x = net.conv(INPUT, 32, 3, 2, 1)
    for channels, stride in (
        (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)
    ):  # fmt: skip
        depth = net.channels[x]
        x = net.conv(net.conv(x, depth, 3, stride, 1, groups=depth), channels, 1)
    net.head(x)
    return net


NETWORKS: dict[str, Callable[[], Description]] = {
    "squeezenet": squeezenet,
    "resnet50": resnet50,
    "mobilenet": mobilenet,
}


def coreml(net: Description) -> schema.Model:
    """Return the network as a Core ML model, from an array [3, 224, 224] to an array of 1000 probabilities."""
    model = build.Network({INPUT: SHAPE}, [OUTPUT])
    for layer in net.layers:
        o, kind, fields = layer.options, layer.kind, {}
        if kind in ("conv", "max_pool"):
            edges = {"borderAmounts": [{"startEdgeSize": o["padding"], "endEdgeSize": o["padding"]}] * 2}
            fields = {"stride": [o["stride"]] * 2, "valid": {"paddingAmounts": edges}}
        if layer.weights:
            weights, bias = layer.weights
            fields |= {"weights": weights, "bias": bias, "hasBias": True, "outputChannels": len(weights)}
        match kind:
            case "conv":
                kernel = {"kernelSize": weights.shape[2:], "kernelChannels": weights.shape[1], "nGroups": o["groups"]}
                kind, fields = "convolution", fields | kernel
            case "dense":
                kind, fields = "innerProduct", fields | {"inputChannels": weights.shape[1]}
            case "relu":
                kind, fields = "activation", {"ReLU": {}}
            case "max_pool":
                kind, fields = "pooling", fields | {"type": "MAX", "kernelSize": [o["kernel"]] * 2}
            case "average":
                kind, fields = "pooling", {"type": "AVERAGE", "globalPooling": True, "valid": {}}
        model.add(kind, inputs=layer.inputs, outputs=layer.output, **fields)
    return model.spec()


def program(net: Description, element: str = "fp32") -> Model:
    """Return the network as an ML Program of an element type, from [1, 3, 224, 224] to [1, 1000]."""
    program = build.Program({INPUT: (element, (1, *SHAPE))}, opset="CoreML7")
    kind, values = np.float16 if element == "fp16" else np.float32, {INPUT: program[INPUT]}
    names = {"dense": "linear", "average": "reduce_mean"}
    for layer in net.layers:
        o, x, fields = layer.options, [values[name] for name in layer.inputs], {}
        if layer.kind in ("conv", "max_pool"):
            fields = {"strides": [o["stride"]] * 2, "pad_type": "custom", "pad": [o["padding"]] * 4}
        if layer.weights:
            weights, bias = (array.astype(kind) for array in layer.weights)
            fields |= {"weight": weights, "bias": bias}
        match layer.kind:
            case "conv":
                fields |= {"groups": o["groups"]}
            case "max_pool":
                fields |= {"kernel_sizes": [o["kernel"]] * 2}
            case "average":
                fields = {"axes": [2, 3], "keep_dims": False}
            case "softmax":
                fields = {"axis": 1}
            case "concat":
                fields = {"axis": 1}
        operands = {"values": x} if layer.kind == "concat" else dict(zip("xy", x, strict=False))
        kind_of = names.get(layer.kind, layer.kind)
        values[layer.output] = program.add(kind_of, name=layer.output, **operands, **fields)
    program.output(values[OUTPUT])
    return program.model()


def onnx(net: Description) -> bytes:
    """Return the network as an ONNX model, from [1, 3, 224, 224] to [1, 1000]."""
    import onnx
    from onnx import helper, numpy_helper

    nodes, constants = [], []
    names = {"relu": "Relu", "max_pool": "MaxPool", "concat": "Concat", "add": "Add", "softmax": "Softmax"}
    for layer in net.layers:
        o, inputs, kind, options = layer.options, list(layer.inputs), names.get(layer.kind, ""), {}
        if layer.kind in ("conv", "max_pool"):
            options = {"strides": [o["stride"]] * 2, "pads": [o["padding"]] * 4}
        for suffix, weights in zip(("weights", "bias"), layer.weights, strict=False):
            constants.append(numpy_helper.from_array(weights, f"{layer.output}.{suffix}"))
            inputs.append(constants[-1].name)
        match layer.kind:
            case "conv":
                kind, options = "Conv", options | {"group": o["groups"]}
            case "dense":
                kind, options = "Gemm", {"transB": 1}
            case "max_pool":
                options |= {"kernel_shape": [o["kernel"]] * 2}
            case "concat":
                options = {"axis": 1}
            case "average":
                nodes.append(helper.make_node("GlobalAveragePool", inputs, [f"{layer.output}.4d"]))
                kind, inputs = "Flatten", [f"{layer.output}.4d"]
        nodes.append(helper.make_node(kind, inputs, [layer.output], **options))
    graph = helper.make_graph(
        nodes,
        net.name,
        [helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, [1, *SHAPE])],
        [helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, [1, 1000])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def torch(net: Description) -> Callable[[np.ndarray], np.ndarray]:
    """Return the network as a function over a torch module, from [1, 3, 224, 224] to [1, 1000]."""
    import torch
    from torch.nn import functional

    weights = {layer.output: [torch.from_numpy(w) for w in layer.weights] for layer in net.layers}
    last_use = {name: index for index, layer in enumerate(net.layers) for name in layer.inputs}

    def step(layer: Layer, x: list[Any]) -> Any:
        o = layer.options
        match layer.kind:
            case "conv":
                return functional.conv2d(x[0], *weights[layer.output], o["stride"], o["padding"], 1, o["groups"])
            case "dense":
                return functional.linear(x[0], *weights[layer.output])
            case "relu":
                return x[0].relu_()
            case "max_pool":
                return functional.max_pool2d(x[0], o["kernel"], o["stride"], o["padding"])
            case "average":
                return x[0].mean((2, 3))
            case "concat":
                return torch.cat(x, 1)
            case "add":
                return x[0] + x[1]
            case _:
                return x[0].softmax(1)

    def run(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            values = {INPUT: torch.from_numpy(image)}
            for index, layer in enumerate(net.layers):
                values[layer.output] = step(layer, [values[name] for name in layer.inputs])
                for name in layer.inputs:
                    if last_use[name] == index:
                        values.pop(name, None)
            return values[OUTPUT].numpy()

    return run
