"""``refcoreml oracle``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np

from refcoreml.cli.console import check_target, errors, nonempty, out, print_json, shape_text
from refcoreml.cli.values import add_arguments, read_inputs
from refcoreml.model import load
from refcoreml.oracle import PROFILES, Answer, oracle
from refcoreml.reporting.tables import Table
from refcoreml.storage.arrays import write_npz

_EPILOG = """\
examples:
  refcoreml oracle Net.mlmodel --input x=x.npy
  refcoreml oracle Net.mlmodel --input x=x.npy --profile fp16/acc32 -o answers.npz

The .npz has for each output NAME its value, NAME.bound, NAME.check and, for classifiers, NAME.labels. An output of an
implementation is correct where it equals the value (infinities and NaN included), or differs from it by at most the
bound. An infinite bound means undetermined. Exit code 1 if every number of every output is undetermined.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "oracle",
        help="compute reference outputs with an error bound for every number",
        description="Compute the outputs of a neural network in double precision, with an error bound for every number."
        " Not for ML Programs yet.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser, precision=False)
    parser.add_argument(
        "--profile",
        choices=tuple(PROFILES),
        default="fp32",
        help="the implementation's arithmetic: fp32 (default), or blobs and weights in half precision with sums in "
        "single (fp16/acc32) or half precision (fp16/acc16)",
    )
    parser.add_argument("--json", action="store_true", help="print values and bounds in full as JSON")
    parser.add_argument("-o", "--output", type=nonempty, metavar="FILE", help="write the answers to a .npz file")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    check_target(options.output, ".npz")
    model = load(options.model, precision="float64", prepare=False)
    answers = oracle(model, read_inputs(model, options.input, options.resize), options.profile)
    if options.json:
        print_json({name: _plain(answer) for name, answer in answers.items()})
    else:
        _show(answers, options.profile)
    if options.output:
        write_npz(_arrays(answers), options.output)
        if not options.json:
            out.print(f"written to {options.output}", markup=False, soft_wrap=True)
    if any(_open_places(answer) < answer.bound.size for answer in answers.values()):
        return 0
    errors.print(
        f"everything is undetermined: in {options.profile}, rounding may make any number of every output; choose other "
        "inputs, or look at single layers",
        style="bold red",
        markup=False,
    )
    return 1


def _open_places(answer: Answer) -> int:
    """Return how many numbers are undetermined."""
    return int(np.isinf(answer.bound).sum())


def _arrays(answers: dict[str, Answer]) -> Iterator[tuple[str, Any]]:
    for name, answer in answers.items():
        yield from ((name, answer.value), (f"{name}.bound", answer.bound), (f"{name}.check", answer.check))
        if answer.labels:
            yield f"{name}.labels", answer.labels


def _plain(answer: Answer) -> dict[str, Any]:
    labels = {"labels": list(answer.labels)} if answer.labels else {}
    return {"check": answer.check, "value": answer.value, "bound": answer.bound, **labels}


def _show(answers: dict[str, Answer], profile: str) -> None:
    numbers = ("largest value", "largest bound", "undetermined")
    columns = Table(profile, "shape", "check", *numbers, right=numbers, whole=("shape", "check"))
    for name, answer in answers.items():
        sure = np.isfinite(answer.bound) & np.isfinite(answer.value)
        # Without a number that is known there is no largest one.
        value, bound = (
            f"{np.abs(part[sure]).max():.6g}" if sure.any() else "-" for part in (answer.value, answer.bound)
        )
        open_places = _open_places(answer)
        count = f"all {open_places}" if open_places == answer.bound.size else str(open_places or "none")
        columns.add_row(name, shape_text(answer.value.shape), answer.check, value, bound, count)
    out.print(columns)
