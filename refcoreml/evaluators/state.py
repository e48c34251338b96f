"""What a model keeps from one prediction to the next: `State`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from refcoreml import values
from refcoreml.errors import InputError
from refcoreml.features import StateFeature
from refcoreml.mil.values import StateCell
from refcoreml.types import Array

__all__ = ["State"]


class State:
    """The arrays that a model keeps, by name; made by `Model.make_state`, filled with zeros.

    One prediction at a time may use it.
    """

    def __init__(
        self,
        features: Sequence[StateFeature],
        cells: Mapping[str, StateCell],
        hold: Callable[[Array], Array],
        owner: object,
    ) -> None:
        self._features = {feature.name: feature for feature in features}
        self._cells, self._hold, self._owner = cells, hold, owner
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        listed = ", ".join(f"{name}: {feature.describe()}" for name, feature in self._features.items())
        return f"<refcoreml.State ({listed})>"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the states."""
        return tuple(self._features)

    def read(self, name: str) -> Array:
        """Return a copy of a state's array, in the type that the model declares; Float16 as float32.

        Raises:
            InputError: there is no such state, or a prediction is using it.
        """
        feature = self._feature(name)
        with self._used():
            found: Array = feature.finish(self._cells[feature.name].array)
        return found

    def write(self, name: str, array: Any) -> None:
        """Put a copy of an array into a state; it must have the state's shape, and fit its type.

        Raises:
            InputError: it does not, there is no such state, or a prediction is using it.
        """
        feature = self._feature(name)
        checked = np.array(feature.checked(array))
        with self._used():
            cell = self._cells[feature.name]
            cell.write(self._hold(checked).reshape(cell.type.tensor.shape))

    def _feature(self, name: Any) -> StateFeature:
        found = self._features.get(name) if values.is_a(name, str) else None
        if found is None:
            known = ", ".join(map(repr, self._features)) or "none"
            raise InputError(f"the model has no state {values.quoted(name)}", remedy=f"Its states: {known}")
        return found

    @contextmanager
    def _used(self) -> Iterator[None]:
        if not self._lock.acquire(blocking=False):
            raise InputError(
                "the state is being used by another prediction",
                where="state",
                remedy="Make a state for each: make_state()",
            )
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def cells_for(self, owner: object) -> Iterator[Mapping[str, StateCell]]:
        """Give the places of its arrays to a prediction of a model, and to no other one meanwhile.

        Raises:
            InputError: it was made by another model or for another function, or another prediction is using it.
        """
        if owner is not self._owner:
            problem = "the state was made by another model, or for another function"
            raise InputError(problem, where="state", remedy="Use the state that make_state() of this model returns")
        with self._used():
            yield self._cells
