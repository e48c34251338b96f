"""A network, ready to run on blobs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from refcoreml.errors import RefCoreMLWarning
from refcoreml.execution.arithmetic import ARITHMETICS, Arithmetic
from refcoreml.execution.engine import Change, Engine, Observer, Trace
from refcoreml.execution.limits import Budget
from refcoreml.execution.steps import Step
from refcoreml.kernels.half import listed, losses
from refcoreml.neuralnetwork import layers as _layers  # noqa: F401 (importing them fills the table)
from refcoreml.neuralnetwork.graph import checked_nodes, walk_layers
from refcoreml.neuralnetwork.registry import Decoder, Node, WeightSource
from refcoreml.neuralnetwork.steps import may_be_scalars, operation, prepared
from refcoreml.ops import Op
from refcoreml.problems import RAISED, Problems
from refcoreml.spec import schema
from refcoreml.types import Array, Shape, TensorType

__all__ = ["Network"]


class Network:
    """A ``NeuralNetwork`` message, ready to run on blobs. Immutable; several threads may run it at once.

    Attributes:
        engine: what runs its layers.
        nodes: what each step was prepared from, by its place, see `Step.where`.
    """

    def __init__(
        self,
        layers: Sequence[schema.NeuralNetworkLayer],
        *,
        inputs: Iterable[str],
        outputs: Iterable[str],
        rank5: bool,
        arithmetic: Arithmetic = ARITHMETICS["float32"],
        strict: bool = True,
        custom_layers: Mapping[str, Callable[..., Any]] | None = None,
        budget: Budget | None = None,
        where: str = "neuralNetwork",
        problems: Problems = RAISED,
        source: WeightSource | None = None,
    ) -> None:
        """Check the graph, prepares every layer.

        Args:
            layers: the layers in their order, which must be topological.
            inputs: names of the blobs that `run` will be given.
            outputs: names of the blobs that `run` is to return.
            rank5: whether blobs are static ``[Seq, Batch, C, H, W]``.
            arithmetic: in which numbers to compute.
            strict: whether what the specification leaves undefined, such as an index out of range, is an error.
            custom_layers: the code of custom layers, by class name; see `refcoreml.custom`.
            budget: how much it may take; other networks of the model may share it.
            where: the network's place in the model, for errors.
            problems: where checks report. Where there is one, the network has only the layers before it.
            source: where weights come from, if not from the layers.

        Raises:
            UnsupportedModelError: some layers have no implementation; names them all.
            InvalidModelError: the graph or a layer breaks a rule of the specification.
            LimitError: the weights are larger than the budget allows.
        """
        self.inputs, self.outputs, self.arithmetic, self.where = tuple(inputs), tuple(outputs), arithmetic, where
        lost: list[str] = []
        budget = budget or Budget()
        nodes = checked_nodes(
            layers,
            where,
            self.inputs,
            self.outputs,
            problems=problems,
            lost=lost,
            dtype=arithmetic.dtype,
            rank5=rank5,
            round=arithmetic.round,
            strict=strict,
            custom_layers=custom_layers or {},
            budget=budget,
            source=source or Decoder(),
        )
        self.nodes: Mapping[str, Node] = {node.where: node for node in walk_layers(nodes)}
        self._scalars = may_be_scalars(node for node in self.nodes.values() if problems.sound(node.where))
        with np.errstate(all="ignore"):  # weights may be infinite
            steps = prepared(nodes, self._scalars, problems)
        self.engine = Engine(steps, self.inputs, self.outputs, budget, where)
        if lost:
            warnings.warn(
                f"precision {arithmetic.name!r} loses numbers of {len(lost)} fields of weights: {listed(lost)}",
                RefCoreMLWarning,
                stacklevel=2,
            )

    @property
    def steps(self) -> Sequence[Step]:
        """Its layers, prepared."""
        return self.engine.steps

    def run(self, inputs: Mapping[str, Array], observe: Observer | None = None) -> dict[str, Array]:
        """Compute the output blobs from the input blobs.

        With an observer every layer runs on its own; without one, elementwise layers may be fused into the layer
        before, which changes no bit of the result, and no refusal.
        """
        return self.engine.run(self._stored(inputs), observe)

    def trace(self, inputs: Mapping[str, Array], change: Change | None = None) -> Trace:
        """Run layer by layer, each when the caller requests the next, with outputs changed if requested."""
        return self.engine.trace(self._stored(inputs), change)

    def shapes(self, inputs: Mapping[str, Shape]) -> dict[str, Shape]:
        """Return the shape of every blob, computed from those of the inputs without running a layer.

        Blobs whose shape depends on values, or changes while a loop runs, are missing from the answer, and so are those
        computed from them.

        Raises:
            InvalidModelError: shapes do not fit a layer.
            LimitError: the network would take more memory or time than its limits allow.
        """
        dtype = np.dtype(self.arithmetic.dtype)
        found = self.engine.types({name: TensorType(dtype, tuple(inputs[name])) for name in self.inputs})
        return {name: known.shape for name, known in found.items() if isinstance(known, TensorType)}

    def operation(self, step: Step, source: WeightSource) -> Op:
        """Prepare the layer of a step again, with weights from another source."""
        node = self.nodes[step.where]
        with np.errstate(all="ignore"):
            return operation(replace(node, budget=Budget(node.limits), source=source, lost=[]), self._scalars)

    def _stored(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        if self.arithmetic.round is None:
            return inputs
        stored = {name: self.arithmetic.store(array) for name, array in inputs.items()}
        for name, array in inputs.items():
            found = losses(array, stored[name])
            if found:
                text = f"precision {self.arithmetic.name!r} loses numbers of input {name!r}: {found}"
                warnings.warn(text, RefCoreMLWarning, stacklevel=3)
        return stored
