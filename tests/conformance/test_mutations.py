"""The suite catches faults; of networks by cases that claim what the faults break."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path

import pytest
from profiles import THOROUGH

from conformance import mutations
from conformance.broken import BREAKS, broken_by
from conformance.clauses import known
from conformance.faults import MUTATIONS, NETWORKS, PROGRAMS, Mutation
from conformance.mutations import LEAST, Report, honest, main, markdown, study
from refcoreml.execution import control

PAGE = Path(__file__).resolve().parents[2] / "docs" / "mutations.md"
#: Of programs some, unless thorough; all are in the page, which `python -m conformance.mutations` writes.
SEEN = [m for m in NETWORKS if not m.unseen] + [m for m in PROGRAMS if not m.unseen][:: 1 if THOROUGH else 80]
#: Those that concern few cases, unless thorough.
UNSEEN = [m for m in MUTATIONS if m.unseen and (THOROUGH or not m.program or len(m.kinds) == 1)]
NOTHING = Mutation("nothing", ("threshold",), nullcontext, program=True)


def named(mutation: Mutation) -> str:
    return mutation.name


@pytest.mark.parametrize(("faults", "least"), [(NETWORKS, 370), (PROGRAMS, 250)], ids=["networks", "programs"])
def test_there_are_many_faults(faults, least):
    assert len(faults) >= least
    assert sum(not mutation.unseen for mutation in faults) >= LEAST * len(faults)


def test_faults_have_names_of_their_own():
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert all(mutation.name.startswith("mil.") == mutation.program for mutation in MUTATIONS)


@pytest.mark.parametrize("mutation", SEEN, ids=named)
def test_a_fault_is_caught(mutation, monkeypatch):
    if not THOROUGH:
        monkeypatch.setattr(control, "LOOP_LIMIT", 2_000)  # what some faults make endless ends sooner
    report = study(mutation)
    # By wrong numbers or shapes, not only because the injected code falls over.
    assert "fail" in report.caught.values()
    # And by a case that claims the clause that the fault breaks.
    assert report.problems == []


@pytest.mark.parametrize("mutation", SEEN[:: 9 if THOROUGH else 27], ids=named)
def test_a_fault_is_taken_back(mutation):
    assert honest(mutation) == []
    study(mutation)
    assert honest(mutation) == []


@pytest.mark.parametrize("mutation", UNSEEN, ids=named)
def test_what_is_said_to_be_unseen_is(mutation):
    report = study(mutation)
    assert report.cases > 0
    assert not report.caught
    # Though some result is another one.
    assert report.problems == []


def test_the_page_is_about_these_faults():
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \|(?: .*? \|)? (\d+) \| (\d+) \| ", text, re.MULTILINE)
    assert [name for name, _, _ in rows] == [mutation.name for mutation in MUTATIONS]
    caught = {name: int(count) for name, _, count in rows}
    assert {name for name, count in caught.items() if not count} == {m.name for m in MUTATIONS if m.unseen}
    assert "UNEXPLAINED" not in text
    for mutation in MUTATIONS:
        assert not mutation.unseen or f"- {mutation.name}: {mutation.unseen}." in text
    for faults in (NETWORKS, PROGRAMS):
        share = sum(caught[mutation.name] > 0 for mutation in faults) / len(faults)
        assert share >= LEAST
        assert f"({100 * share:.1f} %)" in text


def test_faults_break_clauses_that_exist():
    assert set(BREAKS) == {mutation.name for mutation in NETWORKS}
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
    assert report.problems == ["ceil.S9 is broken, and no case that claims it notices"]
    assert "Not caught by any case that claims it: ceil.S9." in markdown([report])


def test_a_fault_that_changes_nothing_is_reported(monkeypatch, capsys):
    report = study(NOTHING)
    assert (report.caught, report.changed, report.problems) == ({}, 0, ["it changes nothing"])
    monkeypatch.setattr(mutations, "MUTATIONS", [NOTHING])
    assert main(["--jobs", "1", "--only", "nothing"]) == 1
    assert "it changes nothing" in capsys.readouterr().out


def test_the_exit_code_says_whether_enough_is_caught(monkeypatch, capsys):
    def studied(found: int, missed: int, unseen: str = "open") -> int:
        caught = [Report(Mutation(f"a{n}", (), nullcontext), 1, {"a/b/c": "fail"}) for n in range(found)]
        others = [Report(Mutation(f"b{n}", (), nullcontext, unseen), 1, {}) for n in range(missed)]
        monkeypatch.setattr(mutations, "studies", lambda *_: iter([*caught, *others]))
        return main([])

    assert studied(97, 3) == 0
    assert studied(96, 4) == 1
    assert studied(99, 1, unseen="") == 1
    assert "Networks: 99 of 100 faults caught, 99.0 %" in capsys.readouterr().out
    # What only falls over is not caught.
    crash = Report(Mutation("c", (), nullcontext), 1, {"a/b/c": "crash"})
    assert not crash.found
    assert crash.problems == ["it is missed without a reason"]
    monkeypatch.undo()
    with pytest.raises(SystemExit):
        main(["--only", "no such fault", "--jobs", "1"])


@pytest.mark.parametrize("jobs", [1, *([2] if THOROUGH else [])])
def test_processes_study_as_one_does(jobs, capsys):
    assert main(["--jobs", str(jobs), "--only", "mil.threshold:"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert re.match(r"caught +\d+ of +\d+  mil\.threshold: the minimum  \{'fail': \d+\}", lines[0])
    assert lines[1] == "ML Programs: 1 of 1 faults caught, 100.0 %"


def test_the_report():
    one, other, third = NETWORKS[0], NETWORKS[1], PROGRAMS[0]
    text = markdown(
        [Report(one, 3, {"a/b/c": "fail"}, ["a.S1"]), Report(other, 2, {}), Report(third, 2, {"d/e/f": "fail"})]
    )
    assert "They break 1 of" in text
    assert "1 caught (50.0 %)" in text
    assert f"{other.name}: UNEXPLAINED" in text
    assert f"| {one.name} | a.S1 | 3 | 1 | `a/b/c` |" in text
    assert "## ML Programs\n\n1 faults" in text
    assert f"| {third.name} | 2 | 1 | `d/e/f` |" in text
