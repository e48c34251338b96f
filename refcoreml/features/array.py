"""Arrays of numbers, and the type that states share with them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcoreml import values as given
from refcoreml.errors import InputError, InvalidModelError, RefCoreMLWarning
from refcoreml.features.base import Feature
from refcoreml.features.numbers import convert, to_floats, to_integers
from refcoreml.features.shapes import Shapes, checked_shapes, rank5_shape, size_range, times
from refcoreml.spec import schema
from refcoreml.types import Shape

__all__ = ["ArrayFeature", "TensorFeature", "array_type"]

_ELEMENTS = {
    schema.ArrayFeatureType.DOUBLE: "Double",
    schema.ArrayFeatureType.FLOAT32: "Float32",
    schema.ArrayFeatureType.FLOAT16: "Float16",
    schema.ArrayFeatureType.INT32: "Int32",
    schema.ArrayFeatureType.INT8: "Int8",
}
_DTYPES: dict[str, type[Any]] = {
    "Double": np.float64,
    "Float32": np.float32,
    "Float16": np.float16,
    "Int32": np.int32,
    "Int8": np.int8,
}
_INTEGERS = ("Int32", "Int8")


def array_type(message: schema.ArrayFeatureType, where: str) -> tuple[str, Shapes]:
    """Return the data type and the shapes that a declaration allows."""
    if message.dataType and message.dataType not in _ELEMENTS:
        raise InvalidModelError(f"unknown array data type {message.dataType}", where=where)
    if not message.dataType:
        warnings.warn(f"{where}: the array has no data type; taken as DOUBLE", RefCoreMLWarning, stacklevel=4)
    element = _ELEMENTS.get(message.dataType, "Double")
    default = tuple(message.shape) or None
    flexibility = message.WhichOneof("ShapeFlexibility")
    if flexibility == "enumeratedShapes":
        listed = tuple(tuple(item.shape) for item in message.enumeratedShapes.shapes)
        if not listed or not all(listed):
            raise InvalidModelError("the enumerated shapes are missing or empty", where=where)
        return element, checked_shapes(Shapes(default or listed[0], listed), where)
    if flexibility == "shapeRange":
        ranges = tuple(size_range(item, where) for item in message.shapeRange.sizeRanges)
        # No blob may be empty, so that a lower bound of 0 leaves 1 as the least length.
        default = default or tuple(max(least, 1) for least, _ in ranges) or None
        return element, checked_shapes(Shapes(default, ranges=ranges), where)
    return element, checked_shapes(Shapes(default), where)


class TensorFeature(Feature):
    """Numbers of the type `element` in a shape."""

    @property
    def half(self) -> bool:
        return self.element == "Float16"

    @property
    def cut(self) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
        if not self._holds_integers:
            return None
        limits = np.iinfo(self._dtype)  # what does not fit saturates, see `to_integers`
        return lambda numbers: np.clip(np.trunc(numbers), limits.min, limits.max)

    @property
    def _dtype(self) -> type[Any]:
        return _DTYPES[self.element]

    @property
    def _holds_integers(self) -> bool:
        return self.element in _INTEGERS

    def _checked(self, value: Any, check_shape: Callable[[Shape], None]) -> NDArray[Any]:
        """Return what a user passed as a contiguous array of the declared type, Float16 as float32."""
        array = given.array(value, self.refuse, check_shape)
        if array.ndim == 0:
            array = array.reshape(1)
        return np.require(self.converted(array), requirements=["C", "A"])

    def converted(self, value: Any) -> NDArray[Any]:
        array = convert(np.asarray(value), self._dtype, self.refuse)
        return array.astype(np.float32) if self.half else array

    def _finished(self, value: Any) -> NDArray[Any]:
        array = np.asarray(value)
        array = array.reshape(array.shape or (1,))
        if self._holds_integers:
            return to_integers(array, self._dtype, self._output)
        result = to_floats(array, self._dtype, self._output)
        return result.astype(np.float32) if self.half else result


@dataclass(frozen=True)
class ArrayFeature(TensorFeature, member="multiArrayType"):
    """An array of numbers: of NumPy in Python, Float16 as float32."""

    kind = "array"
    noun = "MultiArray"
    numeric = True

    @staticmethod
    def read_type(message: schema.FeatureType, where: str) -> tuple[str, Shapes]:
        return array_type(message.multiArrayType, where)

    @property
    def holds_fractions(self) -> bool:
        return not self._holds_integers

    @property
    def count(self) -> int | None:
        shape = self.default_shape
        return None if shape is None or self.shapes.listed or self.shapes.ranges else math.prod(shape)

    def check(self, value: Any, *, legacy_ranks: bool = False) -> NDArray[Any]:
        return self._checked(value, lambda shape: self._check_shape(shape, legacy_ranks))

    def default_value(self, shape: Shape | None = None) -> NDArray[Any] | None:
        member = self.spec.type.multiArrayType.WhichOneof("defaultOptionalValue")
        shape = shape or self.default_shape
        if member is None or shape is None:
            return None
        number = np.asarray(getattr(self.spec.type.multiArrayType, member))
        try:
            value = self.converted(number)
        except InputError as error:
            where = f"description of feature {self.name!r}"
            raise InvalidModelError(f"{member}: {error.problem}", where=where) from None
        return np.full(shape, value)

    def size_of(self, checked: Any) -> Shape:
        shape: Shape = checked.shape
        return shape

    def _check_shape(self, shape: Shape, legacy_ranks: bool) -> None:
        if 0 in shape:
            raise self.refuse(f"MultiArray Shape ({times(shape)}) holds nothing, every dimension must be at least 1")
        if shape == () and not self.shapes.problem((1,)):
            shape = (1,)
        if legacy_ranks:
            if rank5_shape(self.shapes, shape) is None:
                problem = self.shapes.problem(shape) or f"MultiArray Shape ({times(shape)}) has {len(shape)} dimensions"
                raise self.refuse(problem, _legacy_forms(self.shapes))
        elif self.shapes.problem(shape):
            raise self.refuse(self.shapes.problem(shape), _shape_hint(self.shapes, shape))


def _shape_hint(shapes: Shapes, shape: Shape) -> str:
    """Return what to do about a shape that is nearly right."""
    if shapes.default is None or len(shape) == len(shapes.default):
        return ""
    if not shapes.problem((1, *shape)):
        return "Add a leading dimension: value[None]"
    if shape[:1] == (1,) and not shapes.problem(shape[1:]):
        return "Take the leading dimension away: value[0]"
    return ""


def _legacy_forms(shapes: Shapes) -> str:
    if shapes.default is None:
        return "Networks of this kind take arrays with 1, 3 or 5 dimensions: [C], [C, H, W], [Seq, Batch, C, H, W]"
    if len(shapes.default) == 1:
        return f"Pass ({shapes}), or [Seq, Batch, C] or [Seq, Batch, C, 1, 1] with such a C"
    return f"Pass ({shapes}), or [Seq, Batch, C, H, W] that ends so"
