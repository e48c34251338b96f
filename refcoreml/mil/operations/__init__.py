"""The adapters of all operations, a file per family; importing this room fills the table."""

from refcoreml.mil.operations import (
    activation,
    classify,
    compression,
    convolution,
    elementwise,
    gather,
    normalization,
    padding,
    pooling,
    random,
    reduction,
    resize,
    shape,
    slices,
    sort,
    state,
)

__all__ = [
    "activation",
    "classify",
    "compression",
    "convolution",
    "elementwise",
    "gather",
    "normalization",
    "padding",
    "pooling",
    "random",
    "reduction",
    "resize",
    "shape",
    "slices",
    "sort",
    "state",
]
