"""The adapters of all operations, a file per family; importing this room fills the table."""

from refcoreml.mil.operations import (
    activation,
    compression,
    elementwise,
    gather,
    normalization,
    random,
    reduction,
    shape,
    slices,
    sort,
)

__all__ = [
    "activation",
    "compression",
    "elementwise",
    "gather",
    "normalization",
    "random",
    "reduction",
    "shape",
    "slices",
    "sort",
]
