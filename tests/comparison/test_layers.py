"""Comparing layer by layer: own and accumulated error."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from PIL import Image

import refcoreml
from refcoreml import build
from refcoreml.errors import UsageError
from refcoreml.spec import schema


def chain(first, second, third, names=("p", "q", "y")):
    """y = C relu(B (A x))."""
    net = build.Network({"x": (3,)}, ["y"])
    for name, weights in (("p", first), ("q", second)):
        net.add(
            "innerProduct", name=name, weights=weights, input_channels=weights.shape[1], output_channels=len(weights)
        )
    net.add("activation", name="r", ReLU={})
    net.add("innerProduct", name="last", outputs="y", weights=third, input_channels=third.shape[1], output_channels=2)
    return net.model()


def matrices(seed=0):
    generator = np.random.default_rng(seed)
    return [generator.integers(-4, 5, shape).astype(np.float32) for shape in ((5, 3), (4, 5), (2, 4))]


def data(count=6):
    generator = np.random.default_rng(1)
    return [{"x": generator.integers(-4, 5, 3).astype(np.float32)} for _ in range(count)]


def test_own_and_accumulated_error_by_hand():
    """Small integers: every product is exact."""
    a, b, c = matrices()
    b2 = b + 1
    c2 = c + 2
    found = refcoreml.compare_layers(chain(a, b, c), chain(a, b2, c2), data())
    rows = {row.blob: row for row in found.layers}
    assert list(rows) == ["p", "q", "r", "y"]
    x = np.stack([sample["x"] for sample in data()], 1).astype(np.float64)
    p = a @ x
    q, q2 = b @ p, b2 @ p
    r, r2 = np.maximum(q, 0), np.maximum(q2, 0)
    expected = {
        "p": (p, p, p),
        "q": (q, q2, q2),
        "r": (r, r, r2),
        "y": (c @ r, c2 @ r, c2 @ r2),
    }
    for blob, (s, own, accumulated) in expected.items():
        assert rows[blob].own.max_error == np.abs(own - s).max()
        assert rows[blob].accumulated.max_error == np.abs(accumulated - s).max()
        assert rows[blob].accumulated.mean_error == pytest.approx(np.abs(accumulated - s).mean(), rel=1e-14)
        assert rows[blob].own.count == s.size
    assert [rows[blob].changed for blob in rows] == [False, True, False, True]
    assert rows["r"].own.noiseless
    assert not rows["r"].accumulated.noiseless
    assert {row.blob for row in found.worst()} == {"q", "y"}
    assert found.unmatched == []


def test_layers_that_only_one_network_has():
    """Without the ReLU, under another name of the blob between."""
    a, b, c = matrices()
    other = build.Network({"x": (3,)}, ["y"])
    other.add("innerProduct", name="p", weights=a, input_channels=3, output_channels=5)
    other.add("innerProduct", name="s", weights=b, input_channels=5, output_channels=4)
    other.add("innerProduct", name="last", outputs="y", weights=c, input_channels=4, output_channels=2)
    found = refcoreml.compare_layers(chain(a, b, c), other.model(), data())
    assert [row.blob for row in found.layers] == ["p", "y"]
    assert found.unmatched == ["q", "r", "s"]
    assert found.layers[1].own is None, "its inputs are other blobs"
    assert not found.layers[1].accumulated.noiseless
    assert "\n?: no error of its own, since types or inputs differ" in found.table()
    assert "?" not in refcoreml.compare_layers(chain(a, b, c), chain(a, b, c), data()).table()


def test_other_arithmetic_changes_every_layer():
    a, b, c = (matrix / 3 for matrix in matrices())
    half = refcoreml.load(chain(a, b, c).spec, precision="float16")
    found = refcoreml.compare_layers(chain(a, b, c), half, data())
    assert all(row.changed for row in found.layers)
    first = found.layers[0]
    # The first layer is fed the same integers either way.
    assert first.own == first.accumulated
    assert found.layers[-1].own.snr > found.layers[-1].accumulated.snr - 20
    assert not found.layers[-1].own.noiseless


def test_a_layer_with_two_inputs_gets_them_in_order():
    """A concatenation that is written in another way, but is the same."""

    def model(order):
        net = build.Network({"x": (3,)}, ["y"], exact=True)
        net.add("activation", name="third", inputs="x", outputs="t", linear={"alpha": 0.25})
        net.add("concatND", name="both", inputs=["x", "t"], outputs="b", axis=order)
        net.add("reduceSum", outputs="y", inputs="b", axes=[0], keep_dims=True)
        return net.model()

    found = refcoreml.compare_layers(model(0), model(-1), data())
    rows = {row.blob: row for row in found.layers}
    assert rows["b"].changed
    assert rows["b"].own.noiseless
    assert not rows["t"].changed


def loop_model(factor, rounds=3):
    """x -> x * factor, in each round of a loop, from x = 1."""
    net = build.Network({"x": (1,)}, ["y"], exact=True)
    net.add("copy", inputs="x", outputs="v")
    body = build.Network({"v": (1,)}, ["v"], exact=True)
    body.add("activation", inputs="v", outputs="w", linear={"alpha": factor})
    body.add("copy", inputs="w", outputs="v")
    net.add("loop", inputs=[], outputs=[], max_loop_iterations=rounds, body_network={"layers": body.layers})
    net.add("activation", inputs="v", outputs="y", linear={"alpha": 1.0})
    return net.model()


def test_rounds_of_loops_are_matched_one_by_one():
    found = refcoreml.compare_layers(loop_model(2.0), loop_model(3.0), [{"x": np.array([1.0])}])
    rows = {row.blob: row for row in found.layers if row.kind == "activation"}
    assert rows["w"].own.count == 3
    assert rows["w"].own.max_error == 3 * 4 - 8, "fed with 1, 2, 4"
    assert rows["w"].accumulated.max_error == 27 - 8
    assert rows["y"].accumulated.max_error == 27 - 8


def test_loops_that_go_round_differently():
    found = refcoreml.compare_layers(loop_model(2.0), loop_model(2.0, rounds=5), [{"x": np.array([1.0])}])
    rows = {row.blob: row for row in found.layers if row.kind == "activation"}
    assert rows["w"].own.count == 3
    assert rows["w"].accumulated.noiseless
    assert "w" in found.unmatched
    assert rows["y"].accumulated.max_error == 32 - 8


def test_executor_table_json_csv_plot(tmp_path):
    a, b, c = matrices()
    full, other = chain(a, b, c), chain(a, b + 1, c)
    here = refcoreml.compare_layers(full, other, data(20))
    with ProcessPoolExecutor(2) as executor:
        there = refcoreml.compare_layers(full, other, data(20), executor=executor)
    # Chunks are of other sizes, so that sums differ in order, but these are sums of integers.
    assert there == here
    assert json.loads(here.to_json())["layers"][0]["own"]["snr"] == "inf"
    assert here.to_csv().splitlines()[0].startswith("index,layer,kind,blob,changed,own_count,own_snr")
    assert "most error of their own: q" in str(here)
    pytest.importorskip("matplotlib", reason="needs matplotlib, the extra plot")
    here.plot(tmp_path / "r.png")
    with Image.open(tmp_path / "r.png") as picture:
        assert min(picture.size) > 200


def test_models_without_layers():
    spec = schema.Model(specificationVersion=1)
    spec.description.input.add(name="x").type.doubleType.SetInParent()
    spec.description.output.add(name="y").type.doubleType.SetInParent()
    spec.description.predictedFeatureName = "y"
    spec.glmRegressor.weights.add(value=[2.0])
    spec.glmRegressor.offset.append(1.0)
    model = refcoreml.load(spec)
    with pytest.raises(UsageError, match="glmRegressor has no layers that"):
        refcoreml.compare_layers(model, model, [{"x": 1.0}])
    assert refcoreml.compare_models(model, model, [{"x": 1.0}]).outputs[0].difference.noiseless


def test_outputs_of_one_layer_are_shown_by_their_own_names():
    """In the rows and in the note below."""

    def split(second):
        net = build.Network({"x": (4, 1, 1)}, ["y", "z"])
        net.add("activation", outputs="scaled", linear={"alpha": second, "beta": 0.0})
        net.add("split", name="halves", inputs="scaled", outputs=["y", "z"], nOutputs=2)
        return net.model()

    samples = [{"x": np.arange(1, 5, dtype=np.float32).reshape(4, 1, 1) / 7}]
    other = split(3.0).with_precision("float16")
    found = refcoreml.compare_layers(split(3.0), other, samples)
    *rows, note = [line for line in found.table().splitlines() if "sample" not in line and line]
    assert [row.split()[1] for row in rows[1:]] == ["activation0", "y", "z"]
    assert "halves" not in note
    assert " y (" in note
    assert " z (" in note
