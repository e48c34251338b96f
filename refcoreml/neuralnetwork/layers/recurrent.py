"""Recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.execution.limits import LAYER_WORK
from refcoreml.kernels.recurrent import GateWeights
from refcoreml.neuralnetwork.layers.activation import ACTIVATIONS
from refcoreml.neuralnetwork.registry import Node, layer
from refcoreml.ops.base import Adapted, Elementwise, require
from refcoreml.ops.recurrent import Recurrent
from refcoreml.types import Array, Shape, TensorType

#: The functions that recurrent layers take. The numbers stand for a message with both 0 or unset, as converters write
#: it; the schema promises no others to work.
_FUNCTIONS: dict[str, dict[str, float]] = {
    "linear": {"alpha": 1.0, "beta": 0.0},
    "sigmoid": {},
    "tanh": {},
    "ReLU": {},
    "scaledTanh": {"alpha": 1.0, "beta": 1.0},
    "sigmoidHard": {"alpha": 0.2, "beta": 0.5},
}


def _activation(node: Node, message: Any, place: str) -> Elementwise:
    kind = message.WhichOneof("NonlinearityType")
    node.require(kind in _FUNCTIONS, f"{place} is {kind or 'not set'}, recurrent layers take {', '.join(_FUNCTIONS)}")
    function = getattr(message, kind)
    if not any(getattr(function, name) for name in _FUNCTIONS[kind]):
        function = type(function)(**_FUNCTIONS[kind])
    op = ACTIVATIONS[kind](node, function)
    assert isinstance(op, Elementwise)
    return op


def _activations(node: Node, field: str, roles: str) -> list[Elementwise]:
    messages = getattr(node.params, field)
    count = len(roles.split(", "))
    node.require(len(messages) == count, f"has {len(messages)} {field}, expected {count}: {roles}")
    return [_activation(node, message, f"{field}[{index}]") for index, message in enumerate(messages)]


@dataclass(frozen=True)
class _Blobs(Adapted):
    """A recurrent operation on blobs of rank 5: x [Seq, Batch, I, 1, 1], states [1, Batch, H, 1, 1].

    Attributes:
        names: the names of the inputs, for errors.
    """

    op: Recurrent
    names: tuple[str, ...]

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        """Return the types of y and of the last states."""
        x, *states = inputs
        size, hidden = self.op.inputs, self.op.hidden
        require(
            x.rank == 5 and x.shape[2:] == (size, 1, 1),
            f"input {self.names[0]!r} has the shape {x.shape}, expected [Seq, Batch, {size}, 1, 1]",
        )
        batch = x.shape[1]
        accepted = [(1, batch, hidden, 1, 1), (1, 1, hidden, 1, 1), (batch, hidden, 1, 1, 1)]
        for name, role, state in zip(self.names[1:], self.op.states, states, strict=False):
            require(
                state.shape in accepted,
                f"input {name!r}, the {role}, has the shape {state.shape}, expected {accepted[0]}",
            )
        y, *last = self.op.infer(x.with_shape(x.shape[:3]))
        return (y.with_shape((*y.shape, 1, 1)), *(state.with_shape((1, *state.shape, 1, 1)) for state in last))

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Return y and the last states."""
        x, *states = inputs
        y, *last = self.op.run(x[..., 0, 0], *(state.reshape(-1, self.op.hidden) for state in states))
        return (y[..., None, None], *(state[None, ..., None, None] for state in last))

    def work(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
        """Return the multiplications; and each step of the sequence counts as a layer of its own."""
        return self.op.work(inputs, outputs) + self.op.directions * inputs[0][0] * LAYER_WORK


def _blobs(node: Node, op: Recurrent) -> ops.Op:
    return _Blobs(op, tuple(node.inputs))


def _sizes(node: Node) -> tuple[int, int]:
    """Return the lengths I of the input vectors and H of the state vectors."""
    inputs, hidden = int(node.params.inputVectorSize), int(node.params.outputVectorSize)
    for field, size in ("inputVectorSize", inputs), ("outputVectorSize", hidden):
        node.require(size >= 1, f"{field} is {size}, expected 1 or more")
    return inputs, hidden


def _gate_weights(node: Node, message: Any, gates: Sequence[str], has_biases: bool) -> GateWeights:
    """Return the weights of several gates, from fields called like ``updateGateWeightMatrix``."""
    inputs, hidden = _sizes(node)

    def decode(suffix: str, *shape: int) -> list[Array]:
        names = [f"{gate}{suffix}" if gate else suffix[0].lower() + suffix[1:] for gate in gates]
        return [node.weights(name, shape, message=message) for name in names]

    return GateWeights.stack(
        decode("WeightMatrix", hidden, inputs),
        decode("RecursionMatrix", hidden, hidden),
        decode("BiasVector", hidden) if has_biases else None,
    )


@layer("simpleRecurrent", inputs=2, outputs=2)
def simple_recurrent(node: Node) -> ops.Op:
    """h_t = f(clip(W x_t + R h_{t-1} + b)), clip to [-50, 50].

    Inputs: x [Seq, Batch, I, 1, 1]; the state before the first step [1, Batch, H, 1, 1].
    Outputs: y [Seq, Batch, H, 1, 1] with sequenceOutput, else [1, Batch, H, 1, 1]; the last state [1, Batch, H, 1, 1].
    Parameters: inputVectorSize I >= 1; outputVectorSize H >= 1; activation (without its numbers: see S4);
    sequenceOutput; hasBiasVector; weightMatrix [H, I]; recursionMatrix [H, H]; biasVector [H], read with hasBiasVector
    only; reverseInput: runs from the last x to the first, y stays in the order of processing.
    Errors: sizes or numbers of weights that do not fit; an activation that recurrent layers do not have.
    Chosen: blobs have rank 5 in N-D networks, too (Apple's validator requires it); a state of batch 1 serves every item
    of the batch, as the zeros of an omitted optional input have their declared shape; [Batch, H, 1, 1, 1] will do for a
    state, because that is what coremltools' converter makes of it (``rnn`` in its op_mapping).
    Source: ``SimpleRecurrentLayerParams``.
    """
    params = node.params
    gates = _gate_weights(node, params, [""], params.hasBiasVector)
    f = _activation(node, params.activation, "activation")
    return _blobs(node, ops.SimpleRecurrent(gates, f, params.sequenceOutput, params.reverseInput))


@layer("gru", inputs=(1, 2), outputs=2)
def gru(node: Node) -> ops.Op:
    """h_t = (1 - z) * o + z * h_{t-1}, o = g(clip(W_o x_t + R_o (r * h_{t-1}) + b_o)), clip to [-50, 50];

    z and r = f(clip(W x_t + R h_{t-1} + b)) with their own weights. The reset gate acts before the recurrent product.

    Inputs: x [Seq, Batch, I, 1, 1]; the state before the first step [1, Batch, H, 1, 1], zero if not listed.
    Outputs: y [Seq, Batch, H, 1, 1] with sequenceOutput, else [1, Batch, H, 1, 1]; the last state [1, Batch, H, 1, 1].
    Parameters: inputVectorSize I >= 1; outputVectorSize H >= 1; activations f, g (without their numbers: see S5);
    sequenceOutput; hasBiasVectors; of the gates update (z), reset (r) and output (o) a WeightMatrix [H, I], a
    RecursionMatrix [H, H] and a BiasVector [H], the last read with hasBiasVectors only; reverseInput: runs from the
    last x to the first, y stays in the order of processing.
    Errors: sizes or numbers of weights that do not fit; activations other than two that recurrent layers have.
    Chosen: blobs have rank 5 in N-D networks, too (Apple's validator requires it); a state of batch 1 serves every item
    of the batch, as the zeros of an omitted optional input have their declared shape; a state may have its batch first,
    as in ``simpleRecurrent``.
    Source: ``GRULayerParams``.
    """
    params = node.params
    _sizes(node)
    f, g = _activations(node, "activations", "f, g")
    gates = _gate_weights(node, params, ["updateGate", "resetGate", "outputGate"], params.hasBiasVectors)
    return _blobs(node, ops.GRU(gates, f, g, params.sequenceOutput, params.reverseInput))


def _lstm(node: Node, message: Any, place: str, functions: Sequence[Elementwise], reverse: bool) -> ops.LSTM:
    """Return one direction, from ``LSTMParams`` and the ``LSTMWeightParams`` at a place."""
    node, params = replace(node, where=f"{node.where}.{place}"), node.params.params
    gates = ["inputGate", "forgetGate", "outputGate", "blockInput"]
    if params.coupledInputAndForgetGate:
        gates.remove("forgetGate")
    node.require(params.cellClipThreshold >= 0, f"cellClipThreshold is {params.cellClipThreshold}, expected 0 or more")
    hidden, (f, g, h) = _sizes(node)[1], functions
    peepholes = [
        node.weights(f"{gate}PeepholeVector", (hidden,), message=message)
        for gate in gates[:-1]
        if params.hasPeepholeVectors
    ]
    return ops.LSTM(
        _gate_weights(node, message, gates, params.hasBiasVectors),
        f,
        g,
        h,
        peepholes=np.stack(peepholes) if peepholes else None,
        coupled=params.coupledInputAndForgetGate,
        cell_clip=params.cellClipThreshold or 50.0,
        sequence=params.sequenceOutput,
        reverse=reverse,
    )


@layer("uniDirectionalLSTM", inputs=(1, 3), outputs=3)
def unidirectional_lstm(node: Node) -> ops.Op:
    """c_t = clip_c(f * c_{t-1} + i * z), h_t = h(c_t) * o, clip_c to [-cellClipThreshold, cellClipThreshold];

    i = f(clip(W_i x_t + R_i h_{t-1} + p_i * c_{t-1} + b_i)), f likewise, z = g(clip(W_z x_t + R_z h_{t-1} + b_z)),
    o = f(clip(W_o x_t + R_o h_{t-1} + p_o * c_t + b_o)), clip to [-50, 50].

    Inputs: x [Seq, Batch, I, 1, 1]; h and c before the first step, both [1, Batch, H, 1, 1], zero if not listed.
    Outputs: y [Seq, Batch, H, 1, 1] with sequenceOutput, else [1, Batch, H, 1, 1]; the last h, the last c, both
    [1, Batch, H, 1, 1].
    Parameters: inputVectorSize I >= 1; outputVectorSize H >= 1; activations f (gates), g (block input), h (output;
    without their numbers: see S7); sequenceOutput; hasBiasVectors; hasPeepholeVectors, else p = 0;
    coupledInputAndForgetGate: 1 - i stands for f, whose weights are not read; cellClipThreshold >= 0, 0 for 50; of
    the gates a WeightMatrix [H, I], a RecursionMatrix [H, H], a BiasVector [H] and a PeepholeVector [H], the last two
    read with their flags only; reverseInput: runs from the last x to the first, y stays in the order of processing.
    Errors: sizes or numbers of weights that do not fit; activations other than three that recurrent layers have.
    Chosen: forgetBias is ignored, against the schema: stored biases of the forget gate already hold the 1 (recorded
    results of converted models agree only so). Blobs have rank 5 in N-D networks, too (Apple's validator requires it);
    a state of batch 1 serves every item of the batch, as the zeros of an omitted optional input have their declared
    shape; a state may have its batch first, as in ``simpleRecurrent``.
    Source: ``UniDirectionalLSTMLayerParams``, ``LSTMParams``, ``LSTMWeightParams``.
    """
    params = node.params
    _sizes(node)
    functions = _activations(node, "activations", "f, g, h")
    return _blobs(node, _lstm(node, params.weightParams, "weightParams", functions, params.reverseInput))


@layer("biDirectionalLSTM", inputs=(1, 5), outputs=5)
def bidirectional_lstm(node: Node) -> ops.Op:
    """y_t = (h_t, h'_t) on the channel axis: h of one `unidirectional_lstm`, h' of one that runs from the last x on.

    Inputs: x [Seq, Batch, I, 1, 1]; h, c, h', c' before the first step, each [1, Batch, H, 1, 1], zero if not listed.
    Outputs: y [Seq, Batch, 2 * H, 1, 1] with sequenceOutput, in the order of time; else [1, Batch, 2 * H, 1, 1], both
    LSTMs after their last step (h' after the first x); the last h, c, h', c', each [1, Batch, H, 1, 1].
    Parameters: as of `unidirectional_lstm`, with activationsForwardLSTM and activationsBackwardLSTM for activations,
    and two weightParams, forward and backward.
    Errors: as there; not two weightParams.
    Chosen: as there. Activations may differ between the directions, which the schema forbids for now; no bound on Seq
    (Apple's shaper has one of 10000).
    Source: ``BiDirectionalLSTMLayerParams``, ``LSTMParams``, ``LSTMWeightParams``.
    """
    params = node.params
    _sizes(node)
    node.require(len(params.weightParams) == 2, f"has {len(params.weightParams)} weightParams, expected 2")
    forward, backward = (
        _lstm(
            node,
            params.weightParams[index],
            f"weightParams[{index}]",
            _activations(node, f"activations{direction}LSTM", "f, g, h"),
            reverse=direction == "Backward",
        )
        for index, direction in enumerate(("Forward", "Backward"))
    )
    return _blobs(node, ops.BidirectionalLSTM(forward, backward))
