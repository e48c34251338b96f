"""The catalogue of ML Programs: a file for each family of `refcoreml.mil.operations`, and one for packages."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.catalogue.programs import (
    activation,
    classify,
    compression,
    constraints,
    control,
    convolution,
    custom,
    elementwise,
    files,
    gather,
    linear,
    lists,
    normalization,
    padding,
    pooling,
    random,
    recurrent,
    reduction,
    resize,
    shape,
    slices,
    sort,
    state,
)
from conformance.catalogue.programs.plan import ProgramPlan

_MODULES = (
    activation,
    classify,
    compression,
    control,
    convolution,
    custom,
    elementwise,
    files,
    gather,
    linear,
    lists,
    normalization,
    padding,
    pooling,
    random,
    recurrent,
    reduction,
    resize,
    shape,
    slices,
    sort,
    state,
    constraints,
)

#: Operations that have fewer than `LEAST` cases, until somebody writes them.
PENDING: set[str] = set()
#: How many cases each operation has, counting those that must return something.
LEAST = 4


def plans() -> Iterator[ProgramPlan]:
    """Yield all cases of ML Programs, in a fixed order."""
    for module in _MODULES:
        yield from module.plans()
