"""Programs as a whole: names, types, precision, control flow."""

from __future__ import annotations

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
        ("text", r"operations\[1\] .*is declared as tensor<string, \[\]>, but holds tensor<int32, \[\]>"),
        ("type", r"operations\[2\] 'z' \(softmax\): computes float32 \(2, 3\), but .* tensor<fp32, \[2, 4\]>"),
    ],
)
def test_broken_programs_are_refused_at_their_place(change: str, words: str) -> None:
    with pytest.raises(InvalidModelError, match=words):
        broken(change).run({"x": X.astype(np.float32)})
