"""Recurrent layers transcribed from their formulas: one scalar at a time, in Python's own floats.

Weights go by the schema's field names, so that a mistaken name, order or transposition shows.
"""

from __future__ import annotations

import math

import numpy as np

FUNCTIONS = {
    "linear": lambda v: v,
    "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
    "tanh": math.tanh,
    "ReLU": lambda v: max(v, 0.0),
    "scaledTanh": math.tanh,
    "sigmoidHard": lambda v: min(max(0.2 * v + 0.5, 0.0), 1.0),
}

LSTM_GATES = ("inputGate", "forgetGate", "blockInput", "outputGate")
GRU_GATES = ("updateGate", "resetGate", "outputGate")


def clip(value, limit=50.0):
    return min(max(value, -limit), limit)


def pre_activation(x, h, weights, gate, unit, extra=0.0):
    """clip(W x + R h + extra + b) of one unit, for one x and one h."""
    total = extra
    for k in range(len(x)):
        total += float(weights[f"{gate}WeightMatrix"][unit, k]) * x[k]
    for k in range(len(h)):
        total += float(weights[f"{gate}RecursionMatrix"][unit, k]) * h[k]
    if f"{gate}BiasVector" in weights:
        total += float(weights[f"{gate}BiasVector"][unit])
    return clip(total)


def _over_time(x, states, step, sequence, reverse):
    """Runs ``step(x_t, *state vectors) -> state vectors`` for each item of the batch; the first state is the output."""
    length, batch, _ = x.shape
    order = range(length - 1, -1, -1) if reverse else range(length)
    y, last = [], [[] for _ in states]
    for item in range(batch):
        current = [[float(v) for v in state[item]] for state in states]
        outputs = []
        for t in order:
            current = step([float(v) for v in x[t, item]], *current)
            outputs.append(current[0])
        y.append(outputs if sequence else outputs[-1:])
        for place, state in zip(last, current, strict=True):
            place.append(state)
    return [np.moveaxis(np.array(y), 0, 1), *(np.array(state) for state in last)]


def simple_recurrent(x, h, weights, f, *, sequence, reverse=False):
    """``weights`` has the keys WeightMatrix, RecursionMatrix and perhaps BiasVector."""
    f = FUNCTIONS[f]

    def step(x_t, h):
        return [[f(pre_activation(x_t, h, weights, "", unit)) for unit in range(len(h))]]

    return _over_time(x, [h], step, sequence, reverse)


def gru(x, h, weights, functions, *, sequence, reverse=False):
    f, g = (FUNCTIONS[name] for name in functions)

    def step(x_t, h):
        units = range(len(h))
        z = [f(pre_activation(x_t, h, weights, "updateGate", unit)) for unit in units]
        r = [f(pre_activation(x_t, h, weights, "resetGate", unit)) for unit in units]
        c = [h[unit] * r[unit] for unit in units]
        o = [g(pre_activation(x_t, c, weights, "outputGate", unit)) for unit in units]
        return [[(1 - z[unit]) * o[unit] + z[unit] * h[unit] for unit in units]]

    return _over_time(x, [h], step, sequence, reverse)


def lstm(x, h, c, weights, functions, *, coupled=False, cell_clip=50.0, sequence, reverse=False):
    f, g, activate_output = (FUNCTIONS[name] for name in functions)

    def step(x_t, h, c):
        new_h, new_c = [], []
        for unit in range(len(h)):
            peep = {gate: float(weights.get(f"{gate}PeepholeVector", np.zeros(len(h)))[unit]) for gate in LSTM_GATES}
            i = f(pre_activation(x_t, h, weights, "inputGate", unit, peep["inputGate"] * c[unit]))
            if coupled:
                forget = 1 - i
            else:
                forget = f(pre_activation(x_t, h, weights, "forgetGate", unit, peep["forgetGate"] * c[unit]))
            z = g(pre_activation(x_t, h, weights, "blockInput", unit))
            cell = clip(c[unit] * forget + i * z, cell_clip)
            o = f(pre_activation(x_t, h, weights, "outputGate", unit, peep["outputGate"] * cell))
            new_c.append(cell)
            new_h.append(activate_output(cell) * o)
        return [new_h, new_c]

    return _over_time(x, [h, c], step, sequence, reverse)


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
