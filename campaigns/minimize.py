"""Makes a model that shows a finding smaller, by leaving out what it can do without."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.message import Message

from campaigns.mutations import is_map, is_repeated
from campaigns.seeds import messages
from refcoreml.spec import schema

#: Seconds that one model may take.
SECONDS = 20.0


def minimize(model: schema.Model, shows: Callable[[schema.Model], bool], seconds: float = SECONDS) -> schema.Model:
    """Return the smallest model found that still shows it: if time allows, no element or field can be removed."""
    end = time.monotonic() + seconds
    best = schema.Model.FromString(model.SerializeToString())
    shrunk = True
    while shrunk and time.monotonic() < end:
        shrunk = False
        place = 0
        while time.monotonic() < end:
            trial = schema.Model.FromString(best.SerializeToString())
            cuts = list(_cuts(trial))
            if place >= len(cuts):
                break
            cuts[place]()
            if trial.ByteSize() < best.ByteSize() and shows(trial):
                best, shrunk = trial, True
            else:
                place += 1
    return best


def _cuts(model: Message) -> Iterator[Callable[[], None]]:
    """Yield ways to leave something out, the largest parts first."""
    for message in messages(model):
        for item, value in message.ListFields():
            if not is_repeated(item) or is_map(item):
                yield lambda message=message, name=item.name: message.ClearField(name)
                continue
            yield lambda value=value: _cut(value, 0, len(value))
            yield lambda value=value: _cut(value, len(value) // 2, len(value))
            for index in range(min(len(value), 20)):
                yield lambda value=value, index=index: _cut(value, index, index + 1)


def _cut(held: Any, start: int, stop: int) -> None:
    del held[start:stop]
