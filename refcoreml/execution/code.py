"""Code of the user's own, as an operation: called as `refcoreml.custom` describes, and checked on every side."""

from __future__ import annotations

import inspect
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from threading import RLock
from typing import Any

import numpy as np

from refcoreml import ops
from refcoreml.errors import CallbackError
from refcoreml.execution.limits import Limits, beyond, size_of
from refcoreml.types import Array, Shape, TensorType
from refcoreml.values import argument, unmasked

#: So many combinations of input shapes are remembered.
_MOST_SHAPES = 64
_MOST_DIMENSIONS = 5


@dataclass(frozen=True)
class Form:
    """What outputs of code must look like.

    Attributes:
        types: by name of an output the type that its numbers are brought into.
        limits: how much memory one may take.
        rank5: whether all have five dimensions.
        scalars: whether one may have none, which otherwise becomes [1].
    """

    types: Mapping[str, np.dtype[Any]]
    limits: Limits
    rank5: bool = False
    scalars: bool = False

    def check_shape(self, what: str, name: str, shape: Shape) -> None:
        """Refuse a shape that no output may have."""
        if self.rank5 and len(shape) != _MOST_DIMENSIONS:
            expected = "all blobs of this network have five dimensions, [Seq, Batch, C, H, W]"
        elif len(shape) > _MOST_DIMENSIONS:
            expected = f"an output has at most {_MOST_DIMENSIONS} dimensions"
        elif min(shape, default=1) < 1:
            expected = "every dimension must be at least 1"
        elif found := beyond(size_of(shape, self.types[name].itemsize), self.limits):
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
        array, dtype = array.reshape(self.full(array.shape)), self.types[name]
        self.check_shape(what, name, array.shape)
        return array if array.dtype == dtype else array.astype(dtype)

    def full(self, shape: Shape) -> Shape:
        """Return the shape that an output of a shape has."""
        return shape or (() if self.scalars else (1,))


def _as_array(value: Any) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old versions of NumPy only warn of rows of unequal length
        return unmasked(value, argument(kind=CallbackError))


@dataclass(frozen=True)
class Told:
    """The shapes that code tells for its outputs, checked.

    Attributes:
        form: what they must look like.
        what: the function, for errors.
        tell: called with the shapes of the inputs.
    """

    form: Form
    what: str
    tell: Callable[..., Any]

    @cached_property
    def shapes(self) -> Callable[[tuple[Shape, ...]], tuple[Shape, ...] | None]:
        """From the shapes of the inputs; None where the code does not know; asked once for the same ones."""
        return lru_cache(maxsize=_MOST_SHAPES)(self._shapes)

    def _shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...] | None:
        with calling(self.what):
            shapes = self.tell(list(inputs))
            if shapes is None:
                return None
            listed = [self.form.full(tuple(map(operator.index, shape))) for shape in shapes]
        names = self.form.types
        if len(listed) != len(names):
            raise CallbackError(f"{self.what} returned {len(listed)} shapes, but the layer has {len(names)} output(s)")
        for name, shape in zip(names, listed, strict=True):
            self.form.check_shape(self.what, name, shape)
        return tuple(listed)


@dataclass(frozen=True)
class Code(ops.Op):
    """Code of the user's own.

    Attributes:
        form: what its outputs must look like.
        what: the function, for errors.
        evaluate: called with a list of arrays.
        told: the shapes of the outputs, where the code tells them.
        turns: held while it runs.
    """

    form: Form
    what: str
    evaluate: Callable[[list[Array]], Any]
    told: Told | None = None
    turns: AbstractContextManager[Any] = field(default_factory=nullcontext)

    @property
    def repeatable(self) -> bool:
        """Nobody knows."""
        return False

    def _expected(self, inputs: Sequence[Shape]) -> tuple[Shape, ...] | None:
        return None if self.told is None else self.told.shapes(tuple(inputs))

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...] | None:
        """Return the types that the code tells."""
        shapes = self._expected([x.shape for x in inputs])
        if shapes is None:
            return None
        return tuple(TensorType(dtype, shape) for dtype, shape in zip(self.form.types.values(), shapes, strict=True))

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Run the code, and check what it returns."""
        expected = self._expected([x.shape for x in inputs])
        with calling(self.what), self.turns:
            results = self.evaluate([_read_only(x) for x in inputs])
        several = isinstance(results, (list, tuple))
        listed, names = results if several else [results], self.form.types
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
def calling(what: str, where: str = "") -> Iterator[None]:
    """Raise `CallbackError` for whatever code of the user's own raises inside."""
    try:
        yield
    except Exception as error:
        remedy = "Inputs are read-only: copy what is to be changed" if "read-only" in str(error) else ""
        raise CallbackError(f"{what} raised {type(error).__name__}: {error}", where=where, remedy=remedy) from error


def with_keywords(code: Callable[..., Any], count: int, keywords: Mapping[str, Any], where: str) -> Callable[..., Any]:
    """Return a function with the parameters and weights that it is to be called with.

    Args:
        code: the function.
        count: how many inputs it will get.
        keywords: what else, by name.
        where: the place, for the error if it does not take these.
    """
    try:
        signature = inspect.signature(code)
    except (TypeError, ValueError):  # some that are written in C have none
        signature = None
    if signature is not None:
        try:
            signature.bind(*range(count), **keywords)
        except TypeError as error:
            name = getattr(code, "__name__", code)
            raise CallbackError(
                f"function {name!r} takes {signature}, but is to be called with {count} input(s) and "
                f"{', '.join(keywords) or 'no parameters'}: {error}",
                where=where,
                remedy="Give it these keyword arguments, or **others",
            ) from error
    return partial(code, **keywords) if keywords else code


def turns_of(made: Any) -> AbstractContextManager[Any]:
    """Return what threads hold that run code: one and the same instance serves all of them."""
    return nullcontext() if getattr(made, "thread_safe", False) else RLock()
