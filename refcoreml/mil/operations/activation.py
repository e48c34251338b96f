"""Activations."""

from __future__ import annotations

from refcoreml import ops
from refcoreml.mil.node import Node
from refcoreml.mil.registry import operation


@operation("relu", "x")
def relu(node: Node) -> ops.Op:
    """y = max(x, 0). x: fp16 or fp32."""
    return ops.ReLU()
