"""Results as JSON and CSV."""

from __future__ import annotations

from refcoreml.reporting.results import to_csv


def test_tables_for_spreadsheets_hold_no_formulas() -> None:
    rows = [
        {"name": "=cmd|' /C calc'!A0", "value": -1.5},
        {"name": " @sum(1)", "value": "-1.5e3"},
        {"name": "a-b", "value": "-inf"},
        {"name": "-1 +cmd", "value": "＝a"},  # noqa: RUF001
    ]
    assert to_csv(rows) == "name,value\n'=cmd|' /C calc'!A0,-1.5\n' @sum(1),-1.5e3\na-b,-inf\n'-1 +cmd,'＝a\n"  # noqa: RUF001
    assert to_csv([{"name": "a\nb\x1b"}]) == "name\na\\nb\\x1b\n"
