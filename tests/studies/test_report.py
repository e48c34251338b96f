"""Tables, figures, contact sheets and the report."""

from __future__ import annotations

import csv
import json
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from study_example import NAMES, classifier, samples

import refcoreml
from refcoreml import build
from refcoreml.errors import UsageError
from refcoreml.studies import contact_sheet
from refcoreml.studies.report import check_folder

#: Names of files that `Study.write` writes.
WRITTEN = ("study.csv", "plan.json", "report.html", "size.png", "sheet.png")
VOID = {"meta", "img"}


class Page(HTMLParser):
    """Checks that tags close as they open; collects where the page points to, and its text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.sources += [value for name, value in attributes if name in ("src", "href", "data", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def _matplotlib():
    pytest.importorskip("matplotlib", reason="needs matplotlib, the extra plot")


@pytest.mark.usefixtures("_matplotlib")
def test_the_report_needs_nothing_else(tmp_path):
    found = refcoreml.study(
        classifier(), samples(), bits=(16, 8, 3, 2), sensitivity=(3,), budget=0.25, labels=["cow"] * 24
    )
    written = found.write(tmp_path)
    assert all(path.stat().st_size > 0 for path in written)
    names = {path.name for path in written}
    assert {
        "study.csv",
        "study.json",
        "report.html",
        "size.png",
        "sensitivity.png",
        "plan.png",
        "weights.png",
        "bounds.png",
    } <= names
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.sources
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert "http" not in text
    assert "@import" not in text
    assert "url(" not in text
    words = " ".join(page.words)
    for name in NAMES:
        assert name in words
    for record in found.of_kind("sweep"):
        assert f"{record.size:,}" in words
    for path in written:
        if path.suffix == ".png":
            with Image.open(path) as picture:
                picture.load()
                assert min(picture.size) > 150
    with open(tmp_path / "study.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found.records)
    assert json.loads((tmp_path / "study.json").read_text())["plan"]["size"] == found.plan.size
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert refcoreml.quantize_weights(found.model, plan=plan).spec == found.planned_model().spec
    assert found.planned_model().spec.ByteSize() == found.plan.size


@pytest.mark.parametrize("mode", ["linear", "linear_symmetric", "linear_lut", "linear:mse", "kmeans"])
def test_no_error_is_above_its_bound_and_some_reach_it(mode):
    found = refcoreml.study(classifier(), samples(2), bits=(16, 8, 3), modes=(mode,))
    for record in found.records:
        pairs = record.bounds
        assert len(pairs) >= 2, "a table takes more room than the last layer's 200 weights"
        assert all(0 < error <= bound for bound, error in pairs)
        assert max(error / bound for bound, error in pairs) > 0.9, "of thousands of weights some come near"


@pytest.mark.usefixtures("_matplotlib")
def test_names_cannot_break_the_page(tmp_path):
    net = build.Network({"x": (30,)}, ["y"])
    weights = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
    name = r"<script>alert(1)</script>$\frac$"
    net.add("innerProduct", name=name, outputs="y", weights=weights, input_channels=30, output_channels=40)
    found = refcoreml.study(net.model(), samples(), bits=(4,), sensitivity=(4,))
    found.write(tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "<script" not in text
    assert "&lt;script" in text
    Page(text)


def painter(shift=0.0):
    """A 1x1 convolution of colours with many input weights in another layer, so that something gets smaller."""
    generator = np.random.default_rng(0)
    net = build.Network({"image": build.image(32, 20)}, {"styled": build.image(32, 20)})
    first = generator.normal(size=(16, 3, 3, 3)).astype(np.float32) / 5
    last = generator.normal(size=(3, 16, 3, 3)).astype(np.float32) / 9
    common = {"kernel_size": [3, 3], "n_groups": 1, "same": {}}
    net.add("convolution", weights=first, output_channels=16, kernel_channels=3, **common)
    net.add("convolution", weights=last, output_channels=3, kernel_channels=16, outputs="styled", **common)
    return net.model()


@pytest.fixture
def pictures(tmp_path):
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 32, 3)).astype(np.uint8)
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    return tmp_path / "in"


def test_a_contact_sheet_holds_the_outputs_themselves(pictures):
    model = painter()
    sheet = np.asarray(contact_sheet(model, pictures, (32, 4), "kmeans", rows=2))
    quantized = refcoreml.quantize_weights(model, 4, "kmeans")
    with Image.open(pictures / "1.png") as picture:
        second = picture.convert("RGB")
    expected = [second, model.predict({"image": second})["styled"], quantized.predict({"image": second})["styled"]]
    for column, image in enumerate(expected):
        x, y = 8 + column * (32 + 8), 8 + 20 + (20 + 20 + 8)
        np.testing.assert_array_equal(sheet[y : y + 20, x : x + 32], np.asarray(image)[..., :3])
    assert sheet.shape[1] == 3 * 40 + 8
    for column in range(3):
        assert sheet[8:28, 8 + 40 * column : 40 + 40 * column].min() < 128, "each column has a title above it"


def test_wide_outputs_are_shrunk(pictures):
    assert contact_sheet(painter(), pictures, (32, 8), width=16).width == 3 * (16 + 8) + 8


def test_sheets_that_cannot_be():
    with pytest.raises(UsageError, match="no image output"):
        contact_sheet(classifier(), samples())
    with pytest.raises(UsageError, match=r"no image output 'y'.*styled"):
        contact_sheet(painter(), [], output="y")
    with pytest.raises(UsageError, match="no samples"):
        contact_sheet(painter(), [])


@pytest.mark.usefixtures("_matplotlib")
def test_a_study_of_pictures_shows_them(pictures, tmp_path):
    found = refcoreml.study(painter(), pictures, bits=(4, 2))
    assert tmp_path / "out" / "sheet.png" in found.write(tmp_path / "out")
    assert found.records[0].agreement is None


def test_without_matplotlib_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    found = refcoreml.study(classifier(), samples(), bits=(4,))
    with pytest.raises(UsageError, match="pip install matplotlib"):
        found.write(tmp_path)
    assert "4  linear" in found.table()


@pytest.mark.parametrize("name", WRITTEN)
def test_a_report_replaces_no_file_of_others(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=f"holds {name}, which no study has written"):
        check_folder(tmp_path)
    with pytest.raises(UsageError, match=f"holds {name}, which no study has written"):
        refcoreml.study(None, [], directory=tmp_path)
    assert (tmp_path / name).read_text() == "mine"
    (tmp_path / "study.json").write_text("{}")
    assert check_folder(tmp_path) == tmp_path
    with pytest.raises(UsageError, match="is no folder"):
        check_folder(tmp_path / name)
