"""The search for a plan against trying everything."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_example import record

from refcoreml.errors import UsageError
from refcoreml.studies.plan import Choice, above_floor, choices, frontier, uniform, within_budget
from refcoreml.studies.records import Configuration

FULL = 10_000


@st.composite
def options(draw):
    """A few choices for each of a few layers; integers, so that sums are exact."""
    made = []
    for layer in "abcd"[: draw(st.integers(1, 4))]:
        for bits in draw(st.lists(st.integers(1, 8), max_size=3, unique=True)):
            made.append(Choice(layer, bits, "linear", draw(st.integers(-2, 40)), draw(st.integers(0, 40))))
    return made


def totals(plan, made):
    found = {(choice.layer, choice.bits): choice for choice in made}
    chosen = [found[layer, bits] for layer, bits, _ in plan]
    return sum(choice.saved for choice in chosen), sum(choice.noise for choice in chosen)


@given(options())
def test_no_other_plan_saves_as_much_with_less_noise(made):
    layers = list(dict.fromkeys(choice.layer for choice in made))
    everything = [
        [choice for choice in chosen if choice is not None]
        for chosen in product(*([None, *(c for c in made if c.layer == layer)] for layer in layers))
    ]
    plans = frontier(made)
    before = 0.0
    for plan in plans:
        saved, noise = totals(plan.plan, made)
        assert saved > before, "the path saves more with every step"
        before = saved
        assert len({layer for layer, _, _ in plan.plan}) == len(plan.plan)
        best = min(sum(c.noise for c in other) for other in everything if sum(c.saved for c in other) >= saved)
        assert noise == best
    most = max((sum(c.saved for c in other) for other in everything), default=0)
    assert before == max(most, 0), "the path ends where all is saved"


@given(st.lists(st.integers(-5, 40), min_size=1, max_size=9, unique=True), st.integers(0, 45))
def test_the_first_plan_within_a_budget(saved, budget):
    """Sizes fall along the path: a scan from the start finds the same plan."""
    plans = [Configuration("plan", plan=(("a", bits + 10, "linear"),)) for bits in range(len(saved))]
    sizes = dict(zip(plans, sorted(saved, reverse=True), strict=True))
    asked = []

    def measure(configuration):
        asked.append(configuration)
        return record(configuration=configuration, size=sizes[configuration])

    expected = next((plan for plan in plans if sizes[plan] <= budget), None)
    if expected is None:
        with pytest.raises(UsageError, match="no plan has a size of"):
            within_budget(plans, measure, budget)
    else:
        assert within_budget(plans, measure, budget).configuration == expected
    assert len(asked) <= 5, "nine plans need four measurements, and one for the message"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.floats(0, 1))
def test_what_is_found_keeps_the_floor_even_if_accuracy_goes_up_and_down(rates, floor):
    plans = [Configuration("plan", plan=(("a", bits + 10, "linear"),)) for bits in range(len(rates))]
    measured = dict(zip(plans, rates, strict=True))
    try:
        found = above_floor(plans, lambda plan: record(configuration=plan, accuracy=measured[plan]), floor, "accuracy")
    except UsageError:
        if rates == sorted(rates, reverse=True):
            assert max(rates) < floor
    else:
        assert found.accuracy >= floor
        if rates == sorted(rates, reverse=True):
            last = [plan for plan in plans if measured[plan] >= floor][-1]
            assert found.configuration == last


def test_nothing_to_choose_from():
    with pytest.raises(UsageError, match="no layer gets smaller"):
        within_budget([], record, 5)
    with pytest.raises(UsageError, match="no layer gets smaller"):
        above_floor([], record, 0.5, "accuracy")


def test_what_leaves_no_finite_output_is_no_choice():
    for snr in (float("nan"), float("-inf")):
        assert choices([record(configuration=Configuration("only", 1, "linear", "a"), snr=snr)], FULL) == []


def test_choices_are_what_one_layer_saves_and_adds():
    found = choices(
        [
            record(configuration=Configuration("only", 4, "kmeans", "a"), size=FULL - 300, snr=20.0),
            record(configuration=Configuration("except", 4, "kmeans", "a")),
            record(configuration=Configuration("sweep", 4, "kmeans")),
        ],
        FULL,
    )
    assert found == [Choice("a", 4, "kmeans", 300, pytest.approx(0.01, rel=1e-15))]


# ---- The points of the sweep are plans as well ----

POINTS = st.lists(st.tuples(st.integers(1, 40), st.integers(-5, 40)), min_size=1, max_size=6)


def fake(points, bits):
    """Plans, and what is measured of them: sizes and SNRs."""
    plans = [Configuration("plan", plan=(("a", bits + number, "linear"),)) for number in range(len(points))]
    made = zip(plans, points, strict=True)
    return {
        plan: record(configuration=plan, size=size, snr=float(snr), accuracy=snr / 50) for plan, (size, snr) in made
    }


@given(POINTS, POINTS, st.integers(1, 45))
def test_no_point_of_the_sweep_within_the_budget_is_better(path, sweep, budget):
    plans, swept = fake(path, 0), fake(sweep, 100)
    fitting = [point for point in swept.values() if point.size <= budget]
    try:
        found = within_budget(list(plans), {**plans, **swept}.__getitem__, budget, swept)
    except UsageError:
        assert not fitting
        return
    assert found.size <= budget
    for point in fitting:
        assert (found.noise, found.size) <= (point.noise, point.size)


@given(POINTS, POINTS, st.integers(0, 40))
def test_no_point_of_the_sweep_above_the_floor_is_smaller(path, sweep, floor):
    plans, swept = fake(path, 0), fake(sweep, 100)
    fitting = [point for point in swept.values() if point.accuracy >= floor / 50]
    try:
        found = above_floor(list(plans), {**plans, **swept}.__getitem__, floor / 50, "accuracy", swept)
    except UsageError:
        assert not fitting
        return
    assert found.accuracy >= floor / 50
    assert found.size <= min((point.size for point in fitting), default=found.size)


def test_a_point_of_the_sweep_is_measured_again_as_a_plan():
    """Without its layers that do not get smaller it may not be what it was; then it does not count."""
    plan = uniform(Configuration("sweep", 4, "kmeans"), ["b", "a"])
    assert plan.plan == (("a", 4, "kmeans"), ("b", 4, "kmeans"))
    swept = {plan: record(configuration=plan, size=10, snr=30.0)}
    path = Configuration("plan", plan=(("a", 8, "linear"),))
    measured = {
        path: record(configuration=path, size=12, snr=20.0),
        plan: record(configuration=plan, size=16, snr=30.0),
    }
    assert within_budget([path], measured.__getitem__, 15, swept).configuration == path
    assert within_budget([path], measured.__getitem__, 16, swept).configuration == plan
