"""The suite catches faults: a fixed sample of the study here, all of it with ``python -m conformance.mutations``."""

from __future__ import annotations

import pytest

from conformance.faults import MUTATIONS
from conformance.mutations import Report, honest, markdown, study

SAMPLE = [mutation for mutation in MUTATIONS[::6] if not mutation.unseen]


def test_there_are_many_faults_with_names_of_their_own():
    assert len(MUTATIONS) >= 60
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert sum(bool(mutation.unseen) for mutation in MUTATIONS) <= 0.03 * len(MUTATIONS)


@pytest.mark.parametrize("mutation", SAMPLE, ids=lambda mutation: mutation.name)
def test_a_fault_is_caught(mutation):
    assert honest(mutation) == []
    report = study(mutation)
    # By wrong numbers or shapes, not only because the injected code falls over.
    assert "fail" in report.caught.values()
    assert honest(mutation) == [], "the fault was not taken back"


@pytest.mark.parametrize("mutation", [m for m in MUTATIONS if m.unseen], ids=lambda mutation: mutation.name)
def test_what_is_said_to_be_unseen_is(mutation):
    report = study(mutation)
    assert report.cases > 0
    assert not report.found


def test_the_report():
    one, other = MUTATIONS[:2]
    text = markdown([Report(one, 3, {"a/b/c": "fail"}), Report(other, 2, {})])
    assert "1 caught (50.0 %)" in text
    assert f"{other.name}: UNEXPLAINED" in text
    assert "`a/b/c`" in text
