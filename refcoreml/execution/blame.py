"""Whose fault it is where a type depends on values: the model's, or that of inputs that chose them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from refcoreml.errors import InputError, InvalidModelError, RefCoreMLError
from refcoreml.execution.steps import Step, walk


class Blame:
    """What the engine asks when something does not fit, and notes only where types depend on values."""

    def __init__(self, steps: Sequence[Step], inputs: Sequence[str]) -> None:
        self._steps, self._inputs = steps, inputs
        self._choosing: dict[Step, bool] = {}

    @cached_property
    def _computed(self) -> frozenset[str]:
        """The values that follow from inputs, rather than from constants of the model alone."""
        return self._downstream(self._inputs)

    def chosen(self, step: Step, arguments: Sequence[Any]) -> bool:
        """Whether values of the inputs, not of the model alone, choose the types of a step's outputs."""
        return any(
            name in self._computed and _matters(step, arguments, place) for place, name in enumerate(step.inputs)
        )

    def note(self, step: Step, arguments: Sequence[Any]) -> None:
        """Note a step whose outputs have types that depend on values; looked into once."""
        if step not in self._choosing:
            self._choosing[step] = self.chosen(step, arguments)

    def follows(self, step: Step) -> bool:
        """Whether types that inputs chose lead to those of a step's inputs."""
        names = {name for other, chosen in self._choosing.items() if chosen for name in other.outputs}
        return not self._downstream(names).isdisjoint(step.inputs)

    def _downstream(self, sources: Iterable[str]) -> frozenset[str]:
        """Return some values, and all that are computed from them."""
        names, before = set(sources), -1
        while before < len(names):  # rounds hand values back
            before = len(names)
            for step in walk(self._steps):
                results = {name for region in step.regions for name in region.outputs}
                if not (names.isdisjoint(step.inputs) and names.isdisjoint(results)):
                    names.update(step.outputs, *(region.inputs for region in step.regions))
        return frozenset(names)


def _matters(step: Step, arguments: Sequence[Any], place: int) -> bool:
    """Whether the types of the outputs depend on the values of an input: whether others, such as 0, change them."""
    argument = arguments[place]
    if not isinstance(argument, np.ndarray):
        return True
    expected = step.op.infer_from(*arguments)
    if expected is None:
        return True
    for value in (0, 1):
        other = np.broadcast_to(np.asarray(value, argument.dtype), argument.shape)
        try:
            if step.op.infer_from(*arguments[:place], other, *arguments[place + 1 :]) != expected:
                return True
        except RefCoreMLError:
            return True
    return False


def of_inputs(error: InvalidModelError, why: str = "") -> InputError:
    """Return the same conflict as one of the inputs."""
    return InputError(f"{error.problem}{why}", where=error.where, remedy=error.remedy)
