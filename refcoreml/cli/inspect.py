"""``refcoreml inspect``."""

from __future__ import annotations

import argparse
from typing import Any

from rich.text import Text

from refcoreml.cli.console import bytes_text, out, print_json, shape_text, table
from refcoreml.cli.custom import add_custom_argument
from refcoreml.errors import harmless
from refcoreml.inspection import CustomNeed, LayerSummary, Summary, inspect
from refcoreml.model import load

_EPILOG = """\
examples:
  refcoreml inspect MobileNet.mlmodel
  refcoreml inspect MobileNet.mlmodel --no-layers
  refcoreml inspect MobileNet.mlmodel --json | jq '.layers[].kind'
"""


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "inspect",
        help="show what a model is: features, metadata, layers, storage, dependencies",
        description="Shows what a model is: features, metadata, layers, storage, dependencies. Runs nothing.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="a .mlmodel file or .mlpackage folder")
    add_custom_argument(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--no-layers", action="store_true", help="leave the table of layers out")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Runs the command."""
    summary = inspect(load(options.model, prepare=False))
    if options.json:
        print_json(summary.as_dict())
    else:
        show(summary, layers=not options.no_layers)
    return 0


def show(summary: Summary, *, layers: bool) -> None:
    """Prints a summary."""
    facts = {
        "type": summary.kind + (" (updatable)" if summary.updatable else ""),
        "specification": f"version {summary.specification_version}",
        "runs on": f"{summary.runs_on}, and later",
        **summary.metadata,
        "weights": ", ".join(f"{count:,} x {storage}" for storage, count in summary.storage.items()),
    }
    for name, value in facts.items():
        if value:
            out.print(Text.assemble((f"{harmless(name):<13} ", "bold"), harmless(str(value))), soft_wrap=True)
    features = table("", "name", "type", "description", folded=("type", "description"))
    for group, entries in (("input", summary.inputs), ("output", summary.outputs)):
        for entry in entries:
            optional = " (optional)" if entry["optional"] else ""
            features.add_row(group, entry["name"], entry["type"] + optional, entry["description"])
            for formula in summary.preprocessing.get(entry["name"], []) if group == "input" else []:
                features.add_row("", "", Text(formula, style="dim"), "")
    out.print()
    out.print(features)
    if summary.needs:
        out.print()
        out.print(_needs_table(summary.needs))
    if layers and summary.layers:
        out.print()
        out.print(_layer_table(summary.layers))
    for inner in summary.models:
        out.print(Text.assemble("\n", ("contains ", "bold"), harmless(inner.name)))
        show(inner, layers=layers)
    if summary.problem:
        out.print()
        out.print(f"refcoreml cannot run this model. {summary.problem}", markup=False, style="yellow")


def _needs_table(needs: list[CustomNeed]) -> Any:
    made = table("needs", "class", "description", "parameters", "weights", "code", folded=("description", "parameters"))
    for need in needs:
        weights = (f"{weights.kind} {weights.bits} bits x {weights.count}" for weights in need.weights)
        made.add_row(
            f"custom {need.kind} ({need.count} x)",
            need.class_name,
            need.description,
            _parameters(need.parameters),
            ", ".join(weights),
            Text("registered", "green") if need.met else Text("missing", "yellow"),
        )
    return made


def _layer_table(layers: list[LayerSummary]) -> Any:
    columns = ("#", "layer", "type", "output shape", "storage", "size", "parameters")
    made = table(*columns, right=("#", "size"), folded=("parameters",))
    for layer in layers:
        size = sum(weights.size for weights in layer.weights)
        kinds = {weights.kind if weights.bits >= 16 else f"{weights.kind} {weights.bits}" for weights in layer.weights}
        made.add_row(
            str(layer.index),
            layer.name,
            layer.kind,
            ", ".join(map(shape_text, layer.output_shapes)),
            ", ".join(sorted(kinds)),
            bytes_text(size) if size else "",
            _parameters(layer.parameters),
        )
    return made


def _parameters(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}{_value(value)}" for name, value in values.items())


def _value(value: Any) -> str:
    """What follows the name of a parameter."""
    if isinstance(value, dict):
        inner = _parameters(value)
        return f"({inner})" if inner else ""
    if isinstance(value, list):
        items = [f"({_parameters(item)})" if isinstance(item, dict) else f"{item}" for item in value]
        return "=" + "x".join(item for item in items if item != "()")
    return "" if value is True else f"={value:.4g}" if isinstance(value, float) else f"={value}"
