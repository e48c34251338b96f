"""Custom layers: code of the user's own, called as `refcoreml.custom` describes and checked on every side."""

from __future__ import annotations

import inspect
import operator
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from threading import RLock
from typing import Any

import numpy as np

from refcoreml.custom import Code, parameter_values
from refcoreml.errors import CallbackError
from refcoreml.execution.limits import beyond, size_of
from refcoreml.neuralnetwork.registry import Node, Op, layer
from refcoreml.spec.weights import weight_encoding
from refcoreml.types import Array, Shape
from refcoreml.values import argument, unmasked

#: So many combinations of input shapes are remembered.
_MOST_SHAPES = 64
_UNKNOWN = object()

_MOST_DIMENSIONS = 5


@layer("custom", inputs=(1, None), outputs=(1, None))
def custom(node: Node) -> Op:
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
    if node.params.className not in node.custom_layers:
        node.unsupported(f"needs code that is not registered: class {node.params.className!r}")
    code = node.custom_layers[node.params.className]
    parameters = parameter_values(node.params.parameters, node.where)
    layer_class = isinstance(code, type)
    made: Any = _instance(node, code, parameters) if layer_class else _function(node, code, parameters)
    what = f"{node.params.className}.evaluate" if layer_class else f"function {getattr(code, '__name__', code)!r}"
    evaluate: Callable[..., Any] = made.evaluate if layer_class else made
    turns: AbstractContextManager[Any] = nullcontext()
    if layer_class and not getattr(made, "thread_safe", False):
        turns = RLock()  # one and the same instance serves all threads
    told: Callable[..., Any] | None = getattr(made, "output_shapes", None) if layer_class else None
    known: dict[tuple[Shape, ...], tuple[Shape, ...] | None] = {}

    def shape(*inputs: Shape) -> tuple[Shape, ...] | None:
        found: Any = known.get(inputs, _UNKNOWN)
        if found is _UNKNOWN:
            if len(known) >= _MOST_SHAPES:
                known.clear()
            found = None if told is None else _told_shapes(node, told, inputs)
            known[inputs] = found
        return found  # type: ignore[no-any-return]

    def run(*inputs: Array) -> tuple[Array, ...]:
        expected = shape(*[x.shape for x in inputs]) if told is not None else None
        views = []
        for x in inputs:
            view = x.view()
            view.flags.writeable = False
            views.append(view)
        try:
            with turns:
                results = evaluate(views) if layer_class else evaluate(*views)
        except Exception as error:
            raise _failure(node, what, error) from error
        several = isinstance(results, (list, tuple))
        listed = results if several else [results]
        if len(listed) != len(node.outputs):
            came = f"a {type(results).__name__} of {len(results)}" if several else f"one {type(results).__name__}"
            raise _callback(node, f"{what} returned {came}, but the layer has {len(node.outputs)} output(s)")
        finished = [_finished(node, what, name, y) for name, y in zip(node.outputs, listed, strict=True)]
        if expected is not None:
            for name, y, declared in zip(node.outputs, finished, expected, strict=True):
                if y.shape != declared:
                    problem = f"{what} returned the shape {y.shape} for output {name!r}, but told {declared} before"
                    raise _callback(node, problem, "output_shapes and evaluate must agree")
        return tuple(finished)

    return Op(run, shape if told is not None else None)


def _callback(node: Node, problem: str, remedy: str = "") -> CallbackError:
    return CallbackError(problem, where=node.where, remedy=remedy)


def _failure(node: Node, what: str, error: Exception) -> CallbackError:
    remedy = "Inputs are read-only: copy what is to be changed" if "read-only" in str(error) else ""
    return _callback(node, f"{what} raised {type(error).__name__}: {error}", remedy)


@contextmanager
def _calling(node: Node, what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise _failure(node, what, error) from error


# --- before anything is computed -------------------------------------------------------------------------------------


def _instance(node: Node, code: Code, parameters: dict[str, Any]) -> Any:
    """An instance of a class, with its weights."""
    name, weights = node.params.className, node.params.weights
    with _calling(node, f"{name}.__init__"):
        made = code(parameters)
    shapes: Any = None
    if hasattr(made, "weight_shapes"):
        with _calling(node, f"{name}.weight_shapes"):
            shapes = made.weight_shapes()
            shapes = None if shapes is None else [tuple(map(operator.index, shape)) for shape in shapes]
        if shapes is not None and len(shapes) != len(weights):
            raise _callback(node, f"{name}.weight_shapes told {len(shapes)} shapes, the layer holds {len(weights)}")
    if hasattr(made, "set_raw_weights"):
        with _calling(node, f"{name}.set_raw_weights"):
            made.set_raw_weights([_copy(message) for message in weights])
    elif weights and not hasattr(made, "set_weights"):
        raise _callback(node, f"the layer holds {len(weights)} weights, but class {name!r} has no method set_weights")
    if hasattr(made, "set_weights"):
        arrays = _weights(node, shapes)
        with _calling(node, f"{name}.set_weights"):
            made.set_weights(arrays)
    return made


def _function(node: Node, code: Code, parameters: dict[str, Any]) -> Callable[..., Any]:
    """A function, with the parameters and weights that it is to be called with."""
    keywords = {**parameters, **({"weights": _weights(node, None)} if node.params.weights else {})}
    try:
        signature = inspect.signature(code)
    except (TypeError, ValueError):  # some that are written in C have none
        signature = None
    if signature is not None:
        try:
            signature.bind(*node.inputs, **keywords)
        except TypeError as error:
            name = getattr(code, "__name__", code)
            raise _callback(
                node,
                f"function {name!r} takes {signature}, but is to be called with {len(node.inputs)} input(s) and "
                f"{', '.join(keywords) or 'no parameters'}: {error}",
                "Give it these keyword arguments, or **others",
            ) from error
    return partial(code, **keywords) if keywords else code


def _copy(message: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def _weights(node: Node, shapes: Sequence[Shape] | None) -> list[Array]:
    """The decoded weights: in the given shapes, or flat."""
    arrays = []
    for index, message in enumerate(node.params.weights):
        where = f"{node.where}.weights[{index}]"
        shape = _flat_shape(node, index, message, where) if shapes is None else shapes[index]
        array = node.decode(message, shape, f"weights[{index}]")
        arrays.append(array if shapes is not None else array.reshape(-1))
    return arrays


def _flat_shape(node: Node, index: int, message: Any, where: str) -> Shape:
    """A shape that holds all stored numbers: [channels, all others] where each channel has a scale, else [all]."""
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


def _told_shapes(node: Node, told: Callable[..., Any], inputs: tuple[Shape, ...]) -> tuple[Shape, ...] | None:
    """What ``output_shapes`` says, checked."""
    what = f"{node.params.className}.output_shapes"
    with _calling(node, what):
        shapes = told(list(inputs))
        if shapes is None:
            return None
        listed = [tuple(map(operator.index, shape)) or (1,) for shape in shapes]
    if len(listed) != len(node.outputs):
        raise _callback(node, f"{what} told {len(listed)} shapes, but the layer has {len(node.outputs)} output(s)")
    for name, shape in zip(node.outputs, listed, strict=True):
        _check_shape(node, what, name, shape)
    return tuple(listed)


# --- after the code has run ------------------------------------------------------------------------------------------


def _finished(node: Node, what: str, name: str, value: Any) -> Array:
    """An output as an array of the arithmetic's type."""
    try:
        array = value if type(value) is np.ndarray else _as_array(value)
    except CallbackError as error:
        raise _callback(
            node, f"{what} returned for output {name!r} an array that {error.problem}", error.remedy
        ) from None
    except Exception as error:  # tensors that need gradients, rows of unequal length
        problem = f"{what} returned a {type(value).__name__} for output {name!r}, which is no array: {error}"
        raise _callback(node, problem) from error
    if array.dtype.kind not in "biuf":
        came = f"an array of {array.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
        raise _callback(node, f"{what} returned {came} for output {name!r}, expected an array of real numbers")
    if array.ndim == 0:
        array = array.reshape(1)
    _check_shape(node, what, name, array.shape)
    return array if array.dtype == node.dtype else array.astype(node.dtype)


def _as_array(value: Any) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old versions of NumPy only warn of rows of unequal length
        return unmasked(value, argument(kind=CallbackError))


def _check_shape(node: Node, what: str, name: str, shape: Shape) -> None:
    if node.rank5 and len(shape) != _MOST_DIMENSIONS:
        expected = "all blobs of this network have five dimensions, [Seq, Batch, C, H, W]"
    elif len(shape) > _MOST_DIMENSIONS:
        expected = f"a blob has at most {_MOST_DIMENSIONS} dimensions"
    elif min(shape) < 1:
        expected = "every dimension must be at least 1"
    elif found := beyond(size_of(shape, np.dtype(node.dtype).itemsize), node.limits):
        expected = f"that is {found}"
    else:
        return
    raise _callback(node, f"{what} gave the shape {shape} for output {name!r}, but {expected}")
