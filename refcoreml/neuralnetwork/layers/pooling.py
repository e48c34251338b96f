"""The pooling layer."""

from __future__ import annotations

from refcoreml import ops
from refcoreml.neuralnetwork.layers._checks import borders, enum_name
from refcoreml.neuralnetwork.layers.convolution import LARGEST, pair
from refcoreml.neuralnetwork.registry import Node, layer
from refcoreml.ops.convolution import Pixels, Same
from refcoreml.ops.pooling import Complete


@layer("pooling")
def pooling(node: Node) -> ops.Op:
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
    mode = enum_name(node, "type").lower()
    if params.globalPooling:
        return ops.Pooling(mode, (None, None), exclude_padding=params.avgPoolExcludePadding)
    kernel = pair(node, "kernelSize", params.kernelSize, default=3, least=1)
    stride = pair(node, "stride", params.stride, default=1, least=1)
    return ops.Pooling(mode, kernel, stride, _padding(node, kind), params.avgPoolExcludePadding)


def _padding(node: Node, kind: str) -> Pixels | Same | Complete:
    params = node.params
    if kind == "same":
        return Same(enum_name(node, "asymmetryMode", params.same) == "TOP_LEFT_HEAVY")
    if kind == "valid":
        edges = borders(node, params.valid.paddingAmounts, "paddingAmounts")
        node.require(max(map(max, edges)) <= LARGEST, f"paddingAmounts are {edges}, expected at most {LARGEST}")
        return Pixels(edges)
    return Complete(pair(node, "paddingAmounts", params.includeLastPixel.paddingAmounts, default=0, least=0))
