"""The engine: prepares each layer once, then runs them in order over a dictionary of named blobs."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from refcoreml.errors import CallbackError, InputError, InternalError, InvalidModelError, RefCoreMLError
from refcoreml.features import RefCoreMLWarning
from refcoreml.kernels._types import Array, Shape
from refcoreml.kernels.half import listed, losses
from refcoreml.neuralnetwork import layers as _layers  # noqa: F401 (importing them fills the table)
from refcoreml.neuralnetwork.arithmetic import ARITHMETICS, Arithmetic
from refcoreml.neuralnetwork.graph import checked_nodes
from refcoreml.neuralnetwork.registry import LAYERS, MEMORY_LIMIT, Blobs, Node, Op, channels_first
from refcoreml.spec import schema

__all__ = ["MEMORY_LIMIT", "Event", "Network", "Observer", "Step"]


#: A blob, or whatever stands for it.
Blob = TypeVar("Blob")


class Observer(Protocol):
    """Is shown every layer as it has run: for traces, statistics, calibration, comparison."""

    def __call__(self, step: Step, inputs: Sequence[Array], outputs: Sequence[Array], /) -> None:
        """Called in order of execution. The arrays are the network's own: look, do not write."""


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
        parts: the steps that this one runs as one, see `fuse`; none for a single layer.
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

    def shapes_of(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...] | None:
        """The outputs' shapes, checked; None if they depend on values, or if `parts` cannot run as one."""
        return self._remembered(inputs)

    @cached_property
    def _remembered(self) -> Callable[[tuple[Shape, ...]], tuple[Shape, ...] | None]:
        return lru_cache(maxsize=_MOST_SHAPES)(self._infer)

    def _infer(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...] | None:
        if self.op.shape is None:
            return None
        shapes: Any = self.op.shape(*inputs)
        if shapes is None:
            return None
        shapes = shapes if len(self.outputs) != 1 or (shapes and isinstance(shapes[0], tuple)) else (shapes,)
        for name, shape in zip(self.outputs, shapes, strict=True):
            self.node.check_shape(shape, f"output {name!r}")
        return tuple(shapes)

    def fits(self, inputs: tuple[Shape, ...]) -> bool:
        """Whether `parts` may run as one on inputs of these shapes; if not, each is to run by itself and say why."""
        try:
            return self.shapes_of(inputs) is not None
        except RefCoreMLError:
            return False


#: For so many shapes of inputs are the shapes of blobs remembered: a stream of ever new ones must not fill the memory.
_MOST_SHAPES = 64

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
            where: the network's place in the model, for errors.

        Raises:
            UnsupportedModelError: some layers have no implementation; names them all.
            InvalidModelError: the graph or a layer breaks a rule of the specification.
        """
        self.inputs, self.outputs, self.arithmetic, self.where = tuple(inputs), tuple(outputs), arithmetic, where
        lost: list[str] = []
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
        )
        self.steps = _with_last_uses(_prepare(nodes), self.outputs)
        if lost:
            warnings.warn(
                f"precision {arithmetic.name!r} loses numbers of {len(lost)} fields of weights: {listed(lost)}",
                RefCoreMLWarning,
                stacklevel=2,
            )
        # Rounding to a narrower storage type happens between layers, so that layers cannot be fused.
        self._fused = fuse(self.steps, self.outputs) if arithmetic.round is None else self.steps
        self._inferred = lru_cache(maxsize=_MOST_SHAPES)(self._infer)

    def run(self, inputs: Mapping[str, Array], observe: Observer | None = None) -> dict[str, Array]:
        """Computes the output blobs from the input blobs.

        With an observer every layer runs on its own; without one, elementwise layers may be fused into the layer
        before, which changes no bit of the result, and no refusal.
        """
        blobs = self._start(inputs)
        for event in self._walk(self._fused if observe is None else self.steps, blobs):
            if observe is not None:
                observe(event.step, event.inputs, event.outputs)
        return {name: existing(blobs, name, self.where) for name in self.outputs}

    def trace(self, inputs: Mapping[str, Array]) -> Iterator[Event]:
        """Run layer by layer, each when the caller asks for the next."""
        return self._walk(self.steps, self._start(inputs))

    def _start(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.shapes(
            {name: array.shape for name, array in inputs.items()}
        )  # what does not fit shows before any layer runs
        if self.arithmetic.round is None:
            return dict(inputs)
        stored = {name: self.arithmetic.store(array) for name, array in inputs.items()}
        for name, array in inputs.items():
            found = losses(array, stored[name])
            if found:
                text = f"precision {self.arithmetic.name!r} loses numbers of input {name!r}: {found}"
                warnings.warn(text, RefCoreMLWarning, stacklevel=2)
        return stored

    def _walk(self, steps: Sequence[Step], blobs: Blobs, rounds: Iterator[int] | None = None) -> Iterator[Event]:
        rounds = rounds or iter(range(ROUND_LIMIT))
        for step in steps:
            arguments = [existing(blobs, name, step.node.where) for name in step.inputs]
            if step.op.control is not None:
                yield from step.op.control(blobs, partial(self._walk_body, step, blobs, rounds))
            elif step.parts and not step.fits(tuple([x.shape for x in arguments])):
                del arguments
                yield from self._walk(step.parts, blobs, rounds)
            else:
                computed = self.run_step(step, arguments)
                results = self.stored(computed)
                yield Event(step, arguments, results, computed)
                del computed
                blobs.update(zip(step.outputs, results, strict=True))
            for name in step.last_uses:
                blobs.pop(name, None)

    def _walk_body(self, step: Step, blobs: Blobs, rounds: Iterator[int], name: str) -> Iterator[Event]:
        if next(rounds, None) is None:
            raise InputError(f"loops have run {ROUND_LIMIT} times in all, taken for endless", where=step.node.where)
        return self._walk(step.bodies[name], blobs, rounds)

    def stored(self, computed: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return the outputs of `run_step` as the arithmetic stores them."""
        return computed if self.arithmetic.round is None else tuple(map(self.arithmetic.round, computed))

    def run_step(self, step: Step, arguments: Sequence[Array]) -> tuple[Array, ...]:
        """Run one layer, no branch or loop, on arrays whose shapes it checks.

        Checked here and not in advance, because a shape may depend on values, on the branch that was taken, and on how
        often a loop ran.
        """
        assert step.op.run is not None
        step.shapes_of(tuple([x.shape for x in arguments]))
        try:
            with np.errstate(all="ignore"):
                results = step.op.run(*arguments)
        except RefCoreMLError:
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
            InvalidModelError: shapes do not fit a layer, or a blob would be larger than `MEMORY_LIMIT`.
        """
        return dict(self._inferred(tuple(tuple(inputs[name]) for name in self.inputs)))

    def _infer(self, inputs: tuple[Shape, ...]) -> dict[str, Shape]:
        return _infer(self.steps, dict(zip(self.inputs, inputs, strict=True)))


def existing(blobs: Mapping[str, Blob], name: str, where: str) -> Blob:
    """A blob, or what is known of it; raises `InputError` if its layer never ran."""
    try:
        return blobs[name]
    except KeyError:
        raise InputError(f"blob {name!r} does not exist, because no round of its loop was run", where=where) from None


def _came(step: Step, arguments: Sequence[Array]) -> str:
    return ", ".join(f"{name} {array.shape}" for name, array in zip(step.inputs, arguments, strict=True))


def _prepare(nodes: Sequence[Node]) -> list[Step]:
    return [
        Step(
            index,
            node,
            LAYERS[node.kind].prepare(node),
            tuple(node.inputs),
            tuple(node.outputs),
            bodies={field: _prepare(body) for field, body in node.bodies.items()},
        )
        for index, node in enumerate(nodes)
    ]


def _infer(steps: Sequence[Step], known: Mapping[str, Shape]) -> dict[str, Shape]:
    """The shapes of all blobs after some steps, where they can be known."""
    shapes = dict(known)
    for step in steps:
        if step.op.control is not None:
            shapes = _infer_bodies(step, shapes)
            continue
        given = tuple(shape for name in step.inputs if (shape := shapes.get(name)) is not None)
        found = step.shapes_of(given) if len(given) == len(step.inputs) else None
        for index, name in enumerate(step.outputs):
            if found is None:
                shapes.pop(name, None)
            else:
                shapes[name] = found[index]
    return shapes


def _infer_bodies(step: Step, shapes: dict[str, Shape]) -> dict[str, Shape]:
    """What is known after a branch, whichever body ran, or after a loop, however often it did."""

    def after(body: Sequence[Step], before: dict[str, Shape]) -> dict[str, Shape]:
        try:
            return _infer(body, before)
        except (InvalidModelError, CallbackError):  # says nothing about a body that may never run
            return {}

    bodies = list(step.bodies.values())
    if step.kind == "branch":
        one, other = after(bodies[0], shapes), after(bodies[1], shapes) if len(bodies) > 1 else shapes
        return _common(one, other)
    while True:  # each round forgets the shapes that a round of the loop changes, until none does
        result = shapes
        for body in bodies:
            result = after(body, result)
        stable = _common(shapes, result)
        if stable == shapes:
            return result
        shapes = stable


def _common(one: dict[str, Shape], other: dict[str, Shape]) -> dict[str, Shape]:
    return {name: shape for name, shape in one.items() if other.get(name) == shape}


def _reads(step: Step) -> Iterator[str]:
    yield from step.inputs
    for inner in _inner(step):
        yield from inner.inputs
        if inner.kind == "loop":
            yield inner.node.params.conditionVar


def _inner(step: Step) -> Iterator[Step]:
    for body in step.bodies.values():
        for inner in body:
            yield inner
            yield from _inner(inner)


def _with_last_uses(steps: Sequence[Step], outputs: Sequence[str]) -> list[Step]:
    """Notes at each step the blobs that can be freed after it: those not used later, nor wanted as outputs.

    Inside branches and loops nothing is freed, since another round may need it.
    """
    needed = set(outputs)
    result = []
    for step in reversed(steps):
        writes = (name for part in (step, *_inner(step)) for name in part.outputs)
        last = tuple(dict.fromkeys(name for name in (*_reads(step), *writes) if name not in needed))
        needed.update(last)
        result.append(replace(step, last_uses=last))
    return result[::-1]


def fuse(steps: Sequence[Step], outputs: Sequence[str]) -> list[Step]:
    """Lets elementwise layers overwrite an input where nobody else needs it, inside the layer before if it can.

    Only neighbours are considered: converters write an activation, or the sum that closes a residual block, right after
    what it is applied to. Networks with branches, loops or blobs written twice are left as they are.
    """
    if any(step.kind in ("branch", "loop", "copy") for step in steps):
        return list(steps)
    uses = Counter(name for step in steps for name in step.inputs)
    uses.update(outputs)
    groups: list[list[Step]] = []
    for step in steps:
        passed = groups[-1][-1].outputs if groups else ()
        if (
            step.op.inplace is not None
            and len(passed) == 1
            and passed[0] in step.inputs
            and uses[passed[0]] == 1
            and (groups[-1][0].op.fused or groups[-1][0].op.fresh)
        ):
            groups[-1].append(step)
        else:
            groups.append([step])
    return [_in_one(*group) if len(group) > 1 else group[0] for group in groups]


def _in_one(first: Step, *rest: Step) -> Step:
    """A layer and the elementwise ones after it as one step, whose inputs are the first layer's, then the others'."""
    parts = (first, *rest)
    passed = {name for step in parts[:-1] for name in step.outputs}
    others = [[name for name in step.inputs if name not in passed] for step in rest]
    count = len(first.inputs)

    def shape(*shapes: Shape) -> Shape | None:
        """The shape of the first layer's output, if the others can overwrite it: if it is that of all blobs."""
        made, more = first.shapes_of(shapes[:count]), iter(shapes[count:])
        for step, names in zip(rest, others, strict=True):
            if made is None:
                return None
            given = {name: next(more) for name in names}
            after = step.shapes_of(tuple(given.get(name, made[0]) for name in step.inputs))
            made = made if after == made and all(other == made[0] for other in given.values()) else None
        return None if made is None else made[0]

    def finish(block: Array, channels: slice, more: Iterator[Array]) -> None:
        for step, names in zip(rest, others, strict=True):
            assert step.op.inplace is not None
            step.op.inplace(block, channels, *(next(more) for _ in names))

    def run(*inputs: Array) -> Array:
        given, more = inputs[:count], inputs[count:]
        if first.op.fused is not None:
            listed = [x.reshape(math.prod(x.shape[:-3]), *x.shape[-3:]) for x in more]
            return first.op.fused(
                *given, epilogue=lambda block, place: finish(block, place[1], (x[place] for x in listed))
            )
        run_first: Any = first.op.run
        y: Array = run_first(*given)
        block = channels_first(y)
        finish(block, slice(0, len(block)), map(channels_first, more))
        return y

    freed = tuple(name for step in parts for name in step.last_uses if name not in passed)
    inputs = (*first.inputs, *(name for names in others for name in names))
    op = Op(run, shape, fresh=True)
    return replace(first, op=op, inputs=inputs, outputs=rest[-1].outputs, last_uses=freed, parts=parts)
