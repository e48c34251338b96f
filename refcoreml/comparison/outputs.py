"""Compare two models on data: `compare_models`."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from refcoreml import values
from refcoreml.comparison.chunks import in_chunks, sum_up
from refcoreml.comparison.differences import OutputComparison
from refcoreml.comparison.figures import outputs_figure
from refcoreml.comparison.metrics import (
    Difference,
    DifferenceSums,
    Rate,
    RateCount,
    among_best,
    best_among_best,
)
from refcoreml.comparison.tasks import pack, unpack
from refcoreml.errors import InputError, UsageError, harmless
from refcoreml.evaluators.state import State
from refcoreml.features import (
    ArrayFeature,
    DictionaryFeature,
    Feature,
    ImageFeature,
    Int64Feature,
    Resize,
    SequenceFeature,
    StringFeature,
)
from refcoreml.model import Model, as_model, state_of
from refcoreml.reporting.results import Result, flat
from refcoreml.reporting.samples import Label, Sample, Source
from refcoreml.reporting.tables import Text, count_text
from refcoreml.types import Array

__all__ = ["Comparer", "Comparison", "compare_models", "decode_image"]


@dataclass(frozen=True)
class Comparison(Result):
    """What `compare_models` finds.

    Attributes:
        samples: how many were compared.
        outputs: the comparison of each output that both models have.
        skipped: files that could not be read and were left out on request.
        only_in_reference, only_in_candidate: outputs that only one of the models has; they are not compared.
    """

    samples: int
    outputs: list[OutputComparison]
    skipped: list[str]
    only_in_reference: list[str]
    only_in_candidate: list[str]

    @property
    def agreement(self) -> Rate | None:
        """Top-1 agreement: that of scores, else that of labels; None if the models have neither."""
        with_scores = [output for output in self.outputs if output.agreement and output.difference]
        rates = with_scores or [output for output in self.outputs if output.agreement]
        return rates[0].agreement[1] if rates else None

    @property
    def snr(self) -> float | None:
        """The least SNR of an output in dB, NaN if one has no finite numbers; None if no output has numbers."""
        found = [output.difference for output in self.outputs if output.difference]
        return min(found, key=badness).snr if found else None

    def rows(self) -> list[dict[str, Any]]:
        """Return a flat row for each output, for CSV."""
        return [
            {
                "output": output.name,
                "type": output.type,
                "samples": self.samples,
                **flat(output.difference, Difference),
                **_rate_columns("agreement", output.agreement),
                **_rate_columns("accuracy_reference", output.accuracy_reference),
                **_rate_columns("accuracy_candidate", output.accuracy_candidate),
            }
            for output in self.outputs
        ]

    def table(self, width: int = sys.maxsize) -> str:
        """Return the result as text for people, in tables of at most ``width``."""
        numbers, rates = Text(), Text()
        for output in self.outputs:
            if output.difference is not None:
                numbers.add(_number_cells(output))
            for cells in _rate_cells(output):
                rates.add(cells)
        notes = [count_text(self.samples, "sample")]
        for model, names in (("the reference", self.only_in_reference), ("the candidate", self.only_in_candidate)):
            if names:
                notes.append(f"not compared, since only {model} has them: {', '.join(names)}")
        if self.skipped:
            notes.append(f"skipped as broken: {', '.join(self.skipped)}")
        for output in self.outputs:
            if output.difference is not None and output.difference.nonfinite:
                bad = output.difference
                notes.append(
                    f"{output.name}: {bad.nonfinite} elements are NaN or infinite and left out of the figures; "
                    f"{bad.nonfinite_differing} of them differ between the models"
                )
        return "\n\n".join(filter(None, [rates.render(width), numbers.render(width), "\n".join(map(harmless, notes))]))

    def plot(self, path: str | Path | None = None) -> Any:
        """Return a figure of agreement and SNR by output; needs the extra ``plot``.

        Returns:
            The matplotlib figure, also written to a file if asked (.png, .svg, .pdf).
        """
        return outputs_figure(self.outputs, path)


def badness(difference: Difference) -> float:
    """Return the key to sort differences by, the worst first: the SNR, the lowest if no number is finite."""
    return -math.inf if math.isnan(difference.snr) else difference.snr


def _rate_columns(name: str, rates: Mapping[int, Rate]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for k, rate in rates.items():
        columns[f"{name}_top{k}"] = rate.rate
        columns[f"{name}_top{k}_tied"] = rate.tied
    return columns


def _number_cells(output: OutputComparison) -> dict[str, str]:
    figures = output.difference
    assert figures is not None
    return {
        "output": output.name,
        "SNR dB": "exact" if figures.noiseless else f"{figures.snr:.2f}",
        "PSNR dB": "exact" if figures.noiseless else f"{figures.psnr:.2f}",
        "cosine": f"{figures.cosine:.6f}",
        "max error": f"{figures.max_error:.4g}",
        "mean error": f"{figures.mean_error:.4g}",
        "RMS error": f"{figures.rms_error:.4g}",
        "worst sample": "" if figures.noiseless else f"{figures.worst_sample} ({figures.worst_snr:.2f} dB)",
    }


def _rate_cells(output: OutputComparison) -> Iterator[dict[str, str]]:
    for k, agreement in output.agreement.items():
        cells = {"output": output.name, "": f"top-{k}", "agreement": str(agreement)}
        for title, rates in (("reference", output.accuracy_reference), ("candidate", output.accuracy_candidate)):
            if k in rates:
                cells[f"accuracy of the {title}"] = str(rates[k])
        yield cells


def compare_models(
    reference: Any,
    candidate: Any,
    data: Any,
    *,
    labels: Sequence[Label] | Mapping[str, Label] | str | None = None,
    resize: Resize | None = None,
    skip_broken: bool = False,
    scores: Sequence[str] = (),
    top: Sequence[int] | None = None,
    sequence: bool = False,
    executor: Executor | None = None,
    progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Compare what two models return for the same inputs.

    Whatever the difference is: quantized weights, another precision, other layers, another converter. Only what the
    models take and give must fit: the same inputs, and at least one output of the same name and type. Figures and their
    formulas: `refcoreml.comparison.metrics`. Arrays are compared in the type that they are returned in, images as the
    bytes 0..255 that they show, without alpha, labels for equality, dictionaries of scores label by label.

    Memory does not grow with the number of samples.

    Args:
        reference: a `Model`, or anything that `load` takes.
        candidate: the model to judge.
        data: a folder of pictures, an ``.npz`` or a folder of them, or any iterable of dicts (or of pairs of a dict and
            a true label): see `Source`.
        labels: true labels, see `Source`; a label is matched with those of the model as text, so that 7 is "7".
        resize: how to bring pictures to the models' size: ``fill``, ``fit`` or ``crop``; None: another size is refused.
        skip_broken: whether to leave broken files out, and list them, instead of raising.
        scores: array outputs that hold scores of classes; the class is the position.
        top: the k of top-k agreement, besides 1; by default 5. One that is the number of classes always holds and is
            left out.
        sequence: whether the samples are the steps of one sequence, so that models with states keep them from sample to
            sample; otherwise each sample begins with states of zeros.
        executor: where to run chunks of samples; by default here, on all cores. Not for sequences.
        progress: called with the number of samples done so far.

    Raises:
        UsageError: there is no data, a file is broken, labels do not match, the models cannot be compared, or ``top``
            holds a k that is more than there are classes.
        InputError: a sample does not fit the models.
    """
    check_sequence(sequence, executor)
    comparer = Comparer(as_model(reference), as_model(candidate), scores=scores, top=top, sequence=sequence)
    source = Source.of(data, labels=labels, resize=resize, skip_broken=skip_broken)
    skipped: list[str] = []
    chunks = in_chunks(source.samples(comparer.reference, skipped))
    compare = comparer.compare
    if executor is not None:
        compare = partial(_compare_packed, pack(comparer.reference), pack(comparer.candidate), list(scores), top)
    return comparer.result(sum_up(Sums(), compare, chunks, executor, progress), skipped)


def _compare_packed(
    reference: bytes, candidate: bytes, scores: Sequence[str], top: Sequence[int] | None, chunk: Sequence[Sample]
) -> Sums:
    return Comparer(unpack(reference), unpack(candidate), scores=scores, top=top).compare(chunk)


@dataclass
class OutputSums:
    """What is gathered about one output; two of them add up."""

    difference: DifferenceSums | None = None
    agreement: dict[int, RateCount] = field(default_factory=dict)
    accuracy_reference: dict[int, RateCount] = field(default_factory=dict)
    accuracy_candidate: dict[int, RateCount] = field(default_factory=dict)

    def merge(self, later: OutputSums) -> None:
        """Add the samples of another, which follow."""
        if later.difference is not None:
            self.difference = self.difference or DifferenceSums(later.difference.peak)
            self.difference.merge(later.difference)
        for name in ("agreement", "accuracy_reference", "accuracy_candidate"):
            counts = getattr(self, name)
            for k, count in getattr(later, name).items():
                counts.setdefault(k, RateCount()).merge(count)


@dataclass
class Sums:
    """What is gathered about all outputs."""

    samples: int = 0
    outputs: dict[str, OutputSums] = field(default_factory=dict)

    def merge(self, later: Sums) -> None:
        """Add the samples of another, which follow."""
        self.samples += later.samples
        for name, sums in later.outputs.items():
            self.outputs.setdefault(name, OutputSums()).merge(sums)


#: The k of top-k agreement, besides 1, unless others are requested.
_TOP = (5,)


class Comparer:
    """Two models that fit each other.

    Attributes:
        reference, candidate: the models.
        outputs: those of the reference's outputs that the candidate has too.
    """

    def __init__(
        self,
        reference: Model,
        candidate: Model,
        *,
        scores: Sequence[str] = (),
        top: Sequence[int] | None = None,
        sequence: bool = False,
    ) -> None:
        """Check that the models can be compared; see `compare_models`."""
        self.reference, self.candidate = reference, candidate
        self._states = (state_of(reference), state_of(candidate)) if sequence else (None, None)
        self._asked = () if top is None else values.integers(top, values.argument("top"), least=1)
        self._top = sorted({1, *(_TOP if top is None else self._asked)})
        self._classes = 0  # of the output with the most, seen so far
        _check_inputs(reference, candidate)
        others = {feature.name: feature for feature in candidate.outputs}
        self.outputs = [feature for feature in reference.outputs if feature.name in others]
        if not self.outputs:
            raise UsageError(
                f"the models share no output: {_names(reference.outputs)}, and {_names(candidate.outputs)}",
                remedy="Outputs are matched by name; coremltools.utils.rename_feature changes one",
            )
        for feature in self.outputs:
            if feature.kind != others[feature.name].kind:
                raise UsageError(
                    f"the types differ: {feature.describe()} and {others[feature.name].describe()}",
                    where=f"output {feature.name!r}",
                )
        known = {feature.name for feature in self.outputs if isinstance(feature, ArrayFeature)}
        self._scores = set(values.texts(scores, values.argument("scores")))
        for name in self._scores - known:
            remedy = values.did_you_mean(name, known).rstrip()
            raise UsageError(
                f"the models have no array output {name!r} to take as scores", where="scores", remedy=remedy
            )
        predicted = reference.description.predictedFeatureName
        labels = {feature.name for feature in self.outputs if isinstance(feature, (StringFeature, Int64Feature))}
        self._label = predicted if predicted in labels else None

    def require_use_of_labels(self) -> None:
        """Raise `UsageError` if no output has classes that a true label could be compared with."""
        rated = (
            self._label is not None
            or self._scores
            or any(isinstance(output, DictionaryFeature) for output in self.outputs)
        )
        if not rated:
            arrays = [output.name for output in self.outputs if isinstance(output, ArrayFeature)]
            raise UsageError(
                "there are true labels, but no output has classes",
                where="labels",
                remedy=f"Name an array output that holds scores of classes: scores=[...] or --scores, of "
                f"{_some(arrays)}"
                if arrays
                else "Leave them out",
            )

    def compare(
        self,
        chunk: Sequence[Sample],
        references: Sequence[Mapping[str, Any]] | None = None,
        results: Sequence[Mapping[str, Any]] | None = None,
    ) -> Sums:
        """Compare on some samples.

        Args:
            chunk: the samples.
            references, results: what ``reference`` and ``candidate`` returned for them, if that is known.
        """
        if any(sample.label is not None for sample in chunk):
            self.require_use_of_labels()
        inputs = [sample.inputs for sample in chunk]
        references = _predicted(self.reference, inputs, self._states[0]) if references is None else references
        results = _predicted(self.candidate, inputs, self._states[1]) if results is None else results
        sums = Sums(len(chunk), {feature.name: self._empty(feature) for feature in self.outputs})
        for sample, reference, result in zip(chunk, references, results, strict=True):
            for feature in self.outputs:
                self._add(feature, sample, reference[feature.name], result[feature.name], sums.outputs[feature.name])
        largest = max(self._asked, default=0)
        if largest > max(self._classes, 1) and chunk:
            most = f"the most are {self._classes}" if self._classes else "there are no scores"
            raise UsageError(f"no output has scores of {largest} classes, {most}", where="top")
        return sums

    def result(self, sums: Sums, skipped: Sequence[str] = ()) -> Comparison:
        """Return the figures of what was gathered."""
        shared = {feature.name for feature in self.outputs}
        return Comparison(
            samples=sums.samples,
            outputs=[
                OutputComparison(
                    name=feature.name,
                    type=feature.describe(),
                    difference=found.difference.result() if found.difference is not None else None,
                    agreement={k: count.result() for k, count in found.agreement.items()},
                    accuracy_reference={k: count.result() for k, count in found.accuracy_reference.items()},
                    accuracy_candidate={k: count.result() for k, count in found.accuracy_candidate.items()},
                )
                for feature in self.outputs
                for found in [sums.outputs[feature.name]]
            ],
            skipped=list(skipped),
            only_in_reference=[feature.name for feature in self.reference.outputs if feature.name not in shared],
            only_in_candidate=[feature.name for feature in self.candidate.outputs if feature.name not in shared],
        )

    def _empty(self, feature: Feature) -> OutputSums:
        if isinstance(feature, (StringFeature, SequenceFeature)) or feature.name == self._label:
            return OutputSums()
        bytes_ = isinstance(feature, ImageFeature) and not feature.half
        return OutputSums(DifferenceSums(255.0 if bytes_ else None))

    def _add(self, feature: Feature, sample: Sample, reference: Any, result: Any, sums: OutputSums) -> None:
        place = f"output {feature.name!r} of sample {sample.name!r}"
        if sums.difference is None:
            sums.agreement.setdefault(1, RateCount()).add(reference == result)
            if sample.label is not None and feature.name == self._label:
                for counts, label in ((sums.accuracy_reference, reference), (sums.accuracy_candidate, result)):
                    counts.setdefault(1, RateCount()).add(str(label) == str(sample.label))
            return
        names: Sequence[Any] | None = None
        if isinstance(feature, DictionaryFeature):
            names = list(reference)
            if set(names) != set(result):
                raise UsageError(f"the labels differ: {_some(names)}, and {_some(list(result))}", where=place)
            reference, result = (np.array([scores[name] for name in names]) for scores in (reference, result))
        elif isinstance(feature, ImageFeature):
            reference, result = decode_image(reference), decode_image(result)
        else:
            reference, result = np.asarray(reference), np.asarray(result)
        if reference.shape != result.shape:
            raise InputError(f"the shapes differ: {reference.shape} and {result.shape}", where=place)
        sums.difference.add(reference, result, sample.name)
        if isinstance(feature, DictionaryFeature) or feature.name in self._scores:
            self._rank(names, sample, reference.reshape(-1), result.reshape(-1), sums)

    def _rank(
        self, names: Sequence[Any] | None, sample: Sample, reference: Array, result: Array, sums: OutputSums
    ) -> None:
        truth = None
        if sample.label is not None:
            known = [str(name) for name in (names if names is not None else range(reference.size))]
            if str(sample.label) not in known:
                close = values.similar(str(sample.label), known, 3)
                raise UsageError(
                    f"the label {sample.label!r} is none of the model's {len(known)} classes",
                    where=f"sample {sample.name!r}",
                    remedy=f"Classes are {_some(close or known)}",
                )
            truth = known.index(str(sample.label))
        self._classes = max(self._classes, reference.size)
        for k in self._top:
            if k > 1 and k >= reference.size:
                continue
            sums.agreement.setdefault(k, RateCount()).add(best_among_best(reference, result, k))
            if truth is not None:
                sums.accuracy_reference.setdefault(k, RateCount()).add(among_best(reference, truth, k))
                sums.accuracy_candidate.setdefault(k, RateCount()).add(among_best(result, truth, k))


def check_sequence(sequence: bool, executor: Executor | None) -> None:
    """Refuse to send the samples of a sequence elsewhere, where nothing is known of the samples before."""
    if values.flag(sequence, values.argument("sequence")) and executor is not None:
        raise UsageError("the samples of a sequence run one after another, here", remedy="Leave the executor out")


def _predicted(model: Model, inputs: Sequence[dict[str, Any]], state: State | None) -> list[dict[str, Any]]:
    """Return the outputs for samples: one after another with a state, which begins anew for each if none is given."""
    if not model.states:
        return model.predict(inputs)
    return [model.predict(sample, state or model.make_state()) for sample in inputs]


def _check_inputs(reference: Model, candidate: Model) -> None:
    mine = {feature.name: feature for feature in reference.inputs}
    others = {feature.name: feature for feature in candidate.inputs}
    for name in {**mine, **others}:
        one, other = mine.get(name), others.get(name)
        if one is not None and other is not None:
            if one.kind != other.kind or (isinstance(one, ImageFeature) and one.describe() != other.describe()):
                raise UsageError(
                    f"the models' inputs differ: {one.describe()} and {other.describe()}", where=f"input {name!r}"
                )
        elif not (one or other).optional:  # type: ignore[union-attr]
            raise UsageError(
                f"the models' inputs differ: {_names(reference.inputs)}, and {_names(candidate.inputs)}",
                remedy="Models to be compared must take the same inputs",
            )


def _names(group: Sequence[Feature]) -> str:
    return ", ".join(f"{feature.name} ({feature.describe()})" for feature in group) or "none"


def _some(labels: Sequence[Any]) -> str:
    return ", ".join(map(repr, labels[:5])) + (", ..." if len(labels) > 5 else "")


def decode_image(image: Any) -> Array:
    """Return an image as numbers: float64 [H, W] or [H, W, 3], without alpha."""
    pixels: Array = np.asarray(image).astype(np.float64)
    return pixels[..., :3] if pixels.ndim == 3 else pixels
