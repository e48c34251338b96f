"""ML Programs in coremltools, with refcoreml behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refcoreml import build
from refcoreml.integrations import coremltools as integration

ct = pytest.importorskip("coremltools", reason="the runtime of coremltools is tested where that is installed")

X = np.array([[0.5, -1, 2], [3, -0.25, 0.125]], np.float32)
W = np.arange(12, dtype=np.float32).reshape(4, 3) / 8 - 0.5


@pytest.fixture(autouse=True)
def runtime() -> Iterator[None]:
    integration.enable()
    yield
    integration.disable()


def linear() -> build.Program:
    program = build.Program({"x": (2, 3)}, opset="CoreML8")
    program.output(program.add("linear", x=program["x"], weight=W, bias=np.zeros(4, np.float32), name="y"))
    return program


def accumulator() -> build.Program:
    """Add x to the state, and return the sum."""
    program = build.Program({"x": ("fp16", (1,))}, states={"sum": ("fp16", (1,))}, opset="CoreML8")
    before = program.add("read_state", input=program["sum"])
    after = program.add("add", x=before, y=program["x"], name="y")
    program.add("write_state", input=program["sum"], data=after)
    program.output(after)
    return program


def saved(program: build.Program, folder: Path) -> str:
    path = folder / "model.mlpackage"
    program.save(path)
    return str(path)


def test_a_package_with_a_file_of_weights(tmp_path: Path) -> None:
    model = ct.models.MLModel(saved(linear(), tmp_path))
    y = model.predict({"x": X})["y"]
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, X @ W.T)
    batch = model.predict([{"x": X}, {"x": 2 * X}])
    np.testing.assert_array_equal(batch[1]["y"], 2 * X @ W.T)


def test_compiled_models_and_assets(tmp_path: Path) -> None:
    path = saved(linear(), tmp_path)
    compiled = ct.models.utils.compile_model(path, str(tmp_path / "model.mlmodelc"))
    source = ct.models.MLModel(path)
    for model in (
        ct.models.CompiledMLModel(compiled),
        ct.models.CompiledMLModel.from_asset(ct.models.model.MLModelAsset.from_path(compiled)),
        ct.models.CompiledMLModel(source.get_compiled_model_path()),
    ):
        np.testing.assert_array_equal(model.predict({"x": X})["y"], X @ W.T)


def test_models_from_memory_with_weights(tmp_path: Path) -> None:
    folder = Path(saved(linear(), tmp_path)) / "Data" / "com.apple.CoreML"
    weights = {"weights/weight.bin": (folder / "weights" / "weight.bin").read_bytes()}
    asset = ct.models.model.MLModelAsset.from_memory((folder / "model.mlmodel").read_bytes(), weights)
    y = ct.models.CompiledMLModel.from_asset(asset).predict({"x": X})["y"]
    np.testing.assert_array_equal(y, X @ W.T)


def test_states(tmp_path: Path) -> None:
    model = ct.models.MLModel(saved(accumulator(), tmp_path))
    state, other = model.make_state(), model.make_state()
    for expected in (2, 4, 6):
        assert model.predict({"x": np.array([2.0])}, state=state)["y"] == expected
    assert state.read_state(name="sum") == 6
    state.write_state(name="sum", value=np.array([1.0]))
    assert model.predict({"x": np.array([2.0])}, state)["y"] == 3
    assert other.read_state("sum") == 0
    for refused in (
        lambda: state.read_state("none"),
        lambda: state.write_state("sum", np.zeros(2)),
        lambda: model.predict({"x": np.array([2.0])}),
    ):
        with pytest.raises(RuntimeError, match="state"):
            refused()
    with pytest.raises(AssertionError, match="unbatched"):
        model.predict([{"x": np.array([2.0])}], state)


def test_functions(tmp_path: Path) -> None:
    path = tmp_path / "both.mlpackage"
    build.functions({"double": twice(2), "triple": twice(3)}, default="triple", path=path)
    for name, factor in (("double", 2), ("triple", 3), (None, 3)):
        y = ct.models.MLModel(str(path), function_name=name).predict({"x": X})["y"]
        np.testing.assert_array_equal(y, factor * X)
    with pytest.raises(ValueError, match="function_name none not found"):
        ct.models.MLModel(str(path), function_name="none")
    compiled = ct.models.utils.compile_model(str(path))
    y = ct.models.CompiledMLModel(compiled, function_name="double").predict({"x": X})["y"]
    np.testing.assert_array_equal(y, 2 * X)


def twice(factor: float) -> build.Program:
    program = build.Program({"x": (2, 3)}, opset="CoreML8")
    program.output(program.add("mul", x=program["x"], y=np.full((2, 3), factor, np.float32), name="y"))
    return program


def test_errors_of_a_prediction_have_the_words_of_core_ml(tmp_path: Path) -> None:
    program = build.Program({"x": (5,), "i": ("int32", (2,))}, opset="CoreML7")
    program.output(program.add("gather", x=program["x"], indices=program["i"], axis=0, validate_indices=True, name="y"))
    model = ct.models.MLModel(saved(program, tmp_path))
    with pytest.raises(RuntimeError, match="Unable to compute the prediction using ML Program"):
        model.predict({"x": np.zeros(5, np.float32), "i": np.array([0, 7], np.int32)})


@pytest.mark.parametrize("precision", ["FLOAT32", "FLOAT16"])
@pytest.mark.parametrize("target", ["iOS15", "iOS16", "iOS17", "iOS18"])
def test_a_converted_classifier_agrees_with_torch(precision: str, target: str) -> None:
    torch = pytest.importorskip("torch", reason="a network is converted from torch")

    class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Linear(128, 5)

        def forward(self, x: Any) -> Any:
            y = torch.nn.functional.max_pool2d(torch.relu(self.first(x)), 2)
            return torch.softmax(self.last(y.reshape(1, -1)), -1)

    torch.manual_seed(0)
    net, x = Net().eval(), torch.randn(1, 3, 8, 8)
    model = ct.convert(
        torch.jit.trace(net, x),
        inputs=[ct.TensorType("x", shape=x.shape)],
        classifier_config=ct.ClassifierConfig(list("abcde")),
        minimum_deployment_target=getattr(ct.target, target),
        compute_precision=getattr(ct.precision, precision),
    )
    found = model.predict({"x": x.numpy()})
    expected = net(x).detach().numpy()[0]
    assert found["classLabel"] == "abcde"[int(expected.argmax())]
    # Half precision: 2^-11 for each rounding of numbers below 1, in four layers.
    atol = 1e-6 if precision == "FLOAT32" else 4 * 2**-11
    np.testing.assert_allclose([found["classLabel_probs"][label] for label in "abcde"], expected, atol=atol)


def test_a_compiled_program_can_be_read_as_text(tmp_path: Path) -> None:
    program = build.Program({"x": (2, 3)}, opset="CoreML8")
    weight = np.arange(120, dtype=np.float32).reshape(40, 3)
    program.output(program.add("linear", x=program["x"], weight=weight, bias=np.zeros(40, np.float32), name="y"))
    model = ct.models.MLModel(saved(program, tmp_path))
    text = (Path(model.get_compiled_model_path()) / "model.mil").read_text(encoding="utf-8")
    assert text.startswith("program(1.3)")
    place = 'BLOBFILE(path = string("@model_path/weights/weight.bin"), offset = uint64(64))'
    assert f"tensor<fp32, [40, 3]>({place})" in text
