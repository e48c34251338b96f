"""The layer ``activation``, and the table of its functions, which the recurrent layers share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from refcoreml import ops
from refcoreml.neuralnetwork.registry import Node, layer
from refcoreml.ops.base import ByType, Elementwise
from refcoreml.spec.weights import weight_encoding
from refcoreml.types import Array

#: From a layer and the message of a function, such as ``ActivationELU``, to the operation.
Parse: TypeAlias = Callable[[Node, Any], ops.Op]

#: The members of ``ActivationParams.NonlinearityType`` by their names in the schema.
ACTIVATIONS: dict[str, Parse] = {}


def activation(name: str) -> Callable[[Parse], Parse]:
    """Register the parser of a function's message under its name."""

    def register(parse: Parse) -> Parse:
        ACTIVATIONS[name] = parse
        return parse

    return register


@activation("linear")
def linear(node: Node, params: Any) -> ops.Op:
    """y = alpha * x + beta. Both 0 if unset. Source: ``ActivationLinear``."""
    return ops.Affine(params.alpha, params.beta)


@activation("ReLU")
def relu(node: Node, params: Any) -> ops.Op:
    """y = max(0, x). Source: ``ActivationReLU``."""
    return ops.ReLU()


@activation("leakyReLU")
def leaky_relu(node: Node, params: Any) -> ops.Op:
    """y = x where x >= 0, alpha * x elsewhere. Alpha unset is 0, a ReLU. Source: ``ActivationLeakyReLU``."""
    return ops.LeakyReLU(params.alpha)


@activation("thresholdedReLU")
def thresholded_relu(node: Node, params: Any) -> ops.Op:
    """y = x where x >= alpha, 0 elsewhere. Source: ``ActivationThresholdedReLU``.

    ONNX's ThresholdedRelu differs at x = alpha, where it gives 0.
    """
    return ops.ThresholdedReLU(params.alpha)


@activation("PReLU")
def prelu(node: Node, params: Any) -> ops.Op:
    """y = x where x >= 0, alpha_c * x elsewhere. Source: ``ActivationPReLU``; alpha has length 1 or C."""
    return _by_channel(ops.LeakyReLU, _vector(node, params, "alpha"))


@activation("tanh")
def tanh(node: Node, params: Any) -> ops.Op:
    """y = tanh x. Source: ``ActivationTanh``."""
    return ops.Tanh()


@activation("scaledTanh")
def scaled_tanh(node: Node, params: Any) -> ops.Op:
    """y = alpha * tanh(beta * x). Both 0 if unset. Source: ``ActivationScaledTanh``."""
    return ops.ScaledTanh(params.alpha, params.beta)


@activation("sigmoid")
def sigmoid(node: Node, params: Any) -> ops.Op:
    """y = 1 / (1 + e^-x). Source: ``ActivationSigmoid``."""
    return ops.Sigmoid()


@activation("sigmoidHard")
def hard_sigmoid(node: Node, params: Any) -> ops.Op:
    """y = min(max(alpha * x + beta, 0), 1). Both 0 if unset. Source: ``ActivationSigmoidHard``."""
    return ops.HardSigmoid(params.alpha, params.beta)


@activation("ELU")
def elu(node: Node, params: Any) -> ops.Op:
    """y = x where x >= 0, alpha * (e^x - 1) elsewhere. Alpha is 0 if unset. Source: ``ActivationELU``."""
    return ops.ELU(params.alpha)


@activation("softsign")
def softsign(node: Node, params: Any) -> ops.Op:
    """y = x / (1 + |x|). Source: ``ActivationSoftsign``. Chosen: the limits -1 and 1 at -Inf and Inf, not NaN."""
    return ops.Softsign()


@activation("softplus")
def softplus(node: Node, params: Any) -> ops.Op:
    """y = ln(1 + e^x), without overflow. Source: ``ActivationSoftplus``."""
    return ops.Softplus()


@activation("parametricSoftplus")
def parametric_softplus(node: Node, params: Any) -> ops.Op:
    """y = alpha_c * ln(1 + e^(beta_c * x)). Source: ``ActivationParametricSoftplus``; both have length 1 or C."""
    return _by_channel(ops.ParametricSoftplus, *(_vector(node, params, field) for field in ("alpha", "beta")))


@layer("activation")
def activation_layer(node: Node) -> ops.Op:
    """y = f(x) with one of `ACTIVATIONS`.

    Input: x [*D]; for PReLU and parametricSoftplus [*, C, H, W], or of rank 1 and 2 [*, C]. Output: the shape of x.
    Errors: no function chosen; PReLU or parametricSoftplus with weights that are neither of length 1 nor C, that are
    empty, or codes narrower than a byte, whose number only the input would tell.
    Source: ``ActivationParams``. Numbers that are unset read 0.
    """
    name = node.params.WhichOneof("NonlinearityType")
    if name is None:
        node.invalid("no activation function is chosen", f"Set one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name](node, getattr(node.params, name))


@dataclass(frozen=True, eq=False)
class _ByChannel(ByType):
    """An operation with numbers of channels: C is the third axis from the end; of ranks 1 and 2 the last."""

    of_maps: Elementwise
    of_vectors: Elementwise

    fresh = True

    def choose(self, rank: int) -> Elementwise:
        return self.of_maps if rank >= 3 else self.of_vectors


def _by_channel(operation: Callable[..., Elementwise], *weights: Array) -> ops.Op:
    """Return the operation with weights [1] or [C]."""
    return _ByChannel(operation(*(values.reshape(-1, 1, 1) for values in weights)), operation(*weights))


def _vector(node: Node, params: Any, field: str) -> Array:
    """Decode weights of which only the stored number is known."""
    encoding = weight_encoding(getattr(params, field), where=f"{node.where}.{field}")
    node.require(encoding.size > 0, f"{field} is empty, expected one value, or one per channel")
    if encoding.bits < 8:
        node.unsupported(f"{field} is stored in codes of {encoding.bits} bits", "Store it as float32 or float16")
    return node.weights(field, (encoding.size * 8 // encoding.bits,), message=params)
