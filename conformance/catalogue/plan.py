"""The vocabulary in which the catalogue is written: `layer`, `network`, `invalid`, `malformed`, and weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from conformance.catalogue.data import Source, draw
from refcoreml import build
from refcoreml.kernels.bits import pack_codes
from refcoreml.neuralnetwork.interface import is_legacy_layer
from refcoreml.spec import schema

Array: TypeAlias = NDArray[Any]
#: What an input is: a shape, to be filled with the case's kind of data; an array; or a function of (source, kind).
Given: TypeAlias = "tuple[int, ...] | Array | Callable[[Source, str], Array]"

SUMS = "integers zero-mean wide cancellation"
FUNCTION = "integers zero-mean wide special"
MOVEMENT = "integers zero-mean wide nan"


@dataclass
class Plan:
    """A case before it has references.

    Attributes:
        id: its name: layer / configuration / data.
        family: the group of layers it is reported under.
        layers: the types of layers in it.
        data: the kind of data.
        model: the file's bytes.
        specification: the version it needs.
        inputs: arrays by name.
        features: what it needs besides.
        verdict, rule: see the format.
        free_ones: whether dimensions of 1 are open.
        expected: references and bounds that the oracle cannot know, by output: (reference, bound,
            moments: power, value, bound).
        clauses: labels of the clauses that it checks; the table in `clauses` adds more.
        custom_layers: what its custom layers compute, by class.
        twin: a model of other layers that computes the same as one with custom layers, for the oracle.
        repeat: how often the model is to be run, one prediction after the other.
    """

    id: str
    family: str
    layers: list[str]
    data: str
    model: bytes
    specification: int
    inputs: dict[str, Array] = field(default_factory=dict)
    features: list[str] = field(default_factory=list)
    verdict: str = "returns"
    rule: str = ""
    free_ones: bool = False
    expected: dict[str, tuple[Array, Array, list[tuple[int, float, float]]]] = field(default_factory=dict)
    clauses: list[str] = field(default_factory=list)
    custom_layers: dict[str, str] = field(default_factory=dict)
    twin: bytes = b""
    repeat: int = 1

    @property
    def predictions(self) -> list[dict[str, Array]]:
        """The inputs of each step."""
        return [self.inputs]

    @property
    def contents(self) -> dict[str, bytes]:
        """The model's files by their path in the case's folder."""
        return {"model.mlmodel": self.model}


@dataclass(frozen=True)
class W:
    """Weights to be drawn: of the case's kind of data, stored in some way.

    Attributes:
        shape: of the weights.
        encoding: ``float32``, ``float16``, ``linear3`` (3 bits, one scale), ``linear3c`` (one scale per channel),
            ``lut3``, ``int8``.
        axis: the axis of channels.
        positive: whether to take magnitudes, at least 1/4 (variances, bases).
        kind: a kind of data of its own.
        long: extra bytes at the end of packed codes, which are to be ignored.
    """

    shape: tuple[int, ...]
    encoding: str = "float32"
    axis: int = 0
    positive: bool = False
    kind: str = ""
    long: int = 0

    def make(self, source: Source, kind: str) -> Any:
        """Return a ``WeightParams`` message."""
        kind = self.kind or ("zero-mean" if kind in ("special", "nan", "halves", "ties", "bits") else kind)
        if self.encoding in ("float32", "float16"):
            values = draw(source, kind, self.shape)
            if self.positive:
                values = np.abs(values) + np.float32(1 if kind == "integers" else 0.25)
            return values.astype(np.float16) if self.encoding == "float16" else values
        return self._quantized(source, kind)

    def _quantized(self, source: Source, kind: str) -> schema.WeightParams:
        message, whole = schema.WeightParams(), kind == "integers"
        channels = self.shape[self.axis] if self.encoding.endswith("c") else 1
        # Powers of two keep integers exact however a runtime groups the formula.
        scale = 2.0 ** source.integers((channels,), 0, 1) if whole else 0.01 + source.uniform((channels,)) / 8
        name = self.encoding.rstrip("c")
        if name == "int8":
            codes = source.integers(self.shape, -4, 4) if whole else source.integers(self.shape, -127, 127)
            message.int8RawValue = codes.astype(np.int8).tobytes()
            message.quantization.numberOfBits = 8
            message.quantization.linearQuantization.scale.extend(scale.astype(np.float32).tolist())
            return message
        bits = int(name.removeprefix("linear").removeprefix("lut"))
        most = 2**bits - 1
        codes = source.integers(self.shape, 0, most)
        if whole and name.startswith("linear") and bits > 4:
            codes = source.integers(self.shape, 2 ** (bits - 1) - 4, 2 ** (bits - 1) + 3)
        message.quantization.numberOfBits = bits
        if name.startswith("lut"):
            table = draw(source, kind, (most + 1,))
            message.quantization.lookupTableQuantization.floatValue.extend(table.tolist())
        else:
            middle = 2 ** (bits - 1)
            bias = -middle * scale if whole else -middle * scale * (0.9 + source.uniform((channels,)) / 8)
            linear = message.quantization.linearQuantization
            linear.scale.extend(scale.astype(np.float32).tolist())
            linear.bias.extend(bias.astype(np.float32).tolist())
        message.rawValue = pack_codes(codes.astype(np.uint8), bits) + b"\xff" * self.long
        return message


def _resolved(value: Any, source: Source, kind: str) -> Any:
    if isinstance(value, W):
        return value.make(source, kind)
    if isinstance(value, Mapping):
        return {name: _resolved(item, source, kind) for name, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, source, kind) for item in value]
    return value


def features_of(value: Any) -> Iterator[str]:
    """Yield the features of all weights in fields of a layer."""
    if isinstance(value, W) and value.encoding != "float32":
        name = value.encoding.rstrip("c")
        if name in ("float16", "int8"):
            yield f"{name} weights"
        else:
            kind = "lookup table" if name.startswith("lut") else "linear quantization"
            yield f"{kind}, {name.removeprefix('linear').removeprefix('lut')} bits"
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from features_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from features_of(item)


def _arrays(given: Sequence[Given], source: Source, kind: str, domain: Callable[[Array], Array] | None) -> list[Array]:
    result = []
    for item in given:
        if isinstance(item, np.ndarray):
            array = item
        elif callable(item):
            array = item(source, kind)
        else:
            array = draw(source, kind, item)
            if domain is not None:
                array = domain(array)
        result.append(np.asarray(array, np.float32))
    return result


def layer(
    kind: str,
    label: str,
    *given: Given,
    data: str = SUMS,
    outputs: int = 1,
    domain: Callable[[Array], Array] | None = None,
    declared: Sequence[tuple[int, ...]] | None = None,
    exact: bool | None = None,
    verdict: str = "returns",
    rule: str = "",
    family: str = "",
    expected: Callable[[], dict[str, Any]] | None = None,
    **fields: Any,
) -> Iterator[Plan]:
    """Yield a case of one layer for each kind of data.

    Args:
        kind: the layer.
        label: names the configuration.
        given: the inputs, ``x0``, ``x1``, ...
        data: kinds of data, separated by spaces.
        outputs: how many there are: ``y0``, ``y1``, ...
        domain: maps drawn numbers to where the layer is defined.
        declared: the inputs' shapes as the model declares them, if they are not those of the arrays.
        exact: whether arrays keep their ranks (specification 4). By default layers of specification 3 with inputs of
            rank 1 and 3 only are written for rank-5 networks.
        verdict, rule: what the case demands.
        family: for reports; by default the module's.
        expected: references and bounds that the oracle cannot know.
        fields: the layer's fields; ``stored`` stands for a field called ``data``.
    """
    if "stored" in fields:
        fields["data"] = fields.pop("stored")
    for name in data.split():
        identity = f"{kind}/{label}/{name}"
        source = Source(identity)
        arrays = _arrays(given, source, name, domain)
        shapes = [tuple(shape) for shape in declared] if declared else [array.shape for array in arrays]
        names = [f"x{index}" for index in range(len(arrays))]
        made = [f"y{index}" for index in range(outputs)]

        def written(
            ranked: bool, values: Mapping[str, Any], shapes: Any = shapes, names: Any = names, made: Any = made
        ) -> build.Network:
            net = build.Network(dict(zip(names, shapes, strict=True)), made, exact=ranked)
            net.add(kind, inputs=names, outputs=made, **values)
            return net

        values = _resolved(fields, source, name)
        net = written(True, values)
        ranked = exact
        if ranked is None:
            ranked = not is_legacy_layer(net.layers[0]) or any(len(shape) not in (1, 3) for shape in shapes)
        model = written(ranked, values).spec()
        yield Plan(
            identity,
            family or FAMILIES.get(kind, ""),
            [kind],
            name,
            model.SerializeToString(deterministic=True),
            model.specificationVersion,
            dict(zip(names, arrays, strict=True)),
            sorted({*features_of(fields), "exact ranks" if ranked else "rank 5"}),
            verdict,
            rule,
            not ranked,
            expected() if expected else {},
        )


def network(
    identity: str,
    family: str,
    net: build.Network,
    inputs: Mapping[str, Array],
    data: str = "integers",
    *,
    verdict: str = "returns",
    rule: str = "",
    free_ones: bool = False,
    features: Sequence[str] = (),
) -> Plan:
    """Return a case of a network written by hand."""
    model = net.spec()
    return Plan(
        f"{identity}/{data}",
        family,
        sorted({kind for kind in _kinds(net.layers)}),
        data,
        model.SerializeToString(deterministic=True),
        model.specificationVersion,
        {name: np.asarray(array, np.float32) for name, array in inputs.items()},
        list(features),
        verdict,
        rule,
        free_ones,
    )


def _kinds(layers: Any) -> Iterator[str]:
    from refcoreml.neuralnetwork.graph import walk_layers

    return (str(message.WhichOneof("layer")) for message in walk_layers(layers))


def invalid(
    kind: str, label: str, rule: str, *given: Given, outputs: int = 1, clause: str = "", **options: Any
) -> Iterator[Plan]:
    """Yield a model that breaks a rule, which every implementation must refuse, at the latest with the inputs."""
    for plan in layer(
        kind, f"invalid-{label}", *given, data="integers", outputs=outputs, verdict="invalid", rule=rule, **options
    ):
        plan.clauses = [f"{kind}.{clause}"] if clause else []
        yield plan


#: The family of each layer, filled by `family`.
FAMILIES: dict[str, str] = {}


def family(name: str, kinds: str) -> None:
    """Put layers under a heading of the reports."""
    FAMILIES.update(dict.fromkeys(kinds.split(), name))
