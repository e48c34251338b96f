"""Softmax and normalizations. x and y: fp16 or fp32.

Parameters are constants of the type of x; since CoreML7 of either float type. The variance is the mean square of
x - mean, over n and not n - 1. ``epsilon`` is 1e-5 by default where nothing else is said; defaults are rounded to the
type of x.
"""

from __future__ import annotations

from refcoreml import ops
from refcoreml.mil.domains import floats, parameter, weighted
from refcoreml.mil.node import Node
from refcoreml.mil.registry import operation
from refcoreml.types import Array


@operation("softmax", "x")
def softmax(node: Node) -> ops.Op:
    """y = exp(x) / sum(exp(x)) along ``axis`` (default -1). x: fp16 or fp32 of rank 1 or more."""
    return floats(node, ops.Softmax(node.integer("axis", -1)))


def _rank(node: Node, most: int) -> int:
    """Return the rank of x, which must be 3 or more."""
    rank = node.rank("x")
    node.require(3 <= rank <= most, f"parameter 'x' is of rank {rank}, expected 3 to {most}")
    return rank


def _gamma_and_beta(node: Node) -> tuple[Array, Array] | None:
    """Return both, of one shape; the one that is not given is 1 or 0 everywhere. None if neither is given."""
    weighted(node, "gamma", "beta")
    gamma, beta = node.array("gamma", None), node.array("beta", None)
    if gamma is None and beta is None:
        return None
    gamma = node.filled("gamma", beta, 1.0) if gamma is None else gamma
    beta = node.filled("beta", gamma, 0.0) if beta is None else beta
    node.require(gamma.shape == beta.shape, f"gamma has the shape {gamma.shape}, beta {beta.shape}, expected one")
    return gamma, beta


@operation("batch_norm", "x", since="CoreML7")
@operation("batch_norm", "x")
def batch_norm(node: Node) -> ops.Op:
    """y = gamma[c] * (x - mean[c]) / sqrt(variance[c] + epsilon) + beta[c], c the place on axis 1.

    x [N, C, *D] of rank 3 to 5; ``mean``, ``variance``, ``gamma`` (1 by default), ``beta`` (0 by default): [C].
    """
    rank = _rank(node, 5)
    weighted(node, "mean", "variance")
    mean, variance = node.array("mean", rank=1), node.array("variance", rank=1)
    gamma, beta = _gamma_and_beta(node) or (node.filled("gamma", mean, 1.0), node.filled("beta", mean, 0.0))
    shapes = [array.shape for array in (mean, variance, gamma)]
    node.require(len(set(shapes)) == 1, f"mean, variance and gamma have the shapes {shapes}, expected [C] each")
    return ops.BatchNormalization(mean, variance, gamma, beta, parameter(node, "epsilon", 1e-5), axis=1 - rank)


@operation("instance_norm", "x", since="CoreML7")
@operation("instance_norm", "x")
def instance_norm(node: Node) -> ops.Op:
    """y = gamma[c] * (x - mean) / sqrt(variance + epsilon) + beta[c], mean and variance of x[n, c] over *D.

    x [N, C, *D] of rank 3 or 4; ``gamma`` (1 by default), ``beta`` (0 by default): [C].
    """
    rank, epsilon, given = _rank(node, 4), parameter(node, "epsilon", 1e-5), _gamma_and_beta(node)
    if given is None:
        return floats(node, ops.MeanVarianceNormalization(tuple(range(2, rank)), epsilon))
    node.require(given[0].ndim == 1, f"gamma or beta has the shape {given[0].shape}, expected [C]")
    return ops.InstanceNormalization(*given, epsilon, axis=1)


@operation("layer_norm", "x", since="CoreML7")
@operation("layer_norm", "x")
def layer_norm(node: Node) -> ops.Op:
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, mean and variance of x along ``axes``.

    axes: all by default; negative ones count from the end, and they need not be the last. ``gamma`` (1 by default) and
    ``beta`` (0 by default) have the lengths of x along them, in the order of x.
    """
    axes, epsilon = node.integers("axes", tuple(range(node.rank("x")))), parameter(node, "epsilon", 1e-5)
    given = _gamma_and_beta(node)
    if given is None:
        return floats(node, ops.MeanVarianceNormalization(axes, epsilon))
    return ops.LayerNormalization(*given, axes, epsilon)


@operation("l2_norm", "x", since="CoreML7")
@operation("l2_norm", "x")
def l2_norm(node: Node) -> ops.Op:
    """y = x / sqrt(sum x^2 + epsilon), the sum along the last three axes. x: of rank 3 or more.

    ``epsilon``: 1e-6 by default.
    """
    _rank(node, 5)
    return floats(node, ops.L2Normalization((-3, -2, -1), parameter(node, "epsilon", 1e-6)))


@operation("local_response_norm", "x", since="CoreML7")
@operation("local_response_norm", "x")
def local_response_norm(node: Node) -> ops.Op:
    """y = x / (k + alpha / size * sum x^2)^beta, the sum over ``size`` neighbours along the third axis from the end.

    Those of place c are c - floor(size / 2) to c + floor((size - 1) / 2), as far as they exist; the divisor stays size.
    x of rank 3 to 5. ``alpha``: 1e-4 by default; ``beta``: 0.75; ``k``: 1.

    coremltools' documentation has axis 1, which is the same for rank 4. For rank 3 its test expects numbers of axis 0,
    where each number is alone, as in neural networks. Open: rank 5, of which the tests allow too much to say. Chosen:
    the third axis from the end, too.
    """
    _rank(node, 5)
    size = node.integer("size")
    node.require(size >= 1, f"parameter 'size' is {size}, expected at least 1")
    alpha, beta, k = parameter(node, "alpha", 1e-4), parameter(node, "beta", 0.75), parameter(node, "k", 1.0)
    return floats(node, ops.LocalResponseNormalization(size, alpha, beta, k, axis=-3))
