"""A pytest plugin for run.py: writes what became of each test, and the predictions and layers that it took."""

from __future__ import annotations

import json
import platform
import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from coverage_recorder import Recorder
from PIL import Image

from refcoreml.integrations.coremltools import ModelProxy

#: What most of the tests' modules set for themselves when they are imported.
SEED = 10


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption("--probe-out", required=True, help="file for one line of JSON per test")
    group.addoption("--quarter", action="store_true", help="run the tests whose names' CRC-32 divides by four")
    group.addoption("--zeros", action="store_true", help="answer zeros instead of what was computed")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Probe(Path(config.getoption("--probe-out")), config.getoption("--zeros")))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--quarter"):
        left_out = [item for item in items if _hash(item.nodeid) % 4]
        items[:] = [item for item in items if _hash(item.nodeid) % 4 == 0]
        config.hook.pytest_deselected(items=left_out)


def _hash(text: str) -> int:
    return zlib.crc32(text.encode())


class Probe:
    """Counts predictions, and notes the layers that ran, test by test."""

    def __init__(self, out: Path, zeros: bool) -> None:
        self.out, self.zeros = out, zeros
        self.predictions = 0
        self.run = ModelProxy._run
        self.recorder = Recorder(out)
        self.recorder.watch(pytest.MonkeyPatch())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        # Which other tests run must not change the data of this one.
        random.seed(SEED)
        np.random.seed(SEED)
        self.predictions, self.outcome, self.message = 0, "passed", ""
        self.recorder.running.clear()
        probe = self

        def run(proxy: ModelProxy, inputs: Any) -> Any:
            result = probe.run(proxy, inputs)
            probe.predictions += 1
            return _zeros(result) if probe.zeros else result

        # Some tests excuse themselves on one or the other kind of Mac; refcoreml is neither.
        machine = mock.patch.object(platform, "machine", return_value="reference")
        with mock.patch.object(ModelProxy, "_run", run), machine:
            result = yield
        line = {
            "id": item.nodeid,
            "outcome": self.outcome,
            "predictions": self.predictions,
            "layers": sorted({kind for kind, _, _ in self.recorder.running}),
            "message": self.message,
        }
        with self.out.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.outcome, self.message = "failed", _last_line(report)
        elif report.skipped and self.outcome != "failed":
            self.outcome = "xfailed" if hasattr(report, "wasxfail") else "skipped"
            self.message = str(getattr(report, "wasxfail", report.longrepr))


def _last_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return " ".join(str(crash.message if crash else report.longrepr).split())[:300]


def _zeros(value: Any) -> Any:
    """Return zeros in the types and shapes of the true outputs."""
    if isinstance(value, list):
        return [_zeros(item) for item in value]
    if isinstance(value, dict):
        return {key: _zeros(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return np.zeros_like(value)
    if isinstance(value, Image.Image):
        return Image.new(value.mode, value.size)
    return type(value)()
