"""The layer ``activation``, and the table of its functions, which the recurrent layers share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from refcoreml.kernels import activation as kernels
from refcoreml.kernels._types import Array, Shape
from refcoreml.kernels.elementwise import affine
from refcoreml.neuralnetwork.registry import Node, Op, channel_axis, channelwise, elementwise, layer
from refcoreml.spec import schema
from refcoreml.spec.weights import weight_encoding

#: ``(x, *weights, out=None)``, elementwise.
Kernel: TypeAlias = Callable[..., Array]


@dataclass(frozen=True)
class Activation:
    """An entry of `ACTIVATIONS`.

    Attributes:
        kernel: binds a kernel to the numbers in the function's message.
        weights: fields of type ``WeightParams``, one number for all channels or one a channel, which the kernel
        takes.
    """

    kernel: Callable[[Any], Kernel]
    weights: tuple[str, ...] = ()


#: The members of ``ActivationParams.NonlinearityType`` by their names in the schema.
ACTIVATIONS: dict[str, Activation] = {}


def activation(name: str, *weights: str) -> Callable[[Callable[[Any], Kernel]], Callable[[Any], Kernel]]:
    """Registers a function of the message ``name`` to a kernel, with the fields that hold the kernel's weights."""

    def register(kernel: Callable[[Any], Kernel]) -> Callable[[Any], Kernel]:
        ACTIVATIONS[name] = Activation(kernel, weights)
        return kernel

    return register


@activation("linear")
def linear(params: Any) -> Kernel:
    """Y = alpha * x + beta. Both 0 if unset. Source: ``ActivationLinear``."""
    return partial(affine, scale=params.alpha, shift=params.beta)


@activation("ReLU")
def relu(params: Any) -> Kernel:
    """Y = max(0, x). Source: ``ActivationReLU``."""
    return kernels.relu


@activation("leakyReLU")
def leaky_relu(params: Any) -> Kernel:
    """Y = x where x >= 0, alpha * x elsewhere. Alpha unset is 0, a ReLU. Source: ``ActivationLeakyReLU``."""
    return partial(kernels.leaky_relu, alpha=params.alpha)


@activation("thresholdedReLU")
def thresholded_relu(params: Any) -> Kernel:
    """Y = x where x >= alpha, 0 elsewhere. Source: ``ActivationThresholdedReLU``.

    ONNX's ThresholdedRelu differs at x = alpha, where it gives 0.
    """
    return partial(kernels.thresholded_relu, alpha=params.alpha)


@activation("PReLU", "alpha")
def prelu(params: Any) -> Kernel:
    """Y = x where x >= 0, alpha_c * x elsewhere. Source: ``ActivationPReLU``; alpha has length 1 or C."""
    return kernels.leaky_relu


@activation("tanh")
def tanh(params: Any) -> Kernel:
    """Y = tanh x. Source: ``ActivationTanh``."""
    return kernels.tanh


@activation("scaledTanh")
def scaled_tanh(params: Any) -> Kernel:
    """Y = alpha * tanh(beta * x). Both 0 if unset. Source: ``ActivationScaledTanh``."""
    return partial(kernels.scaled_tanh, alpha=params.alpha, beta=params.beta)


@activation("sigmoid")
def sigmoid(params: Any) -> Kernel:
    """Y = 1 / (1 + e^-x). Source: ``ActivationSigmoid``."""
    return kernels.sigmoid


@activation("sigmoidHard")
def hard_sigmoid(params: Any) -> Kernel:
    """Y = min(max(alpha * x + beta, 0), 1). Both 0 if unset. Source: ``ActivationSigmoidHard``."""
    return partial(kernels.hard_sigmoid, alpha=params.alpha, beta=params.beta)


@activation("ELU")
def elu(params: Any) -> Kernel:
    """Y = x where x >= 0, alpha * (e^x - 1) elsewhere. Alpha is 0 if unset. Source: ``ActivationELU``."""
    return partial(kernels.elu, alpha=params.alpha)


@activation("softsign")
def softsign(params: Any) -> Kernel:
    """Y = x / (1 + |x|). Source: ``ActivationSoftsign``. Chosen: the limits -1 and 1 at -Inf and Inf, not NaN."""
    return kernels.softsign


@activation("softplus")
def softplus(params: Any) -> Kernel:
    """Y = ln(1 + e^x), without overflow. Source: ``ActivationSoftplus``."""
    return kernels.softplus


@activation("parametricSoftplus", "alpha", "beta")
def parametric_softplus(params: Any) -> Kernel:
    """Y = alpha_c * ln(1 + e^(beta_c * x)). Source: ``ActivationParametricSoftplus``; both have length 1 or C."""
    return kernels.parametric_softplus


@layer("activation")
def activation_layer(node: Node) -> Op:
    """Y = f(x) with one of `ACTIVATIONS`.

    Input: x [*D]; for PReLU and parametricSoftplus [*, C, H, W], or of rank 1 and 2 [*, C]. Output: the shape of x.
    Errors: no function chosen; PReLU or parametricSoftplus with weights that are neither of length 1 nor C.
    Source: ``ActivationParams``. Numbers that are unset read 0.
    """
    kernel, weights = nonlinearity(node, node.params)
    if not weights:
        return elementwise(kernel)

    def shape(x: Shape) -> Shape:
        channels = x[channel_axis(len(x))]
        for name, values in weights.items():
            node.require(
                len(values) in (1, channels),
                f"{name} has {len(values)} values, expected 1 or {channels}, the channels of {x}",
            )
        return x

    return replace(channelwise(kernel, *weights.values()), shape=shape)


def nonlinearity(node: Node, message: schema.ActivationParams) -> tuple[Kernel, dict[str, Array]]:
    """The kernel that an ``ActivationParams`` message chooses, and its weights by name, each [1] or [C].

    Raises:
        InvalidModelError: the message chooses nothing, or weights are empty.
        UnsupportedModelError: weights are codes narrower than a byte, whose number only the input would tell.
    """
    name = message.WhichOneof("NonlinearityType")
    if name is None:
        node.invalid("no activation function is chosen", f"Set one of {', '.join(ACTIVATIONS)}")
    entry, params = ACTIVATIONS[name], getattr(message, name)
    return entry.kernel(params), {field: _vector(node, params, field) for field in entry.weights}


def _vector(node: Node, params: Any, field: str) -> Array:
    """Decodes weights of which only the stored number is known."""
    encoding = weight_encoding(getattr(params, field), where=f"{node.where}.{field}")
    node.require(encoding.size > 0, f"{field} is empty, expected one value, or one a channel")
    if encoding.bits < 8:
        node.unsupported(f"{field} is stored in codes of {encoding.bits} bits", "Store it as float32 or float16")
    return node.weights(field, (encoding.size * 8 // encoding.bits,), message=params)
