"""How rounding moves the results of each layer: one rule per layer, by families. Importing them fills the table."""

from refcoreml.oracle.rules import elementwise, linear, movement, normalization, order, recurrent
from refcoreml.oracle.rules.table import CHECKS, CLASSES, RULES, kind_of

__all__ = [
    "CHECKS",
    "CLASSES",
    "RULES",
    "elementwise",
    "kind_of",
    "linear",
    "movement",
    "normalization",
    "order",
    "recurrent",
]
