"""Reductions along axes, the places of extremes, and running totals.

Reductions take ``axes``, from -rank to rank - 1 (all by default), and ``keep_dims`` (false by default): whether these
axes stay, with length 1. Without them, a reduction along all axes has rank 0. Axes that are given must not be empty,
which Apple's runtime refuses. x: fp16, fp32 or int32. Results have the type of x: sums of int32 wrap around.

Open: results of int32 that are no integers, such as means. Chosen: cut off toward zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.mil.domains import NUMBERS, same
from refcoreml.mil.node import Node
from refcoreml.mil.registry import operation
from refcoreml.ops.reduce import Reduction


def _along(node: Node, kind: type[Reduction]) -> ops.Op:
    return same(node, NUMBERS, kind(node.integers("axes", None), node.flag("keep_dims", False)))


@operation("reduce_sum", "x")
def reduce_sum(node: Node) -> ops.Op:
    """y = sum x along the axes."""
    return _along(node, ops.ReduceSum)


@operation("reduce_mean", "x")
def reduce_mean(node: Node) -> ops.Op:
    """y = (sum x) / n along the axes, n the number of values in the sum."""
    return _along(node, ops.ReduceMean)


@operation("reduce_prod", "x")
def reduce_prod(node: Node) -> ops.Op:
    """y = product of x along the axes."""
    return _along(node, ops.ReduceProduct)


@operation("reduce_max", "x")
def reduce_max(node: Node) -> ops.Op:
    """y = max x along the axes. Open: what NaN gives. Chosen: NaN."""
    return _along(node, ops.ReduceMax)


@operation("reduce_min", "x")
def reduce_min(node: Node) -> ops.Op:
    """y = min x along the axes. Open: what NaN gives. Chosen: NaN."""
    return _along(node, ops.ReduceMin)


@operation("reduce_l1_norm", "x")
def reduce_l1_norm(node: Node) -> ops.Op:
    """y = sum |x| along the axes."""
    return _along(node, ops.ReduceL1)


@operation("reduce_l2_norm", "x")
def reduce_l2_norm(node: Node) -> ops.Op:
    """y = sqrt(sum x^2) along the axes."""
    return _along(node, ops.ReduceL2)


@operation("reduce_sum_square", "x")
def reduce_sum_square(node: Node) -> ops.Op:
    """y = sum x^2 along the axes."""
    return _along(node, ops.ReduceSumSquare)


@operation("reduce_log_sum", "x")
def reduce_log_sum(node: Node) -> ops.Op:
    """y = ln(sum x) along the axes: -Inf for a sum of 0, NaN for one below."""
    return _along(node, ops.ReduceLogSum)


@operation("reduce_log_sum_exp", "x")
def reduce_log_sum_exp(node: Node) -> ops.Op:
    """y = ln(sum e^x) along the axes, without overflow on the way."""
    return _along(node, ops.ReduceLogSumExp)


# ---- Places of extremes ----

#: What indices may be since CoreML7.
INDEX_TYPES: dict[str, np.dtype[Any]] = {"int32": np.dtype(np.int32), "uint16": np.dtype(np.uint16)}


def _place(node: Node, kind: type[ops.ArgMax] | type[ops.ArgMin]) -> ops.Op:
    result = INDEX_TYPES["int32"]
    if node.entry.since == "CoreML7":
        result = node.choice("output_dtype", INDEX_TYPES, "int32")
    return same(node, NUMBERS, kind(node.integer("axis", -1), node.flag("keep_dims", False), result))


@operation("reduce_argmax", "x", since="CoreML7")
@operation("reduce_argmax", "x")
def reduce_argmax(node: Node) -> ops.Op:
    """y = the place, from 0, of the largest element along ``axis`` (-1 by default), of rank 1 or more.

    ``keep_dims`` (false by default): whether the axis stays, with length 1. y: int32; since CoreML7 ``output_dtype``
    may be ``uint16``, too.

    Open: which of several equal ones, and NaN. Chosen: the first; the first NaN.
    """
    return _place(node, ops.ArgMax)


@operation("reduce_argmin", "x", since="CoreML7")
@operation("reduce_argmin", "x")
def reduce_argmin(node: Node) -> ops.Op:
    """y = the place of the smallest element, as `reduce_argmax` has that of the largest."""
    return _place(node, ops.ArgMin)


@operation("cumsum", "x")
def cumsum(node: Node) -> ops.Op:
    """y[..., i, ...] = x[..., 0, ...] + ... + x[..., i, ...] along ``axis``, 0 by default.

    With ``exclusive``, element i is left out, so that the first sum is 0; with ``reverse``, sums run from the end of
    the axis to element i. Both are false by default.
    """
    flags = node.flag("exclusive", False), node.flag("reverse", False)
    return same(node, NUMBERS, ops.CumulativeSum(node.integer("axis", 0), *flags))
