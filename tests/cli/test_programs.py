"""ML Programs on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refcoreml import build

Run = Callable[..., tuple[int, str, str]]


def decoder() -> build.Program:
    """Add x times a step to the state, and return the sum so far."""
    program = build.Program({"x": (3,), "scale": (1,)}, states={"sum": ("fp16", (3,))}, opset="CoreML8")
    step = program.add("cast", x=program.add("mul", x=program["x"], y=program["scale"]), dtype="fp16")
    total = program.add("add", x=program.add("read_state", input=program["sum"]), y=step)
    program.add("write_state", input=program["sum"], data=total)
    program.output(program.add("cast", x=total, dtype="fp32", name="y"))
    return program


def softmax() -> build.Program:
    program = build.Program({"x": ("fp16", (3,)), "scale": ("fp16", (1,))}, opset="CoreML8")
    program.output(program.add("softmax", x=program["x"], axis=-1, name="p"))
    return program


@pytest.fixture
def both(tmp_path: Path) -> Path:
    path = tmp_path / "both.mlpackage"
    build.functions({"decode": decoder(), "classify": softmax()}, default="decode", path=path)
    return path


def test_a_sequence_has_one_state(run: Run, both: Path, tmp_path: Path) -> None:
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.savez(tmp_path / "steps.npz", x=x)
    out = tmp_path / "y.npz"
    code, _, errors = run("predict", both, "--sequence", tmp_path / "steps.npz", "-i", "scale=2", "-o", out)
    assert (code, errors) == (0, "")
    np.testing.assert_array_equal(np.load(out)["y"], np.cumsum(2 * x, axis=0))


def test_a_single_prediction_begins_with_zeros(run: Run, both: Path) -> None:
    for command in ("predict", "trace"):
        code, text, _ = run(command, both, "-i", "x=1,2,3", "-i", "scale=2", "--json")
        assert code == 0
    assert [layer["type"] for layer in json.loads(text)["layers"]] == [
        "mul",
        "cast",
        "read_state",
        "add",
        "write_state",
        "cast",
    ]
    code, text, _ = run("predict", both, "-i", "x=1,2,3", "-i", "scale=2", "--json")
    assert json.loads(text) == {"y": [2, 4, 6]}


def test_a_function_by_name_and_its_precision(run: Run, both: Path) -> None:
    arguments = ("predict", both, "--function", "classify", "-i", "x=0.5,1,2", "-i", "scale=1", "--json")
    code, text, _ = run(*arguments)
    assert (code, list(json.loads(text))) == (0, ["p"])
    code, _, errors = run(*arguments, "--precision", "float16")
    assert code == 2
    assert "'float16' is for neural networks alone" in errors
    code, _, errors = run("predict", both, "--function", "encode", "-i", "x=0.5,1,2")
    assert code == 2
    assert "no function 'encode'" in errors


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (
            {"x": np.zeros((2, 3)), "scale": np.ones((4, 1))},
            "whose first axis has one length, the steps",
        ),
        ({"x": np.zeros((2, 4)), "scale": np.ones((2, 1))}, "step 0, input 'x'"),
        ({"x": np.zeros((0, 3)), "scale": np.ones((0, 1))}, "the steps"),
        ({"x": np.zeros(())}, "the steps"),
    ],
)
def test_sequences_that_do_not_fit(
    run: Run, both: Path, tmp_path: Path, arrays: dict[str, np.ndarray], words: str
) -> None:
    np.savez(tmp_path / "steps.npz", **arrays)
    code, _, errors = run("predict", both, "--sequence", tmp_path / "steps.npz")
    assert code == 2
    assert words in " ".join(errors.split())


def test_precisions_of_a_program_are_compared(run: Run, tmp_path: Path) -> None:
    softmax().save(tmp_path / "p.mlpackage")
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(3).standard_normal((5, 3)), scale=np.ones((5, 1)))
    path = tmp_path / "p.mlpackage"
    arguments = ("compare", path, path, "--data", tmp_path / "data.npz", "--json")
    code, text, _ = run(*arguments, "--precision-second", "float32")
    assert code == 0
    assert json.loads(text)["outputs"]


def test_operations_are_compared_one_by_one(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    path, data = tmp_path / "p.mlpackage", tmp_path / "data.npz"
    softmax().save(path)
    np.savez(data, x=np.random.default_rng(3).standard_normal((5, 3)), scale=np.ones((5, 1)))
    arguments = ("compare", path, path, "--data", data, "--precision", "float32", "--precision-second", "declared")
    code, text, _ = run(*arguments, "--layers")
    assert code == 0
    (row,) = (line for line in text.splitlines() if line.startswith("0  p"))
    assert row.split()[:3] == ["0", "p", "softmax"]
    assert max(map(len, text.splitlines())) <= 80
    code, text, _ = run(*arguments, "--layers", "--json")
    (layer,) = json.loads(text)["by_layer"]["layers"]
    assert (layer["kind"], layer["changed"], layer["own"]["count"]) == ("softmax", True, 15)


def test_states_are_kept_over_a_sequence_of_samples(run: Run, both: Path, tmp_path: Path) -> None:
    x = np.float32([[2048, 1, 2], [1, 2, 3], [1, 3, 4]])
    np.savez(tmp_path / "steps.npz", x=x, scale=np.ones((3, 1)))
    arguments = ("compare", both, both, "--precision", "float32", "--precision-second", "declared")
    arguments += ("--function", "decode", "--data", tmp_path / "steps.npz", "--json")
    for more, largest in (((), 0), (("--sequence",), 2)):
        code, text, errors = run(*arguments, *more)
        assert (code, errors) == (0, "")
        assert json.loads(text)["outputs"][0]["difference"]["max_error"] == largest


def test_two_functions_of_a_package_are_compared(run: Run, tmp_path: Path) -> None:
    programs, path = {}, tmp_path / "two.mlpackage"
    for name, factor in (("plain", 1), ("double", 2)):
        programs[name] = build.Program({"x": (3,)}, opset="CoreML8")
        programs[name].output(programs[name].add("mul", x=programs[name]["x"], y=np.float32(factor), name="y"))
    build.functions(programs, default="plain", path=path)
    np.savez(tmp_path / "data.npz", x=np.float32([[1, 2, 3], [-1, 0, 5]]))
    arguments = ("compare", path, path, "--data", tmp_path / "data.npz", "--function-second", "double", "--json")
    code, text, _ = run(*arguments)
    assert (code, json.loads(text)["outputs"][0]["difference"]["max_error"]) == (0, 5)


def test_a_trace_shows_states_that_are_written_and_the_place_of_each_operation(run: Run, both: Path) -> None:
    code, text, _ = run("trace", both, "-i", "x=1,2,3", "-i", "scale=2", "--json")
    assert code == 0
    (written,) = (layer for layer in json.loads(text)["layers"] if layer["type"] == "write_state")
    assert (written["blob"], written["minimum"], written["maximum"]) == ("sum", 2, 6)
    assert written["where"].startswith("mlProgram.functions['decode'].operations[")


def test_a_trace_of_half_precision_fits_eighty_columns(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    program = build.Program({"x": ("fp16", (1, 3))}, opset="CoreML7")
    scaled = program.add("mul", x=program["x"], y=np.float16(2**-12), name="scaled_by_a_small_number")
    program.output(scaled, program.add("add", x=program["x"], y=program["x"], name="twice"))
    program.save(tmp_path / "p.mlpackage")
    for x, code, columns in (("[[1,2,-0.0001]]", 0, []), ("[[1,2,6e4]]", 1, ["NaN", "Inf"])):
        found, text, _ = run("trace", tmp_path / "p.mlpackage", "-i", f"x={x}")
        header, *lines = text.splitlines()
        assert found == code
        shown = ["#", "layer", "type", "shape", "min", "max", "mean", *columns, "headroom", "to", "0"]
        assert header.split()[: len(shown)] == shown
        if not columns:
            assert header.endswith("subnormal")
            assert max(map(len, (header, *lines[:2]))) <= 80
            assert [line.split()[0] for line in lines[:2]] == ["0", "1"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("quantize", "--bits", "8", "-o", "small.mlpackage"), "Compress it with coremltools.optimize.coreml"),
        (("study", "--data", "steps.npz", "-o", "study"), "Compress it with coremltools.optimize.coreml"),
    ],
)
def test_what_is_not_there_yet_says_what_to_do(
    run: Run, both: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, text, errors = run(arguments[0], both, *arguments[1:])
    assert (code, text) == (4, "")
    assert words in " ".join(errors.split())
    assert [path.name for path in tmp_path.iterdir()] == ["both.mlpackage"]


def test_features_states_and_operations_of_all_functions_are_shown(
    run: Run, both: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, text, _ = run("inspect", both)
    assert code == 0
    table = [line.split() for line in text.splitlines()]
    for row in (
        "decode input x MultiArray (Float32 3)",
        "decode state sum State (Float16 3)",
        "decode output y MultiArray (Float32 3)",
        "classify input x MultiArray (Float16 3)",
        "classify output p MultiArray (Float16 3)",
    ):
        assert row.split() in table
    assert "decode (default)" in text
    assert "iOS 18, macOS 15" in text
    assert max(map(len, text.splitlines())) <= 80


def photographed(kind: str) -> build.Program:
    """A program of a picture that is 12 wide and 8 high."""
    program = build.Program({"photo": build.image(12, 8)}, opset="CoreML7")
    photo = program["photo"]
    if kind == "picture":
        program.output(program.add("sub", x=np.float32(255), y=photo, name="negative"), colors="RGB")
    elif kind == "segments":
        program.output(program.add("reduce_argmax", x=photo, axis=1, keep_dims=False, name="brightest"))
    elif kind == "heat":
        program.output(program.add("mul", x=photo, y=np.float32(1 / 255), name="heat"))
    else:
        means = program.add("reduce_mean", x=photo, axes=[2, 3], keep_dims=False)
        scores = program.add("softmax", x=program.add("mul", x=means, y=np.float32(1 / 64)), axis=-1)
        colors = ["red", "green", "blue"]
        program.output(*program.add("classify", probabilities=scores, classes=colors, name=["label", "scores"]))
    return program


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("picture", "negative: picture 12 x 8"),
        ("segments", "0 66.7% 2 33.3%"),
        ("heat", "heat: heat map"),
        ("label", "scores: labels"),
    ],
)
def test_previews(run: Run, tmp_path: Path, kind: str, words: str) -> None:
    pixels = np.zeros((8, 12, 3), np.uint8)
    pixels[..., 0], pixels[:, 8:, 2] = 100, 250
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    program, target = tmp_path / "program.mlpackage", tmp_path / "preview.png"
    photographed(kind).save(program)
    code, text, errors = run("preview", program, "-i", tmp_path / "photo.png", "-o", target)
    assert (code, errors) == (0, "")
    assert words in " ".join(text.split())
    with Image.open(target) as drawn:
        drawn.load()
        if kind == "picture":
            np.testing.assert_array_equal(np.asarray(drawn), 255 - pixels)
        else:
            assert drawn.width >= 512


def test_an_input_that_the_sequence_has_too_is_given_twice(run: Run, both: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "steps.npz", x=np.ones((4, 3), np.float32), scale=np.ones((4, 1), np.float32))
    code, _, errors = run("predict", both, "--sequence", tmp_path / "steps.npz", "-i", "x=1,2")
    assert code == 2
    assert f"input 'x': is given twice: by --input and in {tmp_path / 'steps.npz'}" in errors
