"""Elementwise layers: adapters over `refcoreml.kernels.elementwise`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from refcoreml.kernels import elementwise as kernels
from refcoreml.kernels._types import Array, Shape
from refcoreml.neuralnetwork.registry import Node, Op, channel_axis, channelwise, elementwise, layer

#: The members of ``UnaryFunctionLayerParams.Operation``: the kernel, and its parameter.
_UNARY: dict[str, tuple[Callable[..., Array], str | None]] = {
    "SQRT": (np.sqrt, None),
    "RSQRT": (kernels.inverse_sqrt, "epsilon"),
    "INVERSE": (kernels.inverse, "epsilon"),
    "POWER": (kernels.power, "alpha"),
    "EXP": (kernels.exp, None),
    "LOG": (kernels.log, "epsilon"),
    "ABS": (np.abs, None),
    "THRESHOLD": (kernels.threshold, "alpha"),
}


@layer("unary")
def unary(node: Node) -> Op:
    """Y = f(scale * x + shift).

    f(v) by ``type``: SQRT, RSQRT = 1 / sqrt(v + epsilon), INVERSE = 1 / (v + epsilon), POWER = v^alpha, EXP,
    LOG = ln(v + epsilon), ABS, THRESHOLD = max(alpha, v).

    Input: x [*D]. Output: [*D].
    Parameters: ``type``, SQRT if unset; ``scale`` 1 if 0 or unset; ``shift`` 0; ``epsilon`` 1e-6 if 0
    or unset (so that INVERSE of 0 is 1e6, not Inf); ``alpha`` 0.
    Outside the domain (SQRT, RSQRT and LOG of a negative number, POWER of one with a fractional exponent) it is NaN.
    Errors: an unknown ``type``.
    Source: ``UnaryFunctionLayerParams``. That LOG adds epsilon is seen in Apple's tests only.
    Chosen: the default of epsilon counts for LOG too; THRESHOLD keeps NaN.
    """
    params = node.params
    name = enum_name(node, "type")
    function, parameter = _UNARY[name]
    if parameter is not None:
        value = params.alpha if parameter == "alpha" else params.epsilon or 1e-6
        function = partial(function, **{parameter: value})
    scale, shift = params.scale or 1.0, params.shift
    if scale == 1 and shift == 0:
        return elementwise(function)

    def run(x: Array, *, out: Array | None = None) -> Array:
        y = kernels.affine(x, scale, shift, out=out)
        return function(y, out=y)

    return elementwise(run)


def enum_name(node: Node, field: str, message: Any = None) -> str:
    """Return the name of an enum's value, in the layer's message or one inside it."""
    holder = node.params if message is None else message
    values = holder.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    return str(values[getattr(holder, field)].name)  # `make_nodes` has refused numbers that the schema lacks


def of_several(node: Node, run: Callable[..., Array]) -> Op:
    """An `Op` of any number of inputs that broadcast."""

    def shape(*shapes: Shape) -> Shape:
        try:
            return kernels.broadcast_shape(*shapes)
        except ValueError:
            node.invalid(
                f"inputs of shapes {', '.join(map(str, shapes))} do not fit together",
                "Counted from the last axis, lengths must be equal or 1",
            )

    return Op(run, shape, fresh=True)


def of_two_or_more(node: Node, function: np.ufunc) -> Op:
    """An `Op` that folds a commutative function over its inputs, which broadcast."""

    def inplace(block: Array, channels: slice, other: Array) -> None:
        function(block, other, out=block)

    op = of_several(node, lambda *xs: kernels.combine(function, xs))
    return replace(op, inplace=inplace) if len(node.inputs) == 2 else op


@layer("add", inputs=(1, None))
def add(node: Node) -> Op:
    """Y = x_1 + x_2 + ..., from left to right; of one input y = x + alpha.

    Inputs: blobs whose shapes broadcast. Output: the common shape. Errors: shapes that do not broadcast.
    Parameters: ``alpha`` 0 if unset, ignored for several inputs.
    Chosen: all of NumPy's broadcasting. The specification names only some shapes, and converters emit only operands
    that are all ones or differ from 1 in {B}, {C}, {H, W}, {C, H, W} or {B, C, H, W} alone; for those this is the
    same.
    Source: ``AddLayerParams``.
    """
    if len(node.inputs) == 1:
        return elementwise(lambda x, out=None: np.add(x, kernels.like(node.params.alpha, x), out=out))
    return of_two_or_more(node, np.add)


@layer("multiply", inputs=(1, None))
def multiply(node: Node) -> Op:
    """Y = x_1 * x_2 * ..., from left to right; of one input y = alpha * x.

    Inputs, output, errors and choice as for ``add``. Parameters: ``alpha`` 0 if unset, ignored for several inputs.
    Source: ``MultiplyLayerParams``.
    """
    if len(node.inputs) == 1:
        return elementwise(lambda x, out=None: np.multiply(x, kernels.like(node.params.alpha, x), out=out))
    return of_two_or_more(node, np.multiply)


@layer("average", inputs=(1, None))
def average(node: Node) -> Op:
    """Y = (x_1 + ... + x_n) / n; of one input a copy.

    Inputs, output, errors and choice as for ``add``. Source: ``AverageLayerParams`` (no fields).
    """
    return of_several(node, lambda *xs: kernels.average(xs))


@layer("max", inputs=(1, None))
def maximum(node: Node) -> Op:
    """Y = max(x_1, ..., x_n); NaN where one of them is.

    Inputs: blobs of equal shapes. Output: that shape. Errors: shapes that do not broadcast.
    Chosen: NumPy's broadcasting as for ``add``, where converters emit equal shapes only.
    Source: ``MaxLayerParams`` (no fields).
    """
    return of_two_or_more(node, np.maximum)


@layer("min", inputs=(1, None))
def minimum(node: Node) -> Op:
    """Y = min(x_1, ..., x_n); NaN where one of them is.

    All else as for ``max``. Source: ``MinLayerParams`` (no fields).
    """
    return of_two_or_more(node, np.minimum)


@layer("scale")
def scale(node: Node) -> Op:
    """Y = scale * x + bias, both broadcast over the leading dimensions of x and wherever their length is 1.

    Input: x [*, C, H, W], rank 3 or more. Output: the shape of x.
    Parameters: ``scale`` of ``shapeScale``, and if ``hasBias`` ``bias`` of ``shapeBias``, each [1], [C], [1, H, W] or
    [C, H, W] (any length may be 1).
    Errors: a shape of another rank; a number of values that differs from its product; lengths that do not fit x.
    Source: ``ScaleLayerParams``.
    """
    factor = _parameter(node, "scale", node.params.shapeScale)
    if not node.params.hasBias:
        return _with_parameters(node, np.multiply, scale=factor)
    return _with_parameters(node, kernels.affine, scale=factor, bias=_parameter(node, "bias", node.params.shapeBias))


@layer("bias")
def bias(node: Node) -> Op:
    """Y = x + bias.

    Input: x [*, C, H, W], rank 3 or more. Output: the shape of x.
    Parameters: ``bias`` of ``shape``: [1], [C], [1, H, W] or [C, H, W] (any length may be 1).
    Errors: as for ``scale``.
    Source: ``BiasLayerParams``.
    """
    return _with_parameters(node, np.add, bias=_parameter(node, "bias", node.params.shape))


def _parameter(node: Node, field: str, shape: Any) -> Array:
    dims = tuple(shape)
    node.require(
        len(dims) in (1, 3) and min(dims) > 0,
        f"the shape of {field} is {dims}, expected [1], [C], [1, H, W] or [C, H, W]",
    )
    values = node.weights(field, dims)
    return values.reshape(-1) if dims[1:] == (1, 1) else values


def _with_parameters(node: Node, kernel: Callable[..., Array], **parameters: Array) -> Op:
    """An `Op` from a kernel ``(x, *parameters, out=None)`` with parameters [1], [C] or [C, H, W]."""
    spatial = any(p.ndim == 3 for p in parameters.values())

    def shape(x: Shape) -> Shape:
        node.require(len(x) >= 3, f"takes blobs of rank 3 or more, got {x}")
        # Parameters that extend over H and W leave no doubt that the last three axes are C, H, W, even of rank 3.
        block = x[-3:] if spatial else (x[channel_axis(len(x))],)
        for name, p in parameters.items():
            node.require(
                all(length in (1, given) for length, given in zip(p.shape, block, strict=False)),
                f"{name} of shape {p.shape} does not fit the input {x}",
            )
        return x

    if not spatial:
        return replace(channelwise(kernel, *parameters.values()), shape=shape)
    aligned = [p if p.ndim == 3 else p.reshape(-1, 1, 1) for p in parameters.values()]
    return Op(lambda x: kernel(x, *aligned), shape, fresh=True)
