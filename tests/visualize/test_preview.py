"""Previews: what is drawn where, in which colours, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refcoreml import InputError, InvalidModelError, UsageError
from refcoreml.cli import main
from refcoreml.spec import schema
from refcoreml.visualize import draw, palette, segmentation_style

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "segmentation"


def description(**parameters):
    made = schema.ModelDescription()
    made.metadata.userDefined["com.apple.coreml.model.preview.type"] = "imageSegmenter"
    made.metadata.userDefined["com.apple.coreml.model.preview.parameters"] = json.dumps(parameters)
    return made


def test_segments_have_the_labels_and_colours_of_the_metadata():
    classes = np.zeros((4, 8), np.int32)
    classes[:, 4:] = 2
    photo = Image.new("RGB", (512, 256), (100, 100, 100))
    style = description(labels=["ground", "cat", "dog"], colors=["#000000", "#00ff00", "#c80000"])
    preview = draw(classes, photo, style)
    assert [(s.label, s.share) for s in preview.segments] == [("ground", 0.5), ("dog", 0.5)]
    assert preview.image.getpixel((50, 50)) == (100, 100, 100)
    assert preview.image.getpixel((400, 50)) == (155, 45, 45), "100 + 0.55 (200 - 100), 100 - 0.55 * 100"
    assert preview.image.height > 256, "a legend"


def test_scores_a_class_are_read_by_their_greatest():
    scores = np.zeros((1, 3, 2, 2), np.float32)
    scores[0, 1, 0] = scores[0, 2, 1] = 1
    assert [s.index for s in draw(scores, None, description()).segments] == [1, 2]


def test_heat_marks_the_peak_of_every_channel():
    heat = np.zeros((2, 8, 16), np.float32)
    heat[0, 1, 3], heat[1, 6, 12] = 1.0, 0.5
    preview = draw(heat, Image.new("RGB", (512, 256), "white"), schema.ModelDescription())
    assert preview.peaks == ((0, 3, 1, 1.0), (1, 12, 6, 0.5))
    first = palette(3)[1]
    assert preview.image.getpixel((int(3.5 * 32), int(1.5 * 32))) == first


@pytest.mark.parametrize("shape", [(482, 5, 5), (9000, 1, 700)])
def test_heat_of_too_many_channels_is_refused_at_once(shape):
    with pytest.raises(UsageError, match=rf"{shape[0]} channels are too many for one picture of \d+ x \d+, at most"):
        draw(np.ones(shape, np.float32), None, schema.ModelDescription(), kind="heat")


def test_probabilities_become_a_list_the_best_first():
    preview = draw({"a": 0.2, "b": 0.7, "c": 0.1}, None, schema.ModelDescription())
    assert [label for label, _ in preview.scores] == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("value", "kind", "error", "message"),
    [
        (np.array([[np.nan, 0]]), "heat", InputError, "NaN"),
        (np.array([[-1, 0]]), "segments", InputError, "classes from -1"),
        (np.array([[0.5, 7.2]]), "segments", InputError, "neither integers nor probabilities"),
        (np.zeros(3), None, UsageError, "no picture"),
        (np.zeros((2, 3, 4, 5)), "heat", UsageError, "more than one picture"),
        (np.zeros((2, 2)), "label", UsageError, "not a label"),
        (np.zeros((2, 2)), "spiral", UsageError, "unknown kind"),
    ],
)
def test_what_cannot_be_drawn_is_said(value, kind, error, message):
    with pytest.raises(error, match=message):
        draw(value, None, schema.ModelDescription(), kind=kind)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON"),
        ("[]", "expected an object"),
        ('{"colors": ["red"]}', "no colour"),
        ("[" * 100_000, "no JSON"),
        ("1" * 100_000, "no JSON"),
    ],
)
def test_damaged_metadata_is_said(text, message):
    made = description()
    made.metadata.userDefined["com.apple.coreml.model.preview.parameters"] = text
    with pytest.raises(InvalidModelError, match=message):
        segmentation_style(made, 3)


def test_the_example_from_the_command_line(tmp_path, capsys):
    target = tmp_path / "overlay.png"
    arguments = [str(EXAMPLE / "shapes.mlmodel"), "--input", str(EXAMPLE / "scene.png"), "-o", str(target), "--json"]
    assert main(["preview", *arguments]) == 0
    facts = json.loads(capsys.readouterr().out)
    truth = np.asarray(Image.open(EXAMPLE / "scene-classes.png"))
    assert facts["kind"] == "segments"
    for segment in facts["segments"]:
        true_share = (truth == segment["index"]).mean()
        assert abs(segment["share"] - true_share) < 0.05
    assert {segment["label"] for segment in facts["segments"]} == {"background", "disc", "square", "triangle"}
    with Image.open(target) as picture:
        assert picture.width == 512


def test_a_wrong_target_or_output_is_said_before_anything_is_computed(tmp_path, capsys):
    model, scene = str(EXAMPLE / "shapes.mlmodel"), str(EXAMPLE / "scene.png")
    assert main(["preview", model, "--input", scene, "-o", str(tmp_path / "a.gif")]) == 2
    assert main(["preview", model, "--input", scene, "-o", str(tmp_path / "a.png"), "--show", "q"]) == 2
    assert "no output 'q'" in capsys.readouterr().err


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("value", [3e38, -3e38, 2.0**70])
def test_classes_beyond_all_integers_are_refused_without_a_warning(value):
    with pytest.raises(InputError):
        draw(np.full((4, 8), value, np.float32), None, schema.ModelDescription(), kind="segments")
