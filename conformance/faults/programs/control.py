"""Faults in names, parameters, control flow, states, labels, and the precision of results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from conformance.faults.programs.elementwise import truncated
from conformance.faults.programs.ways import Array, kernel, method, operation, result
from refcoreml.execution import control
from refcoreml.kernels import half
from refcoreml.mil import node as nodes
from refcoreml.mil import precision, resolve, scope
from refcoreml.mil import values as held
from refcoreml.mil.node import Node
from refcoreml.mil.operations import classify, state

flow = "cond while_loop"

# ---- Control flow ----

operation("cond: the branches exchanged", "cond", lambda node, op: replace(op, regions=op.regions[::-1]))
operation("cond: always the first branch", "cond", lambda node, op: replace(op, regions=(op.regions[0],) * 2))


def _both_run(f: Any) -> Any:
    def flow(self: Any, given: Any, enter: Any) -> Any:
        one = yield from enter(self.regions[0], ())
        other = yield from enter(self.regions[1], ())
        return one if self.decision.of(given[0]) else other

    return flow


method("cond: both branches run", "cond write_state", control.Choice, "flow", _both_run)


def _results_reversed(f: Any) -> Any:
    def flow(self: Any, given: Any, enter: Any) -> Any:
        return (yield from f(self, given, enter))[::-1]

    return flow


method("cond: results in reverse order", "cond", control.Choice, "flow", _results_reversed)


def _loop(rounds: Any) -> Any:
    """A loop runs as ``rounds(self, values, enter)`` says."""
    return lambda f: lambda self, given, enter: rounds(self, given, enter)


def _at_least_once(self: Any, values: Any, enter: Any) -> Any:
    for _ in range(100):
        values = yield from enter(self.body, values)
        if not self.decision.of((yield from enter(self.condition, values))[0]):
            break
    return values


def _one_less(self: Any, values: Any, enter: Any) -> Any:
    before = values
    for _ in range(100):
        if not self.decision.of((yield from enter(self.condition, values))[0]):
            break
        before, values = values, (yield from enter(self.body, values))
    return before


def _until(self: Any, values: Any, enter: Any) -> Any:
    for _ in range(100):
        if self.decision.of((yield from enter(self.condition, values))[0]):
            break
        values = yield from enter(self.body, values)
    return values


def _first_condition(self: Any, values: Any, enter: Any) -> Any:
    """The condition is given what the loop was given, so that a counter that stands still is left after some rounds."""
    given = values
    for _ in range(100):
        if not self.decision.of((yield from enter(self.condition, given))[0]):
            break
        values = yield from enter(self.body, values)
    return values


def _rotated(self: Any, values: Any, enter: Any) -> Any:
    """What the body returns is bound to the values one by one, so that a later one sees an earlier one's new value."""
    for _ in range(100):
        if not self.decision.of((yield from enter(self.condition, values))[0]):
            break
        found = list(values)
        for k in range(len(found)):
            found[k] = (yield from enter(self.body, found))[k]
        values = found
    return values


method("while_loop: runs at least once", "while_loop", control.Loop, "flow", _loop(_at_least_once))
method("while_loop: returns the values of the round before", "while_loop", control.Loop, "flow", _loop(_one_less))
method("while_loop: runs until the condition is true", "while_loop", control.Loop, "flow", _loop(_until))
method(
    "while_loop: the condition always sees the first values",
    "while_loop",
    control.Loop,
    "flow",
    _loop(_first_condition),
)
method("while_loop: values are bound one by one", "while_loop", control.Loop, "flow", _loop(_rotated))
method(
    "while_loop: results in reverse order",
    "while_loop",
    control.Loop,
    "flow",
    lambda f: lambda self, given, enter: _turned(f(self, given, enter)),
)


def _turned(running: Any) -> Any:
    return (yield from running)[::-1]


# ---- Names and parameters ----

everything = f"{flow} program package concat stack add conv linear read_state write_state"
method(
    "names: a name means the value of the outermost block",
    everything,
    scope.Scope,
    "find",
    lambda f: (
        lambda self, name, where: (
            next((m[name] for m in reversed(self._values.maps) if name in m), None) or f(self, name, where)
        )
    ),
)
method(
    "names: what a block defines stays known behind it",
    everything,
    scope.Scope,
    "inner",
    lambda f: lambda self: scope.Scope(self._values, self._names, self.lost),
)
method(
    "names: equal names in two blocks are one value",
    everything,
    scope.Names,
    "unique",
    lambda f: lambda self, name: (f(self, name), name)[1],
)
method(
    "names: results of a function in the order of their names",
    "program package read_state write_state topk split",
    resolve._Resolver,
    "block",
    lambda f: (
        lambda self, message, *a, **o: (
            lambda block: replace(block, results=tuple(sorted(block.results, key=lambda value: value.name)))
        )(f(self, message, *a, **o))
    ),
)
method(
    "parameters: of a tuple the last value first",
    "concat stack einsum",
    nodes.Node,
    "values",
    lambda f: lambda self, name: f(self, name)[::-1],
)
method(
    "parameters: texts are compared in capitals only",
    "gelu pad resize crop_resize lstm conv avg_pool",
    nodes.Node,
    "choice",
    lambda f: (
        lambda self, name, choices, *d: f(
            self,
            name,
            {
                key: value
                for key, value in choices.items()
                if not self.has(name) or self.text(name).isupper() or self.text(name).islower()
            },
            *d,
        )
    ),
)


def _scalar(f: Any, node: Node, name: str, default: Any, *more: Any) -> Any:
    node.require(not (node.has(name) and node.tensor(name).shape), f"{name} is no scalar")
    return f(node, name, default, *more)


method(
    "parameters: attributes are not read",
    "constexpr_affine_dequantize constexpr_lut_to_dense constexpr_sparse_to_dense constexpr_cast",
    resolve._Resolver,
    "_parameters",
    lambda f: (
        lambda self, message, *a: {
            name: values for name, values in f(self, message, *a).items() if name in message.inputs
        }
    ),
)
method(
    "parameters: constants of fp32 beside x of fp16 are rounded to it",
    "leaky_relu elu inverse log rsqrt batch_norm conv linear layer_norm",
    nodes.Node,
    "constant",
    lambda f: lambda self, name, *d: _rounded(self, f(self, name, *d)),
)


def _rounded(node: Node, found: Any) -> Any:
    if not isinstance(found, np.ndarray) or found.dtype != np.float32 or not node.has("x"):
        return found
    return found.astype(np.float16).astype(np.float32) if node.element("x") == np.float16 else found


# ---- States ----

stateful = "read_state write_state"
method(
    "states: reading gives zeros always",
    stateful,
    state.ReadState,
    "run",
    lambda f: lambda self, cell: np.zeros_like(cell.array),
)
method("states: writing has no effect", stateful, state.WriteState, "run", lambda f: lambda self, cell, data: ())
method(
    "states: writing adds",
    stateful,
    state.WriteState,
    "run",
    lambda f: lambda self, cell, data: f(self, cell, cell.array + data),
)
method(
    "states: writing happens in place, so that what was read changes",
    stateful,
    held.StateCell,
    "write",
    lambda f: lambda self, array: _in_place(self, array),
)
method(
    "states: the first write of all counts, later ones are lost",
    stateful,
    held.StateCell,
    "write",
    lambda f: lambda self, array: f(self, array) if not self.array.any() else None,
)


def _in_place(cell: Any, array: Array) -> None:
    if not cell.array.flags.writeable:
        cell.array = cell.array.copy()
    cell.array[...] = array


# ---- Labels ----

method(
    "classify: the smallest score",
    "classify",
    classify,
    "best_label",
    lambda f: lambda labels, scores, where: f(labels, -scores, where),
)
method(
    "classify: labels in the order of their names",
    "classify",
    classify.Classify,
    "run",
    lambda f: lambda self, x: f(replace(self, labels=sorted(self.labels)), x),
)
result("classify: scores in column-major order", "classify", lambda node, run, x: run(x.T.reshape(x.shape)))

# ---- Precision ----

rounded = "add mul sub exp sqrt reduce_sum reduce_mean linear conv softmax real_div tanh"
kernel(
    "precision: results are cut off to half precision",
    rounded,
    half.round_to_half,
    lambda f: lambda x, *, out=None: _into(truncated(x), out),
)
kernel(
    "precision: results beyond half precision are its largest number",
    rounded,
    half.round_to_half,
    lambda f: (
        lambda x, *, out=None: _into(
            np.where(np.isinf(y := f(x)) & np.isfinite(x), np.copysign(np.float32(65504), x), y), out
        )
    ),
    "the oracle has no bound for numbers beyond the range of half precision",
)
kernel(
    "precision: results are rounded to bfloat16",
    rounded,
    half.round_to_half,
    lambda f: (
        lambda x, *, out=None: _into(
            (x.view(np.uint32) + np.uint32(0x8000) & np.uint32(0xFFFF0000)).view(np.float32), out
        )
    ),
)
kernel(
    "precision: infinities of half precision are NaN",
    rounded,
    half.round_to_half,
    lambda f: lambda x, *, out=None: _into(np.where(np.isinf(y := f(x)), np.float32(np.nan), y), out),
)
kernel(
    "precision: results below the normal numbers of half precision are 0",
    rounded,
    half.round_to_half,
    lambda f: lambda x, *, out=None: _into(np.where(np.abs(y := f(x)) < 2.0**-14, np.float32(0), y), out),
)
method(
    "precision: results of half precision keep the digits of single precision",
    rounded,
    precision.Precision,
    "form",
    lambda f: lambda self, declared: None,
    "to compute with more digits than the program declares is within every bound, which holds for the exact result",
)


def _into(y: Array, out: Array | None) -> Array:
    y = np.asarray(y, np.float32)
    if out is None:
        return y
    out[...] = y
    return out
