"""Find where a network leaves its reference: the first layer that diverges, or the stretch that holds it."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from refcoreml.errors import RefCoreMLError
from refcoreml.execution.steps import Step, handed_on, results_within
from refcoreml.model import Model
from refcoreml.neuralnetwork.graph import walk_layers
from refcoreml.oracle.balls import Doubles
from refcoreml.oracle.bounds import BlobBound
from refcoreml.oracle.rules import CHECKS, kind_of
from refcoreml.testing.agreement import WIDEST, sharpness_of, typical
from refcoreml.testing.counterparts import Counterparts
from refcoreml.testing.defects import DEFECTS, known
from refcoreml.testing.rounding import Constants, Undetermined
from refcoreml.testing.shaking import Reached, runs_beside
from refcoreml.testing.torch_modules import Recorded
from refcoreml.testing.verification import Verified
from refcoreml.types import without_ones

__all__ = ["Divergence", "Search", "beside", "divergence", "first_divergence"]

#: Layers that only move what they get, so that they are as right as their inputs.
MOVES = {"expandDims", "squeeze", "reshapeStatic", "transpose", "copy", "flattenTo2D", "rankPreservingReshape"} | {
    *("expand_dims", "reshape", "flatten2d", "identity", "cast", "split", "splitND"),
}

#: How many operations of a reference a message lists.
_LISTED = 6


@dataclass(eq=False)
class _Layer:
    """A layer that has run, with its bounds; of several outputs, one. In a loop, one for each round.

    Attributes:
        blob, bound, step: the output, with its bounds; what made it.
        made: what made each of its inputs: a layer, or ``input`` or ``constant``; None if that is not known.
        match: what it is in the reference, in words; empty if it is not there.
        constant: whether it depends on no input of the model.
        moved: whether it is there with its numbers at other places.
        plain: whether it has zeros and ones alone, which may be there by chance.
    """

    blob: str
    bound: BlobBound
    step: Step
    made: tuple[_Layer | str | None, ...] = ()
    match: str = ""
    constant: bool = False
    moved: bool = False
    plain: bool = False

    @property
    def name(self) -> str:
        return f"{self.bound.layer!r} ({self.bound.kind})"

    @property
    def sources(self) -> list[_Layer]:
        """What made its inputs, as far as layers did."""
        return [each for each in self.made if isinstance(each, _Layer)]

    @property
    def moves(self) -> bool:
        """Whether it is as right as its inputs."""
        return self.bound.kind in MOVES or CHECKS.get(kind_of(self.step) or "") == "control"

    @property
    def starts(self) -> bool:
        """Whether all of its inputs are right."""
        return None not in self.made and all(source.match for source in self.sources)

    @property
    def before(self) -> str:
        """What it reads, and what that is in the reference."""
        known = [each.match if isinstance(each, _Layer) else each for each in self.made]
        return ", ".join(f"{name!r} = {match}" for name, match in zip(self.step.inputs, known, strict=False))

    @property
    def origin(self) -> _Layer:
        """The first layer of those up to this one that have their numbers at other places."""
        layer = self
        while (source := next((each for each in layer.sources if each.moved), None)) is not None:
            layer = source
        return layer

    @property
    def misplaced(self) -> bool:
        """Whether numbers are at other places though no layer is there that only moves them."""
        return self.moved and not self.origin.moves


@dataclass(frozen=True)
class Divergence:
    """Where a model leaves its reference.

    Attributes:
        text: a sentence.
        operation: the layer or operation that it is, the most likely of several; empty if nothing can be said.
        operations: all of them, in order.
    """

    text: str = ""
    operation: str = ""
    operations: tuple[str, ...] = ()


@dataclass
class Search:
    """The values of a model beside those of its reference.

    Each value that has a counterpart is replaced by it, so that what follows is compared from there.

    Attributes:
        recorded: what the reference computed.
        given: what no layer makes: inputs and constants by name, and which of the two.
        handed: what names within loops stand for, see `refcoreml.execution.steps.handed_on`.
        widest: the widest bound, relative to the numbers of a value, within which they count as found.
        layers: the model's layers as they ran.
        latest: the layer that made a value last, by its name.
        found: the places in ``recorded`` of values that are one of the model.
        bounds: values by name with their bounds, as they were computed.
        compared: how many values were compared and replaced.
        segment: how many operations at most are between values that were compared.
        width: the widest bound of a value that was compared, relative to its numbers.
    """

    recorded: Sequence[Recorded]
    given: dict[str, str]
    handed: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    widest: float = WIDEST
    layers: list[_Layer] = field(default_factory=list)
    latest: dict[str, _Layer] = field(default_factory=dict)
    found: set[int] = field(default_factory=set)
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
                self._add(self._layer(each.name, each.bound, each.step), each)

    def _layer(self, blob: str, bound: BlobBound, step: Step) -> _Layer:
        names = tuple(name for name in results_within(step) if name in self.latest) or step.inputs
        made = tuple(self._source(name) for name in names)
        constant = all(each.constant if isinstance(each, _Layer) else each == "constant" for each in made)
        return _Layer(blob, bound, step, made, constant=constant)

    def _source(self, name: str) -> _Layer | str | None:
        """Return the layer that made a value last, or what was given; None if that is not known."""
        if name in self.latest:
            return self.latest[name]
        if name in self.handed:
            first, again = self.handed[name]
            return self.latest[again] if again in self.latest else self._source(first)
        return self.given.get(name)

    def _add(self, layer: _Layer, reached: Reached) -> None:
        bound = layer.bound
        self.layers.append(layer)
        self.latest[layer.blob] = layer
        self._note_segment(layer)
        found = list(self._counterparts.find(bound.value, bound.radius, computed=not layer.constant))
        if found:
            self.found.update(each.place for each in found)
            nearest = min(found, key=lambda each: (each.moved, _distance(each.values, bound.value)))
            layer.match = "constant" if layer.constant else self.recorded[found[0].place].name
            layer.moved = nearest.moved
            self._replace(reached, nearest.values)
        elif layer.constant:
            layer.match = "constant"
        elif layer.moves and layer.starts and layer.sources:
            layer.match = f"{layer.sources[0].match}, moved"
        layer.plain = bool(np.isin(bound.value, (0, 1)).all())

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

    def _rejoining(self) -> set[_Layer]:
        """Return layers that are right, or that a right one depends on. Ones and zeros may be right by chance."""
        found: set[_Layer] = set()
        for layer in reversed(self.layers):
            if layer in found or (layer.match and not layer.plain):
                found.update((layer, *layer.sources))
        return found

    def _unmatched(self) -> list[_Layer]:
        """Return layers after which nothing matches: the first whose inputs match, and its followers.

        Without such a first layer, all of them. Before them stand what their inputs may be wrong by, though some right
        value depends on it, such as the square of a negated one.
        """
        rejoining = self._rejoining()
        lost = [layer for layer in self.layers if layer.step.inputs and layer not in rejoining and not layer.match]
        first = next((layer for layer in lost if layer.starts), None)
        if first is not None:
            behind = {first}
            for layer in lost[lost.index(first) + 1 :]:
                if behind.intersection(layer.sources):
                    behind.add(layer)
            lost = [layer for layer in lost if layer in behind]
        return [*self._suspects(lost[:1]), *lost]

    def _suspects(self, layers: Sequence[_Layer]) -> list[_Layer]:
        """Return the layers before others that are not in the reference, or have their numbers at other places."""
        found: set[_Layer] = set()
        waiting = [source for layer in layers for source in layer.sources]
        while waiting:
            layer = waiting.pop()
            if layer not in found and (not layer.match or layer.misplaced):
                found.add(layer)
                waiting += layer.sources
        return [layer for layer in self.layers if layer in found]

    def stretch(self) -> list[_Layer]:
        """Return the layers among which the first divergent one is.

        A converter makes several layers of one operator, of which only the last has a counterpart. So the stretch goes
        on up to the first layer whose output, if it is replaced by a value of the reference, makes the layer that
        reads it match. Layers that only move values are not among them. Where the first one reads numbers that a layer
        has put to other places, it is this layer.
        """
        lost = self._unmatched()
        misplaced = [layer for layer in lost if layer.misplaced]
        if misplaced:
            return [misplaced[0].origin]
        for number, layer in enumerate(lost):
            readers = [other for other in lost[number + 1 :] if layer in other.sources]
            if any(self._mends(layer, reader) for reader in readers):
                lost = lost[: number + 1]
                break
        return [layer for layer in lost if not layer.moves] or lost

    def misplaced(self) -> _Layer | None:
        """Return the layer that has put numbers of an output to other places, where each value is in the reference."""
        read = {source for layer in self.layers for source in layer.sources}
        return next((layer.origin for layer in self.layers if layer.misplaced and layer not in read), None)

    def _mends(self, layer: _Layer, reader: _Layer) -> bool:
        """Return whether a reference value in place of the layer's output makes the reader match another value."""
        step, shape = reader.step, layer.bound.value.shape
        others = [source for source in reader.sources if source is not layer]
        known = {source.blob: source.bound.value for source in others if source.match}
        if reader.moves or CHECKS.get(kind_of(step) or "") in ("control", "random"):
            return False
        if len(step.outputs) != 1 or any(name not in known for name in step.inputs if name != layer.blob):
            return False
        for place, item in enumerate(self.recorded):
            if place in self.found or not item.computed or without_ones(item.values.shape) != without_ones(shape):
                continue
            given = [item.values.reshape(shape) if name == layer.blob else known[name] for name in step.inputs]
            with np.errstate(all="ignore"):
                try:
                    result = np.asarray(step.op.run(*given), np.float64)
                except (RefCoreMLError, IndexError, TypeError, ValueError):  # values that it cannot take
                    continue
                grown = max(1.0, typical(result) / (typical(reader.bound.value) or 1.0))
            same = self._counterparts.find(result, reader.bound.radius * grown)
            if any(self._new(each.place, item) for each in same):
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
) -> Divergence:
    """Return the first layer or operation whose output is not in the reference while all of its inputs are.

    Where several in a row have no counterpart, the stretch; where a known defect of the converter explains it, the
    defect; where every value has a counterpart, what the reference computed beside.
    """
    search = beside(model, inputs, recorded, constants)
    with contextlib.suppress(Undetermined):
        search.run(runs_beside(model, inputs, constants))
    return divergence(search, model, inputs, Verified(constants))


def beside(
    model: Model, inputs: Mapping[str, Any], recorded: Sequence[Recorded], constants: Constants, widest: float = WIDEST
) -> Search:
    """Return a search that has yet to run."""
    prepared = model.prepare()
    given = {**dict.fromkeys(inputs, "input"), **dict.fromkeys(prepared.constants, "constant")}
    return Search(recorded, given, handed_on(prepared.steps), widest)


def divergence(search: Search, model: Model, inputs: Mapping[str, Any], verified: Verified) -> Divergence:
    """Return what `first_divergence` does, of a search that has run, and with what was found of the constants."""
    noun = "operation" if model.kind == "mlProgram" else "layer"
    found, stretch = _divergence(search, noun, verified.unexplained)
    found = replace(found, operations=tuple(dict.fromkeys(layer.bound.layer for layer in stretch)))
    if found.operation in verified.defects:
        return replace(found, text=f"{found.text}\n{known(verified.defects[found.operation])}")
    if model.kind == "mlProgram" or not stretch:
        return found
    for name, defect in DEFECTS.items():
        if defect.mend is None:
            continue
        mended = _explains(defect.mend, stretch, model, inputs, search.recorded, verified.constants)
        if mended:
            return replace(found, text=f"{found.text}\n{known(name)}", operation=mended)
    return found


def _divergence(search: Search, noun: str, unexplained: Mapping[str, str]) -> tuple[Divergence, list[_Layer]]:
    """Return what is to be said, and the layers among which the first divergent one is."""
    stretch = search.stretch()
    if not stretch:
        misplaced, extra = search.misplaced(), search.left_over()
        if misplaced is not None:
            return _single(misplaced, noun), [misplaced]
        text = f"which computes more: {_listed(extra)}"
        if not extra:
            text = "the outputs are exchanged, or rounded on the way out"
        return Divergence(f"every blob has a counterpart in the reference{', ' if extra else ': '}{text}"), []
    first, last = stretch[0], stretch[-1]
    text = f"the first divergent {noun} is somewhere between {first.name}, {_start(first)}, and {last.name}"
    # What only takes numbers from somewhere, such as a step of a sequence, often has no counterpart.
    computing = next((layer for layer in stretch if not layer.step.op.moves), first)
    found = _single(first, noun) if first is last else Divergence(text, computing.bound.layer)
    likely = _unexplained(stretch, unexplained)
    if likely is not None and (first is not last or likely is not first):
        field = unexplained.get(likely.bound.layer, "constant")
        text = f"{found.text}, most likely {likely.name}, whose {field} does not follow from the source"
        found = Divergence(text, likely.bound.layer)
    return found, stretch


def _unexplained(stretch: Sequence[_Layer], unexplained: Mapping[str, str]) -> _Layer | None:
    """Return the first layer of a stretch, or before it of those without inputs, whose constants are not explained."""
    for layer in stretch:
        for each in (layer, *(source for source in layer.sources if source.constant)):
            if each.bound.layer in unexplained:
                return each if each.step.inputs else layer
    return None


def _single(layer: _Layer, noun: str) -> Divergence:
    text = f"first divergent {noun}: {layer.name}, {_start(layer)}"
    if layer.moved:
        text += f", the numbers of {layer.match} at other places"
    return Divergence(text, layer.bound.layer)


def _start(layer: _Layer) -> str:
    return f"after {layer.before}" if layer.starts else "whose inputs are not in the reference either"


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
) -> str:
    """Return the first layer of a stretch that a defect fits, if the network without it is right up to there."""
    spec = copy.deepcopy(model.spec)
    names = {layer.bound.layer for layer in stretch}
    network = getattr(spec, str(spec.WhichOneof("Type")))
    fitting = [layer.name for layer in walk_layers(network.layers) if layer.name in names and mend(layer)]
    if not fitting:
        return ""
    mended = model.with_spec(spec)
    search = beside(mended, inputs, recorded, constants)
    with contextlib.suppress(Undetermined):
        search.run(runs_beside(mended, inputs, constants))
    again = {layer.bound.layer for layer in search.stretch()}
    return "" if again & names else str(fitting[0])
