"""``refcoreml study``, run in the process."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from refcoreml import build
from refcoreml.cli import study

pytest.importorskip("matplotlib", reason="needs matplotlib, the extra plot")


@pytest.fixture
def files(tmp_path):
    generator = np.random.default_rng(0)
    net = build.Network({"x": (30,)}, ["scores"], classes=[3, 4, 5])
    first, last = (generator.normal(size=shape).astype(np.float32) for shape in ((40, 30), (3, 40)))
    net.add("innerProduct", name="first", weights=first, input_channels=30, output_channels=40)
    net.add("innerProduct", name="last", outputs="scores", weights=last, input_channels=40, output_channels=3)
    net.model().save(tmp_path / "net.mlmodel")
    x = generator.normal(size=(20, 30))
    np.savez(tmp_path / "x.npz", x=x, kind=3 + (x @ first.T @ last.T).argmax(1))
    return tmp_path / "net.mlmodel", tmp_path / "x.npz"


def test_table_and_files(run, files, tmp_path):
    model, data = files
    out_folder = tmp_path / "out"
    code, out, err = run("study", model, "--data", data, "--labels", "kind", "--bits", "8,2", "-o", out_folder)
    assert code == 0, err
    assert "net.mlmodel" in out
    assert "report.html" in out
    assert {path.name for path in out_folder.iterdir()} >= {
        "records.jsonl",
        "study.csv",
        "study.json",
        "report.html",
        "size.png",
    }
    found = json.loads((out_folder / "study.json").read_text())
    assert [record["configuration"]["bits"] for record in found["records"]] == [8, 8, 2, 2]
    assert found["records"][0]["full_accuracy"] == 1.0


@pytest.mark.parametrize(("asked", "cores", "used"), [("1000000", 3, [3]), ("2", 3, [2]), ("5", 1, [])])
def test_no_more_processes_than_cores(run, files, tmp_path, monkeypatch, asked, cores, used):
    model, data = files
    seen = []

    def processes(jobs, prepare):
        seen.append(jobs)
        return ThreadPoolExecutor(1)

    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(study, "processes", processes)
    run("study", model, "--data", data, "--bits", "8", "--modes", "linear", "--jobs", asked, "-o", tmp_path / "out")
    assert seen == used


def test_files_of_others_are_not_replaced(run, files, tmp_path):
    model, data = files
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "report.html").write_text("mine")
    (folder / "notes.txt").write_text("mine")
    code, _, err = run("study", model, "--data", data, "--bits", "8", "-o", folder)
    assert (code, "holds report.html, which no study has written" in err) == (2, True), err
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt", "report.html"]  # before any work
    assert (folder / "report.html").read_text() == "mine"
    (folder / "report.html").unlink()
    for _ in range(2):  # its own it replaces
        assert run("study", model, "--data", data, "--bits", "8", "-o", folder)[0] == 0
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_study_of_more_classes_than_there_are(run, files, tmp_path):
    model, data = files
    code, _, err = run("study", model, "--data", data, "--bits", "8", "--top", "77", "-o", tmp_path / "out")
    assert (code, "no output has scores of 77 classes, the most are 3" in err) == (2, True), err


def test_json_plan_sensitivity_and_jobs(run, files, tmp_path):
    model, data = files
    arguments = ("--bits", "8,4", "--modes", "linear", "--sensitivity", "4", "--budget", "30%", "--jobs", "2", "--json")
    code, out, err = run("study", model, "--data", data, "-o", tmp_path / "out", *arguments)
    assert code == 0, err
    found = json.loads(out)
    assert found["plan"]["ratio"] <= 0.3
    assert {record["configuration"]["kind"] for record in found["records"]} == {"sweep", "only", "except", "plan"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--bits", "9"), "9 is not 1 to 8"),
        (("--modes", "cubic"), "unknown mode"),
        (("--jobs", "0"), "at least 1"),
        (("--floor", "2"), "must be a rate"),
        (("--floor", "98"), "must be a rate from 0 to 1, such as 0.99 for 99 %, got 98"),
        (("--budget", "1.5"), "must be a number of bytes"),
        (("--labels", "nothing"), "no labels 'nothing'"),
    ],
)
def test_arguments_that_make_no_sense(run, files, tmp_path, arguments, message):
    code, _, err = run("study", files[0], "--data", files[1], "-o", tmp_path / "out", *arguments)
    assert code == 2
    assert message in err
    assert not (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize("budget", ["150%", "0%", "-5%", "nan%"])
def test_a_share_of_the_size_is_at_most_all_of_it(run, files, tmp_path, budget, capsys):
    with pytest.raises(SystemExit) as stop:
        run("study", files[0], "--data", files[1], "-o", tmp_path / "out", f"--budget={budget}")
    assert stop.value.code == 2
    assert "must be above 0% and at most 100%" in capsys.readouterr().err


def test_labels_without_usable_scores_are_not_dropped(run, files, tmp_path):
    net = build.Network({"x": (30,)}, ["y"])
    weights = np.random.default_rng(0).normal(size=(3, 30)).astype(np.float32)
    net.add("innerProduct", inputs="x", outputs="y", weights=weights, input_channels=30, output_channels=3)
    net.model().save(tmp_path / "array.mlmodel")
    given = ("study", tmp_path / "array.mlmodel", "--data", files[1], "--labels", "kind", "--bits", "8")
    code, _, err = run(*given, "-o", tmp_path / "out")
    assert code == 2
    assert "there are true labels, but no output has classes" in err
    assert "--scores" in err
