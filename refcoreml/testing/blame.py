"""Find where a network leaves its reference: the first layer that diverges, or the stretch that holds it."""

from __future__ import annotations

import contextlib
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
from refcoreml.testing.agreement import WIDEST, sharpness_of, typical
from refcoreml.testing.counterparts import Counterparts
from refcoreml.testing.defects import DEFECTS
from refcoreml.testing.rounding import Constants, Undetermined
from refcoreml.testing.shaking import Reached, runs_beside
from refcoreml.testing.torch_modules import Recorded
from refcoreml.types import without_ones

__all__ = ["Search", "beside", "divergence", "first_divergence"]

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
class Search:
    """The values of a model beside those of its reference.

    Each value that has a counterpart is replaced by it, so that what follows is compared from there.

    Attributes:
        recorded: what the reference computed.
        matches: values that are found in the reference, and as what.
        widest: the widest bound, relative to the numbers of a value, within which they count as found.
        layers: the model's layers as they ran.
        values: values by name.
        found: the places in ``recorded`` of values that are one of the model.
        plain: values of zeros and ones, which may match by chance.
        bounds: values by name with their bounds, as they were computed.
        compared: how many values were compared and replaced.
        segment: how many operations at most are between values that were compared.
        width: the widest bound of a value that was compared, relative to its numbers.
    """

    recorded: Sequence[Recorded]
    matches: dict[str, str]
    widest: float = WIDEST
    layers: list[_Layer] = field(default_factory=list)
    values: dict[str, Doubles] = field(default_factory=dict)
    found: set[int] = field(default_factory=set)
    plain: set[str] = field(default_factory=set)
    bounds: dict[str, BlobBound] = field(default_factory=dict)
    compared: int = 0
    segment: int = 0
    width: float = 0.0

    def __post_init__(self) -> None:
        self._counterparts = Counterparts(self.recorded)
        self._since: dict[str, int] = {}

    def run(self, reached: Iterable[Reached]) -> None:
        """Run the model, look up each value, and go on from its counterpart.

        Raises:
            Undetermined: a rounding turns a branch or loop.
        """
        for each in reached:
            self.bounds[each.name] = each.bound
            if each.step is not None:
                self._add(_Layer(each.name, each.bound, each.step), each)

    def _add(self, layer: _Layer, reached: Reached) -> None:
        blob, bound, sources = layer.blob, layer.bound, layer.step.inputs
        self.layers.append(layer)
        self.values[blob] = bound.value
        self.matches.pop(blob, None)
        self._note_segment(layer)
        computed = any(self.matches.get(source) != "constant" for source in sources)
        found = list(self._counterparts.find(bound.value, bound.radius, computed=computed))
        if found:
            self.found.update(each.place for each in found)
            self.matches[blob] = self.recorded[found[0].place].name if computed else "constant"
            self._replace(reached, min(found, key=lambda each: _distance(each.values, bound.value)).values)
        elif bound.kind.startswith("loadConstant"):
            self.matches[blob] = "constant"
        elif bound.kind in MOVES and all(source in self.matches for source in sources):
            self.matches[blob] = f"{self.matches[sources[0]]}, moved"
        if np.isin(bound.value, (0, 1)).all():
            self.plain.add(blob)

    def _note_segment(self, layer: _Layer) -> None:
        """Note which layers were run since values were compared: a bit for each."""
        since = 0 if layer.bound.kind in MOVES else 1 << len(self.layers)
        for source in layer.step.inputs:
            since |= self._since.get(source, 0)
        self._since[layer.blob] = since

    def _replace(self, reached: Reached, values: Doubles) -> None:
        """Go on from a counterpart, unless the bounds are so wide that this would hide a difference."""
        width = sharpness_of(reached.name, reached.bound.value, reached.bound.radius).width
        if width <= self.widest:
            self.note_compared([reached.name], width)
            self._since[reached.name] = 0
            reached.replace(values)

    def note_compared(self, names: Iterable[str], width: float) -> None:
        """Note that values were compared within bounds of a width."""
        for name in names:
            self.compared += 1
            self.segment = max(self.segment, bin(self._since.get(name, 0)).count("1"))
            self.width = max(self.width, width)

    def same(self, values: Doubles, radius: Doubles) -> Iterator[int]:
        """Yield the places of reference values with the same numbers."""
        return (each.place for each in self._counterparts.find(values, radius))

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

    def suspects(self) -> tuple[str, ...]:
        """Return the names of the layers of the stretch."""
        return tuple(dict.fromkeys(layer.bound.layer for layer in self.stretch()))

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
    """Name the first layer or operation whose output is not in the reference while all of its inputs are.

    Where several in a row have no counterpart, the stretch; where a known defect of the converter explains it, the
    defect; where every value has a counterpart, what the reference computed beside.
    """
    search = beside(model, inputs, recorded, constants)
    with contextlib.suppress(Undetermined):
        search.run(runs_beside(model, inputs, constants))
    return divergence(search, model, inputs, constants)


def beside(
    model: Model, inputs: Mapping[str, Any], recorded: Sequence[Recorded], constants: Constants, widest: float = WIDEST
) -> Search:
    """Return a search that has yet to run."""
    known = dict.fromkeys(model.prepare().constants, "constant")
    return Search(recorded, {**dict.fromkeys(inputs, "input"), **known}, widest)


def divergence(search: Search, model: Model, inputs: Mapping[str, Any], constants: Constants) -> str:
    """Return what `first_divergence` does, of a search that has run."""
    text, stretch = _divergence(search, "operation" if model.kind == "mlProgram" else "layer")
    if model.kind == "mlProgram" or not stretch:
        return text
    for name, defect in DEFECTS.items():
        if defect.mend is not None and _explains(defect.mend, stretch, model, inputs, search.recorded, constants):
            return f"{text}\nknown defect of the converter, {name}: {defect.title} ({defect.why})"
    return text


def _divergence(search: Search, noun: str) -> tuple[str, list[_Layer]]:
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


def _distance(one: Doubles, other: Doubles) -> float:
    """Return how far numbers are apart; rounds of a loop that converges are all within the bounds, and one is it."""
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(np.abs(one - other)).max(initial=0.0))


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
    mended = model.with_spec(spec)
    search = beside(mended, inputs, recorded, constants)
    with contextlib.suppress(Undetermined):
        search.run(runs_beside(mended, inputs, constants))
    again = {layer.bound.layer for layer in search.stretch()}
    return not again & names
