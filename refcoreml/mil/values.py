"""Values of a program that are no arrays: dictionaries, and the places of states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from refcoreml.types import Array, TensorType, ValueType

__all__ = ["Dictionary", "DictionaryType", "StateCell", "StateType"]


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

    def write(self, array: Array) -> None:
        """Put another array there, which nobody writes to; views that cannot be written to are copied.

        Such are views of files, which would keep them open, and of one number for many places.
        """
        self.array = array if array.flags.writeable else array.copy()
