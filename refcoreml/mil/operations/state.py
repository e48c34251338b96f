"""States: arrays that a model keeps from one prediction to the next."""

from __future__ import annotations

from dataclasses import dataclass

from refcoreml import ops
from refcoreml.mil.node import Node
from refcoreml.mil.registry import operation
from refcoreml.mil.values import StateCell, StateType
from refcoreml.ops.base import require
from refcoreml.types import Array, TensorType, ValueType


@dataclass(frozen=True)
class ReadState(ops.Op):
    """The array of a state."""

    moves = True

    def infer(self, state: ValueType) -> TensorType:
        """Return the type that the state wraps."""
        return _tensor(state)

    def run(self, state: StateCell) -> Array:
        """Return the array, to which nobody writes."""
        return state.array


@dataclass(frozen=True)
class WriteState(ops.Op):
    """Puts another array into a state."""

    effect = True

    def infer(self, state: ValueType, data: TensorType) -> tuple[TensorType, ...]:
        """Refuse an array of another type than the state has."""
        tensor = _tensor(state)
        require(data == tensor, f"writes {data} to a state of {tensor}")
        return ()

    def run(self, state: StateCell, data: Array) -> tuple[Array, ...]:
        """Write."""
        state.write(data)
        return ()


def _tensor(state: ValueType) -> TensorType:
    if not isinstance(state, StateType):
        require(False, f"parameter 'input' is of type {state}, expected a state")
        raise AssertionError
    return state.tensor


@operation("read_state", "input", since="CoreML8")
def read_state(node: Node) -> ops.Op:
    """y = what the state ``input`` holds: zeros, what a prediction before left there, or what this one has written.

    input: a state. y: of the type that it wraps.
    """
    return ReadState()


@operation("write_state", "input", "data", since="CoreML8")
def write_state(node: Node) -> ops.Op:
    """Make ``data`` what the state ``input`` holds; there is no result.

    input: a state; data: of the type that it wraps. A prediction that fails later does not undo it.
    """
    return WriteState()
