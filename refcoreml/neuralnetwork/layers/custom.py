"""Custom layers: code of the user's own, called as `refcoreml.custom` describes and checked on every side."""

from __future__ import annotations

import inspect
import operator
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from threading import RLock
from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.custom import Code, parameter_values
from refcoreml.errors import CallbackError
from refcoreml.execution.limits import Limits, beyond, size_of
from refcoreml.neuralnetwork.registry import Node, layer
from refcoreml.spec.weights import weight_encoding
from refcoreml.types import Array, Shape, TensorType
from refcoreml.values import argument, unmasked

#: So many combinations of input shapes are remembered.
_MOST_SHAPES = 64
_MOST_DIMENSIONS = 5


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
    form = _Form(tuple(node.outputs), np.dtype(node.dtype), node.rank5, node.limits)
    if not isinstance(code, type):
        call = _function(node, code, parameters)
        return CustomLayer(form, f"function {getattr(code, '__name__', code)!r}", lambda inputs: call(*inputs))
    made = _instance(node, code, parameters)
    turns: AbstractContextManager[Any] = nullcontext()
    if not getattr(made, "thread_safe", False):
        turns = RLock()  # one and the same instance serves all threads
    told = getattr(made, "output_shapes", None)
    tell = None if told is None else _Told(form, f"{name}.output_shapes", told)
    return CustomLayer(form, f"{name}.evaluate", made.evaluate, tell, turns)


@dataclass(frozen=True)
class _Form:
    """What outputs of code must look like.

    Attributes:
        names: of the outputs.
        dtype: the type that their numbers are brought into.
        rank5: whether all have five dimensions.
        limits: how much memory one may take.
    """

    names: tuple[str, ...]
    dtype: np.dtype[Any]
    rank5: bool
    limits: Limits

    def check_shape(self, what: str, name: str, shape: Shape) -> None:
        """Refuse a shape that no blob may have."""
        if self.rank5 and len(shape) != _MOST_DIMENSIONS:
            expected = "all blobs of this network have five dimensions, [Seq, Batch, C, H, W]"
        elif len(shape) > _MOST_DIMENSIONS:
            expected = f"a blob has at most {_MOST_DIMENSIONS} dimensions"
        elif min(shape) < 1:
            expected = "every dimension must be at least 1"
        elif found := beyond(size_of(shape, self.dtype.itemsize), self.limits):
            expected = f"that is {found}"
        else:
            return
        raise CallbackError(f"{what} gave the shape {shape} for output {name!r}, but {expected}")

    def finished(self, what: str, name: str, value: Any) -> Array:
        """Return an output as an array of the right type."""
        try:
            array = value if type(value) is np.ndarray else _as_array(value)
        except CallbackError as error:
            problem = f"{what} returned for output {name!r} an array that {error.problem}"
            raise CallbackError(problem, remedy=error.remedy) from None
        except Exception as error:  # tensors that need gradients, rows of unequal length
            problem = f"{what} returned a {type(value).__name__} for output {name!r}, which is no array: {error}"
            raise CallbackError(problem) from error
        if array.dtype.kind not in "biuf":
            got = f"an array of {array.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
            raise CallbackError(f"{what} returned {got} for output {name!r}, expected an array of real numbers")
        if array.ndim == 0:
            array = array.reshape(1)
        self.check_shape(what, name, array.shape)
        return array if array.dtype == self.dtype else array.astype(self.dtype)


def _as_array(value: Any) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old versions of NumPy only warn of rows of unequal length
        return unmasked(value, argument(kind=CallbackError))


@dataclass(frozen=True)
class _Told:
    """The shapes that code tells for its outputs, checked.

    Attributes:
        form: what they must look like.
        what: the function, for errors.
        tell: called with the shapes of the inputs.
    """

    form: _Form
    what: str
    tell: Callable[..., Any]

    @cached_property
    def shapes(self) -> Callable[[tuple[Shape, ...]], tuple[Shape, ...] | None]:
        """From the shapes of the inputs; None where the code does not know; asked once for the same ones."""
        return lru_cache(maxsize=_MOST_SHAPES)(self._shapes)

    def _shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...] | None:
        with _calling(self.what):
            shapes = self.tell(list(inputs))
            if shapes is None:
                return None
            listed = [tuple(map(operator.index, shape)) or (1,) for shape in shapes]
        names = self.form.names
        if len(listed) != len(names):
            raise CallbackError(f"{self.what} returned {len(listed)} shapes, but the layer has {len(names)} output(s)")
        for name, shape in zip(names, listed, strict=True):
            self.form.check_shape(self.what, name, shape)
        return tuple(listed)


@dataclass(frozen=True)
class CustomLayer(ops.Op):
    """Code of the user's own.

    Attributes:
        form: what its outputs must look like.
        what: the function, for errors.
        evaluate: called with a list of arrays.
        told: the shapes of the outputs, where the code tells them.
        turns: held while it runs.
    """

    form: _Form
    what: str
    evaluate: Callable[[list[Array]], Any]
    told: _Told | None = None
    turns: AbstractContextManager[Any] = field(default_factory=nullcontext)

    def _expected(self, inputs: Sequence[Shape]) -> tuple[Shape, ...] | None:
        return None if self.told is None else self.told.shapes(tuple(inputs))

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...] | None:
        """Return the types that the code tells."""
        shapes = self._expected([x.shape for x in inputs])
        return None if shapes is None else tuple(TensorType(self.form.dtype, shape) for shape in shapes)

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Run the code, and check what it returns."""
        expected = self._expected([x.shape for x in inputs])
        with _calling(self.what), self.turns:
            results = self.evaluate([_read_only(x) for x in inputs])
        several = isinstance(results, (list, tuple))
        listed, names = results if several else [results], self.form.names
        if len(listed) != len(names):
            got = f"a {type(results).__name__} of {len(results)}" if several else f"one {type(results).__name__}"
            raise CallbackError(f"{self.what} returned {got}, but the layer has {len(names)} output(s)")
        finished = tuple(self.form.finished(self.what, name, y) for name, y in zip(names, listed, strict=True))
        for name, y, declared in zip(names, finished, expected or [y.shape for y in finished], strict=True):
            if y.shape != declared:
                problem = f"{self.what} returned the shape {y.shape} for output {name!r}, but declared {declared}"
                raise CallbackError(problem, remedy="output_shapes and evaluate must agree")
        return finished


def _read_only(x: Array) -> Array:
    view = x.view()
    view.flags.writeable = False
    return view


@contextmanager
def _calling(what: str, where: str = "") -> Iterator[None]:
    try:
        yield
    except Exception as error:
        remedy = "Inputs are read-only: copy what is to be changed" if "read-only" in str(error) else ""
        raise CallbackError(f"{what} raised {type(error).__name__}: {error}", where=where, remedy=remedy) from error


def _callback(node: Node, problem: str, remedy: str = "") -> CallbackError:
    return CallbackError(problem, where=node.where, remedy=remedy)


# --- before anything is computed -------------------------------------------------------------------------------------


def _instance(node: Node, code: Code, parameters: dict[str, Any]) -> Any:
    """Return an instance of a class, with its weights."""
    name, weights = node.params.className, node.params.weights
    with _calling(f"{name}.__init__", node.where):
        made = code(parameters)
    shapes: Any = None
    if hasattr(made, "weight_shapes"):
        with _calling(f"{name}.weight_shapes", node.where):
            shapes = made.weight_shapes()
            shapes = None if shapes is None else [tuple(map(operator.index, shape)) for shape in shapes]
        if shapes is not None and len(shapes) != len(weights):
            raise _callback(node, f"{name}.weight_shapes returned {len(shapes)} shapes, the layer holds {len(weights)}")
        for shape in shapes or ():
            if min(shape, default=1) < 1:
                raise _callback(node, f"{name}.weight_shapes returned the shape {shape}, expected lengths of 1 or more")
    if hasattr(made, "set_raw_weights"):
        with _calling(f"{name}.set_raw_weights", node.where):
            made.set_raw_weights([_copy(message) for message in weights])
    elif weights and not hasattr(made, "set_weights"):
        raise _callback(node, f"the layer holds {len(weights)} weights, but class {name!r} has no method set_weights")
    if hasattr(made, "set_weights"):
        arrays = _weights(node, shapes)
        with _calling(f"{name}.set_weights", node.where):
            made.set_weights(arrays)
    return made


def _function(node: Node, code: Code, parameters: dict[str, Any]) -> Callable[..., Any]:
    """Return a function, with the parameters and weights that it is to be called with."""
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
