"""Where the commands print: tables and text to standard output, errors and warnings to standard error."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from refcoreml.errors import UsageError, harmless
from refcoreml.reporting.results import to_json

#: Where a file or a pipe takes the output, lines may be longer than those of a small terminal.
_PIPE_WIDTH = 160


class SafeConsole(Console):
    """A console on which text from models steers nothing: see `harmless`. Newlines that a command prints stay."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as `rich.console.Console` does."""
        super().print(*map(_safe, objects), **options)

    def on_broken_pipe(self) -> None:
        """Leave it to the main program that the reader has gone."""
        raise BrokenPipeError

    def write(self, text: str) -> None:
        """Write text as it is, unbroken, without markup."""
        self.file.write(harmless(text, keep="\n"))


def _safe(item: Any) -> Any:
    if isinstance(item, str):
        return harmless(item, keep="\n")
    if isinstance(item, Text):
        shown = harmless(item.plain, keep="\n")
        return item if shown == item.plain else Text(shown, style=item.style)
    return item


def _console(stream: Any, *, stderr: bool) -> SafeConsole:
    terminal = stream is not None and stream.isatty()
    return SafeConsole(stderr=stderr, highlight=False, width=None if terminal else _PIPE_WIDTH)


out = _console(sys.stdout, stderr=False)
errors = _console(sys.stderr, stderr=True)


class _Literal(Table):
    """A table that shows strings as they are: names in a model may look like markup, or hold newlines."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        super().add_row(*(Text(harmless(cell)) if isinstance(cell, str) else _safe(cell) for cell in cells), **options)


def table(*columns: str, right: tuple[str, ...] = (), folded: tuple[str, ...] = ()) -> Table:
    """An unboxed table; columns named in ``right`` hold numbers, those in ``folded`` may take several lines."""
    made = _Literal(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0), show_header=any(columns))
    for column in columns:
        made.add_column(
            Text(harmless(column)),
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
    if "\0" in str(path):
        raise UsageError("a path cannot hold a NUL character", where=str(path))
    if suffixes and target.suffix.lower() not in suffixes:
        *most, last = suffixes
        raise UsageError(f"the name must end in {', '.join(most)}{' or ' * bool(most)}{last}", where=str(path))
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise UsageError("there is no such folder", where=str(target.parent))
    try:
        os.lstat(path)
    except FileNotFoundError:
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError("nothing can be written there", where=str(target.parent)) from None
    except OSError as error:  # such as a name that is too long
        raise UsageError(f"cannot be written: {error.strerror}", where=str(path)) from error
    if os.path.isdir(path) and target.suffix.lower() != ".mlpackage":
        raise UsageError("is a folder, expected a file to write", where=str(path))


def print_json(value: Any) -> None:
    """Prints a value as JSON, see `plain`."""
    out.write(to_json(value))


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
