"""Find where a network leaves its reference: the first layer that diverges, or the stretch that holds it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refcoreml.errors import RefCoreMLError
from refcoreml.execution.steps import Step
from refcoreml.model import Model
from refcoreml.neuralnetwork.graph import walk_layers
from refcoreml.oracle.balls import Doubles
from refcoreml.oracle.bounds import BlobBound
from refcoreml.oracle.rules import CHECKS, kind_of
from refcoreml.testing.agreement import WIDEST, typical
from refcoreml.testing.defects import DEFECTS
from refcoreml.testing.rounding import UNIT64, Constants, Undetermined, trace_bounds
from refcoreml.testing.shaking import trace_program
from refcoreml.testing.torch_modules import Recorded
from refcoreml.types import without_ones

__all__ = ["first_divergence", "first_divergent_operation"]

#: Layers that only move what they get, so that they are as right as their inputs.
MOVES = {"expandDims", "squeeze", "reshapeStatic", "transpose", "copy", "flattenTo2D", "rankPreservingReshape"} | {
    *("expand_dims", "reshape", "flatten2d", "identity", "cast"),
}

#: How many operations of a reference a message lists.
_LISTED = 6


@dataclass
class _Layer:
    """A layer that has run, with its bounds; of several outputs, one."""

    blob: str
    bound: BlobBound
    step: Step

    @property
    def name(self) -> str:
        return f"{self.bound.layer!r} ({self.bound.kind})"


@dataclass
class _Search:
    """The blobs of a network beside the values of its reference.

    Attributes:
        recorded: what the reference computed.
        layers: the network's layers as they ran.
        values: blobs by name.
        matches: blobs that are found in the reference, and as what.
        found: the places in ``recorded`` of values that are a blob of the network.
        plain: blobs of zeros and ones, which may match by chance.
    """

    recorded: Sequence[Recorded]
    matches: dict[str, str]
    layers: list[_Layer] = field(default_factory=list)
    values: dict[str, Doubles] = field(default_factory=dict)
    found: set[int] = field(default_factory=set)
    plain: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._by_size: dict[int, list[tuple[int, Doubles]]] = {}
        for place, item in enumerate(self.recorded):
            self._by_size.setdefault(item.values.size, []).append((place, np.sort(item.values.reshape(-1))))

    def run(self, traced: Iterable[tuple[str, BlobBound, Step]]) -> None:
        """Run the network, and look up each blob."""
        try:
            for blob, bound, step in traced:
                self._add(_Layer(blob, bound, step))
        except Undetermined:
            pass

    def _add(self, layer: _Layer) -> None:
        blob, bound, sources = layer.blob, layer.bound, layer.step.inputs
        self.layers.append(layer)
        self.values[blob] = bound.value
        self.matches.pop(blob, None)
        places = list(self.same(bound.value, bound.radius))
        if places:
            self.found.update(places)
            self.matches[blob] = self.recorded[places[0]].name
        elif bound.kind.startswith("loadConstant"):
            self.matches[blob] = "constant"
        elif bound.kind in MOVES and all(source in self.matches for source in sources):
            self.matches[blob] = f"{self.matches[sources[0]]}, moved"
        if np.isin(bound.value, (0, 1)).all():
            self.plain.add(blob)

    def same(self, values: Doubles, radius: Doubles) -> Iterator[int]:
        """Yield the places of reference values with the same numbers, in any order: they may be transposed."""
        flat, radii = values.reshape(-1), np.broadcast_to(radius, values.shape).reshape(-1)
        order = np.argsort(flat)
        flat, radii = flat[order], radii[order]
        # One allowance for all, unless it is so wide (beside a mask, or undetermined) that anything would do.
        most = float(radii.max(initial=0))
        allowed = most if most <= WIDEST * typical(values) else np.where(np.isfinite(radii), radii, 0.0)
        for place, candidate in self._by_size.get(flat.size, []):
            with np.errstate(invalid="ignore"):
                near = (flat == candidate) | (np.abs(flat - candidate) <= allowed)
            if (near | (np.isnan(flat) & np.isnan(candidate))).all():
                yield place

    def rejoining(self) -> set[str]:
        """Return blobs that are right, or that a right blob depends on. Ones and zeros may be right by chance."""
        readers: dict[str, list[str]] = {}
        for layer in self.layers:
            for source in layer.step.inputs:
                readers.setdefault(source, []).append(layer.blob)
        found: set[str] = set()
        for layer in reversed(self.layers):
            blob = layer.blob
            right = blob in self.matches and blob not in self.plain
            if right or any(reader in found for reader in readers.get(blob, [])):
                found.add(blob)
        return found

    def unmatched(self) -> list[_Layer]:
        """Return layers after which nothing matches: the first whose inputs match, and its followers.

        Without such a first layer, all of them.
        """
        rejoins = self.rejoining()
        lost = [
            layer
            for layer in self.layers
            if layer.step.inputs and layer.blob not in rejoins and layer.blob not in self.matches
        ]
        first = next((layer for layer in lost if self._starts(layer)), None)
        if first is None:
            return lost
        behind, followers = {first.blob}, [first]
        for layer in lost[lost.index(first) + 1 :]:
            if behind & set(layer.step.inputs):
                behind.add(layer.blob)
                followers.append(layer)
        return followers

    def _starts(self, layer: _Layer) -> bool:
        return all(source in self.matches for source in layer.step.inputs)

    def stretch(self) -> list[_Layer]:
        """Return the layers among which the first divergent one is.

        A converter makes several layers of one operator, of which only the last has a counterpart. So the stretch goes
        on up to the first layer whose output, if it is replaced by a value of the reference, makes the layer that
        reads it match. Layers that only move values are not among them.
        """
        lost = self.unmatched()
        for number, layer in enumerate(lost):
            readers = [other for other in lost[number + 1 :] if layer.blob in other.step.inputs]
            if any(self._mends(layer, reader) for reader in readers):
                lost = lost[: number + 1]
                break
        return [layer for layer in lost if layer.bound.kind not in MOVES] or lost

    def _mends(self, layer: _Layer, reader: _Layer) -> bool:
        """Return whether a reference value in place of the layer's output makes the reader match another value."""
        step, shape = reader.step, layer.bound.value.shape
        others = [name for name in step.inputs if name != layer.blob]
        if reader.bound.kind in MOVES or CHECKS.get(kind_of(step) or "") in ("control", "random"):
            return False
        if len(step.outputs) != 1 or any(name not in self.matches or name not in self.values for name in others):
            return False
        for place, item in enumerate(self.recorded):
            if place in self.found or not item.computed or without_ones(item.values.shape) != without_ones(shape):
                continue
            given = [item.values.reshape(shape) if name == layer.blob else self.values[name] for name in step.inputs]
            with np.errstate(all="ignore"):
                try:
                    result = np.asarray(step.op.run(*given), np.float64)
                except (RefCoreMLError, IndexError, TypeError, ValueError):  # values that it cannot take
                    continue
                grown = max(1.0, typical(result) / (typical(reader.bound.value) or 1.0))
            if any(self._new(other, item) for other in self.same(result, reader.bound.radius * grown)):
                return True
        return False

    def _new(self, place: int, item: Recorded) -> bool:
        """Return whether a value is no blob of the network, and another than the one that was put in."""
        values = self.recorded[place].values
        return place not in self.found and not np.array_equal(np.sort(values, None), np.sort(item.values, None))

    def left_over(self) -> list[str]:
        """Return the operators of the reference whose results are no blob of the network, in order."""
        names = [item.name for place, item in enumerate(self.recorded) if item.computed and place not in self.found]
        return [name for number, name in enumerate(names) if number == 0 or names[number - 1] != name]


def first_divergence(
    model: Model, inputs: Mapping[str, Any], recorded: Sequence[Recorded], constants: Constants
) -> str:
    """Name the first layer whose output is not in the reference while all of its inputs are.

    Where several layers in a row have no counterpart, the stretch; where a known defect of the converter explains it,
    the defect; where every blob has a counterpart, what the reference computed beside.
    """
    search = _search(recorded, inputs, trace_bounds(model, inputs, unit=UNIT64, constants=constants))
    text, stretch = _divergence(search)
    for name, defect in DEFECTS.items() if stretch else ():
        if defect.mend is not None and _explains(defect.mend, stretch, model, inputs, recorded, constants):
            return f"{text}\nknown defect of the converter, {name}: {defect.title} ({defect.why})"
    return text


def first_divergent_operation(
    model: Model, inputs: Mapping[str, Any], recorded: Sequence[Recorded], constants: Constants
) -> str:
    """Do what `first_divergence` does for an ML Program, whose converter has no defects that are known here."""
    traced = trace_program(model, inputs, constants=constants)
    return _divergence(_search(recorded, inputs, traced, model.prepare().constants), "operation")[0]


def _divergence(search: _Search, noun: str = "layer") -> tuple[str, list[_Layer]]:
    """Return what is to be said, and the layers among which the first divergent one is."""
    stretch = search.stretch()
    if not stretch:
        extra = search.left_over()
        if extra:
            return f"every blob has a counterpart in the reference, which computes more: {_listed(extra)}", stretch
        return "every blob has a counterpart in the reference: the outputs are exchanged, or rounded on the way out", []
    first, last = stretch[0], stretch[-1]
    if all(source in search.matches for source in first.step.inputs):
        before = ", ".join(f"{source!r} = {search.matches[source]}" for source in first.step.inputs)
        start = f"after {before}"
    else:
        start = "whose inputs are not in the reference either"
    if first is last:
        return f"first divergent {noun}: {first.name}, {start}", stretch
    return f"the first divergent {noun} is somewhere between {first.name}, {start}, and {last.name}", stretch


def _search(
    recorded: Sequence[Recorded],
    inputs: Mapping[str, Any],
    traced: Iterable[tuple[str, BlobBound, Step]],
    constants: Iterable[str] = (),
) -> _Search:
    search = _Search(recorded, {**dict.fromkeys(inputs, "input"), **dict.fromkeys(constants, "constant")})
    search.run(traced)
    return search


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _explains(
    mend: Callable[[Any], bool],
    stretch: Sequence[_Layer],
    model: Model,
    inputs: Mapping[str, Any],
    recorded: Sequence[Recorded],
    constants: Constants,
) -> bool:
    """Return whether a defect fits some layer of a stretch, and the network without it is right up to there."""
    spec = copy.deepcopy(model.spec)
    names = {layer.bound.layer for layer in stretch}
    network = getattr(spec, str(spec.WhichOneof("Type")))
    if not any([mend(layer) for layer in walk_layers(network.layers) if layer.name in names]):
        return False
    mended = trace_bounds(model.with_spec(spec), inputs, unit=UNIT64, constants=constants)
    search = _search(recorded, inputs, mended)
    again = {layer.bound.layer for layer in search.stretch()}
    return not again & names
