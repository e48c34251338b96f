"""Faults in layers of networks: in their parameters, their decoded weights, their results, or a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from conformance.faults.fault import Mutation, NeverFused, replaced
from refcoreml.kernels import conv, pool, quantization, recurrent, resize
from refcoreml.kernels.bits import unpack_codes
from refcoreml.neuralnetwork.registry import LAYERS, LayerType, Node
from refcoreml.ops import Op
from refcoreml.spec import schema

Array: TypeAlias = NDArray[Any]


MUTATIONS: list[Mutation] = []


def _register(name: str, kinds: str, inject: Callable[[], Any], unseen: str = "") -> None:
    MUTATIONS.append(Mutation(name, tuple(kinds.split()), inject, unseen))


# ---- Four ways to break the interpreter ----


def parameters(name: str, kinds: str, change: Callable[[Any], Any], unseen: str = "") -> None:
    """The layer misreads its message, which ``change`` alters."""

    def wrap(entry: LayerType) -> LayerType:
        def prepare(node: Node) -> Op:
            spec = schema.NeuralNetworkLayer.FromString(node.spec.SerializeToString())
            change(getattr(spec, node.kind))
            return entry.prepare(replace(node, spec=spec))

        return replace(entry, prepare=prepare)

    _register(name, kinds, lambda: _wrapped(kinds, wrap), unseen)


@dataclass(frozen=True)
class _Faulty(NeverFused):
    """An operation that computes ``fault(params, run, *inputs)``, and is never fused."""

    fault: Callable[..., Any]
    params: Any

    @cached_property
    def _honest(self) -> Callable[..., Any]:
        """One object for all runs, by which faults can remember the layer."""
        return self.op.run

    def run(self, *xs: Array) -> Any:
        """What the fault makes of the correct computation, in the type of the inputs."""
        y = self.fault(self.params, self._honest, *xs)
        dtype = xs[0].dtype if xs else np.float32
        return tuple(np.asarray(one, dtype) for one in y) if isinstance(y, tuple) else np.asarray(y, dtype)


def result(name: str, kinds: str, fault: Callable[..., Any], unseen: str = "") -> None:
    """The layer computes ``fault(params, run, *inputs)``, where ``run`` is the correct computation."""

    def wrap(entry: LayerType) -> LayerType:
        def prepare(node: Node) -> Op:
            return _Faulty(entry.prepare(node), fault, node.params)

        return replace(entry, prepare=prepare)

    _register(name, kinds, lambda: _wrapped(kinds, wrap), unseen)


def weights(name: str, kinds: str, change: Callable[[Node, str, Array], Array], unseen: str = "") -> None:
    """The layer gets other weights: ``change(node, field, values)``."""

    @contextmanager
    def inject() -> Iterator[None]:
        honest = Node.weights

        def faulty(self: Node, field: str, shape: Any, **options: Any) -> Array:
            values = honest(self, field, shape, **options)
            return np.array(change(self, field, values), values.dtype) if self.kind in kinds.split() else values

        Node.weights = faulty  # type: ignore[method-assign]
        try:
            yield
        finally:
            Node.weights = honest  # type: ignore[method-assign]

    _register(name, kinds, inject, unseen)


def kernel(name: str, kinds: str, function: Callable[..., Any], fault: Callable[[Any], Any], unseen: str = "") -> None:
    """A function of the kernels is ``fault(function)``, wherever the package refers to it."""

    _register(name, kinds, lambda: replaced(function, fault(function)), unseen)


@contextmanager
def _wrapped(kinds: str, wrap: Callable[[LayerType], LayerType]) -> Iterator[None]:
    honest = {kind: LAYERS[kind] for kind in kinds.split()}
    LAYERS.update({kind: wrap(entry) for kind, entry in honest.items()})
    try:
        yield
    finally:
        LAYERS.update(honest)


# ---- What the faults are made of ----


def _set(**fields: Any) -> Callable[[Any], None]:
    def change(params: Any) -> None:
        for field, value in fields.items():
            setattr(params, field, value)

    return change


def _reverse(*fields: str) -> Callable[[Any], None]:
    """Takes H for W."""

    def change(params: Any) -> None:
        for field in fields:
            values = getattr(params, field)
            values[:] = list(values)[::-1]

    return change


def _clear(*fields: str) -> Callable[[Any], None]:
    def change(params: Any) -> None:
        for field in fields:
            params.ClearField(field)

    return change


def _swap_ends(path: str) -> Callable[[Any], None]:
    """Takes the beginning of a border for its end."""

    def change(params: Any) -> None:
        message = params
        for name in path.split("."):
            message = getattr(message, name)
        for edge in message.borderAmounts:
            edge.startEdgeSize, edge.endEdgeSize = edge.endEdgeSize, edge.startEdgeSize

    return change


def _swap_axes(path: str) -> Callable[[Any], None]:
    def change(params: Any) -> None:
        message = params
        for name in path.split("."):
            message = getattr(message, name)
        if len(message.borderAmounts) == 2:
            h, w = message.borderAmounts
            kept = type(h).FromString(h.SerializeToString())
            h.CopyFrom(w)
            w.CopyFrom(kept)

    return change


def _swap(a: str, b: str) -> Callable[[Any], None]:
    def change(params: Any) -> None:
        x, y = getattr(params, a), getattr(params, b)
        if isinstance(x, (int, float)):
            setattr(params, a, y)
            setattr(params, b, x)
        else:
            kept = type(x).FromString(x.SerializeToString())
            x.CopyFrom(y)
            y.CopyFrom(kept)

    return change


def _in(member: str, change: Callable[[Any], None]) -> Callable[[Any], None]:
    """The change, in a message inside, if it is there."""

    def inner(params: Any) -> None:
        if params.HasField(member):
            change(getattr(params, member))

    return inner


def _toggle(path: str) -> Callable[[Any], None]:
    """The other value of an enum with two values, or of a flag."""

    def change(params: Any) -> None:
        *parents, field = path.split(".")
        message = params
        for name in parents:
            if not message.HasField(name):
                return
            message = getattr(message, name)
        setattr(message, field, type(getattr(message, field))(not getattr(message, field)))

    return change


def _reinterpreted(w: Array) -> Array:
    """Weights read as if the first two axes were stored in the other order."""
    return w.reshape(w.shape[1], w.shape[0], *w.shape[2:]).swapaxes(0, 1)


def _last_tap(node: Node, field: str, w: Array) -> Array:
    if field == "weights":
        w = w.copy()
        w.reshape(*w.shape[:2], -1)[..., -1] = 0
    return w


def _flipped(node: Node, field: str, w: Array) -> Array:
    return w[..., ::-1, ::-1] if field == "weights" else w


def _for(field: str, change: Callable[[Array], Array], unless: str = "") -> Callable[[Node, str, Array], Array]:
    return lambda node, name, w: change(w) if name == field and not (unless and getattr(node.params, unless)) else w


def _softmax(x: Array, axis: int) -> Array:
    y = np.exp(x - x.max(axis=axis, keepdims=True))
    return y / y.sum(axis=axis, keepdims=True)


def _moments(x: Array, axes: Any, ddof: int) -> tuple[Array, Array]:
    return x.mean(axes, keepdims=True), x.var(axes, keepdims=True, ddof=ddof)


# ---- Convolution ----

parameters("convolution: the bias is forgotten", "convolution convolution3d", _set(hasBias=False))
weights("convolution: the last tap of the kernel is dropped", "convolution convolution3d", _last_tap)
weights("convolution: the kernel is flipped", "convolution convolution3d", _flipped)
weights(
    "convolution: input and output channels of the weights exchanged",
    "convolution",
    _for("weights", _reinterpreted, "isDeconvolution"),
)
parameters("convolution: padding at the wrong end", "convolution", _in("valid", _swap_ends("paddingAmounts")))
parameters("convolution: padding of H used for W", "convolution", _in("valid", _swap_axes("paddingAmounts")))
parameters(
    "convolution: padding off by one",
    "convolution",
    lambda p: [
        setattr(edge, "startEdgeSize", edge.startEdgeSize + 1)
        or setattr(edge, "endEdgeSize", max(edge.endEdgeSize, 1) - 1)
        for edge in p.valid.paddingAmounts.borderAmounts
        if p.HasField("valid")
    ],
)
parameters("convolution: the odd pixel of same padding on the other side", "convolution", _toggle("same.asymmetryMode"))
parameters("convolution: stride of H used for W", "convolution", _reverse("stride"))
parameters("convolution: dilation of H used for W", "convolution", _reverse("dilationFactor"))
parameters("convolution: dilation ignored", "convolution", _clear("dilationFactor"))
kernel(
    "convolution: same padding forgets the dilation",
    "convolution convolution3d",
    conv.same_padding,
    lambda f: lambda size, k, s=1, d=1, **o: f(size, k, s, 1, **o),
)
kernel(
    "convolution: same padding forgets the stride",
    "convolution convolution3d",
    conv.same_padding,
    lambda f: lambda size, k, s=1, d=1, **o: f(size, k, 1, d, **o),
)
result(
    "convolution: channels of groups interleaved",
    "convolution",
    lambda p, run, x, *w: (
        run(x[..., np.arange(x.shape[-3]).reshape(-1, p.nGroups).T.ravel(), :, :], *w) if p.nGroups > 1 else run(x, *w)
    ),
)
result("convolution: sums in half precision", "convolution", lambda p, run, *x: run(*x).astype(np.float16))
weights(
    "deconvolution: weights taken for [C_out, C_in]",
    "convolution",
    lambda node, field, w: _reinterpreted(w) if field == "weights" and node.params.isDeconvolution else w,
)
parameters(
    "deconvolution: the dilation is ignored, as the schema's comment has it",
    "convolution",
    lambda p: p.isDeconvolution and p.ClearField("dilationFactor"),
)
kernel(
    "deconvolution: the odd pixel of a crop on the other side",
    "convolution convolution3d",
    conv.same_crop,
    lambda f: lambda *a, **o: f(*a, **{**o, "heavy_begin": not o.get("heavy_begin", False)}),
)
parameters("convolution3d: dilation ignored", "convolution3d", _set(dilationDepth=1, dilationHeight=1, dilationWidth=1))
parameters(
    "convolution3d: front and back padding exchanged", "convolution3d", _swap("customPaddingFront", "customPaddingBack")
)
parameters(
    "convolution3d: depth and height of the stride exchanged", "convolution3d", _swap("strideDepth", "strideHeight")
)
weights(
    "convolution3d: weights of a deconvolution as the schema's comment has them",
    "convolution3d",
    lambda node, field, w: _reinterpreted(w) if field == "weights" and node.params.isDeconvolution else w,
)

# ---- Pooling ----

kernel(
    "pooling: padding counts as 0 to the maximum",
    "pooling pooling3d",
    pool.max_pool,
    lambda f: lambda x, w: np.where(_pads(x, w), np.maximum(f(x, w), 0), f(x, w)),
)
kernel(
    "pooling: padding is always part of the average",
    "pooling pooling3d",
    pool.average_pool,
    lambda f: lambda x, w, exclude_padding=False: f(x, w),
)
kernel(
    "pooling: padding is never part of the average",
    "pooling pooling3d",
    pool.average_pool,
    lambda f: lambda x, w, exclude_padding=False: f(x, w, exclude_padding=True),
)
kernel(
    "pooling: L2 is the root of the mean square",
    "pooling",
    pool.l2_pool,
    lambda f: lambda x, w: f(x, w) / np.sqrt(np.float32(w[0].kernel * w[1].kernel)),
)
kernel("pooling: L2 without its root", "pooling", pool.l2_pool, lambda f: lambda x, w: np.square(f(x, w)))
kernel(
    "pooling: includeLastPixel rounds down",
    "pooling",
    pool.complete_windows,
    lambda f: (
        lambda size, kernel, stride=1, padding=0, trim=False: pool.valid_windows(
            size, kernel, stride, (padding, padding)
        )
    ),
)
kernel(
    "pooling: includeLastPixel keeps a window beyond the padding",
    "pooling",
    pool.complete_windows,
    lambda f: lambda size, kernel, stride=1, padding=0, trim=False: f(size, kernel, stride, padding),
)
parameters("pooling: kernel of H used for W", "pooling", _reverse("kernelSize"))
parameters("pooling: stride of H used for W", "pooling", _reverse("stride"))
parameters("pooling: padding at the wrong end", "pooling", _in("valid", _swap_ends("paddingAmounts")))
parameters("pooling: the odd pixel of same padding on the other side", "pooling", _toggle("same.asymmetryMode"))
parameters("pooling: globalPooling ignored", "pooling", _set(globalPooling=False))
parameters(
    "pooling: maximum for average", "pooling pooling3d globalPooling3d", lambda p: p.type == 1 and setattr(p, "type", 0)
)
parameters("pooling3d: countExcludePadding ignored", "pooling3d", _set(countExcludePadding=False))
parameters("pooling3d: left and right padding exchanged", "pooling3d", _swap("customPaddingLeft", "customPaddingRight"))
kernel(
    "pooling3d: the odd voxel of same padding at the front",
    "pooling3d",
    pool.same_windows,
    lambda f: lambda *a, **o: f(*a, **{**o, "heavy_begin": True}),
)


def _pads(x: Array, windows: Any) -> Any:
    """Which windows reach beyond the input."""
    reach = np.zeros((), bool)
    for size, w in zip(x.shape[x.ndim - len(windows) :], windows, strict=True):
        reach = reach[..., None] | (w.real(size) < w.kernel)
    return reach


# ---- Activations and functions ----

parameters(
    "leakyReLU: the slope is ignored",
    "activation",
    lambda p: p.HasField("leakyReLU") and setattr(p.leakyReLU, "alpha", 0),
)
result(
    "leakyReLU: the maximum of x and alpha x",
    "activation",
    lambda p, run, x: np.maximum(x, np.float32(p.leakyReLU.alpha) * x) if p.HasField("leakyReLU") else run(x),
)
result(
    "thresholdedReLU: strict comparison",
    "activation",
    lambda p, run, x: (
        np.where(x > np.float32(p.thresholdedReLU.alpha), x, 0) if p.HasField("thresholdedReLU") else run(x)
    ),
)
weights("PReLU: one slope for all channels", "activation", lambda node, field, w: np.full_like(w, w.flat[0]))
result(
    "PReLU: slopes along the last axis",
    "activation",
    lambda p, run, x: (
        run(x.swapaxes(-1, -3)).swapaxes(-1, -3)
        if p.HasField("PReLU") and x.shape[-1] == x.shape[-3]
        else np.where(x < 0, run(x)[..., ::-1, :, :] if x.ndim > 2 else run(x)[..., ::-1], x)
        if p.HasField("PReLU")
        else run(x)
    ),
)
result(
    "ELU: the 1 is not subtracted",
    "activation",
    lambda p, run, x: np.where(x >= 0, x, p.ELU.alpha * np.exp(np.minimum(x, 0))) if p.HasField("ELU") else run(x),
)
parameters(
    "sigmoidHard: alpha and beta exchanged",
    "activation",
    lambda p: p.HasField("sigmoidHard") and _swap("alpha", "beta")(p.sigmoidHard),
)
parameters(
    "scaledTanh: alpha and beta exchanged",
    "activation",
    lambda p: p.HasField("scaledTanh") and _swap("alpha", "beta")(p.scaledTanh),
)
parameters(
    "linear: alpha and beta exchanged",
    "activation",
    lambda p: p.HasField("linear") and _swap("alpha", "beta")(p.linear),
)
result("softplus: overflows", "activation", lambda p, run, x: np.log1p(np.exp(x)) if p.HasField("softplus") else run(x))
result(
    "sigmoid: overflows",
    "activation",
    lambda p, run, x: np.exp(x) / (1 + np.exp(x)) if p.HasField("sigmoid") else run(x),
)
result(
    "softsign: without the absolute value",
    "activation",
    lambda p, run, x: x / (1 + x) if p.HasField("softsign") else run(x),
)
parameters(
    "gelu: the tanh approximation for the exact function", "gelu", lambda p: p.mode == 0 and setattr(p, "mode", 1)
)
parameters("gelu: the sigmoid approximation for that by tanh", "gelu", lambda p: p.mode == 1 and setattr(p, "mode", 2))
result(
    "clampedReLU: the upper bound is forgotten",
    "clampedReLU",
    lambda p, run, x: np.where(x >= 0, x, np.float32(p.alpha) * x),
)
result(
    "clampedReLU: only negative numbers are bounded",
    "clampedReLU",
    lambda p, run, x: np.where(x >= 0, x, np.minimum(p.beta, np.float32(p.alpha) * x)),
)
result(
    "unary RSQRT: epsilon outside of the root",
    "unary",
    lambda p, run, x: 1 / (np.sqrt((p.scale or 1) * x + p.shift) + (p.epsilon or 1e-6)) if p.type == 1 else run(x),
)
result(
    "unary INVERSE: no default epsilon",
    "unary",
    lambda p, run, x: 1 / ((p.scale or 1) * x + p.shift + p.epsilon) if p.type == 2 else run(x),
)
result(
    "unary LOG: epsilon ignored",
    "unary",
    lambda p, run, x: np.log((p.scale or 1) * x + p.shift) if p.type == 5 else run(x),
)
result("unary: shift before scale", "unary", lambda p, run, x: run(x + p.shift - p.shift / (p.scale or 1)))
result(
    "unary THRESHOLD: the minimum",
    "unary",
    lambda p, run, x: np.minimum((p.scale or 1) * x + p.shift, np.float32(p.alpha)) if p.type == 7 else run(x),
)
result("unary POWER: of the magnitude", "unary", lambda p, run, x: run(np.abs(x)) if p.type == 3 else run(x))
result("unary: scale 0 for unset", "unary", lambda p, run, x: run(0 * x) if p.scale == 0 else run(x))
_HALVES = "the rounding of ties is not specified, and devices differ"
result(
    "round: halves away from zero",
    "round",
    lambda p, run, x: np.sign(x) * np.floor(np.abs(x) + np.float32(0.5)),
    unseen=_HALVES,
)
result("round: halves up", "round", lambda p, run, x: np.floor(x + np.float32(0.5)), unseen=_HALVES)
result("round: down", "round", lambda p, run, x: np.floor(x))
result("floor: toward zero", "floor", lambda p, run, x: np.trunc(x))
result("ceil: away from zero", "ceil", lambda p, run, x: np.sign(x) * np.ceil(np.abs(x)))
result("sign: 1 for 0", "sign", lambda p, run, x: np.where(x >= 0, 1, -1))
result("clip: only from above", "clip", lambda p, run, x: np.minimum(x, np.float32(p.maxVal)))
result(
    "erf: three terms of its series",
    "erf",
    lambda p, run, x: np.clip(2 / np.sqrt(np.pi) * (x - x**3 / 3 + x**5 / 10), -1, 1),
)
result("acosh: for its inverse", "acosh", lambda p, run, x: np.cosh(x))
result("sin: of degrees", "sin cos tan", lambda p, run, x: run(np.radians(x)))
result("exp2: e^x", "exp2", lambda p, run, x: np.exp(x))
result("tanh: a rational approximation", "tanh", lambda p, run, x: np.clip(x * (27 + x * x) / (27 + 9 * x * x), -1, 1))
result("floorDivBroadcastable: toward zero", "floorDivBroadcastable", lambda p, run, a, b: np.trunc(a / b))
result("modBroadcastable: the sign of the dividend", "modBroadcastable", lambda p, run, a, b: np.fmod(a, b))
result(
    "powBroadcastable: operands exchanged",
    "powBroadcastable",
    lambda p, run, a, b: run(b, a) if a.shape == b.shape else run(a, b),
)
result("subtractBroadcastable: operands exchanged", "subtractBroadcastable", lambda p, run, a, b: b - a)
result(
    "divideBroadcastable: 0 for a division by 0",
    "divideBroadcastable",
    lambda p, run, a, b: np.where(b == 0, 0, run(a, b)),
)
result("maxBroadcastable: the minimum", "maxBroadcastable", lambda p, run, a, b: np.minimum(a, b))
result("add: the third input is forgotten", "add multiply max min", lambda p, run, *x: run(*x[:2]))
result("add: alpha also added to several inputs", "add", lambda p, run, *x: run(*x) + np.float32(p.alpha))
result("average: always divided by 2", "average", lambda p, run, *x: sum(x) / np.float32(2))
result(
    "scale: bias before the factor",
    "scale",
    lambda p, run, x: run(x) if not p.hasBias else run(x) + (run(0 * x) * (run(0 * x + 1) - run(0 * x) - 1)),
)
parameters("scale: hasBias ignored", "scale", _set(hasBias=False))
result("bias: subtracted", "bias", lambda p, run, x: 2 * x - run(x))
result(
    "lessEqual: strict",
    "lessEqual greaterEqual",
    lambda p, run, *x: np.where(x[0] == (x[1] if len(x) > 1 else np.float32(p.alpha)), 0, run(*x)),
)
result(
    "lessThan: not strict",
    "lessThan greaterThan",
    lambda p, run, *x: np.where(x[0] == (x[1] if len(x) > 1 else np.float32(p.alpha)), 1, run(*x)),
)
result(
    "equal: alpha ignored",
    "equal notEqual",
    lambda p, run, *x: run(*x) if len(x) > 1 else run(x[0] + np.float32(p.alpha)),
)
result("logicalXor: an or", "logicalXor", lambda p, run, a, b: (a != 0) | (b != 0))
result("logicalAnd: true means 1", "logicalAnd logicalOr logicalXor", lambda p, run, a, b: run(a == 1, b == 1))
result("logicalNot: of numbers above 0", "logicalNot", lambda p, run, x: x <= 0)

# ---- Products ----

weights("innerProduct: weights stored as [C_in, C_out]", "innerProduct", _for("weights", _reinterpreted))
parameters("innerProduct: the bias is forgotten", "innerProduct", _set(hasBias=False))
result(
    "innerProduct: [C, H, W] read as [H, W, C]",
    "innerProduct",
    lambda p, run, x: run(np.moveaxis(x, -3, -1).reshape(x.shape)) if x.ndim >= 4 else run(x),
)
weights("batchedMatmul: weights row by row", "batchedMatmul", _for("weights", _reinterpreted))
weights("batchedMatmul: the bias is forgotten", "batchedMatmul", _for("bias", np.zeros_like))
result("batchedMatmul: sums in half precision", "batchedMatmul", lambda p, run, *x: run(*x).astype(np.float16))
result(
    "batchedMatmul: batches not aligned at the end",
    "batchedMatmul",
    lambda p, run, *x: run(*x)[::-1] if len(x) == 2 and x[0].ndim > 3 else run(*x),
)
weights("embedding: the table stored by words", "embedding embeddingND", _for("weights", _reinterpreted))
parameters("embedding: the bias is forgotten", "embedding embeddingND", _set(hasBias=False))
result("embedding: indices from 1", "embedding embeddingND", lambda p, run, x: run(np.maximum(x - 1, 0)))
result(
    "dot: the cosine divided by squared lengths",
    "dot",
    lambda p, run, a, b: (
        run(a, b) / np.sqrt((a * a).sum(-3, keepdims=True) * (b * b).sum(-3, keepdims=True))
        if p.cosineSimilarity
        else run(a, b)
    ),
)

# ---- Normalization ----

result("softmax: along the last axis", "softmax", lambda p, run, x: _softmax(x, -1))
result(
    "softmax: along the channels of a blob of rank 3",
    "softmax",
    lambda p, run, x: _softmax(x, -3) if x.ndim == 3 else run(x),
)
result("softmaxND: along the last axis", "softmaxND", lambda p, run, x: _softmax(x, -1))
result("softmaxND: overflows", "softmaxND", lambda p, run, x: np.exp(x) / np.exp(x).sum(p.axis, keepdims=True))
result("batchnorm: epsilon outside of the root", "batchnorm", lambda p, run, x: _batchnorm(p, run, x, outside=True))
parameters("batchnorm: another default epsilon", "batchnorm", lambda p: p.epsilon == 0 and setattr(p, "epsilon", 1e-3))
weights("batchnorm: gamma ignored", "batchnorm", _for("gamma", np.ones_like))
weights("batchnorm: the variance is a deviation", "batchnorm", _for("variance", np.square))
parameters(
    "batchnorm: statistics of the batch for those of the instance", "batchnorm", _set(instanceNormalization=False)
)
result("batchnorm: computed variance divided by n - 1", "batchnorm", lambda p, run, x: _batchnorm(p, run, x, ddof=1))


def _batchnorm(p: Any, run: Any, x: Array, outside: bool = False, ddof: int = 0) -> Array:
    epsilon = p.epsilon or 1e-5
    zero, one = np.zeros_like(x), np.ones_like(x)
    if not p.computeMeanVar:
        if not outside:
            return run(x)
        slope, mean = run(one) - run(zero), None
        variance = np.array(p.variance.floatValue).reshape(-1, 1, 1) if len(p.variance.floatValue) else 1.0
        del mean
        return run(zero) + slope * x * np.sqrt(variance + epsilon) / (np.sqrt(variance) + epsilon)
    axes = tuple(range(-2, 0)) if p.instanceNormalization else tuple(i for i in range(-x.ndim, 0) if i != -3)
    mean, variance = _moments(x.astype(np.float64), axes, ddof)
    root = np.sqrt(variance) + epsilon if outside else np.sqrt(variance + epsilon)
    gamma, beta = (np.array(w.floatValue).reshape(-1, 1, 1) for w in (p.gamma, p.beta))
    return gamma * (x - mean) / root + beta


parameters("mvn: acrossChannels inverted", "mvn", _toggle("acrossChannels"))
result("mvn: variance divided by n - 1", "mvn", lambda p, run, x: _mvn(p, x, ddof=1))
result("mvn: epsilon outside of the root", "mvn", lambda p, run, x: _mvn(p, x, outside=True))
result("mvn: variance always normalized", "mvn", lambda p, run, x: _mvn(p, x, always=True))


def _mvn(p: Any, x: Array, ddof: int = 0, outside: bool = False, always: bool = False) -> Array:
    axes, epsilon = ((-3, -2, -1) if p.acrossChannels else (-2, -1)), p.epsilon or 1e-6
    mean, variance = _moments(x.astype(np.float64), axes, ddof)
    root = np.sqrt(variance) + epsilon if outside else np.sqrt(variance + epsilon)
    return (x - mean) / root if p.normalizeVariance or always else x - mean


result(
    "l2normalize: of each channel",
    "l2normalize",
    lambda p, run, x: x / np.sqrt((x * x).sum((-2, -1), keepdims=True) + (p.epsilon or 1e-6)),
)
result(
    "l2normalize: epsilon outside of the root",
    "l2normalize",
    lambda p, run, x: x / (np.sqrt((x * x).sum((-3, -2, -1), keepdims=True)) + (p.epsilon or 1e-6)),
)
result(
    "l2normalize: epsilon as a lower bound",
    "l2normalize",
    lambda p, run, x: x / np.sqrt(np.maximum((x * x).sum((-3, -2, -1), keepdims=True), p.epsilon or 1e-6)),
)
parameters("lrn: alpha not divided by the size", "lrn", lambda p: setattr(p, "alpha", p.alpha * p.localSize))
result("lrn: an even window leans to the other side", "lrn", lambda p, run, x: run(x[..., ::-1, :, :])[..., ::-1, :, :])
parameters("lrn: k ignored", "lrn", _set(k=1))
parameters("lrn: beta ignored", "lrn", _set(beta=1))
result(
    "layerNormalization: variance divided by n - 1", "layerNormalization", lambda p, run, x: _layer_norm(p, x, ddof=1)
)
result(
    "layerNormalization: eps outside of the root",
    "layerNormalization",
    lambda p, run, x: _layer_norm(p, x, outside=True),
)
result(
    "layerNormalization: over the last axis only", "layerNormalization", lambda p, run, x: _layer_norm(p, x, last=True)
)


def _layer_norm(p: Any, x: Array, ddof: int = 0, outside: bool = False, last: bool = False) -> Array:
    shape = tuple(p.normalizedShape)
    gamma, beta = (np.array(w.floatValue).reshape(shape) for w in (p.gamma, p.beta))
    mean, variance = _moments(x.astype(np.float64), -1 if last else tuple(range(-len(shape), 0)), ddof)
    return gamma * (x - mean) / (np.sqrt(variance) + p.eps if outside else np.sqrt(variance + p.eps)) + beta


# ---- Reductions and order ----

_TIES = "the order of equal elements is not specified, and the oracle leaves it open"

parameters("reduce: H for W", "reduce", lambda p: setattr(p, "axis", {3: 4, 4: 3}.get(p.axis, p.axis)))
parameters("reduce: CHW reduces HW only", "reduce", lambda p: p.axis == 0 and setattr(p, "axis", 1))
result(
    "reduce LOGSUM: the logarithm of the sum",
    "reduce",
    lambda p, run, x: (
        np.log(x.sum((-3, -2, -1) if p.axis == 0 else (-2, -1) if p.axis == 1 else (p.axis - 5), keepdims=True))
        if p.mode == 3
        else run(x)
    ),
)
parameters("reduce LOGSUM: no epsilon", "reduce", lambda p: setattr(p, "epsilon", p.epsilon and 1e-30))
parameters("reduce LOGSUM: no default epsilon", "reduce", lambda p: setattr(p, "epsilon", p.epsilon or 1e-30))
parameters("reduce AVG: a sum", "reduce", lambda p: p.mode == 1 and setattr(p, "mode", 0))
parameters("reduce L1: a sum", "reduce", lambda p: p.mode == 5 and setattr(p, "mode", 0))
result(
    "reduce L2: without its root",
    "reduce reduceL2",
    lambda p, run, x: run(x) ** 2 if getattr(p, "mode", 6) == 6 else run(x),
)
result("reduce ARGMAX: from 1", "reduce", lambda p, run, x: run(x) + 1 if p.mode == 9 else run(x))
result(
    "reduceSum: keepDims inverted",
    "reduceSum reduceMax",
    lambda p, run, x: (
        x.sum(tuple(p.axes) or None, keepdims=not p.keepDims).reshape(-1)
        if p.reduceAll
        else x.sum(tuple(p.axes), keepdims=not p.keepDims)
    ),
)
parameters("reductions: reduceAll ignored", "reduceSum reduceMean reduceMax reduceL1 reduceProd", _set(reduceAll=False))
result(
    "reduceLogSum: the sum of logarithms",
    "reduceLogSum",
    lambda p, run, x: np.log(x).sum(None if p.reduceAll else tuple(p.axes), keepdims=True).reshape(run(x).shape),
)
result("reduceLogSumExp: without the logarithm", "reduceLogSumExp", lambda p, run, x: np.exp(run(x)))
result(
    "reduceMean: divided by the whole blob",
    "reduceMean",
    lambda p, run, x: run(x) * run(x).size if not p.reduceAll else run(x),
)
result("reduceMin: the maximum", "reduceMin", lambda p, run, x: -run(-x))
parameters("cumSum: excludeFinalSum ignored", "cumSum", _set(excludeFinalSum=False))
parameters("cumSum: reverse ignored", "cumSum", _set(reverse=False))
result(
    "argMax: of equal elements the last",
    "argMax argMin",
    lambda p, run, x: x.shape[p.axis] - 1 - run(np.flip(x, p.axis)),
    unseen=_TIES,
)
result("argMin: the maximum", "argMin", lambda p, run, x: run(-x))
result("topK: not in order", "topK", lambda p, run, *x: tuple(np.flip(y, p.axis) for y in run(*x)))
parameters("topK: useBottomK ignored", "topK", _set(useBottomK=False))
parameters("argSort: descending ignored", "argSort", _set(descending=False))
result("argSort: places for ranks", "argSort", lambda p, run, x: np.argsort(run(x), axis=p.axis))
result(
    "argSort: of equal elements the last first",
    "argSort",
    lambda p, run, x: np.flip(np.argsort(x if p.descending else -x, axis=p.axis, kind="stable"), p.axis),
    unseen=_TIES,
)

# ---- Shapes ----

parameters("reshape: CHANNEL_LAST ignored", "reshape flatten", _set(mode=0))
result(
    "reorganizeData: order of channels as in torch for as in TensorFlow",
    "reorganizeData",
    lambda p, run, x: _reordered(p, run, x),
)
result(
    "reorganizeData: rows and columns of a block exchanged",
    "reorganizeData",
    lambda p, run, x: run(x.swapaxes(-1, -2)).swapaxes(-1, -2),
)
parameters(
    "permute: the inverse",
    "permute",
    lambda p: p.axis.__setitem__(slice(None), [int(i) for i in np.argsort(list(p.axis))]),
)
result("transpose: the inverse", "transpose", lambda p, run, x: x.transpose(np.argsort(list(p.axes))))
result(
    "concat: inputs in reverse",
    "concat concatND stack",
    lambda p, run, *x: (
        run(*x[::-1])
        if len({y.shape for y in x}) == 1
        else np.concatenate(x[::-1], axis=p.axis if hasattr(p, "axis") else 0 if p.sequenceConcat else -3)
    ),
)
parameters("concatND: interleave ignored", "concatND", _set(interleave=False))
result("split: parts in reverse", "split splitND", lambda p, run, x: run(x)[::-1])
result("splitND: the last parts longer", "splitND", lambda p, run, x: _uneven(p, run, x))
parameters(
    "slice: the end included", "slice", lambda p: setattr(p, "endIndex", p.endIndex + (1 if p.endIndex != -1 else 0))
)
parameters(
    "slice: a negative end off by one", "slice", lambda p: p.endIndex < 0 and setattr(p, "endIndex", p.endIndex - 1)
)
parameters("crop: the offset of H used for W", "crop", _reverse("offset"))
parameters("crop: amounts at the wrong end", "crop", _swap_ends("cropAmounts"))
result(
    "padding: a reflection that repeats the edge",
    "padding",
    lambda p, run, x: (
        np.pad(
            x,
            [(0, 0)] * (x.ndim - 2) + [(e.startEdgeSize, e.endEdgeSize) for e in p.paddingAmounts.borderAmounts],
            mode="symmetric",
        )
        if p.HasField("reflection")
        else run(x)
    ),
)
parameters(
    "padding: the value ignored", "padding", lambda p: p.HasField("constant") and setattr(p.constant, "value", 0)
)
parameters("padding: borders of H used for W", "padding", _swap_axes("paddingAmounts"))
result("tile: each element repeated in place", "tile", lambda p, run, x, *r: _repeated(run(x, *r), x))
result(
    "sequenceRepeat: each step repeated in place",
    "sequenceRepeat",
    lambda p, run, x: np.repeat(x, max(p.nRepetitions, 1), axis=0),
)
result("reverseSeq: the whole sequence", "reverseSeq", lambda p, run, x, n: np.flip(x, p.sequenceAxis))
parameters(
    "reverse: flags in reverse",
    "reverse",
    lambda p: p.reverseDim.__setitem__(slice(None), [not flag for flag in p.reverseDim]),
)
parameters(
    "sliceStatic: begin masks ignored",
    "sliceStatic sliceDynamic",
    lambda p: p.beginMasks.__setitem__(slice(None), [False] * len(p.beginMasks)),
)
parameters(
    "sliceStatic: end masks ignored",
    "sliceStatic",
    lambda p: p.endMasks.__setitem__(slice(None), [False] * len(p.endMasks)),
)
parameters(
    "sliceStatic: squeeze masks ignored",
    "sliceStatic",
    lambda p: p.squeezeMasks.__setitem__(slice(None), [False] * len(p.squeezeMasks)),
)
parameters(
    "sliceStatic: strides ignored",
    "sliceStatic",
    lambda p: p.strides.__setitem__(slice(None), [1 if s > 0 else -1 for s in p.strides]),
)
result(
    "slidingWindows: windows on the other axis",
    "slidingWindows",
    lambda p, run, x: run(x).swapaxes(p.axis % x.ndim, p.axis % x.ndim + 1),
)
parameters("constantPad: the value ignored", "constantPad", _set(value=0))
parameters(
    "constantPad: before and after exchanged",
    "constantPad",
    lambda p: p.padAmounts.__setitem__(
        slice(None), [n for pair in zip(list(p.padAmounts)[1::2], list(p.padAmounts)[::2], strict=True) for n in pair]
    ),
)
parameters("stack: along the last axis", "stack", _set(axis=-1))
result("flattenTo2D: always at the first axis", "flattenTo2D", lambda p, run, x: x.reshape(x.shape[0], -1))
result("getShape: reversed", "getShape", lambda p, run, x: run(x)[::-1])
result(
    "broadcastToLike: aligned at the first axis",
    "broadcastToLike broadcastToStatic",
    lambda p, run, x, *y: np.resize(x, run(x, *y).shape),
)
parameters("matrixBandPart: lower and upper exchanged", "matrixBandPart", _swap("numLower", "numUpper"))
parameters("lowerTriangular: k below the diagonal", "lowerTriangular upperTriangular", lambda p: setattr(p, "k", -p.k))
parameters("oneHot: offValue ignored", "oneHot", _set(offValue=0))
result(
    "oneHot: always along the last axis",
    "oneHot",
    lambda p, run, x, *d: np.moveaxis(run(x, *d), p.axis, -1).reshape(run(x, *d).shape),
)
result("whereNonZero: column by column", "whereNonZero", lambda p, run, x: np.argwhere(x.T != 0)[:, ::-1])
result("whereNonZero: numbers above 0", "whereNonZero", lambda p, run, x: np.argwhere(x > 0))
result("whereBroadcastable: choices exchanged", "whereBroadcastable", lambda p, run, c, a, b: run(c == 0, a, b))
parameters("fillStatic: an integer", "fillStatic fillDynamic fillLike", lambda p: setattr(p, "value", int(p.value)))
result(
    "rangeStatic: the end included",
    "rangeStatic",
    lambda p, run: np.arange(p.startValue, p.endValue + p.stepSizeValue, p.stepSizeValue),
)
result("squeeze: all axes of 1", "squeeze", lambda p, run, x: np.squeeze(x))
result(
    "rankPreservingReshape: 0 for 1",
    "rankPreservingReshape",
    lambda p, run, x: x.reshape([n or 1 for n in p.targetShape[:-1]] + [-1]) if 0 in p.targetShape else run(x),
)


def _reordered(p: Any, run: Any, x: Array) -> Array:
    name = schema.ReorganizeDataLayerParams.ReorganizationType.Name(p.mode)
    block = p.blockSize
    if name == "SPACE_TO_DEPTH":
        y = run(x)
        return y.reshape(*y.shape[:-3], block * block, -1, *y.shape[-2:]).swapaxes(-3, -4).reshape(y.shape)
    first = (-1, block * block) if name == "DEPTH_TO_SPACE" else (block * block, -1)
    return run(x.reshape(*x.shape[:-3], *first, *x.shape[-2:]).swapaxes(-3, -4).reshape(x.shape))


def _uneven(p: Any, run: Any, x: Array) -> tuple[Array, ...]:
    sizes = [y.shape[p.axis] for y in run(x)]
    return tuple(np.split(x, np.cumsum(sorted(sizes))[:-1], p.axis)) if not p.splitSizes else run(x)


def _repeated(y: Array, x: Array) -> Array:
    result = x
    for axis, (n, m) in enumerate(zip(x.shape, y.shape, strict=True)):
        result = np.repeat(result, m // n, axis)
    return result


# ---- Indices ----

result("gather: negative indices cut to 0", "gather gatherAlongAxis", lambda p, run, x, i: run(x, np.maximum(i, 0)))
result(
    "gatherND: axes of an index in reverse",
    "gatherND",
    lambda p, run, x, i: x[
        tuple(np.moveaxis(np.minimum(i[..., ::-1].astype(int), np.array(x.shape[: i.shape[-1]]) - 1), -1, 0))
    ].reshape(run(x, i).shape),
)
parameters("gather: along the first axis", "gather", _set(axis=0))
result("scatter: repeated indices add once", "scatter", lambda p, run, x, i, u: _add_once(p, run, x, i, u))
parameters(
    "scatter: the subtraction adds",
    "scatter scatterND scatterAlongAxis",
    lambda p: p.mode == 2 and setattr(p, "mode", 1),
)
result(
    "scatter: the quotient turned over",
    "scatter scatterND scatterAlongAxis",
    lambda p, run, x, i, u: (
        np.where(run(x, i, u) == x, x, x * x / run(x, i, u) / x * x * 0 + 1 / run(x, i, u))
        if p.mode == 4
        else run(x, i, u)
    ),
)
parameters(
    "scatter: maximum and minimum exchanged",
    "scatter scatterND scatterAlongAxis",
    lambda p: p.mode > 4 and setattr(p, "mode", 11 - p.mode),
)
parameters("scatter: the mode ignored", "scatter scatterND scatterAlongAxis", _set(mode=0))


def _add_once(p: Any, run: Any, x: Array, i: Array, u: Array) -> Array:
    if p.mode != 1:
        return run(x, i, u)
    y, axis = np.moveaxis(x.copy(), p.axis, 0), p.axis
    y[i.astype(int)] += np.moveaxis(u, axis, 0)
    return np.moveaxis(y, 0, axis)


# ---- Recurrent layers ----

_LSTMS = "uniDirectionalLSTM biDirectionalLSTM"


def _messages(p: Any) -> list[Any]:
    found = p.weightParams
    return list(found) if hasattr(found, "__len__") else [found]


def _swap_gates(a: str, b: str) -> Callable[[Any], None]:
    def change(p: Any) -> None:
        for message in _messages(p):
            for suffix in ("WeightMatrix", "RecursionMatrix", "BiasVector"):
                _swap(f"{a}{suffix}", f"{b}{suffix}")(message)

    return change


parameters("lstm: input and forget gate exchanged", _LSTMS, _swap_gates("inputGate", "forgetGate"))
parameters("lstm: output gate and block input exchanged", _LSTMS, _swap_gates("outputGate", "blockInput"))
kernel(
    "lstm: states at the beginning ignored",
    _LSTMS,
    recurrent.lstm,
    lambda f: lambda x, h, c, **o: f(x, 0 * h, 0 * c, **o),
)
kernel("lstm: hidden and cell state exchanged", _LSTMS, recurrent.lstm, lambda f: lambda x, h, c, **o: f(x, c, h, **o))
kernel(
    "lstm: the bias of the forget gate gets another 1",
    _LSTMS,
    recurrent.lstm,
    lambda f: (
        lambda x, h, c, **o: f(x, h, c, **{**o, "weights": _more_forget(o["weights"], h.shape[-1], o["coupled"])})
    ),
)
kernel(
    "lstm: peepholes ignored",
    _LSTMS,
    recurrent.lstm,
    lambda f: lambda x, h, c, **o: f(x, h, c, **{**o, "peepholes": None}),
)
kernel(
    "lstm: peepholes of input and output gate exchanged",
    _LSTMS,
    recurrent.lstm,
    lambda f: lambda x, h, c, **o: f(x, h, c, **{**o, "peepholes": o["peepholes"] and o["peepholes"][::-1]}),
)
kernel(
    "lstm: the cell is not clipped",
    _LSTMS,
    recurrent.lstm,
    lambda f: lambda x, h, c, **o: f(x, h, c, **{**o, "cell_clip": 50.0}),
)
kernel(
    "lstm: activations g and h exchanged",
    _LSTMS,
    recurrent.lstm,
    lambda f: (
        lambda x, h, c, **o: f(x, h, c, **{**o, "functions": [o["functions"][0], o["functions"][2], o["functions"][1]]})
    ),
)
kernel(
    "lstm: the first steps for the last output",
    _LSTMS,
    recurrent.lstm,
    lambda f: (
        lambda x, h, c, **o: (
            f(x, h, c, **o) if o["sequence"] else (f(x, h, c, **{**o, "sequence": True})[0][:1], *f(x, h, c, **o)[1:])
        )
    ),
)
parameters("recurrent: reverseInput ignored", "simpleRecurrent gru uniDirectionalLSTM", _set(reverseInput=False))
result(
    "recurrent: a reversed output is turned back to the order of time",
    "simpleRecurrent gru uniDirectionalLSTM",
    lambda p, run, *x: (run(*x)[0][::-1], *run(*x)[1:]) if p.reverseInput else run(*x),
)
kernel(
    "bilstm: the backward output is not turned to the order of time",
    "biDirectionalLSTM",
    recurrent.both_directions,
    lambda f: lambda a, b: np.concatenate([a, b], -1),
)
kernel(
    "bilstm: backward before forward",
    "biDirectionalLSTM",
    recurrent.both_directions,
    lambda f: lambda a, b: np.concatenate([b[::-1], a], -1),
)
kernel(
    "gru: update and reset gate exchanged",
    "gru",
    recurrent.gru,
    lambda f: lambda x, h, **o: f(x, h, **{**o, "weights": _swapped_gru(o["weights"])}),
)
kernel(
    "gru: z weights the new state", "gru", recurrent.gru, lambda f: lambda x, h, **o: _loop_gru(x, h, turned=True, **o)
)
kernel(
    "gru: the reset gate acts after the recurrent product",
    "gru",
    recurrent.gru,
    lambda f: lambda x, h, **o: f(x, h, **{**o, "reset_after": True}),
)
kernel("gru: the state at the beginning ignored", "gru", recurrent.gru, lambda f: lambda x, h, **o: f(x, 0 * h, **o))
kernel(
    "simpleRecurrent: the bias is forgotten",
    "simpleRecurrent",
    recurrent.simple_recurrent,
    lambda f: lambda x, h, **o: f(x, h, **{**o, "weights": replace(o["weights"], bias=None)}),
)
weights(
    "simpleRecurrent: the recursion matrix transposed",
    "simpleRecurrent",
    lambda node, field, w: w.T if field == "recursionMatrix" else w,
)
parameters(
    "recurrent: a hard sigmoid with other slopes",
    "simpleRecurrent gru uniDirectionalLSTM",
    lambda p: [
        _set(alpha=0.25, beta=0.5)(function.sigmoidHard)
        for function in ([p.activation] if hasattr(p, "activation") else p.activations)
        if function.HasField("sigmoidHard")
    ],
)


def _more_forget(w: Any, hidden: int, coupled: bool) -> Any:
    if coupled:
        return w
    bias = np.zeros(len(w.inputs), w.inputs.dtype) if w.bias is None else w.bias.copy()
    bias[hidden : 2 * hidden] += 1
    return replace(w, bias=bias)


def _swapped_gru(w: Any) -> Any:
    n = len(w.inputs) // 3
    order = np.concatenate([np.arange(n, 2 * n), np.arange(n), np.arange(2 * n, 3 * n)])
    return replace(
        w, inputs=w.inputs[order], recursion=w.recursion[order], bias=None if w.bias is None else w.bias[order]
    )


#: The last states of layers that keep them.
_STATES: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def _going_on(run: Any, x: Array, states: tuple[Array, ...]) -> Any:
    y, *last = run(x, *(states or _STATES.get(run, ())))
    _STATES[run] = last
    return (y, *last)


def _loop_gru(
    x: Array,
    h: Array,
    *,
    weights: Any,
    f: Any,
    g: Any,
    sequence: bool,
    reverse: bool = False,
    turned: bool = False,
    **_: Any,
) -> tuple[Array, Array]:
    n, steps = h.shape[-1], []
    bias = np.zeros(3 * n, x.dtype) if weights.bias is None else weights.bias
    for x_t in x[::-1] if reverse else x:
        p = x_t @ weights.inputs.T + bias
        q = h @ weights.recursion.T
        z, r = f(p[:, :n] + q[:, :n]), f(p[:, n : 2 * n] + q[:, n : 2 * n])
        o = g(p[:, 2 * n :] + (r * h) @ weights.recursion[2 * n :].T)
        h = z * o + (1 - z) * h if turned else (1 - z) * o + z * h
        steps.append(h)
    return np.stack(steps if sequence else steps[-1:]), h


# ---- Resizing, boxes ----

_LINEAR = "upsample resizeBilinear cropResize"
parameters(
    "upsample: corners aligned or not, exchanged",
    "upsample",
    lambda p: setattr(p, "linearUpsampleMode", {1: 2, 2: 1}.get(p.linearUpsampleMode, 0)),
)
parameters("upsample: factor of H used for W", "upsample", _reverse("scalingFactor"))
result(
    "upsample: nearest rounds",
    "upsample",
    lambda p, run, x: np.roll(run(x), 1, -1) if p.mode == 0 and p.scalingFactor else run(x),
)
kernel(
    "upsample: half pixels for full pixels",
    "upsample",
    resize.resize_linear,
    lambda f: (
        lambda x, size, sampling: f(
            x, size, resize.Sampling.HALF_PIXEL if sampling is resize.Sampling.UPSAMPLE else sampling
        )
    ),
)
for _a, _b in (
    ("STRICT_ALIGN_ENDPOINTS", "ALIGN_ENDPOINTS"),
    ("ALIGN_ENDPOINTS", "UPSAMPLE"),
    ("UPSAMPLE", "ROI_ALIGN"),
    ("ROI_ALIGN", "UPSAMPLE"),
    ("UPSAMPLE", "HALF_PIXEL"),
):
    kernel(
        f"resizeBilinear: {_b} for {_a}",
        "resizeBilinear",
        resize.resize_linear,
        lambda f, a=_a, b=_b: (
            lambda x, size, sampling: f(x, size, resize.Sampling[b] if sampling is resize.Sampling[a] else sampling)
        ),
    )
    kernel(
        f"cropResize: {_b} for {_a}",
        "cropResize",
        resize.crop_resize,
        lambda f, a=_a, b=_b: (
            lambda x, boxes, size, sampling, images=None: f(
                x, boxes, size, resize.Sampling[b] if sampling is resize.Sampling[a] else sampling, images
            )
        ),
    )
result(
    "resizeBilinear: the nearest pixel",
    "resizeBilinear",
    lambda p, run, x: x[..., np.linspace(0, x.shape[-2] - 1, p.targetSize[0]).round().astype(int), :][
        ..., np.linspace(0, x.shape[-1] - 1, p.targetSize[1]).round().astype(int)
    ],
)
result(
    "cropResize: normalized by H and W",
    "cropResize",
    lambda p, run, x, b: run(x, b * np.float32(1.2)) if p.normalizedCoordinates else run(x, b),
)
parameters(
    "cropResize: the order of coordinates ignored",
    "cropResize",
    lambda p: p.boxIndicesMode.boxMode in (1, 3) and setattr(p.boxIndicesMode, "boxMode", p.boxIndicesMode.boxMode - 1),
)
parameters(
    "cropResize: centers taken for corners",
    "cropResize",
    lambda p: p.boxIndicesMode.boxMode > 1 and setattr(p.boxIndicesMode, "boxMode", p.boxIndicesMode.boxMode - 2),
)
parameters("cropResize: spatialScale ignored", "cropResize", _set(spatialScale=1))
kernel(
    "cropResize: always the first image",
    "cropResize",
    resize.crop_resize,
    lambda f: (
        lambda x, boxes, size, sampling, images=None: f(
            x, boxes, size, sampling, None if images is None else 0 * images
        )
    ),
)
parameters("nms: perClassSuppression ignored", "NonMaximumSuppression", _set(perClassSuppression=False))
parameters("nms: scoreThreshold ignored", "NonMaximumSuppression", _set(scoreThreshold=0))
parameters("nms: iouThreshold ignored", "NonMaximumSuppression", _set(iouThreshold=1))
result(
    "nms: filled up with index 0",
    "NonMaximumSuppression",
    lambda p, run, *x: (*run(*x)[:2], np.maximum(run(*x)[2], 0), run(*x)[3]),
)
result(
    "nms: centers taken for corners",
    "NonMaximumSuppression",
    lambda p, run, b, *x: run(np.concatenate([b[..., :2] + b[..., 2:] / 2, b[..., 2:]], -1), *x),
)


def _nothing_passes(p: Any, run: Any, *x: Array) -> tuple[Array, ...]:
    y = run(*x)
    threshold = x[3].reshape(-1)[0] if len(x) > 3 else p.scoreThreshold
    for part, empty in zip(y, (0, 0, -1, 0), strict=True):
        part[y[1][:, 0].max(-1) <= threshold] = empty
    return tuple(y)


result("nms: nothing is returned where no box passes", "NonMaximumSuppression", _nothing_passes)

# ---- Control flow, constants, random numbers ----


def _branch(holds: Callable[[float], bool]) -> Callable[[], Any]:
    from refcoreml.neuralnetwork.layers import control

    @contextmanager
    def inject() -> Iterator[None]:
        honest = control._holds
        control._holds = holds
        try:
            yield
        finally:
            control._holds = honest

    return inject


_register("branch: true means above 0", "branch", _branch(lambda v: v > 1e-6))
_register("branch: true means not 0", "branch", _branch(lambda v: v != 0))
_register("branch: true means 1", "branch", _branch(lambda v: abs(v - 1) < 1e-6))
_register(
    "branch: elseBranch ignored",
    "branch",
    lambda: _wrapped(
        "branch",
        lambda entry: replace(
            entry, prepare=lambda node: entry.prepare(replace(node, steps={"ifBranch": node.steps.get("ifBranch", ())}))
        ),
    ),
)
parameters(
    "loop: one round more",
    "loop",
    lambda p: p.maxLoopIterations and setattr(p, "maxLoopIterations", p.maxLoopIterations + 1),
)
_register("loop: the number of rounds from the model, not from the input", "loop", lambda: _swapped_rounds())
_register("loopContinue: leaves the loop", "loopContinue", lambda: _same_signal("loopContinue", "loopBreak"))
_register("loopBreak: goes on with the next round", "loopBreak", lambda: _same_signal("loopBreak", "loopContinue"))


@contextmanager
def _swapped_rounds() -> Iterator[None]:
    honest = LAYERS["loop"]

    def prepare(node: Node) -> Any:
        op: Any = honest.prepare(node)
        most = int(node.params.maxLoopIterations)
        return replace(op, rounds=op.rounds and replace(op.rounds, read=lambda value: most))

    LAYERS["loop"] = replace(honest, prepare=prepare)
    try:
        yield
    finally:
        LAYERS["loop"] = honest


@contextmanager
def _same_signal(kind: str, other: str) -> Iterator[None]:
    honest = LAYERS[kind]
    LAYERS[kind] = replace(honest, prepare=LAYERS[other].prepare)
    try:
        yield
    finally:
        LAYERS[kind] = honest


_NORMAL, _UNIFORM, _BERNOULLI = (
    " ".join(f"random{name}{form}" for form in ("Like", "Static", "Dynamic"))
    for name in ("Normal", "Uniform", "Bernoulli")
)
parameters("random normal: the deviation taken for a variance", _NORMAL, lambda p: setattr(p, "stdDev", p.stdDev**0.5))
parameters("random normal: the mean ignored", _NORMAL, _set(mean=0))
parameters(
    "random uniform: maxVal taken for a width",
    _UNIFORM,
    lambda p: setattr(p, "maxVal", max(p.maxVal + p.minVal, p.minVal)),
)
parameters("random Bernoulli: the probability of 0", _BERNOULLI, lambda p: setattr(p, "prob", 1 - p.prob))
parameters("categorical: logits taken for probabilities", "categoricalDistribution", _set(isLogits=False))
parameters("categorical: temperature ignored", "categoricalDistribution", _set(temperature=1))
result("copy: the old blob stays", "copy", lambda p, run, x: x * 0)

# ---- Defaults, optional inputs, shapes ----


def _default(field: str, value: float) -> Callable[[Any], None]:
    """Another number where the field is unset."""
    return lambda p: setattr(p, field, getattr(p, field) or value)


def _where_finite(y: Array, x: Array) -> Array:
    """No infinity of finite numbers."""
    largest = np.finfo(y.dtype).max
    return np.where(np.isinf(y) & np.isfinite(x), np.copysign(largest, y), y)


def _columns(x: Array) -> Array:
    """The numbers in the order of columns, in the same shape."""
    return x.ravel("F").reshape(x.shape)


def _once(entry: LayerType) -> LayerType:
    """What has run once gives the same result ever after."""

    def prepare(node: Node) -> Op:
        results: list[Any] = []

        def first(params: Any, run: Callable[..., Any], *xs: Array) -> Any:
            if not results:
                results.append(run(*xs))
            return results[0]

        return _Faulty(entry.prepare(node), first, node.params)

    return replace(entry, prepare=prepare)


def _last_entries(p: Any) -> None:
    for field, values in p.ListFields():
        if hasattr(values, "append") and len(values) > 3:
            getattr(p, field.name)[:] = list(values)[-3:]


def _unequal(p: Any, run: Any, x: Array) -> tuple[Array, ...]:
    """All parts but the first have one element."""
    y = run(x)
    return y if p.splitSizes else tuple(np.split(x, np.arange(1 - len(y), 0), p.axis))


def _no_condition(p: Any) -> None:
    p.ClearField("conditionVar")
    p.ClearField("conditionNetwork")


def _to_constant(p: Any) -> None:
    if p.WhichOneof("PaddingType") == "replication":
        p.constant.SetInParent()


def _deep_groups(p: Any, run: Any, *x: Array) -> Array:
    y = run(*x)
    groups = max(p.nGroups, 1)
    return y.reshape(len(y), groups, -1, *y.shape[2:]).swapaxes(1, 2).reshape(y.shape)


_TWO_INPUTS = (
    "addBroadcastable subtractBroadcastable multiplyBroadcastable divideBroadcastable maxBroadcastable "
    "minBroadcastable powBroadcastable"
)
_SHAPES = "reshapeStatic reshapeLike reshapeDynamic rankPreservingReshape"
_RANDOM = f"{_NORMAL} {_UNIFORM} {_BERNOULLI}"

result("functions: of half the argument", "acos asin asinh atan atanh cosh sinh acosh", lambda p, run, x: run(x / 2))
result("asin: arguments cut to the domain", "acos asin atanh", lambda p, run, x: run(np.clip(x, -1, 1)))
result("acosh: arguments cut to the domain", "acosh", lambda p, run, x: run(np.maximum(x, 1)))
result("atanh: finite at the ends", "atanh", lambda p, run, x: _where_finite(run(x), x))
result("exp2: what overflows is the largest number", "exp2 sinh cosh", lambda p, run, x: _where_finite(run(x), x))
result("round: toward zero", "round", lambda p, run, x: np.trunc(x))
parameters(
    "activation: leakyReLU has a slope of its own if unset", "activation", _in("leakyReLU", _default("alpha", 0.3))
)
result("activation: NaN counts as 0", "activation", lambda p, run, x: run(np.where(np.isnan(x), x.dtype.type(0), x)))
parameters("clampedReLU: no upper bound if unset", "clampedReLU", _default("beta", 1e30))
parameters("clip: no lower bound if unset", "clip", _default("minVal", -1e30))
parameters("gelu: the exact function for that by the sigmoid", "gelu", lambda p: p.mode == 2 and setattr(p, "mode", 0))
parameters("add: alpha ignored", "add", _set(alpha=0))
parameters("multiply: alpha 1 for unset", "multiply", _default("alpha", 1))
result("binary: the second input taken for a number", _TWO_INPUTS, lambda p, run, a, b: run(a, b * 0 + b.flat[0]))
result("equal: the opposite", "equal notEqual", lambda p, run, *x: 1 - run(*x))
parameters("lessThan: alpha ignored", "lessThan lessEqual greaterThan greaterEqual", _set(alpha=0))
weights("scale: one number for all", "scale", lambda node, field, w: w * 0 + w.flat[0])
result("dot: of magnitudes", "dot", lambda p, run, a, b: run(np.abs(a), np.abs(b)))
parameters("batchedMatmul: transposeA ignored", "batchedMatmul", _set(transposeA=False))
result(
    "batchedMatmul: axes of vectors vanish",
    "batchedMatmul",
    lambda p, run, *x: run(*x).squeeze() if len(x) == 2 and 1 in (x[0].ndim, x[1].ndim) else run(*x),
)
parameters("convolution: a kernel of 1 for unset", "convolution", lambda p: p.kernelSize or p.kernelSize.extend([1, 1]))
result(
    "convolution: a kernel given as an input is flipped",
    "convolution",
    lambda p, run, x, *w: run(x, *[np.ascontiguousarray(k[..., ::-1, ::-1]) for k in w]),
)
result("convolution3d: channels of groups interleaved", "convolution3d", _deep_groups)
parameters(
    "pooling: the stride is the kernel if unset",
    "pooling",
    lambda p: p.stride or p.stride.extend(p.kernelSize or [3, 3]),
)
parameters("l2normalize: another default epsilon", "l2normalize", _default("epsilon", 1e-3))
parameters("layerNormalization: a default eps", "layerNormalization", _default("eps", 1e-3))
parameters("lrn: another default k", "lrn", _default("k", 2))
result(
    "lrn: along the last axis",
    "lrn",
    lambda p, run, x: np.moveaxis(run(np.ascontiguousarray(np.moveaxis(x, -1, -3))), -3, -1),
)
parameters("mvn: another default epsilon", "mvn", _default("epsilon", 1e-2))
result("softmax: overflows", "softmax", lambda p, run, x: run(x) + 0 * np.exp(np.abs(x)))
result("argMax: from 1", "argMax argMin", lambda p, run, x: run(x) + 1)
parameters("argMax: removeDim inverted", "argMax argMin", _toggle("removeDim"))
result("topK: K given as an input ignored", "topK", lambda p, run, x, *k: run(x, *[np.ones_like(v) for v in k]))
parameters("cumSum: always from the end", "cumSum", _set(reverse=True))
result("cumSum: the axis given as an input ignored", "cumSum", lambda p, run, x, *axis: run(x, *[a * 0 for a in axis]))
result(
    "reductions: the first number along the axis is left out",
    "reduceSum reduceMean reduceProd reduceMax reduceL1 reduceL2 reduceSumSquare",
    lambda p, run, x: run(np.where(np.arange(x.shape[-1]) == 0, x.dtype.type(0), x)),
)
result(
    "reduceLogSum: of sums that are not positive", "reduceLogSum", lambda p, run, x: np.nan_to_num(run(x), neginf=-99)
)
result("reduceLogSumExp: infinities are cut", "reduceLogSumExp", lambda p, run, x: np.clip(run(x), -1e4, 1e4))
parameters(
    "reductions: keepDims inverted",
    "reduceMean reduceProd reduceMin reduceL1 reduceL2",
    _toggle("keepDims"),
)
parameters(
    "reductions of squares and logarithms: keepDims inverted",
    "reduceSumSquare reduceLogSum reduceLogSumExp",
    _toggle("keepDims"),
)
parameters(
    "reductions of squares and logarithms: reduceAll ignored",
    "reduceL2 reduceMin reduceSumSquare reduceLogSum reduceLogSumExp",
    _set(reduceAll=False),
)
result("reshapes: column by column", _SHAPES, lambda p, run, x, *o: run(_columns(x), *o))
parameters(
    "reshapeStatic: -1 taken for 1",
    "reshapeStatic",
    lambda p: p.targetShape.__setitem__(slice(None), [abs(n) for n in p.targetShape]),
)
parameters("reshape: always CHANNEL_LAST", "reshape flatten", _set(mode=1))
parameters("flattenTo2D: negative axes ignored", "flattenTo2D", lambda p: setattr(p, "axis", max(p.axis, 0)))
result("expandDims: new axes at the front", "expandDims", lambda p, run, x: x.reshape((1,) * len(p.axes) + x.shape))
parameters("squeeze: squeezeAll ignored", "squeeze", _set(squeezeAll=False))
result("squeeze: a number has two axes", "squeeze", lambda p, run, x: run(x).reshape(1, 1) if x.size == 1 else run(x))
parameters(
    "reorganizeData: PIXEL_SHUFFLE in the order of TensorFlow",
    "reorganizeData",
    lambda p: p.mode == 2 and _set(mode=1)(p),
)
parameters("concat: sequenceConcat ignored", "concat", _set(sequenceConcat=False))
parameters("slice: H and W exchanged", "slice", lambda p: p.axis in (1, 2) and setattr(p, "axis", 3 - p.axis))
parameters("sliceDynamic: of long lists the last entries count", "sliceDynamic", _last_entries)
result("sliceBySize: from the beginning", "sliceBySize", lambda p, run, x, begin: run(x, begin * 0))
result(
    "sliceDynamic: masks given as inputs ignored",
    "sliceDynamic",
    lambda p, run, x, *o: run(x, *[v * 0 if k > 2 else v for k, v in enumerate(o)]),
)
result("slidingWindows: the last window left out", "slidingWindows", lambda p, run, x: np.delete(run(x), -1, p.axis))
parameters("tile: fewer repetitions count for the first axes", "tile", lambda p: p.reps.extend([1] * (3 - len(p.reps))))
result(
    "tile: repetitions given as an input ignored", "tile", lambda p, run, x, *reps: run(x, *[r * 0 + 1 for r in reps])
)
parameters("constantPad: sizes taken for amounts", "constantPad", _set(padToGivenOutputSizeMode=False))
result(
    "constantPad: amounts given as an input ignored", "constantPad", lambda p, run, x, *a: run(x, *[v * 0 for v in a])
)
result(
    "constantPad: a longer axis is cut to the size",
    "constantPad",
    lambda p, run, x, *a: (
        run(x, *a)[tuple(slice(a or b or None) for a, b in _pairs(p.padAmounts))]
        if p.padToGivenOutputSizeMode
        else run(x, *a)
    ),
)
parameters("constantPad: 1 for an unset value", "constantPad", _default("value", 1))
parameters("padding: replication with zeros", "padding", _to_constant)
result("loadConstant: column by column", "loadConstant loadConstantND", lambda p, run: _columns(run()))
result(
    "broadcastToDynamic: filled up row by row", "broadcastToDynamic", lambda p, run, x, s: np.resize(x, run(x, s).shape)
)
result(
    "whereBroadcastable: the condition taken for a number",
    "whereBroadcastable",
    lambda p, run, c, a, b: run(c * 0 + c.flat[0], a, b),
)
parameters(
    "matrixBandPart: negative numbers taken for 0",
    "matrixBandPart",
    lambda p: (setattr(p, "numLower", max(p.numLower, 0)), setattr(p, "numUpper", max(p.numUpper, 0))),
)
result(
    "oneHot: negative indices count from the end",
    "oneHot",
    lambda p, run, x, *d: run(np.where(x < 0, x + (d[0] if d else p.oneHotVectorSize), x), *d),
)
result("oneHot: one more than the depth given as an input", "oneHot", lambda p, run, x, *d: run(x, *[v + 1 for v in d]))
result("rangeDynamic: the end included", "rangeDynamic", lambda p, run, end, *o: run(end + 1, *o))
result(
    "rangeDynamic: start and step as inputs ignored",
    "rangeDynamic",
    lambda p, run, end, *o: run(end, *[np.full_like(given, usual) for usual, given in enumerate(o)]),
)
result(
    "gatherAlongAxis: the first line of indices for all",
    "gatherAlongAxis",
    lambda p, run, x, i: run(x, np.ascontiguousarray(np.broadcast_to(i[:1], i.shape))),
)
result(
    "gatherND: a number has two axes",
    "gatherND",
    lambda p, run, x, i: run(x, i).reshape(1, 1) if i.shape[-1] == x.ndim and i.ndim == 1 else run(x, i),
)
result(
    "scatterND: updates for one element are ignored",
    "scatterND",
    lambda p, run, x, i, u: x if i.ndim == 1 else run(x, i, u),
)
result(
    "scatter: updates in reverse",
    "scatter scatterND scatterAlongAxis",
    lambda p, run, x, i, u: run(x, i, np.ascontiguousarray(u[::-1])),
)
result(
    "scatter: negative indices cut to 0",
    "scatter scatterAlongAxis",
    lambda p, run, x, i, u: run(x, np.maximum(i, 0), u),
)
result("splitND: all parts but the first have one element", "splitND", _unequal)
parameters(
    "resizeBilinear: 2 for an unset size", "resizeBilinear", lambda p: p.targetSize or p.targetSize.extend([2, 2])
)
parameters("upsample: 2 for an unset factor", "upsample", lambda p: p.scalingFactor or p.scalingFactor.extend([2, 2]))
parameters("loop: the condition ignored", "loop", _no_condition)
result(
    "recurrent: a prediction begins where the one before ended",
    "gru uniDirectionalLSTM biDirectionalLSTM",
    lambda p, run, x, *states: _going_on(run, x, states),
)
parameters("recurrent: sequenceOutput ignored", "simpleRecurrent gru", _set(sequenceOutput=True))
parameters(
    "lstm: the forget gate of a coupled cell always open",
    "uniDirectionalLSTM",
    lambda p: _set(coupledInputAndForgetGate=False)(p.params),
)
result(
    "nms: thresholds given as inputs ignored",
    "NonMaximumSuppression",
    lambda p, run, b, s, *o: run(
        b, s, *[v * 0 + d for v, d in zip(o, (p.iouThreshold, p.scoreThreshold, p.maxBoxes), strict=False)]
    ),
)
result("random: the shape in reverse", _RANDOM, lambda p, run, *x: run(*x).T)
parameters("categorical: another default temperature", "categoricalDistribution", _default("temperature", 3))
parameters("categorical: another default eps", "categoricalDistribution", _default("eps", 0.5))
result(
    "categorical: always the most probable",
    "categoricalDistribution",
    lambda p, run, x: np.repeat(x.argmax(-1)[..., None], p.numSamples, -1),
)
result(
    "custom: an output is cut or filled to the size of the input",
    "custom",
    lambda p, run, *x: tuple(np.resize(y, x[0].shape) for y in run(*x)),
)
_register("custom: the next round of a loop gives the first result", "custom", lambda: _wrapped("custom", _once))

# ---- Custom layers ----


def _values(member: str, change: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Other parameters of one type."""

    def changed(params: Any) -> None:
        for value in params.parameters.values():
            if value.WhichOneof("value") == member:
                setattr(value, member, change(getattr(value, member)))

    return changed


def _without_scale(params: Any) -> None:
    for message in params.weights:
        scale = message.quantization.linearQuantization.scale
        scale[:] = [1] * len(scale)


def _shared_instance() -> Any:
    def wrap(entry: LayerType) -> LayerType:
        made: dict[str, Op] = {}

        def prepare(node: Node) -> Op:
            return made.setdefault(node.params.className, entry.prepare(node))

        return replace(entry, prepare=prepare)

    return _wrapped("custom", wrap)


parameters(
    "custom: long integers cut to 32 bits",
    "custom",
    _values("longValue", lambda v: (v + 2**31) % 2**32 - 2**31),
)
parameters("custom: integers replaced by their magnitude", "custom", _values("intValue", abs))
parameters("custom: doubles rounded to integers", "custom", _values("doubleValue", round))
parameters("custom: every boolean is true", "custom", _values("boolValue", lambda v: True))
parameters("custom: scales of quantized weights ignored", "custom", _without_scale)
result("custom: outputs in the opposite order", "custom", lambda p, run, *x: run(*x)[::-1])
_register("custom: one instance of a class for all layers, those of other models too", "custom", _shared_instance)

# ---- Stored weights ----

_STORED = (
    "innerProduct convolution batchedMatmul embedding embeddingND scale loadConstantND loadConstant simpleRecurrent "
    "gru uniDirectionalLSTM batchnorm activation custom"
)


def _unpack_reversed(data: Any, bits: int, count: int) -> Array:
    flat = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: count * bits].reshape(count, bits)
    return (flat << np.arange(bits, dtype=np.uint8)).sum(axis=1).astype(np.uint8)


def _unpack_in_bytes(data: Any, bits: int, count: int) -> Array:
    """Codes that never cross the border of a byte."""
    each = 8 // bits
    flat = np.unpackbits(np.frombuffer(data, np.uint8)).reshape(-1, 8)[:, : each * bits].reshape(-1, bits)
    codes = (flat << np.arange(bits - 1, -1, -1, dtype=np.uint8)).sum(axis=1).astype(np.uint8)
    return np.resize(codes, count)


kernel("weights: the least significant bit first", _STORED, unpack_codes, lambda f: _unpack_reversed)
kernel("weights: codes do not cross bytes", _STORED, unpack_codes, lambda f: _unpack_in_bytes)
kernel(
    "weights: codes are signed",
    _STORED,
    unpack_codes,
    lambda f: lambda data, bits, count: _signed(f(data, bits, count), bits),
)
kernel(
    "weights: one scale for all channels",
    _STORED,
    quantization.dequantize_linear,
    lambda f: lambda codes, scale, bias, **o: f(codes, scale[:1], bias if bias is None else bias[:1], **o),
)
kernel(
    "weights: one bias for all channels",
    _STORED,
    quantization.dequantize_linear,
    lambda f: lambda codes, scale, bias, **o: f(codes, scale, bias if bias is None else bias[:1], **o),
)
kernel(
    "weights: the bias is forgotten",
    _STORED,
    quantization.dequantize_linear,
    lambda f: lambda codes, scale, bias, **o: f(codes, scale, None, **o),
)
kernel(
    "weights: the bias is scaled",
    _STORED,
    quantization.dequantize_linear,
    lambda f: lambda codes, scale, bias, **o: f(codes, scale, None if bias is None else bias * scale, **o),
)
kernel(
    "weights: scales along the last axis of a deconvolution's groups",
    "convolution",
    quantization.dequantize_linear,
    lambda f: (
        lambda codes, scale, bias, channel_axis=0, **o: f(
            codes, scale if channel_axis == 0 else scale[::-1], bias, channel_axis=channel_axis, **o
        )
    ),
)
kernel(
    "weights: the table is read backwards",
    _STORED,
    quantization.dequantize_table,
    lambda f: lambda codes, table: f(codes, table[::-1]),
)
kernel(
    "weights: the table is read off by one",
    _STORED,
    quantization.dequantize_table,
    lambda f: lambda codes, table: f(codes, np.roll(table, 1)),
)
kernel(
    "weights: the table is rounded to half precision",
    _STORED,
    quantization.dequantize_table,
    lambda f: lambda codes, table: f(codes, table.astype(np.float16).astype(table.dtype)),
)
kernel(
    "weights: scales rounded to half precision",
    _STORED,
    quantization.dequantize_linear,
    lambda f: lambda codes, scale, bias, **o: f(codes, scale.astype(np.float16), bias, **o),
)
weights(
    "weights: float16 read with its bytes exchanged",
    _STORED,
    lambda node, field, w: w.astype(np.float16).byteswap().astype(w.dtype) if _half(node, field) else w,
)
parameters("weights: int8 codes taken for unsigned", "innerProduct batchedMatmul", lambda p: _unsigned(p.weights))
parameters(
    "weights: rounded to half precision",
    "innerProduct convolution",
    lambda p: p.weights.floatValue.__setitem__(slice(None), np.array(p.weights.floatValue, np.float16).tolist()),
)


def _pairs(numbers: Any) -> list[tuple[Any, Any]]:
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _signed(codes: Array, bits: int) -> Array:
    return codes.astype(np.int64) - (codes >= 1 << (bits - 1)) * (1 << bits)


def _half(node: Node, field: str) -> bool:
    return len(getattr(node.params, field, schema.WeightParams()).float16Value) > 0


def _unsigned(message: Any) -> None:
    if message.int8RawValue:
        message.rawValue = message.int8RawValue
        message.ClearField("int8RawValue")
        message.quantization.numberOfBits = 8
