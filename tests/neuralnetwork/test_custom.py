"""Custom layers: what the code is given, what becomes of its results, and whose fault it is when they do not fit."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from support import integers

import refcoreml
from refcoreml import build, custom
from refcoreml.errors import CallbackError, InvalidModelError, UnsupportedModelError, UsageError
from refcoreml.spec import schema
from refcoreml.spec.weights import decode_weights


@pytest.fixture(autouse=True)
def _no_registrations_remain():
    with custom.scope():
        yield


def net_of(shape, *, inputs=1, outputs=1, exact=True, **fields):
    """A network of one custom layer between blobs x0, x1, ... of one shape and y0, y1, ..."""
    given, made = [f"x{i}" for i in range(inputs)], [f"y{i}" for i in range(outputs)]
    net = build.Network(dict.fromkeys(given, shape), made, exact=exact)
    net.add("custom", name="mine", inputs=given, outputs=made, **{"class_name": "Mine", **fields})
    return net


def run(code, *arrays, outputs=1, precision="float32", exact=True, **fields):
    net = net_of(arrays[0].shape, inputs=len(arrays), outputs=outputs, exact=exact, **fields)
    model = net.model(custom_layers={"Mine": code}, precision=precision)
    results = model.predict({f"x{i}": array for i, array in enumerate(arrays)})
    return results["y0"] if outputs == 1 else [results[f"y{i}"] for i in range(outputs)]


# --- what the code is given ------------------------------------------------------------------------------------------


@pytest.mark.clause("custom.S1")
def test_a_function_gets_inputs_and_parameters_by_name():
    x, y = integers((2, 3, 5), seed=1), integers((2, 3, 5), seed=2)

    def combine(x, y, *, factor, count, wide, on, text):
        assert (count, wide, on, text) == (7, 2**40, True, "sum")
        assert type(on) is bool
        assert type(count) is int
        return x + factor * y

    fields = {"factor": 2.5, "count": 7, "wide": 2**40, "on": True, "text": "sum"}
    np.testing.assert_array_equal(run(combine, x, y, parameters=fields), x + 2.5 * y)


@pytest.mark.clause("custom.S5")
def test_a_description_changes_no_output():
    x = integers((2, 3))
    for text in "", "x -> 3 x", "X')\n":
        np.testing.assert_array_equal(run(lambda x: 2 * x, x, description=text), 2 * x)


@pytest.mark.clause("custom.S1")
def test_a_class_is_made_once_a_layer_and_gets_everything_in_order():
    calls = []

    class Mine:
        def __init__(self, parameters):
            calls.append(("init", parameters))

        def set_weights(self, weights):
            calls.append(("weights", [w.tolist() for w in weights]))
            self.weights = weights

        def output_shapes(self, input_shapes):
            calls.append(("shapes", input_shapes))
            return [(len(self.weights[0]),), input_shapes[0]]

        def evaluate(self, inputs):
            calls.append(("evaluate", [x.shape for x in inputs]))
            return [self.weights[0], inputs[0]]

    x = integers((2, 3))
    net = net_of(
        (2, 3),
        outputs=2,
        weights=[np.array([1, 2, 3, 4]), schema.WeightParams()],
        parameters={"alpha": 0.25},
    )
    model = net.model(custom_layers={"Mine": Mine})
    for _ in range(2):
        outputs = model.predict({"x0": x})
    np.testing.assert_array_equal(outputs["y0"], [1, 2, 3, 4])
    np.testing.assert_array_equal(outputs["y1"], x)
    assert calls == [
        ("init", {"alpha": 0.25}),
        ("weights", [[1, 2, 3, 4], []]),
        ("shapes", [(2, 3)]),
        ("evaluate", [(2, 3)]),
        ("evaluate", [(2, 3)]),
    ]
    assert model.shapes() == {"x0": (2, 3), "y0": (4,), "y1": (2, 3)}


def test_the_base_class_will_do_as_a_base():
    class Twice(refcoreml.CustomLayer):
        def evaluate(self, inputs):
            return self.parameters["factor"] * inputs[0] + self.weights[0]

    weights = [schema.WeightParams(floatValue=[1, 2, 3])]
    x = integers((2, 3))
    result = run(Twice, x, weights=weights, parameters={"factor": 2})
    np.testing.assert_array_equal(result, 2 * x + [1, 2, 3])


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", np.float32), ("float64", np.float64), ("float16", np.float32)]
)
@pytest.mark.clause("custom.S2")
def test_numbers_are_those_of_the_arithmetic(precision, dtype):
    third, seen = 1 / 3, []

    class Mine:
        def __init__(self, parameters):
            pass

        def set_weights(self, weights):
            seen.extend(weights)

        def evaluate(self, inputs):
            seen.extend(inputs)
            return [inputs[0].astype(np.float64) / 3]

    net = build.Network({"x": build.array(2, data_type="DOUBLE")}, {"y": build.array(2, data_type="DOUBLE")})
    net._exact = True
    net.add("custom", outputs="y", class_name="Mine", weights=[schema.WeightParams(floatValue=[third])])
    result = net.model(custom_layers={"Mine": Mine}, precision=precision).predict({"x": np.array([third, 1])})["y"]
    stored = {"float32": np.float32, "float64": np.float64, "float16": np.float16}[precision]
    assert [array.dtype for array in seen] == [dtype, dtype]
    assert seen[0][0] == stored(np.float32(third))
    assert seen[1][0] == stored(third)
    assert result[1] == stored(1 / 3)


@pytest.mark.clause("custom.S2")
def test_quantized_weights_arrive_decoded_and_raw():
    table = schema.WeightParams(rawValue=bytes([0b00011011]))
    table.quantization.numberOfBits = 2
    table.quantization.lookupTableQuantization.floatValue.extend([-1, 0.5, 4, 8])
    channels = schema.WeightParams(rawValue=bytes([1, 2, 3, 4, 5, 6]))
    channels.quantization.numberOfBits = 8
    channels.quantization.linearQuantization.scale.extend([2, 10])
    channels.quantization.linearQuantization.bias.extend([0, 1])
    signed = schema.WeightParams(int8RawValue=np.array([-3, 5, 127, -128], np.int8).tobytes())
    signed.quantization.linearQuantization.scale.extend([0.5, 2])
    half = schema.WeightParams(float16Value=np.float16([3]).tobytes())
    seen = {}

    class Mine:
        def __init__(self, parameters):
            pass

        def set_raw_weights(self, weights):
            seen["raw"] = weights

        def set_weights(self, weights):
            seen["decoded"] = [w.tolist() for w in weights]

        def evaluate(self, inputs):
            return inputs

    run(Mine, integers((3,)), weights=[table, channels, half, signed])
    assert seen["decoded"] == [[-1, 0.5, 4, 8], [2, 4, 6, 41, 51, 61], [3], [-1.5, 2.5, 254, -256]]
    assert seen["raw"][0] == table
    np.testing.assert_array_equal(decode_weights(seen["raw"][1], (2, 3)), [[2, 4, 6], [41, 51, 61]])


@pytest.mark.clause("custom.U1")
def test_shapes_that_the_class_tells_decode_weights_exactly():
    packed = schema.WeightParams(rawValue=bytes([0b01101100, 0b11011000]))  # 3 x 5 codes of one bit, and one bit more
    packed.quantization.numberOfBits = 1
    packed.quantization.linearQuantization.scale.extend([1, 2, 3])
    expected = np.array([[0, 1, 1, 0, 1], [1, 0, 0, 1, 1], [0, 1, 1, 0, 0]]) * [[1], [2], [3]]

    class Flat:
        def __init__(self, parameters):
            pass

        def set_weights(self, weights):
            self.weights = weights

        def evaluate(self, inputs):
            return [self.weights[0]]

    class Shaped(Flat):
        def weight_shapes(self):
            return [(3, 5)]

    np.testing.assert_array_equal(run(Shaped, integers((2,)), weights=[packed]), expected)
    with pytest.raises(CallbackError, match=r"weights\[0\] hold codes of 1 bits with 3 scales.*weight_shapes"):
        run(Flat, integers((2,)), weights=[packed])
    with pytest.raises(InvalidModelError, match=r"weights\[0\].*holds 4 values, the declared shape 3 x 5 needs 15"):
        run(Shaped, integers((2,)), weights=[schema.WeightParams(floatValue=[1, 2, 3, 4])])
    with pytest.raises(CallbackError, match="returned 1 shapes, the layer holds 2"):
        run(Shaped, integers((2,)), weights=[packed, packed])


@pytest.mark.parametrize("shape", [(-15,), (-3, -5), (0,), (2**31, -1)])
def test_shapes_of_weights_that_no_array_has_are_the_fault_of_the_class(shape):
    class Shaped:
        def __init__(self, parameters):
            pass

        def weight_shapes(self):
            return [shape]

        def set_weights(self, weights):
            pass

        def evaluate(self, inputs):
            return inputs

    packed = schema.WeightParams(rawValue=bytes(8))
    packed.quantization.numberOfBits = 2
    packed.quantization.linearQuantization.scale.append(1)
    for stored in packed, schema.WeightParams(floatValue=[1, 2, 3]):
        with pytest.raises(CallbackError, match=r"weight_shapes returned the shape .*, expected lengths of 1 or more"):
            run(Shaped, integers((2,)), weights=[stored])


@pytest.mark.clause("custom.S1")
def test_weights_of_a_function_come_as_a_list():
    weights = [schema.WeightParams(floatValue=[2, 3, 5])]
    x = integers((2, 3))
    np.testing.assert_array_equal(run(lambda x, weights: x * weights[0], x, weights=weights), x * [2, 3, 5])


# --- where it runs ---------------------------------------------------------------------------------------------------


@pytest.mark.clause("custom.C2")
def test_in_the_rank_5_world_blobs_have_five_dimensions():
    x, ranks = integers((3, 4, 5)), []

    def crop(x):
        ranks.append(x.shape)
        return x[..., 1:-1, 1:-1]

    np.testing.assert_array_equal(run(crop, x, exact=False), x[:, 1:-1, 1:-1])
    assert ranks == [(1, 1, 3, 4, 5)]
    with pytest.raises(CallbackError, match=r"shape \(4,\) for output 'y0', but all blobs of this network have five"):
        run(lambda x: np.zeros(4), x, exact=False)


def test_among_layers_that_are_fused():
    """Nothing that the custom layer reads or returns is written over, and a trace shows the same numbers."""
    x, kept = integers((2, 3, 4), seed=3), []

    class Same:
        def __init__(self, parameters):
            pass

        def output_shapes(self, input_shapes):
            return input_shapes

        def evaluate(self, inputs):
            kept.append((inputs[0], inputs[0].copy()))
            return inputs

    net = build.Network({"x": (2, 3, 4)}, ["y", "z"], exact=True)
    net.add("unary", type="INVERSE", epsilon=0.5, name="first")
    net.add("activation", linear={"alpha": 2, "beta": 1}, name="before")
    net.add("custom", class_name="Same", name="same")
    net.add("activation", ReLU={}, outputs="y")
    net.add("activation", linear={"alpha": -1}, inputs="before", outputs="z")
    model = net.model(custom_layers={"Same": Same})
    outputs = model.predict({"x": x})
    (given, before), *_ = kept
    np.testing.assert_array_equal(given, before)
    expected = 2 * (np.float32(1) / (x.astype(np.float32) + np.float32(0.5))) + 1
    np.testing.assert_allclose(outputs["y"], np.maximum(expected, 0), rtol=4 * 2.0**-24)
    np.testing.assert_array_equal(outputs["y"], np.maximum(-outputs["z"], 0))
    traced = {layer.name: layer for layer in model.trace({"x": x})}
    assert traced["same"].kind == "custom"
    np.testing.assert_array_equal(traced["same"].outputs["same"], -outputs["z"])


@pytest.mark.clause("custom.S4")
def test_in_a_branch_and_a_loop():
    """Fibonacci numbers: the loop's body is a custom layer of two outputs."""
    net = build.Network({"rounds": (1,), "a": (1,), "b": (1,)}, ["a_now", "choice"], exact=True)
    net.add("copy", inputs="a", outputs="a_now")
    net.add("copy", inputs="b", outputs="b_now")
    body, then, otherwise = schema.NeuralNetwork(), schema.NeuralNetwork(), schema.NeuralNetwork()
    inner = build.Network({}, [])
    inner.add("custom", class_name="Step", inputs=["a_now", "b_now"], outputs=["next_a", "next_b"])
    inner.add("copy", inputs="next_a", outputs="a_now")
    inner.add("copy", inputs="next_b", outputs="b_now")
    body.layers.extend(inner.layers)
    for network, name in ((then, "Step"), (otherwise, "Never")):
        inner = build.Network({}, [])
        inner.add("custom", class_name=name, inputs=["a", "b"], outputs=["choice", "unused"])
        network.layers.extend(inner.layers)
    net.add("loop", inputs="rounds", outputs=[], body_network=body)
    net.add("branch", inputs="rounds", outputs=[], if_branch=then, else_branch=otherwise)

    class Never:
        def __init__(self, parameters):
            pass

        def output_shapes(self, input_shapes):
            raise RuntimeError("never mind")

        def evaluate(self, inputs):
            raise RuntimeError("never run")

    model = net.model(custom_layers={"Step": lambda a, b: [b, a + b], "Never": Never})
    outputs = model.predict({"rounds": np.array([10]), "a": np.array([0]), "b": np.array([1])})
    assert outputs["a_now"] == 55
    assert outputs["choice"] == 1
    with pytest.raises(CallbackError, match=r"elseBranch\.layers\[0\].*never") as caught:
        model.predict({"rounds": np.array([0]), "a": np.array([0]), "b": np.array([1])})
    assert isinstance(caught.value.__cause__, RuntimeError)
    (need, never) = refcoreml.inspect(model).needs
    assert (need.class_name, need.count, need.met) == ("Step", 2, True)
    assert never.met


@pytest.mark.clause("custom.S3")
def test_shapes_that_nobody_tells_are_not_known_before_the_run():
    net = build.Network({"x": (2, 3)}, ["y"], exact=True)
    net.add("custom", class_name="Mine", name="mine")
    net.add("activation", ReLU={}, outputs="y")
    model = net.model(custom_layers={"Mine": lambda x: x[:1]})
    assert model.shapes() == {"x": (2, 3)}
    assert model.predict({"x": integers((2, 3))})["y"].shape == (1, 3)
    told = net.model(custom_layers={"Mine": type("Mine", (refcoreml.CustomLayer,), {})})
    assert told.shapes() == {"x": (2, 3)}


@pytest.mark.clause("custom.S3")
def test_a_number_without_dimensions_has_one():
    assert run(lambda x: x.sum(), integers((2, 3))).shape == (1,)


def test_instances_take_turns_unless_they_are_thread_safe():
    def most_at_once(safe):
        state, lock = {"now": 0, "most": 0}, threading.Lock()

        class Mine:
            thread_safe = safe

            def __init__(self, parameters):
                pass

            def evaluate(self, inputs):
                with lock:
                    state["now"] += 1
                    state["most"] = max(state["most"], state["now"])
                time.sleep(0.02)
                with lock:
                    state["now"] -= 1
                return inputs

        model = net_of((2,)).model(custom_layers={"Mine": Mine})
        threads = [threading.Thread(target=model.predict, args=({"x0": np.ones(2)},)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return state["most"]

    assert most_at_once(False) == 1
    assert most_at_once(True) > 1


# --- names -----------------------------------------------------------------------------------------------------------


def test_what_is_given_to_load_goes_before_what_is_registered():
    refcoreml.custom_layer("Mine")(lambda x: x + 1)
    given = {"Mine": lambda x: x + 2}
    before = dict(given)
    spec = net_of((2,)).spec()
    assert refcoreml.load(spec).predict({"x0": np.zeros(2)})["y0"][0] == 1
    assert refcoreml.load(spec, custom_layers=given).predict({"x0": np.zeros(2)})["y0"][0] == 2
    assert refcoreml.load(spec, custom_layers={"Other": lambda x: x}).predict({"x0": np.zeros(2)})["y0"][0] == 1
    assert given == before


def test_a_name_is_registered_once():
    @refcoreml.custom_layer("Mine")
    def first(x):
        return x

    with pytest.raises(UsageError, match=r"'Mine' is registered already, as .*first.*replace=True"):
        refcoreml.custom_layer("Mine")(lambda x: x)
    refcoreml.custom_layer("Mine", replace=True)(lambda x: x + 5)
    assert net_of((1,)).model().predict({"x0": np.zeros(1)})["y0"] == 5
    assert first(3) == 3, "the decorator returns the function itself"


@pytest.mark.parametrize("bad", [3, "numpy.tanh", type("NoEvaluate", (), {}), None])
def test_only_functions_and_classes_that_evaluate_are_taken(bad):
    with pytest.raises(UsageError, match="method evaluate or a function"):
        refcoreml.custom_layer("Mine")(bad)
    with pytest.raises(UsageError, match="method evaluate or a function"):
        net_of((2,)).model(custom_layers={"Mine": bad})


def test_misuse_of_the_decorator_and_of_load_is_told():
    with pytest.raises(UsageError, match=r'Write @refcoreml.custom_layer\("Name"\)'):

        @refcoreml.custom_layer
        def forgot_the_name(x):
            return x

    with pytest.raises(UsageError, match="custom_layers: got list, expected a dict by class name"):
        net_of((2,)).model(custom_layers=[len])


@pytest.mark.clause("custom.C1")
def test_a_missing_class_is_described_with_the_lines_to_write():
    net = net_of(
        (2, 3),
        inputs=2,
        class_name="My.Sampler",
        description="samples\na grid",
        parameters={"mode": "bilinear", "scale": 0.5},
        weights=[schema.WeightParams(floatValue=[1, 2])],
    )
    with pytest.raises(UnsupportedModelError) as caught:
        net.model()
    text = str(caught.value)
    assert text.startswith("neuralNetwork.layers[0] 'mine' (custom): 1 of 1 layers need code")
    assert r"'samples\na grid'" in text
    assert "{'mode': 'bilinear', 'scale': 0.5}" in text
    lines = text[text.index("@refcoreml") :]
    exec(lines, {"refcoreml": refcoreml})
    model = net.model()
    assert [need.met for need in refcoreml.inspect(model).needs] == [True]
    with pytest.raises(CallbackError, match="NotImplementedError"):
        model.predict({"x0": np.zeros((2, 3)), "x1": np.zeros((2, 3))})


def test_hostile_names_stay_inside_of_what_is_quoted():
    name = "X')\nimport os; os.abort()  # '"
    with pytest.raises(UnsupportedModelError) as caught:
        net_of((2,), class_name=name, description=name).model()
    text = str(caught.value)
    exec(text[text.index("@refcoreml") :], {"refcoreml": refcoreml})
    assert list(custom.LAYERS.entries) == [name]


def test_many_missing_classes_do_not_fill_the_screen():
    net = build.Network({"x": (2,)}, ["y"])
    for index in range(9):
        net.add("custom", class_name=f"C{index}", **({"outputs": "y"} if index == 8 else {}))
    with pytest.raises(UnsupportedModelError, match="the 4 other classes") as caught:
        net.model()
    assert str(caught.value).count("@refcoreml.custom_layer") == 5
    assert "custom layer of class 'C8' (1 x)" in str(caught.value)


@pytest.mark.clause("custom.C1")
def test_a_layer_without_a_class_name_is_invalid():
    with pytest.raises(InvalidModelError, match="has no className"):
        net_of((2,), class_name="").model()
    with pytest.raises(InvalidModelError, match="parameter 'a' has no value"):
        net_of((2,), parameters={"a": {}}).model(custom_layers={"Mine": lambda x, a: x})


# --- what the code does wrong ----------------------------------------------------------------------------------------


def mine(evaluate, shapes=None):
    """A class with the given function as its evaluate."""
    members = {"__init__": lambda self, parameters: None, "evaluate": lambda self, inputs: evaluate(inputs)}
    if shapes is not None:
        members["output_shapes"] = lambda self, input_shapes: shapes(input_shapes)
    return type("Mine", (), members)


@pytest.mark.parametrize(
    ("evaluate", "message"),
    [
        (lambda inputs: 1 / 0, "Mine.evaluate raised ZeroDivisionError: division by zero"),
        (lambda inputs: [], "returned a list of 0, but the layer has 1 output"),
        (lambda inputs: (inputs[0], inputs[0]), "returned a tuple of 2, but the layer has 1 output"),
        (lambda inputs: None, "returned a NoneType for output 'y0', expected an array of real numbers"),
        (lambda inputs: {"y0": 1}, "returned a dict for output 'y0', expected an array"),
        (lambda inputs: "three", "returned a str for output 'y0', expected an array"),
        (lambda inputs: inputs[0] * 1j, "returned an array of complex64 for output 'y0', expected an array of real"),
        (lambda inputs: [[[1, 2], [3]]], "returned a list for output 'y0'"),
        (lambda inputs: np.zeros((2, 0)), r"gave the shape \(2, 0\).*at least 1"),
        (lambda inputs: np.zeros((1,) * 6), "at most 5 dimensions"),
        (lambda inputs: np.broadcast_to(np.float32(0), (1 << 16, 1 << 16)), "bytes, limit"),
        (lambda inputs: inputs[0].fill(0), "read-only.*Inputs are read-only: copy what is to be changed"),
        (lambda inputs: inputs[0].__iadd__(1), "read-only"),
    ],
)
@pytest.mark.clause("custom.C2", "custom.C3", "custom.S2")
def test_results_that_do_not_fit_are_told_with_the_layer(evaluate, message):
    with pytest.raises(CallbackError, match=rf"(?s)neuralNetwork.layers\[0\] 'mine' \(custom\): .*{message}"):
        run(mine(evaluate), integers((2, 3)))


@pytest.mark.clause("custom.C3")
def test_exceptions_are_chained_also_those_of_refcoreml():
    def fail(inputs):
        raise refcoreml.InputError("inner")

    with pytest.raises(CallbackError, match="raised InputError: inner") as caught:
        run(mine(fail), integers((2,)))
    assert isinstance(caught.value.__cause__, refcoreml.InputError)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (lambda shapes: [(3, 2)], r"returned the shape \(2, 3\) for output 'y0', but declared \(3, 2\)"),
        (lambda shapes: [], "output_shapes returned 0 shapes, but the layer has 1 output"),
        (lambda shapes: [(2, -3)], r"output_shapes gave the shape \(2, -3\).*at least 1"),
        (lambda shapes: [(1 << 40,)], "output_shapes gave the shape .* limit"),
        (lambda shapes: [(2, 1.5)], "output_shapes raised TypeError"),
        (lambda shapes: 7, "output_shapes raised TypeError"),
        (lambda shapes: {}["x"], "output_shapes raised KeyError"),
    ],
)
@pytest.mark.clause("custom.C2")
def test_what_output_shapes_tells_is_checked(shapes, message):
    with pytest.raises(CallbackError, match=message):
        run(mine(lambda inputs: inputs, shapes), integers((2, 3)))


@pytest.mark.parametrize(
    ("code", "fields", "message"),
    [
        (lambda x, y: x, {}, r"'<lambda>' takes \(x, y\), but is to be called with 1 input\(s\) and no parameters"),
        (lambda x: x, {"parameters": {"a": 1}}, "with 1 input.* and a: .*'a'.*keyword arguments"),
        (lambda x: x, {"weights": [schema.WeightParams(floatValue=[1])]}, "1 input.* and weights: .*'weights'"),
        (mine(lambda inputs: inputs), {"weights": [schema.WeightParams(floatValue=[1])]}, "no method set_weights"),
        (type("Mine", (), {"evaluate": len}), {}, r"Mine.__init__ raised TypeError"),
    ],
)
def test_code_that_cannot_be_called_is_told_when_the_model_is_loaded(code, fields, message):
    with pytest.raises(CallbackError, match=message):
        net_of((2,), **fields).model(custom_layers={"Mine": code})


def test_failures_of_set_weights_and_stored_weights_name_their_place():
    class Mine(refcoreml.CustomLayer):
        def set_weights(self, weights):
            raise KeyError("scale")

    with pytest.raises(CallbackError, match=r"Mine\.set_weights raised KeyError: 'scale'"):
        net_of((2,)).model(custom_layers={"Mine": Mine})
    bad = schema.WeightParams(rawValue=b"\1")
    bad.quantization.numberOfBits = 8
    both = schema.WeightParams(floatValue=[1], float16Value=b"\1\2")
    for weights, message in (([bad], "without linearQuantization"), ([both], "several fields at once")):
        with pytest.raises(InvalidModelError, match=rf"\(custom\).weights\[0\]: .*{message}"):
            net_of((2,), weights=weights).model(custom_layers={"Mine": refcoreml.CustomLayer})
    odd = schema.WeightParams(rawValue=b"\1\2\3")
    odd.quantization.numberOfBits = 8
    odd.quantization.linearQuantization.scale.extend([1, 2])
    with pytest.raises(InvalidModelError, match="3 weights cannot be shared among 2 scales"):
        net_of((2,), weights=[odd]).model(custom_layers={"Mine": refcoreml.CustomLayer})


def test_numpy_functions_without_a_signature_run():
    np.testing.assert_allclose(run(np.tanh, np.array([0.5, 2.0])), np.tanh(np.float32([0.5, 2])), rtol=2.0**-22)


def test_residual_sums_do_not_write_over_what_a_custom_layer_returned():
    """The class gives out the same array every time, once as it is and once as a view of its input."""
    kept = np.arange(6, dtype=np.float32).reshape(2, 3)

    class Constant:
        def __init__(self, parameters):
            pass

        def output_shapes(self, input_shapes):
            return [(2, 3), input_shapes[0]]

        def evaluate(self, inputs):
            return [kept, inputs[0]]

    net = build.Network({"x": (2, 3)}, ["y"], exact=True)
    net.add("custom", class_name="Constant", outputs=["constant", "same"])
    net.add("unary", type="EXP", inputs="same", outputs="exp")
    net.add("add", inputs=["exp", "constant"], outputs="sum")
    net.add("activation", ReLU={}, inputs="sum", outputs="relu")
    net.add("add", inputs=["relu", "same"], outputs="y")
    model, x = net.model(custom_layers={"Constant": Constant}), integers((2, 3))
    first, second = (model.predict({"x": x})["y"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(kept, np.arange(6).reshape(2, 3))
    np.testing.assert_allclose(first, np.maximum(np.exp(x) + kept, 0) + x, rtol=16 * 2.0**-24)


def test_what_the_caller_does_with_the_mapping_afterwards_has_no_effect():
    given = {"Mine": lambda x: x + 2}
    model = refcoreml.load(net_of((2,)).spec(), custom_layers=given, prepare=False)
    given.clear()
    assert model.predict({"x0": np.zeros(2)})["y0"][0] == 2


def test_quantizing_keeps_the_code_and_leaves_the_layers_own_weights():
    net = build.Network({"x": (8,)}, ["y"], exact=True)
    product = np.outer(np.arange(1, 7), np.arange(-3, 5)).astype(np.float32)
    net.add("innerProduct", weights=product, input_channels=8, output_channels=6)
    net.add("custom", class_name="Mine", outputs="y", weights=[np.arange(6) / 3])
    model = net.model(custom_layers={"Mine": lambda x, weights: x * weights[0]})
    quantized = refcoreml.quantize_weights(model, 8)
    kinds = [weights.kind for layer in refcoreml.inspect(quantized).layers for weights in layer.weights]
    assert kinds == ["linear", "float32"]
    x = integers((8,))
    found, whole = (one.predict({"x": x})["y"] for one in (quantized, model))
    # Half a step of each row's range, 7 times its factor over 255, for each of the eight inputs.
    bound = np.arange(1, 7) * 7 / 255 / 2 * np.abs(x).sum() * np.arange(6) / 3
    assert (np.abs(found - whole) <= bound * (1 + 1e-5)).all()


def test_a_layer_that_coremltools_writes(tmp_path):
    pytest.importorskip("coremltools", reason="coremltools writes the layer")
    import coremltools as ct
    from coremltools.models import datatypes
    from coremltools.models.neural_network import NeuralNetworkBuilder

    message = ct.proto.NeuralNetwork_pb2.CustomLayerParams(className="Affine", description="y = alpha x + weights")
    message.parameters["alpha"].doubleValue = 0.5
    message.parameters["steps"].intValue = 2
    message.weights.add().floatValue.extend([1, 2, 3])
    builder = NeuralNetworkBuilder([("x", datatypes.Array(3))], [("y", datatypes.Array(3))])
    builder.add_custom("affine", ["x"], ["y"], message)
    ct.models.utils.save_spec(builder.spec, str(tmp_path / "affine.mlmodel"))

    def affine(x, alpha, steps, weights):
        for _ in range(steps):
            x = alpha * x + weights[0].reshape(-1, 1, 1)
        return x

    model = refcoreml.load(tmp_path / "affine.mlmodel", custom_layers={"Affine": affine})
    x = integers((3,))
    np.testing.assert_array_equal(model.predict({"x": x})["y"], 0.25 * x + 1.5 * np.array([1, 2, 3]))


def test_masked_results_are_refused() -> None:
    """What is under a mask has no value; an array that hides nothing is taken."""
    net = build.Network({"x": (3,)}, ["y"])
    net.add("custom", name="mine", className="Mine", outputs="y")

    def run(mask):
        code = {"Mine": lambda x: np.ma.masked_array(x, mask)}
        return refcoreml.load(net.spec(), custom_layers=code).predict({"x": [1, 2, 3]})["y"]

    np.testing.assert_array_equal(run(np.zeros((1, 1, 3, 1, 1))), [1, 2, 3])
    with pytest.raises(CallbackError, match=r"'mine' .*for output 'y' an array that has masked entries"):
        run(np.arange(3).reshape(1, 1, 3, 1, 1))
