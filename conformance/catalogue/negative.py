"""Models that must be refused, files that are none, and models that nobody need support."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.catalogue.plan import Plan, W, invalid
from refcoreml import build
from refcoreml.spec import schema


def plans() -> Iterator[Plan]:
    yield from _invalid_layers()
    yield from _invalid_graphs()
    yield from _malformed()
    yield from _optional()


def _invalid_layers() -> Iterator[Plan]:
    conv: dict[str, Any] = {"output_channels": 4, "kernel_channels": 3, "n_groups": 1, "kernel_size": [2, 3]}
    x = (3, 5, 7)
    fits = W((4, 3, 2, 3))
    yield from invalid("convolution", "no-padding", "a kind of padding must be chosen", x, weights=fits, **conv)
    yield from invalid(
        "convolution",
        "asymmetry",
        "the mode of same padding must be one of the schema",
        x,
        weights=fits,
        same={"asymmetryMode": 9},
        **conv,
    )
    yield from invalid(
        "convolution", "few-weights", "the weights must fill their shape", x, weights=W((4, 3, 2, 2)), valid={}, **conv
    )
    yield from invalid(
        "convolution",
        "channels",
        "the input must have kernelChannels * nGroups channels",
        (2, 5, 7),
        weights=fits,
        valid={},
        **conv,
    )
    yield from invalid(
        "convolution",
        "groups",
        "nGroups must divide outputChannels",
        (9, 5, 7),
        weights=W((4, 3, 2, 3)),
        valid={},
        **{**conv, "n_groups": 3},
    )
    yield from invalid(
        "convolution",
        "kernel-too-large",
        "the kernel must fit into the padded input",
        (3, 1, 7),
        weights=fits,
        valid={},
        **conv,
    )
    yield from invalid(
        "convolution",
        "few-bytes",
        "packed codes must suffice for all weights",
        x,
        valid={},
        **conv,
        weights=_cut(W((4, 3, 2, 3), "linear5")),
    )
    yield from invalid(
        "convolution",
        "scales",
        "there must be one scale, or one per channel",
        x,
        valid={},
        **conv,
        weights=_scales(W((4, 3, 2, 3), "linear5"), 3),
    )
    yield from invalid(
        "convolution",
        "table",
        "a table of n bits must have 2^n entries",
        x,
        valid={},
        **conv,
        weights=_table(W((4, 3, 2, 3), "lut3"), 7),
    )
    yield from invalid("pooling", "no-padding", "a kind of padding must be chosen", x, type="MAX")
    yield from invalid("pooling", "window", "the window must fit", x, type="MAX", kernel_size=[6, 2], valid={})
    yield from invalid("activation", "none", "a function must be chosen", x)
    yield from invalid(
        "activation", "PReLU-channels", "PReLU needs one alpha, or one per channel", x, PReLU={"alpha": W((2,))}
    )
    dense = {"input_channels": 6, "output_channels": 5}
    yield from invalid(
        "innerProduct", "input", "the input must have inputChannels numbers", (7,), weights=W((5, 6)), **dense
    )
    yield from invalid("innerProduct", "weights", "the weights must fill their shape", (6,), weights=W((5, 5)), **dense)
    yield from invalid(
        "innerProduct",
        "bias",
        "the bias must have outputChannels numbers",
        (6,),
        weights=W((5, 6)),
        has_bias=True,
        bias=W((4,)),
        **dense,
    )
    yield from invalid(
        "embeddingND",
        "shape",
        "the last axis of the input must be 1",
        (4, 2),
        vocab_size=7,
        embedding_size=5,
        weights=W((5, 7)),
    )
    moments = {"gamma": W((3,)), "beta": W((3,)), "mean": W((3,)), "variance": W((3,), positive=True)}
    yield from invalid(
        "batchnorm", "channels", "the input must have as many channels as declared", (4, 5, 2), channels=3, **moments
    )
    yield from invalid(
        "batchnorm", "parameters", "parameters must have one number per channel", (4, 5, 2), channels=4, **moments
    )
    yield from invalid("lrn", "size", "localSize must be 1 or more", x, alpha=1, beta=1, k=1)
    yield from invalid("crop", "too-much", "something must be left", x, crop_amounts=_edges((3, 2), (0, 0)))
    yield from invalid(
        "padding",
        "reflection",
        "a reflection must be smaller than its axis",
        x,
        reflection={},
        padding_amounts=_edges((5, 0), (0, 0)),
    )
    yield from invalid("padding", "none", "a kind of padding must be chosen", x, padding_amounts=_edges((1, 0), (0, 0)))
    yield from invalid("add", "shapes", "the shapes must broadcast", (3, 5, 7), (3, 4, 7))
    yield from invalid("scale", "shape", "the scale must fit the input", x, shape_scale=[4], scale=W((4,)))
    yield from invalid("reduce", "argmax-two-axes", "ARGMAX takes one axis", x, mode="ARGMAX", axis="HW")
    yield from invalid("reshape", "count", "the number of elements must stay", x, target_shape=[3, 5, 6])
    yield from invalid("permute", "twice", "axis must be a permutation", x, axis=[0, 1, 1, 3])
    yield from invalid("split", "uneven", "the parts must be equal", (5, 3, 4), outputs=2, n_outputs=2)
    yield from invalid("split", "outputs", "nOutputs must be the number of outputs", (6, 3, 4), outputs=2, n_outputs=3)
    yield from invalid("concat", "shapes", "shapes must agree but for the channels", (3, 5, 7), (2, 5, 6))
    yield from invalid(
        "reorganizeData",
        "multiple",
        "H and W must be multiples of the block",
        (2, 5, 6),
        mode="SPACE_TO_DEPTH",
        block_size=2,
    )
    yield from invalid(
        "slice", "stride", "the stride must be 1 or more", x, axis="HEIGHT_AXIS", start_index=1, end_index=3
    )
    yield from invalid("dot", "shapes", "both inputs must have one shape", (7, 1, 1), (6, 1, 1))
    state = {"input_vector_size": 3, "output_vector_size": 5, "sequence_output": True}
    yield from invalid(
        "simpleRecurrent",
        "weights",
        "matrices must have the declared sizes",
        (4, 2, 3, 1, 1),
        (1, 2, 5, 1, 1),
        outputs=2,
        activation={"tanh": {}},
        weight_matrix=W((5, 3)),
        recursion_matrix=W((5, 4)),
        **state,
    )
    yield from invalid(
        "simpleRecurrent",
        "activation",
        "recurrent layers take six activations",
        (4, 2, 3, 1, 1),
        (1, 2, 5, 1, 1),
        outputs=2,
        activation={"softplus": {}},
        weight_matrix=W((5, 3)),
        recursion_matrix=W((5, 5)),
        **state,
    )
    nd = (4, 6, 5)
    for kind, fields in {
        "softmaxND": {},
        "gather": {},
        "topK": {"K": 2},
        "argMax": {},
        "cumSum": {},
        "slidingWindows": {"window_size": 2, "step": 1},
    }.items():
        more = [np.array([1.0])] if kind == "gather" else []
        yield from invalid(
            kind, "axis", "the axis must exist", nd, *more, outputs=2 if kind == "topK" else 1, axis=3, **fields
        )
    yield from invalid("topK", "k", "K must not exceed the axis", nd, outputs=2, axis=1, K=7)
    yield from invalid("reduceSum", "axis", "the axes must exist", nd, axes=[3])
    yield from invalid("transpose", "axes", "axes must be a permutation", nd, axes=[0, 2, 2])
    yield from invalid("reshapeStatic", "count", "the number of elements must stay", nd, target_shape=[4, 6, 6])
    yield from invalid("reshapeStatic", "two-rests", "only one length may be -1", nd, target_shape=[-1, -1, 5])
    yield from invalid("squeeze", "length", "a squeezed axis must have the length 1", nd, axes=[1])
    yield from invalid("expandDims", "rank", "no blob may have a rank above 5", (2, 3, 4, 5, 6), axes=[0])
    yield from invalid("broadcastToStatic", "shape", "the shape must broadcast", (3, 2), target_shape=[4, 3, 5])
    yield from invalid("concatND", "shapes", "shapes must agree but for the axis", (4, 3, 5), (4, 3, 6), axis=1)
    yield from invalid("stack", "shapes", "shapes must agree", (4, 3, 5), (4, 3, 6), axis=1)
    yield from invalid("splitND", "sizes", "the sizes must add up", (4, 7, 5), outputs=2, axis=1, split_sizes=[3, 3])
    yield from invalid(
        "sliceStatic",
        "stride",
        "no stride may be 0",
        (4, 3),
        begin_ids=[0, 0],
        end_ids=[2, 2],
        strides=[1, 0],
        begin_masks=[False] * 2,
        end_masks=[False] * 2,
    )
    yield from invalid(
        "sliceStatic",
        "entries",
        "there must be an entry per axis",
        (4, 3),
        begin_ids=[0],
        end_ids=[2],
        strides=[1],
        begin_masks=[False],
        end_masks=[False],
    )
    yield from invalid("reverse", "flags", "there must be a flag per axis", (4, 3), reverse_dim=[True])
    yield from invalid("constantPad", "amounts", "there must be two amounts per axis", (4, 3), pad_amounts=[1, 0, 2])
    yield from invalid("batchedMatmul", "sizes", "rows and columns must be equally long", (4, 6), (5, 3))
    yield from invalid("batchedMatmul", "bias", "a bias needs weights", (4, 6), (6, 5), has_bias=True, bias=W((5,)))
    yield from invalid("addBroadcastable", "shapes", "the shapes must broadcast", (4, 3), (4, 2))
    yield from invalid("whereBroadcastable", "shapes", "the shapes must broadcast", (4, 3), (4, 2), (1, 3))
    yield from invalid("clip", "order", "minVal must not exceed maxVal", nd, min_val=2, max_val=1)
    yield from invalid(
        "rangeStatic", "empty", "a range must hold a number", end_value=1, start_value=2, step_size_value=1
    )
    yield from invalid("fillStatic", "zero", "lengths must be 1 or more", value=1, target_shape=[3, 0])
    yield from invalid(
        "scatter",
        "updates",
        "the updates must have the shape that the indices imply",
        nd,
        np.array([1.0, 2]),
        (4, 3, 5),
        axis=1,
    )
    yield from invalid(
        "layerNormalization",
        "shape",
        "the input must end in normalizedShape",
        (4, 5),
        normalized_shape=[4],
        gamma=W((4,)),
        beta=W((4,)),
    )
    yield from invalid("oneHot", "depth", "the depth must be 1 or more", (4, 3), axis=1, on_value=1)
    yield from invalid("randomBernoulliStatic", "probability", "prob must be 0 to 1", prob=1.5, output_shape=[4])
    yield from invalid(
        "randomUniformStatic", "order", "minVal must not exceed maxVal", min_val=2, max_val=1, output_shape=[4]
    )
    window = {f"kernel_{axis}": 2 for axis in ("depth", "height", "width")} | {
        f"stride_{axis}": 1 for axis in ("depth", "height", "width")
    }
    yield from invalid(
        "pooling3d", "rank", "the input must have rank 5", (2, 3, 4, 5), type="MAX", padding_type="VALID", **window
    )
    yield from invalid(
        "NonMaximumSuppression", "boxes", "a box has four numbers", (2, 5, 3), (2, 5, 4), outputs=4, max_boxes=2
    )


def _cut(weights: W) -> Any:
    return _Changed(weights, lambda message: setattr(message, "rawValue", message.rawValue[:-1]))


def _scales(weights: W, count: int) -> Any:
    return _Changed(weights, lambda message: message.quantization.linearQuantization.scale.extend([1.0] * (count - 1)))


def _table(weights: W, count: int) -> Any:
    return _Changed(
        weights, lambda message: message.quantization.lookupTableQuantization.floatValue.__delitem__(slice(count, None))
    )


class _Changed(W):
    """Weights that are spoiled after they were made."""

    def __init__(self, weights: W, spoil: Any) -> None:
        super().__init__(weights.shape, weights.encoding)
        object.__setattr__(self, "_spoil", spoil)

    def make(self, source: Any, kind: str) -> Any:
        message = super().make(source, kind)
        self._spoil(message)  # type: ignore[attr-defined]
        return message


def _edges(*pairs: tuple[int, int]) -> dict[str, Any]:
    return {"borderAmounts": [{"startEdgeSize": start, "endEdgeSize": end} for start, end in pairs]}


def _plan(
    label: str, model: bytes, verdict: str, rule: str, inputs: dict[str, Any] | None = None, version: int = 4
) -> Plan:
    given = {name: np.asarray(array, np.float32) for name, array in (inputs or {}).items()}
    return Plan(f"files/{label}", "files", [], "", model, version, given, [], verdict, rule)


def _net() -> build.Network:
    return build.Network({"x": (3, 5)}, ["y"], exact=True)


def _invalid_graphs() -> Iterator[Plan]:
    x = {"x": np.ones((3, 5))}

    def graph(label: str, rule: str, net: build.Network, *more: schema.NeuralNetworkLayer) -> Plan:
        model = net.spec()
        model.neuralNetwork.layers.extend(more)
        return _plan(label, model.SerializeToString(deterministic=True), "invalid", rule, x)

    net = _net()
    net.add("ceil", inputs="nothing", outputs="y")
    yield graph("unknown-blob", "a blob must exist before it is used", net)
    net = _net()
    net.add("ceil", inputs="x", outputs="z")
    yield graph("no-output", "something must produce each output", net)
    net = _net()
    net.add("ceil", inputs="z", outputs="y")
    net.add("ceil", inputs="x", outputs="z")
    yield graph("order", "layers must be in topological order", net)
    net = _net()
    net.add("ceil", inputs="x", outputs="y")
    net.add("floor", inputs="x", outputs="y")
    yield graph("twice", "only copy may produce a blob a second time", net)
    net = _net()
    net.add("addBroadcastable", inputs="x", outputs="y")
    yield graph("few-inputs", "a layer must have as many inputs as it takes", net)
    net = _net()
    net.add("ceil", inputs="x", outputs="y")
    empty = schema.NeuralNetworkLayer(name="empty", input=["x"], output=["z"])
    yield graph("no-type", "a layer must have a type", net, empty)
    net = _net()
    net.add("ceil", inputs="x", outputs="y")
    net.add("loopBreak", inputs=[], outputs=[])
    yield graph("break-outside", "loopBreak must be inside of a loop", net)


def _malformed() -> Iterator[Plan]:
    net = _net()
    net.add("ceil", inputs="x", outputs="y")
    whole = net.spec().SerializeToString(deterministic=True)
    for label, content, rule in [
        ("empty", b"", "the file is empty"),
        ("truncated", whole[: len(whole) // 2], "the file ends in the middle"),
        ("text", b"This is no model.\n" * 20, "the file is text"),
        ("picture", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "the file is no protobuf message"),
    ]:
        yield _plan(label, content, "malformed", rule)


def _optional() -> Iterator[Plan]:
    net = _net()
    net.add("custom", inputs="x", outputs="y", class_name="NobodyHasThisClass")
    yield _plan(
        "custom-layer", net.spec().SerializeToString(deterministic=True), "unsupported-ok", "", {"x": np.ones((3, 5))}
    )
