"""Honest implementations: the same model in a profile's arithmetic, with sums in other orders, roundings elsewhere.

They run on the engine in single precision; operations whose results depend on an order or a formula are computed anew
by a method of their own, and half precision is rounded after every operation, or after some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import numpy as np

from refcoreml import ops
from refcoreml.execution.engine import Event
from refcoreml.execution.steps import Step
from refcoreml.judge.noise import operation_of
from refcoreml.judge.subjects import Subject, subject_of
from refcoreml.kernels import recurrent
from refcoreml.kernels.half import round_to_half
from refcoreml.model import Model
from refcoreml.oracle.profiles import PROFILES
from refcoreml.oracle.storage import round_weights
from refcoreml.spec import schema
from refcoreml.types import Array, TensorType

__all__ = ["IMPLEMENTATIONS", "Implementation"]

#: Sums of more steps, or with more numbers in all, are left as they are.
_MOST_TERMS, _MOST_WORK = 5000, 3e8

#: Operations with sums in each step.
_RECURRENT = (ops.SimpleRecurrent, ops.GRU, ops.LSTM, ops.BidirectionalLSTM)

#: From the number of terms to the blocks in which they are added up, one after another, and then the blocks.
Order = Callable[[int], list[Any]]

#: Changes a result of a step.
Fault = Callable[[Step, Array], Array]


def _blocks(size: int) -> Order:
    return lambda n: [range(begin, min(begin + size, n)) for begin in range(0, n, size)]


ORDERS: dict[str, Order] = {
    "forward": lambda n: [range(n)],
    "backward": lambda n: [range(n - 1, -1, -1)],
    "shuffled": lambda n: [np.random.default_rng(n).permutation(n)],
    "blocks of 8": _blocks(8),
    "blocks of 64": _blocks(64),
}


def _summed(n: int, order: Order, term: Callable[[int], Array]) -> Array:
    """Return the sum of float32 terms in an order."""
    total: Any = None
    for block in order(n):
        part: Any = None
        for k in block:
            part = term(k) if part is None else part + term(k)
        total = part if total is None else total + part
    return np.asarray(total, np.float32)


def _matmul(x: Array, y: Array, order: Order) -> Array:
    return _summed(x.shape[-1], order, lambda k: x[..., :, k, None] * y[..., k, None, :])


def _product(x: Array, y: Array, out: Array | None = None, *, order: Order) -> Array:
    """Return a product of matrices, written to an array if one is given, as kernels expect of theirs."""
    made = _matmul(x, y, order)
    if out is None:
        return made
    out[...] = made
    return out


def _convolution(op: Any, x: Array, order: Order) -> Array | None:
    w = op.weights
    if w is None or w.ndim != 4:
        return None
    outputs, depth, *kernel = w.shape
    edges = op.border(x.shape, kernel)
    x = x.reshape(-1, *x.shape[-3:])
    x = np.pad(x, ((0, 0), (0, 0), *edges))
    x = x.reshape(len(x), op.groups, depth, *x.shape[2:])
    w = np.asarray(w).reshape(op.groups, outputs // op.groups, depth, *kernel)
    spans = [
        (size - (k - 1) * d - 1) // s + 1
        for size, k, d, s in zip(x.shape[-2:], kernel, op.dilation, op.stride, strict=True)
    ]

    def term(index: int) -> Array:
        c, p, q = np.unravel_index(index, (depth, *kernel))
        rows, columns = (
            slice(int(tap) * d, int(tap) * d + (span - 1) * s + 1, s)
            for tap, d, s, span in zip((p, q), op.dilation, op.stride, spans, strict=True)
        )
        return w[None, :, :, c, p, q, None, None] * x[:, :, None, c, rows, columns]

    y = _summed(depth * int(np.prod(kernel)), order, term)
    y = y.reshape(len(y), outputs, *spans)
    return y if op.bias is None else y + np.asarray(op.bias)[:, None, None]


def _again(step: Step, inputs: Sequence[Any], outputs: tuple[Any, ...], order: Order) -> tuple[Any, ...]:
    """Return results whose sums are in an order; others as they are."""
    if not outputs or not all(isinstance(x, np.ndarray) and x.dtype == np.float32 for x in (*inputs, *outputs)):
        return outputs
    op: Any = operation_of(step, inputs)
    x, y, made = inputs[0] if inputs else None, outputs[0], None
    terms = op.terms([_type(each) for each in inputs]) or 0
    if not 1 < terms <= _MOST_TERMS or terms * y.size > _MOST_WORK:
        terms = 0
    if terms and isinstance(op, ops.Convolution):
        made = _convolution(op, x, order)
    elif terms and isinstance(op, ops.Linear):
        made = _matmul(x.reshape(-1, op.weights.shape[1]), np.asarray(op.weights).T, order)
        made = made if op.bias is None else made + op.bias
    elif terms and isinstance(op, ops.MatMul) and min(map(np.ndim, inputs)) > 1:
        left = x.swapaxes(-1, -2) if op.transpose_x else x
        right = inputs[1].swapaxes(-1, -2) if op.transpose_y else inputs[1]
        made = _matmul(left, right, order)
    elif terms and isinstance(op, ops.ReduceSum | ops.ReduceMean):
        along = op.along(x.ndim)
        moved = np.moveaxis(x, along, range(len(along))).reshape(op.count(x.shape), -1)
        made = _summed(len(moved), order, lambda k: moved[k].copy())
        made = made / np.float32(len(moved)) if isinstance(op, ops.ReduceMean) else made
    elif isinstance(op, _RECURRENT):
        with mock.patch.object(recurrent, "matmul", partial(_product, order=order)):
            return step.stored(step.run(inputs))
    elif isinstance(op, ops.Softmax):
        terms = np.moveaxis(np.exp(x - x.max(op.axis, keepdims=True)), op.axis, 0)
        total = _summed(len(terms), order, lambda k: terms[k].copy())
        made = np.moveaxis(terms * (np.float32(1) / total), 0, op.axis)
    elif isinstance(op, ops.BatchNormalization):
        shape = (-1, *(1,) * (x.ndim - 1 - op.axis % x.ndim))
        scale = (op.gamma / np.sqrt(op.variance + np.float32(op.epsilon))).astype(np.float32)
        made = x * scale.reshape(shape) + (op.beta - op.mean * scale).astype(np.float32).reshape(shape)
    elif isinstance(op, ops.LayerNormalization) and op.axes in ((-1,), (x.ndim - 1,)):
        mean = _summed(x.shape[-1], order, lambda k: x[..., k].copy())[..., None] / np.float32(x.shape[-1])
        centered = x - mean
        variance = _summed(x.shape[-1], order, lambda k: centered[..., k] ** 2)[..., None] / np.float32(x.shape[-1])
        scale = np.float32(1) / np.sqrt(variance + np.float32(op.epsilon))
        made = (x * scale - mean * scale) * op.gamma + op.beta
    if made is None:
        return outputs
    return (np.asarray(made, np.float32).reshape(y.shape), *outputs[1:])


def _type(x: Array) -> TensorType:
    return TensorType.of(x)


@dataclass(frozen=True)
class Implementation:
    """One way to compute a model.

    Attributes:
        order: of sums; None for that of the kernels.
        fused: whether half precision is rounded after half of the operations only, as fused ones are.
    """

    order: Order | None = None
    fused: bool = False

    def trace(
        self, model: Model, inputs: Mapping[str, Any], profile: str, fault: Fault | None = None
    ) -> Iterator[Event]:
        """Run step by step, with results changed before they are stored if there is a fault."""
        subject = subject_of(model, profile)
        values = _single(subject.inputs(inputs)[0])
        runnable = model
        if model.kind != "mlProgram" and PROFILES[profile].storage.format == np.float16:
            spec = schema.Model.FromString(model.spec.SerializeToString())
            round_weights(getattr(spec, model.kind), PROFILES[profile].storage)
            runnable = model.with_spec(spec)
        evaluator = runnable.with_precision("float32").prepare()
        if evaluator.layered is not None:
            return evaluator.layered.network.trace(values, self._change(subject, fault))
        assert evaluator.programmed is not None
        cells = evaluator.programmed.interface.cells()
        return evaluator.programmed.program.trace({**values, **cells}, self._change(subject, fault))

    def _change(self, subject: Subject, fault: Fault | None) -> Callable[..., tuple[Any, ...]]:
        def change(step: Step, inputs: Sequence[Any], outputs: tuple[Any, ...]) -> tuple[Any, ...]:
            with np.errstate(all="ignore"):
                if self.order is not None:
                    outputs = _again(step, inputs, outputs, self.order)
                if fault is not None:
                    outputs = tuple(fault(step, y) if isinstance(y, np.ndarray) else y for y in outputs)
                if self.fused and step.index % 2:
                    return outputs
                stored = zip(outputs, subject.storage(step), strict=True)
                return tuple(y if store is None else round_to_half(y) for y, store in stored)

        return change


def _single(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: x.astype(np.float32) if x.dtype == np.float64 else x for name, x in values.items()}


#: The implementations that the study looks at.
IMPLEMENTATIONS = {
    "kernels": Implementation(),
    "fused": Implementation(fused=True),
    **{name: Implementation(order) for name, order in ORDERS.items()},
}
