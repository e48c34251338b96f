"""Mutated models by the hundred thousand: ``python -m campaigns.fuzz_models --count 500000 --seed 1 --jobs 2``.

Each is either computed or refused with one of the package's own errors, within two seconds and the memory of a worker,
and `predict` agrees with `observe`, bit for bit. See `campaigns.checks` for what each model goes through.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from campaigns import workers
from campaigns.checks import Check, Finding, Tally, prepare_process
from campaigns.minimize import minimize
from campaigns.mutations import Mutator
from campaigns.seeds import Seeds, collect
from refcoreml.spec import schema

#: A run in which fewer models load, or predict, has not tried what it is meant to try.
LEAST_LOADED, LEAST_PREDICTED = 0.2, 0.15
#: What must have had a result at least once, in a run of so many models.
MUST_HAPPEN = ("inspect", "shapes", "predict", "observe", "trace", "weight_tensors", "quantize_weights", "preview")
ENOUGH = 2000


@dataclass(frozen=True)
class Found:
    """A finding and the model that shows it; ``rng`` is what its checks draw from, ``seed`` whose inputs it gets."""

    finding: Finding
    index: int
    data: bytes
    seed: str
    rng: str


@dataclass
class Report:
    """The outcome of a run, or of a chunk of it: the smallest model of each kind of finding, and counts."""

    tally: Tally = field(default_factory=Tally)
    found: dict[str, Found] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, found: Found, times: int = 1) -> None:
        """Add a finding; of several of one kind the smallest model is kept."""
        signature = found.finding.signature
        self.counts[signature] += times
        if signature not in self.found or len(found.data) < len(self.found[signature].data):
            self.found[signature] = found

    def add(self, other: Report) -> None:
        """Add the outcome of a chunk."""
        self.tally.add(other.tally)
        for signature, found in other.found.items():
            self.note(found, other.counts[signature])


def make_model(seeds: Seeds, seed: str, index: int) -> tuple[schema.Model, Mutator]:
    """Return the model of a number; the same in every process."""
    mutator = Mutator(seeds, random.Random(f"{seed}:{index}"))
    return mutator.make(), mutator


def make_work(seed: str, models: Path | None) -> workers.Work:
    """Return what a worker does: the models of a range."""
    prepare_process()
    seeds = collect(models)
    memory = workers.Memory()

    def work(chunk: range, begin: Callable[[int], None]) -> Report:
        report = Report()
        for index in chunk:
            begin(index)
            model, mutator = make_model(seeds, seed, index)
            rng = f"{seed}:{index}:check"
            check = Check(model, mutator.inputs, random.Random(rng))
            check.run()
            grown = memory.grown()
            if grown:
                check.report("memory", "grew", f"{grown >> 20} MiB; {check.outcomes}")
            _count(report.tally, check, mutator)
            for finding in check.findings:
                report.note(Found(finding, index, model.SerializeToString(), mutator.seed, rng))
        return report

    return work


def _count(tally: Tally, check: Check, mutator: Mutator) -> None:
    tally.models += 1
    tally.outcomes.update(check.outcomes)
    touched = set(mutator.touched) or {("none", "as the seed has it")}
    tally.touched.update(touched)
    if check.loaded:
        tally.loaded.update([("all", "all"), *touched])
    if check.predicted:
        tally.predicted.update([("all", "all"), *touched])


def run(count: int, seed: str, jobs: int, models: Path | None, say: Callable[[str], None] = print) -> Report:
    """Run a campaign; Ctrl-C ends it early, with what was found until then."""
    report, seeds = Report(), collect(models)
    started = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):
        _collect(report, workers.run(partial(make_work, seed, models), count, jobs), seeds, seed, count, say)
    say(_progress(report, count, time.monotonic() - started))
    return report


def _collect(
    report: Report, parts: Iterable[Any], seeds: Seeds, seed: str, count: int, say: Callable[[str], None]
) -> None:
    started = said = time.monotonic()
    for part in parts:
        if isinstance(part, workers.Ended):
            model, mutator = make_model(seeds, seed, part.index)
            finding = Finding("worker", part.how, part.detail)
            rng = f"{seed}:{part.index}:check"
            report.note(Found(finding, part.index, model.SerializeToString(), mutator.seed, rng))
            report.tally.models += 1
        else:
            report.add(part)
        if time.monotonic() - said > 15:
            said = time.monotonic()
            say(_progress(report, count, said - started))


def _progress(report: Report, count: int, seconds: float) -> str:
    done = max(1, report.tally.models)
    loaded, predicted = (group[("all", "all")] / done for group in (report.tally.loaded, report.tally.predicted))
    return (
        f"{report.tally.models:,} of {count:,} models in {seconds:.0f} s ({done / max(seconds, 1e-9):.0f}/s), "
        f"{loaded:.0%} loaded, {predicted:.0%} predicted, {len(report.found)} kinds of findings"
    )


def shown(found: Found, model: schema.Model, seeds: Seeds) -> list[Finding]:
    """Return what a model shows when everything is tried on it that its checks may draw."""
    inputs = next((seed.inputs for seed in (*seeds.small, *seeds.real) if seed.name == found.seed), {})
    check = Check(model, inputs, random.Random(found.rng), thorough=True)
    check.run()
    return check.findings


def smaller(found: Found, seeds: Seeds) -> Found:
    """Return the finding with a smaller model; unchanged if it does not recur, takes long or would end this process."""
    if found.finding.operation in ("worker", "memory") or "TimeUp" in found.finding.signature:
        return found
    signature = found.finding.signature

    def shows(model: schema.Model) -> bool:
        return any(finding.signature == signature for finding in shown(found, model, seeds))

    try:
        model = schema.Model.FromString(found.data)
    except DecodeError:  # messages lie deeper in one another than protobuf reads
        return found
    if not shows(model):
        return found
    return Found(found.finding, found.index, minimize(model, shows).SerializeToString(), found.seed, found.rng)


def save(report: Report, folder: Path, seeds: Seeds, say: Callable[[str], None] = print) -> None:
    """Write each kind of finding, minimized, as a model to replay and a text."""
    folder.mkdir(parents=True, exist_ok=True)
    for signature in report.found:
        found = smaller(report.found[signature], seeds)
        path = folder / (re.sub(r"[^A-Za-z0-9]+", "-", signature)[:120].strip("-") + ".mlmodel")
        path.write_bytes(found.data)
        about = {"signature": signature, "index": found.index, "seed": found.seed, "rng": found.rng}
        path.with_suffix(".json").write_text(json.dumps({**about, "detail": found.finding.detail}, indent=1) + "\n")
        say(f"  {report.counts[signature]} x {signature}: {path} ({len(found.data)} bytes)")


def replay(path: Path, seeds: Seeds, say: Callable[[str], None] = print) -> bool:
    """Try everything on a saved model, print the findings, and return whether there are any."""
    about: Mapping[str, Any] = {}
    if path.with_suffix(".json").exists():
        about = json.loads(path.with_suffix(".json").read_text())
    found = Found(
        Finding("replay", "", ""), -1, path.read_bytes(), str(about.get("seed", "")), str(about.get("rng", "replay"))
    )
    findings = shown(found, schema.Model.FromString(found.data), seeds)
    for finding in findings:
        say(f"{finding.signature}\n{finding.detail}")
    say(f"{path}: {len(findings)} findings")
    return bool(findings)


def table(report: Report) -> str:
    """Return what happened, by operation and by what was mutated."""
    tally = report.tally
    lines = [f"{'operation':28}{'outcome':32}{'models':>9}"]
    lines += [f"{name:28}{word:32}{times:9,}" for (name, word), times in sorted(tally.outcomes.items())]
    for title, place in ("mutation", 0), ("message mutated", 1):
        lines += ["", f"{title:40}{'models':>9}{'loaded':>9}{'predicted':>11}"]
        sums = [_by(group, place) for group in (tally.touched, tally.loaded, tally.predicted)]
        for name, times in sums[0].most_common(60):
            lines.append(f"{name:40}{times:9,}{sums[1][name] / times:9.0%}{sums[2][name] / times:11.0%}")
    return "\n".join(lines)


def _by(group: Counter[tuple[str, str]], place: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for key, times in group.items():
        found[key[place]] += times
    return found


def shortcomings(tally: Tally) -> list[str]:
    """Return why a run without findings would say nothing."""
    count = max(1, tally.models)
    found = []
    for name, group, least in ("load", tally.loaded, LEAST_LOADED), ("predict", tally.predicted, LEAST_PREDICTED):
        share = group[("all", "all")] / count
        if share < least:
            found.append(f"only {share:.0%} of the models {name}, expected at least {least:.0%}")
    if count >= ENOUGH:
        found += [f"{name} never had a result" for name in MUST_HAPPEN if not tally.outcomes[(name, "ok")]]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a campaign, or replays files; 0 only if there was no finding and enough was tried."""
    parser = workers.arguments("campaigns.fuzz_models", str(__doc__), "models")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE", help="try these models again instead")
    given = parser.parse_args(arguments)
    folder = os.environ.get("REFCOREML_MODELS")
    models = Path(folder) if folder else None
    if given.replay:
        prepare_process()
        seeds = collect(models)
        return int(any([replay(path, seeds) for path in given.replay]))
    report = run(given.count, given.seed, given.jobs, models)
    print(table(report))
    if report.found:
        print(f"\n{len(report.found)} kinds of findings:")
        prepare_process()
        save(report, given.output, collect(models))
    missing = shortcomings(report.tally)
    for line in missing:
        print(line)
    return int(bool(report.found or missing))


if __name__ == "__main__":
    sys.exit(main())
