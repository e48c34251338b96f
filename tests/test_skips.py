"""Skipped tests say what they need, in a few lines."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from skips import EXTRAS, MODELS, needed, summary

TESTS = Path(__file__).resolve().parent
IMPORTS = [
    (path, *found)
    for path in sorted(TESTS.rglob("*.py"))
    for found in re.findall(r'importorskip\(\s*"([^"]+)"(?:,\s*reason="([^"]+)")?', path.read_text(encoding="utf-8"))
]


def test_one_line_for_all_that_need_the_same() -> None:
    reasons = ["Skipped: needs torch", "Skipped: onnx is the third opinion", "Skipped: only root may give files away"]
    reasons += [f"Skipped: needs the real model nn/{i}.mlmodel: set REFCOREML_MODELS to its folder" for i in range(4)]
    assert summary(reasons) == [
        f"    4 {MODELS}",
        '    2 other packages: pip install -e ".[oracles]"',
        "    1 only root may give files away",
    ]


@pytest.mark.parametrize(("path", "module", "reason"), [pytest.param(*i, id=f"{i[0].name}-{i[1]}") for i in IMPORTS])
def test_every_missing_package_is_named(path: Path, module: str, reason: str) -> None:
    assert "pip install" in needed(reason or f"could not import {module!r}"), f"{path.name}: {reason}"


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_extra_has_the_packages(extra: str) -> None:
    project = (TESTS.parent / "pyproject.toml").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^{extra} = .*$", project, re.MULTILINE)
    for package in EXTRAS[extra]:
        names = {"sklearn": "scikit-learn", "grpc_tools": "grpcio-tools"}
        assert f'"{names.get(package, package)}' in line, package


def test_a_run_ends_with_it(tmp_path: Path) -> None:
    """Ninety skipped tests are one line, in this process and in another one."""
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.parametrize('i', range(90))\ndef test(i): pytest.skip(f'needs torch {i}')\n",
        encoding="utf-8",
    )
    for more in ([], ["-n", "1"]):
        command = [sys.executable, "-m", "pytest", "-q", "-c", str(TESTS.parent / "pyproject.toml"), *more]
        command += ["-p", "no:cacheprovider", f"--confcutdir={tmp_path}", "-p", "conftest", str(tmp_path)]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=TESTS.parent, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert '   90 other packages: pip install -e ".[oracles]"' in ran.stdout
        assert ran.stdout.count("torch") == 0
