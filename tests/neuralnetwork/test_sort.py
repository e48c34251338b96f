"""topK, argMax, argMin and argSort as layers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import integers, one_layer, run_layer

from refcoreml.errors import InputError, InvalidModelError
from refcoreml.neuralnetwork.registry import LAYERS, Node

run_layer = partial(run_layer, rank5=False)
PRECISIONS = st.sampled_from(["float32", "float64"])
SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple)
SEEDS = st.integers(0, 99)


def ranked(x, axis, *, largest):
    """A stable order: Python's sort of (value, place) pairs, line by line."""
    places = np.empty(x.shape, int)
    lines, results = np.moveaxis(x, axis, -1), np.moveaxis(places, axis, -1)
    for index in np.ndindex(lines.shape[:-1]):
        line = lines[index].tolist()
        results[index] = sorted(range(len(line)), key=lambda place: (-line[place] if largest else line[place], place))
    return places


@pytest.mark.clause("topK.S1", "topK.S2", "topK.S3", "topK.U1", "topK.U3")
@given(SHAPES, st.data(), SEEDS, st.booleans(), st.booleans(), PRECISIONS)
def test_top_k(shape, data, seed, bottom, dynamic, precision):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    k = data.draw(st.integers(1, shape[axis]))
    x = integers(shape, seed, low=-2, high=3)
    options = {"axis": axis, "use_bottom_k": bottom, "outputs": 2, "precision": precision}
    if dynamic:
        values, indices = run_layer("topK", x, [k + 0.5], K=77, static=False, **options)
    else:
        values, indices = run_layer("topK", x, K=k, **options)
    places = np.take(ranked(x, axis, largest=not bottom), range(k), axis)
    np.testing.assert_array_equal(indices, places)
    np.testing.assert_array_equal(values, np.take_along_axis(x, places, axis))


@pytest.mark.clause("topK.C1", "topK.C2", "topK.U4")
def test_top_k_errors():
    x = integers((2, 5))
    for k in (0, 6, 2**64 - 1):
        with pytest.raises(InvalidModelError, match=rf"layers\[0\] .* \(topK\): K is {k}, expected 1 to 5.* axis 1"):
            run_layer("topK", x, K=k, axis=1, outputs=2)
    for k in (0, -1, 6, 2.0**40):
        with pytest.raises(InputError, match=rf"K is {int(k)}, expected 1 to 5"):
            run_layer("topK", x, [k], axis=1, outputs=2, static=False)
    for k in (np.nan, np.inf):
        with pytest.raises(InputError, match=r"K holds .*(nan|inf)"):
            run_layer("topK", x, [k], axis=1, outputs=2, static=False)
    with pytest.raises(InvalidModelError, match=r"K has the shape \(2,\), expected 1 element"):
        run_layer("topK", x, [1, 2], axis=1, outputs=2, static=False)
    for blobs in ([x], [x, [1]]):
        with pytest.raises(InvalidModelError, match="axis is 2, expected -2 to 1"):
            run_layer("topK", *blobs, K=1, axis=2, outputs=2, static=False)


@pytest.mark.clause("topK.U4")
def test_top_k_that_is_not_strict_takes_the_nearest_k():
    @dataclass(frozen=True)
    class Lenient(Node):
        strict: bool = False

    x = integers((2, 5)).astype(np.float32)
    (node,) = one_layer("topK", 2, 2, rank5=False, axis=1).nodes.values()
    lenient = Lenient(**{**{field.name: getattr(node, field.name) for field in fields(node)}, "strict": False})
    run = LAYERS["topK"].prepare(lenient).run
    assert [run(x, np.array([k], np.float32))[0].shape for k in (-3, 0, 2, 9)] == [(2, 1), (2, 1), (2, 2), (2, 5)]


@pytest.mark.clause("argMax.S1", "argMax.S2", "argMax.U1", "argMin.S1", "argMin.S2", "argMin.U1")
@given(SHAPES, st.data(), SEEDS, st.booleans(), st.booleans(), PRECISIONS)
def test_arg_extremes(shape, data, seed, smallest, remove, precision):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = integers(shape, seed, low=-1, high=2)
    y = run_layer("argMin" if smallest else "argMax", x, axis=axis, remove_dim=remove, precision=precision)
    first = np.take(ranked(x, axis, largest=not smallest), [0], axis)
    if remove:
        first = np.atleast_1d(np.squeeze(first, axis))
    np.testing.assert_array_equal(y, first)
    assert y.shape == first.shape


@pytest.mark.clause("argSort.S1", "argSort.S2", "argSort.U1")
@given(SHAPES, st.data(), SEEDS, st.booleans(), PRECISIONS)
def test_argsort(shape, data, seed, descending, precision):
    axis = data.draw(st.integers(0, len(shape) - 1))
    x = integers(shape, seed, low=-2, high=3)
    y = run_layer("argSort", x, axis=axis, descending=descending, precision=precision)
    np.testing.assert_array_equal(y, ranked(x, axis, largest=descending))


@pytest.mark.clause("topK.U2", "argMax.U2", "argMin.U2", "argSort.U2")
def test_order_of_nan():
    x = [2, np.nan, 5, np.nan]
    for bottom, first in (False, [5, 2]), (True, [2, 5]):
        values, indices = run_layer("topK", x, K=3, use_bottom_k=bottom, outputs=2)
        np.testing.assert_array_equal(values, [*first, np.nan])
        assert indices.tolist() == [x.index(first[0]), x.index(first[1]), 1]
    assert run_layer("argSort", x).tolist() == [0, 2, 1, 3]
    assert run_layer("argSort", x, descending=True).tolist() == [2, 0, 1, 3]
    assert run_layer("argMax", x).tolist() == run_layer("argMin", x).tolist() == [1]


@pytest.mark.clause("argMax.C1", "argMin.C1", "argSort.C1")
@pytest.mark.parametrize("kind", ["argMax", "argMin", "argSort"])
def test_axes_out_of_range(kind):
    wrong = [2, -3, 2**63 - 1, -(2**63)] + ([-1] if kind == "argSort" else [])
    for axis in wrong:
        with pytest.raises(
            InvalidModelError, match=rf"layers\[0\] .* \({kind}\): axis is {axis}, expected (-2|0) to 1"
        ):
            run_layer(kind, integers((2, 5)), axis=axis)


@pytest.mark.clause("argMax.C2", "argMin.C2", "argSort.C2", "topK.C3")
@pytest.mark.parametrize("kind", ["topK", "argMax", "argMin", "argSort"])
def test_indices_stay_exact(kind):
    outputs, options = (2, {"K": 1}) if kind == "topK" else (1, {})
    build = partial(one_layer, kind, 1, outputs, rank5=False, axis=1, **options)
    build().shapes({"x0": (2, 2**24)})
    with pytest.raises(InvalidModelError, match="along an axis of 16777217 elements, but float32 names only 16777216"):
        build().shapes({"x0": (2, 2**24 + 1)})
    build(precision="float64").shapes({"x0": (2, 2**24 + 1)})
