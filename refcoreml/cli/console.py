"""Where the commands print: tables and text to standard output, errors and warnings to standard error."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from refcoreml.comparison.tables import plain
from refcoreml.errors import UsageError

#: Where a file or a pipe takes the output, lines may be longer than those of a small terminal.
_PIPE_WIDTH = 160


def _console(stream: Any, *, stderr: bool) -> Console:
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else _PIPE_WIDTH)


out = _console(sys.stdout, stderr=False)
errors = _console(sys.stderr, stderr=True)


class _Literal(Table):
    """A table that shows strings as they are: names in a model may look like markup."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        super().add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells), **options)


def table(*columns: str, right: tuple[str, ...] = (), folded: tuple[str, ...] = ()) -> Table:
    """An unboxed table; columns named in ``right`` hold numbers, those in ``folded`` may take several lines."""
    made = _Literal(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0), show_header=any(columns))
    for column in columns:
        made.add_column(
            Text(column),
            justify="right" if column in right else "left",
            no_wrap=column not in folded,
            overflow="fold" if column in folded else "ellipsis",
        )
    return made


def check_target(path: str | Path | None, *suffixes: str) -> None:
    """Refuses a file to write to before any work is done for it.

    Raises:
        UsageError: its name ends in none of the suffixes, if there are any, or its folder does not exist.
    """
    if path is None:
        return
    target = Path(path)
    if suffixes and target.suffix.lower() not in suffixes:
        *most, last = suffixes
        raise UsageError(f"the name must end in {', '.join(most)}{' or ' * bool(most)}{last}", where=str(path))
    if not target.resolve().parent.is_dir():
        raise UsageError("there is no such folder", where=str(target.parent))


def print_json(value: Any) -> None:
    """Prints a value as JSON, see `plain`."""
    out.file.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def shape_text(shape: tuple[int, ...] | None) -> str:
    """A shape in little room: ``1x3x224``."""
    return "x".join(map(str, shape)) if shape is not None else "?"


def bytes_text(size: int) -> str:
    """A size in the largest unit that leaves at least one."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000  # type: ignore[assignment]
    return f"{size:.3g} GB"
