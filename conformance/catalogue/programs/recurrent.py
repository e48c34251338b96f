"""lstm, gru and rnn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.catalogue.programs.plan import C, ProgramPlan, X, op, refused

_LABELS = {False: "last", True: "sequence"}
_ALL = "integers zero-mean wide cancellation"
#: The activations that there are, but for those that are the defaults.
_OTHERS = ("hard_sigmoid", "relu", "linear", "scaled_tanh")


def plans() -> Iterator[ProgramPlan]:
    for kind, gates in (("lstm", 4), ("gru", 3), ("rnn", 1)):
        yield from _common(kind, gates)
    yield from _lstm()
    yield from _gru()


def _given(kind: str, gates: int, batch: int = 2, **more: Any) -> dict[str, Any]:
    """Return 3 steps of 4 numbers for a state of 5."""
    states = {"initial_h": X(batch, 5), **({"initial_c": X(batch, 5)} if kind == "lstm" else {})}
    weights = {"weight_ih": C(5 * gates, 4), "weight_hh": C(5 * gates, 5), "bias": C(5 * gates)}
    return {"x": X(3, batch, 4), **states, **weights, **more}


def _common(kind: str, gates: int) -> Iterator[ProgramPlan]:
    given = _given(kind, gates)
    yield from op(kind, "last", kinds=_ALL, **given)
    yield from op(kind, "sequence", kinds="zero-mean", output_sequence=True, **given)
    yield from op(kind, "reverse", kinds="zero-mean", direction="reverse", output_sequence=True, **given)
    yield from op(kind, "reverse-last", kinds="zero-mean", direction="reverse", **given)
    yield from op(
        kind, "no-bias", kinds="zero-mean", **{name: value for name, value in given.items() if name != "bias"}
    )
    yield from op(kind, "halves", kinds="fp16:integers fp16:zero-mean", opset="CoreML7", output_sequence=True, **given)
    for name in _OTHERS:
        yield from op(kind, name.replace("_", "-"), kinds="zero-mean", activation=name, output_sequence=True, **given)
    results: dict[str, Any] = {
        "results": [("fp32", (None,) * 3)] + [("fp32", (None,) * 2)] * (2 if kind == "lstm" else 1)
    }
    yield from refused(
        kind, "weights", "matrices have the sizes of the gates", **{**given, "weight_hh": C(5 * gates, 4)}, **results
    )
    yield from refused(
        kind, "bias", "the bias has a number for each row", **{**given, "bias": C(5 * gates + 1)}, **results
    )
    yield from refused(
        kind, "input", "x has as many numbers as weight_ih has columns", **{**given, "x": X(3, 2, 6)}, **results
    )
    yield from refused(
        kind, "activation", "the activation is one that there is", activation="softplus", **given, **results
    )
    yield from refused(
        kind, "direction", "the direction is one that there is", direction="sideways", **given, **results
    )
    half = [("fp16", (None,) * 3)] + [("fp16", (None,) * 2)] * (2 if kind == "lstm" else 1)
    yield from refused(kind, "half", "before CoreML7 all are fp32", kinds="fp16:integers", results=half, **given)


def _lstm() -> Iterator[ProgramPlan]:
    given = _given("lstm", 4)
    yield from op("lstm", "peephole", kinds="zero-mean", peephole=C(15), output_sequence=True, **given)
    yield from op("lstm", "clip", kinds="zero-mean wide", clip=C(value=0.5), output_sequence=True, **given)
    for name in ("recurrent_activation", "cell_activation"):
        label = name.replace("_", "-")
        yield from op("lstm", label, kinds="zero-mean", output_sequence=True, **{name: "hard_sigmoid"}, **given)
    back = {f"{name}_back": value for name, value in given.items() if name in ("weight_ih", "weight_hh", "bias")}
    both = {**given, "initial_h": X(2, 10), "initial_c": X(2, 10), **back, "direction": "bidirectional"}
    for sequence, label in _LABELS.items():
        yield from op("lstm", f"both-{label}", kinds="integers zero-mean", output_sequence=sequence, **both)
    holes = {"peephole": C(15), "peephole_back": C(15)}
    yield from op("lstm", "both-peepholes", kinds="zero-mean", output_sequence=True, **holes, **both)


def _gru() -> Iterator[ProgramPlan]:
    given = _given("gru", 3)
    yield from op("gru", "recurrent-activation", kinds="zero-mean", recurrent_activation="hard_sigmoid", **given)
    yield from op("gru", "input-bias", kinds="zero-mean", input_bias=C(15), opset="CoreML8", **given)
