"""Optimal clustering of numbers: k-means in one dimension."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcoreml.kernels._types import Array


@dataclass(frozen=True)
class Clustering:
    """Clusters of numbers.

    Attributes:
        centres: [m] float64, ascending, m at most the wanted number of clusters.
        error: sum of weight * (x - nearest centre)^2.
        lower_bound: no choice of that many centres has a smaller error.
    """

    centres: NDArray[np.float64]
    error: float
    lower_bound: float


def cluster(values: Array, clusters: int, weights: Array | None = None) -> Clustering:
    """Provisional."""
    x, inverse_counts = np.unique(values.reshape(-1).astype(np.float64), return_counts=True)
    w = inverse_counts.astype(np.float64)
    if len(x) <= clusters:
        return Clustering(x, 0.0, 0.0)
    centre = float(np.average(x, weights=w))
    y = x - centre
    mass, first, second = (np.concatenate([[0.0], np.cumsum(w * y**power)]) for power in (0, 1, 2))
    spread = np.concatenate([[0.0], np.cumsum((w[1:] + w[:-1]) ** (1 / 3) * np.diff(y) ** (2 / 3))])
    edges = np.searchsorted(spread, spread[-1] * np.arange(1, clusters) / clusters)
    edges = np.concatenate([[0], edges, [len(y)]])
    for _ in range(1000):
        masses = np.diff(mass[edges])
        c = np.diff(first[edges])[masses > 0] / masses[masses > 0]
        new = np.concatenate([[0], np.searchsorted(y, (c[1:] + c[:-1]) / 2), [len(y)]])
        if np.array_equal(new, edges):
            break
        edges = new
    masses = np.diff(mass[edges])
    keep = masses > 0
    c = np.diff(first[edges])[keep] / masses[keep]
    error = float(np.sum(np.diff(second[edges])[keep] - np.diff(first[edges])[keep] ** 2 / masses[keep]))
    return Clustering(c + centre, error, 0.0)


def assign(values: Array, centres: Array) -> NDArray[np.uint8]:
    """The index of the nearest of up to 256 ascending centres, for each value; ties go to the lower one."""
    centres = np.asarray(centres, np.float64)
    middles = (centres[1:] + centres[:-1]) / 2
    codes = np.searchsorted(middles, values.reshape(-1), side="left").astype(np.uint8)
    return codes.reshape(values.shape)
