"""The suite catches faults, by cases that claim what the faults break."""

from __future__ import annotations

import re

import pytest
from profiles import THOROUGH

from conformance.broken import BREAKS, broken_by
from conformance.clauses import known
from conformance.faults import MUTATIONS
from conformance.mutations import Report, honest, markdown, study
from refcoreml.execution import control

SEEN = [mutation for mutation in MUTATIONS if not mutation.unseen]


def test_there_are_many_faults_with_names_of_their_own():
    assert len(MUTATIONS) >= 60
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert sum(bool(mutation.unseen) for mutation in MUTATIONS) <= 0.03 * len(MUTATIONS)


@pytest.mark.parametrize("mutation", SEEN, ids=lambda mutation: mutation.name)
def test_a_fault_is_caught(mutation, monkeypatch):
    if not THOROUGH:
        monkeypatch.setattr(control, "LOOP_LIMIT", 2_000)  # what some faults make endless ends sooner
    report = study(mutation)
    # By wrong numbers or shapes, not only because the injected code falls over.
    assert "fail" in report.caught.values()
    # And by a case that claims the clause that the fault breaks.
    assert report.unnoticed == []


@pytest.mark.parametrize("mutation", SEEN[:: 9 if THOROUGH else 27], ids=lambda mutation: mutation.name)
def test_a_fault_is_taken_back(mutation):
    assert honest(mutation) == []
    study(mutation)
    assert honest(mutation) == []


@pytest.mark.parametrize("mutation", [m for m in MUTATIONS if m.unseen], ids=lambda mutation: mutation.name)
def test_what_is_said_to_be_unseen_is(mutation):
    report = study(mutation)
    assert report.cases > 0
    assert not report.found


def test_faults_break_clauses_that_exist():
    assert set(BREAKS) == {mutation.name for mutation in MUTATIONS}
    layers = [label for label in known() if not label.startswith("mil.")]
    labels = {label for label in layers if re.search(r"\.S\d+$", label)}
    broken = {label for mutation in MUTATIONS for label in broken_by(mutation)}
    assert broken - labels == set()
    # As docs/conformance.md says.
    assert labels - broken == {"branch.S2", "copy.S2", "custom.S5", "loop.S3", "reshapeLike.S2"}
    for mutation in MUTATIONS:
        assert {label.partition(".")[0] for label in broken_by(mutation)} <= set(mutation.kinds), mutation.name


def test_a_claim_that_no_case_keeps_is_seen(monkeypatch):
    mutation = next(mutation for mutation in MUTATIONS if mutation.name == "ceil: away from zero")
    assert study(mutation).unnoticed == []
    monkeypatch.setitem(BREAKS, mutation.name, "ceil.S1 ceil.S9")
    report = study(mutation)
    assert report.unnoticed == ["ceil.S9"]
    assert "Not caught by any case that claims it: ceil.S9." in markdown([report])


def test_the_report():
    one, other = MUTATIONS[:2]
    text = markdown([Report(one, 3, {"a/b/c": "fail"}, ["a.S1"]), Report(other, 2, {})])
    assert "They break 1 of" in text
    assert "1 caught (50.0 %)" in text
    assert f"{other.name}: UNEXPLAINED" in text
    assert "`a/b/c`" in text
