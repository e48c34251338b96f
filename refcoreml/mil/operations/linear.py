"""Products of vectors and matrices, and attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.mil.domains import FLOATS, NUMBERS, expect, weighted
from refcoreml.mil.node import Node
from refcoreml.mil.registry import operation
from refcoreml.types import Array


@operation("linear", "x")
def linear(node: Node) -> ops.Op:
    """y[..., o] = bias[o] + sum over i of weight[o, i] * x[..., i].

    x [*, D_in] of rank 1 or more; constants ``weight`` [D_out, D_in] and ``bias`` [D_out], 0 by default; y [*, D_out].
    All fp16, or all fp32; int32, which the specification has, too, fails on Apple's devices and is refused.
    """
    weighted(node, "weight", "bias")
    return _linear(node, node.array("weight", rank=2), node.array("bias", None, rank=1))


#: From so many vectors on, laying out weights pays.
_MANY = 8


def _linear(node: Node, weight: Array, bias: Array | None) -> ops.Op:
    lengths = node.tensor("x").known_shape
    many = lengths is None or math.prod(lengths[:-1]) >= _MANY
    return ops.Linear(weight, bias, by_columns=many)


@operation("linear", "x", since="CoreML7")
def linear_7(node: Node) -> ops.Op:
    """As before, but weight and bias may each be fp16, fp32 or int32, whatever the type of x."""
    expect(node, FLOATS, "x")
    held = node.precision.dtype(node.element("x"))
    weight, bias = node.array("weight", rank=2), node.array("bias", None, rank=1)
    for name in ("weight", *(["bias"] if node.has("bias") else [])):
        expect(node, NUMBERS, name)
    return _linear(node, weight.astype(held, copy=False), None if bias is None else bias.astype(held, copy=False))


def _product(node: Node, result: np.dtype[Any] | None = None) -> ops.Op:
    return ops.MatMul(node.flag("transpose_x", False), node.flag("transpose_y", False), drop=True, result=result)


@operation("matmul", "x", "y")
def matmul(node: Node) -> ops.Op:
    """z[b, i, j] = sum over k of x[b, i, k] * y[b, k, j], for each place b in the leading axes, which broadcast.

    x [*, N, K], or [*, K, N] with ``transpose_x``; y [*, K, M], or [*, M, K] with ``transpose_y``; both false by
    default. A vector is a matrix [1, K] as x and [K, 1] as y, whatever these say; z lacks its axis of 1. Apple's
    runtime fails for vectors, or computes other numbers; what the specification says is computed here. x, y: fp16, fp32
    or int32, of one type; sums of int32 wrap around.
    """
    expect(node, NUMBERS, "x", "y")
    return _product(node)


@operation("matmul", "x", "y", since="CoreML7")
def matmul_7(node: Node) -> ops.Op:
    """As before, but if exactly one of x and y is a constant, it may be of another type; z is of the other's.

    Open: int32 times a constant of floats with fractions. Chosen: sums are computed as floats and then cut off toward
    zero, to the nearest int32.
    """
    x, y = (node.element(name) for name in ("x", "y"))
    if x == y or node.is_constant("x") == node.is_constant("y"):
        expect(node, NUMBERS, "x", "y")
        return _product(node)
    for name in ("x", "y"):
        expect(node, NUMBERS, name)
    return _product(node, y if node.is_constant("x") else x)


@operation("einsum", "*values")
def einsum(node: Node) -> ops.Op:
    """z = a sum of products, as ``equation`` has it: "nchw,nwhu->nchu" is z[n, c, h, u] = sum over w of x * y.

    A letter stands for an axis, of the same length in all ``values``, or 1, which broadcasts; the sum is over all
    letters that z lacks. values: fp16 or fp32, of one type. Core ML knows this equation, and "chw,whr->chr", for two
    values, with any letters; others are computed likewise.
    """
    for value in node.values("values"):
        element = None if value.tensor is None else str(value.tensor.element)
        node.require(element in FLOATS, f"parameter 'values' holds {value.type}, expected tensors of fp16 or fp32")
    return ops.Einsum(node.text("equation"))


@operation("scaled_dot_product_attention", "query", "key", "value", "attn_mask?", since="CoreML8")
def scaled_dot_product_attention(node: Node) -> ops.Op:
    """y[b, l] = sum over s of w[l, s] * value[b, s], w[l] = softmax over s of query[b, l] . key[b, s] / sqrt(E) + mask.

    query [*B, L, E], key [*B, S, E], value [*B, S, V]: fp16 or fp32, of one type, with equal *B of one axis or more.
    ``attn_mask``, none by default, broadcasts to [*B, L, S]: fp16 or fp32, which is added, or bool, where false leaves
    a pair out. y [*B, L, V]. There is no scale, dropout or causality beside these.

    Open: a query for which all pairs are left out. Chosen: NaN, as the formula says.
    """
    expect(node, FLOATS, "query", "key", "value")
    if node.has("attn_mask"):
        expect(node, (*FLOATS, "bool"), "attn_mask")
    return ops.ScaledDotProductAttention()
