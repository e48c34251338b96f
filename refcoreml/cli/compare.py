"""``refcoreml compare``."""

from __future__ import annotations

import argparse
import math
import os
from contextlib import contextmanager
from typing import Any

from refcoreml.cli.console import check_target, errors, nonempty, out
from refcoreml.cli.custom import add_custom_argument
from refcoreml.cli.values import PRECISIONS
from refcoreml.comparison import Comparison, compare_layers, compare_models
from refcoreml.comparison.metrics import check_rate
from refcoreml.errors import UsageError
from refcoreml.model import load
from refcoreml.reporting.plots import require_matplotlib
from refcoreml.reporting.results import to_json
from refcoreml.reporting.samples import Source, read_labels

_EPILOG = """\
examples:
  refcoreml compare Net.mlmodel Net8.mlmodel --images photos/ --resize crop
  refcoreml compare Net.mlmodel Net8.mlmodel --images classes/ --labels folders --min-agreement 0.99
  refcoreml compare Net.mlmodel Net8.mlmodel --data samples.npz --labels label --layers
  refcoreml compare Net.mlmodel Net.mlmodel --precision-second float16 --data samples.npz
  refcoreml compare P.mlpackage P.mlpackage --precision float32 --precision-second declared --data x.npz --layers

An .npz holds an array for each input, samples first. The last example shows where an ML Program loses how much to half
precision. Exit code 1 if the models agree less, or the SNR is lower, than requested.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "compare",
        help="compare two models on data: agreement of labels, SNR, layer by layer",
        description="Compare the outputs of two models for the same inputs; the first model is the reference.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "reference", type=nonempty, metavar="A", help="the reference: a .mlmodel file, a .mlpackage or .mlmodelc folder"
    )
    parser.add_argument("candidate", type=nonempty, metavar="B", help="the candidate")
    add_data_arguments(parser)
    add_custom_argument(parser)
    parser.add_argument("--layers", action="store_true", help="also compare layers: own error and accumulated error")
    parser.add_argument(
        "--sequence",
        action="store_true",
        help="the samples are steps of one sequence, for which models keep their states",
    )
    for option, which in (("--function", "ML Programs"), ("--function-second", "B, if different")):
        parser.add_argument(option, type=nonempty, metavar="NAME", help=f"the function of {which}")
    for option, which in (("--precision", "both models"), ("--precision-second", "B, if different")):
        parser.add_argument(option, choices=PRECISIONS, help=f"arithmetic of {which}")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--csv", type=nonempty, metavar="FILE", help="also write the result as CSV")
    parser.add_argument(
        "--plot", type=nonempty, metavar="FILE", help="also plot the result, as .png, .svg or .pdf (extra: plot)"
    )
    parser.add_argument(
        "--min-agreement", type=float, metavar="RATE", help="exit with 1 if top-1 agreement is below, such as 0.99"
    )
    parser.add_argument("--min-snr", type=float, metavar="DB", help="exit with 1 if an output's SNR is below")
    parser.set_defaults(run=run)


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what data there is."""
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--images", type=nonempty, metavar="FOLDER", help="a folder of pictures")
    data.add_argument("--data", type=nonempty, metavar="PATH", help="an .npz, or a folder of them")
    parser.add_argument(
        "--labels",
        type=nonempty,
        metavar="LABELS",
        help="true labels: a .json, .csv, .npy or .txt file; 'folders': a picture's folder is its label; or the name of"
        " an array in the .npz",
    )
    parser.add_argument("--resize", choices=("fill", "fit", "crop"), help="resize pictures to the model's input size")
    parser.add_argument("--skip-broken", action="store_true", help="skip files that cannot be read, and list them")
    parser.add_argument(
        "--scores", action="append", default=[], metavar="OUTPUT", help="an array output with the scores of classes"
    )
    parser.add_argument(
        "--top", type=int, metavar="K", help="the k of top-k agreement (default 5 if there are more classes)"
    )


def top_of(options: argparse.Namespace) -> tuple[int, ...] | None:
    """Return the k of top-k agreement that was requested."""
    return None if options.top is None else (options.top,)


def source(options: argparse.Namespace) -> Source:
    """Return the data that the arguments describe."""
    labels: Any = options.labels
    if labels is not None and os.path.isfile(labels):
        labels = read_labels(labels)
    return Source(options.images or options.data, labels, options.resize, options.skip_broken)


@contextmanager
def counting(what: str, quiet: bool = False) -> Any:
    """Show on standard error how many are done; give the function to call with their number."""
    if quiet or not errors.is_terminal:
        yield None
        return
    with errors.status(what) as status:
        yield lambda done: status.update(f"{what}: {done}")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    if options.min_agreement is not None:
        check_rate(options.min_agreement, "--min-agreement")
    if options.min_snr is not None and not options.min_snr > -math.inf:
        raise UsageError(f"must be a number of decibels, got {options.min_snr:g}", where="--min-snr")
    check_target(options.csv)
    check_target(options.plot, ".png", ".svg", ".pdf")
    if options.plot:
        require_matplotlib()
    first, function = options.precision or "declared", options.function or ""
    reference = load(options.reference, precision=first, function=function)
    other, second = options.function_second or function, options.precision_second or first
    candidate = load(options.candidate, precision=second, function=other)
    data = source(options)
    with counting("samples compared") as progress:
        found = compare_models(
            reference,
            candidate,
            data,
            scores=options.scores,
            top=top_of(options),
            sequence=options.sequence,
            progress=progress,
        )
        layers = (
            compare_layers(reference, candidate, data, sequence=options.sequence, progress=progress)
            if options.layers
            else None
        )
    met, problems = _judged(found, options)
    if options.json:
        result = {**found.as_dict(), **({"by_layer": layers.as_dict()} if layers else {}), "problems": problems}
        out.write(to_json(result))
    else:
        out.write(f"{found.table(out.width)}\n" + (f"\n{layers.table(out.width)}\n" if layers else ""))
        for line in met:
            out.print(f"ok: {line}", style="green", markup=False)
        for problem in problems:
            out.print(problem, style="bold red", markup=False)
    if options.csv:
        (layers or found).to_csv(options.csv)
    if options.plot:
        (layers or found).plot(options.plot)
    return 1 if problems else 0


def _judged(found: Comparison, options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return which limits are met, and which are not."""
    met, problems = [], []
    if options.min_agreement is not None:
        if found.agreement is None:
            raise UsageError("the models have no labels that could agree", where="--min-agreement")
        if found.agreement.rate >= options.min_agreement:
            met.append(f"top-1 agreement is {found.agreement}, at least {options.min_agreement:.2%}")
        else:
            problems.append(f"top-1 agreement is {found.agreement}, less than {options.min_agreement:.2%}")
    if options.min_snr is not None:
        if found.snr is None:
            raise UsageError("no output has numbers", where="--min-snr")
        if found.snr >= options.min_snr:
            met.append(f"the least SNR is {found.snr:.2f} dB, at least {options.min_snr:g} dB")
        else:
            problems.append(f"the least SNR is {found.snr:.2f} dB, less than {options.min_snr:g} dB")
    return met, problems
