"""The demo: its files are whole, and the model is as good as it is said to be, exactly."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import refcoreml
from refcoreml import demo
from refcoreml.cli import main
from refcoreml.cli.demo import drawing, typed

#: What training left: so many held-out digits are right, of so many.
RIGHT, HELD_OUT = 360, 360


@pytest.fixture(scope="module")
def model() -> refcoreml.Model:
    return refcoreml.load(demo.digits_model_path())


def test_every_held_out_digit_is_right(model: refcoreml.Model) -> None:
    images, labels = demo.held_out()
    outputs = model.predict([{"image": image} for image in images])
    assert len(outputs) == HELD_OUT
    assert sum(output["classLabel"] == label for output, label in zip(outputs, labels, strict=True)) == RIGHT


def test_a_model_that_sees_nothing_is_not(model: refcoreml.Model) -> None:
    """The count above can fail: digits upside down are mostly wrong."""
    images, labels = demo.held_out()
    outputs = model.predict([{"image": image.rotate(180)} for image in images])
    right = sum(output["classLabel"] == label for output, label in zip(outputs, labels, strict=True))
    assert right < HELD_OUT / 2


@pytest.mark.parametrize("precision", ["float64", "float16"])
def test_labels_do_not_depend_on_the_precision(precision: str) -> None:
    images, labels = demo.held_out()
    outputs = refcoreml.load(demo.digits_model_path(), precision=precision).predict([{"image": i} for i in images])
    assert [output["classLabel"] for output in outputs] == labels


def test_probabilities(model: refcoreml.Model) -> None:
    for image, _ in demo.samples():
        output = model.predict({"image": image})
        assert list(output["probabilities"]) == list(range(10))
        values = np.array(list(output["probabilities"].values()))
        assert (values >= 0).all()
        # Ten quotients and their float32 denominator: ten roundings each way.
        assert abs(values.sum() - 1) <= 20 * 2.0**-24
        assert output["classLabel"] == values.argmax()


def test_samples(model: refcoreml.Model) -> None:
    samples = demo.samples()
    assert [label for _, label in samples[:10]] == list(range(10))
    assert len(samples) == 12
    for image, label in samples:
        assert (image.mode, image.size) == ("L", (demo.IMAGE_SIZE, demo.IMAGE_SIZE))
        assert model.predict({"image": image})["classLabel"] == label


def test_samples_are_held_out_digits() -> None:
    """Pixel by pixel, so that the interpolation is still the one that the model was trained with."""
    images, labels = demo.held_out()
    folder = resources.files(demo)
    for (image, label), entry in zip(
        demo.samples(), json.loads((folder / "samples.json").read_text(encoding="utf-8")), strict=True
    ):
        assert labels[entry["held_out"]] == label
        np.testing.assert_array_equal(np.asarray(image), np.asarray(images[entry["held_out"]]))


def test_hard_samples_are_the_least_certain(model: refcoreml.Model) -> None:
    images, labels = demo.held_out()
    outputs = model.predict([{"image": image} for image in images])
    certainty = [output["probabilities"][label] for output, label in zip(outputs, labels, strict=True)]
    entries = json.loads((resources.files(demo) / "samples.json").read_text(encoding="utf-8"))
    assert [entry["held_out"] for entry in entries[10:]] == list(np.argsort(certainty)[:2])


def test_held_out_digits_are_a_stratified_fifth() -> None:
    """The split that the training script states, from the data set itself."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn holds the data set")
    from sklearn.model_selection import train_test_split

    data = datasets.load_digits()
    _, counts, _, labels = train_test_split(
        data.images, data.target, test_size=HELD_OUT, stratify=data.target, random_state=0
    )
    images, ours = demo.held_out()
    assert ours == labels.tolist()
    for digit, image in zip(counts, images, strict=True):
        np.testing.assert_array_equal(np.asarray(demo.digit_image(digit)), np.asarray(image))


def test_digit_image() -> None:
    counts = np.zeros((8, 8))
    assert demo.digit_image(counts).getextrema() == (0, 0)
    assert demo.digit_image(counts + 16).getextrema() == (255, 255)
    assert demo.digit_image(counts + 7).getextrema() == (112, 112)  # 111.56 rounded
    counts[1, 6] = 16
    bright = np.asarray(demo.digit_image(counts))
    row, column = np.unravel_index(bright.argmax(), bright.shape)
    assert (row // 4, column // 4) == (1, 6)


def test_what_the_file_says() -> None:
    model = refcoreml.load(demo.digits_model_path())
    metadata = model.spec.description.metadata
    assert "CC BY 4.0" in metadata.license
    assert "Alpaydin" in metadata.license
    assert metadata.author
    assert metadata.shortDescription
    assert [feature.describe() for feature in model.inputs] == ["Image (Grayscale 32 x 32)"]
    assert {feature.name for feature in model.outputs} == {"probabilities", "classLabel"}
    assert all(feature.description for feature in [*model.inputs, *model.outputs])


def test_files_are_small_package_data() -> None:
    """Found through importlib.resources, and all together under 300 kB."""
    folder = resources.files("refcoreml.demo")
    files = [folder / name for name in ("digits.mlmodel", "held_out.npz", "samples.json")]
    files += list((folder / "samples").iterdir())
    assert len(files) == 15
    assert sum(len(file.read_bytes()) for file in files) < 300_000


def test_coremltools_reads_the_model() -> None:
    coremltools = pytest.importorskip("coremltools", reason="coremltools checks the file in its own way")
    spec = coremltools.utils.load_spec(str(demo.digits_model_path()))
    assert spec.WhichOneof("Type") == "neuralNetworkClassifier"
    assert list(spec.neuralNetworkClassifier.int64ClassLabels.vector) == list(range(10))


def test_a_picture_is_drawn_the_right_way_round() -> None:
    picture = np.zeros((8, 16), np.uint8)  # of the size at which it is drawn
    picture[:2, 8:] = 255  # the upper right
    rows = drawing(Image.fromarray(picture)).split("\n")
    assert [row[0] + row[-1] for row in rows] == [" █"] * 2 + ["  "] * 6
    assert {len(row) for row in rows} == {16}
    # From the darkest to the lightest, whatever they are.
    rows = drawing(Image.fromarray(100 + picture // 8)).split("\n")
    assert rows[0][0] + rows[0][-1] == " █"


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii", "utf-8"])
def test_the_demo_in_a_file_of_any_encoding(encoding: str, tmp_path: Path) -> None:
    """As ``refcoreml demo > demo.txt`` on Windows, whose encoding has no blocks."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "COLUMNS": "100", "PATH": ""}
    with open(tmp_path / "demo.txt", "wb") as file:
        command = [sys.executable, "-m", "refcoreml", "demo"]
        subprocess.run(command, env=environment, stdout=file, stderr=subprocess.STDOUT, check=True)
    lines = (tmp_path / "demo.txt").read_text(encoding=encoding).splitlines()
    assert f"{len(demo.samples())} of {len(demo.samples())} right" in lines
    cards = [line for line in lines if line.startswith(("|", "│"))]
    assert len({len(line) for line in cards}) == 1  # nothing was written in other letters, which would move the frames
    assert not any("\\" in line for line in cards)
    assert any("█" in line for line in cards) == (encoding in ("cp437", "utf-8"))
    assert len({character for line in cards for character in line}) > 15  # and there is something to see


def test_what_to_type_next_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where ``refcoreml`` is not on the path, as in an environment that was not activated."""
    monkeypatch.setenv("PATH", "")
    assert main(["demo"]) == 0
    python, *arguments = shlex.split(capsys.readouterr().out.splitlines()[-1].removeprefix("next: "))
    assert arguments[:2] == ["-m", "refcoreml"]
    assert os.path.samefile(python, sys.executable)
    assert main(arguments[2:]) == 0


def test_the_path_is_short_and_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert typed(tmp_path / "bin" / "python") == os.path.join("bin", "python")
    assert typed(tmp_path / "a b") == '"a b"'
