"""The catalogue: every case of the suite, before it has references."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.catalogue import (
    constraints,
    control,
    convolution,
    custom,
    elementwise,
    indexing,
    linear,
    movement,
    negative,
    networks,
    normalization,
    pooling,
    programs,
    random,
    recurrent,
    reduction,
    resizing,
    weights,
)
from conformance.catalogue.clauses import checked_by
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
    custom,
    weights,
    networks,
    negative,
    constraints,
    programs,
)


def plans() -> Iterator[Plan]:
    """Yield all cases, in a fixed order."""
    for module in _MODULES:
        for plan in module.plans():
            plan.clauses = sorted({*plan.clauses, *checked_by(plan)})
            yield plan
