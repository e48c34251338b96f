"""A pytest plugin for run.py: writes what became of each test, the predictions that it took, and what they ran."""

from __future__ import annotations

import gc
import importlib.util
import json
import platform
import random
import signal
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any
from unittest import mock

import halves
import numpy as np
import pytest
from coverage_recorder import Recorder
from PIL import Image

from refcoreml.integrations.coremltools import ModelProxy
from refcoreml.kernels import random as kernels
from refcoreml.mil.program import Program
from refcoreml.mil.resolve import walk

#: What most of the tests' modules set for themselves when they are imported.
SEED = 10


class _Absent(ModuleType):
    """Stands for a package that some files of tests import and few of their tests use: those skip themselves."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        pytest.skip(f"{self.__name__} is not installed")


if importlib.util.find_spec("torchvision") is None:
    sys.modules["torchvision"] = _Absent("torchvision")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption("--probe-out", required=True, help="file for one line of JSON per test")
    group.addoption("--share", type=int, default=1, metavar="N", help="run the tests whose names' CRC-32 divides by N")
    group.addoption("--workers", type=int, default=1, help="how many processes share the tests")
    group.addoption("--worker", type=int, default=0, help="which of them this one is")
    group.addoption("--limit", type=int, default=300, help="seconds for one test")
    group.addoption(
        "--as-written", action="store_true", help="leave tests of half precision as they are, see halves.py"
    )
    group.addoption("--zeros", action="store_true", help="answer zeros instead of what was computed")


def pytest_configure(config: pytest.Config) -> None:
    out, *options = (config.getoption(name) for name in ("--probe-out", "--zeros", "--limit", "--as-written"))
    config.pluginmanager.register(Probe(Path(out), *options))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    share, workers, worker = (config.getoption(f"--{name}") for name in ("share", "workers", "worker"))
    records = Path(config.getoption("--probe-out")).parent.glob("*.jsonl")
    # Those of other workers, and those that ran before, are not left out of the run: they are not deselected.
    done = {json.loads(line)["id"] for path in records for line in path.read_text(encoding="utf-8").splitlines()}
    hashes = {item: zlib.crc32(item.nodeid.encode()) for item in items}
    left_out = [item for item in items if hashes[item] % share]
    items[:] = [
        item
        for item in items
        if hashes[item] % share == 0 and hashes[item] // share % workers == worker and item.nodeid not in done
    ]
    config.hook.pytest_deselected(items=left_out)


def pytest_collection_finish() -> None:
    # coremltools collects garbage at each conversion; it need not visit what was imported, and the tests.
    gc.collect()
    gc.freeze()


class Probe:
    """Counts predictions, and notes what ran, test by test."""

    def __init__(self, out: Path, zeros: bool, limit: int, as_written: bool) -> None:
        self.out, self.zeros, self.limit, self.as_written = out, zeros, limit, as_written
        self.predictions = 0
        self.run = ModelProxy._run
        self.recorder = Recorder(out)
        self.recorder.watch(pytest.MonkeyPatch())
        self.programs: dict[int, Program] = {}
        _watch_programs(self.programs)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        # Which other tests run must not change the data of this one.
        random.seed(SEED)
        np.random.seed(SEED)
        if "torch" in sys.modules:
            sys.modules["torch"].manual_seed(SEED)
        self.predictions, self.outcome, self.message = 0, "passed", ""
        self.recorder.running.clear()
        self.programs.clear()
        # If the process ends, run.py reads there which test ended it.
        running = self.out.with_suffix(".running")
        running.write_text(item.nodeid, encoding="utf-8")
        probe = self

        def run(proxy: ModelProxy, *arguments: Any) -> Any:
            result = probe.run(proxy, *arguments)
            probe.predictions += 1
            return _zeros(result) if probe.zeros else result

        # Some tests excuse themselves on one or the other kind of Mac; refcoreml is neither.
        machine = mock.patch.object(platform, "machine", return_value="reference")
        judged = nullcontext() if self.as_written else halves.judged(item.nodeid)
        with mock.patch.object(ModelProxy, "_run", run), machine, judged, _seeded():
            result = yield
        self._write(item.nodeid)
        running.unlink()
        return result

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that cannot be imported like a test that fails."""
        if report.failed:
            self.predictions, self.outcome, self.message = 0, "failed", _last_line(report)
            self._write(report.nodeid)

    def _write(self, name: str) -> None:
        line = {
            "id": name,
            "outcome": self.outcome,
            "predictions": self.predictions,
            "layers": sorted({kind for kind, _, _ in self.recorder.running}),
            "operations": sorted({name for program in self.programs.values() for name in _operations(program)}),
            "message": self.message,
        }
        with self.out.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        with _time_limit(self.limit):
            return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.outcome, self.message = "failed", _last_line(report)
        elif report.skipped and self.outcome != "failed":
            self.outcome = "xfailed" if hasattr(report, "wasxfail") else "skipped"
            self.message = str(getattr(report, "wasxfail", report.longrepr))


@contextmanager
def _seeded() -> Iterator[None]:
    """Let random operations without a seed draw the same numbers in each run of a test.

    Tests of distributions compare two samples, and fail by chance: one of 50,000 draws from two classes, in 0.6 % of
    runs.
    """
    unseeded, generator = kernels.generator(SEED), kernels.generator

    def seeded(seed: int) -> np.random.Generator:
        return generator(seed) if seed >= 0 else unseeded

    with mock.patch.object(kernels, "generator", seeded):
        yield


def _watch_programs(ran: dict[int, Program]) -> None:
    """Note every program that runs."""
    run = Program.run

    def running(program: Program, *arguments: Any) -> dict[str, Any]:
        results = run(program, *arguments)
        ran[id(program)] = program
        return results

    pytest.MonkeyPatch().setattr(Program, "run", running)


def _operations(program: Program) -> Iterator[str]:
    """Yield the operations of a program, those that make constants among them, with the oldest set that has them so."""
    body = program.function.body
    inner = (block for operation in walk(body) for block in operation.blocks)
    for operation in (*walk(body), *(folded for block in (body, *inner) for folded in block.folded)):
        yield f"{operation.kind} {operation.entry.since}"


class _TooLong(BaseException):
    """A test took too long; no handler of ordinary errors stops it."""


@contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    """Fail what takes longer; without effect on systems that have no alarm."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    except _TooLong:
        pytest.fail(f"took more than {seconds} seconds", pytrace=False)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _last_line(report: pytest.TestReport | pytest.CollectReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = " ".join(str(crash.message if crash else report.longrepr).split())
    return text[:300] if crash else text[-300:]


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
