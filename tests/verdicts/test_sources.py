"""With a source, the verdict is three-way: converter, rounding, or device; sources are torch modules and ONNX files."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from refcoreml import build
from refcoreml.errors import CallbackError, UsageError
from refcoreml.testing import EquivalenceError, assert_equivalent
from refcoreml.testing.onnx_models import OnnxModel
from refcoreml.verdicts import FP16, FP32, UNDETERMINED, judge
from refcoreml.verdicts.sources import read_source

X = {"x": np.random.default_rng(5).normal(size=(1, 9)).astype(np.float32)}


def weights():
    rng = np.random.default_rng(2)
    return [(rng.normal(size=shape) / 3).astype(np.float32) for shape in ((12, 9), (12,), (4, 12), (4,))]


def model(factor=1.0, kind="sigmoid"):
    """Two dense layers with an activation between; one weight may be off, as if a converter had made it so."""
    w, b, v, c = weights()
    v[1, 5] *= np.float32(factor)
    net = build.Network({"x": (1, 9)}, ["y"], exact=True)
    net.add(
        "innerProduct",
        name="first",
        inputs=["x"],
        outputs="a",
        weights=w,
        bias=b,
        has_bias=True,
        input_channels=9,
        output_channels=12,
    )
    net.add("activation", name="middle", inputs=["a"], outputs="s", **{kind: {}})
    net.add(
        "innerProduct",
        name="second",
        inputs=["s"],
        outputs="y",
        weights=v,
        bias=c,
        has_bias=True,
        input_channels=12,
        output_channels=4,
    )
    return net.model()


def module() -> Any:
    torch = pytest.importorskip("torch", reason="needs torch, of the extra oracles")
    made = torch.nn.Sequential(torch.nn.Linear(9, 12), torch.nn.Sigmoid(), torch.nn.Linear(12, 4)).eval()
    for parameter, values in zip(made.parameters(), weights(), strict=True):
        parameter.data = torch.from_numpy(values)
    return made


def onnx_model() -> Any:
    onnx = pytest.importorskip("onnx", reason="needs onnx, of the extra oracles")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    names = ("w", "b", "v", "c")
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["a"], transB=1),
        helper.make_node("Sigmoid", ["a"], ["s"]),
        helper.make_node("Gemm", ["s", "v", "c"], ["y"], transB=1),
    ]
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x", (1, 9)), ("y", (1, 4)))
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in zip(names, weights(), strict=True)]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.fixture(params=["torch", "onnx"])
def source(request):
    return module() if request.param == "torch" else onnx_model()


# ---- Three answers ----


@pytest.mark.parametrize(("precision", "answer"), [("float32", FP32), ("float16", FP16)])
def test_a_right_conversion_on_a_right_device_is_rounding(source, precision, answer):
    outputs = model().with_precision(precision).predict(X)
    verdict = judge(model(), X, outputs, source=source)
    assert (verdict.cause, verdict.answer, verdict.operation) == ("rounding", answer, "")
    assert verdict.explained
    assert verdict.conversion.answer == "equal"
    assert verdict.conversion.values >= 3


def test_a_fault_of_the_converter_is_the_converters_though_the_device_is_right(source):
    wrong = model(1.01)
    verdict = judge(wrong, X, wrong.predict(X), source=source)
    assert (verdict.cause, verdict.answer, verdict.operation) == ("converter", FP32, "second")
    assert not verdict.explained
    other = model(kind="tanh")
    verdict = judge(other, X, other.predict(X), source=source)
    assert verdict.cause == "converter"
    assert "middle" in verdict.segment


def test_a_fault_of_the_device_is_the_devices(source):
    values = {name: array for event in model(1.2).trace(X) for name, array in event.outputs.items()}
    outputs = {"y": values.pop("y")}
    verdict = judge(model(), X, outputs, source=source, intermediates=values)
    assert (verdict.cause, verdict.operation) == ("device", "second")
    assert not verdict.explained


def test_what_is_undetermined_stays_so(source):
    verdict = judge(model(), X, {"a": np.asarray(X["x"][0] @ weights()[0].T + weights()[1])}, source=source)
    assert (verdict.cause, verdict.answer) == (UNDETERMINED, UNDETERMINED)


# ---- ONNX ----


def test_onnx_models_are_compared_node_by_node(tmp_path):
    given = onnx_model()
    (tmp_path / "net.onnx").write_bytes(given.SerializeToString())
    for reference in (given, tmp_path / "net.onnx", str(tmp_path / "net.onnx")):
        found = assert_equivalent(model(), reference, X)
        assert found.values >= 3
        assert found.segment == 1
        assert found.widest < 1e-4
    with pytest.raises(EquivalenceError) as error:
        assert_equivalent(model(1.001), given, X)
    assert error.value.operations == ("second",)


def test_the_numbers_of_narrow_onnx_models_are_computed_with_in_double_precision():
    """One that stores half precision, and a conversion to it on the way, which would round."""
    given = onnx_model()
    onnx = pytest.importorskip("onnx", reason="needs onnx, of the extra oracles")
    helper, half = onnx.helper, onnx.TensorProto.FLOAT16
    for tensor in given.graph.initializer:
        narrow = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(onnx.numpy_helper.from_array(narrow, tensor.name))
    for value in (*given.graph.input, *given.graph.output):
        value.type.tensor_type.elem_type = half
    given.graph.node.insert(2, helper.make_node("Cast", ["s"], ["t"], to=half))
    given.graph.node[3].input[0] = "t"
    w, b, v, c = (array.astype(np.float16).astype(np.float64) for array in weights())
    expected = 1 / (1 + np.exp(-(X["x"].astype(np.float64) @ w.T + b))) @ v.T + c
    found = OnnxModel(given).given([X["x"]]).outputs()
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_onnx_files_that_cannot_serve_are_refused(tmp_path):
    onnx_model()
    (tmp_path / "net.onnx").write_bytes(b"\x0anothing")
    for path, problem in ((tmp_path / "net.onnx", "cannot be read"), (tmp_path / "missing.onnx", "cannot be read")):
        with pytest.raises(UsageError, match=problem):
            assert_equivalent(model(), path, X)
    with pytest.raises(UsageError, match="takes 1 inputs, got 2"):
        assert_equivalent(model(), onnx_model(), X, reference_inputs=[X["x"], X["x"]])
    unknown = onnx_model()
    unknown.graph.node[1].op_type = "NoSuchOperator"
    with pytest.raises(CallbackError, match="the ONNX model"):
        assert_equivalent(model(), unknown, X)


# ---- Sources of a command line ----


def test_a_file_may_import_its_neighbours(tmp_path):
    pytest.importorskip("torch", reason="needs torch, of the extra oracles")
    (tmp_path / "neighbour_of_a_source.py").write_text("import torch\nlayer = torch.nn.Linear(9, 4)\n")
    (tmp_path / "first.py").write_text("from neighbour_of_a_source import layer\n")
    (tmp_path / "later.py").write_text("def make():\n    import neighbour_of_a_source as n\n    return n.layer\n")
    before = list(sys.path)
    try:
        assert read_source(f"{tmp_path / 'first.py'}:layer").out_features == 4
        del sys.modules["neighbour_of_a_source"]
        assert read_source(f"{tmp_path / 'later.py'}:make").out_features == 4
    finally:
        sys.modules.pop("neighbour_of_a_source", None)
    assert sys.path == before


def test_modules_of_a_file_functions_and_torch_files(tmp_path):
    made = module()
    import torch

    (tmp_path / "nets.py").write_text(
        "import torch\nlinear = torch.nn.Linear(9, 4)\ndef make():\n    return torch.nn.Linear(9, 4)\n"
        "def wrong():\n    return 3\ndef fails():\n    raise ValueError('no')\nnumber = 3\n"
    )
    for name in ("linear", "make"):
        assert isinstance(read_source(f"{tmp_path / 'nets.py'}:{name}"), torch.nn.Linear)
    for name, kind, problem in (
        ("wrong", UsageError, "returned int 3"),
        ("number", UsageError, "neither"),
        ("makes", UsageError, "make"),
        ("fails", CallbackError, "ValueError: no"),
    ):
        with pytest.raises(kind, match=problem):
            read_source(f"{tmp_path / 'nets.py'}:{name}")
    example = torch.from_numpy(X["x"])
    torch.jit.trace(made, example).save(str(tmp_path / "net.pt"))
    torch.export.save(torch.export.export(made, (example,)), tmp_path / "net.pt2")
    for file in ("net.pt", "net.pt2"):
        source = read_source(str(tmp_path / file))
        assert judge(model(), X, model().predict(X), source=source).cause == "rounding"
        assert judge(model(1.01), X, model(1.01).predict(X), source=source).cause == "converter"
        (tmp_path / file).write_bytes(b"damaged")
        with pytest.raises(UsageError, match="cannot be read as a torch module"):
            read_source(str(tmp_path / file))
