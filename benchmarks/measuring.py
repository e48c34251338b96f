"""What benchmarks share. Import it before anything else: thread pools read the environment when they are loaded."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

#: Threads of every library that is measured.
THREADS = int(os.environ.get("BENCHMARK_THREADS", "2"))
#: Threads that wait in a loop for the runtime's next call go to sleep in this time, in seconds.
PAUSE = 0.05

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(THREADS)
sys.path[:0] = [str(Path(__file__).resolve().parents[1])]


def in_turns(runs: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Run programs in turns; return the milliseconds of each run that counts: three a turn, after one that does not."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            time.sleep(PAUSE)
            run()
            for _ in range(3):
                start = time.perf_counter()
                run()
                times[name].append(1e3 * (time.perf_counter() - start))
    return times


def table(rows: list[list[str]]) -> str:
    """Columns of text, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows)
    return "\n".join(lines) + "\n"


def chosen(parser: ArgumentParser, what: str, names: Sequence[str], known: Mapping[str, object]) -> list[str]:
    """Return what was requested by name, all by default; ends with an error if a name is not known."""
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"unknown {what} {', '.join(unknown)}")
    return list(names or known)
