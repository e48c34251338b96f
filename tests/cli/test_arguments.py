"""Arguments that are refused before any work is done for them: empty ones, and targets that are in the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refcoreml import build
from refcoreml.cli import compare, oracle, predict, preview, quantize

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    net = build.Network({"x": (3,)}, ["y"])
    net.add("innerProduct", outputs="y", weights=np.ones((2, 3), np.float32), input_channels=3, output_channels=2)
    net.model().save(tmp_path / "model.mlmodel")
    return tmp_path / "model.mlmodel"


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", ""),
        ("trace", "", "-i", "1,2,3"),
        ("predict", "", "-i", "1,2,3"),
        ("predict", "M", "-i", "1,2,3", "-o", ""),
        ("predict", "M", "-i", "1,2,3", "--custom", ""),
        ("oracle", "M", "-i", "1,2,3", "-o", ""),
        ("preview", "M", "-i", "1,2,3", "-o", ""),
        ("preview", "M", "-i", "1,2,3", "-o", "x.png", "--photo", ""),
        ("quantize", "M", "--bits", "8", "-o", ""),
        ("quantize", "M", "--bits", "8", "--plan", "", "-o", "small.mlmodel"),
        ("compare", "M", "", "--data", "x.npz"),
        ("compare", "M", "M", "--images", ""),
        ("compare", "M", "M", "--data", ""),
        ("compare", "M", "M", "--data", "x.npz", "--labels", ""),
        ("compare", "M", "M", "--data", "x.npz", "--csv", ""),
        ("compare", "M", "M", "--data", "x.npz", "--plot", ""),
        ("study", "M", "--data", "x.npz", "-o", ""),
        ("conformance", "run", "--python", ""),
        ("conformance", "run", "--command", "x {case}", "--cases", ""),
        ("conformance", "run", "--command", "x {case}", "--expected", ""),
        ("conformance", "run", "--command", "x {case}", "--smoke", ""),
        ("conformance", "run", "--command", "x {case}", "--json", ""),
    ],
    ids=" ".join,
)
def test_empty_arguments(
    run: Run,
    model: Path,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An empty variable of a shell must not mean the current folder, nor that nothing was asked for."""
    monkeypatch.chdir(model.parent)
    np.savez(model.parent / "x.npz", x=np.ones((4, 3)))
    with pytest.raises(SystemExit) as ended:
        run(*(str(model) if argument == "M" else argument for argument in arguments))
    assert ended.value.code == 2
    assert "is empty" in capsys.readouterr().err
    assert sorted(path.name for path in model.parent.iterdir()) == ["model.mlmodel", "x.npz"]


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("the work was begun")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("photos.mlpackage", "a folder that is no model package is in the way"),
        ("file.mlpackage", "something of the other kind is in the way"),
        ("folder.mlmodel", "is a folder, expected a file"),
        ("none/x.mlmodel", "no such folder"),
        ("x.txt", "must end in"),
    ],
)
def test_quantize_looks_at_its_target_first(
    run: Run, model: Path, target: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model.parent
    for name in ("photos.mlpackage", "folder.mlmodel"):
        (folder / name).mkdir()
        (folder / name / "photo.jpg").write_bytes(b"mine")
    (folder / "file.mlpackage").write_bytes(b"mine")
    monkeypatch.setattr(quantize, "quantize_weights", never)
    monkeypatch.setattr(quantize, "dequantize_weights", never)
    for bits in ("8", "32"):
        code, _, errors = run("quantize", model, "--bits", bits, "-o", folder / target)
        assert (code, message in errors) == (2, True), errors
    assert (folder / "photos.mlpackage" / "photo.jpg").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("module", "work", "arguments", "message"),
    [
        (
            compare,
            "load",
            ("compare", "M", "M", "--data", "x.npz", "--plot", "x.gif"),
            "must end in .png, .svg or .pdf",
        ),
        (compare, "load", ("compare", "M", "M", "--data", "x.npz", "--csv", "folder"), "is a folder"),
        (predict, "read_inputs", ("predict", "M", "-i", "1,2,3", "-o", "x.png"), "the model has 0 image outputs"),
        (oracle, "oracle", ("oracle", "M", "-i", "1,2,3", "-o", "folder/"), "must end in .npz"),
        (preview, "load_model", ("preview", "M", "-i", "1,2,3", "-o", "x.gif"), "must end in"),
    ],
    ids=lambda item: item[0] if isinstance(item, tuple) else "",
)
def test_the_others_do_so_too(
    run: Run,
    model: Path,
    module: Any,
    work: str,
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(model.parent)
    (model.parent / "folder").mkdir()
    monkeypatch.setattr(module, work, never)
    code, _, errors = run(*(str(model) if argument == "M" else argument for argument in arguments))
    assert (code, message in errors) == (2, True), errors


@pytest.mark.parametrize("command", ["predict", "preview"])
def test_a_picture_for_an_input_of_numbers(run: Run, model: Path, command: str) -> None:
    target = ("-o", model.parent / "drawn.png") if command == "preview" else ()
    code, _, errors = run(command, model, "-i", "photo.png", *target)
    assert code == 2
    assert "input 'x': got the picture 'photo.png', but this is no image input: it is " in errors


@pytest.mark.parametrize("command", ["predict", "trace"])
def test_help_names_compiled_models_and_says_how_states_begin(
    run: Run, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(command, "--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert "a .mlmodel file, a .mlpackage or .mlmodelc folder" in shown
    assert "States begin with zeros" in shown


def test_an_unknown_option_shows_the_usage_of_its_command(
    run: Run, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run("predict", model, "--inputs", "1,2,3")
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("usage: refcoreml predict ")
    assert shown.endswith("refcoreml predict: error: unrecognized arguments: --inputs 1,2,3\n")
