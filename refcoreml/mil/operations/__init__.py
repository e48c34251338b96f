"""The adapters of all operations, a file per family; importing this room fills the table."""

from refcoreml.mil.operations import (
    activation,
    elementwise,
    gather,
    normalization,
    random,
    reduction,
    shape,
    slices,
    sort,
)

__all__ = ["activation", "elementwise", "gather", "normalization", "random", "reduction", "shape", "slices", "sort"]
