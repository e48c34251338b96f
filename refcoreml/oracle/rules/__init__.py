"""How rounding moves the results of each operation: a rule for each, by families. Importing them fills the table."""

from refcoreml.oracle.rules import (
    attention,
    compression,
    elementwise,
    linear,
    movement,
    normalization,
    order,
    programs,
    recurrent,
    sampling,
)
from refcoreml.oracle.rules.table import CHECKS, CLASSES, RULES, check_of, kind_of

__all__ = [
    "CHECKS",
    "CLASSES",
    "RULES",
    "attention",
    "check_of",
    "compression",
    "elementwise",
    "kind_of",
    "linear",
    "movement",
    "normalization",
    "order",
    "programs",
    "recurrent",
    "sampling",
]
