"""The words that everyone uses: arrays, shapes, and the types of values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["Array", "Form", "Shape", "TensorType", "ValueType"]

#: An array of any type.
Array: TypeAlias = NDArray[Any]
#: The lengths of all axes.
Shape: TypeAlias = tuple[int, ...]


class Form(Protocol):
    """Brings a result into the form in which it is kept: its numbers rounded, its type and shape the same."""

    def __call__(self, x: Array, /, *, out: Array | None = None) -> Array:
        """Return a new array, or ``out``, which may be x itself."""
        raise NotImplementedError


class ValueType:
    """What is known of a value before it is computed; subclasses can be compared and are keys of dictionaries.

    A value that is no array has its type as the attribute ``type``.
    """

    @property
    def nbytes(self) -> int:
        """How much memory such a value takes; 0 where that is not worth counting."""
        return 0


@dataclass(frozen=True)
class TensorType(ValueType):
    """What is known of a tensor before it is computed.

    Attributes:
        dtype: the type of its numbers.
        shape: the lengths of its axes; empty for a scalar.
    """

    dtype: np.dtype[Any]
    shape: Shape

    @staticmethod
    def of(array: Array) -> TensorType:
        """Return the type of an array."""
        return TensorType(array.dtype, array.shape)

    @property
    def nbytes(self) -> int:
        """How much memory such a tensor takes."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def with_shape(self, shape: Shape) -> TensorType:
        """Return the type of tensors of another shape and the same numbers."""
        return TensorType(self.dtype, shape)

    def with_dtype(self, dtype: DTypeLike) -> TensorType:
        """Return the type of tensors of other numbers and the same shape."""
        return TensorType(np.dtype(dtype), self.shape)

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


def without_ones(shape: Shape) -> Shape:
    """Return a shape without its lengths of 1."""
    return tuple(length for length in shape if length != 1)
