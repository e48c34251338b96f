"""What no layer may accept, rule by rule, over every layer that a rule is about: errors name layer, rule and values.

The layers start from the sound ones of test_hostile_files.py. Each family's own tests have more of its own rules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support import one_layer
from test_hostile_files import SOUND, layer_model

from refcoreml import build
from refcoreml.errors import InputError, InvalidModelError, RefCoreMLError
from refcoreml.model import load
from refcoreml.neuralnetwork.network import Network
from refcoreml.neuralnetwork.registry import LAYERS
from refcoreml.spec import schema

MOST, LEAST = 2**31 - 1, -(2**31)
CONTROL = {"branch", "loop", "copy", "loopBreak", "loopContinue"}
#: Legacy layers whose ``axis`` is an enum, or has a meaning of its own.
ENUM_AXIS = {"slice", "reduce", "permute"}


def params_of(kind: str) -> Any:
    return getattr(schema.NeuralNetworkLayer(), kind)


def sound_network(kind: str, change: Callable[[Any], None] = lambda params: None) -> tuple[Network, dict[str, Any]]:
    """The sound layer as a network of the N-D world, its parameters changed, and blobs of ones for its inputs."""
    layer = layer_model(kind).neuralNetwork.layers[0]
    change(getattr(layer, kind))
    least = LAYERS[kind].inputs[0]
    shapes = SOUND[kind][0] if kind in SOUND else [(4, 5, 7)] * least
    blobs = {name: np.ones(shape, np.float32) for name, shape in zip(layer.input, shapes, strict=True)}
    return Network([layer], inputs=list(blobs), outputs=list(layer.output), rank5=False), blobs


def refusal(act: Callable[[], Any], kind: str) -> str:
    with pytest.raises(RefCoreMLError) as caught:
        act()
    assert isinstance(caught.value, (InvalidModelError, InputError))
    assert f"({kind})" in str(caught.value), "the error does not name the layer"
    return str(caught.value)


# --- rank 6 ---


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("how", ["declared", "listed", "range"])
def test_an_input_of_rank_6_is_refused(how: str, exact: bool) -> None:
    shape = (1, 2, 1, 3, 1, 4)
    feature = build.array(*shape)
    if how == "listed":
        build.fill(feature.multiArrayType, {"enumeratedShapes": {"shapes": [{"shape": shape}]}}, "x")
    if how == "range":
        sizes = [{"lowerBound": size, "upperBound": 9} for size in shape]
        build.fill(feature.multiArrayType, {"shapeRange": {"sizeRanges": sizes}}, "x")
    net = build.Network({"x": feature}, ["y"], exact=exact)
    net.add("activation", outputs="y", linear={})
    with pytest.raises(InvalidModelError, match=r"input 'x'.*at most 5 dimensions"):
        load(net.spec())


def test_an_array_of_rank_6_is_refused_where_every_shape_will_do() -> None:
    net = build.Network({"x": build.array()}, ["y"], exact=True)
    net.add("ceil", outputs="y")
    model = net.model()
    assert model.predict({"x": np.ones((1, 2, 1, 3, 1))})["y"].shape == (1, 2, 1, 3, 1)
    with pytest.raises(InputError, match=r"input 'x'.*\(1, 2, 1, 3, 1, 4\) has 6 dimensions, a blob at most 5"):
        model.predict({"x": np.ones((1, 2, 1, 3, 1, 4))})


#: Layers whose result has a lower rank than their input.
LOWER_RANK = {"getShape", "whereNonZero", "flattenTo2D", "squeeze"}


#: The rank of what a custom layer makes is checked in test_custom.py.
ONE_ARRAY = sorted(kind for kind in LAYERS if LAYERS[kind].inputs[0] and kind not in CONTROL | {"custom"})


@pytest.mark.parametrize("kind", ONE_ARRAY)
def test_no_layer_makes_a_blob_of_rank_6(kind: str) -> None:
    network, blobs = sound_network(kind)
    six = {name: np.ones((1, 2, 1, 2, 1, 2), np.float32) for name in blobs}
    if kind in LOWER_RANK:
        assert all(result.ndim <= 5 for result in network.run(six).values())
    else:
        refusal(lambda: network.run(six), kind)


# --- axes ---


def single_axes() -> list[tuple[str, str]]:
    found = []
    for kind in sorted(LAYERS.keys() - ENUM_AXIS):
        fields = params_of(kind).DESCRIPTOR.fields_by_name.values()
        found += [(kind, field.name) for field in fields if field.name.lower().endswith("axis") and field.name]
    return [
        (kind, name)
        for kind, name in found
        if isinstance(getattr(params_of(kind), name), int) and not isinstance(getattr(params_of(kind), name), bool)
    ]


def test_the_layers_with_one_axis_are_known() -> None:
    assert {kind for kind, _ in single_axes()} >= {"softmaxND", "concatND", "argMax", "topK", "cumSum", "reverseSeq"}


@pytest.mark.parametrize("way", ["above", "below", "far above", "far below"])
@pytest.mark.parametrize(("kind", "field"), single_axes())
def test_an_axis_out_of_range_is_refused(kind: str, field: str, way: str) -> None:
    # A stack and a one-hot have an axis more than their input, 4 in all; flattenTo2D cuts before any axis or after all.
    rank = {"stack": 4, "oneHot": 3, "flattenTo2D": 4, "embeddingND": 2}.get(kind, 3)
    axis = {"above": rank, "below": -rank - 1, "far above": MOST, "far below": LEAST}[way]
    message = refusal(lambda: sound_network_run(kind, lambda params: setattr(params, field, axis)), kind)
    assert field in message
    assert str(axis) in message


def sound_network_run(kind: str, change: Callable[[Any], None]) -> Any:
    network, blobs = sound_network(kind, change)
    return network.run(blobs)


MANY_AXES = sorted(kind for kind in LAYERS if "axes" in params_of(kind).DESCRIPTOR.fields_by_name)


@pytest.mark.parametrize("axes", [[3], [-4], [0, 3], [MOST], [LEAST], [0, 0], [0, -3]])
@pytest.mark.parametrize("kind", MANY_AXES)
def test_axes_out_of_range_or_twice_are_refused(kind: str, axes: list[int]) -> None:
    if kind == "expandDims":  # its axes count in the result
        axes = {(3,): [4], (-4,): [-5], (0, 3): [0, 5], (0, -3): [0, -5]}.get(tuple(axes), axes)
    if kind == "transpose":  # its axes are unsigned, and all of them are given
        axes = [abs(axis + (axis == LEAST)) for axis in axes]

    def change(params: Any) -> None:
        del params.axes[:]
        params.axes.extend(axes)
        if hasattr(params, "reduceAll"):
            params.reduceAll = False

    message = refusal(lambda: sound_network_run(kind, change), kind)
    assert "axes" in message
    assert all(str(axis) in message for axis in axes)


# --- broadcasting ---


BROADCASTING = sorted(
    kind
    for kind in LAYERS
    if kind.endswith("Broadcastable")
    or kind in {"equal", "notEqual", "lessThan", "lessEqual", "greaterThan", "greaterEqual"}
    or kind in {"logicalAnd", "logicalOr", "logicalXor", "add", "multiply", "average", "max", "min"}
)


@pytest.mark.parametrize("shapes", [((2, 3), (4, 3)), ((2, 3), (2,)), ((5, 1, 3), (2, 4, 3)), ((2, 3), (3, 2))])
@pytest.mark.parametrize("kind", BROADCASTING)
def test_shapes_that_do_not_broadcast_are_refused(kind: str, shapes: Any) -> None:
    shapes = (*shapes, (1,)) if kind == "whereBroadcastable" else shapes
    network = one_layer(kind, len(shapes), rank5=False)
    blobs = {f"x{i}": np.ones(shape, np.float32) for i, shape in enumerate(shapes)}
    message = refusal(lambda: network.run(blobs), kind)
    assert "broadcast" in message or "do not fit together" in message
    assert all(str(shape) in message for shape in shapes)


# --- indices ---


INDEXED = {
    "gather": ([(4, 5), (3,)], {"axis": 0}, 1),
    "gatherND": ([(4, 5), (3, 1)], {}, 1),
    "gatherAlongAxis": ([(4, 5), (3, 5)], {"axis": 0}, 1),
    "scatter": ([(4, 5), (3,), (3, 5)], {"axis": 0}, 1),
    "scatterND": ([(4, 5), (3, 1), (3, 5)], {}, 1),
    "scatterAlongAxis": ([(4, 5), (3, 5), (3, 5)], {"axis": 0}, 1),
    "embeddingND": ([(3, 1)], {"vocab_size": 4, "embedding_size": 5, "weights": np.ones((5, 4))}, 0),
    "embedding": ([(3, 1, 1, 1)], {"input_dim": 4, "output_channels": 5, "weights": np.ones((5, 4))}, 0),
}


@pytest.mark.parametrize("index", [4, -5, 2.0**31, -(2.0**40), np.inf, np.nan])
@pytest.mark.parametrize("kind", INDEXED)
def test_an_index_out_of_range_is_refused_if_strict(kind: str, index: float) -> None:
    shapes, fields, place = INDEXED[kind]
    given, made = [f"x{i}" for i in range(len(shapes))], ["y"]
    net = build.Network({name: () for name in given}, made)
    net.add(kind, inputs=given, outputs=made, **fields)
    blobs = {name: np.ones(shape, np.float32) for name, shape in zip(given, shapes, strict=True)}
    blobs[given[place]].flat[-1] = index
    strict, lenient = (Network(net.layers, inputs=given, outputs=made, rank5=False, strict=s) for s in (True, False))
    message = refusal(lambda: strict.run(blobs), kind)
    assert f"{index:g}" in message or f"{int(index)}" in message
    if np.isfinite(index):
        assert lenient.run(blobs)["y"].shape == strict.shapes({n: b.shape for n, b in blobs.items()})["y"]


# --- sizes ---


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("fillStatic", {"targetShape": [4, 0]}),
        ("broadcastToStatic", {"targetShape": [0, 5, 7]}),
        ("loadConstantND", {"shape": [0, 5]}),
        ("randomNormalStatic", {"outputShape": [4, 0]}),
        ("randomUniformStatic", {"outputShape": [4, 0]}),
        ("randomBernoulliStatic", {"outputShape": [4, 0]}),
        ("reshapeStatic", {"targetShape": [-2, -70]}),
        ("rankPreservingReshape", {"targetShape": [-2, 5, 7]}),
        ("reshape", {"targetShape": [-4, -5, 7]}),
        ("tile", {"reps": [1, 0, 1]}),
        ("slidingWindows", {"windowSize": 0}),
        ("slidingWindows", {"step": 0}),
        ("topK", {"K": 6}),
        ("topK", {"K": 0}),
        ("sliceStatic", {"strides": [1, 0, 1]}),
        ("slice", {"stride": 0}),
        ("sliceBySize", {"size": 0}),
        ("sliceBySize", {"size": 6}),
        ("splitND", {"splitSizes": [4, 0]}),
        ("split", {"nOutputs": 0}),
        ("oneHot", {"oneHotVectorSize": 0}),
        ("pooling", {"kernelSize": [0, 2]}),
        ("pooling", {"stride": [0, 1]}),
        ("pooling3d", {"strideWidth": 0}),
        ("pooling3d", {"kernelWidth": 0}),
        ("convolution", {"stride": [0, 1]}),
        ("convolution", {"dilationFactor": [0, 1]}),
        ("convolution3d", {"strideDepth": 0}),
        ("convolution3d", {"dilationDepth": 0}),
        ("upsample", {"fractionalScalingFactor": [0.0, 2.0]}),
        ("reorganizeData", {"blockSize": 0}),
        ("categoricalDistribution", {"numSamples": 0}),
        ("lrn", {"localSize": 0}),
    ],
)
def test_sizes_and_strides_of_none_or_less_are_refused(kind: str, change: dict[str, Any]) -> None:
    ((field, value),) = change.items()

    def spoil(params: Any) -> None:
        if isinstance(value, list):
            del getattr(params, field)[:]
            getattr(params, field).extend(value)
        else:
            setattr(params, field, value)

    message = refusal(lambda: sound_network_run(kind, spoil), kind)
    words = ("stride", "kernel", "dilation", "shape", "numbers of at least 1")
    assert field.lower() in message.lower() or any(word in message for word in words)
