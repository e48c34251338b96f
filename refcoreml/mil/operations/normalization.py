"""Softmax and normalizations."""

from __future__ import annotations

from refcoreml import ops
from refcoreml.mil.node import Node
from refcoreml.mil.registry import operation


@operation("softmax", "x")
def softmax(node: Node) -> ops.Op:
    """y = exp(x) / sum(exp(x)) along ``axis`` (default -1). x: fp16 or fp32 of rank 1 or more."""
    return ops.Softmax(node.integer("axis", -1))
