"""Models that the oracle answers questions about, between their features: `asked`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from refcoreml import features
from refcoreml.errors import InputError, UnsupportedModelError
from refcoreml.evaluators.base import Settings
from refcoreml.evaluators.network import NeuralNetworkEvaluator
from refcoreml.evaluators.state import State
from refcoreml.execution.engine import existing
from refcoreml.execution.limits import Budget
from refcoreml.features import ArrayFeature, DictionaryFeature, Feature
from refcoreml.mil.interface import Interface
from refcoreml.mil.node import Value
from refcoreml.mil.precision import PRECISIONS, Precision
from refcoreml.mil.program import Program
from refcoreml.mil.resolve import walk
from refcoreml.model import Model
from refcoreml.neuralnetwork.graph import make_nodes, walk_layers
from refcoreml.oracle.balls import Ball
from refcoreml.oracle.inputs import stored_inputs, stored_values
from refcoreml.oracle.outputs import Answer, finished
from refcoreml.oracle.profiles import Profile
from refcoreml.oracle.radii import BlobBound, Known, Radii, reseeded
from refcoreml.oracle.rules.order import extreme_place
from refcoreml.oracle.storage import round_weights
from refcoreml.oracle.subjects import NetworkSubject, ProgramSubject, Subject
from refcoreml.spec import schema
from refcoreml.spec.functions import find_function
from refcoreml.types import Array, Form

__all__ = ["Asked", "asked", "stored_program"]


class Asked(Protocol):
    """A model, ready for questions.

    Attributes:
        subject: what runs.
    """

    @property
    def subject(self) -> Subject:
        """What runs."""

    def given(self, inputs: Mapping[str, Any]) -> dict[str, Ball]:
        """Return what runs on inputs, as a profile stores them; states are not among it."""

    def answers(self, bounds: Mapping[str, BlobBound]) -> dict[str, Answer]:
        """Return answers from the bounds of outputs; raise for outputs that a prediction would refuse."""

    def states(self, contents: Mapping[str, Any]) -> States:
        """Return places for what the model keeps, with contents, by default zeros."""


def asked(model: Model, profile: Profile) -> Asked:
    """Prepare a model for questions.

    Raises:
        UnsupportedModelError: no network or ML Program, or one with custom layers.
        InvalidModelError: the model breaks a rule of the specification.
    """
    if model.kind == "mlProgram":
        return _program(model, profile)
    if model.kind in ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor"):
        return _network(model, profile)
    raise UnsupportedModelError(f"bounds are known for networks and ML Programs, not for models of type {model.kind}")


def _custom(code: str, where: str) -> UnsupportedModelError:
    problem = f"runs {code}, whose rounding errors nobody knows"
    return UnsupportedModelError(
        problem, where=where, remedy="Bounds are known where every layer is one of Core ML's own"
    )


# ---- States ----


@dataclass(frozen=True)
class States:
    """What a model keeps from one prediction to the next.

    Attributes:
        cells: by name two places, for numbers and for their radii.
        radii: what is known of them.
        features: their declarations.
    """

    cells: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    radii: Radii = field(default_factory=Radii)

    def __post_init__(self) -> None:
        for cell, rad in self.cells.values():
            self.radii.note(cell, Known(rad))

    @property
    def balls(self) -> dict[str, Ball]:
        """The places, as a run is given them."""
        return {name: Ball(*cells) for name, cells in self.cells.items()}

    def answers(self) -> dict[str, Answer]:
        """Return what they hold."""
        found = {}
        for name, (cell, rad) in self.cells.items():
            check = self.radii.of(cell).check
            found[name] = Answer(np.array(cell.array, np.float64), np.array(rad.array, np.float64), check)
        return found


# ---- Networks ----


@dataclass(frozen=True)
class _Network:
    """A network in double precision, with weights as a profile stores them."""

    spec: schema.Model
    evaluator: NeuralNetworkEvaluator
    profile: Profile

    @property
    def subject(self) -> Subject:
        """The network."""
        profile = self.profile
        return NetworkSubject(self.evaluator.network, profile.arithmetic, profile, profile.narrow_storage)

    def given(self, inputs: Mapping[str, Any]) -> dict[str, Ball]:
        """Return input blobs."""
        declared = [Feature.of(feature) for feature in self.spec.description.input]
        checked = features.check_inputs(declared, inputs, legacy_ranks=self.evaluator.legacy_ranks)
        return stored_inputs(self.evaluator.interface, checked, self.profile)

    def states(self, contents: Mapping[str, Any]) -> States:
        """Return none, since networks have none."""
        if contents:
            raise InputError("the model has no states", remedy="Only ML Programs have")
        return States()

    def answers(self, bounds: Mapping[str, BlobBound]) -> dict[str, Answer]:
        """Return an answer for each output."""
        interface = self.evaluator.interface
        outputs = [Feature.of(feature) for feature in self.spec.description.output]
        network = self.evaluator.network
        blobs = {name: existing(bounds, name, network.where).value for name in network.outputs}
        made = interface.from_blobs(blobs)
        for feature in outputs:
            features.finish_output(feature, made[feature.name])
        return {feature.name: self._answer(feature, bounds) for feature in outputs}

    def _answer(self, feature: Feature, bounds: Mapping[str, BlobBound]) -> Answer:
        interface = self.evaluator.interface
        blob, labels = interface.source_of(feature)
        bound = bounds[blob]
        if labels:
            ball = Ball(bound.value.reshape(-1), bound.radius.reshape(-1))
            if isinstance(feature, (DictionaryFeature, ArrayFeature)):
                return Answer(ball.mid, ball.rad, bound.check, labels)
            place = np.asarray(float(ball.mid.argmax()))
            return Answer(place, extreme_place(ball, 0, False).reshape(()), "either", labels)
        value, radius = (interface.from_blob(feature, values) for values in (bound.value, bound.radius))
        return finished(feature, Ball(np.asarray(value, np.float64), np.asarray(radius, np.float64)), bound)


def _network(model: Model, profile: Profile) -> _Network:
    spec, kind = model.spec, model.kind
    for node in walk_layers(make_nodes(getattr(spec, kind).layers, kind)):
        if node.kind == "custom":  # registered or not
            raise _custom(f"the code of {node.params.className!r}", node.where)
    if profile.storage.format != np.float32:
        spec = schema.Model.FromString(spec.SerializeToString())
        round_weights(getattr(spec, kind), profile.storage)
    return _Network(spec, NeuralNetworkEvaluator(spec, Settings("float64", budget=Budget(model.limits))), profile)


# ---- Programs ----


def _renewed(x: Array, /, *, out: Array | None = None) -> Array:
    """Return the same numbers as another array."""
    if out is None:
        return np.asarray(x).view()
    out[...] = x
    return out


@dataclass(frozen=True)
class Stored(Precision):
    """Double precision, in which constants are rounded to the type in which a profile stores them.

    Attributes:
        profile: the profile.
    """

    profile: Profile

    def hold(self, array: Array) -> Array:
        """Return an array as it is held; plain numbers, of rank 0, are in the type of the arithmetic."""
        stored = self.profile.stored_as(array.dtype)
        if stored is not None and array.ndim and stored.format == np.float16 != array.dtype:
            with np.errstate(over="ignore"):
                array = array.astype(stored.format)
        return super().hold(array)

    def form(self, declared: np.dtype[Any]) -> Form | None:
        """Return what makes of each result an array of its own, of which something of its own is known."""
        return _renewed


@dataclass(frozen=True)
class _Program:
    """A function of a program in double precision."""

    program: Program
    interface: Interface
    profile: Profile
    inputs: Sequence[Feature]
    outputs: Sequence[Feature]

    @cached_property
    def subject(self) -> Subject:
        """The function."""
        return ProgramSubject(self.program, self.profile)

    def given(self, inputs: Mapping[str, Any]) -> dict[str, Ball]:
        """Return what the function is given."""
        checked = features.check_inputs(self.inputs, inputs, coupled_shapes=True)
        return stored_values(self.program.inputs, self.interface.to_values(checked), self.profile)

    def states(self, contents: Mapping[str, Any]) -> States:
        """Return places for the states, whose contents are stored as values are."""
        cells = self.interface.cells()
        kept = State(self.interface.states, cells, self.interface.hold, self)
        for name, array in contents.items():
            kept.write(name, array)
        return States(
            {name: reseeded(cell, self.profile.stored_as(cell.type.tensor.dtype)) for name, cell in cells.items()}
        )

    def answers(self, bounds: Mapping[str, BlobBound]) -> dict[str, Answer]:
        """Return an answer for each output."""
        return {feature.name: self._answer(feature, bounds) for feature in self.outputs}

    def _answer(self, feature: Feature, bounds: Mapping[str, BlobBound]) -> Answer:
        result = self.program.results[feature.name]
        bound = bounds[result.name]
        if bound.labels:
            return Answer(bound.value, bound.radius, bound.check, bound.labels)
        value, radius = (self.interface.from_result(feature.name, part) for part in (bound.value, bound.radius))
        features.finish_output(feature, value)
        return finished(feature, Ball(value, radius), bound, converted=self._has_type(feature, result))

    def _has_type(self, feature: Feature, result: Value) -> bool:
        """Return whether the numbers of a result are of the type of an output, so that nothing becomes of them."""
        if result.tensor is None:
            return False
        stored = self.profile.stored_as(result.tensor.element.dtype)
        return stored is None or (feature.half and stored.format == np.float16)


def stored_program(model: Model, profile: Profile) -> tuple[Program, Interface]:
    """Return a function in double precision with constants as a profile stores them, and what is around it."""
    found = find_function(model.spec, model.function)
    precision = Stored("float64", PRECISIONS["float64"].held, False, profile)
    program = Program(
        model.spec.mlProgram,
        found.name,
        model.weight_files,
        precision=precision,
        strict=model.strict,
        budget=Budget(model.limits),
    )
    for operation in walk(program.function.body):
        if operation.kind == "custom_layer":  # registered or not
            raise _custom("code of the user's own", operation.where)
    program.check()
    return program, Interface(found.description, program)


def _program(model: Model, profile: Profile) -> _Program:
    return _Program(*stored_program(model, profile), profile, model.inputs, model.outputs)
