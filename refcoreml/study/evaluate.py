"""One configuration: quantize, predict, compare. What an executor runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refcoreml import quantization
from refcoreml.comparison.compare import Comparer, Comparison, Sums, in_chunks
from refcoreml.comparison.data import Source
from refcoreml.comparison.metrics import DifferenceSums
from refcoreml.comparison.tasks import unpack
from refcoreml.model import Model
from refcoreml.study.records import Configuration, Record

__all__ = ["Task", "evaluate", "quantized_as", "weight_layers"]

#: Each process keeps what the given model returns for the data, for the next configuration, up to so many bytes.
REFERENCE_LIMIT = 256 << 20


@dataclass(frozen=True)
class Task:
    """What another process needs to evaluate a configuration.

    Attributes:
        packed: the model, see `tasks.pack`.
        source: the data.
        context: the digest of model, data and settings, see `records.identity`.
        configuration: how to quantize.
        scores, top: see `compare_models`.
    """

    packed: bytes
    source: Source
    context: str
    configuration: Configuration
    scores: tuple[str, ...]
    top: tuple[int, ...]


def weight_layers(model: Model) -> list[str]:
    """The names of the layers that have weights to quantize, in the network's order."""
    return list(dict.fromkeys(tensor.layer for tensor in quantization.weight_tensors(model)))


def quantized_as(model: Model, configuration: Configuration) -> Model:
    """The model quantized."""
    bits, mode = configuration.bits, configuration.mode or "linear"  # with 16 bits the mode means nothing
    if configuration.kind == "sweep":
        return quantization.quantize_weights(model, bits, mode) if bits < 32 else model
    if configuration.kind == "plan":
        plan = {layer: (bits, mode) for layer, bits, mode in configuration.plan}
    elif configuration.kind == "only":
        plan = {configuration.layer: (bits, mode)}
    else:
        plan = {layer: (bits, mode) for layer in weight_layers(model) if layer != configuration.layer}
    return quantization.quantize_weights(model, plan=plan) if plan else model


def evaluate(task: Task) -> Record:
    """Quantizes, predicts on all samples, and compares with the given model."""
    full = unpack(task.packed)
    started = time.perf_counter()
    quantized = quantized_as(full, task.configuration)
    quantize_seconds = time.perf_counter() - started
    comparer = Comparer(full, quantized, scores=task.scores, top=task.top)
    references = _references(task.context)
    sums, seconds = Sums(), 0.0
    for number, chunk in enumerate(in_chunks(task.source.samples(full))):
        inputs = [sample.inputs for sample in chunk]
        known = references.get(number, full, inputs)
        started = time.perf_counter()
        results = quantized.predict(inputs)
        seconds += time.perf_counter() - started
        sums.merge(comparer.compare(chunk, known, results))
    weights = _weight_difference(full, quantized)
    return _record(task.configuration, full, quantized, comparer.result(sums), weights, quantize_seconds, seconds)


def _record(
    configuration: Configuration,
    full: Model,
    quantized: Model,
    found: Comparison,
    weights: DifferenceSums,
    quantize_seconds: float,
    seconds: float,
) -> Record:
    numeric = [output for output in found.outputs if output.difference is not None]
    worst = min((output.difference for output in numeric if output.difference), key=lambda d: d.snr, default=None)
    scored = next((output for output in found.outputs if output.agreement and output.difference), None)
    scored = scored or next((output for output in found.outputs if output.agreement), None)
    agreement = found.agreement
    size = quantized.spec.ByteSize()
    noise = weights.result()
    return Record(
        configuration=configuration,
        size=size,
        ratio=size / full.spec.ByteSize(),
        weight_snr=noise.snr if noise.count else np.inf,
        weight_max_error=noise.max_error if noise.count else 0.0,
        snr=worst.snr if worst is not None else None,
        psnr=worst.psnr if worst is not None else None,
        snr_by_output={output.name: output.difference.snr for output in numeric if output.difference},
        agreement=agreement.rate if agreement is not None else None,
        agreement_tied=agreement.upper - agreement.rate if agreement is not None else 0.0,
        top_agreement={str(k): rate.rate for k, rate in scored.agreement.items()} if scored else {},
        accuracy=scored.accuracy_quantized[1].rate if scored and scored.accuracy_quantized else None,
        full_accuracy=scored.accuracy_full[1].rate if scored and scored.accuracy_full else None,
        samples=found.samples,
        quantize_seconds=quantize_seconds,
        predict_seconds=seconds / found.samples,
    )


def _weight_difference(full: Model, quantized: Model) -> DifferenceSums:
    """The difference of those weights that are stored in another way."""
    sums = DifferenceSums()
    if quantized is full:
        return sums
    pairs = zip(quantization.weight_tensors(full), quantization.weight_tensors(quantized), strict=True)
    for before, after in pairs:
        if before.encoding != after.encoding:
            sums.add(before.values(), after.values())
    return sums


# --- what the given model returns, kept for the next configuration -------------------------------------------------


@dataclass
class _References:
    """What the given model returned, by number of chunk, as long as there is room."""

    chunks: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    size: int = 0

    def get(self, number: int, model: Model, inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Looks the outputs up, or computes them."""
        known = self.chunks.get(number)
        if known is None:
            known = model.predict(inputs)
            size = sum(_size(value) for outputs in known for value in outputs.values())
            if self.size + size <= REFERENCE_LIMIT:
                self.size += size
                self.chunks[number] = known
        return known


def _size(value: Any) -> int:
    if isinstance(value, dict):
        return 200 * len(value)
    return int(np.asarray(value).nbytes)


_kept: dict[str, _References] = {}


def _references(context: str) -> _References:
    """Those of one study; those of another, if there was one before in this process, are dropped."""
    if context not in _kept:
        _kept.clear()
        _kept[context] = _References()
    return _kept[context]
