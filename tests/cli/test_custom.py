"""``--custom`` in every command that can need it, and the lines that errors print for missing code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refcoreml
from refcoreml import build, custom
from refcoreml.errors import CallbackError, UnsupportedModelError
from refcoreml.spec import schema

CODE = """\
import refcoreml


@refcoreml.custom_layer("Times")
def times(x, factor, weights):
    return factor * x
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A network with a layer of the user's own before one with weights, the code, and data."""
    net = build.Network({"x": (3,)}, ["y"])
    net.add("custom", name="twice", outputs="m", class_name="Times", parameters={"factor": 2}, weights=[[0.5, 1, 2]])
    net.add("innerProduct", name="sum", outputs="y", input_channels=3, output_channels=70, weights=np.ones((70, 3)))
    (tmp_path / "net.mlmodel").write_bytes(net.spec().SerializeToString())
    (tmp_path / "mine.py").write_text(CODE)
    np.savez(tmp_path / "data.npz", x=np.arange(12, dtype=np.float32).reshape(4, 3))
    picture = build.Network({"image": build.image(6, 4)}, {"drawn": build.image(6, 4)})
    picture.add("custom", outputs="drawn", class_name="Times", parameters={"factor": 1})
    (tmp_path / "picture.mlmodel").write_bytes(picture.spec().SerializeToString())
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ("predict", "net.mlmodel", "-i", "x=1,2,3"),
        ("trace", "net.mlmodel", "-i", "x=1,2,3"),
        ("compare", "net.mlmodel", "net.mlmodel", "--data", "data.npz", "--layers"),
        ("preview", "other.mlmodel", "-i", "photo.png", "-o", "out.png"),
    ],
)
def test_commands_that_run_layers_take_code(
    run: Any, monkeypatch: pytest.MonkeyPatch, folder: Path, command: tuple[str, ...]
) -> None:
    from PIL import Image

    monkeypatch.chdir(folder)
    Image.new("RGB", (6, 4), (7, 8, 9)).save("photo.png")
    net = build.Network({"image": build.image(6, 4)}, {"drawn": build.image(6, 4)})
    net.add("custom", outputs="drawn", class_name="Times", parameters={"factor": 1}, weights=[[1]])
    (folder / "other.mlmodel").write_bytes(net.spec().SerializeToString())
    code, _, err = run(*command)
    assert code == 4
    assert "--custom FILE" in err
    code, _, err = run(*command, "--custom", "mine.py")
    assert code == 0, err
    assert "Times" not in custom.LAYERS.entries


def test_quantize_needs_no_code(run: Any, folder: Path) -> None:
    """Only the code knows the shape of a custom layer's weights, so they stay as they are."""
    code, out, err = run("quantize", folder / "net.mlmodel", "--bits", "8", "-o", folder / "small.mlmodel")
    assert code == 0, err
    assert re.search(r"^sum +weights +70x3", out, re.MULTILINE)
    assert run("predict", folder / "small.mlmodel", "-i", "x=1,2,3", "--custom", folder / "mine.py")[0] == 0


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_studies_take_code_to_their_processes(run: Any, folder: Path, jobs: str) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib, the extra plot")
    given = ("study", folder / "net.mlmodel", "--data", folder / "data.npz", "--bits", "8", "--modes", "linear")
    code, out, err = run(*given, "--jobs", jobs, "-o", folder / "study", "--custom", folder / "mine.py", "--json")
    assert code == 0, err
    (record,) = json.loads(out)["records"]
    assert record["configuration"]["bits"] == 8


def test_the_oracle_does_not_call_registered_code_missing(run: Any, folder: Path) -> None:
    net = folder / "net.mlmodel"
    for more in ((), ("--custom", folder / "mine.py")):
        code, _, err = run("oracle", net, "-i", "x=1,2,3", *more)
        assert code == 4
        assert "layers[0] 'twice' (custom): runs the code of 'Times', whose rounding errors nobody knows" in err
        assert "registered" not in err
    model = refcoreml.load(net, custom_layers={"Times": lambda x, factor, weights: factor * x})
    with pytest.raises(UnsupportedModelError, match="whose rounding errors nobody knows"):
        refcoreml.oracle.oracle(model, {"x": np.ones(3)})


# --- the lines that errors print --------------------------------------------------------------------------------------

NAMES = [
    "Times",
    "class",
    "refcoreml",
    "None",
    "a.b-c",
    "7",
    "尺寸",
    "with 'quotes'\n\"and\" \\",
    "\u202e\u1160",
    "x" * 300,
]


def lines_of(error: UnsupportedModelError) -> str:
    return str(error).split("--custom FILE):\n", 1)[1]


@pytest.mark.parametrize("names", [NAMES[:5], NAMES[5:], ["Times", *NAMES]])
def test_the_lines_for_missing_layers_run_as_they_are(names: list[str], tmp_path: Path) -> None:
    """Including the import; then the model loads, and the code says itself what is missing."""
    names = list(dict.fromkeys(names))[:5]
    net = build.Network({"x": (3,)}, [f"y{len(names) - 1}"])
    for index, name in enumerate(names):
        description = f'"""\n{name}' * 1000
        parameters = {"factor": 2, 'a"""\n': "b" * 9000}
        layer = {"class_name": name, "description": description, "parameters": parameters, "weights": [[1, 2]]}
        net.add("custom", outputs=f"y{index}", **layer)
    with pytest.raises(UnsupportedModelError) as error:
        refcoreml.load(net.spec())
    with custom.scope():
        exec(compile(lines_of(error.value), "lines", "exec"), {})
        model = refcoreml.load(net.spec())
        with pytest.raises(CallbackError, match="NotImplementedError"):
            model.predict({"x": np.ones(3)})


def test_the_lines_for_many_inputs_and_outputs_run_as_they_are() -> None:
    names = [f"a'{index}" for index in range(400)]
    net = build.Network({"x": (400,)}, ["y"])
    net.add("split", outputs=names, nOutputs=400)
    net.add("custom", inputs=names, outputs="y", class_name="Many")
    with pytest.raises(UnsupportedModelError) as error:
        refcoreml.load(net.spec())
    with custom.scope():
        exec(compile(lines_of(error.value), "lines", "exec"), {})
        with pytest.raises(CallbackError, match="NotImplementedError"):
            refcoreml.load(net.spec()).predict({"x": np.ones(400)})


def test_the_lines_for_a_missing_model_run_as_they_are() -> None:
    spec = schema.Model(specificationVersion=3)
    for group in (spec.description.input, spec.description.output):
        group.add(name="x'\n").type.doubleType.SetInParent()
    spec.customModel.className = "lambda"
    spec.customModel.description = "d" * 20_000
    with pytest.raises(UnsupportedModelError) as error:
        refcoreml.load(spec)
    with custom.scope():
        exec(compile(lines_of(error.value), "lines", "exec"), {})
        with pytest.raises(CallbackError, match="NotImplementedError"):
            refcoreml.load(spec).predict({"x'\n": 1.0})


def test_the_command_line_prints_lines_that_run(run: Any, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """In a narrow terminal, too."""
    monkeypatch.setenv("COLUMNS", "40")
    _, _, err = run("predict", folder / "net.mlmodel", "-i", "x=1,2,3")
    (folder / "lines.py").write_text(err.split("--custom FILE):\n", 1)[1])
    code, _, err = run("predict", folder / "net.mlmodel", "-i", "x=1,2,3", "--custom", folder / "lines.py")
    assert code == 5
    assert "NotImplementedError" in err
