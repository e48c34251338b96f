"""k-means in one dimension: the best clusters of numbers, with proof of how good they are.

In one dimension the best clusters are intervals of the sorted points, so that the least error with k clusters is a
shortest path of k edges from node 0 to node n, where the edge (i, j) costs

    cost(i, j) = sum over i < t <= j of w_t (x_t - mean)^2 = S2 - S1^2 / S0,  S_p = sum of w_t x_t^p by prefix sums.

The cost is Monge: cost(i, j) + cost(i', j') <= cost(i, j') + cost(i', j) for i < i' < j < j'. Three things follow. The
best predecessor of a node grows with the node, so that a layer of the dynamic program takes O(n log n). The best
boundaries with k - 1 and with k + 1 clusters interlace with those for k, so that a layer need only be computed within a
cluster to each side of a guess, which the result then corrects. And the least error is a convex function of k, so that
a price per cluster turns it into a shortest path problem whose dual bound is tight. The dual bound is what proves a
result: potentials p with p(j) - p(i) <= cost(i, j) + price on every edge give

    least error with k clusters >= p(n) - p(0) - k * price,

and one more O(n log n) layer checks all edges at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from refcoreml.types import Array

Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]
#: S0, S1, S2 at each node of a range.
_Sums: TypeAlias = tuple[Floats, Floats, Floats]

#: Up to so many distinct values the clusters are the best there are; beyond, those of a compressed set of points are
#: refined, and proven to be near the best.
EXACT_UP_TO = 100_000

#: Candidates for boundaries, per cluster, in a first, coarse solution.
_GUESS = 8
#: Cells per cluster of compressed points: the bound is off by about (2 / cells)^2 or 2 * (1 / cells)^2.
_CELLS = 32
_FEWEST = 1024
#: Entries of a layer that are computed in one piece.
_DENSE = 1 << 15
#: Nodes that a window has to either side, at the least.
_WINDOW = 24
#: How much nearer the nodes of one level of a layer lie than those of the level before.
_REFINEMENT = 8
#: A result within this factor of the proven bound counts as the best: sums in float64 leave about so much doubt.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Clustering:
    """Clusters of numbers.

    Attributes:
        centres: [m] float64, ascending; m is the wanted number of clusters, or that of distinct values if smaller.
        error: sum of w (x - centre of its cluster)^2.
        lower_bound: no m centres have a smaller error, up to the rounding of sums in float64.
    """

    centres: Floats
    error: float
    lower_bound: float

    @property
    def factor(self) -> float:
        """How many times the least error this error is at most."""
        if self.error <= self.lower_bound:
            return 1.0
        return self.error / self.lower_bound if self.lower_bound > 0 else float("inf")


@dataclass(frozen=True)
class _Points:
    """Sorted points, or groups of neighbouring ones. Node j lies after the first j of them; clusters end at nodes.

    Attributes:
        x: ascending means, [n].
        w: masses, positive, [n].
        scatter: sums of w (x - mean)^2 inside each group, [n].
    """

    x: Floats
    w: Floats
    scatter: Floats

    @staticmethod
    def of(x: Floats, w: Floats) -> _Points:
        return _Points(x, w, np.zeros(len(x)))

    def grouped(self, edges: Indices) -> _Points:
        """Return the groups between neighbouring nodes 0 = e_0 < e_1 < ... < e_m = n."""
        starts, lengths = edges[:-1], np.diff(edges)
        mass = np.add.reduceat(self.w, starts)
        # Relative to a point of the group itself, nothing cancels.
        mean = np.add.reduceat(self.w * (self.x - np.repeat(self.x[starts], lengths)), starts) / mass + self.x[starts]
        scatter = self.scatter + self.w * (self.x - np.repeat(mean, lengths)) ** 2
        return _Points(mean, mass, np.add.reduceat(scatter, starts))

    def sums(self, low: int, high: int) -> _Sums:
        """Return S0, S1 and S2 of the points from node ``low`` to each in [low, high], about a point in their middle.

        The origin is near, so that a cost, which is a difference of such sums, keeps its digits.
        """
        part = slice(low, high)
        x, w = self.x[part] - self.x[(low + high) // 2], self.w[part]
        terms = np.zeros((3, high - low + 1))
        terms[0, 1:] = w
        np.multiply(w, x, out=terms[1, 1:])
        np.multiply(terms[1, 1:], x, out=terms[2, 1:])
        terms[2, 1:] += self.scatter[part]
        mass, first, second = np.cumsum(terms, axis=1)
        return mass, first, second


def cluster(values: Array, clusters: int, weights: Array | None = None) -> Clustering:
    """Return centres c_1 < ... < c_k with the minimal sum of w (x - nearest c)^2.

    The least there is for up to `EXACT_UP_TO` distinct values. With more, near it: the attribute ``factor`` says how
    near. Deterministic. Memory: about 40 bytes a distinct value where exact, else 10 a value.

    Args:
        values: finite numbers, any shape, at least one.
        clusters: how many, at least 1.
        weights: of each value, at least 0 and somewhere positive; by default 1. Values of weight 0 do not count.
    """
    x = values.reshape(-1)
    if weights is None:
        x, w = np.sort(x), None
    else:
        w = np.asarray(weights, np.float64).reshape(-1)
        order = np.argsort(x, kind="stable")
        order = order[w[order] > 0]
        x, w = x[order], w[order]
    starts = np.flatnonzero(np.concatenate([[True], x[1:] != x[:-1]]))
    if len(starts) > max(EXACT_UP_TO, clusters):
        return _compressed(x, w, clusters)
    counts = np.diff(np.append(starts, len(x))).astype(np.float64) if w is None else np.add.reduceat(w, starts)
    distinct = x[starts].astype(np.float64)
    if len(distinct) <= clusters:
        return Clustering(distinct, 0.0, 0.0)
    points = _Points.of(distinct, counts)
    edges, bound = _shortest_path(points, clusters)
    found = points.grouped(edges)
    error = float(found.scatter.sum())
    return Clustering(found.x, error, max(min(bound, error), 0.0))


def assign(values: Array, centres: Array) -> NDArray[np.uint8]:
    """Return the index of the nearest of up to 256 ascending centres, for each value; ties go to the lower one.

    Args:
        values: finite float32, any shape.
        centres: float32, ascending.
    """
    table = np.asarray(centres, np.float64)
    middles = (table[1:] + table[:-1]) / 2
    # The largest float32 that is not above a middle divides the same float32 numbers.
    limits = middles.astype(np.float32)
    limits = np.where(limits > middles, np.nextafter(limits, np.float32(-np.inf)), limits)
    x = np.asarray(values, np.float32).reshape(-1)
    codes = np.empty(x.size, np.uint8)
    if x.size < 1 << 12 or not len(limits):
        codes[:] = np.searchsorted(limits, x)
        return codes.reshape(values.shape)
    # Equal cells: in one without a limit all values have the same code. Rounding cannot change the order of cells.
    low, high = float(x.min()), float(x.max())
    cells = 1 << 14
    scale = (cells - 1) / (high - low) if high > low else 0.0

    def cell_of(part: Array) -> NDArray[np.int32]:
        return np.asarray(np.clip(np.subtract(part, low, dtype=np.float64) * scale, 0, cells - 1).astype(np.int32))

    held = cell_of(limits)
    codes_of_cells = np.searchsorted(held, np.arange(cells)).astype(np.int16)
    codes_of_cells[held] = -1
    for start in range(0, x.size, 1 << 15):
        block = x[start : start + (1 << 15)]
        found = codes_of_cells[cell_of(block)]
        doubtful = np.flatnonzero(found < 0)
        found[doubtful] = np.searchsorted(limits, block[doubtful])
        codes[start : start + (1 << 15)] = found
    return codes.reshape(values.shape)


# ---- A first guess ----


def _spread(x: Array, w: Floats) -> Floats:
    """Return a scale on which the best clusters are about equally long: the integral of density^(1/3), [n], rising.

    Panter and Dite (1951): with many levels, their density is best proportional to the cube root of the points'.
    """
    steps = np.diff(x.astype(np.float64))
    masses = (w[1:] + w[:-1]) / 2
    # Differences of huge numbers stay finite in float64; their size does not matter here.
    return np.concatenate([[0.0], np.cumsum(masses ** (1 / 3) * (steps / steps.max()) ** (2 / 3))])


def _equal_parts(spread: Floats, parts: int) -> Indices:
    """Cut the points of a scale [n] into about equally long parts: nodes 0 = e_0 < e_1 < ... < e_parts = n."""
    places = np.searchsorted(spread, spread[-1] * np.arange(parts + 1) / parts)
    places[0], places[-1] = 0, len(spread)
    numbers = np.arange(parts + 1)
    rising = np.maximum.accumulate(places - numbers) + numbers
    return np.minimum(rising, len(spread) - numbers[::-1]).astype(np.intp)


# ---- Shortest paths ----


def _shortest_path(points: _Points, clusters: int) -> tuple[Indices, float]:
    """Return the edges of the best clusters, and a lower bound of their error."""
    count = len(points.x)
    spread = _spread(points.x, points.w)
    coarse = max(_GUESS * clusters, _FEWEST)
    edges = _equal_parts(spread, clusters)
    if count > 2 * coarse:
        places = _equal_parts(spread, coarse)
        few = points.grouped(places)
        edges = _equal_parts(spread[places[1:] - 1], clusters)
        edges = places[_settled(few, edges, 0)[0]]
    error, bound, reach = np.inf, -np.inf, 0
    while True:
        found, layers = _settled(points, edges, reach)
        reached = float(points.grouped(found).scatter.sum())
        here, doubt = _dual_bound(points, found, layers)
        bound = max(bound, here)
        better = reached < error * (1 - _ROUNDING)
        if reached < error:
            edges, error = found, reached
        if bound >= error * (1 - _ROUNDING) - doubt or (reach >= clusters and not better):
            return edges, bound
        if not better:
            reach = 4 * max(reach, 1)


def _settled(points: _Points, edges: Indices, reach: int) -> tuple[Indices, _Layers]:
    """Repeat passes about the edges that the last one found, until they hardly move.

    Windows reach at least one cluster far, and over enough nodes that a pass is worth its calls.
    """
    clusters = len(edges) - 1
    reach = max(reach, 1, _WINDOW * clusters // len(points.x))
    numbers = np.arange(clusters + 1)
    error = np.inf
    while True:
        found, layers = _pass(points, edges, reach)
        low, high = edges[np.maximum(numbers - reach, 0)], edges[np.minimum(numbers + reach, clusters)]
        settled = (10 * (edges - found) <= edges - low) & (10 * (found - edges) <= high - edges)
        if settled.all() or not layers.totals[1] < error * (1 - _ROUNDING):
            return found, layers
        edges, error = found, layers.totals[1]


@dataclass(frozen=True)
class _Layers:
    """What one pass of the dynamic program found.

    Attributes:
        low: per layer the first node of its window.
        values: per layer the least error from node 0 to the nodes of its window, with as many clusters as its number.
        totals: the least errors to the last node with k - 1, k and k + 1 clusters.
    """

    low: list[int]
    values: list[Floats]
    totals: tuple[float, float, float]


def _pass(points: _Points, edges: Indices, reach: int) -> tuple[Indices, _Layers]:
    """Return the best path whose boundaries lie within ``reach`` clusters of those given."""
    clusters, last = len(edges) - 1, len(points.x)
    low, values, origins = [0], [np.zeros(1)], [np.zeros(1, np.intp)]
    for layer in range(1, clusters + 2):
        begin = last if layer > clusters else max(int(edges[max(layer - reach, 0)]), layer)
        end = int(edges[min(layer + reach, clusters)])
        best, origin = _layer(points.sums(low[-1], end), low[-1], values[-1], begin)
        low.append(begin)
        values.append(best)
        origins.append(origin)
    path = np.empty(clusters + 1, np.intp)
    path[clusters] = last
    for layer in range(clusters, 0, -1):
        path[layer - 1] = origins[layer][path[layer] - low[layer]]
    fewer, exact, more = (float(values[layer][-1]) for layer in (clusters - 1, clusters, clusters + 1))
    return path, _Layers(low, values, (fewer if clusters > 1 else np.inf, exact, more))


def _layer(sums: _Sums, low: int, values: Floats, begin: int) -> tuple[Floats, Indices]:
    """Return, for the nodes j from ``begin`` on, the minimum of values[i - low] + cost(i, j) over i < j, and that i.

    The best i grows with j. So a few j, far apart, are looked up among all i, and those between among the i between
    the best of their neighbours.
    """
    masses, firsts, seconds = sums
    mass, first = masses[: len(values)], firsts[: len(values)]
    offset = values - seconds[: len(values)]
    j_mass, j_first = masses[begin - low :], firsts[begin - low :]
    count = len(j_mass)
    best, origin = np.empty(count), np.empty(count, np.intp)

    stride = 1
    while len(values) * -(-count // stride) > _DENSE and stride < count:
        stride *= _REFINEMENT
    rows = slice(0, count, stride)
    divisors = j_mass[rows, None] - mass
    terms = j_first[rows, None] - first
    terms *= terms
    if low + len(values) > begin:
        np.divide(terms, divisors, out=terms, where=divisors > 0)
        np.subtract(offset, terms, out=terms)
        terms[divisors <= 0] = np.inf
    else:
        terms /= divisors
        np.subtract(offset, terms, out=terms)
    chosen = terms.argmin(axis=1)
    origin[rows] = chosen
    best[rows] = terms[np.arange(len(chosen)), chosen]
    while stride > 1:
        wide, stride = stride, stride // _REFINEMENT
        j = np.arange(0, count, stride)
        j = j[j % wide != 0]
        left = j // wide * wide
        right = left + wide
        lower = origin[left]
        upper = np.where(right < count, origin[np.minimum(right, count - 1)], len(values) - 1)
        upper = np.minimum(np.maximum(upper, lower), begin + j - 1 - low)
        for part in _portions(upper - lower + 1):
            best[j[part]], origin[j[part]] = _ragged(
                mass, first, offset, j_mass, j_first, j[part], lower[part], upper[part]
            )
    return best + seconds[begin - low :], origin + low


def _portions(lengths: Indices) -> list[slice]:
    """Return slices of neighbouring rows with about a million entries each."""
    if int(lengths.sum()) <= 1 << 20:
        return [slice(None)]
    ends = np.cumsum(lengths)
    cuts = np.searchsorted(ends, np.arange(1 << 20, int(ends[-1]), 1 << 20)) + 1
    places = np.unique(np.concatenate([[0], cuts, [len(lengths)]])).tolist()
    return [slice(begin, end) for begin, end in pairwise(places)]


def _ragged(
    mass: Floats,
    first: Floats,
    offset: Floats,
    j_mass: Floats,
    j_first: Floats,
    j: Indices,
    lower: Indices,
    upper: Indices,
) -> tuple[Floats, Indices]:
    """Return the least of offset[i] - (first difference)^2 / mass difference over lower <= i <= upper, for each j."""
    lengths = upper - lower + 1
    starts = np.cumsum(lengths) - lengths
    i = np.arange(int(lengths.sum()))
    i += np.repeat(lower - starts, lengths)
    terms = np.repeat(j_first[j], lengths) - first[i]
    terms *= terms
    terms /= np.repeat(j_mass[j], lengths) - mass[i]
    np.subtract(offset[i], terms, out=terms)
    best = np.minimum.reduceat(terms, starts)
    hits = np.flatnonzero(terms == np.repeat(best, lengths))
    return best, i[hits[np.searchsorted(hits, starts)]]


def _dual_bound(points: _Points, edges: Indices, layers: _Layers) -> tuple[float, float]:
    """Return a lower bound of the minimal error, see the module's docstring, and the allowance for rounding in it.

    The price is one at which k clusters are best; the potential of a node is the least error plus prices on the way
    there, as far as the layers know. Edges that break its rule correct it; what remains broken is subtracted.

    Checking edges from i to the nodes after j only needs the near i. For i < i' < j, the cost being Monge,
    cost(i, j + 1) - cost(i, j) >= cost(i', j + 1) - cost(i', j): if the potential grows less than even the cost from
    i', then an edge from i that keeps the rule up to j keeps it from there on.
    """
    clusters = len(edges) - 1
    fewer, exact, more = layers.totals
    price = exact - more if clusters == 1 else (fewer - more) / 2
    potential = np.full(len(points.x) + 1, np.inf)
    potential[0] = 0.0
    for number, (low, values) in enumerate(zip(layers.low[1:], layers.values[1:], strict=True), 1):
        window = potential[low : low + len(values)]
        np.minimum(window, values + number * price, out=window)
    bound, doubt = -np.inf, 0.0
    for _ in range(4):
        near = far = doubt = 0.0
        for part in range(1, clusters + 1):
            low, begin, end = int(edges[max(part - 2, 0)]), int(edges[part - 1]), int(edges[part])
            mass, first, second = sums = points.sums(low, end)
            reached = _layer(sums, low, potential[low:end], begin + 1)[0] + price
            here = potential[begin + 1 : end + 1]
            # Sums of this size are subtracted: each cost is wrong by a few of their last bits.
            doubt += 4 * np.finfo(np.float64).eps * float(second[-1])
            near = max(near, float((here - reached).max()))
            np.minimum(here, reached, out=here)
            if low:
                costs = (second[1:] - first[1:] ** 2 / mass[1:])[begin - low - 1 :]
                growth = (potential[begin : end + 1] - potential[begin]) - (costs - costs[0])
                far += max(float(growth.max()), 0.0)
        bound = max(bound, float(potential[-1]) - clusters * (price + near + far) - doubt)
        if near * clusters <= max(doubt, exact * _ROUNDING / 10):
            break
    return bound, doubt


# ---- More points than the dynamic program takes ----


def _compressed(x: Array, w: Floats | None, clusters: int) -> Clustering:
    """Return clusters of sorted points near the optimum, and a bound on the distance from it.

    The points are cut into cells. Moving each cell's mass to its end points l and r, so that its mean stays, makes a
    set Z of few points. For any centres the squared distance to the nearest is x^2 minus a convex function, so that
    its mean over a cell is at least its mean over the two ends minus the mean of (x - l)(r - x). Hence

        least error of the points >= least error of Z - sum of w (x - l)(r - x).

    The clusters of Z, which are computed exactly, begin Lloyd's iteration on the points themselves.
    """
    cells = max(_CELLS * clusters, 2 * _FEWEST)
    cuts = _cells(x, w, cells)
    middle = float(np.mean(x, dtype=np.float64)) if w is None else float(np.average(x, weights=w))
    mass, first, second = _cell_sums(x, w, cuts, middle)
    left, right = x[cuts[:-1]].astype(np.float64) - middle, x[cuts[1:] - 1].astype(np.float64) - middle
    length = right - left
    share = np.divide(first - mass * left, length, out=np.zeros_like(length), where=length > 0)
    share = np.clip(share, 0, mass)
    lost = float(np.maximum(first * (left + right) - mass * left * right - second, 0)[length > 0].sum())
    ends, places = np.unique(np.concatenate([left, right]), return_inverse=True)
    moved = np.bincount(places.reshape(-1), np.concatenate([mass - share, share]), len(ends))
    masses = np.asarray(moved, np.float64)
    compressed = _Points.of(ends[masses > 0], masses[masses > 0])
    edges, bound = _shortest_path(compressed, clusters)

    sums = _PrefixSums(x, w, cuts, middle, mass, first)
    total = float(second.sum())
    centres, error = compressed.grouped(edges).x, np.inf
    for _ in range(40):
        counts, moments = sums.between(np.searchsorted(x, _as_type_of(x, (centres[1:] + centres[:-1]) / 2 + middle)))
        kept = counts > 0
        new = moments[kept] / counts[kept]
        reached = total - float(moments[kept] @ new)
        if not reached < error * (1 - 1e-7):
            break
        centres, error = new, reached
    return Clustering(centres + middle, max(error, 0.0), max(min(bound - lost, error), 0.0))


def _as_type_of(x: Array, values: Floats) -> Array:
    """Search keys of the array's own type, so that the array is not converted."""
    return values.astype(x.dtype)


def _cells(x: Array, w: Floats | None, cells: int) -> Indices:
    """Cut 0 = c_0 < c_1 < ... <= n that a good number of clusters would have about equally many of."""
    stride = max(1, len(x) // (16 * cells))
    places = np.append(np.arange(0, len(x) - 1, stride), len(x) - 1)
    masses = np.ones(len(places)) if w is None else np.add.reduceat(w, places)
    spread = _spread(x[places], masses)
    cuts = np.interp(np.arange(1, cells) * (spread[-1] / cells), spread, places).astype(np.intp)
    return np.unique(np.concatenate([[0], cuts, [len(x)]]))


def _cell_sums(x: Array, w: Floats | None, cuts: Indices, middle: float) -> tuple[Floats, Floats, Floats]:
    """Return the sums of w, w (x - middle), w (x - middle)^2 over each cell, with little memory."""
    first, second = np.empty(len(cuts) - 1), np.empty(len(cuts) - 1)
    mass = np.diff(cuts).astype(np.float64) if w is None else np.add.reduceat(w, cuts[:-1])
    begin = 0
    while begin < len(cuts) - 1:
        end = max(int(np.searchsorted(cuts, cuts[begin] + (1 << 16), "right")) - 1, begin + 1)
        part = slice(cuts[begin], cuts[end])
        values = np.subtract(x[part], middle, dtype=np.float64)
        moments = values if w is None else values * w[part]
        starts = cuts[begin:end] - cuts[begin]
        first[begin:end] = np.add.reduceat(moments, starts)
        second[begin:end] = np.add.reduceat(moments * values, starts)
        begin = end
    return mass, first, second


class _PrefixSums:
    """Sums over all points before any place, from the sums over the cells and the points of one cell."""

    def __init__(self, x: Array, w: Floats | None, cuts: Indices, middle: float, mass: Floats, first: Floats) -> None:
        self._x, self._w, self._cuts, self._middle = x, w, cuts, middle
        self._sums = [np.concatenate([[0.0], np.cumsum(terms)]) for terms in (mass, first)]

    def between(self, places: Indices) -> tuple[Floats, Floats]:
        """Return mass and first moment of the points before the first place, between neighbours, after the last."""
        cell = np.searchsorted(self._cuts, places, "right") - 1
        lengths = places - self._cuts[cell]
        owner = np.repeat(np.arange(len(places)), lengths)
        inside = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths - self._cuts[cell], lengths)
        values: Any = np.subtract(self._x[inside], self._middle, dtype=np.float64)
        weights = np.ones(len(inside)) if self._w is None else self._w[inside]
        parts = [np.bincount(owner, terms, len(places)) for terms in (weights, values * weights)]
        mass, first = (
            np.diff(np.concatenate([[0.0], sums[cell] + part, sums[-1:]]))
            for sums, part in zip(self._sums, parts, strict=True)
        )
        return mass, first
