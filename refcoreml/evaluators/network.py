"""Networks, network classifiers and network regressors as models: features in, features out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from refcoreml.evaluators.base import Evaluator, Layered, Settings, Trace
from refcoreml.kernels._types import Shape
from refcoreml.neuralnetwork.interface import Interface
from refcoreml.neuralnetwork.network import Network, Observer
from refcoreml.spec import schema


class NeuralNetworkEvaluator(Evaluator):
    """Runs a model of type ``neuralNetwork``, ``neuralNetworkClassifier`` or ``neuralNetworkRegressor``."""

    def __init__(self, spec: schema.Model, settings: Settings) -> None:
        kind = str(spec.WhichOneof("Type"))
        message = getattr(spec, kind)
        self.interface = Interface(spec.description, message, settings.arithmetic.dtype)
        self.network = Network(
            message.layers,
            inputs=self.interface.inputs,
            outputs=self.interface.outputs,
            rank5=self.interface.rank5,
            arithmetic=settings.arithmetic,
            strict=settings.strict,
            custom_layers=settings.custom_layers,
            budget=settings.budget,
            where=kind,
        )
        self.legacy_ranks = self.interface.rank5
        self.layered = Layered(self.interface, self.network)
        # A first look at the shapes finds what does not fit before anybody predicts.
        if not self.interface.open_shapes:
            self.interface.check_outputs(self.shapes())

    def predict(self, inputs: Mapping[str, Any], observe: Observer | None = None) -> dict[str, Any]:
        """Computes the outputs by feature name from checked inputs."""
        blobs = self.network.run(self.interface.to_blobs(inputs), observe)
        if self.interface.open_shapes:
            self.interface.check_outputs({name: blob.shape for name, blob in blobs.items()})
        return self.interface.from_blobs(blobs)

    def trace(self, inputs: Mapping[str, Any]) -> Trace:
        """Computes layer by layer."""
        blobs = self.interface.to_blobs(inputs)
        kept = {name: blobs[name] for name in self.network.outputs if name in blobs}
        for event in self.network.trace(blobs):
            yield event
            made = zip(event.step.outputs, event.outputs, strict=True)
            kept.update({name: blob for name, blob in made if name in self.network.outputs})
        return partial(self.interface.from_blobs, kept)

    def shapes(self, inputs: Mapping[str, Shape] | None = None) -> dict[str, Shape]:
        """The shapes of the blobs, from those of the input blobs or else the declared ones; empty if these are open."""
        known = {**self.interface.default_shapes(), **(inputs or {})}
        if any(known.get(name) is None for name in self.network.inputs):
            return {}
        return self.network.shapes({name: known[name] for name in self.network.inputs})
