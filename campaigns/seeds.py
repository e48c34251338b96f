"""What mutated models start from: the conformance cases, pipelines and other types written here, and real models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import Message

from refcoreml import build
from refcoreml.conformance.cases import find_cases, read_case
from refcoreml.spec import schema

CASES = Path(__file__).parents[1] / "conformance" / "cases"
#: Real models above this size are left out: one of them costs as much as a hundred others.
LARGEST_REAL = 300_000
#: So many messages of one type are kept to be transplanted.
MOST_DONORS = 400


@dataclass(frozen=True)
class Seed:
    """A sound (or, among the cases, deliberately unsound) model, and inputs that suit it where they are known."""

    name: str
    data: bytes
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Seeds:
    """All seeds, and the messages in them by type.

    Attributes:
        small: cheap models, from which nearly all mutated ones come.
        real: models from elsewhere.
        donors: serialized messages by the full name of their type.
    """

    small: Sequence[Seed]
    real: Sequence[Seed]
    donors: Mapping[str, Sequence[bytes]]


def collect(models: Path | None = None) -> Seeds:
    """Read all seeds; the order is the same in every process."""
    small = [*_cases(), *_written()]
    real = list(_real(models)) if models is not None else []
    donors: dict[str, list[bytes]] = {}
    for seed in (*small, *real):
        for message in messages(schema.Model.FromString(seed.data)):
            kept = donors.setdefault(message.DESCRIPTOR.full_name, [])
            if len(kept) < MOST_DONORS or message.DESCRIPTOR.name == "NeuralNetworkLayer":
                kept.append(message.SerializeToString())
    return Seeds(small, real, {name: sorted(set(kept)) for name, kept in donors.items()})


def _cases() -> Iterator[Seed]:
    """Yield one case of each network; its data sets differ in numbers only."""
    seen: set[tuple[str, ...]] = set()
    for folder in find_cases(CASES, without=["mil"]):
        case = read_case(folder)
        model = case.model.read_bytes()
        variant = folder.relative_to(CASES).parts[:2]
        if variant in seen or not _is_model(model):
            continue
        seen.add(variant)
        yield Seed(case.id, model, case.read_inputs())


def _is_model(data: bytes) -> bool:
    try:
        return schema.Model.FromString(data).WhichOneof("Type") is not None
    except Exception:  # cases of damaged files are among them
        return False


def _written() -> Iterator[Seed]:
    yield Seed("pipeline", _pipeline("pipeline").SerializeToString())
    yield Seed("pipelineClassifier", _pipeline("pipelineClassifier").SerializeToString())
    yield Seed("pipelineRegressor", _pipeline("pipelineRegressor").SerializeToString())
    yield Seed("glmRegressor", _glm().SerializeToString())
    yield Seed("customModel", _custom().SerializeToString())
    yield Seed("classifier", _classifier().SerializeToString())
    yield Seed("flexible", _flexible().SerializeToString())


def _classifier() -> schema.Model:
    net = build.Network({"image": build.image(7, 5)}, ["p"], classes=["a", "b", "c"])
    net.preprocess("image", channel_scale=1 / 255, red_bias=-0.5)
    weights = (np.arange(4 * 3 * 3 * 2) % 7 - 3).reshape(4, 3, 3, 2).astype(np.float32)
    net.add("convolution", kernel_size=[3, 2], kernel_channels=3, output_channels=4, same={}, weights=weights)
    net.add("activation", leakyReLU={"alpha": 0.1})
    net.add("pooling", type="AVERAGE", kernel_size=[2, 3], stride=[1, 2], same={})
    net.add("flatten", mode="CHANNEL_LAST")
    dense = (np.arange(240) % 5 - 2).reshape(3, 80).astype(np.float32)
    net.add("innerProduct", input_channels=80, output_channels=3, weights=dense)
    net.add("softmax", outputs="p")
    return net.spec()


def _flexible() -> schema.Model:
    """Return a network whose input has a flexible shape, and one step that runs with shapes known only as it runs."""
    flexible = build.array(4, 6, 10)
    for least, most in ((4, 4), (2, 12), (10, -1)):
        flexible.multiArrayType.shapeRange.sizeRanges.add(lowerBound=least, upperBound=most)
    net = build.Network({"x": flexible}, ["y", "z"], exact=True)
    net.add("getShape", inputs="x", outputs="s")
    net.add("reshapeDynamic", inputs=["x", "s"], outputs="r")
    net.add("activation", inputs="r", outputs="a", ReLU={})
    net.add("scale", inputs="a", outputs="y", scale=np.ones(1, np.float32), shape_scale=[1])
    net.add("reduceSum", inputs="r", outputs="z", axes=[1], keep_dims=True)
    return net.spec()


def _glm() -> schema.Model:
    spec = schema.Model(specificationVersion=1)
    for name in ("a", "b"):
        spec.description.input.add(name=name).type.doubleType.SetInParent()
    spec.description.output.add(name="y").type.doubleType.SetInParent()
    spec.description.predictedFeatureName = "y"
    spec.glmRegressor.weights.add(value=[0.5, -2.0])
    spec.glmRegressor.offset.append(0.25)
    return spec


def _custom() -> schema.Model:
    spec = schema.Model(specificationVersion=2)
    spec.description.input.add(name="x").type.doubleType.SetInParent()
    spec.description.output.add(name="y").type.doubleType.SetInParent()
    spec.customModel.className = "Doubler"
    spec.customModel.parameters["factor"].doubleValue = 2
    return spec


def _pipeline(kind: str) -> schema.Model:
    first, second = build.Network({"x": (3, 4, 5)}, ["h"]), build.Network({"h": (3, 4, 5)}, ["y"])
    first.add("activation", inputs="x", outputs="h", ReLU={})
    second.add("unary", inputs="h", outputs="y", type="ABS")
    inner = [first.spec(), second.spec()]
    spec = schema.Model(specificationVersion=2)
    spec.description.input.add().CopyFrom(inner[0].description.input[0])
    spec.description.output.add().CopyFrom(inner[1].description.output[0])
    message = getattr(spec, kind)
    pipeline = message if kind == "pipeline" else message.pipeline
    pipeline.models.extend(inner)
    pipeline.names.extend(["first", "second"])
    return spec


def _real(folder: Path) -> Iterator[Seed]:
    for path in sorted(folder.rglob("*.mlmodel")):
        if path.is_file() and path.stat().st_size <= LARGEST_REAL and _is_model(data := path.read_bytes()):
            yield Seed(path.relative_to(folder).as_posix(), data)


def messages(message: Message) -> Iterator[Message]:
    """Yield the message, and all that are set within it, those in maps left out."""
    yield message
    for item, value in message.ListFields():
        if item.message_type is None or item.message_type.GetOptions().map_entry:
            continue
        for inner in [value] if isinstance(value, Message) else value:
            yield from messages(inner)
