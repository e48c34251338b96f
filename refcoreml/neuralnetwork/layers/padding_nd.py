"""Padding along any axes. (The legacy ``padding`` and ``crop`` are in ``padding.py``.)"""

from __future__ import annotations

from refcoreml import ops
from refcoreml.neuralnetwork.registry import Node, Restricted, layer
from refcoreml.ops.base import require
from refcoreml.types import Shape


@layer("constantPad", inputs=(1, 2))
def constant_pad(node: Node) -> ops.Op:
    """y = x with ``value`` before and after it along each axis.

    Inputs: x of rank r; 2 * r amounts in place of the parameter, in any shape. Output:
    [before_k + d_k + after_k for d_k in x's shape].
    Parameters: ``value``, 0 if unset; ``padAmounts``: before_0, after_0, before_1, ...; with
    ``padToGivenOutputSizeMode`` the length that axis k is to have, as the first number of its pair to pad before x, as
    the second to pad after it; at most one of a pair is not 0, and a length that x has or exceeds changes nothing.
    Errors: another number of amounts; both of a pair in that mode; in an input (`InputError`) also negative amounts, or
    a blob above the limit of memory.
    Source: ``ConstantPaddingLayerParams``. Chosen: fractions of an input are cut off.
    """
    params = node.params
    value, to_size = params.value, params.padToGivenOutputSizeMode
    if len(node.inputs) == 2:
        return ops.Pad(None, value=value, to_size=to_size)
    given = [int(amount) for amount in params.padAmounts]

    def check(x: Shape) -> None:
        problem = f"padAmounts are {given}, expected {2 * len(x)} numbers, two per axis of {x}"
        require(len(given) == 2 * len(x), problem)

    pairs = tuple(zip(given[::2], given[1::2], strict=False))
    return Restricted(ops.Pad(pairs, value=value, to_size=to_size), check)
