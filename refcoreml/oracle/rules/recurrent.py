"""Recurrent layers: ball arithmetic, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.kernels import recurrent
from refcoreml.ops.base import Elementwise
from refcoreml.ops.recurrent import Recurrent
from refcoreml.oracle.balls import Ball, Doubles
from refcoreml.oracle.rules.table import Layer, bounded


class _Cell:
    """Balls through one step of a recurrent layer."""

    def __init__(self, layer: Layer, op: ops.SimpleRecurrent | ops.GRU | ops.LSTM, path: str = "") -> None:
        """Read W [G, H, I], R [G, H, H], b [G, H] of an operation, which is at a path within that of the layer."""
        gates, self.limit = op.gates, op.limit
        self.rounding, self.hidden = layer.rounding, gates.recursion.shape[1]
        self.weights, self.recursion = (self._by_gate(layer, f"{path}gates.{name}") for name in ("inputs", "recursion"))
        zeros = Ball.exact(np.zeros((len(self.weights.mid), self.hidden)))
        self.bias = _stored_sums(layer, self._by_gate(layer, f"{path}gates.bias")) if gates.bias is not None else zeros

    def _by_gate(self, layer: Layer, name: str) -> Ball:
        return layer.constant(name).map(lambda v: v.reshape(-1, self.hidden, *v.shape[1:]))

    def gate(self, index: int, x: Ball, h: Ball, extra: Ball | None = None) -> Ball:
        """clip(W x + R h + b [+ extra]) of one gate; x [Batch, I], h [Batch, H]."""
        total = self._total(index, x, self.recurrent(index, h))
        total = total if extra is None else self.rounding.add(total, extra)
        return self._clipped(total)

    def reset_after(self, index: int, x: Ball, h: Ball, reset: Ball, bias: Ball | None) -> Ball:
        """clip(W x + reset * (R h + bias) + b) of one gate."""
        r, product = self.rounding, self.recurrent(index, h)
        product = product if bias is None else r.add(product, bias)
        return self._clipped(self._total(index, x, r.multiply(reset, product)))

    def recurrent(self, index: int, h: Ball) -> Ball:
        """R h of one gate."""
        return self._times(index, h, self.recursion)

    def _times(self, index: int, v: Ball, w: Ball) -> Ball:
        return self.rounding.matmul(v, Ball(w.mid[index].T, w.rad[index].T))

    def _total(self, index: int, x: Ball, recurrent: Ball) -> Ball:
        r = self.rounding
        return r.add(r.add(self._times(index, x, self.weights), recurrent), self.bias.map(lambda b: b[index]))

    def _clipped(self, total: Ball) -> Ball:
        return Ball(np.clip(total.mid, -self.limit, self.limit), total.rad)

    def apply(self, function: Elementwise, x: Ball) -> Ball:
        """Return a recurrent activation; all are increasing."""
        return self.rounding.monotone(x, lambda v: np.asarray(function.compute(v)), "sigmoid")


def _stored_sums(layer: Layer, bias: Ball) -> Ball:
    """Return a bias that was added up of two, which the arithmetic's type may not hold."""
    return Ball(bias.mid, np.where(bias.rad == 0, layer.rounding.stored(bias).rad, bias.rad))


#: A step: x and the states before it to the states after it.
_Step = Callable[[Ball, tuple[Ball, ...]], tuple[Ball, ...]]


def _read(op: Recurrent, balls: list[Ball]) -> tuple[Ball, list[Ball]]:
    """x [Seq, Batch, I] and all states [Batch, H], in whatever shapes they are."""
    x = balls[0].map(lambda v: v.reshape(*v.shape[:2], -1))
    batch = (x.mid.shape[1], op.hidden)
    given = [ball.map(lambda v: np.broadcast_to(v.reshape(-1, op.hidden), batch)) for ball in balls[1:]]
    return x, [*given, *[Ball.exact(np.zeros(batch))] * (len(op.states) - len(given))]


def _over_time(x: Ball, step: _Step, states: Sequence[Ball], sequence: bool, reverse: bool) -> list[Doubles]:
    """Return the radii of y and of the last states."""
    radii, now, times = [], tuple(states), range(len(x.mid))
    for time in reversed(times) if reverse else times:
        now = step(Ball(x.mid[time], x.rad[time]), now)
        radii.append(now[0].rad)
    return [np.stack(radii if sequence else radii[-1:]), *(state.rad for state in now)]


def _shaped(radii: Sequence[Doubles], results: list[Doubles]) -> list[Doubles]:
    return [rad.reshape(result.shape) for rad, result in zip(radii, results, strict=True)]


@bounded("composite", ops.SimpleRecurrent)
def _simple_recurrent(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    op = layer.op
    assert isinstance(op, ops.SimpleRecurrent)
    cell = _Cell(layer, op)

    def step(v: Ball, s: tuple[Ball, ...]) -> tuple[Ball, ...]:
        return (cell.apply(op.f, cell.gate(0, v, s[0])),)

    x, states = _read(op, balls)
    return _shaped(_over_time(x, step, states, op.sequence, op.reverse), results)


@bounded("composite", ops.GRU)
def _gru(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    op, r = layer.op, layer.rounding
    assert isinstance(op, ops.GRU)
    cell = _Cell(layer, op)
    bias = None if op.recurrent_bias is None else layer.constant("recurrent_bias")

    def step(v: Ball, s: tuple[Ball, ...]) -> tuple[Ball, ...]:
        update, reset = (cell.apply(op.f, cell.gate(index, v, s[0])) for index in (0, 1))
        if op.reset_after:
            output = cell.apply(op.g, cell.reset_after(2, v, s[0], reset, bias))
        else:
            output = cell.apply(op.g, cell.gate(2, v, r.multiply(reset, s[0])))
        kept = r.multiply(update, s[0])
        return (r.add(r.multiply(r.subtract(Ball.exact(1.0), update), output), kept),)

    x, states = _read(op, balls)
    return _shaped(_over_time(x, step, states, op.sequence, op.reverse), results)


def _lstm_step(layer: Layer, op: ops.LSTM, path: str) -> _Step:
    """Return a step of the LSTM at a path within the operation of the layer."""
    cell, r, limit = _Cell(layer, op, path), layer.rounding, op.cell_clip
    peepholes = None if op.peepholes is None else layer.constant(f"{path}peepholes")

    def gated(gate: int, v: Ball, h: Ball, c: Ball, peephole: int) -> Ball:
        extra = None if peepholes is None else r.multiply(peepholes.map(lambda p: p[peephole]), c)
        return cell.apply(op.f, cell.gate(gate, v, h, extra))

    def step(v: Ball, s: tuple[Ball, ...]) -> tuple[Ball, ...]:
        h, c = s
        i = gated(0, v, h, c, 0)
        forget = r.subtract(Ball.exact(1.0), i) if op.coupled else gated(1, v, h, c, 1)
        z = cell.apply(op.g, cell.gate(-1, v, h))
        c = r.add(r.multiply(forget, c), r.multiply(i, z))
        c = Ball(np.clip(c.mid, -limit, limit), c.rad)
        return r.multiply(gated(-2, v, h, c, -1), cell.apply(op.h, c)), c

    return step


@bounded("composite", ops.LSTM)
def _lstm(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    op = layer.op
    assert isinstance(op, ops.LSTM)
    x, states = _read(op, balls)
    return _shaped(_over_time(x, _lstm_step(layer, op, ""), states, op.sequence, op.reverse), results)


@bounded("composite", ops.BidirectionalLSTM)
def _bidirectional(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    op = layer.op
    assert isinstance(op, ops.BidirectionalLSTM)
    if op.joined:  # h and c, both directions side by side
        halves = [zip(np.split(ball.mid, 2, -1), np.split(ball.rad, 2, -1), strict=True) for ball in balls[1:]]
        sides = [[Ball(*half) for half in pair] for pair in halves]
        balls = [balls[0], *(pair[side] for side in range(2) for pair in sides)]
    x, states = _read(op, balls)
    (y, *last), (y_back, *last_back) = (
        _over_time(x, _lstm_step(layer, one, path), some, one.sequence, one.reverse)
        for one, path, some in ((op.forward, "forward.", states[:2]), (op.backward, "backward.", states[2:]))
    )
    both: Doubles = np.asarray(recurrent.both_directions(y, y_back), np.float64)
    if op.joined:
        joined = [np.concatenate(pair, -1) for pair in zip(last, last_back, strict=True)]
        return _shaped([both, *joined], results)
    return _shaped([both, *last, *last_back], results)
