"""How good a judge is: ``python -m campaigns.judging.score --judge my_module:judge``.

A judge is a function of a `campaigns.judging.cases.Case` that returns (verdict, operation). Without outputs of a device
the case is a conversion, and the verdict ``equal``, ``different`` or ``undetermined``; with them it is ``rounding``
(they are within rounding of the model, and the model is that of the source where there is one), ``converter``,
``device`` or ``undetermined``. The operation is the name of one in the model, or of a result of it, or the path of a
module in the source; empty if none can be named.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from campaigns.judging.cases import Case, Prepared
from refcoreml.storage.writing import write_file

__all__ = ["Judge", "Score", "score"]

Judge: TypeAlias = Callable[[Case], tuple[str, str]]

#: The parts of faulty conversions that are to be refused and blamed rightly; of right ones none is to be refused.
REFUSED, BLAMED = 0.98, 0.95


@dataclass(frozen=True)
class Answer:
    """What a judge said about a case."""

    name: str
    kind: str
    expected: str
    verdict: str
    operation: str
    blamed: bool | None
    seconds: float

    @property
    def right(self) -> bool:
        """Whether the verdict is the expected one."""
        return self.verdict == self.expected


@dataclass(frozen=True)
class Score:
    """What a judge said about all cases."""

    answers: Sequence[Answer]

    def of(self, *verdicts: str) -> list[Answer]:
        """Return the answers to cases with one of these expected verdicts."""
        return [answer for answer in self.answers if answer.expected in verdicts]

    def holds(self) -> bool:
        """Return whether the judge is as good as required, in what it was given."""
        faulty, right = self.of("different"), self.of("equal")
        recorded = self.of("rounding", "converter", "device")
        refused = [answer for answer in faulty if answer.verdict == "different"]
        enough = len(refused) >= REFUSED * len(faulty) and _blamed(faulty) >= BLAMED * len(faulty)
        return enough and all(answer.right for answer in right) and all(answer.right for answer in recorded)

    def lines(self) -> list[str]:
        """Return a table: for each kind how many there are, how many of the verdicts and operations are right."""
        rows = [f"{'cases':>6} {'right':>6} {'unsure':>6} {'blamed':>6} {'of':>4} {'seconds':>8}  kind"]
        kinds = Counter((answer.expected, answer.kind) for answer in self.answers)
        for (expected, kind), count in sorted(kinds.items(), key=lambda item: (item[0][0], -item[1])):
            these = [answer for answer in self.of(expected) if answer.kind == kind]
            rows.append(_row(these, kind, count))
        for verdict in dict.fromkeys(answer.expected for answer in self.answers):
            rows.append(_row(self.of(verdict), f"all: {verdict}", len(self.of(verdict))))
        return rows


def _row(answers: Sequence[Answer], title: str, count: int) -> str:
    right, unsure = sum(a.right for a in answers), sum(a.verdict == "undetermined" for a in answers)
    named, seconds = sum(a.blamed is not None for a in answers), sum(a.seconds for a in answers)
    return f"{count:6} {right:6} {unsure:6} {_blamed(answers):6} {named:4} {seconds:8.1f}  {title}"


def _blamed(answers: Sequence[Answer]) -> int:
    return sum(bool(answer.blamed) and answer.right for answer in answers)


def score(judge: Judge, cases: Sequence[Prepared], show: Callable[[Answer], None] = lambda answer: None) -> Score:
    """Let a judge judge."""
    answers = []
    for prepared in cases:
        case, expected = prepared.make()
        start = time.perf_counter()
        try:
            verdict, operation = judge(case)
        except Exception as error:  # of a judge all counts
            verdict, operation = f"{type(error).__name__}: {error}", ""
        blamed = expected.blames(operation) if expected.operations else None
        seconds = time.perf_counter() - start
        answer = Answer(prepared.name, prepared.kind, expected.verdict, verdict, operation, blamed, seconds)
        answers.append(answer)
        show(answer)
    return Score(answers)


def _show(answer: Answer) -> None:
    if not answer.right or answer.blamed is False:
        said = f"{answer.verdict}{f', {answer.operation!r}' if answer.operation else ''}"
        print(f"{answer.name}: {said}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Score a judge, and return an exit code: 0 if it is as good as required."""
    from campaigns.judging.conversions import chosen, faulty, right
    from campaigns.judging.converted import quicken
    from campaigns.judging.networks import reseed
    from campaigns.judging.recorded import recorded

    groups = {"right": right, "faulty": faulty, "recorded": recorded}
    parser = argparse.ArgumentParser(prog="python -m campaigns.judging.score", description=__doc__.split(":")[0])
    parser.add_argument("--judge", default="campaigns.judging.baseline:judge", metavar="MODULE:FUNCTION")
    parser.add_argument("--group", action="append", choices=groups, help="only these cases; by default all")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases with this in their names")
    parser.add_argument("--share", type=int, default=1, metavar="N", help="every Nth case")
    parser.add_argument("--first", type=int, default=0, metavar="K", help="the number of the first case that counts")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="other parameters and inputs (default 0)")
    parser.add_argument("--json", metavar="FILE", help="write the answers there, too")
    options = parser.parse_args(arguments)
    quicken()
    reseed(options.seed)
    module, _, function = options.judge.partition(":")
    judge: Judge = getattr(importlib.import_module(module), function)
    cases = [case for name in options.group or groups for case in groups[name]()]
    found = score(judge, chosen(cases, options.only, options.share, options.first), _show)
    print("\n".join(found.lines()))
    if options.json:
        answers = [{**vars(answer), "right": answer.right} for answer in found.answers]
        write_file(f"{json.dumps(answers, indent=1)}\n".encode(), options.json)
    return 0 if found.answers and found.holds() else 1


if __name__ == "__main__":
    sys.exit(main())
