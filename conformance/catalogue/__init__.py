"""The catalogue: every case of the suite, before it has references."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.catalogue import (
    control,
    convolution,
    elementwise,
    indexing,
    linear,
    movement,
    negative,
    networks,
    normalization,
    pooling,
    random,
    recurrent,
    reduction,
    resizing,
    weights,
)
from conformance.catalogue.plan import Plan

_MODULES = (
    convolution,
    pooling,
    elementwise,
    linear,
    normalization,
    reduction,
    movement,
    indexing,
    recurrent,
    resizing,
    random,
    control,
    weights,
    networks,
    negative,
)


def plans() -> Iterator[Plan]:
    """All cases, in a fixed order."""
    for module in _MODULES:
        yield from module.plans()
