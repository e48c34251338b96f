"""Shapes that only a run can know: every layer checks them, fused or not, and all ways to run agree."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_examples import EXAMPLES, Source
from profiles import examples

from refcoreml import build
from refcoreml.errors import InputError, InternalError, InvalidModelError, LimitError, RefCoreMLError
from refcoreml.execution.limits import LAYER_WORK, Limits
from refcoreml.model import Model
from refcoreml.neuralnetwork.network import Network

Blobs = Mapping[str, np.ndarray[Any, Any]]
RELU: dict[str, Any] = {"ReLU": {}}


def outcome(run: Callable[[], Blobs]) -> Any:
    """Outputs bit for bit, or the error."""
    try:
        results = run()
    except InternalError:
        raise
    except RefCoreMLError as error:
        return type(error), str(error)
    return {name: (blob.shape, blob.dtype, blob.tobytes()) for name, blob in results.items()}


def agreed(network: Network, inputs: Blobs) -> Any:
    """The outcome of a run, which must be the one of an observed run and of a trace; shapes must be as predicted."""
    seen: dict[str, np.ndarray[Any, Any]] = dict(inputs)

    def traced() -> Blobs:
        for step, _, results, _ in network.trace(inputs):
            seen.update(zip(step.outputs, results, strict=True))
        return {name: seen[name] for name in network.outputs}

    plain = outcome(lambda: network.run(inputs))
    assert outcome(lambda: network.run(inputs, lambda *_: None)) == plain
    assert outcome(traced) == plain
    if isinstance(plain, dict):
        known = network.shapes({name: x.shape for name, x in inputs.items()})
        assert {name: shape for name, shape in known.items() if name in seen and seen[name].shape != shape} == {}
    return plain


def refused(network: Network, inputs: Blobs, message: str, fault: type[Exception] = InvalidModelError) -> None:
    """All ways to run refuse the inputs with this message, as the model's fault unless said otherwise."""
    kind, text = agreed(network, inputs)
    assert kind is fault
    assert re.search(message, text), text


def reshaped(net: build.Network, x: str, shape: Sequence[int], made: str) -> None:
    """A blob in a shape that the engine does not know in advance."""
    net.add("loadConstantND", inputs=[], outputs=f"{made}_shape", shape=[len(shape)], data=np.array(shape))
    net.add("reshapeDynamic", inputs=[x, f"{made}_shape"], outputs=made)


def network(net: build.Network, *inputs: str, output: str = "y") -> Network:
    return Network(net.layers, inputs=inputs, outputs=[output], rank5=False)


# --- fused layers behind a shape that depends on values ---------------------------------------------------------------


def test_channels_are_checked_behind_a_shape_that_depends_on_values() -> None:
    net = build.Network({"x": (6,)}, ["y"], exact=True)
    reshaped(net, "x", (1, 1, 2, 3), "r")
    three = np.ones(3, np.float32)
    net.add("batchnorm", inputs="r", channels=3, gamma=three, beta=three, mean=three, variance=three)
    net.add("activation", outputs="y", **RELU)
    refused(network(net, "x"), {"x": np.arange(6, dtype=np.float32)}, r"batchnorm2.*has 1 channels, expected 3")


def variants(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes of as many numbers as the given one: itself, others of its rank, of a lower and of a higher one."""
    found = [shape, shape[::-1], (1, *shape), shape[1:] + shape[:1], (int(np.prod(shape)),), (shape[0], -1)]
    return [variant for variant in dict.fromkeys(found) if len(variant) <= 5]


def comparable(kind: str) -> bool:
    """Whether a layer has an input to reshape, one output to go on with, and gives the same numbers twice."""
    example = EXAMPLES[kind](Source(0, "integers"))
    draws = kind.startswith("random") or kind == "categoricalDistribution"
    return bool(example.inputs) and example.outputs == 1 and not draws


@pytest.mark.parametrize("kind", list(filter(comparable, sorted(EXAMPLES))))
def test_every_layer_is_checked_before_it_is_fused(kind: str) -> None:
    outcomes = set()
    for seed in range(3):
        example = EXAMPLES[kind](Source(seed, "integers"))
        shapes = [x.shape for x in example.inputs]
        changed = [
            [*shapes[:place], variant, *shapes[place + 1 :]]
            for place, shape in enumerate(shapes)
            for variant in variants(shape)
        ]
        for wanted in changed:
            names = [f"x{i}" for i in range(len(shapes))]
            net = build.Network({name: (x.size,) for name, x in zip(names, example.inputs, strict=True)}, ["y"])
            for name, shape in zip(names, wanted, strict=True):
                reshaped(net, name, shape, f"{name}_r")
            net.add(kind, inputs=[f"{name}_r" for name in names], outputs="made", **example.fields)
            net.add("activation", inputs="made", outputs="y", **RELU)
            flat = {name: x.reshape(-1) for name, x in zip(names, example.inputs, strict=True)}
            outcomes.add(type(agreed(network(net, *names), flat)))
    assert dict in outcomes, "not even the example itself runs"


def test_a_sum_behind_a_shape_that_depends_on_values() -> None:
    """The same network fuses where shapes are equal, and must not where one of the two grows."""
    net = build.Network({"x": (), "shape": (), "other": ()}, ["y"])
    net.add("reshapeDynamic", inputs=["x", "shape"], outputs="r")
    net.add("softmaxND", inputs="r", outputs="s", axis=-1)
    net.add("addBroadcastable", inputs=["s", "other"], outputs="t")
    net.add("activation", inputs="t", outputs="y", **RELU)
    made = network(net, "x", "shape", "other")
    x, other = np.arange(6, dtype=np.float32), np.arange(3, dtype=np.float32)
    for shape, message in {(2, 3): "", (3, 2): "do not fit together", (6, 1): "", (1, 3, 2): "do not fit"}.items():
        inputs = {"x": x, "shape": np.array(shape, np.float32), "other": other}
        if message:
            refused(made, inputs, message, InputError)
        else:
            assert isinstance(agreed(made, inputs), dict)
            assert isinstance(agreed(made, {**inputs, "other": np.ones(shape, np.float32)}), dict)


# --- names whose shape changes on the way -----------------------------------------------------------------------------


def test_a_blob_that_a_copy_writes_again_is_checked_as_it_was() -> None:
    """In the end y has a known shape; the layer that reads it before still meets the other one."""
    net = build.Network({"x": (6,), "z": (2, 3)}, ["y"], exact=True)
    reshaped(net, "x", (3, 2), "r")
    net.add("softmaxND", inputs="r", outputs="s", axis=-1)
    net.add("addBroadcastable", inputs=["s", "z"], outputs="y")
    net.add("copy", inputs="z", outputs="y")
    z = np.ones((2, 3), np.float32)
    refused(network(net, "x", "z"), {"x": np.ones(6, np.float32), "z": z}, r"addBroadcastable3.*do not fit together")


def test_a_name_that_is_known_from_another_branch_is_checked() -> None:
    """In the branch that runs, the blob has another shape than the layers after it were told."""
    inner = build.Network({}, [])
    reshaped(inner, "x", (3, 2), "r")
    inner.add("addBroadcastable", inputs=["r", "z"], outputs="y")
    inner.add("copy", inputs="z", outputs="y")
    other = build.Network({}, [])
    other.add("copy", inputs="z", outputs="y")
    net = build.Network({"x": (6,), "z": (2, 3), "c": (1,)}, ["y"], exact=True)
    net.add("branch", inputs="c", outputs=[], if_branch={"layers": inner.layers}, else_branch={"layers": other.layers})
    made = network(net, "x", "z", "c")
    inputs = {"x": np.ones(6, np.float32), "z": np.ones((2, 3), np.float32)}
    refused(made, {**inputs, "c": np.ones(1, np.float32)}, r"addBroadcastable2.*do not fit together")
    assert isinstance(agreed(made, {**inputs, "c": np.zeros(1, np.float32)}), dict)


# --- any network ------------------------------------------------------------------------------------------------------


@dataclass
class Writer:
    """Draws a network of layers whose shapes depend on values, on branches and on loops; many do not fit."""

    draw: Callable[[Any], Any]
    count: int = 0
    blobs: list[str] = field(default_factory=lambda: ["x", "z", "n"])

    def one(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def blob(self) -> str:
        """One that exists, the latest most often."""
        return self.one(*([self.blobs[-1]] * 3), *self.blobs)

    def numbers(self, low: int = 1, high: int = 3, most: int = 4) -> list[int]:
        return list(self.draw(st.lists(st.integers(low, high), min_size=1, max_size=most)))

    def fresh(self) -> str:
        self.count += 1
        return f"b{self.count}"

    def add(self, net: build.Network, kind: str, *inputs: str, **fields: Any) -> str:
        made = self.fresh()
        net.add(kind, name=f"{kind}_{made}", inputs=list(inputs), outputs=made, **fields)
        self.blobs.append(made)
        return made

    def vector(self, net: build.Network, values: Sequence[int]) -> str:
        """A constant that does not become a blob to go on with."""
        made = self.fresh()
        net.add("loadConstantND", inputs=[], outputs=made, shape=[len(values)], data=np.array(values))
        return made

    def layers(self, most: int, depth: int = 0, *, in_loop: bool = False) -> build.Network:
        """Some layers; inside a branch or loop their blobs are forgotten at the end."""
        net, before = build.Network({}, []), list(self.blobs)
        for _ in range(self.draw(st.integers(1, most))):
            kinds = [self.dynamic, self.elementwise, self.elementwise, self.static, self.copy]
            kinds += [self.branch, self.loop] if depth < 2 else []
            kinds += [self.leave] if in_loop else []
            kind = self.one(*kinds)
            if kind == self.branch or kind == self.loop:
                kind(net, depth, in_loop)
            else:
                kind(net)
        if depth:
            self.blobs = before
        return net

    def dynamic(self, net: build.Network) -> None:
        x, kind = self.blob(), self.one("reshape", "like", "nonzero", "slice", "fill", "tile", "range", "broadcast")
        if kind == "reshape":
            target = self.one([6], [2, 3], [3, 2], [1, 1, 2, 3], [1, 3, 2], [1, 1, 3, 2, 1], [-1], [2, -1], [3, -1])
            self.add(net, "reshapeDynamic", x, self.vector(net, target))
        elif kind == "like":
            self.add(net, "reshapeDynamic", x, self.add(net, "getShape", self.blob()))
        elif kind == "nonzero":
            self.add(net, "whereNonZero", x)
        elif kind == "slice":
            begin = self.vector(net, self.numbers(0, 1))
            self.add(net, "sliceDynamic", x, begin, endMasks=[True] * 5, endIds=[1] * 5, strides=[1] * 5)
        elif kind == "fill":
            self.add(net, "fillDynamic", self.vector(net, self.numbers()), value=0.5)
        elif kind == "tile":
            self.add(net, "tile", x, self.vector(net, self.numbers(1, 2)))
        elif kind == "range":
            self.add(net, "rangeDynamic", self.one("n", x), startValue=0, stepSizeValue=1)
        else:
            self.add(net, "broadcastToDynamic", x, self.vector(net, self.numbers()))

    def elementwise(self, net: build.Network) -> None:
        """What the engine fuses into the layer before, or may be the layer before."""
        x, kind = self.blob(), self.one("relu", "relu", "batchnorm", "add", "multiply", "scale", "prelu", "unary")
        channels = self.one(3, 2, 1)
        some = np.arange(1, channels + 1, dtype=np.float32)
        if kind == "relu":
            self.add(net, "activation", x, **RELU)
        elif kind == "batchnorm":
            self.add(net, "batchnorm", x, channels=channels, gamma=some, beta=some, mean=some, variance=some)
        elif kind == "add":
            self.add(net, self.one("add", "addBroadcastable", "max"), *self.one([x, self.blob()], [self.blob(), x]))
        elif kind == "multiply":
            self.add(net, "multiplyBroadcastable", x, self.blob())
        elif kind == "scale":
            self.add(net, "scale", x, shape_scale=[channels], scale=some)
        elif kind == "prelu":
            self.add(net, "activation", x, PReLU={"alpha": some})
        else:
            self.add(net, "unary", x, type="ABS", scale=1)

    def static(self, net: build.Network) -> None:
        x = self.blob()
        kind = self.one("convolution", "softmaxND", "innerProduct", "concatND", "transpose", "expandDims", "slice")
        if kind == "convolution":
            weights = np.arange(6, dtype=np.float32).reshape(2, 3, 1, 1)
            sizes = {"kernel_size": [1, 1], "output_channels": 2, "kernel_channels": 3, "n_groups": 1}
            self.add(net, "convolution", x, **sizes, valid={}, weights=weights)
        elif kind == "softmaxND":
            self.add(net, "softmaxND", x, axis=self.one(-1, 0, 2))
        elif kind == "innerProduct":
            weights = np.arange(6, dtype=np.float32).reshape(2, 3)
            self.add(net, "innerProduct", x, input_channels=3, output_channels=2, weights=weights)
        elif kind == "concatND":
            self.add(net, "concatND", x, self.blob(), axis=self.one(0, -1))
        elif kind == "transpose":
            self.add(net, "transpose", x, axes=self.one([0], [1, 0], [2, 0, 1], [3, 0, 1, 2]))
        elif kind == "expandDims":
            self.add(net, "expandDims", x, axes=[self.one(0, -1)])
        else:
            self.add(net, "sliceBySize", x, "n", size=self.one(1, 2), axis=self.one(0, -1))

    def copy(self, net: build.Network) -> None:
        """Over a blob that exists: with another shape too."""
        x, y = self.blob(), self.one(*self.blobs)
        if x != y:
            net.add("copy", name=f"copy_{self.fresh()}", inputs=x, outputs=y)

    def branch(self, net: build.Network, depth: int, in_loop: bool) -> None:
        bodies = {"ifBranch": self.layers(3, depth + 1, in_loop=in_loop)}
        if self.one(True, False):
            bodies["elseBranch"] = self.layers(3, depth + 1, in_loop=in_loop)
        fields = {name: {"layers": body.layers} for name, body in bodies.items() if body.layers}
        if "ifBranch" in fields:
            net.add("branch", name=f"branch_{self.fresh()}", inputs=self.one("n", self.blob()), outputs=[], **fields)

    def loop(self, net: build.Network, depth: int, in_loop: bool) -> None:
        body = self.layers(4, depth + 1, in_loop=True)
        if body.layers:
            fields = {"bodyNetwork": {"layers": body.layers}, "maxLoopIterations": self.one(2, 1, 3)}
            net.add("loop", name=f"loop_{self.fresh()}", inputs=self.one([], ["n"]), outputs=[], **fields)

    def leave(self, net: build.Network) -> None:
        body = build.Network({}, [])
        body.add(self.one("loopBreak", "loopContinue"), inputs=[], outputs=[])
        net.add("branch", name=f"leave_{self.fresh()}", inputs="n", outputs=[], ifBranch={"layers": body.layers})


@st.composite
def dynamic_networks(draw: Callable[[Any], Any]) -> tuple[build.Network, Blobs]:
    """A network, and inputs for it."""
    writer = Writer(draw)
    shapes = {"x": draw(st.sampled_from([(6,), (2, 3), (1, 1, 3, 2), (3, 2)])), "z": (2, 3), "n": (1,)}
    drawn = writer.layers(8)
    net = build.Network(shapes, {writer.blobs[-1]: None}, exact=True)
    net.layers.extend(drawn.layers)
    values = {name: np.arange(np.prod(shape), dtype=np.float32).reshape(shape) - 2 for name, shape in shapes.items()}
    return net, {**values, "n": np.array([draw(st.integers(0, 3))], np.float32)}


OUTCOMES: list[Any] = []


TIGHT = [Limits(memory=size) for size in (90, 130, 180, 250)] + [Limits(work=n * LAYER_WORK) for n in (3, 5, 8)]


@settings(max_examples=examples(600))
@given(dynamic_networks())
def check_any(drawn: tuple[build.Network, Blobs]) -> None:
    net, inputs = drawn
    try:
        model: Model = net.model()
    except InvalidModelError:
        OUTCOMES.append("refused at once")
        return
    result = agreed(engine(model), inputs)
    OUTCOMES.append("ran" if isinstance(result, dict) else "refused")
    assert outcome(lambda: model.predict(inputs)) == outcome(lambda: model.observe(inputs, lambda *_: None))
    for limits in TIGHT if isinstance(result, dict) else []:
        with suppress(LimitError):  # at once
            limited = agreed(engine(net.model(limits=limits)), inputs)
            assert limited == result or re.search(r"limit( is)? [0-9]", limited[1])
            OUTCOMES.append("within limits" if limited == result else "beyond limits")


def engine(model: Model) -> Network:
    network: Network = model.prepare().network  # type: ignore[attr-defined]
    return network


def test_all_ways_to_run_agree() -> None:
    """On numbers and on refusals; and the networks drawn are neither all sound nor all broken."""
    OUTCOMES.clear()
    check_any()
    counts = Counter(OUTCOMES)
    for kind in "ran", "refused", "within limits", "beyond limits":
        assert counts[kind] > examples(50) / 2, counts
