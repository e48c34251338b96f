"""The parts of an array that a formula along some axes speaks of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from refcoreml.types import Shape

#: What selects a part of an array: a place along some axes, all of the others.
Index = tuple[int | slice, ...]


def blocks(shape: Shape, axes: Sequence[int]) -> Iterator[Index]:
    """Yield each block that spans the given axes, at one place along all others."""
    spanned = {axis % len(shape) for axis in axes}
    for place in np.ndindex(*(1 if axis in spanned else n for axis, n in enumerate(shape))):
        yield tuple(slice(None) if axis in spanned else i for axis, i in enumerate(place))
