"""Custom layers: code of the user's own, called as `refcoreml.custom` describes and checked on every side."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.custom import Code as Registered
from refcoreml.custom import parameter_values
from refcoreml.errors import CallbackError
from refcoreml.execution.code import Code, Form, Told, calling, turns_of, with_keywords
from refcoreml.neuralnetwork.registry import Node, layer
from refcoreml.spec.weights import weight_encoding
from refcoreml.types import Array, Shape


@layer("custom", inputs=(1, None), outputs=(1, None))
def custom(node: Node) -> ops.Op:
    """y, ... = className(parameters).evaluate([x, ...]), or a function of the same.

    Inputs: one or more; read-only. Outputs: one or more, of rank 5 in rank-5 networks, else 1 to 5; a number without
    dimensions becomes [1]. Their shapes are those that the class tells, or else known after the layer has run.
    Parameters: ``className`` names the code; ``parameters`` and ``weights`` are handed to it, see `refcoreml.custom`;
    ``description`` has no effect.
    Errors: `CallbackError` for whatever the code does wrong: an exception, another number of outputs, shapes other than
    those it told, values that are no real numbers.
    Chosen: weights come flat unless the class tells their shapes, as the schema holds none. Source:
    ``CustomLayerParams``.
    """
    name = node.params.className
    if name not in node.custom_layers:
        node.unsupported(f"needs code that is not registered: class {name!r}")
    code = node.custom_layers[name]
    parameters = parameter_values(node.params.parameters, node.where)
    form = Form(dict.fromkeys(node.outputs, np.dtype(node.dtype)), node.limits, node.rank5)
    if not isinstance(code, type):
        call = _function(node, code, parameters)
        return Code(form, f"function {getattr(code, '__name__', code)!r}", lambda inputs: call(*inputs))
    made = _instance(node, code, parameters)
    told = getattr(made, "output_shapes", None)
    tell = None if told is None else Told(form, f"{name}.output_shapes", told)
    return Code(form, f"{name}.evaluate", made.evaluate, tell, turns_of(made))


def _callback(node: Node, problem: str, remedy: str = "") -> CallbackError:
    return CallbackError(problem, where=node.where, remedy=remedy)


# --- before anything is computed -------------------------------------------------------------------------------------


def _instance(node: Node, code: Registered, parameters: dict[str, Any]) -> Any:
    """Return an instance of a class, with its weights."""
    name, weights = node.params.className, node.params.weights
    with calling(f"{name}.__init__", node.where):
        made = code(parameters)
    shapes: Any = None
    if hasattr(made, "weight_shapes"):
        with calling(f"{name}.weight_shapes", node.where):
            shapes = made.weight_shapes()
            shapes = None if shapes is None else [tuple(map(operator.index, shape)) for shape in shapes]
        if shapes is not None and len(shapes) != len(weights):
            raise _callback(node, f"{name}.weight_shapes returned {len(shapes)} shapes, the layer holds {len(weights)}")
        for shape in shapes or ():
            if min(shape, default=1) < 1:
                raise _callback(node, f"{name}.weight_shapes returned the shape {shape}, expected lengths of 1 or more")
    if hasattr(made, "set_raw_weights"):
        with calling(f"{name}.set_raw_weights", node.where):
            made.set_raw_weights([_copy(message) for message in weights])
    elif weights and not hasattr(made, "set_weights"):
        raise _callback(node, f"the layer holds {len(weights)} weights, but class {name!r} has no method set_weights")
    if hasattr(made, "set_weights"):
        arrays = _weights(node, shapes)
        with calling(f"{name}.set_weights", node.where):
            made.set_weights(arrays)
    return made


def _function(node: Node, code: Registered, parameters: dict[str, Any]) -> Callable[..., Any]:
    """Return a function, with the parameters and weights that it is to be called with."""
    keywords = {**parameters, **({"weights": _weights(node, None)} if node.params.weights else {})}
    return with_keywords(code, len(node.inputs), keywords, node.where)


def _copy(message: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def _weights(node: Node, shapes: Sequence[Shape] | None) -> list[Array]:
    """Return the decoded weights: in the given shapes, or flat."""
    arrays = []
    for index, message in enumerate(node.params.weights):
        where = f"{node.where}.weights[{index}]"
        shape = _flat_shape(node, index, message, where) if shapes is None else shapes[index]
        array = node.decode(message, shape, f"weights[{index}]")
        arrays.append(array if shapes is not None else array.reshape(-1))
    return arrays


def _flat_shape(node: Node, index: int, message: Any, where: str) -> Shape:
    """Return a shape of all stored numbers: [channels, all others] where each channel has a scale, else [all]."""
    encoding = weight_encoding(message, where=where)
    count = encoding.size * 8 // encoding.bits if encoding.bits else 0
    linear = message.quantization.linearQuantization
    channels = max(len(linear.scale), len(linear.bias)) if encoding.kind in ("linear", "int8") else 1
    if channels <= 1:
        return (count,)
    if encoding.bits < 8:
        raise _callback(
            node,
            f"weights[{index}] hold codes of {encoding.bits} bits with {channels} scales, and nothing says where a "
            "channel ends",
            "Write a class with the method weight_shapes",
        )
    node.require(count % channels == 0, f"{count} weights cannot be shared among {channels} scales")
    return (channels, count // channels)
