"""Does the suite catch bugs? Injects faults into the interpreter, one at a time, and runs the cases that could notice.

    python -m conformance.mutations                  all faults
    python -m conformance.mutations --only lstm      those whose name contains a text
    python -m conformance.mutations --json FILE --markdown FILE

The faults are in `conformance.faults`. A case catches one if it fails under the profile fp32. Claims are held against
this: where a fault breaks a clause (`conformance.broken`), a case that claims the clause must catch it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import refcoreml
from conformance.broken import broken_by
from conformance.faults import MUTATIONS, Mutation
from conformance.sessions.custom_layers import LAYERS
from refcoreml.conformance.cases import Case, find_cases, read_case
from refcoreml.conformance.verify import Judgement, judge

CASES = Path(__file__).resolve().parent / "cases"
Array = NDArray[Any]


@dataclass(frozen=True)
class Report:
    """What became of a fault.

    Attributes:
        cases: how many ran.
        caught: those that caught it, by how they failed.
        clauses: those that it breaks.
        unnoticed: those of them that no case claims that caught it.
    """

    mutation: Mutation
    cases: int
    caught: dict[str, str]
    clauses: Sequence[str] = ()
    unnoticed: Sequence[str] = ()

    @property
    def found(self) -> bool:
        return bool(self.caught)


@cache
def _suite(root: Path) -> list[tuple[Case, dict[str, Array]]]:
    cases = [read_case(folder) for folder in find_cases(root, without=["mil"])]
    return [(case, case.read_inputs()) for case in cases if case.verdict == "returns" and case.supports("fp32")]


def run_case(case: Case, inputs: dict[str, Array]) -> Judgement:
    """Return a case in this process, with refcoreml in single precision."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = refcoreml.load(str(case.model), custom_layers=LAYERS)
            outputs = [model.predict(inputs) for _ in range(case.repeat)][-1]
    except refcoreml.InternalError as error:
        return Judgement("crash", str(error))
    except refcoreml.RefCoreMLError as error:
        return Judgement("fail", f"rejected: {error}")
    return judge(case, "returned", outputs.__getitem__, "fp32")


def study(mutation: Mutation, root: Path = CASES) -> Report:
    """Run all cases that have one of the fault's layers."""
    concerned = [(case, inputs) for case, inputs in _suite(root) if set(case.layers) & set(mutation.kinds)]
    caught, noticed = {}, set()
    with mutation.inject(), np.errstate(all="ignore"):
        for case, inputs in concerned:
            judgement = run_case(case, inputs)
            if judgement.status not in ("pass", "suspicious", "undetermined"):
                caught[case.id] = judgement.status
                noticed |= set(case.clauses) if judgement.status == "fail" else set()
    clauses = broken_by(mutation)
    return Report(mutation, len(concerned), caught, clauses, [label for label in clauses if label not in noticed])


def honest(mutation: Mutation, root: Path = CASES) -> list[str]:
    """Return the cases that fail without any fault; there should be none."""
    suite = [(case, inputs) for case, inputs in _suite(root) if set(case.layers) & set(mutation.kinds)]
    return [case.id for case, inputs in suite if run_case(case, inputs).status != "pass"]


def markdown(reports: Sequence[Report]) -> str:
    """Return a table: each fault, how many cases caught it, and the first of them."""
    found, seen = sum(r.found for r in reports), [r for r in reports if not r.found]
    broken = {label for r in reports for label in r.clauses}
    unnoticed = sorted({label for r in reports for label in r.unnoticed})
    lines = [
        "# Mutation study",
        "",
        f"{len(reports)} faults injected into the interpreter, one at a time: {found} caught"
        f" ({100 * found / len(reports):.1f} %). Written by `python -m conformance.mutations --markdown FILE`.",
        "",
        f"They break {len(broken)} of the [clauses](conformance-clauses.md) that cases claim to check. "
        + (f"Not caught by any case that claims it: {', '.join(unnoticed)}." if unnoticed else "")
        + ("" if unnoticed else "For each broken clause, a case that claims it fails."),
        "",
        "Not caught:" if seen else "All are caught.",
        "",
    ]
    lines += [f"- {r.mutation.name}: {r.mutation.unseen or 'UNEXPLAINED'}." for r in seen] + ([""] if seen else [])
    lines += ["| fault | clauses | cases | caught by | for example |", "|---|---|---:|---:|---|"]
    for r in reports:
        example = next((f"`{name}`" for name, status in r.caught.items() if status == "fail"), "") or (
            f"`{next(iter(r.caught))}`" if r.caught else "none"
        )
        labels = _short(r.clauses)
        lines.append(f"| {r.mutation.name} | {labels} | {r.cases} | {len(r.caught)} | {example} |")
    return "\n".join(lines) + "\n"


def _short(labels: Sequence[str]) -> str:
    """Labels, of many the first ones."""
    return ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, default=CASES, metavar="FOLDER")
    parser.add_argument("--only", default="", metavar="TEXT", help="faults whose name contains this")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    started, reports = time.perf_counter(), []
    for mutation in MUTATIONS:
        if options.only in mutation.name:
            reports.append(study(mutation, options.cases))
            statuses = Counter(reports[-1].caught.values())
            for label in reports[-1].unnoticed:
                print(f"CLAIM     {label} is broken, and no case that claims it notices")
            flag = "caught" if reports[-1].found else "explained" if mutation.unseen else "MISSED"
            print(f"{flag:9} {len(reports[-1].caught):4} of {reports[-1].cases:4}  {mutation.name}  {dict(statuses)}")
    found = sum(report.found for report in reports)
    print(f"{found} of {len(reports)} faults caught, in {time.perf_counter() - started:.0f} s")
    if options.json:
        rows = [
            {
                "fault": r.mutation.name,
                "layers": r.mutation.kinds,
                "clauses": r.clauses,
                "unnoticed": r.unnoticed,
                "cases": r.cases,
                "caught": r.caught,
                "unseen": r.mutation.unseen,
            }
            for r in reports
        ]
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(markdown(reports), encoding="utf-8")
    return 1 if any(r.unnoticed or (not r.found and not r.mutation.unseen) for r in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
