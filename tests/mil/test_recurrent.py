"""Recurrent networks, against their formulas step by step in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mil.support import run

from refcoreml.errors import InvalidModelError

S, B, D, H = 5, 2, 4, 3
FUNCTIONS: dict[str, Any] = {
    "tanh": np.tanh,
    "scaled_tanh": np.tanh,
    "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
    "hard_sigmoid": lambda v: np.clip(0.2 * v + 0.5, 0, 1),
    "sigmoid_hard": lambda v: np.clip(0.2 * v + 0.5, 0, 1),
    "relu": lambda v: np.maximum(v, 0),
    "linear": lambda v: v,
}
#: Some tens of roundings of numbers of about 1; and a last one to half precision.
LIMITS = {np.float32: 2**-19, np.float16: 2**-11 + 2**-19}


def numbers(shape: tuple[int, ...], seed: int) -> Any:
    """Multiples of 1/16 from -1 to 1, which all types hold."""
    return np.random.default_rng(seed).integers(-16, 17, shape) / 16


def weights(gates: int, seed: int = 0, suffix: str = "") -> dict[str, Any]:
    shapes = {"weight_ih": (gates * H, D), "weight_hh": (gates * H, H), "bias": (gates * H,)}
    return {f"{name}{suffix}": numbers(shape, seed + n) for n, (name, shape) in enumerate(shapes.items(), 1)}


def rows(part: Any, gate: int) -> Any:
    return part[gate * H : (gate + 1) * H]


def lstm(
    x: Any, h: Any, c: Any, weight_ih: Any, weight_hh: Any, bias: Any = None, peephole: Any = None,
    f: str = "sigmoid", g: str = "tanh", a: str = "tanh", clip: float = np.inf,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """The states after each step, and the last ones; gates i, f, o, z."""
    p = np.zeros(3 * H) if peephole is None else peephole
    bias = np.zeros(4 * H) if bias is None else bias
    states = []
    for step in x:
        i, forget, o, z = (
            step @ rows(weight_ih, gate).T + h @ rows(weight_hh, gate).T + rows(bias, gate) for gate in range(4)
        )
        i, forget = FUNCTIONS[f](i + rows(p, 0) * c), FUNCTIONS[f](forget + rows(p, 1) * c)
        c = np.clip(forget * c + i * FUNCTIONS[g](z), -clip, clip)
        h = FUNCTIONS[f](o + rows(p, 2) * c) * FUNCTIONS[a](c)
        states.append(h)
    return np.stack(states), h, c


def gru(
    x: Any, h: Any, weight_ih: Any, weight_hh: Any, bias: Any = None, f: str = "sigmoid", g: str = "tanh",
    input_bias: Any = None, reset_after: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    bias = np.zeros(3 * H) if bias is None else bias
    input_bias = np.zeros(3 * H) if input_bias is None else input_bias
    states = []
    for step in x:
        given = step @ weight_ih.T + input_bias
        made = h @ weight_hh.T + bias
        r, z = (FUNCTIONS[f](given[:, gate] + made[:, gate]) for gate in (slice(0, H), slice(2 * H, 3 * H)))
        recurrent = r * made[:, H : 2 * H] if reset_after else (r * h) @ rows(weight_hh, 1).T + rows(bias, 1)
        o = FUNCTIONS[g](given[:, H : 2 * H] + recurrent)
        h = (1 - z) * o + z * h
        states.append(h)
    return np.stack(states), h


def rnn(x: Any, h: Any, weight_ih: Any, weight_hh: Any, bias: Any = None, f: str = "tanh") -> tuple[Any, Any]:
    states = []
    for step in x:
        h = FUNCTIONS[f](step @ weight_ih.T + h @ weight_hh.T + (0 if bias is None else bias))
        states.append(h)
    return np.stack(states), h


X, H0, C0 = numbers((S, B, D), 1), numbers((B, H), 2), numbers((B, H), 3)
START = {"lstm": {"initial_h": H0, "initial_c": C0}, "gru": {"initial_h": H0}, "rnn": {"initial_h": H0}}
LOOPS = {"lstm": (lstm, 4), "gru": (gru, 3), "rnn": (rnn, 1)}
PEEPHOLE = numbers((3 * H,), 9)


def check(
    kind: str, expected: tuple[Any, ...], dtype: Any = np.float32, opset: str = "CoreML8", x: Any = X,
    start: Any = None, **parameters: Any,
) -> None:  # fmt: skip
    inputs = {"x": x, **(START[kind] if start is None else start)}
    typed = {
        name: value.astype(dtype) if isinstance(value, np.ndarray) else value for name, value in parameters.items()
    }
    found = run(kind, {name: array.astype(dtype) for name, array in inputs.items()}, opset=opset, **typed)
    assert len(found) == len(expected)
    for y, wanted in zip(found, expected, strict=True):
        assert y.shape == wanted.shape
        np.testing.assert_allclose(y, wanted, rtol=LIMITS[dtype], atol=LIMITS[dtype])


def part(y: Any, sequence: bool | None) -> Any:
    return y if sequence else y[-1:]


@pytest.mark.parametrize(
    ("opset", "dtype"),
    [("CoreML5", np.float32), ("CoreML7", np.float32), ("CoreML7", np.float16), ("CoreML8", np.float16)],
)
@pytest.mark.parametrize("sequence", [None, False, True])
@pytest.mark.parametrize("direction", [None, "forward", "reverse"])
@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.clause(
    "mil.lstm.S1",
    "mil.lstm.S2",
    "mil.lstm.S4",
    "mil.lstm.S5",
    "mil.lstm.S6",
    "mil.gru.S1",
    "mil.gru.S5",
    "mil.gru.S6",
    "mil.rnn.S1",
    "mil.rnn.S2",
    "mil.rnn.S3",
)
def test_steps(kind: str, direction: str | None, sequence: bool | None, opset: str, dtype: Any) -> None:
    loop, gates = LOOPS[kind]
    given = weights(gates)
    x = X[::-1] if direction == "reverse" else X
    y, *last = loop(x, **dict(zip("hc", START[kind].values(), strict=False)), **given)
    more = {
        name: value for name, value in (("output_sequence", sequence), ("direction", direction)) if value is not None
    }
    check(kind, (part(y, sequence), *last), dtype, opset, **given, **more)
    del given["bias"]
    y, *last = loop(x, **dict(zip("hc", START[kind].values(), strict=False)), **given)
    check(kind, (part(y, sequence), *last), dtype, opset, **given, **more)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.clause(
    "mil.lstm.C4",
    "mil.lstm.S3",
    "programs.U44",
    "programs.U46",
    "mil.gru.C4",
    "mil.gru.S2",
    "programs.U44",
    "mil.rnn.C4",
    "mil.rnn.S1",
    "programs.U44",
)
def test_activations(name: str) -> None:
    other = "sigmoid" if name != "sigmoid" else "tanh"
    given = weights(4)
    chosen = {"recurrent_activation": name, "cell_activation": other, "activation": "relu"}
    check("lstm", _last(lstm(X, H0, C0, **given, f=name, g=other, a="relu")), **given, **chosen)
    chosen = {"recurrent_activation": "hard_sigmoid", "cell_activation": name.upper(), "activation": other}
    check("lstm", _last(lstm(X, H0, C0, **given, f="hard_sigmoid", g=name, a=other)), **given, **chosen)
    given = weights(3)
    chosen = {"recurrent_activation": other, "activation": name}
    check("gru", _last(gru(X, H0, **given, f=other, g=name)), **given, **chosen)
    check("rnn", _last(rnn(X, H0, **weights(1), f=name)), **weights(1), activation=name)


def _last(results: tuple[Any, ...]) -> tuple[Any, ...]:
    return (results[0][-1:], *results[1:])


@pytest.mark.clause("mil.lstm.S1", "mil.lstm.S2", "mil.lstm.S4")
def test_a_peephole_of_the_output_looks_at_the_new_cell_and_clip_bounds_it() -> None:
    given = {**weights(4), "peephole": PEEPHOLE}
    check("lstm", _last(lstm(X, H0, C0, **given)), **given)
    clipped = lstm(X, H0, C0, **given, clip=0.25)
    assert (abs(clipped[2]) == 0.25).any()
    check("lstm", _last(clipped), **given, clip=np.float32(0.25))


@pytest.mark.clause("mil.lstm.S3", "mil.rnn.S1")
def test_what_activations_are_given_is_not_bounded() -> None:
    given = {name: 512 * value for name, value in weights(1).items()}
    check("rnn", _last(rnn(X, H0, **given, f="linear")), **given, activation="linear", start={"initial_h": H0})
    cells = lstm(X[:2], H0, C0 + 100, **weights(4), a="linear", g="linear", f="linear")
    assert abs(cells[2]).max() > 50
    linear = dict.fromkeys(("activation", "cell_activation", "recurrent_activation"), "linear")
    start = {"initial_h": H0, "initial_c": C0 + 100}
    check("lstm", _last(cells), x=X[:2], start=start, **weights(4), **linear)


@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.clause("mil.lstm.C2", "mil.lstm.C5", "mil.lstm.S7", "mil.lstm.S8")
def test_both_directions(full: bool, dtype: Any, sequence: bool) -> None:
    forward, backward = weights(4), weights(4, 20)
    if full:
        forward["peephole"], backward["peephole"] = PEEPHOLE, numbers((3 * H,), 10)
    else:
        del forward["bias"], backward["bias"]
    h, c = numbers((B, 2 * H), 11), numbers((B, 2 * H), 12)
    there = lstm(X, h[:, :H], c[:, :H], **forward)
    back = lstm(X[::-1], h[:, H:], c[:, H:], **backward)
    y = np.concatenate([there[0], back[0][::-1]], -1) if sequence else np.concatenate([there[1], back[1]], -1)[None]
    expected = y, *(np.concatenate([there[n], back[n]], -1) for n in (1, 2))
    given = {**forward, **{f"{name}_back": value for name, value in backward.items()}}
    start = {"initial_h": h, "initial_c": c}
    check("lstm", expected, dtype, start=start, direction="bidirectional", output_sequence=sequence, **given)
    # For one direction those of the other one do not count.
    check("lstm", (part(there[0], sequence), *there[1:]), dtype, start={"initial_h": h[:, :H], "initial_c": c[:, :H]},
          output_sequence=sequence, **given)  # fmt: skip


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("after", [None, False, True])
@pytest.mark.parametrize("biases", [(), ("bias",), ("input_bias",), ("bias", "input_bias")])
@pytest.mark.clause("programs.U28")
@pytest.mark.clause("mil.gru.C5", "mil.gru.S3", "mil.gru.S4", "programs.U47")
def test_since_coreml8_the_reset_gate_may_act_after_the_product(
    biases: tuple[str, ...], after: bool | None, dtype: Any
) -> None:
    given = {**weights(3), "input_bias": numbers((3 * H,), 13)}
    given = {name: value for name, value in given.items() if "bias" not in name or name in biases}
    more = {} if after is None else {"reset_after": after}
    check("gru", _last(gru(X, H0, **given, reset_after=bool(after))), dtype, **given, **more)
    if after and biases == ("bias",):
        with pytest.raises(InvalidModelError, match="takes no parameter 'reset_after'"):
            check("gru", _last(gru(X, H0, **given)), dtype, "CoreML7", **given, **more)


@pytest.mark.clause("programs.U45", "programs.U45", "programs.U45")
def test_one_state_for_all_items_and_open_shapes() -> None:
    for kind, (loop, gates) in LOOPS.items():
        start = {name: state[:1] for name, state in START[kind].items()}
        repeated = dict(zip("hc", (np.repeat(state, B, 0) for state in start.values()), strict=False))
        check(kind, _last(loop(X, **repeated, **weights(gates))), start=start, **weights(gates))
    given = {name: value.astype(np.float32) for name, value in weights(1).items()}
    inputs = {"x": X.astype(np.float32), "initial_h": H0[:1].astype(np.float32)}
    y, h = rnn(X, np.repeat(H0[:1], B, 0), **weights(1))
    check("rnn", (y[-1:], h), start={"initial_h": H0[:1]}, **weights(1))
    outputs = [("fp32", (None, None, H)), ("fp32", (None, H))]
    found = run("rnn", inputs, open_shapes=True, outputs=outputs, output_sequence=True, **given)
    np.testing.assert_allclose(found[0], y, rtol=0, atol=2**-19)


@pytest.mark.parametrize(
    ("kind", "changed", "message"),
    [
        ("lstm", {"weight_ih": None}, "'weight_ih' is missing"),
        ("lstm", {"weight_hh": numbers((4 * H, H + 1), 1)}, r"expected \[4 \* H, I\] and \[4 \* H, H\]"),
        ("gru", {"weight_ih": numbers((4 * H, D), 1)}, r"shapes \(12, 4\) and \(9, 3\), expected \[3 \* H, I\]"),
        ("rnn", {"weight_ih": numbers((H, D + 1), 1)}, r"expected x \[Seq, Batch, 5\], got \(5, 2, 4\)"),
        ("rnn", {"bias": numbers((H + 1,), 1)}, "'bias' is not of the length 3"),
        ("rnn", {"weight_ih": numbers((H,), 1)}, r"'weight_ih' has the shape \(3,\), expected rank 2"),
        ("lstm", {"peephole": numbers((4 * H,), 1)}, "'peephole' is not of the length 9"),
        ("gru", {"input_bias": numbers((H,), 1)}, "'input_bias' is not of the length 9"),
        ("lstm", {"clip": np.array(-1.0)}, "'clip' is -1, expected at least 0"),
        ("lstm", {"direction": "bidirectional"}, "'weight_ih_back' is missing"),
        ("gru", {"direction": "bidirectional"}, "'direction' is 'bidirectional', expected one of 'forward', 'reverse'"),
        ("lstm", {"activation": "gelu"}, "'activation' is 'gelu', expected one of 'tanh'"),
        ("gru", {"recurrent_activation": "gelu"}, "'recurrent_activation' is 'gelu', expected one of 'tanh'"),
        ("rnn", {"activation": "gelu"}, "'activation' is 'gelu', expected one of 'tanh'"),
        ("rnn", {"direction": "bidirectional"}, "'direction' is 'bidirectional', expected one of 'forward', 'reverse'"),
        ("lstm", {"direction": "backward"}, "'direction' is 'backward', expected one of 'forward', 'reverse'"),
    ],
)
@pytest.mark.clause("mil.lstm.C1", "mil.lstm.C4", "mil.lstm.C5", "mil.gru.C1", "mil.gru.C4", "mil.rnn.C1", "mil.rnn.C4")
def test_parameters_that_do_not_fit(kind: str, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        check(kind, (), **{**weights(LOOPS[kind][1]), **changed})


@pytest.mark.clause("mil.lstm.C5")
def test_directions_that_do_not_fit_each_other() -> None:
    back = {f"{name}_back": value[:, 1:] if name == "weight_ih" else value for name, value in weights(4).items()}
    both = {"initial_h": numbers((B, 2 * H), 1), "initial_c": numbers((B, 2 * H), 2)}
    with pytest.raises(
        InvalidModelError, match=r"weights are for \(4, 3\) inputs and states, those '_back' for \(3, 3\)"
    ):
        check("lstm", (), start=both, direction="bidirectional", **weights(4), **back)


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.clause(
    "mil.lstm.C1",
    "mil.lstm.C2",
    "mil.lstm.C3",
    "mil.gru.C1",
    "mil.gru.C2",
    "mil.gru.C3",
    "mil.rnn.C1",
    "mil.rnn.C2",
    "mil.rnn.C3",
)
def test_inputs_that_do_not_fit(kind: str) -> None:
    given = weights(LOOPS[kind][1])
    with pytest.raises(InvalidModelError, match=r"the hidden state has the shape \(2, 4\), expected \(2, 3\)"):
        check(kind, (), start={**START[kind], "initial_h": numbers((B, H + 1), 1)}, **given)
    with pytest.raises(InvalidModelError, match="expected x"):
        check(kind, (), x=X[0], **given)
    with pytest.raises(InvalidModelError, match="has elements of type fp16, expected fp32"):
        check(kind, (), np.float16, "CoreML6", **given)
    mixed = {name: value.astype(np.float16) for name, value in given.items()}
    with pytest.raises(InvalidModelError, match=r"have elements of types .*, expected one"):
        run(kind, {name: value.astype(np.float32) for name, value in {"x": X, **START[kind]}.items()}, **mixed)


# ---- A second opinion ----


def test_torch() -> None:
    """Torch has the gates i, f, g, o of an LSTM and r, z, n of a GRU, and two biases."""
    torch: Any = pytest.importorskip("torch", reason="torch is the second opinion")

    def split(gates: int, order: tuple[int, ...], module: Any, suffix: str = "") -> list[Any]:
        found = []
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            whole = getattr(module, f"{name}_l0{suffix}").detach().numpy().astype(np.float64)
            found.append(np.concatenate([rows(whole, gate) for gate in order]))
        return found

    torch.manual_seed(1)
    x = torch.from_numpy(X).float()
    module = torch.nn.LSTM(D, H, bidirectional=True)
    h, c = numbers((B, 2 * H), 11), numbers((B, 2 * H), 12)
    states = tuple(torch.from_numpy(part.reshape(B, 2, H).swapaxes(0, 1).copy()).float() for part in (h, c))
    with torch.no_grad():
        y, (last_h, last_c) = module(x, states)
    joined = [part.numpy().swapaxes(0, 1).reshape(B, 2 * H) for part in (last_h, last_c)]
    given = {}
    for ours, theirs in (("", ""), ("_back", "_reverse")):
        w, r, b, b_r = split(4, (0, 1, 3, 2), module, theirs)
        given |= {f"weight_ih{ours}": w, f"weight_hh{ours}": r, f"bias{ours}": b + b_r}
    start = {"initial_h": h, "initial_c": c}
    expected = (y.numpy(), *joined)
    check("lstm", expected, start=start, direction="bidirectional", output_sequence=True, **given)

    module = torch.nn.GRU(D, H)
    with torch.no_grad():
        y, last = module(x, torch.from_numpy(H0).float()[None])
    w, r, b, b_r = split(3, (0, 2, 1), module)
    given = {"weight_ih": w, "weight_hh": r, "input_bias": b, "bias": b_r}
    check("gru", (y.numpy(), last[0].numpy()), output_sequence=True, reset_after=True, **given)
