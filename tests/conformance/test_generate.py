"""The generator: its random source, and that it would write the committed cases again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from profiles import THOROUGH

from conformance import catalogue, generate
from conformance.catalogue.data import Source, draw, fnv1a

CASES = Path(__file__).resolve().parents[2] / "conformance/cases"


def test_the_source_is_splitmix64_from_fnv1a():
    # The published first outputs of SplitMix64 for the seed 1234567, and FNV-1a of "a" and of nothing.
    assert fnv1a("") == 0xCBF29CE484222325
    assert fnv1a("a") == 0xAF63DC4C8601EC8C
    source = Source("any")
    source._state = np.uint64(1234567)
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert source.bits(2).tolist() + source.bits(2).tolist() == expected


def test_kinds_of_data():
    source = Source("kinds")
    whole = draw(source, "integers", (3, 50))
    assert set(whole.ravel()) == set(range(-4, 5))
    cancelling = draw(source, "cancellation", (400,)).reshape(-1, 2)
    assert (np.abs(cancelling.sum(axis=1)) < 0.04).all()
    assert np.abs(cancelling).max() > 25
    assert np.isnan(draw(source, "nan", (60,))).any()
    assert not np.isnan(draw(source, "special", (60,))).any()
    with pytest.raises(ValueError, match="no kind"):
        draw(source, "nothing", (3,))


@pytest.fixture
def only(monkeypatch):
    """Leave of the catalogue some modules, whose plans do not depend on the others."""

    def leave(*names):
        monkeypatch.setattr(catalogue, "_MODULES", [getattr(catalogue, name) for name in names])

    return leave


def test_further_sets_have_other_numbers(only):
    only("linear")
    first, second = [], []
    for plan in generate.plans(2):
        if plan.id.startswith("innerProduct/vector/"):
            (second if plan.id.endswith("-2") else first).append(plan)
    assert [plan.id + "-2" for plan in first] == [plan.id for plan in second]
    for one, other in zip(first, second, strict=True):
        assert not np.array_equal(one.inputs["x0"], other.inputs["x0"])
        assert one.model != other.model


def test_the_catalogue_has_the_committed_cases():
    assert sorted(plan.id for plan in generate.plans()) == sorted(
        path.parent.relative_to(CASES).as_posix() for path in CASES.rglob("case.json")
    )


def test_regenerated_cases_agree():
    for number, plan in enumerate(generate.plans()):
        # Rounding leaves open how some branches turn; of these, profiles are left out.
        if (
            number % (23 if THOROUGH else 71) == 0
            or plan.family in ("random", "networks")
            or plan.id.startswith("branch/")
        ):
            assert list(generate.differences(plan, CASES / plan.id)) == [], plan.id


def test_a_difference_is_seen(tmp_path, only):
    only("convolution")
    plan = next(plan for plan in generate.plans() if plan.id == "convolution/valid/zero-mean")
    generate.write(plan, tmp_path / plan.id)
    assert list(generate.differences(plan, tmp_path / plan.id)) == []
    plan.inputs["x0"][0, 0, 0] += 1
    problems = list(generate.differences(plan, tmp_path / plan.id))
    assert any("input x0 differs" in problem for problem in problems)
    assert any("references differ" in problem for problem in problems)


def test_cases_that_are_missing_or_unknown_are_told(tmp_path, capsys, monkeypatch, only):
    only("elementwise")
    plans = [plan for plan in generate.plans() if plan.id.startswith("ceil/plain/")]
    monkeypatch.setattr(generate, "plans", lambda sets: plans)
    first, *others = plans
    for plan in others:
        generate.write(plan, tmp_path / plan.id)
    generate.write(first, tmp_path / "ceil/plain/strange")
    assert generate.main(["--check", "--out", str(tmp_path)]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told == [
        f"{first.id}: is missing",
        "ceil/plain/strange: is not in the catalogue",
        f"{len(plans)} cases compared",
    ]


@pytest.mark.parametrize(
    ("id", "function", "problem"),
    [
        ("convolution/valid/integers", "rounded_of", "another bound of rounded sums"),
        ("convolution/many/zero-mean", "deviation_of", "another deviation"),
    ],
)
def test_a_difference_in_further_arrays_is_seen(tmp_path, monkeypatch, only, id, function, problem):
    only("convolution")
    plan = next(plan for plan in generate.plans() if plan.id == id)
    generate.write(plan, tmp_path / id)
    assert list(generate.differences(plan, tmp_path / id)) == []
    honest = getattr(generate, function)

    def slightly_more(value):
        return {k: slightly_more(v) for k, v in value.items()} if isinstance(value, dict) else value * (1 + 2.0**-18)

    for other in (lambda plan: slightly_more(honest(plan)), lambda plan: {}):
        monkeypatch.setattr(generate, function, other)
        problems = list(generate.differences(plan, tmp_path / id))
        assert problems
        assert all(problem in told for told in problems)


def test_a_difference_in_what_a_case_requires_is_seen(tmp_path, only):
    only("custom")
    plan = next(plan for plan in generate.plans() if plan.id == "custom/total/integers")
    generate.write(plan, tmp_path / plan.id)
    plan.repeat = 2
    plan.custom_layers = {}
    problems = list(generate.differences(plan, tmp_path / plan.id))
    assert [problems[0], problems[1][:11]] == ["repeat is None, now 2", "requires is"]
    assert len(problems) == 2


def test_written_cases_are_the_same_in_every_run(tmp_path, only):
    only("linear", "convolution")
    assert generate.main(["--only", "dot/*", "--out", str(tmp_path)]) == 0
    for path in tmp_path.rglob("case.json"):
        name = path.parent.relative_to(tmp_path)
        written, committed = (json.loads((root / name / "case.json").read_text()) for root in (tmp_path, CASES))
        for key in ("id", "inputs", "requires", "layers"):
            assert written[key] == committed[key]
    assert generate.main(["--only", "dot/*", "--out", str(tmp_path), "--check"]) == 0
    assert generate.main(["--only", "nothing", "--out", str(tmp_path)]) == 1


def test_a_folder_with_anything_else_in_it_is_not_replaced(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(generate, "plans", lambda sets: iter(()))
    (tmp_path / "ceil" / "plain").mkdir(parents=True)
    (tmp_path / "ceil" / "plain" / "case.json").write_text("{}")
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(SystemExit):
        generate.main(["--out", str(tmp_path)])
    assert "letter.txt" in capsys.readouterr().err
    assert (tmp_path / "letter.txt").read_text() == "mine"
    (tmp_path / "letter.txt").unlink()
    generate.main(["--out", str(tmp_path)])
    assert not tmp_path.exists()  # and nothing is written, since there are no plans here
