"""Layers that gather, scatter, slice, window and reverse, against NumPy, loops and torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support import integers, one_layer, run_layer

from refcoreml.errors import InputError, InvalidModelError
from refcoreml.neuralnetwork.registry import LAYERS, Node
from refcoreml.spec import schema

run_layer = partial(run_layer, rank5=False)
PRECISIONS = st.sampled_from(["float32", "float64"])
HUGE = 2**63 - 1


@dataclass(frozen=True)
class Lenient(Node):
    """A node that lets values pass which the specification leaves undefined."""

    strict: bool = False


def run_lenient(kind, *arrays, outputs=1, **options: Any):
    (node,) = one_layer(kind, len(arrays), outputs, rank5=False, **options).nodes.values()
    given = {field.name: getattr(node, field.name) for field in fields(node)}
    lenient = Lenient(**{**given, "strict": False})
    with np.errstate(all="ignore"):
        return LAYERS[kind].prepare(lenient).run(*(np.array(a, node.dtype) for a in arrays))


def shapes(low=1, high=5, most=4):
    return st.lists(st.integers(1, most), min_size=low, max_size=high).map(tuple)


def indices_into(shape, length, seed, *, negative=True):
    rng = np.random.default_rng(seed)
    whole = rng.integers(-length if negative else 0, length, shape).astype(np.float64)
    return whole + np.sign(whole) * rng.choice([0, 0.5], shape)  # a fraction, cut off toward zero


def replaced(shape, axis, *new):
    return (*shape[:axis], *new, *shape[axis + 1 :])


SEEDS = st.integers(0, 99)

# ---- Gathering ----


@pytest.mark.clause("gather.S1", "gather.S2", "gather.U1")
@given(shapes(), shapes(1, 3), st.data(), SEEDS, PRECISIONS)
def test_gather(shape, index_shape, data, seed, precision):
    assume(len(shape) + len(index_shape) <= 6)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x, indices = integers(shape, seed), indices_into(index_shape, shape[axis], seed)
    y = run_layer("gather", x, indices, axis=axis, precision=precision)
    np.testing.assert_array_equal(y, np.take(x, np.trunc(indices).astype(int), axis))


@pytest.mark.clause("gatherND.S1", "gatherND.U1", "gatherND.U2")
@given(shapes(), shapes(1, 4), st.data(), SEEDS, PRECISIONS)
def test_gather_nd(shape, lead, data, seed, precision):
    count = data.draw(st.integers(1, len(shape)))
    lead = lead[: 5 - (len(shape) - count)]
    indices = np.stack([indices_into(lead, shape[k], seed + k) for k in range(count)], -1)
    x = integers(shape, seed)
    y = run_layer("gatherND", x, indices, precision=precision)
    expected = np.array([x[tuple(row)] for row in np.trunc(indices).astype(int).reshape(-1, count)])
    np.testing.assert_array_equal(y, expected.reshape(*lead, *shape[count:]))


@pytest.mark.clause("gatherND.S2")
def test_gather_nd_of_one_element():
    x = integers((2, 3))
    assert run_layer("gatherND", x, [1, 2]).tolist() == [x[1, 2]]
    assert run_layer("gatherND", x, [1]).tolist() == x[1].tolist()


@pytest.mark.clause("gatherAlongAxis.S1", "gatherAlongAxis.S2", "gatherAlongAxis.U1")
@given(shapes(), st.data(), SEEDS, PRECISIONS)
def test_gather_along_axis(shape, data, seed, precision):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    index_shape = replaced(shape, axis % len(shape), data.draw(st.integers(1, 5)))
    x, indices = integers(shape, seed), indices_into(index_shape, shape[axis], seed)
    y = run_layer("gatherAlongAxis", x, indices, axis=axis, precision=precision)
    np.testing.assert_array_equal(y, np.take_along_axis(x, np.trunc(indices).astype(int), axis))


def test_gather_nd_agrees_with_torch():
    torch = pytest.importorskip("torch", reason="torch is a third opinion")
    x, indices = integers((2, 3, 5)), np.random.default_rng(0).integers(-2, 2, (4, 7, 2))
    theirs = torch.from_numpy(x)[torch.from_numpy(indices[..., 0]), torch.from_numpy(indices[..., 1])]
    np.testing.assert_array_equal(run_layer("gatherND", x, indices), theirs.numpy())


# ---- Scattering ----

MODES = {
    "SCATTER_ADD": np.add,
    "SCATTER_SUB": np.subtract,
    "SCATTER_MUL": np.multiply,
    "SCATTER_DIV": np.divide,
    "SCATTER_MAX": np.maximum,
    "SCATTER_MIN": np.minimum,
}


def in_order(x, targets, updates, mode):
    """ufunc.at is documented to apply repeated indices one after another; plain assignments are."""
    y = x.copy()
    for target, update in zip(targets, updates, strict=True):
        y[target] = update if mode == "SCATTER_UPDATE" else MODES[mode](y[target], update)
    return y


def updates_of(shape, seed):
    return 2.0 ** np.random.default_rng(seed).integers(-1, 2, shape)  # products and quotients of a few are exact


MODE_NAMES = st.sampled_from(["SCATTER_UPDATE", *MODES])


@pytest.mark.clause("scatter.S1", "scatter.S2", "scatter.S3", "scatter.U2", "scatter.U5")
@given(shapes(1, 4, 3), shapes(1, 2), MODE_NAMES, st.data(), SEEDS, PRECISIONS)
def test_scatter(shape, index_shape, mode, data, seed, precision):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    place = axis % len(shape)
    x, indices = updates_of(shape, seed), indices_into(index_shape, shape[axis], seed)
    updates = updates_of(replaced(shape, place, *index_shape), seed + 1)
    y = run_layer("scatter", x, indices, updates, axis=axis, mode=mode, precision=precision)
    chosen = np.trunc(indices).astype(int)
    slices = [updates[(slice(None),) * place + index] for index in np.ndindex(index_shape)]
    targets = [(slice(None),) * place + (int(n),) for n in chosen.ravel()]
    np.testing.assert_array_equal(y, in_order(x, targets, slices, mode))


@pytest.mark.clause("scatterND.S1", "scatterND.S3", "scatterND.U2", "scatterND.U3")
@given(shapes(1, 4, 3), shapes(1, 2), MODE_NAMES, st.data(), SEEDS, PRECISIONS)
def test_scatter_nd(shape, lead, mode, data, seed, precision):
    count = data.draw(st.integers(1, len(shape)))
    indices = np.stack([indices_into(lead, shape[k], seed + k) for k in range(count)], -1)
    x, updates = updates_of(shape, seed), updates_of((*lead, *shape[count:]), seed + 1)
    y = run_layer("scatterND", x, indices, updates, mode=mode, precision=precision)
    targets = [tuple(row) for row in np.trunc(indices).astype(int).reshape(-1, count)]
    np.testing.assert_array_equal(y, in_order(x, targets, updates.reshape(-1, *shape[count:]), mode))


@pytest.mark.clause("scatterAlongAxis.S1", "scatterAlongAxis.S2", "scatterAlongAxis.S3", "scatterAlongAxis.U2")
@given(shapes(1, 5, 3), MODE_NAMES, st.data(), SEEDS, PRECISIONS)
def test_scatter_along_axis(shape, mode, data, seed, precision):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    place = axis % len(shape)
    index_shape = replaced(shape, place, data.draw(st.integers(1, 5)))
    x, indices = updates_of(shape, seed), indices_into(index_shape, shape[axis], seed)
    updates = updates_of(index_shape, seed + 1)
    y = run_layer("scatterAlongAxis", x, indices, updates, axis=axis, mode=mode, precision=precision)
    chosen = np.trunc(indices).astype(int)
    targets = [replaced(index, place, chosen[index]) for index in np.ndindex(index_shape)]
    np.testing.assert_array_equal(y, in_order(x, targets, updates.ravel(), mode))


SCATTERS = ["scatter", "scatterND", "scatterAlongAxis"]


def addressed(kind, places):
    return [[place] for place in places] if kind == "scatterND" else places


@pytest.mark.clause("scatter.U1", "scatterND.U1", "scatterAlongAxis.U1")
@pytest.mark.parametrize("kind", SCATTERS)
def test_repeated_indices_apply_in_their_order(kind):
    x, places, updates = [8, 1, 2], addressed(kind, [2, 0, 2, 0, 2]), [5, 2, 3, 4, 7]
    for mode, expected in {
        "SCATTER_UPDATE": [4, 1, 7],
        "SCATTER_ADD": [14, 1, 17],
        "SCATTER_SUB": [2, 1, -13],
        "SCATTER_MUL": [64, 1, 210],
        "SCATTER_MAX": [8, 1, 7],
        "SCATTER_MIN": [2, 1, 2],
    }.items():
        assert run_layer(kind, x, places, updates, mode=mode).tolist() == expected
    y = run_layer(kind, [8, 1], addressed(kind, [0, 0]), [2, 16], mode="SCATTER_DIV")
    assert y.tolist() == [0.25, 1]


@pytest.mark.clause("scatter.U4", "scatterND.U4", "scatterAlongAxis.U4")
@pytest.mark.parametrize("mode", ["SCATTER_MAX", "SCATTER_MIN"])
@pytest.mark.parametrize("kind", SCATTERS)
def test_extremes_of_nan(kind, mode):
    y = run_layer(kind, [1, np.nan, 3], addressed(kind, [0, 1]), [np.nan, 5], mode=mode)
    np.testing.assert_array_equal(y, [np.nan, np.nan, 3])


@given(shapes(), st.data(), SEEDS)
def test_scatter_puts_back_what_gather_took(shape, data, seed):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x, indices = integers(shape, seed), indices_into((3,), shape[axis], seed)
    taken = run_layer("gather", x, indices, axis=axis)
    np.testing.assert_array_equal(run_layer("scatter", x, indices, taken, axis=axis), x)


@pytest.mark.clause("scatterND.S2")
def test_scatter_nd_of_one_element():
    x = integers((2, 3))
    y = run_layer("scatterND", x, [1, -1], [9], mode="SCATTER_ADD")
    assert (y - x).tolist() == [[0, 0, 0], [0, 0, 9]]


# ---- Indices out of range ----

OUT_OF_RANGE = {
    "gather": ((), {"axis": 1}),
    "gatherAlongAxis": ((), {"axis": 1}),
    "scatter": (integers((2, 3), 5), {"axis": 1}),
    "scatterAlongAxis": (integers((2, 3), 5), {"axis": 1, "mode": "SCATTER_ADD"}),
}


@pytest.mark.clause("gather.U2", "gatherAlongAxis.U2", "scatter.U3", "scatterAlongAxis.U3")
@pytest.mark.parametrize("wrong", [5.0, -6.0, np.nan, np.inf, -np.inf, 2.0**60, 5.5])
@pytest.mark.parametrize("kind", OUT_OF_RANGE)
def test_indices_out_of_range(kind, wrong):
    updates, options = OUT_OF_RANGE[kind]
    along = kind.endswith("AlongAxis")
    x, indices = integers((2, 5)), np.array([[0, wrong, -5], [4, 1, 2]] if along else [0, wrong, -5])
    blobs = [x, indices, updates] if len(updates) else [x, indices]
    place = r"\(0, 1\)" if along else r"\(1,\)"
    with pytest.raises(InputError, match=rf"layers\[0\] .* \({kind}\): indices hold .* at {place}, .* \[-5, 4\]"):
        run_layer(kind, *blobs, **options)
    nearest = 0.0 if np.isnan(wrong) else min(max(wrong, -5.0), 4.0)
    clamped = np.where(indices == indices, indices, 0).clip(-5, 4)
    assert clamped.ravel()[1] == nearest
    blobs[1] = clamped
    lenient = run_lenient(kind, x, indices, *blobs[2:], **options)
    np.testing.assert_array_equal(lenient, run_layer(kind, *blobs, **options))


@pytest.mark.clause("gatherND.U3", "scatterND.U5")
@pytest.mark.parametrize("kind", ["gatherND", "scatterND"])
def test_indices_of_several_axes_out_of_range(kind):
    x, updates = integers((2, 3, 5)), [integers((2, 5), 1)] if kind == "scatterND" else []
    with pytest.raises(
        InputError, match=r"hold 3 at \(1, 1\), expected an index in \[-3, 2\] \(inputs: .*\). 1 of the 4 indices"
    ):
        run_layer(kind, x, [[0, 1], [1, 3]], *updates)
    with pytest.raises(InputError, match=r"hold -3 at \(0, 0\), expected an index in \[-2, 1\]"):
        run_layer(kind, x, [[-3, 1], [1, 2]], *updates)
    np.testing.assert_array_equal(
        run_lenient(kind, x, [[-3, 1], [1, 3]], *updates), run_layer(kind, x, [[0, 1], [1, 2]], *updates)
    )


@pytest.mark.clause(
    "gather.C1",
    "gather.C2",
    "gather.C3",
    "gatherND.C1",
    "gatherND.C2",
    "gatherAlongAxis.C1",
    "gatherAlongAxis.C2",
    "scatter.C1",
    "scatter.C2",
    "scatter.C3",
    "scatterND.C1",
    "scatterND.C2",
    "scatterND.C3",
    "scatterAlongAxis.C1",
    "scatterAlongAxis.C2",
    "scatterAlongAxis.C3",
)
@pytest.mark.parametrize(
    ("kind", "given", "options", "message"),
    [
        ("gather", [(2, 3), (4,)], {"axis": 2}, "axis is 2, expected -2 to 1 for rank 2"),
        ("gather", [(2, 3), (4,)], {"axis": -HUGE - 1}, "axis is -9223372036854775808, expected -2 to 1"),
        ("gather", [(2, 3, 4, 5), (2, 2, 2)], {}, r"the shape \(2, 2, 2, 3, 4, 5\), but none may have a rank above 5"),
        ("gatherND", [(2, 3), (4, 3)], {}, r"indices \(4, 3\) address 3 axes, but x \(2, 3\) has only 2"),
        ("gatherND", [(1, 2, 3, 4, 5), (7, 7, 1)], {}, "none may have a rank above 5"),
        ("gatherAlongAxis", [(2, 3), (4, 3)], {"axis": 1}, r"indices \(4, 3\) differ from x \(2, 3\) along other"),
        ("gatherAlongAxis", [(2, 3), (2,)], {"axis": 0}, r"indices \(2,\) differ from x"),
        ("gatherAlongAxis", [(2, 3), (2, 3)], {"axis": -3}, "axis is -3, expected -2 to 1"),
        ("scatter", [(2, 3), (4,), (2, 5)], {"axis": 1}, r"updates have the shape \(2, 5\), expected \(2, 4\)"),
        ("scatter", [(2, 3), (4,), (4, 3)], {"mode": 7}, "mode is 7, which the schema does not define"),
        ("scatter", [(2, 3), (4,), (4, 3)], {"axis": 5}, "axis is 5"),
        ("scatterND", [(2, 3), (4, 2), (4, 3)], {}, r"have the shape \(4, 3\), expected \(4,\)"),
        ("scatterND", [(2, 3), (4, 3), (4,)], {}, "address 3 axes"),
        ("scatterND", [(2, 3), (4, 2), (4,)], {"mode": 7}, "mode is 7"),
        ("scatterAlongAxis", [(2, 3), (2, 4), (2, 3)], {"axis": 1}, r"have the shape \(2, 3\), expected \(2, 4\)"),
        ("scatterAlongAxis", [(2, 3), (4, 4), (4, 4)], {"axis": 1}, "along other axes than 1"),
        ("scatterAlongAxis", [(2, 3), (2, 3), (2, 3)], {"axis": 2}, "axis is 2"),
        ("scatterAlongAxis", [(2, 3), (2, 3), (2, 3)], {"mode": 7}, "mode is 7"),
        ("gather", [(2**24 + 1,), (4,)], {}, "16777217 elements, but float32 names only 16777216 exactly"),
        ("gatherND", [(2, 2**24 + 1), (4, 2)], {}, "names only 16777216 exactly"),
    ],
)
def test_invalid(kind, given, options, message):
    with pytest.raises(InvalidModelError, match=rf"layers\[0\] .* \({kind}\): .*{message}"):
        one_layer(kind, len(given), rank5=False, **options).shapes({f"x{i}": shape for i, shape in enumerate(given)})


def test_long_axes_in_float64():
    given = {"x0": (2**24 + 1,), "x1": (4,)}
    assert one_layer("gather", 2, rank5=False, precision="float64").shapes(given)["y0"] == (4,)


# ---- embeddingND ----


@pytest.mark.clause("embeddingND.S1", "embeddingND.S2", "embeddingND.U2")
@given(shapes(1, 4, 6), SEEDS, PRECISIONS, st.booleans())
def test_embedding_nd(lead, seed, precision, has_bias):
    weights, bias = integers((3, 7), seed), integers((3,), seed + 1)
    x = indices_into((*lead, 1), 7, seed, negative=False)
    options = {"has_bias": True, "bias": bias} if has_bias else {}
    y = run_layer("embeddingND", x, vocab_size=7, embedding_size=3, weights=weights, precision=precision, **options)
    expected = np.take(weights.T, np.trunc(x[..., 0]).astype(int), axis=0) + (bias if has_bias else 0)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.clause("embeddingND.S3")
def test_scales_of_an_embedding_run_along_its_vectors():
    stored = schema.WeightParams(rawValue=bytes(range(6)))  # [[0, 1, 2], [3, 4, 5]]
    stored.quantization.numberOfBits = 8
    stored.quantization.linearQuantization.scale.extend([1, 10])
    y = run_layer("embeddingND", [[2], [0]], vocab_size=3, embedding_size=2, weights=stored)
    assert y.tolist() == [[2, 50], [0, 30]]


@pytest.mark.clause("embeddingND.U3")
def test_an_embedding_of_mixed_precisions():
    sizes = {"vocab_size": 3, "embedding_size": 2, "has_bias": True}
    for weights, bias in (np.float16, np.float32), (np.float32, np.float16):
        y = run_layer(
            "embeddingND", [[2]], weights=np.arange(6, dtype=weights), bias=np.array([0.5, -1], bias), **sizes
        )
        assert y.tolist() == [[2.5, 4]]


@pytest.mark.clause("embeddingND.C1", "embeddingND.C2", "embeddingND.U1")
def test_embedding_nd_errors():
    options = {"vocab_size": 7, "embedding_size": 3, "weights": integers((3, 7))}
    for wrong in (-1, 7, np.nan):
        with pytest.raises(InputError, match=r"indices hold .* at \(1, 0\), expected an index in \[0, 6\]"):
            run_layer("embeddingND", [[0], [wrong]], **options)
    lenient = run_lenient("embeddingND", [[-1], [7], [np.nan]], **options)
    np.testing.assert_array_equal(lenient, options["weights"].T[[0, 6, 0]])
    for shape in ((7,), (7, 2), (1, 1, 1, 1, 1, 1)):
        with pytest.raises(InvalidModelError, match="rank 2 to 5"):
            run_layer("embeddingND", np.zeros(shape), **options)
    for wrong in ({"vocab_size": 0}, {"embedding_size": 0}):
        with pytest.raises(
            InvalidModelError, match=f"{'vocabSize' if 'vocab_size' in wrong else 'embeddingSize'} is 0"
        ):
            run_layer("embeddingND", [[0]], **{**options, **wrong})
    with pytest.raises(InvalidModelError, match=r"bias.*holds 2 values"):
        run_layer("embeddingND", [[0]], has_bias=True, bias=[1, 2], **options)
    with pytest.raises(InvalidModelError, match="holds 21 values"):
        run_layer("embeddingND", [[0]], **{**options, "vocab_size": 2**20})


# ---- Slices ----

MASKS = ("begin_masks", "end_masks", "squeeze_masks")


@st.composite
def sliced(draw, most=5):
    """A shape and settings that leave something of it, with the same in NumPy's notation."""
    shape = draw(shapes(1, 5, most))
    settings: dict[str, list[Any]] = {name: [] for name in ("begin_ids", "end_ids", "strides", *MASKS)}
    notation: list[Any] = []
    for length in shape:
        stride = draw(st.sampled_from([-HUGE, -3, -2, -1, 1, 2, 3, HUGE]))
        begin = draw(st.integers(-length, length - 1) | st.sampled_from([-HUGE, HUGE]))
        end = draw(st.integers(-length, length) | st.sampled_from([HUGE] if stride < 0 else [-HUGE, HUGE]))
        first, last, squeeze = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
        squeeze = squeeze and -length <= begin < length
        taken = begin if squeeze else slice(None if first else begin, None if last else end, stride)
        if not squeeze and not len(range(length)[taken]):
            first = last = True
            taken = slice(None, None, stride)
        for values, value in zip(settings.values(), [begin, end, stride, first, last, squeeze], strict=True):
            values.append(value)
        notation.append(taken)
    return shape, settings, tuple(notation)


@pytest.mark.clause("sliceStatic.S1", "sliceStatic.S2", "sliceStatic.S3", "sliceStatic.U3")
@given(sliced(), SEEDS, PRECISIONS)
def test_slice_static(case, seed, precision):
    shape, settings, notation = case
    x = integers(shape, seed)
    y = run_layer("sliceStatic", x, precision=precision, **settings)
    np.testing.assert_array_equal(y, x[notation])
    assert y.shape == np.shape(x[notation])


@pytest.mark.clause("sliceDynamic.S1", "sliceDynamic.S3", "sliceDynamic.U3")
@given(sliced(), st.integers(2, 7), SEEDS)
def test_slice_dynamic(case, inputs, seed):
    """Any number of the settings comes as inputs; the builder of coremltools writes the others for five axes."""
    shape, settings, notation = case
    x = integers(shape, seed)
    spare = 5 - len(shape)
    names = list(settings)[: inputs - 1]
    parameters = {name: values + [1] * spare for name, values in settings.items() if name not in names}
    blobs = [np.array(settings[name], np.float64) for name in names]
    y = run_layer("sliceDynamic", x, *blobs, static=False, **parameters)
    np.testing.assert_array_equal(y, x[notation])
    assert y.shape == np.shape(x[notation])


@pytest.mark.clause("sliceStatic.S2", "sliceStatic.S3", "sliceStatic.U3")
def test_slice_masks_of_the_specification():
    """The two examples of the original comment."""
    x = np.arange(125.0).reshape(5, 5, 5)
    settings = {
        "begin_ids": [1, 2, 3],
        "begin_masks": [True, False, True],
        "end_ids": [3, -3, 2],
        "end_masks": [False, True, True],
        "strides": [2, 2, 2],
    }
    np.testing.assert_array_equal(run_layer("sliceStatic", x, **settings), x[:3:2, 2::2, ::2])
    y = run_layer("sliceStatic", x, squeeze_masks=[False, True, False], **settings)
    np.testing.assert_array_equal(y, x[:3:2, 2, ::2])
    # A squeezed axis takes beginIds whatever else is set.
    y = run_layer("sliceStatic", x, squeeze_masks=[True, False, True], **{**settings, "strides": [0, 2, 0]})
    np.testing.assert_array_equal(y, x[1, 2::2, 3])


@pytest.mark.clause("sliceDynamic.S2", "sliceDynamic.U1")
def test_slice_dynamic_with_fractions_and_default_masks():
    x = integers((5, 7))
    y = run_layer("sliceDynamic", x, [1.9, -2.9], [4.9, -0.9 + 8], [2, 1], static=False)
    np.testing.assert_array_equal(y, x[1:4:2, -2:7])
    y = run_layer("sliceDynamic", x, [3, 3], [0, 0], [1, 1], [0.5, 0], [1, 1], [0, 1], static=False)
    np.testing.assert_array_equal(y, x[:, 3])


def settings_of(**changes):
    return {
        "begin_ids": [0, 0],
        "end_ids": [2, 3],
        "strides": [1, 1],
        "begin_masks": [0, 0],
        "end_masks": [0, 0],
        **changes,
    }


@pytest.mark.clause(
    "sliceStatic.C1",
    "sliceStatic.C2",
    "sliceStatic.U1",
    "sliceStatic.U2",
    "sliceDynamic.C2",
    "sliceDynamic.U2",
)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"begin_ids": [0]}, r"beginIds has 1 entries, expected 2, the rank of \(2, 3\)"),
        ({"begin_ids": []}, "beginIds has 0 entries"),
        ({"end_ids": [1, 2, 3]}, "endIds has 3 entries"),
        ({"strides": []}, "strides has 0 entries"),
        ({"begin_masks": []}, "beginMasks has 0 entries"),
        ({"end_masks": [True]}, "endMasks has 1 entries"),
        ({"squeeze_masks": [True]}, "squeezeMasks has 1 entries"),
        ({"strides": [1, 0]}, "the stride is 0 on axis 1 of 3 elements"),
        ({"begin_ids": [0, 2], "end_ids": [2, 2]}, "the slice 2:2:1 of axis 1 of 3 elements is empty"),
        ({"begin_ids": [0, HUGE]}, "the slice 9223372036854775807:3:1 of axis 1 of 3 elements is empty"),
        ({"strides": [1, -1]}, "the slice 0:3:-1 of axis 1 of 3 elements is empty"),
        ({"begin_ids": [2, 0], "squeeze_masks": [1, 0]}, "begin is 2 on axis 0 of 2 elements, which is squeezed"),
        ({"begin_ids": [-3, 0], "squeeze_masks": [1, 0]}, "begin is -3 on axis 0 .*, expected -2 to 1"),
        ({"begin_ids": [0, 2], "end_ids": [2, -4], "strides": [1, -1]}, "end is -4 on axis 1 .* use an end mask"),
    ],
)
def test_invalid_slices(changes, message):
    settings = settings_of(**changes)
    with pytest.raises(InvalidModelError, match=rf"layers\[0\] .* \(sliceStatic\): {message}"):
        run_layer("sliceStatic", integers((2, 3)), **settings)
    if "entries" not in message:
        blobs = [settings[name] for name in ("begin_ids", "end_ids", "strides", "begin_masks", "end_masks")]
        with pytest.raises(InputError, match=r"layers\[0\] .* \(sliceDynamic\): "):
            run_layer("sliceDynamic", integers((2, 3)), *blobs, changes.get("squeeze_masks", [0, 0]), static=False)


@pytest.mark.clause("sliceStatic.U1", "sliceStatic.U2")
def test_slices_that_are_not_strict():
    x = integers((2, 3))
    changes = {"begin_ids": [9, 2], "end_ids": [0, -9], "strides": [1, -1], "squeeze_masks": [True, False]}
    np.testing.assert_array_equal(run_lenient("sliceStatic", x, **settings_of(**changes)), x[1, ::-1])


@pytest.mark.clause("sliceDynamic.C1")
def test_invalid_dynamic_slices():
    x = integers((2, 3))
    with pytest.raises(InvalidModelError, match=r"begin has the shape \(3,\), expected 2 element"):
        run_layer("sliceDynamic", x, [0, 0, 0], static=False)
    with pytest.raises(InvalidModelError, match="end has 0 entries, expected 2"):
        run_layer("sliceDynamic", x, [0, 0], static=False)
    with pytest.raises(InputError, match=r"begin holds .*nan"):
        run_layer("sliceDynamic", x, [0, np.nan], [1, 1], [1, 1], static=False)
    with pytest.raises(InputError, match=r"end holds .*inf"):
        run_layer("sliceDynamic", x, [0, 0], [1, np.inf], [1, 1], static=False)
    long, one = np.broadcast_to(np.float32(0), (2**24 + 1,)), np.ones(1, np.float32)
    network = one_layer("sliceDynamic", 4, rank5=False)
    with pytest.raises(InvalidModelError, match="names only 16777216 exactly"):
        network.run({"x0": long, "x1": one, "x2": one, "x3": one})


@pytest.mark.clause("sliceBySize.S1", "sliceBySize.U2")
@given(shapes(1, 5, 6), st.data(), SEEDS, PRECISIONS)
def test_slice_by_size(shape, data, seed, precision):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    begin = data.draw(st.integers(0, shape[axis] - 1))
    size = data.draw(st.integers(1, shape[axis] - begin))
    x = integers(shape, seed)
    y = run_layer("sliceBySize", x, [begin + 0.5], axis=axis, size=size, precision=precision)
    np.testing.assert_array_equal(y, np.take(x, range(begin, begin + size), axis))


@pytest.mark.clause("sliceBySize.C1", "sliceBySize.C2", "sliceBySize.U1")
def test_slice_by_size_errors():
    x = integers((2, 5))
    for size in (0, -1, 6, HUGE):
        with pytest.raises(InvalidModelError, match=f"size is {size}, expected 1 to 5, the length of axis 1"):
            run_layer("sliceBySize", x, [0], axis=1, size=size)
    with pytest.raises(InvalidModelError, match="axis is 2"):
        run_layer("sliceBySize", x, [0], axis=2, size=1)
    with pytest.raises(InvalidModelError, match=r"begin has the shape \(2,\), expected one element"):
        run_layer("sliceBySize", x, [0, 0], axis=1, size=1)
    for begin, nearest in ((-1, 0), (3, 2), (np.nan, 0)):
        with pytest.raises(InputError, match=r"begin hold .* expected an index in \[0, 2\]"):
            run_layer("sliceBySize", x, [begin], axis=1, size=3)
        y = run_lenient("sliceBySize", x, [begin], axis=1, size=3)
        np.testing.assert_array_equal(y, x[:, nearest : nearest + 3])


# ---- Windows, reversal ----


@pytest.mark.clause("slidingWindows.S1", "slidingWindows.S2")
@given(shapes(1, 4, 7), st.data(), SEEDS, PRECISIONS)
def test_sliding_windows(shape, data, seed, precision):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    size, step = data.draw(st.integers(1, shape[axis])), data.draw(st.integers(1, 8) | st.just(2**64 - 1))
    x = integers(shape, seed)
    y = run_layer("slidingWindows", x, axis=axis, window_size=size, step=step, precision=precision)
    starts = range(0, shape[axis] - size + 1, step)
    expected = [np.take(x, range(start, start + size), axis) for start in starts]
    np.testing.assert_array_equal(y, np.stack(expected, axis % len(shape)))


@pytest.mark.parametrize(("axis", "size", "step"), [(0, 2, 1), (-1, 3, 2), (1, 4, 4)])
def test_sliding_windows_agree_with_torch(axis, size, step):
    torch = pytest.importorskip("torch", reason="torch is a third opinion")
    x = integers((5, 7, 6))
    theirs = torch.from_numpy(x).unfold(axis, size, step).movedim(-1, axis % 3 + 1)
    y = run_layer("slidingWindows", x, axis=axis, window_size=size, step=step)
    np.testing.assert_array_equal(y, theirs.numpy())


@pytest.mark.clause("slidingWindows.C1", "slidingWindows.C2", "slidingWindows.U1")
@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((2, 5), {"window_size": 0, "step": 1}, "windowSize is 0, expected 1 or more"),
        ((2, 5), {"axis": 1, "window_size": 6, "step": 1}, "window size is 6, expected 1 to 5, the length of axis 1"),
        ((2, 5), {"window_size": 2**64 - 1, "step": 1}, "window size is 18446744073709551615"),
        ((2, 5), {"window_size": 1}, "step is 0, expected 1 or more"),
        ((2, 5), {"axis": -3, "window_size": 1, "step": 1}, "axis is -3"),
        ((1, 2, 3, 4, 5), {"window_size": 1, "step": 1}, "none may have a rank above 5"),
    ],
)
def test_invalid_sliding_windows(shape, options, message):
    with pytest.raises(InvalidModelError, match=rf"\(slidingWindows\): .*{message}"):
        run_layer("slidingWindows", np.zeros(shape), **options)


@pytest.mark.clause("reverse.S1", "reverse.C1")
@given(shapes(), st.data(), SEEDS, PRECISIONS)
def test_reverse(shape, data, seed, precision):
    flags = data.draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
    x = integers(shape, seed)
    y = run_layer("reverse", x, reverse_dim=flags, precision=precision)
    np.testing.assert_array_equal(y, np.flip(x, [axis for axis, flag in enumerate(flags) if flag]))
    with pytest.raises(InvalidModelError, match=f"reverseDim has {len(flags) + 1} entries, expected {len(flags)}"):
        run_layer("reverse", x, reverse_dim=[*flags, True])


@pytest.mark.clause("reverseSeq.S1", "reverseSeq.U2")
@given(shapes(2, 5), st.data(), SEEDS, PRECISIONS)
def test_reverse_sequences(shape, data, seed, precision):
    rank = len(shape)
    batch = data.draw(st.integers(0, rank - 2))
    sequence = data.draw(st.integers(batch + 1, rank - 1))
    lengths = np.random.default_rng(seed).integers(0, shape[sequence] + 1, shape[batch])
    x = integers(shape, seed)
    signs = data.draw(st.tuples(st.booleans(), st.booleans()))
    axes = {"batch_axis": batch - rank * signs[0], "sequence_axis": sequence - rank * signs[1]}
    y = run_layer("reverseSeq", x, lengths + 0.25, precision=precision, **axes)
    expected = np.moveaxis(x.copy(), (batch, sequence), (0, 1))
    for item, n in zip(expected, lengths, strict=True):
        item[:n] = item[:n][::-1].copy()
    np.testing.assert_array_equal(y, np.moveaxis(expected, (0, 1), (batch, sequence)))


@pytest.mark.clause("reverseSeq.S1")
def test_reverse_sequences_of_the_specification():
    x = [[0, 1, 2, 3], [4, 5, 6, 7]]
    y = run_layer("reverseSeq", x, [3, 0], batch_axis=0, sequence_axis=1)
    assert y.tolist() == [[2, 1, 0, 3], [4, 5, 6, 7]]


@pytest.mark.clause("reverseSeq.C1", "reverseSeq.C2", "reverseSeq.U1")
def test_reverse_sequences_errors():
    x, options = integers((2, 3, 5)), {"batch_axis": 1, "sequence_axis": 2}
    for wrong in (-1, 6, np.nan):
        with pytest.raises(InputError, match=r"lengths hold .* at \(1,\), expected an index in \[0, 5\]"):
            run_layer("reverseSeq", x, [0, wrong, 2], **options)
    lenient = run_lenient("reverseSeq", x, [-1, 6, np.nan], **options)
    np.testing.assert_array_equal(lenient, run_layer("reverseSeq", x, [0, 5, 0], **options))
    with pytest.raises(InvalidModelError, match=r"lengths have the shape \(2,\), expected \(3,\)"):
        run_layer("reverseSeq", x, [1, 2], **options)
    for batch, sequence in ((2, 1), (1, 1), (-1, 0)):
        with pytest.raises(InvalidModelError, match="is not left of sequenceAxis"):
            run_layer("reverseSeq", x, [1, 2, 3], batch_axis=batch, sequence_axis=sequence)
    with pytest.raises(InvalidModelError, match="sequenceAxis is 3, expected -3 to 2"):
        run_layer("reverseSeq", x, [1, 2], batch_axis=0, sequence_axis=3)
