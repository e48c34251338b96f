"""Layers that read or write at places given by indices."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from conformance.catalogue.data import Source
from conformance.catalogue.plan import MOVEMENT, Array, Plan, family, layer

family("indexing", "gather scatter gatherND scatterND gatherAlongAxis scatterAlongAxis")

_MODES = ["SCATTER_UPDATE", "SCATTER_ADD", "SCATTER_SUB", "SCATTER_MUL", "SCATTER_DIV", "SCATTER_MAX", "SCATTER_MIN"]


def _indices(*shape: int, length: int, negative: bool = False) -> Callable[[Source, str], Array]:
    return lambda source, kind: source.integers(shape, -length if negative else 0, length - 1)


def _distinct(*numbers: float) -> Array:
    return np.array(numbers, np.float32)


def _places(count: int, *lengths: int) -> Callable[[Source, str], Array]:
    """[count, K] places, all different; whether negative ones count from the end is not specified."""

    def make(source: Source, kind: str) -> Array:
        order = np.argsort(source.uniform((int(np.prod(lengths)),)))[:count]
        return np.stack(np.unravel_index(order, lengths), axis=-1).astype(np.float32)

    return make


def _not_zero(x: Array) -> Array:
    return np.where(np.abs(x) < 0.25, np.float32(1.5), x)


def plans() -> Iterator[Plan]:
    x = (4, 6, 5)
    for axis in (0, 1, -1):
        yield from layer("gather", f"axis{axis}", x, _indices(3, length=x[axis]), data="integers", axis=axis)
    yield from layer("gather", "negative", x, _indices(7, length=6, negative=True), data=MOVEMENT, axis=1)
    yield from layer("gather", "matrix", x, _indices(2, 3, length=6), data="integers", axis=1)
    yield from layer("gatherND", "full", x, _places(7, *x), data=MOVEMENT)
    yield from layer("gatherND", "one", x, _distinct(1, 5, 2), data="integers")
    yield from layer("gatherND", "partial", x, _places(7, 4, 6), data="integers nan")
    for axis in (0, 1, -1):
        shape = list(x)
        shape[axis] = 3
        yield from layer(
            "gatherAlongAxis",
            f"axis{axis}",
            x,
            _indices(*shape, length=x[axis], negative=axis == 1),
            data="integers nan",
            axis=axis,
        )
    for mode in _MODES:
        name = mode.removeprefix("SCATTER_").lower()
        data = "integers zero-mean"
        yield from layer(
            "scatter",
            f"{name}-axis1",
            x,
            _distinct(4, 0, -1),
            (4, 3, 5),
            data=data,
            domain=_not_zero,
            axis=1,
            mode=mode,
        )
        yield from layer(
            "scatterND",
            name,
            x,
            _places(7, 4, 6),
            (7, 5),
            data=data,
            domain=_not_zero,
            mode=mode,
        )
        along = lambda source, kind: np.argsort(source.uniform(x), axis=1)[:, :3]  # noqa: E731
        yield from layer("scatterAlongAxis", name, x, along, (4, 3, 5), data=data, domain=_not_zero, axis=1, mode=mode)
    yield from layer("scatterND", "one", x, _distinct(1, 5, 2), (1,), data="integers zero-mean")
    yield from layer(
        "scatterAlongAxis",
        "negative",
        x,
        lambda source, kind: np.argsort(source.uniform(x), axis=1)[:, :3] - 6,
        (4, 3, 5),
        data="integers",
        axis=1,
    )
    yield from layer("scatter", "update-axis0", x, _distinct(3, 1), (2, 6, 5), data="nan", axis=0)
    yield from layer(
        "scatter",
        "add-repeated",
        x,
        _distinct(2, 2, 0),
        (4, 3, 5),
        data="integers zero-mean",
        axis=1,
        mode="SCATTER_ADD",
    )
    yield from layer(
        "scatterND",
        "add-repeated",
        x,
        _distinct(1, 1, 3, 1).reshape(4, 1),
        (4, 6, 5),
        data="integers",
        mode="SCATTER_ADD",
    )
