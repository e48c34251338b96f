"""The specification as code: for each operation one plain function that can be read as the definition itself.

Loops or index arithmetic, double precision, no tricks. Nobody computes predictions with them: the kernels do, and the
tests compare both. Arguments after the inputs are the attributes of the operation of the same name in `refcoreml.ops`.
"""

from refcoreml.definitions.convolution import convolution, deconvolution
from refcoreml.definitions.gather import gather, gather_along_axis, gather_nd, scatter, scatter_along_axis, scatter_nd
from refcoreml.definitions.linear import dot_product, embedding, linear, matmul
from refcoreml.definitions.normalization import (
    batch_normalization,
    instance_normalization,
    l2_normalization,
    layer_normalization,
    local_response_normalization,
    mean_variance_normalization,
    softmax,
)
from refcoreml.definitions.pooling import pooling
from refcoreml.definitions.shape import (
    depth_to_space,
    flatten_image,
    pixel_shuffle,
    reshape,
    reshape_sequence,
    space_to_depth,
    transpose,
)

__all__ = [
    "batch_normalization",
    "convolution",
    "deconvolution",
    "depth_to_space",
    "dot_product",
    "embedding",
    "flatten_image",
    "gather",
    "gather_along_axis",
    "gather_nd",
    "instance_normalization",
    "l2_normalization",
    "layer_normalization",
    "linear",
    "local_response_normalization",
    "matmul",
    "mean_variance_normalization",
    "pixel_shuffle",
    "pooling",
    "reshape",
    "reshape_sequence",
    "scatter",
    "scatter_along_axis",
    "scatter_nd",
    "softmax",
    "space_to_depth",
    "transpose",
]
