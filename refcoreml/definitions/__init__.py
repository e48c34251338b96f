"""The specification as code: for each operation one plain function that can be read as the definition itself.

Loops or index arithmetic, double precision, no tricks. Nobody computes predictions with them: the kernels do, and the
tests compare both. Arguments after the inputs are the attributes of the operation of the same name in `refcoreml.ops`.
"""

from refcoreml.definitions.convolution import convolution, deconvolution
from refcoreml.definitions.gather import gather, gather_along_axis, gather_nd, scatter, scatter_along_axis, scatter_nd
from refcoreml.definitions.linear import dot_product, embedding, linear, matmul
from refcoreml.definitions.normalization import softmax

__all__ = [
    "convolution",
    "deconvolution",
    "dot_product",
    "embedding",
    "gather",
    "gather_along_axis",
    "gather_nd",
    "linear",
    "matmul",
    "scatter",
    "scatter_along_axis",
    "scatter_nd",
    "softmax",
]
