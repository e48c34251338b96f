"""Search for the number of bits of each layer: `frontier`, `within_budget`, `above_floor`.

Each layer can be left as it is or stored with one of a few numbers of bits. From measurements of one layer quantized at
a time there are two figures for each choice: how many bytes it saves, and how much noise it adds to the output,
relative to the signal. Errors of different layers are taken as independent, so that their noise adds up, which holds as
long as it is small.

To save the most bytes for the least noise is then a knapsack problem with one choice from each layer. Its best
solutions on the convex hull come out greedily: draw the lower convex hull of each layer's choices in the plane of
saved bytes and noise, and take the hulls' edges in the order of their slopes. This gives a path of plans, each the best
for its size, from one layer quantized to all that saves bytes. Neighbours on the path differ in one layer.
(H. Kellerer, U. Pferschy, D. Pisinger: Knapsack Problems, 2004, chapter 11.)

Predictions only choose the plans: what a plan truly needs and does is measured before it is returned. Where the noise
of layers does not add up, all layers stored alike can do better; so the points of the sweep, which are measured anyway,
are plans to choose from as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from refcoreml.errors import UsageError
from refcoreml.studies.records import Configuration, Record

__all__ = ["Choice", "above_floor", "choices", "frontier", "uniform", "within_budget"]


@dataclass(frozen=True)
class Choice:
    """A way to store one layer: the bytes it saves, the noise it adds to the output, relative to the signal."""

    layer: str
    bits: int
    mode: str
    saved: float
    noise: float


def choices(records: Iterable[Record], full_size: int) -> list[Choice]:
    """Return the choices that records of one layer at a time tell of; those that leave no finite output are none."""
    return [
        Choice(c.layer, c.bits, c.mode, full_size - record.size, record.noise)
        for record in records
        for c in [record.configuration]
        if c.kind == "only" and record.noise < math.inf
    ]


def frontier(options: Sequence[Choice]) -> list[Configuration]:
    """Return the plans on the convex hull, from the one that saves the least to the one that saves the most."""
    edges: list[tuple[float, int, Choice]] = []
    for position, layer in enumerate(dict.fromkeys(option.layer for option in options)):
        hull = _hull([option for option in options if option.layer == layer])
        saved, noise = 0.0, 0.0
        for choice in hull:
            edges.append(((choice.noise - noise) / (choice.saved - saved), position, choice))
            saved, noise = choice.saved, choice.noise
    chosen: dict[str, Choice] = {}
    plans = []
    # Python's sort is stable, so that a layer's edges of equal slope stay in their order.
    for _, _, choice in sorted(edges, key=lambda edge: edge[:2]):
        chosen[choice.layer] = choice
        plan = tuple((c.layer, c.bits, c.mode) for c in chosen.values())
        plans.append(Configuration("plan", plan=tuple(sorted(plan))))
    return plans


def _hull(options: Sequence[Choice]) -> list[Choice]:
    """Return the lower convex hull from (0, 0) on, by growing savings; choices that save nothing are never on it."""
    hull: list[Choice] = []
    for option in sorted(options, key=lambda choice: (choice.saved, choice.noise)):
        if option.saved <= 0 or (hull and hull[-1].saved == option.saved):
            continue
        while hull:
            before = hull[-2] if len(hull) > 1 else Choice("", 0, "", 0.0, 0.0)
            last = hull[-1]
            rise = (last.noise - before.noise) * (option.saved - last.saved)
            if rise < (option.noise - last.noise) * (last.saved - before.saved):
                break
            hull.pop()
        hull.append(option)
    return hull


def uniform(configuration: Configuration, layers: Sequence[str]) -> Configuration:
    """Return a point of the sweep as a plan: some layers stored alike."""
    plan = tuple((layer, configuration.bits, configuration.mode) for layer in sorted(layers))
    return Configuration("plan", plan=plan)


def within_budget(
    plans: Sequence[Configuration],
    measure: Callable[[Configuration], Record],
    budget: float,
    swept: Mapping[Configuration, Record] = MappingProxyType({}),
) -> Record:
    """Return the plan with the least noise whose model is truly not larger than the budget, in bytes.

    Of the path, the one with the least predicted noise; of the sweep, all whose measured noise is less than that one's.

    Args:
        plans: the path.
        measure: evaluates a plan.
        budget: the largest size.
        swept: points of the sweep as plans, with what was measured of them.

    Raises:
        UsageError: even the smallest model is larger.
    """

    def fits(record: Record) -> bool:
        return record.size <= budget

    def rank(record: Record) -> tuple[float, int]:
        return record.noise, record.size

    record = _best(_bisect(plans, measure, fits, first=True), swept, measure, fits, rank)
    if record is None:
        smallest = measure(plans[-1]).size if plans else None
        reach = f"the smallest that these bits reach is {smallest} bytes" if smallest else "no layer gets smaller"
        raise UsageError(f"no plan has a size of {budget:.0f} bytes or less; {reach}", where="budget")
    return record


def above_floor(
    plans: Sequence[Configuration],
    measure: Callable[[Configuration], Record],
    floor: float,
    figure: str,
    swept: Mapping[Configuration, Record] = MappingProxyType({}),
) -> Record:
    """Return the smallest model whose measured figure is at least the floor.

    The path is searched by bisection, as if the figure fell with the size. Where it does not, the plan that is returned
    keeps the floor all the same, but a smaller one of the path may do too; none of the sweep does.

    Args:
        plans: the path.
        measure: evaluates a plan.
        floor: the least value.
        figure: ``accuracy`` or ``agreement``, or ``snr`` in dB.
        swept: points of the sweep as plans, with what was measured of them.

    Raises:
        UsageError: no plan keeps the floor.
    """

    def fits(record: Record) -> bool:
        return bool(getattr(record, figure) >= floor)

    def rank(record: Record) -> tuple[float, float]:
        return record.size, -getattr(record, figure)

    record = _best(_bisect(plans, measure, fits, first=False), swept, measure, fits, rank)
    if record is None:
        best = getattr(measure(plans[0]), figure) if plans else None
        reach = f"even the gentlest has {best:.6g}" if best is not None else "no layer gets smaller"
        raise UsageError(f"no plan has {figure} {floor:g} or more; {reach}", where="floor")
    return record


def _best(
    record: Record | None,
    swept: Mapping[Configuration, Record],
    measure: Callable[[Configuration], Record],
    fits: Callable[[Record], bool],
    rank: Callable[[Record], tuple[float, float]],
) -> Record | None:
    """Return the record of lowest rank: the given one, or that of a fitting point of the sweep, measured as a plan."""
    better = [plan for plan, point in swept.items() if fits(point) and (record is None or rank(point) < rank(record))]
    found = [measured for measured in map(measure, better) if fits(measured)]
    return min([*([] if record is None else [record]), *found], key=rank, default=None)


def _bisect(
    plans: Sequence[Configuration],
    measure: Callable[[Configuration], Record],
    good: Callable[[Record], bool],
    *,
    first: bool,
) -> Record | None:
    """Return the first good plan if ``first`` (good ones come last), else the last good one (good ones come first)."""
    low, high, best = 0, len(plans) - 1, None
    while low <= high:
        middle = (low + high) // 2
        record = measure(plans[middle])
        if good(record):
            best = record
        if good(record) == first:
            high = middle - 1
        else:
            low = middle + 1
    return best
