"""Random networks from torch through coremltools' converter, compared: ``python -m campaigns.conversions``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from refcoreml.errors import RefCoreMLError
from refcoreml.storage.writing import write_file
from refcoreml.testing.extras import coremltools

_EPILOG = """\
examples:
  python -m campaigns.conversions --networks 100
  python -m campaigns.conversions --networks 5000 --seed 7 --json report.json
  python -m campaigns.conversions --networks 50 --shape U-Net --shape attention

exit codes: 0 networks agree, or differ by known defects, and nothing is unexplained; 1 a network differs or fails, or
none could be compared; 2 wrong arguments or a missing package
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.conversions",
        description="Draws random torch networks, converts them with coremltools, and compares refcoreml with torch.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--networks", type=int, default=100, metavar="N", help="how many (100)")
    parser.add_argument("--seed", type=int, default=0, help="where the draws start (0)")
    parser.add_argument("--shape", action="append", default=[], metavar="NAME", help="only this network shape")
    parser.add_argument("--json", metavar="FILE", help="write the summary there too")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    try:
        return _run(options, console)
    except RefCoreMLError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace, console: Console) -> int:
    # Torch has to be there when these are imported; if it is not, that is said in words.
    from campaigns import conversion_runs as runs
    from campaigns.torch_grammar import SHAPES

    coremltools.load()
    unknown = [name for name in options.shape if name not in SHAPES]
    if unknown or options.networks < 1:
        wrong = f"no shape {unknown[0]!r}, there are {', '.join(SHAPES)}" if unknown else "--networks must be 1 or more"
        print(f"error: {wrong}", file=sys.stderr)
        return 2
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("networks", total=options.networks)

        def advance(network: Any, outcome: Any) -> None:
            progress.advance(task)
            if outcome.kind in runs.UNEXPLAINED:
                console.print(f"{outcome.kind}: {network}\n{outcome.message}\n", markup=False)

        summary = runs.run(options.networks, seed=options.seed, shapes=options.shape, advance=advance)
    report = summary.as_dict()
    for title in "shapes", "operators":
        console.print(_table(title, report[title], runs.KINDS))
    console.print(f"{report['networks']} networks: {_listed(report['kinds'])}")
    if report["known"]:
        console.print(f"known: {_listed(report['known'])}")
    for name, values in report["quantiles"].items():
        if name != "of":
            figures = ", ".join(f"{p} {', '.join(f'{v:.2g}' for v in values[p])}" for p in values)
            console.print(f"{name} (median, 90 %, 99 %): {figures}")
    if options.json:
        write_file(f"{json.dumps(report, indent=1)}\n".encode(), options.json)
    compared = any(report["kinds"].get(kind) for kind in runs.COMPARED)
    if not compared:
        console.print("no network was compared", style="bold red")
    return 0 if compared and not report["unexplained"] else 1


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def _table(title: str, rows: Mapping[str, Mapping[str, int]], kinds: Sequence[str]) -> Table:
    table = Table(title, *kinds, box=None, pad_edge=False)
    for name, counts in rows.items():
        table.add_row(name, *(str(counts.get(kind, 0) or "") for kind in kinds))
    return table


if __name__ == "__main__":
    sys.exit(main())
