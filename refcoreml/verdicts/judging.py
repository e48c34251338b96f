"""`judge`: are recorded outputs explained by rounding, and if not, by the conversion or the device?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from refcoreml import values as passed
from refcoreml.errors import InputError, UnsupportedModelError, UsageError, within
from refcoreml.execution.steps import Step, walk
from refcoreml.features import Int64Feature, StringFeature
from refcoreml.judge import PROBABILITY
from refcoreml.judge.subjects import subject_of
from refcoreml.model import Model, as_model
from refcoreml.oracle import blob_answers, oracle, predictions
from refcoreml.oracle.balls import Doubles
from refcoreml.testing import EquivalenceError, UndeterminedError, assert_equivalent
from refcoreml.verdicts.recordings import Recording, recording_of
from refcoreml.verdicts.rounding import Judged, Judging, reasonable
from refcoreml.verdicts.verdict import (
    FP16,
    FP32,
    NOT_EXPLAINED,
    SUSPICIOUS,
    UNDETERMINED,
    Compared,
    Conversion,
    Verdict,
    worst_first,
)

__all__ = ["conversion", "judge"]

#: If so few of the values are within half precision only, they are named; and so many at most.
_CONSPICUOUS, _LISTED = 1 / 4, 6

#: Called with how many predictions have been judged, of how many, in which arithmetic.
Progress = Callable[[int, int, str], None]


def judge(
    model: Any,
    inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    outputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    intermediates: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    source: Any = None,
    source_inputs: Sequence[Any] | None = None,
    profile: str = "",
    probability: float = PROBABILITY,
    proven: bool = True,
    names: Sequence[str] = (),
    progress: Progress | None = None,
) -> Verdict:
    """Say whether rounding explains outputs that were recorded elsewhere: on a device, by another runtime.

    Args:
        model: a network or an ML Program, anything that `refcoreml.load` takes, or a loaded one.
        inputs: as for `refcoreml.Model.predict`; of several predictions a list. An ML Program keeps its states from one
            to the next.
        outputs: what was recorded, by name, for each prediction. Arrays under the names of values inside the model are
            compared as well, and what follows is judged from there.
        intermediates: values inside the model that were recorded, likewise; they may as well be among the outputs.
        source: what the model was converted from, see `refcoreml.testing.assert_equivalent`.
        source_inputs: its arguments, as ``reference_inputs`` there.
        profile: the only arithmetic to try, see `refcoreml.judge.likely_bounds`; by default ``fp32``, then half
            precision: ``fp16/acc32``, of programs before it what they declare.
        probability: how often an honest recording may be refused, all of its values together.
        proven: whether to prove a bound for what is outside of the likely ones, which may take long.
        names: those of the predictions; by default their numbers.
        progress: called after each prediction.

    Returns:
        The verdict, ``undetermined`` where nothing was shown.

    Raises:
        UsageError: arrays do not fit the model: their names, shapes or types; or there is nothing to compare.
        InputError: inputs that do not fit.
        UnsupportedModelError: neither a network nor an ML Program.
    """
    loaded = as_model(model)
    probability = passed.number(probability, passed.argument("probability"))
    if not 0 < probability < 1:
        raise UsageError(f"is {probability}, expected a number between 0 and 1", where="probability")
    given = _listed(inputs, "inputs")
    subject = subject_of(loaded, profile)
    recordings = _recordings(loaded, subject.steps, len(given), outputs, intermediates, names)
    task = _Task(loaded, given, recordings, probability, proven, progress)
    try:
        verdict = task.verdict((profile,) if profile else _profiles(loaded))
    except UnsupportedModelError as error:  # a random layer, or one of the user's own
        verdict = Verdict(UNDETERMINED, "", str(error), "", (), profile, probability)
    if source is None:
        return verdict
    place = _worst_sample(verdict, recordings)
    return _with_source(verdict, conversion(loaded, source, given[place], source_inputs))


def conversion(
    model: Any, source: Any, inputs: Mapping[str, Any], source_inputs: Sequence[Any] | None = None
) -> Conversion:
    """Say whether a model is what it was converted from, see `refcoreml.testing.assert_equivalent`."""
    try:
        found = assert_equivalent(model, source, inputs, reference_inputs=source_inputs)
    except EquivalenceError as error:
        return Conversion("different", str(error), error.operations, operation=error.operation)
    except (UndeterminedError, InputError) as error:
        return Conversion("undetermined", str(error))
    return Conversion("equal", "", (), found.values, found.widest)


# ---- What is given ----


def _listed(given: Any, what: str) -> list[dict[str, Any]]:
    """Return what belongs to each prediction."""
    refuse = passed.argument(what)
    if passed.is_a(given, Mapping):
        return [dict(passed.mapping(given, refuse))]
    listed = passed.items(given, refuse)
    if not listed:
        raise refuse("is empty, so that there is nothing to compare")
    return [dict(passed.mapping(each, passed.argument(f"{what}[{place}]"))) for place, each in enumerate(listed)]


def _recordings(
    model: Model, steps: Sequence[Step], count: int, outputs: Any, intermediates: Any, names: Sequence[str]
) -> list[Recording]:
    given = _listed(outputs, "outputs")
    inner: list[dict[str, Any]] = (
        [{} for _ in given] if intermediates is None else _listed(intermediates, "intermediates")
    )
    if not len(given) == len(inner) == count:
        raise UsageError(
            f"there are {count} predictions, but outputs of {len(given)} and values inside the model of {len(inner)}"
        )
    labels = list(names) or [str(place) for place in range(count)]
    known = [name for step in walk(steps) for name in step.outputs]
    found = []
    for label, recorded, values in zip(labels, given, inner, strict=True):
        twice = sorted(recorded.keys() & values.keys())
        if twice:
            raise UsageError(f"{passed.quoted(twice[0])} is among the outputs and the intermediates")
        with within(f"sample {passed.quoted(label)}"):
            found.append(
                recording_of(label, model.outputs, [each.name for each in model.inputs], known, {**recorded, **values})
            )
    return found


def _profiles(model: Model) -> tuple[str, ...]:
    """Return the arithmetics to try, the most exact first."""
    if model.kind != "mlProgram":
        return "fp32", "fp16/acc32"
    subject = subject_of(model, "declared")
    if subject.unit < 2.0**-11:  # nothing is declared in half precision
        return "fp32", "fp16/acc32"
    return "fp32", "declared", "fp16/acc32"


# ---- Rounding ----


@dataclass
class _Found:
    """What was found of one prediction.

    Attributes:
        tried: by arithmetic the values by name, in order.
        judged: the values, each in the arithmetic that explains it best.
    """

    tried: list[dict[str, Judged]] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)

    def add(self, judged: Sequence[Judged]) -> None:
        """Add what another arithmetic explains."""
        self.tried.append({each.compared.name: each for each in judged})
        self.judged = list(_best(self.tried))

    @property
    def refused(self) -> list[Judged]:
        """Values that rounding is not likely to explain."""
        return [each for each in self.judged if each.compared.refused]


def _best(tried: Sequence[dict[str, Judged]]) -> Iterator[Judged]:
    """Yield each value in the arithmetic that explains it best.

    Where a value shows nothing in an arithmetic, what made it stays open, though another one refuses it and goes on
    from what was recorded. So later values count only in those that have not gone on from there.
    """
    for name in tried[0]:
        found = [values for values in tried if name in values]
        best = min((values[name] for values in found), key=lambda each: each.rank)
        if best.compared.answer == UNDETERMINED:
            tried = [values for values in found if values[name].compared.answer == UNDETERMINED]
        yield best


@dataclass
class _Task:
    model: Model
    inputs: Sequence[Mapping[str, Any]]
    recordings: Sequence[Recording]
    probability: float
    proven: bool
    progress: Progress | None

    def verdict(self, profiles: Sequence[str]) -> Verdict:
        """Try one arithmetic after another, as long as there is something that it does not explain."""
        found: dict[int, _Found] = {}
        stateful = bool(self.model.prepare().states)
        every = range(len(self.recordings))
        for profile in profiles:
            left = [place for place in every if place not in found or found[place].refused]
            self._try(profile, every if stateful else left, found)
            if not any(found[place].refused for place in every):
                break
        listed = [found[place] for place in every]
        if any(each.refused for each in listed):
            return self._refused(profile, listed)
        judged = [each for one in listed for each in one.judged]
        needed = [each for each in judged if each.counts]
        nothing = next((each for each in needed if each.compared.answer == UNDETERMINED), None)
        missing = self._missing()
        if missing or not needed:
            return self._made(profile, listed, UNDETERMINED, missing or "no output was compared")
        if nothing is not None:
            reason = f"output {nothing.compared.name!r}: {nothing.compared.reason}"
            return self._made(profile, listed, UNDETERMINED, reason)
        half = any(each.compared.answer == FP16 for each in judged)
        return self._made(profile, listed, FP16 if half else FP32, _shown(judged))

    def _missing(self) -> str:
        """Return which output was not recorded; of a classifier the scores suffice."""
        for recording in self.recordings:
            for feature in self.model.outputs:
                if feature.name not in recording.outputs and not isinstance(feature, Int64Feature | StringFeature):
                    return f"output {feature.name!r} was not recorded"
        return ""

    def _try(self, profile: str, places: Sequence[int], found: dict[int, _Found]) -> None:
        """Judge predictions in an arithmetic."""
        count = sum(len(each.outputs) + len(each.inner) for each in self.recordings)
        judging = Judging(self.model, profile, self.probability / count)
        for done, place in enumerate(places):
            recording = self.recordings[place]
            with within(f"sample {passed.quoted(recording.name)}") if len(self.recordings) > 1 else nullcontext():
                judged = list(judging.judge(self.inputs[place], recording))
            found.setdefault(place, _Found()).add(judged)
            if self.progress is not None:
                self.progress(done + 1, len(places), profile)

    def _refused(self, profile: str, found: Sequence[_Found]) -> Verdict:
        """Return the verdict on what rounding is not likely to explain: the first value of the worst prediction."""
        values = [each.compared for one in found for each in one.judged]
        sample = next(each for each in worst_first(values) if each.refused).sample
        place = next(index for index, each in enumerate(self.recordings) if each.name == sample)
        refused = found[place].refused
        if self.proven:
            self._prove(profile, place, refused)
        first = refused[0].compared
        proved_wrong = any(each.compared.answer == NOT_EXPLAINED for each in refused)
        what = "output" if first.output else "value"
        reason = f"{what} {first.name!r} {first.reason}"
        return self._made(profile, found, NOT_EXPLAINED if proved_wrong else SUSPICIOUS, reason, first)

    def _prove(self, profile: str, place: int, refused: Sequence[Judged]) -> None:
        """Note which values of a prediction that are outside of likely bounds are inside of proven ones."""
        bounds = self._proven(profile, place, any(not each.compared.output for each in refused))
        for each in refused:
            bound = bounds.get(each.compared.name)
            if bound is None or bound[0].size != each.actual.size:
                continue
            value, radius = (part.reshape(each.actual.shape) for part in bound)
            with np.errstate(invalid="ignore"):
                inside = (np.abs(each.actual - value) <= radius) & reasonable(radius, value)
            outside = each.bound.determined & ~each.bound.explains(each.actual)
            if inside[outside].all():
                largest = float(radius[outside].max())
                reason = f"{each.compared.reason}; proven at most {largest:.3g}"
                each.compared = replace(each.compared, answer=SUSPICIOUS, reason=reason)

    def _proven(self, profile: str, place: int, inner: bool) -> dict[str, tuple[Doubles, Doubles]]:
        """Return proven bounds of outputs, or of values inside; none where they cannot be had."""
        found: dict[str, tuple[Doubles, Doubles]] = {}
        try:
            if self.model.prepare().states:
                *_, last = predictions(self.model, self.inputs[: place + 1], profile)
                answers = last.outputs
            else:
                answers = oracle(self.model, self.inputs[place], profile)
                if inner:
                    blobs = blob_answers(self.model, self.inputs[place], profile)
                    found.update({name: (blob.value, blob.radius) for name, blob in blobs.items()})
        except (InputError, UnsupportedModelError):
            return {}
        found.update({name: (answer.value, answer.bound) for name, answer in answers.items()})
        return found

    def _made(
        self, profile: str, found: Sequence[_Found], answer: str, reason: str, first: Compared | None = None
    ) -> Verdict:
        values = tuple(each.compared for one in found for each in one.judged)
        inner = any(recording.inner for recording in self.recordings)
        segment = first.segment if first is not None and (inner or len(first.segment) == 1) else ()
        operation = first.suspect if first is not None and segment else ""
        return Verdict(answer, "", reason, operation, segment, profile, self.probability, values)


def _shown(judged: Sequence[Judged]) -> str:
    count = sum(each.compared.explained for each in judged)
    widest = max((each.compared.width for each in judged if each.counts), default=0.0)
    noun = "value is" if count == 1 else "values are"
    shown = f"{count} recorded {noun} within likely bounds, those of outputs at most {widest:.2g} of their size"
    half = [each.compared.name for each in judged if each.compared.answer == FP16]
    if 0 < len(half) <= _CONSPICUOUS * count:  # where single precision is the rule, these deserve a look
        names = ", ".join(map(repr, half[:_LISTED])) + (", ..." if len(half) > _LISTED else "")
        shown += f"; all but {names} are within rounding of fp32"
    return shown


# ---- The source ----


def _worst_sample(verdict: Verdict, recordings: Sequence[Recording]) -> int:
    """Return the place of the prediction that is worst; the first where nothing was compared."""
    first = next(iter(worst_first(verdict.values)), None)
    return next((place for place, each in enumerate(recordings) if first and each.name == first.sample), 0)


def _with_source(verdict: Verdict, found: Conversion) -> Verdict:
    """Return the verdict with its cause: the conversion before all, then what the recording shows by itself."""
    if found.answer == "different":
        return replace(
            verdict,
            cause="converter",
            operation=found.operation,
            segment=found.operations,
            reason=f"the conversion differs: {found.reason}",
            conversion=found,
        )
    if verdict.answer in (NOT_EXPLAINED, SUSPICIOUS):
        return replace(verdict, cause="device", conversion=found)
    if verdict.answer == UNDETERMINED:
        return replace(verdict, cause="undetermined", conversion=found)
    if found.answer == "undetermined":
        reason = f"the conversion is undetermined: {found.reason}"
        return replace(verdict, cause="undetermined", reason=reason, conversion=found)
    return replace(verdict, cause="rounding", conversion=found)
