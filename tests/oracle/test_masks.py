"""Entries that cannot count, however large they are, do not widen the bounds of those that do."""

from __future__ import annotations

import numpy as np
import pytest
from layer_examples import Example

from refcoreml import build
from refcoreml.oracle import oracle
from refcoreml.oracle.balls import Ball, Rounding
from refcoreml.oracle.rules.order import extreme_place

SINGLE = Rounding.of(np.float32)
LOWEST = float(np.finfo(np.float32).min)
MASKS = [-np.inf, LOWEST, -1e20, -1e9]
ROW = np.array([0.3, -0.7, 2.0, 1.1])


def masked(value, rounding=SINGLE, off=1e-6):
    """The row with two masked entries, which are wide since they are large: (the ball, which entries are real)."""
    mid = np.array([ROW[0], value, ROW[1], ROW[2], value, ROW[3]])
    rad = np.where(np.isfinite(mid), np.maximum(off, rounding.unit * np.abs(mid)), 0.0)
    rad[mid == value] += 0.0 if np.isinf(value) else off
    return Ball(mid, rad), mid != value


@pytest.mark.parametrize("value", MASKS)
def test_a_softmax_is_known_as_well_as_without_its_masked_entries(value):
    ball, real = masked(value)
    found, alone = SINGLE.softmax(ball, 0), SINGLE.softmax(ball.map(lambda v: v[real]), 0)
    np.testing.assert_array_equal(found.mid[~real], 0)
    np.testing.assert_array_equal(found.rad[~real], 0)
    np.testing.assert_allclose(found.mid[real], alone.mid, rtol=1e-15)
    # Only the number of terms differs: two more roundings of a sum.
    np.testing.assert_allclose(found.rad[real], alone.rad + 2 * SINGLE.unit * (alone.mid + alone.rad), rtol=1e-3)


def test_a_causal_mask_leaves_each_row_what_it_sees():
    scores = np.random.default_rng(0).normal(size=(5, 5))
    hidden = np.triu(np.ones((5, 5), bool), 1)
    bounds = SINGLE.softmax(Ball(np.where(hidden, LOWEST, scores), np.where(hidden, 1e31, 1e-6)), -1)
    assert not bounds.rad[hidden].any()
    for row in range(5):
        seen = SINGLE.softmax(Ball(scores[row, : row + 1], np.full(row + 1, 1e-6)), -1)
        extra = (4 - row) * SINGLE.unit
        np.testing.assert_allclose(bounds.rad[row, : row + 1], seen.rad + extra * (seen.mid + seen.rad), rtol=1e-3)


@pytest.mark.parametrize("off", [0.0, 1e-6, 0.01, 0.5, 3.0])
@pytest.mark.parametrize("value", [*MASKS, -3.0])
def test_no_member_of_a_ball_leaves_the_softmax(value, off):
    """Members at and between the ends, in single precision and in two orders."""
    ball, _ = masked(value, off=off)
    found = SINGLE.softmax(ball, 0)
    rng = np.random.default_rng(1)
    for _ in range(400):
        sides = rng.choice([-1.0, 1.0, 0.0, rng.uniform(-1, 1)], ball.mid.shape)
        x = ball.mid + sides * ball.rad
        with np.errstate(over="ignore"):
            shifted = np.float32(x) - np.float32(x).max()
        # Storing x moves it by a rounding of its own, which the ball holds where it is wider than that.
        slack = np.expm1(2 * SINGLE.unit * np.abs(x[x > -1e3]).max())
        for terms in (np.exp(shifted), np.exp(shifted[::-1])[::-1]):
            y = terms / terms.sum(dtype=np.float32)
            assert (np.abs(y.astype(np.float64) - found.mid) <= found.rad + slack * (found.mid + found.rad)).all()


def test_an_entry_that_may_be_anything_leaves_the_row_open_and_others_not():
    x = Ball(np.array([[0.5, 0.0, 0.2], [0.5, 0.0, 0.2]]), np.array([[0, np.inf, 0], [0, 0, 0.0]]))
    found = SINGLE.softmax(x, -1)
    assert np.isinf(found.rad[0]).all()
    assert (found.rad[1] < 1e-6).all()


@pytest.mark.parametrize("rad", [0.5, 5.0, 100.0, 700.0])
def test_a_softmax_reaches_its_ends_and_not_much_more(rad):
    """Against the quotients at both ends of the one entry that is open."""

    def softmax(second):
        terms = np.exp(np.array([0.5, second, 0.2]))
        return terms / terms.sum()

    found = SINGLE.softmax(Ball(np.array([0.5, 0.0, 0.2]), np.array([0.0, rad, 0.0])), 0)
    greatest = np.maximum(np.abs(softmax(rad) - found.mid), np.abs(softmax(-rad) - found.mid))
    assert (found.rad >= greatest).all()
    # The exponents' own error: 3 u (0.5 + 2 rad) and 6 u each, twice in a quotient; and 5 roundings.
    np.testing.assert_allclose(found.rad, greatest, rtol=0, atol=2 * SINGLE.unit * (3 * (0.5 + 2 * rad) + 6) + 1e-6)


def test_a_row_without_any_entry_is_nan_for_certain():
    found = SINGLE.softmax(Ball.exact([-np.inf, -np.inf, -np.inf]), 0)
    assert np.isnan(found.mid).all()
    assert not found.rad.any()


@pytest.mark.parametrize("value", MASKS)
@pytest.mark.parametrize(("kind", "fields"), [("reduceLogSumExp", {"axes": (-1,)}), ("reduceMax", {"axes": (-1,)})])
def test_reductions_ignore_what_cannot_be_the_greatest(kind, fields, value):
    net = build.Network({"x": (4,), "m": (4,)}, ["y"], exact=True)
    net.add("addBroadcastable", inputs=["x", "m"], outputs="s")
    net.add(kind, inputs="s", outputs="y", keepDims=True, **fields)
    mask = np.array([0.0, value, 0.0, value])
    found = oracle(net.spec(), {"x": ROW, "m": mask})["y"]
    kept = ROW.astype(np.float32).astype(np.float64)[[0, 2]]
    expected = np.log(np.exp(kept).sum()) if kind == "reduceLogSumExp" else kept.max()
    assert found.value == pytest.approx(expected, rel=1e-12)
    assert found.bound < 1e-5


@pytest.mark.parametrize("rad", [0.0, 0.5, 40.0])
def test_no_member_of_a_ball_leaves_a_logarithm_of_exponentials(rad):
    example = Example("reduceLogSumExp", [ROW.astype(np.float32)], {"axes": (-1,), "keepDims": True})
    value = oracle(example.model(), example.features())["y0"]
    parts = SINGLE.exponentials(Ball(ROW, np.array([0, rad, 0, 0])), (0,))
    total, below, above = (part.sum() for part in parts)
    for shift in (-rad, 0.3 * rad, rad):
        x = ROW + np.array([0, shift, 0, 0])
        moved = np.log(np.exp(x).sum()) - np.log(np.exp(ROW).sum())
        assert np.log1p(-below / total) <= moved <= np.log1p(above / total)
    assert abs(np.float32(np.log(np.exp(ROW.astype(np.float32)).sum())) - value.value) <= value.bound


def test_only_what_can_be_the_greatest_is_a_candidate():
    """The winner is wide, the second is certain: what is below the second cannot be the greatest."""
    x = Ball(np.array([5.0, 4.9, 0.0, -1e20]), np.array([10.0, 0.0, 0.0, 6e12]))
    assert extreme_place(x, 0, False) == 1
    assert extreme_place(Ball(-x.mid, x.rad), 0, True) == 1
    assert extreme_place(Ball(np.array([1.0, -np.inf, 1.0, 0.5]), np.zeros(4)), 0, False) == 2


def test_nan_opens_the_order_of_its_own_row():
    x = np.array([[3.0, np.nan, 1.0], [2.0, 7.0, 5.0]])
    example = Example("topK", [x.astype(np.float32)], {"axis": -1, "K": 2}, outputs=2)
    values, places = oracle(example.model(), example.features()).values()
    for found in (values, places):
        assert np.isinf(found.bound[0]).all()
        assert not found.bound[1].any()
    assert values.value[1].tolist() == [7, 5]


# ---- Infinities that are certain ----


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_infinity_stays_what_it_is_beside_numbers_that_are_not_exact(sign):
    infinite, near = Ball.exact(sign * np.inf), Ball(np.array(0.25), np.array(1e-3))
    for found, value in (
        (SINGLE.add(infinite, near), sign * np.inf),
        (SINGLE.subtract(near, infinite), -sign * np.inf),
        (SINGLE.multiply(near, infinite), sign * np.inf),
        (SINGLE.divide(infinite, near), sign * np.inf),
        (SINGLE.sum(Ball(np.array([0.5, sign * np.inf]), np.array([1e-3, 0.0])), (0,)), sign * np.inf),
    ):
        assert found.mid == value
        assert not np.any(found.rad)


def test_infinity_is_open_where_it_meets_what_may_be_zero_or_infinite():
    infinite = Ball.exact(np.inf)
    assert np.isinf(SINGLE.multiply(infinite, Ball(np.array(1e-3), np.array(1e-2))).rad)
    assert np.isinf(SINGLE.add(infinite, Ball(np.array(1.0), np.array(np.inf))).rad)


@pytest.mark.parametrize("value", MASKS)
@pytest.mark.parametrize("profile", ["fp32", "fp16/acc32"])
def test_attention_is_known_in_every_profile(value, profile):
    """softmax(x + m) v: the bound is small, and wrong weights are outside."""
    rng = np.random.default_rng(2)
    x, weights = rng.normal(size=(3, 5)), rng.normal(size=(5, 2)).astype(np.float32)
    mask = np.where(np.triu(np.ones((3, 5), bool), 3), value, 0.0)
    net = build.Network({"x": (3, 5), "m": (3, 5)}, ["y"], exact=True)
    net.add("unary", inputs="x", outputs="t", type="EXP")
    net.add("addBroadcastable", inputs=["t", "m"], outputs="s")
    net.add("softmaxND", inputs="s", outputs="p", axis=-1)
    net.add(
        "batchedMatmul",
        inputs="p",
        outputs="y",
        weightMatrixFirstDimension=5,
        weightMatrixSecondDimension=2,
        weights=np.ascontiguousarray(weights),
    )
    with np.errstate(over="ignore"):
        found = oracle(net.spec(), {"x": x, "m": mask}, profile)["y"]
    assert found.bound.max() < (1e-4 if profile == "fp32" else 0.1) * np.abs(found.value).max()
