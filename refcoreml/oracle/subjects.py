"""What the oracle looks at: a network, or a function of an ML Program, with what only its dialect can say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from refcoreml.execution.engine import Trace
from refcoreml.execution.steps import Step
from refcoreml.mil.prepare import Typed
from refcoreml.mil.program import Program
from refcoreml.neuralnetwork.network import Network
from refcoreml.neuralnetwork.registry import Decoder, Node, WeightField
from refcoreml.ops import Op
from refcoreml.oracle.balls import EXACT, Rounding
from refcoreml.oracle.profiles import Profile
from refcoreml.oracle.radii import reseeded
from refcoreml.oracle.rules.table import Change, Constants, Layer
from refcoreml.spec.mil_types import DeclaredList, DeclaredState, DeclaredTensor, DeclaredType
from refcoreml.types import Array

__all__ = ["NetworkSubject", "ProgramSubject", "Subject"]


class Subject(Protocol):
    """Steps in double precision, and the arithmetic of what is judged by them."""

    @property
    def steps(self) -> Sequence[Step]:
        """What it runs."""

    def trace(self, inputs: Mapping[str, Any]) -> Trace:
        """Run step by step."""

    def constants(self) -> Iterator[tuple[Any, Any]]:
        """Yield the values that are the same in each run, with their radii."""

    def stored(self, step: Step) -> Sequence[Rounding | None]:
        """Return how each input of a step is stored; None for what nothing rounds."""

    def layer(self, step: Step, variants: dict[str, Any], inputs: Sequence[Any]) -> Layer:
        """Return what rules see of a step.

        Args:
            step: the step.
            variants: what was prepared for it before.
            inputs: the types of its inputs.
        """


# ---- Networks ----


@dataclass(frozen=True)
class _Changed:
    """A source that changes weights as they are decoded."""

    change: Change
    known: Constants

    def read(self, node: Node, field: WeightField) -> Any:
        """Return the decoded weights, changed."""
        values = np.asarray(Decoder().read(node, field), np.float64)
        radius = self.known.radius(values, field.message, field.channel_axis)
        return self.change(values, radius, field.name == "bias")


@dataclass(frozen=True)
class NetworkSubject:
    """A network in double precision.

    Attributes:
        network: the network.
        rounding: the arithmetic within layers.
        known: how far the network's own numbers may be off.
        storage: how blobs are rounded when they are stored, if that is not the arithmetic's type.
    """

    network: Network
    rounding: Rounding
    known: Constants
    storage: Rounding | None = None

    @property
    def steps(self) -> Sequence[Step]:
        """The layers."""
        return self.network.steps

    def trace(self, inputs: Mapping[str, Any]) -> Trace:
        """Run layer by layer."""
        return self.network.trace(inputs)

    def constants(self) -> Iterator[tuple[Any, Any]]:
        """Yield nothing: networks load constants by layers."""
        yield from ()

    def stored(self, step: Step) -> Sequence[Rounding | None]:
        """Return how blobs are stored: all alike."""
        return [self.storage or self.rounding] * len(step.inputs)

    def layer(self, step: Step, variants: dict[str, Any], inputs: Sequence[Any]) -> Layer:
        """Return a layer."""
        prepare = partial(self._prepare, step)
        return Layer(step.op, prepare, self.rounding, self.known, self.storage, variants, inputs)

    def _prepare(self, step: Step, change: Change) -> Op:
        return self.network.operation(step, _Changed(change, self.known))


# ---- Programs ----


@dataclass(frozen=True)
class ProgramSubject:
    """A function of a program in double precision.

    Attributes:
        program: the function.
        profile: in which numbers implementations compute it.
    """

    program: Program
    profile: Profile

    @property
    def steps(self) -> Sequence[Step]:
        """The operations."""
        return self.program.engine.steps

    def trace(self, inputs: Mapping[str, Any]) -> Trace:
        """Run operation by operation."""
        return self.program.trace(inputs)

    def constants(self) -> Iterator[tuple[Any, Any]]:
        """Yield the constants that operations take as values."""
        types = self._types()
        for name, value in self.program.engine.constants.items():
            yield value, reseeded(value, self._storage(types[name]))[1]

    def _types(self) -> dict[str, DeclaredType]:
        """Return the declared types of constants, by name."""
        operations = self.program.operations.values()
        values = [value for operation in operations for listed in operation.parameters.values() for value in listed]
        values += [value for operation in operations for block in operation.blocks for value in block.results]
        return {value.name: value.type for value in (*values, *self.program.function.body.results)}

    def stored(self, step: Step) -> Sequence[Rounding | None]:
        """Return how values are stored, by their declared types."""
        operation = self.program.operations[step.where]
        listed = [value for values in operation.parameters.values() for value in values]
        types = {value.name: value.type for value in listed}
        # An operand in a form of its own has the name of the parameter's value.
        return [self._storage(types[name]) for name in step.inputs]

    def _storage(self, declared: DeclaredType) -> Rounding | None:
        if isinstance(declared, DeclaredState):
            return self._storage(declared.wrapped)
        tensor = declared.element if isinstance(declared, DeclaredList) else declared
        return self.profile.stored_as(tensor.element.dtype) if isinstance(tensor, DeclaredTensor) else None

    def layer(self, step: Step, variants: dict[str, Any], inputs: Sequence[Any]) -> Layer:
        """Return an operation: stored as its first float is, computed exactly if it has none."""
        op = step.op
        assert isinstance(op, Typed)
        made = [each.element.dtype for each in op.outputs if isinstance(each, DeclaredTensor)]
        dtypes = [*made, *(dtype for dtype in op.inputs if dtype is not None)]
        stored = next(filter(None, map(self.profile.stored_as, dtypes)), None)
        rounding = EXACT if stored is None else self.profile.arithmetic
        storage = None if stored is None or stored.format == rounding.format else stored
        integers = not any(dtype.kind == "f" for dtype in made)
        prepare = partial(self._prepare, step)
        return Layer(op.running, prepare, rounding, self.profile, storage, variants, inputs, integers)

    def _prepare(self, step: Step, change: Change) -> Op:
        def changed(name: str, constant: Array) -> Array:
            values = np.asarray(self.program.precision.hold(constant), np.float64)
            stored = self.profile.stored_as(constant.dtype)
            return change(values, reseeded(values, stored)[1], name == "bias")

        return self.program.operation(step, changed)
