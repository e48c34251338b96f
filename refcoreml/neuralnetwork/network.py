"""The engine: prepares each layer once, then runs them in order over a dictionary of named blobs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from refcoreml.errors import InputError, InternalError, InvalidModelError, RefCoreMLError
from refcoreml.execution.arithmetic import ARITHMETICS, Arithmetic
from refcoreml.execution.limits import Budget, Meter, size_of
from refcoreml.features import RefCoreMLWarning
from refcoreml.kernels.half import listed, losses
from refcoreml.neuralnetwork import layers as _layers  # noqa: F401 (importing them fills the table)
from refcoreml.neuralnetwork.fusion import fuse
from refcoreml.neuralnetwork.graph import checked_nodes
from refcoreml.neuralnetwork.inference import Inference, infer
from refcoreml.neuralnetwork.steps import MOST_SHAPES, Forecast, Step, prepare, with_last_uses
from refcoreml.spec import schema
from refcoreml.types import Array, Shape

__all__ = ["Event", "Network", "Observer", "Step"]


#: A blob, or whatever stands for it.
Blob = TypeVar("Blob")


class Observer(Protocol):
    """Is shown every layer as it has run: for traces, statistics, calibration, comparison."""

    def __call__(self, step: Step, inputs: Sequence[Array], outputs: Sequence[Array], /) -> None:
        """Called in order of execution. The arrays are the network's own: look, do not write."""


#: How often branches and loops may run their networks in one prediction. Nested loops multiply.
ROUND_LIMIT = 1 << 18


class Event(NamedTuple):
    """A layer as it ran.

    Attributes:
        step: the layer.
        inputs, outputs: its arrays.
        computed: the outputs before they were rounded to the storage type; the same arrays where nothing is rounded.
    """

    step: Step
    inputs: Sequence[Array]
    outputs: tuple[Array, ...]
    computed: tuple[Array, ...]


class Network:
    """A ``NeuralNetwork`` message, ready to run on blobs. Immutable; several threads may run it at once."""

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
    ) -> None:
        """Checks the graph, prepares every layer.

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

        Raises:
            UnsupportedModelError: some layers have no implementation; names them all.
            InvalidModelError: the graph or a layer breaks a rule of the specification.
            LimitError: the weights are larger than the budget allows.
        """
        self.inputs, self.outputs, self.arithmetic, self.where = tuple(inputs), tuple(outputs), arithmetic, where
        lost: list[str] = []
        self._budget = budget or Budget()
        nodes = checked_nodes(
            layers,
            where,
            self.inputs,
            self.outputs,
            lost=lost,
            dtype=arithmetic.dtype,
            rank5=rank5,
            round=arithmetic.store,
            strict=strict,
            custom_layers=custom_layers or {},
            budget=self._budget,
        )
        self.steps = with_last_uses(prepare(nodes), self.outputs)
        if lost:
            warnings.warn(
                f"precision {arithmetic.name!r} loses numbers of {len(lost)} fields of weights: {listed(lost)}",
                RefCoreMLWarning,
                stacklevel=2,
            )
        # Rounding to a narrower storage type happens between layers, so that layers cannot be fused.
        self._fused = fuse(self.steps, self.outputs) if arithmetic.round is None else self.steps
        self._inferred = lru_cache(maxsize=MOST_SHAPES)(self._infer)

    def run(self, inputs: Mapping[str, Array], observe: Observer | None = None) -> dict[str, Array]:
        """Computes the output blobs from the input blobs.

        With an observer every layer runs on its own; without one, elementwise layers may be fused into the layer
        before, which changes no bit of the result, and no refusal.
        """
        run = self._start(inputs)
        for event in run.walk(self._fused if observe is None else self.steps):
            if observe is not None:
                observe(event.step, event.inputs, event.outputs)
        return {name: existing(run.blobs, name, self.where) for name in self.outputs}

    def trace(self, inputs: Mapping[str, Array]) -> Iterator[Event]:
        """Run layer by layer, each when the caller asks for the next."""
        return self._start(inputs).walk(self.steps)

    def _start(self, inputs: Mapping[str, Array]) -> _Run:
        """A run of which all is checked that can be checked in advance."""
        complete = self._inferred(tuple(inputs[name].shape for name in self.inputs)).complete
        return _Run(self, self._stored_inputs(inputs), None if complete else Meter(self._budget))

    def _stored_inputs(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        if self.arithmetic.round is None:
            return dict(inputs)
        stored = {name: self.arithmetic.store(array) for name, array in inputs.items()}
        for name, array in inputs.items():
            found = losses(array, stored[name])
            if found:
                text = f"precision {self.arithmetic.name!r} loses numbers of input {name!r}: {found}"
                warnings.warn(text, RefCoreMLWarning, stacklevel=3)
        return stored

    def stored(self, computed: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return the outputs of `run_step` as the arithmetic stores them."""
        return computed if self.arithmetic.round is None else tuple(map(self.arithmetic.round, computed))

    def run_alone(self, step: Step, arguments: Sequence[Array]) -> tuple[Array, ...]:
        """Check the shapes of some arrays and run one layer on them, no branch or loop."""
        if step.forecast(_shapes(arguments)) is None:
            step.check_values(arguments)
        return self.run_step(step, arguments)

    def run_step(self, step: Step, arguments: Sequence[Array]) -> tuple[Array, ...]:
        """Run one layer, no branch or loop, on arrays whose shapes have been checked."""
        try:
            with np.errstate(all="ignore"):
                results = step.op.run(*step.taken(arguments))
        except RefCoreMLError as error:
            error.where = error.where or step.node.where
            raise
        except MemoryError as error:
            raise InvalidModelError(f"not enough memory for {_came(step, arguments)}", where=step.node.where) from error
        except Exception as error:
            raise InternalError(
                f"failed on {_came(step, arguments)}: {type(error).__name__}: {error}",
                where=step.node.where,
                remedy="Please report it",
            ) from error
        return results if isinstance(results, tuple) else (results,)

    def shapes(self, inputs: Mapping[str, Shape]) -> dict[str, Shape]:
        """The shape of every blob, computed from those of the inputs without running a layer.

        Blobs whose shape depends on values, or changes while a loop runs, are missing from the answer, and so are those
        computed from them.

        Raises:
            InvalidModelError: shapes do not fit a layer.
            LimitError: the network would take more memory or time than its limits allow.
        """
        return dict(self._inferred(tuple(tuple(inputs[name]) for name in self.inputs)).shapes)

    def _infer(self, inputs: tuple[Shape, ...]) -> Inference:
        named = dict(zip(self.inputs, inputs, strict=True))
        meter, itemsize = Meter(self._budget), np.dtype(self.arithmetic.dtype).itemsize
        meter.hold(named, [size_of(shape, itemsize) for shape in named.values()], self.where)
        return infer(self.steps, named, meter)


def existing(blobs: Mapping[str, Blob], name: str, where: str) -> Blob:
    """A blob, or what is known of it; raises `InputError` if its layer never ran."""
    try:
        return blobs[name]
    except KeyError:
        raise InputError(f"blob {name!r} does not exist, because no round of its loop was run", where=where) from None


class _Run:
    """One run of a network.

    Attributes:
        blobs: those that exist, by name.
    """

    def __init__(self, network: Network, blobs: dict[str, Array], meter: Meter | None) -> None:
        self.blobs = blobs
        self._network, self._meter = network, meter
        self._rounds = iter(range(ROUND_LIMIT))
        if meter is not None:
            meter.hold(blobs, [array.nbytes for array in blobs.values()], network.where)

    def walk(self, steps: Sequence[Step]) -> Iterator[Event]:
        """Run some steps, each when the caller asks for the next."""
        for step in steps:
            arguments = [existing(self.blobs, name, step.node.where) for name in step.inputs]
            if step.op.control is not None:
                yield from step.op.control(self.blobs, partial(self._walk_body, step))
            elif step.parts and not step.fits(_shapes(arguments)):
                del arguments
                yield from self.walk(step.parts)
            else:
                computed = self._compute(step, arguments)
                results = self._network.stored(computed)
                yield Event(step, arguments, results, computed)
                del computed
                self.blobs.update(zip(step.outputs, results, strict=True))
            for name in step.last_uses:
                self.blobs.pop(name, None)
            if self._meter is not None:
                self._meter.free(step.last_uses)

    def _walk_body(self, step: Step, name: str) -> Iterator[Event]:
        if next(self._rounds, None) is None:
            raise InputError(f"loops have run {ROUND_LIMIT} times in all, taken for endless", where=step.node.where)
        return self.walk(step.bodies[name])

    def _compute(self, step: Step, arguments: Sequence[Array]) -> tuple[Array, ...]:
        """The outputs of a step that is neither branch nor loop.

        Shapes are checked here, and what the step takes is counted, unless all that was done in advance: a shape may
        depend on values, on the branch that was taken, and on how often a loop ran.
        """
        if self._meter is None:
            return self._network.run_step(step, arguments)
        first = step.parts[0] if step.parts else step
        given = _shapes(arguments)[: len(first.inputs)]
        forecast = first.forecast(given)
        if forecast is not None:
            self._count(self._meter, first, forecast)
        else:
            first.check_values(arguments[: len(given)])
        results = self._network.run_step(step, arguments)
        if forecast is None:
            self._count(self._meter, first, first.made(given, _shapes(results)))
        if step.parts:
            self._count_parts(self._meter, step.parts, results[0].shape)
        return results

    def _count(self, meter: Meter, step: Step, forecast: Forecast) -> None:
        meter.spend(forecast.work, step.node.where)
        meter.hold(step.outputs, forecast.sizes, step.node.where)

    def _count_parts(self, meter: Meter, parts: Sequence[Step], shape: Shape) -> None:
        """Count all but the first as if each had run by itself; their blobs are all of one shape."""
        for before, part in pairwise(parts):
            meter.free(before.last_uses)
            forecast = part.forecast((shape,) * len(part.inputs))
            assert forecast is not None
            self._count(meter, part, forecast)
        meter.free(parts[-1].last_uses)


def _shapes(arrays: Sequence[Array]) -> tuple[Shape, ...]:
    return tuple([array.shape for array in arrays])


def _came(step: Step, arguments: Sequence[Array]) -> str:
    return ", ".join(f"{name} {array.shape}" for name, array in zip(step.inputs, arguments, strict=True))
