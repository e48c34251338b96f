"""``refcoreml conformance``."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.progress import Progress

from refcoreml.cli.console import check_target, errors, nonempty, nonempty_path, out, progress
from refcoreml.cli.exits import SMOKE_FAILED
from refcoreml.conformance import report
from refcoreml.conformance.cases import CaseError, find_cases, read_case
from refcoreml.conformance.expectations import read_expectations
from refcoreml.conformance.runner import (
    PROGRAM_SMOKE,
    SMOKE,
    Command,
    Implementation,
    PythonSession,
    Result,
    run_cases,
)
from refcoreml.errors import UsageError
from refcoreml.oracle.profiles import PROFILES
from refcoreml.reporting.tables import Table
from refcoreml.storage.writing import write_file

#: The longest timeout, a day, in seconds.
_LONGEST = 86400
#: The most cases at a time: each takes two processes.
_MOST_JOBS = 256
_WHERE_CASES_ARE = "Cases come with the repository, not with the package; name their folder with --cases"

_EPILOG = """\
The command runs once per case. Placeholders in it: {case} is the case's folder, {model} its model, {inputs} a folder
with its inputs as NAME.npy, and {out} the folder for outputs as NAME.npy. Its exit codes: 0 outputs returned,
1 model or inputs rejected, 2 not supported; anything else is a crash. Where a case of a network requires several runs
("repeat": 2), the command predicts that many times and writes the last outputs. Where a case of an ML Program has
several steps, {inputs} and {out} have a folder for each, 0, 1, ...: the command predicts in this order, with one state.
{function} is the function that predicts, nothing for the one that the model says.

A smoke case, a ReLU, runs first: a network or, if no network is among the cases, an ML Program. If its output is wrong
or missing, the command or session does not work, and nothing else runs; for an implementation without ReLU choose
another: --smoke innerProduct/vector/integers.

exit codes: 0 nothing failed, 1 something failed, too little passed or nothing was returned, 2 wrong arguments,
            6 the smoke case was not returned correctly

examples:
  refcoreml conformance run --command "myimpl {model} {inputs} {out}" --profile fp16/acc32
  refcoreml conformance run --python conformance/sessions/refcoreml_float32.py
  refcoreml conformance run --python mine.py "convolution/*" pooling --expected known.txt --html report.html
  refcoreml conformance run --python mine.py mil --profile declared
  refcoreml conformance run --python mine.py --without mil
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    top = commands.add_parser("conformance", help="test an implementation of Core ML on cases with proven tolerances")
    parser = top.add_subparsers(title="commands", metavar="COMMAND", required=True).add_parser(
        "run",
        help="run the cases",
        description="Run an implementation of Core ML on cases with reference outputs and proven tolerances: neural"
        " networks and, in the folder mil, ML Programs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "patterns", nargs="*", metavar="CASE", help="cases, such as convolution or 'pooling/max-*' (all)"
    )
    parser.add_argument(
        "--without", action="append", default=[], metavar="CASE", help="cases to leave out, such as mil; repeatable"
    )
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--command", type=nonempty, metavar="TEXT", help="a command line, see below")
    who.add_argument(
        "--python",
        type=nonempty,
        metavar="SESSION",
        help="a file or module with prepare(model) -> session(inputs) -> outputs",
    )
    parser.add_argument(
        "--cases",
        type=nonempty_path,
        default=Path("conformance/cases"),
        metavar="FOLDER",
        help="where the cases are (conformance/cases)",
    )
    parser.add_argument(
        "--profile",
        choices=tuple(dict.fromkeys((*PROFILES, "declared"))),
        default="fp32",
        help="the arithmetic that it claims to use (fp32); declared: that of ML Programs, as they say",
    )
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="cases at a time (2)")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="S", help="seconds that a case may take (30)")
    parser.add_argument(
        "--expected", type=nonempty_path, metavar="FILE", help="known failures: lines of 'pattern | reason', strict"
    )
    parser.add_argument(
        "--min-pass", metavar="N", help="fail if fewer cases pass: a number, or a share of those that ran such as 95%%"
    )
    parser.add_argument(
        "--smoke", type=nonempty, metavar="CASE", help="the case that runs first (a ReLU, in the package)"
    )
    parser.add_argument(
        "--specification",
        type=nonempty,
        metavar="URL",
        help="where the pages of the specification are, for links in reports (docs/specification near the cases)",
    )
    parser.add_argument("--json", type=nonempty_path, metavar="FILE", help="write a report as JSON")
    parser.add_argument("--junit", type=nonempty_path, metavar="FILE", help="write a report as JUnit XML")
    parser.add_argument("--html", type=nonempty_path, metavar="FILE", help="write a report as a page")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    for target in (options.json, options.junit, options.html):
        check_target(target)
    if not 1 <= options.jobs <= _MOST_JOBS:
        raise UsageError(f"must be 1 to {_MOST_JOBS}, got {options.jobs}", where="--jobs")
    if not 0 < options.timeout <= _LONGEST:
        raise UsageError(f"must be above 0 and at most {_LONGEST:,}, got {options.timeout:g}", where="--timeout")
    expectations = read_expectations(options.expected) if options.expected else []
    if not options.cases.is_dir():
        raise UsageError("there is no such folder", where=str(options.cases), remedy=_WHERE_CASES_ARE)
    folders = find_cases(options.cases, options.patterns, options.without)
    if not folders:
        raise UsageError(
            f"no case{' fits ' + ' or '.join(options.patterns) if options.patterns else ''}",
            where=str(options.cases),
            remedy=_WHERE_CASES_ARE,
        )
    least = report.Least("0" if options.min_pass is None else options.min_pass, len(folders))
    make = _maker(options)
    smoke = _run_smoke(options, make, folders)
    if smoke.status not in ("pass", "suspicious"):
        complaint = f"the smoke case {smoke.id} was not returned correctly, so nothing else was run"
        _write_reports(options, [smoke], [complaint])
        errors.print("[bold red]error:[/] ", end="")
        text = f"{complaint}: {smoke.status}{': ' * bool(smoke.message)}{smoke.message}"
        errors.print(text, markup=False, soft_wrap=True)
        return SMOKE_FAILED
    results: list[Result] = []
    with progress(*Progress.get_default_columns()) as bar:
        task = bar.add_task("cases", total=len(folders))
        for result in run_cases(
            folders,
            make,
            options.profile,
            jobs=options.jobs,
            timeout=options.timeout,
            expectations=expectations,
        ):
            results.append(result)
            bar.advance(task)
    if not results:
        what = "ML Programs" if options.profile == "declared" else "neural networks, and fp32 about ML Programs as well"
        problem = f"none of {len(folders)} cases is about this profile"
        raise UsageError(problem, where=f"--profile {options.profile}", remedy=f"It is about {what}")
    results.sort(key=lambda result: result.id)
    whole = not options.patterns and not options.without
    unused = report.unused_expectations(results, expectations) if whole else []
    complaints = [f"{pattern!r} in the list of known failures fits no case" for pattern in unused]
    complaints += filter(None, [report.nothing_returned(results), least.missed(results)])
    _show(results, options.profile, complaints)
    _write_reports(options, results, complaints)
    return 1 if complaints or any(result.bad for result in results) else 0


def _run_smoke(options: argparse.Namespace, make: Callable[[], Implementation], folders: list[Path]) -> Result:
    if options.smoke:
        chosen = find_cases(options.cases, [options.smoke])
    else:
        chosen = [SMOKE if options.profile != "declared" and any(map(_is_network, folders)) else PROGRAM_SMOKE]
    if len(chosen) != 1:
        raise UsageError(f"{options.smoke!r} fits {len(chosen)} cases, expected one", where="--smoke")
    results = list(run_cases(chosen, make, options.profile, jobs=1, timeout=options.timeout))
    if not results or results[0].verdict not in ("returns", ""):
        raise UsageError(f"{options.smoke!r} requires no outputs in {options.profile}", where="--smoke")
    if results[0].status == "undetermined":
        raise UsageError(f"{options.smoke!r} shows nothing: {results[0].message}", where="--smoke")
    return results[0]


def _is_network(folder: Path) -> bool:
    """Return whether a case is about a network, or damaged."""
    try:
        return not read_case(folder).opset
    except CaseError:
        return True


def _write_reports(options: argparse.Namespace, results: list[Result], complaints: list[str]) -> None:
    for target, text in (
        (options.json, report.as_json),
        (options.junit, report.as_junit),
        (options.html, report.as_html),
    ):
        if target is not None:
            pages = options.specification or _pages_near(options.cases, target)
            about = report.About(options.command or options.python, options.profile, complaints, pages)
            write_file(text(results, about).encode(), target)


def _pages_near(cases: Path, report: Path) -> str:
    """Return the way from a report to the specification's pages in the repository of the cases; empty without any."""
    for folder in cases.resolve().parents:
        pages = folder / "docs/specification"
        if pages.is_dir():
            with contextlib.suppress(ValueError):  # on another drive there is no way
                return Path(os.path.relpath(pages, report.resolve().parent)).as_posix()
    return ""


def _maker(options: argparse.Namespace) -> Callable[[], Implementation]:
    if options.command:
        Command(options.command)  # refuses a wrong one before anything runs
        return lambda: Command(options.command)
    if options.python.endswith(".py") and not Path(options.python).is_file():
        raise UsageError("there is no such file", where=options.python)
    return lambda: PythonSession(options.python)


def _show(results: list[Result], profile: str, complaints: list[str]) -> None:
    numbers = ("pass", "fail", "of bound")
    rows = Table(f"family, {profile}", *numbers, "other", right=numbers, folded=("other",))
    for name, counts, worst in report.by_family(results):
        rows.add_row(name, str(counts["pass"]), str(counts["fail"]), f"{worst:.3g}", _others(counts))
    out.print(rows)
    _, counts, worst = list(report.by_family(results))[-1]
    others = _others(counts)
    out.print(
        f"{len(results)} cases: {counts['pass']} pass, {counts['fail']} fail{', ' * bool(others)}{others}; "
        f"{sum(result.outcome == 'returned' for result in results)} returned outputs; "
        f"the largest error of those that pass is {worst:.3g} of its bound",
        soft_wrap=True,
    )
    failed = [result for result in results if result.bad]
    for result in failed[:20]:
        errors.print(f"{result.status}: {result.id}: {result.message}", markup=False, soft_wrap=True)
    if len(failed) > 20:
        errors.print(f"and {len(failed) - 20} more")
    for complaint in complaints:
        errors.print(f"failed: {complaint}", markup=False, soft_wrap=True)


def _others(counts: Mapping[str, int]) -> str:
    """Return the counts of what neither passed nor failed, as text, which may take several lines in a narrow table."""
    others = (status for status in report.STATUSES if status not in ("pass", "fail"))
    return ", ".join(f"{counts[status]} {status}" for status in others if counts[status])
