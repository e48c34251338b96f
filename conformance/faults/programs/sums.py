"""Faults in what adds up: convolution, pooling, products, normalization, recurrent networks, reductions; and chance."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from conformance.faults.programs.parts import (
    changing,
    default,
    exchanged,
    forgotten,
    turned,
    with_fields,
    without_default,
)
from conformance.faults.programs.ways import Array, Given, kernel, method, operation, parameters, result, version
from refcoreml import ops
from refcoreml.errors import InvalidModelError
from refcoreml.kernels import conv, pool, recurrent
from refcoreml.mil.node import Node
from refcoreml.mil.operations import recurrent as adapters
from refcoreml.ops.convolution import Pixels, Same
from refcoreml.ops.pooling import Complete

# ---- Convolution ----


def _bias_forgotten(node: Node, op: Any) -> Any:
    return op if op.bias is None else replace(op, bias=np.zeros_like(op.bias))


def _computed_bias_forgotten(node: Node, run: Any, *xs: Array) -> Any:
    return run(*xs[:2], np.zeros_like(xs[2])) if len(xs) > 2 else run(*xs)


def _reinterpreted(w: Array) -> Array:
    """Weights as if the first two axes were stored in the other order."""
    return w.reshape(w.shape[1], w.shape[0], *w.shape[2:]).swapaxes(0, 1).copy()


def _flipped(w: Array) -> Array:
    return w[(slice(None), slice(None), *[slice(None, None, -1)] * (w.ndim - 2))].copy()


def _last_tap(w: Array) -> Array:
    w = w.copy()
    w.reshape(*w.shape[:2], -1)[..., -1] = 0
    return w


def _begins_then_ends(pad: Array) -> Array:
    """Pairs as if all begins stood before all ends, as in ONNX."""
    return pad.reshape(2, -1).T.reshape(-1).copy()


def _ends_first(pad: Array) -> Array:
    return pad.reshape(-1, 2)[:, ::-1].reshape(-1).copy()


def _always_padded(node: Node) -> Given:
    return {"pad_type": "custom"} if node.text("pad_type", "valid").lower() == "valid" and node.has("pad") else {}


def _same_to(heavy_begin: bool) -> Any:
    def change(node: Node, op: Any) -> Any:
        for field in ("padding", "crop"):
            if isinstance(getattr(op, field, None), Same):
                op = replace(op, **{field: Same(heavy_begin=heavy_begin)})
        return op

    return change


def _interleaved(node: Node, run: Any, x: Array, *w: Array) -> Any:
    groups = node.integer("groups", 1)
    return run(x[:, np.arange(x.shape[1]).reshape(-1, groups).T.ravel()], *w)


def halves(node: Node, run: Any, *xs: Array) -> Any:
    """What sums in half precision can be: the result, as if it had been rounded on the way."""
    return np.float16(run(*xs) * np.float32(1.0 / 3)).astype(np.float32) * np.float32(3)


both = "conv conv_transpose"
operation("conv: the bias is forgotten", "conv", _bias_forgotten)
result("conv: a bias that is computed is forgotten", "conv", _computed_bias_forgotten)
parameters("conv: input and output channels of the weights exchanged", "conv", changing(_reinterpreted, "weight"))
parameters("conv: the kernel is flipped", "conv", changing(_flipped, "weight"))
parameters("conv: the last tap of the kernel is dropped", "conv", changing(_last_tap, "weight"))
parameters("conv: padding at the wrong end", "conv", changing(_ends_first, "pad"))
parameters("conv: all begins of the padding stand before the ends", "conv", changing(_begins_then_ends, "pad"))
parameters("conv: padding counts although pad_type is valid", "conv", _always_padded)
parameters("conv: custom padding is ignored", "conv", forgotten("pad"))
operation("conv: the odd pixel of same padding at the beginning", "conv", _same_to(True))
operation("conv: same_lower is same", "conv", _same_to(False))
parameters("conv: stride of H used for W", "conv", turned("strides"))
parameters("conv: dilation of H used for W", "conv", turned("dilations"))
parameters("conv: dilations are ignored", "conv", forgotten("dilations"))
kernel(
    "conv: same padding forgets the dilation",
    "conv",
    conv.same_padding,
    lambda f: lambda size, k, s=1, d=1, **o: f(size, k, s, 1, **o),
)
kernel(
    "conv: same padding forgets the stride",
    "conv",
    conv.same_padding,
    lambda f: lambda size, k, s=1, d=1, **o: f(size, k, 1, d, **o),
)
result("conv: channels of groups interleaved", "conv", _interleaved)
result("conv: sums in half precision", "conv", halves)
parameters(
    "conv: weights of half precision beside inputs of single precision are read as bfloat16",
    "conv linear batch_norm",
    lambda node: {
        name: (array.view(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)
        for name in ("weight", "mean")
        if node.is_constant(name)
        and (array := node.constant(name)).dtype == np.float16
        and node.element("x") == np.float32
    },
)
parameters("conv_transpose: weights taken for [C_out, C_in]", "conv_transpose", changing(_reinterpreted, "weight"))
parameters("conv_transpose: the kernel is flipped", "conv_transpose", changing(_flipped, "weight"))
parameters("conv_transpose: the output shape is ignored", "conv_transpose", forgotten("output_shape"))
operation(
    "conv_transpose: what an output shape leaves out is cut off at both ends",
    "conv_transpose",
    with_fields(keep_begin=False),
)
kernel(
    "conv_transpose: the odd pixel of same padding is cut off at the beginning",
    "conv_transpose",
    conv.same_crop,
    lambda f: lambda *a, **o: f(*a, **{**o, "heavy_begin": not o.get("heavy_begin", False)}),
)
parameters("conv_transpose: padding at the wrong end", "conv_transpose", changing(_ends_first, "pad"))
parameters("conv_transpose: nothing is cut off", "conv_transpose", forgotten("pad"))
operation("conv_transpose: the bias is forgotten", "conv_transpose", _bias_forgotten)
parameters("conv_transpose: stride of H used for W", "conv_transpose", turned("strides"))
parameters("conv_transpose: dilations are ignored", "conv_transpose", forgotten("dilations"))
result("conv_transpose: channels of groups interleaved", "conv_transpose", _interleaved)

# ---- Pooling ----

pools = "max_pool avg_pool l2_pool"


def _pads(x: Array, windows: Any) -> Any:
    """Which windows reach beyond the input."""
    reach = np.zeros((), bool)
    for size, w in zip(x.shape[x.ndim - len(windows) :], windows, strict=True):
        reach = reach[..., None] | (w.real(size) < w.kernel)
    return reach


def _rounded_down(node: Node, op: Any) -> Any:
    """Return pooling that ignores ceil_mode."""
    if not isinstance(op.padding, Complete):
        return op
    return replace(op, padding=Pixels(tuple((n, n) for n in op.padding.amounts)))


kernel(
    "max_pool: padding counts as 0",
    "max_pool",
    pool.max_pool,
    lambda f: lambda x, w: np.where(_pads(x, w), np.maximum(f(x, w), 0), f(x, w)),
)
operation("avg_pool: padding is never part of the average", "avg_pool", with_fields(exclude_padding=True))
operation("avg_pool: padding is always part of the average", "avg_pool", with_fields(exclude_padding=False))
operation(
    "avg_pool: padding is no part of the average by default",
    "avg_pool",
    without_default("exclude_padding_from_average", exclude_padding=True),
)
result(
    "l2_pool: the root of the mean square",
    "l2_pool",
    lambda node, run, x: run(x) / np.float32(math.sqrt(math.prod(node.integers("kernel_sizes")))),
)
result("l2_pool: without its root", "l2_pool", lambda node, run, x: np.square(run(x)))
parameters("pooling: ceil_mode is ignored", pools, forgotten("ceil_mode"))
kernel(
    "pooling: ceil_mode keeps a window that begins beyond the input",
    pools,
    pool.complete_windows,
    lambda f: lambda size, kernel, stride=1, padding=0, trim=False: f(size, kernel, stride, padding),
)
parameters(
    "pooling: strides are kernel sizes by default",
    pools,
    lambda node: {} if node.has("strides") else {"strides": node.constant("kernel_sizes")},
)
parameters("pooling: kernel of H used for W", pools, turned("kernel_sizes"))
parameters("pooling: stride of H used for W", pools, turned("strides"))
parameters("pooling: padding at the wrong end", pools, changing(_ends_first, "pad"))
parameters("pooling: all begins of the padding stand before the ends", pools, changing(_begins_then_ends, "pad"))
parameters("pooling: padding counts although pad_type is valid", pools, _always_padded)
operation("pooling: the odd pixel of same padding at the beginning", pools, _same_to(True))
operation("pooling: same_lower is same", pools, _same_to(False))
operation("avg_pool: the maximum", "avg_pool", with_fields(mode="max"))

# ---- Products ----

parameters(
    "linear: weights stored as [D_in, D_out]",
    "linear",
    changing(lambda w: w.reshape(w.shape[::-1]).T.copy(), "weight"),
)
operation("linear: the bias is forgotten", "linear", _bias_forgotten)
result("linear: sums in half precision", "linear", halves)
parameters("matmul: transpose_x is ignored", "matmul", forgotten("transpose_x"))
parameters("matmul: transpose_y is ignored", "matmul", forgotten("transpose_y"))
parameters("matmul: transpose_x and transpose_y exchanged", "matmul", exchanged("transpose_x", "transpose_y"))


def _first_batch(node: Node, run: Any, x: Array, y: Array) -> Any:
    """Batches are aligned at the first axis."""
    if min(x.ndim, y.ndim) < 2 or x.ndim == y.ndim:
        return run(x, y)
    rank = max(x.ndim, y.ndim)
    x, y = (a.reshape(*a.shape[:-2], *[1] * (rank - a.ndim), *a.shape[-2:]) for a in (x, y))
    try:
        return run(x, y)
    except ValueError as error:
        raise InvalidModelError(str(error)) from error


result("matmul: leading axes aligned at the first", "matmul", _first_batch)
result(
    "matmul: one matrix of y for all batches",
    "matmul",
    lambda node, run, x, y: run(x, y if y.ndim < 3 else np.broadcast_to(y[:1], y.shape)),
)
result(
    "matmul: integers in single precision",
    "matmul",
    lambda node, run, x, y: (
        np.clip(np.float64(run(np.float32(x), np.float32(y))), -(2**31), 2**31 - 1)
        if x.dtype.kind == y.dtype.kind == "i"
        else run(x, y)
    ),
)
operation(
    "matmul: the type of the constant for that of the other",
    "matmul",
    lambda node, op: (
        replace(op, result=node.element("y" if node.is_constant("y") else "x")) if op.result is not None else op
    ),
)
result("matmul: sums in half precision", "matmul", halves)
version("matmul: types may not differ in CoreML7, as before", "matmul", "CoreML7", "CoreML6")
result(
    "einsum: the first item of the batch for all",
    "einsum",
    lambda node, run, x, *ys: run(x, *(np.broadcast_to(y[:1], y.shape) for y in ys)),
)
result("einsum: sums in half precision", "einsum", halves)
attended = "scaled_dot_product_attention"
result(
    "attention: without its scale",
    attended,
    lambda node, run, q, k, v, *m: run(q * np.float32(math.sqrt(q.shape[-1])), k, v, *m),
)
result(
    "attention: divided by E, not by its root",
    attended,
    lambda node, run, q, k, v, *m: run(q / np.float32(math.sqrt(q.shape[-1])), k, v, *m),
)
result(
    "attention: the scale is of the values' width",
    attended,
    lambda node, run, q, k, v, *m: run(q * np.float32(math.sqrt(q.shape[-1] / v.shape[-1])), k, v, *m),
)
result(
    "attention: true leaves a pair out",
    attended,
    lambda node, run, *xs: run(*xs[:3], *(~m if m.dtype == bool else m for m in xs[3:])),
)
result("attention: the mask is forgotten", attended, lambda node, run, q, k, v, *m: run(q, k, v))
result(
    "attention: the mask is added before scores are scaled",
    attended,
    lambda node, run, q, k, v, *m: run(
        q, k, v, *(x if x.dtype == bool else x / np.float32(math.sqrt(q.shape[-1])) for x in m)
    ),
)
result(
    "attention: booleans are added as 0 and 1",
    attended,
    lambda node, run, q, k, v, *m: run(q, k, v, *(x.astype(q.dtype) for x in m)),
)
result(
    "attention: keys and values exchanged",
    attended,
    lambda node, run, q, k, v, *m: run(q, v, k, *m) if k.shape == v.shape else run(q, k[..., ::-1], v, *m),
)
result(
    "attention: causal by default",
    attended,
    lambda node, run, q, k, v, *m: run(q, k, v, *(m or (np.tril(np.ones((q.shape[-2], k.shape[-2]), bool)),))),
)
result(
    "attention: the mask is [S, L]",
    attended,
    lambda node, run, q, k, v, *m: run(
        q, k, v, *(x.reshape(*x.shape[:-2], x.shape[-1], x.shape[-2]).swapaxes(-1, -2) if x.ndim > 1 else x for x in m)
    ),
)

# ---- Normalization ----


def _moments(x: Array, axes: Any, ddof: int) -> tuple[Array, Array]:
    return x.mean(axes, keepdims=True), x.var(axes, keepdims=True, ddof=ddof)


def _softmax(x: Array, axis: int) -> Array:
    y = np.exp(x)
    return y / y.sum(axis=axis, keepdims=True)


def _scaled(node: Node, y: Array, axes: Any) -> Array:
    """Normalized numbers, with gamma and beta along axes."""
    shape = [n if axis in axes else 1 for axis, n in enumerate(y.shape)]
    for name in ("gamma", "beta"):
        if node.has(name):
            p = node.array(name).reshape(shape)
            y = y * p if name == "gamma" else y + p
    return y


def _axes(node: Node, x: Array) -> tuple[int, ...]:
    return tuple(axis % x.ndim for axis in node.integers("axes", tuple(range(x.ndim))))


def _epsilon(node: Node, value: float = 1e-5) -> Any:
    return np.float32(node.number("epsilon", value))


parameters(
    "softmax: along axis 1 by default",
    "softmax",
    lambda node: {} if node.has("axis") or node.rank() < 2 else {"axis": 1},
)
parameters("softmax: always along the last axis", "softmax", forgotten("axis"))
result("softmax: overflows", "softmax", lambda node, run, x: _softmax(x, node.integer("axis", -1)))
result(
    "softmax: over all axes from its own on",
    "softmax",
    lambda node, run, x: _softmax(x - x.max(), tuple(range(node.integer("axis", -1) % x.ndim, x.ndim))),
)
result(
    "softmax: without the division",
    "softmax",
    lambda node, run, x: np.exp(x - x.max(axis=node.integer("axis", -1), keepdims=True)),
)
operation(
    "batch_norm: epsilon outside of the root",
    "batch_norm",
    lambda node, op: replace(
        op, variance=np.square(np.sqrt(op.variance) + op.variance.dtype.type(op.epsilon)), epsilon=0.0
    ),
)
operation("batch_norm: the default of epsilon is 1e-3", "batch_norm", without_default("epsilon", epsilon=1e-3))
parameters("batch_norm: gamma is ignored", "batch_norm", forgotten("gamma"))
parameters("batch_norm: beta is ignored", "batch_norm", forgotten("beta"))
parameters("batch_norm: gamma and beta exchanged", "batch_norm", exchanged("gamma", "beta"))
operation(
    "batch_norm: the variance is a deviation",
    "batch_norm",
    lambda node, op: replace(op, variance=np.square(op.variance)),
)
result(
    "batch_norm: the statistics of the batch",
    "batch_norm",
    lambda node, run, x: _scaled(
        node, (x - (m := _moments(x, (0, *range(2, x.ndim)), 0))[0]) / np.sqrt(m[1] + _epsilon(node)), (1,)
    ),
)
result(
    "instance_norm: the variance is divided by n - 1",
    "instance_norm",
    lambda node, run, x: _scaled(
        node, (x - (m := _moments(x, tuple(range(2, x.ndim)), 1))[0]) / np.sqrt(m[1] + _epsilon(node)), (1,)
    ),
)
result(
    "instance_norm: over the channels, too",
    "instance_norm",
    lambda node, run, x: _scaled(
        node, (x - (m := _moments(x, tuple(range(1, x.ndim)), 0))[0]) / np.sqrt(m[1] + _epsilon(node)), (1,)
    ),
)
result(
    "instance_norm: epsilon outside of the root",
    "instance_norm",
    lambda node, run, x: _scaled(
        node, (x - (m := _moments(x, tuple(range(2, x.ndim)), 0))[0]) / (np.sqrt(m[1]) + _epsilon(node)), (1,)
    ),
)
parameters("instance_norm: beta is ignored", "instance_norm", forgotten("beta"))
operation("instance_norm: epsilon is ignored", "instance_norm", with_fields(epsilon=1e-5))
result(
    "layer_norm: the variance is divided by n - 1",
    "layer_norm",
    lambda node, run, x: _scaled(
        node, (x - (m := _moments(x, (a := _axes(node, x)), 1))[0]) / np.sqrt(m[1] + _epsilon(node)), a
    ),
)
result(
    "layer_norm: epsilon outside of the root",
    "layer_norm",
    lambda node, run, x: _scaled(
        node, (x - (m := _moments(x, (a := _axes(node, x)), 0))[0]) / (np.sqrt(m[1]) + _epsilon(node)), a
    ),
)
result(
    "layer_norm: the mean is not subtracted",
    "layer_norm",
    lambda node, run, x: _scaled(
        node, x / np.sqrt(np.square(x).mean((a := _axes(node, x)), keepdims=True) + _epsilon(node)), a
    ),
)
parameters("layer_norm: along the last axis by default", "layer_norm", default(axes=np.array([-1], np.int32)))
parameters(
    "layer_norm: always along the last axes",
    "layer_norm",
    lambda node: (
        {"axes": np.arange(-len(node.integers("axes")), 0).astype(np.int32)}
        if node.has("axes") and not node.has("gamma")
        else {"axes": np.array([-1], np.int32)}
        if node.has("axes")
        else {}
    ),
)
parameters(
    "layer_norm: gamma alone is ignored",
    "layer_norm",
    lambda node: {"gamma": None} if node.has("gamma") and not node.has("beta") else {},
)
parameters(
    "layer_norm: gamma and beta exchanged",
    "layer_norm",
    lambda node: exchanged("gamma", "beta")(node) if node.has("gamma") and node.has("beta") else {},
)
result(
    "layer_norm: beta is scaled by gamma",
    "layer_norm",
    lambda node, run, x: (
        run(x) + (node.array("gamma") - 1) * node.array("beta")
        if node.has("gamma") and node.has("beta") and node.array("gamma").shape == x.shape[-node.array("gamma").ndim :]
        else run(x)
    ),
)
result(
    "l2_norm: epsilon outside of the root",
    "l2_norm",
    lambda node, run, x: x / (np.sqrt(np.square(x).sum((-3, -2, -1), keepdims=True)) + _epsilon(node, 1e-6)),
)
result(
    "l2_norm: epsilon as a lower bound of the sum",
    "l2_norm",
    lambda node, run, x: x / np.sqrt(np.maximum(np.square(x).sum((-3, -2, -1), keepdims=True), _epsilon(node, 1e-6))),
)
operation("l2_norm: along the channels only", "l2_norm", with_fields(axes=(-3,)))
operation(
    "l2_norm: along all axes but the first", "l2_norm", lambda node, op: replace(op, axes=tuple(range(1, node.rank())))
)
operation("l2_norm: the default of epsilon is 1e-12", "l2_norm", without_default("epsilon", epsilon=1e-12))
lrn = "local_response_norm"
operation(f"{lrn}: alpha is not divided by the size", lrn, lambda node, op: replace(op, alpha=op.alpha * op.size))
result(
    f"{lrn}: an even window leans to the other side",
    lrn,
    lambda node, run, x: run(x[..., ::-1, :, :])[..., ::-1, :, :],
)
operation(f"{lrn}: k is ignored", lrn, with_fields(k=1.0))
operation(f"{lrn}: beta is 1/2", lrn, lambda node, op: replace(op, beta=0.5))
operation(f"{lrn}: the default of k is 2", lrn, without_default("k", k=2.0))
operation(f"{lrn}: along the second axis of any rank", lrn, lambda node, op: replace(op, axis=1 - node.rank()))


def _existing(node: Node, run: Any, x: Array) -> Any:
    """Divided by the number of neighbours that there are."""
    n, size = x.shape[-3], node.integer("size")
    c = np.arange(n)
    inside = (c >= c[:, None] - size // 2) & (c <= c[:, None] + (size - 1) // 2)
    sums = np.einsum("cd,...dhw->...chw", inside.astype(np.float64), np.square(x.astype(np.float64)))
    alpha, beta, k = (node.number(name, d) for name, d in (("alpha", 1e-4), ("beta", 0.75), ("k", 1.0)))
    return x / (k + alpha / inside.sum(1)[:, None, None] * sums) ** beta


result(f"{lrn}: divided by the neighbours that exist", lrn, _existing)

# ---- Recurrent networks ----


def _rows(order: tuple[int, ...], *names: str) -> Any:
    """Gates are taken in another order."""

    def change(w: Array) -> Array:
        if len(w) % len(order):  # which a case that must be refused may have
            return w
        parts = np.split(w, len(order))
        return np.concatenate([parts[k] for k in order])

    return changing(change, *names)


_WEIGHTS = ("weight_ih", "weight_hh", "bias")
_ALL = (*_WEIGHTS, *(f"{name}_back" for name in _WEIGHTS))
parameters("lstm: gates in the order i, forget, z, o, as torch has them", "lstm", _rows((0, 1, 3, 2), *_ALL))
parameters("lstm: gates in the order i, o, forget, z, as ONNX has them", "lstm", _rows((0, 2, 1, 3), *_ALL))
parameters("lstm: peepholes in the order i, o, forget", "lstm", _rows((0, 2, 1), "peephole", "peephole_back"))
parameters("lstm: peepholes are ignored", "lstm", forgotten("peephole", "peephole_back"))
parameters("lstm: clip is ignored", "lstm", forgotten("clip"))
parameters("lstm: the bias is forgotten", "lstm", forgotten("bias", "bias_back"))
result("lstm: the first h is 0", "lstm", lambda node, run, x, h, c: run(x, np.zeros_like(h), c))
result("lstm: the first c is 0", "lstm", lambda node, run, x, h, c: run(x, h, np.zeros_like(c)))
result(
    "lstm: h and c exchanged among the results",
    "lstm",
    lambda node, run, x, h, c: (lambda y, a, b: (y, b, a))(*run(x, h, c)),
)
result("lstm: h and c exchanged at the beginning", "lstm", lambda node, run, x, h, c: run(x, c, h))
parameters(
    "lstm: activations of gates and of the result exchanged",
    "lstm",
    lambda node: {
        "recurrent_activation": node.text("activation", "tanh"),
        "activation": node.text("recurrent_activation", "sigmoid"),
    },
)
parameters(
    "lstm: the cell's activation for that of the result",
    "lstm",
    lambda node: {"activation": node.text("cell_activation", "tanh")},
)
kernel(
    "lstm: the peephole of the output gate is ignored",
    "lstm",
    recurrent.lstm,
    lambda f: (
        lambda *a, peepholes=None, **o: f(
            *a, peepholes=None if peepholes is None else [*peepholes[:2], peepholes[2] * 0], **o
        )
    ),
)
kernel(
    "gru: z and 1 - z exchanged",
    "gru",
    recurrent.gru,
    lambda f: lambda *a, weights, **o: f(*a, weights=_negated_z(weights), **o),
)
kernel(
    "lstm: the backward result in the order of its processing",
    "lstm",
    recurrent.both_directions,
    lambda f: lambda a, b: f(a, b[::-1]),
)
kernel(
    "lstm: the backward result stands first",
    "lstm",
    recurrent.both_directions,
    lambda f: lambda a, b: np.concatenate([b[::-1], a], axis=-1),
)
parameters(
    "lstm: both directions have the forward weights",
    "lstm",
    lambda node: {f"{name}_back": node.value(name) for name in _WEIGHTS if node.has(f"{name}_back")},
)
parameters(
    "lstm: clip bounds the weighted sums, not the cell",
    "lstm",
    lambda node: (
        {"clip": None, "weight_ih": np.clip(node.constant("weight_ih"), -node.number("clip"), node.number("clip"))}
        if node.has("clip")
        else {}
    ),
)


def _in_time(node: Node, run: Any, *xs: Array) -> Any:
    y, *states = run(*xs)
    return (y[::-1] if node.text("direction", "forward").lower() == "reverse" else y, *states)


every = "lstm gru rnn"
result("recurrent: the result of a reverse run in the order of time", every, _in_time)
parameters(
    "recurrent: reverse is forward",
    every,
    lambda node: {"direction": "forward"} if node.text("direction", "forward").lower() == "reverse" else {},
)
parameters(
    "recurrent: weight_hh is transposed",
    every,
    changing(lambda w: np.concatenate([part.T for part in np.split(w, len(w) // w.shape[1])]), "weight_hh"),
)
result(
    "recurrent: without a sequence the first state",
    every,
    lambda node, run, x, *states: (
        lambda y, *last: (y if node.flag("output_sequence", False) else run(x[:1], *states)[0], *last)
    )(*run(x, *states)),
)
method(
    "recurrent: hard_sigmoid with a slope of 1/6, as torch has it",
    every,
    adapters,
    "_ACTIVATIONS",
    lambda table: {**table, "hard_sigmoid": ops.HardSigmoid(1 / 6, 0.5), "sigmoid_hard": ops.HardSigmoid(1 / 6, 0.5)},
)
result("gru: the first state is 0", "gru rnn", lambda node, run, x, h: run(x, np.zeros_like(h)))
parameters("gru: gates in the order z, r, o", "gru", _rows((1, 0, 2), *_WEIGHTS, "input_bias"))
parameters("gru: gates in the order r, o, z", "gru", _rows((0, 2, 1), *_WEIGHTS, "input_bias"))
parameters("gru: input_bias is ignored", "gru", forgotten("input_bias"))
parameters("gru: reset_after is ignored", "gru", forgotten("reset_after"))
operation("gru: the reset gate is always applied after the product", "gru", with_fields(reset_after=True))
parameters(
    "gru: bias and input_bias exchanged",
    "gru",
    lambda node: exchanged("bias", "input_bias")(node) if node.has("input_bias") else {},
)
parameters(
    "gru: activations exchanged",
    "gru",
    lambda node: {
        "recurrent_activation": node.text("activation", "tanh"),
        "activation": node.text("recurrent_activation", "sigmoid"),
    },
)
parameters("rnn: relu by default", "rnn", default(activation="relu"))


def _negated_z(weights: Any) -> Any:
    """Weights with which sigmoid(z) becomes 1 - sigmoid(z)."""
    hidden = weights.recursion.shape[1]

    def change(part: Array) -> Array:
        return np.concatenate([-part[:hidden], part[hidden:]])

    bias = None if weights.bias is None else change(weights.bias)
    return replace(weights, inputs=change(weights.inputs), recursion=change(weights.recursion), bias=bias)


# ---- Reductions ----

sums = "reduce_sum reduce_mean reduce_prod reduce_max reduce_min reduce_l1_norm reduce_l2_norm reduce_sum_square"
logs = "reduce_log_sum reduce_log_sum_exp"
parameters("reductions: keep_dims is true by default", f"{sums} {logs}", default(keep_dims=True))
parameters("reductions: axes are ignored", f"{sums} {logs}", forgotten("axes"))
parameters("reductions: along the last axis by default", f"{sums} {logs}", default(axes=np.array([-1], np.int32)))
parameters("reductions: the first of several axes only", f"{sums} {logs}", changing(lambda axes: axes[:1], "axes"))
parameters(
    "reductions: negative axes count from one place later",
    f"{sums} {logs}",
    changing(lambda axes: np.where(axes < 0, np.minimum(axes + 1, -1), axes), "axes"),
)


def _along(node: Node) -> Any:
    axes = node.integers("axes", None)
    return {"axis": axes, "keepdims": node.flag("keep_dims", False)}


result(
    "reduce_mean: divided by n - 1",
    "reduce_mean",
    lambda node, run, x: run(x) * np.float32((n := x.size / np.size(run(x))) / max(n - 1, 1)),
)
result(
    "reduce_sum: integers in single precision",
    "reduce_sum",
    lambda node, run, x: (
        np.clip(np.sum(x, **_along(node), dtype=np.float32).astype(np.float64), -(2**31), 2**31 - 1)
        if x.dtype.kind == "i"
        else run(x)
    ),
)
result(
    "reduce_sum: integers saturate",
    "reduce_sum",
    lambda node, run, x: (
        np.clip(np.sum(x, **_along(node), dtype=np.int64), -(2**31), 2**31 - 1) if x.dtype.kind == "i" else run(x)
    ),
)
result("reduce_sum: sums in half precision", "reduce_sum", halves)
result(
    "reduce_prod: by way of logarithms",
    "reduce_prod",
    lambda node, run, x: (
        np.exp(np.sum(np.log(x.astype(np.float64)), **_along(node))) if x.dtype.kind == "f" else run(x)
    ),
)
result("reduce_max: at least 0", "reduce_max", lambda node, run, x: np.maximum(run(x), 0))
result("reduce_min: at most 0", "reduce_min", lambda node, run, x: np.minimum(run(x), 0))
result("reduce_l1_norm: without the absolute value", "reduce_l1_norm", lambda node, run, x: np.sum(x, **_along(node)))
result(
    "reduce_l1_norm: the absolute value of the sum",
    "reduce_l1_norm",
    lambda node, run, x: np.abs(np.sum(x, **_along(node))),
)
result("reduce_l2_norm: without its root", "reduce_l2_norm", lambda node, run, x: np.sum(np.square(x), **_along(node)))
result(
    "reduce_l2_norm: of the mean square",
    "reduce_l2_norm",
    lambda node, run, x: np.sqrt(np.mean(np.square(x.astype(np.float64)), **_along(node))),
)
result(
    "reduce_sum_square: the square of the sum",
    "reduce_sum_square",
    lambda node, run, x: np.square(np.sum(x, **_along(node), dtype=x.dtype)),
)
result(
    "reduce_log_sum: the sum of logarithms",
    "reduce_log_sum",
    lambda node, run, x: np.sum(np.log(x.astype(np.float64)), **_along(node)) if x.dtype.kind == "f" else run(x),
)
result(
    "reduce_log_sum: an epsilon is added",
    "reduce_log_sum",
    lambda node, run, x: np.log(np.sum(x, **_along(node)) + np.float32(1e-6)) if x.dtype.kind == "f" else run(x),
)
result(
    "reduce_log_sum_exp: overflows",
    "reduce_log_sum_exp",
    lambda node, run, x: np.log(np.sum(np.exp(x), **_along(node))) if x.dtype.kind == "f" else run(x),
)
result(
    "reduce_log_sum_exp: the largest number of all is subtracted",
    "reduce_log_sum_exp",
    lambda node, run, x: (
        np.log(np.sum(np.exp(x - x.max()), **_along(node))) + x.max() if x.dtype.kind == "f" else run(x)
    ),
)
places = "reduce_argmax reduce_argmin"
parameters("reduce_argmax: along the first axis by default", places, default(axis=0))
parameters("reduce_argmax: keep_dims is ignored", places, forgotten("keep_dims"))
result("reduce_argmax: counted from 1", places, lambda node, run, x: run(x) + 1)
result("reduce_argmax: of the magnitude", "reduce_argmax", lambda node, run, x: run(np.abs(x)))
result("reduce_argmin: the largest", "reduce_argmin", lambda node, run, x: run(-x))
operation("cumsum: exclusive is ignored", "cumsum", with_fields(exclusive=False))
operation("cumsum: reverse is ignored", "cumsum", with_fields(reverse=False))
result(
    "cumsum: with reverse and exclusive the first element is left out, not the last",
    "cumsum",
    lambda node, run, x: (
        run(x)
        if not (node.flag("reverse", False) and node.flag("exclusive", False))
        else run(x) + x - np.take(x, [-1], node.integer("axis", 0))
    ),
)
result(
    "cumsum: reverse turns the result around, too",
    "cumsum",
    lambda node, run, x: np.flip(run(x), node.integer("axis", 0)) if node.flag("reverse", False) else run(x),
)
parameters("cumsum: along the last axis by default", "cumsum", default(axis=-1))
operation(
    "cumsum: exclusive and reverse exchanged",
    "cumsum",
    lambda node, op: replace(op, exclusive=op.reverse, reverse=op.exclusive),
)

# ---- Random numbers ----

operation("random_uniform: high is the width", "random_uniform", lambda node, op: replace(op, high=op.low + op.high))
operation("random_uniform: from 0 to 1 always", "random_uniform", with_fields(low=0.0, high=1.0))
operation(
    "random_normal: stddev is the variance",
    "random_normal",
    lambda node, op: replace(op, deviation=math.sqrt(op.deviation)),
)
operation("random_normal: the mean is ignored", "random_normal", with_fields(mean=0.0))
operation(
    "random_bernoulli: the probability of 0",
    "random_bernoulli",
    lambda node, op: replace(op, probability=1 - op.probability),
)
operation(
    "random_categorical: logits are taken for probabilities",
    "random_categorical",
    lambda node, op: replace(op, logits=not op.logits),
)
