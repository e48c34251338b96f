"""What computes a model: the interface that every model type has, and what it is told."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from refcoreml.custom import Code
from refcoreml.errors import UnsupportedModelError
from refcoreml.kernels._types import Shape
from refcoreml.neuralnetwork.arithmetic import ARITHMETICS, Arithmetic
from refcoreml.neuralnetwork.limits import Budget
from refcoreml.neuralnetwork.network import Event, Observer
from refcoreml.spec import schema

#: Layers as they run, each computed when it is asked for; in the end, what makes the outputs of them.
Trace: TypeAlias = Generator[Event, None, Callable[[], dict[str, Any]]]


class Evaluator(Protocol):
    """What computes one type of model. Takes checked inputs, returns outputs that `features.finish_output`
    completes.
    """

    legacy_ranks: bool

    def predict(self, inputs: Mapping[str, Any], observe: Observer | None = None) -> dict[str, Any]:
        """Computes the outputs by name."""

    def trace(self, inputs: Mapping[str, Any]) -> Trace:
        """Computes layer by layer."""

    def shapes(self, inputs: Mapping[str, Shape] | None = None) -> dict[str, Shape]:
        """The shapes of the blobs, by name, without arithmetic."""


@dataclass(frozen=True)
class Settings:
    """How a model is to be run.

    Attributes:
        arithmetic: in which numbers networks compute.
        strict: whether what the specification leaves undefined is an error.
        custom_layers, custom_models: code by class name.
        evaluators: what runs each model type, for models that hold models.
        depth: how many models are around this one.
        budget: how much memory and time the model may take, and what its networks have taken of that.
    """

    arithmetic: Arithmetic = ARITHMETICS["float32"]
    strict: bool = True
    custom_layers: Mapping[str, Code] = field(default_factory=dict)
    custom_models: Mapping[str, Code] = field(default_factory=dict)
    evaluators: Mapping[str, MakeEvaluator] = field(default_factory=dict)
    depth: int = 0
    budget: Budget = field(default_factory=Budget)


#: Checks a model and prepares it.
MakeEvaluator: TypeAlias = Callable[[schema.Model, Settings], Evaluator]


def make_evaluator(spec: schema.Model, settings: Settings, where: str = "") -> Evaluator:
    """Prepares a model of any type that has an evaluator.

    Raises:
        UnsupportedModelError: its type has none, or refcoreml cannot run some of its layers.
        InvalidModelError: the model breaks a rule of the specification.
    """
    kind = str(spec.WhichOneof("Type"))
    if kind not in settings.evaluators:
        raise UnsupportedModelError(
            f"models of type {kind} can be inspected, but not run yet",
            where=where,
            remedy=f"Types that run: {', '.join(settings.evaluators)}",
        )
    return settings.evaluators[kind](spec, settings)
