"""``refcoreml study``."""

from __future__ import annotations

import argparse
import os
from concurrent.futures import Executor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from refcoreml.cli.compare import add_data_arguments, source, top_of
from refcoreml.cli.console import nonempty, out, progress
from refcoreml.cli.custom import add_custom_argument, register
from refcoreml.comparison.tasks import processes
from refcoreml.errors import UsageError
from refcoreml.model import load
from refcoreml.quantization.tensors import check_has_tensors
from refcoreml.reporting.plots import require_matplotlib
from refcoreml.studies import study

_EPILOG = """\
examples:
  refcoreml study Net.mlmodel --images photos/ --resize crop --bits 8,4,2 -o study/
  refcoreml study Net.mlmodel --data digits.npz --labels label --sensitivity 4 --jobs 2 -o study/
  refcoreml study Net.mlmodel --data digits.npz --labels label --floor 0.98 -o study/
  refcoreml study Net.mlmodel --images photos/ --resize fill --budget 20% -o study/

Writes report.html (a single file), study.csv, study.json, figures, and records.jsonl, from which an interrupted study
resumes.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "study",
        help="measure the effect of quantization: size, error, agreement; sensitivity of layers; a report",
        description="Measure the effect of quantizing a neural network's weights, and write a report."
        " Not for ML Programs yet.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=nonempty, metavar="MODEL", help="a .mlmodel file or .mlpackage folder")
    add_data_arguments(parser)
    add_custom_argument(parser)
    parser.add_argument(
        "--bits", type=_numbers, default=(8, 6, 4, 3, 2, 1), metavar="LIST", help="such as 8,4,2 (default 8,6,4,3,2,1)"
    )
    parser.add_argument(
        "--modes",
        type=lambda text: tuple(text.split(",")),
        default=("linear", "kmeans"),
        metavar="LIST",
        help="of linear, linear_symmetric, linear_lut, kmeans (default linear,kmeans)",
    )
    parser.add_argument(
        "--select",
        action="append",
        default=[],
        metavar="TERM",
        help="which weights to quantize: matrices, kind!=batchnorm, count>=4096 and so on; a tensor must match all",
    )
    parser.add_argument(
        "--sensitivity",
        type=_numbers,
        default=(),
        metavar="LIST",
        help="also quantize each layer alone, and all but one, with these bits, in the first mode",
    )
    goal = parser.add_mutually_exclusive_group()
    goal.add_argument("--budget", type=_budget, metavar="SIZE", help="search for the bits of each layer: bytes or 20%%")
    goal.add_argument("--floor", type=float, metavar="RATE", help="likewise, with at least this accuracy, such as 0.98")
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="number of processes, at most one per core (default 1)"
    )
    parser.add_argument("-o", "--output", type=nonempty, required=True, metavar="DIR", help="the folder to write to")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _budget(text: str) -> float:
    if not text.endswith("%"):
        return float(text)
    share = float(text[:-1])
    if not 0 < share <= 100:
        raise argparse.ArgumentTypeError(f"must be above 0% and at most 100%, got {text}")
    return share / 100


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

    model = load(options.model, prepare=False)
    check_has_tensors(model)
    require_matplotlib()
    if options.jobs < 1:
        raise UsageError(f"must be at least 1, got {options.jobs}", where="--jobs")
    jobs = min(options.jobs, os.cpu_count() or 1)
    columns = TextColumn("configurations"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with ExitStack() as stack:
        executor: Executor | None = None
        if jobs > 1:
            executor = stack.enter_context(processes(jobs, partial(register, options.custom)))
        bar = stack.enter_context(progress(*columns))
        task = bar.add_task("", total=None)
        found = study(
            model,
            source(options),
            bits=options.bits,
            modes=options.modes,
            scores=options.scores,
            top=top_of(options),
            select=options.select,
            sensitivity=options.sensitivity,
            budget=options.budget,
            floor=options.floor,
            directory=options.output,
            executor=executor,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    found.write(options.output)
    if options.json:
        out.write(found.to_json())
    else:
        out.write(f"{found.table(out.width)}\n\n")
        out.print(f"report: {Path(options.output) / 'report.html'}", markup=False, soft_wrap=True)
    return 0
