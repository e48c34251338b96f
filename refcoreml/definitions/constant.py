"""Numbers that are known before any input."""

from __future__ import annotations

from refcoreml.types import Array


def constant(value: Array) -> Array:
    """y = value."""
    return value
