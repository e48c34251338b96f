"""Operations of two programs side by side: whether they are stored alike, and the values of one given to the other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from refcoreml.execution.steps import Step
from refcoreml.mil.node import Value
from refcoreml.mil.precision import Precision
from refcoreml.mil.prepare import Typed
from refcoreml.mil.resolve import Operation
from refcoreml.mil.values import ListValue, StateCell
from refcoreml.types import Array

__all__ = ["adopted", "source"]


def source(operation: Operation, opset: str) -> tuple[Any, ...]:
    """Return what says how an operation is stored: equal for two that compute the same of the same values."""
    parameters = {
        name: [(value.type, _content(value)) for value in values] for name, values in operation.parameters.items()
    }
    return operation.kind, opset, parameters, [value.type for value in operation.outputs]


def _content(value: Value) -> object:
    """Return what distinguishes a constant from others, in little memory; None for what a run makes."""
    if not value.constant:
        return None
    known = value.known
    if isinstance(known, np.ndarray) and known.dtype != object:
        return known.dtype, known.shape, hashlib.sha256(np.ascontiguousarray(known).tobytes()).digest()
    return repr(known)


def adopted(step: Step, values: Sequence[Any], own: Sequence[Any], precision: Precision) -> list[Any]:
    """Return values of another program as a step of this one takes them.

    Args:
        step: the step.
        values: what such a step took in the other program.
        own: what the step takes in this one.
        precision: how this one holds floats.
    """
    declared = step.op.inputs if isinstance(step.op, Typed) else [None] * len(own)
    return [_held(value, mine, dtype, precision) for value, mine, dtype in zip(values, own, declared, strict=True)]


def _held(value: Any, mine: Any, declared: np.dtype[Any] | None, precision: Precision) -> Any:
    if isinstance(mine, StateCell) and isinstance(value, StateCell):
        tensor = mine.type.tensor
        return StateCell(tensor, _converted(value.array, mine.array.dtype, tensor.dtype, precision))
    if isinstance(mine, ListValue) and isinstance(value, ListValue):
        element = mine.element.element.dtype
        elements = [None if x is None else _converted(x, mine.held, element, precision) for x in value.elements]
        return replace(mine, element=replace(mine.element, shape=value.element.shape), elements=tuple(elements))
    if isinstance(mine, np.ndarray) and isinstance(value, np.ndarray) and declared is not None:
        return _converted(value, mine.dtype, declared, precision)
    return value


def _converted(array: Array, held: np.dtype[Any], declared: np.dtype[Any], precision: Precision) -> Array:
    form, same = precision.form(declared), array.astype(held)
    return same if form is None else form(same)
