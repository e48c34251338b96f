"""What a model is, without running it: `inspect`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from refcoreml.custom import parameter_values
from refcoreml.errors import CallbackError, InvalidModelError, RefCoreMLError
from refcoreml.execution.limits import Budget
from refcoreml.features.classifier import Label
from refcoreml.mil.registry import OPSETS
from refcoreml.mil.summary import custom_classes, operation_counts, weight_counts
from refcoreml.model import Model, as_model
from refcoreml.neuralnetwork.graph import walk_layers
from refcoreml.neuralnetwork.interface import Interface
from refcoreml.neuralnetwork.network import Network
from refcoreml.spec import schema
from refcoreml.spec.weights import weight_encoding, weight_fields
from refcoreml.types import Shape

#: The first systems that run each specification version.
OPERATING_SYSTEMS = {
    1: "iOS 11, macOS 10.13, tvOS 11, watchOS 4",
    2: "iOS 11.2, macOS 10.13.2, tvOS 11.2, watchOS 4.2",
    3: "iOS 12, macOS 10.14, tvOS 12, watchOS 5",
    4: "iOS 13, macOS 10.15, tvOS 13, watchOS 6",
    5: "iOS 14, macOS 11, tvOS 14, watchOS 7",
    6: "iOS 15, macOS 12, tvOS 15, watchOS 8",
    7: "iOS 16, macOS 13, tvOS 16, watchOS 9",
    8: "iOS 17, macOS 14, tvOS 17, watchOS 10",
    9: "iOS 18, macOS 15, tvOS 18, watchOS 11",
    10: "iOS 26, macOS 26, tvOS 26, watchOS 26",
}

#: The specification version that introduced ML Programs, and with them the first operation set.
_FIRST_PROGRAMS = 6

#: Messages that are told elsewhere.
_NOT_PARAMETERS = ("WeightParams", "NeuralNetwork")

#: Fields longer than this are told by their length.
_LONGEST_LIST = 8

#: How often a shorter beginning of a network is tried for what can be shown.
_MOST_ATTEMPTS = 8


@dataclass(frozen=True)
class WeightSummary:
    """One field of weights: its name, how it is stored, and how much."""

    field: str
    kind: str
    bits: int
    count: int
    size: int


@dataclass(frozen=True)
class LayerSummary:
    """One layer: what it is, what it is connected to, with which parameters and weights.

    ``output_shapes`` holds None where a shape is not known before the run, or after the first layer that has a
    ``problem``.
    """

    index: int
    name: str
    kind: str
    inputs: list[str]
    outputs: list[str]
    output_shapes: list[Shape | None]
    parameters: dict[str, Any]
    weights: list[WeightSummary]
    problem: str = ""


@dataclass(frozen=True)
class CustomNeed:
    """Code that a model needs: the class of a custom layer or model, how often, and whether it is there."""

    kind: str
    class_name: str
    description: str
    parameters: dict[str, Any]
    weights: list[WeightSummary]
    count: int
    met: bool


@dataclass(frozen=True)
class FunctionSummary:
    """One function of an ML Program.

    ``operations`` counts them by kind, without constants; ``storage`` counts weights by the type or the compression in
    which they are stored. ``problem`` says why it cannot run.
    """

    name: str
    default: bool
    opset: str
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    states: list[dict[str, Any]]
    operations: dict[str, int]
    storage: dict[str, int]
    problem: str = ""


@dataclass(frozen=True)
class Summary:
    """What `inspect` finds; `as_dict` gives it as plain values for JSON.

    ``metadata`` holds the fields that every model can have, ``user_defined`` what else the author wrote, under names of
    the author's own. ``storage`` counts weights by how they are stored, of an ML Program those of the function that
    predicts. ``labels`` are those in the message of a classifier; an ML Program computes its own. ``problem`` says why
    the model cannot run.
    """

    kind: str
    specification_version: int
    runs_on: str
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    metadata: dict[str, str]
    user_defined: dict[str, str]
    preprocessing: dict[str, list[str]]
    layers: list[LayerSummary]
    needs: list[CustomNeed]
    storage: dict[str, int]
    updatable: bool
    problem: str
    name: str = ""
    models: list[Summary] = field(default_factory=list)
    functions: list[FunctionSummary] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as dicts, lists, strings and numbers."""
        return asdict(self)


def inspect(model: Any) -> Summary:
    """Describe a model: features, metadata, layers with shapes and parameters, storage, what it depends on.

    Works for every model that can be read, also for those that refcoreml cannot run; ``problem`` then says why, and so
    does the layer where it shows.

    Args:
        model: anything that `refcoreml.load` takes, or a loaded model; ``load(path, prepare=False)`` will do.
    """
    return _inspect(as_model(model, prepare=False))


def _inspect(model: Model, failure: RefCoreMLError | None = None) -> Summary:
    """Inspect, as `inspect` does; ``failure`` is why a pipeline cannot be prepared, where that is known."""
    found = _prepared(model, failure)
    layers = [
        _layer(index, layer, found.shapes, found.problems.get(index, ""))
        for index, layer in enumerate(_layers(model.spec))
    ]
    metadata = model.spec.description.metadata
    problem = "" if found.failure is None else f"{type(found.failure).__name__}: {found.failure}"
    functions = [
        _function(model if name == model.function else model.with_function(name), model.function, problem)
        for name in model.functions
    ]
    return Summary(
        kind=model.kind,
        specification_version=model.spec.specificationVersion,
        runs_on=OPERATING_SYSTEMS.get(_needed_version(model), "no known system"),
        inputs=[_feature(feature) for feature in model.inputs],
        outputs=[_feature(feature) for feature in model.outputs],
        metadata=_metadata(metadata),
        user_defined=dict(metadata.userDefined),
        preprocessing=dict(found.formulas),
        layers=layers,
        needs=_needs(model),
        storage=next((function.storage for function in functions if function.default), _storage(layers)),
        updatable=model.spec.isUpdatable,
        problem=problem,
        models=[
            replace(_inspect(inner, _failure_of(index, inner, found.failure)), name=name)
            for index, (name, inner) in enumerate(model.models.items())
        ],
        functions=functions,
        labels=_labels(model.spec),
    )


def _labels(spec: schema.Model) -> list[Label]:
    """Return the labels in the message of a classifier; not all types have labels of both kinds."""
    message: Any = getattr(spec, spec.WhichOneof("Type") or "description")
    if "ClassLabels" not in message.DESCRIPTOR.oneofs_by_name:
        return []
    chosen = message.WhichOneof("ClassLabels")
    return list(getattr(message, chosen).vector) if chosen else []


class _Prepared(NamedTuple):
    """What preparing a model shows.

    Attributes:
        failure: why it cannot run; None if it can.
        shapes: those of the blobs that are known.
        problems: by number what is wrong with a layer.
        formulas: what preprocessing does.
    """

    failure: RefCoreMLError | None
    shapes: Mapping[str, Shape]
    problems: Mapping[int, str] = MappingProxyType({})
    formulas: Mapping[str, list[str]] = MappingProxyType({})


def _prepared(model: Model, failure: RefCoreMLError | None) -> _Prepared:
    """Prepare a model, unless it is known why that fails."""
    try:
        if failure is not None:
            raise failure
        layered = model.prepare().layered
        formulas = layered.interface.preprocessing_formula() if layered is not None else {}
    except RefCoreMLError as error:
        return _Prepared(error, *_up_to(model, error))
    try:
        return _Prepared(None, model.shapes(), formulas=formulas)
    except (InvalidModelError, CallbackError) as error:  # a shape that stands for sequences need not fit
        index = _layer_of(error, model.kind)
        problems = {} if index is None else {index: f"with the default shapes of the inputs: {error.problem}"}
        return _Prepared(None, error.shapes, problems, formulas)


def _metadata(message: schema.Metadata) -> dict[str, str]:
    """Return the fields of metadata that are set."""
    fields = {
        "description": message.shortDescription,
        "author": message.author,
        "version": message.versionString,
        "license": message.license,
    }
    return {name: value for name, value in fields.items() if value}


def _needed_version(model: Model) -> int:
    """Return the specification version of the first systems that run a model: its own, or that of an operation set."""
    functions = model.spec.mlProgram.functions.values() if model.kind == "mlProgram" else ()
    known = [list(OPSETS).index(function.opset) + _FIRST_PROGRAMS for function in functions if function.opset in OPSETS]
    return max([model.spec.specificationVersion, *known])


def _function(model: Model, default: str, problem: str) -> FunctionSummary:
    """Describe the function that a model runs; ``problem`` is that of the default one."""
    if model.function != default:
        problem = ""
        try:
            model.prepare()
        except RefCoreMLError as error:
            problem = f"{type(error).__name__}: {error}"
    functions = model.spec.mlProgram.functions
    message = functions[model.function] if model.function in functions else schema.MILSpec.Function()
    operations, storage = operation_counts(message), dict[str, int]()
    with suppress(RefCoreMLError):  # a type that is none, which the problem names
        storage = weight_counts(message)
    return FunctionSummary(
        name=model.function,
        default=model.function == default,
        opset=f"{message.opset} ({OPSETS[message.opset]})" if message.opset in OPSETS else message.opset,
        inputs=[_feature(feature) for feature in model.inputs],
        outputs=[_feature(feature) for feature in model.outputs],
        states=[_feature(feature) for feature in model.states],
        operations=operations,
        storage=storage,
        problem=problem,
    )


def _failure_of(index: int, inner: Model, failure: RefCoreMLError | None) -> RefCoreMLError | None:
    """Return the failure of a pipeline in a pipeline, if that is why the outer one cannot be prepared.

    To prepare it again to find out would take the square of the depth.
    """
    place = re.match(rf"pipeline\w*(\.pipeline)?\.models\[{index}\] ", failure.where) if failure is not None else None
    if failure is None or place is None or not inner.kind.startswith("pipeline"):
        return None
    own = copy(failure)
    own.where = failure.where[place.end() :].removeprefix(f"{inner.name!r}").removeprefix(", ")
    return own


def _up_to(model: Model, error: RefCoreMLError) -> tuple[Mapping[str, Shape], dict[int, str]]:
    """Return what is known of the blobs before the first layer that cannot be prepared, and its problem."""
    index = _layer_of(error, model.kind)
    if index is None or error.shapes:
        return error.shapes, {} if index is None else {index: error.problem}
    problem = error.problem
    message = getattr(model.spec, model.kind)
    for _ in range(_MOST_ATTEMPTS):  # a layer further up may have another problem, which is checked later
        try:
            return _shapes_of(model, message.layers[:index]), {index: problem}
        except RefCoreMLError as earlier:
            at = _layer_of(earlier, model.kind)
            if at is None or at >= index:
                break
            index, problem = at, earlier.problem
            if earlier.shapes:
                return earlier.shapes, {index: problem}
    return {}, {index: problem}


def _shapes_of(model: Model, layers: Sequence[schema.NeuralNetworkLayer]) -> Mapping[str, Shape]:
    interface = Interface(model.spec.description, getattr(model.spec, model.kind))
    known = interface.default_shapes()
    network = Network(
        layers,
        inputs=interface.inputs,
        outputs=(),
        rank5=interface.rank5,
        strict=model.strict,
        custom_layers=model.custom_code("layer"),
        budget=Budget(model.limits),
        where=model.kind,
    )
    return network.shapes(known) if all(name in known for name in interface.inputs) else {}


def _layer_of(error: RefCoreMLError, kind: str) -> int | None:
    """Return the layer at the top of a network that an error is about."""
    found = re.match(rf"{re.escape(kind)}\.layers\[(\d+)\]", error.where, re.DOTALL)
    return int(found[1]) if found else None


def _feature(feature: Any) -> dict[str, Any]:
    return {
        "name": feature.name,
        "type": feature.describe(),
        "optional": feature.optional,
        "description": feature.description,
    }


def _layers(spec: schema.Model) -> Iterator[schema.NeuralNetworkLayer]:
    kind = str(spec.WhichOneof("Type"))
    if kind.startswith("neuralNetwork"):
        yield from getattr(spec, kind).layers


def _needs(model: Model) -> list[CustomNeed]:
    """Return what a model itself needs, without the models in it."""
    found: dict[str, CustomNeed] = {}
    code = {kind: model.custom_code(kind) for kind in ("layer", "model")}
    messages: list[tuple[str, Any]] = [
        ("layer", layer.custom) for layer in walk_layers(list(_layers(model.spec))) if layer.HasField("custom")
    ]
    if model.kind == "customModel":
        messages.append(("model", model.spec.customModel))
    for kind, message in messages:
        try:
            values = parameter_values(message.parameters, "")
        except InvalidModelError as error:
            values = {"invalid": error.problem}
        need = CustomNeed(
            kind=kind,
            class_name=message.className,
            description=message.description,
            parameters=values,
            weights=list(weight_summaries(message)),
            count=1,
            met=message.className in code[kind],
        )
        same = found.setdefault(repr(need), replace(need, count=0))
        found[repr(need)] = replace(same, count=same.count + 1)
    classes: Counter[tuple[str, str]] = Counter()
    for function in model.spec.mlProgram.functions.values() if model.kind == "mlProgram" else ():
        classes.update(custom_classes(function))
    of_programs = [
        CustomNeed("layer", name, description, {}, [], count, name in code["layer"])
        for (name, description), count in classes.items()
    ]
    return [*found.values(), *of_programs]


def _layer(index: int, layer: schema.NeuralNetworkLayer, shapes: Mapping[str, Shape], problem: str) -> LayerSummary:
    kind = layer.WhichOneof("layer") or "unknown"
    params = getattr(layer, kind, None)
    return LayerSummary(
        index=index,
        name=layer.name,
        kind=kind,
        inputs=list(layer.input),
        outputs=list(layer.output),
        output_shapes=[shapes.get(name) for name in layer.output],
        parameters=parameters(params) if params is not None else {},
        weights=list(weight_summaries(params)) if params is not None else [],
        problem=problem,
    )


def parameters(message: Message) -> dict[str, Any]:
    """Return the fields of a layer's message that are set, without weights and inner networks, as plain values."""
    return {
        item.name: _plain(item, value)
        for item, value in message.ListFields()
        if item.message_type is None or item.message_type.name not in _NOT_PARAMETERS
    }


def _plain(item: FieldDescriptor, value: Any) -> Any:
    if item.message_type is not None:
        if isinstance(value, Message):
            return parameters(value)
        if item.message_type.GetOptions().map_entry:  # of parameters of any type: messages with one member that is set
            return {key: next(iter(parameters(value[key]).values()), None) for key in sorted(value)}
        return [parameters(element) if isinstance(element, Message) else str(element) for element in value]
    if item.enum_type is not None and isinstance(value, int):
        known = item.enum_type.values_by_number.get(value)
        return known.name if known is not None else value
    if isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    values = list(value[: _LONGEST_LIST + 1])
    return values if len(values) <= _LONGEST_LIST else f"{len(value)} values"


def weight_summaries(message: Message) -> Iterator[WeightSummary]:
    """Yield every ``WeightParams`` that holds something, at any depth of a layer's message."""
    for name, weights in weight_fields(message):
        try:
            encoding = weight_encoding(weights)
        except RefCoreMLError as error:
            yield WeightSummary(name, f"invalid: {error}", 0, 0, 0)
            continue
        if encoding.bits:
            yield WeightSummary(name, encoding.kind, encoding.bits, encoding.size * 8 // encoding.bits, encoding.size)


def _storage(layers: list[LayerSummary]) -> dict[str, int]:
    """Return the number of weights by their encoding."""
    counts: Counter[str] = Counter()
    for layer in layers:
        for weights in layer.weights:
            counts[weights.kind if weights.bits >= 16 else f"{weights.kind}, {weights.bits} bits"] += weights.count
    return dict(counts)
