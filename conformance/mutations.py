"""Does the suite catch bugs? Injects faults into the interpreter, one at a time, and runs the cases that could notice.

    python -m conformance.mutations                      all faults, of networks and of ML Programs
    python -m conformance.mutations --format programs    those of one of them
    python -m conformance.mutations --only lstm          those whose name contains a text
    python -m conformance.mutations --json FILE --markdown FILE

The faults are in `conformance.faults`. A case catches one if it fails under the profile fp32; of ML Programs under the
profile declared. A fault that changes no bit of any result is none, and is reported. Claims of networks are held
against this: where a fault breaks a clause (`conformance.broken`), a case that claims the clause must catch it.

Exit code 1: less than 97 % are caught, of either format; one that is missed has no reason, or changes nothing; a claim
does not hold.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import refcoreml
from conformance.broken import broken_by
from conformance.faults import MUTATIONS, Mutation
from conformance.sessions.custom_layers import LAYERS
from refcoreml.conformance.cases import Case, find_cases, read_case
from refcoreml.conformance.exchange import as_array
from refcoreml.conformance.verify import Judgement, judge

CASES = Path(__file__).resolve().parent / "cases"
#: The share of faults that must be caught, of networks and of ML Programs each.
LEAST = 0.97
Array = NDArray[Any]
#: What ran: a case, and the inputs of each of its steps.
Ready = tuple[Case, list[dict[str, Array]]]


@dataclass(frozen=True)
class Report:
    """What became of a fault.

    Attributes:
        cases: how many ran.
        caught: those that caught it, by how they failed.
        clauses: those that it breaks.
        unnoticed: those of them that no case claims that caught it.
        changed: how many cases caught it or, if none did, in how many any bit of a result was another.
    """

    mutation: Mutation
    cases: int
    caught: dict[str, str]
    clauses: Sequence[str] = ()
    unnoticed: Sequence[str] = ()
    changed: int = 1

    @property
    def found(self) -> bool:
        """Whether a case fails, not only because the injected code falls over."""
        return "fail" in self.caught.values()

    @property
    def problems(self) -> list[str]:
        """What is wrong with the suite, or with the fault."""
        claims = [f"{label} is broken, and no case that claims it notices" for label in self.unnoticed]
        if not self.changed:
            return [*claims, "it changes nothing"]
        return claims if self.found or self.mutation.unseen else [*claims, "it is missed without a reason"]


def _profile(program: bool) -> str:
    return "declared" if program else "fp32"


def _ready(folders: Sequence[Path], program: bool) -> list[Ready]:
    """Read cases; of ML Programs also those that must be refused, as the rules of operation sets differ in these."""
    verdicts = ("returns", "invalid", "malformed") if program else ("returns",)
    cases = [case for case in map(read_case, folders) if case.verdict in verdicts and case.supports(_profile(program))]
    return [(case, [step.read_inputs() for step in case.steps]) for case in cases]


@cache
def _networks(root: Path) -> list[Ready]:
    return _ready(find_cases(root, without=["mil"]), False)


@cache
def _programs(root: Path, kind: str) -> list[Ready]:
    return _ready(find_cases(root / "mil" / kind), True)


def _concerned(mutation: Mutation, root: Path) -> list[Ready]:
    """Return the cases that have one of the fault's layers; of ML Programs those that are about its operations."""
    if mutation.program:
        return [ready for kind in mutation.kinds for ready in _programs(root, kind)]
    return [ready for ready in _networks(root) if set(ready[0].layers) & set(mutation.kinds)]


def run_case(case: Case, inputs: Sequence[dict[str, Array]]) -> tuple[Judgement, bytes]:
    """Run a case in this process, a network in single precision, a program as it declares; hash its results, too."""
    program, outputs = case.format > 1, dict[str, Array]()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            options: dict[str, Any] = {"precision": "declared", "function": case.function} if program else {}
            model = refcoreml.load(str(case.model), custom_layers=LAYERS, **options)
            state = [model.make_state()] if program and model.states else []
            for step, given in zip(case.steps, inputs, strict=True):
                found = [model.predict(given, *state) for _ in range(case.repeat)][-1]
                outputs |= {output.place: as_array(output, found[output.name]) for output in step.outputs}
    except refcoreml.InternalError as error:
        return Judgement("crash", str(error)), b"crash"
    except refcoreml.RefCoreMLError as error:
        judgement = judge(case, "rejected", dict[str, Array]().__getitem__, _profile(program))
        return replace(judgement, message=f"rejected: {error}"), b"rejected"
    except Exception as error:  # a fault may make anything of it
        return Judgement("crash", f"{type(error).__name__}: {error}"), b"crash"
    bits = hashlib.sha256()
    for y in outputs.values():
        bits.update(str((y.dtype, y.shape)).encode() + y.tobytes())
    return judge(case, "returned", outputs.__getitem__, _profile(program)), bits.digest()


def study(mutation: Mutation, root: Path = CASES) -> Report:
    """Run all cases that have one of the fault's layers or operations."""
    concerned = _concerned(mutation, root)
    caught, noticed, hashes = {}, set(), []
    with mutation.inject(), np.errstate(all="ignore"):
        for case, inputs in concerned:
            judgement, bits = run_case(case, inputs)
            hashes.append(bits)
            if judgement.status not in ("pass", "suspicious", "undetermined"):
                caught[case.id] = judgement.status
                noticed |= set(case.clauses) if judgement.status == "fail" else set()
    changed = len(caught)
    if not caught:
        with np.errstate(all="ignore"):
            changed = sum(run_case(*ready)[1] != bits for ready, bits in zip(concerned, hashes, strict=True))
    clauses = broken_by(mutation)
    unnoticed = [label for label in clauses if label not in noticed]
    return Report(mutation, len(concerned), caught, clauses, unnoticed, changed)


def honest(mutation: Mutation, root: Path = CASES) -> list[str]:
    """Return the cases that fail without any fault; there should be none."""
    return [
        case.id
        for case, inputs in _concerned(mutation, root)
        if run_case(case, inputs)[0].status not in ("pass", "undetermined")
    ]


def markdown(reports: Sequence[Report]) -> str:
    """Return a page: each fault, how many cases caught it, and the first of them."""
    parts = {title: [r for r in reports if r.mutation.program is program] for title, program in _TITLES}
    lines = ["# Mutation study", "", "Written by `python -m conformance.mutations --markdown FILE`.", ""]
    for title, some in parts.items():
        if some:
            lines += ["", f"## {title}", "", *_section(some)]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


_TITLES = (("Networks", False), ("ML Programs", True))


def _section(reports: Sequence[Report]) -> list[str]:
    found, seen = sum(r.found for r in reports), [r for r in reports if not r.found]
    lines = [
        f"{len(reports)} faults injected into the interpreter, one at a time: {found} caught"
        f" ({100 * found / len(reports):.1f} %).",
        "",
    ]
    broken = {label for r in reports for label in r.clauses}
    if broken:
        unnoticed = sorted({label for r in reports for label in r.unnoticed})
        lines += [
            f"They break {len(broken)} of the [clauses](conformance-clauses.md) that cases claim to check. "
            + (f"Not caught by any case that claims it: {', '.join(unnoticed)}." if unnoticed else "")
            + ("" if unnoticed else "For each broken clause, a case that claims it fails."),
            "",
        ]
    lines += ["Not caught:" if seen else "All are caught.", ""]
    lines += [f"- {r.mutation.name}: {r.mutation.unseen or 'UNEXPLAINED'}." for r in seen] + ([""] if seen else [])
    columns = ["fault", *(["clauses"] if broken else []), "cases", "caught by", "for example"]
    lines += [f"| {' | '.join(columns)} |", f"|---|{'---|' if broken else ''}---:|---:|---|"]
    for r in reports:
        example = next((f"`{name}`" for name, status in r.caught.items() if status == "fail"), "") or (
            f"`{next(iter(r.caught))}`" if r.caught else "none"
        )
        labels = [_short(r.clauses)] if broken else []
        lines.append(f"| {' | '.join([r.mutation.name, *labels, str(r.cases), str(len(r.caught)), example])} |")
    return lines


def _short(labels: Sequence[str]) -> str:
    """Labels, of many the first ones."""
    return ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")


def _named(name: str, root: Path) -> Report:
    """Study a fault in another process; nothing that is pickled holds the fault itself."""
    report = study(next(mutation for mutation in MUTATIONS if mutation.name == name), root)
    return replace(report, mutation=replace(report.mutation, inject=nullcontext))


def studies(mutations: Sequence[Mutation], root: Path, jobs: int) -> Iterator[Report]:
    """Study faults in their order, in several processes."""
    if jobs == 1:
        yield from (study(mutation, root) for mutation in mutations)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        yield from pool.map(partial(_named, root=root), [mutation.name for mutation in mutations], chunksize=4)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, default=CASES, metavar="FOLDER")
    parser.add_argument("--format", choices=["networks", "programs", "all"], default="all", help="which faults")
    parser.add_argument("--only", default="", metavar="TEXT", help="faults whose name contains this")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many processes (default 2)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    wanted = {"networks": [False], "programs": [True], "all": [False, True]}[options.format]
    chosen = [each for each in MUTATIONS if options.only in each.name and each.program in wanted]
    started, reports = time.perf_counter(), list[Report]()
    for report in studies(chosen, options.cases, options.jobs):
        reports.append(report)
        for problem in report.problems:
            print(f"PROBLEM   {problem}:")
        flag = "caught" if report.found else "explained" if report.mutation.unseen else "MISSED"
        statuses = dict(Counter(report.caught.values()))
        print(f"{flag:9} {len(report.caught):4} of {report.cases:4}  {report.mutation.name}  {statuses}", flush=True)
    if not reports:
        parser.error("there is no such fault")
    shares = []
    for title, program in _TITLES:
        some = [report for report in reports if report.mutation.program is program]
        if some:
            found = sum(report.found for report in some)
            shares.append(found / len(some))
            print(f"{title}: {found} of {len(some)} faults caught, {100 * shares[-1]:.1f} %")
    print(f"in {time.perf_counter() - started:.0f} s")
    if options.json:
        rows = [
            {
                "fault": r.mutation.name,
                "format": "programs" if r.mutation.program else "networks",
                "kinds": r.mutation.kinds,
                "clauses": r.clauses,
                "unnoticed": r.unnoticed,
                "cases": r.cases,
                "changed": r.changed,
                "caught": r.caught,
                "unseen": r.mutation.unseen,
            }
            for r in reports
        ]
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(markdown(reports), encoding="utf-8")
    too_few = not options.only and min(shares) < LEAST
    return 1 if too_few or any(report.problems for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
