"""Layers that choose elements by a condition or by their place."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support import integers, one_layer, run_layer

from refcoreml.errors import InputError, InvalidModelError

run_layer = partial(run_layer, rank5=False)
PRECISIONS = st.sampled_from(["float32", "float64"])
SEEDS = st.integers(0, 99)


def shapes(low, high, most=5):
    return st.lists(st.integers(1, most), min_size=low, max_size=high).map(tuple)


@pytest.mark.clause("whereNonZero.S1", "whereNonZero.S2")
@given(shapes(1, 5), SEEDS, PRECISIONS)
def test_where_non_zero(shape, seed, precision):
    x = integers(shape, seed, low=-1, high=2)
    assume(x.any())
    y = run_layer("whereNonZero", x, static=False, precision=precision)
    assert y.tolist() == [list(index) for index in np.ndindex(shape) if x[index]]


@pytest.mark.clause("whereNonZero.C1", "whereNonZero.U1")
def test_where_non_zero_errors():
    with pytest.raises(
        InputError, match=r"\(whereNonZero\): all 6 elements of its input are 0, so that the output would be empty"
    ):
        run_layer("whereNonZero", np.zeros((2, 3)), static=False)
    long = np.broadcast_to(np.float32(1), (2**24 + 1,))
    with pytest.raises(InvalidModelError, match="names only 16777216 exactly"):
        one_layer("whereNonZero", rank5=False).run({"x0": long})


@pytest.mark.clause("whereNonZero.U2", "whereBroadcastable.U1")
def test_nan_is_not_zero():
    x = [[0, np.nan, -0.0], [np.inf, 0, 0]]
    assert run_layer("whereNonZero", x, static=False).tolist() == [[0, 1], [1, 0]]
    assert run_layer("whereBroadcastable", [np.nan, 0, -0.0, -2, 1e-30], [5], [7]).tolist() == [5, 7, 7, 5, 5]


@pytest.mark.clause("whereBroadcastable.S1", "whereBroadcastable.S2")
@given(shapes(1, 5), st.data(), SEEDS, PRECISIONS)
def test_where_broadcastable(shape, data, seed, precision):
    """Any three shapes that broadcast to the given one."""
    blobs = []
    for number in range(3):
        kept = data.draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
        part = tuple(n if keep else 1 for n, keep in zip(shape, kept, strict=True))
        blobs.append(integers(part[data.draw(st.integers(0, len(shape) - 1)) :], seed + number, low=-1, high=2))
    y = run_layer("whereBroadcastable", *blobs, precision=precision)
    condition, a, b = np.broadcast_arrays(*blobs)
    assert y.shape == condition.shape
    for index in np.ndindex(y.shape):
        assert y[index] == (a[index] if condition[index] else b[index])


@pytest.mark.clause("whereBroadcastable.C1")
def test_where_broadcastable_errors():
    with pytest.raises(InvalidModelError, match=r"inputs of shapes \(2, 3\), \(4,\), \(1,\) do not fit together"):
        run_layer("whereBroadcastable", integers((2, 3)), integers((4,)), integers((1,)))
    with pytest.raises(InvalidModelError, match="a rank above 5"):
        run_layer("whereBroadcastable", np.zeros((1,) * 6), integers((4,)), integers((1,)))


NUMBERS = st.integers(-7, 7) | st.sampled_from([-(2**63), 2**63 - 1])


@pytest.mark.clause("matrixBandPart.S1", "matrixBandPart.S2")
@given(shapes(2, 5), NUMBERS, NUMBERS, SEEDS, PRECISIONS)
def test_matrix_band_part(shape, lower, upper, seed, precision):
    x = integers(shape, seed, low=1)
    y = run_layer("matrixBandPart", x, num_lower=lower, num_upper=upper, precision=precision)
    for index in np.ndindex(shape):
        row, column = index[-2:]
        kept = (lower < 0 or row - column <= lower) and (upper < 0 or column - row <= upper)
        assert y[index] == (x[index] if kept else 0)


@pytest.mark.clause("lowerTriangular.S1", "upperTriangular.S1")
@given(shapes(2, 5), NUMBERS, SEEDS, PRECISIONS)
def test_triangular(shape, k, seed, precision):
    x = integers(shape, seed, low=1)
    near = max(-9, min(k, 9))  # as good as k for such small matrices
    y = run_layer("lowerTriangular", x, k=k, precision=precision)
    np.testing.assert_array_equal(y, np.tril(x, near))
    y = run_layer("upperTriangular", x, k=k, precision=precision)
    np.testing.assert_array_equal(y, np.triu(x, near))


@pytest.mark.clause("matrixBandPart.U1", "lowerTriangular.U1", "upperTriangular.U1")
@pytest.mark.parametrize("kind", ["matrixBandPart", "lowerTriangular", "upperTriangular"])
def test_what_is_left_out_is_zero_whatever_it_was(kind):
    x = [[1, np.nan, np.inf], [np.nan, 2, -np.inf]]
    y = run_layer(kind, x)  # without parameters the main diagonal, and what lies below or above it
    kept = {"matrixBandPart": np.eye(2, 3), "lowerTriangular": np.tri(2, 3), "upperTriangular": np.tri(3, 2).T}[kind]
    np.testing.assert_array_equal(y, np.where(kept, x, 0))


@pytest.mark.clause("matrixBandPart.C1", "lowerTriangular.C1", "upperTriangular.C1")
@pytest.mark.parametrize("kind", ["matrixBandPart", "lowerTriangular", "upperTriangular"])
def test_matrices_need_rank_two(kind):
    with pytest.raises(InvalidModelError, match=rf"\({kind}\): expected an input of rank 2 or more, got \(5,\)"):
        run_layer(kind, integers((5,)))


@pytest.mark.clause("oneHot.S1", "oneHot.S2", "oneHot.S4")
@given(shapes(1, 4), st.integers(1, 6), st.data(), SEEDS, st.booleans(), PRECISIONS)
def test_one_hot(shape, depth, data, seed, dynamic, precision):
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    x = integers(shape, seed, low=-2, high=8)
    options = {"axis": axis, "on_value": 2.5, "off_value": -1, "precision": precision}
    if dynamic:
        y = run_layer("oneHot", x, [depth + 0.5], one_hot_vector_size=9, static=False, **options)
    else:
        y = run_layer("oneHot", x, one_hot_vector_size=depth, **options)
    place = axis % (len(shape) + 1)
    assert y.shape == (*shape[:place], depth, *shape[place:])
    for index in np.ndindex(y.shape):
        hit = x[(*index[:place], *index[place + 1 :])] == index[place]
        assert y[index] == (2.5 if hit else -1)


def test_one_hot_agrees_with_torch():
    torch = pytest.importorskip("torch", reason="torch is a third opinion")
    x = np.random.default_rng(0).integers(0, 7, (2, 3, 5))
    theirs = torch.nn.functional.one_hot(torch.from_numpy(x), 7).numpy()
    y = run_layer("oneHot", x, one_hot_vector_size=7, axis=-1, on_value=1)
    np.testing.assert_array_equal(y, theirs)


@pytest.mark.clause("oneHot.S3", "oneHot.S4", "oneHot.U1", "oneHot.U2")
def test_one_hot_of_fractions_and_nothing():
    y = run_layer("oneHot", [1.9, -0.5, np.nan, 3, -1], one_hot_vector_size=3, axis=-1, on_value=2)
    assert y.tolist() == [[0, 2, 0], [2, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert run_layer("oneHot", [1], one_hot_vector_size=3).tolist() == [[0], [0], [0]]  # onValue is 0 where unset


@pytest.mark.clause("oneHot.C1", "oneHot.C2", "oneHot.C3")
def test_one_hot_errors():
    x = integers((2, 3))
    with pytest.raises(InvalidModelError, match="oneHotVectorSize is 0, expected 1 or more, or a second input"):
        run_layer("oneHot", x)
    for axis in (3, -4):
        with pytest.raises(InvalidModelError, match=rf"axis is {axis}, expected -3 to 2 for x \(2, 3\)"):
            run_layer("oneHot", x, one_hot_vector_size=4, axis=axis)
        with pytest.raises(InvalidModelError, match=rf"axis is {axis}, expected -3 to 2 for x \(2, 3\)"):
            run_layer("oneHot", x, [4], axis=axis, static=False)
    with pytest.raises(InvalidModelError, match="a rank above 5"):
        run_layer("oneHot", np.zeros((1, 1, 1, 1, 1)), one_hot_vector_size=4)
    with pytest.raises(InvalidModelError, match="18446744073709551615 elements, but float32 names only 16777216"):
        run_layer("oneHot", x, one_hot_vector_size=2**64 - 1)
    for depth, said in (
        (0, "depth is 0"),
        (-3, "depth is -3"),
        (2.0**25, "depth is 33554432, expected 1 to 16777216"),
        (np.nan, "depth holds .*nan"),
    ):
        with pytest.raises(InputError, match=said):
            run_layer("oneHot", x, [depth], static=False)
    with pytest.raises(InvalidModelError, match=r"depth has the shape \(2,\)"):
        run_layer("oneHot", x, [1, 2], static=False)
    with pytest.raises(InputError, match=r"an output would have the shape \(1000, 16777216\), .* limit"):
        run_layer("oneHot", np.zeros(1000), [2**24], axis=-1, static=False)
