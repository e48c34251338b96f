"""``refcoreml judge``: files in, verdict and exit code out."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from refcoreml import build
from refcoreml.judge import likely_bounds
from refcoreml.oracle import oracle
from refcoreml.verdicts import FP16, FP32, NOT_EXPLAINED, SUSPICIOUS, UNDETERMINED, Conversion

RNG = np.random.default_rng(3)


def network(fault=1.0):
    """Two dense layers with a tangent between; of the second one row of weights may be off by a factor."""
    rng = np.random.default_rng(1)
    net = build.Network({"x": (17,)}, ["y"], exact=True)
    weights = [rng.normal(size=shape).astype(np.float32) / 4 for shape in ((13, 17), (6, 13))]
    weights[1][2] *= np.float32(fault)
    net.add(
        "innerProduct",
        name="first",
        inputs=["x"],
        outputs="a",
        weights=weights[0],
        input_channels=17,
        output_channels=13,
    )
    net.add("activation", name="tanh", inputs=["a"], outputs="t", tanh={})
    net.add(
        "innerProduct",
        name="second",
        inputs=["t"],
        outputs="y",
        weights=weights[1],
        input_channels=13,
        output_channels=6,
    )
    return net.model()


@pytest.fixture
def files(tmp_path):
    """A model, inputs, and what honest and faulty devices record."""
    x = RNG.normal(size=17).astype(np.float32)
    network().save(tmp_path / "net.mlmodel")
    np.savez(tmp_path / "x.npz", x=x)
    for name, model, precision in (
        ("single", network(), "float32"),
        ("half", network(), "float16"),
        ("faulty", network(1.05), "float32"),
    ):
        values = {}
        for event in model.with_precision(precision).trace({"x": x}):
            values.update({blob: np.asarray(value) for blob, value in event.outputs.items()})
        np.savez(tmp_path / f"{name}.npz", y=values["y"])
        np.savez(tmp_path / f"{name}-inside.npz", **{blob: value for blob, value in values.items() if blob != "y"})
    return tmp_path


def judged(run, files, outputs, *more):
    return run("judge", files / "net.mlmodel", "--inputs", files / "x.npz", "--outputs", files / outputs, *more)


@pytest.mark.parametrize(
    ("outputs", "expected", "answer"),
    [("single.npz", 0, FP32), ("half.npz", 0, FP16), ("faulty.npz", 1, NOT_EXPLAINED)],
)
def test_the_exit_code_is_the_verdict(run, files, outputs, expected, answer):
    code, out, err = judged(run, files, outputs)
    assert code == expected, err
    assert out.splitlines()[0] in (answer, SUSPICIOUS)


def test_the_operation_is_named_with_values_inside(run, files):
    inside = ("--intermediates", files / "faulty-inside.npz")
    code, out, _ = judged(run, files, "faulty.npz", *inside)
    assert code == 1
    assert "operation: second" in out
    code, out, _ = judged(run, files, "faulty.npz", *inside, "--json")
    found = json.loads(out)
    assert found["operation"] == "second"
    assert not found["explained"]
    assert [each["name"] for each in found["values"]] == ["a", "t", "y"]


def test_suspicious_has_a_code_of_its_own(run, files):
    x = {"x": np.load(files / "x.npz")["x"]}
    likely, proven = likely_bounds(network(), x)["y"], oracle(network(), x, "fp32")["y"]
    place = int((proven.bound / likely.radius).argmax())
    y = likely.value.copy()
    y[place] += (likely.radius[place] * 2 + proven.bound[place]) / 2
    assert likely.radius[place] * 2 < proven.bound[place]
    np.savez(files / "between.npz", y=y)
    code, out, _ = judged(run, files, "between.npz", "--profile", "fp32")
    assert (code, out.splitlines()[0]) == (7, SUSPICIOUS)
    code, out, _ = judged(run, files, "between.npz", "--profile", "fp32", "--no-proven")
    assert (code, out.splitlines()[0]) == (1, NOT_EXPLAINED)


@pytest.mark.parametrize(
    ("found", "expected", "headline"),
    [
        ("equal", 0, f"rounding: {FP32}"),
        ("different", 9, f"converter: the conversion differs; what was recorded is {FP32}"),
        ("undetermined", 8, UNDETERMINED),
    ],
)
def test_with_a_source_the_exit_code_is_the_cause(run, files, monkeypatch, found, expected, headline):
    monkeypatch.setattr("refcoreml.cli.judge.read_source", lambda text: object())
    conversion = Conversion(found, "why", ("first", "second"), operation="second")
    monkeypatch.setattr("refcoreml.verdicts.judging.conversion", lambda *arguments: conversion)
    code, out, err = judged(run, files, "single.npz", "--source", "net.pt")
    assert (code, out.splitlines()[0]) == (expected, headline), err
    assert ("operation: second, among first, second" in out) is (found == "different")


def test_undetermined_has_a_code_of_its_own(run, files):
    np.savez(files / "inside-only.npz", a=np.load(files / "single-inside.npz")["a"])
    code, out, _ = judged(run, files, "inside-only.npz")
    assert code == 8
    assert out.splitlines()[0] == UNDETERMINED
    assert "was not recorded" in out


def test_several_samples_in_an_archive_or_a_folder(run, files):
    x = RNG.normal(size=(3, 17)).astype(np.float32)
    y = np.stack([network().predict({"x": each})["y"] for each in x])
    np.savez(files / "x.npz", x=x)
    np.savez(files / "ys.npz", y=y)
    code, out, err = judged(run, files, "ys.npz", "--json")
    assert code == 0, err
    assert [each["sample"] for each in json.loads(out)["values"]] == ["0", "1", "2"]
    y[1] *= 1.5
    np.savez(files / "ys.npz", y=y)
    code, out, _ = judged(run, files, "ys.npz", "--json")
    assert code == 1
    assert [each["answer"] == FP32 for each in json.loads(out)["values"]] == [True, False, True]

    for folder in ("inputs", "outputs"):
        (files / folder).mkdir()
    for name, part in (("a", slice(0, 1)), ("b", slice(1, 3))):
        np.savez(files / "inputs" / f"{name}.npz", x=x[part])
        np.savez(files / "outputs" / f"{name}.npz", y=y[part] if name == "b" else y[part][0])
    arguments = ("judge", files / "net.mlmodel", "--inputs", files / "inputs", "--outputs", files / "outputs", "--json")
    code, out, _ = run(*arguments)
    assert code == 1
    assert [each["sample"] for each in json.loads(out)["values"] if each["answer"] != FP32] == ["b.npz 0"]
    (files / "outputs" / "a.npz").unlink()
    assert run(*arguments)[0] == 2


def test_an_array_without_a_name_is_the_only_output(run, files):
    np.save(files / "y.npy", np.load(files / "single.npz")["y"])
    assert judged(run, files, "y.npy")[0] == 0


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({}, "holds nothing"),
        ({"z": np.zeros(6)}, "no output or value"),
        ({"y": np.zeros(5)}, "shape"),
        ({"y": np.zeros(6, np.int8)}, "int8"),
        ({"y": np.zeros(6), "\x1b[31mz": np.zeros(6)}, "no output or value"),
    ],
)
def test_recordings_that_do_not_fit_are_wrong_arguments(run, files, arrays, problem):
    np.savez(files / "bad.npz", **arrays)
    code, _, err = judged(run, files, "bad.npz")
    assert code == 2
    assert problem in err
    assert "\x1b" not in err


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"text"])
def test_damaged_files_are_wrong_arguments(run, files, content):
    (files / "bad.npz").write_bytes(content)
    code, _, err = judged(run, files, "bad.npz")
    assert code == 2
    assert "cannot be read" in err


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("nothing", "no source"),
        ("missing.pt", "no such file"),
        ("missing.onnx", "no such file"),
        ("no_such_module_at_all:net", "no module"),
        ("missing.py:net", "no such file"),
        ("json:lodas", "has no"),
    ],
)
def test_sources_that_do_not_exist_are_wrong_arguments(run, files, source, problem):
    code, _, err = judged(run, files, "single.npz", "--source", source)
    assert code == 2, err
    assert re.search(problem, err)


def test_the_page_shows_the_verdict_and_needs_nothing_else(run, files):
    page = files / "verdict.html"
    code, out, _ = judged(run, files, "faulty.npz", "--intermediates", files / "faulty-inside.npz", "--html", page)
    assert code == 1
    assert "written to" in out
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "Operation: second" in text
    assert text.count("<tr") == 4  # the head and three values
    assert "http" not in text.replace("http-equiv", "")
    code, _, err = judged(run, files, "single.npz", "--html", files / "verdict.txt")
    assert code == 2
    assert "must end in" in err
