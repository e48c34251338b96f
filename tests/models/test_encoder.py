"""The encoder of a translator: two GRUs with weights in half precision, one of which reads the sentence backwards."""

from __future__ import annotations

import numpy as np
import pytest
from support import shared_model

import refcoreml
from refcoreml.spec.weights import decode_weights

LENGTH, BATCH, SYMBOLS, HIDDEN = 11, 3, 101, 512

#: Roundings of sums of 613 terms that reach 10, in each of 11 steps. (Biases shifted by one place move states by 1.)
BOUND = LENGTH * (SYMBOLS + HIDDEN) * 10 * 2.0**-53


def read(layer, gate):
    """W, R and b of a gate in float64."""
    fields = (("Weight", (HIDDEN, SYMBOLS)), ("Recursion", (HIDDEN, HIDDEN)))
    matrices = [decode_weights(getattr(layer, f"{gate}Gate{f}Matrix"), s, dtype=np.float64) for f, s in fields]
    return *matrices, decode_weights(getattr(layer, f"{gate}GateBiasVector"), (HIDDEN,), dtype=np.float64)


def last_state(layer, x, h):
    """The formula, step by step; sigmoidHard is stored without its numbers."""

    def before(gate, x_t, state):
        w, r, b = gates[gate]
        return w @ x_t + r @ state + b

    gates = {gate: read(layer, gate) for gate in ("update", "reset", "output")}
    for x_t in x[::-1] if layer.reverseInput else x:
        # The numbers 0.2 and 0.5 as the schema's float32 holds them.
        z, r = (np.clip(np.float32(0.2) * before(gate, x_t, h) + 0.5, 0, 1) for gate in ("update", "reset"))
        h = (1 - z) * np.tanh(before("output", x_t, r * h)) + z * h
    return h


@pytest.mark.parametrize("given_states", [False, True])
def test_states_after_a_sentence(given_states):
    model = refcoreml.load(shared_model("nn/es2en_bidir_gru_encoder_f16.mlmodel"), precision="float64")
    rng = np.random.default_rng(0)
    x = np.eye(SYMBOLS)[rng.integers(0, SYMBOLS, (LENGTH, BATCH))]
    states = {name: rng.uniform(-1, 1, HIDDEN) if given_states else np.zeros(HIDDEN) for name in ("fwd", "rev")}
    inputs = {f"{name}_enc_gru_h_in": state for name, state in states.items()} if given_states else {}
    outputs = [model.predict({"oneHotEncodedSeq": x[:, item : item + 1], **inputs}) for item in range(BATCH)]
    layers = {layer.name[:3]: layer.gru for layer in model.spec.neuralNetwork.layers if layer.HasField("gru")}
    for item in range(BATCH):
        expected = {name: last_state(layers[name], x[:, item], state) for name, state in states.items()}
        for name, state in expected.items():
            actual = outputs[item][f"{name}_enc_gru_h_out"].reshape(-1)
            assert np.abs(actual - state).max() < BOUND
        joined = np.concatenate([expected["fwd"], expected["rev"]])
        assert np.abs(outputs[item]["decodersIntialState"].reshape(-1) - joined).max() < BOUND
