"""The pooling layer: an adapter over `refcoreml.kernels.pool`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from refcoreml.kernels import pool as kernels
from refcoreml.kernels._types import Array, Shape
from refcoreml.kernels.pool import Windows
from refcoreml.neuralnetwork.layers.elementwise import enum_name
from refcoreml.neuralnetwork.layers.padding import borders
from refcoreml.neuralnetwork.registry import Node, Op, layer

#: Sizes are 32-bit integers to Core ML. The limit keeps sums of them within 64 bits here.
_LARGEST = 2**31 - 1


def _pair(node: Node, field: str, values: tuple[int, ...], *, default: int, least: int) -> tuple[int, int]:
    if not values:
        return default, default
    node.require(len(values) == 2, f"{field} has {len(values)} numbers, expected 2, for H and W")
    node.require(
        all(least <= value <= _LARGEST for value in values), f"{field} is {values}, expected {least} to {_LARGEST}"
    )
    return values[0], values[1]


@layer("pooling")
def pooling(node: Node) -> Op:
    """y = maximum, average, or root of the sum of squares, of each window that slides over H and W.

    Input: x [*, C, H, W], rank 4 or more. Output: [*, C, H', W'].
    Fields:
        ``type``: MAX; AVERAGE; L2, the root of the sum of squares, which is not divided by their number.
        ``kernelSize`` k: H and W in pixels, default 3 and 3. ``stride`` s: likewise, default 1 and 1.
        ``valid``: H' = floor((H + top + bottom - k) / s) + 1 with ``paddingAmounts``, default 0.
        ``same``: H' = ceil(H / s), padded by max(0, (H' - 1) * s + k - H); an odd pixel goes to the bottom and right
        (BOTTOM_RIGHT_HEAVY) or to the top and left.
        ``includeLastPixel``: H' = ceil((H + 2 * p - k) / s) + 1, and if a p of either axis is above 0 one less where
        the last window would start at H + p or later; ``paddingAmounts`` p of H and W, default 0.
        ``avgPoolExcludePadding``: divide by the number of pixels of x in the window instead of by the whole kernel.
        ``globalPooling``: one window over all of H, W; kernel, stride and padding are not read.
    Padding is -Inf to MAX and 0 to the others. Order of summation: see `refcoreml.kernels.pool.average_pool`.
    Errors: an unknown enum; no kind of padding; sizes of 0 or beyond 32 bits; a window that does not fit.
    Chosen: pixels beyond the bottom and right padding, which includeLastPixel can reach, count as padding, so that they
    are in the divisor unless padding is excluded (an Apple engineer's statement for ML Programs; Caffe leaves them
    out). The average of padding alone, without padding, is 0 / 0 = NaN.
    Source: ``PoolingLayerParams``.
    """
    params = node.params
    kind = params.WhichOneof("PoolingPaddingType")
    node.require(kind is not None, "has no kind of padding", "Set one of valid, same, includeLastPixel")
    axes = (kernels.global_windows,) * 2 if params.globalPooling else _axes(node, kind)
    pools: dict[str, Callable[..., Array]] = {
        "MAX": kernels.max_pool,
        "AVERAGE": partial(kernels.average_pool, exclude_padding=params.avgPoolExcludePadding),
        "L2": kernels.l2_pool,
    }
    run = pools[enum_name(node, "type")]

    def windows(x: Shape) -> list[Windows]:
        return [axis(size) for axis, size in zip(axes, x[-2:], strict=True)]

    def shape(x: Shape) -> Shape:
        node.require(len(x) >= 4, f"expected an input [*, C, H, W] of rank 4 or more, came {x}")
        for axis, size, w in zip("HW", x[-2:], windows(x), strict=True):
            node.require(
                w.count >= 1,
                f"a window of {w.kernel} does not fit into the {size} pixels along {axis} and their padding",
            )
        return *x[:-2], *(w.count for w in windows(x))

    return Op(lambda x: run(x, windows(x.shape)), shape, fresh=True)


def _axes(node: Node, kind: str) -> tuple[Callable[[int], Windows], ...]:
    """For H and W the function from a size to its windows."""
    params = node.params
    kernel = _pair(node, "kernelSize", tuple(params.kernelSize), default=3, least=1)
    stride = _pair(node, "stride", tuple(params.stride), default=1, least=1)
    if kind == "same":
        heavy_begin = enum_name(node, "asymmetryMode", params.same) == "TOP_LEFT_HEAVY"
        return tuple(
            partial(kernels.same_windows, kernel=k, stride=s, heavy_begin=heavy_begin)
            for k, s in zip(kernel, stride, strict=True)
        )
    if kind == "valid":
        edges = borders(node, params.valid.paddingAmounts, "paddingAmounts")
        node.require(max(map(max, edges)) <= _LARGEST, f"paddingAmounts are {edges}, expected at most {_LARGEST}")
        return tuple(
            partial(kernels.valid_windows, kernel=k, stride=s, padding=edge)
            for k, s, edge in zip(kernel, stride, edges, strict=True)
        )
    amounts = _pair(node, "paddingAmounts", tuple(params.includeLastPixel.paddingAmounts), default=0, least=0)
    return tuple(
        partial(kernels.complete_windows, kernel=k, stride=s, padding=p, trim=any(amounts))
        for k, s, p in zip(kernel, stride, amounts, strict=True)
    )
