"""The definitions of recurrent networks, with weights by the schema's field names.

So a mistaken name, order or transposition shows.
"""

from __future__ import annotations

import numpy as np

from refcoreml import definitions

FUNCTIONS = {
    "linear": lambda v: v,
    "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
    "tanh": np.tanh,
    "ReLU": lambda v: np.maximum(v, 0.0),
    "scaledTanh": np.tanh,
    "sigmoidHard": lambda v: np.minimum(np.maximum(0.2 * v + 0.5, 0.0), 1.0),
}

LSTM_GATES = ("inputGate", "forgetGate", "blockInput", "outputGate")
GRU_GATES = ("updateGate", "resetGate", "outputGate")


def stacked(weights, gates, hidden):
    """W [G, H, I], R [G, H, H], b [G, H] of some gates."""
    found = [np.stack([weights[f"{gate}{kind}Matrix"] for gate in gates]) for kind in ("Weight", "Recursion")]
    return *found, np.stack([weights.get(f"{gate}BiasVector", np.zeros(hidden)) for gate in gates])


def simple_recurrent(x, h, weights, f, *, sequence, reverse=False):
    """``weights`` has the keys WeightMatrix, RecursionMatrix and perhaps BiasVector."""
    return definitions.simple_recurrent(
        x, h, *stacked(weights, [""], h.shape[1]), FUNCTIONS[f], sequence=sequence, reverse=reverse
    )


def gru(x, h, weights, functions, *, sequence, reverse=False):
    f, g = (FUNCTIONS[name] for name in functions)
    return definitions.gru(x, h, *stacked(weights, GRU_GATES, h.shape[1]), f, g, sequence=sequence, reverse=reverse)


def lstm(x, h, c, weights, functions, *, coupled=False, cell_clip=50.0, sequence, reverse=False):
    gates = [gate for gate in ("inputGate", "forgetGate", "outputGate") if not (coupled and gate == "forgetGate")]
    peepholes = np.stack([weights.get(f"{gate}PeepholeVector", np.zeros(h.shape[1])) for gate in gates])
    return definitions.lstm(
        *(x, h, c),
        *stacked(weights, [*gates, "blockInput"], h.shape[1]),
        peepholes,
        *(FUNCTIONS[name] for name in functions),
        coupled=coupled,
        cell_clip=cell_clip,
        sequence=sequence,
        reverse=reverse,
    )


def draw_weights(rng, gates, inputs, hidden, *, biases, peepholes=False, draw):
    """Random weights of all gates; ``draw(rng, shape)`` makes an array."""
    weights = {}
    for gate in gates:
        weights[f"{gate}WeightMatrix"] = draw(rng, (hidden, inputs))
        weights[f"{gate}RecursionMatrix"] = draw(rng, (hidden, hidden))
        if biases:
            weights[f"{gate}BiasVector"] = draw(rng, (hidden,))
        if peepholes and gate != "blockInput":
            weights[f"{gate}PeepholeVector"] = draw(rng, (hidden,))
    return weights


def integers(rng, shape):
    """With linear and ReLU functions all numbers stay integers, and small: pre-activations are clipped to 50."""
    return rng.integers(-2, 3, shape).astype(np.float64)


def small(rng, shape):
    """Numbers of float32 below 1 / 8, so that row sums of up to 5 of them stay below 1 (see `error_bound`)."""
    return rng.uniform(-0.125, 0.125, shape).astype(np.float32).astype(np.float64)


def error_bound(unit, length, terms, top=1.0):
    """How far an evaluation with unit roundoff ``unit`` may be from the exact numbers.

    Weights are `small`, |x|, |h|, |c| <= 1. ``terms`` is the length of the longest sum, W x + R h + p c + b; at most 5
    of them come from h. Functions have values of at most ``top`` and are taken to be within 4 ulp. Follows the formulas
    of an LSTM, the longest of all, step by step.
    """
    slope = max(1.0, top * 2 / 3)  # of tanh: 1, of sigmoid: 1/4; scaled tanh stretches x by 2/3
    error_h = error_c = 0.0
    cell = 1.0  # bounds |c|
    for _ in range(length):
        before = 5 / 8 * error_h + (terms + 2) * unit * terms / 8 * max(cell, top**2)
        early = slope * (before + error_c / 8) + 8 * unit * top
        error_c = top * error_c + (cell + 2 * top) * early + 3 * unit * (top * cell + top**2)
        cell = top * cell + top**2
        late = slope * (before + error_c / 8) + 8 * unit * top
        error_h = top * (slope * error_c + 8 * unit * top + late) + unit * top**2
    return 1.01 * max(error_h, error_c)  # a hundredth for products of errors
