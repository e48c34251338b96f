"""simpleRecurrent, gru, uniDirectionalLSTM, biDirectionalLSTM."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from conformance.catalogue.plan import Plan, W, family, layer

family("recurrent", "simpleRecurrent gru uniDirectionalLSTM biDirectionalLSTM")

#: Lengths of the sequence, the batch, the input and the state vectors.
_S, _B, _I, _H = 4, 2, 3, 5
_X, _STATE = (_S, _B, _I, 1, 1), (1, _B, _H, 1, 1)
#: With the numbers that the schema calls supported.
_FUNCTIONS: list[dict[str, Any]] = [
    {"sigmoid": {}},
    {"tanh": {}},
    {"ReLU": {}},
    {"linear": {"alpha": 0.5, "beta": 0.25}},
    {"scaledTanh": {"alpha": 1.7159, "beta": 2 / 3}},
    {"sigmoidHard": {"alpha": 0.2, "beta": 0.5}},
]


def _weights(gates: list[str], bias: bool, peepholes: bool = False) -> dict[str, W]:
    result = {f"{gate}WeightMatrix": W((_H, _I)) for gate in gates}
    result |= {f"{gate}RecursionMatrix": W((_H, _H)) for gate in gates}
    if bias:
        result |= {f"{gate}BiasVector": W((_H,)) for gate in gates}
    if peepholes:
        result |= {f"{gate}PeepholeVector": W((_H,)) for gate in gates if gate != "blockInput"}
    return result


def _per_channel(gates: list[str]) -> dict[str, W]:
    """Quantized matrices with a scale for each output unit."""
    result = {f"{gate}WeightMatrix": W((_H, _I), "linear4c") for gate in gates}
    return result | {f"{gate}RecursionMatrix": W((_H, _H), "linear4c") for gate in gates}


def _labelled(count: int, unset: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return each run of ``count`` functions by their names, and some whose numbers are unset."""
    runs = [_FUNCTIONS[i : i + count] for i in range(len(_FUNCTIONS) - count + 1)]
    return {"-".join(next(iter(function)) for function in run): run for run in runs} | {"unset": unset}


_SIZES = {"input_vector_size": _I, "output_vector_size": _H}
_LSTM = ["inputGate", "forgetGate", "blockInput", "outputGate"]


def plans() -> Iterator[Plan]:
    for plan in itertools.chain(_simple(), _gru(), _lstm()):
        # A prediction begins with zeros, not where the one before ended.
        plan.repeat = 2 if "/no-state" in plan.id else 1
        yield plan


def _simple() -> Iterator[Plan]:
    matrices = {"weight_matrix": W((_H, _I)), "recursion_matrix": W((_H, _H))}
    small = lambda x: x / 8  # noqa: E731
    for function in _FUNCTIONS:
        (name,) = function
        yield from layer(
            "simpleRecurrent",
            name,
            _X,
            _STATE,
            outputs=2,
            data="zero-mean",
            domain=small,
            activation=function,
            sequence_output=True,
            **matrices,
            **_SIZES,
        )
    for name in ("linear", "scaledTanh", "sigmoidHard"):
        yield from layer(
            "simpleRecurrent",
            f"{name}-unset",
            _X,
            _STATE,
            outputs=2,
            data="zero-mean",
            domain=small,
            activation={name: {}},
            sequence_output=True,
            **matrices,
            **_SIZES,
        )
    yield from layer(
        "simpleRecurrent",
        "linear4-per-channel",
        _X,
        _STATE,
        outputs=2,
        data="zero-mean",
        domain=small,
        activation={"tanh": {}},
        sequence_output=True,
        weight_matrix=W((_H, _I), "linear4c"),
        recursion_matrix=W((_H, _H), "linear4c"),
        **_SIZES,
    )
    yield from layer(
        "simpleRecurrent",
        "linear-exact",
        _X,
        _STATE,
        outputs=2,
        data="integers",
        activation={"ReLU": {}},
        sequence_output=True,
        weight_matrix=W((_H, _I)),
        recursion_matrix=W((_H, _H), kind="ties"),
        **_SIZES,
    )
    options = {
        "bias": {"has_bias_vector": True, "bias_vector": W((_H,))},
        "last": {},
        "reverse": {"reverse_input": True},
    }
    for label, fields in options.items():
        yield from layer(
            "simpleRecurrent",
            label,
            _X,
            _STATE,
            outputs=2,
            data="zero-mean",
            domain=small,
            activation={"tanh": {}},
            sequence_output=label != "last",
            **fields,
            **matrices,
            **_SIZES,
        )
    yield from layer(
        "simpleRecurrent",
        "rank-5-world",
        (_S, 1, _I),
        (1, 1, _H),
        declared=[(_I,), (_H,)],
        exact=False,
        outputs=2,
        data="zero-mean",
        domain=small,
        activation={"tanh": {}},
        sequence_output=True,
        **matrices,
        **_SIZES,
    )


def _gru() -> Iterator[Plan]:
    gates = ["updateGate", "resetGate", "outputGate"]
    two: dict[str, Any] = {"activations": [{"sigmoid": {}}, {"tanh": {}}]}
    plain = {**_weights(gates, False), **_SIZES}
    yield from layer(
        "gru", "sequence", _X, _STATE, outputs=2, data="zero-mean wide", sequence_output=True, **two, **plain
    )
    yield from layer("gru", "last", _X, _STATE, outputs=2, data="zero-mean", **two, **plain)
    yield from layer("gru", "no-state", _X, outputs=2, data="zero-mean", sequence_output=True, **two, **plain)
    yield from layer(
        "gru",
        "bias-reverse",
        _X,
        _STATE,
        outputs=2,
        data="zero-mean",
        sequence_output=True,
        reverse_input=True,
        has_bias_vectors=True,
        **two,
        **_weights(gates, True),
        **_SIZES,
    )
    for label, chosen in _labelled(2, [{"sigmoidHard": {}}, {"scaledTanh": {}}]).items():
        yield from layer(
            "gru",
            label,
            _X,
            _STATE,
            outputs=2,
            data="zero-mean",
            domain=lambda x: x / 8,
            sequence_output=True,
            activations=chosen,
            **plain,
        )
    yield from layer(
        "gru",
        "linear4-per-channel",
        _X,
        _STATE,
        outputs=2,
        data="zero-mean",
        sequence_output=True,
        **two,
        **_per_channel(gates),
        **_SIZES,
    )
    yield from layer(
        "gru",
        "rank-5-world",
        (_S, 1, _I),
        declared=[(_I,)],
        exact=False,
        outputs=2,
        data="zero-mean",
        sequence_output=True,
        **two,
        **plain,
    )


def _lstm() -> Iterator[Plan]:
    three: dict[str, Any] = {"activations": [{"sigmoid": {}}, {"tanh": {}}, {"tanh": {}}]}
    one: dict[str, dict[str, Any]] = {
        "sequence": {"params": {"sequenceOutput": True}},
        "last": {"params": {"sequenceOutput": False}},
        "bias": {"params": {"sequenceOutput": True, "hasBiasVectors": True}},
        "bias-unused": {"params": {"sequenceOutput": True}, "biases": True},
        "forget-bias": {"params": {"sequenceOutput": True, "hasBiasVectors": True, "forgetBias": True}},
        "peepholes": {"params": {"sequenceOutput": True, "hasPeepholeVectors": True}},
        "coupled": {"params": {"sequenceOutput": True, "coupledInputAndForgetGate": True, "hasPeepholeVectors": True}},
        "clip": {"params": {"sequenceOutput": True, "cellClipThreshold": 0.25}},
        "reverse": {"params": {"sequenceOutput": True}, "reverse_input": True},
    }
    for label, given in one.items():
        fields = dict(given)
        params = fields.get("params", {})
        bias = fields.pop("biases", False) or params.get("hasBiasVectors", False)
        weights = _weights(_LSTM, bias, params.get("hasPeepholeVectors", False))
        data = "zero-mean wide" if label == "sequence" else "zero-mean"
        yield from layer(
            "uniDirectionalLSTM",
            label,
            _X,
            _STATE,
            _STATE,
            outputs=3,
            data=data,
            weight_params=weights,
            **three,
            **fields,
            **_SIZES,
        )
        if label != "reverse":
            both = {f"activations{direction}LSTM": three["activations"] for direction in ("Forward", "Backward")}
            yield from layer(
                "biDirectionalLSTM",
                label,
                _X,
                *[_STATE] * 4,
                outputs=5,
                data="zero-mean",
                weight_params=[weights, dict(weights)],
                **both,
                **fields,
                **_SIZES,
            )
    plain = _weights(_LSTM, False)
    # The schema requires the same ones in both directions.
    for label, functions in {"functions": _FUNCTIONS[1:4], "other-functions": _FUNCTIONS[3:6]}.items():
        yield from layer(
            "biDirectionalLSTM",
            label,
            _X,
            *[_STATE] * 4,
            outputs=5,
            data="zero-mean",
            domain=lambda x: x / 8,
            params={"sequenceOutput": True},
            activationsForwardLSTM=functions,
            activationsBackwardLSTM=functions,
            weight_params=[plain, dict(plain)],
            **_SIZES,
        )
    yield from layer(
        "biDirectionalLSTM",
        "no-states",
        _X,
        outputs=5,
        data="zero-mean",
        params={"sequenceOutput": True},
        activationsForwardLSTM=three["activations"],
        activationsBackwardLSTM=three["activations"],
        weight_params=[plain, dict(plain)],
        **_SIZES,
    )
    yield from layer(
        "uniDirectionalLSTM",
        "no-states",
        _X,
        outputs=3,
        data="zero-mean",
        params={"sequenceOutput": True},
        weight_params=plain,
        **three,
        **_SIZES,
    )
    for label, chosen in _labelled(3, [{"sigmoidHard": {}}, {"scaledTanh": {}}, {"linear": {}}]).items():
        yield from layer(
            "uniDirectionalLSTM",
            label,
            _X,
            _STATE,
            _STATE,
            outputs=3,
            data="zero-mean",
            domain=lambda x: x / 8,
            params={"sequenceOutput": True},
            activations=chosen,
            weight_params=plain,
            **_SIZES,
        )
    yield from layer(
        "uniDirectionalLSTM",
        "linear4-per-channel",
        _X,
        _STATE,
        _STATE,
        outputs=3,
        data="zero-mean",
        params={"sequenceOutput": True},
        weight_params=_per_channel(_LSTM),
        **three,
        **_SIZES,
    )
    yield from layer(
        "uniDirectionalLSTM",
        "rank-5-world",
        (_S, 1, _I),
        (1, 1, _H),
        (1, 1, _H),
        declared=[(_I,), (_H,), (_H,)],
        exact=False,
        outputs=3,
        data="zero-mean",
        params={"sequenceOutput": True},
        weight_params=plain,
        **three,
        **_SIZES,
    )
