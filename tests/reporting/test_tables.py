"""Tables that fit a width: numbers are whole, names keep their ends, lines fit."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len

from refcoreml.reporting.tables import Table, Text, cells, shortened

LONG = "block_" + 30 * "very_" + "long_name_17"


def lines(table: Table, width: int) -> list[str]:
    return table.render(width).splitlines()


def test_what_fits_is_shown_in_full() -> None:
    table = Table("#", "layer", "shape", right=("#",), whole=("shape",))
    table.add_row("0", "conv1", "1x3x5")
    table.add_row("10", "[/bold]", "7")
    assert lines(table, 20) == [" #  layer    shape", " 0  conv1    1x3x5", "10  [/bold]  7"]


def test_gaps_become_smaller_before_a_row_takes_two_lines() -> None:
    table = Table("layer", "min", "max", right=("min", "max"))
    table.add_row("abcdefghij", "-1.234", "5.678")
    assert lines(table, 25)[1] == "abcdefghij  -1.234  5.678"
    assert lines(table, 24)[1] == "abcdefghij -1.234 5.678"
    assert lines(table, 22) == ["layer         min", "      max", "abcdefghij -1.234", "    5.678"]


@pytest.mark.parametrize("width", [12, 20, 33, 47, 60, 61, 80, 140, 1000])
def test_numbers_and_shapes_are_whole_and_lines_fit(width: int) -> None:
    table = Table("name", "shape", "a", "text", "b", right=("a", "b"), whole=("shape",), folded=("text",))
    table.add_row(LONG, "1x2x3", "-1.2345e-07", "some words " * 9, "123456789")
    table.add_row("尺寸" * 40, "77x88", "nan", "", "0")
    shown = "\n".join(lines(table, width))
    assert all(text in shown for text in ("1x2x3", "-1.2345e-07", "123456789", "77x88", "nan"))
    assert max(map(cell_len, shown.splitlines())) <= max(width, 20)  # a narrow text, moved to the right by 4


def test_names_lose_their_middle() -> None:
    table = Table("name", "a", right=("a",))
    table.add_row(LONG, "1")
    row = lines(table, 40)[1]
    assert re.fullmatch(r"block_very_\w+\.\.\.\w+_long_name_17  1", row)
    assert len(row) == 40


@pytest.mark.parametrize("width", range(12))
def test_shortened_texts_fit(width: int) -> None:
    for text in ("abcdefghijklmnop", "尺寸尺寸尺寸尺寸", "a"):
        made = shortened(text, width)
        assert cell_len(made) <= width
        assert (made == text) == (cell_len(text) <= width)


def test_texts_take_several_lines_and_are_never_endless() -> None:
    table = Table("name", "text", folded=("text",))
    table.add_row("x", "word " * 100_000)
    assert len("".join(lines(table, 60))) < 1500
    assert max(map(len, lines(table, 60))) <= 60


def test_widths_of_characters_are_those_of_terminals() -> None:
    for text in ("abc", "größe", "尺寸", "e\u0301", "ｗｉｄｅ", "Привет", "עברית", "한글"):  # noqa: RUF001
        assert cells(text) == cell_len(text), text


def test_tables_of_results_keep_their_numbers() -> None:
    text = Text()
    text.add({"layer": LONG, "SNR dB": "64.78", "size": "1,234", "worst sample": "2 (63.98 dB)", "agreement": "exact"})
    text.add({"layer": "b", "SNR dB": "inf", "size": "7", "worst sample": "12 (9.00 dB)", "agreement": "99.20%"})
    assert LONG in text.render()
    for width in (30, 60, 80):
        shown = text.render(width)
        assert max(map(len, shown.splitlines())) <= width
        for number in ("64.78", "inf", "1,234", "2 (63.98 dB)", "12 (9.00 dB)", "exact", "99.20%"):
            assert number in shown
    assert Text().render() == ""
