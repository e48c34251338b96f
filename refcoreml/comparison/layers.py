"""Compare two networks layer by layer: which layer adds how much error."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from refcoreml.comparison.chunks import CHUNK, in_chunks, sum_up
from refcoreml.comparison.differences import LayerDifference
from refcoreml.comparison.figures import layers_figure
from refcoreml.comparison.metrics import Difference, DifferenceSums
from refcoreml.comparison.outputs import Comparer
from refcoreml.comparison.tasks import pack, unpack
from refcoreml.errors import UnsupportedModelError, UsageError, harmless
from refcoreml.execution.engine import Event
from refcoreml.execution.steps import Step, walk
from refcoreml.features import Resize
from refcoreml.model import Model, as_model
from refcoreml.neuralnetwork.network import Network
from refcoreml.reporting.results import Result, flat
from refcoreml.reporting.samples import Sample, Source
from refcoreml.reporting.tables import Text, shortened

__all__ = ["LayerComparison", "compare_layers"]

#: What makes layers of two networks the same: the blobs that they write.
_Key: TypeAlias = "tuple[str, ...]"


#: Cells of a name in a note.
_LONGEST_NAME = 60


@dataclass(frozen=True)
class LayerComparison(Result):
    """What `compare_layers` finds.

    Attributes:
        samples: how many were compared.
        layers: a row for each blob that both networks compute, in the reference's order.
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
        for row in self.layers:
            text.add(
                {
                    "#": str(row.index),
                    "layer": row.layer,
                    "type": row.kind,
                    "own SNR dB": ("exact" if row.own.noiseless else f"{row.own.snr:.2f}") if row.own else "?",
                    "own max error": f"{row.own.max_error:.4g}" if row.own else "?",
                    "accumulated SNR dB": "exact" if row.accumulated.noiseless else f"{row.accumulated.snr:.2f}",
                    "accumulated max error": f"{row.accumulated.max_error:.4g}",
                    "NaN, Inf": str(row.accumulated.nonfinite or ""),
                }
            )
        notes = [f"{self.samples} samples"]
        if worst := self.worst(3):
            listed = ", ".join(
                f"{shortened(row.layer, _LONGEST_NAME)} ({row.own.snr:.2f} dB)" for row in worst if row.own
            )
            notes.append(f"most error of their own: {listed}")
        if self.unmatched:
            notes.append(f"not in both networks, or of another shape: {', '.join(self.unmatched)}")
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
    executor: Executor | None = None,
    progress: Callable[[int], None] | None = None,
) -> LayerComparison:
    """Compare two networks layer by layer.

    Both run side by side. Layers are matched by the names of the blobs that they write, so that lists of layers may
    differ; within loops, round by round. For each matched output there are two errors: *accumulated*, as the networks
    run, and the layer's *own*: what the candidate's layer makes of the reference's blobs.

    Memory does not grow with the number of samples; of the blobs of a sample, those of matched layers are held only as
    long as one network is ahead of the other.

    Args:
        reference: a `Model`, or anything that `load` takes.
        candidate: the model to judge.
        data: see `compare_models`, as for the other arguments.

    Raises:
        UsageError: there is no data, a file is broken, the models cannot be compared, or have no layers.
        InputError: a sample does not fit the models.
    """
    pair = _Pair(as_model(reference), as_model(candidate))
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
    blobs: dict[tuple[_Key, str], _BlobSums] = field(default_factory=dict)
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
    """Two networks, their layers matched."""

    def __init__(self, reference: Model, candidate: Model) -> None:
        Comparer(reference, candidate)  # checks that they fit
        self.reference, self.candidate = reference, candidate
        self._network = _network(candidate)
        source = _network(reference)
        mine = {step.outputs: step for step in walk(source.steps) if step.outputs}
        others = {step.outputs: step for step in walk(self._network.steps) if step.outputs}
        self._steps = {key: step for key, step in mine.items() if key in others}
        self._alone = [name for key in (*mine, *others) if (key in mine) != (key in others) for name in key]
        same_arithmetic = reference.precision == candidate.precision and reference.strict == candidate.strict
        self._changed = {
            key: not (same_arithmetic and source.nodes[step.where].spec == self._network.nodes[others[key].where].spec)
            for key, step in self._steps.items()
        }
        if not self._steps:
            raise UsageError("the networks share no blob", remedy="Layers are matched by the names of their outputs")

    def compare(self, chunk: Sequence[Sample]) -> _Sums:
        """Run both networks on some samples."""
        sums = _Sums(len(chunk))
        for sample in chunk:
            self._compare_one(sample, sums)
        return sums

    def _compare_one(self, sample: Sample, sums: _Sums) -> None:
        ahead: tuple[dict[_Key, deque[Event]], dict[_Key, deque[Event]]] = ({}, {})
        runs = [self._events(model, sample) for model in (self.reference, self.candidate)]
        going = [True, True]
        while any(going):
            for side, run in enumerate(runs):
                event = next(run, None) if going[side] else None
                if event is None:
                    going[side] = False
                    continue
                key = event.step.outputs
                if waiting := ahead[1 - side].get(key):
                    other = waiting.popleft()
                    self._add(sample, *((event, other) if side == 0 else (other, event)), sums)
                else:
                    ahead[side].setdefault(key, deque()).append(event)
        for events in ahead:
            sums.unmatched.update((name, None) for key, waiting in events.items() if waiting for name in key)

    def _events(self, model: Model, sample: Sample) -> Iterator[Event]:
        """Return the steps that both networks have, as they run."""
        events = model.prepare().trace(model.check_inputs(sample.inputs))
        return (event for event in events if event.step.outputs in self._steps)

    def _add(self, sample: Sample, reference: Event, event: Event, sums: _Sums) -> None:
        step, arguments, expected, _ = reference
        own = self._own(step, event.step, arguments, expected)
        for position, (name, s, q) in enumerate(zip(step.outputs, expected, event.outputs, strict=True)):
            if s.shape != q.shape:
                sums.unmatched[name] = None
                continue
            found = sums.blobs.setdefault((step.outputs, name), _BlobSums())
            found.accumulated.add(s, q, sample.name)
            if own is None or own[position].shape != s.shape:
                found.own = None
            elif found.own is not None:
                found.own.add(s, own[position], sample.name)

    def _own(self, step: Step, other: Step, arguments: Sequence[Any], expected: Sequence[Any]) -> Sequence[Any] | None:
        """Return the outputs of the candidate's layer for the reference's blobs."""
        if not self._changed[step.outputs]:
            return expected
        if step.kind != other.kind or step.inputs != other.inputs:
            return None
        arithmetic = self._network.arithmetic
        given = [arithmetic.store(x.astype(arithmetic.dtype)) for x in arguments]
        return other.run_alone(given)

    def result(self, sums: _Sums, skipped: Sequence[str]) -> LayerComparison:
        """Return the figures of what was gathered."""
        rows = []
        for key, step in self._steps.items():
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


def _network(model: Model) -> Network:
    layered = model.prepare().layered
    if model.kind == "mlProgram":
        raise UnsupportedModelError(
            "operations of ML Programs cannot be compared yet",
            where="mlProgram",
            remedy="compare_models compares outputs; Model.trace shows each operation",
        )
    if layered is None:
        raise UsageError(f"a model of type {model.kind} has no layers that could be compared")
    return layered.network
