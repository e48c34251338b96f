"""Shares independent pieces of work, such as the samples of a batch, among threads.

NumPy lets go of the interpreter's lock in copies, arithmetic and matrix products, so that Python threads can compute at
once. Each then wants its matrix products on one thread: BLAS with threads of its own would have them wait for each
other at every product. OpenBLAS, which comes with wheels of NumPy, can be told so; with any other BLAS the pieces are
computed one after another, each on as many threads as BLAS likes.

Within one layer this rarely pays: waking a thread takes as long as a small layer. It does for a large softmax.

Products themselves run on the threads of BLAS, which wait for each other several times a product. That halves the time
on an idle machine, but where other programs keep all processors busy each wait costs a time slice of theirs, and a
network takes up to seven times as long as on one thread. `matmul` therefore chooses, once per process: the number of
threads changes the last bits of a product, and a prediction must not depend on what else runs at that moment.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from refcoreml.types import Array

__all__ = ["for_each", "matmul", "scratch", "thread_count"]

Item = TypeVar("Item")
Doubles: TypeAlias = NDArray[np.float64]

#: For so long the first product of a process watches the processors, in seconds: longer than a time slice.
_WATCH = 10e-3
#: What an idle machine may take away in that time.
_TOLERATED = 1e-3
#: So often it must see the machine busy, with pauses in between, in seconds.
_WATCHES, _PAUSE = 3, 50e-3


class _Blas:
    """The number of threads of the BLAS that NumPy uses; 1 if it is not known how to change it."""

    def __init__(self) -> None:
        self._get, self._set = _openblas() or (lambda: 1, lambda count: None)
        self._lock = threading.Lock()
        self._users, self._before = 0, 1

    @property
    def count(self) -> int:
        """The number of threads outside of `single`."""
        with self._lock:
            return self._before if self._users else int(self._get())

    @contextmanager
    def single(self) -> Iterator[None]:
        """Run products on one thread inside; the last of several users to leave restores the number before."""
        with self._lock:
            if not self._users:
                self._before = int(self._get())
                self._set(1)
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users and self._get() == 1:
                    self._set(self._before)


def _openblas() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """Return OpenBLAS's functions that read and set its number of threads, if NumPy uses it and it has threads."""
    core: Any = getattr(np, "_core", None) or np.core
    try:
        # Symbols of a library are looked up in those that it is linked to, too. PyDLL keeps the interpreter's lock.
        library = ctypes.PyDLL(core._multiarray_umath.__file__)
    except (AttributeError, OSError):
        return None
    for name in ("scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}64_", "openblas_{}"):
        try:
            kind, get, set_ = (
                getattr(library, name.format(verb)) for verb in ("get_parallel", "get_num_threads", "set_num_threads")
            )
        except AttributeError:
            continue
        # 1 is a build with plain threads. 0 has none; in 2, OpenMP's, the setting means something else per thread.
        return (get, set_) if kind() == 1 else None
    return None


class _Job:
    """Items to be worked off by whoever comes, the caller among them."""

    def __init__(self, function: Callable[[Any], None], items: Sequence[Any]) -> None:
        self._function, self._items = function, iter(items)
        self._left, self._lock, self._finished = len(items), threading.Lock(), threading.Event()
        self._error: BaseException | None = None
        # Threads do not inherit what numpy.errstate has set.
        self._arithmetic_errors = np.geterr()

    def help(self) -> None:
        """Work on items until none is left to begin."""
        with np.errstate(**self._arithmetic_errors):
            while True:
                with self._lock:
                    try:
                        item = next(self._items)
                    except StopIteration:
                        return
                try:
                    if self._error is None:
                        self._function(item)
                except BaseException as error:  # the caller's thread raises it again
                    self._error = error
                with self._lock:
                    self._left -= 1
                    if not self._left:
                        self._finished.set()

    def finish(self) -> None:
        """Help, wait for the others, and raise what went wrong."""
        self.help()
        self._finished.wait()
        if self._error is not None:
            raise self._error


class _Helpers:
    """Daemon threads that wait for jobs. A job never waits for a helper to come: all may be busy."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._count, self._lock = 0, threading.Lock()

    def call(self, job: _Job, count: int) -> None:
        """Let up to ``count`` helpers work on a job."""
        with self._lock:
            while self._count < count:
                threading.Thread(target=self._serve, name=f"refcoreml-{self._count}", daemon=True).start()
                self._count += 1
        for _ in range(count):
            self._jobs.put(job)

    def _serve(self) -> None:
        _here.inside = True
        while True:
            job = self._jobs.get()
            job.help()
            del job


class _ProductThreads:
    """Whether products use all threads of BLAS or one: what REFCOREML_THREADS says, else what pays at first use."""

    def __init__(self) -> None:
        self._lock, self._single = threading.Lock(), False
        self._chosen = False

    @property
    def single(self) -> bool:
        """Whether to keep products to one thread."""
        if not self._chosen:
            with self._lock:
                if not self._chosen:
                    self._single = self._choose()
                    self._chosen = True
        return self._single

    def _choose(self) -> bool:
        wanted = _wanted_threads()
        if wanted is not None or _blas.count <= 1:
            return wanted == 1 and _blas.count > 1
        for watch in range(_WATCHES):
            if watch:
                time.sleep(_PAUSE)
            if _lost_time(_WATCH) <= _TOLERATED:
                return False
        return True


def _lost_time(seconds: float) -> float:
    """Return how long other programs kept this thread from running, while it computed products on all threads of BLAS.

    0 where threads of this process filled all processors, such as those of another runtime that wait in a loop, and on
    Windows, whose clocks of threads are too coarse.
    """
    if os.name == "nt":
        return 0.0
    a, b = np.ones((64, 256), np.float32), np.ones((256, 512), np.float32)
    a @ b  # starts the threads of BLAS
    wall, own, everyone = time.perf_counter(), time.thread_time(), time.process_time()
    while time.perf_counter() < wall + seconds:
        a @ b
    wall, own, everyone = time.perf_counter() - wall, time.thread_time() - own, time.process_time() - everyone
    return 0.0 if everyone > 0.9 * wall * _processors() else wall - own


def _processors() -> int:
    """Return how many processors this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


_blas = _Blas()
_here = threading.local()
_helpers = _Helpers()
_product_threads = _ProductThreads()


def _start_anew() -> None:
    """Start without helpers after a fork, which threads do not survive."""
    global _blas, _helpers
    _blas, _helpers = _Blas(), _Helpers()


def matmul(a: Array, b: Array, out: Array | None = None) -> Array:
    """`numpy.matmul` on as many threads as pay in this process."""
    product: Array
    if _product_threads.single:
        with _blas.single():
            product = np.matmul(a, b, out=out)
    else:
        product = np.matmul(a, b, out=out)
    return product


@contextmanager
def scratch(count: int, size: int) -> Iterator[Sequence[Doubles]]:
    """Provide some arrays [size] of double precision with any numbers in them, which this thread uses again and again.

    New memory costs as much as ten passes over it. What is provided is kept for others, so ``size`` must have a bound.
    """
    spare: list[Doubles] = _here.__dict__.setdefault("spare", [])
    taken = [spare.pop() if spare else np.empty(0) for _ in range(count)]
    taken = [array if array.size >= size else np.empty(size) for array in taken]
    try:
        yield [array[:size] for array in taken]
    finally:
        spare.extend(taken)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


def thread_count() -> int:
    """Return the number of threads of `for_each`: REFCOREML_THREADS, or as many as BLAS is set to use.

    1 where BLAS cannot be told to stay on one thread, and inside the function of a `for_each`.
    """
    if getattr(_here, "inside", False):
        return 1
    available, wanted = _blas.count, _wanted_threads()
    return wanted if available > 1 and wanted is not None else available


def _wanted_threads() -> int | None:
    """Return the number in the environment variable REFCOREML_THREADS; None if it holds no number above 0."""
    text = os.environ.get("REFCOREML_THREADS", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 and int(text) else None


def for_each(function: Callable[[Item], None], items: Sequence[Item]) -> None:
    """Call the function with every item, on `thread_count` threads, and return when all calls have.

    Calls inside such a call run one after another. An error that a call raises is raised here, and no call begins after
    it.
    """
    threads = min(thread_count(), len(items))
    if threads <= 1:
        for item in items:
            function(item)
        return
    job = _Job(function, items)
    _here.inside = True
    try:
        with _blas.single():
            _helpers.call(job, threads - 1)
            job.finish()
    finally:
        _here.inside = False
