"""``refcoreml inspect``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from refcoreml.cli.console import bytes_text, nonempty, out, print_json, shapes_text
from refcoreml.cli.custom import add_custom_argument
from refcoreml.errors import harmless
from refcoreml.inspection import CustomNeed, FunctionSummary, LayerSummary, Summary, inspect
from refcoreml.model import load
from refcoreml.reporting.tables import Styled, Table, shortened

_EPILOG = """\
examples:
  refcoreml inspect MobileNet.mlmodel
  refcoreml inspect MobileNet.mlmodel --no-layers
  refcoreml inspect MobileNet.mlmodel --json | jq '.layers[].kind'
"""

#: Characters of one fact.
_LONGEST_FACT = 1000
#: So many entries of the author's own are shown.
_MOST_ENTRIES = 20


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "inspect",
        help="show a model's features, metadata, layers, storage and dependencies",
        description="Show a model's features, metadata, layers, storage and dependencies, without running it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model", type=nonempty, metavar="MODEL", help="a .mlmodel file, a .mlpackage or .mlmodelc folder"
    )
    add_custom_argument(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--no-layers", action="store_true", help="omit the table of layers")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    summary = inspect(load(options.model, prepare=False))
    if options.json:
        print_json(summary.as_dict())
    else:
        show(summary, layers=not options.no_layers)
    return 0


def show(summary: Summary, *, layers: bool) -> None:
    """Print a summary."""
    facts = {
        "type": summary.kind + (" (updatable)" if summary.updatable else ""),
        "specification": f"version {summary.specification_version}",
        "runs on": f"{summary.runs_on}, and later",
        **summary.metadata,
        "labels": f"{len(summary.labels)}: {', '.join(map(str, summary.labels))}" if summary.labels else "",
        "weights": "" if summary.functions else _storage(summary.storage),
    }
    for name, value in facts.items():
        if value:
            shown = shortened(harmless(value), _LONGEST_FACT)
            out.print(Text.assemble((f"{name:<13} ", "bold"), shown), soft_wrap=True)
    _show_user_defined(summary.user_defined)
    out.print()
    out.print(_features_table(summary))
    if summary.functions:
        out.print()
        out.print(_functions_table(summary.functions))
    if summary.needs:
        out.print()
        out.print(_needs_table(summary.needs))
    if layers and summary.layers:
        out.print()
        out.print(_layer_table(summary.layers))
    for inner in summary.models:
        out.print(
            Text.assemble("\n", ("contains ", "bold"), shortened(harmless(inner.name), _LONGEST_FACT)),
            soft_wrap=True,
        )
        show(inner, layers=layers)
    problems = [f"refcoreml cannot run this model. {summary.problem}"] if summary.problem else []
    problems += [
        f"refcoreml cannot run the function {of.name}. {of.problem}"
        for of in summary.functions
        if of.problem and not of.default
    ]
    for problem in problems:
        out.print()
        out.print(problem, markup=False, style="yellow", soft_wrap=True)


def _show_user_defined(entries: dict[str, str]) -> None:
    """Show what the author wrote under other names; the names could be those of facts, and the texts endless."""
    made = Table("metadata", "value", folded=("value",))
    for name, value in sorted(entries.items())[:_MOST_ENTRIES]:
        made.add_row(name, value)
    if entries:
        out.print()
        out.print(made)
    if len(entries) > _MOST_ENTRIES:
        out.print(f"and {len(entries) - _MOST_ENTRIES} more; --json prints all")


def _features_table(summary: Summary) -> Table:
    made = Table("function", "", "name", "type", "description", folded=("type", "description"))
    several = len(summary.functions) > 1
    described: Sequence[Summary | FunctionSummary] = summary.functions or [summary]
    for of in described:
        name = of.name if several else ""
        states = of.states if isinstance(of, FunctionSummary) else []
        for group, entries in (("input", of.inputs), ("state", states), ("output", of.outputs)):
            for entry in entries:
                optional = " (optional)" if entry["optional"] else ""
                kind = entry["type"].removesuffix("?")
                made.add_row(name, group, entry["name"], kind + optional, entry["description"])
                for formula in summary.preprocessing.get(entry["name"], []) if group == "input" else []:
                    made.add_row("", "", "", Styled(formula, "dim"), "")
    return made


def _functions_table(functions: list[FunctionSummary]) -> Table:
    columns = ("function", "opset", "weights", "operations")
    made = Table(*columns, whole=("opset",), folded=("weights", "operations"))
    for function in functions:
        made.add_row(
            f"{function.name} (default)" if function.default and len(functions) > 1 else function.name,
            function.opset,
            _storage(function.storage),
            ", ".join(f"{count} {kind}" for kind, count in function.operations.items()),
        )
    return made


def _storage(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} x {storage}" for storage, count in counts.items())


def _needs_table(needs: list[CustomNeed]) -> Any:
    columns = ("needs", "class", "description", "parameters", "weights", "code")
    made = Table(*columns, whole=("needs", "code"), folded=("description", "parameters", "weights"))
    for need in needs:
        weights = (f"{weights.kind} {weights.bits} bits x {weights.count}" for weights in need.weights)
        made.add_row(
            f"custom {need.kind} ({need.count} x)",
            need.class_name,
            need.description,
            _parameters(need.parameters),
            ", ".join(weights),
            Styled("registered", "green") if need.met else Styled("missing", "yellow"),
        )
    return made


def _layer_table(layers: list[LayerSummary]) -> Any:
    columns = ("#", "layer", "type", "output shape", "storage", "size", "parameters", "problem")
    made = Table(*columns, right=("#", "size"), whole=("output shape",), folded=("storage", "parameters", "problem"))
    for layer in layers:
        size = sum(weights.size for weights in layer.weights)
        kinds = {weights.kind if weights.bits >= 16 else f"{weights.kind} {weights.bits}" for weights in layer.weights}
        made.add_row(
            str(layer.index),
            layer.name,
            layer.kind,
            shapes_text(layer.output_shapes),
            ", ".join(sorted(kinds)),
            bytes_text(size) if size else "",
            _parameters(layer.parameters),
            layer.problem,
            style="red" if layer.problem else "",
        )
    return made


def _parameters(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}{_value(value)}" for name, value in values.items())


def _value(value: Any) -> str:
    """Return what follows the name of a parameter."""
    if isinstance(value, dict):
        inner = _parameters(value)
        return f"({inner})" if inner else ""
    if isinstance(value, list):
        items = [f"({_parameters(item)})" if isinstance(item, dict) else f"{item}" for item in value]
        return "=" + "x".join(item for item in items if item != "()")
    return "" if value is True else f"={value:.4g}" if isinstance(value, float) else f"={value}"
