"""The types of all values from those of the inputs, without arithmetic, through control flow."""

from __future__ import annotations

from collections import ChainMap, defaultdict
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from refcoreml.errors import RefCoreMLError, at
from refcoreml.execution.limits import Meter
from refcoreml.execution.steps import Control, Region, Step, Types, Written, rewritten
from refcoreml.types import TensorType, ValueType


@dataclass(frozen=True)
class Inference:
    """The types known in the end; ``complete`` if a run can meet no others, so that nothing is left to be checked."""

    types: dict[str, ValueType]
    complete: bool


def infer(steps: Sequence[Step], inputs: Mapping[str, ValueType], meter: Meter) -> Inference:
    """Return the types after all steps.

    The meter gets what is certain to happen: known types outside of regions.

    Raises:
        InvalidModelError: types do not fit a step that is certain to run.
        LimitError: a value, or all of them together, would be too large.
        CallbackError: code of the user's own fails.
    """
    types: Types = ChainMap(dict(inputs))
    inferring = _Inferring(steps, inputs)
    try:
        for step in steps:
            inferring.step(step, types, meter)
            meter.free(step.last_uses)
    except RefCoreMLError as error:
        error.shapes = {name: found.shape for name, found in types.items() if isinstance(found, TensorType)}
        raise
    return Inference({name: found for name, found in types.items() if found is not None}, inferring.complete)


class _Inferring:
    """Goes through steps; see `Inferring`."""

    def __init__(self, steps: Sequence[Step], inputs: Iterable[str]) -> None:
        self._steps, self._inputs, self.complete = steps, inputs, True
        self.notes: dict[int, Any] = {}
        self._written: Written | None = None

    @cached_property
    def rewritten(self) -> frozenset[str]:
        """The values that more than one step writes; only control flow asks."""
        return rewritten(self._steps, self._inputs)

    def region(self, region: Region, given: Sequence[ValueType | None], types: Types) -> list[ValueType | None]:
        """Return what is known of a region's results; note in ``types`` what is known of its values."""
        types.update(zip(region.inputs, given, strict=True))
        for step in region.steps:
            self.step(step, types)
        return [types.get(name) for name in region.outputs]

    @contextmanager
    def writing(self) -> Iterator[Written]:
        """Return, within a context, by name all types that steps write meanwhile; None for one that is not known."""
        around, self._written = self._written, defaultdict(set)
        try:
            yield self._written
        finally:
            if around is not None:
                for name, found in self._written.items():
                    around[name] |= found
            self._written = around

    def step(self, step: Step, types: Types, meter: Meter | None = None) -> None:
        """Note the types of a step's outputs; None where they are not known."""
        maps = types.maps
        outermost = maps[0]  # a dictionary finds and updates faster than a chain of one
        find = types.get if len(maps) > 1 else outermost.get
        given = [find(name) for name in step.inputs]
        if isinstance(step.op, Control):
            self.complete = False
            if meter is not None:
                meter.free(step.writes)  # those that exist are written again, perhaps with another size
            with at(step.where):
                found = step.op.flow_types(given, types, self)
            self._note(step.outputs, found, outermost)
            return
        known = [found for found in given if found is not None]
        forecast = step.forecast(known) if len(known) == len(given) else None
        if forecast is None:
            self.complete = False
            self._note(step.outputs, [None] * len(step.outputs), outermost)
            if meter is not None:
                meter.free(step.outputs)
            return
        self._note(step.outputs, forecast.types, outermost)
        if meter is not None:
            meter.spend(forecast.work, step.where)
            meter.hold(step.outputs, forecast.sizes, step.where)

    def _note(
        self, names: Sequence[str], found: Sequence[ValueType | None], types: MutableMapping[str, ValueType | None]
    ) -> None:
        types.update(zip(names, found, strict=True))
        if self._written is not None:
            for name, each in zip(names, found, strict=True):
                self._written[name].add(each)
