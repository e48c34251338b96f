"""torch in single precision stays within the bounds of ML Programs, whose operations it computes in ways of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from oracle.operations import Example, bounds, normal, positive, unit
from oracle.test_operations import assert_within

from refcoreml.types import Array

torch = pytest.importorskip("torch", reason="needs torch")
F = torch.nn.functional

X, IMAGE = normal(2, 3, 64), normal(2, 3, 11, 9)
WEIGHT, BIAS = normal(5, 3, 3, 3), normal(5)
QUERY, KEY, VALUE, MASK = normal(2, 3, 8), normal(2, 70, 8, seed=5), normal(2, 70, 6, seed=6), normal(3, 70, seed=7)
STEPS, STATE = normal(6, 2, 5), {"initial_h": normal(2, 4, seed=12)}


def gates(count: int) -> dict[str, Array]:
    shapes = {"weight_ih": (4 * count, 5), "weight_hh": (4 * count, 4), "bias": (4 * count,)}
    return {name: normal(*shape, seed=14, scale=0.5) for name, shape in shapes.items()}


def recurrent(kind: Any, order: list[int], *states: Array) -> Array:
    """Return the steps of torch's network, whose gates stand in another order."""
    net = kind(5, 4)
    weights = {"weight_ih_l0": "weight_ih", "weight_hh_l0": "weight_hh", "bias_ih_l0": "bias"}
    for name, own in weights.items():
        array = gates(len(order))[own]
        rows = np.concatenate([array[4 * gate : 4 * gate + 4] for gate in order])
        getattr(net, name).data = torch.as_tensor(rows)
    net.bias_hh_l0.data.zero_()
    given = [torch.as_tensor(state)[None] for state in states]
    with torch.no_grad():
        y, _ = net(torch.as_tensor(STEPS), given[0] if len(given) == 1 else tuple(given))
    return y.numpy()  # type: ignore[no-any-return]


def t(array: Any) -> Any:
    return torch.as_tensor(np.asarray(array))


#: An operation, its inputs and constants, and what torch computes.
CASES: list[tuple[str, Mapping[str, Any], Mapping[str, Any], Callable[[], Any]]] = [
    ("conv", {"x": IMAGE}, {"weight": WEIGHT, "bias": BIAS}, lambda: F.conv2d(t(IMAGE), t(WEIGHT), t(BIAS))),
    ("linear", {"x": X}, {"weight": normal(7, 64)}, lambda: F.linear(t(X), t(normal(7, 64)))),
    ("matmul", {"x": X, "y": normal(2, 64, 7)}, {}, lambda: t(X) @ t(normal(2, 64, 7))),
    (
        "einsum",
        {"values": [X, normal(2, 64, 7)]},
        {"equation": "bik,bkj->bij"},
        lambda: torch.einsum("bik,bkj->bij", t(X), t(normal(2, 64, 7))),
    ),
    (
        "scaled_dot_product_attention",
        {"query": QUERY, "key": KEY, "value": VALUE, "attn_mask": MASK},
        {},
        lambda: F.scaled_dot_product_attention(*map(t, (QUERY[None], KEY[None], VALUE[None])), attn_mask=t(MASK))[0],
    ),
    ("softmax", {"x": X}, {"axis": np.int32(-1)}, lambda: F.softmax(t(X), -1)),
    ("layer_norm", {"x": X}, {"axes": np.int32([-1])}, lambda: F.layer_norm(t(X), (64,))),
    ("gelu", {"x": X}, {"mode": "EXACT"}, lambda: F.gelu(t(X))),
    ("gelu", {"x": X}, {"mode": "TANH_APPROXIMATION"}, lambda: F.gelu(t(X), approximate="tanh")),
    ("silu", {"x": X}, {}, lambda: F.silu(t(X))),
    ("softplus", {"x": X}, {}, lambda: F.softplus(t(X))),
    ("erf", {"x": X}, {}, lambda: torch.erf(t(X))),
    ("pow", {"x": positive(2, 3), "y": normal(2, 3)}, {}, lambda: torch.pow(t(positive(2, 3)), t(normal(2, 3)))),
    ("cumsum", {"x": X}, {"axis": np.int32(2)}, lambda: torch.cumsum(t(X), 2)),
    ("reduce_log_sum_exp", {"x": X}, {"axes": np.int32([2])}, lambda: torch.logsumexp(t(X), 2)),
    ("reduce_l2_norm", {"x": X}, {"axes": np.int32([2])}, lambda: torch.linalg.vector_norm(t(X), dim=2)),
    (
        "lstm",
        {"x": STEPS, **STATE, "initial_c": normal(2, 4, seed=13)},
        {**gates(4), "output_sequence": True},
        lambda: recurrent(torch.nn.LSTM, [0, 1, 3, 2], STATE["initial_h"], normal(2, 4, seed=13)),
    ),
    (
        "gru",
        {"x": STEPS, **STATE},
        {**gates(3), "output_sequence": True, "reset_after": True, "input_bias": np.zeros(12, np.float32)},
        lambda: torch_gru(),
    ),
    (
        "upsample_bilinear",
        {"x": IMAGE},
        {"scale_factor_height": np.int32(3), "scale_factor_width": np.int32(2), "align_corners": False},
        lambda: F.interpolate(t(IMAGE), scale_factor=(3, 2), mode="bilinear", align_corners=False),
    ),
    *(
        (
            "resample",
            {"x": IMAGE, "coordinates": unit(2, 7, 6, 2)},
            {
                "coordinates_mode": "normalized_minus_one_to_one",
                "align_corners": aligned,
                "padding_mode": padding,
                "padding_value": 0.0,
                "sampling_mode": "bilinear",
            },
            lambda aligned=aligned, name=name: F.grid_sample(
                t(IMAGE), t(unit(2, 7, 6, 2)), align_corners=aligned, padding_mode=name
            ),
        )
        for aligned in (False, True)
        for padding, name in (("constant", "zeros"), ("border", "border"))
    ),
    (
        "affine",
        {"x": IMAGE, "transform_matrix": np.float32([[0.75, 0.25, 0.125, -0.25, 0.5, 0.25]])},
        {
            **{"output_height": np.int32(4), "output_width": np.int32(7), "align_corners": True, "padding_value": 0.0},
            **{"sampling_mode": "bilinear", "padding_mode": "constant"},
            "coordinates_mode": "normalized_minus_one_to_one",
        },
        lambda: F.grid_sample(
            t(IMAGE),
            F.affine_grid(
                t(np.float32([[[0.75, 0.25, 0.125], [-0.25, 0.5, 0.25]]] * 2)), (2, 3, 4, 7), align_corners=True
            ),
            align_corners=True,
        ),
    ),
]


def torch_gru() -> Array:
    """Return what torch's network computes, whose gates are r, z, n and whose bias acts on the recurrent product."""
    array = gates(3)
    net = torch.nn.GRU(5, 4)
    rows = np.concatenate([np.arange(0, 4), np.arange(8, 12), np.arange(4, 8)])
    net.weight_ih_l0.data, net.weight_hh_l0.data = t(array["weight_ih"][rows]), t(array["weight_hh"][rows])
    net.bias_hh_l0.data, net.bias_ih_l0.data = t(array["bias"][rows]), torch.zeros(12)
    with torch.no_grad():
        y, _ = net(t(STEPS), t(STATE["initial_h"])[None])
    return y.numpy()  # type: ignore[no-any-return]


@pytest.mark.parametrize(("kind", "inputs", "constants", "computed"), CASES, ids=[case[0] for case in CASES])
def test_torch_is_within_the_bounds(
    kind: str, inputs: Mapping[str, Any], constants: Mapping[str, Any], computed: Callable[[], Any]
) -> None:
    bound, *_ = bounds(Example(kind, inputs, constants))
    y = np.asarray(computed())
    assert y.dtype == np.float32
    assert_within(y, bound)
    assert bound.radius.max() < 1e-4 * np.abs(bound.value).max()
