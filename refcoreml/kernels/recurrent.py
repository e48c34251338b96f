"""Recurrent networks: simple recurrent, GRU, LSTM. Only time is a loop; all inputs enter in one product."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from refcoreml.kernels.threads import matmul
from refcoreml.types import Array

#: An elementwise function called as ``f(x, out=x)``: it overwrites its argument.
Activation: TypeAlias = Callable[..., Array]

#: One step: gets the step's input products [Batch, G, H] and the last hidden state, writes the new state to the third.
_Step: TypeAlias = Callable[[Array, Array, Array], None]

#: Bound of what the activations of the gates are given, if no other is.
PRE_ACTIVATION_LIMIT = 50.0

#: Input products are made for all steps at once, but no more numbers than this: it bounds the memory of long sequences.
_PRODUCTS_AT_ONCE = 1 << 24

#: For fewer states than this, one matrix-vector product each is faster than BLAS's matrix product.
_BATCH_FOR_MATRIX_PRODUCT = 8


@dataclass(frozen=True)
class GateWeights:
    """The weights of all G gates side by side, so that one product serves them all.

    Attributes:
        inputs: [G * H, I], multiplies the input vectors: W of the formulas.
        recursion: [G * H, H], multiplies the hidden state: R of the formulas.
        bias: [G * H], or None for zero.
    """

    inputs: Array
    recursion: Array
    bias: Array | None = None

    @staticmethod
    def stack(
        inputs: Sequence[Array], recursion: Sequence[Array], biases: Sequence[Array] | None = None
    ) -> GateWeights:
        """Stack one matrix [H, I], one matrix [H, H] and one vector [H] per gate, in the order of the kernel."""
        return GateWeights(
            np.concatenate(inputs), np.concatenate(recursion), None if biases is None else np.concatenate(biases)
        )


def _recur(recursion: Array, h: Array, out: Array) -> None:
    """Write R h [Batch, G * H] for every state of h [Batch, H]."""
    if len(h) < _BATCH_FOR_MATRIX_PRODUCT:
        matmul(recursion, h[:, :, None], out=out[:, :, None])
    else:
        matmul(h, recursion.T, out=out)


def _clip(x: Array, limit: float) -> None:
    if math.isinf(limit):
        return
    bound = x.dtype.type(limit)
    np.minimum(x, bound, out=x)
    np.maximum(x, -bound, out=x)


def _unroll(
    x: Array, h: Array, weights: GateWeights, step: _Step, *, sequence: bool, reverse: bool
) -> tuple[Array, Array]:
    """Run the step over time; return (y, last hidden state), sharing no memory with each other or the arguments."""
    length, batch, size = x.shape
    hidden = h.shape[-1]
    y = np.empty((length if sequence else 1, batch, hidden), x.dtype)
    # Products of arrays with gaps would be left to slower loops, with other rounding.
    x, h = np.ascontiguousarray(x[::-1] if reverse else x), np.ascontiguousarray(h)
    steps_at_once = max(1, _PRODUCTS_AT_ONCE // (batch * len(weights.inputs)))
    for start in range(0, length, steps_at_once):
        products = matmul(x[start : start + steps_at_once].reshape(-1, size), weights.inputs.T)
        if weights.bias is not None:
            products += weights.bias
        for position, product in enumerate(products.reshape(-1, batch, products.shape[1] // hidden, hidden), start):
            out = y[position if sequence else 0]
            step(product, h, out)
            h = out
    return y, h.copy()


def simple_recurrent(
    x: Array,
    h: Array,
    weights: GateWeights,
    f: Activation,
    *,
    sequence: bool,
    reverse: bool = False,
    limit: float = PRE_ACTIVATION_LIMIT,
) -> tuple[Array, Array]:
    """h_t = f(clip(W x_t + R h_{t-1} + b)).

    Args:
        x: [Seq, Batch, I], Seq >= 1.
        h: [Batch, H], the state before the first step.
        weights: of the only gate.
        f: activation; clip bounds its argument to [-limit, limit].
        sequence: whether to return the states after all steps, or after the last one.
        reverse: whether to run from the last x to the first.
        limit: see f.

    Returns:
        y [Seq or 1, Batch, H], in the order of processing; the last state [Batch, H]. In the type of x.
    """

    def step(product: Array, h: Array, out: Array) -> None:
        _recur(weights.recursion, h, gate)
        np.add(gate, product[:, 0], out=out)
        _clip(out, limit)
        f(out, out=out)

    gate = np.empty(h.shape, x.dtype)
    return _unroll(x, h, weights, step, sequence=sequence, reverse=reverse)


def gru(
    x: Array,
    h: Array,
    weights: GateWeights,
    f: Activation,
    g: Activation,
    *,
    sequence: bool,
    reverse: bool = False,
    limit: float = PRE_ACTIVATION_LIMIT,
    reset_after: bool = False,
    recurrent_bias: Array | None = None,
) -> tuple[Array, Array]:
    """h_t = (1 - z) * o + z * h_{t-1}, with the reset gate applied before the recurrent product, or after it:

    z = f(clip(W_z x_t + R_z h_{t-1} + b_z)), r = f(clip(W_r x_t + R_r h_{t-1} + b_r)),
    o = g(clip(W_o x_t + R_o (r * h_{t-1}) + b_o)), or g(clip(W_o x_t + r * (R_o h_{t-1} + recurrent_bias) + b_o)).

    Args:
        x: [Seq, Batch, I], Seq >= 1.
        h: [Batch, H], the state before the first step.
        weights: of the gates z, r, o.
        f: activation of z and r; clip bounds its argument to [-limit, limit].
        g: activation of o; likewise.
        sequence: whether to return the states after all steps, or after the last one.
        reverse: whether to run from the last x to the first.
        limit: see f.
        reset_after: whether the reset gate acts after the product.
        recurrent_bias: [H], or None for 0; only with ``reset_after``.

    Returns:
        y [Seq or 1, Batch, H], in the order of processing; the last state [Batch, H]. In the type of x.
    """
    batch, hidden = h.shape
    gates, o = np.empty((batch, 2, hidden), x.dtype), np.empty((batch, hidden), x.dtype)
    z, r = gates[:, 0], gates[:, 1]
    recursion, recursion_o = weights.recursion[: 2 * hidden], weights.recursion[2 * hidden :]
    one = x.dtype.type(1)

    def step(product: Array, h: Array, out: Array) -> None:
        _recur(recursion, h, gates.reshape(batch, -1))
        np.add(gates, product[:, :2], out=gates)
        _clip(gates, limit)
        f(gates, out=gates)
        if reset_after:
            _recur(recursion_o, h, o)
            if recurrent_bias is not None:
                np.add(o, recurrent_bias, out=o)
            np.multiply(r, o, out=o)
        else:
            np.multiply(r, h, out=r)
            _recur(recursion_o, r, o)
        np.add(o, product[:, 2], out=o)
        _clip(o, limit)
        g(o, out=o)
        np.multiply(z, h, out=out)
        np.subtract(one, z, out=z)
        np.multiply(z, o, out=z)
        np.add(z, out, out=out)

    return _unroll(x, h, weights, step, sequence=sequence, reverse=reverse)


def lstm(
    x: Array,
    h: Array,
    c: Array,
    weights: GateWeights,
    functions: Sequence[Activation],
    *,
    peepholes: Sequence[Array] | None = None,
    coupled: bool = False,
    cell_clip: float = 50.0,
    sequence: bool,
    reverse: bool = False,
    limit: float = PRE_ACTIVATION_LIMIT,
) -> tuple[Array, Array, Array]:
    """c_t = clip_c(forget * c_{t-1} + i * z), h_t = h(c_t) * o, with

    i = f(clip(W_i x_t + R_i h_{t-1} + p_i * c_{t-1} + b_i)), forget likewise with W_f, R_f, p_f, b_f (coupled: 1 - i),
    z = g(clip(W_z x_t + R_z h_{t-1} + b_z)), o = f(clip(W_o x_t + R_o h_{t-1} + p_o * c_t + b_o)).

    Args:
        x: [Seq, Batch, I], Seq >= 1.
        h: [Batch, H], the hidden state before the first step.
        c: [Batch, H], the cell state before the first step.
        weights: of the gates i, forget, o, z; coupled: of i, o, z.
        functions: the activations f, g, h; clip bounds the arguments of f and g to [-limit, limit].
        peepholes: vectors [H]: p_i, p_f, p_o; coupled: p_i, p_o; or None for zeros.
        coupled: whether the forget gate is 1 - i.
        cell_clip: bound of the absolute cell state, >= 0.
        sequence: whether to return the states after all steps, or after the last one.
        reverse: whether to run from the last x to the first.
        limit: see functions.

    Returns:
        y [Seq or 1, Batch, H], in the order of processing; the last h and c [Batch, H]. In the type of x.
    """
    f, g, activate_output = functions
    batch, hidden = h.shape
    gates = np.empty((batch, 3 if coupled else 4, hidden), x.dtype)
    # The gates i and forget look at the old cell state, o at the new one, the block input z at none.
    early, o, z = gates[:, :-2], gates[:, -2], gates[:, -1]
    i, forget = gates[:, 0], np.empty(h.shape, x.dtype) if coupled else gates[:, 1]
    c = c.copy()
    p_early = None if peepholes is None else np.stack(peepholes[:-1])
    one = x.dtype.type(1)

    def step(product: Array, h: Array, out: Array) -> None:
        _recur(weights.recursion, h, gates.reshape(batch, -1))
        np.add(gates, product, out=gates)
        if p_early is None:
            _clip(gates, limit)
            f(gates[:, :-1], out=gates[:, :-1])
        else:
            np.add(early, p_early * c[:, None], out=early)
            _clip(early, limit)
            _clip(z, limit)
            f(early, out=early)
        g(z, out=z)
        if coupled:
            np.subtract(one, i, out=forget)
        np.multiply(c, forget, out=c)
        np.multiply(z, i, out=z)
        np.add(c, z, out=c)
        _clip(c, cell_clip)
        if peepholes is not None:
            np.add(o, peepholes[-1] * c, out=o)
            _clip(o, limit)
            f(o, out=o)
        activate_output(c, out=out)
        np.multiply(out, o, out=out)

    y, last = _unroll(x, h, weights, step, sequence=sequence, reverse=reverse)
    return y, last, c


def both_directions(forward: Array, backward: Array) -> Array:
    """y_t = (forward_t, backward_t): joins the outputs of two runs, the second of which read the sequence from its end.

    Args:
        forward: [Seq or 1, Batch, H].
        backward: the same shape, in the order of processing; it is turned to that of time here.

    Returns:
        [Seq or 1, Batch, 2 * H]. For a sequence of 1, the last states: forward at the last step, backward at the first.
    """
    return np.concatenate([forward, backward[::-1]], axis=-1)
