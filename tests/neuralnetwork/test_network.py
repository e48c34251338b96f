"""The engine: graph checks, order, freeing, observers, fusing, arithmetic, failures."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support import integers

from refcoreml import build, ops
from refcoreml.errors import InternalError, InvalidModelError, UnsupportedModelError
from refcoreml.execution.arithmetic import arithmetic
from refcoreml.execution.limits import Limits
from refcoreml.execution.steps import Step
from refcoreml.neuralnetwork.network import Network
from refcoreml.neuralnetwork.registry import LAYERS, LayerType, Node, layer
from refcoreml.spec import schema
from refcoreml.types import TensorType


def chain(*kinds, inputs=("x",), outputs=None, precision="float32"):
    """A network of layers one after another; a kind is a name or (name, fields)."""
    net = build.Network(dict.fromkeys(inputs, ()), ["out"])
    last = None
    for kind in kinds:
        name, fields = (kind, {}) if isinstance(kind, str) else kind
        last = net.add(name, **fields)
    return Network(
        net.layers, inputs=inputs, outputs=outputs or [last], rank5=True, arithmetic=arithmetic(precision), where="net"
    )


RELU = ("activation", {"ReLU": {}})
X = integers((2, 3, 5, 4, 7)).astype(np.float32)


def graph(*edges, inputs=("x",), outputs=("y",)):
    """A network of softmax layers, each given as (inputs, outputs)."""
    layers = []
    for index, (taken, made) in enumerate(edges):
        message = schema.NeuralNetworkLayer(name=f"s{index}", input=taken, output=made)
        message.softmax.SetInParent()
        layers.append(message)
    return Network(layers, inputs=inputs, outputs=outputs, rank5=True, where="net")


def test_layers_run_in_order_and_only_outputs_come_back():
    network = chain(("activation", {"linear": {"alpha": 2.0, "beta": 1.0}}), RELU)
    assert list(network.run({"x": X})) == ["activation1"]
    np.testing.assert_array_equal(network.run({"x": X})["activation1"], np.maximum(2 * X + 1, 0))


def test_an_input_may_be_an_output_too():
    network = graph((["x"], ["y"]), outputs=("y", "x"))
    assert network.run({"x": X})["x"] is X


@pytest.mark.parametrize(
    ("edges", "inputs", "outputs", "message"),
    [
        ([(["q"], ["y"])], ["x"], ["y"], r"net.layers\[0\] 's0' \(softmax\): uses blob 'q', which neither"),
        ([(["b"], ["a"]), (["a"], ["b"])], ["x"], ["a"], r"s0.*uses blob 'b' before it exists; .*s1.*a cycle"),
        ([(["x"], ["x"])], ["x"], ["x"], r"produces blob 'x' a second time, after the model's inputs"),
        ([(["x"], ["y"]), (["x"], ["y"])], ["x"], ["y"], r"s1.*produces blob 'y' a second time, after .*s0"),
        ([(["x"], ["y"])], ["x"], ["z"], r"net: no layer produces 'z'"),
        ([(["x", "x"], ["y"])], ["x"], ["y"], r"s0.*has 2 inputs, expected 1"),
        ([([], ["y"])], ["x"], ["y"], r"s0.*has 0 inputs, expected 1"),
        ([(["x"], ["y", "z"])], ["x"], ["y"], r"s0.*has 2 outputs, expected 1"),
    ],
)
def test_a_graph_that_breaks_a_rule_is_refused(edges, inputs, outputs, message):
    with pytest.raises(InvalidModelError, match=message):
        graph(*edges, inputs=inputs, outputs=outputs)


def test_all_unsupported_layers_are_named_at_once(monkeypatch):
    monkeypatch.delitem(LAYERS, "softmax")
    message = schema.NeuralNetworkLayer(name="mine", input=["x"], output=["y"])
    message.custom.className = "GridSampler"
    soft = schema.NeuralNetworkLayer(name="s", input=["y"], output=["z"])
    soft.softmax.SetInParent()
    with pytest.raises(
        UnsupportedModelError, match=r"2 of 2 layers.*softmax \(1 x\).*custom layer of class 'GridSampler'"
    ):
        Network([message, soft], inputs=["x"], outputs=["z"], rank5=True)


def test_a_layer_without_a_type_is_refused():
    with pytest.raises(InvalidModelError, match="has no type"):
        Network(
            [schema.NeuralNetworkLayer(name="n", input=["x"], output=["y"])], inputs=["x"], outputs=["y"], rank5=True
        )


def test_registering_twice_or_an_unknown_name_raises():
    with pytest.raises(ValueError, match="twice"):
        layer("softmax")
    with pytest.raises(ValueError, match="no layer named 'softmux'"):
        layer("softmux")


def test_blobs_are_freed_after_their_last_use():
    network = chain(RELU, RELU, RELU, RELU)
    alive = []
    references = []
    for step, _, results, computed in network.trace({"x": X}):
        references.append(weakref.ref(results[0]))
        del results, computed
        gc.collect()
        alive.append(sum(reference() is not None for reference in references))
        assert step.index == len(references) - 1
    assert max(alive) <= 2, "only a layer's input and output may be alive while it runs"


def test_an_observer_sees_every_layer_and_changes_nothing():
    network = chain(("activation", {"linear": {"alpha": 0.3, "beta": 0.1}}), RELU, "softmax")
    seen = []
    observed = network.run({"x": X}, lambda step, inputs, outputs: seen.append((step.name, step.kind, inputs, outputs)))
    assert [name for name, *_ in seen] == ["activation0", "activation1", "softmax2"]
    assert [kind for _, kind, *_ in seen] == ["activation", "activation", "softmax"]
    assert seen[1][2][0] is seen[0][3][0]
    np.testing.assert_array_equal(observed["softmax2"], network.run({"x": X})["softmax2"])


def test_the_input_is_not_overwritten_by_fused_layers():
    before = X.copy()
    chain(RELU, RELU, RELU).run({"x": X})
    np.testing.assert_array_equal(X, before)


def test_a_blob_that_others_need_is_not_overwritten():
    net = build.Network({"x": ()}, ["a", "c"])
    net.add("activation", inputs="x", outputs="a", linear={"alpha": 1.0, "beta": -1.0})
    net.add("activation", inputs="a", outputs="b", ReLU={})
    net.add("add", inputs=["a", "b"], outputs="c")
    results = Network(net.layers, inputs=["x"], outputs=["a", "c"], rank5=True).run({"x": X})
    np.testing.assert_array_equal(results["a"], X - 1)
    np.testing.assert_array_equal(results["c"], X - 1 + np.maximum(X - 1, 0))


def residual(x, other, order, head, tail):
    """A layer, a sum (or product ...) with a blob from before, and a ReLU."""
    net = build.Network({"x": (), "other": ()}, ["y"])
    made = net.add(head[0], inputs="x", **head[1])
    net.add(tail, inputs=[made, "other"] if order else ["other", made])
    net.add("activation", ReLU={}, outputs="y")
    network = Network(net.layers, inputs=["x", "other"], outputs=["y"], rank5=True, where="net")
    blobs = {"x": x / 3, "other": other}
    return network, network.run(blobs)["y"], network.run(blobs, lambda *_: None)["y"]


HEADS = {
    "convolution": (
        "convolution",
        {
            "weights": integers((3, 5, 3, 3)).transpose(1, 0, 2, 3).astype(np.float32) / 7,
            "kernel_size": [3, 3],
            "output_channels": 5,
            "kernel_channels": 3,
            "n_groups": 1,
            "same": {},
        },
    ),
    "softmax": ("softmax", {}),
}


@pytest.mark.parametrize("tail", ["add", "multiply", "max", "min"])
@pytest.mark.parametrize("order", [True, False])
@pytest.mark.parametrize("head", HEADS)
def test_a_residual_sum_is_fused_bit_for_bit(head, order, tail):
    x = X[:, :, :3] if head == "convolution" else X
    other = integers(X.shape, seed=1).astype(np.float32) / 3
    before = other.copy()
    network, fused, plain = residual(x, other, order, HEADS[head], tail)
    (step,) = network.engine.plan({"x": TensorType.of(x), "other": TensorType.of(other)})
    assert len(step.parts) == 3
    assert len(network.steps) == 3
    np.testing.assert_array_equal(fused.view(np.uint32), plain.view(np.uint32))
    np.testing.assert_array_equal(other, before)


@pytest.mark.parametrize("shape", [(1, 1, 5, 1, 1), (2, 3, 5, 1, 7)])
@pytest.mark.parametrize("grows", [False, True])
def test_a_residual_sum_that_broadcasts_is_not_done_in_place(shape, grows):
    small = integers(shape, seed=1).astype(np.float32) / 3
    x, other = (small, X) if grows else (X, small)
    _, fused, plain = residual(x, other, True, HEADS["softmax"], "add")
    np.testing.assert_array_equal(fused, plain)


def test_a_sum_of_a_blob_with_itself():
    net = build.Network({"x": ()}, ["y"])
    made = net.add("softmax")
    net.add("add", inputs=[made, made], outputs="y")
    network = Network(net.layers, inputs=["x"], outputs=["y"], rank5=True, where="net")
    np.testing.assert_array_equal(network.run({"x": X})["y"], network.run({"x": X}, lambda *_: None)["y"])


def test_several_threads_may_run_one_network():
    network = chain(("activation", {"linear": {"alpha": 0.3, "beta": 0.1}}), RELU, "softmax")
    samples = [np.random.default_rng(seed).standard_normal((1, 1, 6, 9, 8), np.float32) for seed in range(16)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda x: network.run({"x": x})["softmax2"], samples))
    for sample, result in zip(samples, together, strict=True):
        np.testing.assert_array_equal(network.run({"x": sample})["softmax2"], result)


def test_half_precision_rounds_blobs_between_layers():
    network = chain(("activation", {"linear": {"alpha": 1.0, "beta": 1.0}}), RELU, precision="float16")
    x = np.full((1, 1, 3, 2, 4), 1 / 3, np.float32)
    expected = (x.astype(np.float16).astype(np.float32) + 1).astype(np.float16)
    result = network.run({"x": x})["activation1"]
    np.testing.assert_array_equal(result, expected.astype(np.float32))
    assert np.isinf(network.run({"x": np.full_like(x, 1e5)})["activation1"]).all()


def test_double_precision_keeps_doubles():
    network = chain(("activation", {"linear": {"alpha": 1.0, "beta": 0.0}}), precision="float64")
    x = np.full((1, 1, 3, 2, 4), 1 / 3)
    np.testing.assert_array_equal(network.run({"x": x})["activation0"], x)


def test_shapes_are_known_without_running(monkeypatch):
    network = chain(RELU, "softmax")
    monkeypatch.setattr(Step, "run", lambda *_: pytest.fail("ran a layer"))
    assert network.shapes({"x": (2, 3, 5, 4, 7)}) == dict.fromkeys(("x", "activation0", "softmax1"), (2, 3, 5, 4, 7))


def test_a_blob_larger_than_the_limit_is_refused_before_it_is_made():
    factor = Limits().memory // 4 + 1
    network = chain(("sequenceRepeat", {"nRepetitions": factor}))
    with pytest.raises(InvalidModelError, match=r"sequenceRepeat0.*would have the shape.*limit"):
        network.run({"x": np.zeros((1, 1, 1, 1, 1), np.float32)})


def _broken(error):
    class Broken(ops.Identity):
        def run(self, x):
            raise error

    return LayerType("softmax", lambda node: Broken(), (1, 1), (1, 1))


def test_an_unexpected_failure_names_the_layer_and_its_inputs(monkeypatch):
    monkeypatch.setitem(LAYERS, "softmax", _broken(IndexError("boom")))
    with pytest.raises(
        InternalError, match=r"softmax0.*failed on x \(2, 3, 5, 4, 7\): IndexError: boom. Please report"
    ):
        chain("softmax").run({"x": X})


def test_running_out_of_memory_is_not_our_defect(monkeypatch):
    monkeypatch.setitem(LAYERS, "softmax", _broken(MemoryError()))
    with pytest.raises(InvalidModelError, match="not enough memory for x"):
        chain("softmax").run({"x": X})


def test_every_registered_layer_is_in_the_schema_with_sensible_counts():
    fields = {field.name for field in schema.NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields}
    assert set(LAYERS) <= fields
    for entry in LAYERS.values():
        for least, most in (entry.inputs, entry.outputs):
            assert least >= 0
            assert most is None or most >= least


def test_all_layers_of_versions_1_to_3_are_there():
    fields = schema.NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields
    legacy = {field.name for field in fields if field.number <= 500} - {"custom"}
    assert legacy - set(LAYERS) == set()


def test_node_weights_are_decoded_to_the_nodes_type():
    spec = schema.NeuralNetworkLayer(name="n")
    spec.bias.bias.floatValue.extend([1.0, 2.0])
    node = Node(spec, "bias", "here", ("x",), ("y",), np.float64)
    assert node.weights("bias", (2,)).dtype == np.float64
    with pytest.raises(InvalidModelError, match=r"here.bias: holds 2 values, the declared shape 3 needs 3"):
        node.weights("bias", (3,))
