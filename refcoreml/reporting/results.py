"""Results as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refcoreml.errors import harmless
from refcoreml.storage.writing import write_file

__all__ = ["Result", "flat", "plain", "to_csv", "to_json", "write_text"]


def plain(value: Any) -> Any:
    """Return the value in terms of JSON.

    Arrays and pictures become lists; infinite and NaN numbers the strings ``inf``, ``-inf``, ``nan``.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    return plain(np.asarray(value).tolist())


def flat(value: Any, kind: type[Any]) -> dict[str, Any]:
    """Return the fields of a dataclass; empty ones if there is none, so that all rows have the same columns."""
    return {item.name: getattr(value, item.name) if value is not None else "" for item in fields(kind)}


class Result:
    """What can be had as text, JSON and CSV: a dataclass with `table` and `rows`."""

    def rows(self) -> list[dict[str, Any]]:
        """Return flat rows, for CSV."""
        raise NotImplementedError

    def table(self, width: int = sys.maxsize) -> str:
        """Return the result as text for people, in tables of at most ``width``."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.table()

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return plain(self)  # type: ignore[no-any-return]

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the result as JSON (infinite and NaN numbers as strings), also written to a file if asked."""
        return to_json(self.as_dict(), path)

    def to_csv(self, path: str | Path | None = None) -> str:
        """Return `rows` as CSV, also written to a file if asked."""
        return to_csv(self.rows(), path)


def write_text(text: str, path: str | Path | None) -> str:
    """Return the text, and write it to a file if asked."""
    if path is not None:
        write_file(text.encode(), path)
    return text


def to_json(value: Any, path: str | Path | None = None) -> str:
    """Return the value as JSON text, also written to a file if asked; in ASCII if characters in it steer or hide."""
    content = plain(value)
    text = json.dumps(content, indent=2, ensure_ascii=False)
    if harmless(text, keep="\n") != text:
        text = json.dumps(content, indent=2)
    return write_text(text + "\n", path)


def to_csv(rows: Sequence[Mapping[str, Any]], path: str | Path | None = None) -> str:
    """Return rows as CSV text, columns in the order in which they come up, written to a file if asked.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({column: _csv_cell(value) for column, value in row.items()} for row in rows)
    return write_text(text.getvalue(), path)


def _csv_cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = harmless(value)
    if not text.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠")):  # noqa: RUF001
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
