"""Gathering, scattering, slices, windows and reversal against loops over the elements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import integers

from refcoreml.kernels import gather as kernels

DTYPES = [np.float32, np.float64]

#: What each mode makes of an old value and an update, in plain Python.
MODES = {
    "update": (None, lambda o, u: u),
    "add": (np.add, lambda o, u: o + u),
    "sub": (np.subtract, lambda o, u: o - u),
    "mul": (np.multiply, lambda o, u: o * u),
    "div": (np.divide, lambda o, u: o / u),
    "max": (np.maximum, max),
    "min": (np.minimum, min),
}


def _places(shape, length, seed=0):
    return np.random.default_rng(seed).integers(0, length, tuple(shape))


def _powers(shape, seed=0):
    """Powers of two with either sign: products and quotients of a few are exact."""
    rng = np.random.default_rng(seed)
    return rng.choice([-1.0, 1.0], tuple(shape)) * 2.0 ** rng.integers(-2, 3, tuple(shape))


# ---- Indices ----


@pytest.mark.parametrize("dtype", [np.float16, *DTYPES])
@pytest.mark.parametrize("wrap", [True, False])
def test_positions(dtype, wrap):
    indices = np.array([0, 4, 5, -1, -5, -6, 4.99, -0.5, -5.99, 60000, -60000, np.inf, -np.inf, np.nan], dtype)
    nearest = [0, 4, 4, 4, 0, 0, 4, 0, 0, 4, 0, 4, 0, 0] if wrap else [0, 4, 4, 0, 0, 0, 4, 0, 0, 4, 0, 4, 0, 0]
    outside = [0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1, 1] if wrap else [0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1]
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(kernels.out_of_range(indices, 5, wrap=wrap), np.array(outside, bool))
        places = kernels.positions(indices, 5, wrap=wrap)
    assert places.dtype == np.intp
    np.testing.assert_array_equal(places, nearest)


def test_positions_of_several_axes():
    indices = np.array([[0, -1], [2, 4], [3, 5], [-3, -5], [-4, -6]], np.float32)
    lengths = np.array([3, 5])
    np.testing.assert_array_equal(
        kernels.out_of_range(indices, lengths), [[False] * 2, [False] * 2, [True] * 2, [False] * 2, [True] * 2]
    )
    np.testing.assert_array_equal(kernels.positions(indices, lengths), [[0, 4], [2, 4], [2, 4], [0, 0], [0, 0]])


@pytest.mark.parametrize(("dtype", "longest"), [(np.float16, 2**11), (np.float32, 2**24), (np.float64, 2**53)])
def test_longest_axis(dtype, longest):
    assert kernels.longest_axis(dtype) == longest
    assert dtype(longest - 1) != dtype(longest - 2)  # the last two places
    assert int(dtype(longest + 1)) != longest + 1  # the first number that gets lost
    edge = np.array([longest - 1, -longest, longest], dtype)
    np.testing.assert_array_equal(kernels.out_of_range(edge, longest), [False, False, True])
    np.testing.assert_array_equal(kernels.positions(edge[:2], longest), [longest - 1, 0])


# ---- Gathering ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_gather(axis, dtype):
    x, places = integers((2, 3, 5)).astype(dtype), _places((4, 7), (2, 3, 5)[axis])
    y = kernels.gather(x, places, axis)
    assert y.dtype == dtype
    assert y.shape == (*x.shape[:axis], 4, 7, *x.shape[axis + 1 :])
    for index in np.ndindex(y.shape):
        source = (*index[:axis], places[index[axis : axis + 2]], *index[axis + 2 :])
        assert y[index] == x[source]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_gather_nd(count):
    x = np.arange(30.0).reshape(2, 3, 5)
    places = np.stack([_places((4, 7), length, axis) for axis, length in enumerate(x.shape[:count])], -1)
    y = kernels.gather_nd(x, places)
    assert y.shape == (4, 7, *x.shape[count:])
    for index in np.ndindex(y.shape):
        assert y[index] == x[(*places[index[:2]], *index[2:])]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_gather_along_axis(axis):
    x = np.arange(30.0).reshape(2, 3, 5)
    shape = [*x.shape[:axis], 7, *x.shape[axis + 1 :]]
    places = _places(shape, x.shape[axis])
    y = kernels.gather_along_axis(x, places, axis)
    assert y.shape == tuple(shape)
    for index in np.ndindex(y.shape):
        assert y[index] == x[(*index[:axis], places[index], *index[axis + 1 :])]


# ---- Scattering ----


def _sequence(x, targets, updates, step):
    """One update after another, each rounded to the type of x."""
    y = x.copy()
    for target, update in zip(targets, updates, strict=True):
        y[target] = step(y[target], update)
    return y


def _check_scatter(y, x, targets, updates, step):
    targets = list(targets)
    assert len(set(targets)) < len(targets), "the test needs repeated targets"
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, _sequence(x, targets, updates, step))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_scatter(axis, mode, dtype):
    combine, step = MODES[mode]
    x = _powers((2, 3, 5)).astype(dtype)
    places = _places((2, 3), x.shape[axis])
    updates = _powers((*x.shape[:axis], 2, 3, *x.shape[axis + 1 :]), 1).astype(dtype)
    before = x.copy()
    y = kernels.scatter(x, places, updates, axis, combine)
    np.testing.assert_array_equal(x, before)
    targets = [
        (*index[:axis], places[index[axis : axis + 2]], *index[axis + 2 :]) for index in np.ndindex(updates.shape)
    ]
    _check_scatter(y, x, targets, updates.ravel(), step)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_scatter_nd(count, mode):
    combine, step = MODES[mode]
    x = _powers((2, 3, 5))
    places = np.stack([_places((4, 11), length, axis) for axis, length in enumerate(x.shape[:count])], -1)
    updates = _powers((4, 11, *x.shape[count:]), 1)
    y = kernels.scatter_nd(x, places, updates, combine)
    targets = [(*map(int, places[index[:2]]), *index[2:]) for index in np.ndindex(updates.shape)]
    _check_scatter(y, x, targets, updates.ravel(), step)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_scatter_along_axis(axis, mode):
    combine, step = MODES[mode]
    x = _powers((2, 3, 5))
    shape = [*x.shape[:axis], 4, *x.shape[axis + 1 :]]
    places, updates = _places(shape, x.shape[axis]), _powers(shape, 1)
    y = kernels.scatter_along_axis(x, places, updates, axis, combine)
    targets = [(*index[:axis], int(places[index]), *index[axis + 1 :]) for index in np.ndindex(*shape)]
    _check_scatter(y, x, targets, updates.ravel(), step)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_repeated_places_round_one_after_another(mode, dtype):
    """Not only the value, every bit is that of applying the updates in their order: 500 of them to two places."""
    combine, step = MODES[mode]
    rng = np.random.default_rng(3)
    x, updates = rng.standard_normal(3).astype(dtype), rng.standard_normal(500).astype(dtype)
    places = rng.integers(0, 2, 500)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        y = kernels.scatter(x, places, updates, 0, combine)
        np.testing.assert_array_equal(y, _sequence(x, places, updates, step))


def test_division_does_not_multiply_the_divisors():
    x, updates = np.array([1e30], np.float32), np.array([1e20, 1e20, 1e-20], np.float32)
    y = kernels.scatter(x, np.zeros(3, int), updates, 0, np.divide)
    assert y[0] == x[0] / updates[0] / updates[1] / updates[2] > 0


@pytest.mark.parametrize("count", [10, 100_000])
def test_last_update_wins(count):
    updates = np.arange(count, dtype=np.float64)
    places = np.random.default_rng(0).integers(0, 7, count)
    y = kernels.scatter(np.full(9, -1.0), places, updates, 0, None)
    last = {int(place): update for place, update in zip(places, updates, strict=True)}
    assert y.tolist() == [last.get(place, -1.0) for place in range(9)]


@pytest.mark.parametrize("mode", ["add", "mul", "max", "min"])
def test_scatter_along_axis_agrees_with_torch(mode):
    torch = pytest.importorskip("torch", reason="torch is a third opinion")
    combine = MODES[mode][0]
    x, places, updates = integers((4, 5), 1), _places((4, 9), 5), integers((4, 9), 2, low=1)
    name = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}[mode]
    theirs = torch.from_numpy(x).scatter_reduce(1, torch.from_numpy(places), torch.from_numpy(updates), name)
    ours = kernels.scatter_along_axis(x, places, updates, 1, combine)
    np.testing.assert_array_equal(ours, theirs.numpy())


# ---- Slices, windows, reversal ----


def test_slice_axes_is_a_view_of_any_rank():
    x = np.arange(6.0).reshape(2, 3)
    y = kernels.slice_axes(x, [1, 2])
    assert y.shape == ()
    assert y == 5
    assert np.shares_memory(y, x)
    assert kernels.slice_axes(x, [1]).tolist() == [3.0, 4.0, 5.0]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12), st.integers(0, 2))
def test_sliding_windows(length, size, step, axis):
    size = min(size, length)
    shape = [2, 3]
    shape.insert(axis, length)
    x = np.arange(6.0 * length).reshape(shape)
    y = kernels.sliding_windows(x, axis, size, step)
    windows = [np.take(x, range(start, start + size), axis) for start in range(0, length - size + 1, step)]
    np.testing.assert_array_equal(y, np.stack(windows, axis))


@pytest.mark.parametrize(("batch", "sequence"), [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)])
def test_reverse_sequences(batch, sequence):
    x = np.arange(2.0 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    lengths = np.arange(x.shape[batch]) * 2 % (x.shape[sequence] + 1)
    lengths[-1] = x.shape[sequence]
    y = kernels.reverse_sequences(x, lengths, batch, sequence)
    for index in np.ndindex(x.shape):
        source, n = list(index), lengths[index[batch]]
        if index[sequence] < n:
            source[sequence] = n - 1 - index[sequence]
        assert y[index] == x[tuple(source)]
