"""Normalizations along any axes.

(The legacy ``softmax``, ``batchnorm``, ``mvn``, ``l2normalize`` and ``lrn`` are in ``normalization.py``.)
"""

from __future__ import annotations

from refcoreml import ops
from refcoreml.neuralnetwork.layers._checks import require_unquantized, static_shape
from refcoreml.neuralnetwork.registry import Node, layer


@layer("softmaxND")
def softmax(node: Node) -> ops.Op:
    """y = exp(x) / sum(exp(x)) along an axis, computed without overflow.

    Input: x [*D], rank 1 to 5. Output: [*D]. Parameters: ``axis``, -rank to rank - 1.
    Errors: axis out of range. Source: ``SoftmaxNDLayerParams``.
    """
    return ops.Softmax(node.params.axis)


@layer("layerNormalization")
def layer_normalization(node: Node) -> ops.Op:
    """y = gamma * (x - mean) / sqrt(variance + eps) + beta over the last axes.

    Mean and variance (the mean square of x - mean, not n - 1) are those of each block [*N] of x, N =
    ``normalizedShape``.

    Input: x [*B, *N]. Output: the shape of x.
    Parameters: ``gamma``, ``beta`` [*N], required, not quantized; ``eps``, 0 if unset.
    Errors: an input that does not end in N; parameters of another size.
    Source: ``LayerNormalizationLayerParams``. (Apple's test has eps under the root.)
    """
    normalized, epsilon = static_shape(node, "normalizedShape"), node.params.eps
    require_unquantized(node, "gamma", "beta")
    gamma, beta = (node.weights(field, normalized) for field in ("gamma", "beta"))

    return ops.LayerNormalization(gamma, beta, tuple(range(-len(normalized), 0)), epsilon)
