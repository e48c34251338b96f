"""Runs pytest in processes that share the tests of a suite, and starts one again when a test ends it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suites import Suite

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
#: What makes coremltools predict with refcoreml.
RUNTIME = ("--coreml-runtime=refcoreml",)
#: Exit codes of pytest: all passed, some failed, none selected.
_ENDED = (0, 1, 5)


@dataclass(frozen=True)
class Selection:
    """Which tests run, and how.

    Attributes:
        share: one test of so many, chosen by its name.
        only: what a name must contain, as pytest's ``-k`` has it.
        zeros: whether zeros are returned instead of what was computed.
        as_written: whether tests of half precision are left as they are, see halves.py.
        limit: seconds for one test.
        older: whether the tests of an operation run with all newer operation sets, too.
        workers: how many processes.
    """

    share: int = 1
    only: str = ""
    zeros: bool = False
    as_written: bool = False
    limit: int = 300
    older: bool = False
    workers: int = 1


def run(suite: Suite, selection: Selection, folder: Path) -> list[dict[str, Any]]:
    """Run a suite and return a record per test, in the order of their names.

    Args:
        suite: the tests.
        selection: which of them, and how.
        folder: for a file of records per process; tests that have a record there do not run again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    workers = [_Worker(suite, selection, folder, index) for index in range(selection.workers)]
    try:
        while any([worker.goes_on() for worker in workers]):
            for worker in workers:
                worker.wait(1)
    finally:
        for worker in workers:
            worker.stop()
    records = {record["id"]: record for path in sorted(folder.glob("*.jsonl")) for record in _records(path)}
    return [records[name] for name in sorted(records)]


class _Worker:
    """A process of pytest, started again after a test that ended it."""

    def __init__(self, suite: Suite, selection: Selection, folder: Path, index: int) -> None:
        self.out, self.running = folder / f"{index}.jsonl", folder / f"{index}.running"
        self.folder = folder
        self.running.unlink(missing_ok=True)
        self.command = _command(suite, selection, folder)
        self.command += [f"--probe-out={self.out}", f"--worker={index}"]
        paths = os.pathsep.join(filter(None, [str(HERE), str(ROOT / "tests"), os.environ.get("PYTHONPATH")]))
        older = {"RUN_BACKWARD_COMPATIBILITY": "1"} if selection.older else {}
        self.environment = os.environ | {"PYTHONPATH": paths} | suite.environment | older
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command, cwd=self.folder, env=self.environment)

    def wait(self, seconds: float) -> None:
        """Wait for the end of the process, but not longer."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def goes_on(self) -> bool:
        """Return whether tests are running or left to run."""
        status = self.process.poll()
        if status is None:
            return True
        if status in _ENDED:
            return False
        if not self.running.exists():
            raise SystemExit(f"pytest ended with status {status}")
        test = self.running.read_text(encoding="utf-8")
        message = f"the process ended with status {status}"
        line = {"id": test, "outcome": "failed", "predictions": 0, "layers": [], "operations": [], "message": message}
        with self.out.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        self.running.unlink()
        self.process = self._start()
        return True

    def stop(self) -> None:
        """End the process if it is still running."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def site_packages() -> Path:
    """Return the folder where coremltools is installed."""
    package = importlib.util.find_spec("coremltools")
    if package is None or package.origin is None:
        raise SystemExit("coremltools is not installed here; see README.md")
    return Path(package.origin).parent.parent


def _command(suite: Suite, selection: Selection, folder: Path) -> list[str]:
    site = site_packages()
    command = [sys.executable, "-m", "pytest", *(str(site / path) for path in suite.paths)]
    command += ["-q", "--no-header", "--tb=no", "-rN", "--disable-warnings", "--durations=5", "-p", "no:cacheprovider"]
    command += ["--continue-on-collection-errors"]
    command += [*RUNTIME, "-p", "probe", f"--rootdir={site}", f"-c{folder}/pytest.ini"]
    command += [f"--share={selection.share}", f"--workers={selection.workers}", f"--limit={selection.limit}"]
    command += ["--zeros"] * selection.zeros + ["--as-written"] * selection.as_written
    command += ["-k", selection.only] if selection.only else []
    return command


def _records(path: Path) -> Sequence[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
