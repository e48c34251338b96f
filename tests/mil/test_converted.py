"""Networks that coremltools converts from torch, against torch: three families, all operation sets, both precisions."""

from __future__ import annotations

import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refcoreml
from refcoreml.spec import schema

torch: Any = pytest.importorskip("torch", reason="torch has the networks")
ct: Any = pytest.importorskip("coremltools", reason="coremltools converts them")

nn, f = torch.nn, torch.nn.functional


class Block(nn.Module):
    """Two convolutions beside a shortcut, as in ResNet."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, groups=2), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Any) -> Any:
        return f.relu(self.second(f.relu(self.first(x))) + self.shortcut(x))


class Images(nn.Module):
    """Convolutions, pooling, an upsampling branch, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 5, 2, 2), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.blocks = nn.Sequential(Block(6, 8, 1), Block(8, 10, 2))
        self.up = nn.ConvTranspose2d(10, 4, 3, 2, 1)
        self.norm = nn.InstanceNorm2d(4, affine=True)
        self.head = nn.Linear(14, 7)

    def forward(self, x: Any) -> Any:
        y = self.blocks(self.stem(x))
        up = f.avg_pool2d(self.norm(self.up(y)), 3, 2, 1, count_include_pad=False)
        return f.softmax(self.head(torch.cat([y.mean((2, 3)), up.amax((2, 3))], 1)), -1)


class Attention(nn.Module):
    """Attention of 4 heads of 6 numbers among 9 places; torch's own module does not convert with every NumPy."""

    def __init__(self, masked: bool) -> None:
        super().__init__()
        self.entry, self.exit = nn.Linear(24, 72), nn.Linear(24, 24)
        self.mask = torch.tril(torch.ones(9, 9)).bool() if masked else None

    def forward(self, x: Any) -> Any:
        heads = [part.reshape(2, 9, 4, 6).transpose(1, 2) for part in self.entry(x).chunk(3, -1)]
        y = f.scaled_dot_product_attention(*heads, attn_mask=self.mask)
        return self.exit(y.transpose(1, 2).reshape(2, 9, 24))


class Encoder(nn.Module):
    """Two layers of a transformer, the second of which looks back alone."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(9, 24))
        self.attend = nn.ModuleList([Attention(masked) for masked in (False, True)])
        self.think = nn.ModuleList([nn.Sequential(nn.Linear(24, 40), nn.GELU(), nn.Linear(40, 24)) for _ in range(2)])
        self.norms = nn.ModuleList([nn.LayerNorm(24) for _ in range(4)])

    def forward(self, x: Any) -> Any:
        x = x + self.table
        for index, (attend, think) in enumerate(zip(self.attend, self.think, strict=True)):
            x = self.norms[2 * index](x + attend(x))
            x = self.norms[2 * index + 1](x + think(x))
        return x


class Sequences(nn.Module):
    """An LSTM in both directions, and a GRU, which is converted to a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 6, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(12, 7, batch_first=True)
        self.head = nn.Linear(7, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.gru(self.lstm(x)[0])[0])


#: By name the network, the shape of its input, and operations that must occur in the program.
NETWORKS: dict[str, tuple[Any, tuple[int, ...], set[str]]] = {
    "images": (Images, (2, 3, 33, 26), {"conv", "conv_transpose", "max_pool", "avg_pool", "instance_norm", "linear"}),
    "encoder": (Encoder, (2, 9, 24), {"linear", "layer_norm", "gelu"}),
    "sequences": (Sequences, (2, 8, 5), {"lstm", "while_loop", "linear"}),
}
#: The steps of the loop.
STEPS = 8
TARGETS = [("FLOAT32", "iOS15"), ("FLOAT32", "iOS18"), ("FLOAT16", "iOS16"), ("FLOAT16", "iOS17"), ("FLOAT16", "iOS26")]
#: The largest relative error of one rounding.
ROUNDING = {"FLOAT32": 2**-24, "FLOAT16": 2**-11}


def network(name: str) -> Any:
    """The network with weights, and statistics of batches, that are the same at each call."""
    torch.manual_seed(7)
    made = NETWORKS[name][0]()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return made.eval()


def convert(name: str, precision: str, target: str, folder: Path) -> Path:
    """Return a package that coremltools writes."""
    shape, path = NETWORKS[name][1], folder / f"{name}.mlpackage"
    converted = ct.convert(
        torch.jit.trace(network(name), torch.zeros(shape), check_trace=False),
        inputs=[ct.TensorType("x", shape)],
        outputs=[ct.TensorType("y", dtype=np.float32)],
        convert_to="mlprogram",
        minimum_deployment_target=getattr(ct.target, target),
        compute_precision=getattr(ct.precision, precision),
        skip_model_load=True,
    )
    converted.save(os.fspath(path))
    return path


def operations(block: schema.MILSpec.Block, times: int = 1) -> Counter[str]:
    """Return how often each operation runs."""
    found: Counter[str] = Counter()
    for operation in block.operations:
        found[operation.type] += times
        for inner in operation.blocks:
            found += operations(inner, times * STEPS)
    return found


@pytest.mark.filterwarnings("ignore")  # of coremltools and torch, whose versions are not ours to choose
@pytest.mark.parametrize(("precision", "target"), TARGETS)
@pytest.mark.parametrize("name", NETWORKS)
def test_converted_networks_compute_what_torch_computes(name: str, precision: str, target: str, tmp_path: Path) -> None:
    """In the declared types, and in double precision with the weights as the file has them.

    The bounds are six standard deviations of independent roundings: of the weights of each operation, and of the
    results; after the normalizations and bounded activations of these networks no operation makes them larger.
    """
    path = convert(name, precision, target, tmp_path)
    function = refcoreml.load(path).spec.mlProgram.functions["main"]
    counts = operations(function.block_specializations[function.opset])
    del counts["const"]
    assert set(counts) >= NETWORKS[name][2]
    assert ("scaled_dot_product_attention" in counts) == (name == "encoder" and function.opset >= "CoreML8")
    x = np.random.default_rng(3).normal(size=NETWORKS[name][1]).astype(np.float32)
    with torch.no_grad():
        wanted = network(name).double()(torch.from_numpy(x).double()).numpy()
    deviation = ROUNDING[precision] * math.sqrt(sum(counts.values()) / 3) * abs(wanted).max()
    for kind, roundings in (("float64", 1), ("declared", 2)):
        found = refcoreml.load(path, precision=kind).predict({"x": x})["y"]
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=0, atol=6 * math.sqrt(roundings) * deviation)
