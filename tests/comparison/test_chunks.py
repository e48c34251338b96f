"""Chunks of samples, summed up in their order whichever is done first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from refcoreml.comparison import chunks
from refcoreml.comparison.chunks import in_chunks, sum_up
from refcoreml.reporting.samples import Sample

SAMPLES = [Sample(str(number), {}) for number in range(7)]


@dataclass
class Names:
    """The names of samples in the order in which they were merged."""

    samples: int = 0
    names: list[str] = field(default_factory=list)

    def merge(self, later: Names) -> None:
        self.samples += later.samples
        self.names += later.names


def names(chunk: list[Sample]) -> Names:
    return Names(len(chunk), [sample.name for sample in chunk])


def test_chunks() -> None:
    assert [len(chunk) for chunk in in_chunks(SAMPLES, 3)] == [3, 3, 1]
    assert list(in_chunks([], 3)) == []


@pytest.mark.parametrize(
    ("order", "summed"), [([0, 1, 2, 3], [2, 4, 6, 7]), ([3, 1, 0, 2], [0, 0, 4, 7]), ([2, 3, 1, 0], [0, 0, 0, 7])]
)
def test_the_sum_is_in_the_order_of_the_samples(
    order: Sequence[int], summed: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_finished(executor, function, tasks):
        results = list(map(function, tasks))
        yield from ((number, results[number]) for number in order)

    monkeypatch.setattr(chunks, "as_finished", as_finished)
    told: list[int] = []
    total = sum_up(Names(), names, in_chunks(SAMPLES, 2), None, told.append)
    assert total.names == [sample.name for sample in SAMPLES]
    assert told == summed, "progress is how many samples are summed when a chunk is done"
