"""Activations: functions of one number, applied place by place. x and y: fp16 or fp32.

Since CoreML7 parameters may be of the other float type; nothing else changed.
"""

from __future__ import annotations

from refcoreml import ops
from refcoreml.mil.domains import FLOATS, expect, floats, parameter
from refcoreml.mil.node import Node
from refcoreml.mil.registry import operation
from refcoreml.types import Array


@operation("relu", "x")
def relu(node: Node) -> ops.Op:
    """y = max(x, 0)."""
    return floats(node, ops.ReLU())


@operation("relu6", "x")
def relu6(node: Node) -> ops.Op:
    """y = min(max(x, 0), 6)."""
    return floats(node, ops.Clip(0.0, 6.0))


@operation("leaky_relu", "x", since="CoreML7")
@operation("leaky_relu", "x")
def leaky_relu(node: Node) -> ops.Op:
    """y = x where x >= 0, ``alpha`` * x elsewhere."""
    return floats(node, ops.LeakyReLU(parameter(node, "alpha")))


@operation("clamped_relu", "x", since="CoreML7")
@operation("clamped_relu", "x")
def clamped_relu(node: Node) -> ops.Op:
    """y = min(``beta``, x) where x >= 0, min(beta, ``alpha`` * x) elsewhere."""
    return floats(node, ops.ClampedReLU(parameter(node, "alpha"), parameter(node, "beta")))


@operation("thresholded_relu", "x", since="CoreML7")
@operation("thresholded_relu", "x")
def thresholded_relu(node: Node) -> ops.Op:
    """y = x where x >= ``alpha``, 0 elsewhere."""
    return floats(node, ops.ThresholdedReLU(parameter(node, "alpha")))


@operation("elu", "x", since="CoreML7")
@operation("elu", "x")
def elu(node: Node) -> ops.Op:
    """y = x where x >= 0, ``alpha`` * (e^x - 1) elsewhere."""
    return floats(node, ops.ELU(parameter(node, "alpha")))


@operation("sigmoid", "x")
def sigmoid(node: Node) -> ops.Op:
    """y = 1 / (1 + e^-x)."""
    return floats(node, ops.Sigmoid())


@operation("sigmoid_hard", "x", since="CoreML7")
@operation("sigmoid_hard", "x")
def sigmoid_hard(node: Node) -> ops.Op:
    """y = min(max(``alpha`` * x + ``beta``, 0), 1)."""
    return floats(node, ops.HardSigmoid(parameter(node, "alpha"), parameter(node, "beta")))


@operation("tanh", "x")
def tanh(node: Node) -> ops.Op:
    """y = (e^x - e^-x) / (e^x + e^-x)."""
    return floats(node, ops.Tanh())


@operation("scaled_tanh", "x", since="CoreML7")
@operation("scaled_tanh", "x")
def scaled_tanh(node: Node) -> ops.Op:
    """y = ``alpha`` * tanh(``beta`` * x)."""
    return floats(node, ops.ScaledTanh(parameter(node, "alpha"), parameter(node, "beta")))


@operation("linear_activation", "x", since="CoreML7")
@operation("linear_activation", "x")
def linear_activation(node: Node) -> ops.Op:
    """y = ``alpha`` * x + ``beta``."""
    return floats(node, ops.Affine(parameter(node, "alpha"), parameter(node, "beta")))


@operation("silu", "x")
def silu(node: Node) -> ops.Op:
    """y = x / (1 + e^-x)."""
    return floats(node, ops.SiLU())


@operation("softsign", "x")
def softsign(node: Node) -> ops.Op:
    """y = x / (1 + |x|)."""
    return floats(node, ops.Softsign())


@operation("softplus", "x")
def softplus(node: Node) -> ops.Op:
    """y = ln(1 + e^x)."""
    return floats(node, ops.Softplus())


_GELU = {
    "exact": ops.GELU(),
    "tanh_approximation": ops.GELUTanh(),
    "sigmoid_approximation": ops.GELUSigmoid(),
}


@operation("gelu", "x")
def gelu(node: Node) -> ops.Op:
    """y = x * (1 + erf(x / sqrt(2))) / 2.

    That is ``mode`` ``EXACT``, the default. ``TANH_APPROXIMATION`` is x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 *
    x^3))) / 2, and ``SIGMOID_APPROXIMATION`` x / (1 + e^(-1.702 * x)).
    """
    return floats(node, node.choice("mode", _GELU, "EXACT"))


def _per_channel(node: Node, *names: str) -> list[Array]:
    """Return parameters [C] as arrays that broadcast to x, whose axis 1 has C channels."""
    rank, channels = node.rank("x"), node.length("x", 1)
    node.require(3 <= rank <= 5, f"parameter 'x' is of rank {rank}, expected 3 to 5")
    if node.entry.since == "CoreML7":
        for name in names:
            expect(node, FLOATS, name)
    else:
        expect(node, FLOATS, "x", *names)
    found = [node.array(name, rank=1) for name in names]
    for name, array in zip(names, found, strict=True):
        fits = channels in (None, len(array))
        node.require(fits, f"parameter {name!r} has {len(array)} elements, expected {channels}, one per channel")
    return [array.reshape(-1, *(1,) * (rank - 2)) for array in found]


@operation("prelu", "x", since="CoreML7")
@operation("prelu", "x")
def prelu(node: Node) -> ops.Op:
    """y = x where x >= 0, alpha[c] * x elsewhere, c the place on axis 1.

    x [N, C, *D] of rank 3 to 5; ``alpha`` [C]. Apple's runtime refuses different numbers in alpha unless the rank is 4.
    """
    return floats(node, ops.LeakyReLU(*_per_channel(node, "alpha")))


@operation("softplus_parametric", "x", since="CoreML7")
@operation("softplus_parametric", "x")
def softplus_parametric(node: Node) -> ops.Op:
    """y = alpha[c] * ln(1 + e^(beta[c] * x)), c the place on axis 1.

    x [N, C, *D] of rank 3 to 5; ``alpha`` and ``beta`` [C].
    """
    return floats(node, ops.ParametricSoftplus(*_per_channel(node, "alpha", "beta")))
