"""Order: sorting, the largest elements, the places of elements, and boxes by their scores.

Open: the order of equal elements, and of NaN. Chosen: the lowest index comes first, in either direction; NaN last.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.mil.domains import FLOATS, INTEGERS, NUMBERS, VALUES, expect, same
from refcoreml.mil.node import Call, Node
from refcoreml.mil.operations.reduction import INDEX_TYPES
from refcoreml.mil.registry import operation

_INT32 = np.dtype(np.int32)


@operation("argsort", "x")
def argsort(node: Node) -> ops.Op:
    """y = the indices, int32, that sort x along ``axis`` (-1 by default). x: fp16, fp32 or int32.

    The largest element comes first, unless ``ascending`` is true (false by default).
    """
    order = ops.ArgSort(node.integer("axis", -1), descending=not node.flag("ascending", False), result=_INT32)
    return same(node, NUMBERS, order)


def _topk(node: Node, *, indices: bool = True, result: np.dtype[Any] = _INT32) -> ops.Op:
    if node.has("k"):
        expect(node, ("int32", "int16", "int8") if node.entry.since == "CoreML7" else ("int32",), "k")
    k, axis = node.integer("k", 1), node.integer("axis", -1)
    return ops.TopK(k, axis, smallest=node.flag("ascending", False), result=result, indices=indices)


@operation("topk", "x")
def topk(node: Node) -> ops.Op:
    """Both the ``k`` largest elements along ``axis``, largest first, and their indices, int32.

    x: fp16, fp32 or int32. k is 1 by default, -1 for all; axis -1 by default. With ``ascending`` (false by default) the
    smallest, smallest first.
    """
    return same(node, NUMBERS, _topk(node))


@operation("topk", "x", since="CoreML6")
def topk_6(node: Node) -> ops.Op:
    """As before; without ``return_indices`` (true by default), the elements are the only result.

    ``sort`` (true by default) may be false: then any order will do. Chosen: the same.
    """
    node.flag("sort", True)
    return same(node, NUMBERS, _topk(node, indices=node.flag("return_indices", True)))


@operation("topk", "x", since="CoreML7")
def topk_7(node: Node) -> ops.Op:
    """As before, of integers of 8 and 16 bits, too; ``output_indices_dtype`` may be ``uint16`` or ``int32`` (default).

    It must not be given without ``return_indices``. k may be int16 or int8.
    """
    node.flag("sort", True)
    indices = node.flag("return_indices", True)
    given = node.has("output_indices_dtype")
    node.require(indices or not given, "output_indices_dtype is given, but return_indices is false")
    result = node.choice("output_indices_dtype", INDEX_TYPES, "int32")
    return same(node, (*FLOATS, *INTEGERS), _topk(node, indices=indices, result=result))


@operation("non_zero", "x")
def non_zero(node: Node) -> ops.Op:
    """y = the indices, int32 [n, rank], of the n elements of x that are not 0, in row-major order.

    x: fp16, fp32, int32 or bool, of rank 1 or more. NaN is not 0. That all are 0 is an error: no tensor is empty.
    """
    return same(node, VALUES, ops.NonZero(_INT32))


@operation("one_hot", "indices", "one_hot_vector_size?")
def one_hot(node: Node) -> ops.Op | Call:
    """y[a..., d, b...] = ``on_value`` (1 by default) if indices[a..., b...] is d, else ``off_value`` (0 by default).

    indices: int32. d counts to ``one_hot_vector_size``, an int32 that may be computed, along ``axis`` of y, -1 by
    default. y has the type of on_value and off_value, which is the same: fp16, fp32, int32 (by default) or bool.

    Open: indices out of range. Chosen: off_value throughout, also for negative ones.
    """
    expect(node, ("int32",), "indices", "one_hot_vector_size")
    given = [name for name in ("on_value", "off_value") if node.has(name)]
    if given:
        expect(node, VALUES, *given)
    numbers = node.number("on_value", 1.0), node.number("off_value", 0.0)
    depth = node.integer("one_hot_vector_size") if node.is_constant("one_hot_vector_size") else None
    node.require(depth is None or depth >= 1, f"one_hot_vector_size is {depth}, expected 1 or more")
    op = ops.OneHot(depth, node.integer("axis", -1), *numbers, node.element(given[0]) if given else _INT32)
    return node.call(op, "indices", *(["one_hot_vector_size"] if depth is None else []))


@operation("non_maximum_suppression", "boxes", "scores")
def non_maximum_suppression(node: Node) -> ops.Op:
    """Boxes in order of falling score, each unless its overlap with one that is kept already is above a threshold.

    boxes [N, B, 4]: x and y of the center, width, height; scores [N, B, K]: a number for each of K classes; both fp16
    or fp32. The score of a box is its largest. Boxes whose score is not above ``score_threshold`` are left out. The
    overlap of two is the area that both share, divided by the area that they cover together; above ``iou_threshold``
    the box of the lower score is dropped. With ``per_class_suppression`` (false by default) boxes belong to the class
    of their largest score, and give way to boxes of that class only.

    Results: boxes [N, M, 4], scores [N, M, K], indices [N, M] (int32), how many [N] (int32), M = ``max_boxes``. What
    is left over is 0, of indices -1.

    Open: no box above the threshold. Chosen: the best one, as in neural networks.
    """
    expect(node, FLOATS, "score_threshold")
    return _suppression(node, score_threshold=node.number("score_threshold"))


@operation("non_maximum_suppression", "boxes", "scores", since="CoreML7")
def non_maximum_suppression_7(node: Node) -> ops.Op:
    """As before, but boxes are [N, 4, B] and scores [N, K, B], in results [N, 4, M] and [N, K, M].

    There is no score threshold, and no result that says how many.
    """
    return _suppression(node, score_threshold=-np.inf, boxes_last=True)


def _suppression(node: Node, *, score_threshold: float, boxes_last: bool = False) -> ops.Op:
    expect(node, FLOATS, "boxes", "scores")
    expect(node, FLOATS, "iou_threshold")
    return ops.NonMaximumSuppression(
        max_boxes=node.integer("max_boxes"),
        iou_threshold=node.number("iou_threshold"),
        score_threshold=score_threshold,
        per_class=node.flag("per_class_suppression", False),
        boxes_last=boxes_last,
        counts=not boxes_last,
        result=_INT32,
    )
