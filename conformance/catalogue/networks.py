"""Small networks: each as a whole, and each layer by itself with the reference inputs that it has there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from conformance.catalogue.data import Source, draw
from conformance.catalogue.plan import Array, Plan, network
from refcoreml import build, load
from refcoreml.spec import schema

_FAMILY = "networks"


def plans() -> Iterator[Plan]:
    for name, make in {"digits": _digits, "residual": _residual, "attention": _attention, "tagger": _tagger}.items():
        for data in ("integers", "zero-mean"):
            net, inputs, exact = make(Source(f"networks/{name}/{data}"), data)
            yield network(f"networks/{name}/whole", _FAMILY, net, inputs, data, free_ones=not exact)
            if data == "zero-mean":
                yield from _layer_by_layer(name, net, inputs)


def _layer_by_layer(name: str, net: build.Network, inputs: dict[str, Array]) -> Iterator[Plan]:
    """Yield every layer as a network of its own, fed with what it gets in the whole, rounded to half precision."""
    trace = load(net.spec(), precision="float64").trace(inputs)
    for step in trace:
        message = net.layers[step.index]
        # In half precision every profile starts from the same numbers.
        blobs = {blob: array.astype(np.float16).astype(np.float32) for blob, array in step.inputs.items()}
        single = build.Network({blob: array.shape for blob, array in blobs.items()}, list(message.output), exact=True)
        copy = schema.NeuralNetworkLayer()
        copy.CopyFrom(message)
        single.layers.append(copy)
        yield network(f"networks/{name}/{step.index:02d}-{step.kind}", _FAMILY, single, blobs, "zero-mean")


def _digits(source: Source, data: str) -> tuple[build.Network, dict[str, Array], bool]:
    def weights(*shape: int) -> Array:
        return draw(source, data, shape)

    net = build.Network({"x": (1, 10, 9)}, ["y"])
    net.add(
        "convolution",
        weights=weights(4, 1, 3, 2),
        bias=weights(4),
        has_bias=True,
        kernel_size=[3, 2],
        output_channels=4,
        kernel_channels=1,
        n_groups=1,
        same={},
    )
    net.add("activation", ReLU={})
    net.add("pooling", type="MAX", kernel_size=[2, 3], stride=[2, 3], valid={})
    if data == "zero-mean":
        net.add(
            "batchnorm",
            channels=4,
            gamma=weights(4),
            beta=weights(4),
            mean=weights(4),
            variance=np.abs(weights(4)) + 0.5,
        )
    net.add(
        "convolution",
        weights=weights(6, 2, 2, 2),
        kernel_size=[2, 2],
        output_channels=6,
        kernel_channels=2,
        n_groups=2,
        valid={},
    )
    net.add("flatten")
    last = "y" if data == "integers" else None
    net.add(
        "innerProduct",
        outputs=last,
        weights=np.sign(weights(5, 48)) if last else weights(5, 48),
        input_channels=48,
        output_channels=5,
    )
    if last is None:
        net.add("softmax", outputs="y")
    return net, {"x": draw(source, data, (1, 10, 9))}, False


def _residual(source: Source, data: str) -> tuple[build.Network, dict[str, Array], bool]:
    net = build.Network({"x": (4, 6, 5)}, ["y"])
    first = net.add(
        "convolution",
        inputs="x",
        weights=draw(source, data, (4, 4, 1, 3)),
        kernel_size=[1, 3],
        output_channels=4,
        kernel_channels=4,
        n_groups=1,
        same={},
    )
    net.add("activation", leakyReLU={"alpha": 0.25 if data == "integers" else 0.2})
    second = net.add("bias", shape=[4], bias=draw(source, data, (4,)))
    total = net.add("add", inputs=[second, "x"])
    net.add("upsample", inputs=total, scaling_factor=[2, 3], mode="NN" if data == "integers" else "BILINEAR")
    net.add("concat", inputs=[net.layers[-1].output[0]] * 2)
    net.add("pooling", type="AVERAGE", kernel_size=[4, 2], stride=[2, 1], valid={})
    net.add("reduce", outputs="y", mode="SUM", axis="HW")
    assert first
    return net, {"x": draw(source, data, (4, 6, 5))}, False


def _attention(source: Source, data: str) -> tuple[build.Network, dict[str, Array], bool]:
    def dense(x: str) -> str:
        return net.add(
            "innerProduct",
            inputs=x,
            weights=draw(source, data, (6, 6)) / (1 if data == "integers" else 4),
            input_channels=6,
            output_channels=6,
        )

    net = build.Network({"x": (5, 6)}, ["y"], exact=True)
    start = "x"
    if data == "zero-mean":
        start = net.add(
            "layerNormalization",
            normalized_shape=[6],
            eps=0.125,
            gamma=draw(source, data, (6,)),
            beta=draw(source, data, (6,)),
        )
    queries, keys = dense(start), dense(start)
    net.add("batchedMatmul", inputs=[queries, keys], transpose_b=True)
    net.add("lowerTriangular", k=0)
    weights = net.add("softmaxND", axis=-1) if data == "zero-mean" else net.add("clip", min_val=-1, max_val=1)
    mixed = net.add("batchedMatmul", inputs=[weights, start])
    total = net.add("addBroadcastable", inputs=[mixed, "x"])
    if data == "zero-mean":
        total = net.add("gelu", inputs=total)
    net.add("transpose", inputs=total, outputs="y", axes=[1, 0])
    return net, {"x": draw(source, data, (5, 6))}, True


def _tagger(source: Source, data: str) -> tuple[build.Network, dict[str, Array], bool]:
    net = build.Network({"words": (4, 1, 1, 1, 1)}, ["y"], exact=True)
    net.add("embedding", weights=draw(source, data, (3, 9)), input_dim=9, output_channels=3)
    gates = ("updateGate", "resetGate", "outputGate")
    state = {f"{gate}WeightMatrix": draw(source, data, (5, 3)) / 4 for gate in gates}
    state |= {f"{gate}RecursionMatrix": draw(source, data, (5, 5)) / 4 for gate in gates}
    net.add(
        "gru",
        outputs=["h", "last"],
        input_vector_size=3,
        output_vector_size=5,
        sequence_output=True,
        activations=[{"sigmoidHard": {}}, {"ReLU": {}}],
        **state,
    )
    net.add("innerProduct", inputs="h", weights=draw(source, data, (2, 5)), input_channels=5, output_channels=2)
    net.add("softmax", outputs="y")
    return net, {"words": source.integers((4, 1, 1, 1, 1), 0, 8)}, True
