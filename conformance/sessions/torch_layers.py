"""PyTorch, for some of the layers that it shares with Core ML: an example of a session that supports a part.

refcoreml conformance run --python conformance/sessions/torch_layers.py --profile fp32

Reads the model's message with refcoreml's schema, and computes nothing but with torch. What it does not know it says it
does not support.
"""

import numpy as np
import torch
from one_layer import only_layer
from torch.nn import functional

from refcoreml.conformance import Rejected


def _float_weights(message, shape):
    if not message.floatValue:
        raise NotImplementedError("only float32 weights")
    if len(message.floatValue) != np.prod(shape):
        raise Rejected("the number of weights does not fit")
    return torch.tensor(np.array(message.floatValue, np.float32).reshape(shape))


def _convolution(p, x):
    groups, kernel = p.nGroups or 1, list(p.kernelSize) or [3, 3]
    if p.WhichOneof("ConvolutionPaddingType") is None:
        raise Rejected("no kind of padding")
    if p.WhichOneof("ConvolutionPaddingType") == "same" or len(p.outputShape) or x.dim() > 4:
        raise NotImplementedError("only valid padding")
    edges = [(e.startEdgeSize, e.endEdgeSize) for e in p.valid.paddingAmounts.borderAmounts] or [(0, 0)] * 2
    if x.dim() == 3:
        x = x[None]
    c_in = p.kernelChannels if p.isDeconvolution else p.kernelChannels * groups
    if x.shape[1] != c_in or p.outputChannels % groups:
        raise Rejected("the channels do not fit")
    stride, dilation = list(p.stride) or [1, 1], list(p.dilationFactor) or [1, 1]
    bias = _float_weights(p.bias, (p.outputChannels,)) if p.hasBias else None
    if p.isDeconvolution:
        weights = _float_weights(p.weights, (c_in, p.outputChannels // groups, *kernel))
        y = functional.conv_transpose2d(x, weights, bias, stride, groups=groups, dilation=dilation)
        (top, bottom), (left, right) = edges
        return y[:, :, top : y.shape[2] - bottom, left : y.shape[3] - right]
    weights = _float_weights(p.weights, (p.outputChannels, p.kernelChannels, *kernel))
    x = functional.pad(x, [*edges[1], *edges[0]])
    if any(n < (k - 1) * d + 1 for n, k, d in zip(x.shape[2:], kernel, dilation, strict=True)):
        raise Rejected("the kernel does not fit")
    return functional.conv2d(x, weights, bias, stride, dilation=dilation, groups=groups)


def _inner_product(p, x):
    if p.int8DynamicQuantize:
        raise NotImplementedError("no dynamic quantization")
    weights = _float_weights(p.weights, (p.outputChannels, p.inputChannels))
    bias = _float_weights(p.bias, (p.outputChannels,)) if p.hasBias else None
    if x.dim() > 3 or (x.dim() == 3 and x.shape[-1] != p.inputChannels):
        raise NotImplementedError("only blobs of rank 1 to 3")
    if x.shape[-1] != p.inputChannels:
        raise Rejected("the input does not have inputChannels numbers")
    return functional.linear(x, weights, bias)


def _activation(p, x):
    kind = p.WhichOneof("NonlinearityType")
    functions = {
        "ReLU": functional.relu,
        "leakyReLU": lambda v: torch.where(v >= 0, v, p.leakyReLU.alpha * v),
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "ELU": lambda v: torch.where(v >= 0, v, p.ELU.alpha * torch.expm1(v)),
        "softplus": functional.softplus,
    }
    if kind is None:
        raise Rejected("no function is chosen")
    if kind not in functions:
        raise NotImplementedError(kind)
    return functions[kind](x)


def _layer_norm(p, x):
    shape = list(p.normalizedShape)
    if list(x.shape[-len(shape) :]) != shape:
        raise Rejected("the input does not end in normalizedShape")
    return functional.layer_norm(x, shape, _float_weights(p.gamma, shape), _float_weights(p.beta, shape), p.eps)


def _matmul(p, a, b):
    if p.hasBias:
        raise Rejected("a bias needs weights")
    if a.dim() == 1 or b.dim() == 1:
        raise NotImplementedError("vectors")
    a, b = (a.mT if p.transposeA else a), (b.mT if p.transposeB else b)
    if a.shape[-1] != b.shape[-2]:
        raise Rejected("rows and columns differ in length")
    return a @ b


def _reduction(function):
    def run(p, x):
        axes = (
            list(range(x.dim()))
            if p.reduceAll
            else [axis % x.dim() if -x.dim() <= axis < x.dim() else 99 for axis in p.axes]
        )
        if len(set(axes)) != len(axes) or 99 in axes:
            raise Rejected("the axes are wrong")
        y = function(x, axes, p.keepDims)
        return y if y.dim() else y[None]

    return run


def _broadcast(function):
    def run(p, a, b):
        try:
            torch.broadcast_shapes(a.shape, b.shape)
        except RuntimeError as error:
            raise Rejected(str(error)) from error
        return function(a, b)

    return run


def _one_input(function):
    def run(p, *x):
        if len(x) != 1:
            raise Rejected("the layer has one input")
        return function(x[0])

    return run


def _softmax(p, x):
    if not -x.dim() <= p.axis < x.dim():
        raise Rejected("there is no such axis")
    return torch.softmax(x, p.axis)


_GELU = {0: "none", 1: "tanh"}


def _gelu(p, x):
    if p.mode not in _GELU:
        raise NotImplementedError("gelu by sigmoid")
    return functional.gelu(x, approximate=_GELU[p.mode])


LAYERS = {
    "convolution": _convolution,
    "innerProduct": _inner_product,
    "activation": _activation,
    "layerNormalization": _layer_norm,
    "batchedMatmul": lambda p, *x: _matmul(p, *x) if len(x) == 2 else _unsupported("weights"),
    "softmaxND": _softmax,
    "gelu": _gelu,
    "reduceSum": _reduction(torch.sum),
    "reduceMean": _reduction(torch.mean),
    "reduceMax": _reduction(torch.amax),
    "reduceMin": _reduction(torch.amin),
    "reduceLogSumExp": _reduction(torch.logsumexp),
    "addBroadcastable": _broadcast(torch.add),
    "subtractBroadcastable": _broadcast(torch.sub),
    "multiplyBroadcastable": _broadcast(torch.mul),
    "divideBroadcastable": _broadcast(torch.div),
    **{
        name: _one_input(function)
        for name, function in {
            "ceil": torch.ceil, "floor": torch.floor, "round": torch.round, "sign": torch.sign, "exp2": torch.exp2,
            "sin": torch.sin, "cos": torch.cos, "tan": torch.tan, "asin": torch.asin, "acos": torch.acos,
            "atan": torch.atan, "sinh": torch.sinh, "cosh": torch.cosh, "tanh": torch.tanh, "asinh": torch.asinh,
            "acosh": torch.acosh, "atanh": torch.atanh, "erf": torch.erf,
        }.items()
    },
}  # fmt: skip


def _unsupported(what):
    raise NotImplementedError(what)


def prepare(model):
    spec, layer = only_layer(model)
    kind = layer.WhichOneof("layer")
    if kind not in LAYERS:
        raise NotImplementedError("layers that torch does not have")
    known = {feature.name for feature in spec.description.input}
    if not known.issuperset(layer.input) or list(layer.output) != [feature.name for feature in spec.description.output]:
        raise Rejected("a blob is used or wanted that nothing produces")
    if kind.endswith("Broadcastable") and len(layer.input) != 2:
        raise Rejected("the layer has two inputs")

    def session(inputs):
        blobs = [torch.tensor(inputs[name]) for name in layer.input]
        if kind == "convolution" and len(blobs) > 1:
            raise NotImplementedError("weights as an input")
        return {layer.output[0]: LAYERS[kind](getattr(layer, kind), *blobs).numpy()}

    return session
