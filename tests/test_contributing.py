"""CONTRIBUTING.md: its guide to a new operation, followed step by step in a copy of the repository."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
#: (what the block is, the file it belongs to, its text) of each block of code.
BLOCKS = re.findall(r"^```(\w*) ?(\S*)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def patched(text: str, diff: str) -> str:
    """The text after the hunks of a diff, each at the only place that its unmarked lines fit."""
    for hunk in diff.split("@@\n"):
        lines = hunk.splitlines()
        old = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
        new = "".join(f"{line[1:]}\n" for line in lines)
        assert text.count(old) == 1, f"there are {text.count(old)} places for\n{hunk}"
        text = text.replace(old, new)
    return text


@pytest.mark.skipif(
    importlib.util.find_spec("grpc_tools") is None, reason="needs the protobuf compiler: pip install -e '.[dev]'"
)
def test_the_guide_adds_an_operation_with_two_names(tmp_path: Path) -> None:
    for name in ("refcoreml", "proto", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    changed = set()
    for kind, place, text in BLOCKS:
        if kind == "diff":
            path = tmp_path / place
            path.write_text(patched(path.read_text(encoding="utf-8"), text), encoding="utf-8")
            changed.add(place.split("/")[0])
    assert changed == {"refcoreml", "proto", "tests"}
    (script,) = (text for kind, _, text in BLOCKS if kind == "python")
    (tmp_path / "tent.py").write_text(script, encoding="utf-8")
    (commands,) = (text for kind, _, text in BLOCKS if kind == "sh")
    (expected,) = (text for kind, _, text in BLOCKS if kind == "")
    printed = []
    for command in commands.splitlines():
        program, *arguments = command.split()
        assert program == "python"
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTEST_ADDOPTS": "-p no:cacheprovider"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        printed.append(done.stdout)
    assert printed[1] == expected
    (passed,) = re.findall(r"(\d+) passed", printed[2])
    assert int(passed) >= 4
