"""Numbers of enums that the schema does not define are refused at load, wherever they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import refcoreml
from refcoreml import build
from refcoreml.errors import InvalidModelError
from refcoreml.neuralnetwork.graph import make_nodes
from refcoreml.spec import schema
from refcoreml.spec.enums import undefined_enum

UNKNOWN = 77
NETWORKS = ["neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor"]


def paths_to_enums(descriptor: Any, around: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The fields on the way to each enum in a message; layers in inner networks are not entered."""
    for field in descriptor.fields:
        if field.enum_type is not None:
            yield (field.name,)
        inner = field.message_type
        if inner is not None and inner.name != "NeuralNetworkLayer" and inner.full_name not in around:
            yield from ((field.name, *rest) for rest in paths_to_enums(inner, (*around, inner.full_name)))


def with_unknown(message: Any, path: tuple[str, ...]) -> None:
    """Sets the enum at the end of the path, and only what is on the way to it."""
    for name in path[:-1]:
        message = getattr(message, name)
        if hasattr(message, "add"):
            message = message.add()
    setattr(message, path[-1], UNKNOWN)


LAYER_ENUMS = [
    (kind.name, path)
    for kind in schema.NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields
    for path in paths_to_enums(kind.message_type)
]


def test_the_walk_finds_the_enums_of_layers() -> None:
    """Counted by hand: 18 layer types have 23 enums; branches and loops two mappings in each of two networks."""
    assert len(LAYER_ENUMS) == 23 + 2 * 2 * 2
    assert ("scatterND", ("mode",)) in LAYER_ENUMS
    assert ("pooling", ("same", "asymmetryMode")) in LAYER_ENUMS
    assert ("loop", ("bodyNetwork", "imageInputShapeMapping")) in LAYER_ENUMS


@pytest.mark.parametrize(("kind", "path"), LAYER_ENUMS, ids=lambda value: value if isinstance(value, str) else None)
def test_every_enum_of_every_layer(kind: str, path: tuple[str, ...]) -> None:
    layer = schema.NeuralNetworkLayer(name="one")
    with_unknown(getattr(layer, kind), path)
    expected = f"{'.'.join(path)} is {UNKNOWN}, which the schema does not define"
    with pytest.raises(InvalidModelError) as caught:
        make_nodes([layer], "network")
    assert caught.value.problem == expected
    assert caught.value.where == f"network.layers[0] 'one' ({kind})"


@pytest.mark.parametrize("field", ["arrayInputShapeMapping", "imageInputShapeMapping"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_the_mappings_of_a_network(kind: str, field: str) -> None:
    net = build.Network({"x": (3,)}, ["y"])
    net.add("activation", name="last", ReLU={})
    spec = net.spec()
    network = spec.neuralNetwork.SerializeToString()
    getattr(spec, kind).MergeFromString(network)
    setattr(getattr(spec, kind), field, 2)
    with pytest.raises(InvalidModelError, match=f"{kind}: {field} is 2, which the schema does not define"):
        refcoreml.load(spec)


def test_several_messages_are_told_by_their_places() -> None:
    ensemble = schema.TreeEnsembleParameters()
    ensemble.nodes.add(nodeBehavior=6)
    ensemble.nodes.add(nodeBehavior=UNKNOWN)
    assert undefined_enum(ensemble) == f"nodes[1].nodeBehavior is {UNKNOWN}, which the schema does not define"
    ensemble.nodes[1].nodeBehavior = 0
    assert undefined_enum(ensemble) == ""
