"""Settings that all tests share."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
import skips
from hypothesis import HealthCheck, settings
from profiles import examples

from refcoreml.cli import main

# The same examples in every run, and no deadline: a busy machine must not fail a test.
settings.register_profile(
    "refcoreml",
    deadline=None,
    derandomize=True,
    max_examples=examples(100),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("refcoreml")


def pytest_configure(config: pytest.Config) -> None:
    """Give each process of ``pytest -n`` one thread for products, as they share the processors already.

    And let processes share what they compile, also where nothing may be written beside the sources.
    """
    if getattr(config.option, "numprocesses", None):
        for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
            os.environ.setdefault(name, "1")
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):  # tests start hundreds of processes that import the package
        folder = os.environ["PYTHONPYCACHEPREFIX"] = tempfile.mkdtemp(prefix="compiled-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Says what the skipped tests need."""
    reports = [report for report in terminalreporter.stats.get("skipped", []) if isinstance(report.longrepr, tuple)]
    if reports:
        terminalreporter.section("skipped tests need")
        for line in skips.summary(report.longrepr[2] for report in reports):
            terminalreporter.line(line)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line in this process: arguments in; exit code, output and errors out."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
