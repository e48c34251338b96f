"""Measure what quantization does to a model: `study`."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from refcoreml import values
from refcoreml.comparison.metrics import check_rate
from refcoreml.comparison.outputs import Comparer
from refcoreml.comparison.tasks import as_finished, pack
from refcoreml.errors import UsageError
from refcoreml.features import Resize
from refcoreml.model import Model, as_model
from refcoreml.quantization.tensors import check_has_tensors
from refcoreml.reporting.samples import Label, Sample, Source, checked, each, fingerprint
from refcoreml.studies import plan as planning
from refcoreml.studies.evaluate import Task, evaluate, how, quantizable_layers
from refcoreml.studies.measurements import Measurements
from refcoreml.studies.records import Configuration, Journal, Record, identity
from refcoreml.studies.report import check_folder, write_report
from refcoreml.version import VERSION

__all__ = ["Study", "study"]

#: Modes that need nothing but a number of bits; the linear ones also with the range fitted, as in ``linear:mse``.
MODES = ("linear", "linear_symmetric", "linear_lut", "kmeans")


@dataclass(frozen=True)
class Study(Measurements):
    """What `study` finds: measurements that can be written as a report."""

    def write(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write ``study.csv``, ``study.json``, the figures as ``.png``, and ``report.html``, which holds them all.

        If there is a plan, also ``plan.json``, for ``refcoreml quantize --plan`` (of a mode such as ``linear:mse`` with
        ``--fit mse``).

        Needs the extra ``plot``.

        Returns:
            The files.

        Raises:
            UsageError: there are files of these names in the folder that no study has written.
        """
        return write_report(self, values.path(folder, values.argument("folder")))


def study(
    model: Any,
    data: Any,
    *,
    bits: Sequence[int] = (8, 6, 4, 3, 2, 1),
    modes: Sequence[str] = ("linear", "kmeans"),
    labels: Sequence[Label] | Mapping[str, Label] | str | None = None,
    resize: Resize | None = None,
    skip_broken: bool = False,
    scores: Sequence[str] = (),
    top: Sequence[int] | None = None,
    select: Sequence[str] = (),
    sensitivity: Sequence[int] = (),
    budget: float | None = None,
    floor: float | None = None,
    directory: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Study:
    """Measure what quantization of the weights does to a model: size, error of the weights, error of the outputs.

    Args:
        model: a `Model`, or anything that `load` takes.
        data: a folder of pictures, an ``.npz`` or a folder of them, or an iterable of dicts; see `Source`. It is read
            once for each configuration; an iterator is kept as a list.
        bits: of each weight: 1 to 8, 16, or 32 for the model as it is.
        modes: of those below 16 bits: ``linear``, ``linear_symmetric``, ``linear_lut``, ``kmeans``; the linear ones
            also as ``linear:mse``, with the range that makes squared errors small.
        labels, resize, skip_broken, scores, top: see `compare_models`.
        select: which weights to quantize, in the words of `refcoreml.quantization.selectors.parse`: ``matrices``,
            ``kind!=batchnorm``, ``count>=4096``; of several all must hold.
        sensitivity: with how many bits to quantize each layer alone, and all layers but one; in the first of the modes.
            That makes two configurations for each layer and number.
        budget: search for the number of bits of each layer (see `refcoreml.studies.plan`) with the least error whose
            model is not larger than so many bytes, or than this part of the given one if at most 1. Quantizes each
            layer alone with each of ``bits`` below 16, in the mode that does best in the sweep.
        floor: search for the smallest model that has at least this accuracy, or agreement if there are no true labels.
        directory: a folder to note each record in as soon as it is there (``records.jsonl``). A study of the same
            model, data and settings goes on from there.
        executor: where to run the configurations; by default here, one after another. Each task holds the model and the
            data as given: for a cluster, name a folder that all can read.
        progress: called with the number of configurations that are done, and of all that are known of.

    Raises:
        UsageError: settings make no sense, there is no data, labels do not match, no plan meets the demand, or the
            directory holds files of a report's names that no study has written.
        InputError: a sample does not fit the model.
        UnsupportedModelError: the model is an ML Program, whose weights cannot be quantized yet.
    """
    folder = None if directory is None else check_folder(values.path(directory, values.argument("directory")))
    loaded = as_model(model)
    check_has_tensors(loaded)
    _check(bits, modes, sensitivity, budget, floor)
    values.texts(select, values.argument("select"))
    values.texts(scores, values.argument("scores"))
    if top is not None:
        top = tuple(values.integers(top, values.argument("top"), least=1))
    source = _kept(Source.of(data, labels=labels, resize=resize, skip_broken=skip_broken))
    skipped: list[str] = []
    samples = _Counted(checked(source.samples(loaded, skipped), loaded))
    comparer = Comparer(loaded, loaded, scores=scores, top=top)
    packed = pack(loaded)
    context = _context(loaded, samples, scores, select, top)
    if samples.labelled:
        comparer.require_use_of_labels()
    layers = _layers(loaded, min((*bits, *sensitivity)), modes[0], select)
    with Journal(None if folder is None else _made(folder) / "records.jsonl") as journal:
        runner = _Runner(journal, packed, source, context, tuple(scores), top, tuple(select), executor, progress)
        measured = runner.run([*_sweep(bits, modes), *_sensitivity(sensitivity, modes[0], layers)])
        plan = None
        if budget is not None or floor is not None:
            demand = _Demand(loaded.spec.ByteSize(), budget, floor)
            plan = _plan(demand, measured, runner, layers, bits, modes)
    return Study(
        name=Path(loaded.name).name,
        size=loaded.spec.ByteSize(),
        samples=samples.count,
        skipped=skipped,
        layers=layers,
        records=runner.known,
        plan=plan,
        select=list(select),
        model=loaded,
        source=source,
    )


def _check(
    bits: Sequence[int], modes: Sequence[str], sensitivity: Sequence[int], budget: float | None, floor: float | None
) -> None:
    values.integers(bits, values.argument("bits"))
    values.integers(sensitivity, values.argument("sensitivity"))
    values.texts(modes, values.argument("modes"))
    if not len(bits):
        raise UsageError("there must be at least one number of bits", where="bits")
    for name, numbers in (("bits", bits), ("sensitivity", sensitivity)):
        for number in numbers:
            if number not in (*range(1, 9), 16, *((32,) if name == "bits" else ())):
                raise UsageError(f"{number} is not 1 to 8, 16 or 32", where=name)
    if not len(modes):
        raise UsageError("there must be at least one mode", where="modes")
    for mode in modes:
        name, fit = how(mode)
        if name not in MODES or fit not in ("minmax", "mse") or (fit == "mse" and name == "kmeans"):
            raise UsageError(
                f"unknown mode {mode!r}", where="modes", remedy=f"Choose from {', '.join(MODES)}, linear:mse"
            )
    if budget is not None and floor is not None:
        raise UsageError("search for a plan under a budget or above a floor, not both", where="budget")
    if budget is not None and not values.number(budget, values.argument("budget")) > 0:
        raise UsageError(f"must be positive, got {budget}", where="budget")
    if budget is not None and budget > 1 and not (math.isfinite(budget) and budget == int(budget)):
        raise UsageError(f"must be a number of bytes, or a fraction of at most 1, got {budget}", where="budget")
    if floor is not None:
        check_rate(values.number(floor, values.argument("floor")), "floor")


def _kept(source: Source) -> Source:
    """Return a source that can be read many times: what can be read once only is kept as a list."""
    if values.is_a(source.data, Iterable) and not values.is_a(source.data, (str, Path, Sequence, Mapping)):
        return replace(source, data=list(each(source.data)))
    return source


def _context(
    model: Model, samples: Iterable[Sample], scores: Sequence[str], select: Sequence[str], top: Sequence[int] | None
) -> dict[str, Any]:
    """Return what records depend on beside their configuration; reads the samples."""
    return {
        "model": hashlib.sha256(model.spec.SerializeToString(deterministic=True)).hexdigest(),
        "precision": model.precision,
        "data": fingerprint(samples),
        "scores": list(scores),
        "select": list(select),
        "top": top if top is None else list(top),
        "version": VERSION,
    }


def _layers(model: Model, bits: int, mode: str, select: Sequence[str]) -> list[str]:
    """Return the layers to quantize, given the fewest bits; none if the weights stay as they are."""
    if bits == 32:
        return []
    layers = quantizable_layers(model, bits, mode, select)
    if not layers:
        raise UsageError(f"no weights get smaller with {bits} bits", where=model.name)
    return layers


def _made(folder: Path) -> Path:
    """Make a folder, unless there is one, and return it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be made: {values.reason(error)}", where="directory") from error
    return folder


def _sweep(bits: Sequence[int], modes: Sequence[str]) -> list[Configuration]:
    return [
        Configuration("sweep", number, mode)
        for number in sorted(set(bits), reverse=True)
        for mode in (modes if number < 16 else ("",))
        if (number, mode) != (1, "linear_symmetric")  # there is no such thing
    ]


def _sensitivity(bits: Sequence[int], mode: str, layers: Sequence[str]) -> list[Configuration]:
    return [
        Configuration(kind, number, mode if number < 16 else "", layer)
        for number in sorted(set(bits), reverse=True)
        for kind in ("only", "except")
        for layer in layers
    ]


def _best_mode(records: Sequence[Record], modes: Sequence[str]) -> str:
    """Return the mode with the highest output SNR (or weight SNR, of models without numbers) over the sweep."""

    def quality(mode: str) -> float:
        found = [r for r in records if r.configuration.kind == "sweep" and r.configuration.mode == mode]
        levels = [r.snr if r.snr is not None else r.weight_snr for r in found]
        return sum(min(level, 200.0) for level in levels) / max(len(levels), 1)  # infinite ones count as 200 dB

    return max(modes, key=quality)


@dataclass(frozen=True)
class _Demand:
    """What a plan must meet: a budget or a floor, for a model of a size."""

    size: int
    budget: float | None
    floor: float | None

    def best(self, plans: Sequence[Configuration], measured: Mapping[Configuration, Record], runner: _Runner) -> Record:
        """Return the best of some plans, given those that are measured."""

        def measure(configuration: Configuration) -> Record:
            return runner.run([configuration])[0]

        if self.budget is not None:
            most = self.budget * self.size if self.budget <= 1 else self.budget
            return planning.within_budget(plans, measure, most, measured)
        assert self.floor is not None
        first = runner.known[0]
        if first.agreement is None:
            raise UsageError("the model has no labels, so that no accuracy can be kept", where="floor")
        figure = "accuracy" if first.accuracy is not None else "agreement"
        return planning.above_floor(plans, measure, self.floor, figure, measured)


def _plan(
    demand: _Demand,
    measured: Sequence[Record],
    runner: _Runner,
    layers: Sequence[str],
    bits: Sequence[int],
    modes: Sequence[str],
) -> Record:
    """Search for a plan, given the records of the sweep."""
    mode = _best_mode(measured, modes)
    alone = runner.run([c for c in _sensitivity(bits, mode, layers) if c.kind == "only" and c.bits < 16])
    swept = {
        planning.uniform(record.configuration, layers): record
        for record in measured
        if record.configuration.kind == "sweep" and record.configuration.bits < 32
    }
    return demand.best(planning.frontier(planning.choices(alone, demand.size)), swept, runner)


class _Counted:
    """Counts the samples that go through it, and sees whether any has a true label."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples, self.count, self.labelled = samples, 0, False

    def __iter__(self) -> Any:
        for sample in self._samples:
            self.count += 1
            self.labelled = self.labelled or sample.label is not None
            yield sample


@dataclass
class _Runner:
    """Evaluates configurations that the journal does not know yet."""

    journal: Journal
    packed: bytes
    source: Source
    context: dict[str, Any]
    scores: tuple[str, ...]
    top: tuple[int, ...] | None
    select: tuple[str, ...]
    executor: Executor | None
    progress: Callable[[int, int], None] | None
    _asked: dict[str, None] = field(default_factory=dict)

    def run(self, configurations: Sequence[Configuration]) -> list[Record]:
        """Return the records of the configurations, in their order."""
        keys = [identity(configuration, self.context) for configuration in configurations]
        self._asked.update(dict.fromkeys(keys))
        missing = [
            (key, configuration)
            for key, configuration in zip(keys, configurations, strict=True)
            if key not in self.journal.found
        ]
        self._report()
        context = identity(Configuration("sweep"), self.context)
        tasks = (
            Task(self.packed, self.source, context, configuration, self.scores, self.top, self.select)
            for _, configuration in missing
        )
        for number, record in as_finished(self.executor, evaluate, tasks):
            self.journal.add(missing[number][0], record)
            self._report()
        return [self.journal.found[key] for key in keys]

    def _report(self) -> None:
        if self.progress is not None:
            self.progress(sum(key in self.journal.found for key in self._asked), len(self._asked))

    @property
    def known(self) -> list[Record]:
        """All requested records."""
        return [self.journal.found[key] for key in self._asked]
