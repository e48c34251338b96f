"""Recurrent layers: ball arithmetic, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from refcoreml.kernels import recurrent
from refcoreml.neuralnetwork.layers.recurrent import recurrent_functions
from refcoreml.oracle.balls import Ball, Doubles
from refcoreml.oracle.rules.table import Layer, bounded


def _recurrent_weights(layer: Layer, message: Any, gates: Sequence[str], biases: bool) -> tuple[Ball, Ball, Ball]:
    """W [G, H, I], R [G, H, H], b [G, H] of some gates."""
    inputs, hidden = int(layer.params.inputVectorSize), int(layer.params.outputVectorSize)

    def stacked(suffix: str, *shape: int) -> Ball:
        names = [f"{gate}{suffix}" if gate else suffix[0].lower() + suffix[1:] for gate in gates]
        found = [layer.weights(name, shape, message=message) for name in names]
        return Ball(np.stack([ball.mid for ball in found]), np.stack([ball.rad for ball in found]))

    bias = stacked("BiasVector", hidden) if biases else Ball.exact(np.zeros((len(gates), hidden)))
    return stacked("WeightMatrix", hidden, inputs), stacked("RecursionMatrix", hidden, hidden), bias


class _Cell:
    """Balls through one step of a recurrent layer."""

    def __init__(self, layer: Layer, message: Any, gates: Sequence[str], biases: bool) -> None:
        self.rounding, self.gates = layer.rounding, gates
        self.weights, self.recursion, self.bias = _recurrent_weights(layer, message, gates, biases)

    def gate(self, name: str, x: Ball, h: Ball, extra: Ball | None = None) -> Ball:
        """clip(W x + R h + b [+ extra]) of one gate; x [Batch, I], h [Batch, H]."""
        i, r = self.gates.index(name), self.rounding

        def times(v: Ball, w: Ball) -> Ball:
            return r.matmul(v, Ball(w.mid[i].T, w.rad[i].T))

        total = r.add(r.add(times(x, self.weights), times(h, self.recursion)), self.bias.map(lambda b: b[i]))
        total = total if extra is None else r.add(total, extra)
        return Ball(np.clip(total.mid, -50, 50), total.rad)

    def apply(self, function: Any, x: Ball) -> Ball:
        """A recurrent activation, all of which rise."""
        return self.rounding.monotone(x, lambda v: np.asarray(function(v)), "sigmoid")


def _states(layer: Layer, balls: list[Ball]) -> tuple[Ball, list[Ball]]:
    """X [Seq, Batch, I] and the states [Batch, H] that were given."""
    x, hidden = balls[0].map(lambda v: v[..., 0, 0]), int(layer.params.outputVectorSize)
    batch = (x.mid.shape[1], hidden)
    return x, [ball.map(lambda v: np.broadcast_to(v.reshape(-1, hidden), batch)) for ball in balls[1:]]


def _over_time(
    x: Ball, step: Callable[[Ball, tuple[Ball, ...]], tuple[Ball, ...]], states: tuple[Ball, ...], reverse: bool
) -> tuple[list[Doubles], tuple[Ball, ...]]:
    radii, times = [], range(len(x.mid))
    for time in reversed(times) if reverse else times:
        states = step(Ball(x.mid[time], x.rad[time]), states)
        radii.append(states[0].rad)
    return radii, states


def _shaped(radii: list[Doubles], states: Sequence[Ball], sequence: bool) -> list[Doubles]:
    y = np.stack(radii if sequence else radii[-1:])
    return [y[..., None, None], *(state.rad[None, ..., None, None] for state in states)]


@bounded("composite", "simpleRecurrent")
def _simple_recurrent(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    (f,) = recurrent_functions(layer.step.node)
    x, (h, *_) = _states(layer, balls)
    cell = _Cell(layer, layer.params, [""], layer.params.hasBiasVector)
    run = _over_time(x, lambda v, s: (cell.apply(f, cell.gate("", v, s[0])),), (h,), layer.params.reverseInput)
    return _shaped(*run, layer.params.sequenceOutput)


@bounded("composite", "gru")
def _gru(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    f, g = recurrent_functions(layer.step.node)
    x, states = _states(layer, balls)
    h = states[0] if states else Ball.exact(np.zeros((x.mid.shape[1], layer.params.outputVectorSize)))
    cell = _Cell(layer, layer.params, ["updateGate", "resetGate", "outputGate"], layer.params.hasBiasVectors)
    r = layer.rounding

    def step(v: Ball, s: tuple[Ball, ...]) -> tuple[Ball, ...]:
        update, reset = (cell.apply(f, cell.gate(name, v, s[0])) for name in ("updateGate", "resetGate"))
        output = cell.apply(g, cell.gate("outputGate", v, r.multiply(reset, s[0])))
        kept = r.multiply(update, s[0])
        return (r.add(r.multiply(r.subtract(Ball.exact(1.0), update), output), kept),)

    return _shaped(*_over_time(x, step, (h,), layer.params.reverseInput), layer.params.sequenceOutput)


def _lstm_direction(
    layer: Layer, message: Any, functions: Sequence[Any], x: Ball, states: Sequence[Ball], reverse: bool
) -> tuple[list[Doubles], tuple[Ball, ...]]:
    params, r = layer.params.params, layer.rounding
    f, g, activate = functions
    gates = ["inputGate", "forgetGate", "outputGate", "blockInput"]
    if params.coupledInputAndForgetGate:
        gates.remove("forgetGate")
    cell = _Cell(layer, message, gates, params.hasBiasVectors)
    hidden, limit = int(layer.params.outputVectorSize), params.cellClipThreshold or 50.0
    peepholes = {
        gate: layer.weights(f"{gate}PeepholeVector", (hidden,), message=message)
        for gate in gates[:-1]
        if params.hasPeepholeVectors
    }

    def gated(name: str, v: Ball, h: Ball, c: Ball) -> Ball:
        extra = r.multiply(peepholes[name], c) if peepholes else None
        return cell.apply(f, cell.gate(name, v, h, extra))

    def step(v: Ball, s: tuple[Ball, ...]) -> tuple[Ball, ...]:
        h, c = s
        i = gated("inputGate", v, h, c)
        forget = gated("forgetGate", v, h, c) if "forgetGate" in gates else r.subtract(Ball.exact(1.0), i)
        z = cell.apply(g, cell.gate("blockInput", v, h))
        c = r.add(r.multiply(forget, c), r.multiply(i, z))
        c = Ball(np.clip(c.mid, -limit, limit), c.rad)
        return r.multiply(gated("outputGate", v, h, c), cell.apply(activate, c)), c

    zeros = [Ball.exact(np.zeros((x.mid.shape[1], hidden)))] * (2 - len(states))
    start = tuple([*states, *zeros])
    return _over_time(x, step, start, reverse)


@bounded("composite", "uniDirectionalLSTM")
def _lstm(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    x, states = _states(layer, balls)
    functions = recurrent_functions(layer.step.node)
    run = _lstm_direction(layer, layer.params.weightParams, functions, x, states, layer.params.reverseInput)
    return _shaped(*run, layer.params.params.sequenceOutput)


@bounded("composite", "biDirectionalLSTM")
def _bidirectional(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    x, states = _states(layer, balls)
    functions = recurrent_functions(layer.step.node)
    runs = [
        _lstm_direction(
            layer, layer.params.weightParams[i], functions[3 * i : 3 * i + 3], x, states[2 * i : 2 * i + 2], bool(i)
        )
        for i in (0, 1)
    ]
    (forward, *last), (backward, *last_backward) = (_shaped(*run, layer.params.params.sequenceOutput) for run in runs)
    return [recurrent.both_directions(forward[..., 0, 0], backward[..., 0, 0])[..., None, None], *last, *last_backward]
