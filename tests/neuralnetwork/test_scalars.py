"""Blobs of rank 0, which slices make, on their way through a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support import run_layer

from refcoreml import build
from refcoreml.errors import InvalidModelError

SLICE: dict[str, Any] = {
    "begin_ids": [1, -2],
    "end_ids": [2, -1],
    "strides": [1, 1],
    "begin_masks": [False, False],
    "end_masks": [False, False],
    "squeeze_masks": [True, True],
}
X = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def network(*outputs: str) -> build.Network:
    """A network in which the blob ``scalar`` has rank 0, and ``one`` the shape [1]; both are 5 for `X`."""
    net = build.Network({"x": (2, 3)}, list(outputs), exact=True)
    net.add("sliceStatic", inputs="x", outputs="scalar", **SLICE)
    net.add("sliceStatic", inputs="x", outputs="element", **{**SLICE, "squeeze_masks": [False, False]})
    net.add("reshapeStatic", inputs="element", outputs="one", target_shape=[1])
    return net


def predicted(net: build.Network) -> dict[str, Any]:
    """The outputs, which are the same if every layer runs by itself, and have the shapes that follow from shapes."""
    model = net.model()
    outputs = model.predict({"x": X})
    shown: dict[str, Any] = {}
    for layer in model.trace({"x": X}):
        shown |= layer.outputs
    shapes = model.shapes()
    for name, output in outputs.items():
        np.testing.assert_array_equal(output, np.atleast_1d(shown[name]))
        assert output.shape == (shapes[name] or (1,))
    return outputs


@pytest.mark.clause("sliceStatic.U4", "expandDims.S1")
@pytest.mark.parametrize(("axes", "expected"), [([0], (1,)), ([-1], (1,)), ([0, 1], (1, 1)), ([1, 0, 2], (1, 1, 1))])
def test_a_slice_without_axes_has_none_for_expand_dims(axes, expected):
    """In coremltools, TestRank0ExpandDimsSwap and TestLinspace expect it of axis 0."""
    net = network("y", "of_one")
    net.add("expandDims", inputs="scalar", outputs="y", axes=axes)
    net.add("expandDims", inputs="one", outputs="of_one", axes=axes)
    y = predicted(net)
    assert y["y"].shape == expected
    assert y["of_one"].shape == (*expected, 1)
    assert y["y"].item() == y["of_one"].item() == 5


@pytest.mark.clause("sliceDynamic.U4")
def test_a_dynamic_slice_without_axes():
    net = build.Network({"x": (2, 3), "begin": (2,)}, ["y"], exact=True)
    names = "end_ids", "strides", "squeeze_masks"
    net.add("sliceDynamic", inputs=["x", "begin"], outputs="scalar", **{name: SLICE[name] for name in names})
    net.add("expandDims", inputs="scalar", outputs="y", axes=[0])
    y = net.model().predict({"x": X, "begin": [1, 1]})["y"]
    assert y.tolist() == [5]


@pytest.mark.clause("squeeze.S3", "squeeze.U1")
def test_what_a_squeeze_leaves_has_one_axis():
    """TestAtLeastND of coremltools is marked as failing: the network has one dimension more than torch."""
    net = network("y")
    net.add("squeeze", inputs="element", outputs="squeezed", squeeze_all=True)
    net.add("expandDims", inputs="squeezed", outputs="y", axes=[0, 1])
    assert predicted(net)["y"].shape == (1, 1, 1)


@pytest.mark.clause("sliceStatic.U4", "copy.S1")
def test_a_copy_has_no_axes_either():
    net = network("y")
    net.add("copy", inputs="scalar", outputs="copied")
    net.add("expandDims", inputs="copied", outputs="y", axes=[0])
    assert predicted(net)["y"].shape == (1,)


@pytest.mark.clause("sliceStatic.U4", "stack.U1")
def test_a_stack_of_slices_without_axes_is_a_vector():
    net = network("y", "mixed")
    net.add("stack", inputs=["scalar", "scalar", "scalar"], outputs="y", axis=0)
    net.add("stack", inputs=["scalar", "one", "scalar"], outputs="mixed", axis=0)
    y = predicted(net)
    assert y["y"].tolist() == [5, 5, 5]
    assert y["mixed"].tolist() == [[5], [5], [5]]


OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("activation", {"ReLU": {}}),
    ("add", {"alpha": 2}),
    ("reduceSum", {"axes": [0]}),
    ("softmaxND", {"axis": -1}),
    ("squeeze", {"axes": [0]}),
    ("getShape", {}),
    ("transpose", {"axes": [0]}),
    ("reshapeStatic", {"target_shape": [1, -1]}),
    ("tile", {"reps": [3]}),
    ("argMax", {"axis": 0}),
    ("cumSum", {"axis": 0}),
    ("loadConstantND", {"shape": [1], "data": [5.0]}),
]


@pytest.mark.clause("sliceStatic.U4")
@pytest.mark.parametrize(("kind", "fields"), OTHERS)
def test_other_layers_take_a_slice_without_axes_as_a_vector(kind, fields):
    net = network("y", "expected")
    for given, name in ("scalar", "y"), ("one", "expected"):
        net.add(kind, inputs=[] if kind == "loadConstantND" else [given], outputs=name, **fields)
    y = predicted(net)
    np.testing.assert_array_equal(y["y"], y["expected"])


@pytest.mark.clause("sliceStatic.U4")
def test_an_output_without_axes_is_a_vector():
    assert predicted(network("scalar"))["scalar"].tolist() == [5]


@pytest.mark.clause("sliceStatic.U4")
def test_a_condition_without_axes():
    net = network("y")
    net.add("copy", inputs="one", outputs="y")
    then = build.Network({"one": (1,)}, ["y"], exact=True)
    then.add("add", inputs="one", outputs="more", alpha=1)
    then.add("copy", inputs="more", outputs="y")
    net.add("branch", inputs="scalar", outputs=[], if_branch={"layers": then.layers})
    assert predicted(net)["y"].tolist() == [6]


@pytest.mark.clause("concatND.U1")
@pytest.mark.parametrize("scalar_first", [True, False])
def test_numbers_of_different_ranks_are_joined(scalar_first):
    """Create ML makes the shape [batch, -1] so, coremltools the begin of a slice (test_tensor_assign_dynamic_slice)."""
    net = build.Network({"x": (2, 3, 5)}, ["y"], exact=True)
    net.add("getShape", inputs="x", outputs="shape")
    net.add("loadConstantND", inputs=[], outputs="place", shape=[1], data=[1])
    net.add("gather", inputs=["shape", "place"], outputs="length")
    net.add("expandDims", inputs="length", outputs="expanded", axes=[0])
    net.add("loadConstantND", inputs=[], outputs="rest", shape=[1], data=[-1])
    net.add("concatND", inputs=["expanded", "rest"] if scalar_first else ["rest", "expanded"], outputs="target")
    net.add("reshapeDynamic", inputs=["x", "target"], outputs="y")
    x = np.arange(30.0).reshape(2, 3, 5)
    y = net.model().predict({"x": x})["y"]
    np.testing.assert_array_equal(y, x.reshape((3, -1) if scalar_first else (-1, 3)))


@pytest.mark.clause("concatND.U1")
def test_more_than_numbers_of_different_ranks_are_refused():
    np.testing.assert_array_equal(run_layer("concatND", [[[3.0]]], [4.0], [[5.0]], rank5=False), [3, 4, 5])
    with pytest.raises(InvalidModelError, match=r"cannot join \(1, 1\) to \(2,\)"):
        run_layer("concatND", [3.0, 4.0], [[5.0]], rank5=False)
    with pytest.raises(InvalidModelError, match="axis is 1, expected -1 to 0"):
        run_layer("concatND", [3.0], [[5.0]], rank5=False, axis=1)
