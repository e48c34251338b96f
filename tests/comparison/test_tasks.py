"""Where pieces of work run: processes end with the one that started them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from refcoreml.comparison.tasks import processes

PARENT = """
import os, time
from refcoreml.comparison.tasks import processes
if __name__ == "__main__":
    with processes(2) as executor:
        print(executor.submit(os.getpid).result(), flush=True)
        executor.submit(time.sleep, 300).result()
"""


def test_processes_end_when_their_parent_is_killed(tmp_path):
    path = tmp_path / "parent.py"
    path.write_text(PARENT)
    with subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE) as parent:
        worker = int(parent.stdout.readline())
        parent.kill()
        try:
            # Whoever waits for the end of the output, as a pipe does, need not wait for workers.
            parent.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
            pytest.fail("a worker still runs")


def test_work_is_done_in_other_processes():
    with processes(1) as executor:
        assert executor.submit(os.getpid).result(timeout=120) != os.getpid()
