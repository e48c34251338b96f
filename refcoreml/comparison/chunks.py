"""Samples in chunks, compared here or by an executor, and summed up in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from typing import Protocol, TypeVar

from refcoreml.comparison.tasks import as_finished
from refcoreml.reporting.samples import Sample

__all__ = ["CHUNK", "Sums", "in_chunks", "sum_up"]

#: Samples that are predicted at once, on all cores; also what a task of an executor holds.
CHUNK = 8

S = TypeVar("S", bound="Sums")


class Sums(Protocol):
    """What is gathered about some samples; two of them add up."""

    samples: int

    def merge(self: S, later: S) -> None:
        """Add what was gathered about samples that follow."""


def in_chunks(samples: Iterable[Sample], size: int = CHUNK) -> Iterator[list[Sample]]:
    """Yield the samples in lists."""
    chunk: list[Sample] = []
    for sample in samples:
        chunk.append(sample)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def sum_up(
    total: S,
    compare: Callable[[list[Sample]], S],
    chunks: Iterable[list[Sample]],
    executor: Executor | None,
    progress: Callable[[int], None] | None,
) -> S:
    """Compare chunk by chunk, and return the total.

    Args:
        total: what to begin with, without any sample.
        compare: compares on a chunk; picklable if the executor has other processes.
        chunks: the samples.
        executor: where to run; None: here.
        progress: called with the number of samples summed so far.
    """
    # Sums of floats depend on their order: it is that of the samples, whichever task ends first.
    waiting: dict[int, S] = {}
    done = 0
    for number, sums in as_finished(executor, compare, chunks):
        waiting[number] = sums
        while done in waiting:
            total.merge(waiting.pop(done))
            done += 1
        if progress is not None:
            progress(total.samples)
    return total
