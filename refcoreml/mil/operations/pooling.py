"""Pooling: one number for each window that slides over the axes in space. x and y: fp16 or fp32.

x [N, C, *D] has one to three axes in space; y [N, C, *D']. ``kernel_sizes`` has the length of a window along each,
``strides`` the steps (1 by default). ``pad_type``, which has no default, and ``pad`` are those of `convolution`.

D' = floor((D + begin + end - kernel) / stride) + 1; ceil(D / stride) for ``same`` and ``same_lower``. With
``ceil_mode`` (false by default; one or two axes, equal begin and end, not with ``same``) it is rounded up, so that the
last window may reach beyond the padding; where there is padding, a window that would begin beyond x and its first
padding is left out. What lies beyond counts as padding: Apple's runtime divides an average by the whole kernel there,
too.

Open: with ``ceil_mode``, without padding and with a stride above the kernel, windows that hold nothing. Chosen: they
stay: the maximum is -Inf, the average 0, or 0 / 0 = NaN if padding does not count.
"""

from __future__ import annotations

from refcoreml import ops
from refcoreml.mil.domains import floats
from refcoreml.mil.node import Node
from refcoreml.mil.operations.convolution import padding, per_axis, space_of
from refcoreml.mil.registry import operation
from refcoreml.ops.convolution import Padding, Pixels, Same
from refcoreml.ops.pooling import Complete


def _pool(node: Node, mode: str, most_axes: int = 3, *, exclude_padding: bool = False) -> ops.Op:
    space = space_of(node)
    node.require(space <= most_axes, f"parameter 'x' is of rank {space + 2}, expected at most {most_axes + 2}")
    around = padding(node, space)
    edges = _complete(node, space, around) if node.flag("ceil_mode", False) else around
    kernel = node.integers("kernel_sizes", count=space)
    return floats(node, ops.Pooling(mode, kernel, per_axis(node, "strides", space), edges, exclude_padding))


def _complete(node: Node, space: int, edges: Padding | None) -> Complete:
    """Return the padding of ``ceil_mode``."""
    node.require(space <= 2, f"has ceil_mode for {space} axes in space, expected at most 2")
    node.require(not isinstance(edges, Same), "has ceil_mode, which does not go with pad_type 'same'")
    pairs = edges.edges if isinstance(edges, Pixels) else ((0, 0),) * space
    node.require(all(begin == end for begin, end in pairs), f"has ceil_mode, but pad differs at begin and end: {pairs}")
    return Complete(tuple(begin for begin, _ in pairs), each_axis=True)


@operation("max_pool", "x")
def max_pool(node: Node) -> ops.Op:
    """y = max of each window. Padding is -Inf."""
    return _pool(node, "max")


@operation("avg_pool", "x")
def avg_pool(node: Node) -> ops.Op:
    """y = (sum of each window) / (number of its places). Padding is 0.

    ``exclude_padding_from_average`` (false by default): whether to divide by the number of places inside of x.
    """
    return _pool(node, "average", exclude_padding=node.flag("exclude_padding_from_average", False))


@operation("l2_pool", "x")
def l2_pool(node: Node) -> ops.Op:
    """y = sqrt(sum of squares of each window). Padding is 0. One or two axes in space."""
    return _pool(node, "l2", 2)
