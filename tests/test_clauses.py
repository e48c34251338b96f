"""docs/clauses and the tests match, the pages are current, and their examples run as they stand there."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from refcoreml.neuralnetwork.registry import LAYERS

ROOT = Path(__file__).resolve().parents[1]


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


specification, figures = _load("specification"), _load("figures")
KNOWN = specification.layers()


def test_every_clause_has_a_test_and_every_label_a_clause_and_the_pages_are_what_the_generator_writes() -> None:
    carried = specification.labels_in_tests()  # takes long
    assert specification.mismatches({**KNOWN, "programs": specification.open_points()}, carried) == []
    assert specification.stale(specification.pages(KNOWN, carried, specification.labels_in_cases())) == []


def test_the_figures_are_what_the_layers_compute() -> None:
    assert figures.stale() == []
    shown = {KNOWN[kind].more["figure"] for kind in KNOWN if "figure" in KNOWN[kind].more}
    assert shown == {f"{name}.svg" for name in figures.FIGURES}


def test_every_layer_has_clauses() -> None:
    assert set(KNOWN) == set(LAYERS)


@pytest.mark.parametrize("kind", KNOWN)
def test_the_example_prints_what_its_page_says(kind: str) -> None:
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(specification.IMPORTS + KNOWN[kind].more["example"], {})
    assert printed.getvalue().split() == KNOWN[kind].more["prints"].split()


def test_what_does_not_match_is_found() -> None:
    known = {"softmax": specification.Layer("normalization", {"C1": "", "S1": ""})}
    carried = {"softmax.S1": ["a.py::test_a"], "softmax.S2": ["b.py::test_b"]}
    assert specification.mismatches(known, carried) == [
        "no test carries the clause softmax.C1",
        "b.py::test_b: there is no clause softmax.S2",
    ]


def test_labels_are_read_from_cases(tmp_path: Path) -> None:
    for case, labels in {"a/one/wide": ["a.S1"], "a/one/plain": ["a.S1", "a.S2"], "b/two/plain": ["a.S1"]}.items():
        (tmp_path / case).mkdir(parents=True)
        (tmp_path / case / "case.json").write_text(json.dumps({"clauses": labels}))
    assert specification.labels_in_cases(tmp_path) == {"a.S1": ["a/one", "b/two"], "a.S2": ["a/one"]}


def test_labels_are_read_from_decorators_and_their_cases(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "@pytest.mark.parametrize('x', [1, pytest.param(2, marks=pytest.mark.clause('a.S1'))])\n"
        "@pytest.mark.clause('a.C1', 'a.C2')\n"
        "def test_a(x): ...\n"
    )
    tests = ["test_a.py::test_a"]
    assert specification.labels_in_tests(tmp_path) == {"a.S1": tests, "a.C1": tests, "a.C2": tests}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("@pytest.mark.clause(label)\ndef test_a(): ...", "literal"),
        ("@pytest.mark.clause('a.S1')\ndef helper(): ...", "decorators of tests"),
        ("cases = [pytest.param(1, marks=pytest.mark.clause('a.S1'))]", "decorators of tests"),
    ],
)
def test_labels_that_no_test_would_carry_are_refused(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(text)
    with pytest.raises(ValueError, match=problem):
        specification.labels_in_tests(tmp_path)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"S2": " "}, "S2 should be text"),
        ({"U1": {"text": "?"}}, "U1 needs"),
        ({"C1": "last"}, "order"),
        ({"colour": "blue"}, "unknown keys"),
        ({"U1": {"text": "", "chosen": "", "evidence": "", "confidence": "certain"}}, "confidence is one of"),
    ],
)
def test_tables_of_another_form_are_refused(more: dict[str, Any], problem: str) -> None:
    clauses = {"S1": "y = x"} | {key: value for key, value in more.items() if key[0] in "CSU"}
    rest = {"example": "", "prints": ""} | {key: value for key, value in more.items() if key[0] not in "CSU"}
    with pytest.raises(ValueError, match=problem):
        specification.check_form("flatten", specification.Layer("shape", clauses, rest))
