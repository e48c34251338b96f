"""The clauses that cases claim to check exist, are claimed by cases that can show them, and the page says which."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from conformance import catalogue, clauses
from conformance.catalogue.plan import Plan
from refcoreml.conformance.cases import Case, read_case

CASES = Path(__file__).resolve().parents[2] / "conformance/cases"
PLANS = list(catalogue.plans())
LABELS = clauses.known()


def _demands_something(case: Case) -> bool:
    """Whether some number, in some profile, may not be just anything."""
    for output in case.outputs:
        if output.moments:
            return True
        for expected in output.profiles.values():
            bound = expected.bound if isinstance(expected.bound, float) else expected.bound.read()
            if np.isfinite(bound).any():
                return True
    return False


def test_every_claim_is_about_a_clause_and_a_case_that_can_show_it():
    assert clauses.mistakes(PLANS, LABELS) == []


def test_wrong_claims_are_found():
    one = Plan("ceil/a/b", "functions", ["ceil"], "b", b"", 4, clauses=["ceil.S9", "ceil.C1"])
    found = clauses.mistakes([*PLANS, one], LABELS)
    assert found == ["ceil/a/b: there is no clause ceil.S9", "ceil/a/b: a case that is returns cannot check ceil.C1"]
    assert any("no case fits" in problem for problem in clauses.mistakes([one], LABELS))


def test_limits_of_refcoreml_alone_are_demanded_by_no_case():
    one = Plan("loop/a/b", "control flow", ["loop"], "b", b"", 4, verdict="invalid", clauses=["loop.C2"])
    assert "loop/a/b: loop.C2 is a limit of refcoreml's own" in clauses.mistakes([*PLANS, one], LABELS)
    for form in clauses.LIMITS:
        assert any(re.fullmatch(form, label) for label in LABELS)


def test_every_other_clause_has_a_case():
    checked = clauses.by_clause(PLANS)
    layers = [label for label in LABELS if not label.startswith("mil.")]
    missing = [label for label in layers if label not in checked and not re.search(r"\.U\d+$", label)]
    assert [label for label in missing if not any(re.fullmatch(form, label) for form in clauses.LIMITS)] == []
    assert "Missing: none." in clauses.page(checked, LABELS)
    del checked["ceil.S1"]
    assert "Missing: `ceil.S1`." in clauses.page(checked, LABELS)


def test_a_case_that_demands_nothing_claims_nothing():
    for path in CASES.rglob("case.json"):
        case = read_case(path.parent)
        if case.clauses and case.verdict == "returns":
            assert _demands_something(case), case.id


def test_the_committed_cases_carry_the_claims():
    for plan in PLANS:
        written = json.loads((CASES / plan.id / "case.json").read_text(encoding="utf-8"))["clauses"]
        assert sorted(written) == sorted(plan.clauses), plan.id


def test_the_page_is_current():
    assert clauses.PAGE.read_text(encoding="utf-8") == clauses.page(clauses.by_clause(PLANS), LABELS)


@pytest.mark.parametrize(
    ("case", "labels"),
    [
        ("ceil/plain/halves", ["ceil.S1"]),
        ("pooling/average-same/integers", ["pooling.S1", "pooling.S2", "pooling.S4"]),
        ("activation/tanh/nan", ["activation.S2", "activation.S7"]),
        ("add/invalid-shapes/integers", ["add.C1"]),
        ("files/break-outside", ["loopBreak.C1"]),
        ("innerProduct/int8/integers", ["innerProduct.S4"]),
        ("mil/conv/groups/integers", ["mil.conv.S1", "mil.conv.S6"]),
        ("mil/cast/truth/nan", ["mil.cast.S2"]),
        ("mil/pow/base-2/zero-mean", ["mil.pow.S4"]),
        ("mil/resample/invalid-old-half/integers", ["mil.resample.C1"]),
    ],
)
def test_claims_of_some_cases(case, labels):
    assert next(plan.clauses for plan in PLANS if plan.id == case) == labels
