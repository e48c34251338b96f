"""Runs pieces of work by number in processes that may die, hang, or allocate all memory; each such piece is known."""

from __future__ import annotations

import argparse
import faulthandler
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

#: Seconds without progress after which a worker is ended. Limits of processor time come first where they can.
PATIENCE = 60.0
#: Address space of a worker, in bytes.
ADDRESS_SPACE = 4 << 30
#: Pieces that a worker is given at a time.
CHUNK = 250

#: Does the pieces ``range(start, stop)``; calls its second argument with each number first.
Work = Callable[[range, Callable[[int], None]], Any]


@dataclass(frozen=True)
class Ended:
    """A worker that died or hung: at which piece, and what it left."""

    index: int
    how: str
    detail: str


@dataclass
class _Worker:
    process: Any
    pipe: Any
    current: Any
    errors: Path
    chunk: range | None = None
    seen: tuple[int, float] = field(default=(-1, 0.0))


def run(make_work: Callable[[], Work], count: int, jobs: int, patience: float = PATIENCE) -> Iterator[Any]:
    """Yield what the work returns for each chunk, in any order, and an `Ended` for each piece that ended a worker.

    Args:
        make_work: called once in each process; must be importable there.
        count: the number of pieces.
        jobs: the number of processes.
        patience: seconds without progress after which a process is ended.
    """
    chunks = deque(range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK))
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # for the processes; a product of small matrices gains nothing by threads
    with tempfile.TemporaryDirectory() as folder:
        workers = [_start(make_work, Path(folder)) for _ in range(min(jobs, len(chunks)))]
        try:
            while workers:
                for worker in workers:
                    if worker.chunk is None and chunks:
                        _give(worker, chunks.popleft())
                for worker in [worker for worker in workers if worker.chunk is None]:
                    worker.pipe.send(None)
                    worker.process.join()
                    workers.remove(worker)
                wait([worker.pipe for worker in workers], timeout=0.5)
                for place, worker in enumerate(workers):
                    found = _look_after(worker, patience)
                    if found is None:
                        continue
                    if isinstance(found, Ended):
                        assert worker.chunk is not None
                        before, after = (
                            range(worker.chunk.start, found.index),
                            range(found.index + 1, worker.chunk.stop),
                        )
                        chunks.extendleft(part for part in (after, before) if part)
                        workers[place] = _start(make_work, Path(folder))
                    worker.chunk = None
                    yield found
        finally:
            for worker in workers:
                worker.process.kill()


def _start(make_work: Callable[[], Work], folder: Path) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    current = context.Value("q", -1, lock=False)
    descriptor, errors = tempfile.mkstemp(dir=folder)
    os.close(descriptor)
    process = context.Process(target=_serve, args=(make_work, theirs, current, errors), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours, current, Path(errors))


def _give(worker: _Worker, chunk: range) -> None:
    worker.chunk = chunk
    worker.seen = (worker.current.value, time.monotonic())
    worker.pipe.send(chunk)


def _look_after(worker: _Worker, patience: float) -> Any:
    """Return what a worker has done, or how it ended; None while it is working."""
    assert worker.chunk is not None
    try:
        if worker.pipe.poll():
            return worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join(5)
        return _ended(worker, f"died with exit code {worker.process.exitcode}")
    index, now = worker.current.value, time.monotonic()
    if index != worker.seen[0]:
        worker.seen = index, now
    elif now - worker.seen[1] > patience:
        os.kill(worker.process.pid, signal.SIGUSR1)  # writes its stack
        time.sleep(0.5)
        worker.process.kill()
        worker.process.join()
        return _ended(worker, f"hung for {patience:.0f} s")
    return None


def _ended(worker: _Worker, how: str) -> Ended:
    assert worker.chunk is not None
    index = worker.current.value if worker.current.value in worker.chunk else worker.chunk.start
    return Ended(index, how, worker.errors.read_text(errors="replace")[-8000:])


def _serve(make_work: Callable[[], Work], pipe: Any, current: Any, errors: str) -> None:
    """Run the process of a worker."""
    import resource

    stream = open(errors, "w")  # noqa: SIM115 (as long as the process)
    faulthandler.enable(stream)
    faulthandler.register(signal.SIGUSR1, stream)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))

    def begin(index: int) -> None:
        current.value = index

    work = make_work()
    while True:
        chunk = pipe.recv()
        if chunk is None:
            return
        pipe.send(work(chunk, begin))


class Memory:
    """Watches the most memory that the process has used; where the system cannot tell, nothing grows."""

    #: Bytes by which one piece may make the process grow.
    BUDGET = 1 << 30

    def grown(self) -> int:
        """Return the bytes above the budget since the last call; 0 if it was kept."""
        try:
            with open("/proc/self/status") as status:
                peak, now = (int(line.split()[1]) << 10 for line in status if line.startswith(("VmHWM", "VmRSS")))
            if peak - now < self.BUDGET:
                return 0
            Path("/proc/self/clear_refs").write_text("5")
            return peak - now
        except (OSError, ValueError):
            return 0


def arguments(module: str, description: str, pieces: str) -> argparse.ArgumentParser:
    """Return the parser of a campaign's command line; the campaign adds ``--replay``."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--count", type=int, default=5000, help=f"how many {pieces} (default 5000)")
    parser.add_argument("--seed", default="1", help="which ones (default 1)")
    parser.add_argument("--jobs", type=int, default=2, help="how many processes (default 2)")
    parser.add_argument("--output", type=Path, default=Path("campaign-findings"), help="folder for what is found")
    return parser
