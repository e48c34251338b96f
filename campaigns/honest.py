"""How often honest implementations leave their likely bounds, and how wide these are: the study of docs/judge.md.

    REFCOREML_MODELS=folder python -m campaigns.honest --record study.jsonl

Each value of each model, in each profile, is computed by implementations that differ in the order of sums, in formulas
and in where they round, and by other runtimes where they are installed; all are honest, so that each one outside is a
false alarm.

Every model in a profile that is done is a line of the record; the same command goes on after the last one, and a whole
record is read to print the tables alone. A model has a budget of seconds, after which it is left where it is: what was
judged until then counts, and the table marks it. The study may end after a number of hours, too.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from campaigns.honest_networks import Case, cases, random_cases, runtime_cases, shared_cases
from campaigns.honest_runs import IMPLEMENTATIONS
from refcoreml.errors import RefCoreMLError
from refcoreml.judge import Ensemble, LikelyBound
from refcoreml.types import Array

__all__ = ["Record", "Row", "judged", "main", "study", "tables"]


@dataclass
class Row:
    """What was found for a model in a profile.

    Attributes:
        name, profile: which.
        source, seed: where the model is from, and that of its weights.
        inputs: how many inputs were judged to the end.
        judged: how many values, of all layers and implementations.
        outputs: those of them that are outputs of the model.
        alarms: those with a number outside.
        undetermined: values with a number that has no bound.
        bound: the largest bound at the outputs, in turn for each output and input.
        error: the largest honest error there.
        noise: the largest relative noise at an output.
        found: what was outside, in words.
        seconds: how long it took.
        problem: why not all inputs were judged; empty if they were.
    """

    name: str
    profile: str
    source: str = ""
    seed: int = 0
    inputs: int = 0
    judged: int = 0
    outputs: int = 0
    alarms: int = 0
    undetermined: int = 0
    bound: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    noise: float = 0.0
    found: list[str] = field(default_factory=list)
    seconds: float = 0.0
    problem: str = ""

    @property
    def ratio(self) -> float:
        """The bound in terms of the largest honest error, both largest of all inputs."""
        return max(self.bound, default=0.0) / max(self.error, default=0.0) if max(self.error, default=0.0) else 0.0

    def judge(self, name: str, bound: LikelyBound, actual: Array, what: str) -> float:
        """Judge a value; return its largest error where there are bounds."""
        y = np.asarray(actual, np.float64)
        self.judged += 1
        explained = bound.explains(y)
        if not explained.all():
            self.alarms += 1
            with np.errstate(all="ignore"):
                farthest = np.nanmax(np.where(explained, 0, np.abs(y - bound.value) / bound.radius))
            self.found.append(
                f"{what}: {name} {bound.step}: {(~explained).sum()} of {y.size}, {farthest:.2f} bounds off"
            )
        with np.errstate(all="ignore"):
            error = np.abs(y - bound.value)
        known = bound.determined & np.isfinite(error)
        return float(error[known].max(initial=0.0))


def study(case: Case, row: Row, seed: int, others: Sequence[str], deadline: float = math.inf) -> bool:
    """Judge all values of a model on inputs of a seed; return whether that was done by the time of `time.monotonic`."""
    rng = np.random.default_rng(seed)
    inputs = case.inputs(rng)
    ensemble = Ensemble(case.model, row.profile, seed=seed)
    traces = {name: IMPLEMENTATIONS[name].trace(case.model, inputs, row.profile) for name in others}
    events = {name: next(trace) for name, trace in traces.items()}
    outputs = {feature.name for feature in case.model.outputs}
    ends: dict[str, tuple[float, float]] = {}
    for value, bound, step in ensemble.trace(inputs):
        if time.monotonic() > deadline:
            return False
        row.undetermined += not bound.determined.all()
        errors = []
        for name, trace in traces.items():
            while events[name].step.where != step.where:
                events[name] = next(trace)
            made = events[name].outputs[step.outputs.index(value)]
            errors.append(row.judge(value, bound, getattr(made, "array", made), f"{name}, inputs {seed}"))
        if value in outputs:
            row.outputs += len(errors)
            known = bound.determined
            ends[value] = float(bound.radius[known].max(initial=0.0)), max(errors, default=0.0)
            row.noise = max(row.noise, bound.noise)
    _judge_runtimes(case, row, inputs, seed, ends)
    for radius, error in ends.values():
        row.bound.append(radius)
        row.error.append(error)
    row.inputs += 1
    return True


def _judge_runtimes(
    case: Case, row: Row, inputs: dict[str, Any], seed: int, ends: dict[str, tuple[float, float]]
) -> None:
    wanted = {name: run for (name, profile), run in case.runtimes.items() if profile == row.profile}
    if not wanted:
        return
    bounds = Ensemble(case.model, row.profile, seed=seed).bounds(inputs)
    for name, run in wanted.items():
        for output, actual in run(inputs).items():
            if output in bounds and not isinstance(actual, str | dict):
                bound = bounds[output]
                y = np.asarray(actual).reshape(bound.value.shape)
                error = row.judge(output, bound, y, f"{name}, inputs {seed}")
                row.outputs += 1
                radius = float(bound.radius[bound.determined].max(initial=0.0))
                ends[output] = radius, max(error, ends.get(output, (0.0, 0.0))[1])


#: A bound is useful if it is at most so many times the largest honest error.
MOST = 30.0
#: Where models are from.
SOURCES = ("written", "random", "known", "folder")


def _all(sources: Sequence[str], seeds: int, random: int, chosen: str) -> Iterator[tuple[str, int, Case]]:
    for seed in range(seeds) if "written" in sources else ():
        yield from (("written", seed, case) for case in cases(seed) if chosen in case.name)
    others = {"random": random_cases(random, chosen), "known": runtime_cases(chosen), "folder": shared_cases(chosen)}
    for source, found in others.items():
        if source in sources:
            yield from ((source, 0, case) for case in found)


class Record:
    """The rows that are done, one JSON object a line, after a line of the settings that they depend on."""

    def __init__(self, path: Path | None, settings: dict[str, Any]) -> None:
        """Read what there is.

        Raises:
            SystemExit: the record is of other settings, whose rows would be mixed with these.
        """
        self._path = path
        self.rows: dict[tuple[str, int, str, str], Row] = {}
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path and path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]  # the last one may have been cut off
        if whole and json.loads(whole[0]) != settings:
            raise SystemExit(f"{path}: is a record of {whole[0].strip()}, expected {json.dumps(settings)}")
        for line in whole[1:]:
            self._note(Row(**json.loads(line)))
        if path:
            path.write_text("".join(whole) or json.dumps(settings) + "\n", encoding="utf-8")

    def _note(self, row: Row) -> None:
        self.rows[row.source, row.seed, row.name, row.profile] = row

    def add(self, row: Row) -> None:
        """Note a row, and write it at once."""
        self._note(row)
        if self._path:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(row)) + "\n")


def judged(
    source: str, seed: int, case: Case, profile: str, inputs: int, implementations: Sequence[str], budget: float
) -> Row:
    """Judge a model in a profile on several inputs, as many as are done within a budget of seconds."""
    row, begin = Row(case.name, profile, source, seed), time.monotonic()
    for index in range(inputs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                if not study(case, row, 1000 * seed + index, implementations, begin + budget):
                    row.problem = f"more than {budget:.0f} s"
                    break
            except RefCoreMLError as error:
                row.problem = str(error)
    row.seconds = round(time.monotonic() - begin, 1)
    return row


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; print tables, and what was outside; return 1 if more was than is stated."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.honest", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="sets of weights")
    parser.add_argument("--inputs", type=int, default=4, help="inputs of each model")
    parser.add_argument("--random", type=int, default=20, help="networks of the grammar")
    parser.add_argument("--sources", nargs="*", default=list(SOURCES), choices=SOURCES, help="where models are from")
    parser.add_argument("--only", default="", help="models whose name contains this")
    parser.add_argument("--implementations", nargs="*", default=list(IMPLEMENTATIONS), choices=list(IMPLEMENTATIONS))
    parser.add_argument("--budget", type=float, default=600.0, help="seconds for each model in a profile")
    parser.add_argument("--hours", type=float, default=math.inf, help="no model is begun after so many hours")
    parser.add_argument("--record", type=Path, help="a file of all figures, from which the study goes on")
    given = parser.parse_args(arguments)
    settings = {"inputs": given.inputs, "implementations": given.implementations, "budget": given.budget}
    record, begin = Record(given.record, settings), time.monotonic()
    print(_HEAD, flush=True)
    for source, seed, case in _all(given.sources, given.seeds, given.random, given.only):
        for profile in case.profiles:
            row = record.rows.get((source, seed, case.name, profile))
            if row is None:
                if time.monotonic() - begin > given.hours * 3600:
                    continue
                row = judged(source, seed, case, profile, given.inputs, given.implementations, given.budget)
                record.add(row)
            print(_line(row), *row.found, sep="\n    ", flush=True)
    rows = list(record.rows.values())
    print("", *tables(rows), sep="\n")
    values, alarms = sum(row.judged for row in rows), sum(row.alarms for row in rows)
    return int(alarms > max(1, values * 1e-4))


_HEAD = (
    "| model | profile | inputs | values judged | outside | largest error | bound | bound / error | noise | s | left |"
    + "\n"
    + "|---" * 11
    + "|"
)


def _line(row: Row) -> str:
    error, bound = max(row.error, default=0.0), max(row.bound, default=0.0)
    figures = f"{row.judged} | {row.alarms} | {error:.2g} | {bound:.2g} | {row.ratio:.1f} | {row.noise:.1g}"
    return f"| {row.name} | {row.profile} | {row.inputs} | {figures} | {row.seconds} | {row.problem} |"


def tables(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the table of docs/judge.md, by source and profile, and what is above 30."""
    yield "| models | profile | values judged | outputs | outside | bound / error: median | at most 30 | left |"
    yield "|---" * 8 + "|"
    for source in SOURCES:
        for profile in sorted({row.profile for row in rows if row.source == source}):
            found = [row for row in rows if (row.source, row.profile) == (source, profile)]
            yield f"| {source} | {profile} | {_counts(found)} |"
    yield f"| all | | {_counts(rows)} |"
    above = sorted((row for row in rows if row.ratio > MOST), key=lambda row: -row.ratio)
    yield "\nAbove 30: " + (", ".join(f"{row.name} in {row.profile} ({row.ratio:.0f})" for row in above) or "none")


def _counts(rows: Sequence[Row]) -> str:
    values, outputs, alarms = (sum(getattr(row, name) for row in rows) for name in ("judged", "outputs", "alarms"))
    ratios = [row.ratio for row in rows if row.ratio]
    median = f"{np.median(ratios):.1f}" if ratios else ""
    near, left = sum(ratio <= MOST for ratio in ratios), sum(bool(row.problem) for row in rows)
    return f"{values:,} | {outputs:,} | {alarms} | {median} | {near} of {len(ratios)} | {left}"


if __name__ == "__main__":
    raise SystemExit(main())
