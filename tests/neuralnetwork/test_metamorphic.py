"""What must hold between runs of layers, whatever the numbers are: linearity, inverses, independence of the neighbours.

On small integers all of it is exact. Shapes have pairwise different lengths, or an axis of 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import integers, run_layer

seeds = st.integers(0, 2**16)
shapes = st.sampled_from([(5,), (1, 4), (3, 1, 5), (2, 4, 3, 5), (2, 1, 4, 3, 6)])
images = st.sampled_from([(2, 4, 6, 7), (1, 4, 5, 9), (3, 4, 7, 6)])

WEIGHTS = integers((6, 2, 3, 2), seed=9)
CONVOLUTION = {
    "kernel_size": [3, 2],
    "stride": [2, 1],
    "valid": {},
    "n_groups": 2,
    "kernel_channels": 2,
    "output_channels": 6,
    "weights": WEIGHTS,
}
MATRIX = {"input_channels": 4, "output_channels": 5, "weights": integers((5, 4), seed=8)}


def nd(kind: str, *xs: Any, **fields: Any) -> Any:
    return run_layer(kind, *xs, rank5=False, **fields)


LINEAR: dict[str, Callable[[Any], Any]] = {
    "convolution": lambda x: nd("convolution", x, **CONVOLUTION),
    "innerProduct": lambda x: nd("innerProduct", np.moveaxis(x, 1, -1).reshape(-1, 4), **MATRIX),
    "average pooling": lambda x: nd("pooling", x, type="AVERAGE", kernel_size=[2, 2], stride=[1, 1], valid={}),
    "reduceSum": lambda x: nd("reduceSum", x, axes=[-3, -1], keep_dims=True),
    "cumSum": lambda x: nd("cumSum", x, axis=-2),
    "upsample": lambda x: nd("upsample", x, scaling_factor=[2, 3], mode="NN"),
    "flatten": lambda x: nd("flatten", x),
    "constantPad": lambda x: nd("constantPad", x, pad_amounts=[0, 0, 1, 0, 0, 2, 3, 1]),
    "slidingWindows": lambda x: nd("slidingWindows", x, axis=-1, window_size=2, step=3),
    "lowerTriangular": lambda x: nd("lowerTriangular", x, k=1),
}


@pytest.mark.parametrize("kind", LINEAR)
@given(images, seeds)
@settings(max_examples=15)
def test_linear_layers_add_up(kind: str, shape: tuple[int, ...], seed: int) -> None:
    layer, a, b = LINEAR[kind], integers(shape, seed), integers(shape, seed + 1)
    np.testing.assert_array_equal(layer(a + 3 * b), layer(a) + 3 * layer(b))


@given(images, seeds)
@settings(max_examples=15)
def test_a_deconvolution_is_the_adjoint_of_the_convolution(shape: tuple[int, ...], seed: int) -> None:
    x = integers(shape, seed)
    y = nd("convolution", x, **CONVOLUTION)
    z = integers(y.shape, seed + 1)
    # Both layers have weights [first, second / groups, H, W], the deconvolution those of the way back.
    fields = CONVOLUTION | {"is_deconvolution": True, "kernel_channels": 6, "output_channels": 4}
    back = nd("convolution", z, **fields)
    rows, columns = (min(n, m) for n, m in zip(x.shape[2:], back.shape[2:], strict=True))
    # Pixels that no window reaches are missing from the way back.
    assert (y * z).sum() == (x[..., :rows, :columns] * back[..., :rows, :columns]).sum()


INVERSES: dict[str, Callable[[Any, int], Any]] = {
    "transpose": lambda x, axis: nd(
        "transpose",
        nd("transpose", x, axes=np.roll(np.arange(x.ndim), axis + 1)),
        axes=np.roll(np.arange(x.ndim), -axis - 1),
    ),
    "reverse": lambda x, axis: nd(
        "reverse",
        nd("reverse", x, reverse_dim=np.arange(x.ndim) == axis),
        reverse_dim=np.arange(x.ndim) == axis,
    ),
    "expandDims": lambda x, axis: (
        nd("squeeze", nd("expandDims", x, axes=[axis]), axes=[axis]) if x.ndim < 5 else x.astype(np.float32)
    ),
    "concatND": lambda x, axis: run_layer(
        "splitND",
        nd("concatND", x, -x, axis=axis),
        outputs=2,
        rank5=False,
        axis=axis,
        num_splits=2,
    )[0],
    "reshapeStatic": lambda x, axis: nd(
        "reshapeStatic", nd("reshapeStatic", x, target_shape=[-1]), target_shape=x.shape
    ),
    "argSort": lambda x, axis: nd(
        "gatherAlongAxis",
        nd("gatherAlongAxis", x, order := nd("argSort", x, axis=axis), axis=axis),
        nd("argSort", order, axis=axis),
        axis=axis,
    ),
}


@pytest.mark.parametrize("kind", INVERSES)
@given(shapes, seeds, st.data())
@settings(max_examples=20)
def test_there_and_back(kind: str, shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    x = integers(shape, seed)
    np.testing.assert_array_equal(INVERSES[kind](x, axis), x)


@given(shapes, seeds, st.data(), st.integers(-5, 5))
@settings(max_examples=30)
def test_extrema_and_order_follow_a_shift(shape: tuple[int, ...], seed: int, data: st.DataObject, shift: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = integers(shape, seed)
    for kind in ("reduceMax", "reduceMin"):
        shifted = nd(kind, x + shift, axes=[axis], keep_dims=True)
        np.testing.assert_array_equal(shifted, nd(kind, x, axes=[axis], keep_dims=True) + shift)
    for kind in ("argMax", "argMin"):
        np.testing.assert_array_equal(nd(kind, x + shift, axis=axis), nd(kind, x, axis=axis))
    greatest = run_layer("topK", x, outputs=2, rank5=False, axis=axis, K=shape[axis])[0]
    np.testing.assert_array_equal(greatest, -np.sort(-x, axis))


#: Layers that treat the items of the first axis one by one.
BY_ITEM: dict[str, dict[str, Any]] = {
    "convolution": CONVOLUTION,
    "pooling": {"type": "L2", "kernel_size": [2, 3], "stride": [1, 2], "same": {}},
    "softmax": {},
    "mvn": {"normalize_variance": True},
    "l2normalize": {},
    "lrn": {"alpha": 0.5, "beta": 0.75, "local_size": 3, "k": 1},
    "batchnorm": {
        "channels": 4,
        "gamma": [1, 2, 3, 4],
        "beta": [5, 6, 7, 8],
        "compute_mean_var": True,
        "instance_normalization": True,
    },
    "layerNormalization": {"normalized_shape": [4, 6, 7], "gamma": np.ones((4, 6, 7)), "beta": np.ones((4, 6, 7))},
    "resizeBilinear": {"target_size": [5, 9], "mode": {"samplingMethod": "UPSAMPLE_MODE"}},
    "gelu": {},
    "padding": {
        "reflection": {},
        "padding_amounts": {"border_amounts": [{"start_edge_size": 1}, {"end_edge_size": 2}]},
    },
}


@pytest.mark.parametrize("kind", BY_ITEM)
@given(seeds, st.permutations(range(3)))
@settings(max_examples=10)
def test_items_of_a_batch_do_not_meet(kind: str, seed: int, order: list[int]) -> None:
    x = np.random.default_rng(seed).normal(size=(3, 4, 6, 7))
    whole = nd(kind, x, **BY_ITEM[kind])
    permuted = nd(kind, x[order], **BY_ITEM[kind])
    # In single precision; sums of fewer than 200 terms may be added in another order.
    scale = np.abs(whole).max()
    np.testing.assert_allclose(permuted, whole[order], rtol=0, atol=200 * 2.0**-24 * scale)
