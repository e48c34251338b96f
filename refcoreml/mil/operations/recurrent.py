"""Recurrent networks: x [S, B, I] is a sequence of S steps for a batch of B; a state has H numbers.

x, states and weights: fp32; since CoreML7 all fp16 or all fp32. Weights are constants: ``weight_ih`` [G * H, I],
``weight_hh`` [G * H, H] and ``bias`` [G * H] (0 by default) of G gates, one below the other. Initial states have one
row per item of the batch, or one row for all. y [S, B, H] has the states after all steps with ``output_sequence``
(false by default), else [1, B, H] that after the last one. ``direction`` is ``forward`` (the default) or ``reverse``:
from the last x to the first; y then stays in the order of processing.

Activations are ``tanh``, ``sigmoid``, ``hard_sigmoid`` (min(max(0.2 * x + 0.5, 0), 1), also called ``sigmoid_hard``),
``relu``, ``linear`` and ``scaled_tanh``, whose two constants no parameter sets. Open: these. Chosen: 1. Their arguments
are not bounded, as they are in neural networks of older formats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.kernels.recurrent import GateWeights
from refcoreml.mil.domains import FLOATS, expect
from refcoreml.mil.node import Node
from refcoreml.mil.registry import operation
from refcoreml.ops.base import Elementwise
from refcoreml.types import Array

_ACTIVATIONS: dict[str, Elementwise] = {
    "tanh": ops.Tanh(),
    "scaled_tanh": ops.ScaledTanh(1.0, 1.0),
    "sigmoid": ops.Sigmoid(),
    "hard_sigmoid": ops.HardSigmoid(0.2, 0.5),
    "sigmoid_hard": ops.HardSigmoid(0.2, 0.5),
    "relu": ops.ReLU(),
    "linear": ops.Affine(1.0, 0.0),
}


def _activation(node: Node, name: str, default: str) -> Elementwise:
    return node.choice(name, _ACTIVATIONS, default)


def _expect(node: Node, *names: str) -> None:
    """Raise `InvalidModelError` unless x and what is given have one type, that the operation set has."""
    domain = ("fp32",) if node.entry.since == "CoreML5" else FLOATS
    expect(node, domain, "x", *(name for name in names if node.has(name)))


def _vector(node: Node, name: str, length: int) -> Array | None:
    found: Array | None = node.array(name, None, rank=1)
    node.require(
        found is None or len(found) == length, f"parameter {name!r} is not of the length {length}, as weight_hh says"
    )
    return found


def _gates(node: Node, count: int, suffix: str = "") -> GateWeights:
    """Return the weights of so many gates."""
    names = [f"{name}{suffix}" for name in ("weight_ih", "weight_hh", "bias")]
    _expect(node, *names)
    inputs, recursion = (node.array(name, rank=2) for name in names[:2])
    rows, hidden = recursion.shape
    node.require(
        hidden >= 1 and rows == count * hidden == len(inputs),
        f"{names[0]} and {names[1]} have the shapes {inputs.shape} and {recursion.shape}, "
        f"expected [{count} * H, I] and [{count} * H, H]",
    )
    return GateWeights(inputs, recursion, _vector(node, names[2], rows))


def _order(gates: GateWeights, rows: Sequence[int]) -> GateWeights:
    """Return the weights with the gates in another order."""
    hidden = gates.recursion.shape[1]

    def ordered(part: Array) -> Array:
        return np.concatenate([part[row * hidden : (row + 1) * hidden] for row in rows])

    bias = None if gates.bias is None else ordered(gates.bias)
    return GateWeights(ordered(gates.inputs), ordered(gates.recursion), bias)


_DIRECTIONS = {"forward": False, "reverse": True}


def _steps(node: Node, *states: str) -> dict[str, Any]:
    """Return what all recurrent operations have: which steps y holds, and in which order they run."""
    _expect(node, "initial_h", *states)
    sequence, reverse = node.flag("output_sequence", False), node.choice("direction", _DIRECTIONS, "forward")
    return {"sequence": sequence, "reverse": reverse, "limit": math.inf}


# ---- LSTM ----


def _lstm(node: Node, suffix: str = "", **steps: Any) -> ops.LSTM:
    _expect(node, f"peephole{suffix}", "clip")
    gates, clip = _gates(node, 4, suffix), node.number("clip", math.inf)
    node.require(clip >= 0, f"parameter 'clip' is {clip:g}, expected at least 0")
    peephole = _vector(node, f"peephole{suffix}", 3 * gates.recursion.shape[1])
    f, g, h = (
        _activation(node, name, default)
        for name, default in (("recurrent_activation", "sigmoid"), ("cell_activation", "tanh"), ("activation", "tanh"))
    )
    rows = None if peephole is None else peephole.reshape(3, -1)
    return ops.LSTM(gates, f, g, h, rows, cell_clip=clip, **steps)


@operation("lstm", "x", "initial_h", "initial_c", since="CoreML7")
@operation("lstm", "x", "initial_h", "initial_c")
def lstm(node: Node) -> ops.Op:
    """c_t = clip(forget * c_{t-1} + i * z), h_t = o * h(c_t); gates are the rows i, forget, o, z of the weights.

    i = f(W_i x_t + R_i h_{t-1} + p_i * c_{t-1} + b_i), forget likewise; o = f(W_o x_t + R_o h_{t-1} + p_o * c_t + b_o),
    with the new c; z = g(W_z x_t + R_z h_{t-1} + b_z). f is ``recurrent_activation`` (sigmoid by default), g
    ``cell_activation`` (tanh), h ``activation`` (tanh). ``peephole`` [3 * H] has p_i, p_forget, p_o, 0 by default.
    ``clip`` bounds c to [-clip, clip]; none by default. Results: y, the last h and c.

    ``direction`` may also be ``bidirectional``: then ``weight_ih_back``, ``weight_hh_back`` and, if they are given,
    ``bias_back`` and ``peephole_back`` are those of an LSTM that runs from the last x to the first. Both stand side by
    side in the states and results, [..., 2 * H]; y is in the order of time, and without ``output_sequence`` holds the
    last state of either.
    """
    node.parameters.known.update(f"{name}_back" for name in ("weight_ih", "weight_hh", "bias", "peephole"))
    if not node.has("direction") or node.text("direction").lower() != "bidirectional":
        return _lstm(node, **_steps(node, "initial_c"))
    sequence = {"sequence": node.flag("output_sequence", False), "limit": math.inf}
    _expect(node, "initial_h", "initial_c")
    forward, backward = _lstm(node, **sequence), _lstm(node, "_back", reverse=True, **sequence)
    sizes = [(op.inputs, op.hidden) for op in (forward, backward)]
    node.require(sizes[0] == sizes[1], f"weights are for {sizes[0]} inputs and states, those '_back' for {sizes[1]}")
    return ops.BidirectionalLSTM(forward, backward, joined=True)


# ---- GRU ----


@operation("gru", "x", "initial_h", since="CoreML7")
@operation("gru", "x", "initial_h")
def gru(node: Node) -> ops.Op:
    """h_t = (1 - z) * o + z * h_{t-1}; gates are the rows r, o, z of the weights.

    r = f(W_r x_t + R_r h_{t-1} + b_r), z likewise, o = g(W_o x_t + R_o (r * h_{t-1}) + b_o). f is
    ``recurrent_activation`` (sigmoid by default), g ``activation`` (tanh). Results: y, the last h.

    coremltools' documentation has r * (R_o h_{t-1}) in o; its test on devices confirms what is said here.
    """
    return _gru(node, _gates(node, 3))


def _gru(node: Node, gates: GateWeights, **more: Any) -> ops.GRU:
    f, g = _activation(node, "recurrent_activation", "sigmoid"), _activation(node, "activation", "tanh")
    return ops.GRU(_order(gates, (2, 0, 1)), f, g, **_steps(node), **more)


@operation("gru", "x", "initial_h", since="CoreML8")
def gru_8(node: Node) -> ops.Op:
    """As before, with ``input_bias`` [3 * H], 0 by default, that is added to ``bias``.

    With ``reset_after`` (false by default) o = g(W_o x_t + input_bias_o + r * (R_o h_{t-1} + bias_o)).

    Open: how Apple's runtime computes this; its only test is marked as failing. Chosen: the formula of torch and Keras.
    """
    gates = _gates(node, 3)
    _expect(node, "input_bias")
    rows, hidden = gates.recursion.shape
    zeros = np.zeros(rows, gates.inputs.dtype)
    bias, added = (zeros if part is None else part for part in (gates.bias, _vector(node, "input_bias", rows)))
    together, after, recurrent = bias + added, node.flag("reset_after", False), None
    if after:
        o = slice(hidden, 2 * hidden)
        together[o], recurrent = added[o], bias[o]
    gates = GateWeights(gates.inputs, gates.recursion, together)
    return _gru(node, gates, reset_after=after, recurrent_bias=recurrent)


# ---- Simple ----


@operation("rnn", "x", "initial_h", since="CoreML7")
@operation("rnn", "x", "initial_h")
def rnn(node: Node) -> ops.Op:
    """h_t = f(W x_t + R h_{t-1} + b), with one gate; f is ``activation`` (tanh by default). Results: y, the last h."""
    return ops.SimpleRecurrent(_gates(node, 1), _activation(node, "activation", "tanh"), **_steps(node))
