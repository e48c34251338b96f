"""The arithmetic of `refcoreml.oracle.balls`, under its former name."""

from __future__ import annotations

from refcoreml.oracle.balls import Ball, Doubles, Rounding

__all__ = ["Ball", "Doubles", "Rounding"]
