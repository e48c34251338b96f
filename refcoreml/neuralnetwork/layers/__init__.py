"""The layers by family. Importing this package fills the table in `refcoreml.neuralnetwork.registry`."""

from refcoreml.neuralnetwork.layers import (
    activation,
    convolution,
    detection,
    elementwise,
    gather,
    linear,
    mask,
    normalization,
    padding,
    pooling,
    recurrent,
    reduce,
    resize,
    shape,
    sort,
)

__all__ = [
    "activation",
    "convolution",
    "detection",
    "elementwise",
    "gather",
    "linear",
    "mask",
    "normalization",
    "padding",
    "pooling",
    "recurrent",
    "reduce",
    "resize",
    "shape",
    "sort",
]
