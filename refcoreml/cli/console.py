"""Where the commands print: tables and text to standard output, errors and warnings to standard error."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleDimensions
from rich.progress import Progress, ProgressColumn
from rich.text import Text

from refcoreml.errors import UsageError, harmless
from refcoreml.reporting.results import to_json
from refcoreml.reporting.tables import Table
from refcoreml.storage.writing import check_writable

#: Where a file or a pipe takes the output, lines may be longer than those of a small terminal.
_PIPE_WIDTH = 160


class SafeConsole(Console):
    """A console that escapes control sequences in text from models: see `harmless`. Newlines of a command stay.

    When its reader has gone, as in ``refcoreml inspect MODEL | head``, the rest goes nowhere: the command writes its
    files all the same, and ends with its own exit code.
    """

    def __init__(self, *, width: int | None = None, **options: Any) -> None:
        super().__init__(highlight=False, **options)
        self._given_width = width

    @property
    def size(self) -> ConsoleDimensions:
        """The size to print for: that of the terminal, or `_PIPE_WIDTH`; ``COLUMNS`` comes before both."""
        width, height = super().size
        asked = os.environ.get("COLUMNS", "")
        if self._given_width is not None:
            width = self._given_width
        elif asked.isdecimal() and int(asked[:6]) > 0:
            width = int(asked[:6])
        elif not self.is_terminal:
            width = _PIPE_WIDTH
        return ConsoleDimensions(width, height)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as `rich.console.Console` does; lines that are too long are not cut."""
        with self._reader():
            super().print(*map(self._safe, objects), **{"crop": False, **options})

    def on_broken_pipe(self) -> None:
        """Leave it to `print`."""
        raise BrokenPipeError

    def write(self, text: str) -> None:
        """Write text as it is, unbroken, without markup."""
        with self._reader():
            self.file.write(harmless(text, keep="\n"))

    def flush(self) -> None:
        """Write what is still in memory."""
        with self._reader():
            self.file.flush()

    def _safe(self, item: Any) -> Any:
        if isinstance(item, str):
            return harmless(item, keep="\n")
        if isinstance(item, Text):
            shown = harmless(item.plain, keep="\n")
            return item if shown == item.plain else Text(shown, style=item.style)
        if isinstance(item, Table):
            made = [Text.assemble(*line, no_wrap=True, overflow="ignore") for line in item.lines(self.width)]
            for line in made:
                line.rstrip()
            return Text("\n", no_wrap=True, overflow="ignore").join(made)
        return item

    @contextmanager
    def _reader(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.file.fileno())
            os.close(nowhere)


out = SafeConsole()
errors = SafeConsole(stderr=True)


@contextmanager
def progress(*columns: ProgressColumn) -> Iterator[Progress]:
    """Show progress on standard error while a block runs; nothing where that is no terminal."""
    bar = Progress(*columns, console=errors, transient=True)
    if errors.is_interactive:
        with bar:
            yield bar
    else:  # Rich would end the bar with an empty line
        yield bar


def nonempty(text: str) -> str:
    """Return an argument that must not be empty, such as a path; for the parser.

    Raises:
        ArgumentTypeError: it is.
    """
    if not text:
        raise argparse.ArgumentTypeError("is empty")
    return text


def nonempty_path(text: str) -> Path:
    """Return an argument as a path; see `nonempty`."""
    return Path(nonempty(text))


def check_target(path: str | Path | None, *suffixes: str) -> None:
    """Refuse a file to write to before any work is done for it.

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
    check_writable(path, "folder" if target.suffix.lower() == ".mlpackage" else "file")


def print_json(value: Any) -> None:
    """Print a value as JSON, see `plain`."""
    out.write(to_json(value))


def shape_text(shape: tuple[int, ...] | None) -> str:
    """Return a shape in little room: ``1x3x224``."""
    return "x".join(map(str, shape)) if shape is not None else "?"


def shapes_text(shapes: Sequence[tuple[int, ...] | None]) -> str:
    """Return the shapes of a layer's outputs, of which there may be thousands."""
    most = 3 if len(shapes) <= 3 else 2
    more = [f"and {len(shapes) - most} more"] if len(shapes) > most else []
    return ", ".join([*map(shape_text, shapes[:most]), *more])


def bytes_text(size: int) -> str:
    """Return a size in the largest unit that leaves at least one."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000  # type: ignore[assignment]
    return f"{size:.3g} GB"
