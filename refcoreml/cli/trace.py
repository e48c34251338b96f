"""``refcoreml trace``."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

from refcoreml.cli.console import out, print_json, shape_text
from refcoreml.cli.values import add_arguments, load_model, read_inputs
from refcoreml.kernels import half
from refcoreml.model import Model, state_of
from refcoreml.reporting.tables import Table
from refcoreml.statistics import BlobStatistics, blob_statistics

_EPILOG = """\
examples:
  refcoreml trace Net.mlmodel --input image=photo.jpg --resize crop
  refcoreml trace Net.mlmodel --input x=x.npy --precision float16     (where does half precision break?)

Headroom is the factor by which the largest number could grow before it overflows half precision (65504).
With --precision float16, and where an ML Program declares half precision, "to 0" counts the numbers that were rounded
to 0 by it, and "subnormal" those whose magnitude is below 6.1e-05 afterwards, where half precision has fewer bits.
Exit code 1 if an output of a layer has NaN or infinities, which two more columns then count.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "trace",
        help="show every layer's output as it runs: range, mean, NaN and infinities",
        description="Run a model and show every layer's output: shape, range, mean, NaN and infinities."
        " States begin with zeros.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    model = load_model(options)
    inputs = read_inputs(model, options.input, options.resize)
    rows: list[dict[str, Any]] = []
    first_bad: dict[str, Any] | None = None
    table: list[tuple[dict[str, str], bool]] = []
    for layer in model.trace(inputs, state_of(model)):
        for blob, values in layer.outputs.items():
            found = blob_statistics(values, layer.computed[blob])
            name = f"{layer.model}/{layer.name}" if layer.model else layer.name
            shown = name if len(layer.outputs) == 1 else f"{layer.model}/{blob}" if layer.model else blob
            row = {
                "index": layer.index,
                "layer": name,
                "type": layer.kind,
                "where": layer.where,
                "blob": blob,
                **found.as_dict(),
            }
            rows.append(row)
            if found.bad and first_bad is None:
                first_bad = row
            table.append((_cells({**row, "layer": shown}, found), found.bad))
    if options.json:
        print_json({"layers": rows, "first_bad": first_bad})
    else:
        bad = _BAD if first_bad else ()
        _show(table, (*_TEXTS, *_RANGE, *bad, _HEADROOM, *(_ROUNDING if _rounds(model, options.precision) else ())))
        _conclude(rows, first_bad)
    return 1 if first_bad else 0


def _show(rows: list[tuple[dict[str, str], bool]], columns: Sequence[str]) -> None:
    """Print some columns of rows, in red those that are bad."""
    made = Table(*columns, right=("#", *_RANGE, *_BAD, _HEADROOM, *_ROUNDING), whole=("shape",))
    for cells, bad in rows:
        made.add_row(*(cells[column] for column in columns), style="red" if bad else "")
    out.print(made)


def _rounds(model: Model, precision: str) -> bool:
    """Whether numbers may be rounded to half precision on the way."""
    return precision == "float16" or (precision == "declared" and model.precision == "declared")


_TEXTS = ("#", "layer", "type", "shape")
_RANGE, _BAD, _HEADROOM = ("min", "max", "mean"), ("NaN", "Inf"), "headroom"
_ROUNDING = ("to 0", "subnormal")


def _cells(row: dict[str, Any], found: BlobStatistics) -> dict[str, str]:
    """Return what a row shows, by column."""
    low, high, mean = (
        "-" if math.isnan(value) else f"{value:.4g}" for value in (found.minimum, found.maximum, found.mean)
    )
    counts = (found.nans, found.infinities, found.vanished, found.subnormal)
    return {
        **{"#": str(row["index"]), "layer": row["layer"], "type": row["type"], "shape": shape_text(found.shape)},
        **{"min": low, "max": high, "mean": mean},
        **{name: str(count) if count else "" for name, count in zip((*_BAD, *_ROUNDING), counts, strict=True)},
        _HEADROOM: f"{found.headroom:.3g}x" if found.headroom < 1e6 else ">1e6x",
    }


def _share_vanished(row: dict[str, Any]) -> float:
    return int(row["vanished"]) / max(int(math.prod(row["shape"])), 1)


def _conclude(rows: list[dict[str, Any]], first_bad: dict[str, Any] | None) -> None:
    if first_bad is not None:
        out.print(
            f"\nfirst bad layer: {first_bad['index']} {first_bad['layer']!r} ({first_bad['type']}) makes"
            f" {first_bad['nans']} NaN and {first_bad['infinities']} Inf",
            style="bold red",
            markup=False,
        )
        return
    worst = max(rows, key=_share_vanished, default=None)
    if worst is not None and worst["vanished"]:
        out.print(
            f"\nhalf precision loses most in layer {worst['index']} {worst['layer']!r} ({worst['type']}):"
            f" {worst['vanished']} of {math.prod(worst['shape'])} numbers became 0",
            style="yellow",
            markup=False,
        )
    tightest = min(rows, key=lambda row: float(row["headroom"]), default=None)
    if tightest is not None and tightest["headroom"] < 1:
        out.print(
            f"\nno NaN or Inf here, but layer {tightest['index']} {tightest['layer']!r} exceeds the largest half"
            f" precision number ({half.LARGEST:g})",
            style="yellow",
            markup=False,
        )
