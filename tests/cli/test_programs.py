"""ML Programs on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

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
    assert [layer["type"] for layer in json.loads(text)["layers"]] == ["mul", "cast", "read_state", "add", "cast"]
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
