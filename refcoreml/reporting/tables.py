"""Tables that fit a width: names are shortened in the middle, numbers and shapes never are."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from refcoreml.errors import harmless

__all__ = ["Line", "Styled", "Table", "Text", "cells", "count_text", "shortened"]

#: Cells between two columns, where there is room and where there is not.
_GAPS = (2, 1)
#: How far the second and later lines of a row are moved to the right.
_INDENT = 4
#: Cells that a name keeps.
_LEAST_NAME = 10
#: Cells that a line of a text keeps: words, which may be numbers, are whole up to the second.
_LEAST_TEXT, _LONGEST_WORD = 16, 50
#: Cells of a text over several lines; hostile models hold texts of megabytes.
_LONGEST_TEXT = 400
_CUT = "..."


class Styled(NamedTuple):
    """A piece of text and how it looks, such as ``bold`` or ``green``; a table of text alone leaves that out."""

    text: str
    style: str = ""


#: A line as pieces.
Line: TypeAlias = list[Styled]


@dataclass
class _Column:
    """One column of a `Table`; `kind` is ``number``, ``whole``, ``text`` or ``name``."""

    header: Styled
    kind: str
    cells: list[Styled] = field(default_factory=list)

    @property
    def natural(self) -> int:
        """The width that shows everything."""
        return max(cells(cell.text) for cell in (self.header, *self.cells))

    @property
    def least(self) -> int:
        """The smallest width that the column can have."""
        if self.kind == "name":
            return min(self.natural, _LEAST_NAME)
        if self.kind == "text":
            words = (cells(word) for cell in self.cells for word in cell.text.split())
            return min(self.natural, max(_LEAST_TEXT, min(max(words, default=0), _LONGEST_WORD)))
        return self.natural


class Table:
    """Rows of cells in columns without lines between them.

    Where the width does not suffice, gaps, names and texts become narrower first; then a row takes several lines, those
    after the first indented. What would steer a terminal is escaped.

    Args:
        columns: the headers.
        right: columns that hold numbers, which are never shortened.
        whole: other columns that are never shortened, such as shapes.
        folded: columns of text, which may take several lines.
    """

    def __init__(
        self, *columns: str, right: Sequence[str] = (), whole: Sequence[str] = (), folded: Sequence[str] = ()
    ) -> None:
        kinds = {**dict.fromkeys(folded, "text"), **dict.fromkeys(whole, "whole"), **dict.fromkeys(right, "number")}
        self._columns = [_Column(Styled(harmless(name), "bold"), kinds.get(name, "name")) for name in columns]
        self._has_header = any(columns)
        self._rows = 0

    def add_row(self, *row: str | Styled, style: str = "") -> None:
        """Add a row: a string, or a styled one, for each column; ``style`` is that of the others."""
        for column, cell in zip(self._columns, row, strict=True):
            made = Styled(cell, style) if isinstance(cell, str) else cell
            text = harmless(made.text)
            column.cells.append(Styled(shortened(text, _LONGEST_TEXT) if column.kind == "text" else text, made.style))
        self._rows += 1

    def lines(self, width: int) -> Iterator[Line]:
        """Yield the table as lines of at most ``width`` cells, unless a single number or shape is wider."""
        columns = self._shown()
        gap = next((gap for gap in _GAPS if len(_bands(columns, width, gap)) == 1), _GAPS[-1])
        bands = [(indent, band, _widths(band, width - indent, gap)) for indent, band in _bands(columns, width, gap)]
        for row in range(-1 if self._has_header else 0, self._rows):
            for indent, band, widths in bands:
                for line in _lines(band, widths, gap, row):
                    if any(piece.text.strip() for piece in line) or not indent:
                        yield [Styled(" " * indent), *line]

    def render(self, width: int = sys.maxsize) -> str:
        """Return the table as text."""
        return "\n".join("".join(piece.text for piece in line).rstrip() for line in self.lines(width))

    def _shown(self) -> list[_Column]:
        """Return the columns without those of names and texts that are empty in every row."""
        return [
            column
            for column in self._columns
            if column.kind in ("number", "whole") or any(cell.text for cell in column.cells)
        ]


def count_text(count: int, noun: str) -> str:
    """Return a number of things: ``1 sample``, ``5 samples``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def cells(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(character: str) -> int:
    if unicodedata.combining(character) or character == "\u200d":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shortened(text: str, width: int) -> str:
    """Return a text that is too long without its middle, which says less than its ends."""
    if cells(text) <= width:
        return text
    room = width - len(_CUT)
    if room < 2:
        return text[: _fitting(text, width)]
    back = _fitting(text[::-1], room // 2)
    return f"{text[: _fitting(text, (room + 1) // 2)]}{_CUT}{text[len(text) - back :]}"


def _fitting(text: str, width: int) -> int:
    """Return how many characters from the start of a text fit into so many cells."""
    count = used = 0
    for character in text:
        used += _width(character)
        if used > width:
            break
        count += 1
    return count


def _folded(text: str, width: int) -> list[str]:
    """Return a text as lines that fit, broken between words where that is possible."""
    made = []
    while cells(text) > width:
        end = max(_fitting(text, width), 1)
        blank = text.rfind(" ", 0, end + 1)
        end = blank if blank > 0 else end
        made.append(text[:end].rstrip())
        text = text[end:].lstrip()
    return [*made, text]


def _bands(columns: Sequence[_Column], width: int, gap: int) -> list[tuple[int, list[_Column]]]:
    """Return the columns of each line of a row, with the line's indent, so that the narrowest ones fit."""
    bands: list[tuple[int, list[_Column]]] = []
    free = 0
    for column in columns:
        if not bands or column.least + gap > free:
            bands.append((_INDENT if bands else 0, []))
            free = width - bands[-1][0] + gap
        bands[-1][1].append(column)
        free -= column.least + gap
    return bands


def _widths(columns: Sequence[_Column], width: int, gap: int) -> list[int]:
    """Return the width of each column: the widest that can be narrower are made so, until all fit."""
    widths, least = [column.natural for column in columns], [column.least for column in columns]
    too_wide = sum(widths) + gap * (len(columns) - 1) - width
    while too_wide > 0:
        soft = [index for index in range(len(columns)) if widths[index] > least[index]]
        if not soft:
            break
        widest = max(widths[index] for index in soft)
        largest = [index for index in soft if widths[index] == widest]
        floors = [*(least[index] for index in largest), *(widths[index] for index in soft if widths[index] < widest)]
        step = min(widest - max(floors), -(-too_wide // len(largest)))
        for index in largest:
            widths[index] -= step
        too_wide -= step * len(largest)
    return widths


def _lines(columns: Sequence[_Column], widths: Sequence[int], gap: int, row: int) -> Iterator[Line]:
    """Yield a row, or the header, as one line, or several where texts are folded."""
    row_cells = [column.header if row < 0 else column.cells[row] for column in columns]
    parts = [
        _folded(cell.text, width) if column.kind == "text" else [shortened(cell.text, width)]
        for column, cell, width in zip(columns, row_cells, widths, strict=True)
    ]
    for index in range(max(map(len, parts), default=0)):
        line = []
        for column, cell, width, texts in zip(columns, row_cells, widths, parts, strict=True):
            text = texts[index] if index < len(texts) else ""
            padding = Styled(" " * (width - cells(text)))
            piece = Styled(text, cell.style)
            line += [*((padding, piece) if column.kind == "number" else (piece, padding)), Styled(" " * gap)]
        yield line


#: Columns of names in a `Text`, which may be shortened.
_NAMES = ("output", "layer", "type")
#: What stands among numbers where there is none.
_NO_NUMBERS = ("exact", "?")


class Text:
    """A table of text: rows are added as cells by column; those that look like numbers stand to the right."""

    def __init__(self) -> None:
        self._rows: list[dict[str, str]] = []

    def add(self, row: dict[str, str]) -> None:
        """Add a row."""
        self._rows.append(row)

    def render(self, width: int = sys.maxsize) -> str:
        """Return the table in lines of at most ``width``; empty without rows."""
        columns = list(dict.fromkeys(column for row in self._rows for column in row))
        right = [column for column in columns if all(_number(row.get(column, "")) for row in self._rows)]
        whole = [column for column in columns if column not in (*right, *_NAMES)]
        table = Table(*columns, right=right, whole=whole)
        for row in self._rows:
            table.add_row(*(row.get(column, "") for column in columns))
        return table.render(width)


def _number(text: str) -> bool:
    if text in _NO_NUMBERS:
        return True
    try:
        float(text.replace(",", "").split(" ")[0].rstrip("%x") or "0")
    except ValueError:
        return False
    return True
