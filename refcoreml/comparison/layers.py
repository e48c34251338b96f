"""Compare two models layer by layer, or operation by operation: which one adds how much error."""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from refcoreml.comparison.chunks import CHUNK, in_chunks, sum_up
from refcoreml.comparison.differences import LayerDifference
from refcoreml.comparison.figures import layers_figure
from refcoreml.comparison.matching import Match, Names, Steps
from refcoreml.comparison.metrics import Difference, DifferenceSums
from refcoreml.comparison.outputs import Comparer, check_sequence
from refcoreml.comparison.tasks import pack, unpack
from refcoreml.errors import InputError, InvalidModelError, UsageError, harmless
from refcoreml.evaluators.state import State
from refcoreml.execution.engine import Event
from refcoreml.features import Resize
from refcoreml.mil.values import StateCell
from refcoreml.model import Model, as_model, state_of
from refcoreml.reporting.results import Result, flat
from refcoreml.reporting.samples import Sample, Source
from refcoreml.reporting.tables import Text, count_text, shortened
from refcoreml.types import Array, without_ones

__all__ = ["LayerComparison", "compare_layers"]

#: Cells of a name in a note, and how many names it lists.
_LONGEST_NAME, _MOST_NAMES = 60, 12


@dataclass(frozen=True)
class LayerComparison(Result):
    """What `compare_layers` finds.

    Attributes:
        samples: how many were compared.
        layers: a row for each blob that both models compute, in the reference's order.
        unmatched: blobs that only one of them computes, or of which the shapes differ.
        skipped: files that could not be read and were left out on request.
    """

    samples: int
    layers: list[LayerDifference]
    unmatched: list[str]
    skipped: list[str]

    def worst(self, count: int = 5) -> list[LayerDifference]:
        """Return the layers with the lowest own SNR, the lowest first; layers without an SNR are left out."""
        noisy = [layer for layer in self.layers if layer.own is not None and layer.own.snr < np.inf]
        return sorted(noisy, key=lambda layer: layer.own.snr if layer.own is not None else np.inf)[:count]

    def rows(self) -> list[dict[str, Any]]:
        """Return a flat row for each layer, for CSV."""
        return [
            {
                **{name: getattr(row, name) for name in ("index", "layer", "kind", "blob", "changed")},
                **{f"own_{name}": value for name, value in flat(row.own, Difference).items()},
                **{f"accumulated_{name}": value for name, value in flat(row.accumulated, Difference).items()},
            }
            for row in self.layers
        ]

    def table(self, width: int = sys.maxsize) -> str:
        """Return the result as text for people, in tables of at most ``width``."""
        text = Text()
        outputs = Counter((row.index, row.layer) for row in self.layers)

        def shown(row: LayerDifference) -> str:
            return row.layer if outputs[row.index, row.layer] == 1 else row.blob

        nonfinite = any(row.accumulated.nonfinite for row in self.layers)
        for row in self.layers:
            text.add(
                {
                    "#": str(row.index),
                    "layer": shown(row),
                    "type": row.kind,
                    "own SNR dB": ("exact" if row.own.noiseless else f"{row.own.snr:.2f}") if row.own else "?",
                    "own error": f"{row.own.max_error:.4g}" if row.own else "?",
                    "accum. SNR dB": "exact" if row.accumulated.noiseless else f"{row.accumulated.snr:.2f}",
                    "accum. error": f"{row.accumulated.max_error:.4g}",
                    **({"NaN, Inf": str(row.accumulated.nonfinite or "")} if nonfinite else {}),
                }
            )
        notes = [count_text(self.samples, "sample")]
        if worst := self.worst(3):
            listed = ", ".join(
                f"{shortened(shown(row), _LONGEST_NAME)} ({row.own.snr:.2f} dB)" for row in worst if row.own
            )
            notes.append(f"most error of their own: {listed}")
        if any(row.own is None for row in self.layers):
            notes.append("?: no error of its own, since types or inputs differ, or a branch or loop went differently")
        if self.unmatched:
            more = f" and {len(self.unmatched) - _MOST_NAMES} more" if len(self.unmatched) > _MOST_NAMES else ""
            names = ", ".join(shortened(name, _LONGEST_NAME) for name in self.unmatched[:_MOST_NAMES])
            notes.append(f"not in both models, or of another shape: {names}{more}")
        if self.skipped:
            notes.append(f"skipped as broken: {', '.join(self.skipped)}")
        return text.render(width) + "\n\n" + "\n".join(map(harmless, notes))

    def plot(self, path: str | Path | None = None) -> Any:
        """Return a figure of own and accumulated SNR by layer; needs the extra ``plot``.

        Returns:
            The matplotlib figure, also written to a file if asked (.png, .svg, .pdf).
        """
        return layers_figure(self.layers, path)


def compare_layers(
    reference: Any,
    candidate: Any,
    data: Any,
    *,
    resize: Resize | None = None,
    skip_broken: bool = False,
    sequence: bool = False,
    executor: Executor | None = None,
    progress: Callable[[int], None] | None = None,
) -> LayerComparison:
    """Compare two networks layer by layer, or two ML Programs operation by operation.

    Both run side by side; a model may be compared with itself in another precision. Layers are matched by the names of
    the blobs that they write, so that lists of layers may differ, and operations of programs also by the names that
    they had before a converter added casts, see `refcoreml.comparison.matching`; within loops, round by round. For each
    matched output there are two errors: *accumulated*, as the models run, and the layer's *own*: what the candidate's
    layer makes of the reference's blobs.

    Memory does not grow with the number of samples; of the blobs of a sample, those of matched layers are held only as
    long as one model is ahead of the other.

    Args:
        reference: a `Model`, or anything that `load` takes.
        candidate: the model to judge.
        data: see `compare_models`, as for the other arguments.

    Raises:
        UsageError: there is no data, a file is broken, the models cannot be compared, or have no layers.
        InputError: a sample does not fit the models.
    """
    check_sequence(sequence, executor)
    pair = _Pair(as_model(reference), as_model(candidate), sequence)
    skipped: list[str] = []
    source = Source.of(data, resize=resize, skip_broken=skip_broken)
    chunks = in_chunks(source.samples(pair.reference, skipped), 1 if executor is None else CHUNK)
    compare = pair.compare
    if executor is not None:
        compare = partial(_compare_packed, pack(pair.reference), pack(pair.candidate))
    return pair.result(sum_up(_Sums(), compare, chunks, executor, progress), skipped)


def _compare_packed(reference: bytes, candidate: bytes, chunk: Sequence[Sample]) -> _Sums:
    return _Pair(unpack(reference), unpack(candidate)).compare(chunk)


@dataclass
class _BlobSums:
    own: DifferenceSums | None = field(default_factory=DifferenceSums)
    accumulated: DifferenceSums = field(default_factory=DifferenceSums)

    def merge(self, later: _BlobSums) -> None:
        self.accumulated.merge(later.accumulated)
        if self.own is None or later.own is None:
            self.own = None
        else:
            self.own.merge(later.own)


@dataclass
class _Sums:
    samples: int = 0
    blobs: dict[tuple[Names, str], _BlobSums] = field(default_factory=dict)
    unmatched: dict[str, None] = field(default_factory=dict)

    def merge(self, later: _Sums) -> None:
        self.samples += later.samples
        self.unmatched.update(later.unmatched)
        for key, sums in later.blobs.items():
            if key in self.blobs:
                self.blobs[key].merge(sums)
            else:
                self.blobs[key] = sums


class _Pair:
    """Two models, their layers matched."""

    def __init__(self, reference: Model, candidate: Model, sequence: bool = False) -> None:
        Comparer(reference, candidate)  # checks that they fit
        self.reference, self.candidate = reference, candidate
        self._kept = (state_of(reference), state_of(candidate)) if sequence else None
        self._mine, self._others = Steps(reference), Steps(candidate)
        mine, others = self._mine.by_names, self._others.by_names
        match = Match(self._mine, self._others)
        self._names = match.names
        if not self._names:
            raise UsageError("the models share no layer", remedy="Layers are matched by the names of their outputs")
        self._keys = ({key: key for key in self._names}, match.back)
        self._alone = [
            name
            for known, kept in ((mine, match.names), (others, match.back))
            for key in known
            if key not in kept
            for name in key
        ]
        same_arithmetic = reference.precision == candidate.precision and reference.strict == candidate.strict
        sources = self._mine.evaluator.source_of, self._others.evaluator.source_of
        self._changed = {
            key: not (same_arithmetic and sources[0](mine[key]) == sources[1](others[names]))
            for key, names in self._names.items()
        }
        self._alike = {key for key in self._names if match.takes_the_same(key)}

    def compare(self, chunk: Sequence[Sample]) -> _Sums:
        """Run both models on some samples."""
        sums = _Sums(len(chunk))
        for sample in chunk:
            self._compare_one(sample, sums)
        return sums

    def _compare_one(self, sample: Sample, sums: _Sums) -> None:
        ahead: tuple[dict[Names, deque[Event]], dict[Names, deque[Event]]] = ({}, {})
        states = self._kept or (state_of(self.reference), state_of(self.candidate))
        runs = [self._events(side, sample, states[side]) for side in (0, 1)]
        going = [True, True]
        while any(going):
            for side, run in enumerate(runs):
                event = next(run, None) if going[side] else None
                if event is None:
                    going[side] = False
                    continue
                key = self._keys[side][event.step.outputs]
                if waiting := ahead[1 - side].get(key):
                    other = waiting.popleft()
                    self._add(sample, *((event, other) if side == 0 else (other, event)), sums)
                else:
                    ahead[side].setdefault(key, deque()).append(event)
        for events in ahead:
            sums.unmatched.update((name, None) for key, waiting in events.items() if waiting for name in key)

    def _events(self, side: int, sample: Sample, state: State | None) -> Iterator[Event]:
        """Return the steps that both models have, as they run."""
        model = (self.reference, self.candidate)[side]
        for event in model.events(sample.inputs, state):
            if event.step.outputs in self._keys[side]:
                # What a state holds may have changed when the other model is as far.
                taken = [x.copy() if isinstance(x, StateCell) else x for x in event.inputs]
                yield event._replace(inputs=taken)

    def _add(self, sample: Sample, reference: Event, event: Event, sums: _Sums) -> None:
        key, expected = reference.step.outputs, _numbers(reference.outputs)
        own = self._own(reference, event)
        for position, (name, s, q) in enumerate(zip(key, expected, _numbers(event.outputs), strict=True)):
            if s is None or q is None or s.size == q.size == 0:  # such as a list before anything is written to it
                continue
            if without_ones(s.shape) != without_ones(q.shape):
                sums.unmatched[name] = None
                continue
            found = sums.blobs.setdefault((key, name), _BlobSums())
            found.accumulated.add(s, q, sample.name)
            mine = None if own is None else own[position]
            if mine is None or mine.shape != q.shape:
                found.own = None
            elif found.own is not None:
                found.own.add(s, mine, sample.name)

    def _own(self, reference: Event, event: Event) -> Sequence[Array | None] | None:
        """Return the outputs of the candidate's layer for the reference's blobs."""
        step, other = reference.step, event.step
        if not self._changed[step.outputs]:
            return _numbers(reference.outputs)
        if step.outputs not in self._alike:
            return None
        try:
            given = self._others.evaluator.adopt(other, reference.inputs, event.inputs)
            return _numbers(other.run_alone(given))
        except (InputError, InvalidModelError):  # it takes other shapes, or other values
            return None

    def result(self, sums: _Sums, skipped: Sequence[str]) -> LayerComparison:
        """Return the figures of what was gathered."""
        rows = []
        for key in self._names:
            step = self._mine.by_names[key]
            for name in key:
                if (found := sums.blobs.get((key, name))) is not None:
                    rows.append(
                        LayerDifference(
                            index=step.index,
                            layer=step.name,
                            kind=step.kind,
                            blob=name,
                            changed=self._changed[key],
                            own=found.own.result() if found.own is not None else None,
                            accumulated=found.accumulated.result(),
                        )
                    )
        unmatched = list(dict.fromkeys([*self._alone, *sums.unmatched]))
        return LayerComparison(sums.samples, rows, unmatched, list(skipped))


def _numbers(values: Sequence[Any]) -> list[Array | None]:
    """Return what is compared of values: arrays, what lists and dictionaries hold; None for texts."""
    arrays = [np.asarray(getattr(value, "array", value)) for value in values]
    return [array if array.dtype.kind in "biuf" else None for array in arrays]
