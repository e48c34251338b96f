"""Tables of names: the newest version that is not newer."""

from __future__ import annotations

import re

import pytest

from refcoreml.execution.table import Table
from refcoreml.mil.registry import OPERATIONS, OPSETS
from refcoreml.mil.registry import find as find_operation
from refcoreml.neuralnetwork.registry import LAYERS


@pytest.fixture
def table() -> Table[str]:
    made: Table[str] = Table("operation")
    for name, entry, since in (("a", "a7", 7), ("a", "a5", 5), ("a", "a9", 9), ("b", "b8", 8)):
        made.add(name, entry, since)
    return made


@pytest.mark.parametrize(
    ("name", "version", "entry"),
    [
        ("a", 4, None),
        ("a", 5, "a5"),
        ("a", 6, "a5"),
        ("a", 7, "a7"),
        ("a", 8, "a7"),
        ("a", 11, "a9"),
        ("b", 7, None),
        ("b", 9, "b8"),
        ("c", 9, None),
    ],
)
def test_the_newest_entry_that_is_not_newer_counts(table, name, version, entry):
    assert table.find(name, version) == entry


def test_as_a_dictionary_it_has_the_newest(table):
    assert table == {"a": "a9", "b": "b8"}
    assert table.versions("a") == [(9, "a9"), (7, "a7"), (5, "a5")]
    assert table.versions("c") == []


def test_a_second_entry_for_a_version_is_refused(table):
    with pytest.raises(ValueError, match=re.escape("operation 'a' is registered twice from version 7 on")):
        table.add("a", "other", 7)
    assert table.find("a", 7) == "a7"
    with pytest.raises(ValueError, match="layer 'softmax' is registered twice"):
        LAYERS.add("softmax", LAYERS["softmax"])


def test_both_dialects_have_one() -> None:
    assert isinstance(LAYERS, Table)
    assert isinstance(OPERATIONS, Table)
    assert all(entry.name == name and LAYERS.find(name, 0) is not None for name, entry in LAYERS.items())
    newest = len(OPSETS) - 1
    assert all(find_operation(name, newest) in (entry, None) for name, entry in OPERATIONS.items())
