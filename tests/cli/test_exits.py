"""Exit codes: one table, which --help and the documentation show; readers that go away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refcoreml import build, errors
from refcoreml.cli import exits, main

ROOT = Path(__file__).parents[2]


def test_every_error_has_a_code() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.RefCoreMLError)
    ]
    codes = {kind.__name__: exits.code_of(kind("x")) for kind in kinds}
    assert set(codes.values()) <= set(exits.MEANINGS)
    assert codes["ModelNotFoundError"] == codes["UsageError"] == 2
    assert codes["MalformedModelError"] == codes["InvalidModelError"] == 3
    assert codes["UnsupportedModelError"] == 4
    assert codes["CallbackError"] == 5
    assert codes["InternalError"] == 70


def test_help_and_documentation_show_every_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    for code, meaning in exits.MEANINGS.items():
        assert f"{code:>3}  {meaning}" in shown
        assert f"| {code} | {meaning} |" in page


@pytest.mark.parametrize(
    "command",
    [
        ("inspect", "{}.mlmodel"),
        ("predict", "{}.mlpackage", "-i", "x=1"),
        ("trace", "{}"),
        ("oracle", "{}.mlmodel"),
        ("quantize", "{}.mlmodel", "--bits", "8", "-o", "{}-small.mlmodel"),
        ("preview", "{}.mlmodel", "-o", "{}.png"),
        ("compare", "{}.mlmodel", "{}.mlmodel", "--data", "{}.npz"),
        ("compare", "{}.mlmodel", "{}.mlmodel", "--images", "{}"),
        ("conformance", "run", "--cases", "{}", "--command", "true"),
        ("conformance", "run", "--expected", "{}", "--command", "true"),
        ("conformance", "run", "--python", "{}.py"),
    ],
)
def test_a_file_that_does_not_exist_is_usage(run: Any, tmp_path: Path, command: tuple[str, ...]) -> None:
    code, _, err = run(*(part.format(tmp_path / "missing") for part in command))
    assert code == 2, err
    assert "missing" in err


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A network of 300 layers, whose table is longer than a pipe holds; the last makes NaN."""
    net = build.Network({"x": (3,)}, ["y"])
    for index in range(300):
        net.add("activation", name=f"layer{index:03}" * 20, ReLU={})
    net.add("unary", outputs="y", type="LOG", shift=-2.0, epsilon=0.0)
    path = tmp_path / "wide.mlmodel"
    net.model().save(path)
    return path


def piped(*arguments: object) -> tuple[int, str]:
    """Runs a command into a reader that takes nothing."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "refcoreml", *map(str, arguments)]
    found = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    os.close(write)
    return found.returncode, found.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows reports a closed pipe in another way")
def test_a_reader_that_goes_away_changes_no_exit_code_and_stops_no_work(wide: Path, tmp_path: Path) -> None:
    assert piped("inspect", wide) == (0, "")
    assert piped("inspect", wide, "--json") == (0, "")
    assert piped("--help") == (0, "")
    assert piped("trace", wide, "-i", "x=1,1,1") == (1, "")
    target = tmp_path / "y.npz"
    assert piped("predict", wide, "-i", "x=5,6,7", "-o", target) == (0, "")
    with np.load(target) as found:
        np.testing.assert_allclose(found["y"], np.log([3, 4, 5]), rtol=1e-6)
