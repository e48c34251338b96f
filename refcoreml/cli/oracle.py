"""``refcoreml oracle``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from refcoreml.cli.console import check_target, errors, nonempty, out, print_json, shape_text
from refcoreml.cli.values import add_arguments, read_inputs
from refcoreml.errors import UsageError
from refcoreml.model import Model, load
from refcoreml.oracle import DECLARED, PROFILES, Answer, LayerAnswer, layer_answers, oracle
from refcoreml.oracle.balls import Doubles
from refcoreml.reporting.tables import Table
from refcoreml.storage.arrays import write_npz

_EPILOG = """\
examples:
  refcoreml oracle Net.mlmodel --input x=x.npy
  refcoreml oracle Net.mlmodel --input x=x.npy --profile fp16/acc32 -o answers.npz
  refcoreml oracle Net.mlpackage --input x=x.npy --layers

The .npz has for each output NAME its value, NAME.bound, NAME.check and, for classifiers, NAME.labels. An output of an
implementation is correct where it equals the value (infinities and NaN included), or differs from it by at most the
bound. An infinite bound means undetermined. With --layers each layer is given inputs of its own, those of the reference
as the profile stores them, so that bounds do not add up. Exit code 1 if every number of every output is undetermined.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "oracle",
        help="compute reference outputs with an error bound for every number",
        description="Compute the outputs of a neural network or ML Program in double precision, with an error bound for"
        " every number. States begin with zeros.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser, precision=False)
    parser.add_argument("--function", type=nonempty, metavar="NAME", help="the function of an ML Program")
    parser.add_argument(
        "--profile",
        choices=(DECLARED.name, *PROFILES),
        help="the implementation's arithmetic: declared, as an ML Program says, with sums in single precision (its "
        "default); fp32 (that of networks); or values and weights in half precision with sums in single (fp16/acc32) "
        "or half precision (fp16/acc16)",
    )
    parser.add_argument("--layers", action="store_true", help="answer for each layer by itself")
    parser.add_argument("--json", action="store_true", help="print values and bounds in full as JSON")
    parser.add_argument("-o", "--output", type=nonempty, metavar="FILE", help="write the answers to a .npz file")
    parser.set_defaults(run=run)


class _Row(NamedTuple):
    """What is shown of numbers with bounds.

    Attributes:
        cells: of the table.
        known: whether any of them is not undetermined.
    """

    cells: tuple[str, ...]
    known: bool


def _row(texts: tuple[str, ...], value: Doubles, bound: Doubles, check: str) -> _Row:
    """Return the row of numbers, which the texts name."""
    sure = np.isfinite(bound) & np.isfinite(value)
    # Without a number that is known there is no largest one.
    largest = (f"{np.abs(part[sure]).max():.6g}" if sure.any() else "-" for part in (value, bound))
    open_places = int(np.isinf(bound).sum())
    count = f"all {open_places}" if open_places == bound.size else str(open_places or "none")
    return _Row((*texts, shape_text(value.shape), check, *largest, count), open_places < bound.size)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    check_target(options.output, ".npz")
    if options.layers and options.output:
        raise UsageError("--layers and --output do not go together", remedy="--json prints the numbers of layers")
    model = load(options.model, precision="float64", prepare=False, function=options.function or "")
    inputs = read_inputs(model, options.input, options.resize)
    profile = options.profile or _default(model)
    rows = list((_of_layers if options.layers else _of_outputs)(model, inputs, profile, options))
    if not any(row.known for row in rows):
        errors.print(
            f"everything is undetermined: in {profile}, rounding may make any number of every output; choose other "
            "inputs, or look at single layers",
            style="bold red",
            markup=False,
        )
        return 1
    return 0


def _default(model: Model) -> str:
    """Return the profile that the type of a model is meant for."""
    return DECLARED.name if model.kind == "mlProgram" else "fp32"


def _of_outputs(model: Model, inputs: dict[str, Any], profile: str, options: argparse.Namespace) -> Iterable[_Row]:
    """Show the answers for outputs."""
    answers = oracle(model, inputs, profile)
    rows = [_row((name,), answer.value, answer.bound, answer.check) for name, answer in answers.items()]
    if options.json:
        print_json({name: _plain(answer) for name, answer in answers.items()})
    else:
        _show(rows, profile)
    if options.output:
        write_npz(_arrays(answers), options.output)
        if not options.json:
            out.print(f"written to {options.output}", markup=False, soft_wrap=True)
    return rows


def _of_layers(model: Model, inputs: dict[str, Any], profile: str, options: argparse.Namespace) -> Iterable[_Row]:
    """Show the answers for layers."""
    rows, shown = [], []
    for layer in layer_answers(model, inputs, profile):
        for name, bound in layer.outputs.items():
            texts = layer.name if len(layer.outputs) == 1 else name, layer.kind
            rows.append(_row(texts, bound.value, bound.radius, bound.check))
        if options.json:
            shown.append(_plain_layer(layer))
    if options.json:
        print_json({"layers": shown})
    else:
        _show(rows, profile, "type")
    return rows


def _arrays(answers: dict[str, Answer]) -> Iterator[tuple[str, Any]]:
    for name, answer in answers.items():
        yield from ((name, answer.value), (f"{name}.bound", answer.bound), (f"{name}.check", answer.check))
        if answer.labels:
            yield f"{name}.labels", answer.labels


def _plain(answer: Answer) -> dict[str, Any]:
    labels = {"labels": list(answer.labels)} if answer.labels else {}
    return {"check": answer.check, "value": answer.value, "bound": answer.bound, **labels}


def _plain_layer(layer: LayerAnswer) -> dict[str, Any]:
    outputs = {
        name: {"check": bound.check, "value": bound.value, "bound": bound.radius}
        for name, bound in layer.outputs.items()
    }
    return {"layer": layer.name, "type": layer.kind, "inputs": layer.inputs, "outputs": outputs}


def _show(rows: list[_Row], *titles: str) -> None:
    numbers = ("largest value", "largest bound", "undetermined")
    columns = Table(*titles, "shape", "check", *numbers, right=numbers, whole=("shape", "check"))
    for row in rows:
        columns.add_row(*row.cells)
    out.print(columns)
