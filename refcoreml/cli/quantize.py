"""``refcoreml quantize``: a model with smaller weights, and what that does to each of them."""

from __future__ import annotations

import argparse
from typing import Any

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from refcoreml.cli.console import bytes_text, check_target, nonempty, out, print_json, progress, shape_text
from refcoreml.errors import UsageError
from refcoreml.model import load
from refcoreml.quantization import MODES, WeightChange, dequantize_weights, quantize_weights, selectors, weight_changes
from refcoreml.quantization.quantize import Chooser
from refcoreml.quantization.schemes import Fit
from refcoreml.reporting.tables import Table
from refcoreml.storage.reading import read_json
from refcoreml.values import unread

_EPILOG = """\
examples:
  refcoreml quantize Net.mlmodel --bits 8 -o Net8.mlmodel                      (linear, one scale per channel)
  refcoreml quantize Net.mlmodel --bits 4 --mode kmeans -o Net4.mlmodel
  refcoreml quantize Net.mlmodel --bits 16 -o NetHalf.mlmodel                  (half precision)
  refcoreml quantize Net.mlmodel --bits 4 --fit mse --select matrices -o Net4.mlmodel
  refcoreml quantize Net.mlmodel --bits 6 --mode kmeans --select 'kind=convolution' --select 'count>=4096' -o N.mlmodel
  refcoreml quantize Net.mlmodel --plan plan.json -o Net.mlmodel
  refcoreml quantize Net8.mlmodel --bits 32 -o Net.mlmodel                     (back to float32)

A plan gives bits and mode by layer name: {"conv1": [8, "linear"], "fc": [4, "kmeans"]}. Other layers are stored with
--bits, or unchanged without it.

Selectors: matrices (no vectors), kind=, name=, field= (with !=, several with commas, * and ? in names),
count>=, count<=, channels>=, channels<=. A tensor must match all of them.
"""

_NUMBERS = ("weights", "bytes before", "after", "SNR dB", "max error")


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "quantize",
        help="store the weights in fewer bits, and show the error of each layer",
        description="Store the weights of a neural network in fewer bits, and show each layer before and after."
        " Not for ML Programs yet.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=nonempty, metavar="MODEL", help="a .mlmodel file or .mlpackage folder")
    parser.add_argument(
        "-o", "--output", type=nonempty, metavar="OUT", required=True, help="where to write the new model"
    )
    parser.add_argument("--bits", type=int, metavar="N", help="1 to 8, 16 (half precision) or 32 (single precision)")
    modes = [mode for mode in MODES if mode != "custom_lut"]
    parser.add_argument("--mode", default="linear", choices=modes, help="how codes become weights (default: linear)")
    parser.add_argument(
        "--fit",
        default="minmax",
        metavar="FIT",
        help="range of linear levels: minmax (default), mse, or a percentile such as 99.9",
    )
    parser.add_argument("--select", action="append", default=[], metavar="WHICH", help="which weights; may be repeated")
    parser.add_argument("--plan", type=nonempty, metavar="FILE", help="a JSON file with bits and mode by layer name")
    parser.add_argument(
        "--compatible", choices=["coremltools"], help="store exactly the numbers that coremltools stores"
    )
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    check_target(options.output, ".mlmodel", ".mlpackage")
    plan = _read_plan(options.plan) if options.plan else None
    if options.bits is None and plan is None:
        raise UsageError("neither --bits nor --plan is given", remedy="For example: --bits 8")
    model = load(options.model, prepare=False)
    model.check_save(options.output)
    selector = _all_of(options.select)
    if options.bits == 32 and plan is None and selector is None:
        made = dequantize_weights(model)
    else:
        with progress(TextColumn("quantizing"), BarColumn(), TimeRemainingColumn()) as bar:
            task = bar.add_task("")
            made = quantize_weights(
                model,
                options.bits,
                options.mode,
                selector=selector,
                plan=plan,
                fit=_fit(options.fit),
                compatible=options.compatible,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    made.save(options.output)
    changes = weight_changes(model, made)
    sizes = model.spec.ByteSize(), made.spec.ByteSize()
    if options.json:
        print_json(
            {"bytes_before": sizes[0], "bytes_after": sizes[1], "weights": [change.as_dict() for change in changes]}
        )
    else:
        _show(changes, sizes, options.output)
    return 0


def _fit(text: str) -> Fit:
    try:
        return ("percentile", float(text))
    except ValueError:
        return text


def _all_of(texts: list[str]) -> Chooser | None:
    if not texts:
        return None
    chosen = selectors.everything
    for text in texts:
        chosen = chosen & selectors.parse(text)
    return chosen


def _read_plan(path: str) -> dict[str, tuple[int, str]]:
    try:
        plan = read_json(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the plan: {unread(error)}", where=path) from error
    if not isinstance(plan, dict):
        raise UsageError('a plan is an object such as {"conv1": [8, "linear"]}', where=path)
    return plan


def _encoding(kind: str, bits: int) -> str:
    return kind if bits >= 16 else f"{kind} {bits}"


def _show(changes: list[WeightChange], sizes: tuple[int, int], path: str) -> None:
    columns = ("layer", "field", "shape", "weights", "before", "after ")
    made = Table(*columns, *_NUMBERS[1:], right=_NUMBERS, whole=("shape", "before", "after "))
    for change in changes:
        before, after = _encoding(change.before, change.bits_before), _encoding(change.after, change.bits_after)
        made.add_row(
            change.layer,
            change.field,
            shape_text(change.shape),
            str(change.count),
            before,
            "unchanged" if before == after and not change.noise else after,
            bytes_text(change.bytes_before),
            bytes_text(change.bytes_after),
            f"{change.snr:.1f}" if change.noise else "exact",
            f"{change.largest_error:.3g}" if change.noise else "0",
        )
    out.print(made)
    share = 100 * sizes[1] / sizes[0]
    out.print(
        f"\n{path}: {bytes_text(sizes[1])}, {share:.1f} % of {bytes_text(sizes[0])}", markup=False, soft_wrap=True
    )
