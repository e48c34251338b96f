"""Recurrent networks: x [Seq, Batch, I], states [Batch, H]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np

from refcoreml import definitions
from refcoreml.kernels import recurrent as kernels
from refcoreml.kernels.recurrent import GateWeights
from refcoreml.ops.base import Elementwise, Op, check_floats, require
from refcoreml.types import Array, Shape, TensorType


class _Recurrent(Op):
    """What recurrent operations have in common.

    Inputs: x [Seq, Batch, I]; the states before the first step, each [Batch, H], or [1, H] for all items of the batch;
    zeros for those that are left out. Results: y [Seq, Batch, H] if `sequence`, else [1, Batch, H]; the last states.

    Class attributes:
        states: what the inputs after the first are; the results after the first are the same.
        directions: how many runs stand side by side in y.
    """

    states: ClassVar[tuple[str, ...]] = ("hidden state",)
    directions: ClassVar[int] = 1
    fresh = True

    @property
    def _first(self) -> SimpleRecurrent | GRU | LSTM:
        """The operation of the first direction."""
        assert isinstance(self, SimpleRecurrent | GRU | LSTM)
        return self

    @property
    def hidden(self) -> int:
        """The length H of a state."""
        return int(self._first.gates.recursion.shape[1])

    @property
    def inputs(self) -> int:
        """The length I of what each step reads."""
        return int(self._first.gates.inputs.shape[1])

    def infer(self, x: TensorType, *states: TensorType) -> tuple[TensorType, ...]:
        check_floats(x, *states)
        hidden = self.hidden
        require(x.rank == 3 and x.shape[2] == self.inputs, f"expected x [Seq, Batch, {self.inputs}], got {x.shape}")
        length, batch, _ = x.shape
        require(len(states) <= len(self.states), f"got {len(states)} states, expected at most {len(self.states)}")
        for role, state in zip(self.states, states, strict=False):
            require(
                state.shape in ((batch, hidden), (1, hidden)),
                f"the {role} has the shape {state.shape}, expected {(batch, hidden)}",
            )
        y = (length if self._first.sequence else 1, batch, self.directions * hidden)
        return (x.with_shape(y), *[x.with_shape((batch, hidden))] * len(self.states))

    def _started(self, x: Array, states: Sequence[Array]) -> list[Array]:
        """Return all states before the first step, [Batch, H]."""
        shape = (x.shape[1], self.hidden)
        zeros = [np.zeros(shape, x.dtype)] * (len(self.states) - len(states))
        return [*(np.broadcast_to(state, shape) for state in states), *zeros]

    def work(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        """Return a multiplication for each step, item of the batch, and weight."""
        gates = self._first.gates
        return inputs[0][0] * inputs[0][1] * (gates.inputs.size + gates.recursion.size)


@dataclass(frozen=True, eq=False)
class SimpleRecurrent(_Recurrent):
    """h_t = f(clip(W x_t + R h_{t-1} + b)), clip to [-limit, limit].

    Attributes:
        gates: W, R and b.
        f: the activation.
        sequence: whether y holds every step, in the order of processing, or the last one.
        reverse: whether to run from the last x to the first.
        limit: the bound of what activations are given; infinite for none.
    """

    gates: GateWeights
    f: Elementwise
    sequence: bool = True
    reverse: bool = False
    limit: float = kernels.PRE_ACTIVATION_LIMIT

    def run(self, x: Array, *states: Array) -> tuple[Array, ...]:
        (h,) = self._started(x, states)
        how = {"sequence": self.sequence, "reverse": self.reverse}
        return kernels.simple_recurrent(x, h, weights=self.gates, f=self.f.compute, limit=self.limit, **how)

    def define(self, x: Array, *states: Array) -> tuple[Array, ...]:
        (h,) = self._started(x, states)
        how = (self.sequence, self.reverse, self.limit)
        return definitions.simple_recurrent(x, h, *_by_gate(self.gates), self.f.define, *how)


@dataclass(frozen=True, eq=False)
class GRU(_Recurrent):
    """h_t = (1 - z) * o + z * h_{t-1}, o = g(clip(W_o x_t + R_o (r * h_{t-1}) + b_o)), clip to [-limit, limit];

    z and r = f(clip(W x_t + R h_{t-1} + b)) with their own weights. The reset gate acts before the recurrent product,
    or after it: o = g(clip(W_o x_t + r * (R_o h_{t-1} + recurrent_bias) + b_o)).

    Attributes:
        gates: the weights of z, r, o.
        f, g: the activations.
        sequence, reverse, limit: as of `SimpleRecurrent`.
        reset_after: whether the reset gate acts after the product.
        recurrent_bias: [H], or None for 0; only if it does.
    """

    gates: GateWeights
    f: Elementwise
    g: Elementwise
    sequence: bool = True
    reverse: bool = False
    limit: float = kernels.PRE_ACTIVATION_LIMIT
    reset_after: bool = False
    recurrent_bias: Array | None = None

    def __post_init__(self) -> None:
        bias = self.recurrent_bias
        require(self.reset_after or bias is None, "a recurrent bias needs a reset gate after the product")
        require(bias is None or bias.shape == (self.hidden,), f"expected a recurrent bias of {self.hidden} numbers")

    def run(self, x: Array, *states: Array) -> tuple[Array, ...]:
        (h,) = self._started(x, states)
        f, g = self.f.compute, self.g.compute
        return kernels.gru(
            *(x, h),
            weights=self.gates,
            f=f,
            g=g,
            sequence=self.sequence,
            reverse=self.reverse,
            limit=self.limit,
            reset_after=self.reset_after,
            recurrent_bias=self.recurrent_bias,
        )

    def define(self, x: Array, *states: Array) -> tuple[Array, ...]:
        (h,) = self._started(x, states)
        weights, functions = _by_gate(self.gates), (self.f.define, self.g.define)
        return definitions.gru(
            *(x, h),
            *weights,
            *functions,
            sequence=self.sequence,
            reverse=self.reverse,
            limit=self.limit,
            reset_after=self.reset_after,
            recurrent_bias=0.0 if self.recurrent_bias is None else self.recurrent_bias,
        )


@dataclass(frozen=True, eq=False)
class LSTM(_Recurrent):
    """c_t = clip_c(forget * c_{t-1} + i * z), h_t = h(c_t) * o, clip_c to [-cell_clip, cell_clip];

    i = f(clip(W_i x_t + R_i h_{t-1} + p_i * c_{t-1} + b_i)), forget likewise, z = g(clip(W_z x_t + R_z h_{t-1} + b_z)),
    o = f(clip(W_o x_t + R_o h_{t-1} + p_o * c_t + b_o)), clip to [-limit, limit]. The states are
    h and c.

    Attributes:
        gates: the weights of i, forget, o, z; coupled: of i, o, z.
        f, g, h: the activations.
        peepholes: p_i, p_forget, p_o, [3, H]; coupled: p_i, p_o, [2, H]; None for 0.
        coupled: whether forget is 1 - i.
        cell_clip: the bound of c, 0 or more; infinite for none.
        sequence, reverse, limit: as of `SimpleRecurrent`.
    """

    gates: GateWeights
    f: Elementwise
    g: Elementwise
    h: Elementwise
    peepholes: Array | None = None
    coupled: bool = False
    cell_clip: float = 50.0
    sequence: bool = True
    reverse: bool = False
    limit: float = kernels.PRE_ACTIVATION_LIMIT

    states = ("hidden state", "cell state")

    def run(self, x: Array, *states: Array) -> tuple[Array, ...]:
        h, c = self._started(x, states)
        return kernels.lstm(
            x,
            h,
            c,
            weights=self.gates,
            functions=[self.f.compute, self.g.compute, self.h.compute],
            peepholes=None if self.peepholes is None else list(self.peepholes),
            coupled=self.coupled,
            cell_clip=self.cell_clip,
            sequence=self.sequence,
            reverse=self.reverse,
            limit=self.limit,
        )

    def define(self, x: Array, *states: Array) -> tuple[Array, ...]:
        h, c = self._started(x, states)
        weights = _by_gate(self.gates)
        peepholes = np.zeros((3, self.hidden)) if self.peepholes is None else self.peepholes
        functions = self.f.define, self.g.define, self.h.define
        return definitions.lstm(
            *(x, h, c),
            *weights,
            peepholes,
            *functions,
            coupled=self.coupled,
            cell_clip=self.cell_clip,
            sequence=self.sequence,
            reverse=self.reverse,
            limit=self.limit,
        )


@dataclass(frozen=True, eq=False)
class BidirectionalLSTM(_Recurrent):
    """y_t = (h_t, h'_t): h of one LSTM, h' of one that runs from the last x on.

    y [Seq, Batch, 2 * H] is in the order of time; of the last steps [1, Batch, 2 * H], h' after the first x. States:
    h, c, h', c'; or joined, with both directions side by side, h and c [Batch, 2 * H], both or none.

    Attributes:
        forward: the LSTM of h.
        backward: that of h', which is run in reverse; as forward, y holds every step or the last.
        joined: whether states are joined.
    """

    forward: LSTM
    backward: LSTM
    joined: bool = False

    states = (*LSTM.states, "hidden state of the backward LSTM", "cell state of the backward LSTM")
    directions = 2

    @property
    def _first(self) -> LSTM:
        return self.forward

    def infer(self, x: TensorType, *states: TensorType) -> tuple[TensorType, ...]:
        if not self.joined:
            return super().infer(x, *states)
        y, half, *_ = super().infer(x)
        batch, hidden = half.shape
        check_floats(x, *states)
        require(len(states) in (0, 2), f"got {len(states)} states, expected the hidden and the cell state, or none")
        for role, state in zip(LSTM.states, states, strict=False):
            require(
                state.shape in ((batch, 2 * hidden), (1, 2 * hidden)),
                f"the {role} has the shape {state.shape}, expected {(batch, 2 * hidden)}",
            )
        return y, *[x.with_shape((batch, 2 * hidden))] * 2

    def _parted(self, x: Array, states: Sequence[Array]) -> list[Array]:
        """Return h, c, h', c' before the first step."""
        if self.joined:
            halves = [np.split(state, 2, -1) for state in states]
            states = [pair[side] for side in range(2) for pair in halves]
        return self._started(x, states)

    def _side_by_side(self, last: Sequence[Array]) -> tuple[Array, ...]:
        """Return the results after y."""
        return tuple(np.concatenate([last[i], last[i + 2]], -1) for i in range(2)) if self.joined else tuple(last)

    def work(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        """Return the work of both."""
        return self.forward.work(inputs, outputs) + self.backward.work(inputs, outputs)

    def run(self, x: Array, *states: Array) -> tuple[Array, ...]:
        given = self._parted(x, states)
        (y, *last), (y_back, *last_back) = self.forward.run(x, *given[:2]), self.backward.run(x, *given[2:])
        return kernels.both_directions(y, y_back), *self._side_by_side([*last, *last_back])

    def define(self, x: Array, *states: Array) -> tuple[Array, ...]:
        given = self._parted(x, states)
        (y, *last), (y_back, *last_back) = self.forward.define(x, *given[:2]), self.backward.define(x, *given[2:])
        return definitions.both_directions(y, y_back), *self._side_by_side([*last, *last_back])


#: All of them.
Recurrent: TypeAlias = SimpleRecurrent | GRU | LSTM | BidirectionalLSTM


def _by_gate(gates: GateWeights) -> tuple[Array, Array, Array]:
    """Return W [G, H, I], R [G, H, H], b [G, H] in double precision."""
    hidden = gates.recursion.shape[1]

    def divided(part: Array) -> Array:
        return np.asarray(part, np.float64).reshape(-1, hidden, *part.shape[1:])

    bias = np.zeros(len(gates.recursion)) if gates.bias is None else gates.bias
    return divided(gates.inputs), divided(gates.recursion), divided(bias)
