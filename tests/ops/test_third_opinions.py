"""torch, whose operations programs are mostly made from, as a third opinion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support import integers

from refcoreml import ops
from refcoreml.kernels.recurrent import GateWeights
from refcoreml.ops.convolution import Pixels
from refcoreml.ops.pooling import Complete

torch = pytest.importorskip("torch", reason="torch is the third opinion")
SPACES = [1, 2, 3]


def tensor(x: Any) -> Any:
    return torch.from_numpy(np.ascontiguousarray(x))


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("groups", [1, 3])
def test_convolutions(space: int, groups: int) -> None:
    x = integers((2, 6, *(9, 8, 7)[:space]), 1)
    kernel, stride, dilation, pad = ((3, 2, 2)[:space], (2, 1, 3)[:space], (1, 2, 1)[:space], (1, 0, 2)[:space])
    weights, bias = integers((9, 6 // groups, *kernel), 2), integers((9,), 3)
    function = getattr(torch.nn.functional, f"conv{space}d")
    expected = function(tensor(x), tensor(weights), tensor(bias), stride, pad, dilation, groups).numpy()
    edges = Pixels(tuple((p, p) for p in pad))
    np.testing.assert_array_equal(ops.Convolution(weights, bias, stride, dilation, groups, edges).run(x), expected)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("longer", [0, 1])
def test_transposed_convolutions(space: int, groups: int, longer: int) -> None:
    """torch's output_padding is an output shape that keeps the crop at the beginning."""
    x = integers((2, 6, *(4, 5, 3)[:space]), 1)
    kernel, stride, pad = (3, 4, 2)[:space], (2, 3, 2)[:space], (1, 2, 0)[:space]
    weights, bias = integers((6, 9 // groups, *kernel), 2), integers((9,), 3)
    function = getattr(torch.nn.functional, f"conv_transpose{space}d")
    expected = function(tensor(x), tensor(weights), tensor(bias), stride, pad, longer, groups).numpy()
    op = ops.Deconvolution(
        weights,
        bias,
        stride,
        (1,) * space,
        groups,
        crop=Pixels(tuple((p, p) for p in pad)),
        output_shape=expected.shape[2:],
        keep_begin=True,
    )
    np.testing.assert_array_equal(op.run(x), expected)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("pad", [0, 1])
def test_largest_of_windows_that_complete_the_last_one(space: int, pad: int) -> None:
    x = integers((2, 3, *(7, 9, 8)[:space]), 1)
    kernel, stride = (2, 3, 4)[:space], (2, 3, 3)[:space]
    function = getattr(torch.nn.functional, f"max_pool{space}d")
    expected = function(tensor(x), kernel, stride, pad, ceil_mode=True).numpy()
    np.testing.assert_array_equal(ops.Pooling("max", kernel, stride, Complete((pad,) * space, True)).run(x), expected)


@pytest.mark.parametrize("equation", ["bhld,bhsd->bhls", "bij,bjk->bik", "ij,kj,lj->ikl", "nchw,nwhu->nchu"])
def test_equations(equation: str) -> None:
    lengths = dict(zip(dict.fromkeys(equation.replace(",", "").split("->")[0]), (2, 3, 4, 5, 6), strict=False))
    terms = equation.split("->")[0].split(",")
    inputs = [integers([lengths[letter] for letter in term], seed) for seed, term in enumerate(terms)]
    np.testing.assert_array_equal(
        ops.Einsum(equation).run(*inputs), torch.einsum(equation, *map(tensor, inputs)).numpy()
    )


def rows_of(weights: Any, order: list[int], hidden: int) -> Any:
    """Rows of gates in another order."""
    return np.concatenate([weights[gate * hidden : (gate + 1) * hidden] for gate in order])


def weights_of(module: Any, order: list[int], suffix: str = "") -> list[Any]:
    """W, R, and both biases of a module, with gates in another order."""
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    values = (getattr(module, name + suffix).detach().numpy() for name in names)
    return [rows_of(value, order, module.hidden_size) for value in values]


#: Every step rounds sums of 5 + 4 products of numbers up to 1 and three functions, in double precision; three steps.
STEPS = {"rtol": 0, "atol": 3 * 4 * (2 * 9 + 3 * 4) * 2.0**-53}


def test_a_bidirectional_lstm() -> None:
    """torch orders gates i, f, g, o; programs i, f, o, z."""
    torch.manual_seed(0)
    module = torch.nn.LSTM(5, 4, bidirectional=True).double()
    parts = []
    for suffix in ("", "_reverse"):
        w, r, b_input, b_hidden = weights_of(module, [0, 1, 3, 2], suffix)
        weights = GateWeights(w, r, b_input + b_hidden)
        functions = (ops.Sigmoid(), ops.Tanh(), ops.Tanh())
        parts.append(ops.LSTM(weights, *functions, cell_clip=np.inf, limit=np.inf, reverse=bool(suffix)))
    rng = np.random.default_rng(0)
    x, h, c = rng.uniform(-1, 1, (3, 2, 5)), rng.uniform(-1, 1, (2, 2, 4)), rng.uniform(-1, 1, (2, 2, 4))
    y, (last_h, last_c) = module(tensor(x), (tensor(h), tensor(c)))
    joined = [np.concatenate(list(state), -1) for state in (h, c)]
    found = ops.BidirectionalLSTM(*parts, joined=True).run(x, *joined)
    for ours, theirs in zip(found, (y, torch.cat([*last_h], -1), torch.cat([*last_c], -1)), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), **STEPS)


def test_a_gru_that_resets_after_the_product() -> None:
    """torch orders gates r, z, n; the operation z, r, o."""
    torch.manual_seed(0)
    module = torch.nn.GRU(5, 4).double()
    w, r, b_input, b_hidden = weights_of(module, [1, 0, 2])
    bias = np.concatenate([(b_input + b_hidden)[:8], b_input[8:]])
    op = ops.GRU(
        GateWeights(w, r, bias), ops.Sigmoid(), ops.Tanh(), limit=np.inf, reset_after=True, recurrent_bias=b_hidden[8:]
    )
    rng = np.random.default_rng(0)
    x, h = rng.uniform(-1, 1, (3, 2, 5)), rng.uniform(-1, 1, (1, 2, 4))
    y, last = module(tensor(x), tensor(h))
    for ours, theirs in zip(op.run(x, h[0]), (y, last[0]), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), **STEPS)
