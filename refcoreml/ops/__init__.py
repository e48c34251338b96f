"""Operations: what a layer of a network or a step of a program computes, whatever dialect asked for it.

    >>> import numpy as np
    >>> from refcoreml.ops import Softmax
    >>> Softmax(axis=0).run(np.log(np.array([1.0, 3.0])))
    array([0.25, 0.75])

An operation is a frozen dataclass: its fields are its attributes, `infer` gives the types of its results, `run`
computes them, `define` computes them as the specification words it. `refcoreml.ops.base` says what one may declare.
"""

from refcoreml.ops.base import Op
from refcoreml.ops.convolution import Convolution, Deconvolution
from refcoreml.ops.gather import Gather, GatherAlongAxis, GatherND, Indexing, Scatter, ScatterAlongAxis, ScatterND
from refcoreml.ops.linear import DotProduct, Embedding, Linear, MatMul
from refcoreml.ops.normalization import (
    BatchNormalization,
    InstanceNormalization,
    L2Normalization,
    LayerNormalization,
    LocalResponseNormalization,
    MeanVarianceNormalization,
    Softmax,
)
from refcoreml.ops.pooling import Pooling
from refcoreml.ops.shape import (
    DepthToSpace,
    ExpandDims,
    Flatten2D,
    FlattenImage,
    PixelShuffle,
    Reshape,
    ReshapeLike,
    ReshapeSequence,
    SpaceToDepth,
    Squeeze,
    Transpose,
)

__all__ = [
    "BatchNormalization",
    "Convolution",
    "Deconvolution",
    "DepthToSpace",
    "DotProduct",
    "Embedding",
    "ExpandDims",
    "Flatten2D",
    "FlattenImage",
    "Gather",
    "GatherAlongAxis",
    "GatherND",
    "Indexing",
    "InstanceNormalization",
    "L2Normalization",
    "LayerNormalization",
    "Linear",
    "LocalResponseNormalization",
    "MatMul",
    "MeanVarianceNormalization",
    "Op",
    "PixelShuffle",
    "Pooling",
    "Reshape",
    "ReshapeLike",
    "ReshapeSequence",
    "Scatter",
    "ScatterAlongAxis",
    "ScatterND",
    "Softmax",
    "SpaceToDepth",
    "Squeeze",
    "Transpose",
]
