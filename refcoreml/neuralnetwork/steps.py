"""Prepared layers at their places: `Step`, what shapes say about it, and which blobs it is the last to use."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from refcoreml.errors import InputError, RefCoreMLError, at
from refcoreml.execution.limits import LAYER_WORK, NUMBER_WORK, beyond, refuse_memory, remedy, size_of
from refcoreml.neuralnetwork.registry import LAYERS, Node, prepare_layer
from refcoreml.ops import Op
from refcoreml.types import Array, Shape, TensorType

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
        scalars: whether the layer distinguishes blobs of rank 0 from blobs [1], or never meets one.
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
    scalars: bool = True

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

    def taken(self, arguments: Sequence[Array]) -> Sequence[Array]:
        """Return the inputs as the layer takes them."""
        return arguments if self.scalars else [x if x.ndim else x.reshape(1) for x in arguments]

    def _forecast(self, inputs: tuple[Shape, ...]) -> Forecast | None:
        dtype = np.dtype(self.node.dtype)
        given = [TensorType(dtype, shape if self.scalars else shape or (1,)) for shape in inputs]
        with at(self.node.where):
            types = self.op.infer(*given)
        if types is None:
            return None
        types = types if isinstance(types, tuple) else (types,)
        scratch = self.op.scratch(given, types)
        refuse_memory("the layer needs for itself", scratch, self.node.limits, self.node.where)
        return self.made(inputs, tuple(found.shape for found in types))

    def check_values(self, arguments: Sequence[Array]) -> None:
        """Refuse inputs whose values ask for outputs that are too large, before these are made.

        To be called where `forecast` knows nothing.
        """
        with at(self.node.where):
            types = self.op.infer_from(*self.taken(arguments))
            for found in types if isinstance(types, tuple) else (types,) if types else ():
                size = size_of(found.shape, found.dtype.itemsize)
                if too_large := beyond(size, self.node.limits):
                    problem = f"an output would have the shape {found.shape}, {too_large}"
                    raise InputError(problem, remedy=remedy("memory", size))

    def made(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Forecast:
        """The forecast once the outputs' shapes are known; refuses those that no blob may have."""
        for name, shape in zip(self.outputs, outputs, strict=True):
            self.node.check_shape(shape, f"output {name!r}")
        itemsize = np.dtype(self.node.dtype).itemsize
        numbers = sum(math.prod(shape) for shape in (*inputs, *outputs))
        products = self.op.work(inputs, outputs)
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
    return [_prepared(index, node) for index, node in enumerate(nodes)]


def _prepared(index: int, node: Node) -> Step:
    op = prepare_layer(node)
    op.prepare()
    return Step(
        index,
        node,
        op,
        tuple(node.inputs),
        tuple(node.outputs),
        bodies={field: prepare(body) for field, body in node.bodies.items()},
        scalars=node.rank5 or LAYERS[node.kind].scalars,
    )


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
