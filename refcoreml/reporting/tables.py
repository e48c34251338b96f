"""Tables of text."""

from __future__ import annotations

from refcoreml.errors import harmless

__all__ = ["Text"]


class Text:
    """A table of text: rows are added as cells by column; those that look like numbers stand to the right."""

    def __init__(self) -> None:
        self._rows: list[dict[str, str]] = []

    def add(self, cells: dict[str, str]) -> None:
        """Adds a row."""
        self._rows.append({column: harmless(cell) for column, cell in cells.items()})

    def render(self) -> str:
        """The table; empty without rows."""
        columns = list(dict.fromkeys(column for row in self._rows for column in row))
        if not columns:
            return ""
        lines = [dict(zip(columns, columns, strict=True)), *self._rows]
        widths = {column: max(len(line.get(column, "")) for line in lines) for column in columns}
        right = {column for column in columns if all(_number(row.get(column, "")) for row in self._rows)}
        return "\n".join(
            "  ".join(
                line.get(column, "").rjust(widths[column])
                if column in right
                else line.get(column, "").ljust(widths[column])
                for column in columns
            ).rstrip()
            for line in lines
        )


def _number(text: str) -> bool:
    try:
        float(text.replace(",", "").split(" ")[0].rstrip("%x") or "0")
    except ValueError:
        return False
    return True
