"""k-means in one dimension against exhaustive search, a dynamic program in loops, and kmeans1d."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from profiles import examples

from refcoreml.kernels import kmeans

#: Costs are differences of float64 sums about a near origin: a few of the last bits of sums some clusters wide.
ROUNDING = 1e-9


def error_of(values, centres, weights=None):
    """Sum of w (x - nearest centre)^2, every distance computed."""
    x = np.asarray(values, np.float64).reshape(-1)
    w = np.ones(x.size) if weights is None else np.asarray(weights, np.float64).reshape(-1)
    return float((w * ((x[:, None] - np.asarray(centres)) ** 2).min(axis=1)).sum())


def least_error(values, clusters, weights=None):
    """The least error over all ways to cut the sorted values."""
    order = np.argsort(values, kind="stable")
    x = np.asarray(values, np.float64)[order]
    w = np.ones(x.size) if weights is None else np.asarray(weights, np.float64)[order]
    best = np.inf
    for cuts in combinations(range(1, x.size), clusters - 1):
        total = 0.0
        for part in np.split(np.arange(x.size), cuts):
            if w[part].sum() > 0:
                mean = np.average(x[part], weights=w[part])
                total += float((w[part] * (x[part] - mean) ** 2).sum())
        best = min(best, total)
    return best


small = arrays(np.float32, st.integers(1, 9), elements=st.integers(-20, 20).map(lambda n: n / 4))


@settings(max_examples=examples(300), deadline=None)
@given(small, st.integers(1, 4))
def test_no_cut_of_few_values_is_better(values, clusters):
    found = kmeans.cluster(values, clusters)
    least = least_error(values, min(clusters, values.size))
    assert found.error == pytest.approx(least, rel=1e-12, abs=1e-12)
    assert found.lower_bound <= found.error
    assert error_of(values, found.centres) == pytest.approx(found.error, rel=1e-12, abs=1e-12)
    assert len(found.centres) == min(clusters, len(np.unique(values)))
    assert (np.diff(found.centres) > 0).all()


@settings(max_examples=examples(200), deadline=None)
@given(st.integers(3, 8), st.integers(1, 3), st.integers(0, 1000))
def test_no_cut_of_few_weighted_values_is_better(count, clusters, seed):
    rng = np.random.default_rng(seed)
    values, weights = rng.standard_normal(count).astype(np.float32), rng.integers(0, 5, count) + (np.arange(count) == 0)
    found = kmeans.cluster(values, clusters, weights)
    assert found.error == pytest.approx(least_error(values, clusters, weights), rel=1e-12, abs=1e-12)
    assert error_of(values, found.centres, weights) == pytest.approx(found.error, rel=1e-9, abs=1e-12)


def cauchy(rng, count):
    return rng.standard_cauchy(count)


def clumps(rng, count):
    return rng.integers(0, 40, count) + 0.01 * rng.standard_normal(count)


def halves(rng, count):
    return rng.standard_normal(count).astype(np.float16)


def mixture(rng, count):
    return np.where(rng.random(count) < 0.9, 0.01, 3.0) * rng.standard_normal(count) + (rng.random(count) < 0.3)


@pytest.mark.parametrize("draw", [np.random.Generator.standard_normal, cauchy, clumps, halves, mixture])
@pytest.mark.parametrize(("count", "clusters"), [(300, 2), (1000, 16), (3000, 64), (700, 256), (20_000, 256)])
def test_the_error_is_that_of_kmeans1d(draw, count, clusters):
    kmeans1d = pytest.importorskip("kmeans1d", reason="needs kmeans1d, an independent optimal clustering")
    values = draw(np.random.default_rng(count), count).astype(np.float32)
    optimum = kmeans1d.cluster(np.sort(values.astype(np.float64)), min(clusters, len(np.unique(values)))).centroids
    expected = error_of(values, np.array(optimum))
    found = kmeans.cluster(values, clusters)
    assert error_of(values, found.centres) == pytest.approx(found.error, rel=ROUNDING)
    # It may be better by what kmeans1d, whose sums are about 0, loses to rounding.
    assert found.error <= expected * (1 + ROUNDING)
    assert found.error >= expected * (1 - 1e-6)
    # The bound gives away 4 eps of the sums of squares around each cluster: below 1e9 errors, outliers included.
    assert 1 <= found.factor <= 1 + 1e-6


def test_the_error_of_100_000_values_is_that_of_kmeans1d():
    kmeans1d = pytest.importorskip("kmeans1d", reason="needs kmeans1d, an independent optimal clustering")
    values = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    expected = error_of(values, np.array(kmeans1d.cluster(np.sort(values.astype(np.float64)), 64).centroids))
    found = kmeans.cluster(values, 64)
    assert found.error == pytest.approx(expected, rel=ROUNDING)
    assert found.factor <= 1 + ROUNDING


@pytest.mark.parametrize("clusters", [1, 2, 16, 256])
@pytest.mark.parametrize("weighted", [False, True])
def test_beyond_the_limit_the_bound_holds_and_is_near(monkeypatch, clusters, weighted):
    """The same values, once exactly, once as if they were too many."""
    rng = np.random.default_rng(7)
    values = rng.standard_normal(40_000).astype(np.float32)
    weights = rng.uniform(0.5, 2, values.size) if weighted else None
    exact = kmeans.cluster(values, clusters, weights)
    monkeypatch.setattr(kmeans, "EXACT_UP_TO", 1000)
    near = kmeans.cluster(values, clusters, weights)
    assert near.lower_bound <= exact.error <= near.error * (1 + ROUNDING)
    # 2 (1 / 32)^2 of the error lies between the bound and the optimum, with evenly long cells.
    assert near.factor <= 1.004
    assert near.error <= exact.error * 1.002
    assert error_of(values[:500], near.centres) == pytest.approx(
        sum((values[:500].astype(float) - near.centres[kmeans.assign(values[:500], near.centres)]) ** 2), rel=1e-5
    )


def test_a_million_values_of_few_kinds_are_exact():
    values = np.random.default_rng(0).integers(-300, 300, 1_000_000).astype(np.float32)
    found = kmeans.cluster(values, 16)
    kinds, counts = np.unique(values, return_counts=True)
    assert found.error == pytest.approx(kmeans.cluster(kinds, 16, counts).error, rel=1e-12)
    assert found.factor <= 1 + ROUNDING


def test_the_order_of_values_does_not_matter():
    rng = np.random.default_rng(0)
    values = rng.standard_normal(5000).astype(np.float32)
    one, other = kmeans.cluster(values, 32), kmeans.cluster(rng.permutation(values).reshape(50, 100), 32)
    np.testing.assert_array_equal(one.centres, other.centres)


@pytest.mark.parametrize("scale", [2.0**-140, 2.0**120])
def test_tiny_and_huge_values(scale):
    values = np.arange(100, dtype=np.float32) * np.float32(scale)
    found = kmeans.cluster(values, 10)
    # Ten runs of ten: ten times the variance of 0 ... 9, 8.25, each.
    assert found.error == pytest.approx(10 * 10 * 8.25 * float(np.float32(scale)) ** 2, rel=1e-9)


def test_fewer_values_than_clusters_are_kept():
    found = kmeans.cluster(np.array([3, 1, 3, 2], np.float32), 8)
    assert found.centres.tolist() == [1, 2, 3]
    assert found.error == found.lower_bound == 0
    assert found.factor == 1


def test_values_of_weight_0_do_not_count():
    found = kmeans.cluster(np.array([0, 1, 50], np.float32), 1, np.array([1, 1, 0]))
    assert found.centres.tolist() == [0.5]
    assert found.error == 0.5


@settings(max_examples=examples(200), deadline=None)
@given(
    arrays(np.float32, st.integers(1, 60), elements=st.floats(-(2.0**60), 2.0**60, width=32)),
    arrays(np.float32, st.integers(1, 9), elements=st.floats(-(2.0**60), 2.0**60, width=32), unique=True),
)
def test_assigned_centres_are_nearest(values, centres):
    centres = np.sort(centres)
    many = np.resize(values, 5000)  # long arrays take another way
    for x in values, many:
        codes = kmeans.assign(x, centres)
        distances = np.abs(x[:, None].astype(np.float64) - centres.astype(np.float64))
        np.testing.assert_array_equal(distances[np.arange(x.size), codes], distances.min(axis=1))


def test_assigning_many_values_agrees_with_a_search():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.standard_normal(50_000), [1e6, -1e6, 0.0]]).astype(np.float32)
    centres = np.sort(rng.standard_normal(256)).astype(np.float32)
    middles = (centres[1:].astype(np.float64) + centres[:-1]) / 2
    np.testing.assert_array_equal(kmeans.assign(values, centres), np.searchsorted(middles, values.astype(np.float64)))
