"""An echo canceller, an ML Program with two LSTMs as loops over lists: against its formulas, and as a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mil.stored import stored_weights
from support import shared_model

import refcoreml
from refcoreml import build

PACKAGE = "mlprogram/dtln_aec128_part1_fp32.mlpackage"
BINS, SIZE, FRAMES, STREAMS = 257, 128, 5, 2
#: What is added to spectra and to variances.
EPSILON = float.fromhex("0x1.ad7f2ap-24")
#: In double precision all that differs is that outputs, and states from frame to frame, are of single precision: they
#: reach 4. In single precision a sum has up to 642 terms, but masks and states that are wrong by 1e-4 are wrong.
BOUNDS = {"float64": FRAMES * 4 * 2.0**-24, "declared": 1e-4}


def constants(package: Path) -> dict[str, Any]:
    """Return the weights by the end of their names."""
    found = stored_weights(package).items()
    return {name.removeprefix("Func_").removeprefix("DTLN_AEC_Part1_"): array for name, array in found}


LSTM = [[f"lstm_1_{layer}_PartitionedCall_input__{3 + 11 * layer + part}" for part in range(3)] for layer in (0, 1)]
NORMS = [[f"{kind}_norm_{part}_ReadVariableOp" for part in ("mul", "add_1")] for kind in ("mic", "lpb")]
MASK = [f"dense_mask_1_{part}_ReadVariableOp" for part in ("Tensordot", "BiasAdd")]


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def formulas(w: dict[str, Any], mic: Any, echo: Any, states: Any) -> tuple[Any, Any]:
    """The mask for one frame of each stream, and the states after it: [streams, layers, numbers, hidden and cell]."""
    features = []
    for spectrum, (scale, shift) in zip((mic, echo), NORMS, strict=True):
        x = np.log(spectrum + EPSILON)
        x = x - x.mean(-1, keepdims=True)
        features.append(x / np.sqrt((x * x).mean(-1, keepdims=True) + EPSILON) * w[scale] + w[shift])
    x, after = np.concatenate(features, -1), np.empty_like(states)
    for layer, (inputs, recurrent, bias) in enumerate(LSTM):
        hidden, cell = states[:, layer, :, 0], states[:, layer, :, 1]
        gates = x @ w[inputs].astype(np.float64) + hidden @ w[recurrent].astype(np.float64) + w[bias]
        enter, keep, new, leave = np.split(gates, 4, -1)
        cell = sigmoid(keep) * cell + sigmoid(enter) * np.tanh(new)
        x = sigmoid(leave) * np.tanh(cell)
        after[:, layer, :, 0], after[:, layer, :, 1] = x, cell
    return sigmoid(x @ w[MASK[0]].astype(np.float64) + w[MASK[1]]), after


def spectra() -> Any:
    """Magnitudes of a few frames: [frames, microphone and loudspeaker, streams, bins]."""
    return np.random.default_rng(1).gamma(0.5, 2, (FRAMES, 2, STREAMS, BINS)).astype(np.float32)


@pytest.mark.parametrize("precision", BOUNDS)
def test_frames_against_the_formulas(precision: str) -> None:
    """Two streams at once; the states go from frame to frame."""
    package = shared_model(PACKAGE)
    model, w = refcoreml.load(package, precision=precision), constants(package)
    states = np.random.default_rng(2).uniform(-1, 1, (STREAMS, 2, SIZE, 2))
    given = states.astype(np.float32)
    states = given.astype(np.float64)
    for mic, echo in spectra():
        inputs = {"mic_magnitude": mic[:, None], "lpb_magnitude": echo[:, None], "states_in": given}
        found = model.predict(inputs)
        mask, states = formulas(w, mic.astype(np.float64), echo.astype(np.float64), states)
        assert found["Identity"].shape == (STREAMS, 1, BINS)
        assert abs(found["Identity"][:, 0] - mask).max() < BOUNDS[precision]
        assert abs(found["Identity_1"] - states).max() < BOUNDS[precision]
        given = found["Identity_1"]


def twin(w: dict[str, Any]) -> Any:
    """The same as layers of a network, for one stream."""
    states = [f"{kind}{layer}" for layer in (0, 1) for kind in ("h", "c")]
    shapes = {**dict.fromkeys(("mic", "lpb"), (1, BINS)), **dict.fromkeys(states, (1, 1, SIZE, 1, 1))}
    net = build.Network(shapes, ["mask", *(f"{name}_after" for name in states)], exact=True)
    for name, (scale, shift) in zip(("mic", "lpb"), NORMS, strict=True):
        net.add("unary", inputs=name, outputs=f"{name}_log", type="LOG", shift=EPSILON, scale=1, epsilon=1e-30)
        norm = {"normalized_shape": [BINS], "eps": EPSILON, "gamma": w[scale], "beta": w[shift]}
        net.add("layerNormalization", inputs=f"{name}_log", outputs=f"{name}_norm", **norm)
    net.add("concatND", inputs=["mic_norm", "lpb_norm"], outputs="both", axis=1)
    net.add("reshapeStatic", inputs="both", outputs="x0", target_shape=[1, 1, 2 * BINS, 1, 1])
    for layer, names in enumerate(LSTM):
        inputs, recurrent, bias = (np.split(w[name], 4, -1) for name in names)
        order = ("input_gate", "forget_gate", "block_input", "output_gate")
        gates = {
            **{f"{gate}_weight_matrix": part.T for gate, part in zip(order, inputs, strict=True)},
            **{f"{gate}_recursion_matrix": part.T for gate, part in zip(order, recurrent, strict=True)},
            **{f"{gate}_bias_vector": part for gate, part in zip(order, bias, strict=True)},
        }
        net.add(
            "uniDirectionalLSTM",
            inputs=[f"x{layer}", f"h{layer}", f"c{layer}"],
            outputs=[f"x{layer + 1}", f"h{layer}_after", f"c{layer}_after"],
            input_vector_size=len(w[names[0]]),
            output_vector_size=SIZE,
            activations=[{"sigmoid": {}}, {"tanh": {}}, {"tanh": {}}],
            params={"has_bias_vectors": True, "sequence_output": True},
            weight_params=gates,
        )
    net.add("reshapeStatic", inputs="x2", outputs="flat", target_shape=[1, SIZE])
    weights, bias = w[MASK[0]].T, w[MASK[1]]
    linear = {"input_channels": SIZE, "output_channels": BINS, "weights": weights, "has_bias": True, "bias": bias}
    net.add("innerProduct", inputs="flat", outputs="logits", **linear)
    net.add("activation", inputs="logits", outputs="mask", sigmoid={})
    return net.model(precision="float64")


def test_the_program_is_the_network() -> None:
    """Of which every number is computed by other layers, but for products and functions."""
    package = shared_model(PACKAGE)
    program, network = refcoreml.load(package, precision="float64"), twin(constants(package))
    states = np.random.default_rng(3).uniform(-1, 1, (1, 2, SIZE, 2)).astype(np.float32)
    mic, echo = spectra()[0][:, :1]
    found = program.predict({"mic_magnitude": mic[None], "lpb_magnitude": echo[None], "states_in": states})
    parts = {
        f"{kind}{layer}": states[0, layer, :, index].reshape(1, 1, SIZE, 1, 1)
        for layer in (0, 1)
        for index, kind in enumerate("hc")
    }
    wanted = network.predict({"mic": mic, "lpb": echo, **parts})
    assert abs(found["Identity"][0] - wanted["mask"]).max() < BOUNDS["float64"]
    for name in parts:
        after = found["Identity_1"][0, int(name[1]), :, "hc".index(name[0])]
        assert abs(after - wanted[f"{name}_after"].reshape(-1)).max() < BOUNDS["float64"]
