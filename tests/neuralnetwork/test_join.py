"""Layers that join, divide and repeat blobs."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import integers, one_layer, run_layer

from refcoreml.errors import InputError, InvalidModelError

run_layer = partial(run_layer, rank5=False)

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple)


def _replaced(shape, axis, length):
    dims = list(shape)
    dims[axis] = length
    return tuple(dims)


@settings(max_examples=50)
@given(SHAPES, st.lists(st.integers(1, 5), min_size=2, max_size=4), st.data(), st.booleans())
@pytest.mark.clause("concatND.S1", "splitND.S1", "splitND.S2")
def test_concat_and_split_are_inverse(shape, lengths, data, equal):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    if equal:
        lengths = lengths[:1] * len(lengths)
    parts = [integers(_replaced(shape, axis, length), seed) for seed, length in enumerate(lengths)]
    y = run_layer("concatND", *parts, axis=axis)
    start = 0
    for part, length in zip(parts, lengths, strict=True):
        np.testing.assert_array_equal(np.take(y, range(start, start + length), axis), part)
        start += length
    assert y.shape == _replaced(shape, axis, start)
    settings = [{"splitSizes": lengths, "numSplits": 77}] + [{"numSplits": len(lengths)}] * equal
    for fields in settings:
        for part, given_back in zip(
            parts, run_layer("splitND", y, outputs=len(parts), axis=axis, **fields), strict=True
        ):
            np.testing.assert_array_equal(given_back, part)


@settings(max_examples=50)
@given(SHAPES, st.integers(2, 4), st.data())
@pytest.mark.clause("concatND.S2")
def test_interleave(shape, count, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    xs = [integers(shape, seed) for seed in range(count)]
    y = run_layer("concatND", *xs, axis=axis, interleave=True)
    for k, x in enumerate(xs):
        np.testing.assert_array_equal(np.take(y, range(k, y.shape[axis], count), axis), x)


@pytest.mark.parametrize(
    ("shapes", "fields", "message"),
    [
        ([(2, 3), (2, 4)], {"axis": 0}, r"cannot join \(2, 4\) to \(2, 3\)"),
        ([(2, 3), (2, 3, 1)], {"axis": 1}, "cannot join"),
        ([(2, 3), (2, 3)], {"axis": 2}, "axis is 2, expected -2 to 1"),
        ([(2, 3), (2, 4)], {"axis": 1, "interleave": True}, "cannot interleave"),
        ([(2, 3)], {"axis": 1}, "has 1 inputs, expected at least 2"),
    ],
)
@pytest.mark.clause("concatND.C1", "concatND.C2")
def test_concat_errors(shapes, fields, message):
    with pytest.raises(InvalidModelError, match=rf"\(concatND\).*{message}"):
        run_layer("concatND", *map(np.ones, shapes), **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "numSplits specifies 0 parts, but there are 2 outputs"),
        ({"numSplits": 3}, "specifies 3 parts"),
        ({"splitSizes": [1, 2], "axis": 1}, r"the parts \(1, 2\) do not divide an axis of 5"),
        ({"splitSizes": [0, 5], "axis": 1}, "numbers of at least 1"),
        ({"splitSizes": [2**63, 2**63], "axis": 1}, "do not divide"),
        ({"splitSizes": [1, 2, 2], "axis": 1}, "splitSizes specifies 3 parts"),
        ({"numSplits": 2, "axis": -4}, "axis is -4"),
        ({"numSplits": 2, "axis": 2}, r"the parts \(1, 0\) do not divide an axis of 1"),
    ],
)
@pytest.mark.clause("splitND.C1", "splitND.C2")
def test_split_errors(fields, message):
    with pytest.raises(InvalidModelError, match=rf"\(splitND\).*{message}"):
        run_layer("splitND", np.ones((4, 5, 1)), outputs=2, **fields)


@pytest.mark.parametrize("parts", [2, 3, 4, 5, 7])
@pytest.mark.clause("splitND.U1")
def test_parts_that_are_not_equal(parts):
    x = integers((2, 7))
    for y, expected in zip(
        run_layer("splitND", x, outputs=parts, axis=1, numSplits=parts), np.array_split(x, parts, 1), strict=True
    ):
        np.testing.assert_array_equal(y, expected)


@settings(max_examples=50)
@given(SHAPES.filter(lambda shape: len(shape) < 5), st.integers(2, 4), st.data())
@pytest.mark.clause("stack.S1")
def test_stack(shape, count, data):
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    xs = [integers(shape, seed) for seed in range(count)]
    y = run_layer("stack", *xs, axis=axis)
    assert y.ndim == len(shape) + 1
    for k, x in enumerate(xs):
        np.testing.assert_array_equal(np.take(y, k, axis), x)


@pytest.mark.clause("stack.C1", "stack.C2")
def test_stack_errors():
    with pytest.raises(InvalidModelError, match="has 1 inputs, expected at least 2"):
        run_layer("stack", np.ones((2, 3)))
    with pytest.raises(InvalidModelError, match=r"cannot stack \(2, 3\) and \(3, 2\)"):
        run_layer("stack", np.ones((2, 3)), np.ones((3, 2)))
    with pytest.raises(InvalidModelError, match="axis is 3, expected -3 to 2"):
        run_layer("stack", np.ones((2, 3)), np.ones((2, 3)), axis=3)
    with pytest.raises(InvalidModelError, match="none may have a rank above 5"):
        run_layer("stack", np.ones((1,) * 5), np.ones((1,) * 5))


@settings(max_examples=50)
@given(SHAPES, st.data())
@pytest.mark.clause("tile.S1", "tile.S2", "tile.S3")
def test_tile(shape, data):
    reps = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=len(shape)))
    x = integers(shape)
    np.testing.assert_array_equal(run_layer("tile", x, reps=reps), np.tile(x, reps))
    np.testing.assert_array_equal(run_layer("tile", x, reps, static=False, reps=[9]), np.tile(x, reps))


@pytest.mark.clause("tile.S2")
def test_tile_as_the_specification_shows_it():
    x = integers((2, 4, 2))
    assert run_layer("tile", x, reps=[1, 2, 6]).shape == (2, 8, 12)
    assert run_layer("tile", x, reps=[6]).shape == (2, 4, 12)


@pytest.mark.clause("tile.U1")
def test_tile_by_an_input_with_fractions():
    x = integers((2, 3))
    np.testing.assert_array_equal(run_layer("tile", x, [2.9, 1.2], static=False), np.tile(x, [2, 1]))
    np.testing.assert_array_equal(run_layer("tile", x, [2.0], static=False), np.tile(x, [1, 2]))


@pytest.mark.parametrize("reps", [[], [0], [1, 1, 2]])
@pytest.mark.clause("tile.C1")
def test_tile_errors(reps):
    x = np.ones((2, 3))
    with pytest.raises(InvalidModelError, match="expected"):
        run_layer("tile", x, reps=reps)
    if reps:
        with pytest.raises((InputError, InvalidModelError), match="expected"):
            run_layer("tile", x, reps)


def test_hostile_repetitions():
    with pytest.raises(InvalidModelError, match="bytes"):
        run_layer("tile", np.ones((2, 3)), reps=[2**62, 2**62])
    with pytest.raises(InputError, match="bytes"):
        run_layer("tile", np.ones((2, 3)), [2.0**20, 2.0**20])
    with pytest.raises(InputError, match="expected integers"):
        run_layer("tile", np.ones((2, 3)), [np.inf, 1])
    one_layer("tile", reps=[2**62], rank5=False)
