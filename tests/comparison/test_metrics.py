"""Figures against loops that transcribe their definitions, and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcoreml.comparison.metrics import DifferenceSums, Rate, RateCount, among_best, best_among_best, decibel

SHAPES = [(2, 3, 5), (7,), (4, 1)]


def pairs(seed=0, dtype=np.float32):
    generator = np.random.default_rng(seed)
    for shape in SHAPES:
        s = generator.normal(size=shape).astype(dtype)
        yield s, (s + generator.normal(scale=0.01, size=shape)).astype(dtype)


def gathered(samples, **options):
    sums = DifferenceSums(**options)
    for number, (s, q) in enumerate(samples):
        sums.add(s, q, f"sample {number}")
    return sums


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_figures_are_their_definitions(dtype):
    found = gathered(pairs(dtype=dtype)).result()
    s = [float(x) for one, _ in pairs(dtype=dtype) for x in one.reshape(-1)]
    q = [float(x) for _, other in pairs(dtype=dtype) for x in other.reshape(-1)]
    noise = [(b - a) ** 2 for a, b in zip(s, q, strict=True)]
    signal, count = math.fsum(a * a for a in s), len(s)
    # Sums of fewer than 64 terms in float64 lose less than 64 units of roundoff, 64 * 1.1e-16 = 7e-15 relative.
    near = {"rel": 1e-13}
    assert found.count == count == 41
    assert found.snr == pytest.approx(10 * math.log10(signal / math.fsum(noise)), **near)
    assert found.psnr == pytest.approx(10 * math.log10(max(map(abs, s)) ** 2 / (math.fsum(noise) / count)), **near)
    product = math.fsum(a * b for a, b in zip(s, q, strict=True))
    assert found.cosine == pytest.approx(product / math.sqrt(signal * math.fsum(b * b for b in q)), **near)
    assert found.max_error == max(abs(b - a) for a, b in zip(s, q, strict=True))
    assert found.mean_error == pytest.approx(math.fsum(abs(b - a) for a, b in zip(s, q, strict=True)) / count, **near)
    assert found.rms_error == pytest.approx(math.sqrt(math.fsum(noise) / count), **near)


def test_the_worst_sample_is_named():
    samples = [(np.ones(3), np.ones(3)), (np.ones(3), np.ones(3) * 1.5), (np.ones(3), np.ones(3) * 1.25)]
    found = gathered(samples).result()
    assert found.worst_sample == "sample 1"
    assert found.worst_snr == pytest.approx(10 * math.log10(4), rel=1e-14)


def test_images_have_the_peak_of_bytes_and_differences_do_not_wrap():
    """A constant error of 16 gray levels, in both directions: 20 log10(255 / 16) dB."""
    dark, light = np.full((4, 5), 10, np.uint8), np.full((4, 5), 26, np.uint8)
    for s, q in ((dark, light), (light, dark)):
        found = gathered([(s, q)], peak=255.0).result()
        assert found.max_error == found.mean_error == 16
        assert found.psnr == pytest.approx(20 * math.log10(255 / 16), rel=1e-14)
        assert found.snr == pytest.approx(20 * math.log10(int(s[0, 0]) / 16), rel=1e-14)


def test_equal_arrays_have_no_noise_at_all():
    found = gathered([(s, s) for s, _ in pairs()]).result()
    assert (found.snr, found.psnr, found.cosine, found.max_error) == (math.inf, math.inf, 1.0, 0.0)
    assert found.noiseless


def test_zeros_and_lost_signals():
    assert gathered([(np.zeros(3), np.zeros(3))]).result().cosine == 1
    only_noise = gathered([(np.zeros(3), np.ones(3))]).result()
    assert only_noise.snr == -math.inf
    assert math.isnan(only_noise.cosine)
    lost = gathered([(np.ones(3), np.zeros(3))]).result()
    assert lost.snr == 0


def test_what_is_not_finite_is_counted_and_left_out():
    s = np.array([1.0, np.nan, np.inf, np.inf, 2.0, np.nan])
    q = np.array([1.5, np.nan, np.inf, -np.inf, np.nan, 0.0])
    found = gathered([(s, q)]).result()
    assert (found.count, found.nonfinite, found.nonfinite_differing) == (1, 5, 3)
    assert found.max_error == 0.5
    nothing = gathered([(np.array([np.nan]), np.array([np.nan]))]).result()
    assert nothing.count == 0
    assert math.isnan(nothing.snr)


def test_tiny_noise_is_not_lost():
    assert decibel(1.0, 5e-324) == pytest.approx(3233.06, abs=0.01)


@given(st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_merging_is_adding_one_after_another(cut, seed):
    samples = [(s, q) for part in range(2) for s, q in pairs(seed + part)]
    whole, first, second = gathered(samples), gathered(samples[:cut]), DifferenceSums()
    for number, (s, q) in enumerate(samples[cut:], cut):
        second.add(s, q, f"sample {number}")
    first.merge(second)
    one, other = whole.result(), first.result()
    assert (one.count, one.max_error, one.worst_sample) == (other.count, other.max_error, other.worst_sample)
    # Six terms in another order: 6 * 1.1e-16.
    assert one.rms_error == pytest.approx(other.rms_error, rel=1e-14)


def by_sorting(scores, label, k):
    """Whether the label is among the k best, over all orders of labels with equal scores."""
    best = sorted(range(len(scores)), key=lambda i: (-scores[i], i != label))  # the label first of its equals
    worst = sorted(range(len(scores)), key=lambda i: (-scores[i], i == label))  # the label last of them
    found = {label in best[:k], label in worst[:k]}
    return found.pop() if len(found) == 1 else None


@given(st.lists(st.integers(0, 3), min_size=2, max_size=7), st.data())
def test_among_the_best_over_all_ways_to_break_ties(scores, data):
    label = data.draw(st.integers(0, len(scores) - 1))
    k = data.draw(st.integers(1, len(scores)))
    assert among_best(np.array(scores, np.float32), label, k) is by_sorting(scores, label, k)


def test_agreement_with_ties():
    full, same, other = np.array([0.1, 0.7, 0.2]), np.array([0.2, 0.5, 0.3]), np.array([0.5, 0.2, 0.3])
    assert best_among_best(full, same, 1) is True
    assert best_among_best(full, other, 1) is False
    assert best_among_best(full, np.array([0.4, 0.4, 0.2]), 1) is None
    assert best_among_best(full, np.array([0.4, 0.4, 0.2]), 2) is True
    tied = np.array([0.4, 0.4, 0.2])
    assert best_among_best(tied, tied, 1) is None, "two best labels: which one is returned is an accident"
    assert best_among_best(tied, tied, 2) is True
    assert best_among_best(tied, np.array([0.1, 0.2, 0.7]), 1) is False
    assert best_among_best(tied, np.array([0.7, 0.2, 0.1]), 1) is None


def test_nan_agrees_with_nothing():
    good, bad = np.array([0.1, 0.9]), np.array([np.nan, 0.9])
    assert best_among_best(bad, bad, 1) is False
    assert best_among_best(good, bad, 2) is False


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_rates_are_those_of_scikit_learn(k):
    sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn, of the extra oracles")
    generator = np.random.default_rng(k)
    scores, truth = generator.random((200, 7)), generator.integers(0, 7, 200)
    count = RateCount()
    for row, label in zip(scores, truth, strict=True):
        count.add(among_best(row, int(label), k))
    assert count.result().tied == 0
    expected = sklearn_metrics.top_k_accuracy_score(truth, scores, k=k, labels=range(7))
    assert count.result().rate == pytest.approx(expected, abs=1e-15)


def test_a_rate_says_its_ties():
    assert str(Rate(3, 0, 4)) == "75.00% (3 of 4)"
    assert str(Rate(2, 1, 4)) == "50.00% (2 of 4, 1 tied)"
    assert Rate(2, 1, 4).upper == 0.75
    assert math.isnan(Rate(0, 0, 0).rate)
