"""ML Programs as models: features, precision, functions, states."""

from __future__ import annotations

import mmap
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refcoreml
from refcoreml import build, quantization
from refcoreml.mil.values import ListValue
from refcoreml.spec import schema
from refcoreml.spec.blobs import BlobRecord
from refcoreml.spec.mil_types import DATA_TYPES, DeclaredTensor

X = np.array([[0.5, -1, 2], [3, -0.25, 0.125]], np.float32)


def relu(element: str = "fp32", shape: tuple[int | None, ...] = (2, 3), **options: Any) -> build.Program:
    program = build.Program({"x": (element, shape)}, **options)
    outputs = [(element, shape)] if None in shape else None
    program.output(program.add("relu", x=program["x"], name="y", outputs=outputs))
    return program


def one_layer() -> build.Network:
    network = build.Network({"x": (3,)}, ["y"])
    network.add("softmax", outputs="y")
    return network


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(np.float64(x))
    return e / e.sum(-1, keepdims=True)


def test_a_program_predicts() -> None:
    model = relu().model()
    assert (model.kind, model.functions, model.function, model.precision) == (
        "mlProgram",
        ("main",),
        "main",
        "declared",
    )
    y = model.predict({"x": X})["y"]
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, np.maximum(X, 0))
    assert model.shapes() == {"x": (2, 3), "y": (2, 3)}


def test_batches_are_predicted_one_by_one() -> None:
    found = relu().model().predict([{"x": X}, {"x": -X}, {"x": 2 * X}])
    for y, x in zip(found, (X, -X, 2 * X), strict=True):
        np.testing.assert_array_equal(y["y"], np.maximum(x, 0))


@pytest.mark.parametrize(
    ("element", "given", "returned"),
    [("fp32", np.float64, np.float32), ("fp16", np.float32, np.float32)],
)
def test_arrays_have_the_declared_types(element: str, given: Any, returned: Any) -> None:
    """A number that half precision does not have is rounded when it is passed."""
    x = (X + 2**-12).astype(given)
    y = relu(element).model().predict({"x": x})["y"]
    assert y.dtype == returned
    rounded = x.astype(np.float16 if element == "fp16" else np.float32)
    np.testing.assert_array_equal(y, np.maximum(rounded.astype(np.float32), 0))


def test_half_precision_is_rounded_as_declared_and_not_in_single() -> None:
    program = build.Program({"x": ("fp16", (2, 3))}, opset="CoreML8")
    program.output(program.add("softmax", x=program["x"], axis=-1, name="y"))
    half, single, double = (
        program.model(precision=precision).predict({"x": X})["y"] for precision in ("declared", "float32", "float64")
    )
    np.testing.assert_array_equal(half, half.astype(np.float16).astype(np.float32))
    # The output itself is of half precision, so that all end there.
    np.testing.assert_array_equal(double, softmax(X).astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(single, double)


def test_precision_float16_is_for_networks() -> None:
    with pytest.raises(
        refcoreml.UsageError, match=r"'float16' is for neural networks alone.*declared, float32, float64"
    ):
        relu().model(precision="float16")


def test_the_default_precision_of_networks_is_float32() -> None:
    network = one_layer()
    assert network.model().precision == network.model(precision="declared").precision == "float32"


@pytest.mark.clause("programs.U23")
def test_rank_0_is_described_as_one_number() -> None:
    model = relu(shape=()).model()
    assert model.inputs[0].shapes.default == (1,)
    for x in (2.5, [2.5], np.float32(2.5)):
        np.testing.assert_array_equal(model.predict({"x": x})["y"], np.float32([2.5]))


# ---- Declarations ----


def changed(change: str) -> schema.Model:
    spec = relu().spec()
    description = spec.description
    array = description.input[0].type.multiArrayType
    if change == "no input":
        description.input[0].name = "w"
    elif change == "undescribed input":
        del description.input[:]
    elif change == "input shape":
        array.shape[:] = [3, 2]
    elif change == "input type":
        array.dataType = schema.ArrayFeatureType.INT32
    elif change == "input kind":
        description.input[0].type.stringType.SetInParent()
    elif change == "listed":
        array.enumeratedShapes.shapes.add(shape=[2, 3])
        array.enumeratedShapes.shapes.add(shape=[2, 4])
    elif change == "range":
        array.shapeRange.sizeRanges.add(lowerBound=2, upperBound=2)
        array.shapeRange.sizeRanges.add(lowerBound=1, upperBound=3)
    elif change == "image":
        description.input[0].type.imageType.colorSpace = schema.ImageFeatureType.RGB
        description.input[0].type.imageType.width = description.input[0].type.imageType.height = 4
    elif change == "no output":
        description.output[0].name = "z"
    elif change == "output shape":
        description.output[0].type.multiArrayType.shape[:] = [6]
    elif change == "output type":
        description.output[0].type.multiArrayType.dataType = schema.ArrayFeatureType.FLOAT16
    elif change == "label":
        description.output[0].type.stringType.SetInParent()
    elif change == "dictionary":
        description.output[0].type.dictionaryType.stringKeyType.SetInParent()
    elif change == "predicted":
        description.predictedFeatureName = "label"
    elif change == "state":
        feature = description.state.add(name="s")
        feature.type.stateType.arrayType.dataType = schema.ArrayFeatureType.FLOAT16
    return spec


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("no input", "the function has no input 'w', which the model describes. It has 'x'"),
        ("undescribed input", "takes 'x', tensor<fp32, .2, 3.>, but the model describes no such input"),
        ("input shape", "input 'x', MultiArray .Float32 3 x 2.: the function takes tensor<fp32, .2, 3.>"),
        ("input type", "input 'x', MultiArray .Int32 2 x 3.: the function takes .* expected elements of type int32"),
        ("input kind", "input 'x', String: inputs of ML Programs are arrays and images"),
        ("listed", "input 'x', .*2 x 4.: the function takes tensor<fp32, .2, 3.>"),
        ("range", "input 'x', .*: the function takes tensor<fp32, .2, 3.>, not all of 2 x 1..3"),
        ("image", "input 'x', Image .RGB 4 x 4.: the function takes tensor<fp32, .2, 3.>"),
        ("no output", "the function has no output 'z', which the model describes. It has 'y'"),
        ("output shape", "output 'y', MultiArray .Float32 6.: the function returns tensor<fp32, .2, 3.>"),
        ("output type", "output 'y', MultiArray .Float16 2 x 3.: the function returns tensor<fp32"),
        ("label", "output 'y', String: the function returns tensor<fp32"),
        ("dictionary", "output 'y', Dictionary .*: the function returns tensor<fp32"),
        ("predicted", "predictedFeatureName 'label' is not among the outputs, which are 'y'"),
        ("state", "state 's', .*: the function has no state of this name"),
    ],
)
def test_features_that_do_not_fit_the_function_are_refused_at_load(change: str, words: str) -> None:
    with pytest.raises(refcoreml.InvalidModelError, match=words):
        refcoreml.load(changed(change))


def test_types_that_do_not_fit_are_found_at_load() -> None:
    spec = relu().spec()
    (operation,) = spec.mlProgram.functions["main"].block_specializations["CoreML7"].operations
    operation.outputs[0].type.tensorType.dimensions[1].constant.size = 4
    del spec.description.output[0].type.multiArrayType.shape[:]
    with pytest.raises(refcoreml.InvalidModelError, match=r"operations\[0\] 'y' \(relu\): computes float32 \(2, 3\)"):
        refcoreml.load(spec)


# ---- Shapes ----


def flexible() -> schema.Model:
    """x of 2 x n, n being 1 to 4, and 3 by default."""
    spec = relu(shape=(2, None)).spec()
    array = spec.description.input[0].type.multiArrayType
    array.shape[:] = [2, 3]
    array.shapeRange.sizeRanges.add(lowerBound=2, upperBound=2)
    array.shapeRange.sizeRanges.add(lowerBound=1, upperBound=4)
    return spec


def test_ranges_of_shapes() -> None:
    model = refcoreml.load(flexible())
    for width in (1, 4):
        assert model.predict({"x": np.ones((2, width))})["y"].shape == (2, width)
    with pytest.raises(refcoreml.InputError, match=r"Size \(5\) of dimension \(1\)"):
        model.predict({"x": np.ones((2, 5))})
    assert model.shapes({"x": (2, 4)}) == {"x": (2, 4), "y": (2, 4)}


def test_enumerated_shapes_of_several_inputs_are_coupled() -> None:
    program = build.Program({"a": ("fp32", (None,)), "b": ("fp32", (None, 2))}, opset="CoreML8")
    for name, shape in (("a", (None,)), ("b", (None, 2))):
        program.output(program.add("relu", x=program[name], outputs=[("fp32", shape)]))
    spec = program.spec()
    for feature, shapes in zip(spec.description.input, ([[3], [5]], [[3, 2], [4, 2]]), strict=True):
        feature.type.multiArrayType.shape[:] = shapes[0]
        for shape in shapes:
            feature.type.multiArrayType.enumeratedShapes.shapes.add(shape=shape)
    model = refcoreml.load(spec)
    model.predict({"a": np.ones(5), "b": np.ones((4, 2))})
    with pytest.raises(refcoreml.InputError, match=r"'a', 'b' enumerate their shapes.*different positions"):
        model.predict({"a": np.ones(3), "b": np.ones((4, 2))})


@pytest.mark.parametrize("default", [None, 2.5])
@pytest.mark.parametrize("position", [0, 1])
def test_absent_inputs_have_the_shape_at_the_position_of_the_others(position: int, default: float | None) -> None:
    program = build.Program({"a": ("fp32", (None,)), "b": ("fp32", (None, 2))}, opset="CoreML8")
    program.output(program.add("relu", x=program["a"], outputs=[("fp32", (None,))], name="c"))
    program.output(program.add("relu", x=program["b"], outputs=[("fp32", (None, 2))], name="d"))
    spec = program.spec()
    for feature, shapes in zip(spec.description.input, ([[3], [5]], [[3, 2], [4, 2]]), strict=True):
        feature.type.multiArrayType.shape[:] = shapes[0]
        for shape in shapes:
            feature.type.multiArrayType.enumeratedShapes.shapes.add(shape=shape)
    spec.description.input[1].type.isOptional = True
    if default is not None:
        spec.description.input[1].type.multiArrayType.floatDefaultValue = default
    found = refcoreml.load(spec).predict({"a": np.ones((3, 5)[position])})["d"]
    np.testing.assert_array_equal(found, np.full(((3, 2), (4, 2))[position], default or 0))


# ---- Images ----


def image_model(color: str, *, out: str = "") -> schema.Model:
    channels = 3 if color in ("RGB", "BGR") else 1
    spec = relu(shape=(1, channels, 2, 3)).spec()
    for feature, space in ((spec.description.input[0], color), (spec.description.output[0], out)):
        if space:
            image = feature.type.imageType
            image.colorSpace = getattr(schema.ImageFeatureType, space)
            image.width, image.height = 3, 2
    return spec


@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_images_are_planes_in_the_declared_order(color: str) -> None:
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    y = refcoreml.load(image_model(color)).predict({"x": pixels})["y"]
    planes = pixels[..., ::-1] if color == "BGR" else pixels
    np.testing.assert_array_equal(y, planes.transpose(2, 0, 1)[None])


@pytest.mark.parametrize("color", ["GRAYSCALE", "GRAYSCALE_FLOAT16"])
def test_gray_images(color: str) -> None:
    half = color == "GRAYSCALE_FLOAT16"
    pixels = np.arange(6, dtype=np.float32 if half else np.uint8).reshape(2, 3)
    y = refcoreml.load(image_model(color, out=color)).predict({"x": pixels})["y"]
    assert (y.mode, y.size) == ("F" if half else "L", (3, 2))
    np.testing.assert_array_equal(np.asarray(y), pixels)


def test_image_outputs_are_bytes() -> None:
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    y = refcoreml.load(image_model("RGB", out="BGR")).predict({"x": pixels})["y"]
    np.testing.assert_array_equal(np.asarray(y)[..., :3], pixels[..., ::-1])


# ---- Optional inputs ----


@pytest.mark.parametrize("default", [None, 2.5])
def test_optional_inputs_have_a_default(default: float | None) -> None:
    spec = relu().spec()
    feature = spec.description.input[0].type
    feature.isOptional = True
    if default is not None:
        feature.multiArrayType.floatDefaultValue = default
    y = refcoreml.load(spec).predict({})["y"]
    np.testing.assert_array_equal(y, np.full((2, 3), default or 0, np.float32))


# ---- Functions ----


def two_functions(default: str = "second") -> schema.Model:
    """``first`` is a softmax of x, ``second`` its positive part."""
    spec = relu(opset="CoreML8").spec()
    program = build.Program({"x": (2, 3)}, opset="CoreML8")
    program.output(program.add("softmax", x=program["x"], axis=-1, name="p"))
    first, second = program.spec(), schema.FunctionDescription(name="second")
    spec.mlProgram.functions["second"].CopyFrom(spec.mlProgram.functions["main"])
    spec.mlProgram.functions["first"].CopyFrom(first.mlProgram.functions["main"])
    del spec.mlProgram.functions["main"]
    for source, name in ((first, "first"), (spec, "second")):
        function = spec.description.functions.add(name=name)
        function.input.extend(source.description.input)
        function.output.extend(source.description.output)
    del spec.description.input[:], spec.description.output[:], second
    spec.description.defaultFunctionName = default
    return spec


def test_functions_by_name_and_by_default() -> None:
    model = refcoreml.load(two_functions())
    assert (model.functions, model.function) == (("first", "second"), "second")
    np.testing.assert_array_equal(model.predict({"x": X})["y"], np.maximum(X, 0))
    first = refcoreml.load(two_functions(), function="first")
    np.testing.assert_allclose(first.predict({"x": X})["p"], softmax(X), rtol=1e-6)
    again = pickle.loads(pickle.dumps(model.with_function("first")))
    assert [feature.name for feature in again.outputs] == ["p"]
    assert list(again.predict({"x": X})) == ["p"]


def test_functions_that_are_not_there() -> None:
    with pytest.raises(refcoreml.UsageError, match=r"no function 'third'. Its functions: 'first', 'second'"):
        refcoreml.load(two_functions(), function="third")
    with pytest.raises(refcoreml.InvalidModelError, match="defaultFunctionName is 'third', which is no function"):
        refcoreml.load(two_functions("third"))
    with pytest.raises(refcoreml.InvalidModelError, match="no function is the default"):
        refcoreml.load(two_functions(""))
    network = one_layer()
    with pytest.raises(refcoreml.UsageError, match=r"no function 'main'. Only ML Programs have functions"):
        network.model(function="main")


# ---- States ----


def counting() -> build.Program:
    """Return what was in the state; put the positive part of x there."""
    program = build.Program({"x": ("fp16", (2, 3))}, states={"s": ("fp16", (2, 3))}, opset="CoreML8")
    before = program.add("read_state", input=program["s"], name="before")
    program.add("write_state", input=program["s"], data=program.add("relu", x=program["x"]))
    program.output(before, program.add("read_state", input=program["s"], name="after"))
    return program


@pytest.mark.clause("mil.read_state.S1", "mil.read_state.S2", "mil.write_state.S1")
def test_states_are_kept_and_reads_see_earlier_writes() -> None:
    model = counting().model()
    state = model.make_state()
    positive = np.maximum(X, 0)
    for expected, x in ((np.zeros((2, 3)), X), (positive, -X)):
        found = model.predict({"x": x}, state=state)
        np.testing.assert_array_equal(found["before"], expected)
        np.testing.assert_array_equal(found["after"], np.maximum(x, 0))
        np.testing.assert_array_equal(state.read("s"), found["after"])
    other = model.make_state()
    np.testing.assert_array_equal(other.read("s"), 0)


def test_states_share_no_memory_with_users() -> None:
    program = build.Program({"x": (2, 3)}, states={"s": (2, 3)}, opset="CoreML8")
    program.add("write_state", input=program["s"], data=program["x"])
    program.output(program.add("read_state", input=program["s"], name="y"))
    model = program.model()
    state = model.make_state()
    x = X.copy()
    y = model.predict({"x": x}, state=state)["y"]
    read = state.read("s")
    x[:], y[:], read[:] = 7, 8, 9
    np.testing.assert_array_equal(state.read("s"), X)
    state.write("s", x)
    x[:] = 10
    np.testing.assert_array_equal(state.read("s"), np.full((2, 3), 7))


def test_states_are_written_in_the_declared_type_and_shape() -> None:
    state = counting().model().make_state()
    state.write("s", X.astype(np.float64) + 2**-12)
    assert state.read("s").dtype == np.float32
    np.testing.assert_array_equal(state.read("s"), (X + 2**-12).astype(np.float16))
    with pytest.raises(refcoreml.InputError, match=r"state 's', .*: State Shape \(3 x 2\) does not match"):
        state.write("s", X.T)
    with pytest.raises(refcoreml.InputError, match="beyond the range of float16"):
        state.write("s", np.full((2, 3), 1e6))
    with pytest.raises(refcoreml.InputError, match=r"no state 't'. Its states: 's'"):
        state.read("t")


@pytest.mark.clause("programs.U22")
def test_states_belong_to_a_model_and_a_function() -> None:
    model = counting().model()
    with pytest.raises(refcoreml.InputError, match=r"states, 's', and predicts with them only.*state=state$"):
        model.predict({"x": X})
    with pytest.raises(
        refcoreml.InputError, match=r"Make one, state = model.make_state\(\), and pass it with the inputs"
    ):
        list(model.trace({"x": X}))
    with pytest.raises(refcoreml.InputError, match="made by another model"):
        model.predict({"x": X}, state=counting().model().make_state())
    with pytest.raises(refcoreml.InputError, match="got a list of inputs"):
        model.predict([{"x": X}], state=model.make_state())
    with pytest.raises(refcoreml.InputError, match=r"expected what make_state\(\) returns"):
        model.predict({"x": X}, state={"s": X})
    with pytest.raises(refcoreml.UsageError, match="the model has no states"):
        relu().model().make_state()


def test_a_state_serves_one_prediction_at_a_time() -> None:
    model = counting().model()
    state = model.make_state()
    failures: list[Exception] = []

    def second() -> None:
        for use in (lambda: model.predict({"x": X}, state=state), lambda: state.read("s")):
            try:
                use()
            except refcoreml.InputError as error:
                failures.append(error)

    def observe(*_: Any) -> None:
        if not failures:
            thread = threading.Thread(target=second)
            thread.start()
            thread.join(10)

    model.observe({"x": X}, observe, state)
    assert [str(error)[:5] for error in failures] == ["state", "state"]
    assert "used by another prediction" in str(failures[0])
    model.predict({"x": X}, state=state)


@pytest.mark.clause("programs.U19")
@pytest.mark.parametrize("element", ["fp16", "fp32", "int8", "int32"])
def test_states_of_each_type(element: str) -> None:
    program = build.Program({"x": (2,)}, states={"s": (element, (2,))}, opset="CoreML9")
    before = program.add("read_state", input=program["s"])
    program.add("write_state", input=program["s"], data=program.add("cast", x=program["x"], dtype=element))
    program.output(program.add("cast", x=before, dtype="fp32", name="y"))
    model = program.model()
    state = model.make_state()
    state.write("s", [3, -4])
    np.testing.assert_array_equal(model.predict({"x": [-1, 7]}, state=state)["y"], [3, -4])
    assert state.read("s").dtype == {"int8": np.int8, "int32": np.int32}.get(element, np.float32)
    assert state.read("s").tolist() == [-1, 7]


@pytest.mark.clause("mil.write_state.S2")
def test_writing_a_state_is_an_effect() -> None:
    steps = counting().model().prepare().program.engine.steps
    assert [(step.kind, step.op.effect) for step in steps if step.kind.endswith("state")] == [
        ("read_state", False),
        ("write_state", True),
        ("read_state", False),
    ]


@pytest.mark.clause("programs.U22")
def test_what_was_written_before_a_failure_stays() -> None:
    program = build.Program({"x": (2,), "i": ("int32", (1,))}, states={"s": (2,)}, opset="CoreML8")
    program.add("write_state", input=program["s"], data=program["x"])
    program.output(program.add("gather", x=program["x"], indices=program["i"], validate_indices=True))
    model = program.model()
    state = model.make_state()
    with pytest.raises(refcoreml.InputError, match="out of range"):
        model.predict({"x": [1, 2], "i": [5]}, state=state)
    assert state.read("s").tolist() == [1, 2]


def test_a_trace_shows_states() -> None:
    model = counting().model()
    read, _, write, again = model.trace({"x": X}, model.make_state())
    assert (read.name, read.kind, write.kind, again.kind) == ("before", "read_state", "write_state", "read_state")
    np.testing.assert_array_equal(write.inputs["s"], np.zeros_like(X))
    np.testing.assert_array_equal(write.outputs["s"], np.maximum(X, 0))
    assert (list(again.inputs), list(again.outputs)) == (["s"], ["after"])
    np.testing.assert_array_equal(again.outputs["after"], np.maximum(X, 0))


def test_a_trace_shows_lists_dictionaries_and_blocks() -> None:
    program = build.Program({"x": (3, 2)}, opset="CoreML7")
    made = program.add(
        "make_list", init_length=np.int32(1), dynamic_length=True, elem_shape=np.int32([2]), dtype="fp32", name="list"
    )

    def more(i: Any, rows: Any) -> Any:
        return program.add("less", x=i, y=np.int32(3))

    def body(i: Any, rows: Any) -> list[Any]:
        row = program.add("gather", x=program["x"], indices=i, axis=np.int32(0))
        return [
            program.add("add", x=i, y=np.int32(2)),
            program.add("list_write", ls=rows, index=i, value=row, name="w"),
        ]

    _, rows = program.add("while_loop", loop_vars=[program.constant(np.int32(0)), made], blocks=[more, body])
    last = program.add("list_read", ls=rows, index=np.int32(2), outputs=[("fp32", (2,))], name="last")
    scores = program.add("softmax", x=last, axis=-1)
    program.output(*program.add("classify", probabilities=scores, classes=["no", "yes"], name=["label", "by label"]))
    x = np.float32([[1, 2], [3, 4], [5, 6]])
    layers = list(program.model().trace({"x": x}))
    assert [layer.outputs["w"].tolist() for layer in layers if layer.name == "w"] == [
        [[1, 2]],
        [[1, 2], [0, 0], [5, 6]],
    ]
    np.testing.assert_array_equal(layers[0].outputs["list"], np.zeros((1, 2)))
    (read,) = (layer for layer in layers if layer.name == "last")
    np.testing.assert_array_equal(read.inputs[next(iter(read.inputs))], [[1, 2], [0, 0], [5, 6]])
    assert ".blocks[1]." in next(layer.where for layer in layers if layer.name == "w")
    classify = layers[-1]
    assert classify.outputs["label"] == "yes"
    np.testing.assert_allclose(classify.outputs["by label"], softmax(x[2]), rtol=1e-6)


def test_elements_of_several_shapes_are_shown_in_a_row() -> None:
    element = DeclaredTensor(DATA_TYPES["fp32"], (None,))
    made = ListValue(element, True, np.dtype(np.float32), (None, None))
    assert made.array.shape == (2, 0)
    written = made.written([1, 0], [np.float32([1, 2]), np.float32([3])])
    np.testing.assert_array_equal(written.array, [3, 1, 2])


# ---- Weights ----


def with_weights() -> build.Program:
    rng = np.random.default_rng(5)
    program = build.Program({"x": (2, 96)}, opset="CoreML8")
    weight = rng.standard_normal((64, 96)).astype(np.float16).astype(np.float32)
    program.output(program.add("linear", x=program["x"], weight=weight, bias=np.zeros(64, np.float32), name="y"))
    return program


def test_weights_are_decoded_by_the_first_prediction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.mlpackage"
    with_weights().save(path)
    decode, decoded = BlobRecord.array, []

    def counted(record: BlobRecord) -> Any:
        decoded.append(record.count)
        return decode(record)

    monkeypatch.setattr(BlobRecord, "array", counted)
    model = refcoreml.load(path)
    assert model.shapes() == {"x": (2, 96), "y": (2, 64)}
    assert max(decoded, default=0) <= 4096
    for _ in range(2):
        model.predict({"x": np.ones((2, 96))})
    assert [count for count in decoded if count > 4096] == [64 * 96]


def test_a_loaded_program_is_saved_over_itself(tmp_path: Path) -> None:
    path = tmp_path / "model.mlpackage"
    with_weights().save(path)
    model, x = refcoreml.load(path), np.random.default_rng(6).standard_normal((2, 96))
    before = model.predict({"x": x})["y"]
    weights = next(path.rglob("weight.bin")).read_bytes()
    model.save(path)
    assert next(path.rglob("weight.bin")).read_bytes() == weights
    np.testing.assert_array_equal(model.predict({"x": x})["y"], before)
    np.testing.assert_array_equal(refcoreml.load(path).predict({"x": x})["y"], before)


def test_a_released_program_holds_no_file(tmp_path: Path) -> None:
    """States that hold constants are no exception, since they hold copies."""
    program = build.Program({"x": (2, 96)}, states={"s": (64, 96)}, opset="CoreML8")
    constant = program.constant(np.random.default_rng(7).standard_normal((64, 96)).astype(np.float32))
    program.add("write_state", input=program["s"], data=constant)
    program.output(program.add("linear", x=program["x"], weight=constant, bias=np.zeros(64, np.float32), name="y"))
    path = tmp_path / "model.mlpackage"
    program.save(path)
    model = refcoreml.load(path)
    state = model.make_state()
    before = model.predict({"x": np.ones((2, 96))}, state=state)["y"]
    files = model.weight_files
    assert files is not None
    (file,) = files._files.values()
    mapped = file._content
    assert isinstance(mapped, mmap.mmap)
    model.release()
    assert mapped.closed
    np.testing.assert_array_equal(model.predict({"x": np.ones((2, 96))}, state=state)["y"], before)


def test_weights_beyond_the_limit_are_refused_at_load() -> None:
    with pytest.raises(refcoreml.LimitError, match=r"\(linear\).*the decoded weights take"):
        with_weights().model(limits=refcoreml.Limits(memory=64 * 96 * 4 - 1))


def test_threads_share_the_preparation() -> None:
    model, x = with_weights().model(), np.ones((2, 96), np.float32)
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(model.predict({"x": x})["y"])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(results) == 4
    assert all((result == results[0]).all() for result in results)


# ---- Around programs ----


def pipeline(*programs: build.Program) -> schema.Model:
    """Put programs in a row: the output of each is the input of the next."""
    spec = schema.Model(specificationVersion=9)
    for program in programs:
        spec.pipeline.models.add().CopyFrom(program.spec())
    spec.description.input.extend(spec.pipeline.models[0].description.input)
    spec.description.output.extend(spec.pipeline.models[-1].description.output)
    return spec


def second() -> build.Program:
    """Take y of the program before, in half precision."""
    program = build.Program({"y": ("fp16", (2, 3))}, opset="CoreML8")
    program.output(program.add("softmax", x=program["y"], axis=-1, name="z"))
    return program


def test_programs_in_a_pipeline_hand_features_on() -> None:
    model = refcoreml.load(pipeline(relu(), second()))
    assert model.precision == "declared"
    z = model.predict({"x": X})["z"]
    alone = second().model().predict({"y": np.maximum(X, 0)})["z"]
    np.testing.assert_array_equal(z, alone)
    assert [(layer.model, layer.name) for layer in model.trace({"x": X})] == [("model0", "y"), ("model1", "z")]
    assert model.shapes()["model1/z"] == (2, 3)


def test_states_inside_a_pipeline_are_refused() -> None:
    with pytest.raises(refcoreml.UnsupportedModelError, match="models with states cannot be run inside a pipeline"):
        refcoreml.load(pipeline(counting()))


def test_a_trace_shows_what_rounding_to_half_precision_loses() -> None:
    program = build.Program({"x": ("fp16", (2, 3))}, opset="CoreML8")
    small = program.add("mul", x=program["x"], y=np.float16(2**-20), name="small")
    program.output(small, program.add("mul", x=program["x"], y=np.float16(2**15), name="large"))
    small, large = program.model().trace({"x": X})
    np.testing.assert_array_equal(small.computed["small"], X * np.float32(2**-20))
    np.testing.assert_array_equal(small.outputs["small"], (X * np.float32(2**-20)).astype(np.float16))
    assert np.isinf(large.outputs["large"]).any()
    assert np.isfinite(large.computed["large"]).all()


@pytest.mark.parametrize(
    ("unsupported", "words"),
    [
        (lambda model: refcoreml.quantize_weights(model, 8), "yet.*Compress it with coremltools.*compare_models"),
        (refcoreml.dequantize_weights, "yet.*Compress it with coremltools"),
        (quantization.weight_tensors, "yet.*Compress it with coremltools"),
        (lambda model: refcoreml.study(model, [{"x": X}]), "yet.*Compress it with coremltools"),
    ],
    ids=["quantize", "dequantize", "tensors", "study"],
)
def test_what_is_not_there_yet_for_programs_says_what_to_do(unsupported: Any, words: str) -> None:
    with pytest.raises(refcoreml.UnsupportedModelError, match=f"mlProgram.*{words}"):
        unsupported(relu().model())


def test_a_pipeline_traces_outputs_that_control_flow_makes() -> None:
    chosen = build.Program({"x": ("fp16", (2, 3))}, opset="CoreML8")
    x = chosen["x"]
    pred = chosen.add("less", x=chosen.add("reduce_sum", x=x), y=np.float16(100))
    y = chosen.add("cond", pred=pred, blocks=[lambda: x, lambda: chosen.add("square", x=x)], name="y")
    chosen.output(y)
    layers = list(refcoreml.load(pipeline(chosen, second())).trace({"x": X}))
    assert [(layer.model, layer.kind) for layer in layers] == [
        ("model0", "reduce_sum"),
        ("model0", "less"),
        ("model1", "softmax"),
    ]


def test_weights_of_programs_in_pipelines_cannot_be_quantized_yet() -> None:
    with pytest.raises(refcoreml.UnsupportedModelError, match=r"pipeline.models\[0\].mlProgram.*yet"):
        refcoreml.quantize_weights(pipeline(relu(), second()), 8)
