"""assert_equivalent and compare_layers of torch modules that coremltools converts to ML Programs."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import refcoreml
from refcoreml.testing import EquivalenceError, assert_equivalent

torch: Any = pytest.importorskip("torch", reason="needs torch, of the extra oracles")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    ct: Any = pytest.importorskip("coremltools", reason="needs coremltools, of the extra oracles")

nn = torch.nn
pytestmark = pytest.mark.filterwarnings("ignore")  # of coremltools and torch, whose versions are not ours to choose


class Picture(nn.Module):
    """A convolution whose batch norm the converter folds, one without, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(6, 5, 3, stride=2), nn.GELU())
        self.head = nn.Linear(5, 4)

    def forward(self, x: Any) -> Any:
        return torch.softmax(self.head(self.body(self.stem(x)).mean((2, 3))), -1)


class Sentence(nn.Module):
    """Words, attention in short, a norm, a loop over time."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.norm = nn.Embedding(11, 6), nn.LayerNorm(6)
        self.gru, self.head = nn.GRU(6, 5, batch_first=True), nn.Linear(5, 11)

    def forward(self, tokens: Any) -> Any:
        x = self.words(tokens)
        weights = torch.softmax(x @ x.transpose(1, 2) / 6**0.5, -1)
        return self.head(self.gru(self.norm(x + weights @ x))[0])


INPUTS = {
    "picture": (Picture, np.random.default_rng(2).normal(size=(2, 3, 9, 8)).astype(np.float32)),
    "sentence": (Sentence, np.int32([[3, 1, 4, 1, 5, 9, 2]])),
}


def module(name: str) -> Any:
    torch.manual_seed(11)
    made = INPUTS[name][0]().eval()
    for part in made.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    return made


def convert(source: Any, x: np.ndarray, precision: str) -> refcoreml.Model:
    kind = np.int32 if x.dtype == np.int32 else np.float32
    made = ct.convert(
        torch.jit.trace(source, torch.from_numpy(x), check_trace=False),
        inputs=[ct.TensorType("x", x.shape, dtype=kind)],
        outputs=[ct.TensorType("y", dtype=np.float32)],
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=getattr(ct.precision, precision),
        skip_model_load=True,
    )
    return refcoreml.load(made)


@pytest.fixture(scope="module")
def models() -> dict[tuple[str, str], refcoreml.Model]:
    return {
        (name, precision): convert(module(name), INPUTS[name][1], precision)
        for name in INPUTS
        for precision in ("FLOAT32", "FLOAT16")
    }


@pytest.mark.parametrize("precision", ["FLOAT32", "FLOAT16"])
@pytest.mark.parametrize("name", INPUTS)
def test_converted_modules_agree(models: Any, name: str, precision: str) -> None:
    found = assert_equivalent(models[name, precision], module(name), {"x": INPUTS[name][1]})
    assert found.outputs == ("y",)
    # A batch norm is folded into weights, biases are added up, a factor is inverted: known but for rounding.
    assert found.double is not None
    assert found.double < {"FLOAT32": 2**-14, "FLOAT16": 2**-6}[precision]


@pytest.mark.parametrize("precision", ["FLOAT32", "FLOAT16"])
@pytest.mark.parametrize(("name", "part", "kind"), [("picture", "body.0", "conv"), ("sentence", "norm", "layer_norm")])
def test_the_operation_that_differs_is_named(models: Any, name: str, part: str, kind: str, precision: str) -> None:
    source = module(name)
    with torch.no_grad():
        source.get_submodule(part).weight[1] *= 1.25
    with pytest.raises(EquivalenceError) as caught:
        assert_equivalent(models[name, precision], source, {"x": INPUTS[name][1]})
    names = [layer.name for layer in models[name, precision].trace({"x": INPUTS[name][1]}) if layer.kind == kind]
    blamed = caught.value.divergence
    assert "divergent operation" in blamed
    assert any(f"{each!r} ({kind})" in blamed for each in names), blamed


@pytest.mark.parametrize("name", INPUTS)
def test_both_precisions_of_a_converter_are_compared_operation_by_operation(models: Any, name: str) -> None:
    pair = models[name, "FLOAT32"], models[name, "FLOAT16"]
    found = refcoreml.compare_layers(*pair, [{"x": INPUTS[name][1]}])
    kinds = [row.kind for row in found.layers]
    wanted = {"picture": {"conv", "relu", "gelu", "linear"}, "sentence": {"gather", "layer_norm", "matmul", "linear"}}
    assert set(kinds) >= wanted[name]
    assert all(row.own is not None for row in found.layers), [row.layer for row in found.layers if row.own is None]
    assert all(row.accumulated.snr > 40 for row in found.layers)
    layers = list(pair[1].trace({"x": INPUTS[name][1]}))
    assert set(found.unmatched) == {blob for layer in layers if layer.kind == "cast" for blob in layer.outputs}
