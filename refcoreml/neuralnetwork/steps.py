"""Prepared layers at their places: `Step`, what shapes say about it, and which blobs it is the last to use."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from refcoreml.errors import RefCoreMLError
from refcoreml.kernels._types import Shape
from refcoreml.neuralnetwork.limits import LAYER_WORK, NUMBER_WORK, size_of
from refcoreml.neuralnetwork.registry import LAYERS, Node, Op

#: For so many shapes of inputs are the shapes of blobs remembered: a stream of ever new ones must not fill the memory.
MOST_SHAPES = 64


class Forecast(NamedTuple):
    """What follows from the shapes of a layer's inputs: the outputs' shapes, their bytes, and the work of a run."""

    shapes: tuple[Shape, ...]
    sizes: tuple[int, ...]
    work: int


@dataclass(frozen=True)
class Step:
    """A layer, prepared, at its place in the network.

    Attributes:
        index: position in the ``layers`` of the network.
        node: the layer's message and surroundings.
        op: what to run.
        inputs, outputs: names of the blobs.
        last_uses: the blobs that nobody needs after this step.
        bodies: the steps of the networks inside a branch or loop, by the name of their field.
        model: the model inside a pipeline that the layer belongs to.
        parts: the steps that this one runs as one, see `refcoreml.neuralnetwork.fusion`; none for a single layer.
    """

    index: int
    node: Node
    op: Op
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    last_uses: tuple[str, ...] = ()
    bodies: Mapping[str, Sequence[Step]] = field(default_factory=dict)
    model: str = ""
    parts: tuple[Step, ...] = ()

    def __repr__(self) -> str:
        return f"<{self.node.where}>"

    @property
    def name(self) -> str:
        """The layer's name in the model."""
        return self.node.spec.name

    @property
    def kind(self) -> str:
        """The layer's type as the schema calls it."""
        return self.node.kind

    def forecast(self, inputs: tuple[Shape, ...]) -> Forecast | None:
        """What follows from the inputs' shapes, checked; None if the outputs' shapes depend on values.

        Of several layers that run as one it is None if they cannot, on inputs of these shapes.
        """
        return self._remembered(inputs)

    @cached_property
    def _remembered(self) -> Callable[[tuple[Shape, ...]], Forecast | None]:
        return lru_cache(maxsize=MOST_SHAPES)(self._forecast)

    def _forecast(self, inputs: tuple[Shape, ...]) -> Forecast | None:
        if self.op.shape is None:
            return None
        shapes: Any = self.op.shape(*inputs)
        if shapes is None:
            return None
        shapes = shapes if len(self.outputs) != 1 or (shapes and isinstance(shapes[0], tuple)) else (shapes,)
        return self.made(inputs, tuple(shapes))

    def made(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Forecast:
        """The forecast once the outputs' shapes are known; refuses those that no blob may have."""
        for name, shape in zip(self.outputs, outputs, strict=True):
            self.node.check_shape(shape, f"output {name!r}")
        itemsize = np.dtype(self.node.dtype).itemsize
        numbers = sum(math.prod(shape) for shape in (*inputs, *outputs))
        products = self.op.work(inputs, outputs) if self.op.work is not None else 0
        sizes = tuple(size_of(shape, itemsize) for shape in outputs)
        return Forecast(outputs, sizes, LAYER_WORK + NUMBER_WORK * numbers + products)

    def fits(self, inputs: tuple[Shape, ...]) -> bool:
        """Whether `parts` may run as one on inputs of these shapes; if not, each is to run by itself and say why."""
        try:
            return self.forecast(inputs) is not None
        except RefCoreMLError:
            return False


def prepare(nodes: Sequence[Node]) -> list[Step]:
    """Prepare every layer, those within branches and loops included."""
    return [
        Step(
            index,
            node,
            LAYERS[node.kind].prepare(node),
            tuple(node.inputs),
            tuple(node.outputs),
            bodies={field: prepare(body) for field, body in node.bodies.items()},
        )
        for index, node in enumerate(nodes)
    ]


def inner_steps(step: Step) -> Iterator[Step]:
    """The steps within a branch or loop, at any depth."""
    for body in step.bodies.values():
        for inner in body:
            yield inner
            yield from inner_steps(inner)


def _reads(step: Step) -> Iterator[str]:
    yield from step.inputs
    for inner in inner_steps(step):
        yield from inner.inputs
        if inner.kind == "loop":
            yield inner.node.params.conditionVar


def writes(step: Step) -> Iterator[str]:
    """The blobs that a step makes, those within a branch or loop included."""
    for part in (step, *inner_steps(step)):
        yield from part.outputs


def with_last_uses(steps: Sequence[Step], outputs: Sequence[str]) -> list[Step]:
    """Note at each step the blobs that can be freed after it: those not used later, nor wanted as outputs.

    Inside branches and loops nothing is freed, since another round may need it.
    """
    needed = set(outputs)
    result = []
    for step in reversed(steps):
        last = tuple(dict.fromkeys(name for name in (*_reads(step), *writes(step)) if name not in needed))
        needed.update(last)
        result.append(replace(step, last_uses=last))
    return result[::-1]
