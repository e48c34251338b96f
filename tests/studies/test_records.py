"""Records and the file that they grow in."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest
from study_example import record

from refcoreml.errors import UsageError
from refcoreml.reporting import results
from refcoreml.studies.records import Configuration, Journal, Record, identity


def test_json_there_and_back():
    text = json.dumps(results.plain(record()), allow_nan=False)
    assert Record.read(json.loads(text)) == record()


def test_a_row_is_flat():
    rows = list(csv.DictReader(results.to_csv([record().row()]).splitlines()))
    assert rows[0]["plan"] == "a=4:linear b=2:kmeans"
    assert rows[0]["snr y"] == "-inf"
    assert rows[0]["agreement_top5"] == "1.0"
    assert rows[0]["accuracy"] == ""
    assert rows[0]["error_to_bound"] == "0.5"


def test_identities_differ_with_anything():
    context = {"model": "m", "data": "d"}
    base = Configuration("only", 4, "linear", "a")
    keys = {
        identity(c, context)
        for c in (base, replace(base, bits=3), replace(base, layer="b"), replace(base, kind="except"))
    }
    keys |= {identity(base, {**context, "data": "e"}), identity(base, {**context, "scores": ["y"]})}
    assert len(keys) == 6
    assert identity(base, dict(reversed(context.items()))) == identity(base, context)


def write(path, *keys):
    with Journal(path) as journal:
        for key in keys:
            journal.add(key, record(size=len(key)))


def test_a_journal_goes_on(tmp_path):
    path = tmp_path / "records.jsonl"
    write(path, "a", "bb")
    write(path, "ccc")
    with Journal(path) as journal:
        assert {key: found.size for key, found in journal.found.items()} == {"a": 1, "bb": 2, "ccc": 3}


def test_a_torn_line_is_dropped_wherever_it_tore(tmp_path):
    path = tmp_path / "records.jsonl"
    write(path, "a", "bb")
    content = path.read_bytes()
    first = content.index(b"\n") + 1
    for length in range(first, len(content)):
        path.write_bytes(content[:length])
        write(path, "ccc")
        with Journal(path) as journal:
            assert list(journal.found) == ["a", "ccc"], f"torn after {length} bytes"


@pytest.mark.parametrize("line", ["no json", "[]", '{"id": "a"}', '{"id": "a", "record": {"size": 3}}'])
def test_lines_that_are_no_records(tmp_path, line):
    path = tmp_path / "records.jsonl"
    write(path, "a")
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UsageError, match=r"records.jsonl: line 2 is not a record"), Journal(path):
        pass


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(UsageError, match="cannot be written"), Journal(tmp_path / "none" / "x"):
        pass


def test_without_a_path_nothing_is_written():
    with Journal(None) as journal:
        journal.add("a", record())
        assert list(journal.found) == ["a"]
