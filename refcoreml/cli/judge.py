"""``refcoreml judge``."""

from __future__ import annotations

import argparse
from typing import Any

from refcoreml.cli.console import check_target, nonempty, out, print_json, progress
from refcoreml.cli.custom import add_custom_argument
from refcoreml.cli.exits import CHECK_FAILED, CONVERTER, SUSPECTED, UNDECIDED
from refcoreml.errors import UsageError
from refcoreml.judge import PROBABILITY
from refcoreml.model import load
from refcoreml.oracle import DECLARED, PROFILES
from refcoreml.reporting.results import write_text
from refcoreml.reporting.samples import Source
from refcoreml.storage.arrays import read_npz
from refcoreml.values import unread
from refcoreml.verdicts import FP16, FP32, NOT_EXPLAINED, SUSPICIOUS, UNDETERMINED, Verdict, judge
from refcoreml.verdicts.files import recorded_arrays
from refcoreml.verdicts.page import verdict_page
from refcoreml.verdicts.sources import read_source

_EPILOG = """\
examples:
  refcoreml judge Net.mlmodel --inputs x.npz --outputs phone.npz
  refcoreml judge Net.mlpackage --inputs x.npz --outputs phone.npz --intermediates inside.npz --html verdict.html
  refcoreml judge Net.mlpackage --inputs x.npz --outputs phone.npz --source nets.py:make_net --json
  refcoreml judge Net.mlmodel --inputs photos/ --resize crop --outputs recorded/

Within rounding of fp32 or fp16: rounding explains the numbers. Suspicious: they are outside of the likely bounds, which
honest rounding leaves with --probability, but inside of proven ones. Not explained by rounding: another reason must be
found; with values inside the model, the first operation that is not explained is named. Undetermined: rounding would
explain almost anything, or there was nothing to compare. With --source: is it the converter, rounding, or the device?

An .npz holds an array for each input, output or value inside the model; of several samples, each with samples first. A
folder of outputs has an .npz for each file of inputs, of the same name.

exit codes: 0 explained by rounding, 1 not explained, 7 suspicious, 8 undetermined, 9 the conversion differs
"""

_CODES = {FP32: 0, FP16: 0, NOT_EXPLAINED: CHECK_FAILED, SUSPICIOUS: SUSPECTED, UNDETERMINED: UNDECIDED}


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "judge",
        help="are outputs that a device recorded explained by rounding?",
        description="Say whether rounding explains the outputs that a phone, a delegate or another runtime recorded of"
        " a neural network or ML Program; if not, which operation is the first that it does not explain.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model", type=nonempty, metavar="MODEL", help="a .mlmodel file, a .mlpackage or .mlmodelc folder"
    )
    parser.add_argument(
        "--inputs", type=nonempty, required=True, metavar="PATH", help="an .npz, a folder of them, or one of pictures"
    )
    parser.add_argument(
        "--outputs",
        type=nonempty,
        required=True,
        metavar="PATH",
        help="what was recorded: an .npz, which may hold values inside the model, too; an .npy; or a folder",
    )
    parser.add_argument(
        "--intermediates", type=nonempty, metavar="PATH", help="values inside the model that were recorded"
    )
    parser.add_argument(
        "--source",
        type=nonempty,
        metavar="SOURCE",
        help="what the model was converted from: MODULE:NAME or FILE.py:NAME of a torch module or a function that makes"
        " one, a file of TorchScript (.pt), of torch.export (.pt2) or of ONNX (.onnx)",
    )
    parser.add_argument(
        "--source-inputs",
        type=nonempty,
        metavar="FILE",
        help="an .npz with the arguments of the source in their order, where they are not the model's inputs",
    )
    parser.add_argument("--resize", choices=("fill", "fit", "crop"), help="resize pictures to the model's input size")
    parser.add_argument("--function", type=nonempty, metavar="NAME", help="the function of an ML Program")
    add_custom_argument(parser)
    parser.add_argument(
        "--profile",
        choices=(DECLARED.name, *PROFILES),
        help="the only arithmetic to try, such as fp32; by default single precision, then half",
    )
    parser.add_argument(
        "--probability",
        type=float,
        default=PROBABILITY,
        metavar="P",
        help=f"how often an honest recording may be refused (default {PROBABILITY:g})",
    )
    parser.add_argument(
        "--no-proven",
        action="store_true",
        help="compute no proven bounds, which may take long; then nothing is suspicious",
    )
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    parser.add_argument("--html", type=nonempty, metavar="FILE", help="also write it as a page of HTML")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

    check_target(options.html, ".html", ".htm")
    model = load(options.model, function=options.function or "")
    samples = list(Source(options.inputs, resize=options.resize).samples(model))
    names = [sample.name for sample in samples]
    outputs = recorded_arrays(options.outputs, model, names)
    inner = recorded_arrays(options.intermediates, model, names) if options.intermediates else None
    source = read_source(options.source) if options.source else None
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with progress(*columns) as bar:
        task = bar.add_task("samples judged", total=None)
        verdict = judge(
            model,
            [sample.inputs for sample in samples],
            outputs,
            intermediates=inner,
            source=source,
            source_inputs=_source_inputs(options),
            profile=options.profile or "",
            probability=options.probability,
            proven=not options.no_proven,
            names=names,
            progress=lambda done, total, profile: bar.update(
                task, description=f"samples judged in {profile}", completed=done, total=total
            ),
        )
    if options.html:
        write_text(verdict_page(verdict, options.model), options.html)
    if options.json:
        print_json({**verdict.as_dict(), "explained": verdict.explained})
    else:
        _show(verdict)
        if options.html:
            out.print(f"written to {options.html}", markup=False, soft_wrap=True)
    return _code(verdict)


def _source_inputs(options: argparse.Namespace) -> list[Any] | None:
    if options.source_inputs is None:
        return None
    if options.source is None:
        raise UsageError("needs --source", where="--source-inputs")
    try:
        return list(read_npz(options.source_inputs).values())
    except (OSError, ValueError, MemoryError) as error:
        raise UsageError(f"cannot be read: {unread(error)}", where=options.source_inputs) from error


def _code(verdict: Verdict) -> int:
    if verdict.cause == "converter":
        return CONVERTER
    if verdict.cause == "undetermined":
        return UNDECIDED
    return _CODES[verdict.answer]


def _show(verdict: Verdict) -> None:
    style = "green" if verdict.explained else "bold red"
    out.print(verdict.headline, style=style, markup=False)
    out.print(verdict.reason, markup=False, soft_wrap=True)
    if verdict.operation:
        among = f", among {', '.join(verdict.segment)}" if len(verdict.segment) > 1 else ""
        out.print(f"operation: {verdict.operation}{among}", markup=False, soft_wrap=True)
    if verdict.values:
        out.write(f"\n{verdict.table(out.width)}\n")
    if verdict.conversion is not None:
        found = verdict.conversion
        compared = f", {found.values} values compared" if found.values else ""
        out.print(f"\nconversion: {found.answer}{compared}", markup=False, soft_wrap=True)
