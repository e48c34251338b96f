"""torch, whose operations programs are mostly made from, as a third opinion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support import integers

from refcoreml import ops
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
