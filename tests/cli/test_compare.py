"""``refcoreml compare``, run in the process."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from refcoreml import build


def classifier(path, weights):
    net = build.Network({"x": (3,)}, ["scores"], classes=["a", "b", "c", "d"])
    net.add("innerProduct", outputs="scores", weights=weights, input_channels=3, output_channels=4)
    net.model().save(path)
    return path


@pytest.fixture
def files(tmp_path):
    """Two classifiers that agree on 3 of 4 samples, and these."""
    weights = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], np.float32)
    other = weights.copy()
    other[3] = [0, 0, 2]
    np.savez(tmp_path / "x.npz", x=np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 1, 0]]), kind=["a", "b", "c", "b"])
    return classifier(tmp_path / "a.mlmodel", weights), classifier(tmp_path / "b.mlmodel", other), tmp_path / "x.npz"


def test_table_json_and_csv(run, files, tmp_path):
    a, b, data = files
    code, out, _ = run("compare", a, b, "--data", data, "--labels", "kind", "--top", "2")
    assert code == 0
    assert "top-1 75.00% (3 of 4)" in " ".join(out.split())
    code, out, _ = run(
        "compare", a, b, "--data", data, "--labels", "kind", "--json", "--layers", "--csv", tmp_path / "r.csv"
    )
    found = json.loads(out)
    assert found["outputs"][0]["agreement"]["1"] == {"agreed": 3, "tied": 0, "total": 4}
    assert found["outputs"][0]["accuracy_reference"]["1"]["agreed"] == 3
    assert found["by_layer"]["layers"][0]["own"]["max_error"] == 2
    with open(tmp_path / "r.csv", newline="") as file:
        assert [row["layer"] for row in csv.DictReader(file)] == ["innerProduct0"]


def test_more_than_there_are_classes(run, files):
    a, b, data = files
    code, _, err = run("compare", a, b, "--data", data, "--top", "77")
    assert (code, "top: no output has scores of 77 classes, the most are 4" in err) == (2, True), err
    assert run("compare", a, b, "--data", data, "--top", "4")[0] == 0
    assert run("compare", a, b, "--data", data)[0] == 0  # 5, unless asked for another


@pytest.mark.parametrize(
    ("threshold", "code"),
    [
        (("--min-agreement", "0.75"), 0),
        (("--min-agreement", "0.8"), 1),
        (("--min-snr", "-100"), 0),
        (("--min-snr", "100"), 1),
    ],
)
def test_exit_code_tells_whether_a_threshold_is_met(run, files, threshold, code):
    a, b, data = files
    found, out, _ = run("compare", a, b, "--data", data, *threshold)
    assert found == code
    assert ("less than" in out) == (code == 1)
    lines = [line for line in out.splitlines() if line.startswith("ok: ")]
    assert len(lines) == (code == 0)
    assert all("at least 75.00%" in line or line.endswith("dB, at least -100 dB") for line in lines)


def test_a_threshold_that_means_nothing(run, files, tmp_path):
    net = build.Network({"x": (3,)}, ["y"])
    net.add("activation", outputs="y", ReLU={})
    net.model().save(tmp_path / "r.mlmodel")
    code, _, err = run(
        "compare", tmp_path / "r.mlmodel", tmp_path / "r.mlmodel", "--data", files[2], "--min-agreement", 1
    )
    assert code == 2
    assert "no labels that could agree" in err


@pytest.mark.parametrize("value", ["nan", "-inf"])
def test_a_threshold_of_the_snr_that_everything_or_nothing_meets(run, files, value):
    a, b, data = files
    code, _, err = run("compare", a, b, "--data", data, f"--min-snr={value}")
    assert code == 2
    assert f"--min-snr: must be a number of decibels, got {value}" in err


@pytest.mark.parametrize("rate", ["99", "1.01", "-0.5", "nan"])
def test_a_rate_is_from_zero_to_one(run, files, rate):
    code, _, err = run("compare", *files[:2], "--data", "no such file", f"--min-agreement={rate}")
    assert code == 2
    assert "--min-agreement: must be a rate from 0 to 1, such as 0.99 for 99 %" in " ".join(err.split())


def test_precisions(run, files, tmp_path):
    a, _, _ = files
    np.savez(tmp_path / "third.npz", x=np.full((1, 3), 1 / 3))
    code, out, _ = run("compare", a, a, "--precision-second", "float16", "--data", tmp_path / "third.npz", "--json")
    assert code == 0
    expected = float(np.float32(1 / 3)) - float(np.float16(1 / 3))
    assert json.loads(out)["outputs"][0]["difference"]["max_error"] == pytest.approx(abs(expected), rel=1e-12)


@pytest.fixture
def pictures(tmp_path):
    net = build.Network({"image": build.image(6, 4)}, {"y": build.image(6, 4)})
    net.add("activation", outputs="y", linear={"alpha": 1.0})
    net.model().save(tmp_path / "p.mlmodel")
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("RGB", (12, 8), "red").save(folder / "red.png")
    (folder / "cut.jpg").write_bytes(b"\xff\xd8 cut")
    return tmp_path / "p.mlmodel", folder


def test_folders_with_broken_pictures(run, pictures):
    model, folder = pictures
    code, _, err = run("compare", model, model, "--images", folder, "--resize", "fill")
    assert code == 2
    assert "cut.jpg" in err
    code, out, _ = run("compare", model, model, "--images", folder, "--resize", "fill", "--skip-broken")
    assert code == 0
    assert "skipped as broken: cut.jpg" in out


def test_a_warning_is_shown_once(run, tmp_path):
    net = build.Network({"image": build.image(6, 4)}, {"y": build.image(6, 4)})
    net.add("activation", outputs="n", linear={"alpha": -1.0, "beta": -1.0})
    net.add("unary", outputs="y", type="LOG")
    net.model().save(tmp_path / "nan.mlmodel")
    for number in range(3):
        Image.new("RGB", (6, 4), (number, 0, 0)).save(tmp_path / f"{number}.png")
    code, _, err = run("compare", tmp_path / "nan.mlmodel", tmp_path / "nan.mlmodel", "--images", tmp_path)
    assert code == 0
    assert err.count("holds NaN") == 1


def test_wrong_arguments(run, pictures, tmp_path):
    model, folder = pictures
    code, _, err = run("compare", model, model, "--images", folder, "--csv", tmp_path / "none" / "x.csv")
    assert code == 2
    assert "no such folder" in err
    with pytest.raises(SystemExit):
        run("compare", model, model)


def test_a_figure(run, files, tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib, the extra plot")
    code, _, err = run("compare", *files[:2], "--data", files[2], "--plot", tmp_path / "f.svg")
    assert code == 0, err
    assert (tmp_path / "f.svg").read_text().count("agreement") >= 1
