"""How often honest implementations leave their likely bounds, and how wide these are: the study of docs/judge.md.

    python -m campaigns.honest --seeds 4 --inputs 3

Each value of each model, in each profile, is computed by implementations that differ in the order of sums, in formulas
and in where they round, and by other runtimes where they are installed; all are honest, so that each one outside is a
false alarm.
"""

from __future__ import annotations

import argparse
import json
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

__all__ = ["Row", "main", "study"]


@dataclass
class Row:
    """What was found for a model in a profile.

    Attributes:
        name, profile: which.
        judged: how many values, of all layers and implementations.
        alarms: those with a number outside.
        undetermined: values with a number that has no bound.
        bound: the largest bound at the outputs, in turn for each output and input.
        error: the largest honest error there.
        noise: the largest relative noise at an output.
        found: what was outside, in words.
    """

    name: str
    profile: str
    judged: int = 0
    alarms: int = 0
    undetermined: int = 0
    bound: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    noise: float = 0.0
    found: list[str] = field(default_factory=list)

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


def study(case: Case, row: Row, seed: int, others: Sequence[str]) -> None:
    """Judge all values of a model on inputs of a seed."""
    rng = np.random.default_rng(seed)
    inputs = case.inputs(rng)
    ensemble = Ensemble(case.model, row.profile, seed=seed)
    traces = {name: IMPLEMENTATIONS[name].trace(case.model, inputs, row.profile) for name in others}
    events = {name: next(trace) for name, trace in traces.items()}
    outputs = {feature.name for feature in case.model.outputs}
    ends: dict[str, tuple[float, float]] = {}
    for value, bound, step in ensemble.trace(inputs):
        row.undetermined += not bound.determined.all()
        errors = []
        for name, trace in traces.items():
            while events[name].step.where != step.where:
                events[name] = next(trace)
            made = events[name].outputs[step.outputs.index(value)]
            errors.append(row.judge(value, bound, getattr(made, "array", made), f"{name}, inputs {seed}"))
        if value in outputs:
            known = bound.determined
            ends[value] = float(bound.radius[known].max(initial=0.0)), max(errors, default=0.0)
            row.noise = max(row.noise, bound.noise)
    _judge_runtimes(case, row, inputs, seed, ends)
    for radius, error in ends.values():
        row.bound.append(radius)
        row.error.append(error)


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
                radius = float(bound.radius[bound.determined].max(initial=0.0))
                ends[output] = radius, max(error, ends.get(output, (0.0, 0.0))[1])


#: Where models are from.
SOURCES = ("written", "random", "known", "folder")


def _all(sources: Sequence[str], seeds: int, random: int, chosen: str) -> Iterator[tuple[int, Case]]:
    for seed in range(seeds) if "written" in sources else ():
        yield from ((seed, case) for case in cases(seed) if chosen in case.name)
    others = {"random": random_cases(random, chosen), "known": runtime_cases(chosen), "folder": shared_cases(chosen)}
    for source, found in others.items():
        if source in sources:
            yield from ((0, case) for case in found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; print a table, and what was outside; return 1 if more was than is stated."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.honest", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="sets of weights")
    parser.add_argument("--inputs", type=int, default=2, help="inputs of each model")
    parser.add_argument("--random", type=int, default=20, help="networks of the grammar")
    parser.add_argument("--sources", nargs="*", default=list(SOURCES), choices=SOURCES, help="where models are from")
    parser.add_argument("--only", default="", help="models whose name contains this")
    parser.add_argument("--implementations", nargs="*", default=list(IMPLEMENTATIONS), choices=list(IMPLEMENTATIONS))
    parser.add_argument("--out", type=Path, help="a file for all figures, JSON")
    given = parser.parse_args(arguments)
    rows: dict[tuple[str, str], Row] = {}
    for seed, case in _all(given.sources, given.seeds, given.random, given.only):
        for profile in case.profiles:
            row = rows.setdefault((case.name, profile), Row(case.name, profile))
            for index in range(given.inputs):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    try:
                        study(case, row, 1000 * seed + index, given.implementations)
                    except RefCoreMLError as error:
                        print(f"{case.name}, {profile}: {error}", flush=True)
            print(_line(row), *row.found, sep="\n    ", flush=True)
            row.found.clear()
    judged, alarms = (sum(getattr(row, name) for row in rows.values()) for name in ("judged", "alarms"))
    models = len({name for name, _ in rows})
    ratios = [row.ratio for row in rows.values() if row.ratio]
    print(f"\n{models} models, {judged} values judged, {alarms} outside")
    print(f"bound / largest honest error: median {np.median(ratios):.1f}, 90 % {np.quantile(ratios, 0.9):.1f}")
    if given.out:
        given.out.write_text(json.dumps([asdict(row) for row in rows.values()], indent=1), encoding="utf-8")
    return int(alarms > max(1, judged * 1e-4))


def _line(row: Row) -> str:
    error, bound = max(row.error, default=0.0), max(row.bound, default=0.0)
    figures = f"{row.judged} | {row.alarms} | {error:.2g} | {bound:.2g} | {row.ratio:.1f} | {row.noise:.1g}"
    return f"| {row.name} | {row.profile} | {figures} |"


if __name__ == "__main__":
    raise SystemExit(main())
