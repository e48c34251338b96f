"""Limits on memory and work, and time that grows no faster than the file."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refcoreml
from refcoreml import build
from refcoreml.errors import InputError, InvalidModelError, LimitError, UsageError
from refcoreml.execution.limits import LAYER_WORK, NUMBER_WORK, Budget, Limits, Meter
from refcoreml.spec import schema

MILLION = 10**6
ONE = {"x": np.ones(1, np.float32)}


def network(*layers: tuple[str, list[str], str, dict[str, Any]], size: int = 1) -> build.Network:
    """A network of one input x."""
    net = build.Network({"x": (size,)}, ["y"], exact=True)
    for number, (kind, taken, made, fields) in enumerate(layers):
        net.add(kind, name=f"{kind}_{number}", inputs=taken, outputs=made, **fields)
    return net


def fill(name: str, numbers: int) -> tuple[str, list[str], str, dict[str, Any]]:
    return ("fillStatic", [], name, {"value": 1, "target_shape": [numbers]})


def relu(x: str, y: str) -> tuple[str, list[str], str, dict[str, Any]]:
    return ("activation", [x], y, {"ReLU": {}})


# --- memory -----------------------------------------------------------------------------------------------------------


def test_blobs_that_live_together_are_added_up() -> None:
    """Each is below the limit; the third is beyond it."""
    net = network(fill("a", MILLION), fill("b", MILLION), fill("c", MILLION), ("addBroadcastable", ["a", "b"], "d", {}))
    net.add("addBroadcastable", inputs=["c", "d"], outputs="y")
    message = (
        r"layers\[2\] 'fillStatic_2' \(fillStatic\): with output 'c', weights and values take 1\.2e\+07 bytes, "
        r"limit 1e\+07\. If you trust the model, allow more: .*Limits\(memory=1e07\)\), or set REFCOREML_MEMORY"
    )
    with pytest.raises(LimitError, match=message):
        net.model(limits=Limits(memory=10 * MILLION))
    assert net.model(limits=Limits(memory=16 * MILLION + 4)).predict(ONE)["y"].shape == (MILLION,)
    with pytest.raises(LimitError, match="'addBroadcastable_3'"):
        net.model(limits=Limits(memory=16 * MILLION))


def test_blobs_that_nobody_needs_any_more_are_not_counted() -> None:
    layers = [relu("x" if place == 0 else f"r{place}", f"r{place + 1}") for place in range(9)]
    net = network(*layers, relu("r9", "y"), size=MILLION)
    assert net.model(limits=Limits(memory=8 * MILLION))
    with pytest.raises(LimitError):
        net.model(limits=Limits(memory=8 * MILLION - 1))


def dynamic(target: int, *more: tuple[str, list[str], str, dict[str, Any]]) -> build.Network:
    """A fill whose size only a run can know."""
    constant = ("loadConstantND", [], "shape", {"shape": [1], "data": np.array([target], np.float32)})
    return network(constant, ("fillDynamic", ["shape"], "a", {"value": 1}), *more)


@pytest.mark.parametrize("observed", [False, True])
def test_blobs_of_unknown_shape_are_added_up_as_the_network_runs(observed: bool) -> None:
    """Whether layers are fused makes no difference."""
    net = dynamic(MILLION, relu("a", "b"), relu("b", "c"), ("addBroadcastable", ["a", "c"], "y", {}))

    def predict(memory: float) -> Any:
        model = net.model(limits=Limits(memory=memory))
        return model.observe(ONE, lambda *_: None) if observed else model.predict(ONE)

    enough = 12 * MILLION + 8  # a, b and c; the constant that says how large a is, decoded; and x
    assert predict(enough)["y"].shape == (MILLION,)
    with pytest.raises(LimitError, match=r"'activation_3'.*with output 'c', weights and values take 1\.2e\+07 bytes"):
        predict(enough - 1)


def test_decoded_weights_are_added_up() -> None:
    """One bit of the file is four bytes in memory."""
    bits = schema.WeightParams(rawValue=bytes(MILLION // 8))
    build.fill(bits, {"quantization": {"numberOfBits": 1, "lookupTableQuantization": {"floatValue": [0, 1]}}}, "bits")
    layers = [("loadConstantND", [], name, {"shape": [MILLION], "data": bits}) for name in "abc"]
    net = network(*layers, relu("c", "y"))
    with pytest.raises(
        LimitError, match=r"'loadConstantND_2' .*\.data: with these, the decoded weights take 1\.2e\+07"
    ):
        net.model(limits=Limits(memory=10 * MILLION))


def test_weights_of_custom_layers_are_added_up() -> None:
    net = network()
    net.add("custom", inputs="x", outputs="y", className="Mine", weights=[np.zeros(MILLION, np.float32)] * 3)
    options = {"custom_layers": {"Mine": lambda x, weights: x}}
    assert net.model(limits=Limits(memory=13 * MILLION), **options).predict(ONE)["y"] == [1]
    with pytest.raises(LimitError, match=r"\.weights\[2\]: with these, the decoded weights take 1\.2e\+07"):
        net.model(limits=Limits(memory=11 * MILLION), **options)


def test_weights_of_all_models_of_a_pipeline_are_added_up() -> None:
    def model(taken: str, made: str) -> schema.Model:
        net = build.Network({taken: (1,)}, {made: (1,)}, exact=True)
        numbers = np.zeros((1, MILLION), np.float32)
        net.add("loadConstantND", inputs=[], outputs="c", shape=[1, MILLION], data=numbers)
        net.add("reduceSum", inputs="c", outputs="s", axes=[0, 1], keep_dims=False)
        net.add("addBroadcastable", inputs=["s", taken], outputs=made)
        return net.spec()

    pipeline = schema.Model(specificationVersion=4)
    for place, (taken, made) in enumerate([("x", "h"), ("h", "y")]):
        inner = model(taken, made)
        pipeline.pipeline.models.append(inner)
        pipeline.pipeline.names.append(f"m{place}")
    pipeline.description.input.append(pipeline.pipeline.models[0].description.input[0])
    pipeline.description.output.append(pipeline.pipeline.models[1].description.output[0])
    assert refcoreml.load(pipeline, limits=Limits(memory=13 * MILLION)).predict(ONE)["y"] == [1]
    with pytest.raises(LimitError, match=r"models\[1\] 'm1'.*weights and values take 1\.2e\+07 bytes, limit 9e\+06"):
        refcoreml.load(pipeline, limits=Limits(memory=9 * MILLION))


def test_weights_of_a_wrong_number_are_refused_for_that() -> None:
    net = network(("loadConstantND", [], "y", {"shape": [2**40], "data": [1.0]}))
    with pytest.raises(InvalidModelError, match=r"holds 1 values, the declared shape 1099511627776 needs") as caught:
        net.model()
    assert not isinstance(caught.value, LimitError)


def test_a_tiny_file_does_not_take_all_memory() -> None:
    net = network(fill("a", 3 << 28), ("addBroadcastable", ["a", "a"], "y", {}))
    assert len(net.spec().SerializeToString()) < 200
    with pytest.raises(LimitError, match=r"limit 4\.3e"):
        net.model()


# --- work -------------------------------------------------------------------------------------------------------------


def test_work_is_multiplications_numbers_and_layers() -> None:
    """A product of 100 x 30 by 30 x 70, and the sine of 7000 numbers."""
    net = build.Network({"a": (100, 30), "b": (30, 70)}, ["y"], exact=True)
    net.add("batchedMatmul", inputs=["a", "b"], outputs="p")
    net.add("sin", inputs="p", outputs="y")
    product = 100 * 30 * 70 + NUMBER_WORK * (100 * 30 + 30 * 70 + 100 * 70) + LAYER_WORK
    sine = NUMBER_WORK * 2 * 100 * 70 + LAYER_WORK
    assert net.model(limits=Limits(work=product + sine))
    message = r"\[1\] 'sin1' \(sin\): up to this layer, a prediction takes as long as .* multiplications, the limit is"
    with pytest.raises(LimitError, match=message + r".*Limits\(work=.*REFCOREML_WORK="):
        net.model(limits=Limits(work=product + sine - 1))


PRODUCTS: dict[str, tuple[int, tuple[int, ...], dict[str, Any]]] = {
    "convolution": (
        11 * 4 * 6 * (5 * 3 * 2),
        (1, 5, 6, 7),
        {"kernel_size": [3, 2], "output_channels": 11, "kernel_channels": 5, "n_groups": 1, "valid": {}}
        | {"weights": np.ones((11, 5, 3, 2), np.float32)},
    ),
    "innerProduct": (
        13 * 11 * 5,
        (13, 11),
        {"input_channels": 11, "output_channels": 5, "weights": np.ones((5, 11), np.float32)},
    ),
    "batchedMatmul": (
        13 * 11 * 5,
        (13, 11),
        {"weight_matrix_first_dimension": 11, "weight_matrix_second_dimension": 5}
        | {"weights": np.ones((5, 11), np.float32)},
    ),
}


@pytest.mark.parametrize("kind", PRODUCTS)
def test_products_are_counted(kind: str) -> None:
    products, shape, fields = PRODUCTS[kind]
    net = build.Network({"x": shape}, ["y"], exact=True)
    net.add(kind, inputs="x", outputs="y", **fields)
    numbers = math.prod(shape) + math.prod(net.model().shapes()["y"])
    work = products + NUMBER_WORK * numbers + LAYER_WORK
    assert net.model(limits=Limits(work=work))
    with pytest.raises(LimitError):
        net.model(limits=Limits(work=work - 1))


def test_rounds_of_a_loop_are_counted_as_they_run() -> None:
    body = build.Network({}, [])
    body.add("activation", inputs="x", outputs="t", ReLU={})
    net = network()
    net.add("loop", inputs=[], outputs=[], bodyNetwork={"layers": body.layers}, maxLoopIterations=1000)
    net.layers.append(network(relu("x", "y")).layers[0])
    model = net.model(limits=Limits(work=1001 * (LAYER_WORK + 2 * NUMBER_WORK)))
    assert model.predict(ONE)["y"] == [1]
    with pytest.raises(LimitError, match=r"layers\[1\] .*up to this layer"):
        net.model(limits=Limits(work=1001 * (LAYER_WORK + 2 * NUMBER_WORK) - 1)).predict(ONE)


# --- how limits are set -----------------------------------------------------------------------------------------------


def test_the_environment_sets_the_usual_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network(fill("y", MILLION))
    assert net.model().limits == Limits()
    monkeypatch.setenv("REFCOREML_MEMORY", "3e6")
    with pytest.raises(LimitError, match="limit 3e"):
        net.model()
    assert net.model(limits=Limits(memory=math.inf)).predict(ONE)["y"].shape == (MILLION,)
    monkeypatch.setenv("REFCOREML_MEMORY", "a lot")
    with pytest.raises(UsageError, match="REFCOREML_MEMORY: expected a number such as 16e9, got 'a lot'"):
        net.model()


@pytest.mark.parametrize("value", [0, -1, math.nan, "1e9", True, None])
def test_limits_are_numbers_above_zero(value: Any) -> None:
    for name in ("memory", "work"):
        with pytest.raises(UsageError, match=rf"limits: {name} is .*, expected a number above 0"):
            Limits(**{name: value})


def test_limits_are_limits() -> None:
    net = network(relu("x", "y"))
    with pytest.raises(UsageError, match=r"limits: got int, expected refcoreml\.Limits"):
        net.model(limits=5)


# --- time -------------------------------------------------------------------------------------------------------------


def seconds(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def test_shapes_through_nested_loops_take_time_by_size_and_not_by_depth() -> None:
    """Each loop changes the shape of a blob that is made anew in each round of the loop around it."""
    layers: list[schema.NeuralNetworkLayer] = []
    for depth in range(24):
        body, around = build.Network({}, []), build.Network({}, [])
        body.layers.extend(layers)
        body.add("concatND", name=f"join{depth}", inputs=[f"b{depth}"] * 2, outputs=f"t{depth}", axis=0)
        body.add("copy", name=f"again{depth}", inputs=f"t{depth}", outputs=f"b{depth}")
        around.add("copy", name=f"first{depth}", inputs="x", outputs=f"b{depth}")
        inside = {"bodyNetwork": {"layers": body.layers}, "maxLoopIterations": 1}
        around.add("loop", name=f"loop{depth}", inputs=[], outputs=[], **inside)
        layers = list(around.layers)
    net = network()
    net.layers.extend(layers)
    net.add("activation", inputs="b23", outputs="y", ReLU={})
    assert seconds(net.model) < 5, "2^24 looks at the innermost loop would take an hour"
    assert net.model().predict(ONE)["y"].shape == (2,)


@pytest.mark.parametrize("many", ["branches", "classes", "inputs"])
def test_time_grows_with_the_size_of_a_model_and_no_faster(many: str) -> None:
    """Ten times as large takes ten times as long, not a hundred times."""

    def look(count: int) -> float:
        net = build.Network({f"x{i}": (1,) for i in range(count if many == "inputs" else 1)}, ["y"], exact=True)
        for place in range(count if many == "branches" else 0):
            body = build.Network({}, [])
            body.add("activation", inputs="x0", outputs=f"t{place}", ReLU={})
            net.add("branch", name=f"b{place}", inputs="x0", outputs=[], ifBranch={"layers": body.layers})
        for place in range(count if many == "classes" else 0):
            net.add("custom", name=f"c{place}", inputs="x0", outputs=f"c{place}", className=f"C{place}")
        net.add("activation", inputs="x0", outputs="y", ReLU={})
        spec = net.spec()
        return min(seconds(lambda: refcoreml.inspect(refcoreml.load(spec, prepare=False))) for _ in range(2))

    small, large = look(600), look(6000)
    # Walks that were quadratic took 42 s and more; within a few seconds a busy machine may spoil the ratio.
    assert large < max(40 * small, 5), f"{small:.3f} s and {large:.3f} s"


def declared_as(*shape: int) -> schema.Model:
    net = build.Network({"x": (3,)}, ["y"])
    net.add("activation", inputs="x", outputs="y", ReLU={})
    spec = net.spec()
    spec.description.output[0].type.multiArrayType.shape.extend(shape)
    return spec


def test_a_declared_shape_of_large_dimensions_does_not_hang() -> None:
    spec = declared_as(*[2**62] * 32)
    with pytest.warns(refcoreml.RefCoreMLWarning, match="is declared as"):
        assert seconds(lambda: refcoreml.load(spec).predict({"x": np.ones(3, np.float32)})) < 3


def test_a_declared_shape_of_many_dimensions_is_refused_at_once() -> None:
    def refuse() -> None:
        with pytest.raises(InvalidModelError, match="30000 dimensions, expected at most 32"):
            refcoreml.load(declared_as(*[2**62] * 30_000))

    assert seconds(refuse) < 3


def test_a_shape_of_many_dimensions_is_refused_at_once() -> None:
    """The product of 200,000 large lengths would take minutes."""
    for kind, fields in {
        "scale": {"shape_scale": [2**62] * 200_000, "scale": [1.0]},
        "reshapeStatic": {"target_shape": [2**62] * 200_000},
        "fillStatic": {"target_shape": [2**62] * 200_000},
    }.items():
        net = network((kind, [] if kind == "fillStatic" else ["x"], "y", fields))
        started = time.perf_counter()
        with pytest.raises(InvalidModelError):
            net.model()
        assert time.perf_counter() - started < 5


@pytest.mark.parametrize("numbers", [[1e300, 1e300], [1.7e308], [3.0, 1.7e308]])
def test_a_shape_that_no_float_can_count_is_refused(numbers: list[float]) -> None:
    net = build.Network({"shape": build.array(len(numbers), data_type="DOUBLE")}, ["y"], exact=True)
    net.add("fillDynamic", inputs="shape", outputs="y", value=1)
    loaded = refcoreml.load(net.spec(), precision="float64")
    with pytest.raises(InputError, match=r"1e\+300 bytes, limit 4\.3e\+09"):
        loaded.predict({"shape": np.array(numbers)})


def test_work_that_no_float_can_count_is_refused() -> None:
    meter = Meter(Budget(Limits(work=5)))
    with pytest.raises(LimitError, match=r"as long as 1e\+300 multiplications, the limit is 5"):
        meter.spend(10**400, "here")
