"""Normalization layers of rank-5 networks, which N-D networks have for images too."""

from __future__ import annotations

from refcoreml import ops
from refcoreml.neuralnetwork.layers._checks import of_images
from refcoreml.neuralnetwork.registry import Node, layer
from refcoreml.ops.base import ByType

#: The axes of one instance.
_CHW = (-3, -2, -1)


@layer("softmax")
def softmax(node: Node) -> ops.Op:
    """y = exp(x) / sum(exp(x)) along the channel axis, computed without overflow.

    Input: x [*, C, H, W]; in N-D networks a blob of rank 3 is read as (Seq, Batch, C). Output: the shape of x.
    Source: ``SoftmaxLayerParams`` (no fields).
    Chosen: the last axis for rank 3, against the schema's original comment (seen on devices), and below.
    """
    return _Softmax()


class _Softmax(ByType):
    fresh = True

    def choose(self, rank: int) -> ops.Op:
        return ops.Softmax(-3 if rank >= 4 else -1)


@layer("batchnorm")
def batchnorm(node: Node) -> ops.Op:
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, one number per channel in each parameter.

    Input: x [*, C, H, W], rank 3 or more. Output: the shape of x.
    Parameters: ``channels`` C; ``gamma``, ``beta`` [C]; ``mean``, ``variance`` [C], ignored if ``computeMeanVar``;
    ``epsilon`` 1e-5 if 0 or unset.
    With ``computeMeanVar`` mean and variance (the mean square of x - mean, not n - 1) are those of the input: with
    ``instanceNormalization`` over H, W of each channel of each instance, else over H, W and all leading dimensions.
    Errors: parameters of another size; another number of channels in x; a rank that is too small.
    Source: ``BatchnormLayerParams``.
    """
    params = node.params
    channels, epsilon = int(params.channels), params.epsilon or 1e-5
    node.require(channels > 0, "channels is 0, expected 1 or more")
    gamma, beta = (node.weights(field, (channels,)) for field in ("gamma", "beta"))

    if params.computeMeanVar:
        return ops.InstanceNormalization(gamma, beta, epsilon, batch=not params.instanceNormalization)
    mean, variance = (node.weights(field, (channels,)) for field in ("mean", "variance"))
    exact = ops.BatchNormalization(mean, variance, gamma, beta, epsilon)
    # The arithmetic computes with these as they are; a device that stores them cannot.
    node.stored(variance + node.dtype(epsilon), "variance + epsilon")
    node.stored(exact.factor, "gamma / sqrt(variance + epsilon)")
    node.stored(beta - mean * exact.factor, "beta - mean * gamma / sqrt(variance + epsilon)")
    return exact


@layer("mvn")
def mvn(node: Node) -> ops.Op:
    """y = x - mean; if ``normalizeVariance``, divided by sqrt(variance + epsilon).

    Mean and variance (the mean square of x - mean, not n - 1) are those over H, W of each channel, or over C, H, W
    of each instance if ``acrossChannels``.

    Input: x [*, C, H, W], rank 3 or more. Output: the shape of x.
    Parameters: ``epsilon`` 1e-6 if 0 or unset. Errors: a rank that is too small.
    Source: ``MeanVarianceNormalizeLayerParams``.
    Chosen: epsilon under the root, as converters rely on when they write a layer norm this way (Caffe adds it
    outside). A blob of rank 3 is [C, H, W]: they write the layer norm of a matrix [M, N] as this layer on [M, 1, N].
    """
    params = node.params
    axes = _CHW if params.acrossChannels else _CHW[1:]
    epsilon = (params.epsilon or 1e-6) if params.normalizeVariance else None
    return of_images(ops.MeanVarianceNormalization(axes, epsilon))


@layer("l2normalize")
def l2_normalize(node: Node) -> ops.Op:
    """y = x / sqrt(sum x^2 + epsilon), the sum over C, H, W of each instance.

    Input: x [*, C, H, W], rank 3 or more. Output: the shape of x.
    Parameters: ``epsilon`` 1e-6 if 0 or unset. Errors: a rank that is too small.
    Source: ``L2NormalizeLayerParams``. Of rank 3 too, the last three axes are C, H, W (Apple's tests).
    """
    return of_images(ops.L2Normalization(_CHW, node.params.epsilon or 1e-6))


@layer("lrn")
def local_response_normalization(node: Node) -> ops.Op:
    """y = x / (k + alpha / localSize * sum x^2)^beta, the sum over ``localSize`` neighbouring channels.

    The window of channel c is [c - localSize // 2, c + (localSize - 1) // 2], cut off at the first and the last
    channel; the divisor stays ``localSize``.

    Input: x [*, C, H, W], rank 3 or more. Output: the shape of x.
    Parameters: ``localSize`` 1 or more; ``alpha``, ``beta`` 0 if unset; ``k`` 1 if 0 or unset.
    Errors: ``localSize`` of 0; ``k`` below 0; a rank that is too small.
    Source: ``LRNLayerParams``. The window of an even size is that of torch, and of Metal Performance Shaders. Of rank 3
    too, the last three axes are C, H, W (Apple's tests).
    """
    params = node.params
    size, k = int(params.localSize), params.k or 1.0
    node.require(size > 0, "localSize is 0, expected 1 or more channels")
    node.require(k > 0, f"k is {k}, expected a positive number")
    return of_images(ops.LocalResponseNormalization(size, params.alpha, params.beta, k))
