"""What programs have beside operations on tensors: lists, states, labels, tables.

A radius of a list is a list of radii, and that of a state a place for radii: what reads and writes them does the same
to the radii.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from refcoreml import ops
from refcoreml.execution.control import Checked, Choice, Leave, Loop
from refcoreml.mil.operations.classify import Classify
from refcoreml.mil.operations.gather import FromTable
from refcoreml.mil.operations.lists import ListGather, ListLength, ListRead, ListScatter, ListWrite, MakeList
from refcoreml.mil.operations.state import ReadState, WriteState
from refcoreml.mil.values import ListValue, StateCell
from refcoreml.oracle.balls import Ball, Doubles, whole
from refcoreml.oracle.radii import Undetermined
from refcoreml.oracle.rules.order import extreme_place
from refcoreml.oracle.rules.table import Layer, bounded, unbounded
from refcoreml.types import Array

unbounded("control", Checked, Choice, Loop, Leave)


# ---- Lists ----


def _places(ball: Ball) -> Array:
    """Return indices or lengths of a list, which must be certain: the list would be another one."""
    if not whole(ball):
        raise Undetermined
    return ball.mid.astype(np.int64)


@bounded("exact", MakeList)
def _zeros(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    for ball in balls:
        _places(ball)
    made = cast("ListValue", results[0])
    return [replace(made, held=np.dtype(np.float64))]


@bounded("exact", ListWrite, ListScatter)
def _written(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    ls, index, value = balls
    return [layer.run(ls.rad, _places(index), value.rad)]


@bounded("exact", ListRead, ListGather)
def _read(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    ls, index = balls
    return [layer.run(ls.rad, _places(index))]


@bounded("exact", ListLength)
def _length(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound the number of elements, of which none is uncertain."""
    return [0.0]


# ---- States ----


@bounded("exact", ReadState)
def _state(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    return [cast("StateCell", balls[0].rad).array]


@bounded("exact", WriteState)
def _state_written(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    cast("StateCell", balls[0].rad).write(balls[1].rad)
    return []


# ---- Labels ----


@bounded("exact", Classify)
def _classified(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound the place of the best label, and the scores by label."""
    scores = balls[0].map(np.ravel)
    return [extreme_place(scores, 0, False).reshape(()), scores.rad]


def labels_of(op: ops.Op) -> tuple[str | int, ...]:
    """Return the labels between which an operation chooses; none of others."""
    return tuple(op.labels) if isinstance(op, Classify) else ()


def place_of(op: ops.Op, scores: Ball) -> Doubles:
    """Return which label is the predicted one."""
    return np.asarray(float(scores.mid.reshape(-1).argmax()))


# ---- Tables ----


@bounded("exact", FromTable)
def _from_table(layer: Layer, balls: list[Ball], results: list[Doubles]) -> Sequence[Any]:
    """Bound numbers of a constant at certain places."""
    return [layer.keep(Ball.exact(results[0])).rad if whole(balls[0]) else np.inf]
