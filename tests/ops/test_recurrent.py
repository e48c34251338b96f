"""Recurrent networks as programs have them: without bounds, joined directions, the reset gate after the product."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support import integers

from refcoreml import ops
from refcoreml.errors import InvalidModelError
from refcoreml.kernels.recurrent import GateWeights
from refcoreml.types import TensorType

LENGTH, BATCH, INPUTS, HIDDEN = 3, 2, 5, 4
X = integers((LENGTH, BATCH, INPUTS), 1)
H, C = integers((BATCH, HIDDEN), 2), integers((BATCH, HIDDEN), 3)
LINEAR, BOUNDED = ops.Affine(1.0, 0.0), ops.Clip(-1.0, 1.0)


def gates(count: int, seed: int) -> GateWeights:
    shapes = [(count * HIDDEN, INPUTS), (count * HIDDEN, HIDDEN), (count * HIDDEN,)]
    return GateWeights(*(integers(shape, seed + k, -2, 3) for k, shape in enumerate(shapes)))


def rows(weights: GateWeights, gate: int, x: Any, h: Any) -> Any:
    """W x + R h + b of one gate."""
    part = slice(gate * HIDDEN, (gate + 1) * HIDDEN)
    assert weights.bias is not None
    return x @ weights.inputs[part].T + h @ weights.recursion[part].T + weights.bias[part]


def bounded(v: Any) -> Any:
    return np.clip(v, -1, 1)


def lstm(weights: GateWeights, x: Any, h: Any, c: Any, p: Any, clip: float = np.inf) -> Any:
    """Gates in the order i, f, o, z; without a bound of what activations are given."""
    steps = []
    for v in x:
        i = bounded(rows(weights, 0, v, h) + p[0] * c)
        forget = bounded(rows(weights, 1, v, h) + p[1] * c)
        c = np.clip(forget * c + i * rows(weights, 3, v, h), -clip, clip)
        o = bounded(rows(weights, 2, v, h) + p[2] * c)
        h = o * c
        steps.append(h)
    return np.stack(steps), h, c


@pytest.mark.parametrize("clip", [np.inf, 7.0])
@pytest.mark.parametrize("peephole", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("sequence", [False, True])
def test_an_lstm_without_bounds(sequence: bool, reverse: bool, peephole: bool, clip: float) -> None:
    """In reverse the first row is that of the last time step."""
    weights, p = gates(4, 10), integers((3, HIDDEN), 5) if peephole else np.zeros((3, HIDDEN))
    op = ops.LSTM(
        weights, BOUNDED, LINEAR, LINEAR, p if peephole else None, False, clip, sequence, reverse, limit=np.inf
    )
    x = 30 * X  # beyond the bound of 50 that networks have
    found = op.run(x, H, C)
    assert op.infer(*map(TensorType.of, (x, H, C))) == tuple(map(TensorType.of, found))
    y, h, c = lstm(weights, x[::-1] if reverse else x, H, C, p, clip)
    for ours, theirs in zip(found, (y if sequence else y[-1:], h, c), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert np.abs(rows(weights, 3, x[0], H)).max() > 50


@pytest.mark.parametrize("sequence", [False, True])
def test_states_of_both_directions_are_joined(sequence: bool) -> None:
    forward, backward = gates(4, 10), gates(4, 20)
    none = np.zeros((3, HIDDEN))
    how = {"sequence": sequence, "limit": np.inf, "cell_clip": np.inf}
    op = ops.BidirectionalLSTM(
        ops.LSTM(forward, BOUNDED, LINEAR, LINEAR, **how),
        ops.LSTM(backward, BOUNDED, LINEAR, LINEAR, reverse=True, **how),
        joined=True,
    )
    h, c = integers((BATCH, 2 * HIDDEN), 6), integers((BATCH, 2 * HIDDEN), 7)
    found = op.run(X, h, c)
    assert op.infer(*map(TensorType.of, (X, h, c))) == tuple(map(TensorType.of, found))
    y, *last = lstm(forward, X, h[:, :HIDDEN], c[:, :HIDDEN], none)
    z, *first = lstm(backward, X[::-1], h[:, HIDDEN:], c[:, HIDDEN:], none)
    both = np.concatenate([y, z[::-1]], -1)
    ends = np.concatenate([y[-1:], z[-1:]], -1)  # forward after the last, backward after the first time step
    np.testing.assert_array_equal(found[0], both if sequence else ends)
    for ours, pair in zip(found[1:], zip(last, first, strict=True), strict=True):
        np.testing.assert_array_equal(ours, np.concatenate(pair, -1))
    with pytest.raises(InvalidModelError, match=r"the cell state has the shape \(2, 4\), expected \(2, 8\)"):
        op.infer(TensorType.of(X), TensorType.of(h), TensorType.of(C))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_the_reset_gate_acts_before_or_after_the_product(after: bool, bias: bool) -> None:
    weights = gates(3, 30)
    recurrent = integers((HIDDEN,), 8) if bias and after else None
    op = ops.GRU(weights, BOUNDED, LINEAR, limit=np.inf, reset_after=after, recurrent_bias=recurrent)
    assert weights.bias is not None
    w, r, b = (part[2 * HIDDEN :] for part in (weights.inputs, weights.recursion, weights.bias))
    h = H
    for x, ours in zip(30 * X, op.run(30 * X, H)[0], strict=True):
        z, reset = bounded(rows(weights, 0, x, h)), bounded(rows(weights, 1, x, h))
        product = reset * (h @ r.T + (0 if recurrent is None else recurrent)) if after else (reset * h) @ r.T
        h = (1 - z) * (x @ w.T + product + b) + z * h
        np.testing.assert_array_equal(ours, h)
    with pytest.raises(InvalidModelError, match="a recurrent bias needs a reset gate after the product"):
        ops.GRU(weights, BOUNDED, LINEAR, recurrent_bias=np.zeros(HIDDEN))


@pytest.mark.parametrize("reverse", [False, True])
def test_a_simple_recurrent_network_without_bounds(reverse: bool) -> None:
    weights, h = gates(1, 40), H
    y, last = ops.SimpleRecurrent(weights, LINEAR, True, reverse, np.inf).run(30 * X, H)
    for x, ours in zip(30 * (X[::-1] if reverse else X), y, strict=True):
        h = rows(weights, 0, x, h)
        np.testing.assert_array_equal(ours, h)
    np.testing.assert_array_equal(last, h)
