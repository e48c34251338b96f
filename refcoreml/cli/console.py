"""Where the commands print: tables and text to standard output, errors and warnings to standard error."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

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


def print_json(value: Any) -> None:
    """Prints a value as JSON; arrays become lists, numbers that JSON lacks become strings."""
    out.file.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def plain(value: Any) -> Any:
    """The value in terms of JSON."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return plain(np.asarray(value))  # an image


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
