"""What computes a model: the interface that every model type has, what it declares, and its settings."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from refcoreml.custom import Code
from refcoreml.errors import InputError, InvalidModelError, LimitError, UnsupportedModelError, found_by, within
from refcoreml.evaluators.state import State
from refcoreml.execution.blame import of_inputs
from refcoreml.execution.engine import Event, Observer
from refcoreml.execution.limits import Budget
from refcoreml.execution.steps import Step
from refcoreml.features import Feature, check_inputs
from refcoreml.kernels.threads import for_each
from refcoreml.mil.interface import Interface as ProgramInterface
from refcoreml.mil.program import Program
from refcoreml.neuralnetwork.interface import Interface
from refcoreml.neuralnetwork.network import Network
from refcoreml.problems import RAISED, Problems
from refcoreml.spec import schema
from refcoreml.spec.blobs import BlobFiles
from refcoreml.types import Shape

#: Layers as they run, each computed when it is requested; at the end, a function that returns the outputs.
Trace: TypeAlias = Generator[Event, None, Callable[[], dict[str, Any]]]


#: Makes the checked inputs of a sample from what the user passed.
Check: TypeAlias = Callable[[Mapping[str, Any]], dict[str, Any]]
#: Makes the outputs, in the types of their features, from what an evaluator computed.
Finish: TypeAlias = Callable[[Mapping[str, Any]], dict[str, Any]]

#: A batch goes to threads when its second sample took longer than this, in seconds; below, threads cost more than they
#: gain.
_WORTH_A_THREAD = 2e-3


class Layered(NamedTuple):
    """A network between its features: what questions about layers, their bounds and preprocessing are about."""

    interface: Interface
    network: Network


class Programmed(NamedTuple):
    """A function of an ML Program between its features: what questions about its rounding are about."""

    interface: ProgramInterface
    program: Program


class Evaluator(ABC):
    """Computes one type of model: takes checked inputs, returns outputs that `features.finish_output` completes.

    What an evaluator can do it declares here, so that nothing depends on its class.

    Attributes:
        legacy_ranks: whether array inputs become static rank-5 blobs, see `features.check_inputs`.
        coupled_shapes: whether inputs that enumerate their shapes take those of one position together, and no mixtures.
        states: the names of what it keeps from one prediction to the next; see `make_state`.
        layered: the network, of a model that is a single one; None where nothing has layers, or several models do.
        programmed: likewise the function, of an ML Program.
        steps: the layers or operations of a model that is a single network or program; none elsewhere.
        constants: the names of values that are the same in each run.
        inner: what runs the models inside of this one, in order.
    """

    steps: Sequence[Step] = ()
    constants: Collection[str] = ()
    legacy_ranks: bool = False
    coupled_shapes: bool = False
    states: Sequence[str] = ()
    layered: Layered | None = None
    programmed: Programmed | None = None
    inner: Sequence[Evaluator] = ()

    @abstractmethod
    def predict(self, inputs: Mapping[str, Any], observe: Observer | None = None) -> dict[str, Any]:
        """Compute the outputs by feature name from checked inputs."""

    def check_inputs(self, features: Sequence[Feature], inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return inputs as `predict` takes them, see `features.check_inputs`."""
        return check_inputs(features, inputs, legacy_ranks=self.legacy_ranks, coupled_shapes=self.coupled_shapes)

    def predict_batch(self, batch: Sequence[Mapping[str, Any]], check: Check, finish: Finish) -> list[dict[str, Any]]:
        """Compute the outputs of several samples, on all cores where that is worth it.

        A sample is checked right before it is computed and finished right after, so that few are in memory at once.
        """
        results: list[dict[str, Any]] = [{}] * len(batch)

        def predict(index: int) -> None:
            with within(f"sample {index}"):
                results[index] = finish(self.predict(check(batch[index])))

        # The first sample warms caches up, the second tells what a sample costs.
        seconds = 0.0
        for index in range(min(2, len(batch))):
            started = time.perf_counter()
            predict(index)
            seconds = time.perf_counter() - started
        rest = range(2, len(batch))
        if seconds < _WORTH_A_THREAD:
            for index in rest:
                predict(index)
        else:
            for_each(predict, rest)
        return results

    def trace(self, inputs: Mapping[str, Any]) -> Trace:
        """Compute layer by layer; by default there are none."""
        yield from ()
        return partial(self.predict, inputs)

    def shapes(self, inputs: Mapping[str, Shape] | None = None) -> dict[str, Shape]:
        """Return the shapes of the blobs, by name, without arithmetic; by default there are none."""
        return {}

    def source_of(self, step: Step) -> object:
        """Return what a step of its own was prepared from: equal where operations and weights are stored alike."""
        return step

    def adopt(self, step: Step, values: Sequence[Any], own: Sequence[Any]) -> Sequence[Any]:
        """Return what a step of its own takes if it is given the values that such a step of another model took.

        Args:
            step: the step.
            values: of the other model, in the form in which that one holds them.
            own: what the step took in a run of this model.
        """
        return values

    def make_state(self, owner: object) -> State:
        """Return new arrays for what it keeps from one prediction to the next, for predictions of an owner."""
        return State((), {}, lambda array: array, owner)


@contextmanager
def blaming_inputs(shapes_vary: bool, look: Callable[[], object]) -> Iterator[None]:
    """Blame the inputs for shapes that do not fit where the model declares no single shape.

    Args:
        shapes_vary: whether it declares none; shapes that it declares are checked when it is loaded.
        look: infers shapes from those of the inputs; raises if they are to blame.
    """
    try:
        yield
    except InvalidModelError as error:
        if shapes_vary and not isinstance(error, LimitError):
            look()
        raise


def shapes_of_inputs(error: InvalidModelError) -> InputError:
    """Return the same conflict of shapes, as one of the inputs."""
    made = of_inputs(error, ", with model inputs of these shapes")
    made.shapes = error.shapes
    return made


@dataclass(frozen=True)
class Settings:
    """How a model is to be run.

    Attributes:
        precision: in which numbers to compute, by name; see `ARITHMETICS`, and `PRECISIONS` of programs.
        strict: whether what the specification leaves undefined is an error.
        custom_layers, custom_models: code by class name.
        evaluators: what runs each model type, for models that hold models.
        depth: how many models are around this one.
        function: the function of an ML Program to run; empty for the default one.
        budget: how much memory and time the model may take, and what its networks have taken of that.
        weight_files: the files of weights of ML Programs, also of those in a pipeline, if there is a place for them.
        problems: where checks report.
    """

    precision: str = "declared"
    strict: bool = True
    custom_layers: Mapping[str, Code] = field(default_factory=dict)
    custom_models: Mapping[str, Code] = field(default_factory=dict)
    evaluators: Mapping[str, MakeEvaluator] = field(default_factory=dict)
    depth: int = 0
    function: str = ""
    budget: Budget = field(default_factory=Budget)
    weight_files: BlobFiles | None = None
    problems: Problems = RAISED


#: Checks a model and prepares it.
MakeEvaluator: TypeAlias = Callable[[schema.Model, Settings], Evaluator]


def make_evaluator(spec: schema.Model, settings: Settings, where: str = "") -> Evaluator:
    """Prepare a model of any type that has an evaluator.

    Raises:
        UnsupportedModelError: its type has none, or refcoreml cannot run some of its layers.
        InvalidModelError: the model breaks a rule of the specification.
    """
    kind = str(spec.WhichOneof("Type"))
    if kind not in settings.evaluators:
        with found_by("model.type"):
            raise UnsupportedModelError(
                f"models of type {kind} can be inspected, but not run yet",
                where=where,
                remedy=what_to_do(settings),
            )
    return settings.evaluators[kind](spec, settings)


def what_to_do(settings: Settings) -> str:
    """Return the remedy for models of types that have no evaluator."""
    return f"Types that run: {', '.join(settings.evaluators)}"
