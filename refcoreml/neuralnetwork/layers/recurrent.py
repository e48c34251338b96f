"""Recurrent layers: adapters over `refcoreml.kernels.recurrent`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from refcoreml.kernels import recurrent as kernels
from refcoreml.kernels._types import Array, Shape
from refcoreml.kernels.recurrent import Activation, GateWeights
from refcoreml.neuralnetwork.layers.activation import ACTIVATIONS
from refcoreml.neuralnetwork.limits import LAYER_WORK
from refcoreml.neuralnetwork.registry import Node, Op, layer
from refcoreml.ops.base import Elementwise

_LSTM_STATES = ("hidden state", "cell state", "hidden state of the backward LSTM", "cell state of the backward LSTM")

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


def _activation(node: Node, message: Any, place: str) -> Activation:
    kind = message.WhichOneof("NonlinearityType")
    node.require(kind in _FUNCTIONS, f"{place} is {kind or 'not set'}, recurrent layers take {', '.join(_FUNCTIONS)}")
    function = getattr(message, kind)
    if not any(getattr(function, name) for name in _FUNCTIONS[kind]):
        function = type(function)(**_FUNCTIONS[kind])
    op = ACTIVATIONS[kind](node, function)
    assert isinstance(op, Elementwise)
    return op.compute


def _activations(node: Node, field: str, roles: str) -> list[Activation]:
    messages = getattr(node.params, field)
    count = len(roles.split(", "))
    node.require(len(messages) == count, f"has {len(messages)} {field}, expected {count}: {roles}")
    return [_activation(node, message, f"{field}[{index}]") for index, message in enumerate(messages)]


def recurrent_functions(node: Node) -> list[Activation]:
    """The functions of a recurrent layer in the order of its formula; of a bidirectional one, forward then backward."""
    if node.kind == "simpleRecurrent":
        return [_activation(node, node.params.activation, "activation")]
    if node.kind == "gru":
        return _activations(node, "activations", "f, g")
    if node.kind == "uniDirectionalLSTM":
        return _activations(node, "activations", "f, g, h")
    fields = ("activationsForwardLSTM", "activationsBackwardLSTM")
    return [function for field in fields for function in _activations(node, field, "f, g, h")]


@dataclass(frozen=True)
class _Sizes:
    """What blobs of a layer look like.

    Attributes:
        inputs: length I of the input vectors.
        hidden: length H of the state vectors.
        sequence: whether the output holds every step.
        states: what the inputs after the first are; the outputs after the first are the same.
        directions: how many runs stand side by side in the output.
    """

    inputs: int
    hidden: int
    sequence: bool
    states: Sequence[str]
    directions: int = 1

    @staticmethod
    def of(node: Node, sequence: bool, states: Sequence[str], directions: int = 1) -> _Sizes:
        """Reads and checks the fields that all recurrent layers have."""
        inputs, hidden = int(node.params.inputVectorSize), int(node.params.outputVectorSize)
        for field, size in ("inputVectorSize", inputs), ("outputVectorSize", hidden):
            node.require(size >= 1, f"{field} is {size}, expected 1 or more")
        return _Sizes(inputs, hidden, sequence, states, directions)

    def shape(self, node: Node, x: Shape, *states: Shape) -> tuple[Shape, ...]:
        """The layer's static rule."""
        if len(x) != 5 or x[2:] != (self.inputs, 1, 1):
            node.invalid(f"input {node.inputs[0]!r} has the shape {x}, expected [Seq, Batch, {self.inputs}, 1, 1]")
        length, batch = x[:2]
        for name, role, state in zip(node.inputs[1:], self.states, states, strict=False):
            accepted = [(1, batch, self.hidden, 1, 1), (1, 1, self.hidden, 1, 1), (batch, self.hidden, 1, 1, 1)]
            if state not in accepted:
                node.invalid(
                    f"input {name!r}, the {role}, has the shape {state}, expected {(1, batch, self.hidden, 1, 1)}"
                )
        y = (length if self.sequence else 1, batch, self.directions * self.hidden, 1, 1)
        return (y, *[(1, batch, self.hidden, 1, 1)] * len(self.states))

    def op(self, node: Node, run: Callable[..., Sequence[Array]]) -> Op:
        """The layer, from a function of x [Seq, Batch, I] and all states [Batch, H]."""

        def run_blobs(x: Array, *states: Array) -> tuple[Array, ...]:
            batch = (x.shape[1], self.hidden)
            given = [np.broadcast_to(state.reshape(-1, self.hidden), batch) for state in states]
            zeros = [np.zeros(batch, x.dtype)] * (len(self.states) - len(states))
            y, *last = run(x[..., 0, 0], *given, *zeros)
            return (y[..., None, None], *(state[None, ..., None, None] for state in last))

        def work(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> int:
            """Each step of the sequence is a layer of its own, with up to four gates."""
            length, batch = inputs[0][:2]
            products = 4 * (self.inputs + self.hidden) * self.hidden
            return self.directions * length * (LAYER_WORK + batch * products)

        return Op(run_blobs, partial(self.shape, node), fresh=True, work=work)


def _gate_weights(node: Node, message: Any, gates: Sequence[str], sizes: _Sizes, has_biases: bool) -> GateWeights:
    """The weights of several gates, from fields called like ``updateGateWeightMatrix``."""

    def decode(suffix: str, *shape: int) -> list[Array]:
        return [node.weights(f"{gate}{suffix}", shape, message=message) for gate in gates]

    return GateWeights.stack(
        decode("WeightMatrix", sizes.hidden, sizes.inputs),
        decode("RecursionMatrix", sizes.hidden, sizes.hidden),
        decode("BiasVector", sizes.hidden) if has_biases else None,
    )


@layer("simpleRecurrent", inputs=2, outputs=2)
def simple_recurrent(node: Node) -> Op:
    """h_t = f(clip(W x_t + R h_{t-1} + b)), clip to [-50, 50].

    Inputs: x [Seq, Batch, I, 1, 1]; the state before the first step [1, Batch, H, 1, 1].
    Outputs: y [Seq, Batch, H, 1, 1] with sequenceOutput, else [1, Batch, H, 1, 1]; the last state [1, Batch, H, 1, 1].
    Parameters: inputVectorSize I >= 1; outputVectorSize H >= 1; activation (without its numbers: see S4);
    sequenceOutput; hasBiasVector; weightMatrix [H, I]; recursionMatrix [H, H]; biasVector [H], read with hasBiasVector
    only; reverseInput: runs from the last x to the first, y stays in the order of processing.
    Errors: sizes or numbers of weights that do not fit; an activation that recurrent layers do not have.
    Chosen: blobs have rank 5 in the N-D world, too (Apple's validator asks so); a state of batch 1 serves every item of
    the batch, as the zeros of an omitted optional input have their declared shape; [Batch, H, 1, 1, 1] will do for a
    state, because that is what coremltools' converter makes of it (``rnn`` in its op_mapping).
    Source: ``SimpleRecurrentLayerParams``.
    """
    params = node.params
    sizes = _Sizes.of(node, params.sequenceOutput, ["hidden state"])
    weights = GateWeights.stack(
        [node.weights("weightMatrix", (sizes.hidden, sizes.inputs))],
        [node.weights("recursionMatrix", (sizes.hidden, sizes.hidden))],
        [node.weights("biasVector", (sizes.hidden,))] if params.hasBiasVector else None,
    )
    f = _activation(node, params.activation, "activation")
    run = partial(
        kernels.simple_recurrent, weights=weights, f=f, sequence=params.sequenceOutput, reverse=params.reverseInput
    )
    return sizes.op(node, run)


@layer("gru", inputs=(1, 2), outputs=2)
def gru(node: Node) -> Op:
    """h_t = (1 - z) * o + z * h_{t-1}, o = g(clip(W_o x_t + R_o (r * h_{t-1}) + b_o)), clip to [-50, 50];

    z and r = f(clip(W x_t + R h_{t-1} + b)) with their own weights. The reset gate acts before the recurrent product.

    Inputs: x [Seq, Batch, I, 1, 1]; the state before the first step [1, Batch, H, 1, 1], zero if not listed.
    Outputs: y [Seq, Batch, H, 1, 1] with sequenceOutput, else [1, Batch, H, 1, 1]; the last state [1, Batch, H, 1, 1].
    Parameters: inputVectorSize I >= 1; outputVectorSize H >= 1; activations f, g (without their numbers: see S5);
    sequenceOutput; hasBiasVectors; of the gates update (z), reset (r) and output (o) a WeightMatrix [H, I], a
    RecursionMatrix [H, H] and a BiasVector [H], the last read with hasBiasVectors only; reverseInput: runs from the
    last x to the first, y stays in the order of processing.
    Errors: sizes or numbers of weights that do not fit; activations other than two that recurrent layers have.
    Chosen: blobs have rank 5 in the N-D world, too (Apple's validator asks so); a state of batch 1 serves every item of
    the batch, as the zeros of an omitted optional input have their declared shape; a state may have its batch first, as
    in ``simpleRecurrent``.
    Source: ``GRULayerParams``.
    """
    params = node.params
    sizes = _Sizes.of(node, params.sequenceOutput, ["hidden state"])
    f, g = _activations(node, "activations", "f, g")
    gates = ["updateGate", "resetGate", "outputGate"]
    weights = _gate_weights(node, params, gates, sizes, params.hasBiasVectors)
    run = partial(kernels.gru, weights=weights, f=f, g=g, sequence=params.sequenceOutput, reverse=params.reverseInput)
    return sizes.op(node, run)


def _lstm(node: Node, message: Any, sizes: _Sizes, functions: Sequence[Activation]) -> Callable[..., Any]:
    """The kernel with everything bound that ``LSTMParams`` and one ``LSTMWeightParams`` hold."""
    params = node.params.params
    gates = ["inputGate", "forgetGate", "outputGate", "blockInput"]
    if params.coupledInputAndForgetGate:
        gates.remove("forgetGate")
    node.require(params.cellClipThreshold >= 0, f"cellClipThreshold is {params.cellClipThreshold}, expected 0 or more")
    peepholes = [
        node.weights(f"{gate}PeepholeVector", (sizes.hidden,), message=message)
        for gate in ("inputGate", "forgetGate", "outputGate")
        if params.hasPeepholeVectors and gate in gates
    ]
    return partial(
        kernels.lstm,
        weights=_gate_weights(node, message, gates, sizes, params.hasBiasVectors),
        functions=functions,
        peepholes=peepholes or None,
        coupled=params.coupledInputAndForgetGate,
        cell_clip=params.cellClipThreshold or 50.0,
        sequence=params.sequenceOutput,
    )


@layer("uniDirectionalLSTM", inputs=(1, 3), outputs=3)
def unidirectional_lstm(node: Node) -> Op:
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
    results of converted models agree only so). Blobs have rank 5 in the N-D world, too (Apple's validator asks so); a
    state of batch 1 serves every item of the batch, as the zeros of an omitted optional input have their declared
    shape; a state may have its batch first, as in ``simpleRecurrent``.
    Source: ``UniDirectionalLSTMLayerParams``, ``LSTMParams``, ``LSTMWeightParams``.
    """
    params = node.params
    sizes = _Sizes.of(node, params.params.sequenceOutput, _LSTM_STATES[:2])
    functions = _activations(node, "activations", "f, g, h")
    weights_node = replace(node, where=f"{node.where}.weightParams")
    return sizes.op(
        node, partial(_lstm(weights_node, params.weightParams, sizes, functions), reverse=params.reverseInput)
    )


@layer("biDirectionalLSTM", inputs=(1, 5), outputs=5)
def bidirectional_lstm(node: Node) -> Op:
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
    sizes = _Sizes.of(node, params.params.sequenceOutput, _LSTM_STATES, directions=2)
    node.require(len(params.weightParams) == 2, f"has {len(params.weightParams)} weightParams, expected 2")
    forward, backward = (
        _lstm(
            replace(node, where=f"{node.where}.weightParams[{index}]"),
            params.weightParams[index],
            sizes,
            _activations(node, f"activations{direction}LSTM", "f, g, h"),
        )
        for index, direction in enumerate(("Forward", "Backward"))
    )

    def run(x: Array, h: Array, c: Array, h_backward: Array, c_backward: Array) -> tuple[Array, ...]:
        y, *states = forward(x, h, c)
        y_backward, *states_backward = backward(x, h_backward, c_backward, reverse=True)
        return (kernels.both_directions(y, y_backward), *states, *states_backward)

    return sizes.op(node, run)
