"""Run pieces of work on any executor: threads, processes, or a cluster behind ``concurrent.futures.Executor``."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from functools import lru_cache
from typing import TypeVar

from refcoreml.errors import UsageError
from refcoreml.model import Model

__all__ = ["as_finished", "pack", "processes", "unpack"]

Task = TypeVar("Task")
Result = TypeVar("Result")

#: How many tasks wait at an executor at once: each holds its model and samples.
IN_FLIGHT = 64


def as_finished(
    executor: Executor | None, function: Callable[[Task], Result], tasks: Iterable[Task]
) -> Iterator[tuple[int, Result]]:
    """Yield the number of each task and its result as soon as it is there; without an executor, one after another.

    Tasks are taken from the iterable when there is room. The first that raises ends all.

    Args:
        executor: where to run; ``function`` and tasks must be picklable if it has other processes.
        function: what to run on a task; a module's function, so that another process can import it.
        tasks: one argument each.
    """
    numbered = enumerate(tasks)
    if executor is None:
        for number, task in numbered:
            yield number, function(task)
        return
    running: dict[Future[Result], int] = {}
    try:
        while True:
            while len(running) < IN_FLIGHT and (item := next(numbered, None)) is not None:
                running[executor.submit(function, item[1])] = item[0]
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()
    finally:
        for future in running:
            future.cancel()


def processes(jobs: int, prepare: Callable[[], None] | None = None) -> ProcessPoolExecutor:
    """Return an executor of other processes, which end when this one does, however that is.

    Args:
        jobs: how many processes.
        prepare: what each of them calls first, such as to register custom code; it is pickled.
    """
    # A fresh start: a process with threads must not be forked.
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _start, (prepare,))


def _start(prepare: Callable[[], None] | None) -> None:
    _end_with_parent()
    if prepare is not None:
        prepare()


def _end_with_parent() -> None:
    """End this process when the one that started it has ended: if it was killed, nobody else will tell."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def pack(model: Model) -> bytes:
    """Return the model as bytes to send to another process."""
    try:
        return pickle.dumps(model)
    except Exception as error:  # pickle raises all sorts of things
        raise UsageError(
            f"the model cannot be sent to another process: {error}",
            remedy="Define custom layers in a module that the other process can import",
        ) from error


@lru_cache(maxsize=4)
def unpack(packed: bytes) -> Model:
    """Return the model of `pack`; a process that gets the same bytes again keeps the model that it has prepared."""
    model = pickle.loads(packed)
    assert isinstance(model, Model)
    return model
