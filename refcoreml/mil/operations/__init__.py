"""The adapters of all operations, a file per family; importing this room fills the table."""

from refcoreml.mil.operations import (
    activation,
    compression,
    convolution,
    elementwise,
    gather,
    normalization,
    pooling,
    random,
    reduction,
    shape,
    slices,
    sort,
)

__all__ = [
    "activation",
    "compression",
    "convolution",
    "elementwise",
    "gather",
    "normalization",
    "pooling",
    "random",
    "reduction",
    "shape",
    "slices",
    "sort",
]
