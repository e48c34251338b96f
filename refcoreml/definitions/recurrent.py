"""Recurrent networks, step by step over time: x [Seq, Batch, I], states [Batch, H].

Weights of G gates: W [G, H, I] for the input, R [G, H, H] for the state, b [G, H]. Each function returns the states of
all steps in the order of processing if ``sequence``, else that of the last one; then the last states. With ``reverse``
it runs from the last x to the first.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refcoreml.types import Array

#: A function from numbers to numbers, place by place.
Function = Callable[[Array], Array]


def _product(w: Array, x: Array) -> Array:
    """Return W x for each item of the batch."""
    y = np.zeros((len(x), len(w)))
    for n, unit in np.ndindex(*y.shape):
        for i in range(x.shape[1]):
            y[n, unit] += w[unit, i] * x[n, i]
    return y


def _gate(x: Array, h: Array, w: Array, r: Array, b: Array, limit: float, peephole: Array | float = 0.0) -> Array:
    """clip(W x + R h + b + peephole) for each item of the batch, clip to [-limit, limit]."""
    return np.clip(_product(w, x) + _product(r, h) + b + peephole, -limit, limit)


def simple_recurrent(
    x: Array, h: Array, w: Array, r: Array, b: Array, f: Function, sequence: bool, reverse: bool, limit: float = 50
) -> tuple[Array, Array]:
    """h_t = f(clip(W x_t + R h_{t-1} + b)), clip to [-limit, limit]."""
    steps = []
    for v in x[::-1] if reverse else x:
        h = f(_gate(v, h, w[0], r[0], b[0], limit))
        steps.append(h)
    return np.stack(steps if sequence else steps[-1:]), h


def gru(
    x: Array,
    h: Array,
    w: Array,
    r: Array,
    b: Array,
    f: Function,
    g: Function,
    sequence: bool,
    reverse: bool,
    limit: float = 50,
    reset_after: bool = False,
    recurrent_bias: Array | float = 0,
) -> tuple[Array, Array]:
    """h_t = (1 - z) * o + z * h_{t-1}, with the reset gate applied before the recurrent product, or after it:

    z = f(clip(W_z x_t + R_z h_{t-1} + b_z)), reset = f(clip(W_r x_t + R_r h_{t-1} + b_r)),
    o = g(clip(W_o x_t + R_o (reset * h_{t-1}) + b_o)), or g(clip(W_o x_t + reset * (R_o h_{t-1} + recurrent_bias) +
    b_o)), clip to [-limit, limit]. The gates are z, r, o.
    """
    steps = []
    for v in x[::-1] if reverse else x:
        z = f(_gate(v, h, w[0], r[0], b[0], limit))
        reset = f(_gate(v, h, w[1], r[1], b[1], limit))
        if reset_after:
            o = g(np.clip(_product(w[2], v) + reset * (_product(r[2], h) + recurrent_bias) + b[2], -limit, limit))
        else:
            o = g(_gate(v, reset * h, w[2], r[2], b[2], limit))
        h = (1 - z) * o + z * h
        steps.append(h)
    return np.stack(steps if sequence else steps[-1:]), h


def lstm(
    x: Array,
    h: Array,
    c: Array,
    w: Array,
    r: Array,
    b: Array,
    p: Array,
    f: Function,
    g: Function,
    activate: Function,
    coupled: bool,
    cell_clip: float,
    sequence: bool,
    reverse: bool,
    limit: float = 50,
) -> tuple[Array, Array, Array]:
    """c_t = clip_c(forget * c_{t-1} + i * z), h_t = activate(c_t) * o, clip_c to [-cell_clip, cell_clip], with

    i = f(clip(W_i x_t + R_i h_{t-1} + p_i * c_{t-1} + b_i)), forget likewise, or if coupled 1 - i;
    z = g(clip(W_z x_t + R_z h_{t-1} + b_z)), o = f(clip(W_o x_t + R_o h_{t-1} + p_o * c_t + b_o)), clip to
    [-limit, limit].
    The gates are i, forget, o, z, without forget if coupled; of the peepholes p all but that of z.
    """
    steps = []
    for v in x[::-1] if reverse else x:
        i = f(_gate(v, h, w[0], r[0], b[0], limit, p[0] * c))
        forget = 1 - i if coupled else f(_gate(v, h, w[1], r[1], b[1], limit, p[1] * c))
        z = g(_gate(v, h, w[-1], r[-1], b[-1], limit))
        c = np.clip(forget * c + i * z, -cell_clip, cell_clip)
        o = f(_gate(v, h, w[-2], r[-2], b[-2], limit, p[-1] * c))
        h = activate(c) * o
        steps.append(h)
    return np.stack(steps if sequence else steps[-1:]), h, c


def both_directions(forward: Array, backward: Array) -> Array:
    """y_t = (forward_t, backward_t), where the second was made from the last step to the first."""
    y = np.zeros((*forward.shape[:2], 2 * forward.shape[2]))
    for t in range(len(y)):
        y[t, :, : forward.shape[2]] = forward[t]
        y[t, :, forward.shape[2] :] = backward[len(y) - 1 - t]
    return y
