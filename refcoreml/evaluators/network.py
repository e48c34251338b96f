"""Networks, network classifiers and network regressors as models: features in, features out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from refcoreml.errors import InvalidModelError, LimitError
from refcoreml.evaluators.base import Evaluator, Layered, Settings, Trace, blaming_inputs, shapes_of_inputs
from refcoreml.execution.arithmetic import arithmetic
from refcoreml.execution.engine import Observer
from refcoreml.execution.steps import Step
from refcoreml.neuralnetwork.interface import Interface
from refcoreml.neuralnetwork.network import Network
from refcoreml.spec import schema
from refcoreml.types import Array, Shape


class NeuralNetworkEvaluator(Evaluator):
    """Runs a model of type ``neuralNetwork``, ``neuralNetworkClassifier`` or ``neuralNetworkRegressor``."""

    def __init__(self, spec: schema.Model, settings: Settings) -> None:
        kind, problems = str(spec.WhichOneof("Type")), settings.problems
        message = getattr(spec, kind)
        chosen = arithmetic(settings.precision)
        self.interface = Interface(spec.description, message, chosen.dtype, problems)
        self.network = Network(
            message.layers,
            inputs=self.interface.inputs,
            outputs=self.interface.outputs,
            rank5=self.interface.rank5,
            arithmetic=chosen,
            strict=settings.strict,
            custom_layers=settings.custom_layers,
            budget=settings.budget,
            where=kind,
            problems=problems,
        )
        self.legacy_ranks = self.interface.rank5
        self.layered = Layered(self.interface, self.network)
        # A first look at the shapes finds what does not fit before anybody predicts.
        if not self.interface.open_shapes and problems.sound(kind):
            shapes: dict[str, Shape] = {}
            with problems.part("types"):
                shapes = self.shapes()
            with problems.part("classifier.scores"):
                self.interface.check_outputs(shapes)

    def predict(self, inputs: Mapping[str, Any], observe: Observer | None = None) -> dict[str, Any]:
        """Compute the outputs by feature name from checked inputs."""
        given = self.interface.to_blobs(inputs)
        with self._blaming_inputs(given):
            blobs = self.network.run(given, observe)
        if self.interface.open_shapes:
            self.interface.check_outputs({name: blob.shape for name, blob in blobs.items()})
        return self.interface.from_blobs(blobs)

    def trace(self, inputs: Mapping[str, Any]) -> Trace:
        """Compute layer by layer."""
        blobs = self.interface.to_blobs(inputs)
        with self._blaming_inputs(blobs):
            events = self.network.trace(blobs)
        made = yield from events
        return partial(self.interface.from_blobs, made)

    def shapes(self, inputs: Mapping[str, Shape] | None = None) -> dict[str, Shape]:
        """Return the shapes of the blobs for those of the inputs, by default the declared ones; {} if any is open."""
        known = {**self.interface.default_shapes(), **(inputs or {})}
        if any(known.get(name) is None for name in self.network.inputs):
            return {}
        try:
            return self.network.shapes({name: known[name] for name in self.network.inputs})
        except InvalidModelError as error:
            if inputs and not isinstance(error, LimitError):
                raise shapes_of_inputs(error) from error
            raise

    @property
    def steps(self) -> Sequence[Step]:  # type: ignore[override]
        """The layers."""
        return self.network.steps

    def source_of(self, step: Step) -> object:
        """Return the layer's message."""
        return self.network.nodes[step.where].spec

    def adopt(self, step: Step, values: Sequence[Any], own: Sequence[Any]) -> Sequence[Any]:
        """Return blobs as the network's arithmetic stores them."""
        arithmetic = self.network.arithmetic
        return [arithmetic.store(x.astype(arithmetic.dtype)) for x in values]

    def _blaming_inputs(self, blobs: Mapping[str, Array]) -> AbstractContextManager[None]:
        """Blame the inputs for shapes that do not fit where the model declares no single shape; load checks others."""

        def look() -> None:
            self.shapes({name: blobs[name].shape for name in self.network.inputs})

        return blaming_inputs(self.interface.open_shapes, look)
