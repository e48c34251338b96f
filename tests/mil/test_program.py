"""Programs as a whole: names, types, precision, control flow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mil.support import run

from refcoreml import build
from refcoreml.errors import InvalidModelError, UnsupportedModelError
from refcoreml.mil.precision import PRECISIONS
from refcoreml.mil.program import Program

X = np.array([[1, 2, 3], [-1, 0, 4]])


def half(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float16).astype(array.dtype)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.clause("programs.U1")
def test_half_precision_is_rounded_after_each_operation_if_it_is_declared(precision: str) -> None:
    z = np.exp(X.astype(np.float64))
    exact = z / z.sum(1, keepdims=True)
    y = run("softmax", {"x": X.astype(np.float16)}, precision=precision, axis=-1)
    assert y.dtype == (np.float64 if precision == "float64" else np.float32)
    if precision == "declared":
        np.testing.assert_array_equal(y, half(y))
        np.testing.assert_allclose(y, exact, rtol=2**-10)
        assert (y != exact.astype(np.float32)).any()
    else:
        np.testing.assert_allclose(y, exact, rtol=1e-6 if precision == "float32" else 1e-15)


def test_operations_that_are_unknown_are_named_all_at_once() -> None:
    program = build.Program({"x": (2, 3)}, opset="CoreML5")
    program.output(program.add("relu", x=program["x"]))
    spec = program.spec().mlProgram
    block = spec.functions["main"].block_specializations["CoreML5"]
    for kind in ("fly", "swim", "fly"):
        block.operations.add().CopyFrom(block.operations[0])
        block.operations[-1].type = kind
    words = r"3 of 4 operations .* CoreML5 \(iOS15\).*: fly \(2 x\), swim \(1 x\)"
    with pytest.raises(UnsupportedModelError, match=words):
        Program(spec, "main")


@pytest.mark.parametrize(
    ("kind", "opset", "given"),
    [
        ("relu", "CoreML9", {"alpha": 3.0}),
        ("gather", "CoreML5", {"indices": np.int32([1, 0]), "axis": 1, "batch_dims": 1}),
        ("upsample_bilinear", "CoreML5", {"align_corners": False, "half_pixel_centers": False}),
        ("topk", "CoreML5", {"sort": False}),
        ("reduce_argmax", "CoreML6", {"output_dtype": "int32"}),
    ],
)
def test_parameters_that_an_operation_set_lacks_are_refused(kind: str, opset: str, given: dict[str, Any]) -> None:
    """Left out, they would change the result without a word."""
    last = list(given)[-1]
    words = rf"\({kind}\).*takes no parameter '{last}'. In its form since CoreML5 it takes .*'x'"
    with pytest.raises(InvalidModelError, match=words):
        run(kind, {"x": np.ones((2, 3, 4), np.float32)}, opset=opset, **given)


def test_all_parameters_that_are_unknown_are_named() -> None:
    with pytest.raises(InvalidModelError, match="takes no parameter 'alpha', 'beta'"):
        run("relu", {"x": np.ones(2, np.float32)}, beta=1, alpha=2)


def broken(change: str) -> Program:
    program = build.Program({"x": (2, 3)})
    y = program.add("relu", x=program["x"], name="y")
    program.output(program.add("softmax", x=y, name="z", axis=-1))
    spec = program.spec().mlProgram
    function = spec.functions["main"]
    block = function.block_specializations["CoreML7"]
    relu, axis, softmax = block.operations
    if change == "order":
        softmax.outputs[0].name, relu.inputs["x"].arguments[0].name = "w", "w"
    elif change == "twice":
        relu.outputs[0].name = "z"
        softmax.inputs["x"].arguments[0].name = "z"
    elif change == "type":
        softmax.outputs[0].type.tensorType.dimensions[1].constant.size = 4
    elif change == "missing":
        del softmax.inputs["x"]
    elif change == "opset":
        function.opset = "CoreML4"
    elif change == "block":
        function.opset = "CoreML6"
    elif change == "output":
        block.outputs[0] = "nobody"
    elif change == "blocks":
        relu.blocks.add()
    elif change == "constant with blocks":
        axis.blocks.add()
    elif change == "text":
        axis.outputs[0].type.tensorType.dataType = 2
    return Program(spec, "main")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("order", r"operations\[0\] 'y' \(relu\).*uses the value 'w', which nothing before it defines"),
        ("twice", r"operations\[2\] 'z' \(softmax\): defines the value 'z' a second time"),
        ("missing", r"operations\[2\] 'z' \(softmax\): parameter 'x' is missing"),
        ("opset", "the operation set 'CoreML4' is unknown"),
        ("block", "no block for its operation set 'CoreML6'"),
        ("output", "uses the value 'nobody'"),
        ("blocks", r"operations\[0\] 'y' \(relu\): has 1 blocks, expected 0"),
        ("constant with blocks", r"operations\[1\] .*\(const\): has 1 blocks, expected 0"),
        ("text", r"operations\[1\] .*is declared as tensor<string, \[\]>, but holds tensor<int32, \[\]>"),
        ("type", r"operations\[2\] 'z' \(softmax\): computes float32 \(2, 3\), but .* tensor<fp32, \[2, 4\]>"),
    ],
)
def test_broken_programs_are_refused_at_their_place(change: str, words: str) -> None:
    with pytest.raises(InvalidModelError, match=words):
        broken(change).run({"x": X.astype(np.float32)})


@pytest.mark.clause("programs.U24")
@pytest.mark.parametrize("shape", [(1, 2, 1, 3, 1, 2), (0, 12)])
@pytest.mark.parametrize("what", ["input", "state", "constant", "result"])
def test_what_no_value_of_a_run_can_be(shape: tuple[int, ...], what: str) -> None:
    states = {"s": ("fp16", shape)} if what == "state" else {}
    program = build.Program({"x": shape if what == "input" else (2, 6)}, states=states, opset="CoreML8")
    taken = program.constant(np.zeros(shape, np.float32), "c") if what == "constant" else program["x"]
    program.output(taken if what == "result" else program.add("reshape", x=taken, shape=[-1], name="y"))
    if what == "result":
        program.output(program.constant(np.zeros(shape, np.float32), "c"))
    spec = program.spec().mlProgram
    words = (
        "has 6 dimensions, but no value has more than 5|has the shape .0, 12., but every dimension must be at least 1"
    )
    name = {"input": "input 'x'", "state": "input 's'"}.get(what, "constant 'c'")
    place = r".operations\[2\] 'y' \(reshape\)" if what == "constant" else ""
    with pytest.raises(InvalidModelError, match=rf"^mlProgram.functions\['main'\]{place}: the {name} ({words})"):
        Program(spec, "main").check()


def test_parameters_may_be_empty() -> None:
    assert run("reshape", {"x": np.ones((1, 1), np.float32)}, shape=np.empty(0, np.int32)).shape == ()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("given", "declared"), [("fp32", "int32"), ("int32", "fp16"), ("fp16", "fp32")])
def test_types_are_checked_where_shapes_depend_on_values(given: str, declared: str, precision: str) -> None:
    program = build.Program({"x": (given, (2, 3)), "shape": ("int32", (1,))})
    y = program.add("reshape", x=program["x"], shape=program["shape"], outputs=[(declared, (None,))], name="y")
    program.output(y)
    model = program.model(precision=precision)
    inputs = {"x": X, "shape": [6]}
    if precision != "declared" and given == "fp16":  # both are held as they are
        np.testing.assert_array_equal(model.predict(inputs)["y"], X.ravel())
        return
    with pytest.raises(InvalidModelError, match=r"\(reshape\): computes .* \(6,\), but an output is declared as"):
        model.predict(inputs)


def test_outputs_are_counted_where_shapes_depend_on_values() -> None:
    program = build.Program({"x": (2, 3), "shape": ("int32", (1,))})
    outputs = [("fp32", (None,))] * 2
    program.output(*program.add("reshape", x=program["x"], shape=program["shape"], outputs=outputs))
    with pytest.raises(InvalidModelError, match=r"\(reshape\): has 2 outputs, expected 1"):
        program.model().predict({"x": X, "shape": [6]})


@pytest.mark.parametrize(
    ("kind", "inputs", "given", "words"),
    [
        (
            "range_1d",
            {},
            {"end": np.empty(0, np.int32), "start": 1, "step": 1},
            "'end' is of type .*, expected a number",
        ),
        ("crop_resize", {"x": np.ones((1, 1, 4, 4), "f")}, {"roi": np.float32(2)}, r"expected boxes .*, got \(\)"),
        ("leaky_relu", {"x": np.ones(2, "f")}, {"alpha": np.empty(0, np.float16)}, "'alpha' is of type .*, expected a"),
        (
            "make_list",
            {"init_length": np.int32([1, 2])},
            {"elem_shape": 3},
            "'init_length' has the shape .2,., expected",
        ),
    ],
)
def test_parameters_of_other_shapes_are_refused_in_words(
    kind: str, inputs: dict[str, Any], given: dict[str, Any], words: str
) -> None:
    opset = "CoreML6" if kind == "crop_resize" else "CoreML8"
    with pytest.raises(InvalidModelError, match=words):
        run(kind, inputs, opset=opset, **given)
