"""What is judged, in one form for both dialects: a model in double precision, with the arithmetic of a profile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from refcoreml.errors import InternalError, UnsupportedModelError, UsageError
from refcoreml.evaluators.base import Layered, Programmed
from refcoreml.execution.engine import Change, Trace
from refcoreml.execution.steps import Step, walk
from refcoreml.features import ArrayFeature, DictionaryFeature, Feature, ImageFeature, NumberFeature
from refcoreml.mil.prepare import Typed
from refcoreml.model import Model
from refcoreml.oracle.balls import Doubles, Rounding
from refcoreml.oracle.inputs import stored_inputs, stored_values
from refcoreml.oracle.models import stored_program
from refcoreml.oracle.profiles import DECLARED, PROFILES, profile_named
from refcoreml.oracle.storage import round_weights
from refcoreml.spec import schema
from refcoreml.spec.mil_types import DeclaredTensor, DeclaredType

__all__ = ["Output", "Subject", "subject_of"]

_SINGLE, _HALF = Rounding.of(np.float32), Rounding.of(np.float16)

#: The profiles of ML Programs.
_OF_PROGRAMS = (DECLARED.name, "fp32", "fp16/acc32")


class Output(NamedTuple):
    """An output as a run made it.

    Attributes:
        value: the array, or what holds it.
        source: the name of the value.
        labels: the classes, of scores and labels.
        label: whether it is a label, whose value are the scores.
        feature: its feature.
    """

    value: Any
    source: str
    feature: Feature
    labels: tuple[str | int, ...] = ()
    label: bool = False


class Subject(ABC):
    """A model in double precision, and the arithmetic of those who are judged.

    Attributes:
        rounding: the arithmetic within operations.
        unit: the unit roundoff of the coarsest type that values are stored in.
        steps: all operations.
    """

    rounding: Rounding
    unit: float
    steps: Sequence[Step]

    @abstractmethod
    def inputs(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Doubles]]:
        """Return the values that a run is given, and by name the standard deviations of those that are not exact."""

    @abstractmethod
    def storage(self, step: Step) -> Sequence[Rounding | None]:
        """Return for each result how it is rounded when it is stored; None for not at all."""

    @abstractmethod
    def recorded(self, step: Step) -> Sequence[Rounding]:
        """Return for each result how it is stored, also where that rounds nothing since it was stored so before."""

    @abstractmethod
    def trace(self, values: Mapping[str, Any], change: Change) -> Trace:
        """Run step by step."""

    @abstractmethod
    def outputs(self, results: Mapping[str, Any]) -> dict[str, Output]:
        """Return the outputs by the names of their features."""

    @property
    @abstractmethod
    def sources(self) -> dict[str, str]:
        """By output the name of the value that it is, or is made of."""

    def states(self) -> dict[str, Any]:
        """Return new places for states."""
        return {}

    def in_range(self, value: Any, storage: Rounding | None) -> Any:
        """Return a result with infinities for numbers that the type cannot hold."""
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or not value.size:
            return value
        rounding = storage or self.rounding
        limit = rounding.largest * (1 + rounding.unit / 2)  # half a unit in the last place beyond
        with np.errstate(invalid="ignore"):
            if np.max(value) < limit and np.min(value) > -limit:
                return value
            return np.where(np.abs(value) >= limit, np.copysign(np.inf, value), value)


def subject_of(model: Model, profile: str) -> Subject:
    """Return what is judged of a model.

    Raises:
        UnsupportedModelError: neither a network nor an ML Program.
        UsageError: there is no such profile.
    """
    if model.kind == "mlProgram":
        return _Program(model, profile or "declared")
    if model.kind in ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor"):
        return _Network(model, profile or "fp32")
    problem = f"likely bounds are known for networks and ML Programs, not for models of type {model.kind}"
    raise UnsupportedModelError(problem, remedy="Judge the models inside by themselves" if model.models else "")


class _Network(Subject):
    def __init__(self, model: Model, profile: str) -> None:
        self._profile = profile_named(profile)
        if self._profile.storage.format != np.float32:
            spec = schema.Model.FromString(model.spec.SerializeToString())
            round_weights(getattr(spec, model.kind), self._profile.storage)
            model = model.with_spec(spec)
        self._model = model.with_precision("float64")
        layered = self._model.prepare().layered
        if layered is None:
            raise InternalError(f"{model.kind} is no network", remedy="Please report it")
        self._layered: Layered = layered
        self.rounding, self.unit = self._profile.arithmetic, self._profile.storage.unit
        self.steps = tuple(walk(layered.network.steps))

    def inputs(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Doubles]]:
        balls = stored_inputs(self._layered.interface, self._model.check_inputs(given), self._profile)
        sizes = {name: ball.rad / np.sqrt(3) for name, ball in balls.items() if ball.rad.any()}
        return {name: ball.mid for name, ball in balls.items()}, sizes

    def storage(self, step: Step) -> Sequence[Rounding | None]:
        return (None if step.op.moves else self._profile.narrow_storage,) * len(step.outputs)

    def recorded(self, step: Step) -> Sequence[Rounding]:
        return (self._profile.storage,) * len(step.outputs)

    def trace(self, values: Mapping[str, Any], change: Change) -> Trace:
        return self._layered.network.trace(values, change)

    def outputs(self, results: Mapping[str, Any]) -> dict[str, Output]:
        return {feature.name: self._output(feature, results) for feature in self._model.outputs}

    @property
    def sources(self) -> dict[str, str]:
        return {feature.name: self._layered.interface.source_of(feature)[0] for feature in self._model.outputs}

    def _output(self, feature: Feature, results: Mapping[str, Any]) -> Output:
        interface = self._layered.interface
        blob, labels = interface.source_of(feature)
        if labels:
            is_label = not isinstance(feature, DictionaryFeature | ArrayFeature)
            return Output(np.ravel(results[blob]), blob, feature, labels, is_label)
        value = np.asarray(interface.from_blob(feature, results[blob]), np.float64)
        shape = () if isinstance(feature, NumberFeature) else value.shape or (1,)
        return Output(value.reshape(shape), blob, feature)


class _Program(Subject):
    def __init__(self, model: Model, profile: str) -> None:
        if profile not in _OF_PROGRAMS:
            known = f"ML Programs take {', '.join(_OF_PROGRAMS)}, networks {', '.join(PROFILES)}"
            raise UsageError(f"unknown profile {profile!r} for an ML Program", remedy=known)
        self._profile = profile_named(profile)
        self._model = model.with_precision("float64")
        programmed = self._model.prepare().programmed
        if programmed is None:
            raise InternalError(f"{model.kind} is no program", remedy="Please report it")
        if self._profile.storage.format != np.float32:
            program, interface = stored_program(self._model, self._profile)
            programmed = Programmed(interface, program)
        self._programmed: Programmed = programmed
        self.rounding = _SINGLE
        self.steps = tuple(walk(programmed.program.engine.steps))

    @cached_property
    def unit(self) -> float:  # type: ignore[override]
        """That of half precision if any result is stored in it."""
        return max(rounding.unit for step in self.steps for rounding in (*self.storage(step), _SINGLE) if rounding)

    def inputs(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Doubles]]:
        values = self._programmed.interface.to_values(self._model.check_inputs(given))
        if self._profile.storage.format == np.float32:
            return values, {}
        stored = stored_values(self._programmed.program.inputs, values, self._profile)
        return {name: ball.mid for name, ball in stored.items()}, {}

    def storage(self, step: Step) -> Sequence[Rounding | None]:
        op, narrow = step.op, self._profile.narrow_storage
        nothing = (None,) * len(step.outputs)
        if not isinstance(op, Typed) or (narrow is None and not self._profile.declared):
            return nothing
        if op.moves and (narrow or all(dtype in (None, np.float16) or dtype.kind != "f" for dtype in op.inputs)):
            return nothing
        return tuple(narrow or _HALF if self._is_half(declared) else None for declared in op.outputs)

    def _is_half(self, declared: DeclaredType | None) -> bool:
        """Return whether a result is stored in half precision."""
        if not isinstance(declared, DeclaredTensor):
            return False
        stored = self._profile.stored_as(declared.element.dtype)
        return stored is not None and stored.format == np.float16

    def recorded(self, step: Step) -> Sequence[Rounding]:
        declared = step.op.outputs if isinstance(step.op, Typed) else (None,) * len(step.outputs)
        return tuple(_HALF if self._is_half(each) else _SINGLE for each in declared)

    def trace(self, values: Mapping[str, Any], change: Change) -> Trace:
        return self._programmed.program.trace(values, change)

    def states(self) -> dict[str, Any]:
        return dict(self._programmed.interface.cells())

    def outputs(self, results: Mapping[str, Any]) -> dict[str, Output]:
        sources = self.sources
        return {
            feature.name: _program_output(feature, sources[feature.name], results) for feature in self._model.outputs
        }

    @property
    def sources(self) -> dict[str, str]:
        values = self._programmed.program.results
        return {feature.name: values[feature.name].name for feature in self._model.outputs}


def _program_output(feature: Feature, source: str, results: Mapping[str, Any]) -> Output:
    value = results[source]
    if isinstance(feature, DictionaryFeature):
        return Output(value.array, source, feature, tuple(value.keys))
    if isinstance(feature, ImageFeature):
        return Output(value[0], source, feature)
    if isinstance(feature, ArrayFeature):
        return Output(value.reshape(value.shape or (1,)), source, feature)
    # The label of `classify`, whose scores are another result of it.
    scores = next((other for other in results.values() if hasattr(other, "keys") and value.item() in other.keys), None)
    if scores is None:
        return Output(value, source, feature)
    return Output(scores.array, source, feature, tuple(scores.keys), label=True)
