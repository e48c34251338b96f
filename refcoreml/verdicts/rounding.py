"""Recorded values beside likely bounds: a model's predictions in one arithmetic, value by value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml.errors import UsageError
from refcoreml.execution.control import Loop, flow_of
from refcoreml.execution.steps import Step, walk
from refcoreml.features import ArrayFeature, Feature
from refcoreml.judge import Ensemble, LikelyBound
from refcoreml.model import Model
from refcoreml.oracle.balls import Doubles
from refcoreml.testing.agreement import WIDEST, magnitude
from refcoreml.types import Array, without_ones
from refcoreml.verdicts.recordings import Recording, fitted
from refcoreml.verdicts.verdict import FP16, FP32, NOT_EXPLAINED, UNDETERMINED, Compared

__all__ = ["Judged", "Judging", "reasonable", "scale_of"]

#: The widest bound that shows anything, relative to the size of numbers: in single precision as for conversions. Honest
#: noise of half precision is 1e-3 of the numbers and more, its bound ten times that; one of an eighth is the widest
#: that still is far from explaining everything.
_WIDEST = {FP32: WIDEST, FP16: 2.0**-3}
#: So many of the numbers of a value must have a bound that shows something.
_MOST = 3 / 4
#: The unit roundoff from which on an arithmetic is one of half precision.
_HALF = 2.0**-11


@dataclass
class Judged:
    """One value that was judged.

    Attributes:
        compared: what was found.
        bound: its bound.
        actual: what was recorded, in the shape of the bound.
        counts: whether the verdict needs it to show something: outputs, but not labels whose scores are there.
    """

    compared: Compared
    bound: LikelyBound
    actual: Doubles
    counts: bool = False

    @property
    def rank(self) -> tuple[int, float]:
        """How bad it is: by its answer, then by its largest error in terms of bounds."""
        return self.compared.rank


class Judging:
    """A model in an arithmetic, with what recordings are compared with; states stay from one to the next.

    Attributes:
        profile: the arithmetic.
        answer: what is said of values that are explained.
        again: values that are made several times.
        sources: by output the value that it is.
    """

    def __init__(self, model: Model, profile: str, probability: float) -> None:
        self._ensemble = Ensemble(model, profile, probability=probability, rounded_inputs=True)
        self._outputs = model.outputs
        self.profile = profile
        self.answer = FP16 if self._ensemble.subject.unit >= _HALF else FP32
        steps = self._ensemble.subject.steps
        self.again = set(_made_again(steps))
        self.sources = self._ensemble.subject.sources
        self._read = {name for step in steps for name in step.inputs}

    def judge(self, inputs: Mapping[str, Any], recording: Recording) -> Iterator[Judged]:
        """Judge all values that were recorded of a prediction, in the order in which the model makes them."""
        prediction = _Prediction(self, recording)
        trace = self._ensemble.trace(inputs, prediction.seeds, prediction.accept)
        while True:
            try:
                name, bound, step = next(trace)
            except StopIteration as end:
                yield from prediction.ends(end.value, self._ensemble.amplifier())
                return
            prediction.follow(step)
            prediction.infinite |= bool(np.isinf(bound.value).any())
            if name in prediction.seeds:
                yield prediction.inner(name, bound, step)

    def seeds(self, recording: Recording) -> dict[str, Array]:
        """Return the recorded values from which runs go on: those inside, and outputs that other operations read.

        Values of loops are made again and again, so that nobody knows in which round they were recorded.
        """
        found = {name: value for name, value in recording.inner.items() if name not in self.again}
        for feature in self._outputs:
            name, value = feature.name, recording.outputs.get(feature.name)
            plain = isinstance(feature, ArrayFeature) and feature.cut is None and not feature.half
            source = self.sources[name]
            if plain and source in self._read and source not in self.again and isinstance(value, np.ndarray):
                found.setdefault(source, value)
        return found

    @property
    def outputs(self) -> Sequence[Feature]:
        """The outputs of the model."""
        return self._outputs


def _made_again(steps: Sequence[Step]) -> Iterator[str]:
    """Yield the names of values that are made several times: in loops, or by several operations."""
    seen: set[str] = set()
    for step in steps:
        for name in step.outputs:
            if name in seen:
                yield name
            seen.add(name)
        if isinstance(flow_of(step), Loop):
            yield from (name for inner in walk((step,)) if inner is not step for name in inner.outputs)


@dataclass
class _Prediction:
    """One prediction as it is followed.

    Attributes:
        judging: the model.
        recording: what was recorded.
        seeds: the values to begin again from.
        since: for each value the operations since recorded ones.
        judged: outputs that were judged as values inside.
        reached: values inside that were judged.
        infinite: whether any value was infinite.
    """

    judging: Judging
    recording: Recording
    seeds: dict[str, Array] = field(init=False)
    since: dict[str, dict[str, Step]] = field(default_factory=dict)
    judged: set[str] = field(default_factory=set)
    reached: set[str] = field(default_factory=set)
    infinite: bool = False
    _shown: bool = False

    def __post_init__(self) -> None:
        self.seeds = self.judging.seeds(self.recording)

    def follow(self, step: Step) -> None:
        """Note the operations that a result depends on."""
        before: dict[str, Step] = {}
        for name in step.inputs:
            before.update(self.since.get(name, {}))
        for name in step.outputs:
            self.since[name] = {**before, step.where: step}

    def inner(self, name: str, bound: LikelyBound, step: Step) -> Judged:
        """Judge a value inside the model."""
        value = self.seeds[name]
        self.reached.add(name)
        if without_ones(value.shape) != without_ones(bound.value.shape):
            raise UsageError(
                f"was recorded with the shape {value.shape}, expected {bound.value.shape}",
                where=f"sample {self.recording.name!r}, value {name!r}",
            )
        outputs = () if name in self.recording.inner else self.recording.outputs
        output = next((each for each in outputs if self.judging.sources[each] == name), "")
        self.judged.add(output)
        actual = value.astype(np.float64).reshape(bound.value.shape)
        judged = self._compared(output or name, bound, actual, output=bool(output))
        self._place(judged, list(self.since.get(name, {}).values()) or [step])
        # What shows nothing is not replaced, since that could hide a fault; a fault that is found is left behind.
        self._shown = judged.compared.answer != UNDETERMINED
        if self._shown:
            self.since[name] = {}
        return judged

    def accept(self, name: str, bound: LikelyBound) -> bool:
        """Return whether to go on from the value that was judged last."""
        return self._shown

    def ends(self, bounds: Mapping[str, LikelyBound], amplifier: str) -> Iterator[Judged]:
        """Judge the outputs as a whole, but for those that were judged before."""
        scores = any(
            bound.labels and bound.value.ndim and name in self.recording.outputs for name, bound in bounds.items()
        )
        for feature in self.judging.outputs:
            name = feature.name
            if name in self.judged or name not in self.recording.outputs:
                continue
            bound = bounds[name]
            actual = fitted(feature, bound.labels, self.recording.outputs[name], bound.value.shape)
            judged = self._compared(name, bound, actual, output=True, amplifier=amplifier)
            judged.counts = not (scores and bound.labels and not bound.value.ndim)
            self._place(judged, list(self.since.get(self.judging.sources[name], {}).values()))
            yield judged
        yield from self._unreached(bounds)

    def _place(self, judged: Judged, segment: Sequence[Step]) -> None:
        """Note which operations made a value, the last of which is its own."""
        names = tuple(step.name for step in segment)
        computing = [step for step in segment if not step.op.moves] or segment
        last, suspect = segment[-1:], computing[-1:]
        judged.compared = replace(
            judged.compared,
            operation=last[0].name if last else "",
            kind=last[0].kind if last else "",
            segment=names,
            suspect=suspect[0].name if suspect else "",
        )

    def _unreached(self, bounds: Mapping[str, LikelyBound]) -> Iterator[Judged]:
        """Yield recorded values that no operation made, or several."""
        for name in self.recording.inner.keys() - self.reached - bounds.keys():
            again = name in self.judging.again
            reason = "it is made again and again" if again else "no operation of this run has made it alone"
            size = self.recording.inner[name].size
            numbers = (float("nan"), float("nan"), (), float("nan"), np.inf)
            found = Compared(self.recording.name, name, False, "", "", UNDETERMINED, reason, size, 0, 0, *numbers)
            nothing = np.full(0, np.inf)
            yield Judged(found, LikelyBound("", nothing, nothing, nothing, reason), nothing)

    def _compared(self, name: str, bound: LikelyBound, actual: Doubles, *, output: bool, amplifier: str = "") -> Judged:
        answer = self.judging.answer
        nan = np.isnan(bound.value)
        checked = bound.determined
        if answer == FP16:  # who keeps more than half precision in between does not overflow, nor has NaN from that
            checked &= ~((np.isinf(bound.value) | (nan & self.infinite)) & np.isfinite(actual))
        known = checked & ~nan
        outside = checked & ~bound.explains(actual)
        widths = _widths(bound, known)
        sharp = known & (widths <= _WIDEST[answer])
        width = float(np.quantile(widths, _MOST, method="higher")) if widths.size else np.inf
        place, error, radius, used = _worst(bound, actual, checked)
        reason = ""
        if outside.any():
            answer = NOT_EXPLAINED
            reason = _difference(bound, actual, place, int(outside.sum()))
        elif sharp.sum() < _MOST * sharp.size or not sharp.size:
            reason = _shows_nothing(bound, known, width, _WIDEST[answer], amplifier)
            answer = UNDETERMINED
        count = int(sharp.sum())
        compared = Compared(
            *(self.recording.name, name, output, "", "", answer, reason, actual.size, count, int(outside.sum())),
            *(error, radius, place, used, width),
        )
        return Judged(compared, bound, actual, counts=output)


def scale_of(values: Doubles) -> Doubles:
    """Return what each bound is compared with: its number, or the size of all numbers if that is larger."""
    size: Doubles = np.where(np.isfinite(values), np.abs(values), 0.0)
    return np.maximum(size, magnitude(size))


def _widths(bound: LikelyBound, known: NDArray[np.bool_]) -> Doubles:
    with np.errstate(all="ignore"):
        scale = scale_of(np.where(known, bound.value, 0.0))
        return np.where(known, np.where(bound.radius == 0, 0.0, bound.radius / scale), np.inf)


def _worst(
    bound: LikelyBound, actual: Doubles, known: NDArray[np.bool_]
) -> tuple[tuple[int, ...], float, float, float]:
    """Return (place, error, bound, error / bound) of the number that takes most of its bound."""
    if not known.any():
        return (), float("nan"), float("nan"), float("nan")
    with np.errstate(all="ignore"):
        same = (actual == bound.value) | (np.isnan(actual) & np.isnan(bound.value))
        off = np.where(same, 0.0, np.abs(actual - bound.value))
        off = np.where(np.isnan(off), np.inf, off)
        used = np.where(known, np.where(off == 0, 0.0, off / bound.radius), -1.0)
    place = tuple(int(index) for index in np.unravel_index(int(used.argmax()), used.shape)) if used.ndim else ()
    return place, float(off[place]), float(bound.radius[place]), float(used[place])


def _difference(bound: LikelyBound, actual: Doubles, place: tuple[int, ...], count: int) -> str:
    number, value, radius = (float(part[place]) for part in (actual, bound.value, bound.radius))
    if bound.labels and not bound.value.ndim:
        return f"is the class {bound.labels[int(number)]!r}, expected {bound.labels[int(value)]!r}"
    if np.isnan(number) or np.isnan(value):
        return f"at {list(place)} is {number:.9g}, expected {value:.9g} ({count} of {actual.size} numbers)"
    return (
        f"at {list(place)} is {number:.9g}, expected {value:.9g}, off by {abs(number - value):.3g}, likely at most "
        f"{radius:.3g} ({count} of {actual.size} numbers)"
    )


def _shows_nothing(bound: LikelyBound, known: NDArray[np.bool_], width: float, widest: float, amplifier: str) -> str:
    """Return why a comparison shows nothing."""
    if not known.size:
        return "it has no numbers"
    missing = int(np.isnan(bound.value).sum())
    if missing > (1 - _MOST) * known.size:
        return f"the model gives NaN in {missing} of {known.size} places"
    if known.sum() < _MOST * known.size:
        rest = f"{int((~known).sum())} of {known.size} numbers are undetermined"
        return f"{rest}: {bound.reason}" if bound.reason else rest
    grown = f"; the noise grows most at {amplifier}" if amplifier else ""
    return f"rounding may move a quarter of the numbers by {width:.2g} of their size, or more than {widest:.2g}{grown}"


def reasonable(bound: Doubles, value: Doubles) -> NDArray[np.bool_]:
    """Return where a bound is no larger than the numbers, so that it does not explain everything."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.isfinite(bound) & (bound <= scale_of(value)))
