"""One configuration: quantize, predict, compare. What an executor runs."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refcoreml import quantization
from refcoreml.comparison.chunks import in_chunks
from refcoreml.comparison.metrics import decibel
from refcoreml.comparison.outputs import Comparer, Comparison, Sums, badness
from refcoreml.comparison.tasks import unpack
from refcoreml.model import Model
from refcoreml.quantization import bounds
from refcoreml.reporting.samples import Source
from refcoreml.studies.records import Configuration, Record

__all__ = ["Task", "bounds_and_errors", "evaluate", "how", "quantizable_layers", "quantized_as"]

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
        select: which weights, see `quantized_as`.
    """

    packed: bytes
    source: Source
    context: str
    configuration: Configuration
    scores: tuple[str, ...]
    top: tuple[int, ...] | None
    select: tuple[str, ...] = ()


def quantizable_layers(model: Model, bits: int, mode: str, select: Sequence[str] = ()) -> list[str]:
    """Return the names of the layers that get smaller when all are quantized, in the network's order."""
    changes = quantization.weight_changes(model, quantized_as(model, Configuration("sweep", bits, mode), select))
    return list(dict.fromkeys(change.layer for change in changes if change.bytes_after < change.bytes_before))


def quantized_as(model: Model, configuration: Configuration, select: Sequence[str] = ()) -> Model:
    """Return the model quantized.

    Args:
        model: the model, which stays as it is.
        configuration: how.
        select: which weights, see `selectors.parse`; all terms must hold.
    """
    terms = [quantization.selectors.parse(term) for term in select]
    plan: dict[str, tuple[int, str]] = {}
    bits, (mode, fit) = configuration.bits, how(configuration.mode)
    if configuration.kind == "plan":
        for layer, number, given in configuration.plan:
            planned, fit = how(given)
            plan[layer] = (number, planned)
    elif configuration.kind == "only":
        plan[configuration.layer] = (bits, mode)

    def chosen(tensor: quantization.WeightTensor) -> bool:
        if configuration.kind == "except" and tensor.layer == configuration.layer:
            return False
        return all(term(tensor) for term in terms)

    left = any(map(chosen, quantization.weight_tensors(model)))
    if bits == 32 or (configuration.kind == "plan" and not plan) or not left:
        return model
    if plan:
        return quantization.quantize_weights(model, plan=plan, fit=fit, selector=chosen)
    return quantization.quantize_weights(model, bits, mode, fit=fit, selector=chosen)


def how(mode: str) -> tuple[str, str]:
    """Return a mode as `quantize_weights` takes it, and its fit: ``linear:mse`` is mode ``linear`` with fit ``mse``."""
    name, _, fit = mode.partition(":")
    return name or "linear", fit or "minmax"  # with 16 bits neither is read


def evaluate(task: Task) -> Record:
    """Quantize, predict on all samples, and compare with the given model."""
    full = unpack(task.packed)
    started = time.perf_counter()
    quantized = quantized_as(full, task.configuration, task.select)
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
    return _record(task.configuration, full, quantized, comparer.result(sums), quantize_seconds, seconds)


def _record(
    configuration: Configuration,
    full: Model,
    quantized: Model,
    found: Comparison,
    quantize_seconds: float,
    seconds: float,
) -> Record:
    numeric = [output for output in found.outputs if output.difference is not None]
    worst = min((output.difference for output in numeric if output.difference), key=badness, default=None)
    scored = next((output for output in found.outputs if output.agreement and output.difference), None)
    scored = scored or next((output for output in found.outputs if output.agreement), None)
    agreement = found.agreement
    size = quantized.spec.ByteSize()
    weight_snr, weight_max_error = _weight_noise(full, quantized)
    return Record(
        configuration=configuration,
        size=size,
        ratio=size / full.spec.ByteSize(),
        weight_snr=weight_snr,
        weight_max_error=weight_max_error,
        bounds=bounds_and_errors(full, quantized, configuration.mode) if configuration.kind == "sweep" else (),
        snr=worst.snr if worst is not None else None,
        psnr=worst.psnr if worst is not None else None,
        snr_by_output={output.name: output.difference.snr for output in numeric if output.difference},
        agreement=agreement.rate if agreement is not None else None,
        agreement_tied=agreement.upper - agreement.rate if agreement is not None else 0.0,
        top_agreement={str(k): rate.rate for k, rate in scored.agreement.items()} if scored else {},
        accuracy=scored.accuracy_candidate[1].rate if scored and scored.accuracy_candidate else None,
        full_accuracy=scored.accuracy_reference[1].rate if scored and scored.accuracy_reference else None,
        samples=found.samples,
        quantize_seconds=quantize_seconds,
        predict_seconds=seconds / found.samples,
    )


def _weight_noise(full: Model, quantized: Model) -> tuple[float, float]:
    """Return SNR and largest error of the weights whose encoding changed."""
    if quantized is full:
        return math.inf, 0.0
    changes = [
        change
        for change in quantization.weight_changes(full, quantized)
        if (change.before, change.bits_before) != (change.after, change.bits_after)
    ]
    signal = sum(change.count * change.signal for change in changes)
    noise = sum(change.count * change.noise for change in changes)
    return decibel(signal, noise), max((change.largest_error for change in changes), default=0.0)


def bounds_and_errors(full: Model, quantized: Model, mode: str) -> tuple[tuple[float, float], ...]:
    """Return, for each array of weights whose encoding changed, bound and error of the weight closest to its bound."""
    symmetric = how(mode)[0] == "linear_symmetric"
    found = []
    pairs = zip(quantization.weight_tensors(full), quantization.weight_tensors(quantized), strict=True)
    for before, after in pairs:
        if before.encoding != after.encoding:
            weights = before.values()
            error = np.abs(after.values().astype(np.float64) - weights).reshape(-1)
            most = _bound(weights, after, symmetric).reshape(-1)
            # The largest excess if there is any, which there must not be; where the bound is 0, so must be the error.
            ratio = np.divide(error, most, out=np.where(error > 0, np.inf, 0.0), where=most > 0)
            worst = int(np.argmax(ratio))
            found.append((float(most[worst]), float(error[worst])))
    return tuple(found)


def _bound(weights: Any, tensor: quantization.WeightTensor, symmetric: bool) -> Any:
    """Return the bound of each weight's error, for the way that it is stored."""
    kind, stored = tensor.encoding.kind, tensor.message.quantization
    if kind == "float16":
        return bounds.half_precision(weights)
    if kind == "lookup table":
        return bounds.lookup_table(weights, np.array(stored.lookupTableQuantization.floatValue, np.float32))
    shape = [1] * weights.ndim
    shape[tensor.channel_axis] = -1
    scale, bias = (
        np.array(values, np.float32).reshape(shape if len(values) > 1 else [1] * weights.ndim)
        for values in (stored.linearQuantization.scale, stored.linearQuantization.bias)
    )
    return bounds.linear(weights, scale, bias, tensor.encoding.bits, symmetric=symmetric)


# --- what the given model returns, kept for the next configuration -------------------------------------------------


@dataclass
class _References:
    """What the given model returned, by number of chunk, as long as there is room."""

    chunks: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    size: int = 0

    def get(self, number: int, model: Model, inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Look the outputs up, or compute them."""
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
    """Return those of one study; those of another, if there was one before in this process, are dropped."""
    if context not in _kept:
        _kept.clear()
        _kept[context] = _References()
    return _kept[context]
