"""Values of a program that are no arrays: lists, dictionaries, and the places of states."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from refcoreml.ops.base import bad_input
from refcoreml.spec.mil_types import DeclaredList, DeclaredTensor, agree
from refcoreml.types import Array, TensorType, ValueType

__all__ = ["Dictionary", "DictionaryType", "ListType", "ListValue", "StateCell", "StateType"]

#: What a place of a list takes, whatever is there.
_PLACE_BYTES = 8


@dataclass(frozen=True)
class ListType(ValueType):
    """What is known of a list.

    Attributes:
        element: the type of its elements, as it is declared, or known better since some were written.
        length: how many there are.
        grows: whether writing beyond the end makes it longer.
    """

    element: DeclaredTensor
    length: int
    grows: bool

    @property
    def nbytes(self) -> int:
        """How much memory the elements take."""
        shape = self.element.known_shape
        return self.length * (
            _PLACE_BYTES + (0 if shape is None else math.prod(shape) * self.element.element.dtype.itemsize)
        )

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The length, and those of the axes of elements."""
        return self.length, *(self.element.shape or ())

    def fits(self, declared: DeclaredList) -> bool:
        """Return whether a program may declare it so."""
        return agree(self.element, declared.element)

    def __str__(self) -> str:
        return f"list of {self.length} x {self.element}"


@dataclass(frozen=True, eq=False)
class ListValue:
    """A list; never changed, since writing makes another one.

    Attributes:
        element: the type of its elements, see `ListType`.
        grows: whether writing beyond the end makes it longer.
        held: the type of the arrays that hold the elements.
        elements: the arrays; None for zeros.
    """

    element: DeclaredTensor
    grows: bool
    held: np.dtype[Any]
    elements: tuple[Array | None, ...]

    @property
    def type(self) -> ListType:
        """Its type."""
        return ListType(self.element, len(self.elements), self.grows)

    @property
    def array(self) -> Array:
        """The elements as one array, the first axis counts them; their numbers in a row where shapes differ."""
        shape = self.element.known_shape
        if shape is None:  # nothing was written yet
            return np.zeros((len(self.elements), 0), self.held)
        found = [np.zeros(shape, self.held) if element is None else element for element in self.elements]
        if len({element.shape for element in found}) > 1:
            return np.concatenate([element.reshape(-1) for element in found])
        return np.stack(found) if found else np.zeros((0, *shape), self.held)

    def read(self, index: int) -> Array:
        """Return an element, to which nobody writes."""
        found = self.elements[index]
        if found is not None:
            return found
        shape = self.element.known_shape
        if shape is None:
            bad_input(
                f"element {index} was not written, and of the elements of the list only {self.element} is known",
                "Write an element before any is read",
            )
        return np.zeros(shape, self.held)

    def written(self, indices: Iterable[int], arrays: Iterable[Array]) -> ListValue:
        """Return the list with other elements at some places, of two at one place the last; longer if it must be."""
        elements, element = list(self.elements), self.element
        for index, array in zip(indices, arrays, strict=True):
            if index >= len(elements):
                elements += [None] * (index + 1 - len(elements))
            elements[index] = array
            element = replace(element, shape=array.shape)
        return replace(self, element=element, elements=tuple(elements))


@dataclass(frozen=True)
class DictionaryType(ValueType):
    """What is known of a dictionary.

    Attributes:
        texts: whether its keys are texts, or else integers.
    """

    texts: bool


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Numbers by key, as classifiers make them.

    Attributes:
        keys: texts, or integers.
        numbers: an array with a number for each key.
    """

    keys: Sequence[str] | Sequence[int]
    numbers: Array

    @property
    def array(self) -> Array:
        """The numbers, in the order of the keys."""
        return self.numbers

    @property
    def type(self) -> DictionaryType:
        """Its type."""
        return DictionaryType(isinstance(self.keys[0], str))


@dataclass(frozen=True)
class StateType(ValueType):
    """What is known of a state.

    Attributes:
        tensor: the type of its array, as it is declared.
    """

    tensor: TensorType

    @property
    def nbytes(self) -> int:
        """How much memory its array takes."""
        return self.tensor.nbytes

    def __str__(self) -> str:
        return f"state of {self.tensor}"


class StateCell:
    """The place where a state's array is, from one prediction to the next.

    Arrays in it are never written to: writing a state puts another array there, so that what was read stays as it was.

    Attributes:
        type: the declared type.
        array: the array, as it is held.
    """

    def __init__(self, declared: TensorType, array: Array) -> None:
        self.type, self.array = StateType(declared), array

    def copy(self) -> StateCell:
        """Return another place that holds the same array."""
        return StateCell(self.type.tensor, self.array)

    def write(self, array: Array) -> None:
        """Put another array there, which nobody writes to; views that cannot be written to are copied.

        Such are views of files, which would keep them open, and of one number for many places.
        """
        self.array = array if array.flags.writeable else array.copy()
