"""``refcoreml conformance``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.progress import Progress

from refcoreml.cli.console import check_target, errors, out, table
from refcoreml.comparison.tables import write_file
from refcoreml.conformance import report
from refcoreml.conformance.cases import find_cases
from refcoreml.conformance.expectations import read_expectations
from refcoreml.conformance.runner import Command, Implementation, PythonSession, Result, run_cases
from refcoreml.errors import UsageError

PROFILES = ("fp32", "fp16/acc32", "fp16/acc16")

_EPILOG = """\
The command is called once a case. In it stand {case} for the case's folder, {model} for its model, {inputs} for a
folder with its inputs as NAME.npy, and {out} for the folder into which it is to write its outputs as NAME.npy. It ends
with 0 if it returned outputs, 1 if it rejected the model or the inputs, 2 if it does not support them; anything else is
a crash. Where a case asks for several runs ("repeat": 2), the command predicts as often and writes the last outputs.

exit codes: 0 nothing failed, 1 something failed, 2 wrong arguments

examples:
  refcoreml conformance run --command "myimpl {model} {inputs} {out}" --profile fp16/acc32
  refcoreml conformance run --python conformance/sessions/refcoreml_float32.py
  refcoreml conformance run --python mine.py "convolution/*" pooling --expected known.txt --html report.html
"""


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    top = commands.add_parser(
        "conformance", help="hold an implementation of Core ML against cases with proven tolerances"
    )
    parser = top.add_subparsers(title="commands", metavar="COMMAND", required=True).add_parser(
        "run",
        help="run the cases",
        description="Runs an implementation of Core ML on cases whose outputs are known with proven tolerances.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "patterns", nargs="*", metavar="CASE", help="cases, such as convolution or 'pooling/max-*' (all)"
    )
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--command", metavar="TEXT", help="a command line, see below")
    who.add_argument(
        "--python", metavar="SESSION", help="a file or module with prepare(model) -> session(inputs) -> outputs"
    )
    parser.add_argument(
        "--cases",
        type=Path,
        default=Path("conformance/cases"),
        metavar="FOLDER",
        help="where the cases are (conformance/cases)",
    )
    parser.add_argument("--profile", choices=PROFILES, default="fp32", help="in what it claims to compute (fp32)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="cases at a time (2)")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="S", help="seconds that a case may take (30)")
    parser.add_argument(
        "--expected", type=Path, metavar="FILE", help="known failures: lines of 'pattern | reason', strict"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a report as JSON")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write a report as JUnit XML")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a report as a page")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Runs the command."""
    for target in (options.json, options.junit, options.html):
        check_target(target)
    if options.jobs < 1 or not options.timeout > 0:
        raise UsageError("--jobs must be 1 or more, and --timeout above 0")
    expectations = read_expectations(options.expected) if options.expected else []
    folders = find_cases(options.cases, options.patterns)
    if not folders:
        raise UsageError(
            f"no case{' fits ' + ' or '.join(options.patterns) if options.patterns else ''}",
            where=str(options.cases),
            remedy="Cases come with the repository, not with the package; name their folder with --cases",
        )
    results: list[Result] = []
    with Progress(console=errors, transient=True) as progress:
        task = progress.add_task("cases", total=len(folders))
        for result in run_cases(
            folders,
            _maker(options),
            options.profile,
            jobs=options.jobs,
            timeout=options.timeout,
            expectations=expectations,
        ):
            results.append(result)
            progress.advance(task)
    results.sort(key=lambda result: result.id)
    unused = report.unused_expectations(results, expectations) if not options.patterns else []
    _show(results, options.profile, unused)
    about = {"implementation": options.command or options.python, "profile": options.profile}
    for target, write in (
        (options.json, report.as_json),
        (options.junit, report.as_junit),
        (options.html, report.as_html),
    ):
        if target is not None:
            write_file(write(results, about).encode(), target)
    return 1 if unused or any(result.bad for result in results) else 0


def _maker(options: argparse.Namespace) -> Callable[[], Implementation]:
    if options.command:
        Command(options.command)  # refuses a wrong one before anything runs
        return lambda: Command(options.command)
    if options.python.endswith(".py") and not Path(options.python).is_file():
        raise UsageError("there is no such file", where=options.python)
    return lambda: PythonSession(options.python)


def _show(results: list[Result], profile: str, unused: list[str]) -> None:
    rows = table(
        f"family, {profile}", *report.STATUSES, "worst error / bound", right=(*report.STATUSES, "worst error / bound")
    )
    for name, counts, worst in report.by_family(results):
        rows.add_row(name, *(str(counts[status] or "") for status in report.STATUSES), f"{worst:.3g}")
    out.print(rows)
    failed = [result for result in results if result.bad]
    for result in failed[:20]:
        errors.print(f"{result.status}: {result.id}: {result.message}", markup=False, soft_wrap=True)
    if len(failed) > 20:
        errors.print(f"and {len(failed) - 20} more")
    for pattern in unused:
        errors.print(f"the list of known failures names {pattern!r}, which fits no case", markup=False)
