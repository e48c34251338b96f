"""Layers that change shapes and orders of axes."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support import integers, run_layer

from refcoreml import build, load
from refcoreml.errors import InputError, InvalidModelError
from refcoreml.spec import schema

run_layer = partial(run_layer, rank5=False)

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple)


@st.composite
def refactored(draw):
    """Two shapes of as many elements."""
    factors = draw(st.lists(st.sampled_from([2, 3, 5]), max_size=5))

    def deal():
        dims = [1] * draw(st.integers(1, 5))
        for factor in factors:
            dims[draw(st.integers(0, len(dims) - 1))] *= factor
        return tuple(dims)

    return deal(), deal()


@pytest.mark.clause(
    "reshapeStatic.S1",
    "reshapeStatic.S2",
    "reshapeDynamic.S1",
    "reshapeDynamic.U1",
    "reshapeLike.S1",
    "reshapeLike.S2",
    "rankPreservingReshape.S1",
)
@settings(max_examples=50)
@given(refactored(), st.data())
def test_reshapes(shapes, data):
    shape, target = shapes
    x = integers(shape)
    wild = list(target)
    if data.draw(st.booleans()):
        wild[data.draw(st.integers(0, len(wild) - 1))] = -1
    expected = x.reshape(target)
    np.testing.assert_array_equal(run_layer("reshapeStatic", x, targetShape=wild), expected)
    np.testing.assert_array_equal(run_layer("reshapeDynamic", x, wild, static=False), expected)
    np.testing.assert_array_equal(run_layer("reshapeLike", x, np.full(target, np.nan)), expected)
    if len(shape) == len(target):
        kept = [0 if n == x.shape[k] else n for k, n in enumerate(wild)]
        np.testing.assert_array_equal(run_layer("rankPreservingReshape", x, targetShape=kept), expected)


@pytest.mark.clause("reshapeStatic.C1", "reshapeStatic.C2", "reshapeDynamic.C2")
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ((5, -1), r"\(5, -1\) is requested, which the 24 numbers of \(2, 3, 4\) do not fill"),
        ((5, 5), "do not fill"),
        ((-1, -1), "one of which may be -1"),
        ((0, 24), "numbers of at least 1"),
        ((-2, -12), "numbers of at least 1"),
        ((2**62, 2**62), "do not fill"),
        ((2**62, -1), "do not fill"),
        ((1, 1, 1, 1, 1, 24), "expected 1 to 5 numbers"),
        ((), "expected 1 to 5 numbers"),
    ],
)
def test_reshape_errors(target, message):
    x = np.ones((2, 3, 4))
    with pytest.raises(InvalidModelError, match=message):
        run_layer("reshapeStatic", x, targetShape=target)
    if 0 < len(target) < 6 and max(map(abs, target)) < 2**24:
        with pytest.raises(InputError, match=message):
            run_layer("reshapeDynamic", x, np.array(target))


@pytest.mark.clause("reshapeDynamic.U2")
def test_fractions_of_a_shape_are_cut_off():
    x = integers((2, 3, 5))
    np.testing.assert_array_equal(run_layer("reshapeDynamic", x, [6.9, -1.5], static=False), x.reshape(6, 5))


@pytest.mark.clause("reshapeLike.C1", "rankPreservingReshape.C1", "rankPreservingReshape.C2")
@pytest.mark.clause("reshapeDynamic.C1", "reshapeDynamic.C2")
def test_reshape_errors_of_shapes():
    x = np.ones((2, 3, 4))
    with pytest.raises(InvalidModelError, match="which the 24 numbers"):
        run_layer("reshapeLike", x, np.ones((5, 5)))
    with pytest.raises(InvalidModelError, match=r"expected an input of rank 2, that of targetShape \(4, 6\), got"):
        run_layer("rankPreservingReshape", x, targetShape=(4, 6))
    with pytest.raises(InvalidModelError, match="which the 24 numbers"):
        run_layer("rankPreservingReshape", x, targetShape=(0, 0, 5))
    for blob in [[[2, 12]]], [1, 1, 1, 1, 1, 24]:
        with pytest.raises(InvalidModelError, match="expected a vector of 1 to 5 numbers"):
            run_layer("reshapeDynamic", x, blob)
    for target in (-1, -1, 24), (-2, 3, 4):
        with pytest.raises(InvalidModelError, match="one of which may be -1"):
            run_layer("rankPreservingReshape", x, targetShape=target)
    for length in (np.nan, np.inf, -np.inf):
        with pytest.raises(InputError, match="holds"):
            run_layer("reshapeDynamic", x, [length, 2])


@pytest.mark.clause("rankPreservingReshape.S2")
def test_rank_preserving_reshape_as_the_specification_shows_it():
    for shape, target, expected in [
        ((20, 10), (5, -1), (5, 40)),
        ((20, 10, 5), (0, 2, 25), (20, 2, 25)),
        ((10, 3, 5), (25, 0, -1), (25, 3, 2)),
    ]:
        x = integers(shape)
        np.testing.assert_array_equal(run_layer("rankPreservingReshape", x, targetShape=target), x.reshape(expected))


@pytest.mark.clause("flattenTo2D.C1", "flattenTo2D.S1", "flattenTo2D.S2", "flattenTo2D.U1")
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 5, 6)])
def test_flatten_to_2d(shape):
    x = integers(shape)
    for axis in range(-len(shape), len(shape) + 1):
        place = axis + len(shape) if axis < 0 else axis
        expected = x.reshape(math.prod(shape[:place]), math.prod(shape[place:]))
        np.testing.assert_array_equal(run_layer("flattenTo2D", x, axis=axis), expected)
    for axis in -len(shape) - 1, len(shape) + 1, 2**63 - 1:
        with pytest.raises(InvalidModelError, match=f"axis is {axis}"):
            run_layer("flattenTo2D", x, axis=axis)


@pytest.mark.clause("expandDims.S1", "squeeze.S1", "squeeze.S2")
@settings(max_examples=50)
@given(SHAPES, st.data())
def test_expand_dims_and_squeeze_are_inverse(shape, data):
    rank = data.draw(st.integers(len(shape), 5))
    if rank == len(shape):
        return
    axes = data.draw(st.permutations(range(rank)))[: rank - len(shape)]
    axes = [axis - rank * data.draw(st.integers(0, 1)) for axis in axes]
    x = integers(shape)
    y = run_layer("expandDims", x, axes=axes)
    np.testing.assert_array_equal(y, np.expand_dims(x, tuple(axes)))
    np.testing.assert_array_equal(run_layer("squeeze", y, axes=axes), x)
    squeezed = np.squeeze(x)
    np.testing.assert_array_equal(run_layer("squeeze", y, squeezeAll=True), squeezed.reshape(squeezed.shape or (1,)))


@pytest.mark.clause("expandDims.S1")
def test_expand_dims_as_apples_tests_have_it():
    for shape, axes, expected in [
        ((10, 5), (0, 2), (1, 10, 1, 5)),
        ((10, 5), (2, 0), (1, 10, 1, 5)),
        ((10, 5), (-2, -1), (10, 5, 1, 1)),
        ((10,), (1, 0, -2), (1, 1, 1, 10)),
    ]:
        assert run_layer("expandDims", integers(shape), axes=axes).shape == expected


@pytest.mark.clause("squeeze.S2", "squeeze.S3")
def test_squeeze_of_the_last_axis_leaves_one():
    assert run_layer("squeeze", [7.0], axes=[0]).shape == (1,)
    assert run_layer("squeeze", [[7.0]], axes=[0, -1]).shape == (1,)
    assert run_layer("squeeze", [[7.0]], squeezeAll=True, axes=[55]).shape == (1,)


@pytest.mark.clause("expandDims.C1", "expandDims.C2", "squeeze.C1", "squeeze.C2", "transpose.C1")
@pytest.mark.parametrize(
    ("kind", "axes", "message"),
    [
        ("expandDims", [], "axes is empty"),
        ("expandDims", [4], r"axes is \(4,\), expected -4 to 3"),
        ("expandDims", [0, -5], "names an axis of 5 twice"),
        ("expandDims", [0, 1, 2], "none may have a rank above 5"),
        ("squeeze", [], "axes is empty"),
        ("squeeze", [0], r"axis 0 of \(2, 1, 3\) has the length 2"),
        ("squeeze", [3], "expected -3 to 2"),
        ("squeeze", [1, -2], "names an axis of 3 twice"),
        ("transpose", [], r"axes is \(\), expected a permutation of \(0, 1, 2\)"),
        ("transpose", [0, 1], "expected a permutation"),
        ("transpose", [0, 1, 1], "expected a permutation"),
        ("transpose", [1, 2, 2**63], "expected a permutation"),
    ],
)
def test_errors_of_axes(kind, axes, message):
    with pytest.raises(InvalidModelError, match=rf"\({kind}\).*{message}"):
        run_layer(kind, np.ones((2, 1, 3)), axes=axes)


@pytest.mark.clause("transpose.S1")
@settings(max_examples=50)
@given(SHAPES, st.data())
def test_transpose(shape, data):
    axes = data.draw(st.permutations(range(len(shape))))
    x = integers(shape)
    y = run_layer("transpose", x, axes=axes)
    assert y.shape == tuple(shape[axis] for axis in axes)
    for place in np.ndindex(*y.shape):
        source = [0] * len(shape)
        for k, axis in enumerate(axes):
            source[axis] = place[k]
        assert y[place] == x[tuple(source)]


@pytest.mark.clause("transpose.U1")
@pytest.mark.parametrize(("shape", "axes"), [((1, 3, 2, 5), (1, 2, 0)), ((1, 1, 3, 2), (1, 0)), ((1, 1, 4), (0,))])
def test_transpose_of_the_last_axes(shape, axes):
    x = integers(shape)
    y = run_layer("transpose", x, axes=axes)
    leading = len(shape) - len(axes)
    np.testing.assert_array_equal(y, x.reshape(shape[leading:]).transpose(axes).reshape(y.shape))
    assert y.shape[:leading] == (1,) * leading


@pytest.mark.clause("transpose.U1")
@pytest.mark.parametrize(("shape", "axes"), [((2, 3, 4), (1, 0)), ((1, 2, 3), (0,)), ((1, 3), (0, 1, 2)), ((1,), ())])
def test_transpose_of_other_than_all_axes(shape, axes):
    with pytest.raises(InvalidModelError, match=r"\(transpose\).*expected a permutation of \(0,"):
        run_layer("transpose", np.ones(shape), axes=axes)


@pytest.mark.clause("transpose.U1")
def test_an_image_with_the_channels_last():
    """What make_image_input of coremltools writes for image_format NHWC."""
    net = build.Network({"picture": build.image(2, 4)}, ["y"], exact=True)
    net.add("transpose", inputs="picture", outputs="y", axes=[1, 2, 0])
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
    spec = net.spec()
    spec.neuralNetwork.imageInputShapeMapping = schema.RANK4_IMAGE_MAPPING
    y = load(spec).predict({"picture": Image.fromarray(pixels)})["y"]
    np.testing.assert_array_equal(y, pixels[None])
