"""The plugin, in runs of pytest of their own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest.importorskip("coremltools", reason="the plugin is for tests that use coremltools")

#: How to load the plugin: its entry point does where refcoreml is installed, and twice is an error.
PLUGIN = [] if entry_points(group="pytest11", name="refcoreml") else ["-p", "refcoreml.integrations.pytest_plugin"]

#: Skips unless coremltools believes to run on a Mac when the module is imported, and predicts.
PREDICTS = """
import coremltools, numpy as np, pytest
from coremltools._deps import _IS_MACOS
from coremltools.models.utils import _is_macos, _macos_version

@pytest.mark.skipif(not (_IS_MACOS and _is_macos() and _macos_version() >= (15, 0)), reason="no Mac")
def test_predict():
    builder = coremltools.models.neural_network.NeuralNetworkBuilder(
        [("x", coremltools.models.datatypes.Array(3))], [("y", coremltools.models.datatypes.Array(3))])
    builder.add_activation("a", "LINEAR", "x", "y", [2.0, 1.0])
    assert coremltools.models.MLModel(builder.spec).predict({"x": np.ones(3)})["y"].tolist() == [3.0, 3.0, 3.0]
"""


def run(folder: Path, *arguments: str) -> str:
    (folder / "test_predicts.py").write_text(PREDICTS)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", *PLUGIN, str(folder), *arguments]
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout


def test_on(tmp_path):
    output = run(tmp_path, "--coreml-runtime=refcoreml")
    assert "Core ML runtime: refcoreml" in output
    assert "1 passed" in output


def test_on_before_a_conftest_asks(tmp_path):
    (tmp_path / "conftest.py").write_text("from coremltools.models.utils import _is_macos\nassert _is_macos()\n")
    assert "1 passed" in run(tmp_path, "--coreml-runtime=refcoreml")


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac is a Mac without it")
def test_off_by_default(tmp_path):
    output = run(tmp_path)
    assert "Core ML runtime" not in output
    assert "1 skipped" in output


def test_another_runtime_is_refused(tmp_path):
    assert run(tmp_path, "--coreml-runtime=other") == ""


def test_without_coremltools(tmp_path):
    (tmp_path / "coremltools.py").write_text("raise ImportError('hidden')\n")
    command = "import sys, pytest; sys.path.insert(0, sys.argv[1]); sys.exit(pytest.main(sys.argv[2:]))"
    arguments = [*PLUGIN, "--coreml-runtime=refcoreml", str(tmp_path)]
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run(
        [sys.executable, "-c", command, str(tmp_path), *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert "coremltools cannot be imported: hidden" in result.stderr
