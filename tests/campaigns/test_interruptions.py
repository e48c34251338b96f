"""The campaign of interruptions: it finds a writer that is not atomic, and a fixed sample of it finds nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills and limits on files are those of POSIX")

ROOT = Path(__file__).resolve().parents[2]

#: Writes in two parts into the file itself.
PLANTED = """
import contextlib, time
from refcoreml.storage import arrays, writing

class Slow:
    def __init__(self, stream):
        self.stream = stream
    def __getattr__(self, name):
        return getattr(self.stream, name)
    def write(self, content):
        self.stream.write(content)
        self.stream.flush()
        time.sleep(0.01)
        return len(content)

@contextlib.contextmanager
def torn(path):
    import os
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as stream:
        os.fsync(stream.fileno())
        os.fsync(stream.fileno())
        yield Slow(stream)

arrays.replacing = torn
"""


def campaign(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    code = f"{before}\nimport sys\nfrom campaigns.interruptions import main\nsys.exit(main())\n"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_sample_finds_nothing() -> None:
    done = campaign("--kills", "5", "--only", "predict.npz", "--only", "Model.save")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "predict.npz" in done.stdout
    assert "Model.save" in done.stdout


def test_a_writer_that_is_not_atomic_is_found() -> None:
    done = campaign("--kills", "8", "--only", "predict.npz", before=PLANTED)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "y.npz is neither the old nor the new one" in done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only there folders are exchanged in one step")
def test_loads_during_saves() -> None:
    done = campaign("--loads", "150")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "150 loaded" in done.stdout
