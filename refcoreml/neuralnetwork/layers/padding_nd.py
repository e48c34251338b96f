"""Padding along any axes. (The legacy ``padding`` and ``crop`` are in ``padding.py``.)"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NoReturn

from refcoreml.kernels import padding as kernels
from refcoreml.kernels._types import Array, Shape
from refcoreml.neuralnetwork.layers._checks import check_size, input_error, integers_of
from refcoreml.neuralnetwork.registry import Node, Op, layer


@layer("constantPad", inputs=(1, 2))
def constant_pad(node: Node) -> Op:
    """Y = x with ``value`` before and after it along each axis.

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

    def amounts(x: Shape, given: list[int], fail: Callable[[str], NoReturn]) -> list[tuple[int, int]]:
        pairs = list(zip(given[::2], given[1::2], strict=True))
        if not params.padToGivenOutputSizeMode:
            return pairs
        for pair in pairs:
            if 0 not in pair:
                fail(f"padToGivenOutputSizeMode pads before or after an axis, but the amounts {pair} ask for both")
        return [
            (max(before - length, 0), max(after - length, 0)) for length, (before, after) in zip(x, pairs, strict=True)
        ]

    def padded(x: Shape, widths: list[tuple[int, int]]) -> Shape:
        return tuple(before + length + after for length, (before, after) in zip(x, widths, strict=True))

    def from_parameter(x: Shape) -> list[tuple[int, int]]:
        given = [int(amount) for amount in params.padAmounts]
        node.require(
            len(given) == 2 * len(x), f"padAmounts are {given}, expected {2 * len(x)} numbers, two per axis of {x}"
        )
        return amounts(x, given, node.invalid)

    def run(x: Array, *inputs: Array) -> Array:
        if not inputs:
            return kernels.pad_axes(x, from_parameter(x.shape), params.value)
        given = integers_of(node, 1, inputs[0], 2 * x.ndim)
        if min(given) < 0:
            input_error(node, f"input {node.inputs[1]!r} holds the amounts {given}, expected none below 0")
        widths = amounts(x.shape, given, partial(input_error, node))
        check_size(node, padded(x.shape, widths))
        return kernels.pad_axes(x, widths, params.value)

    static = None if len(node.inputs) == 2 else lambda x: padded(x, from_parameter(x))
    return Op(run, static, fresh=True)
